#include "history/harness.h"

#include "base/test.h"

static pb_command_ScheduleActivityTaskCommandAttributes *options(pb_command_Command *c) { return c->schedule_activity_task_command_attributes; }

static struct execution *with_activity(struct world *w, pb_command_Command *command)
{
    struct execution *e = start(w, "wf");
    check_int(done(w, take(w, e), command), ERR_NONE);
    return e;
}

static pb_common_RetryPolicy *policy(struct world *w, int64_t initial_s, double coefficient, int64_t most_s, int32_t attempts)
{
    pb_common_RetryPolicy *p = pb_new(&w->arena, pb_common_RetryPolicy);
    p->initial_interval = duration_of(&w->arena, initial_s * NS_PER_S);
    p->backoff_coefficient = coefficient;
    p->maximum_interval = duration_of(&w->arena, most_s * NS_PER_S);
    p->maximum_attempts = attempts;
    return p;
}

TEST(f030_an_activity_needs_an_id_a_type_and_a_timeout)
{
    static const struct { const char *name; int what; int32_t cause; } rows[] = {
        {"no id", 0, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
        {"no type", 1, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
        {"no timeout", 2, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
        {"a negative timeout", 3, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
        {"a bad retry policy", 4, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
        {"an id that is too long", 5, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = start(&w, "wf");
        pb_command_Command *c = schedule(&w, "1");
        if (rows[i].what == 0) options(c)->activity_id = STR_EMPTY;
        if (rows[i].what == 1) options(c)->activity_type = NULL;
        if (rows[i].what == 2) options(c)->start_to_close_timeout = NULL;
        if (rows[i].what == 3) options(c)->heartbeat_timeout = duration_of(&w.arena, -1);
        if (rows[i].what == 4) options(c)->retry_policy = policy(&w, 1, 0.5, 0, 0);
        if (rows[i].what == 5) options(c)->activity_id = arena_str(&w.arena, str_make(memset(arena_alloc(&w.arena, 1001), 'x', 1001), 1001));
        check_int(done(&w, take(&w, e), timer(&w, "t", 1), c), ERR_INVALID);
        check_int(event_at(&w, e, -1)->workflow_task_failed_event_attributes->cause, rows[i].cause);
        check_history(&w, e, 2, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed");
        check_int(item_count(e, ITEM_TIMER), 0);
        world_fini(&w);
    }
}

TEST(f030_a_pending_id_can_not_be_used_again)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "1"));
    signal_with(&w, e, "s", "");
    check_int(done(&w, take(&w, e), schedule(&w, "1")), ERR_INVALID);
    check_int(event_at(&w, e, -1)->workflow_task_failed_event_attributes->cause, WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID);
    world_fini(&w);
    world_init(&w, 2);
    e = start(&w, "wf");
    check_int(done(&w, take(&w, e), schedule(&w, "1"), schedule(&w, "1")), ERR_INVALID);
    check_int(event_at(&w, e, -1)->workflow_task_failed_event_attributes->cause, WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID);
    world_fini(&w);
}

TEST(f030_pending_activities_are_limited)
{
    struct world w;
    world_init(&w, 1);
    w.limits.pending_activities_max = 2;
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), schedule(&w, "1"), schedule(&w, "2"), schedule(&w, "3")), ERR_INVALID);
    check_int(event_at(&w, e, -1)->workflow_task_failed_event_attributes->cause, WORKFLOW_TASK_FAILED_CAUSE_PENDING_ACTIVITIES_LIMIT_EXCEEDED);
    check_int(done(&w, take(&w, e), schedule(&w, "1"), schedule(&w, "2")), ERR_NONE);
    world_fini(&w);
}

TEST(f030_input_beyond_the_blob_limit_terminates_the_run)
{
    struct world w;
    world_init(&w, 1);
    w.limits.blob_size_max = 4;
    struct execution *e = start(&w, "wf");
    pb_command_Command *c = schedule(&w, "1");
    options(c)->input = payloads(&w, "longer than four");
    check_int(done(&w, take(&w, e), c), ERR_INVALID);
    check_history(&w, e, 3, "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionTerminated");
    check_str(event_at(&w, e, -1)->workflow_execution_terminated_event_attributes->identity, "history-service");
    world_fini(&w);
}

TEST(f060_missing_timeouts_follow_from_the_others)
{
    static const struct { const char *name; int64_t run, to_close, to_start, start_to, beat, want_to_close, want_to_start, want_start_to, want_beat; } rows[] = {
        {"start to close alone", 0, 0, 0, 10, 0, 0, 0, 10, 0},
        {"schedule to close fills the rest", 0, 20, 0, 0, 0, 20, 20, 20, 0},
        {"nothing is longer than schedule to close", 0, 20, 30, 40, 50, 20, 20, 20, 20},
        {"the run timeout is the last bound", 15, 0, 0, 10, 0, 15, 15, 10, 0},
        {"the run timeout bounds all", 15, 20, 30, 40, 50, 15, 15, 15, 15},
        {"a heartbeat is no longer than the attempt", 0, 0, 0, 5, 9, 0, 0, 5, 5},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
        pb_ws_StartWorkflowExecutionResponse *reply;
        r->workflow_run_timeout = duration_or_none(&w.arena, rows[i].run * NS_PER_S);
        check_int(start_with(&w, r, &reply), ERR_NONE);
        struct execution *e = world_current(&w, "wf");
        pb_command_Command *c = schedule(&w, "1");
        options(c)->schedule_to_close_timeout = duration_or_none(&w.arena, rows[i].to_close * NS_PER_S);
        options(c)->schedule_to_start_timeout = duration_or_none(&w.arena, rows[i].to_start * NS_PER_S);
        options(c)->start_to_close_timeout = duration_or_none(&w.arena, rows[i].start_to * NS_PER_S);
        options(c)->heartbeat_timeout = duration_or_none(&w.arena, rows[i].beat * NS_PER_S);
        check_int(done(&w, take(&w, e), c), ERR_NONE);
        const pb_history_ActivityTaskScheduledEventAttributes *a = event_at(&w, e, 5)->activity_task_scheduled_event_attributes;
        check_int(ns_of(a->schedule_to_close_timeout) / NS_PER_S, rows[i].want_to_close);
        check_int(ns_of(a->schedule_to_start_timeout) / NS_PER_S, rows[i].want_to_start);
        check_int(ns_of(a->start_to_close_timeout) / NS_PER_S, rows[i].want_start_to);
        check_int(ns_of(a->heartbeat_timeout) / NS_PER_S, rows[i].want_beat);
        world_fini(&w);
    }
}

TEST(f061_retries_wait_without_jitter_and_write_no_event)
{
    static const int64_t pauses[] = {2, 6, 18, 20, 20};
    struct world w;
    world_init(&w, 1);
    pb_command_Command *c = schedule(&w, "1");
    options(c)->retry_policy = policy(&w, 2, 3.0, 20, 0);
    struct execution *e = with_activity(&w, c);
    for (size_t i = 0; i < countof(pauses); i++) {
        pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
        check(a != NULL);
        check_int(a->attempt, i + 1);
        check_int(fail_activity(&w, a, "E", false), ERR_NONE);
        check(take_activity(&w, e) == NULL);
        world_advance(&w, (duration){pauses[i] * NS_PER_S - 1});
        check(take_activity(&w, e) == NULL);
        world_advance(&w, (duration){1});
    }
    check_int(event_count(&w, e), 5);
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    check_int(complete_activity(&w, a), ERR_NONE);
    const pb_history_ActivityTaskStartedEventAttributes *s = event_at(&w, e, 6)->activity_task_started_event_attributes;
    check_int(s->attempt, 6);
    check_str(s->last_failure->message, "boom");
    world_fini(&w);
}

TEST(f061_a_failure_says_why_it_is_not_retried)
{
    static const struct { const char *name, *type; bool is_non_retryable; int32_t attempts; int64_t to_close; int32_t state; } rows[] = {
        {"attempts used up", "E", false, 1, 0, RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED},
        {"marked non-retryable", "E", true, 0, 0, RETRY_STATE_NON_RETRYABLE_FAILURE},
        {"type in the list", "Listed", false, 0, 0, RETRY_STATE_NON_RETRYABLE_FAILURE},
        {"no time left", "E", false, 0, 1, RETRY_STATE_TIMEOUT},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        pb_command_Command *c = schedule(&w, "1");
        options(c)->retry_policy = policy(&w, 5, 2, 0, rows[i].attempts);
        PB_PUSH(&w.arena, options(c)->retry_policy, non_retryable_error_types) = STR("Listed");
        options(c)->schedule_to_close_timeout = duration_or_none(&w.arena, rows[i].to_close * NS_PER_S);
        struct execution *e = with_activity(&w, c);
        check_int(fail_activity(&w, take_activity(&w, e), rows[i].type, rows[i].is_non_retryable), ERR_NONE);
        check_history(&w, e, 6, "ActivityTaskStarted ActivityTaskFailed WorkflowTaskScheduled");
        check_int(event_at(&w, e, 7)->activity_task_failed_event_attributes->retry_state, rows[i].state);
        world_fini(&w);
    }
}

TEST(f061_the_failure_may_set_the_delay)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "1"));
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    pb_failure_Failure *f = application_failure(&w, "E", false);
    f->application_failure_info->next_retry_delay = duration_of(&w.arena, 500 * NS_PER_S);
    struct step step;
    pb_store_TaskToken *token;
    check_int(PB_DECODE(&w.arena, a->task_token, pb_store_TaskToken, &token), ERR_NONE);
    world_begin(&w, &step);
    check_int(execution_activity_fail(e, &step, token, f, NULL, STR("worker")), ERR_NONE);
    world_end(&w, &step);
    world_advance(&w, duration_s(499));
    check(take_activity(&w, e) == NULL);
    world_advance(&w, duration_s(1));
    check(take_activity(&w, e) != NULL);
    world_fini(&w);
}

