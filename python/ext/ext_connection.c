/* temporalio._core.Connection and Call: calls to a server whose answers set asyncio futures. */
#include "ext.h"

#include "capi/connection.h"
#include "proto/api.h"

#include <stdlib.h>

/* ---- a call's way back to Python ------------------------------------------------------------------------------ */

struct pending {
    struct delivery delivery;
    struct ext_loop *loop;
    PyObject *future; /* owned; touched with the GIL only */
    const struct pb_message *response_type; /* NULL: the result is the bytes */
    bool is_connect;                        /* the result is None, and a server without the method is fine */
    enum grpc_code code;
    struct buf body, message, details;
};

static void free_pending(struct pending *p)
{
    buf_fini(&p->body);
    buf_fini(&p->message);
    buf_fini(&p->details);
    ext_loop_unref(p->loop);
    free(p);
}

static void set_result(struct pending *p)
{
    PyObject *result;
    if (p->is_connect) {
        result = Py_None;
        Py_INCREF(result);
    } else {
        result = p->response_type != NULL ? codec_decode(p->response_type, buf_view(&p->body)) : value_bytes_new(buf_view(&p->body));
    }
    if (result == NULL) { /* the server's bytes are not what it promised */
        PyErr_Clear();
        future_fail(p->future, GRPC_INTERNAL, STR("the answer is not a message of the expected type"), STR_EMPTY);
        return;
    }
    future_set(p->future, result, NULL);
    Py_DECREF(result);
}

static void deliver(struct delivery *delivery, bool is_dropped)
{
    struct pending *p = container_of(delivery, struct pending, delivery);
    bool is_ok = p->code == GRPC_OK || (p->is_connect && p->code == GRPC_UNIMPLEMENTED);
    if (!is_dropped && is_ok) set_result(p);
    else if (!is_dropped) future_fail(p->future, (int)p->code, buf_view(&p->message), buf_view(&p->details));
    Py_DECREF(p->future);
    free_pending(p);
}

/* On the runtime's thread, without the GIL. */
static void on_done(void *arg, const struct grpc_response *response)
{
    struct pending *p = arg;
    p->code = response->code;
    buf_append_str(&p->body, response->body);
    buf_append_str(&p->message, response->message);
    buf_append_str(&p->details, response->details);
    struct ext_loop *loop = ext_loop_ref(p->loop);
    ext_loop_push(loop, &p->delivery);
    ext_loop_unref(loop);
}

/* ---- Call ----------------------------------------------------------------------------------------------------- */

struct call_object {
    PyObject_HEAD
    struct connection_call *call;
};
static PyTypeObject *call_type;

static void call_dealloc(PyObject *object)
{
    struct call_object *self = (struct call_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->call != NULL) connection_call_unref(self->call);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *call_cancel(PyObject *object, PyObject *unused)
{
    (void)unused;
    connection_call_cancel(((struct call_object *)object)->call);
    Py_RETURN_NONE;
}

/* ---- options -------------------------------------------------------------------------------------------------- */

enum { HEADERS_MAX = 64 };
struct header_list { struct grpc_header headers[HEADERS_MAX]; size_t count; };

static bool refuse_headers(const char *words)
{
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, words);
    return false;
}

/* A sequence of (name, value) pairs, borrowed from `holder`, a list made here that the caller releases. */
static bool read_headers(PyObject *sequence, PyObject **holder, struct header_list *out)
{
    out->count = 0;
    *holder = NULL;
    if (sequence == NULL || sequence == Py_None) return true;
    if ((*holder = PySequence_List(sequence)) == NULL) return false; /* new */
    Py_ssize_t count = PyList_Size(*holder);
    if (count > HEADERS_MAX) return refuse_headers("too many headers");
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyList_GetItem(*holder, i); /* borrowed */
        struct grpc_header *h = &out->headers[i];
        if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) return refuse_headers("headers are (name, value) tuples");
        PyObject *name = PyTuple_GetItem(pair, 0), *value = PyTuple_GetItem(pair, 1); /* borrowed */
        if (!PyUnicode_Check(name) || !value_bytes(name, &h->name)) return refuse_headers("a header's name is a str");
        if ((!PyUnicode_Check(value) && !PyBytes_Check(value)) || !value_bytes(value, &h->value)) return refuse_headers("a header's value is a str or bytes");
    }
    out->count = (size_t)count;
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

