#include "core/run_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what is read ------------------------------------------------------------------------------------------------- */

err run_decode(const struct pb_message *type, struct str bytes, struct arena *arena, void **out)
{
#define FIELD(number) (UINT64_C(1) << (number))
    static const struct pb_unread unread[] = {
        {&pb_history_HistoryEvent_type, FIELD(4) | FIELD(5)}, /* version, task_id */
        {&pb_history_WorkflowTaskScheduledEventAttributes_type, UINT64_MAX},
        /* scheduled_event_id, identity, request_id, worker_version, build_id_redirect_counter */
        {&pb_history_WorkflowTaskStartedEventAttributes_type, FIELD(1) | FIELD(2) | FIELD(3) | FIELD(6) | FIELD(7)},
        /* backlog_count_hint, workflow_execution_task_queue, poller_group_infos, poller_groups_info */
        {&pb_ws_PollWorkflowTaskQueueResponse_type, FIELD(7) | FIELD(11) | FIELD(18) | FIELD(19)},
    };
#undef FIELD
    return pb_decode_partly(type, bytes, arena, unread, countof(unread), out);
}

/* ---- tasks -------------------------------------------------------------------------------------------------------- */

enum { TASK_ROOM_MIN = 256, TASK_ROOM_PER_BYTE = 4, TASK_ROOM_MAX = 64 * 1024, TASK_UNIT = 4096, POOL_MAX = 16, POOL_CAPACITY_MAX = 16 * 1024, ALIGN = 16 };

static struct run_task *block_take(struct run_task_pool *pool, size_t size)
{
    struct run_task *task = pool != NULL ? pool->first : NULL;
    if (task != NULL && task->capacity >= size) {
        pool->first = task->next;
        pool->count--;
        return task;
    }
    if (pool != NULL) size = (size + TASK_UNIT - 1) / TASK_UNIT * TASK_UNIT; /* so that it is of use for others */
    task = xmalloc(sizeof *task + ALIGN + size);
    task->capacity = size;
    return task;
}

