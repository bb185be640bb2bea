/* Updates: requests that a workflow accepts or rejects, and answers. Alone, polled, or together with a start.
 *
 * A caller waits for a stage. The first look at the run admits the update (or finds it) and, within the same step, begins to
 * watch; a notice leads to the next look; after 20 s the answer is whatever stage there is. An update that is lost with the
 * process before its acceptance is admitted again by the caller's retry. */
#include "frontend/internal.h"

struct update_op {
    struct op look;
    struct shard_watch watch;
    struct rpc *rpc;
    struct frontend *f;
    struct str workflow_id, run_id, first_run_id, update_id;
    const pb_update_Request *request;        /* NULL: only poll */
    const pb_ws_StartWorkflowExecutionRequest *start; /* update-with-start, until the run is known */
    pb_ws_StartWorkflowExecutionResponse *started;
    bool is_start_failed;
    int32_t wanted;                          /* stage */
    struct update_view view;
    instant give_up;
    bool is_watching, is_looking, is_notified, was_waited;
    bool is_multi, is_admitted;
};

static void look(struct update_op *u);

/* ---- answers ---- */

static pb_update_UpdateRef *ref_of(struct update_op *u)
{
    struct arena *arena = u->rpc->arena;
    pb_update_UpdateRef *ref = pb_new(arena, pb_update_UpdateRef);
    ref->workflow_execution = pb_new(arena, pb_common_WorkflowExecution);
    ref->workflow_execution->workflow_id = u->workflow_id;
    ref->workflow_execution->run_id = u->run_id;
    ref->update_id = u->update_id;
    return ref;
}

static void answer(struct update_op *u)
{
    struct arena *arena = u->rpc->arena;
    if (u->request == NULL) {
        pb_ws_PollWorkflowExecutionUpdateResponse *reply = pb_new(arena, pb_ws_PollWorkflowExecutionUpdateResponse);
        reply->update_ref = ref_of(u);
        reply->stage = u->view.stage;
        reply->outcome = u->view.outcome;
        RPC_REPLY(u->rpc, pb_ws_PollWorkflowExecutionUpdateResponse, reply);
        return;
    }
    pb_ws_UpdateWorkflowExecutionResponse *reply = pb_new(arena, pb_ws_UpdateWorkflowExecutionResponse);
    reply->update_ref = ref_of(u);
    reply->stage = u->view.stage;
    reply->outcome = u->view.outcome;
    if (!u->is_multi) {
        RPC_REPLY(u->rpc, pb_ws_UpdateWorkflowExecutionResponse, reply);
        return;
    }
    pb_ws_ExecuteMultiOperationResponse *both = pb_new(arena, pb_ws_ExecuteMultiOperationResponse);
    pb_ws_ExecuteMultiOperationResponse_Response *first = PB_PUSH_NEW(arena, both, responses), *second = PB_PUSH_NEW(arena, both, responses);
    first->response_case = pb_ws_ExecuteMultiOperationResponse_Response_start_workflow_tag;
    first->start_workflow = u->started;
    second->response_case = pb_ws_ExecuteMultiOperationResponse_Response_update_workflow_tag;
    second->update_workflow = reply;
    RPC_REPLY(u->rpc, pb_ws_ExecuteMultiOperationResponse, both);
}

static pb_google_Any *any_of(struct arena *arena, const struct pb_message *type, const void *message)
{
    pb_google_Any *any = pb_new(arena, pb_google_Any);
    struct str name = pb_name(type->name);
    any->type_url = arena_printf(arena, "type.googleapis.com/%.*s", STR_ARG(name));
    any->value = pb_encode_arena(type, message, arena);
    return any;
}

/* Each operation's own status; the code of the whole is that of the one that failed for itself.
 * Source: limits-and-errors, section 7, MultiOperationExecution. */
static void wrap_multi(struct rpc *rpc, struct error *error)
{
    struct arena *arena = rpc->arena;
    const struct update_op *u = rpc->state;
    struct str words = arena_str(arena, error_message(error));
    pb_errordetails_MultiOperationExecutionFailure *detail = pb_new(arena, pb_errordetails_MultiOperationExecutionFailure);
    for (int i = 0; i < 2; i++) {
        pb_errordetails_MultiOperationExecutionFailure_OperationStatus *s = PB_PUSH_NEW(arena, detail, statuses);
        if ((i == 0) == u->is_start_failed) {
            s->code = (int32_t)error_grpc(error);
            s->message = words;
            if (error->detail_type != NULL) PB_PUSH(arena, s, details) = any_of(arena, error->detail_type, error->detail);
        } else {
            s->code = GRPC_ABORTED;
            s->message = STR("given up because the other operation failed");
            PB_PUSH(arena, s, details) = any_of(arena, &pb_failure_MultiOperationExecutionAborted_type, pb_new(arena, pb_failure_MultiOperationExecutionAborted));
        }
    }
    error->detail_type = &pb_errordetails_MultiOperationExecutionFailure_type;
    error->detail = detail;
    error->message = arena_printf(arena, "update-with-start failed: %.*s", STR_ARG(words));
}

