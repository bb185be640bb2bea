/* history/reset.c: a new run that goes on from a point in the history of another. It refers to the events before the point
 * and shares them; signals, updates and cancel requests that came after it, also to the runs that continued the run as new, are
 * written again, and so is what became of the children that it keeps. Source: F014. */
#include "history/machines.h"

/* ---- what is written again ---- */

static bool excludes(const pb_ws_ResetWorkflowExecutionRequest *r, int32_t type)
{
    for (size_t i = 0; i < r->reset_reapply_exclude_types_count; i++)
        if (r->reset_reapply_exclude_types[i] == type) return true;
    if (r->reset_reapply_type == RESET_REAPPLY_TYPE_NONE) return true;
    return r->reset_reapply_type == RESET_REAPPLY_TYPE_SIGNAL && type != RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL;
}

static void again(struct execution *e, struct step *step, const event *from)
{
    event *ev = event_new(step, from->event_type);
    ev->attributes_case = from->attributes_case;
    ev->workflow_execution_started_event_attributes = from->workflow_execution_started_event_attributes; /* whichever of the union */
    ev->links = from->links;
    ev->links_count = from->links_count;
    event_add(e, step, ev);
}

static void signal_again(struct execution *e, struct step *step, const event *from)
{
    struct str request_id = from->workflow_execution_signaled_event_attributes->request_id;
    if (request_id.size != 0 && item_by_name(e, ITEM_REQUEST_ID, request_id) == NULL) {
        struct item *item = item_new(e, ITEM_REQUEST_ID, 0, request_id);
        item->request_id->event_type = EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED;
        item->request_id->event_id = e->s->next_event_id;
    }
    again(e, step, from);
    e->s->signal_count++;
}

static void update_again(struct execution *e, struct step *step, pb_update_Request *request)
{
    if (request == NULL || request->meta == NULL || str_is_empty(request->meta->update_id)) return;
    if (item_by_name(e, ITEM_UPDATE, request->meta->update_id) != NULL) return;
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED);
    pb_history_WorkflowExecutionUpdateAdmittedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_update_admitted_event_attributes);
    a->request = request;
    a->origin = UPDATE_ADMITTED_EVENT_ORIGIN_REAPPLY;
    update_readmit(e, request, event_add(e, step, ev));
}

/* What a later start attached, and what an operator set. */
static void options_again(struct execution *e, struct step *step, const event *from)
{
    const pb_history_WorkflowExecutionOptionsUpdatedEventAttributes *a = from->workflow_execution_options_updated_event_attributes;
    if (a->attached_request_id.size != 0 && item_by_name(e, ITEM_REQUEST_ID, a->attached_request_id) == NULL) {
        struct item *item = item_new(e, ITEM_REQUEST_ID, 0, a->attached_request_id);
        item->request_id->event_type = from->event_type;
        item->request_id->event_id = e->s->next_event_id;
    }
    for (size_t i = 0; i < a->attached_completion_callbacks_count; i++) callback_add(e, step, a->attached_completion_callbacks[i], a->attached_request_id);
    if (a->versioning_override != NULL) e->s->versioning_override = PB_CLONE(&e->arena, pb_workflow_VersioningOverride, a->versioning_override);
    if (a->unset_versioning_override) e->s->versioning_override = NULL;
    if (a->priority != NULL) e->s->priority = PB_CLONE(&e->arena, pb_common_Priority, a->priority);
    again(e, step, from);
}

/* The fields that all events about a child share have the same names. Their numbers of events are those of the new history. */
#define CHILD_EVENT(kind, field)                                     \
    case kind: {                                                     \
        ev->field = arena_new(step->arena, __typeof__(*ev->field));  \
        *ev->field = *from->field;                                   \
        *initiated = ev->field->initiated_event_id;                  \
        return &ev->field->started_event_id;                         \
    }

/* NULL: not the end of a child. */
static int64_t *child_end(struct step *step, event *ev, const event *from, int64_t *initiated)
{
    ev->attributes_case = from->attributes_case;
    switch (from->event_type) {
        CHILD_EVENT(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed_event_attributes)
        CHILD_EVENT(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed_event_attributes)
        CHILD_EVENT(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled_event_attributes)
        CHILD_EVENT(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out_event_attributes)
        CHILD_EVENT(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated_event_attributes)
    default: return NULL;
    }
}

