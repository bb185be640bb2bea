/* net/grpc_client.h: calls gRPC methods of one target over one HTTP/2 connection, which is made and remade as needed.
 *
 *   IDLE ──► CONNECTING ──► READY ──► (GOAWAY, idle, lost) ──► IDLE or CONNECTING
 *                │  ▲
 *                ▼  │ backoff
 *              FAILING
 *
 * A call waits while the client connects. When an attempt to connect fails, waiting calls fail with UNAVAILABLE unless
 * they set wait_for_ready. Calls that the server certainly did not begin (refused stream, above the last id of a GOAWAY,
 * not yet sent) move to the next connection by themselves; any other retry is the caller's to decide.
 *
 * Thread: everything, callbacks too, on the loop's thread. */
#ifndef NET_GRPC_CLIENT_H
#define NET_GRPC_CLIENT_H

#include "base/err.h"
#include "net/grpc_metadata.h"
#include "net/loop.h"
#include "net/tls.h"

struct grpc_client;
struct grpc_client_call;

enum grpc_client_state { GRPC_CLIENT_IDLE, GRPC_CLIENT_CONNECTING, GRPC_CLIENT_READY, GRPC_CLIENT_FAILING, GRPC_CLIENT_CLOSED };

/* Zero fields take the default in brackets; a negative duration switches that rule off. All strings are copied. */
struct grpc_client_options {
    struct str target;                 /* "host:port", "[::1]:7233"; port [7233] */
    const struct tls_options *tls;     /* [NULL: clear text] */
    struct str server_name;            /* sent as SNI [the target's host] */
    struct str verified_name;          /* the name that the server's certificate must be for [server_name] */
    struct str authority;              /* the :authority header [server_name, else the target] */
    struct str proxy;                  /* [none] "host:port" of an HTTP proxy, reached in clear text by CONNECT */
    struct str proxy_user, proxy_password; /* basic authentication, when proxy_user is not empty */
    struct str user_agent;             /* ["perdure/<version>"] */
    size_t message_size_max;           /* [128 MiB] of a response */
    size_t in_flight_max;              /* [10,000] calls waiting or running; more fail at once with RESOURCE_EXHAUSTED */
    duration connect_timeout;          /* [10 s] name, connection, proxy and TLS together */
    duration keepalive_interval;       /* [30 s] ping while calls run */
    duration keepalive_timeout;        /* [15 s] no answer: the connection is given up */
    bool keepalive_without_calls;
    duration idle_max;                 /* [off] without calls: closed, remade on the next call */
    duration backoff_min, backoff_max; /* [100 ms, 5 s], doubled and jittered per failed attempt */
    uint64_t seed;                     /* of the jitter [taken from the wall clock] */
    /* Each change of state. `why` says what failed, for GRPC_CLIENT_FAILING. May be NULL. */
    void (*on_state)(void *arg, enum grpc_client_state state, struct str why);
    void *on_state_arg;
};

/* Connects on the first call, or at once with grpc_client_connect. ERR_INVALID: target or TLS material. */
MUST_USE err grpc_client_create(struct grpc_client **client, struct loop *loop, const struct grpc_client_options *options,
                                struct arena *arena, struct error *error);
void grpc_client_connect(struct grpc_client *client);
enum grpc_client_state grpc_client_state(const struct grpc_client *client);
/* Calls still running end with CANCELLED before this returns. Sockets close during the next turn of the loop. Not to be
 * called from inside a callback of this client. */
void grpc_client_destroy(struct grpc_client *client);

struct grpc_request {
    struct str path;               /* "/package.Service/Method" */
    struct str body;               /* the message; copied */
    struct grpc_metadata metadata; /* added after the client's own headers; copied. "-bin" values as raw bytes */
    duration timeout;              /* 0 = none; sent as grpc-timeout and kept here too */
    bool wait_for_ready;           /* outlive failed attempts to connect, up to the timeout */
    bool gzip;                     /* compress the body when that makes it smaller */
};

/* How a call ended. Borrowed: valid inside on_done. */
struct grpc_response {
    enum grpc_code code;            /* of the server, or made here: DEADLINE_EXCEEDED, CANCELLED, UNAVAILABLE … */
    struct str message;             /* decoded; why, when code is not GRPC_OK */
    struct str details;             /* bytes of a google.rpc.Status; may be empty */
    struct str body;                /* decompressed; empty unless code is GRPC_OK */
    struct grpc_metadata headers, trailers; /* without the protocol's own; "-bin" values as raw bytes */
    bool was_sent;                  /* the server may have seen the request */
};

/* Starts a call. on_done runs exactly once, never before this returns, also after a cancel. Never returns NULL. */
struct grpc_client_call *grpc_client_call(struct grpc_client *client, const struct grpc_request *request,
                                          void (*on_done)(void *arg, const struct grpc_response *response), void *arg);
/* As above for an answer that is a stream: on_message for each message (borrowed), then on_done. */
struct grpc_client_call *grpc_client_stream(struct grpc_client *client, const struct grpc_request *request,
                                            void (*on_message)(void *arg, struct str message),
                                            void (*on_done)(void *arg, const struct grpc_response *response), void *arg);
/* Before its on_done only. The server is told; on_done follows with CANCELLED at the end of the turn. */
void grpc_client_cancel(struct grpc_client_call *call);
/* Default metadata of later calls (an API key that rotates); replaces what was there. Copied. */
void grpc_client_set_metadata(struct grpc_client *client, struct grpc_metadata metadata);

#endif
