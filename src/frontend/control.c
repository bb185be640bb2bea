/* RPCs of operators on one workflow: pause and unpause, other options, reset; and on its pending activities. */
#include "frontend/internal.h"

/* A step whose reply is empty, or filled by it. */
static void submit(struct frontend *f, struct rpc *rpc, struct str workflow_id, struct str run_id, err (*step)(struct op *op, struct execution *e, struct step *step))
{
    struct op *op = OP_NEW(rpc, struct op);
    op_init(op, f, rpc, workflow_id, run_id);
    op->step = step;
    op->reply_type = pb_method_response(rpc->method);
    op->reply = arena_zalloc(rpc->arena, op->reply_type->size);
    op_submit(op);
}

/* ---- workflows ---- */

static bool check_pause(struct rpc *rpc, struct str workflow_id, struct str run_id, struct str request_id, struct str identity, struct str reason)
{
    return check_id(rpc, "workflow id", workflow_id, true) && check_run_id(rpc, run_id) && check_id(rpc, "request id", request_id, false) &&
           check_id(rpc, "identity", identity, false) && check_id(rpc, "reason", reason, false);
}

static err pause_step(struct op *op, struct execution *e, struct step *step) { return execution_pause(e, step, op->rpc->request); }

static void pause_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_PauseWorkflowExecutionRequest *q = rpc->request;
    if (check_pause(rpc, q->workflow_id, q->run_id, q->request_id, q->identity, q->reason)) submit(f, rpc, q->workflow_id, q->run_id, pause_step);
}

static err unpause_step(struct op *op, struct execution *e, struct step *step) { return execution_unpause(e, step, op->rpc->request); }

static void unpause_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UnpauseWorkflowExecutionRequest *q = rpc->request;
    if (check_pause(rpc, q->workflow_id, q->run_id, q->request_id, q->identity, q->reason)) submit(f, rpc, q->workflow_id, q->run_id, unpause_step);
}

static err options_step(struct op *op, struct execution *e, struct step *step)
{
    pb_ws_UpdateWorkflowExecutionOptionsResponse *reply = pb_new(op->rpc->arena, pb_ws_UpdateWorkflowExecutionOptionsResponse);
    TRY(execution_update_options(e, step, op->rpc->request, reply));
    op->reply = reply;
    return ERR_NONE;
}

static void update_options(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UpdateWorkflowExecutionOptionsRequest *q = rpc->request;
    const pb_workflow_WorkflowExecutionOptions *options = q->workflow_execution_options;
    if (!check_execution(rpc, q->workflow_execution) || !check_id(rpc, "identity", q->identity, false) ||
        (options != NULL && !check_priority(rpc, options->priority)))
        return;
    submit(f, rpc, q->workflow_execution->workflow_id, q->workflow_execution->run_id, options_step);
}

/* ---- activities ---- */

static bool check_choice(struct rpc *rpc, const pb_common_WorkflowExecution *execution, struct str id, struct str type, struct str identity)
{
    return check_execution(rpc, execution) && check_id(rpc, "activity id", id, false) && check_id(rpc, "activity type", type, false) &&
           check_id(rpc, "identity", identity, false);
}

static err activity_pause_step(struct op *op, struct execution *e, struct step *step) { return execution_activity_pause(e, step, op->rpc->request); }

static void pause_activity(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_PauseActivityRequest *q = rpc->request;
    if (!check_choice(rpc, q->execution, q->id, q->type, q->identity) || !check_id(rpc, "reason", q->reason, false)) return;
    submit(f, rpc, q->execution->workflow_id, q->execution->run_id, activity_pause_step);
}

static err activity_unpause_step(struct op *op, struct execution *e, struct step *step) { return execution_activity_unpause(e, step, op->rpc->request); }

static void unpause_activity(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UnpauseActivityRequest *q = rpc->request;
    duration jitter;
    if (!check_choice(rpc, q->execution, q->id, q->type, q->identity) || !check_duration(rpc, "the jitter", q->jitter, &jitter)) return;
    submit(f, rpc, q->execution->workflow_id, q->execution->run_id, activity_unpause_step);
}

static err activity_reset_step(struct op *op, struct execution *e, struct step *step) { return execution_activity_reset(e, step, op->rpc->request); }

static void reset_activity(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ResetActivityRequest *q = rpc->request;
    duration jitter;
    if (!check_choice(rpc, q->execution, q->id, q->type, q->identity) || !check_duration(rpc, "the jitter", q->jitter, &jitter)) return;
    submit(f, rpc, q->execution->workflow_id, q->execution->run_id, activity_reset_step);
}

