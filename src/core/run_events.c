/* Events: what each one does to a run, and how those of commands are matched with what the workflow code asked for. */
#include "core/run_state.h"

#include <stdio.h>

static err ignore(struct run *run UNUSED, const event_t *e UNUSED)
{
    return ERR_NONE;
}

static err task_failed(struct run *run, const event_t *e)
{
    const pb_history_WorkflowTaskFailedEventAttributes *a = e->workflow_task_failed_event_attributes;
    if (a->cause == WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW && !str_is_empty(a->new_run_id))
        RUN_JOB(run, JOBS_SEED, update_random_seed, UpdateRandomSeed)->randomness_seed = run_seed(a->new_run_id);
    return ERR_NONE;
}

static err task_started(struct run *run, const event_t *e)
{
    const pb_history_WorkflowTaskStartedEventAttributes *a = e->workflow_task_started_event_attributes;
    run->started_event_id = e->event_id;
    run->task_event_time = pb_instant(e->event_time);
    run->history_size = a->history_size_bytes > 0 ? (uint64_t)a->history_size_bytes : 0;
    run->suggest_continue_as_new = a->suggest_continue_as_new;
    run->target_version_changed = a->target_worker_deployment_version_changed;
    run->suggest_reasons = arena_array(&run->task_arena, int32_t, a->suggest_continue_as_new_reasons_count);
    run->suggest_reason_count = a->suggest_continue_as_new_reasons_count;
    if (run->suggest_reason_count != 0)
        memcpy(run->suggest_reasons, a->suggest_continue_as_new_reasons, run->suggest_reason_count * sizeof *run->suggest_reasons);
    return ERR_NONE;
}

/* What it says about who completed it was read ahead, or is what this worker said. */
static err task_completed(struct run *run, const event_t *e UNUSED)
{
    run->is_matching = true;
    run->expects_completed = false;
    return ERR_NONE;
}

/* ---- the tables -------------------------------------------------------------------------------------------------- */

