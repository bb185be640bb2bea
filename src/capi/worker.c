/* One lock guards core, the queue of activations and the calls that are out. Whoever brings an input carries out its
 * effects: calls go to the runtime by mail, activations to the queue; hooks run when the lock has been given back. */
#include "capi/worker.h"

#include "base/log.h"
#include "capi/load.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { WAITING_MS = 10, SAMPLE_MS = 100, STUCK_MS = 100, POLL_TIMEOUT_S = 70 };

/* A call that is out; holds a reference to the worker. */
struct worker_call {
    struct list link; /* in worker->calls */
    struct worker *worker;
    uint64_t id;
    struct connection_call *call;
};

struct worker {
    struct runtime *runtime;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct connection *connection; /* NULL: a replayer */
    struct core_worker *core;
    struct worker_hooks hooks;
    void *hooks_arg;
    void (*release)(void *arg);
    int references;
    struct list calls;             /* few; by core's id they are looked for when one is cancelled only */
    struct list activations;       /* struct core_effect */
    size_t activation_count, out_count, taker_count; /* waiting; being worked on; threads that wait */
    size_t due_wakes;              /* of takers, at the end of the loop's turn */
    bool is_wake_due;              /* wake_defer is set */
    size_t returning_count;        /* threads that have just answered one and will come for the next; at most as many */
    bool is_done, is_dropped, is_started;
    bool is_ending;                /* the last reference is gone; end_mail is on its way, and timers may go off until it is opened */
    instant programmed;            /* when the tick timer goes off; INSTANT_NEVER: it is off */
    bool is_retiming, is_watched;  /* mail is on its way; the waiting timer runs */
    struct mail retime_mail, end_mail;
    struct loop_defer wake_defer;
    struct timer tick_timer, waiting_timer, sample_timer, stuck_timer; /* on the runtime's thread */
    struct load load;
    struct arena arena;            /* names, as long as the worker */
    struct str namespace, task_queue;
    int metric[METRIC_COUNT];      /* instruments of the runtime's metrics */
    bool has_metric[METRIC_COUNT];
};

static instant now_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (instant){t.tv_sec * NS_PER_S + t.tv_nsec};
}

/* ---- effects -------------------------------------------------------------------------------------------------------------- */

/* What is to be told when the lock is free. */
struct telling {
    struct list effects;  /* struct core_effect */
    bool is_waiting;      /* call activation_waiting */
    size_t wake_count;    /* threads that wait for an activation and now get one */
    bool is_end_of_turn;  /* they are woken now */
};

static void on_called(void *arg, const struct grpc_response *response);

/* What the server is told of a failed workflow task is worth a line here: it is tried again and again until somebody looks. */
static void log_failure(const struct worker *w, const struct core_effect *e)
{
    char *run = str_dup_c(e->id), *why = str_dup_c(e->text), *queue = str_dup_c(w->task_queue);
    if (e->cause == WORKFLOW_TASK_FAILED_CAUSE_PAYLOADS_TOO_LARGE)
        log_error("temporal_worker", "[TMPRL1103] Attempted to upload payloads with size that exceeded the error limit.", "run_id", run, "failure", why);
    log_warn("temporal_worker", "Failing workflow task", "run_id", run, "task_queue", queue, "failure", why);
    free(run);
    free(why);
    free(queue);
}

static void carry_call(struct worker *w, struct core_effect *e)
{
    if (e->rpc == CORE_WORKFLOW_FAILED) log_failure(w, e);
    struct worker_call *call = xcalloc(1, sizeof *call);
    call->worker = w;
    call->id = e->call_id;
    struct connection_request request = {
        .path = core_rpc_path(e->rpc), .body = buf_view(&e->bytes),
        .timeout = e->is_long_poll ? duration_s(POLL_TIMEOUT_S) : (duration){0},
        .retrying = e->is_long_poll ? CONNECTION_RETRY_FOREVER : e->is_retried ? CONNECTION_RETRY : CONNECTION_ONCE};
    w->references++;
    list_push(&w->calls, &call->link);
    if (connection_call_start(w->connection, &request, on_called, call, &call->call)) return;
    list_remove(&call->link); /* the runtime has stopped, and with it everything */
    w->references--;
    free(call);
}

