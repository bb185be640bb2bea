/* Commands: those of the SDK on their way in, those for the server on their way out. */
#include "core/run_state.h"

#include <stdlib.h>

/* ---- outgoing ----------------------------------------------------------------------------------------------------- */

struct outgoing *run_push(struct run *run, enum outgoing_kind kind, struct machine *m, const pb_core_Command *from)
{
    struct outgoing *out = arena_new(&run->out_arena, struct outgoing);
    out->kind = (uint8_t)kind;
    out->machine = m;
    out->from = from;
    if (m != NULL) {
        out->seq = m->seq;
        out->id = arena_str(&run->out_arena, m->id);
        out->name = arena_str(&run->out_arena, m->name);
    }
    list_push(&run->outgoing, &out->link);
    return out;
}

void run_unpush(struct run *run UNUSED, struct outgoing *out)
{
    ensure(out != NULL);
    list_remove(&out->link);
}

struct outgoing *run_find_outgoing(struct run *run, enum outgoing_kind kind, const struct machine *m)
{
    list_each(link, &run->outgoing) {
        struct outgoing *out = container_of(link, struct outgoing, link);
        if (out->kind == kind && out->machine == m) return out;
    }
    return NULL;
}

/* ---- commands of the SDK ------------------------------------------------------------------------------------------ */

#define TAG(name) pb_core_Command_##name##_tag
static err (*const take[])(struct run *run, const pb_core_Command *c) = {
    [TAG(start_timer)] = timer_start,
    [TAG(cancel_timer)] = timer_cancel,
    [TAG(schedule_activity)] = activity_schedule,
    [TAG(schedule_local_activity)] = local_schedule,
    [TAG(request_cancel_activity)] = activity_request_cancel,
    [TAG(request_cancel_local_activity)] = local_request_cancel,
    [TAG(start_child)] = child_start,
    [TAG(cancel_child)] = child_cancel,
    [TAG(signal_external)] = external_signal,
    [TAG(cancel_signal)] = external_signal_cancel,
    [TAG(cancel_external)] = external_cancel,
    [TAG(complete_workflow)] = workflow_end,
    [TAG(fail_workflow)] = workflow_end,
    [TAG(cancel_workflow_execution)] = workflow_end,
    [TAG(continue_as_new)] = workflow_end,
    [TAG(respond_query)] = query_respond,
    [TAG(update_response)] = update_respond,
    [TAG(set_patch_marker)] = patch_set,
    [TAG(upsert_search_attributes)] = workflow_upsert,
    [TAG(modify_properties)] = workflow_modify,
    [TAG(schedule_nexus)] = nexus_schedule,
    [TAG(request_cancel_nexus)] = nexus_request_cancel,
};

static bool is_end(const pb_core_Command *c)
{
    return c->variant_case >= 0 && (size_t)c->variant_case < countof(take) && take[c->variant_case] == workflow_end;
}

/* The end of the run comes last: what handlers still did in the same task counts, an update that completed above all.
 * History written before flag 3 has only what came before the end. Observed with the official SDK, whose handlers run on
 * after the run method has returned: every command of the task is in history, then the end. */
static bool is_end_last(const struct run *run)
{
    return !run->is_replaying || (run->core_flags & UINT64_C(1) << 3) != 0;
}

err run_take_commands(struct run *run, const pb_core_Completion *completion)
{
    const pb_core_Command *end = NULL;
    for (size_t i = 0; i <= completion->commands_count; i++) {
        bool is_over = i == completion->commands_count;
        if (is_over && end == NULL) break;
        const pb_core_Command *c = is_over ? end : completion->commands[i];
        if (!is_over && is_end(c) && is_end_last(run) && !run->is_query_out && c->start_timer != NULL) {
            if (end == NULL) end = c; /* the first end is the one */
            continue;
        }
        bool is_known = c->variant_case > 0 && (size_t)c->variant_case < countof(take) && take[c->variant_case] != NULL;
        if (!is_known || c->start_timer == NULL) /* every member of the union is a pointer */
            return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "command %zu of the completion is empty", i);
        if (run->is_query_out && c->variant_case != TAG(respond_query))
            return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "a query may only be answered, but the workflow code gives commands");
        if (run->is_closing && c->variant_case != TAG(respond_query)) continue; /* nothing comes after the end */
        TRY(take[c->variant_case](run, c));
    }
    if (run->is_closing) local_drop_all(run);
    return ERR_NONE;
}
#undef TAG