/* The start and the end of a child that was begun before the point: nobody will tell of them again. */
static void child_again(struct execution *e, struct step *step, const event *from)
{
    event *ev = event_new(step, from->event_type);
    int64_t initiated = 0, *started = child_end(step, ev, from, &initiated);
    bool is_start = from->event_type == EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED;
    if (is_start) initiated = from->child_workflow_execution_started_event_attributes->initiated_event_id;
    else if (started == NULL) initiated = from->start_child_workflow_execution_failed_event_attributes->initiated_event_id;
    struct item *item = item_by_number(e, ITEM_CHILD, initiated);
    if (item == NULL || (started == NULL && item->child->has_started)) return;
    if (is_start) {
        item->child->has_started = true;
        item->child->run_id = item_str(item, from->child_workflow_execution_started_event_attributes->workflow_execution->run_id);
        item->child->started_event_id = e->s->next_event_id;
        item_changed(item);
        again(e, step, from);
        return;
    }
    if (started != NULL) {
        *started = item->child->started_event_id;
        event_add(e, step, ev);
    } else {
        again(e, step, from);
    }
    item_remove(item);
}

/* What became of what another workflow was asked for. */
static void external_again(struct execution *e, struct step *step, const event *from, int64_t initiated)
{
    struct item *item = item_by_number(e, ITEM_EXTERNAL, initiated);
    if (item == NULL) return;
    again(e, step, from);
    item_remove(item);
}