static void cancel_call(struct worker *w, uint64_t id)
{
    list_each(link, &w->calls) {
        struct worker_call *call = container_of(link, struct worker_call, link);
        if (call->id == id) connection_call_cancel(call->call);
    }
}

/* Takes the effect. */
static void carry_activation(struct worker *w, struct core_effect *e, struct telling *telling)
{
    list_push(&w->activations, &e->link);
    w->activation_count++;
    if (w->taker_count > telling->wake_count) telling->wake_count++;
    else if (w->taker_count + w->out_count + w->returning_count == 0) telling->is_waiting = true;
}

/* With the lock held. */
static void carry_out(struct worker *w, struct telling *telling)
{
    struct core_effect *e;
    while ((e = core_worker_take(w->core)) != NULL) {
        switch (e->kind) {
        case EFFECT_CALL:
            carry_call(w, e);
            core_effect_free(e);
            break;
        case EFFECT_CANCEL_CALL:
            cancel_call(w, e->call_id);
            core_effect_free(e);
            break;
        case EFFECT_ACTIVATION:
            carry_activation(w, e, telling);
            break;
        case EFFECT_ACTIVITY_TASK: /* under the lock, so that a cancel never overtakes its start */
            if (w->hooks.activity_task != NULL) w->hooks.activity_task(w->hooks_arg, buf_view(&e->bytes));
            core_effect_free(e);
            break;
        case EFFECT_SLOT_RESERVE: case EFFECT_SLOT_CANCEL: case EFFECT_SLOT_USED: case EFFECT_SLOT_RELEASED: /* so that a slot is used before it is released */
            if (w->hooks.slot != NULL)
                w->hooks.slot(w->hooks_arg, &(struct worker_slot){e->kind, e->slot_kind, e->custom_id, e->permit, e->is_sticky, e->id});
            core_effect_free(e);
            break;
        case EFFECT_DONE:
            w->is_done = true;
            pthread_cond_broadcast(&w->changed);
            if (w->hooks.activity_task != NULL) w->hooks.activity_task(w->hooks_arg, STR_EMPTY);
            list_push(&telling->effects, &e->link);
            break;
        default: list_push(&telling->effects, &e->link); break;
        }
    }
}

static void tell(const struct worker_hooks *h, void *arg, const struct core_effect *e)
{
    switch (e->kind) {
    case EFFECT_FATAL:
        if (h->fatal != NULL) h->fatal(arg, e->code, e->text);
        break;
    case EFFECT_DONE:
        if (h->done != NULL) h->done(arg);
        break;
    default: break;
    }
}

/* ---- timers: the runtime's thread ------------------------------------------------------------------------------------------- */

static void enter(struct worker *w) { pthread_mutex_lock(&w->mutex); }
static void leave(struct worker *w, struct telling *telling);

static void set_tick(struct worker *w)
{
    instant due = core_worker_due(w->core);
    if (due.ns == w->programmed.ns) return;
    w->programmed = due;
    struct loop *loop = runtime_loop(w->runtime);
    if (due.ns == INSTANT_NEVER.ns) loop_timer_stop(loop, &w->tick_timer);
    else loop_timer_at(loop, &w->tick_timer, due);
}

static void set_watch(struct worker *w)
{
    bool is_wanted = w->activation_count > 0 && !w->is_dropped;
    if (is_wanted && !w->is_watched) loop_timer_in(runtime_loop(w->runtime), &w->waiting_timer, duration_ms(WAITING_MS));
    w->is_watched = is_wanted;
}

