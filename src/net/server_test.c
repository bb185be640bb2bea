/* What a server does with connections: HTTP/1.1, several loops, limits. */
#include "net/http1.h"
#include "net/net_fixture.h"

#include "base/test.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ensure(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* Appends what has come; true once the server has closed. */
static bool read_some(int fd, struct buf *got)
{
    ssize_t n = recv(fd, buf_reserve(got, 65536), 65536, MSG_DONTWAIT);
    if (n > 0) got->size += (size_t)n;
    return n == 0;
}

/* ---- HTTP/1.1 */

struct web {
    struct buf got;
    int open_count, close_count;
    size_t unsent_max;
    struct http1 *connection;
};

/* Echoes what comes; "big" is answered with 8 MiB; "close" closes. */
static void on_bytes(void *arg, struct http1 *connection, struct str bytes)
{
    struct web *web = arg;
    if (http1_user(connection) == NULL) web->open_count++;
    http1_set_user(connection, web);
    web->connection = connection;
    buf_append_str(&web->got, bytes);
    http1_keep(connection);
    if (memmem(bytes.data, bytes.size, "big", 3) != NULL) {
        struct buf big = {0};
        memset(buf_reserve(&big, 8 << 20), 'b', 8 << 20);
        big.size = 8 << 20;
        http1_send(connection, buf_view(&big));
        web->unsent_max = http1_unsent(connection);
        buf_fini(&big);
    } else {
        http1_send(connection, bytes);
    }
    if (memmem(bytes.data, bytes.size, "close", 5) != NULL) http1_close(connection);
}

static void on_close(void *arg, struct http1 *connection)
{
    struct web *web = arg;
    check(connection == web->connection);
    web->close_count++;
}

static const struct http1_handler http1_handler = {on_bytes, on_close};
static const struct grpc_handler web_handler = {.http1 = &http1_handler};

struct web_fixture {
    struct loop *loop;
    struct arena arena;
    struct grpc_server *server;
    struct web web;
    int fd;
    struct buf got;
};

static struct web_fixture *web_start(struct grpc_server_options options)
{
    struct web_fixture *f = xcalloc(1, sizeof *f);
    f->loop = loop_create();
    arena_init(&f->arena, 0, 0);
    ensure(grpc_server_listen(&f->server, f->loop, &options, &web_handler, &f->web, &f->arena, NULL) == ERR_NONE);
    f->fd = connect_to(grpc_server_port(f->server));
    return f;
}

static void web_stop(struct web_fixture *f)
{
    close(f->fd);
    grpc_server_destroy(f->server);
    loop_destroy(f->loop);
    buf_fini(&f->web.got);
    buf_fini(&f->got);
    arena_fini(&f->arena);
    free(f);
}

static void say(struct web_fixture *f, const char *text) { ensure(write(f->fd, text, strlen(text)) == (ssize_t)strlen(text)); }

TEST(http1_is_handed_over_as_a_stream)
{
    struct web_fixture *f = web_start((struct grpc_server_options){0});
    say(f, "P"); /* could still be the HTTP/2 preface */
    loop_run_once(f->loop, duration_ms(5));
    say(f, "OST / HTTP/1.1\r\n");
    check(fixture_until(f, (read_some(f->fd, &f->got), f->got.size == 17)));
    check_str(buf_view(&f->got), "POST / HTTP/1.1\r\n");
    say(f, "please close");
    check(fixture_until(f, read_some(f->fd, &f->got)));
    check_str(buf_view(&f->got), "POST / HTTP/1.1\r\nplease close");
    check_int(f->web.open_count, 1);
    check_int(f->web.close_count, 0); /* it closed the connection itself */
    web_stop(f);
}

TEST(http1_answers_may_be_large)
{
    struct web_fixture *f = web_start((struct grpc_server_options){0});
    say(f, "GET big, then close");
    check(fixture_until(f, read_some(f->fd, &f->got)));
    check_int(f->got.size, 8 << 20);
    check(f->web.unsent_max > 0);
    web_stop(f);
}

TEST(an_http1_client_that_leaves_is_reported)
{
    struct web_fixture *f = web_start((struct grpc_server_options){0});
    say(f, "GET / HTTP/1.1\r\n");
    check(fixture_until(f, f->web.open_count == 1));
    shutdown(f->fd, SHUT_WR);
    check(fixture_until(f, f->web.close_count == 1));
    web_stop(f);
}

