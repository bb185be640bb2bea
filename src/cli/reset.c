/* cli/reset.c: going back in a workflow, its options, and histories from files. */
#include "cli/commands.h"
#include "cli/files.h"
#include "cli/workflow.h"

/* ---- options of a workflow ---- */

/* What the --versioning-override flags say; NULL inside: no override. False: said. */
static bool read_options(struct cli *cli, struct pb_workflow_WorkflowExecutionOptions *options, struct pb_google_FieldMask *mask)
{
    bool is_pinned = str_equal_c(cli->f.override_behavior, "pinned"), is_auto = str_equal_c(cli->f.override_behavior, "auto_upgrade");
    bool has_version = !str_is_empty(cli->f.override_deployment) && !str_is_empty(cli->f.override_build_id);
    bool has_any = cli->given[FLAG_override_deployment] || cli->given[FLAG_override_build_id];
    PB_PUSH(cli->arena, mask, paths) = STR("versioning_override");
    if (is_pinned ? !has_version : has_any) {
        cli_fail(cli, is_pinned ? "pinned needs --versioning-override-deployment-name and --versioning-override-build-id"
                                : "--versioning-override-deployment-name and --versioning-override-build-id go with pinned only");
        return false;
    }
    if (!is_pinned && !is_auto) return true;
    struct pb_workflow_VersioningOverride *override = options->versioning_override = pb_new(cli->arena, struct pb_workflow_VersioningOverride);
    override->behavior = is_pinned ? VERSIONING_BEHAVIOR_PINNED : VERSIONING_BEHAVIOR_AUTO_UPGRADE; /* the older spelling, beside the newer one */
    if (is_auto) {
        override->override_case = pb_workflow_VersioningOverride_auto_upgrade_tag;
        override->auto_upgrade = true;
        return true;
    }
    override->override_case = pb_workflow_VersioningOverride_pinned_tag;
    override->pinned_version = arena_printf(cli->arena, "%.*s.%.*s", STR_ARG(cli->f.override_deployment), STR_ARG(cli->f.override_build_id));
    override->pinned = pb_new(cli->arena, struct pb_workflow_VersioningOverride_PinnedOverride);
    override->pinned->behavior = pb_workflow_VersioningOverride_PINNED_OVERRIDE_BEHAVIOR_PINNED;
    override->pinned->version = pb_new(cli->arena, struct pb_deployment_WorkerDeploymentVersion);
    *override->pinned->version = (struct pb_deployment_WorkerDeploymentVersion){.deployment_name = cli->f.override_deployment, .build_id = cli->f.override_build_id};
    return true;
}

int run_workflow_update_options(struct cli *cli)
{
    bool batch;
    struct pb_workflow_WorkflowExecutionOptions options = {0};
    struct pb_google_FieldMask mask = {0};
    if (!batch_or_one(cli, &batch) || !read_options(cli, &options, &mask)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationUpdateWorkflowExecutionOptions update = {.identity = cli->f.identity, .workflow_execution_options = &options, .update_mask = &mask};
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){
            .operation_case = pb_ws_StartBatchOperationRequest_update_workflow_options_operation_tag, .update_workflow_options_operation = &update});
    }
    struct pb_ws_UpdateWorkflowExecutionOptionsRequest request = {.namespace = cli->f.namespace, .workflow_execution = cli_execution(cli),
        .workflow_execution_options = &options, .update_mask = &mask, .identity = cli->f.identity};
    struct pb_ws_UpdateWorkflowExecutionOptionsResponse *response;
    if (!CALL(cli, ws_UpdateWorkflowExecutionOptions, &request, &response)) return cli_fail_call(cli, "updating workflow options");
    cli_say(cli, "Update workflow options succeeded");
    return 0;
}

/* ---- reset ---- */

/* The run that this one goes on from, when it was continued as new. */
static struct str run_before(const struct pb_history_HistoryEvent *first)
{
    return first->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_STARTED ? first->workflow_execution_started_event_attributes->continued_execution_run_id : STR_EMPTY;
}

