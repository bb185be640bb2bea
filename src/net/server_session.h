/* net/server_session.h: one connection of a gRPC server as bytes in and bytes out, and its calls. Internal to net/.
 *
 * Opens no socket and reads no clock: grpc_server.c gives it both, the fuzz target and tests give it their own.
 *
 *                 headers               last byte, on_call           answer            stream closed
 *   (new stream) ────────► RECEIVING ───────────────────► HANDED ─────────────► ANSWERED ────────────► freed
 *                              │                             │ reset, connection lost: on_cancel          ▲
 *                              └──── bad request: answered ──┴────────────────────────────────────────────┘
 *
 * (1) A call is in exactly one of its session's lists: that of its state.
 * (2) The handler knows a call exactly while it is HANDED (and while it streams, see call->is_streaming).
 * (3) session->request_bytes and reply_bytes are the sums over the calls in its lists. */
#ifndef NET_SERVER_SESSION_H
#define NET_SERVER_SESSION_H

#include "base/prng.h"
#include "net/grpc_server.h"
#include "net/grpc_wire.h"

#include <nghttp2/nghttp2.h>

struct server_session;
struct call_arena;

/* What the sessions of one server share. */
struct server_core {
    struct grpc_server_options options; /* every field set; strings and pointers unused here */
    const struct grpc_handler *handler;
    void *handler_arg;
    struct timer_set *timers; /* steady */
    instant (*wall)(void *clock);
    instant (*steady)(void *clock);
    void *clock;
    /* A session has something to send, or wants to be closed; once per change, maybe from inside server_session_receive. */
    void (*on_pending)(struct server_session *session);
    struct prng prng;
    struct grpc_server_stats stats; /* connection counts are the owner's */
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    size_t held_bytes; /* sum of request_bytes and reply_bytes over all sessions */
    struct grpc_call *free_calls; /* for reuse, linked through `user` */
    size_t free_call_count;
    struct call_arena *free_arenas;
    size_t free_arena_count;
};

struct call_arena {
    struct arena arena; /* first */
    struct call_arena *next;
};

/* options: zero fields take their defaults. */
void server_core_init(struct server_core *core, const struct grpc_server_options *options, const struct grpc_handler *handler,
                      void *handler_arg);
void server_core_fini(struct server_core *core); /* after its sessions */

enum call_state { CALL_RECEIVING, CALL_HANDED, CALL_ANSWERED };
enum { CALL_HEADERS_INLINE = 6, PEER_SIZE = 64 };

struct call_header { nghttp2_rcbuf *name, *value; };

/* What few calls have. */
struct call_extra { struct buf headers, trailers; }; /* both: name, NUL, value, NUL … */

struct grpc_call {
    struct list link;
    struct server_session *session;
    struct timer deadline_timer;
    instant since;       /* steady: arrival while RECEIVING, last progress while ANSWERED */
    instant received_at; /* wall */
    instant deadline;    /* wall; INSTANT_NEVER: none */
    void *user;
    struct call_arena *arena;
    struct buf body;  /* of the request */
    struct buf reply; /* of the answer; streamed: with the prefixes */
    size_t reply_at;  /* sent so far, prefix not counted */
    nghttp2_rcbuf *path, *authority; /* every rcbuf is a counted reference */
    struct call_header inline_headers[CALL_HEADERS_INLINE];
    struct call_header *more_headers; /* [more_header_count] */
    struct call_extra *extra;
    char *message;    /* of a failure, percent-encoded; NULL: none */
    char *details;    /* base64, terminated; NULL: none */
    uint32_t header_size, body_size; /* body_size: as announced by the prefix */
    size_t held_request_bytes;       /* its part of session->request_bytes */
    int32_t stream_id;
    uint16_t header_count, more_header_count;
    uint8_t prefix[GRPC_PREFIX_SIZE]; /* of the request, then of the answer */
    uint8_t prefix_count;             /* request: bytes of it received; answer: sent */
    uint8_t state, code;              /* enum call_state, enum grpc_code */
    bool is_post, has_content_type, has_timeout, is_body_complete, is_request_compressed;
    bool is_encoding_unknown, is_timeout_bad, accepts_gzip;
    bool is_request_stream, is_streaming, is_end_queued, is_data_deferred, is_remote_closed, is_reply_compressed, is_reply_held;
};

struct server_session {
    struct server_core *core;
    void *owner; /* the connection */
    nghttp2_session *h2;
    uint64_t id;
    struct list receiving, handed, answered;
    size_t call_count;
    size_t request_bytes, reply_bytes;
    struct grpc_call *current; /* whose headers are being read */
    struct buf *out;           /* while sending, with out_max: stop near that size */
    size_t out_max;
    struct timer timer;
    instant opened_at, last_received, idle_since, last_ping, ping_sent_at, drain_at, rate_since; /* steady; 0: not set */
    instant age_limit;
    uint32_t ping_strikes, control_frames; /* control_frames: since rate_since */
    bool has_settings, had_call, is_draining, is_ping_free, is_last_goaway_sent, is_ping_sent;
    bool is_closing; /* flush, then close */
    bool is_cut;     /* close at once */
    struct str subject; /* of the TLS peer; owned by the connection */
    char peer[PEER_SIZE];
};

/* peer: "address:port". on_pending follows at once: the SETTINGS are to be sent. */
struct server_session *server_session_create(struct server_core *core, uint64_t id, const char *peer, void *owner);
/* Cancels its calls through the handler. Not from inside a callback of the session. */
void server_session_destroy(struct server_session *session);

/* Takes bytes from the peer. Afterwards see is_closing and is_cut. */
void server_session_receive(struct server_session *session, const void *data, size_t size);
/* Appends what is to be sent, until `out` holds about size_max bytes; appends nothing when there is no more. */
void server_session_send(struct server_session *session, struct buf *out, size_t size_max);
bool server_session_wants_send(struct server_session *session);
/* Begins to drain: GOAWAY now, the last one a round trip later, is_closing once no call is left. */
void server_session_drain(struct server_session *session);
/* The socket has taken nothing since; the owner cuts. Counted. */
void server_session_cut(struct server_session *session, const char *why);

/* ---- between server_session.c and server_call.c */
void session_pending(struct server_session *session);
/* Counts bytes held for the peer, in session->request_bytes or reply_bytes. False: that would pass a limit. */
MUST_USE bool session_hold_request(struct server_session *session, size_t size);
MUST_USE bool session_hold_reply(struct server_session *session, size_t size);
void session_release(struct server_session *session, size_t *counter, size_t size);
/* Moves the call to the end of the list of `state`. */
void call_move(struct grpc_call *call, enum call_state state);
void call_drop_request(struct grpc_call *call);
void call_free(struct grpc_call *call);
/* Answers without a message: a failure, or an HTTP status other than 200. */
void call_refuse(struct grpc_call *call, enum grpc_code code, const char *format, ...) PRINTF_LIKE(3, 4);
void call_refuse_http(struct grpc_call *call, const char *status);
struct str rcbuf_view(nghttp2_rcbuf *rcbuf);

#endif
