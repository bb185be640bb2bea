/* temporalio._core.Worker and Replayer: capi/worker.h for Python.
 *
 * What the C side needs of Python (callbacks, futures that wait for the end) is in a counted `state`, which lives until
 * neither the object nor a thread nor a delivery can use it. Callbacks are let go of when the worker is done, so that the
 * Python objects behind them are not kept alive by themselves.
 *
 * Activity tasks wait in the state for whoever comes first: the loop's thread (drain) or, while that is blocked, a thread
 * of Python's choice (hand_over_activity_tasks). One of them hands over at a time, so that tasks stay in order. */
#include "ext.h"

#include "capi/worker.h"
#include "proto/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    STUCK_MS = 100,
    SHORT_MAX = 64 * 1024, /* bytes that are copied faster than the GIL changes hands */
};

struct waiter { /* of finalize_shutdown */
    struct list link;
    struct delivery delivery;
    struct ext_loop *loop;
    PyObject *future; /* owned */
};

struct state {
    atomic_int references;
    pthread_mutex_t mutex; /* guards what follows up to activity_loop; never held while waiting for the GIL */
    struct list waiters;
    struct list tasks;     /* struct task */
    bool is_done, is_announced, is_handing_over; /* the loop knows that tasks wait; a thread hands them over */
    bool is_waiting_told;  /* the call of waiting_callback is on its way */
    bool is_probing;       /* a call that does nothing is on its way, since probed_at */
    instant probed_at;     /* by the monotonic clock */
    struct ext_loop *activity_loop;
    /* Owned; touched with the GIL only. */
    PyObject *activity_callback, *waiting_callback, *slots_callback, *fatal_callback, *options;
};

struct task { /* an encoded ActivityTask; empty: there are no more */
    struct list link;
    struct buf bytes;
};

static void state_clear(struct state *s)
{
    PyObject **callbacks[] = {&s->activity_callback, &s->waiting_callback, &s->slots_callback, &s->fatal_callback, &s->options};
    for (size_t i = 0; i < countof(callbacks); i++) {
        PyObject *callback = *callbacks[i];
        *callbacks[i] = NULL;
        Py_XDECREF(callback);
    }
}

static struct state *state_create(void)
{
    struct state *s = xcalloc(1, sizeof *s);
    atomic_init(&s->references, 1);
    pthread_mutex_init(&s->mutex, NULL);
    list_init(&s->waiters);
    list_init(&s->tasks);
    return s;
}

static void task_free(struct task *task)
{
    buf_fini(&task->bytes);
    free(task);
}

