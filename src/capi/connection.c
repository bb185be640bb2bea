#include "capi/connection.h"

#include "base/log.h"
#include "base/prng.h"
#include "core/payload_size.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { GZIP_SIZE_MIN = 1024 }; /* bytes of a request; below, packing costs more than it saves */
enum { HEADERS_MAX = 90 }; /* of a call; the client has a limit of its own a little above */
static const duration CALL_TIMEOUT = {30 * NS_PER_S}, LONG_POLL_TIMEOUT = {70 * NS_PER_S}, THROTTLE_MIN = {NS_PER_S};

struct headers { struct grpc_header *headers; size_t count; struct arena arena; };

struct connection {
    atomic_int references; /* one more for each call on its way */
    struct runtime *runtime;
    struct mail end_mail;
    struct arena arena; /* of the options */
    struct connection_retry retry;
    bool gzip;
    size_t payloads_warn_size, memo_warn_size;
    pthread_mutex_t mutex; /* guards the two below */
    struct headers metadata;
    char *authorization; /* "Bearer …"; NULL: none */
    atomic_uint version; /* of these two */
    struct str client_name, client_version;
    /* The rest belongs to the runtime's thread. */
    struct grpc_client *client; /* NULL: closed */
    struct list calls;
    struct prng prng;
    struct arena common_arena;
    struct grpc_metadata common; /* what a call sends that has no headers of its own, at common_version */
    unsigned common_version;
    struct instruments { int count, failures, latency; } requests, polls;
};

struct connection_call {
    struct list link; /* in connection->calls, from its start to its end */
    atomic_int references;
    struct connection *connection;
    struct mail start_mail, cancel_mail;
    struct arena arena; /* of the request */
    struct connection_request request;
    void (*done)(void *arg, const struct grpc_response *response);
    void *arg;
    atomic_bool is_cancelled;
    /* The rest belongs to the runtime's thread. */
    struct grpc_client_call *running; /* NULL: between attempts */
    struct timer timer;
    instant started_at, attempted_at; /* steady */
    duration backoff;
    int retry_count;
    bool is_done;
    _Alignas(16) char room[]; /* of the arena */
};

struct connection_retry connection_retry_default(void)
{
    return (struct connection_retry){duration_ms(100), duration_s(5), duration_s(10), 1.7, 0.2, 10};
}

struct connection_retry connection_retry_poll(void)
{
    return (struct connection_retry){duration_ms(200), duration_s(10), {0}, 2.0, 0.2, 0};
}

/* ---- headers ------------------------------------------------------------------------------------------------- */

static struct headers headers_copy(struct grpc_metadata metadata)
{
    struct headers copy = {.count = metadata.count};
    arena_init(&copy.arena, 512, 0);
    copy.headers = arena_array(&copy.arena, struct grpc_header, metadata.count + 1);
    for (size_t i = 0; i < metadata.count; i++) {
        copy.headers[i].name = arena_str(&copy.arena, metadata.headers[i].name);
        copy.headers[i].value = arena_str(&copy.arena, metadata.headers[i].value);
    }
    return copy;
}

static bool has_header(struct grpc_metadata metadata, struct str name)
{
    for (size_t i = 0; i < metadata.count; i++)
        if (str_equal(metadata.headers[i].name, name)) return true;
    return false;
}

