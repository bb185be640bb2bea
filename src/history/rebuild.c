/* history/rebuild.c: mutable state from events alone: what a reset begins with, and what tests hold the state against.
 * Attempts of activities, heartbeats and updates not yet accepted are not in history, so they are not here. */
#include "history/machines.h"

struct rebuild { struct execution *e; const event *ev; instant at; };

/* ---- the run ---- */

static void apply_started(struct rebuild *r)
{
    const pb_history_WorkflowExecutionStartedEventAttributes *a = r->ev->workflow_execution_started_event_attributes;
    struct execution *e = r->e;
    pb_store_RunState *s = e->s;
    struct arena *arena = &e->arena;
    s->workflow_id = core_str(e, a->workflow_id);
    s->first_run_id = core_str(e, a->first_execution_run_id);
    s->original_run_id = core_str(e, a->original_execution_run_id);
    s->continued_from_run_id = core_str(e, a->continued_execution_run_id);
    if (a->workflow_type != NULL) s->workflow_type = core_str(e, a->workflow_type->name);
    if (a->task_queue != NULL) s->task_queue = core_str(e, a->task_queue->name);
    s->execution_timeout_ns = ns_of(a->workflow_execution_timeout);
    s->run_timeout_ns = ns_of(a->workflow_run_timeout);
    s->has_run_timeout = a->workflow_run_timeout != NULL;
    s->task_timeout_ns = ns_of(a->workflow_task_timeout);
    s->execution_expires_at = instant_of(a->workflow_execution_expiration_time).ns;
    s->start_at = s->chain_start_at = s->original_start_at = r->at.ns;
    s->execution_at = instant_add(r->at, (duration){ns_of(a->first_workflow_task_backoff)}).ns;
    s->status = WORKFLOW_EXECUTION_STATUS_RUNNING;
    s->attempt = a->attempt;
    s->initiator = a->initiator;
    s->cron_schedule = core_str(e, a->cron_schedule);
    if (a->retry_policy != NULL) s->retry_policy = PB_CLONE(arena, pb_common_RetryPolicy, a->retry_policy);
    if (a->priority != NULL) s->priority = PB_CLONE(arena, pb_common_Priority, a->priority);
    if (a->versioning_override != NULL) s->versioning_override = PB_CLONE(arena, pb_workflow_VersioningOverride, a->versioning_override);
    if (a->prev_auto_reset_points != NULL) s->reset_points = PB_CLONE(arena, pb_workflow_ResetPoints, a->prev_auto_reset_points);
    if (r->ev->user_metadata != NULL) s->user_metadata = PB_CLONE(arena, pb_sdk_UserMetadata, r->ev->user_metadata);
    for (size_t i = 0; i < a->completion_callbacks_count; i++) callback_add(e, &(struct step){.now = r->at}, a->completion_callbacks[i], STR_EMPTY);
    if (a->memo != NULL && a->memo->fields_count != 0) attributes_set_memo(e, a->memo);
    if (a->search_attributes != NULL && a->search_attributes->indexed_fields_count != 0) attributes_set_search(e, a->search_attributes);
    if (a->parent_workflow_execution == NULL) return;
    s->parent = pb_new(arena, pb_store_Parent);
    s->parent->namespace_id = core_str(e, a->parent_workflow_namespace_id);
    s->parent->namespace_name = core_str(e, a->parent_workflow_namespace);
    s->parent->workflow_id = core_str(e, a->parent_workflow_execution->workflow_id);
    s->parent->run_id = core_str(e, a->parent_workflow_execution->run_id);
    s->parent->initiated_event_id = a->parent_initiated_event_id;
    if (a->root_workflow_execution != NULL) s->root = PB_CLONE(arena, pb_common_WorkflowExecution, a->root_workflow_execution);
}

static void keep_start_input(struct rebuild *r)
{
    const pb_history_WorkflowExecutionStartedEventAttributes *a = r->ev->workflow_execution_started_event_attributes;
    if (a->retry_policy == NULL && str_is_empty(a->cron_schedule)) return;
    struct item *item = item_new(r->e, ITEM_START_INPUT, 0, STR_EMPTY);
    if (a->input != NULL) item->start_input->input = PB_CLONE(&item->arena, pb_common_Payloads, a->input);
    if (a->header != NULL) item->start_input->header = PB_CLONE(&item->arena, pb_common_Header, a->header);
    if (a->last_completion_result != NULL) item->start_input->last_completion_result = PB_CLONE(&item->arena, pb_common_Payloads, a->last_completion_result);
    if (a->continued_failure != NULL) item->start_input->continued_failure = PB_CLONE(&item->arena, pb_failure_Failure, a->continued_failure);
}

