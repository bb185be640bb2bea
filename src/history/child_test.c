#include "history/harness.h"

#include "base/test.h"

static struct execution *with_child(struct world *w, int32_t policy)
{
    struct execution *e = start(w, "parent");
    check_int(done(w, take(w, e), start_child(w, "child", policy)), ERR_NONE);
    return e;
}

TEST(f078_the_handshake)
{
    struct world w;
    world_init(&w, 1);
    w.holds_messages = true;
    struct execution *e = with_child(&w, 0);
    check_history(&w, e, 5, "StartChildWorkflowExecutionInitiated");
    check(world_current(&w, "child") == NULL);
    struct world_message *m = container_of(list_pop(&w.messages), struct world_message, link);
    list_push(&w.messages, &m->link);
    world_deliver(&w);
    struct execution *c = world_current(&w, "child");
    check(c != NULL);
    check_history(&w, e, 5, "StartChildWorkflowExecutionInitiated ChildWorkflowExecutionStarted WorkflowTaskScheduled");
    check_history(&w, c, 1, "WorkflowExecutionStarted WorkflowTaskScheduled");
    const pb_history_WorkflowExecutionStartedEventAttributes *a = event_at(&w, c, 1)->workflow_execution_started_event_attributes;
    check_str(a->parent_workflow_execution->workflow_id, "parent");
    check_str(a->root_workflow_execution->workflow_id, "parent");
    check_int(a->parent_initiated_event_id, 5);
    const pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *i = event_at(&w, e, 5)->start_child_workflow_execution_initiated_event_attributes;
    check_int(i->parent_close_policy, PARENT_CLOSE_POLICY_TERMINATE);
    check_int(i->workflow_id_reuse_policy, WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE);
    check_str(i->task_queue->name, "q");
    world_fini(&w);
}

TEST(f078_the_child_waits_until_its_start_is_recorded)
{
    struct world w;
    world_init(&w, 1);
    w.holds_messages = true;
    struct execution *e = with_child(&w, 0);
    struct step step;
    pb_store_Message *m;
    struct list *link = list_pop(&w.messages);
    check_int(PB_DECODE(&w.arena, container_of(link, struct world_message, link)->effect.bytes, pb_store_Message, &m), ERR_NONE);
    world_begin(&w, &step);
    check_int(execution_receive(&step, NULL, m), ERR_NONE);
    world_end(&w, &step);
    struct execution *c = world_current(&w, "child");
    check_int(event_count(&w, c), 1);
    world_crash(&w);
    check(!has_task(&w, world_current(&w, "child")));
    world_deliver(&w);
    e = world_current(&w, "parent");
    check(has_task(&w, world_current(&w, "child")));
    check_history(&w, e, 6, "ChildWorkflowExecutionStarted WorkflowTaskScheduled");
    world_fini(&w);
}

TEST(f054_how_children_end)
{
    static const struct { const char *name, *event; int what; } rows[] = {
        {"completed", "ChildWorkflowExecutionCompleted", 0}, {"failed", "ChildWorkflowExecutionFailed", 1}, {"canceled", "ChildWorkflowExecutionCanceled", 2},
        {"terminated", "ChildWorkflowExecutionTerminated", 3}, {"timed out", "ChildWorkflowExecutionTimedOut", 4},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        for (int repeats = 0; repeats < 2; repeats++) {
            struct world w;
            world_init(&w, i + 1);
            test_row = rows[i].name;
            w.repeats_messages = repeats;
            struct execution *e = start(&w, "parent");
            pb_command_Command *s = start_child(&w, "child", 0);
            s->start_child_workflow_execution_command_attributes->workflow_run_timeout = duration_of(&w.arena, 30 * NS_PER_S);
            check_int(done(&w, take(&w, e), s), ERR_NONE);
            struct execution *c = world_current(&w, "child");
            if (rows[i].what == 0) check_int(done(&w, take(&w, c), succeed(&w, "x")), ERR_NONE);
            if (rows[i].what == 1) check_int(done(&w, take(&w, c), fail_run(&w, "E")), ERR_NONE);
            if (rows[i].what == 2) check_int(done(&w, take(&w, c), cancel_run(&w)), ERR_NONE);
            if (rows[i].what == 3) check_int(terminate(&w, c), ERR_NONE);
            if (rows[i].what == 4) world_advance(&w, duration_s(30));
            char expected[128];
            snprintf(expected, sizeof expected, "ChildWorkflowExecutionStarted WorkflowTaskScheduled %s", rows[i].event);
            check_history(&w, e, 6, expected);
            check_int(item_count(e, ITEM_CHILD), 0);
            world_fini(&w);
        }
    }
}