/* What a call sends: its own headers, then the connection's that it does not override. */
static struct grpc_metadata assemble(struct connection *c, struct grpc_metadata own, struct arena *arena)
{
    struct grpc_header *all = arena_alloc(arena, sizeof *all * (HEADERS_MAX + 4));
    struct grpc_metadata out = {all, 0};
    for (size_t i = 0; i < own.count && out.count < HEADERS_MAX; i++) all[out.count++] = own.headers[i];
    pthread_mutex_lock(&c->mutex);
    for (size_t i = 0; i < c->metadata.count && out.count < HEADERS_MAX; i++) {
        struct grpc_header h = c->metadata.headers[i];
        if (!has_header(own, h.name)) all[out.count++] = (struct grpc_header){arena_str(arena, h.name), arena_str(arena, h.value)};
    }
    if (c->authorization != NULL && !has_header(out, STR("authorization"))) {
        all[out.count++] = (struct grpc_header){STR("authorization"), arena_str(arena, str_of(c->authorization))};
    }
    pthread_mutex_unlock(&c->mutex);
    const struct grpc_header client[] = {{STR("client-name"), c->client_name}, {STR("client-version"), c->client_version}};
    for (size_t i = 0; i < countof(client); i++)
        if (client[i].value.size != 0 && !has_header(out, client[i].name)) all[out.count++] = client[i];
    return out;
}

/* The same for a call without headers of its own, put together when the connection's have changed. */
static struct grpc_metadata common_headers(struct connection *c)
{
    unsigned version = atomic_load(&c->version); /* read first: what is newer by then is put together once more */
    if (c->common_version == version) return c->common;
    arena_reset(&c->common_arena);
    c->common = assemble(c, (struct grpc_metadata){0}, &c->common_arena);
    c->common_version = version;
    return c->common;
}

void connection_set_metadata(struct connection *connection, struct grpc_metadata metadata)
{
    struct headers fresh = headers_copy(metadata);
    pthread_mutex_lock(&connection->mutex);
    struct headers old = connection->metadata;
    connection->metadata = fresh;
    atomic_fetch_add(&connection->version, 1);
    pthread_mutex_unlock(&connection->mutex);
    arena_fini(&old.arena);
}

void connection_set_api_key(struct connection *connection, struct str api_key)
{
    char *fresh = NULL;
    if (api_key.size != 0) {
        fresh = xmalloc(api_key.size + 8);
        memcpy(fresh, "Bearer ", 7);
        memcpy(fresh + 7, api_key.data, api_key.size);
        fresh[7 + api_key.size] = '\0';
    }
    pthread_mutex_lock(&connection->mutex);
    char *old = connection->authorization;
    connection->authorization = fresh;
    atomic_fetch_add(&connection->version, 1);
    pthread_mutex_unlock(&connection->mutex);
    free(old);
}

/* ---- the end of a call ---------------------------------------------------------------------------------------- */

static void finish(struct connection_call *call, const struct grpc_response *response)
{
    call->is_done = true;
    list_remove(&call->link);
    call->done(call->arg, response);
    connection_unref(call->connection);
    connection_call_unref(call);
}

static void finish_cancelled(struct connection_call *call, const char *why)
{
    finish(call, &(struct grpc_response){.code = GRPC_CANCELLED, .message = str_of(why)});
}

static struct str method_of(struct str path)
{
    const char *slash = path.size != 0 ? memrchr(path.data, '/', path.size) : NULL;
    return slash != NULL ? str_skip(path, (size_t)(slash + 1 - path.data)) : path;
}

static bool is_long_poll(struct str path)
{
    static const struct str names[] = {{"GetWorkflowExecutionHistory", 27}, {"UpdateWorkflowExecution", 23}, {"ExecuteMultiOperation", 21}};
    struct str name = method_of(path);
    for (size_t i = 0; i < countof(names); i++)
        if (str_equal(name, names[i])) return true;
    return str_starts_with(name, STR("Poll"));
}

static bool contains(struct str text, struct str part)
{
    return text.size >= part.size && memmem(text.data, text.size, part.data, part.size) != NULL;
}

static bool is_passing(const struct connection_call *call, const struct grpc_response *response)
{
    switch (response->code) {
    case GRPC_DATA_LOSS: case GRPC_INTERNAL: case GRPC_UNKNOWN: case GRPC_ABORTED: case GRPC_OUT_OF_RANGE: case GRPC_UNAVAILABLE: return true;
    case GRPC_RESOURCE_EXHAUSTED: return !contains(response->message, STR("larger than")); /* a message will not shrink */
    case GRPC_CANCELLED: case GRPC_DEADLINE_EXCEEDED: /* a poll that found nothing, unless the caller set its end */
        return call->request.timeout.ns == 0 && is_long_poll(call->request.path);
    default: return false;
    }
}

