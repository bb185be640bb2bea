/* RPCs of clients on one workflow execution: start, signal, cancel, terminate, describe, delete. */
#include "frontend/internal.h"

/* The events [from, next event id) are still in memory when a step has just written them. */
static void attach_cached(struct rpc *rpc, struct execution *e, int64_t from, pb_ws_PollWorkflowTaskQueueResponse *task)
{
    task->history = pb_new(rpc->arena, pb_history_History);
    task->history->unknown_ = arena_str(rpc->arena, execution_cached_range(e, from, execution_next_event_id(e)));
}

/* ---- start ---- */

struct start_op { struct op op; pb_ws_StartWorkflowExecutionRequest request; };

static bool check_start_times(struct rpc *rpc, const pb_google_Duration *execution, const pb_google_Duration *run, const pb_google_Duration *task,
                              const pb_google_Duration *delay, struct str cron)
{
    duration d;
    if (!check_duration(rpc, "the workflow execution timeout", execution, &d) || !check_duration(rpc, "the workflow run timeout", run, &d) ||
        !check_duration(rpc, "the workflow task timeout", task, &d) || !check_duration(rpc, "the start delay", delay, &d))
        return false;
    if (d.ns != 0 && !str_is_empty(cron)) {
        rpc_error(rpc, ERR_INVALID, "a cron schedule and a start delay exclude each other");
        return false;
    }
    return true;
}

/* Source: limits-and-errors, section 8, StartWorkflowExecution and SignalWithStart. */
static bool check_policies(struct rpc *rpc, int32_t reuse, int32_t conflict, bool is_signal)
{
    const char *problem = NULL;
    if (reuse == WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING && conflict != WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED)
        problem = "the id reuse policy TERMINATE_IF_RUNNING and an id conflict policy exclude each other";
    else if (conflict == WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING && reuse == WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE)
        problem = "the id conflict policy TERMINATE_EXISTING and the id reuse policy REJECT_DUPLICATE exclude each other";
    else if (is_signal && conflict == WORKFLOW_ID_CONFLICT_POLICY_FAIL)
        problem = "signal-with-start can not have the id conflict policy FAIL";
    if (problem == NULL) return true;
    rpc_error(rpc, ERR_INVALID, "%s", problem);
    return false;
}

static bool check_may_start(struct rpc *rpc)
{
    int32_t state = namespace_state(rpc->frontend, rpc->ns);
    if (state == NAMESPACE_STATE_REGISTERED) return true;
    pb_errordetails_NamespaceInvalidStateFailure *detail = pb_new(rpc->arena, pb_errordetails_NamespaceInvalidStateFailure);
    detail->namespace = rpc->ns->name;
    detail->state = state;
    PB_PUSH(rpc->arena, detail, allowed_states) = NAMESPACE_STATE_REGISTERED;
    rpc_error_detail(rpc, ERR_PRECONDITION, &pb_errordetails_NamespaceInvalidStateFailure_type, detail, "the namespace %.*s takes no new workflows", STR_ARG(rpc->ns->name));
    return false;
}

static struct str request_id_or_new(struct rpc *rpc, struct str request_id)
{
    return !str_is_empty(request_id) ? request_id : rpc_uuid(rpc);
}

bool check_start_request(struct rpc *rpc, const pb_ws_StartWorkflowExecutionRequest *q)
{
    return check_may_start(rpc) && check_id(rpc, "workflow id", q->workflow_id, true) &&
           check_id(rpc, "workflow type", q->workflow_type != NULL ? q->workflow_type->name : STR_EMPTY, true) &&
           check_task_queue(rpc, q->task_queue, true) && check_id(rpc, "request id", q->request_id, false) &&
           check_id(rpc, "identity", q->identity, false) &&
           check_start_times(rpc, q->workflow_execution_timeout, q->workflow_run_timeout, q->workflow_task_timeout, q->workflow_start_delay, q->cron_schedule) &&
           check_policies(rpc, q->workflow_id_reuse_policy, q->workflow_id_conflict_policy, false) && check_retry_policy(rpc, q->retry_policy) &&
           check_payloads(rpc, "the input", q->input) && check_memo(rpc, q->memo) && check_search_attributes(rpc, q->search_attributes) &&
           check_priority(rpc, q->priority) && check_links(rpc, q->links, q->links_count) &&
           check_callbacks(rpc, q->completion_callbacks, q->completion_callbacks_count);
}

static err start_step(struct op *base, struct execution *current, struct step *step)
{
    struct start_op *op = container_of(base, struct start_op, op);
    pb_ws_StartWorkflowExecutionResponse *reply;
    struct execution *run;
    TRY(workflow_start(step, current, &op->request, &reply, &run));
    if (reply->eager_workflow_task != NULL) attach_cached(base->rpc, run, 1, reply->eager_workflow_task);
    base->reply = reply;
    return ERR_NONE;
}

