#include "net/http_post.h"

#include "net/pipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    HEAD_SIZE_MAX = 16 * 1024, /* of an answer, of which the first line counts */
    ADDRESSES_MAX = 8,
};

/* One socket. Closing takes a turn of the loop, so each address gets its own. */
struct socket {
    struct pipe pipe;
    uv_connect_t connect;
    struct http_post *post; /* NULL: abandoned */
};

/* A name lookup can not always be stopped, so it may outlive who asked. */
struct lookup {
    uv_getaddrinfo_t request;
    struct http_post *post; /* NULL: nobody waits any more */
};

struct http_post {
    struct loop *loop;
    void (*done)(void *arg, int status, struct str text);
    void *arg;
    struct timer timer;
    struct loop_defer defer;  /* tells of an end that came before the start had returned */
    struct buf request, answer, plain;
    struct str server_name;
    struct tls_context *tls;
    struct lookup *lookup;
    struct socket *socket;
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t address_count, address_index;
    size_t body_size_max;
    bool is_sent, is_failed;
    char why[256];
};

/* ---- the end ---- */

static void drop_socket(struct http_post *post)
{
    if (post->socket == NULL) return;
    post->socket->post = NULL;
    pipe_close(&post->socket->pipe);
    post->socket = NULL;
}

void http_post_cancel(struct http_post *post)
{
    loop_timer_stop(post->loop, &post->timer);
    loop_defer_stop(post->loop, &post->defer);
    if (post->lookup != NULL) {
        post->lookup->post = NULL;
        uv_cancel((uv_req_t *)&post->lookup->request);
    }
    drop_socket(post);
    tls_context_unref(post->tls);
    free((char *)(uintptr_t)post->server_name.data);
    buf_fini(&post->request);
    buf_fini(&post->answer);
    buf_fini(&post->plain);
    free(post);
}

static void finish(struct http_post *post, int status, struct str text)
{
    void (*done)(void *arg, int status, struct str text) = post->done;
    void *arg = post->arg;
    char *copy = str_dup_c(text);
    http_post_cancel(post);
    done(arg, status, str_make(copy, text.size));
    free(copy);
}

/* Told in the next turn: it may come from within the start, or from deep inside the socket. */
static void fail(struct http_post *post, const char *why)
{
    if (post->is_failed) return;
    post->is_failed = true;
    snprintf(post->why, sizeof post->why, "%s", why);
    loop_defer(post->loop, &post->defer);
}

static void on_defer(struct loop_defer *defer)
{
    struct http_post *post = container_of(defer, struct http_post, defer);
    finish(post, 0, str_of(post->why));
}

static void on_timeout(struct timer *timer, instant now)
{
    (void)now;
    struct http_post *post = container_of(timer, struct http_post, timer);
    finish(post, 0, str_of(post->is_sent ? "no answer in time" : "no connection in time"));
}

/* ---- the request and its answer ---- */

/* Statuses below 200 are news on the way; the answer follows. False: nothing to go on with yet. */
static bool read_head(struct http_post *post, int *status)
{
    for (;;) {
        struct str head = buf_view(&post->answer);
        *status = 0;
        if (head.size == 0 || memchr(head.data, '\n', head.size) == NULL) return head.size >= HEAD_SIZE_MAX;
        if (head.size < 12 || !str_starts_with(head, STR("HTTP/1.")) || head.data[8] != ' ') return true;
        for (int i = 9; i < 12; i++) {
            if (head.data[i] < '0' || head.data[i] > '9') {
                *status = 0;
                return true;
            }
            *status = *status * 10 + (head.data[i] - '0');
        }
        if (*status >= 200) return true;
        const char *end = memmem(head.data, head.size, "\r\n\r\n", 4);
        *status = 0;
        if (end == NULL) return head.size >= HEAD_SIZE_MAX;
        buf_consume(&post->answer, (size_t)(end - head.data) + 4);
    }
}

/* ---- a body ---- */

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

/* A number at the front of a text, at most 16 digits of it; *end: what stops it. */
static size_t number(struct str text, int base, char *end)
{
    char digits[17], *stop;
    size_t n = size_min(text.size, sizeof digits - 1);
    if (n != 0) memcpy(digits, text.data, n);
    digits[n] = '\0';
    unsigned long long value = strtoull(digits, &stop, base);
    *end = stop == digits ? '?' : *stop;
    return value > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)value;
}

