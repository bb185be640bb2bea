#include "history/machines.h"

/* Task ids rise over all events of a run, and over the runs of a shard: each run has 2^20 of its own. */
enum { TASK_ID_SHIFT = 20 };
enum { CACHE_MAX = 64 * 1024, CACHE_KEEP = 16 * 1024 };

/* What workflow code does not depend on: a worker that does not know such an event passes over it instead of failing. */
static bool may_be_ignored(int32_t type)
{
    return type == EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED || type == EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED ||
           type == EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED;
}

event *event_new(struct step *step, int32_t type)
{
    event *ev = pb_new(step->arena, event);
    ev->event_type = type;
    ev->worker_may_ignore = may_be_ignored(type);
    ev->event_time = timestamp_of(step->arena, step->now);
    return ev;
}

bool event_is_closing(int32_t type)
{
    switch (type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: return true;
    default: return false;
    }
}

/* What a running workflow task must not see: events from outside. Those of the task itself and those that end the run pass. */
static bool waits_for_task(int32_t type)
{
    switch (type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: case EVENT_TYPE_WORKFLOW_TASK_STARTED:
    case EVENT_TYPE_WORKFLOW_TASK_COMPLETED: case EVENT_TYPE_WORKFLOW_TASK_FAILED: case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: return false;
    default: return !event_is_closing(type);
    }
}

/* Puts the encoded event behind the newest one. */
static void append(struct execution *e, struct str bytes)
{
    if (e->events.size > CACHE_MAX) event_trim(e);
    size_t count = (size_t)(e->s->next_event_id - e->cached_from);
    if (count == e->offset_capacity) {
        e->offset_capacity = size_max(16, e->offset_capacity * 2);
        e->offsets = xrealloc(e->offsets, e->offset_capacity * sizeof *e->offsets);
    }
    ensure(e->events.size < UINT32_MAX / 2);
    e->offsets[count] = (uint32_t)e->events.size;
    size_t before = e->events.size;
    pb_append_field(&e->events, 1, bytes);
    e->s->history_size += (int64_t)(e->events.size - before);
    e->s->next_event_id++;
}

static int64_t write_now(struct execution *e, struct step *step, event *ev)
{
    ev->event_id = e->s->next_event_id;
    ev->task_id = (e->s->run_key << TASK_ID_SHIFT) + ev->event_id;
    append(e, PB_ENCODE_ARENA(pb_history_HistoryEvent, ev, step->arena));
    step_notice(step, event_is_closing(ev->event_type) ? NOTICE_CLOSED : NOTICE_NEW_EVENTS, e, STR_EMPTY);
    return ev->event_id;
}

int64_t event_add(struct execution *e, struct step *step, event *ev)
{
    ensure(execution_is_open(e));
    bool is_speculative = task_is(e, WORKFLOW_TASK_STATE_SCHEDULED) && e->s->task->kind == WORKFLOW_TASK_KIND_SPECULATIVE;
    if (is_speculative && waits_for_task(ev->event_type)) workflow_task_make_normal(e, step); /* its events go before this one */
    if (!task_is(e, WORKFLOW_TASK_STATE_STARTED) || !waits_for_task(ev->event_type)) return write_now(e, step, ev);
    if (e->s->task->kind == WORKFLOW_TASK_KIND_SPECULATIVE) workflow_task_write_held(e, step); /* a task with news is there to stay */
    event_add_late(e, step, ev);
    return EVENT_BUFFERED;
}

void event_add_late(struct execution *e, struct step *step, event *ev)
{
    (void)step;
    struct item *item = item_new(e, ITEM_BUFFERED, ++e->s->last_buffered, STR_EMPTY);
    item->buffered->number = e->s->last_buffered;
    item->buffered->event = PB_ENCODE_ARENA(pb_history_HistoryEvent, ev, &item->arena);
    e->buffered_bytes += item->buffered->event.size;
}

bool event_has_buffered(const struct execution *e) { return item_count(e, ITEM_BUFFERED) != 0; }

/* ---- the end of the buffer ---- */

/* What was started while buffered: (its scheduled or initiated event, the id the started event got). */
struct start_id { int64_t began, started; };
struct starts { struct start_id *ids; size_t count; };

/* What closes an activity or a child goes last. (F021) */
static bool goes_last(int32_t type)
{
    switch (type) {
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: case EVENT_TYPE_ACTIVITY_TASK_FAILED: case EVENT_TYPE_ACTIVITY_TASK_CANCELED:
    case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: return true;
    default: return false;
    }
}

