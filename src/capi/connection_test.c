#include "base/test.h"
#include "capi/connection.h"
#include "net/grpc_server.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

/* A server whose answers the test chooses, on a runtime of its own. */
static struct fixture {
    struct runtime *server_runtime, *runtime;
    struct grpc_server *server;
    struct connection *connection;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int port, failures_left, calls;
    enum grpc_code failure;
    const char *words;   /* of failures */
    bool is_parked;      /* calls are left unanswered */
    char headers[256];   /* of the last call: authorization, a-header, client-name */
    int done_count;
    enum grpc_code code; /* of the call that ended last */
    char body[64];
} f;

static void on_call(void *arg, struct grpc_call *call)
{
    (void)arg;
    pthread_mutex_lock(&f.mutex);
    f.calls++;
    snprintf(f.headers, sizeof f.headers, "%.*s|%.*s|%.*s", STR_ARG(grpc_call_metadata(call, STR("authorization"))),
             STR_ARG(grpc_call_metadata(call, STR("a-header"))), STR_ARG(grpc_call_metadata(call, STR("client-name"))));
    bool is_failing = f.failures_left != 0, is_parked = f.is_parked;
    if (f.failures_left > 0) f.failures_left--;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.mutex);
    if (is_failing) grpc_call_fail(call, f.failure, str_of(f.words), STR_EMPTY);
    else if (!is_parked) grpc_call_reply(call, grpc_call_body(call).data, grpc_call_body(call).size);
}
static void on_cancel(void *arg, struct grpc_call *call) { (void)arg, (void)call; }
static const struct grpc_handler handler = {.on_call = on_call, .on_cancel = on_cancel};

/* Waits until a number has been reached; false: not within a time that is long enough. */
static bool wait_for(const int *number, int least)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    int status = 0;
    pthread_mutex_lock(&f.mutex);
    while (*number < least && status != ETIMEDOUT) status = pthread_cond_timedwait(&f.changed, &f.mutex, &end);
    bool is_reached = *number >= least;
    pthread_mutex_unlock(&f.mutex);
    return is_reached;
}

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
    pthread_mutex_lock(&f.mutex);
    f.port = 2;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.mutex);
}

static struct connection_options default_options(struct arena *arena)
{
    return (struct connection_options){
        .target = arena_printf(arena, "127.0.0.1:%d", f.port), .client_name = STR("tester"),
        .retry = {duration_ms(1), duration_ms(10), {0}, 2, 0.2, 5},
    };
}

static void connect_with(const struct connection_options *options, struct arena *arena)
{
    struct error error = {0};
    err e = connection_create(&f.connection, f.runtime, options, arena, &error);
    if (e != ERR_NONE) fprintf(stderr, "%.*s\n", STR_ARG(error_message(&error)));
    ensure(e == ERR_NONE);
}

static void set_up(void)
{
    static struct mail mail;
    struct arena arena;
    memset(&f, 0, sizeof f);
    f.failure = GRPC_UNAVAILABLE;
    f.words = "as asked";
    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.changed, NULL);
    ensure(runtime_create(&f.server_runtime, NULL, NULL, NULL) == ERR_NONE && runtime_create(&f.runtime, NULL, NULL, NULL) == ERR_NONE);
    mail = (struct mail){.open = listen_on_its_thread};
    ensure(runtime_send(f.server_runtime, &mail) && wait_for(&f.port, 2));
    arena_init(&arena, 0, 0);
    struct connection_options options = default_options(&arena);
    connect_with(&options, &arena);
    arena_fini(&arena);
}

static void tear_down(void)
{
    static struct mail mail;
    connection_unref(f.connection);
    runtime_unref(f.runtime);
    mail = (struct mail){.open = destroy_on_its_thread};
    f.port = 0;
    ensure(runtime_send(f.server_runtime, &mail) && wait_for(&f.port, 2));
    runtime_unref(f.server_runtime);
}

static void on_done(void *arg, const struct grpc_response *response)
{
    (void)arg;
    pthread_mutex_lock(&f.mutex);
    f.done_count++;
    f.code = response->code;
    snprintf(f.body, sizeof f.body, "%.*s", STR_ARG(response->body));
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.mutex);
}

static struct connection_call *start(const char *path, enum connection_retrying retrying, duration timeout)
{
    struct connection_call *call;
    struct connection_request request = {.path = str_of(path), .body = STR("hello"), .retrying = retrying, .timeout = timeout};
    ensure(connection_call_start(f.connection, &request, on_done, NULL, &call));
    return call;
}

