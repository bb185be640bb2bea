/* A thread that calls Python for C threads, so that none of them waits for the GIL. One per process, made when it is needed
 * first; calls run in the order they came. */
#include "ext.h"

#include <pthread.h>
#include <stdlib.h>

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list calls;
    bool has_thread;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .calls = {&queue.calls, &queue.calls}};

static void *run(void *arg)
{
    (void)arg;
    PyGILState_STATE state;
    struct list mine, *link;
    list_init(&mine);
    while (true) {
        pthread_mutex_lock(&queue.mutex);
        while (list_is_empty(&queue.calls)) pthread_cond_wait(&queue.changed, &queue.mutex);
        while ((link = list_pop(&queue.calls)) != NULL) list_push(&mine, link);
        pthread_mutex_unlock(&queue.mutex);
        if (!gil_enter(&state)) return NULL; /* the interpreter is ending: what waits goes with the process */
        while ((link = list_pop(&mine)) != NULL) {
            struct ext_call *call = container_of(link, struct ext_call, link);
            call->run(call);
        }
        gil_leave(state);
    }
}

/* A child of a fork has neither the thread nor the workers that calls are about. */
static void before_fork(void) { pthread_mutex_lock(&queue.mutex); }
static void after_fork(void) { pthread_mutex_unlock(&queue.mutex); }
static void after_fork_child(void)
{
    queue.has_thread = false;
    list_init(&queue.calls);
    pthread_cond_init(&queue.changed, NULL);
    pthread_mutex_unlock(&queue.mutex);
}

bool ext_calls_start(void)
{
    static bool is_watching;
    if (!is_watching) pthread_atfork(before_fork, after_fork, after_fork_child);
    is_watching = true;
    if (queue.has_thread) return true;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) != 0) {
        PyErr_SetString(PyExc_RuntimeError, "the system gives no more threads");
        return false;
    }
    pthread_detach(thread);
    queue.has_thread = true;
    return true;
}

void ext_calls_push(struct ext_call *call)
{
    pthread_mutex_lock(&queue.mutex);
    list_push(&queue.calls, &call->link);
    pthread_cond_signal(&queue.changed);
    pthread_mutex_unlock(&queue.mutex);
}
