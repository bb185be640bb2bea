/* schedule/schedule.h: one schedule: what it does at its times, on request, and when what it started ends.
 *
 * Its state is a message (perdure/schedule.proto) that the caller stores after each step, before anybody is told. What is to be done stands in
 * the state: each entry of `starting` is a run to be started under its request id, until schedule_started or schedule_not_started; each entry of
 * `running` is a run to be followed to the end of its chain, until schedule_closed, and cancelled or terminated as `wanted` says. Doing
 * any of it twice is harmless, so a restart does all of it again.
 *
 *      a time, a trigger, a backfill
 *               |
 *            buffer --- the policy says no --> skipped
 *               | the policy says yes
 *            starting --- refused --> skipped
 *               | started
 *            running --- closed --> result and failure carried on
 *
 * (1) Among starting and running, at most one is not overlapping.
 * (2) buffer, starting, running and recent actions are bounded (below).
 * (3) remaining_actions never becomes negative; only what is neither triggered nor backfilled counts it down.
 *
 * Pure: time, ids and the compiled specification come in with the step. A step that fails has changed nothing that may be stored: drop the state it had.
 * Memory: what a step adds to the state is in step->arena; the state must be in it, or outlive it.
 * Source: temporal.api.schedule.v1, F099 to F105. */
#ifndef SCHEDULE_SCHEDULE_H
#define SCHEDULE_SCHEDULE_H

#include "base/prng.h"
#include "proto/perdure/schedule.h"
#include "schedule/spec.h"

#define SCHEDULE_BUFFER_MAX 1000
#define SCHEDULE_STARTING_MAX 20
#define SCHEDULE_RUNNING_MAX 1000  /* followed; those started beyond it are not */
#define SCHEDULE_BACKFILL_MAX 1000 /* requests not worked off */
#define SCHEDULE_NOTES_MAX 1000    /* bytes */
#define SCHEDULE_MATCHING_MAX 1000 /* times in one answer */

enum schedule_wanted { WANTED_NOTHING, WANTED_CANCEL, WANTED_TERMINATE };

struct schedule_step {
    instant now;
    struct prng *prng;       /* of request ids */
    const struct spec *spec; /* of the state's specification, as it is before the step */
    struct arena *arena;
    struct error *error;
};

/* Checks what a client sent and fills in the defaults. ERR_INVALID. Parts are shared with `in`. */
MUST_USE err schedule_canonical(const pb_schedule_Schedule *in, struct arena *arena, pb_schedule_Schedule **out, struct error *error);
MUST_USE err schedule_check_patch(const pb_schedule_SchedulePatch *patch, struct arena *arena, struct error *error); /* NULL is fine */

/* A new state around a canonical schedule. step->spec: its own. Patch may be NULL. The caller sets keys and ids. */
pb_store_ScheduleEntity *schedule_new(struct schedule_step *step, pb_schedule_Schedule *canonical);
/* Replaces the canonical schedule. token: what the client read, or empty. ERR_PRECONDITION: the schedule has changed since. */
MUST_USE err schedule_check_token(const pb_store_ScheduleEntity *s, struct str token, struct arena *arena, struct error *error);
void schedule_update(struct schedule_step *step, pb_store_ScheduleEntity *s, pb_schedule_Schedule *canonical);
/* ERR_LIMIT: too many backfills wait. */
MUST_USE err schedule_patch(struct schedule_step *step, pb_store_ScheduleEntity *s, const pb_schedule_SchedulePatch *patch);
/* Works off what is due by step->now; after each other input, too. True when the state has changed and must be stored. */
bool schedule_advance(struct schedule_step *step, pb_store_ScheduleEntity *s);

void schedule_started(struct schedule_step *step, pb_store_ScheduleEntity *s, struct str request_id, struct str run_id);
/* is_overlap: because a run of that workflow id is there already. */
void schedule_not_started(struct schedule_step *step, pb_store_ScheduleEntity *s, struct str request_id, bool is_overlap);
/* The chain of runs that began with run_id has ended. status 0: nobody knows how. result, failure: maybe NULL. */
void schedule_closed(struct schedule_step *step, pb_store_ScheduleEntity *s, struct str workflow_id, struct str run_id, int32_t status,
                     const pb_common_Payloads *result, const pb_failure_Failure *failure);

/* When schedule_advance has something to do; INSTANT_NEVER: not by itself. */
instant schedule_next_wake(const pb_store_ScheduleEntity *s, const struct spec *spec);
/* Nothing will ever happen by itself and nobody has touched it for seven days: to be deleted. */
bool schedule_is_over(const pb_store_ScheduleEntity *s, const struct spec *spec, instant now);

/* ---- what is shown ---- */
struct str schedule_token(const pb_store_ScheduleEntity *s, struct arena *arena);
pb_schedule_ScheduleInfo *schedule_info(const pb_store_ScheduleEntity *s, const struct spec *spec, instant now, struct arena *arena);
pb_schedule_ScheduleListInfo *schedule_list_info(const pb_store_ScheduleEntity *s, const struct spec *spec, instant now, struct arena *arena);
/* Times after start up to end, at most SCHEDULE_MATCHING_MAX. */
pb_google_Timestamp **schedule_matching(const struct spec *spec, instant start, instant end, struct arena *arena, size_t *count);
/* The request that starts one of `starting`; namespace and search attributes of the schedule included. Parts are shared with the state. */
pb_ws_StartWorkflowExecutionRequest *schedule_start_request(const pb_store_ScheduleEntity *s, const pb_store_ScheduleStart *start, struct str namespace_name,
                                                            struct arena *arena);

#endif
