#include "base/test.h"

#include "core/echo.h"

#include <dirent.h>

static const char *data_dir; /* argv is the test filter, so the folder comes from the environment */

struct fixture {
    struct arena arena;
    pb_core_WorkerOptions options;
    pb_history_History *history;
    struct echo echo;
    struct run *run;
    struct buf activation;
    int activation_count;
};

static void fixture_init(struct fixture *f, const char *name)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, 0, 0);
    if (data_dir == NULL) data_dir = getenv("CORE_TESTDATA");
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", data_dir != NULL ? data_dir : "src/core/testdata", name);
    f->history = echo_load(path, &f->arena);
    if (f->history == NULL) {
        fprintf(stderr, "no history at %s\n", path);
        abort();
    }
    f->options.namespace = STR("default");
    f->options.task_queue = STR("queue");
    f->options.is_replayer = true;
    echo_init(&f->echo, f->history);
    f->run = run_create(STR("run"), STR("workflow"), &f->options);
}

static void fixture_fini(struct fixture *f)
{
    run_destroy(f->run);
    echo_fini(&f->echo);
    buf_fini(&f->activation);
    arena_fini(&f->arena);
}

static void add_task(struct fixture *f, pb_ws_PollWorkflowTaskQueueResponse *poll)
{
    pb_common_WorkflowExecution execution = {.workflow_id = STR("workflow"), .run_id = STR("run")};
    struct run_task *task;
    poll->task_token = STR("token");
    poll->workflow_execution = &execution;
    check(run_task_create_nested(poll, (instant){NS_PER_S}, &task) == ERR_NONE);
    run_add_task(f->run, task);
}

static err answer(struct fixture *f)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_core_Completion *c = echo_answer(&f->echo, buf_view(&f->activation), &arena);
    check(c != NULL);
    struct buf copy = f->activation; /* the completion points into it */
    f->activation = (struct buf){0};
    err e = run_complete(f->run, c, &arena, copy.data, (instant){NS_PER_S});
    arena_fini(&arena);
    f->activation_count++;
    return e;
}

/* Plays on until something other than activations is wanted. */
static enum run_want play(struct fixture *f)
{
    enum run_want want;
    for (int i = 0; i < 1000; i++) {
        buf_clear(&f->activation);
        want = run_step(f->run, (instant){NS_PER_S}, &f->activation);
        if (want != RUN_ACTIVATE) return want;
        if (answer(f) != ERR_NONE) return RUN_FAILED;
    }
    check(!"the run never comes to an end");
    return RUN_FAILED;
}

static enum run_want replay(struct fixture *f)
{
    pb_ws_PollWorkflowTaskQueueResponse poll = {.history = f->history};
    add_task(f, &poll);
    enum run_want want = play(f);
    const struct run_failure *failure = run_failure(f->run);
    if (failure != NULL && f->echo.edit == NULL) fprintf(stderr, "%.*s\n", STR_ARG(failure->message));
    return want;
}

static int event_count(const pb_history_History *h, int32_t type)
{
    int count = 0;
    for (size_t i = 0; i < h->events_count; i++) count += h->events[i]->event_type == type;
    return count;
}

static void for_each_history(void (*run)(const char *name))
{
    struct dirent **names;
    if (data_dir == NULL) data_dir = getenv("CORE_TESTDATA");
    int count = scandir(data_dir != NULL ? data_dir : "src/core/testdata", &names, NULL, alphasort);
    int ran = 0;
    for (int i = 0; i < count; i++) {
        size_t size = strlen(names[i]->d_name);
        if (size > 5 && strcmp(names[i]->d_name + size - 5, ".json") == 0) {
            test_row = names[i]->d_name;
            run(names[i]->d_name);
            ran++;
        }
        test_row = NULL;
        free(names[i]);
    }
    if (count >= 0) free(names);
    check(ran >= 30);
}

static void replay_one(const char *name)
{
    struct fixture f;
    fixture_init(&f, name);
    check_int(replay(&f), RUN_REPLAYED);
    check_int(f.echo.job_counts[pb_core_Job_initialize_workflow_tag], 1);
    check_int(f.echo.job_counts[pb_core_Job_fire_timer_tag], event_count(f.history, EVENT_TYPE_TIMER_FIRED));
    check_int(f.echo.job_counts[pb_core_Job_do_update_tag], event_count(f.history, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED));
    check_int(f.echo.job_counts[pb_core_Job_signal_workflow_tag], event_count(f.history, EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED));
    check(f.activation_count > 0);
    fixture_fini(&f);
}

