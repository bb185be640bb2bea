/* cli/start.c: commands that start a workflow, and those that wait for its end or show how it is doing. */
#include "cli/commands.h"
#include "cli/workflow.h"

/* ---- starting ---- */

static struct pb_common_WorkflowType *type_of(struct cli *cli)
{
    struct pb_common_WorkflowType *type = pb_new(cli->arena, struct pb_common_WorkflowType);
    type->name = cli->f.type;
    return type;
}

static struct pb_taskqueue_TaskQueue *queue_of(struct cli *cli)
{
    struct pb_taskqueue_TaskQueue *queue = pb_new(cli->arena, struct pb_taskqueue_TaskQueue);
    queue->name = cli->f.task_queue;
    return queue;
}

static struct pb_sdk_UserMetadata *user_metadata(struct cli *cli)
{
    if (str_is_empty(cli->f.static_summary) && str_is_empty(cli->f.static_details)) return NULL;
    struct pb_sdk_UserMetadata *metadata = pb_new(cli->arena, struct pb_sdk_UserMetadata);
    metadata->summary = cli_text_payload(cli, cli->f.static_summary);
    metadata->details = cli_text_payload(cli, cli->f.static_details);
    return metadata;
}

bool workflow_start_request(struct cli *cli, struct pb_ws_StartWorkflowExecutionRequest *out)
{
    double weight;
    *out = (struct pb_ws_StartWorkflowExecutionRequest){.namespace = cli->f.namespace, .identity = cli->f.identity, .request_id = cli_uuid(cli)};
    out->workflow_id = str_is_empty(cli->f.workflow_id) ? cli_uuid(cli) : cli->f.workflow_id;
    out->workflow_type = type_of(cli);
    out->task_queue = queue_of(cli);
    out->workflow_execution_timeout = pb_duration_new(cli->arena, cli->f.execution_timeout);
    out->workflow_run_timeout = pb_duration_new(cli->arena, cli->f.run_timeout);
    out->header = pb_new(cli->arena, struct pb_common_Header);
    out->workflow_task_timeout = pb_duration_new(cli->arena, cli->given[FLAG_task_timeout] ? cli->f.task_timeout : duration_s(10));
    out->cron_schedule = cli->f.cron;
    out->workflow_start_delay = cli_duration(cli, FLAG_start_delay, cli->f.start_delay);
    out->user_metadata = user_metadata(cli);
    const struct input_flags input = cli_input(cli);
    if (!cli_payloads(cli, &input, &out->input) || !cli_memo(cli, &cli->f.memo, "memo", &out->memo) ||
        !cli_search_attributes(cli, &cli->f.search_attribute, "search-attribute", &out->search_attributes) ||
        !cli_enum(cli, &pb_enums_WorkflowIdReusePolicy_enum, cli->f.id_reuse_policy, "id-reuse-policy", &out->workflow_id_reuse_policy) ||
        !cli_enum(cli, &pb_enums_WorkflowIdConflictPolicy_enum, cli->f.id_conflict_policy, "id-conflict-policy", &out->workflow_id_conflict_policy) ||
        !cli_number(cli, cli->f.fairness_weight, "fairness-weight", &weight)) return false;
    if (out->workflow_id_conflict_policy == 0 && out->workflow_id_reuse_policy != WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING)
        out->workflow_id_conflict_policy = cli->f.fail_existing ? WORKFLOW_ID_CONFLICT_POLICY_FAIL : WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING;
    if (cli->given[FLAG_priority_key] || cli->given[FLAG_fairness_key] || cli->given[FLAG_fairness_weight]) {
        out->priority = pb_new(cli->arena, struct pb_common_Priority);
        *out->priority = (struct pb_common_Priority){.priority_key = (int32_t)cli->f.priority_key, .fairness_key = cli->f.fairness_key, .fairness_weight = (float)weight};
    }
    return true;
}

