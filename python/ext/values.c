#include "ext.h"

bool value_bytes(PyObject *object, struct str *out)
{
    Py_ssize_t size = 0;
    char *data = NULL;
    if (PyBytes_Check(object)) {
        if (PyBytes_AsStringAndSize(object, &data, &size) < 0) return false;
    } else {
        data = (char *)(uintptr_t)PyUnicode_AsUTF8AndSize(object, &size);
        if (data == NULL) return false;
    }
    *out = str_make(data, (size_t)size);
    return true;
}

PyObject *value_str(struct str s) { return PyUnicode_DecodeUTF8(s.size != 0 ? s.data : "", (Py_ssize_t)s.size, "replace"); }
PyObject *value_bytes_new(struct str s) { return PyBytes_FromStringAndSize(s.size != 0 ? s.data : "", (Py_ssize_t)s.size); }

PyObject *option_get(PyObject *dict, const char *key)
{
    PyObject *name = PyUnicode_FromString(key);
    if (name == NULL) return NULL;
    PyObject *value = PyDict_GetItemWithError(dict, name); /* borrowed */
    Py_DECREF(name);
    return value != Py_None ? value : NULL;
}

bool option_str(PyObject *dict, const char *key, struct str *out)
{
    PyObject *value = option_get(dict, key);
    if (value == NULL) return !PyErr_Occurred();
    if (!PyUnicode_Check(value) && !PyBytes_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s is a str or bytes", key);
        return false;
    }
    return value_bytes(value, out);
}

bool option_int(PyObject *dict, const char *key, int64_t *out)
{
    PyObject *value = option_get(dict, key);
    if (value == NULL) return !PyErr_Occurred();
    long long number = PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred()) return false;
    *out = number;
    return true;
}

bool option_double(PyObject *dict, const char *key, double *out)
{
    PyObject *value = option_get(dict, key);
    if (value == NULL) return !PyErr_Occurred();
    double number = PyFloat_AsDouble(value);
    if (number == -1 && PyErr_Occurred()) return false;
    *out = number;
    return true;
}

bool option_bool(PyObject *dict, const char *key, bool *out)
{
    PyObject *value = option_get(dict, key);
    if (value == NULL) return !PyErr_Occurred();
    int truth = PyObject_IsTrue(value);
    if (truth < 0) return false;
    *out = truth != 0;
    return true;
}

PyObject *raise_error(const struct error *error)
{
    PyObject *words = value_str(error_message(error));
    if (words != NULL) PyErr_SetObject(error->code == ERR_INVALID ? PyExc_ValueError : PyExc_RuntimeError, words);
    Py_XDECREF(words);
    return NULL;
}
