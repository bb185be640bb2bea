/* RPCs of activity workers: poll, complete, fail, cancel, heartbeat; by task token and by id. */
#include "frontend/poll.h"

struct activity_start {
    struct task_start base;
    pb_ws_PollActivityTaskQueueResponse *reply;
};

static err poll_step(struct task_start *base, struct execution *e, struct step *step)
{
    struct activity_start *start = container_of(base, struct activity_start, base);
    char request_id[37];
    prng_uuid(step->prng, request_id);
    return execution_activity_start(e, step, base->task.scheduled_event_id, base->task.stamp, base->poll->rpc->request,
                                    arena_str(step->arena, str_of(request_id)), &start->reply);
}

static void poll_started(struct task_start *base)
{
    struct activity_start *start = container_of(base, struct activity_start, base);
    start->reply->poller_scaling_decision = poll_scaling(base->poll);
    RPC_REPLY(base->poll->rpc, pb_ws_PollActivityTaskQueueResponse, start->reply);
}

static const struct poll_kind activity_polls = {sizeof(struct activity_start), poll_step, poll_started, NULL};

static void poll_activity_task(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_PollActivityTaskQueueRequest *q = rpc->request;
    double rate = q->task_queue_metadata != NULL && q->task_queue_metadata->max_tasks_per_second != NULL ? q->task_queue_metadata->max_tasks_per_second->value : -1;
    poll_begin(f, rpc, &activity_polls, QUEUE_ACTIVITY, q->task_queue, q->identity, q->worker_version_capabilities, q->deployment_options, rate);
}

/* ---- outcomes ---- */

enum outcome { OUTCOME_COMPLETED, OUTCOME_FAILED, OUTCOME_CANCELED, OUTCOME_HEARTBEAT };

struct outcome_op {
    struct op op;
    enum outcome outcome;
    const pb_store_TaskToken *token;
    const pb_common_Payloads *payloads;   /* result, details */
    const pb_failure_Failure *failure;
    const pb_common_Payloads *last_heartbeat;
    const pb_common_WorkerVersionStamp *worker;
    struct str identity;
    pb_ws_RecordActivityTaskHeartbeatResponse *heartbeat;
    bool is_by_id;
};

static err outcome_step(struct op *base, struct execution *e, struct step *step)
{
    struct outcome_op *op = container_of(base, struct outcome_op, op);
    if (op->worker != NULL) execution_activity_note_worker(e, op->token, op->worker);
    switch (op->outcome) {
    case OUTCOME_COMPLETED: return execution_activity_complete(e, step, op->token, op->payloads, op->identity);
    case OUTCOME_FAILED: return execution_activity_fail(e, step, op->token, op->failure, op->last_heartbeat, op->identity);
    case OUTCOME_CANCELED: return execution_activity_cancel(e, step, op->token, op->payloads, op->identity);
    case OUTCOME_HEARTBEAT: return execution_activity_heartbeat(e, step, op->token, op->payloads, op->identity, op->heartbeat);
    }
    return ERR_INTERNAL;
}

/* The two heartbeat replies have the same fields under two names. */
static void heartbeat_done(struct op *base, err result)
{
    struct outcome_op *op = container_of(base, struct outcome_op, op);
    if (result != ERR_NONE) {
        rpc_error_of(base->rpc, result, &base->call.error);
    } else if (op->is_by_id) {
        pb_ws_RecordActivityTaskHeartbeatByIdResponse *reply = pb_new(base->rpc->arena, pb_ws_RecordActivityTaskHeartbeatByIdResponse);
        reply->cancel_requested = op->heartbeat->cancel_requested;
        reply->activity_paused = op->heartbeat->activity_paused;
        reply->activity_reset = op->heartbeat->activity_reset;
        RPC_REPLY(base->rpc, pb_ws_RecordActivityTaskHeartbeatByIdResponse, reply);
    } else {
        RPC_REPLY(base->rpc, pb_ws_RecordActivityTaskHeartbeatResponse, op->heartbeat);
    }
}

static struct outcome_op *outcome_new(struct frontend *f, struct rpc *rpc, enum outcome outcome, const pb_store_TaskToken *token, struct str identity)
{
    if (!check_id(rpc, "identity", identity, false)) return NULL;
    struct outcome_op *op = OP_NEW(rpc, struct outcome_op);
    op_init(&op->op, f, rpc, token->workflow_id, token->run_id);
    op->op.call.run = token->run_key;
    op->op.call.need = token->run_key != 0 ? SHARD_NEEDS_RUN_KEY : SHARD_NEEDS_RUN;
    op->is_by_id = token->run_key == 0;
    op->outcome = outcome;
    op->token = token;
    op->identity = identity;
    op->op.step = outcome_step;
    op->op.reply_type = pb_method_response(rpc->method);
    op->op.reply = arena_zalloc(rpc->arena, op->op.reply_type->size);
    if (outcome == OUTCOME_HEARTBEAT) {
        op->heartbeat = pb_new(rpc->arena, pb_ws_RecordActivityTaskHeartbeatResponse);
        op->op.done = heartbeat_done;
    }
    return op;
}

