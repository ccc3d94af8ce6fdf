"""Writes answers.json: known answers for softmax, log_softmax, logsumexp, draws and uniform numbers.

Nothing here imports tempsoft or NumPy. Probabilities and logarithms are computed with mpmath to 60 digits from the
stored bits of the inputs and rounded once to a double; draws with fractions; Philox with Python integers, after the
known-answer vectors of Random123 (tests/kat_vectors). Floats are written in hexadecimal, exactly.

    python generate.py              writes answers.json beside this file
    python generate.py --check      fails if the file differs from what would be written
"""

from __future__ import annotations

import itertools
import json
import math
import pathlib
import random
import struct
import sys
from fractions import Fraction

import mpmath

DIGITS = 60
CODES = {"float16": "e", "float32": "f", "float64": "d"}
LARGEST = {"float16": 65504.0, "float32": (2 - 2.0**-23) * 2.0**127, "float64": sys.float_info.max}
SUBNORMAL = {"float16": 2.0**-24, "float32": 2.0**-149, "float64": 2.0**-1074}
ABOUT = "Written by generate.py; do not edit. Floats are hexadecimal, and exact where they are inputs."


def stored(value, dtype):
    """`value` rounded to the dtype, as a Python float."""
    return struct.unpack(CODES[dtype], struct.pack(CODES[dtype], value))[0]


def bell(numbers, spread):
    """About normal; made so that no platform's libm and no version's `sum` decides a bit of it."""
    return spread * (math.fsum(numbers.random() for _ in range(12)) - 6)


def formula(n):
    """The logits of a row given by its length alone; exact in every dtype but bfloat16."""
    return [(7919 * i % 1009) / 16 - 32 for i in range(n)]


def exact(logits, temperature):
    """(softmax, log_softmax, logsumexp) of a row of finite logits and -inf, as doubles."""
    with mpmath.workdps(DIGITS):
        kept = {i: mpmath.mpf(x) / mpmath.mpf(temperature) for i, x in enumerate(logits) if x > -math.inf}
        largest = max(kept.values())
        log_sum = mpmath.log(mpmath.fsum(mpmath.exp(z - largest) for z in kept.values()))
        logarithms = [kept[i] - largest - log_sum if i in kept else -mpmath.inf for i in range(len(logits))]
        return [double(mpmath.exp(z)) for z in logarithms], [double(z) for z in logarithms], double(largest + log_sum)


def double(value):
    """The nearest double, infinite where none is near."""
    fits = abs(value) < mpmath.mpf(2) ** 1024 * (1 - mpmath.mpf(2) ** -54)
    return float(value) if fits else math.copysign(math.inf, value)


def inputs():
    """(name, dtype, logits, temperature) of every row that is stored in full."""
    yield from everyday_rows()
    yield from extreme_rows()


def everyday_rows():
    numbers = random.Random(20261101)
    for dtype, t in itertools.product(CODES, (0.5, 1.0, 2.0)):
        yield "napkin", dtype, [2.0, 1.0, 0.5, 0.1], t
    for dtype, n in itertools.product(CODES, (1, 2, 3, 7, 16, 17, 65)):
        yield "normal", dtype, [bell(numbers, 3) for _ in range(n)], numbers.choice([0.3, 0.7, 1.0, 1.7])
    for dtype, t in itertools.product(CODES, (1e-3, 1e-2, 0.1, 10.0, 1e2, 1e3)):
        yield "temperatures", dtype, [bell(numbers, 10 * t) for _ in range(9)], t
    for dtype, n in (("float32", 129), ("float64", 130), ("float32", 300)):
        yield "long", dtype, [bell(numbers, 4) for _ in range(n)], 0.9
    for dtype, offset in itertools.product(("float32", "float64"), (-1e6, -1e3, 1e3, 1e5, 1e6)):
        yield "offset", dtype, [offset + bell(numbers, 4) for _ in range(8)], 0.8
    for offset in (-6e4, 1e3, 6e4):
        yield "offset", "float16", [offset + bell(numbers, 64) for _ in range(8)], 20.0


def extreme_rows():
    numbers = random.Random(20261102)
    below = {"float16": (-17.0, -9.0), "float32": (-104.0, -86.0), "float64": (-745.5, -707.0)}
    for dtype in CODES:
        most, least = LARGEST[dtype], SUBNORMAL[dtype]
        yield "masked by the lowest number", dtype, [1.5, -most, 0.25, -most, -1.0], 1.0
        yield "masked by -inf", dtype, [-math.inf, 0.5, -math.inf, 2.0, 1.0], 1.3
        yield "all at the lowest number", dtype, [-most] * 3, 1.0
        yield "from lowest to largest", dtype, [-most, 0.0, most, most / 2], most
        yield "from lowest to largest, cold", dtype, [-most, most, 0.0, most], 0.5
        yield "subnormal logits", dtype, [3 * least, 0.0, -5 * least, 9 * least], 4 * least
        yield "subnormal logits, warm", dtype, [3 * least, 0.0, -5 * least], 1.0
        yield "around the last normal number", dtype, [0.0, *(numbers.uniform(*below[dtype]) for _ in range(12))], 1.0
        yield "zeros", dtype, [0.0, -0.0, 0.0], 0.1
        yield "ties", dtype, [4.0, 4.0, 1.0, 4.0, 1.0], 0.6
    for dtype, t in itertools.product(("float32", "float64"), (stored(1e-45, "float32"), 1e-30, 1e30)):
        for name, scale in (("extreme temperature", 4.0), ("extreme temperature, cold", 60.0)):
            yield name, dtype, [t * bell(numbers, scale) for _ in range(9)], t
        yield "extreme temperature, ordinary logits", dtype, [2.0, 1.0, 2.0, -1.0], t
    yield "smallest temperature", "float64", [5e-324, 0.0, -1e-323, 1.5e-323], 5e-324
    yield "largest temperature", "float64", [1e308, -1e308, 0.0], LARGEST["float64"]


