#include "schedule/spec.h"

#include "schedule/calendar.h"

enum { EXCLUDED_MAX = 100000 }; /* stretches of excluded times that one question looks over */

struct interval { int64_t every, phase; }; /* seconds */
struct spec {
    struct calendar *calendars, *excluded;
    struct interval *intervals;
    size_t calendar_count, excluded_count, interval_count;
    int64_t start, end; /* seconds, both included */
    int64_t jitter_ns;
    const struct tz *tz;
    uint64_t seed;
};

static int64_t floor_s(instant t) { return t.ns >= 0 ? t.ns / NS_PER_S : (t.ns - NS_PER_S + 1) / NS_PER_S; }

static err compile_interval(const pb_schedule_IntervalSpec *in, struct interval *out, struct arena *arena, struct error *error)
{
    out->every = in->interval != NULL ? pb_duration(in->interval).ns / NS_PER_S : 0;
    out->phase = in->phase != NULL ? pb_duration(in->phase).ns / NS_PER_S : 0;
    if (out->every < 1) return error_set(error, arena, ERR_INVALID, "an interval must be at least one second");
    if (out->phase < 0 || out->phase >= out->every) return error_set(error, arena, ERR_INVALID, "an interval's phase must be at least 0 and less than the interval");
    return ERR_NONE;
}

static err compile_calendars(pb_schedule_StructuredCalendarSpec *const *in, size_t count, struct calendar **out, struct arena *arena, struct error *error)
{
    *out = arena_array(arena, struct calendar, count);
    for (size_t i = 0; i < count; i++) TRY(calendar_compile(in[i], &(*out)[i], arena, error));
    return ERR_NONE;
}

err spec_compile(const pb_schedule_ScheduleSpec *in, const struct tz *tz, uint64_t seed, struct arena *arena, struct spec **out, struct error *error)
{
    if (in->structured_calendar_count > SPEC_ENTRY_MAX || in->exclude_structured_calendar_count > SPEC_ENTRY_MAX || in->interval_count > SPEC_ENTRY_MAX)
        return error_set(error, arena, ERR_INVALID, "a specification has at most %d calendars, excluded calendars and intervals each", SPEC_ENTRY_MAX);
    struct spec *s = arena_new(arena, struct spec);
    *s = (struct spec){.start = INT64_MIN, .end = INT64_MAX, .tz = tz, .seed = seed};
    s->calendar_count = in->structured_calendar_count;
    s->excluded_count = in->exclude_structured_calendar_count;
    s->interval_count = in->interval_count;
    TRY(compile_calendars(in->structured_calendar, s->calendar_count, &s->calendars, arena, error));
    TRY(compile_calendars(in->exclude_structured_calendar, s->excluded_count, &s->excluded, arena, error));
    s->intervals = arena_array(arena, struct interval, s->interval_count);
    for (size_t i = 0; i < s->interval_count; i++) TRY(compile_interval(in->interval[i], &s->intervals[i], arena, error));
    if (in->start_time != NULL) s->start = -floor_s((instant){-pb_instant(in->start_time).ns});
    if (in->end_time != NULL) s->end = floor_s(pb_instant(in->end_time));
    if (in->start_time != NULL && in->end_time != NULL && s->end < s->start) return error_set(error, arena, ERR_INVALID, "the specification ends before it starts");
    s->jitter_ns = in->jitter != NULL ? pb_duration(in->jitter).ns : 0;
    if (s->jitter_ns < 0) return error_set(error, arena, ERR_INVALID, "the jitter must not be negative");
    *out = s;
    return ERR_NONE;
}

/* ---- times ---- */

/* Stretches of one offset are looked at one after the other: within one, the clock on the wall runs evenly. */
static int64_t next_of_calendar(const struct spec *s, const struct calendar *c, int64_t t)
{
    const int64_t last = civil_days(SPEC_YEAR_MAX + 1, 1, 2) * 86400;
    while (t <= last) {
        int64_t end;
        int32_t offset = tz_offset(s->tz, t, &end);
        int64_t found = calendar_next(c, t + offset);
        if (found == INT64_MAX && end > last) return INT64_MAX;
        if (found != INT64_MAX && found - offset < end) return found - offset;
        t = end;
    }
    return INT64_MAX;
}

