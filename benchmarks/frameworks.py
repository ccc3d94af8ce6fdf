"""Peers that come with a framework: torch, the samplers of transformers, onnxruntime, JAX.

Each is called as its users would call it at its best: on a tensor that is ready, into ready memory where it takes any,
on as many threads as it is told. For what a class has to say of itself see implementations.py.
"""

from __future__ import annotations

import functools
import os
from functools import partial
from typing import Any

import numpy as np

from .cases import (
    ENTROPY,
    LOG_PROB,
    LOG_SOFTMAX,
    LOGSUMEXP,
    MAPS,
    SAMPLE,
    SAMPLE_WEIGHTS,
    SOFTMAX,
    SUPPORT,
    TOP_LOG_PROBS,
    Case,
)
from .implementations import Implementation, Task
from .peers import is_support_of_top_p, temperature_along_rows


class Torch(Implementation):
    """torch on a ready tensor; draws by softmax, then multinomial; after top-k from the k best alone; the k best
    without their logarithm of a sum.
    """

    name = "torch"
    packages = ("torch",)

    def does(self, function: str, case: Case) -> bool:
        if case.filters:
            is_top_k = [name for name, _ in case.filters] == ["top_k"]
            return (function == SAMPLE and is_top_k and case.temperature == 1.0) or is_support_of_top_p(function, case)
        return function in (*MAPS, LOGSUMEXP) or (case.axis == -1 and len(case.shape) <= 2)

    def uses(self, threads: int) -> int:
        return threads

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(case.seed)
        logits, temperature = _tensor(case.logits()), temperature_along_rows(case)
        if isinstance(temperature, np.ndarray):
            temperature = _tensor(temperature)
        n_draws = case.n_draws

        def tempered() -> Any:
            return logits if temperature is None else logits / temperature

        def sample() -> Any:
            return torch.multinomial(torch.softmax(tempered(), -1), n_draws, replacement=case.replace)

        def sample_of_best() -> Any:
            values, indices = torch.topk(logits, dict(case.filters)["top_k"], -1)
            return indices.gather(-1, torch.multinomial(torch.softmax(values, -1), n_draws, replacement=True))

        def log_prob() -> Any:
            return torch.log_softmax(tempered(), case.axis).gather(case.axis, chosen).squeeze(case.axis)

        def entropy() -> Any:
            log_p = torch.log_softmax(tempered(), case.axis)
            return -(log_p.exp() * log_p).sum(case.axis)

        def support() -> Any:
            cumulative = torch.softmax(tempered(), -1).sort(-1, descending=True).values.cumsum(-1)
            number = (cumulative < dict(case.filters)["top_p"]).sum(-1) + 1
            return number, cumulative.gather(-1, number[..., None] - 1)[..., 0]

        if function in (*MAPS, LOGSUMEXP):
            arguments = {"out": _tensor(case.output())} if function in MAPS and case.ready_output else {}
            call = getattr(torch, function)
            if temperature is None:
                return Task(partial(call, logits, case.axis, **arguments), _array)
            return Task(lambda: call(logits / temperature, case.axis, **arguments), _array)
        if function == LOG_PROB:
            chosen = torch.from_numpy(np.expand_dims(case.chosen(), case.axis))
            return Task(log_prob, _array)
        if function == TOP_LOG_PROBS:
            return Task(partial(torch.topk, logits, case.n_best, -1), partial(_best, logits))
        if function == SAMPLE_WEIGHTS:
            return Task(partial(torch.multinomial, logits, n_draws, replacement=True), _array)
        if function == SUPPORT:
            return Task(support, lambda pair: tuple(map(_array, pair)))
        return Task({SAMPLE: sample_of_best if case.filters else sample, ENTROPY: entropy}[function], _array)


class Transformers(Implementation):
    """A chain of the warpers of `transformers`, as its `generate` runs it, then softmax and multinomial of torch."""

    name = "transformers"
    packages = ("transformers", "torch")

    def does(self, function: str, case: Case) -> bool:
        return function == SAMPLE and bool(case.filters) and case.axis == -1 and not case.has_temperature_per_row

    def uses(self, threads: int) -> int:
        return threads

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        import torch
        from transformers.generation import logits_process

        torch.set_num_threads(threads)
        torch.manual_seed(case.seed)
        logits = _tensor(case.logits())
        warpers = {
            "top_k": logits_process.TopKLogitsWarper,
            "top_p": logits_process.TopPLogitsWarper,
            "min_p": logits_process.MinPLogitsWarper,
        }
        chain = [warpers[name](value) for name, value in case.filters]
        if case.temperature != 1.0:
            chain.insert(0, logits_process.TemperatureLogitsWarper(case.temperature))

        def sample() -> Any:
            scores = logits
            for warper in chain:
                scores = warper(None, scores)
            return torch.multinomial(torch.softmax(scores, -1), case.n_draws, replacement=True)

        return Task(sample, _array)


