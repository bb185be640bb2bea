/* history/activity.c: one activity, from its scheduled event to the event that closes it.
 *
 *                start               complete
 *   SCHEDULED ──────────► STARTED ────────────────► closed
 *    ▲     │               │ │
 *    │     │               │ └──── fail, time out ─► closed, or BACKING_OFF
 *    │     └── time out, cancel ──────────────────► closed
 *    └──── pause over ──── BACKING_OFF
 *
 * (1) attempt is 1 at first and grows by one with each retry; a retry writes no event.
 * (2) The started event is written with the closing one, at the attempt that closed it.
 * (3) stamp grows whenever the activity is offered anew: tasks with an older one are stale.
 * Source: F030, F031, F050, F060-F065; the order of retries and timeouts in limits-and-errors section 5. */
#include "history/machines.h"

enum { INPUT_ROW_FROM = 4096 /* bytes: larger input has a row of its own, which heartbeats do not rewrite */ };

/* ---- what a command asks for ---- */

static struct str command_queue(const struct execution *e, const pb_command_ScheduleActivityTaskCommandAttributes *a)
{
    return a->task_queue != NULL && a->task_queue->name.size != 0 ? a->task_queue->name : e->s->task_queue;
}

static const char *timeouts_problem(const pb_command_ScheduleActivityTaskCommandAttributes *a)
{
    if (ns_of(a->schedule_to_close_timeout) < 0 || ns_of(a->schedule_to_start_timeout) < 0 || ns_of(a->start_to_close_timeout) < 0 ||
        ns_of(a->heartbeat_timeout) < 0)
        return "a timeout is negative";
    if (ns_of(a->schedule_to_close_timeout) == 0 && ns_of(a->start_to_close_timeout) == 0)
        return "it needs a start-to-close or a schedule-to-close timeout";
    return NULL;
}

bool activity_check(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES };
    const pb_command_ScheduleActivityTaskCommandAttributes *a = command->schedule_activity_task_command_attributes;
    const struct limits *limits = c->step->limits;
    size_t id_max = (size_t)limits->id_length_max;
    struct str type = a->activity_type != NULL ? a->activity_type->name : STR_EMPTY;
    if (str_is_empty(a->activity_id)) return completion_refuse(c, BAD, "an activity has no id");
    if (str_is_empty(type)) return completion_refuse(c, BAD, "activity %.*s has no type", STR_ARG(a->activity_id));
    if (a->activity_id.size > id_max || type.size > id_max || command_queue(c->e, a).size > id_max)
        return completion_refuse(c, BAD, "id, type or task queue of an activity is longer than %zu bytes", id_max);
    const char *problem = timeouts_problem(a);
    if (problem == NULL) problem = retry_policy_problem(a->retry_policy);
    if (problem == NULL && a->priority != NULL && a->priority->priority_key < 0) problem = "its priority is negative";
    if (problem != NULL) return completion_refuse(c, BAD, "activity %.*s: %s", STR_ARG(a->activity_id), problem);
    if (!completion_refuse_size(c, BAD, "the input of an activity", payloads_size(a->input), limits->blob_size_max)) return false;
    if (completion_has_id(c, ITEM_ACTIVITY, &c->activities, a->activity_id))
        return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID, "an activity with id %.*s is pending",
                                 STR_ARG(a->activity_id));
    if ((int64_t)item_count(c->e, ITEM_ACTIVITY) + c->new_activities >= limits->pending_activities_max)
        return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_PENDING_ACTIVITIES_LIMIT_EXCEEDED, "%" PRId64 " activities are pending, which is the limit",
                                 limits->pending_activities_max);
    completion_note_id(c, &c->activities, a->activity_id, true);
    completion_note_id(c, &c->scheduled, arena_printf(c->step->arena, "%" PRId64, c->next_id), true);
    c->new_activities++;
    return true;
}

static int64_t at_most(int64_t ns, int64_t most) { return most > 0 && (ns == 0 || ns > most) ? most : ns; }

/* What is missing follows from what is there; nothing outlives the run. (F060) */
static void set_timeouts(pb_store_Activity *a, const pb_command_ScheduleActivityTaskCommandAttributes *command, int64_t run_timeout)
{
    int64_t to_close = ns_of(command->schedule_to_close_timeout);
    a->schedule_to_close_ns = at_most(to_close, run_timeout);
    int64_t most = a->schedule_to_close_ns;
    a->schedule_to_start_ns = at_most(ns_of(command->schedule_to_start_timeout), most);
    a->start_to_close_ns = at_most(ns_of(command->start_to_close_timeout), most);
    a->heartbeat_ns = ns_of(command->heartbeat_timeout);
    if (a->start_to_close_ns > 0 && a->heartbeat_ns > a->start_to_close_ns) a->heartbeat_ns = a->start_to_close_ns;
}

