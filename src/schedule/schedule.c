#include "schedule/schedule.h"

#include <stdio.h>

enum { BACKFILL_STEP = 10, LOOK_MAX = 5000, RECENT_MAX = 10 };
static const int64_t catchup_default_s = INT64_C(365) * 86400, catchup_min_s = 10, kept_s = INT64_C(7) * 86400;

/* ---- what clients send ---- */

static bool is_policy(int32_t policy) { return policy >= SCHEDULE_OVERLAP_POLICY_UNSPECIFIED && policy <= SCHEDULE_OVERLAP_POLICY_ALLOW_ALL; }

static err check_notes(struct str notes, struct arena *arena, struct error *error)
{
    return notes.size <= SCHEDULE_NOTES_MAX ? ERR_NONE : error_set(error, arena, ERR_INVALID, "the notes have more than %d bytes", SCHEDULE_NOTES_MAX);
}

static pb_common_RetryPolicy *retry_with_defaults(const pb_common_RetryPolicy *in, struct arena *arena)
{
    pb_common_RetryPolicy *out = pb_new(arena, pb_common_RetryPolicy);
    *out = *in;
    if (out->initial_interval == NULL || pb_duration(out->initial_interval).ns == 0) out->initial_interval = pb_duration_new(arena, duration_s(1));
    if (out->backoff_coefficient == 0) out->backoff_coefficient = 2;
    if (out->maximum_interval == NULL || pb_duration(out->maximum_interval).ns == 0) {
        int64_t ns;
        if (__builtin_mul_overflow(pb_duration(out->initial_interval).ns, 100, &ns)) ns = DURATION_MAX.ns;
        out->maximum_interval = pb_duration_new(arena, (duration){ns});
    }
    return out;
}

static err canonical_action(const pb_schedule_ScheduleAction *in, struct arena *arena, pb_schedule_ScheduleAction **out, struct error *error)
{
    if (in == NULL || in->action_case != pb_schedule_ScheduleAction_start_workflow_tag || in->start_workflow == NULL)
        return error_set(error, arena, ERR_INVALID, "the schedule has no action");
    const pb_workflow_NewWorkflowExecutionInfo *info = in->start_workflow;
    if (!str_is_empty(info->cron_schedule)) return error_set(error, arena, ERR_INVALID, "a scheduled workflow can not have a cron schedule of its own");
    if (info->workflow_id_reuse_policy != WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED && info->workflow_id_reuse_policy != WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE)
        return error_set(error, arena, ERR_INVALID, "a scheduled workflow can not have an id reuse policy");
    pb_schedule_ScheduleAction *action = pb_new(arena, pb_schedule_ScheduleAction);
    *action = *in;
    action->start_workflow = pb_new(arena, pb_workflow_NewWorkflowExecutionInfo);
    *action->start_workflow = *info;
    if (info->retry_policy != NULL) action->start_workflow->retry_policy = retry_with_defaults(info->retry_policy, arena);
    *out = action;
    return ERR_NONE;
}

static err canonical_policies(const pb_schedule_SchedulePolicies *in, struct arena *arena, pb_schedule_SchedulePolicies **out, struct error *error)
{
    pb_schedule_SchedulePolicies *policies = pb_new(arena, pb_schedule_SchedulePolicies);
    if (in != NULL) *policies = *in;
    if (!is_policy(policies->overlap_policy)) return error_set(error, arena, ERR_INVALID, "%d is not an overlap policy", (int)policies->overlap_policy);
    if (policies->overlap_policy == SCHEDULE_OVERLAP_POLICY_UNSPECIFIED) policies->overlap_policy = SCHEDULE_OVERLAP_POLICY_SKIP;
    if (policies->catchup_window != NULL && pb_duration(policies->catchup_window).ns < 0)
        return error_set(error, arena, ERR_INVALID, "the catch-up window must not be negative");
    if (pb_duration(policies->catchup_window).ns == 0) policies->catchup_window = pb_duration_new(arena, duration_s(catchup_default_s)); /* shown, too */
    *out = policies;
    return ERR_NONE;
}

