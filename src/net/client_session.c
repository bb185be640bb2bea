#include "net/client_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STREAM_WINDOW = 1 << 20, CONNECTION_WINDOW = 16 << 20, PEER_STREAMS_UNTIL_SETTINGS = 100,
    RESPONSE_HEADERS_MAX = 256 * 1024, /* bytes, of one call */
    MESSAGE_FIRST_BLOCK = 16 * 1024, SETTINGS_HEADER_LIST_MAX = 128 * 1024,
};

/* ---- results */

void client_call_set(struct grpc_client_call *call, enum grpc_code code, const char *format, ...)
{
    char text[512];
    va_list args;
    if (call->has_status) return;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ensure(size >= 0);
    call->has_status = true;
    call->code = code;
    call->code_text = arena_str(&call->arena, str_make(text, size_min((size_t)size, sizeof text - 1)));
}

void header_list_add(struct header_list *list, struct arena *arena, struct str name, struct str value)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity != 0 ? list->capacity * 2 : 4;
        struct grpc_header *headers = arena_array(arena, struct grpc_header, capacity);
        if (list->count != 0) memcpy(headers, list->headers, list->count * sizeof *headers);
        list->headers = headers;
        list->capacity = capacity;
    }
    list->headers[list->count++] = (struct grpc_header){arena_str(arena, name), arena_str(arena, value)};
}

/* A stream that was reset without a status. Source: the table of HTTP/2 error codes on the gRPC protocol page. */
static void set_by_http2_error(struct grpc_client_call *call, uint32_t error)
{
    switch (error) {
    case NGHTTP2_REFUSED_STREAM: client_call_set(call, GRPC_UNAVAILABLE, "the server refused the call"); return;
    case NGHTTP2_CANCEL: client_call_set(call, GRPC_CANCELLED, "the server cancelled the call"); return;
    case NGHTTP2_ENHANCE_YOUR_CALM: client_call_set(call, GRPC_RESOURCE_EXHAUSTED, "the server asks for fewer calls"); return;
    case NGHTTP2_INADEQUATE_SECURITY: client_call_set(call, GRPC_PERMISSION_DENIED, "the server asks for stronger encryption"); return;
    case NGHTTP2_NO_ERROR: client_call_set(call, GRPC_INTERNAL, "the answer ended without a status"); return;
    default: client_call_set(call, GRPC_INTERNAL, "the server reset the call: %s", nghttp2_http2_strerror(error)); return;
    }
}

static void set_by_http_status(struct grpc_client_call *call)
{
    if (call->http_status != 0 && call->http_status != 200)
        client_call_set(call, grpc_code_of_http(call->http_status), "the server answered with HTTP status %d", call->http_status);
    else if (call->is_content_type_bad)
        client_call_set(call, GRPC_UNKNOWN, "the answer is not gRPC");
}

/* ---- leaving a session */

static void leave(struct client_session *session, struct grpc_client_call *call)
{
    list_remove(&call->link);
    call->session = NULL;
    session->call_count--;
}

static void finish(struct client_session *session, struct grpc_client_call *call, uint32_t error)
{
    bool is_untouched = !call->has_headers && !call->has_status && (!call->was_sent || error == NGHTTP2_REFUSED_STREAM);
    leave(session, call);
    if (!is_untouched) {
        set_by_http_status(call);
        set_by_http2_error(call, error);
        if (call->code == GRPC_OK && call->on_message == NULL && !call->has_message) {
            call->has_status = false;
            client_call_set(call, GRPC_INTERNAL, "the answer has a status but no message");
        }
    }
    session->events->on_over(session, call, is_untouched);
}

/* The call of a stream, NULL: none. Frames and their headers come in runs for one stream. */
static struct grpc_client_call *call_of(struct client_session *session, int32_t stream_id)
{
    if (stream_id == session->recent_id && stream_id != 0) return session->recent;
    session->recent = nghttp2_session_get_stream_user_data(session->h2, stream_id);
    session->recent_id = session->recent != NULL ? stream_id : 0;
    return session->recent;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream_id, uint32_t error, void *arg)
{
    (void)h2;
    struct client_session *session = arg;
    struct grpc_client_call *call = call_of(session, stream_id);
    session->recent_id = 0;
    if (call != NULL) finish(session, call, error);
    return 0;
}

/* ---- the answer arrives */

