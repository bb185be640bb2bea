/* history/callback.c: who is to hear of the end of a chain of runs, from the start that names them to the delivery.
 *
 *   STANDBY ──the chain ends──► SCHEDULED ──delivered──► SUCCEEDED
 *                                ▲      │ └──refused───► FAILED
 *                                └─due─ BACKING_OFF (tried in vain), BLOCKED (not tried)
 *
 * (1) SCHEDULED: the driver has it in hand, in memory only; the wake row says "at once", and the run stays in memory.
 * (2) An answer counts once: it names the attempt that it belongs to. After a crash an attempt is made again.
 * (3) Pauses between attempts double up to the longest and have no end: the run's retention alone ends them.
 * Source: F020. */
#include "history/machines.h"

void callback_add(struct execution *e, const struct step *step, const pb_common_Callback *callback, struct str request_id)
{
    int64_t number = ++e->s->last_callback;
    struct item *item = item_new(e, ITEM_CALLBACK, number, STR_EMPTY);
    item->callback->number = number;
    item->callback->callback = PB_CLONE(&item->arena, pb_common_Callback, callback);
    item->callback->registered_at = step->now.ns;
    item->callback->request_id = item_str(item, request_id);
    item->callback->state = CALLBACK_STATE_STANDBY;
}

size_t callback_collect(const struct execution *e, struct arena *arena, pb_common_Callback ***callbacks)
{
    struct item *item;
    size_t count = 0;
    *callbacks = arena_array(arena, pb_common_Callback *, item_count(e, ITEM_CALLBACK) + 1);
    for (size_t at = 0; (item = item_next(e, ITEM_CALLBACK, &at)) != NULL;) (*callbacks)[count++] = item->callback->callback;
    return count;
}

/* ---- states ---- */

static void move(struct item *item, int32_t state, instant next_attempt_at)
{
    struct execution *e = item->owner;
    if (item->callback->state == CALLBACK_STATE_SCHEDULED) e->callbacks_in_hand--;
    if (state == CALLBACK_STATE_SCHEDULED) e->callbacks_in_hand++;
    item->callback->state = state;
    item->callback->next_attempt_at = next_attempt_at.ns;
    item_changed(item);
    callback_due(item);
}

void callback_due(struct item *item)
{
    due_set(item->owner, &item->due, (instant){item->callback->next_attempt_at}, item->number);
}

static void offer(struct item *item, struct step *step)
{
    const pb_store_RunState *s = item->owner->s;
    struct callback_effect *effect = step_callback(step);
    effect->namespace_key = s->namespace_key;
    effect->run = s->run_key;
    effect->workflow_id = arena_str(step->arena, s->workflow_id);
    effect->number = item->number;
    effect->attempt = item->callback->attempt;
}

void callback_fire(struct item *item, struct step *step)
{
    execution_changed(item->owner, step);
    item->callback->blocked_reason = STR_EMPTY;
    move(item, CALLBACK_STATE_SCHEDULED, (instant){0});
    offer(item, step);
}

void callback_run_closed(struct execution *e, struct step *step)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_CALLBACK, &at)) != NULL;) {
        if (item->callback->state != CALLBACK_STATE_STANDBY) continue;
        item->callback->delivery_id = item_str(item, uuid_new(step));
        callback_fire(item, step);
    }
}

void callback_offer_all(struct execution *e, struct step *step)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_CALLBACK, &at)) != NULL;)
        if (item->callback->state == CALLBACK_STATE_SCHEDULED) offer(item, step);
}

/* ---- the driver's side ---- */

static struct item *in_hand(const struct execution *e, int64_t number, int32_t attempt)
{
    struct item *item = item_by_number(e, ITEM_CALLBACK, number);
    return item != NULL && item->callback->state == CALLBACK_STATE_SCHEDULED && item->callback->attempt == attempt ? item : NULL;
}

bool execution_callback(const struct execution *e, int64_t number, int32_t attempt, struct arena *arena, struct callback_view *view)
{
    const struct item *item = in_hand(e, number, attempt);
    if (item == NULL) return false;
    view->callback = PB_CLONE(arena, pb_common_Callback, item->callback->callback);
    view->delivery_id = arena_str(arena, item->callback->delivery_id);
    view->close_event_id = e->s->close_event_id;
    view->started_at = (instant){e->s->start_at};
    view->run_id = arena_str(arena, e->s->run_id);
    return true;
}

/* A fifth of it is chance, so that those who failed together do not come back together. */
static duration retry_pause(const struct step *step, int32_t attempt)
{
    int64_t pause = step->limits->callback_pause_min_ms, most = step->limits->callback_pause_max_ms;
    for (int32_t i = 1; i < attempt && pause < most; i++) pause *= 2;
    if (pause > most) pause = most;
    return duration_ms(pause < 1 ? 1 : pause - (int64_t)prng_below(step->prng, (uint64_t)pause / 5 + 1));
}

err execution_callback_done(struct execution *e, struct step *step, int64_t number, int32_t attempt, enum callback_outcome outcome, struct str why,
                            duration pause)
{
    struct item *item = in_hand(e, number, attempt);
    if (item == NULL) return ERR_NONE;
    pb_store_CompletionCallback *c = item->callback;
    execution_changed(e, step);
    if (outcome == CALLBACK_BLOCKED) {
        c->blocked_reason = item_str(item, why);
        move(item, CALLBACK_STATE_BLOCKED, instant_add(step->now, pause));
        return ERR_NONE;
    }
    c->attempt++;
    c->last_attempt_end_at = step->now.ns;
    c->last_failure = NULL;
    if (outcome != CALLBACK_DELIVERED) c->last_failure = PB_CLONE(&item->arena, pb_failure_Failure, server_failure(step->arena, why, outcome == CALLBACK_REFUSED));
    if (outcome == CALLBACK_FAILED) move(item, CALLBACK_STATE_BACKING_OFF, instant_add(step->now, retry_pause(step, c->attempt)));
    else move(item, outcome == CALLBACK_DELIVERED ? CALLBACK_STATE_SUCCEEDED : CALLBACK_STATE_FAILED, (instant){0});
    return ERR_NONE;
}

void callback_describe(const struct item *item, struct arena *arena, pb_workflow_CallbackInfo *p)
{
    const pb_store_CompletionCallback *c = item->callback;
    p->callback = PB_CLONE(arena, pb_common_Callback, c->callback);
    p->trigger = pb_new(arena, pb_workflow_CallbackInfo_Trigger);
    p->trigger->variant_case = pb_workflow_CallbackInfo_Trigger_workflow_closed_tag;
    p->trigger->workflow_closed = pb_new(arena, pb_workflow_CallbackInfo_WorkflowClosed);
    p->registration_time = timestamp_of(arena, (instant){c->registered_at});
    p->state = c->state;
    p->attempt = c->attempt;
    p->last_attempt_complete_time = timestamp_of(arena, (instant){c->last_attempt_end_at});
    if (c->last_failure != NULL) p->last_attempt_failure = PB_CLONE(arena, pb_failure_Failure, c->last_failure);
    p->next_attempt_schedule_time = timestamp_of(arena, (instant){c->next_attempt_at});
    p->blocked_reason = arena_str(arena, c->blocked_reason);
    p->request_id = arena_str(arena, c->delivery_id);
}
