#include "net/server_session.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STREAM_WINDOW = 1 << 20, CONNECTION_WINDOW = 16 << 20, /* bytes a peer may send ahead; see libraries.md */
    RESET_BURST = 10000, RESET_RATE = 1000,                /* streams a peer may reset, at once and per second */
    CONTROL_FRAMES_PER_S = 2000,                           /* pings, settings, empty data */
    ACKS_QUEUED_MAX = 1000, CONTINUATIONS_MAX = 8, SETTINGS_PER_FRAME_MAX = 32,
    REPLY_HEADER_BLOCK_MAX = 1 << 20,
    PING_STRIKES_MAX = 2, /* as gRPC servers do */
    BODY_FIRST_BLOCK = 16 * 1024,
};
static const uint8_t drain_ping[8] = {'l', 'a', 's', 't', 'c', 'a', 'l', 'l'};

static instant steady(const struct server_core *core) { return core->steady(core->clock); }

struct str rcbuf_view(nghttp2_rcbuf *rcbuf)
{
    if (rcbuf == NULL) return STR_EMPTY;
    nghttp2_vec v = nghttp2_rcbuf_get_buf(rcbuf);
    return (struct str){(const char *)v.base, v.len};
}

void session_pending(struct server_session *session)
{
    if (session->out == NULL) session->core->on_pending(session); /* while sending, the sender looks itself */
}

static bool session_hold(struct server_session *session, size_t *counter, size_t counter_max, size_t size)
{
    struct server_core *core = session->core;
    if (size > counter_max || *counter > counter_max - size) return false;
    if (size > core->options.held_bytes_max || core->held_bytes > core->options.held_bytes_max - size) return false;
    *counter += size;
    core->held_bytes += size;
    return true;
}

bool session_hold_request(struct server_session *session, size_t size)
{
    return session_hold(session, &session->request_bytes, session->core->options.request_bytes_max, size);
}

bool session_hold_reply(struct server_session *session, size_t size)
{
    return session_hold(session, &session->reply_bytes, session->core->options.reply_bytes_max, size);
}

void session_release(struct server_session *session, size_t *counter, size_t size)
{
    ensure(*counter >= size && session->core->held_bytes >= size);
    *counter -= size;
    session->core->held_bytes -= size;
}

/* ---- closing */

void server_session_cut(struct server_session *session, const char *why)
{
    if (session->is_cut) return;
    log_debug("net", "connection cut", "peer", session->peer, "why", why);
    session->core->stats.cut_total++;
    session->is_cut = true;
    session_pending(session);
}

static void expel(struct server_session *session, const char *why)
{
    if (session->is_closing) return;
    log_debug("net", "connection refused further service", "peer", session->peer, "why", why);
    session->core->stats.cut_total++;
    int result = nghttp2_submit_goaway(session->h2, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session->h2),
                                       NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why, strlen(why));
    if (result != 0) session->is_cut = true;
    session->is_closing = true;
    session_pending(session);
}

static void say_last_goaway(struct server_session *session)
{
    if (session->is_last_goaway_sent) return;
    session->is_last_goaway_sent = true;
    if (nghttp2_submit_goaway(session->h2, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session->h2),
                              NGHTTP2_NO_ERROR, NULL, 0) != 0)
        session->is_cut = true;
    if (session->call_count == 0) session->is_closing = true;
    session_pending(session);
}

void server_session_drain(struct server_session *session)
{
    if (session->is_draining) return;
    session->is_draining = true;
    session->drain_at = steady(session->core);
    if (!session->has_settings) {
        session->is_closing = true;
    } else if (nghttp2_submit_shutdown_notice(session->h2) != 0) { /* its ping follows once it is written */
        session->is_cut = true;
    }
    session_pending(session);
}

/* ---- time */

struct tick { instant now, next; };

/* Has `limit` passed since `from`? If not, the next tick comes no later than that. */
static bool is_over(struct tick *tick, instant from, duration limit)
{
    if (limit.ns < 0) return false;
    instant due = instant_add(from, limit);
    if (!instant_before(tick->now, due)) return true;
    tick->next = instant_min(tick->next, due);
    return false;
}

