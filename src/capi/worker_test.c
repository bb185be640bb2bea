/* A worker with threads against a server that knows one workflow: its first task, an activity, its second task, the end. */
#include "base/test.h"
#include "capi/worker.h"
#include "core/echo.h"
#include "net/grpc_server.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { RUNS = 120, PUMPS = 3, PARKED_MAX = 32 };

struct parked { struct grpc_call *calls[PARKED_MAX]; size_t count; };

static struct fixture {
    struct runtime *server_runtime, *runtime;
    struct grpc_server *server;
    struct connection *connection;
    struct worker *worker;
    struct arena arena;
    pb_history_History *history;
    /* The server's thread. */
    struct parked workflow_polls, activity_polls;
    int stages[RUNS];            /* 1: first task wanted, 2: out, 3: activity wanted, 4: out, 5: second task wanted, 6: out, 7: ended */
    /* Guarded by the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int port, ended, shutdowns, done, waiting_calls, heartbeats;
    struct buf tokens[RUNS];     /* of activities that wait to be answered */
    size_t token_first, token_last;
    bool has_no_more_activities;
    struct echo echoes[RUNS];
} f;

static bool wait_for(const int *number, int least)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    int status = 0;
    pthread_mutex_lock(&f.mutex);
    while (*number < least && status != ETIMEDOUT) status = pthread_cond_timedwait(&f.changed, &f.mutex, &end);
    bool is_reached = *number >= least;
    pthread_mutex_unlock(&f.mutex);
    return is_reached;
}

static void add(int *number)
{
    pthread_mutex_lock(&f.mutex);
    ++*number;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.mutex);
}

/* ---- the server: on its thread ---------------------------------------------------------------------------------- */

static void reply(struct grpc_call *call, const struct pb_message *type, const void *msg)
{
    struct buf bytes = {0};
    pb_encode(type, msg, &bytes);
    grpc_call_reply(call, bytes.data, bytes.size);
    buf_fini(&bytes);
}

static void give_workflow_task(struct grpc_call *call, int run)
{
    char name[16];
    snprintf(name, sizeof name, "%d", run);
    bool is_first = f.stages[run]++ == 1;
    pb_history_History part = {0};
    if (is_first) PB_SET_ARRAY(&part, events, f.history->events, 3);
    else PB_SET_ARRAY(&part, events, f.history->events + 3, 6);
    pb_common_WorkflowExecution execution = {.workflow_id = str_of(name), .run_id = str_of(name)};
    pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = str_of(name), .workflow_execution = &execution, .history = &part,
                                                .started_event_id = is_first ? 3 : 9, .attempt = 1};
    reply(call, &pb_ws_PollWorkflowTaskQueueResponse_type, &poll);
}

static void give_activity_task(struct grpc_call *call, int run)
{
    char name[16];
    snprintf(name, sizeof name, "%d", run);
    f.stages[run]++;
    pb_common_ActivityType type = {.name = STR("say")};
    pb_ws_PollActivityTaskQueueResponse poll = {.task_token = str_of(name), .activity_id = STR("1"), .activity_type = &type, .attempt = 1};
    reply(call, &pb_ws_PollActivityTaskQueueResponse_type, &poll);
}

/* Tasks meet polls. */
static void match_all(void)
{
    for (int run = 0; run < RUNS; run++) {
        bool is_workflow = f.stages[run] == 1 || f.stages[run] == 5, is_activity = f.stages[run] == 3;
        if (is_workflow && f.workflow_polls.count != 0) give_workflow_task(f.workflow_polls.calls[--f.workflow_polls.count], run);
        if (is_activity && f.activity_polls.count != 0) give_activity_task(f.activity_polls.calls[--f.activity_polls.count], run);
    }
}

static int run_of(const struct grpc_call *call, const struct pb_message *type, size_t token_offset)
{
    struct arena arena;
    void *msg;
    arena_init(&arena, 0, 0);
    int run = -1;
    if (pb_decode(type, grpc_call_body(call), &arena, PB_COPY, &msg) == ERR_NONE)
        run = atoi(arena_cstr(&arena, *(struct str *)(void *)((char *)msg + token_offset)));
    arena_fini(&arena);
    return run >= 0 && run < RUNS ? run : 0;
}
#define RUN_OF(call, name) run_of((call), &name##_type, offsetof(name, task_token))