static void scheduled_event(struct completion *c, const pb_command_Command *command, const pb_store_Activity *item)
{
    const pb_command_ScheduleActivityTaskCommandAttributes *from = command->schedule_activity_task_command_attributes;
    struct arena *arena = c->step->arena;
    event *ev = event_new(c->step, EVENT_TYPE_ACTIVITY_TASK_SCHEDULED);
    pb_history_ActivityTaskScheduledEventAttributes *a = EVENT_SET(c->step, ev, activity_task_scheduled_event_attributes);
    ev->user_metadata = command->user_metadata;
    ev->event_group_markers = command->event_group_markers;
    ev->event_group_markers_count = command->event_group_markers_count;
    a->activity_id = from->activity_id;
    a->activity_type = from->activity_type;
    a->task_queue = task_queue_of(arena, item->task_queue);
    a->header = from->header;
    a->input = from->input;
    a->schedule_to_close_timeout = duration_of(arena, item->schedule_to_close_ns);
    a->schedule_to_start_timeout = duration_of(arena, item->schedule_to_start_ns);
    a->start_to_close_timeout = duration_of(arena, item->start_to_close_ns);
    a->heartbeat_timeout = duration_of(arena, item->heartbeat_ns);
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->retry_policy = item->retry_policy;
    a->use_workflow_build_id = from->use_workflow_build_id;
    a->priority = from->priority;
    event_add(c->e, c->step, ev);
}

static const pb_common_Priority *inherited_priority(const struct execution *e, const pb_common_Priority *own, struct arena *arena)
{
    const pb_common_Priority *base = e->s->priority;
    if (base == NULL) return own;
    if (own == NULL) return base;
    pb_common_Priority *p = pb_new(arena, pb_common_Priority);
    p->priority_key = own->priority_key != 0 ? own->priority_key : base->priority_key;
    p->fairness_key = own->fairness_key.size != 0 ? own->fairness_key : base->fairness_key;
    p->fairness_weight = own->fairness_weight > 0 ? own->fairness_weight : base->fairness_weight;
    return p;
}

static void keep_input(struct item *item, const pb_command_ScheduleActivityTaskCommandAttributes *from)
{
    pb_store_Activity *a = item->activity;
    size_t size = payloads_size(from->input) + (from->header != NULL ? PB_SIZE(pb_common_Header, from->header) : 0);
    a->has_input_row = size >= INPUT_ROW_FROM;
    struct item *row = a->has_input_row ? item_new(item->owner, ITEM_ACTIVITY_INPUT, item->number, STR_EMPTY) : item;
    pb_common_Payloads *input = from->input != NULL ? PB_CLONE(&row->arena, pb_common_Payloads, from->input) : NULL;
    pb_common_Header *header = from->header != NULL ? PB_CLONE(&row->arena, pb_common_Header, from->header) : NULL;
    if (a->has_input_row) {
        row->activity_input->input = input;
        row->activity_input->header = header;
    } else {
        a->input = input;
        a->header = header;
    }
}

static pb_ws_PollActivityTaskQueueResponse *poll_reply(const struct item *item, struct arena *arena);
static void take(struct item *item, struct step *step, struct str identity, struct str request_id);

static bool is_eager(const struct completion *c, const pb_command_ScheduleActivityTaskCommandAttributes *a)
{
    return a->request_eager_execution && c->step->limits->eager_activities != 0 && str_equal(command_queue(c->e, a), c->e->s->task_queue) &&
           c->e->s->status == WORKFLOW_EXECUTION_STATUS_RUNNING;
}

