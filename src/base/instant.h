/* base/instant.h: points in time and spans, which the compiler does not mix up. Reading a clock is not here: see server/ and sim/. */
#ifndef BASE_INSTANT_H
#define BASE_INSTANT_H

#include "base/base.h"

typedef struct { int64_t ns; } instant;  /* UTC, since 1970-01-01; 0 = not set */
typedef struct { int64_t ns; } duration; /* may be negative only where a header says so */

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define DURATION_MAX ((duration){INT64_C(100) * 366 * 86400 * NS_PER_S}) /* official cap: about 100 years */
#define INSTANT_NEVER ((instant){INT64_MAX})

static inline duration duration_s(int64_t s) { return (duration){s * NS_PER_S}; }
static inline duration duration_ms(int64_t ms) { return (duration){ms * NS_PER_MS}; }
static inline bool duration_is_zero(duration d) { return d.ns == 0; }
static inline duration duration_min(duration a, duration b) { return a.ns < b.ns ? a : b; }
static inline duration duration_max(duration a, duration b) { return a.ns > b.ns ? a : b; }
static inline bool instant_is_set(instant t) { return t.ns != 0; }
static inline bool instant_before(instant a, instant b) { return a.ns < b.ns; }
static inline instant instant_min(instant a, instant b) { return a.ns < b.ns ? a : b; }
static inline instant instant_max(instant a, instant b) { return a.ns > b.ns ? a : b; }
static inline duration instant_since(instant later, instant earlier) { return (duration){later.ns - earlier.ns}; }
static inline instant instant_add(instant t, duration d) /* saturates */
{
    int64_t ns;
    if (__builtin_add_overflow(t.ns, d.ns, &ns)) return d.ns > 0 ? INSTANT_NEVER : (instant){INT64_MIN};
    return (instant){ns};
}

#endif
