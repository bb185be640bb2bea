/* Task queues, described: who polls them, what waits in them, what is set for them. */
#include "frontend/queue_config.h"

/* What the API says where there is no limit. */
#define RATE_UNLIMITED 100000

static void add_pollers(struct arena *arena, const struct poller_info *pollers, size_t count, pb_taskqueue_PollerInfo ***out, size_t *out_count)
{
    pb_taskqueue_PollerInfo **list = arena_array(arena, pb_taskqueue_PollerInfo *, count + 1);
    for (size_t i = 0; i < count; i++) {
        pb_taskqueue_PollerInfo *p = list[i] = pb_new(arena, pb_taskqueue_PollerInfo);
        p->identity = pollers[i].identity;
        p->last_access_time = pb_timestamp_new(arena, pollers[i].last_access);
        p->rate_per_second = pollers[i].rate_max >= 0 ? pollers[i].rate_max : RATE_UNLIMITED;
        if (!str_is_empty(pollers[i].build_id)) {
            p->worker_version_capabilities = pb_new(arena, pb_common_WorkerVersionCapabilities);
            p->worker_version_capabilities->build_id = pollers[i].build_id;
            p->worker_version_capabilities->deployment_series_name = pollers[i].deployment;
        }
    }
    *out = list;
    *out_count = count;
}

static pb_taskqueue_TaskQueueStats *stats_of(struct arena *arena, const struct task_queue_stats *s)
{
    pb_taskqueue_TaskQueueStats *stats = pb_new(arena, pb_taskqueue_TaskQueueStats);
    stats->approximate_backlog_count = s->backlog_count;
    stats->approximate_backlog_age = pb_duration_new(arena, s->backlog_age);
    stats->tasks_add_rate = (float)s->add_rate;
    stats->tasks_dispatch_rate = (float)s->dispatch_rate;
    return stats;
}

/* Every priority that has tasks, and the default one. */
static void add_priorities(struct arena *arena, const struct task_queue_stats *s, pb_ws_DescribeTaskQueueResponse *reply)
{
    for (int32_t i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        if (s->backlog_count_by_priority[i] == 0 && i != PRIORITY_DEFAULT) continue;
        pb_ws_DescribeTaskQueueResponse_StatsByPriorityKeyEntry *e = PB_PUSH_NEW(arena, reply, stats_by_priority_key);
        e->key = i;
        e->value = pb_new(arena, pb_taskqueue_TaskQueueStats);
        e->value->approximate_backlog_count = s->backlog_count_by_priority[i];
        e->value->approximate_backlog_age = pb_duration_new(arena, s->backlog_age_by_priority[i]);
        e->value->tasks_add_rate = (float)s->add_rate_by_priority[i];
        e->value->tasks_dispatch_rate = (float)s->dispatch_rate_by_priority[i];
    }
}

static void add_config(struct frontend *f, struct rpc *rpc, enum queue_kind kind, const struct task_queue_stats *stats, pb_ws_DescribeTaskQueueResponse *reply)
{
    const pb_ws_DescribeTaskQueueRequest *q = rpc->request;
    const pb_taskqueue_TaskQueueConfig *config = queue_config_find(f, rpc->ns->key, q->task_queue->name, kind);
    reply->config = (pb_taskqueue_TaskQueueConfig *)(uintptr_t)config; /* encoded at once */
    pb_ws_DescribeTaskQueueResponse_EffectiveRateLimit *rate = reply->effective_rate_limit = pb_new(rpc->arena, pb_ws_DescribeTaskQueueResponse_EffectiveRateLimit);
    bool is_api = config != NULL && config->queue_rate_limit != NULL && config->queue_rate_limit->rate_limit != NULL;
    rate->requests_per_second = is_api ? config->queue_rate_limit->rate_limit->requests_per_second : stats->rate_max >= 0 ? (float)stats->rate_max : RATE_UNLIMITED;
    rate->rate_limit_source = is_api ? RATE_LIMIT_SOURCE_API : stats->rate_max >= 0 ? RATE_LIMIT_SOURCE_WORKER : RATE_LIMIT_SOURCE_SYSTEM;
}

