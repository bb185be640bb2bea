#include "frontend/batch_operation.h"

#include "base/log.h"
#include "frontend/inner.h"

#include <stdio.h>

enum { EVENTS_PAGE = 200 };

/* ---- what an operation is ---- */

/* One row an operation: its member of the request's union, its type, the RPC that does it to one execution. */
#define OPERATIONS(X)                                                                                                   \
    X(termination_operation, BATCH_OPERATION_TYPE_TERMINATE, TerminateWorkflowExecution, true)                          \
    X(signal_operation, BATCH_OPERATION_TYPE_SIGNAL, SignalWorkflowExecution, true)                                     \
    X(cancellation_operation, BATCH_OPERATION_TYPE_CANCEL, RequestCancelWorkflowExecution, true)                        \
    X(deletion_operation, BATCH_OPERATION_TYPE_DELETE, DeleteWorkflowExecution, false)                                  \
    X(reset_operation, BATCH_OPERATION_TYPE_RESET, ResetWorkflowExecution, false)                                       \
    X(update_workflow_options_operation, BATCH_OPERATION_TYPE_UPDATE_EXECUTION_OPTIONS, UpdateWorkflowExecutionOptions, true) \
    X(unpause_activities_operation, BATCH_OPERATION_TYPE_UNPAUSE_ACTIVITY, UnpauseActivity, true)                       \
    X(reset_activities_operation, BATCH_OPERATION_TYPE_RESET_ACTIVITY, ResetActivity, true)                             \
    X(update_activity_options_operation, BATCH_OPERATION_TYPE_UPDATE_ACTIVITY_OPTIONS, UpdateActivityOptions, true)     \
    X(cancel_activities_operation, BATCH_OPERATION_TYPE_CANCEL_ACTIVITY, RequestCancelActivityExecution, true)          \
    X(terminate_activities_operation, BATCH_OPERATION_TYPE_TERMINATE_ACTIVITY, TerminateActivityExecution, true)        \
    X(delete_activities_operation, BATCH_OPERATION_TYPE_DELETE_ACTIVITY, DeleteActivityExecution, false)

struct operation { int32_t tag, type; int method; bool needs_open; };
static const struct operation operations[] = {
#define X(member, type, rpc, needs_open) {pb_ws_StartBatchOperationRequest_##member##_tag, type, pb_ws_##rpc##_method, needs_open},
    OPERATIONS(X)
#undef X
};

static const struct operation *operation_of(const batch_request *q)
{
    for (size_t i = 0; i < countof(operations); i++)
        if (operations[i].tag == q->operation_case) return &operations[i];
    return NULL;
}

int32_t batch_operation_type(const batch_request *q) { return operation_of(q)->type; }
bool batch_operation_needs_open(const batch_request *q) { return operation_of(q)->needs_open; }

bool batch_operation_is_for_activities(const batch_request *q)
{
    int32_t type = batch_operation_type(q);
    return type == BATCH_OPERATION_TYPE_CANCEL_ACTIVITY || type == BATCH_OPERATION_TYPE_TERMINATE_ACTIVITY || type == BATCH_OPERATION_TYPE_DELETE_ACTIVITY;
}

struct str batch_operation_identity(const batch_request *q)
{
    switch (batch_operation_type(q)) {
    case BATCH_OPERATION_TYPE_TERMINATE: return q->termination_operation->identity;
    case BATCH_OPERATION_TYPE_SIGNAL: return q->signal_operation->identity;
    case BATCH_OPERATION_TYPE_CANCEL: return q->cancellation_operation->identity;
    case BATCH_OPERATION_TYPE_DELETE: return q->deletion_operation->identity;
    case BATCH_OPERATION_TYPE_RESET: return q->reset_operation->identity;
    case BATCH_OPERATION_TYPE_UPDATE_EXECUTION_OPTIONS: return q->update_workflow_options_operation->identity;
    case BATCH_OPERATION_TYPE_UNPAUSE_ACTIVITY: return q->unpause_activities_operation->identity;
    case BATCH_OPERATION_TYPE_RESET_ACTIVITY: return q->reset_activities_operation->identity;
    case BATCH_OPERATION_TYPE_UPDATE_ACTIVITY_OPTIONS: return q->update_activity_options_operation->identity;
    case BATCH_OPERATION_TYPE_CANCEL_ACTIVITY: return q->cancel_activities_operation->identity;
    case BATCH_OPERATION_TYPE_TERMINATE_ACTIVITY: return q->terminate_activities_operation->identity;
    default: return STR_EMPTY;
    }
}