TEST(f061_timeouts)
{
    static const struct { const char *name; int64_t to_close, to_start, start_to, beat; bool is_taken; int32_t type, state; int64_t after; int32_t attempts; } rows[] = {
        {"schedule to start", 0, 3, 10, 0, false, TIMEOUT_TYPE_SCHEDULE_TO_START, RETRY_STATE_TIMEOUT, 3, 0},
        {"schedule to close, not taken: schedule to start is no longer", 4, 0, 10, 0, false, TIMEOUT_TYPE_SCHEDULE_TO_START, RETRY_STATE_TIMEOUT, 4, 0},
        {"schedule to close, taken", 4, 0, 10, 0, true, TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, RETRY_STATE_TIMEOUT, 4, 0},
        {"start to close, the only attempt", 0, 0, 2, 0, true, TIMEOUT_TYPE_START_TO_CLOSE, RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, 2, 1},
        {"heartbeat, the only attempt", 0, 0, 10, 3, true, TIMEOUT_TYPE_HEARTBEAT, RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, 3, 1},
        {"start to close, no time for another attempt", 3, 0, 2, 0, true, TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, RETRY_STATE_TIMEOUT, 2, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        pb_command_Command *c = schedule(&w, "1");
        options(c)->schedule_to_close_timeout = duration_or_none(&w.arena, rows[i].to_close * NS_PER_S);
        options(c)->schedule_to_start_timeout = duration_or_none(&w.arena, rows[i].to_start * NS_PER_S);
        options(c)->start_to_close_timeout = duration_or_none(&w.arena, rows[i].start_to * NS_PER_S);
        options(c)->heartbeat_timeout = duration_or_none(&w.arena, rows[i].beat * NS_PER_S);
        options(c)->retry_policy = policy(&w, 5, 2, 0, rows[i].attempts);
        struct execution *e = with_activity(&w, c);
        if (rows[i].is_taken) check(take_activity(&w, e) != NULL);
        world_advance(&w, (duration){rows[i].after * NS_PER_S - 1});
        check_int(event_count(&w, e), 5);
        world_advance(&w, (duration){1});
        check_history(&w, e, 6, rows[i].is_taken ? "ActivityTaskStarted ActivityTaskTimedOut WorkflowTaskScheduled" : "ActivityTaskTimedOut WorkflowTaskScheduled");
        const pb_history_ActivityTaskTimedOutEventAttributes *a = event_at(&w, e, rows[i].is_taken ? 7 : 6)->activity_task_timed_out_event_attributes;
        check_int(a->failure->timeout_failure_info->timeout_type, rows[i].type);
        check_int(a->retry_state, rows[i].state);
        world_fini(&w);
    }
}

TEST(f061_a_timed_out_attempt_is_retried_with_its_heartbeat)
{
    struct world w;
    world_init(&w, 1);
    pb_command_Command *c = schedule(&w, "1");
    options(c)->heartbeat_timeout = duration_of(&w.arena, 4 * NS_PER_S);
    struct execution *e = with_activity(&w, c);
    pb_ws_RecordActivityTaskHeartbeatResponse beat = {0};
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    world_advance(&w, duration_s(3));
    check_int(heartbeat(&w, a, "half", &beat), ERR_NONE);
    check(w.was_durable);
    world_advance(&w, duration_s(3)); /* a heartbeat begins the wait anew */
    check_int(heartbeat(&w, a, "more", &beat), ERR_NONE);
    world_advance(&w, duration_s(4));
    check_int(heartbeat(&w, a, "late", &beat), ERR_NOT_STARTED);
    world_advance(&w, duration_s(1));
    a = take_activity(&w, e);
    check_int(a->attempt, 2);
    check_str(a->heartbeat_details->payloads[0]->data, "more");
    check_int(event_count(&w, e), 5);
    world_fini(&w);
}

TEST(f062_heartbeats_tell_of_cancellation_and_f064_the_worker_answers)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "1"));
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    pb_ws_RecordActivityTaskHeartbeatResponse beat = {0};
    check_int(heartbeat(&w, a, "x", &beat), ERR_NONE);
    check(!beat.cancel_requested);
    check_int(cancel_taken_activity(&w, a), ERR_INVALID);
    signal_with(&w, e, "s", "");
    check_int(done(&w, take(&w, e), cancel_activity(&w, 5)), ERR_NONE);
    check_int(heartbeat(&w, a, "x", &beat), ERR_NONE);
    check(beat.cancel_requested);
    check_int(cancel_taken_activity(&w, a), ERR_NONE);
    check_history(&w, e, 10, "ActivityTaskCancelRequested ActivityTaskStarted ActivityTaskCanceled WorkflowTaskScheduled");
    check_int(event_at(&w, e, 12)->activity_task_canceled_event_attributes->latest_cancel_requested_event_id, 10);
    world_fini(&w);
}