/* How long to wait before the next attempt; false: there is none. */
static bool next_attempt(struct connection_call *call, const struct grpc_response *response, duration *wait)
{
    struct connection *c = call->connection;
    if (call->request.retrying == CONNECTION_ONCE || c->client == NULL || atomic_load(&call->is_cancelled)) return false;
    if (!is_passing(call, response)) return false;
    bool is_poll_again = response->code == GRPC_DEADLINE_EXCEEDED || response->code == GRPC_CANCELLED;
    if (is_poll_again) {
        *wait = (duration){0};
        return true;
    }
    struct connection_retry policy = call->request.retrying == CONNECTION_RETRY_FOREVER ? connection_retry_poll() : c->retry;
    if (policy.max_retries != 0 && call->retry_count >= policy.max_retries) return false;
    duration base = call->retry_count == 0 ? policy.initial_interval : call->backoff;
    if (response->code == GRPC_RESOURCE_EXHAUSTED) base = duration_max(base, THROTTLE_MIN);
    double random = (double)(prng_next(&c->prng) >> 11) / (double)(UINT64_C(1) << 53); /* 0 … 1 */
    double jitter = 1 + policy.randomization_factor * (2 * random - 1), next = (double)base.ns * policy.multiplier;
    *wait = (duration){(int64_t)((double)base.ns * jitter)};
    call->backoff = (duration){next < (double)policy.max_interval.ns ? (int64_t)next : policy.max_interval.ns};
    call->retry_count++;
    duration spent = instant_since(loop_steady(runtime_loop(c->runtime)), call->started_at);
    return policy.max_elapsed.ns == 0 || spent.ns + wait->ns < policy.max_elapsed.ns;
}

/* ---- what is counted ------------------------------------------------------------------------------------------ */

static void register_instruments(struct metrics *m, const char *kind, struct instruments *out)
{
    char name[64];
    snprintf(name, sizeof name, "%s", kind);
    out->count = metrics_register(m, METRICS_COUNTER, str_of(name), STR("Calls to the server"), STR_EMPTY, false);
    snprintf(name, sizeof name, "%s_failure", kind);
    out->failures = metrics_register(m, METRICS_COUNTER, str_of(name), STR("Calls that failed"), STR_EMPTY, false);
    snprintf(name, sizeof name, "%s_latency", kind);
    out->latency = metrics_register(m, METRICS_DURATION, str_of(name), STR("How long calls took"), STR("ms"), false);
}

static void count_attempt(const struct connection_call *call, const struct grpc_response *response)
{
    struct connection *c = call->connection;
    struct metrics *m = runtime_metrics(c->runtime);
    if (m == NULL) return;
    const struct instruments *i = is_long_poll(call->request.path) ? &c->polls : &c->requests;
    struct metrics_label labels[] = {
        {STR("operation"), method_of(call->request.path), METRICS_TEXT},
        {STR("status_code"), str_of(grpc_code_name(response->code)), METRICS_TEXT},
    };
    metrics_record(m, i->count, 1, labels, 1);
    if (response->code != GRPC_OK) metrics_record(m, i->failures, 1, labels, 2);
    duration spent = instant_since(loop_steady(runtime_loop(c->runtime)), call->attempted_at);
    metrics_record(m, i->latency, (double)spent.ns / 1e6, labels, 1);
}

static void attempt(struct connection_call *call);

static void retry_now(struct timer *timer, instant now)
{
    (void)now;
    attempt(container_of(timer, struct connection_call, timer));
}

