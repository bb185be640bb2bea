/* history/cron.h: cron schedules of workflows: five fields, or a word that begins with @.
 *
 *     field         values                 "30 8 * * MON-FRI"   half past eight on working days
 *     minute        0-59                   "@every 90s"         every 90 seconds from the start on
 *     hour          0-23                   "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"
 *     day of month  1-31, ?                "CRON_TZ=Europe/Berlin 0 8 * * *" (or TZ=) names the zone; UTC when there is none
 *     month         1-12, JAN-DEC
 *     day of week   0-6, SUN-SAT, ?
 * A field is a list of *, value, a-b, each maybe with /step. When both day fields are restricted, one of them suffices.
 * Fields are of the zone's local time: a time that it skips when its clocks go forward does not come that day, one that it has twice ticks twice.
 * Pure; no clock. Source: F006. */
#ifndef HISTORY_CRON_H
#define HISTORY_CRON_H

#include "base/instant.h"
#include "base/tz.h"

struct cron {
    uint64_t minutes, hours, days, months, weekdays; /* bit n: value n */
    bool is_any_day, is_any_weekday;
    duration every;  /* @every; then the fields are not used */
    struct str zone; /* lent by the text; empty: UTC */
};

/* Whether its zone exists is for the caller to see. */
bool cron_parse(struct str text, struct cron *cron);
/* The first tick after t; INSTANT_NEVER when there is none within five years. */
instant cron_next(const struct cron *cron, const struct tz *tz, instant t);
/* The wait, in whole seconds, from now to the first tick after now of a schedule whose ticks are counted from `from`.
 * Negative: there is none. */
duration cron_backoff(const struct cron *cron, const struct tz *tz, instant from, instant now);

#endif
