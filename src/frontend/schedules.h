/* frontend/schedules.h: the driver of schedules: keeps all of them in memory by the time of their next action, steps them one input after the
 * other, writes each new state before anything of it is told or done, and then does what it says: starts, follows, cancels, terminates.
 *
 * A schedule in memory is always as stored: a step works on a copy that replaces it once it is durable. Inputs of one schedule wait for each
 * other in order of arrival; those of different schedules do not.
 * Thread: the frontend's.   Blocks: never. */
#ifndef FRONTEND_SCHEDULES_H
#define FRONTEND_SCHEDULES_H

#include "frontend/internal.h"
#include "schedule/schedule.h"

struct schedules;
struct schedule_entry;

/* Bounds: schedules of one server, and inputs of one schedule that wait. */
#define SCHEDULES_MAX 1000000
#define SCHEDULE_INPUTS_MAX 1000

struct schedules *schedules_create(struct frontend *f);
void schedules_destroy(struct schedules *all);
/* Reads what is stored, page by page; then the frontend serves. */
void schedules_start(struct frontend *f, void (*done)(struct frontend *f, err result));
instant schedules_next_due(const struct frontend *f); /* INSTANT_NEVER while it does not serve */
void schedules_tick(struct frontend *f);
void schedules_wake_namespace(struct frontend *f, int64_t namespace_key); /* it is deleted: its schedules end themselves */

enum schedule_next { SCHEDULE_DONE, SCHEDULE_COMMIT, SCHEDULE_WAIT };

/* Something that wants to read or change one schedule. In an arena of its own or of an rpc. */
struct schedule_input {
    struct list link;
    struct schedule_entry *entry;
    struct rpc *rpc;              /* held until `done`; NULL: from inside */
    struct arena arena;           /* from inside: holds the input itself */
    /* Looks at schedule_entry_state (NULL: there is none). SCHEDULE_DONE: answered, or nothing to do. SCHEDULE_COMMIT: the draft is to be
     * written; `done` follows. SCHEDULE_WAIT (not when has_waited): runs once more when starts under way
     * have been answered, or after a good while. */
    enum schedule_next (*run)(struct schedule_input *input);
    void (*done)(struct schedule_input *input, err result); /* NULL: nobody asks */
    bool has_waited;
    int64_t wait_until;           /* version of the state */
};

/* Queues an rpc's input; answers RESOURCE_EXHAUSTED when too much waits. key: schedule_key. */
void schedule_submit(struct frontend *f, struct rpc *rpc, struct schedule_input *input, struct str schedule_id);

const pb_store_ScheduleEntity *schedule_entry_state(const struct schedule_entry *entry);
const struct spec *schedule_entry_spec(const struct schedule_entry *entry);
bool schedule_entry_is_starting(const struct schedule_entry *entry); /* a start has not been answered yet */

/* The copy to be changed within `run`, with what its step needs; NULL state: make one and call schedule_draft_new. */
struct schedule_draft {
    struct schedule_step step;
    pb_store_ScheduleEntity *state;
    struct arena *arena; /* of the state */
    bool is_delete;
};
struct schedule_draft *schedule_draft(struct schedule_entry *entry, struct error *error);
void schedule_draft_new(struct schedule_entry *entry, pb_store_ScheduleEntity *state); /* gives it its keys */
/* Compiles the specification for the draft, and from the commit on for the entry. ERR_INVALID: the zone is not known, or others of spec.h. */
const struct spec *schedule_draft_new_spec(const struct schedule_entry *entry); /* once compiled */
MUST_USE err schedule_draft_spec(struct schedule_entry *entry, const pb_schedule_ScheduleSpec *spec, struct arena *error_arena, struct error *error);

#endif
