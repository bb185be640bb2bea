/* An activity that the server schedules.
 *
 *   NEW ── Scheduled ──► SCHEDULED ── Started ──► STARTED ── Completed, Failed, TimedOut, Canceled ──► gone
 *    └─ cancelled in the same workflow task: gone, and history never hears of it
 *
 * A cancel that the code does not wait for (TRY_CANCEL, ABANDON) resolves at once; the machine stays for the events that
 * still come. ABANDON does not tell the server. */
#include "core/run_state.h"

static void activity_resolve(struct run *run, struct machine *m, int32_t outcome, pb_failure_Failure *failure,
                             pb_core_ActivityCompleted *completed)
{
    if (m->is_resolved) return;
    m->is_resolved = true;
    pb_core_ResolveActivity *job = RUN_JOB(run, JOBS_OTHER, resolve_activity, ResolveActivity);
    job->seq = m->seq;
    job->outcome_case = outcome;
    if (completed != NULL) job->completed = completed;
    else job->failed = failure; /* failed and cancelled share their place */
}

/* What workflow code sees of an activity that did not complete: who it was, around why. */
static pb_failure_Failure *activity_failure(struct run *run, const struct machine *m, const char *message,
                                            pb_failure_Failure *cause, struct str identity, int32_t retry_state)
{
    struct arena *a = &run->scratch;
    pb_failure_Failure *f = failure_new(a, message);
    f->cause = cause;
    f->failure_info_case = pb_failure_Failure_activity_failure_info_tag;
    pb_failure_ActivityFailureInfo *info = f->activity_failure_info = pb_new(a, pb_failure_ActivityFailureInfo);
    info->scheduled_event_id = m->event_id;
    info->started_event_id = m->started_id;
    info->identity = identity;
    info->activity_type = pb_new(a, pb_common_ActivityType);
    info->activity_type->name = arena_str(a, m->name);
    info->activity_id = arena_str(a, m->id);
    info->retry_state = retry_state;
    return f;
}

static void activity_resolve_cancelled(struct run *run, struct machine *m, const pb_common_Payloads *details, struct str identity)
{
    pb_failure_Failure *cause = failure_cancelled(&run->scratch, "Cancelled", details);
    activity_resolve(run, m, pb_core_ResolveActivity_cancelled_tag,
                     activity_failure(run, m, "Activity cancelled", cause, identity, RETRY_STATE_CANCEL_REQUESTED), NULL);
}

err activity_schedule(struct run *run, const pb_core_Command *c)
{
    const pb_core_ScheduleActivity *s = c->schedule_activity;
    if (s->seq == 0 || machine_get(run, MACHINE_ACTIVITY, s->seq) != NULL || machine_get(run, MACHINE_LOCAL, s->seq) != NULL)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "schedule_activity gives seq %u a second time", s->seq);
    struct str id = str_is_empty(s->activity_id) ? seq_text(&run->scratch, s->seq) : s->activity_id;
    struct machine *m = machine_create(run, MACHINE_ACTIVITY, s->seq, id, s->activity_type);
    m->cancel_type = (uint8_t)s->cancellation_type;
    run_push(run, OUT_SCHEDULE_ACTIVITY, m, c);
    return ERR_NONE;
}

err activity_request_cancel(struct run *run, const pb_core_Command *c)
{
    uint32_t seq = c->request_cancel_activity->seq;
    struct machine *m = machine_get(run, MACHINE_ACTIVITY, seq);
    if (m == NULL) return machine_missing(run, MACHINE_ACTIVITY, seq, "request_cancel_activity");
    if (m->is_cancelled || m->is_resolved) return ERR_NONE;
    m->is_cancelled = true;
    if (m->state == MACHINE_NEW) {
        run_unpush(run, run_find_outgoing(run, OUT_SCHEDULE_ACTIVITY, m));
        activity_resolve_cancelled(run, m, NULL, STR_EMPTY);
        machine_destroy(run, m);
        return ERR_NONE;
    }
    if (m->cancel_type != ACTIVITY_CANCELLATION_TYPE_ABANDON) run_push(run, OUT_CANCEL_ACTIVITY, m, c);
    if (m->cancel_type != ACTIVITY_CANCELLATION_TYPE_WAIT_CANCELLATION_COMPLETED)
        activity_resolve_cancelled(run, m, NULL, STR_EMPTY);
    return ERR_NONE;
}

err activity_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    const pb_history_ActivityTaskScheduledEventAttributes *a = e->activity_task_scheduled_event_attributes;
    struct str type = NAME_OF(a->activity_type);
    if (!str_equal(out->id, a->activity_id) || !str_equal(out->name, type))
        return run_diverge(run, "event %" PRId64 " schedules the activity \"%.*s\" of type \"%.*s\", "
                                "the workflow code schedules the activity \"%.*s\" of type \"%.*s\"",
                           e->event_id, STR_ARG(a->activity_id), STR_ARG(type), STR_ARG(out->id), STR_ARG(out->name));
    if (out->machine != NULL) machine_scheduled(run, out->machine, e);
    return ERR_NONE;
}