static int64_t next_of_interval(const struct interval *i, int64_t t)
{
    int64_t from = t - i->phase, n = from >= 0 ? (from + i->every - 1) / i->every : -(-from / i->every);
    int64_t product;
    return __builtin_mul_overflow(n, i->every, &product) || product > INT64_MAX / NS_PER_S - i->phase ? INT64_MAX : product + i->phase;
}

static bool is_excluded(const struct spec *s, int64_t t, int64_t *last)
{
    if (s->excluded_count == 0) return false;
    int64_t end, found = INT64_MIN;
    int32_t offset = tz_offset(s->tz, t, &end);
    for (size_t i = 0; i < s->excluded_count; i++) {
        int64_t wall;
        if (calendar_matches(&s->excluded[i], t + offset, &wall) && wall - offset > found) found = wall - offset;
    }
    *last = found < end ? found : end - 1;
    return found != INT64_MIN;
}

/* The first nominal time at or after t; INT64_MAX: none. */
static int64_t next_nominal(const struct spec *s, int64_t t)
{
    const int64_t last_of_all = civil_days(SPEC_YEAR_MAX + 1, 1, 1) * 86400 - 1;
    if (t < s->start) t = s->start;
    for (int looked = 0; looked < EXCLUDED_MAX; looked++) {
        int64_t best = INT64_MAX, last;
        for (size_t i = 0; i < s->calendar_count; i++) {
            int64_t n = next_of_calendar(s, &s->calendars[i], t);
            if (n < best) best = n;
        }
        for (size_t i = 0; i < s->interval_count; i++) {
            int64_t n = next_of_interval(&s->intervals[i], t);
            if (n < best) best = n;
        }
        if (best > s->end || best > last_of_all) return INT64_MAX;
        if (!is_excluded(s, best, &last)) return best;
        t = last + 1;
    }
    return INT64_MAX;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static struct spec_time with_jitter(const struct spec *s, int64_t nominal)
{
    struct spec_time time = {{nominal * NS_PER_S}, {nominal * NS_PER_S}};
    if (s->jitter_ns == 0) return time;
    int64_t next = next_nominal(s, nominal + 1), limit = s->jitter_ns;
    if (next != INT64_MAX && next - nominal <= limit / NS_PER_S) limit = (next - nominal) * NS_PER_S;
    uint64_t ms = (uint64_t)(limit / NS_PER_MS);
    if (ms != 0) time.at.ns += (int64_t)(mix(s->seed + (uint64_t)nominal * UINT64_C(0x9e3779b97f4a7c15)) % ms) * NS_PER_MS;
    return time;
}

/* The last nominal time from `least` to t: the largest x from which the next one is not after t. INT64_MIN: none. */
static int64_t last_nominal(const struct spec *s, int64_t least, int64_t t)
{
    if (next_nominal(s, least) > t) return INT64_MIN;
    int64_t low = least, high = t; /* next_nominal(low) <= t */
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (next_nominal(s, middle) <= t) low = middle;
        else high = middle - 1;
    }
    return next_nominal(s, low);
}

struct spec_time spec_next(const struct spec *s, instant t)
{
    int64_t after = floor_s(t);
    if (s->jitter_ns != 0) {
        /* the last time before t may be moved behind it; no earlier one is, for none is moved up to its next */
        int64_t before = last_nominal(s, after - s->jitter_ns / NS_PER_S - 1, after);
        struct spec_time moved = before != INT64_MIN ? with_jitter(s, before) : (struct spec_time){0};
        if (before != INT64_MIN && moved.at.ns > t.ns) return moved;
    }
    int64_t nominal = next_nominal(s, after + 1);
    if (nominal == INT64_MAX) return (struct spec_time){INSTANT_NEVER, INSTANT_NEVER};
    return with_jitter(s, nominal);
}
