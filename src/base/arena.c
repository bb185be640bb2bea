#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALIGN = 16, FIRST_BLOCK = 4096, BLOCK_MAX = 256 * 1024 };

struct arena_block {
    struct arena_block *older;
    size_t size; /* bytes behind this header */
};
_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "blocks start aligned");

void arena_init(struct arena *arena, size_t first_block_size, size_t budget)
{
    *arena = (struct arena){.budget = budget, .first_block_size = first_block_size != 0 ? first_block_size : FIRST_BLOCK};
}

void arena_init_on(struct arena *arena, void *memory, size_t size)
{
    size_t aligned = size & ~(size_t)(ALIGN - 1);
    *arena = (struct arena){.next = memory, .end = (char *)memory + aligned, .first_block_size = size_max(2 * aligned, FIRST_BLOCK)};
}

void arena_fini(struct arena *arena)
{
    for (struct arena_block *b = arena->head; b != NULL;) {
        struct arena_block *older = b->older;
        free(b);
        b = older;
    }
    arena->head = NULL;
    arena->next = arena->end = NULL;
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *b = arena->head;
    while (b != NULL && b->older != NULL) {
        struct arena_block *older = b->older;
        free(b);
        b = older;
    }
    arena->head = b;
    arena->next = b != NULL ? (char *)(b + 1) : NULL;
    arena->end = b != NULL ? arena->next + b->size : NULL;
    arena->used = b != NULL ? b->size : 0;
}

static void *alloc_slow(struct arena *arena, size_t size)
{
    size_t block = arena->head == NULL ? arena->first_block_size : size_min(arena->head->size * 2, BLOCK_MAX);
    if (block < size) block = size;
    if (arena->budget != 0 && (arena->used > arena->budget || block > arena->budget - arena->used)) {
        block = size; /* what is left may still do for this one */
        if (arena->used > arena->budget || block > arena->budget - arena->used) return NULL;
    }
    if (block > SIZE_MAX / 2) return NULL;
    struct arena_block *b = malloc(sizeof *b + block);
    if (b == NULL) return NULL;
    b->older = arena->head;
    b->size = block;
    arena->head = b;
    arena->used += block;
    arena->next = (char *)(b + 1) + size;
    arena->end = (char *)(b + 1) + block;
    return b + 1;
}

void *arena_try_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 4) return NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size == 0) size = ALIGN;
    if ((size_t)(arena->end - arena->next) >= size && arena->next != NULL) {
        void *p = arena->next;
        arena->next += size;
        return p;
    }
    return alloc_slow(arena, size);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *p = arena_try_alloc(arena, size);
    ensure(p != NULL);
    return p;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *p = arena_alloc(arena, size);
    return memset(p, 0, size);
}

char *arena_cstr(struct arena *arena, struct str s)
{
    char *p = arena_alloc(arena, s.size + 1);
    if (s.size != 0) memcpy(p, s.data, s.size);
    p[s.size] = '\0';
    return p;
}

struct str arena_str(struct arena *arena, struct str s) { return (struct str){arena_cstr(arena, s), s.size}; }

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ensure(size >= 0);
    char *p = arena_alloc(arena, (size_t)size + 1);
    vsnprintf(p, (size_t)size + 1, format, again);
    va_end(again);
    return (struct str){p, (size_t)size};
}
