/* net/http_post.h: one HTTP/1.1 request, in clear text or over TLS, for what has no gRPC: the address is looked up, the
 * request sent, the status and, when asked for, the body read, the connection closed. Each address of a name is tried in turn until one takes the connection.
 *
 * Thread: the loop's. */
#ifndef NET_HTTP_POST_H
#define NET_HTTP_POST_H

#include "net/loop.h"
#include "net/tls.h"

struct http_post;

struct http_post_request {
    struct str host;    /* a name or an address, without brackets */
    int port;
    struct str path;
    struct str headers; /* lines that end with CR LF; Host, Content-Length and Connection are added */
    struct str body;
    duration timeout;
    struct tls_context *tls; /* NULL: clear text; a reference is kept while it lasts. Made with speaks_http1 */
    size_t body_size_max; /* bytes of the answer's body; 0: it is not waited for */
};

/* done runs once, never before this returns, with the status of the answer and its body (if that was asked for), or with 0
 * and why there is none; not after http_post_cancel. All is copied. */
struct http_post *http_post_start(struct loop *loop, const struct http_post_request *request,
                                  void (*done)(void *arg, int status, struct str text), void *arg);
void http_post_cancel(struct http_post *post); /* before its done only */

/* The body of an answer whose bytes so far begin with its head. False: there is more to come, or (*why) it can not be read.
 * `joined` holds the body when it came in chunks. */
bool http_body_parse(struct str answer, bool is_closed, size_t size_max, struct buf *joined, struct str *body, const char **why);

#endif
