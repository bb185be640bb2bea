/* Turns.activate: an activation's way through a workflow run, as far as it is the same for all.
 *
 * The jobs are applied in groups (patches, then signals and updates, then the rest, then queries) and callbacks run until
 * idle after each group. That order is part of what a history means. What a job does is Python's to say but for a signal
 * whose handler has no need of a task, the most frequent of all. */
#include "turns.h"

#include <stdlib.h>

enum group { GROUP_PATCHES, GROUP_SIGNALS, GROUP_REST, GROUP_QUERIES, GROUP_COUNT };

/* Of the process; set by activate_prepare. */
static PyObject *jobs_table;      /* by variant: (group, what applies it) */
static PyObject *handler_errors;  /* exceptions of a handler that concern the workflow, not the worker */
static PyObject *set_loop;        /* asyncio._set_running_loop */

enum key { KEY_RUN_ID, KEY_JOBS, KEY_TIMESTAMP, KEY_REPLAYING, KEY_VERSION, KEY_FLAGS, KEY_COMMANDS, KEY_USED_FLAGS, KEY_BEHAVIOR, KEY_SIGNAL, KEY_NAME, KEY_INPUT, KEY_DONE, KEY_COUNT };
static PyObject *keys[KEY_COUNT];

static bool is_none(PyObject *object) { return object == NULL || object == Py_None; }
static bool is_empty_list(PyObject *object) { return object == NULL || (PyList_Check(object) && PyList_Size(object) == 0); }
static bool is_empty_dict(PyObject *object) { return object == NULL || (PyDict_Check(object) && PyDict_Size(object) == 0); }

/* A method called for what it does. */
static bool call_method(PyObject *object, const char *name, PyObject *a, PyObject *b)
{
    PyObject *method = PyObject_GetAttrString(object, name);
    PyObject *result = method != NULL ? PyObject_CallFunctionObjArgs(method, a, b, NULL) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(result);
    return result != NULL;
}

/* The exception that is set, as an object with its traceback; new. It is set no more. */
static PyObject *take_exception(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) (void)PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* ---- conditions ------------------------------------------------------------------------------------------------------- */

/* Settles the future that waits for a condition which is true, or whose function has raised. */
static bool settle(PyObject *future, bool has_raised)
{
    PyObject *value = has_raised ? take_exception() : NULL;
    bool ok = call_method(future, has_raised ? "set_exception" : "set_result", has_raised ? value : Py_None, NULL);
    Py_XDECREF(value);
    return ok;
}

/* Asks one condition: 1 it waits on, 0 it does not, -1 an exception that is none of its future's is set. */
static int ask_condition(struct turns *self, PyObject *condition)
{
    PyObject *fn = PyTuple_GetItem(condition, 0), *future = PyTuple_GetItem(condition, 1), *context = PyTuple_GetItem(condition, 2);
    if (context == NULL) return -1;
    PyObject *done = PyObject_CallMethodObjArgs(future, keys[KEY_DONE], NULL);
    int is_done = done != NULL ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    if (is_done != 0) return is_done < 0 ? -1 : 0;
    bool before = self->is_read_only;
    self->is_read_only = true;
    PyObject *answer = PyObject_CallFunctionObjArgs(turns_run_in, context, fn, NULL);
    int is_true = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    self->is_read_only = before;
    if (is_true == 0) return 1;
    if (is_true < 0 && !PyErr_ExceptionMatches(PyExc_Exception)) return -1;
    return settle(future, is_true < 0) ? 0 : -1;
}

