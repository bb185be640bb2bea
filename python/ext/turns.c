/* temporalio._core.Turns: the callbacks that wait for their turn on a workflow's event loop, and the running of them.
 *
 * Each waits as the arguments of Context.run. What may be cancelled has a handle besides, asyncio's own, whose fields are
 * set through their descriptors: nothing in a workflow is made as often. A task's next step, which nobody can cancel, has
 * none. */
#include "ext.h"

#include <stdlib.h>
#include <structmember.h>

struct turn {         /* owned */
    PyObject *call;   /* (context, callback, *args); NULL: the handle says all */
    PyObject *handle; /* NULL: it can not be cancelled */
};

struct object {
    PyObject_HEAD
    struct turn *ring; /* capacity is a power of two */
    size_t first, count, capacity;
    bool is_read_only, is_evicting;
};

/* Of the process; set by prepare. */
enum field { FIELD_CONTEXT, FIELD_LOOP, FIELD_CALLBACK, FIELD_ARGS, FIELD_CANCELLED, FIELD_REPR, FIELD_TRACE, FIELD_COUNT };
static struct { PyObject *descriptor; descrsetfunc set; descrgetfunc get; } fields[FIELD_COUNT];
static PyTypeObject *step_type, *handle_type; /* step_type NULL: tasks are Python's */
static allocfunc handle_alloc;
static PyObject *run_in, *copy_context, *context_key; /* Context.run, contextvars.copy_context, "context" */

/* ---- the ring ------------------------------------------------------------------------------------------------------ */

static void push(struct object *self, struct turn turn)
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

static struct turn pop(struct object *self)
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

/* (context, *args), new. context: NULL for a copy of the one in force. */
static PyObject *make_call(PyObject *context, PyObject *const *args, Py_ssize_t count)
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
    struct object *self = (struct object *)object;
    PyObject *context = NULL;
    if (!read_context(args, count, names, &context)) return NULL;
    if (self->is_read_only && !self->is_evicting) { /* unwinding schedules wake-ups too, and those must run */
        PyObject *done = PyObject_CallMethod(object, "_assert_not_read_only", "s", "schedule task");
        if (done == NULL) return NULL;
        Py_DECREF(done);
    }
    bool is_step = context != NULL && step_type != NULL && Py_TYPE(args[0]) == step_type;
    PyObject *call = make_call(context, args, count);
    if (call == NULL) return NULL;
    PyObject *handle = is_step ? NULL : handle_of(object, call);
    if (handle == NULL && !is_step) {
        Py_DECREF(call);
        return NULL;
    }
    push(self, (struct turn){call, handle});
    PyObject *result = is_step ? Py_None : handle;
    Py_INCREF(result);
    return result;
}

static PyObject *turns_soon(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    PyObject *context = NULL, *call = read_context(args, count, NULL, &context) ? make_call(NULL, args, count) : NULL;
    if (call == NULL) return NULL;
    push((struct object *)object, (struct turn){call, NULL});
    Py_RETURN_NONE;
}

static PyObject *turns_push_handle(PyObject *object, PyObject *handle)
{
    if (!PyObject_TypeCheck(handle, (PyTypeObject *)PyType_GetSlot(handle_type, Py_tp_base))) {
        PyErr_SetString(PyExc_TypeError, "expected an asyncio.Handle");
        return NULL;
    }
    Py_INCREF(handle);
    push((struct object *)object, (struct turn){NULL, handle});
    Py_RETURN_NONE;
}

static bool take_turn(struct turn *turn)
{
    if (turn->handle != NULL && handle_is_cancelled(turn->handle)) return true;
    if (turn->call == NULL && (turn->call = call_of(turn->handle)) == NULL) return false;
    PyObject *result = PyObject_CallObject(run_in, turn->call);
    Py_XDECREF(result);
    return result != NULL;
}

static PyObject *turns_run(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct object *self = (struct object *)object;
    bool ok = true;
    while (ok && self->count != 0) {
        struct turn turn = pop(self);
        ok = take_turn(&turn);
        Py_XDECREF(turn.call);
        Py_XDECREF(turn.handle);
    }
    if (!ok) return NULL;
    Py_RETURN_NONE;
}

static PyObject *turns_are_waiting(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct object *)object)->count != 0);
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
    if (context != NULL) run_in = PyObject_GetAttrString(context, "run");
    if (module != NULL) copy_context = PyObject_GetAttrString(module, "copy_context");
    context_key = PyUnicode_InternFromString("context");
    Py_XDECREF(module);
    Py_XDECREF(context);
    if (run_in == NULL || copy_context == NULL || context_key == NULL || !prepare_fields(handle)) return NULL;
    Py_INCREF(handle);
    handle_type = (PyTypeObject *)handle;
    handle_alloc = (allocfunc)PyType_GetSlot(handle_type, Py_tp_alloc);
    Py_XINCREF(step != Py_None ? step : NULL);
    step_type = step != Py_None ? (PyTypeObject *)step : NULL;
    Py_RETURN_NONE;
}

/* ---- the type ------------------------------------------------------------------------------------------------------ */

static int turns_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct object *self = (struct object *)object;
    Py_VISIT(Py_TYPE(object));
    for (size_t i = 0; i < self->count; i++) {
        struct turn *turn = &self->ring[(self->first + i) & (self->capacity - 1)];
        Py_VISIT(turn->call);
        Py_VISIT(turn->handle);
    }
    return 0;
}

static int turns_clear(PyObject *object)
{
    struct object *self = (struct object *)object;
    while (self->count != 0) {
        struct turn turn = pop(self);
        Py_XDECREF(turn.call);
        Py_XDECREF(turn.handle);
    }
    return 0;
}

static void turns_dealloc(PyObject *object)
{
    struct object *self = (struct object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    (void)turns_clear(object);
    free(self->ring);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

#define METHOD(name, function, flags, doc) {name, (PyCFunction)(void (*)(void))(function), flags, doc}

bool ext_turns_add(PyObject *module)
{
    static PyMethodDef methods[] = {
        METHOD("call_soon", turns_call_soon, METH_FASTCALL | METH_KEYWORDS, "As asyncio's; a task's next step gets no handle."),
        METHOD("get_debug", turns_get_debug, METH_NOARGS, "False."),
        METHOD("_soon", turns_soon, METH_FASTCALL, "As call_soon, for what is never cancelled."),
        METHOD("_push_handle", turns_push_handle, METH_O, "A handle's callback runs in its turn, unless it is cancelled first."),
        METHOD("_run_turns", turns_run, METH_NOARGS, "Runs callbacks until none waits. What one raises is passed on."),
        METHOD("_turns_wait", turns_are_waiting, METH_NOARGS, "Whether any callback waits."),
        METHOD("_prepare", turns_prepare, METH_VARARGS | METH_STATIC, "Once: the type of task steps, or None, and the class of handles."),
        {NULL},
    };
    static PyMemberDef members[] = {
        {"_read_only", T_BOOL, offsetof(struct object, is_read_only), 0, "Nothing may be scheduled."},
        {"_is_evicting", T_BOOL, offsetof(struct object, is_evicting), 0, "The run is leaving the cache."},
        {NULL},
    };
    static PyType_Slot slots[] = {{Py_tp_dealloc, turns_dealloc}, {Py_tp_traverse, turns_traverse}, {Py_tp_clear, turns_clear},
                                  {Py_tp_methods, methods}, {Py_tp_members, members}, {0}};
    static PyType_Spec spec = {"temporalio._core.Turns", sizeof(struct object), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
    static PyTypeObject *type;
    return ext_add_type(module, "Turns", &spec, &type);
}