/* ---- waiting ---- */

static void stop_watching(struct update_op *u)
{
    if (u->is_watching) shard_watch_remove(u->f->env.shard, &u->watch);
    u->is_watching = false;
}

static void on_notify(struct shard_watch *watch, enum notice_kind kind, struct str id)
{
    struct update_op *u = container_of(watch, struct update_op, watch);
    if (kind != NOTICE_CLOSED && (kind != NOTICE_UPDATE || !str_equal(id, u->update_id))) return;
    if (u->is_looking) {
        u->is_notified = true;
        return;
    }
    stop_watching(u);
    look(u);
}

static void on_cancel(struct rpc *rpc) { stop_watching(rpc->state); }

static void on_timer(struct rpc *rpc)
{
    struct update_op *u = rpc->state;
    stop_watching(u);
    u->was_waited = true;
    if (!u->is_looking) answer(u);
}

/* Clients look for the words "workflow execution not found". */
static err look_at(struct update_op *u, struct execution *e, struct step *step)
{
    if (!str_is_empty(u->first_run_id) && !str_equal(u->first_run_id, execution_first_run_id(e)))
        return error_set(step->error, step->arena, ERR_WORKFLOW_NOT_FOUND, "workflow execution not found: its chain does not begin with run %.*s", STR_ARG(u->first_run_id));
    err seen = u->request == NULL || u->is_admitted ? execution_update_view(e, step, u->update_id, &u->view) : ERR_NOT_FOUND;
    if (seen == ERR_NOT_FOUND && u->request != NULL) seen = execution_update(e, step, u->request, &u->view); /* the first look, or lost with the run's memory */
    return seen;
}

static err look_step(struct op *op, struct execution *e, struct step *step)
{
    struct update_op *u = container_of(op, struct update_op, look);
    if (u->start != NULL) {
        TRY(workflow_update_with_start(step, e, u->start, u->request, &u->started, &e, &u->view, &u->is_start_failed));
        u->start = NULL;
    } else {
        TRY(look_at(u, e, step));
    }
    u->is_admitted = true;
    u->run_id = arena_str(u->rpc->arena, execution_run_id(e)); /* later looks mean the same run */
    if (u->view.stage < u->wanted && !u->was_waited && !u->rpc->is_cancelled) {
        u->watch.run = execution_run(e);
        u->watch.notify = on_notify;
        shard_watch_add(u->f->env.shard, &u->watch);
        u->is_watching = true;
    }
    return ERR_NONE;
}

static void look_done(struct op *op, err result)
{
    struct update_op *u = container_of(op, struct update_op, look);
    u->is_looking = false;
    if (result != ERR_NONE) {
        stop_watching(u);
        rpc_error_of(u->rpc, result, &op->call.error);
    } else if (u->is_watching && u->is_notified) {
        stop_watching(u);
        look(u);
    } else if (u->is_watching) {
        rpc_timer(u->rpc, u->give_up, on_timer);
    } else {
        answer(u);
    }
}

static void look(struct update_op *u)
{
    u->is_looking = true;
    u->is_notified = false;
    u->look = (struct op){0};
    op_init(&u->look, u->f, u->rpc, u->workflow_id, u->run_id);
    u->look.call.need = u->start != NULL ? SHARD_MAY_LACK_RUN : SHARD_NEEDS_RUN;
    u->look.step = look_step;
    u->look.done = look_done;
    op_submit(&u->look);
}

/* ---- the RPCs ---- */

static struct update_op *update_new(struct frontend *f, struct rpc *rpc, const pb_common_WorkflowExecution *execution, const pb_update_WaitPolicy *wait)
{
    struct update_op *u = OP_NEW(rpc, struct update_op);
    u->f = f;
    u->rpc = rpc;
    u->workflow_id = execution->workflow_id;
    u->run_id = execution->run_id;
    u->wanted = wait != NULL ? wait->lifecycle_stage : UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_UNSPECIFIED;
    u->give_up = instant_add(f->now, duration_ms(f->settings.limits.history_long_poll_ms));
    if (rpc->deadline.ns != INSTANT_NEVER.ns) u->give_up = instant_min(u->give_up, instant_add(rpc->deadline, duration_ms(-500)));
    rpc->state = u;
    rpc->on_cancel = on_cancel;
    return u;
}

/* A copy of the request with an id of its own when the client gave none. */
static bool take_request(struct update_op *u, const pb_update_Request *request)
{
    struct rpc *rpc = u->rpc;
    if (request == NULL || request->input == NULL) {
        rpc_error(rpc, ERR_INVALID, "the update is missing");
        return false;
    }
    struct str id = request->meta != NULL ? request->meta->update_id : STR_EMPTY;
    if (!check_id(rpc, "update id", id, false) || !check_id(rpc, "update name", request->input->name, true) ||
        !check_id(rpc, "identity", request->meta != NULL ? request->meta->identity : STR_EMPTY, false) ||
        !check_payloads(rpc, "the update's arguments", request->input->args))
        return false;
    pb_update_Request *copy = pb_new(rpc->arena, pb_update_Request);
    *copy = *request;
    copy->meta = pb_new(rpc->arena, pb_update_Meta);
    if (request->meta != NULL) *copy->meta = *request->meta;
    if (str_is_empty(id)) copy->meta->update_id = rpc_uuid(rpc);
    u->request = copy;
    u->update_id = copy->meta->update_id;
    return true;
}

