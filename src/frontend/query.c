/* Queries: read-only calls into workflow code.
 *
 *            look at the run
 *   LOOKING ───────────────► BUFFERED  a workflow task is pending: the query rides in it, its answer in the completion
 *      │  ▲                     │ task closed without an answer: look again
 *      │  └─────────────────────┘
 *      └───────────────────► WAITING   in matching, on the sticky queue first, then on the normal one
 *                               │ a worker polls
 *                               ▼
 *                            DELIVERED answered by RespondQueryTaskCompleted, or the caller's deadline passes
 *
 * Everything here is in memory only: a query that is lost with the process is the caller's to repeat. */
#include "frontend/poll.h"

#include <stdlib.h>

enum query_state { QUERY_LOOKING, QUERY_BUFFERED, QUERY_WAITING, QUERY_DELIVERED };

struct query {
    struct op look;
    struct rpc *rpc;
    struct frontend *f;
    enum query_state state;
    struct str id;
    struct matching_query wait;
    struct shard_watch watch;
    struct list run_link;       /* frontend.queries: those of one run */
    run_key run;
    bool is_watching, is_notified, avoids_sticky;
    /* what the look found */
    bool is_sticky;
    struct str queue, normal_queue;
    duration sticky_timeout;
    int32_t reject_status;      /* not 0: the reject condition holds */
};

struct run_queries { struct list queries; };

static const int64_t DEADLINE_DEFAULT_MS = 30000;

static void look(struct query *q);

/* Takes the query out of whatever it waits in; before its answer, and when the caller leaves. */
static void query_end(struct query *q)
{
    struct frontend *f = q->f;
    if (q->is_watching) shard_watch_remove(f->env.shard, &q->watch);
    q->is_watching = false;
    if (q->state == QUERY_WAITING) (void)matching_cancel_query(f->env.matching, &q->wait);
    map_remove(&f->queries_by_id, q->id);
    if (!list_is_linked(&q->run_link)) return;
    struct run_queries *rq = map_u64_get(&f->queries_by_run, (uint64_t)q->run);
    list_remove(&q->run_link);
    if (rq != NULL && list_is_empty(&rq->queries)) free(map_u64_remove(&f->queries_by_run, (uint64_t)q->run));
}

static void on_cancel(struct rpc *rpc) { query_end(rpc->state); }

static void query_fail(struct query *q, err code, const char *words)
{
    query_end(q);
    struct error e = {.code = code, .message = str_of(words)};
    if (code == ERR_WORKFLOW_NOT_READY) {
        e.detail_type = &pb_errordetails_WorkflowNotReadyFailure_type;
        e.detail = pb_new(q->rpc->arena, pb_errordetails_WorkflowNotReadyFailure);
    }
    if (code == ERR_BUSY_WORKFLOW) {
        pb_errordetails_ResourceExhaustedFailure *detail = pb_new(q->rpc->arena, pb_errordetails_ResourceExhaustedFailure);
        detail->cause = RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW;
        detail->scope = RESOURCE_EXHAUSTED_SCOPE_NAMESPACE;
        e.detail_type = &pb_errordetails_ResourceExhaustedFailure_type;
        e.detail = detail;
    }
    rpc_fail(q->rpc, &e);
}

static void query_answer(struct query *q, int32_t result_type, const pb_common_Payloads *answer, struct str message, const pb_failure_Failure *failure)
{
    query_end(q);
    if (result_type == QUERY_RESULT_TYPE_ANSWERED) {
        pb_ws_QueryWorkflowResponse *reply = pb_new(q->rpc->arena, pb_ws_QueryWorkflowResponse);
        reply->query_result = (pb_common_Payloads *)(uintptr_t)answer;
        RPC_REPLY(q->rpc, pb_ws_QueryWorkflowResponse, reply);
        return;
    }
    struct error e = {.code = ERR_QUERY_FAILED, .message = message};
    pb_errordetails_QueryFailedFailure *detail = pb_new(q->rpc->arena, pb_errordetails_QueryFailedFailure);
    detail->failure = (pb_failure_Failure *)(uintptr_t)failure;
    e.detail_type = &pb_errordetails_QueryFailedFailure_type;
    e.detail = detail;
    rpc_fail(q->rpc, &e);
}

