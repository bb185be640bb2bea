/* history/activity_control.c: what operators do to pending activities: pause, unpause, reset, other options. None of it
 * writes an event; workers hear of it through their heartbeats. Source: F067. */
#include "history/machines.h"

/* ---- which ---- */

struct selection { struct item **items; size_t count; };

/* case_, id and type as in the oneof of the requests; neither id nor type: all. */
static err choose(struct execution *e, struct step *step, struct str id, struct str type, struct selection *chosen)
{
    struct item *item;
    if (!execution_is_open(e)) return fail_closed(step, e);
    *chosen = (struct selection){arena_array(step->arena, struct item *, item_count(e, ITEM_ACTIVITY)), 0};
    if (id.size != 0) {
        item = item_by_name(e, ITEM_ACTIVITY, id);
        if (item != NULL) chosen->items[chosen->count++] = item;
    } else {
        for (size_t at = 0; (item = item_next(e, ITEM_ACTIVITY, &at)) != NULL;)
            if (type.size == 0 || str_equal(item->activity->activity_type, type)) chosen->items[chosen->count++] = item;
    }
    if (chosen->count == 0) return fail_not_found(step, ERR_NOT_FOUND, "no such activity is pending");
    return ERR_NONE;
}

/* ---- tasks ---- */

static bool is_running(const struct item *item) { return item->activity->state == ACTIVITY_STATE_STARTED; }

/* Tasks that were offered before are stale. */
static void withdraw(struct item *item)
{
    item->activity->stamp = ++item->owner->s->last_stamp;
    item->activity->is_stored = false;
}

/* A new task, now or after a random part of the jitter. */
static void dispatch(struct item *item, struct step *step, int64_t jitter_ns)
{
    pb_store_Activity *a = item->activity;
    withdraw(item);
    if (a->is_paused) {
        a->state = ACTIVITY_STATE_SCHEDULED;
    } else if (jitter_ns > 0) {
        a->state = ACTIVITY_STATE_BACKING_OFF;
        a->next_attempt_at = instant_add(step->now, (duration){(int64_t)prng_below(step->prng, (uint64_t)jitter_ns) + 1}).ns;
    } else {
        a->state = ACTIVITY_STATE_SCHEDULED;
        a->scheduled_at = step->now.ns;
        a->next_attempt_at = 0;
    }
    item_changed(item);
    activity_due(item);
    if (a->state == ACTIVITY_STATE_SCHEDULED) activity_offer(item, step);
}

/* ---- pause ---- */

err execution_activity_pause(struct execution *e, struct step *step, const pb_ws_PauseActivityRequest *r)
{
    struct selection chosen;
    bool is_by_type = r->activity_case == pb_ws_PauseActivityRequest_type_tag;
    if (r->activity_case == 0 || str_is_empty(is_by_type ? r->type : r->id)) return FAIL(step, ERR_INVALID, "an activity id or type is needed");
    TRY(choose(e, step, is_by_type ? STR_EMPTY : r->id, is_by_type ? r->type : STR_EMPTY, &chosen));
    execution_changed(e, step);
    for (size_t i = 0; i < chosen.count; i++) {
        struct item *item = chosen.items[i];
        pb_store_Activity *a = item->activity;
        if (a->is_paused) continue;
        a->is_paused = true;
        a->paused_at = step->now.ns;
        a->pause_identity = item_str(item, r->identity);
        a->pause_reason = item_str(item, r->reason);
        if (!is_running(item)) withdraw(item);
        item_changed(item);
        activity_due(item);
    }
    return ERR_NONE;
}

static void end_pause(struct item *item)
{
    pb_store_Activity *a = item->activity;
    a->is_paused = false;
    a->paused_at = 0;
    a->pause_identity = a->pause_reason = STR_EMPTY;
    item_changed(item);
}

err execution_activity_unpause(struct execution *e, struct step *step, const pb_ws_UnpauseActivityRequest *r)
{
    struct selection chosen;
    struct str id = r->activity_case == pb_ws_UnpauseActivityRequest_id_tag ? r->id : STR_EMPTY;
    struct str type = r->activity_case == pb_ws_UnpauseActivityRequest_type_tag ? r->type : STR_EMPTY;
    bool is_all = r->activity_case == pb_ws_UnpauseActivityRequest_unpause_all_tag;
    if (!is_all && id.size == 0 && type.size == 0) return FAIL(step, ERR_INVALID, "an activity id or type is needed");
    TRY(choose(e, step, id, type, &chosen));
    execution_changed(e, step);
    for (size_t i = 0; i < chosen.count; i++) {
        struct item *item = chosen.items[i];
        pb_store_Activity *a = item->activity;
        if (!a->is_paused) continue;
        end_pause(item);
        if (r->reset_attempts && !is_running(item)) a->attempt = 1;
        if (r->reset_heartbeat && !is_running(item)) a->heartbeat_details = NULL, a->heartbeat_at = 0;
        bool is_early = a->state == ACTIVITY_STATE_BACKING_OFF && a->next_attempt_at > step->now.ns && !r->reset_attempts;
        if (is_running(item) || is_early) activity_due(item);
        else dispatch(item, step, ns_of(r->jitter));
    }
    return ERR_NONE;
}

