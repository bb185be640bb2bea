#include "history/harness.h"

#include "base/test.h"

static err reset_with(struct world *w, struct execution *base, pb_ws_ResetWorkflowExecutionRequest *r)
{
    pb_ws_ResetWorkflowExecutionResponse reply = {0};
    struct execution *run;
    struct step step;
    world_begin(w, &step);
    err result = workflow_reset(&step, base, world_current(w, arena_cstr(&w->arena, execution_workflow_id(base))), r, history_of(w, base), NULL, &reply, &run);
    world_end(w, &step);
    if (result == ERR_NONE) check(str_equal(reply.run_id, execution_run_id(run)));
    return result;
}

static err reset_to(struct world *w, struct execution *base, int64_t point)
{
    char uuid[37];
    prng_uuid(&w->prng, uuid);
    pb_ws_ResetWorkflowExecutionRequest r = {.workflow_task_finish_event_id = point, .request_id = arena_str(&w->arena, str_of(uuid)), .reason = STR("why")};
    return reset_with(w, base, &r);
}

/* 1-4 first task, 5 activity, 6 timer; 7 signal, 8-10 second task. */
static struct execution *begin(struct world *w)
{
    struct execution *e = start(w, "wf");
    check_int(done(w, take(w, e), schedule(w, "1"), timer(w, "t", 100)), ERR_NONE);
    check_int(signal_with(w, e, "s", "r1"), ERR_NONE);
    check_int(done(w, take(w, e), marker(w, "m")), ERR_NONE);
    return e;
}

