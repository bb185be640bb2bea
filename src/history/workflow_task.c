/* history/workflow_task.c: the workflow task, from scheduling to its end.
 *
 *            schedule             take              complete, fail, time out
 *   NONE ───────────► SCHEDULED ───────► STARTED ────────────────────────────► NONE
 *                         └── sticky worker does not come: times out, SCHEDULED again on the normal queue
 *
 * (1) A normal task's scheduled and started events are in history; those of a transient one (attempt > 1) and of a
 *     speculative one are held back and take the ids behind the newest event: should other events come first, the task
 *     is made a normal one when it is taken.
 * (2) attempt is 1 after each success and grows with each failure; new events in between make it 1 again.
 * Source: F021-F027, limits-and-errors section 4. */
#include "history/machines.h"

enum { SPECULATIVE_WAIT_S = 5, SLOW_FROM_ATTEMPT = 4, SLOW_FIRST_S = 5, SLOW_MAX_S = 600 };

err fail_closed(struct step *step, const struct execution *e)
{
    return fail_not_found(step, ERR_WORKFLOW_CLOSED, "workflow execution %.*s, run %.*s, is already closed", STR_ARG(e->s->workflow_id),
                          STR_ARG(e->s->run_id));
}

bool execution_has_workflow_task(const struct execution *e) { return !task_is(e, WORKFLOW_TASK_STATE_NONE); }
bool execution_workflow_task_is_started(const struct execution *e) { return task_is(e, WORKFLOW_TASK_STATE_STARTED); }
bool execution_has_completed_workflow_task(const struct execution *e) { return e->s->last_completed_task_event_id != 0; }
int32_t execution_workflow_task_attempt(const struct execution *e) { return e->s->task->attempt; }
int64_t execution_previous_started_event_id(const struct execution *e) { return e->s->previous_started_event_id; }

/* ---- timeouts ---- */

/* Attempts that keep failing get more time, so that a broken worker is not asked ever faster. */
static int64_t start_to_close(const struct execution *e)
{
    int64_t ns = e->s->task_timeout_ns;
    if (e->s->task->attempt < SLOW_FROM_ATTEMPT) return ns;
    int64_t more = SLOW_FIRST_S;
    for (int32_t i = SLOW_FROM_ATTEMPT; i < e->s->task->attempt && more < SLOW_MAX_S; i++) more *= 2;
    return ns + (more < SLOW_MAX_S ? more : SLOW_MAX_S) * NS_PER_S;
}

void workflow_task_due(struct execution *e)
{
    const pb_store_WorkflowTask *t = e->s->task;
    instant due = INSTANT_NEVER;
    if (t->state == WORKFLOW_TASK_STATE_SCHEDULED && t->schedule_to_start_ns != 0)
        due = instant_add((instant){t->scheduled_at}, (duration){t->schedule_to_start_ns});
    if (t->state == WORKFLOW_TASK_STATE_STARTED) due = instant_add((instant){t->started_at}, (duration){t->timeout_ns});
    due_set(e, &e->task_due, due, t->scheduled_event_id);
}

/* ---- scheduling ---- */

static bool is_held(const struct execution *e)
{
    return instant_is_set((instant){e->s->first_task_at}) || e->s->is_waiting_for_parent || e->s->is_full ||
           e->s->status == WORKFLOW_EXECUTION_STATUS_PAUSED;
}

static pb_taskqueue_TaskQueue *queue_of(const struct execution *e, struct arena *arena)
{
    if (!e->s->task->is_sticky) return task_queue_of(arena, e->s->task_queue);
    pb_taskqueue_TaskQueue *queue = task_queue_of(arena, e->s->sticky_queue);
    queue->kind = TASK_QUEUE_KIND_STICKY;
    queue->normal_name = e->s->task_queue;
    return queue;
}

