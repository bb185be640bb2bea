/* base/str.h: bytes somebody else owns. Not terminated; an empty one may have a NULL pointer. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/base.h"

struct str {
    const char *data;
    size_t size; /* bytes */
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_EMPTY ((struct str){NULL, 0})
#define STR_ARG(s) (int)(s).size, (s).data != NULL ? (s).data : "" /* for "%.*s" */

static inline struct str str_of(const char *cstr) { return (struct str){cstr, cstr != NULL ? strlen(cstr) : 0}; }
static inline struct str str_make(const void *data, size_t size) { return (struct str){data, size}; }
static inline bool str_is_empty(struct str s) { return s.size == 0; }
static inline bool str_equal(struct str a, struct str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
static inline bool str_equal_c(struct str a, const char *b) { return str_equal(a, str_of(b)); }
static inline bool str_starts_with(struct str s, struct str prefix)
{
    return s.size >= prefix.size && (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}
/* Byte order; a prefix sorts before what it begins. */
static inline int str_compare(struct str a, struct str b)
{
    size_t n = size_min(a.size, b.size);
    int c = n != 0 ? memcmp(a.data, b.data, n) : 0;
    return c != 0 ? c : (a.size > b.size) - (a.size < b.size);
}
static inline struct str str_skip(struct str s, size_t n) { return n == 0 ? s : (struct str){s.data + n, s.size - n}; }

/* 64-bit hash of the bytes (XXH3). Stable across machines and releases: shards are ranges of it. */
uint64_t str_hash(struct str s);
/* A malloc'd, terminated copy; free() it. */
char *str_dup_c(struct str s);

#endif
