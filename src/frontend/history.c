/* Reading a run's history: in pages, waiting for new events or for the end, or from the end backwards. */
#include "frontend/internal.h"
#include "proto/perdure/frontend.h"

enum { PAGE_MAX = 256 };

struct history_op {
    struct op look;                 /* sees how far the run is, and begins to wait within the same step */
    struct shard_history_read read;
    struct shard_watch watch;
    struct rpc *rpc;
    struct frontend *f;
    pb_store_HistoryToken token;
    size_t page;
    bool wants_close, wants_new, is_reverse, hides_transient;
    bool is_watching, is_looking, is_notified, was_waited;
    bool is_open;
    int64_t next_event_id;
    struct str transient;
    instant give_up;
};

static void look(struct history_op *op);

static struct str token_of(struct history_op *op, int64_t next)
{
    pb_store_HistoryToken t = op->token;
    t.next_event_id = next;
    return PB_ENCODE_ARENA(pb_store_HistoryToken, &t, op->rpc->arena);
}

static void answer(struct history_op *op, struct str events, struct str transient, struct str token)
{
    struct arena *arena = op->rpc->arena;
    pb_history_History *history = pb_new(arena, pb_history_History);
    if (!str_is_empty(transient)) {
        char *joined = arena_alloc(arena, events.size + transient.size);
        if (events.size != 0) memcpy(joined, events.data, events.size);
        memcpy(joined + events.size, transient.data, transient.size);
        events = (struct str){joined, events.size + transient.size};
    }
    history->unknown_ = events;
    if (op->is_reverse) {
        pb_ws_GetWorkflowExecutionHistoryReverseResponse *reply = pb_new(arena, pb_ws_GetWorkflowExecutionHistoryReverseResponse);
        reply->history = history;
        reply->next_page_token = token;
        RPC_REPLY(op->rpc, pb_ws_GetWorkflowExecutionHistoryReverseResponse, reply);
    } else {
        pb_ws_GetWorkflowExecutionHistoryResponse *reply = pb_new(arena, pb_ws_GetWorkflowExecutionHistoryResponse);
        reply->history = history;
        reply->next_page_token = token;
        RPC_REPLY(op->rpc, pb_ws_GetWorkflowExecutionHistoryResponse, reply);
    }
}

/* ---- the page itself ---- */

static void read_done(struct shard_history_read *read, err result)
{
    struct history_op *op = container_of(read, struct history_op, read);
    struct rpc *rpc = op->rpc;
    if (!rpc->is_answered && !rpc->is_cancelled) {
        if (result != ERR_NONE) {
            rpc_error_of(rpc, result, &read->call.error);
        } else if (op->wants_close) {
            answer(op, read->history, STR_EMPTY, STR_EMPTY);
        } else if (read->next != 0) {
            answer(op, read->history, STR_EMPTY, token_of(op, read->next));
        } else {
            /* all there is now; who waits for more comes back with a token while the run is open */
            struct str transient = !str_is_empty(op->token.transient_events) ? op->token.transient_events : op->transient;
            struct str token = op->wants_new && op->is_open ? token_of(op, op->next_event_id) : STR_EMPTY;
            answer(op, read->history, op->is_reverse ? STR_EMPTY : transient, token);
        }
    }
    rpc_let_go(rpc);
}

static void read_page(struct history_op *op)
{
    struct rpc *rpc = op->rpc;
    op->read = (struct shard_history_read){
        .call = {.namespace_key = rpc->ns->key, .workflow_id = op->look.call.workflow_id, .run_id = op->token.run_id, .need = SHARD_NEEDS_RUN, .arena = rpc->arena},
        .from = op->wants_close && !op->is_reverse ? op->next_event_id - 1 : op->token.next_event_id,
        .to = op->is_reverse ? 0 : op->token.end_event_id != 0 ? op->token.end_event_id : op->next_event_id,
        .events_max = op->page,
        .is_reverse = op->is_reverse,
        .done = read_done,
    };
    rpc_hold(rpc);
    shard_read_history(op->f->env.shard, &op->read);
}

/* ---- waiting ---- */

static void stop_watching(struct history_op *op)
{
    if (op->is_watching) shard_watch_remove(op->f->env.shard, &op->watch);
    op->is_watching = false;
}

static void on_notify(struct shard_watch *watch, enum notice_kind kind, struct str id UNUSED)
{
    struct history_op *op = container_of(watch, struct history_op, watch);
    if (kind != NOTICE_CLOSED && (kind != NOTICE_NEW_EVENTS || op->wants_close)) return;
    if (op->is_looking) {
        op->is_notified = true;
        return;
    }
    stop_watching(op);
    look(op);
}

static void on_cancel(struct rpc *rpc) { stop_watching(rpc->state); }

static void on_timer(struct rpc *rpc)
{
    struct history_op *op = rpc->state;
    stop_watching(op);
    if (op->is_looking) op->was_waited = true; /* the look under way answers */
    else answer(op, STR_EMPTY, STR_EMPTY, token_of(op, op->token.next_event_id));
}