/* A signal with start does not name the queue: the workflow may have been running in another. */
static void put_started(struct cli *cli, struct json_out *w, struct str workflow_id, struct str run_id, bool with_queue)
{
    const struct { const char *label, *key; struct str value; } rows[] = {
        {"WorkflowId", "workflowId", workflow_id}, {"RunId", "runId", run_id}, {"Type", "type", cli->f.type},
        {"Namespace", "namespace", cli->f.namespace}, {"TaskQueue", "taskQueue", cli->f.task_queue},
    };
    struct cli_table *card = cli_table_new(cli, 2, NULL);
    for (size_t i = 0; i < countof(rows) - !with_queue; i++) {
        cli_json_field(w, rows[i].key, rows[i].value);
        cli_table_row(card, str_of(rows[i].label), rows[i].value);
    }
    cli_title(cli, "Running execution");
    cli_table_print(card);
}

int run_workflow_start(struct cli *cli)
{
    struct pb_ws_StartWorkflowExecutionRequest request;
    struct pb_ws_StartWorkflowExecutionResponse *response;
    struct json_out w;
    if (!workflow_start_request(cli, &request)) return 1;
    if (!CALL(cli, ws_StartWorkflowExecution, &request, &response)) return cli_fail_call(cli, "starting workflow");
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    put_started(cli, &w, request.workflow_id, response->run_id, true);
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    return 0;
}

int run_workflow_signal_with_start(struct cli *cli)
{
    struct pb_ws_StartWorkflowExecutionRequest start;
    struct pb_ws_SignalWithStartWorkflowExecutionResponse *response;
    struct pb_common_Payloads *input;
    struct json_out w;
    const struct input_flags flags = {&cli->f.signal_input, &cli->f.signal_input_file, &cli->f.signal_input_meta, cli->f.signal_input_base64};
    if (!workflow_start_request(cli, &start) || !cli_payloads(cli, &flags, &input)) return 1;
    struct pb_ws_SignalWithStartWorkflowExecutionRequest request = {
        .namespace = start.namespace, .workflow_id = start.workflow_id, .workflow_type = start.workflow_type, .task_queue = start.task_queue,
        .input = start.input, .workflow_execution_timeout = start.workflow_execution_timeout, .workflow_run_timeout = start.workflow_run_timeout,
        .workflow_task_timeout = start.workflow_task_timeout, .identity = start.identity, .request_id = start.request_id,
        .workflow_id_reuse_policy = start.workflow_id_reuse_policy, .workflow_id_conflict_policy = start.workflow_id_conflict_policy,
        .memo = start.memo, .search_attributes = start.search_attributes, .header = start.header, .workflow_start_delay = start.workflow_start_delay,
        .user_metadata = start.user_metadata, .priority = start.priority, .cron_schedule = start.cron_schedule, .signal_name = cli->f.signal_type, .signal_input = input,
    };
    if (!CALL(cli, ws_SignalWithStartWorkflowExecution, &request, &response)) return cli_fail_call(cli, "signalling and starting workflow");
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    put_started(cli, &w, request.workflow_id, response->run_id, false);
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    return 0;
}

/* ---- histories ---- */

bool workflow_history(struct cli *cli, struct pb_history_HistoryEvent ***events, size_t *count)
{
    struct pb_ws_GetWorkflowExecutionHistoryRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli)};
    struct pb_ws_GetWorkflowExecutionHistoryResponse *page;
    struct pb_history_History *all = pb_new(cli->arena, struct pb_history_History);
    do {
        if (!CALL(cli, ws_GetWorkflowExecutionHistory, &request, &page)) {
            cli_fail_call(cli, "reading the history");
            return false;
        }
        for (size_t i = 0; page->history != NULL && i < page->history->events_count; i++) PB_PUSH(cli->arena, all, events) = page->history->events[i];
        request.next_page_token = page->next_page_token;
    } while (!str_is_empty(request.next_page_token));
    *events = all->events;
    *count = all->events_count;
    return true;
}

struct str workflow_next_run(const struct pb_history_HistoryEvent *close)
{
    switch (close->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: return close->workflow_execution_completed_event_attributes->new_execution_run_id;
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: return close->workflow_execution_failed_event_attributes->new_execution_run_id;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: return close->workflow_execution_timed_out_event_attributes->new_execution_run_id;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: return close->workflow_execution_continued_as_new_event_attributes->new_execution_run_id;
    default: return STR_EMPTY;
    }
}