static void tick_calls(struct server_session *session, struct tick *tick)
{
    const struct grpc_server_options *o = &session->core->options;
    for (struct list *link; (link = list_first(&session->receiving)) != NULL;) {
        struct grpc_call *call = container_of(link, struct grpc_call, link);
        if (!is_over(tick, call->since, o->request_timeout)) break;
        reach("server_session: a request never completes");
        call_refuse(call, GRPC_DEADLINE_EXCEEDED, "the request did not arrive in time");
    }
    for (struct list *link; (link = list_first(&session->answered)) != NULL;) {
        struct grpc_call *call = container_of(link, struct grpc_call, link);
        if (!is_over(tick, call->since, o->stall_timeout)) break;
        reach("server_session: an answer is not taken");
        call->since = tick->now;
        call_move(call, CALL_ANSWERED);
        if (nghttp2_submit_rst_stream(session->h2, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL) != 0) session->is_cut = true;
        session_pending(session);
        if (is_over(tick, call->since, o->stall_timeout)) break; /* a limit of zero */
    }
}

static void tick_keepalive(struct server_session *session, struct tick *tick)
{
    const struct grpc_server_options *o = &session->core->options;
    if (o->keepalive_interval.ns < 0) return;
    if (session->is_ping_sent) {
        if (is_over(tick, session->ping_sent_at, o->keepalive_timeout)) server_session_cut(session, "no answer to a ping");
    } else if (is_over(tick, session->last_received, o->keepalive_interval)) {
        session->is_ping_sent = true;
        session->ping_sent_at = tick->now;
        (void)is_over(tick, tick->now, o->keepalive_timeout);
        if (nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, NULL) != 0) session->is_cut = true;
        session_pending(session);
    }
}

static void on_tick(struct timer *timer, instant now)
{
    struct server_session *session = container_of(timer, struct server_session, timer);
    const struct grpc_server_options *o = &session->core->options;
    struct tick tick = {now, INSTANT_NEVER};
    if (session->is_cut || session->is_closing) return;
    if (!session->has_settings) {
        if (is_over(&tick, session->opened_at, o->handshake_timeout)) server_session_cut(session, "no HTTP/2 settings in time");
    } else {
        tick_calls(session, &tick);
        tick_keepalive(session, &tick);
        if (session->call_count == 0 && is_over(&tick, session->idle_since, o->idle_max)) server_session_drain(session);
        if (is_over(&tick, session->age_limit, (duration){0})) {
            server_session_drain(session);
            if (is_over(&tick, session->age_limit, o->age_grace)) server_session_cut(session, "too old");
        }
        if (session->is_draining && !session->is_last_goaway_sent && is_over(&tick, session->drain_at, o->keepalive_timeout))
            say_last_goaway(session);
        /* Calls that begin to arrive or to wait later than now must not wait for a far tick. */
        if (o->stall_timeout.ns > 0) (void)is_over(&tick, now, (duration){o->stall_timeout.ns / 2});
        if (o->request_timeout.ns > 0) (void)is_over(&tick, now, (duration){o->request_timeout.ns / 2});
    }
    if (tick.next.ns != INSTANT_NEVER.ns) timer_start(session->core->timers, &session->timer, tick.next);
}

/* ---- what nghttp2 tells: headers */

static struct grpc_call *call_of(struct server_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session->h2, stream_id);
}

static struct grpc_call *call_create(struct server_session *session, int32_t stream_id)
{
    struct server_core *core = session->core;
    struct grpc_call *call = core->free_calls;
    if (call != NULL) {
        core->free_calls = call->user;
        core->free_call_count--;
    } else {
        call = xmalloc(sizeof *call);
    }
    *call = (struct grpc_call){.session = session, .stream_id = stream_id, .deadline = INSTANT_NEVER};
    call->since = steady(core);
    call->received_at = core->wall(core->clock);
    list_push(&session->receiving, &call->link);
    session->call_count++;
    core->stats.call_count++;
    return call;
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct server_session *session = arg;
    session->current = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct grpc_call *call = call_create(session, frame->hd.stream_id);
    session->current = call;
    nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, call);
    return 0;
}

static void keep_header(struct grpc_call *call, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    struct call_header *to;
    if (call->header_count < CALL_HEADERS_INLINE) {
        to = &call->inline_headers[call->header_count++];
    } else {
        if ((call->more_header_count & (call->more_header_count - 1)) == 0) /* 0, 1, 2, 4 …: grow by doubling */
            call->more_headers = xrealloc(call->more_headers, size_max(4, call->more_header_count * 2) * sizeof *to);
        to = &call->more_headers[call->more_header_count++];
        call->header_count++;
    }
    nghttp2_rcbuf_incref(name);
    nghttp2_rcbuf_incref(value);
    *to = (struct call_header){name, value};
}

