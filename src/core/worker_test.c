/* A worker against a server that the test plays. */
#include "core/worker_fixture.h"

/* ---- polls ---------------------------------------------------------------------------------------------------------- */

TEST(a_worker_divides_its_workflow_polls)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    int sticky = 0, normal = 0;
    struct core_effect *e;
    while ((e = next(&f, EFFECT_CALL, CORE_POLL_WORKFLOW)) != NULL) {
        pb_ws_PollWorkflowTaskQueueRequest *r = request(&f, e, &pb_ws_PollWorkflowTaskQueueRequest_type);
        if (r->task_queue->kind == TASK_QUEUE_KIND_STICKY) sticky++;
        else normal++;
        check(e->is_long_poll);
        check_str(r->namespace, "default");
    }
    check_int(normal, 1);
    check_int(sticky, 4);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 5);
    fixture_fini(&f);
}

TEST(slots_bound_the_polls)
{
    struct fixture f;
    fixture_init(&f);
    pb_core_SlotSupplier two = {.kind_case = pb_core_SlotSupplier_fixed_size_tag, .fixed_size = 2};
    f.options.workflow_slots = f.options.activity_slots = &two;
    fixture_start(&f);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), 2); /* one of each queue */
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 2);
    fixture_fini(&f);
}

TEST(an_empty_poll_is_followed_by_another_and_a_failed_one_after_a_pause)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_core_PollerBehavior one = {.maximum = 1};
    f.options.activity_pollers = &one;
    fixture_start(&f);
    pb_ws_PollActivityTaskQueueResponse empty = {0};
    answer(&f, next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), &pb_ws_PollActivityTaskQueueResponse_type, &empty);
    struct core_effect *e = next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY);
    check(e != NULL);
    core_worker_called(f.w, e->call_id, GRPC_UNAVAILABLE, STR("gone"), f.now);
    check(next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL);
    advance(&f, 199);
    check(next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL);
    advance(&f, 2);
    e = next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY);
    check(e != NULL);
    core_worker_called(f.w, e->call_id, GRPC_NOT_FOUND, STR("no such namespace"), f.now);
    e = next(&f, EFFECT_FATAL, 0);
    check(e != NULL && str_equal_c(e->text, "no such namespace"));
    check(core_worker_is_done(f.w));
    fixture_fini(&f);
}

TEST(autoscaling_follows_the_servers_advice_within_bounds)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_core_PollerBehavior scaling = {.is_autoscaling = true, .minimum = 1, .maximum = 4, .initial = 2};
    f.options.activity_pollers = &scaling;
    fixture_start(&f);
    struct core_effect *first = next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), *second = next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY);
    check(second != NULL && next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL);
    pb_taskqueue_PollerScalingDecision up = {.poll_request_delta_suggestion = 9};
    pb_ws_PollActivityTaskQueueResponse reply = {.poller_scaling_decision = &up};
    answer(&f, first, &pb_ws_PollActivityTaskQueueResponse_type, &reply);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 3); /* four are out */
    pb_ws_PollActivityTaskQueueResponse empty = {0};
    answer(&f, second, &pb_ws_PollActivityTaskQueueResponse_type, &empty);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 0); /* three are enough */
    fixture_fini(&f);
}

TEST(autoscaling_goes_down_when_the_server_says_so_or_has_too_much_to_do)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_core_PollerBehavior scaling = {.is_autoscaling = true, .minimum = 2, .maximum = 8, .initial = 8};
    f.options.activity_pollers = &scaling;
    fixture_start(&f);
    struct core_effect *polls[8];
    for (size_t i = 0; i < countof(polls); i++) check((polls[i] = next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY)) != NULL);
    check(next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL);
    pb_taskqueue_PollerScalingDecision down = {.poll_request_delta_suggestion = -2}, stay = {0};
    pb_ws_PollActivityTaskQueueResponse reply = {.poller_scaling_decision = &down};
    answer(&f, polls[0], &pb_ws_PollActivityTaskQueueResponse_type, &reply); /* six are wanted, seven are out */
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 0);
    reply.poller_scaling_decision = &stay; /* an empty poll is no reason when the server said what it wants */
    answer(&f, polls[1], &pb_ws_PollActivityTaskQueueResponse_type, &reply);
    answer(&f, polls[2], &pb_ws_PollActivityTaskQueueResponse_type, &reply);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 1); /* six again */
    core_worker_called(f.w, polls[3]->call_id, GRPC_RESOURCE_EXHAUSTED, STR("slow down"), f.now); /* half of them: three */
    advance(&f, 300);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 0);
    reply.poller_scaling_decision = &down;
    for (size_t i = 4; i < countof(polls); i++) answer(&f, polls[i], &pb_ws_PollActivityTaskQueueResponse_type, &reply);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 1); /* one of before is out, and two are the least */
    fixture_fini(&f);
}

TEST(fixed_pollers_pass_over_the_servers_advice)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_core_PollerBehavior three = {.maximum = 3};
    f.options.activity_pollers = &three;
    fixture_start(&f);
    struct core_effect *poll = next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 2);
    pb_taskqueue_PollerScalingDecision down = {.poll_request_delta_suggestion = -3};
    pb_ws_PollActivityTaskQueueResponse reply = {.poller_scaling_decision = &down};
    answer(&f, poll, &pb_ws_PollActivityTaskQueueResponse_type, &reply);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 1);
    fixture_fini(&f);
}

/* ---- workflow tasks --------------------------------------------------------------------------------------------------- */

