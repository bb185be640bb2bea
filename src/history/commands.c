/* history/commands.c: a worker completes a workflow task. Everything in the request is checked before anything changes, so
 * that a bad completion leaves no trace but the failure of its task. Source: F021, F022, F025, F026, F030-F047. */
#include "history/machines.h"

#include <stdarg.h>
#include <stdio.h>

struct command_type {
    int32_t type, attributes;
    int32_t cause; /* of bad attributes */
    bool (*check)(struct completion *c, const pb_command_Command *command);
    void (*apply)(struct completion *c, const pb_command_Command *command);
    bool is_closing;
};
#define ROW(type, field, cause, check, apply, is_closing)                                                                    \
    {COMMAND_TYPE_##type, pb_command_Command_##field##_command_attributes_tag, WORKFLOW_TASK_FAILED_CAUSE_BAD_##cause, check, \
     apply, is_closing}
static const struct command_type command_types[] = {
    ROW(SCHEDULE_ACTIVITY_TASK, schedule_activity_task,
        SCHEDULE_ACTIVITY_ATTRIBUTES, activity_check, activity_schedule, false),
    ROW(REQUEST_CANCEL_ACTIVITY_TASK, request_cancel_activity_task,
        REQUEST_CANCEL_ACTIVITY_ATTRIBUTES, activity_check_cancel, activity_request_cancel, false),
    ROW(START_TIMER, start_timer,
        START_TIMER_ATTRIBUTES, timer_check_start, timer_start, false),
    ROW(CANCEL_TIMER, cancel_timer,
        CANCEL_TIMER_ATTRIBUTES, timer_check_cancel, timer_cancel, false),
    ROW(COMPLETE_WORKFLOW_EXECUTION, complete_workflow_execution,
        COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES, close_check_complete, close_complete, true),
    ROW(FAIL_WORKFLOW_EXECUTION, fail_workflow_execution,
        FAIL_WORKFLOW_EXECUTION_ATTRIBUTES, close_check_fail, close_fail, true),
    ROW(CANCEL_WORKFLOW_EXECUTION, cancel_workflow_execution,
        CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES, close_check_cancel, close_cancel, true),
    ROW(CONTINUE_AS_NEW_WORKFLOW_EXECUTION, continue_as_new_workflow_execution,
        CONTINUE_AS_NEW_ATTRIBUTES, close_check_continue, close_continue, true),
    ROW(RECORD_MARKER, record_marker,
        RECORD_MARKER_ATTRIBUTES, marker_check, marker_record, false),
    ROW(UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, upsert_workflow_search_attributes,
        SEARCH_ATTRIBUTES, attributes_check_upsert, attributes_upsert, false),
    ROW(MODIFY_WORKFLOW_PROPERTIES, modify_workflow_properties,
        MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES, attributes_check_memo, attributes_modify_memo, false),
    ROW(REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION, request_cancel_external_workflow_execution,
        REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES, external_check_cancel, external_cancel, false),
    ROW(SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, signal_external_workflow_execution,
        SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES, external_check_signal, external_signal, false),
    ROW(START_CHILD_WORKFLOW_EXECUTION, start_child_workflow_execution,
        START_CHILD_EXECUTION_ATTRIBUTES, child_check, child_initiate, false),
    ROW(PROTOCOL_MESSAGE, protocol_message,
        UPDATE_WORKFLOW_EXECUTION_MESSAGE, update_check_message, update_apply_message, false),
    ROW(SCHEDULE_NEXUS_OPERATION, schedule_nexus_operation,
        SCHEDULE_NEXUS_OPERATION_ATTRIBUTES, nexus_check, NULL, false),
    ROW(REQUEST_CANCEL_NEXUS_OPERATION, request_cancel_nexus_operation,
        REQUEST_CANCEL_NEXUS_OPERATION_ATTRIBUTES, nexus_check, NULL, false),
};
#undef ROW

static const struct command_type *type_of(const pb_command_Command *command)
{
    for (size_t i = 0; i < countof(command_types); i++)
        if (command_types[i].type == command->command_type) return &command_types[i];
    return NULL;
}

bool completion_refuse(struct completion *c, int32_t cause, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->cause = cause;
    c->why = arena_str(c->step->arena, str_of(text));
    return false;
}

