#include "core/echo.h"

#include "core/marker.h"
#include "proto/pb_json.h"

#include <stdio.h>
#include <stdlib.h>

enum { KNOWN_TIMER, KNOWN_ACTIVITY, KNOWN_CHILD, KNOWN_SIGNAL, KNOWN_CANCEL, KNOWN_NEXUS };

void echo_init(struct echo *echo, const pb_history_History *history)
{
    *echo = (struct echo){.history = history};
    arena_init(&echo->arena, 0, 0);
}

void echo_fini(struct echo *echo)
{
    arena_fini(&echo->arena);
}

pb_history_History *echo_load(const char *path, struct arena *arena)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    struct buf text = {0};
    size_t n;
    do {
        n = fread(buf_reserve(&text, 65536), 1, 65536, file);
        text.size += n;
    } while (n != 0);
    fclose(file);
    pb_history_History *history = NULL;
    struct error error = {0};
    if (PB_JSON_READ(arena, buf_view(&text), pb_history_History, 0, &error, &history) != ERR_NONE)
        fprintf(stderr, "%s: %.*s\n", path, STR_ARG(error_message(&error)));
    buf_fini(&text);
    return history;
}

static void know(struct echo *echo, int kind, uint32_t seq, int64_t event_id, struct str id)
{
    if (echo->known_count == 512) return;
    echo->known[echo->known_count].kind = kind;
    echo->known[echo->known_count].seq = seq;
    echo->known[echo->known_count].event_id = event_id;
    echo->known[echo->known_count++].id = arena_str(&echo->arena, id);
}

static uint32_t seq_by_event(const struct echo *echo, int kind, int64_t event_id)
{
    for (size_t i = echo->known_count; i-- > 0;)
        if (echo->known[i].kind == kind && echo->known[i].event_id == event_id) return echo->known[i].seq;
    return 0;
}

static uint32_t seq_by_id(const struct echo *echo, int kind, struct str id)
{
    for (size_t i = echo->known_count; i-- > 0;)
        if (echo->known[i].kind == kind && str_equal(echo->known[i].id, id)) return echo->known[i].seq;
    return 0;
}

static bool is_local_done(const struct echo *echo, uint32_t seq)
{
    for (size_t i = 0; i < echo->local_done_count; i++)
        if (echo->local_done[i] == seq) return true;
    return false;
}

#define COMMAND(field, name) (c->variant_case = pb_core_Command_##field##_tag, c->field = pb_new(a, pb_core_##name))

static const pb_common_Payload *detail(const pb_history_MarkerRecordedEventAttributes *m, const char *key)
{
    for (size_t i = 0; i < m->details_count; i++)
        if (str_equal_c(m->details[i]->key, key) && m->details[i]->value != NULL && m->details[i]->value->payloads_count != 0)
            return m->details[i]->value->payloads[0];
    return NULL;
}

/* A patch marker becomes a command; that of a local activity does when it was cancelled, and otherwise is waited for.
 * Returns whether a command was made; *waits: nothing behind it may be given yet. */
static bool echo_marker(struct echo *echo, const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a, bool *waits)
{
    const pb_history_MarkerRecordedEventAttributes *m = e->marker_recorded_event_attributes;
    const pb_common_Payload *data = detail(m, "data"), *patch = detail(m, "patch-data");
    uint32_t seq;
    int64_t time;
    if (patch != NULL) {
        COMMAND(set_patch_marker, SetPatchMarker);
        (void)!marker_string(a, patch->data, "id", &c->set_patch_marker->patch_id);
        (void)!marker_bool(a, patch->data, "deprecated", &c->set_patch_marker->deprecated);
        return true;
    }
    if (data == NULL || !marker_uint32(a, data->data, "seq", &seq) || is_local_done(echo, seq)) return false;
    *waits = true;
    if (marker_time(a, data->data, "complete_time", &time)) return false;
    COMMAND(request_cancel_local_activity, RequestCancelLocalActivity);
    c->request_cancel_local_activity->seq = seq;
    return true;
}

