#include "history/harness.h"

#include "base/test.h"

enum { ADMITTED = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED, ACCEPTED = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED,
       DONE = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED };

/* ---- what workers answer ---- */

static pb_protocol_Message *message(struct world *w, pb_ws_RespondWorkflowTaskCompletedRequest *r, const char *update_id, const char *what,
                                    const char *type, struct str body)
{
    pb_protocol_Message *m = PB_PUSH_NEW(&w->arena, r, messages);
    m->id = arena_printf(&w->arena, "%s/%s", update_id, what);
    m->protocol_instance_id = str_of(update_id);
    m->body = pb_new(&w->arena, pb_google_Any);
    m->body->type_url = arena_printf(&w->arena, "type.googleapis.com/temporal.api.update.v1.%s", type);
    m->body->value = body;
    return m;
}

static void accepts(struct world *w, pb_ws_RespondWorkflowTaskCompletedRequest *r, const char *update_id)
{
    pb_update_Meta meta = {.update_id = str_of(update_id)};
    pb_update_Request request = {.meta = &meta};
    pb_update_Acceptance a = {.accepted_request_message_id = arena_printf(&w->arena, "%s/request", update_id), .accepted_request = &request};
    message(w, r, update_id, "accept", "Acceptance", PB_ENCODE_ARENA(pb_update_Acceptance, &a, &w->arena));
}

static void rejects(struct world *w, pb_ws_RespondWorkflowTaskCompletedRequest *r, const char *update_id)
{
    pb_update_Rejection a = {.failure = application_failure(w, "No", false)};
    message(w, r, update_id, "reject", "Rejection", PB_ENCODE_ARENA(pb_update_Rejection, &a, &w->arena));
}

static void answers(struct world *w, pb_ws_RespondWorkflowTaskCompletedRequest *r, const char *update_id)
{
    pb_update_Meta meta = {.update_id = str_of(update_id)};
    pb_update_Outcome outcome = {.value_case = pb_update_Outcome_success_tag, .success = payloads(w, "yes")};
    pb_update_Response a = {.meta = &meta, .outcome = &outcome};
    message(w, r, update_id, "complete", "Response", PB_ENCODE_ARENA(pb_update_Response, &a, &w->arena));
}

static pb_command_Command *place(struct world *w, const char *message_id)
{
    pb_command_Command *c = command_new(w, COMMAND_TYPE_PROTOCOL_MESSAGE);
    c->attributes_case = pb_command_Command_protocol_message_command_attributes_tag;
    c->protocol_message_command_attributes = pb_new(&w->arena, pb_command_ProtocolMessageCommandAttributes);
    c->protocol_message_command_attributes->message_id = str_of(message_id);
    return c;
}

/* A run that has been through its first task. */
static struct execution *idle(struct world *w)
{
    struct execution *e = start(w, "wf");
    check_int(done_nothing(w, take(w, e)), ERR_NONE);
    return e;
}

static int32_t stage(struct world *w, struct execution *e, const char *id)
{
    struct update_view v;
    return update_look(w, e, id, &v) == ERR_NONE ? v.stage : -1;
}

TEST(f073_the_way_of_an_update)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    struct execution *e = idle(&w);
    check_int(update_with(&w, e, "u", &v), ERR_NONE);
    check_int(v.stage, ADMITTED);
    check(!w.was_durable);
    check_int(event_count(&w, e), 4);
    struct taken t = take(&w, e);
    check_int(t.reply->messages_count, 1);
    check_str(t.reply->messages[0]->id, "u/request");
    check_int(t.reply->messages[0]->event_id, 5);
    check_int(t.reply->started_event_id, 6);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, COMMANDS(place(&w, "u/accept"), timer(&w, "t", 5), place(&w, "u/complete")));
    accepts(&w, r, "u");
    answers(&w, r, "u");
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check_history(&w, e, 5, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionUpdateAccepted TimerStarted WorkflowExecutionUpdateCompleted");
    check_int(update_look(&w, e, "u", &v), ERR_NONE);
    check_int(v.stage, DONE);
    check_str(v.outcome->success->payloads[0]->data, "yes");
    check_int(event_at(&w, e, 10)->workflow_execution_update_completed_event_attributes->accepted_event_id, 8);
    check_str(event_at(&w, e, 8)->workflow_execution_update_accepted_event_attributes->accepted_request->input->name, "u");
    world_crash(&w);
    e = world_current(&w, "wf");
    check_int(update_with(&w, e, "u", &v), ERR_NONE); /* the same id again: what came of it (F074) */
    check_int(v.stage, DONE);
    check_int(terminate(&w, e), ERR_NONE);
    check_int(update_look(&w, e, "u", &v), ERR_NONE);
    check_int(v.stage, DONE);
    world_fini(&w);
}

