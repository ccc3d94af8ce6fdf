"""The table of all implementations, in the order in which they take turns."""

from __future__ import annotations

from .ceilings import CopyNontemporal, NumpyCopyto, ReadOnly
from .frameworks import Jax, Onnxruntime, Torch, Transformers
from .implementations import ONE_WORKER, OURS, PEER, PLAIN_DRAW, REFERENCE, TEMPSOFT, Implementation
from .peers import GeneratorChoice, Numba, NumpyExpression, Scipy

SPECIAL = Scipy("special", "tempsoft.special", (), OURS, ulps=TEMPSOFT.ulps)
SCIPY = Scipy("scipy", "scipy.special", ("scipy",), PEER, ulps=Implementation.ulps)
IMPLEMENTATIONS: tuple[Implementation, ...] = (
    TEMPSOFT, ONE_WORKER, PLAIN_DRAW, SPECIAL, REFERENCE,
    NumpyExpression(), GeneratorChoice(), SCIPY, Numba(), Torch(), Transformers(), Onnxruntime(), Jax(),
    ReadOnly(), CopyNontemporal(), NumpyCopyto(),
)  # fmt: skip
BY_NAME = {implementation.name: implementation for implementation in IMPLEMENTATIONS}
