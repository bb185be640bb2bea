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
        check_int(cron_next(&cron, NULL, (instant){(base + rows[i].from) * NS_PER_S}).ns / NS_PER_S - base, rows[i].next);
    }
}

TEST(what_is_no_schedule)
{
    static const char *const specs[] = {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "a * * * *",
                                        "*/0 * * * *", "5-1 * * * *", "@often", "@every", "@every x", "@every 5", "CRON_TZ=Europe/Berlin", "CRON_TZ=Europe/Berlin x", ", * * * *", "1, * * * *x"};
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
    check_int(cron_next(&cron, NULL, (instant){base * NS_PER_S}).ns, INSTANT_NEVER.ns);
    check(cron_backoff(&cron, NULL, (instant){base * NS_PER_S}, (instant){base * NS_PER_S}).ns < 0);
}

TEST(f006_the_wait_is_in_whole_seconds_after_now)
{
    instant from = {base * NS_PER_S}, now = {base * NS_PER_S + 200 * NS_PER_S + 1};
    struct cron cron;
    check(cron_parse(STR("* * * * *"), &cron));
    check_int(cron_backoff(&cron, NULL, from, now).ns, 20 * NS_PER_S); /* 19.999999999 s, rounded up */
    check(cron_parse(STR("@every 60s"), &cron));
    check_int(cron_backoff(&cron, NULL, from, now).ns, 40 * NS_PER_S);
}

/* One hour east of UTC, from the last Sunday of March to that of October two: a zone file of nothing but that rule. */
static const struct tz *central_europe(struct arena *arena)
{
    static const char header[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\0\0\x0e\x10\0\0CET";
    struct str rule = STR("\nCET-1CEST,M3.5.0,M10.5.0/3\n");
    char bytes[2 * sizeof header + 64];
    struct tz *tz = NULL;
    memcpy(bytes, header, sizeof header);
    memcpy(bytes + sizeof header, header, sizeof header);
    memcpy(bytes + 2 * sizeof header, rule.data, rule.size);
    check_int(tz_parse(str_make(bytes, 2 * sizeof header + rule.size), arena, &tz), ERR_NONE);
    return tz;
}

/* 2027-03-28 01:00 UTC clocks go from 2 to 3; 2027-10-31 01:00 UTC from 3 back to 2. */
TEST(f006_ticks_are_of_local_time)
{
    enum { SPRING = 1806195600, AUTUMN = 1824944400, HOUR = 3600, DAY = 24 * HOUR };
    static const struct { const char *spec; int64_t from, next; } rows[] = {
        {"CRON_TZ=X 0 8 * * *", SPRING - 2 * DAY, SPRING - 2 * DAY + 6 * HOUR},   /* 07:00 UTC in winter */
        {"TZ=X 0 8 * * *", SPRING - HOUR, SPRING + 5 * HOUR},                     /* 06:00 UTC in summer */
        {"CRON_TZ=X 30 2 * * *", SPRING - 1, SPRING + DAY - HOUR / 2},            /* there is no 02:30 that day */
        {"CRON_TZ=X 30 2 28 3 *", SPRING - 1, SPRING + 366 * DAY - HOUR / 2}, /* nor that year */
        {"CRON_TZ=X 0 3 * * *", SPRING - 1, SPRING},
        {"CRON_TZ=X 30 2 * * *", AUTUMN - 2 * HOUR, AUTUMN - HOUR / 2},           /* 02:30 comes twice */
        {"CRON_TZ=X 30 2 * * *", AUTUMN - HOUR / 2, AUTUMN + HOUR / 2},
        {"CRON_TZ=X 30 2 * * *", AUTUMN + HOUR / 2, AUTUMN + DAY + HOUR / 2},
        {"CRON_TZ=X @daily", AUTUMN - 4 * HOUR, AUTUMN - 3 * HOUR},
        {"CRON_TZ=X @daily", AUTUMN, AUTUMN + 22 * HOUR},
        {"CRON_TZ=X @every 90m", AUTUMN, AUTUMN + 90 * 60},
        {"CRON_TZ=X 59 23 31 12 *", AUTUMN, 1830293940},
    };
    struct arena arena;
    arena_init(&arena, 0, 0);
    const struct tz *tz = central_europe(&arena);
    for (size_t i = 0; i < countof(rows); i++) {
        struct cron cron;
        test_row = rows[i].spec;
        check(cron_parse(str_of(rows[i].spec), &cron));
        check_str(cron.zone, "X");
        check_int(cron_next(&cron, tz, (instant){rows[i].from * NS_PER_S}).ns / NS_PER_S, rows[i].next);
    }
    arena_fini(&arena);
}

TEST_MAIN
