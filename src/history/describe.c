/* history/describe.c: what a run says of itself. Source: F018. */
#include "history/machines.h"

int64_t execution_run(const struct execution *e) { return e->s->run_key; }
const struct namespace_info *execution_namespace(const struct execution *e) { return e->ns; }
struct str execution_workflow_id(const struct execution *e) { return e->s->workflow_id; }
struct str execution_run_id(const struct execution *e) { return e->s->run_id; }
struct str execution_first_run_id(const struct execution *e) { return e->s->first_run_id; }
bool execution_is_open(const struct execution *e)
{
    return e->s->status == WORKFLOW_EXECUTION_STATUS_RUNNING || e->s->status == WORKFLOW_EXECUTION_STATUS_PAUSED;
}
int32_t execution_status(const struct execution *e) { return e->s->status; }
instant execution_close_time(const struct execution *e) { return (instant){e->s->close_at}; }
int64_t execution_next_event_id(const struct execution *e) { return e->s->next_event_id; }
struct str execution_type(const struct execution *e) { return e->s->workflow_type; }

pb_store_VisibilityRow *execution_visibility(const struct execution *e, struct arena *arena)
{
    const pb_store_RunState *s = e->s;
    const struct item *item = e->single[ITEM_ATTRIBUTES];
    bool is_open = execution_is_open(e);
    pb_store_VisibilityRow *v = pb_new(arena, pb_store_VisibilityRow);
    v->namespace_key = s->namespace_key;
    v->run_key = s->run_key;
    v->workflow_id = arena_str(arena, s->workflow_id);
    v->run_id = arena_str(arena, s->run_id);
    v->workflow_type = arena_str(arena, s->workflow_type);
    v->task_queue = arena_str(arena, s->task_queue);
    v->status = s->status;
    v->start_time = timestamp_of(arena, (instant){s->start_at});
    v->execution_time = timestamp_of(arena, (instant){s->execution_at});
    v->history_size = s->history_size;
    v->state_transition_count = s->transition_count;
    if (!is_open) {
        v->close_time = timestamp_of(arena, (instant){s->close_at});
        v->execution_duration = duration_of(arena, s->close_at > s->execution_at ? s->close_at - s->execution_at : 0);
        v->history_length = s->next_event_id - 1;
    }
    if (s->parent != NULL) {
        v->parent_workflow_id = arena_str(arena, s->parent->workflow_id);
        v->parent_run_id = arena_str(arena, s->parent->run_id);
    }
    v->root_workflow_id = arena_str(arena, s->root->workflow_id);
    v->root_run_id = arena_str(arena, s->root->run_id);
    if (item != NULL && item->attributes->memo != NULL) v->memo = PB_CLONE(arena, pb_common_Memo, item->attributes->memo);
    v->search_attributes = item != NULL && item->attributes->search_attributes != NULL ? PB_CLONE(arena, pb_common_SearchAttributes, item->attributes->search_attributes)
                                                                                       : pb_new(arena, pb_common_SearchAttributes);
    versions_show(e, arena, v->search_attributes);
    v->version = s->visibility_version;
    return v;
}

/* ---- describe ---- */

static void describe_config(const struct execution *e, struct arena *arena, pb_ws_DescribeWorkflowExecutionResponse *reply)
{
    const pb_store_RunState *s = e->s;
    pb_workflow_WorkflowExecutionConfig *c = reply->execution_config = pb_new(arena, pb_workflow_WorkflowExecutionConfig);
    c->task_queue = task_queue_of(arena, arena_str(arena, s->task_queue));
    c->workflow_execution_timeout = duration_of(arena, s->execution_timeout_ns);
    c->workflow_run_timeout = duration_of(arena, s->run_timeout_ns);
    c->default_workflow_task_timeout = duration_of(arena, s->task_timeout_ns);
    if (s->user_metadata != NULL) c->user_metadata = PB_CLONE(arena, pb_sdk_UserMetadata, s->user_metadata);
}

