/* tests/net/echo_server.c: a small gRPC server for hostile clients, foreign gRPC clients and h2load.
 *
 *   echo_server [--port N] [--tls CERTIFICATE KEY] [--client-ca CA] [--gzip N] [--stall MS] [--handshake MS] [--request MS] [--headers BYTES]
 *
 * Prints "port N" once it listens. SIGTERM drains. Methods:
 *   /test.Echo/Echo    answers the request message
 *   /test.Echo/Park    answers never: ends by deadline or cancellation
 *   /test.Echo/Fail    fails with NOT_FOUND, a message with odd bytes, and the request as details
 *   /test.Echo/Stream  answers three messages, each the request
 *   /test.Echo/Count   answers "calls cancelled deadlines cut" so far, as text
 * Every other path is UNIMPLEMENTED. */
#include "net/grpc_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct echo {
    struct loop *loop;
    struct grpc_server *server;
};

static void answer_count(struct echo *echo, struct grpc_call *call)
{
    struct grpc_server_stats stats;
    grpc_server_stats(echo->server, &stats);
    struct str text = arena_printf(grpc_call_arena(call), "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, stats.call_total,
                                   stats.cancelled_total, stats.deadline_total, stats.cut_total);
    grpc_call_reply(call, text.data, text.size);
}

static void answer_stream(struct grpc_call *call, struct str body)
{
    for (int i = 0; i < 3; i++) {
        if (grpc_call_send(call, body.data, body.size) == ERR_NONE) continue;
        grpc_call_fail(call, GRPC_RESOURCE_EXHAUSTED, STR("the stream is full"), STR_EMPTY);
        return;
    }
    grpc_call_reply_end(call);
}

static void on_call(void *arg, struct grpc_call *call)
{
    struct str path = grpc_call_path(call), body = grpc_call_body(call);
    if (str_equal(path, STR("/test.Echo/Echo"))) grpc_call_reply(call, body.data, body.size);
    else if (str_equal(path, STR("/test.Echo/Park"))) grpc_call_forget_request(call);
    else if (str_equal(path, STR("/test.Echo/Fail"))) grpc_call_fail(call, GRPC_NOT_FOUND, STR("no 100% ünïcode\nthing"), body);
    else if (str_equal(path, STR("/test.Echo/Stream"))) answer_stream(call, body);
    else if (str_equal(path, STR("/test.Echo/Count"))) answer_count(arg, call);
    else grpc_call_fail(call, GRPC_UNIMPLEMENTED, STR("no such method"), STR_EMPTY);
}

static const struct grpc_handler handler = {.on_call = on_call};

static void on_drained(void *arg) { loop_stop(((struct echo *)arg)->loop); }
static void on_signal(void *arg, int number)
{
    (void)number;
    grpc_server_drain(((struct echo *)arg)->server, duration_s(5), on_drained, arg);
}

static struct str read_file(const char *path, struct buf *to)
{
    FILE *file = fopen(path, "rb");
    size_t got;
    if (file == NULL) {
        fprintf(stderr, "echo_server: can not read %s\n", path);
        exit(1);
    }
    while ((got = fread(buf_reserve(to, 4096), 1, 4096, file)) > 0) to->size += got;
    fclose(file);
    return buf_view(to);
}

int main(int argc, char **argv)
{
    struct grpc_server_options options = {0};
    struct tls_options tls = {0};
    struct buf certificate = {0}, key = {0}, ca = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) options.port = atoi(argv[++i]);
        else if (strcmp(argv[i], "--gzip") == 0 && i + 1 < argc) options.gzip_reply_size_min = (size_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--stall") == 0 && i + 1 < argc) options.stall_timeout = duration_ms(atoi(argv[++i]));
        else if (strcmp(argv[i], "--handshake") == 0 && i + 1 < argc) options.handshake_timeout = duration_ms(atoi(argv[++i]));
        else if (strcmp(argv[i], "--headers") == 0 && i + 1 < argc) options.header_size_max = (size_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--request") == 0 && i + 1 < argc) options.request_timeout = duration_ms(atoi(argv[++i]));
        else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            tls.certificate = read_file(argv[++i], &certificate);
            tls.key = read_file(argv[++i], &key);
            options.tls = &tls;
        } else if (strcmp(argv[i], "--client-ca") == 0 && i + 1 < argc) {
            tls.ca = read_file(argv[++i], &ca);
            tls.require_client_certificate = true;
        } else {
            fprintf(stderr, "echo_server: unknown option %s\n", argv[i]);
            return 1;
        }
    }
    struct echo echo = {.loop = loop_create()};
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, 0, 0);
    if (grpc_server_listen(&echo.server, echo.loop, &options, &handler, &echo, &arena, &error) != ERR_NONE) {
        fprintf(stderr, "echo_server: %.*s\n", STR_ARG(error_message(&error)));
        return 1;
    }
    printf("port %d\n", grpc_server_port(echo.server));
    fflush(stdout);
    struct loop_signal *term = loop_signal_start(echo.loop, SIGTERM, on_signal, &echo);
    loop_run(echo.loop);
    loop_signal_stop(term);
    grpc_server_destroy(echo.server);
    loop_destroy(echo.loop);
    arena_fini(&arena);
    buf_fini(&certificate);
    buf_fini(&key);
    buf_fini(&ca);
    return 0;
}
