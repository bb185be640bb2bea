/* Local activities: queued for a slot, run by the SDK, retried here.
 *
 *   QUEUED ── slot ──► RUNNING ── failed, another try soon ──► WAITING ──► QUEUED
 *     │                  │ └── failed, another try too far off ──► ended with a backoff: the workflow waits on a timer
 *     └─ cancelled       └── completed, cancelled, failed for good, out of time ──► ended
 *
 * The SDK knows each try by a token of its own, so an answer that comes after its try timed out finds nobody. */
#include "core/worker_state.h"

#include <math.h>
#include <stdlib.h>

enum local_state { LOCAL_QUEUED, LOCAL_RUNNING, LOCAL_WAITING };
struct local_activity {
    struct list link;    /* in worker->local_all */
    struct list queued;  /* in worker->local_queue */
    enum local_state state;
    struct arena arena;
    const pb_core_ScheduleLocalActivity *schedule;
    struct str run_id, workflow_id, workflow_type, token;
    uint32_t seq, attempt;
    uint64_t permit;
    instant scheduled_at, queued_at, started_at; /* scheduled_at: the first try of all */
    struct timer timer;  /* QUEUED: schedule-to-start; RUNNING: start-to-close; WAITING: the next try */
    struct timer close_timer; /* schedule-to-close */
    bool is_cancelled;
};

static void local_free_one(struct core_worker *w, struct local_activity *l)
{
    worker_timer_off(w, &l->timer);
    worker_timer_off(w, &l->close_timer);
    list_remove(&l->link);
    list_remove(&l->queued);
    if (l->state == LOCAL_RUNNING) {
        map_remove(&w->locals, l->token);
        slots_give(w, &w->slots[SLOT_LOCAL_ACTIVITY], l->permit);
    }
    arena_fini(&l->arena);
    free(l);
}

void locals_fini(struct core_worker *w)
{
    list_each_safe(link, &w->local_all) local_free_one(w, container_of(link, struct local_activity, link));
    map_fini(&w->locals);
}

/* Tells the run how it ended and frees it. */
static void local_end(struct core_worker *w, struct local_activity *l, struct run_local_result *result, instant now)
{
    struct entry *entry = runs_find(w, l->run_id);
    result->seq = l->seq;
    result->attempt = l->attempt;
    if (result->outcome_case == pb_core_ResolveActivity_failed_tag)
        worker_count_activity(w, METRIC_LOCAL_ACTIVITY_EXECUTION_FAILED, 1, l->schedule->activity_type, l->workflow_type);
    if (result->outcome_case == pb_core_ResolveActivity_cancelled_tag)
        worker_count_activity(w, METRIC_LOCAL_ACTIVITY_EXECUTION_CANCELLED, 1, l->schedule->activity_type, l->workflow_type);
    if (entry != NULL && !entry->is_evicting) run_resolve_local(entry->run, result, now);
    local_free_one(w, l);
    if (entry != NULL) runs_drive(w, entry, now);
    local_dispatch(w, now);
}

static pb_failure_Failure *timeout_failure(struct local_activity *l, int32_t type)
{
    pb_failure_Failure *f = pb_new(&l->arena, pb_failure_Failure);
    f->message = STR("Activity timed out");
    f->failure_info_case = pb_failure_Failure_timeout_failure_info_tag;
    f->timeout_failure_info = pb_new(&l->arena, pb_failure_TimeoutFailureInfo);
    f->timeout_failure_info->timeout_type = type;
    return f;
}

static void end_cancelled(struct core_worker *w, struct local_activity *l, const pb_failure_Failure *failure, instant now)
{
    pb_failure_CanceledFailureInfo info = {0};
    pb_failure_Failure own = {.message = STR("Cancelled"), .failure_info_case = pb_failure_Failure_canceled_failure_info_tag,
                              .canceled_failure_info = &info};
    bool is_cancel = failure != NULL && failure->failure_info_case == pb_failure_Failure_canceled_failure_info_tag;
    struct run_local_result result = {.outcome_case = pb_core_ResolveActivity_cancelled_tag, .failure = is_cancel ? failure : &own};
    local_end(w, l, &result, now);
}

/* ---- tries -------------------------------------------------------------------------------------------------------------- */

