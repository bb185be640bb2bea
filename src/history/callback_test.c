#include "history/harness.h"

#include "base/test.h"

static pb_common_Callback *callback_to(struct world *w, const char *url)
{
    pb_common_Callback *c = pb_new(&w->arena, pb_common_Callback);
    c->variant_case = pb_common_Callback_nexus_tag;
    c->nexus = pb_new(&w->arena, pb_common_Callback_Nexus);
    c->nexus->url = str_of(url);
    return c;
}

static pb_ws_StartWorkflowExecutionRequest *with_callback(struct world *w, const char *url)
{
    pb_ws_StartWorkflowExecutionRequest *r = start_request(w, "wf");
    PB_PUSH(&w->arena, r, completion_callbacks) = callback_to(w, url);
    return r;
}

static struct execution *begin(struct world *w, pb_ws_StartWorkflowExecutionRequest *r)
{
    pb_ws_StartWorkflowExecutionResponse *reply;
    check_int(start_with(w, r, &reply), ERR_NONE);
    return world_current(w, "wf");
}

/* The oldest offer, in the driver's hands; NULL: none. */
static struct callback_effect *offered(struct world *w)
{
    struct list *link = list_pop(&w->callbacks);
    return link != NULL ? &container_of(link, struct world_callback, link)->effect : NULL;
}

static struct execution *run_of(struct world *w, const struct callback_effect *c)
{
    list_each(link, &w->runs) {
        struct world_run *r = container_of(link, struct world_run, link);
        if (r->key == c->run) return r->e;
    }
    return NULL;
}

static void answer(struct world *w, const struct callback_effect *c, enum callback_outcome outcome)
{
    struct step step;
    world_begin(w, &step);
    check_int(execution_callback_done(run_of(w, c), &step, c->number, c->attempt, outcome, STR("why"), duration_s(60)), ERR_NONE);
    world_end(w, &step);
}

static const pb_workflow_CallbackInfo *described(struct world *w, struct execution *e, size_t index)
{
    pb_ws_DescribeWorkflowExecutionResponse *reply = pb_new(&w->arena, pb_ws_DescribeWorkflowExecutionResponse);
    execution_describe(e, w->now, &w->arena, reply);
    check(index < reply->callbacks_count);
    return reply->callbacks[index];
}

TEST(f020_every_end_of_a_run_is_told)
{
    static const struct { const char *name; int what; int32_t type; } rows[] = {
        {"completed", 0, EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED}, {"failed", 1, EVENT_TYPE_WORKFLOW_EXECUTION_FAILED},
        {"canceled", 2, EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED},   {"terminated", 3, EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED},
        {"timed out", 4, EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        pb_ws_StartWorkflowExecutionRequest *r = with_callback(&w, "http://a/");
        r->workflow_run_timeout = duration_of(&w.arena, 5 * NS_PER_S);
        struct execution *e = begin(&w, r);
        check_int(described(&w, e, 0)->state, CALLBACK_STATE_STANDBY);
        check(offered(&w) == NULL);
        if (rows[i].what == 0) check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
        if (rows[i].what == 1) check_int(done(&w, take(&w, e), fail_run(&w, "E")), ERR_NONE);
        if (rows[i].what == 2) check_int(done(&w, take(&w, e), cancel_run(&w)), ERR_NONE);
        if (rows[i].what == 3) check_int(terminate(&w, e), ERR_NONE);
        if (rows[i].what == 4) world_advance(&w, duration_s(6));
        check_int(described(&w, e, 0)->state, CALLBACK_STATE_SCHEDULED);
        check(!execution_is_evictable(e));
        struct callback_effect *c = offered(&w);
        struct callback_view view;
        check(c != NULL);
        check(execution_callback(e, c->number, c->attempt, &w.arena, &view));
        check_int(event_at(&w, e, view.close_event_id)->event_type, rows[i].type);
        check_str(view.callback->nexus->url, "http://a/");
        answer(&w, c, CALLBACK_DELIVERED);
        check(!execution_callback(e, c->number, c->attempt, &w.arena, &view));
        check_int(described(&w, e, 0)->state, CALLBACK_STATE_SUCCEEDED);
        check_int(described(&w, e, 0)->attempt, 1);
        check(execution_is_evictable(e));
        check(execution_next_wake(e).ns == instant_add(execution_close_time(e), w.ns.retention).ns);
        world_fini(&w);
    }
}

TEST(f020_attempts_go_on_with_longer_pauses_until_one_is_answered)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = begin(&w, with_callback(&w, "http://a/"));
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    int64_t pause = NS_PER_S;
    for (int attempt = 1; attempt <= 20; attempt++) {
        struct callback_effect *c = offered(&w);
        check(c != NULL);
        check_int(c->attempt, attempt - 1);
        answer(&w, c, CALLBACK_FAILED);
        answer(&w, c, CALLBACK_DELIVERED); /* an answer that comes again, or late, counts no more */
        const pb_workflow_CallbackInfo *info = described(&w, e, 0);
        check_int(info->state, CALLBACK_STATE_BACKING_OFF);
        check_int(info->attempt, attempt);
        check_str(info->last_attempt_failure->message, "why");
        int64_t waited = instant_of(info->next_attempt_schedule_time).ns - w.now.ns;
        check(waited >= pause - pause / 5 && waited <= pause);
        check(offered(&w) == NULL);
        world_advance(&w, (duration){waited});
        pause = pause * 2 < 3600 * NS_PER_S ? pause * 2 : 3600 * NS_PER_S;
    }
    answer(&w, offered(&w), CALLBACK_REFUSED);
    check_int(described(&w, e, 0)->state, CALLBACK_STATE_FAILED);
    world_advance(&w, duration_s(7200));
    check(offered(&w) == NULL);
    world_fini(&w);
}

