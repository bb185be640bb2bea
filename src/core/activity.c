/* Activities the server gave this worker.
 *
 * Heartbeats are throttled: the first is sent at once, then at most one per interval, always with the latest details;
 * interval = min(0.8 × heartbeat timeout, the worker's maximum), or the worker's default when the activity has no timeout.
 * What has not been sent when the activity fails goes along with the failure. The answer to a heartbeat may ask to cancel.
 * While the SDK is kept from beating, the latest details are sent again twice per timeout (core_worker_keep_alive).
 * A worker-side clock cancels what has outlived its timeout by a margin: the server has given it up long ago. */
#include "core/worker_state.h"

#include <stdlib.h>

static const duration timeout_margin = {4 * NS_PER_S};

struct activity {
    struct str token;                 /* own memory, behind the struct */
    uint64_t permit;
    struct str type, workflow_type;
    instant started_at, scheduled_at;  /* scheduled_at: by the server's clock */
    instant beaten_at;                /* when the last heartbeat was sent; at first started_at */
    duration throttle, heartbeat_timeout;
    struct timer throttle_timer, timeout_timer, heartbeat_timeout_timer;
    struct buf details;               /* encoded Payloads of the latest heartbeat, at first of the attempt before */
    bool has_details, is_sending, is_cancelled; /* has_details: they were not sent yet */
};

static void emit_cancel(struct core_worker *w, struct activity *a, const pb_core_ActivityCancel *cancel)
{
    if (a->is_cancelled) return;
    a->is_cancelled = true;
    pb_core_ActivityTask task = {.task_token = a->token, .variant_case = pb_core_ActivityTask_cancel_tag,
                                 .cancel = (pb_core_ActivityCancel *)cancel};
    PB_ENCODE(pb_core_ActivityTask, &task, &worker_effect(w, EFFECT_ACTIVITY_TASK, STR_EMPTY, STR_EMPTY)->bytes);
}

static void time_out(struct core_worker *w, struct activity *a)
{
    emit_cancel(w, a, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_TIMED_OUT, .is_timed_out = true});
}

static void fire_timeout(struct core_worker *w, struct timer *timer, instant now UNUSED)
{
    time_out(w, container_of(timer, struct activity, timeout_timer));
}

static void fire_heartbeat_timeout(struct core_worker *w, struct timer *timer, instant now UNUSED)
{
    time_out(w, container_of(timer, struct activity, heartbeat_timeout_timer));
}

/* ---- heartbeats --------------------------------------------------------------------------------------------------------- */

static void send_heartbeat(struct core_worker *w, struct activity *a, instant now)
{
    ARENA_ON_STACK(arena, 512);
    pb_common_Payloads *details = NULL;
    err e = PB_DECODE_ALIAS(&arena, buf_view(&a->details), pb_common_Payloads, &details);
    ensure(e == ERR_NONE); /* we encoded it */
    pb_ws_RecordActivityTaskHeartbeatRequest request = {.task_token = a->token, .details = details->payloads_count != 0 ? details : NULL,
                                                        .identity = w->options->identity, .namespace = w->options->namespace};
    WORKER_CALL(w, CORE_HEARTBEAT, pb_ws_RecordActivityTaskHeartbeatRequest, &request, a->token);
    arena_fini(&arena);
    a->is_sending = true;
    a->has_details = false;
    a->beaten_at = now;
    worker_timer(w, &a->throttle_timer, instant_add(now, a->throttle));
}

static void fire_throttle(struct core_worker *w, struct timer *timer, instant now)
{
    struct activity *a = container_of(timer, struct activity, throttle_timer);
    if (a->has_details && !a->is_sending) send_heartbeat(w, a, now);
}

static void expect_heartbeat(struct core_worker *w, struct activity *a, instant now)
{
    if (a->heartbeat_timeout.ns > 0)
        worker_timer(w, &a->heartbeat_timeout_timer, instant_add(instant_add(now, a->heartbeat_timeout), timeout_margin));
}

err core_worker_heartbeat(struct core_worker *w, struct str bytes, instant now)
{
    ARENA_ON_STACK(arena, 512);
    pb_core_ActivityHeartbeat *h;
    err e = PB_DECODE_ALIAS(&arena, bytes, pb_core_ActivityHeartbeat, &h);
    struct activity *a = e == ERR_NONE ? map_get(&w->activities, h->task_token) : NULL;
    if (a != NULL) {
        pb_common_Payloads details = {0};
        PB_SET_ARRAY(&details, payloads, h->details, h->details_count);
        buf_clear(&a->details);
        PB_ENCODE(pb_common_Payloads, &details, &a->details);
        a->has_details = true;
        expect_heartbeat(w, a, now);
        if (!a->is_sending && !heap_has(&a->throttle_timer.node)) send_heartbeat(w, a, now);
    }
    arena_fini(&arena);
    return e;
}

