/* A child workflow.
 *
 *   NEW ── Initiated ──► SCHEDULED ── Started ──► STARTED ── a close event ──► gone
 *    │                      └── StartChildFailed ──► gone
 *    └─ cancelled in the same workflow task: gone, and history never hears of it
 *
 * WAIT_CANCELLATION_REQUESTED waits for the child's end like WAIT_CANCELLATION_COMPLETED: so it was observed in recorded
 * histories (testdata child_cancel_requested), and what replays there has to replay here. */
#include "core/run_state.h"

#include <stdlib.h>

static pb_failure_Failure *child_failure(struct run *run, const struct machine *m, const char *message,
                                         pb_failure_Failure *cause, int32_t retry_state)
{
    struct arena *a = &run->scratch;
    pb_failure_Failure *f = failure_new(a, message);
    f->cause = cause;
    f->failure_info_case = pb_failure_Failure_child_workflow_execution_failure_info_tag;
    pb_failure_ChildWorkflowExecutionFailureInfo *info = pb_new(a, pb_failure_ChildWorkflowExecutionFailureInfo);
    f->child_workflow_execution_failure_info = info;
    info->namespace = run->namespace;
    info->workflow_execution = pb_new(a, pb_common_WorkflowExecution);
    info->workflow_execution->workflow_id = arena_str(a, m->id);
    info->workflow_execution->run_id = arena_str(a, str_make(m->run_id, m->run_id_size));
    info->workflow_type = pb_new(a, pb_common_WorkflowType);
    info->workflow_type->name = arena_str(a, m->name);
    info->initiated_event_id = m->event_id;
    info->started_event_id = m->started_id;
    info->retry_state = retry_state;
    return f;
}

static void child_resolve(struct run *run, struct machine *m, int32_t outcome, pb_failure_Failure *failure,
                          pb_core_ActivityCompleted *completed)
{
    if (m->is_resolved) return;
    m->is_resolved = true;
    pb_core_ResolveChild *job = RUN_JOB(run, JOBS_OTHER, resolve_child, ResolveChild);
    job->seq = m->seq;
    job->outcome_case = outcome;
    if (completed != NULL) job->completed = completed;
    else job->failed = failure;
}

static void child_resolve_cancelled(struct run *run, struct machine *m, const pb_common_Payloads *details)
{
    pb_failure_Failure *cause = failure_cancelled(&run->scratch, "Cancelled", details);
    child_resolve(run, m, pb_core_ResolveChild_cancelled_tag,
                  child_failure(run, m, "Child Workflow execution cancelled", cause, RETRY_STATE_UNSPECIFIED), NULL);
}

static pb_core_ResolveChildStart *child_resolve_start(struct run *run, struct machine *m, int32_t outcome)
{
    m->is_start_known = true;
    pb_core_ResolveChildStart *job = RUN_JOB(run, JOBS_OTHER, resolve_child_start, ResolveChildStart);
    job->seq = m->seq;
    job->outcome_case = outcome;
    return job;
}

static void child_resolve_start_cancelled(struct run *run, struct machine *m)
{
    pb_failure_Failure *cause = failure_cancelled(&run->scratch, "Child workflow cancelled before it started", NULL);
    child_resolve_start(run, m, pb_core_ResolveChildStart_cancelled_tag)->cancelled =
        child_failure(run, m, "Child Workflow execution cancelled before it started", cause, RETRY_STATE_UNSPECIFIED);
    m->is_resolved = true;
}

err child_start(struct run *run, const pb_core_Command *c)
{
    const pb_core_StartChild *s = c->start_child;
    if (s->seq <= run->seq_max[MACHINE_CHILD])
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "start_child gives seq %u a second time", s->seq);
    struct machine *m = machine_create(run, MACHINE_CHILD, s->seq, s->workflow_id, s->workflow_type);
    m->cancel_type = (uint8_t)s->cancellation_type;
    run_push(run, OUT_START_CHILD, m, c);
    return ERR_NONE;
}

static bool child_waits(const struct machine *m)
{
    return m->cancel_type == CHILD_CANCELLATION_TYPE_WAIT_CANCELLATION_COMPLETED ||
           m->cancel_type == CHILD_CANCELLATION_TYPE_WAIT_CANCELLATION_REQUESTED;
}