static enum queue_kind kind_of(int32_t type) { return type == TASK_QUEUE_TYPE_ACTIVITY ? QUEUE_ACTIVITY : type == TASK_QUEUE_TYPE_NEXUS ? QUEUE_NEXUS : QUEUE_WORKFLOW; }

/* The enhanced form: one entry a task queue type, under the unversioned build id "". */
static void describe_types(struct frontend *f, struct rpc *rpc, pb_ws_DescribeTaskQueueResponse *reply)
{
    const pb_ws_DescribeTaskQueueRequest *q = rpc->request;
    static const int32_t all[] = {TASK_QUEUE_TYPE_WORKFLOW, TASK_QUEUE_TYPE_ACTIVITY, TASK_QUEUE_TYPE_NEXUS};
    const int32_t *types = q->task_queue_types_count != 0 ? q->task_queue_types : all;
    size_t count = q->task_queue_types_count != 0 ? q->task_queue_types_count : countof(all);
    for (size_t i = 0; i < count; i++) {
        if (types[i] >= TASK_QUEUE_TYPE_WORKFLOW && types[i] <= TASK_QUEUE_TYPE_NEXUS) continue;
        rpc_error(rpc, ERR_INVALID, "there is no task queue type %d", (int)types[i]);
        return;
    }
    pb_ws_DescribeTaskQueueResponse_VersionsInfoEntry *version = PB_PUSH_NEW(rpc->arena, reply, versions_info);
    version->value = pb_new(rpc->arena, pb_taskqueue_TaskQueueVersionInfo);
    if (q->report_task_reachability) version->value->task_reachability = BUILD_ID_TASK_REACHABILITY_REACHABLE;
    for (size_t i = 0; i < count; i++) {
        struct task_queue_stats stats = {0};
        struct poller_info *pollers = NULL;
        size_t poller_count = 0;
        bool is_known = matching_describe(f->env.matching, rpc->ns->key, q->task_queue->name, kind_of(types[i]), rpc->arena, &stats, &pollers, &poller_count);
        if (types[i] == TASK_QUEUE_TYPE_NEXUS && types == all && !is_known) continue;
        pb_taskqueue_TaskQueueVersionInfo_TypesInfoEntry *e = PB_PUSH_NEW(rpc->arena, version->value, types_info);
        e->key = types[i];
        e->value = pb_new(rpc->arena, pb_taskqueue_TaskQueueTypeInfo);
        if (q->report_pollers) add_pollers(rpc->arena, pollers, poller_count, &e->value->pollers, &e->value->pollers_count);
        if (q->report_stats) e->value->stats = stats_of(rpc->arena, &stats);
    }
}

static void describe(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DescribeTaskQueueRequest *q = rpc->request;
    pb_ws_DescribeTaskQueueResponse *reply = pb_new(rpc->arena, pb_ws_DescribeTaskQueueResponse);
    if (q->api_mode == DESCRIBE_TASK_QUEUE_MODE_ENHANCED) {
        describe_types(f, rpc, reply);
        RPC_REPLY(rpc, pb_ws_DescribeTaskQueueResponse, reply); /* unless it has been refused */
        return;
    }
    struct task_queue_stats stats = {0};
    struct poller_info *pollers = NULL;
    size_t count = 0;
    (void)matching_describe(f->env.matching, rpc->ns->key, q->task_queue->name, kind_of(q->task_queue_type), rpc->arena, &stats, &pollers, &count);
    add_pollers(rpc->arena, pollers, count, &reply->pollers, &reply->pollers_count);
    reply->versioning_info = pb_new(rpc->arena, pb_taskqueue_TaskQueueVersioningInfo);
    reply->versioning_info->current_version = STR("__unversioned__"); /* nothing is routed by versions here */
    if (q->include_task_queue_status) {
        reply->task_queue_status = pb_new(rpc->arena, pb_taskqueue_TaskQueueStatus);
        reply->task_queue_status->backlog_count_hint = stats.backlog_count;
        reply->task_queue_status->rate_per_second = stats.rate_max >= 0 ? stats.rate_max : RATE_UNLIMITED;
        reply->task_queue_status->read_level = stats.read_level;
        reply->task_queue_status->ack_level = stats.ack_level;
        reply->task_queue_status->task_id_block = pb_new(rpc->arena, pb_taskqueue_TaskIdBlock);
        reply->task_queue_status->task_id_block->start_id = stats.ack_level + 1;
        reply->task_queue_status->task_id_block->end_id = INT64_MAX; /* ids are not handed out in blocks */
    }
    if (q->report_stats) {
        reply->stats = stats_of(rpc->arena, &stats);
        add_priorities(rpc->arena, &stats, reply);
    }
    if (q->report_config) add_config(f, rpc, kind_of(q->task_queue_type), &stats, reply);
    RPC_REPLY(rpc, pb_ws_DescribeTaskQueueResponse, reply);
}

