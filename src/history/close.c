/* history/close.c: how runs end, and the runs that follow them: retry, cron, continue-as-new.
 *
 * (1) A run ends with exactly one closing event; nothing is written after it.
 * (2) The successor is made in the same step, so that a chain never breaks; who waits for the chain (the parent, completion
 *     callbacks) hears of its last run only. A run that a reset replaces tells nobody: the new one will.
 * Source: F004-F007, F013, F033, F034, F036, F039, F048, F054. */
#include "history/machines.h"

/* ---- checks ---- */

bool close_check_complete(struct completion *c, const pb_command_Command *command)
{
    /* the cause that the official server gives */
    return completion_refuse_size(c, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES, "the result of the workflow",
                                  payloads_size(command->complete_workflow_execution_command_attributes->result), c->step->limits->blob_size_max);
}

bool close_check_fail(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES };
    const pb_failure_Failure *failure = command->fail_workflow_execution_command_attributes->failure;
    if (failure == NULL) return completion_refuse(c, BAD, "the workflow fails without a failure");
    return completion_refuse_size(c, BAD, "the failure of the workflow", failure_size(failure), c->step->limits->blob_size_max);
}

bool close_check_cancel(struct completion *c, const pb_command_Command *command)
{
    return completion_refuse_size(c, WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES, "the details of the cancellation",
                                  payloads_size(command->cancel_workflow_execution_command_attributes->details), c->step->limits->blob_size_max);
}

bool close_check_continue(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_CONTINUE_AS_NEW_ATTRIBUTES };
    const pb_command_ContinueAsNewWorkflowExecutionCommandAttributes *a = command->continue_as_new_workflow_execution_command_attributes;
    const struct limits *limits = c->step->limits;
    size_t id_max = (size_t)limits->id_length_max;
    if (a->workflow_type != NULL && a->workflow_type->name.size > id_max) return completion_refuse(c, BAD, "the workflow type is too long");
    if (a->task_queue != NULL && a->task_queue->name.size > id_max) return completion_refuse(c, BAD, "the task queue is too long");
    if (ns_of(a->workflow_run_timeout) < 0 || ns_of(a->workflow_task_timeout) < 0 || ns_of(a->backoff_start_interval) < 0)
        return completion_refuse(c, BAD, "a timeout is negative");
    const char *problem = retry_policy_problem(a->retry_policy);
    if (problem != NULL) return completion_refuse(c, BAD, "%s", problem);
    if (!completion_refuse_size(c, BAD, "the input of the next run", payloads_size(a->input), limits->blob_size_max)) return false;
    return completion_refuse_size(c, BAD, "the memo of the next run", a->memo != NULL ? PB_SIZE(pb_common_Memo, a->memo) : 0, limits->memo_size_max);
}

/* ---- the end of a run ---- */

static void drop_all(struct execution *e, enum item_kind kind)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, kind, &at)) != NULL;) item_remove(item);
}

/* Writes the closing event and everything that comes with it. */
static void close_run(struct execution *e, struct step *step, event *ev, int32_t status, bool has_successor)
{
    pb_store_RunState *s = e->s;
    if (execution_has_workflow_task(e)) workflow_task_clear(e);
    execution_changed(e, step);
    s->close_event_id = event_add(e, step, ev);
    s->status = status;
    s->close_at = step->now.ns;
    s->first_task_at = 0;
    workflow_task_drop_sticky(e);
    step_take_back_requests(step, s->run_id); /* children, signals and cancel requests of the task that ends the run are events only, as officially */
    bool is_reset = !str_is_empty(s->reset_run_id); /* children and parent go on with the run that replaces this one */
    if (!is_reset) child_parent_closed(e, step);
    if (!is_reset && !has_successor && status != WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW) child_tell_parent(e, step, ev);
    if (!is_reset && !has_successor) callback_run_closed(e, step);
    update_run_closed(e, step, has_successor);
    static const enum item_kind pending[] = {ITEM_ACTIVITY, ITEM_ACTIVITY_INPUT, ITEM_TIMER, ITEM_CHILD, ITEM_EXTERNAL, ITEM_BUFFERED};
    for (size_t i = 0; i < countof(pending); i++) drop_all(e, pending[i]);
    if (e->single[ITEM_START_INPUT] != NULL) item_remove(e->single[ITEM_START_INPUT]);
    e->buffered_bytes = 0;
    e->offered_count = e->stored_count = 0;
    execution_due_core(e);
    e->is_visibility_dirty = true;
    step_notice(step, NOTICE_WORKFLOW_TASK_CLOSED, e, STR_EMPTY);
}

/* ---- the run that follows ---- */

/* Points to reset to in this run can be used as long as it is kept. */
static pb_workflow_ResetPoints *handed_on(const struct execution *e, struct step *step)
{
    if (e->s->reset_points == NULL) return pb_new(step->arena, pb_workflow_ResetPoints);
    pb_workflow_ResetPoints *points = PB_CLONE(step->arena, pb_workflow_ResetPoints, e->s->reset_points);
    for (size_t i = 0; i < points->points_count; i++)
        if (points->points[i]->expire_time == NULL) points->points[i]->expire_time = timestamp_of(step->arena, instant_add(step->now, e->ns->retention));
    return points;
}

