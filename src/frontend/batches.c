#include "frontend/batches.h"

#include "base/log.h"
#include "frontend/inner.h"
#include "proto/json.h"
#include "store/store.h"

#include <stdlib.h>

/* A page is what is held and stored of a job's executions at once; a turn is tried again for about a minute. */
enum { PAGE = 100, TURNS_MAX = 64, TRIES_MAX = 50, SAVE_S = 1, RETRY_S = 1, SWEEP_S = 3600, SWEEP_PAGE = 500 };
/* Rows of batch jobs are numbered from here on, beyond those of runs and schedules. */
#define VISIBILITY_KEY_FIRST ((INT64_C(1) << 38) + (INT64_C(1) << 37))

enum turn_state { TURN_WAITS, TURN_RUNS, TURN_DONE, TURN_FAILED };
struct target { struct str id, run_id; uint8_t state, tries; };

struct turn { struct batch_step step; struct batch_job *job; size_t index; bool is_running; };

struct batch_job {
    struct batches *all;
    struct str key;              /* in `memory` */
    struct arena memory, page_arena, scratch;
    batch_request *input;        /* its visibility_query is the client's; `query` is worked off */
    struct str query;
    pb_store_BatchEntity *state; /* without its page, which is: */
    struct target *targets;
    size_t target_count, first_open, next; /* all before first_open have ended; the next to be looked at for a turn */
    struct turn *turns;
    size_t running;
    instant next_turn, next_save, retry_at; /* nothing is written before retry_at */
    struct heap_node wake;
    struct str page_token;       /* where the page after the one in memory begins; in page_arena */
    bool is_page_new;            /* not stored yet: no turns before */
    bool is_page_saved;          /* by the write under way */
    bool is_listing, is_dirty, is_writing, is_pumping, is_starting, is_closing, is_over;
    struct shard_write write;
    struct store_op ops[5];
    struct str broken;           /* why it can not go on */
    struct rpc *starter;         /* held until the first form is stored */
    struct rpc *stopper;         /* likewise the last one */
};

struct batches {
    struct frontend *f;
    struct map jobs;             /* open ones, by key */
    struct heap wakes;
    int64_t next_visibility_key;
    void (*started)(struct frontend *f, err result);
    struct store_read read;      /* while starting, or sweeping */
    struct str sweep_after;
    struct arena sweep_arena;
    struct shard_write sweep_write;
    struct store_op *sweep_ops;
    bool is_reading, is_sweeping;
    err load_result;
    instant next_sweep;
    struct list loads, kv_reads;
};

static void pump(struct batch_job *job);

/* ---- rows: "o/" which jobs are open, "s/" the state of each, "i/" what it was made of; "n" the next number of a row ---- */

static struct str row_key(struct arena *arena, char kind, struct str key) { return arena_printf(arena, "%c/%.*s", kind, STR_ARG(key)); }

static struct str key_of(struct arena *arena, int64_t namespace_key, struct str job_id)
{
    return arena_printf(arena, "%016" PRIx64 "/%.*s", (uint64_t)namespace_key, STR_ARG(job_id));
}

static struct batch_job *job_new(struct batches *all, struct str key)
{
    struct batch_job *job = xcalloc(1, sizeof *job);
    job->all = all;
    arena_init(&job->memory, 1024, 0);
    arena_init(&job->page_arena, 1024, 0);
    arena_init(&job->scratch, 1024, 0);
    job->key = arena_str(&job->memory, key);
    map_put(&all->jobs, job->key, job);
    return job;
}

static void job_free(struct batch_job *job)
{
    map_remove(&job->all->jobs, job->key);
    heap_remove(&job->all->wakes, &job->wake);
    arena_fini(&job->page_arena);
    arena_fini(&job->scratch);
    free(job->turns);
    struct arena memory = job->memory;
    free(job);
    arena_fini(&memory);
}

static pb_batch_BatchOperationInfo *info_of(const pb_store_BatchEntity *s, struct arena *arena)
{
    pb_batch_BatchOperationInfo *info = pb_new(arena, pb_batch_BatchOperationInfo);
    *info = (pb_batch_BatchOperationInfo){.job_id = s->job_id, .state = s->state, .start_time = s->start_time, .close_time = s->close_time, .operation_type = s->operation_type};
    return info;
}

static pb_store_VisibilityRow *row_of(const struct batch_job *job, struct arena *arena)
{
    const pb_store_BatchEntity *s = job->state;
    pb_store_VisibilityRow *row = pb_new(arena, pb_store_VisibilityRow);
    row->namespace_key = s->namespace_key;
    row->run_key = s->visibility_key;
    row->workflow_id = s->job_id;
    row->run_id = s->entity_id;
    row->workflow_type = STR("temporal-sys-batch-workflow-protobuf");
    row->status = s->state == BATCH_OPERATION_STATE_RUNNING ? WORKFLOW_EXECUTION_STATUS_RUNNING
                  : s->state == BATCH_OPERATION_STATE_COMPLETED ? WORKFLOW_EXECUTION_STATUS_COMPLETED : WORKFLOW_EXECUTION_STATUS_TERMINATED;
    row->start_time = row->execution_time = s->start_time;
    row->close_time = s->close_time;
    if (s->close_time != NULL) row->execution_duration = pb_duration_new(arena, instant_since(pb_instant(s->close_time), pb_instant(s->start_time)));
    row->namespace_division = BATCH_DIVISION;
    row->search_attributes = pb_new(arena, pb_common_SearchAttributes);
    pb_common_SearchAttributes_IndexedFieldsEntry *user = PB_PUSH_NEW(arena, row->search_attributes, indexed_fields);
    user->key = STR("BatcherUser");
    struct buf quoted = {0};
    json_put_string(&(struct json_out){.out = &quoted}, batch_operation_identity(job->input));
    user->value = pb_payload_new(arena, STR("json/plain"), arena_str(arena, buf_view(&quoted)));
    buf_fini(&quoted);
    pb_common_Payload_MetadataEntry *type = PB_PUSH_NEW(arena, user->value, metadata);
    type->key = STR("type");
    type->value = STR("Keyword");
    row->extra = PB_ENCODE_ARENA(pb_batch_BatchOperationInfo, info_of(s, arena), arena);
    row->version = s->version;
    return row;
}

