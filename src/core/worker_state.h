/* core/worker_state.h: what a worker is made of. For worker*.c, slots.c, pollers.c, activity.c and local_activity.c only.
 *
 * (1) A permit of a slot is held by a poll, then by the task it brought, until that task was answered.
 * (2) An entry of the cache is removed only when the SDK has heard of it, and not while one of its calls is out.
 * (3) Everything bounded: permits bound polls and tasks, the cache bounds runs that have nothing to do. */
#ifndef CORE_WORKER_STATE_H
#define CORE_WORKER_STATE_H

#include "core/run.h"
#include "core/worker.h"

#include "base/heap.h"
#include "base/log.h"
#include "base/map.h"
#include "base/prng.h"

struct timer {
    struct heap_node node;
    void (*fire)(struct core_worker *w, struct timer *timer, instant now);
};

/* ---- slots ---------------------------------------------------------------------------------------------------------- */

enum { EAGER_MAX = 16 };
struct slots {
    enum core_slot_kind kind;
    int32_t supplier_case; /* a tag of pb_core_SlotSupplier */
    uint32_t maximum, minimum, used; /* used: permits given out, to polls too */
    uint32_t busy;                   /* those that serve a task */
    duration ramp;
    instant next_at;       /* resource-based: not before */
    double memory_target, cpu_target;
    uint32_t custom_id;
    uint64_t asked;        /* custom: the permit that was asked for; 0 = none */
    uint64_t refused;      /* custom: asked for, and then not wanted */
    uint64_t granted;      /* custom: waits for a use; 0 = none */
};
void slots_init(struct slots *slots, enum core_slot_kind kind, const pb_core_SlotSupplier *supplier);
/* A permit, never 0; 0: none now. For custom suppliers this asks for one, and the worker goes on when it is granted. */
uint64_t slots_take(struct core_worker *w, struct slots *slots, bool is_sticky, instant now);
bool slots_has_spare(const struct slots *slots, uint32_t count); /* that many could be taken, as far as numbers go */
bool slots_has_plenty(const struct slots *slots);                 /* of its own, and no fewer free than busy */
bool slots_can_try(const struct slots *slots);                    /* a permit can be had at once, without asking */
void slots_use(struct core_worker *w, struct slots *slots, uint64_t permit, struct str type);
void slots_give(struct core_worker *w, struct slots *slots, uint64_t permit);        /* after slots_use */
void slots_give_unused(struct core_worker *w, struct slots *slots, uint64_t permit);
void slots_close(struct core_worker *w, struct slots *slots);     /* custom: gives back what is not in use */

/* ---- pollers -------------------------------------------------------------------------------------------------------- */

enum poller_kind { POLLER_NORMAL, POLLER_STICKY, POLLER_ACTIVITY, POLLER_KIND_COUNT };
struct poller {
    enum poller_kind kind;
    uint32_t target, minimum, maximum, active;
    bool is_autoscaling;
    duration backoff;  /* 0: the last poll went well */
    instant retry_at;
    struct str request; /* encoded: the same in all polls; in the worker's arena, empty before the first */
};
void pollers_init(struct core_worker *w);
void pollers_fill(struct core_worker *w, instant now); /* sends the polls that are wanted and have a slot */
bool pollers_may_fetch(const struct core_worker *w); /* workflow tasks: few enough activations wait */
/* Adjusts to how a poll went. */
void poller_learn(struct core_worker *w, struct poller *p, int code, bool has_task, const pb_taskqueue_PollerScalingDecision *decision,
                  instant now);
bool code_is_transient(int code);

/* ---- runs ----------------------------------------------------------------------------------------------------------- */

struct entry {
    struct list lru;          /* in worker->lru, the one used last at the end */
    struct run *run;
    bool is_known;            /* the SDK has had an activation of it, and has not let go of it */
    bool is_fetching;         /* a page of history is on its way */
    bool is_answering;        /* the answer to its task is on its way */
    bool is_evicting, is_removal_out;
    bool is_driving, is_due_again;
    struct list after;        /* tasks for the run that is built in its place */
    struct timer heartbeat;
    struct list held;         /* in worker->held while the answer to its task waits */
    instant held_at;          /* since when it does, or did; not set: it has not */
    instant quiet_at;         /* when it last had an answer without commands; not set: never */
    instant activated_at;
    uint64_t eager[EAGER_MAX]; /* permits for activities that may start in the answer */
    int eager_count;
};
void runs_take_task(struct core_worker *w, struct run_task *task, instant now); /* with its permit */
void runs_drive(struct core_worker *w, struct entry *entry, instant now);
void runs_evict(struct core_worker *w, struct entry *entry, int32_t reason, struct str message, instant now);
void runs_trim(struct core_worker *w, instant now);      /* to the size of the cache */
void runs_evict_idle(struct core_worker *w, instant now); /* all that have nothing to do */
void runs_fetched(struct core_worker *w, struct str run_id, int code, struct str response, instant now);
void runs_answered(struct core_worker *w, enum core_rpc rpc, struct str run_id, int code, struct str response, instant now);
struct entry *runs_find(struct core_worker *w, struct str run_id);

