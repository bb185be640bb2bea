#include "history/harness.h"

#include <stdio.h>

/* Breaches of what always holds stop the test program: the state is not worth going on with. */
#define require(expression) ensure(expression)

struct world_item { int32_t kind; struct str key, bytes; };

/* ---- the world ---- */

static const struct namespace_info *find_namespace(void *argument, struct str name)
{
    struct world *w = argument;
    return str_equal(name, w->ns.name) ? &w->ns : str_equal(name, w->other_ns.name) ? &w->other_ns : NULL;
}

void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.now = {INT64_C(1700000000) * NS_PER_S}, .next_run = 1};
    prng_init(&w->prng, seed);
    w->limits = limits_default();
    w->ns = (struct namespace_info){.key = 1, .id = STR("11111111-1111-4111-8111-111111111111"), .name = STR("default"), .retention = duration_s(86400)};
    w->other_ns = (struct namespace_info){.key = 2, .id = STR("22222222-2222-4222-8222-222222222222"), .name = STR("other"), .retention = duration_s(86400)};
    arena_init(&w->arena, 64 * 1024, 0);
    list_init(&w->runs);
    list_init(&w->tasks);
    list_init(&w->callbacks);
    list_init(&w->messages);
}

void world_fini(struct world *w)
{
    list_each_safe(link, &w->runs) {
        struct world_run *r = container_of(link, struct world_run, link);
        execution_destroy(r->e);
        buf_fini(&r->state);
        buf_fini(&r->history);
        map_fini(&r->items);
    }
    arena_fini(&w->arena);
}

struct world_run *world_run_of(struct world *w, const struct execution *e)
{
    list_each(link, &w->runs) {
        struct world_run *r = container_of(link, struct world_run, link);
        if (r->e == e) return r;
    }
    return NULL;
}

struct execution *world_current(struct world *w, const char *workflow_id)
{
    struct execution *newest = NULL;
    list_each(link, &w->runs) {
        struct world_run *r = container_of(link, struct world_run, link);
        if (str_equal_c(r->workflow_id, workflow_id)) newest = r->e;
    }
    return newest;
}

struct execution *world_by_run_id(struct world *w, struct str run_id)
{
    list_each(link, &w->runs) {
        struct world_run *r = container_of(link, struct world_run, link);
        if (str_equal(r->run_id, run_id)) return r->e;
    }
    return NULL;
}

void world_begin(struct world *w, struct step *step)
{
    *step = (struct step){.now = w->now, .prng = &w->prng, .limits = &w->limits, .ns = &w->ns, .next_run = &w->next_run,
                          .arena = &w->arena, .error = &w->error};
    w->error = (struct error){0};
    step_init(step);
    step->find_namespace = find_namespace;
    step->find_argument = w;
}

/* ---- rows ---- */

static void write_rows(struct world *w, struct world_run *r, const struct execution_flush *f)
{
    buf_clear(&r->state);
    buf_append_str(&r->state, f->state);
    for (size_t i = 0; i < f->change_count; i++) {
        const struct execution_change *c = &f->changes[i];
        struct str key = arena_str(&w->arena, arena_printf(&w->arena, "%d/", c->item_kind));
        char *full = arena_alloc(&w->arena, key.size + c->key.size + 1);
        memcpy(full, key.data, key.size);
        if (c->key.size != 0) memcpy(full + key.size, c->key.data, c->key.size);
        key = str_make(full, key.size + c->key.size);
        if (c->kind == CHANGE_ITEM_PUT) {
            struct world_item *item = arena_new(&w->arena, struct world_item);
            *item = (struct world_item){c->item_kind, arena_str(&w->arena, c->key), arena_str(&w->arena, c->bytes)};
            map_put(&r->items, key, item);
        } else if (c->kind == CHANGE_ITEM_DELETE) {
            require(map_remove(&r->items, key) != NULL);
        } else if (c->kind == CHANGE_HISTORY) {
            require((c->first_event_id) == (int64_t)(r->event_count + 1));
            buf_append_str(&r->history, c->bytes);
            r->event_count += c->event_count;
        }
    }
    if (f->is_wake_changed) r->wake = f->wake;
    r->has_wake = true;
}