static void keep_rcbuf(nghttp2_rcbuf **to, nghttp2_rcbuf *from)
{
    if (*to != NULL) return; /* nghttp2 refuses a repeated pseudo header; only the first "host" counts */
    nghttp2_rcbuf_incref(from);
    *to = from;
}

/* Headers that steer the protocol are read at once, the others kept by reference. */
static bool read_own_header(struct grpc_call *call, struct str name, nghttp2_rcbuf *value_rcbuf)
{
    struct str value = rcbuf_view(value_rcbuf);
    if (name.size == 0) return true;
    if (name.data[0] == ':') {
        if (str_equal(name, STR(":path"))) keep_rcbuf(&call->path, value_rcbuf);
        else if (str_equal(name, STR(":authority"))) keep_rcbuf(&call->authority, value_rcbuf);
        else if (str_equal(name, STR(":method"))) call->is_post = str_equal(value, STR("POST"));
        return true;
    }
    if (str_starts_with(name, STR("grpc-"))) {
        if (str_equal(name, STR("grpc-timeout"))) {
            duration timeout;
            call->is_timeout_bad = !grpc_timeout_parse(value, &timeout);
            if (!call->is_timeout_bad) call->deadline = instant_add(call->received_at, timeout);
        } else if (str_equal(name, STR("grpc-encoding"))) {
            call->is_request_compressed = str_equal(value, STR("gzip"));
            call->is_encoding_unknown = !call->is_request_compressed && !str_equal(value, STR("identity"));
        } else if (str_equal(name, STR("grpc-accept-encoding"))) {
            call->accepts_gzip = grpc_encodings_have(value, STR("gzip"));
        }
        return true;
    }
    if (str_equal(name, STR("content-type"))) {
        call->has_content_type = grpc_content_type_is_valid(value);
        return true;
    }
    if (str_equal(name, STR("host"))) keep_rcbuf(&call->authority, value_rcbuf);
    return grpc_header_is_reserved(name);
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, nghttp2_rcbuf *name_rcbuf, nghttp2_rcbuf *value_rcbuf,
                     uint8_t flags, void *arg)
{
    (void)h2, (void)flags;
    struct server_session *session = arg;
    struct grpc_call *call = session->current;
    if (call == NULL || call->stream_id != frame->hd.stream_id || call->state != CALL_RECEIVING) return 0;
    struct str name = rcbuf_view(name_rcbuf), value = rcbuf_view(value_rcbuf);
    call->header_size += (uint32_t)(name.size + value.size + 32); /* RFC 9113, 6.5.2 */
    if (call->header_size > session->core->options.header_size_max) return 0; /* refused when they end */
    if (!read_own_header(call, name, value_rcbuf)) keep_header(call, name_rcbuf, value_rcbuf);
    return 0;
}

/* False: the call was refused instead. */
static bool hold_request(struct grpc_call *call, size_t size)
{
    if (session_hold_request(call->session, size)) {
        call->held_request_bytes += size;
        return true;
    }
    reach("server_session: too many request bytes");
    call_refuse(call, GRPC_RESOURCE_EXHAUSTED, "too many bytes of requests are held already");
    return false;
}

static void hand_stream(struct grpc_call *call);

static void headers_complete(struct grpc_call *call)
{
    if (call->header_size > call->session->core->options.header_size_max) {
        reach("server_session: headers too large");
        call_refuse(call, GRPC_RESOURCE_EXHAUSTED, "the request headers are larger than %zu bytes",
                    call->session->core->options.header_size_max);
    } else if (!call->is_post) {
        call_refuse_http(call, "405");
    } else if (!call->has_content_type) {
        call_refuse_http(call, "415");
    } else if (call->is_timeout_bad) {
        call_refuse(call, GRPC_INTERNAL, "the grpc-timeout header is not a number with a unit");
    } else if (call->is_encoding_unknown) {
        call_refuse(call, GRPC_UNIMPLEMENTED, "requests may be compressed with gzip only");
    } else if (hold_request(call, call->header_size)) {
        const struct server_core *core = call->session->core;
        if (core->handler->takes_messages != NULL && core->handler->takes_messages(core->handler_arg, grpc_call_path(call))) hand_stream(call);
    }
}

/* ---- what nghttp2 tells: body */

