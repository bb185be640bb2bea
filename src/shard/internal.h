/* shard/internal.h: what the files of this folder share. Not for others. */
#ifndef SHARD_INTERNAL_H
#define SHARD_INTERNAL_H

#include "base/log.h"
#include "base/map.h"
#include "shard/shard.h"

enum { RELAXED_OPS_MAX = 1000, RECOVERY_PAGE = 200, NAMESPACE_TRIES_MAX = 15 };

/* Before the next try of a wake-up or a delivery: 10 ms, doubling to 10 s. A namespace that is not there may be one that
 * has not been read yet after a start; after 15 tries (a minute) it is taken for deleted. */
static inline duration retry_pause(uint32_t attempt) { return duration_ms(attempt < 10 ? INT64_C(10) << attempt : 10000); }

/* ---- what is in memory: cache.c ---- */

/* One workflow id: its runs in memory, and the calls that wait. Lives while it has either. */
struct shard_slot {
    int64_t namespace_key;
    struct str workflow_id;   /* behind this struct */
    struct str map_key;
    struct list runs;         /* struct cached_run */
    struct list calls;        /* struct shard_call, in order of submission */
    bool is_current_known;
    run_key current;          /* the newest run; 0 = the store has none */
    struct shard_load *load;  /* for the first call */
    err load_error;           /* the load failed: so does the first call */
    bool is_pumping;
    struct list starved_link; /* wants to load, but too many reads are under way */
};

struct cached_run {
    struct execution *execution;
    run_key run;
    struct shard_slot *slot;
    struct list slot_link, used_link; /* used: least recently used first */
    struct heap_node wake;
    instant delete_at;        /* closed runs: when their retention ends; 0 = open */
    int64_t stored_wake;      /* ns, as the last commit under way says; INT64_MAX: no row */
    uint64_t commit_sequence; /* the last commit that holds it; 0 = none yet */
    instant woken_at;         /* the last wake-up: the next one comes later, whatever the run says */
    size_t memory;
    bool is_closed;           /* stands in the line of closed runs */
};

struct shard_slot *slot_find(struct shard *s, int64_t namespace_key, struct str workflow_id);
struct shard_slot *slot_make(struct shard *s, int64_t namespace_key, struct str workflow_id);
void slot_release(struct shard *s, struct shard_slot *slot); /* frees it when nothing is in it */
struct cached_run *cache_find(struct shard *s, run_key run);
struct cached_run *cache_find_in(struct shard_slot *slot, struct str run_id);
/* Takes the execution over. */
struct cached_run *cache_add(struct shard *s, struct shard_slot *slot, struct execution *e, int64_t stored_wake);
void cache_remove(struct shard *s, struct cached_run *run); /* destroys the execution */
void cache_touch(struct shard *s, struct cached_run *run);  /* after a step: memory, order of use, wake-up */
void cache_trim(struct shard *s);                           /* back under the budget */
bool cache_evict(struct shard *s, struct cached_run *run);  /* false: must stay */

/* ---- calls and loads: call.c ---- */

struct shard_load {
    struct store_read read;
    struct shard *shard;
    struct shard_slot *slot;  /* NULL: by run key, for `calls` */
    struct list calls;
    run_key run;
    bool is_stale;            /* a commit failed after it was submitted: read again */
    struct list link;
};

/* A call of the shard's own: a wake-up, or a message for a run. */
struct inner_call {
    struct shard_call call;
    struct arena arena;
    struct shard *shard;
    struct list link;         /* in shard.inner_calls */
    struct shard_delivery *delivery;
    struct shard_history_read read; /* of an event that the message needs first */
    int64_t wanted_event;     /* of the run wanted_run */
    run_key wanted_run;
    struct str closing;
    bool is_recovery, is_counted; /* counted: one of the rows that the recovery page holds */
    uint32_t attempt;
};
struct inner_call *inner_call_create(struct shard *s);
void inner_call_destroy(struct inner_call *inner);

void slot_pump(struct shard *s, struct shard_slot *slot);
void loads_resume(struct shard *s);        /* starts what waited for room */
void loads_after_failure(struct shard *s); /* what is under way may hold what was never committed: read again */
void load_free(struct shard_load *load);
void call_fail(struct shard *s, struct shard_call *call, err result);

/* ---- commits and what follows them: commit.c ---- */

/* What one step owes the world; carried out when everything it built on is durable. */
struct release {
    struct list link;
    struct shard_call *call;          /* NULL: nobody waits */
    struct shard_write *write;
    err result;
    struct task_effect *tasks;
    struct notice_record *notices;
    struct callback_effect *callbacks;
    struct shard_delivery **deliveries;
    size_t delivery_count;
};
void release_later(struct shard *s, struct release *release); /* nothing to wait for: from the mailbox */
struct notice_record { enum notice_kind kind; run_key run; struct str id; struct notice_record *next; };