/* ---- looking at the run ---- */

static void on_notify(struct shard_watch *watch, enum notice_kind kind, struct str id UNUSED)
{
    struct query *q = container_of(watch, struct query, watch);
    if (kind != NOTICE_WORKFLOW_TASK_CLOSED && kind != NOTICE_CLOSED) return;
    if (q->state == QUERY_LOOKING) {
        q->is_notified = true;
        return;
    }
    shard_watch_remove(q->f->env.shard, &q->watch);
    q->is_watching = false;
    look(q);
}

static bool is_rejected(int32_t status, int32_t condition)
{
    if (status == WORKFLOW_EXECUTION_STATUS_PAUSED) return true;
    if (condition == QUERY_REJECT_CONDITION_NOT_OPEN) return status != WORKFLOW_EXECUTION_STATUS_RUNNING;
    if (condition != QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY) return false;
    return status != WORKFLOW_EXECUTION_STATUS_RUNNING && status != WORKFLOW_EXECUTION_STATUS_COMPLETED;
}

static size_t buffered_count(struct frontend *f, run_key run)
{
    struct run_queries *rq = map_u64_get(&f->queries_by_run, (uint64_t)run);
    size_t n = 0;
    if (rq != NULL) list_each(link, &rq->queries) n += container_of(link, struct query, run_link)->state == QUERY_BUFFERED;
    return n;
}

static err look_step(struct op *op, struct execution *e, struct step *step)
{
    enum { FAILING_ATTEMPTS = 3 };
    struct query *q = container_of(op, struct query, look);
    const pb_ws_QueryWorkflowRequest *request = q->rpc->request;
    /* The caller left, or a completion brought the answer, while this look was on its way: nobody would end a watch. */
    if (q->rpc->is_cancelled || q->rpc->is_answered) return ERR_CANCELLED;
    bool is_open = execution_is_open(e);
    q->run = execution_run(e);
    q->look.call.run_id = arena_str(q->rpc->arena, execution_run_id(e)); /* a later look means the same run */
    q->reject_status = is_rejected(execution_status(e), request->query_reject_condition) ? execution_status(e) : 0;
    if (q->reject_status != 0) return ERR_NONE;
    if (!is_open && !execution_has_completed_workflow_task(e))
        return error_set(step->error, step->arena, ERR_WORKFLOW_NOT_READY, "the workflow closed before a worker ever ran it");
    if (is_open && execution_has_workflow_task(e) && execution_workflow_task_attempt(e) > FAILING_ATTEMPTS)
        return error_set(step->error, step->arena, ERR_WORKFLOW_NOT_READY, "the workflow task fails again and again");
    if (is_open && (execution_has_workflow_task(e) || !execution_has_completed_workflow_task(e))) {
        if (buffered_count(q->f, q->run) >= (size_t)step->limits->buffered_queries_max)
            return error_set(step->error, step->arena, ERR_BUSY_WORKFLOW, "another query waits for this workflow already");
        q->watch.run = q->run;
        q->watch.notify = on_notify;
        shard_watch_add(q->f->env.shard, &q->watch);
        q->is_watching = true;
        return ERR_NONE;
    }
    struct str queue, normal;
    execution_query_queue(e, &queue, &q->is_sticky, &normal, &q->sticky_timeout);
    q->queue = arena_str(q->rpc->arena, queue);
    q->normal_queue = arena_str(q->rpc->arena, normal);
    return ERR_NONE;
}

static void dispatch(struct query *q);