static void emit_cancel(struct core_worker *w, struct local_activity *l, const pb_core_ActivityCancel *cancel)
{
    pb_core_ActivityTask task = {.task_token = l->token, .variant_case = pb_core_ActivityTask_cancel_tag,
                                 .cancel = (pb_core_ActivityCancel *)cancel};
    PB_ENCODE(pb_core_ActivityTask, &task, &worker_effect(w, EFFECT_ACTIVITY_TASK, STR_EMPTY, STR_EMPTY)->bytes);
}

static void run_try(struct core_worker *w, struct local_activity *l, uint64_t permit, instant now)
{
    const pb_core_ScheduleLocalActivity *s = l->schedule;
    l->state = LOCAL_RUNNING;
    l->permit = permit;
    l->started_at = now;
    l->token = arena_printf(&l->arena, "local:%.*s:%u:%u", STR_ARG(l->run_id), l->seq, l->attempt);
    map_put(&w->locals, l->token, l);
    slots_use(w, &w->slots[SLOT_LOCAL_ACTIVITY], permit, s->activity_type);
    worker_count_activity(w, METRIC_LOCAL_ACTIVITY_TOTAL, 1, s->activity_type, l->workflow_type);
    worker_timer_off(w, &l->timer);
    duration close = pb_duration(s->start_to_close_timeout);
    if (close.ns > 0) worker_timer(w, &l->timer, instant_add(now, close));

    pb_core_ActivityStart start = {
        .activity_id = s->activity_id, .activity_type = s->activity_type, .workflow_namespace = w->options->namespace,
        .workflow_type = l->workflow_type, .workflow_id = l->workflow_id, .workflow_run_id = l->run_id,
        .scheduled_time = pb_timestamp_new(&l->arena, l->scheduled_at),
        .current_attempt_scheduled_time = pb_timestamp_new(&l->arena, l->queued_at), .started_time = pb_timestamp_new(&l->arena, now),
        .attempt = l->attempt, .schedule_to_close_timeout = s->schedule_to_close_timeout,
        .start_to_close_timeout = s->start_to_close_timeout, .retry_policy = s->retry_policy, .is_local = true};
    start.headers = (void *)s->headers;
    start.headers_count = s->headers_count;
    PB_SET_ARRAY(&start, input, s->arguments, s->arguments_count);
    if (str_is_empty(start.activity_id)) start.activity_id = arena_printf(&l->arena, "%u", l->seq);
    pb_core_ActivityTask task = {.task_token = l->token, .variant_case = pb_core_ActivityTask_start_tag, .start = &start};
    PB_ENCODE(pb_core_ActivityTask, &task, &worker_effect(w, EFFECT_ACTIVITY_TASK, STR_EMPTY, STR_EMPTY)->bytes);
}

void local_dispatch(struct core_worker *w, instant now)
{
    while (!list_is_empty(&w->local_queue)) {
        struct slots *slots = &w->slots[SLOT_LOCAL_ACTIVITY];
        uint64_t permit = slots_take(w, slots, false, now);
        if (permit == 0) {
            if (instant_before(now, slots->next_at)) worker_timer(w, &w->fill_timer, slots->next_at);
            return;
        }
        run_try(w, container_of(list_pop(&w->local_queue), struct local_activity, queued), permit, now);
    }
}

static void queue_try(struct core_worker *w, struct local_activity *l, instant now)
{
    l->state = LOCAL_QUEUED;
    l->queued_at = now;
    list_push(&w->local_queue, &l->queued);
    worker_timer_off(w, &l->timer);
    duration wait = pb_duration(l->schedule->schedule_to_start_timeout);
    if (wait.ns > 0) worker_timer(w, &l->timer, instant_add(now, wait));
    local_dispatch(w, now);
}

/* ---- retries ------------------------------------------------------------------------------------------------------------ */

static bool is_retryable(const pb_common_RetryPolicy *policy, const pb_failure_Failure *f)
{
    if (f->failure_info_case != pb_failure_Failure_application_failure_info_tag || f->application_failure_info == NULL) return true;
    if (f->application_failure_info->non_retryable) return false;
    for (size_t i = 0; policy != NULL && i < policy->non_retryable_error_types_count; i++)
        if (str_equal(policy->non_retryable_error_types[i], f->application_failure_info->type)) return false;
    return true;
}