static bool read_retry(PyObject *options, struct connection_retry *retry)
{
    PyObject *dict;
    int64_t elapsed = 0, retries = 0;
    if (!option_dict(options, "retry", &dict)) return false;
    if (dict == NULL) return true;
    *retry = connection_retry_default();
    bool ok = option_int(dict, "initial_interval", &retry->initial_interval.ns) && option_int(dict, "max_interval", &retry->max_interval.ns) &&
              option_int(dict, "max_elapsed_time", &elapsed) && option_double(dict, "multiplier", &retry->multiplier) &&
              option_double(dict, "randomization_factor", &retry->randomization_factor) && option_int(dict, "max_retries", &retries);
    retry->max_elapsed.ns = elapsed;
    retry->max_retries = retries > INT32_MAX ? INT32_MAX : (int)retries;
    return ok;
}

static bool read_tls(PyObject *options, struct connection_options *o)
{
    PyObject *dict;
    struct str domain = STR_EMPTY, verified = STR_EMPTY;
    if (!option_dict(options, "tls", &dict)) return false;
    if (dict == NULL) return true;
    o->has_tls = true;
    if (!option_str(dict, "server_root_ca_cert", &o->tls.ca) || !option_str(dict, "domain", &domain) || !option_str(dict, "client_cert", &o->tls.certificate) ||
        !option_str(dict, "client_private_key", &o->tls.key) || !option_str(dict, "verification_server_name", &verified)) return false;
    o->server_name = o->authority = domain;
    o->verified_name = verified;
    return true;
}

/* Everything is borrowed from the dict. */
static bool read_options(PyObject *options, struct connection_options *o, struct header_list *headers, PyObject **holder)
{
    PyObject *keepalive, *proxy;
    int64_t timeout = 0, payloads = 0, memo = 0;
    *o = (struct connection_options){0};
    if (!option_str(options, "target_host", &o->target) || !read_tls(options, o) || !option_str(options, "api_key", &o->api_key) ||
        !read_headers(option_get(options, "metadata"), holder, headers) || !option_str(options, "client_name", &o->client_name) ||
        !option_str(options, "client_version", &o->client_version) || !read_retry(options, &o->retry) ||
        !option_dict(options, "keep_alive", &keepalive) || !option_dict(options, "proxy", &proxy) ||
        !option_bool(options, "gzip", &o->gzip) || !option_int(options, "connect_timeout", &timeout) ||
        !option_int(options, "payloads_warn_size", &payloads) || !option_int(options, "memo_warn_size", &memo)) return false;
    o->payloads_warn_size = payloads > 0 ? (size_t)payloads : 0;
    o->memo_warn_size = memo > 0 ? (size_t)memo : 0;
    o->metadata = (struct grpc_metadata){headers->headers, headers->count};
    o->connect_timeout.ns = timeout;
    if (keepalive != NULL) {
        o->has_keepalive = true;
        if (!option_int(keepalive, "interval", &o->keepalive_interval.ns) || !option_int(keepalive, "timeout", &o->keepalive_timeout.ns)) return false;
    }
    return proxy == NULL || (option_str(proxy, "target_host", &o->proxy) && option_str(proxy, "user", &o->proxy_user) && option_str(proxy, "password", &o->proxy_password));
}

/* ---- Connection ----------------------------------------------------------------------------------------------- */

struct object {
    PyObject_HEAD
    PyObject *runtime, *options; /* owned; a Runtime and a dict, from which a forked child makes its own connection */
    struct connection *connection;
};
static PyTypeObject *connection_type;

static bool open_connection(struct object *self)
{
    struct connection_options options;
    struct header_list headers;
    PyObject *holder = NULL;
    struct arena arena;
    struct error error = {0};
    struct runtime *runtime = ext_runtime_of(self->runtime);
    if (runtime == NULL) return false;
    arena_init(&arena, 0, 0);
    bool ok = read_options(self->options, &options, &headers, &holder);
    if (ok) {
        runtime_ref(runtime);
        PyThreadState *saved = PyEval_SaveThread(); /* the strings live as long as self->options and the holder */
        err e = connection_create(&self->connection, runtime, &options, &arena, &error);
        PyEval_RestoreThread(saved);
        runtime_unref(runtime);
        if (e != ERR_NONE) {
            raise_error(&error);
            ok = false;
        }
    }
    Py_XDECREF(holder);
    arena_fini(&arena);
    return ok;
}

