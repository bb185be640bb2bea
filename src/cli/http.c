#include "cli/http.h"

#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- texts ---- */

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

/* The value of a header among the lines of `head`; empty: not there. */
static struct str header_value(struct str head, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = head.data, *end = head.data + head.size, *line_end; at < end; at = line_end + 1) {
        line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL) line_end = end;
        if ((size_t)(line_end - at) <= size || at[size] != ':' || strncasecmp(at, name, size) != 0) continue;
        struct str value = {at + size + 1, (size_t)(line_end - at) - size - 1};
        while (value.size != 0 && value.data[0] == ' ') value = str_skip(value, 1);
        while (value.size != 0 && (value.data[value.size - 1] == '\r' || value.data[value.size - 1] == ' ')) value.size--;
        return value;
    }
    return STR_EMPTY;
}

/* Puts the chunks together. False: there are more to come, or they are malformed. */
static bool join_chunks(struct str rest, struct arena *arena, struct str *body, const char **why)
{
    struct buf out = {0};
    bool is_whole = false;
    for (;;) {
        const char *line_end = rest.size != 0 ? memchr(rest.data, '\n', rest.size) : NULL;
        if (line_end == NULL) break;
        char *end;
        unsigned long long size = strtoull(arena_cstr(arena, (struct str){rest.data, size_min((size_t)(line_end - rest.data), 16)}), &end, 16);
        if (size > HTTP_ANSWER_SIZE_MAX || (*end != '\r' && *end != '\0' && *end != ';')) {
            *why = "its chunks make no sense";
            break;
        }
        rest = str_skip(rest, (size_t)(line_end - rest.data) + 1);
        is_whole = size == 0;
        if (is_whole || rest.size < size + 2) break;
        buf_append(&out, rest.data, (size_t)size);
        rest = str_skip(rest, (size_t)size + 2);
    }
    if (is_whole) *body = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return is_whole;
}

bool http_answer_parse(struct str bytes, bool is_closed, struct arena *arena, int *status, struct str *body, const char **why)
{
    *why = NULL;
    const char *end = bytes.size >= 4 ? memmem(bytes.data, bytes.size, "\r\n\r\n", 4) : NULL;
    if (bytes.size >= 5 && memcmp(bytes.data, "HTTP/", 5) != 0) *why = "it is not HTTP";
    if (*why != NULL || end == NULL) return false;
    struct str head = {bytes.data, (size_t)(end - bytes.data)}, rest = str_skip(bytes, head.size + 4);
    const char *space = memchr(head.data, ' ', head.size);
    *status = space != NULL ? (int)strtol(space, NULL, 10) : 0;
    if (*status < 100 || *status > 599) {
        *why = "its status is not one of HTTP";
        return false;
    }
    struct str length = header_value(head, "content-length"), encoding = header_value(head, "transfer-encoding");
    if (encoding.size == 7 && strncasecmp(encoding.data, "chunked", 7) == 0) return join_chunks(rest, arena, body, why);
    if (length.size == 0) {
        *body = rest;
        return is_closed;
    }
    unsigned long long wanted = strtoull(arena_cstr(arena, length), NULL, 10);
    if (wanted > HTTP_ANSWER_SIZE_MAX) *why = "it is too large";
    if (*why != NULL || rest.size < wanted) return false;
    *body = (struct str){rest.data, (size_t)wanted};
    return true;
}

/* ---- the connection ---- */

struct link {
    int fd;
    struct tls *tls;
    instant deadline;
    struct buf plain;
    bool is_closed;
    char why[160];
};

static instant steady(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (instant){t.tv_sec * NS_PER_S + t.tv_nsec};
}

static bool wait_for(struct link *link, short events)
{
    struct pollfd poll_fd = {.fd = link->fd, .events = events};
    int64_t left = instant_since(link->deadline, steady()).ns / NS_PER_MS;
    if (left > 0 && poll(&poll_fd, 1, (int)size_min((size_t)left, 1000000)) > 0) return true;
    snprintf(link->why, sizeof link->why, "no answer in time");
    return false;
}