TEST(recorded_histories_replay)
{
    for_each_history(replay_one);
}

/* ---- live: the same histories as they once came, one workflow task after the other -------------------------------- */

static int32_t event_of_command(int32_t type, const pb_command_Command *c)
{
    switch (type) {
    case COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: return EVENT_TYPE_ACTIVITY_TASK_SCHEDULED;
    case COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: return EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED;
    case COMMAND_TYPE_START_TIMER: return EVENT_TYPE_TIMER_STARTED;
    case COMMAND_TYPE_CANCEL_TIMER: return EVENT_TYPE_TIMER_CANCELED;
    case COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: return EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED;
    case COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: return EVENT_TYPE_WORKFLOW_EXECUTION_FAILED;
    case COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: return EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED;
    case COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: return EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW;
    case COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: return EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED;
    case COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: return EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED;
    case COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: return EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED;
    case COMMAND_TYPE_RECORD_MARKER: return EVENT_TYPE_MARKER_RECORDED;
    case COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: return EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES;
    case COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: return EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED;
    case COMMAND_TYPE_PROTOCOL_MESSAGE:
        return memmem(c->protocol_message_command_attributes->message_id.data, c->protocol_message_command_attributes->message_id.size,
                      "/accept", 7) != NULL ? EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED : EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED;
    default: return 0;
    }
}

/* The updates that this workflow task accepts came with it as messages. */
static void add_messages(struct fixture *f, pb_ws_PollWorkflowTaskQueueResponse *poll, size_t completed_at)
{
    for (size_t i = completed_at + 1; i < f->history->events_count; i++) {
        const pb_history_HistoryEvent *e = f->history->events[i];
        if (e->event_type == EVENT_TYPE_WORKFLOW_TASK_SCHEDULED) break;
        if (e->event_type != EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) continue;
        const pb_history_WorkflowExecutionUpdateAcceptedEventAttributes *a = e->workflow_execution_update_accepted_event_attributes;
        pb_protocol_Message *m = PB_PUSH_NEW(&f->arena, poll, messages);
        m->id = a->accepted_request_message_id;
        m->protocol_instance_id = a->protocol_instance_id;
        m->sequencing_id_case = pb_protocol_Message_event_id_tag;
        m->event_id = a->accepted_request_sequencing_event_id;
        m->body = pb_new(&f->arena, pb_google_Any);
        m->body->type_url = STR("type.googleapis.com/temporal.api.update.v1.Request");
        m->body->value = PB_ENCODE_ARENA(pb_update_Request, a->accepted_request, &f->arena);
    }
}

/* Gives the local activities that run the results the next markers speak of. */
static void finish_locals(struct fixture *f, size_t completed_at)
{
    struct run_local local;
    while (run_take_local(f->run, (instant){NS_PER_S}, &local)) {}
    for (size_t i = completed_at + 1; i < f->history->events_count; i++) {
        const pb_history_HistoryEvent *e = f->history->events[i];
        if (e->event_type == EVENT_TYPE_WORKFLOW_TASK_SCHEDULED) break;
        if (e->event_type != EVENT_TYPE_MARKER_RECORDED) continue;
        const pb_history_MarkerRecordedEventAttributes *m = e->marker_recorded_event_attributes;
        struct run_local_result result = {.attempt = 1, .failure = m->failure,
            .outcome_case = m->failure != NULL ? pb_core_ResolveActivity_failed_tag : pb_core_ResolveActivity_completed_tag};
        for (size_t d = 0; d < m->details_count; d++) {
            const struct str data = m->details[d]->value->payloads[0]->data;
            if (str_equal_c(m->details[d]->key, "result")) result.result = m->details[d]->value->payloads[0];
            const char *seq = str_equal_c(m->details[d]->key, "data") ? memmem(data.data, data.size, "\"seq\":", 6) : NULL;
            if (seq != NULL) result.seq = (uint32_t)strtoul(seq + 6, NULL, 10);
        }
        bool is_done = false;
        for (size_t k = 0; k < f->echo.local_done_count; k++) is_done |= f->echo.local_done[k] == result.seq;
        if (result.seq == 0 || is_done) continue;
        run_resolve_local(f->run, &result, (instant){NS_PER_S});
        return;
    }
    run_heartbeat(f->run);
}