/* An event: the command it answers, or what it does; and where its attributes are. */
struct event_row {
    uint8_t out;
    err (*apply)(struct run *run, const event_t *e);
    int32_t tag;
};
#define TAG(name) pb_history_HistoryEvent_##name##_event_attributes_tag
static const struct event_row event_rows[] = {
    [EVENT_TYPE_WORKFLOW_EXECUTION_STARTED] = {OUT_NONE, workflow_started, TAG(workflow_execution_started)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED] = {OUT_COMPLETE, NULL, TAG(workflow_execution_completed)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_FAILED] = {OUT_FAIL, NULL, TAG(workflow_execution_failed)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT] = {OUT_NONE, ignore, TAG(workflow_execution_timed_out)},
    [EVENT_TYPE_WORKFLOW_TASK_SCHEDULED] = {OUT_NONE, ignore, TAG(workflow_task_scheduled)},
    [EVENT_TYPE_WORKFLOW_TASK_STARTED] = {OUT_NONE, task_started, TAG(workflow_task_started)},
    [EVENT_TYPE_WORKFLOW_TASK_COMPLETED] = {OUT_NONE, task_completed, TAG(workflow_task_completed)},
    [EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT] = {OUT_NONE, ignore, TAG(workflow_task_timed_out)},
    [EVENT_TYPE_WORKFLOW_TASK_FAILED] = {OUT_NONE, task_failed, TAG(workflow_task_failed)},
    [EVENT_TYPE_ACTIVITY_TASK_SCHEDULED] = {OUT_SCHEDULE_ACTIVITY, NULL, TAG(activity_task_scheduled)},
    [EVENT_TYPE_ACTIVITY_TASK_STARTED] = {OUT_NONE, activity_started, TAG(activity_task_started)},
    [EVENT_TYPE_ACTIVITY_TASK_COMPLETED] = {OUT_NONE, activity_closed, TAG(activity_task_completed)},
    [EVENT_TYPE_ACTIVITY_TASK_FAILED] = {OUT_NONE, activity_closed, TAG(activity_task_failed)},
    [EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT] = {OUT_NONE, activity_closed, TAG(activity_task_timed_out)},
    [EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED] = {OUT_CANCEL_ACTIVITY, NULL, TAG(activity_task_cancel_requested)},
    [EVENT_TYPE_ACTIVITY_TASK_CANCELED] = {OUT_NONE, activity_closed, TAG(activity_task_canceled)},
    [EVENT_TYPE_TIMER_STARTED] = {OUT_START_TIMER, NULL, TAG(timer_started)},
    [EVENT_TYPE_TIMER_FIRED] = {OUT_NONE, timer_fired, TAG(timer_fired)},
    [EVENT_TYPE_TIMER_CANCELED] = {OUT_CANCEL_TIMER, NULL, TAG(timer_canceled)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED] = {OUT_NONE, workflow_cancel_requested, TAG(workflow_execution_cancel_requested)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED] = {OUT_CANCEL, NULL, TAG(workflow_execution_canceled)},
    [EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED] =
        {OUT_CANCEL_EXTERNAL, NULL, TAG(request_cancel_external_workflow_execution_initiated)},
    [EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED] =
        {OUT_NONE, external_cancel_closed, TAG(request_cancel_external_workflow_execution_failed)},
    [EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED] =
        {OUT_NONE, external_cancel_closed, TAG(external_workflow_execution_cancel_requested)},
    [EVENT_TYPE_MARKER_RECORDED] = {OUT_MARKER, NULL, TAG(marker_recorded)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED] = {OUT_NONE, workflow_signaled, TAG(workflow_execution_signaled)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED] = {OUT_NONE, ignore, TAG(workflow_execution_terminated)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW] = {OUT_CONTINUE_AS_NEW, NULL, TAG(workflow_execution_continued_as_new)},
    [EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED] =
        {OUT_START_CHILD, NULL, TAG(start_child_workflow_execution_initiated)},
    [EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED] =
        {OUT_NONE, child_start_failed, TAG(start_child_workflow_execution_failed)},
    [EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED] = {OUT_NONE, child_started, TAG(child_workflow_execution_started)},
    [EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED] = {OUT_NONE, child_closed, TAG(child_workflow_execution_completed)},
    [EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED] = {OUT_NONE, child_closed, TAG(child_workflow_execution_failed)},
    [EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED] = {OUT_NONE, child_closed, TAG(child_workflow_execution_canceled)},
    [EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT] = {OUT_NONE, child_closed, TAG(child_workflow_execution_timed_out)},
    [EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED] = {OUT_NONE, child_closed, TAG(child_workflow_execution_terminated)},
    [EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED] =
        {OUT_SIGNAL_EXTERNAL, NULL, TAG(signal_external_workflow_execution_initiated)},
    [EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED] =
        {OUT_NONE, external_signal_closed, TAG(signal_external_workflow_execution_failed)},
    [EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED] =
        {OUT_NONE, external_signal_closed, TAG(external_workflow_execution_signaled)},
    [EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES] = {OUT_UPSERT, NULL, TAG(upsert_workflow_search_attributes)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED] = {OUT_NONE, update_admitted, TAG(workflow_execution_update_admitted)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED] = {OUT_UPDATE_ACCEPTED, NULL, TAG(workflow_execution_update_accepted)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED] = {OUT_NONE, ignore, TAG(workflow_execution_update_rejected)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED] = {OUT_UPDATE_COMPLETED, NULL, TAG(workflow_execution_update_completed)},
    [EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY] =
        {OUT_NONE, ignore, TAG(workflow_properties_modified_externally)},
    [EVENT_TYPE_ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY] =
        {OUT_NONE, ignore, TAG(activity_properties_modified_externally)},
    [EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED] = {OUT_PROPERTIES, NULL, TAG(workflow_properties_modified)},
    [EVENT_TYPE_NEXUS_OPERATION_SCHEDULED] = {OUT_SCHEDULE_NEXUS, NULL, TAG(nexus_operation_scheduled)},
    [EVENT_TYPE_NEXUS_OPERATION_STARTED] = {OUT_NONE, nexus_started, TAG(nexus_operation_started)},
    [EVENT_TYPE_NEXUS_OPERATION_COMPLETED] = {OUT_NONE, nexus_closed, TAG(nexus_operation_completed)},
    [EVENT_TYPE_NEXUS_OPERATION_FAILED] = {OUT_NONE, nexus_closed, TAG(nexus_operation_failed)},
    [EVENT_TYPE_NEXUS_OPERATION_CANCELED] = {OUT_NONE, nexus_closed, TAG(nexus_operation_canceled)},
    [EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT] = {OUT_NONE, nexus_closed, TAG(nexus_operation_timed_out)},
    [EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED] = {OUT_CANCEL_NEXUS, NULL, TAG(nexus_operation_cancel_requested)},
    [EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED] =
        {OUT_NONE, nexus_cancel_delivered, TAG(nexus_operation_cancel_request_completed)},
    [EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED] =
        {OUT_NONE, nexus_cancel_delivered, TAG(nexus_operation_cancel_request_failed)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED] = {OUT_NONE, ignore, TAG(workflow_execution_options_updated)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED] = {OUT_NONE, ignore, TAG(workflow_execution_paused)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED] = {OUT_NONE, ignore, TAG(workflow_execution_unpaused)},
    [EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED] =
        {OUT_NONE, ignore, TAG(workflow_execution_time_skipping_transitioned)},
};