static bool prefix_complete(struct grpc_call *call)
{
    struct server_session *session = call->session;
    const struct grpc_server_options *o = &session->core->options;
    call->body_size = grpc_prefix_size(call->prefix);
    if (call->prefix[0] > 1) {
        call_refuse(call, GRPC_INTERNAL, "the request message begins with an unknown flag");
    } else if (call->prefix[0] == 1 && !call->is_request_compressed) {
        call_refuse(call, GRPC_INTERNAL, "the request message is compressed, but no grpc-encoding header says how");
    } else if (call->body_size > o->message_size_max) {
        reach("server_session: message too large");
        call_refuse(call, GRPC_RESOURCE_EXHAUSTED, "the request message has %" PRIu32 " bytes, more than the %zu allowed",
                    call->body_size, o->message_size_max);
    } else {
        return true;
    }
    return false;
}

/* A liar about its size gets memory only as fast as it sends bytes. */
static bool body_append(struct grpc_call *call, const uint8_t *data, size_t size)
{
    if (size == 0) return true;
    if (call->body.capacity == 0) buf_reserve(&call->body, size_max(size, size_min(call->body_size, BODY_FIRST_BLOCK)));
    if (!hold_request(call, size)) return false;
    buf_append(&call->body, data, size);
    return true;
}

static void count_control_frame(struct server_session *session)
{
    instant now = steady(session->core);
    if (instant_since(now, session->rate_since).ns >= NS_PER_S) {
        session->rate_since = now;
        session->control_frames = 0;
    }
    if (++session->control_frames > CONTROL_FRAMES_PER_S) {
        reach("server_session: control frame flood");
        expel(session, "too_many_control_frames");
    }
}

/* A request that is a stream: `body` holds what has come of the next message, its prefix included. */
static void stream_data(struct grpc_call *call, const uint8_t *data, size_t size)
{
    struct server_core *core = call->session->core;
    if (size > core->options.message_size_max + GRPC_PREFIX_SIZE - size_min(call->body.size, core->options.message_size_max)) {
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, STR("the messages come faster than they are taken"), STR_EMPTY);
        return;
    }
    if (!body_append(call, data, size)) return;
    while (call->state == CALL_HANDED && call->body.size >= GRPC_PREFIX_SIZE) {
        const uint8_t *prefix = (const uint8_t *)call->body.data;
        size_t message = grpc_prefix_size(prefix);
        if (prefix[0] != 0) {
            grpc_call_fail(call, GRPC_UNIMPLEMENTED, STR("messages of a request stream may not be compressed"), STR_EMPTY);
        } else if (message > core->options.message_size_max) {
            grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, STR("a message of the request is larger than allowed"), STR_EMPTY);
        } else if (call->body.size - GRPC_PREFIX_SIZE < message) {
            return;
        } else {
            struct str text = {call->body.data + GRPC_PREFIX_SIZE, message};
            core->handler->on_message(core->handler_arg, call, text);
            if (call->state == CALL_HANDED) buf_consume(&call->body, GRPC_PREFIX_SIZE + message);
        }
    }
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t size, void *arg)
{
    (void)flags;
    struct grpc_call *call = call_of(arg, stream_id);
    (void)h2;
    if (call != NULL && call->is_request_stream && call->state == CALL_HANDED) stream_data(call, data, size);
    if (call == NULL || call->state != CALL_RECEIVING) return 0; /* refused already: the rest is dropped */
    while (call->prefix_count < GRPC_PREFIX_SIZE && size > 0) {
        call->prefix[call->prefix_count++] = *data++;
        size--;
        if (call->prefix_count == GRPC_PREFIX_SIZE && !prefix_complete(call)) return 0;
    }
    if (size > call->body_size - call->body.size) {
        call_refuse(call, GRPC_INTERNAL, "the request has more than one message");
        return 0;
    }
    (void)body_append(call, data, size);
    return 0;
}

static bool body_decompress(struct grpc_call *call)
{
    struct server_session *session = call->session;
    struct buf plain = {0};
    err e = gzip_decompress(buf_view(&call->body), session->core->options.message_size_max, &plain);
    if (e != ERR_NONE) {
        buf_fini(&plain);
        if (e == ERR_TOO_LARGE)
            call_refuse(call, GRPC_RESOURCE_EXHAUSTED, "the request message has more than the %zu bytes allowed",
                        session->core->options.message_size_max);
        else
            call_refuse(call, GRPC_INTERNAL, "the request message is not valid gzip");
        return false;
    }
    buf_fini(&call->body);
    call->body = plain;
    return plain.size <= call->body_size || hold_request(call, plain.size - call->body_size);
}

