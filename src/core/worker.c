#include "core/worker_state.h"

#include <stdlib.h>

/* ---- tables ---------------------------------------------------------------------------------------------------------- */

#define PATH(method) {"/temporal.api.workflowservice.v1.WorkflowService/" method, \
                      sizeof("/temporal.api.workflowservice.v1.WorkflowService/" method) - 1}
static const struct { struct str path; bool is_long_poll, is_retried; } rpcs[CORE_RPC_COUNT] = {
    [CORE_POLL_WORKFLOW] = {PATH("PollWorkflowTaskQueue"), true, false},
    [CORE_POLL_ACTIVITY] = {PATH("PollActivityTaskQueue"), true, false},
    [CORE_WORKFLOW_COMPLETED] = {PATH("RespondWorkflowTaskCompleted"), false, true},
    [CORE_WORKFLOW_FAILED] = {PATH("RespondWorkflowTaskFailed"), false, true},
    [CORE_QUERY_COMPLETED] = {PATH("RespondQueryTaskCompleted"), false, true},
    [CORE_GET_HISTORY] = {PATH("GetWorkflowExecutionHistory"), false, true},
    [CORE_HEARTBEAT] = {PATH("RecordActivityTaskHeartbeat"), false, true},
    [CORE_ACTIVITY_COMPLETED] = {PATH("RespondActivityTaskCompleted"), false, true},
    [CORE_ACTIVITY_FAILED] = {PATH("RespondActivityTaskFailed"), false, true},
    [CORE_ACTIVITY_CANCELED] = {PATH("RespondActivityTaskCanceled"), false, true},
    [CORE_SHUTDOWN_WORKER] = {PATH("ShutdownWorker"), false, false},
    [CORE_DESCRIBE_NAMESPACE] = {PATH("DescribeNamespace"), false, true},
};
struct str core_rpc_path(enum core_rpc rpc)
{
    return rpcs[rpc].path;
}

#define COUNTER METRIC_COUNTER
#define GAUGE METRIC_GAUGE
#define HISTOGRAM METRIC_HISTOGRAM
#define X(id, kind, name) {name, kind},
static const struct { const char *name; enum core_metric_kind kind; } metrics[METRIC_COUNT] = {CORE_METRICS(X)};
#undef X

const char *core_metric_name(enum core_metric metric) { return metrics[metric].name; }
enum core_metric_kind core_metric_kind(enum core_metric metric) { return metrics[metric].kind; }

/* ---- small things ------------------------------------------------------------------------------------------------------ */

void worker_count(struct core_worker *w, enum core_metric metric, double value, struct str label)
{
    if (w->metric != NULL) w->metric(w->metric_arg, metric, value, label, STR_EMPTY);
}

void worker_count_activity(struct core_worker *w, enum core_metric metric, double value, struct str activity_type, struct str workflow_type)
{
    if (w->metric != NULL) w->metric(w->metric_arg, metric, value, activity_type, workflow_type);
}

double ms_between(instant later, instant earlier)
{
    return later.ns > earlier.ns ? (double)(later.ns - earlier.ns) / 1e6 : 0;
}

struct core_effect *worker_effect(struct core_worker *w, enum core_effect_kind kind, struct str id, struct str text)
{
    struct core_effect *e = xcalloc(1, sizeof *e + id.size + text.size);
    char *behind = (char *)(e + 1);
    e->kind = kind;
    if (id.size != 0) memcpy(behind, id.data, id.size);
    if (text.size != 0) memcpy(behind + id.size, text.data, text.size);
    e->id = str_make(behind, id.size);
    e->text = str_make(behind + id.size, text.size);
    if (kind == EFFECT_ACTIVATION) w->untaken_count++;
    list_push(&w->effects, &e->link);
    return e;
}

struct core_effect *core_worker_take(struct core_worker *w)
{
    struct list *link = list_pop(&w->effects);
    return link != NULL ? container_of(link, struct core_effect, link) : NULL;
}