/* Starts a call, waits for its end, gives its code. */
static enum grpc_code call_once(const char *path, enum connection_retrying retrying, duration timeout)
{
    int before = f.done_count;
    struct connection_call *call = start(path, retrying, timeout);
    check(wait_for(&f.done_count, before + 1));
    connection_call_unref(call);
    return f.code;
}

static const duration NO_TIMEOUT = {0};

TEST(an_answer_comes_back)
{
    set_up();
    check_int(call_once("/a.B/Get", CONNECTION_ONCE, NO_TIMEOUT), GRPC_OK);
    check(strcmp(f.body, "hello") == 0);
    check(strcmp(f.headers, "||tester") == 0);
    tear_down();
}

static const struct retry_row { const char *name, *path; enum connection_retrying retrying; int failures; enum grpc_code failure, expected; int calls; } retry_rows[] = {
    {"once is once", "/a.B/Get", CONNECTION_ONCE, 2, GRPC_UNAVAILABLE, GRPC_UNAVAILABLE, 1},
    {"passing failures are tried again", "/a.B/Get", CONNECTION_RETRY, 2, GRPC_UNAVAILABLE, GRPC_OK, 3},
    {"up to the limit", "/a.B/Get", CONNECTION_RETRY, -1, GRPC_INTERNAL, GRPC_INTERNAL, 6},
    {"lasting failures are not", "/a.B/Get", CONNECTION_RETRY, 2, GRPC_NOT_FOUND, GRPC_NOT_FOUND, 1},
    {"nor is a deadline of the server", "/a.B/Get", CONNECTION_RETRY, 2, GRPC_DEADLINE_EXCEEDED, GRPC_DEADLINE_EXCEEDED, 1},
    {"but a poll goes on after it", "/a.B/PollThing", CONNECTION_RETRY, 9, GRPC_DEADLINE_EXCEEDED, GRPC_OK, 10},
};

TEST(retries_follow_the_policy)
{
    for (size_t i = 0; i < countof(retry_rows); i++) {
        const struct retry_row *row = &retry_rows[i];
        test_row = row->name;
        set_up();
        f.failures_left = row->failures;
        f.failure = row->failure;
        check_int(call_once(row->path, row->retrying, NO_TIMEOUT), row->expected);
        check_int(f.calls, row->calls);
        tear_down();
    }
}

TEST(retries_end_with_the_time_they_have)
{
    struct arena arena;
    set_up();
    arena_init(&arena, 0, 0);
    connection_unref(f.connection);
    struct connection_options options = default_options(&arena);
    options.retry.max_retries = 0;
    options.retry.max_elapsed = duration_ms(100);
    connect_with(&options, &arena);
    f.failures_left = -1;
    check_int(call_once("/a.B/Get", CONNECTION_RETRY, NO_TIMEOUT), GRPC_UNAVAILABLE);
    check(f.calls >= 1);
    arena_fini(&arena);
    tear_down();
}

TEST(a_message_that_is_too_large_is_not_sent_again)
{
    set_up();
    f.failures_left = 1;
    f.failure = GRPC_RESOURCE_EXHAUSTED;
    f.words = "the message is larger than 4 MiB";
    check_int(call_once("/a.B/Get", CONNECTION_RETRY, NO_TIMEOUT), GRPC_RESOURCE_EXHAUSTED);
    check_int(f.calls, 1);
    f.failures_left = 1;
    f.words = "slow down"; /* that passes */
    check_int(call_once("/a.B/Get", CONNECTION_RETRY, NO_TIMEOUT), GRPC_OK);
    check_int(f.calls, 3);
    tear_down();
}

TEST(a_poll_with_a_timeout_of_its_own_ends_with_it)
{
    set_up();
    f.is_parked = true;
    check_int(call_once("/a.B/PollThing", CONNECTION_RETRY, duration_ms(50)), GRPC_DEADLINE_EXCEEDED);
    check_int(f.calls, 1);
    tear_down();
}

