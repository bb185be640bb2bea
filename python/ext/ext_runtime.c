/* temporalio._core.Runtime: the C thread, and what is counted and told about it. */
#include "ext.h"

#include "capi/runtime.h"

#include <stdlib.h>

struct object {
    PyObject_HEAD
    PyObject *options; /* a dict */
    struct metrics *metrics; /* NULL: nothing is counted. Goes on in a forked child */
    struct runtime *runtime; /* NULL until it is needed */
};
static PyTypeObject *runtime_type;

/* ---- options -------------------------------------------------------------------------------------------------- */

/* A value of a label; text is borrowed from *holder, which is new. */
static bool read_label_value(PyObject *value, PyObject **holder, struct metrics_label *label)
{
    label->kind = PyBool_Check(value) ? METRICS_BOOL : PyLong_Check(value) ? METRICS_INT : PyFloat_Check(value) ? METRICS_FLOAT : METRICS_TEXT;
    if (label->kind == METRICS_BOOL) *holder = PyUnicode_FromString(value == Py_True ? "true" : "false");
    else *holder = PyObject_Str(value);
    return *holder != NULL && value_bytes(*holder, &label->value);
}

struct labels { struct metrics_label list[METRICS_LABELS_MAX]; PyObject *holders[METRICS_LABELS_MAX]; size_t count; };

static void release_labels(struct labels *labels)
{
    for (size_t i = 0; i < METRICS_LABELS_MAX; i++) Py_XDECREF(labels->holders[i]);
}

/* A dict of labels, or NULL. To be released also after a failure. */
static bool read_labels(PyObject *dict, struct labels *out)
{
    PyObject *key, *value; /* borrowed */
    Py_ssize_t at = 0;
    *out = (struct labels){.count = 0};
    if (dict == NULL || dict == Py_None) return true;
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "attributes are a dict");
        return false;
    }
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (!PyUnicode_Check(key)) {
            PyErr_SetString(PyExc_TypeError, "the name of an attribute is a str");
            return false;
        }
        if (out->count == METRICS_LABELS_MAX) {
            PyErr_Format(PyExc_ValueError, "more than %d attributes", (int)METRICS_LABELS_MAX);
            return false;
        }
        size_t i = out->count++;
        if (!value_bytes(key, &out->list[i].key) || !read_label_value(value, &out->holders[i], &out->list[i])) return false;
    }
    return true;
}

/* {"name": [bounds]}; the result is malloc'd. */
static bool read_buckets(PyObject *dict, struct metrics_options *o)
{
    PyObject *key, *value; /* borrowed */
    Py_ssize_t at = 0;
    if (dict == NULL || o->buckets != NULL) return true; /* those of the page go before those of the collector */
    Py_ssize_t count = PyDict_Size(dict);
    if (count < 0) return false;
    struct metrics_buckets *all = xcalloc((size_t)count + 1, sizeof *all);
    o->buckets = all;
    while (PyDict_Next(dict, &at, &key, &value)) {
        struct metrics_buckets *b = &all[o->buckets_count++];
        PyObject *bounds = PySequence_List(value); /* new */
        bool ok = bounds != NULL && PyUnicode_Check(key) && value_bytes(key, &b->metric) && PyList_Size(bounds) <= METRICS_BUCKETS_MAX;
        for (Py_ssize_t i = 0; ok && i < PyList_Size(bounds); i++) {
            b->bounds[b->count] = PyFloat_AsDouble(PyList_GetItem(bounds, i));
            ok = !PyErr_Occurred() && (b->count == 0 || b->bounds[b->count] > b->bounds[b->count - 1]);
            b->count++;
        }
        Py_XDECREF(bounds);
        if (!ok && !PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "the buckets of %R are at most %d rising numbers", key, (int)METRICS_BUCKETS_MAX);
        if (!ok) return false;
    }
    return true;
}

static bool option_dict(PyObject *options, const char *key, PyObject **out) /* borrowed; NULL: absent */
{
    *out = option_get(options, key);
    if (*out == NULL) return !PyErr_Occurred();
    if (PyDict_Check(*out)) return true;
    PyErr_Format(PyExc_TypeError, "%s is a dict", key);
    return false;
}

