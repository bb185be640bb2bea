/* cli/describe.c: how a workflow is doing. */
#include "cli/commands.h"
#include "cli/workflow.h"

/* Entries of a memo and of search attributes look the same. */
_Static_assert(offsetof(struct pb_common_Memo_FieldsEntry, value) == offsetof(struct pb_common_SearchAttributes_IndexedFieldsEntry, value), "both are pairs");

static struct str number(struct cli *cli, int64_t n) { return arena_printf(cli->arena, "%" PRId64, n); }

static void put_points(struct cli *cli, const struct pb_workflow_ResetPoints *points)
{
    struct json_out w;
    static const char *const titles[] = {"EventId", "CreateTime", "RunId", "BuildId"};
    struct cli_table *table = cli_table_new(cli, countof(titles), titles);
    cli_json_begin(cli, &w);
    json_put_open(&w, '[');
    for (size_t i = 0; points != NULL && i < points->points_count; i++) {
        const struct pb_workflow_ResetPointInfo *p = points->points[i];
        char time[40] = "";
        if (p->create_time != NULL) pb_format_timestamp(p->create_time->seconds, p->create_time->nanos, time);
        json_put_next(&w);
        json_put_open(&w, '{');
        cli_json_field(&w, "BinaryChecksum", p->binary_checksum);
        cli_json_field(&w, "CreateTime", str_of(time));
        cli_json_field(&w, "RunId", p->run_id);
        json_put_key(&w, STR("EventId"));
        buf_printf(w.out, "%" PRId64, p->first_workflow_task_completed_id);
        json_put_close(&w, '}');
        cli_table_row(table, number(cli, p->first_workflow_task_completed_id), cli_time_text(cli, p->create_time), p->run_id, p->build_id);
    }
    json_put_close(&w, ']');
    cli_json_end(cli, &w);
    cli_table_print(table);
}

/* The reason at the bottom of a failure. */
static struct str failure_text(const struct pb_failure_Failure *failure)
{
    while (failure != NULL && failure->cause != NULL) failure = failure->cause;
    return failure != NULL ? failure->message : STR_EMPTY;
}

static void put_activities(struct cli *cli, const struct pb_ws_DescribeWorkflowExecutionResponse *d)
{
    struct field none = {0};
    cli_say(cli, "\nPending Activities: %zu", d->pending_activities_count);
    for (size_t i = 0; i < d->pending_activities_count; i++) {
        const struct pb_workflow_PendingActivityInfo *a = d->pending_activities[i];
        struct str attempts = a->maximum_attempts > 0 ? arena_printf(cli->arena, "%d of %d", (int)a->attempt, (int)a->maximum_attempts) : number(cli, a->attempt);
        const struct field card[] = {
            field_text(cli, "ActivityId", a->activity_id), field_text(cli, "Type", a->activity_type != NULL ? a->activity_type->name : STR_EMPTY),
            field_text(cli, "State", a->paused ? STR("Paused") : pb_enum_short_name(&pb_enums_PendingActivityState_enum, a->state, cli->arena)), field_text(cli, "Attempt", attempts),
            a->last_started_time != NULL ? field_time(cli, "LastStartedTime", a->last_started_time) : field_time(cli, "ScheduledTime", a->scheduled_time),
            a->last_heartbeat_time != NULL ? field_time(cli, "LastHeartbeatTime", a->last_heartbeat_time) : none,
            a->heartbeat_details != NULL ? field_text(cli, "LastHeartbeatDetails", cli_payload_text(cli, a->heartbeat_details)) : none,
            a->next_attempt_schedule_time != NULL ? field_time(cli, "NextAttempt", a->next_attempt_schedule_time) : none,
            a->expiration_time != NULL ? field_time(cli, "Expires", a->expiration_time) : none,
            a->last_failure != NULL ? field_text(cli, "LastFailure", failure_text(a->last_failure)) : none,
            a->last_worker_identity.size != 0 ? field_text(cli, "LastWorker", a->last_worker_identity) : none,
        };
        if (i != 0) cli_say(cli, "%s", "");
        cli_put_fields(cli, NULL, card, countof(card));
    }
}

