#include "history/harness.h"

#include "base/test.h"

static int32_t failed_cause(struct world *w, struct execution *e, int64_t id) { return event_at(w, e, id)->workflow_task_failed_event_attributes->cause; }

TEST(the_tutorial)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "greeting");
    check_int(done(&w, take(&w, e), schedule(&w, "1")), ERR_NONE);
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    check(!w.was_durable);
    check_int(complete_activity(&w, a), ERR_NONE);
    check_int(done(&w, take(&w, e), succeed(&w, "hello")), ERR_NONE);
    check_history(&w, e, 1, "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted ActivityTaskScheduled "
                            "ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionCompleted");
    check(!execution_is_open(e));
    world_fini(&w);
}

TEST(f021_events_wait_for_the_running_task)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct taken t = take(&w, e);
    check_int(signal_with(&w, e, "a", "r1"), ERR_NONE);
    check_int(signal_with(&w, e, "b", "r2"), ERR_NONE);
    check_int(event_count(&w, e), 3);
    check(!has_task(&w, e));
    world_crash(&w);
    e = t.e = world_current(&w, "wf");
    check_int(item_count(e, ITEM_BUFFERED), 2);
    check_int(done(&w, t, timer(&w, "t", 5)), ERR_NONE);
    check_history(&w, e, 3, "WorkflowTaskStarted WorkflowTaskCompleted TimerStarted WorkflowExecutionSignaled WorkflowExecutionSignaled WorkflowTaskScheduled");
    check_str(event_at(&w, e, 6)->workflow_execution_signaled_event_attributes->signal_name, "a");
    check_int(item_by_name(e, ITEM_REQUEST_ID, STR("r2"))->request_id->event_id, 7);
    world_fini(&w);
}

TEST(f021_what_closes_activities_goes_last)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), schedule(&w, "1"), schedule(&w, "2")), ERR_NONE);
    signal_with(&w, e, "a", "");
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    struct taken t = take(&w, e);
    check_int(complete_activity(&w, a), ERR_NONE);
    signal_with(&w, e, "b", "");
    check_int(done_nothing(&w, t), ERR_NONE);
    check_history(&w, e, 10, "WorkflowTaskCompleted ActivityTaskStarted WorkflowExecutionSignaled ActivityTaskCompleted WorkflowTaskScheduled");
    check_int(event_at(&w, e, 13)->activity_task_completed_event_attributes->started_event_id, 11);
    world_fini(&w);
}

TEST(f022_a_run_does_not_close_over_events_it_has_not_seen)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct taken t = take(&w, e);
    signal_with(&w, e, "s", "");
    check_int(done(&w, t, succeed(&w, "x")), ERR_INVALID);
    check_history(&w, e, 3, "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled");
    check_int(failed_cause(&w, e, 4), WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND);
    t = take(&w, e);
    check_int(t.reply->attempt, 1);
    check_int(signal_with(&w, e, "s", ""), ERR_BUSY_WORKFLOW); /* while the close is tried again */
    check_int(done(&w, t, succeed(&w, "x")), ERR_NONE);
    world_fini(&w);
}

TEST(f023_only_the_first_failure_of_a_row_is_written)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(fail_task(&w, take(&w, e)), ERR_NONE);
    check_int(event_count(&w, e), 4);
    for (int attempt = 2; attempt < 6; attempt++) {
        struct taken t = take(&w, e);
        check_int(t.reply->attempt, attempt);
        check_int(t.reply->started_event_id, 6);
        pb_history_History *held;
        check_int(PB_DECODE(&w.arena, t.history.transient, pb_history_History, &held), ERR_NONE);
        check_int(held->events_count, 2);
        check_int(held->events[0]->event_id, 5);
        check_int(held->events[0]->workflow_task_scheduled_event_attributes->attempt, attempt);
        check_int(fail_task(&w, t), ERR_NONE);
        check_int(event_count(&w, e), 4);
    }
    check_int(done(&w, take(&w, e), timer(&w, "t", 1)), ERR_NONE);
    check_history(&w, e, 5, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted TimerStarted");
    check_int(event_at(&w, e, 5)->workflow_task_scheduled_event_attributes->attempt, 6);
    check_int(execution_workflow_task_attempt(e), 1);
    world_fini(&w);
}