bool completion_refuse_namespace(struct completion *c, struct str name)
{
    c->code = ERR_NAMESPACE_NOT_FOUND;
    c->is_malformed = true;
    c->namespace = name;
    return completion_refuse(c, 0, "there is no namespace %.*s", STR_ARG(name));
}

bool completion_refuse_size(struct completion *c, int32_t cause, const char *what, size_t size, int64_t most)
{
    if (size <= (size_t)most) return true;
    c->is_fatal = true;
    return completion_refuse(c, cause, "%s takes %zu bytes, more than the %" PRId64 " allowed", what, size, most);
}

enum id_met completion_met_id(const struct map *met, struct str id)
{
    void *mark = map_get(met, id);
    return mark != NULL ? (enum id_met)(uintptr_t)mark : ID_NOT_MET;
}

bool completion_has_id(const struct completion *c, enum item_kind kind, const struct map *met, struct str id)
{
    enum id_met mark = completion_met_id(met, id);
    return mark == ID_BEGUN || (mark == ID_NOT_MET && item_by_name(c->e, kind, id) != NULL);
}

void completion_note_id(struct completion *c, struct map *met, struct str id, bool is_begun)
{
    if (c->request->commands_count > 1) map_put(met, id, (void *)(uintptr_t)(is_begun ? ID_BEGUN : ID_ENDED));
}

static bool check_sequence(struct completion *c)
{
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    c->is_malformed = true;
    for (size_t i = 0; i < r->commands_count; i++) {
        const struct command_type *type = type_of(r->commands[i]);
        if (type == NULL) return completion_refuse(c, 0, "command %zu is of a type that is not known: %d", i, r->commands[i]->command_type);
        if (c->closes) return completion_refuse(c, 0, "command %zu comes after one that closes the workflow", i);
        if (type->is_closing) c->closes = true;
    }
    c->is_malformed = false;
    return true;
}

bool commands_check(struct completion *c)
{
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    if (!check_sequence(c) || !update_decode_messages(c)) return false;
    c->buffered_left = item_count(c->e, ITEM_BUFFERED);
    c->next_id = c->e->s->next_event_id + 1 + (c->e->s->task->kind != WORKFLOW_TASK_KIND_NORMAL ? 2 : 0);
    for (size_t i = 0; i < r->commands_count; i++) {
        const struct command_type *type = type_of(r->commands[i]);
        if (r->commands[i]->attributes_case != type->attributes)
            return completion_refuse(c, type->cause, "command %zu has attributes that are not those of its type", i);
        if (!type->check(c, r->commands[i])) return false;
        if (type->type != COMMAND_TYPE_PROTOCOL_MESSAGE || update_message_writes(c, r->commands[i])) c->next_id++;
    }
    return update_check_messages(c) && (!c->closes || c->buffered_left == 0 ||
           completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND, "new events came while the workflow decided to close"));
}

void commands_apply(struct completion *c)
{
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    for (size_t i = 0; i < r->commands_count; i++) {
        const struct command_type *type = type_of(r->commands[i]);
        if (type->is_closing) { /* answers, and what other commands brought about, go before the end */
            update_apply_messages(c);
            event_flush_buffer(c->e, c->step);
        }
        type->apply(c, r->commands[i]);
        if (type->is_closing) return;
    }
    update_apply_messages(c);
}

/* ---- the completion ---- */

static void completion_fini(struct completion *c)
{
    map_fini(&c->timers);
    map_fini(&c->activities);
    map_fini(&c->scheduled);
    map_fini(&c->cancels);
    map_fini(&c->children);
}

/* A completion without news may keep a task alive, for a long local activity, but not for ever. (F026) */
static bool is_heartbeat(const struct completion *c)
{
    return c->request->force_create_new_workflow_task && c->request->commands_count == 0 && c->request->messages_count == 0;
}

/* What the completion would write does not fit into the history any more. A run that waits at its limit takes this one still. */
static bool is_beyond_limit(const struct completion *c)
{
    const struct limits *limits = c->step->limits;
    const pb_store_RunState *s = c->e->s;
    if (limits->history_limit_holds != 0) return false;
    int64_t events = s->next_event_id - 1 + 1 + (int64_t)c->request->commands_count + (int64_t)item_count(c->e, ITEM_BUFFERED) + c->request->force_create_new_workflow_task;
    return (limits->history_count_max > 0 && events > limits->history_count_max) ||
           (limits->history_size_max > 0 && s->history_size + (int64_t)PB_SIZE(pb_ws_RespondWorkflowTaskCompletedRequest, c->request) > limits->history_size_max);
}

