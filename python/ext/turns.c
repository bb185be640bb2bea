/* temporalio._core.Turns: the callbacks that wait for their turn on a workflow's event loop, and the running of them, and
 * the attributes of a workflow run that C uses or that most runs leave alone.
 *
 * Each waits as the arguments of Context.run. What may be cancelled has a handle besides, asyncio's own, whose fields are
 * set through their descriptors: nothing in a workflow is made as often. A task's next step, which nobody can cancel, has
 * none. */
#include "turns.h"

#include <stdlib.h>
#include <structmember.h>

/* Of the process; set by prepare. */
enum field { FIELD_CONTEXT, FIELD_LOOP, FIELD_CALLBACK, FIELD_ARGS, FIELD_CANCELLED, FIELD_REPR, FIELD_TRACE, FIELD_COUNT };
static struct { PyObject *descriptor; descrsetfunc set; descrgetfunc get; } fields[FIELD_COUNT];
static PyTypeObject *step_type, *handle_type; /* step_type NULL: tasks are Python's */
static allocfunc handle_alloc;
PyObject *turns_run_in;
static PyObject *copy_context, *context_key; /* contextvars.copy_context, "context" */

/* ---- the ring ------------------------------------------------------------------------------------------------------ */

void turns_push(struct turns *self, struct turn turn)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity == 0 ? 8 : 2 * self->capacity;
        struct turn *ring = xcalloc(capacity, sizeof *ring);
        for (size_t i = 0; i < self->count; i++) ring[i] = self->ring[(self->first + i) & (self->capacity - 1)];
        free(self->ring);
        self->ring = ring;
        self->capacity = capacity;
        self->first = 0;
    }
    self->ring[(self->first + self->count++) & (self->capacity - 1)] = turn;
}

static struct turn pop(struct turns *self)
{
    struct turn turn = self->ring[self->first];
    self->first = (self->first + 1) & (self->capacity - 1);
    self->count--;
    return turn;
}

/* ---- handles ------------------------------------------------------------------------------------------------------- */

static PyObject *field_get(PyObject *handle, enum field f) /* new */
{
    return fields[f].get(fields[f].descriptor, handle, (PyObject *)handle_type);
}

static bool field_set(PyObject *handle, enum field f, PyObject *value)
{
    return fields[f].set(fields[f].descriptor, handle, value) == 0;
}

/* A new handle of a call. */
static PyObject *handle_of(PyObject *loop, PyObject *call)
{
    PyObject *handle = handle_alloc(handle_type, 0), *args = PyTuple_GetSlice(call, 2, PyTuple_Size(call));
    bool ok = handle != NULL && args != NULL && field_set(handle, FIELD_CONTEXT, PyTuple_GetItem(call, 0)) &&
              field_set(handle, FIELD_CALLBACK, PyTuple_GetItem(call, 1)) && field_set(handle, FIELD_ARGS, args) &&
              field_set(handle, FIELD_LOOP, loop) && field_set(handle, FIELD_CANCELLED, Py_False) &&
              field_set(handle, FIELD_REPR, Py_None) && field_set(handle, FIELD_TRACE, Py_None);
    Py_XDECREF(args);
    if (!ok) Py_CLEAR(handle);
    return handle;
}

static bool handle_is_cancelled(PyObject *handle)
{
    PyObject *value = field_get(handle, FIELD_CANCELLED);
    bool is_cancelled = value == Py_True;
    Py_XDECREF(value);
    return is_cancelled;
}

/* The call a handle stands for, new. */
static PyObject *call_of(PyObject *handle)
{
    PyObject *context = field_get(handle, FIELD_CONTEXT), *callback = field_get(handle, FIELD_CALLBACK), *args = field_get(handle, FIELD_ARGS);
    PyObject *start = context != NULL && callback != NULL ? PyTuple_Pack(2, context, callback) : NULL;
    PyObject *call = start != NULL && args != NULL ? PySequence_Concat(start, args) : NULL;
    Py_XDECREF(context);
    Py_XDECREF(callback);
    Py_XDECREF(args);
    Py_XDECREF(start);
    return call;
}

/* ---- methods ------------------------------------------------------------------------------------------------------- */