static void apply_options(struct rebuild *r)
{
    const pb_history_WorkflowExecutionOptionsUpdatedEventAttributes *a = r->ev->workflow_execution_options_updated_event_attributes;
    struct step step = {.now = r->at};
    if (a->versioning_override != NULL) r->e->s->versioning_override = PB_CLONE(&r->e->arena, pb_workflow_VersioningOverride, a->versioning_override);
    if (a->unset_versioning_override) r->e->s->versioning_override = NULL;
    if (a->priority != NULL) r->e->s->priority = PB_CLONE(&r->e->arena, pb_common_Priority, a->priority);
    for (size_t i = 0; i < a->attached_completion_callbacks_count; i++) callback_add(r->e, &step, a->attached_completion_callbacks[i], a->attached_request_id);
}

static void apply_closed(struct rebuild *r, int32_t status)
{
    r->e->s->status = status;
    r->e->s->close_at = r->at.ns;
    r->e->s->close_event_id = r->ev->event_id;
    workflow_task_clear(r->e);
}

static void note_request_id(struct rebuild *r, struct str request_id)
{
    if (request_id.size == 0 || item_by_name(r->e, ITEM_REQUEST_ID, request_id) != NULL) return;
    struct item *item = item_new(r->e, ITEM_REQUEST_ID, 0, request_id);
    item->request_id->event_type = r->ev->event_type;
    item->request_id->event_id = r->ev->event_id;
}

/* ---- the workflow task ---- */

static void apply_task_scheduled(struct rebuild *r)
{
    const pb_history_WorkflowTaskScheduledEventAttributes *a = r->ev->workflow_task_scheduled_event_attributes;
    pb_store_WorkflowTask *t = r->e->s->task;
    *t = (pb_store_WorkflowTask){.state = WORKFLOW_TASK_STATE_SCHEDULED, .scheduled_event_id = r->ev->event_id, .attempt = a->attempt};
    t->scheduled_at = t->original_scheduled_at = r->at.ns;
    t->timeout_ns = ns_of(a->start_to_close_timeout);
    t->stamp = ++r->e->s->last_stamp;
}

static void apply_task_started(struct rebuild *r)
{
    pb_store_WorkflowTask *t = r->e->s->task;
    t->state = WORKFLOW_TASK_STATE_STARTED;
    t->started_event_id = r->ev->event_id;
    t->started_at = r->at.ns;
    t->identity = core_str(r->e, r->ev->workflow_task_started_event_attributes->identity);
    t->request_id = core_str(r->e, r->ev->workflow_task_started_event_attributes->request_id);
    const pb_common_WorkerVersionStamp *worker = r->ev->workflow_task_started_event_attributes->worker_version;
    if (worker != NULL) t->worker_version = PB_CLONE(&r->e->arena, pb_common_WorkerVersionStamp, worker);
}

static void apply_task_completed(struct rebuild *r)
{
    const pb_history_WorkflowTaskCompletedEventAttributes *a = r->ev->workflow_task_completed_event_attributes;
    r->e->s->previous_started_event_id = a->started_event_id;
    r->e->s->last_completed_task_event_id = r->ev->event_id;
    versions_completed(r->e, &(struct step){.now = r->at, .arena = &r->e->arena}, a, r->ev->event_id);
    workflow_task_clear(r->e);
    r->e->s->task->attempt = 1;
}

static void apply_task_ended(struct rebuild *r, bool counts)
{
    workflow_task_clear(r->e);
    if (counts) r->e->s->task->attempt++;
}

/* ---- activities and timers ---- */

