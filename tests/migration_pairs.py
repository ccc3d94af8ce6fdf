"""Lines that users have today, and the lines in their place: what docs/migrating.md shows, test_migrating.py executes.

``python tests/migration_pairs.py`` writes them into the page, between its markers. The lines are expressions, or
statements and one at the end; their names are those of BASE and of the library's setup, which the page shows as well.
"""

from __future__ import annotations

import pathlib
import re
import textwrap
from typing import NamedTuple

from migration_facts import FACTS

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "migrating.md"

BASE = """\
import numpy as np
import tempsoft

x = np.random.default_rng(0).normal(0, 2, (4, 6)).astype(np.float32)  # logits: 4 rows of 6 categories
w = np.random.default_rng(1).random((4, 6)).astype(np.float32)  # weights
y = np.array([3, 0, 5, 5])  # a category for each row
t, k, p, m = 0.7, 3, 0.9, 0.1  # temperature, top_k, top_p, min_p
n, seed = 8, 7
"""


class Library(NamedTuple):
    """`needs` are the modules without which its lines cannot run."""

    needs: tuple[str, ...]
    setup: str


class Pair(NamedTuple):
    """`old` and `new` give equal integers, or floats of one dtype that are close.

    Where `draws` is set they are random, and `law` is the distribution of both: an expression for the probabilities.
    `draws` says where many come from: "rows", every row of `x` and `w` being the first; "n", the number of draws being
    large; "seeds", the lines being executed with one seed after another.
    """

    library: str
    old: str
    new: str
    differs: str = ""
    draws: str = ""
    law: str = ""


LIBRARIES = {
    "SciPy": Library(("scipy",), "import scipy"),
    "NumPy": Library(
        (),
        "rng = np.random.default_rng(seed)\n"
        "q = np.exp(x[0], dtype=float) / np.exp(x[0], dtype=float).sum()  # probabilities of a row",
    ),
    "torch": Library(
        ("torch",),
        "import torch\n"
        "from torch.distributions import Categorical\n"
        "from torch.nn import functional\n\n"
        "xt, wt, yt = torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(y)\n"
        "generator = torch.manual_seed(seed)",
    ),
    "JAX": Library(
        ("jax",),
        "import jax\n"
        "import jax.numpy as jnp\n\n"
        "xj, yj, key = jnp.asarray(x), jnp.asarray(y), jax.random.key(seed)\n"
        "mask = np.array([True, True, False, True, False, True])",
    ),
    "TensorFlow": Library(("tensorflow",), "import tensorflow as tf\n\nxf, yf = tf.constant(x), tf.constant(y)"),
    "Transformers": Library(
        ("torch", "transformers"),
        "import torch\n"
        "import transformers as hf\n\n"
        "xt, generator = torch.from_numpy(x), torch.manual_seed(seed)\n"
        "warpers = [hf.TemperatureLogitsWarper(t), hf.TopKLogitsWarper(k), hf.TopPLogitsWarper(p)]\n"
        "chain = hf.LogitsProcessorList([*warpers, hf.MinPLogitsWarper(m)])",
    ),
    "vLLM": Library(
        ("torch", "vllm"),
        "import torch\n"
        "from vllm import SamplingParams\n"
        "from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch\n\n"
        "xt, params = torch.from_numpy(x), SamplingParams(temperature=t, top_k=k, top_p=p)\n"
        "k_of_rows, p_of_rows = torch.full((len(x),), params.top_k), torch.full((len(x),), params.top_p)",
    ),
    "llama.cpp": Library(
        ("llama_cpp",),
        "import ctypes\n"
        "import llama_cpp\n\n"
        "samplers = [  # in the default order of llama.cpp\n"
        "    llama_cpp.llama_sampler_init_top_k(k),\n"
        "    llama_cpp.llama_sampler_init_top_p(p, 1),\n"
        "    llama_cpp.llama_sampler_init_min_p(m, 1),\n"
        "    llama_cpp.llama_sampler_init_temp(t),\n"
        "    llama_cpp.llama_sampler_init_dist(seed),\n"
        "]\n\n\n"
        "def decode(row):  # (probabilities, token) that these make of logits\n"
        "    triples = ((i, logit, 0) for i, logit in enumerate(row.tolist()))\n"
        "    tokens = (llama_cpp.llama_token_data * len(row))(*triples)\n"
        "    left = llama_cpp.llama_token_data_array(tokens, len(row), -1, False)\n"
        "    for sampler in samplers:\n"
        "        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(left))\n"
        "    probabilities = np.zeros_like(row)\n"
        "    for token in left.data[: left.size]:\n"
        "        probabilities[token.id] = token.p\n"
        "    return probabilities, left.data[left.selected].id",
    ),
    "scikit-learn": Library(
        ("sklearn",),
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.metrics import log_loss\n"
        "from sklearn.utils import extmath\n\n"
        "features = np.random.default_rng(1).normal(size=(200, 3))\n"
        "labels = np.arange(200) % 4\n"
        "model = LogisticRegression().fit(features, labels)  # four classes\n"
        "binary = LogisticRegression().fit(features, labels % 2)  # two",
    ),
}