TEST(f027_rejected_updates_leave_no_trace)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    struct execution *e = idle(&w);
    check_int(update_with(&w, e, "u", &v), ERR_NONE);
    struct taken t = take(&w, e);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, 0, NULL);
    rejects(&w, r, "u");
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check(!w.was_durable);
    check_int(execution_next_event_id(e), 5);
    check_int(update_look(&w, e, "u", &v), ERR_NONE);
    check_int(v.stage, DONE);
    check_str(v.outcome->failure->application_failure_info->type, "No");
    check_int(update_with(&w, e, "u", &v), ERR_NONE); /* may be asked anew */
    check_int(v.stage, ADMITTED);
    world_fini(&w);
}

TEST(f027_a_speculative_task_stays_when_events_came_or_a_command_is_given)
{
    static const struct { const char *name; int what; const char *history; } rows[] = {
        {"a signal before it was taken", 0, "WorkflowTaskScheduled WorkflowExecutionSignaled WorkflowTaskStarted WorkflowTaskCompleted"},
        {"a signal while it ran", 1, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionSignaled WorkflowTaskScheduled"},
        {"a command", 2, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted TimerStarted"},
        {"nobody took it for five seconds", 3, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        struct update_view v;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = idle(&w);
        check_int(update_with(&w, e, "u", &v), ERR_NONE);
        if (rows[i].what == 0) check_int(signal_with(&w, e, "s", ""), ERR_NONE);
        if (rows[i].what == 3) world_advance(&w, duration_s(5));
        struct taken t = take(&w, e);
        if (rows[i].what == 1) check_int(signal_with(&w, e, "s", ""), ERR_NONE);
        pb_ws_RespondWorkflowTaskCompletedRequest *r = rows[i].what == 2 ? completion(&w, COMMANDS(timer(&w, "t", 100))) : completion(&w, 0, NULL);
        rejects(&w, r, "u");
        check_int(complete_with(&w, t, r, NULL), ERR_NONE);
        check_history(&w, e, 5, rows[i].history);
        world_fini(&w);
    }
}

TEST(f073_several_updates_go_together)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    struct execution *e = idle(&w);
    check_int(update_with(&w, e, "a", &v), ERR_NONE);
    check_int(update_with(&w, e, "b", &v), ERR_NONE);
    struct taken t = take(&w, e);
    check_int(t.reply->messages_count, 2);
    check_int(update_with(&w, e, "c", &v), ERR_NONE); /* comes too late for this task */
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, 0, NULL);
    accepts(&w, r, "a");
    rejects(&w, r, "b");
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check_int(stage(&w, e, "a"), ACCEPTED);
    check_int(stage(&w, e, "b"), DONE);
    check_int(stage(&w, e, "c"), ADMITTED);
    t = take(&w, e);
    check_int(t.reply->messages_count, 1);
    r = completion(&w, 0, NULL);
    accepts(&w, r, "c");
    answers(&w, r, "c");
    answers(&w, r, "a");
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check_int(stage(&w, e, "a"), DONE);
    check_int(stage(&w, e, "c"), DONE);
    world_fini(&w);
}

TEST(f074_a_worker_that_ignores_an_update_rejects_it)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    struct execution *e = idle(&w);
    check_int(update_with(&w, e, "u", &v), ERR_NONE);
    check_int(done_nothing(&w, take(&w, e)), ERR_NONE);
    check_int(update_look(&w, e, "u", &v), ERR_NONE);
    check_str(v.outcome->failure->application_failure_info->type, "UnprocessedUpdate");
    check_int(event_count(&w, e), 4);
    world_fini(&w);
}

TEST(f073_a_failed_task_takes_its_updates_along)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    struct execution *e = idle(&w);
    check_int(update_with(&w, e, "u", &v), ERR_NONE);
    check_int(fail_task(&w, take(&w, e)), ERR_NONE);
    check_history(&w, e, 5, "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed");
    struct taken t = take(&w, e);
    check_int(t.reply->attempt, 2);
    check_int(t.reply->messages_count, 1);
    check_int(fail_task(&w, t), ERR_NONE);
    check_int(update_with(&w, e, "v", &v), ERR_WORKFLOW_NOT_READY);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, 0, NULL);
    accepts(&w, r, "u");
    check_int(complete_with(&w, take(&w, e), r, NULL), ERR_NONE);
    check_int(stage(&w, e, "u"), ACCEPTED);
    world_fini(&w);
}

