#include "schedule/spec.h"

#include "base/prng.h"
#include "base/test.h"

struct fixture { struct arena arena; struct error error; struct spec *spec; pb_schedule_ScheduleSpec in, *canonical; };

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, 0, 0);
}

static err build(struct fixture *f, const struct tz *tz)
{
    TRY(spec_canonical(&f->in, &f->arena, &f->canonical, &f->error));
    return spec_compile(f->canonical, tz, 7, &f->arena, &f->spec, &f->error);
}

static struct str text_of(struct arena *arena, instant t)
{
    if (t.ns == INSTANT_NEVER.ns) return STR("never");
    int64_t s = t.ns / NS_PER_S, day = s / 86400, time = s % 86400;
    struct civil_date d = civil_date_of(day);
    return arena_printf(arena, "%d-%02d-%02dT%02d:%02d:%02d", (int)d.year, d.month, d.day, (int)(time / 3600), (int)(time % 3600 / 60), (int)(time % 60));
}

static instant at(int64_t year, int month, int day, int hour, int minute) { return (instant){(civil_days(year, month, day) * 86400 + hour * 3600 + minute * 60) * NS_PER_S}; }

static const struct { const char *cron, *next; } cron_rows[] = {
    /* after Wednesday, 2030-05-15T10:20:00 */
    {"* * * * *", "2030-05-15T10:21:00"},
    {"*/15 * * * *", "2030-05-15T10:30:00"},
    {"5/20 * * * *", "2030-05-15T10:25:00"},
    {"0 12 * * MON", "2030-05-20T12:00:00"},
    {"0 0 29 2 *", "2032-02-29T00:00:00"},
    {"0 0 31 4 *", "never"},
    {"0 0 13 * 5", "2030-09-13T00:00:00"}, /* both days must match */
    {"0 0 * * 7", "2030-05-19T00:00:00"},
    {"0 0 * * 5-7", "2030-05-17T00:00:00"},
    {"0 0 * jan-feb saturday", "2031-01-04T00:00:00"},
    {"0 9 * * * 2035", "2035-01-01T09:00:00"},
    {"30 0 9 * * * 2035", "2035-01-01T09:00:30"},
    {"0 9 * * * 2029", "never"},
    {"@hourly", "2030-05-15T11:00:00"},
    {"@daily # midnight", "2030-05-16T00:00:00"},
    {"@weekly", "2030-05-19T00:00:00"},
    {"@monthly", "2030-06-01T00:00:00"},
    {"@yearly", "2031-01-01T00:00:00"},
    {"@every 1h", "2030-05-15T11:00:00"},
    {"@every 1h30m/10m", "2030-05-15T10:40:00"},
    {"CRON_TZ=UTC 0 * * * *", "2030-05-15T11:00:00"},
};

TEST(cron_texts_mean_these_times)
{
    for (size_t i = 0; i < countof(cron_rows); i++) {
        test_row = cron_rows[i].cron;
        struct fixture f;
        begin(&f);
        PB_PUSH(&f.arena, &f.in, cron_string) = str_of(cron_rows[i].cron);
        check(build(&f, NULL) == ERR_NONE);
        if (f.spec != NULL) check_str(text_of(&f.arena, spec_next(f.spec, at(2030, 5, 15, 10, 20)).at), cron_rows[i].next);
        check(f.canonical != NULL && f.canonical->cron_string_count == 0);
        arena_fini(&f.arena);
    }
}

TEST(what_is_no_cron_text_is_refused_with_words)
{
    static const char *const rows[] = {"", "* * * *", "* * * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *",
                                       "a * * * *", "1,, * * * *", "@often", "@every", "@every 1x", "@every 0s", "@every 1h/1h", "* * * * * 1999", "@every 99999999999d"};
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i];
        struct fixture f;
        begin(&f);
        PB_PUSH(&f.arena, &f.in, cron_string) = str_of(rows[i]);
        check(build(&f, NULL) == ERR_INVALID);
        check(f.error.message.size != 0);
        arena_fini(&f.arena);
    }
}

