/* history/wake.c: the timers of a run, and the end of every step.
 *
 * A run has one heap of what is due when: its own timeouts, its workflow task, activities and timers. The wake row in the
 * store says when to look at the run at the latest; it may be early, never late. While tasks are offered in memory only it
 * says WAKE_AT_ONCE, so that they are offered again after a crash. */
#include "history/machines.h"

/* ---- what is due ---- */

void execution_due_core(struct execution *e)
{
    const pb_store_RunState *s = e->s;
    bool is_open = execution_is_open(e);
    due_set(e, &e->run_due, (instant){is_open ? s->run_expires_at : 0}, RANK_RUN_TIMEOUT);
    due_set(e, &e->execution_due, (instant){is_open ? s->execution_expires_at : 0}, RANK_EXECUTION_TIMEOUT);
    due_set(e, &e->first_task_due, (instant){is_open ? s->first_task_at : 0}, RANK_FIRST_TASK);
    due_set(e, &e->visibility_due, (instant){is_open ? s->visibility_at : 0}, RANK_VISIBILITY);
}

/* Short runs end before that, so that their row is written twice and not three times. */
void visibility_soon(struct execution *e, instant now)
{
    if (e->s->visibility_at != 0 || e->is_new) return;
    e->s->visibility_at = instant_add(now, duration_s(1)).ns;
    execution_due_core(e);
}

void execution_due_all(struct execution *e)
{
    struct item *item;
    execution_due_core(e);
    for (size_t at = 0; (item = item_next(e, ITEM_CALLBACK, &at)) != NULL;) callback_due(item);
    if (!execution_is_open(e)) return;
    workflow_task_due(e);
    for (size_t at = 0; (item = item_next(e, ITEM_ACTIVITY, &at)) != NULL;) activity_due(item);
    for (size_t at = 0; (item = item_next(e, ITEM_TIMER, &at)) != NULL;) timer_due(item);
}

instant execution_next_wake(const struct execution *e)
{
    const struct heap_node *first = heap_first(&e->due);
    instant due = first != NULL ? first->due : INSTANT_NEVER;
    return execution_is_open(e) ? due : instant_min(due, instant_add((instant){e->s->close_at}, e->ns->retention));
}

instant execution_stored_wake(const struct execution *e)
{
    return e->s->has_wake ? (instant){e->s->wake_at} : INSTANT_NEVER;
}

/* Whether a crash would forget that a worker was, or is to be, given something. */
static bool has_offers_in_memory(const struct execution *e)
{
    const pb_store_WorkflowTask *t = e->s->task;
    if (e->s->status == WORKFLOW_EXECUTION_STATUS_PAUSED || e->s->is_full) return false; /* all is offered again when that ends */
    if (t->state == WORKFLOW_TASK_STATE_SCHEDULED && !t->is_stored && t->kind != WORKFLOW_TASK_KIND_SPECULATIVE) return true;
    return e->offered_count != 0;
}

static bool is_under_way(const struct execution *e)
{
    return !e->s->is_full && (task_is(e, WORKFLOW_TASK_STATE_STARTED) || (int64_t)item_count(e, ITEM_ACTIVITY) > e->stored_count);
}

instant execution_wanted_wake(const struct execution *e, instant now)
{
    const pb_store_RunState *s = e->s;
    if (!execution_is_open(e)) return e->callbacks_in_hand != 0 ? WAKE_AT_ONCE : execution_next_wake(e);
    if (has_offers_in_memory(e)) return WAKE_AT_ONCE;
    if (s->has_wake && s->wake_at == WAKE_AT_ONCE.ns && is_under_way(e)) return WAKE_AT_ONCE; /* soon there will be offers again */
    instant next = execution_next_wake(e);
    bool is_early_enough = s->has_wake && s->wake_at != WAKE_AT_ONCE.ns && s->wake_at > now.ns && s->wake_at <= next.ns;
    return is_early_enough && next.ns != INSTANT_NEVER.ns ? (instant){s->wake_at} : next;
}

/* ---- firing ---- */

static void fire_first_task(struct execution *e, struct step *step)
{
    e->s->first_task_at = 0;
    execution_due_core(e);
    execution_changed(e, step);
    workflow_task_want(e, step);
}

static void show(struct execution *e, struct step *step)
{
    e->is_visibility_dirty = true;
    execution_changed(e, step);
    heap_remove(&e->due, &e->visibility_due); /* the flush does the rest */
}

static void fire(struct execution *e, struct step *step, struct heap_node *node)
{
    if (node == &e->execution_due) close_time_out(e, step, true);
    else if (node == &e->run_due) close_time_out(e, step, e->s->run_expires_at == e->s->execution_expires_at);
    else if (node == &e->first_task_due) fire_first_task(e, step);
    else if (node == &e->visibility_due) show(e, step);
    else if (node == &e->task_due) workflow_task_timed_out(e, step);
    else {
        struct item *item = container_of(node, struct item, due);
        if (item->kind == ITEM_TIMER) timer_fire(item, step);
        else if (item->kind == ITEM_CALLBACK) callback_fire(item, step);
        else activity_fire(item, step);
    }
}