/* The pause before the next try; false: there is none. */
static bool next_pause(const struct local_activity *l, const pb_failure_Failure *f, instant now, duration *pause)
{
    const pb_common_RetryPolicy *p = l->schedule->retry_policy;
    if (p != NULL && p->maximum_attempts > 0 && l->attempt >= (uint32_t)p->maximum_attempts) return false;
    if (!is_retryable(p, f)) return false;
    duration first = p != NULL && p->initial_interval != NULL ? pb_duration(p->initial_interval) : duration_s(1);
    double factor = p != NULL && p->backoff_coefficient >= 1 ? p->backoff_coefficient : 2;
    double most = p != NULL && p->maximum_interval != NULL ? (double)pb_duration(p->maximum_interval).ns : (double)first.ns * 100;
    double wanted = (double)first.ns * pow(factor, (double)l->attempt - 1);
    const pb_failure_ApplicationFailureInfo *info =
        f->failure_info_case == pb_failure_Failure_application_failure_info_tag ? f->application_failure_info : NULL;
    *pause = (duration){(int64_t)fmin(fmin(wanted, most), (double)DURATION_MAX.ns)};
    if (info != NULL && info->next_retry_delay != NULL) *pause = pb_duration(info->next_retry_delay);
    duration total = pb_duration(l->schedule->schedule_to_close_timeout);
    return total.ns <= 0 || instant_before(instant_add(now, *pause), instant_add(l->scheduled_at, total));
}

/* A try did not succeed: wait and try again, let the workflow wait, or end. */
static void try_failed(struct core_worker *w, struct local_activity *l, const pb_failure_Failure *failure, instant now)
{
    duration pause;
    struct run_local_result result = {.outcome_case = pb_core_ResolveActivity_failed_tag, .failure = failure};
    if (l->is_cancelled) {
        end_cancelled(w, l, failure, now);
        return;
    }
    if (!next_pause(l, failure, now, &pause)) {
        local_end(w, l, &result, now);
        return;
    }
    duration threshold = l->schedule->local_retry_threshold != NULL ? pb_duration(l->schedule->local_retry_threshold) : duration_s(60);
    if (pause.ns > threshold.ns) {
        result.outcome_case = pb_core_ResolveActivity_backoff_tag;
        result.backoff = pause;
        local_end(w, l, &result, now);
        return;
    }
    struct entry *entry = runs_find(w, l->run_id);
    if (entry != NULL) run_note_local_retry(entry->run);
    map_remove(&w->locals, l->token);
    slots_give(w, &w->slots[SLOT_LOCAL_ACTIVITY], l->permit);
    l->permit = 0;
    l->state = LOCAL_WAITING;
    l->attempt++;
    worker_timer(w, &l->timer, instant_add(now, pause));
    local_dispatch(w, now);
}

static void fire(struct core_worker *w, struct timer *timer, instant now)
{
    struct local_activity *l = container_of(timer, struct local_activity, timer);
    if (l->state == LOCAL_WAITING) {
        queue_try(w, l, now);
    } else if (l->state == LOCAL_QUEUED) {
        struct run_local_result result = {.outcome_case = pb_core_ResolveActivity_failed_tag,
                                          .failure = timeout_failure(l, TIMEOUT_TYPE_SCHEDULE_TO_START)};
        local_end(w, l, &result, now);
    } else {
        emit_cancel(w, l, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_TIMED_OUT, .is_timed_out = true});
        try_failed(w, l, timeout_failure(l, TIMEOUT_TYPE_START_TO_CLOSE), now);
    }
}

static void fire_close(struct core_worker *w, struct timer *timer, instant now)
{
    struct local_activity *l = container_of(timer, struct local_activity, close_timer);
    if (l->state == LOCAL_RUNNING)
        emit_cancel(w, l, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_TIMED_OUT, .is_timed_out = true});
    struct run_local_result result = {.outcome_case = pb_core_ResolveActivity_failed_tag,
                                      .failure = timeout_failure(l, TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)};
    local_end(w, l, &result, now);
}

/* ---- from runs ---------------------------------------------------------------------------------------------------------- */

