#include "base/test.h"
#include "cli/options.h"

static const struct { const char *text; bool is_good; int64_t ns; } duration_rows[] = {
    {"90s", true, 90 * NS_PER_S}, {"1h30m", true, 5400 * NS_PER_S}, {"2d", true, 172800 * NS_PER_S}, {"1.5h", true, 5400 * NS_PER_S},
    {"100ms", true, 100 * NS_PER_MS}, {"0", true, 0}, {"", false, 0}, {"5", false, 0}, {"s", false, 0}, {"1x", false, 0},
    {"-1s", false, 0}, {"1..2s", false, 0}, {"99999999d", false, 0},
};

TEST(durations_are_read_as_people_write_them)
{
    for (size_t i = 0; i < countof(duration_rows); i++) {
        test_row = duration_rows[i].text;
        duration d = {0};
        check(duration_parse(str_of(duration_rows[i].text), &d) == duration_rows[i].is_good);
        if (duration_rows[i].is_good) check_int(d.ns, duration_rows[i].ns);
    }
}

struct parsed {
    struct str name;
    int64_t port;
    bool headless, wants_help;
    struct option_strings many, positional;
    struct str problem;
    bool is_good;
};

static struct parsed parse(struct arena *arena, int argc, char **argv)
{
    struct parsed p = {.port = 1};
    struct option_row rows[] = {
        {"name", 'n', OPTION_STRING, &p.name, "NAME", "a name", NULL},
        {"port", 'p', OPTION_INT, &p.port, "PORT", "a port", NULL},
        {"headless", 0, OPTION_FLAG, &p.headless, NULL, "no page", NULL},
        {"many", 0, OPTION_STRINGS, &p.many, "TEXT", "several", NULL},
    };
    p.is_good = options_parse(rows, countof(rows), argc, argv, arena, &p.positional, &p.wants_help, &p.problem);
    return p;
}

TEST(flags_are_taken_in_every_spelling)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    char *argv[] = {"x", "--name=a", "-p", "7", "word", "--headless", "--many", "1", "--many=2", NULL};
    struct parsed p = parse(&arena, 9, argv);
    check(p.is_good && !p.wants_help);
    check_str(p.name, "a");
    check_int(p.port, 7);
    check(p.headless);
    check_int(p.many.count, 2);
    check_int(p.positional.count, 1);
    char *off[] = {"x", "--headless=false", NULL};
    check(!parse(&arena, 2, off).headless);
    arena_fini(&arena);
}

TEST(what_is_wrong_is_said)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    char *unknown[] = {"x", "--nope", NULL}, *missing[] = {"x", "--port", NULL}, *word[] = {"x", "--port", "abc", NULL};
    check_str(parse(&arena, 2, unknown).problem, "there is no flag --nope");
    check_str(parse(&arena, 2, missing).problem, "the flag --port needs a value");
    check_str(parse(&arena, 3, word).problem, "--port wants a whole number, not \"abc\"");
    char *help[] = {"x", "--help", NULL};
    check(parse(&arena, 2, help).wants_help);
    arena_fini(&arena);
}

TEST_MAIN