static void on_response(void *arg, const struct grpc_response *response)
{
    struct connection_call *call = arg;
    duration wait;
    call->running = NULL;
    count_attempt(call, response);
    if (next_attempt(call, response, &wait)) loop_timer_in(runtime_loop(call->connection->runtime), &call->timer, wait);
    else if (response->code != GRPC_OK && atomic_load(&call->is_cancelled)) finish_cancelled(call, "cancelled by the caller"); /* it would have been tried again */
    else finish(call, response);
}

static void attempt(struct connection_call *call)
{
    struct connection *c = call->connection;
    if (atomic_load(&call->is_cancelled) || c->client == NULL) {
        finish_cancelled(call, c->client == NULL ? "the connection is closed" : "cancelled by the caller");
        return;
    }
    ARENA_ON_STACK(scratch, 4096);
    duration timeout = call->request.timeout;
    if (timeout.ns == 0) timeout = is_long_poll(call->request.path) ? LONG_POLL_TIMEOUT : CALL_TIMEOUT;
    struct grpc_request request = {
        .path = call->request.path, .body = call->request.body, .timeout = timeout, .gzip = c->gzip && call->request.body.size >= GZIP_SIZE_MIN,
        .metadata = call->request.metadata.count == 0 ? common_headers(c) : assemble(c, call->request.metadata, &scratch),
    };
    call->attempted_at = loop_steady(runtime_loop(c->runtime));
    call->running = grpc_client_call(c->client, &request, on_response, call);
    arena_fini(&scratch);
}

/* ---- starting and cancelling, from any thread ------------------------------------------------------------------ */

static void on_start(struct mail *mail)
{
    struct connection_call *call = container_of(mail, struct connection_call, start_mail);
    call->started_at = loop_steady(runtime_loop(call->connection->runtime));
    list_push(&call->connection->calls, &call->link);
    attempt(call);
}

static void on_cancel(struct mail *mail)
{
    struct connection_call *call = container_of(mail, struct connection_call, cancel_mail);
    if (!call->is_done && call->running != NULL) {
        grpc_client_cancel(call->running);
    } else if (!call->is_done && timer_is_set(&call->timer)) {
        timer_stop(&call->timer);
        finish_cancelled(call, "cancelled by the caller");
    }
    connection_call_unref(call);
}

static void warn(const char *what, struct str path, size_t size, size_t limit)
{
    char sizes[2][24];
    char *operation = str_dup_c(method_of(path));
    snprintf(sizes[0], sizeof sizes[0], "%zu", size);
    snprintf(sizes[1], sizeof sizes[1], "%zu", limit);
    log_warn("temporal_client", what, "operation", operation, "size", sizes[0], "warn_size", sizes[1]);
    free(operation);
}

/* Large payloads are sent all the same; servers refuse them from some size on. */
static void warn_of_size(const struct connection *c, const struct connection_request *request)
{
    size_t payloads = c->payloads_warn_size != 0 ? c->payloads_warn_size : SIZE_MAX, memo = c->memo_warn_size != 0 ? c->memo_warn_size : SIZE_MAX;
    if (request->body.size <= size_min(payloads, memo) || !log_is_on(LOG_WARN)) return;
    const struct pb_method *method = pb_method_find(request->path);
    if (method == NULL) return;
    struct payload_size size = payload_size_of(pb_method_request(method), request->body);
    if (size.payloads > payloads) warn("[TMPRL1103] Attempted to upload payloads with size that exceeded the warning limit.", request->path, size.payloads, payloads);
    if (size.memo > memo) warn("[TMPRL1103] Attempted to upload memo with size that exceeded the warning limit.", request->path, size.memo, memo);
}

/* What a call's copy of the request takes, bytes. */
static size_t room_of(const struct connection_request *request)
{
    enum { MORE = 16 }; /* of each piece: its end and what aligns the next */
    size_t room = request->path.size + request->body.size + 2 * MORE + request->metadata.count * (sizeof(struct grpc_header) + MORE);
    for (size_t i = 0; i < request->metadata.count; i++) room += request->metadata.headers[i].name.size + request->metadata.headers[i].value.size + 2 * MORE;
    return (room + MORE - 1) / MORE * MORE;
}

