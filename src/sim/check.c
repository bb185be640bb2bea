/* sim/check.c: what must always hold. A model of the durable state grows with each durable commit; every answer of the
 * server is held against it at the moment it leaves, and everything at the end. */
#include "proto/perdure/schedule.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

struct activity_model { int32_t attempts_max; int told; bool is_closed; int64_t scheduled_event_id; };
struct timer_model { instant not_before; bool is_over; };

struct run_model {
    run_key key;
    char *workflow_id, *run_id;
    char open_key[120];              /* the workflow id within its namespace: namespaces of one name may follow each other */
    int64_t next_event_id, completed_started_id; /* of the newest completed workflow task */
    int64_t first_task_id, last_task_id;         /* completed events of the first and the newest workflow task */
    bool is_open, is_deleted, is_cron;
    bool has_callback, is_chain_end;             /* it has ended, and nothing follows */
    bool is_end_of_reset;                        /* a reset ended it: another may tell, if it was the one that was reset */
    int32_t end_type;                            /* of the event that ended it */
    int told_count;                              /* attempts of callbacks that were answered for good */
    bool is_reset;                   /* its history begins in another run: not all that it ends was begun here */
    struct map activities;           /* activity id -> struct activity_model */
    struct map_u64 activity_of;      /* scheduled event id -> the same */
    struct map_u64 timers;           /* started event id -> struct timer_model */
    struct map signals;              /* text -> the run: seen in history */
    struct map accepted, completed;  /* update id -> the run */
    size_t event_count;
};

struct promise { char *workflow_id, *text; }; /* a signal that was acknowledged */

/* All that have had one schedule id, one after the other. A start that is under way when its schedule is deleted may happen or not. */
struct schedule_model { int64_t begun, told, unsure; char *entity_id; int64_t entity_told, entity_starting; };

struct checker {
    struct sim *sim;
    struct map schedules;            /* schedule id -> struct schedule_model */
    struct map_u64 runs;
    struct map by_run_id;
    struct map open;                 /* open_key -> run_model that is open */
    struct map promises;             /* text -> struct promise */
    struct map operated;             /* workflow ids whose activities somebody may have reset: their attempts count from 1 again */
    struct map_u64 results;          /* run key * 2^24 + scheduled event: acknowledged activity results */
    size_t event_count;
};

void checker_create(struct sim *sim)
{
    sim->checker = xcalloc(1, sizeof *sim->checker);
    sim->checker->sim = sim;
}

static void run_free(struct run_model *run)
{
    void *value;
    for (size_t at = 0; (value = map_next(&run->activities, &at, NULL)) != NULL;) free(value);
    for (size_t at = 0; (value = map_u64_next(&run->timers, &at, NULL)) != NULL;) free(value);
    map_fini(&run->activities);
    map_u64_fini(&run->activity_of);
    map_u64_fini(&run->timers);
    map_fini(&run->signals);
    map_fini(&run->accepted);
    map_fini(&run->completed);
    free(run->workflow_id);
    free(run->run_id);
    free(run);
}

void checker_destroy(struct sim *sim)
{
    struct checker *c = sim->checker;
    struct run_model *run;
    for (size_t at = 0; (run = map_u64_next(&c->runs, &at, NULL)) != NULL;) run_free(run);
    struct promise *promise;
    for (size_t at = 0; (promise = map_next(&c->promises, &at, NULL)) != NULL;) {
        free(promise->workflow_id);
        free(promise->text);
        free(promise);
    }
    map_u64_fini(&c->runs);
    map_fini(&c->by_run_id);
    map_fini(&c->open);
    map_fini(&c->promises);
    map_fini(&c->operated);
    struct schedule_model *schedule;
    for (size_t at = 0; (schedule = map_next(&c->schedules, &at, NULL)) != NULL;) {
        free(schedule->entity_id);
        free(schedule);
    }
    map_fini(&c->schedules);
    map_u64_fini(&c->results);
    free(c);
}

/* ---- durable commits ---- */

static void must(struct checker *c, bool holds, const struct run_model *run, int64_t event_id, const char *what)
{
    if (!holds) sim_fail(c->sim, "workflow %s run %s event %" PRId64 ": %s", run->workflow_id, run->run_id, event_id, what);
}

