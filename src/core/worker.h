/* core/worker.h: a worker without its sockets, threads and clocks: inputs go in, effects come out.
 *
 * The owner feeds what happens (an RPC was answered, the SDK completed something, time passed) and after every input
 * carries out the effects in order: sends the requests, hands activations and activity tasks to the SDK. It calls
 * core_worker_tick at the latest at core_worker_due().
 *
 * Workflow tasks are fetched as long as at most CORE_UNTAKEN_MAX activations wait for the SDK's threads; the owner tells when
 * one was taken (core_worker_taken). Beyond, no poll of workflow tasks goes out and no answer asks for the next task: what
 * happens to a workflow until its task is fetched joins that task, and other workers can have it.
 *
 * Retries: calls with `is_retried` are repeated by the owner on transient errors; what it reports is the last word.
 * Polls are repeated by core.
 *
 * Thread: one at a time.   Clock: given, as `now` (wall clock).   Blocks: never.
 * Source: temporal.api.workflowservice.v1; figures such as throttles and ratios from the documented worker options. */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "proto/perdure/core.h"

#include "base/list.h"

struct core_worker;
enum { CORE_UNTAKEN_MAX = 16 };

/* The RPCs a worker makes; the table in worker.c has their paths. */
enum core_rpc {
    CORE_POLL_WORKFLOW, CORE_POLL_ACTIVITY, CORE_WORKFLOW_COMPLETED, CORE_WORKFLOW_FAILED, CORE_QUERY_COMPLETED,
    CORE_GET_HISTORY, CORE_HEARTBEAT, CORE_ACTIVITY_COMPLETED, CORE_ACTIVITY_FAILED, CORE_ACTIVITY_CANCELED,
    CORE_SHUTDOWN_WORKER, CORE_DESCRIBE_NAMESPACE, CORE_RPC_COUNT,
};
struct str core_rpc_path(enum core_rpc rpc); /* "/temporal.api.workflowservice.v1.WorkflowService/…" */

enum core_slot_kind { SLOT_WORKFLOW, SLOT_ACTIVITY, SLOT_LOCAL_ACTIVITY, SLOT_KIND_COUNT };

enum core_effect_kind {
    EFFECT_CALL,          /* send `bytes` to `rpc`; report with core_worker_called(call_id) */
    EFFECT_CANCEL_CALL,   /* call_id is no longer wanted; it is still reported */
    EFFECT_ACTIVATION,    /* `bytes`: an Activation for the SDK; report with core_worker_taken when a thread begins with it */
    EFFECT_ACTIVITY_TASK, /* `bytes`: an ActivityTask for the SDK */
    EFFECT_SLOT_RESERVE,  /* custom suppliers: ask custom_id for a slot, to be called `permit` when it is granted */
    EFFECT_SLOT_CANCEL,   /* … `permit` is not wanted any more; when it is granted all the same, it is released */
    EFFECT_SLOT_USED,     /* … `permit` now serves `id` (a workflow or activity type) */
    EFFECT_SLOT_RELEASED,
    EFFECT_FATAL,         /* the server refuses this worker (`text`); it has begun to shut down */
    EFFECT_DONE,          /* shut down; no effect follows */
};
struct core_effect {
    struct list link;
    enum core_effect_kind kind;
    enum core_rpc rpc;
    enum core_slot_kind slot_kind;
    bool is_long_poll, is_retried, is_sticky;
    uint64_t call_id, permit;
    uint32_t custom_id;
    struct buf bytes;
    struct str id, text;         /* behind the struct */
    int code;                    /* EFFECT_FATAL: gRPC code */
    int32_t cause;               /* CORE_WORKFLOW_FAILED: why; `id` is the run's, `text` the failure's message */
};