/* What is only stored is counted first, where nobody has polled since the start. */
struct describe_op { struct matching_count counts[QUEUE_KIND_COUNT]; struct rpc *rpc; size_t pending; };

static void counted(struct matching_count *count)
{
    struct describe_op *op = container_of(count, struct describe_op, counts[count->kind]);
    struct rpc *rpc = op->rpc;
    if (--op->pending != 0) return;
    rpc->frontend->now = rpc->frontend->env.now(rpc->frontend->env.arg);
    if (!rpc->is_answered && !rpc->is_cancelled) describe(rpc->frontend, rpc);
    rpc_let_go(rpc);
}

static void describe_task_queue(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DescribeTaskQueueRequest *q = rpc->request;
    bool is_enhanced = q->api_mode == DESCRIBE_TASK_QUEUE_MODE_ENHANCED, is_sticky = q->task_queue != NULL && q->task_queue->kind == TASK_QUEUE_KIND_STICKY;
    if (!check_task_queue(rpc, q->task_queue, true)) return;
    if (is_enhanced && is_sticky) {
        rpc_error(rpc, ERR_INVALID, "the enhanced description is for normal task queues");
        return;
    }
    if (is_sticky || (!q->report_stats && !q->include_task_queue_status)) {
        describe(f, rpc);
        return;
    }
    struct describe_op *op = OP_NEW(rpc, struct describe_op);
    op->rpc = rpc;
    op->pending = 1;
    rpc_hold(rpc);
    for (int kind = 0; kind < QUEUE_NEXUS; kind++) { /* what waits for Nexus is never stored */
        if (!is_enhanced && kind != (int)kind_of(q->task_queue_type)) continue;
        op->counts[kind] = (struct matching_count){.namespace_key = rpc->ns->key, .queue = q->task_queue->name, .kind = (enum queue_kind)kind, .done = counted};
        op->pending++;
        matching_count(f->env.matching, &op->counts[kind]);
    }
    op->counts[QUEUE_NEXUS].kind = QUEUE_NEXUS;
    counted(&op->counts[QUEUE_NEXUS]);
}

static void list_partitions(struct frontend *f UNUSED, struct rpc *rpc)
{
    const pb_ws_ListTaskQueuePartitionsRequest *q = rpc->request;
    if (!check_task_queue(rpc, q->task_queue, true)) return;
    pb_ws_ListTaskQueuePartitionsResponse *reply = pb_new(rpc->arena, pb_ws_ListTaskQueuePartitionsResponse);
    pb_taskqueue_TaskQueuePartitionMetadata *a = PB_PUSH_NEW(rpc->arena, reply, activity_task_queue_partitions);
    pb_taskqueue_TaskQueuePartitionMetadata *w = PB_PUSH_NEW(rpc->arena, reply, workflow_task_queue_partitions);
    a->key = w->key = q->task_queue->name;
    a->owner_host_name = w->owner_host_name = STR("perdure");
    RPC_REPLY(rpc, pb_ws_ListTaskQueuePartitionsResponse, reply);
}

static const struct handler_row rows[] = {
    {pb_ws_DescribeTaskQueue_method, describe_task_queue, 0},
    {pb_ws_ListTaskQueuePartitions_method, list_partitions, 0},
};
const struct handler_table queue_handlers = {rows, countof(rows)};