static event *scheduled_event(const struct execution *e, struct step *step)
{
    const pb_store_WorkflowTask *t = e->s->task;
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_TASK_SCHEDULED);
    pb_history_WorkflowTaskScheduledEventAttributes *a = EVENT_SET(step, ev, workflow_task_scheduled_event_attributes);
    a->task_queue = queue_of(e, step->arena);
    a->start_to_close_timeout = duration_of(step->arena, t->timeout_ns);
    a->attempt = t->attempt;
    return ev;
}

void workflow_task_offer(struct execution *e, struct step *step)
{
    const pb_store_RunState *s = e->s;
    const pb_store_WorkflowTask *t = s->task;
    if (s->status == WORKFLOW_EXECUTION_STATUS_PAUSED) return; /* offered when the pause ends */
    struct task_effect *task = step_task(step);
    task->kind = TASK_WORKFLOW;
    task->namespace_key = s->namespace_key;
    task->run = s->run_key;
    task->workflow_id = arena_str(step->arena, s->workflow_id);
    task->run_id = arena_str(step->arena, s->run_id);
    task->is_sticky = t->is_sticky;
    task->queue = arena_str(step->arena, t->is_sticky ? s->sticky_queue : s->task_queue);
    if (t->is_sticky) task->normal_queue = arena_str(step->arena, s->task_queue);
    task->scheduled_event_id = t->scheduled_event_id;
    task->attempt = t->attempt;
    task->stamp = t->stamp;
    task->scheduled_at = (instant){t->scheduled_at};
    task->expires_at = INSTANT_NEVER;
    if (s->priority != NULL) {
        task->priority_key = s->priority->priority_key;
        task->fairness_key = arena_str(step->arena, s->priority->fairness_key);
        task->fairness_weight = s->priority->fairness_weight;
    }
}

static void begin(struct execution *e, struct step *step, int32_t kind, instant original)
{
    pb_store_WorkflowTask *t = e->s->task;
    bool is_sticky = !str_is_empty(e->s->sticky_queue);
    if (t->attempt < 1) t->attempt = 1;
    t->state = WORKFLOW_TASK_STATE_SCHEDULED;
    t->kind = kind;
    t->stamp = ++e->s->last_stamp;
    t->scheduled_at = step->now.ns;
    t->original_scheduled_at = instant_is_set(original) ? original.ns : step->now.ns;
    t->started_at = t->started_event_id = 0;
    t->is_sticky = is_sticky;
    t->is_stored = false;
    t->schedule_to_start_ns = is_sticky ? e->s->sticky_timeout_ns : kind == WORKFLOW_TASK_KIND_SPECULATIVE ? SPECULATIVE_WAIT_S * NS_PER_S : 0;
    t->timeout_ns = start_to_close(e);
    t->identity = t->request_id = STR_EMPTY;
    t->scheduled_event_id = e->s->next_event_id;
    if (kind == WORKFLOW_TASK_KIND_NORMAL) event_add(e, step, scheduled_event(e, step));
    workflow_task_due(e);
    workflow_task_offer(e, step);
}

void workflow_task_schedule(struct execution *e, struct step *step, instant original)
{
    if (!execution_is_open(e) || execution_has_workflow_task(e)) return;
    if (event_flush_buffer(e, step)) { /* also when the next task is held back: later events come later */
        e->s->task->attempt = 1;
        execution_changed(e, step);
    }
    if (is_held(e)) return;
    execution_changed(e, step);
    begin(e, step, e->s->task->attempt > 1 ? WORKFLOW_TASK_KIND_TRANSIENT : WORKFLOW_TASK_KIND_NORMAL, original);
}

void workflow_task_want(struct execution *e, struct step *step) { workflow_task_schedule(e, step, (instant){0}); }