static void apply_activity_scheduled(struct rebuild *r)
{
    const pb_history_ActivityTaskScheduledEventAttributes *from = r->ev->activity_task_scheduled_event_attributes;
    struct item *ended = item_by_name(r->e, ITEM_ACTIVITY, from->activity_id);
    if (ended != NULL) item_remove(ended); /* its end was still buffered when the id was used again, and follows */
    struct item *item = item_new(r->e, ITEM_ACTIVITY, r->ev->event_id, STR_EMPTY);
    pb_store_Activity *a = item->activity;
    a->scheduled_event_id = r->ev->event_id;
    a->activity_id = item_str(item, from->activity_id);
    if (from->activity_type != NULL) a->activity_type = item_str(item, from->activity_type->name);
    if (from->task_queue != NULL) a->task_queue = item_str(item, from->task_queue->name);
    a->schedule_to_close_ns = ns_of(from->schedule_to_close_timeout);
    a->schedule_to_start_ns = ns_of(from->schedule_to_start_timeout);
    a->start_to_close_ns = ns_of(from->start_to_close_timeout);
    a->heartbeat_ns = ns_of(from->heartbeat_timeout);
    a->retry_policy = from->retry_policy != NULL ? PB_CLONE(&item->arena, pb_common_RetryPolicy, from->retry_policy) : retry_policy_filled(NULL, &item->arena);
    if (from->header != NULL) a->header = PB_CLONE(&item->arena, pb_common_Header, from->header);
    if (from->input != NULL) a->input = PB_CLONE(&item->arena, pb_common_Payloads, from->input);
    if (from->priority != NULL) a->priority = PB_CLONE(&item->arena, pb_common_Priority, from->priority);
    if (r->ev->user_metadata != NULL) a->user_metadata = PB_CLONE(&item->arena, pb_sdk_UserMetadata, r->ev->user_metadata);
    a->attempt = 1;
    a->stamp = ++r->e->s->last_stamp;
    a->first_scheduled_at = a->scheduled_at = r->at.ns;
    if (a->schedule_to_close_ns > 0) a->expires_at = instant_add(r->at, (duration){a->schedule_to_close_ns}).ns;
    item_index_name(item, a->activity_id);
}

static void end_item(struct rebuild *r, enum item_kind kind, int64_t number)
{
    struct item *item = item_by_number(r->e, kind, number);
    if (item != NULL) item_remove(item);
}

static void apply_cancel_activity(struct rebuild *r)
{
    struct item *item = item_by_number(r->e, ITEM_ACTIVITY, r->ev->activity_task_cancel_requested_event_attributes->scheduled_event_id);
    if (item == NULL) return;
    item->activity->is_cancel_requested = true;
    item->activity->cancel_requested_event_id = r->ev->event_id;
}

static void apply_timer_started(struct rebuild *r)
{
    const pb_history_TimerStartedEventAttributes *a = r->ev->timer_started_event_attributes;
    struct item *fired = item_by_name(r->e, ITEM_TIMER, a->timer_id);
    if (fired != NULL) item_remove(fired);
    struct item *item = item_new(r->e, ITEM_TIMER, 0, a->timer_id);
    item->timer->timer_id = item_str(item, a->timer_id);
    item->timer->started_event_id = r->ev->event_id;
    item->timer->fires_at = instant_add(r->at, (duration){ns_of(a->start_to_fire_timeout)}).ns;
}

static void end_timer(struct rebuild *r, struct str id, int64_t started_event_id)
{
    struct item *item = item_by_name(r->e, ITEM_TIMER, id);
    if (item != NULL && item->timer->started_event_id == started_event_id) item_remove(item);
}

/* ---- other workflows ---- */

static void apply_child_initiated(struct rebuild *r)
{
    const pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *a = r->ev->start_child_workflow_execution_initiated_event_attributes;
    struct item *item = item_new(r->e, ITEM_CHILD, r->ev->event_id, STR_EMPTY);
    pb_store_Child *child = item->child;
    child->initiated_event_id = r->ev->event_id;
    child->workflow_id = item_str(item, a->workflow_id);
    if (a->workflow_type != NULL) child->workflow_type = item_str(item, a->workflow_type->name);
    child->namespace_id = item_str(item, a->namespace_id);
    child->namespace_name = item_str(item, a->namespace);
    child->parent_close_policy = a->parent_close_policy;
    child->task_completed_event_id = a->workflow_task_completed_event_id;
    if (a->header != NULL) child->header = PB_CLONE(&item->arena, pb_common_Header, a->header);
}

static void apply_child_started(struct rebuild *r)
{
    const pb_history_ChildWorkflowExecutionStartedEventAttributes *a = r->ev->child_workflow_execution_started_event_attributes;
    struct item *item = item_by_number(r->e, ITEM_CHILD, a->initiated_event_id);
    if (item == NULL) return;
    item->child->started_event_id = r->ev->event_id;
    item->child->has_started = true;
    if (a->workflow_execution != NULL) item->child->run_id = item_str(item, a->workflow_execution->run_id);
}