struct connection *ext_connection_of(PyObject *object)
{
    if (!PyObject_TypeCheck(object, connection_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a temporalio._core.Connection");
        return NULL;
    }
    struct object *self = (struct object *)object;
    if (self->connection != NULL && runtime_is_alive(connection_runtime(self->connection))) return self->connection;
    if (self->connection != NULL) connection_unref(self->connection);
    self->connection = NULL;
    return open_connection(self) ? self->connection : NULL;
}

static PyObject *connection_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"runtime", "options", NULL};
    PyObject *runtime, *options;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &runtime, &options)) return NULL;
    if (!PyDict_Check(options)) {
        PyErr_SetString(PyExc_TypeError, "the options of a Connection are a dict");
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct object *self = (struct object *)alloc(type, 0);
    if (self == NULL) return NULL;
    Py_INCREF(runtime);
    self->runtime = runtime;
    self->options = PyDict_Copy(options);
    if (self->options == NULL || !open_connection(self)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void connection_dealloc(PyObject *object)
{
    struct object *self = (struct object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->connection != NULL) connection_unref(self->connection);
    Py_XDECREF(self->runtime);
    Py_XDECREF(self->options);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* Starts a call whose end sets the future. A new Call, or NULL. */
static PyObject *start(struct connection *connection, PyObject *loop_object, PyObject *future, const struct connection_request *request,
                       const struct pb_message *response_type, bool is_connect)
{
    struct ext_loop *loop = ext_loop_of(loop_object);
    if (loop == NULL) return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(call_type, Py_tp_alloc);
    struct call_object *call = (struct call_object *)alloc(call_type, 0);
    if (call == NULL) return NULL;
    struct pending *p = xcalloc(1, sizeof *p);
    p->delivery.deliver = deliver;
    p->loop = ext_loop_ref(loop);
    p->future = future;
    Py_INCREF(future);
    p->response_type = response_type;
    p->is_connect = is_connect;
    if (connection_call_start(connection, request, on_done, p, &call->call)) return (PyObject *)call;
    Py_DECREF(future);
    free_pending(p);
    Py_DECREF(call);
    PyErr_SetString(PyExc_RuntimeError, "the runtime has stopped");
    return NULL;
}

static PyObject *connection_connect(PyObject *object, PyObject *args)
{
    PyObject *loop, *future;
    if (!PyArg_ParseTuple(args, "OO", &loop, &future)) return NULL;
    struct connection *connection = ext_connection_of(object);
    if (connection == NULL) return NULL;
    struct connection_request request = {.path = STR("/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo")};
    PyObject *call = start(connection, loop, future, &request, NULL, true);
    if (call == NULL) return NULL;
    Py_DECREF(call);
    Py_RETURN_NONE;
}

/* The request's bytes: as given, or encoded from a dict. */
static bool read_body(PyObject *body, const struct pb_method *method, struct buf *encoded, struct str *out)
{
    if (PyBytes_Check(body)) return value_bytes(body, out);
    if (method == NULL) {
        PyErr_SetString(PyExc_ValueError, "a method that is not known takes and gives bytes");
        return false;
    }
    bool ok = codec_encode(pb_method_request(method), body, encoded);
    *out = buf_view(encoded);
    return ok;
}

static PyObject *connection_call(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"loop", "future", "rpc", "request", "retry", "metadata", "timeout", "raw", NULL};
    PyObject *loop, *future, *rpc, *body, *metadata = NULL, *timeout = NULL, *holder = NULL, *call = NULL;
    int retry = 0, raw = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOUO|$pOOp", names, &loop, &future, &rpc, &body, &retry, &metadata, &timeout, &raw)) return NULL;
    struct connection *connection = ext_connection_of(object);
    struct connection_request request = {.retrying = retry ? CONNECTION_RETRY : CONNECTION_ONCE};
    struct header_list headers;
    struct buf encoded = {0};
    if (connection == NULL || !value_bytes(rpc, &request.path)) return NULL;
    const struct pb_method *method = pb_method_find(request.path);
    bool ok = true;
    if (timeout != NULL && timeout != Py_None) {
        double seconds = PyFloat_AsDouble(timeout);
        ok = seconds != -1 || !PyErr_Occurred();
        request.timeout.ns = seconds < 1e-9 ? 1 : seconds > 1e9 ? (int64_t)1e18 : (int64_t)(seconds * 1e9);
    }
    if (ok && !raw && method == NULL) {
        PyErr_SetString(PyExc_ValueError, "a method that is not known takes and gives bytes");
        ok = false;
    }
    ok = ok && read_headers(metadata, &holder, &headers) && read_body(body, method, &encoded, &request.body);
    if (ok) {
        request.metadata = (struct grpc_metadata){headers.headers, headers.count};
        call = start(connection, loop, future, &request, raw ? NULL : pb_method_response(method), false);
    }
    Py_XDECREF(holder);
    buf_fini(&encoded);
    return call;
}

static PyObject *connection_update_metadata(PyObject *object, PyObject *metadata)
{
    PyObject *holder;
    struct header_list headers;
    struct object *self = (struct object *)object;
    struct connection *connection = ext_connection_of(object);
    if (connection == NULL) return NULL;
    bool ok = read_headers(metadata, &holder, &headers) && PyDict_SetItemString(self->options, "metadata", holder != NULL ? holder : Py_None) == 0;
    if (ok) connection_set_metadata(connection, (struct grpc_metadata){headers.headers, headers.count});
    Py_XDECREF(holder);
    if (!ok) return NULL;
    Py_RETURN_NONE;
}

static PyObject *connection_update_api_key(PyObject *object, PyObject *key)
{
    struct str text = STR_EMPTY;
    struct object *self = (struct object *)object;
    struct connection *connection = ext_connection_of(object);
    if (connection == NULL) return NULL;
    if (key != Py_None && !PyUnicode_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "an API key is a str or None");
        return NULL;
    }
    if (key != Py_None && !value_bytes(key, &text)) return NULL;
    if (PyDict_SetItemString(self->options, "api_key", key) < 0) return NULL;
    connection_set_api_key(connection, text);
    Py_RETURN_NONE;
}

static PyObject *connection_close_now(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct object *self = (struct object *)object;
    if (self->connection != NULL) connection_close(self->connection);
    Py_RETURN_NONE;
}

bool ext_connection_add(PyObject *module)
{
    static PyMethodDef call_methods[] = {{"cancel", call_cancel, METH_NOARGS, "Ends the call with CANCELLED."}, {NULL}};
    static PyType_Slot call_slots[] = {{Py_tp_dealloc, call_dealloc}, {Py_tp_methods, call_methods}, {0}};
    static PyType_Spec call_spec = {"temporalio._core.Call", sizeof(struct call_object), 0, Py_TPFLAGS_DEFAULT, call_slots};
    static PyMethodDef methods[] = {
        {"connect", connection_connect, METH_VARARGS, "Sets the future once the server has been reached."},
        {"call", (PyCFunction)(void (*)(void))connection_call, METH_VARARGS | METH_KEYWORDS, "Calls a method; the answer sets the future."},
        {"update_metadata", connection_update_metadata, METH_O, "Replaces the headers of later calls."},
        {"update_api_key", connection_update_api_key, METH_O, "Replaces the API key of later calls."},
        {"close", connection_close_now, METH_NOARGS, "Ends what runs with CANCELLED, and all later calls too."},
        {NULL},
    };
    static PyType_Slot slots[] = {{Py_tp_new, connection_new}, {Py_tp_dealloc, connection_dealloc}, {Py_tp_methods, methods}, {0}};
    static PyType_Spec spec = {"temporalio._core.Connection", sizeof(struct object), 0, Py_TPFLAGS_DEFAULT, slots};
    return ext_add_type(module, "Call", &call_spec, &call_type) && ext_add_type(module, "Connection", &spec, &connection_type);
}