PyObject *turns_call_with(PyObject *context, PyObject *const *args, Py_ssize_t count)
{
    PyObject *call = PyTuple_New(count + 1), *own = context != NULL ? context : PyObject_CallNoArgs(copy_context);
    if (call == NULL || own == NULL) {
        Py_XDECREF(call);
        if (context == NULL) Py_XDECREF(own);
        return NULL;
    }
    if (context != NULL) Py_INCREF(own);
    (void)PyTuple_SetItem(call, 0, own); /* steals; nor can it fail for a tuple that is new */
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(args[i]);
        (void)PyTuple_SetItem(call, i + 1, args[i]);
    }
    return call;
}

/* The one keyword argument there is; *context stays NULL when it is absent or None. */
static bool read_context(PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **context)
{
    Py_ssize_t named = names != NULL ? PyTuple_Size(names) : 0;
    if (count < 1) {
        PyErr_SetString(PyExc_TypeError, "call_soon takes a callback");
        return false;
    }
    if (named == 0) return true;
    if (named != 1 || PyUnicode_Compare(PyTuple_GetItem(names, 0), context_key) != 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "call_soon has no other keyword argument than context");
        return false;
    }
    if (args[count] != Py_None) *context = args[count];
    return true;
}

static PyObject *turns_call_soon(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct turns *self = (struct turns *)object;
    PyObject *context = NULL;
    if (!read_context(args, count, names, &context)) return NULL;
    if (self->is_read_only && !self->is_evicting) /* unwinding schedules wake-ups too, and those must run */
        return PyObject_CallMethod(object, "_refuse", "s", "schedule task");
    bool is_step = context != NULL && step_type != NULL && Py_TYPE(args[0]) == step_type;
    PyObject *call = turns_call_with(context, args, count);
    if (call == NULL) return NULL;
    PyObject *handle = is_step ? NULL : handle_of(object, call);
    if (handle == NULL && !is_step) {
        Py_DECREF(call);
        return NULL;
    }
    turns_push(self, (struct turn){TURN_CALL, call, handle});
    PyObject *result = is_step ? Py_None : handle;
    Py_INCREF(result);
    return result;
}

static PyObject *turns_soon(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    PyObject *context = NULL, *call = read_context(args, count, NULL, &context) ? turns_call_with(NULL, args, count) : NULL;
    if (call == NULL) return NULL;
    turns_push((struct turns *)object, (struct turn){TURN_CALL, call, NULL});
    Py_RETURN_NONE;
}

static PyObject *turns_push_handle(PyObject *object, PyObject *handle)
{
    if (!PyObject_TypeCheck(handle, (PyTypeObject *)PyType_GetSlot(handle_type, Py_tp_base))) {
        PyErr_SetString(PyExc_TypeError, "expected an asyncio.Handle");
        return NULL;
    }
    Py_INCREF(handle);
    turns_push((struct turns *)object, (struct turn){TURN_CALL, NULL, handle});
    Py_RETURN_NONE;
}

static bool take_turn(struct turns *self, struct turn *turn)
{
    if (turn->kind == TURN_SIGNAL) return activate_run_signal(self, turn);
    if (turn->kind == TURN_SIGNAL_END) {
        self->signal_count--;
        return true;
    }
    if (turn->handle != NULL && handle_is_cancelled(turn->handle)) return true;
    if (turn->call == NULL && (turn->call = call_of(turn->handle)) == NULL) return false;
    PyObject *result = PyObject_CallObject(turns_run_in, turn->call);
    Py_XDECREF(result);
    return result != NULL;
}

bool turns_run_all(struct turns *self)
{
    bool ok = true;
    while (ok && self->count != 0) {
        struct turn turn = pop(self);
        ok = take_turn(self, &turn);
        Py_XDECREF(turn.call);
        Py_XDECREF(turn.handle);
    }
    return ok;
}

static PyObject *turns_run(PyObject *object, PyObject *unused)
{
    (void)unused;
    if (!turns_run_all((struct turns *)object)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *turns_are_waiting(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct turns *)object)->count != 0);
}

static PyObject *turns_assert_not_read_only(PyObject *object, PyObject *action)
{
    const struct turns *self = (struct turns *)object;
    if (self->is_read_only || self->is_evicting) return PyObject_CallMethod(object, "_refuse", "O", action);
    Py_RETURN_NONE;
}

