"""Print coefficients.h: the polynomials of exp2 and log, fitted in 60 digits.

    python coefficients.py > coefficients.h

Each polynomial nearly minimises the largest weighted error on its interval. Its coefficients are rounded one by one,
from the constant term up, and what is left is fitted again after each, so that rounding costs almost nothing.
Needs mpmath; a test runs it and compares with the header in the tree.
"""

from mpmath import cos, fabs, linspace, log, lu_solve, matrix, mp, mpf, pi, sqrt

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
    half = mpf(1) / 2 + MARGIN
    interval = "2^r on [-1/2 - 1/512, 1/2 + 1/512], relative"
    table("EXP2_F32", interval, *fit(exp2_target, -half, half, 6, 24, {0: mpf(1)}), "float", "f")
    table("EXP2_F64", interval, *fit(exp2_target, -half, half, 11, 53, {0: mpf(1)}), "double", "")
    width = (sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1) + mpf(2) ** -20
    what = "q(s^2) in log((1 + s)/(1 - s)) = 2 s + s^3 q(s^2), |s| <= 0.1716, absolute"
    table("LOG_Q", what, *fit(log_target, mpf(0), width**2, 8, 53, {}), "double", "")
    print("#endif")


if __name__ == "__main__":
    main()
