#include "frontend/schedules.h"

#include "base/log.h"
#include "store/store.h"

#include <stdlib.h>

enum { PAGE = 500, RETRY_S = 1, ZONES_MAX = 1000 };
/* Rows of schedules are numbered from here on, beyond the numbers that runs get. */
#define VISIBILITY_KEY_FIRST (INT64_C(1) << 38)
#define DIVISION STR("TemporalScheduler")
#define ID_PREFIX "temporal-sys-scheduler:"

struct zone { struct arena arena; struct tz *tz; };

struct start_rate { instant next; }; /* of a namespace: the next start is allowed then */

struct schedules {
    struct frontend *f;
    struct map entries;          /* by key */
    struct heap wakes;
    struct map zones;            /* by name */
    struct list ops;             /* calls under way that have an arena of their own */
    struct map_u64 rates;        /* namespace -> struct start_rate */
    struct map starts;           /* request ids of starts under way, until their outcome is stored */
    int64_t next_visibility_key;
    struct store_read read;      /* while starting */
    bool is_reading;
    void (*started)(struct frontend *f, err result);
};

struct schedule_entry {
    struct schedules *all;
    struct str key;              /* in `memory` */
    int64_t namespace_key;
    struct arena memory;
    struct arena state_arena, spec_arena;
    pb_store_ScheduleEntity *state;
    struct spec *spec;
    struct heap_node wake;
    struct list inputs, waiting; /* to run; until starts have been answered */
    size_t input_count;
    struct list follows;
    struct map follow_by_run;    /* by first run id; of those in `follows` */
    uint64_t round;              /* of carry_out */
    /* the step under way */
    struct schedule_input *current;
    bool has_draft, is_writing, has_new_spec, is_pumping;
    struct schedule_draft draft;
    struct arena draft_arena, draft_spec_arena, scratch;
    struct spec *draft_spec;
    struct store_op store_ops[2];
    struct shard_write write;
    bool is_blocked;             /* a commit failed; `wake` says when it is tried again */
    bool wants_retry;            /* a call failed in a way that passes */
    instant start_at;            /* the rate allows the next start then; 0: nothing waits for it */
};

/* ---- small parts ---- */

const pb_store_ScheduleEntity *schedule_entry_state(const struct schedule_entry *entry) { return entry->state; }
const struct spec *schedule_entry_spec(const struct schedule_entry *entry) { return entry->spec; }
bool schedule_entry_is_starting(const struct schedule_entry *entry) { return entry->state != NULL && entry->state->starting_count != 0 && !entry->wants_retry; }

static struct str key_of(struct arena *arena, int64_t namespace_key, struct str schedule_id)
{
    return arena_printf(arena, "%016" PRIx64 "/%.*s", (uint64_t)namespace_key, STR_ARG(schedule_id));
}

static struct schedule_entry *entry_of(struct schedules *all, struct str key, int64_t namespace_key)
{
    struct schedule_entry *entry = map_get(&all->entries, key);
    if (entry != NULL) return entry;
    entry = xcalloc(1, sizeof *entry);
    entry->all = all;
    arena_init(&entry->memory, 256, 0);
    arena_init(&entry->state_arena, 1024, 0);
    arena_init(&entry->spec_arena, 1024, 0);
    arena_init(&entry->scratch, 1024, 0);
    entry->key = arena_str(&entry->memory, key);
    entry->namespace_key = namespace_key;
    list_init(&entry->inputs);
    list_init(&entry->waiting);
    list_init(&entry->follows);
    map_put(&all->entries, entry->key, entry);
    return entry;
}

static void input_free(struct schedule_input *input)
{
    if (input->rpc != NULL) return;
    struct arena arena = input->arena; /* it holds the input */
    arena_fini(&arena);
}

static void draft_drop(struct schedule_entry *entry)
{
    if (!entry->has_draft) return;
    arena_fini(&entry->draft_arena);
    if (entry->has_new_spec) arena_fini(&entry->draft_spec_arena);
    entry->has_draft = entry->has_new_spec = false;
}

static void entry_free(struct schedule_entry *entry)
{
    heap_remove(&entry->all->wakes, &entry->wake);
    draft_drop(entry);
    arena_fini(&entry->state_arena);
    arena_fini(&entry->spec_arena);
    arena_fini(&entry->scratch);
    map_fini(&entry->follow_by_run);
    arena_fini(&entry->memory);
    free(entry);
}

/* ---- zones and specifications ---- */

static const struct tz *zone_find(struct schedules *all, struct str name, struct arena *arena, err *result, struct error *error)
{
    *result = ERR_NONE;
    if (str_is_empty(name) || str_equal_c(name, "UTC") || str_equal_c(name, "Etc/UTC")) return NULL;
    struct zone *known = map_get(&all->zones, name);
    if (known != NULL) return known->tz;
    struct frontend_env *env = &all->f->env;
    struct zone *zone = xcalloc(1, sizeof *zone);
    arena_init(&zone->arena, 0, 0);
    struct str bytes;
    bool is_there = name.size <= 100 && map_count(&all->zones) < ZONES_MAX && env->read_zone != NULL && env->read_zone(env->arg, name, &zone->arena, &bytes) == ERR_NONE;
    if (is_there && tz_parse(bytes, &zone->arena, &zone->tz) == ERR_NONE) {
        map_put(&all->zones, name, zone);
        return zone->tz;
    }
    arena_fini(&zone->arena);
    free(zone);
    *result = error_set(error, arena, ERR_INVALID, "there is no time zone \"%.*s\"", (int)size_min(name.size, 100), name.data);
    return NULL;
}