/* One block for the task, its bytes and, as a rule, all that is decoded of them. */
struct run_task *run_task_begin(struct run_task_pool *pool, struct str response, instant now)
{
    size_t room = size_min(TASK_ROOM_MIN + TASK_ROOM_PER_BYTE * size_min(response.size, TASK_ROOM_MAX), TASK_ROOM_MAX);
    size_t head = (sizeof(struct run_task) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct run_task *task = block_take(pool, room + response.size);
    char *bytes = (char *)task + head + room;
    *task = (struct run_task){.received_at = now, .pool = pool, .capacity = task->capacity};
    arena_init_on(&task->arena, (char *)task + head, room);
    if (response.size != 0) memcpy(bytes, response.data, response.size);
    task->bytes = str_make(bytes, response.size);
    return task;
}

err run_task_set(struct run_task *task, const pb_ws_PollWorkflowTaskQueueResponse *poll)
{
    bool is_whole = !str_is_empty(poll->task_token) && poll->workflow_execution != NULL && !str_is_empty(poll->workflow_execution->run_id);
    if (is_whole) task->poll = poll;
    return is_whole ? ERR_NONE : ERR_INVALID;
}

err run_task_create(struct run_task_pool *pool, struct str response, instant now, struct run_task **out)
{
    struct run_task *task = run_task_begin(pool, response, now);
    pb_ws_PollWorkflowTaskQueueResponse *poll;
    err e = RUN_DECODE(&task->arena, task->bytes, pb_ws_PollWorkflowTaskQueueResponse, &poll);
    if (e == ERR_NONE) e = run_task_set(task, poll);
    if (e == ERR_NONE) *out = task;
    else run_task_destroy(task);
    return e;
}

err run_task_create_nested(const pb_ws_PollWorkflowTaskQueueResponse *poll, instant now, struct run_task **out)
{
    struct buf bytes = {0};
    PB_ENCODE(pb_ws_PollWorkflowTaskQueueResponse, poll, &bytes);
    err e = run_task_create(NULL, buf_view(&bytes), now, out);
    buf_fini(&bytes);
    return e;
}

void run_task_destroy(struct run_task *task)
{
    struct run_task_pool *pool = task->pool;
    arena_fini(&task->arena);
    if (pool == NULL || pool->count == POOL_MAX || task->capacity > POOL_CAPACITY_MAX) {
        free(task);
        return;
    }
    task->next = pool->first;
    pool->first = task;
    pool->count++;
}

void run_task_pool_fini(struct run_task_pool *pool)
{
    for (struct run_task *task; (task = pool->first) != NULL;) {
        pool->first = task->next;
        free(task);
    }
    pool->count = 0;
}

/* ---- a run -------------------------------------------------------------------------------------------------------- */

struct run *run_create(struct str run_id, struct str workflow_id, const pb_core_WorkerOptions *options)
{
    struct run *run = xcalloc(1, sizeof *run);
    enum { FIRST_BLOCK = 960 }; /* small enough for malloc's quick lists */
    arena_init(&run->arena, FIRST_BLOCK, 0);
    arena_init(&run->scratch, 2048, 0);
    arena_init(&run->task_arena, FIRST_BLOCK, 0);
    arena_init(&run->out_arena, FIRST_BLOCK, 0);
    run->options = options;
    run->id = arena_str(&run->arena, run_id);
    run->resource_id = arena_printf(&run->arena, "workflow:%.*s", STR_ARG(workflow_id));
    run->workflow_id = str_skip(run->resource_id, run->resource_id.size - workflow_id.size);
    run->namespace = options->namespace;
    run->task_timeout = duration_s(10);
    run->versioning_behavior = options->default_versioning_behavior;
    run->feed.is_complete = true;
    run->feed.page_last = &run->feed.pages;
    list_init(&run->tasks);
    list_init(&run->outgoing);
    list_init(&run->local_ready);
    list_init(&run->local_results);
    return run;
}

static void kept_free(struct run *run)
{
    while (run->kept != NULL) {
        struct kept *kept = run->kept;
        run->kept = kept->next;
        arena_fini(&kept->arena);
        free(kept->bytes);
        free(kept);
    }
}

static void machines_free(struct run *run)
{
    for (int kind = 0; kind < MACHINE_KIND_COUNT; kind++) {
        struct machine *m;
        for (size_t at = 0; (m = map_u64_next(&run->machines[kind], &at, NULL)) != NULL;) machine_free(m);
        map_u64_fini(&run->machines[kind]);
    }
    map_u64_fini(&run->by_event);
    struct update *u;
    for (size_t at = 0; (u = map_next(&run->updates, &at, NULL)) != NULL;) update_free(u);
    map_fini(&run->updates);
}

void run_destroy(struct run *run)
{
    struct list *link;
    while ((link = list_pop(&run->tasks)) != NULL) run_task_destroy(container_of(link, struct run_task, link));
    if (run->task != NULL) run_task_destroy(run->task);
    feed_fini(&run->feed);
    local_results_fini(run);
    machines_free(run);
    kept_free(run);
    map_fini(&run->admitted);
    map_fini(&run->patches);
    map_fini(&run->search_attributes);
    for (int g = 0; g < JOB_GROUP_COUNT; g++) free(run->jobs[g].items);
    arena_fini(&run->arena);
    arena_fini(&run->scratch);
    arena_fini(&run->task_arena);
    arena_fini(&run->out_arena);
    free(run);
}

struct str run_id(const struct run *run) { return run->id; }
struct str run_workflow_id(const struct run *run) { return run->workflow_id; }
struct str run_resource_id(const struct run *run) { return run->resource_id; }
struct str run_workflow_type(const struct run *run) { return run->workflow_type; }
const struct run_task *run_current_task(const struct run *run) { return run->task; }
bool run_is_fresh(const struct run *run) { return run->last_event_id == 0; }
bool run_is_closed(const struct run *run) { return run->close_kind != 0; }
int32_t run_close_kind(const struct run *run) { return run->close_kind; }
instant run_first_event_time(const struct run *run) { return run->first_event_time; }
const struct run_failure *run_failure(const struct run *run) { return run->has_failed ? &run->failure : NULL; }
const pb_core_RespondQuery *run_query_answer(const struct run *run)
{
    return run->query_results_count != 0 ? run->query_results[0] : NULL;
}

bool run_is_busy(const struct run *run)
{
    return run->task != NULL || run->is_activation_out || run->local_count != 0 || !list_is_empty(&run->tasks);
}

void run_add_task(struct run *run, struct run_task *task)
{
    list_push(&run->tasks, &task->link);
}

struct run_task *run_take_task(struct run *run)
{
    struct run_task *task = run->task;
    if (task != NULL) {
        run->task = NULL;
        return task;
    }
    struct list *link = list_pop(&run->tasks);
    return link != NULL ? container_of(link, struct run_task, link) : NULL;
}

static err fail_with(struct run *run, bool is_nondeterminism, int32_t cause, const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    if (run->has_failed) return ERR_INVALID; /* the first reason is the one that counts */
    run->has_failed = true;
    run->failure.is_nondeterminism = is_nondeterminism;
    run->failure.cause = cause;
    run->failure.message = is_nondeterminism
        ? arena_printf(&run->arena, "Nondeterminism in workflow \"%.*s\" (type %.*s, run %.*s): %s", STR_ARG(run->workflow_id),
                       STR_ARG(run->workflow_type), STR_ARG(run->id), text)
        : arena_str(&run->arena, str_of(text));
    return ERR_INVALID;
}

err run_fail(struct run *run, int32_t cause, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err e = fail_with(run, false, cause, format, args);
    va_end(args);
    return e;
}

err run_diverge(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err e = fail_with(run, true, WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, format, args);
    va_end(args);
    return e;
}

void run_give_up(struct run *run, int32_t cause, struct str message)
{
    (void)!run_fail(run, cause, "%.*s", STR_ARG(message));
}

/* SipHash-1-3 with a zero key over the text and a byte 0xFF. */
#define ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))
static void sip_round(uint64_t v[4])
{
    v[0] += v[1]; v[1] = ROTATE(v[1], 13) ^ v[0]; v[0] = ROTATE(v[0], 32);
    v[2] += v[3]; v[3] = ROTATE(v[3], 16) ^ v[2];
    v[0] += v[3]; v[3] = ROTATE(v[3], 21) ^ v[0];
    v[2] += v[1]; v[1] = ROTATE(v[1], 17) ^ v[2]; v[2] = ROTATE(v[2], 32);
}

uint64_t run_seed(struct str run_id)
{
    uint64_t v[4] = {0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573};
    uint64_t word = 0;
    for (size_t i = 0; i <= run_id.size; i++) {
        uint8_t byte = i < run_id.size ? (uint8_t)run_id.data[i] : 0xFF;
        word |= (uint64_t)byte << 8 * (i % 8);
        if (i % 8 != 7) continue;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        word = 0;
    }
    word |= (uint64_t)(run_id.size + 1) << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- activations -------------------------------------------------------------------------------------------------- */

pb_core_Job *run_job(struct run *run, enum job_group group, int32_t variant)
{
    struct job_list *list = &run->jobs[group];
    if (list->count == list->capacity) {
        list->capacity = list->capacity != 0 ? list->capacity * 2 : 4;
        list->items = xrealloc(list->items, list->capacity * sizeof *list->items);
    }
    pb_core_Job *job = pb_new(&run->scratch, pb_core_Job);
    job->variant_case = variant;
    return list->items[list->count++] = job;
}

static size_t job_count(const struct run *run)
{
    size_t count = 0;
    for (int g = 0; g < JOB_GROUP_COUNT; g++) count += run->jobs[g].count;
    return count;
}

static void fill_activation(struct run *run, pb_core_Activation *a)
{
    struct arena *arena = &run->scratch;
    a->run_id = run->id;
    a->timestamp = pb_timestamp_new(arena, run->now);
    a->is_replaying = run->is_replaying || run->task->poll->query != NULL;
    a->history_length = (uint32_t)run->started_event_id;
    a->history_size_bytes = run->history_size;
    a->suggest_continue_as_new = run->suggest_continue_as_new;
    PB_SET_ARRAY(a, suggest_continue_as_new_reasons, run->suggest_reasons, run->suggest_reason_count);
    a->target_deployment_version_changed = run->target_version_changed;
    struct str name = run->is_replaying ? run->deployment_name : run->options->deployment_name;
    struct str build_id = run->is_replaying ? run->build_id : run->options->build_id;
    bool is_news = run->is_replaying || !run->is_version_told;
    if (is_news && (!str_is_empty(name) || !str_is_empty(build_id))) {
        a->deployment_version = pb_new(arena, pb_deployment_WorkerDeploymentVersion);
        a->deployment_version->deployment_name = name;
        a->deployment_version->build_id = build_id;
    }
    run->is_version_told = !run->is_replaying;
    a->queries_follow = run->task->poll->queries_count != 0 && !run->are_queries_asked;
    TAKE_ARRAY(a, available_sdk_flags, run, lang_flags);
}

static void emit(struct run *run, pb_core_Job **jobs, size_t count, struct buf *activation)
{
    pb_core_Activation *a = pb_new(&run->scratch, pb_core_Activation);
    fill_activation(run, a);
    PB_SET_ARRAY(a, jobs, jobs, count);
    PB_ENCODE(pb_core_Activation, a, activation);
    run->is_activation_out = true;
    trace("core", "run %.*s activation %u jobs=%zu replaying=%d", STR_ARG(run->id), run->activation_count, count, run->is_replaying);
}

static void forget_jobs(struct run *run)
{
    for (int g = 0; g < JOB_GROUP_COUNT; g++) run->jobs[g].count = 0;
    run->init_job = NULL;
    run->asked = NULL;
    run->asked_count = run->asked_capacity = run->asked_at = 0;
    arena_reset(&run->scratch);
}

static void emit_jobs(struct run *run, struct buf *activation)
{
    size_t count = 0;
    pb_core_Job **jobs = arena_alloc(&run->scratch, job_count(run) * sizeof *jobs);
    for (int g = 0; g < JOB_GROUP_COUNT; g++)
        for (size_t i = 0; i < run->jobs[g].count; i++) jobs[count++] = run->jobs[g].items[i];
    if (run->init_job != NULL) run->init_job->start_time = pb_timestamp_new(&run->scratch, run->task_event_time);
    emit(run, jobs, count, activation);
    run->activation_count++;
    forget_jobs(run);
}

static pb_core_Job *query_job(struct run *run, struct str id, const pb_query_WorkflowQuery *q)
{
    pb_core_Job *job = pb_new(&run->scratch, pb_core_Job);
    job->variant_case = pb_core_Job_query_workflow_tag;
    pb_core_QueryWorkflow *w = job->query_workflow = pb_new(&run->scratch, pb_core_QueryWorkflow);
    w->query_id = id;
    if (q == NULL) return job;
    w->query_type = q->query_type;
    TAKE_PAYLOADS(w, arguments, q->query_args);
    if (q->header != NULL) TAKE_MAP(w, headers, q->header, fields);
    return job;
}

static void emit_queries(struct run *run, struct buf *activation)
{
    const pb_ws_PollWorkflowTaskQueueResponse *poll = run->task->poll;
    size_t count = poll->query != NULL ? 1 : poll->queries_count;
    pb_core_Job **jobs = pb_array(&run->scratch, pb_core_Job *, count);
    if (poll->query != NULL) jobs[0] = query_job(run, STR("query"), poll->query);
    else for (size_t i = 0; i < count; i++) jobs[i] = query_job(run, poll->queries[i]->key, poll->queries[i]->value);
    run->is_query_out = true;
    run->are_queries_asked = true;
    emit(run, jobs, count, activation);
    forget_jobs(run);
}

/* ---- steps -------------------------------------------------------------------------------------------------------- */

static bool next_task(struct run *run)
{
    struct list *link = list_pop(&run->tasks);
    if (link == NULL) return false;
    run->task = container_of(link, struct run_task, link);
    run->is_at_task = run->are_queries_asked = run->is_query_answered = run->is_heartbeat_due = false;
    run->received_at = run->task->received_at;
    run_feed_task(run);
    return true;
}

/* Applies the events up to the start of a workflow task and gathers what they mean to the code. */
static err begin_workflow_task(struct run *run, size_t end, bool is_replay)
{
    run->is_replaying = is_replay;
    run->activation_count = 0;
    run->seen = NULL; /* task_arena was reset when the workflow task before was over */
    run->seen_count = run->seen_capacity = 0;
    TRY(run_look_ahead(run, end));
    bool is_live = end == run->feed.count && run->task->poll->query == NULL;
    if (is_live) TRY(update_take_messages(run));
    TRY(run_apply_events(run, end));
    if (run->is_rebuild) return ERR_NONE;
    update_emit_before(run, INT64_MAX);
    run->now = instant_max(run->now, run->task_event_time);
    run->is_at_task = true;
    if (!is_replay) local_go_live(run);
    return ERR_NONE;
}

/* What belonged to one workflow task is over; commands wait for their events. */
static void leave_workflow_task(struct run *run)
{
    run->is_at_task = false;
    list_each(link, &run->outgoing) {
        struct outgoing *out = container_of(link, struct outgoing, link);
        out->from = NULL;
        out->extra = NULL;
    }
    kept_free(run);
    run->seen = NULL;
    run->seen_count = run->seen_capacity = 0;
    run->suggest_reasons = NULL;
    run->suggest_reason_count = 0;
    run->local_stops = NULL;
    run->local_stop_count = run->local_stop_capacity = 0;
    run->query_results = NULL;
    run->query_results_count = run->query_results_capacity_ = 0;
    run->messages = NULL;
    run->messages_count = run->messages_capacity_ = 0;
    run->new_lang_flags = NULL;
    run->new_lang_flags_count = run->new_lang_flags_capacity_ = 0;
    arena_reset(&run->task_arena);
    feed_drop_pages(&run->feed); /* jobs point into them until here */
}

static enum run_want at_end(struct run *run, struct buf *activation)
{
    if (run_apply_commands_only(run) != ERR_NONE) return RUN_FAILED;
    if (run->task->poll->query != NULL) {
        if (run->is_query_answered) return RUN_ANSWER_QUERY;
        if (run->started == NULL) {
            (void)!run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "the run can not be queried before its first workflow task");
            return RUN_FAILED;
        }
        emit_queries(run, activation);
        return RUN_ACTIVATE;
    }
    if (run->options->is_replayer) return RUN_REPLAYED;
    (void)!run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "the workflow task's history does not hold its start");
    return RUN_FAILED;
}