def row(name, dtype, logits, temperature):
    logits = [stored(x, dtype) for x in logits]
    probabilities, logarithms, log_sum = exact(logits, temperature)
    return {
        "name": name,
        "dtype": dtype,
        "temperature": temperature.hex(),
        "logits": [x.hex() for x in logits],
        "softmax": [p.hex() for p in probabilities],
        "log_softmax": [p.hex() for p in logarithms],
        "logsumexp": log_sum.hex(),
    }


def formula_row(n, dtype, temperature):
    logits = formula(n)
    assert logits == [stored(x, dtype) for x in logits]
    probabilities, logarithms, log_sum = exact(logits, temperature)
    at = sorted({i for i in (0, 1, 63, 64, 127, 511, 1022, 1023, 1024, 1025, 2046, 2047, 2048) if i < n})
    return {
        "name": "formula",
        "dtype": dtype,
        "temperature": temperature.hex(),
        "n": n,
        "at": at,
        "softmax": [probabilities[i].hex() for i in at],
        "log_softmax": [logarithms[i].hex() for i in at],
        "logsumexp": log_sum.hex(),
    }


def draws(name, n, drawable):
    """Draws from equal shares of 2**k places of a row of n: all their boundaries are exact doubles.

    The answer is the first drawable place whose cumulative probability exceeds u.
    """
    share = Fraction(1, len(drawable))
    assert share.denominator & (share.denominator - 1) == 0
    some = sorted({j for j in range(1, len(drawable)) if j < 4 or j > len(drawable) - 4 or j % 61 == 0})
    us = {0.0, 1 - 2.0**-53, 5e-324, 0.5}
    for j in some:
        boundary = float(j * share)
        us |= {math.nextafter(boundary, 0), boundary, math.nextafter(boundary, 1)}
        us |= {boundary - 2.0**-45, boundary + 2.0**-45}
    answers = [(u, next(d for j, d in enumerate(drawable, 1) if j * share > Fraction(u))) for u in sorted(us)]
    return {
        "name": name,
        "n": n,
        "drawable": drawable,
        "u": [u.hex() for u, _ in answers],
        "index": [index for _, index in answers],
    }


# The three lines "philox4x64 10" of Random123's tests/kat_vectors: counter, key, output.
RANDOM123 = """
0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
    16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b
ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff
    87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0
243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89 452821e638d01377 be5466cf34e90c6c
    a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6
"""


def philox(counter, key):
    """Philox4x64-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011)."""
    mask = 2**64 - 1
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = (right >> 64) ^ b ^ k, right & mask, (left >> 64) ^ d ^ m, left & mask
        k, m = (k + 0x9E3779B97F4A7C15) & mask, (m + 0xBB67AE8584CAA73B) & mask
    return a, b, c, d


def published():
    words = [int(word, 16) for word in RANDOM123.split()]
    for line in zip(*[iter(words)] * 10, strict=True):
        counter, key, output = line[:4], line[4:6], line[6:]
        assert philox(counter, key) == tuple(output)
        parts = {"counter": counter, "key": key, "output": output}
        yield {name: [f"{word:016x}" for word in part] for name, part in parts.items()}


def uniform(seed, column, row_number):
    """NumPy starts at counter 1 and uses the upper 53 bits of each of the four words in turn."""
    word = philox((1 + row_number // 4, 0, 0, 0), (seed, column))[row_number % 4]
    return ((word >> 11) * 2.0**-53).hex()


def build():
    uniform_places = itertools.product(
        (0, 1, 20261101, 2**63, 2**64 - 1), (0, 1, 7), (0, 1, 2, 3, 4, 5, 1000, 2**20 + 3)
    )
    evens = [i for i in range(4096) if i % 2 == 0]
    return {
        "rows": [row(*case) for case in inputs()],
        "formula_rows": [
            formula_row(n, dtype, t)
            for n, t in ((1025, 4.5), (2049, 0.75), (2049, 100.0))
            for dtype in ("float32", "float64")
        ],
        "draws": [
            draws("two", 2, [0, 1]),
            draws("gaps", 11, [1, 2, 5, 9]),
            draws("one block", 1024, list(range(512, 1024))),
            draws("blocks", 4096, evens),
            draws("first and last of three blocks", 2561, [0, 2560]),
            draws("ends of blocks", 4096, [1023, 1024, 2047, 2048]),
        ],
        "philox4x64_10": list(published()),
        "uniforms": [[str(seed), column, i, uniform(seed, column, i)] for seed, column, i in uniform_places],
    }


def text():
    """JSON with one case a line."""
    parts = [f'"about": {json.dumps(ABOUT)}']
    for name, cases in build().items():
        lines = ",\n".join(json.dumps(case) for case in cases)
        parts.append(f'"{name}": [\n{lines}\n]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    target = pathlib.Path(__file__).with_name("answers.json")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if target.read_text(encoding="utf-8") == text() else f"{target} differs")
    target.write_text(text(), encoding="utf-8")