static err activity_options_step(struct op *op, struct execution *e, struct step *step)
{
    pb_ws_UpdateActivityOptionsResponse *reply = pb_new(op->rpc->arena, pb_ws_UpdateActivityOptionsResponse);
    TRY(execution_activity_update_options(e, step, op->rpc->request, reply));
    op->reply = reply;
    return ERR_NONE;
}

static void update_activity_options(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UpdateActivityOptionsRequest *q = rpc->request;
    const pb_activity_ActivityOptions *options = q->activity_options;
    if (!check_choice(rpc, q->execution, q->id, q->type, q->identity) ||
        (options != NULL && (!check_task_queue(rpc, options->task_queue, false) || !check_priority(rpc, options->priority))))
        return;
    submit(f, rpc, q->execution->workflow_id, q->execution->run_id, activity_options_step);
}

/* ---- reset ---- */

/* First the base run's history is read as far as it is, and what a reset needs of the runs that continued it as new. What has grown when
 * the step comes to run is read on. */
struct reset_part { struct str run_id; int64_t next; bool is_open; }; /* next: the event to read on from */
struct reset_op {
    struct op op;
    struct shard_history_read read;
    pb_ws_ResetWorkflowExecutionRequest request;
    struct reset_part base, last;            /* last: the newest run of the chain so far; empty run id: none */
    struct str bytes;                        /* of the base run's events, as a History message */
    struct buf later;                        /* of the others' */
    int round_count, run_count;
    bool is_reading_last, is_behind;
};
enum { RESET_ROUNDS_MAX = 100, RESET_RUNS_MAX = 10000 }; /* of a run that keeps writing while it is read; of a chain */
static const size_t reset_bytes_max = (size_t)256 << 20;

static void reset_read(struct reset_op *r);

static err reset_step(struct op *op, struct execution *base, struct step *step)
{
    struct reset_op *r = container_of(op, struct reset_op, op);
    const struct execution *current = op->call.current;
    pb_history_History *history = NULL, *later = NULL;
    pb_ws_ResetWorkflowExecutionResponse *reply = pb_new(op->rpc->arena, pb_ws_ResetWorkflowExecutionResponse);
    struct execution *run;
    bool has_current = r->last.is_open && current != NULL && str_equal(execution_run_id(current), r->last.run_id);
    r->is_reading_last = r->last.is_open && (!has_current || execution_next_event_id(current) > r->last.next);
    r->is_behind = r->is_reading_last || execution_next_event_id(base) > r->base.next;
    if (r->is_behind) return r->round_count < RESET_ROUNDS_MAX ? ERR_NONE : ERR_BUSY_WORKFLOW;
    if (PB_DECODE(step->arena, r->bytes, pb_history_History, &history) != ERR_NONE) return ERR_CORRUPT;
    if (PB_DECODE(step->arena, buf_view(&r->later), pb_history_History, &later) != ERR_NONE) return ERR_CORRUPT;
    const struct reset_chain chain = {.history = later, .reaches_current = has_current};
    TRY(workflow_reset(step, base, op->call.current, &r->request, history, &chain, reply, &run));
    op->reply = reply;
    return ERR_NONE;
}

static void reset_fail(struct reset_op *r, err result, const struct error *error)
{
    buf_fini(&r->later);
    rpc_error_of(r->op.rpc, result, error);
}

static void reset_done(struct op *op, err result)
{
    struct reset_op *r = container_of(op, struct reset_op, op);
    if (result != ERR_NONE) {
        reset_fail(r, result, &op->call.error);
    } else if (r->is_behind) {
        reset_read(r);
    } else {
        buf_fini(&r->later);
        rpc_reply(op->rpc, &pb_ws_ResetWorkflowExecutionResponse_type, op->reply);
    }
}

static void reset_submit(struct reset_op *r)
{
    struct rpc *rpc = r->op.rpc;
    struct frontend *f = r->op.f;
    r->op = (struct op){0};
    op_init(&r->op, f, rpc, r->request.workflow_execution->workflow_id, r->base.run_id);
    r->op.call.wants_current = true;
    r->op.step = reset_step;
    r->op.done = reset_done;
    op_submit(&r->op);
}

