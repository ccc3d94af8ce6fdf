/* What memory allows: a pass that only reads, and a copy whose stores go past the caches. The yardsticks of the
 * benchmarks; no arithmetic, so any dtype is bytes here. Built by ceilings.py with the flags of the baseline: AVX2 is
 * a target of single functions, taken where the CPU has it. */
#include <stdint.h>
#include <string.h>

/* the exclusive or of all whole words: it tells that each was read */
static uint64_t read_words(const uint64_t *words, size_t n_words) {
    uint64_t result = 0;
    for (size_t i = 0; i < n_words; i++)
        result ^= words[i];
    return result;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { LINE = 64 };

/* bytes up to the next cache line; stores past the caches want whole lines */
static size_t head_of(const void *address, size_t n_bytes) {
    size_t head = -(uintptr_t)address % LINE;
    return head < n_bytes ? head : n_bytes;
}

__attribute__((target("avx2"))) static uint64_t read_avx2(const char *from, size_t n_bytes) {
    enum { VECTORS = 8 }; /* that wait for memory at once */
    __m256i seen[VECTORS] = {0};
    size_t i = 0;
    for (; i + VECTORS * sizeof *seen <= n_bytes; i += VECTORS * sizeof *seen)
        for (int j = 0; j < VECTORS; j++)
            seen[j] = _mm256_xor_si256(seen[j], _mm256_loadu_si256((const __m256i *)(from + i) + j));
    for (int j = 1; j < VECTORS; j++)
        seen[0] = _mm256_xor_si256(seen[0], seen[j]);
    uint64_t words[4];
    memcpy(words, seen, sizeof words);
    return read_words(words, 4) ^ read_words((const uint64_t *)(from + i), (n_bytes - i) / 8);
}

__attribute__((target("avx2"))) static void copy_avx2(char *to, const char *from, size_t n_bytes) {
    size_t i = head_of(to, n_bytes);
    memcpy(to, from, i);
    for (; i + LINE <= n_bytes; i += LINE) {
        _mm256_stream_si256((__m256i *)(to + i), _mm256_loadu_si256((const __m256i *)(from + i)));
        _mm256_stream_si256((__m256i *)(to + i) + 1, _mm256_loadu_si256((const __m256i *)(from + i) + 1));
    }
    memcpy(to + i, from + i, n_bytes - i);
    _mm_sfence();
}

static void copy_sse2(char *to, const char *from, size_t n_bytes) {
    size_t i = head_of(to, n_bytes);
    memcpy(to, from, i);
    for (; i + LINE <= n_bytes; i += LINE)
        for (int j = 0; j < 4; j++)
            _mm_stream_si128((__m128i *)(to + i) + j, _mm_loadu_si128((const __m128i *)(from + i) + j));
    memcpy(to + i, from + i, n_bytes - i);
    _mm_sfence();
}

uint64_t read_only(const void *from, size_t n_bytes) {
    if (__builtin_cpu_supports("avx2"))
        return read_avx2(from, n_bytes);
    return read_words(from, n_bytes / 8);
}

void copy_nontemporal(void *to, const void *from, size_t n_bytes) {
    if (__builtin_cpu_supports("avx2"))
        copy_avx2(to, from, n_bytes);
    else
        copy_sse2(to, from, n_bytes);
}

#else /* no portable way past the caches: the C library's copy */

uint64_t read_only(const void *from, size_t n_bytes) { return read_words(from, n_bytes / 8); }

void copy_nontemporal(void *to, const void *from, size_t n_bytes) { memcpy(to, from, n_bytes); }
#endif
