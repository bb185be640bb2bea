#include "capi/http_post.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

/* Looking up, then connecting, writing and reading. `is_over` from the end on: what still comes back only frees. */
struct http_post {
    struct loop *loop;
    void (*done)(void *arg, int status, struct str why);
    void *arg;
    struct timer timer;
    struct buf request, answer;
    uv_getaddrinfo_t lookup;
    uv_tcp_t socket;
    uv_connect_t connect;
    uv_write_t write;
    bool is_looking_up, has_socket, is_over;
};

enum { ANSWER_SIZE_MAX = 4096 }; /* of which the first line counts */

static void release(struct http_post *post)
{
    if (post->is_looking_up || post->has_socket) return;
    buf_fini(&post->request);
    buf_fini(&post->answer);
    free(post);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_post *post = handle->data;
    post->has_socket = false;
    release(post);
}

/* Ends the work; callbacks that are still due find is_over. */
static void end(struct http_post *post)
{
    post->is_over = true;
    timer_stop(&post->timer);
    if (post->is_looking_up) (void)uv_cancel((uv_req_t *)&post->lookup);
    if (post->has_socket) uv_close((uv_handle_t *)&post->socket, on_closed);
    else release(post);
}

static void finish(struct http_post *post, int status, struct str why)
{
    if (post->is_over) return;
    void (*done)(void *arg, int status, struct str why) = post->done;
    void *arg = post->arg;
    done(arg, status, why);
    end(post);
}

void http_post_cancel(struct http_post *post) { end(post); }

static void on_timeout(struct timer *timer, instant now)
{
    (void)now;
    finish(container_of(timer, struct http_post, timer), 0, STR("no answer in time"));
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct http_post *post = handle->data;
    (void)suggested;
    *out = uv_buf_init(loop_scratch(post->loop), LOOP_SCRATCH_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes)
{
    struct http_post *post = stream->data;
    if (post->is_over || size == 0) return;
    if (size < 0) {
        finish(post, 0, STR("the peer closed the connection"));
        return;
    }
    buf_append(&post->answer, bytes->base, size_min((size_t)size, ANSWER_SIZE_MAX - size_min(post->answer.size, ANSWER_SIZE_MAX)));
    struct str head = buf_view(&post->answer);
    if (memchr(head.data, '\n', head.size) == NULL && head.size < ANSWER_SIZE_MAX) return;
    bool is_http = head.size >= 12 && str_starts_with(head, STR("HTTP/1.")) && head.data[8] == ' ';
    int status = 0;
    for (int i = 9; is_http && i < 12; i++) {
        is_http = head.data[i] >= '0' && head.data[i] <= '9';
        status = status * 10 + (head.data[i] - '0');
    }
    finish(post, is_http ? status : 0, is_http ? STR_EMPTY : STR("the answer is not HTTP"));
}

static void on_written(uv_write_t *write, int status)
{
    struct http_post *post = write->data;
    if (status < 0) finish(post, 0, str_of(uv_strerror(status)));
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct http_post *post = connect->data;
    if (post->is_over) return;
    if (status < 0) {
        finish(post, 0, str_of(uv_strerror(status)));
        return;
    }
    uv_buf_t bytes = uv_buf_init(post->request.data, (unsigned)post->request.size);
    post->write.data = post;
    if (uv_read_start((uv_stream_t *)&post->socket, on_alloc, on_read) != 0 || uv_write(&post->write, (uv_stream_t *)&post->socket, &bytes, 1, on_written) != 0) {
        finish(post, 0, STR("the connection can not be used"));
    }
}

static void on_address(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct http_post *post = lookup->data;
    post->is_looking_up = false;
    if (post->is_over) {
        release(post);
    } else if (status < 0) {
        finish(post, 0, str_of(uv_strerror(status)));
    } else {
        uv_tcp_init(loop_uv(post->loop), &post->socket);
        post->has_socket = true;
        post->socket.data = post->connect.data = post;
        int failed = uv_tcp_connect(&post->connect, &post->socket, found->ai_addr, on_connected);
        if (failed != 0) finish(post, 0, str_of(uv_strerror(failed)));
    }
    uv_freeaddrinfo(found);
}

struct http_post *http_post_start(struct loop *loop, const struct http_post_request *request, void (*done)(void *arg, int status, struct str why), void *arg)
{
    struct http_post *post = xcalloc(1, sizeof *post);
    char port[12];
    char *host = str_dup_c(request->host);
    *post = (struct http_post){.loop = loop, .done = done, .arg = arg, .timer.fire = on_timeout};
    snprintf(port, sizeof port, "%d", request->port);
    buf_printf(&post->request, "POST %.*s HTTP/1.1\r\nHost: %s:%s\r\nContent-Length: %zu\r\nConnection: close\r\n%.*s\r\n",
               STR_ARG(request->path), host, port, request->body.size, STR_ARG(request->headers));
    buf_append_str(&post->request, request->body);
    loop_timer_in(loop, &post->timer, request->timeout);
    post->lookup.data = post;
    post->is_looking_up = uv_getaddrinfo(loop_uv(loop), &post->lookup, on_address, host, port, &(struct addrinfo){.ai_socktype = SOCK_STREAM}) == 0;
    if (!post->is_looking_up) loop_timer_in(loop, &post->timer, (duration){0}); /* tells of it in the next turn */
    free(host);
    return post;
}
