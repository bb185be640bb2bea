/* cli/batch.c: one workflow or all that a query finds; the jobs that work through the latter. */
#include "cli/commands.h"
#include "cli/workflow.h"

#include <stdlib.h>

/* Flags that only mean something with --query; --reason of a termination is for one workflow, too. */
static const char *only_with_query(struct cli *cli)
{
    bool takes_reason = strcmp(cli->command->path, "workflow terminate") == 0 || str_starts_with(str_of(cli->command->path), STR("workflow reset"));
    if (cli->given[FLAG_yes]) return "yes";
    if (cli->given[FLAG_rps]) return "rps";
    return cli->given[FLAG_reason] && !takes_reason ? "reason" : NULL;
}

bool batch_or_one(struct cli *cli, bool *out)
{
    *out = !str_is_empty(cli->f.query);
    if (*out == !str_is_empty(cli->f.workflow_id)) {
        cli_fail(cli, "perdure %s needs either --workflow-id or --query", cli->command->path);
        return false;
    }
    const char *flag = *out ? (str_is_empty(cli->f.run_id) ? NULL : "run-id") : only_with_query(cli);
    if (flag != NULL) cli_fail(cli, "--%s goes with %s only", flag, *out ? "--workflow-id" : "--query");
    return flag == NULL;
}

struct str batch_reason(struct cli *cli)
{
    const char *user = getenv("USER");
    return str_is_empty(cli->f.reason) ? arena_printf(cli->arena, "Requested from CLI by %s", user != NULL ? user : "an unknown user") : cli->f.reason;
}

int batch_job_start(struct cli *cli, struct pb_ws_StartBatchOperationRequest *request)
{
    struct pb_ws_CountWorkflowExecutionsRequest count = {.namespace = cli->f.namespace, .query = cli->f.query};
    struct pb_ws_CountWorkflowExecutionsResponse *counted;
    struct pb_ws_StartBatchOperationResponse *response;
    double rps;
    if (!cli_number(cli, cli->f.rps, "rps", &rps)) return 1;
    if (!CALL(cli, ws_CountWorkflowExecutions, &count, &counted)) return cli_fail_call(cli, "counting the workflows of the query");
    if (!cli_confirm(cli, arena_printf(cli->arena, "Start a batch on about %" PRId64 " workflow(s)?", counted->count).data)) return 1;
    request->namespace = cli->f.namespace;
    request->visibility_query = cli->f.query;
    request->job_id = cli_uuid(cli);
    request->reason = batch_reason(cli);
    request->max_operations_per_second = (float)rps;
    if (!CALL(cli, ws_StartBatchOperation, request, &response)) return cli_fail_call(cli, "starting the batch");
    struct field job = field_text(cli, "BatchJobId", request->job_id);
    if (cli_is_json(cli)) cli_put_fields(cli, NULL, &job, 1);
    cli_say(cli, "Started batch job %.*s\nSee: perdure batch describe --job-id %.*s", STR_ARG(request->job_id), STR_ARG(request->job_id));
    return 0;
}

/* ---- jobs ---- */

static struct str part_of(struct cli *cli, int64_t n, int64_t total) { return arena_printf(cli->arena, "%" PRId64 "/%" PRId64, n, total); }

int run_batch_describe(struct cli *cli)
{
    struct pb_ws_DescribeBatchOperationRequest request = {.namespace = cli->f.namespace, .job_id = cli->f.job_id};
    struct pb_ws_DescribeBatchOperationResponse *d;
    if (!CALL(cli, ws_DescribeBatchOperation, &request, &d)) return cli_fail_call(cli, "describing batch job");
    cli_put_message(cli, &pb_ws_DescribeBatchOperationResponse_type, d);
    if (cli->format != FORMAT_TEXT) return 0;
    struct field none = {0};
    const struct field card[] = {
        field_text(cli, "State", pb_enum_short_name(&pb_enums_BatchOperationState_enum, d->state, cli->arena)),
        field_text(cli, "Type", pb_enum_short_name(&pb_enums_BatchOperationType_enum, d->operation_type, cli->arena)),
        !str_is_empty(d->query) ? field_text(cli, "Query", d->query) : none,
        field_text(cli, "Reason", d->reason),
        field_text(cli, "Identity", d->identity),
        field_time(cli, "StartTime", d->start_time),
        d->close_time != NULL ? field_time(cli, "CloseTime", d->close_time) : none,
        field_text(cli, "CompletedCount", part_of(cli, d->complete_operation_count, d->total_operation_count)),
        field_text(cli, "FailureCount", part_of(cli, d->failure_operation_count, d->total_operation_count)),
    };
    cli_put_fields(cli, NULL, card, countof(card));
    return 0;
}

int run_batch_list(struct cli *cli)
{
    struct pb_ws_ListBatchOperationsRequest request = {.namespace = cli->f.namespace};
    struct pb_ws_ListBatchOperationsResponse *page;
    struct cli_list list = {0};
    size_t left = cli->f.limit > 0 ? (size_t)cli->f.limit : SIZE_MAX;
    do {
        if (!CALL(cli, ws_ListBatchOperations, &request, &page)) return cli_fail_call(cli, "listing batch jobs");
        for (size_t i = 0; i < page->operation_info_count && left > 0; i++, left--) {
            const struct pb_batch_BatchOperationInfo *info = page->operation_info[i];
            const struct field row[] = {
                field_text(cli, "JobId", info->job_id), field_text(cli, "State", pb_enum_short_name(&pb_enums_BatchOperationState_enum, info->state, cli->arena)),
                field_time(cli, "StartTime", info->start_time), field_time(cli, "CloseTime", info->close_time),
            };
            if (cli_is_json(cli)) cli_list_add(cli, &list, &pb_batch_BatchOperationInfo_type, info);
            else cli_list_add_fields(cli, &list, row, countof(row));
        }
        request.next_page_token = page->next_page_token;
    } while (left > 0 && !str_is_empty(request.next_page_token));
    cli_list_end(cli, &list);
    return 0;
}

int run_batch_terminate(struct cli *cli)
{
    struct pb_ws_StopBatchOperationRequest request = {.namespace = cli->f.namespace, .job_id = cli->f.job_id, .reason = cli->f.reason, .identity = cli->f.identity};
    struct pb_ws_StopBatchOperationResponse *response;
    if (!CALL(cli, ws_StopBatchOperation, &request, &response)) return cli_fail_call(cli, "terminating batch job");
    cli_say(cli, "Batch job %.*s is stopped", STR_ARG(cli->f.job_id));
    return 0;
}