static void check_commands(struct fixture *f, const pb_ws_RespondWorkflowTaskCompletedRequest *r, size_t completed_at)
{
    size_t at = completed_at + 1;
    for (size_t i = 0; i < r->commands_count; i++, at++) {
        int32_t type = at < f->history->events_count ? f->history->events[at]->event_type : 0;
        check_int(event_of_command(r->commands[i]->command_type, r->commands[i]), type);
    }
    size_t scheduled = 0;
    for (size_t i = completed_at + 1; i < at && i < f->history->events_count; i++)
        scheduled += f->history->events[i]->event_type == EVENT_TYPE_WORKFLOW_TASK_SCHEDULED;
    check_int(scheduled, 0);
}

static void live_one(const char *name)
{
    struct fixture f;
    fixture_init(&f, name);
    f.options.is_replayer = false;
    size_t first = 0;
    for (size_t i = 0; i + 1 < f.history->events_count; i++) {
        if (f.history->events[i]->event_type != EVENT_TYPE_WORKFLOW_TASK_STARTED ||
            f.history->events[i + 1]->event_type != EVENT_TYPE_WORKFLOW_TASK_COMPLETED) continue;
        pb_history_History part = {0};
        PB_SET_ARRAY(&part, events, f.history->events + first, i + 1 - first);
        pb_ws_PollWorkflowTaskQueueResponse poll = {.history = &part, .started_event_id = f.history->events[i]->event_id};
        add_messages(&f, &poll, i + 1);
        add_task(&f, &poll);
        enum run_want want;
        while ((want = play(&f)) == RUN_WAIT_LOCAL) finish_locals(&f, i + 1);
        check_int(want, RUN_RESPOND);
        if (want != RUN_RESPOND) {
            const struct run_failure *failure = run_failure(f.run);
            if (failure != NULL) fprintf(stderr, "%s: %.*s\n", name, STR_ARG(failure->message));
            break;
        }
        struct arena arena;
        arena_init(&arena, 0, 0);
        pb_ws_RespondWorkflowTaskCompletedRequest request = {0};
        int slots = 0;
        run_build_response(f.run, &arena, &slots, true, &request);
        struct buf bytes = {0};
        PB_ENCODE(pb_ws_RespondWorkflowTaskCompletedRequest, &request, &bytes);
        check_commands(&f, &request, i + 1);
        buf_fini(&bytes);
        run_task_done(f.run, 0);
        arena_fini(&arena);
        first = i + 1;
    }
    fixture_fini(&f);
}

TEST(recorded_histories_come_about_again_when_played_live)
{
    for_each_history(live_one);
}

/* ---- non-determinism ---------------------------------------------------------------------------------------------- */

struct edit { int index; enum { LEAVE_OUT, RENAME, REPLACE } how; struct arena arena; };

static bool edit_one(void *arg, pb_core_Command *c, int index)
{
    struct edit *edit = arg;
    if (index != edit->index) return true;
    if (edit->how == LEAVE_OUT) return false;
    if (edit->how == RENAME && c->variant_case == pb_core_Command_schedule_activity_tag) {
        c->schedule_activity->activity_type = STR("another");
        return true;
    }
    c->variant_case = pb_core_Command_upsert_search_attributes_tag;
    c->upsert_search_attributes = pb_new(&edit->arena, pb_core_UpsertSearchAttributes);
    return true;
}

static void expect_divergence(const char *name, int index, int how, const char *words)
{
    struct fixture f;
    fixture_init(&f, name);
    struct edit edit = {.index = index, .how = how};
    arena_init(&edit.arena, 0, 0);
    f.echo.edit = edit_one;
    f.echo.edit_arg = &edit;
    check_int(replay(&f), RUN_FAILED);
    const struct run_failure *failure = run_failure(f.run);
    check(failure != NULL && failure->is_nondeterminism);
    if (failure != NULL) {
        bool says = memmem(failure->message.data, failure->message.size, words, strlen(words)) != NULL;
        check(says);
        if (!says) fprintf(stderr, "    it says: %.*s\n", STR_ARG(failure->message));
    }
    arena_fini(&edit.arena);
    fixture_fini(&f);
}

