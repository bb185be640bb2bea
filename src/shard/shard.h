/* shard/shard.h: load, step, commit, carry out. A shard owns every entity whose (namespace, workflow id) hashes to it.
 *
 * A call names a run; the shard loads it, runs the call's step on it and writes what changed in one commit. State in
 * memory advances at once, so the next step never waits for the disk; replies, tasks, messages and notices of a step
 * are released when its commit, and every earlier one it built on, is durable.
 *
 * (1) Calls of one workflow id run in the order of submission; runs of one workflow id live in one shard.
 * (2) `done` with ERR_NONE means durable, unless the step was relaxed: then nothing it built on can be lost any more.
 * (3) After a failed commit every run that it or a later commit holds leaves memory; the calls behind them fail with the
 *     store's error (UNAVAILABLE); the run is read again, as stored, and its tasks are offered again.
 * (4) Memory is bounded: cached runs by a budget (least recently used leave first), waiting calls, reads, messages and
 *     sleeping runs by number. What sleeps is on disk only, but for the next minute's.
 *
 * Thread: the shard's owner.   Blocks: never, apart from shard_open.   Clock, randomness, store: given by the owner,
 * so the server and the simulator run the same code. */
#ifndef SHARD_SHARD_H
#define SHARD_SHARD_H

#include "base/heap.h"
#include "history/execution.h"
#include "store/store.h"

struct shard;
struct shard_delivery;

/* The owner's world. Borrowed; outlives the shard. */
struct shard_env {
    void *arg;
    struct store *store;
    struct mailbox *mailbox;               /* where the store's answers go; the owner opens it */
    instant (*now)(void *arg);
    const struct namespace_info *(*namespace_of)(void *arg, int64_t namespace_key); /* NULL: there is none */
    const struct limits *(*limits_of)(void *arg, int64_t namespace_key);
    void (*offer_task)(void *arg, const struct task_effect *task);                  /* to matching; copies what it keeps */
    void (*offer_callback)(void *arg, const struct callback_effect *callback);      /* to its driver; copies what it keeps; may be NULL */
    void (*deliver)(void *arg, struct shard_delivery *delivery);                    /* to the shard that owns the receiver: shard_receive there */
    void (*rearm)(void *arg);              /* shard_next_due may have become earlier; may be NULL */
    void (*lost)(void *arg, struct shard *shard); /* another node holds the lease; every call fails from now on; may be NULL */
    uint64_t seed;                         /* of ids and jitter */
    /* Hooks of struct step that may be NULL: the namespace of a name, whether search attributes are registered, time zones. */
    const struct namespace_info *(*find_namespace)(void *arg, struct str name);
    bool (*check_search_attributes)(void *arg, const struct namespace_info *ns, const pb_common_SearchAttributes *attributes, struct arena *arena,
                                    struct str *why);
    const struct tz *(*find_zone)(void *arg, struct str name);
};

struct shard_options {
    uint32_t number;
    struct str owner;            /* name of this process, for the lease */
    size_t cache_bytes_max;      /* 0 = 64 MiB */
    size_t calls_max;            /* waiting for a load or a commit; 0 = 100,000 */
    size_t loads_max;            /* reads in flight; 0 = 256 */
    size_t messages_max;         /* undelivered messages kept in memory; 0 = 4,096 */
    size_t sleepers_max;         /* stored wake rows read ahead; 0 = 10,000 */
    duration wake_window;        /* how far ahead they are read; 0 = 60 s */
};

/* ---- calls ---- */

enum shard_need {
    SHARD_NEEDS_RUN,     /* the run named by workflow id and run id (empty: the newest); ERR_WORKFLOW_NOT_FOUND without */
    SHARD_MAY_LACK_RUN,  /* the same; the step is called with NULL when there is none */
    SHARD_NEEDS_RUN_KEY, /* the run numbered `run` */
};

/* Embedded by the caller. Everything in it is the caller's and stays until `done` was called (exactly once, never
 * inside shard_submit). */
struct shard_call {
    /* set by the caller; zero what is not used */
    int64_t namespace_key;
    struct str workflow_id, run_id;
    run_key run;                      /* SHARD_NEEDS_RUN_KEY */
    enum shard_need need;
    bool wants_current;               /* also load the newest run of the workflow id, into `current` (may be NULL) */
    bool is_delete;                   /* after the step (may be NULL) the run is deleted with everything it has */
    /* Runs once, when the run is loaded. After an error nothing is written, unless *is_commit is set: then the step's
     * changes are committed and the error is given to `done` when that is durable. NULL: nothing to do. */
    err (*step)(struct shard_call *call, struct execution *run, struct step *step, bool *is_commit);
    void (*done)(struct shard_call *call, err result);
    const struct store_op *ops;       /* more rows for the same commit (they make it durable) */
    size_t op_count;
    struct arena *arena;              /* step->arena */
    struct error error;               /* words; filled by the step or the shard */
    /* out */
    struct execution *current;
    const struct namespace_info *ns;
    /* the shard's */
    struct list link;
    struct shard_slot *slot;
    bool is_run_missing;
};