static void on_call(void *arg, struct grpc_call *call)
{
    (void)arg;
    struct str path = grpc_call_path(call);
    const char *method = memrchr(path.data, '/', path.size);
    struct str name = str_skip(path, (size_t)(method + 1 - path.data));
    if (str_equal_c(name, "PollWorkflowTaskQueue")) {
        f.workflow_polls.calls[f.workflow_polls.count++] = call;
    } else if (str_equal_c(name, "PollActivityTaskQueue")) {
        f.activity_polls.calls[f.activity_polls.count++] = call;
    } else if (str_equal_c(name, "RespondWorkflowTaskCompleted")) {
        int run = RUN_OF(call, pb_ws_RespondWorkflowTaskCompletedRequest);
        if (++f.stages[run] == 7) add(&f.ended);
        grpc_call_reply(call, "", 0);
    } else if (str_equal_c(name, "RespondActivityTaskCompleted")) {
        f.stages[RUN_OF(call, pb_ws_RespondActivityTaskCompletedRequest)]++;
        grpc_call_reply(call, "", 0);
    } else if (str_equal_c(name, "ShutdownWorker")) {
        add(&f.shutdowns);
        grpc_call_reply(call, "", 0);
    } else if (str_equal_c(name, "RecordActivityTaskHeartbeat")) {
        add(&f.heartbeats);
        grpc_call_reply(call, "", 0);
    } else {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, STR("what?"), STR_EMPTY);
    }
    match_all();
}

static void forget(struct parked *parked, const struct grpc_call *call)
{
    for (size_t i = 0; i < parked->count; i++)
        if (parked->calls[i] == call) parked->calls[i--] = parked->calls[--parked->count];
}

static void on_cancel(void *arg, struct grpc_call *call)
{
    (void)arg;
    forget(&f.workflow_polls, call);
    forget(&f.activity_polls, call);
}

static const struct grpc_handler handler = {.on_call = on_call, .on_cancel = on_cancel};

static void listen_on_its_thread(struct mail *mail)
{
    (void)mail;
    struct arena arena;
    arena_init(&arena, 0, 0);
    err e = grpc_server_listen(&f.server, runtime_loop(f.server_runtime), &(struct grpc_server_options){0}, &handler, NULL, &arena, NULL);
    arena_fini(&arena);
    pthread_mutex_lock(&f.mutex);
    f.port = e == ERR_NONE ? grpc_server_port(f.server) : 1;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.mutex);
}

static void destroy_on_its_thread(struct mail *mail)
{
    (void)mail;
    grpc_server_destroy(f.server);
    add(&f.done);
}

/* ---- the SDK ----------------------------------------------------------------------------------------------------- */

static void on_activity_task(void *arg, struct str bytes)
{
    (void)arg;
    struct arena arena;
    pb_core_ActivityTask *task;
    arena_init(&arena, 0, 0);
    pthread_mutex_lock(&f.mutex);
    if (bytes.size == 0) f.has_no_more_activities = true;
    else if (PB_DECODE(&arena, bytes, pb_core_ActivityTask, &task) == ERR_NONE && task->variant_case == pb_core_ActivityTask_start_tag)
        buf_append_str(&f.tokens[f.token_last++ % RUNS], task->task_token);
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.mutex);
    arena_fini(&arena);
}

static void on_waiting(void *arg)
{
    (void)arg;
    add(&f.waiting_calls);
}

static void on_worker_done(void *arg)
{
    (void)arg;
    add(&f.done);
}

static bool take_token(struct buf *token)
{
    pthread_mutex_lock(&f.mutex);
    while (f.token_first == f.token_last && !f.has_no_more_activities) pthread_cond_wait(&f.changed, &f.mutex);
    bool has_one = f.token_first != f.token_last;
    if (has_one) {
        *token = f.tokens[f.token_first % RUNS];
        f.tokens[f.token_first++ % RUNS] = (struct buf){0};
    }
    pthread_mutex_unlock(&f.mutex);
    return has_one;
}