/* An activity named by workflow id, run id and activity id looks like a token without event ids. */
static const pb_store_TaskToken *token_by_id(struct rpc *rpc, struct str workflow_id, struct str run_id, struct str activity_id)
{
    if (!check_id(rpc, "workflow id", workflow_id, true) || !check_run_id(rpc, run_id) || !check_id(rpc, "activity id", activity_id, true)) return NULL;
    pb_store_TaskToken *token = pb_new(rpc->arena, pb_store_TaskToken);
    token->namespace_key = rpc->ns->key;
    token->workflow_id = workflow_id;
    token->run_id = run_id;
    token->activity_id = activity_id;
    return token;
}

static bool is_application_failure(struct rpc *rpc, const pb_failure_Failure *failure)
{
    if (failure == NULL || failure->failure_info_case == pb_failure_Failure_application_failure_info_tag) return true;
    rpc_error(rpc, ERR_INVALID, "an activity fails with an application failure");
    return false;
}

static void completed(struct frontend *f, struct rpc *rpc, const pb_store_TaskToken *token, const pb_common_Payloads *result, struct str identity,
                      const pb_common_WorkerVersionStamp *worker)
{
    struct outcome_op *op = token != NULL ? outcome_new(f, rpc, OUTCOME_COMPLETED, token, identity) : NULL;
    if (op == NULL) return;
    op->payloads = result;
    op->worker = worker;
    op_submit(&op->op);
}

static void failed(struct frontend *f, struct rpc *rpc, const pb_store_TaskToken *token, const pb_failure_Failure *failure,
                   const pb_common_Payloads *last_heartbeat, struct str identity, const pb_common_WorkerVersionStamp *worker)
{
    struct outcome_op *op = token != NULL && is_application_failure(rpc, failure) ? outcome_new(f, rpc, OUTCOME_FAILED, token, identity) : NULL;
    if (op == NULL) return;
    op->failure = failure;
    op->last_heartbeat = last_heartbeat;
    op->worker = worker;
    op_submit(&op->op);
}

static void with_details(struct frontend *f, struct rpc *rpc, enum outcome outcome, const pb_store_TaskToken *token, const pb_common_Payloads *details,
                         struct str identity, const pb_common_WorkerVersionStamp *worker)
{
    struct outcome_op *op = token != NULL ? outcome_new(f, rpc, outcome, token, identity) : NULL;
    if (op == NULL) return;
    op->payloads = details;
    op->worker = worker;
    op_submit(&op->op);
}

static void respond_completed(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondActivityTaskCompletedRequest *q = rpc->request;
    completed(f, rpc, token_decode(rpc, q->task_token), q->result, q->identity, q->worker_version);
}

static void respond_completed_by_id(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondActivityTaskCompletedByIdRequest *q = rpc->request;
    completed(f, rpc, token_by_id(rpc, q->workflow_id, q->run_id, q->activity_id), q->result, q->identity, NULL);
}

static void respond_failed(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondActivityTaskFailedRequest *q = rpc->request;
    failed(f, rpc, token_decode(rpc, q->task_token), q->failure, q->last_heartbeat_details, q->identity, q->worker_version);
}

static void respond_failed_by_id(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondActivityTaskFailedByIdRequest *q = rpc->request;
    failed(f, rpc, token_by_id(rpc, q->workflow_id, q->run_id, q->activity_id), q->failure, q->last_heartbeat_details, q->identity, NULL);
}

static void respond_canceled(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondActivityTaskCanceledRequest *q = rpc->request;
    with_details(f, rpc, OUTCOME_CANCELED, token_decode(rpc, q->task_token), q->details, q->identity, q->worker_version);
}

static void respond_canceled_by_id(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondActivityTaskCanceledByIdRequest *q = rpc->request;
    with_details(f, rpc, OUTCOME_CANCELED, token_by_id(rpc, q->workflow_id, q->run_id, q->activity_id), q->details, q->identity, NULL);
}

static void record_heartbeat(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RecordActivityTaskHeartbeatRequest *q = rpc->request;
    with_details(f, rpc, OUTCOME_HEARTBEAT, token_decode(rpc, q->task_token), q->details, q->identity, NULL);
}

static void record_heartbeat_by_id(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RecordActivityTaskHeartbeatByIdRequest *q = rpc->request;
    with_details(f, rpc, OUTCOME_HEARTBEAT, token_by_id(rpc, q->workflow_id, q->run_id, q->activity_id), q->details, q->identity, NULL);
}

static const struct handler_row rows[] = {
    {pb_ws_PollActivityTaskQueue_method, poll_activity_task, HANDLER_POLL},
    {pb_ws_RespondActivityTaskCompleted_method, respond_completed, HANDLER_NO_NAMESPACE_OK},
    {pb_ws_RespondActivityTaskCompletedById_method, respond_completed_by_id, 0},
    {pb_ws_RespondActivityTaskFailed_method, respond_failed, HANDLER_NO_NAMESPACE_OK},
    {pb_ws_RespondActivityTaskFailedById_method, respond_failed_by_id, 0},
    {pb_ws_RespondActivityTaskCanceled_method, respond_canceled, HANDLER_NO_NAMESPACE_OK},
    {pb_ws_RespondActivityTaskCanceledById_method, respond_canceled_by_id, 0},
    {pb_ws_RecordActivityTaskHeartbeat_method, record_heartbeat, HANDLER_NO_NAMESPACE_OK},
    {pb_ws_RecordActivityTaskHeartbeatById_method, record_heartbeat_by_id, 0},
};
const struct handler_table activity_handlers = {rows, countof(rows)};
