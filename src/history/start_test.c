#include "history/harness.h"

#include "base/test.h"

enum { RUNNING, COMPLETED, FAILED, CANCELED, TERMINATED, TIMED_OUT };

/* A run of "wf" in the given state. */
static struct execution *in_state(struct world *w, int state)
{
    pb_ws_StartWorkflowExecutionRequest *r = start_request(w, "wf");
    pb_ws_StartWorkflowExecutionResponse *reply;
    if (state == TIMED_OUT) r->workflow_run_timeout = duration_of(&w->arena, NS_PER_S);
    check_int(start_with(w, r, &reply), ERR_NONE);
    struct execution *e = world_current(w, "wf");
    if (state == COMPLETED) check_int(done(w, take(w, e), succeed(w, "x")), ERR_NONE);
    if (state == FAILED) check_int(done(w, take(w, e), fail_run(w, "E")), ERR_NONE);
    if (state == CANCELED) check_int(done(w, take(w, e), cancel_run(w)), ERR_NONE);
    if (state == TERMINATED) check_int(terminate(w, e), ERR_NONE);
    if (state == TIMED_OUT) world_advance(w, duration_s(1));
    return e;
}

TEST(f001_the_first_events_and_the_reply)
{
    struct world w;
    world_init(&w, 1);
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
    pb_ws_StartWorkflowExecutionResponse *reply;
    r->workflow_execution_timeout = duration_of(&w.arena, 100 * NS_PER_S);
    r->input = payloads(&w, "in");
    check_int(start_with(&w, r, &reply), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check(reply->started);
    check_int(reply->status, WORKFLOW_EXECUTION_STATUS_RUNNING);
    check(str_equal(reply->run_id, execution_run_id(e)));
    check(str_equal(reply->first_execution_run_id, execution_run_id(e)));
    check_int(reply->link->workflow_event->event_ref->event_id, 1);
    check_history(&w, e, 1, "WorkflowExecutionStarted WorkflowTaskScheduled");
    const pb_history_WorkflowExecutionStartedEventAttributes *a = event_at(&w, e, 1)->workflow_execution_started_event_attributes;
    check_int(a->attempt, 1);
    check_int(ns_of(a->workflow_run_timeout), 100 * NS_PER_S);
    check_int(ns_of(a->workflow_task_timeout), 10 * NS_PER_S);
    check_str(a->identity, "client");
    check(a->first_workflow_task_backoff != NULL);
    check(a->root_workflow_execution == NULL);
    world_fini(&w);
}

TEST(f001_the_same_request_starts_once)
{
    struct world w;
    world_init(&w, 1);
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
    pb_ws_StartWorkflowExecutionResponse *first, *second;
    check_int(start_with(&w, r, &first), ERR_NONE);
    check_int(start_with(&w, r, &second), ERR_NONE);
    check(!w.was_durable);
    check(second->started);
    check(str_equal(first->run_id, second->run_id));
    check_int(done(&w, take(&w, world_current(&w, "wf")), succeed(&w, "x")), ERR_NONE);
    check_int(start_with(&w, r, &second), ERR_NONE);
    check(str_equal(first->run_id, second->run_id));
    check_int(w.next_run, 2);
    world_fini(&w);
}

TEST(f002_f003_policies)
{
    enum { ALLOW = WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, FAILED_ONLY = WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
           REJECT = WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, IF_RUNNING = WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING,
           FAIL_ = WORKFLOW_ID_CONFLICT_POLICY_FAIL, USE = WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, END = WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING };
    static const struct { const char *name; int state, reuse, conflict; err result; bool is_started; int runs; } rows[] = {
        {"open, defaults", RUNNING, 0, 0, ERR_WORKFLOW_STARTED, false, 1},
        {"open, fail", RUNNING, ALLOW, FAIL_, ERR_WORKFLOW_STARTED, false, 1},
        {"open, use existing", RUNNING, ALLOW, USE, ERR_NONE, false, 1},
        {"open, reject but use existing", RUNNING, REJECT, USE, ERR_NONE, false, 1},
        {"open, terminate existing", RUNNING, ALLOW, END, ERR_NONE, true, 2},
        {"open, terminate if running", RUNNING, IF_RUNNING, 0, ERR_NONE, true, 2},
        {"completed, defaults", COMPLETED, 0, 0, ERR_NONE, true, 2},
        {"completed, failed only", COMPLETED, FAILED_ONLY, 0, ERR_WORKFLOW_STARTED, false, 1},
        {"completed, reject", COMPLETED, REJECT, 0, ERR_WORKFLOW_STARTED, false, 1},
        {"completed, terminate if running", COMPLETED, IF_RUNNING, 0, ERR_NONE, true, 2},
        {"failed, failed only", FAILED, FAILED_ONLY, 0, ERR_NONE, true, 2},
        {"canceled, failed only", CANCELED, FAILED_ONLY, 0, ERR_NONE, true, 2},
        {"terminated, failed only", TERMINATED, FAILED_ONLY, 0, ERR_NONE, true, 2},
        {"timed out, failed only", TIMED_OUT, FAILED_ONLY, 0, ERR_NONE, true, 2},
        {"failed, reject", FAILED, REJECT, 0, ERR_WORKFLOW_STARTED, false, 1},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *old = in_state(&w, rows[i].state);
        pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
        pb_ws_StartWorkflowExecutionResponse *reply = NULL;
        r->workflow_id_reuse_policy = rows[i].reuse;
        r->workflow_id_conflict_policy = rows[i].conflict;
        check_int(start_with(&w, r, &reply), rows[i].result);
        check_int(w.next_run - 1, rows[i].runs);
        if (rows[i].result == ERR_NONE) {
            check_int(reply->started, rows[i].is_started);
            check(str_equal(reply->run_id, execution_run_id(world_current(&w, "wf"))));
        } else {
            const pb_errordetails_WorkflowExecutionAlreadyStartedFailure *d = w.error.detail;
            check(w.error.detail_type == &pb_errordetails_WorkflowExecutionAlreadyStartedFailure_type);
            check(str_equal(d->run_id, execution_run_id(old)));
            check(!str_is_empty(d->start_request_id));
        }
        if (rows[i].runs == 2) check(!execution_is_open(old));
        world_fini(&w);
    }
}

TEST(f003_a_start_may_attach_to_the_running_one)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = in_state(&w, RUNNING);
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
    pb_ws_StartWorkflowExecutionResponse *reply;
    r->workflow_id_conflict_policy = WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING;
    r->on_conflict_options = pb_new(&w.arena, pb_workflow_OnConflictOptions);
    r->on_conflict_options->attach_request_id = true;
    check_int(start_with(&w, r, &reply), ERR_NONE);
    check(!reply->started);
    check_history(&w, e, 3, "WorkflowExecutionOptionsUpdated");
    check_int(start_with(&w, r, &reply), ERR_NONE); /* known by its request id now */
    check(!reply->started);
    check_int(event_count(&w, e), 3);
    world_fini(&w);
}

