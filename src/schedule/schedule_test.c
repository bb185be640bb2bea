#include "schedule/schedule.h"

#include "base/test.h"

/* A schedule of every minute, in a world whose clock the test moves. */
struct world { struct arena arena; struct prng prng; struct error error; struct spec *spec; struct schedule_step step; pb_store_ScheduleEntity *s; };

static instant minute(int64_t n) { return (instant){(INT64_C(1893456000) + n * 60) * NS_PER_S}; } /* from 2030-01-01 */

static pb_schedule_Schedule *plain(struct world *w, int32_t policy)
{
    pb_schedule_Schedule in = {0}, *canonical = NULL;
    in.spec = pb_new(&w->arena, pb_schedule_ScheduleSpec);
    PB_PUSH_NEW(&w->arena, in.spec, interval)->interval = pb_duration_new(&w->arena, duration_s(60));
    in.action = pb_new(&w->arena, pb_schedule_ScheduleAction);
    in.action->action_case = pb_schedule_ScheduleAction_start_workflow_tag;
    in.action->start_workflow = pb_new(&w->arena, pb_workflow_NewWorkflowExecutionInfo);
    in.action->start_workflow->workflow_id = STR("w");
    in.policies = pb_new(&w->arena, pb_schedule_SchedulePolicies);
    in.policies->overlap_policy = policy;
    in.state = pb_new(&w->arena, pb_schedule_ScheduleState);
    check(schedule_canonical(&in, &w->arena, &canonical, &w->error) == ERR_NONE);
    return canonical;
}

static void begin(struct world *w, int32_t policy)
{
    *w = (struct world){0};
    arena_init(&w->arena, 0, 0);
    prng_init(&w->prng, 1);
    pb_schedule_Schedule *canonical = plain(w, policy);
    check(spec_compile(canonical->spec, NULL, 1, &w->arena, &w->spec, &w->error) == ERR_NONE);
    w->step = (struct schedule_step){.now = minute(0), .prng = &w->prng, .spec = w->spec, .arena = &w->arena, .error = &w->error};
    w->s = schedule_new(&w->step, canonical);
}

static void go(struct world *w, int64_t to)
{
    w->step.now = minute(to);
    for (int i = 0; i < 10000 && schedule_next_wake(w->s, w->spec).ns <= w->step.now.ns; i++) schedule_advance(&w->step, w->s);
    check(schedule_next_wake(w->s, w->spec).ns > w->step.now.ns);
}

/* The engine starts whatever is to be started. */
static int start_all(struct world *w)
{
    int count = 0;
    while (w->s->starting_count != 0) {
        struct str id = w->s->starting[0]->request_id;
        schedule_started(&w->step, w->s, id, arena_printf(&w->arena, "run-%.*s", STR_ARG(id)));
        schedule_advance(&w->step, w->s);
        count++;
    }
    return count;
}

static void close_first(struct world *w, int32_t status)
{
    const pb_store_ScheduleRun *run = w->s->running[0];
    pb_failure_Failure failure = {.message = STR("broken")};
    pb_common_Payloads *result = pb_payloads_of(&w->arena, pb_payload_new(&w->arena, STR("json/plain"), STR("1")));
    schedule_closed(&w->step, w->s, run->workflow_id, run->run_id, status, result, &failure);
    schedule_advance(&w->step, w->s);
}

TEST(what_nobody_named_is_shown_as_it_holds)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_UNSPECIFIED);
    check(w.s->schedule->policies->overlap_policy == SCHEDULE_OVERLAP_POLICY_SKIP);
    check_int(pb_duration(w.s->schedule->policies->catchup_window).ns / NS_PER_S, 31536000);
    arena_fini(&w.arena);
}

static const struct { const char *name; int32_t policy; int started, skipped, buffered; enum schedule_wanted wanted; } overlap_rows[] = {
    {"skip", SCHEDULE_OVERLAP_POLICY_SKIP, 1, 4, 0, WANTED_NOTHING},
    {"unspecified is skip", SCHEDULE_OVERLAP_POLICY_UNSPECIFIED, 1, 4, 0, WANTED_NOTHING},
    {"buffer one", SCHEDULE_OVERLAP_POLICY_BUFFER_ONE, 1, 3, 1, WANTED_NOTHING},
    {"buffer all", SCHEDULE_OVERLAP_POLICY_BUFFER_ALL, 1, 0, 4, WANTED_NOTHING},
    {"cancel", SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER, 1, 3, 1, WANTED_CANCEL},
    {"terminate", SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER, 1, 3, 1, WANTED_TERMINATE},
    {"allow", SCHEDULE_OVERLAP_POLICY_ALLOW_ALL, 5, 0, 0, WANTED_NOTHING},
};