static struct execution *load(struct world *w, struct world_run *r)
{
    size_t count = map_count(&r->items), n = 0;
    struct execution_item *items = arena_array(&w->arena, struct execution_item, count);
    struct world_item *item;
    for (size_t at = 0; (item = map_next(&r->items, &at, NULL)) != NULL;) items[n++] = (struct execution_item){item->kind, item->key, item->bytes};
    struct execution_row row = {r->key, r->workflow_id, r->run_id, buf_view(&r->state)};
    struct execution *e = NULL;
    err result = execution_load(&w->ns, &row, items, count, &e);
    require((result) == (int64_t)(ERR_NONE));
    return e;
}

static bool items_equal(const struct execution *a, const struct execution *b, enum item_kind kind)
{
    static const struct pb_message *const types[] = {
#define X(kind, number, message, key) [kind] = &pb_store_##message##_type,
        ITEM_TABLE(X)
#undef X
    };
    if (kind < ITEM_ACTIVITY) {
        if (a->single[kind] == NULL || b->single[kind] == NULL) return a->single[kind] == b->single[kind];
        return pb_equal(types[kind], a->single[kind]->message, b->single[kind]->message);
    }
    struct item *x, *y;
    size_t count = 0;
    for (size_t at = 0; (x = item_next(a, kind, &at)) != NULL;) {
        if (!x->is_stored) continue; /* lives in memory only */
        y = x->name.size != 0 ? item_by_name(b, kind, x->name) : item_by_number(b, kind, x->number);
        if (y == NULL || !pb_equal(types[kind], x->message, y->message)) return false;
        count++;
    }
    return count == item_count(b, kind);
}

/* What was flushed, loaded again, is the same run. */
static void check_reload(struct world *w, struct world_run *r)
{
    struct execution *again = load(w, r);
    if (again == NULL) return;
    w->reloads++;
    pb_store_WorkflowTask *task = r->e->s->task, none = {.attempt = task->attempt};
    bool is_speculative = task->kind == WORKFLOW_TASK_KIND_SPECULATIVE; /* lives in memory only */
    if (is_speculative) r->e->s->task = &none;
    require(pb_equal(&pb_store_RunState_type, r->e->s, again->s));
    r->e->s->task = task;
    for (int kind = 1; kind < ITEM_KIND_COUNT; kind++) {
        bool is_same = items_equal(r->e, again, (enum item_kind)kind);
        if (!is_same) fprintf(stderr, "items of kind %d differ after a reload\n", kind);
        require(is_same);
    }
    require(is_speculative || execution_next_wake(again).ns == execution_next_wake(r->e).ns);
    require((again->offered_count) == (int64_t)(r->e->offered_count));
    require(again->buffered_bytes == r->e->buffered_bytes);
    execution_destroy(again);
}

static void check_events(struct world *w, struct world_run *r)
{
    pb_history_History *h = NULL;
    require((PB_DECODE(&w->arena, buf_view(&r->history), pb_history_History, &h)) == (int64_t)(ERR_NONE));
    if (h == NULL) return;
    require((int64_t)(h->events_count) == (int64_t)(r->event_count));
    bool is_closed = false;
    for (size_t i = 0; i < h->events_count; i++) {
        require((h->events[i]->event_id) == (int64_t)(i + 1));
        require(!is_closed);
        is_closed = event_is_closing(h->events[i]->event_type);
    }
    require((is_closed) == (int64_t)(!execution_is_open(r->e)));
    require((r->e->s->history_size) == (int64_t)r->history.size);
}