static bool ask_conditions(struct turns *self)
{
    PyObject *asked = self->lazy[LAZY_CONDITIONS], *waiting = NULL; /* the second: only if fewer wait than did */
    Py_ssize_t count = PyList_Size(asked);
    if (count < 0) return false;
    bool ok = true;
    Py_INCREF(asked);
    for (Py_ssize_t i = 0; ok && i < count; i++) {
        PyObject *condition = PyList_GetItem(asked, i);
        if (condition == NULL) { /* a function of one took conditions away */
            PyErr_Clear();
            break;
        }
        Py_INCREF(condition);
        int waits = ask_condition(self, condition);
        ok = waits >= 0;
        if (waits == 0 && waiting == NULL) ok = (waiting = PyList_GetSlice(asked, 0, i)) != NULL;
        if (waits == 1 && waiting != NULL) ok = PyList_Append(waiting, condition) == 0;
        Py_DECREF(condition);
    }
    Py_DECREF(asked);
    if (ok && waiting != NULL) {
        PyObject *before = self->lazy[LAZY_CONDITIONS];
        self->lazy[LAZY_CONDITIONS] = waiting;
        Py_XDECREF(before);
    } else {
        Py_XDECREF(waiting);
    }
    return ok;
}

/* Runs callbacks until there are none and no condition has become true. */
static bool run_until_idle(struct turns *self, bool asks_conditions)
{
    while (turns_run_all(self)) {
        if (!asks_conditions || is_empty_list(self->lazy[LAZY_CONDITIONS])) return true;
        if (!ask_conditions(self)) return false;
        if (self->count == 0) return true;
    }
    return false;
}

static PyObject *activate_run_until_idle(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"check_conditions", NULL};
    int asks_conditions = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p", names, &asks_conditions)) return NULL;
    if (!run_until_idle((struct turns *)object, asks_conditions != 0)) return NULL;
    Py_RETURN_NONE;
}

/* ---- signals ---------------------------------------------------------------------------------------------------------- */

/* The function for a signal if it needs no task; borrowed. NULL: it does, or with an exception set. */
static PyObject *plain_handler(struct turns *self, PyObject *name)
{
    if (is_none(self->plain_signals) && !call_method((PyObject *)self, "_find_plain_signals", NULL, NULL)) return NULL;
    return self->plain_signals != NULL && PyDict_Check(self->plain_signals) ? PyDict_GetItemWithError(self->plain_signals, name) : NULL;
}

/* In the place of the first step of the task it would have: nothing else runs earlier or later for it. args: a sequence. */
static bool push_signal(struct turns *self, PyObject *name, PyObject *function, PyObject *args)
{
    if (is_none(self->object)) return true; /* its constructor failed the workflow */
    PyObject *start[] = {function, self->object}, *call = turns_call_with(NULL, start, 2);
    if (call != NULL && args != NULL) {
        PyObject *whole = PySequence_Concat(call, args);
        Py_DECREF(call);
        call = whole;
    }
    if (call == NULL) return false;
    Py_INCREF(name);
    turns_push(self, (struct turn){TURN_SIGNAL, call, name});
    self->signal_count++;
    return true;
}

/* _soon_signal(name, args): Python has read the arguments. False when the handler needs a task. */
static PyObject *activate_soon_signal(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct turns *self = (struct turns *)object;
    if (count != 2 || !PyTuple_Check(args[1])) return PyErr_Format(PyExc_TypeError, "_soon_signal takes a name and a tuple");
    PyObject *function = plain_handler(self, args[0]);
    if (function == NULL) return PyErr_Occurred() ? NULL : PyBool_FromLong(0);
    return push_signal(self, args[0], function, args[1]) ? PyBool_FromLong(1) : NULL;
}

/* Applies a signal without arguments to a plain handler. 1: done; 0: Python has to; -1: an exception is set. */
static int apply_plain_signal(struct turns *self, PyObject *job)
{
    if (!PyDict_Check(job)) return 0;
    PyObject *name = PyDict_GetItemWithError(job, keys[KEY_NAME]), *input = PyDict_GetItemWithError(job, keys[KEY_INPUT]);
    if (name == NULL || !is_empty_list(input)) return PyErr_Occurred() ? -1 : 0;
    PyObject *function = plain_handler(self, name);
    if (function == NULL) return PyErr_Occurred() ? -1 : 0;
    return push_signal(self, name, function, NULL) ? 1 : -1;
}

