"""One table of calls that must fail: the exception's type, and what its message must say."""

from __future__ import annotations

from typing import NamedTuple

import limits
import numpy as np

NAN, INF = np.nan, np.inf
X = np.arange(12, dtype=np.float32).reshape(3, 4)
AXIS = np.exceptions.AxisError


class Bad(NamedTuple):
    """A call that must fail: what of, the exception, and fragments of its text."""

    name: str
    functions: tuple
    arguments: tuple
    options: dict
    exception: type
    fragments: tuple


def with_sweep():
    """(2, 1) temperatures over three rows make six; the first bad one in C order is row 3."""
    return np.array([[1.0], [-2.5]])


def with_invalid(row, value):
    x = X.copy()
    x[row] = value
    return x


FILTERED = ("softmax", "log_softmax", "sample", "entropy", "support")
ALL = (*FILTERED, "logsumexp")  # called with logits and temperature
EVERY = (*ALL, "log_prob", "top_log_probs", "sample_weights", "uniforms")
TWO = ("softmax", "log_softmax")
DRAW = ("sample", "sample_weights")
WEIGHTS = ("sample_weights",)
BETWEEN = {"log_prob": ([0, 3, 1],), "top_log_probs": (2,)}  # what they take between logits and temperature
OF_LOGITS = (*ALL, *BETWEEN)
V, T = ValueError, TypeError
FLOATS = ("float16", "bfloat16", "float32", "float64")

