#include "net/client_link.h"

#include "net/pipe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ADDRESSES_MAX = 16, WRITE_SIZE = 64 * 1024, PROXY_ANSWER_MAX = 8 * 1024,
    ADDRESS_SHARE_MS = 2000, /* the most that one address may take while others wait */
};

enum phase { PHASE_RESOLVING, PHASE_CONNECTING, PHASE_PROXY, PHASE_TLS, PHASE_SETTINGS, PHASE_READY };

/* A name lookup can not always be stopped, so it may outlive the link that asked. */
struct lookup {
    uv_getaddrinfo_t request;
    struct client_link *link; /* NULL: nobody waits any more */
};

/* One socket. Closing takes a turn of the loop, so each address gets its own. */
struct socket {
    struct pipe pipe;
    uv_connect_t connect;
    struct client_link *link; /* NULL: abandoned */
};

struct client_link {
    struct client_link_options options;
    const struct client_link_events *events;
    void *owner;
    enum phase phase;
    struct lookup *lookup;
    struct socket *socket;
    struct client_session *session;
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t address_count, address_index;
    struct buf proxy_answer;
    struct timer connect_timer, address_timer, keepalive_timer, idle_timer;
    struct loop_defer defer; /* flush, or report the loss, at the end of the turn */
    bool is_lost, is_ping_sent, was_ready;
    char why[256];
};

/* ---- the end */

static void on_pipe_closed(struct pipe *pipe) { free(container_of(pipe, struct socket, pipe)); }

static void drop_socket(struct client_link *link)
{
    if (link->socket == NULL) return;
    link->socket->link = NULL;
    pipe_close(&link->socket->pipe);
    link->socket = NULL;
}

void client_link_destroy(struct client_link *link)
{
    struct loop *loop = link->options.loop;
    if (link->session != NULL) {
        struct client_session *session = link->session;
        link->session = NULL;
        snprintf(session->why, sizeof session->why, "%.150s", link->why);
        client_session_destroy(session);
    }
    if (link->lookup != NULL) {
        link->lookup->link = NULL;
        uv_cancel((uv_req_t *)&link->lookup->request);
    }
    drop_socket(link);
    loop_timer_stop(loop, &link->connect_timer);
    loop_timer_stop(loop, &link->address_timer);
    loop_timer_stop(loop, &link->keepalive_timer);
    loop_timer_stop(loop, &link->idle_timer);
    loop_defer_stop(loop, &link->defer);
    buf_fini(&link->proxy_answer);
    free(link);
}

/* Reported at the end of the turn: this may be called from deep inside the session. */
static void lose(struct client_link *link, const char *format, ...) PRINTF_LIKE(2, 3);
static void lose(struct client_link *link, const char *format, ...)
{
    if (link->is_lost) return;
    va_list args;
    va_start(args, format);
    vsnprintf(link->why, sizeof link->why, format, args);
    va_end(args);
    link->is_lost = true;
    loop_defer(link->options.loop, &link->defer);
}

/* ---- the session */

static void flush(struct client_link *link)
{
    struct buf *out = link->options.out;
    if (link->session == NULL) return;
    struct pipe *pipe = &link->socket->pipe;
    while (!pipe->is_writing && !pipe->is_broken) {
        buf_clear(out);
        client_session_send(link->session, out, WRITE_SIZE);
        if (out->size == 0) break;
        pipe_write(pipe, buf_view(out));
    }
    if (pipe->is_broken) lose(link, "the connection broke while sending");
    else if (client_session_is_finished(link->session) || (link->session->is_goaway && link->session->call_count == 0))
        lose(link, "%s", link->session->why[0] != '\0' ? link->session->why : "the HTTP/2 session ended");
}

