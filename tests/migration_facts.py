"""What docs/migrating.md says of other libraries beside the pairs of lines, each with expressions that are then true.

The names in them are those of migration_pairs.py, and `raises(kind, function, text)` and `warns(function)`.
"""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    library: str
    text: str
    checks: tuple[str, ...]


INTS = "np.array([100, -100], np.int8)"
UNSIGNED = "np.array([1, 2], np.uint8)"
MASKED = "np.ma.array([1.0, 2.0], mask=[0, 1])"
EQUAL = "np.zeros(70000, np.float16)"
ODD = "[np.inf, 1.0]"

FACTS = [
    Fact(
        "SciPy",
        "8-bit integers overflow in SciPy: the softmax of int8 100 and -100 is 0 and NaN. Unsigned integers wrap below "
        "0. Here they are right, and of SciPy's dtypes.",
        (
            f"np.array_equal(scipy.special.softmax({INTS}), np.array([0, np.nan]), equal_nan=True)",
            f"np.array_equal(tempsoft.special.softmax({INTS}), np.array([1, 0]))",
            f"np.isnan(scipy.special.softmax({UNSIGNED})).any()",
            f"abs(tempsoft.special.softmax({UNSIGNED})[1] - 1 / (1 + np.exp(-1))) < 1e-3",
            f"tempsoft.special.softmax({INTS}).dtype == scipy.special.softmax({INTS}).dtype == np.float16",
        ),
    ),
    Fact(
        "SciPy",
        "Its sums of float16 are in float16, which ends at 65504: 70000 equal numbers have a softmax of 0 there.",
        (
            f"(scipy.special.softmax({EQUAL}) == 0).all()",
            f"(tempsoft.special.softmax({EQUAL}) == np.float16(1 / 70000)).all()",
        ),
    ),
    Fact(
        "SciPy",
        "Where +inf is summed, softmax is NaN in SciPy and in `tempsoft.special`. In `tempsoft.softmax` the entries of "
        "+inf share the row. Neither warns, as SciPy does.",
        (
            f"np.isnan(scipy.special.softmax({ODD})).all()",
            f"np.isnan(tempsoft.special.softmax({ODD})).all()",
            f"tempsoft.softmax({ODD}).tolist() == [1, 0]",
            f"warns(lambda: scipy.special.softmax({ODD}))",
            f"not warns(lambda: (tempsoft.special.softmax({ODD}), tempsoft.softmax({ODD})))",
        ),
    ),
    Fact(
        "SciPy",
        "bool counts as float64, where SciPy's softmax refuses it. A masked array is a `TypeError`, where SciPy "
        "forgets the mask.",
        (
            "raises(TypeError, lambda: scipy.special.softmax([True, False]))",
            "tempsoft.special.softmax([True, False]).dtype == float",
            f"raises(TypeError, lambda: tempsoft.special.softmax({MASKED}), 'mask')",
            f"(scipy.special.softmax({MASKED}) > 0.2).all()",
        ),
    ),
    Fact(
        "SciPy",
        "`logsumexp` of an empty array over several axes is -inf, where SciPy raises an `IndexError`.",
        (
            "raises(IndexError, lambda: scipy.special.logsumexp(np.ones((0, 2))))",
            "tempsoft.special.logsumexp(np.ones((0, 2))) == -np.inf",
        ),
    ),
    Fact(
        "NumPy",
        "`np.exp` of a float32 overflows above 88.7. The largest of a row may be anything here.",
        ("np.isinf(np.exp(np.float32(89)))", "tempsoft.softmax([1e30, 0.0]).tolist() == [1, 0]"),
    ),
    Fact(
        "NumPy",
        "`Generator.choice` takes the probabilities of one row; `sample` those of any number of rows.",
        ("raises(ValueError, lambda: rng.choice(6, p=np.stack([q, q])))", "tempsoft.sample(x).shape == (4,)"),
    ),
    Fact(
        "torch",
        "A temperature of 0 divides by 0 there; here it is greedy decoding. Of a row with +inf torch makes NaN; here "
        "its entries of +inf share it.",
        (
            "torch.softmax(xt / 0, -1).isnan().all()",
            "np.array_equal(tempsoft.sample(x, 0), x.argmax(-1))",
            f"torch.softmax(torch.tensor({ODD}), -1).isnan().all()",
            f"tempsoft.softmax({ODD}).tolist() == [1, 0]",
        ),
    ),
    Fact(
        "torch",
        "A row without a distribution is a `ValueError` that names it; with `on_invalid='mark'` its draws are -1. "
        "`multinomial` stops with a `RuntimeError` that does not say which row.",
        (
            "raises(ValueError, lambda: tempsoft.sample([[0.0, 0.0], [np.nan, 1.0]]), 'row 1')",
            "tempsoft.sample([[0.0, -9e9], [np.nan, 1.0]], on_invalid='mark').tolist() == [0, -1]",
            "raises(RuntimeError, lambda: torch.multinomial(torch.tensor([[0.5, 0.5], [np.nan, 1.0]]), 1))",
            "not raises(RuntimeError, lambda: torch.multinomial(torch.tensor([[0.5, 0.5], [np.nan, 1.0]]), 1), '1')",
        ),
    ),
    Fact(
        "torch",
        "`Categorical.sample((n,))` puts the draws on the first axis, `num_samples=n` on the last.",
        (
            "Categorical(logits=xt).sample((n,)).shape == (n, 4)",
            "tempsoft.sample(x, num_samples=n).shape == (4, n)",
        ),
    ),
    Fact(
        "torch",
        "Of bfloat16 and float16 logits, logsumexp, entropy and log-probabilities are float32 here, and of the logits' "
        "dtype there.",
        (
            "torch.logsumexp(xt.half(), -1).dtype == Categorical(logits=xt.half()).log_prob(yt).dtype == torch.float16",
            "tempsoft.logsumexp(x.astype(np.float16)).dtype == np.float32",
            "tempsoft.log_prob(x.astype(np.float16), y).dtype == np.float32",
        ),
    ),
    Fact(
        "JAX",
        "`random.categorical` of a row of only -inf is category 0, without a word; here it is a `ValueError`.",
        (
            "jax.random.categorical(key, jnp.full(3, -jnp.inf)) == 0",
            "raises(ValueError, lambda: tempsoft.sample([-np.inf] * 3))",
        ),
    ),
    Fact(
        "JAX",
        "float64 needs `jax_enable_x64` there; here the dtype is that of the logits.",
        (
            "jax.config.jax_enable_x64 or jnp.asarray(np.zeros(3)).dtype == np.float32",
            "tempsoft.softmax(np.zeros(3)).dtype == np.float64",
        ),
    ),
    Fact(
        "TensorFlow",
        "`tf.random.categorical` of n logits of -inf is n, which is no category; here it is a `ValueError`.",
        (
            "tf.random.categorical([[-np.inf] * 3], 1)[0, 0] == 3",
            "raises(ValueError, lambda: tempsoft.sample([-np.inf] * 3))",
        ),
    ),
    Fact(
        "Transformers",
        "`TopKLogitsWarper` keeps all that equal the kth, so perhaps more than k; here it is k, the lower index first.",
        (
            "(hf.TopKLogitsWarper(2)(None, torch.tensor([[2.0, 1, 1, 0]])) > -np.inf).sum() == 3",
            "(tempsoft.softmax([2.0, 1, 1, 0], top_k=2) > 0).tolist() == [True, True, False, False]",
        ),
    ),
    Fact(
        "Transformers",
        "A temperature of 0 is an error there, as greedy decoding is another argument; here it is the limit.",
        (
            "raises(ValueError, lambda: hf.TemperatureLogitsWarper(0.0))",
            "tempsoft.softmax([2.0, 3.0], 0).tolist() == [0, 1]",
        ),
    ),
    Fact(
        "scikit-learn",
        "`extmath.softmax` takes arrays of two axes. `copy=False` is `out=x` here.",
        (
            "raises(ValueError, lambda: extmath.softmax(x[0]))",
            "np.shares_memory(extmath.softmax(x, copy=False), x)",
            "tempsoft.softmax(x, out=x) is x",
        ),
    ),
]
