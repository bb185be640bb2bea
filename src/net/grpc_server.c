#include "net/grpc_server.h"

#include "base/log.h"
#include "net/http1.h"
#include "net/pipe.h"
#include "net/server_session.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    BACKLOG = 1024, WRITE_SIZE = 64 * 1024, LINGER_MS = 1000,
    DESCRIPTORS_KEPT = 64, /* for files, the store and the rest of the process */
};
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE_SIZE = sizeof preface - 1 };

enum connection_state {
    CONNECTION_GREETING, /* TLS handshake, or not enough bytes to tell the protocol */
    CONNECTION_HTTP2,
    CONNECTION_HTTP1,
    CONNECTION_LINGERING, /* everything is sent; what still comes is dropped until the peer closes or a second is over */
    CONNECTION_CLOSED,
};

struct http1 {
    void *user;
    bool is_closing; /* after what is queued */
};

struct connection {
    struct pipe pipe;
    struct list link;
    struct grpc_server *server;
    struct server_session *session;  /* while CONNECTION_HTTP2 */
    struct http1 http1;
    struct timer timer;              /* greeting, stalled write, lingering */
    struct loop_defer defer;         /* flush, or close, at the end of the turn */
    size_t unsent_seen;              /* bytes left at the last look of the timer */
    enum connection_state state;
    bool is_http1_kept;
    uint8_t greeting_size;
    char greeting[PREFACE_SIZE];
    char peer[PEER_SIZE];
};

struct grpc_server {
    struct server_core core;
    struct loop *loop;
    uv_tcp_t *listener; /* NULL: none, or no more */
    struct tls_context *tls;
    struct list connections;
    struct buf out, plain; /* scratch of one write, one read */
    size_t connection_count;
    char *ip; /* with `port`: where the listener is bound, or was to be */
    int port;
    bool is_draining;
    struct timer drain_timer;
    struct loop_defer drain_defer;
    void (*on_drained)(void *arg);
    void *on_drained_arg;
};

static void connection_flush(struct connection *c);
static void connection_close(struct connection *c);

static instant clock_wall(void *loop) { return loop_now(loop); }
static instant clock_steady(void *loop) { return loop_steady(loop); }

/* ---- closing */

static void on_pipe_closed(struct pipe *pipe) { free(container_of(pipe, struct connection, pipe)); }

static void check_drained(struct grpc_server *server)
{
    if (server->is_draining && server->connection_count == 0) loop_defer(server->loop, &server->drain_defer);
}

/* Not from inside a callback of the session. */
static void connection_close(struct connection *c)
{
    struct grpc_server *server = c->server;
    if (c->state == CONNECTION_CLOSED) return;
    enum connection_state state = c->state;
    c->state = CONNECTION_CLOSED;
    loop_timer_stop(server->loop, &c->timer);
    loop_defer_stop(server->loop, &c->defer);
    if (c->session != NULL) server_session_destroy(c->session);
    c->session = NULL;
    if (state == CONNECTION_HTTP1 && !c->http1.is_closing && server->core.handler->http1 != NULL)
        server->core.handler->http1->on_close(server->core.handler_arg, &c->http1);
    loop_defer_stop(server->loop, &c->defer); /* a handler may have asked for a flush meanwhile */
    list_remove(&c->link);
    server->connection_count--;
    server->core.stats.connection_count--;
    pipe_close(&c->pipe);
    check_drained(server);
}

/* Closing a socket with unread bytes makes the kernel reset it, and the peer may lose our last words. */
static void connection_linger(struct connection *c)
{
    if (c->state == CONNECTION_LINGERING || c->state == CONNECTION_CLOSED) return;
    if (c->pipe.tls != NULL) {
        tls_close(c->pipe.tls);
        pipe_write_tls(&c->pipe);
    }
    if (c->session != NULL) server_session_destroy(c->session);
    c->session = NULL;
    c->state = CONNECTION_LINGERING;
    if (!pipe_shut(&c->pipe)) {
        connection_close(c);
        return;
    }
    loop_timer_in(c->server->loop, &c->timer, duration_ms(LINGER_MS));
}

/* ---- at the end of a turn */

