#include "cli/http.h"

#include "net/http_post.h"

#include <stdlib.h>

enum { ANSWER_SIZE_MAX = 64 * 1024 * 1024 };

bool url_parse(struct str text, struct url *out)
{
    *out = (struct url){.port = 80, .path = STR("/")};
    if (str_starts_with(text, STR("http://"))) text = str_skip(text, strlen("http://"));
    else if (str_starts_with(text, STR("https://"))) {
        text = str_skip(text, strlen("https://"));
        out->is_tls = true;
        out->port = 443;
    } else return false;
    size_t n = 0;
    while (n < text.size && text.data[n] != '/') n++;
    struct str where = {text.data, n};
    if (n < text.size) out->path = str_skip(text, n);
    size_t colon = where.size;
    while (colon > 0 && where.data[colon - 1] != ':' && where.data[colon - 1] != ']') colon--;
    if (colon > 0 && where.data[colon - 1] == ':') {
        char number[8] = "", *end;
        struct str port = str_skip(where, colon);
        if (port.size == 0 || port.size > 5) return false;
        memcpy(number, port.data, port.size);
        out->port = (int)strtol(number, &end, 10);
        if (*end != '\0' || out->port <= 0 || out->port > 65535) return false;
        where.size = colon - 1;
    }
    if (where.size > 2 && where.data[0] == '[' && where.data[where.size - 1] == ']') where = (struct str){where.data + 1, where.size - 2};
    out->host = where;
    return where.size != 0 && memchr(where.data, '@', where.size) == NULL;
}

struct waiting {
    struct arena *arena;
    struct str text;
    int status;
    bool is_done;
};

static void on_done(void *arg, int status, struct str text)
{
    struct waiting *waiting = arg;
    waiting->status = status;
    waiting->text = arena_str(waiting->arena, text);
    waiting->is_done = true;
}

err http_post_wait(struct loop *loop, struct str url_text, struct str headers, struct str body, duration timeout, struct arena *arena,
                   struct error *error, struct str *answer)
{
    struct url url;
    struct waiting waiting = {.arena = arena};
    if (!url_parse(url_text, &url)) return error_set(error, arena, ERR_INVALID, "\"%.*s\" is no URL of http or https", STR_ARG(url_text));
    struct http_post_request request = {.host = url.host, .port = url.port, .path = url.path, .headers = headers, .body = body, .timeout = timeout, .body_size_max = ANSWER_SIZE_MAX};
    if (url.is_tls) TRY(tls_context_create(&request.tls, &(struct tls_options){.speaks_http1 = true}, false, arena, error));
    http_post_start(loop, &request, on_done, &waiting);
    tls_context_unref(request.tls);
    while (!waiting.is_done) loop_run_once(loop, duration_s(1));
    if (waiting.status == 0) return error_set(error, arena, ERR_UNAVAILABLE, "%.*s", STR_ARG(waiting.text));
    if (waiting.status != 200)
        return error_set(error, arena, ERR_UNAVAILABLE, "it answered %d: %.*s", waiting.status, (int)size_min(waiting.text.size, 200), waiting.text.data);
    *answer = waiting.text;
    return ERR_NONE;
}