/* ---- checks ---- */

static bool refuse(struct rpc *rpc, const char *words)
{
    rpc_error(rpc, ERR_INVALID, "%s", words);
    return false;
}

static bool check_reset(struct rpc *rpc, const pb_batch_BatchOperationReset *reset)
{
    const pb_common_ResetOptions *o = reset->options;
    if (o == NULL && reset->reset_type != RESET_TYPE_FIRST_WORKFLOW_TASK && reset->reset_type != RESET_TYPE_LAST_WORKFLOW_TASK)
        return refuse(rpc, "a batch reset needs options, or a reset type: first or last workflow task");
    if (o != NULL && o->target_case == 0) return refuse(rpc, "the options of a batch reset do not say where to reset to");
    if (o != NULL && o->target_case == pb_common_ResetOptions_build_id_tag && str_is_empty(o->build_id)) return refuse(rpc, "the build id to reset to is empty");
    if (o != NULL && o->target_case == pb_common_ResetOptions_workflow_task_id_tag && o->workflow_task_id <= 0)
        return refuse(rpc, "the id of a workflow task's event to reset to is greater than 0");
    return true;
}

static bool check_activity_choice(struct rpc *rpc, int32_t choice, bool is_type, struct str type, bool match_all)
{
    if (choice == 0 || (is_type ? str_is_empty(type) : !match_all)) return refuse(rpc, "a batch operation on activities needs an activity type, or match_all");
    return !is_type || check_id(rpc, "activity type", type, true);
}

static bool check_details(struct rpc *rpc, const batch_request *q)
{
    duration jitter;
    switch (batch_operation_type(q)) {
    case BATCH_OPERATION_TYPE_TERMINATE: return check_payloads(rpc, "the details", q->termination_operation->details);
    case BATCH_OPERATION_TYPE_SIGNAL:
        return check_id(rpc, "signal name", q->signal_operation->signal, true) && check_payloads(rpc, "the signal's input", q->signal_operation->input);
    case BATCH_OPERATION_TYPE_RESET: return check_reset(rpc, q->reset_operation);
    case BATCH_OPERATION_TYPE_UPDATE_EXECUTION_OPTIONS: {
        const pb_batch_BatchOperationUpdateWorkflowExecutionOptions *o = q->update_workflow_options_operation;
        if (o->workflow_execution_options == NULL || o->update_mask == NULL || o->update_mask->paths_count == 0)
            return refuse(rpc, "an update of workflow options needs options and a mask that says which");
        return check_priority(rpc, o->workflow_execution_options->priority);
    }
    case BATCH_OPERATION_TYPE_UNPAUSE_ACTIVITY: {
        const pb_batch_BatchOperationUnpauseActivities *o = q->unpause_activities_operation;
        bool is_type = o->activity_case == pb_batch_BatchOperationUnpauseActivities_type_tag;
        return check_activity_choice(rpc, o->activity_case, is_type, is_type ? o->type : STR_EMPTY, !is_type && o->match_all) &&
               check_duration(rpc, "the jitter", o->jitter, &jitter);
    }
    case BATCH_OPERATION_TYPE_RESET_ACTIVITY: {
        const pb_batch_BatchOperationResetActivities *o = q->reset_activities_operation;
        bool is_type = o->activity_case == pb_batch_BatchOperationResetActivities_type_tag;
        return check_activity_choice(rpc, o->activity_case, is_type, is_type ? o->type : STR_EMPTY, !is_type && o->match_all) &&
               check_duration(rpc, "the jitter", o->jitter, &jitter);
    }
    case BATCH_OPERATION_TYPE_UPDATE_ACTIVITY_OPTIONS: {
        const pb_batch_BatchOperationUpdateActivityOptions *o = q->update_activity_options_operation;
        bool is_type = o->activity_case == pb_batch_BatchOperationUpdateActivityOptions_type_tag;
        bool has_mask = o->activity_options != NULL && o->update_mask != NULL && o->update_mask->paths_count != 0;
        if (has_mask == o->restore_original) return refuse(rpc, "an update of activity options needs either options with a mask or restore_original");
        return check_activity_choice(rpc, o->activity_case, is_type, is_type ? o->type : STR_EMPTY, !is_type && o->match_all);
    }
    default: return true;
    }
}