void execution_fire_due(struct execution *e, struct step *step)
{
    struct heap_node *node;
    while ((node = heap_first(&e->due)) != NULL && node->due.ns <= step->now.ns) fire(e, step, node);
}

/* Tasks that nobody may know of any more. */
static void offer_all(struct execution *e, struct step *step)
{
    struct item *item;
    if (task_is(e, WORKFLOW_TASK_STATE_SCHEDULED) && !e->s->task->is_stored) workflow_task_offer(e, step);
    for (size_t at = 0; (item = item_next(e, ITEM_ACTIVITY, &at)) != NULL;)
        if (item->activity->state == ACTIVITY_STATE_SCHEDULED && !item->activity->is_stored) activity_offer(item, step);
}

err execution_wake(struct execution *e, struct step *step, bool is_recovery)
{
    step_touch(step, e);
    if (!execution_is_open(e) && is_recovery) callback_offer_all(e, step);
    if (execution_is_open(e) && execution_check_full(e, step) == ERR_NONE && is_recovery) offer_all(e, step);
    execution_fire_due(e, step);
    if (execution_is_open(e)) execution_settle(e, step);
    bool is_row_old = !is_recovery && e->s->has_wake && e->s->wake_at != WAKE_AT_ONCE.ns && e->s->wake_at <= step->now.ns;
    if (is_row_old) execution_changed(e, step); /* the row asked for this; it has to ask for the next time now */
    return ERR_NONE;
}

void execution_task_stored(struct execution *e, struct step *step, enum task_kind kind, int64_t scheduled_event_id, int64_t stamp)
{
    struct item *item;
    if (kind == TASK_WORKFLOW) {
        if (!task_is(e, WORKFLOW_TASK_STATE_SCHEDULED) || e->s->task->stamp != stamp) return;
        e->s->task->is_stored = true;
    } else {
        item = item_by_number(e, ITEM_ACTIVITY, scheduled_event_id);
        if (item == NULL || item->activity->state != ACTIVITY_STATE_SCHEDULED || item->activity->stamp != stamp) return;
        item->activity->is_stored = true;
        item_changed(item);
        activity_count_offer(item);
    }
    execution_changed(e, step);
}

/* ---- the end of a step ---- */

static bool is_over_limit(const struct execution *e, const struct limits *limits)
{
    return (limits->history_size_max > 0 && e->s->history_size > limits->history_size_max) ||
           (limits->history_count_max > 0 && e->s->next_event_id - 1 > limits->history_count_max);
}

/* At its limit a run ends, or, as the setting says, waits for the limit to be raised. */
static void hold_to_limits(struct execution *e, struct step *step)
{
    const struct limits *limits = step->limits;
    if (e->s->is_full || !is_over_limit(e, limits)) return;
    if (limits->history_limit_holds != 0) {
        e->s->is_full = true;
        execution_due_all(e);
        execution_changed(e, step);
        return;
    }
    struct str reason = arena_printf(step->arena, "the history has %" PRId64 " events and %" PRId64 " bytes, more than is allowed", e->s->next_event_id - 1, e->s->history_size);
    close_terminate(e, step, reason, NULL, STR("history-service"), NULL, 0);
}

err execution_check_full(struct execution *e, struct step *step)
{
    if (!e->s->is_full) return ERR_NONE;
    if (step->limits->history_limit_holds != 0 && is_over_limit(e, step->limits))
        return fail_exhausted(step, ERR_LIMIT, RESOURCE_EXHAUSTED_CAUSE_UNSPECIFIED, "the history of workflow %.*s is at its limit; it goes on when the limit is raised",
                              STR_ARG(e->s->workflow_id));
    e->s->is_full = false;
    execution_due_all(e);
    execution_changed(e, step);
    offer_all(e, step);
    workflow_task_want(e, step);
    return ERR_NONE;
}

static void hold_buffer(struct execution *e, struct step *step)
{
    const struct limits *limits = step->limits;
    if ((int64_t)item_count(e, ITEM_BUFFERED) <= limits->buffered_events_max && (int64_t)e->buffered_bytes <= limits->buffered_size_max) return;
    workflow_task_fail_started(e, step, WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, NULL, STR("history-service"), STR_EMPTY);
    event_flush_buffer(e, step); /* what was buffered does not make the next attempt a first one */
    workflow_task_want(e, step);
}

void execution_settle(struct execution *e, struct step *step)
{
    if (!execution_is_open(e)) return;
    if (execution_workflow_task_is_started(e)) hold_buffer(e, step);
    pb_store_WorkflowTask *t = e->s->task;
    if (t->state == WORKFLOW_TASK_STATE_SCHEDULED && t->kind == WORKFLOW_TASK_KIND_SPECULATIVE && t->scheduled_event_id != e->s->next_event_id)
        workflow_task_make_normal(e, step);
    hold_to_limits(e, step);
}
