#include "base/test.h"
#include "cli/settings.h"

static struct arena arena;
static struct settings settings;

static err read_toml(const char *text, struct error *error)
{
    settings_init(&settings, &arena);
    return settings_read_toml(&settings, str_of(text), error);
}

static struct str value_of(const char *group, const char *key)
{
    struct str value = STR_EMPTY;
    settings_get(&settings, str_of(group), str_of(key), &value);
    return value;
}

TEST(a_profile_is_read_with_its_tables)
{
    arena_init(&arena, 0, 0);
    check_int(read_toml("# mine\n[profile.default]\naddress = \"a:1\" # here\nnamespace = 'n'\n[other.table]\naddress = \"no\"\n"
                        "[profile.default.tls]\nserver_name = \"q\\\"x\"\ndisabled = true\n[profile.\"p 2\"]\naddress = \"b:2\"\n", NULL), ERR_NONE);
    check_str(value_of("default", "address"), "a:1");
    check_str(value_of("default", "namespace"), "n");
    check_str(value_of("default", "tls.server_name"), "q\"x");
    check_str(value_of("default", "tls.disabled"), "true");
    check_str(value_of("p 2", "address"), "b:2");
    arena_fini(&arena);
}

static const struct { const char *text; int line; } bad_rows[] = {
    {"[profile.x\n", 1}, {"[profile.x]\naddress\n", 2}, {"[profile.x]\naddress = bare\n", 2}, {"[profile.x]\n\naddress = \"open\n", 3}, {"a = \"x\" y\n", 1},
};

TEST(what_is_wrong_names_its_line)
{
    for (size_t i = 0; i < countof(bad_rows); i++) {
        char line[16];
        struct error error = {0};
        arena_init(&arena, 0, 0);
        test_row = bad_rows[i].text;
        check_int(read_toml(bad_rows[i].text, &error), ERR_INVALID);
        snprintf(line, sizeof line, "line %d:", bad_rows[i].line);
        check(str_starts_with(error.message, str_of(line)));
        arena_fini(&arena);
    }
}

TEST(what_was_written_reads_the_same)
{
    struct buf out = {0};
    arena_init(&arena, 0, 0);
    settings_init(&settings, &arena);
    settings_set(&settings, STR("default"), STR("address"), STR("a\"\\b"));
    settings_set(&settings, STR("p 2"), STR("tls.server_name"), STR("x\ny"));
    settings_set(&settings, STR("p 2"), STR("namespace"), STR("n"));
    settings_write_toml(&settings, &out);
    struct str text = arena_str(&arena, buf_view(&out));
    check_int(read_toml(text.data, NULL), ERR_NONE);
    check_str(value_of("default", "address"), "a\"\\b");
    check_str(value_of("p 2", "tls.server_name"), "x\ny");
    check_str(value_of("p 2", "namespace"), "n");
    buf_fini(&out);
    arena_fini(&arena);
}

TEST(environments_are_read_and_written)
{
    struct buf out = {0};
    arena_init(&arena, 0, 0);
    settings_init(&settings, &arena);
    check_int(settings_read_yaml(&settings, STR("env:\n    prod:\n        address: 1.2.3.4:5\n        namespace: \"x y\"\n    dev:\n        tls: \"true\"\n"), NULL), ERR_NONE);
    check_str(value_of("prod", "address"), "1.2.3.4:5");
    check_str(value_of("prod", "namespace"), "x y");
    check_str(value_of("dev", "tls"), "true");
    check(settings_remove(&settings, STR("dev"), STR_EMPTY));
    check(!settings_remove(&settings, STR("dev"), STR_EMPTY));
    settings_write_yaml(&settings, &out);
    settings_init(&settings, &arena);
    check_int(settings_read_yaml(&settings, buf_view(&out), NULL), ERR_NONE);
    check_str(value_of("prod", "address"), "1.2.3.4:5");
    check(!settings_has_group(&settings, STR("dev")));
    buf_fini(&out);
    arena_fini(&arena);
}

TEST_MAIN
