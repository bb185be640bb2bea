/* cli/workflow.c: commands about workflows that exist: lists, messages, and their end. */
#include "cli/commands.h"
#include "cli/workflow.h"

#include <stdlib.h>

/* ---- lists ---- */

static void list_row(struct cli *cli, struct cli_table *table, const struct pb_workflow_WorkflowExecutionInfo *info)
{
    cli_table_row(table, pb_enum_short_name(&pb_enums_WorkflowExecutionStatus_enum, info->status, cli->arena),
                  info->execution != NULL ? info->execution->workflow_id : STR_EMPTY, info->type != NULL ? info->type->name : STR_EMPTY,
                  cli_time_text(cli, info->start_time));
}

int run_workflow_list(struct cli *cli)
{
    static const char *const titles[] = {"Status", "WorkflowId", "Type", "StartTime"};
    struct pb_ws_ListWorkflowExecutionsRequest request = {.namespace = cli->f.namespace, .query = cli->f.query, .page_size = (int32_t)cli->f.page_size};
    struct pb_ws_ListWorkflowExecutionsResponse *page;
    struct cli_table *table = cli_table_new(cli, countof(titles), titles);
    struct cli_list list = {0};
    int64_t left = cli->f.limit > 0 ? cli->f.limit : INT64_MAX;
    if (cli->f.archived) return cli_fail(cli, "this server keeps no archive; leave --archived away");
    do {
        if (!CALL(cli, ws_ListWorkflowExecutions, &request, &page)) return cli_fail_call(cli, "listing workflows");
        for (size_t i = 0; i < page->executions_count && left > 0; i++, left--) {
            if (cli_is_json(cli)) cli_list_add(cli, &list, &pb_workflow_WorkflowExecutionInfo_type, page->executions[i]);
            else list_row(cli, table, page->executions[i]);
        }
        request.next_page_token = page->next_page_token;
    } while (left > 0 && !str_is_empty(request.next_page_token));
    cli_table_print(table);
    cli_list_end(cli, &list);
    return 0;
}

int run_workflow_count(struct cli *cli)
{
    struct pb_ws_CountWorkflowExecutionsRequest request = {.namespace = cli->f.namespace, .query = cli->f.query};
    struct pb_ws_CountWorkflowExecutionsResponse *response;
    if (!CALL(cli, ws_CountWorkflowExecutions, &request, &response)) return cli_fail_call(cli, "counting workflows");
    for (size_t i = 0; i < response->groups_count; i++) { /* the values' types say nothing to people, and hide the values */
        for (size_t j = 0; j < response->groups[i]->group_values_count; j++) {
            struct pb_common_Payload *value = response->groups[i]->group_values[j];
            response->groups[i]->group_values[j] = pb_payload_new(cli->arena, pb_payload_metadata(value, STR("encoding")), value->data);
        }
    }
    cli_put_message(cli, &pb_ws_CountWorkflowExecutionsResponse_type, response);
    cli_say(cli, "Total: %" PRId64, response->count);
    for (size_t i = 0; i < response->groups_count; i++) {
        const struct pb_ws_CountWorkflowExecutionsResponse_AggregationGroup *group = response->groups[i];
        struct pb_common_Payloads values = {.payloads = group->group_values, .payloads_count = group->group_values_count};
        cli_say(cli, "Group total: %" PRId64 ", values: %.*s", group->count, STR_ARG(cli_payload_text(cli, &values)));
    }
    return 0;
}

/* ---- one workflow, or all that a query finds ---- */

/* False: said. */
static bool is_batch(struct cli *cli, bool *out)
{
    *out = !str_is_empty(cli->f.query);
    if (*out != !str_is_empty(cli->f.workflow_id)) {
        if (!*out || str_is_empty(cli->f.run_id)) return true;
        cli_fail(cli, "--run-id goes with --workflow-id, not with --query");
        return false;
    }
    cli_fail(cli, "perdure %s needs either --workflow-id or --query", cli->command->path);
    return false;
}

static struct str reason_of(struct cli *cli)
{
    const char *user = getenv("USER");
    return str_is_empty(cli->f.reason) ? arena_printf(cli->arena, "Requested from CLI by %s", user != NULL ? user : "an unknown user") : cli->f.reason;
}

