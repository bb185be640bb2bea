/* The cache of runs: tasks come in, activations and answers go out, runs are built, kept and let go. */
#include "core/worker_state.h"
#include "core/payload_size.h"

#include <stdlib.h>

struct entry *runs_find(struct core_worker *w, struct str run_id)
{
    return map_get(&w->runs, run_id);
}

static void fire_heartbeat(struct core_worker *w, struct timer *timer, instant now)
{
    struct entry *entry = container_of(timer, struct entry, heartbeat);
    run_heartbeat(entry->run);
    runs_drive(w, entry, now);
}

static struct entry *entry_create(struct core_worker *w, struct str id, struct str workflow_id)
{
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->run = run_create(id, workflow_id, w->options);
    entry->heartbeat.fire = fire_heartbeat;
    list_init(&entry->after);
    list_push(&w->lru, &entry->lru);
    map_put(&w->runs, id, entry);
    worker_count(w, METRIC_STICKY_CACHE_SIZE, (double)map_count(&w->runs), STR_EMPTY);
    return entry;
}

void runs_take_task(struct core_worker *w, struct run_task *task, instant now)
{
    const pb_common_WorkflowExecution *x = task->poll->workflow_execution;
    struct str type = task->poll->workflow_type != NULL ? task->poll->workflow_type->name : STR_EMPTY;
    struct entry *entry = runs_find(w, x->run_id);
    if (task->poll->scheduled_time != NULL && task->poll->started_time != NULL)
        worker_count(w, METRIC_WORKFLOW_TASK_SCHEDULE_TO_START,
                     ms_between(pb_instant(task->poll->started_time), pb_instant(task->poll->scheduled_time)), STR_EMPTY);
    if (entry != NULL && entry->is_evicting) {
        list_push(&entry->after, &task->link);
        return;
    }
    if (entry != NULL) {
        worker_count(w, METRIC_STICKY_CACHE_HIT, 1, type);
    } else {
        if (task->poll->previous_started_event_id > 0) worker_count(w, METRIC_STICKY_CACHE_MISS, 1, type);
        entry = entry_create(w, x->run_id, x->workflow_id);
    }
    list_remove(&entry->lru);
    list_push(&w->lru, &entry->lru);
    run_add_task(entry->run, task);
    runs_drive(w, entry, now);
    runs_trim(w, now);
}

/* ---- eviction ---------------------------------------------------------------------------------------------------------- */

static void task_drop(struct core_worker *w, struct run_task *task)
{
    slots_give(w, &w->slots[SLOT_WORKFLOW], task->permit);
    run_task_destroy(task);
}

static void entry_remove(struct core_worker *w, struct entry *entry, instant now)
{
    ARENA_ON_STACK(arena, 256);
    struct str id = arena_str(&arena, run_id(entry->run)), workflow_id = arena_str(&arena, run_workflow_id(entry->run));
    map_remove(&w->runs, id);
    w->evicting_count--;
    list_remove(&entry->lru);
    worker_timer_off(w, &entry->heartbeat);
    run_destroy(entry->run);
    worker_count(w, METRIC_STICKY_CACHE_SIZE, (double)map_count(&w->runs), STR_EMPTY);
    if (!list_is_empty(&entry->after)) {
        struct entry *next = entry_create(w, id, workflow_id);
        struct list *link;
        while ((link = list_pop(&entry->after)) != NULL) run_add_task(next->run, container_of(link, struct run_task, link));
        runs_drive(w, next, now);
    }
    free(entry);
    arena_fini(&arena);
}

