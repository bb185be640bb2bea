#include "net/grpc_client.h"

#include "base/log.h"
#include "base/prng.h"
#include "net/client_link.h"

#include <stdlib.h>

enum {
    DEFAULT_PORT = 7233, ATTEMPTS_MAX = 5, METADATA_MAX = 100,
    FREE_CALLS_MAX = 64, CALL_ROOM = 640, FREE_BUF_SIZE_MAX = 4096, /* calls kept for the next ones; bytes for a call's strings, and of each of its buffers */
    PATHS_MAX = 8,
};

struct grpc_client {
    struct loop *loop;
    struct grpc_client_options options; /* every field set; strings in `strings` */
    struct client_link_options link_options;
    struct arena strings;
    struct tls_context *tls;
    struct client_link *current;   /* that takes new calls, or will; NULL: none */
    struct client_link *draining[4]; /* told to go, with calls still running; older ones are cut */
    enum grpc_client_state state;
    struct list waiting, done;
    size_t call_count;
    struct grpc_client_call *free_calls; /* linked by `arg` */
    size_t free_call_count;
    struct buf paths[PATHS_MAX];   /* that were found valid, at places by their size */
    struct loop_defer done_defer;
    struct timer backoff_timer;
    duration backoff;
    instant attempted_at; /* steady, of the last attempt to connect; 0: never */
    struct prng prng;
    struct arena metadata_arena;
    struct header_list metadata; /* default, as it travels */
    struct str why;              /* the last failure to connect, in why_text */
    char why_text[256];
    struct buf out, plain;
    bool is_wanted; /* grpc_client_connect was called: connect without calls too */
};

static void connect_if_needed(struct grpc_client *client);

/* ---- a call is over */

/* Zeroed, but for the room its buffers have. */
static struct grpc_client_call *call_make(struct grpc_client *client)
{
    struct grpc_client_call *call = client->free_calls;
    struct buf body = {0}, message = {0};
    if (call != NULL) {
        client->free_calls = call->arg;
        client->free_call_count--;
        body = call->body;
        message = call->message;
    } else {
        call = xmalloc(sizeof *call + CALL_ROOM);
    }
    memset(call, 0, sizeof *call);
    call->body = body;
    call->message = message;
    call->client = client;
    arena_init_on(&call->arena, call->room, CALL_ROOM);
    client->call_count++;
    return call;
}

static void keep_room(struct buf *buf)
{
    if (buf->capacity > FREE_BUF_SIZE_MAX) buf_fini(buf);
    else buf_clear(buf);
}

static void call_free(struct grpc_client_call *call)
{
    struct grpc_client *client = call->client;
    client->call_count--;
    timer_stop(&call->timer);
    arena_fini(&call->arena);
    if (client->free_call_count < FREE_CALLS_MAX) {
        keep_room(&call->body);
        keep_room(&call->message);
        call->arg = client->free_calls;
        client->free_calls = call;
        client->free_call_count++;
        return;
    }
    buf_fini(&call->body);
    buf_fini(&call->message);
    free(call);
}

static void deliver(struct grpc_client_call *call)
{
    struct grpc_response response = {
        .code = call->code, .message = call->code == GRPC_OK ? STR_EMPTY : call->code_text, .details = call->details,
        .body = call->code == GRPC_OK ? buf_view(&call->message) : STR_EMPTY,
        .headers = {call->headers.headers, call->headers.count}, .trailers = {call->trailers.headers, call->trailers.count},
        .was_sent = call->was_sent,
    };
    call->on_done(call->arg, &response);
    call->is_delivered = true;
    if (call->session == NULL) call_free(call);
}

static void deliver_done(struct grpc_client *client)
{
    for (struct list *link; (link = list_pop(&client->done)) != NULL;) deliver(container_of(link, struct grpc_client_call, done_link));
}