static err end_at_limit(struct completion *c)
{
    struct str reason = arena_printf(c->step->arena, "the history has %" PRId64 " events and would have more than is allowed", c->e->s->next_event_id - 1);
    workflow_task_fail_started(c->e, c->step, WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, NULL, STR("history-service"), STR_EMPTY);
    event_flush_buffer(c->e, c->step);
    close_terminate(c->e, c->step, reason, NULL, STR("history-service"), NULL, 0);
    return FAIL(c->step, ERR_INVALID, "%.*s", STR_ARG(reason));
}

static err out_of_budget(struct completion *c)
{
    struct execution *e = c->e;
    workflow_task_timed_out(e, c->step);
    execution_settle(e, c->step);
    return fail_not_found(c->step, ERR_TASK_GONE, "the workflow task was kept alive for too long without progress");
}

/* The completion is bad: its first attempt is recorded as failed, later ones are just refused. (F022, F023) */
static err refuse_request(struct completion *c)
{
    err code = FAIL(c->step, c->code != ERR_NONE ? c->code : ERR_INVALID, "%.*s", STR_ARG(c->why));
    if (c->code == ERR_NAMESPACE_NOT_FOUND && c->step->error != NULL) {
        pb_errordetails_NamespaceNotFoundFailure *detail = pb_new(c->step->arena, pb_errordetails_NamespaceNotFoundFailure);
        detail->namespace = c->namespace;
        c->step->error->detail_type = &pb_errordetails_NamespaceNotFoundFailure_type;
        c->step->error->detail = detail;
    }
    return code;
}

static err refuse(struct completion *c, bool *fail_step)
{
    struct execution *e = c->e;
    struct step *step = c->step;
    bool is_unhandled = c->cause == WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND;
    if (c->is_malformed || (e->s->task->attempt > 1 && !is_unhandled && !c->is_fatal)) return refuse_request(c);
    *fail_step = true;
    if (is_unhandled) e->s->is_close_retried = true;
    pb_failure_Failure *failure = server_failure(step->arena, c->why, false);
    failure->source = STR_EMPTY;
    workflow_task_fail_started(e, step, c->cause, failure, c->request->identity, c->request->binary_checksum);
    if (c->is_fatal) {
        event_flush_buffer(e, step);
        close_terminate(e, step, c->why, NULL, STR("history-service"), NULL, 0);
    }
    workflow_task_want(e, step);
    execution_settle(e, step);
    return FAIL(step, ERR_INVALID, "%.*s", STR_ARG(c->why));
}

static void add_completed_event(struct completion *c)
{
    const pb_store_WorkflowTask *t = c->e->s->task;
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_TASK_COMPLETED);
    pb_history_WorkflowTaskCompletedEventAttributes *a = EVENT_SET(c->step, ev, workflow_task_completed_event_attributes);
    a->scheduled_event_id = t->scheduled_event_id;
    a->started_event_id = t->started_event_id;
    a->identity = r->identity;
    a->binary_checksum = r->binary_checksum;
    a->worker_version = r->worker_version_stamp;
    a->sdk_metadata = r->sdk_metadata;
    a->metering_metadata = r->metering_metadata;
    a->deployment = r->deployment;
    a->versioning_behavior = r->versioning_behavior;
    if (r->deployment_options != NULL) a->worker_deployment_name = r->deployment_options->deployment_name;
    if (r->versioning_behavior != VERSIONING_BEHAVIOR_UNSPECIFIED && r->deployment_options != NULL) {
        a->deployment_version = pb_new(c->step->arena, pb_deployment_WorkerDeploymentVersion);
        a->deployment_version->deployment_name = r->deployment_options->deployment_name;
        a->deployment_version->build_id = r->deployment_options->build_id;
    }
    c->completed_event_id = event_add(c->e, c->step, ev);
    if (versions_completed(c->e, c->step, a, c->completed_event_id)) visibility_soon(c->e, c->step->now);
}

