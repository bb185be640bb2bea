/* capi/connection.h: calls to one server, with retries, deadlines and headers, from any thread.
 *
 * A call is started from any thread and ends on the runtime's thread: `done` runs there exactly once, also after a
 * cancel, but not when the runtime has been stopped. The connection is made by the first call, or by
 * connection_connect, and remade as needed (net/grpc_client.h).
 *
 * Retries follow the official SDKs: passing failures (see connection.c) are tried again after initial_interval, growing
 * by `multiplier` up to max_interval, ± randomization_factor, until max_retries or max_elapsed is used up. Without a
 * timeout of its own an attempt has 30 s, a long poll 70 s; a long poll that runs into that is simply begun again. */
#ifndef CAPI_CONNECTION_H
#define CAPI_CONNECTION_H

#include "capi/runtime.h"
#include "net/grpc_client.h"

struct connection;
struct connection_call;

struct connection_retry {
    duration initial_interval, max_interval;
    duration max_elapsed; /* 0 = no limit */
    double multiplier, randomization_factor;
    int max_retries; /* 0 = no limit */
};
/* 100 ms, × 1.7 ± 20 %, at most 5 s; 10 s and 10 retries in all. */
struct connection_retry connection_retry_default(void);
/* For polls: 200 ms, doubling to 10 s, for ever. */
struct connection_retry connection_retry_poll(void);

/* Zero fields take the default of grpc_client_options. All strings are copied. */
struct connection_options {
    struct str target;
    bool has_tls;
    struct tls_options tls;
    struct str server_name;          /* sent as SNI [the target's host] */
    struct str verified_name;        /* of the certificate [server_name] */
    struct str authority;
    struct str api_key;              /* sent as "authorization: Bearer …" unless metadata has that header */
    struct grpc_metadata metadata;   /* of every call */
    struct str client_name, client_version;
    struct connection_retry retry;
    bool has_keepalive;
    duration keepalive_interval, keepalive_timeout;
    struct str proxy, proxy_user, proxy_password;
    bool gzip;                       /* of requests from 1 KiB on */
    duration connect_timeout;
    size_t payloads_warn_size, memo_warn_size; /* bytes; a request beyond is logged as a warning; 0 = never */
};

/* ERR_INVALID: target, header or TLS material; words in `error`, in the arena. */
MUST_USE err connection_create(struct connection **out, struct runtime *runtime, const struct connection_options *options,
                               struct arena *arena, struct error *error);
struct connection *connection_ref(struct connection *connection);
/* Calls that still run keep it; it ends with the last of them. */
void connection_unref(struct connection *connection);
void connection_close(struct connection *connection); /* now; later calls fail with CANCELLED */
struct runtime *connection_runtime(struct connection *connection);

enum connection_retrying { CONNECTION_ONCE, CONNECTION_RETRY, CONNECTION_RETRY_FOREVER };

struct connection_request {
    struct str path;               /* "/package.Service/Method"; copied */
    struct str body;               /* copied */
    struct grpc_metadata metadata; /* overrides the connection's headers of the same name; copied */
    duration timeout;              /* of each attempt; 0 = the default */
    enum connection_retrying retrying;
};

/* Never NULL; the caller owns a reference to the call. `response` is borrowed, see net/grpc_client.h. False from
 * connection_call_start means that the runtime has stopped: `done` will not run. */
MUST_USE bool connection_call_start(struct connection *connection, const struct connection_request *request,
                                    void (*done)(void *arg, const struct grpc_response *response), void *arg,
                                    struct connection_call **call);
/* No effect on one that is done. Any thread; `done` still runs, with CANCELLED. */
void connection_call_cancel(struct connection_call *call);
void connection_call_unref(struct connection_call *call);

void connection_set_metadata(struct connection *connection, struct grpc_metadata metadata);
void connection_set_api_key(struct connection *connection, struct str api_key); /* empty: none */

#endif
