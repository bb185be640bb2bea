#include "capi/runtime.h"

#include "net/grpc_server.h"
#include "net/http1.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct runtime {
    struct list link; /* in `all` */
    unsigned fork_count; /* when it was made */
    pthread_t thread;
    struct loop *loop;
    struct metrics *metrics;
    struct grpc_server *page; /* NULL: none */
    struct otlp *otlp;        /* NULL: none */
    pthread_mutex_t mutex; /* guards what follows, and sending */
    int references;
    bool is_stopped;
};

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_changed = PTHREAD_COND_INITIALIZER;
static struct list all = {&all, &all}; /* whose threads run */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
/* How many forks this process is from the first. Changes while there is one thread; asking for a process id is a system call. */
static unsigned fork_count;

static void before_fork(void) { pthread_mutex_lock(&all_mutex); }
static void after_fork_parent(void) { pthread_mutex_unlock(&all_mutex); }
static void after_fork_child(void)
{
    list_init(&all);
    fork_count++;
    pthread_mutex_unlock(&all_mutex);
}
static void watch_forks(void) { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }

/* It was made before this process was forked off: its thread and locks are not here. */
static bool is_parents(const struct runtime *runtime) { return runtime->fork_count != fork_count; }

/* ---- the metrics page: one GET, one answer, closed ---------------------------------------------------------------- */

enum { REQUEST_SIZE_MAX = 8192 };

static void on_page_bytes(void *arg, struct http1 *connection, struct str bytes)
{
    struct runtime *runtime = arg;
    struct buf *request = http1_user(connection);
    if (request == NULL) http1_set_user(connection, request = xcalloc(1, sizeof *request));
    buf_append_str(request, bytes);
    bool is_whole = request->size >= 4 && memmem(request->data, request->size, "\r\n\r\n", 4) != NULL;
    if (!is_whole && request->size < REQUEST_SIZE_MAX) return;
    struct buf page = {0}, answer = {0};
    bool is_get = is_whole && str_starts_with(buf_view(request), STR("GET /"));
    if (is_get) metrics_text(runtime->metrics, &page);
    buf_printf(&answer, "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
               is_get ? "200 OK" : "400 Bad Request", page.size);
    buf_append_str(&answer, buf_view(&page));
    http1_keep(connection);
    http1_send(connection, buf_view(&answer));
    buf_fini(request);
    free(request);
    http1_set_user(connection, NULL);
    buf_fini(&page);
    buf_fini(&answer);
    http1_close(connection);
}

static void on_page_close(void *arg, struct http1 *connection)
{
    (void)arg;
    struct buf *request = http1_user(connection);
    if (request != NULL) buf_fini(request);
    free(request);
}

static void on_page_call(void *arg, struct grpc_call *call)
{
    (void)arg;
    grpc_call_fail(call, GRPC_UNIMPLEMENTED, STR("this port serves metrics"), STR_EMPTY);
}

static err open_page(struct runtime *runtime, const struct runtime_options *options, struct arena *arena, struct error *error)
{
    static const struct http1_handler http = {on_page_bytes, on_page_close};
    static const struct grpc_handler handler = {.on_call = on_page_call, .http1 = &http};
    struct grpc_server_options server = {.ip = options->prometheus_ip, .port = options->prometheus_port, .connection_count_max = 100};
    return grpc_server_listen(&runtime->page, runtime->loop, &server, &handler, runtime, arena, error);
}

static void close_outlets(struct runtime *runtime)
{
    if (runtime->page != NULL) grpc_server_destroy(runtime->page);
    otlp_destroy(runtime->otlp);
}

/* ---- the thread --------------------------------------------------------------------------------------------------- */

static void release(struct runtime *runtime)
{
    metrics_unref(runtime->metrics);
    pthread_mutex_destroy(&runtime->mutex);
    free(runtime);
}

static void *run(void *arg)
{
    struct runtime *runtime = arg;
    loop_run(runtime->loop);
    pthread_mutex_lock(&runtime->mutex);
    runtime->is_stopped = true;
    bool is_last = runtime->references == 0;
    pthread_mutex_unlock(&runtime->mutex);
    if (is_last) close_outlets(runtime);
    if (is_last) loop_destroy(runtime->loop); /* nobody is left on it; else the process is ending */
    pthread_mutex_lock(&all_mutex);
    list_remove(&runtime->link);
    pthread_cond_broadcast(&all_changed);
    pthread_mutex_unlock(&all_mutex);
    if (is_last) release(runtime);
    return NULL;
}

