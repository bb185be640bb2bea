/* Pollers: how many long polls of each kind are out.
 *
 * A poll is sent with a permit in hand, so a task that comes always has its slot. Workflow polls are divided between the
 * queue that everybody shares and the sticky one of this worker; when one slot is left, the kind that has no poll out
 * gets it. While more than CORE_UNTAKEN_MAX activations wait for a thread, no workflow poll is sent: a task fetched later
 * holds more. Autoscaling follows the server's advice and gives a poll up that came back empty. */
#include "core/worker_state.h"

enum { POLLS_DEFAULT = 5 };

static void poller_init(struct poller *p, enum poller_kind kind, const pb_core_PollerBehavior *b, uint32_t simple_target)
{
    *p = (struct poller){.kind = kind, .target = simple_target, .minimum = simple_target, .maximum = simple_target};
    if (b == NULL || !b->is_autoscaling) return;
    p->is_autoscaling = true;
    p->minimum = b->minimum != 0 ? b->minimum : 1;
    p->maximum = b->maximum > p->minimum ? b->maximum : p->minimum;
    p->target = b->initial < p->minimum ? p->minimum : b->initial > p->maximum ? p->maximum : b->initial;
}

static uint32_t behavior_maximum(const pb_core_PollerBehavior *b)
{
    return b != NULL && b->maximum != 0 ? b->maximum : POLLS_DEFAULT;
}