static bool send_bytes(struct link *link, struct str bytes)
{
    while (bytes.size != 0) {
        ssize_t n = send(link->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (n > 0) bytes = str_skip(bytes, (size_t)n);
        else if (errno != EAGAIN || !wait_for(link, POLLOUT)) {
            if (errno != EAGAIN) snprintf(link->why, sizeof link->why, "%s", strerror(errno));
            return false;
        }
    }
    return true;
}

static bool send_tls(struct link *link)
{
    bool is_good = send_bytes(link, tls_output(link->tls));
    tls_output_done(link->tls);
    return is_good;
}

/* One piece from the wire into link->plain. False: failed, and link->why is set; at the end is_closed is set. */
static bool receive(struct link *link)
{
    char bytes[16384];
    ssize_t n = recv(link->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) return wait_for(link, POLLIN);
    if (n < 0) snprintf(link->why, sizeof link->why, "%s", strerror(errno));
    if (n < 0) return false;
    if (n == 0) link->is_closed = true;
    else if (link->tls == NULL) buf_append(&link->plain, bytes, (size_t)n);
    else if (tls_receive(link->tls, bytes, (size_t)n, &link->plain) != ERR_NONE) {
        if (link->plain.size != 0) { /* it said good-bye */
            link->is_closed = true;
            return true;
        }
        snprintf(link->why, sizeof link->why, "%.*s", STR_ARG(tls_failure(link->tls)));
        (void)send_tls(link);
        return false;
    }
    return link->tls == NULL || send_tls(link);
}

static bool connect_to(struct link *link, const struct url *url, struct arena *arena)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%d", url->port);
    int failed = getaddrinfo(arena_cstr(arena, url->host), port, &hints, &found);
    if (failed != 0) snprintf(link->why, sizeof link->why, "%s", gai_strerror(failed));
    for (const struct addrinfo *a = found; a != NULL && link->fd < 0; a = a->ai_next) {
        link->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (link->fd < 0) continue;
        int problem = connect(link->fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
        socklen_t size = sizeof problem;
        if (problem == EINPROGRESS) problem = wait_for(link, POLLOUT) && getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &problem, &size) == 0 ? problem : ETIMEDOUT;
        if (problem == 0) break;
        snprintf(link->why, sizeof link->why, "%s", strerror(problem));
        close(link->fd);
        link->fd = -1;
    }
    if (found != NULL) freeaddrinfo(found);
    return link->fd >= 0;
}

static bool secure(struct link *link, const struct url *url, struct arena *arena)
{
    struct tls_context *context;
    struct error error = {0};
    const struct tls_options options = {.speaks_http1 = true};
    if (tls_context_create(&context, &options, false, arena, &error) != ERR_NONE) {
        snprintf(link->why, sizeof link->why, "%.*s", STR_ARG(error_message(&error)));
        return false;
    }
    link->tls = tls_create(context, false, url->host, STR_EMPTY);
    tls_context_unref(context);
    if (!send_tls(link)) return false;
    while (!tls_is_ready(link->tls))
        if (!receive(link) || link->is_closed) {
            if (link->is_closed) snprintf(link->why, sizeof link->why, "it closed the connection");
            return false;
        }
    return true;
}

static bool exchange(struct link *link, struct str request, struct arena *arena, int *status, struct str *body)
{
    const char *why = NULL;
    if (link->tls == NULL ? !send_bytes(link, request) : tls_send(link->tls, request.data, request.size) != ERR_NONE || !send_tls(link)) return false;
    while (!http_answer_parse(buf_view(&link->plain), link->is_closed, arena, status, body, &why)) {
        if (why == NULL && link->is_closed) why = "it ended too early";
        if (why == NULL && link->plain.size > HTTP_ANSWER_SIZE_MAX) why = "it is too large";
        if (why != NULL) snprintf(link->why, sizeof link->why, "the answer can not be read: %s", why);
        if (why != NULL || !receive(link)) return false;
    }
    return true;
}

err http_post(const struct http_post *post, struct arena *arena, struct error *error, struct str *answer)
{
    struct url url;
    struct buf request = {0};
    struct str body;
    int status = 0;
    if (!url_parse(post->url, &url)) return error_set(error, arena, ERR_INVALID, "\"%.*s\" is no URL of http or https", STR_ARG(post->url));
    struct link link = {.fd = -1, .deadline = instant_add(steady(), post->timeout)};
    buf_printf(&request, "POST %.*s HTTP/1.1\r\nHost: %.*s:%d\r\nContent-Length: %zu\r\nConnection: close\r\n%.*s\r\n", STR_ARG(url.path), STR_ARG(url.host), url.port,
               post->body.size, STR_ARG(post->headers));
    buf_append_str(&request, post->body);
    bool is_good = connect_to(&link, &url, arena) && (!url.is_tls || secure(&link, &url, arena)) && exchange(&link, buf_view(&request), arena, &status, &body);
    if (is_good) *answer = arena_str(arena, body);
    if (link.fd >= 0) close(link.fd);
    tls_destroy(link.tls);
    buf_fini(&link.plain);
    buf_fini(&request);
    if (!is_good) return error_set(error, arena, ERR_UNAVAILABLE, "%s", link.why);
    return status == 200 ? ERR_NONE : error_set(error, arena, ERR_UNAVAILABLE, "it answered %d: %.*s", status, (int)size_min(answer->size, 200), answer->data);
}