/* What is over by now; calls that an on_done starts and that fail at once wait for the next round. */
static void on_done_defer(struct loop_defer *defer)
{
    struct grpc_client *client = container_of(defer, struct grpc_client, done_defer);
    struct list *last = client->done.prev, *link;
    do {
        link = list_pop(&client->done);
        if (link != NULL) deliver(container_of(link, struct grpc_client_call, done_link));
    } while (link != NULL && link != last);
    if (!list_is_empty(&client->done)) loop_defer(client->loop, defer);
}

/* Its result is set. It may stay in a session until its stream is closed. */
static void call_over(struct grpc_client_call *call)
{
    struct grpc_client *client = call->client;
    call->is_over = true;
    timer_stop(&call->timer);
    if (call->session == NULL) list_remove(&call->link);
    list_push(&client->done, &call->done_link);
    loop_defer(client->loop, &client->done_defer);
}

static void call_stop(struct grpc_client_call *call)
{
    if (call->session != NULL) client_session_cancel(call->session, call);
    call_over(call);
}

static void on_deadline(struct timer *timer, instant now)
{
    (void)now;
    struct grpc_client_call *call = container_of(timer, struct grpc_client_call, timer);
    struct grpc_client *client = call->client;
    if (call->session != NULL) client_call_set(call, GRPC_DEADLINE_EXCEEDED, "no answer in time");
    else client_call_set(call, GRPC_DEADLINE_EXCEEDED, "not connected in time%s%.*s", client->why.size != 0 ? ": " : "", STR_ARG(client->why));
    call_stop(call);
}

void grpc_client_cancel(struct grpc_client_call *call)
{
    if (call->is_over) return;
    call->has_status = false; /* a status that came is worth nothing any more */
    call->code_text = STR_EMPTY;
    client_call_set(call, GRPC_CANCELLED, "cancelled by the caller");
    call_stop(call);
}

static void fail_waiting(struct grpc_client *client, bool even_patient_ones, enum grpc_code code, struct str why)
{
    list_each_safe(link, &client->waiting) {
        struct grpc_client_call *call = container_of(link, struct grpc_client_call, link);
        if (call->wait_for_ready && !even_patient_ones) continue;
        client_call_set(call, code, "%.*s", STR_ARG(why));
        call_over(call);
    }
}

/* ---- connections */

static void set_state(struct grpc_client *client, enum grpc_client_state state, struct str why)
{
    if (client->state == state) return;
    client->state = state;
    if (client->options.on_state != NULL) client->options.on_state(client->options.on_state_arg, state, why);
}

static void submit(struct grpc_client *client, struct grpc_client_call *call)
{
    duration left = {0};
    list_remove(&call->link);
    if (call->deadline.ns != INSTANT_NEVER.ns) {
        left = instant_since(call->deadline, loop_steady(client->loop));
        if (left.ns <= 0) left.ns = 1; /* its timer is about to fire */
    }
    call->attempt_count++;
    client_link_submit(client->current, call, left);
}

static void on_link_ready(void *owner, struct client_link *link)
{
    struct grpc_client *client = owner;
    if (link != client->current) return;
    client->backoff = client->options.backoff_min;
    client->why = STR_EMPTY;
    set_state(client, GRPC_CLIENT_READY, STR_EMPTY);
    for (struct list *at; client->state == GRPC_CLIENT_READY && (at = list_first(&client->waiting)) != NULL;)
        submit(client, container_of(at, struct grpc_client_call, link));
}

static void on_link_goaway(void *owner, struct client_link *link)
{
    struct grpc_client *client = owner;
    if (link != client->current) return;
    client->current = NULL;
    size_t at = 0;
    while (at + 1 < countof(client->draining) && client->draining[at] != NULL) at++;
    if (client->draining[at] != NULL) client_link_destroy(client->draining[at]);
    client->draining[at] = link;
    set_state(client, GRPC_CLIENT_IDLE, STR_EMPTY);
    connect_if_needed(client);
}