ROW = "softmax(x[0])"
TEMPERED = "softmax(x[0] / t)"
WEIGHTS = "w[0] / w[0].sum()"

PAIRS = [
    # ---- SciPy
    Pair("SciPy", "scipy.special.softmax(x)", "tempsoft.special.softmax(x)", "the import alone: all axes are summed"),
    Pair("SciPy", "scipy.special.softmax(x, axis=1)", "tempsoft.softmax(x)", "here the last axis is the default"),
    Pair("SciPy", "scipy.special.softmax(x / t, axis=1)", "tempsoft.softmax(x, t)", "the division is not rounded"),
    Pair("SciPy", "scipy.special.log_softmax(x, axis=0)", "tempsoft.log_softmax(x, axis=0)"),
    Pair("SciPy", "scipy.special.logsumexp(x)", "tempsoft.special.logsumexp(x)", "the import alone"),
    Pair("SciPy", "scipy.special.logsumexp(x / t, axis=1)", "tempsoft.logsumexp(x, t)", "the default axis"),
    Pair(
        "SciPy",
        "scipy.special.logsumexp(x, b=w, axis=1)",
        "tempsoft.special.logsumexp(x, b=w, axis=1)",
        "the import alone; SciPy computes it",
    ),
    Pair(
        "SciPy",
        "scipy.stats.entropy(scipy.special.softmax(x, axis=1), axis=1)",
        "tempsoft.entropy(x)",
        "takes logits; in nats as well",
    ),
    # ---- NumPy
    Pair("NumPy", "np.exp(x) / np.exp(x).sum(-1, keepdims=True)", "tempsoft.softmax(x)", "cannot overflow"),
    Pair("NumPy", "e = np.exp(x - x.max(-1, keepdims=True)); e / e.sum(-1, keepdims=True)", "tempsoft.softmax(x)"),
    Pair("NumPy", "np.log(np.exp(x / t).sum(-1))", "tempsoft.logsumexp(x, t)", "cannot overflow"),
    Pair("NumPy", "x.argmax(-1)", "tempsoft.sample(x, 0)", "the first of equals, here too"),
    Pair("NumPy", "np.argsort(-x, kind='stable')[:, :k]", "tempsoft.top_log_probs(x, k)[1]", "nothing is sorted"),
    Pair(
        "NumPy",
        "np.random.default_rng(seed).choice(6, p=q)",
        "tempsoft.sample(x[0], u=np.random.default_rng(seed).random())",
        "the same draws; `rng=seed` has its own",
    ),
    Pair(
        "NumPy",
        "np.random.default_rng(seed).choice(6, size=n, p=q)",
        "tempsoft.sample(x[0], num_samples=n, u=np.random.default_rng(seed).random(n))",
        "the same draws",
    ),
    Pair(
        "NumPy",
        "np.random.default_rng(seed).choice(6, size=3, replace=False, p=q)",
        "tempsoft.sample(x[0], num_samples=3, replace=False, rng=seed)",
        "other draws of the same law",
        "seeds",
        ROW,
    ),
    Pair(
        "NumPy",
        "np.random.default_rng(seed).choice(6, p=w[0] / w[0].sum())",
        "tempsoft.sample_weights(w[0], u=np.random.default_rng(seed).random())",
        "the same draws; weights need not sum to 1",
    ),
    Pair(
        "NumPy",
        "c = q.cumsum(); np.searchsorted(c / c[-1], np.random.default_rng(seed).random(n), side='right')",
        "tempsoft.sample(x[0], num_samples=n, u=np.random.default_rng(seed).random(n))",
        "the same draws; many rows at once",
    ),
    Pair(
        "NumPy",
        "(x / t + rng.gumbel(size=x.shape)).argmax(-1)",
        "tempsoft.sample(x, t, rng=seed)",
        "one uniform number a draw, not one a category",
        "rows",
        TEMPERED,
    ),
    # ---- torch
    Pair("torch", "torch.softmax(xt / t, dim=-1)", "tempsoft.softmax(x, t)", "the last axis is the default"),
    Pair("torch", "functional.log_softmax(xt, dim=-1)", "tempsoft.log_softmax(x)"),
    Pair("torch", "torch.logsumexp(xt, dim=-1)", "tempsoft.logsumexp(x)", "float32 of half logits"),
    Pair("torch", "functional.cross_entropy(xt, yt)", "-tempsoft.log_prob(x, y).mean()"),
    Pair(
        "torch",
        "torch.topk(torch.log_softmax(xt, -1), k)",
        "tempsoft.top_log_probs(x, k)",
        "ties in the order of the indices",
    ),
    Pair(
        "torch",
        "torch.multinomial(torch.softmax(xt / t, -1), 1, generator=generator)",
        "tempsoft.sample(x, t, num_samples=1, rng=seed)",
        "other draws; without `num_samples` there is no last axis",
        "rows",
        TEMPERED,
    ),
    Pair(
        "torch",
        "torch.multinomial(torch.softmax(xt, -1), 3, generator=generator)",
        "tempsoft.sample(x, num_samples=3, replace=False, rng=seed)",
        "`replace` is True by default",
        "rows",
        ROW,
    ),
    Pair(
        "torch",
        "torch.multinomial(wt, 1, generator=generator)[:, 0]",
        "tempsoft.sample_weights(w, rng=seed)",
        "other draws",
        "rows",
        WEIGHTS,
    ),
    Pair(
        "torch",
        "Categorical(logits=xt / t).sample()",
        "tempsoft.sample(x, t, rng=seed)",
        "other draws",
        "rows",
        TEMPERED,
    ),
    Pair("torch", "Categorical(logits=xt).log_prob(yt)", "tempsoft.log_prob(x, y)"),
    Pair("torch", "Categorical(logits=xt).entropy()", "tempsoft.entropy(x)"),
    Pair("torch", "Categorical(logits=xt).probs", "tempsoft.softmax(x)"),
    # ---- JAX
    Pair("JAX", "jax.nn.softmax(xj / t)", "tempsoft.softmax(x, t)", "the same default axis"),
    Pair("JAX", "jax.nn.softmax(xj, where=mask)", "tempsoft.softmax(np.where(mask, x, -np.inf))", "a mask is -inf"),
    Pair("JAX", "jax.nn.log_softmax(xj, axis=0)", "tempsoft.log_softmax(x, axis=0)"),
    Pair("JAX", "jax.nn.logsumexp(xj, axis=-1)", "tempsoft.logsumexp(x)", "there all axes are the default"),
    Pair("JAX", "jax.lax.top_k(jax.nn.log_softmax(xj), k)", "tempsoft.top_log_probs(x, k)", "indices are int64"),
    Pair(
        "JAX",
        "jax.random.categorical(key, xj / t)",
        "tempsoft.sample(x, t, rng=seed)",
        "other draws; int64",
        "rows",
        TEMPERED,
    ),
    Pair(
        "JAX",
        "jax.random.categorical(key, xj, shape=(3, len(x)), replace=False).T",
        "tempsoft.sample(x, num_samples=3, replace=False, rng=seed)",
        "draws are the last axis",
        "rows",
        ROW,
    ),
    Pair(
        "JAX",
        "jax.random.choice(key, 6, (n,), p=jax.nn.softmax(xj[0]))",
        "tempsoft.sample(x[0], num_samples=n, rng=seed)",
        "other draws; of many rows at once",
        "n",
        ROW,
    ),
    # ---- TensorFlow
    Pair("TensorFlow", "tf.nn.softmax(xf / t)", "tempsoft.softmax(x, t)", "the same default axis"),
    Pair("TensorFlow", "tf.nn.log_softmax(xf, axis=0)", "tempsoft.log_softmax(x, axis=0)"),
    Pair("TensorFlow", "tf.reduce_logsumexp(xf, axis=-1)", "tempsoft.logsumexp(x)", "there all axes are the default"),
    Pair("TensorFlow", "tf.nn.sparse_softmax_cross_entropy_with_logits(yf, xf)", "-tempsoft.log_prob(x, y)"),
    Pair("TensorFlow", "tf.math.top_k(tf.nn.log_softmax(xf), k)", "tempsoft.top_log_probs(x, k)", "indices are int64"),
    Pair(
        "TensorFlow",
        "tf.random.categorical(xf / t, 1, seed=seed)",
        "tempsoft.sample(x, t, num_samples=1, rng=seed)",
        "other draws; any number of axes",
        "rows",
        TEMPERED,
    ),
    # ---- Transformers
    Pair("Transformers", "hf.TemperatureLogitsWarper(t)(None, xt).softmax(-1)", "tempsoft.softmax(x, t)"),
    Pair(
        "Transformers",
        "hf.TopKLogitsWarper(k)(None, xt).softmax(-1)",
        "tempsoft.softmax(x, top_k=k)",
        "there all that equal the kth stay",
    ),
    Pair(
        "Transformers", "hf.TopPLogitsWarper(p)(None, xt).softmax(-1)", "tempsoft.softmax(x, top_p=p)", "order of ties"
    ),
    Pair("Transformers", "hf.MinPLogitsWarper(m)(None, xt).softmax(-1)", "tempsoft.softmax(x, min_p=m)"),
    Pair("Transformers", "chain(None, xt).log_softmax(-1)", "tempsoft.log_softmax(x, t, top_k=k, top_p=p, min_p=m)"),
    Pair(
        "Transformers",
        "torch.multinomial(chain(None, xt).softmax(-1), 1, generator=generator)[:, 0]",
        "tempsoft.sample(x, t, top_k=k, top_p=p, min_p=m, rng=seed)",
        "other draws: `generate(do_sample=True)` does this",
        "rows",
        "tempsoft.reference.softmax(x[0].astype(float), t, top_k=k, top_p=p, min_p=m)",
    ),
    # ---- vLLM
    Pair(
        "vLLM",
        "apply_top_k_top_p_pytorch(xt / params.temperature, k_of_rows, p_of_rows).softmax(-1)",
        "tempsoft.softmax(x, t, top_k=k, top_p=p)",
        "ties, by the code that runs",
    ),
    # ---- llama.cpp
    Pair(
        "llama.cpp",
        "np.array([decode(row)[0] for row in x])",
        "tempsoft.softmax(x, t, top_k=k, top_p=p, min_p=m, temperature_last=True)",
        "ties in the order of its sort",
    ),
    Pair(
        "llama.cpp",
        "np.array([decode(row)[1] for row in x])",
        "tempsoft.sample(x, t, top_k=k, top_p=p, min_p=m, temperature_last=True, rng=seed)",
        "other draws",
        "rows",
        "tempsoft.reference.softmax(x[0].astype(float), t, top_k=k, top_p=p, min_p=m, temperature_last=True)",
    ),
    # ---- scikit-learn
    Pair("scikit-learn", "extmath.softmax(x)", "tempsoft.softmax(x)", "any number of axes"),
    Pair("scikit-learn", "model.predict_proba(features)", "tempsoft.softmax(model.decision_function(features))"),
    Pair(
        "scikit-learn",
        "model.predict_log_proba(features)",
        "tempsoft.log_softmax(model.decision_function(features))",
        "not -inf where a probability underflows",
    ),
    Pair(
        "scikit-learn",
        "log_loss(labels, model.predict_proba(features))",
        "-tempsoft.log_prob(model.decision_function(features), labels).mean()",
        "classes are 0, 1, ...",
    ),
    Pair(
        "scikit-learn",
        "binary.predict_proba(features)",
        "d = binary.decision_function(features); tempsoft.softmax(np.stack([0 * d, d], -1))",
        "of two classes there is one logit",
    ),
]


def cell(code):
    return f"`{code}`"


def section(name):
    """Markdown of one library: its setup, the table of its pairs, and the facts."""
    parts = [f"```python\n{LIBRARIES[name].setup}\n```"]
    rows = [f"| {cell(pair.old)} | {cell(pair.new)} | {pair.differs} |" for pair in PAIRS if pair.library == name]
    parts.append("\n".join(["| before | here | what differs |", "|---|---|---|", *rows]))
    facts = [textwrap.fill(f"- {fact.text}", 120, subsequent_indent="  ") for fact in FACTS if fact.library == name]
    return "\n\n".join(parts + ["\n".join(facts)] * bool(facts))


def with_pairs(page):
    """The page with what stands between its markers made again."""

    def made(match):
        name = match[1]
        content = f"```python\n{BASE}```" if name == "the names" else section(name)
        return f"<!-- pairs: {name} -->\n\n{content}\n\n<!-- end -->"

    return re.sub(r"<!-- pairs: ([^>]+) -->.*?<!-- end -->", made, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_pairs(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