static void on_deadline(struct timer *timer, instant now)
{
    (void)now;
    struct grpc_call *call = container_of(timer, struct grpc_call, deadline_timer);
    struct server_core *core = call->session->core;
    core->stats.deadline_total++;
    if (core->handler->on_deadline != NULL) core->handler->on_deadline(core->handler_arg, call);
    else if (core->handler->on_cancel != NULL) core->handler->on_cancel(core->handler_arg, call);
    if (call->state == CALL_HANDED) grpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, STR("no answer before the deadline"), STR_EMPTY);
}

static void start_deadline(struct grpc_call *call)
{
    struct server_core *core = call->session->core;
    if (call->state != CALL_HANDED || call->deadline.ns == INSTANT_NEVER.ns) return;
    duration left = instant_since(call->deadline, core->wall(core->clock));
    call->deadline_timer.fire = on_deadline;
    timer_start(core->timers, &call->deadline_timer, instant_add(steady(core), left));
}

static void hand_stream(struct grpc_call *call)
{
    call->is_request_stream = true;
    call_move(call, CALL_HANDED);
    call->session->had_call = true;
    call->session->core->stats.call_total++;
    start_deadline(call);
}

static void request_complete(struct grpc_call *call)
{
    struct server_session *session = call->session;
    struct server_core *core = session->core;
    if (call->prefix_count < GRPC_PREFIX_SIZE || call->body.size < call->body_size) {
        call_refuse(call, GRPC_INTERNAL, "the request ended before its message was complete");
        return;
    }
    if (call->prefix[0] == 1 && !body_decompress(call)) return;
    call_move(call, CALL_HANDED);
    session->had_call = true;
    core->stats.call_total++;
    core->handler->on_call(core->handler_arg, call);
    start_deadline(call);
}

/* ---- what nghttp2 tells: other frames */

static void on_ping(struct server_session *session, const nghttp2_ping *ping)
{
    if (ping->hd.flags & NGHTTP2_FLAG_ACK) {
        if (session->is_draining && memcmp(ping->opaque_data, drain_ping, sizeof drain_ping) == 0) say_last_goaway(session);
        return;
    }
    count_control_frame(session);
    instant now = steady(session->core), last = session->last_ping;
    duration interval = session->core->options.client_ping_interval_min;
    session->last_ping = now;
    if (session->is_ping_free) { /* an answer went out since the last one, which a client may measure its speed with */
        session->is_ping_free = false;
        session->ping_strikes = 0;
    } else if (interval.ns > 0 && instant_is_set(last) && instant_since(now, last).ns < interval.ns
               && ++session->ping_strikes > PING_STRIKES_MAX) {
        reach("server_session: too many pings");
        expel(session, "too_many_pings");
    }
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    (void)h2;
    struct server_session *session = arg;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        struct grpc_call *call = call_of(session, frame->hd.stream_id);
        if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            count_control_frame(session);
        if (call == NULL) return 0;
        bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
        if (is_end) call->is_remote_closed = true;
        if (call->state == CALL_RECEIVING && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            headers_complete(call);
        if (call->state == CALL_RECEIVING && is_end) request_complete(call);
        else if (call->state == CALL_HANDED && call->is_request_stream && is_end) session->core->handler->on_messages_end(session->core->handler_arg, call);
        return 0;
    }
    case NGHTTP2_PING: on_ping(session, &frame->ping); return 0;
    case NGHTTP2_SETTINGS:
        session->has_settings = true;
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) count_control_frame(session);
        return 0;
    default: return 0;
    }
}

/* The answer is out. A client that is still sending its request is told to stop, as RFC 9113, 8.1 allows. */
static int on_frame_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct server_session *session = arg;
    /* A ping overtakes a GOAWAY that waits to be written, and its answer must mean that the peer has read that one. */
    if (frame->hd.type == NGHTTP2_GOAWAY && session->is_draining && !session->is_last_goaway_sent)
        return nghttp2_submit_ping(h2, NGHTTP2_FLAG_NONE, drain_ping) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    session->is_ping_free = true;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    struct grpc_call *call = call_of(session, frame->hd.stream_id);
    if (call != NULL && !call->is_remote_closed)
        nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static void cancel(struct grpc_call *call)
{
    struct server_core *core = call->session->core;
    if (call->state != CALL_HANDED) return;
    core->stats.cancelled_total++;
    if (core->handler->on_cancel != NULL) core->handler->on_cancel(core->handler_arg, call);
}