/* Answers of other workflows, to the base run alone. */
static void reapply_answers(struct execution *e, struct step *step, const event *from)
{
    switch (from->event_type) {
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: child_again(e, step, from); break;
    case EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:
        external_again(e, step, from, from->external_workflow_execution_signaled_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
        external_again(e, step, from, from->signal_external_workflow_execution_failed_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        external_again(e, step, from, from->external_workflow_execution_cancel_requested_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
        external_again(e, step, from, from->request_cancel_external_workflow_execution_failed_event_attributes->initiated_event_id);
        break;
    default: break;
    }
}

static void reapply(struct execution *e, struct step *step, const pb_ws_ResetWorkflowExecutionRequest *r, const event *from)
{
    switch (from->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        if (!excludes(r, RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL)) signal_again(e, step, from);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
        if (!excludes(r, RESET_REAPPLY_EXCLUDE_TYPE_UPDATE)) update_again(e, step, from->workflow_execution_update_accepted_event_attributes->accepted_request);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
        if (!excludes(r, RESET_REAPPLY_EXCLUDE_TYPE_UPDATE)) update_again(e, step, from->workflow_execution_update_admitted_event_attributes->request);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        if (excludes(r, RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST) || e->s->is_cancel_requested) break;
        again(e, step, from);
        e->s->is_cancel_requested = true;
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: options_again(e, step, from); break;
    default: break;
    }
}

static err after_reset(struct execution *e, struct step *step, const pb_ws_ResetWorkflowExecutionRequest *r)
{
    for (size_t i = 0; i < r->post_reset_operations_count; i++) {
        const pb_workflow_PostResetOperation *op = r->post_reset_operations[i];
        if (op->variant_case == pb_workflow_PostResetOperation_signal_workflow_tag) {
            pb_ws_SignalWorkflowExecutionRequest signal = {.signal_name = op->signal_workflow->signal_name, .input = op->signal_workflow->input,
                                                           .header = op->signal_workflow->header, .identity = r->identity,
                                                           .links = op->signal_workflow->links, .links_count = op->signal_workflow->links_count};
            signal_record(e, step, &signal);
        } else if (op->variant_case == pb_workflow_PostResetOperation_update_workflow_options_tag) {
            pb_ws_UpdateWorkflowExecutionOptionsRequest options = {.workflow_execution_options = op->update_workflow_options->workflow_execution_options,
                                                                   .update_mask = op->update_workflow_options->update_mask, .identity = r->identity};
            pb_ws_UpdateWorkflowExecutionOptionsResponse ignored = {0};
            TRY(execution_update_options(e, step, &options, &ignored));
        }
    }
    return ERR_NONE;
}

static err check_after_reset(struct step *step, const pb_ws_ResetWorkflowExecutionRequest *r)
{
    for (size_t i = 0; i < r->post_reset_operations_count; i++) {
        const pb_workflow_PostResetOperation *op = r->post_reset_operations[i];
        if (op->variant_case == pb_workflow_PostResetOperation_signal_workflow_tag) {
            pb_ws_SignalWorkflowExecutionRequest signal = {.signal_name = op->signal_workflow->signal_name, .input = op->signal_workflow->input};
            TRY(signal_check(step, &signal));
        } else if (op->variant_case == pb_workflow_PostResetOperation_update_workflow_options_tag) {
            TRY(control_check_options(step, op->update_workflow_options->workflow_execution_options, op->update_workflow_options->update_mask));
        } else {
            return FAIL(step, ERR_INVALID, "an operation after the reset is not known");
        }
    }
    return ERR_NONE;
}

/* ---- the new run ---- */

/* Events [1, point) belong to the runs that wrote them, what follows to the new one. */
static void share_history(struct execution *e, const struct execution *base, int64_t point)
{
    pb_store_RunState *s = e->s;
    for (size_t i = 0; i < base->s->branches_count; i++) {
        const pb_store_HistoryBranch *from = base->s->branches[i];
        if (from->first_event_id >= point) break;
        pb_store_HistoryBranch *to = PB_PUSH_NEW(&e->arena, s, branches);
        *to = *from;
        to->unknown_ = STR_EMPTY;
        if (to->end_event_id == 0 || to->end_event_id > point) to->end_event_id = point;
    }
    pb_store_HistoryBranch *own = PB_PUSH_NEW(&e->arena, s, branches);
    own->branch = s->run_key;
    own->first_event_id = point;
    e->cached_from = e->unsaved_from = point;
}

static void set_identity(struct execution *e, struct step *step, const struct execution *base, const pb_ws_ResetWorkflowExecutionRequest *r)
{
    pb_store_RunState *s = e->s;
    s->run_key = (*step->next_run)++;
    s->run_id = core_str(e, run_id_new(step));
    s->create_request_id = core_str(e, r->request_id);
    s->workflow_id = core_str(e, base->s->workflow_id);
    if (base->s->parent != NULL) s->parent = PB_CLONE(&e->arena, pb_store_Parent, base->s->parent);
    s->root = PB_CLONE(&e->arena, pb_common_WorkflowExecution, base->s->root);
    s->is_reset = true;
    s->original_start_at = base->s->original_start_at;
    s->chain_start_at = base->s->chain_start_at;
    s->last_reset_at = s->start_at = s->execution_at = step->now.ns;
    if (s->execution_timeout_ns > 0) s->execution_expires_at = instant_add(step->now, (duration){s->execution_timeout_ns}).ns;
    if (s->run_timeout_ns > 0) s->run_expires_at = instant_add(step->now, (duration){s->run_timeout_ns}).ns;
    for (size_t i = 0; s->reset_points != NULL && i < s->reset_points->points_count; i++) /* the rebuilt ones: they are in this run's history */
        if (str_is_empty(s->reset_points->points[i]->run_id)) s->reset_points->points[i]->run_id = s->run_id;
    struct item *item = item_new(e, ITEM_REQUEST_ID, 0, r->request_id);
    item->request_id->event_type = EVENT_TYPE_WORKFLOW_EXECUTION_STARTED;
    item->request_id->event_id = 1;
}

/* Pending activities begin anew; timers go on; children and their results find their way from the old run. */
static void go_on(struct execution *e, struct step *step)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_ACTIVITY, &at)) != NULL;) {
        pb_store_Activity *a = item->activity;
        a->first_scheduled_at = a->scheduled_at = step->now.ns;
        if (a->schedule_to_close_ns > 0) a->expires_at = instant_add(step->now, (duration){a->schedule_to_close_ns}).ns;
        activity_due(item);
        activity_offer(item, step);
    }
    for (size_t at = 0; (item = item_next(e, ITEM_TIMER, &at)) != NULL;) timer_due(item);
    for (size_t at = 0; (item = item_next(e, ITEM_CHILD, &at)) != NULL;) {
        const struct namespace_info *ns = namespace_find(step, item->child->namespace_name);
        item->child->namespace_key = ns != NULL ? ns->key : e->ns->key;
    }
    for (size_t at = 0; (item = item_next(e, ITEM_EXTERNAL, &at)) != NULL;) {
        const struct namespace_info *ns = namespace_find(step, item->external->namespace_name);
        item->external->namespace_key = ns != NULL ? ns->key : e->ns->key;
    }
    execution_due_core(e);
}

static void fail_task(struct execution *e, struct step *step, const struct execution *base, struct str reason)
{
    if (task_is(e, WORKFLOW_TASK_STATE_SCHEDULED)) workflow_task_take(e, step, STR("history-service"), uuid_new(step), NULL);
    pb_failure_Failure *failure = pb_new(step->arena, pb_failure_Failure);
    failure->message = reason;
    failure->failure_info_case = pb_failure_Failure_reset_workflow_failure_info_tag;
    failure->reset_workflow_failure_info = pb_new(step->arena, pb_failure_ResetWorkflowFailureInfo);
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_TASK_FAILED);
    pb_history_WorkflowTaskFailedEventAttributes *a = EVENT_SET(step, ev, workflow_task_failed_event_attributes);
    a->scheduled_event_id = e->s->task->scheduled_event_id;
    a->started_event_id = e->s->task->started_event_id;
    a->cause = WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW;
    a->failure = failure;
    a->identity = STR("history-service");
    a->base_run_id = base->s->run_id;
    a->new_run_id = e->s->run_id;
    event_add(e, step, ev);
    workflow_task_clear(e);
    e->s->task->attempt = 1;
}