err child_cancel(struct run *run, const pb_core_Command *c)
{
    uint32_t seq = c->cancel_child->seq;
    struct machine *m = machine_get(run, MACHINE_CHILD, seq);
    if (m == NULL) return machine_missing(run, MACHINE_CHILD, seq, "cancel_child");
    if (m->is_cancelled || m->is_resolved) return ERR_NONE;
    m->is_cancelled = true;
    if (m->state == MACHINE_NEW) {
        run_unpush(run, run_find_outgoing(run, OUT_START_CHILD, m));
        child_resolve_start_cancelled(run, m);
        machine_destroy(run, m);
        return ERR_NONE;
    }
    if (m->cancel_type != CHILD_CANCELLATION_TYPE_ABANDON) run_push(run, OUT_CANCEL_EXTERNAL, m, c);
    if (child_waits(m)) return ERR_NONE;
    if (m->is_start_known) child_resolve_cancelled(run, m, NULL);
    else child_resolve_start_cancelled(run, m);
    return ERR_NONE;
}

err child_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    const pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *a =
        e->start_child_workflow_execution_initiated_event_attributes;
    struct str type = NAME_OF(a->workflow_type);
    if (!str_equal(out->id, a->workflow_id) || !str_equal(out->name, type))
        return run_diverge(run, "event %" PRId64 " starts the child workflow \"%.*s\" of type \"%.*s\", "
                                "the workflow code starts the child workflow \"%.*s\" of type \"%.*s\"",
                           e->event_id, STR_ARG(a->workflow_id), STR_ARG(type), STR_ARG(out->id), STR_ARG(out->name));
    if (out->machine != NULL) machine_scheduled(run, out->machine, e);
    return ERR_NONE;
}

static err child_unknown(struct run *run, const event_t *e, int64_t initiated_id)
{
    return run_diverge(run, "event %" PRId64 " is about a child workflow (initiated in event %" PRId64
                            ") that the workflow code does not have", e->event_id, initiated_id);
}

err child_started(struct run *run, const event_t *e)
{
    const pb_history_ChildWorkflowExecutionStartedEventAttributes *a = e->child_workflow_execution_started_event_attributes;
    struct machine *m = machine_of_event(run, MACHINE_CHILD, a->initiated_event_id);
    if (m == NULL) return child_unknown(run, e, a->initiated_event_id);
    struct str run_id = a->workflow_execution != NULL ? a->workflow_execution->run_id : STR_EMPTY;
    free(m->run_id);
    m->run_id = str_dup_c(run_id);
    m->run_id_size = run_id.size;
    m->state = MACHINE_STARTED;
    m->started_id = e->event_id;
    if (!m->is_start_known) child_resolve_start(run, m, pb_core_ResolveChildStart_run_id_tag)->run_id = run_id;
    return ERR_NONE;
}

err child_start_failed(struct run *run, const event_t *e)
{
    const pb_history_StartChildWorkflowExecutionFailedEventAttributes *a =
        e->start_child_workflow_execution_failed_event_attributes;
    struct machine *m = machine_of_event(run, MACHINE_CHILD, a->initiated_event_id);
    if (m == NULL) return child_unknown(run, e, a->initiated_event_id);
    if (!m->is_start_known) {
        pb_core_ChildStartFailed *failed = pb_new(&run->scratch, pb_core_ChildStartFailed);
        failed->workflow_id = a->workflow_id;
        failed->workflow_type = NAME_OF(a->workflow_type);
        failed->cause = a->cause;
        child_resolve_start(run, m, pb_core_ResolveChildStart_failed_tag)->failed = failed;
    }
    machine_destroy(run, m);
    return ERR_NONE;
}

static int64_t child_initiated_id(const event_t *e)
{
    switch (e->event_type) {
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
        return e->child_workflow_execution_completed_event_attributes->initiated_event_id;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
        return e->child_workflow_execution_failed_event_attributes->initiated_event_id;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
        return e->child_workflow_execution_canceled_event_attributes->initiated_event_id;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
        return e->child_workflow_execution_timed_out_event_attributes->initiated_event_id;
    default: return e->child_workflow_execution_terminated_event_attributes->initiated_event_id;
    }
}

