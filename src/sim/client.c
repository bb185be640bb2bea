/* sim/client.c: clients start, signal, cancel, terminate and look at workflows, and try again, with the same request id,
 * when no answer comes. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRIES_MAX = 6 };
enum action { ACTION_START, ACTION_SIGNAL, ACTION_SIGNAL_WITH_START, ACTION_UPDATE, ACTION_RESET, ACTION_CANCEL, ACTION_SCHEDULE, ACTION_BATCH,
              ACTION_TERMINATE, ACTION_PAUSE, ACTION_UNPAUSE, ACTION_OPTIONS, ACTION_ACTIVITY, ACTION_DESCRIBE, ACTION_HISTORY, ACTION_QUERY, ACTION_DELETE,
              ACTION_SCHEDULE_PATCH, ACTION_SCHEDULE_DELETE, ACTION_BATCH_STOP, ACTION_NAMESPACE, ACTION_NAMESPACE_START, ACTION_NAMESPACE_DELETE };

struct client {
    struct sim *sim;
    struct list link;
    int number, tries, serial;
    uint64_t connection;
    struct alarm next;
    bool is_busy, is_tidy; /* is_tidy: its namespace is deleted, or was never made */
    /* under way */
    enum action action;
    char workflow_id[96], run_id[40], request_id[48], text[48], program[192];
    int32_t reuse_policy, conflict_policy;
    int64_t reset_event_id;
};

static void send_action(struct client *c);

static void client_done(struct remote *r, enum grpc_code code, const void *reply)
{
    struct client *c = r->owner;
    struct sim *sim = c->sim;
    (void)reply;
    bool is_lost = code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE_EXCEEDED;
    if (is_lost && c->tries < TRIES_MAX && c->action <= ACTION_TERMINATE) {
        alarm_set(sim, &c->next, sim_pause(sim, duration_ms(500)));
        return;
    }
    if (sim->is_calm && c->action == ACTION_NAMESPACE_DELETE) c->is_tidy = code == GRPC_OK || code == GRPC_NOT_FOUND;
    c->is_busy = false;
    alarm_set(sim, &c->next, sim_pause(sim, sim->is_calm ? duration_ms(400) : duration_ms(300)));
}

static void draw_action(struct client *c)
{
    struct sim *sim = c->sim;
    static const enum action actions[] = {
        ACTION_START, ACTION_START, ACTION_START, ACTION_SIGNAL, ACTION_SIGNAL, ACTION_SIGNAL, ACTION_SIGNAL_WITH_START, ACTION_DESCRIBE, ACTION_HISTORY,
        ACTION_QUERY, ACTION_QUERY, ACTION_UPDATE, ACTION_UPDATE,
    };
    static const enum action by_operators[] = {ACTION_PAUSE, ACTION_UNPAUSE, ACTION_UNPAUSE, ACTION_OPTIONS, ACTION_ACTIVITY, ACTION_ACTIVITY, ACTION_ACTIVITY};
    c->action = prng_chance(&sim->prng, 25) ? ACTION_CANCEL : prng_chance(&sim->prng, 25) ? ACTION_TERMINATE : prng_chance(&sim->prng, 60) ? ACTION_DELETE : prng_chance(&sim->prng, 25) ? ACTION_RESET
                                                                                             : actions[prng_below(&sim->prng, countof(actions))];
    static const enum action on_schedules[] = {ACTION_SCHEDULE, ACTION_SCHEDULE_PATCH, ACTION_SCHEDULE_PATCH, ACTION_SCHEDULE_DELETE};
    if (prng_chance(&sim->prng, 12)) c->action = by_operators[prng_below(&sim->prng, countof(by_operators))];
    if (prng_chance(&sim->prng, 12)) c->action = on_schedules[prng_below(&sim->prng, countof(on_schedules))];
    if (prng_chance(&sim->prng, 30)) c->action = prng_chance(&sim->prng, 4) ? ACTION_BATCH_STOP : ACTION_BATCH;
    static const enum action on_namespaces[] = {ACTION_NAMESPACE, ACTION_NAMESPACE_START, ACTION_NAMESPACE_START, ACTION_NAMESPACE_START, ACTION_NAMESPACE_DELETE};
    if (prng_chance(&sim->prng, 20)) c->action = on_namespaces[prng_below(&sim->prng, countof(on_namespaces))];
    snprintf(c->workflow_id, sizeof c->workflow_id, "w%d", (int)prng_below(&sim->prng, (uint64_t)sim->weather.workflow_count));
    c->run_id[0] = 0;
    c->serial++;
    if (c->action == ACTION_RESET && !checker_reset_point(sim, c->workflow_id, c->serial % 2 == 0, c->run_id, &c->reset_event_id)) c->action = ACTION_DESCRIBE;
    snprintf(c->request_id, sizeof c->request_id, "request-%d-%d", c->number, c->serial);
    snprintf(c->text, sizeof c->text, "signal-%d-%d", c->number, c->serial);
    program_draw(&sim->prng, false, c->program);
    static const int32_t reuse[] = {WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
                                    WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY, WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE};
    static const int32_t conflict[] = {WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED, WORKFLOW_ID_CONFLICT_POLICY_FAIL, WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
                                       WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING};
    c->reuse_policy = reuse[prng_below(&sim->prng, countof(reuse))];
    c->conflict_policy = prng_chance(&sim->prng, 3) ? conflict[prng_below(&sim->prng, countof(conflict))] : WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED;
}