/* What every successor inherits. */
static struct beginning next_run(const struct execution *e, struct step *step, int32_t initiator)
{
    const pb_store_RunState *s = e->s;
    struct beginning b = {.workflow_id = s->workflow_id, .run_id = run_id_new(step), .first_run_id = s->first_run_id};
    b.continued_from = s->run_id;
    b.request_id = uuid_new(step);
    b.type = s->workflow_type;
    b.queue = s->task_queue;
    b.cron = s->cron_schedule;
    b.parent = s->parent;
    b.root = s->parent != NULL ? s->root : NULL;
    b.user_metadata = s->user_metadata;
    b.priority = s->priority;
    b.versioning_override = s->versioning_override;
    b.reset_points = handed_on(e, step);
    b.execution_timeout.ns = s->execution_timeout_ns;
    b.run_timeout.ns = s->run_timeout_ns;
    b.task_timeout.ns = s->task_timeout_ns;
    b.execution_expires_at.ns = s->execution_expires_at;
    b.chain_start_at.ns = s->chain_start_at;
    b.has_run_timeout = s->has_run_timeout;
    b.initiator = initiator;
    b.callback_count = callback_collect(e, step->arena, (pb_common_Callback ***)&b.callbacks);
    const struct item *item = e->single[ITEM_ATTRIBUTES];
    if (item != NULL) {
        b.memo = item->attributes->memo;
        b.search_attributes = item->attributes->search_attributes;
    }
    return b;
}

/* The same for runs that begin again with the input they had. */
static struct beginning same_again(const struct execution *e, struct step *step, int32_t initiator)
{
    struct beginning b = next_run(e, step, initiator);
    const struct item *item = e->single[ITEM_START_INPUT];
    b.retry_policy = e->s->retry_policy;
    if (item != NULL) {
        b.input = item->start_input->input;
        b.header = item->start_input->header;
        b.last_result = item->start_input->last_completion_result;
    }
    return b;
}

/* Whether the chain goes on after a failure (NULL: success): by the retry policy first, then by the cron schedule. */
static bool goes_on(struct execution *e, struct step *step, const pb_failure_Failure *failure, struct beginning *b, int32_t *retry_state)
{
    const pb_store_RunState *s = e->s;
    struct retry_answer answer = {RETRY_STATE_RETRY_POLICY_NOT_SET, {0}};
    if (failure != NULL) answer = retry_next(s->retry_policy, s->attempt, step->now, (instant){s->execution_expires_at}, failure);
    *retry_state = answer.state;
    if (failure != NULL && answer.state == RETRY_STATE_IN_PROGRESS) {
        *b = same_again(e, step, CONTINUE_AS_NEW_INITIATOR_RETRY);
        b->attempt = s->attempt + 1;
        b->backoff = answer.pause;
        b->continued_failure = failure;
        return true;
    }
    if (str_is_empty(s->cron_schedule)) return false;
    duration backoff = cron_wait(step, s->cron_schedule, (instant){s->execution_at});
    if (backoff.ns < 0) return false;
    if (s->execution_expires_at != 0 && instant_add(step->now, backoff).ns > s->execution_expires_at) return false;
    *b = same_again(e, step, CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE);
    b->backoff = backoff;
    b->continued_failure = failure;
    return true;
}

/* ---- commands ---- */

void close_complete(struct completion *c, const pb_command_Command *command)
{
    pb_common_Payloads *result = command->complete_workflow_execution_command_attributes->result;
    struct beginning b;
    int32_t retry_state;
    bool has_next = goes_on(c->e, c->step, NULL, &b, &retry_state);
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED);
    pb_history_WorkflowExecutionCompletedEventAttributes *a = EVENT_SET(c->step, ev, workflow_execution_completed_event_attributes);
    a->result = result;
    a->workflow_task_completed_event_id = c->completed_event_id;
    if (has_next) {
        a->new_execution_run_id = b.run_id;
        b.last_result = result;
        run_begin(c->step, c->e->ns, &b);
    }
    close_run(c->e, c->step, ev, WORKFLOW_EXECUTION_STATUS_COMPLETED, has_next);
}

void close_fail(struct completion *c, const pb_command_Command *command)
{
    pb_failure_Failure *failure = command->fail_workflow_execution_command_attributes->failure;
    struct beginning b;
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_EXECUTION_FAILED);
    pb_history_WorkflowExecutionFailedEventAttributes *a = EVENT_SET(c->step, ev, workflow_execution_failed_event_attributes);
    bool has_next = goes_on(c->e, c->step, failure, &b, &a->retry_state);
    a->failure = failure;
    a->workflow_task_completed_event_id = c->completed_event_id;
    if (has_next) {
        a->new_execution_run_id = b.run_id;
        run_begin(c->step, c->e->ns, &b);
    }
    close_run(c->e, c->step, ev, WORKFLOW_EXECUTION_STATUS_FAILED, has_next);
}