static void describe_info(const struct execution *e, struct arena *arena, pb_ws_DescribeWorkflowExecutionResponse *reply)
{
    const pb_store_RunState *s = e->s;
    const struct item *item = e->single[ITEM_ATTRIBUTES];
    bool is_open = execution_is_open(e);
    pb_workflow_WorkflowExecutionInfo *i = reply->workflow_execution_info = pb_new(arena, pb_workflow_WorkflowExecutionInfo);
    i->execution = execution_of(arena, arena_str(arena, s->workflow_id), arena_str(arena, s->run_id));
    i->type = workflow_type_of(arena, arena_str(arena, s->workflow_type));
    i->start_time = timestamp_of(arena, (instant){s->start_at});
    i->execution_time = timestamp_of(arena, (instant){s->execution_at});
    i->status = s->status;
    i->history_length = s->next_event_id - 1;
    if (s->parent != NULL) {
        i->parent_namespace_id = arena_str(arena, s->parent->namespace_id);
        i->parent_execution = execution_of(arena, arena_str(arena, s->parent->workflow_id), arena_str(arena, s->parent->run_id));
    }
    i->root_execution = PB_CLONE(arena, pb_common_WorkflowExecution, s->root);
    i->memo = item != NULL && item->attributes->memo != NULL ? PB_CLONE(arena, pb_common_Memo, item->attributes->memo) : pb_new(arena, pb_common_Memo);
    i->search_attributes = item != NULL && item->attributes->search_attributes != NULL
                               ? PB_CLONE(arena, pb_common_SearchAttributes, item->attributes->search_attributes) : pb_new(arena, pb_common_SearchAttributes);
    versions_show(e, arena, i->search_attributes);
    if (s->worker_stamp != NULL) i->most_recent_worker_version_stamp = PB_CLONE(arena, pb_common_WorkerVersionStamp, s->worker_stamp);
    i->worker_deployment_name = arena_str(arena, s->worker_deployment_name);
    i->auto_reset_points = s->reset_points != NULL ? PB_CLONE(arena, pb_workflow_ResetPoints, s->reset_points) : pb_new(arena, pb_workflow_ResetPoints);
    i->task_queue = arena_str(arena, s->task_queue);
    i->state_transition_count = s->transition_count;
    i->history_size_bytes = s->history_size;
    i->first_run_id = arena_str(arena, s->first_run_id);
    if (s->priority != NULL) i->priority = PB_CLONE(arena, pb_common_Priority, s->priority);
    if (is_open) return;
    i->close_time = timestamp_of(arena, (instant){s->close_at});
    i->execution_duration = duration_of(arena, s->close_at > s->execution_at ? s->close_at - s->execution_at : 0);
}

static void describe_versioning(const struct execution *e, struct arena *arena, pb_workflow_WorkflowExecutionInfo *i)
{
    const pb_store_RunState *s = e->s;
    if (s->versioning_override == NULL && s->versioning_behavior == 0) return;
    i->versioning_info = pb_new(arena, pb_workflow_WorkflowExecutionVersioningInfo);
    i->versioning_info->behavior = s->versioning_behavior;
    if (s->deployment_version != NULL) i->versioning_info->deployment_version = PB_CLONE(arena, pb_deployment_WorkerDeploymentVersion, s->deployment_version);
    if (s->versioning_override != NULL) i->versioning_info->versioning_override = PB_CLONE(arena, pb_workflow_VersioningOverride, s->versioning_override);
}

static int32_t activity_state(const pb_store_Activity *a)
{
    bool is_running = a->state == ACTIVITY_STATE_STARTED;
    if (a->is_paused) return is_running ? PENDING_ACTIVITY_STATE_PAUSE_REQUESTED : PENDING_ACTIVITY_STATE_PAUSED;
    if (a->is_cancel_requested) return PENDING_ACTIVITY_STATE_CANCEL_REQUESTED;
    return is_running ? PENDING_ACTIVITY_STATE_STARTED : PENDING_ACTIVITY_STATE_SCHEDULED;
}

