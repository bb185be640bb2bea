#include "core/worker_fixture.h"

#include <stdlib.h>

static const pb_core_Completion *quiet(struct fixture *f, int i)
{
    pb_core_Completion *c = arena_zalloc(&f->arena, sizeof *c);
    c->run_id = arena_printf(&f->arena, "r%d", i);
    return c;
}

static const pb_core_Completion *with_timer(struct fixture *f, int i)
{
    static pb_google_Duration second = {.seconds = 1};
    static pb_core_StartTimer timer = {.seq = 1, .start_to_fire_timeout = &second};
    static pb_core_Command command = {.variant_case = pb_core_Command_start_timer_tag, .start_timer = &timer};
    static pb_core_Command *commands[] = {&command};
    pb_core_Completion *c = (pb_core_Completion *)quiet(f, i);
    c->commands = commands;
    c->commands_count = 1;
    return c;
}

static size_t answers(struct fixture *f) { return count(f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED); }

/* The server took what was answered. */
static void accept_answers(struct fixture *f)
{
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    struct core_effect *call;
    while ((call = next(f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED)) != NULL)
        answer(f, call, &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
}

/* Hands events first … last of that many runs, r0 …, to the SDK. */
static void give_all(struct fixture *f, int count, size_t first, size_t last)
{
    for (int i = 0; i < count; i++) {
        give_task(f, first, last, arena_printf(&f->arena, "r%d", i).data);
        core_worker_taken(f->w, f->now);
    }
}

/* Each of so many runs had a task that made it do nothing, and now, after ms, has the next: a signal has come. */
static void start_with(struct fixture *f, int runs, int64_t ms)
{
    load(f, "external_target.json");
    fixture_start(f);
    give_all(f, runs, 1, 3);
    for (int i = 0; i < runs; i++) complete(f, quiet(f, i));
    accept_answers(f);
    f->now = instant_add(f->now, duration_ms(ms));
    give_all(f, runs, 4, 7);
}

TEST(an_answer_without_commands_waits_while_others_are_in_hand)
{
    struct fixture f;
    fixture_init(&f);
    start_with(&f, 5, 20);
    complete(&f, with_timer(&f, 1)); /* this one moves its workflow on */
    check_int(answers(&f), 1);
    check(!core_worker_has_held(f.w));
    complete(&f, quiet(&f, 0));
    check(core_worker_has_held(f.w));
    advance(&f, 4);
    complete(&f, quiet(&f, 2));
    check_int(answers(&f), 0);
    check_int(core_worker_due(f.w).ns, instant_add(f.now, duration_ms(6)).ns); /* ten after the first */
    advance(&f, 5);
    check_int(answers(&f), 0);
    advance(&f, 1);
    check_int(answers(&f), 2); /* together */
    check(!core_worker_has_held(f.w));
    check_int(f.metrics[METRIC_WORKFLOW_TASK_EXECUTION_LATENCY], 5 + 3);
    fixture_fini(&f);
}

TEST(with_little_in_hand_an_answer_goes_at_once)
{
    struct fixture f;
    fixture_init(&f);
    start_with(&f, 3, 20);
    for (int i = 0; i < 3; i++) {
        complete(&f, quiet(&f, i));
        check_int(answers(&f), 1);
    }
    fixture_fini(&f);
}

TEST(an_answer_after_a_pause_goes_at_once)
{
    struct fixture f;
    fixture_init(&f);
    start_with(&f, 5, 51);
    complete(&f, quiet(&f, 0));
    check_int(answers(&f), 1);
    fixture_fini(&f);
}

TEST(the_first_answer_of_a_run_goes_at_once)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "external_target.json");
    fixture_start(&f);
    give_all(&f, 5, 1, 3);
    complete(&f, quiet(&f, 0));
    check_int(answers(&f), 1);
    fixture_fini(&f);
}