static void on_expired(struct matching_query *wait)
{
    struct query *q = container_of(wait, struct query, wait);
    bool is_late = !instant_before(q->f->now, q->rpc->deadline); /* the call's own timer is about to say the same */
    if (q->wait.is_sticky && !is_late) { /* its worker is gone or busy: any other will do */
        q->avoids_sticky = true;
        dispatch(q);
        return;
    }
    q->state = QUERY_DELIVERED; /* matching has let go of it */
    query_fail(q, ERR_DEADLINE, "no worker took the query in time; is one polling this task queue?");
}

static void dispatch(struct query *q)
{
    struct frontend *f = q->f;
    bool is_sticky = q->is_sticky && !q->avoids_sticky && matching_has_pollers(f->env.matching, q->rpc->ns->key, q->queue, QUEUE_WORKFLOW, true);
    struct str queue = is_sticky || !q->is_sticky ? q->queue : q->normal_queue;
    if (!is_sticky && !matching_has_pollers(f->env.matching, q->rpc->ns->key, queue, QUEUE_WORKFLOW, false)) {
        q->state = QUERY_DELIVERED;
        query_fail(q, ERR_PRECONDITION, "no worker polls the workflow's task queue");
        return;
    }
    instant deadline = q->rpc->deadline.ns != INSTANT_NEVER.ns ? q->rpc->deadline : instant_add(f->now, duration_ms(DEADLINE_DEFAULT_MS));
    if (is_sticky && q->sticky_timeout.ns != 0) deadline = instant_min(deadline, instant_add(f->now, q->sticky_timeout));
    q->wait = (struct matching_query){
        .namespace_key = q->rpc->ns->key, .run = q->run, .workflow_id = q->look.call.workflow_id, .run_id = q->look.call.run_id,
        .queue = queue, .normal_queue = q->normal_queue, .is_sticky = is_sticky, .kind = QUEUE_WORKFLOW, .deadline = deadline, .on_expired = on_expired,
    };
    q->state = QUERY_WAITING;
    err result = matching_query(f->env.matching, &q->wait);
    if (result == ERR_NONE) return;
    q->state = QUERY_DELIVERED;
    query_fail(q, result, "too many queries wait on this task queue");
}

static void look_done(struct op *op, err result)
{
    struct query *q = container_of(op, struct query, look);
    if (result != ERR_NONE) {
        query_end(q);
        if (result == ERR_WORKFLOW_NOT_READY || result == ERR_BUSY_WORKFLOW) query_fail(q, result, arena_cstr(q->rpc->arena, error_message(&op->call.error)));
        else rpc_error_of(q->rpc, result, &op->call.error);
    } else if (q->reject_status != 0) {
        query_end(q);
        pb_ws_QueryWorkflowResponse *reply = pb_new(q->rpc->arena, pb_ws_QueryWorkflowResponse);
        reply->query_rejected = pb_new(q->rpc->arena, pb_query_QueryRejected);
        reply->query_rejected->status = q->reject_status;
        RPC_REPLY(q->rpc, pb_ws_QueryWorkflowResponse, reply);
    } else if (q->is_watching && q->is_notified) {
        shard_watch_remove(q->f->env.shard, &q->watch);
        q->is_watching = false;
        look(q);
    } else if (q->is_watching) {
        q->state = QUERY_BUFFERED;
        if (list_is_linked(&q->run_link)) return;
        struct run_queries *rq = map_u64_get(&q->f->queries_by_run, (uint64_t)q->run);
        if (rq == NULL) {
            rq = xcalloc(1, sizeof *rq);
            list_init(&rq->queries);
            map_u64_put(&q->f->queries_by_run, (uint64_t)q->run, rq);
        }
        list_push(&rq->queries, &q->run_link);
    } else {
        dispatch(q);
    }
}