void runs_evict(struct core_worker *w, struct entry *entry, int32_t reason, struct str message, instant now)
{
    struct run_task *task;
    if (entry->is_evicting) return;
    entry->is_evicting = true;
    w->evicting_count++;
    list_remove(&entry->held);
    worker_timer_off(w, &entry->heartbeat);
    local_drop_run(w, run_id(entry->run));
    while ((task = run_take_task(entry->run)) != NULL) list_push(&entry->after, &task->link);
    if (!entry->is_known && !w->options->is_replayer) {
        entry_remove(w, entry, now);
        return;
    }
    pb_core_RemoveFromCache removal = {.reason = reason, .message = message};
    pb_core_Job job = {.variant_case = pb_core_Job_remove_from_cache_tag, .remove_from_cache = &removal};
    pb_core_Job *jobs[] = {&job};
    pb_core_Activation activation = {.run_id = run_id(entry->run), .jobs = jobs, .jobs_count = 1};
    struct core_effect *e = worker_effect(w, EFFECT_ACTIVATION, STR_EMPTY, STR_EMPTY);
    PB_ENCODE(pb_core_Activation, &activation, &e->bytes);
    entry->is_removal_out = true;
    entry->is_known = true;
}

static bool entry_is_idle(const struct entry *entry)
{
    return !entry->is_evicting && !entry->is_answering && !entry->is_fetching && !run_is_busy(entry->run);
}

void runs_trim(struct core_worker *w, instant now)
{
    size_t staying = map_count(&w->runs) - w->evicting_count;
    if (w->options->is_replayer || staying <= w->options->max_cached_workflows) return;
    list_each_safe(link, &w->lru) {
        if (staying <= w->options->max_cached_workflows) return;
        struct entry *entry = container_of(link, struct entry, lru);
        if (!entry_is_idle(entry)) continue;
        if (w->options->max_cached_workflows != 0) worker_count(w, METRIC_STICKY_CACHE_EVICTION, 1, run_workflow_type(entry->run));
        runs_evict(w, entry, REMOVAL_REASON_CACHE_FULL, STR("the cache is full"), now);
        staying--;
    }
}

void runs_evict_idle(struct core_worker *w, instant now)
{
    list_each_safe(link, &w->lru) {
        struct entry *entry = container_of(link, struct entry, lru);
        if (entry_is_idle(entry)) runs_evict(w, entry, REMOVAL_REASON_SHUTDOWN, STR("the worker shuts down"), now);
    }
}

/* ---- answers to the server ---------------------------------------------------------------------------------------------- */

static int reserve_eager(struct core_worker *w, struct entry *entry, instant now)
{
    const pb_core_WorkerOptions *o = w->options;
    struct slots *slots = &w->slots[SLOT_ACTIVITY];
    uint32_t most = o->max_eager_activities != 0 ? o->max_eager_activities : 3;
    bool may = !o->disable_eager_activities && !o->no_remote_activities && !w->is_shutting_down && slots_can_try(slots);
    entry->eager_count = 0;
    while (may && entry->eager_count < EAGER_MAX && (uint32_t)entry->eager_count < most) {
        uint64_t permit = slots_take(w, slots, false, now);
        if (permit == 0) break;
        entry->eager[entry->eager_count++] = permit;
    }
    return entry->eager_count;
}

static void release_eager(struct core_worker *w, struct entry *entry, int keep)
{
    while (entry->eager_count > keep) slots_give_unused(w, &w->slots[SLOT_ACTIVITY], entry->eager[--entry->eager_count]);
}

/* All but what the run has to say. Lives in the arena. */
static void fill_completed(struct core_worker *w, const struct entry *entry, pb_ws_RespondWorkflowTaskCompletedRequest *request,
                           struct arena *arena)
{
    const pb_core_WorkerOptions *o = w->options;
    const struct run_task *task = run_current_task(entry->run);
    request->task_token = task->poll->task_token;
    request->identity = o->identity;
    request->namespace = o->namespace;
    request->resource_id = run_resource_id(entry->run);
    request->worker_version_stamp = worker_stamp(w, arena);
    request->deployment_options = worker_deployment(w, arena);
    request->worker_instance_key = w->instance_key;
    if (!w->is_sticky_on || w->is_shutting_down) return;
    pb_taskqueue_StickyExecutionAttributes *sticky = request->sticky_attributes = pb_new(arena, pb_taskqueue_StickyExecutionAttributes);
    sticky->worker_task_queue = pb_new(arena, pb_taskqueue_TaskQueue);
    *sticky->worker_task_queue = (pb_taskqueue_TaskQueue){.name = w->sticky_queue, .kind = TASK_QUEUE_KIND_STICKY, .normal_name = o->task_queue};
    sticky->schedule_to_start_timeout = o->sticky_schedule_to_start_timeout != NULL ? o->sticky_schedule_to_start_timeout
                                                                                    : pb_duration_new(arena, duration_s(10));
}