static err look_step(struct op *base, struct execution *e, struct step *step UNUSED)
{
    struct history_op *op = container_of(base, struct history_op, look);
    op->token.run_id = arena_str(base->rpc->arena, execution_run_id(e));
    op->next_event_id = execution_next_event_id(e);
    op->is_open = execution_is_open(e);
    if (op->token.next_event_id == 0) op->token.next_event_id = op->is_reverse ? op->next_event_id - 1 : 1;
    if (op->is_open && !op->wants_close && !op->is_reverse && !op->hides_transient && str_is_empty(op->token.transient_events))
        op->transient = execution_transient_events(e, base->rpc->arena);
    bool has_news = !op->is_open || (!op->wants_close && op->token.next_event_id < op->next_event_id);
    if (op->wants_new && !has_news && !op->was_waited && !base->rpc->is_cancelled) {
        op->watch.run = execution_run(e);
        op->watch.notify = on_notify;
        shard_watch_add(op->f->env.shard, &op->watch);
        op->is_watching = true;
    }
    return ERR_NONE;
}

static void look_done(struct op *base, err result)
{
    struct history_op *op = container_of(base, struct history_op, look);
    op->is_looking = false;
    if (result != ERR_NONE) {
        stop_watching(op);
        rpc_error_of(base->rpc, result, &base->call.error);
    } else if (op->is_watching && op->is_notified) {
        stop_watching(op);
        look(op);
    } else if (op->is_watching) {
        rpc_timer(base->rpc, op->give_up, on_timer);
    } else if (op->wants_new && op->is_open && (op->wants_close || op->token.next_event_id >= op->next_event_id)) {
        answer(op, STR_EMPTY, STR_EMPTY, token_of(op, op->token.next_event_id)); /* waited long enough */
    } else if (op->token.next_event_id >= op->next_event_id && !op->wants_close && !op->is_reverse) {
        answer(op, STR_EMPTY, str_is_empty(op->token.transient_events) ? op->transient : op->token.transient_events, STR_EMPTY);
    } else {
        read_page(op);
    }
}

static void look(struct history_op *op)
{
    struct rpc *rpc = op->rpc;
    op->is_looking = true;
    op->is_notified = false;
    struct str workflow_id = op->look.call.workflow_id;
    op->look = (struct op){0};
    op_init(&op->look, op->f, rpc, workflow_id, op->token.run_id);
    op->look.step = look_step;
    op->look.done = look_done;
    op_submit(&op->look);
}

/* ---- the RPCs ---- */

static struct history_op *begin(struct frontend *f, struct rpc *rpc, const pb_common_WorkflowExecution *execution, int32_t page, struct str token, bool is_reverse)
{
    if (!check_execution(rpc, execution)) return NULL;
    struct history_op *op = arena_new(rpc->arena, struct history_op);
    op->f = f;
    op->rpc = rpc;
    op->page = page > 0 ? size_min((size_t)page, PAGE_MAX) : PAGE_MAX;
    op->look.call.workflow_id = execution->workflow_id;
    op->token.run_id = execution->run_id;
    op->is_reverse = is_reverse;
    rpc->state = op;
    rpc->on_cancel = on_cancel;
    if (str_is_empty(token)) return op;
    pb_store_HistoryToken *t;
    if (PB_DECODE(rpc->arena, token, pb_store_HistoryToken, &t) != ERR_NONE || t->next_event_id < 1 || !uuid_is_valid(t->run_id) || t->is_reverse != is_reverse) {
        rpc_error(rpc, ERR_INVALID, "the page token is none of this call");
        return NULL;
    }
    if (!str_is_empty(execution->run_id) && !str_equal(execution->run_id, t->run_id)) {
        rpc_error(rpc, ERR_INVALID, "the page token belongs to another run");
        return NULL;
    }
    op->token = *t;
    return op;
}

static void get_history(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_GetWorkflowExecutionHistoryRequest *q = rpc->request;
    struct history_op *op = begin(f, rpc, q->execution, q->maximum_page_size, q->next_page_token, false);
    if (op == NULL) return;
    op->wants_new = q->wait_new_event;
    op->wants_close = q->history_event_filter_type == HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT;
    struct str client = rpc_metadata(rpc, "client-name");
    op->hides_transient = op->wants_new || str_equal_c(client, "temporal-cli") || str_equal_c(client, "temporal-ui");
    op->give_up = instant_add(f->now, duration_ms(f->settings.limits.history_long_poll_ms));
    if (rpc->deadline.ns != INSTANT_NEVER.ns) op->give_up = instant_min(op->give_up, instant_add(rpc->deadline, duration_ms(-1000)));
    look(op);
}

static void get_history_reverse(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_GetWorkflowExecutionHistoryReverseRequest *q = rpc->request;
    struct history_op *op = begin(f, rpc, q->execution, q->maximum_page_size, q->next_page_token, true);
    if (op == NULL) return;
    op->token.is_reverse = true;
    look(op);
}

static const struct handler_row rows[] = {
    {pb_ws_GetWorkflowExecutionHistory_method, get_history, 0},
    {pb_ws_GetWorkflowExecutionHistoryReverse_method, get_history_reverse, 0},
};
const struct handler_table history_handlers = {rows, countof(rows)};
