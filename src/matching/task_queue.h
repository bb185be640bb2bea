/* matching/task_queue.h: one partition of one task queue.
 *
 * Tasks and pollers arrive in any order; the side that comes first waits. A pair that meets leaves together: such a
 * task is never written. A task that waits too long, or finds the memory of the partition full, moves to the backlog
 * (EFFECT_PERSIST); what only the backlog holds is read back page by page as pollers take it (EFFECT_LOAD).
 *
 *            offer                     poller                    finish
 *   (new) ──────────► WAITING ────────────────────► DELIVERED ──────────► (gone; a stored row is deleted)
 *                      │   ▲ ▲                          │
 *            persist   │   │ └──────── give_back ───────┘
 *                      ▼   │ load
 *                     backlog
 *
 * (1) A task is in one place: waiting here, delivered, or in the backlog alone.
 * (2) A poller that has been answered (DELIVER, EMPTY) waits no longer.
 * (3) Order numbers only grow; everything stored up to `loaded_to` of its level is in memory or gone.
 *
 * Served first: transient tasks (queries), then priority 1 … 5; inside a priority fairness keys take turns by weight,
 * inside a key the oldest. Pollers are served in the order in which they began to wait.
 *
 * Thread: the partition's owner.   Blocks: never.   Clock: given, as `now`.
 * Source: features sheet F088–F094; the numbers below are what users of the API can see. */
#ifndef MATCHING_TASK_QUEUE_H
#define MATCHING_TASK_QUEUE_H

#include "base/err.h"
#include "base/heap.h"
#include "base/instant.h"
#include "base/list.h"

enum queue_kind { QUEUE_WORKFLOW, QUEUE_ACTIVITY, QUEUE_NEXUS, QUEUE_KIND_COUNT };

enum { PRIORITY_MIN = 1, PRIORITY_DEFAULT = 3, PRIORITY_MAX = 5, PRIORITY_COUNT = PRIORITY_MAX + 1 };

/* Who is meant; the rest is read from the execution when a worker takes the task. */
struct queue_task {
    int64_t namespace_key, run;
    struct str workflow_id, run_id;
    int64_t scheduled_event_id;
    int32_t attempt;
    int64_t stamp;
    instant scheduled_at;
    instant expires_at;       /* INSTANT_NEVER; dropped when nobody took it by then (EFFECT_EXPIRED for transient ones) */
    int32_t priority;         /* 1 … 5; anything else counts as the default */
    struct str fairness_key;
    float fairness_weight;    /* 0 = 1 */
    struct str normal_queue;  /* sticky queues: where the task goes when nobody polls here */
    void *transient;          /* a query or a nexus request: in memory only; whose it is. NULL: a task of a run */
};

/* A task inside a partition. Owned by the partition; borrowed by effects and by who has it DELIVERED. */
struct queued_task {
    struct queue_task task;   /* strings live behind this struct */
    int64_t order;            /* key of the backlog; 0 for transient ones */
    instant offered_at;
    bool is_stored;           /* a row in the backlog exists */
    bool is_persisting;       /* EFFECT_PERSIST given, not answered yet */
    bool is_delivered;
    bool is_gone;             /* finished while persisting: deleted when that is answered */
    bool is_from_backlog;     /* read back from the store */
    struct list link;         /* its fairness group, the transient list, or the delivered list */
    struct list unsaved_link; /* tasks with no row yet, in the order of persist_at */
    instant persist_at;
    struct heap_node expiry;
    struct fairness_group *group;
};

/* One poll that waits. Embedded by the caller, who sets the first part and keeps it until it is answered or cancelled. */
struct task_poller {
    struct str identity, build_id, deployment; /* borrowed while it waits */
    uint64_t connection_id;
    instant deadline;         /* answered EMPTY by then */
    double rate_max;          /* tasks a second the worker set asks for; < 0 = says nothing */
    /* the partition's */
    struct list link;
    struct heap_node expiry;
    instant since;
};