static void pend_external(struct rebuild *r, bool is_cancel, struct str namespace_id, struct str name, const pb_common_WorkflowExecution *execution, int64_t task,
                          struct str control)
{
    struct item *item = item_new(r->e, ITEM_EXTERNAL, r->ev->event_id, STR_EMPTY);
    item->external->initiated_event_id = r->ev->event_id;
    item->external->is_cancel = is_cancel;
    item->external->namespace_id = item_str(item, namespace_id);
    item->external->namespace_name = item_str(item, name);
    item->external->task_completed_event_id = task;
    item->external->control = item_str(item, control);
    if (execution == NULL) return;
    item->external->workflow_id = item_str(item, execution->workflow_id);
    item->external->run_id = item_str(item, execution->run_id);
}

/* ---- updates ---- */

static struct item *update_item(struct rebuild *r, struct str id)
{
    struct item *item = item_by_name(r->e, ITEM_UPDATE, id);
    if (item != NULL) return item;
    item = item_new(r->e, ITEM_UPDATE, 0, id);
    item->update->update_id = item_str(item, id);
    item->update->order = ++r->e->last_update;
    return item;
}

static void apply_update_admitted(struct rebuild *r)
{
    const pb_update_Request *request = r->ev->workflow_execution_update_admitted_event_attributes->request;
    if (request == NULL || request->meta == NULL || str_is_empty(request->meta->update_id)) return;
    struct item *item = update_item(r, request->meta->update_id);
    item->update->request = PB_CLONE(&item->arena, pb_update_Request, request);
    item->update->admitted_event_id = r->ev->event_id;
    r->e->admitted_count++;
}

static void apply_update_accepted(struct rebuild *r)
{
    struct str id = r->ev->workflow_execution_update_accepted_event_attributes->protocol_instance_id;
    if (str_is_empty(id)) return;
    struct item *item = update_item(r, id);
    if (item->update->admitted_event_id != 0) r->e->admitted_count--;
    item->update->stage = UPDATE_STAGE_ACCEPTED;
    item->update->accepted_event_id = r->ev->event_id;
    item->update->request = NULL;
    r->e->s->update_count++;
}

static void apply_update_completed(struct rebuild *r)
{
    const pb_history_WorkflowExecutionUpdateCompletedEventAttributes *a = r->ev->workflow_execution_update_completed_event_attributes;
    if (a->meta == NULL || str_is_empty(a->meta->update_id)) return;
    struct item *item = update_item(r, a->meta->update_id);
    item->update->stage = UPDATE_STAGE_COMPLETED;
    item->update->completed_event_id = r->ev->event_id;
    if (a->outcome != NULL) item->update->outcome = PB_CLONE(&item->arena, pb_update_Outcome, a->outcome);
}

/* ---- all events ---- */

