/* Lists and counts of workflow executions by filter, and the old list calls, which become filters. */
#include "frontend/internal.h"
#include "store/store.h"
#include "visibility/query.h"

enum { PAGE_MAX = 1000 };

struct list_op {
    struct store_read read;
    struct rpc *rpc;
    struct frontend *f;
    struct visibility_query *query;
    void (*answer)(struct list_op *op);
};

static void read_done(struct mail *mail)
{
    struct list_op *op = container_of(container_of(mail, struct store_read, mail), struct list_op, read);
    struct rpc *rpc = op->rpc;
    if (!rpc->is_answered && !rpc->is_cancelled) {
        if (op->read.result != ERR_NONE) rpc_error_of(rpc, op->read.result, &op->read.error);
        else op->answer(op);
    }
    arena_fini(&op->read.arena);
    rpc_let_go(rpc);
}

static struct list_op *list_new(struct frontend *f, struct rpc *rpc, enum store_read_kind kind, struct str text, void (*answer)(struct list_op *op))
{
    const struct visibility_parse how = {.registry = namespace_attributes(rpc->ns), .now = f->now, .is_count = kind == STORE_COUNT};
    struct list_op *op = OP_NEW(rpc, struct list_op);
    struct error error = {0};
    err result = visibility_query_parse(text, &how, rpc->arena, &op->query, &error);
    if (result != ERR_NONE) {
        rpc_error_of(rpc, result, &error);
        return NULL;
    }
    op->rpc = rpc;
    op->f = f;
    op->answer = answer;
    op->read.kind = kind;
    op->read.namespace_key = rpc->ns->key;
    op->read.query = op->query;
    op->read.reply_to = f->env.mailbox;
    op->read.mail.open = read_done;
    return op;
}

static void list_submit(struct list_op *op)
{
    rpc_hold(op->rpc);
    arena_init(&op->read.arena, 0, 0);
    store_read(op->f->env.store, &op->read);
}

static pb_workflow_WorkflowExecutionInfo *info_of(struct arena *arena, const pb_store_VisibilityRow *row)
{
    pb_workflow_WorkflowExecutionInfo *info = pb_new(arena, pb_workflow_WorkflowExecutionInfo);
    info->execution = pb_new(arena, pb_common_WorkflowExecution);
    info->execution->workflow_id = row->workflow_id;
    info->execution->run_id = row->run_id;
    info->type = pb_new(arena, pb_common_WorkflowType);
    info->type->name = row->workflow_type;
    info->start_time = row->start_time;
    info->execution_time = row->execution_time;
    info->close_time = row->close_time;
    info->execution_duration = row->execution_duration;
    info->status = row->status;
    info->history_length = row->history_length;
    info->history_size_bytes = row->history_size;
    info->state_transition_count = row->state_transition_count;
    info->memo = row->memo != NULL ? row->memo : pb_new(arena, pb_common_Memo);
    info->search_attributes = row->search_attributes;
    info->task_queue = row->task_queue;
    info->assigned_build_id = row->assigned_build_id;
    if (!str_is_empty(row->parent_workflow_id)) {
        info->parent_execution = pb_new(arena, pb_common_WorkflowExecution);
        info->parent_execution->workflow_id = row->parent_workflow_id;
        info->parent_execution->run_id = row->parent_run_id;
    }
    info->root_execution = pb_new(arena, pb_common_WorkflowExecution);
    info->root_execution->workflow_id = !str_is_empty(row->root_workflow_id) ? row->root_workflow_id : row->workflow_id;
    info->root_execution->run_id = !str_is_empty(row->root_workflow_id) ? row->root_run_id : row->run_id;
    return info;
}

/* All the list replies have the same two fields; they differ in name only, and are built as one. */
static void answer_list(struct list_op *op)
{
    _Static_assert(sizeof(pb_ws_ListWorkflowExecutionsResponse) == sizeof(pb_ws_ListOpenWorkflowExecutionsResponse), "same fields");
    _Static_assert(sizeof(pb_ws_ListWorkflowExecutionsResponse) == sizeof(pb_ws_ListClosedWorkflowExecutionsResponse), "same fields");
    _Static_assert(sizeof(pb_ws_ListWorkflowExecutionsResponse) == sizeof(pb_ws_ScanWorkflowExecutionsResponse), "same fields");
    struct arena *arena = op->rpc->arena;
    pb_ws_ListWorkflowExecutionsResponse *reply = pb_new(arena, pb_ws_ListWorkflowExecutionsResponse);
    for (size_t i = 0; i < op->read.visibility_count; i++) PB_PUSH(arena, reply, executions) = info_of(arena, op->read.visibility[i]);
    reply->next_page_token = op->read.next_page_token;
    rpc_reply(op->rpc, pb_method_response(op->rpc->method), reply);
}