/* hold.c. The run's task is done: true when its answer waits, and the run is driven again later. */
bool hold_answer(struct core_worker *w, struct entry *entry, instant now);
void hold_release(struct core_worker *w, instant now); /* all that wait */

/* ---- activities ----------------------------------------------------------------------------------------------------- */

struct activity;
void activity_accept(struct core_worker *w, const pb_ws_PollActivityTaskQueueResponse *poll, uint64_t permit, instant now);
void activity_cancel_all(struct core_worker *w, instant now); /* the worker shuts down */
void activity_heartbeat_answered(struct core_worker *w, struct str token, int code, struct str response, instant now);
void activities_fini(struct core_worker *w);

void local_start(struct core_worker *w, struct entry *entry, const struct run_local *local, instant now);
void local_stop(struct core_worker *w, struct entry *entry, uint32_t seq, instant now);
void local_drop_run(struct core_worker *w, struct str run_id); /* the run is gone: nobody wants their results */
void local_cancel_all(struct core_worker *w, instant now);
void local_dispatch(struct core_worker *w, instant now);
/* ERR_NOT_FOUND: no local activity has this token. */
MUST_USE err local_done(struct core_worker *w, const pb_core_ActivityResult *result, instant now);
void locals_fini(struct core_worker *w);

/* ---- the worker ----------------------------------------------------------------------------------------------------- */

/* A call that is out. */
struct call {
    uint64_t id;
    enum core_rpc rpc;
    struct poller *poller; /* polls */
    uint64_t permit;
    struct str key;        /* run id or task token; behind the struct */
};

struct core_worker {
    struct arena arena;                /* as long as the worker */
    const pb_core_WorkerOptions *options;
    void (*metric)(void *arg, enum core_metric metric, double value, struct str label, struct str workflow_type);
    void *metric_arg;
    struct prng prng;
    struct list effects;
    struct heap timers;
    struct map_u64 calls;
    uint64_t next_call_id, next_permit;
    struct slots slots[SLOT_KIND_COUNT];
    struct poller pollers[POLLER_KIND_COUNT];
    struct str sticky_queue, instance_key;
    bool is_sticky_on;                 /* runs are cached and come back here */
    bool is_started, is_shutting_down, is_fatal, is_done, is_shutdown_told;
    instant cancel_activities_at;
    double memory_usage, cpu_usage;
    bool has_sample;
    int64_t payloads_size_max, memo_size_max; /* what the server takes; 0: not known, or not to be checked */
    struct timer fill_timer, grace_timer, hold_timer;
    instant activity_allowed_at;       /* max_activities_per_second */

    struct run_task_pool task_pool;
    struct map runs;                   /* run id -> struct entry */
    struct list lru;
    struct list held;                  /* struct entry whose answers wait */
    size_t evicting_count;             /* runs that are leaving */
    size_t untaken_count;              /* activations that no thread of the SDK has begun with */
    struct map activities;             /* task token -> struct activity */
    size_t beating_count;              /* those with a heartbeat timeout */
    struct map locals;                 /* task token -> struct local_activity, those the SDK runs */
    struct list local_all, local_queue;
};

struct core_effect *worker_effect(struct core_worker *w, enum core_effect_kind kind, struct str id, struct str text);
/* Adds EFFECT_CALL for an encoded request. The buffer is taken. key: copied. */
struct call *worker_call(struct core_worker *w, enum core_rpc rpc, struct buf *request, struct str key, struct str text);
#define WORKER_CALL(w, rpc, name, request, key)                      \
    ({                                                               \
        struct buf call_bytes_ = {0};                                \
        PB_ENCODE(name, (request), &call_bytes_);                    \
        worker_call((w), (rpc), &call_bytes_, (key), STR_EMPTY);     \
    })
void worker_count(struct core_worker *w, enum core_metric metric, double value, struct str label);
void worker_count_activity(struct core_worker *w, enum core_metric metric, double value, struct str activity_type, struct str workflow_type);
void worker_timer(struct core_worker *w, struct timer *timer, instant due); /* sets or moves it */
void worker_timer_off(struct core_worker *w, struct timer *timer);
void worker_check_done(struct core_worker *w, instant now);
void worker_fatal(struct core_worker *w, int code, struct str message, instant now);
pb_deployment_WorkerDeploymentOptions *worker_deployment(const struct core_worker *w, struct arena *arena);
pb_common_WorkerVersionStamp *worker_stamp(const struct core_worker *w, struct arena *arena);
double ms_between(instant later, instant earlier);

#endif