TEST(a_workflow_runs_from_its_first_task_to_its_last)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    give_task(&f, 1, 3, "r1");
    check_int(sdk(&f), 0);
    struct core_effect *call = next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, call, &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check_int(r->commands_count, 1);
    check_int(r->commands[0]->command_type, COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK);
    check(r->commands[0]->schedule_activity_task_command_attributes->request_eager_execution);
    check(r->sticky_attributes != NULL && r->sticky_attributes->worker_task_queue->kind == TASK_QUEUE_KIND_STICKY);
    check_int(r->sdk_metadata->core_used_flags_count, 4);
    check_str(r->sdk_metadata->sdk_name, "perdure");
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    answer(&f, call, &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    give_task(&f, 4, 9, "r1"); /* only what is new */
    check_int(sdk(&f), 0);
    call = next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
    r = request(&f, call, &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check_int(r->commands[0]->command_type, COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION);
    check_int(r->sdk_metadata->core_used_flags_count, 0); /* said before */
    answer(&f, call, &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    check_int(sdk(&f), REMOVAL_REASON_WORKFLOW_CLOSED);
    check(next(&f, EFFECT_ACTIVATION, 0) == NULL);
    check_int(f.metrics[METRIC_WORKFLOW_COMPLETED], 1);
    check_int(f.metrics[METRIC_WORKFLOW_TASK_QUEUE_POLL_SUCCEED], 2);
    check_int(f.metrics[METRIC_WORKFLOW_TASK_EXECUTION_LATENCY], 2);
    check_int(f.metrics[METRIC_STICKY_CACHE_HIT], 1);
    check_int(f.metrics[METRIC_SLOTS_USED], 0);
    fixture_fini(&f);
}

/* The workflow ends in its first task, and the SDK says that it has let go of the run. */
static struct core_effect *end_and_leave(struct fixture *f)
{
    give_task(f, 1, 3, "r1");
    check(!activation(f, next(f, EFFECT_ACTIVATION, 0))->queries_follow);
    pb_core_CompleteWorkflow end = {0};
    pb_core_Command c = {.variant_case = pb_core_Command_complete_workflow_tag, .complete_workflow = &end}, *commands[] = {&c};
    complete(f, &(pb_core_Completion){.run_id = STR("r1"), .commands = commands, .commands_count = 1, .has_left = true});
    return next(f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
}

TEST(a_run_that_has_left_by_itself_is_not_told_to)
{
    static const int codes[] = {GRPC_OK, GRPC_INVALID_ARGUMENT, GRPC_NOT_FOUND};
    for (size_t i = 0; i < countof(codes); i++) {
        struct fixture f;
        fixture_init(&f);
        load(&f, "hello.json");
        fixture_start(&f);
        core_worker_called(f.w, end_and_leave(&f)->call_id, codes[i], STR_EMPTY, f.now);
        check(next(&f, EFFECT_ACTIVATION, 0) == NULL);
        check_int(f.metrics[METRIC_WORKFLOW_COMPLETED], codes[i] == GRPC_OK);
        check_int(f.metrics[METRIC_SLOTS_USED], 0);
        check_int(f.metrics[METRIC_STICKY_CACHE_SIZE], 0);
        give_task(&f, 4, 9, "r1"); /* after all: what it had is gone, so the history is read from its start */
        check(next(&f, EFFECT_ACTIVATION, 0) == NULL);
        check(next(&f, EFFECT_CALL, CORE_GET_HISTORY) != NULL);
        fixture_fini(&f);
    }
}

TEST(a_run_that_left_at_the_shutdown_holds_up_nobody)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    struct core_effect *call = end_and_leave(&f);
    core_worker_shutdown(f.w, f.now);
    check(!core_worker_is_done(f.w));
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    answer(&f, call, &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    check(next(&f, EFFECT_ACTIVATION, 0) == NULL);
    fixture_fini(&f);
}

TEST(a_run_leaves_only_when_its_workflow_has_ended)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    give_task(&f, 1, 3, "r1");
    pb_core_Completion *c = echo_answer(&f.echo, buf_view(&next(&f, EFFECT_ACTIVATION, 0)->bytes), &f.arena);
    c->has_left = true;
    complete(&f, c);
    core_worker_called(f.w, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED)->call_id, GRPC_NOT_FOUND, STR("late"), f.now);
    check_int(sdk(&f), REMOVAL_REASON_TASK_NOT_FOUND);
    fixture_fini(&f);
}

TEST(the_first_task_may_come_with_the_answer_to_a_start)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    pb_core_SlotSupplier slots = {.kind_case = pb_core_SlotSupplier_fixed_size_tag, .fixed_size = 8};
    f.options.workflow_slots = &slots;
    fixture_start(&f);
    size_t polls = count(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), permits = 0;
    uint64_t permit[8], one;
    while ((one = core_worker_reserve(f.w, f.now)) != 0) permit[permits++] = one;
    check_int(polls + permits, 8);
    check(permits > 1);
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events, 3);
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r1")};
    pb_ws_PollWorkflowTaskQueueResponse task = {.task_token = STR("token"), .workflow_execution = &execution, .history = &part, .started_event_id = 3, .attempt = 1};
    core_worker_accept(f.w, permit[0], PB_ENCODE_ARENA(pb_ws_PollWorkflowTaskQueueResponse, &task, &f.arena), f.now);
    check_int(sdk(&f), 0);
    check(next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED) != NULL);
    for (size_t i = 1; i < permits; i++) core_worker_accept(f.w, permit[i], i == 1 ? STR_EMPTY : STR("rubbish"), f.now);
    check(core_worker_reserve(f.w, f.now) != 0 || count(&f, EFFECT_CALL, CORE_POLL_WORKFLOW) != 0);
    core_worker_shutdown(f.w, f.now);
    check(core_worker_reserve(f.w, f.now) == 0);
    fixture_fini(&f);
}

TEST(the_next_task_may_come_with_the_answer)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    give_task(&f, 1, 3, "r1");
    sdk(&f);
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events + 3, 6);
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r1")};
    pb_ws_PollWorkflowTaskQueueResponse task = {.task_token = STR("t2"), .workflow_execution = &execution, .history = &part, .started_event_id = 9};
    pb_ws_RespondWorkflowTaskCompletedResponse more = {.workflow_task = &task};
    answer(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedResponse_type, &more);
    check_int(sdk(&f), 0);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check_str(r->task_token, "t2");
    fixture_fini(&f);
}

/* Gives tasks of that many fresh runs. */
static void pile_up(struct fixture *f, size_t count, const char *prefix)
{
    for (size_t i = 0; i < count; i++) give_task(f, 1, 3, arena_printf(&f->arena, "%s%zu", prefix, i).data);
}

static bool asks_for_next(struct fixture *f)
{
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(f, next(f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    return r->return_new_workflow_task;
}

TEST(while_many_activations_wait_no_workflow_task_is_fetched)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY);
    pile_up(&f, 2, "a");
    for (int i = 0; i < 2; i++) core_worker_taken(f.w, f.now); /* both are worked on */
    pile_up(&f, CORE_UNTAKEN_MAX, "b");
    complete(&f, &(pb_core_Completion){.run_id = STR("a0")});
    advance(&f, 10); /* hold.c */
    check(asks_for_next(&f));
    pile_up(&f, 1, "c"); /* one more than may wait */
    check_int(count(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), 4); /* those that were out before, and none in its place */
    complete(&f, &(pb_core_Completion){.run_id = STR("a1")});
    advance(&f, 10);
    check(!asks_for_next(&f));
    core_worker_taken(f.w, f.now);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), 1);
    core_worker_taken(f.w, f.now);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), 0); /* all are out */
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 0); /* nothing has changed for activities */
    fixture_fini(&f);
}

TEST(a_full_cache_lets_the_oldest_run_go)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    f.options.max_cached_workflows = 1;
    fixture_start(&f);
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    give_task(&f, 1, 3, "r1");
    sdk(&f);
    answer(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    give_task(&f, 1, 3, "r2");
    struct core_effect *e = next(&f, EFFECT_ACTIVATION, 0);
    check_str(activation(&f, e)->run_id, "r2");
    e = next(&f, EFFECT_ACTIVATION, 0);
    check_str(activation(&f, e)->run_id, "r1");
    check_int(activation(&f, e)->jobs[0]->remove_from_cache->reason, REMOVAL_REASON_CACHE_FULL);
    pb_core_Completion done = {.run_id = STR("r1")};
    complete(&f, &done);
    /* r1 comes back with what is new to it: it has to be fetched from the start */
    give_task(&f, 4, 9, "r1");
    pb_ws_GetWorkflowExecutionHistoryRequest *get = request(&f, next(&f, EFFECT_CALL, CORE_GET_HISTORY), &pb_ws_GetWorkflowExecutionHistoryRequest_type);
    check_str(get->execution->run_id, "r1");
    check_int(get->next_page_token.size, 0);
    fixture_fini(&f);
}

