/* What a client does when the other end is slow, absent, leaving, or behind a proxy. */
#include "net/net_fixture.h"
#include "net/pipe.h"

#include "base/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listening socket that the test answers by hand. */
struct hand {
    int listener, fd, port;
};

static struct hand hand_listen(void)
{
    struct hand h = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .fd = -1};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    ensure(bind(h.listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(h.listener, 8) == 0);
    ensure(getsockname(h.listener, (struct sockaddr *)&address, &size) == 0);
    h.port = ntohs(address.sin_port);
    return h;
}

static bool hand_accept(struct hand *h)
{
    if (h->fd < 0) h->fd = accept4(h->listener, NULL, NULL, SOCK_NONBLOCK);
    return h->fd >= 0;
}

/* Appends what has come and tells whether `word` is in it. */
static bool hand_has(struct hand *h, struct buf *got, const char *word)
{
    ssize_t n = recv(h->fd, buf_reserve(got, 4096), 4096, 0);
    if (n > 0) got->size += (size_t)n;
    return got->size > 0 && memmem(got->data, got->size, word, strlen(word)) != NULL;
}

static void hand_close(struct hand *h)
{
    if (h->fd >= 0) close(h->fd);
    close(h->listener);
}

static void use_port(struct fixture *f, int port)
{
    grpc_client_destroy(f->client);
    snprintf(f->target, sizeof f->target, "127.0.0.1:%d", port);
    f->client_options.target = str_of(f->target);
    ensure(grpc_client_create(&f->client, f->loop, &f->client_options, &f->arena, &f->error) == ERR_NONE);
}

static bool says(struct str text, const char *word) { return memmem(text.data, text.size, word, strlen(word)) != NULL; }

TEST(nobody_listening_fails_calls_that_do_not_wait)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct hand h = hand_listen();
    hand_close(&h);
    use_port(f, h.port);
    struct result *r = fixture_ask(f, "Echo", STR("x"));
    check_int(r->code, GRPC_UNAVAILABLE);
    check(says(r->message, "can not connect to 127.0.0.1"));
    check(!r->was_sent);
    check_int(f->failing_count, 1);
    r = fixture_call(f, "Echo", STR("x"), (struct grpc_request){.wait_for_ready = true, .timeout = duration_ms(150)}, NULL);
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_DEADLINE_EXCEEDED);
    check(says(r->message, "can not connect"));
    fixture_destroy(f);
}

TEST(a_patient_call_waits_for_the_server)
{
    struct fixture *f = fixture_create();
    f->client_options.backoff_min = duration_ms(5);
    f->client_options.backoff_max = duration_ms(20);
    fixture_start(f);
    int port = grpc_server_port(f->server);
    grpc_server_destroy(f->server);
    f->server = NULL;
    loop_run_once(f->loop, (duration){0});
    struct result *r = fixture_call(f, "Echo", STR("x"), (struct grpc_request){.wait_for_ready = true}, NULL);
    check(fixture_until(f, f->failing_count >= 3));
    check(!r->is_done);
    f->server_options.port = port;
    struct grpc_client *client = f->client;
    fixture_start(f);
    grpc_client_destroy(f->client);
    f->client = client;
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_OK);
    fixture_destroy(f);
}

TEST(a_silent_server_is_given_up)
{
    struct fixture *f = fixture_create();
    f->client_options.connect_timeout = duration_ms(30);
    fixture_start(f);
    struct hand h = hand_listen(); /* the kernel accepts, nobody speaks */
    use_port(f, h.port);
    struct result *r = fixture_ask(f, "Echo", STR("x"));
    check_int(r->code, GRPC_UNAVAILABLE);
    check(says(r->message, "waiting for HTTP/2 settings"));
    hand_close(&h);
    fixture_destroy(f);
}