/* ---- options ---- */

static void set_options(struct item *item, const pb_activity_ActivityOptions *o)
{
    pb_store_Activity *a = item->activity;
    if (o->task_queue != NULL && o->task_queue->name.size != 0) a->task_queue = item_str(item, o->task_queue->name);
    a->schedule_to_close_ns = ns_of(o->schedule_to_close_timeout);
    a->schedule_to_start_ns = ns_of(o->schedule_to_start_timeout);
    a->start_to_close_ns = ns_of(o->start_to_close_timeout);
    a->heartbeat_ns = ns_of(o->heartbeat_timeout);
    a->retry_policy = PB_CLONE(&item->arena, pb_common_RetryPolicy, o->retry_policy);
    a->priority = o->priority != NULL ? PB_CLONE(&item->arena, pb_common_Priority, o->priority) : NULL;
    a->expires_at = a->schedule_to_close_ns > 0 ? instant_add((instant){a->first_scheduled_at}, (duration){a->schedule_to_close_ns}).ns : 0;
}

static void restore_options(struct item *item)
{
    if (item->activity->original_options != NULL) set_options(item, item->activity->original_options);
}

/* One path of the mask; false: there is none of this name. */
static bool merge_option(struct arena *arena, pb_activity_ActivityOptions *to, const pb_activity_ActivityOptions *from, struct str path)
{
    pb_common_RetryPolicy none = {0}, *to_retry = to->retry_policy;
    const pb_common_RetryPolicy *retry = from->retry_policy != NULL ? from->retry_policy : &none;
    pb_common_Priority no_priority = {0};
    const pb_common_Priority *priority = from->priority != NULL ? from->priority : &no_priority;
    if (to->priority == NULL && str_starts_with(path, STR("priority"))) to->priority = pb_new(arena, pb_common_Priority);
    if (str_equal_c(path, "task_queue") || str_equal_c(path, "task_queue.name")) {
        if (from->task_queue != NULL) to->task_queue = task_queue_of(arena, from->task_queue->name);
    } else if (str_equal_c(path, "schedule_to_close_timeout")) to->schedule_to_close_timeout = from->schedule_to_close_timeout;
    else if (str_equal_c(path, "schedule_to_start_timeout")) to->schedule_to_start_timeout = from->schedule_to_start_timeout;
    else if (str_equal_c(path, "start_to_close_timeout")) to->start_to_close_timeout = from->start_to_close_timeout;
    else if (str_equal_c(path, "heartbeat_timeout")) to->heartbeat_timeout = from->heartbeat_timeout;
    else if (str_equal_c(path, "retry_policy")) to->retry_policy = retry_policy_filled(retry, arena);
    else if (str_equal_c(path, "retry_policy.initial_interval")) to_retry->initial_interval = retry->initial_interval;
    else if (str_equal_c(path, "retry_policy.backoff_coefficient")) to_retry->backoff_coefficient = retry->backoff_coefficient;
    else if (str_equal_c(path, "retry_policy.maximum_interval")) to_retry->maximum_interval = retry->maximum_interval;
    else if (str_equal_c(path, "retry_policy.maximum_attempts")) to_retry->maximum_attempts = retry->maximum_attempts;
    else if (str_equal_c(path, "priority")) *to->priority = *priority;
    else if (str_equal_c(path, "priority.priority_key")) to->priority->priority_key = priority->priority_key;
    else if (str_equal_c(path, "priority.fairness_key")) to->priority->fairness_key = priority->fairness_key;
    else if (str_equal_c(path, "priority.fairness_weight")) to->priority->fairness_weight = priority->fairness_weight;
    else return false;
    return true;
}

/* The mask may be spelled in snake_case or, as JSON does, in camelCase. */
static struct str snake_case(struct arena *arena, struct str path)
{
    char *out = arena_alloc(arena, 2 * path.size + 1);
    size_t n = 0;
    for (size_t i = 0; i < path.size; i++) {
        char c = path.data[i];
        if (c >= 'A' && c <= 'Z') out[n++] = '_', c = (char)(c - 'A' + 'a');
        out[n++] = c;
    }
    return str_make(out, n);
}

static const char *options_problem(const pb_activity_ActivityOptions *o)
{
    if (ns_of(o->schedule_to_close_timeout) < 0 || ns_of(o->schedule_to_start_timeout) < 0 || ns_of(o->start_to_close_timeout) < 0 || ns_of(o->heartbeat_timeout) < 0)
        return "a timeout is negative";
    if (ns_of(o->schedule_to_close_timeout) == 0 && ns_of(o->start_to_close_timeout) == 0) return "an activity needs a start-to-close or a schedule-to-close timeout";
    return retry_policy_problem(o->retry_policy);
}

