#include "base/str.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t str_hash(struct str s) { return XXH3_64bits(s.size != 0 ? s.data : "", s.size); }

char *str_dup_c(struct str s)
{
    char *p = xmalloc(s.size + 1);
    if (s.size != 0) memcpy(p, s.data, s.size);
    p[s.size] = '\0';
    return p;
}