/* ---- tasks --------------------------------------------------------------------------------------------------------- */

static PyObject *turns_track(PyObject *object, PyObject *task)
{
    static PyObject *add_callback;
    if (add_callback == NULL && (add_callback = PyUnicode_InternFromString("add_done_callback")) == NULL) return NULL;
    PyObject *tasks = PyObject_GetAttrString(object, "_tasks"), *untrack = PyObject_GetAttrString(object, "_untrack");
    /* A run that is dropped with its worker leaves tasks behind: that is no news */
    bool ok = tasks != NULL && untrack != NULL && PyDict_SetItem(tasks, task, Py_None) == 0 &&
              PyObject_SetAttrString(task, "_log_destroy_pending", Py_False) == 0;
    PyObject *done = ok ? PyObject_CallMethodObjArgs(task, add_callback, untrack, NULL) : NULL;
    Py_XDECREF(tasks);
    Py_XDECREF(untrack);
    return done;
}

static PyObject *turns_untrack(PyObject *object, PyObject *task)
{
    PyObject *tasks = ((struct turns *)object)->lazy[LAZY_TASKS];
    if (tasks != NULL && PyDict_DelItem(tasks, task) != 0) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) return NULL;
        PyErr_Clear(); /* the run has left the cache meanwhile */
    }
    Py_RETURN_NONE;
}

static PyObject *turns_get_debug(PyObject *object, PyObject *unused)
{
    (void)object;
    (void)unused;
    Py_RETURN_FALSE;
}

static bool prepare_fields(PyObject *type)
{
    static const char *const names[FIELD_COUNT] = {"_context", "_loop", "_callback", "_args", "_cancelled", "_repr", "_source_traceback"};
    for (int f = 0; f < FIELD_COUNT; f++) {
        PyObject *descriptor = PyObject_GetAttrString(type, names[f]); /* kept for the process */
        if (descriptor == NULL) return false;
        fields[f].descriptor = descriptor;
        fields[f].set = (descrsetfunc)PyType_GetSlot(Py_TYPE(descriptor), Py_tp_descr_set);
        fields[f].get = (descrgetfunc)PyType_GetSlot(Py_TYPE(descriptor), Py_tp_descr_get);
        if (fields[f].set == NULL || fields[f].get == NULL) {
            PyErr_Format(PyExc_TypeError, "%s is no slot of a handle", names[f]);
            return false;
        }
    }
    return true;
}

static PyObject *turns_prepare(PyObject *type, PyObject *args)
{
    (void)type;
    PyObject *step, *handle;
    if (!PyArg_ParseTuple(args, "OO", &step, &handle)) return NULL;
    PyObject *module = PyImport_ImportModule("contextvars"), *context = module != NULL ? PyObject_GetAttrString(module, "Context") : NULL;
    if (context != NULL) turns_run_in = PyObject_GetAttrString(context, "run");
    if (module != NULL) copy_context = PyObject_GetAttrString(module, "copy_context");
    context_key = PyUnicode_InternFromString("context");
    Py_XDECREF(module);
    Py_XDECREF(context);
    if (turns_run_in == NULL || copy_context == NULL || context_key == NULL || !prepare_fields(handle)) return NULL;
    Py_INCREF(handle);
    handle_type = (PyTypeObject *)handle;
    handle_alloc = (allocfunc)PyType_GetSlot(handle_type, Py_tp_alloc);
    Py_XINCREF(step != Py_None ? step : NULL);
    step_type = step != Py_None ? (PyTypeObject *)step : NULL;
    Py_RETURN_NONE;
}

static PyObject *turns_prepare_jobs(PyObject *type, PyObject *args)
{
    (void)type;
    PyObject *jobs, *errors;
    if (!PyArg_ParseTuple(args, "O!O!", &PyDict_Type, &jobs, &PyTuple_Type, &errors) || !activate_prepare(jobs, errors)) return NULL;
    Py_RETURN_NONE;
}