/* Absent and empty are the same. */
static bool attributes_equal(const struct execution *x, const struct execution *y)
{
    static const pb_common_SearchAttributes no_search;
    static const pb_common_Memo no_memo;
    const pb_store_Attributes none = {0}, *a = x->single[ITEM_ATTRIBUTES] != NULL ? x->single[ITEM_ATTRIBUTES]->attributes : &none;
    const pb_store_Attributes *b = y->single[ITEM_ATTRIBUTES] != NULL ? y->single[ITEM_ATTRIBUTES]->attributes : &none;
    return pb_equal(&pb_common_SearchAttributes_type, a->search_attributes != NULL ? a->search_attributes : &no_search, b->search_attributes != NULL ? b->search_attributes : &no_search) &&
           pb_equal(&pb_common_Memo_type, a->memo != NULL ? a->memo : &no_memo, b->memo != NULL ? b->memo : &no_memo);
}

/* Mutable state can be rebuilt from history alone, but for what history does not hold. */
static void check_rebuild(struct world *w, struct world_run *r)
{
    pb_history_History *h = NULL;
    struct execution *again = NULL, *e = r->e;
    struct item *item, *other;
    if (!execution_is_open(e) || item_count(e, ITEM_BUFFERED) != 0) return; /* ends may wait in the buffer */
    require(PB_DECODE(&w->arena, buf_view(&r->history), pb_history_History, &h) == ERR_NONE);
    require(execution_rebuild(&w->ns, h->events, h->events_count, &again) == ERR_NONE);
    const pb_store_RunState *s = e->s, *t = again->s;
    require(s->status == t->status && s->signal_count == t->signal_count && s->is_cancel_requested == t->is_cancel_requested);
    require(s->update_count == t->update_count && s->previous_started_event_id == t->previous_started_event_id);
    require(s->last_completed_task_event_id == t->last_completed_task_event_id && s->next_event_id == t->next_event_id);
    require(str_equal(s->workflow_type, t->workflow_type) && str_equal(s->task_queue, t->task_queue) && s->run_timeout_ns == t->run_timeout_ns);
    static const enum item_kind numbered[] = {ITEM_ACTIVITY, ITEM_CHILD, ITEM_EXTERNAL};
    for (size_t i = 0; i < countof(numbered); i++) {
        require(item_count(e, numbered[i]) == item_count(again, numbered[i]));
        for (size_t at = 0; (item = item_next(e, numbered[i], &at)) != NULL;) {
            require((other = item_by_number(again, numbered[i], item->number)) != NULL);
            if (numbered[i] == ITEM_CHILD) require(item->child->has_started == other->child->has_started);
            if (numbered[i] == ITEM_ACTIVITY) require(item->activity->is_cancel_requested == other->activity->is_cancel_requested);
        }
    }
    require(item_count(e, ITEM_TIMER) == item_count(again, ITEM_TIMER));
    for (size_t at = 0; (item = item_next(e, ITEM_TIMER, &at)) != NULL;)
        require((other = item_by_name(again, ITEM_TIMER, item->name)) != NULL && other->timer->fires_at == item->timer->fires_at);
    for (size_t at = 0; (item = item_next(again, ITEM_UPDATE, &at)) != NULL;)
        require((other = item_by_name(e, ITEM_UPDATE, item->name)) != NULL &&
                (other->update->stage == item->update->stage || other->update->admitted_event_id != 0)); /* rejections are not in history */
    require(s->shows_problems || attributes_equal(e, again));
    execution_destroy(again);
}

/* The events that a reset run shares with others. */
static void share_events(struct world *w, struct world_run *r)
{
    for (size_t i = 0; i + 1 < r->e->s->branches_count; i++) {
        const pb_store_HistoryBranch *b = r->e->s->branches[i];
        list_each(link, &w->runs) {
            struct world_run *from = container_of(link, struct world_run, link);
            pb_history_History *h = NULL;
            if (from->key != b->branch) continue;
            require(PB_DECODE(&w->arena, buf_view(&from->history), pb_history_History, &h) == ERR_NONE);
            pb_history_History part = {.events = h->events + b->first_event_id - 1, .events_count = (size_t)(b->end_event_id - b->first_event_id)};
            PB_ENCODE(pb_history_History, &part, &r->history);
            r->event_count = b->end_event_id - 1;
        }
    }
}