TEST(of_a_full_cache_the_run_that_was_used_least_recently_goes)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    f.options.max_cached_workflows = 2;
    fixture_start(&f);
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    static const char *const tasks[] = {"r1", "r2", "r1"};
    for (size_t i = 0; i < countof(tasks); i++) {
        echo_fini(&f.echo);
        echo_init(&f.echo, f.history);
        if (i < 2) {
            give_task(&f, 1, 3, tasks[i]);
            sdk(&f);
        } else { /* a second workflow task of a run in the cache; it stays open */
            give_task(&f, 4, 9, tasks[i]);
            struct core_effect *e = next(&f, EFFECT_ACTIVATION, 0);
            check_str(activation(&f, e)->run_id, "r1");
            complete(&f, &(pb_core_Completion){.run_id = STR("r1")});
        }
        answer(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    }
    check_int(f.metrics[METRIC_STICKY_CACHE_SIZE], 2);
    check(next(&f, EFFECT_ACTIVATION, 0) == NULL);
    give_task(&f, 1, 3, "r3");
    check_str(activation(&f, next(&f, EFFECT_ACTIVATION, 0))->run_id, "r3");
    pb_core_Activation *a = activation(&f, next(&f, EFFECT_ACTIVATION, 0));
    check_str(a->run_id, "r2");
    check_int(a->jobs[0]->remove_from_cache->reason, REMOVAL_REASON_CACHE_FULL);
    check_int(f.metrics[METRIC_STICKY_CACHE_EVICTION], 1);
    fixture_fini(&f);
}

TEST(the_rest_of_a_long_history_is_fetched_page_by_page)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events, 2);
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r1")};
    pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = STR("token"), .workflow_execution = &execution, .history = &part,
                                                .started_event_id = 9, .attempt = 1, .next_page_token = STR("page 1")};
    answer(&f, next(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), &pb_ws_PollWorkflowTaskQueueResponse_type, &poll);
    static const struct { const char *token, *next; size_t first, count; } pages[] = {
        {"page 1", "page 2", 2, 1}, {"page 2", "page 3", 3, 0}, {"page 3", "", 3, 6}};
    for (size_t i = 0; i < countof(pages); i++) {
        struct core_effect *call = next(&f, EFFECT_CALL, CORE_GET_HISTORY);
        pb_ws_GetWorkflowExecutionHistoryRequest *get = request(&f, call, &pb_ws_GetWorkflowExecutionHistoryRequest_type);
        check_str(get->next_page_token, pages[i].token);
        check_str(get->execution->run_id, "r1");
        check(call != NULL && call->is_retried && next(&f, EFFECT_CALL, CORE_GET_HISTORY) == NULL);
        PB_SET_ARRAY(&part, events, f.history->events + pages[i].first, pages[i].count);
        pb_ws_GetWorkflowExecutionHistoryResponse page = {.history = &part, .next_page_token = str_of(pages[i].next)};
        answer(&f, call, &pb_ws_GetWorkflowExecutionHistoryResponse_type, &page);
    }
    check_int(sdk(&f), 0); /* the replay of the first workflow task … */
    check_int(sdk(&f), 0); /* … and the second */
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check_int(r->commands_count, 1);
    check_int(r->commands[0]->command_type, COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION);
    fixture_fini(&f);
}

TEST(a_page_that_can_not_be_had_fails_the_task)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events, 2);
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r1")};
    pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = STR("token"), .workflow_execution = &execution, .history = &part,
                                                .started_event_id = 9, .attempt = 1, .next_page_token = STR("page 1")};
    answer(&f, next(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), &pb_ws_PollWorkflowTaskQueueResponse_type, &poll);
    core_worker_called(f.w, next(&f, EFFECT_CALL, CORE_GET_HISTORY)->call_id, GRPC_INTERNAL, STR("the disk is gone"), f.now);
    pb_ws_RespondWorkflowTaskFailedRequest *r = request(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_FAILED), &pb_ws_RespondWorkflowTaskFailedRequest_type);
    check(r->failure != NULL && memmem(r->failure->message.data, r->failure->message.size, "the disk is gone", 16) != NULL);
    fixture_fini(&f);
}

TEST(a_task_for_a_run_that_is_leaving_waits_for_its_successor)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    f.options.max_cached_workflows = 0;
    fixture_start(&f);
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    give_task(&f, 1, 3, "r1");
    sdk(&f);
    struct core_effect *call = next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, call, &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check(r->sticky_attributes == NULL);
    answer(&f, call, &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    give_task(&f, 1, 9, "r1"); /* before the SDK has let go */
    check_int(sdk(&f), REMOVAL_REASON_CACHE_FULL);
    echo_fini(&f.echo);
    echo_init(&f.echo, f.history);
    check_int(sdk(&f), 0); /* replay … */
    check_int(sdk(&f), 0); /* … and the new task */
    check(next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED) != NULL);
    fixture_fini(&f);
}

TEST(a_failed_activation_fails_the_task_once)
{
    for (int attempt = 1; attempt <= 2; attempt++) {
        struct fixture f;
        fixture_init(&f);
        load(&f, "hello.json");
        fixture_start(&f);
        pb_history_History part = {0};
        PB_SET_ARRAY(&part, events, f.history->events, 3);
        pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r1")};
        pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = STR("token"), .workflow_execution = &execution, .history = &part,
                                                    .started_event_id = 3, .attempt = attempt};
        answer(&f, next(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), &pb_ws_PollWorkflowTaskQueueResponse_type, &poll);
        check(next(&f, EFFECT_ACTIVATION, 0) != NULL);
        pb_failure_Failure failure = {.message = STR("boom")};
        pb_core_Completion c = {.run_id = STR("r1"), .failure = &failure};
        complete(&f, &c);
        struct core_effect *call = next(&f, EFFECT_CALL, CORE_WORKFLOW_FAILED);
        check((call != NULL) == (attempt == 1));
        if (call != NULL) {
            pb_ws_RespondWorkflowTaskFailedRequest *r = request(&f, call, &pb_ws_RespondWorkflowTaskFailedRequest_type);
            check_str(r->failure->message, "boom");
            check_int(r->cause, WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE);
            pb_ws_RespondWorkflowTaskFailedResponse ok = {0};
            answer(&f, call, &pb_ws_RespondWorkflowTaskFailedResponse_type, &ok);
        }
        check_int(sdk(&f), REMOVAL_REASON_WORKFLOW_TASK_FAILED);
        fixture_fini(&f);
    }
}