err schedule_canonical(const pb_schedule_Schedule *in, struct arena *arena, pb_schedule_Schedule **out, struct error *error)
{
    if (in == NULL) return error_set(error, arena, ERR_INVALID, "the schedule is missing");
    static const pb_schedule_ScheduleSpec nothing;
    pb_schedule_Schedule *s = pb_new(arena, pb_schedule_Schedule);
    TRY(canonical_action(in->action, arena, &s->action, error));
    TRY(canonical_policies(in->policies, arena, &s->policies, error));
    TRY(spec_canonical(in->spec != NULL ? in->spec : &nothing, arena, &s->spec, error));
    s->state = pb_new(arena, pb_schedule_ScheduleState);
    if (in->state != NULL) *s->state = *in->state;
    TRY(check_notes(s->state->notes, arena, error));
    if (s->state->remaining_actions < 0) return error_set(error, arena, ERR_INVALID, "the remaining actions must not be negative");
    if (!s->state->limited_actions) s->state->remaining_actions = 0;
    *out = s;
    return ERR_NONE;
}

err schedule_check_patch(const pb_schedule_SchedulePatch *patch, struct arena *arena, struct error *error)
{
    if (patch == NULL) return ERR_NONE;
    TRY(check_notes(patch->pause, arena, error));
    TRY(check_notes(patch->unpause, arena, error));
    if (patch->trigger_immediately != NULL && !is_policy(patch->trigger_immediately->overlap_policy))
        return error_set(error, arena, ERR_INVALID, "%d is not an overlap policy", (int)patch->trigger_immediately->overlap_policy);
    if (patch->backfill_request_count > SCHEDULE_BACKFILL_MAX)
        return error_set(error, arena, ERR_INVALID, "a patch has at most %d backfills", SCHEDULE_BACKFILL_MAX);
    for (size_t i = 0; i < patch->backfill_request_count; i++) {
        const pb_schedule_BackfillRequest *b = patch->backfill_request[i];
        if (!is_policy(b->overlap_policy)) return error_set(error, arena, ERR_INVALID, "%d is not an overlap policy", (int)b->overlap_policy);
        if (b->start_time == NULL || b->end_time == NULL || pb_instant(b->end_time).ns < pb_instant(b->start_time).ns)
            return error_set(error, arena, ERR_INVALID, "a backfill needs a start time and an end time that is not before it");
    }
    return ERR_NONE;
}

err schedule_check_token(const pb_store_ScheduleEntity *s, struct str token, struct arena *arena, struct error *error)
{
    if (token.size == 0) return ERR_NONE;
    uint64_t n = 0;
    for (size_t i = 0; i < token.size && i < 8; i++) n = n << 8 | (uint8_t)token.data[i];
    if (token.size != 8) return error_set(error, arena, ERR_INVALID, "the conflict token is not one of a schedule");
    if (n == 0 || n == (uint64_t)s->conflict_token) return ERR_NONE;
    return error_set(error, arena, ERR_PRECONDITION, "the schedule has been changed since it was described");
}

/* ---- the buffer ---- */

static bool may_start(const pb_store_ScheduleEntity *s, bool is_manual)
{
    const pb_schedule_ScheduleState *state = s->schedule->state;
    return is_manual || (!state->paused && (!state->limited_actions || state->remaining_actions > 0));
}

static void offer(struct schedule_step *step, pb_store_ScheduleEntity *s, instant nominal, instant due, int32_t policy, bool is_manual)
{
    if (s->buffer_count >= SCHEDULE_BUFFER_MAX) {
        s->info->buffer_dropped++;
        return;
    }
    pb_store_ScheduleStart *start = PB_PUSH_NEW(step->arena, s, buffer);
    start->nominal = pb_timestamp_new(step->arena, nominal);
    start->due = pb_timestamp_new(step->arena, due);
    start->overlap_policy = policy;
    start->is_manual = is_manual;
}