static enum run_want at_workflow_task(struct run *run, instant now UNUSED, struct buf *activation)
{
    if (run->is_replaying) {
        if (run->seen_count != 0) local_play_markers(run, job_count(run) != 0);
    } else {
        if (!run->is_closing) local_take_results(run);
        local_go_live(run);
    }
    if (job_count(run) != 0 && !run->is_closing) {
        emit_jobs(run, activation);
        return RUN_ACTIVATE;
    }
    if (run->is_replaying) {
        forget_jobs(run);
        leave_workflow_task(run);
        return RUN_IDLE;
    }
    if (run->task->poll->queries_count != 0 && !run->are_queries_asked) {
        forget_jobs(run);
        emit_queries(run, activation);
        return RUN_ACTIVATE;
    }
    if (run->local_count != 0 && !run->is_closing && !run->is_heartbeat_due) return RUN_WAIT_LOCAL;
    return RUN_RESPOND;
}

enum run_want run_step(struct run *run, instant now, struct buf *activation)
{
    for (;;) {
        size_t end;
        bool is_replay;
        if (run->has_failed) return RUN_FAILED;
        if (run->is_rebuild) return RUN_REBUILD;
        if (run->is_activation_out) return RUN_BUSY;
        if (run->task == NULL) {
            if (!next_task(run)) return RUN_IDLE;
            continue;
        }
        if (run->is_fetching) return RUN_FETCH;
        if (run->is_at_task) {
            enum run_want want = at_workflow_task(run, now, activation);
            if (want != RUN_IDLE) return want;
            continue;
        }
        switch (run_find_task(run, &end, &is_replay)) {
        case FEED_NEED_PAGE:
            run->is_fetching = true;
            return RUN_FETCH;
        case FEED_END:
            return at_end(run, activation);
        case FEED_TASK:
            (void)!begin_workflow_task(run, end, is_replay); /* a failure shows in the next round */
            break;
        }
    }
}