void workflow_task_schedule_speculative(struct execution *e, struct step *step)
{
    if (!execution_is_open(e) || execution_has_workflow_task(e) || is_held(e)) return;
    if (e->s->task->attempt > 1) { /* after a failure: an ordinary transient task carries the updates */
        workflow_task_want(e, step);
        return;
    }
    begin(e, step, WORKFLOW_TASK_KIND_SPECULATIVE, (instant){0});
    execution_changed_in_memory(e, step);
}

void workflow_task_make_normal(struct execution *e, struct step *step)
{
    pb_store_WorkflowTask *t = e->s->task;
    if (t->state != WORKFLOW_TASK_STATE_SCHEDULED || t->kind == WORKFLOW_TASK_KIND_NORMAL) return;
    t->kind = WORKFLOW_TASK_KIND_NORMAL;
    t->attempt = 1;
    t->scheduled_event_id = e->s->next_event_id;
    t->schedule_to_start_ns = t->is_sticky ? e->s->sticky_timeout_ns : 0;
    t->timeout_ns = start_to_close(e);
    event_add(e, step, scheduled_event(e, step));
    workflow_task_due(e);
    execution_changed(e, step);
}

/* ---- a worker takes it ---- */

static void suggest(struct execution *e, const struct limits *limits)
{
    pb_store_WorkflowTask *t = e->s->task;
    bool is_big = limits->history_size_suggest > 0 && e->s->history_size >= limits->history_size_suggest;
    bool is_long = limits->history_count_suggest > 0 && e->s->next_event_id >= limits->history_count_suggest;
    bool has_many_updates = limits->updates_total_max > 0 && e->s->update_count * 10 >= limits->updates_total_max * 9;
    PB_SET_ARRAY(t, suggest_reasons, NULL, 0);
    if (is_big) PB_PUSH(&e->arena, t, suggest_reasons) = SUGGEST_CONTINUE_AS_NEW_REASON_HISTORY_SIZE_TOO_LARGE;
    if (is_long) PB_PUSH(&e->arena, t, suggest_reasons) = SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_HISTORY_EVENTS;
    if (has_many_updates) PB_PUSH(&e->arena, t, suggest_reasons) = SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_UPDATES;
    t->suggests_continue_as_new = is_big || is_long || has_many_updates;
    t->history_size = e->s->history_size;
}

static event *started_event(const struct execution *e, struct step *step)
{
    const pb_store_WorkflowTask *t = e->s->task;
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_TASK_STARTED);
    ev->event_time = timestamp_of(step->arena, (instant){t->started_at});
    pb_history_WorkflowTaskStartedEventAttributes *a = EVENT_SET(step, ev, workflow_task_started_event_attributes);
    a->scheduled_event_id = t->scheduled_event_id;
    a->identity = t->identity;
    a->request_id = t->request_id;
    a->suggest_continue_as_new = t->suggests_continue_as_new;
    PB_SET_ARRAY(a, suggest_continue_as_new_reasons, t->suggest_reasons, t->suggest_reasons_count);
    a->history_size_bytes = t->history_size;
    a->worker_version = t->worker_version;
    return ev;
}

void workflow_task_take(struct execution *e, struct step *step, struct str identity, struct str request_id, const pb_common_WorkerVersionStamp *worker)
{
    pb_store_WorkflowTask *t = e->s->task;
    ensure(t->state == WORKFLOW_TASK_STATE_SCHEDULED);
    if (t->kind != WORKFLOW_TASK_KIND_NORMAL && t->scheduled_event_id != e->s->next_event_id) workflow_task_make_normal(e, step);
    suggest(e, step->limits);
    t->state = WORKFLOW_TASK_STATE_STARTED;
    t->started_at = step->now.ns;
    t->identity = core_str(e, identity);
    t->request_id = core_str(e, request_id);
    t->worker_version = worker != NULL && worker->build_id.size != 0 ? PB_CLONE(&e->arena, pb_common_WorkerVersionStamp, worker) : NULL;
    t->started_event_id = t->kind == WORKFLOW_TASK_KIND_NORMAL ? e->s->next_event_id : t->scheduled_event_id + 1;
    if (t->kind == WORKFLOW_TASK_KIND_NORMAL) event_add(e, step, started_event(e, step));
    workflow_task_due(e);
}