static void apply_activity_event(struct rebuild *r)
{
    const event *ev = r->ev;
    switch (ev->event_type) {
    case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: apply_activity_scheduled(r); break;
    case EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: apply_cancel_activity(r); break;
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: end_item(r, ITEM_ACTIVITY, ev->activity_task_completed_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_FAILED: end_item(r, ITEM_ACTIVITY, ev->activity_task_failed_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: end_item(r, ITEM_ACTIVITY, ev->activity_task_timed_out_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_CANCELED: end_item(r, ITEM_ACTIVITY, ev->activity_task_canceled_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_TIMER_STARTED: apply_timer_started(r); break;
    case EVENT_TYPE_TIMER_FIRED: end_timer(r, ev->timer_fired_event_attributes->timer_id, ev->timer_fired_event_attributes->started_event_id); break;
    case EVENT_TYPE_TIMER_CANCELED: end_timer(r, ev->timer_canceled_event_attributes->timer_id, ev->timer_canceled_event_attributes->started_event_id); break;
    default: break;
    }
}

static void apply_other_workflow_event(struct rebuild *r)
{
    const event *ev = r->ev;
    switch (ev->event_type) {
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: apply_child_initiated(r); break;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: apply_child_started(r); break;
#define ENDS_CHILD(type, field) case type: end_item(r, ITEM_CHILD, ev->field->initiated_event_id); break;
    ENDS_CHILD(EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, start_child_workflow_execution_failed_event_attributes)
    ENDS_CHILD(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed_event_attributes)
    ENDS_CHILD(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed_event_attributes)
    ENDS_CHILD(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled_event_attributes)
    ENDS_CHILD(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out_event_attributes)
    ENDS_CHILD(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated_event_attributes)
#undef ENDS_CHILD
    case EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: {
        const pb_history_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes *a = ev->request_cancel_external_workflow_execution_initiated_event_attributes;
        pend_external(r, true, a->namespace_id, a->namespace, a->workflow_execution, a->workflow_task_completed_event_id, a->control);
        break;
    }
    case EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: {
        const pb_history_SignalExternalWorkflowExecutionInitiatedEventAttributes *a = ev->signal_external_workflow_execution_initiated_event_attributes;
        pend_external(r, false, a->namespace_id, a->namespace, a->workflow_execution, a->workflow_task_completed_event_id, a->control);
        break;
    }
#define ENDS_EXTERNAL(type, field) case type: end_item(r, ITEM_EXTERNAL, ev->field->initiated_event_id); break;
    ENDS_EXTERNAL(EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, request_cancel_external_workflow_execution_failed_event_attributes)
    ENDS_EXTERNAL(EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED, external_workflow_execution_cancel_requested_event_attributes)
    ENDS_EXTERNAL(EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, signal_external_workflow_execution_failed_event_attributes)
    ENDS_EXTERNAL(EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, external_workflow_execution_signaled_event_attributes)
#undef ENDS_EXTERNAL
    default: break;
    }
}

static void apply_task_event(struct rebuild *r)
{
    const event *ev = r->ev;
    switch (ev->event_type) {
    case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: apply_task_scheduled(r); break;
    case EVENT_TYPE_WORKFLOW_TASK_STARTED: apply_task_started(r); break;
    case EVENT_TYPE_WORKFLOW_TASK_COMPLETED: apply_task_completed(r); break;
    case EVENT_TYPE_WORKFLOW_TASK_FAILED: apply_task_ended(r, true); break;
    case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        apply_task_ended(r, ev->workflow_task_timed_out_event_attributes->timeout_type == TIMEOUT_TYPE_START_TO_CLOSE);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: apply_update_admitted(r); break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: apply_update_accepted(r); break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: apply_update_completed(r); break;
    default: break;
    }
}

static void apply_run_event(struct rebuild *r)
{
    const event *ev = r->ev;
    switch (ev->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
        apply_started(r);
        keep_start_input(r);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        r->e->s->signal_count++;
        note_request_id(r, ev->workflow_execution_signaled_event_attributes->request_id);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: r->e->s->is_cancel_requested = true; break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
        apply_options(r);
        note_request_id(r, ev->workflow_execution_options_updated_event_attributes->attached_request_id);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED: r->e->s->status = WORKFLOW_EXECUTION_STATUS_PAUSED; break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED: r->e->s->status = WORKFLOW_EXECUTION_STATUS_RUNNING; break;
    case EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
        if (ev->upsert_workflow_search_attributes_event_attributes->search_attributes != NULL)
            attributes_set_search(r->e, ev->upsert_workflow_search_attributes_event_attributes->search_attributes);
        break;
    case EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
        if (ev->workflow_properties_modified_event_attributes->upserted_memo != NULL)
            attributes_set_memo(r->e, ev->workflow_properties_modified_event_attributes->upserted_memo);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: apply_closed(r, WORKFLOW_EXECUTION_STATUS_COMPLETED); break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: apply_closed(r, WORKFLOW_EXECUTION_STATUS_FAILED); break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: apply_closed(r, WORKFLOW_EXECUTION_STATUS_CANCELED); break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: apply_closed(r, WORKFLOW_EXECUTION_STATUS_TERMINATED); break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: apply_closed(r, WORKFLOW_EXECUTION_STATUS_TIMED_OUT); break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: apply_closed(r, WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW); break;
    default: break;
    }
}

/* The attributes that an event of this type has, are there. */
static bool is_whole(const event *ev) { return ev->attributes_case != 0 && ev->workflow_execution_started_event_attributes != NULL; }

err execution_rebuild(const struct namespace_info *ns, event *const *events, size_t count, struct execution **rebuilt)
{
    struct execution *e = execution_new(ns);
    err result = count != 0 && events[0]->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_STARTED ? ERR_NONE : ERR_CORRUPT;
    for (size_t i = 0; i < count && result == ERR_NONE; i++) {
        struct rebuild r = {.e = e, .ev = events[i], .at = instant_of(events[i]->event_time)};
        if (events[i]->event_id != (int64_t)i + 1 || !is_whole(events[i])) {
            result = ERR_CORRUPT;
            break;
        }
        apply_run_event(&r);
        apply_task_event(&r);
        apply_activity_event(&r);
        apply_other_workflow_event(&r);
        e->s->next_event_id = events[i]->event_id + 1;
    }
    e->s->namespace_key = ns->key;
    if (e->s->parent != NULL) e->s->parent->namespace_key = ns->key;
    if (result != ERR_NONE) {
        execution_destroy(e);
        return result;
    }
    *rebuilt = e;
    return ERR_NONE;
}
