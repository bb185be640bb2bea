/* Where the C side's log lines go: to stderr, or as records to a callable of Python.
 *
 * A line may be written by any thread, with any lock held, so it is only queued there; a thread of its own, which takes
 * the GIL and nothing else, hands over what has come. Logging is the process's, not a runtime's: the last options count. */
#include "ext.h"

#include "base/log.h"
#include "proto/json.h"
#include "proto/pb_json.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { LINES_MAX = 10000 };

struct line { struct list link; size_t size; char text[]; };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list lines;
    size_t count;
    PyObject *callable; /* owned; with the GIL only */
    bool has_thread;
} pump = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .lines = {&pump.lines, &pump.lines}};

static instant wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (instant){(int64_t)t.tv_sec * NS_PER_S + t.tv_nsec};
}

static void queue_line(void *arg, const char *text, size_t size)
{
    (void)arg;
    struct line *line = xmalloc(sizeof *line + size);
    line->link = (struct list){NULL, NULL};
    line->size = size;
    memcpy(line->text, text, size);
    pthread_mutex_lock(&pump.mutex);
    bool has_room = pump.count < LINES_MAX;
    if (has_room) {
        list_push(&pump.lines, &line->link);
        pump.count++;
        pthread_cond_signal(&pump.changed);
    }
    pthread_mutex_unlock(&pump.mutex);
    if (!has_room) free(line);
}

static int python_level(struct str name)
{
    return str_equal_c(name, "error") ? 40 : str_equal_c(name, "warn") ? 30 : str_equal_c(name, "info") ? 20 : 10;
}

/* {"time":…, "level":…, "component":…, "msg":…, fields…} as base/log.h writes it, as a record; new. */
static PyObject *make_record(struct str text, struct arena *arena)
{
    struct json_in in;
    struct str key, value, target = STR_EMPTY, message = STR_EMPTY;
    int64_t seconds = 0;
    int32_t nanos = 0;
    int level = 20;
    PyObject *fields = PyDict_New();
    json_init(&in, text, arena, NULL);
    bool ok = fields != NULL && json_open(&in, '{');
    while (ok && json_more(&in, '}')) {
        ok = json_key(&in, &key) && json_string(&in, &value);
        if (!ok) break;
        if (str_equal_c(key, "time")) (void)pb_parse_timestamp(value, &seconds, &nanos);
        else if (str_equal_c(key, "level")) level = python_level(value);
        else if (str_equal_c(key, "component")) target = value;
        else if (str_equal_c(key, "msg")) message = value;
        else {
            PyObject *item = value_str(value);
            ok = item != NULL && PyDict_SetItemString(fields, key.data, item) == 0;
            Py_XDECREF(item);
        }
    }
    PyObject *record = ok ? Py_BuildValue("{s:i,s:s#,s:s#,s:d,s:O}", "level", level, "target", target.data != NULL ? target.data : "", (Py_ssize_t)target.size, "message",
                                          message.data != NULL ? message.data : "", (Py_ssize_t)message.size, "time", (double)seconds + nanos / 1e9, "fields", fields) : NULL;
    Py_XDECREF(fields);
    return record;
}

/* Hands over what has come. With the GIL. */
static void forward(void)
{
    struct list mine;
    struct list *link;
    struct arena arena;
    list_init(&mine);
    pthread_mutex_lock(&pump.mutex);
    while ((link = list_pop(&pump.lines)) != NULL) list_push(&mine, link);
    pump.count = 0;
    pthread_mutex_unlock(&pump.mutex);
    arena_init(&arena, 0, 0);
    PyObject *records = PyList_New(0), *callable = pump.callable;
    while ((link = list_pop(&mine)) != NULL) {
        struct line *line = container_of(link, struct line, link);
        PyObject *record = records != NULL ? make_record(str_make(line->text, line->size), &arena) : NULL;
        if (record == NULL || PyList_Append(records, record) < 0) PyErr_Clear(); /* a line that can not be told is lost */
        Py_XDECREF(record);
        arena_reset(&arena);
        free(line);
    }
    arena_fini(&arena);
    if (records != NULL && PyList_Size(records) > 0 && callable != NULL) {
        Py_INCREF(callable);
        PyObject *done = PyObject_CallFunctionObjArgs(callable, records, NULL);
        if (done == NULL) PyErr_WriteUnraisable(callable);
        Py_XDECREF(done);
        Py_DECREF(callable);
    }
    Py_XDECREF(records);
}