/* Makes self->metrics when anybody wants to know. */
static bool open_metrics(struct object *self)
{
    struct metrics_options o = {.prefix = STR("temporal_")};
    PyObject *page, *collector, *buckets = NULL, *global;
    struct labels labels = {.count = 0};
    int64_t update_max = 0;
    bool has_service_name = true;
    bool ok = option_dict(self->options, "prometheus", &page) && option_dict(self->options, "opentelemetry", &collector) && option_int(self->options, "metric_buffer_size", &update_max) &&
              option_dict(self->options, "global_tags", &global) && option_str(self->options, "metric_prefix", &o.prefix) &&
              option_bool(self->options, "attach_service_name", &has_service_name) && read_labels(global, &labels);
    if (ok && page != NULL) {
        ok = option_bool(page, "counters_total_suffix", &o.has_counter_suffix) && option_bool(page, "unit_suffix", &o.has_unit_suffix) &&
             option_bool(page, "durations_as_seconds", &o.durations_as_seconds) && option_dict(page, "histogram_bucket_overrides", &buckets) && read_buckets(buckets, &o);
    }
    if (ok && collector != NULL) {
        ok = option_bool(collector, "durations_as_seconds", &o.durations_as_seconds) && option_dict(collector, "histogram_bucket_overrides", &buckets) && read_buckets(buckets, &o);
    }
    if (ok && update_max < 0) {
        PyErr_SetString(PyExc_ValueError, "metric_buffer_size is negative");
        ok = false;
    }
    if (ok && (page != NULL || collector != NULL || update_max > 0)) {
        if (has_service_name && labels.count < METRICS_LABELS_MAX) labels.list[labels.count++] = (struct metrics_label){STR("service_name"), STR("temporal-core-sdk"), METRICS_TEXT};
        o.global = labels.list;
        o.global_count = labels.count;
        o.update_max = (size_t)update_max;
        self->metrics = metrics_create(&o);
    }
    release_labels(&labels);
    free((void *)(uintptr_t)o.buckets);
    return ok;
}

/* "127.0.0.1:9090", "[::1]:0" */
static bool read_address(struct str text, struct runtime_options *o)
{
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':') colon--;
    int64_t port = -1;
    for (size_t i = colon; i < text.size && text.data[i] >= '0' && text.data[i] <= '9' && port <= 65535; i++) {
        port = (port < 0 ? 0 : port * 10) + (text.data[i] - '0');
    }
    struct str ip = {text.data, colon > 0 ? colon - 1 : 0};
    if (ip.size > 2 && ip.data[0] == '[' && ip.data[ip.size - 1] == ']') ip = (struct str){ip.data + 1, ip.size - 2};
    if (ip.size == 0 || port < 0 || port > 65535) {
        PyErr_Format(PyExc_ValueError, "bind_address is not of the form ip:port");
        return false;
    }
    o->prometheus_ip = ip;
    o->prometheus_port = (int)port;
    return true;
}

/* ---- the object ----------------------------------------------------------------------------------------------- */

/* Borrowed from the dict. */
static bool read_collector(PyObject *dict, struct otlp_options *o, struct grpc_header *headers, size_t header_max)
{
    PyObject *given, *key, *value; /* borrowed */
    Py_ssize_t at = 0;
    int64_t temporality = 1;
    if (!option_str(dict, "url", &o->url) || !option_int(dict, "metric_periodicity", &o->period.ns) || !option_int(dict, "temporality", &temporality) ||
        !option_bool(dict, "http", &o->is_http) || !option_dict(dict, "headers", &given)) return false;
    o->is_delta = temporality == 2;
    o->headers.headers = headers;
    while (given != NULL && PyDict_Next(given, &at, &key, &value) && o->headers.count < header_max) {
        struct grpc_header *h = &headers[o->headers.count++];
        if (!PyUnicode_Check(key) || !PyUnicode_Check(value)) {
            PyErr_SetString(PyExc_TypeError, "headers are a dict of str");
            return false;
        }
        if (!value_bytes(key, &h->name) || !value_bytes(value, &h->value)) return false;
    }
    return true;
}

static bool open_runtime(struct object *self, bool is_child)
{
    struct runtime_options o = {.metrics = self->metrics};
    struct otlp_options otlp = {.is_delta = false};
    struct grpc_header headers[32];
    struct str address = STR_EMPTY;
    PyObject *page, *collector;
    struct arena arena;
    struct error error = {0};
    if (!option_dict(self->options, "prometheus", &page) || (page != NULL && !option_str(page, "bind_address", &address))) return false;
    if (!option_dict(self->options, "opentelemetry", &collector)) return false;
    if (collector != NULL && !read_collector(collector, &otlp, headers, 32)) return false;
    if (collector != NULL) o.otlp = &otlp;
    /* The parent holds the address; a child counts for itself and has no page. */
    if (page != NULL && !is_child && !read_address(address, &o)) return false;
    arena_init(&arena, 0, 0);
    err e = runtime_create(&self->runtime, &o, &arena, &error);
    if (e != ERR_NONE) {
        if (e == ERR_UNAVAILABLE) error.code = ERR_INVALID; /* an address that can not be bound is a bad option */
        raise_error(&error);
    }
    arena_fini(&arena);
    return e == ERR_NONE;
}

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
    if (self->options != NULL && ext_log_configure(self->options) && open_metrics(self) && open_runtime(self, false)) return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static void runtime_dealloc(PyObject *object)
{
    struct object *self = (struct object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->runtime != NULL) runtime_unref(self->runtime);
    metrics_unref(self->metrics);
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
    return open_runtime(self, true) ? self->runtime : NULL;
}