static void echo_child(struct echo *echo, const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a)
{
    const pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *x = e->start_child_workflow_execution_initiated_event_attributes;
    COMMAND(start_child, StartChild);
    c->start_child->seq = ++echo->seqs[KNOWN_CHILD];
    c->start_child->workflow_id = x->workflow_id;
    c->start_child->workflow_type = x->workflow_type != NULL ? x->workflow_type->name : STR_EMPTY;
    c->start_child->cancellation_type = CHILD_CANCELLATION_TYPE_WAIT_CANCELLATION_COMPLETED;
    know(echo, KNOWN_CHILD, c->start_child->seq, e->event_id, x->workflow_id);
}

static void echo_external(struct echo *echo, const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a)
{
    pb_core_NamespacedExecution *target = pb_new(a, pb_core_NamespacedExecution);
    if (e->event_type == EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED) {
        const pb_history_SignalExternalWorkflowExecutionInitiatedEventAttributes *s = e->signal_external_workflow_execution_initiated_event_attributes;
        target->workflow_id = s->workflow_execution != NULL ? s->workflow_execution->workflow_id : STR_EMPTY;
        COMMAND(signal_external, SignalExternal);
        c->signal_external->seq = ++echo->seqs[KNOWN_SIGNAL];
        c->signal_external->workflow = target;
        c->signal_external->signal_name = s->signal_name;
        return;
    }
    const pb_history_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes *x = e->request_cancel_external_workflow_execution_initiated_event_attributes;
    target->workflow_id = x->workflow_execution != NULL ? x->workflow_execution->workflow_id : STR_EMPTY;
    if (x->child_workflow_only) {
        COMMAND(cancel_child, CancelChild);
        c->cancel_child->seq = seq_by_id(echo, KNOWN_CHILD, target->workflow_id);
        return;
    }
    COMMAND(cancel_external, CancelExternal);
    c->cancel_external->seq = ++echo->seqs[KNOWN_CANCEL];
    c->cancel_external->workflow = target;
}

static void echo_activity(struct echo *echo, const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a)
{
    const pb_history_ActivityTaskScheduledEventAttributes *x = e->activity_task_scheduled_event_attributes;
    COMMAND(schedule_activity, ScheduleActivity);
    c->schedule_activity->seq = 1000 + ++echo->seqs[KNOWN_ACTIVITY];
    c->schedule_activity->activity_id = x->activity_id;
    c->schedule_activity->activity_type = x->activity_type != NULL ? x->activity_type->name : STR_EMPTY;
    c->schedule_activity->cancellation_type = ACTIVITY_CANCELLATION_TYPE_WAIT_CANCELLATION_COMPLETED;
    know(echo, KNOWN_ACTIVITY, c->schedule_activity->seq, e->event_id, x->activity_id);
}

/* The timer's number is in its id; what lies between was cancelled before anyone heard of it. */
static void echo_timer(struct echo *echo, const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a)
{
    const pb_history_TimerStartedEventAttributes *x = e->timer_started_event_attributes;
    COMMAND(start_timer, StartTimer);
    c->start_timer->seq = (uint32_t)strtoul(arena_cstr(a, x->timer_id), NULL, 10);
    c->start_timer->start_to_fire_timeout = x->start_to_fire_timeout;
    know(echo, KNOWN_TIMER, c->start_timer->seq, e->event_id, x->timer_id);
}