static int start_batch(struct cli *cli, struct pb_ws_StartBatchOperationRequest *request)
{
    struct pb_ws_CountWorkflowExecutionsRequest count = {.namespace = cli->f.namespace, .query = cli->f.query};
    struct pb_ws_CountWorkflowExecutionsResponse *counted;
    struct pb_ws_StartBatchOperationResponse *response;
    double rps;
    struct json_out w;
    if (!cli_number(cli, cli->f.rps, "rps", &rps)) return 1;
    if (!CALL(cli, ws_CountWorkflowExecutions, &count, &counted)) return cli_fail_call(cli, "counting the workflows of the query");
    if (!cli_confirm(cli, arena_printf(cli->arena, "Start a batch on about %" PRId64 " workflow(s)?", counted->count).data)) return 1;
    request->namespace = cli->f.namespace;
    request->visibility_query = cli->f.query;
    request->job_id = cli_uuid(cli);
    request->reason = reason_of(cli);
    request->max_operations_per_second = (float)rps;
    if (!CALL(cli, ws_StartBatchOperation, request, &response)) return cli_fail_call(cli, "starting the batch");
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    cli_json_field(&w, "batchJobId", request->job_id);
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    cli_say(cli, "Started batch job %.*s\nSee: perdure batch describe --job-id %.*s", STR_ARG(request->job_id), STR_ARG(request->job_id));
    return 0;
}

int run_workflow_signal(struct cli *cli)
{
    bool batch;
    struct pb_ws_SignalWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .signal_name = cli->f.signal_name, .identity = cli->f.identity};
    struct pb_ws_SignalWorkflowExecutionResponse *response;
    if (!is_batch(cli, &batch) || !cli_payloads(cli, &cli->f.input, &request.input)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationSignal signal = {.signal = cli->f.signal_name, .input = request.input, .identity = cli->f.identity};
        return start_batch(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_signal_operation_tag, .signal_operation = &signal});
    }
    request.workflow_execution = cli_execution(cli);
    request.request_id = cli_uuid(cli);
    if (!CALL(cli, ws_SignalWorkflowExecution, &request, &response)) return cli_fail_call(cli, "signalling workflow");
    cli_say(cli, "Signal workflow succeeded");
    return 0;
}

int run_workflow_cancel(struct cli *cli)
{
    bool batch;
    if (!is_batch(cli, &batch)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationCancellation cancel = {.identity = cli->f.identity};
        return start_batch(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_cancellation_operation_tag, .cancellation_operation = &cancel});
    }
    struct pb_ws_RequestCancelWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli),
        .identity = cli->f.identity, .request_id = cli_uuid(cli), .reason = cli->f.reason};
    struct pb_ws_RequestCancelWorkflowExecutionResponse *response;
    if (!CALL(cli, ws_RequestCancelWorkflowExecution, &request, &response)) return cli_fail_call(cli, "cancelling workflow");
    cli_say(cli, "Asked the workflow to cancel");
    return 0;
}

int run_workflow_terminate(struct cli *cli)
{
    bool batch;
    if (!is_batch(cli, &batch)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationTermination terminate = {.identity = cli->f.identity};
        return start_batch(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_termination_operation_tag, .termination_operation = &terminate});
    }
    struct pb_ws_TerminateWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli),
        .identity = cli->f.identity, .reason = reason_of(cli)};
    struct pb_ws_TerminateWorkflowExecutionResponse *response;
    if (!CALL(cli, ws_TerminateWorkflowExecution, &request, &response)) return cli_fail_call(cli, "terminating workflow");
    cli_say(cli, "Workflow terminated");
    return 0;
}

int run_workflow_delete(struct cli *cli)
{
    bool batch;
    if (!is_batch(cli, &batch)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationDeletion deletion = {.identity = cli->f.identity};
        return start_batch(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_deletion_operation_tag, .deletion_operation = &deletion});
    }
    struct pb_ws_DeleteWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli)};
    struct pb_ws_DeleteWorkflowExecutionResponse *response;
    if (!CALL(cli, ws_DeleteWorkflowExecution, &request, &response)) return cli_fail_call(cli, "deleting workflow");
    cli_say(cli, "Workflow deleted");
    return 0;
}

/* ---- queries ---- */

