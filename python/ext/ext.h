/* python/ext/ext.h: what the extension's files share.
 *
 * One module, temporalio._core, for every CPython from 3.10 on (the stable ABI), so objects are heap types. Functions run
 * with the GIL held unless they say otherwise. A PyObject * says whether it is new, borrowed or stolen where that is not
 * plain. On failure a function returns NULL, -1 or false with a Python exception set. */
#ifndef EXT_EXT_H
#define EXT_EXT_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mailbox.h"
#include "proto/pb.h"

/* ---- codec.c: messages as dicts ------------------------------------------------------------------------------ */

/* A new dict of an encoded message. */
PyObject *codec_decode(const struct pb_message *type, struct str bytes);
/* Appends the encoded message; unknown keys and wrong types are TypeError or ValueError. */
bool codec_encode(const struct pb_message *type, PyObject *dict, struct buf *out);
const struct pb_message *codec_type(PyObject *name); /* by a str; NULL: ValueError is set */

PyObject *codec_py_encode(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *codec_py_decode(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *codec_py_to_json(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *codec_py_from_json(PyObject *module, PyObject *args, PyObject *kwargs);

/* ---- values.c: small conversions ----------------------------------------------------------------------------- */

/* The bytes of a bytes or the UTF-8 of a str; borrowed from the object. */
bool value_bytes(PyObject *object, struct str *out);
PyObject *value_str(struct str s);   /* new; what is not UTF-8 is replaced */
PyObject *value_bytes_new(struct str s);
/* Options come as dicts. An absent or None entry leaves *out as it is. Strings are borrowed from the dict. */
bool option_str(PyObject *dict, const char *key, struct str *out);
bool option_int(PyObject *dict, const char *key, int64_t *out);
bool option_double(PyObject *dict, const char *key, double *out);
bool option_bool(PyObject *dict, const char *key, bool *out);
PyObject *option_get(PyObject *dict, const char *key); /* borrowed; NULL without an exception: absent or None */
/* Raises the words of an error: ValueError for ERR_INVALID, else RuntimeError. Returns NULL. */
PyObject *raise_error(const struct error *error);

/* ---- ext_loop.c: completions on their way to an asyncio loop -------------------------------------------------- */

/* Something for a Python loop to take care of. `deliver` runs inside drain() with the GIL held and frees the object;
 * with `is_dropped` nobody waits any more and it only frees. */
struct delivery {
    struct list link;
    void (*deliver)(struct delivery *delivery, bool is_dropped);
};
struct ext_loop; /* counted; outlives its Python object while calls are on their way */
struct ext_loop *ext_loop_of(PyObject *object); /* borrowed; NULL: TypeError is set */
struct ext_loop *ext_loop_ref(struct ext_loop *loop);   /* any thread, no GIL needed */
void ext_loop_unref(struct ext_loop *loop);             /* any thread, no GIL needed */
void ext_loop_push(struct ext_loop *loop, struct delivery *delivery); /* any thread, no GIL needed */
/* future.set_result / set_exception unless it is done by now. Steals nothing. Exceptions are written, not raised. */
void future_set(PyObject *future, PyObject *result, PyObject *exception);
/* Sets the future to RPCFailure(code, message, status). */
void future_fail(PyObject *future, int code, struct str message, struct str status);

/* ---- ext_calls.c: calls of Python that no C thread waits for ------------------------------------------------------ */

struct ext_call {
    struct list link;
    void (*run)(struct ext_call *call); /* with the GIL, on the thread of the calls; frees the object */
};
bool ext_calls_start(void);                 /* before the first push in this process; false: an exception is set */
void ext_calls_push(struct ext_call *call); /* any thread, no GIL needed */

/* ---- ext_runtime.c, ext_connection.c -------------------------------------------------------------------------- */

struct runtime;
struct connection;
/* The C object behind a Runtime or Connection, made anew in a forked child. Borrowed; NULL: an exception is set. */
struct runtime *ext_runtime_of(PyObject *object);
struct connection *ext_connection_of(PyObject *object);

/* ---- ext_log.c ------------------------------------------------------------------------------------------------ */

/* Sets where log lines go, from the options of a Runtime. */
bool ext_log_configure(PyObject *options);
void ext_log_flush(void); /* hands over what waits; before the interpreter ends */

/* ---- module.c ------------------------------------------------------------------------------------------------- */

/* For C threads that call Python: false once the interpreter is ending; then the GIL must not be asked for. Between a
 * true answer and gil_leave the interpreter waits with ending. */
bool gil_enter(PyGILState_STATE *state);
void gil_leave(PyGILState_STATE state);
extern PyObject *rpc_failure; /* the exception class */

/* Each file adds its types to the module. */
bool ext_loop_add(PyObject *module);
bool ext_runtime_add(PyObject *module);
bool ext_connection_add(PyObject *module);
bool ext_worker_add(PyObject *module);
bool ext_turns_add(PyObject *module);
bool ext_add_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **out);
/* Stops every runtime's thread; called with the GIL released, when the interpreter ends. */
void ext_runtime_stop_all(void);

#endif