static void flush_session(struct connection *c)
{
    struct buf *out = &c->server->out;
    while (!c->pipe.is_writing && !c->pipe.is_broken) {
        buf_clear(out);
        server_session_send(c->session, out, WRITE_SIZE);
        if (out->size == 0) break;
        pipe_write(&c->pipe, buf_view(out));
    }
}

/* A peer that takes nothing is cut by the timer. */
static void watch_write(struct connection *c)
{
    duration stall = c->server->core.options.stall_timeout;
    if (!c->pipe.is_writing || stall.ns < 0 || timer_is_set(&c->timer)) return;
    c->unsent_seen = pipe_unsent(&c->pipe);
    loop_timer_in(c->server->loop, &c->timer, stall);
}

static void connection_flush(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED) return;
    if (c->state == CONNECTION_HTTP2) flush_session(c);
    if (c->pipe.is_broken || (c->session != NULL && c->session->is_cut)) {
        connection_close(c);
        return;
    }
    bool is_done = c->state == CONNECTION_HTTP2 ? c->session->is_closing : c->state == CONNECTION_HTTP1 && c->http1.is_closing;
    if (is_done && !c->pipe.is_writing) {
        connection_linger(c);
        return;
    }
    /* Who does not take answers gets no more questions in: what waits for one peer stays bounded. */
    watch_write(c);
    pipe_set_reading(&c->pipe, !c->pipe.is_writing);
}

static void on_pipe_written(struct pipe *pipe) { connection_flush(container_of(pipe, struct connection, pipe)); }
static void on_flush(struct loop_defer *defer) { connection_flush(container_of(defer, struct connection, defer)); }

static void on_session_pending(struct server_session *session)
{
    struct connection *c = session->owner;
    loop_defer(c->server->loop, &c->defer);
}

static void on_connection_timer(struct timer *timer, instant now)
{
    (void)now;
    struct connection *c = container_of(timer, struct connection, timer);
    struct grpc_server *server = c->server;
    const struct grpc_server_options *o = &server->core.options;
    if (c->pipe.is_writing && o->stall_timeout.ns >= 0 && c->state != CONNECTION_GREETING && c->state != CONNECTION_LINGERING) {
        size_t left = pipe_unsent(&c->pipe);
        if (left != c->unsent_seen) { /* it takes some; look again */
            c->unsent_seen = left;
            loop_timer_in(server->loop, timer, o->stall_timeout);
            return;
        }
        reach("grpc_server: a peer reads nothing");
    } else if (c->state == CONNECTION_HTTP2 || (c->state == CONNECTION_HTTP1 && c->is_http1_kept)) {
        return; /* the write came through meanwhile */
    }
    if (c->state != CONNECTION_LINGERING) server->core.stats.cut_total++;
    connection_close(c);
}

/* ---- reading */

static void start_http2(struct connection *c)
{
    c->state = CONNECTION_HTTP2;
    loop_timer_stop(c->server->loop, &c->timer);
    static atomic_uint_fast64_t last_id; /* connection ids are unique among all servers of the process */
    uint64_t id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    c->session = server_session_create(&c->server->core, id, c->peer, c);
    if (c->pipe.tls != NULL) c->session->subject = tls_peer_subject(c->pipe.tls);
    server_session_receive(c->session, preface, PREFACE_SIZE);
    if (c->server->is_draining) server_session_drain(c->session);
}

static void refuse_http1(struct connection *c)
{
    static const char text[] = "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain\r\nContent-Length: 39\r\n"
                               "Connection: close\r\n\r\nThis port speaks gRPC over HTTP/2 only.";
    pipe_write(&c->pipe, STR(text));
    c->http1.is_closing = true;
    loop_defer(c->server->loop, &c->defer);
}

static void start_http1(struct connection *c)
{
    c->state = CONNECTION_HTTP1;
    if (c->greeting_size > 0 && (c->greeting[0] < 'A' || c->greeting[0] > 'Z')) {
        c->pipe.is_broken = true; /* no protocol that we know begins like that */
        c->server->core.stats.cut_total++;
        c->http1.is_closing = true;
        loop_defer(c->server->loop, &c->defer);
    } else if (c->server->core.handler->http1 == NULL) {
        refuse_http1(c);
    }
}

static void give_http1(struct connection *c, struct str bytes)
{
    const struct http1_handler *handler = c->server->core.handler->http1;
    if (bytes.size != 0 && !c->http1.is_closing) handler->on_bytes(c->server->core.handler_arg, &c->http1, bytes);
}