static void keep_alive(struct core_worker *w, struct activity *a, instant now)
{
    if (a->heartbeat_timeout.ns <= 0 || a->is_sending || now.ns - a->beaten_at.ns < a->heartbeat_timeout.ns / 2) return;
    expect_heartbeat(w, a, now);
    send_heartbeat(w, a, now);
}

void core_worker_keep_alive(struct core_worker *w, struct str token, instant now)
{
    struct activity *a = map_get(&w->activities, token);
    if (a != NULL) keep_alive(w, a, now);
    if (token.size != 0) return;
    for (size_t at = 0; (a = map_next(&w->activities, &at, NULL)) != NULL;) keep_alive(w, a, now);
}

bool core_worker_has_heartbeats(const struct core_worker *w) { return w->beating_count != 0; }

void activity_heartbeat_answered(struct core_worker *w, struct str token, int code, struct str response, instant now)
{
    struct activity *a = map_get(&w->activities, token);
    if (a == NULL) return;
    a->is_sending = false;
    if (code == GRPC_NOT_FOUND) {
        emit_cancel(w, a, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_NOT_FOUND, .is_not_found = true});
    } else if (code == GRPC_OK) {
        ARENA_ON_STACK(arena, 256);
        pb_ws_RecordActivityTaskHeartbeatResponse *r;
        if (PB_DECODE_ALIAS(&arena, response, pb_ws_RecordActivityTaskHeartbeatResponse, &r) == ERR_NONE &&
            (r->cancel_requested || r->activity_paused || r->activity_reset))
            emit_cancel(w, a, &(pb_core_ActivityCancel){
                .reason = r->cancel_requested ? ACTIVITY_CANCEL_REASON_CANCELLED : r->activity_paused ? ACTIVITY_CANCEL_REASON_PAUSED
                                                                                                      : ACTIVITY_CANCEL_REASON_RESET,
                .is_cancelled = r->cancel_requested, .is_paused = r->activity_paused, .is_reset = r->activity_reset});
        arena_fini(&arena);
    }
    if (a->has_details && !heap_has(&a->throttle_timer.node)) send_heartbeat(w, a, now);
}

/* ---- start -------------------------------------------------------------------------------------------------------------- */

static void fill_start(pb_core_ActivityStart *s, const pb_ws_PollActivityTaskQueueResponse *poll)
{
    s->activity_id = poll->activity_id;
    s->activity_type = poll->activity_type != NULL ? poll->activity_type->name : STR_EMPTY;
    s->workflow_namespace = poll->workflow_namespace;
    s->workflow_type = poll->workflow_type != NULL ? poll->workflow_type->name : STR_EMPTY;
    s->workflow_id = poll->workflow_execution != NULL ? poll->workflow_execution->workflow_id : STR_EMPTY;
    s->workflow_run_id = poll->workflow_execution != NULL ? poll->workflow_execution->run_id : STR_EMPTY;
    if (poll->header != NULL) {
        s->headers = (void *)poll->header->fields;
        s->headers_count = poll->header->fields_count;
    }
    if (poll->input != NULL) PB_SET_ARRAY(s, input, poll->input->payloads, poll->input->payloads_count);
    if (poll->heartbeat_details != NULL)
        PB_SET_ARRAY(s, heartbeat_details, poll->heartbeat_details->payloads, poll->heartbeat_details->payloads_count);
    s->scheduled_time = poll->scheduled_time;
    s->current_attempt_scheduled_time = poll->current_attempt_scheduled_time;
    s->started_time = poll->started_time;
    s->attempt = (uint32_t)poll->attempt;
    s->schedule_to_close_timeout = poll->schedule_to_close_timeout;
    s->start_to_close_timeout = poll->start_to_close_timeout;
    s->heartbeat_timeout = poll->heartbeat_timeout;
    s->retry_policy = poll->retry_policy;
    s->priority = poll->priority;
    s->activity_run_id = poll->activity_run_id;
}

static struct str append(char **behind, struct str s)
{
    struct str copy = str_make(*behind, s.size);
    if (s.size != 0) memcpy(*behind, s.data, s.size);
    *behind += s.size;
    return copy;
}

