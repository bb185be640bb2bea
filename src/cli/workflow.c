/* cli/workflow.c: commands about workflows that exist: lists, messages, and their end. */
#include "cli/commands.h"
#include "cli/workflow.h"

#include <stdlib.h>

/* ---- lists ---- */

static void list_row(struct cli *cli, struct cli_list *list, const struct pb_workflow_WorkflowExecutionInfo *info)
{
    if (cli_is_json(cli)) {
        cli_list_add(cli, list, &pb_workflow_WorkflowExecutionInfo_type, info);
        return;
    }
    const struct field row[] = {
        field_text(cli, "Status", pb_enum_short_name(&pb_enums_WorkflowExecutionStatus_enum, info->status, cli->arena)),
        field_text(cli, "WorkflowId", info->execution != NULL ? info->execution->workflow_id : STR_EMPTY),
        field_text(cli, "Type", info->type != NULL ? info->type->name : STR_EMPTY), field_time(cli, "StartTime", info->start_time),
    };
    cli_list_add_fields(cli, list, row, countof(row));
}

/* Page by page, as there may be millions. */
int run_workflow_list(struct cli *cli)
{
    static const char *const titles[] = {"Status", "WorkflowId", "Type", "StartTime"};
    struct pb_ws_ListWorkflowExecutionsRequest request = {.namespace = cli->f.namespace, .query = cli->f.query, .page_size = (int32_t)cli->f.page_size};
    struct pb_ws_ListWorkflowExecutionsResponse *page;
    struct cli_list list = {.table = cli_table_new(cli, countof(titles), titles)};
    struct cli_page memory = {0};
    int64_t left = cli->f.limit > 0 ? cli->f.limit : INT64_MAX;
    int status = 0;
    if (cli->f.archived) return cli_fail(cli, "this server keeps no archive; leave --archived away");
    do {
        if (!cli_page_begin(cli, &memory)) return 1;
        if (CALL(cli, ws_ListWorkflowExecutions, &request, &page)) {
            for (size_t i = 0; i < page->executions_count && left > 0; i++, left--) list_row(cli, &list, page->executions[i]);
            cli_list_flush(cli, &list);
            request.next_page_token = page->next_page_token;
        } else status = cli_fail_call(cli, "listing workflows");
        cli_page_end(cli, &memory, &request.next_page_token);
    } while (status == 0 && left > 0 && !str_is_empty(request.next_page_token));
    free(memory.token);
    if (status == 0) cli_list_end(cli, &list);
    return status;
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

/* ---- messages to one workflow, or to all that a query finds ---- */

int run_workflow_signal(struct cli *cli)
{
    bool batch;
    struct pb_ws_SignalWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .signal_name = cli->f.signal_name, .identity = cli->f.identity};
    struct pb_ws_SignalWorkflowExecutionResponse *response;
    const struct input_flags flags = cli_input(cli);
    if (!batch_or_one(cli, &batch) || !cli_payloads(cli, &flags, &request.input)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationSignal signal = {.signal = cli->f.signal_name, .input = request.input, .identity = cli->f.identity};
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_signal_operation_tag, .signal_operation = &signal});
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
    if (!batch_or_one(cli, &batch)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationCancellation cancel = {.identity = cli->f.identity};
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_cancellation_operation_tag, .cancellation_operation = &cancel});
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
    if (!batch_or_one(cli, &batch)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationTermination terminate = {.identity = cli->f.identity};
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_termination_operation_tag, .termination_operation = &terminate});
    }
    struct pb_ws_TerminateWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli),
        .identity = cli->f.identity, .reason = batch_reason(cli)};
    struct pb_ws_TerminateWorkflowExecutionResponse *response;
    if (!CALL(cli, ws_TerminateWorkflowExecution, &request, &response)) return cli_fail_call(cli, "terminating workflow");
    cli_say(cli, "Workflow terminated");
    return 0;
}

int run_workflow_delete(struct cli *cli)
{
    bool batch;
    if (!batch_or_one(cli, &batch)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationDeletion deletion = {.identity = cli->f.identity};
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_deletion_operation_tag, .deletion_operation = &deletion});
    }
    struct pb_ws_DeleteWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli)};
    struct pb_ws_DeleteWorkflowExecutionResponse *response;
    if (!CALL(cli, ws_DeleteWorkflowExecution, &request, &response)) return cli_fail_call(cli, "deleting workflow");
    cli_say(cli, "Workflow deleted");
    return 0;
}

