/* A nexus operation.
 *
 *   NEW ── Scheduled ──► SCHEDULED ── Started ──► STARTED ── Completed, Failed, Canceled, TimedOut ──► gone
 *    │                       └──────── the same, without a start ────────► gone
 *    └─ cancelled in the same workflow task: gone, and history never hears of it */
#include "core/run_state.h"

static pb_failure_Failure *nexus_failure(struct run *run, const struct machine *m, const char *message, pb_failure_Failure *cause)
{
    struct arena *a = &run->scratch;
    pb_failure_Failure *f = failure_new(a, message);
    f->cause = cause;
    f->failure_info_case = pb_failure_Failure_nexus_operation_execution_failure_info_tag;
    f->nexus_operation_execution_failure_info = pb_new(a, pb_failure_NexusOperationFailureInfo);
    f->nexus_operation_execution_failure_info->scheduled_event_id = m->event_id;
    f->nexus_operation_execution_failure_info->service = arena_str(a, m->id);
    f->nexus_operation_execution_failure_info->operation = arena_str(a, m->name);
    return f;
}

static void nexus_resolve(struct run *run, struct machine *m, int32_t outcome, void *what)
{
    if (m->is_resolved) return;
    m->is_resolved = true;
    pb_core_ResolveNexus *job = RUN_JOB(run, JOBS_OTHER, resolve_nexus, ResolveNexus);
    job->seq = m->seq;
    job->outcome_case = outcome;
    job->failed = what; /* all outcomes are pointers in one place */
}

static pb_core_ResolveNexusStart *nexus_resolve_start(struct run *run, struct machine *m, int32_t outcome)
{
    m->is_start_known = true;
    pb_core_ResolveNexusStart *job = RUN_JOB(run, JOBS_OTHER, resolve_nexus_start, ResolveNexusStart);
    job->seq = m->seq;
    job->outcome_case = outcome;
    return job;
}

/* The code stops waiting now. Before the start it learns so in the place of the start. */
static void nexus_resolve_cancelled(struct run *run, struct machine *m, const char *message)
{
    pb_failure_Failure *failure = nexus_failure(run, m, message, failure_cancelled(&run->scratch, message, NULL));
    if (m->is_start_known) {
        nexus_resolve(run, m, pb_core_ResolveNexus_cancelled_tag, failure);
    } else {
        nexus_resolve_start(run, m, pb_core_ResolveNexusStart_failed_tag)->failed = failure;
        m->is_resolved = true;
    }
}

err nexus_schedule(struct run *run, const pb_core_Command *c)
{
    const pb_core_ScheduleNexus *s = c->schedule_nexus;
    if (s->seq <= run->seq_max[MACHINE_NEXUS])
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "schedule_nexus gives seq %u a second time", s->seq);
    struct machine *m = machine_create(run, MACHINE_NEXUS, s->seq, s->service, s->operation);
    m->cancel_type = (uint8_t)s->cancellation_type;
    run_push(run, OUT_SCHEDULE_NEXUS, m, c);
    return ERR_NONE;
}

err nexus_request_cancel(struct run *run, const pb_core_Command *c)
{
    uint32_t seq = c->request_cancel_nexus->seq;
    struct machine *m = machine_get(run, MACHINE_NEXUS, seq);
    if (m == NULL) return machine_missing(run, MACHINE_NEXUS, seq, "request_cancel_nexus");
    if (m->is_cancelled || m->is_resolved) return ERR_NONE;
    m->is_cancelled = true;
    if (m->state == MACHINE_NEW) {
        run_unpush(run, run_find_outgoing(run, OUT_SCHEDULE_NEXUS, m));
        nexus_resolve_cancelled(run, m, "Nexus Operation cancelled before scheduled");
        machine_destroy(run, m);
        return ERR_NONE;
    }
    if (m->cancel_type != NEXUS_CANCELLATION_TYPE_ABANDON) run_push(run, OUT_CANCEL_NEXUS, m, c);
    if (m->cancel_type == NEXUS_CANCELLATION_TYPE_ABANDON || m->cancel_type == NEXUS_CANCELLATION_TYPE_TRY_CANCEL)
        nexus_resolve_cancelled(run, m, "Nexus Operation cancelled");
    return ERR_NONE;
}

err nexus_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    const pb_history_NexusOperationScheduledEventAttributes *a = e->nexus_operation_scheduled_event_attributes;
    if (!str_equal(out->id, a->service) || !str_equal(out->name, a->operation))
        return run_diverge(run, "event %" PRId64 " schedules the nexus operation \"%.*s\" of \"%.*s\", "
                                "the workflow code schedules the nexus operation \"%.*s\" of \"%.*s\"",
                           e->event_id, STR_ARG(a->operation), STR_ARG(a->service), STR_ARG(out->name), STR_ARG(out->id));
    if (out->machine != NULL) machine_scheduled(run, out->machine, e);
    return ERR_NONE;
}

err nexus_cancel_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    int64_t scheduled_id = e->nexus_operation_cancel_requested_event_attributes->scheduled_event_id;
    if (out->machine != NULL && out->machine->event_id != scheduled_id)
        return run_diverge(run, "event %" PRId64 " cancels the nexus operation scheduled in event %" PRId64
                                ", the workflow code cancels the nexus operation \"%.*s\"",
                           e->event_id, scheduled_id, STR_ARG(out->name));
    return ERR_NONE;
}

