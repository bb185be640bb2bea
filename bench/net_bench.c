/* bench/net_bench.c: gRPC calls per second and CPU per call of net/, client and server in a process each.
 *
 *   net_bench [--calls N] [--size BYTES] [--tls CERTIFICATE KEY]
 *
 * Prints a row per number of calls in flight: calls per second, p50 and p99 of a call, CPU of either side per call. The
 * machine's other load shows in every figure: compare rows of one run. */
#include "net/grpc_client.h"
#include "net/grpc_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct settings {
    size_t call_count, size;
    struct tls_options tls;
    bool has_tls;
};

/* ---- the server process */

static void on_call(void *arg, struct grpc_call *call)
{
    (void)arg;
    struct str body = grpc_call_body(call);
    grpc_call_reply(call, body.data, body.size);
}

static void on_signal(void *arg, int number)
{
    (void)number;
    loop_stop(arg);
}

static _Noreturn void serve(const struct settings *settings, int port_pipe)
{
    static const struct grpc_handler handler = {.on_call = on_call};
    struct grpc_server_options options = {.tls = settings->has_tls ? &settings->tls : NULL};
    struct loop *loop = loop_create();
    struct arena arena;
    struct grpc_server *server;
    struct error error = {0};
    arena_init(&arena, 0, 0);
    if (grpc_server_listen(&server, loop, &options, &handler, NULL, &arena, &error) != ERR_NONE) {
        fprintf(stderr, "net_bench: %.*s\n", STR_ARG(error_message(&error)));
        exit(1);
    }
    int port = grpc_server_port(server);
    if (write(port_pipe, &port, sizeof port) != sizeof port) exit(1);
    struct loop_signal *term = loop_signal_start(loop, SIGTERM, on_signal, loop);
    loop_run(loop);
    loop_signal_stop(term);
    grpc_server_destroy(server);
    loop_destroy(loop);
    arena_fini(&arena);
    exit(0);
}

/* ---- the client process */

struct load {
    struct loop *loop;
    struct grpc_client *client;
    struct str body;
    size_t started, done, target;
    int64_t *nanoseconds; /* of each call */
};
struct flight {
    struct load *load;
    int64_t began;
};

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void start(struct flight *flight);

static void on_done(void *arg, const struct grpc_response *response)
{
    struct flight *flight = arg;
    struct load *load = flight->load;
    ensure(response->code == GRPC_OK && response->body.size == load->body.size);
    load->nanoseconds[load->done++] = clock_ns() - flight->began;
    if (load->started < load->target) start(flight);
    else if (load->done == load->target) loop_stop(load->loop);
}

static void start(struct flight *flight)
{
    struct grpc_request request = {.path = STR("/test.Echo/Echo"), .body = flight->load->body, .timeout = duration_s(30)};
    flight->load->started++;
    flight->began = clock_ns();
    grpc_client_call(flight->load->client, &request, on_done, flight);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double cpu_seconds(int pid) /* of a process: user and system ticks in its stat file */
{
    char path[64], text[1024];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    char *after_name = strrchr(text, ')');
    if (after_name == NULL || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) return 0;
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static void run(struct load *load, size_t in_flight, size_t call_count, int server_pid, bool is_warm_up)
{
    struct flight *flights = xcalloc(in_flight, sizeof *flights);
    load->started = load->done = 0;
    load->target = call_count;
    load->nanoseconds = xcalloc(call_count, sizeof *load->nanoseconds);
    double server = cpu_seconds(server_pid), client = cpu_seconds(getpid());
    int64_t began = clock_ns();
    for (size_t i = 0; i < in_flight && i < call_count; i++) {
        flights[i].load = load;
        start(&flights[i]);
    }
    loop_run(load->loop);
    double seconds = (double)(clock_ns() - began) / 1e9, per_call = 1e6 / (double)call_count;
    server = cpu_seconds(server_pid) - server;
    client = cpu_seconds(getpid()) - client;
    qsort(load->nanoseconds, call_count, sizeof *load->nanoseconds, compare);
    if (!is_warm_up)
        printf("%9zu %12.0f %9.0f %9.0f %12.2f %12.2f\n", in_flight, (double)call_count / seconds,
               (double)load->nanoseconds[call_count / 2] / 1e3, (double)load->nanoseconds[call_count * 99 / 100] / 1e3, server * per_call,
               client * per_call);
    free(load->nanoseconds);
    free(flights);
}

static struct str read_file(const char *path)
{
    struct buf text = {0};
    size_t got;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "net_bench: can not read %s\n", path);
        exit(1);
    }
    while ((got = fread(buf_reserve(&text, 4096), 1, 4096, file)) > 0) text.size += got;
    fclose(file);
    return buf_view(&text);
}

int main(int argc, char **argv)
{
    struct settings settings = {.call_count = 200000, .size = 100};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--calls") == 0 && i + 1 < argc) {
            settings.call_count = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc) {
            settings.size = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            settings.tls.certificate = read_file(argv[++i]);
            settings.tls.key = read_file(argv[++i]);
            settings.has_tls = true;
        } else {
            fprintf(stderr, "net_bench: unknown option %s\n", argv[i]);
            return 1;
        }
    }
    int port_pipe[2], port = 0;
    ensure(pipe(port_pipe) == 0);
    int server_pid = fork();
    if (server_pid == 0) serve(&settings, port_pipe[1]);
    if (read(port_pipe[0], &port, sizeof port) != sizeof port) return 1;
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%d", port);
    struct tls_options trusting = {.skip_verification = true};
    struct grpc_client_options options = {.target = str_of(target), .tls = settings.has_tls ? &trusting : NULL};
    struct load load = {.loop = loop_create(), .body = str_make(xcalloc(1, settings.size), settings.size)};
    struct arena arena;
    arena_init(&arena, 0, 0);
    ensure(grpc_client_create(&load.client, load.loop, &options, &arena, NULL) == ERR_NONE);
    printf("%zu bytes each way%s\n%9s %12s %9s %9s %12s %12s\n", settings.size, settings.has_tls ? ", TLS" : "", "in flight", "calls/s",
           "p50 us", "p99 us", "server us", "client us");
    run(&load, 16, 20000, server_pid, true);
    static const size_t in_flight[] = {1, 16, 256, 4096};
    for (size_t i = 0; i < countof(in_flight); i++)
        run(&load, in_flight[i], in_flight[i] == 1 ? settings.call_count / 10 : settings.call_count, server_pid, false);
    grpc_client_destroy(load.client);
    loop_destroy(load.loop);
    arena_fini(&arena);
    kill(server_pid, SIGTERM);
    int status;
    waitpid(server_pid, &status, 0);
    return status == 0 ? 0 : 1;
}