int turns_ask(PyObject *object, const char *name, PyObject *a, PyObject *b)
{
    PyObject *method = PyObject_GetAttrString(object, name);
    PyObject *answer = method != NULL ? PyObject_CallFunctionObjArgs(method, a, b, NULL) : NULL;
    int is_true = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(method);
    Py_XDECREF(answer);
    return is_true;
}

/* ---- attributes that are made when somebody asks --------------------------------------------------------------------- */

static PyObject *lazy_get(PyObject *object, void *closure)
{
    enum lazy which = (enum lazy)(uintptr_t)closure;
    PyObject **value = &((struct turns *)object)->lazy[which];
    if (*value == NULL) *value = which >= LAZY_FIRST_DICT ? PyDict_New() : which >= LAZY_FIRST_SET ? PySet_New(NULL) : PyList_New(0);
    Py_XINCREF(*value);
    return *value;
}

static int lazy_set(PyObject *object, PyObject *value, void *closure)
{
    PyObject **place = &((struct turns *)object)->lazy[(enum lazy)(uintptr_t)closure], *before = *place;
    Py_XINCREF(value);
    *place = value;
    Py_XDECREF(before);
    return 0;
}

/* ---- the type ------------------------------------------------------------------------------------------------------ */

static int turns_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct turns *self = (struct turns *)object;
    Py_VISIT(Py_TYPE(object));
    for (size_t i = 0; i < self->count; i++) {
        struct turn *turn = &self->ring[(self->first + i) & (self->capacity - 1)];
        Py_VISIT(turn->call);
        Py_VISIT(turn->handle);
    }
    Py_VISIT(self->object);
    Py_VISIT(self->deployment_version);
    Py_VISIT(self->task_error);
    Py_VISIT(self->plain_signals);
    for (int l = 0; l < LAZY_COUNT; l++) Py_VISIT(self->lazy[l]);
    return 0;
}

static int turns_clear(PyObject *object)
{
    struct turns *self = (struct turns *)object;
    while (self->count != 0) {
        struct turn turn = pop(self);
        Py_XDECREF(turn.call);
        Py_XDECREF(turn.handle);
    }
    Py_CLEAR(self->object);
    Py_CLEAR(self->deployment_version);
    Py_CLEAR(self->task_error);
    Py_CLEAR(self->plain_signals);
    for (int l = 0; l < LAZY_COUNT; l++) Py_CLEAR(self->lazy[l]);
    return 0;
}