/* Timers are set on their own thread: at once when this is it, else by mail. */
static void retime(struct worker *w)
{
    bool is_due = core_worker_due(w->core).ns < w->programmed.ns || (w->activation_count > 0 && !w->is_watched);
    if (!is_due || w->is_retiming || w->is_dropped) return;
    if (runtime_is_own_thread(w->runtime)) {
        set_tick(w);
        set_watch(w);
        return;
    }
    w->is_retiming = true;
    w->references++;
    if (runtime_send(w->runtime, &w->retime_mail)) return;
    w->references--;
}

static void on_retime(struct mail *mail)
{
    struct worker *w = container_of(mail, struct worker, retime_mail);
    struct telling telling = {0};
    list_init(&telling.effects);
    enter(w);
    w->is_retiming = false;
    w->references--;
    if (!w->is_dropped) {
        set_tick(w);
        set_watch(w);
        if (!timer_is_set(&w->sample_timer) && core_worker_wants_samples(w->core) && w->is_started)
            loop_timer_in(runtime_loop(w->runtime), &w->sample_timer, duration_ms(0));
    }
    leave(w, &telling);
}

static void on_tick(struct timer *timer, instant now)
{
    struct worker *w = container_of(timer, struct worker, tick_timer);
    struct telling telling = {0};
    list_init(&telling.effects);
    enter(w);
    w->programmed = INSTANT_NEVER;
    core_worker_tick(w->core, instant_max(now, now_wall()));
    carry_out(w, &telling);
    leave(w, &telling);
}

/* An activation has waited: those who could take it may be at work on others for long. */
static void on_waiting(struct timer *timer, instant now)
{
    (void)now;
    struct worker *w = container_of(timer, struct worker, waiting_timer);
    struct telling telling = {0};
    list_init(&telling.effects);
    enter(w);
    w->is_watched = false;
    telling.is_waiting = w->activation_count > w->taker_count;
    if (telling.is_waiting) w->returning_count = 0; /* who was to come has not */
    set_watch(w);
    leave(w, &telling);
}

static void on_sample(struct timer *timer, instant now)
{
    struct worker *w = container_of(timer, struct worker, sample_timer);
    struct telling telling = {0};
    list_init(&telling.effects);
    double memory = load_memory(), cpu = load_cpu(&w->load);
    enter(w);
    core_worker_sample(w->core, memory, cpu, instant_max(now, now_wall()));
    carry_out(w, &telling);
    if (!w->is_done && !w->is_dropped) loop_timer_in(runtime_loop(w->runtime), &w->sample_timer, duration_ms(SAMPLE_MS));
    leave(w, &telling);
}

static void on_stuck_time(struct timer *timer, instant now)
{
    struct worker *w = container_of(timer, struct worker, stuck_timer);
    struct telling telling = {0};
    list_init(&telling.effects);
    enter(w);
    if (w->hooks.is_stuck != NULL && core_worker_has_heartbeats(w->core)) {
        if (w->hooks.is_stuck(w->hooks_arg)) core_worker_keep_alive(w->core, STR_EMPTY, instant_max(now, now_wall()));
        carry_out(w, &telling);
    }
    leave(w, &telling);
}

/* Activities come in answers to polls, so on the runtime's thread. */
static void watch_sdk(struct worker *w)
{
    if (w->hooks.is_stuck == NULL || !core_worker_has_heartbeats(w->core) || !runtime_is_own_thread(w->runtime)) return;
    if (!timer_is_set(&w->stuck_timer)) loop_timer_in(runtime_loop(w->runtime), &w->stuck_timer, duration_ms(STUCK_MS));
}

/* ---- the lock --------------------------------------------------------------------------------------------------------------- */