void activity_schedule(struct completion *c, const pb_command_Command *command)
{
    const pb_command_ScheduleActivityTaskCommandAttributes *from = command->schedule_activity_task_command_attributes;
    struct execution *e = c->e;
    struct item *item = item_new(e, ITEM_ACTIVITY, e->s->next_event_id, STR_EMPTY);
    pb_store_Activity *a = item->activity;
    a->scheduled_event_id = e->s->next_event_id;
    a->activity_id = item_str(item, from->activity_id);
    a->activity_type = item_str(item, from->activity_type->name);
    a->task_queue = item_str(item, command_queue(e, from));
    set_timeouts(a, from, e->s->run_timeout_ns);
    a->retry_policy = PB_CLONE(&item->arena, pb_common_RetryPolicy, retry_policy_filled(from->retry_policy, c->step->arena));
    const pb_common_Priority *priority = inherited_priority(e, from->priority, c->step->arena);
    if (priority != NULL) a->priority = PB_CLONE(&item->arena, pb_common_Priority, priority);
    if (command->user_metadata != NULL) a->user_metadata = PB_CLONE(&item->arena, pb_sdk_UserMetadata, command->user_metadata);
    keep_input(item, from);
    a->attempt = 1;
    a->stamp = ++e->s->last_stamp;
    a->first_scheduled_at = a->scheduled_at = c->step->now.ns;
    if (a->schedule_to_close_ns > 0) a->expires_at = instant_add(c->step->now, (duration){a->schedule_to_close_ns}).ns;
    item_index_name(item, a->activity_id);
    scheduled_event(c, command, a);
    if (is_eager(c, from)) {
        take(item, c->step, c->request->identity, uuid_new(c->step));
        PB_PUSH(c->step->arena, c->reply, activity_tasks) = poll_reply(item, c->step->arena);
    } else {
        activity_due(item);
        activity_offer(item, c->step);
    }
}

/* ---- when to look at it ---- */

static instant after(int64_t at, int64_t ns) { return ns > 0 ? instant_add((instant){at}, (duration){ns}) : INSTANT_NEVER; }

/* Offers that only memory knows of are made again after a crash: see execution_wanted_wake. */
void activity_count_offer(struct item *item)
{
    bool is_waiting = !item->is_gone && item->activity->state == ACTIVITY_STATE_SCHEDULED && !item->activity->is_paused;
    bool is_offered = is_waiting && !item->activity->is_stored, is_backlog = is_waiting && item->activity->is_stored;
    item->owner->offered_count += is_offered - item->is_offered;
    item->owner->stored_count += is_backlog - item->is_backlog;
    item->is_offered = is_offered;
    item->is_backlog = is_backlog;
}

/* When a running attempt has used up its time, or its heartbeat is missing. The worker measures from when it got the task, which is later: what
 * it sends at its own end of time still counts for a while, the grace of the namespace. */
static instant attempt_end(const pb_store_Activity *a)
{
    return instant_min(after(a->started_at, a->start_to_close_ns), after(a->heartbeat_at > a->started_at ? a->heartbeat_at : a->started_at, a->heartbeat_ns));
}

void activity_due(struct item *item)
{
    activity_count_offer(item);
    const pb_store_Activity *a = item->activity;
    instant due = instant_is_set((instant){a->expires_at}) ? (instant){a->expires_at} : INSTANT_NEVER;
    switch (a->state) {
    case ACTIVITY_STATE_SCHEDULED: due = instant_min(due, a->is_paused ? INSTANT_NEVER : after(a->scheduled_at, a->schedule_to_start_ns)); break;
    case ACTIVITY_STATE_BACKING_OFF: due = instant_min(due, a->is_paused ? INSTANT_NEVER : (instant){a->next_attempt_at}); break;
    case ACTIVITY_STATE_STARTED: due = instant_min(due, instant_add(attempt_end(a), item->owner->ns->activity_grace)); break;
    default: break;
    }
    due_set(item->owner, &item->due, due, a->scheduled_event_id);
}

void activity_offer(struct item *item, struct step *step)
{
    const pb_store_Activity *a = item->activity;
    const pb_store_RunState *s = item->owner->s;
    if (a->is_paused || s->status == WORKFLOW_EXECUTION_STATUS_PAUSED) return;
    struct task_effect *task = step_task(step);
    task->kind = TASK_ACTIVITY;
    task->namespace_key = s->namespace_key;
    task->run = s->run_key;
    task->workflow_id = arena_str(step->arena, s->workflow_id);
    task->run_id = arena_str(step->arena, s->run_id);
    task->queue = arena_str(step->arena, a->task_queue);
    task->scheduled_event_id = a->scheduled_event_id;
    task->attempt = a->attempt;
    task->stamp = a->stamp;
    task->scheduled_at = (instant){a->scheduled_at};
    task->expires_at = a->schedule_to_start_ns > 0 ? after(a->scheduled_at, a->schedule_to_start_ns) : INSTANT_NEVER;
    if (a->priority != NULL) {
        task->priority_key = a->priority->priority_key;
        task->fairness_key = arena_str(step->arena, a->priority->fairness_key);
        task->fairness_weight = a->priority->fairness_weight;
    }
}

