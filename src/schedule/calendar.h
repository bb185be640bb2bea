/* schedule/calendar.h: one calendar as sets of numbers. Not for other folders. */
#ifndef SCHEDULE_CALENDAR_H
#define SCHEDULE_CALENDAR_H

#include "base/err.h"
#include "proto/api.h"

struct calendar {
    uint64_t second, minute, hour, day, month, weekday; /* bit n: value n */
    uint64_t years[2];                                  /* bit n: 2000 + n */
};

/* ERR_INVALID: a number out of its field's range, a negative step, a long comment. */
MUST_USE err calendar_compile(const pb_schedule_StructuredCalendarSpec *in, struct calendar *out, struct arena *arena, struct error *error);
/* The first time at or after t, both by the clock on the wall, in seconds since 1970; INT64_MAX: none. */
int64_t calendar_next(const struct calendar *c, int64_t t);
/* Does it match t? Then *last is the last second of the unbroken stretch of matches that can be told at a glance. */
bool calendar_matches(const struct calendar *c, int64_t t, int64_t *last);

#endif