static int on_stream_close(nghttp2_session *h2, int32_t stream_id, uint32_t error_code, void *arg)
{
    (void)error_code, (void)h2;
    struct server_session *session = arg;
    struct grpc_call *call = call_of(session, stream_id);
    if (call == NULL) return 0;
    if (session->current == call) session->current = NULL;
    cancel(call);
    call_free(call);
    if (session->is_last_goaway_sent && session->call_count == 0) session->is_closing = true;
    return 0;
}

/* A frame of an answer, written straight into the connection's buffer. */
static int on_send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *frame_header, size_t size,
                        nghttp2_data_source *source, void *arg)
{
    (void)h2;
    enum { FRAME_HEADER_SIZE = 9 };
    struct server_session *session = arg;
    struct grpc_call *call = source->ptr;
    if (session->out->size >= session->out_max) return NGHTTP2_ERR_WOULDBLOCK; /* asked again by the next send */
    size_t padding = frame->data.padlen, left = size;
    buf_reserve(session->out, FRAME_HEADER_SIZE + size + padding);
    buf_append(session->out, frame_header, FRAME_HEADER_SIZE);
    if (padding > 0) buf_append_byte(session->out, (uint8_t)(padding - 1));
    size_t from_prefix = size_min(left, GRPC_PREFIX_SIZE - (size_t)call->prefix_count);
    buf_append(session->out, call->prefix + call->prefix_count, from_prefix);
    call->prefix_count = (uint8_t)(call->prefix_count + from_prefix);
    left -= from_prefix;
    session->is_ping_free = true;
    if (left > 0) buf_append(session->out, call->reply.data + call->reply_at, left);
    call->reply_at += left;
    session_release(session, &session->reply_bytes, left);
    for (size_t i = 1; i < padding; i++) buf_append_byte(session->out, 0);
    call->since = steady(session->core);
    if (call->state == CALL_ANSWERED) call_move(call, CALL_ANSWERED); /* the one that waits longest stays first */
    return 0;
}

/* ---- life */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *c;
    ensure(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
    return c;
}

static nghttp2_option *make_option(void)
{
    nghttp2_option *o;
    ensure(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_stream_reset_rate_limit(o, RESET_BURST, RESET_RATE);
    nghttp2_option_set_max_outbound_ack(o, ACKS_QUEUED_MAX);
    nghttp2_option_set_max_settings(o, SETTINGS_PER_FRAME_MAX);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
    nghttp2_option_set_max_send_header_block_length(o, REPLY_HEADER_BLOCK_MAX);
    return o;
}

static void default_size(size_t *field, size_t value) { if (*field == 0) *field = value; }
static void default_duration(duration *field, duration value) { if (field->ns == 0) *field = value; }

void server_core_init(struct server_core *core, const struct grpc_server_options *options, const struct grpc_handler *handler,
                      void *handler_arg)
{
    *core = (struct server_core){.options = *options, .handler = handler, .handler_arg = handler_arg};
    struct grpc_server_options *o = &core->options;
    default_size(&o->message_size_max, 4 << 20);
    default_size(&o->header_size_max, 64 << 10);
    default_size(&o->request_bytes_max, 256 << 20);
    default_size(&o->reply_bytes_max, 256 << 20);
    default_size(&o->held_bytes_max, 1 << 30);
    if (o->stream_count_max == 0) o->stream_count_max = 100000;
    default_duration(&o->handshake_timeout, duration_s(10));
    default_duration(&o->request_timeout, duration_s(60));
    default_duration(&o->stall_timeout, duration_s(20));
    default_duration(&o->keepalive_interval, duration_s(60));
    default_duration(&o->keepalive_timeout, duration_s(10));
    default_duration(&o->client_ping_interval_min, duration_s(10));
    default_duration(&o->idle_max, duration_s(120));
    default_duration(&o->age_max, duration_s(300));
    default_duration(&o->age_grace, duration_s(70));
    core->callbacks = make_callbacks();
    core->option = make_option();
    prng_init(&core->prng, o->seed);
}

void server_core_fini(struct server_core *core)
{
    for (struct grpc_call *call; (call = core->free_calls) != NULL;) {
        core->free_calls = call->user;
        free(call);
    }
    for (struct call_arena *arena; (arena = core->free_arenas) != NULL;) {
        core->free_arenas = arena->next;
        arena_fini(&arena->arena);
        free(arena);
    }
    nghttp2_session_callbacks_del(core->callbacks);
    nghttp2_option_del(core->option);
}

/* A tenth more or less, so that the connections of one start do not all end together. */
static instant jittered_age_limit(struct server_core *core, instant now)
{
    int64_t age = core->options.age_max.ns;
    if (age < 0) return INSTANT_NEVER;
    uint64_t spread = (uint64_t)age / 5;
    return instant_add(now, (duration){age - age / 10 + (int64_t)(spread != 0 ? prng_below(&core->prng, spread) : 0)});
}

struct server_session *server_session_create(struct server_core *core, uint64_t id, const char *peer, void *owner)
{
    struct server_session *session = xcalloc(1, sizeof *session);
    instant now = steady(core);
    session->core = core;
    session->owner = owner;
    session->id = id;
    session->opened_at = session->last_received = session->idle_since = session->rate_since = now;
    session->age_limit = jittered_age_limit(core, now);
    session->timer.fire = on_tick;
    snprintf(session->peer, sizeof session->peer, "%s", peer);
    list_init(&session->receiving);
    list_init(&session->handed);
    list_init(&session->answered);
    ensure(nghttp2_session_server_new2(&session->h2, core->callbacks, session, core->option) == 0);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, core->options.stream_count_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)size_min(core->options.header_size_max, UINT32_MAX)},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    ensure(nghttp2_submit_settings(session->h2, NGHTTP2_FLAG_NONE, settings, countof(settings)) == 0);
    ensure(nghttp2_session_set_local_window_size(session->h2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0);
    timer_start(core->timers, &session->timer,
                core->options.handshake_timeout.ns >= 0 ? instant_add(now, core->options.handshake_timeout) : now);
    session_pending(session);
    return session;
}

