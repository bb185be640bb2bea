/* One server session under a hand-made peer and a hand-moved clock: every frame is written and read here. */
#include "net/server_session.h"

#include "base/test.h"

#include <stdlib.h>

enum { DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW = 8, CONTINUATION = 9 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct peer {
    struct server_core core;
    struct timer_set timers;
    instant now;
    struct server_session *session;
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    struct buf out, transcript;
    struct grpc_call *held; /* the last call of /held */
    int call_count, cancel_count, deadline_count, closed_count;
};

/* ---- the handler */

static void on_call(void *arg, struct grpc_call *call)
{
    struct peer *p = arg;
    struct str body = grpc_call_body(call);
    p->call_count++;
    if (str_equal(grpc_call_path(call), STR("/held"))) p->held = call;
    else grpc_call_reply(call, body.data, body.size);
}

static void on_cancel(void *arg, struct grpc_call *call)
{
    struct peer *p = arg;
    p->cancel_count++;
    if (p->held == call) p->held = NULL;
}

static void on_deadline(void *arg, struct grpc_call *call)
{
    (void)call;
    ((struct peer *)arg)->deadline_count++;
}

static void on_connection_closed(void *arg, uint64_t id)
{
    (void)id;
    ((struct peer *)arg)->closed_count++;
}

static const struct grpc_handler handler = {on_call, on_cancel, on_deadline, on_connection_closed, NULL};

static instant clock_of(void *peer) { return ((struct peer *)peer)->now; }
static void on_pending(struct server_session *session) { (void)session; }

/* ---- reading what the session says */

static uint32_t u32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static void read_headers(struct peer *p, const uint8_t *data, size_t size)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, data, size, 1);
        ensure(used >= 0);
        data += used;
        size -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            buf_printf(&p->transcript, " %.*s=%.*s", (int)nv.namelen, nv.name, (int)nv.valuelen, nv.value);
        if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
    }
    nghttp2_hd_inflate_end_headers(p->inflater);
}

static void read_frame(struct peer *p, int type, int flags, uint32_t stream, const uint8_t *data, size_t size)
{
    static const char *const names[] = {"data", "headers", "priority", "reset", "settings", "push", "ping", "goaway", "window", "continuation"};
    if (type == SETTINGS || type == WINDOW) return; /* of the beginning; not what these tests are about */
    buf_printf(&p->transcript, "%s%s", p->transcript.size != 0 ? "\n" : "", names[type]);
    if (stream != 0) buf_printf(&p->transcript, " %" PRIu32, stream);
    if (type == HEADERS) read_headers(p, data, size);
    if (type == DATA) buf_printf(&p->transcript, " %zu", size);
    if (type == RST) buf_printf(&p->transcript, " error %" PRIu32, u32(data));
    if (type == PING) buf_printf(&p->transcript, flags & ACK ? " ack" : "");
    if (type == GOAWAY) buf_printf(&p->transcript, " last %" PRIu32 " error %" PRIu32 " %.*s", u32(data), u32(data + 4), (int)size - 8, (const char *)data + 8);
    if ((type == HEADERS || type == DATA) && flags & END_STREAM) buf_printf(&p->transcript, " end");
}

/* Everything said since the last time, a line a frame. */
static struct str said(struct peer *p)
{
    buf_clear(&p->out);
    buf_clear(&p->transcript);
    for (size_t before = 1; before != p->out.size && !p->session->is_cut;) {
        before = p->out.size;
        server_session_send(p->session, &p->out, p->out.size + 65536);
    }
    const uint8_t *at = (const uint8_t *)p->out.data;
    for (size_t left = p->out.size; left > 0;) {
        size_t size = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        read_frame(p, at[3], at[4], u32(at + 5) & 0x7fffffff, at + 9, size);
        at += 9 + size;
        left -= 9 + size;
    }
    return buf_view(&p->transcript);
}

static bool has_said(struct peer *p, const char *words)
{
    struct str all = said(p);
    bool ok = memmem(all.data, all.size, words, strlen(words)) != NULL;
    if (!ok) fprintf(stderr, "said: %.*s\n", STR_ARG(all));
    return ok;
}

/* ---- speaking */

