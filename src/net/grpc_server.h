/* net/grpc_server.h: answers gRPC over HTTP/2, in clear text (prior knowledge) or TLS.
 *
 * The server gathers a whole request, hands it to the handler as a call, and the handler answers it once, now or later:
 *
 *   request complete ──► on_call ──► grpc_call_reply / grpc_call_fail            the call is gone
 *                          │    └──► grpc_call_send … grpc_call_reply_end / _fail  (answer is a stream of messages)
 *                          └──► on_cancel (peer left) or on_deadline            the call is gone when it returns
 *
 * A call is gone means: the handler must not touch it any more. An answered call never sees on_cancel.
 *
 * Thread: everything here, callbacks too, on the loop's thread. Several threads: one loop and one server each, one of
 * them listens and spreads connections by `on_accept`, the others take them with grpc_server_adopt.
 * Source: the gRPC over HTTP/2 protocol page, RFC 9113, RFC 7541; connection times as on the official frontend
 * (reference/limits-and-errors.md). */
#ifndef NET_GRPC_SERVER_H
#define NET_GRPC_SERVER_H

#include "base/buf.h"
#include "net/grpc_metadata.h"
#include "net/loop.h"
#include "net/tls.h"

struct grpc_server;
struct grpc_call;

/* Callbacks; those marked ? may be NULL. */
struct grpc_handler {
    /* A request is complete. An unknown path is the handler's to refuse with GRPC_UNIMPLEMENTED. */
    void (*on_call)(void *arg, struct grpc_call *call);
    /* ? The peer cancelled or its connection closed before the answer. The call is gone when this returns. */
    void (*on_cancel)(void *arg, struct grpc_call *call);
    /* ? The deadline passed. May answer; else the server answers DEADLINE_EXCEEDED. The call is gone when this returns.
     * NULL: on_cancel is called instead. */
    void (*on_deadline)(void *arg, struct grpc_call *call);
    /* ? After the on_cancel of its calls. Only for connections that had at least one call. */
    void (*on_connection_closed)(void *arg, uint64_t connection_id);
    /* ? Asked once the headers of a call are read: is its request a stream of messages? Then it is handed over at once, each
     * message goes to on_message (borrowed), and on_messages_end says that the peer has sent its last; on_call is not called.
     * Such a call is answered like any other; grpc_call_send may be called from within on_message. */
    bool (*takes_messages)(void *arg, struct str path);
    void (*on_message)(void *arg, struct grpc_call *call, struct str message);
    void (*on_messages_end)(void *arg, struct grpc_call *call);
    /* ? Plain HTTP/1.1 on the same port; see net/http1.h. NULL: such a client is answered 505 and closed. */
    const struct http1_handler *http1;
};

/* Zero fields take the default in brackets; a negative duration switches that rule off. */
struct grpc_server_options {
    struct str ip;                      /* ["127.0.0.1"]; "::1", "0.0.0.0" and "::" work too */
    int port;                           /* 0 = a free one: see grpc_server_port */
    const struct tls_options *tls;      /* [NULL: clear text]; borrowed for the call */
    size_t message_size_max;            /* [4 MiB] of a request, after decompression too; more is RESOURCE_EXHAUSTED */
    size_t header_size_max;             /* [64 KiB] of one request, counted as RFC 9113 6.5.2 does */
    uint32_t connection_count_max;      /* [10,000, or what the descriptor limit allows] */
    uint32_t stream_count_max;          /* [100,000] calls at once on a connection */
    size_t request_bytes_max;           /* [256 MiB] headers and bodies held for a connection; more is RESOURCE_EXHAUSTED */
    size_t reply_bytes_max;             /* [256 MiB] replies a connection has not taken yet; more is RESOURCE_EXHAUSTED */
    size_t held_bytes_max;              /* [1 GiB] both, of all connections together */
    size_t gzip_reply_size_min;         /* [0: replies are not compressed] else those of that size, if the client accepts */
    duration handshake_timeout;         /* [10 s] until the first HTTP/2 SETTINGS, TLS handshake included */
    duration request_timeout;           /* [60 s] from a request's headers to its last byte */
    duration stall_timeout;             /* [20 s] a peer that reads nothing of what waits for it */
    duration keepalive_interval;        /* [1 min] ping a silent peer */
    duration keepalive_timeout;         /* [10 s] no answer to that: closed */
    duration client_ping_interval_min;  /* [10 s] pings more often: GOAWAY "too_many_pings" */
    duration idle_max;                  /* [2 min] without calls: GOAWAY, closed */
    duration age_max;                   /* [5 min, ±10 %]: GOAWAY, then calls may go on for age_grace [70 s] */
    duration age_grace;
    uint64_t seed;                      /* for the jitter [taken from the wall clock] */
    /* [NULL: the server serves what it accepts] else gets each accepted socket, for grpc_server_adopt on any loop. */
    void (*on_accept)(void *arg, int fd);
    void *on_accept_arg;
    bool does_not_listen;               /* only adopts */
};

/* Takes the port, and does not listen yet: a client finds the port closed until grpc_server_serve. So a server that has
 * much to open first learns early whether it may have the port, and is not reached before it can answer.
 * ERR_UNAVAILABLE: the address can not be bound. ERR_INVALID: address or TLS material. Words in `error`, allocated in
 * `arena`. */
MUST_USE err grpc_server_bind(struct grpc_server **server, struct loop *loop, const struct grpc_server_options *options,
                              struct arena *arena, struct error *error);