/* Puts the chunks together. False: there are more to come, or they are malformed. */
static bool join_chunks(struct str rest, size_t size_max, struct buf *out, const char **why)
{
    buf_clear(out);
    for (;;) {
        const char *line_end = rest.size != 0 ? memchr(rest.data, '\n', rest.size) : NULL;
        char end;
        if (line_end == NULL) return false;
        size_t size = number((struct str){rest.data, (size_t)(line_end - rest.data)}, 16, &end);
        if ((end != '\r' && end != '\0' && end != ';' && end != ' ') || size > size_max || out->size + size > size_max) {
            *why = "its chunks make no sense, or too many";
            return false;
        }
        rest = str_skip(rest, (size_t)(line_end - rest.data) + 1);
        if (size == 0) return true;
        if (rest.size < size + 2) return false;
        buf_append(out, rest.data, size);
        rest = str_skip(rest, size + 2);
    }
}

bool http_body_parse(struct str answer, bool is_closed, size_t size_max, struct buf *joined, struct str *body, const char **why)
{
    const char *head_end = answer.size >= 4 ? memmem(answer.data, answer.size, "\r\n\r\n", 4) : NULL;
    *why = NULL;
    if (head_end == NULL && answer.size >= HEAD_SIZE_MAX) *why = "its head is too large";
    if (head_end == NULL) return false;
    struct str head = {answer.data, (size_t)(head_end - answer.data)}, rest = str_skip(answer, head.size + 4);
    struct str length = header_value(head, "content-length"), encoding = header_value(head, "transfer-encoding");
    if (encoding.size == 7 && strncasecmp(encoding.data, "chunked", 7) == 0) {
        if (!join_chunks(rest, size_max, joined, why)) return false;
        *body = buf_view(joined);
        return true;
    }
    char end;
    size_t wanted = length.size != 0 ? number(length, 10, &end) : rest.size;
    if (wanted > size_max || (length.size != 0 && end != '\0')) *why = "it is too large";
    *body = str_make(rest.data, size_min(wanted, rest.size));
    return *why == NULL && (length.size != 0 ? rest.size >= wanted : is_closed);
}

static void send_request(struct http_post *post)
{
    post->is_sent = true;
    pipe_write(&post->socket->pipe, buf_view(&post->request));
    if (post->socket->pipe.is_broken) fail(post, "the connection broke while sending");
}

/* Ends with the body when it is there. False: not yet. */
static bool read_body(struct http_post *post, int status, bool is_closed)
{
    struct buf joined = {0};
    struct str body;
    const char *why;
    bool is_whole = http_body_parse(buf_view(&post->answer), is_closed, post->body_size_max, &joined, &body, &why);
    if (is_whole) finish(post, status, body);
    else if (why != NULL) fail(post, why);
    buf_fini(&joined);
    return is_whole || why != NULL;
}

static void on_bytes(struct pipe *pipe, struct str bytes)
{
    struct http_post *post = container_of(pipe, struct socket, pipe)->post;
    int status;
    if (post == NULL || post->is_failed) return;
    if (!post->is_sent) send_request(post); /* the handshake of TLS is over */
    size_t room = HEAD_SIZE_MAX + 2 * post->body_size_max; /* chunks have their own heads */
    if (post->answer.size < room) buf_append(&post->answer, bytes.data, size_min(bytes.size, room - post->answer.size));
    if (post->is_failed || !read_head(post, &status)) return;
    if (status == 0) fail(post, "the answer is not HTTP");
    else if (post->body_size_max == 0) finish(post, status, STR_EMPTY);
    else (void)read_body(post, status, false);
}

static void on_end(struct pipe *pipe, const char *why)
{
    struct http_post *post = container_of(pipe, struct socket, pipe)->post;
    int status;
    if (post == NULL) return;
    bool has_head = post->body_size_max != 0 && !post->is_failed && post->answer.size != 0 && read_head(post, &status) && status != 0;
    if (!has_head || !read_body(post, status, true)) fail(post, why);
}

static void on_written(struct pipe *pipe)
{
    struct http_post *post = container_of(pipe, struct socket, pipe)->post;
    if (post != NULL && pipe->is_broken) fail(post, "the connection broke while sending");
}

