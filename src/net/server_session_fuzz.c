/* The HTTP/2 and gRPC front as a hostile peer sees it. The input is a list of steps, each an opcode, a size and that many
 * bytes: bytes to receive, time to pass, calls to answer. Invariants are the session's own (ensure). */
#include "net/server_session.h"

#include <stdlib.h>

enum { HELD_MAX = 64 };

struct world {
    struct server_core core;
    struct timer_set timers;
    instant now;
    struct grpc_call *held[HELD_MAX];
    size_t held_count;
};

static void forget(struct world *w, struct grpc_call *call)
{
    for (size_t i = 0; i < w->held_count; i++)
        if (w->held[i] == call) w->held[i--] = w->held[--w->held_count];
}

/* What a handler may look at, it looks at. The path decides how it answers. */
static void on_call(void *arg, struct grpc_call *call)
{
    struct world *w = arg;
    struct str path = grpc_call_path(call), body = grpc_call_body(call), name, value;
    size_t sum = body.size;
    for (size_t at = 0; grpc_call_metadata_next(call, &at, &name, &value);) {
        sum += value.size;
        sum += grpc_call_metadata(call, name).size;
    }
    char last = path.size > 0 ? path.data[path.size - 1] : 0;
    if (last == 'h' && w->held_count < HELD_MAX) {
        w->held[w->held_count++] = call;
        if (sum % 2 == 0) grpc_call_forget_request(call);
    } else if (last == 's') {
        for (int i = 0; i < 3; i++)
            if (grpc_call_send(call, body.data, body.size) != ERR_NONE) break;
        grpc_call_reply_end(call);
    } else if (last == 'f') {
        grpc_call_add_trailer(call, STR("x-trailer"), body);
        grpc_call_fail(call, (enum grpc_code)(sum % 20), body, body);
    } else {
        grpc_call_reply(call, body.data, body.size);
    }
}

static void on_gone(void *arg, struct grpc_call *call) { forget(arg, call); }
static void on_closed(void *arg, uint64_t id) { (void)arg, (void)id; }

static const struct grpc_handler handler = {on_call, on_gone, on_gone, on_closed, NULL};

static instant clock_of(void *world) { return ((struct world *)world)->now; }
static void on_pending(struct server_session *session) { (void)session; }

static void pass(struct world *w, duration time)
{
    w->now = instant_add(w->now, time);
    timer_set_run(&w->timers, w->now);
}

static void drain_output(struct server_session *session)
{
    struct buf out = {0};
    for (size_t before = 1; before != out.size && out.size < 1 << 20;) {
        before = out.size;
        server_session_send(session, &out, out.size + 4096);
    }
    buf_fini(&out);
}

static void step(struct world *w, struct server_session *session, uint8_t op, const uint8_t *data, size_t size)
{
    switch (op % 8) {
    case 5: pass(w, duration_ms((int64_t)size * 100)); break;
    case 6:
        if (w->held_count > 0) {
            struct grpc_call *call = w->held[size % w->held_count];
            forget(w, call);
            grpc_call_reply(call, data, size);
        }
        break;
    case 7:
        if (size == 255) server_session_drain(session);
        drain_output(session);
        break;
    default: server_session_receive(session, data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.now = {NS_PER_S}};
    const struct grpc_server_options options = {.seed = 1, .message_size_max = 4096, .request_bytes_max = 16384, .reply_bytes_max = 65536,
                                                .stream_count_max = 50, .gzip_reply_size_min = 64};
    if (size == 0) return 0;
    server_core_init(&w.core, &options, &handler, &w);
    w.core.timers = &w.timers;
    w.core.clock = &w;
    w.core.wall = w.core.steady = clock_of;
    w.core.on_pending = on_pending;
    struct server_session *session = server_session_create(&w.core, 1, "fuzz", NULL);
    if (data[0] % 8 != 0) server_session_receive(session, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
    for (size_t at = 1; at + 2 <= size && !session->is_cut;) {
        size_t n = size_min(data[at + 1], size - at - 2);
        step(&w, session, data[at], data + at + 2, n);
        at += 2 + n;
    }
    drain_output(session);
    server_session_destroy(session);
    ensure(w.core.stats.call_count == 0 && timer_set_next(&w.timers).ns == INSTANT_NEVER.ns);
    server_core_fini(&w.core);
    timer_set_fini(&w.timers);
    return 0;
}