static void on_link_over(void *owner, struct grpc_client_call *call, bool is_untouched)
{
    struct grpc_client *client = owner;
    if (call->is_over) {
        if (call->is_delivered) call_free(call);
        return;
    }
    if (is_untouched && call->attempt_count < ATTEMPTS_MAX && client->state != GRPC_CLIENT_CLOSED) {
        call->was_sent = false;
        call->http_status = 0;
        list_push(&client->waiting, &call->link);
        connect_if_needed(client);
        return;
    }
    if (client->state == GRPC_CLIENT_CLOSED) {
        call->has_status = false;
        client_call_set(call, GRPC_CANCELLED, "the client is closed");
    }
    if (is_untouched) client_call_set(call, GRPC_UNAVAILABLE, "the server turned the call away %d times", call->attempt_count);
    call_over(call);
}

static void keep_why(struct grpc_client *client, const char *why)
{
    size_t size = size_min(strlen(why), sizeof client->why_text);
    memcpy(client->why_text, why, size);
    client->why = str_make(client->why_text, size);
}

static duration jittered(struct grpc_client *client, duration d) /* 80 to 120 % */
{
    uint64_t fifth = (uint64_t)d.ns / 5;
    return fifth == 0 ? d : (duration){d.ns - (int64_t)fifth + (int64_t)prng_below(&client->prng, 2 * fifth)};
}

static void on_link_lost(void *owner, struct client_link *link, const char *why)
{
    struct grpc_client *client = owner;
    for (size_t i = 0; i < countof(client->draining); i++)
        if (client->draining[i] == link) client->draining[i] = NULL;
    if (link != client->current) return;
    client->current = NULL;
    if (client_link_was_ready(link)) {
        set_state(client, GRPC_CLIENT_IDLE, STR_EMPTY);
        connect_if_needed(client);
        return;
    }
    keep_why(client, why);
    log_debug("net", "a connection attempt failed", "why", why);
    loop_timer_in(client->loop, &client->backoff_timer, jittered(client, client->backoff));
    client->backoff = duration_min((duration){client->backoff.ns * 2}, client->options.backoff_max);
    set_state(client, GRPC_CLIENT_FAILING, client->why);
    fail_waiting(client, false, GRPC_UNAVAILABLE, client->why);
}

static const struct client_link_events link_events = {on_link_ready, on_link_goaway, on_link_lost, on_link_over};

static void start_link(struct grpc_client *client)
{
    client->attempted_at = loop_steady(client->loop);
    set_state(client, GRPC_CLIENT_CONNECTING, STR_EMPTY);
    client->current = client_link_create(&client->link_options, &link_events, client);
}

static void on_backoff(struct timer *timer, instant now)
{
    (void)now;
    struct grpc_client *client = container_of(timer, struct grpc_client, backoff_timer);
    if (client->current != NULL) return;
    if (!list_is_empty(&client->waiting) || client->is_wanted) start_link(client);
    else set_state(client, GRPC_CLIENT_IDLE, STR_EMPTY);
}

/* Not twice within the shortest pause: a server that accepts and closes at once must not keep us busy. */
static void connect_if_needed(struct grpc_client *client)
{
    if (client->current != NULL || timer_is_set(&client->backoff_timer) || client->state == GRPC_CLIENT_CLOSED) return;
    if (list_is_empty(&client->waiting) && !client->is_wanted) return;
    duration since = instant_since(loop_steady(client->loop), client->attempted_at);
    if (instant_is_set(client->attempted_at) && since.ns < client->options.backoff_min.ns)
        loop_timer_in(client->loop, &client->backoff_timer, (duration){client->options.backoff_min.ns - since.ns});
    else
        start_link(client);
}

void grpc_client_connect(struct grpc_client *client)
{
    client->is_wanted = true;
    connect_if_needed(client);
}

enum grpc_client_state grpc_client_state(const struct grpc_client *client) { return client->state; }

/* ---- calls */

