/* server/server.h: one server in this process: a loop, a store, a shard, a frontend and a listening port. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/err.h"
#include "frontend/frontend.h"
#include "history/limits.h"
#include "net/tls.h"

struct loop;
struct server;

struct server_options {
    struct str ip;
    int port;                            /* 0: a free one */
    const char *db_path;                 /* NULL: in memory */
    const struct str *namespaces;        /* beside "default" */
    size_t namespace_count;
    const struct str *search_attributes; /* "Name=Type" */
    size_t search_attribute_count;
    struct limits limits;
    const struct callback_rule *callback_rules; /* where completion callbacks may go; none: nowhere */
    size_t callback_rule_count;
    struct tls_options tls;              /* empty certificate: clear text */
    duration drain_max;                  /* how long calls may finish after a stop was asked for; 0 = 10 s */
    uint64_t seed;
};

/* Binds the port, opens the store and the shard (blocks), and loads the rest once the loop runs. Then the port opens, never before:
 * whoever reaches it is served. ready(arg) is called when it is open; stopped(arg) after server_stop when everything is closed. */
struct server_events {
    void (*ready)(void *arg);
    void (*failed)(void *arg, const struct error *error); /* loading failed, or somebody else has opened the port first; server_stop is due */
    void (*stopped)(void *arg);
    void *arg;
};
MUST_USE err server_create(struct loop *loop, const struct server_options *options, const struct server_events *events,
                           struct server **server, struct arena *arena, struct error *error);
int server_port(const struct server *server); /* known from server_create on */
/* No new work; calls under way may finish. One that is still loading stops when it has loaded. A second call has no effect. */
void server_stop(struct server *server);
void server_destroy(struct server *server); /* after `stopped`, or when it never served */

#endif