TEST(an_answer_beyond_the_servers_limits_fails_the_task)
{
    static const struct { bool checks; int64_t limit; bool is_sent; } cases[] = {{true, 100000, true}, {true, 0, true}, {true, 1, false}, {false, 1, true}};
    for (size_t i = 0; i < countof(cases); i++) {
        struct fixture f;
        fixture_init(&f);
        load(&f, "hello.json");
        f.options.checks_payload_size = cases[i].checks;
        fixture_start(&f);
        pb_namespace_NamespaceInfo_Limits limits = {.blob_size_limit_error = cases[i].limit};
        pb_namespace_NamespaceInfo info = {.limits = &limits};
        pb_ws_DescribeNamespaceResponse described = {.namespace_info = &info};
        struct core_effect *describe = next(&f, EFFECT_CALL, CORE_DESCRIBE_NAMESPACE);
        check((describe != NULL) == cases[i].checks);
        if (describe != NULL) answer(&f, describe, &pb_ws_DescribeNamespaceResponse_type, &described);
        give_task(&f, 1, 3, "r1");
        check(next(&f, EFFECT_ACTIVATION, 0) != NULL);
        pb_core_CompleteWorkflow end = {.result = pb_payload_new(&f.arena, STR("json/plain"), STR("\"result\""))};
        pb_core_Command c = {.variant_case = pb_core_Command_complete_workflow_tag, .complete_workflow = &end}, *commands[] = {&c};
        complete(&f, &(pb_core_Completion){.run_id = STR("r1"), .commands = commands, .commands_count = 1});
        check((next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED) != NULL) == cases[i].is_sent);
        struct core_effect *failed = next(&f, EFFECT_CALL, CORE_WORKFLOW_FAILED);
        check((failed != NULL) == !cases[i].is_sent);
        if (failed != NULL) {
            check_int(failed->cause, WORKFLOW_TASK_FAILED_CAUSE_PAYLOADS_TOO_LARGE);
            check_str(failed->id, "r1");
            check(str_starts_with(failed->text, STR("[TMPRL1103] payloads of this workflow task take ")));
            pb_ws_RespondWorkflowTaskFailedResponse ok = {0};
            answer(&f, failed, &pb_ws_RespondWorkflowTaskFailedResponse_type, &ok);
            check_int(sdk(&f), REMOVAL_REASON_WORKFLOW_TASK_FAILED);
        }
        fixture_fini(&f);
    }
}

TEST(a_large_answer_to_a_query_fails_no_task)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    f.options.checks_payload_size = true;
    fixture_start(&f);
    pb_namespace_NamespaceInfo_Limits limits = {.blob_size_limit_error = 1};
    pb_namespace_NamespaceInfo info = {.limits = &limits};
    pb_ws_DescribeNamespaceResponse described = {.namespace_info = &info};
    answer(&f, next(&f, EFFECT_CALL, CORE_DESCRIBE_NAMESPACE), &pb_ws_DescribeNamespaceResponse_type, &described);
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events, 3);
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r1")};
    pb_query_WorkflowQuery query = {.query_type = STR("state")};
    pb_ws_PollWorkflowTaskQueueResponse_QueriesEntry entry = {.key = STR("q1"), .value = &query}, *entries[] = {&entry};
    pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = STR("token"), .workflow_execution = &execution, .history = &part,
                                                .started_event_id = 3, .attempt = 1, .queries = entries, .queries_count = 1};
    answer(&f, next(&f, EFFECT_CALL, CORE_POLL_WORKFLOW), &pb_ws_PollWorkflowTaskQueueResponse_type, &poll);
    check(activation(&f, next(&f, EFFECT_ACTIVATION, 0))->queries_follow);
    complete(&f, &(pb_core_Completion){.run_id = STR("r1")});
    check(!activation(&f, next(&f, EFFECT_ACTIVATION, 0))->queries_follow);
    pb_core_RespondQuery said = {.query_id = STR("q1"), .answer_case = pb_core_RespondQuery_succeeded_tag,
                                 .succeeded = pb_payload_new(&f.arena, STR("json/plain"), STR("\"large\""))};
    pb_core_Command c = {.variant_case = pb_core_Command_respond_query_tag, .respond_query = &said}, *commands[] = {&c};
    complete(&f, &(pb_core_Completion){.run_id = STR("r1"), .commands = commands, .commands_count = 1});
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check_int(r->query_results_count, 1);
    check(next(&f, EFFECT_CALL, CORE_WORKFLOW_FAILED) == NULL);
    fixture_fini(&f);
}

TEST(an_answer_the_server_refuses_ends_the_cached_run)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    give_task(&f, 1, 3, "r1");
    sdk(&f);
    core_worker_called(f.w, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED)->call_id, GRPC_NOT_FOUND, STR("late"), f.now);
    check_int(sdk(&f), REMOVAL_REASON_TASK_NOT_FOUND);
    fixture_fini(&f);
}

/* ---- activities -------------------------------------------------------------------------------------------------------- */

static void give_activity(struct fixture *f, int64_t heartbeat_ms)
{
    pb_google_Duration *beat = pb_duration_new(&f->arena, duration_ms(heartbeat_ms)), *close = pb_duration_new(&f->arena, duration_s(60));
    pb_common_ActivityType type = {.name = STR("say")};
    pb_ws_PollActivityTaskQueueResponse task = {.task_token = STR("a1"), .activity_id = STR("1"), .activity_type = &type, .attempt = 1,
                                                .heartbeat_timeout = heartbeat_ms != 0 ? beat : NULL, .start_to_close_timeout = close};
    answer(f, next(f, EFFECT_CALL, CORE_POLL_ACTIVITY), &pb_ws_PollActivityTaskQueueResponse_type, &task);
}

static void beat(struct fixture *f, const char *text)
{
    pb_common_Payload payload = {.data = str_of(text)}, *details[] = {&payload};
    pb_core_ActivityHeartbeat h = {.task_token = STR("a1"), .details = details, .details_count = 1};
    check(core_worker_heartbeat(f->w, PB_ENCODE_ARENA(pb_core_ActivityHeartbeat, &h, &f->arena), f->now) == ERR_NONE);
}

static void finish(struct fixture *f, int32_t outcome)
{
    pb_core_ActivityCompleted done = {0};
    pb_failure_CanceledFailureInfo info = {0};
    pb_failure_Failure failure = {.message = STR("no")};
    if (outcome == pb_core_ActivityResult_cancelled_tag) {
        failure.failure_info_case = pb_failure_Failure_canceled_failure_info_tag;
        failure.canceled_failure_info = &info;
    }
    pb_core_ActivityResult r = {.task_token = STR("a1"), .outcome_case = outcome};
    if (outcome == pb_core_ActivityResult_completed_tag) r.completed = &done;
    else r.failed = &failure;
    check(core_worker_activity_done(f->w, PB_ENCODE_ARENA(pb_core_ActivityResult, &r, &f->arena), f->now) == ERR_NONE);
}