TEST(a_server_of_another_protocol_is_named)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct hand h = hand_listen();
    use_port(f, h.port);
    struct result *r = fixture_call(f, "Echo", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, hand_accept(&h)));
    ensure(write(h.fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28);
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_UNAVAILABLE);
    hand_close(&h);
    fixture_destroy(f);
}

TEST(a_server_that_stops_answering_pings_is_left)
{
    struct fixture *f = fixture_create();
    f->client_options.keepalive_interval = duration_ms(20);
    f->client_options.keepalive_timeout = duration_ms(20);
    fixture_start(f);
    struct hand h = hand_listen();
    struct buf got = {0};
    use_port(f, h.port);
    struct result *r = fixture_call(f, "Echo", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, hand_accept(&h)));
    ensure(write(h.fd, "\0\0\0\4\0\0\0\0\0", 9) == 9); /* its settings, and nothing more */
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_UNAVAILABLE);
    check(says(r->message, "answers no ping"));
    check(r->was_sent);
    check(hand_has(&h, &got, "PRI * HTTP/2.0"));
    buf_fini(&got);
    hand_close(&h);
    fixture_destroy(f);
}

TEST(a_refused_stream_moves_on)
{
    struct fixture *f = fixture_create();
    f->server_options.stream_count_max = 2;
    fixture_start(f);
    fixture_ask(f, "Echo", STR("x"));
    struct result *parked = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    struct result *also = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    struct result *third = fixture_call(f, "Echo", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 2));
    check(!third->is_done); /* it waits for a free stream */
    grpc_call_reply(f->parked[0], "1", 1);
    check(fixture_until(f, parked->is_done && third->is_done));
    check_int(third->code, GRPC_OK);
    grpc_call_reply(f->parked[1], "2", 1);
    check(fixture_until(f, also->is_done));
    fixture_destroy(f);
}

TEST(a_queued_call_can_be_cancelled)
{
    struct fixture *f = fixture_create();
    f->server_options.stream_count_max = 1;
    fixture_start(f);
    struct grpc_client_call *call;
    fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 1));
    struct result *queued = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, &call);
    struct result *late = fixture_call(f, "Park", STR("x"), (struct grpc_request){.timeout = duration_ms(20)}, NULL);
    for (int i = 0; i < 5; i++) loop_run_once(f->loop, duration_ms(1));
    grpc_client_cancel(call);
    check(fixture_until(f, queued->is_done && late->is_done));
    check_int(queued->code, GRPC_CANCELLED);
    check_int(late->code, GRPC_DEADLINE_EXCEEDED);
    grpc_call_reply(f->parked[0], "", 0);
    check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK);
    check_int(f->parked_count, 1);
    fixture_destroy(f);
}

static void on_drained(void *arg) { ((struct fixture *)arg)->is_drained = true; }

TEST(a_draining_server_finishes_its_calls)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct result *parked = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 1));
    grpc_server_drain(f->server, duration_s(30), on_drained, f);
    for (int i = 0; i < 20; i++) loop_run_once(f->loop, duration_ms(1));
    check(!f->is_drained);
    check_int(f->last_state, GRPC_CLIENT_IDLE);
    struct result *more = fixture_ask(f, "Echo", STR("x")); /* nobody listens any more */
    check_int(more->code, GRPC_UNAVAILABLE);
    grpc_call_reply(f->parked[0], "bye", 3);
    check(fixture_until(f, parked->is_done && f->is_drained));
    check_str(parked->body, "bye");
    check_int(f->cancel_count, 0);
    fixture_destroy(f);
}

TEST(a_drain_is_cut_after_its_grace)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct result *parked = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 1));
    grpc_server_drain(f->server, duration_ms(30), on_drained, f);
    check(fixture_until(f, f->is_drained && parked->is_done));
    check_int(parked->code, GRPC_UNAVAILABLE);
    check_int(f->cancel_count, 1);
    fixture_destroy(f);
}