static void on_end(struct mail *mail)
{
    struct worker *w = container_of(mail, struct worker, end_mail);
    struct loop *loop = runtime_loop(w->runtime);
    loop_timer_stop(loop, &w->tick_timer);
    loop_timer_stop(loop, &w->waiting_timer);
    loop_timer_stop(loop, &w->sample_timer);
    loop_timer_stop(loop, &w->stuck_timer);
    struct list *link;
    while ((link = list_pop(&w->activations)) != NULL) core_effect_free(container_of(link, struct core_effect, link));
    core_worker_destroy(w->core);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    arena_fini(&w->arena);
    if (w->release != NULL) w->release(w->hooks_arg);
    struct runtime *runtime = w->runtime;
    if (w->connection != NULL) connection_unref(w->connection);
    free(w);
    runtime_unref(runtime);
}

/* True once: for whoever has to send the end_mail. With the lock held. */
static bool is_over(struct worker *w)
{
    if (w->references != 0 || w->is_ending) return false;
    w->is_ending = true;
    return true;
}

/* One for each activation that has come while they wait. */
static void wake_takers(struct worker *w, struct telling *telling)
{
    for (; telling->wake_count != 0; telling->wake_count--) pthread_cond_signal(&w->changed);
}

/* The loop's thread has more to read: whoever is woken now would take its place on the CPU, or its lock. With the lock held. */
static void wake_later(struct worker *w, struct telling *telling)
{
    if (!w->is_wake_due) {
        w->is_wake_due = true;
        w->references++;
        loop_defer(runtime_loop(w->runtime), &w->wake_defer);
    }
    w->due_wakes += telling->wake_count;
    if (w->due_wakes > w->taker_count) w->due_wakes = w->taker_count;
    telling->wake_count = 0;
}

static void on_end_of_turn(struct loop_defer *defer)
{
    struct worker *w = container_of(defer, struct worker, wake_defer);
    struct telling telling = {.is_end_of_turn = true};
    list_init(&telling.effects);
    enter(w);
    telling.wake_count = w->due_wakes;
    w->due_wakes = 0;
    w->is_wake_due = false;
    w->references--;
    leave(w, &telling);
}

/* Gives the lock back, then tells what there is to tell. The worker may be gone afterwards. Threads are woken when they can
 * have the lock, or they would wait once more, for it: nothing frees the worker meanwhile, for that happens on the runtime's
 * thread, and any other caller has a reference of its own. */
static void leave(struct worker *w, struct telling *telling)
{
    retime(w);
    watch_sdk(w);
    if (core_worker_has_held(w->core) && runtime_is_own_thread(w->runtime)) loop_yield(runtime_loop(w->runtime));
    if (telling->wake_count != 0 && !telling->is_end_of_turn && runtime_is_own_thread(w->runtime)) wake_later(w, telling);
    struct worker_hooks hooks = w->hooks;
    void *arg = w->hooks_arg;
    if (hooks.activation_waiting == NULL) telling->is_waiting = false;
    bool is_telling = telling->is_waiting || !list_is_empty(&telling->effects);
    if (is_telling) w->references++;
    bool is_last = is_over(w);
    if (w->is_dropped) telling->wake_count = 0; /* they have been woken, and the caller's reference may be the one that went */
    pthread_mutex_unlock(&w->mutex);
    wake_takers(w, telling);
    if (telling->is_waiting) hooks.activation_waiting(arg);
    struct list *link;
    while ((link = list_pop(&telling->effects)) != NULL) {
        struct core_effect *e = container_of(link, struct core_effect, link);
        tell(&hooks, arg, e);
        core_effect_free(e);
    }
    if (is_telling) {
        pthread_mutex_lock(&w->mutex);
        w->references--;
        is_last = is_over(w);
        pthread_mutex_unlock(&w->mutex);
    }
    /* When the runtime has stopped, the timers are memory of a thread that is gone: the process is ending. */
    if (is_last && !runtime_send(w->runtime, &w->end_mail)) return;
}