/* Deleting the nghttp2 session closes no stream, so the calls are found in our own lists. */
void server_session_destroy(struct server_session *session)
{
    struct server_core *core = session->core;
    timer_stop(&session->timer);
    for (struct list *link; (link = list_first(&session->handed)) != NULL;) {
        struct grpc_call *call = container_of(link, struct grpc_call, link);
        cancel(call);
        call_free(call);
    }
    struct list *rest[] = {&session->receiving, &session->answered};
    for (size_t i = 0; i < countof(rest); i++)
        for (struct list *link; (link = list_first(rest[i])) != NULL;) call_free(container_of(link, struct grpc_call, link));
    ensure(session->call_count == 0 && session->request_bytes == 0 && session->reply_bytes == 0);
    nghttp2_session_del(session->h2);
    if (session->had_call && core->handler->on_connection_closed != NULL)
        core->handler->on_connection_closed(core->handler_arg, session->id);
    free(session);
}

void server_session_receive(struct server_session *session, const void *data, size_t size)
{
    if (session->is_cut || session->is_closing) return;
    bool had_settings = session->has_settings;
    session->last_received = steady(session->core);
    session->is_ping_sent = false;
    session->core->stats.received_bytes_total += size;
    ssize_t result = nghttp2_session_mem_recv(session->h2, data, size);
    if (result < 0) {
        reach("server_session: bytes that are not HTTP/2");
        server_session_cut(session, nghttp2_strerror((int)result));
        return;
    }
    if (session->has_settings && !had_settings) timer_start(session->core->timers, &session->timer, session->last_received);
    session_pending(session);
}

void server_session_send(struct server_session *session, struct buf *out, size_t size_max)
{
    if (session->is_cut) return;
    size_t before = out->size;
    session->out = out;
    session->out_max = size_max;
    while (out->size < size_max) {
        const uint8_t *data;
        ssize_t size = nghttp2_session_mem_send(session->h2, &data);
        if (size < 0) {
            session->is_cut = true;
            break;
        }
        if (size == 0) break;
        buf_append(out, data, (size_t)size);
    }
    session->out = NULL;
    session->core->stats.sent_bytes_total += out->size - before;
    if (out->size < size_max && !nghttp2_session_want_read(session->h2) && !nghttp2_session_want_write(session->h2))
        session->is_closing = true;
}

bool server_session_wants_send(struct server_session *session)
{
    return !session->is_cut && nghttp2_session_want_write(session->h2);
}