TEST(an_activity_is_handed_over_and_its_result_sent)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    fixture_start(&f);
    give_activity(&f, 0);
    pb_core_ActivityTask *task = request(&f, next(&f, EFFECT_ACTIVITY_TASK, 0), &pb_core_ActivityTask_type);
    check_str(task->start->activity_type, "say");
    check_str(task->task_token, "a1");
    finish(&f, pb_core_ActivityResult_completed_tag);
    check(next(&f, EFFECT_CALL, CORE_ACTIVITY_COMPLETED) != NULL);
    finish(&f, pb_core_ActivityResult_completed_tag); /* once more: nobody cares */
    check(next(&f, EFFECT_CALL, CORE_ACTIVITY_COMPLETED) == NULL);
    fixture_fini(&f);
}

TEST(heartbeats_are_throttled_and_carry_the_latest_details)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    fixture_start(&f);
    give_activity(&f, 10000);
    beat(&f, "one");
    struct core_effect *e = next(&f, EFFECT_CALL, CORE_HEARTBEAT);
    pb_ws_RecordActivityTaskHeartbeatRequest *r = request(&f, e, &pb_ws_RecordActivityTaskHeartbeatRequest_type);
    check_str(r->details->payloads[0]->data, "one");
    pb_ws_RecordActivityTaskHeartbeatResponse reply = {0};
    answer(&f, e, &pb_ws_RecordActivityTaskHeartbeatResponse_type, &reply);
    beat(&f, "two");
    beat(&f, "three");
    check(next(&f, EFFECT_CALL, CORE_HEARTBEAT) == NULL);
    advance(&f, 7999);
    check(next(&f, EFFECT_CALL, CORE_HEARTBEAT) == NULL);
    advance(&f, 1); /* 0.8 of the timeout */
    e = next(&f, EFFECT_CALL, CORE_HEARTBEAT);
    r = request(&f, e, &pb_ws_RecordActivityTaskHeartbeatRequest_type);
    check_str(r->details->payloads[0]->data, "three");
    reply.cancel_requested = true;
    check(next(&f, EFFECT_ACTIVITY_TASK, 0) != NULL); /* its start */
    answer(&f, e, &pb_ws_RecordActivityTaskHeartbeatResponse_type, &reply);
    pb_core_ActivityTask *task = request(&f, next(&f, EFFECT_ACTIVITY_TASK, 0), &pb_core_ActivityTask_type);
    check_int(task->cancel->reason, ACTIVITY_CANCEL_REASON_CANCELLED);
    beat(&f, "four");
    finish(&f, pb_core_ActivityResult_failed_tag);
    pb_ws_RespondActivityTaskFailedRequest *failed = request(&f, next(&f, EFFECT_CALL, CORE_ACTIVITY_FAILED), &pb_ws_RespondActivityTaskFailedRequest_type);
    check_str(failed->last_heartbeat_details->payloads[0]->data, "four"); /* what was not sent yet */
    fixture_fini(&f);
}

TEST(an_activity_that_is_kept_from_beating_is_beaten_for_twice_per_timeout)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    fixture_start(&f);
    check(!core_worker_has_heartbeats(f.w));
    give_activity(&f, 10000);
    check(core_worker_has_heartbeats(f.w));
    beat(&f, "one");
    pb_ws_RecordActivityTaskHeartbeatResponse reply = {0};
    answer(&f, next(&f, EFFECT_CALL, CORE_HEARTBEAT), &pb_ws_RecordActivityTaskHeartbeatResponse_type, &reply);
    advance(&f, 4999);
    core_worker_keep_alive(f.w, STR_EMPTY, f.now);
    check(next(&f, EFFECT_CALL, CORE_HEARTBEAT) == NULL);
    advance(&f, 1);
    core_worker_keep_alive(f.w, STR("another"), f.now);
    check(next(&f, EFFECT_CALL, CORE_HEARTBEAT) == NULL);
    core_worker_keep_alive(f.w, STR("a1"), f.now);
    struct core_effect *e = next(&f, EFFECT_CALL, CORE_HEARTBEAT);
    pb_ws_RecordActivityTaskHeartbeatRequest *r = request(&f, e, &pb_ws_RecordActivityTaskHeartbeatRequest_type);
    check_str(r->details->payloads[0]->data, "one");
    core_worker_keep_alive(f.w, STR_EMPTY, f.now); /* one is on its way */
    check(next(&f, EFFECT_CALL, CORE_HEARTBEAT) == NULL);
    answer(&f, e, &pb_ws_RecordActivityTaskHeartbeatResponse_type, &reply);
    advance(&f, 13000); /* its own timeout and margin were pushed back by the one that was sent for it */
    check(next(&f, EFFECT_ACTIVITY_TASK, 0) != NULL && next(&f, EFFECT_ACTIVITY_TASK, 0) == NULL);
    finish(&f, pb_core_ActivityResult_completed_tag);
    check(!core_worker_has_heartbeats(f.w));
    fixture_fini(&f);
}

TEST(an_activity_without_a_heartbeat_timeout_is_not_beaten_for)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    fixture_start(&f);
    give_activity(&f, 0);
    advance(&f, 20000);
    core_worker_keep_alive(f.w, STR_EMPTY, f.now);
    check(next(&f, EFFECT_CALL, CORE_HEARTBEAT) == NULL);
    fixture_fini(&f);
}

TEST(an_activity_the_server_forgot_is_told)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    fixture_start(&f);
    give_activity(&f, 0);
    check(next(&f, EFFECT_ACTIVITY_TASK, 0) != NULL);
    beat(&f, "one");
    core_worker_called(f.w, next(&f, EFFECT_CALL, CORE_HEARTBEAT)->call_id, GRPC_NOT_FOUND, STR("gone"), f.now);
    pb_core_ActivityTask *task = request(&f, next(&f, EFFECT_ACTIVITY_TASK, 0), &pb_core_ActivityTask_type);
    check(task->cancel->is_not_found);
    finish(&f, pb_core_ActivityResult_cancelled_tag);
    check(next(&f, EFFECT_CALL, CORE_ACTIVITY_CANCELED) != NULL);
    fixture_fini(&f);
}

TEST(a_heartbeat_on_its_way_goes_along_with_a_failure_too)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    fixture_start(&f);
    give_activity(&f, 0);
    beat(&f, "one");
    finish(&f, pb_core_ActivityResult_failed_tag);
    pb_ws_RespondActivityTaskFailedRequest *failed = request(&f, next(&f, EFFECT_CALL, CORE_ACTIVITY_FAILED), &pb_ws_RespondActivityTaskFailedRequest_type);
    check_str(failed->last_heartbeat_details->payloads[0]->data, "one");
    fixture_fini(&f);
}

/* ---- slots ------------------------------------------------------------------------------------------------------------ */