static void on_called(void *arg, const struct grpc_response *response)
{
    struct worker_call *call = arg;
    struct worker *w = call->worker;
    struct telling telling = {0};
    list_init(&telling.effects);
    enter(w);
    w->references--;
    list_remove(&call->link);
    core_worker_called(w->core, call->id, (int)response->code, response->code == GRPC_OK ? response->body : response->message, now_wall());
    carry_out(w, &telling);
    if (!runtime_is_own_thread(w->runtime)) wake_takers(w, &telling); /* a replaced connection's thread: see leave */
    leave(w, &telling);
    connection_call_unref(call->call);
    free(call);
}

/* ---- life --------------------------------------------------------------------------------------------------------------------- */

/* What a metric's label is about. */
static const char *label_name(enum core_metric metric)
{
    switch (metric) {
    case METRIC_POLLER_COUNT: return "poller_type";
    case METRIC_SLOTS_AVAILABLE: case METRIC_SLOTS_USED: return "worker_type";
    case METRIC_ACTIVITY_TASK_RECEIVED: case METRIC_ACTIVITY_EXECUTION_FAILED: case METRIC_ACTIVITY_SCHEDULE_TO_START:
    case METRIC_ACTIVITY_EXECUTION_LATENCY: case METRIC_ACTIVITY_SUCCEED_LATENCY: case METRIC_LOCAL_ACTIVITY_SUCCEED_LATENCY:
    case METRIC_LOCAL_ACTIVITY_TOTAL: case METRIC_LOCAL_ACTIVITY_EXECUTION_CANCELLED:
    case METRIC_LOCAL_ACTIVITY_EXECUTION_FAILED: case METRIC_LOCAL_ACTIVITY_EXECUTION_LATENCY: return "activity_type";
    default: return "workflow_type";
    }
}

static void on_metric(void *arg, enum core_metric metric, double value, struct str label, struct str workflow_type)
{
    static const enum metrics_kind kinds[] = {[METRIC_COUNTER] = METRICS_COUNTER, [METRIC_GAUGE] = METRICS_GAUGE, [METRIC_HISTOGRAM] = METRICS_DURATION};
    struct worker *w = arg;
    struct metrics *metrics = runtime_metrics(w->runtime);
    if (!w->has_metric[metric]) {
        enum core_metric_kind kind = core_metric_kind(metric);
        w->metric[metric] = metrics_register(metrics, kinds[kind], str_of(core_metric_name(metric)), STR_EMPTY,
                                             kind == METRIC_HISTOGRAM ? STR("ms") : STR_EMPTY, false);
        w->has_metric[metric] = true;
    }
    struct metrics_label labels[4] = {{STR("namespace"), w->namespace, METRICS_TEXT}, {STR("task_queue"), w->task_queue, METRICS_TEXT}};
    size_t count = 2;
    if (!str_is_empty(label)) labels[count++] = (struct metrics_label){str_of(label_name(metric)), label, METRICS_TEXT};
    if (!str_is_empty(workflow_type)) labels[count++] = (struct metrics_label){STR("workflow_type"), workflow_type, METRICS_TEXT};
    metrics_record(metrics, w->metric[metric], value, labels, count);
}

static uint64_t random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed) return seed;
    return (uint64_t)now_wall().ns ^ (uint64_t)getpid() << 40;
}

/* Held for microseconds: who finds it taken looks again some times before it sleeps. */
static void init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t adaptive;
    pthread_mutexattr_init(&adaptive);
    pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(mutex, &adaptive);
    pthread_mutexattr_destroy(&adaptive);
}

