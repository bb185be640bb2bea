#include "shard/test_world.h"

#include <stdlib.h>

static instant now_of(void *arg) { return ((struct world *)arg)->now; }

static const struct namespace_info *namespace_of(void *arg, int64_t key)
{
    struct world *w = arg;
    return key == w->ns.key ? &w->ns : NULL;
}

static const struct limits *limits_of(void *arg, int64_t key)
{
    (void)key;
    return &((struct world *)arg)->limits;
}

static void offer_task(void *arg, const struct task_effect *task)
{
    struct world *w = arg;
    w->offered++;
    w->last_stamp = task->stamp;
    if (w->matching != NULL) matching_offer(w->matching, task);
}

static void deliver(void *arg, struct shard_delivery *delivery) { shard_receive(((struct world *)arg)->shard, delivery); }

static struct shard *shard_of(void *arg, int64_t namespace_key, struct str workflow_id)
{
    (void)namespace_key;
    (void)workflow_id;
    return ((struct world *)arg)->shard;
}

void world_init(struct world *w, struct faulty_options faults)
{
    *w = (struct world){.now = {INT64_C(1000000) * NS_PER_S}};
    w->ns = (struct namespace_info){.key = 1, .id = STR("id"), .name = STR("default"), .retention = duration_s(3600)};
    w->disk = faulty_create(&faults, w->now);
    w->limits = limits_default();
}

void world_start(struct world *w)
{
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, 0, 0);
    mailbox_init(&w->mailbox, NULL, NULL);
    struct shard_env env = {.arg = w, .store = faulty_as_store(w->disk), .mailbox = &w->mailbox, .now = now_of, .namespace_of = namespace_of,
                            .limits_of = limits_of, .offer_task = offer_task, .deliver = deliver, .seed = 1};
    ensure(shard_open(&env, &w->options, &w->shard, &arena, &error) == ERR_NONE);
    struct matching_env matching = {.arg = w, .now = now_of, .shard_of = shard_of, .store = faulty_as_store(w->disk), .mailbox = &w->mailbox};
    w->matching = matching_create(&matching, &w->matching_options);
    arena_fini(&arena);
}

static void world_end(struct world *w)
{
    matching_destroy(w->matching);
    shard_destroy(w->shard);
    w->shard = NULL;
    w->matching = NULL;
    mailbox_fini(&w->mailbox);
}

static instant next_due(const struct world *w)
{
    instant due = faulty_next_due(w->disk);
    if (w->shard != NULL) due = instant_min(due, instant_min(shard_next_due(w->shard), matching_next_due(w->matching)));
    return due;
}

/* One round of everything that is due; false when nothing was. */
static bool world_round(struct world *w)
{
    size_t mails = mailbox_open_all(&w->mailbox);
    bool is_due = !instant_before(w->now, next_due(w));
    faulty_set_now(w->disk, w->now);
    faulty_tick(w->disk);
    shard_tick(w->shard);
    matching_tick(w->matching);
    mails += mailbox_open_all(&w->mailbox);
    shard_check(w->shard);
    return mails != 0 || is_due;
}

void world_settle(struct world *w)
{
    for (int i = 0; world_round(w); i++) ensure(i < 100000);
}

void world_run(struct world *w, duration time)
{
    instant end = instant_add(w->now, time);
    world_settle(w);
    for (instant due; (due = next_due(w)).ns <= end.ns;) {
        w->now = instant_max(w->now, due);
        world_settle(w);
    }
    w->now = end;
    world_settle(w);
}

void world_stop(struct world *w)
{
    shard_close(w->shard);
    for (int i = 0; !shard_is_quiet(w->shard) || !matching_is_quiet(w->matching); i++) {
        ensure(i < 1000);
        world_run(w, duration_ms(100));
    }
    world_end(w);
}

void world_crash(struct world *w)
{
    faulty_set_now(w->disk, w->now);
    faulty_crash(w->disk);
    world_end(w);
}

void world_fini(struct world *w)
{
    if (w->shard != NULL) world_stop(w);
    faulty_destroy(w->disk);
}

