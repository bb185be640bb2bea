/* capi/runtime.h: one thread with an event loop, on which connections and workers live.
 *
 * Counted: connections and workers hold a reference, and the thread ends by itself when the last one is gone. After a
 * fork the child has none of the parent's threads: it makes runtimes of its own and leaves the parent's alone.
 *
 * Thread: any, but for runtime_loop, which is for code on the runtime's own thread. */
#ifndef CAPI_RUNTIME_H
#define CAPI_RUNTIME_H

#include "base/err.h"
#include "capi/metrics.h"
#include "capi/otlp.h"
#include "net/loop.h"

struct runtime;

struct runtime_options {
    struct metrics *metrics;     /* NULL: nothing is counted; else the runtime takes a reference */
    struct str prometheus_ip;    /* empty: no page */
    int prometheus_port;         /* 0 = a free one */
    const struct otlp_options *otlp; /* NULL: no collector */
};

/* options: NULL = none. ERR_LIMIT: the system gives no thread or no descriptors. ERR_UNAVAILABLE, ERR_INVALID: the address
 * of the page can not be bound. */
MUST_USE err runtime_create(struct runtime **out, const struct runtime_options *options, struct arena *arena, struct error *error);
struct runtime *runtime_ref(struct runtime *runtime);
void runtime_unref(struct runtime *runtime); /* also on the runtime's own thread */
/* Was it made by this process, and has it not been stopped? */
bool runtime_is_alive(const struct runtime *runtime);

/* Hands mail to the thread. False: it has stopped; the mail is still the caller's. */
MUST_USE bool runtime_send(struct runtime *runtime, struct mail *mail);
bool runtime_is_own_thread(const struct runtime *runtime);
struct loop *runtime_loop(struct runtime *runtime);
struct metrics *runtime_metrics(struct runtime *runtime); /* NULL: nothing is counted. Lives as long as the runtime */
int runtime_prometheus_port(const struct runtime *runtime); /* 0: no page */

/* Ends the threads of all runtimes of the process and waits for them; what they were doing is left undone. For the end
 * of the process, when nothing may run any more that could touch what is being torn down. */
void runtime_stop_all(void);

#endif