TEST(f054_a_result_comes_from_the_end_of_the_chain)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_child(&w, 0);
    struct execution *c = world_current(&w, "child");
    check_int(done(&w, take(&w, c), continue_run(&w)), ERR_NONE);
    check_history(&w, e, 6, "ChildWorkflowExecutionStarted WorkflowTaskScheduled");
    world_advance(&w, duration_s(1));
    struct execution *last = world_current(&w, "child");
    check_int(done(&w, take(&w, last), succeed(&w, "x")), ERR_NONE);
    check_history(&w, e, 6, "ChildWorkflowExecutionStarted WorkflowTaskScheduled ChildWorkflowExecutionCompleted");
    const pb_history_ChildWorkflowExecutionCompletedEventAttributes *a = event_at(&w, e, 8)->child_workflow_execution_completed_event_attributes;
    check(str_equal(a->workflow_execution->run_id, execution_run_id(last)));
    check_int(a->started_event_id, 6);
    world_fini(&w);
}

TEST(f054_starts_and_ends_that_meet_a_running_task)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "parent");
    w.holds_messages = true;
    struct taken t = take(&w, e), next;
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, COMMANDS(start_child(&w, "child", 0)));
    r->return_new_workflow_task = r->force_create_new_workflow_task = true;
    check_int(complete_with(&w, t, r, &next), ERR_NONE);
    w.holds_messages = false;
    world_deliver(&w);
    check_int(terminate(&w, world_current(&w, "child")), ERR_NONE);
    world_crash(&w);
    e = world_current(&w, "parent");
    check_int(item_count(e, ITEM_BUFFERED), 2);
    next.e = e;
    check_int(done_nothing(&w, next), ERR_NONE);
    check_history(&w, e, 8, "WorkflowTaskCompleted ChildWorkflowExecutionStarted ChildWorkflowExecutionTerminated WorkflowTaskScheduled");
    check_int(event_at(&w, e, 10)->child_workflow_execution_terminated_event_attributes->started_event_id, 9);
    world_fini(&w);
}

TEST(f078_an_id_that_is_taken)
{
    struct world w;
    world_init(&w, 1);
    start(&w, "child");
    struct execution *e = with_child(&w, 0);
    check_history(&w, e, 6, "StartChildWorkflowExecutionFailed WorkflowTaskScheduled");
    check_int(event_at(&w, e, 6)->start_child_workflow_execution_failed_event_attributes->cause,
              START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS);
    world_fini(&w);
}