static void note_start(struct starts *starts, int64_t began, int64_t started)
{
    starts->ids[starts->count++] = (struct start_id){began, started};
}

/* The event has its id now: whoever refers to it learns it. */
static void tell_id(struct execution *e, struct starts *starts, const event *ev)
{
    struct item *item = NULL;
    switch (ev->event_type) {
    case EVENT_TYPE_ACTIVITY_TASK_STARTED:
        note_start(starts, ev->activity_task_started_event_attributes->scheduled_event_id, ev->event_id);
        break;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
        note_start(starts, ev->child_workflow_execution_started_event_attributes->initiated_event_id, ev->event_id);
        item = item_by_number(e, ITEM_CHILD, ev->child_workflow_execution_started_event_attributes->initiated_event_id);
        if (item != NULL) item->child->started_event_id = ev->event_id;
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        item = item_by_name(e, ITEM_REQUEST_ID, ev->workflow_execution_signaled_event_attributes->request_id);
        if (item != NULL) item->request_id->event_id = ev->event_id;
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
        item = item_by_name(e, ITEM_REQUEST_ID, ev->workflow_execution_options_updated_event_attributes->attached_request_id);
        if (item != NULL) item->request_id->event_id = ev->event_id;
        break;
    default: break;
    }
    if (item != NULL) item_changed(item);
}

static void fix(const struct starts *starts, int64_t began, int64_t *started)
{
    if (*started != EVENT_BUFFERED) return;
    for (size_t i = 0; i < starts->count; i++)
        if (starts->ids[i].began == began) *started = starts->ids[i].started;
    if (*started == EVENT_BUFFERED) *started = 0; /* a row that lost its neighbour: no id is better than a wrong one */
}

static void fix_references(const struct starts *starts, event *ev)
{
    switch (ev->event_type) {
#define ENDS(type, field, began)                                                  \
    case type: fix(starts, ev->field->began, &ev->field->started_event_id); break;
    ENDS(EVENT_TYPE_ACTIVITY_TASK_COMPLETED, activity_task_completed_event_attributes, scheduled_event_id)
    ENDS(EVENT_TYPE_ACTIVITY_TASK_FAILED, activity_task_failed_event_attributes, scheduled_event_id)
    ENDS(EVENT_TYPE_ACTIVITY_TASK_CANCELED, activity_task_canceled_event_attributes, scheduled_event_id)
    ENDS(EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, activity_task_timed_out_event_attributes, scheduled_event_id)
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed_event_attributes, initiated_event_id)
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed_event_attributes, initiated_event_id)
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled_event_attributes, initiated_event_id)
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out_event_attributes, initiated_event_id)
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated_event_attributes, initiated_event_id)
#undef ENDS
    default: break;
    }
}

static event *decode_buffered(const struct item *item, struct arena *arena)
{
    event *ev = NULL;
    ensure(PB_DECODE(arena, item->buffered->event, pb_history_HistoryEvent, &ev) == ERR_NONE);
    return ev;
}

/* For rows from the store: what is read of a buffered event is there. */
bool event_buffered_is_sound(struct str bytes, struct arena *arena)
{
    static const struct { int32_t type, tag; } rows[] = {
#define ROW(type, field) {EVENT_TYPE_##type, pb_history_HistoryEvent_##field##_event_attributes_tag}
        ROW(ACTIVITY_TASK_STARTED, activity_task_started), ROW(ACTIVITY_TASK_COMPLETED, activity_task_completed),
        ROW(ACTIVITY_TASK_FAILED, activity_task_failed), ROW(ACTIVITY_TASK_CANCELED, activity_task_canceled),
        ROW(ACTIVITY_TASK_TIMED_OUT, activity_task_timed_out), ROW(TIMER_FIRED, timer_fired),
        ROW(CHILD_WORKFLOW_EXECUTION_STARTED, child_workflow_execution_started),
        ROW(CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed),
        ROW(CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed),
        ROW(CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled),
        ROW(CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out),
        ROW(CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated),
        ROW(WORKFLOW_EXECUTION_SIGNALED, workflow_execution_signaled), ROW(WORKFLOW_EXECUTION_OPTIONS_UPDATED, workflow_execution_options_updated),
#undef ROW
    };
    event *ev = NULL;
    if (PB_DECODE(arena, bytes, pb_history_HistoryEvent, &ev) != ERR_NONE || ev->event_id != 0) return false;
    if (event_is_closing(ev->event_type) || ev->attributes_case == 0 || ev->timer_fired_event_attributes == NULL) return false;
    for (size_t i = 0; i < countof(rows); i++)
        if (rows[i].type == ev->event_type) return rows[i].tag == ev->attributes_case;
    return true;
}