static void start_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_StartWorkflowExecutionRequest *q = rpc->request;
    if (!check_start_request(rpc, q)) return;
    struct start_op *op = OP_NEW(rpc, struct start_op);
    op_init(&op->op, f, rpc, q->workflow_id, STR_EMPTY);
    op->request = *q;
    op->request.request_id = request_id_or_new(rpc, q->request_id);
    op->op.call.need = SHARD_MAY_LACK_RUN;
    op->op.step = start_step;
    op->op.reply_type = &pb_ws_StartWorkflowExecutionResponse_type;
    op_submit(&op->op);
}

struct signal_start_op { struct op op; pb_ws_SignalWithStartWorkflowExecutionRequest request; };

static err signal_start_step(struct op *base, struct execution *current, struct step *step)
{
    struct signal_start_op *op = container_of(base, struct signal_start_op, op);
    pb_ws_SignalWithStartWorkflowExecutionResponse *reply;
    TRY(workflow_signal_with_start(step, current, &op->request, &reply));
    base->reply = reply;
    return ERR_NONE;
}

static void signal_with_start(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_SignalWithStartWorkflowExecutionRequest *q = rpc->request;
    if (!check_may_start(rpc) || !check_id(rpc, "workflow id", q->workflow_id, true) ||
        !check_id(rpc, "workflow type", q->workflow_type != NULL ? q->workflow_type->name : STR_EMPTY, true) ||
        !check_task_queue(rpc, q->task_queue, true) || !check_id(rpc, "signal name", q->signal_name, true) ||
        !check_id(rpc, "request id", q->request_id, false) || !check_id(rpc, "identity", q->identity, false) ||
        !check_start_times(rpc, q->workflow_execution_timeout, q->workflow_run_timeout, q->workflow_task_timeout, q->workflow_start_delay, q->cron_schedule) ||
        !check_policies(rpc, q->workflow_id_reuse_policy, q->workflow_id_conflict_policy, true) || !check_retry_policy(rpc, q->retry_policy) ||
        !check_payloads(rpc, "the input", q->input) || !check_payloads(rpc, "the signal's input", q->signal_input) || !check_memo(rpc, q->memo) ||
        !check_search_attributes(rpc, q->search_attributes) || !check_priority(rpc, q->priority) || !check_links(rpc, q->links, q->links_count))
        return;
    struct signal_start_op *op = OP_NEW(rpc, struct signal_start_op);
    op_init(&op->op, f, rpc, q->workflow_id, STR_EMPTY);
    op->request = *q;
    op->request.request_id = request_id_or_new(rpc, q->request_id);
    op->op.call.need = SHARD_MAY_LACK_RUN;
    op->op.step = signal_start_step;
    op->op.reply_type = &pb_ws_SignalWithStartWorkflowExecutionResponse_type;
    op_submit(&op->op);
}

/* ---- signal, cancel, terminate ---- */

static err signal_step(struct op *op, struct execution *e, struct step *step) { return execution_signal(e, step, op->rpc->request); }

static void signal_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_SignalWorkflowExecutionRequest *q = rpc->request;
    if (!check_execution(rpc, q->workflow_execution) || !check_id(rpc, "signal name", q->signal_name, true) ||
        !check_id(rpc, "request id", q->request_id, false) || !check_id(rpc, "identity", q->identity, false) ||
        !check_payloads(rpc, "the signal's input", q->input) || !check_links(rpc, q->links, q->links_count))
        return;
    struct op *op = OP_NEW(rpc, struct op);
    op_init(op, f, rpc, q->workflow_execution->workflow_id, q->workflow_execution->run_id);
    op->step = signal_step;
    op->reply_type = &pb_ws_SignalWorkflowExecutionResponse_type;
    op->reply = pb_new(rpc->arena, pb_ws_SignalWorkflowExecutionResponse);
    op_submit(op);
}

static err cancel_step(struct op *op, struct execution *e, struct step *step) { return execution_request_cancel(e, step, op->rpc->request); }

static void request_cancel(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RequestCancelWorkflowExecutionRequest *q = rpc->request;
    if (!check_execution(rpc, q->workflow_execution) || !check_run_id(rpc, q->first_execution_run_id) ||
        !check_id(rpc, "request id", q->request_id, false) || !check_id(rpc, "identity", q->identity, false) ||
        !check_id(rpc, "reason", q->reason, false) || !check_links(rpc, q->links, q->links_count))
        return;
    struct op *op = OP_NEW(rpc, struct op);
    op_init(op, f, rpc, q->workflow_execution->workflow_id, q->workflow_execution->run_id);
    op->step = cancel_step;
    op->reply_type = &pb_ws_RequestCancelWorkflowExecutionResponse_type;
    op->reply = pb_new(rpc->arena, pb_ws_RequestCancelWorkflowExecutionResponse);
    op_submit(op);
}