static void note_worker(struct completion *c)
{
    struct execution *e = c->e;
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    const pb_taskqueue_StickyExecutionAttributes *sticky = r->sticky_attributes;
    if (sticky == NULL || sticky->worker_task_queue == NULL) {
        workflow_task_drop_sticky(e);
    } else {
        if (!str_equal(e->s->sticky_queue, sticky->worker_task_queue->name)) e->s->sticky_queue = core_str(e, sticky->worker_task_queue->name);
        e->s->sticky_timeout_ns = ns_of(sticky->schedule_to_start_timeout);
    }
    if (r->sdk_metadata != NULL && r->sdk_metadata->sdk_name.size != 0) {
        if (!str_equal(e->s->sdk_name, r->sdk_metadata->sdk_name)) e->s->sdk_name = core_str(e, r->sdk_metadata->sdk_name);
        if (!str_equal(e->s->sdk_version, r->sdk_metadata->sdk_version)) e->s->sdk_version = core_str(e, r->sdk_metadata->sdk_version);
    }
}

static void end_task(struct completion *c)
{
    struct execution *e = c->e;
    workflow_task_write_held(e, c->step);
    add_completed_event(c);
    e->s->previous_started_event_id = e->s->task->started_event_id;
    e->s->last_completed_task_event_id = c->completed_event_id;
    workflow_task_clear(e);
    e->s->task->attempt = 1;
    e->s->task->attempts_in_a_row = 0;
    e->s->task->last_failed_cause = 0;
    e->s->is_close_retried = false;
    attributes_hide_problem(e, c->step);
    note_worker(c);
}

/* The next task goes straight back to the worker that asks for it. (F025) */
static void hand_out_next(struct completion *c, struct task_history *next_history)
{
    struct execution *e = c->e;
    if (!c->request->return_new_workflow_task || !task_is(e, WORKFLOW_TASK_STATE_SCHEDULED)) return;
    step_take_back_task(c->step, TASK_WORKFLOW, e->s->run_key, e->s->task->stamp);
    workflow_task_take(e, c->step, c->request->identity, uuid_new(c->step), c->request->worker_version_stamp);
    workflow_task_reply(e, c->step, true, &c->reply->workflow_task, next_history);
    update_attach(e, c->step, c->reply->workflow_task);
}

static void complete(struct completion *c, struct task_history *next_history)
{
    struct execution *e = c->e;
    instant original = {e->s->task->original_scheduled_at};
    execution_changed(e, c->step);
    end_task(c);
    commands_apply(c);
    bool has_news = event_flush_buffer(e, c->step) || c->wants_task;
    step_notice(c->step, NOTICE_WORKFLOW_TASK_CLOSED, e, STR_EMPTY);
    update_task_completed(e, c->step);
    if (has_news || c->request->force_create_new_workflow_task) workflow_task_schedule(e, c->step, has_news ? (instant){0} : original);
    execution_settle(e, c->step);
    hand_out_next(c, next_history);
}

err execution_workflow_task_complete(struct execution *e, struct step *step, const pb_ws_RespondWorkflowTaskCompletedRequest *request,
                                     const pb_store_TaskToken *token, pb_ws_RespondWorkflowTaskCompletedResponse **reply,
                                     struct task_history *next_history, bool *fail_step)
{
    *fail_step = false;
    *next_history = (struct task_history){.is_empty = true};
    bool was_full = e->s->is_full;
    TRY(workflow_task_check(e, step, token));
    *fail_step = was_full; /* it goes on now, whatever becomes of this completion */
    if (request->intermediate_page || request->page_number > 1) return FAIL(step, ERR_PRECONDITION, "a completion must come in one request");
    struct completion c = {.e = e, .step = step, .request = request, .reply = pb_new(step->arena, pb_ws_RespondWorkflowTaskCompletedResponse)};
    err result = ERR_NONE;
    duration kept = instant_since(step->now, (instant){e->s->task->original_scheduled_at});
    if (is_heartbeat(&c) && kept.ns > step->limits->workflow_task_heartbeat_ms * NS_PER_MS) {
        *fail_step = true;
        result = out_of_budget(&c);
    } else if (is_beyond_limit(&c)) {
        *fail_step = true;
        result = end_at_limit(&c);
    } else if (!commands_check(&c)) {
        result = refuse(&c, fail_step);
    } else if (update_may_discard(&c)) {
        update_discard(&c);
    } else {
        complete(&c, next_history);
    }
    if (result == ERR_NONE) *fail_step = false;
    if (c.reply->workflow_task != NULL) next_history->is_empty = false;
    completion_fini(&c);
    *reply = c.reply;
    return result;
}
