/* cli/http.h: one HTTP/1.1 POST that is waited for, in clear text or over TLS. For codec servers.
 *
 * Thread: the loop's. */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include "base/err.h"
#include "net/loop.h"

/* Posts to "http://host:port/path" or https and turns the loop until the answer is there. `headers`: lines that end with CR
 * LF. ERR_INVALID: no such URL. ERR_UNAVAILABLE: no answer, or a status other than 200. `error` says it in words; it and the
 * body of the answer lie in the arena. */
MUST_USE err http_post_wait(struct loop *loop, struct str url, struct str headers, struct str body, duration timeout, struct arena *arena,
                            struct error *error, struct str *answer);

/* The parts of an URL. False: it is none. */
struct url { struct str host, path; int port; bool is_tls; };
bool url_parse(struct str text, struct url *out);

#endif
