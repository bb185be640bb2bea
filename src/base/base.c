#include "base/base.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

_Thread_local void (*ensure_context)(void *arg);
_Thread_local void *ensure_context_arg;

_Noreturn void ensure_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "perdure: a fact that must hold does not: %s (%s:%d)\n", expression, file, line);
    if (ensure_context != NULL) {
        void (*print)(void *) = ensure_context;
        ensure_context = NULL; /* a failure while printing must not come back here */
        print(ensure_context_arg);
    }
    fflush(stderr);
    abort();
}

void *xmalloc(size_t size)
{
    void *p = malloc(size != 0 ? size : 1);
    ensure(p != NULL);
    return p;
}

/* glibc's calloc passes by the quick lists of its malloc and takes a lock, which for what is small costs more than clearing it. */
void *xcalloc(size_t count, size_t size)
{
    enum { QUICK_MAX = 1024 };
    size_t total;
    if (!__builtin_mul_overflow(count, size, &total) && total <= QUICK_MAX) return memset(xmalloc(total), 0, total);
    void *p = calloc(count, size);
    ensure(p != NULL);
    return p;
}

void *xrealloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size != 0 ? size : 1);
    ensure(p != NULL);
    return p;
}

#ifdef PERDURE_REACH
/* Rare places that were visited, and how often; printed at exit when the environment says REACH=1. */
enum { REACH_MAX = 1024 };
static struct { const char *what; size_t count; } reached[REACH_MAX];
static size_t reached_count;
static pthread_mutex_t reach_mutex = PTHREAD_MUTEX_INITIALIZER;

static void reach_print(void)
{
    for (size_t i = 0; i < reached_count; i++) fprintf(stderr, "reached %zu times: %s\n", reached[i].count, reached[i].what);
}

void reach_note(const char *what)
{
    pthread_mutex_lock(&reach_mutex);
    size_t i = 0;
    while (i < reached_count && reached[i].what != what) i++;
    if (i == 0 && reached_count == 0 && getenv("REACH") != NULL) atexit(reach_print);
    if (i == reached_count && reached_count < REACH_MAX) reached[reached_count++].what = what;
    if (i < REACH_MAX) reached[i].count++;
    pthread_mutex_unlock(&reach_mutex);
}
#endif