void pollers_init(struct core_worker *w)
{
    const pb_core_WorkerOptions *o = w->options;
    uint32_t workflow = behavior_maximum(o->workflow_pollers), activity = behavior_maximum(o->activity_pollers);
    double ratio = o->nonsticky_to_sticky_poll_ratio > 0 ? o->nonsticky_to_sticky_poll_ratio : 0.2;
    uint32_t normal = workflow;
    if (w->is_sticky_on) {
        normal = ratio < 1 ? (uint32_t)(workflow * ratio) : workflow;
        if (normal < 1) normal = 1;
    }
    uint32_t sticky = !w->is_sticky_on ? 0 : workflow > normal ? workflow - normal : 1;
    poller_init(&w->pollers[POLLER_NORMAL], POLLER_NORMAL, o->workflow_pollers, o->no_workflows ? 0 : normal);
    poller_init(&w->pollers[POLLER_STICKY], POLLER_STICKY, o->workflow_pollers, o->no_workflows ? 0 : sticky);
    poller_init(&w->pollers[POLLER_ACTIVITY], POLLER_ACTIVITY, o->activity_pollers, o->no_remote_activities ? 0 : activity);
    if (o->no_workflows || !w->is_sticky_on) w->pollers[POLLER_STICKY] = (struct poller){.kind = POLLER_STICKY};
    if (o->no_workflows) w->pollers[POLLER_NORMAL] = (struct poller){.kind = POLLER_NORMAL};
    if (o->no_remote_activities) w->pollers[POLLER_ACTIVITY] = (struct poller){.kind = POLLER_ACTIVITY};
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static pb_common_WorkerVersionCapabilities *version_capabilities(const struct core_worker *w, struct arena *arena)
{
    if (str_is_empty(w->options->build_id)) return NULL;
    pb_common_WorkerVersionCapabilities *v = pb_new(arena, pb_common_WorkerVersionCapabilities);
    v->build_id = w->options->build_id;
    v->use_versioning = w->options->use_worker_versioning && str_is_empty(w->options->deployment_name);
    return v;
}

static struct str encode_workflow(const struct core_worker *w, const struct poller *p, struct arena *arena)
{
    pb_taskqueue_TaskQueue queue = {.name = w->options->task_queue, .kind = TASK_QUEUE_KIND_NORMAL};
    if (p->kind == POLLER_STICKY)
        queue = (pb_taskqueue_TaskQueue){.name = w->sticky_queue, .kind = TASK_QUEUE_KIND_STICKY, .normal_name = w->options->task_queue};
    pb_ws_PollWorkflowTaskQueueRequest request = {
        .namespace = w->options->namespace, .task_queue = &queue, .identity = w->options->identity,
        .worker_instance_key = w->instance_key, .worker_version_capabilities = version_capabilities(w, arena),
        .deployment_options = worker_deployment(w, arena)};
    return PB_ENCODE_ARENA(pb_ws_PollWorkflowTaskQueueRequest, &request, arena);
}

static struct str encode_activity(const struct core_worker *w, struct arena *arena)
{
    pb_taskqueue_TaskQueue queue = {.name = w->options->task_queue, .kind = TASK_QUEUE_KIND_NORMAL};
    pb_google_DoubleValue rate = {.value = w->options->max_task_queue_activities_per_second};
    pb_taskqueue_TaskQueueMetadata metadata = {.max_tasks_per_second = &rate};
    pb_ws_PollActivityTaskQueueRequest request = {
        .namespace = w->options->namespace, .task_queue = &queue, .identity = w->options->identity,
        .worker_instance_key = w->instance_key, .task_queue_metadata = rate.value > 0 ? &metadata : NULL,
        .worker_version_capabilities = version_capabilities(w, arena), .deployment_options = worker_deployment(w, arena)};
    return PB_ENCODE_ARENA(pb_ws_PollActivityTaskQueueRequest, &request, arena);
}

static struct str encode(struct core_worker *w, const struct poller *p)
{
    ARENA_ON_STACK(arena, 1024);
    struct str bytes = arena_str(&w->arena, p->kind == POLLER_ACTIVITY ? encode_activity(w, &arena) : encode_workflow(w, p, &arena));
    arena_fini(&arena);
    return bytes;
}

static void poll(struct core_worker *w, struct poller *p, uint64_t permit)
{
    struct buf bytes = {0};
    bool is_activity = p->kind == POLLER_ACTIVITY;
    if (str_is_empty(p->request)) p->request = encode(w, p);
    buf_append_str(&bytes, p->request);
    struct call *call = worker_call(w, is_activity ? CORE_POLL_ACTIVITY : CORE_POLL_WORKFLOW, &bytes, STR_EMPTY, STR_EMPTY);
    call->poller = p;
    call->permit = permit;
    p->active++;
    static const char *const names[] = {"workflow_task", "sticky_workflow_task", "activity_task"};
    worker_count(w, METRIC_POLLER_COUNT, p->active, str_of(names[p->kind]));
}

/* ---- filling ------------------------------------------------------------------------------------------------------- */

/* The other kind of workflow poll waits for the one slot that is left. */
static bool owes_slot(const struct core_worker *w, const struct poller *p)
{
    if (p->kind == POLLER_ACTIVITY) return false;
    const struct poller *other = &w->pollers[p->kind == POLLER_NORMAL ? POLLER_STICKY : POLLER_NORMAL];
    return other->target != 0 && other->active == 0 && !slots_has_spare(&w->slots[SLOT_WORKFLOW], 2) &&
           (p->active != 0 || p->kind == POLLER_STICKY);
}

bool pollers_may_fetch(const struct core_worker *w) { return w->untaken_count <= CORE_UNTAKEN_MAX; }

/* When a poller that wants to poll could try again; INSTANT_NEVER: something else will wake it. */
static instant poller_fill(struct core_worker *w, struct poller *p, instant now)
{
    struct slots *slots = &w->slots[p->kind == POLLER_ACTIVITY ? SLOT_ACTIVITY : SLOT_WORKFLOW];
    bool is_limited = p->kind == POLLER_ACTIVITY && w->options->max_activities_per_second > 0;
    while (p->active < p->target) {
        if (instant_before(now, p->retry_at)) return p->retry_at;
        if (is_limited && instant_before(now, w->activity_allowed_at)) return w->activity_allowed_at;
        if (p->kind != POLLER_ACTIVITY && !pollers_may_fetch(w)) return INSTANT_NEVER; /* until one is taken */
        if (owes_slot(w, p)) return INSTANT_NEVER;
        uint64_t permit = slots_take(w, slots, p->kind == POLLER_STICKY, now);
        if (permit == 0) return instant_before(now, slots->next_at) ? slots->next_at : INSTANT_NEVER;
        if (is_limited)
            w->activity_allowed_at = instant_add(now, (duration){(int64_t)(1e9 / w->options->max_activities_per_second)});
        poll(w, p, permit);
    }
    return INSTANT_NEVER;
}

void pollers_fill(struct core_worker *w, instant now)
{
    if (!w->is_started || w->is_shutting_down) return;
    instant due = INSTANT_NEVER;
    for (int k = 0; k < POLLER_KIND_COUNT; k++) due = instant_min(due, poller_fill(w, &w->pollers[k], now));
    if (due.ns != INSTANT_NEVER.ns) worker_timer(w, &w->fill_timer, due);
}

void core_worker_taken(struct core_worker *w, instant now)
{
    bool could_fetch = pollers_may_fetch(w);
    if (w->untaken_count != 0) w->untaken_count--;
    if (!could_fetch && pollers_may_fetch(w)) pollers_fill(w, now);
}

/* ---- learning ------------------------------------------------------------------------------------------------------ */

bool code_is_transient(int code)
{
    return code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE_EXCEEDED || code == GRPC_CANCELLED || code == GRPC_RESOURCE_EXHAUSTED ||
           code == GRPC_UNKNOWN || code == GRPC_INTERNAL || code == GRPC_ABORTED || code == GRPC_OUT_OF_RANGE || code == GRPC_DATA_LOSS;
}

static void poller_scale(struct poller *p, int64_t delta)
{
    if (!p->is_autoscaling) return;
    int64_t target = (int64_t)p->target + delta;
    p->target = target < p->minimum ? p->minimum : target > p->maximum ? p->maximum : (uint32_t)target;
}

void poller_learn(struct core_worker *w, struct poller *p, int code, bool has_task,
                  const pb_taskqueue_PollerScalingDecision *decision, instant now)
{
    static const duration first = {200 * NS_PER_MS}, longest = {10 * NS_PER_S};
    p->active--;
    if (code == GRPC_OK) {
        p->backoff = (duration){0};
        p->retry_at = (instant){0};
        if (decision != NULL) poller_scale(p, decision->poll_request_delta_suggestion);
        else if (!has_task) poller_scale(p, -1);
        return;
    }
    if (w->is_shutting_down) return;
    if (code == GRPC_RESOURCE_EXHAUSTED) poller_scale(p, -(int64_t)(p->target / 2));
    p->backoff = duration_is_zero(p->backoff) ? first : duration_min((duration){p->backoff.ns * 2}, longest);
    p->retry_at = instant_add(now, p->backoff);
}
