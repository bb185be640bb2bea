#include "history/harness.h"

#include "base/test.h"

#define STEP(w, result_, call)           \
    do {                                 \
        struct step step;                \
        world_begin((w), &step);         \
        result_ = (call);                \
        world_end((w), &step);           \
    } while (0)

static err pause_activity(struct world *w, struct execution *e, const char *id)
{
    pb_ws_PauseActivityRequest r = {.identity = STR("op"), .reason = STR("why"), .activity_case = pb_ws_PauseActivityRequest_id_tag, .id = str_of(id)};
    err result;
    STEP(w, result, execution_activity_pause(e, &step, &r));
    return result;
}

static err unpause_activity(struct world *w, struct execution *e, const char *id)
{
    pb_ws_UnpauseActivityRequest r = {.activity_case = pb_ws_UnpauseActivityRequest_id_tag, .id = str_of(id)};
    err result;
    STEP(w, result, execution_activity_unpause(e, &step, &r));
    return result;
}

static err reset_activity(struct world *w, struct execution *e, const char *id)
{
    pb_ws_ResetActivityRequest r = {.activity_case = pb_ws_ResetActivityRequest_id_tag, .id = str_of(id), .reset_heartbeat = true};
    err result;
    STEP(w, result, execution_activity_reset(e, &step, &r));
    return result;
}

static struct execution *with_activity(struct world *w)
{
    struct execution *e = start(w, "wf");
    check_int(done(w, take(w, e), schedule(w, "1")), ERR_NONE);
    return e;
}

static pb_workflow_PendingActivityInfo *described(struct world *w, struct execution *e)
{
    pb_ws_DescribeWorkflowExecutionResponse r = {0};
    execution_describe(e, w->now, &w->arena, &r);
    check_int(r.pending_activities_count, 1);
    return r.pending_activities[0];
}

TEST(f067_a_paused_activity_is_not_handed_out)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = with_activity(&w);
    check_int(pause_activity(&w, e, "1"), ERR_NONE);
    check_int(described(&w, e)->state, PENDING_ACTIVITY_STATE_PAUSED);
    check_str(described(&w, e)->pause_info->manual->reason, "why");
    check(take_activity(&w, e) == NULL);
    world_crash(&w);
    e = world_current(&w, "wf");
    check(take_activity(&w, e) == NULL);
    check_int(unpause_activity(&w, e, "1"), ERR_NONE);
    check_int(complete_activity(&w, take_activity(&w, e)), ERR_NONE);
    check_int(pause_activity(&w, e, "1"), ERR_NOT_FOUND);
    check_int(pause_activity(&w, e, ""), ERR_INVALID);
    world_fini(&w);
}

TEST(f067_a_running_activity_finishes_its_attempt_and_then_waits)
{
    struct world w;
    pb_ws_RecordActivityTaskHeartbeatResponse beat = {0};
    world_init(&w, 1);
    struct execution *e = with_activity(&w);
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    check_int(pause_activity(&w, e, "1"), ERR_NONE);
    check_int(described(&w, e)->state, PENDING_ACTIVITY_STATE_PAUSE_REQUESTED);
    check_int(heartbeat(&w, a, "x", &beat), ERR_NONE);
    check(beat.activity_paused);
    check_int(fail_activity(&w, a, "E", false), ERR_NONE);
    world_advance(&w, duration_s(100));
    check(take_activity(&w, e) == NULL);
    check_int(unpause_activity(&w, e, "1"), ERR_NONE);
    a = take_activity(&w, e);
    check_int(a->attempt, 2);
    world_fini(&w);
}

TEST(f067_a_reset_begins_with_the_first_attempt_again)
{
    struct world w;
    pb_ws_RecordActivityTaskHeartbeatResponse beat = {0};
    world_init(&w, 1);
    struct execution *e = with_activity(&w);
    for (int i = 0; i < 3; i++) {
        check_int(fail_activity(&w, take_activity(&w, e), "E", false), ERR_NONE);
        if (i < 2) world_advance(&w, duration_s(100));
    }
    check_int(reset_activity(&w, e, "1"), ERR_NONE); /* while it backs off: at once */
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    check_int(a->attempt, 1);
    check_int(fail_activity(&w, a, "E", false), ERR_NONE);
    world_advance(&w, duration_s(1));
    a = take_activity(&w, e);
    check_int(a->attempt, 2);
    check_int(heartbeat(&w, a, "half", &beat), ERR_NONE);
    check_int(reset_activity(&w, e, "1"), ERR_NONE); /* while it runs: it counts as the first one */
    check_int(heartbeat(&w, a, "half", &beat), ERR_NONE);
    check(beat.activity_reset);
    check_int(fail_activity(&w, a, "E", false), ERR_NONE);
    world_advance(&w, duration_s(1));
    a = take_activity(&w, e);
    check_int(a->attempt, 2);
    check(a->heartbeat_details == NULL);
    world_fini(&w);
}