static void *run_activities(void *arg)
{
    (void)arg;
    struct buf token = {0}, bytes = {0};
    while (take_token(&token)) {
        pb_core_ActivityHeartbeat beat = {.task_token = buf_view(&token)};
        PB_ENCODE(pb_core_ActivityHeartbeat, &beat, &bytes);
        check(worker_record_heartbeat(f.worker, buf_view(&bytes)) == ERR_NONE);
        buf_clear(&bytes);
        pb_core_ActivityCompleted done = {0};
        pb_core_ActivityResult result = {.task_token = buf_view(&token), .outcome_case = pb_core_ActivityResult_completed_tag, .completed = &done};
        PB_ENCODE(pb_core_ActivityResult, &result, &bytes);
        err e;
        if (!worker_try_complete_activity(f.worker, buf_view(&bytes), &e)) e = worker_complete_activity(f.worker, buf_view(&bytes));
        check(e == ERR_NONE);
        buf_clear(&bytes);
        buf_fini(&token);
    }
    buf_fini(&bytes);
    return NULL;
}

static void answer(struct buf *activation)
{
    struct arena arena;
    struct buf bytes = {0};
    pb_core_Activation *a;
    arena_init(&arena, 0, 0);
    if (PB_DECODE_ALIAS(&arena, buf_view(activation), pb_core_Activation, &a) == ERR_NONE) {
        pb_core_Completion empty = {.run_id = a->run_id}, *c = &empty;
        struct echo *echo = &f.echoes[atoi(arena_cstr(&arena, a->run_id)) % RUNS];
        bool is_removal = a->jobs[0]->variant_case == pb_core_Job_remove_from_cache_tag;
        if (!is_removal) c = echo_answer(echo, buf_view(activation), &arena); /* one activation of a run at a time: no lock */
        PB_ENCODE(pb_core_Completion, c, &bytes);
    }
    arena_fini(&arena);
    err e;
    if (!worker_try_complete_activation(f.worker, &bytes, &e)) e = worker_complete_activation(f.worker, &bytes);
    check(e == ERR_NONE);
}

static void *pump(void *arg)
{
    (void)arg;
    struct buf activation = {0};
    while (!worker_is_done(f.worker)) {
        if (!worker_next_activation(f.worker, duration_ms(200), &activation)) continue;
        answer(&activation);
        buf_fini(&activation);
    }
    return NULL;
}

/* ---- up and down --------------------------------------------------------------------------------------------------- */

static void set_up(void)
{
    static struct mail mail;
    const char *dir = getenv("CORE_TESTDATA");
    char path[1024];
    struct error error = {0};
    memset(&f, 0, sizeof f);
    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.changed, NULL);
    arena_init(&f.arena, 0, 0);
    snprintf(path, sizeof path, "%s/hello.json", dir != NULL ? dir : "src/core/testdata");
    f.history = echo_load(path, &f.arena);
    ensure(f.history != NULL);
    for (int i = 0; i < RUNS; i++) {
        echo_init(&f.echoes[i], f.history);
        f.stages[i] = 1;
    }
    ensure(runtime_create(&f.server_runtime, NULL, &f.arena, &error) == ERR_NONE);
    ensure(runtime_create(&f.runtime, NULL, &f.arena, &error) == ERR_NONE);
    mail = (struct mail){.open = listen_on_its_thread};
    ensure(runtime_send(f.server_runtime, &mail) && wait_for(&f.port, 2));
    struct connection_options options = {.target = arena_printf(&f.arena, "127.0.0.1:%d", f.port)};
    ensure(connection_create(&f.connection, f.runtime, &options, &f.arena, &error) == ERR_NONE);
    /* All runs fit: this server can not give the history of one that has left the cache between its tasks. */
    pb_core_WorkerOptions worker = {.namespace = STR("default"), .task_queue = STR("queue"), .identity = STR("me"), .max_cached_workflows = RUNS};
    ensure(worker_create(&f.worker, f.connection, f.runtime, &worker, &f.arena, &error) == ERR_NONE);
    static const struct worker_hooks hooks = {.activity_task = on_activity_task, .activation_waiting = on_waiting, .done = on_worker_done};
    worker_set_hooks(f.worker, &hooks, NULL);
}