TEST(cron_texts_are_shown_as_calendars_with_their_comment_and_zone)
{
    struct fixture f;
    begin(&f);
    PB_PUSH(&f.arena, &f.in, cron_string) = STR("TZ=Europe/Oslo 0 12 * * 5-7 # the weekend");
    check(build(&f, NULL) == ERR_NONE);
    const pb_schedule_StructuredCalendarSpec *c = f.canonical->structured_calendar[0];
    check_str(f.canonical->timezone_name, "Europe/Oslo");
    check_str(c->comment, "the weekend");
    check_int(c->hour[0]->start, 12);
    check_int(c->day_of_month[0]->end, 31);
    check_int(c->day_of_week_count, 2); /* 5-6 and 0 */
    check_int(c->day_of_week[1]->start, 0);
    check_int(c->year_count, 0);
    PB_PUSH(&f.arena, &f.in, cron_string) = STR("TZ=Asia/Tokyo 0 12 * * *");
    check(build(&f, NULL) == ERR_INVALID); /* two zones */
    arena_fini(&f.arena);
}

/* ---- print and parse ---- */

enum { FIELDS = 7 };
static const struct { int least, most; } bounds[FIELDS] = {{0, 59}, {0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}, {2000, 2100}}; /* second … day of week, year */

static struct str random_field(struct prng *prng, int field, struct arena *arena)
{
    struct str text = STR_EMPTY;
    if (prng_chance(prng, 4)) return STR("*");
    int count = 1 + (int)prng_below(prng, 3), span = bounds[field].most - bounds[field].least + 1;
    for (int i = 0; i < count; i++) {
        int a = bounds[field].least + (int)prng_below(prng, (uint64_t)span), b = a + (int)prng_below(prng, (uint64_t)(bounds[field].most - a + 1)), step = 1 + (int)prng_below(prng, 4);
        const char *comma = i == 0 ? "" : ",";
        switch (prng_below(prng, 4)) {
        case 0: text = arena_printf(arena, "%.*s%s%d", STR_ARG(text), comma, a); break;
        case 1: text = arena_printf(arena, "%.*s%s%d-%d", STR_ARG(text), comma, a, b); break;
        case 2: text = arena_printf(arena, "%.*s%s%d-%d/%d", STR_ARG(text), comma, a, b, step); break;
        default: text = arena_printf(arena, "%.*s%s*/%d", STR_ARG(text), comma, step); break;
        }
    }
    return text;
}

static struct str print_ranges(pb_schedule_Range *const *ranges, size_t count, struct arena *arena)
{
    struct str text = STR_EMPTY;
    for (size_t i = 0; i < count; i++)
        text = arena_printf(arena, "%.*s%s%d-%d/%d", STR_ARG(text), i == 0 ? "" : ",", ranges[i]->start, ranges[i]->end > ranges[i]->start ? ranges[i]->end : ranges[i]->start,
                            ranges[i]->step > 0 ? ranges[i]->step : 1);
    return count != 0 ? text : STR("*");
}

/* The fields of a structured calendar as texts, in the order of a cron text of seven. */
static void print_calendar(const pb_schedule_StructuredCalendarSpec *c, struct str *fields, struct arena *arena)
{
    fields[0] = print_ranges(c->second, c->second_count, arena);
    fields[1] = print_ranges(c->minute, c->minute_count, arena);
    fields[2] = print_ranges(c->hour, c->hour_count, arena);
    fields[3] = print_ranges(c->day_of_month, c->day_of_month_count, arena);
    fields[4] = print_ranges(c->month, c->month_count, arena);
    fields[5] = print_ranges(c->day_of_week, c->day_of_week_count, arena);
    fields[6] = print_ranges(c->year, c->year_count, arena);
}

/* The fields as a cron text, or as a calendar of texts: both mean the same. */
static const pb_schedule_StructuredCalendarSpec *parse_fields(struct fixture *f, const struct str *fields, bool is_cron)
{
    f->in = (pb_schedule_ScheduleSpec){0};
    if (is_cron) {
        struct str text = fields[0];
        for (int i = 1; i < FIELDS; i++) text = arena_printf(&f->arena, "%.*s %.*s", STR_ARG(text), STR_ARG(fields[i]));
        PB_PUSH(&f->arena, &f->in, cron_string) = text;
    } else {
        pb_schedule_CalendarSpec *c = PB_PUSH_NEW(&f->arena, &f->in, calendar);
        *c = (pb_schedule_CalendarSpec){.second = fields[0], .minute = fields[1], .hour = fields[2], .day_of_month = fields[3], .month = fields[4],
                                        .day_of_week = fields[5], .year = fields[6]};
    }
    check(build(f, NULL) == ERR_NONE);
    check_int(f->canonical->structured_calendar_count, 1);
    return f->canonical->structured_calendar[0];
}