static void read_status(struct grpc_client_call *call, struct str name, struct str value)
{
    if (str_equal(name, STR("grpc-status"))) {
        if (call->has_status) return;
        if (!grpc_code_parse(value, &call->code)) {
            client_call_set(call, GRPC_UNKNOWN, "the server's grpc-status is not a number");
            return;
        }
        call->has_status = true;
    } else if (str_equal(name, STR("grpc-message"))) {
        struct buf text = {0};
        percent_decode(value, &text);
        if (call->code_text.size == 0) call->code_text = arena_str(&call->arena, buf_view(&text));
        buf_fini(&text);
    } else if (str_equal(name, STR("grpc-status-details-bin"))) {
        struct buf bytes = {0};
        if (base64_decode(value, &bytes)) call->details = arena_str(&call->arena, buf_view(&bytes));
        buf_fini(&bytes);
    } else if (str_equal(name, STR("grpc-encoding"))) {
        call->is_compressed = str_equal(value, STR("gzip"));
    }
}

static void read_http_status(struct grpc_client_call *call, struct str value)
{
    call->http_status = 0;
    for (size_t i = 0; i < value.size && i < 3; i++) call->http_status = call->http_status * 10 + (value.data[i] - '0');
}

static void keep_header(struct grpc_client_call *call, struct header_list *list, struct str name, struct str value)
{
    if (!grpc_header_is_binary(name)) {
        header_list_add(list, &call->arena, name, value);
        return;
    }
    struct buf bytes = {0};
    if (base64_decode(value, &bytes)) header_list_add(list, &call->arena, name, buf_view(&bytes));
    buf_fini(&bytes);
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name_data, size_t name_size,
                     const uint8_t *value_data, size_t value_size, uint8_t flags, void *arg)
{
    (void)h2, (void)flags;
    struct str name = str_make(name_data, name_size), value = str_make(value_data, value_size);
    struct grpc_client_call *call = call_of(arg, frame->hd.stream_id);
    if (call == NULL) return 0;
    call->header_size += name_size + value_size + 32;
    if (call->header_size > RESPONSE_HEADERS_MAX) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
    if (str_equal(name, STR(":status"))) read_http_status(call, value);
    else if (str_starts_with(name, STR("grpc-"))) read_status(call, name, value);
    else if (str_equal(name, STR("content-type"))) call->is_content_type_bad = !grpc_content_type_is_valid(value);
    else if (!grpc_header_is_reserved(name)) keep_header(call, call->has_headers ? &call->trailers : &call->headers, name, value);
    return 0;
}