void local_start(struct core_worker *w, struct entry *entry, const struct run_local *local, instant now)
{
    struct local_activity *l = xcalloc(1, sizeof *l);
    arena_init(&l->arena, 1024, 0);
    l->schedule = PB_CLONE(&l->arena, pb_core_ScheduleLocalActivity, local->schedule);
    l->run_id = arena_str(&l->arena, run_id(entry->run));
    l->workflow_id = arena_str(&l->arena, run_workflow_id(entry->run));
    l->workflow_type = arena_str(&l->arena, run_workflow_type(entry->run));
    l->seq = local->seq;
    l->attempt = local->attempt;
    l->scheduled_at = local->original_schedule_time;
    l->timer.fire = fire;
    l->close_timer.fire = fire_close;
    list_push(&w->local_all, &l->link);
    duration total = pb_duration(l->schedule->schedule_to_close_timeout);
    if (total.ns > 0) worker_timer(w, &l->close_timer, instant_add(l->scheduled_at, total));
    queue_try(w, l, now);
}

static struct local_activity *local_find(struct core_worker *w, struct str run_id, uint32_t seq)
{
    list_each(link, &w->local_all) {
        struct local_activity *l = container_of(link, struct local_activity, link);
        if (l->seq == seq && str_equal(l->run_id, run_id)) return l;
    }
    return NULL;
}

static void local_cancel(struct core_worker *w, struct local_activity *l, const pb_core_ActivityCancel *cancel, instant now)
{
    if (l->is_cancelled) return;
    l->is_cancelled = true;
    if (l->state == LOCAL_RUNNING) emit_cancel(w, l, cancel);
    else end_cancelled(w, l, NULL, now);
}

void local_stop(struct core_worker *w, struct entry *entry, uint32_t seq, instant now)
{
    struct local_activity *l = local_find(w, run_id(entry->run), seq);
    if (l != NULL) local_cancel(w, l, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_CANCELLED, .is_cancelled = true}, now);
}

void local_drop_run(struct core_worker *w, struct str id)
{
    list_each_safe(link, &w->local_all) {
        struct local_activity *l = container_of(link, struct local_activity, link);
        if (!str_equal(l->run_id, id)) continue;
        if (l->state == LOCAL_RUNNING && !l->is_cancelled)
            emit_cancel(w, l, &(pb_core_ActivityCancel){.reason = ACTIVITY_CANCEL_REASON_CANCELLED, .is_cancelled = true});
        local_free_one(w, l);
    }
}

void local_cancel_all(struct core_worker *w, instant now)
{
    static const pb_core_ActivityCancel cancel = {.reason = ACTIVITY_CANCEL_REASON_WORKER_SHUTDOWN, .is_worker_shutdown = true};
    bool has_ended;
    do { /* ending one may end or start others */
        has_ended = false;
        list_each(link, &w->local_all) {
            struct local_activity *l = container_of(link, struct local_activity, link);
            if (l->is_cancelled) continue;
            local_cancel(w, l, &cancel, now);
            has_ended = true;
            break;
        }
    } while (has_ended);
}

err local_done(struct core_worker *w, const pb_core_ActivityResult *r, instant now)
{
    struct local_activity *l = map_get(&w->locals, r->task_token);
    if (l == NULL) return ERR_NOT_FOUND;
    worker_count_activity(w, METRIC_LOCAL_ACTIVITY_EXECUTION_LATENCY, ms_between(now, l->started_at), l->schedule->activity_type, l->workflow_type);
    worker_timer_off(w, &l->timer);
    struct run_local_result result = {.outcome_case = pb_core_ResolveActivity_completed_tag};
    pb_failure_Failure none = {.message = STR("a local activity can not be completed from elsewhere")};
    switch (r->outcome_case) {
    case pb_core_ActivityResult_completed_tag:
        result.result = r->completed != NULL ? r->completed->result : NULL;
        worker_count_activity(w, METRIC_LOCAL_ACTIVITY_SUCCEED_LATENCY, ms_between(now, l->scheduled_at), l->schedule->activity_type,
                              l->workflow_type);
        local_end(w, l, &result, now);
        break;
    case pb_core_ActivityResult_cancelled_tag: end_cancelled(w, l, r->cancelled, now); break;
    case pb_core_ActivityResult_failed_tag: try_failed(w, l, r->failed != NULL ? r->failed : &none, now); break;
    default:
        result.outcome_case = pb_core_ResolveActivity_failed_tag;
        result.failure = &none;
        local_end(w, l, &result, now);
        break;
    }
    return ERR_NONE;
}