/* In the calm: a signal for one of those that are still open, so that whoever waits for signals gets them. */
struct pick { struct client *client; uint64_t nth; };
static struct pick pick;

static void visit_open(struct sim *sim, struct str workflow_id, struct str run_id)
{
    (void)sim;
    if (pick.nth-- != 0) return;
    snprintf(pick.client->workflow_id, sizeof pick.client->workflow_id, "%.*s", STR_ARG(workflow_id));
    snprintf(pick.client->run_id, sizeof pick.client->run_id, "%.*s", STR_ARG(run_id));
}

static bool draw_help(struct client *c)
{
    size_t count = checker_open_count(c->sim);
    if (count == 0) return false;
    draw_action(c);
    c->action = ACTION_SIGNAL;
    pick = (struct pick){c, prng_below(&c->sim->prng, count)};
    checker_each_open(c->sim, visit_open);
    if (checker_is_endless(c->sim, c->run_id)) c->action = ACTION_TERMINATE;
    /* Somebody may have left it, or its activities, paused. */
    if (c->action == ACTION_SIGNAL && prng_chance(&c->sim->prng, 2)) c->action = c->serial % 2 == 0 ? ACTION_UNPAUSE : ACTION_ACTIVITY;
    return true;
}

static void ring_next(struct sim *sim, struct alarm *alarm)
{
    struct client *c = container_of(alarm, struct client, next);
    if (!c->is_busy) {
        c->tries = 0;
        if (sim->is_calm && !c->is_tidy) {
            c->action = ACTION_NAMESPACE_DELETE;
        } else if (sim->is_calm) {
            bool is_time = instant_since(sim->now, sim->calm_at).ns > 150 * NS_PER_S; /* first see what closes without help */
            if (!is_time || !draw_help(c)) {
                alarm_set(sim, alarm, duration_s(1));
                return;
            }
        } else {
            draw_action(c);
        }
        c->is_busy = true;
    }
    c->tries++;
    send_action(c);
}

static void call(struct client *c, int method, const void *request)
{
    remote_call(c->sim, method, request, duration_s(c->action == ACTION_HISTORY || c->action == ACTION_UPDATE ? 30 : 5), c->connection, c, client_done);
}

