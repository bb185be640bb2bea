/* temporalio._core.Runtime: the C thread, and what is told to the outside about it. */
#include "ext.h"

#include "capi/runtime.h"

struct object {
    PyObject_HEAD
    PyObject *options; /* a dict */
    struct runtime *runtime; /* NULL until it is needed */
};
static PyTypeObject *runtime_type;

static PyObject *runtime_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"options", NULL};
    PyObject *options = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &options)) return NULL;
    if (options != NULL && options != Py_None && !PyDict_Check(options)) {
        PyErr_SetString(PyExc_TypeError, "the options of a Runtime are a dict");
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct object *self = (struct object *)alloc(type, 0);
    if (self == NULL) return NULL;
    self->options = options != NULL && options != Py_None ? PyDict_Copy(options) : PyDict_New();
    if (self->options == NULL || ext_runtime_of((PyObject *)self) == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void runtime_dealloc(PyObject *object)
{
    struct object *self = (struct object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->runtime != NULL) runtime_unref(self->runtime);
    Py_XDECREF(self->options);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

struct runtime *ext_runtime_of(PyObject *object)
{
    if (!PyObject_TypeCheck(object, runtime_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a temporalio._core.Runtime");
        return NULL;
    }
    struct object *self = (struct object *)object;
    if (self->runtime != NULL && runtime_is_alive(self->runtime)) return self->runtime;
    if (self->runtime != NULL) runtime_unref(self->runtime); /* of the process this one was forked from, or stopped */
    self->runtime = NULL;
    if (runtime_create(&self->runtime) != ERR_NONE) PyErr_SetString(PyExc_RuntimeError, "the system gives no more threads or descriptors");
    return self->runtime;
}

void ext_runtime_stop_all(void) { runtime_stop_all(); }

bool ext_runtime_add(PyObject *module)
{
    static PyMethodDef methods[] = {{NULL}};
    static PyType_Slot slots[] = {{Py_tp_new, runtime_new}, {Py_tp_dealloc, runtime_dealloc}, {Py_tp_methods, methods}, {0}};
    static PyType_Spec spec = {"temporalio._core.Runtime", sizeof(struct object), 0, Py_TPFLAGS_DEFAULT, slots};
    return ext_add_type(module, "Runtime", &spec, &runtime_type);
}