bool event_flush_buffer(struct execution *e, struct step *step)
{
    size_t count = item_count(e, ITEM_BUFFERED), n = 0;
    if (count == 0) return false;
    ensure(!task_is(e, WORKFLOW_TASK_STATE_STARTED));
    event **events = arena_array(step->arena, event *, count);
    struct starts starts = {.ids = arena_array(step->arena, struct start_id, count)};
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_BUFFERED, &at)) != NULL;) {
        events[n++] = decode_buffered(item, step->arena);
        item_remove(item);
    }
    e->buffered_bytes = 0;
    for (int is_last = 0; is_last <= 1; is_last++)
        for (size_t i = 0; i < count; i++) {
            if (goes_last(events[i]->event_type) != (bool)is_last) continue;
            fix_references(&starts, events[i]);
            write_now(e, step, events[i]);
            tell_id(e, &starts, events[i]);
        }
    return true;
}

static bool is_fired(const struct item *item, struct str timer_id, struct arena *arena)
{
    event *ev = decode_buffered(item, arena);
    return ev->event_type == EVENT_TYPE_TIMER_FIRED && str_equal(ev->timer_fired_event_attributes->timer_id, timer_id);
}

struct item *event_buffered_timer(const struct execution *e, struct str timer_id, struct arena *arena)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_BUFFERED, &at)) != NULL;)
        if (is_fired(item, timer_id, arena)) return item;
    return NULL;
}

static int64_t ended_activity(const event *ev)
{
    switch (ev->event_type) {
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: return ev->activity_task_completed_event_attributes->scheduled_event_id;
    case EVENT_TYPE_ACTIVITY_TASK_FAILED: return ev->activity_task_failed_event_attributes->scheduled_event_id;
    case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: return ev->activity_task_timed_out_event_attributes->scheduled_event_id;
    case EVENT_TYPE_ACTIVITY_TASK_CANCELED: return ev->activity_task_canceled_event_attributes->scheduled_event_id;
    default: return 0;
    }
}

bool event_has_buffered_end(const struct execution *e, int64_t scheduled_event_id, struct arena *arena)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_BUFFERED, &at)) != NULL;)
        if (ended_activity(decode_buffered(item, arena)) == scheduled_event_id) return true;
    return false;
}

void event_unbuffer(struct item *item)
{
    item->owner->buffered_bytes -= item->buffered->event.size;
    item_remove(item);
}

/* ---- the newest events ---- */

void event_trim(struct execution *e)
{
    if (e->unsaved_from == e->cached_from) return;
    size_t flushed = (size_t)(e->unsaved_from - e->cached_from), count = (size_t)(e->s->next_event_id - e->cached_from);
    size_t drop = 0;
    while (drop < flushed && e->events.size - e->offsets[drop] > CACHE_KEEP) drop++;
    if (drop == 0) return;
    uint32_t bytes = drop < count ? e->offsets[drop] : (uint32_t)e->events.size;
    buf_consume(&e->events, bytes);
    for (size_t i = drop; i < count; i++) e->offsets[i - drop] = e->offsets[i] - bytes;
    e->cached_from += (int64_t)drop;
}

struct str execution_cached_range(const struct execution *e, int64_t from, int64_t to)
{
    ensure(from >= e->cached_from && from <= to && to <= e->s->next_event_id);
    if (from == to) return STR_EMPTY;
    size_t begin = e->offsets[from - e->cached_from];
    size_t end = to < e->s->next_event_id ? e->offsets[to - e->cached_from] : e->events.size;
    return str_make(e->events.data + begin, end - begin);
}

void execution_history(const struct execution *e, struct arena *arena, struct history_view *view)
{
    const pb_store_RunState *s = e->s;
    struct history_branch *branches = arena_array(arena, struct history_branch, s->branches_count);
    for (size_t i = 0; i < s->branches_count; i++) {
        const pb_store_HistoryBranch *b = s->branches[i];
        int64_t end = b->end_event_id != 0 ? b->end_event_id : s->next_event_id;
        branches[i] = (struct history_branch){b->branch, b->first_event_id, end};
    }
    *view = (struct history_view){branches, s->branches_count, e->cached_from, buf_view(&e->events), s->next_event_id, s->history_size};
}