TEST(parse_print_parse_gives_the_same_calendar)
{
    struct prng prng;
    prng_init(&prng, 11);
    for (int i = 0; i < 2000; i++) {
        struct fixture f;
        struct str fields[FIELDS], printed[FIELDS];
        begin(&f);
        for (int k = 0; k < FIELDS; k++) fields[k] = random_field(&prng, k, &f.arena);
        bool is_cron = prng_chance(&prng, 2);
        const pb_schedule_StructuredCalendarSpec *first = parse_fields(&f, fields, is_cron);
        print_calendar(first, printed, &f.arena);
        test_row = arena_cstr(&f.arena, arena_printf(&f.arena, "%s %.*s %.*s %.*s %.*s %.*s %.*s %.*s", is_cron ? "cron" : "calendar", STR_ARG(fields[0]), STR_ARG(fields[1]),
                                                     STR_ARG(fields[2]), STR_ARG(fields[3]), STR_ARG(fields[4]), STR_ARG(fields[5]), STR_ARG(fields[6])));
        instant begun = {INT64_C(1700000000) * NS_PER_S}, at_first = begun, at_other = begun;
        struct spec *spec = f.spec;
        const pb_schedule_StructuredCalendarSpec *other = parse_fields(&f, printed, !is_cron);
        check(PB_EQUAL(pb_schedule_StructuredCalendarSpec, first, other));
        for (int n = 0; n < 5 && at_first.ns != INSTANT_NEVER.ns; n++) {
            at_first = spec_next(spec, at_first).at;
            at_other = spec_next(f.spec, at_other).at;
            check_int(at_first.ns, at_other.ns);
        }
        arena_fini(&f.arena);
    }
    test_row = NULL;
}

TEST(excluded_calendars_start_and_end_take_times_away)
{
    struct fixture f;
    begin(&f);
    PB_PUSH_NEW(&f.arena, &f.in, interval)->interval = pb_duration_new(&f.arena, duration_s(1));
    pb_schedule_CalendarSpec *out = PB_PUSH_NEW(&f.arena, &f.in, exclude_calendar);
    out->second = out->minute = STR("*");
    out->hour = STR("0-22");
    f.in.start_time = pb_timestamp_new(&f.arena, (instant){at(2030, 1, 2, 0, 0).ns + 1});
    f.in.end_time = pb_timestamp_new(&f.arena, at(2030, 1, 3, 23, 0));
    check(build(&f, NULL) == ERR_NONE);
    instant t = spec_next(f.spec, at(2000, 1, 1, 0, 0)).at;
    check_str(text_of(&f.arena, t), "2030-01-02T23:00:00");
    for (int i = 1; i < 3600; i++) t = spec_next(f.spec, t).at;
    check_str(text_of(&f.arena, t), "2030-01-02T23:59:59");
    t = spec_next(f.spec, t).at;
    check_str(text_of(&f.arena, t), "2030-01-03T23:00:00");
    check_str(text_of(&f.arena, spec_next(f.spec, t).at), "never");
    arena_fini(&f.arena);
}

TEST(everything_excluded_ends_with_never)
{
    struct fixture f;
    begin(&f);
    PB_PUSH_NEW(&f.arena, &f.in, interval)->interval = pb_duration_new(&f.arena, duration_s(1));
    pb_schedule_CalendarSpec *out = PB_PUSH_NEW(&f.arena, &f.in, exclude_calendar);
    out->second = out->minute = out->hour = STR("*");
    check(build(&f, NULL) == ERR_NONE);
    check_str(text_of(&f.arena, spec_next(f.spec, at(2030, 1, 1, 0, 0)).at), "never");
    arena_fini(&f.arena);
}