TEST(f031_an_activity_nobody_took_is_cancelled_on_the_spot)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "1"));
    signal_with(&w, e, "s", "");
    check_int(done(&w, take(&w, e), cancel_activity(&w, 5), schedule(&w, "1")), ERR_NONE);
    check_history(&w, e, 10, "ActivityTaskCancelRequested ActivityTaskScheduled ActivityTaskCanceled WorkflowTaskScheduled");
    check_int(event_at(&w, e, 12)->activity_task_canceled_event_attributes->started_event_id, 0);
    world_fini(&w);
}

TEST(f031_an_activity_can_be_scheduled_and_cancelled_in_one_task)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), schedule(&w, "1"), cancel_activity(&w, 5), timer(&w, "t", 9)), ERR_NONE);
    check_history(&w, e, 5, "ActivityTaskScheduled ActivityTaskCancelRequested TimerStarted ActivityTaskCanceled WorkflowTaskScheduled");
    check_int(done(&w, take(&w, e), schedule(&w, "2"), cancel_activity(&w, 13)), ERR_INVALID); /* it will be 12 */
    world_fini(&w);
}

TEST(f031_what_can_not_be_cancelled)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "1"));
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    signal_with(&w, e, "s", "");
    check_int(done(&w, take(&w, e), cancel_activity(&w, 77)), ERR_INVALID);
    struct taken t = take(&w, e); /* the second attempt: a bad completion changes nothing any more */
    check_int(done(&w, t, cancel_activity(&w, 5), cancel_activity(&w, 5)), ERR_INVALID);
    check_int(complete_activity(&w, a), ERR_NONE); /* its end is buffered: the workflow has not seen it yet */
    check_int(done(&w, t, cancel_activity(&w, 5)), ERR_NONE);
    check_history(&w, e, 10, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted ActivityTaskCancelRequested ActivityTaskStarted "
                             "ActivityTaskCompleted WorkflowTaskScheduled");
    world_fini(&w);
}