TEST(slots_that_are_few_or_somebody_elses_are_not_kept)
{
    pb_core_SlotSupplier few = {.kind_case = pb_core_SlotSupplier_fixed_size_tag, .fixed_size = 12};
    pb_core_SlotSupplier_ResourceBased based = {.target_memory_usage = 1, .target_cpu_usage = 1, .minimum_slots = 100};
    pb_core_SlotSupplier resource = {.kind_case = pb_core_SlotSupplier_resource_based_tag, .resource_based = &based};
    pb_core_SlotSupplier many = {.kind_case = pb_core_SlotSupplier_fixed_size_tag, .fixed_size = 13};
    const struct { pb_core_SlotSupplier *supplier; size_t answers; } rows[] = {{&few, 1}, {&resource, 1}, {&many, 0}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct fixture f;
        fixture_init(&f);
        f.options.workflow_slots = rows[i].supplier;
        start_with(&f, 4, 20); /* four tasks and five polls */
        complete(&f, quiet(&f, 0));
        check_int(answers(&f), rows[i].answers);
        fixture_fini(&f);
    }
}

TEST(an_answer_with_a_query_result_goes_at_once)
{
    struct fixture f;
    fixture_init(&f);
    start_with(&f, 4, 20);
    complete(&f, quiet(&f, 0));
    advance(&f, 10);
    struct core_effect *call = next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events + 7, 4);
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r0")};
    pb_query_WorkflowQuery query = {.query_type = STR("state")};
    pb_ws_PollWorkflowTaskQueueResponse_QueriesEntry entry = {.key = STR("q1"), .value = &query}, *entries[] = {&entry};
    pb_ws_PollWorkflowTaskQueueResponse task = {.task_token = STR("t"), .workflow_execution = &execution, .history = &part, .started_event_id = 11,
                                                .previous_started_event_id = 7, .attempt = 1, .queries = entries, .queries_count = 1};
    pb_ws_RespondWorkflowTaskCompletedResponse more = {.workflow_task = &task};
    answer(&f, call, &pb_ws_RespondWorkflowTaskCompletedResponse_type, &more);
    complete(&f, quiet(&f, 0));
    pb_core_RespondQuery said = {.query_id = STR("q1"), .answer_case = pb_core_RespondQuery_succeeded_tag,
                                 .succeeded = pb_payload_new(&f.arena, STR("json/plain"), STR("1"))};
    pb_core_Command c = {.variant_case = pb_core_Command_respond_query_tag, .respond_query = &said}, *commands[] = {&c};
    complete(&f, &(pb_core_Completion){.run_id = STR("r0"), .commands = commands, .commands_count = 1});
    check_int(answers(&f), 1);
    fixture_fini(&f);
}

TEST(answers_that_wait_go_when_the_worker_shuts_down)
{
    struct fixture f;
    fixture_init(&f);
    start_with(&f, 5, 20);
    complete(&f, quiet(&f, 0));
    complete(&f, quiet(&f, 1));
    check_int(answers(&f), 0);
    core_worker_shutdown(f.w, f.now);
    check_int(answers(&f), 2);
    complete(&f, quiet(&f, 2));
    check_int(answers(&f), 1);
    fixture_fini(&f);
}

/* A second attempt comes when the first has timed out: the run still has one answer to give, then the next task. */
TEST(a_task_for_a_run_whose_answer_waits_comes_after_it)
{
    struct fixture f;
    fixture_init(&f);
    start_with(&f, 4, 20);
    complete(&f, quiet(&f, 0));
    give_task(&f, 4, 7, "r0");
    check_int(answers(&f), 0);
    advance(&f, 10);
    check_int(answers(&f), 1);
    fixture_fini(&f);
}

TEST(a_worker_may_end_while_answers_wait)
{
    struct fixture f;
    fixture_init(&f);
    start_with(&f, 4, 20);
    complete(&f, quiet(&f, 0));
    fixture_fini(&f);
}

TEST_MAIN