/* ---- writing ---- */

static void written(struct shard_write *write, err result);

static struct store_op *op_add(struct batch_job *job, enum store_op_kind kind, char row)
{
    struct store_op *op = &job->ops[job->write.op_count++];
    *op = (struct store_op){.kind = kind, .item_kind = SPACE_BATCH, .key = row != 0 ? row_key(&job->scratch, row, job->key) : STR_EMPTY};
    return op;
}

/* The state with what is left of the page. First and last form come with the rows that show it. */
static void save(struct batch_job *job)
{
    pb_store_BatchEntity *s = job->state;
    arena_reset(&job->scratch);
    job->write = (struct shard_write){.ops = job->ops, .done = written};
    s->version++;
    pb_store_BatchEntity form = *s;
    form.page = NULL;
    form.page_count = form.page_capacity_ = 0;
    form.page_token = job->page_token;
    for (size_t i = job->first_open; !job->is_closing && i < job->target_count; i++) {
        pb_store_BatchTarget *t = PB_PUSH_NEW(&job->scratch, &form, page);
        t->id = job->targets[i].id;
        t->run_id = job->targets[i].run_id;
    }
    op_add(job, STORE_KV_PUT, 's')->bytes = PB_ENCODE_ARENA(pb_store_BatchEntity, &form, &job->scratch);
    if (job->is_starting || job->is_closing) {
        struct store_op *row = op_add(job, STORE_VISIBILITY_PUT, 0);
        row->run = s->visibility_key;
        row->visibility = row_of(job, &job->scratch);
    }
    if (job->is_starting) {
        batch_request input = *job->input;
        op_add(job, STORE_KV_PUT, 'i')->bytes = PB_ENCODE_ARENA(pb_ws_StartBatchOperationRequest, &input, &job->scratch);
        op_add(job, STORE_KV_PUT, 'o')->bytes = job->query;
        struct store_op *number = op_add(job, STORE_KV_PUT, 0);
        number->key = STR("n");
        number->bytes = arena_printf(&job->scratch, "%" PRId64, job->all->next_visibility_key);
    }
    if (job->is_closing) op_add(job, STORE_KV_DELETE, 'o');
    job->is_dirty = false;
    job->is_page_saved = true;
    job->is_writing = true;
    job->next_save = instant_add(job->all->f->now, duration_s(SAVE_S));
    shard_write(job->all->f->env.shard, &job->write);
}

static void answer(struct rpc **holder, err result)
{
    struct rpc *rpc = *holder;
    *holder = NULL;
    if (rpc == NULL) return;
    if (result != ERR_NONE) rpc_error_of(rpc, result, NULL);
    else rpc_reply(rpc, pb_method_response(rpc->method), arena_zalloc(rpc->arena, pb_method_response(rpc->method)->size));
    rpc_let_go(rpc);
}

static void reopen(struct batch_job *job)
{
    job->is_closing = false;
    job->state->state = BATCH_OPERATION_STATE_RUNNING;
    job->state->close_time = NULL;
    job->state->close_reason = job->state->close_identity = STR_EMPTY;
}

static void written(struct shard_write *write, err result)
{
    struct batch_job *job = container_of(write, struct batch_job, write);
    struct frontend *f = job->all->f;
    f->now = f->env.now(f->env.arg);
    job->is_writing = false;
    if (result == ERR_NONE) {
        job->is_over = job->is_closing;
        job->is_starting = false;
        if (job->is_page_saved) job->is_page_new = false;
        job->is_pumping = true;
        answer(&job->starter, ERR_NONE);
        if (job->is_over) answer(&job->stopper, ERR_NONE);
        job->is_pumping = false;
    } else if (job->is_starting) {
        job->is_over = true;
        answer(&job->starter, result);
    } else {
        reach("batches: a job's state is not stored");
        if (job->is_closing) reopen(job);
        job->is_dirty = true;
        job->retry_at = instant_add(f->now, duration_s(RETRY_S));
        answer(&job->stopper, result);
    }
    pump(job);
}

static void close_job(struct batch_job *job, int32_t state, struct str reason, struct str identity)
{
    pb_store_BatchEntity *s = job->state;
    job->is_closing = true;
    s->state = state;
    s->close_time = pb_timestamp_new(&job->memory, job->all->f->now);
    s->close_reason = arena_str(&job->memory, reason);
    s->close_identity = arena_str(&job->memory, identity);
    save(job);
}

/* ---- pages ---- */

static void page_begin(struct batch_job *job, size_t count, struct str token)
{
    ensure(job->first_open == job->target_count && job->running == 0);
    arena_reset(&job->page_arena);
    job->targets = arena_array(&job->page_arena, struct target, count + 1);
    job->target_count = job->first_open = job->next = 0;
    job->page_token = arena_str(&job->page_arena, token);
    job->is_dirty = job->is_page_new = true;
    job->is_page_saved = false;
}