/* With the GIL. */
static void state_unref(struct state *s)
{
    if (atomic_fetch_sub(&s->references, 1) != 1) return;
    state_clear(s);
    for (struct list *link; (link = list_pop(&s->tasks)) != NULL;) task_free(container_of(link, struct task, link));
    if (s->activity_loop != NULL) ext_loop_unref(s->activity_loop);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* ---- activity tasks: to the loop's thread, or to another while that is blocked -------------------------------------- */

static bool is_start(uint64_t tag) { return tag == (pb_core_ActivityTask_start_tag << 3 | WIRE_BYTES); }

static bool is_needed_at_once(uint64_t tag)
{
    enum { ACTIVITY_TYPE = 2, INPUT = 8, HEARTBEAT_TIMEOUT = 16 };
    return tag >> 3 == ACTIVITY_TYPE || tag >> 3 == INPUT || tag >> 3 == HEARTBEAT_TIMEOUT;
}

/* Copies the fields of a message to where they are wanted. False: it is none. */
static bool split(struct str message, bool (*is_chosen)(uint64_t tag), struct buf *chosen, struct buf *others)
{
    const uint8_t *p = (const uint8_t *)message.data, *end = p + message.size;
    for (uint64_t tag; p < end;) {
        const uint8_t *next = wire_read_varint(p, end, &tag);
        if (next != NULL) next = wire_skip(next, end, tag);
        if (next == NULL) return false;
        buf_append(is_chosen(tag) ? chosen : others, (const char *)p, (size_t)(next - p));
        p = next;
    }
    return true;
}

static bool set_new(PyObject *dict, PyObject **key, const char *name, PyObject *value) /* steals value; *key: made once, kept */
{
    if (*key == NULL) *key = PyUnicode_InternFromString(name);
    bool ok = *key != NULL && value != NULL && PyDict_SetItem(dict, *key, value) == 0;
    Py_XDECREF(value);
    return ok;
}

/* A new dict of an ActivityStart: what is needed at once, and `others`, the fields that only some ask for, encoded. */
static PyObject *decode_start(struct str bytes)
{
    static PyObject *others_key;
    struct buf needed = {0}, others = {0};
    PyObject *start = NULL;
    if (!split(bytes, is_needed_at_once, &needed, &others)) start = codec_decode(&pb_core_ActivityStart_type, bytes); /* which raises */
    else start = codec_decode(&pb_core_ActivityStart_type, buf_view(&needed));
    if (start != NULL && !set_new(start, &others_key, "others", value_bytes_new(buf_view(&others)))) Py_CLEAR(start);
    buf_fini(&needed);
    buf_fini(&others);
    return start;
}

/* A new dict of an ActivityTask, its start as decode_start makes it. */
static PyObject *decode_task(struct str bytes)
{
    static PyObject *start_key;
    struct buf start = {0}, others = {0};
    uint64_t tag, size = 0;
    bool is_split = split(bytes, is_start, &start, &others) && start.size != 0;
    PyObject *task = codec_decode(&pb_core_ActivityTask_type, is_split ? buf_view(&others) : bytes);
    if (task != NULL && is_split) {
        const uint8_t *p = (const uint8_t *)start.data, *end = p + start.size;
        p = wire_read_varint(wire_read_varint(p, end, &tag), end, &size); /* split has seen that they are there */
        if (!set_new(task, &start_key, "start", decode_start(str_make((const char *)p, (size_t)size)))) Py_CLEAR(task);
    }
    buf_fini(&start);
    buf_fini(&others);
    return task;
}

static void call_with_task(struct state *s, struct task *t)
{
    PyObject *callback = s->activity_callback, *task = Py_None, *result = NULL;
    if (callback == NULL) return;
    Py_INCREF(callback);
    if (t->bytes.size != 0) task = decode_task(buf_view(&t->bytes));
    else Py_INCREF(task);
    if (task != NULL) result = PyObject_CallFunctionObjArgs(callback, task, NULL);
    if (result == NULL) PyErr_WriteUnraisable(callback);
    Py_XDECREF(task);
    Py_XDECREF(result);
    Py_DECREF(callback);
    if (t->bytes.size == 0) Py_CLEAR(s->activity_callback);
}

static struct task *next_task(struct state *s)
{
    pthread_mutex_lock(&s->mutex);
    struct list *link = list_pop(&s->tasks);
    if (link == NULL) s->is_handing_over = false;
    pthread_mutex_unlock(&s->mutex);
    return link != NULL ? container_of(link, struct task, link) : NULL;
}

/* Gives all tasks that wait to the callback, unless another thread is doing that. With the GIL. */
static void hand_over(struct state *s)
{
    struct task *t;
    pthread_mutex_lock(&s->mutex);
    bool is_mine = !s->is_handing_over;
    s->is_handing_over = true;
    pthread_mutex_unlock(&s->mutex);
    while (is_mine && (t = next_task(s)) != NULL) {
        call_with_task(s, t);
        task_free(t);
    }
}

struct announcement {
    struct delivery delivery;
    struct state *state; /* referenced */
};

static void deliver_tasks(struct delivery *delivery, bool is_dropped)
{
    struct announcement *a = container_of(delivery, struct announcement, delivery);
    struct state *s = a->state;
    pthread_mutex_lock(&s->mutex);
    s->is_announced = false;
    pthread_mutex_unlock(&s->mutex);
    if (!is_dropped) hand_over(s);
    state_unref(s);
    free(a);
}

/* Under the worker's lock, on any thread. */
static void on_activity_task(void *arg, struct str bytes)
{
    struct state *s = arg;
    if (s->activity_loop == NULL) return;
    struct task *t = xcalloc(1, sizeof *t);
    buf_append_str(&t->bytes, bytes);
    pthread_mutex_lock(&s->mutex);
    list_push(&s->tasks, &t->link);
    bool is_announced = s->is_announced;
    s->is_announced = true;
    pthread_mutex_unlock(&s->mutex);
    if (is_announced) return;
    struct announcement *a = xcalloc(1, sizeof *a);
    a->delivery.deliver = deliver_tasks;
    a->state = s;
    atomic_fetch_add(&s->references, 1);
    ext_loop_push(s->activity_loop, &a->delivery);
}

/* ---- the other hooks: on the thread of the calls ------------------------------------------------------------------------ */

struct hook_call {
    struct ext_call call;
    struct state *state; /* referenced */
    void (*hook)(struct hook_call *call);
    struct worker_slot slot;
    int code;
    struct buf text;     /* what slot.type or the message of a failure was */
};

static void run_hook(struct ext_call *call)
{
    struct hook_call *h = container_of(call, struct hook_call, call);
    h->hook(h);
    state_unref(h->state);
    buf_fini(&h->text);
    free(h);
}

static struct hook_call *hook_call(struct state *s, void (*hook)(struct hook_call *call), struct str text)
{
    struct hook_call *h = xcalloc(1, sizeof *h);
    h->call.run = run_hook;
    h->hook = hook;
    h->state = s;
    atomic_fetch_add(&s->references, 1);
    buf_append_str(&h->text, text);
    return h;
}

static void call_back(PyObject *callback, PyObject *args) /* steals args; callback: borrowed, may be NULL */
{
    Py_XINCREF(callback);
    PyObject *result = callback != NULL && args != NULL ? PyObject_CallObject(callback, args) : NULL;
    if (callback != NULL && result == NULL) PyErr_WriteUnraisable(callback);
    Py_XDECREF(callback);
    Py_XDECREF(result);
    Py_XDECREF(args);
}

static void call_waiting(struct hook_call *h)
{
    struct state *s = h->state;
    pthread_mutex_lock(&s->mutex);
    s->is_waiting_told = false;
    pthread_mutex_unlock(&s->mutex);
    call_back(s->waiting_callback, PyTuple_New(0));
}

static void on_waiting(void *arg)
{
    struct state *s = arg;
    pthread_mutex_lock(&s->mutex);
    bool is_told = s->is_waiting_told;
    s->is_waiting_told = true;
    pthread_mutex_unlock(&s->mutex);
    if (!is_told) ext_calls_push(&hook_call(s, call_waiting, STR_EMPTY)->call);
}

/* ---- is Python at work at all? ---- */

static instant now_steady(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (instant){t.tv_sec * NS_PER_S + t.tv_nsec};
}

static void call_probe(struct hook_call *h)
{
    pthread_mutex_lock(&h->state->mutex);
    h->state->is_probing = false;
    pthread_mutex_unlock(&h->state->mutex);
}

/* Somebody has held the GIL for long when a call that does nothing has not come back. */
static bool on_is_stuck(void *arg)
{
    struct state *s = arg;
    instant now = now_steady();
    pthread_mutex_lock(&s->mutex);
    bool was_probing = s->is_probing, is_stuck = was_probing && now.ns - s->probed_at.ns >= STUCK_MS * NS_PER_MS;
    if (!was_probing) s->probed_at = now;
    s->is_probing = true;
    pthread_mutex_unlock(&s->mutex);
    if (!was_probing) ext_calls_push(&hook_call(s, call_probe, STR_EMPTY)->call);
    return is_stuck;
}

static bool set_item(PyObject *dict, const char *key, PyObject *value) /* steals value */
{
    bool ok = value != NULL && PyDict_SetItemString(dict, key, value) == 0;
    Py_XDECREF(value);
    return ok;
}

/* A new dict of what a supplier is told. */
static PyObject *slot_context(const struct state *s, const struct worker_slot *slot)
{
    static const char *const names[][2] = {{"task_queue", "task_queue"}, {"identity", "worker_identity"}, {"build_id", "worker_build_id"}};
    PyObject *dict = PyDict_New();
    bool ok = dict != NULL && set_item(dict, "is_sticky", PyBool_FromLong(slot->is_sticky));
    if (slot->what == EFFECT_SLOT_USED)
        ok = ok && set_item(dict, slot->kind == SLOT_WORKFLOW ? "workflow_type" : "activity_type", value_str(slot->type));
    for (size_t i = 0; ok && slot->what == EFFECT_SLOT_RESERVE && i < countof(names); i++) {
        PyObject *value = option_get(s->options, names[i][0]); /* borrowed */
        if (value != NULL) ok = PyDict_SetItemString(dict, names[i][1], value) == 0;
    }
    PyObject *name = slot->what == EFFECT_SLOT_RESERVE && ok ? option_get(s->options, "deployment_name") : NULL; /* borrowed */
    if (ok && name != NULL) {
        PyObject *build_id = option_get(s->options, "build_id"); /* borrowed */
        ok = set_item(dict, "worker_deployment_version",
                      Py_BuildValue("{sOsO}", "deployment_name", name, "build_id", build_id != NULL ? build_id : name));
    }
    if (ok) return dict;
    Py_XDECREF(dict);
    return NULL;
}

static void call_slot(struct hook_call *h)
{
    const struct worker_slot *slot = &h->slot;
    PyObject *callback = h->state->slots_callback;
    if (callback == NULL) return;
    const char *what = slot->what == EFFECT_SLOT_RESERVE ? "reserve" : slot->what == EFFECT_SLOT_CANCEL ? "cancel"
                     : slot->what == EFFECT_SLOT_USED ? "used" : "release";
    PyObject *context = slot_context(h->state, slot);
    call_back(callback, context != NULL ? Py_BuildValue("(sIKN)", what, slot->custom_id, (unsigned long long)slot->number, context) : NULL);
}

static void on_slot(void *arg, const struct worker_slot *slot)
{
    struct hook_call *h = hook_call(arg, call_slot, slot->type);
    h->slot = *slot;
    h->slot.type = buf_view(&h->text);
    ext_calls_push(&h->call);
}

static void call_fatal(struct hook_call *h)
{
    PyObject *words = value_str(buf_view(&h->text)), *failure = NULL;
    if (words != NULL) failure = PyObject_CallFunction(rpc_failure, "iOy#", h->code, words, "", (Py_ssize_t)0);
    Py_XDECREF(words);
    call_back(h->state->fatal_callback, failure != NULL ? Py_BuildValue("(N)", failure) : NULL);
}

static void on_fatal(void *arg, int code, struct str message)
{
    struct hook_call *h = hook_call(arg, call_fatal, message);
    h->code = code;
    ext_calls_push(&h->call);
}

/* ---- the end ----------------------------------------------------------------------------------------------------------- */

static void deliver_end(struct delivery *delivery, bool is_dropped)
{
    struct waiter *w = container_of(delivery, struct waiter, delivery);
    if (!is_dropped) future_set(w->future, Py_None, NULL);
    Py_DECREF(w->future);
    ext_loop_unref(w->loop);
    free(w);
}

static void push_end(struct waiter *w)
{
    struct ext_loop *loop = ext_loop_ref(w->loop);
    ext_loop_push(loop, &w->delivery);
    ext_loop_unref(loop);
}

static void call_done(struct hook_call *h)
{
    Py_CLEAR(h->state->waiting_callback);
    Py_CLEAR(h->state->slots_callback);
    Py_CLEAR(h->state->fatal_callback);
}

static void on_worker_done(void *arg)
{
    struct state *s = arg;
    struct list *link, waiters;
    list_init(&waiters);
    pthread_mutex_lock(&s->mutex);
    s->is_done = true;
    while ((link = list_pop(&s->waiters)) != NULL) list_push(&waiters, link);
    pthread_mutex_unlock(&s->mutex);
    while ((link = list_pop(&waiters)) != NULL) push_end(container_of(link, struct waiter, link));
    ext_calls_push(&hook_call(s, call_done, STR_EMPTY)->call);
}

static void call_nothing(struct hook_call *h) { (void)h; }

static void on_release(void *arg)
{
    struct state *s = arg;
    struct hook_call *h = hook_call(s, call_nothing, STR_EMPTY); /* which has a reference of its own, so that the hooks' may go */
    atomic_fetch_sub(&s->references, 1);
    ext_calls_push(&h->call);
}

static const struct worker_hooks hooks = {.activity_task = on_activity_task, .activation_waiting = on_waiting, .slot = on_slot,
                                          .fatal = on_fatal, .is_stuck = on_is_stuck, .done = on_worker_done, .release = on_release};

/* ---- Worker and Replayer -------------------------------------------------------------------------------------------------- */

struct object {
    PyObject_HEAD
    PyObject *connection; /* owned; NULL: a Replayer */
    PyObject *namespace;  /* owned */
    struct worker *worker;
    struct state *state;
};

/* The options as a message; `arena` holds it. */
static pb_core_WorkerOptions *read_options(PyObject *dict, bool is_replayer, struct arena *arena)
{
    struct buf bytes = {0};
    pb_core_WorkerOptions *options = NULL;
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "the options of a worker are a dict");
        return NULL;
    }
    if (codec_encode(&pb_core_WorkerOptions_type, dict, &bytes) && PB_DECODE(arena, buf_view(&bytes), pb_core_WorkerOptions, &options) != ERR_NONE)
        PyErr_SetString(PyExc_ValueError, "the options of a worker can not be read");
    buf_fini(&bytes);
    if (options != NULL) options->is_replayer = is_replayer;
    return options;
}