const struct tz *frontend_find_zone(struct frontend *f, struct str name)
{
    struct arena arena;
    err result = ERR_NONE;
    arena_init(&arena, 0, 0);
    const struct tz *tz = zone_find(f->schedules, name, &arena, &result, NULL);
    arena_fini(&arena);
    return result == ERR_NONE ? tz : NULL;
}

static err compile(struct schedule_entry *entry, const pb_schedule_ScheduleSpec *spec, struct arena *arena, struct spec **out, struct error *error)
{
    const struct tz *tz;
    err result = ERR_NONE;
    if (spec->timezone_data.size != 0) {
        struct tz *own;
        if (tz_parse(spec->timezone_data, arena, &own) != ERR_NONE) return error_set(error, arena, ERR_INVALID, "timezone_data is not a zone file (TZif)");
        tz = own;
    } else {
        tz = zone_find(entry->all, spec->timezone_name, arena, &result, error);
        TRY(result);
    }
    return spec_compile(spec, tz, str_hash(entry->key), arena, out, error);
}

err schedule_draft_spec(struct schedule_entry *entry, const pb_schedule_ScheduleSpec *spec, struct arena *error_arena, struct error *error)
{
    ensure(entry->has_draft && !entry->has_new_spec);
    arena_init(&entry->draft_spec_arena, 1024, 0);
    entry->has_new_spec = true;
    err result = compile(entry, spec, &entry->draft_spec_arena, &entry->draft_spec, error);
    if (result != ERR_NONE && error != NULL) error->message = arena_str(error_arena, error->message);
    return result;
}

const struct spec *schedule_draft_new_spec(const struct schedule_entry *entry) { return entry->draft_spec; }

/* ---- steps ---- */

struct schedule_draft *schedule_draft(struct schedule_entry *entry, struct error *error)
{
    struct frontend *f = entry->all->f;
    ensure(!entry->has_draft);
    arena_init(&entry->draft_arena, 1024, 0);
    entry->has_draft = true;
    struct schedule_draft *d = &entry->draft;
    *d = (struct schedule_draft){.arena = &entry->draft_arena};
    d->step = (struct schedule_step){.now = f->now, .prng = &f->prng, .spec = entry->spec, .arena = &entry->draft_arena, .error = error};
    if (entry->state != NULL) d->state = PB_CLONE(&entry->draft_arena, pb_store_ScheduleEntity, entry->state);
    return d;
}

void schedule_draft_new(struct schedule_entry *entry, pb_store_ScheduleEntity *state)
{
    state->namespace_key = entry->namespace_key;
    state->schedule_id = arena_str(&entry->draft_arena, str_skip(entry->key, 17));
    state->visibility_key = entry->all->next_visibility_key++;
    entry->draft.state = state;
}

static pb_store_VisibilityRow *row_of(struct schedule_entry *entry, const pb_store_ScheduleEntity *s, const struct spec *spec, struct arena *arena)
{
    pb_store_VisibilityRow *row = pb_new(arena, pb_store_VisibilityRow);
    row->namespace_key = s->namespace_key;
    row->run_key = s->visibility_key;
    row->workflow_id = arena_printf(arena, ID_PREFIX "%.*s", STR_ARG(s->schedule_id));
    row->run_id = s->entity_id;
    row->workflow_type = STR("temporal-sys-scheduler-workflow");
    row->status = WORKFLOW_EXECUTION_STATUS_RUNNING;
    row->start_time = row->execution_time = s->info->create_time;
    row->namespace_division = DIVISION;
    row->memo = s->memo;
    row->search_attributes = pb_new(arena, pb_common_SearchAttributes);
    for (size_t i = 0; s->search_attributes != NULL && i < s->search_attributes->indexed_fields_count; i++)
        PB_PUSH(arena, row->search_attributes, indexed_fields) = s->search_attributes->indexed_fields[i];
    pb_common_SearchAttributes_IndexedFieldsEntry *paused = PB_PUSH_NEW(arena, row->search_attributes, indexed_fields);
    paused->key = STR("TemporalSchedulePaused");
    paused->value = pb_payload_new(arena, STR("json/plain"), s->schedule->state->paused ? STR("true") : STR("false"));
    pb_common_Payload_MetadataEntry *type = PB_PUSH_NEW(arena, paused->value, metadata);
    type->key = STR("type");
    type->value = STR("Bool");
    row->extra = PB_ENCODE_ARENA(pb_schedule_ScheduleListInfo, schedule_list_info(s, spec, entry->all->f->now, arena), arena);
    row->version = s->version;
    return row;
}

static void pump(struct schedule_entry *entry);
static void carry_out(struct schedule_entry *entry);
static void follows_drop(struct schedule_entry *entry);