bool workflow_is_close(const struct pb_history_HistoryEvent *event)
{
    switch (event->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: return true;
    default: return false;
    }
}

const struct pb_history_HistoryEvent *workflow_follow(struct cli *cli, struct str *run_id, bool shows, bool is_detailed)
{
    struct pb_common_WorkflowExecution execution = {.workflow_id = cli->f.workflow_id, .run_id = *run_id};
    struct pb_ws_GetWorkflowExecutionHistoryRequest request = {.namespace = cli->f.namespace, .execution = &execution, .wait_new_event = true,
        .history_event_filter_type = shows ? HISTORY_EVENT_FILTER_TYPE_ALL_EVENT : HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT};
    struct pb_ws_GetWorkflowExecutionHistoryResponse *page;
    for (;;) {
        if (!CALL_WAIT(cli, ws_GetWorkflowExecutionHistory, &request, &page, duration_s(70))) {
            cli_fail_call(cli, "waiting for the workflow's end");
            return NULL;
        }
        const struct pb_history_HistoryEvent *last = NULL;
        for (size_t i = 0; page->history != NULL && i < page->history->events_count; i++) {
            last = page->history->events[i];
            if (shows) workflow_show_event(cli, last, is_detailed);
        }
        request.next_page_token = page->next_page_token;
        if (last == NULL || !workflow_is_close(last)) continue;
        if (str_is_empty(workflow_next_run(last))) return last;
        execution.run_id = *run_id = workflow_next_run(last);
        request.next_page_token = STR_EMPTY;
    }
}

const char *workflow_outcome(const struct pb_history_HistoryEvent *close, const struct pb_common_Payloads **result, const struct pb_failure_Failure **failure)
{
    *result = NULL;
    *failure = NULL;
    switch (close->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: *result = close->workflow_execution_completed_event_attributes->result; return "COMPLETED";
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: *failure = close->workflow_execution_failed_event_attributes->failure; return "FAILED";
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: return "TIMEOUT";
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: return "CANCELED";
    case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: return "TERMINATED";
    default: return "CONTINUED_AS_NEW";
    }
}

int workflow_put_outcome(struct cli *cli, struct json_out *w, const struct pb_history_HistoryEvent *close, const struct str *run_time)
{
    const struct pb_common_Payloads *result;
    const struct pb_failure_Failure *failure;
    const char *status = workflow_outcome(close, &result, &failure);
    struct cli_table *card = cli_table_new(cli, 2, NULL);
    cli_json_field(w, "status", str_of(status));
    json_put_key(w, STR("closeEvent"));
    if (pb_json_put(&pb_history_HistoryEvent_type, close, cli_json_flags(cli), w) != ERR_NONE) json_put_raw(w, STR("null"));
    if (run_time != NULL) cli_table_row(card, STR("RunTime"), *run_time);
    cli_table_row(card, STR("Status"), str_of(status));
    if (close->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED) {
        json_put_key(w, STR("result"));
        cli_json_payload(cli, w, result);
        cli_table_row(card, STR("Result"), result != NULL ? cli_payload_text(cli, result) : STR("null"));
        if (result != NULL && result->payloads_count != 0) cli_table_row(card, STR("ResultEncoding"), pb_payload_metadata(result->payloads[0], STR("encoding")));
    }
    for (const struct pb_failure_Failure *f = failure; f != NULL; f = f->cause) cli_table_row(card, f == failure ? STR("Failure") : STR("Cause"), f->message);
    cli_title(cli, "Results");
    cli_table_print(card);
    if (failure != NULL && !str_is_empty(failure->stack_trace)) cli_put_text(cli, failure->stack_trace);
    return close->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED ? 0 : 1;
}

/* ---- commands ---- */

static int finish(struct cli *cli, struct json_out *w, int status)
{
    json_put_close(w, '}');
    cli_json_end(cli, w);
    return status == 0 ? 0 : cli_fail(cli, "workflow failed");
}

