/* history/walk_test.c: clients and workers do what they like, the process crashes now and then, and what the harness checks
 * after each step must hold all the way. At the end the weather clears, and every run closes. */
#include "history/harness.h"

#include "base/test.h"

enum { STEPS = 3000, HANDS = 6, IDS = 3 };

struct walk {
    struct world w;
    struct taken tasks[HANDS];
    struct str task_runs[HANDS];
    pb_ws_PollActivityTaskQueueResponse *activities[HANDS];
    int64_t number;
};

static uint64_t below(struct walk *k, uint64_t n) { return prng_below(&k->w.prng, n); }
static const char *some_id(struct walk *k) { static const char *const ids[IDS] = {"a", "b", "c"}; return ids[below(k, IDS)]; }
static const char *new_id(struct walk *k) { return arena_printf(&k->w.arena, "n%" PRId64, ++k->number).data; }

static struct execution *some_run(struct walk *k)
{
    const char *id = some_id(k);
    struct execution *e = world_current(&k->w, id);
    return e != NULL ? e : start(&k->w, id);
}

static void start_some(struct walk *k)
{
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&k->w, some_id(k));
    pb_ws_StartWorkflowExecutionResponse *reply;
    r->workflow_id_reuse_policy = (int32_t)below(k, 4);
    r->workflow_id_conflict_policy = (int32_t)below(k, 4);
    r->request_eager_execution = below(k, 4) == 0;
    if (below(k, 3) == 0) r->workflow_run_timeout = duration_of(&k->w.arena, (int64_t)(1 + below(k, 100)) * NS_PER_S);
    if (below(k, 4) == 0) r->retry_policy = pb_new(&k->w.arena, pb_common_RetryPolicy);
    if (r->retry_policy != NULL) r->retry_policy->maximum_attempts = 3;
    if (below(k, 6) == 0) r->workflow_start_delay = duration_of(&k->w.arena, 5 * NS_PER_S);
    err result = start_with(&k->w, r, &reply);
    check(result == ERR_NONE || result == ERR_WORKFLOW_STARTED);
}

static pb_command_Command *some_command(struct walk *k, struct execution *e)
{
    struct world *w = &k->w;
    static const char *const names[] = {"1", "2", "3"};
    const char *name = names[below(k, 3)];
    pb_command_Command *c;
    switch (below(k, 22)) {
    case 0: return timer(w, name, (int64_t)below(k, 30));
    case 1: return cancel_timer(w, name);
    case 2: return cancel_activity(w, (int64_t)below(k, (uint64_t)execution_next_event_id(e)));
    case 3: return marker(w, "m");
    case 4: return start_child(w, some_id(k), (int32_t)below(k, 4));
    case 5: return signal_other(w, some_id(k));
    case 6: return cancel_other(w, some_id(k));
    case 7: return succeed(w, "done");
    case 8: return below(k, 2) ? fail_run(w, "E") : cancel_run(w);
    case 9: return continue_run(w);
    case 10: case 11: return timer(w, new_id(k), (int64_t)below(k, 30));
    default:
        c = schedule(w, below(k, 2) ? name : new_id(k));
        c->schedule_activity_task_command_attributes->request_eager_execution = below(k, 4) == 0;
        if (below(k, 3) == 0) c->schedule_activity_task_command_attributes->schedule_to_close_timeout = duration_of(&w->arena, 20 * NS_PER_S);
        if (below(k, 3) == 0) c->schedule_activity_task_command_attributes->heartbeat_timeout = duration_of(&w->arena, 3 * NS_PER_S);
        if (below(k, 3) == 0) {
            c->schedule_activity_task_command_attributes->retry_policy = pb_new(&w->arena, pb_common_RetryPolicy);
            c->schedule_activity_task_command_attributes->retry_policy->maximum_attempts = 2;
        }
        return c;
    }
}

static void answer_updates(struct walk *k, const struct taken *t, pb_ws_RespondWorkflowTaskCompletedRequest *r)
{
    struct arena *arena = &k->w.arena;
    for (size_t i = 0; i < t->reply->messages_count; i++) {
        pb_protocol_Message *from = t->reply->messages[i];
        pb_update_Rejection no = {.failure = application_failure(&k->w, "No", false)};
        pb_update_Acceptance yes = {0};
        uint64_t what = below(k, 3);
        if (what == 2) continue;
        check_int(PB_DECODE(arena, from->body->value, pb_update_Request, &yes.accepted_request), ERR_NONE);
        pb_protocol_Message *m = PB_PUSH_NEW(arena, r, messages);
        m->id = arena_printf(arena, "%.*s/answer", STR_ARG(from->id));
        m->protocol_instance_id = from->protocol_instance_id;
        m->body = pb_new(arena, pb_google_Any);
        m->body->type_url = what == 0 ? STR("x/temporal.api.update.v1.Acceptance") : STR("x/temporal.api.update.v1.Rejection");
        m->body->value = what == 0 ? PB_ENCODE_ARENA(pb_update_Acceptance, &yes, arena) : PB_ENCODE_ARENA(pb_update_Rejection, &no, arena);
    }
}