TEST(resource_based_slots_follow_the_load_and_the_ramp)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_core_PollerBehavior many = {.maximum = 20};
    pb_core_SlotSupplier_ResourceBased r = {.target_memory_usage = 0.8, .target_cpu_usage = 0.9, .minimum_slots = 2, .maximum_slots = 6,
                                            .ramp_throttle = pb_duration_new(&f.arena, duration_ms(50))};
    pb_core_SlotSupplier supplier = {.kind_case = pb_core_SlotSupplier_resource_based_tag, .resource_based = &r};
    f.options.activity_pollers = &many;
    f.options.activity_slots = &supplier;
    fixture_start(&f);
    check(core_worker_wants_samples(f.w));
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 2); /* the minimum, whatever the load */
    static const struct { const char *row; double memory, cpu; int64_t after_ms; size_t more; } rows[] = {
        {"memory is short", 0.8, 0, 100, 0}, {"the CPU is busy", 0, 0.9, 100, 0}, {"there is room", 0.79, 0.89, 100, 1},
        {"not so fast", 0, 0, 49, 0}, {"after the pause", 0, 0, 1, 1}, {"short again", 0.95, 0, 100, 0},
        {"room again", 0, 0, 100, 1}, {"the last", 0, 0, 50, 1}, {"the maximum", 0, 0, 1000, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].row;
        f.now = instant_add(f.now, duration_ms(rows[i].after_ms));
        core_worker_sample(f.w, rows[i].memory, rows[i].cpu, f.now);
        check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), rows[i].more);
    }
    fixture_fini(&f);
}

TEST(the_ramp_of_resource_based_slots_needs_no_further_sample)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_core_SlotSupplier_ResourceBased r = {.target_memory_usage = 0.8, .target_cpu_usage = 0.9};
    pb_core_SlotSupplier supplier = {.kind_case = pb_core_SlotSupplier_resource_based_tag, .resource_based = &r};
    f.options.activity_slots = &supplier;
    fixture_start(&f);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 1); /* no sample yet */
    advance(&f, 100);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 0);
    core_worker_sample(f.w, 0.1, 0.1, f.now);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 1);
    check_int(core_worker_due(f.w).ns, instant_add(f.now, duration_ms(50)).ns); /* the usual pause */
    advance(&f, 50);
    check_int(count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY), 1);
    fixture_fini(&f);
}

TEST(custom_slots_are_asked_for_used_and_released)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_core_PollerBehavior two = {.maximum = 2};
    pb_core_SlotSupplier supplier = {.kind_case = pb_core_SlotSupplier_custom_id_tag, .custom_id = 9};
    f.options.activity_pollers = &two;
    f.options.activity_slots = &supplier;
    fixture_start(&f);
    check(!core_worker_wants_samples(f.w));
    struct core_effect *first = next(&f, EFFECT_SLOT_RESERVE, 0);
    check(first != NULL && first->custom_id == 9 && first->slot_kind == SLOT_ACTIVITY && first->permit != 0);
    check(next(&f, EFFECT_SLOT_RESERVE, 0) == NULL && next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL); /* one at a time */
    core_worker_slot_granted(f.w, first->permit + 1, f.now);                                                /* nobody's */
    check(next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL);
    core_worker_slot_granted(f.w, first->permit, f.now);
    struct core_effect *second = next(&f, EFFECT_SLOT_RESERVE, 0);
    check(second != NULL && second->permit != first->permit);
    give_activity(&f, 0); /* comes with the one poll that is out */
    struct core_effect *used = next(&f, EFFECT_SLOT_USED, 0);
    check(used != NULL && used->permit == first->permit && used->custom_id == 9);
    check_str(used->id, "say");
    check(next(&f, EFFECT_SLOT_RELEASED, 0) == NULL);
    finish(&f, pb_core_ActivityResult_completed_tag);
    struct core_effect *released = next(&f, EFFECT_SLOT_RELEASED, 0);
    check(released != NULL && released->permit == first->permit);
    core_worker_shutdown(f.w, f.now);
    struct core_effect *cancelled = next(&f, EFFECT_SLOT_CANCEL, 0);
    check(cancelled != NULL && cancelled->permit == second->permit);
    core_worker_slot_granted(f.w, second->permit, f.now); /* too late */
    released = next(&f, EFFECT_SLOT_RELEASED, 0);
    check(released != NULL && released->permit == second->permit);
    core_worker_slot_granted(f.w, second->permit, f.now); /* it was given back */
    check(next(&f, EFFECT_SLOT_RELEASED, 0) == NULL && next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL);
    fixture_fini(&f);
}

TEST(custom_slots_of_workflow_tasks_say_which_are_for_the_sticky_queue)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    f.options.no_remote_activities = true;
    pb_core_SlotSupplier supplier = {.kind_case = pb_core_SlotSupplier_custom_id_tag, .custom_id = 3};
    f.options.workflow_slots = &supplier;
    fixture_start(&f);
    check(core_worker_reserve(f.w, f.now) == 0); /* a task of an eager start does not wait for a supplier */
    struct core_effect *normal = next(&f, EFFECT_SLOT_RESERVE, 0);
    check(normal != NULL && !normal->is_sticky);
    core_worker_slot_granted(f.w, normal->permit, f.now);
    struct core_effect *sticky = next(&f, EFFECT_SLOT_RESERVE, 0);
    check(sticky != NULL && sticky->is_sticky);
    give_task(&f, 1, 3, "r1");
    struct core_effect *used = next(&f, EFFECT_SLOT_USED, 0);
    check(used != NULL && used->permit == normal->permit);
    check_int(sdk(&f), 0);
    check(next(&f, EFFECT_SLOT_RELEASED, 0) == NULL); /* until the server has the answer */
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    answer(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    struct core_effect *released = next(&f, EFFECT_SLOT_RELEASED, 0);
    check(released != NULL && released->permit == normal->permit);
    fixture_fini(&f);
}

/* ---- shutdown ---------------------------------------------------------------------------------------------------------- */

TEST(a_shutdown_lets_activities_end_and_cancels_them_after_the_grace)
{
    struct fixture f;
    fixture_init(&f);
    f.options.no_workflows = true;
    pb_google_Duration *grace = pb_duration_new(&f.arena, duration_s(5));
    f.options.graceful_shutdown_period = grace;
    fixture_start(&f);
    give_activity(&f, 0);
    check(next(&f, EFFECT_ACTIVITY_TASK, 0) != NULL);
    size_t polls = count(&f, EFFECT_CALL, CORE_POLL_ACTIVITY);
    core_worker_shutdown(f.w, f.now);
    struct core_effect *e;
    for (size_t i = 0; i < polls; i++) {
        e = next(&f, EFFECT_CANCEL_CALL, 0);
        check(e != NULL);
        if (e != NULL) core_worker_called(f.w, e->call_id, GRPC_CANCELLED, STR("cancelled"), f.now);
    }
    check(next(&f, EFFECT_CALL, CORE_POLL_ACTIVITY) == NULL);
    pb_ws_ShutdownWorkerResponse ok = {0};
    answer(&f, next(&f, EFFECT_CALL, CORE_SHUTDOWN_WORKER), &pb_ws_ShutdownWorkerResponse_type, &ok);
    advance(&f, 4999);
    check(next(&f, EFFECT_ACTIVITY_TASK, 0) == NULL);
    advance(&f, 1);
    pb_core_ActivityTask *task = request(&f, next(&f, EFFECT_ACTIVITY_TASK, 0), &pb_core_ActivityTask_type);
    check(task->cancel->is_worker_shutdown);
    check(!core_worker_is_done(f.w));
    finish(&f, pb_core_ActivityResult_failed_tag);
    pb_ws_RespondActivityTaskFailedResponse failed = {0};
    answer(&f, next(&f, EFFECT_CALL, CORE_ACTIVITY_FAILED), &pb_ws_RespondActivityTaskFailedResponse_type, &failed);
    check(core_worker_is_done(f.w));
    check(next(&f, EFFECT_DONE, 0) != NULL);
    fixture_fini(&f);
}

