from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])

softmax: np.ufunc
log_softmax: np.ufunc
logsumexp: np.ufunc
entropy: np.ufunc
support: np.ufunc
log_prob: np.ufunc
best: np.ufunc
draw: np.ufunc
draw_with_log_prob: np.ufunc
TEMPERATURE_LAST: int
WITHOUT_REPLACEMENT: int
WEIGHTS: int

def call(
    gufunc: np.ufunc,
    operands: Sequence[np.ndarray],
    out: tuple[np.ndarray, ...],
    signature: str,
    past_cache: int = 0,
    n_threads: int = 1,
) -> None: ...
def know_bfloat16(number: int) -> None: ...
def softmax_direct(
    logits: Any,
    temperature: Any,
    out: Any,
    largest: int,
    n_threads: int = 1,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: Any = False,
) -> np.ndarray | None: ...
def log_softmax_direct(
    logits: Any,
    temperature: Any,
    out: Any,
    largest: int,
    n_threads: int = 1,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: Any = False,
) -> np.ndarray | None: ...
def logsumexp_direct(logits: Any, temperature: Any, largest: int, n_threads: int = 1) -> Any: ...
def direct_first(largest: int) -> Callable[[_Function], _Function]: ...
def set_seed_of(function: Callable[[Any], int]) -> None: ...
def sample_direct(
    logits: np.ndarray,
    temperature: Any,
    top_k: Any,
    top_p: Any,
    min_p: Any,
    temperature_last: Any,
    num_samples: Any,
    rng: Any,
    with_log_probs: bool,
    n_threads: int,
) -> tuple[Any, Any]: ...
def uniforms(seed: int, first_row: int, n_rows: int, first_column: int, n_columns: int) -> np.ndarray: ...
def next_uint64(bit_generator: np.random.BitGenerator) -> int: ...
def help_kernels() -> None: ...
def call_helpers(n: int) -> None: ...
def wait_for_helpers(sharing: Any) -> None: ...
def set_thread_least(n: int) -> int: ...
def forget_team() -> None: ...
def supported_isas() -> tuple[str, ...]: ...
def cache_bytes() -> int: ...
def way_past_cache() -> int: ...
def isa() -> str: ...
def set_isa(name: str) -> None: ...
def calls() -> dict[str, int]: ...
def n_infinite() -> int: ...
def fail_allocations(fail: bool) -> None: ...