void shard_submit(struct shard *shard, struct shard_call *call);

/* Rows that belong to no run (namespaces, schedules, settings …), under the shard's lease and in its order.
 * ops borrowed until done. */
struct shard_write {
    const struct store_op *ops;
    size_t op_count;
    void (*done)(struct shard_write *write, err result); /* never inside shard_write */
    /* the shard's */
    struct list link;
    err result;
};
void shard_write(struct shard *shard, struct shard_write *write);
/* A row nobody waits for: goes with the next commit, at the latest within 100 ms. Copied. */
void shard_write_relaxed(struct shard *shard, const struct store_op *op);

/* ---- history ---- */

/* Reads events [from, to) of a run in pages, as bytes of a History message. Embedded like a call. */
struct shard_history_read {
    struct shard_call call;           /* set: namespace_key, workflow_id, run_id or run, need, arena; not step, done */
    int64_t from, to;                 /* event ids; from 0 = the first (reverse: the last); to 0 = all there are now */
    size_t events_max, bytes_max;     /* of the page; 0 = 256, 4 MiB; at least one event is given */
    bool is_reverse;                  /* from the end: events are in descending order, `next` goes down, `to` is unused */
    void (*done)(struct shard_history_read *read, err result);
    /* out */
    struct str history;               /* in call.arena */
    size_t event_count;
    int64_t next;                     /* the event id to go on from; 0 = that was all */
    int64_t next_event_id;            /* of the run, when it was looked at */
    struct str run_id;
    bool is_open;
    /* the shard's */
    struct store_read *store_read;
    struct shard *shard;
    void *pieces;
    struct list link;
};
void shard_read_history(struct shard *shard, struct shard_history_read *read);

/* ---- waiting for something to happen to a run ---- */

struct shard_watch {
    run_key run;
    void (*notify)(struct shard_watch *watch, enum notice_kind kind, struct str id); /* may remove watches, this one too */
    /* the shard's */
    struct list link;
    uint64_t round;
};
/* Begin within the step that saw the state to wait on, so that nothing is missed. A run that leaves memory by a failed
 * commit notifies NOTICE_CLOSED as well: look again. */
void shard_watch_add(struct shard *shard, struct shard_watch *watch);
void shard_watch_remove(struct shard *shard, struct shard_watch *watch); /* no effect when it is not watching */

/* ---- messages between entities ---- */

/* One message on its way; the sender's shard keeps it until `done`. May cross threads between the two. */
struct shard_delivery {
    int64_t namespace_key;
    struct str workflow_id, run_id, bytes;
    void (*done)(struct shard_delivery *delivery, err result); /* on the sender's thread */
    /* the sender's */
    struct shard *sender;
    int64_t order;
    uint32_t attempt;
    bool is_under_way;
    struct heap_node retry;
};
/* In the receiver's shard: loads the receiver, hands it the message, calls delivery->done when that is durable. */
void shard_receive(struct shard *shard, struct shard_delivery *delivery);

/* ---- life ---- */

/* Acquires the lease and reads the counters (blocks); recovery of what was under way goes on in shard_tick.
 * ERR_STALE_LEASE, ERR_STORE with words in error. */
MUST_USE err shard_open(const struct shard_env *env, const struct shard_options *options, struct shard **shard, struct arena *arena,
                        struct error *error);
/* Waits for nothing: the owner stops submitting and opens its mailbox until shard_is_quiet. Calls still waiting for a
 * load get ERR_UNAVAILABLE. */
void shard_close(struct shard *shard);
bool shard_is_quiet(const struct shard *shard);  /* no read, commit or delivery under way */
void shard_destroy(struct shard *shard);         /* must be quiet; or, in the simulator, its store must be dead */

void shard_tick(struct shard *shard);            /* does what is due */
instant shard_next_due(const struct shard *shard);
/* True while runs that were under way at the last stop are still being looked at. Calls are served meanwhile. */
bool shard_is_recovering(const struct shard *shard);

int64_t shard_take_task_order(struct shard *shard); /* rising, unique over shards and restarts */
uint32_t shard_number(const struct shard *shard);
struct prng *shard_prng(struct shard *shard);

struct shard_stats {
    size_t cached_runs, cached_bytes, waiting_calls, loads, commits, sleeping_runs, messages, watches;
    uint64_t steps, committed, failed_commits, loaded, evicted;
};
void shard_get_stats(const struct shard *shard, struct shard_stats *stats);
/* Whole-structure check; stops the process. For tests and the simulator. */
void shard_check(const struct shard *shard);
/* Visits every run in memory (the simulator's checkers). */
void shard_each_run(struct shard *shard, void (*visit)(void *arg, struct execution *run), void *arg);
/* Drops every run that may leave memory, for tests; returns how many stayed. */
size_t shard_evict_all(struct shard *shard);

#endif