/* The part of a completion that is not commands. */
static err take_completion(struct run *run, const pb_core_Completion *completion)
{
    if (completion->failure != NULL) {
        struct str message = completion->failure->message;
        err e = run_fail(run, completion->failure_cause, "%.*s", STR_ARG(message));
        run->failure.failure = completion->failure;
        return e;
    }
    if (completion->versioning_behavior != VERSIONING_BEHAVIOR_UNSPECIFIED) run->versioning_behavior = completion->versioning_behavior;
    for (size_t i = 0; i < completion->used_sdk_flags_count; i++)
        if (run_note_lang_flag(run, completion->used_sdk_flags[i]))
            PB_PUSH(&run->task_arena, run, new_lang_flags) = completion->used_sdk_flags[i];
    return run_take_commands(run, completion);
}

err run_complete(struct run *run, const pb_core_Completion *completion, struct arena *arena, char *bytes, instant now UNUSED)
{
    if (!run->is_activation_out || run->task == NULL) return ERR_NOT_FOUND;
    struct kept *kept = xcalloc(1, sizeof *kept);
    kept->arena = *arena;
    kept->bytes = bytes;
    kept->next = run->kept;
    run->kept = kept;
    arena_init(arena, 0, 0);
    run->is_activation_out = false;
    run->completion_count++;
    err e = take_completion(run, completion);
    if (run->is_query_out) {
        run->is_query_out = false;
        run->is_query_answered = true;
    }
    return e == ERR_NONE || completion->failure != NULL ? ERR_NONE : e;
}

instant run_heartbeat_at(const struct run *run)
{
    return instant_add(run->received_at, (duration){run->task_timeout.ns / 10 * 8});
}

void run_heartbeat(struct run *run)
{
    run->is_heartbeat_due = true;
}

void run_task_done(struct run *run, int64_t reset_event_id)
{
    bool was_query = run->task->poll->query != NULL;
    if (!was_query) {
        run->expects_completed = reset_event_id == 0;
        run->local_retries = 0;
        run->core_flags |= RUN_CORE_FLAGS;
        run->sdk_name = run->options->sdk_name;
        run->sdk_version = run->options->sdk_version;
        if (reset_event_id != 0 && reset_event_id < run->last_event_id) run->last_event_id = reset_event_id;
    }
    feed_fini(&run->feed);
    run->feed.page_last = &run->feed.pages;
    forget_jobs(run);
    leave_workflow_task(run);
    if (list_is_empty(&run->outgoing)) arena_reset(&run->out_arena);
    run_task_destroy(run->task);
    run->task = NULL;
}