static void turns_dealloc(PyObject *object)
{
    struct turns *self = (struct turns *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    (void)turns_clear(object);
    free(self->ring);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

#define METHOD(name, function, flags, doc) {name, (PyCFunction)(void (*)(void))(function), flags, doc}

#define LAZY(name, which, doc) {name, lazy_get, lazy_set, doc, (void *)(uintptr_t)(which)}

bool ext_turns_add(PyObject *module)
{
    static PyMethodDef own_methods[] = {
        METHOD("call_soon", turns_call_soon, METH_FASTCALL | METH_KEYWORDS, "As asyncio's; a task's next step gets no handle."),
        METHOD("get_debug", turns_get_debug, METH_NOARGS, "False."),
        METHOD("_soon", turns_soon, METH_FASTCALL, "As call_soon, for what is never cancelled."),
        METHOD("_push_handle", turns_push_handle, METH_O, "A handle's callback runs in its turn, unless it is cancelled first."),
        METHOD("_assert_not_read_only", turns_assert_not_read_only, METH_O, "Calls _refuse, which raises, when nothing may be done."),
        METHOD("_track", turns_track, METH_O, "Keeps a task in _tasks until it is done."),
        METHOD("_untrack", turns_untrack, METH_O, "It is done."),
        METHOD("_run_turns", turns_run, METH_NOARGS, "Runs callbacks until none waits. What one raises is passed on."),
        METHOD("_turns_wait", turns_are_waiting, METH_NOARGS, "Whether any callback waits."),
        METHOD("_prepare", turns_prepare, METH_VARARGS | METH_STATIC, "Once: the type of task steps, or None, and the class of handles."),
        METHOD("_prepare_jobs", turns_prepare_jobs, METH_VARARGS | METH_STATIC, "Once: what applies each job, and a handler's exceptions that concern the workflow."),
    };
    static PyMethodDef methods[32]; /* those above and activate's */
    size_t count = 0;
    for (; count < countof(own_methods); count++) methods[count] = own_methods[count];
    for (const PyMethodDef *m = activate_methods; m->ml_name != NULL && count + 1 < countof(methods); m++) methods[count++] = *m;
    static PyMemberDef members[] = {
        {"_read_only", T_BOOL, offsetof(struct turns, is_read_only), 0, "Nothing may be scheduled."},
        {"_is_evicting", T_BOOL, offsetof(struct turns, is_evicting), 0, "The run is leaving the cache."},
        {"_is_replaying", T_BOOL, offsetof(struct turns, is_replaying), 0, "The present activation is history."},
        {"_may_batch", T_BOOL, offsetof(struct turns, may_batch), 0, "Jobs may have to be applied all at once."},
        {"_versioning_behavior", T_INT, offsetof(struct turns, versioning_behavior), 0, "0: none is said."},
        {"_time_ns", T_LONGLONG, offsetof(struct turns, time_ns), 0, "The workflow's time, nanoseconds since the epoch."},
        {"_thread_id", T_ULONG, offsetof(struct turns, thread_id), 0, "That runs the activation; 0: none does."},
        {"_signal_count", T_PYSSIZET, offsetof(struct turns, signal_count), READONLY, "Plain handlers at work."},
        {"_object", T_OBJECT, offsetof(struct turns, object), 0, "The workflow's object."},
        {"_deployment_version", T_OBJECT, offsetof(struct turns, deployment_version), 0, "That completes the task, a message."},
        {"_task_error", T_OBJECT, offsetof(struct turns, task_error), 0, "Why the task fails."},
        {"_plain_signals", T_OBJECT, offsetof(struct turns, plain_signals), 0, "Handlers that need no task, by name; None: to be found out."},
        {NULL},
    };
    static PyGetSetDef lazies[] = {
        LAZY("_commands", LAZY_COMMANDS, "Of the present activation."),
        LAZY("_used_flags", LAZY_USED_FLAGS, "That the present activation made use of first."),
        LAZY("_conditions", LAZY_CONDITIONS, "(function, future, context) of each that is waited for."),
        LAZY("_seed_callbacks", LAZY_SEED_CALLBACKS, "Called when the seed changes."),
        LAZY("_known_flags", LAZY_KNOWN_FLAGS, "In force."),
        LAZY("_patches_in_history", LAZY_PATCHES_IN_HISTORY, "Ids."),
        LAZY("_activation", LAZY_ACTIVATION, "The present or last one."),
        LAZY("_signal_executions", LAZY_SIGNAL_EXECUTIONS, "Handlers at work on tasks of their own."),
        LAZY("_update_executions", LAZY_UPDATE_EXECUTIONS, "Handlers at work."),
        LAZY("_waiting_signals", LAZY_WAITING_SIGNALS, "Jobs that no handler takes, by name."),
        LAZY("_tasks", LAZY_TASKS, "Tasks that have not ended, in order."),
        LAZY("_timers", LAZY_TIMERS, "Handles by seq."),
        LAZY("_seqs", LAZY_SEQS, "The last seq of each kind of command."),
        LAZY("_activities", LAZY_ACTIVITIES, "Handles by seq, like those that follow."),
        LAZY("_children", LAZY_CHILDREN, ""),
        LAZY("_signals_out", LAZY_SIGNALS_OUT, ""),
        LAZY("_cancels_out", LAZY_CANCELS_OUT, ""),
        LAZY("_nexus_operations", LAZY_NEXUS_OPERATIONS, ""),
        LAZY("_patches", LAZY_PATCHES, "Whether a patch is used, by id."),
        LAZY("_memo", LAZY_MEMO, "Payloads by key."),
        {NULL},
    };
    static PyType_Slot slots[] = {{Py_tp_dealloc, turns_dealloc}, {Py_tp_traverse, turns_traverse}, {Py_tp_clear, turns_clear},
                                  {Py_tp_methods, methods}, {Py_tp_members, members}, {Py_tp_getset, lazies}, {0}};
    static PyType_Spec spec = {"temporalio._core.Turns", sizeof(struct turns), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
    static PyTypeObject *type;
    return ext_add_type(module, "Turns", &spec, &type);
}
