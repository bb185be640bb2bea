/* cli/activity.c: activities of workflows: ending them from outside, holding them, trying them again. */
#include "cli/commands.h"
#include "cli/workflow.h"

int run_activity_complete(struct cli *cli)
{
    struct option_strings result = {&cli->f.result, 1};
    struct pb_ws_RespondActivityTaskCompletedByIdRequest request = {.namespace = cli->f.namespace, .workflow_id = cli->f.workflow_id,
        .run_id = cli->f.run_id, .activity_id = cli->f.activity_id, .identity = cli->f.identity};
    struct pb_ws_RespondActivityTaskCompletedByIdResponse *response;
    if (!cli_payloads(cli, &(struct input_flags){.values = &result}, &request.result)) return 1;
    if (!CALL(cli, ws_RespondActivityTaskCompletedById, &request, &response)) return cli_fail_call(cli, "completing activity");
    cli_say(cli, "Activity completed");
    return 0;
}

int run_activity_fail(struct cli *cli)
{
    struct option_strings details = {&cli->f.details, cli->given[FLAG_details]};
    struct pb_failure_ApplicationFailureInfo info = {.non_retryable = true};
    struct pb_failure_Failure failure = {.message = cli->f.reason, .source = STR("CLI"),
        .failure_info_case = pb_failure_Failure_application_failure_info_tag, .application_failure_info = &info};
    struct pb_ws_RespondActivityTaskFailedByIdRequest request = {.namespace = cli->f.namespace, .workflow_id = cli->f.workflow_id, .run_id = cli->f.run_id,
        .activity_id = cli->f.activity_id, .identity = cli->f.identity, .failure = &failure};
    struct pb_ws_RespondActivityTaskFailedByIdResponse *response;
    if (!cli_payloads(cli, &(struct input_flags){.values = &details}, &info.details)) return 1;
    if (!CALL(cli, ws_RespondActivityTaskFailedById, &request, &response)) return cli_fail_call(cli, "failing activity");
    cli_say(cli, "Activity failed, as asked");
    return 0;
}

/* One activity by its id, or those of a type; with `takes_all` also --match-all. False: said. */
static bool check_which(struct cli *cli, bool is_batch, bool takes_all)
{
    bool by_id = !str_is_empty(cli->f.activity_id), by_type = !str_is_empty(cli->f.activity_type), by_all = takes_all && cli->f.match_all;
    const char *all = takes_all ? " or --match-all" : "";
    if (is_batch && by_id) cli_fail(cli, "--activity-id goes with --workflow-id; with --query, use --activity-type%s", all);
    else if (by_id + by_type + by_all != 1) cli_fail(cli, "perdure %s needs exactly one of %s--activity-type%s", cli->command->path, is_batch ? "" : "--activity-id, ", all);
    else return true;
    return false;
}

int run_activity_pause(struct cli *cli)
{
    struct pb_ws_PauseActivityRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli), .identity = cli->f.identity, .request_id = cli_uuid(cli)};
    struct pb_ws_PauseActivityResponse *response;
    if (!check_which(cli, false, false)) return 1;
    bool by_id = !str_is_empty(cli->f.activity_id);
    request.activity_case = by_id ? pb_ws_PauseActivityRequest_id_tag : pb_ws_PauseActivityRequest_type_tag;
    request.id = by_id ? cli->f.activity_id : cli->f.activity_type; /* id and type share their place */
    if (!CALL(cli, ws_PauseActivity, &request, &response)) return cli_fail_call(cli, "pausing activity");
    cli_say(cli, "Activity paused");
    return 0;
}

int run_activity_unpause(struct cli *cli)
{
    bool batch;
    struct pb_google_Duration *jitter = cli_duration(cli, FLAG_jitter, cli->f.jitter);
    if (!batch_or_one(cli, &batch) || !check_which(cli, batch, true)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationUnpauseActivities unpause = {.identity = cli->f.identity, .reset_attempts = cli->f.reset_attempts,
            .reset_heartbeat = cli->f.reset_heartbeats, .jitter = jitter};
        unpause.activity_case = cli->f.match_all ? pb_batch_BatchOperationUnpauseActivities_match_all_tag : pb_batch_BatchOperationUnpauseActivities_type_tag;
        if (cli->f.match_all) unpause.match_all = true;
        else unpause.type = cli->f.activity_type;
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){
            .operation_case = pb_ws_StartBatchOperationRequest_unpause_activities_operation_tag, .unpause_activities_operation = &unpause});
    }
    struct pb_ws_UnpauseActivityRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli), .identity = cli->f.identity,
        .reset_attempts = cli->f.reset_attempts, .reset_heartbeat = cli->f.reset_heartbeats, .jitter = jitter};
    struct pb_ws_UnpauseActivityResponse *response;
    bool by_id = !str_is_empty(cli->f.activity_id);
    request.activity_case = cli->f.match_all ? pb_ws_UnpauseActivityRequest_unpause_all_tag : by_id ? pb_ws_UnpauseActivityRequest_id_tag : pb_ws_UnpauseActivityRequest_type_tag;
    if (cli->f.match_all) request.unpause_all = true;
    else request.id = by_id ? cli->f.activity_id : cli->f.activity_type;
    if (!CALL(cli, ws_UnpauseActivity, &request, &response)) return cli_fail_call(cli, "unpausing activity");
    cli_say(cli, "Activity goes on");
    return 0;
}

