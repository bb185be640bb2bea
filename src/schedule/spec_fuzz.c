/* Texts of specifications and zone files from anybody: no crash, and times that rise. First byte: 0 a zone file, else a cron text. */
#include "schedule/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const pb_schedule_ScheduleSpec *in, const struct tz *tz, struct arena *arena)
{
    pb_schedule_ScheduleSpec *canonical;
    struct spec *spec;
    struct error error = {0};
    if (spec_canonical(in, arena, &canonical, &error) != ERR_NONE) return;
    if (spec_compile(canonical, tz, 1, arena, &spec, &error) != ERR_NONE) return;
    instant t = {INT64_C(1700000000) * NS_PER_S};
    for (int i = 0; i < 10; i++) {
        struct spec_time next = spec_next(spec, t);
        ensure(next.at.ns > t.ns && (next.at.ns == INSTANT_NEVER.ns || next.at.ns >= next.nominal.ns));
        if (next.at.ns == INSTANT_NEVER.ns) break;
        t = next.at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct str rest = {(const char *)data + 1, size - 1};
    pb_schedule_ScheduleSpec in = {0};
    struct tz *tz = NULL;
    if (data[0] == 0) {
        if (tz_parse(rest, &arena, &tz) == ERR_NONE) {
            PB_PUSH(&arena, &in, cron_string) = STR("30 1-3 * * *");
            ask(&in, tz, &arena);
        }
    } else {
        if (data[0] & 1) in.jitter = pb_duration_new(&arena, duration_s(data[0]));
        pb_schedule_CalendarSpec *calendar = PB_PUSH_NEW(&arena, &in, calendar);
        if (data[0] & 2) calendar->minute = calendar->day_of_week = rest;
        PB_PUSH(&arena, &in, cron_string) = rest;
        ask(&in, NULL, &arena);
    }
    arena_fini(&arena);
    return 0;
}