void core_effect_free(struct core_effect *effect)
{
    buf_fini(&effect->bytes);
    free(effect);
}

struct call *worker_call(struct core_worker *w, enum core_rpc rpc, struct buf *request, struct str key, struct str text)
{
    struct call *call = xcalloc(1, sizeof *call + key.size);
    call->id = ++w->next_call_id;
    call->rpc = rpc;
    if (key.size != 0) memcpy(call + 1, key.data, key.size);
    call->key = str_make(call + 1, key.size);
    map_u64_put(&w->calls, call->id, call);
    struct core_effect *e = worker_effect(w, EFFECT_CALL, key, text);
    e->rpc = rpc;
    e->call_id = call->id;
    e->is_long_poll = rpcs[rpc].is_long_poll;
    e->is_retried = rpcs[rpc].is_retried;
    e->bytes = *request;
    *request = (struct buf){0};
    return call;
}

void worker_timer(struct core_worker *w, struct timer *timer, instant due) { heap_put(&w->timers, &timer->node, due); }
void worker_timer_off(struct core_worker *w, struct timer *timer) { heap_remove(&w->timers, &timer->node); }

pb_deployment_WorkerDeploymentOptions *worker_deployment(const struct core_worker *w, struct arena *arena)
{
    const pb_core_WorkerOptions *o = w->options;
    if (str_is_empty(o->deployment_name)) return NULL;
    pb_deployment_WorkerDeploymentOptions *d = pb_new(arena, pb_deployment_WorkerDeploymentOptions);
    d->deployment_name = o->deployment_name;
    d->build_id = o->build_id;
    d->worker_versioning_mode = o->use_worker_versioning ? WORKER_VERSIONING_MODE_VERSIONED : WORKER_VERSIONING_MODE_UNVERSIONED;
    return d;
}

