#include "net/server_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FREE_CALLS_MAX = 1024, FREE_ARENAS_MAX = 256, FREE_ARENA_SIZE_MAX = 16 * 1024, ARENA_BUDGET_FACTOR = 16,
    MESSAGE_SIZE_MAX = 8 * 1024, DETAILS_SIZE_MAX = 48 * 1024, /* of a failure: HPACK decoders refuse fields past 64 KiB */
    EXTRA_HEADERS_MAX = 32, EXTRA_BYTES_MAX = 16 * 1024,
    STREAMED_SHARE = 16, /* of reply_bytes_max, for one streamed answer */
};

/* ---- lists and memory */

void call_move(struct grpc_call *call, enum call_state state)
{
    struct server_session *session = call->session;
    list_remove(&call->link);
    call->state = (uint8_t)state;
    list_push(state == CALL_RECEIVING ? &session->receiving : state == CALL_HANDED ? &session->handed : &session->answered,
              &call->link);
}

static struct call_header *header_at(const struct grpc_call *call, size_t i)
{
    return (struct call_header *)(i < CALL_HEADERS_INLINE ? &call->inline_headers[i] : &call->more_headers[i - CALL_HEADERS_INLINE]);
}

static void drop_headers(struct grpc_call *call)
{
    for (size_t i = 0; i < call->header_count; i++) {
        nghttp2_rcbuf_decref(header_at(call, i)->name);
        nghttp2_rcbuf_decref(header_at(call, i)->value);
    }
    call->header_count = call->more_header_count = 0;
    free(call->more_headers);
    call->more_headers = NULL;
    if (call->authority != NULL) nghttp2_rcbuf_decref(call->authority);
    call->authority = NULL;
}

static void drop_arena(struct grpc_call *call)
{
    struct server_core *core = call->session->core;
    struct call_arena *arena = call->arena;
    if (arena == NULL) return;
    call->arena = NULL;
    arena_reset(&arena->arena);
    if (core->free_arena_count >= FREE_ARENAS_MAX || arena->arena.used > FREE_ARENA_SIZE_MAX) {
        arena_fini(&arena->arena);
        free(arena);
        return;
    }
    arena->next = core->free_arenas;
    core->free_arenas = arena;
    core->free_arena_count++;
}

void call_drop_request(struct grpc_call *call)
{
    session_release(call->session, &call->session->request_bytes, call->held_request_bytes);
    call->held_request_bytes = 0;
    buf_fini(&call->body);
    drop_headers(call);
    drop_arena(call);
}

void call_free(struct grpc_call *call)
{
    struct server_session *session = call->session;
    struct server_core *core = session->core;
    list_remove(&call->link);
    timer_stop(&call->deadline_timer);
    call_drop_request(call);
    if (call->is_reply_held) session_release(session, &session->reply_bytes, call->reply.size - call->reply_at);
    buf_fini(&call->reply);
    if (call->path != NULL) nghttp2_rcbuf_decref(call->path);
    if (call->extra != NULL) {
        buf_fini(&call->extra->headers);
        buf_fini(&call->extra->trailers);
        free(call->extra);
    }
    free(call->message);
    free(call->details);
    core->stats.call_count--;
    if (--session->call_count == 0) session->idle_since = core->steady(core->clock);
    if (core->free_call_count >= FREE_CALLS_MAX) {
        free(call);
        return;
    }
    call->user = core->free_calls;
    core->free_calls = call;
    core->free_call_count++;
}

/* ---- what was asked */

struct str grpc_call_path(const struct grpc_call *call) { return rcbuf_view(call->path); }
struct str grpc_call_body(const struct grpc_call *call) { return buf_view(&call->body); }
struct str grpc_call_authority(const struct grpc_call *call) { return rcbuf_view(call->authority); }
struct str grpc_call_peer(const struct grpc_call *call) { return str_of(call->session->peer); }
struct str grpc_call_peer_subject(const struct grpc_call *call) { return call->session->subject; }
uint64_t grpc_call_connection_id(const struct grpc_call *call) { return call->session->id; }
bool grpc_call_has_deadline(const struct grpc_call *call) { return call->deadline.ns != INSTANT_NEVER.ns; }
instant grpc_call_deadline(const struct grpc_call *call) { return call->deadline; }
instant grpc_call_received_at(const struct grpc_call *call) { return call->received_at; }
void grpc_call_set_user(struct grpc_call *call, void *user) { call->user = user; }
void *grpc_call_user(const struct grpc_call *call) { return call->user; }
void grpc_call_forget_request(struct grpc_call *call) { call_drop_request(call); }