/* ---- a worker takes it ---- */

static struct str token_bytes(const struct item *item, struct arena *arena)
{
    const pb_store_Activity *a = item->activity;
    const pb_store_RunState *s = item->owner->s;
    pb_store_TaskToken token = {.kind = TASK_TOKEN_KIND_ACTIVITY, .namespace_key = s->namespace_key, .run_key = s->run_key,
                                .workflow_id = s->workflow_id, .run_id = s->run_id, .namespace_id = item->owner->ns->id};
    token.scheduled_event_id = a->scheduled_event_id;
    token.attempt = a->attempt;
    token.stamp = a->stamp;
    token.started_at = a->started_at;
    token.activity_id = a->activity_id;
    token.activity_type = a->activity_type;
    token.workflow_type = s->workflow_type;
    token.task_queue = a->task_queue;
    return PB_ENCODE_ARENA(pb_store_TaskToken, &token, arena);
}

static pb_ws_PollActivityTaskQueueResponse *poll_reply(const struct item *item, struct arena *arena)
{
    const pb_store_Activity *a = item->activity;
    const struct execution *e = item->owner;
    const struct item *row = a->has_input_row ? item_by_number(e, ITEM_ACTIVITY_INPUT, item->number) : NULL;
    pb_common_Header *header = row != NULL ? row->activity_input->header : a->header;
    pb_common_Payloads *input = row != NULL ? row->activity_input->input : a->input;
    pb_ws_PollActivityTaskQueueResponse *r = pb_new(arena, pb_ws_PollActivityTaskQueueResponse);
    r->task_token = token_bytes(item, arena);
    r->workflow_namespace = arena_str(arena, e->ns->name);
    r->workflow_type = workflow_type_of(arena, arena_str(arena, e->s->workflow_type));
    r->workflow_execution = execution_of(arena, arena_str(arena, e->s->workflow_id), arena_str(arena, e->s->run_id));
    r->activity_type = activity_type_of(arena, arena_str(arena, a->activity_type));
    r->activity_id = arena_str(arena, a->activity_id);
    if (header != NULL) r->header = PB_CLONE(arena, pb_common_Header, header);
    if (input != NULL) r->input = PB_CLONE(arena, pb_common_Payloads, input);
    if (a->heartbeat_details != NULL) r->heartbeat_details = PB_CLONE(arena, pb_common_Payloads, a->heartbeat_details);
    r->scheduled_time = timestamp_of(arena, (instant){a->first_scheduled_at});
    r->current_attempt_scheduled_time = timestamp_of(arena, (instant){a->scheduled_at});
    r->started_time = timestamp_of(arena, (instant){a->started_at});
    r->attempt = a->attempt;
    r->schedule_to_close_timeout = duration_of(arena, a->schedule_to_close_ns);
    r->start_to_close_timeout = duration_of(arena, a->start_to_close_ns);
    r->heartbeat_timeout = duration_of(arena, a->heartbeat_ns);
    r->retry_policy = PB_CLONE(arena, pb_common_RetryPolicy, a->retry_policy);
    if (a->priority != NULL) r->priority = PB_CLONE(arena, pb_common_Priority, a->priority);
    return r;
}

static void take(struct item *item, struct step *step, struct str identity, struct str request_id)
{
    pb_store_Activity *a = item->activity;
    a->state = ACTIVITY_STATE_STARTED;
    a->started_at = step->now.ns;
    a->last_identity = item_str(item, identity);
    a->request_id = item_str(item, request_id);
    a->is_stored = false;
    item_changed(item);
    activity_due(item);
}

err execution_activity_start(struct execution *e, struct step *step, int64_t scheduled_event_id, int64_t stamp,
                             const pb_ws_PollActivityTaskQueueRequest *poll, struct str request_id, pb_ws_PollActivityTaskQueueResponse **reply)
{
    struct item *item = item_by_number(e, ITEM_ACTIVITY, scheduled_event_id);
    pb_store_Activity *a = item != NULL ? item->activity : NULL;
    bool is_there = a != NULL && execution_is_open(e) && a->state == ACTIVITY_STATE_SCHEDULED && a->stamp == stamp && !a->is_paused;
    if (!is_there || e->s->is_full || e->s->status == WORKFLOW_EXECUTION_STATUS_PAUSED)
        return FAIL(step, ERR_TASK_GONE, "the activity task was given out or ended before");
    bool is_durable = a->is_stored || a->retry_policy->maximum_attempts != 0;
    take(item, step, poll->identity, request_id);
    if (is_durable) execution_changed(e, step);
    else execution_changed_in_memory(e, step);
    *reply = poll_reply(item, step->arena);
    return ERR_NONE;
}