/* Takes the encoded answer. */
static void answer_completed(struct core_worker *w, struct entry *entry, struct buf *bytes)
{
    (void)worker_call(w, CORE_WORKFLOW_COMPLETED, bytes, run_id(entry->run), STR_EMPTY);
    entry->is_answering = true;
    worker_timer_off(w, &entry->heartbeat);
}

static void fail_run(struct core_worker *w, struct entry *entry, instant now);

/* Whether the answer, of so many bytes, holds more than the server takes, which then ends the workflow without a chance to mend
 * the code. */
static bool is_beyond_limits(const struct core_worker *w, const pb_ws_RespondWorkflowTaskCompletedRequest *request, size_t size_encoded,
                             struct arena *arena, struct str *message)
{
    size_t payloads_max = w->payloads_size_max > 0 ? (size_t)w->payloads_size_max : SIZE_MAX, memo_max = w->memo_size_max > 0 ? (size_t)w->memo_size_max : SIZE_MAX;
    if (size_encoded <= size_min(payloads_max, memo_max)) return false;
    pb_ws_RespondWorkflowTaskCompletedRequest commands = *request;
    commands.query_results_count = 0; /* a large answer to a query is the asker's trouble alone */
    struct payload_size size = payload_size_of(&pb_ws_RespondWorkflowTaskCompletedRequest_type,
                                               PB_ENCODE_ARENA(pb_ws_RespondWorkflowTaskCompletedRequest, &commands, arena));
    if (size.payloads > payloads_max)
        *message = arena_printf(arena, "[TMPRL1103] payloads of this workflow task take %zu bytes; the server takes at most %zu", size.payloads, payloads_max);
    else if (size.memo > memo_max)
        *message = arena_printf(arena, "[TMPRL1103] a memo of this workflow task takes %zu bytes; the server takes at most %zu", size.memo, memo_max);
    else return false;
    return true;
}

static void respond(struct core_worker *w, struct entry *entry, instant now)
{
    ARENA_ON_STACK(arena, 4096);
    pb_ws_RespondWorkflowTaskCompletedRequest request = {0};
    int eager = reserve_eager(w, entry, now);
    run_build_response(entry->run, &arena, &eager, pollers_may_fetch(w), &request);
    release_eager(w, entry, eager);
    worker_count(w, METRIC_WORKFLOW_TASK_EXECUTION_LATENCY,
                 ms_between(instant_is_set(entry->held_at) ? entry->held_at : now, run_current_task(entry->run)->received_at),
                 run_workflow_type(entry->run));
    entry->held_at = (instant){0};
    fill_completed(w, entry, &request, &arena);
    struct buf bytes = {0};
    PB_ENCODE(pb_ws_RespondWorkflowTaskCompletedRequest, &request, &bytes);
    struct str too_large;
    if (is_beyond_limits(w, &request, bytes.size, &arena, &too_large)) {
        buf_fini(&bytes);
        release_eager(w, entry, 0);
        run_give_up(entry->run, WORKFLOW_TASK_FAILED_CAUSE_PAYLOADS_TOO_LARGE, too_large);
        fail_run(w, entry, now);
    } else {
        answer_completed(w, entry, &bytes);
    }
    arena_fini(&arena);
}

static void answer_query(struct core_worker *w, struct entry *entry, const pb_core_RespondQuery *r, struct str error)
{
    ARENA_ON_STACK(arena, 512);
    const struct run_task *task = run_current_task(entry->run);
    pb_ws_RespondQueryTaskCompletedRequest request = {
        .task_token = task->poll->task_token, .namespace = w->options->namespace, .completed_type = QUERY_RESULT_TYPE_FAILED,
        .poller_group_id = task->poll->poller_group_id};
    pb_failure_Failure failure = {.message = error};
    if (r != NULL && r->answer_case == pb_core_RespondQuery_succeeded_tag) {
        request.completed_type = QUERY_RESULT_TYPE_ANSWERED;
        if (r->succeeded != NULL) {
            pb_common_Payloads *p = request.query_result = pb_new(&arena, pb_common_Payloads);
            PB_PUSH(&arena, p, payloads) = r->succeeded;
        }
    } else {
        request.failure = r != NULL && r->failed != NULL ? r->failed : &failure;
        request.error_message = request.failure->message;
    }
    WORKER_CALL(w, CORE_QUERY_COMPLETED, pb_ws_RespondQueryTaskCompletedRequest, &request, run_id(entry->run));
    entry->is_answering = true;
    arena_fini(&arena);
}