err worker_create(struct worker **out, struct connection *connection, struct runtime *runtime, const pb_core_WorkerOptions *options,
                  struct arena *arena, struct error *error)
{
    struct worker *w = xcalloc(1, sizeof *w);
    arena_init(&w->arena, 256, 0);
    w->namespace = arena_str(&w->arena, options->namespace);
    w->task_queue = arena_str(&w->arena, options->task_queue);
    struct core_config config = {.options = options, .seed = random_seed(), .metric_arg = w};
    struct runtime *on = connection != NULL ? connection_runtime(connection) : runtime;
    if (runtime_metrics(on) != NULL) config.metric = on_metric;
    err e = core_worker_create(&config, now_wall(), &w->core, error, arena);
    if (e != ERR_NONE) {
        arena_fini(&w->arena);
        free(w);
        return e;
    }
    w->runtime = runtime_ref(on);
    w->connection = connection != NULL ? connection_ref(connection) : NULL;
    init_mutex(&w->mutex);
    pthread_condattr_t steady;
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &steady);
    pthread_condattr_destroy(&steady);
    list_init(&w->activations);
    list_init(&w->calls);
    w->references = 1;
    w->programmed = INSTANT_NEVER;
    w->retime_mail.open = on_retime;
    w->end_mail.open = on_end;
    w->wake_defer.run = on_end_of_turn;
    w->tick_timer.fire = on_tick;
    w->waiting_timer.fire = on_waiting;
    w->sample_timer.fire = on_sample;
    w->stuck_timer.fire = on_stuck_time;
    *out = w;
    return ERR_NONE;
}

void worker_set_hooks(struct worker *w, const struct worker_hooks *hooks, void *arg)
{
    enter(w);
    w->hooks = *hooks;
    w->release = hooks->release;
    w->hooks_arg = arg;
    pthread_mutex_unlock(&w->mutex);
}

/* An input to core, with the lock around it and its effects carried out. */
#define INPUT(w, statement)                 \
    do {                                    \
        struct telling telling_ = {0};      \
        list_init(&telling_.effects);       \
        enter(w);                           \
        statement;                          \
        carry_out((w), &telling_);          \
        leave((w), &telling_);              \
    } while (0)

static void start(struct worker *w)
{
    w->is_started = true;
    core_worker_start(w->core, now_wall());
    if (!core_worker_wants_samples(w->core) || w->is_retiming) return;
    w->is_retiming = true;
    w->references++;
    if (!runtime_send(w->runtime, &w->retime_mail)) w->references--;
}

bool worker_start(struct worker *w)
{
    if (!runtime_is_alive(w->runtime)) return false;
    INPUT(w, start(w));
    return true;
}

void worker_replace_connection(struct worker *w, struct connection *connection)
{
    enter(w);
    struct connection *before = w->connection;
    /* The runtime stays: timers live on it. Calls may go over a connection of another. */
    w->connection = connection_ref(connection);
    pthread_mutex_unlock(&w->mutex);
    if (before != NULL) connection_unref(before);
}

static void drop(struct worker *w)
{
    w->is_dropped = true;
    w->hooks = (struct worker_hooks){0};
    core_worker_shutdown(w->core, now_wall());
    list_each(link, &w->calls) connection_call_cancel(container_of(link, struct worker_call, link)->call);
    pthread_cond_broadcast(&w->changed);
    w->references--;
}

void worker_unref(struct worker *w)
{
    INPUT(w, drop(w));
}

void worker_shutdown(struct worker *w)
{
    INPUT(w, core_worker_shutdown(w->core, now_wall()));
}

bool worker_is_done(struct worker *w)
{
    enter(w);
    bool is_done = w->is_done;
    pthread_mutex_unlock(&w->mutex);
    return is_done;
}

/* ---- for the SDK ---------------------------------------------------------------------------------------------------------------- */

static bool wait_changed(struct worker *w, bool has_limit, const struct timespec *until)
{
    if (!has_limit) return pthread_cond_wait(&w->changed, &w->mutex) == 0;
    return pthread_cond_timedwait(&w->changed, &w->mutex, until) == 0;
}

static struct timespec steady_after(duration timeout)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + (timeout.ns > 0 ? timeout.ns % NS_PER_S : 0);
    t.tv_sec += (timeout.ns > 0 ? timeout.ns / NS_PER_S : 0) + ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    return t;
}