int run_workflow_execute(struct cli *cli)
{
    struct pb_ws_StartWorkflowExecutionRequest request;
    struct pb_ws_StartWorkflowExecutionResponse *response;
    struct json_out w;
    if (!workflow_start_request(cli, &request)) return 1;
    if (!CALL(cli, ws_StartWorkflowExecution, &request, &response)) return cli_fail_call(cli, "starting workflow");
    instant began = cli->now;
    struct str run_id = response->run_id;
    cli->f.workflow_id = request.workflow_id;
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    put_started(cli, &w, request.workflow_id, run_id, true);
    cli_say(cli, "%s", "");
    workflow_show_titles(cli, cli->f.detailed);
    const struct pb_history_HistoryEvent *close = workflow_follow(cli, &run_id, cli->format == FORMAT_TEXT, cli->f.detailed);
    if (close == NULL) return 1;
    duration took = instant_since(cli->now, began);
    struct str took_text = duration_words(cli->arena, took);
    json_put_key(&w, STR("durationMillis"));
    buf_printf(w.out, "%" PRId64, took.ns / NS_PER_MS);
    cli_say(cli, "%s", "");
    int status = workflow_put_outcome(cli, &w, close, &took_text);
    if (cli->f.detailed && cli_is_json(cli)) {
        struct pb_history_History history = {0};
        cli->f.run_id = run_id;
        if (!workflow_history(cli, &history.events, &history.events_count)) return 1;
        json_put_key(&w, STR("history"));
        if (pb_json_put(&pb_history_History_type, &history, 0, &w) != ERR_NONE) json_put_raw(&w, STR("null"));
    }
    return finish(cli, &w, status);
}

int run_workflow_result(struct cli *cli)
{
    struct str run_id = cli->f.run_id;
    struct json_out w;
    const struct pb_history_HistoryEvent *close;
    if (str_is_empty(run_id)) { /* the answer names the run */
        struct pb_ws_DescribeWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli)};
        struct pb_ws_DescribeWorkflowExecutionResponse *response;
        if (!CALL(cli, ws_DescribeWorkflowExecution, &request, &response)) return cli_fail_call(cli, "getting the close event");
        run_id = response->workflow_execution_info->execution->run_id;
    }
    if ((close = workflow_follow(cli, &run_id, false, false)) == NULL) return 1;
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    cli_json_field(&w, "workflowId", cli->f.workflow_id);
    cli_json_field(&w, "runId", run_id);
    cli_json_field(&w, "namespace", cli->f.namespace);
    return finish(cli, &w, workflow_put_outcome(cli, &w, close, NULL));
}

int run_workflow_show(struct cli *cli)
{
    struct pb_history_History history = {0};
    struct json_out w = {.out = arena_new(cli->arena, struct buf)};
    if (cli->f.follow && !cli_is_json(cli)) {
        struct str run_id = cli->f.run_id;
        workflow_show_titles(cli, cli->f.detailed);
        const struct pb_history_HistoryEvent *close = workflow_follow(cli, &run_id, true, cli->f.detailed);
        if (close == NULL) return 1;
        workflow_put_outcome(cli, &w, close, NULL);
        buf_fini(w.out);
        return 0;
    }
    struct str last_run = cli->f.run_id;
    if (cli->f.follow && workflow_follow(cli, &last_run, false, false) == NULL) return 1; /* one document, when there is no more to come */
    if (!workflow_history(cli, &history.events, &history.events_count)) return 1;
    cli->f.no_shorthand = cli->f.no_shorthand || cli_is_json(cli); /* as a document it is a history to replay, payloads as stored */
    cli_put_message(cli, &pb_history_History_type, &history);
    if (cli_is_json(cli)) return 0;
    workflow_show_titles(cli, cli->f.detailed);
    for (size_t i = 0; i < history.events_count; i++) workflow_show_event(cli, history.events[i], cli->f.detailed);
    const struct pb_history_HistoryEvent *last = history.events_count != 0 ? history.events[history.events_count - 1] : NULL;
    if (last != NULL && workflow_is_close(last)) {
        cli_say(cli, "%s", "");
        workflow_put_outcome(cli, &w, last, NULL);
    }
    buf_fini(w.out);
    return 0;
}