TEST(a_drain_without_connections_is_over_at_once)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    grpc_server_drain(f->server, duration_s(30), on_drained, f);
    check(!f->is_drained);
    check(fixture_until(f, f->is_drained));
    fixture_destroy(f);
}

TEST(no_call_is_lost_when_connections_are_sent_away)
{
    struct fixture *f = fixture_create();
    f->server_options.age_max = duration_ms(20);
    f->client_options.backoff_min = duration_ms(1);
    fixture_start(f);
    for (int i = 0; i < 300; i++) {
        check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK);
        loop_run_once(f->loop, duration_ms(1));
    }
    check(f->ready_count > 3);
    check_int(f->failing_count, 0);
    fixture_destroy(f);
}

TEST(a_proxy_is_asked_for_a_tunnel)
{
    struct fixture *f = fixture_create();
    struct hand h = hand_listen();
    struct buf got = {0};
    char proxy[32];
    snprintf(proxy, sizeof proxy, "127.0.0.1:%d", h.port);
    f->client_options.target = STR("perdure.invalid:7233"); /* for the proxy to find */
    f->client_options.proxy = str_of(proxy);
    f->client_options.proxy_user = STR("user");
    f->client_options.proxy_password = STR("secret!");
    fixture_start(f);
    struct result *r = fixture_call(f, "Echo", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, hand_accept(&h)));
    check(fixture_until(f, hand_has(&h, &got, "\r\n\r\n")));
    check_str(buf_view(&got), "CONNECT perdure.invalid:7233 HTTP/1.1\r\nHost: perdure.invalid:7233\r\n"
                              "Proxy-Authorization: Basic dXNlcjpzZWNyZXQh\r\n\r\n");
    buf_clear(&got);
    ensure(write(h.fd, "HTTP/1.1 200 OK\r\nVia: test\r\n", 28) == 28);
    loop_run_once(f->loop, duration_ms(5));
    ensure(write(h.fd, "\r\n", 2) == 2);
    check(fixture_until(f, hand_has(&h, &got, "PRI * HTTP/2.0")));
    check(!r->is_done);
    buf_fini(&got);
    hand_close(&h);
    fixture_destroy(f);
}

TEST(a_proxy_that_refuses_is_quoted)
{
    struct fixture *f = fixture_create();
    struct hand h = hand_listen();
    char proxy[32];
    snprintf(proxy, sizeof proxy, "127.0.0.1:%d", h.port);
    f->client_options.proxy = str_of(proxy);
    fixture_start(f);
    struct result *r = fixture_call(f, "Echo", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, hand_accept(&h)));
    ensure(write(h.fd, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 46) == 46);
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_UNAVAILABLE);
    check(says(r->message, "407 Proxy Authentication Required"));
    hand_close(&h);
    fixture_destroy(f);
}

TEST(names_are_looked_up)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    char target[32];
    snprintf(target, sizeof target, "localhost:%d", grpc_server_port(f->server));
    grpc_client_destroy(f->client);
    f->client_options.target = str_of(target);
    ensure(grpc_client_create(&f->client, f->loop, &f->client_options, &f->arena, &f->error) == ERR_NONE);
    check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK); /* ::1 may come first, where nobody listens */
    fixture_destroy(f);
}

TEST(a_name_that_is_not_there_is_an_error)
{
    struct fixture *f = fixture_create();
    f->client_options.target = STR("no-such-host.invalid:1");
    fixture_start(f);
    struct result *r = fixture_ask(f, "Echo", STR("x"));
    check_int(r->code, GRPC_UNAVAILABLE);
    check(says(r->message, "no-such-host.invalid"));
    fixture_destroy(f);
}