pb_common_WorkerVersionStamp *worker_stamp(const struct core_worker *w, struct arena *arena)
{
    const pb_core_WorkerOptions *o = w->options;
    bool is_deployed = !str_is_empty(o->deployment_name);
    if (str_is_empty(o->build_id) || (is_deployed && o->use_worker_versioning)) return NULL;
    pb_common_WorkerVersionStamp *s = pb_new(arena, pb_common_WorkerVersionStamp);
    s->build_id = o->build_id;
    s->use_versioning = !is_deployed && o->use_worker_versioning;
    return s;
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

static void fire_fill(struct core_worker *w, struct timer *timer UNUSED, instant now)
{
    pollers_fill(w, now);
    local_dispatch(w, now);
}

static void fire_hold(struct core_worker *w, struct timer *timer UNUSED, instant now)
{
    hold_release(w, now);
}

static void fire_grace(struct core_worker *w, struct timer *timer UNUSED, instant now)
{
    activity_cancel_all(w, now);
    local_cancel_all(w, now);
}

static err check_options(const pb_core_WorkerOptions *o, struct error *error, struct arena *arena)
{
    if (o->is_replayer) return ERR_NONE;
    if (str_is_empty(o->namespace)) return error_set(error, arena, ERR_INVALID, "a worker needs a namespace");
    if (str_is_empty(o->task_queue)) return error_set(error, arena, ERR_INVALID, "a worker needs a task queue");
    if (o->use_worker_versioning && str_is_empty(o->build_id))
        return error_set(error, arena, ERR_INVALID, "worker versioning needs a build id");
    return ERR_NONE;
}

err core_worker_create(const struct core_config *config, instant now UNUSED, struct core_worker **out, struct error *error, struct arena *arena)
{
    TRY(check_options(config->options, error, arena));
    struct core_worker *w = xcalloc(1, sizeof *w);
    arena_init(&w->arena, 1024, 0);
    pb_core_WorkerOptions *o = PB_CLONE(&w->arena, pb_core_WorkerOptions, config->options);
    w->options = o;
    w->metric = config->metric;
    w->metric_arg = config->metric_arg;
    prng_init(&w->prng, config->seed);
    list_init(&w->effects);
    list_init(&w->lru);
    list_init(&w->held);
    list_init(&w->local_all);
    list_init(&w->local_queue);
    w->fill_timer.fire = fire_fill;
    w->grace_timer.fire = fire_grace;
    w->hold_timer.fire = fire_hold;
    slots_init(&w->slots[SLOT_WORKFLOW], SLOT_WORKFLOW, o->workflow_slots);
    slots_init(&w->slots[SLOT_ACTIVITY], SLOT_ACTIVITY, o->activity_slots);
    slots_init(&w->slots[SLOT_LOCAL_ACTIVITY], SLOT_LOCAL_ACTIVITY, o->local_activity_slots);
    char uuid[37];
    prng_uuid(&w->prng, uuid);
    w->sticky_queue = arena_printf(&w->arena, "%.*s-%s", STR_ARG(o->identity), uuid);
    prng_uuid(&w->prng, uuid);
    w->instance_key = arena_str(&w->arena, str_of(uuid));
    /* With a single slot a poll of the sticky queue would keep everything else out. */
    w->is_sticky_on = o->max_cached_workflows != 0 && w->slots[SLOT_WORKFLOW].maximum >= 2;
    pollers_init(w);
    *out = w;
    return ERR_NONE;
}

void core_worker_destroy(struct core_worker *w)
{
    struct core_effect *e;
    while ((e = core_worker_take(w)) != NULL) core_effect_free(e);
    struct entry *entry;
    for (size_t at = 0; (entry = map_next(&w->runs, &at, NULL)) != NULL;) {
        struct list *link;
        while ((link = list_pop(&entry->after)) != NULL) run_task_destroy(container_of(link, struct run_task, link));
        worker_timer_off(w, &entry->heartbeat);
        run_destroy(entry->run);
        free(entry);
    }
    map_fini(&w->runs);
    activities_fini(w);
    locals_fini(w);
    struct call *call;
    for (size_t at = 0; (call = map_u64_next(&w->calls, &at, NULL)) != NULL;) free(call);
    map_u64_fini(&w->calls);
    run_task_pool_fini(&w->task_pool);
    heap_fini(&w->timers);
    arena_fini(&w->arena);
    free(w);
}

void core_worker_start(struct core_worker *w, instant now)
{
    if (w->options->is_replayer || w->is_started) return;
    w->is_started = true;
    worker_count(w, METRIC_WORKER_START, 1, STR_EMPTY);
    if (w->options->checks_payload_size && !w->options->no_workflows) {
        pb_ws_DescribeNamespaceRequest request = {.namespace = w->options->namespace};
        WORKER_CALL(w, CORE_DESCRIBE_NAMESPACE, pb_ws_DescribeNamespaceRequest, &request, STR_EMPTY);
    }
    pollers_fill(w, now);
}

void core_worker_tick(struct core_worker *w, instant now)
{
    struct heap_node *node;
    while ((node = heap_first(&w->timers)) != NULL && !instant_before(now, node->due)) {
        struct timer *timer = container_of(node, struct timer, node);
        heap_remove(&w->timers, node);
        timer->fire(w, timer, now);
    }
    worker_check_done(w, now);
}

instant core_worker_due(const struct core_worker *w)
{
    const struct heap_node *node = heap_first(&w->timers);
    return node != NULL ? node->due : INSTANT_NEVER;
}

/* ---- answers to calls --------------------------------------------------------------------------------------------------- */

static err workflow_polled(struct core_worker *w, struct call *call, struct str response, instant now)
{
    struct run_task *task = run_task_begin(&w->task_pool, response, now);
    pb_ws_PollWorkflowTaskQueueResponse *poll;
    err e = RUN_DECODE(&task->arena, task->bytes, pb_ws_PollWorkflowTaskQueueResponse, &poll);
    if (e != ERR_NONE) {
        run_task_destroy(task);
        return e;
    }
    bool has_task = !str_is_empty(poll->task_token);
    poller_learn(w, call->poller, GRPC_OK, has_task, poll->poller_scaling_decision, now);
    if (has_task && run_task_set(task, poll) == ERR_NONE) {
        worker_count(w, METRIC_WORKFLOW_TASK_QUEUE_POLL_SUCCEED, 1, STR_EMPTY);
        task->permit = call->permit;
        slots_use(w, &w->slots[SLOT_WORKFLOW], task->permit, task->poll->workflow_type != NULL ? task->poll->workflow_type->name : STR_EMPTY);
        runs_take_task(w, task, now);
    } else {
        run_task_destroy(task);
        worker_count(w, METRIC_WORKFLOW_TASK_QUEUE_POLL_EMPTY, 1, STR_EMPTY);
        slots_give_unused(w, &w->slots[SLOT_WORKFLOW], call->permit);
    }
    return ERR_NONE;
}

uint64_t core_worker_reserve(struct core_worker *w, instant now)
{
    struct slots *slots = &w->slots[SLOT_WORKFLOW];
    bool may = !w->is_shutting_down && !w->options->is_replayer && !w->options->no_workflows && slots_can_try(slots);
    return may ? slots_take(w, slots, false, now) : 0;
}

void core_worker_accept(struct core_worker *w, uint64_t permit, struct str bytes, instant now)
{
    struct run_task *task;
    bool has_task = !w->is_shutting_down && bytes.size != 0 && run_task_create(&w->task_pool, bytes, now, &task) == ERR_NONE;
    if (has_task) {
        task->permit = permit;
        slots_use(w, &w->slots[SLOT_WORKFLOW], permit, task->poll->workflow_type != NULL ? task->poll->workflow_type->name : STR_EMPTY);
        runs_take_task(w, task, now);
    } else {
        slots_give_unused(w, &w->slots[SLOT_WORKFLOW], permit);
    }
    pollers_fill(w, now);
}

static err activity_polled(struct core_worker *w, struct call *call, struct str response, instant now)
{
    ARENA_ON_STACK(arena, 4096);
    pb_ws_PollActivityTaskQueueResponse *poll;
    err e = PB_DECODE_ALIAS(&arena, response, pb_ws_PollActivityTaskQueueResponse, &poll);
    if (e == ERR_NONE) {
        bool has_task = !str_is_empty(poll->task_token);
        poller_learn(w, call->poller, GRPC_OK, has_task, poll->poller_scaling_decision, now);
        if (has_task) {
            activity_accept(w, poll, call->permit, now);
        } else {
            worker_count(w, METRIC_ACTIVITY_POLL_NO_TASK, 1, STR_EMPTY);
            slots_give_unused(w, &w->slots[SLOT_ACTIVITY], call->permit);
        }
    }
    arena_fini(&arena);
    return e;
}

void worker_fatal(struct core_worker *w, int code, struct str message, instant now)
{
    if (w->is_fatal || w->is_shutting_down) return;
    w->is_fatal = true;
    worker_effect(w, EFFECT_FATAL, STR_EMPTY, message)->code = code;
    core_worker_shutdown(w, now);
}

static void polled(struct core_worker *w, struct call *call, int code, struct str response, instant now)
{
    bool is_activity = call->rpc == CORE_POLL_ACTIVITY;
    err e = ERR_NONE;
    if (code == GRPC_OK) e = is_activity ? activity_polled(w, call, response, now) : workflow_polled(w, call, response, now);
    if (code != GRPC_OK || e != ERR_NONE) {
        poller_learn(w, call->poller, code != GRPC_OK ? code : GRPC_INTERNAL, false, NULL, now);
        slots_give_unused(w, &w->slots[is_activity ? SLOT_ACTIVITY : SLOT_WORKFLOW], call->permit);
        if (code != GRPC_OK && !code_is_transient(code)) worker_fatal(w, code, response, now);
    }
    pollers_fill(w, now);
}

/* A server that tells no limits, or does not answer, is left to refuse what is too large. */
static void take_limits(struct core_worker *w, struct str response)
{
    ARENA_ON_STACK(arena, 4096);
    pb_ws_DescribeNamespaceResponse *r;
    if (PB_DECODE_ALIAS(&arena, response, pb_ws_DescribeNamespaceResponse, &r) == ERR_NONE && r->namespace_info != NULL && r->namespace_info->limits != NULL) {
        w->payloads_size_max = r->namespace_info->limits->blob_size_limit_error;
        w->memo_size_max = r->namespace_info->limits->memo_size_limit_error;
    }
    arena_fini(&arena);
}

void core_worker_called(struct core_worker *w, uint64_t call_id, int code, struct str response, instant now)
{
    struct call *call = map_u64_remove(&w->calls, call_id);
    if (call == NULL) return;
    switch (call->rpc) {
    case CORE_POLL_WORKFLOW:
    case CORE_POLL_ACTIVITY: polled(w, call, code, response, now); break;
    case CORE_WORKFLOW_COMPLETED:
    case CORE_WORKFLOW_FAILED:
    case CORE_QUERY_COMPLETED: runs_answered(w, call->rpc, call->key, code, response, now); break;
    case CORE_GET_HISTORY: runs_fetched(w, call->key, code, response, now); break;
    case CORE_HEARTBEAT: activity_heartbeat_answered(w, call->key, code, response, now); break;
    case CORE_DESCRIBE_NAMESPACE: if (code == GRPC_OK) take_limits(w, response); break;
    default: break; /* nothing more to do; errors of lost tasks are the server's to sort out */
    }
    free(call);
    worker_check_done(w, now);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

void core_worker_shutdown(struct core_worker *w, instant now)
{
    if (w->is_shutting_down) return;
    w->is_shutting_down = true;
    worker_timer_off(w, &w->fill_timer);
    hold_release(w, now);
    struct call *call;
    for (size_t at = 0; (call = map_u64_next(&w->calls, &at, NULL)) != NULL;)
        if (rpcs[call->rpc].is_long_poll || call->rpc == CORE_DESCRIBE_NAMESPACE) worker_effect(w, EFFECT_CANCEL_CALL, STR_EMPTY, STR_EMPTY)->call_id = call->id;
    for (int k = 0; k < SLOT_KIND_COUNT; k++) slots_close(w, &w->slots[k]);
    if (w->is_started && !w->is_fatal) {
        pb_ws_ShutdownWorkerRequest request = {
            .namespace = w->options->namespace, .sticky_task_queue = w->is_sticky_on ? w->sticky_queue : STR_EMPTY,
            .identity = w->options->identity, .reason = STR("graceful shutdown"), .worker_instance_key = w->instance_key,
            .task_queue = w->options->task_queue};
        WORKER_CALL(w, CORE_SHUTDOWN_WORKER, pb_ws_ShutdownWorkerRequest, &request, STR_EMPTY);
    }
    duration grace = pb_duration(w->options->graceful_shutdown_period);
    if (grace.ns <= 0) {
        fire_grace(w, &w->grace_timer, now);
    } else {
        worker_timer(w, &w->grace_timer, instant_add(now, grace));
    }
    worker_check_done(w, now);
}

void worker_check_done(struct core_worker *w, instant now)
{
    if (!w->is_shutting_down || w->is_done) return;
    if (map_u64_count(&w->calls) != 0 || map_count(&w->activities) != 0 || !list_is_empty(&w->local_all)) return;
    runs_evict_idle(w, now);
    if (map_count(&w->runs) != 0) return;
    w->is_done = true;
    worker_timer_off(w, &w->grace_timer);
    worker_effect(w, EFFECT_DONE, STR_EMPTY, STR_EMPTY);
}

bool core_worker_is_done(const struct core_worker *w)
{
    return w->is_done;
}