TEST(f014_the_new_run_goes_on_from_the_point)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = begin(&w);
    check_int(signal_with(&w, base, "later", "r2"), ERR_NONE);
    check_int(reset_to(&w, base, 10), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check(e != base);
    check(!execution_is_open(base));
    check(str_equal(base->s->reset_run_id, execution_run_id(e)));
    check_history(&w, e, 8, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled");
    const pb_history_WorkflowTaskFailedEventAttributes *a = event_at(&w, e, 10)->workflow_task_failed_event_attributes;
    check_int(a->cause, WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW);
    check(str_equal(a->base_run_id, execution_run_id(base)));
    check(str_equal(a->new_run_id, execution_run_id(e)));
    check_str(event_at(&w, e, 11)->workflow_execution_signaled_event_attributes->signal_name, "later");
    check_int(item_count(e, ITEM_ACTIVITY), 1);
    check(has_activity(&w, e, 5));
    check_int(signal_with(&w, e, "s", "r1"), ERR_NONE); /* still known by its request id */
    check_int(event_count(&w, e), 12);
    world_crash(&w);
    e = world_current(&w, "wf");
    check_int(done(&w, take(&w, e), marker(&w, "again")), ERR_NONE);
    check_int(complete_activity(&w, take_activity(&w, e)), ERR_NONE);
    world_advance(&w, duration_s(100));
    check_history(&w, e, 14, "WorkflowTaskCompleted MarkerRecorded ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled TimerFired");
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    world_fini(&w);
}

TEST(f014_points_that_can_not_be)
{
    static const int64_t points[] = {0, 1, 2, 5, 6, 12, 99};
    struct world w;
    world_init(&w, 1);
    struct execution *base = begin(&w);
    for (size_t i = 0; i < countof(points); i++) check_int(reset_to(&w, base, points[i]), ERR_INVALID);
    check(execution_is_open(base));
    pb_ws_ResetWorkflowExecutionRequest r = {.workflow_task_finish_event_id = 4};
    check_int(reset_with(&w, base, &r), ERR_INVALID);
    check_int(reset_to(&w, base, 3), ERR_NONE); /* after scheduled: the start is written by the reset */
    check_history(&w, world_current(&w, "wf"), 2, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled");
    world_fini(&w);
}

TEST(f014_the_same_request_resets_once)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = begin(&w);
    pb_ws_ResetWorkflowExecutionRequest r = {.workflow_task_finish_event_id = 4, .request_id = STR("same")};
    check_int(reset_with(&w, base, &r), ERR_NONE);
    check_int(reset_with(&w, base, &r), ERR_NONE);
    check_int(w.next_run - 1, 2);
    world_fini(&w);
}

TEST(f014_what_is_written_again_and_what_not)
{
    static const struct { const char *name; int32_t type, exclude; const char *history; } rows[] = {
        {"all", 0, 0, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowExecutionCancelRequested WorkflowTaskScheduled"},
        {"all eligible", RESET_REAPPLY_TYPE_ALL_ELIGIBLE, 0, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowExecutionCancelRequested WorkflowTaskScheduled"},
        {"nothing", RESET_REAPPLY_TYPE_NONE, 0, "WorkflowTaskFailed WorkflowTaskScheduled"},
        {"signals only", RESET_REAPPLY_TYPE_SIGNAL, 0, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled"},
        {"without signals", 0, RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL, "WorkflowTaskFailed WorkflowExecutionCancelRequested WorkflowTaskScheduled"},
        {"without the cancel request", 0, RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *base = begin(&w);
        check_int(cancel(&w, base), ERR_NONE);
        int32_t exclude = rows[i].exclude;
        pb_ws_ResetWorkflowExecutionRequest r = {.workflow_task_finish_event_id = 4, .request_id = STR("x"), .reset_reapply_type = rows[i].type,
                                                 .reset_reapply_exclude_types = &exclude, .reset_reapply_exclude_types_count = exclude != 0};
        check_int(reset_with(&w, base, &r), ERR_NONE);
        check_history(&w, world_current(&w, "wf"), 4, rows[i].history);
        world_fini(&w);
    }
}

TEST(f014_what_waited_for_the_old_runs_task_is_not_lost)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = begin(&w);
    check_int(signal_with(&w, base, "a", ""), ERR_NONE);
    take(&w, base);
    check_int(signal_with(&w, base, "b", ""), ERR_NONE); /* buffered */
    check_int(reset_to(&w, base, 10), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check_history(&w, e, 10, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowExecutionSignaled WorkflowTaskScheduled");
    check_str(event_at(&w, e, 12)->workflow_execution_signaled_event_attributes->signal_name, "b");
    world_fini(&w);
}

TEST(f014_a_closed_run_and_a_run_that_was_reset_before)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = begin(&w);
    check_int(terminate(&w, base), ERR_NONE);
    check_int(reset_to(&w, base, 10), ERR_NONE);
    struct execution *second = world_current(&w, "wf");
    check_int(done(&w, take(&w, second), marker(&w, "n")), ERR_NONE);
    check_int(reset_to(&w, second, 13), ERR_NONE);
    struct execution *third = world_current(&w, "wf");
    check_int(third->s->branches_count, 3);
    check_int(done(&w, take(&w, third), succeed(&w, "x")), ERR_NONE);
    check_int(reset_to(&w, base, 4), ERR_NONE); /* the newest run is another one, and closed */
    check(execution_is_open(world_current(&w, "wf")));
    world_fini(&w);
}

TEST(f014_children_find_the_new_run)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = start(&w, "parent");
    check_int(done(&w, take(&w, base), start_child(&w, "child", 0)), ERR_NONE);
    check_int(done(&w, take(&w, base), marker(&w, "m")), ERR_NONE);
    check_history(&w, base, 5, "StartChildWorkflowExecutionInitiated ChildWorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted MarkerRecorded");
    check_int(reset_to(&w, base, 9), ERR_NONE);
    struct execution *e = world_current(&w, "parent"), *c = world_current(&w, "child");
    check(execution_is_open(c));
    check_int(item_count(e, ITEM_CHILD), 1);
    check_int(done(&w, take(&w, c), succeed(&w, "x")), ERR_NONE);
    check_int(item_count(e, ITEM_CHILD), 0);
    check_history(&w, e, 9, "WorkflowTaskFailed WorkflowTaskScheduled ChildWorkflowExecutionCompleted");
    world_fini(&w);
}

TEST(f014_f056_updates_are_admitted_again)
{
    struct world w;
    struct update_view view;
    world_init(&w, 1);
    struct execution *base = begin(&w);
    check_int(update_with(&w, base, "u", &view), ERR_NONE);
    struct taken t = take(&w, base);
    pb_update_Request *request = NULL;
    check_int(PB_DECODE(&w.arena, t.reply->messages[0]->body->value, pb_update_Request, &request), ERR_NONE);
    pb_update_Acceptance yes = {.accepted_request = request, .accepted_request_message_id = STR("u/request")};
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, 0, NULL);
    for (int i = 0; i < 1; i++) {
        pb_protocol_Message *m = PB_PUSH_NEW(&w.arena, r, messages);
        m->id = STR("m");
        m->protocol_instance_id = STR("u");
        m->body = pb_new(&w.arena, pb_google_Any);
        m->body->type_url = STR("x/temporal.api.update.v1.Acceptance");
        m->body->value = PB_ENCODE_ARENA(pb_update_Acceptance, &yes, &w.arena);
    }
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check_int(reset_to(&w, base, 10), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check_history(&w, e, 10, "WorkflowTaskFailed WorkflowExecutionUpdateAdmitted WorkflowTaskScheduled");
    check_int(update_look(&w, e, "u", &view), ERR_NONE);
    check_int(view.stage, UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED);
    world_crash(&w);
    e = world_current(&w, "wf");
    t = take(&w, e);
    check_int(t.reply->messages_count, 0); /* the event has the request */
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check_history(&w, e, 13, "WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionUpdateAccepted");
    check(event_at(&w, e, 15)->workflow_execution_update_accepted_event_attributes->accepted_request == NULL);
    world_fini(&w);
}

/* The child has ended after the point, before or after its parent: the new run hears of it either way. */
TEST(f014_the_end_of_a_child_finds_the_new_run)
{
    static const struct { const char *name; bool is_parent_first, is_crash; } rows[] = {
        {"in the base run's history", false, false}, {"after the base run's end", true, false}, {"after the base run's end, and all was loaded anew", true, true}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *base = start(&w, "wf");
        check_int(done(&w, take(&w, base), start_child(&w, "child", PARENT_CLOSE_POLICY_ABANDON)), ERR_NONE); /* 5 initiated, 6 started, 7 scheduled */
        check_int(done(&w, take(&w, base), marker(&w, "m")), ERR_NONE);
        if (rows[i].is_parent_first) {
            check_int(signal_with(&w, base, "s", "r"), ERR_NONE);
            check_int(done(&w, take(&w, base), succeed(&w, "x")), ERR_NONE);
        }
        check_int(done(&w, take(&w, world_current(&w, "child")), succeed(&w, "from the child")), ERR_NONE);
        if (rows[i].is_crash) world_crash(&w);
        base = world_by_run_id(&w, execution_run_id(world_current(&w, "wf")));
        check_int(reset_to(&w, base, 9), ERR_NONE);
        struct execution *e = world_current(&w, "wf");
        check_int(item_count(e, ITEM_CHILD), 0);
        event *end = NULL;
        for (size_t id = 9; id <= event_count(&w, e); id++)
            if (event_at(&w, e, (int64_t)id)->event_type == EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED) end = event_at(&w, e, (int64_t)id);
        check(end != NULL);
        if (end == NULL) continue;
        check_int(end->child_workflow_execution_completed_event_attributes->started_event_id, 6);
        check_str(end->child_workflow_execution_completed_event_attributes->result->payloads[0]->data, "from the child");
        check(has_task(&w, e));
        world_fini(&w);
    }
}

TEST(f014_a_child_of_another_chain_is_not_taken_for_ours)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = start(&w, "wf");
    check_int(done(&w, take(&w, base), start_child(&w, "child", PARENT_CLOSE_POLICY_ABANDON)), ERR_NONE);
    check_int(done(&w, take(&w, base), succeed(&w, "x")), ERR_NONE);
    check_int(done(&w, take(&w, world_current(&w, "child")), succeed(&w, "ours")), ERR_NONE);
    struct execution *other = start(&w, "child"); /* the id is used again */
    check_int(done(&w, take(&w, other), succeed(&w, "another's")), ERR_NONE);
    check_int(reset_to(&w, base, 9), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check_int(item_count(e, ITEM_CHILD), 0);
    const event *end = event_at(&w, e, -1);
    check_int(end->event_type, EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED);
    if (end->event_type == EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        check_str(end->child_workflow_execution_completed_event_attributes->result->payloads[0]->data, "ours");
    world_fini(&w);
}

TEST(f014_answers_of_other_workflows_are_kept)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = start(&w, "wf"), *other = start(&w, "other");
    w.holds_messages = true;
    check_int(done(&w, take(&w, base), signal_other(&w, "other")), ERR_NONE); /* 5 initiated */
    check_int(signal_with(&w, base, "s", "r"), ERR_NONE);
    check_int(done(&w, take(&w, base), marker(&w, "m")), ERR_NONE);           /* 6 signal, 7-9 task, 10 marker */
    world_deliver(&w);
    world_deliver(&w);
    w.holds_messages = false;
    check_history(&w, base, 11, "ExternalWorkflowExecutionSignaled WorkflowTaskScheduled");
    check_int(reset_to(&w, base, 9), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check_int(item_count(e, ITEM_EXTERNAL), 0);
    check_history(&w, e, 9, "WorkflowTaskFailed ExternalWorkflowExecutionSignaled WorkflowTaskScheduled");
    check_int(other->s->signal_count, 1);
    world_fini(&w);
}

TEST(f014_signals_to_the_runs_that_followed_are_written_again)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = start(&w, "wf");
    check_int(done(&w, take(&w, base), continue_run(&w)), ERR_NONE);
    struct execution *second = world_current(&w, "wf");
    check_int(signal_with(&w, second, "one", "r1"), ERR_NONE);
    world_advance(&w, duration_s(2));
    struct taken running = take(&w, second);
    check_int(signal_with(&w, second, "two", "r2"), ERR_NONE); /* buffered: written when the reset ends the run */
    (void)running;
    pb_history_History *after = pb_new(&w.arena, pb_history_History);
    const pb_history_History *all = history_of(&w, second);
    for (size_t i = 0; i < all->events_count; i++)
        if (reset_needs(all->events[i])) PB_PUSH(&w.arena, after, events) = all->events[i];
    const struct reset_chain chain = {.history = after, .reaches_current = true};
    pb_ws_ResetWorkflowExecutionRequest r = {.workflow_task_finish_event_id = 4, .request_id = STR("x"), .reason = STR("why")};
    pb_ws_ResetWorkflowExecutionResponse reply = {0};
    struct execution *run;
    struct step step;
    world_begin(&w, &step);
    check_int(workflow_reset(&step, base, second, &r, history_of(&w, base), &chain, &reply, &run), ERR_NONE);
    world_end(&w, &step);
    check_int(execution_status(second), WORKFLOW_EXECUTION_STATUS_TERMINATED);
    check_history(&w, run, 4, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowExecutionSignaled WorkflowTaskScheduled");
    check_str(event_at(&w, run, 6)->workflow_execution_signaled_event_attributes->signal_name, "two");
    check_int(signal_with(&w, run, "two", "r2"), ERR_NONE); /* known */
    check_int(event_count(&w, run), 7);
    world_fini(&w);
}

TEST_MAIN