static void child_resolve_from(struct run *run, struct machine *m, const event_t *e)
{
    struct arena *a = &run->scratch;
    pb_failure_Failure *cause;
    switch (e->event_type) {
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: {
        pb_core_ActivityCompleted *done = pb_new(a, pb_core_ActivityCompleted);
        done->result = first_payload(e->child_workflow_execution_completed_event_attributes->result);
        child_resolve(run, m, pb_core_ResolveChild_completed_tag, NULL, done);
        return;
    }
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
        child_resolve_cancelled(run, m, e->child_workflow_execution_canceled_event_attributes->details);
        return;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: {
        const pb_history_ChildWorkflowExecutionFailedEventAttributes *f = e->child_workflow_execution_failed_event_attributes;
        child_resolve(run, m, pb_core_ResolveChild_failed_tag,
                      child_failure(run, m, "Child Workflow execution failed", f->failure, f->retry_state), NULL);
        return;
    }
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
        cause = failure_new(a, "Child Workflow execution timed out");
        cause->failure_info_case = pb_failure_Failure_timeout_failure_info_tag;
        cause->timeout_failure_info = pb_new(a, pb_failure_TimeoutFailureInfo);
        cause->timeout_failure_info->timeout_type = TIMEOUT_TYPE_START_TO_CLOSE;
        child_resolve(run, m, pb_core_ResolveChild_failed_tag,
                      child_failure(run, m, "Child Workflow execution timed out", cause,
                                    e->child_workflow_execution_timed_out_event_attributes->retry_state), NULL);
        return;
    default:
        cause = failure_new(a, "Child Workflow execution terminated");
        cause->failure_info_case = pb_failure_Failure_terminated_failure_info_tag;
        cause->terminated_failure_info = pb_new(a, pb_failure_TerminatedFailureInfo);
        child_resolve(run, m, pb_core_ResolveChild_failed_tag,
                      child_failure(run, m, "Child Workflow execution terminated", cause, RETRY_STATE_UNSPECIFIED), NULL);
    }
}

err child_closed(struct run *run, const event_t *e)
{
    int64_t initiated_id = child_initiated_id(e);
    struct machine *m = machine_of_event(run, MACHINE_CHILD, initiated_id);
    if (m == NULL) return child_unknown(run, e, initiated_id);
    if (!m->is_resolved) child_resolve_from(run, m, e);
    machine_destroy(run, m);
    return ERR_NONE;
}

void child_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    const pb_core_StartChild *s = out->from->start_child;
    pb_command_StartChildWorkflowExecutionCommandAttributes *a =
        c->start_child_workflow_execution_command_attributes = pb_new(arena, pb_command_StartChildWorkflowExecutionCommandAttributes);
    a->namespace = str_is_empty(s->namespace) ? run->namespace : s->namespace;
    a->workflow_id = out->id;
    a->workflow_type = pb_new(arena, pb_common_WorkflowType);
    a->workflow_type->name = out->name;
    a->task_queue = pb_new(arena, pb_taskqueue_TaskQueue);
    a->task_queue->name = str_is_empty(s->task_queue) ? run->options->task_queue : s->task_queue;
    a->task_queue->kind = TASK_QUEUE_KIND_NORMAL;
    a->input = payloads_of(arena, s->input, s->input_count);
    a->workflow_execution_timeout = s->execution_timeout;
    a->workflow_run_timeout = s->run_timeout;
    a->workflow_task_timeout = s->task_timeout;
    a->parent_close_policy = s->parent_close_policy;
    a->workflow_id_reuse_policy = s->workflow_id_reuse_policy;
    a->retry_policy = s->retry_policy;
    a->cron_schedule = s->cron_schedule;
    a->header = s->headers_count != 0 ? pb_new(arena, pb_common_Header) : NULL;
    if (a->header != NULL) TAKE_MAP(a->header, fields, s, headers);
    a->memo = s->memo_count != 0 ? pb_new(arena, pb_common_Memo) : NULL;
    if (a->memo != NULL) TAKE_MAP(a->memo, fields, s, memo);
    a->search_attributes = s->search_attributes_count != 0 ? pb_new(arena, pb_common_SearchAttributes) : NULL;
    if (a->search_attributes != NULL) TAKE_MAP(a->search_attributes, indexed_fields, s, search_attributes);
    a->inherit_build_id = s->versioning_intent == VERSIONING_INTENT_COMPATIBLE ||
                          (s->versioning_intent == VERSIONING_INTENT_UNSPECIFIED &&
                           str_equal(a->task_queue->name, run->options->task_queue));
    a->priority = s->priority;
    a->versioning_override = s->versioning_override;
}