TEST(overlap_policies_decide_what_becomes_of_five_times_while_the_first_run_goes_on)
{
    for (size_t i = 0; i < countof(overlap_rows); i++) {
        test_row = overlap_rows[i].name;
        struct world w;
        begin(&w, overlap_rows[i].policy);
        int started = 0;
        for (int m = 1; m <= 5; m++) {
            go(&w, m);
            started += start_all(&w);
        }
        check_int(started, overlap_rows[i].started);
        check_int(w.s->info->action_count, overlap_rows[i].started);
        check_int(w.s->info->overlap_skipped, overlap_rows[i].skipped);
        check_int(w.s->buffer_count, overlap_rows[i].buffered);
        check_int(w.s->running[0]->wanted, overlap_rows[i].wanted);
        while (w.s->running_count != 0) {
            close_first(&w, WORKFLOW_EXECUTION_STATUS_COMPLETED);
            started += start_all(&w);
        }
        check_int(started, overlap_rows[i].started + overlap_rows[i].buffered);
        arena_fini(&w.arena);
    }
}

TEST(times_missed_within_the_window_are_made_up_for_and_older_ones_counted)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_BUFFER_ALL);
    w.s->schedule->policies->catchup_window = pb_duration_new(&w.arena, duration_s(600));
    go(&w, 60); /* an hour in the dark */
    check_int(w.s->info->missed_catchup_window, 49);
    check_int(w.s->buffer_count + w.s->starting_count, 11);
    check_str(w.s->starting[0]->workflow_id, "w-2030-01-01T00:50:00Z");
    arena_fini(&w.arena);
}

TEST(the_buffer_is_bounded)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_BUFFER_ALL);
    go(&w, 1500);
    check_int(w.s->starting_count, 1);
    check_int(w.s->buffer_count, SCHEDULE_BUFFER_MAX);
    check_int(w.s->info->buffer_dropped, 1500 - 1 - SCHEDULE_BUFFER_MAX);
    arena_fini(&w.arena);
}

TEST(starts_under_way_are_bounded)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_ALLOW_ALL);
    go(&w, 300);
    check_int(w.s->starting_count, SCHEDULE_STARTING_MAX);
    check_int(start_all(&w), 300);
    check_int(w.s->info->recent_actions_count, 10);
    arena_fini(&w.arena);
}

TEST(nothing_is_made_up_for_that_fell_into_a_pause)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_BUFFER_ALL);
    check(schedule_patch(&w.step, w.s, &(pb_schedule_SchedulePatch){.pause = STR("later")}) == ERR_NONE);
    check_str(w.s->schedule->state->notes, "later");
    check(schedule_next_wake(w.s, w.spec).ns == INSTANT_NEVER.ns);
    w.step.now = minute(10);
    check(schedule_patch(&w.step, w.s, &(pb_schedule_SchedulePatch){.unpause = STR("go on")}) == ERR_NONE);
    schedule_advance(&w.step, w.s);
    check_int(w.s->starting_count, 0);
    go(&w, 11);
    check_int(w.s->starting_count, 1);
    arena_fini(&w.arena);
}

TEST(a_trigger_acts_while_paused_and_does_not_count_down)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_SKIP);
    w.s->schedule->state->paused = w.s->schedule->state->limited_actions = true;
    pb_schedule_TriggerImmediatelyRequest trigger = {0};
    w.step.now.ns += 1500 * NS_PER_MS;
    check(schedule_patch(&w.step, w.s, &(pb_schedule_SchedulePatch){.trigger_immediately = &trigger}) == ERR_NONE);
    schedule_advance(&w.step, w.s);
    check_int(w.s->starting_count, 1);
    check_str(w.s->starting[0]->workflow_id, "w-2030-01-01T00:00:01Z");
    check_int(w.s->schedule->state->remaining_actions, 0);
    arena_fini(&w.arena);
}