TEST(an_http1_client_that_reads_nothing_is_cut)
{
    struct web_fixture *f = web_start((struct grpc_server_options){.stall_timeout = duration_ms(30), .handshake_timeout = duration_ms(30)});
    say(f, "GET big, read never");
    check(fixture_until(f, f->web.close_count == 1));
    web_stop(f);
}

/* ---- several loops */

struct worker {
    struct loop *loop;
    struct grpc_server *server;
    struct mail stop;
    pthread_t thread;
    int adopted_count;
};
struct hand_over {
    struct mail mail;
    struct worker *worker;
    int fd;
};

static void on_echo(void *arg, struct grpc_call *call)
{
    (void)arg;
    struct str body = grpc_call_body(call);
    grpc_call_reply(call, body.data, body.size);
}
static const struct grpc_handler echo_handler = {.on_call = on_echo};

static void on_hand_over(struct mail *mail)
{
    struct hand_over *h = container_of(mail, struct hand_over, mail);
    h->worker->adopted_count++;
    grpc_server_adopt(h->worker->server, h->fd);
    free(h);
}

static void on_accept(void *arg, int fd)
{
    struct hand_over *h = xmalloc(sizeof *h);
    *h = (struct hand_over){{.open = on_hand_over}, arg, fd};
    loop_send(h->worker->loop, &h->mail);
}

static void on_stop(struct mail *mail)
{
    struct worker *worker = container_of(mail, struct worker, stop);
    grpc_server_destroy(worker->server);
    loop_stop(worker->loop);
}

static void *work(void *arg)
{
    loop_run(((struct worker *)arg)->loop);
    return NULL;
}

TEST(connections_can_be_handed_to_another_loop)
{
    struct fixture *f = fixture_create();
    struct worker worker = {.loop = loop_create(), .stop.open = on_stop};
    struct grpc_server_options options = {.does_not_listen = true};
    ensure(grpc_server_listen(&worker.server, worker.loop, &options, &echo_handler, NULL, &f->arena, &f->error) == ERR_NONE);
    ensure(pthread_create(&worker.thread, NULL, work, &worker) == 0);
    f->server_options.on_accept = on_accept;
    f->server_options.on_accept_arg = &worker;
    fixture_start(f);
    for (int i = 0; i < 100; i++) fixture_call(f, "Echo", STR("over there"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->done_count == 100));
    check_int(f->results[99].code, GRPC_OK);
    check_str(f->results[99].body, "over there");
    check_int(f->call_count, 0); /* none was answered here */
    loop_send(worker.loop, &worker.stop);
    pthread_join(worker.thread, NULL);
    check_int(worker.adopted_count, 1);
    loop_destroy(worker.loop);
    fixture_destroy(f);
}

/* ---- limits */

TEST(connections_beyond_the_limit_are_closed)
{
    struct fixture *f = fixture_create();
    f->server_options.connection_count_max = 2;
    fixture_start(f);
    int fds[4];
    struct buf got = {0};
    struct grpc_server_stats stats;
    for (int i = 0; i < 4; i++) fds[i] = connect_to(grpc_server_port(f->server));
    check(fixture_until(f, (grpc_server_stats(f->server, &stats), stats.accepted_total == 4)));
    check_int(stats.refused_total, 2);
    check_int(stats.connection_count, 2);
    check(fixture_until(f, read_some(fds[3], &got)));
    close(fds[0]);
    check(fixture_until(f, (grpc_server_stats(f->server, &stats), stats.connection_count == 1)));
    check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK);
    for (int i = 1; i < 4; i++) close(fds[i]);
    buf_fini(&got);
    fixture_destroy(f);
}

TEST(a_server_can_be_destroyed_with_everything_open)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    int raw = connect_to(grpc_server_port(f->server));
    for (int i = 0; i < 10; i++) fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 10));
    grpc_server_destroy(f->server);
    f->server = NULL;
    check_int(f->cancel_count, 10);
    check_int(f->closed_count, 1);
    check(fixture_until(f, f->done_count == 10));
    check_int(f->results[0].code, GRPC_UNAVAILABLE);
    close(raw);
    fixture_destroy(f);
}

TEST_MAIN
