#include "history/harness.h"

#include "base/test.h"

TEST(f032_f051_timers_fire_in_order_never_early)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), timer(&w, "late", 9), timer(&w, "soon", 3), timer(&w, "too", 3)), ERR_NONE);
    world_advance(&w, (duration){3 * NS_PER_S - 1});
    check_int(event_count(&w, e), 7);
    world_advance(&w, (duration){1});
    check_history(&w, e, 8, "TimerFired WorkflowTaskScheduled TimerFired");
    check_str(event_at(&w, e, 8)->timer_fired_event_attributes->timer_id, "soon");
    check_int(event_at(&w, e, 10)->timer_fired_event_attributes->started_event_id, 7);
    world_fini(&w);
}

TEST(f032_timers_survive_a_crash)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), timer(&w, "t", 3600)), ERR_NONE);
    check_int(world_run_of(&w, e)->wake.ns, w.now.ns + NS_PER_S); /* its visibility row is owed by then */
    world_advance(&w, duration_s(2));
    check_int(world_run_of(&w, e)->wake.ns, w.now.ns + 3598 * NS_PER_S);
    world_crash(&w);
    e = world_current(&w, "wf");
    world_advance(&w, duration_s(3598));
    check_history(&w, e, 6, "TimerFired WorkflowTaskScheduled");
    world_fini(&w);
}

TEST(f032_what_a_timer_must_be)
{
    static const struct { const char *name, *id; int64_t seconds; int32_t cause; } rows[] = {
        {"no id", "", 1, WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES},
        {"a negative duration", "t", -1, WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES},
        {"a pending id", "there", 1, WORKFLOW_TASK_FAILED_CAUSE_START_TIMER_DUPLICATE_ID},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = start(&w, "wf");
        check_int(done(&w, take(&w, e), timer(&w, "there", 100)), ERR_NONE);
        signal_with(&w, e, "s", "");
        check_int(done(&w, take(&w, e), timer(&w, rows[i].id, rows[i].seconds)), ERR_INVALID);
        check_int(event_at(&w, e, -1)->workflow_task_failed_event_attributes->cause, rows[i].cause);
        world_fini(&w);
    }
}

TEST(f035_a_cancelled_timer_may_be_started_anew)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), timer(&w, "t", 5)), ERR_NONE);
    signal_with(&w, e, "s", "");
    check_int(done(&w, take(&w, e), cancel_timer(&w, "t"), timer(&w, "t", 50), cancel_timer(&w, "t"), timer(&w, "t", 60)), ERR_NONE);
    check_history(&w, e, 10, "TimerCanceled TimerStarted TimerCanceled TimerStarted");
    world_advance(&w, duration_s(59));
    check_int(event_count(&w, e), 13);
    world_advance(&w, duration_s(1));
    check_history(&w, e, 14, "TimerFired WorkflowTaskScheduled");
    world_fini(&w);
}

TEST(f035_a_timer_that_fired_unseen_can_still_be_cancelled)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), timer(&w, "t", 5)), ERR_NONE);
    signal_with(&w, e, "s", "");
    struct taken t = take(&w, e);
    world_advance(&w, duration_s(5));
    check_int(item_count(e, ITEM_BUFFERED), 1);
    check_int(done(&w, t, cancel_timer(&w, "t"), succeed(&w, "x")), ERR_NONE); /* so nothing unseen is left */
    check_history(&w, e, 9, "WorkflowTaskCompleted TimerCanceled WorkflowExecutionCompleted");
    check_int(event_at(&w, e, 10)->timer_canceled_event_attributes->started_event_id, 5);
    world_fini(&w);
}

TEST_MAIN
