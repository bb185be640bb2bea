/* matching/internal.h: what the files of this folder share. Not for others. */
#ifndef MATCHING_INTERNAL_H
#define MATCHING_INTERNAL_H

#include "base/map.h"
#include "matching/task_queue.h"

/* ---- level.c: the tasks of one priority, and how far its backlog has been read ---- */

/* Tasks with one fairness key. In `groups` while it has tasks, or while its pass is ahead of the level's. */
struct fairness_group {
    struct list tasks;        /* rising order */
    struct heap_node node;    /* due = pass, or when the key's rate allows the next (in `held`) */
    int64_t pass;             /* virtual time at which its next task is due; grows by 1/weight a task */
    float weight;
    instant rate_next;
    struct str key;           /* behind this struct */
};

/* Who has tasks in a level, and whose turn it is. */
struct shares {
    struct heap groups;       /* by pass */
    struct heap held;         /* groups whose own rate is used up, by when it allows more */
    struct map by_key;        /* fairness key -> group */
    int64_t pass;             /* of the group served last */
};

struct level {
    struct shares *shares;    /* NULL until a task comes: most queues only ever see one priority, many none */
    uint32_t task_count;      /* waiting */
    uint32_t disk_count;      /* rows on disk only, as far as known */
    /* the backlog */
    int64_t loaded_to;        /* rows up to here are in memory or gone */
    int64_t disk_max;         /* largest order known to be on disk only */
    int64_t loading_max;      /* disk_max when the load under way began */
    instant load_at;          /* not before, after a failed load */
    instant disk_since;       /* when the oldest of those on disk was offered, or a bit earlier; 0: not known */
    bool is_counted;          /* disk_count says how many there are; else it knows of some */
    bool has_disk;            /* there may be rows after loaded_to */
    bool is_loading;
};

void level_fini(struct level *level); /* frees groups; their tasks are the caller's */
/* In its place by order. */
void level_insert(struct level *level, struct queued_task *task, float weight);
void level_remove(struct level *level, struct queued_task *task);
/* The task to serve next, taken out; NULL when there is none, or every key that has some is held back by its rate. */
struct queued_task *level_take(struct level *level, double key_rate, instant now);
/* The least order of those that wait; INT64_MAX: none. */
int64_t level_first_order(const struct level *level);
/* Of the tasks of this key that wait already. */
void level_set_weight(struct level *level, struct str key, float weight);
instant level_oldest(const struct level *level); /* offered_at of the oldest that waits; INSTANT_NEVER: none */
/* for (size_t at = 0; (group = level_next_group(level, &at)) != NULL;) … */
struct fairness_group *level_next_group(const struct level *level, size_t *at);
instant level_next_due(const struct level *level); /* when a key's rate lets a task go that it holds back */
void level_release(struct level *level, instant now); /* keys held back may go: their rate has changed */

/* ---- pollers.c: who polls, and how fast tasks come and go ---- */

enum { METER_BUCKETS = 6 };
struct meter { /* events over the last 30 s */
    int64_t bucket; /* number of the newest: seconds / 5 */
    uint32_t counts[METER_BUCKETS];
    int64_t since;  /* seconds; when it began */
};
void meter_add(struct meter *meter, instant now);
double meter_rate(const struct meter *meter, instant now);

struct priority_meters { struct meter added[PRIORITY_COUNT], dispatched[PRIORITY_COUNT]; };

struct poller_record {
    struct list link;         /* oldest access first */
    struct str identity, build_id, deployment;
    instant last_access;
    double rate_max;
    instant hint_window;      /* scaling hints given since then: at most 10 a second */
    int hint_count;
};
struct poller_book {
    struct map by_identity;
    struct list records;
};
void poller_book_init(struct poller_book *book);
void poller_book_fini(struct poller_book *book);
/* Notes a poll; drops who was not seen for 5 minutes, and the oldest past 1,000. */
void poller_book_note(struct poller_book *book, const struct task_poller *poller, instant now);
void poller_book_forget(struct poller_book *book, instant now);
struct poller_record *poller_book_find(const struct poller_book *book, struct str identity);

/* ---- task_queue.c ---- */

struct task_queue {
    struct task_queue_options options;
    struct level levels[PRIORITY_COUNT]; /* 0 is not used */
    struct list transient;    /* queries, oldest first */
    struct list delivered;
    struct list unsaved;
    struct list pollers;      /* first to wait first */
    struct heap poller_deadlines, expiries;
    struct map by_key;        /* (run, scheduled event, stamp) -> task, waiting or delivered */
    struct map weights;       /* fairness key -> float, heap-allocated */
    size_t poller_count, transient_count, memory_count;
    double api_rate, worker_rate, key_rate; /* < 0: not set */
    instant rate_next;        /* the rate allows the next task then */
    instant last_poll, last_use;
    bool is_worker_gone, is_purged;
    struct poller_book book;
    struct meter added, dispatched;
    struct priority_meters *by_priority; /* NULL until a task has another priority than the default */
};

#endif