TEST(f063_an_activity_can_be_completed_by_its_id)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "one"));
    pb_store_TaskToken token = {.activity_id = STR("one")};
    struct step step;
    world_begin(&w, &step);
    check_int(execution_activity_complete(e, &step, &token, payloads(&w, "r"), STR("x")), ERR_NOT_STARTED);
    world_end(&w, &step);
    check(take_activity(&w, e) != NULL);
    world_begin(&w, &step);
    check_int(execution_activity_complete(e, &step, &token, payloads(&w, "r"), STR("x")), ERR_NONE);
    world_end(&w, &step);
    check_history(&w, e, 6, "ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled");
    world_fini(&w);
}

TEST(f065_eager_activities_come_with_the_reply)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    pb_command_Command *c = schedule(&w, "1"), *elsewhere = schedule(&w, "2");
    options(c)->request_eager_execution = options(elsewhere)->request_eager_execution = true;
    options(elsewhere)->task_queue = task_queue_of(&w.arena, STR("other"));
    struct taken t = take(&w, e);
    pb_store_TaskToken *token;
    pb_ws_RespondWorkflowTaskCompletedResponse *reply;
    struct task_history history;
    bool fail_step;
    struct step step;
    check_int(PB_DECODE(&w.arena, t.reply->task_token, pb_store_TaskToken, &token), ERR_NONE);
    world_begin(&w, &step);
    check_int(execution_workflow_task_complete(e, &step, completion(&w, COMMANDS(c, elsewhere)), token, &reply, &history, &fail_step), ERR_NONE);
    world_end(&w, &step);
    check_int(reply->activity_tasks_count, 1);
    check(!has_activity(&w, e, 5));
    check(has_activity(&w, e, 6));
    check_int(complete_activity(&w, reply->activity_tasks[0]), ERR_NONE);
    world_fini(&w);
}

