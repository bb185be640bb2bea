/* visibility/time_text.h: times and spans as filters spell them. Pure. Source: RFC 3339; the spans of the public filter documentation. */
#ifndef VISIBILITY_TIME_TEXT_H
#define VISIBILITY_TIME_TEXT_H

#include "base/arena.h"
#include "base/instant.h"

/* "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05+02:00". What an instant can not hold (before 1677, after 2262) becomes the nearest it can. */
bool time_text_parse(struct str text, instant *out);
struct str time_text_print(instant t, struct arena *arena); /* UTC, as few digits of the fraction as it needs */

/* "1h30m", "-1.5s", "250ms", "2d", "01:02:03", or a whole number of ns. */
bool span_text_parse(struct str text, duration *out);

#endif