/* The handler was replaced after the signal came in: what is there now runs. New. */
static PyObject *run_replaced(struct turns *self, const struct turn *turn)
{
    PyObject *run = PyObject_GetAttrString((PyObject *)self, "_run_signal_now"), *args = PyTuple_GetSlice(turn->call, 3, PyTuple_Size(turn->call));
    PyObject *result = run != NULL && args != NULL
                           ? PyObject_CallFunctionObjArgs(turns_run_in, PyTuple_GetItem(turn->call, 0), run, turn->handle, args, NULL) : NULL;
    Py_XDECREF(run);
    Py_XDECREF(args);
    return result;
}

/* It was declared otherwise, and has to be awaited: 1 and a task does, -1 with an exception. 0: there is nothing to await. */
static int adopt(struct turns *self, const struct turn *turn, PyObject *result)
{
    PyObject *adopt = PyObject_GetAttrString((PyObject *)self, "_adopt_signal");
    PyObject *answer = adopt != NULL ? PyObject_CallFunctionObjArgs(turns_run_in, PyTuple_GetItem(turn->call, 0), adopt, turn->handle, result, NULL) : NULL;
    int is_adopted = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(adopt);
    Py_XDECREF(answer);
    return is_adopted;
}

bool activate_run_signal(struct turns *self, const struct turn *turn)
{
    PyObject *function = plain_handler(self, turn->handle), *result = NULL;
    if (function == NULL && PyErr_Occurred()) return false;
    if (function == PyTuple_GetItem(turn->call, 1)) result = PyObject_CallObject(turns_run_in, turn->call);
    else result = run_replaced(self, turn);
    if (result == NULL) {
        if (!PyErr_ExceptionMatches(handler_errors)) return false;
        PyObject *error = take_exception();
        bool is_told = call_method((PyObject *)self, "_on_workflow_error", error, NULL);
        Py_XDECREF(error);
        if (!is_told) return false;
    } else if (result != Py_None) {
        int is_adopted = adopt(self, turn, result);
        Py_DECREF(result);
        if (is_adopted > 0) self->signal_count--; /* Python knows of it from now on */
        if (is_adopted != 0) return is_adopted > 0;
    } else {
        Py_DECREF(result);
    }
    turns_push(self, (struct turn){TURN_SIGNAL_END, NULL, NULL});
    return true;
}

/* ---- jobs ------------------------------------------------------------------------------------------------------------- */

struct job { /* borrowed */
    enum group group;
    PyObject *variant, *value, *apply;
};

static bool read_job(PyObject *job, struct job *out)
{
    Py_ssize_t at = 0;
    if (!PyDict_Check(job) || PyDict_Size(job) != 1 || !PyDict_Next(job, &at, &out->variant, &out->value)) {
        PyErr_SetString(PyExc_ValueError, "a job is a dict of one entry");
        return false;
    }
    PyObject *entry = PyDict_GetItemWithError(jobs_table, out->variant);
    if (entry == NULL) {
        if (!PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, out->variant);
        return false;
    }
    out->group = (enum group)PyLong_AsLong(PyTuple_GetItem(entry, 0));
    out->apply = PyTuple_GetItem(entry, 1);
    return !PyErr_Occurred();
}

static bool apply_job(struct turns *self, const struct job *job)
{
    if (job->group == GROUP_SIGNALS && PyUnicode_Compare(job->variant, keys[KEY_SIGNAL]) == 0) {
        int is_applied = apply_plain_signal(self, job->value);
        if (is_applied != 0) return is_applied > 0;
    }
    PyObject *result = PyObject_CallFunctionObjArgs(job->apply, (PyObject *)self, job->value, NULL);
    Py_XDECREF(result);
    return result != NULL;
}