/* The names of what is counted: those of the official SDKs. */
#define CORE_METRICS(X)                                                                \
    X(METRIC_WORKFLOW_COMPLETED,              COUNTER,   "workflow_completed")         \
    X(METRIC_WORKFLOW_CANCELED,               COUNTER,   "workflow_canceled")          \
    X(METRIC_WORKFLOW_FAILED,                 COUNTER,   "workflow_failed")            \
    X(METRIC_WORKFLOW_CONTINUE_AS_NEW,        COUNTER,   "workflow_continue_as_new")   \
    X(METRIC_WORKFLOW_E2E_LATENCY,            HISTOGRAM, "workflow_endtoend_latency")  \
    X(METRIC_WORKFLOW_TASK_QUEUE_POLL_EMPTY,  COUNTER,   "workflow_task_queue_poll_empty")   \
    X(METRIC_WORKFLOW_TASK_QUEUE_POLL_SUCCEED, COUNTER,  "workflow_task_queue_poll_succeed") \
    X(METRIC_WORKFLOW_TASK_EXECUTION_FAILED,  COUNTER,   "workflow_task_execution_failed")   \
    X(METRIC_WORKFLOW_TASK_SCHEDULE_TO_START, HISTOGRAM, "workflow_task_schedule_to_start_latency") \
    X(METRIC_WORKFLOW_TASK_EXECUTION_LATENCY, HISTOGRAM, "workflow_task_execution_latency")  \
    X(METRIC_ACTIVITY_POLL_NO_TASK,           COUNTER,   "activity_poll_no_task")      \
    X(METRIC_ACTIVITY_TASK_RECEIVED,          COUNTER,   "activity_task_received")     \
    X(METRIC_ACTIVITY_EXECUTION_FAILED,       COUNTER,   "activity_execution_failed")  \
    X(METRIC_ACTIVITY_SCHEDULE_TO_START,      HISTOGRAM, "activity_schedule_to_start_latency") \
    X(METRIC_ACTIVITY_EXECUTION_LATENCY,      HISTOGRAM, "activity_execution_latency") \
    X(METRIC_ACTIVITY_SUCCEED_LATENCY,        HISTOGRAM, "activity_succeed_endtoend_latency") \
    X(METRIC_LOCAL_ACTIVITY_TOTAL,            COUNTER,   "local_activity_total")       \
    X(METRIC_LOCAL_ACTIVITY_EXECUTION_CANCELLED, COUNTER, "local_activity_execution_cancelled") \
    X(METRIC_LOCAL_ACTIVITY_EXECUTION_FAILED, COUNTER,   "local_activity_execution_failed")     \
    X(METRIC_LOCAL_ACTIVITY_EXECUTION_LATENCY, HISTOGRAM, "local_activity_execution_latency")   \
    X(METRIC_LOCAL_ACTIVITY_SUCCEED_LATENCY,  HISTOGRAM, "local_activity_succeed_endtoend_latency") \
    X(METRIC_STICKY_CACHE_HIT,                COUNTER,   "sticky_cache_hit")           \
    X(METRIC_STICKY_CACHE_MISS,               COUNTER,   "sticky_cache_miss")          \
    X(METRIC_STICKY_CACHE_EVICTION,           COUNTER,   "sticky_cache_total_forced_eviction") \
    X(METRIC_STICKY_CACHE_SIZE,               GAUGE,     "sticky_cache_size")          \
    X(METRIC_WORKER_START,                    COUNTER,   "worker_start")               \
    X(METRIC_POLLER_COUNT,                    GAUGE,     "num_pollers")                \
    X(METRIC_SLOTS_AVAILABLE,                 GAUGE,     "worker_task_slots_available") \
    X(METRIC_SLOTS_USED,                      GAUGE,     "worker_task_slots_used")
#define X(id, kind, name) id,
enum core_metric { CORE_METRICS(X) METRIC_COUNT };
#undef X
enum core_metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
const char *core_metric_name(enum core_metric metric); /* without the prefix "temporal_" */
enum core_metric_kind core_metric_kind(enum core_metric metric);

