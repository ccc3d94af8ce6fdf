/* Philox in lanes: many counters at once, either of one stream or of many streams at one place. The same words as those
 * of philox.c, which says what a stream is.
 */

#define PHILOX_TOGETHER 2 /* vectors: each round waits for the one before */
#define PHILOX_LANES (PHILOX_TOGETHER * VW_LANES)
#define COUNTERS_TOGETHER (PHILOX_LANES + VW_BESIDE)
#define FEWEST_COUNTERS 8 /* that do not take longer in lanes than one by one */

/* The lower words of the products; the upper ones in `high`. From products of lower halves (vw_times): none of the sums
 * exceeds a word. */
TS_INLINE vw vw_multiply(vw a, uint64_t b, vw *high) {
    const vw a_upper = vw_upper(a), b_lower = vw_set1(b), b_upper = vw_set1(b >> 32);
    const vw lower = vw_times(a, b_lower);
    const vw first = vw_add(vw_times(a_upper, b_lower), vw_upper(lower));
    const vw second = vw_add(vw_times(a, b_upper), vw_lower(first));
    *high = vw_add(vw_add(vw_times(a_upper, b_upper), vw_upper(first)), vw_upper(second));
    return vw_joined(lower, second);
}

/* The four words of some counters, each with an upper part of the key, by ten rounds. Three words of a counter are 0:
 * of the first round there is one product, and of the second one that is the same for all. Some more counters are
 * `beside` them, one by one: a CPU multiplies words while it is busy with vectors. */
TS_INLINE void philox(uint64_t key_0, const vw *counter, const vw *key_1, vw words[4][PHILOX_TOGETHER],
                      philox_state *beside) {
    vw a[PHILOX_TOGETHER], b[PHILOX_TOGETHER], c[PHILOX_TOGETHER], d[PHILOX_TOGETHER], key[PHILOX_TOGETHER];
    vw high_a, high_c, left = vw_set1(key_0 + KEY_STEP_0);
    const vw zero = vw_set1(0), low_a = vw_multiply(vw_set1(key_0), MULTIPLIER_0, &high_a);
    for (int k = 0; k < PHILOX_TOGETHER; k++) {
        vw high;
        d[k] = vw_multiply(counter[k], MULTIPLIER_0, &high);
        key[k] = vw_add(key_1[k], vw_set1(KEY_STEP_1));
        b[k] = vw_multiply(vw_xor(high, zero, key_1[k]), MULTIPLIER_1, &high_c);
        a[k] = vw_xor(high_c, zero, left);
        c[k] = vw_xor(high_a, d[k], key[k]);
        d[k] = low_a;
    }
    for (int k = 0; k < VW_BESIDE; k++) {
        philox_round(beside + k, key_0);
        philox_round(beside + k, key_0 + KEY_STEP_0);
    }
    key_0 += KEY_STEP_0;
    TS_UNROLL
    for (int round = 2; round < 10; round++) {
        left = vw_add(left, vw_set1(KEY_STEP_0));
        key_0 += KEY_STEP_0;
        for (int k = 0; k < VW_BESIDE; k++)
            philox_round(beside + k, key_0);
        for (int k = 0; k < PHILOX_TOGETHER; k++) {
            key[k] = vw_add(key[k], vw_set1(KEY_STEP_1));
            vw high_of_a, high_of_c;
            const vw low_of_a = vw_multiply(a[k], MULTIPLIER_0, &high_of_a);
            const vw low_of_c = vw_multiply(c[k], MULTIPLIER_1, &high_of_c);
            a[k] = vw_xor(high_of_c, b[k], left);
            c[k] = vw_xor(high_of_a, d[k], key[k]);
            b[k] = low_of_c;
            d[k] = low_of_a;
        }
    }
    for (int k = 0; k < PHILOX_TOGETHER; k++)
        words[0][k] = a[k], words[1][k] = b[k], words[2][k] = c[k], words[3][k] = d[k];
}

/* Numbers first ... first + n of one stream, to every step-th place. */
static void column_in_lanes(uint64_t seed, uint64_t column, uint64_t first, intptr_t n, intptr_t step, double *out) {
    vw counter[PHILOX_TOGETHER], key[PHILOX_TOGETHER], words[4][PHILOX_TOGETHER];
    uint64_t next = first / 4 + 1;
    intptr_t before = (intptr_t)(first % 4); /* words of the first counter that are not wanted */
    for (int k = 0; k < PHILOX_TOGETHER; k++) {
        counter[k] = vw_from(next + (uint64_t)k * VW_LANES);
        key[k] = vw_set1(column);
    }
    for (intptr_t i = 0; i < n; before = 0) {
        double numbers[4 * COUNTERS_TOGETHER];
        philox_state beside[VW_BESIDE + 1];
        const intptr_t rest = n - i, made = 4 * COUNTERS_TOGETHER - before, wanted = made < rest ? made : rest;
        double *const place = step == 1 && wanted == 4 * COUNTERS_TOGETHER ? out + i : numbers;
        for (int k = 0; k < VW_BESIDE; k++)
            beside[k] = (philox_state){{next + PHILOX_LANES + (uint64_t)k}, column};
        philox(seed, counter, key, words, beside);
        for (int k = 0; k < 4 * VW_BESIDE; k++)
            place[4 * PHILOX_LANES + k] = uniform_of(beside[k / 4].words[k % 4]);
        next += COUNTERS_TOGETHER;
        for (int k = 0; k < PHILOX_TOGETHER; k++) {
            vd even[2] = {vw_uniform(words[0][k]), vw_uniform(words[2][k])};
            vd odd[2] = {vw_uniform(words[1][k]), vw_uniform(words[3][k])};
            vd_interleave(even);
            vd_interleave(odd);
            for (int half = 0; half < 2; half++) {
                vd both[2] = {even[half], odd[half]};
                vd_interleave(both);
                vd_store(place + (4 * k + 2 * half) * VW_LANES, both[0]);
                vd_store(place + (4 * k + 2 * half + 1) * VW_LANES, both[1]);
            }
            counter[k] = vw_add(counter[k], vw_set1(COUNTERS_TOGETHER));
        }
        for (intptr_t j = 0; place == numbers && j < wanted; j++)
            out[(i + j) * step] = numbers[before + j];
        i += wanted;
    }
}

