/* net/client_link.h: one attempt of a client to connect, and the connection that comes of it. Internal to net/.
 *
 *   RESOLVING ─► CONNECTING ─► (PROXY) ─► (TLS) ─► SETTINGS ─► READY ─► closed
 *
 * The addresses of a name are tried one after the other, the last one for as long as connect_timeout leaves. After
 * `on_lost` the link is gone. */
#ifndef NET_CLIENT_LINK_H
#define NET_CLIENT_LINK_H

#include "net/client_session.h"

struct client_link;

struct client_link_options {
    struct loop *loop;
    struct str host;  /* to connect to: the target's, or the proxy's */
    int port;
    struct str tunnel; /* "host:port" to ask a proxy for; empty: no proxy */
    struct str proxy_user, proxy_password;
    struct tls_context *tls; /* NULL: clear text */
    struct str server_name, verified_name, authority, user_agent;
    size_t message_size_max;
    duration connect_timeout, keepalive_interval, keepalive_timeout, idle_max;
    bool keepalive_without_calls;
    struct buf *out, *plain; /* scratch of the client */
};

/* None of these may destroy the link, except by returning. */
struct client_link_events {
    void (*on_ready)(void *owner, struct client_link *link);
    /* It takes no new calls; it closes by itself when its calls are over. */
    void (*on_goaway)(void *owner, struct client_link *link);
    /* It is gone when this returns. Its calls have been reported over, or given back, before. */
    void (*on_lost)(void *owner, struct client_link *link, const char *why);
    void (*on_over)(void *owner, struct grpc_client_call *call, bool is_untouched);
};

/* Everything in options is borrowed until the link is gone. */
struct client_link *client_link_create(const struct client_link_options *options, const struct client_link_events *events, void *owner);
/* Quietly: on_over for its calls, no on_lost. */
void client_link_destroy(struct client_link *link);
void client_link_submit(struct client_link *link, struct grpc_client_call *call, duration timeout);
bool client_link_was_ready(const struct client_link *link);

#endif
