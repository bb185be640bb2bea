/* temporalio._core.Loop: a queue that C threads push to and one asyncio loop takes from, woken through a descriptor.
 *
 * The queue outlives its Python object while calls are on their way. What is pushed to one that nobody drains any more
 * waits among the orphans, for it holds Python objects that only a thread with the GIL can free. */
#include "ext.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct ext_loop {
    atomic_int references;
    pthread_mutex_t mutex;
    struct list waiting; /* struct delivery */
    int descriptor;
    bool is_closed;
};

static pthread_mutex_t orphans_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list orphans = {&orphans, &orphans};

/* A forked child must not find the lock held by a thread it does not have. */
static void before_fork(void) { pthread_mutex_lock(&orphans_mutex); }
static void after_fork(void) { pthread_mutex_unlock(&orphans_mutex); }

struct ext_loop *ext_loop_ref(struct ext_loop *loop)
{
    atomic_fetch_add(&loop->references, 1);
    return loop;
}

static void move_all(struct list *from, struct list *to)
{
    struct list *link;
    while ((link = list_pop(from)) != NULL) list_push(to, link);
}

void ext_loop_unref(struct ext_loop *loop)
{
    if (atomic_fetch_sub(&loop->references, 1) != 1) return;
    pthread_mutex_lock(&orphans_mutex);
    move_all(&loop->waiting, &orphans);
    pthread_mutex_unlock(&orphans_mutex);
    close(loop->descriptor);
    pthread_mutex_destroy(&loop->mutex);
    free(loop);
}

void ext_loop_push(struct ext_loop *loop, struct delivery *delivery)
{
    pthread_mutex_lock(&loop->mutex);
    bool was_empty = list_is_empty(&loop->waiting), is_closed = loop->is_closed;
    if (!is_closed) list_push(&loop->waiting, &delivery->link);
    pthread_mutex_unlock(&loop->mutex);
    if (is_closed) { /* not into its own list: the delivery may be what keeps the loop */
        pthread_mutex_lock(&orphans_mutex);
        list_push(&orphans, &delivery->link);
        pthread_mutex_unlock(&orphans_mutex);
    }
    if (!was_empty || is_closed) return;
    uint64_t one = 1;
    while (write(loop->descriptor, &one, sizeof one) < 0 && errno == EINTR) {}
}

static void free_orphans(void)
{
    struct list mine;
    list_init(&mine);
    pthread_mutex_lock(&orphans_mutex);
    move_all(&orphans, &mine);
    pthread_mutex_unlock(&orphans_mutex);
    struct list *link;
    while ((link = list_pop(&mine)) != NULL) {
        struct delivery *d = container_of(link, struct delivery, link);
        d->deliver(d, true);
    }
}

/* Takes what has arrived; with `is_dropped` only frees it. */
static void open_all(struct ext_loop *loop, bool is_dropped)
{
    struct list mine;
    list_init(&mine);
    pthread_mutex_lock(&loop->mutex);
    move_all(&loop->waiting, &mine);
    pthread_mutex_unlock(&loop->mutex);
    struct list *link;
    while ((link = list_pop(&mine)) != NULL) {
        struct delivery *d = container_of(link, struct delivery, link);
        d->deliver(d, is_dropped);
    }
}

/* ---- futures ------------------------------------------------------------------------------------------------- */

void future_set(PyObject *future, PyObject *result, PyObject *exception)
{
    PyObject *type, *value, *trace; /* an error that is already set belongs to somebody else */
    PyErr_Fetch(&type, &value, &trace);
    PyObject *done = PyObject_CallMethod(future, "done", NULL), *set = NULL;
    int is_done = done != NULL ? PyObject_IsTrue(done) : -1;
    if (is_done == 0) set = exception != NULL ? PyObject_CallMethod(future, "set_exception", "O", exception) : PyObject_CallMethod(future, "set_result", "O", result);
    if (is_done < 0 || (is_done == 0 && set == NULL)) PyErr_WriteUnraisable(future);
    Py_XDECREF(done);
    Py_XDECREF(set);
    PyErr_Restore(type, value, trace);
}

void future_fail(PyObject *future, int code, struct str message, struct str status)
{
    PyObject *words = value_str(message), *bytes = value_bytes_new(status);
    PyObject *failure = words != NULL && bytes != NULL ? PyObject_CallFunction(rpc_failure, "iOO", code, words, bytes) : NULL;
    if (failure != NULL) future_set(future, NULL, failure);
    else PyErr_WriteUnraisable(future);
    Py_XDECREF(words);
    Py_XDECREF(bytes);
    Py_XDECREF(failure);
}

/* ---- the Python type ----------------------------------------------------------------------------------------- */

struct object {
    PyObject_HEAD
    struct ext_loop *loop;
};
static PyTypeObject *loop_type;

static PyObject *loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct object *self = (struct object *)alloc(type, 0);
    if (self == NULL) return NULL;
    int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor < 0) {
        Py_DECREF(self);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    struct ext_loop *loop = xcalloc(1, sizeof *loop);
    atomic_init(&loop->references, 1);
    pthread_mutex_init(&loop->mutex, NULL);
    list_init(&loop->waiting);
    loop->descriptor = descriptor;
    self->loop = loop;
    return (PyObject *)self;
}

static void close_loop(struct ext_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    loop->is_closed = true;
    pthread_mutex_unlock(&loop->mutex);
    open_all(loop, true);
}

static void loop_dealloc(PyObject *object)
{
    struct object *self = (struct object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->loop != NULL) {
        close_loop(self->loop);
        ext_loop_unref(self->loop);
    }
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *loop_fileno(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(((struct object *)object)->loop->descriptor);
}

static PyObject *loop_drain(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct ext_loop *loop = ext_loop_ref(((struct object *)object)->loop);
    uint64_t count;
    while (read(loop->descriptor, &count, sizeof count) < 0 && errno == EINTR) {}
    open_all(loop, false);
    free_orphans();
    ext_loop_unref(loop);
    Py_RETURN_NONE;
}

static PyObject *loop_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    close_loop(((struct object *)object)->loop);
    Py_RETURN_NONE;
}

struct ext_loop *ext_loop_of(PyObject *object)
{
    if (PyObject_TypeCheck(object, loop_type)) return ((struct object *)object)->loop;
    PyErr_SetString(PyExc_TypeError, "expected a temporalio._core.Loop");
    return NULL;
}

bool ext_loop_add(PyObject *module)
{
    static PyMethodDef methods[] = {
        {"fileno", loop_fileno, METH_NOARGS, "The descriptor that becomes readable when something is waiting."},
        {"drain", loop_drain, METH_NOARGS, "Sets the futures and calls the callbacks that are waiting."},
        {"close", loop_close, METH_NOARGS, "Drops what is waiting and what still comes."},
        {NULL},
    };
    static PyType_Slot slots[] = {{Py_tp_new, loop_new}, {Py_tp_dealloc, loop_dealloc}, {Py_tp_methods, methods}, {0}};
    static PyType_Spec spec = {"temporalio._core.Loop", sizeof(struct object), 0, Py_TPFLAGS_DEFAULT, slots};
    pthread_atfork(before_fork, after_fork, after_fork);
    return ext_add_type(module, "Loop", &spec, &loop_type);
}
