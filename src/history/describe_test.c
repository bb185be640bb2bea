#include "history/harness.h"

#include "base/test.h"

TEST(f018_what_a_run_says_of_itself)
{
    struct world w;
    world_init(&w, 1);
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
    pb_ws_StartWorkflowExecutionResponse *started;
    r->workflow_run_timeout = duration_of(&w.arena, 100 * NS_PER_S);
    r->user_metadata = pb_new(&w.arena, pb_sdk_UserMetadata);
    r->user_metadata->summary = payloads(&w, "sum")->payloads[0];
    check_int(start_with(&w, r, &started), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    check_int(done(&w, take(&w, e), schedule(&w, "1"), start_child(&w, "child", 0)), ERR_NONE);
    check_int(fail_activity(&w, take_activity(&w, e), "E", false), ERR_NONE);
    pb_ws_DescribeWorkflowExecutionResponse d = {0};
    execution_describe(e, w.now, &w.arena, &d);
    check_int(ns_of(d.execution_config->workflow_run_timeout), 100 * NS_PER_S);
    check_str(d.execution_config->user_metadata->summary->data, "sum");
    check_str(d.workflow_execution_info->execution->workflow_id, "wf");
    check_int(d.workflow_execution_info->status, WORKFLOW_EXECUTION_STATUS_RUNNING);
    check_int(d.workflow_execution_info->history_length, execution_next_event_id(e) - 1);
    check(str_equal(d.workflow_execution_info->first_run_id, execution_run_id(e)));
    check_int(d.workflow_execution_info->auto_reset_points->points_count, 1);
    check_int(d.pending_activities_count, 1);
    check_int(d.pending_activities[0]->attempt, 2);
    check_int(d.pending_activities[0]->state, PENDING_ACTIVITY_STATE_SCHEDULED);
    check_int(ns_of(d.pending_activities[0]->current_retry_interval), NS_PER_S);
    check_str(d.pending_activities[0]->last_failure->message, "boom");
    check_int(instant_of(d.pending_activities[0]->next_attempt_schedule_time).ns, w.now.ns + NS_PER_S);
    check_int(d.pending_children_count, 1);
    check_str(d.pending_children[0]->workflow_id, "child");
    check_int(d.pending_workflow_task->state, PENDING_WORKFLOW_TASK_STATE_SCHEDULED); /* of the child's start */
    check_int(d.workflow_extended_info->request_id_infos_count, 1);
    check_int(instant_of(d.workflow_extended_info->run_expiration_time).ns, d.workflow_execution_info->start_time->seconds * NS_PER_S + 100 * NS_PER_S);
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    d = (pb_ws_DescribeWorkflowExecutionResponse){0};
    execution_describe(e, w.now, &w.arena, &d);
    check_int(d.workflow_execution_info->status, WORKFLOW_EXECUTION_STATUS_COMPLETED);
    check_int(instant_of(d.workflow_execution_info->close_time).ns, w.now.ns);
    check_int(d.pending_activities_count, 0);
    world_fini(&w);
}

TEST(the_visibility_row_comes_when_what_it_shows_has_changed)
{
    struct world w;
    struct step step;
    struct execution_flush f;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    pb_ws_SignalWorkflowExecutionRequest s = {.signal_name = STR("s")};
    world_begin(&w, &step);
    check_int(execution_signal(e, &step, &s), ERR_NONE);
    execution_flush(e, &step, &w.arena, &f);
    check(f.visibility == NULL);
    check(!f.is_new);
    world_begin(&w, &step);
    check_int(execution_terminate(e, &step, STR("r"), NULL, STR("i"), STR_EMPTY), ERR_NONE);
    execution_flush(e, &step, &w.arena, &f);
    check(f.visibility != NULL);
    check_int(f.visibility->status, WORKFLOW_EXECUTION_STATUS_TERMINATED);
    check_int(f.visibility->history_length, 4);
    check_int(f.wake.ns, w.now.ns + w.ns.retention.ns); /* when it may be deleted */
    world_fini(&w);
}

TEST(the_newest_events_stay_in_memory_within_bounds)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    char *big = memset(arena_zalloc(&w.arena, 2001), 'x', 2000);
    for (int i = 0; i < 200; i++) {
        pb_ws_SignalWorkflowExecutionRequest s = {.signal_name = STR("s"), .input = payloads(&w, big)};
        struct step step;
        world_begin(&w, &step);
        check_int(execution_signal(e, &step, &s), ERR_NONE);
        world_end(&w, &step);
        check(e->events.size <= 80 * 1024);
    }
    struct history_view view;
    execution_history(e, &w.arena, &view);
    check_int(view.next_event_id, 203);
    check_int(view.branch_count, 1);
    check(view.cached_from > 1 && view.cached_from < 203);
    struct str last = execution_cached_range(e, 202, 203);
    pb_history_History *h;
    check_int(PB_DECODE(&w.arena, last, pb_history_History, &h), ERR_NONE);
    check_int(h->events[0]->event_id, 202);
    world_fini(&w);
}

TEST(limits_are_set_by_their_keys)
{
    struct limits l = limits_default();
    check_int(l.blob_size_max, 2 * 1024 * 1024);
    check(limits_set(&l, STR("LIMIT.BLOBSIZE.ERROR"), 7));
    check_int(l.blob_size_max, 7);
    check(!limits_set(&l, STR("limit.nothing"), 7));
}

TEST(a_run_is_evictable_when_nothing_lives_in_memory_only)
{
    struct world w;
    struct update_view view;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check(execution_is_evictable(e));
    take(&w, e);
    check(!execution_is_evictable(e)); /* a start that is not written */
    check_int(signal_with(&w, e, "s", ""), ERR_NONE);
    check(execution_is_evictable(e));
    check_int(update_with(&w, e, "u", &view), ERR_NONE);
    check(!execution_is_evictable(e));
    world_fini(&w);
}

TEST_MAIN
