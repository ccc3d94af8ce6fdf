"""Softmax with temperature, and draws from logits: fast on CPUs, exact to 3 ulp, the same bits everywhere."""

from typing import Any as _Any

from . import reference, special
from ._version import __version__
from .probabilities import entropy, log_prob, log_softmax, logsumexp, softmax, support, top_log_probs
from .random import uniforms
from .sampling import sample, sample_weights
from .workers import set_workers

__all__ = [
    "capabilities",
    "entropy",
    "log_prob",
    "log_softmax",
    "logsumexp",
    "reference",
    "sample",
    "sample_weights",
    "set_workers",
    "softmax",
    "special",
    "support",
    "top_log_probs",
    "uniforms",
]


def capabilities() -> dict[str, _Any]:
    """Say what this build can do here, and what it uses.

    Returns
    -------
    dict
        ``version`` (str), ``isa`` (str, the instruction set in use), ``isas`` (tuple of str, those built and supported
        on this CPU) and ``workers`` (int, the current default).

    Examples
    --------
    >>> import tempsoft
    >>> tempsoft.capabilities()["isa"] in tempsoft.capabilities()["isas"]
    True
    """
    from . import _kernels, workers

    return {
        "version": __version__,
        "isa": _kernels.isa(),
        "isas": _kernels.supported_isas(),
        "workers": workers.resolve(None),
    }


def _choose_isa() -> None:
    """The best instruction set this CPU has, or the one that TEMPSOFT_ISA forces."""
    import os

    from . import _kernels

    forced = os.environ.get("TEMPSOFT_ISA")
    if not forced:
        _kernels.set_isa(_kernels.supported_isas()[0])
        return
    try:
        _kernels.set_isa(forced)
    except ValueError as error:
        raise ImportError(f"the environment variable TEMPSOFT_ISA is not usable: {error}") from None


_choose_isa()
