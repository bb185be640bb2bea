#include "base/test.h"
#include "cli/cli.h"

static const char *const titles[] = {"Id", "Message"};

static struct str table_text(struct arena *arena, int width, bool is_card, const char *long_cell)
{
    struct cli cli = {.arena = arena};
    struct buf out = {0};
    struct cli_table *table = cli_table_new(&cli, 2, is_card ? NULL : titles);
    cli_table_row(table, STR("a"), str_of(long_cell));
    cli_table_row(table, STR("bcd"), STR("x\ny"));
    cli_table_write(table, width, false, &out);
    struct str text = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return text;
}

TEST(columns_are_aligned_and_control_characters_are_not_written)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    check_str(table_text(&arena, 0, false, "über"), "  Id   Message\n  a    über\n  bcd  x y\n");
    check_str(table_text(&arena, 0, true, "v"), "  a    v\n  bcd  x y\n");
    arena_fini(&arena);
}

TEST(a_table_fits_the_terminal)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    check_str(table_text(&arena, 17, false, "abcdefghijklmnopq"), "  Id   Message\n  a    abcdefghi…\n  bcd  x y\n");
    arena_fini(&arena);
}

TEST(states_have_colours_where_there_are_colours)
{
    static const char *const state_titles[] = {"Status", "Id"};
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct cli cli = {.arena = &arena};
    struct buf out = {0};
    struct cli_table *table = cli_table_new(&cli, 2, state_titles);
    cli_table_row(table, STR("Failed"), STR("Failed"));
    cli_table_row(table, STR("?"), STR("x"));
    cli_table_write(table, 0, true, &out);
    check_str(buf_view(&out), "\033[1m  Status\033[0m\033[1m  Id\033[0m\n  \033[31mFailed\033[0m  Failed\n  ?       x\n");
    buf_clear(&out);
    cli_table_write(table, 0, false, &out);
    check_str(buf_view(&out), "  Status  Id\n  Failed  Failed\n  ?       x\n");
    buf_fini(&out);
    arena_fini(&arena);
}

TEST(a_title_is_cut_before_what_stands_below_it)
{
    static const char *const long_titles[] = {"AVeryLongTitle", "Id"};
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct cli cli = {.arena = &arena};
    struct buf out = {0};
    struct cli_table *table = cli_table_new(&cli, 2, long_titles);
    cli_table_row(table, STR("0"), STR("0123456789"));
    cli_table_write(table, 24, false, &out);
    check_str(buf_view(&out), "  AVeryLong…  Id\n  0           0123456789\n");
    buf_fini(&out);
    arena_fini(&arena);
}

static const struct { int64_t seconds; const char *text; } relative_rows[] = {
    {0, "now"}, {-1, "1 second ago"}, {-59, "59 seconds ago"}, {-60, "1 minute ago"}, {-7200, "2 hours ago"}, {90, "1 minute from now"},
    {-86400 * 3, "3 days ago"}, {-86400 * 800, "2 years ago"},
};

TEST(times_are_said_as_people_say_them)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    instant now = {1000000000 * NS_PER_S};
    for (size_t i = 0; i < countof(relative_rows); i++)
        check_str(relative_text(&arena, instant_add(now, duration_s(relative_rows[i].seconds)), now), relative_rows[i].text);
    arena_fini(&arena);
}

TEST(durations_are_written)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    check_str(duration_text(&arena, duration_s(0)), "0s");
    check_str(duration_text(&arena, duration_ms(250)), "250ms");
    check_str(duration_text(&arena, duration_ms(1500)), "1.500s");
    check_str(duration_text(&arena, duration_s(3723)), "1h2m3s");
    check_str(duration_words(&arena, duration_s(0)), "0s");
    check_str(duration_words(&arena, duration_ms(1500)), "1.500s");
    check_str(duration_words(&arena, duration_s(3723)), "1h 2m 3s");
    check_str(duration_words(&arena, duration_s(365 * 86400)), "365d");
    check_str(duration_words(&arena, duration_s(3600)), "1h");
    arena_fini(&arena);
}

TEST_MAIN