TEST(targets_are_checked)
{
    static const struct { const char *target; bool ok; } rows[] = {
        {"localhost", true}, {"localhost:7233", true}, {"[::1]:7233", true}, {"[::1]", true}, {"10.0.0.1:1", true}, {"", false}, {":7233", false},
        {"host:", false}, {"host:0", false}, {"host:65536", false}, {"host:x", false}, {"::1", false}, {"[::1", false}, {"http://host:1", false},
        {"host name:1", false}, {"host\r\n:1", false}, {"[::1]x:1", false}, {"host:99999999999999999999", false},
    };
    struct loop *loop = loop_create();
    struct arena arena;
    arena_init(&arena, 0, 0);
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].target;
        struct grpc_client *client;
        struct error error = {0};
        err e = grpc_client_create(&client, loop, &(struct grpc_client_options){.target = str_of(rows[i].target)}, &arena, &error);
        check_int(e, rows[i].ok ? ERR_NONE : ERR_INVALID);
        if (e == ERR_NONE) grpc_client_destroy(client);
    }
    arena_fini(&arena);
    loop_destroy(loop);
}

TEST(an_idle_client_closes_and_comes_back)
{
    struct fixture *f = fixture_create();
    f->client_options.idle_max = duration_ms(10);
    fixture_start(f);
    check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK);
    check(fixture_until(f, f->closed_count == 1));
    check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK);
    check_int(f->ready_count, 2);
    fixture_destroy(f);
}

TEST(a_port_that_is_taken_is_an_error)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct grpc_server *second;
    struct grpc_server_options options = {.port = grpc_server_port(f->server)};
    static const struct grpc_handler handler = {0};
    check_int(grpc_server_listen(&second, f->loop, &options, &handler, NULL, &f->arena, &f->error), ERR_UNAVAILABLE);
    check(says(f->error.message, "address already in use"));
    options.ip = STR("not an address");
    check_int(grpc_server_listen(&second, f->loop, &options, &handler, NULL, &f->arena, &f->error), ERR_INVALID);
    fixture_destroy(f);
}

static const struct grpc_handler no_handler = {0};

/* 0, or why the kernel refused. */
static int knock(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int result = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    return result;
}

TEST(a_bound_port_is_closed_until_it_is_served)
{
    struct fixture *f = fixture_create();
    struct grpc_server *early;
    ensure(grpc_server_bind(&early, f->loop, &(struct grpc_server_options){0}, &f->arena, &f->error) == ERR_NONE);
    int port = grpc_server_port(early);
    check(port != 0);
    check_int(knock(port), ECONNREFUSED);
    check_int(grpc_server_serve(early, &no_handler, NULL, &f->arena, &f->error), ERR_NONE);
    check_int(grpc_server_port(early), port);
    check_int(knock(port), 0);
    grpc_server_destroy(early);
    fixture_destroy(f);
}

TEST(of_two_bound_to_a_port_the_first_to_serve_has_it)
{
    struct fixture *f = fixture_create();
    struct grpc_server *first, *second;
    ensure(grpc_server_bind(&first, f->loop, &(struct grpc_server_options){0}, &f->arena, &f->error) == ERR_NONE);
    const struct grpc_server_options same = {.port = grpc_server_port(first)};
    ensure(grpc_server_bind(&second, f->loop, &same, &f->arena, &f->error) == ERR_NONE);
    check_int(grpc_server_serve(second, &no_handler, NULL, &f->arena, &f->error), ERR_NONE);
    check_int(grpc_server_serve(first, &no_handler, NULL, &f->arena, &f->error), ERR_UNAVAILABLE);
    check(says(f->error.message, "address already in use"));
    check_int(knock(same.port), 0);
    grpc_server_destroy(first);
    grpc_server_destroy(second);
    fixture_destroy(f);
}

TEST(a_server_that_never_served_drains_at_once)
{
    struct fixture *f = fixture_create();
    struct grpc_server *early;
    ensure(grpc_server_bind(&early, f->loop, &(struct grpc_server_options){0}, &f->arena, &f->error) == ERR_NONE);
    grpc_server_drain(early, duration_s(10), on_drained, f);
    check(fixture_until(f, f->is_drained));
    grpc_server_destroy(early);
    fixture_destroy(f);
}

TEST_MAIN