static void list(struct frontend *f, struct rpc *rpc, struct str query, int32_t page_size, struct str token)
{
    struct list_op *op = list_new(f, rpc, STORE_LIST, query, answer_list);
    if (op == NULL) return;
    op->read.limit = page_size > 0 ? size_min((size_t)page_size, PAGE_MAX) : PAGE_MAX;
    op->read.page_token = token;
    list_submit(op);
}

static void list_workflows(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ListWorkflowExecutionsRequest *q = rpc->request;
    list(f, rpc, q->query, q->page_size, q->next_page_token);
}

static void scan_workflows(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ScanWorkflowExecutionsRequest *q = rpc->request;
    list(f, rpc, q->query, q->page_size, q->next_page_token);
}

static void list_archived(struct frontend *f UNUSED, struct rpc *rpc) { rpc_error(rpc, ERR_INVALID, "archival is not configured"); }

/* A string literal of the filter grammar. */
static void append_literal(struct buf *out, struct str text)
{
    buf_append_byte(out, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'') buf_append_byte(out, '\'');
        buf_append_byte(out, (uint8_t)text.data[i]);
    }
    buf_append_byte(out, '\'');
}

static bool check_times(struct rpc *rpc, const pb_filter_StartTimeFilter *times)
{
    if (times == NULL || times->earliest_time == NULL || times->latest_time == NULL || !instant_before(pb_instant(times->latest_time), pb_instant(times->earliest_time)))
        return true;
    rpc_error(rpc, ERR_INVALID, "the earliest time of the filter is after its latest");
    return false;
}

static void append_times(struct buf *out, const char *attribute, const pb_filter_StartTimeFilter *times)
{
    if (times == NULL) return;
    if (times->earliest_time != NULL) buf_printf(out, " AND %s >= %" PRId64, attribute, pb_instant(times->earliest_time).ns);
    if (times->latest_time != NULL) buf_printf(out, " AND %s <= %" PRId64, attribute, pb_instant(times->latest_time).ns);
}

static void list_by_filters(struct frontend *f, struct rpc *rpc, struct buf *text, const pb_filter_WorkflowExecutionFilter *execution,
                            const pb_filter_WorkflowTypeFilter *type, int32_t page_size, struct str token)
{
    if (execution != NULL) {
        buf_printf(text, " AND WorkflowId = ");
        append_literal(text, execution->workflow_id);
        if (!str_is_empty(execution->run_id)) {
            buf_printf(text, " AND RunId = ");
            append_literal(text, execution->run_id);
        }
    }
    if (type != NULL) {
        buf_printf(text, " AND WorkflowType = ");
        append_literal(text, type->name);
    }
    struct str query = arena_str(rpc->arena, buf_view(text));
    buf_fini(text);
    list(f, rpc, query, page_size, token);
}

static void list_open(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ListOpenWorkflowExecutionsRequest *q = rpc->request;
    struct buf text = {0};
    if (!check_times(rpc, q->start_time_filter)) return;
    buf_printf(&text, "ExecutionStatus = 'Running'");
    append_times(&text, "StartTime", q->start_time_filter);
    list_by_filters(f, rpc, &text, q->filters_case == pb_ws_ListOpenWorkflowExecutionsRequest_execution_filter_tag ? q->execution_filter : NULL,
                    q->filters_case == pb_ws_ListOpenWorkflowExecutionsRequest_type_filter_tag ? q->type_filter : NULL, q->maximum_page_size, q->next_page_token);
}

static void list_closed(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ListClosedWorkflowExecutionsRequest *q = rpc->request;
    struct buf text = {0};
    if (!check_times(rpc, q->start_time_filter)) return;
    if (q->filters_case == pb_ws_ListClosedWorkflowExecutionsRequest_status_filter_tag) {
        const char *name = visibility_status_name(q->status_filter->status);
        if (name == NULL || q->status_filter->status == WORKFLOW_EXECUTION_STATUS_RUNNING) {
            rpc_error(rpc, ERR_INVALID, "the status is not one of a closed workflow");
            return;
        }
        buf_printf(&text, "ExecutionStatus = '%s'", name);
    } else {
        buf_printf(&text, "ExecutionStatus != 'Running'");
    }
    append_times(&text, "CloseTime", q->start_time_filter);
    list_by_filters(f, rpc, &text, q->filters_case == pb_ws_ListClosedWorkflowExecutionsRequest_execution_filter_tag ? q->execution_filter : NULL,
                    q->filters_case == pb_ws_ListClosedWorkflowExecutionsRequest_type_filter_tag ? q->type_filter : NULL, q->maximum_page_size, q->next_page_token);
}