static void arm(struct schedule_entry *entry)
{
    struct schedules *all = entry->all;
    instant due = entry->state != NULL ? schedule_next_wake(entry->state, entry->spec) : INSTANT_NEVER;
    if (entry->is_blocked) due = instant_add(all->f->now, duration_s(RETRY_S));
    else if (entry->wants_retry) due = instant_min(due, instant_add(all->f->now, duration_s(RETRY_S)));
    if (instant_is_set(entry->start_at)) due = instant_min(due, entry->start_at);
    due = instant_max(due, instant_add(all->f->now, duration_ms(1))); /* what is due already lets others go first */
    if (due.ns == INSTANT_NEVER.ns) heap_remove(&all->wakes, &entry->wake);
    else heap_put(&all->wakes, &entry->wake, due);
    if (heap_first(&all->wakes) == &entry->wake && all->f->env.rearm != NULL) all->f->env.rearm(all->f->env.arg);
}

static void take_over_draft(struct schedule_entry *entry)
{
    arena_fini(&entry->state_arena);
    entry->state_arena = entry->draft_arena;
    entry->state = entry->draft.is_delete ? NULL : entry->draft.state;
    if (entry->has_new_spec) {
        arena_fini(&entry->spec_arena);
        entry->spec_arena = entry->draft_spec_arena;
        entry->spec = entry->draft_spec;
    }
    entry->has_draft = entry->has_new_spec = false;
    if (entry->state == NULL) follows_drop(entry);
}

static void input_end(struct schedule_entry *entry, err result)
{
    struct schedule_input *input = entry->current;
    entry->current = NULL;
    entry->input_count--;
    struct rpc *rpc = input->rpc;
    if (input->done != NULL) input->done(input, result);
    input_free(input);
    if (rpc != NULL) rpc_let_go(rpc);
}

/* While a backfill goes on there is always a start under way: so many stored forms later they have waited long enough. */
static void wake_waiting(struct schedule_entry *entry)
{
    int64_t version = entry->state != NULL ? entry->state->version : INT64_MAX;
    bool is_starting = schedule_entry_is_starting(entry);
    list_each_safe(link, &entry->waiting) {
        struct schedule_input *input = container_of(link, struct schedule_input, link);
        if (is_starting && version < input->wait_until) continue;
        list_remove(link);
        list_push(&entry->inputs, link);
    }
}

static void written(struct shard_write *write, err result)
{
    struct schedule_entry *entry = container_of(write, struct schedule_entry, write);
    struct frontend *f = entry->all->f;
    f->now = f->env.now(f->env.arg);
    entry->is_writing = false;
    entry->is_pumping = true; /* an answer may bring the next request at once */
    arena_reset(&entry->scratch);
    if (result == ERR_NONE) {
        take_over_draft(entry);
        input_end(entry, ERR_NONE);
    } else {
        draft_drop(entry);
        if (entry->current->rpc != NULL) {
            input_end(entry, result);
        } else { /* what has happened inside is not forgotten */
            list_push_front(&entry->inputs, &entry->current->link);
            entry->current = NULL;
            entry->is_blocked = true;
        }
    }
    entry->is_pumping = false;
    pump(entry);
}

static void commit(struct schedule_entry *entry)
{
    struct schedule_draft *d = &entry->draft;
    pb_store_ScheduleEntity *s = d->state;
    const struct spec *spec = entry->has_new_spec ? entry->draft_spec : entry->spec;
    if (d->is_delete) {
        entry->store_ops[0] = (struct store_op){.kind = STORE_KV_DELETE, .item_kind = SPACE_SCHEDULE, .key = entry->key};
        entry->store_ops[1] = (struct store_op){.kind = STORE_VISIBILITY_DELETE, .run = s->visibility_key};
    } else {
        s->version++;
        entry->store_ops[0] = (struct store_op){.kind = STORE_KV_PUT, .item_kind = SPACE_SCHEDULE, .key = entry->key,
                                                .bytes = PB_ENCODE_ARENA(pb_store_ScheduleEntity, s, &entry->scratch)};
        entry->store_ops[1] = (struct store_op){.kind = STORE_VISIBILITY_PUT, .run = s->visibility_key, .visibility = row_of(entry, s, spec, &entry->scratch)};
    }
    entry->write = (struct shard_write){.ops = entry->store_ops, .op_count = 2, .done = written};
    entry->is_writing = true;
    shard_write(entry->all->f->env.shard, &entry->write);
}

/* Runs inputs until one is being written; then what the state says is carried out. May free the entry. */
static void pump(struct schedule_entry *entry)
{
    if (entry->is_pumping || entry->is_writing) return;
    entry->is_pumping = true;
    wake_waiting(entry);
    while (!entry->is_writing && !entry->is_blocked && !list_is_empty(&entry->inputs)) {
        struct schedule_input *input = container_of(list_pop(&entry->inputs), struct schedule_input, link);
        entry->current = input;
        bool is_left = input->rpc != NULL && (input->rpc->is_answered || input->rpc->is_cancelled);
        enum schedule_next next = is_left ? SCHEDULE_DONE : input->run(input);
        if (next == SCHEDULE_COMMIT) {
            commit(entry);
        } else if (next == SCHEDULE_WAIT) {
            entry->current = NULL;
            input->has_waited = true;
            input->wait_until = entry->state->version + SCHEDULE_STARTING_MAX;
            list_push(&entry->waiting, &input->link);
        } else {
            draft_drop(entry);
            input->done = NULL;
            input_end(entry, ERR_NONE);
        }
    }
    entry->is_pumping = false;
    if (entry->is_writing) return;
    carry_out(entry);
    arm(entry);
    if (entry->state == NULL && entry->input_count == 0 && list_is_empty(&entry->follows)) {
        map_remove(&entry->all->entries, entry->key);
        entry_free(entry);
    }
}

