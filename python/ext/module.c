/* temporalio._core: the module itself, and its good behaviour when the interpreter ends. */
#include "ext.h"

#include <pthread.h>

#ifdef EXT_WORKER
#define ADD_WORKER(module) ext_worker_add(module)
#else
#define ADD_WORKER(module) true
#endif

PyObject *rpc_failure;

/* The interpreter may end while C threads run. From then on none may ask for the GIL, and those that have asked are
 * waited for, so that none is left in the middle of Python. */
static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_empty = PTHREAD_COND_INITIALIZER;
static int gate_inside;
static bool gate_closed;

bool gil_enter(PyGILState_STATE *state)
{
    pthread_mutex_lock(&gate_mutex);
    bool is_open = !gate_closed;
    if (is_open) gate_inside++;
    pthread_mutex_unlock(&gate_mutex);
    if (is_open) *state = PyGILState_Ensure();
    return is_open;
}

void gil_leave(PyGILState_STATE state)
{
    PyGILState_Release(state);
    pthread_mutex_lock(&gate_mutex);
    if (--gate_inside == 0) pthread_cond_broadcast(&gate_empty);
    pthread_mutex_unlock(&gate_mutex);
}

static void before_fork(void) { pthread_mutex_lock(&gate_mutex); }
static void after_fork(void) { pthread_mutex_unlock(&gate_mutex); }
static void after_fork_child(void)
{
    gate_inside = 0; /* those threads are not here */
    pthread_mutex_unlock(&gate_mutex);
}

static PyObject *at_exit(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    ext_log_flush();
    PyThreadState *saved = PyEval_SaveThread();
    pthread_mutex_lock(&gate_mutex);
    gate_closed = true;
    while (gate_inside != 0) pthread_cond_wait(&gate_empty, &gate_mutex);
    pthread_mutex_unlock(&gate_mutex);
    ext_runtime_stop_all();
    PyEval_RestoreThread(saved);
    Py_RETURN_NONE;
}

/* Python names a thread by an unsigned long; None takes back what was not raised yet. */
static PyObject *raise_in_thread(PyObject *module, PyObject *args)
{
    unsigned long thread;
    PyObject *error; /* borrowed */
    (void)module;
    if (!PyArg_ParseTuple(args, "kO", &thread, &error)) return NULL;
    return PyBool_FromLong(PyThreadState_SetAsyncExc(thread, error != Py_None ? error : NULL) != 0);
}

static unsigned long collecting; /* the thread that collects garbage, 0 if none does; read and written under the GIL */

/* One of gc.callbacks. It is C, so that nothing can be raised in it. */
static PyObject *note_collection(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count < 1) return PyErr_Format(PyExc_TypeError, "note_collection needs the phase of the collection");
    int order = PyUnicode_CompareWithASCIIString(args[0], "start");
    collecting = order == 0 ? PyThread_get_thread_ident() : 0;
    Py_RETURN_NONE;
}

static PyObject *collecting_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromUnsignedLong(collecting);
}

bool ext_add_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **out)
{
    PyObject *type = PyType_FromSpec(spec); /* new; kept for the process, and given to the module */
    if (type == NULL) return false;
    *out = (PyTypeObject *)type;
    Py_INCREF(type);
    if (PyModule_AddObject(module, name, type) == 0) return true; /* stolen by the module */
    Py_DECREF(type);
    return false;
}

static PyMethodDef functions[] = {
    {"encode", (PyCFunction)(void (*)(void))codec_py_encode, METH_FASTCALL, "The bytes of a message given as a dict."},
    {"decode", (PyCFunction)(void (*)(void))codec_py_decode, METH_FASTCALL, "The dict of a message given as bytes."},
    {"to_json", (PyCFunction)(void (*)(void))codec_py_to_json, METH_VARARGS | METH_KEYWORDS, "An encoded message as JSON."},
    {"from_json", (PyCFunction)(void (*)(void))codec_py_from_json, METH_VARARGS | METH_KEYWORDS, "The encoded message that JSON says."},
    {"raise_in_thread", raise_in_thread, METH_VARARGS, "Raises an exception class in the Python code of a thread; False when there is no such thread."},
    {"note_collection", (PyCFunction)(void (*)(void))note_collection, METH_FASTCALL, "For gc.callbacks: keeps collecting_thread true."},
    {"collecting_thread", collecting_thread, METH_NOARGS, "The thread that collects garbage right now, 0 if none does."},
    {"_at_exit", at_exit, METH_NOARGS, "Ends the C threads; registered with atexit."},
    {NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "temporalio._core", "The C side of the package.", -1, functions, NULL, NULL, NULL, NULL};

static bool register_at_exit(PyObject *module)
{
    PyObject *atexit = PyImport_ImportModule("atexit"), *hook = PyObject_GetAttrString(module, "_at_exit");
    PyObject *done = atexit != NULL && hook != NULL ? PyObject_CallMethod(atexit, "register", "O", hook) : NULL;
    bool ok = done != NULL;
    Py_XDECREF(atexit);
    Py_XDECREF(hook);
    Py_XDECREF(done);
    return ok;
}

__attribute__((visibility("default"))) PyObject *PyInit__core(void);
PyObject *PyInit__core(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) return NULL;
    rpc_failure = PyErr_NewExceptionWithDoc("temporalio._core.RPCFailure", "A failed call: (code, message, status).", NULL, NULL);
    bool ok = rpc_failure != NULL;
    if (ok) {
        Py_INCREF(rpc_failure);
        ok = PyModule_AddObject(module, "RPCFailure", rpc_failure) == 0;
    }
    pthread_atfork(before_fork, after_fork, after_fork_child);
    if (ok && ext_loop_add(module) && ext_runtime_add(module) && ext_connection_add(module) && ADD_WORKER(module) && ext_turns_add(module) && register_at_exit(module)) return module;
    Py_DECREF(module);
    return NULL;
}