bool batch_operation_check(struct rpc *rpc, const batch_request *q)
{
    const struct operation *operation = operation_of(q);
    if (operation == NULL) return refuse(rpc, "a batch job needs an operation");
    if (rpc->frontend->handlers[operation->method].run == NULL) {
        struct str name = pb_method_name(&pb_methods[operation->method]);
        rpc_error(rpc, ERR_UNIMPLEMENTED, "Perdure does not have %.*s yet, of which this batch job would be made", STR_ARG(name));
        return false;
    }
    return check_id(rpc, "identity", batch_operation_identity(q), false) && check_details(rpc, q);
}

/* ---- one execution ---- */

static pb_common_WorkflowExecution *execution_of(const struct batch_step *s, struct arena *arena)
{
    pb_common_WorkflowExecution *execution = pb_new(arena, pb_common_WorkflowExecution);
    execution->workflow_id = s->id;
    execution->run_id = s->run_id;
    return execution;
}

/* Not there (any more), or closed: nothing is left to be done to it. */
static void acted(struct inner_call *call, const struct error *error, const void *reply)
{
    struct batch_step *s = call->owner;
    bool is_done = reply != NULL || error_grpc(error) == GRPC_NOT_FOUND;
    if (!is_done) log_debug("batches", "an execution refuses its part of a batch job", "id", arena_cstr(&call->arena, s->id), "error", arena_cstr(&call->arena, error_message(error)));
    s->done(s, is_done, !is_done && inner_passes(error));
}

static void send(struct batch_step *s, struct inner_call *call, const void *request) { inner_submit(s->f, call, operation_of(s->input)->method, request); }

static void activities_do(struct batch_step *s, struct inner_call *call)
{
    const batch_request *q = s->input;
    struct arena *arena = &call->arena;
    if (batch_operation_type(q) == BATCH_OPERATION_TYPE_UNPAUSE_ACTIVITY) {
        const pb_batch_BatchOperationUnpauseActivities *o = q->unpause_activities_operation;
        pb_ws_UnpauseActivityRequest *r = pb_new(arena, pb_ws_UnpauseActivityRequest);
        *r = (pb_ws_UnpauseActivityRequest){.namespace = s->namespace, .execution = execution_of(s, arena), .identity = o->identity,
                                            .reset_attempts = o->reset_attempts, .reset_heartbeat = o->reset_heartbeat, .jitter = o->jitter};
        bool is_type = o->activity_case == pb_batch_BatchOperationUnpauseActivities_type_tag;
        r->activity_case = is_type ? pb_ws_UnpauseActivityRequest_type_tag : pb_ws_UnpauseActivityRequest_unpause_all_tag;
        if (is_type) r->type = o->type;
        else r->unpause_all = true;
        send(s, call, r);
    } else if (batch_operation_type(q) == BATCH_OPERATION_TYPE_RESET_ACTIVITY) {
        const pb_batch_BatchOperationResetActivities *o = q->reset_activities_operation;
        pb_ws_ResetActivityRequest *r = pb_new(arena, pb_ws_ResetActivityRequest);
        *r = (pb_ws_ResetActivityRequest){.namespace = s->namespace, .execution = execution_of(s, arena), .identity = o->identity, .reset_heartbeat = o->reset_heartbeat,
                                          .keep_paused = o->keep_paused, .jitter = o->jitter, .restore_original_options = o->restore_original_options};
        bool is_type = o->activity_case == pb_batch_BatchOperationResetActivities_type_tag;
        r->activity_case = is_type ? pb_ws_ResetActivityRequest_type_tag : pb_ws_ResetActivityRequest_match_all_tag;
        if (is_type) r->type = o->type;
        else r->match_all = true;
        send(s, call, r);
    } else {
        const pb_batch_BatchOperationUpdateActivityOptions *o = q->update_activity_options_operation;
        pb_ws_UpdateActivityOptionsRequest *r = pb_new(arena, pb_ws_UpdateActivityOptionsRequest);
        *r = (pb_ws_UpdateActivityOptionsRequest){.namespace = s->namespace, .execution = execution_of(s, arena), .identity = o->identity,
                                                  .activity_options = o->activity_options, .update_mask = o->update_mask, .restore_original = o->restore_original};
        bool is_type = o->activity_case == pb_batch_BatchOperationUpdateActivityOptions_type_tag;
        r->activity_case = is_type ? pb_ws_UpdateActivityOptionsRequest_type_tag : pb_ws_UpdateActivityOptionsRequest_match_all_tag;
        if (is_type) r->type = o->type;
        else r->match_all = true;
        send(s, call, r);
    }
}