static void send_start(struct client *c)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_common_WorkflowType type = {.name = STR("program")};
    pb_taskqueue_TaskQueue queue = {.name = STR("queue"), .kind = TASK_QUEUE_KIND_NORMAL};
    pb_google_Duration task_timeout = {.seconds = 5}, run_timeout = {.seconds = 300};
    pb_common_Payloads *input = pb_payloads_of(&arena, pb_payload_new(&arena, STR("binary/plain"), str_of(c->program)));
    bool has_timeout = c->serial % 3 == 0, has_cron = c->serial % 19 == 5;
    pb_google_Duration delay = {.seconds = c->serial % 7 == 3 && !has_cron ? 1 + c->serial % 20 : 0};
    pb_common_RetryPolicy retry = {.maximum_attempts = 1 + c->serial % 3};
    if (c->action == ACTION_START) {
        pb_ws_StartWorkflowExecutionRequest request = {
            .namespace = STR("default"), .workflow_id = str_of(c->workflow_id), .workflow_type = &type, .task_queue = &queue, .input = input,
            .workflow_task_timeout = &task_timeout, .workflow_run_timeout = has_timeout ? &run_timeout : NULL, .request_id = str_of(c->request_id),
            
            .workflow_id_reuse_policy = c->reuse_policy, .workflow_id_conflict_policy = c->conflict_policy, .identity = STR("client"),
            .cron_schedule = has_cron ? STR("CRON_TZ=Europe/Berlin * * * * *") : STR_EMPTY, .workflow_start_delay = &delay,
            .retry_policy = c->serial % 5 == 2 ? &retry : NULL};
        if (c->serial % 4 == 1) {
            pb_common_Callback *callback = PB_PUSH_NEW(&arena, &request, completion_callbacks);
            callback->variant_case = pb_common_Callback_nexus_tag;
            callback->nexus = pb_new(&arena, pb_common_Callback_Nexus);
            callback->nexus->url = arena_printf(&arena, "http://receiver-%d/%s", c->serial % 3, c->request_id);
        }
        call(c, pb_ws_StartWorkflowExecution_method, &request);
    } else {
        pb_ws_SignalWithStartWorkflowExecutionRequest request = {
            .namespace = STR("default"), .workflow_id = str_of(c->workflow_id), .workflow_type = &type, .task_queue = &queue, .input = input,
            .workflow_task_timeout = &task_timeout, .request_id = str_of(c->request_id), .signal_name = STR("signal"),
            .signal_input = pb_payloads_of(&arena, pb_payload_new(&arena, STR("binary/plain"), str_of(c->text))),
            .workflow_id_reuse_policy = WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, .identity = STR("client")};
        call(c, pb_ws_SignalWithStartWorkflowExecution_method, &request);
    }
    arena_fini(&arena);
}

/* A few actions each, so that the calm comes to an end. Its workflows are of one id and the time; clients help them as they do others. */
static void send_schedule(struct client *c)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct str id = arena_printf(&arena, "schedule-%s", c->workflow_id);
    pb_common_WorkflowType type = {.name = STR("program")};
    pb_taskqueue_TaskQueue queue = {.name = STR("queue"), .kind = TASK_QUEUE_KIND_NORMAL};
    pb_google_Duration task_timeout = {.seconds = 5}, interval = {.seconds = 1 + c->serial % 5}, jitter = {.seconds = c->serial % 3};
    pb_workflow_NewWorkflowExecutionInfo info = {
        .workflow_id = id, .workflow_type = &type, .task_queue = &queue, .workflow_task_timeout = &task_timeout,
        .input = pb_payloads_of(&arena, pb_payload_new(&arena, STR("binary/plain"), str_of(c->program)))};
    pb_schedule_ScheduleSpec spec = {.jitter = &jitter};
    PB_PUSH_NEW(&arena, &spec, interval)->interval = &interval;
    pb_schedule_ScheduleAction action = {.action_case = pb_schedule_ScheduleAction_start_workflow_tag, .start_workflow = &info};
    pb_schedule_SchedulePolicies policies = {.overlap_policy = c->serial % 7, .pause_on_failure = c->serial % 11 == 0};
    pb_schedule_ScheduleState state = {.limited_actions = true, .remaining_actions = 1 + c->serial % 4};
    pb_schedule_Schedule schedule = {.spec = &spec, .action = &action, .policies = &policies, .state = &state};
    pb_schedule_TriggerImmediatelyRequest trigger = {.overlap_policy = c->serial % 7};
    pb_schedule_SchedulePatch patch = {.trigger_immediately = c->serial % 2 == 0 ? &trigger : NULL, .pause = c->serial % 5 == 1 ? STR("drawn") : STR_EMPTY,
                                       .unpause = c->serial % 5 == 3 ? STR("drawn") : STR_EMPTY};
    if (c->action == ACTION_SCHEDULE) {
        pb_ws_CreateScheduleRequest request = {.namespace = STR("default"), .schedule_id = id, .schedule = &schedule, .request_id = str_of(c->request_id)};
        call(c, pb_ws_CreateSchedule_method, &request);
    } else if (c->action == ACTION_SCHEDULE_PATCH) {
        pb_ws_PatchScheduleRequest request = {.namespace = STR("default"), .schedule_id = id, .patch = &patch, .request_id = str_of(c->request_id)};
        call(c, pb_ws_PatchSchedule_method, &request);
    } else {
        pb_ws_DeleteScheduleRequest request = {.namespace = STR("default"), .schedule_id = id};
        call(c, pb_ws_DeleteSchedule_method, &request);
    }
    arena_fini(&arena);
}