/* Tells the protocol by the first bytes. They may come one by one. */
static void receive_plain(struct connection *c, struct str bytes)
{
    if (c->state == CONNECTION_GREETING) {
        size_t at = c->greeting_size, n = size_min(bytes.size, PREFACE_SIZE - at);
        bool is_http2 = memcmp(preface + at, bytes.data, n) == 0;
        memcpy(c->greeting + at, bytes.data, n);
        c->greeting_size = (uint8_t)(at + n);
        bytes = str_skip(bytes, n);
        if (!is_http2) {
            start_http1(c);
            give_http1(c, str_make(c->greeting, c->greeting_size));
        } else if (c->greeting_size == PREFACE_SIZE) {
            start_http2(c);
        }
    }
    if (bytes.size == 0) return;
    if (c->state == CONNECTION_HTTP2) server_session_receive(c->session, bytes.data, bytes.size);
    else if (c->state == CONNECTION_HTTP1) give_http1(c, bytes);
}

static void on_pipe_bytes(struct pipe *pipe, struct str bytes)
{
    struct connection *c = container_of(pipe, struct connection, pipe);
    if (c->state != CONNECTION_LINGERING && bytes.size > 0) receive_plain(c, bytes);
}

static void on_pipe_end(struct pipe *pipe, const char *why)
{
    struct connection *c = container_of(pipe, struct connection, pipe);
    log_debug("net", "connection ended", "peer", c->peer, "why", why);
    if (c->state == CONNECTION_GREETING) c->server->core.stats.cut_total++;
    connection_close(c);
}

static const struct pipe_events pipe_events = {on_pipe_bytes, on_pipe_end, on_pipe_written, on_pipe_closed};

/* ---- HTTP/1.1 */

static struct connection *connection_of(const struct http1 *http1)
{
    return container_of((struct http1 *)(uintptr_t)http1, struct connection, http1);
}

void http1_send(struct http1 *http1, struct str bytes)
{
    struct connection *c = connection_of(http1);
    if (c->state == CONNECTION_HTTP1 && !http1->is_closing) pipe_write(&c->pipe, bytes);
    loop_defer(c->server->loop, &c->defer);
}

void http1_close(struct http1 *http1)
{
    http1->is_closing = true;
    loop_defer(connection_of(http1)->server->loop, &connection_of(http1)->defer);
}

void http1_keep(struct http1 *http1) { connection_of(http1)->is_http1_kept = true; }
size_t http1_unsent(const struct http1 *http1) { return pipe_unsent(&connection_of(http1)->pipe); }
struct str http1_peer(const struct http1 *http1) { return str_of(connection_of(http1)->peer); }
void http1_set_user(struct http1 *http1, void *user) { http1->user = user; }
void *http1_user(const struct http1 *http1) { return http1->user; }

/* ---- accepting */

static void note_peer(struct connection *c)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    if (uv_tcp_getpeername(&c->pipe.tcp, (struct sockaddr *)&address, &size) == 0) address_format(&address, c->peer, sizeof c->peer);
}

static struct connection *connection_create(struct grpc_server *server)
{
    struct connection *c = xcalloc(1, sizeof *c);
    c->server = server;
    pipe_init(&c->pipe, server->loop, &pipe_events, &server->plain);
    c->timer.fire = on_connection_timer;
    c->defer.run = on_flush;
    return c;
}

static void connection_start(struct connection *c)
{
    struct grpc_server *server = c->server;
    server->core.stats.accepted_total++;
    if (server->connection_count >= server->core.options.connection_count_max || server->is_draining) {
        reach("grpc_server: too many connections");
        server->core.stats.refused_total++;
        pipe_close(&c->pipe);
        return;
    }
    uv_tcp_nodelay(&c->pipe.tcp, 1);
    note_peer(c);
    if (server->tls != NULL) c->pipe.tls = tls_create(server->tls, true, STR_EMPTY, STR_EMPTY);
    list_push(&server->connections, &c->link);
    server->connection_count++;
    server->core.stats.connection_count++;
    duration limit = server->core.options.handshake_timeout;
    if (limit.ns >= 0) loop_timer_in(server->loop, &c->timer, limit);
    pipe_set_reading(&c->pipe, true);
}

