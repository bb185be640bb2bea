/* base/base.h: the words every file uses.
 *
 * ensure()       a fact whose breach would reach the disk: stays in a release, stops the process.
 * ensure_slow()  a whole-structure check: on in tests, sanitizer builds and the simulator (PERDURE_SLOW_CHECKS).
 * reach()        a rare place some test ought to visit: counted in tests, nothing in a release. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define countof(array) (sizeof(array) / sizeof((array)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Called with the failed expression before the process stops; prints what the thread was doing (may be NULL).
 * Thread-local; set around a step by shard/ and sim/. */
extern _Thread_local void (*ensure_context)(void *arg);
extern _Thread_local void *ensure_context_arg;

_Noreturn void ensure_failed(const char *expression, const char *file, int line);
#define ensure(expression) ((expression) ? (void)0 : ensure_failed(#expression, __FILE__, __LINE__))
#ifdef PERDURE_SLOW_CHECKS
#define ensure_slow(expression) ensure(expression)
#else
#define ensure_slow(expression) ((void)0)
#endif

#ifdef PERDURE_REACH
void reach_note(const char *what);
#define reach(what) reach_note(what)
#else
#define reach(what) ((void)0)
#endif

/* Memory that the process cannot go on without: never returns NULL. Freed with free(). */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *ptr, size_t size) __attribute__((returns_nonnull));

static inline size_t size_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

#endif