/* "report-2030-01-02T03:04:05Z" */
static struct str workflow_id_of(const pb_store_ScheduleEntity *s, instant nominal, struct arena *arena)
{
    struct str base = s->schedule->action->start_workflow->workflow_id;
    if (s->schedule->policies->keep_original_workflow_id) return base;
    int64_t t = nominal.ns / NS_PER_S - (nominal.ns % NS_PER_S < 0), day = t >= 0 ? t / 86400 : (t - 86399) / 86400, time = t - day * 86400;
    struct civil_date d = civil_date_of(day);
    return arena_printf(arena, "%.*s-%04d-%02d-%02dT%02d:%02d:%02dZ", STR_ARG(base), (int)d.year, d.month, d.day, (int)(time / 3600), (int)(time % 3600 / 60),
                        (int)(time % 60));
}

static void choose(struct schedule_step *step, pb_store_ScheduleEntity *s, pb_store_ScheduleStart *start, bool is_overlapping)
{
    char uuid[37];
    prng_uuid(step->prng, uuid);
    start->request_id = arena_str(step->arena, str_of(uuid));
    start->workflow_id = workflow_id_of(s, pb_instant(start->nominal), step->arena);
    start->is_overlapping = is_overlapping;
    if (!start->is_manual && s->schedule->state->limited_actions) s->schedule->state->remaining_actions--;
    PB_PUSH(step->arena, s, starting) = start;
}

static bool is_blocked(const pb_store_ScheduleEntity *s)
{
    for (size_t i = 0; i < s->starting_count; i++)
        if (!s->starting[i]->is_overlapping) return true;
    for (size_t i = 0; i < s->running_count; i++)
        if (!s->running[i]->is_overlapping) return true;
    return false;
}

static bool want(pb_store_ScheduleEntity *s, enum schedule_wanted wanted)
{
    bool is_changed = false;
    for (size_t i = 0; i < s->running_count; i++) {
        if (s->running[i]->is_overlapping || s->running[i]->wanted >= (int32_t)wanted) continue;
        s->running[i]->wanted = wanted;
        is_changed = true;
    }
    return is_changed;
}

static int32_t policy_of(const pb_store_ScheduleEntity *s, const pb_store_ScheduleStart *start)
{
    return start->overlap_policy != SCHEDULE_OVERLAP_POLICY_UNSPECIFIED ? start->overlap_policy : s->schedule->policies->overlap_policy;
}

/* Decides about each buffered start, oldest first: now, later or never. */
static bool work_buffer(struct schedule_step *step, pb_store_ScheduleEntity *s)
{
    size_t kept = 0, count = s->buffer_count;
    bool is_changed = false, blocked = is_blocked(s);
    for (size_t i = 0; i < count; i++) {
        pb_store_ScheduleStart *b = s->buffer[i];
        int32_t policy = policy_of(s, b);
        bool has_room = s->starting_count < SCHEDULE_STARTING_MAX, is_other = policy == SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER || policy == SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER;
        if (!may_start(s, b->is_manual)) {
            /* paused, or the last action is taken: nothing to count */
        } else if (policy == SCHEDULE_OVERLAP_POLICY_ALLOW_ALL && has_room) {
            choose(step, s, b, true);
        } else if (policy == SCHEDULE_OVERLAP_POLICY_ALLOW_ALL || (!blocked && !has_room)) {
            s->buffer[kept++] = b;
        } else if (!blocked) {
            choose(step, s, b, false);
            blocked = true;
        } else if (policy == SCHEDULE_OVERLAP_POLICY_BUFFER_ALL || (policy == SCHEDULE_OVERLAP_POLICY_BUFFER_ONE && kept == 0)) {
            s->buffer[kept++] = b;
        } else if (is_other) {
            if (want(s, policy == SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER ? WANTED_CANCEL : WANTED_TERMINATE)) is_changed = true;
            s->info->overlap_skipped += (int64_t)kept; /* it stands for all that waited */
            s->buffer[0] = b;
            kept = 1;
        } else {
            s->info->overlap_skipped++;
        }
    }
    if (kept != count) is_changed = true;
    s->buffer_count = kept;
    return is_changed;
}

/* ---- time ---- */

/* Schedules stored before the default was written down have none. */
static duration catchup_window(const pb_store_ScheduleEntity *s)
{
    const pb_google_Duration *given = s->schedule->policies->catchup_window;
    if (given == NULL || pb_duration(given).ns == 0) return duration_s(catchup_default_s);
    return duration_max(pb_duration(given), duration_s(catchup_min_s));
}