/* ---- closing ---- */

/* The started event, at the attempt that ends here; its id, or 0 when no worker has it. */
static int64_t add_started(struct item *item, struct step *step)
{
    const pb_store_Activity *from = item->activity;
    if (from->state != ACTIVITY_STATE_STARTED) return 0;
    event *ev = event_new(step, EVENT_TYPE_ACTIVITY_TASK_STARTED);
    ev->event_time = timestamp_of(step->arena, (instant){from->started_at});
    pb_history_ActivityTaskStartedEventAttributes *a = EVENT_SET(step, ev, activity_task_started_event_attributes);
    a->scheduled_event_id = from->scheduled_event_id;
    a->identity = from->last_identity;
    a->request_id = from->request_id;
    a->attempt = from->attempt;
    a->last_failure = from->last_failure;
    a->worker_version = from->worker_version;
    return event_add(item->owner, step, ev);
}

static void drop(struct item *item)
{
    struct item *row = item->activity->has_input_row ? item_by_number(item->owner, ITEM_ACTIVITY_INPUT, item->number) : NULL;
    if (row != NULL) item_remove(row);
    item_remove(item);
    activity_count_offer(item);
}

static void close_failed(struct item *item, struct step *step, pb_failure_Failure *failure, int32_t retry_state, struct str identity)
{
    int64_t started = add_started(item, step);
    event *ev = event_new(step, EVENT_TYPE_ACTIVITY_TASK_FAILED);
    pb_history_ActivityTaskFailedEventAttributes *a = EVENT_SET(step, ev, activity_task_failed_event_attributes);
    a->failure = failure;
    a->scheduled_event_id = item->number;
    a->started_event_id = started;
    a->identity = identity;
    a->retry_state = retry_state;
    event_add(item->owner, step, ev);
    drop(item);
}

static void close_timed_out(struct item *item, struct step *step, pb_failure_Failure *failure, int32_t retry_state)
{
    int64_t started = add_started(item, step);
    event *ev = event_new(step, EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT);
    pb_history_ActivityTaskTimedOutEventAttributes *a = EVENT_SET(step, ev, activity_task_timed_out_event_attributes);
    a->failure = failure;
    a->scheduled_event_id = item->number;
    a->started_event_id = started;
    a->retry_state = retry_state;
    event_add(item->owner, step, ev);
    drop(item);
}

static void close_canceled(struct item *item, struct step *step, const pb_common_Payloads *details, struct str identity, bool is_by_command)
{
    int64_t started = add_started(item, step);
    event *ev = event_new(step, EVENT_TYPE_ACTIVITY_TASK_CANCELED);
    pb_history_ActivityTaskCanceledEventAttributes *a = EVENT_SET(step, ev, activity_task_canceled_event_attributes);
    a->details = (pb_common_Payloads *)(uintptr_t)details;
    a->latest_cancel_requested_event_id = item->activity->cancel_requested_event_id;
    a->scheduled_event_id = item->number;
    a->started_event_id = started;
    a->identity = identity;
    if (is_by_command) event_add_late(item->owner, step, ev); /* behind what the other commands write */
    else event_add(item->owner, step, ev);
    drop(item);
}

/* ---- retries ---- */

/* What is kept of a failure while the activity is retried: enough to show, bounded. (F061) */
static pb_failure_Failure *shortened(const pb_failure_Failure *f, size_t most, struct arena *arena)
{
    if (failure_size(f) <= most) return PB_CLONE(arena, pb_failure_Failure, f);
    pb_failure_Failure *s = pb_new(arena, pb_failure_Failure);
    size_t room = most / 2, size = size_min(f->message.size, room);
    while (size > 0 && size < f->message.size && ((uint8_t)f->message.data[size] & 0xc0) == 0x80) size--; /* whole characters */
    s->message = arena_str(arena, str_make(f->message.data, size));
    s->source = arena_str(arena, str_make(f->source.data, size_min(f->source.size, room / 4)));
    s->failure_info_case = pb_failure_Failure_server_failure_info_tag;
    s->server_failure_info = pb_new(arena, pb_failure_ServerFailureInfo);
    return s;
}

