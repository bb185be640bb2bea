#include "history/limits.h"

#include <strings.h>

struct limits limits_default(void)
{
    return (struct limits){
#define X(field, key, value, text) .field = (value),
        LIMITS_TABLE(X)
#undef X
    };
}

bool limits_set(struct limits *limits, struct str key, int64_t value)
{
    static const struct { const char *key; size_t offset; } rows[] = {
#define X(field, key, value, text) {key, offsetof(struct limits, field)},
        LIMITS_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < countof(rows); i++) {
        if (strlen(rows[i].key) != key.size || strncasecmp(rows[i].key, key.data, key.size) != 0) continue;
        memcpy((char *)limits + rows[i].offset, &value, sizeof value);
        return true;
    }
    return false;
}