struct core_config {
    const pb_core_WorkerOptions *options; /* borrowed: copied */
    uint64_t seed;                        /* for the names of the sticky queue and of this worker */
    /* Counts 1, sets a gauge, or notes milliseconds. label: workflow type, activity type, poller or slot kind; may be
     * empty. workflow_type: of an activity; else empty. Called during inputs. NULL: nobody counts. */
    void (*metric)(void *arg, enum core_metric metric, double value, struct str label, struct str workflow_type);
    void *metric_arg;
};
/* ERR_INVALID: options that make no sense; error says which. */
MUST_USE err core_worker_create(const struct core_config *config, instant now, struct core_worker **out, struct error *error,
                                struct arena *arena);
void core_worker_destroy(struct core_worker *w); /* at any time */

/* The next effect, in order; NULL: none. core_effect_free when carried out (bytes may be taken out before). */
struct core_effect *core_worker_take(struct core_worker *w);
void core_effect_free(struct core_effect *effect);

/* ---- inputs --------------------------------------------------------------------------------------------------------- */

void core_worker_start(struct core_worker *w, instant now); /* begins to poll; not for a replayer */
/* How a call ended. code 0: `response` holds the answer; else `response` is the error's message. */
void core_worker_called(struct core_worker *w, uint64_t call_id, int code, struct str response, instant now);
/* A thread of the SDK has begun with an activation; which one does not matter. */
void core_worker_taken(struct core_worker *w, instant now);
/* A Completion. Takes the bytes (malloc'd, may be NULL when empty). ERR_INVALID: it can not be decoded, or is for no run
 * that waits for one; error says so. Commands that make no sense fail the workflow task instead. */
MUST_USE err core_worker_complete(struct core_worker *w, struct buf *completion, instant now);
/* An ActivityResult; ERR_INVALID as above. A result for an activity that is gone is ignored. */
MUST_USE err core_worker_activity_done(struct core_worker *w, struct str result, instant now);
/* An ActivityHeartbeat; for an activity that is gone it is ignored. */
MUST_USE err core_worker_heartbeat(struct core_worker *w, struct str heartbeat, instant now);
/* A slot for the workflow task that may come with the answer to a start; 0: none to be had now. core_worker_accept follows.
 * Also before core_worker_start. */
MUST_USE uint64_t core_worker_reserve(struct core_worker *w, instant now);
/* task: an encoded PollWorkflowTaskQueueResponse, borrowed; empty, or not one: none has come, and the slot is free again. */
void core_worker_accept(struct core_worker *w, uint64_t permit, struct str task, instant now);
/* The activity with this token (empty: each one) is alive but kept from beating, by what it is not to blame for. If it has a
 * heartbeat timeout and half of it has passed without a heartbeat, its latest details are sent once more. */
void core_worker_keep_alive(struct core_worker *w, struct str token, instant now);
bool core_worker_has_heartbeats(const struct core_worker *w); /* is there an activity with a heartbeat timeout? */
void core_worker_slot_granted(struct core_worker *w, uint64_t permit, instant now); /* one that was asked for */
/* The load of the machine, 0 … 1 each; for resource-based suppliers, about ten times a second. */
void core_worker_sample(struct core_worker *w, double memory_usage, double cpu_usage, instant now);
bool core_worker_has_held(const struct core_worker *w); /* answers that wait for company: there is more to do than is urgent */
bool core_worker_wants_samples(const struct core_worker *w);
void core_worker_tick(struct core_worker *w, instant now);
instant core_worker_due(const struct core_worker *w); /* INSTANT_NEVER: nothing is due */
/* Stops polling, lets workflow tasks and activities end, cancels activities after the graceful period. Twice is fine. */
void core_worker_shutdown(struct core_worker *w, instant now);
bool core_worker_is_done(const struct core_worker *w);

/* For a replayer: one more history (an encoded History). The remove_from_cache that ends its activations tells how it went:
 * REQUESTED when it replayed to its end. From then on, even before it is answered, the same run may be pushed once more.
 * ERR_INVALID: not a history, or one without a start, or a second one of the same run at the same time. run_id: receives the
 * run's id, in the arena. */
MUST_USE err core_worker_push_history(struct core_worker *w, struct str workflow_id, struct str history, struct arena *arena,
                                      struct str *run_id, instant now);

#endif