/* A command: what it is called in messages, and how its event is checked. */
struct out_row {
    const char *what;
    err (*matched)(struct run *run, struct outgoing *out, const event_t *e);
};
static err out_nothing_to_check(struct run *run UNUSED, struct outgoing *out UNUSED, const event_t *e UNUSED)
{
    return ERR_NONE;
}
static const struct out_row out_rows[OUT_KIND_COUNT] = {
    [OUT_START_TIMER] = {"start a timer", timer_matched},
    [OUT_CANCEL_TIMER] = {"cancel a timer", timer_cancel_matched},
    [OUT_SCHEDULE_ACTIVITY] = {"schedule an activity", activity_matched},
    [OUT_CANCEL_ACTIVITY] = {"cancel an activity", activity_cancel_matched},
    [OUT_START_CHILD] = {"start a child workflow", child_matched},
    [OUT_CANCEL_EXTERNAL] = {"cancel another workflow", external_cancel_matched},
    [OUT_SIGNAL_EXTERNAL] = {"signal another workflow", external_signal_matched},
    [OUT_MARKER] = {"record a marker", marker_matched},
    [OUT_UPSERT] = {"upsert search attributes", out_nothing_to_check},
    [OUT_PROPERTIES] = {"modify the memo", out_nothing_to_check},
    [OUT_UPDATE_ACCEPTED] = {"accept an update", update_accepted_matched},
    [OUT_UPDATE_COMPLETED] = {"complete an update", update_completed_matched},
    [OUT_SCHEDULE_NEXUS] = {"schedule a nexus operation", nexus_matched},
    [OUT_CANCEL_NEXUS] = {"cancel a nexus operation", nexus_cancel_matched},
    [OUT_COMPLETE] = {"complete the workflow", workflow_end_matched},
    [OUT_FAIL] = {"fail the workflow", workflow_end_matched},
    [OUT_CANCEL] = {"cancel the workflow", workflow_end_matched},
    [OUT_CONTINUE_AS_NEW] = {"continue as new", workflow_end_matched},
};

static const struct event_row *event_row(int32_t type)
{
    return type > 0 && (size_t)type < countof(event_rows) && event_rows[type].tag != 0 ? &event_rows[type] : NULL;
}

enum outgoing_kind event_command_kind(int32_t type)
{
    const struct event_row *row = event_row(type);
    return row != NULL ? row->out : OUT_NONE;
}

err event_check(struct run *run, const event_t *e)
{
    const struct event_row *row = event_row(e->event_type);
    if (row == NULL) {
        if (e->worker_may_ignore) return ERR_NONE;
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "event %" PRId64 " is of type %d, which this worker does not know",
                        e->event_id, e->event_type);
    }
    /* every member of the union is a pointer */
    if (e->attributes_case == row->tag && e->workflow_execution_started_event_attributes != NULL) return ERR_NONE;
    return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "event %" PRId64 " of type %d lacks its attributes", e->event_id, e->event_type);
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static struct str describe_outgoing(struct run *run, const struct outgoing *out)
{
    struct arena *a = &run->scratch;
    if (out->marker == MARKER_PATCH && out->kind == OUT_MARKER) return arena_printf(a, "record the patch \"%.*s\"", STR_ARG(out->id));
    if (out->marker == MARKER_LOCAL)
        return arena_printf(a, "record the result of the local activity \"%.*s\" of type \"%.*s\"", STR_ARG(out->id), STR_ARG(out->name));
    if (out->marker == MARKER_PATCH || str_is_empty(out->id)) return str_of(out_rows[out->kind].what);
    if (str_is_empty(out->name)) return arena_printf(a, "%s (\"%.*s\")", out_rows[out->kind].what, STR_ARG(out->id));
    return arena_printf(a, "%s (\"%.*s\", \"%.*s\")", out_rows[out->kind].what, STR_ARG(out->id), STR_ARG(out->name));
}

static struct str describe_event(struct run *run, const event_t *e)
{
    return pb_enum_short_name(&pb_enums_EventType_enum, e->event_type, &run->scratch);
}

static struct outgoing *outgoing_first(struct run *run)
{
    struct list *link = list_first(&run->outgoing);
    return link != NULL ? container_of(link, struct outgoing, link) : NULL;
}