static err terminate_step(struct op *op, struct execution *e, struct step *step)
{
    const pb_ws_TerminateWorkflowExecutionRequest *q = op->rpc->request;
    return execution_terminate(e, step, q->reason, q->details, q->identity, q->first_execution_run_id);
}

static void terminate_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_TerminateWorkflowExecutionRequest *q = rpc->request;
    if (!check_execution(rpc, q->workflow_execution) || !check_run_id(rpc, q->first_execution_run_id) ||
        !check_id(rpc, "reason", q->reason, false) || !check_id(rpc, "identity", q->identity, false) ||
        !check_payloads(rpc, "the details", q->details) || !check_links(rpc, q->links, q->links_count))
        return;
    struct op *op = OP_NEW(rpc, struct op);
    op_init(op, f, rpc, q->workflow_execution->workflow_id, q->workflow_execution->run_id);
    op->step = terminate_step;
    op->reply_type = &pb_ws_TerminateWorkflowExecutionResponse_type;
    op->reply = pb_new(rpc->arena, pb_ws_TerminateWorkflowExecutionResponse);
    op_submit(op);
}

/* ---- describe, delete ---- */

static err describe_step(struct op *op, struct execution *e, struct step *step)
{
    pb_ws_DescribeWorkflowExecutionResponse *reply = pb_new(op->rpc->arena, pb_ws_DescribeWorkflowExecutionResponse);
    execution_describe(e, step->now, op->rpc->arena, reply);
    op->reply = reply;
    return ERR_NONE;
}

static void describe_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DescribeWorkflowExecutionRequest *q = rpc->request;
    if (!check_execution(rpc, q->execution)) return;
    struct op *op = OP_NEW(rpc, struct op);
    op_init(op, f, rpc, q->execution->workflow_id, q->execution->run_id);
    op->step = describe_step;
    op->reply_type = &pb_ws_DescribeWorkflowExecutionResponse_type;
    op_submit(op);
}

/* An open run is terminated in the same commit that deletes it. */
static err delete_step(struct op *op UNUSED, struct execution *e, struct step *step)
{
    if (!execution_is_open(e)) return ERR_NONE;
    return execution_terminate(e, step, STR("deleted by a client"), NULL, STR("history-service"), STR_EMPTY);
}

static void delete_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DeleteWorkflowExecutionRequest *q = rpc->request;
    if (!check_execution(rpc, q->workflow_execution)) return;
    struct op *op = OP_NEW(rpc, struct op);
    op_init(op, f, rpc, q->workflow_execution->workflow_id, q->workflow_execution->run_id);
    op->call.is_delete = true;
    op->step = delete_step;
    op->reply_type = &pb_ws_DeleteWorkflowExecutionResponse_type;
    op->reply = pb_new(rpc->arena, pb_ws_DeleteWorkflowExecutionResponse);
    op_submit(op);
}

static err reset_sticky_step(struct op *op UNUSED, struct execution *e, struct step *step)
{
    if (!execution_is_open(e)) return ERR_WORKFLOW_CLOSED;
    execution_forget_sticky(e, step);
    return ERR_NONE;
}

static void reset_sticky(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ResetStickyTaskQueueRequest *q = rpc->request;
    if (!check_execution(rpc, q->execution)) return;
    struct op *op = OP_NEW(rpc, struct op);
    op_init(op, f, rpc, q->execution->workflow_id, q->execution->run_id);
    op->step = reset_sticky_step;
    op->reply_type = &pb_ws_ResetStickyTaskQueueResponse_type;
    op->reply = pb_new(rpc->arena, pb_ws_ResetStickyTaskQueueResponse);
    op_submit(op);
}

static const struct handler_row rows[] = {
    {pb_ws_StartWorkflowExecution_method, start_workflow, 0},
    {pb_ws_SignalWithStartWorkflowExecution_method, signal_with_start, 0},
    {pb_ws_SignalWorkflowExecution_method, signal_workflow, 0},
    {pb_ws_RequestCancelWorkflowExecution_method, request_cancel, 0},
    {pb_ws_TerminateWorkflowExecution_method, terminate_workflow, 0},
    {pb_ws_DescribeWorkflowExecution_method, describe_workflow, 0},
    {pb_ws_DeleteWorkflowExecution_method, delete_workflow, 0},
    {pb_ws_ResetStickyTaskQueue_method, reset_sticky, 0},
};
const struct handler_table workflow_handlers = {rows, countof(rows)};