void grpc_server_adopt(struct grpc_server *server, int fd)
{
    struct connection *c = connection_create(server);
    if (uv_tcp_open(&c->pipe.tcp, fd) != 0) {
        close(fd);
        pipe_close(&c->pipe);
        return;
    }
    connection_start(c);
}

/* libuv owns the accepted descriptor, so the other loop gets a copy of it. */
static void pass_on(struct connection *c)
{
    uv_os_fd_t fd;
    struct grpc_server *server = c->server;
    int copy = uv_fileno((uv_handle_t *)&c->pipe.tcp, &fd) == 0 ? dup(fd) : -1;
    pipe_close(&c->pipe);
    if (copy >= 0) server->core.options.on_accept(server->core.options.on_accept_arg, copy);
    else server->core.stats.refused_total++;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct grpc_server *server = listener->data;
    if (status != 0) {
        log_warn("net", "a connection could not be accepted", "why", uv_strerror(status));
        return;
    }
    struct connection *c = connection_create(server);
    if (uv_accept(listener, (uv_stream_t *)&c->pipe.tcp) != 0) pipe_close(&c->pipe);
    else if (server->core.options.on_accept != NULL) pass_on(c);
    else connection_start(c);
}

static uint32_t connection_limit(uint32_t wanted)
{
    struct rlimit limit;
    if (wanted == 0) wanted = 10000;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    rlim_t room = limit.rlim_cur > 2 * DESCRIPTORS_KEPT ? limit.rlim_cur - DESCRIPTORS_KEPT : limit.rlim_cur / 2;
    return room < wanted ? (uint32_t)room : wanted;
}

/* Sets the port to the one that was given. The system refuses a port that has a listener; two that are merely bound it lets be. */
static int bind_listener(struct grpc_server *server)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    int result = uv_ip4_addr(server->ip, server->port, (struct sockaddr_in *)&address);
    if (result != 0) result = uv_ip6_addr(server->ip, server->port, (struct sockaddr_in6 *)&address);
    if (result == 0) result = uv_tcp_bind(server->listener, (struct sockaddr *)&address, 0);
    if (result == 0) result = uv_tcp_getsockname(server->listener, (struct sockaddr *)&address, &size); /* says too what bind kept back */
    if (result == 0)
        server->port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                           : ((struct sockaddr_in *)&address)->sin_port);
    return result;
}

static void on_drain_defer(struct loop_defer *defer);
static void on_drain_timer(struct timer *timer, instant now);

static struct grpc_server *server_create(struct loop *loop, const struct grpc_server_options *options)
{
    struct grpc_server *server = xcalloc(1, sizeof *server);
    struct grpc_server_options resolved = *options;
    resolved.connection_count_max = connection_limit(options->connection_count_max);
    if (resolved.seed == 0) resolved.seed = (uint64_t)loop_now(loop).ns;
    server_core_init(&server->core, &resolved, NULL, NULL); /* its handler comes with grpc_server_serve */
    server->loop = loop;
    server->ip = str_dup_c(str_is_empty(options->ip) ? STR("127.0.0.1") : options->ip);
    server->port = options->port;
    server->core.timers = loop_steady_timers(loop);
    server->core.clock = loop;
    server->core.wall = clock_wall;
    server->core.steady = clock_steady;
    server->core.on_pending = on_session_pending;
    server->drain_defer.run = on_drain_defer;
    server->drain_timer.fire = on_drain_timer;
    list_init(&server->connections);
    return server;
}

static void server_free(struct grpc_server *server)
{
    tls_context_unref(server->tls);
    buf_fini(&server->out);
    buf_fini(&server->plain);
    server_core_fini(&server->core);
    free(server->ip);
    free(server);
}

static void free_listener(uv_handle_t *listener) { free(listener); }

static void close_listener(struct grpc_server *server)
{
    if (server->listener != NULL) uv_close((uv_handle_t *)server->listener, free_listener);
    server->listener = NULL;
}

/* What the system said of the listener's address, as an error of ours. */
static err listener_result(const struct grpc_server *server, int result, struct arena *arena, struct error *error)
{
    if (result == 0) return ERR_NONE;
    err code = result == UV_EINVAL ? ERR_INVALID : ERR_UNAVAILABLE;
    return error_set(error, arena, code, "can not listen on %s port %d: %s", server->ip, server->port, uv_strerror(result));
}