static void put_pending(struct cli *cli, const struct pb_ws_DescribeWorkflowExecutionResponse *d)
{
    struct cli_list children = {0}, operations = {0};
    put_activities(cli, d);
    cli_say(cli, "\nPending Child Workflows: %zu", d->pending_children_count);
    for (size_t i = 0; i < d->pending_children_count; i++) {
        const struct pb_workflow_PendingChildExecutionInfo *c = d->pending_children[i];
        const struct field row[] = {field_text(cli, "WorkflowId", c->workflow_id), field_text(cli, "RunId", c->run_id), field_text(cli, "Type", c->workflow_type_name),
            field_text(cli, "ParentClosePolicy", pb_enum_short_name(&pb_enums_ParentClosePolicy_enum, c->parent_close_policy, cli->arena))};
        cli_list_add_fields(cli, &children, row, countof(row));
    }
    if (children.count != 0) cli_list_end(cli, &children);
    cli_say(cli, "\nPending Nexus Operations: %zu", d->pending_nexus_operations_count);
    for (size_t i = 0; i < d->pending_nexus_operations_count; i++) {
        const struct pb_workflow_PendingNexusOperationInfo *o = d->pending_nexus_operations[i];
        const struct field row[] = {field_text(cli, "Endpoint", o->endpoint), field_text(cli, "Service", o->service), field_text(cli, "Operation", o->operation),
            field_text(cli, "State", pb_enum_short_name(&pb_enums_PendingNexusOperationState_enum, o->state, cli->arena)), field_number(cli, "Attempt", o->attempt),
            field_text(cli, "LastFailure", failure_text(o->last_attempt_failure))};
        cli_list_add_fields(cli, &operations, row, countof(row));
    }
    if (operations.count != 0) cli_list_end(cli, &operations);
    if (d->pending_workflow_task == NULL) return;
    cli_say(cli, "\nWorkflow task: %.*s since %.*s, attempt %d", STR_ARG(pb_enum_short_name(&pb_enums_PendingWorkflowTaskState_enum, d->pending_workflow_task->state, cli->arena)),
            STR_ARG(cli_time_text(cli, d->pending_workflow_task->started_time != NULL ? d->pending_workflow_task->started_time : d->pending_workflow_task->scheduled_time)),
            (int)d->pending_workflow_task->attempt);
}

static void put_callbacks(struct cli *cli, const struct pb_ws_DescribeWorkflowExecutionResponse *d)
{
    struct cli_list list = {0};
    if (d->callbacks_count == 0) return;
    cli_say(cli, "\nCallbacks: %zu", d->callbacks_count);
    for (size_t i = 0; i < d->callbacks_count; i++) {
        const struct pb_workflow_CallbackInfo *c = d->callbacks[i];
        bool has_url = c->callback != NULL && c->callback->variant_case == pb_common_Callback_nexus_tag;
        const struct field row[] = {field_text(cli, "Url", has_url ? c->callback->nexus->url : STR_EMPTY),
            field_text(cli, "State", pb_enum_short_name(&pb_enums_CallbackState_enum, c->state, cli->arena)), field_number(cli, "Attempt", c->attempt),
            field_text(cli, "LastFailure", failure_text(c->last_attempt_failure))};
        cli_list_add_fields(cli, &list, row, countof(row));
    }
    cli_list_end(cli, &list);
}

static struct str execution_text(struct cli *cli, const struct pb_common_WorkflowExecution *e)
{
    return arena_printf(cli->arena, "%.*s, run %.*s", STR_ARG(e->workflow_id), STR_ARG(e->run_id));
}