static err merged_options(const struct item *item, struct step *step, const pb_ws_UpdateActivityOptionsRequest *r, pb_activity_ActivityOptions **merged)
{
    pb_activity_ActivityOptions *o = activity_options(item->activity, step->arena);
    for (size_t i = 0; i < r->update_mask->paths_count; i++)
        if (!merge_option(step->arena, o, r->activity_options, snake_case(step->arena, r->update_mask->paths[i])))
            return FAIL(step, ERR_INVALID, "the update mask names a field that does not exist: %.*s", STR_ARG(r->update_mask->paths[i]));
    const char *problem = options_problem(o);
    if (problem != NULL) return FAIL(step, ERR_INVALID, "%s", problem);
    *merged = o;
    return ERR_NONE;
}

/* New options count from now on: a task that waits is offered anew, a pause is measured anew. */
static void options_changed(struct item *item, struct step *step)
{
    pb_store_Activity *a = item->activity;
    item_changed(item);
    if (a->state == ACTIVITY_STATE_BACKING_OFF && !a->is_paused) {
        struct retry_answer answer = retry_next(a->retry_policy, a->attempt - 1, (instant){a->last_attempt_end_at}, (instant){a->expires_at}, NULL);
        if (answer.state == RETRY_STATE_IN_PROGRESS) a->next_attempt_at = a->last_attempt_end_at + answer.pause.ns;
        if (answer.state == RETRY_STATE_IN_PROGRESS) a->retry_interval_ns = answer.pause.ns;
    }
    if (a->state == ACTIVITY_STATE_SCHEDULED) {
        withdraw(item);
        activity_offer(item, step);
    }
    activity_due(item);
}

err execution_activity_update_options(struct execution *e, struct step *step, const pb_ws_UpdateActivityOptionsRequest *r,
                                      pb_ws_UpdateActivityOptionsResponse *reply)
{
    struct selection chosen;
    struct str id = r->activity_case == pb_ws_UpdateActivityOptionsRequest_id_tag ? r->id : STR_EMPTY;
    struct str type = r->activity_case == pb_ws_UpdateActivityOptionsRequest_type_tag ? r->type : STR_EMPTY;
    bool is_all = r->activity_case == pb_ws_UpdateActivityOptionsRequest_match_all_tag;
    bool has_mask = r->update_mask != NULL && r->update_mask->paths_count != 0;
    if (!is_all && id.size == 0 && type.size == 0) return FAIL(step, ERR_INVALID, "an activity id or type is needed");
    if (r->restore_original == has_mask) return FAIL(step, ERR_INVALID, "either an update mask or restore_original is needed");
    if (has_mask && r->activity_options == NULL) return FAIL(step, ERR_INVALID, "the new options are missing");
    TRY(choose(e, step, id, type, &chosen));
    pb_activity_ActivityOptions **merged = arena_array(step->arena, pb_activity_ActivityOptions *, chosen.count);
    for (size_t i = 0; has_mask && i < chosen.count; i++) TRY(merged_options(chosen.items[i], step, r, &merged[i]));
    execution_changed(e, step);
    for (size_t i = 0; i < chosen.count; i++) {
        struct item *item = chosen.items[i];
        if (item->activity->original_options == NULL)
            item->activity->original_options = PB_CLONE(&item->arena, pb_activity_ActivityOptions, activity_options(item->activity, step->arena));
        if (has_mask) set_options(item, merged[i]);
        else restore_options(item);
        options_changed(item, step);
    }
    reply->activity_options = activity_options(chosen.items[chosen.count - 1]->activity, step->arena);
    reply->activity_options->task_queue = task_queue_of(step->arena, reply->activity_options->task_queue->name);
    return ERR_NONE;
}

/* ---- reset ---- */

err execution_activity_reset(struct execution *e, struct step *step, const pb_ws_ResetActivityRequest *r)
{
    struct selection chosen;
    struct str id = r->activity_case == pb_ws_ResetActivityRequest_id_tag ? r->id : STR_EMPTY;
    struct str type = r->activity_case == pb_ws_ResetActivityRequest_type_tag ? r->type : STR_EMPTY;
    bool is_all = r->activity_case == pb_ws_ResetActivityRequest_match_all_tag;
    if (!is_all && id.size == 0 && type.size == 0) return FAIL(step, ERR_INVALID, "an activity id or type is needed");
    TRY(choose(e, step, id, type, &chosen));
    execution_changed(e, step);
    for (size_t i = 0; i < chosen.count; i++) {
        struct item *item = chosen.items[i];
        pb_store_Activity *a = item->activity;
        if (r->restore_original_options) restore_options(item);
        if (a->is_paused && !r->keep_paused) end_pause(item);
        item_changed(item);
        if (is_running(item)) { /* this attempt goes on, as if it were the first one */
            a->is_reset = true;
            a->is_heartbeat_reset = r->reset_heartbeat;
            activity_due(item);
            continue;
        }
        a->attempt = 1;
        if (r->reset_heartbeat) a->heartbeat_details = NULL, a->heartbeat_at = 0;
        dispatch(item, step, ns_of(r->jitter));
    }
    return ERR_NONE;
}
