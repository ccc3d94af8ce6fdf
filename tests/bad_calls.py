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


ALL = ("softmax", "log_softmax", "logsumexp", "sample")
TWO = ("softmax", "log_softmax")
DRAW = ("sample",)
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
    ("MaskedArray", np.ma.masked_array(X, X > 3), T, ("logits", "MaskedArray", "filled(-numpy.inf)")),
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
TABLE = [
    *(Bad(f"logits {name}", ALL, (x,), {}, e, says) for name, x, e, says in LOGITS),
    *(Bad(f"temperature {name}", ALL, (X, t), {}, e, says) for name, t, e, says in TEMPERATURES),
    *(Bad(f"axis {name}", ALL, (X,), {"axis": axis}, e, says) for name, axis, e, says in AXES),
    *(Bad(f"out {name}", TWO, (X,), {"out": out}, e, says) for name, out, e, says in OUTS),
    *(Bad(f"workers {name}", ALL, (X,), {"workers": n}, e, says) for name, n, e, says in WORKERS),
    *(Bad(f"u {name}", DRAW, (X,), {"u": u}, e, says) for name, u, e, says in U),
    *(Bad(f"rng {name}", DRAW, (X,), {"rng": rng}, e, says) for name, rng, e, says in RNG),
    *(Bad(f"rng {name}", ("uniforms",), (rng, 3), {}, e, says) for name, rng, e, says in RNG),
    *(Bad(name, DRAW, (X,), options, e, says) for name, options, e, says in OTHER),
    *(Bad(name, DRAW, (x,), {"rng": 1, **options}, V, says) for name, x, options, says in ROWS),
    *(Bad(name, ("uniforms",), arguments, options, e, says) for name, arguments, options, e, says in UNIFORMS),
]
CALLS = [(bad, function) for bad in TABLE for function in bad.functions]
