/* history/state.h: the inside of a run, for the files of this folder alone.
 *
 * struct execution   the core (a stored message kept decoded), its items, what is due when, the newest events.
 * struct item        one row: a stored message kept decoded, with the memory it lives in. Whoever changes it calls
 *                    item_changed(); item_remove() leaves it readable until the next flush.
 *
 * Strings and messages put into the core or into an item are copied into its arena (core_str, item_str, PB_CLONE);
 * what an assignment leaves behind is swept up at the flush when it has grown. */
#ifndef HISTORY_STATE_H
#define HISTORY_STATE_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "history/execution.h"
#include "history/items.h"
#include "proto/perdure/state.h"
#include "proto/perdure/visibility.h"

struct item {
    struct list link;      /* in execution.dirty, while its row is behind */
    enum item_kind kind;
    bool is_stored;        /* a row is there */
    bool is_gone;          /* and is to go */
    int64_t number;        /* key, by kind */
    struct str name;
    char number_key[8];
    struct heap_node due;  /* activities, timers, callbacks: when to look at it */
    struct execution *owner;
    struct arena arena;
    size_t counted;        /* bytes of it in execution.item_bytes */
    union {
        void *message;
        pb_store_Attributes *attributes;
        pb_store_StartInput *start_input;
        pb_store_Activity *activity;
        pb_store_ActivityInput *activity_input;
        pb_store_Timer *timer;
        pb_store_Child *child;
        pb_store_External *external;
        pb_store_RequestId *request_id;
        pb_store_Update *update;
        pb_store_BufferedEvent *buffered;
        pb_store_CompletionCallback *callback;
    };
    bool is_sent;          /* updates: goes with the started workflow task */
    err ending;            /* updates: why it will not be accepted any more */
    size_t size;           /* updates: bytes counted in update_bytes */
    bool is_offered;       /* activities: counted in offered_count */
    bool is_backlog;       /* activities: counted in stored_count */
};

struct execution {
    const struct namespace_info *ns;
    pb_store_RunState *s;
    struct arena arena;                          /* of s and what it points to */
    struct item *single[ITEM_ACTIVITY];          /* kinds with one row a run */
    struct map_u64 by_number[ITEM_KIND_COUNT];
    struct map by_name[ITEM_KIND_COUNT];         /* by key; activities: by activity id */
    struct list dirty;                           /* items whose rows are behind */
    size_t item_bytes;                           /* memory of items, about */
    bool is_new, is_dirty, is_visibility_dirty;

    struct heap due;
    struct heap_node task_due, run_due, execution_due, first_task_due, visibility_due;

    /* The newest events, [cached_from, s->next_event_id), as bytes of a History message. */
    struct buf events;
    uint32_t *offsets;                           /* of each in `events` */
    size_t offset_capacity;
    int64_t cached_from, unsaved_from;
    size_t buffered_bytes;                       /* of buffered events */

    int64_t offered_count;                       /* activities offered in memory only */
    int64_t stored_count;                        /* activities in the backlog table */
    int64_t admitted_count;                      /* updates that live in memory only */
    int64_t last_update;
    size_t update_bytes;                         /* payloads of updates in flight */
    int64_t callbacks_in_hand;                   /* completion callbacks that the driver has */
};

/* ---- life (state.c) ---- */
struct execution *execution_new(const struct namespace_info *ns);
/* The run changed: it is touched by the step, and somebody is told of it only when it is durable. */
void execution_changed(struct execution *e, struct step *step);
/* The same for what a crash may undo. */
void execution_changed_in_memory(struct execution *e, struct step *step);
static inline struct str core_str(struct execution *e, struct str s) { return s.size != 0 ? arena_str(&e->arena, s) : STR_EMPTY; }
static inline bool task_is(const struct execution *e, int32_t state) { return e->s->task->state == state; }

/* ---- items (state.c) ---- */
struct item *item_new(struct execution *e, enum item_kind kind, int64_t number, struct str name);
void item_changed(struct item *item);
void item_remove(struct item *item);
void item_index_name(struct item *item, struct str name); /* activities */
struct item *item_by_number(const struct execution *e, enum item_kind kind, int64_t number);
struct item *item_by_name(const struct execution *e, enum item_kind kind, struct str name);
size_t item_count(const struct execution *e, enum item_kind kind);
/* In insertion order (by key after a load); the current one may be removed. */
struct item *item_next(const struct execution *e, enum item_kind kind, size_t *at);
static inline struct str item_str(struct item *item, struct str s) { return s.size != 0 ? arena_str(&item->arena, s) : STR_EMPTY; }

/* ---- what is due when: ties go by rank, the event that began it (state.c) ---- */
enum { RANK_EXECUTION_TIMEOUT, RANK_RUN_TIMEOUT, RANK_FIRST_TASK, RANK_VISIBILITY };
void due_set(struct execution *e, struct heap_node *node, instant due, int64_t rank); /* 0 or INSTANT_NEVER: not due */

void execution_due_all(struct execution *e);   /* after a load (wake.c) */
void execution_due_core(struct execution *e);  /* the run's own timers, after a change of the core */
/* Something that lists show has changed: they show it within a second, or with the next reason to write the row. */
void visibility_soon(struct execution *e, instant now);
/* What the wake row should say. */
instant execution_wanted_wake(const struct execution *e, instant now);
pb_store_VisibilityRow *execution_visibility(const struct execution *e, struct arena *arena); /* describe.c */

#endif