TEST(limited_actions_end_and_seven_days_later_the_schedule_is_over)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_ALLOW_ALL);
    w.s->schedule->state->limited_actions = true;
    w.s->schedule->state->remaining_actions = 2;
    go(&w, 5);
    check_int(start_all(&w), 2);
    check_int(w.s->schedule->state->remaining_actions, 0);
    check(!schedule_is_over(w.s, w.spec, minute(60 * 24 * 30))); /* runs go on */
    while (w.s->running_count != 0) close_first(&w, WORKFLOW_EXECUTION_STATUS_COMPLETED);
    check(!schedule_is_over(w.s, w.spec, minute(60 * 24 * 7)));
    check(schedule_is_over(w.s, w.spec, minute(60 * 24 * 7 + 5)));
    check(schedule_next_wake(w.s, w.spec).ns <= minute(60 * 24 * 7 + 5).ns);
    arena_fini(&w.arena);
}

TEST(results_and_failures_go_on_to_the_next_start)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_SKIP);
    w.s->schedule->policies->pause_on_failure = true;
    go(&w, 1);
    start_all(&w);
    close_first(&w, WORKFLOW_EXECUTION_STATUS_COMPLETED);
    check(w.s->last_result != NULL && w.s->last_failure == NULL);
    go(&w, 2);
    const pb_ws_StartWorkflowExecutionRequest *q = schedule_start_request(w.s, w.s->starting[0], STR("default"), &w.arena);
    check(q->last_completion_result != NULL);
    check_int(q->search_attributes->indexed_fields_count, 2);
    start_all(&w);
    close_first(&w, WORKFLOW_EXECUTION_STATUS_CANCELED); /* no failure */
    check(!w.s->schedule->state->paused);
    go(&w, 3);
    start_all(&w);
    close_first(&w, WORKFLOW_EXECUTION_STATUS_FAILED);
    check(w.s->last_result != NULL && w.s->last_failure != NULL);
    check(w.s->schedule->state->paused);
    check_str(w.s->schedule->state->notes, "paused because workflow w-2030-01-01T00:03:00Z did not succeed: broken");
    arena_fini(&w.arena);
}

TEST(a_backfill_goes_in_portions_with_both_ends)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_SKIP);
    pb_schedule_BackfillRequest *b = pb_new(&w.arena, pb_schedule_BackfillRequest);
    b->start_time = pb_timestamp_new(&w.arena, minute(-100));
    b->end_time = pb_timestamp_new(&w.arena, minute(-64));
    b->overlap_policy = SCHEDULE_OVERLAP_POLICY_BUFFER_ALL;
    pb_schedule_SchedulePatch patch = {0};
    PB_PUSH(&w.arena, &patch, backfill_request) = b;
    check(schedule_patch(&w.step, w.s, &patch) == ERR_NONE);
    schedule_advance(&w.step, w.s);
    check_int(w.s->starting_count + w.s->buffer_count, 10);
    go(&w, 0);
    check_int(w.s->starting_count + w.s->buffer_count, 37);
    check_int(w.s->backfills_count, 0);
    check_str(w.s->starting[0]->workflow_id, "w-2029-12-31T22:20:00Z");
    arena_fini(&w.arena);
}

TEST(a_start_that_was_refused_gives_its_action_back)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_SKIP);
    w.s->schedule->state->limited_actions = true;
    w.s->schedule->state->remaining_actions = 1;
    go(&w, 1);
    check_int(w.s->schedule->state->remaining_actions, 0);
    schedule_not_started(&w.step, w.s, w.s->starting[0]->request_id, true);
    check_int(w.s->schedule->state->remaining_actions, 1);
    check_int(w.s->info->overlap_skipped, 1);
    check_int(w.s->info->action_count, 0);
    arena_fini(&w.arena);
}

TEST(a_token_of_before_is_refused)
{
    struct world w;
    begin(&w, SCHEDULE_OVERLAP_POLICY_SKIP);
    struct str token = schedule_token(w.s, &w.arena);
    check(str_equal(token, (struct str){"\0\0\0\0\0\0\0\1", 8}));
    check(schedule_check_token(w.s, token, &w.arena, &w.error) == ERR_NONE);
    schedule_update(&w.step, w.s, plain(&w, SCHEDULE_OVERLAP_POLICY_SKIP));
    check(schedule_check_token(w.s, token, &w.arena, &w.error) == ERR_PRECONDITION);
    check(schedule_check_token(w.s, STR_EMPTY, &w.arena, &w.error) == ERR_NONE);
    check(schedule_check_token(w.s, STR("short"), &w.arena, &w.error) == ERR_INVALID);
    arena_fini(&w.arena);
}

TEST_MAIN
