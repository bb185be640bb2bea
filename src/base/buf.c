#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

char *buf_reserve(struct buf *buf, size_t more)
{
    ensure(more <= SIZE_MAX / 4 && buf->size <= SIZE_MAX / 4);
    if (buf->capacity - buf->size < more) {
        size_t capacity = size_max(buf->capacity * 2, size_max(buf->size + more, 64));
        buf->data = xrealloc(buf->data, capacity);
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void buf_append(struct buf *buf, const void *data, size_t size)
{
    if (size == 0) return;
    memcpy(buf_reserve(buf, size), data, size);
    buf->size += size;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ensure(size >= 0);
    vsnprintf(buf_reserve(buf, (size_t)size + 1), (size_t)size + 1, format, again);
    va_end(again);
    buf->size += (size_t)size;
}

void buf_consume(struct buf *buf, size_t size)
{
    ensure(size <= buf->size);
    buf->size -= size;
    if (buf->size != 0) memmove(buf->data, buf->data + size, buf->size);
}