static int ask(struct cli *cli, struct str name, struct pb_common_Payloads *input, bool is_text)
{
    struct pb_query_WorkflowQuery query = {.query_type = name, .query_args = input};
    struct pb_ws_QueryWorkflowRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli), .query = &query};
    struct pb_ws_QueryWorkflowResponse *response;
    struct str wanted = cli->f.reject_condition;
    if (str_equal_c(wanted, "not_open")) request.query_reject_condition = QUERY_REJECT_CONDITION_NOT_OPEN;
    else if (str_equal_c(wanted, "not_completed_cleanly")) request.query_reject_condition = QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY;
    else if (!str_is_empty(wanted)) return cli_fail(cli, "--reject-condition may be not_open or not_completed_cleanly");
    if (!CALL(cli, ws_QueryWorkflow, &request, &response)) return cli_fail_call(cli, "querying workflow");
    cli_put_message(cli, &pb_ws_QueryWorkflowResponse_type, response);
    if (response->query_rejected != NULL)
        return cli_fail(cli, "the query was refused: the workflow is %.*s",
                        STR_ARG(pb_enum_short_name(&pb_enums_WorkflowExecutionStatus_enum, response->query_rejected->status, cli->arena)));
    struct str text = cli_payload_text(cli, response->query_result), plain;
    struct json_in in;
    json_init(&in, text, cli->arena, NULL);
    if (is_text && json_string(&in, &plain)) text = plain; /* a stack reads better with its line breaks */
    cli_title(cli, "Query result");
    cli_say(cli, "%s%.*s", is_text ? "" : "  QueryResult  ", STR_ARG(text));
    return 0;
}

int run_workflow_query(struct cli *cli)
{
    struct pb_common_Payloads *input;
    return cli_payloads(cli, &cli->f.input, &input) ? ask(cli, cli->f.query_name, input, false) : 1;
}

int run_workflow_stack(struct cli *cli) { return ask(cli, STR("__stack_trace"), NULL, true); }
int run_workflow_metadata(struct cli *cli) { return ask(cli, STR("__temporal_workflow_metadata"), NULL, false); }

/* ---- updates ---- */

static int show_update(struct cli *cli, struct str id, const struct pb_update_Outcome *outcome, const char *stage)
{
    struct json_out w;
    struct cli_table *card = cli_table_new(cli, 2, NULL);
    const struct pb_failure_Failure *failure = outcome != NULL && outcome->value_case == pb_update_Outcome_failure_tag ? outcome->failure : NULL;
    const struct pb_common_Payloads *result = outcome != NULL && outcome->value_case == pb_update_Outcome_success_tag ? outcome->success : NULL;
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    if (!str_is_empty(cli->f.update_name)) {
        cli_json_field(&w, "name", cli->f.update_name);
        cli_table_row(card, STR("Name"), cli->f.update_name);
    }
    cli_json_field(&w, "updateId", id);
    cli_table_row(card, STR("UpdateID"), id);
    if (result != NULL) {
        json_put_key(&w, STR("result"));
        cli_json_payload(cli, &w, result);
        cli_table_row(card, STR("Result"), cli_payload_text(cli, result));
    }
    if (failure != NULL) {
        json_put_key(&w, STR("failure"));
        if (pb_json_put(&pb_failure_Failure_type, failure, cli_json_flags(cli), &w) != ERR_NONE) json_put_raw(&w, STR("null"));
        cli_table_row(card, STR("Failure"), failure->message);
    }
    if (stage != NULL) {
        cli_json_field(&w, "stage", str_of(stage));
        cli_table_row(card, STR("Stage"), str_of(stage));
    }
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    cli_table_print(card);
    return failure != NULL && stage == NULL ? cli_fail(cli, "update workflow failed: %.*s", STR_ARG(failure->message)) : 0;
}

static int poll_update(struct cli *cli, struct str id, bool waits)
{
    struct pb_update_UpdateRef ref = {.workflow_execution = cli_execution(cli), .update_id = id};
    struct pb_update_WaitPolicy wait = {.lifecycle_stage = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED};
    struct pb_ws_PollWorkflowExecutionUpdateRequest request = {.namespace = cli->f.namespace, .update_ref = &ref, .identity = cli->f.identity, .wait_policy = waits ? &wait : NULL};
    struct pb_ws_PollWorkflowExecutionUpdateResponse *response;
    do {
        if (!CALL_WAIT(cli, ws_PollWorkflowExecutionUpdate, &request, &response, duration_s(70))) return cli_fail_call(cli, "waiting for the update");
    } while (waits && response->outcome == NULL);
    const char *stage = response->outcome != NULL ? "Completed" : "Accepted";
    return show_update(cli, id, response->outcome, waits ? NULL : stage);
}

static int send_update(struct cli *cli, int32_t stage)
{
    struct str id = str_is_empty(cli->f.update_id) ? cli_uuid(cli) : cli->f.update_id;
    struct pb_update_Meta meta = {.update_id = id, .identity = cli->f.identity};
    struct pb_update_Input input = {.name = cli->f.update_name};
    struct pb_update_Request update = {.meta = &meta, .input = &input};
    struct pb_update_WaitPolicy wait = {.lifecycle_stage = stage};
    struct pb_ws_UpdateWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli),
        .first_execution_run_id = cli->f.first_run_id, .wait_policy = &wait, .request = &update};
    struct pb_ws_UpdateWorkflowExecutionResponse *response;
    if (!cli_payloads(cli, &cli->f.input, &input.args)) return 1;
    do { /* the server answers early when it takes long; the same update id makes asking again safe */
        if (!CALL_WAIT(cli, ws_UpdateWorkflowExecution, &request, &response, duration_s(70))) return cli_fail_call(cli, "updating workflow");
    } while (response->stage < UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED && response->outcome == NULL);
    bool is_complete = stage == UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED;
    if (is_complete && response->outcome == NULL) return poll_update(cli, id, true);
    return show_update(cli, id, is_complete || (response->outcome != NULL && response->outcome->value_case == pb_update_Outcome_failure_tag) ? response->outcome : NULL, NULL);
}