pb_activity_ActivityOptions *activity_options(const pb_store_Activity *a, struct arena *arena)
{
    pb_activity_ActivityOptions *o = pb_new(arena, pb_activity_ActivityOptions);
    o->task_queue = pb_new(arena, pb_taskqueue_TaskQueue);
    o->task_queue->name = o->task_queue->normal_name = arena_str(arena, a->task_queue);
    o->schedule_to_close_timeout = duration_of(arena, a->schedule_to_close_ns);
    o->schedule_to_start_timeout = duration_of(arena, a->schedule_to_start_ns);
    o->start_to_close_timeout = duration_of(arena, a->start_to_close_ns);
    o->heartbeat_timeout = duration_of(arena, a->heartbeat_ns);
    o->retry_policy = PB_CLONE(arena, pb_common_RetryPolicy, a->retry_policy);
    if (a->priority != NULL) o->priority = PB_CLONE(arena, pb_common_Priority, a->priority);
    return o;
}

static void describe_activity(const pb_store_Activity *a, struct arena *arena, pb_workflow_PendingActivityInfo *p)
{
    p->activity_id = arena_str(arena, a->activity_id);
    p->activity_type = activity_type_of(arena, arena_str(arena, a->activity_type));
    p->state = activity_state(a);
    if (a->heartbeat_details != NULL) p->heartbeat_details = PB_CLONE(arena, pb_common_Payloads, a->heartbeat_details);
    p->last_heartbeat_time = timestamp_of(arena, (instant){a->heartbeat_at});
    p->last_started_time = timestamp_of(arena, (instant){a->started_at});
    p->attempt = a->attempt;
    p->maximum_attempts = a->retry_policy->maximum_attempts;
    p->scheduled_time = timestamp_of(arena, (instant){a->state == ACTIVITY_STATE_BACKING_OFF ? a->next_attempt_at : a->scheduled_at});
    p->expiration_time = timestamp_of(arena, (instant){a->expires_at});
    if (a->last_failure != NULL) p->last_failure = PB_CLONE(arena, pb_failure_Failure, a->last_failure);
    p->last_worker_identity = arena_str(arena, a->last_identity);
    p->last_attempt_complete_time = timestamp_of(arena, (instant){a->last_attempt_end_at});
    if (a->state == ACTIVITY_STATE_BACKING_OFF && !a->is_paused) {
        p->current_retry_interval = duration_of(arena, a->retry_interval_ns);
        p->next_attempt_schedule_time = timestamp_of(arena, (instant){a->next_attempt_at});
    } else if (a->state != ACTIVITY_STATE_STARTED) {
        p->current_retry_interval = duration_of(arena, retry_next(a->retry_policy, a->attempt, (instant){0}, (instant){0}, NULL).pause.ns);
    }
    if (a->priority != NULL) p->priority = PB_CLONE(arena, pb_common_Priority, a->priority);
    p->activity_options = activity_options(a, arena);
    p->paused = a->is_paused;
    if (!a->is_paused) return;
    p->pause_info = pb_new(arena, pb_workflow_PendingActivityInfo_PauseInfo);
    p->pause_info->pause_time = timestamp_of(arena, (instant){a->paused_at});
    p->pause_info->paused_by_case = pb_workflow_PendingActivityInfo_PauseInfo_manual_tag;
    p->pause_info->manual = pb_new(arena, pb_workflow_PendingActivityInfo_PauseInfo_Manual);
    p->pause_info->manual->identity = arena_str(arena, a->pause_identity);
    p->pause_info->manual->reason = arena_str(arena, a->pause_reason);
}