/* ---- asks ---- */

static err ask_step(struct shard_call *call, struct execution *run, struct step *step, bool *is_commit)
{
    struct ask *a = container_of(call, struct ask, call);
    switch (a->verb) {
    case DO_NOTHING: break;
    case DO_START:
        if (run != NULL && execution_is_open(run)) return ERR_WORKFLOW_STARTED;
        run = engine_start(step, call->workflow_id);
        break;
    case DO_ADD: engine_add(run, step, a->amount, true); break;
    case DO_ADD_RELAXED: engine_add(run, step, a->amount, false); break;
    case DO_CLOSE: engine_close(run, step); break;
    case DO_TIMER: engine_set_timer(run, step, instant_add(step->now, duration_ms(a->amount))); break;
    case DO_SCHEDULE: engine_schedule_task(run, step); break;
    case DO_START_TASK: TRY(engine_start_task(run, step, a->amount)); break;
    case DO_FINISH_TASK: engine_finish_task(run, step); break;
    case DO_SEND: engine_send(run, step, a->other, arena_printf(call->arena, "request-%lld", (long long)a->amount)); break;
    case DO_FAIL: return ERR_INVALID;
    case DO_FAIL_COMMIT:
        engine_add(run, step, a->amount, true);
        *is_commit = true;
        a->number = engine_number(run);
        return ERR_INVALID;
    }
    a->number = run != NULL ? engine_number(run) : -1;
    a->run = run != NULL ? execution_run(run) : 0;
    return ERR_NONE;
}

static int done_count;

static void ask_done(struct shard_call *call, err result)
{
    struct ask *a = container_of(call, struct ask, call);
    ensure(!a->is_done);
    a->is_done = true;
    a->result = result;
    a->order = ++done_count;
}

void ask(struct world *w, struct ask *a, const char *workflow_id, enum world_verb verb, int64_t amount)
{
    struct str other = a->other;
    *a = (struct ask){.world = w, .verb = verb, .amount = amount, .other = other};
    arena_init(&a->arena, 0, 0);
    a->call.namespace_key = 1;
    a->call.workflow_id = str_of(workflow_id);
    a->call.need = verb == DO_START ? SHARD_MAY_LACK_RUN : SHARD_NEEDS_RUN;
    a->call.arena = &a->arena;
    a->call.step = ask_step;
    a->call.done = ask_done;
    shard_submit(w->shard, &a->call);
    ensure(!a->is_done);
}

void ask_fini(struct ask *a) { arena_fini(&a->arena); }

err do_now(struct world *w, const char *workflow_id, enum world_verb verb, int64_t amount)
{
    struct ask a = {.other = STR("other")};
    ask(w, &a, workflow_id, verb, amount);
    for (int i = 0; !a.is_done; i++) {
        ensure(i < 1000);
        world_run(w, duration_ms(10));
    }
    ask_fini(&a);
    return a.result;
}

int64_t number_of(struct world *w, const char *workflow_id)
{
    struct ask a = {.other = STR_EMPTY};
    ask(w, &a, workflow_id, DO_NOTHING, 0);
    for (int i = 0; !a.is_done; i++) {
        ensure(i < 1000);
        world_run(w, duration_ms(10));
    }
    ask_fini(&a);
    return a.result == ERR_NONE ? a.number : -1;
}

/* The run's row and its batches of history. */
size_t durable_row_count(struct world *w, const char *workflow_id)
{
    struct store_read run = {.kind = STORE_READ_CURRENT, .namespace_key = 1, .key = str_of(workflow_id)};
    arena_init(&run.arena, 0, 0);
    faulty_read_durable(w->disk, &run);
    size_t count = 0;
    if (run.result == ERR_NONE) {
        struct store_read history = {.kind = STORE_READ_HISTORY, .run = run.row.run, .from = 1, .to = 1000};
        arena_init(&history.arena, 0, 0);
        faulty_read_durable(w->disk, &history);
        count = 1 + history.row_count;
        arena_fini(&history.arena);
    }
    arena_fini(&run.arena);
    return count;
}