static void back_off(struct item *item, struct step *step, const pb_failure_Failure *failure, duration pause)
{
    pb_store_Activity *a = item->activity;
    a->last_failure = shortened(failure, (size_t)step->limits->activity_failure_size_max, &item->arena);
    a->state = ACTIVITY_STATE_BACKING_OFF;
    a->attempt++;
    a->stamp = ++item->owner->s->last_stamp;
    a->last_attempt_end_at = step->now.ns;
    a->retry_interval_ns = pause.ns;
    a->next_attempt_at = instant_add(step->now, pause).ns;
    a->started_at = 0;
    a->is_stored = a->is_reset = false;
    if (a->is_heartbeat_reset) a->heartbeat_details = NULL;
    a->is_heartbeat_reset = false;
    item_changed(item);
    activity_due(item);
}

static void offer_again(struct item *item, struct step *step)
{
    pb_store_Activity *a = item->activity;
    a->state = ACTIVITY_STATE_SCHEDULED;
    a->scheduled_at = a->next_attempt_at;
    a->next_attempt_at = 0;
    item_changed(item);
    activity_due(item);
    activity_offer(item, step);
}

/* Fails the attempt. true: there will be another one. */
static bool retry(struct item *item, struct step *step, const pb_failure_Failure *failure, int32_t *state)
{
    const pb_store_Activity *a = item->activity;
    struct retry_answer answer = {RETRY_STATE_CANCEL_REQUESTED, {0}};
    if (!a->is_cancel_requested) answer = retry_next(a->retry_policy, a->is_reset ? 1 : a->attempt, step->now, (instant){a->expires_at}, failure);
    *state = answer.state;
    if (answer.state != RETRY_STATE_IN_PROGRESS) return false;
    if (a->is_reset) item->activity->attempt = 1; /* counts as the first one */
    back_off(item, step, failure, answer.pause);
    return true;
}

/* ---- it is due ---- */

static const char *const timeout_names[] = {"", "StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat"};

static pb_failure_Failure *timeout_of(struct item *item, struct step *step, int32_t type)
{
    pb_failure_Failure *f = timeout_failure(step->arena, arena_printf(step->arena, "activity %s timeout", timeout_names[type]), type);
    f->timeout_failure_info->last_heartbeat_details = item->activity->heartbeat_details;
    return f;
}

static void time_out(struct item *item, struct step *step, int32_t type)
{
    const pb_store_Activity *a = item->activity;
    pb_failure_Failure *failure = timeout_of(item, step, type);
    pb_failure_Failure *last = a->last_failure; /* of the attempt before */
    int32_t state = RETRY_STATE_TIMEOUT;
    struct execution *e = item->owner;
    if (type == TIMEOUT_TYPE_START_TO_CLOSE || type == TIMEOUT_TYPE_HEARTBEAT) {
        if (retry(item, step, failure, &state)) return;
        if (state == RETRY_STATE_TIMEOUT) { /* no time is left for another attempt */
            failure = timeout_of(item, step, TIMEOUT_TYPE_SCHEDULE_TO_CLOSE);
        }
    }
    failure->cause = last;
    close_timed_out(item, step, failure, state);
    workflow_task_want(e, step);
}

void activity_fire(struct item *item, struct step *step)
{
    const pb_store_Activity *a = item->activity;
    instant due = item->due.due;
    heap_remove(&item->owner->due, &item->due);
    execution_changed(item->owner, step);
    bool is_unseen = a->state == ACTIVITY_STATE_SCHEDULED && due.ns == after(a->scheduled_at, a->schedule_to_start_ns).ns;
    if (due.ns == a->expires_at && !is_unseen) { /* of two at the same moment the one that says more */
        time_out(item, step, TIMEOUT_TYPE_SCHEDULE_TO_CLOSE);
    } else if (a->state == ACTIVITY_STATE_BACKING_OFF) {
        offer_again(item, step);
    } else if (a->state == ACTIVITY_STATE_SCHEDULED) {
        time_out(item, step, TIMEOUT_TYPE_SCHEDULE_TO_START);
    } else if (attempt_end(a).ns == after(a->started_at, a->start_to_close_ns).ns) {
        time_out(item, step, TIMEOUT_TYPE_START_TO_CLOSE);
    } else {
        time_out(item, step, TIMEOUT_TYPE_HEARTBEAT);
    }
}