TEST(f067_other_options_by_mask_and_back)
{
    struct world w;
    err result;
    world_init(&w, 1);
    struct execution *e = with_activity(&w);
    pb_activity_ActivityOptions o = {.start_to_close_timeout = duration_of(&w.arena, 77 * NS_PER_S)};
    struct str paths[] = {STR("startToCloseTimeout"), STR("retry_policy.maximum_attempts")};
    pb_common_RetryPolicy retry = {.maximum_attempts = 4};
    pb_google_FieldMask mask = {.paths = paths, .paths_count = 2};
    pb_ws_UpdateActivityOptionsRequest r = {.activity_case = pb_ws_UpdateActivityOptionsRequest_match_all_tag, .match_all = true, .activity_options = &o, .update_mask = &mask};
    pb_ws_UpdateActivityOptionsResponse reply = {0};
    o.retry_policy = &retry;
    STEP(&w, result, execution_activity_update_options(e, &step, &r, &reply));
    check_int(result, ERR_NONE);
    check_int(ns_of(reply.activity_options->start_to_close_timeout), 77 * NS_PER_S);
    check_int(reply.activity_options->retry_policy->maximum_attempts, 4);
    check_int(ns_of(reply.activity_options->retry_policy->initial_interval), NS_PER_S);
    check_int(ns_of(take_activity(&w, e)->start_to_close_timeout), 77 * NS_PER_S);
    r.update_mask = NULL;
    r.restore_original = true;
    STEP(&w, result, execution_activity_update_options(e, &step, &r, &reply));
    check_int(ns_of(reply.activity_options->start_to_close_timeout), 10 * NS_PER_S);
    paths[0] = STR("colour");
    r.update_mask = &mask;
    r.restore_original = false;
    STEP(&w, result, execution_activity_update_options(e, &step, &r, &reply));
    check_int(result, ERR_INVALID);
    world_fini(&w);
}

TEST(f016_a_paused_workflow_gets_no_tasks)
{
    struct world w;
    err result;
    struct update_view view;
    world_init(&w, 1);
    struct execution *e = with_activity(&w);
    signal_with(&w, e, "s", "");
    pb_ws_PauseWorkflowExecutionRequest p = {.identity = STR("op"), .reason = STR("why"), .request_id = STR("p1")};
    pb_ws_UnpauseWorkflowExecutionRequest u = {.identity = STR("op"), .reason = STR("why"), .request_id = STR("u1")};
    STEP(&w, result, execution_pause(e, &step, &p));
    check_int(result, ERR_NONE);
    STEP(&w, result, execution_pause(e, &step, &p));
    check_int(result, ERR_NONE);
    check_int(execution_status(e), WORKFLOW_EXECUTION_STATUS_PAUSED);
    check_int(event_at(&w, e, -1)->event_type, EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED);
    check(execution_is_open(e));
    list_init(&w.tasks); /* pollers were refused */
    check_int(update_with(&w, e, "u", &view), ERR_PRECONDITION);
    check_int(signal_with(&w, e, "s", ""), ERR_NONE);
    world_crash(&w);
    e = world_current(&w, "wf");
    check(!has_task(&w, e));
    check(!has_activity(&w, e, 5));
    STEP(&w, result, execution_unpause(e, &step, &u));
    check_int(result, ERR_NONE);
    check(has_activity(&w, e, 5));
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    STEP(&w, result, execution_pause(e, &step, &p));
    check_int(result, ERR_WORKFLOW_CLOSED);
    world_fini(&w);
}

TEST(f017_workflow_options)
{
    struct world w;
    err result;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    pb_common_Priority priority = {.priority_key = 2};
    pb_workflow_WorkflowExecutionOptions o = {.priority = &priority};
    struct str path = STR("priority.priority_key");
    pb_google_FieldMask mask = {.paths = &path, .paths_count = 1};
    pb_ws_UpdateWorkflowExecutionOptionsRequest r = {.workflow_execution_options = &o, .update_mask = &mask, .identity = STR("op")};
    pb_ws_UpdateWorkflowExecutionOptionsResponse reply = {0};
    STEP(&w, result, execution_update_options(e, &step, &r, &reply));
    check_int(result, ERR_NONE);
    check_int(reply.workflow_execution_options->priority->priority_key, 2);
    check_history(&w, e, 3, "WorkflowExecutionOptionsUpdated");
    check(event_at(&w, e, 3)->worker_may_ignore && !event_at(&w, e, 2)->worker_may_ignore);
    path = STR("colour");
    STEP(&w, result, execution_update_options(e, &step, &r, &reply));
    check_int(result, ERR_INVALID);
    world_fini(&w);
}

static err update_start(struct world *w, const char *update_id, int32_t conflict, pb_ws_StartWorkflowExecutionResponse **reply, bool *is_start)
{
    pb_ws_StartWorkflowExecutionRequest *s = start_request(w, "wf");
    pb_update_Meta meta = {.update_id = str_of(update_id)};
    pb_update_Input input = {.name = STR("u")};
    pb_update_Request u = {.meta = &meta, .input = &input};
    struct execution *run;
    struct update_view view;
    err result;
    s->workflow_id_conflict_policy = conflict;
    STEP(w, result, workflow_update_with_start(&step, world_current(w, "wf"), s, &u, reply, &run, &view, is_start));
    return result;
}

TEST(f011_update_with_start)
{
    struct world w;
    pb_ws_StartWorkflowExecutionResponse *reply;
    bool is_start;
    world_init(&w, 1);
    check_int(update_start(&w, "", WORKFLOW_ID_CONFLICT_POLICY_FAIL, &reply, &is_start), ERR_INVALID);
    check(!is_start);
    check(world_current(&w, "wf") == NULL);
    check_int(update_start(&w, "u", WORKFLOW_ID_CONFLICT_POLICY_FAIL, &reply, &is_start), ERR_NONE);
    check(reply->started);
    struct execution *e = world_current(&w, "wf");
    check_int(take(&w, e).reply->messages_count, 1);
    check_int(update_start(&w, "v", WORKFLOW_ID_CONFLICT_POLICY_FAIL, &reply, &is_start), ERR_WORKFLOW_STARTED);
    check(is_start);
    check_int(update_start(&w, "u", WORKFLOW_ID_CONFLICT_POLICY_FAIL, &reply, &is_start), ERR_NONE); /* known already */
    check_int(update_start(&w, "v", WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, &reply, &is_start), ERR_NONE);
    check(!reply->started);
    check_int(w.next_run - 1, 1);
    world_fini(&w);
}

TEST_MAIN