/* False, and the result set: the header can not travel. */
static bool add_metadata(struct grpc_client_call *call, struct arena *arena, struct header_list *list, const struct grpc_header *header)
{
    struct str value = header->value;
    struct buf text = {0};
    if (grpc_header_is_binary(header->name)) {
        base64_encode(value, &text);
        value = buf_view(&text);
    }
    bool ok = grpc_header_is_valid(header->name, value) && !grpc_header_is_reserved(header->name) && list->count < METADATA_MAX;
    if (ok) header_list_add(list, arena, header->name, value);
    else if (call != NULL) client_call_set(call, GRPC_INVALID_ARGUMENT, "\"%.*s\" can not be sent as metadata", STR_ARG(header->name));
    buf_fini(&text);
    return ok;
}

static void fill_metadata(struct grpc_client *client, struct grpc_client_call *call, const struct grpc_request *request)
{
    for (size_t i = 0; i < client->metadata.count; i++) {
        const struct grpc_header *h = &client->metadata.headers[i];
        if (grpc_metadata_get(request->metadata, h->name).data != NULL) continue; /* the call's own value wins */
        header_list_add(&call->metadata, &call->arena, h->name, h->value);
    }
    for (size_t i = 0; i < request->metadata.count; i++)
        if (!add_metadata(call, &call->arena, &call->metadata, &request->metadata.headers[i])) return;
}

static void fill_body(struct grpc_client_call *call, const struct grpc_request *request)
{
    struct buf small = {0};
    struct str body = request->body;
    if (request->gzip && body.size != 0) {
        gzip_compress(body, &small);
        if (small.size < body.size) {
            call->is_gzip = true;
            body = buf_view(&small);
        }
    }
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_write(prefix, call->is_gzip, (uint32_t)body.size);
    buf_reserve(&call->body, sizeof prefix + body.size);
    buf_append(&call->body, prefix, sizeof prefix);
    buf_append_str(&call->body, body);
    buf_fini(&small);
}

/* Few paths come again and again: that they are valid is remembered. */
static bool path_is_valid(struct grpc_client *client, struct str path)
{
    struct buf *known = &client->paths[path.size % PATHS_MAX];
    if (path.size != 0 && str_equal(buf_view(known), path)) return true;
    if (!grpc_header_is_valid(STR("x"), path) || !str_starts_with(path, STR("/"))) return false;
    if (path.size > FREE_BUF_SIZE_MAX) return true;
    buf_clear(known);
    buf_append_str(known, path);
    return true;
}

static void start(struct grpc_client *client, struct grpc_client_call *call, const struct grpc_request *request)
{
    if (client->state == GRPC_CLIENT_CLOSED) {
        client_call_set(call, GRPC_CANCELLED, "the client is closed");
    } else if (client->call_count > client->options.in_flight_max) {
        client_call_set(call, GRPC_RESOURCE_EXHAUSTED, "%zu calls are under way already", client->options.in_flight_max);
    } else if (request->body.size > UINT32_MAX / 4) {
        client_call_set(call, GRPC_RESOURCE_EXHAUSTED, "the request has %zu bytes, more than gRPC can carry", request->body.size);
    } else if (!path_is_valid(client, request->path)) {
        client_call_set(call, GRPC_INVALID_ARGUMENT, "the method's path is not valid");
    } else {
        fill_metadata(client, call, request);
    }
    if (call->has_status) {
        call_over(call);
        return;
    }
    fill_body(call, request);
    if (request->timeout.ns > 0) {
        call->timer.fire = on_deadline;
        loop_timer_in(client->loop, &call->timer, request->timeout);
        call->deadline = call->timer.node.due;
    }
    list_push(&client->waiting, &call->link);
    if (client->state == GRPC_CLIENT_READY) submit(client, call);
    else connect_if_needed(client);
}

struct grpc_client_call *grpc_client_stream(struct grpc_client *client, const struct grpc_request *request,
                                            void (*on_message)(void *arg, struct str message),
                                            void (*on_done)(void *arg, const struct grpc_response *response), void *arg)
{
    struct grpc_client_call *call = call_make(client);
    call->on_message = on_message;
    call->on_done = on_done;
    call->arg = arg;
    call->deadline = INSTANT_NEVER;
    call->wait_for_ready = request->wait_for_ready;
    call->path = arena_str(&call->arena, request->path);
    start(client, call, request);
    return call;
}

