/* history/step.h: one turn of the engine. Everything a step may know comes in here as values; everything it wants done
 * leaves here. The same turn runs in the server, in the simulator, in table tests and in replay.
 *
 * A step changes struct execution in memory at once. The shard then writes what changed (execution_flush) and carries the
 * effects out: at once when the step is relaxed, after the commit is durable otherwise. When the commit fails the
 * shard drops the execution from memory and loads it again as it was stored. */
#ifndef HISTORY_STEP_H
#define HISTORY_STEP_H

#include "base/err.h"
#include "base/instant.h"
#include "base/prng.h"
#include "history/limits.h"
#include "proto/api.h"

struct execution;
struct tz;

/* What the engine must know of a namespace. Owned by the frontend's registry; outlives the step. */
struct namespace_info {
    int64_t key;           /* stored; never reused */
    struct str id, name;   /* id: the UUID that clients see */
    duration retention;
    duration activity_grace; /* limits.activity_grace_ms: after an attempt's time is up */
    bool is_deleted;
};

enum task_kind { TASK_WORKFLOW, TASK_ACTIVITY };

/* A task for matching: only who is meant; the rest is read from the execution when a worker takes it. */
struct task_effect {
    enum task_kind kind;
    int64_t namespace_key;
    int64_t run;                 /* run_key */
    struct str workflow_id, run_id;
    struct str queue;            /* task queue name */
    bool is_sticky;
    struct str normal_queue;     /* when sticky: where to go if the sticky worker is gone */
    int64_t scheduled_event_id;
    int32_t attempt;
    int64_t stamp;               /* grows with each (re)scheduling of this activity or workflow task; a task with an old one is stale */
    instant scheduled_at;
    instant expires_at;          /* INSTANT_NEVER; a task not taken by then is dropped (a timer in the run decides) */
    int32_t priority_key;        /* 1 … 5; 0 = default (3) */
    struct str fairness_key;
    float fairness_weight;
    struct str build_id;         /* versioned workers only; empty = any */
    struct task_effect *next;
};

/* What this entity owes another. Delivered at least once to the owner of (namespace, workflow id). */
struct message_effect {
    int64_t namespace_key;       /* of the receiver */
    struct str workflow_id, run_id; /* empty run id: the current run, or none yet (start child) */
    struct str bytes;            /* an encoded pb_store_Message (perdure/state.proto) */
    struct str asking_run_id;    /* of the run whose code asks for it, by a command; empty: the engine's own */
    struct message_effect *next;
};

/* A completion callback that is to be delivered now, by the driver of the frontend. Its address and what it says are read
 * from the run when its turn comes. Offered again after a crash. */
struct callback_effect {
    int64_t namespace_key;
    int64_t run;                 /* run_key */
    struct str workflow_id;
    int64_t number;              /* which of the run's callbacks */
    int32_t attempt;             /* how many were made before */
    struct callback_effect *next;
};

/* Somebody may be waiting for this. Kept in memory by the shard; nothing durable hangs on it. */
enum notice_kind {
    NOTICE_NEW_EVENTS,   /* history long polls */
    NOTICE_CLOSED,       /* history long polls for the close event, updates, queries */
    NOTICE_UPDATE,       /* an update reached a stage: `id` */
    NOTICE_WORKFLOW_TASK_CLOSED, /* queries that wait for no task to be pending */
};
struct notice_effect {
    enum notice_kind kind;
    struct execution *execution;
    struct str id;
    struct notice_effect *next;
};

struct step {
    /* the world, in */
    instant now;
    struct prng *prng;
    const struct limits *limits;
    const struct namespace_info *ns;
    int64_t *next_run;           /* the next run key; a step that makes runs takes some and raises it */
    struct arena *arena;         /* effects and replies are made here; lives until the commit is carried out */
    struct error *error;         /* words for whoever asked */
    /* The namespace of this name, or NULL; children, signals and cancel requests may go there. Unset: only `ns` is known. */
    const struct namespace_info *(*find_namespace)(void *argument, struct str name);
    /* Whether these search attributes are registered and of the right types; says why not, in the arena. Unset: they are. */
    bool (*check_search_attributes)(void *argument, const struct namespace_info *ns, const pb_common_SearchAttributes *attributes, struct arena *arena,
                                    struct str *why);
    /* The time zone of this IANA name, or NULL; for cron schedules. Outlives the step. Unset: only UTC is known. */
    const struct tz *(*find_zone)(void *argument, struct str name);
    void *find_argument;         /* of the three above */

    /* what shall happen, out; lists are in order of appearance */
    bool is_durable;             /* false: relaxed, see DESIGN.md section 3 */
    struct execution **touched;  /* executions changed by this step, new ones included */
    size_t touched_count;
    struct execution **created;  /* runs made by this step (also in touched); the shard takes them over */
    size_t created_count;
    struct task_effect *tasks, **tasks_end;
    struct message_effect *messages, **messages_end;
    struct notice_effect *notices, **notices_end;
    struct callback_effect *callbacks, **callbacks_end;
};

/* Clears the out part and what may be left unset; the caller sets the in part afterwards. */
void step_init(struct step *step);
/* Each public function of the engine calls this for what it changes. Idempotent. */
void step_touch(struct step *step, struct execution *execution);
void step_create(struct step *step, struct execution *execution); /* touches as well */
struct task_effect *step_task(struct step *step);                 /* zeroed, appended */
/* Takes back an offer of this step, where a worker got the task in another way. */
void step_take_back_task(struct step *step, enum task_kind kind, int64_t run, int64_t stamp);
struct message_effect *step_message(struct step *step);
/* Takes back what the code of this run asked of others in this step. */
void step_take_back_requests(struct step *step, struct str run_id);
struct callback_effect *step_callback(struct step *step);           /* the same */
void step_notice(struct step *step, enum notice_kind kind, struct execution *execution, struct str id);

#endif