static void wait_for_activation(struct worker *w, duration timeout)
{
    struct timespec until = steady_after(timeout);
    w->returning_count = 0; /* with one that waits there is no need to guess who comes */
    w->taker_count++;
    while (list_is_empty(&w->activations) && !w->is_done && !w->is_dropped && wait_changed(w, timeout.ns >= 0, &until)) {}
    w->taker_count--;
}

/* With the lock held; gives it back. False: none waits. */
static bool take_activation(struct worker *w, struct buf *out)
{
    struct telling telling = {0};
    list_init(&telling.effects);
    struct list *link = list_pop(&w->activations);
    if (link != NULL) {
        w->activation_count--;
        w->out_count++;
        core_worker_taken(w->core, now_wall());
        carry_out(w, &telling);
    }
    leave(w, &telling);
    if (link == NULL) return false;
    struct core_effect *e = container_of(link, struct core_effect, link);
    *out = e->bytes;
    e->bytes = (struct buf){0};
    core_effect_free(e);
    return true;
}

bool worker_next_activation(struct worker *w, duration timeout, struct buf *out)
{
    enter(w);
    if (w->returning_count != 0) w->returning_count--;
    if (list_is_empty(&w->activations)) wait_for_activation(w, timeout);
    return take_activation(w, out);
}

/* With the lock held; gives it back. */
static err complete_activation(struct worker *w, struct buf *completion)
{
    struct telling telling = {0};
    list_init(&telling.effects);
    err e = core_worker_complete(w->core, completion, now_wall());
    carry_out(w, &telling);
    if (w->out_count != 0) { /* afterwards: this thread will come for the next one */
        w->out_count--;
        w->returning_count++;
    }
    leave(w, &telling);
    return e;
}

err worker_complete_activation(struct worker *w, struct buf *completion)
{
    enter(w);
    return complete_activation(w, completion);
}

bool worker_try_complete_activation(struct worker *w, struct buf *completion, err *result)
{
    if (pthread_mutex_trylock(&w->mutex) != 0) return false;
    *result = complete_activation(w, completion);
    return true;
}

static err complete_activity(struct worker *w, struct str result)
{
    struct telling telling = {0};
    list_init(&telling.effects);
    err e = core_worker_activity_done(w->core, result, now_wall());
    carry_out(w, &telling);
    leave(w, &telling);
    return e;
}

err worker_complete_activity(struct worker *w, struct str result)
{
    enter(w);
    return complete_activity(w, result);
}

bool worker_try_complete_activity(struct worker *w, struct str bytes, err *result)
{
    if (pthread_mutex_trylock(&w->mutex) != 0) return false;
    *result = complete_activity(w, bytes);
    return true;
}

err worker_record_heartbeat(struct worker *w, struct str heartbeat)
{
    err e;
    INPUT(w, e = core_worker_heartbeat(w->core, heartbeat, now_wall()));
    return e;
}

uint64_t worker_reserve(struct worker *w)
{
    uint64_t permit;
    INPUT(w, permit = core_worker_reserve(w->core, now_wall()));
    return permit;
}

void worker_accept(struct worker *w, uint64_t permit, struct str task)
{
    INPUT(w, core_worker_accept(w->core, permit, task, now_wall()));
}

void worker_keep_alive(struct worker *w, struct str token)
{
    INPUT(w, core_worker_keep_alive(w->core, token, now_wall()));
}

void worker_grant_slot(struct worker *w, uint64_t number)
{
    INPUT(w, core_worker_slot_granted(w->core, number, now_wall()));
}

err worker_push_history(struct worker *w, struct str workflow_id, struct str history)
{
    err e;
    struct arena arena;
    struct str run_id;
    arena_init(&arena, 4096, 0);
    INPUT(w, e = core_worker_push_history(w->core, workflow_id, history, &arena, &run_id, now_wall()));
    arena_fini(&arena);
    return e;
}
