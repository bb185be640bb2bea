#include "net/net_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the server's side */

static void park(struct fixture *f, struct grpc_call *call)
{
    ensure(f->parked_count < PARKED_MAX);
    grpc_call_set_user(call, &f->parked[f->parked_count]);
    f->parked[f->parked_count++] = call;
    grpc_call_forget_request(call);
}

static void answer_headers(struct grpc_call *call)
{
    struct buf text = {0};
    struct str name, value;
    for (size_t at = 0; grpc_call_metadata_next(call, &at, &name, &value);) buf_printf(&text, "%.*s=%.*s;", STR_ARG(name), STR_ARG(value));
    struct str token = grpc_call_metadata(call, STR("token-bin"));
    buf_printf(&text, "token=%.*s;authority=%.*s;", STR_ARG(token), STR_ARG(grpc_call_authority(call)));
    grpc_call_add_header(call, STR("x-first"), STR("one"));
    grpc_call_add_header(call, STR("grpc-status"), STR("7")); /* reserved: must not get through */
    grpc_call_add_header(call, STR("Bad Name"), STR("x"));
    grpc_call_add_trailer(call, STR("x-last"), STR("two"));
    grpc_call_reply_buf(call, &text);
}

static void on_call(void *arg, struct grpc_call *call)
{
    struct fixture *f = arg;
    struct str path = grpc_call_path(call), body = grpc_call_body(call);
    f->call_count++;
    if (str_equal(path, STR("/test.Echo/Echo"))) {
        grpc_call_reply(call, body.data, body.size);
    } else if (str_equal(path, STR("/test.Echo/Park"))) {
        park(f, call);
    } else if (str_equal(path, STR("/test.Echo/Watch"))) {
        park(f, call);
        ensure(grpc_call_send(call, "first", 5) == ERR_NONE);
    } else if (str_equal(path, STR("/test.Echo/Fail"))) {
        grpc_call_fail(call, GRPC_NOT_FOUND, STR("no 100% \xc3\xbcnicode\nthing"), body);
    } else if (str_equal(path, STR("/test.Echo/Headers"))) {
        answer_headers(call);
    } else if (str_equal(path, STR("/test.Echo/Subject"))) {
        struct str subject = grpc_call_peer_subject(call);
        grpc_call_reply(call, subject.data, subject.size);
    } else if (str_equal(path, STR("/test.Echo/Stream"))) {
        for (int i = 0; i < 3; i++) ensure(grpc_call_send(call, body.data, body.size) == ERR_NONE);
        grpc_call_reply_end(call);
    } else {
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, STR("no such method"), STR_EMPTY);
    }
}

static void unpark(struct grpc_call *call)
{
    struct grpc_call **place = grpc_call_user(call);
    if (place != NULL) *place = NULL;
}

static void on_cancel(void *arg, struct grpc_call *call)
{
    unpark(call);
    ((struct fixture *)arg)->cancel_count++;
}

static void on_deadline(void *arg, struct grpc_call *call)
{
    struct fixture *f = arg;
    unpark(call);
    f->deadline_count++;
    if (f->answers_at_deadline) grpc_call_reply(call, "late", 4);
}

static void on_connection_closed(void *arg, uint64_t connection_id)
{
    struct fixture *f = arg;
    f->closed_count++;
    f->closed_id = connection_id;
}

static const struct grpc_handler handler = {
    .on_call = on_call, .on_cancel = on_cancel, .on_deadline = on_deadline, .on_connection_closed = on_connection_closed,
};

/* ---- the client's side */

static void on_state(void *arg, enum grpc_client_state state, struct str why)
{
    struct fixture *f = arg;
    (void)why;
    f->last_state = state;
    if (state == GRPC_CLIENT_READY) f->ready_count++;
    if (state == GRPC_CLIENT_FAILING) f->failing_count++;
}

struct pending { struct fixture *f; struct result *result; };

static struct str join(struct arena *arena, struct grpc_metadata metadata)
{
    struct str text = STR_EMPTY;
    for (size_t i = 0; i < metadata.count; i++)
        text = arena_printf(arena, "%.*s%.*s=%.*s;", STR_ARG(text), STR_ARG(metadata.headers[i].name), STR_ARG(metadata.headers[i].value));
    return text;
}

static void on_done(void *arg, const struct grpc_response *response)
{
    struct pending *pending = arg;
    struct result *r = pending->result;
    struct arena *arena = &pending->f->arena;
    ensure(!r->is_done);
    r->is_done = true;
    r->code = response->code;
    r->message = arena_str(arena, response->message);
    r->details = arena_str(arena, response->details);
    r->body = arena_str(arena, response->body);
    r->headers = join(arena, response->headers);
    r->trailers = join(arena, response->trailers);
    r->was_sent = response->was_sent;
    pending->f->done_count++;
}

static void on_message(void *arg, struct str message)
{
    struct pending *pending = arg;
    struct result *r = pending->result;
    r->message_count++;
    r->body = arena_str(&pending->f->arena, message);
}

struct result *fixture_call(struct fixture *f, const char *method, struct str body, struct grpc_request extra, struct grpc_client_call **call)
{
    ensure(f->result_count < RESULTS_MAX);
    struct pending *pending = arena_new(&f->arena, struct pending);
    *pending = (struct pending){f, &f->results[f->result_count++]};
    extra.path = arena_printf(&f->arena, "/test.Echo/%s", method);
    extra.body = body;
    bool is_stream = strcmp(method, "Stream") == 0 || strcmp(method, "Watch") == 0;
    struct grpc_client_call *started = is_stream ? grpc_client_stream(f->client, &extra, on_message, on_done, pending)
                                                 : grpc_client_call(f->client, &extra, on_done, pending);
    ensure(!pending->result->is_done);
    if (call != NULL) *call = started;
    return pending->result;
}

struct result *fixture_ask(struct fixture *f, const char *method, struct str body)
{
    struct result *result = fixture_call(f, method, body, (struct grpc_request){0}, NULL);
    ensure(fixture_until(f, result->is_done));
    return result;
}

/* ---- life */

struct fixture *fixture_create(void)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->loop = loop_create();
    ensure(f->loop != NULL);
    arena_init(&f->arena, 0, 0);
    f->client_options.on_state = on_state;
    f->client_options.on_state_arg = f;
    f->client_options.seed = f->server_options.seed = 7;
    return f;
}

void fixture_start(struct fixture *f)
{
    err e = grpc_server_listen(&f->server, f->loop, &f->server_options, &handler, f, &f->arena, &f->error);
    if (e != ERR_NONE) fprintf(stderr, "%.*s\n", STR_ARG(error_message(&f->error)));
    ensure(e == ERR_NONE);
    snprintf(f->target, sizeof f->target, "127.0.0.1:%d", grpc_server_port(f->server));
    if (str_is_empty(f->client_options.target)) f->client_options.target = str_of(f->target);
    e = grpc_client_create(&f->client, f->loop, &f->client_options, &f->arena, &f->error);
    if (e != ERR_NONE) fprintf(stderr, "%.*s\n", STR_ARG(error_message(&f->error)));
    ensure(e == ERR_NONE);
}

void fixture_destroy(struct fixture *f)
{
    if (f->client != NULL) grpc_client_destroy(f->client);
    if (f->server != NULL) grpc_server_destroy(f->server);
    loop_destroy(f->loop);
    ensure(f->done_count == f->result_count);
    arena_fini(&f->arena);
    free(f);
}