static void echo_update(const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a, const struct echo *echo)
{
    COMMAND(update_response, UpdateResponse);
    if (e->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) {
        c->update_response->protocol_instance_id = e->workflow_execution_update_accepted_event_attributes->protocol_instance_id;
        c->update_response->response_case = pb_core_UpdateResponse_accepted_tag;
        c->update_response->accepted = pb_new(a, pb_google_Empty);
        return;
    }
    int64_t accepted_id = e->workflow_execution_update_completed_event_attributes->accepted_event_id;
    for (size_t i = 0; i < echo->history->events_count; i++) {
        const pb_history_HistoryEvent *x = echo->history->events[i];
        if (x->event_id == accepted_id && x->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
            c->update_response->protocol_instance_id = x->workflow_execution_update_accepted_event_attributes->protocol_instance_id;
    }
    c->update_response->response_case = pb_core_UpdateResponse_completed_tag;
    c->update_response->completed = pb_new(a, pb_common_Payload);
}

static bool echo_plain(struct echo *echo, const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a)
{
    switch (e->event_type) {
    case EVENT_TYPE_TIMER_CANCELED:
        COMMAND(cancel_timer, CancelTimer);
        c->cancel_timer->seq = seq_by_id(echo, KNOWN_TIMER, e->timer_canceled_event_attributes->timer_id);
        return true;
    case EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
        COMMAND(request_cancel_activity, RequestCancelActivity);
        c->request_cancel_activity->seq =
            seq_by_event(echo, KNOWN_ACTIVITY, e->activity_task_cancel_requested_event_attributes->scheduled_event_id);
        return true;
    case EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: {
        const pb_common_SearchAttributes *s = e->upsert_workflow_search_attributes_event_attributes->search_attributes;
        if (s != NULL && s->indexed_fields_count == 1 && str_equal_c(s->indexed_fields[0]->key, "TemporalChangeVersion")) return false;
        COMMAND(upsert_search_attributes, UpsertSearchAttributes);
        return true;
    }
    case EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: COMMAND(modify_properties, ModifyProperties); return true;
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: COMMAND(complete_workflow, CompleteWorkflow); return true;
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: COMMAND(fail_workflow, FailWorkflow); return true;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: COMMAND(cancel_workflow_execution, CancelWorkflowExecution); return true;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: COMMAND(continue_as_new, ContinueAsNew); return true;
    case EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
        COMMAND(schedule_nexus, ScheduleNexus);
        c->schedule_nexus->seq = ++echo->seqs[KNOWN_NEXUS];
        c->schedule_nexus->endpoint = e->nexus_operation_scheduled_event_attributes->endpoint;
        c->schedule_nexus->service = e->nexus_operation_scheduled_event_attributes->service;
        c->schedule_nexus->operation = e->nexus_operation_scheduled_event_attributes->operation;
        know(echo, KNOWN_NEXUS, c->schedule_nexus->seq, e->event_id, STR_EMPTY);
        return true;
    case EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED:
        COMMAND(request_cancel_nexus, RequestCancelNexus);
        c->request_cancel_nexus->seq =
            seq_by_event(echo, KNOWN_NEXUS, e->nexus_operation_cancel_requested_event_attributes->scheduled_event_id);
        return true;
    default: return false;
    }
}

static bool is_command_event(int32_t type)
{
    switch (type) {
    case EVENT_TYPE_TIMER_STARTED: case EVENT_TYPE_TIMER_CANCELED: case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
    case EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
    case EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: case EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
    case EVENT_TYPE_MARKER_RECORDED: case EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: case EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: case EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
    case EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED: return true;
    default: return false;
    }
}

/* The command behind one event. Returns whether there is one. */
static bool echo_command(struct echo *echo, const pb_history_HistoryEvent *e, pb_core_Command *c, struct arena *a, bool *waits)
{
    if (e->workflow_execution_started_event_attributes == NULL) return false;
    switch (e->event_type) {
    case EVENT_TYPE_TIMER_STARTED: echo_timer(echo, e, c, a); return true;
    case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: echo_activity(echo, e, c, a); return true;
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: echo_child(echo, e, c, a); return true;
    case EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
    case EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: echo_external(echo, e, c, a); return true;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: echo_update(e, c, a, echo); return true;
    case EVENT_TYPE_MARKER_RECORDED: return echo_marker(echo, e, c, a, waits);
    default: return echo_plain(echo, e, c, a);
    }
}

/* All local activities the history has results of, as commands of the first activation. */
static void echo_locals(struct echo *echo, pb_core_Completion *answer, struct arena *a)
{
    for (size_t i = 0; i < echo->history->events_count; i++) {
        const pb_history_HistoryEvent *e = echo->history->events[i];
        if (e->event_type != EVENT_TYPE_MARKER_RECORDED || e->marker_recorded_event_attributes == NULL) continue;
        const pb_common_Payload *data = detail(e->marker_recorded_event_attributes, "data");
        pb_core_Command *c = pb_new(a, pb_core_Command);
        uint32_t seq;
        if (data == NULL || !marker_uint32(a, data->data, "seq", &seq) || seq == 0) continue;
        COMMAND(schedule_local_activity, ScheduleLocalActivity);
        c->schedule_local_activity->seq = seq;
        (void)!marker_string(a, data->data, "activity_id", &c->schedule_local_activity->activity_id);
        (void)!marker_string(a, data->data, "activity_type", &c->schedule_local_activity->activity_type);
        PB_PUSH(a, answer, commands) = c;
    }
}

static void echo_note_jobs(struct echo *echo, const pb_core_Activation *activation, pb_core_Completion *answer, struct arena *a)
{
    for (size_t i = 0; i < activation->jobs_count; i++) {
        const pb_core_Job *job = activation->jobs[i];
        echo->job_counts[job->variant_case & 31]++;
        if (job->variant_case == pb_core_Job_resolve_activity_tag && job->resolve_activity->is_local && echo->local_done_count < 64)
            echo->local_done[echo->local_done_count++] = job->resolve_activity->seq;
        if (job->variant_case != pb_core_Job_query_workflow_tag) continue;
        pb_core_Command *c = PB_PUSH_NEW(a, answer, commands);
        COMMAND(respond_query, RespondQuery);
        c->respond_query->query_id = job->query_workflow->query_id;
        c->respond_query->answer_case = pb_core_RespondQuery_succeeded_tag;
        c->respond_query->succeeded = pb_new(a, pb_common_Payload);
        c->respond_query->succeeded->data = STR("42");
    }
}

/* Moves to the workflow task whose start is the activation's history_length. */
static void echo_find_task(struct echo *echo, const pb_core_Activation *activation)
{
    for (size_t i = 0; i + 1 < echo->history->events_count; i++) {
        const pb_history_HistoryEvent *next = echo->history->events[i + 1];
        if (echo->history->events[i]->event_id != (int64_t)activation->history_length) continue;
        if (next->event_type != EVENT_TYPE_WORKFLOW_TASK_COMPLETED || echo->task_at == i + 2) return;
        echo->task_at = echo->command_at = i + 2;
        return;
    }
}

pb_core_Completion *echo_answer(struct echo *echo, struct str bytes, struct arena *a)
{
    pb_core_Activation *activation;
    if (PB_DECODE_ALIAS(a, bytes, pb_core_Activation, &activation) != ERR_NONE) return NULL;
    pb_core_Completion *answer = pb_new(a, pb_core_Completion);
    answer->run_id = activation->run_id;
    echo_note_jobs(echo, activation, answer, a);
    if (answer->commands_count != 0) return answer;
    if (!echo->is_init_seen) echo_locals(echo, answer, a);
    echo->is_init_seen = true;
    echo_find_task(echo, activation);
    bool waits = false;
    while (!waits && echo->task_at != 0 && echo->command_at < echo->history->events_count) {
        const pb_history_HistoryEvent *e = echo->history->events[echo->command_at];
        if (!is_command_event(e->event_type)) break;
        pb_core_Command *c = pb_new(a, pb_core_Command);
        bool is_one = echo_command(echo, e, c, a, &waits);
        if (is_one && (echo->edit == NULL || echo->edit(echo->edit_arg, c, echo->command_count))) PB_PUSH(a, answer, commands) = c;
        if (is_one) echo->command_count++;
        if (!waits) echo->command_at++;
    }
    return answer;
}