static void flush(struct world *w, struct step *step, struct execution *e)
{
    struct world_run *r = world_run_of(w, e);
    struct execution_flush f;
    if (r == NULL) {
        r = arena_new(&w->arena, struct world_run);
        *r = (struct world_run){.e = e, .key = execution_run(e), .workflow_id = arena_str(&w->arena, execution_workflow_id(e)),
                                .run_id = arena_str(&w->arena, execution_run_id(e))};
        list_push(&w->runs, &r->link);
        share_events(w, r);
    }
    execution_flush(e, step, &w->arena, &f);
    require(!execution_is_dirty(e));
    write_rows(w, r, &f);
    require((r->event_count) == (int64_t)(execution_next_event_id(e) - 1));
    if (execution_is_open(e)) require(r->wake.ns <= execution_next_wake(e).ns);
    check_reload(w, r);
    check_events(w, r);
    check_rebuild(w, r);
    event_trim(e);
}

void world_end(struct world *w, struct step *step)
{
    w->was_durable = step->is_durable;
    for (size_t i = 0; step->is_durable && i < step->touched_count; i++) {
        struct execution *e = step->touched[i];
        if (execution_is_dirty(e)) flush(w, step, e);
    }
    for (struct task_effect *t = step->tasks; t != NULL; t = t->next) {
        struct world_task *task = arena_new(&w->arena, struct world_task);
        task->effect = *t;
        list_push(&w->tasks, &task->link);
    }
    for (struct message_effect *m = step->messages; m != NULL; m = m->next)
        for (int copies = w->repeats_messages ? 2 : 1; copies > 0; copies--) {
            struct world_message *message = arena_new(&w->arena, struct world_message);
            message->effect = *m;
            list_push(&w->messages, &message->link);
        }
    for (struct callback_effect *c = step->callbacks; c != NULL; c = c->next) {
        struct world_callback *callback = arena_new(&w->arena, struct world_callback);
        callback->effect = *c;
        list_push(&w->callbacks, &callback->link);
    }
    for (struct notice_effect *n = step->notices; n != NULL; n = n->next) w->notice_count++;
    if (!w->holds_messages) world_deliver(w);
}

void world_deliver(struct world *w)
{
    struct list *link;
    while ((link = list_pop(&w->messages)) != NULL) {
        struct message_effect *m = &container_of(link, struct world_message, link)->effect;
        pb_store_Message *message = NULL;
        require((PB_DECODE(&w->arena, m->bytes, pb_store_Message, &message)) == (int64_t)(ERR_NONE));
        struct execution *target = m->run_id.size != 0 ? world_by_run_id(w, m->run_id) : world_current(w, arena_cstr(&w->arena, m->workflow_id));
        int64_t wanted = execution_wanted_event(target, message);
        if (wanted != 0) message->child_asked->closing = event_at(w, target, wanted);
        struct step step;
        world_begin(w, &step);
        require((execution_receive(&step, target, message)) == (int64_t)(ERR_NONE));
        world_end(w, &step);
    }
}

static void wake(struct world *w, struct execution *e, bool is_recovery)
{
    struct step step;
    world_begin(w, &step);
    require((execution_wake(e, &step, is_recovery)) == (int64_t)(ERR_NONE));
    world_end(w, &step);
}

void world_advance(struct world *w, duration d)
{
    instant end = instant_add(w->now, d);
    for (int guard = 0; guard < 10000; guard++) {
        struct execution *next = NULL;
        list_each(link, &w->runs) {
            struct execution *e = container_of(link, struct world_run, link)->e;
            bool is_over = !execution_is_open(e) && execution_next_wake(e).ns >= instant_add(execution_close_time(e), w->ns.retention).ns;
            if (is_over || execution_next_wake(e).ns > end.ns) continue;
            if (next == NULL || instant_before(execution_next_wake(e), execution_next_wake(next))) next = e;
        }
        if (next == NULL) break;
        w->now = instant_max(w->now, execution_next_wake(next));
        wake(w, next, false);
    }
    w->now = end;
}