void schedule_submit(struct frontend *f, struct rpc *rpc, struct schedule_input *input, struct str schedule_id)
{
    struct schedules *all = f->schedules;
    struct str key = key_of(rpc->arena, rpc->ns->key, schedule_id);
    struct schedule_entry *entry = map_get(&all->entries, key);
    if (entry == NULL && map_count(&all->entries) >= SCHEDULES_MAX) {
        rpc_error(rpc, ERR_LIMIT, "there are %d schedules, which is as many as one server takes", SCHEDULES_MAX);
        return;
    }
    if (entry == NULL) entry = entry_of(all, key, rpc->ns->key);
    if (entry->input_count >= SCHEDULE_INPUTS_MAX) {
        rpc_error(rpc, ERR_LIMIT, "%d requests wait for this schedule", SCHEDULE_INPUTS_MAX);
        return;
    }
    input->entry = entry;
    input->rpc = rpc;
    rpc_hold(rpc);
    entry->input_count++;
    list_push(&entry->inputs, &input->link);
    pump(entry);
}

/* An input from inside, in an arena of its own; sized for a struct that begins with it. */
static void *input_new(struct schedule_entry *entry, size_t size, enum schedule_next (*run)(struct schedule_input *input))
{
    struct arena arena;
    arena_init(&arena, 512, 0);
    struct schedule_input *input = arena_zalloc(&arena, size);
    input->arena = arena;
    input->entry = entry;
    input->run = run;
    entry->input_count++;
    list_push(&entry->inputs, &input->link);
    return input;
}

/* ---- waking ---- */

static bool namespace_is_gone(const struct schedule_entry *entry)
{
    const struct namespace_info *ns = namespace_by_key(entry->all->f, entry->namespace_key);
    return ns == NULL || ns->is_deleted;
}

static enum schedule_next wake_run(struct schedule_input *input)
{
    struct schedule_entry *entry = input->entry;
    if (entry->state == NULL) return SCHEDULE_DONE;
    struct schedule_draft *d = schedule_draft(entry, NULL);
    if (namespace_is_gone(entry) || schedule_is_over(entry->state, entry->spec, d->step.now)) {
        d->is_delete = true;
        return SCHEDULE_COMMIT;
    }
    return schedule_advance(&d->step, d->state) ? SCHEDULE_COMMIT : SCHEDULE_DONE;
}

instant schedules_next_due(const struct frontend *f)
{
    const struct heap_node *first = f->is_serving && !f->is_draining ? heap_first(&f->schedules->wakes) : NULL;
    return first != NULL ? first->due : INSTANT_NEVER;
}

void schedules_tick(struct frontend *f)
{
    struct schedules *all = f->schedules;
    if (!f->is_serving || f->is_draining) return;
    for (struct heap_node *node; (node = heap_first(&all->wakes)) != NULL && node->due.ns <= f->now.ns;) {
        struct schedule_entry *entry = container_of(node, struct schedule_entry, wake);
        heap_remove(&all->wakes, node);
        entry->is_blocked = entry->wants_retry = false;
        input_new(entry, sizeof(struct schedule_input), wake_run);
        pump(entry);
    }
}