/* The event behind which a new run begins, of the run *run_id, which may change. 0: said. */
static int64_t reset_point(struct cli *cli)
{
    struct pb_history_HistoryEvent **events;
    size_t count;
    struct str type = cli->f.reset_type;
    bool is_first = str_equal_c(type, "FirstWorkflowTask");
    int64_t found = 0;
    if (str_equal_c(type, "BuildId")) {
        struct pb_ws_DescribeWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli)};
        struct pb_ws_DescribeWorkflowExecutionResponse *response;
        if (!CALL(cli, ws_DescribeWorkflowExecution, &request, &response)) {
            cli_fail_call(cli, "describing workflow");
            return 0;
        }
        const struct pb_workflow_ResetPoints *points = response->workflow_execution_info->auto_reset_points;
        for (size_t i = 0; points != NULL && found == 0 && i < points->points_count; i++) {
            if (!str_equal(points->points[i]->build_id, cli->f.build_id)) continue;
            found = points->points[i]->first_workflow_task_completed_id;
            if (!str_is_empty(points->points[i]->run_id)) cli->f.run_id = points->points[i]->run_id;
        }
    } else {
        if (!workflow_history(cli, &events, &count)) return 0;
        if (str_equal_c(type, "LastContinuedAsNew")) {
            cli->f.run_id = count != 0 ? run_before(events[0]) : STR_EMPTY;
            if (str_is_empty(cli->f.run_id)) {
                cli_fail(cli, "this run does not go on from another, so there is no LastContinuedAsNew");
                return 0;
            }
            if (!workflow_history(cli, &events, &count)) return 0;
        }
        for (size_t i = 0; i < count; i++)
            if (events[i]->event_type == EVENT_TYPE_WORKFLOW_TASK_COMPLETED && (found == 0 || !is_first)) found = events[i]->event_id;
    }
    if (found == 0) cli_fail(cli, "this workflow has no such point; `perdure workflow show` lists its events for --event-id");
    return found;
}

/* What is not applied again. False: said. */
static bool read_exclusions(struct cli *cli, int32_t **types, size_t *count)
{
    struct pb_common_ResetOptions list = {0}; /* only for its list */
    bool nothing = str_equal_c(cli->f.reapply_type, "None"), only_signals = str_equal_c(cli->f.reapply_type, "Signal");
    if (cli->given[FLAG_reapply_type] && cli->f.reapply_exclude.count != 0) {
        cli_fail(cli, "--reapply-type and --reapply-exclude do not go together; --reapply-exclude alone says more");
        return false;
    }
    bool no_signals = nothing, no_updates = nothing || only_signals;
    for (size_t i = 0; i < cli->f.reapply_exclude.count; i++) {
        bool is_all = str_equal_c(cli->f.reapply_exclude.items[i], "All");
        no_signals = no_signals || is_all || str_equal_c(cli->f.reapply_exclude.items[i], "Signal");
        no_updates = no_updates || is_all || str_equal_c(cli->f.reapply_exclude.items[i], "Update");
    }
    if (no_signals) PB_PUSH(cli->arena, &list, reset_reapply_exclude_types) = RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL;
    if (no_updates) PB_PUSH(cli->arena, &list, reset_reapply_exclude_types) = RESET_REAPPLY_EXCLUDE_TYPE_UPDATE;
    *types = list.reset_reapply_exclude_types;
    *count = list.reset_reapply_exclude_types_count;
    return true;
}

static int32_t reapply_type(struct cli *cli)
{
    if (str_equal_c(cli->f.reapply_type, "None")) return RESET_REAPPLY_TYPE_NONE;
    return str_equal_c(cli->f.reapply_type, "Signal") ? RESET_REAPPLY_TYPE_SIGNAL : RESET_REAPPLY_TYPE_ALL_ELIGIBLE;
}

static int reset_many(struct cli *cli, struct pb_workflow_PostResetOperation *then)
{
    static struct pb_google_Empty empty;
    struct pb_common_ResetOptions options = {.reset_reapply_type = reapply_type(cli)};
    struct pb_batch_BatchOperationReset reset = {.identity = cli->f.identity, .options = &options};
    if (!read_exclusions(cli, &options.reset_reapply_exclude_types, &options.reset_reapply_exclude_types_count)) return 1;
    if (str_equal_c(cli->f.reset_type, "FirstWorkflowTask")) {
        options.target_case = pb_common_ResetOptions_first_workflow_task_tag;
        options.first_workflow_task = &empty;
    } else if (str_equal_c(cli->f.reset_type, "LastWorkflowTask")) {
        options.target_case = pb_common_ResetOptions_last_workflow_task_tag;
        options.last_workflow_task = &empty;
    } else if (str_equal_c(cli->f.reset_type, "BuildId")) {
        options.target_case = pb_common_ResetOptions_build_id_tag;
        options.build_id = cli->f.build_id;
    } else return cli_fail(cli, "with --query, --type is needed: FirstWorkflowTask, LastWorkflowTask or BuildId");
    if (then != NULL) PB_PUSH(cli->arena, &reset, post_reset_operations) = then;
    return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){.operation_case = pb_ws_StartBatchOperationRequest_reset_operation_tag, .reset_operation = &reset});
}