void workflow_task_write_held(struct execution *e, struct step *step)
{
    pb_store_WorkflowTask *t = e->s->task;
    if (t->kind == WORKFLOW_TASK_KIND_NORMAL) return;
    event *ev = scheduled_event(e, step);
    ev->event_time = timestamp_of(step->arena, (instant){t->scheduled_at});
    t->scheduled_event_id = event_add(e, step, ev);
    t->started_event_id = event_add(e, step, started_event(e, step));
    t->kind = WORKFLOW_TASK_KIND_NORMAL;
}

struct str execution_transient_events(const struct execution *e, struct arena *arena)
{
    const pb_store_WorkflowTask *t = e->s->task;
    if (t->state != WORKFLOW_TASK_STATE_STARTED || t->kind == WORKFLOW_TASK_KIND_NORMAL) return STR_EMPTY;
    struct step step = {.arena = arena, .now = {t->scheduled_at}};
    event *events[2] = {scheduled_event(e, &step), started_event(e, &step)};
    events[0]->event_id = t->scheduled_event_id;
    events[1]->event_id = t->started_event_id;
    pb_history_History history = {.events = events, .events_count = 2};
    return PB_ENCODE_ARENA(pb_history_History, &history, arena);
}

static struct str token_bytes(const struct execution *e, struct arena *arena)
{
    const pb_store_RunState *s = e->s;
    pb_store_TaskToken token = {.kind = TASK_TOKEN_KIND_WORKFLOW, .namespace_key = s->namespace_key, .run_key = s->run_key,
                                .workflow_id = s->workflow_id, .run_id = s->run_id, .namespace_id = e->ns->id};
    token.scheduled_event_id = s->task->scheduled_event_id;
    token.started_event_id = s->task->started_event_id;
    token.attempt = s->task->attempt;
    token.stamp = s->task->stamp;
    token.started_at = s->task->started_at;
    token.is_speculative = s->task->kind == WORKFLOW_TASK_KIND_SPECULATIVE;
    return PB_ENCODE_ARENA(pb_store_TaskToken, &token, arena);
}

void workflow_task_reply(const struct execution *e, struct step *step, bool is_partial, pb_ws_PollWorkflowTaskQueueResponse **reply,
                         struct task_history *history)
{
    const pb_store_RunState *s = e->s;
    struct arena *arena = step->arena;
    pb_ws_PollWorkflowTaskQueueResponse *r = pb_new(arena, pb_ws_PollWorkflowTaskQueueResponse);
    r->task_token = token_bytes(e, arena);
    r->workflow_execution = execution_of(arena, arena_str(arena, s->workflow_id), arena_str(arena, s->run_id));
    r->workflow_type = workflow_type_of(arena, arena_str(arena, s->workflow_type));
    r->previous_started_event_id = s->previous_started_event_id;
    r->started_event_id = s->task->started_event_id;
    r->attempt = s->task->attempt;
    r->workflow_execution_task_queue = task_queue_of(arena, arena_str(arena, s->task_queue));
    r->scheduled_time = timestamp_of(arena, (instant){s->task->scheduled_at});
    r->started_time = timestamp_of(arena, (instant){s->task->started_at});
    *history = (struct task_history){.from = is_partial ? s->previous_started_event_id + 1 : 1, .to = s->next_event_id,
                                     .transient = execution_transient_events(e, arena)};
    *reply = r;
}