static void look(struct query *q)
{
    struct str workflow_id = q->look.call.workflow_id, run_id = q->look.call.run_id;
    q->state = QUERY_LOOKING;
    q->is_notified = false;
    q->look = (struct op){0};
    op_init(&q->look, q->f, q->rpc, workflow_id, run_id);
    q->look.step = look_step;
    q->look.done = look_done;
    op_submit(&q->look);
}

static void query_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_QueryWorkflowRequest *request = rpc->request;
    if (!check_execution(rpc, request->execution)) return;
    if (request->query == NULL) {
        rpc_error(rpc, ERR_INVALID, "the query is missing");
        return;
    }
    if (!check_id(rpc, "query type", request->query->query_type, true) || !check_payloads(rpc, "the query's arguments", request->query->query_args)) return;
    struct query *q = arena_new(rpc->arena, struct query);
    q->f = f;
    q->rpc = rpc;
    q->id = rpc_uuid(rpc);
    q->look.call.workflow_id = request->execution->workflow_id;
    q->look.call.run_id = request->execution->run_id;
    rpc->state = q;
    rpc->on_cancel = on_cancel;
    map_put(&f->queries_by_id, q->id, q);
    look(q);
}

/* ---- riding in workflow tasks ---- */

void queries_attach(struct frontend *f, run_key run, struct arena *arena, pb_ws_PollWorkflowTaskQueueResponse *task)
{
    struct run_queries *rq = map_u64_get(&f->queries_by_run, (uint64_t)run);
    if (rq == NULL) return;
    list_each(link, &rq->queries) {
        struct query *q = container_of(link, struct query, run_link);
        if (q->state != QUERY_BUFFERED) continue;
        const pb_ws_QueryWorkflowRequest *request = q->rpc->request;
        pb_ws_PollWorkflowTaskQueueResponse_QueriesEntry *entry = PB_PUSH_NEW(arena, task, queries);
        entry->key = arena_str(arena, q->id);
        entry->value = PB_CLONE(arena, pb_query_WorkflowQuery, request->query);
    }
}

void queries_answer(struct frontend *f, run_key run, pb_ws_RespondWorkflowTaskCompletedRequest_QueryResultsEntry *const *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct query *q = map_get(&f->queries_by_id, results[i]->key);
        const pb_query_WorkflowQueryResult *r = results[i]->value;
        if (q == NULL || q->run != run || r == NULL) continue;
        query_answer(q, r->result_type, r->answer, r->error_message, r->failure);
    }
}

/* ---- query tasks ---- */

struct query_delivery {
    struct op op;                 /* of the poll that got the query */
    struct task_poll *poll;
    struct str query_id;          /* the query may end meanwhile */
    pb_ws_PollWorkflowTaskQueueResponse *reply;
    struct task_history_read history;
    bool is_sticky;
};

static void delivery_ready(struct task_history_read *read, err result)
{
    struct query_delivery *d = container_of(read, struct query_delivery, history);
    if (result != ERR_NONE) rpc_error_of(read->rpc, result, &read->read.call.error);
    else RPC_REPLY(read->rpc, pb_ws_PollWorkflowTaskQueueResponse, d->reply);
    rpc_let_go(read->rpc);
}