static void close_run(struct checker *c, struct run_model *run)
{
    run->is_open = false;
    if (map_get(&c->open, str_of(run->open_key)) == run) map_remove(&c->open, str_of(run->open_key));
}

/* Whether a run follows, which then tells of the end. */
static bool is_followed(const pb_history_HistoryEvent *e)
{
    switch (e->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: return true;
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: return e->workflow_execution_completed_event_attributes->new_execution_run_id.size != 0;
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: return e->workflow_execution_failed_event_attributes->new_execution_run_id.size != 0;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: return e->workflow_execution_timed_out_event_attributes->new_execution_run_id.size != 0;
    default: return false;
    }
}

static void activity_end(struct checker *c, struct run_model *run, int64_t event_id, int64_t scheduled_event_id)
{
    struct activity_model *activity = map_u64_get(&run->activity_of, (uint64_t)scheduled_event_id);
    if (activity == NULL && run->is_reset) return;
    must(c, activity != NULL, run, event_id, "ends an activity that was not scheduled");
    must(c, !activity->is_closed, run, event_id, "ends an activity that has ended before");
    activity->is_closed = true;
}

static void see_signal(struct checker *c, struct run_model *run, int64_t event_id, const pb_history_WorkflowExecutionSignaledEventAttributes *a)
{
    struct str text = a->input != NULL && a->input->payloads_count != 0 ? a->input->payloads[0]->data : STR_EMPTY;
    must(c, map_get(&run->signals, text) == NULL, run, event_id, "is a signal that the run has had before");
    map_put(&run->signals, text, run);
}

static void see_update(struct checker *c, struct run_model *run, const pb_history_HistoryEvent *e)
{
    if (e->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) {
        const pb_history_WorkflowExecutionUpdateAcceptedEventAttributes *a = e->workflow_execution_update_accepted_event_attributes;
        struct str id = a->accepted_request != NULL ? a->accepted_request->meta->update_id : a->protocol_instance_id; /* admitted by an event */
        must(c, map_put(&run->accepted, id, run) == NULL, run, e->event_id, "accepts an update again");
        return;
    }
    struct str id = e->workflow_execution_update_completed_event_attributes->meta->update_id;
    must(c, run->is_reset || map_get(&run->accepted, id) != NULL, run, e->event_id, "completes an update that was not accepted");
    must(c, map_put(&run->completed, id, run) == NULL, run, e->event_id, "completes an update again");
}

static void see_timer(struct checker *c, struct run_model *run, const pb_history_HistoryEvent *e)
{
    instant at = pb_instant(e->event_time);
    if (e->event_type == EVENT_TYPE_TIMER_STARTED) {
        struct timer_model *timer = xcalloc(1, sizeof *timer);
        timer->not_before = instant_add(at, pb_duration(e->timer_started_event_attributes->start_to_fire_timeout));
        map_u64_put(&run->timers, (uint64_t)e->event_id, timer);
        return;
    }
    struct timer_model *timer = map_u64_get(&run->timers, (uint64_t)e->timer_fired_event_attributes->started_event_id);
    if (timer == NULL && run->is_reset) return;
    must(c, timer != NULL && !timer->is_over, run, e->event_id, "fires a timer that does not run");
    must(c, !instant_before(at, timer->not_before), run, e->event_id, "fires a timer early");
    bool is_in_calm = c->sim->is_calm && instant_before(instant_add(c->sim->calm_at, c->sim->skew), timer->not_before);
    must(c, !is_in_calm || instant_since(at, timer->not_before).ns < NS_PER_S, run, e->event_id, "fires a timer late though nothing is wrong");
    timer->is_over = true;
}

static void see_activity(struct checker *c, struct run_model *run, const pb_history_HistoryEvent *e)
{
    const pb_history_ActivityTaskScheduledEventAttributes *a = e->activity_task_scheduled_event_attributes;
    struct activity_model *activity = xcalloc(1, sizeof *activity);
    activity->attempts_max = a->retry_policy != NULL ? a->retry_policy->maximum_attempts : 0;
    activity->scheduled_event_id = e->event_id;
    must(c, map_put(&run->activities, a->activity_id, activity) == NULL, run, e->event_id, "schedules an activity id again");
    map_u64_put(&run->activity_of, (uint64_t)e->event_id, activity);
}