static instant floor_of(const pb_store_ScheduleEntity *s) { return instant_max(pb_instant(s->info->create_time), pb_instant(s->info->update_time)); }

/* The next time by itself; those named before the specification was given are not meant. */
static struct spec_time next_time(const pb_store_ScheduleEntity *s, const struct spec *spec, instant after)
{
    struct spec_time t = spec_next(spec, after);
    if (t.at.ns != INSTANT_NEVER.ns && t.nominal.ns <= floor_of(s).ns) t = spec_next(spec, instant_max(t.at, floor_of(s)));
    return t;
}

static void set_processed(struct schedule_step *step, pb_store_ScheduleEntity *s, instant t) { s->processed = pb_timestamp_new(step->arena, t); }

static bool work_times(struct schedule_step *step, pb_store_ScheduleEntity *s)
{
    bool is_changed = false;
    duration window = catchup_window(s);
    instant at = pb_instant(s->processed);
    for (int looked = 0; at.ns < step->now.ns; looked++) {
        struct spec_time t = next_time(s, step->spec, at);
        if (t.at.ns > step->now.ns || !may_start(s, false)) {
            at = step->now;
            break;
        }
        if (looked == LOOK_MAX) break; /* goes on in the next step */
        at = t.at;
        is_changed = true;
        if (instant_since(step->now, at).ns > window.ns) s->info->missed_catchup_window++;
        else offer(step, s, t.nominal, t.at, SCHEDULE_OVERLAP_POLICY_UNSPECIFIED, false);
        if (s->buffer_count >= SCHEDULE_BUFFER_MAX) work_buffer(step, s);
    }
    if (at.ns > pb_instant(s->processed).ns) set_processed(step, s, at);
    return is_changed;
}

static bool work_backfills(struct schedule_step *step, pb_store_ScheduleEntity *s)
{
    if (s->backfills_count == 0 || s->buffer_count > SCHEDULE_BUFFER_MAX - BACKFILL_STEP) return false;
    pb_schedule_BackfillRequest *b = pb_new(step->arena, pb_schedule_BackfillRequest);
    *b = *s->backfills[0];
    instant from = {pb_instant(b->start_time).ns - 1}, end = pb_instant(b->end_time);
    bool is_done = false;
    for (int i = 0; i < BACKFILL_STEP && !is_done; i++) {
        struct spec_time t = spec_next(step->spec, from);
        is_done = t.at.ns > end.ns || t.at.ns == INSTANT_NEVER.ns;
        if (is_done) break;
        from = t.at;
        if (t.nominal.ns >= pb_instant(b->start_time).ns || i > 0) offer(step, s, t.nominal, t.at, b->overlap_policy, true);
    }
    b->start_time = pb_timestamp_new(step->arena, (instant){from.ns + 1});
    s->backfills[0] = b;
    if (is_done) {
        memmove(s->backfills, s->backfills + 1, (s->backfills_count - 1) * sizeof *s->backfills);
        s->backfills_count--;
    }
    return true;
}

bool schedule_advance(struct schedule_step *step, pb_store_ScheduleEntity *s)
{
    bool has_times = work_times(step, s), has_backfills = work_backfills(step, s);
    bool is_changed = work_buffer(step, s) || has_times || has_backfills;
    if (is_changed) s->last_activity = pb_timestamp_new(step->arena, step->now);
    return is_changed;
}

static bool has_more_times(const pb_store_ScheduleEntity *s) { return may_start(s, false); }

instant schedule_next_wake(const pb_store_ScheduleEntity *s, const struct spec *spec)
{
    if (s->backfills_count != 0 && s->buffer_count <= SCHEDULE_BUFFER_MAX - BACKFILL_STEP) return (instant){1};
    instant next = has_more_times(s) ? next_time(s, spec, pb_instant(s->processed)).at : INSTANT_NEVER;
    bool is_idle = s->running_count == 0 && s->starting_count == 0 && s->buffer_count == 0 && !s->schedule->state->paused;
    if (next.ns == INSTANT_NEVER.ns && is_idle) return instant_add(pb_instant(s->last_activity), duration_s(kept_s));
    return next;
}