void world_crash(struct world *w)
{
    list_init(&w->tasks);
    list_init(&w->callbacks);
    list_each(link, &w->runs) {
        struct world_run *r = container_of(link, struct world_run, link);
        execution_destroy(r->e);
        r->e = load(w, r);
    }
    for (struct list *link = w->runs.next; link != &w->runs; link = link->next) {
        struct world_run *r = container_of(link, struct world_run, link);
        if (r->wake.ns == WAKE_AT_ONCE.ns) wake(w, r->e, true);
    }
}

/* ---- clients ---- */

pb_common_Payloads *payloads(struct world *w, const char *text)
{
    pb_common_Payloads *p = pb_new(&w->arena, pb_common_Payloads);
    PB_PUSH_NEW(&w->arena, p, payloads)->data = arena_str(&w->arena, str_of(text));
    return p;
}

pb_failure_Failure *application_failure(struct world *w, const char *type, bool is_non_retryable)
{
    pb_failure_Failure *f = pb_new(&w->arena, pb_failure_Failure);
    f->message = STR("boom");
    f->failure_info_case = pb_failure_Failure_application_failure_info_tag;
    f->application_failure_info = pb_new(&w->arena, pb_failure_ApplicationFailureInfo);
    f->application_failure_info->type = str_of(type);
    f->application_failure_info->non_retryable = is_non_retryable;
    return f;
}

pb_ws_StartWorkflowExecutionRequest *start_request(struct world *w, const char *workflow_id)
{
    pb_ws_StartWorkflowExecutionRequest *r = pb_new(&w->arena, pb_ws_StartWorkflowExecutionRequest);
    char uuid[37];
    prng_uuid(&w->prng, uuid);
    r->namespace = w->ns.name;
    r->workflow_id = arena_str(&w->arena, str_of(workflow_id));
    r->workflow_type = workflow_type_of(&w->arena, STR("W"));
    r->task_queue = task_queue_of(&w->arena, STR("q"));
    r->identity = STR("client");
    r->request_id = arena_str(&w->arena, str_of(uuid));
    return r;
}

err start_with(struct world *w, pb_ws_StartWorkflowExecutionRequest *request, pb_ws_StartWorkflowExecutionResponse **reply)
{
    struct step step;
    struct execution *run = NULL;
    world_begin(w, &step);
    err result = workflow_start(&step, world_current(w, arena_cstr(&w->arena, request->workflow_id)), request, reply, &run);
    world_end(w, &step);
    return result;
}

struct execution *start(struct world *w, const char *workflow_id)
{
    pb_ws_StartWorkflowExecutionResponse *reply = NULL;
    require((start_with(w, start_request(w, workflow_id), &reply)) == (int64_t)(ERR_NONE));
    return world_current(w, workflow_id);
}

#define IN_STEP(w, call)                   \
    struct step step;                      \
    world_begin((w), &step);               \
    err result = (call);                   \
    world_end((w), &step);                 \
    return result

err signal_with(struct world *w, struct execution *e, const char *name, const char *request_id)
{
    pb_ws_SignalWorkflowExecutionRequest r = {.signal_name = str_of(name), .request_id = str_of(request_id), .identity = STR("client")};
    r.input = payloads(w, "s");
    IN_STEP(w, execution_signal(e, &step, &r));
}

err cancel(struct world *w, struct execution *e)
{
    pb_ws_RequestCancelWorkflowExecutionRequest r = {.identity = STR("client"), .reason = STR("because")};
    IN_STEP(w, execution_request_cancel(e, &step, &r));
}

err terminate(struct world *w, struct execution *e) { IN_STEP(w, execution_terminate(e, &step, STR("because"), NULL, STR("client"), STR_EMPTY)); }