enum queue_effect_kind {
    EFFECT_DELIVER,       /* task and poller leave together; answer with finish or give_back */
    EFFECT_EMPTY,         /* poller: nothing came in time */
    EFFECT_PERSIST,       /* write this task's row; answer with persisted or persist_failed */
    EFFECT_DELETE,        /* task's row (level, order) is not needed any more; may be done late */
    EFFECT_LOAD,          /* read rows of `level` after `order`, at most `limit`; answer with loaded or load_failed */
    EFFECT_EXPIRED,       /* transient: nobody took it in time; the task is gone after this effect */
    EFFECT_MOVE,          /* sticky queue without its worker: offer task to its normal queue; gone after this effect */
};
struct task_queue_effect {
    enum queue_effect_kind kind;
    struct queued_task *task;   /* EXPIRED, MOVE, DELETE: valid until the effects are cleared */
    struct task_poller *poller;
    int level;                  /* priority whose backlog is meant */
    int64_t order;
    size_t limit;
    int scaling;                /* DELIVER, EMPTY: +1 more pollers would help, -1 fewer would do, 0 no opinion */
};
/* What to do, in order. Owned by the caller; reused between calls. */
struct task_queue_effects {
    struct task_queue_effect *items;
    size_t count, capacity;
    struct list dropped; /* tasks to free with the next clear */
};
void task_queue_effects_init(struct task_queue_effects *effects);
void task_queue_effects_clear(struct task_queue_effects *effects);
void task_queue_effects_fini(struct task_queue_effects *effects);

struct task_queue_options {
    bool is_sticky;
    size_t tasks_max;          /* in memory; 0 = 2,000 */
    size_t transient_max;      /* queries; 0 = 1,000 */
    size_t pollers_max;        /* waiting at once; 0 = 100,000 */
    duration persist_after;    /* 0 = 1 s */
    duration sticky_patience;  /* a sticky queue nobody polled for so long has no worker; 0 = 10 s */
    duration idle_after;       /* 0 = 5 min */
    bool is_backlog_known_empty; /* nothing to load (a sticky queue, a test) */
};

struct task_queue;
struct task_queue *task_queue_create(const struct task_queue_options *options, instant now);
/* Pollers must have been cancelled; tasks are dropped (whoever relies on them offers them again). */
void task_queue_destroy(struct task_queue *queue);

/* A task comes. `order` is larger than that of any task before (ignored for transient ones). Copied.
 * The same (run, scheduled event, stamp) waiting here already: no effect.
 * ERR_QUEUE_FULL: too many transient tasks wait. After an error the queue is as before. */
MUST_USE err task_queue_offer(struct task_queue *queue, const struct queue_task *task, int64_t order, instant now,
                              struct task_queue_effects *effects);
/* ERR_QUEUE_FULL: too many polls wait. */
MUST_USE err task_queue_poll(struct task_queue *queue, struct task_poller *poller, instant now, struct task_queue_effects *effects);
/* Back to the front after its task turned out to be gone; keeps its place and deadline. */
void task_queue_poll_again(struct task_queue *queue, struct task_poller *poller, instant now, struct task_queue_effects *effects);
/* The poll ends without an answer (caller gone). No effect on one that does not wait. */
void task_queue_cancel_poll(struct task_queue *queue, struct task_poller *poller);
/* A transient task is no longer wanted. False when it was delivered or is gone. */
bool task_queue_cancel_transient(struct task_queue *queue, const void *transient);

/* A delivered task is done with (started, or it was stale). */
void task_queue_finish(struct task_queue *queue, struct queued_task *task, struct task_queue_effects *effects);
/* A delivered task could not be started; it waits again at its old place. */
void task_queue_give_back(struct task_queue *queue, struct queued_task *task, instant now, struct task_queue_effects *effects);