static err delivery_step(struct op *op, struct execution *e, struct step *step UNUSED)
{
    struct query_delivery *d = container_of(op, struct query_delivery, op);
    struct arena *arena = op->rpc->arena;
    struct query *q = map_get(&op->f->queries_by_id, d->query_id);
    if (q == NULL) return ERR_TASK_GONE;
    const pb_ws_QueryWorkflowRequest *request = q->rpc->request;
    pb_ws_PollWorkflowTaskQueueResponse *reply = d->reply = pb_new(arena, pb_ws_PollWorkflowTaskQueueResponse);
    const struct namespace_info *ns = execution_namespace(e);
    const pb_store_TaskToken token = {
        .kind = TASK_TOKEN_KIND_QUERY, .namespace_key = ns->key, .namespace_id = ns->id, .run_key = execution_run(e),
        .workflow_id = execution_workflow_id(e), .run_id = execution_run_id(e), .query_id = d->query_id,
    };
    reply->task_token = token_encode(arena, &token);
    reply->workflow_execution = pb_new(arena, pb_common_WorkflowExecution);
    reply->workflow_execution->workflow_id = arena_str(arena, execution_workflow_id(e));
    reply->workflow_execution->run_id = arena_str(arena, execution_run_id(e));
    reply->workflow_type = pb_new(arena, pb_common_WorkflowType);
    reply->workflow_type->name = arena_str(arena, execution_type(e));
    reply->previous_started_event_id = execution_previous_started_event_id(e);
    reply->query = PB_CLONE(arena, pb_query_WorkflowQuery, request->query);
    reply->attempt = 1;
    reply->workflow_execution_task_queue = pb_new(arena, pb_taskqueue_TaskQueue);
    reply->workflow_execution_task_queue->name = arena_str(arena, q->is_sticky ? q->normal_queue : q->queue); /* the query may end before the history is read */
    reply->workflow_execution_task_queue->kind = TASK_QUEUE_KIND_NORMAL;
    /* From a sticky queue the run as it was after its last workflow task is asked: events since then are none of the query's business,
     * and a worker that has dropped the run asks for all of them. */
    const struct task_history history = {.from = 1, .to = execution_next_event_id(e), .is_empty = d->is_sticky};
    task_history_in_step(&d->history, op->rpc, e, &history, reply);
    return ERR_NONE;
}

static void delivery_done(struct op *op, err result)
{
    struct query_delivery *d = container_of(op, struct query_delivery, op);
    if (result != ERR_NONE) { /* the query or its run is gone: nothing to do, and the worker polls again */
        poll_answer_empty(d->poll);
        return;
    }
    rpc_hold(op->rpc);
    task_history_finish(&d->history, op->f, delivery_ready);
}

void query_deliver(struct task_poll *poll, struct matching_query *wait)
{
    struct query *q = container_of(wait, struct query, wait);
    struct query_delivery *d = OP_NEW(poll->rpc, struct query_delivery);
    q->state = QUERY_DELIVERED;
    d->poll = poll;
    d->is_sticky = q->wait.is_sticky;
    d->query_id = arena_str(poll->rpc->arena, q->id);
    matching_accept(poll->f->env.matching, &poll->wait);
    poll->rpc->on_cancel = NULL;
    op_init(&d->op, poll->f, poll->rpc, arena_str(poll->rpc->arena, q->look.call.workflow_id), arena_str(poll->rpc->arena, q->look.call.run_id));
    d->op.step = delivery_step;
    d->op.done = delivery_done;
    op_submit(&d->op);
}

static void respond_query(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RespondQueryTaskCompletedRequest *request = rpc->request;
    const pb_store_TaskToken *token = token_decode(rpc, request->task_token);
    if (token == NULL) return;
    if (token->kind != TASK_TOKEN_KIND_QUERY) {
        rpc_error(rpc, ERR_INVALID, "the task token is not one of a query");
        return;
    }
    struct query *q = map_get(&f->queries_by_id, token->query_id);
    if (q == NULL) {
        rpc_error(rpc, ERR_NOT_FOUND, "nobody waits for the answer of this query any more");
        return;
    }
    query_answer(q, request->completed_type, request->query_result, request->error_message, request->failure);
    RPC_REPLY(rpc, pb_ws_RespondQueryTaskCompletedResponse, pb_new(rpc->arena, pb_ws_RespondQueryTaskCompletedResponse));
}

static const struct handler_row rows[] = {
    {pb_ws_QueryWorkflow_method, query_workflow, 0},
    {pb_ws_RespondQueryTaskCompleted_method, respond_query, HANDLER_NO_NAMESPACE_OK},
};
const struct handler_table query_handlers = {rows, countof(rows)};