static struct activity *activity_create(struct core_worker *w, const pb_ws_PollActivityTaskQueueResponse *poll, struct str type)
{
    struct str workflow_type = poll->workflow_type != NULL ? poll->workflow_type->name : STR_EMPTY;
    struct activity *a = xcalloc(1, sizeof *a + poll->task_token.size + type.size + workflow_type.size);
    char *behind = (char *)(a + 1);
    a->token = append(&behind, poll->task_token);
    a->type = append(&behind, type);
    a->workflow_type = append(&behind, workflow_type);
    a->scheduled_at = pb_instant(poll->scheduled_time);
    a->throttle_timer.fire = fire_throttle;
    a->timeout_timer.fire = fire_timeout;
    a->heartbeat_timeout_timer.fire = fire_heartbeat_timeout;
    const pb_core_WorkerOptions *o = w->options;
    duration longest = o->max_heartbeat_throttle_interval != NULL ? pb_duration(o->max_heartbeat_throttle_interval) : duration_s(60);
    duration usual = o->default_heartbeat_throttle_interval != NULL ? pb_duration(o->default_heartbeat_throttle_interval) : duration_s(30);
    a->heartbeat_timeout = pb_duration(poll->heartbeat_timeout);
    a->throttle = a->heartbeat_timeout.ns > 0 ? (duration){a->heartbeat_timeout.ns / 10 * 8} : usual;
    a->throttle = duration_min(a->throttle, longest);
    if (poll->heartbeat_details != NULL) PB_ENCODE(pb_common_Payloads, poll->heartbeat_details, &a->details);
    return a;
}

static void activity_set_timeouts(struct core_worker *w, struct activity *a, const pb_ws_PollActivityTaskQueueResponse *poll, instant now)
{
    duration close = pb_duration(poll->start_to_close_timeout), total = pb_duration(poll->schedule_to_close_timeout);
    if (close.ns <= 0 || (total.ns > 0 && total.ns < close.ns)) close = total;
    if (close.ns > 0) worker_timer(w, &a->timeout_timer, instant_add(instant_add(now, close), timeout_margin));
    expect_heartbeat(w, a, now);
}

void activity_accept(struct core_worker *w, const pb_ws_PollActivityTaskQueueResponse *poll, uint64_t permit, instant now)
{
    struct str type = poll->activity_type != NULL ? poll->activity_type->name : STR_EMPTY;
    if (map_get(&w->activities, poll->task_token) != NULL) { /* delivered twice */
        slots_give_unused(w, &w->slots[SLOT_ACTIVITY], permit);
        return;
    }
    struct activity *a = activity_create(w, poll, type);
    a->permit = permit;
    a->started_at = a->beaten_at = now;
    if (a->heartbeat_timeout.ns > 0) w->beating_count++;
    map_put(&w->activities, a->token, a);
    slots_use(w, &w->slots[SLOT_ACTIVITY], permit, type);
    worker_count_activity(w, METRIC_ACTIVITY_TASK_RECEIVED, 1, type, a->workflow_type);
    if (poll->current_attempt_scheduled_time != NULL && poll->started_time != NULL)
        worker_count(w, METRIC_ACTIVITY_SCHEDULE_TO_START,
                     ms_between(pb_instant(poll->started_time), pb_instant(poll->current_attempt_scheduled_time)), STR_EMPTY);
    activity_set_timeouts(w, a, poll, now);
    pb_core_ActivityStart start = {0};
    fill_start(&start, poll);
    pb_core_ActivityTask task = {.task_token = a->token, .variant_case = pb_core_ActivityTask_start_tag, .start = &start};
    PB_ENCODE(pb_core_ActivityTask, &task, &worker_effect(w, EFFECT_ACTIVITY_TASK, STR_EMPTY, STR_EMPTY)->bytes);
    bool is_late = w->is_shutting_down && !heap_has(&w->grace_timer.node);
    if (is_late)
        emit_cancel(w, a, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_WORKER_SHUTDOWN, .is_worker_shutdown = true});
}

/* ---- end ---------------------------------------------------------------------------------------------------------------- */

static void activity_free(struct core_worker *w, struct activity *a)
{
    if (a->heartbeat_timeout.ns > 0) w->beating_count--;
    worker_timer_off(w, &a->throttle_timer);
    worker_timer_off(w, &a->timeout_timer);
    worker_timer_off(w, &a->heartbeat_timeout_timer);
    buf_fini(&a->details);
    free(a);
}

void activities_fini(struct core_worker *w)
{
    struct activity *a;
    for (size_t at = 0; (a = map_next(&w->activities, &at, NULL)) != NULL;) activity_free(w, a);
    map_fini(&w->activities);
}

void activity_cancel_all(struct core_worker *w, instant now UNUSED)
{
    struct activity *a;
    for (size_t at = 0; (a = map_next(&w->activities, &at, NULL)) != NULL;)
        emit_cancel(w, a, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_WORKER_SHUTDOWN, .is_worker_shutdown = true});
}