static bool make_worker(struct object *self, struct connection *connection, PyObject *dict)
{
    struct arena arena;
    struct error error = {0};
    struct runtime *runtime = NULL;
    arena_init(&arena, 0, 0);
    pb_core_WorkerOptions *options = read_options(dict, connection == NULL, &arena);
    bool ok = options != NULL && ext_calls_start();
    if (ok && connection == NULL && runtime_create(&runtime, NULL, &arena, &error) != ERR_NONE) {
        raise_error(&error);
        ok = false;
    }
    if (ok && worker_create(&self->worker, connection, runtime, options, &arena, &error) != ERR_NONE) {
        raise_error(&error);
        ok = false;
    }
    if (runtime != NULL) runtime_unref(runtime);
    arena_fini(&arena);
    if (!ok) return false;
    self->state = state_create();
    self->state->options = PyDict_Copy(dict);
    atomic_fetch_add(&self->state->references, 1); /* of the hooks */
    worker_set_hooks(self->worker, &hooks, self->state);
    return self->state->options != NULL;
}

static struct object *allocate(PyTypeObject *type)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return (struct object *)alloc(type, 0);
}

static PyObject *worker_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"connection", "options", NULL};
    PyObject *connection, *options;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &connection, &options)) return NULL;
    struct connection *c = ext_connection_of(connection);
    if (c == NULL) return NULL;
    struct object *self = allocate(type);
    if (self == NULL) return NULL;
    Py_INCREF(connection);
    self->connection = connection;
    if (!make_worker(self, c, options)) {
        Py_DECREF(self);
        return NULL;
    }
    self->namespace = PyDict_GetItemString(options, "namespace"); /* borrowed */
    Py_XINCREF(self->namespace);
    return (PyObject *)self;
}

