#include "history/cron.h"

#include "base/test.h"

/* 2023-11-14 22:13:20 UTC, a Tuesday. */
static const int64_t base = 1700000000;

TEST(f006_ticks)
{
    static const struct { const char *spec; int64_t from, next; } rows[] = {
        {"* * * * *", 0, 40},
        {"14 22 * * *", 0, 40},
        {"13 22 * * *", 0, 86400 - 20},          /* this minute has passed */
        {"*/15 * * * *", 0, 100},                /* 22:15 */
        {"0 0 * * *", 0, 6400},
        {"@daily", 0, 6400}, {"@midnight", 0, 6400}, {"@hourly", 0, 2800},
        {"0 0 * * SUN", 0, 4 * 86400 + 6400},    /* Sunday 19 */
        {"0 0 * * 0", 0, 4 * 86400 + 6400}, {"@weekly", 0, 4 * 86400 + 6400},
        {"0 0 1 * *", 0, 16 * 86400 + 6400}, {"@monthly", 0, 16 * 86400 + 6400},
        {"0 0 1 jan *", 0, 47 * 86400 + 6400}, {"@yearly", 0, 47 * 86400 + 6400},
        {"0 0 29 2 *", 0, 106 * 86400 + 6400},   /* 2024-02-29 */
        {"0 0 13 * 5", 0, 2 * 86400 + 6400},     /* either day field suffices: Friday 17 */
        {"0 0 13 * *", 0, 28 * 86400 + 6400},
        {"0-10/5,30 23 * * ?", 0, 2800},
        {"CRON_TZ=UTC 0 23 * * *", 0, 2800}, {"TZ=UTC 0 23 * * *", 0, 2800},
        {"@every 90s", 0, 90}, {"@every 1h30m", 0, 5400}, {"@every 1.5h", 0, 5400},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct cron cron;
        test_row = rows[i].spec;
        check(cron_parse(str_of(rows[i].spec), &cron));
        check_int(cron_next(&cron, (instant){(base + rows[i].from) * NS_PER_S}).ns / NS_PER_S - base, rows[i].next);
    }
}

TEST(what_is_no_schedule)
{
    static const char *const specs[] = {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "a * * * *",
                                        "*/0 * * * *", "5-1 * * * *", "@often", "@every", "@every x", "@every 5", "CRON_TZ=Mars/Base * * * * *", ", * * * *", "1, * * * *x"};
    for (size_t i = 0; i < countof(specs); i++) {
        struct cron cron;
        test_row = specs[i];
        check(!cron_parse(str_of(specs[i]), &cron));
    }
}

TEST(what_never_comes_is_never)
{
    struct cron cron;
    check(cron_parse(STR("0 0 31 2 *"), &cron));
    check_int(cron_next(&cron, (instant){base * NS_PER_S}).ns, INSTANT_NEVER.ns);
    check(cron_backoff(STR("0 0 31 2 *"), (instant){base * NS_PER_S}, (instant){base * NS_PER_S}).ns < 0);
}

TEST(f006_the_wait_is_in_whole_seconds_after_now)
{
    instant from = {base * NS_PER_S}, now = {base * NS_PER_S + 200 * NS_PER_S + 1};
    check_int(cron_backoff(STR("* * * * *"), from, now).ns, 20 * NS_PER_S); /* 19.999999999 s, rounded up */
    check_int(cron_backoff(STR("@every 60s"), from, now).ns, 40 * NS_PER_S);
}

TEST_MAIN