/* "Key=value, Other=2": values as they are stored, or the whole payload when they are not JSON. */
static struct field pairs_field(struct cli *cli, const char *label, struct pb_common_SearchAttributes_IndexedFieldsEntry *const *entries, size_t count)
{
    struct buf out = {0};
    for (size_t i = 0; i < count; i++) {
        struct pb_common_Payload *value = entries[i]->value;
        bool is_json = str_starts_with(pb_payload_metadata(value, STR("encoding")), STR("json/"));
        struct str text = is_json ? value->data : cli_payload_text(cli, pb_payloads_of(cli->arena, value));
        buf_printf(&out, "%s%.*s=%.*s", i != 0 ? ", " : "", STR_ARG(entries[i]->key), STR_ARG(text));
    }
    struct field field = {.label = label};
    if (count != 0) field = field_text(cli, label, arena_str(cli->arena, buf_view(&out)));
    buf_fini(&out);
    return field;
}

/* Some servers say "in the year 2262" for "never". */
static struct field expiry_field(struct cli *cli, const char *label, const struct pb_google_Timestamp *t)
{
    bool is_never = t == NULL || pb_instant(t).ns - cli->now.ns > INT64_C(100) * 365 * 86400 * NS_PER_S;
    return is_never ? (struct field){.label = label} : field_time(cli, label, t);
}

static void put_info(struct cli *cli, const struct pb_ws_DescribeWorkflowExecutionResponse *d)
{
    static const struct pb_workflow_WorkflowExecutionExtendedInfo nothing;
    const struct pb_workflow_WorkflowExecutionInfo *info = d->workflow_execution_info;
    const struct pb_workflow_WorkflowExecutionExtendedInfo *more = d->workflow_extended_info != NULL ? d->workflow_extended_info : &nothing;
    const struct pb_common_WorkflowExecution *root = info->root_execution, *parent = info->parent_execution;
    const struct pb_common_SearchAttributes *attributes = info->search_attributes;
    bool is_child = root != NULL && !str_equal(root->workflow_id, info->execution->workflow_id);
    struct field none = {0};
    const struct field card[] = {
        field_text(cli, "WorkflowId", info->execution->workflow_id), field_text(cli, "RunId", info->execution->run_id),
        field_text(cli, "Type", info->type != NULL ? info->type->name : STR_EMPTY),
        field_text(cli, "Status", pb_enum_short_name(&pb_enums_WorkflowExecutionStatus_enum, info->status, cli->arena)),
        more->cancel_requested ? field_bool("CancelRequested", true) : none,
        field_text(cli, "Namespace", cli->f.namespace), field_text(cli, "TaskQueue", info->task_queue),
        info->assigned_build_id.size != 0 ? field_text(cli, "AssignedBuildId", info->assigned_build_id) : none,
        field_message(cli, "Versioning", &pb_workflow_WorkflowExecutionVersioningInfo_type, info->versioning_info),
        field_time(cli, "StartTime", info->start_time), info->close_time != NULL ? field_time(cli, "CloseTime", info->close_time) : none,
        field_time(cli, "ExecutionTime", info->execution_time),
        more->original_start_time != NULL && !pb_equal(&pb_google_Timestamp_type, more->original_start_time, info->start_time) ? field_time(cli, "OriginalStartTime", more->original_start_time) : none,
        expiry_field(cli, "RunExpires", more->run_expiration_time), expiry_field(cli, "ExecutionExpires", more->execution_expiration_time),
        more->last_reset_time != NULL ? field_time(cli, "LastResetTime", more->last_reset_time) : none,
        more->reset_run_id.size != 0 ? field_text(cli, "ResetAsRun", more->reset_run_id) : none,
        parent != NULL ? field_text(cli, "Parent", execution_text(cli, parent)) : none, is_child ? field_text(cli, "Root", execution_text(cli, root)) : none,
        pairs_field(cli, "Memo", (void *)(info->memo != NULL ? info->memo->fields : NULL), info->memo != NULL ? info->memo->fields_count : 0),
        pairs_field(cli, "SearchAttributes", attributes != NULL ? attributes->indexed_fields : NULL, attributes != NULL ? attributes->indexed_fields_count : 0),
        info->priority != NULL && info->priority->priority_key != 0 ? field_message(cli, "Priority", &pb_common_Priority_type, info->priority) : none,
        field_number(cli, "HistoryLength", (double)info->history_length), field_number(cli, "HistorySize", (double)info->history_size_bytes),
        field_number(cli, "StateTransitions", (double)info->state_transition_count),
    };
    cli_put_fields(cli, "Execution Info", card, countof(card));
}