static void on_closed(struct pipe *pipe) { free(container_of(pipe, struct socket, pipe)); }

static const struct pipe_events pipe_events = {on_bytes, on_end, on_written, on_closed};

/* ---- connecting ---- */

static void try_address(struct http_post *post);

static void try_next(struct http_post *post, int failure)
{
    char words[160], address[80];
    address_format(&post->addresses[post->address_index], address, sizeof address);
    drop_socket(post);
    if (++post->address_index < post->address_count) {
        try_address(post);
        return;
    }
    snprintf(words, sizeof words, "can not connect to %s: %s", address, uv_strerror(failure));
    fail(post, words);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct socket *socket = container_of(connect, struct socket, connect);
    struct http_post *post = socket->post;
    if (post == NULL || post->is_failed) return;
    if (status < 0) {
        try_next(post, status);
        return;
    }
    pipe_set_reading(&socket->pipe, true);
    if (post->tls != NULL) {
        socket->pipe.tls = tls_create(post->tls, false, post->server_name, STR_EMPTY);
        pipe_write_tls(&socket->pipe);
    } else {
        send_request(post);
    }
}

static void try_address(struct http_post *post)
{
    struct socket *socket = post->socket = xcalloc(1, sizeof *socket);
    pipe_init(&socket->pipe, post->loop, &pipe_events, &post->plain);
    socket->post = post;
    int result = uv_tcp_connect(&socket->connect, &socket->pipe.tcp, (struct sockaddr *)&post->addresses[post->address_index], on_connected);
    if (result != 0) try_next(post, result);
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *results)
{
    struct lookup *lookup = container_of(request, struct lookup, request);
    struct http_post *post = lookup->post;
    free(lookup);
    if (post != NULL) {
        post->lookup = NULL;
        for (struct addrinfo *r = results; r != NULL && post->address_count < ADDRESSES_MAX; r = r->ai_next)
            if (r->ai_family == AF_INET || r->ai_family == AF_INET6) memcpy(&post->addresses[post->address_count++], r->ai_addr, r->ai_addrlen);
        if (post->is_failed) (void)0;
        else if (status != 0 || post->address_count == 0) fail(post, status != 0 ? uv_strerror(status) : "the name has no address");
        else try_address(post);
    }
    uv_freeaddrinfo(results);
}

static void look_up(struct http_post *post, const char *host, int port)
{
    char service[12];
    snprintf(service, sizeof service, "%d", port);
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&post->addresses[0]) == 0 || uv_ip6_addr(host, port, (struct sockaddr_in6 *)&post->addresses[0]) == 0) {
        post->address_count = 1;
        try_address(post);
        return;
    }
    struct lookup *lookup = xcalloc(1, sizeof *lookup);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    lookup->post = post;
    post->lookup = lookup;
    int result = uv_getaddrinfo(loop_uv(post->loop), &lookup->request, on_looked_up, host, service, &hints);
    if (result == 0) return;
    post->lookup = NULL;
    free(lookup);
    fail(post, uv_strerror(result));
}

struct http_post *http_post_start(struct loop *loop, const struct http_post_request *request, void (*done)(void *arg, int status, struct str text), void *arg)
{
    struct http_post *post = xcalloc(1, sizeof *post);
    char *host = str_dup_c(request->host);
    const char *open = strchr(host, ':') != NULL ? "[" : "", *close = *open != '\0' ? "]" : "";
    *post = (struct http_post){.loop = loop, .done = done, .arg = arg, .timer.fire = on_timeout, .defer.run = on_defer, .server_name = str_of(host), .body_size_max = request->body_size_max};
    if (request->tls != NULL) post->tls = tls_context_ref(request->tls);
    buf_printf(&post->request, "POST %.*s HTTP/1.1\r\nHost: %s%s%s:%d\r\nContent-Length: %zu\r\nConnection: close\r\n%.*s\r\n",
               STR_ARG(request->path), open, host, close, request->port, request->body.size, STR_ARG(request->headers));
    buf_append_str(&post->request, request->body);
    loop_timer_in(loop, &post->timer, request->timeout);
    look_up(post, host, request->port);
    return post;
}
