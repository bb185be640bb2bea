#include "capi/runtime.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct runtime {
    struct list link; /* in `all` */
    pid_t pid;
    pthread_t thread;
    struct loop *loop;
    pthread_mutex_t mutex; /* guards what follows, and sending */
    int references;
    bool is_stopped;
};

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_changed = PTHREAD_COND_INITIALIZER;
static struct list all = {&all, &all}; /* whose threads run */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void) { pthread_mutex_lock(&all_mutex); }
static void after_fork_parent(void) { pthread_mutex_unlock(&all_mutex); }
static void after_fork_child(void)
{
    list_init(&all);
    pthread_mutex_unlock(&all_mutex);
}
static void watch_forks(void) { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }

static void release(struct runtime *runtime)
{
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
    if (is_last) loop_destroy(runtime->loop); /* nobody is left on it; else the process is ending */
    pthread_mutex_lock(&all_mutex);
    list_remove(&runtime->link);
    pthread_cond_broadcast(&all_changed);
    pthread_mutex_unlock(&all_mutex);
    if (is_last) release(runtime);
    return NULL;
}

err runtime_create(struct runtime **out)
{
    pthread_once(&fork_once, watch_forks);
    struct loop *loop = loop_create();
    if (loop == NULL) return ERR_LIMIT;
    struct runtime *runtime = xcalloc(1, sizeof *runtime);
    runtime->references = 1;
    runtime->pid = getpid();
    runtime->loop = loop;
    pthread_mutex_init(&runtime->mutex, NULL);
    sigset_t every, before; /* signals are for the program's own threads */
    sigfillset(&every);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&all_mutex);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    int failed = pthread_create(&runtime->thread, &detached, run, runtime);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0) list_push(&all, &runtime->link);
    pthread_mutex_unlock(&all_mutex);
    pthread_attr_destroy(&detached);
    if (failed != 0) {
        loop_destroy(loop);
        release(runtime);
        return ERR_LIMIT;
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
    if (runtime->pid != getpid()) return; /* the parent's: its thread and locks are not here */
    pthread_mutex_lock(&runtime->mutex);
    bool is_last = --runtime->references == 0, is_stopped = runtime->is_stopped;
    if (is_last && !is_stopped) loop_stop(runtime->loop); /* the thread frees it, once it has the lock */
    pthread_mutex_unlock(&runtime->mutex);
    if (is_last && is_stopped) release(runtime); /* the thread ended before and left it */
}

bool runtime_is_alive(const struct runtime *runtime)
{
    if (runtime->pid != getpid()) return false;
    struct runtime *writable = (struct runtime *)(uintptr_t)runtime;
    pthread_mutex_lock(&writable->mutex);
    bool is_alive = !runtime->is_stopped;
    pthread_mutex_unlock(&writable->mutex);
    return is_alive;
}

bool runtime_send(struct runtime *runtime, struct mail *mail)
{
    if (runtime->pid != getpid()) return false;
    pthread_mutex_lock(&runtime->mutex);
    bool is_alive = !runtime->is_stopped;
    if (is_alive) loop_send(runtime->loop, mail);
    pthread_mutex_unlock(&runtime->mutex);
    return is_alive;
}

bool runtime_is_own_thread(const struct runtime *runtime) { return pthread_equal(pthread_self(), runtime->thread) != 0; }
struct loop *runtime_loop(struct runtime *runtime) { return runtime->loop; }

void runtime_stop_all(void)
{
    pthread_mutex_lock(&all_mutex);
    list_each(link, &all) loop_stop(container_of(link, struct runtime, link)->loop);
    while (!list_is_empty(&all)) pthread_cond_wait(&all_changed, &all_mutex);
    pthread_mutex_unlock(&all_mutex);
}