LOGITS = [
    ("complex", X.astype(complex), T, ("logits", "complex128", *FLOATS)),
    ("object", X.astype(object), T, ("logits", "object", *FLOATS)),
    ("list with None", [1.0, None], T, ("logits", "object", *FLOATS)),
    ("None", None, T, ("logits", "object")),
    ("huge integers", [2**70, 1], T, ("logits", "object", *FLOATS)),
    ("str", ["1", "2"], T, ("logits", "<U1", *FLOATS)),
    ("bytes", np.array([b"1"]), T, ("logits", "S1", *FLOATS)),
    ("datetime", np.array(["2026-01-01"], "M8[D]"), T, ("logits", "datetime64[D]", *FLOATS)),
    ("structured", np.zeros(3, [("a", "f4")]), T, ("logits", *FLOATS)),
    ("longdouble", X.astype(np.longdouble), T, ("logits", str(np.dtype(np.longdouble)), *FLOATS)),
    ("float8", X.astype(limits.ml_dtypes.float8_e4m3fn), T, ("logits", "float8_e4m3fn", *FLOATS)),
    ("MaskedArray", np.ma.masked_array(X, X > 3), T, ("logits", "MaskedArray", ".filled(")),
    ("matrix", X.view(np.matrix), T, ("logits", "matrix", "numpy.asarray")),
    ("recarray", X.view(np.recarray), T, ("logits", "recarray", "numpy.asarray")),
    ("ragged", [[1.0, 2.0], [3.0]], V, ("logits",)),
    ("scalar", 1.5, AXIS, ("logits", "axis", "dimension 0")),
    ("NumPy scalar", np.float32(1.5), AXIS, ("logits", "axis", "dimension 0")),
    ("0-d", np.array(1.5), AXIS, ("logits", "axis", "dimension 0")),
]
TEMPERATURES = [
    ("negative", -1.0, V, ("temperature", ">= 0", "-1.0", "row 0")),
    ("smallest negative", -5e-324, V, ("temperature", ">= 0", "-5e-324", "row 0")),
    ("-inf", -INF, V, ("temperature", ">= 0", "-inf", "row 0")),
    ("NaN", NAN, V, ("temperature", ">= 0", "nan", "row 0")),
    ("negative integer", -3, V, ("temperature", ">= 0", "-3", "row 0")),
    ("float32 NaN", np.float32(NAN), V, ("temperature", "nan", "row 0")),
    ("row 1", [1.0, -2.0, -3.0], V, ("temperature", ">= 0", "-2.0", "row 1")),
    ("row 2", [1.0, 0.0, NAN], V, ("temperature", "nan", "row 2")),
    ("of a sweep", with_sweep(), V, ("temperature", "-2.5", "row 3")),
    ("in a whole sweep", np.array([[1.0, 1, 1], [2, -4, NAN]]), V, ("temperature", "-4.0", "row 4")),
    ("wrong shape", [1.0, 2.0], V, ("temperature", "(2,)", "(3,)")),
    ("one per category", np.ones((3, 4)), V, ("temperature", "(3, 4)", "(3,)")),
    ("complex", 1j, T, ("temperature", "complex128")),
    ("str", "1", T, ("temperature", "<U1")),
    ("None", None, T, ("temperature", "object")),
    ("object", np.array([1.0, 2, 3], object), T, ("temperature", "object")),
    ("longdouble", np.longdouble(1), T, ("temperature", str(np.dtype(np.longdouble)))),
    ("MaskedArray", np.ma.masked_array([1.0, 2, 3]), T, ("temperature", "MaskedArray")),
    ("matrix", np.ones((1, 1)).view(np.matrix), T, ("temperature", "matrix")),
    ("ragged", [[1.0, 2.0], [3.0]], V, ("temperature",)),
]
AXES = [
    ("2", 2, AXIS, ("axis 2", "dimension 2")),
    ("-3", -3, AXIS, ("axis -3", "dimension 2")),
    ("float", 0.0, T, ("axis", "integer", "0.0", "float")),
    ("None", None, T, ("axis", "integer", "None")),
    ("tuple", (0, 1), T, ("axis", "integer", "(0, 1)", "tuple")),
    ("str", "0", T, ("axis", "integer", "'0'", "str")),
]
OUTS = [
    ("shape", np.zeros((4, 3), np.float32), V, ("out", "(4, 3)", "(3, 4)")),
    ("fewer dimensions", np.zeros(12, np.float32), V, ("out", "(12,)", "(3, 4)")),
    ("broadcastable", np.zeros((1, 3, 4), np.float32), V, ("out", "(1, 3, 4)", "(3, 4)")),
    ("narrower", np.zeros((3, 4), np.float16), T, ("out", "float16", "float32", "wider")),
    ("bfloat16", np.zeros((3, 4), limits.DTYPES["bfloat16"]), T, ("out", "bfloat16", "float32", "wider")),
    ("integer", np.zeros((3, 4), np.int64), T, ("out", "int64", "float32")),
    ("complex", np.zeros((3, 4), complex), T, ("out", "complex128", "float32")),
    ("longdouble", np.zeros((3, 4), np.longdouble), T, ("out", str(np.dtype(np.longdouble)), "float32")),
    ("list", [[0.0] * 4] * 3, T, ("out", "ndarray", "list")),
    ("tuple", (np.zeros((3, 4), np.float32),), T, ("out", "ndarray", "tuple")),
    ("matrix", np.zeros((3, 4), np.float32).view(np.matrix), T, ("out", "ndarray", "matrix")),
    ("MaskedArray", np.ma.zeros((3, 4), np.float32), T, ("out", "ndarray", "MaskedArray")),
    ("read-only", np.broadcast_to(np.float32(0), (3, 4)), V, ("out", "read-only")),
]
WORKERS = [
    ("0", 0, V, ("workers", ">= 1", "-1", "0")),
    ("-2", -2, V, ("workers", ">= 1", "-2")),
    ("float", 1.0, T, ("workers", "integer", "1.0", "float")),
    ("str", "2", T, ("workers", "integer", "'2'", "str")),
]
U = [
    ("shape", [0.5, 0.5], V, ("u", "(2,)", "(3,)")),
    ("scalar", 0.5, V, ("u", "()", "(3,)")),
    ("broadcastable", [[0.5], [0.5], [0.5]], V, ("u", "(3, 1)", "(3,)")),
    ("NaN", [0.5, NAN, 2.0], V, ("u", "[0, 1)", "nan", "row 1")),
    ("1", [0.5, 0.5, 1.0], V, ("u", "[0, 1)", "1.0", "row 2")),
    ("negative", [-5e-324, 0.5, 0.5], V, ("u", "[0, 1)", "-5e-324", "row 0")),
    ("inf", [INF, 0.5, 0.5], V, ("u", "[0, 1)", "inf", "row 0")),
    ("complex", [0.5j, 0, 0], T, ("u", "complex128")),
    ("str", ["0.5"] * 3, T, ("u", "<U3")),
    ("MaskedArray", np.ma.masked_array([0.5] * 3), T, ("u", "MaskedArray")),
]
RNG = [
    ("-1", -1, V, ("rng", "[0, 2**64)", "-1")),
    ("2**64", 2**64, V, ("rng", "[0, 2**64)", str(2**64))),
    ("float", 7.0, T, ("rng", "Generator", "SeedSequence", "7.0", "float")),
    ("str", "7", T, ("rng", "Generator", "'7'", "str")),
    ("list", [1, 2], T, ("rng", "Generator", "[1, 2]", "list")),
    ("RandomState", np.random.RandomState, T, ("rng", "Generator", "type")),
    ("NumPy bool", np.bool_(True), T, ("rng", "Generator", "bool")),
]
OTHER = [
    ("num_samples negative", {"num_samples": -1}, V, ("num_samples", ">= 0", "-1")),
    ("num_samples float", {"num_samples": 2.0}, T, ("num_samples", "integer", "2.0", "float")),
    ("num_samples tuple", {"num_samples": (2, 3)}, T, ("num_samples", "integer", "tuple")),
    ("first_row negative", {"first_row": -1}, V, ("first_row", "[0, 2**63)", "-1")),
    ("first_row 2**63", {"first_row": 2**63}, V, ("first_row", "[0, 2**63)", str(2**63))),
    ("first_row float", {"first_row": 1.0}, T, ("first_row", "integer", "1.0", "float")),
    ("first_row float that equals the default", {"first_row": 0.0}, T, ("first_row", "integer", "0.0", "float")),
    ("first_row None", {"first_row": None}, T, ("first_row", "integer", "None")),
    ("first_row beyond the last", {"first_row": 2**63 - 2}, V, ("first_row", "2**63", str(2**63 - 2))),
    ("return_log_prob str", {"return_log_prob": "no"}, T, ("return_log_prob", "True", "False", "'no'", "str")),
    ("return_log_prob 1", {"return_log_prob": 1}, T, ("return_log_prob", "True", "False", "1", "int")),
    ("on_invalid unknown", {"on_invalid": "ignore"}, V, ("on_invalid", "'raise'", "'mark'", "'ignore'")),
    ("on_invalid None", {"on_invalid": None}, V, ("on_invalid", "'raise'", "'mark'", "None")),
    ("u and rng", {"u": [0.5] * 3, "rng": 1}, V, ("u", "rng", "both")),
    ("u of one column", {"u": [0.5] * 3, "num_samples": 2}, V, ("u", "(3,)", "(3, 2)")),
    ("u in the second column", {"u": [[0, 0.5], [0, 2.5], [0, NAN]], "num_samples": 2}, V, ("u", "2.5", "row 1")),
    ("u of no samples", {"u": [0.5] * 3, "num_samples": 0}, V, ("u", "(3,)", "(3, 0)")),
]
ROWS = [
    ("NaN in row 1", with_invalid(1, NAN), {}, ("row 1", "NaN", "on_invalid")),
    ("one NaN in row 2", with_invalid((2, 3), NAN), {}, ("row 2", "NaN", "on_invalid")),
    ("-inf in row 2", with_invalid(2, -INF), {}, ("row 2", "-inf", "on_invalid")),
    ("first of two", np.stack([X[0], with_invalid(1, NAN)[1], with_invalid(2, -INF)[2]]), {}, ("row 1", "NaN")),
    ("in a sweep", with_invalid(1, NAN), {"temperature": [[1.0], [2.0]]}, ("row 1", "NaN")),
    ("no categories", np.empty((3, 0)), {}, ("no categories", "n = 0")),
    ("no categories, marked", np.empty((3, 0)), {"on_invalid": "mark"}, ("no categories", "n = 0")),
]
UNIFORMS = [
    ("rows negative", (1, -1), {}, V, ("rows", "[0, 2**63)", "-1")),
    ("rows float", (1, 2.0), {}, T, ("rows", "integer", "2.0", "float")),
    ("rows None", (1, None), {}, T, ("rows", "integer", "None")),
    ("num_samples negative", (1, 2, -1), {}, V, ("num_samples", "-1")),
    ("num_samples None", (1, 2, None), {}, T, ("num_samples", "integer", "None")),
    ("first_row negative", (1, 2), {"first_row": -1}, V, ("first_row", "-1")),
    ("first_row float", (1, 2), {"first_row": 0.0}, T, ("first_row", "integer", "0.0")),
    ("too far", (1, 2), {"first_row": 2**63 - 1}, V, ("first_row", "2**63", str(2**63 - 1))),
]
FILTERS = [
    ("top_k -2", {"top_k": -2}, V, ("top_k", ">= -1", "-2", "row 0")),
    ("top_k far below", {"top_k": -(2**70)}, V, ("top_k", ">= -1", "row 0")),
    ("top_k in row 1", {"top_k": [1, -3, -2]}, V, ("top_k", ">= -1", "-3", "row 1")),
    ("top_k of a sweep", {"top_k": [[1], [-5]]}, V, ("top_k", "-5", "row 3")),
    ("top_k float", {"top_k": 2.0}, T, ("top_k", "integers", "float64")),
    ("top_k float16", {"top_k": np.ones(3, np.float16)}, T, ("top_k", "integers", "float16")),
    ("top_k bool", {"top_k": True}, T, ("top_k", "integers", "bool")),
    ("top_k str", {"top_k": "2"}, T, ("top_k", "integers", "<U1")),
    ("top_k with None", {"top_k": [1, None, 2]}, T, ("top_k", "integers", "object")),
    ("top_k MaskedArray", {"top_k": np.ma.masked_array([1, 2, 3])}, T, ("top_k", "MaskedArray")),
    ("top_k shape", {"top_k": [1, 2]}, V, ("top_k", "(2,)", "(3,)")),
    *(
        (f"{name} {case}", {name: value}, e, (name, *says))
        for name in ("top_p", "min_p")
        for case, value, e, says in (
            ("negative", -5e-324, V, ("[0, 1]", "-5e-324", "row 0")),
            ("above 1", np.nextafter(1, 2), V, ("[0, 1]", "1.0000000000000002", "row 0")),
            ("NaN", NAN, V, ("[0, 1]", "nan", "row 0")),
            ("inf", INF, V, ("[0, 1]", "inf", "row 0")),
            ("in row 2", [1.0, 0.0, 1.5], V, ("[0, 1]", "1.5", "row 2")),
            ("of a sweep", [[0.5], [-0.5]], V, ("-0.5", "row 3")),
            ("complex", 0.5j, T, ("complex128",)),
            ("str", "0.5", T, ("<U3",)),
            ("with None", [0.5, None, 1], T, ("object",)),
            ("longdouble", np.longdouble(0.5), T, (str(np.dtype(np.longdouble)),)),
            ("MaskedArray", np.ma.masked_array([0.5] * 3), T, ("MaskedArray",)),
            ("shape", [0.5, 0.5], V, ("(2,)", "(3,)")),
        )
    ),
    ("temperature_last 1", {"temperature_last": 1}, T, ("temperature_last", "True", "False", "1", "int")),
    ("temperature_last None", {"temperature_last": None}, T, ("temperature_last", "True", "False", "None")),
    ("temperature_last array", {"temperature_last": np.array(True)}, T, ("temperature_last", "True", "ndarray")),
    (
        "a temperature's row in the batch that top_p makes",
        {"temperature": [[1.0], [-1.0]], "top_p": [[[0.5] * 3] * 2] * 2},
        V,
        ("temperature", "-1.0", "row 3"),
    ),
]
INDEX = [
    ("shape", [0, 1], V, ("index", "(2,)", "(3,)")),
    ("scalar", 0, V, ("index", "()", "(3,)")),
    ("broadcastable", [[0, 1]], V, ("index", "(1, 2)", "(3,)")),
    ("two axes more", np.zeros((3, 2, 1), int), V, ("index", "(3, 2, 1)", "(3,)")),
    ("n", [0, 4, 5], V, ("index", "4", "[0, n)", "row 1")),
    ("negative", [3, 0, -1], V, ("index", "[0, n)", "-1", "row 2")),
    ("in the second column", [[0, 1], [1, 7], [-1, 1]], V, ("index", "[0, n)", "7", "row 1")),
    ("beyond int64", np.array([0, 1, 2**64 - 1], np.uint64), V, ("index", str(2**64 - 1), "row 2")),
    ("float", [0.0, 1.0, 2.0], T, ("index", "integers", "float64")),
    ("bool", [True, False, True], T, ("index", "integers", "bool")),
    ("None", None, T, ("index", "integers", "object")),
    ("MaskedArray", np.ma.masked_array([0, 1, 2]), T, ("index", "MaskedArray")),
]
K = [
    ("negative", -1, V, ("k", "[0, n]", "n = 4", "-1")),
    ("n + 1", 5, V, ("k", "[0, n]", "n = 4", "5")),
    ("float", 2.0, T, ("k", "integer", "2.0", "float")),
    ("None", None, T, ("k", "integer", "None")),
    ("one a row", [1, 2, 3], T, ("k", "integer", "list")),
]
REPLACE = [
    ("1", {"replace": 1}, T, ("replace", "True", "False", "1", "int")),
    ("None", {"replace": None}, T, ("replace", "True", "False", "None")),
    ("str", {"replace": "no"}, T, ("replace", "True", "False", "'no'", "str")),
]
ONCE = {"replace": False, "rng": 1}
ONCE_ROWS = [
    ("more draws than categories", X, {"num_samples": 5}, ("row 0", "fewer", "5", "on_invalid")),
    ("in row 2", with_invalid((2, 0), -INF), {"num_samples": 4}, ("row 2", "fewer", "4", "on_invalid")),
    ("NaN before fewer", with_invalid((1, 0), NAN), {"num_samples": 4}, ("row 1", "NaN", "on_invalid")),
    ("NaN and one draw", with_invalid((1, 0), NAN), {}, ("row 1", "NaN", "on_invalid")),
    ("only -inf", with_invalid(1, -INF), {"num_samples": 2}, ("row 1", "-inf", "on_invalid")),
    ("more than top_k keeps", X, {"num_samples": 3, "top_k": [0, 3, 2]}, ("row 2", "fewer", "3")),
    ("two draws of a greedy row", X, {"num_samples": 2, "temperature": [1, 0, 1.0]}, ("row 1", "fewer", "2")),
]
WEIGHTS_ROWS = [
    ("NaN", [[1.0, 2], [1, NAN], [NAN, -1]], {}, ("row 1", "NaN", "on_invalid")),
    ("negative", [[1.0, 2], [1, -0.5]], {}, ("row 1", "negative", "-0.5", "on_invalid")),
    ("negative integer", [[1, -2]], {}, ("row 0", "negative", "-2", "on_invalid")),
    ("infinite", [[1.0, 2], [1, 2], [1, INF]], {}, ("row 2", "infinite", "on_invalid")),
    ("all 0", [[1.0, 2], [0, 0]], {}, ("row 1", "0", "on_invalid")),
    ("fewer than asked for", [[1.0, 2], [1, 0]], {"replace": False, "num_samples": 2}, ("row 1", "fewer", "2")),
    ("no categories", np.empty((3, 0)), {}, ("no categories", "n = 0", "weights")),
]
TABLE = [
    *(Bad(f"logits {name}", OF_LOGITS, (x,), {}, e, says) for name, x, e, says in LOGITS),
    *(Bad(f"weights {name}", WEIGHTS, (x,), {}, e, ("weights", *says[1:])) for name, x, e, says in LOGITS),
    *(Bad(f"temperature {name}", OF_LOGITS, (X, t), {}, e, says) for name, t, e, says in TEMPERATURES),
    *(Bad(name, (*FILTERED, "log_prob"), (X,), options, e, says) for name, options, e, says in FILTERS),
    *(Bad(f"axis {name}", EVERY[:-1], (X,), {"axis": axis}, e, says) for name, axis, e, says in AXES),
    *(Bad(f"out {name}", TWO, (X,), {"out": out}, e, says) for name, out, e, says in OUTS),
    *(Bad(f"workers {name}", EVERY[:-1], (X,), {"workers": n}, e, says) for name, n, e, says in WORKERS),
    *(Bad(f"u {name}", DRAW, (X,), {"u": u}, e, says) for name, u, e, says in U),
    *(Bad(f"rng {name}", DRAW, (X,), {"rng": rng}, e, says) for name, rng, e, says in RNG),
    *(Bad(f"rng {name}", ("uniforms",), (rng, 3), {}, e, says) for name, rng, e, says in RNG),
    *(Bad(name, DRAW, (X,), options, e, says) for name, options, e, says in OTHER),
    *(Bad(f"replace {name}", DRAW, (X,), options, e, says) for name, options, e, says in REPLACE),
    *(Bad(name, ("sample",), (x,), {"rng": 1, **options}, V, says) for name, x, options, says in ROWS),
    *(Bad(name, ("sample",), (x,), {**ONCE, **options}, V, says) for name, x, options, says in ONCE_ROWS),
    *(Bad(name, WEIGHTS, (w,), {"rng": 1, **options}, V, says) for name, w, options, says in WEIGHTS_ROWS),
    *(Bad(f"index {name}", ("log_prob",), (X, index), {}, e, says) for name, index, e, says in INDEX),
    *(Bad(f"k {name}", ("top_log_probs",), (X, k), {}, e, says) for name, k, e, says in K),
    *(Bad(name, ("uniforms",), arguments, options, e, says) for name, arguments, options, e, says in UNIFORMS),
]


def between(bad, function):
    """The same bad call of a function that takes more between logits and temperature."""
    if function not in BETWEEN or bad.functions == (function,):
        return bad
    logits, *rest = bad.arguments
    return bad._replace(arguments=(logits, *BETWEEN[function], *rest))


CALLS = [(between(bad, function), function) for bad in TABLE for function in bad.functions]
