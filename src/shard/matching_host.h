/* shard/matching_host.h: all task-queue partitions of one thread, their backlog in the store, and who polls them.
 *
 * The frontend polls here; shards offer here (matching_offer is a shard_env's offer_task). A task is delivered to the
 * poll's on_task; the frontend then starts it on its run by a shard call and tells the outcome:
 *     started           matching_accept      the task is done with, the poll is over
 *     ERR_TASK_GONE     matching_poll_again  the task is dropped, the poll waits again, at the front
 *     any other error   matching_give_back   the task waits again, the poll is over
 *
 * Thread: the owner's; the same as that of the shards it writes through.   Blocks: never. */
#ifndef SHARD_MATCHING_HOST_H
#define SHARD_MATCHING_HOST_H

#include "matching/task_queue.h"
#include "shard/shard.h"

struct matching_host;
struct host_queue;

struct matching_env {
    void *arg;
    instant (*now)(void *arg);
    struct shard *(*shard_of)(void *arg, int64_t namespace_key, struct str workflow_id); /* owner of a run, here */
    struct store *store;
    struct mailbox *mailbox;
    void (*rearm)(void *arg);  /* matching_next_due may have become earlier; may be NULL */
};

struct matching_options {
    size_t queues_max;         /* partitions in memory; 0 = 1,000,000 */
    size_t tasks_max;          /* tasks in memory of one partition; 0 = that of task_queue_options */
    duration persist_after;    /* likewise */
    size_t persists_max;       /* rows being written at once; 0 = 256 */
};

struct matching_host *matching_create(const struct matching_env *env, const struct matching_options *options);
void matching_destroy(struct matching_host *host); /* all polls answered or cancelled; drops tasks */

/* ---- from shards ---- */
void matching_offer(struct matching_host *host, const struct task_effect *task);

/* ---- polls ---- */
struct matching_poll {
    /* set by the caller; strings borrowed until the poll is over */
    int64_t namespace_key;
    struct str queue;
    enum queue_kind kind;
    bool is_sticky;
    struct str normal_queue;           /* sticky polls */
    struct task_poller poller;         /* identity, build_id, deployment, connection_id, deadline, rate_max */
    /* Exactly one task at a time. For a query `task->transient` is the struct matching_query. */
    void (*on_task)(struct matching_poll *poll, const struct queue_task *task, bool is_query);
    void (*on_empty)(struct matching_poll *poll);  /* the deadline passed, or the worker is shutting down: answer empty */
    /* for on_task */
    int scaling;                       /* hint for the reply: +1, 0, -1 */
    int64_t backlog_count_hint;
    bool is_from_sticky;               /* the task was taken from a sticky queue: partial history will do */
    /* the host's */
    struct host_queue *host_queue;
    struct queued_task *task;
    struct list queue_link, connection_link, ready_link;
    enum { POLL_OVER, POLL_WAITING, POLL_READY, POLL_HAS_TASK } state;
};
/* on_task or on_empty may be called before this returns. ERR_QUEUE_FULL, ERR_LIMIT: no callback will come. */
MUST_USE err matching_poll(struct matching_host *host, struct matching_poll *poll);
/* The caller went away: no callback comes any more. False: on_task has been called; its outcome must still be told. */
bool matching_cancel(struct matching_host *host, struct matching_poll *poll);
void matching_accept(struct matching_host *host, struct matching_poll *poll);
void matching_poll_again(struct matching_host *host, struct matching_poll *poll);
void matching_give_back(struct matching_host *host, struct matching_poll *poll);
/* Its waiting polls are over without any callback, its sticky queues are dropped, their tasks go to others at once. */
void matching_connection_closed(struct matching_host *host, uint64_t connection_id);
/* ShutdownWorker: the sticky queue is dropped and its waiting polls are answered empty. */
void matching_drop_sticky(struct matching_host *host, int64_t namespace_key, struct str sticky_queue);
/* Waiting polls of this worker on a queue are answered empty (ShutdownWorker); identity empty: all of them. */
void matching_end_polls(struct matching_host *host, int64_t namespace_key, struct str queue, enum queue_kind kind, struct str identity);

/* ---- queries (and other requests that live in memory only) ---- */
struct matching_query {
    /* set by the caller; strings borrowed until delivered, expired or cancelled */
    int64_t namespace_key;
    run_key run;
    struct str workflow_id, run_id;
    struct str queue, normal_queue;    /* normal_queue: when `queue` is sticky */
    bool is_sticky;
    enum queue_kind kind;
    instant deadline;
    int32_t priority;
    void (*on_expired)(struct matching_query *query); /* no worker took it by the deadline */
    /* the host's */
    struct host_queue *host_queue;     /* where it waits */
    struct list ready_link;
};
/* Delivered through a poll's on_task with is_query set; the poll is then ended with matching_accept (or given back). */
MUST_USE err matching_query(struct matching_host *host, struct matching_query *query);
bool matching_cancel_query(struct matching_host *host, struct matching_query *query); /* false: delivered already */

/* ---- settings and description ---- */
/* Tasks a second; < 0 takes the setting away. Kept in memory: the frontend stores settings and sets them again. */
void matching_set_rate(struct matching_host *host, int64_t namespace_key, struct str queue, enum queue_kind kind, double rate_max);
void matching_set_key_rate(struct matching_host *host, int64_t namespace_key, struct str queue, enum queue_kind kind, double rate_max);
MUST_USE err matching_set_weight(struct matching_host *host, int64_t namespace_key, struct str queue, enum queue_kind kind,
                                 struct str fairness_key, float weight);
/* Finds out what the backlog of a queue holds that nobody has polled since the start; matching_describe then tells it. `done` may be called at
 * once; not at all when the host ends before. */
struct matching_count {
    int64_t namespace_key;             /* set by the caller */
    struct str queue;
    enum queue_kind kind;
    void (*done)(struct matching_count *count);
    size_t pending;                    /* the host's */
};
void matching_count(struct matching_host *host, struct matching_count *count);
/* False: nobody has polled or offered lately; outputs are then zero. pollers may be NULL. */
bool matching_describe(struct matching_host *host, int64_t namespace_key, struct str queue, enum queue_kind kind, struct arena *arena,
                       struct task_queue_stats *stats, struct poller_info **pollers, size_t *poller_count);
/* Its namespace is deleted: tasks of workflows and activities on this queue go, stored ones too. queue empty: of all queues in memory. */
void matching_purge(struct matching_host *host, int64_t namespace_key, struct str queue);
/* True when a poller waits, or polled within the last minutes: a query may be sent there. */
bool matching_has_pollers(struct matching_host *host, int64_t namespace_key, struct str queue, enum queue_kind kind, bool is_sticky);

/* ---- time ---- */
void matching_tick(struct matching_host *host);
instant matching_next_due(const struct matching_host *host);
bool matching_is_quiet(const struct matching_host *host); /* no read or write under way */

struct matching_stats {
    size_t queues, waiting_polls, tasks;
    uint64_t offered, delivered, sync_matched, persisted, loaded;
};
void matching_get_stats(const struct matching_host *host, struct matching_stats *stats);

#endif
