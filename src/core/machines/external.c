/* Signals to other workflows, and requests to cancel them (children too).
 *
 *   NEW ── Initiated ──► SCHEDULED ── Signaled or CancelRequested, Failed ──► gone
 *    └─ a signal cancelled in the same workflow task: gone, and history never hears of it
 *
 * A cancel of a child has no machine of its own: what follows its Initiated event says nothing the child's end does not. */
#include "core/run_state.h"

static pb_failure_Failure *external_failure(struct run *run, const char *message, const char *type)
{
    struct arena *a = &run->scratch;
    pb_failure_Failure *f = failure_new(a, message);
    f->failure_info_case = pb_failure_Failure_application_failure_info_tag;
    f->application_failure_info = pb_new(a, pb_failure_ApplicationFailureInfo);
    f->application_failure_info->type = str_of(type);
    return f;
}

err external_signal(struct run *run, const pb_core_Command *c)
{
    const pb_core_SignalExternal *s = c->signal_external;
    if (s->seq <= run->seq_max[MACHINE_SIGNAL])
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "signal_external gives seq %u a second time", s->seq);
    struct str target = s->workflow != NULL ? s->workflow->workflow_id : s->child_workflow_id;
    if (s->child_seq != 0 && str_is_empty(target)) {
        const struct machine *child = machine_get(run, MACHINE_CHILD, s->child_seq);
        if (child != NULL) target = child->id;
    }
    run_push(run, OUT_SIGNAL_EXTERNAL, machine_create(run, MACHINE_SIGNAL, s->seq, target, s->signal_name), c);
    return ERR_NONE;
}

static void signal_resolve(struct run *run, struct machine *m, pb_failure_Failure *failure)
{
    if (m->is_resolved) return;
    m->is_resolved = true;
    pb_core_ResolveSignalExternal *job = RUN_JOB(run, JOBS_OTHER, resolve_signal_external, ResolveSignalExternal);
    job->seq = m->seq;
    job->failure = failure;
}

err external_signal_cancel(struct run *run, const pb_core_Command *c)
{
    uint32_t seq = c->cancel_signal->seq;
    struct machine *m = machine_get(run, MACHINE_SIGNAL, seq);
    if (m == NULL) return machine_missing(run, MACHINE_SIGNAL, seq, "cancel_signal");
    if (m->state != MACHINE_NEW) return ERR_NONE; /* on its way: too late */
    run_unpush(run, run_find_outgoing(run, OUT_SIGNAL_EXTERNAL, m));
    signal_resolve(run, m, failure_cancelled(&run->scratch, "Signal was cancelled before being sent", NULL));
    machine_destroy(run, m);
    return ERR_NONE;
}

err external_cancel(struct run *run, const pb_core_Command *c)
{
    const pb_core_CancelExternal *x = c->cancel_external;
    if (x->workflow == NULL)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "cancel_external names no workflow");
    if (x->seq <= run->seq_max[MACHINE_CANCEL])
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "cancel_external gives seq %u a second time", x->seq);
    run_push(run, OUT_CANCEL_EXTERNAL, machine_create(run, MACHINE_CANCEL, x->seq, x->workflow->workflow_id, STR_EMPTY), c);
    return ERR_NONE;
}

err external_signal_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    const pb_history_SignalExternalWorkflowExecutionInitiatedEventAttributes *a =
        e->signal_external_workflow_execution_initiated_event_attributes;
    struct str target = a->workflow_execution != NULL ? a->workflow_execution->workflow_id : STR_EMPTY;
    if (!str_equal(out->id, target) || !str_equal(out->name, a->signal_name))
        return run_diverge(run, "event %" PRId64 " sends the signal \"%.*s\" to the workflow \"%.*s\", "
                                "the workflow code sends the signal \"%.*s\" to the workflow \"%.*s\"",
                           e->event_id, STR_ARG(a->signal_name), STR_ARG(target), STR_ARG(out->name), STR_ARG(out->id));
    if (out->machine != NULL) machine_scheduled(run, out->machine, e);
    return ERR_NONE;
}

err external_cancel_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    const pb_history_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes *a =
        e->request_cancel_external_workflow_execution_initiated_event_attributes;
    struct str target = a->workflow_execution != NULL ? a->workflow_execution->workflow_id : STR_EMPTY;
    if (!str_equal(out->id, target))
        return run_diverge(run, "event %" PRId64 " cancels the workflow \"%.*s\", the workflow code cancels the workflow \"%.*s\"",
                           e->event_id, STR_ARG(target), STR_ARG(out->id));
    if (out->machine != NULL && out->machine->kind == MACHINE_CANCEL) machine_scheduled(run, out->machine, e);
    return ERR_NONE;
}