bool schedule_is_over(const pb_store_ScheduleEntity *s, const struct spec *spec, instant now)
{
    bool is_idle = s->running_count == 0 && s->starting_count == 0 && s->buffer_count == 0 && s->backfills_count == 0 && !s->schedule->state->paused;
    if (!is_idle || instant_since(now, pb_instant(s->last_activity)).ns < duration_s(kept_s).ns) return false;
    return !has_more_times(s) || next_time(s, spec, pb_instant(s->processed)).at.ns == INSTANT_NEVER.ns;
}

/* ---- clients ---- */

static void touched(struct schedule_step *step, pb_store_ScheduleEntity *s)
{
    s->conflict_token++;
    s->last_activity = pb_timestamp_new(step->arena, step->now);
}

pb_store_ScheduleEntity *schedule_new(struct schedule_step *step, pb_schedule_Schedule *canonical)
{
    pb_store_ScheduleEntity *s = pb_new(step->arena, pb_store_ScheduleEntity);
    char uuid[37];
    prng_uuid(step->prng, uuid);
    s->entity_id = arena_str(step->arena, str_of(uuid));
    s->schedule = canonical;
    s->info = pb_new(step->arena, pb_schedule_ScheduleInfo);
    s->info->create_time = pb_timestamp_new(step->arena, step->now);
    set_processed(step, s, step->now);
    touched(step, s);
    return s;
}

void schedule_update(struct schedule_step *step, pb_store_ScheduleEntity *s, pb_schedule_Schedule *canonical)
{
    schedule_advance(step, s);
    s->schedule = canonical;
    s->info->update_time = pb_timestamp_new(step->arena, step->now);
    set_processed(step, s, step->now);
    touched(step, s);
}

static void set_paused(pb_store_ScheduleEntity *s, bool is_paused, struct str notes)
{
    s->schedule->state->paused = is_paused;
    s->schedule->state->notes = notes;
}

err schedule_patch(struct schedule_step *step, pb_store_ScheduleEntity *s, const pb_schedule_SchedulePatch *patch)
{
    if (s->backfills_count + patch->backfill_request_count > SCHEDULE_BACKFILL_MAX)
        return error_set(step->error, step->arena, ERR_LIMIT, "%zu backfills wait to be worked off; at most %d may", s->backfills_count, SCHEDULE_BACKFILL_MAX);
    schedule_advance(step, s); /* what is due belongs to the state before */
    if (patch->trigger_immediately != NULL) {
        instant nominal = patch->trigger_immediately->scheduled_time != NULL ? pb_instant(patch->trigger_immediately->scheduled_time) : step->now;
        offer(step, s, (instant){nominal.ns - nominal.ns % NS_PER_S}, step->now, patch->trigger_immediately->overlap_policy, true);
    }
    for (size_t i = 0; i < patch->backfill_request_count; i++) PB_PUSH(step->arena, s, backfills) = PB_CLONE(step->arena, pb_schedule_BackfillRequest, patch->backfill_request[i]);
    if (!str_is_empty(patch->pause)) set_paused(s, true, arena_str(step->arena, patch->pause));
    if (!str_is_empty(patch->unpause)) set_paused(s, false, arena_str(step->arena, patch->unpause));
    touched(step, s);
    return ERR_NONE;
}

/* ---- the engine's answers ---- */

static pb_store_ScheduleStart *take_starting(pb_store_ScheduleEntity *s, struct str request_id)
{
    for (size_t i = 0; i < s->starting_count; i++) {
        pb_store_ScheduleStart *start = s->starting[i];
        if (!str_equal(start->request_id, request_id)) continue;
        memmove(s->starting + i, s->starting + i + 1, (s->starting_count - i - 1) * sizeof *s->starting);
        s->starting_count--;
        return start;
    }
    return NULL;
}

static pb_common_WorkflowExecution *execution_of(struct arena *arena, struct str workflow_id, struct str run_id)
{
    pb_common_WorkflowExecution *e = pb_new(arena, pb_common_WorkflowExecution);
    e->workflow_id = arena_str(arena, workflow_id);
    e->run_id = arena_str(arena, run_id);
    return e;
}