TEST(a_start_with_an_attempt_limit_is_durable)
{
    struct world w;
    world_init(&w, 1);
    pb_command_Command *c = schedule(&w, "1");
    options(c)->retry_policy = policy(&w, 1, 2, 0, 3);
    struct execution *e = with_activity(&w, c);
    check(take_activity(&w, e) != NULL);
    check(w.was_durable);
    world_fini(&w);
}

TEST(a_relaxed_start_is_offered_again_after_a_crash_and_its_answer_still_counts)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "1"));
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    check(!w.was_durable);
    world_crash(&w);
    e = world_current(&w, "wf");
    check(has_activity(&w, e, 5));
    check_int(complete_activity(&w, a), ERR_NONE);
    check_history(&w, e, 6, "ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled");
    check(!has_activity(&w, e, 5));
    world_fini(&w);
}

TEST(large_input_has_a_row_of_its_own)
{
    struct world w;
    world_init(&w, 1);
    pb_command_Command *c = schedule(&w, "1");
    char *big = memset(arena_zalloc(&w.arena, 10001), 'x', 10000);
    options(c)->input = payloads(&w, big);
    struct execution *e = with_activity(&w, c);
    check_int(item_count(e, ITEM_ACTIVITY_INPUT), 1);
    world_crash(&w);
    e = world_current(&w, "wf");
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    check_int(a->input->payloads[0]->data.size, 10000);
    check_int(complete_activity(&w, a), ERR_NONE);
    check_int(item_count(e, ITEM_ACTIVITY_INPUT), 0);
    world_fini(&w);
}

TEST(f061_a_large_failure_is_shortened_while_retrying)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w, schedule(&w, "1"));
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    pb_failure_Failure *f = application_failure(&w, "E", false);
    f->message = str_make(memset(arena_alloc(&w.arena, 100000), 'm', 100000), 100000);
    pb_store_TaskToken *token;
    struct step step;
    check_int(PB_DECODE(&w.arena, a->task_token, pb_store_TaskToken, &token), ERR_NONE);
    world_begin(&w, &step);
    check_int(execution_activity_fail(e, &step, token, f, NULL, STR("worker")), ERR_NONE);
    world_end(&w, &step);
    check(failure_size(item_by_number(e, ITEM_ACTIVITY, 5)->activity->last_failure) <= 4096);
    world_fini(&w);
}

TEST(f063_an_answer_on_its_way_at_the_end_of_time_counts)
{
    static const struct { const char *name; int64_t after_ms; bool is_heartbeat, is_in_time; } rows[] = {
        {"within the time", 9900, false, true}, {"just after", 10200, false, true}, {"too late", 10400, false, false},
        {"a heartbeat was missing, just", 3100, true, true}, {"a heartbeat was missing", 3400, true, false}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        w.ns.activity_grace = duration_ms(300);
        test_row = rows[i].name;
        struct execution *e = start(&w, "wf");
        pb_command_Command *c = schedule(&w, "1");
        c->schedule_activity_task_command_attributes->retry_policy = pb_new(&w.arena, pb_common_RetryPolicy);
        c->schedule_activity_task_command_attributes->retry_policy->maximum_attempts = 1;
        if (rows[i].is_heartbeat) c->schedule_activity_task_command_attributes->heartbeat_timeout = duration_of(&w.arena, 3 * NS_PER_S);
        check_int(done(&w, take(&w, e), c), ERR_NONE);
        pb_ws_PollActivityTaskQueueResponse *task = take_activity(&w, e);
        world_advance(&w, duration_ms(rows[i].after_ms));
        check_int(complete_activity(&w, task), rows[i].is_in_time ? ERR_NONE : ERR_NOT_STARTED);
        check_history(&w, e, 6, rows[i].is_in_time ? "ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled" : "ActivityTaskStarted ActivityTaskTimedOut WorkflowTaskScheduled");
        world_fini(&w);
    }
}

TEST_MAIN