TEST(f023_new_events_make_the_next_attempt_a_normal_one)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(fail_task(&w, take(&w, e)), ERR_NONE);
    struct taken t = take(&w, e);
    signal_with(&w, e, "s", "");
    check_int(fail_task(&w, t), ERR_NONE);
    check_history(&w, e, 4, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled");
    check_int(fail_task(&w, take(&w, e)), ERR_NONE);
    signal_with(&w, e, "s", ""); /* while the transient one is scheduled, not started */
    check_history(&w, e, 7, "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled");
    t = take(&w, e);
    check_int(t.reply->attempt, 1);
    check_int(t.reply->started_event_id, 11);
    check_int(done_nothing(&w, t), ERR_NONE);
    check_history(&w, e, 9, "WorkflowExecutionSignaled WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted");
    world_fini(&w);
}

TEST(f023_a_second_bad_completion_changes_nothing)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), cancel_timer(&w, "nope")), ERR_INVALID);
    check_int(failed_cause(&w, e, 4), WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES);
    struct taken t = take(&w, e);
    check_int(done(&w, t, cancel_timer(&w, "nope")), ERR_INVALID);
    check(execution_workflow_task_is_started(e));
    check_int(done_nothing(&w, t), ERR_NONE);
    world_fini(&w);
}

TEST(f023_from_the_fourth_attempt_on_workers_get_more_time)
{
    static const int64_t seconds[] = {10, 10, 10, 15, 20, 30, 50, 90, 170, 330, 610, 610};
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    for (size_t i = 0; i < countof(seconds); i++) {
        check_int(take(&w, e).reply->attempt, i + 1);
        world_advance(&w, (duration){seconds[i] * NS_PER_S - 1});
        check(execution_workflow_task_is_started(e));
        world_advance(&w, (duration){1});
        check(!execution_workflow_task_is_started(e));
    }
    check_history(&w, e, 2, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskTimedOut");
    world_fini(&w);
}

static pb_ws_RespondWorkflowTaskCompletedRequest *sticky(struct world *w, size_t count, pb_command_Command **commands)
{
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(w, count, commands);
    r->sticky_attributes = pb_new(&w->arena, pb_taskqueue_StickyExecutionAttributes);
    r->sticky_attributes->worker_task_queue = task_queue_of(&w->arena, STR("sticky"));
    r->sticky_attributes->schedule_to_start_timeout = duration_of(&w->arena, 5 * NS_PER_S);
    return r;
}

TEST(f029_tasks_that_keep_failing_show_in_visibility)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    for (int i = 0; i < 5; i++) {
        check(e->single[ITEM_ATTRIBUTES] == NULL);
        check_int(fail_task(&w, take(&w, e)), ERR_NONE);
    }
    const pb_common_SearchAttributes *a = e->single[ITEM_ATTRIBUTES]->attributes->search_attributes;
    check_str(a->indexed_fields[0]->key, "TemporalReportedProblems");
    check_str(a->indexed_fields[0]->value->data, "[\"category=WorkflowTaskFailed\",\"cause=WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure\"]");
    check_int(done(&w, take(&w, e), timer(&w, "t", 1)), ERR_NONE);
    check_int(e->single[ITEM_ATTRIBUTES]->attributes->search_attributes->indexed_fields_count, 0);
    world_fini(&w);
}

TEST(f024_the_sticky_task_carries_only_what_is_new)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(complete_with(&w, take(&w, e), sticky(&w, COMMANDS(timer(&w, "t", 3))), NULL), ERR_NONE);
    world_advance(&w, duration_s(3));
    const pb_taskqueue_TaskQueue *queue = event_at(&w, e, 7)->workflow_task_scheduled_event_attributes->task_queue;
    check_str(queue->name, "sticky");
    check_str(queue->normal_name, "q");
    check_int(queue->kind, TASK_QUEUE_KIND_STICKY);
    struct taken t = take(&w, e);
    check_int(t.history.from, 4);
    check_int(t.reply->previous_started_event_id, 3);
    check_int(fail_task(&w, t), ERR_NONE);
    t = take(&w, e); /* a failure ends stickiness */
    check_int(t.history.from, 1);
    world_fini(&w);
}