void schedules_wake_namespace(struct frontend *f, int64_t namespace_key)
{
    struct schedule_entry *entry;
    for (size_t at = 0; (entry = map_next(&f->schedules->entries, &at, NULL)) != NULL;)
        if (entry->namespace_key == namespace_key) heap_put(&f->schedules->wakes, &entry->wake, f->now);
    if (f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

/* ---- starting ---- */

struct schedule_op {
    struct list link;
    struct shard_call call;
    struct schedules *all;
    struct arena arena;
    struct str key, entity_id;
    pb_ws_StartWorkflowExecutionRequest *request;
    struct str run_id, first_run_id;
    enum schedule_wanted wanted;
};

static struct schedule_op *op_new(struct schedule_entry *entry, err (*step)(struct shard_call *, struct execution *, struct step *, bool *),
                                  void (*done)(struct shard_call *, err))
{
    struct schedule_op *op = xcalloc(1, sizeof *op);
    op->all = entry->all;
    arena_init(&op->arena, 0, 0);
    op->key = arena_str(&op->arena, entry->key);
    op->entity_id = arena_str(&op->arena, entry->state->entity_id);
    op->call.namespace_key = entry->namespace_key;
    op->call.arena = &op->arena;
    op->call.step = step;
    op->call.done = done;
    list_push(&entry->all->ops, &op->link);
    return op;
}

static void op_free(struct schedule_op *op)
{
    list_remove(&op->link);
    arena_fini(&op->arena);
    free(op);
}

/* The schedule it was for, if it is still that one. */
static struct schedule_entry *op_entry(const struct schedule_op *op)
{
    struct schedule_entry *entry = map_get(&op->all->entries, op->key);
    return entry != NULL && entry->state != NULL && str_equal(entry->state->entity_id, op->entity_id) ? entry : NULL;
}

static bool passes(err result) /* may be otherwise next time */
{
    enum grpc_code code = err_grpc(result);
    return code == GRPC_UNAVAILABLE || code == GRPC_RESOURCE_EXHAUSTED || code == GRPC_ABORTED || code == GRPC_DEADLINE_EXCEEDED;
}

struct started_input { struct schedule_input input; struct str request_id, run_id; bool is_started, is_overlap; };

static void started_done(struct schedule_input *input, err result UNUSED)
{
    map_remove(&input->entry->all->starts, container_of(input, struct started_input, input)->request_id);
}

static enum schedule_next started_run(struct schedule_input *input)
{
    struct started_input *in = container_of(input, struct started_input, input);
    if (input->entry->state == NULL) {
        started_done(input, ERR_NONE);
        return SCHEDULE_DONE;
    }
    struct schedule_draft *d = schedule_draft(input->entry, NULL);
    if (in->is_started) schedule_started(&d->step, d->state, in->request_id, in->run_id);
    else schedule_not_started(&d->step, d->state, in->request_id, in->is_overlap);
    schedule_advance(&d->step, d->state);
    return SCHEDULE_COMMIT;
}

static err start_step(struct shard_call *call, struct execution *current, struct step *step, bool *is_commit UNUSED)
{
    struct schedule_op *op = container_of(call, struct schedule_op, call);
    pb_ws_StartWorkflowExecutionResponse *reply;
    struct execution *run;
    TRY(workflow_start(step, current, op->request, &reply, &run));
    op->run_id = arena_str(&op->arena, reply->run_id);
    return ERR_NONE;
}

static void start_done(struct shard_call *call, err result)
{
    struct schedule_op *op = container_of(call, struct schedule_op, call);
    struct frontend *f = op->all->f;
    f->now = f->env.now(f->env.arg);
    struct schedule_entry *entry = op_entry(op);
    if (entry == NULL || passes(result)) map_remove(&f->schedules->starts, op->request->request_id);
    if (entry != NULL && passes(result)) {
        entry->wants_retry = true;
        op_free(op);
        pump(entry);
        return;
    }
    if (entry != NULL) {
        if (result != ERR_NONE && result != ERR_WORKFLOW_STARTED)
            log_warn("schedules", "a scheduled workflow could not be started", "error", err_text(result));
        struct started_input *in = input_new(entry, sizeof *in, started_run);
        in->input.done = started_done;
        in->request_id = arena_str(&in->input.arena, op->request->request_id);
        in->run_id = arena_str(&in->input.arena, op->run_id);
        in->is_started = result == ERR_NONE;
        in->is_overlap = result == ERR_WORKFLOW_STARTED;
    }
    op_free(op);
    if (entry != NULL) pump(entry);
}

/* The rate as a bucket that holds one second's worth. False: not before entry->start_at. */
static bool rate_allows(struct schedule_entry *entry)
{
    struct schedules *all = entry->all;
    int64_t most = all->f->settings.limits.schedule_rate_max;
    if (most <= 0) return true;
    struct start_rate *rate = map_u64_get(&all->rates, (uint64_t)entry->namespace_key);
    if (rate == NULL) {
        rate = xcalloc(1, sizeof *rate);
        map_u64_put(&all->rates, (uint64_t)entry->namespace_key, rate);
    }
    instant now = all->f->now;
    if (instant_since(rate->next, now).ns > 2 * NS_PER_S) rate->next = now; /* the clock was set back */
    if (instant_before(now, rate->next)) {
        entry->start_at = rate->next;
        return false;
    }
    int64_t gap = NS_PER_S / most;
    rate->next = instant_add(instant_max(rate->next, (instant){now.ns - (NS_PER_S - gap)}), (duration){gap});
    return true;
}

static void start(struct schedule_entry *entry, const pb_store_ScheduleStart *start)
{
    const struct namespace_info *ns = namespace_by_key(entry->all->f, entry->namespace_key);
    if (ns == NULL || map_get(&entry->all->starts, start->request_id) != NULL || !rate_allows(entry)) return;
    map_put(&entry->all->starts, start->request_id, entry->all);
    struct schedule_op *op = op_new(entry, start_step, start_done);
    op->request = PB_CLONE(&op->arena, pb_ws_StartWorkflowExecutionRequest, schedule_start_request(entry->state, start, ns->name, &op->arena));
    op->call.workflow_id = op->request->workflow_id;
    op->call.need = SHARD_MAY_LACK_RUN;
    shard_submit(entry->all->f->env.shard, &op->call);
}

/* ---- following a run to the end of its chain ---- */

struct follow {
    struct list link;            /* of the entry */
    struct schedule_entry *entry;
    struct arena arena;
    struct str workflow_id, run_id;
    uint64_t round;              /* of carry_out, when the state last spoke of it */
    struct shard_call call;
    struct shard_watch watch;
    struct shard_history_read read;
    struct arena call_arena;
    bool is_busy, is_watching, is_notified, is_ended; /* is_ended: the entry has been told */
    bool is_open, is_other;
    int32_t status;
    run_key run;
    enum schedule_wanted sent;
};

struct closed_input { struct schedule_input input; struct str workflow_id, run_id; int32_t status; pb_common_Payloads *result; pb_failure_Failure *failure; };

static enum schedule_next closed_run(struct schedule_input *input)
{
    struct closed_input *in = container_of(input, struct closed_input, input);
    if (input->entry->state == NULL) return SCHEDULE_DONE;
    struct schedule_draft *d = schedule_draft(input->entry, NULL);
    schedule_closed(&d->step, d->state, in->workflow_id, in->run_id, in->status, in->result, in->failure);
    schedule_advance(&d->step, d->state);
    return SCHEDULE_COMMIT;
}

static void follow_free(struct follow *w)
{
    list_remove(&w->link);
    map_remove(&w->entry->follow_by_run, w->run_id);
    arena_fini(&w->call_arena);
    arena_fini(&w->arena);
    free(w);
}

static void follow_unwatch(struct follow *w)
{
    if (w->is_watching) shard_watch_remove(w->entry->all->f->env.shard, &w->watch);
    w->is_watching = false;
}

static void follows_drop(struct schedule_entry *entry)
{
    list_each_safe(link, &entry->follows) {
        struct follow *w = container_of(link, struct follow, link);
        follow_unwatch(w);
        w->is_ended = true;
        if (!w->is_busy) follow_free(w);
    }
}

static void follow_look(struct follow *w);

static void follow_end(struct follow *w, const pb_history_HistoryEvent *event)
{
    struct schedule_entry *entry = w->entry;
    struct closed_input *in = input_new(entry, sizeof *in, closed_run);
    struct arena *arena = &in->input.arena;
    in->workflow_id = arena_str(arena, w->workflow_id);
    in->run_id = arena_str(arena, w->run_id);
    in->status = w->status;
    if (event != NULL && event->attributes_case == pb_history_HistoryEvent_workflow_execution_completed_event_attributes_tag) {
        const pb_common_Payloads *result = event->workflow_execution_completed_event_attributes->result;
        in->result = result != NULL ? PB_CLONE(arena, pb_common_Payloads, result) : NULL;
    } else if (event != NULL && event->attributes_case == pb_history_HistoryEvent_workflow_execution_failed_event_attributes_tag) {
        const pb_failure_Failure *failure = event->workflow_execution_failed_event_attributes->failure;
        in->failure = failure != NULL ? PB_CLONE(arena, pb_failure_Failure, failure) : NULL;
    } else if (w->status == WORKFLOW_EXECUTION_STATUS_TIMED_OUT) {
        in->failure = pb_new(arena, pb_failure_Failure);
        in->failure->message = STR("the workflow timed out");
        in->failure->failure_info_case = pb_failure_Failure_timeout_failure_info_tag;
        in->failure->timeout_failure_info = pb_new(arena, pb_failure_TimeoutFailureInfo);
        in->failure->timeout_failure_info->timeout_type = TIMEOUT_TYPE_START_TO_CLOSE;
    }
    w->is_ended = true;
    pump(entry);
}

/* True when the entry is gone and the follow with it. */
static bool follow_returned(struct follow *w)
{
    struct frontend *f = w->entry->all->f;
    f->now = f->env.now(f->env.arg);
    w->is_busy = false;
    if (!w->is_ended) return false;
    struct schedule_entry *entry = w->entry;
    follow_unwatch(w);
    follow_free(w);
    pump(entry);
    return true;
}

static void follow_retry(struct follow *w)
{
    w->entry->wants_retry = true;
    arm(w->entry);
}

static void read_done(struct shard_history_read *read, err result)
{
    struct follow *w = container_of(read, struct follow, read);
    if (follow_returned(w)) return;
    if (passes(result)) {
        follow_retry(w);
        return;
    }
    pb_history_History *history = NULL;
    if (result == ERR_NONE && PB_DECODE(&w->call_arena, read->history, pb_history_History, &history) != ERR_NONE) history = NULL;
    follow_end(w, history != NULL && history->events_count != 0 ? history->events[history->events_count - 1] : NULL);
}

static void on_notify(struct shard_watch *watch, enum notice_kind kind, struct str id UNUSED)
{
    struct follow *w = container_of(watch, struct follow, watch);
    if (kind != NOTICE_CLOSED) return;
    if (w->is_busy) {
        w->is_notified = true;
        return;
    }
    follow_unwatch(w);
    follow_look(w);
}

static err look_step(struct shard_call *call, struct execution *e, struct step *step UNUSED, bool *is_commit UNUSED)
{
    struct follow *w = container_of(call, struct follow, call);
    w->is_other = !str_equal(execution_first_run_id(e), w->run_id) && !str_equal(execution_run_id(e), w->run_id);
    w->is_open = execution_is_open(e);
    w->status = execution_status(e);
    w->run = execution_run(e);
    if (w->is_open && !w->is_other && !w->is_ended) {
        w->watch = (struct shard_watch){.run = w->run, .notify = on_notify};
        shard_watch_add(w->entry->all->f->env.shard, &w->watch);
        w->is_watching = true;
    }
    return ERR_NONE;
}

static void follow_submit(struct follow *w, struct str run_id);

static void look_done(struct shard_call *call, err result)
{
    struct follow *w = container_of(call, struct follow, call);
    bool was_named = !str_is_empty(call->run_id);
    if (follow_returned(w)) return;
    if (passes(result)) {
        follow_unwatch(w);
        follow_retry(w);
    } else if (result != ERR_NONE) { /* deleted */
        follow_unwatch(w);
        w->status = 0;
        follow_end(w, NULL);
    } else if (w->is_other && !was_named) { /* somebody has begun another chain under the id: how did ours begin and end? */
        follow_submit(w, w->run_id);
    } else if (w->is_open) {
        if (w->is_notified) {
            follow_unwatch(w);
            follow_look(w);
        }
    } else {
        w->is_busy = true;
        arena_reset(&w->call_arena);
        w->read = (struct shard_history_read){
            .call = {.namespace_key = w->entry->namespace_key, .run = w->run, .workflow_id = w->workflow_id, .need = SHARD_NEEDS_RUN_KEY, .arena = &w->call_arena},
            .is_reverse = true, .events_max = 1, .done = read_done,
        };
        shard_read_history(w->entry->all->f->env.shard, &w->read);
    }
}

static void follow_submit(struct follow *w, struct str run_id)
{
    w->is_busy = true;
    w->is_notified = false;
    arena_reset(&w->call_arena);
    w->call = (struct shard_call){.namespace_key = w->entry->namespace_key, .workflow_id = w->workflow_id, .run_id = run_id, .step = look_step, .done = look_done,
                                  .arena = &w->call_arena};
    shard_submit(w->entry->all->f->env.shard, &w->call);
}

static void follow_look(struct follow *w) { follow_submit(w, STR_EMPTY); }

static struct follow *follow_of(struct schedule_entry *entry, const pb_store_ScheduleRun *run)
{
    struct follow *w = map_get(&entry->follow_by_run, run->run_id);
    if (w != NULL) return w;
    w = xcalloc(1, sizeof *w);
    arena_init(&w->arena, 256, 0);
    arena_init(&w->call_arena, 1024, 0);
    w->entry = entry;
    w->workflow_id = arena_str(&w->arena, run->workflow_id);
    w->run_id = arena_str(&w->arena, run->run_id);
    list_push(&entry->follows, &w->link);
    map_put(&entry->follow_by_run, w->run_id, w);
    return w;
}

/* ---- cancelling and terminating ---- */

static err stop_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit UNUSED)
{
    struct schedule_op *op = container_of(call, struct schedule_op, call);
    if (!execution_is_open(e)) return ERR_NONE;
    const struct str reason = STR("the overlap policy of its schedule"), identity = STR("schedule");
    if (op->wanted == WANTED_TERMINATE) return execution_terminate(e, step, reason, NULL, identity, op->first_run_id);
    pb_ws_RequestCancelWorkflowExecutionRequest *q = pb_new(&op->arena, pb_ws_RequestCancelWorkflowExecutionRequest);
    q->workflow_execution = pb_new(&op->arena, pb_common_WorkflowExecution);
    q->workflow_execution->workflow_id = op->call.workflow_id;
    q->first_execution_run_id = op->first_run_id;
    q->request_id = op->first_run_id; /* asked again after a restart, it is the same request */
    q->identity = identity;
    q->reason = reason;
    return execution_request_cancel(e, step, q);
}

static void stop_done(struct shard_call *call, err result)
{
    struct schedule_op *op = container_of(call, struct schedule_op, call);
    struct schedule_entry *entry = op_entry(op);
    if (entry != NULL && passes(result)) {
        struct follow *w = map_get(&entry->follow_by_run, op->first_run_id);
        if (w != NULL) w->sent = WANTED_NOTHING;
        entry->wants_retry = true;
        arm(entry);
    }
    op_free(op);
}

static void stop(struct schedule_entry *entry, struct follow *w, enum schedule_wanted wanted)
{
    w->sent = wanted;
    struct schedule_op *op = op_new(entry, stop_step, stop_done);
    op->wanted = wanted;
    op->first_run_id = arena_str(&op->arena, w->run_id);
    op->call.workflow_id = arena_str(&op->arena, w->workflow_id);
    shard_submit(entry->all->f->env.shard, &op->call);
}

/* Everything the state asks for and that is not under way; once more after failures. */
static void carry_out(struct schedule_entry *entry)
{
    entry->round++;
    for (size_t i = 0; entry->state != NULL && i < entry->state->running_count; i++) follow_of(entry, entry->state->running[i])->round = entry->round;
    list_each_safe(link, &entry->follows) {
        struct follow *w = container_of(link, struct follow, link);
        if (w->round == entry->round || w->is_busy) continue;
        follow_unwatch(w);
        follow_free(w);
    }
    if (entry->state == NULL || entry->is_blocked || entry->wants_retry) return;
    entry->start_at = (instant){0};
    for (size_t i = 0; i < entry->state->starting_count && !instant_is_set(entry->start_at); i++) start(entry, entry->state->starting[i]);
    for (size_t i = 0; i < entry->state->running_count; i++) {
        const pb_store_ScheduleRun *run = entry->state->running[i];
        struct follow *w = follow_of(entry, run);
        if (!w->is_busy && !w->is_watching && !w->is_ended) follow_look(w);
        if ((int32_t)w->sent < run->wanted) stop(entry, w, (enum schedule_wanted)run->wanted);
    }
}

/* ---- life ---- */

struct schedules *schedules_create(struct frontend *f)
{
    struct schedules *all = xcalloc(1, sizeof *all);
    all->f = f;
    all->next_visibility_key = VISIBILITY_KEY_FIRST;
    list_init(&all->ops);
    return all;
}

/* Calls under way are never answered any more: the shard is quiet, or dead. */
void schedules_destroy(struct schedules *all)
{
    struct schedule_entry *entry;
    for (size_t at = 0; (entry = map_next(&all->entries, &at, NULL)) != NULL;) {
        list_each_safe(link, &entry->follows) follow_free(container_of(link, struct follow, link));
        list_each_safe(link, &entry->inputs) input_free(container_of(link, struct schedule_input, link));
        list_each_safe(link, &entry->waiting) input_free(container_of(link, struct schedule_input, link));
        if (entry->current != NULL) input_free(entry->current);
        entry_free(entry);
    }
    list_each_safe(link, &all->ops) op_free(container_of(link, struct schedule_op, link));
    struct zone *zone;
    for (size_t at = 0; (zone = map_next(&all->zones, &at, NULL)) != NULL;) {
        arena_fini(&zone->arena);
        free(zone);
    }
    if (all->is_reading) arena_fini(&all->read.arena);
    map_fini(&all->entries);
    map_fini(&all->zones);
    map_fini(&all->starts);
    struct start_rate *rate;
    for (size_t at = 0; (rate = map_u64_next(&all->rates, &at, NULL)) != NULL;) free(rate);
    map_u64_fini(&all->rates);
    heap_fini(&all->wakes);
    free(all);
}

static void read_page(struct schedules *all, struct str after);

static void load(struct schedules *all, const struct store_row *row)
{
    struct arena arena;
    arena_init(&arena, 1024, 0);
    pb_store_ScheduleEntity *state;
    struct error error = {0};
    bool is_sound = PB_DECODE(&arena, row->bytes, pb_store_ScheduleEntity, &state) == ERR_NONE && state->schedule != NULL && state->info != NULL &&
                    state->schedule->spec != NULL && state->schedule->state != NULL && state->schedule->policies != NULL && state->schedule->action != NULL &&
                    state->schedule->action->start_workflow != NULL;
    if (!is_sound) {
        log_error("schedules", "a stored schedule does not decode and is left out", "key", arena_cstr(&arena, row->key));
        arena_fini(&arena);
        return;
    }
    struct schedule_entry *entry = entry_of(all, row->key, state->namespace_key);
    arena_fini(&entry->state_arena);
    entry->state_arena = arena;
    entry->state = state;
    if (all->next_visibility_key <= state->visibility_key) all->next_visibility_key = state->visibility_key + 1;
    if (compile(entry, state->schedule->spec, &entry->spec_arena, &entry->spec, &error) != ERR_NONE) {
        /* the zone's file has gone: it shows no times until it is updated, triggers still work */
        static const pb_schedule_ScheduleSpec nothing;
        log_error("schedules", "a stored schedule has no times any more", "key", arena_cstr(&entry->spec_arena, row->key));
        if (spec_compile(&nothing, NULL, 0, &entry->spec_arena, &entry->spec, NULL) != ERR_NONE) ensure(false);
    }
}

static void all_loaded(struct schedules *all, err result)
{
    struct frontend *f = all->f;
    all->started(f, result);
    if (result != ERR_NONE) return;
    struct schedule_entry *entry;
    for (size_t at = 0; (entry = map_next(&all->entries, &at, NULL)) != NULL;) heap_put(&all->wakes, &entry->wake, f->now);
    if (f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

static void page_read(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct schedules *all = container_of(read, struct schedules, read);
    struct frontend *f = all->f;
    f->now = f->env.now(f->env.arg);
    err result = read->result;
    for (size_t i = 0; result == ERR_NONE && i < read->row_count; i++) load(all, &read->rows[i]);
    bool has_more = result == ERR_NONE && read->has_more && read->row_count != 0;
    struct arena old = read->arena;
    all->is_reading = false;
    if (has_more) read_page(all, read->rows[read->row_count - 1].key);
    arena_fini(&old);
    if (!has_more) all_loaded(all, result);
}

static void read_page(struct schedules *all, struct str after)
{
    struct store_read *r = &all->read;
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct str behind = arena_str(&arena, after);
    *r = (struct store_read){.kind = STORE_READ_KV_RANGE, .space = SPACE_SCHEDULE, .limit = PAGE, .after = behind, .reply_to = all->f->env.mailbox, .arena = arena};
    r->mail.open = page_read;
    all->is_reading = true;
    store_read(all->f->env.store, r);
}

void schedules_start(struct frontend *f, void (*done)(struct frontend *f, err result))
{
    f->schedules->started = done;
    read_page(f->schedules, STR_EMPTY);
}