static int64_t history_bytes(event *const *events, size_t count)
{
    pb_history_History kept = {.events = (event **)(uintptr_t)events, .events_count = count};
    return (int64_t)PB_SIZE(pb_history_History, &kept);
}

/* ---- reset ---- */

static err check_point(struct step *step, const struct execution *base, const pb_ws_ResetWorkflowExecutionRequest *r, const pb_history_History *history)
{
    int64_t point = r->workflow_task_finish_event_id;
    if (str_is_empty(r->request_id)) return FAIL(step, ERR_INVALID, "a reset needs a request id");
    if (point <= 1 || point >= base->s->next_event_id || point > (int64_t)history->events_count)
        return FAIL(step, ERR_INVALID, "the workflow can not be reset to event %" PRId64, point);
    int32_t last = history->events[point - 2]->event_type;
    if (last != EVENT_TYPE_WORKFLOW_TASK_STARTED && last != EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
        return FAIL(step, ERR_INVALID, "a reset point must come right after a workflow task was started; event %" PRId64 " does not", point);
    return ERR_NONE;
}

/* What the base run, when it was open, wrote while it ended: signals that had waited for its task are among it. */
static pb_history_History *written_since(const struct execution *e, struct step *step, int64_t from)
{
    pb_history_History *history = NULL;
    ensure(PB_DECODE(step->arena, execution_cached_range(e, from, e->s->next_event_id), pb_history_History, &history) == ERR_NONE);
    return history;
}

bool reset_needs(const event *ev)
{
    return ev->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED || ev->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED ||
           ev->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED || ev->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED ||
           ev->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED;
}

err workflow_reset(struct step *step, struct execution *base, struct execution *current, const pb_ws_ResetWorkflowExecutionRequest *r,
                   const pb_history_History *history, const struct reset_chain *chain, pb_ws_ResetWorkflowExecutionResponse *reply, struct execution **run)
{
    int64_t point = r->workflow_task_finish_event_id, end = base->s->next_event_id, current_end = current != NULL ? current->s->next_event_id : 0;
    struct execution *e;
    *run = current;
    if (current != NULL && r->request_id.size != 0 && str_equal(current->s->create_request_id, r->request_id)) {
        reply->run_id = arena_str(step->arena, current->s->run_id);
        return ERR_NONE;
    }
    TRY(check_point(step, base, r, history));
    TRY(check_after_reset(step, r));
    TRY(execution_rebuild(base->ns, history->events, (size_t)point - 1, &e));
    struct str reason = r->reason.size != 0 ? r->reason : STR("reset");
    bool was_base_open = execution_is_open(base);
    e->is_new = true;
    set_identity(e, step, base, r);
    share_history(e, base, point);
    e->s->history_size = history_bytes(history->events, (size_t)point - 1);
    base->s->reset_run_id = core_str(base, e->s->run_id);
    execution_changed(base, step);
    if (execution_is_open(base)) close_terminate(base, step, reason, NULL, STR("history-resetter"), NULL, 0);
    if (current != NULL && current != base && execution_is_open(current)) close_terminate(current, step, reason, NULL, STR("history-resetter"), NULL, 0);
    execution_changed(e, step);
    step_create(step, e);
    fail_task(e, step, base, reason);
    for (size_t i = (size_t)point - 1; i < history->events_count; i++) reapply(e, step, r, history->events[i]);
    pb_history_History *late = written_since(base, step, end), *late_of_current = NULL;
    for (size_t i = 0; i < late->events_count; i++) reapply(e, step, r, late->events[i]);
    for (size_t i = 0; chain != NULL && i < chain->history->events_count; i++) reapply(e, step, r, chain->history->events[i]);
    if (chain != NULL && chain->reaches_current) late_of_current = written_since(current, step, current_end);
    for (size_t i = 0; late_of_current != NULL && i < late_of_current->events_count; i++) reapply(e, step, r, late_of_current->events[i]);
    for (size_t i = (size_t)point - 1; i < history->events_count; i++) reapply_answers(e, step, history->events[i]);
    for (size_t i = 0; i < late->events_count; i++) reapply_answers(e, step, late->events[i]);
    go_on(e, step);
    child_after_reset(e, step, base, was_base_open, history);
    external_after_reset(e, step, was_base_open, history);
    err result = after_reset(e, step, r);
    ensure(result == ERR_NONE); /* checked above */
    workflow_task_want(e, step);
    execution_settle(e, step);
    reply->run_id = arena_str(step->arena, e->s->run_id);
    *run = e;
    return ERR_NONE;
}
