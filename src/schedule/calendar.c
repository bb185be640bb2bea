#include "schedule/calendar.h"

#include "schedule/spec.h"

enum { DAY_S = 86400 };

static bool has(uint64_t bits, int n) { return (bits >> n & 1) != 0; }
static bool has_year(const struct calendar *c, int64_t year)
{
    return year >= SPEC_YEAR_MIN && year <= SPEC_YEAR_MAX && has(c->years[(year - SPEC_YEAR_MIN) / 64], (int)((year - SPEC_YEAR_MIN) % 64));
}

/* A range whose end is before its start means its start alone. */
static err compile_field(pb_schedule_Range *const *ranges, size_t count, const char *name, int least, int most, int base, uint64_t *bits, struct arena *arena,
                         struct error *error)
{
    if (count > SPEC_ENTRY_MAX) return error_set(error, arena, ERR_INVALID, "the calendar's %s has more than %d ranges", name, SPEC_ENTRY_MAX);
    for (size_t i = 0; i < count; i++) {
        int64_t from = ranges[i]->start, to = ranges[i]->end < ranges[i]->start ? ranges[i]->start : ranges[i]->end, step = ranges[i]->step == 0 ? 1 : ranges[i]->step;
        if (from < least || to > most) return error_set(error, arena, ERR_INVALID, "the calendar's %s must be from %d to %d", name, least, most);
        if (step < 0) return error_set(error, arena, ERR_INVALID, "the step of the calendar's %s must not be negative", name);
        for (int64_t v = from; v <= to; v += step) bits[(v - base) / 64] |= UINT64_C(1) << ((v - base) % 64);
    }
    return ERR_NONE;
}

err calendar_compile(const pb_schedule_StructuredCalendarSpec *in, struct calendar *out, struct arena *arena, struct error *error)
{
    struct calendar c = {0};
    if (in->comment.size > SPEC_COMMENT_MAX) return error_set(error, arena, ERR_INVALID, "a calendar's comment has more than %d bytes", SPEC_COMMENT_MAX);
    TRY(compile_field(in->second, in->second_count, "second", 0, 59, 0, &c.second, arena, error));
    TRY(compile_field(in->minute, in->minute_count, "minute", 0, 59, 0, &c.minute, arena, error));
    TRY(compile_field(in->hour, in->hour_count, "hour", 0, 23, 0, &c.hour, arena, error));
    TRY(compile_field(in->day_of_month, in->day_of_month_count, "day of month", 1, 31, 0, &c.day, arena, error));
    TRY(compile_field(in->month, in->month_count, "month", 1, 12, 0, &c.month, arena, error));
    TRY(compile_field(in->day_of_week, in->day_of_week_count, "day of week", 0, 6, 0, &c.weekday, arena, error));
    TRY(compile_field(in->year, in->year_count, "year", SPEC_YEAR_MIN, SPEC_YEAR_MAX, SPEC_YEAR_MIN, c.years, arena, error));
    if (in->year_count == 0) c.years[0] = c.years[1] = UINT64_MAX;
    *out = c;
    return ERR_NONE;
}

/* The first matching second of a day at or after `from`; -1: none. */
static int64_t time_of_day(const struct calendar *c, int from)
{
    for (int h = from / 3600; h < 24; h++) {
        if (!has(c->hour, h)) continue;
        int m0 = h == from / 3600 ? from % 3600 / 60 : 0;
        for (int m = m0; m < 60; m++) {
            if (!has(c->minute, m)) continue;
            int s0 = h == from / 3600 && m == from % 3600 / 60 ? from % 60 : 0;
            uint64_t left = c->second >> s0;
            if (left != 0) return h * 3600 + m * 60 + s0 + __builtin_ctzll(left);
        }
    }
    return -1;
}

int64_t calendar_next(const struct calendar *c, int64_t t)
{
    if (c->second == 0 || c->minute == 0 || c->hour == 0) return INT64_MAX;
    int64_t day = (t >= 0 ? t : t - DAY_S + 1) / DAY_S;
    int from = (int)(t - day * DAY_S);
    int64_t first = civil_days(SPEC_YEAR_MIN, 1, 1);
    if (day < first) day = first, from = 0;
    for (;;) {
        struct civil_date d = civil_date_of(day);
        if (d.year > SPEC_YEAR_MAX) return INT64_MAX;
        if (!has_year(c, d.year)) {
            day = civil_days(d.year + 1, 1, 1);
        } else if (!has(c->month, d.month)) {
            day = d.month == 12 ? civil_days(d.year + 1, 1, 1) : civil_days(d.year, d.month + 1, 1);
        } else {
            int64_t time = has(c->day, d.day) && has(c->weekday, civil_weekday(day)) ? time_of_day(c, from) : -1;
            if (time >= 0) return day * DAY_S + time;
            day++;
        }
        from = 0;
    }
}

bool calendar_matches(const struct calendar *c, int64_t t, int64_t *last)
{
    int64_t day = (t >= 0 ? t : t - DAY_S + 1) / DAY_S;
    int time = (int)(t - day * DAY_S);
    struct civil_date d = civil_date_of(day);
    if (!has_year(c, d.year) || !has(c->month, d.month) || !has(c->day, d.day) || !has(c->weekday, civil_weekday(day)) || !has(c->hour, time / 3600) ||
        !has(c->minute, time % 3600 / 60) || !has(c->second, time % 60))
        return false;
    const uint64_t sixty = (UINT64_C(1) << 60) - 1, hours = (UINT64_C(1) << 24) - 1;
    int unit = c->second != sixty ? 1 : c->minute != sixty ? 60 : (c->hour & hours) != hours ? 3600 : DAY_S;
    *last = t - time % unit + unit - 1;
    return true;
}