/* Applies those of one group, then lets callbacks run. */
static bool run_group(struct turns *self, PyObject *jobs, Py_ssize_t count, enum group group)
{
    bool is_any = false;
    for (Py_ssize_t i = 0; i < count; i++) {
        struct job job;
        if (!read_job(PyList_GetItem(jobs, i), &job)) return false;
        if (job.group != group) continue;
        if (!is_any && group != GROUP_PATCHES && is_none(self->object) && !call_method((PyObject *)self, "_ensure_object", jobs, NULL)) return false;
        is_any = true;
        if (!apply_job(self, &job)) return false;
    }
    return !is_any || group == GROUP_PATCHES || run_until_idle(self, group != GROUP_QUERIES);
}

static bool run_jobs(struct turns *self, PyObject *jobs)
{
    if (self->may_batch) {
        int is_done = turns_ask((PyObject *)self, "_run_as_single_batch", jobs, NULL);
        if (is_done != 0) return is_done > 0;
    }
    Py_ssize_t count = PyList_Size(jobs);
    if (count < 0) return false;
    if (count == 1) {
        struct job job;
        return read_job(PyList_GetItem(jobs, 0), &job) && run_group(self, jobs, count, job.group);
    }
    for (enum group group = 0; group < GROUP_COUNT; group++)
        if (!run_group(self, jobs, count, group)) return false;
    return true;
}

/* ---- the activation --------------------------------------------------------------------------------------------------- */

static bool begin(struct turns *self, PyObject *act)
{
    PyObject *timestamp = PyDict_GetItemWithError(act, keys[KEY_TIMESTAMP]), *replaying = PyDict_GetItemWithError(act, keys[KEY_REPLAYING]);
    if (timestamp != NULL) self->time_ns = PyLong_AsLongLong(timestamp);
    self->is_replaying = replaying != NULL && PyObject_IsTrue(replaying) == 1;
    PyObject *before = self->lazy[LAZY_ACTIVATION];
    Py_INCREF(act);
    self->lazy[LAZY_ACTIVATION] = act;
    Py_XDECREF(before);
    Py_CLEAR(self->lazy[LAZY_COMMANDS]);
    Py_CLEAR(self->lazy[LAZY_USED_FLAGS]);
    Py_CLEAR(self->task_error);
    PyObject *version = PyDict_GetItemWithError(act, keys[KEY_VERSION]), *flags = PyDict_GetItemWithError(act, keys[KEY_FLAGS]);
    if (version != NULL && !is_empty_dict(version)) {
        before = self->deployment_version;
        Py_INCREF(version);
        self->deployment_version = version;
        Py_XDECREF(before);
    }
    if (PyErr_Occurred()) return false;
    return flags == NULL || call_method((PyObject *)self, "_note_flags", flags, NULL);
}

/* The commands, used flags and versioning behavior go into the completion. */
static bool put_results(struct turns *self, PyObject *completion)
{
    static const struct { enum lazy lazy; enum key key; } lists[] = {{LAZY_COMMANDS, KEY_COMMANDS}, {LAZY_USED_FLAGS, KEY_USED_FLAGS}};
    for (size_t i = 0; i < countof(lists); i++) {
        PyObject *list = self->lazy[lists[i].lazy];
        self->lazy[lists[i].lazy] = NULL;
        bool ok = is_empty_list(list) || PyDict_SetItem(completion, keys[lists[i].key], list) == 0;
        Py_XDECREF(list);
        if (!ok) return false;
    }
    if (self->versioning_behavior == 0) return true;
    PyObject *behavior = PyLong_FromLong(self->versioning_behavior);
    bool ok = behavior != NULL && PyDict_SetItem(completion, keys[KEY_BEHAVIOR], behavior) == 0;
    Py_XDECREF(behavior);
    return ok;
}