/* Whether non-determinism ends this workflow rather than its task. */
static bool fails_workflow(const struct core_worker *w, const struct entry *entry, const struct run_failure *failure)
{
    const pb_core_WorkerOptions *o = w->options;
    if (!failure->is_nondeterminism) return false;
    if (o->nondeterminism_as_workflow_fail) return true;
    for (size_t i = 0; i < o->nondeterminism_as_workflow_fail_types_count; i++)
        if (str_equal(o->nondeterminism_as_workflow_fail_types[i], run_workflow_type(entry->run))) return true;
    return false;
}

static void answer_with_end(struct core_worker *w, struct entry *entry, pb_failure_Failure *failure)
{
    ARENA_ON_STACK(arena, 1024);
    pb_command_FailWorkflowExecutionCommandAttributes end = {.failure = failure};
    pb_command_Command command = {.command_type = COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
                                  .attributes_case = pb_command_Command_fail_workflow_execution_command_attributes_tag,
                                  .fail_workflow_execution_command_attributes = &end};
    pb_command_Command *commands[] = {&command};
    pb_ws_RespondWorkflowTaskCompletedRequest request = {.commands = commands, .commands_count = 1};
    fill_completed(w, entry, &request, &arena);
    struct buf bytes = {0};
    PB_ENCODE(pb_ws_RespondWorkflowTaskCompletedRequest, &request, &bytes);
    answer_completed(w, entry, &bytes);
    arena_fini(&arena);
}

static void answer_failed(struct core_worker *w, struct entry *entry, int32_t cause, pb_failure_Failure *failure)
{
    ARENA_ON_STACK(arena, 512);
    pb_ws_RespondWorkflowTaskFailedRequest request = {
        .task_token = run_current_task(entry->run)->poll->task_token, .identity = w->options->identity, .namespace = w->options->namespace,
        .cause = cause != 0 ? cause : WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE, .failure = failure,
        .worker_version = worker_stamp(w, &arena), .deployment_options = worker_deployment(w, &arena)};
    struct buf bytes = {0};
    PB_ENCODE(pb_ws_RespondWorkflowTaskFailedRequest, &request, &bytes);
    (void)worker_call(w, CORE_WORKFLOW_FAILED, &bytes, run_id(entry->run), failure->message);
    container_of(w->effects.prev, struct core_effect, link)->cause = request.cause;
    entry->is_answering = true;
    arena_fini(&arena);
}

/* The run is worth nothing any more. The server hears of it once; later attempts run into their timeout, which spaces
 * them out. */
static void fail_run(struct core_worker *w, struct entry *entry, instant now)
{
    const struct run_failure *failure = run_failure(entry->run);
    const struct run_task *task = run_current_task(entry->run);
    pb_failure_ApplicationFailureInfo info = {.type = failure->is_nondeterminism ? STR("NondeterminismError") : STR_EMPTY};
    pb_failure_Failure own = {.message = failure->message, .failure_info_case = pb_failure_Failure_application_failure_info_tag,
                              .application_failure_info = &info};
    pb_failure_Failure *told = failure->failure != NULL ? (pb_failure_Failure *)failure->failure : &own;
    bool is_told = task != NULL && !w->options->is_replayer;
    worker_count(w, METRIC_WORKFLOW_TASK_EXECUTION_FAILED, 1, run_workflow_type(entry->run));
    if (is_told && task->poll->query != NULL) answer_query(w, entry, NULL, told->message);
    else if (is_told && fails_workflow(w, entry, failure)) answer_with_end(w, entry, told);
    else if (is_told && task->poll->attempt <= 1) answer_failed(w, entry, failure->cause, told);
    if (entry->is_answering) return; /* it is removed when the server has heard */
    struct run_task *dropped = run_take_task(entry->run);
    if (dropped != NULL) task_drop(w, dropped);
    runs_evict(w, entry, failure->is_nondeterminism ? REMOVAL_REASON_NONDETERMINISM : REMOVAL_REASON_WORKFLOW_TASK_FAILED,
               failure->message, now);
}