err update_with(struct world *w, struct execution *e, const char *id, struct update_view *view)
{
    pb_update_Meta meta = {.update_id = str_of(id), .identity = STR("client")};
    pb_update_Input input = {.name = STR("u")};
    pb_update_Request r = {.meta = &meta, .input = &input};
    IN_STEP(w, execution_update(e, &step, &r, view));
}

err update_look(struct world *w, struct execution *e, const char *id, struct update_view *view)
{
    IN_STEP(w, execution_update_view(e, &step, str_of(id), view));
}

/* ---- workers ---- */

static struct world_task *find_task(struct world *w, enum task_kind kind, const struct execution *e, int64_t scheduled)
{
    list_each(link, &w->tasks) {
        struct world_task *t = container_of(link, struct world_task, link);
        if (t->effect.kind != kind || t->effect.run != execution_run(e)) continue;
        if (kind == TASK_WORKFLOW && t->effect.stamp == e->s->task->stamp && task_is(e, WORKFLOW_TASK_STATE_SCHEDULED)) return t;
        struct item *item = kind == TASK_ACTIVITY ? item_by_number(e, ITEM_ACTIVITY, t->effect.scheduled_event_id) : NULL;
        if (item == NULL || item->activity->stamp != t->effect.stamp || item->activity->state != ACTIVITY_STATE_SCHEDULED || item->activity->is_paused) continue;
        if (scheduled == 0 || scheduled == item->number) return t;
    }
    return NULL;
}

bool has_task(struct world *w, const struct execution *e) { return find_task(w, TASK_WORKFLOW, e, 0) != NULL; }
bool has_activity(struct world *w, const struct execution *e, int64_t scheduled) { return find_task(w, TASK_ACTIVITY, e, scheduled) != NULL; }

struct taken take(struct world *w, struct execution *e)
{
    struct world_task *t = find_task(w, TASK_WORKFLOW, e, 0);
    struct taken taken = {.e = e};
    require(t != NULL);
    if (t == NULL) return taken;
    list_remove(&t->link);
    pb_ws_PollWorkflowTaskQueueRequest poll = {.identity = STR("worker")};
    struct step step;
    world_begin(w, &step);
    err result = execution_workflow_task_start(e, &step, t->effect.scheduled_event_id, t->effect.stamp, &poll, uuid_new(&step), t->effect.is_sticky,
                                               &taken.reply, &taken.history);
    require((result) == (int64_t)(ERR_NONE));
    world_end(w, &step);
    return taken;
}

static pb_store_TaskToken *token_of(struct world *w, struct str bytes)
{
    pb_store_TaskToken *token = NULL;
    require((PB_DECODE(&w->arena, bytes, pb_store_TaskToken, &token)) == (int64_t)(ERR_NONE));
    return token;
}

pb_ws_RespondWorkflowTaskCompletedRequest *completion(struct world *w, size_t count, pb_command_Command **commands)
{
    pb_ws_RespondWorkflowTaskCompletedRequest *r = pb_new(&w->arena, pb_ws_RespondWorkflowTaskCompletedRequest);
    r->identity = STR("worker");
    for (size_t i = 0; i < count; i++) PB_PUSH(&w->arena, r, commands) = commands[i];
    return r;
}

err complete_with(struct world *w, struct taken t, pb_ws_RespondWorkflowTaskCompletedRequest *request, struct taken *next)
{
    if (t.reply == NULL) return ERR_TASK_GONE;
    pb_ws_RespondWorkflowTaskCompletedResponse *reply = NULL;
    struct taken ours = {.e = t.e};
    bool fail_step = false;
    struct step step;
    world_begin(w, &step);
    err result = execution_workflow_task_complete(t.e, &step, request, token_of(w, t.reply->task_token), &reply, &ours.history, &fail_step);
    require(result == ERR_NONE || fail_step || (step.touched_count == 0 && !step.is_durable));
    world_end(w, &step);
    if (result == ERR_NONE) ours.reply = reply->workflow_task;
    if (next != NULL) *next = ours;
    return result;
}