struct grpc_client_call *grpc_client_call(struct grpc_client *client, const struct grpc_request *request,
                                          void (*on_done)(void *arg, const struct grpc_response *response), void *arg)
{
    return grpc_client_stream(client, request, NULL, on_done, arg);
}

void grpc_client_set_metadata(struct grpc_client *client, struct grpc_metadata metadata)
{
    arena_reset(&client->metadata_arena);
    client->metadata = (struct header_list){0};
    for (size_t i = 0; i < metadata.count; i++)
        if (!add_metadata(NULL, &client->metadata_arena, &client->metadata, &metadata.headers[i]))
            log_warn("net", "a default header can not be sent and is left out", "name",
                     arena_cstr(&client->metadata_arena, metadata.headers[i].name));
}

struct str grpc_metadata_get(struct grpc_metadata metadata, struct str name)
{
    for (size_t i = 0; i < metadata.count; i++)
        if (str_equal(metadata.headers[i].name, name)) return metadata.headers[i].value.data != NULL ? metadata.headers[i].value : STR("");
    return STR_EMPTY;
}

/* ---- life */

/* "host:port", "[v6]:port", either without the port. */
static bool parse_address(struct str text, int default_port, struct str *host, int *port)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("/@?#\"", text.data[i]) != NULL) return false;
    const char *end = text.data + text.size, *colon;
    *port = default_port;
    if (text.size > 0 && text.data[0] == '[') {
        const char *close = memchr(text.data, ']', text.size);
        if (close == NULL) return false;
        *host = str_make(text.data + 1, (size_t)(close - text.data - 1));
        colon = close + 1;
        if (colon != end && *colon != ':') return false;
    } else {
        colon = memrchr(text.data, ':', text.size);
        if (colon == NULL) colon = end;
        *host = str_make(text.data, (size_t)(colon - text.data));
        if (memchr(host->data, ':', host->size) != NULL) return false; /* a bare IPv6 address needs its brackets */
    }
    if (host->size == 0) return false;
    if (colon == end) return true;
    int value = 0;
    for (const char *p = colon + 1; p < end; p++) {
        if (*p < '0' || *p > '9' || value > 65535) return false;
        value = value * 10 + (*p - '0');
    }
    *port = value;
    return colon + 1 < end && value > 0 && value <= 65535;
}

static void default_duration(duration *field, duration value) { if (field->ns == 0) *field = value; }

static void fill_options(struct grpc_client *client, const struct grpc_client_options *options)
{
    struct grpc_client_options *o = &client->options;
    *o = *options;
    o->tls = NULL;
    o->target = arena_str(&client->strings, options->target);
    o->server_name = arena_str(&client->strings, options->server_name);
    o->verified_name = arena_str(&client->strings, options->verified_name);
    o->authority = arena_str(&client->strings, options->authority);
    o->proxy = arena_str(&client->strings, options->proxy);
    o->proxy_user = arena_str(&client->strings, options->proxy_user);
    o->proxy_password = arena_str(&client->strings, options->proxy_password);
    o->user_agent = str_is_empty(options->user_agent) ? STR("perdure/" PERDURE_VERSION) : arena_str(&client->strings, options->user_agent);
    if (o->message_size_max == 0) o->message_size_max = 128 << 20;
    if (o->in_flight_max == 0) o->in_flight_max = 10000;
    default_duration(&o->connect_timeout, duration_s(10));
    default_duration(&o->keepalive_interval, duration_s(30));
    default_duration(&o->keepalive_timeout, duration_s(15));
    default_duration(&o->backoff_min, duration_ms(100));
    default_duration(&o->backoff_max, duration_s(5));
    if (o->seed == 0) o->seed = (uint64_t)loop_now(client->loop).ns;
}

