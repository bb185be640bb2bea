#include "net/http_post.h"

#include "net/pipe.h"

#include <stdio.h>
#include <stdlib.h>

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
    void (*done)(void *arg, int status, struct str why);
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

static void finish(struct http_post *post, int status, const char *why)
{
    void (*done)(void *arg, int status, struct str why) = post->done;
    void *arg = post->arg;
    char words[256];
    snprintf(words, sizeof words, "%s", why);
    http_post_cancel(post);
    done(arg, status, str_of(words));
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
    finish(post, 0, post->why);
}

static void on_timeout(struct timer *timer, instant now)
{
    (void)now;
    struct http_post *post = container_of(timer, struct http_post, timer);
    finish(post, 0, post->is_sent ? "no answer in time" : "no connection in time");
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

static void send_request(struct http_post *post)
{
    post->is_sent = true;
    pipe_write(&post->socket->pipe, buf_view(&post->request));
    if (post->socket->pipe.is_broken) fail(post, "the connection broke while sending");
}

static void on_bytes(struct pipe *pipe, struct str bytes)
{
    struct http_post *post = container_of(pipe, struct socket, pipe)->post;
    int status;
    if (post == NULL || post->is_failed) return;
    if (!post->is_sent) send_request(post); /* the handshake of TLS is over */
    if (post->answer.size < HEAD_SIZE_MAX) buf_append(&post->answer, bytes.data, size_min(bytes.size, HEAD_SIZE_MAX - post->answer.size));
    if (post->is_failed || !read_head(post, &status)) return;
    if (status == 0) fail(post, "the answer is not HTTP");
    else finish(post, status, "");
}

static void on_end(struct pipe *pipe, const char *why)
{
    struct http_post *post = container_of(pipe, struct socket, pipe)->post;
    if (post != NULL) fail(post, why);
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

struct http_post *http_post_start(struct loop *loop, const struct http_post_request *request, void (*done)(void *arg, int status, struct str why), void *arg)
{
    struct http_post *post = xcalloc(1, sizeof *post);
    char *host = str_dup_c(request->host);
    const char *open = strchr(host, ':') != NULL ? "[" : "", *close = *open != '\0' ? "]" : "";
    *post = (struct http_post){.loop = loop, .done = done, .arg = arg, .timer.fire = on_timeout, .defer.run = on_defer, .server_name = str_of(host)};
    if (request->tls != NULL) post->tls = tls_context_ref(request->tls);
    buf_printf(&post->request, "POST %.*s HTTP/1.1\r\nHost: %s%s%s:%d\r\nContent-Length: %zu\r\nConnection: close\r\n%.*s\r\n",
               STR_ARG(request->path), open, host, close, request->port, request->body.size, STR_ARG(request->headers));
    buf_append_str(&post->request, request->body);
    loop_timer_in(loop, &post->timer, request->timeout);
    look_up(post, host, request->port);
    return post;
}
