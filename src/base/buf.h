/* base/buf.h: a growing byte buffer on the heap. Zero-initialised is empty; buf_fini frees.
 * Appending never fails (the process cannot go on without memory); callers bound what they append. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
    char *data;
    size_t size, capacity; /* bytes */
};

void buf_fini(struct buf *buf);                     /* leaves it empty and usable */
char *buf_reserve(struct buf *buf, size_t more);    /* room for `more` bytes behind size; returns where they go */
void buf_append(struct buf *buf, const void *data, size_t size);
static inline void buf_append_str(struct buf *buf, struct str s) { buf_append(buf, s.data, s.size); }
static inline void buf_append_byte(struct buf *buf, uint8_t byte) { *buf_reserve(buf, 1) = (char)byte; buf->size++; }
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
static inline struct str buf_view(const struct buf *buf) { return (struct str){buf->data, buf->size}; }
static inline void buf_clear(struct buf *buf) { buf->size = 0; }
void buf_consume(struct buf *buf, size_t size);     /* drops bytes from the front */

#endif