TEST(a_cancelled_call_ends_wherever_it_is)
{
    set_up();
    f.is_parked = true;
    struct connection_call *running = start("/a.B/PollThing", CONNECTION_RETRY_FOREVER, NO_TIMEOUT);
    check(wait_for(&f.calls, 1));
    connection_call_cancel(running);
    connection_call_cancel(running);
    check(wait_for(&f.done_count, 1) && f.code == GRPC_CANCELLED);
    connection_call_cancel(running); /* over: no effect */
    connection_call_unref(running);
    f.is_parked = false;
    f.failures_left = -1;
    struct connection_call *waiting = start("/a.B/Get", CONNECTION_RETRY_FOREVER, NO_TIMEOUT); /* 200 ms between attempts */
    check(wait_for(&f.calls, 2));
    connection_call_cancel(waiting);
    check(wait_for(&f.done_count, 2) && f.code == GRPC_CANCELLED);
    connection_call_unref(waiting);
    tear_down();
}

TEST(closing_ends_everything_and_what_comes_after)
{
    set_up();
    f.is_parked = true;
    struct connection_call *running = start("/a.B/PollThing", CONNECTION_RETRY_FOREVER, NO_TIMEOUT);
    check(wait_for(&f.calls, 1));
    connection_close(f.connection);
    check(wait_for(&f.done_count, 1) && f.code == GRPC_CANCELLED);
    connection_call_unref(running);
    check_int(call_once("/a.B/Get", CONNECTION_RETRY, NO_TIMEOUT), GRPC_CANCELLED);
    tear_down();
}

TEST(a_connection_lives_as_long_as_its_calls)
{
    set_up();
    f.is_parked = true;
    struct connection_call *running = start("/a.B/PollThing", CONNECTION_RETRY_FOREVER, NO_TIMEOUT);
    check(wait_for(&f.calls, 1));
    struct connection *kept = connection_ref(f.connection);
    connection_unref(f.connection);
    connection_call_cancel(running);
    check(wait_for(&f.done_count, 1));
    connection_call_unref(running);
    f.connection = kept;
    tear_down();
}

TEST(headers_come_from_the_call_then_the_connection)
{
    set_up();
    struct grpc_header first = {STR("a-header"), STR("connection")}, key = {STR("authorization"), STR("mine")};
    connection_set_metadata(f.connection, (struct grpc_metadata){&first, 1});
    connection_set_api_key(f.connection, STR("secret"));
    (void)call_once("/a.B/Get", CONNECTION_ONCE, NO_TIMEOUT);
    check(strcmp(f.headers, "Bearer secret|connection|tester") == 0);
    struct connection_call *call;
    struct grpc_header own[] = {{STR("a-header"), STR("call")}, key};
    struct connection_request request = {.path = STR("/a.B/Get"), .metadata = {own, 2}};
    ensure(connection_call_start(f.connection, &request, on_done, NULL, &call));
    check(wait_for(&f.done_count, 2));
    check(strcmp(f.headers, "mine|call|tester") == 0);
    connection_call_unref(call);
    connection_set_api_key(f.connection, STR_EMPTY);
    connection_set_metadata(f.connection, (struct grpc_metadata){NULL, 0});
    (void)call_once("/a.B/Get", CONNECTION_ONCE, NO_TIMEOUT);
    check(strcmp(f.headers, "||tester") == 0);
    tear_down();
}

TEST(bad_options_are_refused_at_once)
{
    struct arena arena;
    struct error error = {0};
    struct connection *c = NULL;
    set_up();
    arena_init(&arena, 0, 0);
    struct connection_options options = default_options(&arena);
    options.target = STR("a:b:c");
    check_int(connection_create(&c, f.runtime, &options, &arena, &error), ERR_INVALID);
    options = default_options(&arena);
    options.has_tls = true;
    options.tls.ca = STR("not a certificate");
    check_int(connection_create(&c, f.runtime, &options, &arena, &error), ERR_INVALID);
    check(c == NULL && error_message(&error).size != 0);
    arena_fini(&arena);
    tear_down();
}

TEST(a_stopped_runtime_takes_nothing_more)
{
    set_up();
    f.is_parked = true;
    struct connection_call *running = start("/a.B/PollThing", CONNECTION_RETRY_FOREVER, NO_TIMEOUT);
    check(wait_for(&f.calls, 1));
    runtime_stop_all();
    check(!runtime_is_alive(f.runtime));
    struct connection_call *call = NULL;
    check(!connection_call_start(f.connection, &(struct connection_request){.path = STR("/a.B/Get")}, on_done, NULL, &call) && call == NULL);
    connection_call_cancel(running); /* nobody is there to end it */
    connection_call_unref(running);
    check_int(f.done_count, 0);
}

TEST_MAIN