TEST(a_command_that_history_does_not_have_is_named_with_its_event)
{
    static const struct { const char *row, *history; int index, how; const char *words; } rows[] = {
        {"an activity left out", "hello.json", 0, LEAVE_OUT, "event 5 (ActivityTaskScheduled) has no command"},
        {"an activity of another type", "hello.json", 0, RENAME, "of type \"say\", the workflow code schedules the activity \"1\" of type \"another\""},
        {"another command in its place", "hello.json", 0, REPLACE, "event 5 (ActivityTaskScheduled) does not come from the next command"},
        {"a timer left out", "timers.json", 0, LEAVE_OUT, "event 5 (TimerStarted) has no command"},
        {"the end left out", "hello.json", 1, LEAVE_OUT, "event 11 (WorkflowExecutionCompleted) has no command"},
        {"one too early", "timers.json", 1, LEAVE_OUT, "event 10 starts the timer \"2\", the workflow code starts the timer \"3\""},
        {"a child left out", "child_ok.json", 0, LEAVE_OUT, "event 5 (StartChildWorkflowExecutionInitiated) has no command"},
        {"a patch left out", "patched.json", 0, LEAVE_OUT, "event 5 (MarkerRecorded) does not come from the next command"},
        {"a signal replaced", "external.json", 0, REPLACE, "event 5 (SignalExternalWorkflowExecutionInitiated) does not come from"},
        {"an update not accepted", "updates.json", 0, LEAVE_OUT, "completed before it was accepted"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].row;
        if (i + 1 == countof(rows)) {
            struct fixture f;
            fixture_init(&f, rows[i].history);
            struct edit edit = {.index = 0, .how = LEAVE_OUT};
            f.echo.edit = edit_one;
            f.echo.edit_arg = &edit;
            check_int(replay(&f), RUN_FAILED);
            check(run_failure(f.run) != NULL && !run_failure(f.run)->is_nondeterminism);
            fixture_fini(&f);
            continue;
        }
        expect_divergence(rows[i].history, rows[i].index, rows[i].how, rows[i].words);
    }
}

TEST(a_deprecated_patch_is_not_missed)
{
    struct fixture f;
    fixture_init(&f, "patched.json");
    struct edit edit = {.index = 2, .how = LEAVE_OUT}; /* the marker of p2, which is deprecated */
    f.echo.edit = edit_one;
    f.echo.edit_arg = &edit;
    check_int(replay(&f), RUN_REPLAYED);
    check_int(f.echo.job_counts[pb_core_Job_notify_has_patch_tag], 3);
    fixture_fini(&f);
}

/* ---- history in pieces -------------------------------------------------------------------------------------------- */

static void add_page(struct fixture *f, size_t first, size_t count, const char *token)
{
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f->history->events + first, count);
    pb_ws_GetWorkflowExecutionHistoryResponse page = {.history = &part, .next_page_token = str_of(token)};
    struct buf bytes = {0};
    PB_ENCODE(pb_ws_GetWorkflowExecutionHistoryResponse, &page, &bytes);
    check(run_add_page(f->run, buf_view(&bytes)) == ERR_NONE);
    buf_fini(&bytes);
}

static void paged_one(const char *name)
{
    for (size_t size = 1; size < 6; size++) {
        struct fixture f;
        fixture_init(&f, name);
        size_t at = size_min(size, f.history->events_count);
        pb_history_History part = {0};
        PB_SET_ARRAY(&part, events, f.history->events, at);
        pb_ws_PollWorkflowTaskQueueResponse poll = {.history = &part, .next_page_token = at < f.history->events_count ? STR("next") : STR_EMPTY};
        add_task(&f, &poll);
        enum run_want want;
        while ((want = play(&f)) == RUN_FETCH) {
            check_str(run_page_token(f.run), "next");
            size_t count = size_min(size, f.history->events_count - at);
            add_page(&f, at, count, at + count < f.history->events_count ? "next" : "");
            at += count;
        }
        check_int(want, RUN_REPLAYED);
        fixture_fini(&f);
    }
}