TEST(f075_updates_and_the_end_of_the_run)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    struct execution *e = idle(&w);
    check_int(update_with(&w, e, "accepted", &v), ERR_NONE);
    struct taken t = take(&w, e);
    check_int(update_with(&w, e, "late", &v), ERR_NONE);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, COMMANDS(succeed(&w, "x")));
    accepts(&w, r, "accepted");
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check_history(&w, e, 7, "WorkflowTaskCompleted WorkflowExecutionUpdateAccepted WorkflowExecutionCompleted");
    check_int(update_look(&w, e, "accepted", &v), ERR_NONE);
    check_str(v.outcome->failure->application_failure_info->type, "AcceptedUpdateCompletedWorkflow");
    check_int(update_look(&w, e, "late", &v), ERR_WORKFLOW_CLOSED);
    check_int(update_with(&w, e, "new", &v), ERR_WORKFLOW_CLOSED);
    check_int(update_look(&w, e, "unknown", &v), ERR_NOT_FOUND);
    pb_update_Meta meta = {.update_id = STR("accepted")};
    pb_update_Request request = {.meta = &meta};
    check(!update_is_known(e, &request)); /* an update-with-start begins a run of its own */
    world_fini(&w);
    world_init(&w, 2);
    e = idle(&w);
    signal_with(&w, e, "s", "");
    t = take(&w, e);
    check_int(update_with(&w, e, "u", &v), ERR_NONE);
    check_int(done(&w, t, continue_run(&w)), ERR_NONE);
    check_int(update_look(&w, e, "u", &v), ERR_BUSY_WORKFLOW); /* the next run may take it */
    world_fini(&w);
}

TEST(f076_limits)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    w.limits.updates_in_flight_max = 2;
    w.limits.updates_total_max = 2;
    struct execution *e = idle(&w);
    check_int(update_with(&w, e, "a", &v), ERR_NONE);
    check_int(update_with(&w, e, "b", &v), ERR_NONE);
    check_int(update_with(&w, e, "c", &v), ERR_LIMIT);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, 0, NULL);
    accepts(&w, r, "a");
    answers(&w, r, "a");
    accepts(&w, r, "b");
    answers(&w, r, "b");
    check_int(complete_with(&w, take(&w, e), r, NULL), ERR_NONE);
    check_int(update_with(&w, e, "c", &v), ERR_PRECONDITION);
    check_int(e->update_bytes, 0);
    check_int(e->admitted_count, 0);
    world_fini(&w);
}

TEST(f043_messages_that_make_no_sense_fail_the_task)
{
    static const struct { const char *name; int what; } rows[] = {
        {"a command for a message that is not there", 0}, {"acceptance of what nobody asked", 1}, {"an answer before the acceptance", 2},
        {"a body of another type", 3}, {"an answer without outcome", 4},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        struct update_view v;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = idle(&w);
        check_int(update_with(&w, e, "u", &v), ERR_NONE);
        struct taken t = take(&w, e);
        pb_ws_RespondWorkflowTaskCompletedRequest *r = rows[i].what == 0 ? completion(&w, COMMANDS(place(&w, "nope"))) : completion(&w, 0, NULL);
        pb_update_Acceptance lost = {0};
        if (rows[i].what == 1) message(&w, r, "other", "accept", "Acceptance", PB_ENCODE_ARENA(pb_update_Acceptance, &lost, &w.arena));
        if (rows[i].what == 2) answers(&w, r, "u");
        if (rows[i].what == 3) message(&w, r, "u", "x", "Input", STR_EMPTY);
        if (rows[i].what == 4) {
            accepts(&w, r, "u");
            message(&w, r, "u", "complete", "Response", STR_EMPTY);
        }
        check_int(complete_with(&w, t, r, NULL), ERR_INVALID);
        check_int(event_at(&w, e, -1)->workflow_task_failed_event_attributes->cause, WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE);
        check_int(stage(&w, e, "u"), ADMITTED);
        world_fini(&w);
    }
}

TEST(an_update_forgotten_in_a_crash_lives_on_when_its_worker_accepts_it)
{
    struct world w;
    struct update_view v;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(update_with(&w, e, "u", &v), ERR_NONE); /* goes with the first task */
    struct taken t = take(&w, e);
    check_int(t.reply->messages_count, 1);
    check_int(signal_with(&w, e, "s", ""), ERR_NONE); /* writes the start */
    world_crash(&w);
    e = t.e = world_current(&w, "wf");
    check_int(update_look(&w, e, "u", &v), ERR_NOT_FOUND);
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(&w, 0, NULL);
    accepts(&w, r, "u");
    check_int(complete_with(&w, t, r, NULL), ERR_NONE);
    check_int(stage(&w, e, "u"), ACCEPTED);
    world_fini(&w);
}

TEST_MAIN