/* ---- driving ------------------------------------------------------------------------------------------------------------ */

static void fetch(struct core_worker *w, struct entry *entry)
{
    if (entry->is_fetching) return;
    pb_common_WorkflowExecution execution = {.workflow_id = run_workflow_id(entry->run), .run_id = run_id(entry->run)};
    pb_ws_GetWorkflowExecutionHistoryRequest request = {.namespace = w->options->namespace, .execution = &execution,
                                                        .next_page_token = run_page_token(entry->run)};
    WORKER_CALL(w, CORE_GET_HISTORY, pb_ws_GetWorkflowExecutionHistoryRequest, &request, run_id(entry->run));
    entry->is_fetching = true;
}

static void rebuild(struct core_worker *w, struct entry *entry, instant now)
{
    worker_count(w, METRIC_STICKY_CACHE_MISS, 1, run_workflow_type(entry->run));
    runs_evict(w, entry, REMOVAL_REASON_CACHE_MISS, STR("the cached run and the server's history do not meet"), now);
}

static void replayed(struct core_worker *w, struct entry *entry, instant now)
{
    struct run_task *task = run_take_task(entry->run);
    if (task != NULL) task_drop(w, task);
    runs_evict(w, entry, REMOVAL_REASON_REQUESTED, STR("the history was replayed"), now);
}

static void start_locals(struct core_worker *w, struct entry *entry, instant now)
{
    struct run_local local;
    while (run_take_local(entry->run, now, &local)) {
        if (local.is_cancel) local_stop(w, entry, local.seq, now);
        else local_start(w, entry, &local, now);
    }
}

/* True: something has changed on the way; once more. The entry may be gone after false. */
static bool drive_once(struct core_worker *w, struct entry *entry, instant now)
{
    struct buf activation = {0};
    enum run_want want = run_step(entry->run, now, &activation);
    if (want == RUN_ACTIVATE) {
        worker_effect(w, EFFECT_ACTIVATION, STR_EMPTY, STR_EMPTY)->bytes = activation;
        entry->is_known = true;
        entry->activated_at = now;
    } else {
        buf_fini(&activation);
    }
    entry->is_due_again = false;
    start_locals(w, entry, now);
    if (entry->is_due_again) return true; /* one ended at once: what is wanted has changed */
    entry->is_driving = false;
    switch (want) {
    case RUN_FETCH: fetch(w, entry); break;
    case RUN_WAIT_LOCAL:
        if (!heap_has(&entry->heartbeat.node)) worker_timer(w, &entry->heartbeat, run_heartbeat_at(entry->run));
        break;
    case RUN_RESPOND:
        if (!hold_answer(w, entry, now)) respond(w, entry, now);
        break;
    case RUN_ANSWER_QUERY:
        answer_query(w, entry, run_query_answer(entry->run), STR("the query was not answered"));
        break;
    case RUN_REPLAYED: replayed(w, entry, now); break;
    case RUN_REBUILD: rebuild(w, entry, now); break;
    case RUN_FAILED: fail_run(w, entry, now); break;
    case RUN_IDLE: case RUN_BUSY: case RUN_ACTIVATE: break;
    }
    return false;
}

void runs_drive(struct core_worker *w, struct entry *entry, instant now)
{
    entry->is_due_again = true;
    if (entry->is_driving || entry->is_evicting || entry->is_answering) return;
    entry->is_driving = true;
    while (drive_once(w, entry, now)) {}
}

