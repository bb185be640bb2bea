/* store/store.h: what survives a crash. One contract for memory/, sqlite/, postgres/ and the simulator's faulty store;
 * store/contract_test.c states it for all of them.
 *
 * Everything is asynchronous: a request is submitted from its owner's thread and comes back, later, as a mail in the
 * owner's mailbox. A store may complete requests in any order with two exceptions: commits of one shard become durable,
 * and are reported, in the order of submission; a read submitted after a commit sees that commit (read your writes), even
 * while it is not durable yet.
 *
 * A commit is atomic. It is reported only when it is durable (synced), and fails as a whole. After a failed commit the
 * store fails every later commit of that shard that was submitted before the failure was reported (they build on it);
 * store_recover() then takes the shard out of that state (so does acquiring its lease). A commit under a stale lease fails alone.
 *
 * Errors of a commit: ERR_STORE_FULL (no room: nothing was changed, reads go on, a later commit may succeed), ERR_STORE (the disk or the
 * engine failed; after a crash it may show that the commit is there after all), ERR_STALE_LEASE, ERR_INVALID (an operation outside the
 * bounds below, or a history batch that is stored already: a bug of the caller, nothing was changed).
 * Errors of a read: ERR_NOT_FOUND, ERR_STORE, ERR_CORRUPT, ERR_INVALID (a bad page token).
 *
 * Memory: strings and bytes inside a request are borrowed until its mail is opened; results live in the request's arena.
 * Thread: submit from any thread; the mail is opened on the mailbox owner's. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "base/instant.h"
#include "base/mailbox.h"
#include "proto/perdure/visibility.h"

/* A run's number: handed out in rising order by its shard, so that inserts touch the right edge of the trees, and unique among
 * all shards. 0 = none. The newest run of a workflow id is its current one. */
typedef int64_t run_key;

/* Bounds of what is stored. Run key and event id share one 63-bit key of the history table. */
#define STORE_RUN_MAX ((INT64_C(1) << 39) - 1)
#define STORE_EVENT_ID_MAX ((INT64_C(1) << 24) - 1)
#define STORE_BYTES_MAX ((size_t)64 << 20) /* of one value */
#define STORE_PAGE_DEFAULT 1000            /* rows, where a read gives no limit */

enum store_op_kind {
    STORE_RUN_PUT,       /* the core of a run's mutable state; also creates the run */
    STORE_RUN_DELETE,    /* a closed run with its items, wake, visibility and the history nobody else refers to */
    STORE_ITEM_PUT,      /* one pending activity, timer, child, signal, update, request id …, keyed (run, kind, id) */
    STORE_ITEM_DELETE,
    STORE_HISTORY_APPEND, /* a batch of events: bytes of a History message; rows laid end to end are again one. `run` is the branch */
    STORE_BRANCH_REF,    /* run `run` also refers to the history of `branch` (reset) and keeps it alive */
    STORE_WAKE_PUT,      /* run (which exists, or is put in the same commit) is to be looked at no later than `due`; replaces the previous */
    STORE_WAKE_DELETE,
    STORE_TASK_PUT,      /* backlog of a task-queue partition, keyed (queue, order) */
    STORE_TASK_DELETE,
    STORE_MESSAGE_PUT,   /* what one entity owes another, keyed (shard, order) */
    STORE_MESSAGE_DELETE,
    STORE_VISIBILITY_PUT, /* keyed by the run key in the row; a row with a lower version than the stored one changes nothing. It has a close
                             time exactly when its status is not Running or Paused. Rows without a division are of runs; those with one are numbered by
                             whoever writes them, beyond the numbers of runs, and do not count in READ_MAX */
    STORE_VISIBILITY_DELETE,
    STORE_KV_PUT,        /* everything small: namespaces, search attributes, schedules, queue names, settings */
    STORE_KV_DELETE,
};

/* Spaces of the key-value table. Numbers are stored: never reuse one. */
enum store_space {
    SPACE_META = 1, SPACE_NAMESPACE = 2, SPACE_SEARCH_ATTRIBUTE = 3, SPACE_QUEUE = 4, SPACE_QUEUE_CONFIG = 5,
    SPACE_SCHEDULE = 6, SPACE_BATCH = 7, SPACE_NEXUS_ENDPOINT = 8, SPACE_DEPLOYMENT = 9, SPACE_CLUSTER = 10,
};

struct store_op {
    enum store_op_kind kind;
    int32_t item_kind;   /* ITEM_*; also the space of KV_* */
    run_key run;
    int64_t a;           /* HISTORY_APPEND: first event id; BRANCH_REF: branch; TASK_*: queue; WAKE_PUT: due, ns */
    int64_t b;           /* HISTORY_APPEND: events in it; TASK_*, MESSAGE_*: order */
    int64_t namespace_key; /* RUN_PUT */
    struct str key;      /* RUN_PUT: workflow id; ITEM_*: id; KV_*: key */
    struct str run_id;   /* RUN_PUT */
    struct str bytes;    /* the value */
    const pb_store_VisibilityRow *visibility; /* VISIBILITY_PUT; DELETE uses run */
};