static void *run(void *arg)
{
    (void)arg;
    PyGILState_STATE state;
    while (true) {
        pthread_mutex_lock(&pump.mutex);
        while (list_is_empty(&pump.lines)) pthread_cond_wait(&pump.changed, &pump.mutex);
        pthread_mutex_unlock(&pump.mutex);
        if (!gil_enter(&state)) return NULL;
        forward();
        gil_leave(state);
    }
}

static void before_fork(void) { pthread_mutex_lock(&pump.mutex); }
static void after_fork(void) { pthread_mutex_unlock(&pump.mutex); }
static void after_fork_child(void)
{
    pump.has_thread = false;
    pthread_mutex_unlock(&pump.mutex);
}

static bool start_pump(PyObject *callable)
{
    static bool is_watching;
    if (!is_watching) pthread_atfork(before_fork, after_fork, after_fork_child);
    is_watching = true;
    Py_INCREF(callable);
    PyObject *old = pump.callable;
    pump.callable = callable;
    Py_XDECREF(old);
    if (pump.has_thread) return true;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) != 0) {
        PyErr_SetString(PyExc_RuntimeError, "the system gives no more threads");
        return false;
    }
    pthread_detach(thread);
    pump.has_thread = true;
    return true;
}

/* "temporal=warn,error": the level of our side is the one named for a target of ours, else the general one. */
static enum log_level read_filter(struct str filter)
{
    enum log_level level = LOG_ERROR;
    bool is_named = false;
    while (filter.size != 0) {
        const char *comma = memchr(filter.data, ',', filter.size);
        struct str part = {filter.data, comma != NULL ? (size_t)(comma - filter.data) : filter.size};
        const char *equals = memchr(part.data, '=', part.size);
        struct str name = equals != NULL ? str_skip(part, (size_t)(equals - part.data) + 1) : part;
        char text[8] = "";
        for (size_t i = 0; i < name.size && i < sizeof text - 1; i++) text[i] = (char)(name.data[i] | 0x20);
        enum log_level found = LOG_ERROR;
        bool is_known = log_level_parse(strcmp(text, "trace") == 0 ? "debug" : strcmp(text, "off") == 0 ? "never" : text, &found);
        bool is_ours = equals != NULL && str_starts_with(part, STR("temporal"));
        if (is_known && (is_ours || (equals == NULL && !is_named))) level = found;
        if (is_known && is_ours) is_named = true;
        filter = str_skip(filter, part.size + (comma != NULL ? 1 : 0));
    }
    return level;
}

bool ext_log_configure(PyObject *options)
{
    struct str filter = STR_EMPTY, format = STR_EMPTY;
    PyObject *callable = option_get(options, "log_forward");
    if (PyErr_Occurred() || !option_str(options, "log_filter", &filter) || !option_str(options, "log_format", &format)) return false;
    if (callable != NULL && !PyCallable_Check(callable)) {
        PyErr_SetString(PyExc_TypeError, "log_forward is a callable");
        return false;
    }
    log_set_clock(wall_clock);
    log_set_level(filter.size != 0 ? read_filter(filter) : LOG_NEVER);
    if (callable == NULL) {
        log_set_format(str_equal_c(format, "json") ? LOG_JSON : str_equal_c(format, "pretty") ? LOG_PRETTY : LOG_TEXT);
        log_set_sink(NULL, NULL);
        return true;
    }
    log_set_format(LOG_JSON);
    log_set_sink(queue_line, NULL);
    return start_pump(callable);
}

void ext_log_flush(void) { forward(); }