void runs_fetched(struct core_worker *w, struct str id, int code, struct str response, instant now)
{
    struct entry *entry = runs_find(w, id);
    if (entry == NULL || !entry->is_fetching) return;
    entry->is_fetching = false;
    if (code != GRPC_OK) run_page_failed(entry->run, response);
    else if (run_add_page(entry->run, response) != ERR_NONE) reach("worker: a page of history that is none");
    runs_drive(w, entry, now);
}

static void count_end(struct core_worker *w, const struct entry *entry, instant now)
{
    struct str type = run_workflow_type(entry->run);
    switch (run_close_kind(entry->run)) {
    case pb_core_Command_complete_workflow_tag: worker_count(w, METRIC_WORKFLOW_COMPLETED, 1, type); break;
    case pb_core_Command_fail_workflow_tag: worker_count(w, METRIC_WORKFLOW_FAILED, 1, type); break;
    case pb_core_Command_cancel_workflow_execution_tag: worker_count(w, METRIC_WORKFLOW_CANCELED, 1, type); break;
    case pb_core_Command_continue_as_new_tag: worker_count(w, METRIC_WORKFLOW_CONTINUE_AS_NEW, 1, type); break;
    default: return;
    }
    worker_count(w, METRIC_WORKFLOW_E2E_LATENCY, ms_between(now, run_first_event_time(entry->run)), type);
}

/* The server took the commands: it may have sent the next workflow task and activities along. */
static void completed(struct core_worker *w, struct entry *entry, uint64_t permit, struct str response, instant now)
{
    struct run_task *task = run_task_begin(&w->task_pool, response, now);
    pb_ws_RespondWorkflowTaskCompletedResponse empty = {0}, *r;
    if (RUN_DECODE(&task->arena, task->bytes, pb_ws_RespondWorkflowTaskCompletedResponse, &r) != ERR_NONE) r = &empty;
    run_task_done(entry->run, r->reset_history_event_id);
    int used = 0;
    for (size_t i = 0; i < r->activity_tasks_count && used < entry->eager_count; i++)
        activity_accept(w, r->activity_tasks[i], entry->eager[entry->eager_count - 1 - used++], now);
    entry->eager_count -= used;
    release_eager(w, entry, 0);
    bool has_task = r->workflow_task != NULL && run_task_set(task, r->workflow_task) == ERR_NONE;
    if (has_task) task->permit = permit;
    else slots_give(w, &w->slots[SLOT_WORKFLOW], permit);
    if (run_is_closed(entry->run)) {
        count_end(w, entry, now);
        if (has_task) run_add_task(entry->run, task); /* moved on to whatever comes after the eviction */
        runs_evict(w, entry, REMOVAL_REASON_WORKFLOW_CLOSED, STR("the workflow has closed"), now);
    } else if (has_task) {
        runs_take_task(w, task, now);
    } else {
        runs_drive(w, entry, now);
    }
    if (!has_task) run_task_destroy(task);
}

static int32_t removal_reason(enum core_rpc rpc, int code)
{
    if (rpc != CORE_WORKFLOW_COMPLETED) return REMOVAL_REASON_WORKFLOW_TASK_FAILED;
    if (code == GRPC_NOT_FOUND) return REMOVAL_REASON_TASK_NOT_FOUND;
    return code == GRPC_INVALID_ARGUMENT ? REMOVAL_REASON_UNHANDLED_COMMAND : REMOVAL_REASON_SDK_FAILURE;
}

/* An answer too large for the server is reported as a failure of the workflow task, so that somebody sees it. */
static bool is_too_large(enum core_rpc rpc, int code, struct str message)
{
    return rpc == CORE_WORKFLOW_COMPLETED && code == GRPC_RESOURCE_EXHAUSTED && message.size != 0 &&
           memmem(message.data, message.size, "larger than", 11) != NULL;
}