err fail_task(struct world *w, struct taken t)
{
    pb_ws_RespondWorkflowTaskFailedRequest r = {.cause = WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE, .identity = STR("worker")};
    r.failure = application_failure(w, "E", false);
    IN_STEP(w, execution_workflow_task_fail(t.e, &step, &r, token_of(w, t.reply->task_token)));
}

/* ---- commands ---- */

pb_command_Command *command_new(struct world *w, int32_t type)
{
    pb_command_Command *c = pb_new(&w->arena, pb_command_Command);
    c->command_type = type;
    return c;
}

#define ATTRIBUTES(w, c, field)                                                          \
    ((c)->attributes_case = pb_command_Command_##field##_command_attributes_tag,         \
     (c)->field##_command_attributes = arena_zalloc(&(w)->arena, sizeof *(c)->field##_command_attributes))

pb_command_Command *schedule(struct world *w, const char *id)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK);
    pb_command_ScheduleActivityTaskCommandAttributes *a = ATTRIBUTES(w, c, schedule_activity_task);
    a->activity_id = str_of(id);
    a->activity_type = activity_type_of(&w->arena, STR("A"));
    a->task_queue = task_queue_of(&w->arena, STR("q"));
    a->input = payloads(w, "in");
    a->start_to_close_timeout = duration_of(&w->arena, 10 * NS_PER_S);
    return c;
}

pb_command_Command *cancel_activity(struct world *w, int64_t scheduled_event_id)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK);
    ATTRIBUTES(w, c, request_cancel_activity_task)->scheduled_event_id = scheduled_event_id;
    return c;
}

pb_command_Command *timer(struct world *w, const char *id, int64_t seconds)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_START_TIMER);
    ATTRIBUTES(w, c, start_timer)->timer_id = str_of(id);
    c->start_timer_command_attributes->start_to_fire_timeout = duration_of(&w->arena, seconds * NS_PER_S);
    return c;
}

pb_command_Command *cancel_timer(struct world *w, const char *id)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_CANCEL_TIMER);
    ATTRIBUTES(w, c, cancel_timer)->timer_id = str_of(id);
    return c;
}

pb_command_Command *succeed(struct world *w, const char *result)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION);
    ATTRIBUTES(w, c, complete_workflow_execution)->result = payloads(w, result);
    return c;
}

pb_command_Command *fail_run(struct world *w, const char *type)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION);
    ATTRIBUTES(w, c, fail_workflow_execution)->failure = application_failure(w, type, false);
    return c;
}

pb_command_Command *cancel_run(struct world *w)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION);
    ATTRIBUTES(w, c, cancel_workflow_execution)->details = payloads(w, "cancelled");
    return c;
}

pb_command_Command *continue_run(struct world *w)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION);
    ATTRIBUTES(w, c, continue_as_new_workflow_execution)->input = payloads(w, "next");
    return c;
}

pb_command_Command *start_child(struct world *w, const char *workflow_id, int32_t policy)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION);
    pb_command_StartChildWorkflowExecutionCommandAttributes *a = ATTRIBUTES(w, c, start_child_workflow_execution);
    a->workflow_id = str_of(workflow_id);
    a->workflow_type = workflow_type_of(&w->arena, STR("C"));
    a->parent_close_policy = policy;
    return c;
}

pb_command_Command *signal_other(struct world *w, const char *workflow_id)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION);
    pb_command_SignalExternalWorkflowExecutionCommandAttributes *a = ATTRIBUTES(w, c, signal_external_workflow_execution);
    a->execution = execution_of(&w->arena, str_of(workflow_id), STR_EMPTY);
    a->signal_name = STR("from-workflow");
    return c;
}