/* Whether the head is a deprecated patch that this event is not about: history need not have it. */
static bool is_missing_patch(struct run *run, const struct outgoing *head, const event_t *e)
{
    if (head->marker != MARKER_PATCH) return false;
    if (head->kind == OUT_UPSERT) /* of a patch marker that history lacks, or whose search attribute was left out */
        return e == NULL || e->event_type != EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES || !patch_is_upsert(e);
    struct str id;
    bool is_deprecated;
    if (!head->is_deprecated) return false;
    return e == NULL || e->event_type != EVENT_TYPE_MARKER_RECORDED ||
           !patch_of_marker(e, &run->scratch, &id, &is_deprecated) || !str_equal(id, head->id);
}

/* Whether this event belongs to a patch that the code no longer asks for. */
static bool is_dead_patch(struct run *run, const struct outgoing *head, const event_t *e)
{
    struct str id;
    bool is_deprecated;
    if (e->event_type == EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
        return patch_is_upsert(e) && (head == NULL || head->kind != OUT_UPSERT || head->marker != MARKER_PATCH);
    if (e->event_type != EVENT_TYPE_MARKER_RECORDED || !patch_of_marker(e, &run->scratch, &id, &is_deprecated)) return false;
    bool is_asked_for = head != NULL && head->marker == MARKER_PATCH && head->kind == OUT_MARKER && str_equal(head->id, id);
    return is_deprecated && !is_asked_for;
}

static void drop_missing_patches(struct run *run, const event_t *e)
{
    struct outgoing *head;
    while ((head = outgoing_first(run)) != NULL && is_missing_patch(run, head, e)) list_remove(&head->link);
}

static err match_command(struct run *run, const struct event_row *row, const event_t *e)
{
    drop_missing_patches(run, e);
    struct outgoing *head = outgoing_first(run);
    if (is_dead_patch(run, head, e)) {
        reach("patch: a marker that the code no longer asks for");
        return ERR_NONE;
    }
    if (head == NULL)
        return run_diverge(run, "event %" PRId64 " (%.*s) has no command: at this point the workflow code wants nothing more",
                           e->event_id, STR_ARG(describe_event(run, e)));
    if (head->kind != row->out)
        return run_diverge(run, "event %" PRId64 " (%.*s) does not come from the next command of the workflow code, which is to %.*s",
                           e->event_id, STR_ARG(describe_event(run, e)), STR_ARG(describe_outgoing(run, head)));
    TRY(out_rows[head->kind].matched(run, head, e));
    list_remove(&head->link);
    return ERR_NONE;
}

/* The events of commands are over: no command may be left. next: NULL at the end of history. */
static err end_matching(struct run *run, const event_t *next)
{
    run->is_matching = false;
    drop_missing_patches(run, NULL);
    struct outgoing *head = outgoing_first(run);
    if (head != NULL)
        return run_diverge(run, "the workflow code wants to %.*s, for which history has no event; event %" PRId64 " is %.*s",
                           STR_ARG(describe_outgoing(run, head)), next != NULL ? next->event_id : run->last_event_id + 1,
                           STR_ARG(next != NULL ? describe_event(run, next) : STR("the end of history")));
    arena_reset(&run->out_arena);
    return ERR_NONE;
}

static err apply_event(struct run *run, const event_t *e)
{
    TRY(event_check(run, e));
    update_emit_before(run, e->event_id);
    const struct event_row *row = event_row(e->event_type);
    if (run->last_event_id == 0 && e->event_type != EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "history begins with an event of type %d", e->event_type);
    if (row != NULL && row->out != OUT_NONE) {
        TRY(match_command(run, row, e));
    } else {
        if (run->is_matching) TRY(end_matching(run, e));
        if (row != NULL) TRY(row->apply(run, e));
    }
    run->last_event_id = e->event_id;
    return ERR_NONE;
}

err run_apply_events(struct run *run, size_t end)
{
    struct feed *feed = &run->feed;
    if (run->expects_completed && feed->at < end && feed->events[feed->at]->event_type != EVENT_TYPE_WORKFLOW_TASK_COMPLETED) {
        /* our answer to the workflow task before was lost: what the code did since then never was */
        run->is_rebuild = true;
        return ERR_NONE;
    }
    while (feed->at < end) TRY(apply_event(run, feed->events[feed->at++]));
    if (run->is_matching) TRY(end_matching(run, NULL));
    return ERR_NONE;
}

err run_apply_commands_only(struct run *run)
{
    struct feed *feed = &run->feed;
    if (feed->at == feed->count || feed->events[feed->at]->event_type != EVENT_TYPE_WORKFLOW_TASK_COMPLETED) return ERR_NONE;
    TRY(apply_event(run, feed->events[feed->at++]));
    while (feed->at < feed->count && event_command_kind(feed->events[feed->at]->event_type) != OUT_NONE)
        TRY(apply_event(run, feed->events[feed->at++]));
    return end_matching(run, feed->at < feed->count ? feed->events[feed->at] : NULL);
}
