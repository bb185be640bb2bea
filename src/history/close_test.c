#include "history/harness.h"

#include "base/test.h"

static struct execution *begin(struct world *w, const char *cron, int32_t attempts)
{
    pb_ws_StartWorkflowExecutionRequest *r = start_request(w, "wf");
    pb_ws_StartWorkflowExecutionResponse *reply;
    r->cron_schedule = str_of(cron);
    r->input = payloads(w, "in");
    if (attempts != 0) {
        r->retry_policy = pb_new(&w->arena, pb_common_RetryPolicy);
        r->retry_policy->initial_interval = duration_of(&w->arena, 2 * NS_PER_S);
        r->retry_policy->maximum_attempts = attempts;
    }
    check_int(start_with(w, r, &reply), ERR_NONE);
    return world_current(w, "wf");
}

static const pb_history_WorkflowExecutionStartedEventAttributes *started(struct world *w, struct execution *e)
{
    return event_at(w, e, 1)->workflow_execution_started_event_attributes;
}

TEST(f005_a_failed_run_is_tried_again)
{
    struct world w;
    world_init(&w, 1);
    struct execution *first = begin(&w, "", 3), *e = first;
    for (int attempt = 1; attempt <= 3; attempt++) {
        check_int(started(&w, e)->attempt, attempt);
        check_int(done(&w, take(&w, e), fail_run(&w, "E")), ERR_NONE);
        const pb_history_WorkflowExecutionFailedEventAttributes *f = event_at(&w, e, -1)->workflow_execution_failed_event_attributes;
        check_int(f->retry_state, attempt < 3 ? RETRY_STATE_IN_PROGRESS : RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
        struct execution *next = world_current(&w, "wf");
        check_int(next != e, attempt < 3);
        if (next == e) break;
        check(str_equal(f->new_execution_run_id, execution_run_id(next)));
        check(str_equal(execution_first_run_id(next), execution_run_id(first)));
        check_int(started(&w, next)->initiator, CONTINUE_AS_NEW_INITIATOR_RETRY);
        check(started(&w, next)->continued_failure != NULL);
        check_str(started(&w, next)->input->payloads[0]->data, "in");
        check_int(ns_of(started(&w, next)->first_workflow_task_backoff), (2 << (attempt - 1)) * NS_PER_S);
        check(!has_task(&w, next));
        world_advance(&w, duration_s(2 << (attempt - 1)));
        e = next;
    }
    check_int(w.next_run - 1, 3);
    world_fini(&w);
}

TEST(f005_f039_what_ends_a_chain)
{
    static const struct { const char *name; int what; int32_t status; } rows[] = {
        {"success", 0, WORKFLOW_EXECUTION_STATUS_COMPLETED},
        {"cancellation", 1, WORKFLOW_EXECUTION_STATUS_CANCELED},
        {"termination", 2, WORKFLOW_EXECUTION_STATUS_TERMINATED},
        {"a non-retryable failure", 3, WORKFLOW_EXECUTION_STATUS_FAILED},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = begin(&w, "", 0 + 5);
        pb_command_Command *f = fail_run(&w, "E");
        f->fail_workflow_execution_command_attributes->failure->application_failure_info->non_retryable = true;
        if (rows[i].what == 0) check_int(done(&w, take(&w, e), succeed(&w, "x")), ERR_NONE);
        if (rows[i].what == 1) check_int(done(&w, take(&w, e), cancel_run(&w)), ERR_NONE);
        if (rows[i].what == 2) check_int(terminate(&w, e), ERR_NONE);
        if (rows[i].what == 3) check_int(done(&w, take(&w, e), f), ERR_NONE);
        check_int(execution_status(e), rows[i].status);
        check_int(w.next_run - 1, 1);
        world_fini(&w);
    }
}

TEST(f006_cron_runs_follow_each_other)
{
    struct world w;
    world_init(&w, 1);
    w.now.ns = INT64_C(1700000000) / 60 * 60 * NS_PER_S + 20 * NS_PER_S; /* 20 seconds past a minute */
    struct execution *e = begin(&w, "* * * * *", 0);
    check_int(ns_of(started(&w, e)->first_workflow_task_backoff), 40 * NS_PER_S);
    check_int(event_count(&w, e), 1);
    world_advance(&w, duration_s(45));
    check_int(done(&w, take(&w, e), succeed(&w, "one")), ERR_NONE);
    struct execution *next = world_current(&w, "wf");
    check(next != e);
    check(str_equal(event_at(&w, e, -1)->workflow_execution_completed_event_attributes->new_execution_run_id, execution_run_id(next)));
    check_int(started(&w, next)->initiator, CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE);
    check_int(ns_of(started(&w, next)->first_workflow_task_backoff), 55 * NS_PER_S);
    check_str(started(&w, next)->last_completion_result->payloads[0]->data, "one");
    world_advance(&w, duration_s(55));
    check_int(done(&w, take(&w, next), fail_run(&w, "E")), ERR_NONE);
    struct execution *third = world_current(&w, "wf");
    check_str(started(&w, third)->last_completion_result->payloads[0]->data, "one");
    check(started(&w, third)->continued_failure != NULL);
    check_int(terminate(&w, third), ERR_NONE);
    check(world_current(&w, "wf") == third);
    world_fini(&w);
}

TEST(f006_retries_come_before_the_schedule)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = begin(&w, "@every 1h", 2);
    world_advance(&w, duration_s(3600));
    check_int(done(&w, take(&w, e), fail_run(&w, "E")), ERR_NONE);
    struct execution *second = world_current(&w, "wf");
    check_int(started(&w, second)->initiator, CONTINUE_AS_NEW_INITIATOR_RETRY);
    world_advance(&w, duration_s(2));
    check_int(done(&w, take(&w, second), fail_run(&w, "E")), ERR_NONE);
    struct execution *third = world_current(&w, "wf");
    check_int(started(&w, third)->initiator, CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE);
    check_int(started(&w, third)->attempt, 1);
    world_fini(&w);
}