static void fail_stream(struct client_session *session, struct grpc_client_call *call)
{
    nghttp2_submit_rst_stream(session->h2, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
    session->events->on_pending(session);
}

static bool message_complete(struct client_session *session, struct grpc_client_call *call)
{
    if (call->prefix[0] == 1) {
        struct buf plain = {0};
        err e = gzip_decompress(buf_view(&call->message), session->message_size_max, &plain);
        buf_fini(&call->message);
        call->message = plain;
        if (e != ERR_NONE) {
            client_call_set(call, e == ERR_TOO_LARGE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL, "the compressed answer is %s",
                            e == ERR_TOO_LARGE ? "larger than allowed" : "not valid gzip");
            return false;
        }
    }
    call->has_message = true;
    if (call->on_message != NULL) {
        call->on_message(call->arg, buf_view(&call->message));
        buf_clear(&call->message);
        call->prefix_count = 0;
    }
    return true;
}

static bool message_begin(struct client_session *session, struct grpc_client_call *call)
{
    call->message_size = grpc_prefix_size(call->prefix);
    if (call->prefix[0] > 1 || (call->prefix[0] == 1 && !call->is_compressed))
        client_call_set(call, GRPC_INTERNAL, "the answer is compressed in a way that nobody asked for");
    else if (call->message_size > session->message_size_max)
        client_call_set(call, GRPC_RESOURCE_EXHAUSTED, "the answer has %" PRIu32 " bytes, more than the %zu allowed", call->message_size,
                        session->message_size_max);
    else
        return true;
    return false;
}

/* False: the answer breaks a rule and the result is set. */
static bool read_message(struct client_session *session, struct grpc_client_call *call, struct str data)
{
    while (data.size > 0) {
        if (call->prefix_count < GRPC_PREFIX_SIZE) {
            call->prefix[call->prefix_count++] = (uint8_t)data.data[0];
            data = str_skip(data, 1);
            if (call->prefix_count < GRPC_PREFIX_SIZE) continue;
            if (call->has_message && call->on_message == NULL) {
                client_call_set(call, GRPC_INTERNAL, "the answer has more than one message");
                return false;
            }
            if (!message_begin(session, call)) return false;
        } else if (call->has_message && call->on_message == NULL) {
            client_call_set(call, GRPC_INTERNAL, "the answer has more than one message");
            return false;
        }
        size_t first = size_min(call->message_size, MESSAGE_FIRST_BLOCK);
        if (call->message.size == 0 && call->message.capacity < first) buf_reserve(&call->message, first);
        size_t n = size_min(data.size, call->message_size - call->message.size);
        buf_append(&call->message, data.data, n);
        data = str_skip(data, n);
        if (call->message.size == call->message_size && !message_complete(session, call)) return false;
        if (call->is_over) return true; /* on_message cancelled it */
    }
    return true;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t size, void *arg)
{
    (void)h2, (void)flags;
    struct grpc_client_call *call = call_of(arg, stream_id);
    if (call == NULL || call->has_status) return 0;
    if (call->http_status != 200 || call->is_content_type_bad) return 0; /* a page of a proxy: its status says enough */
    if (!read_message(arg, call, str_make(data, size))) fail_stream(arg, call);
    return 0;
}

static void on_goaway(struct client_session *session, const nghttp2_goaway *frame)
{
    if (session->is_goaway) return;
    session->is_goaway = true;
    snprintf(session->why, sizeof session->why, "the server closes the connection%s%.*s", frame->opaque_data_len != 0 ? ": " : "",
             (int)size_min(frame->opaque_data_len, 100), (const char *)frame->opaque_data);
    session->events->on_goaway(session);
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    (void)h2;
    struct client_session *session = arg;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK) && !session->is_ready) {
        session->is_ready = true;
        session->events->on_ready(session);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        on_goaway(session, &frame->goaway);
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        struct grpc_client_call *call = call_of(session, frame->hd.stream_id);
        if (call != NULL && !call->has_headers && call->http_status >= 200) { /* 1xx are followed by the real ones */
            call->has_headers = true;
            if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) { /* the one block of a failure counts as trailers */
                call->trailers = call->headers;
                call->headers = (struct header_list){0};
            }
        }
    }
    return 0;
}

/* ---- the request leaves */

static int on_frame_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    (void)h2;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    struct grpc_client_call *call = call_of(arg, frame->hd.stream_id);
    if (call != NULL) call->was_sent = true;
    return 0;
}

static ssize_t on_read(nghttp2_session *h2, int32_t stream_id, uint8_t *to, size_t size, uint32_t *flags, nghttp2_data_source *source,
                       void *arg)
{
    (void)h2, (void)stream_id, (void)to, (void)arg;
    struct grpc_client_call *call = source->ptr;
    size_t left = call->body.size - call->body_at;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= size) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size_min(left, size);
}

static int on_send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *frame_header, size_t size,
                        nghttp2_data_source *source, void *arg)
{
    (void)h2, (void)frame; /* no padding is ever asked for */
    enum { FRAME_HEADER_SIZE = 9 };
    struct client_session *session = arg;
    struct grpc_client_call *call = source->ptr;
    if (session->out->size >= session->out_max) return NGHTTP2_ERR_WOULDBLOCK;
    buf_reserve(session->out, FRAME_HEADER_SIZE + size);
    buf_append(session->out, frame_header, FRAME_HEADER_SIZE);
    buf_append(session->out, call->body.data + call->body_at, size);
    call->body_at += size;
    return 0;
}

enum { REQUEST_HEADERS_MAX = 128 };