/* ---- what workers answer ---- */

/* The activity whose running attempt the token names. A start that a crash made us forget is believed: the attempt is still
 * ours to end. */
static err find(struct execution *e, struct step *step, const pb_store_TaskToken *token, struct str identity, struct item **found)
{
    if (!execution_is_open(e)) return fail_closed(step, e);
    struct item *item = token->scheduled_event_id != 0 ? item_by_number(e, ITEM_ACTIVITY, token->scheduled_event_id)
                                                       : item_by_name(e, ITEM_ACTIVITY, token->activity_id);
    pb_store_Activity *a = item != NULL ? item->activity : NULL;
    bool is_by_id = token->scheduled_event_id == 0;
    bool is_same = a != NULL && (is_by_id || (a->attempt == token->attempt && a->stamp == token->stamp));
    if (is_same && !is_by_id && a->state == ACTIVITY_STATE_SCHEDULED && token->started_at != 0) {
        reach("activity: the answer to a start that was forgotten");
        a->state = ACTIVITY_STATE_STARTED;
        a->started_at = token->started_at;
        a->last_identity = item_str(item, identity);
        item_changed(item);
        activity_due(item);
    }
    if (!is_same || a->state != ACTIVITY_STATE_STARTED || (!is_by_id && a->started_at != token->started_at))
        return fail_not_found(step, ERR_NOT_STARTED, "no attempt of this activity is running under this token");
    *found = item;
    return ERR_NONE;
}

void execution_activity_note_worker(struct execution *e, const pb_store_TaskToken *token, const pb_common_WorkerVersionStamp *worker)
{
    struct item *item = execution_is_open(e) ? item_by_number(e, ITEM_ACTIVITY, token->scheduled_event_id) : NULL;
    if (item == NULL || item->activity->attempt != token->attempt || item->activity->stamp != token->stamp) return;
    item->activity->worker_version = worker != NULL ? PB_CLONE(&item->arena, pb_common_WorkerVersionStamp, worker) : NULL;
}

static err ended(struct execution *e, struct step *step)
{
    workflow_task_want(e, step);
    execution_settle(e, step);
    return ERR_NONE;
}

err execution_activity_complete(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_common_Payloads *result, struct str identity)
{
    struct item *item = NULL;
    TRY(find(e, step, token, identity, &item));
    TRY(execution_check_full(e, step));
    execution_changed(e, step);
    if (payloads_size(result) > (size_t)step->limits->blob_size_max) {
        pb_failure_Failure *failure = server_failure(step->arena, STR("the result of the activity is larger than allowed"), true);
        failure->source = STR_EMPTY;
        close_failed(item, step, failure, RETRY_STATE_NON_RETRYABLE_FAILURE, identity);
        return ended(e, step);
    }
    int64_t started = add_started(item, step);
    event *ev = event_new(step, EVENT_TYPE_ACTIVITY_TASK_COMPLETED);
    pb_history_ActivityTaskCompletedEventAttributes *a = EVENT_SET(step, ev, activity_task_completed_event_attributes);
    a->result = (pb_common_Payloads *)(uintptr_t)result;
    a->scheduled_event_id = item->number;
    a->started_event_id = started;
    a->identity = identity;
    event_add(e, step, ev);
    drop(item);
    return ended(e, step);
}

static void set_heartbeat(struct item *item, struct step *step, const pb_common_Payloads *details)
{
    pb_store_Activity *a = item->activity;
    a->heartbeat_details = details != NULL ? PB_CLONE(&item->arena, pb_common_Payloads, details) : NULL;
    a->heartbeat_at = step->now.ns;
    item_changed(item);
}

err execution_activity_fail(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_failure_Failure *failure,
                            const pb_common_Payloads *last_heartbeat_details, struct str identity)
{
    struct item *item = NULL;
    TRY(find(e, step, token, identity, &item));
    TRY(execution_check_full(e, step));
    execution_changed(e, step);
    pb_failure_Failure *kept = (pb_failure_Failure *)(uintptr_t)failure;
    if (failure_size(failure) > (size_t)step->limits->blob_size_max) {
        kept = server_failure(step->arena, STR("the failure of the activity is larger than allowed"), true);
        kept->cause = shortened(failure, (size_t)step->limits->activity_failure_size_max, step->arena);
    }
    if (last_heartbeat_details != NULL && payloads_size(last_heartbeat_details) <= (size_t)step->limits->blob_size_max)
        set_heartbeat(item, step, last_heartbeat_details);
    int32_t state;
    if (retry(item, step, kept, &state)) {
        execution_settle(e, step);
        return ERR_NONE;
    }
    close_failed(item, step, kept, state, identity);
    return ended(e, step);
}