int run_activity_reset(struct cli *cli)
{
    bool batch;
    struct pb_google_Duration *jitter = cli_duration(cli, FLAG_jitter, cli->f.jitter);
    if (!batch_or_one(cli, &batch) || !check_which(cli, batch, true)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationResetActivities reset = {.identity = cli->f.identity, .reset_attempts = cli->f.reset_attempts, .reset_heartbeat = cli->f.reset_heartbeats,
            .keep_paused = cli->f.keep_paused, .jitter = jitter, .restore_original_options = cli->f.restore_options};
        reset.activity_case = cli->f.match_all ? pb_batch_BatchOperationResetActivities_match_all_tag : pb_batch_BatchOperationResetActivities_type_tag;
        if (cli->f.match_all) reset.match_all = true;
        else reset.type = cli->f.activity_type;
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){
            .operation_case = pb_ws_StartBatchOperationRequest_reset_activities_operation_tag, .reset_activities_operation = &reset});
    }
    struct pb_ws_ResetActivityRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli), .identity = cli->f.identity,
        .reset_heartbeat = cli->f.reset_heartbeats, .keep_paused = cli->f.keep_paused, .jitter = jitter, .restore_original_options = cli->f.restore_options};
    struct pb_ws_ResetActivityResponse *response;
    bool by_id = !str_is_empty(cli->f.activity_id);
    request.activity_case = cli->f.match_all ? pb_ws_ResetActivityRequest_match_all_tag : by_id ? pb_ws_ResetActivityRequest_id_tag : pb_ws_ResetActivityRequest_type_tag;
    if (cli->f.match_all) request.match_all = true;
    else request.id = by_id ? cli->f.activity_id : cli->f.activity_type;
    if (!CALL(cli, ws_ResetActivity, &request, &response)) return cli_fail_call(cli, "resetting activity");
    const struct field fields[] = {field_bool("KeepPaused", cli->f.keep_paused), field_bool("ResetHeartbeats", cli->f.reset_heartbeats)};
    cli_put_fields(cli, NULL, fields, countof(fields));
    return 0;
}

/* ---- options ---- */

/* The options that were given, and their names for the server. False: said. */
static bool read_options(struct cli *cli, struct pb_activity_ActivityOptions *options, struct pb_google_FieldMask *mask)
{
    struct pb_common_RetryPolicy *retry = pb_new(cli->arena, struct pb_common_RetryPolicy);
    const struct { enum flag flag; duration value; struct pb_google_Duration **target; const char *path; bool is_retry; } durations[] = {
        {FLAG_schedule_to_close, cli->f.schedule_to_close, &options->schedule_to_close_timeout, "schedule_to_close_timeout", false},
        {FLAG_schedule_to_start, cli->f.schedule_to_start, &options->schedule_to_start_timeout, "schedule_to_start_timeout", false},
        {FLAG_start_to_close, cli->f.start_to_close, &options->start_to_close_timeout, "start_to_close_timeout", false},
        {FLAG_heartbeat_timeout, cli->f.heartbeat_timeout, &options->heartbeat_timeout, "heartbeat_timeout", false},
        {FLAG_retry_initial, cli->f.retry_initial, &retry->initial_interval, "retry_policy.initial_interval", true},
        {FLAG_retry_maximum, cli->f.retry_maximum, &retry->maximum_interval, "retry_policy.maximum_interval", true},
    };
    for (size_t i = 0; i < countof(durations); i++) {
        if (!cli->given[durations[i].flag]) continue;
        *durations[i].target = pb_duration_new(cli->arena, durations[i].value);
        PB_PUSH(cli->arena, mask, paths) = str_of(durations[i].path);
        if (durations[i].is_retry) options->retry_policy = retry;
    }
    if (cli->given[FLAG_task_queue]) {
        options->task_queue = pb_new(cli->arena, struct pb_taskqueue_TaskQueue);
        options->task_queue->name = cli->f.task_queue;
        PB_PUSH(cli->arena, mask, paths) = STR("task_queue.name");
    }
    if (cli->given[FLAG_retry_backoff]) {
        if (!cli_number(cli, cli->f.retry_backoff, "retry-backoff-coefficient", &retry->backoff_coefficient)) return false;
        options->retry_policy = retry;
        PB_PUSH(cli->arena, mask, paths) = STR("retry_policy.backoff_coefficient");
    }
    if (cli->given[FLAG_retry_attempts]) {
        retry->maximum_attempts = (int32_t)cli->f.retry_attempts;
        options->retry_policy = retry;
        PB_PUSH(cli->arena, mask, paths) = STR("retry_policy.maximum_attempts");
    }
    if (cli->f.restore_options && mask->paths_count != 0) {
        cli_fail(cli, "--restore-original-options goes without other options");
        return false;
    }
    return true;
}