static struct machine *nexus_of(struct run *run, int64_t scheduled_id)
{
    return machine_of_event(run, MACHINE_NEXUS, scheduled_id);
}

static err nexus_unknown(struct run *run, const event_t *e)
{
    return run_diverge(run, "event %" PRId64 " is about a nexus operation that the workflow code does not have", e->event_id);
}

err nexus_started(struct run *run, const event_t *e)
{
    const pb_history_NexusOperationStartedEventAttributes *a = e->nexus_operation_started_event_attributes;
    struct machine *m = nexus_of(run, a->scheduled_event_id);
    if (m == NULL) return nexus_unknown(run, e);
    m->state = MACHINE_STARTED;
    m->started_id = e->event_id;
    if (!m->is_start_known)
        nexus_resolve_start(run, m, pb_core_ResolveNexusStart_operation_token_tag)->operation_token =
            str_is_empty(a->operation_token) ? a->operation_id : a->operation_token;
    return ERR_NONE;
}

/* The end of one that never started is told in the place of the start, unless it is a result. */
static void nexus_resolve_failed(struct run *run, struct machine *m, int32_t outcome, pb_failure_Failure *failure)
{
    if (m->is_resolved) return;
    if (!m->is_start_known) {
        nexus_resolve_start(run, m, pb_core_ResolveNexusStart_failed_tag)->failed = failure;
        m->is_resolved = true;
    } else {
        nexus_resolve(run, m, outcome, failure);
    }
}

err nexus_closed(struct run *run, const event_t *e)
{
    struct machine *m;
    switch (e->event_type) {
    case EVENT_TYPE_NEXUS_OPERATION_COMPLETED:
        if ((m = nexus_of(run, e->nexus_operation_completed_event_attributes->scheduled_event_id)) == NULL) break;
        if (!m->is_start_known && !m->is_resolved)
            nexus_resolve_start(run, m, pb_core_ResolveNexusStart_started_sync_tag)->started_sync = true;
        nexus_resolve(run, m, pb_core_ResolveNexus_completed_tag,
                      e->nexus_operation_completed_event_attributes->result != NULL
                          ? (void *)e->nexus_operation_completed_event_attributes->result
                          : (void *)pb_new(&run->scratch, pb_common_Payload));
        break;
    case EVENT_TYPE_NEXUS_OPERATION_FAILED:
        if ((m = nexus_of(run, e->nexus_operation_failed_event_attributes->scheduled_event_id)) == NULL) break;
        nexus_resolve_failed(run, m, pb_core_ResolveNexus_failed_tag, e->nexus_operation_failed_event_attributes->failure);
        break;
    case EVENT_TYPE_NEXUS_OPERATION_CANCELED:
        if ((m = nexus_of(run, e->nexus_operation_canceled_event_attributes->scheduled_event_id)) == NULL) break;
        nexus_resolve_failed(run, m, pb_core_ResolveNexus_cancelled_tag, e->nexus_operation_canceled_event_attributes->failure);
        break;
    default:
        if ((m = nexus_of(run, e->nexus_operation_timed_out_event_attributes->scheduled_event_id)) == NULL) break;
        nexus_resolve_failed(run, m, pb_core_ResolveNexus_timed_out_tag, e->nexus_operation_timed_out_event_attributes->failure);
        break;
    }
    if (m == NULL) return nexus_unknown(run, e);
    machine_destroy(run, m);
    return ERR_NONE;
}

/* The request to cancel has reached the handler, or could not. */
err nexus_cancel_delivered(struct run *run, const event_t *e)
{
    bool is_failed = e->event_type == EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED;
    int64_t id = is_failed ? e->nexus_operation_cancel_request_failed_event_attributes->scheduled_event_id
                           : e->nexus_operation_cancel_request_completed_event_attributes->scheduled_event_id;
    struct machine *m = nexus_of(run, id);
    if (m == NULL || m->is_resolved || m->cancel_type != NEXUS_CANCELLATION_TYPE_WAIT_REQUESTED) return ERR_NONE;
    nexus_resolve_cancelled(run, m, is_failed ? "Nexus Operation cancellation failed" : "Nexus Operation cancelled");
    return ERR_NONE;
}

void nexus_build(struct run *run UNUSED, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    if (out->kind == OUT_CANCEL_NEXUS) {
        c->request_cancel_nexus_operation_command_attributes = pb_new(arena, pb_command_RequestCancelNexusOperationCommandAttributes);
        c->request_cancel_nexus_operation_command_attributes->scheduled_event_id = out->machine != NULL ? out->machine->event_id : 0;
        return;
    }
    const pb_core_ScheduleNexus *s = out->from->schedule_nexus;
    pb_command_ScheduleNexusOperationCommandAttributes *a =
        c->schedule_nexus_operation_command_attributes = pb_new(arena, pb_command_ScheduleNexusOperationCommandAttributes);
    a->endpoint = s->endpoint;
    a->service = s->service;
    a->operation = s->operation;
    a->input = s->input;
    a->schedule_to_close_timeout = s->schedule_to_close_timeout;
    a->schedule_to_start_timeout = s->schedule_to_start_timeout;
    a->start_to_close_timeout = s->start_to_close_timeout;
    TAKE_MAP(a, nexus_header, s, nexus_header);
}
