/* net/http1.h: HTTP/1.1 on the gRPC port, for the web page and the JSON API.
 *
 * A connection whose first bytes are not the HTTP/2 preface is handed to this handler as a plain stream of bytes; it parses
 * and answers. Without a handler the client gets a short 505 and is closed. The time limits of the server hold:
 * handshake_timeout until the handler calls http1_keep, and stall_timeout for what waits to be read. */
#ifndef NET_HTTP1_H
#define NET_HTTP1_H

#include "base/str.h"

struct http1; /* one such connection */

struct http1_handler {
    void (*on_bytes)(void *arg, struct http1 *connection, struct str bytes); /* as they come; borrowed */
    void (*on_close)(void *arg, struct http1 *connection);                   /* gone when this returns; not after http1_close */
};

void http1_send(struct http1 *connection, struct str bytes); /* copied */
void http1_close(struct http1 *connection);                  /* after what was sent; the connection is gone */
void http1_keep(struct http1 *connection);                   /* a whole request has come: the handshake timeout is met */
size_t http1_unsent(const struct http1 *connection);         /* bytes the peer has not taken yet */
struct str http1_peer(const struct http1 *connection);
void http1_set_user(struct http1 *connection, void *user);
void *http1_user(const struct http1 *connection);

#endif