/* Everything between the two settings of the running loop. What it was before is not asked for: that is a system call. */
static bool run_on_loop(struct turns *self, PyObject *act)
{
    PyObject *jobs = PyDict_GetItemWithError(act, keys[KEY_JOBS]), *none = NULL;
    if (jobs == NULL && (PyErr_Occurred() || (none = PyList_New(0)) == NULL)) return false;
    PyObject *set = PyObject_CallFunctionObjArgs(set_loop, (PyObject *)self, NULL);
    bool ok = set != NULL;
    if (ok) {
        self->thread_id = PyThread_get_thread_ident();
        ok = run_jobs(self, jobs != NULL ? jobs : none);
        self->thread_id = 0;
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyObject *reset = PyObject_CallFunctionObjArgs(set_loop, Py_None, NULL);
        Py_XDECREF(reset);
        PyErr_Restore(type, value, traceback);
    }
    Py_XDECREF(none);
    Py_XDECREF(set);
    return ok;
}

static bool run_activation(struct turns *self, PyObject *act, PyObject *completion)
{
    if (!begin(self, act) || !run_on_loop(self, act)) return false;
    if (!is_none(self->task_error)) {
        PyErr_SetObject((PyObject *)Py_TYPE(self->task_error), self->task_error);
        return false;
    }
    bool is_any_left = !is_empty_dict(self->lazy[LAZY_UPDATE_EXECUTIONS]) || !is_empty_dict(self->lazy[LAZY_SIGNAL_EXECUTIONS]);
    if (is_any_left && !call_method((PyObject *)self, "_check_unfinished_handlers", NULL, NULL)) return false;
    return put_results(self, completion);
}

static PyObject *activate(PyObject *object, PyObject *act)
{
    struct turns *self = (struct turns *)object;
    PyObject *run_id = PyDict_Check(act) ? PyDict_GetItemWithError(act, keys[KEY_RUN_ID]) : NULL, *completion = PyDict_New();
    if (completion == NULL) return NULL;
    if (run_id == NULL || PyDict_SetItem(completion, keys[KEY_RUN_ID], run_id) != 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "an activation is a dict with a run_id");
        Py_DECREF(completion);
        return NULL;
    }
    if (run_activation(self, act, completion)) return completion;
    bool is_told = false;
    if (PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = take_exception();
        is_told = call_method(object, "_fail_task", error, completion);
        Py_XDECREF(error);
    }
    if (!is_told) Py_CLEAR(completion);
    return completion;
}

bool activate_prepare(PyObject *jobs, PyObject *errors)
{
    static const char *const names[KEY_COUNT] = {"run_id", "jobs", "timestamp", "is_replaying", "deployment_version", "available_sdk_flags", "commands",
                                                 "used_sdk_flags", "versioning_behavior", "signal_workflow", "signal_name", "input", "done"};
    for (int k = 0; k < KEY_COUNT; k++)
        if ((keys[k] = PyUnicode_InternFromString(names[k])) == NULL) return false;
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    if (asyncio == NULL) return false;
    set_loop = PyObject_GetAttrString(asyncio, "_set_running_loop");
    Py_DECREF(asyncio);
    Py_INCREF(jobs);
    jobs_table = jobs;
    Py_INCREF(errors);
    handler_errors = errors;
    return set_loop != NULL;
}

#define METHOD(name, function, flags, doc) {name, (PyCFunction)(void (*)(void))(function), flags, doc}

PyMethodDef activate_methods[] = {
    METHOD("activate", activate, METH_O, "Takes an activation, lets the workflow run until it can go no further, and returns the completion. No loop runs on the thread afterwards."),
    METHOD("_run_until_idle", activate_run_until_idle, METH_VARARGS | METH_KEYWORDS, "Runs callbacks until there are none and no condition has become true."),
    METHOD("_soon_signal", activate_soon_signal, METH_FASTCALL, "Runs a signal's handler in its turn; False when the handler needs a task."),
    {NULL},
};
