/* capi/worker.h: a worker with real threads and a real clock: core/worker.h on a connection.
 *
 * Polls, answers, heartbeats and timers live on the runtime's thread and on those that call in; nothing of it waits for
 * the user's code. Activations are taken with worker_next_activation, by as many threads as like to.
 *
 * Thread: any. The hooks run on whatever thread makes them necessary, without the worker's lock; but activity_task and slot
 * run under it, so that tasks and slots come in order: they must not wait and not call back. Metrics go to those of the runtime.
 *
 * The worker_try_ functions are for threads that hold what others wait for (such as an interpreter's lock) and would rather
 * not give it back for a few microseconds: they do the same, or return false at once and have done nothing. */
#ifndef CAPI_WORKER_H
#define CAPI_WORKER_H

#include "capi/connection.h"
#include "core/worker.h"

struct worker;

struct worker_slot { /* of a supplier with a custom_id; see core/worker.h */
    enum core_effect_kind what; /* EFFECT_SLOT_… */
    enum core_slot_kind kind;
    uint32_t custom_id;
    uint64_t number;
    bool is_sticky;
    struct str type;
};
struct worker_hooks {
    /* An ActivityTask for the SDK; empty after the last one. The bytes are borrowed. */
    void (*activity_task)(void *arg, struct str task);
    /* An activation waits and nobody takes it: at once when none is being worked on nor has just been answered by a thread that
     * has not come back yet; else when one has waited for 10 ms, and again. */
    void (*activation_waiting)(void *arg);
    void (*slot)(void *arg, const struct worker_slot *slot);
    void (*fatal)(void *arg, int code, struct str message); /* the server refuses the worker; it shuts down */
    /* Does the SDK not run at all, and has not for a while? Asked some times a second, on the runtime's thread and under the
     * lock, while there are activities with a heartbeat timeout: these are kept alive then, for they can not beat. */
    bool (*is_stuck)(void *arg);
    void (*done)(void *arg);                                /* shut down; no hook is called any more */
    void (*release)(void *arg);                             /* nothing uses `arg` any more */
};

/* connection: referenced; NULL for a replayer, which needs the runtime instead. Hooks may be NULL. They may be set until
 * worker_start. */
MUST_USE err worker_create(struct worker **out, struct connection *connection, struct runtime *runtime,
                           const pb_core_WorkerOptions *options, struct arena *arena, struct error *error);
void worker_set_hooks(struct worker *worker, const struct worker_hooks *hooks, void *arg);
/* False, and nothing happens, when its threads are not in this process: it was made before a fork. */
MUST_USE bool worker_start(struct worker *worker);
void worker_replace_connection(struct worker *worker, struct connection *connection);
/* Shuts it down and lets go of it. Hooks that have begun end; no other is called, but for `release` at the very end. */
void worker_unref(struct worker *worker);

/* Waits for an activation. False: none came in time, or the worker is done. timeout < 0: no limit. Takes over `out`. */
bool worker_next_activation(struct worker *worker, duration timeout, struct buf *out);
/* A Completion; takes the bytes. */
MUST_USE err worker_complete_activation(struct worker *worker, struct buf *completion);
MUST_USE bool worker_try_complete_activation(struct worker *worker, struct buf *completion, err *result);
MUST_USE err worker_complete_activity(struct worker *worker, struct str result);
MUST_USE bool worker_try_complete_activity(struct worker *worker, struct str bytes, err *result);
MUST_USE err worker_record_heartbeat(struct worker *worker, struct str heartbeat);
/* See core_worker_reserve and core_worker_accept. */
MUST_USE uint64_t worker_reserve(struct worker *worker);
void worker_accept(struct worker *worker, uint64_t permit, struct str task);
void worker_keep_alive(struct worker *worker, struct str token); /* see core/worker.h */
void worker_grant_slot(struct worker *worker, uint64_t number);
void worker_shutdown(struct worker *worker);
bool worker_is_done(struct worker *worker);
/* For a replayer; see core/worker.h. */
MUST_USE err worker_push_history(struct worker *worker, struct str workflow_id, struct str history);

#endif