TEST(histories_replay_in_pages_of_any_size)
{
    for_each_history(paged_one);
}

TEST(a_partial_history_of_an_unknown_run_is_completed_from_the_start)
{
    struct fixture f;
    fixture_init(&f, "hello.json");
    f.options.is_replayer = false;
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events + 3, 6); /* events 4 to 9: a second workflow task */
    pb_ws_PollWorkflowTaskQueueResponse poll = {.history = &part, .started_event_id = 9};
    add_task(&f, &poll);
    check_int(play(&f), RUN_FETCH);
    check_str(run_page_token(f.run), "");
    add_page(&f, 0, 2, "more");
    check_int(play(&f), RUN_FETCH);
    check_str(run_page_token(f.run), "more");
    add_page(&f, 2, 3, "more"); /* overlaps with what the task brought */
    check_int(play(&f), RUN_RESPOND);
    check_int(f.activation_count, 2);
    fixture_fini(&f);
}

TEST(history_that_does_not_follow_what_is_cached_asks_for_a_rebuild)
{
    struct fixture f;
    fixture_init(&f, "timers.json");
    f.options.is_replayer = false;
    pb_history_History part = {0};
    PB_SET_ARRAY(&part, events, f.history->events, 3);
    pb_ws_PollWorkflowTaskQueueResponse poll = {.history = &part, .started_event_id = 3};
    add_task(&f, &poll);
    check_int(play(&f), RUN_RESPOND);
    run_task_done(f.run, 0);
    PB_SET_ARRAY(&part, events, f.history->events + 8, 6); /* a gap of five events */
    poll.started_event_id = 14;
    add_task(&f, &poll);
    check_int(play(&f), RUN_REBUILD);
    struct run_task *task = run_take_task(f.run);
    check(task != NULL);
    if (task != NULL) run_task_destroy(task);
    fixture_fini(&f);
}

/* ---- queries ------------------------------------------------------------------------------------------------------ */

TEST(a_query_is_answered_at_the_end_of_a_replay)
{
    struct fixture f;
    fixture_init(&f, "hello.json");
    f.options.is_replayer = false;
    pb_query_WorkflowQuery query = {.query_type = STR("state")};
    pb_ws_PollWorkflowTaskQueueResponse poll = {.history = f.history, .query = &query};
    add_task(&f, &poll);
    check_int(play(&f), RUN_ANSWER_QUERY);
    check_int(f.echo.job_counts[pb_core_Job_query_workflow_tag], 1);
    const pb_core_RespondQuery *r = run_query_answer(f.run);
    check(r != NULL && str_equal_c(r->succeeded->data, "42"));
    run_task_done(f.run, 0);
    poll.history = NULL; /* and again, from the cache */
    add_task(&f, &poll);
    check_int(play(&f), RUN_ANSWER_QUERY);
    check_int(f.activation_count, 4);
    fixture_fini(&f);
}

/* ---- nexus operations: there is no recording of them, so their histories are written here ------------------------- */

