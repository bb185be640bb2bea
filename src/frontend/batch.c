/* RPCs on batch jobs. Source: F116 to F118; limits-and-errors. */
#include "frontend/batches.h"
#include "store/store.h"
#include "visibility/query.h"

enum { PAGE_MAX = 1000 };

/* ---- start ---- */

/* The filter that is worked off: what the client wrote without its order, and of open executions only where the operation is for these. */
static bool make_query(struct rpc *rpc, const batch_request *q, struct str *out)
{
    *out = q->visibility_query;
    if (str_is_empty(q->visibility_query) || batch_operation_is_for_activities(q)) return true;
    const struct visibility_parse how = {.registry = namespace_attributes(rpc->ns), .now = rpc->frontend->now};
    struct visibility_query *query;
    struct error error = {0};
    err result = visibility_query_parse(q->visibility_query, &how, rpc->arena, &query, &error);
    if (result != ERR_NONE) {
        rpc_error_of(rpc, result, &error);
        return false;
    }
    query->order_count = 0;
    if (batch_operation_needs_open(q))
        query = visibility_query_and(query, visibility_node_compare(attribute_find(NULL, STR("CloseTime")), OP_IS_NULL, NULL, 0, rpc->arena), rpc->arena);
    *out = visibility_query_print(query, rpc->arena);
    return true;
}

static bool check_targets(struct rpc *rpc, const batch_request *q)
{
    bool is_for_activities = batch_operation_is_for_activities(q);
    int ways = !str_is_empty(q->visibility_query) + (q->executions_count != 0) + (q->target_executions_count != 0);
    if (ways != 1) {
        rpc_error(rpc, ERR_INVALID, ways == 0 ? "a batch job needs a visibility query or executions" : "a batch job takes either a visibility query or executions, not both");
        return false;
    }
    if (is_for_activities && q->executions_count != 0) {
        rpc_error(rpc, ERR_INVALID, "activities are given as target executions");
        return false;
    }
    for (size_t i = 0; i < q->executions_count; i++)
        if (!check_execution(rpc, q->executions[i])) return false;
    for (size_t i = 0; i < q->target_executions_count; i++) {
        const pb_common_Execution *e = q->target_executions[i];
        int32_t wanted = is_for_activities ? EXECUTION_TYPE_ACTIVITY : EXECUTION_TYPE_WORKFLOW;
        if (e->type != EXECUTION_TYPE_UNSPECIFIED && e->type != wanted) {
            rpc_error(rpc, ERR_INVALID, "a target execution is of another type than the operation");
            return false;
        }
        if (!check_id(rpc, is_for_activities ? "activity id" : "workflow id", e->business_id, true) || !check_run_id(rpc, e->run_id)) return false;
    }
    return true;
}

static void start_batch(struct frontend *f, struct rpc *rpc)
{
    const batch_request *q = rpc->request;
    struct str query;
    if (!check_id(rpc, "job id", q->job_id, true) || !check_id(rpc, "reason", q->reason, true)) return;
    if (!(q->max_operations_per_second >= 0)) {
        rpc_error(rpc, ERR_INVALID, "the operations per second are less than 0");
        return;
    }
    if (!batch_operation_check(rpc, q) || !check_targets(rpc, q) || !make_query(rpc, q, &query)) return;
    batch_start(f, rpc, query);
}

static void stop_batch(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_StopBatchOperationRequest *q = rpc->request;
    if (check_id(rpc, "job id", q->job_id, true) && check_id(rpc, "reason", q->reason, true) && check_id(rpc, "identity", q->identity, false)) batch_stop(f, rpc);
}

static void describe_batch(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DescribeBatchOperationRequest *q = rpc->request;
    if (check_id(rpc, "job id", q->job_id, true)) batch_describe(f, rpc);
}

/* ---- list: rows of the division of batch jobs ---- */

struct list_rpc { struct store_read read; struct rpc *rpc; };

static void list_done(struct mail *mail)
{
    struct list_rpc *l = container_of(container_of(mail, struct store_read, mail), struct list_rpc, read);
    struct rpc *rpc = l->rpc;
    if (!rpc->is_answered && !rpc->is_cancelled && l->read.result != ERR_NONE) {
        rpc_error_of(rpc, l->read.result, &l->read.error);
    } else if (!rpc->is_answered && !rpc->is_cancelled) {
        pb_ws_ListBatchOperationsResponse *reply = pb_new(rpc->arena, pb_ws_ListBatchOperationsResponse);
        for (size_t i = 0; i < l->read.visibility_count; i++) {
            pb_batch_BatchOperationInfo *info;
            if (PB_DECODE(rpc->arena, l->read.visibility[i]->extra, pb_batch_BatchOperationInfo, &info) == ERR_NONE) PB_PUSH(rpc->arena, reply, operation_info) = info;
        }
        reply->next_page_token = l->read.next_page_token;
        RPC_REPLY(rpc, pb_ws_ListBatchOperationsResponse, reply);
    }
    arena_fini(&l->read.arena);
    rpc_let_go(rpc);
}

static void list_batches(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ListBatchOperationsRequest *q = rpc->request;
    struct list_rpc *l = OP_NEW(rpc, struct list_rpc);
    const struct attribute_value division = {.type = ATTRIBUTE_KEYWORD, .text = BATCH_DIVISION};
    l->rpc = rpc;
    l->read.kind = STORE_LIST;
    l->read.namespace_key = rpc->ns->key;
    l->read.query = visibility_query_and(visibility_query_all(f->now, rpc->arena),
                                         visibility_node_compare(attribute_find(NULL, STR("TemporalNamespaceDivision")), OP_EQ, &division, 1, rpc->arena), rpc->arena);
    l->read.limit = q->page_size > 0 ? size_min((size_t)q->page_size, PAGE_MAX) : PAGE_MAX;
    l->read.page_token = q->next_page_token;
    l->read.reply_to = f->env.mailbox;
    l->read.mail.open = list_done;
    arena_init(&l->read.arena, 0, 0);
    rpc_hold(rpc);
    store_read(f->env.store, &l->read);
}

static const struct handler_row rows[] = {
    {pb_ws_StartBatchOperation_method, start_batch, 0},
    {pb_ws_StopBatchOperation_method, stop_batch, 0},
    {pb_ws_DescribeBatchOperation_method, describe_batch, 0},
    {pb_ws_ListBatchOperations_method, list_batches, 0},
};
const struct handler_table batch_handlers = {rows, countof(rows)};