static PyObject *replayer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"options", NULL};
    PyObject *options;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &options)) return NULL;
    struct object *self = allocate(type);
    if (self == NULL) return NULL;
    if (make_worker(self, NULL, options)) return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static void let_go(struct object *self)
{
    struct worker *worker = self->worker;
    self->worker = NULL;
    if (worker == NULL) return;
    PyThreadState *saved = PyEval_SaveThread();
    worker_unref(worker);
    PyEval_RestoreThread(saved);
}

static void object_dealloc(PyObject *object)
{
    struct object *self = (struct object *)object;
    PyTypeObject *type = Py_TYPE(object);
    let_go(self);
    if (self->state != NULL) {
        state_clear(self->state);
        state_unref(self->state);
    }
    Py_XDECREF(self->connection);
    Py_XDECREF(self->namespace);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static struct worker *worker_of(struct object *self)
{
    if (self->worker == NULL) PyErr_SetString(PyExc_RuntimeError, "the worker was closed");
    return self->worker;
}

/* Runs a statement that uses `worker` without the GIL. What is short is first tried with it (worker_try_…): giving it back
 * while others want it costs two changes of threads. Nobody who has the worker's lock waits for the GIL. */
#define WITHOUT_GIL(statement)                          \
    do {                                                \
        PyThreadState *saved_ = PyEval_SaveThread();    \
        statement;                                      \
        PyEval_RestoreThread(saved_);                   \
    } while (0)

static PyObject *worker_validate(PyObject *object, PyObject *args)
{
    struct object *self = (struct object *)object;
    PyObject *loop, *future;
    if (!PyArg_ParseTuple(args, "OO", &loop, &future)) return NULL;
    PyObject *method = PyObject_GetAttrString(self->connection, "call"), *call = NULL;
    PyObject *positional = Py_BuildValue("(OOs{sO})", loop, future, "/temporal.api.workflowservice.v1.WorkflowService/DescribeNamespace",
                                         "namespace", self->namespace != NULL ? self->namespace : Py_None);
    PyObject *named = Py_BuildValue("{sO}", "retry", Py_True);
    if (method != NULL && positional != NULL && named != NULL) call = PyObject_Call(method, positional, named);
    Py_XDECREF(method);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    if (call == NULL) return NULL;
    Py_DECREF(call);
    Py_RETURN_NONE;
}

static PyObject *worker_begin(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct worker *worker = worker_of((struct object *)object);
    bool has_started;
    if (worker == NULL) return NULL;
    WITHOUT_GIL(has_started = worker_start(worker));
    if (has_started) Py_RETURN_NONE;
    PyErr_SetString(PyExc_RuntimeError, "Cannot use worker across forks: its threads belong to the process that made it");
    return NULL;
}

static PyObject *worker_change_connection(PyObject *object, PyObject *connection)
{
    struct object *self = (struct object *)object;
    struct connection *c = ext_connection_of(connection);
    struct worker *worker = c != NULL ? worker_of(self) : NULL;
    if (worker == NULL) return NULL;
    PyObject *before = self->connection;
    Py_INCREF(connection);
    self->connection = connection;
    WITHOUT_GIL(worker_replace_connection(worker, c));
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static void set_callback(PyObject **place, PyObject *callback)
{
    PyObject *before = *place;
    Py_INCREF(callback);
    *place = callback;
    Py_XDECREF(before);
}

static PyObject *worker_on_slots(PyObject *object, PyObject *callback)
{
    set_callback(&((struct object *)object)->state->slots_callback, callback);
    Py_RETURN_NONE;
}

static PyObject *worker_on_fatal(PyObject *object, PyObject *callback)
{
    set_callback(&((struct object *)object)->state->fatal_callback, callback);
    Py_RETURN_NONE;
}

static PyObject *worker_on_waiting(PyObject *object, PyObject *callback)
{
    set_callback(&((struct object *)object)->state->waiting_callback, callback);
    Py_RETURN_NONE;
}

static PyObject *worker_on_activity_task(PyObject *object, PyObject *args)
{
    struct state *s = ((struct object *)object)->state;
    PyObject *loop_object, *callback;
    if (!PyArg_ParseTuple(args, "OO", &loop_object, &callback)) return NULL;
    struct ext_loop *loop = ext_loop_of(loop_object);
    if (loop == NULL) return NULL;
    if (s->activity_loop != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "activity tasks have their loop already");
        return NULL;
    }
    set_callback(&s->activity_callback, callback);
    s->activity_loop = ext_loop_ref(loop);
    Py_RETURN_NONE;
}

static PyObject *worker_hand_over(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct state *s = ((struct object *)object)->state;
    atomic_fetch_add(&s->references, 1); /* the callback may let go of the worker */
    hand_over(s);
    state_unref(s);
    Py_RETURN_NONE;
}

static PyObject *worker_beat_for(PyObject *object, PyObject *token)
{
    struct worker *worker = worker_of((struct object *)object);
    struct str bytes;
    if (worker == NULL || !value_bytes(token, &bytes)) return NULL;
    WITHOUT_GIL(worker_keep_alive(worker, bytes)); /* the argument keeps the bytes */
    Py_RETURN_NONE;
}

static PyObject *worker_grant(PyObject *object, PyObject *number)
{
    struct worker *worker = worker_of((struct object *)object);
    unsigned long long value = PyLong_AsUnsignedLongLong(number);
    if (worker == NULL || PyErr_Occurred()) return NULL;
    WITHOUT_GIL(worker_grant_slot(worker, value));
    Py_RETURN_NONE;
}

static PyObject *worker_reserve_task(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct worker *worker = worker_of((struct object *)object);
    uint64_t permit = 0;
    if (worker == NULL) return NULL;
    WITHOUT_GIL(permit = worker_reserve(worker));
    return PyLong_FromUnsignedLongLong(permit);
}

static PyObject *worker_accept_task(PyObject *object, PyObject *args)
{
    struct worker *worker = worker_of((struct object *)object);
    unsigned long long permit;
    const char *data;
    Py_ssize_t size;
    if (worker == NULL || !PyArg_ParseTuple(args, "Ky#", &permit, &data, &size)) return NULL;
    WITHOUT_GIL(worker_accept(worker, permit, str_make(data, (size_t)size)));
    Py_RETURN_NONE;
}

static PyObject *worker_take_activation(PyObject *object, PyObject *timeout)
{
    struct worker *worker = worker_of((struct object *)object);
    duration limit = {-1};
    struct buf bytes = {0};
    bool has_one;
    if (worker == NULL) return NULL;
    if (timeout != Py_None) {
        double seconds = PyFloat_AsDouble(timeout);
        if (seconds == -1 && PyErr_Occurred()) return NULL;
        limit.ns = seconds <= 0 ? 0 : seconds > 1e9 ? (int64_t)1e18 : (int64_t)(seconds * 1e9);
    }
    WITHOUT_GIL(has_one = worker_next_activation(worker, limit, &bytes)); /* once per activation others get their turn */
    if (!has_one) Py_RETURN_NONE;
    PyObject *activation = codec_decode(&pb_core_Activation_type, buf_view(&bytes));
    buf_fini(&bytes);
    return activation;
}

static PyObject *refuse(const char *words)
{
    PyErr_SetString(PyExc_ValueError, words);
    return NULL;
}

static PyObject *worker_give_completion(PyObject *object, PyObject *completion)
{
    struct worker *worker = worker_of((struct object *)object);
    struct buf bytes = {0};
    err e;
    if (worker == NULL) return NULL;
    if (!codec_encode(&pb_core_Completion_type, completion, &bytes)) {
        buf_fini(&bytes);
        return NULL;
    }
    if (bytes.size > SHORT_MAX || !worker_try_complete_activation(worker, &bytes, &e))
        WITHOUT_GIL(e = worker_complete_activation(worker, &bytes));
    if (e != ERR_NONE) return refuse("no activation of this run waits for a completion");
    Py_RETURN_NONE;
}

static PyObject *worker_give_result(PyObject *object, PyObject *result)
{
    struct worker *worker = worker_of((struct object *)object);
    struct buf bytes = {0};
    err e = ERR_NONE;
    if (worker == NULL) return NULL;
    bool ok = codec_encode(&pb_core_ActivityResult_type, result, &bytes);
    if (ok && (bytes.size > SHORT_MAX || !worker_try_complete_activity(worker, buf_view(&bytes), &e)))
        WITHOUT_GIL(e = worker_complete_activity(worker, buf_view(&bytes)));
    buf_fini(&bytes);
    if (!ok) return NULL;
    if (e != ERR_NONE) return refuse("an activity's result has an outcome");
    Py_RETURN_NONE;
}

static PyObject *worker_beat(PyObject *object, PyObject *args)
{
    struct worker *worker = worker_of((struct object *)object);
    PyObject *token, *details;
    struct buf bytes = {0};
    err e = ERR_NONE;
    if (worker == NULL || !PyArg_ParseTuple(args, "OO", &token, &details)) return NULL;
    PyObject *dict = Py_BuildValue("{sOsO}", "task_token", token, "details", details);
    bool ok = dict != NULL && codec_encode(&pb_core_ActivityHeartbeat_type, dict, &bytes);
    Py_XDECREF(dict);
    if (ok) WITHOUT_GIL(e = worker_record_heartbeat(worker, buf_view(&bytes)));
    buf_fini(&bytes);
    if (!ok) return NULL;
    if (e != ERR_NONE) return refuse("a heartbeat has a task token");
    Py_RETURN_NONE;
}

static PyObject *worker_initiate_shutdown(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct worker *worker = worker_of((struct object *)object);
    if (worker == NULL) return NULL;
    WITHOUT_GIL(worker_shutdown(worker));
    Py_RETURN_NONE;
}

static PyObject *worker_finalize_shutdown(PyObject *object, PyObject *args)
{
    struct object *self = (struct object *)object;
    struct worker *worker = worker_of(self);
    PyObject *loop_object, *future;
    if (worker == NULL || !PyArg_ParseTuple(args, "OO", &loop_object, &future)) return NULL;
    struct ext_loop *loop = ext_loop_of(loop_object);
    if (loop == NULL) return NULL;
    struct waiter *w = xcalloc(1, sizeof *w);
    w->delivery.deliver = deliver_end;
    w->loop = ext_loop_ref(loop);
    w->future = future;
    Py_INCREF(future);
    struct state *s = self->state;
    pthread_mutex_lock(&s->mutex);
    bool is_done = s->is_done;
    if (!is_done) list_push(&s->waiters, &w->link);
    pthread_mutex_unlock(&s->mutex);
    if (is_done) push_end(w);
    else WITHOUT_GIL(worker_shutdown(worker));
    Py_RETURN_NONE;
}

static PyObject *worker_get_is_shut_down(PyObject *object, void *closure)
{
    (void)closure;
    struct object *self = (struct object *)object;
    return PyBool_FromLong(self->worker == NULL || self->state->is_done);
}

static PyObject *replayer_push_history(PyObject *object, PyObject *args)
{
    struct worker *worker = worker_of((struct object *)object);
    PyObject *id_object, *history_object;
    struct str id, history;
    err e;
    if (worker == NULL || !PyArg_ParseTuple(args, "UO", &id_object, &history_object)) return NULL;
    if (!value_bytes(id_object, &id) || !value_bytes(history_object, &history)) return NULL;
    WITHOUT_GIL(e = worker_push_history(worker, id, history)); /* the arguments keep the bytes */
    if (e != ERR_NONE) return refuse("not a history that begins with its start, or the same run is being replayed");
    Py_RETURN_NONE;
}

#define METHOD(name, function, flags, doc) {name, (PyCFunction)(void (*)(void))(function), flags, doc}

bool ext_worker_add(PyObject *module)
{
    static PyMethodDef methods[] = {
        METHOD("validate", worker_validate, METH_VARARGS, "Sets the future once the namespace is known to be there."),
        METHOD("start", worker_begin, METH_NOARGS, "Begins to poll."),
        METHOD("replace_connection", worker_change_connection, METH_O, "Calls go over this connection from now on."),
        METHOD("on_slots", worker_on_slots, METH_O, "Sets what is called about slots of custom suppliers."),
        METHOD("on_fatal", worker_on_fatal, METH_O, "Sets what is called when the server refuses the worker."),
        METHOD("on_activation_waiting", worker_on_waiting, METH_O, "Sets what is called when an activation waits."),
        METHOD("on_activity_task", worker_on_activity_task, METH_VARARGS, "Sets what is called with activity tasks."),
        METHOD("hand_over_activity_tasks", worker_hand_over, METH_NOARGS, "Calls back with the activity tasks that wait for the loop."),
        METHOD("keep_alive", worker_beat_for, METH_O, "Repeats the last heartbeat of an activity that can not beat."),
        METHOD("grant_slot", worker_grant, METH_O, "A slot that was asked for is there."),
        METHOD("reserve_workflow_task", worker_reserve_task, METH_NOARGS, "A slot for a workflow task that may come with a start; 0: none."),
        METHOD("accept_workflow_task", worker_accept_task, METH_VARARGS, "Takes the task, or an empty one and the slot back."),
        METHOD("next_activation", worker_take_activation, METH_O, "The next activation, or None."),
        METHOD("complete_activation", worker_give_completion, METH_O, "Answers an activation."),
        METHOD("complete_activity", worker_give_result, METH_O, "Answers an activity task."),
        METHOD("record_heartbeat", worker_beat, METH_VARARGS, "Sends a heartbeat, now or soon."),
        METHOD("initiate_shutdown", worker_initiate_shutdown, METH_NOARGS, "Takes no more tasks."),
        METHOD("finalize_shutdown", worker_finalize_shutdown, METH_VARARGS, "Sets the future once all tasks have ended."),
        {NULL},
    };
    static PyGetSetDef properties[] = {{"is_shut_down", worker_get_is_shut_down, NULL, "Whether all has ended.", NULL}, {NULL}};
    static PyType_Slot slots[] = {{Py_tp_new, worker_new}, {Py_tp_dealloc, object_dealloc}, {Py_tp_methods, methods}, {Py_tp_getset, properties}, {0}};
    static PyType_Spec spec = {"temporalio._core.Worker", sizeof(struct object), 0, Py_TPFLAGS_DEFAULT, slots};
    static PyMethodDef replayer_methods[] = {
        METHOD("push_history", replayer_push_history, METH_VARARGS, "Replays one more history."),
        METHOD("on_activation_waiting", worker_on_waiting, METH_O, "Sets what is called when an activation waits."),
        METHOD("next_activation", worker_take_activation, METH_O, "The next activation, or None."),
        METHOD("complete_activation", worker_give_completion, METH_O, "Answers an activation."),
        METHOD("close", worker_initiate_shutdown, METH_NOARGS, "Takes no more histories."),
        {NULL},
    };
    static PyType_Slot replayer_slots[] = {{Py_tp_new, replayer_new}, {Py_tp_dealloc, object_dealloc}, {Py_tp_methods, replayer_methods}, {0}};
    static PyType_Spec replayer_spec = {"temporalio._core.Replayer", sizeof(struct object), 0, Py_TPFLAGS_DEFAULT, replayer_slots};
    static PyTypeObject *worker_type, *replayer_type;
    return ext_add_type(module, "Worker", &spec, &worker_type) && ext_add_type(module, "Replayer", &replayer_spec, &replayer_type);
}