static bool check_stage(struct rpc *rpc, const pb_update_WaitPolicy *wait)
{
    int32_t stage = wait != NULL ? wait->lifecycle_stage : 0;
    if (stage == UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED) {
        rpc_error(rpc, ERR_DENIED, "waiting for the stage ADMITTED is not possible; wait for ACCEPTED or COMPLETED");
        return false;
    }
    if (stage >= 0 && stage <= UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED) return true;
    rpc_error(rpc, ERR_INVALID, "there is no update stage %d", (int)stage);
    return false;
}

/* Source: features sheet F073: who names no stage waits for the end. */
static void wait_for_the_end_by_default(struct update_op *u)
{
    if (u->wanted == UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_UNSPECIFIED) u->wanted = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED;
}

static void update_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UpdateWorkflowExecutionRequest *q = rpc->request;
    if (!check_execution(rpc, q->workflow_execution) || !check_run_id(rpc, q->first_execution_run_id) || !check_stage(rpc, q->wait_policy)) return;
    struct update_op *u = update_new(f, rpc, q->workflow_execution, q->wait_policy);
    u->first_run_id = q->first_execution_run_id;
    wait_for_the_end_by_default(u);
    if (take_request(u, q->request)) look(u);
}

/* Without a stage it is a look that does not wait. */
static void poll_update(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_PollWorkflowExecutionUpdateRequest *q = rpc->request;
    if (q->update_ref == NULL) {
        rpc_error(rpc, ERR_INVALID, "the update reference is missing");
        return;
    }
    if (!check_execution(rpc, q->update_ref->workflow_execution) || !check_id(rpc, "update id", q->update_ref->update_id, true) || !check_stage(rpc, q->wait_policy)) return;
    struct update_op *u = update_new(f, rpc, q->update_ref->workflow_execution, q->wait_policy);
    u->update_id = q->update_ref->update_id;
    look(u);
}

static void execute_multi(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ExecuteMultiOperationRequest *q = rpc->request;
    bool is_pair = q->operations_count == 2 && q->operations[0]->operation_case == pb_ws_ExecuteMultiOperationRequest_Operation_start_workflow_tag &&
                   q->operations[1]->operation_case == pb_ws_ExecuteMultiOperationRequest_Operation_update_workflow_tag;
    if (!is_pair) {
        rpc_error(rpc, ERR_INVALID, "a multi-operation is a start followed by an update");
        return;
    }
    const pb_ws_StartWorkflowExecutionRequest *start = q->operations[0]->start_workflow;
    const pb_ws_UpdateWorkflowExecutionRequest *update = q->operations[1]->update_workflow;
    if (update->workflow_execution == NULL) {
        rpc_error(rpc, ERR_INVALID, "the update names no workflow");
        return;
    }
    struct update_op *u = update_new(f, rpc, update->workflow_execution, update->wait_policy);
    rpc->on_error = wrap_multi;
    u->is_start_failed = true;
    if (!check_start_request(rpc, start)) return;
    const char *problem = NULL;
    if (!str_is_empty(start->cron_schedule)) problem = "update-with-start does not go with a cron schedule";
    else if (start->workflow_start_delay != NULL && pb_duration(start->workflow_start_delay).ns != 0) problem = "update-with-start does not go with a start delay";
    else if (start->request_eager_execution) problem = "update-with-start does not go with an eager start";
    u->is_start_failed = problem != NULL;
    if (problem == NULL && (!check_execution(rpc, update->workflow_execution) || !check_stage(rpc, update->wait_policy))) return;
    if (problem != NULL) ;
    else if (!str_equal(start->workflow_id, update->workflow_execution->workflow_id)) problem = "start and update name different workflow ids";
    else if (!str_is_empty(update->workflow_execution->run_id)) problem = "the update of an update-with-start must not name a run";
    else if (!str_is_empty(update->first_execution_run_id)) problem = "the update of an update-with-start must not name a first run";
    if (problem != NULL) {
        rpc_error(rpc, ERR_INVALID, "%s", problem);
        return;
    }
    u->is_multi = true;
    wait_for_the_end_by_default(u);
    if (!take_request(u, update->request)) return;
    pb_ws_StartWorkflowExecutionRequest *copy = pb_new(rpc->arena, pb_ws_StartWorkflowExecutionRequest);
    *copy = *start;
    if (str_is_empty(copy->request_id)) copy->request_id = rpc_uuid(rpc);
    u->start = copy;
    look(u);
}

static const struct handler_row rows[] = {
    {pb_ws_UpdateWorkflowExecution_method, update_workflow, 0},
    {pb_ws_PollWorkflowExecutionUpdate_method, poll_update, 0},
    {pb_ws_ExecuteMultiOperation_method, execute_multi, 0},
};
const struct handler_table update_handlers = {rows, countof(rows)};