/* ---- schedules: what they say they have started, and what has begun ---- */

static struct schedule_model *schedule_model(struct checker *c, struct str id)
{
    struct schedule_model *m = map_get(&c->schedules, id);
    if (m != NULL) return m;
    m = xcalloc(1, sizeof *m);
    map_put(&c->schedules, id, m);
    return m;
}

static void schedule_over(struct schedule_model *m)
{
    m->told += m->entity_told;
    m->unsure += m->entity_starting;
    m->entity_told = m->entity_starting = 0;
    free(m->entity_id);
    m->entity_id = NULL;
}

static void see_schedule(struct checker *c, const struct store_op *op)
{
    struct schedule_model *m = schedule_model(c, str_skip(op->key, 17));
    if (op->kind == STORE_KV_DELETE) {
        schedule_over(m);
        return;
    }
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_store_ScheduleEntity *s;
    if (PB_DECODE(&arena, op->bytes, pb_store_ScheduleEntity, &s) != ERR_NONE) sim_fail(c->sim, "a stored schedule does not decode");
    if (m->entity_id != NULL && !str_equal_c(s->entity_id, m->entity_id)) schedule_over(m);
    if (m->entity_id == NULL) {
        m->entity_id = xcalloc(1, s->entity_id.size + 1);
        memcpy(m->entity_id, s->entity_id.data, s->entity_id.size);
    }
    m->entity_told = s->info->action_count;
    m->entity_starting = (int64_t)s->starting_count;
    arena_fini(&arena);
}

/* "schedule-w3-2025-06-15T15:08:44Z", begun by its schedule and not going on from another run. */
static void see_start(struct checker *c, const struct run_model *run, const pb_history_WorkflowExecutionStartedEventAttributes *a)
{
    enum { SUFFIX = 21 };
    struct str id = str_of(run->workflow_id);
    if (!str_starts_with(id, STR("schedule-")) || id.size <= SUFFIX || !str_is_empty(a->continued_execution_run_id) || a->parent_workflow_execution != NULL) return;
    schedule_model(c, (struct str){id.data, id.size - SUFFIX})->begun++;
}

/* Neither lost nor twice. */
static void end_schedules(struct checker *c)
{
    struct schedule_model *m;
    struct str id;
    for (size_t at = 0; (m = map_next(&c->schedules, &at, &id)) != NULL;) {
        int64_t told = m->told + m->entity_told, most = told + m->unsure + m->entity_starting;
        if (m->begun < told || m->begun > most)
            sim_fail(c->sim, "%.*s has begun %" PRId64 " workflows and says it was %" PRId64 " to %" PRId64, STR_ARG(id), m->begun, told, most);
    }
}