static err bind_server(struct grpc_server *server, const struct grpc_server_options *options, struct arena *arena, struct error *error)
{
    if (options->tls != NULL) TRY(grpc_server_set_tls(server, options->tls, arena, error));
    if (options->does_not_listen) return ERR_NONE;
    server->listener = xmalloc(sizeof *server->listener);
    uv_tcp_init(loop_uv(server->loop), server->listener);
    server->listener->data = server;
    return listener_result(server, bind_listener(server), arena, error);
}

err grpc_server_bind(struct grpc_server **out, struct loop *loop, const struct grpc_server_options *options, struct arena *arena, struct error *error)
{
    struct grpc_server *server = server_create(loop, options);
    err e = bind_server(server, options, arena, error);
    if (e == ERR_NONE) *out = server;
    else grpc_server_destroy(server);
    return e;
}

err grpc_server_serve(struct grpc_server *server, const struct grpc_handler *handler, void *arg, struct arena *arena, struct error *error)
{
    ensure(server->core.handler == NULL && !server->is_draining);
    server->core.handler = handler;
    server->core.handler_arg = arg;
    if (server->listener == NULL) return ERR_NONE;
    return listener_result(server, uv_listen((uv_stream_t *)server->listener, BACKLOG, on_connection), arena, error);
}

err grpc_server_listen(struct grpc_server **out, struct loop *loop, const struct grpc_server_options *options,
                       const struct grpc_handler *handler, void *arg, struct arena *arena, struct error *error)
{
    struct grpc_server *server;
    TRY(grpc_server_bind(&server, loop, options, arena, error));
    err e = grpc_server_serve(server, handler, arg, arena, error);
    if (e == ERR_NONE) *out = server;
    else grpc_server_destroy(server);
    return e;
}

int grpc_server_port(const struct grpc_server *server) { return server->port; }

err grpc_server_set_tls(struct grpc_server *server, const struct tls_options *options, struct arena *arena, struct error *error)
{
    struct tls_context *context;
    TRY(tls_context_create(&context, options, true, arena, error));
    tls_context_unref(server->tls);
    server->tls = context;
    return ERR_NONE;
}

/* ---- the end */

static void cut_all(struct grpc_server *server)
{
    for (struct list *link; (link = list_first(&server->connections)) != NULL;)
        connection_close(container_of(link, struct connection, link));
}

static void on_drain_defer(struct loop_defer *defer)
{
    struct grpc_server *server = container_of(defer, struct grpc_server, drain_defer);
    loop_timer_stop(server->loop, &server->drain_timer);
    void (*done)(void *arg) = server->on_drained;
    server->on_drained = NULL;
    if (done != NULL) done(server->on_drained_arg);
}

static void on_drain_timer(struct timer *timer, instant now)
{
    (void)now;
    struct grpc_server *server = container_of(timer, struct grpc_server, drain_timer);
    cut_all(server);
    check_drained(server);
}

void grpc_server_drain(struct grpc_server *server, duration grace, void (*done)(void *arg), void *arg)
{
    ensure(!server->is_draining);
    server->is_draining = true;
    server->on_drained = done;
    server->on_drained_arg = arg;
    close_listener(server);
    list_each_safe(link, &server->connections) {
        struct connection *c = container_of(link, struct connection, link);
        if (c->state == CONNECTION_HTTP2) server_session_drain(c->session);
        else if (c->state == CONNECTION_GREETING || c->state == CONNECTION_HTTP1) connection_close(c);
    }
    loop_timer_in(server->loop, &server->drain_timer, grace);
    check_drained(server);
}

void grpc_server_destroy(struct grpc_server *server)
{
    server->on_drained = NULL;
    cut_all(server);
    loop_timer_stop(server->loop, &server->drain_timer);
    loop_defer_stop(server->loop, &server->drain_defer);
    close_listener(server);
    server_free(server);
}

void grpc_server_stats(const struct grpc_server *server, struct grpc_server_stats *stats) { *stats = server->core.stats; }

void grpc_server_close_connection(struct grpc_server *server, uint64_t connection_id)
{
    list_each(link, &server->connections) {
        struct connection *c = container_of(link, struct connection, link);
        if (c->session == NULL || c->session->id != connection_id) continue;
        server_session_cut(c->session, "closed by the server");
        return;
    }
}
