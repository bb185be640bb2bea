/* python/ext/turns.h: what a workflow run keeps in C; see turns.c and activate.c, which share it.
 *
 * Everything runs with the GIL held, on the thread that has the run's activation. */
#ifndef EXT_TURNS_H
#define EXT_TURNS_H

#include "ext.h"

enum turn_kind {
    TURN_CALL,
    TURN_SIGNAL,     /* a handler that has no need of a task */
    TURN_SIGNAL_END, /* it has run, and others have had their turn since */
};

struct turn {         /* owned */
    enum turn_kind kind;
    PyObject *call;   /* (context, callback, *args); NULL: the handle says all. TURN_SIGNAL: (context, function, object, *args) */
    PyObject *handle; /* NULL: it can not be cancelled. TURN_SIGNAL: the signal's name */
};

/* Attributes whose value is made when somebody asks; most runs leave most of them alone. */
enum lazy {
    LAZY_COMMANDS, LAZY_USED_FLAGS, LAZY_CONDITIONS, LAZY_SEED_CALLBACKS,                                     /* lists */
    LAZY_KNOWN_FLAGS, LAZY_PATCHES_IN_HISTORY,                                                                /* sets */
    LAZY_ACTIVATION, LAZY_SIGNAL_EXECUTIONS, LAZY_UPDATE_EXECUTIONS, LAZY_WAITING_SIGNALS, LAZY_TASKS, LAZY_TIMERS,
    LAZY_SEQS, LAZY_ACTIVITIES, LAZY_CHILDREN, LAZY_SIGNALS_OUT, LAZY_CANCELS_OUT, LAZY_NEXUS_OPERATIONS, LAZY_PATCHES,
    LAZY_MEMO, LAZY_COUNT,                                                                                    /* dicts */
    LAZY_FIRST_SET = LAZY_KNOWN_FLAGS, LAZY_FIRST_DICT = LAZY_ACTIVATION
};

struct turns {
    PyObject_HEAD
    struct turn *ring; /* capacity is a power of two */
    size_t first, count, capacity;
    bool is_read_only, is_evicting, is_replaying;
    bool may_batch;            /* its jobs may have to be applied all at once; Python finds out */
    int versioning_behavior;
    long long time_ns;
    unsigned long thread_id;   /* that runs the activation; 0: none does */
    Py_ssize_t signal_count;   /* of plain handlers that have been started and not been told to have ended */
    PyObject *object;          /* the workflow's; NULL or None: not made yet. All owned. */
    PyObject *deployment_version; /* that completes the task; NULL or None: not known */
    PyObject *task_error;      /* why the task fails; NULL or None: it does not */
    PyObject *plain_signals;   /* a dict, the handlers that need no task by name; NULL or None: not found out yet */
    PyObject *lazy[LAZY_COUNT];
};

/* What is the same for all runs; set by Turns._prepare. */
extern PyObject *turns_run_in; /* Context.run */

/* Calls a method by name, for its result's truth: 1, 0, or -1 with an exception. Steals nothing. */
int turns_ask(PyObject *object, const char *method, PyObject *a, PyObject *b);
PyObject *turns_call_with(PyObject *context, PyObject *const *args, Py_ssize_t count); /* new; context: NULL for a copy of the one in force */
void turns_push(struct turns *self, struct turn turn); /* takes what the turn holds */
bool turns_run_all(struct turns *self); /* until none waits; false: one raised */

/* ---- activate.c ---- */

extern PyMethodDef activate_methods[]; /* ends with an empty one */
bool activate_prepare(PyObject *jobs, PyObject *handler_errors);
bool activate_run_signal(struct turns *self, const struct turn *turn);

#endif
