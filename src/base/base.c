#include "base/base.h"

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

void *xcalloc(size_t count, size_t size)
{
    void *p = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    ensure(p != NULL);
    return p;
}

void *xrealloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size != 0 ? size : 1);
    ensure(p != NULL);
    return p;
}