static void on_defer(struct loop_defer *defer)
{
    struct client_link *link = container_of(defer, struct client_link, defer);
    if (!link->is_lost) flush(link);
    if (!link->is_lost) return;
    /* The owner must not find its calls in a link that is half gone: they are reported first. */
    const struct client_link_events *events = link->events;
    void *owner = link->owner;
    if (link->session != NULL) {
        struct client_session *session = link->session;
        link->session = NULL;
        snprintf(session->why, sizeof session->why, "%.150s", link->why);
        client_session_destroy(session);
    }
    events->on_lost(owner, link, link->why);
    client_link_destroy(link);
}

static void on_session_pending(struct client_session *session)
{
    struct client_link *link = session->owner;
    loop_defer(link->options.loop, &link->defer);
}

static void watch_idle(struct client_link *link)
{
    if (link->options.idle_max.ns > 0 && link->session != NULL && link->session->call_count == 0)
        loop_timer_in(link->options.loop, &link->idle_timer, link->options.idle_max);
}

static void on_idle(struct timer *timer, instant now)
{
    (void)now;
    struct client_link *link = container_of(timer, struct client_link, idle_timer);
    if (link->session->call_count == 0) lose(link, "nothing was asked for a while");
}

static void watch_keepalive(struct client_link *link, duration delay)
{
    if (link->options.keepalive_interval.ns > 0) loop_timer_in(link->options.loop, &link->keepalive_timer, delay);
}

static void on_keepalive(struct timer *timer, instant now)
{
    (void)now;
    struct client_link *link = container_of(timer, struct client_link, keepalive_timer);
    const struct client_link_options *o = &link->options;
    bool is_silent = !link->session->has_received;
    if (is_silent && link->is_ping_sent) {
        lose(link, "the server answers no ping");
        return;
    }
    link->is_ping_sent = is_silent && (link->session->call_count > 0 || o->keepalive_without_calls);
    link->session->has_received = false;
    if (link->is_ping_sent) client_session_ping(link->session);
    watch_keepalive(link, link->is_ping_sent ? o->keepalive_timeout : o->keepalive_interval);
}

static void on_session_ready(struct client_session *session)
{
    struct client_link *link = session->owner;
    link->phase = PHASE_READY;
    link->was_ready = true;
    loop_timer_stop(link->options.loop, &link->connect_timer);
    watch_keepalive(link, link->options.keepalive_interval);
    watch_idle(link);
    link->events->on_ready(link->owner, link);
}

static void on_session_goaway(struct client_session *session)
{
    struct client_link *link = session->owner;
    link->events->on_goaway(link->owner, link);
}

static void on_session_over(struct client_session *session, struct grpc_client_call *call, bool is_untouched)
{
    struct client_link *link = session->owner;
    watch_idle(link);
    if (session->is_goaway) loop_defer(link->options.loop, &link->defer); /* perhaps that was the last one */
    link->events->on_over(link->owner, call, is_untouched);
}

static const struct client_session_events session_events = {on_session_pending, on_session_ready, on_session_goaway, on_session_over};

void client_link_submit(struct client_link *link, struct grpc_client_call *call, duration timeout)
{
    loop_timer_stop(link->options.loop, &link->idle_timer);
    client_session_submit(link->session, call, timeout);
}

bool client_link_was_ready(const struct client_link *link) { return link->was_ready; }

/* ---- connecting, step by step */

static void start_http2(struct client_link *link)
{
    const struct client_link_options *o = &link->options;
    link->phase = PHASE_SETTINGS;
    link->session = client_session_create(&session_events, link, o->tls != NULL ? STR("https") : STR("http"), o->authority,
                                          o->user_agent, o->message_size_max);
    loop_defer(o->loop, &link->defer);
}

static void start_tls(struct client_link *link)
{
    if (link->options.tls == NULL) {
        start_http2(link);
        return;
    }
    link->phase = PHASE_TLS;
    link->socket->pipe.tls = tls_create(link->options.tls, false, link->options.server_name, link->options.verified_name);
    pipe_write_tls(&link->socket->pipe);
}