/* ---- commands for the server -------------------------------------------------------------------------------------- */

struct build_row {
    int32_t type, tag;
    void (*build)(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
};
#define TAG(name) pb_command_Command_##name##_command_attributes_tag
static const struct build_row build_rows[OUT_KIND_COUNT] = {
    [OUT_START_TIMER] = {COMMAND_TYPE_START_TIMER, TAG(start_timer), timer_build},
    [OUT_CANCEL_TIMER] = {COMMAND_TYPE_CANCEL_TIMER, TAG(cancel_timer), timer_build},
    [OUT_SCHEDULE_ACTIVITY] = {COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, TAG(schedule_activity_task), activity_build},
    [OUT_CANCEL_ACTIVITY] = {COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK, TAG(request_cancel_activity_task), activity_build},
    [OUT_START_CHILD] = {COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION, TAG(start_child_workflow_execution), child_build},
    [OUT_CANCEL_EXTERNAL] = {COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
                             TAG(request_cancel_external_workflow_execution), external_build},
    [OUT_SIGNAL_EXTERNAL] = {COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, TAG(signal_external_workflow_execution), external_build},
    [OUT_MARKER] = {COMMAND_TYPE_RECORD_MARKER, TAG(record_marker), patch_build},
    [OUT_UPSERT] = {COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, TAG(upsert_workflow_search_attributes), workflow_build},
    [OUT_PROPERTIES] = {COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES, TAG(modify_workflow_properties), workflow_build},
    [OUT_UPDATE_ACCEPTED] = {COMMAND_TYPE_PROTOCOL_MESSAGE, TAG(protocol_message), update_build},
    [OUT_UPDATE_COMPLETED] = {COMMAND_TYPE_PROTOCOL_MESSAGE, TAG(protocol_message), update_build},
    [OUT_SCHEDULE_NEXUS] = {COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION, TAG(schedule_nexus_operation), nexus_build},
    [OUT_CANCEL_NEXUS] = {COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION, TAG(request_cancel_nexus_operation), nexus_build},
    [OUT_COMPLETE] = {COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, TAG(complete_workflow_execution), workflow_build},
    [OUT_FAIL] = {COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, TAG(fail_workflow_execution), workflow_build},
    [OUT_CANCEL] = {COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION, TAG(cancel_workflow_execution), workflow_build},
    [OUT_CONTINUE_AS_NEW] = {COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION, TAG(continue_as_new_workflow_execution), workflow_build},
};
#undef TAG

static pb_command_Command *build_command(struct run *run, struct arena *arena, struct outgoing *out)
{
    const struct build_row *row = &build_rows[out->kind];
    pb_command_Command *c = pb_new(arena, pb_command_Command);
    c->command_type = row->type;
    c->attributes_case = row->tag;
    if (out->from != NULL) {
        c->user_metadata = out->from->user_metadata;
        TAKE_ARRAY(c, event_group_markers, out->from, event_group_markers);
    }
    if (out->marker == MARKER_LOCAL) local_marker_build(run, out, arena, c);
    else if (out->marker == MARKER_PATCH && out->kind == OUT_UPSERT) patch_upsert_build(run, out, arena, c);
    else row->build(run, out, arena, c);
    return c;
}

/* An activity may start in the answer to this completion when it is for this worker and a slot is free. */
static void ask_eagerly(struct run *run, const struct outgoing *out, pb_command_Command *c, int *slots)
{
    pb_command_ScheduleActivityTaskCommandAttributes *a = c->schedule_activity_task_command_attributes;
    bool may = out->kind == OUT_SCHEDULE_ACTIVITY && *slots > 0 && !out->from->schedule_activity->do_not_eagerly_execute &&
               str_equal(a->task_queue->name, run->options->task_queue);
    if (!may) return;
    a->request_eager_execution = true;
    (*slots)--;
}

static void build_query_results(struct run *run, struct arena *arena, pb_ws_RespondWorkflowTaskCompletedRequest *request)
{
    for (size_t i = 0; i < run->query_results_count; i++) {
        const pb_core_RespondQuery *r = run->query_results[i];
        pb_ws_RespondWorkflowTaskCompletedRequest_QueryResultsEntry *entry = PB_PUSH_NEW(arena, request, query_results);
        entry->key = r->query_id;
        entry->value = pb_new(arena, pb_query_WorkflowQueryResult);
        if (r->answer_case == pb_core_RespondQuery_failed_tag) {
            entry->value->result_type = QUERY_RESULT_TYPE_FAILED;
            entry->value->failure = r->failed;
            entry->value->error_message = r->failed != NULL ? r->failed->message : STR_EMPTY;
        } else {
            entry->value->result_type = QUERY_RESULT_TYPE_ANSWERED;
            entry->value->answer = payloads_one(arena, r->succeeded);
        }
    }
}

/* Core flags that this worker's behaviour stands for; see run.h on run_core_flags. */
static pb_sdk_WorkflowTaskCompletedMetadata *build_metadata(struct run *run, struct arena *arena)
{
    const pb_core_WorkerOptions *o = run->options;
    pb_sdk_WorkflowTaskCompletedMetadata *m = pb_new(arena, pb_sdk_WorkflowTaskCompletedMetadata);
    for (uint32_t flag = 1; flag < 64; flag++)
        if (RUN_CORE_FLAGS & ~run->core_flags & UINT64_C(1) << flag) PB_PUSH(arena, m, core_used_flags) = flag;
    TAKE_ARRAY(m, lang_used_flags, run, new_lang_flags);
    if (!str_equal(run->sdk_name, o->sdk_name)) m->sdk_name = o->sdk_name;
    if (!str_equal(run->sdk_version, o->sdk_version)) m->sdk_version = o->sdk_version;
    return m;
}

void run_build_response(struct run *run, struct arena *arena, int *eager_slots, bool may_fetch,
                        pb_ws_RespondWorkflowTaskCompletedRequest *request)
{
    int slots = *eager_slots;
    list_each(link, &run->outgoing) {
        struct outgoing *out = container_of(link, struct outgoing, link);
        pb_command_Command *c = build_command(run, arena, out);
        ask_eagerly(run, out, c, &slots);
        PB_PUSH(arena, request, commands) = c;
    }
    *eager_slots -= slots;
    TAKE_ARRAY(request, messages, run, messages);
    build_query_results(run, arena, request);
    request->sdk_metadata = build_metadata(run, arena);
    request->force_create_new_workflow_task = run->local_count != 0 && !run->is_closing;
    request->return_new_workflow_task = may_fetch || request->force_create_new_workflow_task;
    request->versioning_behavior = run->versioning_behavior;
    request->metering_metadata = pb_new(arena, pb_common_MeteringMetadata);
    request->metering_metadata->nonfirst_local_activity_execution_attempts = run->local_retries;
    request->capabilities = pb_new(arena, pb_ws_RespondWorkflowTaskCompletedRequest_Capabilities);
    request->capabilities->discard_speculative_workflow_task_with_events = true;
}

bool run_is_quiet(const struct run *run)
{
    return list_is_empty(&run->outgoing) && run->messages_count == 0 && run->query_results_count == 0 && run->local_count == 0 &&
           !run->is_closing;
}
