"""What tempsoft aims at: how long it may take beside others, measured in turns. Never a test: a busy machine is no
regression.
"""

from __future__ import annotations

from typing import NamedTuple

from .cases import LOGSUMEXP, SAMPLE, SAMPLE_WEIGHTS, SOFTMAX, TOP_LOG_PROBS

EVERY_PEER = "every_peer"


class Target(NamedTuple):
    """Our time is to be at most `limit` times the other's, on one thread or, if `shared`, on all."""

    function: str
    case: str
    other: str
    limit: float
    shared: bool = False
    ours: str = "tempsoft"


def _of(function: str, case: str, *, shared: bool = False, **limits: float) -> tuple[Target, ...]:
    return tuple(Target(function, case, other, limit, shared) for other, limit in limits.items())


TARGETS: tuple[Target, ...] = (
    *_of(SOFTMAX, "four_logits", torch=0.5, numpy_expression=0.1, scipy=0.06),
    *_of(SAMPLE, "four_logits", generator_choice=0.2),
    *_of(SOFTMAX, "classifier", onnxruntime=0.75, torch=0.38, scipy=0.19, reference=0.2, copy_nontemporal=1.45),
    *_of(SOFTMAX, "classifier_float64", torch=0.6, scipy=0.35),
    *_of(SOFTMAX, "classifier_float16", torch=0.5, scipy=0.05),
    *_of(SOFTMAX, "evaluation_set", onnxruntime=0.45, scipy=0.08, numpy_copyto=1.0, copy_nontemporal=1.4),
    *_of(SOFTMAX, "digits", onnxruntime=0.3, scipy=0.05, torch=0.03, copy_nontemporal=2.5),
    *_of(SOFTMAX, "discrete_choice", every_peer=0.5, copy_nontemporal=2.5),
    *_of(SOFTMAX, "hundred_labels", every_peer=0.5, copy_nontemporal=1.7),
    *_of(SOFTMAX, "pixel_classes", every_peer=0.15, copy_nontemporal=2.0),
    *_of(SAMPLE, "digits", torch=1 / 40, numpy_expression=1 / 15, read_only=8.0),
    *_of(SAMPLE, "language_model_step", reference=0.05, torch=1 / 20, numpy_expression=1 / 10),
    # filters beside the plain draw of the same rows, and beside others
    *_of(SAMPLE, "decoding_top_k", plain_draw=1.3, transformers=1 / 50),
    *_of(SAMPLE, "decoding_min_p", plain_draw=1.3, transformers=1 / 50),
    *_of(SAMPLE, "decoding_top_p", plain_draw=1.4, transformers=1 / 50),
    *_of(SAMPLE, "decoding_top_p_flat", plain_draw=3.0, transformers=1 / 50),
    *_of(TOP_LOG_PROBS, "alternatives", torch=1 / 3),
    *_of(SAMPLE, "monte_carlo", generator_choice=1 / 3, torch=1 / 3),
    *_of(SAMPLE_WEIGHTS, "mixture_components", numpy_expression=1 / 5),
    # a change of one import
    *(
        Target(function, case, "scipy", limit, ours="special")
        for case, limit_of_sums in (("four_logits", 0.2), ("one_row", 0.2), ("classifier", 0.1), ("long_row", 0.1))
        for function, limit in ((SOFTMAX, 0.2), (LOGSUMEXP, limit_of_sums))
    ),
    # all threads
    *_of(SOFTMAX, "evaluation_set", shared=True, onnxruntime=0.9, numpy_copyto=1.0, copy_nontemporal=1.4),
    *_of(SOFTMAX, "language_model_step", shared=True, onnxruntime=0.9, numpy_copyto=1.0, copy_nontemporal=1.4),
    *_of(SOFTMAX, "inference_service", shared=True, one_worker=1 / 1.5),
    *_of(LOGSUMEXP, "language_model_step", shared=True, jax=0.25, torch=0.1, scipy=0.05, read_only=1.2),
    *_of(SAMPLE, "language_model_step", shared=True, torch=1 / 100, jax=1 / 100, numpy_expression=1 / 30),
    *_of(SAMPLE, "language_model_step", shared=True, read_only=1.25),
)


def of(function: str, case: str, threads: int) -> list[Target]:
    """The targets of a function on a case, with so many threads."""
    return [each for each in TARGETS if (each.function, each.case, each.shared) == (function, case, threads > 1)]