static void send_frame(struct peer *p, int type, int flags, uint32_t stream, struct str payload)
{
    struct buf frame = {0};
    uint8_t head[9] = {(uint8_t)(payload.size >> 16), (uint8_t)(payload.size >> 8), (uint8_t)payload.size, (uint8_t)type, (uint8_t)flags,
                       (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    buf_append(&frame, head, sizeof head);
    buf_append_str(&frame, payload);
    server_session_receive(p->session, frame.data, frame.size);
    buf_fini(&frame);
}

/* "name=value name=value", added to the usual headers; a name that comes twice replaces. */
static void send_headers(struct peer *p, uint32_t stream, int flags, const char *more)
{
    nghttp2_nv list[32];
    size_t n = 0;
    char text[512], *save = NULL;
    snprintf(text, sizeof text, ":method=POST :scheme=http :path=/echo :authority=test content-type=application/grpc te=trailers %s", more);
    for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(word, '=');
        size_t i = 0;
        while (i < n && (list[i].namelen != (size_t)(equals - word) || memcmp(list[i].name, word, list[i].namelen) != 0)) i++;
        list[i] = (nghttp2_nv){(uint8_t *)word, (uint8_t *)equals + 1, (size_t)(equals - word), strlen(equals + 1), 0};
        if (i == n) n++;
    }
    uint8_t block[2048];
    ssize_t size = nghttp2_hd_deflate_hd(p->deflater, block, sizeof block, list, n);
    ensure(size > 0);
    send_frame(p, HEADERS, END_HEADERS | flags, stream, str_make(block, (size_t)size));
}

static void send_message(struct peer *p, uint32_t stream, int flags, struct str message)
{
    struct buf body = {0};
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_write(prefix, false, (uint32_t)message.size);
    buf_append(&body, prefix, sizeof prefix);
    buf_append_str(&body, message);
    send_frame(p, DATA, flags, stream, buf_view(&body));
    buf_fini(&body);
}

static void send_request(struct peer *p, uint32_t stream, const char *more)
{
    send_headers(p, stream, 0, more);
    send_message(p, stream, END_STREAM, STR("hi"));
}

static void pass(struct peer *p, duration time)
{
    instant end = instant_add(p->now, time);
    for (instant next; next = timer_set_next(&p->timers), !instant_before(end, next);) {
        p->now = instant_max(p->now, next);
        timer_set_run(&p->timers, p->now);
    }
    p->now = end;
}

static struct peer *peer_create(struct grpc_server_options options)
{
    struct peer *p = xcalloc(1, sizeof *p);
    p->now = (instant){1000 * NS_PER_S};
    server_core_init(&p->core, &options, &handler, p);
    p->core.timers = &p->timers;
    p->core.clock = p;
    p->core.wall = p->core.steady = clock_of;
    p->core.on_pending = on_pending;
    p->session = server_session_create(&p->core, 1, "test", NULL);
    ensure(nghttp2_hd_deflate_new(&p->deflater, 4096) == 0 && nghttp2_hd_inflate_new(&p->inflater) == 0);
    return p;
}

static struct peer *peer_connect(struct grpc_server_options options)
{
    struct peer *p = peer_create(options);
    server_session_receive(p->session, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    send_frame(p, SETTINGS, 0, 0, STR_EMPTY);
    (void)said(p);
    return p;
}

static void peer_destroy(struct peer *p)
{
    int cancel_count = p->cancel_count;
    list_each(link, &p->session->handed) cancel_count++;
    bool had_call = p->session->had_call;
    server_session_destroy(p->session);
    check_int(p->cancel_count, cancel_count); /* a call that waits at the end is cancelled */
    check_int(p->closed_count, had_call);
    server_core_fini(&p->core);
    check_int(p->core.stats.call_count, 0);
    timer_set_fini(&p->timers);
    nghttp2_hd_deflate_del(p->deflater);
    nghttp2_hd_inflate_del(p->inflater);
    buf_fini(&p->out);
    buf_fini(&p->transcript);
    free(p);
}

static const struct grpc_server_options defaults = {.seed = 1};
static const struct grpc_server_options patient = {.seed = 1, .keepalive_interval.ns = -1, .idle_max.ns = -1, .age_max.ns = -1};

/* ---- what is answered */

TEST(an_answer_is_headers_data_and_trailers)
{
    struct peer *p = peer_connect(defaults);
    send_request(p, 1, "");
    check_str(said(p), "headers 1 :status=200 content-type=application/grpc\ndata 1 7\nheaders 1 grpc-status=0 end");
    check_int(p->session->call_count, 0);
    peer_destroy(p);
}

TEST(requests_that_are_not_grpc_get_an_answer_too)
{
    static const struct { const char *name, *headers, *answer; } rows[] = {
        {"GET", ":method=GET", "headers 1 :status=405 end"},
        {"another content type", "content-type=application/json", "headers 1 :status=415 end"},
        {"a longer content type", "content-type=application/grpcish", "headers 1 :status=415 end"},
        {"a subtype", "content-type=application/grpc+proto", "grpc-status=0 end"},
        {"a bad timeout", "grpc-timeout=soon", "grpc-status=13"},
        {"an unknown encoding", "grpc-encoding=br", "grpc-accept-encoding=gzip grpc-status=12"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].name;
        struct peer *p = peer_connect(defaults);
        send_request(p, 1, rows[i].headers);
        check(has_said(p, rows[i].answer));
        peer_destroy(p);
    }
}

TEST(broken_messages_are_refused)
{
    static const struct { const char *name; struct str bytes; const char *answer; } rows[] = {
        {"nothing", {"", 0}, "grpc-status=13"},
        {"half a prefix", {"\0\0", 2}, "grpc-status=13"},
        {"half a message", {"\0\0\0\0\5abc", 8}, "grpc-status=13"},
        {"two messages", {"\0\0\0\0\1a\0\0\0\0\1b", 12}, "grpc-status=13"},
        {"an unknown flag", {"\2\0\0\0\1a", 6}, "grpc-status=13"},
        {"compressed, but nobody said how", {"\1\0\0\0\1a", 6}, "grpc-status=13"},
        {"a huge size", {"\0\377\377\377\377a", 6}, "grpc-status=8"},
        {"an empty message", {"\0\0\0\0\0", 5}, "grpc-status=0"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].name;
        struct peer *p = peer_connect(defaults);
        send_headers(p, 1, 0, "");
        send_frame(p, DATA, END_STREAM, 1, rows[i].bytes);
        check(has_said(p, rows[i].answer));
        check_int(p->session->call_count, 0);
        peer_destroy(p);
    }
}

TEST(a_refused_upload_is_told_to_stop)
{
    struct peer *p = peer_connect(defaults);
    send_headers(p, 1, 0, "content-type=text/plain");
    check_str(said(p), "headers 1 :status=415 end\nreset 1 error 0");
    send_frame(p, DATA, END_STREAM, 1, STR("late"));
    check_str(said(p), "");
    send_request(p, 3, "");
    check(has_said(p, "grpc-status=0"));
    peer_destroy(p);
}

TEST(bytes_may_come_one_at_a_time)
{
    struct peer *p = peer_connect(defaults);
    send_headers(p, 1, 0, "");
    static const char message[] = "\0\0\0\0\3abc";
    for (int i = 0; i < 8; i++) send_frame(p, DATA, i == 7 ? END_STREAM : 0, 1, str_make(message + i, 1));
    check(has_said(p, "data 1 8"));
    peer_destroy(p);
}

/* ---- time */

TEST(a_deadline_is_kept_to_the_nanosecond)
{
    struct peer *p = peer_connect(defaults);
    send_request(p, 1, ":path=/held grpc-timeout=500m");
    check(p->held != NULL);
    pass(p, (duration){500 * NS_PER_MS - 1});
    check_str(said(p), "");
    pass(p, (duration){1});
    check(has_said(p, "grpc-status=4"));
    check_int(p->deadline_count, 1);
    check_int(p->cancel_count, 0);
    peer_destroy(p);
}

TEST(a_reset_cancels_the_call)
{
    struct peer *p = peer_connect(defaults);
    send_request(p, 1, ":path=/held grpc-timeout=500m");
    send_frame(p, RST, 0, 1, STR("\0\0\0\10"));
    check_int(p->cancel_count, 1);
    pass(p, duration_s(5));
    check_int(p->deadline_count, 0);
    check_str(said(p), "");
    peer_destroy(p);
}

TEST(who_never_says_settings_is_cut)
{
    struct peer *p = peer_create(defaults);
    server_session_receive(p->session, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    pass(p, (duration){10 * NS_PER_S - 1});
    check(!p->session->is_cut);
    pass(p, (duration){1});
    check(p->session->is_cut);
    peer_destroy(p);
}

TEST(a_silent_peer_is_pinged_then_cut)
{
    struct peer *p = peer_connect(defaults);
    send_request(p, 1, ":path=/held");
    pass(p, (duration){60 * NS_PER_S - 1});
    check_str(said(p), "");
    pass(p, (duration){1});
    check_str(said(p), "ping");
    send_frame(p, PING, ACK, 0, STR("\0\0\0\0\0\0\0\0"));
    pass(p, duration_s(60));
    check_str(said(p), "ping");
    pass(p, duration_s(9));
    check(!p->session->is_cut);
    pass(p, duration_s(1));
    check(p->session->is_cut);
    peer_destroy(p);
}

TEST(pings_that_come_too_fast_end_the_connection)
{
    struct peer *p = peer_connect(defaults);
    send_request(p, 1, ":path=/held");
    for (int i = 0; i < 5; i++) { /* every 10 s is allowed */
        send_frame(p, PING, 0, 0, STR("12345678"));
        check_str(said(p), "ping ack");
        pass(p, duration_s(10));
    }
    send_frame(p, PING, 0, 0, STR("12345678"));
    for (int i = 0; i < 2; i++) { /* two strikes are forgiven */
        pass(p, duration_s(1));
        send_frame(p, PING, 0, 0, STR("12345678"));
    }
    check(!p->session->is_closing);
    send_frame(p, PING, 0, 0, STR("12345678"));
    check(has_said(p, "goaway last 1 error 11 too_many_pings"));
    check(p->session->is_closing);
    peer_destroy(p);
}

TEST(pings_between_answers_are_free)
{
    struct peer *p = peer_connect(defaults);
    for (uint32_t i = 0; i < 20; i++) { /* as clients do that measure their bandwidth */
        send_request(p, 1 + 2 * i, "");
        (void)said(p);
        send_frame(p, PING, 0, 0, STR("12345678"));
    }
    check(!p->session->is_closing);
    peer_destroy(p);
}

TEST(an_idle_connection_is_sent_away)
{
    struct peer *p = peer_connect((struct grpc_server_options){.seed = 1, .keepalive_interval.ns = -1});
    pass(p, (duration){120 * NS_PER_S - 1});
    check_str(said(p), "");
    pass(p, (duration){1});
    check(has_said(p, "goaway last 2147483647 error 0 \nping"));
    send_frame(p, PING, ACK, 0, STR("lastcall"));
    check_str(said(p), "goaway last 0 error 0 ");
    check(p->session->is_closing);
    peer_destroy(p);
}

TEST(an_old_connection_lets_its_calls_finish)
{
    struct peer *p = peer_connect((struct grpc_server_options){.seed = 1, .keepalive_interval.ns = -1, .age_max = duration_s(100)});
    send_request(p, 1, ":path=/held");
    pass(p, duration_s(89));
    check_str(said(p), "");
    pass(p, duration_s(21));
    check(has_said(p, "goaway last 2147483647 error 0"));
    send_request(p, 3, ""); /* it was on its way */
    check(has_said(p, "headers 3"));
    send_frame(p, PING, ACK, 0, STR("lastcall"));
    check_str(said(p), "goaway last 3 error 0 ");
    check(!p->session->is_closing);
    send_request(p, 5, ""); /* too late: not looked at */
    check_str(said(p), "");
    grpc_call_reply(p->held, "x", 1);
    check(has_said(p, "grpc-status=0 end"));
    check(p->session->is_closing);
    peer_destroy(p);
}

TEST(an_old_connection_is_cut_after_its_grace)
{
    struct peer *p = peer_connect((struct grpc_server_options){.seed = 1, .keepalive_interval.ns = -1, .age_max = duration_s(100), .age_grace = duration_s(5)});
    send_request(p, 1, ":path=/held");
    pass(p, duration_s(115));
    check(p->session->is_cut);
    peer_destroy(p);
}

TEST(a_request_that_never_ends_is_given_up)
{
    struct peer *p = peer_connect(patient);
    send_headers(p, 1, 0, "");
    for (int i = 0; i < 50; i++) {
        send_frame(p, DATA, 0, 1, i == 0 ? STR("\0\0\0\1\0") : STR("t"));
        pass(p, duration_s(1));
    }
    check_str(said(p), "");
    pass(p, duration_s(15));
    check(has_said(p, "grpc-status=4"));
    check_int(p->call_count, 0);
    peer_destroy(p);
}

TEST(an_answer_that_is_not_taken_is_given_up)
{
    struct peer *p = peer_connect(patient);
    send_frame(p, SETTINGS, 0, 0, STR("\0\4\0\0\0\0")); /* no window for any stream */
    send_request(p, 1, "");
    check(has_said(p, "headers 1 :status=200"));
    check_int(p->session->call_count, 1);
    pass(p, duration_s(31));
    check_str(said(p), "reset 1 error 8");
    check_int(p->session->call_count, 0);
    check_int(p->session->reply_bytes, 0);
    peer_destroy(p);
}

/* ---- floods: each ends the connection, none grows it */

static void flood(struct peer *p, const char *name, void (*send)(struct peer *p, uint32_t i))
{
    test_row = name;
    uint32_t i = 0;
    while (!p->session->is_cut && !p->session->is_closing && i < 200000) {
        send(p, i++);
        if (i % 100 == 0) (void)said(p);
    }
    (void)said(p);
    check(p->session->is_cut || p->session->is_closing);
    check(p->session->call_count <= 20000);
    peer_destroy(p);
    test_row = NULL;
}

static void send_settings(struct peer *p, uint32_t i) { (void)i, send_frame(p, SETTINGS, 0, 0, STR_EMPTY); }
static void send_ping(struct peer *p, uint32_t i) { (void)i, send_frame(p, PING, 0, 0, STR("12345678")); }
static void send_reset(struct peer *p, uint32_t i)
{
    send_headers(p, 2 * i + 1, 0, "");
    send_frame(p, RST, 0, 2 * i + 1, STR("\0\0\0\10"));
}
static void send_continuation(struct peer *p, uint32_t i)
{
    if (i == 0) send_frame(p, HEADERS, 0, 1, STR("\x82"));
    else send_frame(p, CONTINUATION, 0, 1, STR_EMPTY);
}
static void send_empty_data(struct peer *p, uint32_t i)
{
    if (i == 0) send_headers(p, 1, 0, "");
    else send_frame(p, DATA, 0, 1, STR_EMPTY);
}
static void send_garbage(struct peer *p, uint32_t i) { (void)i, server_session_receive(p->session, "\xff\xff\xff\xff garbage", 12); }
static void send_half_closed(struct peer *p, uint32_t i) { send_frame(p, DATA, 0, 2 * i + 1, STR("for a stream that is not there")); }

TEST(floods_end_the_connection)
{
    flood(peer_connect(patient), "settings", send_settings);
    flood(peer_connect(patient), "pings", send_ping);
    flood(peer_connect(patient), "rapid resets", send_reset);
    flood(peer_connect(patient), "continuations", send_continuation);
    flood(peer_connect(patient), "empty data", send_empty_data);
    flood(peer_connect(patient), "garbage", send_garbage);
    flood(peer_connect(patient), "data for no stream", send_half_closed);
}

TEST(a_large_header_block_is_refused_but_not_fatal)
{
    struct peer *p = peer_connect((struct grpc_server_options){.seed = 1, .header_size_max = 400});
    char headers[400];
    snprintf(headers, sizeof headers, "x-large=%0300d", 1);
    send_request(p, 1, headers);
    check(has_said(p, "grpc-status=8"));
    send_request(p, 3, "");
    check(has_said(p, "grpc-status=0"));
    peer_destroy(p);
}

TEST(requests_beyond_the_stream_limit_are_turned_away)
{
    struct peer *p = peer_connect((struct grpc_server_options){.seed = 1, .stream_count_max = 3});
    for (uint32_t i = 0; i < 4; i++) send_request(p, 2 * i + 1, ":path=/held");
    check_int(p->call_count, 3);
    check_str(said(p), "reset 7 error 7");
    peer_destroy(p);
}

TEST(request_bytes_of_a_connection_are_bounded)
{
    struct peer *p = peer_connect((struct grpc_server_options){.seed = 1, .request_bytes_max = 30000});
    static char filler[10000];
    for (uint32_t i = 0; i < 4; i++) {
        send_headers(p, 2 * i + 1, 0, ":path=/held");
        send_message(p, 2 * i + 1, END_STREAM, str_make(filler, sizeof filler));
    }
    check_int(p->call_count, 2); /* headers count, too */
    check(has_said(p, "headers 5 :status=200 content-type=application/grpc grpc-status=8"));
    grpc_call_forget_request(p->held);
    send_headers(p, 9, 0, ":path=/held");
    send_message(p, 9, END_STREAM, str_make(filler, sizeof filler));
    check_int(p->call_count, 3);
    peer_destroy(p);
}

TEST(bytes_of_all_connections_together_are_bounded)
{
    struct peer *p = peer_connect((struct grpc_server_options){.seed = 1, .held_bytes_max = 12000});
    struct server_session *other = server_session_create(&p->core, 2, "other", NULL), *first = p->session;
    static char filler[10000];
    send_headers(p, 1, 0, ":path=/held");
    send_message(p, 1, END_STREAM, str_make(filler, sizeof filler));
    check_int(p->call_count, 1);
    p->session = other; /* header compression has a state a connection: this one begins anew */
    nghttp2_hd_deflate_del(p->deflater);
    ensure(nghttp2_hd_deflate_new(&p->deflater, 4096) == 0);
    server_session_receive(other, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    send_frame(p, SETTINGS, 0, 0, STR_EMPTY);
    send_headers(p, 1, 0, ":path=/held");
    send_message(p, 1, END_STREAM, str_make(filler, sizeof filler));
    check_int(p->call_count, 1);
    server_session_destroy(first);
    p->held = NULL;
    send_headers(p, 3, 0, ":path=/held");
    send_message(p, 3, END_STREAM, str_make(filler, sizeof filler));
    check_int(p->call_count, 2);
    p->closed_count = p->cancel_count = 0;
    peer_destroy(p);
}

TEST(failure_messages_stay_whole_characters)
{
    static const struct { const char *name; struct str message; const char *sent; } rows[] = {
        {"plain", {"no", 2}, "grpc-message=no"},
        {"not UTF-8", {"a\xff\xc3z", 4}, "grpc-message=a%EF%BF%BD%EF%BF%BDz"},
        {"cut short", {"\xe2\x82", 2}, "grpc-message=%EF%BF%BD%EF%BF%BD"},
        {"fine", {"\xe2\x82\xac", 3}, "grpc-message=%E2%82%AC end"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].name;
        struct peer *p = peer_connect(defaults);
        send_request(p, 1, ":path=/held");
        grpc_call_fail(p->held, GRPC_INTERNAL, rows[i].message, STR_EMPTY);
        check(has_said(p, rows[i].sent));
        peer_destroy(p);
    }
    test_row = "a long one";
    struct peer *p = peer_connect(defaults);
    send_request(p, 1, ":path=/held");
    struct buf euros = {0};
    for (int i = 0; i < 5000; i++) buf_append_str(&euros, STR("\xe2\x82\xac"));
    grpc_call_fail(p->held, GRPC_INTERNAL, buf_view(&euros), STR_EMPTY);
    struct str all = said(p);
    check(all.size > 8000 && all.size < 9000);
    check(str_equal(str_make(all.data + all.size - 13, 13), STR("%E2%82%AC end")));
    buf_fini(&euros);
    peer_destroy(p);
}

TEST(pings_while_an_answer_flows_are_free)
{
    struct peer *p = peer_connect(defaults);
    static char filler[400000];
    send_frame(p, SETTINGS, 0, 0, STR("\0\4\0\0\4\0")); /* 1 KiB a stream at first */
    send_request(p, 1, ":path=/held");
    grpc_call_reply(p->held, filler, sizeof filler);
    for (int i = 0; i < 20; i++) {
        check(has_said(p, "data 1"));
        send_frame(p, PING, 0, 0, STR("12345678"));
        send_frame(p, WINDOW, 0, 1, STR("\0\0\4\0"));
    }
    check(!p->session->is_closing);
    peer_destroy(p);
}

TEST_MAIN