/* Signals go to all, and none may come twice; what ends workflows goes to one. */
static void send_batch(struct client *c)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_batch_BatchOperationSignal signal = {.signal = STR("signal"), .input = pb_payloads_of(&arena, pb_payload_new(&arena, STR("binary/plain"), str_of(c->text)))};
    pb_batch_BatchOperationTermination terminate = {.identity = STR("client")};
    pb_batch_BatchOperationCancellation cancel = {.identity = STR("client")};
    pb_batch_BatchOperationReset reset = {.reset_type = c->serial % 2 == 0 ? RESET_TYPE_FIRST_WORKFLOW_TASK : RESET_TYPE_LAST_WORKFLOW_TASK};
    pb_ws_StartBatchOperationRequest request = {.namespace = STR("default"), .job_id = str_of(c->request_id), .reason = STR("drawn"),
                                                .max_operations_per_second = c->serial % 5 == 0 ? 3 : 0};
    switch (c->serial % 8) {
    case 0:
        request.operation_case = pb_ws_StartBatchOperationRequest_termination_operation_tag;
        request.termination_operation = &terminate;
        break;
    case 1:
        request.operation_case = pb_ws_StartBatchOperationRequest_cancellation_operation_tag;
        request.cancellation_operation = &cancel;
        break;
    case 2:
        request.operation_case = pb_ws_StartBatchOperationRequest_reset_operation_tag;
        request.reset_operation = &reset;
        break;
    default:
        request.operation_case = pb_ws_StartBatchOperationRequest_signal_operation_tag;
        request.signal_operation = &signal;
        request.visibility_query = STR("WorkflowType = 'program'");
    }
    if (str_is_empty(request.visibility_query)) PB_PUSH_NEW(&arena, &request, executions)->workflow_id = str_of(c->workflow_id);
    call(c, pb_ws_StartBatchOperation_method, &request);
    arena_fini(&arena);
}

/* What operators do to activities; in the calm they let go of all. */
static void send_activity(struct client *c, pb_common_WorkflowExecution *execution)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    int what = c->sim->is_calm ? 1 : c->serial % 4;
    checker_operated(c->sim, c->workflow_id);
    if (what == 0) {
        pb_ws_PauseActivityRequest request = {.namespace = STR("default"), .execution = execution, .identity = STR("client"), .reason = STR("drawn"),
                                              .activity_case = pb_ws_PauseActivityRequest_type_tag, .type = STR("work")};
        call(c, pb_ws_PauseActivity_method, &request);
    } else if (what == 1) {
        pb_ws_UnpauseActivityRequest request = {.namespace = STR("default"), .execution = execution, .identity = STR("client"),
                                                .activity_case = pb_ws_UnpauseActivityRequest_type_tag, .type = STR("work"),
                                                .reset_attempts = c->serial % 3 == 0 && !c->sim->is_calm};
        call(c, pb_ws_UnpauseActivity_method, &request);
    } else if (what == 2) {
        pb_ws_ResetActivityRequest request = {.namespace = STR("default"), .execution = execution, .identity = STR("client"),
                                              .activity_case = pb_ws_ResetActivityRequest_type_tag, .type = STR("work"), .keep_paused = c->serial % 3 == 0};
        call(c, pb_ws_ResetActivity_method, &request);
    } else {
        pb_google_Duration timeout = {.seconds = 3 + c->serial % 4};
        pb_activity_ActivityOptions options = {.start_to_close_timeout = &timeout};
        pb_google_FieldMask mask = {0};
        PB_PUSH(&arena, &mask, paths) = STR("start_to_close_timeout");
        pb_ws_UpdateActivityOptionsRequest request = {.namespace = STR("default"), .execution = execution, .identity = STR("client"), .activity_options = &options,
                                                      .update_mask = &mask, .activity_case = pb_ws_UpdateActivityOptionsRequest_type_tag, .type = STR("work")};
        call(c, pb_ws_UpdateActivityOptions_method, &request);
    }
    arena_fini(&arena);
}

