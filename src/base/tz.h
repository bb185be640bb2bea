/* base/tz.h: a time zone from the bytes of a TZif file, versions 1 to 3: its table of changes, and the rule in its footer for the times after.
 *
 * Times are seconds since 1970 UTC, offsets seconds east of UTC. Pure; the bytes come from the caller, who may have them from anybody.
 * Source: RFC 8536. */
#ifndef BASE_TZ_H
#define BASE_TZ_H

#include "base/err.h"

#define TZ_BYTES_MAX ((size_t)256 << 10)

struct tz;

/* In the arena; the bytes are not kept. ERR_INVALID: not a zone file. */
MUST_USE err tz_parse(struct str bytes, struct arena *arena, struct tz **tz);
/* The offset at t and the first second at which it may be another one (INT64_MAX: never). NULL is UTC. */
int32_t tz_offset(const struct tz *tz, int64_t t, int64_t *end);

/* Days since 1970 of a date of the Gregorian calendar, and back. month 1-12, day 1-31. */
struct civil_date { int64_t year; int month, day; };
int64_t civil_days(int64_t year, int month, int day);
struct civil_date civil_date_of(int64_t days);
static inline int civil_weekday(int64_t days) { return (int)(((days + 4) % 7 + 7) % 7); } /* 0 = Sunday */

#endif