void task_queue_persisted(struct task_queue *queue, struct queued_task *task, instant now, struct task_queue_effects *effects);
/* The row could not be written; tried again later. is_gone: the run does not want the task any more. */
void task_queue_persist_failed(struct task_queue *queue, struct queued_task *task, bool is_gone, instant now,
                               struct task_queue_effects *effects);
/* A page of the backlog, in rising order, after the `order` of EFFECT_LOAD, up to and with `last`. has_more: there are rows behind it. */
struct loaded_task { struct queue_task task; int64_t order; };
void task_queue_loaded(struct task_queue *queue, int level, const struct loaded_task *tasks, size_t count, int64_t last, bool has_more,
                       instant now, struct task_queue_effects *effects);
void task_queue_load_failed(struct task_queue *queue, int level, instant now);

/* Whether the stats know what only the backlog holds. Not before a first poll, or a count: of rows of `level` after `order`, of which the
 * first was offered at `oldest`. */
bool task_queue_backlog_is_known(const struct task_queue *queue, int level, int64_t *order);
void task_queue_counted(struct task_queue *queue, int level, int64_t order, size_t count, instant oldest);

/* Deadlines, expiry, moves to the backlog, rate limits. */
void task_queue_tick(struct task_queue *queue, instant now, struct task_queue_effects *effects);
/* When to tick next; INSTANT_NEVER: nothing is due by itself. */
instant task_queue_next_due(const struct task_queue *queue);

/* Sticky queues: the worker is gone. Its tasks leave at once (EFFECT_MOVE; transient ones as well). */
void task_queue_worker_gone(struct task_queue *queue, instant now, struct task_queue_effects *effects);
/* True when a task offered to this sticky queue has a worker to wait for. */
bool task_queue_has_worker(const struct task_queue *queue, instant now);
bool task_queue_was_polled(const struct task_queue *queue, instant now, duration within);
int64_t task_queue_backlog_count(const struct task_queue *queue); /* as in the stats, cheap */
/* True when nobody polls, nothing waits and nothing happened for the idle time: may be destroyed. */
bool task_queue_is_idle(const struct task_queue *queue, instant now);

/* Tasks a second over all pollers, set by API; it wins over what workers ask for. < 0: not set. */
void task_queue_set_rate(struct task_queue *queue, double rate_max, instant now);
/* Same for every single fairness key, times its weight. < 0: not set. */
void task_queue_set_key_rate(struct task_queue *queue, double rate_max, instant now);
/* Weights of fairness keys, set by API; 0 takes one away. ERR_LIMIT: more than 1,000 keys. */
MUST_USE err task_queue_set_weight(struct task_queue *queue, struct str fairness_key, float weight);

/* Its namespace is deleted: nobody wants what waits, what comes, and what the backlog holds (queries expire as ever). */
void task_queue_purge(struct task_queue *queue, instant now, struct task_queue_effects *effects);

/* ---- describe ---- */

struct poller_info {
    struct str identity, build_id, deployment;
    instant last_access;
    double rate_max;
    bool is_waiting;
};
struct task_queue_stats {
    size_t waiting_poller_count;
    int64_t backlog_count;     /* about: in memory and, as far as known, on disk */
    duration backlog_age;      /* of the oldest task that waits */
    double add_rate, dispatch_rate; /* tasks a second, over the last 30 s */
    double rate_max;           /* effective; < 0 = none */
    int64_t backlog_count_by_priority[PRIORITY_COUNT];
    duration backlog_age_by_priority[PRIORITY_COUNT];
    double add_rate_by_priority[PRIORITY_COUNT], dispatch_rate_by_priority[PRIORITY_COUNT];
    int64_t read_level;        /* orders up to here have been read back from the backlog */
    int64_t ack_level;         /* every stored task up to here is done with */
};
void task_queue_stats(const struct task_queue *queue, instant now, struct task_queue_stats *stats);
/* Pollers of the last 5 minutes, last access first; at most 1,000 are remembered. In `arena`. */
size_t task_queue_pollers(const struct task_queue *queue, instant now, struct arena *arena, struct poller_info **pollers);

#endif
