/* core/worker_fixture.h: a worker, and the server and SDK around it that its test plays. */
#ifndef CORE_WORKER_FIXTURE_H
#define CORE_WORKER_FIXTURE_H

#include "base/test.h"

#include "core/echo.h"
#include "core/worker.h"

struct fixture {
    struct arena arena;
    pb_core_WorkerOptions options;
    struct core_worker *w;
    instant now;
    pb_history_History *history;
    struct echo echo;
    double metrics[METRIC_COUNT];      /* gauges: the last value; histograms: how many */
    struct core_effect *effects[4096]; /* all that were taken, in order */
    size_t effect_count;
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    arena_init(&f->arena, 0, 0);
    f->now = (instant){1000 * NS_PER_S};
    f->options.namespace = STR("default");
    f->options.task_queue = STR("queue");
    f->options.identity = STR("me");
    f->options.max_cached_workflows = 10;
    f->options.sdk_name = STR("perdure");
    f->options.sdk_version = STR("1");
}

static void note_metric(void *arg, enum core_metric metric, double value, struct str label, struct str workflow_type)
{
    struct fixture *f = arg;
    (void)label, (void)workflow_type;
    if (core_metric_kind(metric) == METRIC_GAUGE) f->metrics[metric] = value;
    else f->metrics[metric] += core_metric_kind(metric) == METRIC_COUNTER ? value : 1;
}

static void fixture_start(struct fixture *f)
{
    struct core_config config = {.options = &f->options, .seed = 7, .metric = note_metric, .metric_arg = f};
    struct error error = {0};
    check(core_worker_create(&config, f->now, &f->w, &error, &f->arena) == ERR_NONE);
    core_worker_start(f->w, f->now);
}

static void fixture_fini(struct fixture *f)
{
    core_worker_destroy(f->w);
    for (size_t i = 0; i < f->effect_count; i++) core_effect_free(f->effects[i]);
    if (f->history != NULL) echo_fini(&f->echo);
    arena_fini(&f->arena);
}

static void load(struct fixture *f, const char *name)
{
    const char *dir = getenv("CORE_TESTDATA");
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir != NULL ? dir : "src/core/testdata", name);
    f->history = echo_load(path, &f->arena);
    if (f->history == NULL) abort();
    echo_init(&f->echo, f->history);
}

static void take_all(struct fixture *f)
{
    struct core_effect *e;
    while ((e = core_worker_take(f->w)) != NULL) {
        check(f->effect_count < countof(f->effects));
        f->effects[f->effect_count++] = e;
    }
}

/* The next effect of a kind (and RPC) that was not looked at yet; NULL: none. Others are passed over. */
static struct core_effect *next(struct fixture *f, enum core_effect_kind kind, int rpc)
{
    take_all(f);
    for (size_t i = 0; i < f->effect_count; i++) {
        struct core_effect *e = f->effects[i];
        if (e->kind != kind || (kind == EFFECT_CALL && (int)e->rpc != rpc) || e->code == -1) continue;
        e->code = -1; /* looked at */
        return e;
    }
    return NULL;
}

static size_t count(struct fixture *f, enum core_effect_kind kind, int rpc)
{
    size_t n = 0;
    while (next(f, kind, rpc) != NULL) n++;
    return n;
}

static void answer(struct fixture *f, const struct core_effect *call, const struct pb_message *type, const void *msg)
{
    struct buf bytes = {0};
    check(call != NULL);
    if (call == NULL) return;
    pb_encode(type, msg, &bytes);
    core_worker_called(f->w, call->call_id, 0, buf_view(&bytes), f->now);
    buf_fini(&bytes);
}

static void *request(struct fixture *f, const struct core_effect *call, const struct pb_message *type)
{
    void *msg = NULL;
    check(call != NULL);
    if (call == NULL) return arena_zalloc(&f->arena, type->size);
    check(pb_decode(type, buf_view(&call->bytes), &f->arena, PB_COPY, &msg) == ERR_NONE);
    return msg;
}

static void advance(struct fixture *f, int64_t ms)
{
    f->now = instant_add(f->now, duration_ms(ms));
    core_worker_tick(f->w, f->now);
}

/* Gives a poll the workflow task with events first … last of the loaded history. */
static void give_task(struct fixture *f, size_t first, size_t last, const char *run)
{
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f->history->events + first - 1, last - first + 1);
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = str_of(run)};
    pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = STR("token"), .workflow_execution = &execution, .history = &part,
                                                .started_event_id = (int64_t)last, .attempt = 1};
    answer(f, next(f, EFFECT_CALL, CORE_POLL_WORKFLOW), &pb_ws_PollWorkflowTaskQueueResponse_type, &poll);
}

static pb_core_Activation *activation(struct fixture *f, struct core_effect *e)
{
    core_worker_taken(f->w, f->now);
    return request(f, e, &pb_core_Activation_type);
}

static void complete(struct fixture *f, const pb_core_Completion *c)
{
    struct buf bytes = {0};
    PB_ENCODE(pb_core_Completion, c, &bytes);
    check(core_worker_complete(f->w, &bytes, f->now) == ERR_NONE);
}

/* The SDK answers the next activation as its history says; empty for a removal. Returns its removal reason, or 0. */
UNUSED static int sdk(struct fixture *f)
{
    struct core_effect *e = next(f, EFFECT_ACTIVATION, 0);
    pb_core_Activation *a = activation(f, e);
    if (e == NULL) return -1;
    pb_core_Completion empty = {.run_id = a->run_id}, *c = &empty;
    bool is_removal = a->jobs_count == 1 && a->jobs[0]->variant_case == pb_core_Job_remove_from_cache_tag;
    int reason = is_removal ? a->jobs[0]->remove_from_cache->reason : 0;
    if (!is_removal) c = echo_answer(&f->echo, buf_view(&e->bytes), &f->arena);
    complete(f, c);
    return reason;
}

#endif