static void page_add(struct batch_job *job, struct str id, struct str run_id)
{
    struct target *t = &job->targets[job->target_count++];
    *t = (struct target){.id = arena_str(&job->page_arena, id), .run_id = arena_str(&job->page_arena, run_id)};
}

/* Listed by the client: the token is the number of those in earlier pages. */
static void page_given(struct batch_job *job)
{
    const batch_request *q = job->input;
    uint64_t from = 0;
    if (!str_is_empty(job->page_token)) memcpy(&from, job->page_token.data, sizeof from);
    size_t all = q->executions_count + q->target_executions_count, end = size_min(from + PAGE, all);
    uint64_t next = end;
    page_begin(job, PAGE, (struct str){(const char *)&next, sizeof next});
    for (size_t i = from; i < end; i++) {
        bool is_old = q->executions_count != 0;
        page_add(job, is_old ? q->executions[i]->workflow_id : q->target_executions[i]->business_id,
                 is_old ? q->executions[i]->run_id : q->target_executions[i]->run_id);
    }
    job->state->is_listed = end == all;
}

static void page_read(struct inner_call *call, const struct error *error, const void *reply)
{
    struct batch_job *job = call->owner;
    job->is_listing = false;
    if (reply == NULL && inner_passes(error)) {
        job->next_turn = instant_add(job->all->f->now, duration_s(RETRY_S));
    } else if (reply == NULL) {
        log_warn("batches", "a batch job can not read its list any more", "error", error->message.size != 0 ? arena_cstr(&call->arena, error->message) : err_text(error->code));
        job->broken = arena_str(&job->memory, error_message(error));
    } else if (batch_operation_is_for_activities(job->input)) {
        const pb_ws_ListActivityExecutionsResponse *r = reply;
        page_begin(job, r->executions_count, r->next_page_token);
        for (size_t i = 0; i < r->executions_count; i++) page_add(job, r->executions[i]->activity_id, r->executions[i]->run_id);
        job->state->is_listed = str_is_empty(r->next_page_token);
    } else {
        const pb_ws_ListWorkflowExecutionsResponse *r = reply;
        page_begin(job, r->executions_count, r->next_page_token);
        for (size_t i = 0; i < r->executions_count; i++) page_add(job, r->executions[i]->execution->workflow_id, r->executions[i]->execution->run_id);
        job->state->is_listed = str_is_empty(r->next_page_token);
    }
    pump(job);
}

static struct str namespace_name(const struct batch_job *job)
{
    const struct namespace_info *ns = namespace_by_key(job->all->f, job->state->namespace_key);
    return ns != NULL ? ns->name : STR_EMPTY;
}

static void page_load(struct batch_job *job)
{
    if (str_is_empty(job->input->visibility_query)) {
        page_given(job);
        return;
    }
    job->is_listing = true;
    struct inner_call *call = inner_new(job->all->f, page_read, job);
    if (batch_operation_is_for_activities(job->input)) {
        pb_ws_ListActivityExecutionsRequest *r = pb_new(&call->arena, pb_ws_ListActivityExecutionsRequest);
        *r = (pb_ws_ListActivityExecutionsRequest){.namespace = namespace_name(job), .page_size = PAGE, .query = job->query, .next_page_token = arena_str(&call->arena, job->page_token)};
        inner_submit(job->all->f, call, pb_ws_ListActivityExecutions_method, r);
    } else {
        pb_ws_ListWorkflowExecutionsRequest *r = pb_new(&call->arena, pb_ws_ListWorkflowExecutionsRequest);
        *r = (pb_ws_ListWorkflowExecutionsRequest){.namespace = namespace_name(job), .page_size = PAGE, .query = job->query, .next_page_token = arena_str(&call->arena, job->page_token)};
        inner_submit(job->all->f, call, pb_ws_ListWorkflowExecutions_method, r);
    }
}

/* ---- turns ---- */

static double rate_of(const struct batch_job *job)
{
    double most = (double)job->all->f->settings.limits.batch_rate_max, asked = (double)job->input->max_operations_per_second;
    return asked > 0 && asked < most ? asked : most > 0 ? most : 1;
}

static void count_ended(struct batch_job *job)
{
    for (; job->first_open < job->target_count && job->targets[job->first_open].state >= TURN_DONE; job->first_open++) {
        if (job->targets[job->first_open].state == TURN_DONE) job->state->complete++;
        else job->state->failure++;
        job->is_dirty = true;
    }
}

static void turn_done(struct batch_step *step, bool is_done, bool passes)
{
    struct turn *turn = container_of(step, struct turn, step);
    struct batch_job *job = turn->job;
    struct frontend *f = job->all->f;
    struct target *target = &job->targets[turn->index];
    turn->is_running = false;
    job->running--;
    if (passes && f->is_draining) {
        target->state = TURN_WAITS;
    } else if (passes && ++target->tries < TRIES_MAX) {
        target->state = TURN_WAITS;
        job->next = size_min(job->next, turn->index);
        job->next_turn = instant_max(job->next_turn, instant_add(f->now, duration_s(RETRY_S)));
    } else {
        target->state = is_done ? TURN_DONE : TURN_FAILED;
        count_ended(job);
    }
    pump(job);
}