void runs_answered(struct core_worker *w, enum core_rpc rpc, struct str id, int code, struct str response, instant now)
{
    struct entry *entry = runs_find(w, id);
    if (entry == NULL || !entry->is_answering) return;
    entry->is_answering = false;
    const struct run_task *task = run_current_task(entry->run);
    uint64_t permit = task->permit;
    const struct run_failure *failure = run_failure(entry->run);
    if (code == GRPC_OK && failure == NULL) {
        if (rpc == CORE_WORKFLOW_COMPLETED) {
            completed(w, entry, permit, response, now);
        } else {
            run_task_done(entry->run, 0);
            slots_give(w, &w->slots[SLOT_WORKFLOW], permit);
            runs_drive(w, entry, now);
        }
    } else if (is_too_large(rpc, code, response)) {
        pb_failure_Failure told = {.message = STR("the answer to the workflow task is larger than the server accepts")};
        release_eager(w, entry, 0);
        answer_failed(w, entry, WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE, &told);
        run_give_up(entry->run, WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE, told.message);
        return;
    } else {
        release_eager(w, entry, 0);
        ARENA_ON_STACK(arena, 256);
        struct str message = arena_str(&arena, failure != NULL ? failure->message : response);
        int32_t reason = failure != NULL && failure->is_nondeterminism ? REMOVAL_REASON_NONDETERMINISM : removal_reason(rpc, code);
        task_drop(w, run_take_task(entry->run));
        runs_evict(w, entry, reason, message, now);
        arena_fini(&arena);
    }
    runs_trim(w, now);
    pollers_fill(w, now);
}

/* ---- completions -------------------------------------------------------------------------------------------------------- */

err core_worker_complete(struct core_worker *w, struct buf *bytes, instant now)
{
    struct arena arena;
    arena_init(&arena, 960, 0); /* small enough for malloc's quick lists */
    pb_core_Completion *completion;
    err e = PB_DECODE_ALIAS(&arena, buf_view(bytes), pb_core_Completion, &completion);
    struct entry *entry = e == ERR_NONE ? runs_find(w, completion->run_id) : NULL;
    if (entry == NULL) {
        arena_fini(&arena);
        buf_fini(bytes);
        return ERR_INVALID;
    }
    if (entry->is_removal_out) {
        arena_fini(&arena);
        buf_fini(bytes);
        entry_remove(w, entry, now);
        worker_check_done(w, now);
        return ERR_NONE;
    }
    char *data = bytes->data;
    bool has_left = completion->has_left && completion->failure == NULL;
    *bytes = (struct buf){0};
    e = run_complete(entry->run, completion, &arena, data, now);
    if (e == ERR_NOT_FOUND) {
        arena_fini(&arena);
        free(data);
        return ERR_INVALID;
    }
    if (has_left && run_close_kind(entry->run) != 0) entry->is_known = false;
    runs_drive(w, entry, now);
    runs_trim(w, now);
    worker_check_done(w, now);
    return ERR_NONE;
}

/* ---- replaying ---------------------------------------------------------------------------------------------------------- */

err core_worker_push_history(struct core_worker *w, struct str workflow_id, struct str bytes, struct arena *arena, struct str *id, instant now)
{
    pb_history_History *history;
    TRY(PB_DECODE_ALIAS(arena, bytes, pb_history_History, &history));
    const pb_history_HistoryEvent *first = history->events_count != 0 ? history->events[0] : NULL;
    bool is_start = first != NULL && first->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_STARTED &&
                    first->attributes_case == pb_history_HistoryEvent_workflow_execution_started_event_attributes_tag &&
                    first->workflow_execution_started_event_attributes != NULL;
    if (!is_start || w->is_shutting_down) return ERR_INVALID;
    pb_common_WorkflowExecution execution = {
        .workflow_id = workflow_id, .run_id = first->workflow_execution_started_event_attributes->original_execution_run_id};
    if (str_is_empty(execution.run_id)) execution.run_id = arena_printf(arena, "run of %.*s", STR_ARG(workflow_id));
    const struct entry *before = runs_find(w, execution.run_id);
    if (before != NULL && (!before->is_evicting || !list_is_empty(&before->after))) return ERR_INVALID;
    pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = STR("replay"), .workflow_execution = &execution, .history = history,
                                                .workflow_type = first->workflow_execution_started_event_attributes->workflow_type};
    struct run_task *task;
    TRY(run_task_create_nested(&poll, now, &task));
    *id = execution.run_id;
    runs_take_task(w, task, now);
    return ERR_NONE;
}
