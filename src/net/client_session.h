/* net/client_session.h: one connection of a gRPC client as bytes in and bytes out, and its calls. Internal to net/.
 *
 * Opens no socket and reads no clock.
 *
 *            submit              stream closed, result set          end of the turn: on_done
 *   WAITING ────────► RUNNING ──────────────────────────────► OVER ──────────────────────────► freed
 *      ▲                │  └── cancelled, deadline ──► OVER, and still in its session until the stream is closed
 *      └── untouched ───┘
 *
 * (1) `link` is in the client's waiting list or in one session's running list, `done_link` in the client's done list.
 * (2) A call is freed once it is delivered and in no session: nghttp2 reads its strings until the stream is closed. */
#ifndef NET_CLIENT_SESSION_H
#define NET_CLIENT_SESSION_H

#include "net/grpc_client.h"
#include "net/grpc_wire.h"

#include <nghttp2/nghttp2.h>

struct client_session;

struct header_list {
    struct grpc_header *headers; /* in the call's arena */
    size_t count, capacity;
};

struct grpc_client_call {
    struct list link, done_link;
    struct grpc_client *client;
    struct client_session *session; /* while running */
    struct timer timer;             /* the deadline */
    instant deadline;               /* steady; INSTANT_NEVER: none */
    struct arena arena;             /* strings of request and response */
    void (*on_message)(void *arg, struct str message); /* NULL: unary */
    void (*on_done)(void *arg, const struct grpc_response *response);
    void *arg;
    struct str path;
    struct header_list metadata;    /* of the request, as it travels */
    struct buf body;                /* of the request, with its prefix */
    size_t body_at;                 /* sent so far */
    struct header_list headers, trailers; /* of the response, as they came, without the protocol's own */
    size_t header_size;
    struct buf message;             /* of the response */
    uint32_t message_size;          /* as announced */
    int32_t stream_id;
    int http_status;
    int attempt_count;
    enum grpc_code code;
    struct str code_text, details;  /* message decoded */
    uint8_t prefix[GRPC_PREFIX_SIZE], prefix_count;
    bool is_compressed, wait_for_ready, was_sent, is_over, is_delivered;
    bool has_status, has_headers, is_gzip, is_content_type_bad, has_message;
    _Alignas(16) char room[];       /* the arena's first block, of those that grpc_client.c makes */
};

/* What the owner of a session is told; always from inside client_session_receive or _send. */
struct client_session_events {
    void (*on_pending)(struct client_session *session); /* has something to send; also from submit, cancel, tick */
    void (*on_ready)(struct client_session *session);   /* the server's settings have come */
    void (*on_goaway)(struct client_session *session);  /* takes no new calls any more */
    /* The call has left the session. `is_untouched`: the server certainly did not begin it, and it may run elsewhere;
     * otherwise its result is set. Also for calls that were over before. */
    void (*on_over)(struct client_session *session, struct grpc_client_call *call, bool is_untouched);
};

struct client_session {
    const struct client_session_events *events;
    void *owner;
    nghttp2_session *h2;
    struct list running;
    size_t call_count;
    int32_t recent_id;               /* the stream looked for last; 0: none */
    struct grpc_client_call *recent; /* its call */
    size_t message_size_max;
    struct str scheme, authority, user_agent; /* borrowed from the client, which outlives the session */
    struct buf *out;
    size_t out_max;
    bool is_ready, is_goaway, is_broken;
    bool has_received; /* anything since the owner last cleared it: keepalive */
    char why[160];     /* it is broken, or the server's GOAWAY text */
};

struct client_session *client_session_create(const struct client_session_events *events, void *owner, struct str scheme,
                                             struct str authority, struct str user_agent, size_t message_size_max);
/* Running calls end with UNAVAILABLE, or are given back when untouched. */
void client_session_destroy(struct client_session *session);

void client_session_receive(struct client_session *session, const void *data, size_t size);
void client_session_send(struct client_session *session, struct buf *out, size_t size_max);
bool client_session_is_finished(const struct client_session *session); /* nothing more to say or to hear */
void client_session_ping(struct client_session *session);

/* Starts the call; timeout: what is left, 0 = none. */
void client_session_submit(struct client_session *session, struct grpc_client_call *call, duration timeout);
/* Tells the server. on_over follows when the stream is closed; the caller has set the result. */
void client_session_cancel(struct client_session *session, struct grpc_client_call *call);

/* Sets the result of a call, once; later results are ignored. */
void client_call_set(struct grpc_client_call *call, enum grpc_code code, const char *format, ...) PRINTF_LIKE(3, 4);
void header_list_add(struct header_list *list, struct arena *arena, struct str name, struct str value); /* copies */

#endif