static void turn_begin(struct batch_job *job, size_t index)
{
    struct turn *turn = job->turns;
    while (turn->is_running) turn++;
    struct target *target = &job->targets[index];
    target->state = TURN_RUNS;
    job->running++;
    *turn = (struct turn){.job = job, .index = index, .is_running = true};
    turn->step = (struct batch_step){.f = job->all->f, .input = job->input, .namespace = namespace_name(job), .id = target->id, .run_id = target->run_id,
                                     .entity_id = job->state->entity_id, .done = turn_done};
    batch_step_run(&turn->step);
}

static size_t turns_max(const struct batch_job *job)
{
    int64_t most = job->all->f->settings.limits.batch_concurrency;
    return most > 0 ? size_min(TURNS_MAX, (size_t)most) : 1;
}

/* The rate as a bucket that holds a tenth of a second's worth. */
static void turns(struct batch_job *job)
{
    struct frontend *f = job->all->f;
    int64_t gap = (int64_t)((double)NS_PER_S / rate_of(job)), held = NS_PER_S / 10;
    while (!job->is_page_new && job->running < turns_max(job) && job->next < job->target_count && !instant_before(f->now, job->next_turn)) {
        size_t index = job->next++;
        if (job->targets[index].state != TURN_WAITS) continue;
        job->next_turn = instant_add(instant_max(job->next_turn, (instant){f->now.ns - (gap < held ? held - gap : 0)}), (duration){gap});
        turn_begin(job, index);
    }
}