err execution_activity_cancel(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_common_Payloads *details, struct str identity)
{
    struct item *item = NULL;
    TRY(find(e, step, token, identity, &item));
    if (!item->activity->is_cancel_requested) return FAIL(step, ERR_INVALID, "nobody asked for the cancellation of this activity");
    TRY(execution_check_full(e, step));
    execution_changed(e, step);
    close_canceled(item, step, details, identity, false);
    return ended(e, step);
}

err execution_activity_heartbeat(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_common_Payloads *details,
                                 struct str identity, pb_ws_RecordActivityTaskHeartbeatResponse *reply)
{
    struct item *item = NULL;
    TRY(find(e, step, token, identity, &item));
    TRY(execution_check_full(e, step));
    execution_changed(e, step);
    if (payloads_size(details) > (size_t)step->limits->blob_size_max) {
        pb_failure_Failure *failure = server_failure(step->arena, STR("the heartbeat of the activity is larger than allowed"), true);
        failure->source = STR_EMPTY;
        close_failed(item, step, failure, RETRY_STATE_NON_RETRYABLE_FAILURE, identity);
        reply->cancel_requested = true;
        return ended(e, step);
    }
    const pb_store_Activity *a = item->activity;
    set_heartbeat(item, step, details);
    activity_due(item);
    reply->cancel_requested = a->is_cancel_requested;
    reply->activity_paused = a->is_paused;
    reply->activity_reset = a->is_reset;
    return ERR_NONE;
}

/* ---- cancellation by the workflow ---- */

bool activity_check_cancel(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES };
    int64_t id = command->request_cancel_activity_task_command_attributes->scheduled_event_id;
    const struct item *item = item_by_number(c->e, ITEM_ACTIVITY, id);
    struct str key = arena_printf(c->step->arena, "%" PRId64, id);
    bool is_fresh = completion_met_id(&c->scheduled, key) != ID_NOT_MET; /* by an earlier command */
    if (item == NULL && !is_fresh && !event_has_buffered_end(c->e, id, c->step->arena))
        return completion_refuse(c, BAD, "no activity that event %" PRId64 " scheduled is pending", id);
    if ((item != NULL && item->activity->is_cancel_requested) || completion_met_id(&c->cancels, key) != ID_NOT_MET)
        return completion_refuse(c, BAD, "the cancellation of activity %" PRId64 " was requested before", id);
    completion_note_id(c, &c->cancels, key, true);
    if (item != NULL && item->activity->state != ACTIVITY_STATE_STARTED) completion_note_id(c, &c->activities, item->activity->activity_id, false);
    return true;
}

/* What the workflow is told of an activity that no worker had taken. */
static pb_common_Payloads *not_started_details(struct arena *arena)
{
    pb_common_Payloads *details = pb_new(arena, pb_common_Payloads);
    pb_common_Payload *payload = PB_PUSH_NEW(arena, details, payloads);
    pb_common_Payload_MetadataEntry *encoding = PB_PUSH_NEW(arena, payload, metadata);
    encoding->key = STR("encoding");
    encoding->value = STR("json/plain");
    payload->data = STR("\"ACTIVITY_ID_NOT_STARTED\"");
    return details;
}

void activity_request_cancel(struct completion *c, const pb_command_Command *command)
{
    int64_t id = command->request_cancel_activity_task_command_attributes->scheduled_event_id;
    struct item *item = item_by_number(c->e, ITEM_ACTIVITY, id);
    event *ev = event_new(c->step, EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED);
    pb_history_ActivityTaskCancelRequestedEventAttributes *a = EVENT_SET(c->step, ev, activity_task_cancel_requested_event_attributes);
    a->scheduled_event_id = id;
    a->workflow_task_completed_event_id = c->completed_event_id;
    int64_t event_id = event_add(c->e, c->step, ev);
    if (item == NULL) return;
    item->activity->is_cancel_requested = true;
    item->activity->cancel_requested_event_id = event_id;
    item_changed(item);
    if (item->activity->state == ACTIVITY_STATE_STARTED) return;
    close_canceled(item, c->step, not_started_details(c->step->arena), c->request->identity, true); /* it ends here */
    c->wants_task = true;
}
