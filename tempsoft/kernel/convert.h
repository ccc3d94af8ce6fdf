/* A part of a row as contiguous REALs, and back: strides and the half types end here. For REAL, by inclusion.
 *
 * Plain rows are used where they lie; anything else goes through a buffer of one block, never a copy of a row.
 */

#if TS_REAL == 64 /* used by both */
static inline uint16_t load_16(const char *p) { return *(const uint16_t *)p; }

/* n halves of `type` at p, contiguous, to float32. */
static void halves_to_f32(const uint16_t *p, ts_type type, intptr_t n, float *out) {
    uint16_t padded[VF_LANES] = {0};
    for (intptr_t i = 0; i < n; i += VF_LANES) {
        const uint16_t *from = p + i;
        if (n - i < VF_LANES) {
            for (intptr_t k = 0; i + k < n; k++)
                padded[k] = from[k];
            from = padded;
        }
        vf_store_up_to(out + i, n - i, type == TS_F16 ? vf_load_f16(from) : vf_load_bf16(from));
    }
}

static void halves_from_f32(const float *x, ts_type type, intptr_t n, uint16_t *out) {
    uint16_t padded[VF_LANES];
    for (intptr_t i = 0; i < n; i += VF_LANES) {
        vf v = vf_load_up_to(x + i, n - i, vf_set1(0));
        uint16_t *to = n - i < VF_LANES ? padded : out + i;
        if (type == TS_F16)
            vf_store_f16(to, v);
        else
            vf_store_bf16(to, v);
        for (intptr_t k = 0; to == padded && i + k < n; k++)
            out[i + k] = padded[k];
    }
}
#endif

static inline int R(is_plain)(const ts_vector *v) { return v->stride == (intptr_t)sizeof(REAL) && v->type == PLAIN; }

/* A vector of contiguous numbers from p + i of their type, and to it. */
TS_INLINE VR R(load_typed)(const char *p, intptr_t i, ts_type type) {
#if TS_REAL == 32
    if (type == TS_F16)
        return vf_load_f16((const uint16_t *)p + i);
    if (type == TS_BF16)
        return vf_load_bf16((const uint16_t *)p + i);
#endif
    (void)type;
    return V(load)((const REAL *)p + i);
}

TS_INLINE void R(store_typed)(char *p, intptr_t i, ts_type type, VR x) {
#if TS_REAL == 32
    if (type == TS_F16)
        vf_store_f16((uint16_t *)p + i, x);
    else if (type == TS_BF16)
        vf_store_bf16((uint16_t *)p + i, x);
    else
#endif
        V(store)((REAL *)p + i, x);
    (void)type;
}

/* The same, or past the cache: to numbers that are plain, and a place for a whole vector. */
TS_INLINE void R(put_typed)(char *p, intptr_t i, ts_type type, int past_cache, VR x) {
    if (past_cache)
        V(stream)((REAL *)p + i, x);
    else
        R(store_typed)(p, i, type, x);
}

/* Entries start ... start + n of v, which is not plain, in `buffer`. n <= TS_BLOCK. */
static const REAL *R(gather)(const ts_vector *v, intptr_t start, intptr_t n, REAL *buffer) {
    const char *p = v->data + start * v->stride;
#if TS_REAL == 32
    if (v->type != TS_F32) {
        uint16_t halves[TS_BLOCK];
        const uint16_t *from = (const uint16_t *)p;
        if (v->stride != sizeof *from) {
            for (intptr_t i = 0; i < n; i++)
                halves[i] = load_16(p + i * v->stride);
            from = halves;
        }
        halves_to_f32(from, v->type, n, buffer);
        return buffer;
    }
#endif
    for (intptr_t i = 0; i < n; i++)
        buffer[i] = *(const REAL *)(p + i * v->stride);
    return buffer;
}

/* Entries start ... start + n of v: where they lie, or in `buffer`. */
static inline const REAL *R(load)(const ts_vector *v, intptr_t start, intptr_t n, REAL *buffer) {
    return R(is_plain)(v) ? (const REAL *)v->data + start : R(gather)(v, start, n, buffer);
}

/* Where to put entries start ... start + n before R(store): in place, or `buffer`. */
static inline REAL *R(place)(const ts_vector *v, intptr_t start, REAL *buffer) {
    return R(is_plain)(v) ? (REAL *)(v->data + start * v->stride) : buffer;
}

/* Entries start ... start + n of v from x, which R(place) gave. */
static inline void R(store)(const ts_vector *v, intptr_t start, intptr_t n, const REAL *x) {
    char *p = v->data + start * v->stride;
    if (R(is_plain)(v))
        return;
#if TS_REAL == 32
    if (v->type != TS_F32) {
        uint16_t halves[TS_BLOCK], *to = v->stride == sizeof *to ? (uint16_t *)p : halves;
        halves_from_f32(x, v->type, n, to);
        if (to == halves)
            for (intptr_t i = 0; i < n; i++)
                *(uint16_t *)(p + i * v->stride) = halves[i];
        return;
    }
#endif
    for (intptr_t i = 0; i < n; i++)
        *(REAL *)(p + i * v->stride) = x[i];
}

/* The first n numbers of a vector, which are contiguous; 0 behind them. */
TS_INLINE VR R(load_some)(const ts_vector *from, intptr_t n) {
    REAL buffer[LANES];
    if (n == LANES)
        return R(load_typed)(from->data, 0, from->type);
    return V(load_up_to)(R(load)(from, 0, n, buffer), n, V(set1)(0));
}

TS_INLINE void R(store_some)(const ts_vector *to, intptr_t n, VR x) {
    REAL buffer[LANES];
    if (n == LANES) {
        R(store_typed)(to->data, 0, to->type, x);
        return;
    }
    REAL *const place = R(place)(to, 0, buffer);
    V(store_up_to)(place, n, x);
    R(store)(to, 0, n, place);
}