void ext_runtime_stop_all(void) { runtime_stop_all(); }

/* ---- metrics -------------------------------------------------------------------------------------------------- */

static PyObject *runtime_metrics_text(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct object *self = (struct object *)object;
    struct buf text = {0};
    if (self->metrics != NULL) metrics_text(self->metrics, &text);
    PyObject *result = value_str(buf_view(&text));
    buf_fini(&text);
    return result;
}

static PyObject *runtime_new_metric(PyObject *object, PyObject *args)
{
    int kind;
    const char *name, *description, *unit;
    struct object *self = (struct object *)object;
    if (!PyArg_ParseTuple(args, "isss", &kind, &name, &description, &unit)) return NULL;
    if (kind < 0 || kind >= METRICS_KIND_COUNT) {
        PyErr_SetString(PyExc_ValueError, "no such kind of metric");
        return NULL;
    }
    if (self->metrics == NULL) return PyLong_FromLong(-1);
    return PyLong_FromLong(metrics_register(self->metrics, (enum metrics_kind)kind, str_of(name), str_of(description), str_of(unit), true));
}

static PyObject *runtime_record_metric(PyObject *object, PyObject *args)
{
    int metric;
    double value;
    PyObject *attributes;
    struct labels labels;
    struct object *self = (struct object *)object;
    if (!PyArg_ParseTuple(args, "idO", &metric, &value, &attributes)) return NULL;
    bool ok = read_labels(attributes, &labels);
    if (ok && self->metrics != NULL && metric >= 0) metrics_record(self->metrics, metric, value, labels.list, labels.count);
    release_labels(&labels);
    if (!ok) return NULL;
    Py_RETURN_NONE;
}

static PyObject *label_value(const struct metrics_label *label) /* new */
{
    PyObject *text = value_str(label->value), *value = NULL;
    if (text == NULL) return NULL;
    switch (label->kind) {
    case METRICS_BOOL: value = PyBool_FromLong(str_equal_c(label->value, "true")); break;
    case METRICS_INT: value = PyNumber_Long(text); break;
    case METRICS_FLOAT: value = PyFloat_FromString(text); break;
    default: return text;
    }
    Py_DECREF(text);
    return value;
}

static void add_update(void *arg, const struct metrics_update *update)
{
    PyObject **list = arg, *attributes = PyDict_New();
    bool ok = *list != NULL && attributes != NULL;
    for (size_t i = 0; ok && i < update->label_count; i++) {
        PyObject *key = value_str(update->labels[i].key), *value = label_value(&update->labels[i]);
        ok = key != NULL && value != NULL && PyDict_SetItem(attributes, key, value) == 0;
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    PyObject *row = ok ? Py_BuildValue("(s#s#s#idO)", update->name.data, (Py_ssize_t)update->name.size, update->description.data, (Py_ssize_t)update->description.size,
                                       update->unit.data, (Py_ssize_t)update->unit.size, (int)update->kind, update->value, attributes) : NULL;
    if (row == NULL || PyList_Append(*list, row) < 0) Py_CLEAR(*list);
    Py_XDECREF(row);
    Py_XDECREF(attributes);
}

static PyObject *runtime_take_metric_updates(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct object *self = (struct object *)object;
    PyObject *list = PyList_New(0);
    if (self->metrics != NULL) metrics_take(self->metrics, add_update, &list);
    return list;
}

static PyObject *runtime_page_port(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct runtime *runtime = ext_runtime_of(object);
    return runtime != NULL ? PyLong_FromLong(runtime_prometheus_port(runtime)) : NULL;
}

bool ext_runtime_add(PyObject *module)
{
    static PyMethodDef methods[] = {
        {"metrics_text", runtime_metrics_text, METH_NOARGS, "The metrics as a page for Prometheus."},
        {"new_metric", runtime_new_metric, METH_VARARGS, "The number of a metric of the program."},
        {"record_metric", runtime_record_metric, METH_VARARGS, "Counts, sets or notes a value."},
        {"take_metric_updates", runtime_take_metric_updates, METH_NOARGS, "The updates since the last time."},
        {"prometheus_port", runtime_page_port, METH_NOARGS, "The port of the metrics page, 0 without one."},
        {NULL},
    };
    static PyType_Slot slots[] = {{Py_tp_new, runtime_new}, {Py_tp_dealloc, runtime_dealloc}, {Py_tp_methods, methods}, {0}};
    static PyType_Spec spec = {"temporalio._core.Runtime", sizeof(struct object), 0, Py_TPFLAGS_DEFAULT, slots};
    return ext_add_type(module, "Runtime", &spec, &runtime_type);
}