/* ---- queries ---- */

static bool ask(struct cli *cli, struct str name, struct pb_common_Payloads *input, struct pb_ws_QueryWorkflowResponse **response)
{
    struct pb_query_WorkflowQuery query = {.query_type = name, .query_args = input};
    struct pb_ws_QueryWorkflowRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli), .query = &query};
    (void)cli_enum(cli, &pb_enums_QueryRejectCondition_enum, cli->f.reject_condition, "reject-condition", &request.query_reject_condition);
    if (!CALL(cli, ws_QueryWorkflow, &request, response)) {
        cli_fail_call(cli, "querying workflow");
        return false;
    }
    if ((*response)->query_rejected == NULL) {
        cli_put_message(cli, &pb_ws_QueryWorkflowResponse_type, *response);
        return true;
    }
    cli_fail(cli, "the query was refused: the workflow is %.*s",
             STR_ARG(pb_enum_short_name(&pb_enums_WorkflowExecutionStatus_enum, (*response)->query_rejected->status, cli->arena)));
    return false;
}

int run_workflow_query(struct cli *cli)
{
    struct pb_common_Payloads *input;
    const struct input_flags flags = cli_input(cli);
    struct pb_ws_QueryWorkflowResponse *response;
    if (!cli_payloads(cli, &flags, &input) || !ask(cli, cli->f.query_name, input, &response)) return 1;
    cli_title(cli, "Query result");
    cli_say(cli, "  QueryResult  %.*s", STR_ARG(cli_payload_text(cli, response->query_result)));
    return 0;
}

int run_workflow_stack(struct cli *cli)
{
    struct pb_ws_QueryWorkflowResponse *response;
    struct json_in in;
    struct str plain;
    if (!ask(cli, STR("__stack_trace"), NULL, &response)) return 1;
    struct str text = cli_payload_text(cli, response->query_result);
    json_init(&in, text, cli->arena, NULL);
    cli_title(cli, "Query result");
    cli_put_text(cli, json_string(&in, &plain) ? plain : text); /* a stack reads better with its line breaks */
    return 0;
}

static void put_definitions(struct cli *cli, const char *kind, struct pb_sdk_WorkflowInteractionDefinition *const *definitions, size_t count, struct cli_list *list)
{
    for (size_t i = 0; i < count; i++) {
        const struct field row[] = {field_text(cli, "Kind", str_of(kind)), field_text(cli, "Name", definitions[i]->name), field_text(cli, "Description", definitions[i]->description)};
        cli_list_add_fields(cli, list, row, countof(row));
    }
}

int run_workflow_metadata(struct cli *cli)
{
    struct pb_ws_QueryWorkflowResponse *response;
    struct pb_sdk_WorkflowMetadata *metadata;
    struct cli_list list = {0};
    if (!ask(cli, STR("__temporal_workflow_metadata"), NULL, &response)) return 1;
    if (cli->format != FORMAT_TEXT) return 0;
    const struct pb_common_Payloads *result = response->query_result;
    if (result == NULL || result->payloads_count == 0 ||
        PB_JSON_READ(cli->arena, result->payloads[0]->data, pb_sdk_WorkflowMetadata, PB_JSON_IGNORE_UNKNOWN, NULL, &metadata) != ERR_NONE || metadata->definition == NULL) {
        cli_say(cli, "%.*s", STR_ARG(cli_payload_text(cli, result))); /* a worker that says it otherwise */
        return 0;
    }
    const struct pb_sdk_WorkflowDefinition *d = metadata->definition;
    const struct field card[] = {field_text(cli, "Type", d->type), str_is_empty(metadata->current_details) ? (struct field){0} : field_text(cli, "CurrentDetails", metadata->current_details)};
    cli_put_fields(cli, NULL, card, countof(card));
    put_definitions(cli, "signal", d->signal_definitions, d->signal_definitions_count, &list);
    put_definitions(cli, "update", d->update_definitions, d->update_definitions_count, &list);
    put_definitions(cli, "query", d->query_definitions, d->query_definitions_count, &list);
    cli_list_end(cli, &list);
    return 0;
}