TEST(f004_timeouts)
{
    static const struct { const char *name; int64_t execution, run, task, want_run, want_task, ends_after; } rows[] = {
        {"none", 0, 0, 0, 0, 10, 0},
        {"run is bounded by execution", 20, 30, 0, 20, 10, 20},
        {"run follows from execution", 20, 0, 0, 20, 10, 20},
        {"run alone", 0, 5, 0, 5, 5, 5},
        {"a task has at most two minutes", 0, 0, 500, 0, 120, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
        pb_ws_StartWorkflowExecutionResponse *reply;
        r->workflow_execution_timeout = duration_or_none(&w.arena, rows[i].execution * NS_PER_S);
        r->workflow_run_timeout = duration_or_none(&w.arena, rows[i].run * NS_PER_S);
        r->workflow_task_timeout = duration_or_none(&w.arena, rows[i].task * NS_PER_S);
        check_int(start_with(&w, r, &reply), ERR_NONE);
        struct execution *e = world_current(&w, "wf");
        const pb_history_WorkflowExecutionStartedEventAttributes *a = event_at(&w, e, 1)->workflow_execution_started_event_attributes;
        check_int(ns_of(a->workflow_run_timeout), rows[i].want_run * NS_PER_S);
        check_int(ns_of(a->workflow_task_timeout), rows[i].want_task * NS_PER_S);
        world_advance(&w, duration_s(rows[i].ends_after != 0 ? rows[i].ends_after - 1 : 100000));
        check(execution_is_open(e));
        if (rows[i].ends_after != 0) world_advance(&w, duration_s(1));
        check_int(execution_is_open(e), rows[i].ends_after == 0);
        world_fini(&w);
    }
}

TEST(f008_a_delayed_start_waits_but_not_for_a_cancellation)
{
    struct world w;
    world_init(&w, 1);
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
    pb_ws_StartWorkflowExecutionResponse *reply;
    r->workflow_start_delay = duration_of(&w.arena, 60 * NS_PER_S);
    check_int(start_with(&w, r, &reply), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check_int(signal_with(&w, e, "s", ""), ERR_NONE);
    check_history(&w, e, 1, "WorkflowExecutionStarted WorkflowExecutionSignaled");
    world_advance(&w, duration_s(59));
    check(!has_task(&w, e));
    world_advance(&w, duration_s(1));
    check(has_task(&w, e));
    r = start_request(&w, "two");
    r->workflow_start_delay = duration_of(&w.arena, 60 * NS_PER_S);
    check_int(start_with(&w, r, &reply), ERR_NONE);
    e = world_current(&w, "two");
    check_int(cancel(&w, e), ERR_NONE);
    check_history(&w, e, 1, "WorkflowExecutionStarted WorkflowExecutionCancelRequested WorkflowTaskScheduled");
    world_advance(&w, duration_s(60));
    check_int(event_count(&w, e), 3);
    world_fini(&w);
}

TEST(f009_an_eager_start_brings_the_first_task)
{
    struct world w;
    world_init(&w, 1);
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
    pb_ws_StartWorkflowExecutionResponse *reply;
    r->request_eager_execution = true;
    check_int(start_with(&w, r, &reply), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check(reply->eager_workflow_task != NULL);
    check(!has_task(&w, e));
    check_history(&w, e, 1, "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted");
    check(event_at(&w, e, 1)->workflow_execution_started_event_attributes->eager_execution_accepted);
    check_int(start_with(&w, r, &reply), ERR_NONE); /* the reply was lost */
    check(reply->eager_workflow_task != NULL);
    struct taken t = {.e = e, .reply = reply->eager_workflow_task};
    check_int(done(&w, t, succeed(&w, "x")), ERR_NONE);
    world_fini(&w);
}

static err signal_start(struct world *w, int32_t conflict, int32_t reuse, const char *request_id, pb_ws_SignalWithStartWorkflowExecutionResponse **reply)
{
    pb_ws_SignalWithStartWorkflowExecutionRequest r = {.workflow_id = STR("wf"), .signal_name = STR("s"), .identity = STR("client")};
    struct step step;
    r.request_id = str_of(request_id);
    r.workflow_type = workflow_type_of(&w->arena, STR("W"));
    r.task_queue = task_queue_of(&w->arena, STR("q"));
    r.workflow_id_conflict_policy = conflict;
    r.workflow_id_reuse_policy = reuse;
    world_begin(w, &step);
    err result = workflow_signal_with_start(&step, world_current(w, "wf"), &r, reply);
    world_end(w, &step);
    return result;
}

TEST(f010_signal_with_start)
{
    struct world w;
    pb_ws_SignalWithStartWorkflowExecutionResponse *reply;
    world_init(&w, 1);
    check_int(signal_start(&w, 0, 0, "r1", &reply), ERR_NONE);
    check(reply->started);
    struct execution *e = world_current(&w, "wf");
    check_history(&w, e, 1, "WorkflowExecutionStarted WorkflowExecutionSignaled WorkflowTaskScheduled");
    check_int(signal_start(&w, 0, 0, "r1", &reply), ERR_NONE); /* again */
    check(reply->started);
    check_int(event_count(&w, e), 3);
    check_int(signal_start(&w, 0, 0, "r2", &reply), ERR_NONE);
    check(!reply->started);
    check_history(&w, e, 4, "WorkflowExecutionSignaled");
    check_int(signal_start(&w, WORKFLOW_ID_CONFLICT_POLICY_FAIL, 0, "r3", &reply), ERR_INVALID);
    check_int(signal_start(&w, WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING, 0, "r4", &reply), ERR_NONE);
    check(reply->started);
    check(!execution_is_open(e));
    e = world_current(&w, "wf");
    check_int(terminate(&w, e), ERR_NONE);
    check_int(signal_start(&w, 0, WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, "r5", &reply), ERR_WORKFLOW_STARTED);
    check_int(signal_start(&w, 0, WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY, "r6", &reply), ERR_NONE);
    world_fini(&w);
}

TEST(f012_cancel_is_written_once)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(cancel(&w, e), ERR_NONE);
    check_int(cancel(&w, e), ERR_NONE);
    check_history(&w, e, 3, "WorkflowExecutionCancelRequested");
    check_int(done(&w, take(&w, e), cancel_run(&w)), ERR_NONE);
    check_int(execution_status(e), WORKFLOW_EXECUTION_STATUS_CANCELED);
    check_int(cancel(&w, e), ERR_NONE);
    world_fini(&w);
}

TEST(f013_terminate)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    take(&w, e);
    signal_with(&w, e, "s", "");
    check_int(terminate(&w, e), ERR_NONE);
    check_history(&w, e, 3, "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionSignaled WorkflowExecutionTerminated");
    check_int(terminate(&w, e), ERR_WORKFLOW_CLOSED);
    check(w.error.detail_type == &pb_errordetails_NotFoundFailure_type);
    check_int(signal_with(&w, e, "s", ""), ERR_WORKFLOW_CLOSED);
    e = start(&w, "wf");
    struct step step;
    world_begin(&w, &step);
    check_int(execution_terminate(e, &step, STR_EMPTY, NULL, STR_EMPTY, STR("another chain")), ERR_WORKFLOW_NOT_FOUND);
    world_end(&w, &step);
    world_fini(&w);
}

TEST(f069_signals)
{
    struct world w;
    world_init(&w, 1);
    w.limits.signals_max = 3;
    struct execution *e = start(&w, "wf");
    check_int(signal_with(&w, e, "a", "one"), ERR_NONE);
    check_int(signal_with(&w, e, "a", "one"), ERR_NONE);
    check_int(event_count(&w, e), 3);
    check_str(event_at(&w, e, 3)->workflow_execution_signaled_event_attributes->request_id, "one");
    check_int(signal_with(&w, e, "b", ""), ERR_NONE);
    check_int(signal_with(&w, e, "c", ""), ERR_NONE);
    check_int(signal_with(&w, e, "d", ""), ERR_INVALID);
    check_int(signal_with(&w, e, "", ""), ERR_INVALID);
    world_crash(&w);
    check_int(signal_with(&w, world_current(&w, "wf"), "a", "one"), ERR_NONE);
    check_int(event_count(&w, world_current(&w, "wf")), 5);
    world_fini(&w);
}

TEST_MAIN