err execution_workflow_task_start(struct execution *e, struct step *step, int64_t scheduled_event_id, int64_t stamp,
                                  const pb_ws_PollWorkflowTaskQueueRequest *poll, struct str request_id, bool is_sticky_queue,
                                  pb_ws_PollWorkflowTaskQueueResponse **reply, struct task_history *history)
{
    pb_store_WorkflowTask *t = e->s->task;
    (void)scheduled_event_id; /* changes when a held-back task becomes a normal one; the stamp names the task */
    if (e->s->status != WORKFLOW_EXECUTION_STATUS_RUNNING || e->s->is_full || t->state != WORKFLOW_TASK_STATE_SCHEDULED || t->stamp != stamp)
        return FAIL(step, ERR_TASK_GONE, "the workflow task was given out or ended before");
    bool was_stored = t->is_stored;
    if (!is_sticky_queue) workflow_task_drop_sticky(e);
    const pb_common_WorkerVersionCapabilities *able = poll->worker_version_capabilities;
    const pb_common_WorkerVersionStamp worker = {.build_id = able != NULL ? able->build_id : STR_EMPTY, .use_versioning = able != NULL && able->use_versioning};
    workflow_task_take(e, step, poll->identity, request_id, &worker);
    if (was_stored && t->kind != WORKFLOW_TASK_KIND_SPECULATIVE) execution_changed(e, step); /* its backlog row may go only after this */
    else execution_changed_in_memory(e, step);
    workflow_task_reply(e, step, is_sticky_queue, reply, history);
    update_attach(e, step, *reply);
    return ERR_NONE;
}

/* ---- its end ---- */

void workflow_task_clear(struct execution *e)
{
    pb_store_WorkflowTask *t = e->s->task;
    t->state = WORKFLOW_TASK_STATE_NONE;
    t->kind = WORKFLOW_TASK_KIND_NORMAL;
    t->is_stored = false;
    workflow_task_due(e);
}

void workflow_task_drop_sticky(struct execution *e)
{
    e->s->sticky_queue = STR_EMPTY;
    e->s->sticky_timeout_ns = 0;
}

void execution_forget_sticky(struct execution *e, struct step *step)
{
    if (str_is_empty(e->s->sticky_queue)) return;
    workflow_task_drop_sticky(e);
    execution_changed_in_memory(e, step);
}

err workflow_task_check(struct execution *e, struct step *step, const pb_store_TaskToken *token)
{
    const pb_store_WorkflowTask *t = e->s->task;
    if (!execution_is_open(e)) return fail_closed(step, e);
    bool is_same = t->state == WORKFLOW_TASK_STATE_STARTED && t->scheduled_event_id == token->scheduled_event_id &&
                   t->started_event_id == token->started_event_id && t->attempt == token->attempt && t->stamp == token->stamp &&
                   t->started_at == token->started_at;
    if (!is_same) return fail_not_found(step, ERR_TASK_GONE, "the workflow task has ended or was given out again");
    return execution_check_full(e, step);
}

/* The next attempt is due at once; only the first failure of a row is written. (F023) */
static void failed(struct execution *e, bool counts)
{
    workflow_task_clear(e);
    workflow_task_drop_sticky(e);
    if (counts) {
        e->s->task->attempt++;
        e->s->task->attempts_in_a_row++;
    } else {
        e->s->task->attempt = 1;
    }
}

void workflow_task_fail_started(struct execution *e, struct step *step, int32_t cause, pb_failure_Failure *failure, struct str identity,
                                struct str binary_checksum)
{
    pb_store_WorkflowTask *t = e->s->task;
    bool was_speculative = t->kind == WORKFLOW_TASK_KIND_SPECULATIVE;
    if (was_speculative) workflow_task_write_held(e, step);
    if (t->kind == WORKFLOW_TASK_KIND_NORMAL) {
        event *ev = event_new(step, EVENT_TYPE_WORKFLOW_TASK_FAILED);
        pb_history_WorkflowTaskFailedEventAttributes *a = EVENT_SET(step, ev, workflow_task_failed_event_attributes);
        a->scheduled_event_id = t->scheduled_event_id;
        a->started_event_id = t->started_event_id;
        a->cause = cause;
        a->failure = failure;
        a->identity = identity;
        a->binary_checksum = binary_checksum;
        event_add(e, step, ev);
    }
    t->last_failed_cause = cause;
    failed(e, cause != WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND);
    execution_changed(e, step);
    attributes_show_problem(e, step, cause);
    update_task_failed(e, step, cause);
    step_notice(step, NOTICE_WORKFLOW_TASK_CLOSED, e, STR_EMPTY);
}

