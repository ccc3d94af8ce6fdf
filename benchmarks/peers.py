"""The peers that users have today, each in one small class, and the table of all implementations.

Each is called as its users would call it at its best: on input of its own type, into ready memory where it takes any,
on one thread. For what a class has to say of itself see implementations.py.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import numpy as np

import tempsoft

from .cases import LOG_SOFTMAX, LOGSUMEXP, SAMPLE, SOFTMAX, Case
from .implementations import MEMORY, REFERENCE, TEMPSOFT, Implementation, Task


class NumpyExpression(Implementation):
    """What people write by hand: subtract the maximum, exp, divide; for draws compare a cumulative sum with a uniform
    number. In the dtype of the logits.
    """

    name = "numpy_expression"

    def does(self, function: str, case: Case) -> bool:
        # ml_dtypes sums in bfloat16: over 1000 categories that is no softmax
        return case.num_samples is None and case.dtype != "bfloat16"

    def task(self, function: str, case: Case) -> Task:
        logits, axis, temperature = case.logits(), case.axis, _temperature_along_rows(case)
        rng = np.random.default_rng(case.seed)

        def tempered() -> np.ndarray:
            return logits if temperature is None else logits / temperature

        def softmax() -> np.ndarray:
            x = tempered()
            weights = np.exp(x - x.max(axis, keepdims=True))
            return weights / weights.sum(axis, keepdims=True)

        def log_softmax() -> np.ndarray:
            x = tempered()
            x = x - x.max(axis, keepdims=True)
            return x - np.log(np.exp(x).sum(axis, keepdims=True))

        def logsumexp() -> np.ndarray:
            x = tempered()
            largest = x.max(axis, keepdims=True)
            return np.log(np.exp(x - largest).sum(axis)) + largest.squeeze(axis)

        def sample() -> np.ndarray:
            x = tempered()
            cumulative = np.cumsum(np.exp(x - x.max(axis, keepdims=True)), axis)
            thresholds = rng.random((*case.batch_shape, 1)) * cumulative[..., -1:]
            return (cumulative > thresholds.astype(logits.dtype)).argmax(axis)

        numbers = np.random.default_rng(case.seed).random((case.n_rows, 1)) if function == SAMPLE else None
        runs = {SOFTMAX: softmax, LOG_SOFTMAX: log_softmax, LOGSUMEXP: logsumexp, SAMPLE: sample}
        return Task(runs[function], numbers=numbers)


class Scipy(Implementation):
    """The functions of `scipy.special`, or of the module that stands in for it."""

    def __init__(self, name: str, module: str, packages: tuple[str, ...], ulps: float) -> None:
        self.name, self.packages, self.ulps = name, packages, ulps
        self._module = module

    def does(self, function: str, case: Case) -> bool:
        # SciPy sums float16 in float16, and is not made for bfloat16
        return function != SAMPLE and case.temperature == 1.0 and case.dtype in ("float32", "float64")

    def task(self, function: str, case: Case) -> Task:
        call = getattr(importlib.import_module(self._module), function)
        return Task(partial(call, case.logits(), axis=case.axis))


class GeneratorChoice(Implementation):
    """``Generator.choice(n, p=p)`` of NumPy, with the probabilities ready in float64."""

    name = "generator_choice"

    def does(self, function: str, case: Case) -> bool:
        return function == SAMPLE and len(case.shape) == 1

    def task(self, function: str, case: Case) -> Task:
        p = tempsoft.reference.softmax(case.logits().astype(np.float64), case.temperatures())
        size = {} if case.num_samples is None else {"size": case.num_samples}
        return Task(partial(np.random.default_rng(case.seed).choice, case.n_categories, p=p, **size))


class Torch(Implementation):
    """torch on a ready tensor; draws by softmax, then multinomial."""

    name = "torch"
    packages = ("torch",)

    def does(self, function: str, case: Case) -> bool:
        return function != SAMPLE or (case.axis == -1 and len(case.shape) <= 2)

    def task(self, function: str, case: Case) -> Task:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(case.seed)
        logits, temperature = _tensor(case.logits()), _temperature_along_rows(case)
        if isinstance(temperature, np.ndarray):
            temperature = _tensor(temperature)
        arguments: dict[str, Any] = {}
        if function in (SOFTMAX, LOG_SOFTMAX) and case.output() is not None:
            arguments["out"] = _tensor(case.output())
        call = getattr(torch, SOFTMAX if function == SAMPLE else function)

        def sample() -> Any:
            x = logits if temperature is None else logits / temperature
            return torch.multinomial(torch.softmax(x, -1), case.n_draws, replacement=True)

        def tempered() -> Any:
            return call(logits / temperature, case.axis, **arguments)

        if function == SAMPLE:
            return Task(sample, _array)
        return Task(partial(call, logits, case.axis, **arguments) if temperature is None else tempered, _array)


_ONNX_OPERATORS = {SOFTMAX: "Softmax", LOG_SOFTMAX: "LogSoftmax"}


class Onnxruntime(Implementation):
    """onnxruntime on a model of one operator, its input and output bound to ready buffers."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")

    def does(self, function: str, case: Case) -> bool:
        return function in _ONNX_OPERATORS and case.dtype in ("float32", "float64") and case.temperature == 1.0

    def task(self, function: str, case: Case) -> Task:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = _onnx_model(_ONNX_OPERATORS[function], case)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        logits, out = case.logits(), case.output()
        if out is None:
            out = np.empty(case.shape, case.number_type)
        binding = session.io_binding()
        binding.bind_input("logits", "cpu", 0, logits.dtype.type, case.shape, logits.ctypes.data)
        binding.bind_output("result", "cpu", 0, out.dtype.type, case.shape, out.ctypes.data)
        buffers = (logits, out)  # the binding holds their addresses, not them
        return Task(partial(session.run_with_iobinding, binding), lambda _: buffers[1])


def _temperature_along_rows(case: Case) -> float | np.ndarray | None:
    """None for 1, a number, or an array of the logits' dtype that broadcasts with them."""
    if not case.has_temperature_per_row:
        return None if case.temperature == 1.0 else case.temperature
    return np.expand_dims(case.temperatures(), case.axis).astype(case.number_type)


def _tensor(array: np.ndarray) -> Any:
    """A tensor on the same memory."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _array(tensor: Any) -> np.ndarray:
    """An array on the same memory."""
    import torch

    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _onnx_model(operator: str, case: Case) -> bytes:
    from onnx import TensorProto, helper

    number = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[case.dtype]
    ends = [helper.make_tensor_value_info(name, number, case.shape) for name in ("logits", "result")]
    node = helper.make_node(operator, ["logits"], ["result"], axis=case.axis)
    graph = helper.make_graph([node], operator, ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()


SPECIAL = Scipy("special", "tempsoft.special", (), ulps=TEMPSOFT.ulps)
SCIPY = Scipy("scipy", "scipy.special", ("scipy",), ulps=Implementation.ulps)
IMPLEMENTATIONS = (
    TEMPSOFT, SPECIAL, REFERENCE, NumpyExpression(), SCIPY, GeneratorChoice(), Torch(), Onnxruntime(), MEMORY,
)  # fmt: skip
BY_NAME = {implementation.name: implementation for implementation in IMPLEMENTATIONS}
