/* Config files of both kinds: what is read can be written, and reads back as the same. The first byte chooses the kind. */
#include "cli/settings.h"

static void same(const struct settings *a, const struct settings *b)
{
    ensure(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        struct str value = STR_EMPTY;
        if (str_is_empty(a->items[i].key)) ensure(settings_has_group(b, a->items[i].group));
        else ensure(settings_get(b, a->items[i].group, a->items[i].key, &value) && str_equal(value, a->items[i].value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct settings settings, again;
    struct error error = {0};
    struct buf out = {0};
    if (size == 0) return 0;
    bool is_toml = data[0] & 1;
    arena_init(&arena, 0, 0);
    settings_init(&settings, &arena);
    settings_init(&again, &arena);
    struct str text = arena_str(&arena, str_make(data + 1, size - 1));
    if ((is_toml ? settings_read_toml : settings_read_yaml)(&settings, text, &error) == ERR_NONE) {
        (is_toml ? settings_write_toml : settings_write_yaml)(&settings, &out);
        ensure((is_toml ? settings_read_toml : settings_read_yaml)(&again, buf_view(&out), &error) == ERR_NONE);
        same(&settings, &again);
    } else ensure(error_message(&error).size != 0);
    buf_fini(&out);
    arena_fini(&arena);
    return 0;
}
