"""Print coefficients.h: the polynomials of exp2 and log, fitted in 60 digits.

    python coefficients.py > coefficients.h

Each polynomial nearly minimises the largest weighted error on its interval. Its coefficients are rounded one by one,
from the constant term up, and what is left is fitted again after each, so that rounding costs almost nothing.
Needs mpmath and NumPy; a test runs it and compares with the header in the tree.
"""

import numpy as np
from mpmath import cos, fabs, linspace, log, log1p, lu_solve, matrix, mp, mpf, pi, sqrt

mp.dps = 60
MARGIN = mpf(1) / 512  # t is rounded to n before its low part is added, so |r| passes 1/2 by up to this


def exp2_target(r):
    return mpf(2) ** r, 1 / mpf(2) ** r


def log_target(w):
    """q(w) with log((1 + s)/(1 - s)) = 2 s + s^3 q(s^2), weighted by s^3 for its absolute error."""
    if w < mpf(10) ** -25:
        return mpf(2) / 3, sqrt(w) ** 3
    s = sqrt(w)
    return (log((1 + s) / (1 - s)) - 2 * s) / s**3, s**3


def log1p_target(r):
    """log(1 + r) / r, relative."""
    value = log1p(r) / r if r else mpf(1)
    return value, 1 / value


def nearly_minimax(target, low, high, powers, fixed):
    """Coefficients of `powers`: least squares on Chebyshev nodes, which is within a third of the minimax error."""
    count = 6 * len(powers)
    nodes = [(low + high) / 2 - (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    system, right = matrix(count, len(powers)), matrix(count, 1)
    for row, x in enumerate(nodes):
        f, weight = target(x)
        right[row] = weight * (f - sum((a * x**p for p, a in fixed.items()), mpf(0)))
        for column, p in enumerate(powers):
            system[row, column] = weight * x**p
    return list(lu_solve(system, right))


def rounded(value, bits):
    """`value` rounded to `bits` significant bits, as an exact Python float."""
    with mp.workprec(bits):
        return float(+mpf(value))


def fit(target, low, high, degree, bits, fixed):
    """All coefficients, rounded to `bits`, and the largest weighted error they leave."""
    fixed = dict(fixed)
    for power in range(degree + 1):
        if power not in fixed:
            c = nearly_minimax(target, low, high, [p for p in range(degree + 1) if p not in fixed], fixed)
            fixed[power] = mpf(rounded(c[0], bits))
    worst = max(
        fabs(weight * (sum(a * x**p for p, a in fixed.items()) - f))
        for x in linspace(low, high, 2001)
        for f, weight in [target(x)]
    )
    return [float(fixed[p]) for p in range(degree + 1)], worst


def eighths():
    """2^(j/8) for j = 0..7 as floats, all but for nearly the same factor, and the largest error this leaves.

    A factor that all exponentials have leaves their ratios as they are. So one may be looked for with which eight
    numbers are near floats by chance: tried are all floats from 1 to 2^(1/8) for the first.
    """
    first = np.arange(2**23, int(2**23 * 2 ** (1 / 8)))
    exact = first[:, None] * 2.0 ** (np.arange(8) / 8)
    error = np.where(exact < 2**24, np.rint(exact), 2 * np.rint(exact / 2)) / exact - 1
    best = int(np.argmin(np.ptp(error, axis=1)))
    values = [mpf(int(first[best])) / 2**23 * mpf(2) ** (mpf(j) / 8) for j in range(8)]
    floats = [rounded(value, 24) for value in values]
    errors = [mpf(near) / value - 1 for near, value in zip(floats, values, strict=True)]
    return floats, (max(errors) - min(errors)) / 2


def inverses():
    """For i = 0..7 a float c just below 1 / (1 + i / 8), of which -log(c) - i log(2) / 8 is nearly a float; that float;
    and the largest error this leaves. Tried are all c within 2^-9.
    """
    found, logs, worst = [], [], mpf(0)
    for i in range(8):
        highest = np.float32(1) / np.float32(1 + i / 8)
        tried = (highest.view(np.uint32) - np.arange(1 << 14 if i else 1, dtype=np.uint32)).view(np.float32)
        left = -np.log(tried.astype(np.longdouble)) - i * np.log(np.longdouble(2)) / 8
        c = float(tried[np.argmin(np.abs(left - left.astype(np.float32)))])
        exact = -log(mpf(c)) - i * log(mpf(2)) / 8
        found.append(c)
        logs.append(rounded(exact, 24))
        worst = max(worst, fabs(exact - mpf(logs[-1])))
    return found, logs, worst


def of_eight(name, each):
    print(f"#define {name}(EACH) \\\n    {' '.join(each[:4])} \\\n    {' '.join(each[4:])}\n")


def bit_patterns(name, what, floats, steps, worst):
    """The floats' bits less a step << 20 each, so that adding 8 n and that step at bit 20 multiplies one by 2^n."""
    patterns = np.array(floats, np.float32).view(np.uint32) - (np.array(steps, np.uint32) << 20)
    print(f"/* {what} {float(worst):.2g} = 2^{float(log(worst, 2)):.1f}. */")
    of_eight(name, [f"EACH(0x{bits:08x}u)" for bits in patterns])


def table(name, what, coefficients, worst, c_type, suffix):
    print(f"/* {what}; largest error {float(worst):.2g} = 2^{float(log(worst, 2)):.1f}. */")
    print(f"static const {c_type} {name}[{len(coefficients)}] = {{")
    for value in coefficients:
        print(f"    {value.hex()}{suffix},")
    print("};\n")


def pair(name, value):
    high = rounded(value, 53)
    print(f"#define {name}_HI {high.hex()}")
    print(f"#define {name}_LO {rounded(value - mpf(high), 53).hex()}")


def main():
    print("/* Made by coefficients.py; do not edit. Constants and polynomials of exp2 and log. */")
    print("/* clang-format off */\n")
    print("#ifndef TEMPSOFT_COEFFICIENTS_H\n#define TEMPSOFT_COEFFICIENTS_H\n")
    pair("LOG2_E", 1 / log(mpf(2)))
    pair("LOG_2", log(mpf(2)))
    print()
    floats, worst = eighths()
    what = f"Bits of about {floats[0]:.4f} 2^(j/8), less j << 20; largest error of their ratios"
    bit_patterns("EXP2_EIGHTHS", what, floats, range(8), worst)
    half, sixteenth = mpf(1) / 2 + MARGIN, mpf(1) / 16 + MARGIN
    interval = "2^r on [-1/16 - 1/512, 1/16 + 1/512], relative"
    table("EXP2_F32", interval, *fit(exp2_target, -sixteenth, sixteenth, 4, 24, {0: mpf(1)}), "float", "f")
    interval = "2^r on [-1/2 - 1/512, 1/2 + 1/512], relative"
    table("EXP2_F64", interval, *fit(exp2_target, -half, half, 11, 53, {0: mpf(1)}), "double", "")
    width = (sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1) + mpf(2) ** -20
    what = "q(s^2) in log((1 + s)/(1 - s)) = 2 s + s^3 q(s^2), |s| <= 0.1716, absolute"
    table("LOG_Q", what, *fit(log_target, mpf(0), width**2, 8, 53, {}), "double", "")
    floats, logs, worst = inverses()
    order = [-j % 8 for j in range(8)]
    what = "For j = -i modulo 8: bits of c just below 1 / (1 + i/8), plus i << 20;"
    what += "\n * and about -log(c) - i log(2) / 8; largest error"
    bit_patterns("LOG_INVERSES", what, [floats[i] for i in order], [-i % 2**12 for i in order], worst)
    of_eight("LOG_EIGHTHS", [f"EACH({logs[i].hex()}f)" for i in order])
    what = "log(1 + r) / r on [-1/512, 1/8], relative"
    table("LOG_F32", what, *fit(log1p_target, -MARGIN, mpf(1) / 8, 5, 53, {}), "double", "")
    print("#endif")


if __name__ == "__main__":
    main()