static void answer_completed(struct core_worker *w, const struct activity *a, const pb_core_ActivityResult *r, struct arena *arena)
{
    pb_ws_RespondActivityTaskCompletedRequest request = {
        .task_token = a->token, .identity = w->options->identity, .namespace = w->options->namespace,
        .worker_version = worker_stamp(w, arena), .deployment_options = worker_deployment(w, arena)};
    if (r->completed != NULL && r->completed->result != NULL) {
        request.result = pb_new(arena, pb_common_Payloads);
        PB_PUSH(arena, request.result, payloads) = r->completed->result;
    }
    WORKER_CALL(w, CORE_ACTIVITY_COMPLETED, pb_ws_RespondActivityTaskCompletedRequest, &request, STR_EMPTY);
}

static void answer_failed(struct core_worker *w, const struct activity *a, const pb_core_ActivityResult *r, struct arena *arena)
{
    pb_common_Payloads *details = NULL;
    if (a->has_details || a->is_sending) { /* one on its way may be overtaken */
        err e = PB_DECODE_ALIAS(arena, buf_view(&a->details), pb_common_Payloads, &details);
        ensure(e == ERR_NONE); /* we encoded it */
    }
    pb_ws_RespondActivityTaskFailedRequest request = {
        .task_token = a->token, .failure = r->failed, .identity = w->options->identity, .namespace = w->options->namespace,
        .last_heartbeat_details = details, .worker_version = worker_stamp(w, arena), .deployment_options = worker_deployment(w, arena)};
    WORKER_CALL(w, CORE_ACTIVITY_FAILED, pb_ws_RespondActivityTaskFailedRequest, &request, STR_EMPTY);
}

static void answer_canceled(struct core_worker *w, const struct activity *a, const pb_core_ActivityResult *r, struct arena *arena)
{
    const pb_failure_Failure *f = r->cancelled;
    bool has_details = f != NULL && f->failure_info_case == pb_failure_Failure_canceled_failure_info_tag && f->canceled_failure_info != NULL;
    pb_ws_RespondActivityTaskCanceledRequest request = {
        .task_token = a->token, .details = has_details ? f->canceled_failure_info->details : NULL, .identity = w->options->identity,
        .namespace = w->options->namespace, .worker_version = worker_stamp(w, arena), .deployment_options = worker_deployment(w, arena)};
    WORKER_CALL(w, CORE_ACTIVITY_CANCELED, pb_ws_RespondActivityTaskCanceledRequest, &request, STR_EMPTY);
}

static void activity_close(struct core_worker *w, struct activity *a, const pb_core_ActivityResult *r, struct arena *arena, instant now)
{
    map_remove(&w->activities, a->token);
    switch (r->outcome_case) {
    case pb_core_ActivityResult_completed_tag:
        answer_completed(w, a, r, arena);
        if (instant_is_set(a->scheduled_at))
            worker_count_activity(w, METRIC_ACTIVITY_SUCCEED_LATENCY, ms_between(now, a->scheduled_at), a->type, a->workflow_type);
        break;
    case pb_core_ActivityResult_failed_tag:
        worker_count_activity(w, METRIC_ACTIVITY_EXECUTION_FAILED, 1, a->type, a->workflow_type);
        answer_failed(w, a, r, arena);
        break;
    case pb_core_ActivityResult_cancelled_tag: answer_canceled(w, a, r, arena); break;
    default: break; /* completed from elsewhere, later */
    }
    worker_count_activity(w, METRIC_ACTIVITY_EXECUTION_LATENCY, ms_between(now, a->started_at), a->type, a->workflow_type);
    slots_give(w, &w->slots[SLOT_ACTIVITY], a->permit);
    activity_free(w, a);
}

err core_worker_activity_done(struct core_worker *w, struct str bytes, instant now)
{
    ARENA_ON_STACK(arena, 1024);
    pb_core_ActivityResult *r;
    err e = PB_DECODE_ALIAS(&arena, bytes, pb_core_ActivityResult, &r);
    if (e == ERR_NONE && r->outcome_case == 0) e = ERR_INVALID;
    if (e == ERR_NONE) {
        struct activity *a = map_get(&w->activities, r->task_token);
        if (a != NULL) activity_close(w, a, r, &arena, now);
        else if (local_done(w, r, now) != ERR_NONE) reach("worker: a result for an activity that is gone");
    }
    arena_fini(&arena);
    pollers_fill(w, now);
    worker_check_done(w, now);
    return e;
}