/* From whatever moment one asks, the same moved times come in the same order, each before the next nominal one. */
TEST(jitter_moves_times_and_leaves_none_out)
{
    static const int64_t jitters[] = {1, 30, 59, 60, 61, 600, 86400};
    for (size_t j = 0; j < countof(jitters); j++) {
        struct fixture f;
        begin(&f);
        PB_PUSH_NEW(&f.arena, &f.in, interval)->interval = pb_duration_new(&f.arena, duration_s(60));
        f.in.jitter = pb_duration_new(&f.arena, duration_s(jitters[j]));
        check(build(&f, NULL) == ERR_NONE);
        instant t = at(2030, 1, 1, 0, 0);
        int64_t nominal = 0;
        bool has_moved = false;
        for (int i = 0; i < 200; i++) {
            struct spec_time next = spec_next(f.spec, t);
            check(next.at.ns > t.ns && next.at.ns >= next.nominal.ns && next.at.ns - next.nominal.ns < duration_s(jitters[j] < 60 ? jitters[j] : 60).ns);
            check(nominal == 0 || next.nominal.ns == nominal + 60 * NS_PER_S);
            check_int(spec_next(f.spec, (instant){t.ns + (next.at.ns - t.ns) / 2}).at.ns, next.at.ns);
            check_int(spec_next(f.spec, (instant){next.at.ns - 1}).at.ns, next.at.ns);
            if (next.at.ns != next.nominal.ns) has_moved = true;
            nominal = next.nominal.ns;
            t = next.at;
        }
        check(has_moved);
        arena_fini(&f.arena);
    }
}

/* A zone of our own: one change in the table, the rest by rule. */
static struct str zone_bytes(struct arena *arena, const char *rule)
{
    struct buf b = {0};
    static const char header[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (int block = 0; block < 2; block++) {
        buf_append(&b, header, 20);
        const uint8_t counts[24] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4}; /* one type, four name bytes */
        buf_append(&b, counts, sizeof counts);
        const uint8_t type[6] = {0, 0, 0x0e, 0x10, 0, 0}; /* an hour east */
        buf_append(&b, type, sizeof type);
        buf_append(&b, "CET", 4);
    }
    buf_printf(&b, "\n%s\n", rule);
    struct str bytes = arena_str(arena, buf_view(&b));
    buf_fini(&b);
    return bytes;
}

TEST(rules_of_zones_go_on_after_the_table)
{
    static const struct { const char *rule; int month, day, hour; int32_t offset; } rows[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", 3, 30, 0, 3600},   {"CET-1CEST,M3.5.0,M10.5.0/3", 3, 31, 1, 7200},   {"CET-1CEST,M3.5.0,M10.5.0/3", 10, 27, 0, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 10, 27, 1, 3600},  {"<+03>-3", 7, 1, 0, 10800},                      {"EST5EDT,M3.2.0,M11.1.0", 7, 1, 0, -14400},
        {"EST5EDT,M3.2.0,M11.1.0", 1, 1, 0, -18000},      {"IST-1GMT0,M10.5.0,M3.5.0/1", 1, 1, 0, 0},       {"IST-1GMT0,M10.5.0,M3.5.0/1", 7, 1, 0, 3600},
        {"A0B,J60/0,J61/0", 3, 1, 0, 3600},               {"A0B,59/0,60/0", 2, 29, 0, 3600},                {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 7, 1, 0, -3600},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].rule;
        struct arena arena;
        arena_init(&arena, 0, 0);
        struct tz *tz = NULL;
        check(tz_parse(zone_bytes(&arena, rows[i].rule), &arena, &tz) == ERR_NONE);
        int64_t end;
        if (tz != NULL) check_int(tz_offset(tz, at(2052, rows[i].month, rows[i].day, rows[i].hour, 0).ns / NS_PER_S, &end), rows[i].offset); /* a leap year */
        arena_fini(&arena);
    }
}

TEST(what_is_no_zone_file_is_refused)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct str good = zone_bytes(&arena, "CET-1");
    struct tz *tz;
    for (size_t n = 0; n < good.size; n++) check(tz_parse((struct str){good.data, n}, &arena, &tz) == ERR_INVALID);
    static const char *const rules[] = {"1", "CET", "CET-1CEST", "CET-1CEST,M13.1.0,M10.5.0", "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,M10.5.0x", "<CET-1", "CET-25"};
    for (size_t i = 0; i < countof(rules); i++) check(tz_parse(zone_bytes(&arena, rules[i]), &arena, &tz) == ERR_INVALID);
    arena_fini(&arena);
}

TEST_MAIN
