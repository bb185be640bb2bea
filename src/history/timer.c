/* history/timer.c: timers that the workflow sets. Source: F032, F035, F051, F079. */
#include "history/machines.h"

bool timer_check_start(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES };
    const pb_command_StartTimerCommandAttributes *a = command->start_timer_command_attributes;
    if (str_is_empty(a->timer_id)) return completion_refuse(c, BAD, "a timer has no id");
    if (a->timer_id.size > (size_t)c->step->limits->id_length_max) return completion_refuse(c, BAD, "the id of a timer is too long");
    if (ns_of(a->start_to_fire_timeout) < 0) return completion_refuse(c, BAD, "timer %.*s has a negative duration", STR_ARG(a->timer_id));
    if (completion_has_id(c, ITEM_TIMER, &c->timers, a->timer_id))
        return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_START_TIMER_DUPLICATE_ID, "a timer with id %.*s is pending", STR_ARG(a->timer_id));
    completion_note_id(c, &c->timers, a->timer_id, true);
    return true;
}

void timer_start(struct completion *c, const pb_command_Command *command)
{
    const pb_command_StartTimerCommandAttributes *from = command->start_timer_command_attributes;
    event *ev = event_new(c->step, EVENT_TYPE_TIMER_STARTED);
    pb_history_TimerStartedEventAttributes *a = EVENT_SET(c->step, ev, timer_started_event_attributes);
    ev->user_metadata = command->user_metadata;
    ev->event_group_markers = command->event_group_markers;
    ev->event_group_markers_count = command->event_group_markers_count;
    a->timer_id = from->timer_id;
    a->start_to_fire_timeout = duration_of(c->step->arena, ns_of(from->start_to_fire_timeout));
    a->workflow_task_completed_event_id = c->completed_event_id;
    struct item *item = item_new(c->e, ITEM_TIMER, 0, from->timer_id);
    item->timer->timer_id = item_str(item, from->timer_id);
    item->timer->started_event_id = event_add(c->e, c->step, ev);
    item->timer->fires_at = instant_add(c->step->now, (duration){ns_of(from->start_to_fire_timeout)}).ns;
    timer_due(item);
}

void timer_due(struct item *item) { due_set(item->owner, &item->due, (instant){item->timer->fires_at}, item->timer->started_event_id); }

void timer_fire(struct item *item, struct step *step)
{
    struct execution *e = item->owner;
    event *ev = event_new(step, EVENT_TYPE_TIMER_FIRED);
    pb_history_TimerFiredEventAttributes *a = EVENT_SET(step, ev, timer_fired_event_attributes);
    a->timer_id = item->timer->timer_id;
    a->started_event_id = item->timer->started_event_id;
    execution_changed(e, step);
    event_add(e, step, ev);
    item_remove(item);
    workflow_task_want(e, step);
}

bool timer_check_cancel(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES };
    struct str id = command->cancel_timer_command_attributes->timer_id;
    if (str_is_empty(id)) return completion_refuse(c, BAD, "a timer to cancel has no id");
    if (!completion_has_id(c, ITEM_TIMER, &c->timers, id)) {
        bool is_buffered = completion_met_id(&c->timers, id) == ID_NOT_MET && event_buffered_timer(c->e, id, c->step->arena) != NULL;
        if (!is_buffered) return completion_refuse(c, BAD, "no timer with id %.*s is pending", STR_ARG(id));
        c->buffered_left--;
    }
    completion_note_id(c, &c->timers, id, false);
    return true;
}

void timer_cancel(struct completion *c, const pb_command_Command *command)
{
    struct str id = command->cancel_timer_command_attributes->timer_id;
    struct item *item = item_by_name(c->e, ITEM_TIMER, id), *buffered = NULL;
    int64_t started = 0;
    if (item != NULL) {
        started = item->timer->started_event_id;
        item_remove(item);
    } else if ((buffered = event_buffered_timer(c->e, id, c->step->arena)) != NULL) { /* it has fired, but nobody has seen it */
        event *fired = NULL;
        ensure(PB_DECODE(c->step->arena, buffered->buffered->event, pb_history_HistoryEvent, &fired) == ERR_NONE);
        started = fired->timer_fired_event_attributes->started_event_id;
        event_unbuffer(buffered);
    }
    event *ev = event_new(c->step, EVENT_TYPE_TIMER_CANCELED);
    pb_history_TimerCanceledEventAttributes *a = EVENT_SET(c->step, ev, timer_canceled_event_attributes);
    a->timer_id = id;
    a->started_event_id = started;
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->identity = c->request->identity;
    event_add(c->e, c->step, ev);
}
