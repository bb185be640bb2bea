/* schedule/spec.h: a schedule's specification: which times it means.
 *
 * A time is meant when a calendar or an interval matches it, no excluded calendar does, and it lies from start to end. Calendars look at the
 * clock on the wall in the specification's zone: a time that a change of clocks leaves out is not there that day, one that it repeats is
 * there twice. Jitter moves each time by a span that its seed and the time decide, never up to the next time. Times end with the year 2100.
 *
 * Pure. Source: temporal.api.schedule.v1.ScheduleSpec, F095 to F098. */
#ifndef SCHEDULE_SPEC_H
#define SCHEDULE_SPEC_H

#include "base/instant.h"
#include "proto/api.h"
#include "base/tz.h"

#define SPEC_COMMENT_MAX 200 /* bytes */
#define SPEC_ENTRY_MAX 1000  /* calendars, intervals, ranges of a field; each */
#define SPEC_YEAR_MIN 2000
#define SPEC_YEAR_MAX 2100

/* The specification as it is stored and shown: texts become ranges and intervals, and the zone a cron text names becomes the specification's.
 * Parts are shared with `in`. ERR_INVALID with words. */
MUST_USE err spec_canonical(const pb_schedule_ScheduleSpec *in, struct arena *arena, pb_schedule_ScheduleSpec **out, struct error *error);

struct spec;
/* A canonical specification made ready to be asked. tz: its zone, NULL = UTC; borrowed, with `in`, as long as the spec lives. seed: of the jitter. */
MUST_USE err spec_compile(const pb_schedule_ScheduleSpec *in, const struct tz *tz, uint64_t seed, struct arena *arena, struct spec **out,
                          struct error *error);

struct spec_time {
    instant nominal; /* as specified */
    instant at;      /* with jitter; INSTANT_NEVER: there is none */
};
/* The first time whose `at` is after t. Looks at a bounded number of excluded times and then says that there is none. */
struct spec_time spec_next(const struct spec *spec, instant t);

#endif