static void see_event(struct checker *c, struct run_model *run, const pb_history_HistoryEvent *e)
{
    must(c, e->event_id == run->next_event_id, run, e->event_id, "does not follow the one before");
    must(c, run->is_open, run, e->event_id, "comes after the end");
    run->next_event_id++;
    run->event_count++;
    c->event_count++;
    switch (e->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
        must(c, e->event_id == 1, run, e->event_id, "starts the run again");
        run->has_callback = e->workflow_execution_started_event_attributes->completion_callbacks_count != 0;
        run->is_cron = e->workflow_execution_started_event_attributes->cron_schedule.size != 0;
        see_start(c, run, e->workflow_execution_started_event_attributes);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        run->end_type = e->event_type;
        run->is_chain_end = !is_followed(e);
        run->is_end_of_reset = e->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED &&
                               str_equal_c(e->workflow_execution_terminated_event_attributes->identity, "history-resetter");
        close_run(c, run);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: see_signal(c, run, e->event_id, e->workflow_execution_signaled_event_attributes); break;
    case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        run->completed_started_id = e->workflow_task_completed_event_attributes->started_event_id;
        run->last_task_id = e->event_id;
        if (run->first_task_id == 0) run->first_task_id = e->event_id;
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: see_update(c, run, e); break;
    case EVENT_TYPE_TIMER_STARTED:
    case EVENT_TYPE_TIMER_FIRED: see_timer(c, run, e); break;
    case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: see_activity(c, run, e); break;
    case EVENT_TYPE_ACTIVITY_TASK_STARTED: {
        const pb_history_ActivityTaskStartedEventAttributes *a = e->activity_task_started_event_attributes;
        const struct activity_model *activity = map_u64_get(&run->activity_of, (uint64_t)a->scheduled_event_id);
        if (activity == NULL && run->is_reset) break;
        must(c, activity != NULL, run, e->event_id, "starts an activity that was not scheduled");
        must(c, activity->attempts_max == 0 || a->attempt <= activity->attempts_max, run, e->event_id, "is an attempt beyond the policy");
        break;
    }
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: activity_end(c, run, e->event_id, e->activity_task_completed_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_FAILED: activity_end(c, run, e->event_id, e->activity_task_failed_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: activity_end(c, run, e->event_id, e->activity_task_timed_out_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_CANCELED: activity_end(c, run, e->event_id, e->activity_task_canceled_event_attributes->scheduled_event_id); break;
    default: break;
    }
}

static struct run_model *run_created(struct checker *c, const struct store_op *op)
{
    struct run_model *run = xcalloc(1, sizeof *run);
    run->key = op->run;
    run->workflow_id = str_dup_c(op->key);
    run->run_id = str_dup_c(op->run_id);
    snprintf(run->open_key, sizeof run->open_key, "%" PRId64 "/%s", op->namespace_key, run->workflow_id);
    run->next_event_id = 1;
    run->is_open = true;
    map_u64_put(&c->runs, (uint64_t)op->run, run);
    must(c, map_put(&c->by_run_id, op->run_id, run) == NULL, run, 0, "has a run id that another run had");
    return run;
}

/* The run goes on from another one's history, and with what its start said. */
static void see_reset(struct checker *c, const struct store_op *op)
{
    struct run_model *run = map_u64_get(&c->runs, (uint64_t)op->run), *base = map_u64_get(&c->runs, (uint64_t)op->a);
    run->is_reset = true;
    if (base == NULL) return;
    run->has_callback |= base->has_callback;
    run->is_cron |= base->is_cron;
}

static void see_history(struct checker *c, const struct store_op *op)
{
    struct run_model *run = map_u64_get(&c->runs, (uint64_t)op->run);
    if (run == NULL) sim_fail(c->sim, "history of a run that does not exist: %" PRId64, op->run);
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_history_History *history;
    must(c, PB_DECODE(&arena, op->bytes, pb_history_History, &history) == ERR_NONE, run, op->a, "begins a batch that does not decode");
    if (run->is_reset && run->event_count == 0) run->next_event_id = op->a; /* what comes before is the other run's */
    must(c, op->a == run->next_event_id && history->events_count == (size_t)op->b, run, op->a, "begins a batch that is not what it says");
    for (size_t i = 0; i < history->events_count; i++) {
        see_event(c, run, history->events[i]);
        sim_trace(c->sim, "durable %s …%s %" PRId64 " type %d", run->workflow_id, run->run_id + 24, history->events[i]->event_id, history->events[i]->event_type);
    }
    arena_fini(&arena);
}

/* Runs first, because history may come before its run's row; then who is open, when all of the commit has been seen. */
void checker_commit(void *arg, const struct store_commit *commit)
{
    struct sim *sim = arg;
    struct checker *c = sim->checker;
    for (size_t i = 0; i < commit->op_count; i++) {
        const struct store_op *op = &commit->ops[i];
        if (op->kind == STORE_RUN_PUT && map_u64_get(&c->runs, (uint64_t)op->run) == NULL) run_created(c, op);
        if ((op->kind == STORE_KV_PUT || op->kind == STORE_KV_DELETE) && op->item_kind == SPACE_SCHEDULE) see_schedule(c, op);
    }
    for (size_t i = 0; i < commit->op_count; i++)
        if (commit->ops[i].kind == STORE_BRANCH_REF) see_reset(c, &commit->ops[i]);
    for (size_t i = 0; i < commit->op_count; i++)
        if (commit->ops[i].kind == STORE_HISTORY_APPEND) see_history(c, &commit->ops[i]);
    for (size_t i = 0; i < commit->op_count; i++) {
        const struct store_op *op = &commit->ops[i];
        struct run_model *run = op->kind == STORE_RUN_PUT || op->kind == STORE_RUN_DELETE ? map_u64_get(&c->runs, (uint64_t)op->run) : NULL;
        if (run == NULL) continue;
        must(c, !run->is_deleted, run, 0, "is written after it was deleted");
        if (op->kind == STORE_RUN_DELETE) {
            run->is_deleted = true;
            close_run(c, run);
        }
        if (!run->is_open) continue;
        struct run_model *other = map_put(&c->open, str_of(run->open_key), run);
        must(c, other == NULL || other == run, run, 0, "is open beside another run of its workflow id");
    }
}

/* ---- answers ---- */

static struct run_model *run_told(struct checker *c, struct str run_id, const char *what)
{
    struct run_model *run = map_get(&c->by_run_id, run_id);
    if (run == NULL) sim_fail(c->sim, "%s tells of run %.*s, which is not durable", what, STR_ARG(run_id));
    return run;
}

static void told_signal(struct checker *c, struct str workflow_id, const pb_common_Payloads *input)
{
    struct str text = input->payloads[0]->data;
    if (map_get(&c->promises, text) != NULL) return;
    struct promise *promise = xcalloc(1, sizeof *promise);
    promise->workflow_id = str_dup_c(workflow_id);
    promise->text = str_dup_c(text);
    map_put(&c->promises, text, promise);
}

static bool is_task_event(const pb_history_HistoryEvent *e)
{
    return e->event_type == EVENT_TYPE_WORKFLOW_TASK_SCHEDULED || e->event_type == EVENT_TYPE_WORKFLOW_TASK_STARTED;
}

/* A worker acts on what it is given: all of it must be durable, but for the start of its own task. */
static void told_workflow_task(struct checker *c, const pb_ws_PollWorkflowTaskQueueResponse *task)
{
    if (str_is_empty(task->task_token)) return;
    const struct run_model *run = run_told(c, task->workflow_execution->run_id, "a workflow task");
    for (size_t i = 0; task->history != NULL && i < task->history->events_count; i++) {
        const pb_history_HistoryEvent *e = task->history->events[i];
        must(c, i == 0 || e->event_id == task->history->events[i - 1]->event_id + 1, run, e->event_id, "is given to a worker after a gap");
        must(c, is_task_event(e) || e->event_id < run->next_event_id, run, e->event_id, "is given to a worker before it is durable");
    }
}

static void told_activity_task(struct checker *c, const pb_ws_PollActivityTaskQueueResponse *task)
{
    if (str_is_empty(task->task_token)) return;
    struct run_model *run = run_told(c, task->workflow_execution->run_id, "an activity task");
    struct activity_model *activity = map_get(&run->activities, task->activity_id);
    if (activity == NULL && run->is_reset) return;
    must(c, activity != NULL, run, 0, "gives a worker an activity that is not durable");
    activity->told++;
    if (activity->attempts_max == 0) return;
    must(c, task->attempt <= activity->attempts_max, run, activity->scheduled_event_id, "is given to a worker beyond its attempts");
    bool may_begin_anew = map_get(&c->operated, str_of(run->workflow_id)) != NULL;
    must(c, may_begin_anew || activity->told <= activity->attempts_max, run, activity->scheduled_event_id, "is given to workers more often than its attempts");
}

static const pb_store_TaskToken *token_of(struct checker *c, struct str bytes, struct arena *arena)
{
    pb_store_TaskToken *token;
    if (PB_DECODE(arena, bytes, pb_store_TaskToken, &token) != ERR_NONE) sim_fail(c->sim, "a task token does not decode");
    return token;
}

static void told_completion(struct checker *c, const pb_ws_RespondWorkflowTaskCompletedRequest *request,
                            const pb_ws_RespondWorkflowTaskCompletedResponse *reply)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    const pb_store_TaskToken *token = token_of(c, request->task_token, &arena);
    const struct run_model *run = run_told(c, token->run_id, "a completed workflow task");
    must(c, token->is_speculative || run->completed_started_id >= token->started_event_id, run, token->started_event_id,
         "is told to be completed and is not");
    if (reply->workflow_task != NULL) told_workflow_task(c, reply->workflow_task);
    for (size_t i = 0; i < reply->activity_tasks_count; i++) told_activity_task(c, reply->activity_tasks[i]);
    arena_fini(&arena);
}

static void told_result(struct checker *c, struct str token_bytes)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    const pb_store_TaskToken *token = token_of(c, token_bytes, &arena);
    run_told(c, token->run_id, "an activity result");
    map_u64_put(&c->results, ((uint64_t)token->run_key << 24) + (uint64_t)token->scheduled_event_id, c);
    arena_fini(&arena);
}

static void told_update(struct checker *c, const pb_ws_UpdateWorkflowExecutionResponse *reply)
{
    const pb_update_UpdateRef *ref = reply->update_ref;
    if (reply->stage < UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED) return;
    const struct run_model *run = run_told(c, ref->workflow_execution->run_id, "an update");
    if (run->is_reset) return; /* it may have been accepted in the run before */
    bool is_rejected = reply->outcome != NULL && reply->outcome->value_case == pb_update_Outcome_failure_tag;
    if (is_rejected && map_get(&run->accepted, ref->update_id) == NULL) return;
    must(c, map_get(&run->accepted, ref->update_id) != NULL, run, 0, "tells of an update that is not durably accepted");
    must(c, reply->outcome == NULL || map_get(&run->completed, ref->update_id) != NULL, run, 0, "tells the outcome of an update that is not durable");
}

static void told_history(struct checker *c, const pb_ws_GetWorkflowExecutionHistoryResponse *reply)
{
    for (size_t i = 1; reply->history != NULL && i < reply->history->events_count; i++)
        if (reply->history->events[i]->event_id != reply->history->events[i - 1]->event_id + 1) sim_fail(c->sim, "a page of history has a gap");
}

void checker_reply(struct sim *sim, const struct pb_method *method, const void *request, const void *reply)
{
    struct checker *c = sim->checker;
    switch (pb_method_index(method)) {
    case pb_ws_ResetWorkflowExecution_method: run_told(c, ((const pb_ws_ResetWorkflowExecutionResponse *)reply)->run_id, "a reset"); break;
    case pb_ws_StartWorkflowExecution_method: run_told(c, ((const pb_ws_StartWorkflowExecutionResponse *)reply)->run_id, "a start"); break;
    case pb_ws_SignalWithStartWorkflowExecution_method: {
        const pb_ws_SignalWithStartWorkflowExecutionRequest *q = request;
        run_told(c, ((const pb_ws_SignalWithStartWorkflowExecutionResponse *)reply)->run_id, "a signal with start");
        told_signal(c, q->workflow_id, q->signal_input);
        break;
    }
    case pb_ws_SignalWorkflowExecution_method: {
        const pb_ws_SignalWorkflowExecutionRequest *q = request;
        told_signal(c, q->workflow_execution->workflow_id, q->input);
        break;
    }
    case pb_ws_UpdateWorkflowExecution_method: told_update(c, reply); break;
    case pb_ws_PollWorkflowTaskQueue_method: told_workflow_task(c, reply); break;
    case pb_ws_PollActivityTaskQueue_method: told_activity_task(c, reply); break;
    case pb_ws_RespondWorkflowTaskCompleted_method: told_completion(c, request, reply); break;
    case pb_ws_RespondActivityTaskCompleted_method: told_result(c, ((const pb_ws_RespondActivityTaskCompletedRequest *)request)->task_token); break;
    case pb_ws_GetWorkflowExecutionHistory_method: told_history(c, reply); break;
    default: break;
    }
}

void checker_operated(struct sim *sim, const char *workflow_id) { map_put(&sim->checker->operated, str_of(workflow_id), sim->checker); }

/* ---- callbacks ---- */

static struct str between(struct str text, const char *before, char end)
{
    const char *at = memmem(text.data, text.size, before, strlen(before));
    if (at == NULL) return STR_EMPTY;
    struct str rest = str_skip(text, (size_t)(at - text.data) + strlen(before));
    const char *stop = memchr(rest.data, end, rest.size);
    return (struct str){rest.data, stop != NULL ? (size_t)(stop - rest.data) : rest.size};
}

void checker_callback(struct sim *sim, struct str headers, int status)
{
    struct checker *c = sim->checker;
    struct str link = between(headers, "/workflows/", '?'), state = between(headers, "Nexus-Operation-State: ", '\r');
    const char *slash = memchr(link.data, '/', link.size);
    struct str run_id = slash != NULL ? between(str_skip(link, (size_t)(slash - link.data)), "/", '/') : STR_EMPTY;
    struct run_model *run = map_get(&c->by_run_id, run_id);
    if (run == NULL) sim_fail(sim, "a callback tells of run %.*s, which is not durable", STR_ARG(run_id));
    const char *right = run->end_type == EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED ? "succeeded" : run->end_type == EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED ? "canceled" : "failed";
    must(c, run->has_callback, run, 0, "is told of and has no callback");
    must(c, run->is_chain_end, run, 0, "is told of, and is not the end of its chain");
    must(c, str_equal_c(state, right), run, 0, "is told to have ended in another way");
    if (status != 500) run->told_count++;
}

static bool is_owed(const struct run_model *run)
{
    return run->has_callback && run->is_chain_end && !run->is_end_of_reset && !run->is_deleted && run->told_count == 0;
}

size_t checker_callbacks_owed(const struct sim *sim)
{
    size_t owed = 0;
    const struct run_model *run;
    for (size_t at = 0; (run = map_u64_next(&sim->checker->runs, &at, NULL)) != NULL;)
        owed += is_owed(run);
    return owed;
}

bool checker_is_endless(const struct sim *sim, const char *run_id)
{
    const struct run_model *run = map_get(&sim->checker->by_run_id, str_of(run_id));
    return run != NULL && run->is_cron;
}

/* ---- memory against store ---- */

static int by_key(const void *a, const void *b)
{
    return str_compare((*(pb_workflow_WorkflowExecutionExtendedInfo_RequestIdInfosEntry *const *)a)->key,
                       (*(pb_workflow_WorkflowExecutionExtendedInfo_RequestIdInfosEntry *const *)b)->key);
}

/* The order of a map says nothing. */
static struct str described(const struct execution *e, struct sim *sim, struct arena *arena)
{
    pb_ws_DescribeWorkflowExecutionResponse *reply = pb_new(arena, pb_ws_DescribeWorkflowExecutionResponse);
    execution_describe(e, cluster_now(sim), arena, reply);
    pb_workflow_WorkflowExecutionExtendedInfo *x = reply->workflow_extended_info;
    if (x->request_id_infos_count > 1) qsort(x->request_id_infos, x->request_id_infos_count, sizeof *x->request_id_infos, by_key);
    return PB_ENCODE_ARENA(pb_ws_DescribeWorkflowExecutionResponse, reply, arena);
}

static void compare_run(void *arg, struct execution *e)
{
    struct sim *sim = arg;
    if (execution_is_dirty(e) || !execution_is_evictable(e)) return; /* some of it is in memory only, as it may be */
    struct store_read read = {.kind = STORE_READ_RUN_KEY, .run = execution_run(e)};
    arena_init(&read.arena, 0, 0);
    faulty_read_seen(sim->disk, &read);
    if (read.result != ERR_NONE) sim_fail(sim, "run %" PRId64 " is in memory, clean, and not stored", execution_run(e));
    struct execution_row row = {read.row.run, read.row.key, read.row.run_id, read.row.bytes};
    struct execution_item *items = arena_array(&read.arena, struct execution_item, read.row_count + 1);
    for (size_t i = 0; i < read.row_count; i++) items[i] = (struct execution_item){read.rows[i].item_kind, read.rows[i].key, read.rows[i].bytes};
    struct execution *loaded;
    if (execution_load(execution_namespace(e), &row, items, read.row_count, &loaded) != ERR_NONE) sim_fail(sim, "run %" PRId64 " does not load", row.run);
    struct str memory = described(e, sim, &read.arena), store = described(loaded, sim, &read.arena);
    const char *what = execution_next_event_id(e) != execution_next_event_id(loaded)     ? "next event id"
                       : execution_status(e) != execution_status(loaded)               ? "status"
                       : execution_next_wake(e).ns != execution_next_wake(loaded).ns   ? "next wake-up"
                       : !str_equal(memory, store)                                     ? "description"
                                                                                       : NULL;
    if (what != NULL)
        sim_fail(sim, "workflow %.*s run %.*s: its %s in memory is not what was stored; next events %" PRId64 ", %" PRId64 ", wake-ups %" PRId64 ", %" PRId64,
                 STR_ARG(row.workflow_id), STR_ARG(row.run_id), what, execution_next_event_id(e), execution_next_event_id(loaded),
                 execution_next_wake(e).ns, execution_next_wake(loaded).ns);
    execution_destroy(loaded);
    arena_fini(&read.arena);
}

void checker_memory(struct sim *sim)
{
    if (sim->is_up && !faulty_is_failing(sim->disk)) shard_each_run(sim->shard, compare_run, sim);
}

/* ---- the end ---- */

size_t checker_open_count(const struct sim *sim) { return map_count(&sim->checker->open); }

void checker_each_open(struct sim *sim, void (*visit)(struct sim *sim, struct str workflow_id, struct str run_id))
{
    const struct run_model *run;
    for (size_t at = 0; (run = map_next(&sim->checker->open, &at, NULL)) != NULL;) visit(sim, str_of(run->workflow_id), str_of(run->run_id));
}

bool checker_reset_point(const struct sim *sim, const char *workflow_id, bool is_first, char run_id[40], int64_t *event_id)
{
    const struct run_model *run, *found = NULL;
    for (size_t at = 0; (run = map_u64_next(&sim->checker->runs, &at, NULL)) != NULL;)
        if (!run->is_deleted && run->last_task_id != 0 && strcmp(run->workflow_id, workflow_id) == 0) found = run;
    if (found == NULL) return false;
    memcpy(run_id, found->run_id, size_min(strlen(found->run_id) + 1, 40));
    *event_id = is_first ? found->first_task_id : found->last_task_id;
    return true;
}

void checker_stats(const struct sim *sim, size_t *runs, size_t *events)
{
    *runs = map_u64_count(&sim->checker->runs);
    *events = sim->checker->event_count;
}

static void end_signals(struct checker *c)
{
    const struct promise *promise;
    for (size_t at = 0; (promise = map_next(&c->promises, &at, NULL)) != NULL;) {
        bool is_seen = false;
        const struct run_model *run;
        for (size_t r = 0; !is_seen && (run = map_u64_next(&c->runs, &r, NULL)) != NULL;) {
            if (!str_equal_c(str_of(run->workflow_id), promise->workflow_id)) continue;
            is_seen = run->is_deleted || map_get(&run->signals, str_of(promise->text)) != NULL; /* what was deleted may have had it */
        }
        if (!is_seen) sim_fail(c->sim, "workflow %s: %s was acknowledged and is in no history", promise->workflow_id, promise->text);
    }
}

static void end_results(struct checker *c)
{
    uint64_t key;
    for (size_t at = 0; map_u64_next(&c->results, &at, &key) != NULL;) {
        const struct run_model *run = map_u64_get(&c->runs, key >> 24);
        const struct activity_model *activity = map_u64_get(&run->activity_of, key & 0xffffff);
        must(c, run->is_deleted || run->is_reset || (activity != NULL && activity->is_closed), run, (int64_t)(key & 0xffffff), "is an activity whose result was acknowledged and is in no history");
    }
}

static void end_messages(struct checker *c)
{
    struct store_read read = {.kind = STORE_READ_MESSAGES};
    arena_init(&read.arena, 0, 0);
    faulty_read_durable(c->sim->disk, &read);
    if (read.row_count != 0) sim_fail(c->sim, "%zu messages between workflows were never delivered", read.row_count);
    arena_fini(&read.arena);
}

void checker_end(struct sim *sim)
{
    struct checker *c = sim->checker;
    const struct run_model *run;
    for (size_t at = 0; (run = map_u64_next(&c->runs, &at, NULL)) != NULL;) must(c, !run->is_open, run, run->next_event_id, "was never written: it is still open");
    end_signals(c);
    for (size_t at = 0; (run = map_u64_next(&c->runs, &at, NULL)) != NULL;)
        must(c, !is_owed(run), run, run->next_event_id, "is the end of a chain, and nobody was told");
    end_results(c);
    end_messages(c);
    end_schedules(c);
}