static void tear_down(void)
{
    static struct mail mail;
    connection_unref(f.connection);
    runtime_unref(f.runtime);
    int before = f.done;
    mail = (struct mail){.open = destroy_on_its_thread};
    ensure(runtime_send(f.server_runtime, &mail) && wait_for(&f.done, before + 1));
    runtime_unref(f.server_runtime);
    for (int i = 0; i < RUNS; i++) {
        echo_fini(&f.echoes[i]);
        buf_fini(&f.tokens[i]);
    }
    arena_fini(&f.arena);
}

TEST(many_workflows_run_on_a_few_threads_and_the_worker_ends)
{
    pthread_t pumps[PUMPS], activities;
    set_up();
    check(worker_start(f.worker));
    check(wait_for(&f.waiting_calls, 1)); /* nobody takes activations yet */
    for (int i = 0; i < PUMPS; i++) ensure(pthread_create(&pumps[i], NULL, pump, NULL) == 0);
    ensure(pthread_create(&activities, NULL, run_activities, NULL) == 0);
    check(wait_for(&f.ended, RUNS));
    check(f.heartbeats > 0);
    worker_shutdown(f.worker);
    check(wait_for(&f.done, 1));
    check(wait_for(&f.shutdowns, 1));
    for (int i = 0; i < PUMPS; i++) pthread_join(pumps[i], NULL);
    pthread_join(activities, NULL);
    check(f.has_no_more_activities);
    worker_unref(f.worker);
    tear_down();
}

TEST(a_worker_that_is_let_go_of_in_the_middle_ends_by_itself)
{
    set_up();
    check(worker_start(f.worker));
    check(wait_for(&f.waiting_calls, 1));
    worker_unref(f.worker); /* polls and activations are out */
    tear_down();
}

static void hold_up(struct mail *mail)
{
    (void)mail;
    add(&f.shutdowns);
    nanosleep(&(struct timespec){.tv_nsec = 40 * NS_PER_MS}, NULL);
    add(&f.heartbeats);
}

static void note_end(struct mail *mail)
{
    (void)mail;
    add(&f.ended);
}

static void on_worker_release(void *arg)
{
    (void)arg;
    add(&f.done);
}

/* The end is on its way to a thread that is busy; when it comes to it, a timer of the worker is due as well. */
TEST(a_worker_whose_timers_go_off_at_its_end_ends_once_and_no_mail_is_lost)
{
    static const struct worker_hooks hooks = {.activation_waiting = on_waiting, .release = on_worker_release};
    pb_core_WorkerOptions options = {.namespace = STR("default"), .task_queue = STR("queue"), .identity = STR("me"), .is_replayer = true};
    struct error error = {0};
    set_up();
    for (int i = 1; i <= 5; i++) {
        struct worker *worker;
        struct mail busy = {.open = hold_up}, first = {.open = note_end}, second = {.open = note_end};
        ensure(worker_create(&worker, NULL, f.runtime, &options, &f.arena, &error) == ERR_NONE);
        worker_set_hooks(worker, &hooks, NULL);
        check(worker_push_history(worker, STR("w"), PB_ENCODE_ARENA(pb_history_History, f.history, &f.arena)) == ERR_NONE);
        int before = f.ended;
        nanosleep(&(struct timespec){.tv_nsec = 3 * NS_PER_MS}, NULL); /* the timer is armed for 10 ms by now */
        ensure(runtime_send(f.runtime, &busy) && wait_for(&f.shutdowns, i));
        worker_unref(worker);
        ensure(runtime_send(f.runtime, &first));
        check(wait_for(&f.heartbeats, i));
        ensure(runtime_send(f.runtime, &second));
        check(wait_for(&f.ended, before + 2));
        check(wait_for(&f.done, i));
        check_int(f.done, i);
    }
    worker_unref(f.worker);
    tear_down();
}

TEST(a_worker_that_never_started_has_nothing_to_end)
{
    set_up();
    worker_shutdown(f.worker);
    check(worker_is_done(f.worker));
    struct buf none = {0};
    check(!worker_next_activation(f.worker, duration_s(30), &none));
    worker_unref(f.worker);
    tear_down();
}

TEST_MAIN
