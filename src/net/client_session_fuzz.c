/* A client that meets a hostile server: three calls are sent, the input is what comes back, in steps as in
 * server_session_fuzz.c. Every call must end exactly once. */
#include "net/client_session.h"

#include <stdlib.h>

enum { CALLS = 3 };

struct world {
    struct grpc_client_call *calls[CALLS];
    int over_count;
    size_t message_bytes;
};

static void on_pending(struct client_session *session) { (void)session; }
static void on_ready(struct client_session *session) { (void)session; }
static void on_goaway(struct client_session *session) { (void)session; }
static void on_over(struct client_session *session, struct grpc_client_call *call, bool is_untouched)
{
    struct world *w = session->owner;
    ensure(is_untouched || call->has_status);
    ensure(call->session == NULL);
    w->over_count++;
}
static const struct client_session_events events = {on_pending, on_ready, on_goaway, on_over};

static void on_message(void *arg, struct str message) { ((struct world *)arg)->message_bytes += message.size; }

static struct grpc_client_call *make_call(struct world *w, bool is_stream)
{
    struct grpc_client_call *call = xcalloc(1, sizeof *call);
    arena_init(&call->arena, 0, 0);
    call->path = STR("/test.Echo/Echo");
    call->arg = w;
    call->on_message = is_stream ? on_message : NULL;
    buf_append(&call->body, "\0\0\0\0\2hi", 7);
    return call;
}

static void drain_output(struct client_session *session)
{
    struct buf out = {0};
    for (size_t before = 1; before != out.size && out.size < 1 << 20;) {
        before = out.size;
        client_session_send(session, &out, out.size + 4096);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    struct client_session *session = client_session_create(&events, &w, STR("http"), STR("test"), STR("fuzz"), 4096);
    for (int i = 0; i < CALLS; i++) {
        w.calls[i] = make_call(&w, i == 1);
        client_session_submit(session, w.calls[i], (duration){0});
    }
    drain_output(session);
    for (size_t at = 0; at + 2 <= size && !session->is_broken;) {
        size_t n = size_min(data[at + 1], size - at - 2);
        struct grpc_client_call *call = w.calls[data[at + 1] % CALLS];
        if (data[at] % 8 < 6) {
            client_session_receive(session, data + at + 2, n);
        } else if (data[at] % 8 == 6 && call->session != NULL && !call->is_over) {
            call->is_over = true;
            client_call_set(call, GRPC_CANCELLED, "cancelled");
            client_session_cancel(session, call);
        } else {
            drain_output(session);
        }
        at += 2 + n;
    }
    drain_output(session);
    client_session_destroy(session);
    ensure(w.over_count == CALLS);
    for (int i = 0; i < CALLS; i++) {
        buf_fini(&w.calls[i]->body);
        buf_fini(&w.calls[i]->message);
        arena_fini(&w.calls[i]->arena);
        free(w.calls[i]);
    }
    return 0;
}