/* Listens and serves until drained or destroyed. Once per server, before grpc_server_drain. The handler struct must
 * outlive the server. ERR_UNAVAILABLE, with words as above: another server bound the same port meanwhile and was the
 * first to listen; this one can then be drained or destroyed, no more. */
MUST_USE err grpc_server_serve(struct grpc_server *server, const struct grpc_handler *handler, void *arg, struct arena *arena,
                               struct error *error);
/* Both at once. */
MUST_USE err grpc_server_listen(struct grpc_server **server, struct loop *loop, const struct grpc_server_options *options,
                                const struct grpc_handler *handler, void *arg, struct arena *arena, struct error *error);
int grpc_server_port(const struct grpc_server *server); /* known once it is bound */

/* Serves an accepted socket, after grpc_server_serve; the descriptor is the server's from here on, also on failure. */
void grpc_server_adopt(struct grpc_server *server, int fd);

/* New connections from now on use these certificates. On error the old ones stay. */
MUST_USE err grpc_server_set_tls(struct grpc_server *server, const struct tls_options *tls, struct arena *arena,
                                 struct error *error);

/* Stops accepting, tells every peer to go elsewhere (GOAWAY, twice, so that no request in flight is lost), lets calls
 * finish, and calls done(arg) once when no connection is left or `grace` has passed (what is left is then cut, its calls
 * cancelled). Once per server. */
void grpc_server_drain(struct grpc_server *server, duration grace, void (*done)(void *arg), void *arg);

/* Cuts every connection (calls are cancelled through the handler) and frees the server. Sockets close during the next
 * turn of the loop. Not to be called from inside a callback of this server. */
void grpc_server_destroy(struct grpc_server *server);

struct grpc_server_stats {
    uint64_t connection_count, call_count;                       /* open now */
    uint64_t accepted_total, refused_total, cut_total;           /* connections; cut: closed by one of the limits */
    uint64_t call_total, cancelled_total, deadline_total;        /* calls */
    uint64_t received_bytes_total, sent_bytes_total;             /* before TLS */
};
void grpc_server_stats(const struct grpc_server *server, struct grpc_server_stats *stats);
/* Cuts one connection, e.g. one whose credentials expired. No effect when it is gone. */
void grpc_server_close_connection(struct grpc_server *server, uint64_t connection_id);

/* ---- a call: what was asked. Borrowed strings live until the call is gone. */
struct str grpc_call_path(const struct grpc_call *call);   /* "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo" */
struct str grpc_call_body(const struct grpc_call *call);   /* the request message, decompressed */
/* A header's value, or empty. Names are lower case. Of several equal ones the first. For a name that ends in "-bin"
 * the decoded bytes, in the call's arena; bad base64 counts as absent. */
struct str grpc_call_metadata(struct grpc_call *call, struct str name);
/* Walks all headers but the protocol's own (":…", "grpc-…", content-type, te): at = 0 first; false at the end. Values raw. */
bool grpc_call_metadata_next(const struct grpc_call *call, size_t *at, struct str *name, struct str *value);
struct str grpc_call_authority(const struct grpc_call *call); /* the host the client asked for */
struct str grpc_call_peer(const struct grpc_call *call);      /* "127.0.0.1:54321" */
struct str grpc_call_peer_subject(const struct grpc_call *call); /* of its certificate; see tls_peer_subject */
uint64_t grpc_call_connection_id(const struct grpc_call *call); /* unique in the process for its life, never 0 */
bool grpc_call_has_deadline(const struct grpc_call *call);
instant grpc_call_deadline(const struct grpc_call *call); /* wall clock; INSTANT_NEVER when the client gave none */
instant grpc_call_received_at(const struct grpc_call *call); /* wall clock */
/* Lives until the call is gone; takes no memory before its first use. Budget: 16 × message_size_max. */
struct arena *grpc_call_arena(struct grpc_call *call);
void grpc_call_set_user(struct grpc_call *call, void *user);
void *grpc_call_user(const struct grpc_call *call);
/* Frees body, metadata and arena early: for long polls, which wait long and are many. Path and times stay. */
void grpc_call_forget_request(struct grpc_call *call);

/* ---- its answer. Whichever of reply, reply_end and fail comes first ends the call. */
void grpc_call_reply(struct grpc_call *call, const void *message, size_t size); /* copies */
void grpc_call_reply_buf(struct grpc_call *call, struct buf *message);          /* takes the bytes; *message is empty afterwards */
/* message: any UTF-8, percent-encoded on the wire; details: bytes of a google.rpc.Status, or empty. Both copied. */
void grpc_call_fail(struct grpc_call *call, enum grpc_code code, struct str message, struct str details);
/* Adds a header (before the first message) or a trailer of the answer. Copied. The caller encodes "-bin" values itself
 * with base64 (net/grpc_wire.h). Ignored when the name is reserved or not a valid header name, or the value not valid. */
void grpc_call_add_header(struct grpc_call *call, struct str name, struct str value);
void grpc_call_add_trailer(struct grpc_call *call, struct str name, struct str value);
/* One more message of a streamed answer. ERR_QUEUE_FULL: the peer has not taken the last `reply_bytes_max`/16 bytes. */
MUST_USE err grpc_call_send(struct grpc_call *call, const void *message, size_t size);
void grpc_call_reply_end(struct grpc_call *call); /* ends a streamed answer with GRPC_OK */

#endif