static void keep(struct walk *k, struct taken t)
{
    size_t hand = below(k, HANDS);
    k->tasks[hand] = t;
    k->task_runs[hand] = t.reply->workflow_execution->run_id;
}

static void complete_some(struct walk *k)
{
    size_t hand = below(k, HANDS);
    struct taken t = k->tasks[hand], next = {0};
    if (t.reply == NULL) return;
    t.e = world_by_run_id(&k->w, k->task_runs[hand]);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&k->w, 0, NULL);
    for (size_t n = below(k, 4); n > 0; n--) PB_PUSH(&k->w.arena, r, commands) = some_command(k, t.e);
    answer_updates(k, &t, r);
    r->return_new_workflow_task = below(k, 2);
    r->force_create_new_workflow_task = below(k, 6) == 0;
    if (below(k, 2)) {
        r->sticky_attributes = pb_new(&k->w.arena, pb_taskqueue_StickyExecutionAttributes);
        r->sticky_attributes->worker_task_queue = task_queue_of(&k->w.arena, STR("sticky"));
        r->sticky_attributes->schedule_to_start_timeout = duration_of(&k->w.arena, 2 * NS_PER_S);
    }
    err result = complete_with(&k->w, t, r, &next);
    check(result == ERR_NONE || result == ERR_INVALID || result == ERR_TASK_GONE || result == ERR_WORKFLOW_CLOSED);
    if (below(k, 4) != 0) k->tasks[hand].reply = NULL; /* sometimes it is sent twice */
    if (next.reply != NULL) keep(k, next);
}

static void activity_some(struct walk *k)
{
    size_t hand = below(k, HANDS);
    pb_ws_PollActivityTaskQueueResponse *a = k->activities[hand];
    pb_ws_RecordActivityTaskHeartbeatResponse beat = {0};
    if (a == NULL) return;
    err result = ERR_NONE;
    switch (below(k, 5)) {
    case 0: case 1: result = complete_activity(&k->w, a); break;
    case 2: result = fail_activity(&k->w, a, "E", below(k, 2)); break;
    case 3: result = heartbeat(&k->w, a, "beat", &beat); break;
    default: result = cancel_taken_activity(&k->w, a); break;
    }
    check(result == ERR_NONE || result == ERR_NOT_STARTED || result == ERR_WORKFLOW_CLOSED || result == ERR_INVALID);
    if (below(k, 3) == 0) k->activities[hand] = NULL;
}

static void reset_some(struct walk *k)
{
    struct world *w = &k->w;
    struct execution *base = some_run(k), *run;
    pb_history_History *h = history_of(w, base);
    pb_ws_ResetWorkflowExecutionRequest r = {.request_id = str_of(new_id(k)), .reset_reapply_type = (int32_t)below(k, 4)};
    pb_ws_ResetWorkflowExecutionResponse reply = {0};
    struct step step;
    for (size_t i = 0; i < h->events_count; i++)
        if (h->events[i]->event_type == EVENT_TYPE_WORKFLOW_TASK_STARTED && below(k, 3) == 0) r.workflow_task_finish_event_id = (int64_t)i + 2;
    world_begin(w, &step);
    err result = workflow_reset(&step, base, base, &r, h, NULL, &reply, &run);
    check(result == ERR_NONE || result == ERR_INVALID);
    world_end(w, &step);
}

static void control_some(struct walk *k)
{
    struct world *w = &k->w;
    struct execution *e = some_run(k);
    struct step step;
    pb_ws_PauseWorkflowExecutionRequest p = {0};
    pb_ws_UnpauseWorkflowExecutionRequest u = {0};
    pb_ws_PauseActivityRequest pa = {.activity_case = pb_ws_PauseActivityRequest_type_tag, .type = STR("A")};
    pb_ws_UnpauseActivityRequest ua = {.activity_case = pb_ws_UnpauseActivityRequest_unpause_all_tag, .unpause_all = true, .reset_attempts = below(k, 2)};
    pb_ws_ResetActivityRequest ra = {.activity_case = pb_ws_ResetActivityRequest_match_all_tag, .match_all = true, .keep_paused = below(k, 2)};
    world_begin(w, &step);
    switch (below(k, 6)) {
    case 0: (void)!execution_pause(e, &step, &p); break;
    case 1: case 2: (void)!execution_unpause(e, &step, &u); break;
    case 3: (void)!execution_activity_pause(e, &step, &pa); break;
    case 4: (void)!execution_activity_unpause(e, &step, &ua); break;
    default: (void)!execution_activity_reset(e, &step, &ra); break;
    }
    world_end(w, &step);
}