TEST(f020_a_blocked_callback_counts_no_attempt)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = begin(&w, with_callback(&w, "http://a/"));
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    answer(&w, offered(&w), CALLBACK_BLOCKED);
    check_int(described(&w, e, 0)->state, CALLBACK_STATE_BLOCKED);
    check_str(described(&w, e, 0)->blocked_reason, "why");
    check_int(described(&w, e, 0)->attempt, 0);
    world_advance(&w, duration_s(61));
    struct callback_effect *c = offered(&w);
    check(c != NULL);
    check_int(c->attempt, 0);
    check_str(described(&w, e, 0)->blocked_reason, "");
    world_fini(&w);
}

TEST(f020_what_a_crash_takes_from_the_driver_is_offered_again)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = begin(&w, with_callback(&w, "http://a/"));
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    world_crash(&w);
    e = world_current(&w, "wf");
    struct callback_effect *c = offered(&w);
    check(c != NULL);
    answer(&w, c, CALLBACK_FAILED);
    world_crash(&w);
    check(offered(&w) == NULL);
    world_advance(&w, duration_s(2));
    c = offered(&w);
    check(c != NULL);
    check_int(c->attempt, 1);
    answer(&w, c, CALLBACK_DELIVERED);
    world_crash(&w);
    check(offered(&w) == NULL);
    check_int(described(&w, world_current(&w, "wf"), 0)->state, CALLBACK_STATE_SUCCEEDED);
    world_fini(&w);
}

TEST(f020_the_end_of_a_chain_is_told_once)
{
    struct world w;
    world_init(&w, 1);
    pb_ws_StartWorkflowExecutionRequest *r = with_callback(&w, "http://a/");
    r->retry_policy = pb_new(&w.arena, pb_common_RetryPolicy);
    r->retry_policy->maximum_attempts = 2;
    struct execution *first = begin(&w, r);
    check_int(done(&w, take(&w, first), fail_run(&w, "E")), ERR_NONE);
    check(offered(&w) == NULL);
    struct execution *second = world_current(&w, "wf");
    check_int(event_at(&w, second, 1)->workflow_execution_started_event_attributes->completion_callbacks_count, 1);
    world_advance(&w, duration_s(2));
    check_int(done(&w, take(&w, second), continue_run(&w)), ERR_NONE);
    check(offered(&w) == NULL);
    check_int(described(&w, first, 0)->state, CALLBACK_STATE_STANDBY);
    check_int(described(&w, second, 0)->state, CALLBACK_STATE_STANDBY);
    world_advance(&w, duration_s(2));
    struct execution *third = world_current(&w, "wf");
    check_int(done(&w, take(&w, third), succeed(&w, "x")), ERR_NONE);
    struct callback_effect *c = offered(&w);
    check(c != NULL);
    check(run_of(&w, c) == third);
    check(offered(&w) == NULL);
    world_fini(&w);
}

static struct execution *reset(struct world *w, struct execution *base, int64_t point)
{
    pb_ws_ResetWorkflowExecutionRequest r = {.request_id = STR("reset-1"), .reason = STR("because"), .workflow_task_finish_event_id = point};
    pb_ws_ResetWorkflowExecutionResponse reply = {0};
    struct step step;
    struct execution *run;
    world_begin(w, &step);
    check_int(workflow_reset(&step, base, world_current(w, "wf"), &r, history_of(w, base), NULL, &reply, &run), ERR_NONE);
    world_end(w, &step);
    return world_current(w, "wf");
}

TEST(f014_f020_after_a_reset_the_new_run_tells)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = begin(&w, with_callback(&w, "http://a/"));
    check_int(done(&w, take(&w, base), timer(&w, "t", 100)), ERR_NONE);
    pb_ws_StartWorkflowExecutionRequest *again = with_callback(&w, "http://b/");
    again->workflow_id_conflict_policy = WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING;
    again->on_conflict_options = pb_new(&w.arena, pb_workflow_OnConflictOptions);
    again->on_conflict_options->attach_request_id = again->on_conflict_options->attach_completion_callbacks = true;
    check(begin(&w, again) == base);
    struct execution *e = reset(&w, base, 4);
    check_int(execution_status(base), WORKFLOW_EXECUTION_STATUS_TERMINATED);
    check(offered(&w) == NULL); /* the base run has been replaced: it is not the end */
    check_history(&w, e, 4, "WorkflowTaskFailed WorkflowExecutionOptionsUpdated WorkflowTaskScheduled");
    check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
    struct callback_effect *one = offered(&w), *two = offered(&w);
    struct callback_view view;
    check(one != NULL && two != NULL);
    check(execution_callback(e, one->number, 0, &w.arena, &view));
    check_str(view.callback->nexus->url, "http://a/");
    check(execution_callback(e, two->number, 0, &w.arena, &view));
    check_str(view.callback->nexus->url, "http://b/");
    world_fini(&w);
}

TEST_MAIN