int run_workflow_update_execute(struct cli *cli) { return send_update(cli, UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED); }

int run_workflow_update_start(struct cli *cli)
{
    if (!str_equal_c(cli->f.wait_for_stage, "accepted")) return cli_fail(cli, "--wait-for-stage can only be accepted");
    return send_update(cli, UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED);
}

int run_workflow_update_result(struct cli *cli) { return poll_update(cli, cli->f.update_id, true); }
int run_workflow_update_describe(struct cli *cli) { return poll_update(cli, cli->f.update_id, false); }

/* ---- reset ---- */

/* The event behind which a new run begins. 0: said. */
static int64_t reset_point(struct cli *cli)
{
    struct pb_history_HistoryEvent **events;
    size_t count;
    bool is_last = str_equal_c(cli->f.reset_type, "LastWorkflowTask"), is_build = str_equal_c(cli->f.reset_type, "BuildId");
    int64_t found = 0;
    if (!is_last && !is_build && !str_equal_c(cli->f.reset_type, "FirstWorkflowTask")) {
        cli_fail(cli, "--type may be FirstWorkflowTask, LastWorkflowTask or BuildId");
        return 0;
    }
    if (is_build) {
        struct pb_ws_DescribeWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli)};
        struct pb_ws_DescribeWorkflowExecutionResponse *response;
        if (!CALL(cli, ws_DescribeWorkflowExecution, &request, &response)) {
            cli_fail_call(cli, "describing workflow");
            return 0;
        }
        const struct pb_workflow_ResetPoints *points = response->workflow_execution_info->auto_reset_points;
        for (size_t i = 0; points != NULL && found == 0 && i < points->points_count; i++)
            if (str_equal(points->points[i]->build_id, cli->f.build_id)) found = points->points[i]->first_workflow_task_completed_id;
    } else {
        if (!workflow_history(cli, &events, &count)) return 0;
        for (size_t i = 0; i < count; i++)
            if (events[i]->event_type == EVENT_TYPE_WORKFLOW_TASK_COMPLETED && (found == 0 || is_last)) found = events[i]->event_id;
    }
    if (found == 0) cli_fail(cli, "this workflow has no such point; `perdure workflow show` lists its events for --event-id");
    return found;
}

int run_workflow_reset(struct cli *cli)
{
    if (cli->given[FLAG_event_id] == cli->given[FLAG_reset_type]) return cli_fail(cli, "perdure workflow reset needs either --event-id or --type");
    int64_t event_id = cli->given[FLAG_event_id] ? cli->f.event_id : reset_point(cli);
    struct pb_ws_ResetWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli), .reason = cli->f.reason,
        .workflow_task_finish_event_id = event_id, .request_id = cli_uuid(cli), .identity = cli->f.identity};
    struct pb_ws_ResetWorkflowExecutionResponse *response;
    if (event_id == 0) return 1;
    for (size_t i = 0; i < cli->f.reapply_exclude.count; i++) {
        struct str what = cli->f.reapply_exclude.items[i];
        bool is_all = str_equal_c(what, "All");
        if (is_all || str_equal_c(what, "Signal")) PB_PUSH(cli->arena, &request, reset_reapply_exclude_types) = RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL;
        if (is_all || str_equal_c(what, "Update")) PB_PUSH(cli->arena, &request, reset_reapply_exclude_types) = RESET_REAPPLY_EXCLUDE_TYPE_UPDATE;
        if (!is_all && request.reset_reapply_exclude_types_count == 0) return cli_fail(cli, "--reapply-exclude may be All, Signal or Update");
    }
    if (!CALL(cli, ws_ResetWorkflowExecution, &request, &response)) return cli_fail_call(cli, "resetting workflow");
    cli_put_message(cli, &pb_ws_ResetWorkflowExecutionResponse_type, response);
    cli_say(cli, "The workflow goes on behind event %" PRId64 " as run %.*s", event_id, STR_ARG(response->run_id));
    return 0;
}