_ONNX_OPERATORS = {SOFTMAX: "Softmax", LOG_SOFTMAX: "LogSoftmax"}


class Onnxruntime(Implementation):
    """onnxruntime on a model of one operator, its input and output bound to ready buffers, where these are ready."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")

    def does(self, function: str, case: Case) -> bool:
        return function in _ONNX_OPERATORS and case.dtype in ("float32", "float64") and case.temperature == 1.0

    def uses(self, threads: int) -> int:
        return threads

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        model = _onnx_model(_ONNX_OPERATORS[function], case)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        logits, out = case.logits(), case.output()
        if out is None:
            return Task(partial(session.run, None, {"logits": logits}), lambda results: results[0])
        binding = session.io_binding()
        binding.bind_input("logits", "cpu", 0, logits.dtype.type, case.shape, logits.ctypes.data)
        binding.bind_output("result", "cpu", 0, out.dtype.type, case.shape, out.ctypes.data)
        buffers = (logits, out)  # the binding holds their addresses, not them
        return Task(partial(session.run_with_iobinding, binding), lambda _: buffers[1])


class Jax(Implementation):
    """JAX, compiled, waited for. Its results are new arrays always; each draw takes the next key."""

    name = "jax"
    packages = ("jax",)

    def does(self, function: str, case: Case) -> bool:
        if case.filters or case.has_temperature_per_row:
            return False
        # its draws make a random number for each draw and category
        return function in (*MAPS, LOGSUMEXP, TOP_LOG_PROBS) or (function == SAMPLE and case.num_samples is None)

    def uses(self, threads: int) -> int:
        return threads

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        jax = _jax_on(threads)
        logits, axis, temperature = jax.device_put(case.logits()), case.axis, case.temperature

        def tempered(x: Any) -> Any:
            return x if temperature == 1.0 else x / temperature

        def draw(key: Any, x: Any) -> Any:
            key, of_this_call = jax.random.split(key)
            return key, jax.random.categorical(of_this_call, tempered(x), axis)

        def best(x: Any) -> Any:
            values, indices = jax.lax.top_k(x, case.n_best)
            return values - jax.nn.logsumexp(x, axis)[..., None], indices

        if function == SAMPLE:
            state, compiled = [jax.random.key(case.seed)], jax.jit(draw)

            def sample() -> Any:
                state[0], indices = compiled(state[0], logits)
                return indices.block_until_ready()

            return Task(sample, lambda result: np.asarray(result).astype(np.int64))
        if function == TOP_LOG_PROBS:
            call = jax.jit(best)
            return Task(
                lambda: jax.block_until_ready(call(logits)), lambda results: tuple(np.asarray(each) for each in results)
            )
        call = jax.jit(lambda x: getattr(jax.nn, function)(tempered(x), axis))
        return Task(lambda: call(logits).block_until_ready())


def _jax_on(threads: int) -> Any:
    """JAX with a new client of so many threads: it takes their number from the environment, when a client is made."""
    import jax
    from jax.extend.backend import clear_backends

    jax.config.update("jax_enable_x64", True)
    if os.environ.get("NPROC") != str(threads):
        os.environ["NPROC"] = str(threads)
        clear_backends()
    return jax


def _tensor(array: Any) -> Any:
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


def _best(logits: Any, result: Any) -> tuple[np.ndarray, np.ndarray]:
    """From logits to log-probabilities, when they are checked."""
    values, indices = result
    return _array(values - logits.double().logsumexp(-1, keepdim=True)), _array(indices)


@functools.cache
def _onnx_model(operator: str, case: Case) -> bytes:
    from onnx import TensorProto, helper

    number = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[case.dtype]
    ends = [helper.make_tensor_value_info(name, number, case.shape) for name in ("logits", "result")]
    node = helper.make_node(operator, ["logits"], ["result"], axis=case.axis)
    graph = helper.make_graph([node], operator, ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()