bool connection_call_start(struct connection *connection, const struct connection_request *request,
                           void (*done)(void *arg, const struct grpc_response *response), void *arg, struct connection_call **out)
{
    size_t room = room_of(request);
    struct connection_call *call = xmalloc(sizeof *call + room);
    memset(call, 0, sizeof *call);
    warn_of_size(connection, request);
    atomic_init(&call->references, 2); /* the caller's, and that of the call on its way */
    atomic_init(&call->is_cancelled, false);
    call->connection = connection_ref(connection);
    call->done = done;
    call->arg = arg;
    call->timer.fire = retry_now;
    call->start_mail.open = on_start;
    call->cancel_mail.open = on_cancel;
    arena_init_on(&call->arena, call->room, room);
    call->request = *request;
    call->request.path = arena_str(&call->arena, request->path);
    call->request.body = arena_str(&call->arena, request->body);
    struct grpc_header *headers = request->metadata.count != 0 ? arena_array(&call->arena, struct grpc_header, request->metadata.count) : NULL;
    for (size_t i = 0; i < request->metadata.count; i++) {
        headers[i] = (struct grpc_header){arena_str(&call->arena, request->metadata.headers[i].name), arena_str(&call->arena, request->metadata.headers[i].value)};
    }
    call->request.metadata.headers = headers;
    if (runtime_send(connection->runtime, &call->start_mail)) {
        *out = call;
        return true;
    }
    connection_unref(connection);
    connection_call_unref(call);
    connection_call_unref(call);
    return false;
}

void connection_call_cancel(struct connection_call *call)
{
    if (atomic_exchange(&call->is_cancelled, true)) return;
    atomic_fetch_add(&call->references, 1);
    if (!runtime_send(call->connection->runtime, &call->cancel_mail)) connection_call_unref(call);
}

void connection_call_unref(struct connection_call *call)
{
    if (atomic_fetch_sub(&call->references, 1) != 1) return;
    arena_fini(&call->arena);
    free(call);
}

/* ---- the connection ------------------------------------------------------------------------------------------- */

static void close_client(struct connection *c)
{
    struct grpc_client *client = c->client;
    if (client == NULL) return;
    c->client = NULL; /* so that nothing is tried again */
    list_each_safe(link, &c->calls) {
        struct connection_call *call = container_of(link, struct connection_call, link);
        if (!timer_is_set(&call->timer)) continue;
        timer_stop(&call->timer);
        finish_cancelled(call, "the connection is closed");
    }
    grpc_client_destroy(client);
}

static void free_connection(struct connection *c)
{
    struct runtime *runtime = c->runtime;
    arena_fini(&c->arena);
    arena_fini(&c->metadata.arena);
    arena_fini(&c->common_arena);
    free(c->authorization);
    pthread_mutex_destroy(&c->mutex);
    free(c);
    runtime_unref(runtime);
}

static void on_end(struct mail *mail)
{
    struct connection *c = container_of(mail, struct connection, end_mail);
    close_client(c);
    free_connection(c);
}

struct connection *connection_ref(struct connection *connection)
{
    atomic_fetch_add(&connection->references, 1);
    return connection;
}

void connection_unref(struct connection *connection)
{
    if (atomic_fetch_sub(&connection->references, 1) != 1) return;
    connection->end_mail.open = on_end;
    /* When the runtime has stopped, or is the parent's, the client's memory belongs to a thread that is not there. */
    if (!runtime_send(connection->runtime, &connection->end_mail)) return;
}

struct runtime *connection_runtime(struct connection *connection) { return connection->runtime; }

struct close_mail { struct mail mail; struct connection *connection; };

static void on_close(struct mail *mail)
{
    struct close_mail *close = container_of(mail, struct close_mail, mail);
    close_client(close->connection);
    connection_unref(close->connection);
    free(close);
}