struct arena *grpc_call_arena(struct grpc_call *call)
{
    struct server_core *core = call->session->core;
    if (call->arena == NULL) {
        call->arena = core->free_arenas;
        if (call->arena != NULL) {
            core->free_arenas = call->arena->next;
            core->free_arena_count--;
        } else {
            call->arena = xmalloc(sizeof *call->arena);
            arena_init(&call->arena->arena, 0, core->options.message_size_max * ARENA_BUDGET_FACTOR);
        }
    }
    return &call->arena->arena;
}

bool grpc_call_metadata_next(const struct grpc_call *call, size_t *at, struct str *name, struct str *value)
{
    if (*at >= call->header_count) return false;
    const struct call_header *header = header_at(call, (*at)++);
    *name = rcbuf_view(header->name);
    *value = rcbuf_view(header->value);
    return true;
}

static struct str decode_binary(struct grpc_call *call, struct str value)
{
    struct buf bytes = {0};
    struct str copy = STR_EMPTY;
    if (base64_decode(value, &bytes)) {
        char *to = arena_try_alloc(grpc_call_arena(call), bytes.size);
        if (to != NULL) {
            if (bytes.size != 0) memcpy(to, bytes.data, bytes.size);
            copy = (struct str){to, bytes.size};
        }
    }
    buf_fini(&bytes);
    return copy;
}

struct str grpc_call_metadata(struct grpc_call *call, struct str name)
{
    struct str have, value;
    for (size_t at = 0; grpc_call_metadata_next(call, &at, &have, &value);)
        if (str_equal(have, name)) return grpc_header_is_binary(name) ? decode_binary(call, value) : value;
    return STR_EMPTY;
}

/* ---- headers and trailers of the answer */

static void extra_add(struct buf *list, struct str name, struct str value)
{
    if (!grpc_header_is_valid(name, value) || grpc_header_is_reserved(name)) return;
    if (list->size + name.size + value.size + 2 > EXTRA_BYTES_MAX) return;
    buf_append_str(list, name);
    buf_append_byte(list, 0);
    buf_append_str(list, value);
    buf_append_byte(list, 0);
}

static struct call_extra *extra_of(struct grpc_call *call)
{
    if (call->extra == NULL) call->extra = xcalloc(1, sizeof *call->extra);
    return call->extra;
}

void grpc_call_add_header(struct grpc_call *call, struct str name, struct str value)
{
    extra_add(&extra_of(call)->headers, name, value);
}

void grpc_call_add_trailer(struct grpc_call *call, struct str name, struct str value)
{
    extra_add(&extra_of(call)->trailers, name, value);
}

/* A header block under construction. Names and values outlive the frame: constants, or the call's own. */
struct block {
    nghttp2_nv nv[8 + 2 * EXTRA_HEADERS_MAX];
    size_t count;
};

