#include "cli/flags.h"

#define X(kind, field, name, letter, value, help) [FLAG_##field] = {name, value, help, offsetof(struct flags, field), OPTION_##kind, letter},
const struct flag_row flag_rows[FLAG_COUNT] = {FLAG_TABLE(X)};
#undef X

const char *flag_alias(enum flag flag)
{
    switch (flag) {
    case FLAG_type: return "name";
    case FLAG_signal_name: case FLAG_query_name: case FLAG_update_name: return "type";
    case FLAG_signal_type: return "signal-type";
    default: return NULL;
    }
}