/* ---- reset: where to ---- */

static const pb_common_ResetOptions *options_of(const struct batch_step *s) { return s->input->reset_operation->options; }

static int32_t reset_target(const struct batch_step *s)
{
    if (options_of(s) != NULL) return options_of(s)->target_case;
    return s->input->reset_operation->reset_type == RESET_TYPE_FIRST_WORKFLOW_TASK ? pb_common_ResetOptions_first_workflow_task_tag
                                                                                    : pb_common_ResetOptions_last_workflow_task_tag;
}

static void reset_to(struct batch_step *s, struct str run_id, int64_t event_id)
{
    const pb_batch_BatchOperationReset *o = s->input->reset_operation;
    struct inner_call *call = inner_new(s->f, acted, s);
    pb_ws_ResetWorkflowExecutionRequest *r = pb_new(&call->arena, pb_ws_ResetWorkflowExecutionRequest);
    r->namespace = s->namespace;
    r->workflow_execution = execution_of(s, &call->arena);
    r->workflow_execution->run_id = arena_str(&call->arena, run_id);
    r->reason = s->input->reason;
    r->workflow_task_finish_event_id = event_id;
    r->request_id = s->request_id;
    r->identity = o->identity;
    r->reset_reapply_type = options_of(s) != NULL ? options_of(s)->reset_reapply_type : o->reset_reapply_type;
    if (options_of(s) != NULL)
        PB_SET_ARRAY(r, reset_reapply_exclude_types, options_of(s)->reset_reapply_exclude_types, options_of(s)->reset_reapply_exclude_types_count);
    PB_SET_ARRAY(r, post_reset_operations, o->post_reset_operations, o->post_reset_operations_count);
    send(s, call, r);
}

static void history_read(struct batch_step *s, struct str token);

/* The first or last completed workflow task; without one, the start of the one that is scheduled. */
static void history_page(struct inner_call *call, const struct error *error, const void *reply)
{
    struct batch_step *s = call->owner;
    if (reply == NULL) {
        acted(call, error, NULL);
        return;
    }
    const pb_ws_GetWorkflowExecutionHistoryResponse *first = reply;
    const pb_ws_GetWorkflowExecutionHistoryReverseResponse *last = reply;
    bool is_first = reset_target(s) == pb_common_ResetOptions_first_workflow_task_tag;
    const pb_history_History *bytes = is_first ? first->history : last->history; /* events come as they are stored: not decoded */
    pb_history_History *history = NULL;
    if (bytes == NULL || PB_DECODE_ALIAS(&call->arena, bytes->unknown_, pb_history_History, &history) != ERR_NONE) {
        s->done(s, false, false);
        return;
    }
    struct str token = is_first ? first->next_page_token : last->next_page_token;
    for (size_t i = 0; i < history->events_count; i++) {
        const pb_history_HistoryEvent *event = history->events[i];
        if (event->event_type == EVENT_TYPE_WORKFLOW_TASK_COMPLETED) {
            reset_to(s, s->run_id, event->event_id);
            return;
        }
        if (event->event_type == EVENT_TYPE_WORKFLOW_TASK_SCHEDULED && s->scheduled_event_id == 0) s->scheduled_event_id = event->event_id;
    }
    if (!str_is_empty(token)) history_read(s, token);
    else if (s->scheduled_event_id != 0) reset_to(s, s->run_id, s->scheduled_event_id + 1);
    else s->done(s, false, false);
}