static err fill_link_options(struct grpc_client *client, struct arena *arena, struct error *error)
{
    struct grpc_client_options *o = &client->options;
    struct client_link_options *l = &client->link_options;
    if (!parse_address(o->target, DEFAULT_PORT, &l->host, &l->port))
        return error_set(error, arena, ERR_INVALID, "\"%.*s\" is not an address of the form host:port", STR_ARG(o->target));
    if (str_is_empty(o->server_name)) o->server_name = l->host;
    else if (str_is_empty(o->authority)) o->authority = o->server_name;
    if (str_is_empty(o->authority)) o->authority = o->target;
    if (!grpc_header_is_valid(STR("x"), o->user_agent) || !grpc_header_is_valid(STR("x"), o->authority))
        return error_set(error, arena, ERR_INVALID, "user agent and authority must be printable ASCII");
    if (!str_is_empty(o->proxy)) {
        l->tunnel = arena_printf(&client->strings, memchr(l->host.data, ':', l->host.size) != NULL ? "[%.*s]:%d" : "%.*s:%d",
                                 STR_ARG(l->host), l->port);
        if (!parse_address(o->proxy, 80, &l->host, &l->port))
            return error_set(error, arena, ERR_INVALID, "proxy \"%.*s\" is not an address of the form host:port", STR_ARG(o->proxy));
    }
    l->loop = client->loop;
    l->proxy_user = o->proxy_user;
    l->proxy_password = o->proxy_password;
    l->tls = client->tls;
    l->server_name = o->server_name;
    l->verified_name = o->verified_name;
    l->authority = o->authority;
    l->user_agent = o->user_agent;
    l->message_size_max = o->message_size_max;
    l->connect_timeout = o->connect_timeout;
    l->keepalive_interval = o->keepalive_interval;
    l->keepalive_timeout = o->keepalive_timeout;
    l->keepalive_without_calls = o->keepalive_without_calls;
    l->idle_max = o->idle_max;
    l->out = &client->out;
    l->plain = &client->plain;
    return ERR_NONE;
}

static void client_free(struct grpc_client *client)
{
    tls_context_unref(client->tls);
    arena_fini(&client->strings);
    arena_fini(&client->metadata_arena);
    for (struct grpc_client_call *call; (call = client->free_calls) != NULL;) {
        client->free_calls = call->arg;
        buf_fini(&call->body);
        buf_fini(&call->message);
        free(call);
    }
    for (size_t i = 0; i < countof(client->paths); i++) buf_fini(&client->paths[i]);
    buf_fini(&client->out);
    buf_fini(&client->plain);
    free(client);
}

err grpc_client_create(struct grpc_client **out, struct loop *loop, const struct grpc_client_options *options, struct arena *arena,
                       struct error *error)
{
    struct grpc_client *client = xcalloc(1, sizeof *client);
    client->loop = loop;
    arena_init(&client->strings, 0, 0);
    arena_init(&client->metadata_arena, 0, 0);
    list_init(&client->waiting);
    list_init(&client->done);
    client->done_defer.run = on_done_defer;
    client->backoff_timer.fire = on_backoff;
    fill_options(client, options);
    client->backoff = client->options.backoff_min;
    prng_init(&client->prng, client->options.seed);
    err e = options->tls != NULL ? tls_context_create(&client->tls, options->tls, false, arena, error) : ERR_NONE;
    if (e == ERR_NONE) e = fill_link_options(client, arena, error);
    if (e != ERR_NONE) {
        client_free(client);
        return e;
    }
    *out = client;
    return ERR_NONE;
}

static void destroy_link(struct client_link **link)
{
    if (*link != NULL) client_link_destroy(*link);
    *link = NULL;
}

void grpc_client_destroy(struct grpc_client *client)
{
    set_state(client, GRPC_CLIENT_CLOSED, STR_EMPTY);
    client->options.on_state = NULL;
    fail_waiting(client, true, GRPC_CANCELLED, STR("the client is closed"));
    destroy_link(&client->current);
    for (size_t i = 0; i < countof(client->draining); i++) destroy_link(&client->draining[i]);
    deliver_done(client);
    loop_timer_stop(client->loop, &client->backoff_timer);
    loop_defer_stop(client->loop, &client->done_defer);
    ensure(client->call_count == 0);
    client_free(client);
}