TEST(a_shutdown_takes_the_cached_runs_back)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "hello.json");
    fixture_start(&f);
    pb_ws_RespondWorkflowTaskCompletedResponse ok = {0};
    give_task(&f, 1, 3, "r1");
    sdk(&f);
    answer(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedResponse_type, &ok);
    core_worker_shutdown(f.w, f.now);
    struct core_effect *e;
    while ((e = next(&f, EFFECT_CANCEL_CALL, 0)) != NULL) core_worker_called(f.w, e->call_id, GRPC_CANCELLED, STR_EMPTY, f.now);
    core_worker_called(f.w, next(&f, EFFECT_CALL, CORE_SHUTDOWN_WORKER)->call_id, GRPC_UNIMPLEMENTED, STR("what?"), f.now);
    check_int(sdk(&f), REMOVAL_REASON_SHUTDOWN);
    check(core_worker_is_done(f.w));
    fixture_fini(&f);
}

/* ---- local activities ---------------------------------------------------------------------------------------------------- */

static void schedule_local_for(struct fixture *f, int64_t threshold_ms, int64_t timeout_s)
{
    load(f, "hello.json");
    fixture_start(f);
    give_task(f, 1, 3, "r1");
    check(next(f, EFFECT_ACTIVATION, 0) != NULL);
    pb_common_RetryPolicy policy = {.initial_interval = pb_duration_new(&f->arena, duration_s(2)), .maximum_attempts = 3};
    pb_core_ScheduleLocalActivity s = {.seq = 1, .activity_type = STR("say"), .retry_policy = &policy,
                                       .start_to_close_timeout = pb_duration_new(&f->arena, duration_s(timeout_s)),
                                       .local_retry_threshold = pb_duration_new(&f->arena, duration_ms(threshold_ms))};
    pb_sdk_UserMetadata metadata = {.summary = pb_payload_new(&f->arena, STR("json/plain"), STR("\"why\""))};
    pb_core_Command c = {.variant_case = pb_core_Command_schedule_local_activity_tag, .schedule_local_activity = &s, .user_metadata = &metadata}, *commands[] = {&c};
    pb_core_Completion completion = {.run_id = STR("r1"), .commands = commands, .commands_count = 1};
    complete(f, &completion);
}

static void schedule_local(struct fixture *f, int64_t threshold_ms) { schedule_local_for(f, threshold_ms, 5); }

static pb_core_ActivityTask *local_task(struct fixture *f)
{
    return request(f, next(f, EFFECT_ACTIVITY_TASK, 0), &pb_core_ActivityTask_type);
}

static void local_result(struct fixture *f, struct str token, bool is_ok)
{
    pb_core_ActivityCompleted done = {0};
    pb_failure_Failure failure = {.message = STR("no")};
    pb_core_ActivityResult r = {.task_token = token, .outcome_case = is_ok ? pb_core_ActivityResult_completed_tag : pb_core_ActivityResult_failed_tag};
    if (is_ok) r.completed = &done;
    else r.failed = &failure;
    check(core_worker_activity_done(f->w, PB_ENCODE_ARENA(pb_core_ActivityResult, &r, &f->arena), f->now) == ERR_NONE);
}

TEST(a_local_activity_is_retried_within_its_workflow_task)
{
    struct fixture f;
    fixture_init(&f);
    schedule_local(&f, 60000);
    pb_core_ActivityTask *task = local_task(&f);
    check(task->start->is_local);
    check_int(task->start->attempt, 1);
    local_result(&f, task->task_token, false);
    check(next(&f, EFFECT_ACTIVITY_TASK, 0) == NULL);
    advance(&f, 2000);
    task = local_task(&f);
    check_int(task->start->attempt, 2);
    advance(&f, 5000); /* its time is up, and there is a last try */
    check_int(local_task(&f)->cancel->reason, ACTIVITY_CANCEL_REASON_TIMED_OUT);
    local_result(&f, task->task_token, true); /* too late */
    check(next(&f, EFFECT_ACTIVATION, 0) == NULL);
    struct core_effect *call = next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
    check(call == NULL); /* the heartbeat of the task is due at 8 s */
    advance(&f, 1000);
    call = next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, call, &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check(r->force_create_new_workflow_task);
    check_int(r->commands_count, 0);
    check_int(r->metering_metadata->nonfirst_local_activity_execution_attempts, 2);
    fixture_fini(&f);
}

/* Adds the events of the workflow task that a heartbeat brings: completed, scheduled, started. */
static void after_heartbeat(struct fixture *f, pb_history_History *part, int64_t first)
{
    static const int32_t types[] = {EVENT_TYPE_WORKFLOW_TASK_COMPLETED, EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EVENT_TYPE_WORKFLOW_TASK_STARTED};
    for (int i = 0; i < 3; i++) {
        pb_history_HistoryEvent *e = pb_new(&f->arena, pb_history_HistoryEvent);
        e->event_id = first + i;
        e->event_type = types[i];
        e->event_time = pb_timestamp_new(&f->arena, f->now);
        if (i == 0) {
            e->attributes_case = pb_history_HistoryEvent_workflow_task_completed_event_attributes_tag;
            e->workflow_task_completed_event_attributes = pb_new(&f->arena, pb_history_WorkflowTaskCompletedEventAttributes);
            e->workflow_task_completed_event_attributes->scheduled_event_id = first - 2;
            e->workflow_task_completed_event_attributes->started_event_id = first - 1;
        } else if (i == 1) {
            e->attributes_case = pb_history_HistoryEvent_workflow_task_scheduled_event_attributes_tag;
            e->workflow_task_scheduled_event_attributes = pb_new(&f->arena, pb_history_WorkflowTaskScheduledEventAttributes);
        } else {
            e->attributes_case = pb_history_HistoryEvent_workflow_task_started_event_attributes_tag;
            e->workflow_task_started_event_attributes = pb_new(&f->arena, pb_history_WorkflowTaskStartedEventAttributes);
            e->workflow_task_started_event_attributes->scheduled_event_id = first + 1;
        }
        PB_PUSH(&f->arena, part, events) = e;
    }
}