static void history_read(struct batch_step *s, struct str token)
{
    struct inner_call *call = inner_new(s->f, history_page, s);
    struct arena *arena = &call->arena;
    if (reset_target(s) == pb_common_ResetOptions_first_workflow_task_tag) {
        pb_ws_GetWorkflowExecutionHistoryRequest *r = pb_new(arena, pb_ws_GetWorkflowExecutionHistoryRequest);
        *r = (pb_ws_GetWorkflowExecutionHistoryRequest){.namespace = s->namespace, .execution = execution_of(s, arena), .maximum_page_size = EVENTS_PAGE,
                                                        .next_page_token = arena_str(arena, token)};
        inner_submit(s->f, call, pb_ws_GetWorkflowExecutionHistory_method, r);
    } else {
        pb_ws_GetWorkflowExecutionHistoryReverseRequest *r = pb_new(arena, pb_ws_GetWorkflowExecutionHistoryReverseRequest);
        *r = (pb_ws_GetWorkflowExecutionHistoryReverseRequest){.namespace = s->namespace, .execution = execution_of(s, arena), .maximum_page_size = EVENTS_PAGE,
                                                               .next_page_token = arena_str(arena, token)};
        inner_submit(s->f, call, pb_ws_GetWorkflowExecutionHistoryReverse_method, r);
    }
}

/* The first task that a build completed, as the run remembers it; maybe in an earlier run of its chain. */
static void build_found(struct inner_call *call, const struct error *error, const void *reply)
{
    struct batch_step *s = call->owner;
    if (reply == NULL) {
        acted(call, error, NULL);
        return;
    }
    const pb_ws_DescribeWorkflowExecutionResponse *d = reply;
    const pb_workflow_ResetPoints *points = d->workflow_execution_info != NULL ? d->workflow_execution_info->auto_reset_points : NULL;
    struct str run_id = d->workflow_execution_info != NULL ? d->workflow_execution_info->execution->run_id : STR_EMPTY;
    for (size_t i = 0; points != NULL && i < points->points_count; i++) {
        const pb_workflow_ResetPointInfo *p = points->points[i];
        if (!p->resettable || (!str_equal(p->build_id, options_of(s)->build_id) && !str_equal(p->binary_checksum, options_of(s)->build_id))) continue;
        if (options_of(s)->current_run_only && !str_equal(p->run_id, run_id)) continue;
        reset_to(s, p->run_id, p->first_workflow_task_completed_id);
        return;
    }
    s->done(s, false, false);
}

static void reset_do(struct batch_step *s)
{
    int32_t target = reset_target(s);
    if (target == pb_common_ResetOptions_workflow_task_id_tag) {
        reset_to(s, s->run_id, options_of(s)->workflow_task_id);
    } else if (target == pb_common_ResetOptions_build_id_tag) {
        struct inner_call *call = inner_new(s->f, build_found, s);
        pb_ws_DescribeWorkflowExecutionRequest *r = pb_new(&call->arena, pb_ws_DescribeWorkflowExecutionRequest);
        r->namespace = s->namespace;
        r->execution = execution_of(s, &call->arena);
        inner_submit(s->f, call, pb_ws_DescribeWorkflowExecution_method, r);
    } else {
        history_read(s, STR_EMPTY);
    }
}

/* The same for the same job and execution, whenever it is asked: a UUID made of both. */
static void make_request_id(struct batch_step *s)
{
    uint64_t low = str_hash(s->entity_id) ^ str_hash(s->run_id), high = str_hash(s->id) + UINT64_C(0x9e3779b97f4a7c15) * low;
    int n = snprintf(s->request_id_text, sizeof s->request_id_text, "%08x-%04x-4%03x-a%03x-%012" PRIx64, (unsigned)(high >> 32), (unsigned)(high >> 16) & 0xffffU,
                     (unsigned)high & 0xfffU, (unsigned)(low >> 48) & 0xfffU, low & UINT64_C(0xffffffffffff));
    s->request_id = (struct str){s->request_id_text, (size_t)n};
}