err execution_workflow_task_fail(struct execution *e, struct step *step, const pb_ws_RespondWorkflowTaskFailedRequest *request,
                                 const pb_store_TaskToken *token)
{
    TRY(workflow_task_check(e, step, token));
    pb_failure_Failure *failure = request->failure;
    int32_t cause = request->cause;
    if (failure_size(failure) > (size_t)step->limits->blob_size_max) failure = server_failure(step->arena, STR("the failure was too large to be kept"), true);
    workflow_task_fail_started(e, step, cause, failure, request->identity, request->binary_checksum);
    workflow_task_want(e, step);
    execution_settle(e, step);
    return ERR_NONE;
}

static void timed_out_event(struct execution *e, struct step *step, int32_t type)
{
    const pb_store_WorkflowTask *t = e->s->task;
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT);
    pb_history_WorkflowTaskTimedOutEventAttributes *a = EVENT_SET(step, ev, workflow_task_timed_out_event_attributes);
    a->scheduled_event_id = t->scheduled_event_id;
    a->started_event_id = type == TIMEOUT_TYPE_START_TO_CLOSE ? t->started_event_id : 0;
    a->timeout_type = type;
    event_add(e, step, ev);
}

/* Nobody took the sticky task, or the speculative one. */
static void not_taken(struct execution *e, struct step *step)
{
    pb_store_WorkflowTask *t = e->s->task;
    execution_changed(e, step);
    if (t->kind == WORKFLOW_TASK_KIND_SPECULATIVE) { /* it may stay: as a normal task it has no such limit */
        if (t->is_sticky) workflow_task_drop_sticky(e);
        t->is_sticky = false;
        t->stamp = ++e->s->last_stamp;
        t->is_stored = false; /* what the backlog may hold is the task before */
        workflow_task_make_normal(e, step);
        workflow_task_offer(e, step);
        return;
    }
    if (t->kind == WORKFLOW_TASK_KIND_NORMAL) timed_out_event(e, step, TIMEOUT_TYPE_SCHEDULE_TO_START);
    int32_t attempt = t->attempt;
    failed(e, false);
    t->attempt = attempt;
    workflow_task_want(e, step);
}

void workflow_task_timed_out(struct execution *e, struct step *step)
{
    pb_store_WorkflowTask *t = e->s->task;
    if (t->state == WORKFLOW_TASK_STATE_SCHEDULED) {
        not_taken(e, step);
        return;
    }
    execution_changed(e, step);
    if (t->kind == WORKFLOW_TASK_KIND_SPECULATIVE) workflow_task_write_held(e, step);
    if (t->kind == WORKFLOW_TASK_KIND_NORMAL) timed_out_event(e, step, TIMEOUT_TYPE_START_TO_CLOSE);
    failed(e, true);
    attributes_show_problem(e, step, 0);
    update_task_failed(e, step, 0);
    step_notice(step, NOTICE_WORKFLOW_TASK_CLOSED, e, STR_EMPTY);
    workflow_task_want(e, step);
}

void execution_query_queue(const struct execution *e, struct str *queue, bool *is_sticky, struct str *normal_queue, duration *sticky_timeout)
{
    *is_sticky = !str_is_empty(e->s->sticky_queue);
    *queue = *is_sticky ? e->s->sticky_queue : e->s->task_queue;
    *normal_queue = e->s->task_queue;
    *sticky_timeout = (duration){e->s->sticky_timeout_ns};
}