static inline void block_add(struct block *block, struct str name, struct str value, uint8_t flags)
{
    if (block->count == countof(block->nv)) return;
    block->nv[block->count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data, name.size, value.size,
                                             flags | NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static void block_add_extra(struct block *block, const struct buf *list)
{
    size_t added = 0;
    for (size_t i = 0; i < list->size && added < EXTRA_HEADERS_MAX; added++) {
        const char *name = list->data + i, *value = name + strlen(name) + 1;
        block_add(block, str_of(name), str_of(value), NGHTTP2_NV_FLAG_NONE);
        i += strlen(name) + strlen(value) + 2;
    }
}

static struct str code_text(uint8_t code)
{
    static const char digits[] = "00010203040506070809" "10111213141516";
    const char *at = digits + (size_t)code * 2;
    return code < 10 ? (struct str){at + 1, 1} : (struct str){at, 2};
}

static void block_add_status(struct block *block, const struct grpc_call *call)
{
    block_add(block, STR("grpc-status"), code_text(call->code), NGHTTP2_NV_FLAG_NONE);
    if (call->message != NULL) block_add(block, STR("grpc-message"), str_of(call->message), NGHTTP2_NV_FLAG_NO_INDEX);
    if (call->details != NULL) block_add(block, STR("grpc-status-details-bin"), str_of(call->details), NGHTTP2_NV_FLAG_NO_INDEX);
    if (call->extra != NULL) block_add_extra(block, &call->extra->trailers);
}

static void block_begin(struct block *block, struct str status)
{
    block->count = 0;
    block_add(block, STR(":status"), status, NGHTTP2_NV_FLAG_NONE);
}

/* ---- the answer */

static void session_must(struct server_session *session, int result)
{
    if (result != 0) server_session_cut(session, nghttp2_strerror(result));
}

/* nghttp2 asks how much it may send next; the bytes themselves go out in server_session.c, without a copy between. */
static ssize_t on_read(nghttp2_session *h2, int32_t stream_id, uint8_t *to, size_t size, uint32_t *flags, nghttp2_data_source *source,
                       void *arg)
{
    (void)to;
    struct grpc_call *call = source->ptr;
    size_t left = GRPC_PREFIX_SIZE - (size_t)call->prefix_count + call->reply.size - call->reply_at;
    bool is_last = left <= size && (!call->is_streaming || call->is_end_queued);
    if (left == 0 && !is_last) {
        call->is_data_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (is_last) {
        struct block block = {.count = 0};
        block_add_status(&block, call);
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        session_must(arg, nghttp2_submit_trailer(h2, stream_id, block.nv, block.count));
    }
    return (ssize_t)size_min(left, size);
}

static void submit_headers(struct grpc_call *call)
{
    struct block block;
    block_begin(&block, STR("200"));
    block_add(&block, STR("content-type"), STR("application/grpc"), NGHTTP2_NV_FLAG_NONE);
    if (call->is_reply_compressed) block_add(&block, STR("grpc-encoding"), STR("gzip"), NGHTTP2_NV_FLAG_NONE);
    if (call->extra != NULL) block_add_extra(&block, &call->extra->headers);
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = on_read};
    session_must(call->session, nghttp2_submit_response(call->session->h2, call->stream_id, block.nv, block.count, &provider));
    session_pending(call->session);
}

static void submit_trailers_only(struct grpc_call *call)
{
    struct block block;
    block_begin(&block, STR("200"));
    block_add(&block, STR("content-type"), STR("application/grpc"), NGHTTP2_NV_FLAG_NONE);
    if (call->is_encoding_unknown) block_add(&block, STR("grpc-accept-encoding"), STR("gzip"), NGHTTP2_NV_FLAG_NONE);
    if (call->extra != NULL) block_add_extra(&block, &call->extra->headers);
    block_add_status(&block, call);
    session_must(call->session, nghttp2_submit_response(call->session->h2, call->stream_id, block.nv, block.count, NULL));
    session_pending(call->session);
}

static void end(struct grpc_call *call)
{
    struct server_core *core = call->session->core;
    timer_stop(&call->deadline_timer);
    call_drop_request(call);
    call->since = core->steady(core->clock);
    call_move(call, CALL_ANSWERED);
}

static void resume(struct grpc_call *call)
{
    if (call->is_data_deferred) {
        call->is_data_deferred = false;
        session_must(call->session, nghttp2_session_resume_data(call->session->h2, call->stream_id));
    }
    session_pending(call->session);
}

static void compress_reply(struct grpc_call *call)
{
    size_t min = call->session->core->options.gzip_reply_size_min;
    if (min == 0 || call->reply.size < min || !call->accepts_gzip) return;
    struct buf small = {0};
    gzip_compress(buf_view(&call->reply), &small);
    if (small.size >= call->reply.size) {
        buf_fini(&small);
        return;
    }
    buf_fini(&call->reply);
    call->reply = small;
    call->is_reply_compressed = true;
}

static void reply_queued(struct grpc_call *call)
{
    struct server_session *session = call->session;
    compress_reply(call);
    if (call->reply.size > UINT32_MAX / 4 || !session_hold_reply(session, call->reply.size)) {
        reach("server_call: too many reply bytes");
        buf_fini(&call->reply);
        call_refuse(call, GRPC_RESOURCE_EXHAUSTED, "too many bytes of answers wait to be taken");
        return;
    }
    call->is_reply_held = true;
    end(call);
    grpc_prefix_write(call->prefix, call->is_reply_compressed, (uint32_t)call->reply.size);
    call->prefix_count = 0;
    submit_headers(call);
}

void grpc_call_reply(struct grpc_call *call, const void *message, size_t size)
{
    ensure(call->state == CALL_HANDED && !call->is_streaming);
    if (size != 0) buf_append(&call->reply, message, size); /* before the request goes, which it may lie in */
    reply_queued(call);
}

void grpc_call_reply_buf(struct grpc_call *call, struct buf *message)
{
    ensure(call->state == CALL_HANDED && !call->is_streaming);
    call->reply = *message;
    *message = (struct buf){0};
    reply_queued(call);
}

/* Bytes of the UTF-8 character that `text` begins with; 0: it begins with none. */
static size_t character_size(struct str text)
{
    uint8_t first = (uint8_t)text.data[0];
    size_t size = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    if (size > text.size) return 0;
    for (size_t i = 1; i < size; i++)
        if (((uint8_t)text.data[i] & 0xc0) != 0x80) return 0;
    return size;
}

/* Whole characters only, as far as there is room: a client that finds bad UTF-8 here replaces the status by its own. */
static char *encode_message(struct str message)
{
    static const struct str replacement = {"\xef\xbf\xbd", 3};
    if (message.size == 0) return NULL;
    struct buf text = {0};
    while (message.size > 0) {
        size_t size = character_size(message), before = text.size;
        percent_encode(size > 0 ? str_make(message.data, size) : replacement, &text);
        if (text.size > MESSAGE_SIZE_MAX) {
            text.size = before;
            break;
        }
        message = str_skip(message, size_max(size, 1));
    }
    buf_append_byte(&text, 0);
    return text.data;
}

static char *encode_details(struct str details)
{
    if (details.size == 0 || details.size > DETAILS_SIZE_MAX) return NULL;
    struct buf text = {0};
    base64_encode(details, &text);
    buf_append_byte(&text, 0);
    return text.data;
}

static void fail(struct grpc_call *call, enum grpc_code code, struct str message, struct str details)
{
    call->code = (uint8_t)(code <= GRPC_UNAUTHENTICATED ? code : GRPC_UNKNOWN);
    free(call->message);
    call->message = encode_message(message);
    call->details = encode_details(details);
    end(call);
    if (call->is_streaming) {
        call->is_end_queued = true;
        resume(call);
    } else {
        submit_trailers_only(call);
    }
}

void grpc_call_fail(struct grpc_call *call, enum grpc_code code, struct str message, struct str details)
{
    ensure(call->state == CALL_HANDED);
    fail(call, code, message, details);
}

void call_refuse(struct grpc_call *call, enum grpc_code code, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ensure(size >= 0);
    fail(call, code, str_make(text, size_min((size_t)size, sizeof text - 1)), STR_EMPTY);
}

void call_refuse_http(struct grpc_call *call, const char *status)
{
    struct block block;
    block_begin(&block, str_of(status));
    end(call);
    session_must(call->session, nghttp2_submit_response(call->session->h2, call->stream_id, block.nv, block.count, NULL));
    session_pending(call->session);
}

/* ---- streamed answers */

err grpc_call_send(struct grpc_call *call, const void *message, size_t size)
{
    ensure(call->state == CALL_HANDED);
    struct server_session *session = call->session;
    size_t max = session->core->options.reply_bytes_max, waiting = call->reply.size - call->reply_at;
    if (size > max || waiting + size > max / STREAMED_SHARE) return ERR_QUEUE_FULL;
    if (!session_hold_reply(session, GRPC_PREFIX_SIZE + size)) return ERR_QUEUE_FULL;
    call->is_reply_held = true;
    if (call->reply_at > 0) {
        buf_consume(&call->reply, call->reply_at);
        call->reply_at = 0;
    }
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_write(prefix, false, (uint32_t)size);
    buf_append(&call->reply, prefix, sizeof prefix);
    buf_append(&call->reply, message, size);
    if (call->is_streaming) {
        resume(call);
    } else {
        call->is_streaming = true;
        call->prefix_count = GRPC_PREFIX_SIZE; /* prefixes are among the bytes */
        submit_headers(call);
    }
    return ERR_NONE;
}

void grpc_call_reply_end(struct grpc_call *call)
{
    ensure(call->state == CALL_HANDED);
    if (!call->is_streaming) { /* a stream without messages */
        fail(call, GRPC_OK, STR_EMPTY, STR_EMPTY);
        return;
    }
    end(call);
    call->is_end_queued = true;
    resume(call);
}
