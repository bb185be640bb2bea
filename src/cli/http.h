/* cli/http.h: one HTTP/1.1 POST, in clear text or over TLS, waited for. For codec servers.
 *
 * Thread: one. Blocks, at most for `timeout`. */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"

enum { HTTP_ANSWER_SIZE_MAX = 64 * 1024 * 1024 };

struct http_post {
    struct str url;     /* "http://host:port/path" or https; a path is not needed */
    struct str headers; /* lines that end with CR LF; Host, Content-Length and Connection are added */
    struct str body;
    duration timeout;
};

/* ERR_INVALID: no such URL. ERR_UNAVAILABLE: no answer, not an HTTP answer, or a status other than 200. `error` says it in
 * words, in the arena. On success the body of the answer lies in the arena. */
MUST_USE err http_post(const struct http_post *post, struct arena *arena, struct error *error, struct str *answer);

/* The parts of an URL. False: it is none. */
struct url { struct str host, path; int port; bool is_tls; };
bool url_parse(struct str text, struct url *out);
/* The body of an HTTP answer that has come whole. False: not whole yet, or (*why) no HTTP. */
bool http_answer_parse(struct str bytes, bool is_closed, struct arena *arena, int *status, struct str *body, const char **why);

#endif