TEST(f024_a_sticky_worker_that_does_not_come_is_given_up)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(complete_with(&w, take(&w, e), sticky(&w, COMMANDS(timer(&w, "t", 3))), NULL), ERR_NONE);
    signal_with(&w, e, "s", "");
    world_advance(&w, (duration){5 * NS_PER_S});
    check_history(&w, e, 6, "WorkflowExecutionSignaled WorkflowTaskScheduled TimerFired WorkflowTaskTimedOut WorkflowTaskScheduled");
    check_int(event_at(&w, e, 9)->workflow_task_timed_out_event_attributes->timeout_type, TIMEOUT_TYPE_SCHEDULE_TO_START);
    struct taken t = take(&w, e);
    check_int(t.reply->attempt, 1);
    check_int(t.history.from, 1);
    world_fini(&w);
}

TEST(f025_the_next_task_comes_with_the_reply)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct taken t = take(&w, e), next;
    signal_with(&w, e, "s", "");
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, COMMANDS(timer(&w, "t", 1)));
    r->return_new_workflow_task = true;
    check_int(complete_with(&w, t, r, &next), ERR_NONE);
    check(next.reply != NULL);
    check(!has_task(&w, e));
    check_int(next.reply->started_event_id, 8);
    check_int(next.history.to, 9);
    check_int(done(&w, next, succeed(&w, "x")), ERR_NONE);
    world_fini(&w);
}

TEST(f026_empty_completions_keep_a_task_for_half_an_hour)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct taken t = take(&w, e);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, 0, NULL);
    r->return_new_workflow_task = r->force_create_new_workflow_task = true;
    for (int i = 0; i < 30 * 60 / 8; i++) {
        world_advance(&w, duration_s(8));
        check_int(complete_with(&w, t, r, &t), ERR_NONE);
        check(t.reply != NULL);
        if (t.reply == NULL) break;
    }
    world_advance(&w, duration_s(8));
    check_int(complete_with(&w, t, r, &t), ERR_TASK_GONE);
    check(has_task(&w, e));
    check_int(event_at(&w, e, -1)->event_type, EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT);
    world_fini(&w);
}

TEST(f028_a_token_names_one_attempt)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct taken first = take(&w, e);
    world_advance(&w, duration_s(10));
    check_int(done_nothing(&w, first), ERR_TASK_GONE);
    struct taken second = take(&w, e);
    check_int(done_nothing(&w, first), ERR_TASK_GONE);
    check_int(done(&w, second, succeed(&w, "x")), ERR_NONE);
    check_int(done_nothing(&w, second), ERR_WORKFLOW_CLOSED);
    world_fini(&w);
}

TEST(a_relaxed_start_is_forgotten_in_a_crash)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct taken t = take(&w, e);
    check(!w.was_durable);
    world_crash(&w);
    e = t.e = world_current(&w, "wf");
    check_int(done_nothing(&w, t), ERR_TASK_GONE);
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    world_fini(&w);
}

TEST(a_task_from_the_backlog_starts_durably)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct step step;
    world_begin(&w, &step);
    execution_task_stored(e, &step, TASK_WORKFLOW, 2, e->s->task->stamp);
    check(step.is_durable);
    world_end(&w, &step);
    check_int(world_run_of(&w, e)->wake.ns, INSTANT_NEVER.ns);
    take(&w, e);
    check(w.was_durable);
    world_fini(&w);
}