static void standalone_do(struct batch_step *s, struct inner_call *call)
{
    const batch_request *q = s->input;
    struct arena *arena = &call->arena;
    if (batch_operation_type(q) == BATCH_OPERATION_TYPE_DELETE_ACTIVITY) {
        pb_ws_DeleteActivityExecutionRequest *r = pb_new(arena, pb_ws_DeleteActivityExecutionRequest);
        *r = (pb_ws_DeleteActivityExecutionRequest){.namespace = s->namespace, .activity_id = s->id, .run_id = s->run_id};
        send(s, call, r);
    } else if (batch_operation_type(q) == BATCH_OPERATION_TYPE_TERMINATE_ACTIVITY) {
        const pb_batch_BatchOperationTerminateActivities *o = q->terminate_activities_operation;
        pb_ws_TerminateActivityExecutionRequest *r = pb_new(arena, pb_ws_TerminateActivityExecutionRequest);
        *r = (pb_ws_TerminateActivityExecutionRequest){.namespace = s->namespace, .activity_id = s->id, .run_id = s->run_id, .identity = o->identity,
                                                       .request_id = s->request_id, .reason = str_is_empty(o->reason) ? q->reason : o->reason};
        send(s, call, r);
    } else {
        const pb_batch_BatchOperationCancelActivities *o = q->cancel_activities_operation;
        pb_ws_RequestCancelActivityExecutionRequest *r = pb_new(arena, pb_ws_RequestCancelActivityExecutionRequest);
        *r = (pb_ws_RequestCancelActivityExecutionRequest){.namespace = s->namespace, .activity_id = s->id, .run_id = s->run_id, .identity = o->identity,
                                                           .request_id = s->request_id, .reason = str_is_empty(o->reason) ? q->reason : o->reason};
        send(s, call, r);
    }
}

void batch_step_run(struct batch_step *s)
{
    const batch_request *q = s->input;
    make_request_id(s);
    s->scheduled_event_id = 0;
    if (batch_operation_type(q) == BATCH_OPERATION_TYPE_RESET) {
        reset_do(s);
        return;
    }
    struct inner_call *call = inner_new(s->f, acted, s);
    struct arena *arena = &call->arena;
    switch (batch_operation_type(q)) {
    case BATCH_OPERATION_TYPE_TERMINATE: {
        pb_ws_TerminateWorkflowExecutionRequest *r = pb_new(arena, pb_ws_TerminateWorkflowExecutionRequest);
        *r = (pb_ws_TerminateWorkflowExecutionRequest){.namespace = s->namespace, .workflow_execution = execution_of(s, arena), .reason = q->reason,
                                                       .details = q->termination_operation->details, .identity = q->termination_operation->identity};
        send(s, call, r);
        return;
    }
    case BATCH_OPERATION_TYPE_SIGNAL: {
        const pb_batch_BatchOperationSignal *o = q->signal_operation;
        pb_ws_SignalWorkflowExecutionRequest *r = pb_new(arena, pb_ws_SignalWorkflowExecutionRequest);
        *r = (pb_ws_SignalWorkflowExecutionRequest){.namespace = s->namespace, .workflow_execution = execution_of(s, arena), .signal_name = o->signal,
                                                    .input = o->input, .header = o->header, .identity = o->identity, .request_id = s->request_id};
        send(s, call, r);
        return;
    }
    case BATCH_OPERATION_TYPE_CANCEL: {
        pb_ws_RequestCancelWorkflowExecutionRequest *r = pb_new(arena, pb_ws_RequestCancelWorkflowExecutionRequest);
        *r = (pb_ws_RequestCancelWorkflowExecutionRequest){.namespace = s->namespace, .workflow_execution = execution_of(s, arena), .reason = q->reason,
                                                           .identity = q->cancellation_operation->identity, .request_id = s->request_id};
        send(s, call, r);
        return;
    }
    case BATCH_OPERATION_TYPE_DELETE: {
        pb_ws_DeleteWorkflowExecutionRequest *r = pb_new(arena, pb_ws_DeleteWorkflowExecutionRequest);
        *r = (pb_ws_DeleteWorkflowExecutionRequest){.namespace = s->namespace, .workflow_execution = execution_of(s, arena)};
        send(s, call, r);
        return;
    }
    case BATCH_OPERATION_TYPE_UPDATE_EXECUTION_OPTIONS: {
        const pb_batch_BatchOperationUpdateWorkflowExecutionOptions *o = q->update_workflow_options_operation;
        pb_ws_UpdateWorkflowExecutionOptionsRequest *r = pb_new(arena, pb_ws_UpdateWorkflowExecutionOptionsRequest);
        *r = (pb_ws_UpdateWorkflowExecutionOptionsRequest){.namespace = s->namespace, .workflow_execution = execution_of(s, arena), .identity = o->identity,
                                                           .workflow_execution_options = o->workflow_execution_options, .update_mask = o->update_mask};
        send(s, call, r);
        return;
    }
    default:
        if (batch_operation_is_for_activities(q)) standalone_do(s, call);
        else activities_do(s, call);
    }
}
