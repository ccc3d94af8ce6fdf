/* Memory of large results, some of which is kept for the next. What a system gives anew it clears, as each page is
 * first met, and that takes longer than softmax of it. Of memory that is kept the system is told that it may take the
 * pages, unasked, when it is short of them; as long as it does not, they are written like any others.
 *
 * A block is a line of the cache, in which is what to know of it, and the memory. It begins with a large page, of which
 * there are fewer to meet. Pages that a forked child may see are no such memory: the system does not take them unasked,
 * and whoever writes to one copies it first. So nothing is kept beyond a fork.
 */
#ifndef TEMPSOFT_KEPT_H
#define TEMPSOFT_KEPT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

enum { TS_LEAST_KEPT = 1 << 22 }; /* bytes: smaller results are not given new pages that often */

#if !defined(_WIN32)
#include <sys/mman.h>
#endif
#if defined(MAP_ANONYMOUS) && defined(MADV_FREE)
#define TS_KEEPS_MEMORY 1

#define TS_LARGE_PAGE ((size_t)1 << 21)
#define TS_HEAD ((size_t)64)
#define TS_SMALL ((size_t)1 << 21)           /* bytes, below which it is malloc's: an array may be resized to a few */
#define TS_MOST_KEPT_BYTES ((size_t)1 << 30) /* in all */
enum { TS_MOST_KEPT = 4 };                   /* blocks: a loop has two results at a time, and there may be threads */

typedef struct {
    char *start;
    size_t bytes; /* in all */
} ts_block_of_memory;

typedef struct {
    size_t bytes;
    unsigned long n_forks; /* before it was made */
    int is_small;
} ts_head;
_Static_assert(sizeof(ts_head) <= TS_HEAD, "it fits");

/* Nobody waits for the lock, as it may be held for ever in a forked child: without it, nothing is kept. */
static struct {
    ts_lock lock;
    int n;
    size_t bytes;
    unsigned long n_forks;                   /* so far */
    ts_block_of_memory blocks[TS_MOST_KEPT]; /* that kept longest first */
} ts_kept = {.lock = TS_NO_LOCK};

static ts_block_of_memory ts_take_kept(int i) {
    const ts_block_of_memory block = ts_kept.blocks[i];
    ts_kept.n -= 1;
    ts_kept.bytes -= block.bytes;
    memmove(ts_kept.blocks + i, ts_kept.blocks + i + 1, (size_t)(ts_kept.n - i) * sizeof *ts_kept.blocks);
    return block;
}

static void ts_end_block(ts_block_of_memory block) { munmap(block.start, block.bytes); }

/* That kept last of those that are not too short, and too long by no more than a quarter. */
static ts_block_of_memory ts_kept_block(size_t bytes) {
    ts_block_of_memory found = {NULL, 0};
    if (!ts_try(&ts_kept.lock))
        return found;
    for (int i = ts_kept.n - 1; i >= 0 && !found.start; i--)
        if (ts_kept.blocks[i].bytes >= bytes && ts_kept.blocks[i].bytes - bytes <= bytes / 4)
            found = ts_take_kept(i);
    ts_release(&ts_kept.lock);
    return found;
}

static ts_block_of_memory ts_new_block(size_t bytes) {
    char *const start = mmap(NULL, bytes + TS_LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return (ts_block_of_memory){NULL, 0};
    const size_t before = (TS_LARGE_PAGE - (uintptr_t)start % TS_LARGE_PAGE) % TS_LARGE_PAGE;
    if (before)
        munmap(start, before);
    munmap(start + before + bytes, TS_LARGE_PAGE - before);
#if defined(MADV_HUGEPAGE)
    madvise(start + before, bytes, MADV_HUGEPAGE);
#endif
    return (ts_block_of_memory){start + before, bytes};
}

/* Let the system have all that is kept: so many bytes. */
static size_t ts_forget_memory(void) {
    if (!ts_try(&ts_kept.lock))
        return 0;
    const size_t bytes = ts_kept.bytes;
    while (ts_kept.n > 0)
        ts_end_block(ts_take_kept(ts_kept.n - 1));
    ts_release(&ts_kept.lock);
    return bytes;
}

static void ts_keep_block(ts_block_of_memory block) {
    if (block.bytes > TS_MOST_KEPT_BYTES || madvise(block.start, block.bytes, MADV_FREE) != 0 ||
        !ts_try(&ts_kept.lock)) {
        ts_end_block(block);
        return;
    }
    while (ts_kept.n == TS_MOST_KEPT || ts_kept.bytes > TS_MOST_KEPT_BYTES - block.bytes)
        ts_end_block(ts_take_kept(0));
    ts_kept.blocks[ts_kept.n++] = block;
    ts_kept.bytes += block.bytes;
    ts_release(&ts_kept.lock);
}

static ts_head *ts_head_of(void *memory) { return (ts_head *)((char *)memory - TS_HEAD); }

/* Before a fork: blocks that are in use are not kept later. */
static void ts_forget_before_fork(void) {
    ts_forget_memory();
    ts_kept.n_forks += 1;
}

/* The four functions of an allocator of NumPy. */
static void *ts_kept_malloc(void *context, size_t bytes) {
    (void)context;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    const int is_small = bytes < TS_SMALL;
    const size_t whole = is_small ? bytes + TS_HEAD : (bytes + TS_HEAD + TS_LARGE_PAGE - 1) & ~(TS_LARGE_PAGE - 1);
    ts_block_of_memory block = {NULL, whole};
    if (is_small) {
        block.start = malloc(whole);
    } else {
        block = ts_kept_block(whole);
        if (!block.start)
            block = ts_new_block(whole);
    }
    if (!block.start && ts_forget_memory() > 0) /* it may have been short for what was kept */
        return ts_kept_malloc(context, bytes);
    if (!block.start)
        return NULL;
    *(ts_head *)block.start = (ts_head){block.bytes, ts_kept.n_forks, is_small};
    return block.start + TS_HEAD;
}

static void *ts_kept_calloc(void *context, size_t n, size_t size) {
    void *const memory = size && n > SIZE_MAX / size ? NULL : ts_kept_malloc(context, n * size);
    return memory ? memset(memory, 0, n * size) : NULL;
}

static void ts_kept_free(void *context, void *memory, size_t bytes) {
    (void)context, (void)bytes;
    if (!memory)
        return;
    const ts_head head = *ts_head_of(memory);
    const ts_block_of_memory block = {(char *)ts_head_of(memory), head.bytes};
    if (head.is_small)
        free(block.start);
    else if (head.n_forks != ts_kept.n_forks)
        ts_end_block(block);
    else
        ts_keep_block(block);
}

static void *ts_kept_realloc(void *context, void *memory, size_t bytes) {
    void *const other = ts_kept_malloc(context, bytes);
    if (!memory || !other)
        return other;
    const size_t most = ts_head_of(memory)->bytes - TS_HEAD;
    memcpy(other, memory, most < bytes ? most : bytes);
    ts_kept_free(context, memory, most);
    return other;
}
#else
#define TS_KEEPS_MEMORY 0

static size_t ts_forget_memory(void) { return 0; }
static void ts_forget_before_fork(void) {}
static void *ts_kept_malloc(void *context, size_t bytes) { return (void)context, malloc(bytes); }
static void *ts_kept_calloc(void *context, size_t n, size_t size) { return (void)context, calloc(n, size); }
static void *ts_kept_realloc(void *context, void *memory, size_t bytes) {
    return (void)context, realloc(memory, bytes);
}
static void ts_kept_free(void *context, void *memory, size_t bytes) { (void)context, (void)bytes, free(memory); }
#endif

#endif
