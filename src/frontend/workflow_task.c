/* RPCs of workflow workers: poll, complete, fail, shut down. */
#include "frontend/poll.h"

struct workflow_start {
    struct task_start base;
    pb_ws_PollWorkflowTaskQueueResponse *reply;
    struct task_history_read history;
};

static void history_ready(struct task_history_read *read, err result)
{
    struct rpc *rpc = read->rpc;
    /* The task is started; without its history the worker can do nothing, and the task times out. */
    if (result != ERR_NONE) rpc_error_of(rpc, result, &read->read.call.error);
    else RPC_REPLY(rpc, pb_ws_PollWorkflowTaskQueueResponse, read->task);
    rpc_let_go(rpc);
}

static err poll_step(struct task_start *base, struct execution *e, struct step *step)
{
    struct workflow_start *start = container_of(base, struct workflow_start, base);
    struct task_poll *poll = base->poll;
    char request_id[37];
    prng_uuid(step->prng, request_id);
    struct task_history history;
    TRY(execution_workflow_task_start(e, step, base->task.scheduled_event_id, base->task.stamp, poll->rpc->request,
                                      arena_str(step->arena, str_of(request_id)), poll->wait.is_from_sticky, &start->reply, &history));
    queries_attach(poll->f, base->task.run, poll->rpc->arena, start->reply);
    task_history_in_step(&start->history, poll->rpc, e, &history, start->reply);
    return ERR_NONE;
}

static void poll_started(struct task_start *base)
{
    struct workflow_start *start = container_of(base, struct workflow_start, base);
    struct task_poll *poll = base->poll;
    start->reply->backlog_count_hint = poll->wait.backlog_count_hint;
    start->reply->poller_scaling_decision = poll_scaling(poll);
    rpc_hold(poll->rpc);
    task_history_finish(&start->history, poll->f, history_ready);
}

static const struct poll_kind workflow_polls = {sizeof(struct workflow_start), poll_step, poll_started, query_deliver};

static void poll_workflow_task(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_PollWorkflowTaskQueueRequest *q = rpc->request;
    if (!check_id(rpc, "worker control queue", q->worker_control_task_queue, false)) return;
    poll_begin(f, rpc, &workflow_polls, QUEUE_WORKFLOW, q->task_queue, q->identity, q->worker_version_capabilities, q->deployment_options, -1);
}

/* ---- completion ---- */

struct complete_op {
    struct op op;
    const pb_store_TaskToken *token;
    pb_ws_RespondWorkflowTaskCompletedResponse *reply;
    struct task_history_read history;
};

static void complete_history_ready(struct task_history_read *read, err result)
{
    struct complete_op *op = container_of(read, struct complete_op, history);
    if (result != ERR_NONE) rpc_error_of(read->rpc, result, &read->read.call.error);
    else RPC_REPLY(read->rpc, pb_ws_RespondWorkflowTaskCompletedResponse, op->reply);
    rpc_let_go(read->rpc);
}

static err complete_step(struct op *base, struct execution *e, struct step *step)
{
    struct complete_op *op = container_of(base, struct complete_op, op);
    struct task_history next = {0};
    bool is_failed = false;
    err result = execution_workflow_task_complete(e, step, base->rpc->request, op->token, &op->reply, &next, &is_failed);
    if (result != ERR_NONE) {
        *base->is_commit = is_failed;
        return result;
    }
    if (op->reply->workflow_task != NULL) {
        queries_attach(base->f, op->token->run_key, base->rpc->arena, op->reply->workflow_task);
        task_history_in_step(&op->history, base->rpc, e, &next, op->reply->workflow_task);
    }
    return ERR_NONE;
}

static void complete_done(struct op *base, err result)
{
    struct complete_op *op = container_of(base, struct complete_op, op);
    struct rpc *rpc = base->rpc;
    const pb_ws_RespondWorkflowTaskCompletedRequest *q = rpc->request;
    if (result != ERR_NONE) {
        rpc_error_of(rpc, result, &base->call.error);
        return;
    }
    if (q->query_results_count != 0) queries_answer(base->f, op->token->run_key, q->query_results, q->query_results_count);
    if (op->reply->workflow_task == NULL) {
        RPC_REPLY(rpc, pb_ws_RespondWorkflowTaskCompletedResponse, op->reply);
        return;
    }
    rpc_hold(rpc);
    task_history_finish(&op->history, base->f, complete_history_ready);
}

static void for_token(struct op *op, struct frontend *f, struct rpc *rpc, const pb_store_TaskToken *token)
{
    op_init(op, f, rpc, token->workflow_id, token->run_id);
    op->call.run = token->run_key;
    op->call.need = SHARD_NEEDS_RUN_KEY;
}

static void complete_workflow_task(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondWorkflowTaskCompletedRequest *q = rpc->request;
    const pb_store_TaskToken *token = token_decode(rpc, q->task_token);
    if (token == NULL || !check_id(rpc, "identity", q->identity, false)) return;
    if (q->page_number != 0 || q->intermediate_page) {
        rpc_error(rpc, ERR_PRECONDITION, "completions in pages are not enabled");
        return;
    }
    struct complete_op *op = OP_NEW(rpc, struct complete_op);
    for_token(&op->op, f, rpc, token);
    op->token = token;
    op->op.step = complete_step;
    op->op.done = complete_done;
    op_submit(&op->op);
}

struct fail_op { struct op op; const pb_store_TaskToken *token; };

static err fail_step(struct op *base, struct execution *e, struct step *step)
{
    return execution_workflow_task_fail(e, step, base->rpc->request, container_of(base, struct fail_op, op)->token);
}

static void fail_workflow_task(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondWorkflowTaskFailedRequest *q = rpc->request;
    const pb_store_TaskToken *token = token_decode(rpc, q->task_token);
    if (token == NULL || !check_id(rpc, "identity", q->identity, false)) return;
    struct fail_op *op = OP_NEW(rpc, struct fail_op);
    for_token(&op->op, f, rpc, token);
    op->token = token;
    op->op.step = fail_step;
    op->op.reply_type = &pb_ws_RespondWorkflowTaskFailedResponse_type;
    op->op.reply = pb_new(rpc->arena, pb_ws_RespondWorkflowTaskFailedResponse);
    op_submit(&op->op);
}

/* The worker says goodbye: nothing waits for it any more. */
static void shutdown_worker(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ShutdownWorkerRequest *q = rpc->request;
    if (!check_id(rpc, "sticky task queue", q->sticky_task_queue, false) || !check_id(rpc, "identity", q->identity, false)) return;
    if (!str_is_empty(q->sticky_task_queue)) matching_drop_sticky(f->env.matching, rpc->ns->key, q->sticky_task_queue);
    RPC_REPLY(rpc, pb_ws_ShutdownWorkerResponse, pb_new(rpc->arena, pb_ws_ShutdownWorkerResponse));
}

static const struct handler_row rows[] = {
    {pb_ws_PollWorkflowTaskQueue_method, poll_workflow_task, HANDLER_POLL},
    {pb_ws_RespondWorkflowTaskCompleted_method, complete_workflow_task, HANDLER_NO_NAMESPACE_OK},
    {pb_ws_RespondWorkflowTaskFailed_method, fail_workflow_task, HANDLER_NO_NAMESPACE_OK},
    {pb_ws_ShutdownWorker_method, shutdown_worker, 0},
};
const struct handler_table workflow_task_handlers = {rows, countof(rows)};