/* A namespace of the client's own, in which nobody works: what is begun there ends with it. */
static void send_namespace(struct client *c)
{
    char name[24];
    snprintf(name, sizeof name, "of-client-%d", c->number);
    pb_google_Duration retention = {.seconds = 7200};
    pb_common_WorkflowType type = {.name = STR("program")};
    pb_taskqueue_TaskQueue queue = {.name = STR("queue"), .kind = TASK_QUEUE_KIND_NORMAL};
    if (c->action == ACTION_NAMESPACE) {
        pb_ws_RegisterNamespaceRequest request = {.namespace = str_of(name), .workflow_execution_retention_period = &retention};
        call(c, pb_ws_RegisterNamespace_method, &request);
    } else if (c->action == ACTION_NAMESPACE_START) {
        char id[64]; /* the checkers know workflows by id alone */
        snprintf(id, sizeof id, "%s-%.30s", name, c->workflow_id);
        pb_ws_StartWorkflowExecutionRequest request = {.namespace = str_of(name), .workflow_id = str_of(id), .workflow_type = &type, .task_queue = &queue,
                                                       .request_id = str_of(c->request_id)};
        call(c, pb_ws_StartWorkflowExecution_method, &request);
    } else {
        pb_os_DeleteNamespaceRequest request = {.namespace = str_of(name)};
        call(c, pb_os_DeleteNamespace_method, &request);
    }
}