static void answer_count(struct list_op *op)
{
    struct arena *arena = op->rpc->arena;
    pb_ws_CountWorkflowExecutionsResponse *reply = pb_new(arena, pb_ws_CountWorkflowExecutionsResponse);
    for (size_t i = 0; i < op->read.group_count; i++) {
        const struct store_group *g = &op->read.groups[i];
        reply->count += g->count;
        if (op->query->group_count == 0) continue;
        pb_ws_CountWorkflowExecutionsResponse_AggregationGroup *group = PB_PUSH_NEW(arena, reply, groups);
        group->count = g->count;
        for (size_t k = 0; k < g->value_count; k++) PB_PUSH(arena, group, group_values) = (pb_common_Payload *)(uintptr_t)g->values[k];
    }
    RPC_REPLY(op->rpc, pb_ws_CountWorkflowExecutionsResponse, reply);
}

static void count_workflows(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_CountWorkflowExecutionsRequest *q = rpc->request;
    struct list_op *op = list_new(f, rpc, STORE_COUNT, q->query, answer_count);
    if (op != NULL) list_submit(op);
}

static void get_search_attributes(struct frontend *f UNUSED, struct rpc *rpc)
{
    pb_ws_GetSearchAttributesResponse *reply = pb_new(rpc->arena, pb_ws_GetSearchAttributesResponse);
    size_t counts[2];
    const struct attribute *tables[2] = {attribute_system(&counts[0]), attribute_predefined(&counts[1])};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < counts[t]; i++) {
            pb_ws_GetSearchAttributesResponse_KeysEntry *e = PB_PUSH_NEW(rpc->arena, reply, keys);
            e->key = tables[t][i].name;
            e->value = (int32_t)tables[t][i].type;
        }
    }
    RPC_REPLY(rpc, pb_ws_GetSearchAttributesResponse, reply);
}

bool check_search_attributes(struct rpc *rpc, const pb_common_SearchAttributes *attributes)
{
    if (attributes == NULL) return true;
    const struct limits *l = &rpc->frontend->settings.limits;
    if (attributes->indexed_fields_count > (size_t)l->search_attributes_count_max) {
        rpc_error(rpc, ERR_INVALID, "%zu search attributes; at most %" PRId64 " are allowed", attributes->indexed_fields_count, l->search_attributes_count_max);
        return false;
    }
    for (size_t i = 0; i < attributes->indexed_fields_count; i++) {
        const pb_common_Payload *p = attributes->indexed_fields[i]->value;
        if (p == NULL || p->data.size <= (size_t)l->search_attribute_size_max) continue;
        rpc_error(rpc, ERR_INVALID, "the search attribute %.*s has more than %" PRId64 " bytes", STR_ARG(attributes->indexed_fields[i]->key), l->search_attribute_size_max);
        return false;
    }
    if (PB_SIZE(pb_common_SearchAttributes, attributes) > (size_t)l->search_attributes_size_max) {
        rpc_error(rpc, ERR_INVALID, "the search attributes have more than %" PRId64 " bytes", l->search_attributes_size_max);
        return false;
    }
    struct str why;
    if (frontend_attributes_fit(rpc->ns, attributes, rpc->arena, &why)) return true;
    rpc_error(rpc, ERR_INVALID, "%.*s", STR_ARG(why));
    return false;
}

static const struct handler_row rows[] = {
    {pb_ws_ListWorkflowExecutions_method, list_workflows, 0},
    {pb_ws_ScanWorkflowExecutions_method, scan_workflows, 0},
    {pb_ws_ListOpenWorkflowExecutions_method, list_open, 0},
    {pb_ws_ListClosedWorkflowExecutions_method, list_closed, 0},
    {pb_ws_ListArchivedWorkflowExecutions_method, list_archived, 0},
    {pb_ws_CountWorkflowExecutions_method, count_workflows, 0},
    {pb_ws_GetSearchAttributes_method, get_search_attributes, 0},
};
const struct handler_table visibility_handlers = {rows, countof(rows)};