static void one(struct walk *k)
{
    struct world *w = &k->w;
    struct update_view view;
    struct execution *e;
    pb_ws_PollActivityTaskQueueResponse *a;
    w->holds_messages = below(k, 3) == 0;
    switch (below(k, 22)) {
    case 20: control_some(k); break;
    case 21: if (below(k, 4) == 0) reset_some(k); break;
    case 0: start_some(k); break;
    case 1: case 2: (void)!signal_with(w, some_run(k), "s", below(k, 2) ? new_id(k) : "same"); break;
    case 3: if (below(k, 4) == 0) check_int(cancel(w, some_run(k)), ERR_NONE); break;
    case 4: if (below(k, 8) == 0) (void)!terminate(w, some_run(k)); break;
    case 5: (void)!update_with(w, some_run(k), below(k, 2) ? new_id(k) : "u", &view); break;
    case 6: case 7: case 8: case 9:
        e = some_run(k);
        if (has_task(w, e) && execution_status(e) == WORKFLOW_EXECUTION_STATUS_RUNNING) keep(k, take(w, e));
        break;
    case 10: case 11: case 12: complete_some(k); break;
    case 13: {
        size_t hand = below(k, HANDS);
        if (k->tasks[hand].reply != NULL) {
            k->tasks[hand].e = world_by_run_id(w, k->task_runs[hand]);
            (void)!fail_task(w, k->tasks[hand]);
            k->tasks[hand].reply = NULL;
        }
        break;
    }
    case 14: case 15:
        e = some_run(k);
        if (execution_status(e) == WORKFLOW_EXECUTION_STATUS_RUNNING && (a = take_activity(w, e)) != NULL) k->activities[below(k, HANDS)] = a;
        break;
    case 16: case 17: activity_some(k); break;
    case 18: world_advance(w, (duration){(int64_t)below(k, 12 * (uint64_t)NS_PER_S)}); break;
    default: if (below(k, 4) == 0) world_crash(w); break;
    }
    if (!w->holds_messages) world_deliver(w);
}

static void unpause(struct world *w, struct execution *e)
{
    pb_ws_UnpauseWorkflowExecutionRequest u = {0};
    struct step step;
    world_begin(w, &step);
    check_int(execution_unpause(e, &step, &u), ERR_NONE);
    world_end(w, &step);
}

/* Good workers finish what is open. */
static void clear_up(struct walk *k)
{
    struct world *w = &k->w;
    w->holds_messages = w->repeats_messages = false;
    world_deliver(w);
    for (int round = 0; round < 400; round++) {
        bool is_any_open = false;
        for (struct list *link = w->runs.next; link != &w->runs; link = link->next) {
            struct execution *e = container_of(link, struct world_run, link)->e;
            if (!execution_is_open(e)) continue;
            is_any_open = true;
            if (execution_status(e) == WORKFLOW_EXECUTION_STATUS_PAUSED) unpause(w, e);
            if (has_task(w, e)) check_int(done(w, take(w, e), succeed(w, "end")), ERR_NONE);
            else if (!execution_has_workflow_task(e)) (void)!signal_with(w, e, "end", "");
        }
        if (!is_any_open) return;
        world_advance(w, duration_s(5));
    }
    for (struct list *link = w->runs.next; link != &w->runs; link = link->next) {
        const struct execution *e = container_of(link, struct world_run, link)->e;
        if (execution_is_open(e))
            fprintf(stderr, "run %" PRId64 ": %.*s, task %d attempt %d, first task at %" PRId64 ", waits for parent %d, next wake %" PRId64 " now %" PRId64 "\n", execution_run(e),
                    STR_ARG(execution_workflow_id(e)), e->s->task->state, e->s->task->attempt, e->s->first_task_at, e->s->is_waiting_for_parent,
                    execution_next_wake(e).ns, w->now.ns);
    }
    check(!"a run stays open");
}

static void walk(uint64_t seed)
{
    struct walk k = {0};
    world_init(&k.w, seed);
    k.w.limits.buffered_events_max = 10;
    k.w.repeats_messages = seed % 3 == 0;
    for (int i = 0; i < STEPS && test_failures == 0; i++) one(&k);
    clear_up(&k);
    if (test_failures != 0) fprintf(stderr, "seed %" PRIu64 "\n", seed);
    if (getenv("WALK_LOUD") != NULL) fprintf(stderr, "runs %" PRId64 " reloads %" PRIu64 "\n", k.w.next_run - 1, k.w.reloads);
    world_fini(&k.w);
}

TEST(whatever_clients_and_workers_do)
{
    const char *from = getenv("WALK_SEED"), *count = getenv("WALK_COUNT");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1, n = count != NULL ? strtoull(count, NULL, 10) : 40;
    for (uint64_t seed = first; seed < first + n && test_failures == 0; seed++) {
        if (getenv("WALK_LOUD") != NULL) fprintf(stderr, "seed %" PRIu64 "\n", seed);
        walk(seed);
    }
}

TEST_MAIN