static int reset(struct cli *cli, struct pb_workflow_PostResetOperation *then)
{
    bool batch = !str_is_empty(cli->f.query);
    if (batch && cli->given[FLAG_event_id]) return cli_fail(cli, "--event-id goes with --workflow-id only");
    if (batch == !str_is_empty(cli->f.workflow_id)) return cli_fail(cli, "perdure %s needs either --workflow-id or --query", cli->command->path);
    if (!cli->given[FLAG_event_id] && !cli->given[FLAG_reset_type]) return cli_fail(cli, "perdure %s needs either --event-id or --type", cli->command->path);
    if (str_equal_c(cli->f.reset_type, "BuildId") && str_is_empty(cli->f.build_id)) return cli_fail(cli, "--type BuildId needs --build-id");
    if (batch) return reset_many(cli, then);
    struct pb_ws_ResetWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .reason = cli->f.reason, .request_id = cli_uuid(cli),
        .identity = cli->f.identity, .reset_reapply_type = reapply_type(cli)};
    struct pb_ws_ResetWorkflowExecutionResponse *response;
    if (!read_exclusions(cli, &request.reset_reapply_exclude_types, &request.reset_reapply_exclude_types_count)) return 1;
    request.workflow_task_finish_event_id = cli->given[FLAG_event_id] ? cli->f.event_id : reset_point(cli);
    if (request.workflow_task_finish_event_id == 0) return 1;
    request.workflow_execution = cli_execution(cli);
    if (then != NULL) PB_PUSH(cli->arena, &request, post_reset_operations) = then;
    if (!CALL(cli, ws_ResetWorkflowExecution, &request, &response)) return cli_fail_call(cli, "resetting workflow");
    cli_put_message(cli, &pb_ws_ResetWorkflowExecutionResponse_type, response);
    cli_say(cli, "The workflow goes on behind event %" PRId64 " as run %.*s", request.workflow_task_finish_event_id, STR_ARG(response->run_id));
    return 0;
}

int run_workflow_reset(struct cli *cli) { return reset(cli, NULL); }

int run_workflow_reset_options(struct cli *cli)
{
    struct pb_workflow_WorkflowExecutionOptions options = {0};
    struct pb_google_FieldMask mask = {0};
    struct pb_workflow_PostResetOperation_UpdateWorkflowOptions update = {.workflow_execution_options = &options, .update_mask = &mask};
    struct pb_workflow_PostResetOperation then = {.variant_case = pb_workflow_PostResetOperation_update_workflow_options_tag, .update_workflow_options = &update};
    return read_options(cli, &options, &mask) ? reset(cli, &then) : 1;
}

/* ---- a history of an older spelling ---- */

int run_workflow_fix_history(struct cli *cli)
{
    struct str text;
    struct pb_history_History *history;
    struct error error = {0};
    struct buf out = {0};
    const char *source = arena_cstr(cli->arena, cli->f.source);
    if (!cli_read_file(cli, source, &text)) return 1;
    if (PB_JSON_READ(cli->arena, text, pb_history_History, PB_JSON_IGNORE_UNKNOWN, &error, &history) != ERR_NONE)
        return cli_fail(cli, "%s is no history: %.*s", source, STR_ARG(error_message(&error)));
    if (pb_json_write(&pb_history_History_type, history, PB_JSON_PRETTY, &out) != ERR_NONE) return cli_fail(cli, "%s has no form in JSON", source);
    buf_append_byte(&out, '\n');
    int status = 0;
    if (str_is_empty(cli->f.target)) fwrite(out.data, 1, out.size, stdout);
    else if (!cli_write_file(cli, arena_cstr(cli->arena, cli->f.target), buf_view(&out))) status = 1;
    buf_fini(&out);
    return status;
}