static void describe_pending(const struct execution *e, struct arena *arena, pb_ws_DescribeWorkflowExecutionResponse *reply)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_ACTIVITY, &at)) != NULL;)
        describe_activity(item->activity, arena, PB_PUSH_NEW(arena, reply, pending_activities));
    for (size_t at = 0; (item = item_next(e, ITEM_CHILD, &at)) != NULL;) {
        const pb_store_Child *c = item->child;
        pb_workflow_PendingChildExecutionInfo *p = PB_PUSH_NEW(arena, reply, pending_children);
        p->workflow_id = arena_str(arena, c->workflow_id);
        p->run_id = arena_str(arena, c->run_id);
        p->workflow_type_name = arena_str(arena, c->workflow_type);
        p->initiated_id = c->initiated_event_id;
        p->parent_close_policy = c->parent_close_policy;
    }
    for (size_t at = 0; (item = item_next(e, ITEM_CALLBACK, &at)) != NULL;) callback_describe(item, arena, PB_PUSH_NEW(arena, reply, callbacks));
}

static void describe_task(const struct execution *e, struct arena *arena, pb_ws_DescribeWorkflowExecutionResponse *reply)
{
    const pb_store_WorkflowTask *t = e->s->task;
    if (t->state == WORKFLOW_TASK_STATE_NONE || t->kind == WORKFLOW_TASK_KIND_SPECULATIVE) return;
    pb_workflow_PendingWorkflowTaskInfo *p = reply->pending_workflow_task = pb_new(arena, pb_workflow_PendingWorkflowTaskInfo);
    bool is_started = t->state == WORKFLOW_TASK_STATE_STARTED;
    p->state = is_started ? PENDING_WORKFLOW_TASK_STATE_STARTED : PENDING_WORKFLOW_TASK_STATE_SCHEDULED;
    p->scheduled_time = timestamp_of(arena, (instant){t->scheduled_at});
    p->original_scheduled_time = timestamp_of(arena, (instant){t->original_scheduled_at});
    if (is_started) p->started_time = timestamp_of(arena, (instant){t->started_at});
    p->attempt = t->attempt;
}

static void describe_extended(const struct execution *e, struct arena *arena, pb_ws_DescribeWorkflowExecutionResponse *reply)
{
    const pb_store_RunState *s = e->s;
    pb_workflow_WorkflowExecutionExtendedInfo *x = reply->workflow_extended_info = pb_new(arena, pb_workflow_WorkflowExecutionExtendedInfo);
    x->execution_expiration_time = timestamp_of(arena, (instant){s->execution_expires_at});
    x->run_expiration_time = timestamp_of(arena, (instant){s->run_expires_at});
    x->cancel_requested = s->is_cancel_requested;
    x->last_reset_time = timestamp_of(arena, (instant){s->last_reset_at});
    x->original_start_time = timestamp_of(arena, (instant){s->original_start_at});
    x->reset_run_id = arena_str(arena, s->reset_run_id);
    if (s->pause != NULL) x->pause_info = PB_CLONE(arena, pb_workflow_WorkflowExecutionPauseInfo, s->pause);
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_REQUEST_ID, &at)) != NULL;) {
        if (item->request_id->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) continue;
        pb_workflow_WorkflowExecutionExtendedInfo_RequestIdInfosEntry *entry = PB_PUSH_NEW(arena, x, request_id_infos);
        entry->key = arena_str(arena, item->name);
        entry->value = pb_new(arena, pb_workflow_RequestIdInfo);
        entry->value->event_type = item->request_id->event_type;
        entry->value->event_id = item->request_id->event_id;
        entry->value->buffered = item->request_id->event_id == 0;
    }
}

void execution_describe(const struct execution *e, instant now, struct arena *arena, pb_ws_DescribeWorkflowExecutionResponse *reply)
{
    (void)now;
    describe_config(e, arena, reply);
    describe_info(e, arena, reply);
    describe_versioning(e, arena, reply->workflow_execution_info);
    describe_pending(e, arena, reply);
    describe_task(e, arena, reply);
    describe_extended(e, arena, reply);
}