struct store_commit {
    struct mail mail;            /* opened when the outcome is known */
    struct mailbox *reply_to;
    uint32_t shard;
    uint64_t lease_epoch;        /* a stale one is refused with ERR_STALE_LEASE */
    const struct store_op *ops;
    size_t op_count;
    err result;
    struct list link;            /* the store's, while it has the commit */
    uint64_t sequence;           /* the store's */
};

enum store_read_kind {
    STORE_READ_CURRENT, /* in: namespace_key, key = workflow id. out: row and items of the newest run */
    STORE_READ_RUN,     /* in: namespace_key, key = workflow id, run_id. out: row, items */
    STORE_READ_RUN_KEY, /* in: run. out: row, items */
    STORE_READ_RUNS_OF, /* in: namespace_key, key = workflow id, order (run keys below it; 0 = all), limit; newest first, no items */
    STORE_READ_HISTORY, /* in: run = branch, from, to (exclusive), limit = bytes (at least one row is given; 0 = STORE_BYTES_MAX),
                           is_reverse. out: the batches that hold any of these events, whole */
    STORE_READ_WAKE,    /* in: shard, from = after due, order = after run, to = due not beyond, limit. By (due, run) */
    STORE_READ_TASKS,   /* in: queue in `run`, order = after, limit */
    STORE_COUNT_TASKS,  /* in: queue in `run`, order = after. out: row: a = how many, b and bytes of the first */
    STORE_READ_MESSAGES,/* in: shard, order = after, limit */
    STORE_READ_KV,      /* in: space, key. out: value of one */
    STORE_READ_KV_RANGE,/* in: space, key = prefix, after = key to begin behind, limit */
    STORE_LIST,         /* in: namespace_key, query (visibility/query.h), page token; out: visibility rows */
    STORE_COUNT,        /* in: namespace_key, query with or without GROUP BY; out: groups */
    STORE_READ_MAX,     /* out: largest run key, task order and message order that the shard ever committed, deleted ones included */
};

struct store_row {
    run_key run;
    int64_t a, b;        /* as in struct store_op: history first event and count; wake due; task, message order */
    int32_t item_kind;
    int64_t namespace_key;
    struct str key, run_id, bytes;
};

struct visibility_query;
struct store_read {
    struct mail mail;
    void *arg;                   /* the caller's */
    struct mailbox *reply_to;
    enum store_read_kind kind;
    uint32_t shard;
    int32_t space;
    int64_t namespace_key;
    run_key run;
    int64_t from, to, order;
    size_t limit;
    bool is_reverse;
    struct str key, run_id, after;
    const struct visibility_query *query;
    struct str page_token;

    struct arena arena;          /* initialised by the caller, who frees it */
    err result;                  /* ERR_NOT_FOUND only from READ_CURRENT, READ_RUN, READ_RUN_KEY and READ_KV */
    struct error error;          /* words, for STORE_LIST and STORE_COUNT */
    struct store_row row;        /* the one */
    struct store_row *rows;      /* the many: items of a run, history batches, tasks … */
    size_t row_count;
    bool has_more;
    pb_store_VisibilityRow **visibility;
    size_t visibility_count;
    struct str next_page_token;
    struct store_group *groups;  /* STORE_COUNT; one with no values when not grouped */
    size_t group_count;
    int64_t max_run, max_task, max_message; /* READ_MAX */
    struct list link;            /* the store's */
    uint64_t sequence;           /* the store's */
};

struct store_group {
    const pb_common_Payload **values;
    size_t value_count;
    int64_t count;
};

struct store;
struct store_ops {
    void (*commit)(struct store *store, struct store_commit *commit);
    void (*read)(struct store *store, struct store_read *read);
    /* Acquires the shard's lease: its epoch goes up, commits under an older one are refused from now on. Blocks; used
     * at start-up and by the recovery of a shard. */
    err (*acquire)(struct store *store, uint32_t shard, struct str owner, uint64_t *epoch, struct error *error, struct arena *arena);
    /* Ends the failed state of a shard after its owner has dropped what was not committed. */
    void (*recover)(struct store *store, uint32_t shard);
    void (*close)(struct store *store); /* waits for what was submitted; frees the store */
    const char *name;                   /* "memory", "sqlite", "postgres" */
};
struct store { const struct store_ops *ops; };

static inline void store_commit(struct store *s, struct store_commit *c) { s->ops->commit(s, c); }
static inline void store_read(struct store *s, struct store_read *r) { s->ops->read(s, r); }
static inline void store_close(struct store *s) { s->ops->close(s); }

/* A commit's operations within the bounds above; what every store asks before it takes a commit. */
MUST_USE err store_commit_check(const struct store_commit *commit);

/* In memory: ends with the process. Completes requests inside submit, by mail. */
MUST_USE err store_memory_open(struct store **store);

struct store_sqlite_options {
    const char *path;
    bool is_sync_off;     /* tests and benchmarks that do not need durability */
    size_t batch_max;     /* commits in one transaction; 0 = 256 */
};
/* One file, WAL, synchronous FULL, a writer thread with group commit and a reader thread. Refuses, with words: a file
 * that is not a Perdure database, one of a newer version, one another process has open. Older ones are migrated. */
MUST_USE err store_sqlite_open(const struct store_sqlite_options *options, struct store **store, struct arena *arena, struct error *error);

#endif