void schedule_started(struct schedule_step *step, pb_store_ScheduleEntity *s, struct str request_id, struct str run_id)
{
    const pb_store_ScheduleStart *start = take_starting(s, request_id);
    if (start == NULL) return;
    s->info->action_count++;
    if (s->running_count < SCHEDULE_RUNNING_MAX) {
        pb_store_ScheduleRun *run = PB_PUSH_NEW(step->arena, s, running);
        run->workflow_id = start->workflow_id;
        run->run_id = arena_str(step->arena, run_id);
        run->is_overlapping = start->is_overlapping;
    }
    if (s->info->recent_actions_count >= RECENT_MAX) {
        size_t surplus = s->info->recent_actions_count - RECENT_MAX + 1;
        memmove(s->info->recent_actions, s->info->recent_actions + surplus, (s->info->recent_actions_count - surplus) * sizeof *s->info->recent_actions);
        s->info->recent_actions_count -= surplus;
    }
    pb_schedule_ScheduleActionResult *action = PB_PUSH_NEW(step->arena, s->info, recent_actions);
    action->schedule_time = start->due;
    action->actual_time = pb_timestamp_new(step->arena, step->now);
    action->start_workflow_result = execution_of(step->arena, start->workflow_id, run_id);
    action->start_workflow_status = WORKFLOW_EXECUTION_STATUS_RUNNING;
}

void schedule_not_started(struct schedule_step *step UNUSED, pb_store_ScheduleEntity *s, struct str request_id, bool is_overlap)
{
    const pb_store_ScheduleStart *start = take_starting(s, request_id);
    if (start == NULL) return;
    if (is_overlap) s->info->overlap_skipped++;
    if (!start->is_manual && s->schedule->state->limited_actions) s->schedule->state->remaining_actions++;
}

static void pause_for(struct schedule_step *step, pb_store_ScheduleEntity *s, struct str workflow_id, int32_t status, const pb_failure_Failure *failure)
{
    struct str words = status == WORKFLOW_EXECUTION_STATUS_TIMED_OUT ? STR("it timed out") : failure != NULL && !str_is_empty(failure->message) ? failure->message : STR("it failed");
    words.size = size_min(words.size, 500);
    while (words.size != 0 && ((uint8_t)words.data[words.size - 1] & 0xc0) == 0x80) words.size--; /* not within a character */
    if (words.size != 0 && ((uint8_t)words.data[words.size - 1] & 0xc0) == 0xc0) words.size--;
    struct str note = arena_printf(step->arena, "paused because workflow %.*s did not succeed: %.*s", (int)size_min(workflow_id.size, 300), workflow_id.data, STR_ARG(words));
    set_paused(s, true, note);
    s->conflict_token++;
}

void schedule_closed(struct schedule_step *step, pb_store_ScheduleEntity *s, struct str workflow_id, struct str run_id, int32_t status,
                     const pb_common_Payloads *result, const pb_failure_Failure *failure)
{
    size_t i = 0;
    while (i < s->running_count && !(str_equal(s->running[i]->workflow_id, workflow_id) && str_equal(s->running[i]->run_id, run_id))) i++;
    if (i == s->running_count) return;
    memmove(s->running + i, s->running + i + 1, (s->running_count - i - 1) * sizeof *s->running);
    s->running_count--;
    for (size_t k = 0; k < s->info->recent_actions_count; k++) {
        pb_schedule_ScheduleActionResult *action = s->info->recent_actions[k];
        if (str_equal(action->start_workflow_result->run_id, run_id) && status != 0) action->start_workflow_status = status;
    }
    if (status == WORKFLOW_EXECUTION_STATUS_COMPLETED) {
        s->last_result = result != NULL ? PB_CLONE(step->arena, pb_common_Payloads, result) : NULL;
        s->last_failure = NULL;
    } else if (status == WORKFLOW_EXECUTION_STATUS_FAILED || status == WORKFLOW_EXECUTION_STATUS_TIMED_OUT) {
        s->last_failure = failure != NULL ? PB_CLONE(step->arena, pb_failure_Failure, failure) : NULL;
        if (s->schedule->policies->pause_on_failure && !s->schedule->state->paused) pause_for(step, s, workflow_id, status, failure);
    }
}