static nghttp2_nv nv(const char *name, struct str value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.data, strlen(name), value.size,
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

void client_session_submit(struct client_session *session, struct grpc_client_call *call, duration timeout)
{
    nghttp2_nv list[REQUEST_HEADERS_MAX];
    size_t n = 0;
    list[n++] = nv(":method", STR("POST"));
    list[n++] = nv(":scheme", session->scheme);
    list[n++] = nv(":path", call->path);
    list[n++] = nv(":authority", session->authority);
    list[n++] = nv("te", STR("trailers"));
    list[n++] = nv("content-type", STR("application/grpc"));
    list[n++] = nv("user-agent", session->user_agent);
    list[n++] = nv("grpc-accept-encoding", STR("gzip"));
    if (call->is_gzip) list[n++] = nv("grpc-encoding", STR("gzip"));
    char timeout_text[GRPC_TIMEOUT_SIZE];
    if (timeout.ns > 0) {
        list[n] = nv("grpc-timeout", grpc_timeout_format(timeout, timeout_text));
        list[n++].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX; /* the value is copied: its text is local */
    }
    for (size_t i = 0; i < call->metadata.count && n < countof(list); i++) {
        const struct grpc_header *h = &call->metadata.headers[i];
        list[n] = nv(h->name.data, h->value);
        list[n++].namelen = h->name.size;
    }
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = on_read};
    call->session = session;
    call->body_at = 0;
    list_push(&session->running, &call->link);
    session->call_count++;
    call->stream_id = nghttp2_submit_request(session->h2, NULL, list, n, &provider, call);
    if (call->stream_id < 0) { /* out of stream ids: 2^30 calls on one connection */
        session->is_goaway = true;
        leave(session, call);
        session->events->on_goaway(session);
        session->events->on_over(session, call, true);
        return;
    }
    session->events->on_pending(session);
}

void client_session_cancel(struct client_session *session, struct grpc_client_call *call)
{
    nghttp2_submit_rst_stream(session->h2, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
    session->events->on_pending(session);
}

/* ---- life */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *c;
    ensure(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
    return c;
}

struct client_session *client_session_create(const struct client_session_events *events, void *owner, struct str scheme,
                                             struct str authority, struct str user_agent, size_t message_size_max)
{
    struct client_session *session = xcalloc(1, sizeof *session);
    session->events = events;
    session->owner = owner;
    session->scheme = scheme;
    session->authority = authority;
    session->user_agent = user_agent;
    session->message_size_max = message_size_max;
    list_init(&session->running);
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option;
    ensure(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_peer_max_concurrent_streams(option, PEER_STREAMS_UNTIL_SETTINGS);
    nghttp2_option_set_no_closed_streams(option, 1);
    ensure(nghttp2_session_client_new2(&session->h2, callbacks, session, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, SETTINGS_HEADER_LIST_MAX},
    };
    ensure(nghttp2_submit_settings(session->h2, NGHTTP2_FLAG_NONE, settings, countof(settings)) == 0);
    ensure(nghttp2_session_set_local_window_size(session->h2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0);
    return session;
}

void client_session_destroy(struct client_session *session)
{
    /* nghttp2 does not report the streams it drops with a session; they are found here. What is given back may be
     * cancelled or restarted by the owner at once, on another session. */
    for (struct list *link; (link = list_first(&session->running)) != NULL;) {
        struct grpc_client_call *call = container_of(link, struct grpc_client_call, link);
        bool is_untouched = !call->was_sent && !call->has_status;
        leave(session, call);
        if (!is_untouched)
            client_call_set(call, GRPC_UNAVAILABLE, "the connection was lost%s%s", session->why[0] != '\0' ? ": " : "", session->why);
        session->events->on_over(session, call, is_untouched);
    }
    nghttp2_session_del(session->h2);
    free(session);
}

void client_session_receive(struct client_session *session, const void *data, size_t size)
{
    if (session->is_broken) return;
    session->has_received = true;
    ssize_t result = nghttp2_session_mem_recv(session->h2, data, size);
    if (result < 0) {
        snprintf(session->why, sizeof session->why, "the server does not speak HTTP/2 as it should: %s", nghttp2_strerror((int)result));
        session->is_broken = true;
    }
    session->events->on_pending(session);
}

void client_session_send(struct client_session *session, struct buf *out, size_t size_max)
{
    session->out = out;
    session->out_max = size_max;
    while (!session->is_broken && out->size < size_max) {
        const uint8_t *data;
        ssize_t size = nghttp2_session_mem_send(session->h2, &data);
        if (size < 0) {
            snprintf(session->why, sizeof session->why, "HTTP/2 failed: %s", nghttp2_strerror((int)size));
            session->is_broken = true;
        }
        if (size <= 0) break;
        buf_append(out, data, (size_t)size);
    }
    session->out = NULL;
}

bool client_session_is_finished(const struct client_session *session)
{
    return session->is_broken || (!nghttp2_session_want_read(session->h2) && !nghttp2_session_want_write(session->h2));
}

void client_session_ping(struct client_session *session)
{
    nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, NULL);
    session->events->on_pending(session);
}