TEST(f007_continue_as_new)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = begin(&w, "", 0);
    check_int(done(&w, take(&w, e), continue_run(&w)), ERR_NONE);
    struct execution *next = world_current(&w, "wf");
    check_int(execution_status(e), WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW);
    const pb_history_WorkflowExecutionContinuedAsNewEventAttributes *c = event_at(&w, e, -1)->workflow_execution_continued_as_new_event_attributes;
    check(str_equal(c->new_execution_run_id, execution_run_id(next)));
    check_str(c->workflow_type->name, "W");
    check_int(c->initiator, 0); /* as the command says */
    const pb_history_WorkflowExecutionStartedEventAttributes *s = started(&w, next);
    check(str_equal(s->continued_execution_run_id, execution_run_id(e)));
    check(str_equal(s->first_execution_run_id, execution_run_id(e)));
    check_str(s->input->payloads[0]->data, "next");
    check_int(ns_of(s->first_workflow_task_backoff), NS_PER_S); /* runs begin a second apart */
    check(!has_task(&w, next));
    world_advance(&w, duration_s(1));
    world_advance(&w, duration_s(5));
    check_int(done(&w, take(&w, next), continue_run(&w)), ERR_NONE);
    check(has_task(&w, world_current(&w, "wf"))); /* this one lasted long enough */
    world_fini(&w);
}

TEST(f004_a_run_that_times_out_may_be_retried_an_execution_not)
{
    struct world w;
    world_init(&w, 1);
    pb_ws_StartWorkflowExecutionRequest *r = start_request(&w, "wf");
    pb_ws_StartWorkflowExecutionResponse *reply;
    r->workflow_run_timeout = duration_of(&w.arena, 5 * NS_PER_S);
    r->workflow_execution_timeout = duration_of(&w.arena, 8 * NS_PER_S);
    r->retry_policy = pb_new(&w.arena, pb_common_RetryPolicy);
    check_int(start_with(&w, r, &reply), ERR_NONE);
    struct execution *e = world_current(&w, "wf");
    take(&w, e);
    world_advance(&w, duration_s(5));
    check_history(&w, e, 3, "WorkflowTaskStarted WorkflowTaskFailed WorkflowExecutionTimedOut");
    check_int(event_at(&w, e, -1)->workflow_execution_timed_out_event_attributes->retry_state, RETRY_STATE_IN_PROGRESS);
    struct execution *next = world_current(&w, "wf");
    check(next != e);
    world_advance(&w, duration_s(3));
    check_int(execution_status(next), WORKFLOW_EXECUTION_STATUS_TIMED_OUT);
    check_int(event_at(&w, next, -1)->workflow_execution_timed_out_event_attributes->retry_state, RETRY_STATE_TIMEOUT);
    check(world_current(&w, "wf") == next);
    world_fini(&w);
}

TEST(f042_f044_memo_and_search_attributes_are_merged)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    for (int round = 0; round < 2; round++) {
        pb_command_Command *c = command_new(&w, COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES);
        c->attributes_case = pb_command_Command_upsert_workflow_search_attributes_command_attributes_tag;
        c->upsert_workflow_search_attributes_command_attributes = pb_new(&w.arena, pb_command_UpsertWorkflowSearchAttributesCommandAttributes);
        pb_common_SearchAttributes *s = c->upsert_workflow_search_attributes_command_attributes->search_attributes = pb_new(&w.arena, pb_common_SearchAttributes);
        pb_common_SearchAttributes_IndexedFieldsEntry *f = PB_PUSH_NEW(&w.arena, s, indexed_fields);
        f->key = STR("Kept");
        f->value = payloads(&w, round == 0 ? "1" : "2")->payloads[0];
        f = PB_PUSH_NEW(&w.arena, s, indexed_fields);
        f->key = STR("Gone");
        f->value = payloads(&w, "1")->payloads[0];
        if (round == 1) {
            pb_common_Payload_MetadataEntry *m = PB_PUSH_NEW(&w.arena, f->value, metadata);
            m->key = STR("encoding");
            m->value = STR("binary/null");
        }
        if (round == 1) signal_with(&w, e, "s", "");
        check_int(done(&w, take(&w, e), c), ERR_NONE);
        check_int(e->single[ITEM_ATTRIBUTES]->attributes->search_attributes->indexed_fields_count, 2 - round);
    }
    check_str(e->single[ITEM_ATTRIBUTES]->attributes->search_attributes->indexed_fields[0]->value->data, "2");
    world_fini(&w);
}

TEST_MAIN