/* Detached: it frees itself. Signals are for the program's own threads. */
static bool start_thread(struct runtime *runtime)
{
    sigset_t every, before;
    pthread_attr_t detached;
    sigfillset(&every);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&all_mutex);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    bool is_started = pthread_create(&runtime->thread, &detached, run, runtime) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_started) list_push(&all, &runtime->link);
    pthread_mutex_unlock(&all_mutex);
    pthread_attr_destroy(&detached);
    return is_started;
}

err runtime_create(struct runtime **out, const struct runtime_options *options, struct arena *arena, struct error *error)
{
    pthread_once(&fork_once, watch_forks);
    struct loop *loop = loop_create();
    if (loop == NULL) return error_set(error, arena, ERR_LIMIT, "the system gives no more descriptors");
    struct runtime *runtime = xcalloc(1, sizeof *runtime);
    runtime->references = 1;
    runtime->fork_count = fork_count;
    runtime->loop = loop;
    pthread_mutex_init(&runtime->mutex, NULL);
    if (options != NULL && options->metrics != NULL) runtime->metrics = metrics_ref(options->metrics);
    err e = ERR_NONE;
    if (runtime->metrics != NULL && options->prometheus_ip.size != 0) e = open_page(runtime, options, arena, error);
    if (e == ERR_NONE && runtime->metrics != NULL && options->otlp != NULL) e = otlp_create(&runtime->otlp, loop, runtime->metrics, options->otlp, arena, error);
    if (e == ERR_NONE && !start_thread(runtime)) e = error_set(error, arena, ERR_LIMIT, "the system gives no more threads");
    if (e != ERR_NONE) {
        close_outlets(runtime);
        loop_destroy(loop);
        release(runtime);
        return e;
    }
    *out = runtime;
    return ERR_NONE;
}

struct runtime *runtime_ref(struct runtime *runtime)
{
    pthread_mutex_lock(&runtime->mutex);
    runtime->references++;
    pthread_mutex_unlock(&runtime->mutex);
    return runtime;
}

void runtime_unref(struct runtime *runtime)
{
    if (is_parents(runtime)) return;
    pthread_mutex_lock(&runtime->mutex);
    bool is_last = --runtime->references == 0, is_stopped = runtime->is_stopped;
    if (is_last && !is_stopped) loop_stop(runtime->loop); /* the thread frees it, once it has the lock */
    pthread_mutex_unlock(&runtime->mutex);
    if (is_last && is_stopped) release(runtime); /* the thread ended before and left it */
}

bool runtime_is_alive(const struct runtime *runtime)
{
    if (is_parents(runtime)) return false;
    struct runtime *writable = (struct runtime *)(uintptr_t)runtime;
    pthread_mutex_lock(&writable->mutex);
    bool is_alive = !runtime->is_stopped;
    pthread_mutex_unlock(&writable->mutex);
    return is_alive;
}

bool runtime_send(struct runtime *runtime, struct mail *mail)
{
    if (is_parents(runtime)) return false;
    pthread_mutex_lock(&runtime->mutex);
    bool is_alive = !runtime->is_stopped;
    if (is_alive) loop_send(runtime->loop, mail);
    pthread_mutex_unlock(&runtime->mutex);
    return is_alive;
}

bool runtime_is_own_thread(const struct runtime *runtime) { return pthread_equal(pthread_self(), runtime->thread) != 0; }
struct loop *runtime_loop(struct runtime *runtime) { return runtime->loop; }
struct metrics *runtime_metrics(struct runtime *runtime) { return runtime->metrics; }
int runtime_prometheus_port(const struct runtime *runtime) { return runtime->page != NULL ? grpc_server_port(runtime->page) : 0; }

void runtime_stop_all(void)
{
    pthread_mutex_lock(&all_mutex);
    list_each(link, &all) loop_stop(container_of(link, struct runtime, link)->loop);
    while (!list_is_empty(&all)) pthread_cond_wait(&all_changed, &all_mutex);
    pthread_mutex_unlock(&all_mutex);
}
