/* base/arena.h: memory with one lifetime. Allocations are never freed singly; arena_fini frees all.
 *
 * A budget of 0 means none. Past the budget arena_try_* return NULL and arena_* stop the process, so code that handles
 * bytes from outside uses the try forms (the decoders do) and everything behind it may use the plain ones.
 * Thread: one at a time. Alignment: 16. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_block;
struct arena {
    struct arena_block *head;
    char *next, *end;
    size_t used;   /* bytes taken from the system, for budgets and for statistics */
    size_t budget; /* bytes; 0 = none */
    size_t first_block_size;
};

/* Takes no memory until the first allocation. first_block_size 0 = 4 KiB. */
void arena_init(struct arena *arena, size_t first_block_size, size_t budget);
/* The same, with memory of the caller as its first block: on the stack for what one function needs. It is given up, not freed, at
 * a reset, and must stay until then or arena_fini. */
void arena_init_on(struct arena *arena, void *memory, size_t size);
/* Defines such an arena for the function. */
#define ARENA_ON_STACK(name, size)    \
    _Alignas(16) char name##_[(size)]; \
    struct arena name;                \
    arena_init_on(&name, name##_, sizeof name##_)
void arena_fini(struct arena *arena);
/* Forgets everything allocated but keeps the first block for reuse. */
void arena_reset(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));  /* not zeroed */
void *arena_zalloc(struct arena *arena, size_t size) __attribute__((returns_nonnull)); /* zeroed */
void *arena_try_alloc(struct arena *arena, size_t size);
#define arena_new(arena, type) ((type *)arena_zalloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_zalloc((arena), sizeof(type) * (count)))

struct str arena_str(struct arena *arena, struct str s); /* a copy, terminated by a NUL beyond its size */
char *arena_cstr(struct arena *arena, struct str s);
struct str arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