static void send_action(struct client *c)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_common_WorkflowExecution execution = {.workflow_id = str_of(c->workflow_id), .run_id = str_of(c->run_id)};
    switch (c->action) {
    case ACTION_START:
    case ACTION_SIGNAL_WITH_START: send_start(c); break;
    case ACTION_SCHEDULE:
    case ACTION_SCHEDULE_PATCH:
    case ACTION_SCHEDULE_DELETE: send_schedule(c); break;
    case ACTION_BATCH: send_batch(c); break;
    case ACTION_NAMESPACE:
    case ACTION_NAMESPACE_START:
    case ACTION_NAMESPACE_DELETE: send_namespace(c); break;
    case ACTION_BATCH_STOP: {
        struct str job_id = arena_printf(&arena, "request-%d-%d", c->number, c->serial - 1);
        pb_ws_StopBatchOperationRequest request = {.namespace = STR("default"), .job_id = job_id, .reason = STR("drawn")};
        call(c, pb_ws_StopBatchOperation_method, &request);
        break;
    }
    case ACTION_SIGNAL: {
        pb_ws_SignalWorkflowExecutionRequest request = {
            .namespace = STR("default"), .workflow_execution = &execution, .signal_name = STR("signal"), .request_id = str_of(c->request_id),
            .input = pb_payloads_of(&arena, pb_payload_new(&arena, STR("binary/plain"), str_of(c->text))), .identity = STR("client")};
        call(c, pb_ws_SignalWorkflowExecution_method, &request);
        break;
    }
    case ACTION_RESET: {
        pb_ws_ResetWorkflowExecutionRequest request = {.namespace = STR("default"), .workflow_execution = &execution, .reason = STR("drawn"),
                                                       .workflow_task_finish_event_id = c->reset_event_id, .request_id = str_of(c->request_id)};
        call(c, pb_ws_ResetWorkflowExecution_method, &request);
        break;
    }
    case ACTION_CANCEL: {
        pb_ws_RequestCancelWorkflowExecutionRequest request = {.namespace = STR("default"), .workflow_execution = &execution,
                                                               .request_id = str_of(c->request_id), .identity = STR("client")};
        call(c, pb_ws_RequestCancelWorkflowExecution_method, &request);
        break;
    }
    case ACTION_TERMINATE: {
        pb_ws_TerminateWorkflowExecutionRequest request = {.namespace = STR("default"), .workflow_execution = &execution, .reason = STR("drawn"),
                                                           .identity = STR("client")};
        call(c, pb_ws_TerminateWorkflowExecution_method, &request);
        break;
    }
    case ACTION_PAUSE: {
        pb_ws_PauseWorkflowExecutionRequest request = {.namespace = STR("default"), .workflow_id = execution.workflow_id, .reason = STR("drawn"),
                                                       .identity = STR("client"), .request_id = str_of(c->request_id)};
        call(c, pb_ws_PauseWorkflowExecution_method, &request);
        break;
    }
    case ACTION_UNPAUSE: {
        pb_ws_UnpauseWorkflowExecutionRequest request = {.namespace = STR("default"), .workflow_id = execution.workflow_id, .run_id = execution.run_id,
                                                         .reason = STR("drawn"), .identity = STR("client"), .request_id = str_of(c->request_id)};
        call(c, pb_ws_UnpauseWorkflowExecution_method, &request);
        break;
    }
    case ACTION_OPTIONS: {
        pb_common_Priority priority = {.priority_key = 1 + c->serial % 5};
        pb_workflow_WorkflowExecutionOptions options = {.priority = &priority};
        pb_google_FieldMask mask = {0};
        PB_PUSH(&arena, &mask, paths) = STR("priority");
        pb_ws_UpdateWorkflowExecutionOptionsRequest request = {.namespace = STR("default"), .workflow_execution = &execution,
                                                               .workflow_execution_options = &options, .update_mask = &mask};
        call(c, pb_ws_UpdateWorkflowExecutionOptions_method, &request);
        break;
    }
    case ACTION_ACTIVITY: send_activity(c, &execution); break;
    case ACTION_DESCRIBE: {
        pb_ws_DescribeWorkflowExecutionRequest request = {.namespace = STR("default"), .execution = &execution};
        call(c, pb_ws_DescribeWorkflowExecution_method, &request);
        break;
    }
    case ACTION_DELETE: {
        pb_ws_DeleteWorkflowExecutionRequest request = {.namespace = STR("default"), .workflow_execution = &execution};
        call(c, pb_ws_DeleteWorkflowExecution_method, &request);
        break;
    }
    case ACTION_QUERY: {
        pb_query_WorkflowQuery query = {.query_type = STR("state")};
        pb_ws_QueryWorkflowRequest request = {.namespace = STR("default"), .execution = &execution, .query = &query};
        call(c, pb_ws_QueryWorkflow_method, &request);
        break;
    }
    case ACTION_UPDATE: {
        pb_update_Meta meta = {.update_id = str_of(c->text), .identity = STR("client")};
        pb_update_Input input = {.name = STR("update")};
        pb_update_Request update = {.meta = &meta, .input = &input};
        pb_update_WaitPolicy wait = {.lifecycle_stage = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED};
        pb_ws_UpdateWorkflowExecutionRequest request = {.namespace = STR("default"), .workflow_execution = &execution, .wait_policy = &wait, .request = &update};
        call(c, pb_ws_UpdateWorkflowExecution_method, &request);
        break;
    }
    case ACTION_HISTORY: {
        pb_ws_GetWorkflowExecutionHistoryRequest request = {.namespace = STR("default"), .execution = &execution, .wait_new_event = c->serial % 2 == 0,
                                                            .history_event_filter_type = c->serial % 4 == 0 ? HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
                                                                                                            : HISTORY_EVENT_FILTER_TYPE_ALL_EVENT};
        call(c, pb_ws_GetWorkflowExecutionHistory_method, &request);
        break;
    }
    }
    arena_fini(&arena);
}

void client_create(struct sim *sim, int number)
{
    struct client *c = xcalloc(1, sizeof *c);
    c->sim = sim;
    c->number = number;
    c->connection = ++sim->next_connection;
    c->next.ring = ring_next;
    list_push(&sim->clients, &c->link);
    alarm_set(sim, &c->next, sim_pause(sim, duration_ms(200)));
}

void clients_destroy(struct sim *sim)
{
    struct list *link;
    while ((link = list_pop(&sim->clients)) != NULL) {
        struct client *c = container_of(link, struct client, link);
        remote_cancel_all(sim, c);
        alarm_clear(sim, &c->next);
        free(c);
    }
}