static pb_history_HistoryEvent *add_event(struct arena *a, pb_history_History *h, int32_t type, int32_t tag, void *attributes)
{
    pb_history_HistoryEvent *e = PB_PUSH_NEW(a, h, events);
    e->event_id = (int64_t)h->events_count;
    e->event_type = type;
    e->attributes_case = tag;
    e->workflow_execution_started_event_attributes = attributes; /* every member of the union is a pointer */
    return e;
}
#define ADD(a, h, TYPE, field, Name) \
    ((pb_history_##Name##EventAttributes *)add_event((a), (h), EVENT_TYPE_##TYPE, pb_history_HistoryEvent_##field##_event_attributes_tag, \
                                                     pb_new((a), pb_history_##Name##EventAttributes))->workflow_execution_started_event_attributes)

static void add_workflow_task(struct arena *a, pb_history_History *h)
{
    (void)ADD(a, h, WORKFLOW_TASK_SCHEDULED, workflow_task_scheduled, WorkflowTaskScheduled);
    (void)ADD(a, h, WORKFLOW_TASK_STARTED, workflow_task_started, WorkflowTaskStarted);
    (void)ADD(a, h, WORKFLOW_TASK_COMPLETED, workflow_task_completed, WorkflowTaskCompleted);
}

struct nexus_row { const char *row; bool is_started; int32_t end; int32_t start_outcome, outcome; };

/* start, workflow task, operation 5, started 6 (or not), its end, workflow task, the end of the workflow */
static pb_history_History *nexus_history(struct arena *a, const struct nexus_row *row)
{
    pb_history_History *h = pb_new(a, pb_history_History);
    (void)ADD(a, h, WORKFLOW_EXECUTION_STARTED, workflow_execution_started, WorkflowExecutionStarted);
    add_workflow_task(a, h);
    pb_history_NexusOperationScheduledEventAttributes *s = (void *)ADD(a, h, NEXUS_OPERATION_SCHEDULED, nexus_operation_scheduled, NexusOperationScheduled);
    s->service = STR("service");
    s->operation = STR("operation");
    if (row->is_started)
        ((pb_history_NexusOperationStartedEventAttributes *)(void *)ADD(a, h, NEXUS_OPERATION_STARTED, nexus_operation_started, NexusOperationStarted))->scheduled_event_id = 5;
    if (row->end == EVENT_TYPE_NEXUS_OPERATION_COMPLETED)
        ((pb_history_NexusOperationCompletedEventAttributes *)(void *)ADD(a, h, NEXUS_OPERATION_COMPLETED, nexus_operation_completed, NexusOperationCompleted))->scheduled_event_id = 5;
    else if (row->end == EVENT_TYPE_NEXUS_OPERATION_FAILED)
        ((pb_history_NexusOperationFailedEventAttributes *)(void *)ADD(a, h, NEXUS_OPERATION_FAILED, nexus_operation_failed, NexusOperationFailed))->scheduled_event_id = 5;
    else if (row->end == EVENT_TYPE_NEXUS_OPERATION_CANCELED)
        ((pb_history_NexusOperationCanceledEventAttributes *)(void *)ADD(a, h, NEXUS_OPERATION_CANCELED, nexus_operation_canceled, NexusOperationCanceled))->scheduled_event_id = 5;
    else
        ((pb_history_NexusOperationTimedOutEventAttributes *)(void *)ADD(a, h, NEXUS_OPERATION_TIMED_OUT, nexus_operation_timed_out, NexusOperationTimedOut))->scheduled_event_id = 5;
    add_workflow_task(a, h);
    (void)ADD(a, h, WORKFLOW_EXECUTION_COMPLETED, workflow_execution_completed, WorkflowExecutionCompleted);
    return h;
}

static void check_nexus_jobs(struct fixture *f, const struct nexus_row *row)
{
    pb_core_Activation *a;
    int32_t start = 0, end = 0;
    check(PB_DECODE(&f->arena, buf_view(&f->activation), pb_core_Activation, &a) == ERR_NONE);
    for (size_t i = 0; i < a->jobs_count; i++) {
        if (a->jobs[i]->variant_case == pb_core_Job_resolve_nexus_start_tag) start = a->jobs[i]->resolve_nexus_start->outcome_case;
        if (a->jobs[i]->variant_case == pb_core_Job_resolve_nexus_tag) end = a->jobs[i]->resolve_nexus->outcome_case;
    }
    check_int(start, row->start_outcome);
    check_int(end, row->outcome);
}

TEST(a_nexus_operation_is_told_its_start_and_its_end)
{
    enum { TOKEN = pb_core_ResolveNexusStart_operation_token_tag, SYNC = pb_core_ResolveNexusStart_started_sync_tag,
           START_FAILED = pb_core_ResolveNexusStart_failed_tag };
    static const struct nexus_row rows[] = {
        {"started, then completed", true, EVENT_TYPE_NEXUS_OPERATION_COMPLETED, TOKEN, pb_core_ResolveNexus_completed_tag},
        {"completed at once", false, EVENT_TYPE_NEXUS_OPERATION_COMPLETED, SYNC, pb_core_ResolveNexus_completed_tag},
        {"started, then failed", true, EVENT_TYPE_NEXUS_OPERATION_FAILED, TOKEN, pb_core_ResolveNexus_failed_tag},
        {"failed to start", false, EVENT_TYPE_NEXUS_OPERATION_FAILED, START_FAILED, 0},
        {"started, then cancelled", true, EVENT_TYPE_NEXUS_OPERATION_CANCELED, TOKEN, pb_core_ResolveNexus_cancelled_tag},
        {"started, then out of time", true, EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT, TOKEN, pb_core_ResolveNexus_timed_out_tag},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct fixture f;
        test_row = rows[i].row;
        fixture_init(&f, "hello.json");
        echo_fini(&f.echo);
        f.history = nexus_history(&f.arena, &rows[i]);
        echo_init(&f.echo, f.history);
        pb_ws_PollWorkflowTaskQueueResponse poll = {.history = f.history};
        add_task(&f, &poll);
        check_int(run_step(f.run, (instant){NS_PER_S}, &f.activation), RUN_ACTIVATE);
        check(answer(&f) == ERR_NONE);
        check_int(run_step(f.run, (instant){NS_PER_S}, &f.activation), RUN_ACTIVATE);
        check_nexus_jobs(&f, &rows[i]);
        check(answer(&f) == ERR_NONE);
        check_int(run_step(f.run, (instant){NS_PER_S}, &f.activation), RUN_REPLAYED);
        fixture_fini(&f);
    }
}

/* ---- who completed which workflow task --------------------------------------------------------------------------- */

TEST(each_activation_names_the_build_that_completed_its_workflow_task)
{
    static const char *const builds[] = {"first", "second"};
    struct fixture f;
    fixture_init(&f, "hello.json");
    for (size_t i = 0, n = 0; i < f.history->events_count; i++) {
        pb_history_HistoryEvent *e = f.history->events[i];
        if (e->event_type != EVENT_TYPE_WORKFLOW_TASK_COMPLETED) continue;
        e->workflow_task_completed_event_attributes->worker_version = pb_new(&f.arena, pb_common_WorkerVersionStamp);
        e->workflow_task_completed_event_attributes->worker_version->build_id = str_of(builds[n++]);
    }
    pb_ws_PollWorkflowTaskQueueResponse poll = {.history = f.history};
    add_task(&f, &poll);
    for (size_t n = 0; n < countof(builds); n++) {
        pb_core_Activation *a;
        buf_clear(&f.activation);
        check_int(run_step(f.run, (instant){NS_PER_S}, &f.activation), RUN_ACTIVATE);
        check(PB_DECODE(&f.arena, buf_view(&f.activation), pb_core_Activation, &a) == ERR_NONE);
        check_str(a->deployment_version->build_id, builds[n]);
        check(answer(&f) == ERR_NONE);
    }
    fixture_fini(&f);
}

TEST(the_build_that_completes_new_workflow_tasks_is_named_once)
{
    struct fixture f;
    fixture_init(&f, "hello.json");
    f.options.is_replayer = false;
    f.options.build_id = STR("mine");
    pb_history_History part = {0};
    pb_ws_PollWorkflowTaskQueueResponse poll = {.history = &part};
    for (size_t n = 0; n < 2; n++) {
        pb_core_Activation *a;
        PB_SET_ARRAY(&part, events, f.history->events + 3 * n, n == 0 ? 3 : 6);
        poll.started_event_id = n == 0 ? 3 : 9;
        add_task(&f, &poll);
        buf_clear(&f.activation);
        check_int(run_step(f.run, (instant){NS_PER_S}, &f.activation), RUN_ACTIVATE);
        check(PB_DECODE(&f.arena, buf_view(&f.activation), pb_core_Activation, &a) == ERR_NONE);
        check((a->deployment_version != NULL) == (n == 0));
        if (n == 0) check_str(a->deployment_version->build_id, "mine");
        check(answer(&f) == ERR_NONE);
        check_int(run_step(f.run, (instant){NS_PER_S}, &f.activation), RUN_RESPOND);
        run_task_done(f.run, 0);
    }
    fixture_fini(&f);
}

TEST(the_seed_of_a_run_id_is_that_of_the_official_sdks)
{
    check(run_seed(STR("01a1fc09-0523-7371-b539-0f6c9039facc")) == UINT64_C(18443004982969573157));
}

TEST_MAIN