TEST(a_local_activity_outlives_workflow_tasks_and_is_recorded_once)
{
    struct fixture f;
    fixture_init(&f);
    schedule_local_for(&f, 60000, 600);
    struct str token = local_task(&f)->task_token;
    pb_common_WorkflowExecution execution = {.workflow_id = STR("wf"), .run_id = STR("r1")};
    int64_t started = 3;
    pile_up(&f, CORE_UNTAKEN_MAX + 1, "a"); /* whatever waits, a heartbeat brings the next task */
    count(&f, EFFECT_ACTIVATION, 0);
    for (int beat = 0; beat < 3; beat++) {
        check(next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED) == NULL);
        f.now = core_worker_due(f.w);
        core_worker_tick(f.w, f.now);
        struct core_effect *call = next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED);
        pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, call, &pb_ws_RespondWorkflowTaskCompletedRequest_type);
        check(r->force_create_new_workflow_task && r->return_new_workflow_task);
        check_int(r->commands_count, 0);
        pb_history_History part = {0};
        after_heartbeat(&f, &part, started + 1);
        started += 3;
        pb_ws_PollWorkflowTaskQueueResponse task = {.task_token = STR("token"), .workflow_execution = &execution, .history = &part, .attempt = 1,
                                                    .started_event_id = started, .previous_started_event_id = started - 3};
        pb_ws_RespondWorkflowTaskCompletedResponse more = {.workflow_task = &task};
        answer(&f, call, &pb_ws_RespondWorkflowTaskCompletedResponse_type, &more);
        check(next(&f, EFFECT_ACTIVATION, 0) == NULL && next(&f, EFFECT_ACTIVITY_TASK, 0) == NULL); /* it still runs */
    }
    local_result(&f, token, true);
    pb_core_Activation *a = activation(&f, next(&f, EFFECT_ACTIVATION, 0));
    check_int(a->jobs_count, 1);
    complete(&f, &(pb_core_Completion){.run_id = STR("r1")});
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check_int(r->commands_count, 1);
    check_int(r->commands[0]->command_type, COMMAND_TYPE_RECORD_MARKER);
    check(!r->force_create_new_workflow_task);
    fixture_fini(&f);
}

TEST(a_result_of_a_local_activity_is_a_marker_and_a_job)
{
    struct fixture f;
    fixture_init(&f);
    schedule_local(&f, 60000);
    local_result(&f, local_task(&f)->task_token, true);
    pb_core_Activation *a = activation(&f, next(&f, EFFECT_ACTIVATION, 0));
    check_int(a->jobs_count, 1);
    check(a->jobs[0]->resolve_activity->is_local);
    check_int(a->jobs[0]->resolve_activity->outcome_case, pb_core_ResolveActivity_completed_tag);
    pb_core_Completion done = {.run_id = STR("r1")};
    complete(&f, &done);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = request(&f, next(&f, EFFECT_CALL, CORE_WORKFLOW_COMPLETED), &pb_ws_RespondWorkflowTaskCompletedRequest_type);
    check_int(r->commands_count, 1);
    const pb_command_RecordMarkerCommandAttributes *m = r->commands[0]->record_marker_command_attributes;
    check_str(m->marker_name, "core_local_activity");
    check(r->commands[0]->user_metadata != NULL);
    if (r->commands[0]->user_metadata != NULL) check_str(r->commands[0]->user_metadata->summary->data, "\"why\"");
    struct str data = STR_EMPTY;
    for (size_t i = 0; i < m->details_count; i++)
        if (str_equal_c(m->details[i]->key, "data")) data = m->details[i]->value->payloads[0]->data;
    check(str_starts_with(data, STR("{\"seq\":1,\"attempt\":1,\"activity_id\":\"1\",\"activity_type\":\"say\",\"complete_time\":{\"seconds\":")));
    check(memmem(data.data, data.size, "\"activation_index\":1}", 21) != NULL);
    fixture_fini(&f);
}

TEST(a_long_pause_of_a_local_activity_is_the_workflows)
{
    struct fixture f;
    fixture_init(&f);
    schedule_local(&f, 1000);
    local_result(&f, local_task(&f)->task_token, false);
    pb_core_Activation *a = activation(&f, next(&f, EFFECT_ACTIVATION, 0));
    const pb_core_ResolveActivity *job = a->jobs[0]->resolve_activity;
    check_int(job->outcome_case, pb_core_ResolveActivity_backoff_tag);
    check_int(job->backoff->attempt, 2);
    check_int(pb_duration(job->backoff->backoff_duration).ns, 2 * NS_PER_S);
    fixture_fini(&f);
}

/* ---- replaying ----------------------------------------------------------------------------------------------------------- */

TEST(a_replayer_says_how_a_history_went)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "timers.json");
    f.options.is_replayer = true;
    fixture_start(&f);
    struct str id, bytes = PB_ENCODE_ARENA(pb_history_History, f.history, &f.arena);
    check(core_worker_push_history(f.w, STR("wf"), bytes, &f.arena, &id, f.now) == ERR_NONE);
    check(core_worker_push_history(f.w, STR("wf"), bytes, &f.arena, &id, f.now) == ERR_INVALID); /* one at a time */
    int reason;
    while ((reason = sdk(&f)) == 0) {}
    check_int(reason, REMOVAL_REASON_REQUESTED);
    check(core_worker_push_history(f.w, STR("wf"), bytes, &f.arena, &id, f.now) == ERR_NONE);
    struct core_effect *e = next(&f, EFFECT_ACTIVATION, 0);
    pb_core_Completion nothing = {.run_id = activation(&f, e)->run_id};
    complete(&f, &nothing);
    check_int(sdk(&f), REMOVAL_REASON_NONDETERMINISM);
    check(core_worker_push_history(f.w, STR("wf"), STR("garbage"), &f.arena, &id, f.now) == ERR_INVALID);
    fixture_fini(&f);
}

TEST(a_replayer_takes_a_run_again_while_it_lets_it_go)
{
    struct fixture f;
    fixture_init(&f);
    load(&f, "timers.json");
    f.options.is_replayer = true;
    fixture_start(&f);
    struct str id, bytes = PB_ENCODE_ARENA(pb_history_History, f.history, &f.arena);
    check(core_worker_push_history(f.w, STR("wf"), bytes, &f.arena, &id, f.now) == ERR_NONE);
    struct core_effect *e = next(&f, EFFECT_ACTIVATION, 0);
    pb_core_Completion nothing = {.run_id = activation(&f, e)->run_id};
    complete(&f, &nothing);
    e = next(&f, EFFECT_ACTIVATION, 0); /* the result is known, the removal not answered yet */
    check_int(activation(&f, e)->jobs[0]->remove_from_cache->reason, REMOVAL_REASON_NONDETERMINISM);
    check(core_worker_push_history(f.w, STR("wf"), bytes, &f.arena, &id, f.now) == ERR_NONE);
    check(core_worker_push_history(f.w, STR("wf"), bytes, &f.arena, &id, f.now) == ERR_INVALID); /* one at a time here, too */
    check(next(&f, EFFECT_ACTIVATION, 0) == NULL);
    complete(&f, &nothing);
    int reason;
    while ((reason = sdk(&f)) == 0) {}
    check_int(reason, REMOVAL_REASON_REQUESTED);
    fixture_fini(&f);
}

TEST_MAIN