void close_cancel(struct completion *c, const pb_command_Command *command)
{
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED);
    pb_history_WorkflowExecutionCanceledEventAttributes *a = EVENT_SET(c->step, ev, workflow_execution_canceled_event_attributes);
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->details = command->cancel_workflow_execution_command_attributes->details;
    close_run(c->e, c->step, ev, WORKFLOW_EXECUTION_STATUS_CANCELED, false);
}

/* First tasks of a chain's runs are at least a second apart, however fast the runs go on. */
static duration continue_backoff(const struct execution *e, const struct step *step, int64_t asked_ns)
{
    int64_t least = step->limits->minimal_run_interval_ms * NS_PER_MS - (step->now.ns - e->s->execution_at);
    if (asked_ns > 0) return (duration){asked_ns};
    return (duration){least > 0 ? least : 0};
}

void close_continue(struct completion *c, const pb_command_Command *command)
{
    const pb_command_ContinueAsNewWorkflowExecutionCommandAttributes *from = command->continue_as_new_workflow_execution_command_attributes;
    struct execution *e = c->e;
    struct arena *arena = c->step->arena;
    int32_t initiator = from->initiator != 0 ? from->initiator : CONTINUE_AS_NEW_INITIATOR_WORKFLOW;
    struct beginning b = next_run(e, c->step, initiator);
    if (from->workflow_type != NULL && from->workflow_type->name.size != 0) b.type = from->workflow_type->name;
    if (from->task_queue != NULL && from->task_queue->name.size != 0) b.queue = from->task_queue->name;
    if (ns_of(from->workflow_run_timeout) > 0) b.run_timeout.ns = ns_of(from->workflow_run_timeout);
    if (ns_of(from->workflow_task_timeout) > 0) b.task_timeout.ns = ns_of(from->workflow_task_timeout);
    b.has_run_timeout = true;
    b.input = from->input;
    b.header = from->header;
    b.memo = from->memo;
    b.search_attributes = from->search_attributes;
    b.retry_policy = from->retry_policy;
    b.cron = from->cron_schedule;
    b.last_result = from->last_completion_result;
    b.continued_failure = from->failure;
    b.backoff = continue_backoff(e, c->step, ns_of(from->backoff_start_interval));
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW);
    pb_history_WorkflowExecutionContinuedAsNewEventAttributes *a = EVENT_SET(c->step, ev, workflow_execution_continued_as_new_event_attributes);
    a->new_execution_run_id = b.run_id;
    a->workflow_type = workflow_type_of(arena, b.type);
    a->task_queue = task_queue_of(arena, b.queue);
    a->input = from->input;
    a->workflow_run_timeout = duration_of(arena, b.run_timeout.ns);
    a->workflow_task_timeout = duration_of(arena, b.task_timeout.ns);
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->backoff_start_interval = from->backoff_start_interval;
    a->initiator = from->initiator;
    a->failure = from->failure;
    a->last_completion_result = from->last_completion_result;
    a->header = from->header;
    a->memo = from->memo;
    a->search_attributes = from->search_attributes;
    a->inherit_build_id = from->inherit_build_id;
    a->initial_versioning_behavior = from->initial_versioning_behavior;
    run_begin(c->step, e->ns, &b);
    close_run(e, c->step, ev, WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, true);
}

/* ---- without a command ---- */

/* A task that was under way ends with the run, and what it was not to see yet is written before the end. */
static void end_task(struct execution *e, struct step *step)
{
    if (execution_workflow_task_is_started(e))
        workflow_task_fail_started(e, step, WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, NULL, STR("history-service"), STR_EMPTY);
    else if (execution_has_workflow_task(e)) workflow_task_clear(e);
    event_flush_buffer(e, step);
}

void close_time_out(struct execution *e, struct step *step, bool is_execution_timeout)
{
    struct beginning b;
    pb_failure_Failure *failure = timeout_failure(step->arena, STR("workflow timeout"), TIMEOUT_TYPE_START_TO_CLOSE);
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT);
    pb_history_WorkflowExecutionTimedOutEventAttributes *a = EVENT_SET(step, ev, workflow_execution_timed_out_event_attributes);
    a->retry_state = RETRY_STATE_TIMEOUT;
    bool has_next = !is_execution_timeout && goes_on(e, step, failure, &b, &a->retry_state);
    end_task(e, step);
    if (has_next) {
        a->new_execution_run_id = b.run_id;
        run_begin(step, e->ns, &b);
    }
    close_run(e, step, ev, WORKFLOW_EXECUTION_STATUS_TIMED_OUT, has_next);
}

void close_terminate(struct execution *e, struct step *step, struct str reason, const pb_common_Payloads *details, struct str identity,
                     pb_common_Link *const *links, size_t link_count)
{
    end_task(e, step);
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED);
    pb_history_WorkflowExecutionTerminatedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_terminated_event_attributes);
    ev->links = (pb_common_Link **)(uintptr_t)links;
    ev->links_count = link_count;
    a->reason = reason;
    a->details = (pb_common_Payloads *)(uintptr_t)details;
    a->identity = identity;
    close_run(e, step, ev, WORKFLOW_EXECUTION_STATUS_TERMINATED, false);
}