static struct field option_duration(struct cli *cli, const char *label, const struct pb_google_Duration *d)
{
    struct field field = cli_is_json(cli) ? field_number(cli, label, (double)pb_duration(d).ns) : field_text(cli, label, duration_words(cli->arena, pb_duration(d)));
    field.is_exact = true;
    return field;
}

static void put_options(struct cli *cli, const struct pb_activity_ActivityOptions *o)
{
    static const struct pb_common_RetryPolicy no_retry;
    const struct pb_common_RetryPolicy *retry = o->retry_policy != NULL ? o->retry_policy : &no_retry;
    struct field queue = field_text(cli, "TaskQueue", o->task_queue != NULL ? o->task_queue->name : STR_EMPTY);
    struct field backoff = field_number(cli, "BackoffCoefficient", retry->backoff_coefficient), attempts = field_number(cli, "MaximumAttempts", retry->maximum_attempts);
    queue.is_exact = backoff.is_exact = attempts.is_exact = true; /* programs know them by these keys, durations in nanoseconds */
    const struct field fields[] = {
        queue, option_duration(cli, "ScheduleToCloseTimeout", o->schedule_to_close_timeout), option_duration(cli, "ScheduleToStartTimeout", o->schedule_to_start_timeout),
        option_duration(cli, "StartToCloseTimeout", o->start_to_close_timeout), option_duration(cli, "HeartbeatTimeout", o->heartbeat_timeout),
        option_duration(cli, "InitialInterval", retry->initial_interval), backoff, option_duration(cli, "MaximumInterval", retry->maximum_interval), attempts,
    };
    cli_put_fields(cli, NULL, fields, countof(fields));
}

int run_activity_update_options(struct cli *cli)
{
    bool batch;
    struct pb_activity_ActivityOptions options = {0};
    struct pb_google_FieldMask mask = {0};
    if (!batch_or_one(cli, &batch) || !check_which(cli, batch, true) || !read_options(cli, &options, &mask)) return 1;
    if (batch) {
        struct pb_batch_BatchOperationUpdateActivityOptions update = {.identity = cli->f.identity, .activity_options = &options, .update_mask = &mask, .restore_original = cli->f.restore_options};
        update.activity_case = cli->f.match_all ? pb_batch_BatchOperationUpdateActivityOptions_match_all_tag : pb_batch_BatchOperationUpdateActivityOptions_type_tag;
        if (cli->f.match_all) update.match_all = true;
        else update.type = cli->f.activity_type;
        return batch_job_start(cli, &(struct pb_ws_StartBatchOperationRequest){
            .operation_case = pb_ws_StartBatchOperationRequest_update_activity_options_operation_tag, .update_activity_options_operation = &update});
    }
    struct pb_ws_UpdateActivityOptionsRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli), .identity = cli->f.identity,
        .activity_options = &options, .update_mask = &mask, .restore_original = cli->f.restore_options};
    struct pb_ws_UpdateActivityOptionsResponse *response;
    bool by_id = !str_is_empty(cli->f.activity_id);
    request.activity_case = cli->f.match_all ? pb_ws_UpdateActivityOptionsRequest_match_all_tag : by_id ? pb_ws_UpdateActivityOptionsRequest_id_tag : pb_ws_UpdateActivityOptionsRequest_type_tag;
    if (cli->f.match_all) request.match_all = true;
    else request.id = by_id ? cli->f.activity_id : cli->f.activity_type;
    if (!CALL(cli, ws_UpdateActivityOptions, &request, &response)) return cli_fail_call(cli, "updating activity options");
    static const struct pb_activity_ActivityOptions nothing;
    put_options(cli, response->activity_options != NULL ? response->activity_options : &nothing);
    return 0;
}