err external_signal_closed(struct run *run, const event_t *e)
{
    bool is_failed = e->event_type == EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED;
    int64_t id = is_failed ? e->signal_external_workflow_execution_failed_event_attributes->initiated_event_id
                           : e->external_workflow_execution_signaled_event_attributes->initiated_event_id;
    struct machine *m = machine_of_event(run, MACHINE_SIGNAL, id);
    if (m == NULL)
        return run_diverge(run, "event %" PRId64 " ends a signal (initiated in event %" PRId64
                                ") that the workflow code does not have", e->event_id, id);
    pb_failure_Failure *failure = NULL;
    if (is_failed) {
        int32_t cause = e->signal_external_workflow_execution_failed_event_attributes->cause;
        failure = cause == SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_SIGNAL_COUNT_LIMIT_EXCEEDED
            ? external_failure(run, "Unable to signal external workflow because it has taken all the signals it may",
                               "SignalExternalWorkflowExecutionFailed")
            : external_failure(run, "Unable to signal external workflow because it was not found",
                               "ExternalWorkflowExecutionNotFound");
    }
    signal_resolve(run, m, failure);
    machine_destroy(run, m);
    return ERR_NONE;
}

err external_cancel_closed(struct run *run, const event_t *e)
{
    bool is_failed = e->event_type == EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED;
    int64_t id = is_failed ? e->request_cancel_external_workflow_execution_failed_event_attributes->initiated_event_id
                           : e->external_workflow_execution_cancel_requested_event_attributes->initiated_event_id;
    struct machine *m = machine_of_event(run, MACHINE_CANCEL, id);
    if (m == NULL) return ERR_NONE; /* of a child */
    pb_core_ResolveCancelExternal *job = RUN_JOB(run, JOBS_OTHER, resolve_cancel_external, ResolveCancelExternal);
    job->seq = m->seq;
    if (is_failed)
        job->failure = external_failure(run, "Unable to cancel external workflow because it was not found",
                                        "ExternalWorkflowExecutionNotFound");
    machine_destroy(run, m);
    return ERR_NONE;
}

static void signal_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    const pb_core_SignalExternal *s = out->from->signal_external;
    pb_command_SignalExternalWorkflowExecutionCommandAttributes *a =
        c->signal_external_workflow_execution_command_attributes =
            pb_new(arena, pb_command_SignalExternalWorkflowExecutionCommandAttributes);
    a->namespace = s->workflow != NULL && !str_is_empty(s->workflow->namespace) ? s->workflow->namespace : run->namespace;
    a->execution = pb_new(arena, pb_common_WorkflowExecution);
    a->execution->workflow_id = out->id;
    if (s->workflow != NULL) a->execution->run_id = s->workflow->run_id;
    a->signal_name = out->name;
    a->input = payloads_of(arena, s->arguments, s->arguments_count);
    a->child_workflow_only = s->child_seq != 0;
    if (s->headers_count != 0) {
        a->header = pb_new(arena, pb_common_Header);
        TAKE_MAP(a->header, fields, s, headers);
    }
}

void external_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    if (out->kind == OUT_SIGNAL_EXTERNAL) {
        signal_build(run, out, arena, c);
        return;
    }
    pb_command_RequestCancelExternalWorkflowExecutionCommandAttributes *a =
        c->request_cancel_external_workflow_execution_command_attributes =
            pb_new(arena, pb_command_RequestCancelExternalWorkflowExecutionCommandAttributes);
    a->namespace = run->namespace;
    a->workflow_id = out->id;
    if (out->from->variant_case == pb_core_Command_cancel_child_tag) {
        a->child_workflow_only = true;
        a->reason = out->from->cancel_child->reason;
        if (out->machine != NULL) a->run_id = arena_str(arena, str_make(out->machine->run_id, out->machine->run_id_size));
    } else {
        const pb_core_CancelExternal *x = out->from->cancel_external;
        if (!str_is_empty(x->workflow->namespace)) a->namespace = x->workflow->namespace;
        a->run_id = x->workflow->run_id;
        a->reason = x->reason;
    }
}