static void arm(struct batch_job *job)
{
    struct batches *all = job->all;
    struct frontend *f = all->f;
    bool has_turn = job->next < job->target_count ? !job->is_page_new && job->running < turns_max(job)
                                                  : job->first_open == job->target_count && !job->is_listing && !job->is_writing;
    bool is_ending = job->stopper != NULL || !str_is_empty(job->broken);
    instant due = has_turn ? job->next_turn : INSTANT_NEVER;
    if (!job->is_writing && (job->is_dirty || is_ending))
        due = instant_min(due, instant_max(job->retry_at, job->is_page_new || is_ending ? f->now : job->next_save));
    if (due.ns != INSTANT_NEVER.ns) due = instant_max(due, instant_add(f->now, duration_ms(1)));
    if (due.ns == INSTANT_NEVER.ns) heap_remove(&all->wakes, &job->wake);
    else heap_put(&all->wakes, &job->wake, due);
    if (heap_first(&all->wakes) == &job->wake && f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

/* Does what can be done now. May free the job. */
static void pump(struct batch_job *job)
{
    struct frontend *f = job->all->f;
    if (job->is_pumping) return;
    if (job->is_over || job->is_closing || job->is_starting || job->state == NULL) {
        if (job->is_over && job->running == 0 && !job->is_writing && !job->is_listing && job->starter == NULL) job_free(job);
        return;
    }
    job->is_pumping = true;
    const struct namespace_info *ns = namespace_by_key(f, job->state->namespace_key);
    bool is_gone = ns == NULL || ns->is_deleted, may_write = !job->is_writing && !instant_before(f->now, job->retry_at);
    bool is_page_over = job->first_open == job->target_count && !job->is_listing;
    if (may_write && is_gone) {
        close_job(job, BATCH_OPERATION_STATE_FAILED, STR("its namespace is deleted"), STR_EMPTY);
    } else if (may_write && job->stopper != NULL) {
        const pb_ws_StopBatchOperationRequest *q = job->stopper->request;
        close_job(job, BATCH_OPERATION_STATE_FAILED, q->reason, q->identity);
    } else if (may_write && !str_is_empty(job->broken)) {
        close_job(job, BATCH_OPERATION_STATE_FAILED, job->broken, STR_EMPTY);
    } else if (may_write && is_page_over && job->state->is_listed) {
        close_job(job, BATCH_OPERATION_STATE_COMPLETED, STR_EMPTY, STR_EMPTY);
    } else if (f->is_serving && !f->is_draining && !is_gone && str_is_empty(job->broken)) {
        if (is_page_over && !job->state->is_listed && !instant_before(f->now, job->next_turn)) page_load(job);
        turns(job);
        if (may_write && job->is_dirty && (job->is_page_new || !instant_before(f->now, job->next_save))) save(job);
    }
    job->is_pumping = false;
    if (!job->is_closing) arm(job);
}

/* ---- reading single rows for an rpc ---- */

struct kv_read {
    struct store_read read;
    struct list link;
    struct batches *all;
    struct rpc *rpc;
    struct batch_job *job;        /* of batch_start */
    pb_store_BatchEntity *state;
    void (*done)(struct kv_read *read);
};

static void kv_done(struct mail *mail)
{
    struct kv_read *r = container_of(container_of(mail, struct store_read, mail), struct kv_read, read);
    struct frontend *f = r->all->f;
    f->now = f->env.now(f->env.arg);
    list_remove(&r->link);
    r->done(r);
}

static struct kv_read *kv_read(struct frontend *f, struct rpc *rpc, char row, struct str key, void (*done)(struct kv_read *read))
{
    struct kv_read *r = OP_NEW(rpc, struct kv_read);
    r->all = f->batches;
    r->rpc = rpc;
    r->done = done;
    arena_init(&r->read.arena, 0, 0);
    r->read.kind = STORE_READ_KV;
    r->read.space = SPACE_BATCH;
    r->read.key = row_key(rpc->arena, row, key);
    r->read.reply_to = f->env.mailbox;
    r->read.mail.open = kv_done;
    list_push(&r->all->kv_reads, &r->link);
    rpc_hold(rpc);
    store_read(f->env.store, &r->read);
    return r;
}

static void kv_end(struct kv_read *r)
{
    struct rpc *rpc = r->rpc;
    arena_fini(&r->read.arena);
    rpc_let_go(rpc);
}

static void not_found(struct rpc *rpc, struct str job_id)
{
    rpc_error(rpc, ERR_NOT_FOUND, "there is no batch job \"%.*s\"", (int)size_min(job_id.size, 200), job_id.data);
}

/* ---- start ---- */

static void exists(struct rpc *rpc, struct str job_id, struct str entity_id)
{
    pb_errordetails_WorkflowExecutionAlreadyStartedFailure *detail = pb_new(rpc->arena, pb_errordetails_WorkflowExecutionAlreadyStartedFailure);
    detail->run_id = entity_id;
    rpc_error_detail(rpc, ERR_ALREADY_EXISTS, &pb_errordetails_WorkflowExecutionAlreadyStartedFailure_type, detail,
                     "there is a batch job \"%.*s\" already", (int)size_min(job_id.size, 200), job_id.data);
}

static void start_failed(struct batch_job *job)
{
    struct rpc *rpc = job->starter;
    job->starter = NULL;
    job_free(job);
    rpc_let_go(rpc);
}

static void start_store(struct batch_job *job, int64_t total)
{
    struct batches *all = job->all;
    struct frontend *f = all->f;
    struct rpc *rpc = job->starter;
    struct arena *arena = &job->memory;
    const struct namespace_info *ns = rpc->ns;
    pb_store_BatchEntity *s = pb_new(arena, pb_store_BatchEntity);
    char uuid[37];
    prng_uuid(&f->prng, uuid);
    s->namespace_key = ns->key;
    s->job_id = job->input->job_id;
    s->entity_id = arena_str(arena, str_of(uuid));
    s->operation_type = batch_operation_type(job->input);
    s->state = BATCH_OPERATION_STATE_RUNNING;
    s->start_time = pb_timestamp_new(arena, f->now);
    s->total = total;
    s->visibility_key = all->next_visibility_key++;
    job->state = s;
    job->turns = xcalloc(TURNS_MAX, sizeof *job->turns);
    job->is_starting = true;
    save(job);
}

static void start_counted(struct inner_call *call, const struct error *error, const void *reply)
{
    struct batch_job *job = call->owner;
    if (reply == NULL) {
        struct error copy = *error;
        copy.message = arena_str(job->starter->arena, error_message(error));
        copy.detail = copy.detail_type = NULL;
        rpc_error_of(job->starter, copy.code, &copy);
        start_failed(job);
        return;
    }
    start_store(job, batch_operation_is_for_activities(job->input) ? ((const pb_ws_CountActivityExecutionsResponse *)reply)->count
                                                                  : ((const pb_ws_CountWorkflowExecutionsResponse *)reply)->count);
}

/* The id is new: how many executions are there? */
static void start_count(struct batch_job *job)
{
    const batch_request *q = job->input;
    struct frontend *f = job->all->f;
    if (str_is_empty(q->visibility_query)) {
        start_store(job, (int64_t)(q->executions_count + q->target_executions_count));
        return;
    }
    struct inner_call *call = inner_new(f, start_counted, job);
    if (batch_operation_is_for_activities(q)) {
        pb_ws_CountActivityExecutionsRequest *r = pb_new(&call->arena, pb_ws_CountActivityExecutionsRequest);
        *r = (pb_ws_CountActivityExecutionsRequest){.namespace = job->starter->ns->name, .query = job->query};
        inner_submit(f, call, pb_ws_CountActivityExecutions_method, r);
    } else {
        pb_ws_CountWorkflowExecutionsRequest *r = pb_new(&call->arena, pb_ws_CountWorkflowExecutionsRequest);
        *r = (pb_ws_CountWorkflowExecutionsRequest){.namespace = job->starter->ns->name, .query = job->query};
        inner_submit(f, call, pb_ws_CountWorkflowExecutions_method, r);
    }
}

static void start_looked(struct kv_read *r)
{
    struct batch_job *job = r->job;
    struct rpc *rpc = r->rpc;
    pb_store_BatchEntity *there;
    err result = r->read.result;
    if (result == ERR_NOT_FOUND) {
        start_count(job);
    } else {
        if (result == ERR_NONE && PB_DECODE(rpc->arena, r->read.row.bytes, pb_store_BatchEntity, &there) == ERR_NONE) exists(rpc, job->input->job_id, there->entity_id);
        else rpc_error_of(rpc, result == ERR_NONE ? ERR_CORRUPT : result, NULL);
        start_failed(job);
    }
    kv_end(r);
}

void batch_start(struct frontend *f, struct rpc *rpc, struct str query)
{
    struct batches *all = f->batches;
    const batch_request *q = rpc->request;
    struct str key = key_of(rpc->arena, rpc->ns->key, q->job_id), prefix = {key.data, 17};
    struct batch_job *job = map_get(&all->jobs, key);
    if (job != NULL) {
        exists(rpc, q->job_id, job->state != NULL ? job->state->entity_id : STR_EMPTY);
        return;
    }
    int64_t open = 0, most = f->settings.limits.batches_max;
    for (size_t at = 0; (job = map_next(&all->jobs, &at, NULL)) != NULL;) open += str_starts_with(job->key, prefix) && !job->is_over;
    if (open >= most) {
        pb_errordetails_ResourceExhaustedFailure *detail = pb_new(rpc->arena, pb_errordetails_ResourceExhaustedFailure);
        detail->cause = RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT;
        detail->scope = RESOURCE_EXHAUSTED_SCOPE_NAMESPACE;
        rpc_error_detail(rpc, ERR_LIMIT, &pb_errordetails_ResourceExhaustedFailure_type, detail,
                         "%" PRId64 " batch jobs of the namespace are running, which is as many as may at once", open);
        return;
    }
    job = job_new(all, key);
    job->input = PB_CLONE(&job->memory, pb_ws_StartBatchOperationRequest, q);
    job->query = arena_str(&job->memory, query);
    job->starter = rpc;
    rpc_hold(rpc);
    kv_read(f, rpc, 's', key, start_looked)->job = job;
}

/* ---- stop, describe ---- */

static void stop_looked(struct kv_read *r)
{
    struct str job_id = ((const pb_ws_StopBatchOperationRequest *)r->rpc->request)->job_id;
    if (r->read.result == ERR_NONE) rpc_error(r->rpc, ERR_WORKFLOW_CLOSED, "the batch job \"%.*s\" runs no more", (int)size_min(job_id.size, 200), job_id.data);
    else if (r->read.result == ERR_NOT_FOUND) not_found(r->rpc, job_id);
    else rpc_error_of(r->rpc, r->read.result, NULL);
    kv_end(r);
}

void batch_stop(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_StopBatchOperationRequest *q = rpc->request;
    struct str key = key_of(rpc->arena, rpc->ns->key, q->job_id);
    struct batch_job *job = map_get(&f->batches->jobs, key);
    if (job == NULL || job->state == NULL || job->is_starting || job->is_closing || job->is_over) {
        kv_read(f, rpc, 's', key, stop_looked);
    } else if (job->stopper != NULL) {
        rpc_error(rpc, ERR_ABORTED, "the batch job is being stopped by somebody else");
    } else {
        job->stopper = rpc;
        rpc_hold(rpc);
        pump(job);
    }
}

static void describe_reply(struct rpc *rpc, const pb_store_BatchEntity *s, const batch_request *input)
{
    pb_ws_DescribeBatchOperationResponse *d = pb_new(rpc->arena, pb_ws_DescribeBatchOperationResponse);
    d->operation_type = s->operation_type;
    d->job_id = s->job_id;
    d->state = s->state;
    d->start_time = s->start_time;
    d->close_time = s->close_time;
    d->total_operation_count = s->total;
    d->complete_operation_count = s->complete;
    d->failure_operation_count = s->failure;
    d->identity = batch_operation_identity(input);
    d->reason = input->reason;
    d->query = input->visibility_query;
    for (size_t i = 0; i < input->executions_count; i++) {
        pb_common_Execution *e = PB_PUSH_NEW(rpc->arena, d, executions);
        *e = (pb_common_Execution){.type = EXECUTION_TYPE_WORKFLOW, .business_id = input->executions[i]->workflow_id, .run_id = input->executions[i]->run_id};
    }
    for (size_t i = 0; i < input->target_executions_count; i++) PB_PUSH(rpc->arena, d, executions) = input->target_executions[i];
    RPC_REPLY(rpc, pb_ws_DescribeBatchOperationResponse, d);
}

static void describe_input(struct kv_read *r)
{
    batch_request *input;
    err result = r->read.result;
    if (result == ERR_NONE) result = PB_DECODE(r->rpc->arena, r->read.row.bytes, pb_ws_StartBatchOperationRequest, &input);
    if (result == ERR_NONE) describe_reply(r->rpc, r->state, input);
    else rpc_error_of(r->rpc, result, NULL);
    kv_end(r);
}

static void describe_looked(struct kv_read *r)
{
    const pb_ws_DescribeBatchOperationRequest *q = r->rpc->request;
    pb_store_BatchEntity *s;
    err result = r->read.result;
    if (result == ERR_NOT_FOUND) not_found(r->rpc, q->job_id);
    else if (result == ERR_NONE) result = PB_DECODE(r->rpc->arena, r->read.row.bytes, pb_store_BatchEntity, &s);
    if (result == ERR_NONE) kv_read(r->all->f, r->rpc, 'i', key_of(r->rpc->arena, r->rpc->ns->key, q->job_id), describe_input)->state = s;
    else if (result != ERR_NOT_FOUND) rpc_error_of(r->rpc, result, NULL);
    kv_end(r);
}

void batch_describe(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DescribeBatchOperationRequest *q = rpc->request;
    struct str key = key_of(rpc->arena, rpc->ns->key, q->job_id);
    struct batch_job *job = map_get(&f->batches->jobs, key);
    if (job != NULL && job->state != NULL && !job->is_starting && !job->is_closing) describe_reply(rpc, job->state, job->input);
    else kv_read(f, rpc, 's', key, describe_looked);
}

/* ---- the end of what is kept ---- */

static void sweep_read(struct batches *all);

static void sweep_end(struct batches *all)
{
    all->is_sweeping = false;
    arena_fini(&all->sweep_arena);
}

static void sweep_written(struct shard_write *write, err result)
{
    struct batches *all = container_of(write, struct batches, sweep_write);
    free(all->sweep_ops);
    all->sweep_ops = NULL;
    if (result == ERR_NONE && !str_is_empty(all->sweep_after)) sweep_read(all);
    else sweep_end(all);
}

/* Closed longer ago than its namespace keeps closed runs, or of a namespace that is gone. */
static bool is_past(const struct batches *all, const pb_store_BatchEntity *s)
{
    const struct namespace_info *ns = namespace_by_key(all->f, s->namespace_key);
    if (ns == NULL) return true;
    return s->close_time != NULL && !instant_before(all->f->now, instant_add(pb_instant(s->close_time), ns->retention));
}

static void sweep_page(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct batches *all = container_of(read, struct batches, read);
    struct frontend *f = all->f;
    f->now = f->env.now(f->env.arg);
    all->is_reading = false;
    struct arena fresh;
    arena_init(&fresh, 1024, 0);
    all->sweep_ops = xcalloc(SWEEP_PAGE * 4, sizeof *all->sweep_ops);
    size_t count = 0;
    bool has_more = read->result == ERR_NONE && read->has_more && read->row_count != 0;
    all->sweep_after = has_more ? arena_str(&fresh, read->rows[read->row_count - 1].key) : STR_EMPTY;
    for (size_t i = 0; read->result == ERR_NONE && i < read->row_count; i++) {
        pb_store_BatchEntity *s;
        struct str key = str_skip(read->rows[i].key, 2);
        if (PB_DECODE(&fresh, read->rows[i].bytes, pb_store_BatchEntity, &s) != ERR_NONE || map_get(&all->jobs, key) != NULL || !is_past(all, s)) continue;
        static const char kinds[] = {'s', 'i', 'o'};
        for (size_t k = 0; k < countof(kinds); k++)
            all->sweep_ops[count++] = (struct store_op){.kind = STORE_KV_DELETE, .item_kind = SPACE_BATCH, .key = row_key(&fresh, kinds[k], key)};
        all->sweep_ops[count++] = (struct store_op){.kind = STORE_VISIBILITY_DELETE, .run = s->visibility_key};
    }
    arena_fini(&read->arena);
    arena_fini(&all->sweep_arena);
    all->sweep_arena = fresh;
    all->sweep_write = (struct shard_write){.ops = all->sweep_ops, .op_count = count, .done = sweep_written};
    if (count != 0) shard_write(f->env.shard, &all->sweep_write);
    else sweep_written(&all->sweep_write, ERR_NONE);
}

static void range_read(struct batches *all, char row, struct str after, size_t limit, void (*open)(struct mail *mail))
{
    struct store_read *r = &all->read;
    struct arena arena;
    arena_init(&arena, 0, 0);
    *r = (struct store_read){.kind = STORE_READ_KV_RANGE, .space = SPACE_BATCH, .limit = limit, .key = arena_printf(&arena, "%c/", row),
                             .after = arena_str(&arena, after), .reply_to = all->f->env.mailbox, .arena = arena};
    r->mail.open = open;
    all->is_reading = true;
    store_read(all->f->env.store, r);
}

static void sweep_read(struct batches *all) { range_read(all, 's', all->sweep_after, SWEEP_PAGE, sweep_page); }

/* ---- time ---- */

instant batches_next_due(const struct frontend *f)
{
    if (!f->is_serving || f->is_draining) return INSTANT_NEVER;
    const struct heap_node *first = heap_first(&f->batches->wakes);
    return instant_min(first != NULL ? first->due : INSTANT_NEVER, f->batches->is_sweeping ? INSTANT_NEVER : f->batches->next_sweep);
}

void batches_tick(struct frontend *f)
{
    struct batches *all = f->batches;
    if (!f->is_serving || f->is_draining) return;
    for (struct heap_node *node; (node = heap_first(&all->wakes)) != NULL && node->due.ns <= f->now.ns;) {
        heap_remove(&all->wakes, node);
        pump(container_of(node, struct batch_job, wake));
    }
    if (all->is_sweeping || all->is_reading || instant_before(f->now, all->next_sweep)) return;
    all->next_sweep = instant_add(f->now, duration_s(SWEEP_S));
    all->is_sweeping = true;
    all->sweep_after = STR_EMPTY;
    sweep_read(all);
}

void batches_wake(struct frontend *f)
{
    struct batch_job *job;
    for (size_t at = 0; (job = map_next(&f->batches->jobs, &at, NULL)) != NULL;) heap_put(&f->batches->wakes, &job->wake, f->now);
    f->batches->next_sweep = f->now;
    if (f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

size_t batches_open_count(const struct frontend *f) { return map_count(&f->batches->jobs); }

/* ---- life ---- */

/* An open job is read in three parts: that it is (with its query), its state, what it was made of. */
struct load {
    struct store_read state, input;
    struct batches *all;
    struct list link;
    struct arena arena;
    struct str key, query;
    size_t pending;
};

static void load_free(struct load *load)
{
    list_remove(&load->link);
    arena_fini(&load->state.arena);
    arena_fini(&load->input.arena);
    arena_fini(&load->arena);
    free(load);
}

struct batches *batches_create(struct frontend *f)
{
    struct batches *all = xcalloc(1, sizeof *all);
    all->f = f;
    all->next_visibility_key = VISIBILITY_KEY_FIRST;
    list_init(&all->loads);
    list_init(&all->kv_reads);
    return all;
}

/* Calls under way are never answered any more: the shard is quiet, or dead. */
void batches_destroy(struct batches *all)
{
    struct batch_job *job;
    for (size_t at = 0; (job = map_next(&all->jobs, &at, NULL)) != NULL;) job_free(job);
    list_each_safe(link, &all->loads) load_free(container_of(link, struct load, link));
    list_each_safe(link, &all->kv_reads) arena_fini(&container_of(link, struct kv_read, link)->read.arena);
    if (all->is_reading) arena_fini(&all->read.arena);
    arena_fini(&all->sweep_arena);
    free(all->sweep_ops);
    map_fini(&all->jobs);
    heap_fini(&all->wakes);
    free(all);
}

static void all_loaded(struct batches *all, err result)
{
    struct frontend *f = all->f;
    all->next_sweep = instant_add(f->now, duration_s(60));
    all->started(f, result);
    struct batch_job *job;
    for (size_t at = 0; result == ERR_NONE && (job = map_next(&all->jobs, &at, NULL)) != NULL;) heap_put(&all->wakes, &job->wake, f->now);
    if (f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

static void open_page(struct mail *mail);

static void loaded(struct load *load)
{
    struct batches *all = load->all;
    pb_store_BatchEntity *state;
    batch_request *input;
    struct batch_job *job = job_new(all, load->key);
    bool is_sound = load->state.result == ERR_NONE && load->input.result == ERR_NONE &&
                    PB_DECODE(&job->memory, load->state.row.bytes, pb_store_BatchEntity, &state) == ERR_NONE &&
                    PB_DECODE(&job->memory, load->input.row.bytes, pb_ws_StartBatchOperationRequest, &input) == ERR_NONE && input->operation_case != 0;
    err result = load->state.result != ERR_NONE && load->state.result != ERR_NOT_FOUND ? load->state.result : ERR_NONE;
    if (is_sound) {
        job->state = state;
        job->input = input;
        job->query = arena_str(&job->memory, load->query);
        job->turns = xcalloc(TURNS_MAX, sizeof *job->turns);
        page_begin(job, state->page_count, state->page_token);
        for (size_t i = 0; i < state->page_count; i++) page_add(job, state->page[i]->id, state->page[i]->run_id);
        job->is_dirty = job->is_page_new = false;
    } else {
        log_error("batches", "a stored batch job does not decode and is left out", "key", arena_cstr(&load->arena, load->key));
        job_free(job);
    }
    load_free(load);
    if (result != ERR_NONE) all->load_result = result;
    if (!list_is_empty(&all->loads)) return;
    if (all->load_result == ERR_NONE && !str_is_empty(all->sweep_after)) range_read(all, 'o', all->sweep_after, SWEEP_PAGE, open_page);
    else all_loaded(all, all->load_result);
}

static void state_read(struct mail *mail)
{
    struct load *load = container_of(container_of(mail, struct store_read, mail), struct load, state);
    if (--load->pending == 0) loaded(load);
}

static void input_read(struct mail *mail)
{
    struct load *load = container_of(container_of(mail, struct store_read, mail), struct load, input);
    if (--load->pending == 0) loaded(load);
}

static void load_begin(struct batches *all, const struct store_row *row)
{
    struct load *load = xcalloc(1, sizeof *load);
    arena_init(&load->arena, 512, 0);
    load->all = all;
    load->key = arena_str(&load->arena, str_skip(row->key, 2));
    load->query = arena_str(&load->arena, row->bytes);
    load->pending = 2;
    list_push(&all->loads, &load->link);
    struct store_read *reads[] = {&load->state, &load->input};
    for (size_t i = 0; i < countof(reads); i++) {
        arena_init(&reads[i]->arena, 0, 0);
        reads[i]->kind = STORE_READ_KV;
        reads[i]->space = SPACE_BATCH;
        reads[i]->key = row_key(&load->arena, i == 0 ? 's' : 'i', load->key);
        reads[i]->reply_to = all->f->env.mailbox;
        reads[i]->mail.open = i == 0 ? state_read : input_read;
    }
    store_read(all->f->env.store, &load->state);
    store_read(all->f->env.store, &load->input);
}

static void open_page(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct batches *all = container_of(read, struct batches, read);
    struct frontend *f = all->f;
    f->now = f->env.now(f->env.arg);
    all->is_reading = false;
    struct arena rows = read->arena;
    err result = read->result;
    size_t count = result == ERR_NONE ? read->row_count : 0;
    arena_fini(&all->sweep_arena);
    arena_init(&all->sweep_arena, 512, 0);
    all->sweep_after = count != 0 && read->has_more ? arena_str(&all->sweep_arena, read->rows[count - 1].key) : STR_EMPTY;
    for (size_t i = 0; i < count; i++) load_begin(all, &read->rows[i]);
    arena_fini(&rows);
    if (count == 0) all_loaded(all, result);
}

static void number_read(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct batches *all = container_of(read, struct batches, read);
    err result = read->result;
    all->is_reading = false;
    if (result == ERR_NONE) all->next_visibility_key = strtoll(arena_cstr(&read->arena, read->row.bytes), NULL, 10);
    arena_fini(&read->arena);
    if (result == ERR_NONE || result == ERR_NOT_FOUND) range_read(all, 'o', STR_EMPTY, SWEEP_PAGE, open_page);
    else all_loaded(all, result);
}

void batches_start(struct frontend *f, void (*done)(struct frontend *f, err result))
{
    struct batches *all = f->batches;
    all->started = done;
    all->read = (struct store_read){.kind = STORE_READ_KV, .space = SPACE_BATCH, .key = STR("n"), .reply_to = f->env.mailbox};
    arena_init(&all->read.arena, 0, 0);
    all->read.mail.open = number_read;
    all->is_reading = true;
    store_read(f->env.store, &all->read);
}