err activity_cancel_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    int64_t scheduled_id = e->activity_task_cancel_requested_event_attributes->scheduled_event_id;
    if (out->machine != NULL && out->machine->event_id != scheduled_id)
        return run_diverge(run, "event %" PRId64 " cancels the activity scheduled in event %" PRId64
                                ", the workflow code cancels the activity \"%.*s\"",
                           e->event_id, scheduled_id, STR_ARG(out->id));
    return ERR_NONE;
}

err activity_started(struct run *run, const event_t *e)
{
    const pb_history_ActivityTaskStartedEventAttributes *a = e->activity_task_started_event_attributes;
    struct machine *m = machine_of_event(run, MACHINE_ACTIVITY, a->scheduled_event_id);
    if (m == NULL)
        return run_diverge(run, "event %" PRId64 " starts an activity (scheduled in event %" PRId64
                                ") that the workflow code does not have", e->event_id, a->scheduled_event_id);
    m->state = MACHINE_STARTED;
    m->started_id = e->event_id;
    return ERR_NONE;
}

static int64_t activity_scheduled_id(const event_t *e)
{
    switch (e->event_type) {
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: return e->activity_task_completed_event_attributes->scheduled_event_id;
    case EVENT_TYPE_ACTIVITY_TASK_FAILED: return e->activity_task_failed_event_attributes->scheduled_event_id;
    case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: return e->activity_task_timed_out_event_attributes->scheduled_event_id;
    default: return e->activity_task_canceled_event_attributes->scheduled_event_id;
    }
}

static void activity_resolve_from(struct run *run, struct machine *m, const event_t *e)
{
    if (e->event_type == EVENT_TYPE_ACTIVITY_TASK_COMPLETED) {
        pb_core_ActivityCompleted *done = pb_new(&run->scratch, pb_core_ActivityCompleted);
        done->result = first_payload(e->activity_task_completed_event_attributes->result);
        activity_resolve(run, m, pb_core_ResolveActivity_completed_tag, NULL, done);
    } else if (e->event_type == EVENT_TYPE_ACTIVITY_TASK_FAILED) {
        const pb_history_ActivityTaskFailedEventAttributes *a = e->activity_task_failed_event_attributes;
        activity_resolve(run, m, pb_core_ResolveActivity_failed_tag,
                         activity_failure(run, m, "Activity task failed", a->failure, a->identity, a->retry_state), NULL);
    } else if (e->event_type == EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT) {
        const pb_history_ActivityTaskTimedOutEventAttributes *a = e->activity_task_timed_out_event_attributes;
        activity_resolve(run, m, pb_core_ResolveActivity_failed_tag,
                         activity_failure(run, m, "Activity task timed out", a->failure, STR_EMPTY, a->retry_state), NULL);
    } else {
        const pb_history_ActivityTaskCanceledEventAttributes *a = e->activity_task_canceled_event_attributes;
        activity_resolve_cancelled(run, m, a->details, a->identity);
    }
}

err activity_closed(struct run *run, const event_t *e)
{
    int64_t scheduled_id = activity_scheduled_id(e);
    struct machine *m = machine_of_event(run, MACHINE_ACTIVITY, scheduled_id);
    if (m == NULL)
        return run_diverge(run, "event %" PRId64 " closes an activity (scheduled in event %" PRId64
                                ") that the workflow code does not have", e->event_id, scheduled_id);
    if (!m->is_resolved) activity_resolve_from(run, m, e);
    machine_destroy(run, m);
    return ERR_NONE;
}

void activity_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    if (out->kind == OUT_CANCEL_ACTIVITY) {
        c->request_cancel_activity_task_command_attributes = pb_new(arena, pb_command_RequestCancelActivityTaskCommandAttributes);
        c->request_cancel_activity_task_command_attributes->scheduled_event_id = out->machine != NULL ? out->machine->event_id : 0;
        return;
    }
    const pb_core_ScheduleActivity *s = out->from->schedule_activity;
    pb_command_ScheduleActivityTaskCommandAttributes *a =
        c->schedule_activity_task_command_attributes = pb_new(arena, pb_command_ScheduleActivityTaskCommandAttributes);
    a->activity_id = out->id;
    a->activity_type = pb_new(arena, pb_common_ActivityType);
    a->activity_type->name = out->name;
    a->task_queue = pb_new(arena, pb_taskqueue_TaskQueue);
    a->task_queue->name = str_is_empty(s->task_queue) ? run->options->task_queue : s->task_queue;
    a->task_queue->kind = TASK_QUEUE_KIND_NORMAL;
    if (s->headers_count != 0) {
        a->header = pb_new(arena, pb_common_Header);
        TAKE_MAP(a->header, fields, s, headers);
    }
    a->input = payloads_of(arena, s->arguments, s->arguments_count);
    a->schedule_to_close_timeout = s->schedule_to_close_timeout;
    a->schedule_to_start_timeout = s->schedule_to_start_timeout;
    a->start_to_close_timeout = s->start_to_close_timeout;
    a->heartbeat_timeout = s->heartbeat_timeout;
    a->retry_policy = s->retry_policy;
    a->use_workflow_build_id = s->versioning_intent == VERSIONING_INTENT_COMPATIBLE ||
                               (s->versioning_intent == VERSIONING_INTENT_UNSPECIFIED &&
                                str_equal(a->task_queue->name, run->options->task_queue));
    a->priority = s->priority;
}