/* Takes a page in; *next_run: where the run went on, when this was its end. */
static err reset_take(struct reset_op *r, const struct shard_history_read *read, struct str *next_run)
{
    struct rpc *rpc = r->op.rpc;
    struct arena arena;
    pb_history_History *page;
    arena_init(&arena, 0, 0);
    err result = PB_DECODE_ALIAS(&arena, read->history, pb_history_History, &page);
    if (result == ERR_NONE && page->events_count != 0) {
        const pb_history_HistoryEvent *end = page->events[page->events_count - 1];
        if (read->next == 0 && end->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)
            *next_run = arena_str(rpc->arena, end->workflow_execution_continued_as_new_event_attributes->new_execution_run_id);
    }
    for (size_t i = 0; r->is_reading_last && result == ERR_NONE && i < page->events_count; i++) {
        pb_history_History one = {.events = &page->events[i], .events_count = 1};
        if (reset_needs(page->events[i])) pb_encode(&pb_history_History_type, &one, &r->later);
    }
    if (!r->is_reading_last) {
        char *joined = arena_alloc(rpc->arena, r->bytes.size + read->history.size + 1);
        if (r->bytes.size != 0) memcpy(joined, r->bytes.data, r->bytes.size);
        if (read->history.size != 0) memcpy(joined + r->bytes.size, read->history.data, read->history.size);
        r->bytes = (struct str){joined, r->bytes.size + read->history.size};
    }
    arena_fini(&arena);
    return result == ERR_NONE && r->later.size > reset_bytes_max ? ERR_LIMIT : result;
}

static void reset_read_done(struct shard_history_read *read, err result)
{
    struct reset_op *r = container_of(read, struct reset_op, read);
    struct rpc *rpc = r->op.rpc;
    struct reset_part *part = r->is_reading_last ? &r->last : &r->base;
    struct str next_run = STR_EMPTY;
    bool is_over = rpc->is_answered || rpc->is_cancelled;
    bool is_gone = r->is_reading_last && result == ERR_WORKFLOW_NOT_FOUND; /* deleted: the chain is known up to here */
    if (!is_over && result == ERR_NONE) result = reset_take(r, read, &next_run);
    if (is_over) {
        buf_fini(&r->later);
    } else if (is_gone) {
        r->last.is_open = false;
        reset_submit(r);
    } else if (result != ERR_NONE) {
        reset_fail(r, result, &read->call.error);
    } else {
        part->run_id = arena_str(rpc->arena, read->run_id);
        part->next = read->next != 0 ? read->next : read->next_event_id;
        part->is_open = read->is_open;
        if (next_run.size != 0 && ++r->run_count <= RESET_RUNS_MAX) {
            r->last = (struct reset_part){.run_id = next_run, .next = 1};
            r->is_reading_last = true;
            reset_read(r);
        } else if (read->next != 0) {
            reset_read(r);
        } else {
            reset_submit(r);
        }
    }
    rpc_let_go(rpc);
}

/* The base run in one page where it fits: its whole history is decoded in any case. */
static void reset_read(struct reset_op *r)
{
    struct rpc *rpc = r->op.rpc;
    const struct reset_part *part = r->is_reading_last ? &r->last : &r->base;
    r->round_count += r->is_behind;
    r->is_behind = false;
    r->read = (struct shard_history_read){
        .call = {.namespace_key = rpc->ns->key, .workflow_id = r->request.workflow_execution->workflow_id, .run_id = part->run_id, .need = SHARD_NEEDS_RUN,
                 .arena = rpc->arena},
        .from = part->next, .events_max = r->is_reading_last ? 0 : SIZE_MAX, .bytes_max = r->is_reading_last ? 0 : SIZE_MAX, .done = reset_read_done};
    rpc_hold(rpc);
    shard_read_history(r->op.f->env.shard, &r->read);
}

static void reset_workflow(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ResetWorkflowExecutionRequest *q = rpc->request;
    if (!check_execution(rpc, q->workflow_execution) || !check_id(rpc, "request id", q->request_id, true) || !check_id(rpc, "reason", q->reason, false) ||
        !check_id(rpc, "identity", q->identity, false))
        return;
    struct reset_op *r = OP_NEW(rpc, struct reset_op);
    r->op.f = f;
    r->op.rpc = rpc;
    r->request = *q;
    r->base = (struct reset_part){.run_id = q->workflow_execution->run_id, .next = 1};
    reset_read(r);
}

static const struct handler_row rows[] = {
    {pb_ws_ResetWorkflowExecution_method, reset_workflow, 0},
    {pb_ws_PauseWorkflowExecution_method, pause_workflow, 0},
    {pb_ws_UnpauseWorkflowExecution_method, unpause_workflow, 0},
    {pb_ws_UpdateWorkflowExecutionOptions_method, update_options, 0},
    {pb_ws_PauseActivity_method, pause_activity, 0},
    {pb_ws_UnpauseActivity_method, unpause_activity, 0},
    {pb_ws_ResetActivity_method, reset_activity, 0},
    {pb_ws_UpdateActivityOptions_method, update_activity_options, 0},
};
const struct handler_table control_handlers = {rows, countof(rows)};