static void ask_proxy(struct client_link *link)
{
    struct buf request = {0};
    const struct client_link_options *o = &link->options;
    link->phase = PHASE_PROXY;
    buf_printf(&request, "CONNECT %.*s HTTP/1.1\r\nHost: %.*s\r\n", STR_ARG(o->tunnel), STR_ARG(o->tunnel));
    if (!str_is_empty(o->proxy_user)) {
        struct buf pair = {0};
        buf_printf(&pair, "%.*s:%.*s", STR_ARG(o->proxy_user), STR_ARG(o->proxy_password));
        buf_append_str(&request, STR("Proxy-Authorization: Basic "));
        base64_encode(buf_view(&pair), &request);
        buf_append(&request, "==", (3 - pair.size % 3) % 3); /* HTTP wants the padding that gRPC leaves out */
        buf_append_str(&request, STR("\r\n"));
        buf_fini(&pair);
    }
    buf_append_str(&request, STR("\r\n"));
    pipe_write_wire(&link->socket->pipe, buf_view(&request));
    buf_fini(&request);
}

/* What the proxy says up to the empty line; nothing follows before we speak. */
static void read_proxy(struct client_link *link, struct str bytes)
{
    struct buf *answer = &link->proxy_answer;
    buf_append_str(answer, bytes);
    if (answer->size > PROXY_ANSWER_MAX) {
        lose(link, "the proxy's answer is too long");
        return;
    }
    if (memmem(answer->data, answer->size, "\r\n\r\n", 4) == NULL) return;
    const char *line_end = memmem(answer->data, answer->size, "\r\n", 2);
    int line_size = (int)size_min((size_t)(line_end - answer->data), 120);
    bool is_http = answer->size > 12 && memcmp(answer->data, "HTTP/1.", 7) == 0;
    if (!is_http || answer->data[8] != ' ' || answer->data[9] != '2') {
        lose(link, "the proxy refused: %.*s", line_size, answer->data);
        return;
    }
    buf_fini(answer);
    start_tls(link);
}

static void on_pipe_bytes(struct pipe *pipe, struct str bytes)
{
    struct client_link *link = container_of(pipe, struct socket, pipe)->link;
    if (link == NULL || link->is_lost) return;
    if (link->phase == PHASE_PROXY) {
        read_proxy(link, bytes);
        return;
    }
    if (link->phase == PHASE_TLS) {
        if (!tls_speaks_h2(pipe->tls)) {
            lose(link, "the server does not speak HTTP/2 over TLS");
            return;
        }
        start_http2(link);
    }
    if (link->session != NULL && bytes.size > 0) client_session_receive(link->session, bytes.data, bytes.size);
}

static void on_pipe_end(struct pipe *pipe, const char *why)
{
    struct client_link *link = container_of(pipe, struct socket, pipe)->link;
    if (link != NULL) lose(link, "%s", why);
}

static void on_pipe_written(struct pipe *pipe)
{
    struct client_link *link = container_of(pipe, struct socket, pipe)->link;
    if (link != NULL) loop_defer(link->options.loop, &link->defer);
}

static const struct pipe_events pipe_events = {on_pipe_bytes, on_pipe_end, on_pipe_written, on_pipe_closed};

static void try_address(struct client_link *link);

static void try_next_address(struct client_link *link, int failure)
{
    char address[80];
    loop_timer_stop(link->options.loop, &link->address_timer);
    address_format(&link->addresses[link->address_index], address, sizeof address);
    drop_socket(link);
    if (++link->address_index < link->address_count) try_address(link);
    else lose(link, "can not connect to %s: %s", address, uv_strerror(failure));
}

/* Packets to an address may just vanish, as with IPv6 where only the name knows it. */
static void on_address_timeout(struct timer *timer, instant now)
{
    (void)now;
    try_next_address(container_of(timer, struct client_link, address_timer), UV_ETIMEDOUT);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct client_link *link = container_of(connect, struct socket, connect)->link;
    if (link == NULL) return;
    if (status != 0) {
        try_next_address(link, status);
        return;
    }
    loop_timer_stop(link->options.loop, &link->address_timer);
    uv_tcp_nodelay(&link->socket->pipe.tcp, 1);
    pipe_set_reading(&link->socket->pipe, true);
    if (!str_is_empty(link->options.tunnel)) ask_proxy(link);
    else start_tls(link);
}