/* n_words numbers from word `word` of one counter on, of many streams: out[i * n_columns + j]. Of constants, what
 * becomes of other words is left out. */
TS_INLINE void words_in_lanes(uint64_t seed, uint64_t first, int word, intptr_t n_words, uint64_t first_column,
                              intptr_t n_columns, double *out) {
    vw counter[PHILOX_TOGETHER], key[PHILOX_TOGETHER], words[4][PHILOX_TOGETHER];
    for (int k = 0; k < PHILOX_TOGETHER; k++) {
        counter[k] = vw_set1(first / 4 + 1);
        key[k] = vw_from(first_column + (uint64_t)k * VW_LANES);
    }
    for (intptr_t j = 0; j < n_columns; j += COUNTERS_TOGETHER) {
        philox_state beside[VW_BESIDE + 1];
        for (int k = 0; k < VW_BESIDE; k++)
            beside[k] = (philox_state){{first / 4 + 1}, first_column + (uint64_t)(j + PHILOX_LANES + k)};
        philox(seed, counter, key, words, beside);
        for (int k = 0; k < PHILOX_TOGETHER; k++) {
            const intptr_t at = j + k * VW_LANES;
            for (intptr_t i = 0; i < n_words; i++)
                vd_store_up_to(out + i * n_columns + at, n_columns - at, vw_uniform(words[word + i][k]));
            key[k] = vw_add(key[k], vw_set1(COUNTERS_TOGETHER));
        }
        for (intptr_t k = 0; k < VW_BESIDE && j + PHILOX_LANES + k < n_columns; k++)
            for (intptr_t i = 0; i < n_words; i++)
                out[i * n_columns + j + PHILOX_LANES + k] = uniform_of(beside[k].words[word + i]);
    }
}

/* Numbers first ... first + n_rows, which are of one counter, of many streams. */
static void rows_in_lanes(uint64_t seed, uint64_t first, intptr_t n_rows, uint64_t first_column, intptr_t n_columns,
                          double *out) {
    const int word = (int)(first % 4);
    if (n_rows > 1)
        words_in_lanes(seed, first, word, n_rows, first_column, n_columns, out);
    else if (word == 0)
        words_in_lanes(seed, first, 0, 1, first_column, n_columns, out);
    else if (word == 1)
        words_in_lanes(seed, first, 1, 1, first_column, n_columns, out);
    else if (word == 2)
        words_in_lanes(seed, first, 2, 1, first_column, n_columns, out);
    else
        words_in_lanes(seed, first, 3, 1, first_column, n_columns, out);
}

/* ts_uniforms. */
static void uniforms_in_lanes(uint64_t seed, uint64_t first_row, intptr_t n_rows, uint64_t first_column,
                              intptr_t n_columns, double *out) {
    if ((n_rows + 3) / 4 * n_columns < FEWEST_COUNTERS) {
        ts_uniforms(seed, first_row, n_rows, first_column, n_columns, out);
        return;
    }
    const intptr_t by_rows = (n_rows + 3) / 4 * ((n_columns + COUNTERS_TOGETHER - 1) / COUNTERS_TOGETHER);
    const int by_columns = (n_rows + 4 * COUNTERS_TOGETHER - 1) / (4 * COUNTERS_TOGETHER) * n_columns < by_rows;
    const intptr_t together = n_columns == 1 ? n_rows : by_columns ? 4 * COUNTERS_TOGETHER : 4; /* rows */
    for (intptr_t i = 0, n; i < n_rows; i += n) {
        const uint64_t row = first_row + (uint64_t)i;
        n = together - (n_columns > 1 ? (intptr_t)(row % 4) : 0); /* the next ones begin with a counter */
        n = n < n_rows - i ? n : n_rows - i;
        double *const to = out + i * n_columns;
        for (intptr_t j = 0; by_columns && j < n_columns; j++)
            column_in_lanes(seed, first_column + (uint64_t)j, row, n, n_columns, to + j);
        if (!by_columns)
            rows_in_lanes(seed, row, n, first_column, n_columns, to);
    }
    v_done();
}