static int describe_json(struct cli *cli, const struct pb_ws_DescribeWorkflowExecutionResponse *d, const struct pb_history_HistoryEvent *close)
{
    struct json_out w;
    const struct pb_common_Payloads *result;
    const struct pb_failure_Failure *failure;
    cli_json_begin(cli, &w);
    if (close != NULL) { /* the answer's own fields follow inside the same object */
        struct buf rest = {0};
        workflow_outcome(close, &result, &failure);
        json_put_open(&w, '{');
        json_put_key(&w, STR("closeEvent"));
        if (pb_json_put(&pb_history_HistoryEvent_type, close, cli_json_flags(cli), &w) != ERR_NONE) json_put_raw(&w, STR("null"));
        if (close->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED) {
            json_put_key(&w, STR("result"));
            cli_json_payload(cli, &w, result);
        }
        if (pb_json_write(&pb_ws_DescribeWorkflowExecutionResponse_type, d, cli_json_flags(cli) & ~(unsigned)PB_JSON_PRETTY, &rest) != ERR_NONE) buf_clear(&rest);
        struct json_in in;
        struct str key, value;
        json_init(&in, arena_str(cli->arena, buf_view(&rest)), cli->arena, NULL);
        buf_fini(&rest);
        if (json_open(&in, '{'))
            while (json_more(&in, '}') && json_key(&in, &key) && json_skip(&in, &value)) {
                json_put_key(&w, key);
                json_put_json(&w, value);
            }
        json_put_close(&w, '}');
    } else if (pb_json_put(&pb_ws_DescribeWorkflowExecutionResponse_type, d, cli_json_flags(cli), &w) != ERR_NONE) {
        json_put_raw(&w, STR("null"));
    }
    cli_json_end(cli, &w);
    return 0;
}

int run_workflow_describe(struct cli *cli)
{
    struct pb_ws_DescribeWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli)};
    struct pb_ws_DescribeWorkflowExecutionResponse *d;
    const struct pb_history_HistoryEvent *close = NULL;
    if (!CALL(cli, ws_DescribeWorkflowExecution, &request, &d)) return cli_fail_call(cli, "describing workflow");
    const struct pb_workflow_WorkflowExecutionInfo *info = d->workflow_execution_info;
    if (info == NULL || info->execution == NULL) return cli_fail(cli, "the server's answer says nothing about the workflow");
    if (cli->f.reset_points) {
        put_points(cli, info->auto_reset_points);
        return 0;
    }
    if (info->close_time != NULL) {
        struct pb_ws_GetWorkflowExecutionHistoryRequest ask = {.namespace = cli->f.namespace, .execution = info->execution, .history_event_filter_type = HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT};
        struct pb_ws_GetWorkflowExecutionHistoryResponse *page;
        if (!CALL(cli, ws_GetWorkflowExecutionHistory, &ask, &page)) return cli_fail_call(cli, "getting the close event");
        if (page->history != NULL && page->history->events_count != 0) close = page->history->events[page->history->events_count - 1];
    }
    if (cli->f.raw && cli->format == FORMAT_TEXT) {
        cli->format = FORMAT_JSON;
        cli->f.no_shorthand = true;
    }
    if (cli_is_json(cli)) return describe_json(cli, d, close);
    if (cli->format == FORMAT_TEXT) put_info(cli, d);
    put_callbacks(cli, d);
    if (close == NULL) {
        if (cli->format == FORMAT_TEXT) put_pending(cli, d);
        return 0;
    }
    struct json_out w = {.out = arena_new(cli->arena, struct buf)};
    struct str took = duration_words(cli->arena, instant_since(pb_instant(info->close_time), pb_instant(info->start_time)));
    cli_say(cli, "%s", "");
    workflow_put_outcome(cli, &w, close, &took);
    buf_fini(w.out);
    return 0;
}