pb_command_Command *cancel_other(struct world *w, const char *workflow_id)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION);
    ATTRIBUTES(w, c, request_cancel_external_workflow_execution)->workflow_id = str_of(workflow_id);
    return c;
}

pb_command_Command *marker(struct world *w, const char *name)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_RECORD_MARKER);
    ATTRIBUTES(w, c, record_marker)->marker_name = str_of(name);
    return c;
}

/* ---- activities ---- */

pb_ws_PollActivityTaskQueueResponse *take_activity(struct world *w, struct execution *e)
{
    struct world_task *t = find_task(w, TASK_ACTIVITY, e, 0);
    pb_ws_PollActivityTaskQueueResponse *reply = NULL;
    if (t == NULL) return NULL;
    list_remove(&t->link);
    pb_ws_PollActivityTaskQueueRequest poll = {.identity = STR("worker")};
    struct step step;
    world_begin(w, &step);
    require((execution_activity_start(e, &step, t->effect.scheduled_event_id, t->effect.stamp, &poll, uuid_new(&step), &reply)) == (int64_t)(ERR_NONE));
    world_end(w, &step);
    return reply;
}

static struct execution *run_of(struct world *w, const pb_ws_PollActivityTaskQueueResponse *task) { return world_by_run_id(w, task->workflow_execution->run_id); }

err complete_activity(struct world *w, pb_ws_PollActivityTaskQueueResponse *task)
{
    IN_STEP(w, execution_activity_complete(run_of(w, task), &step, token_of(w, task->task_token), payloads(w, "out"), STR("worker")));
}

err fail_activity(struct world *w, pb_ws_PollActivityTaskQueueResponse *task, const char *type, bool is_non_retryable)
{
    IN_STEP(w, execution_activity_fail(run_of(w, task), &step, token_of(w, task->task_token), application_failure(w, type, is_non_retryable), NULL, STR("worker")));
}

err cancel_taken_activity(struct world *w, pb_ws_PollActivityTaskQueueResponse *task)
{
    IN_STEP(w, execution_activity_cancel(run_of(w, task), &step, token_of(w, task->task_token), NULL, STR("worker")));
}

err heartbeat(struct world *w, pb_ws_PollActivityTaskQueueResponse *task, const char *details, pb_ws_RecordActivityTaskHeartbeatResponse *reply)
{
    IN_STEP(w, execution_activity_heartbeat(run_of(w, task), &step, token_of(w, task->task_token), payloads(w, details), STR("worker"), reply));
}

/* ---- histories ---- */

pb_history_History *history_of(struct world *w, const struct execution *e)
{
    struct world_run *r = world_run_of(w, e);
    pb_history_History *h = NULL;
    if (r == NULL || PB_DECODE(&w->arena, buf_view(&r->history), pb_history_History, &h) != ERR_NONE) return pb_new(&w->arena, pb_history_History);
    return h;
}

size_t event_count(struct world *w, const struct execution *e) { return history_of(w, e)->events_count; }

event *event_at(struct world *w, const struct execution *e, int64_t id)
{
    pb_history_History *h = history_of(w, e);
    size_t at = id < 0 ? h->events_count - 1 : (size_t)id - 1;
    ensure(at < h->events_count);
    return h->events[at];
}

bool history_is(struct world *w, const struct execution *e, int64_t from, const char *names)
{
    struct buf text = {0};
    pb_history_History *h = history_of(w, e);
    for (size_t i = (size_t)from - 1; i < h->events_count; i++) {
        struct str name = pb_enum_short_name(&pb_enums_EventType_enum, h->events[i]->event_type, &w->arena);
        buf_printf(&text, "%s%.*s", i + 1 == (size_t)from ? "" : " ", STR_ARG(name));
    }
    bool is_same = str_equal_c(buf_view(&text), names);
    if (!is_same) fprintf(stderr, "history from %" PRId64 " is\n  %.*s\nnot\n  %s\n", from, STR_ARG(buf_view(&text)), names);
    buf_fini(&text);
    return is_same;
}