void connection_close(struct connection *connection)
{
    struct close_mail *close = xcalloc(1, sizeof *close);
    close->mail.open = on_close;
    close->connection = connection_ref(connection);
    if (runtime_send(connection->runtime, &close->mail)) return;
    connection_unref(connection);
    free(close);
}

/* The client is made on its thread while the maker waits, so that what is wrong with the options is known at once. */
struct making {
    struct mail mail;
    struct connection *connection;
    const struct grpc_client_options *options;
    struct arena *arena;
    struct error *error;
    err result;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
};

static void on_make(struct mail *mail)
{
    struct making *m = container_of(mail, struct making, mail);
    err e = grpc_client_create(&m->connection->client, runtime_loop(m->connection->runtime), m->options, m->arena, m->error);
    pthread_mutex_lock(&m->mutex);
    m->result = e;
    m->is_done = true;
    pthread_cond_signal(&m->changed);
    pthread_mutex_unlock(&m->mutex);
}

static err make_client(struct connection *c, const struct grpc_client_options *options, struct arena *arena, struct error *error)
{
    struct making m = {.mail.open = on_make, .connection = c, .options = options, .arena = arena, .error = error};
    if (runtime_is_own_thread(c->runtime)) return grpc_client_create(&c->client, runtime_loop(c->runtime), options, arena, error);
    pthread_mutex_init(&m.mutex, NULL);
    pthread_cond_init(&m.changed, NULL);
    if (!runtime_send(c->runtime, &m.mail)) {
        m.result = error_set(error, arena, ERR_UNAVAILABLE, "the runtime has stopped");
        m.is_done = true;
    }
    pthread_mutex_lock(&m.mutex);
    while (!m.is_done) pthread_cond_wait(&m.changed, &m.mutex);
    pthread_mutex_unlock(&m.mutex);
    pthread_cond_destroy(&m.changed);
    pthread_mutex_destroy(&m.mutex);
    return m.result;
}

err connection_create(struct connection **out, struct runtime *runtime, const struct connection_options *o, struct arena *arena, struct error *error)
{
    struct connection *c = xcalloc(1, sizeof *c);
    atomic_init(&c->references, 1);
    c->runtime = runtime_ref(runtime);
    pthread_mutex_init(&c->mutex, NULL);
    list_init(&c->calls);
    arena_init(&c->arena, 256, 0);
    prng_init(&c->prng, (uint64_t)(uintptr_t)c ^ (uint64_t)time(NULL) << 20);
    c->retry = o->retry.initial_interval.ns != 0 ? o->retry : connection_retry_default();
    c->gzip = o->gzip;
    c->payloads_warn_size = o->payloads_warn_size;
    c->memo_warn_size = o->memo_warn_size;
    c->client_name = arena_str(&c->arena, o->client_name);
    c->client_version = arena_str(&c->arena, o->client_version);
    arena_init(&c->metadata.arena, 0, 0);
    arena_init(&c->common_arena, 0, 0);
    atomic_init(&c->version, 0);
    if (runtime_metrics(runtime) != NULL) {
        register_instruments(runtime_metrics(runtime), "request", &c->requests);
        register_instruments(runtime_metrics(runtime), "long_request", &c->polls);
    }
    connection_set_metadata(c, o->metadata);
    connection_set_api_key(c, o->api_key);
    struct grpc_client_options options = {
        .target = o->target, .tls = o->has_tls ? &o->tls : NULL, .server_name = o->server_name, .verified_name = o->verified_name, .authority = o->authority,
        .proxy = o->proxy, .proxy_user = o->proxy_user, .proxy_password = o->proxy_password, .connect_timeout = o->connect_timeout,
        .keepalive_interval = o->has_keepalive ? o->keepalive_interval : duration_s(-1), .keepalive_timeout = o->keepalive_timeout,
        .keepalive_without_calls = o->has_keepalive,
    };
    err e = make_client(c, &options, arena, error);
    if (e != ERR_NONE) {
        free_connection(c);
        return e;
    }
    *out = c;
    return ERR_NONE;
}
