# The public functions. Part of _kernels.pyx.
#
# To call a function of Python is dear beside a kernel on four logits: so a public one is a compiled one that tries the
# direct path and, where that is not for its arguments, calls the one in probabilities.py or sampling.py. A function
# each, as its name is in its error messages.

cdef object map_filtered(ts_function which, logits, temperature, top_k, top_p, min_p, temperature_last, axis, out,
                         workers):
    cdef plain_call c
    kept = begin_filtered(&c, logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers)
    return None if kept is None else map_plain(which, &c, out)


def _softmax_or(function):
    def softmax(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                out=None, workers=None):
        result = map_filtered(TS_SOFTMAX, logits, temperature, top_k, top_p, min_p, temperature_last, axis, out,
                              workers)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, out=out, workers=workers) if result is None else result
    return softmax


def _log_softmax_or(function):
    def log_softmax(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                    out=None, workers=None):
        result = map_filtered(TS_LOG_SOFTMAX, logits, temperature, top_k, top_p, min_p, temperature_last, axis, out,
                              workers)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, out=out, workers=workers) if result is None else result
    return log_softmax


def _logsumexp_or(function):
    def logsumexp(logits, temperature=1.0, *, axis=-1, keepdims=False, workers=None):
        cdef plain_call c
        kept = begin(&c, logits, temperature, axis, workers) if type(keepdims) is bool else None
        return (function(logits, temperature, axis=axis, keepdims=keepdims, workers=workers) if kept is None
                else reduce_plain(TS_LOGSUMEXP, &c, keepdims))
    return logsumexp


def _entropy_or(function):
    def entropy(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                workers=None):
        cdef plain_call c
        kept = begin_filtered(&c, logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, workers=workers) if kept is None else reduce_plain(TS_ENTROPY, &c, False)
    return entropy


def _support_or(function):
    def support(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                workers=None):
        cdef plain_call c
        kept = begin_filtered(&c, logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, workers=workers) if kept is None else support_plain(&c)
    return support


def _log_prob_or(function):
    def log_prob(logits, index, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False,
                 axis=-1, workers=None):
        cdef plain_call c
        kept = begin_filtered(&c, logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers)
        result = None if kept is None else log_prob_plain(&c, plain_counts(index))
        return function(logits, index, temperature, top_k=top_k, top_p=top_p, min_p=min_p,
                        temperature_last=temperature_last, axis=axis, workers=workers) if result is None else result
    return log_prob


def _top_log_probs_or(function):
    def top_log_probs(logits, k, temperature=1.0, *, axis=-1, workers=None):
        cdef plain_call c
        kept = begin(&c, logits, temperature, axis, workers)
        result = None if kept is None else best_plain(&c, k)
        return function(logits, k, temperature, axis=axis, workers=workers) if result is None else result
    return top_log_probs


def _sample_or(function):
    def sample(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False,
               num_samples=None, replace=True, rng=None, u=None, first_row=0, axis=-1, return_log_prob=False,
               on_invalid="raise", workers=None):
        cdef plain_call c
        cdef draw_kind kind
        kind.is_seeded, result = False, None
        kept = begin_filtered(&c, logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers,
                              TS_WITHOUT_REPLACEMENT if replace is False else 0)
        if kept is not None:
            result = draw_plain(&c, &kind, num_samples, replace, rng, u, first_row, return_log_prob, on_invalid)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        num_samples=num_samples, replace=replace, rng=kind.seed if kind.is_seeded else rng, u=u,
                        first_row=first_row, axis=axis, return_log_prob=return_log_prob, on_invalid=on_invalid,
                        workers=workers) if result is None else result
    return sample


def _sample_weights_or(function):
    def sample_weights(weights, *, num_samples=None, replace=True, rng=None, u=None, first_row=0, axis=-1,
                       return_log_prob=False, on_invalid="raise", workers=None):
        cdef plain_call c
        cdef draw_kind kind
        kind.is_seeded, result = False, None
        kept = begin_filtered(&c, weights, 1.0, None, None, None, False, axis, workers,
                              TS_WEIGHTS | (TS_WITHOUT_REPLACEMENT if replace is False else 0))
        if kept is not None:
            result = draw_plain(&c, &kind, num_samples, replace, rng, u, first_row, return_log_prob, on_invalid)
        return function(weights, num_samples=num_samples, replace=replace, rng=kind.seed if kind.is_seeded else rng,
                        u=u, first_row=first_row, axis=axis, return_log_prob=return_log_prob, on_invalid=on_invalid,
                        workers=workers) if result is None else result
    return sample_weights


def direct_first(function):
    """Have one of these functions try the direct path before itself."""
    tries = {"softmax": _softmax_or, "log_softmax": _log_softmax_or, "logsumexp": _logsumexp_or,
             "entropy": _entropy_or, "log_prob": _log_prob_or, "support": _support_or,
             "top_log_probs": _top_log_probs_or, "sample": _sample_or, "sample_weights": _sample_weights_or}
    return functools.update_wrapper(tries[function.__name__](function), function)