TEST(f077_parent_close_policies)
{
    static const struct { const char *name; int32_t policy; bool is_open, is_cancel_requested; } rows[] = {
        {"default", 0, false, false}, {"terminate", PARENT_CLOSE_POLICY_TERMINATE, false, false},
        {"abandon", PARENT_CLOSE_POLICY_ABANDON, true, false}, {"request cancel", PARENT_CLOSE_POLICY_REQUEST_CANCEL, true, true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = with_child(&w, rows[i].policy);
        check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
        struct execution *c = world_current(&w, "child");
        check_int(execution_is_open(c), rows[i].is_open);
        check_int(c->s->is_cancel_requested, rows[i].is_cancel_requested);
        world_fini(&w);
    }
}

TEST(f077_a_parent_that_closes_before_the_child_has_begun)
{
    static const struct { const char *name; int32_t policy; bool is_open, is_cancel_requested; } rows[] = {
        {"terminate", PARENT_CLOSE_POLICY_TERMINATE, false, false},
        {"abandon", PARENT_CLOSE_POLICY_ABANDON, true, false},
        {"request cancel", PARENT_CLOSE_POLICY_REQUEST_CANCEL, true, true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        w.holds_messages = true;
        struct execution *e = start(&w, "parent");
        check_int(done(&w, take(&w, e), start_child(&w, "child", rows[i].policy)), ERR_NONE);
        check_int(terminate(&w, e), ERR_NONE);
        w.holds_messages = false;
        world_deliver(&w);
        struct execution *c = world_current(&w, "child");
        check_int(execution_is_open(c), rows[i].is_open);
        check_int(c->s->is_cancel_requested, rows[i].is_cancel_requested);
        if (rows[i].is_open) check(has_task(&w, c));
        world_fini(&w);
    }
}

TEST(f040_what_a_child_must_be)
{
    static const struct { const char *name; int what; } rows[] = {{"no id", 0}, {"no type", 1}, {"a bad cron schedule", 2}, {"no such namespace", 3}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = start(&w, "parent");
        pb_command_Command *c = start_child(&w, "child", 0);
        pb_command_StartChildWorkflowExecutionCommandAttributes *a = c->start_child_workflow_execution_command_attributes;
        if (rows[i].what == 0) a->workflow_id = STR_EMPTY;
        if (rows[i].what == 1) a->workflow_type = NULL;
        if (rows[i].what == 2) a->cron_schedule = STR("sometimes");
        if (rows[i].what == 3) a->namespace = STR("nowhere");
        check_int(done(&w, take(&w, e), c), rows[i].what == 3 ? ERR_NAMESPACE_NOT_FOUND : ERR_INVALID);
        if (rows[i].what == 3) check_int(event_count(&w, e), 2); /* the request is refused, the task stays */
        else check_int(event_at(&w, e, -1)->workflow_task_failed_event_attributes->cause, WORKFLOW_TASK_FAILED_CAUSE_BAD_START_CHILD_EXECUTION_ATTRIBUTES);
        world_fini(&w);
    }
}

TEST(f041_f037_signals_and_cancel_requests_to_other_workflows)
{
    for (int repeats = 0; repeats < 2; repeats++) {
        struct world w;
        world_init(&w, 1);
        w.repeats_messages = repeats;
        struct execution *other = start(&w, "other"), *e = start(&w, "wf");
        check_int(done(&w, take(&w, e), signal_other(&w, "other"), signal_other(&w, "nobody"), signal_other(&w, "wf"), cancel_other(&w, "other"), cancel_other(&w, "nobody")),
                  ERR_NONE);
        check_history(&w, other, 3, "WorkflowExecutionSignaled WorkflowExecutionCancelRequested");
        check_str(event_at(&w, other, 3)->workflow_execution_signaled_event_attributes->external_workflow_execution->workflow_id, "wf");
        check_history(&w, e, 10, "ExternalWorkflowExecutionSignaled WorkflowTaskScheduled SignalExternalWorkflowExecutionFailed SignalExternalWorkflowExecutionFailed "
                                 "ExternalWorkflowExecutionCancelRequested RequestCancelExternalWorkflowExecutionFailed");
        check_int(item_count(e, ITEM_EXTERNAL), 0);
        world_fini(&w);
    }
}

/* Recorded from the official server: histories/scenarios, completes_right_after_it_spoke_to_others. */
TEST(f041_f077_what_the_task_that_ends_the_run_asks_of_others_is_not_carried_out)
{
    struct world w;
    world_init(&w, 1);
    struct execution *other = start(&w, "other"), *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), signal_other(&w, "other"), cancel_other(&w, "other"), start_child(&w, "child", PARENT_CLOSE_POLICY_ABANDON), succeed(&w, "x")), ERR_NONE);
    check_history(&w, e, 5, "SignalExternalWorkflowExecutionInitiated RequestCancelExternalWorkflowExecutionInitiated StartChildWorkflowExecutionInitiated "
                            "WorkflowExecutionCompleted");
    check_int(event_count(&w, other), 2);
    check(world_current(&w, "child") == NULL);
    world_fini(&w);
}

TEST(f037_a_closed_workflow_can_be_cancelled_but_not_signalled)
{
    struct world w;
    world_init(&w, 1);
    struct execution *other = start(&w, "other"), *e = start(&w, "wf");
    check_int(terminate(&w, other), ERR_NONE);
    check_int(done(&w, take(&w, e), signal_other(&w, "other"), cancel_other(&w, "other")), ERR_NONE);
    check_history(&w, e, 7, "SignalExternalWorkflowExecutionFailed WorkflowTaskScheduled ExternalWorkflowExecutionCancelRequested");
    world_fini(&w);
}

TEST(f037_a_child_is_not_started_and_cancelled_at_once)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), start_child(&w, "child", 0), cancel_other(&w, "child")), ERR_INVALID);
    check(world_current(&w, "child") == NULL);
    world_fini(&w);
}

TEST(f037_only_own_children)
{
    struct world w;
    world_init(&w, 1);
    start(&w, "other");
    struct execution *e = with_child(&w, 0);
    pb_command_Command *mine = cancel_other(&w, "child"), *theirs = cancel_other(&w, "other");
    mine->request_cancel_external_workflow_execution_command_attributes->child_workflow_only = true;
    theirs->request_cancel_external_workflow_execution_command_attributes->child_workflow_only = true;
    check_int(done(&w, take(&w, e), mine, theirs), ERR_NONE);
    check_history(&w, e, 12, "ExternalWorkflowExecutionCancelRequested WorkflowTaskScheduled RequestCancelExternalWorkflowExecutionFailed");
    check(world_current(&w, "child")->s->is_cancel_requested);
    world_fini(&w);
}

TEST(f041_the_receiver_has_a_limit_of_signals)
{
    struct world w;
    world_init(&w, 1);
    w.limits.signals_max = 0;
    start(&w, "other");
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), signal_other(&w, "other")), ERR_NONE);
    check_int(event_at(&w, e, 6)->signal_external_workflow_execution_failed_event_attributes->cause,
              SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_SIGNAL_COUNT_LIMIT_EXCEEDED);
    world_fini(&w);
}

TEST_MAIN