static void try_address(struct client_link *link)
{
    link->phase = PHASE_CONNECTING;
    struct socket *socket = xcalloc(1, sizeof *socket);
    pipe_init(&socket->pipe, link->options.loop, &pipe_events, link->options.plain);
    socket->link = link;
    link->socket = socket;
    int result = uv_tcp_connect(&socket->connect, &socket->pipe.tcp, (struct sockaddr *)&link->addresses[link->address_index], on_connected);
    if (result != 0) {
        try_next_address(link, result);
    } else if (link->address_index + 1 < link->address_count && link->options.connect_timeout.ns > 0) {
        duration share = {link->options.connect_timeout.ns / (int64_t)link->address_count};
        loop_timer_in(link->options.loop, &link->address_timer, duration_min(share, duration_ms(ADDRESS_SHARE_MS)));
    }
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *results)
{
    struct lookup *lookup = container_of(request, struct lookup, request);
    struct client_link *link = lookup->link;
    free(lookup);
    if (link != NULL) {
        link->lookup = NULL;
        for (struct addrinfo *r = results; r != NULL && link->address_count < ADDRESSES_MAX; r = r->ai_next)
            if (r->ai_family == AF_INET || r->ai_family == AF_INET6)
                memcpy(&link->addresses[link->address_count++], r->ai_addr, r->ai_addrlen);
        if (status != 0 || link->address_count == 0)
            lose(link, "can not find the address of %.*s: %s", STR_ARG(link->options.host), status != 0 ? uv_strerror(status) : "it has none");
        else
            try_address(link);
    }
    uv_freeaddrinfo(results);
}

static void look_up(struct client_link *link)
{
    char *host = str_dup_c(link->options.host), port[8];
    snprintf(port, sizeof port, "%d", link->options.port);
    if (uv_ip4_addr(host, link->options.port, (struct sockaddr_in *)&link->addresses[0]) == 0
        || uv_ip6_addr(host, link->options.port, (struct sockaddr_in6 *)&link->addresses[0]) == 0) {
        link->address_count = 1;
        try_address(link);
    } else {
        struct lookup *lookup = xcalloc(1, sizeof *lookup);
        const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        lookup->link = link;
        link->lookup = lookup;
        int result = uv_getaddrinfo(loop_uv(link->options.loop), &lookup->request, on_looked_up, host, port, &hints);
        if (result != 0) {
            link->lookup = NULL;
            free(lookup);
            lose(link, "can not look up %s: %s", host, uv_strerror(result));
        }
    }
    free(host);
}

static void on_connect_timeout(struct timer *timer, instant now)
{
    (void)now;
    struct client_link *link = container_of(timer, struct client_link, connect_timer);
    static const char *const doing[] = {"looking up the name", "waiting for the connection", "waiting for the proxy",
                                        "in the TLS handshake", "waiting for HTTP/2 settings", "ready"};
    lose(link, "connecting took too long: %s", doing[link->phase]);
}

struct client_link *client_link_create(const struct client_link_options *options, const struct client_link_events *events, void *owner)
{
    struct client_link *link = xcalloc(1, sizeof *link);
    link->options = *options;
    link->events = events;
    link->owner = owner;
    link->defer.run = on_defer;
    link->connect_timer.fire = on_connect_timeout;
    link->address_timer.fire = on_address_timeout;
    link->keepalive_timer.fire = on_keepalive;
    link->idle_timer.fire = on_idle;
    if (options->connect_timeout.ns > 0) loop_timer_in(options->loop, &link->connect_timer, options->connect_timeout);
    look_up(link);
    return link;
}