TEST(f047_the_order_of_commands)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    struct taken t = take(&w, e);
    check_int(done(&w, t, succeed(&w, "x"), timer(&w, "t", 1)), ERR_INVALID);
    check_int(done(&w, t, command_new(&w, 15)), ERR_INVALID);
    check_int(done(&w, t, timer(&w, "t", 1), succeed(&w, "first"), fail_run(&w, "second")), ERR_INVALID);
    check_int(event_count(&w, e), 2); /* no event, the task is as it was */
    check_int(done(&w, t, timer(&w, "t", 1), succeed(&w, "first")), ERR_NONE);
    check_history(&w, e, 4, "WorkflowTaskCompleted TimerStarted WorkflowExecutionCompleted");
    world_fini(&w);
}

TEST(f007_a_long_history_suggests_to_continue_as_new)
{
    struct world w;
    world_init(&w, 1);
    w.limits.history_count_suggest = 6;
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), marker(&w, "m")), ERR_NONE);
    signal_with(&w, e, "s", "");
    take(&w, e);
    signal_with(&w, e, "s", ""); /* so that the relaxed start is written */
    check(!event_at(&w, e, 3)->workflow_task_started_event_attributes->suggest_continue_as_new);
    const pb_history_WorkflowTaskStartedEventAttributes *a = event_at(&w, e, 8)->workflow_task_started_event_attributes;
    check(a->suggest_continue_as_new);
    check_int(a->suggest_continue_as_new_reasons[0], SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_HISTORY_EVENTS);
    world_fini(&w);
}

TEST(limits_a_run_past_its_history_limit_is_terminated)
{
    struct world w;
    world_init(&w, 1);
    w.limits.history_count_max = 8;
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), marker(&w, "1"), marker(&w, "2"), marker(&w, "3"), marker(&w, "4"), marker(&w, "5")), ERR_INVALID);
    check(!execution_is_open(e));
    check_history(&w, e, 4, "WorkflowTaskFailed WorkflowExecutionTerminated"); /* what did not fit is not written */
    struct execution *other = start(&w, "other");
    for (int i = 0; i < 7; i++) check_int(signal_with(&w, other, "s", ""), ERR_NONE);
    check_int(execution_status(other), WORKFLOW_EXECUTION_STATUS_TERMINATED);
    check_int(event_count(&w, other), 10);
    world_fini(&w);
}

TEST(limits_a_run_may_be_held_at_its_limit_until_it_is_raised)
{
    struct world w;
    world_init(&w, 1);
    w.limits.history_count_max = 8;
    w.limits.history_limit_holds = 1;
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), schedule(&w, "1"), timer(&w, "t", 1), marker(&w, "3"), marker(&w, "4"), marker(&w, "5")), ERR_NONE);
    check(execution_is_open(e));
    check_int(signal_with(&w, e, "s", ""), ERR_LIMIT);
    check_int(cancel(&w, e), ERR_LIMIT);
    world_advance(&w, duration_s(100));
    check_int(event_count(&w, e), 9);
    world_crash(&w);
    e = world_current(&w, "wf");
    check_int(signal_with(&w, e, "s", ""), ERR_LIMIT);
    w.limits.history_count_max = 100;
    check_int(signal_with(&w, e, "s", ""), ERR_NONE);
    world_advance(&w, (duration){0});
    check_history(&w, e, 10, "WorkflowTaskScheduled WorkflowExecutionSignaled TimerFired");
    check(has_activity(&w, e, 5));
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    world_fini(&w);
}

TEST(limits_a_full_buffer_fails_the_task)
{
    struct world w;
    world_init(&w, 1);
    w.limits.buffered_events_max = 3;
    struct execution *e = start(&w, "wf");
    take(&w, e);
    for (int i = 0; i < 4; i++) check_int(signal_with(&w, e, "s", ""), ERR_NONE);
    check_history(&w, e, 3, "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled WorkflowExecutionSignaled WorkflowExecutionSignaled "
                            "WorkflowExecutionSignaled");
    check_int(execution_workflow_task_attempt(e), 2); /* its events come with its completion */
    check_int(done(&w, take(&w, e), marker(&w, "m")), ERR_NONE);
    check_history(&w, e, 9, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted MarkerRecorded");
    check_int(failed_cause(&w, e, 4), WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND);
    world_fini(&w);
}

TEST_MAIN
