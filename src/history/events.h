/* history/events.h: how events come into a history.
 *
 * An event is made in the step's arena, may point at parts of the request, and is encoded once, when it is added. While a
 * workflow task is started, events from outside are buffered: they get their ids when the task ends (event_flush_buffer).
 * Source: features F021, F048-F059. */
#ifndef HISTORY_EVENTS_H
#define HISTORY_EVENTS_H

#include "history/state.h"

typedef pb_history_HistoryEvent event;

/* A new event at step->now; then, e.g., struct pb_history_…TimerFired… *a = EVENT_SET(step, ev, timer_fired_event_attributes). */
event *event_new(struct step *step, int32_t type);
#define EVENT_SET(step, ev, field)                                    \
    ((ev)->attributes_case = pb_history_HistoryEvent_##field##_tag,   \
     (ev)->field = arena_zalloc((step)->arena, sizeof *(ev)->field))

/* Writes it to the history and returns its id, or buffers it and returns EVENT_BUFFERED. */
enum { EVENT_BUFFERED = -1 };
int64_t event_add(struct execution *e, struct step *step, event *ev);
/* Buffers it in any case: it is written at the next event_flush_buffer. */
void event_add_late(struct execution *e, struct step *step, event *ev);
bool event_buffered_is_sound(struct str bytes, struct arena *arena);
bool event_has_buffered(const struct execution *e);
/* Gives buffered events their ids: first the others in order, then what closes activities and children. Returns whether
 * there were any. No workflow task may be started. */
bool event_flush_buffer(struct execution *e, struct step *step);
/* The buffered TimerFired of a timer, or NULL, and how to take it out again. (F035) */
struct item *event_buffered_timer(const struct execution *e, struct str timer_id, struct arena *arena);
void event_unbuffer(struct item *item);
/* Whether the end of this activity is buffered. */
bool event_has_buffered_end(const struct execution *e, int64_t scheduled_event_id, struct arena *arena);
bool event_is_closing(int32_t type); /* closes the run */

/* Drops from memory what was flushed, beyond what is worth keeping for the next poll. */
void event_trim(struct execution *e);

#endif