struct shard_commit {
    struct store_commit commit;
    struct shard *shard;
    struct arena arena;
    uint64_t sequence;
    size_t relaxed_count;             /* the first ops: somebody's relaxed ones, kept for another try */
    run_key deleted;
    struct list releases;             /* in order */
    struct list link;
};

/* Runs the call's step and sees to what came of it. The call leaves the slot's list before. */
void call_execute(struct shard *s, struct shard_slot *slot, struct shard_call *call, struct cached_run *run);
void commit_relaxed(struct shard *s);
void commit_fini(struct shard *s);
/* Writes a run out so that it can leave memory. */
void commit_clean(struct shard *s, struct cached_run *run);

/* ---- time: wake.c ---- */

struct sleeper { /* a stored wake row within the window, or a run to look at again after a failure */
    struct heap_node node;
    run_key run;
    bool is_recovery;
    uint32_t attempt;
};
void sleeper_put(struct shard *s, run_key run, instant due, bool is_recovery, uint32_t attempt);
bool wake_run_leaves(struct shard *s, struct cached_run *run); /* false: not now */
void wake_tick(struct shard *s, instant now);
instant wake_next_due(const struct shard *s);
void wake_start(struct shard *s);
void wake_fini(struct shard *s);
instant run_wake_due(struct shard *s, const struct cached_run *run);

/* ---- messages: message.c ---- */

struct shard_delivery *message_make(struct shard *s, const struct message_effect *message);
struct str message_encode(const struct message_effect *message, struct arena *arena);
void outbox_send(struct shard *s, struct shard_delivery *delivery); /* its commit is durable */
void message_drop(struct shard_delivery *delivery);                  /* its commit failed */
void message_tick(struct shard *s, instant now);
instant message_next_due(const struct shard *s);
void message_fini(struct shard *s);

/* ---- history: history_read.c ---- */

void history_reads_fini(struct shard *s);

/* ---- watches: watch.c ---- */
void watch_notify(struct shard *s, run_key run, enum notice_kind kind, struct str id);
void watch_fini(struct shard *s);

/* ---- the shard: shard.c ---- */

struct shard {
    struct shard_env env;
    struct shard_options options;
    uint64_t lease_epoch;
    struct prng prng;
    struct limits limits_fallback;

    struct map slots;                 /* (namespace, workflow id) -> struct shard_slot */
    struct map_u64 runs;              /* run key -> struct cached_run */
    struct list used, used_closed;    /* closed runs have a line of their own: they leave first */
    size_t cache_bytes, closed_bytes;
    size_t call_count;                /* not done yet */
    bool is_trimming;

    struct list loads, starved;
    struct map_u64 key_loads;         /* run key -> struct shard_load */
    size_t load_count, history_read_count;
    struct list history_reads;

    struct list inner_calls;
    struct list finished;             /* struct release, to be carried out by mail */
    struct mail work;
    bool is_work_sent;

    struct list commits;              /* under way, in order */
    size_t commit_count;
    uint64_t sequence, durable_sequence;
    bool is_failing;                  /* a commit failed; waits for the others to come back */
    bool is_lost, is_closing;
    duration failure_pause;           /* doubles with each failure in a row */
    instant failure_until;            /* the shard does nothing of its own accord before */
    struct list writes_waiting;       /* while failing */
    struct store_op *relaxed;
    size_t relaxed_count, relaxed_capacity;
    instant relaxed_at;               /* to be written by then */

    struct heap wakes, sleepers;
    struct map_u64 sleeper_of;
    struct store_read *window_read;   /* under way */
    int64_t window_due, window_run;   /* rows up to here have been read */
    int64_t window_target;            /* of the read under way, else window_due */
    instant window_retry;
    bool window_has_more, is_recovery_read; /* recovery: rows that say "at once" */
    size_t recovery_count;            /* runs still to be looked at */
    size_t wake_call_count;

    struct heap retries;              /* deliveries */
    struct map_u64 deliveries;        /* order -> struct shard_delivery */
    struct store_read *message_read;
    int64_t message_loaded_to;        /* stored messages up to here are in memory or done */
    int64_t message_disk_max;
    bool has_messages_on_disk;
    instant message_retry;
    size_t receive_count;

    struct map_u64 watches;
    size_t watch_count;
    uint64_t watch_round;

    int64_t next_run, next_message, last_task_order;
    struct shard_stats stats;
};

static inline instant shard_now(const struct shard *s) { return s->env.now(s->env.arg); }
static inline void shard_rearm(const struct shard *s) { if (s->env.rearm != NULL) s->env.rearm(s->env.arg); }

#endif
