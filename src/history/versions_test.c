#include "history/harness.h"

#include "base/test.h"

static err done_by(struct world *w, struct taken t, const char *build, const char *checksum, pb_command_Command *command)
{
    pb_ws_RespondWorkflowTaskCompletedRequest *r = completion(w, COMMANDS(command));
    if (build != NULL) {
        r->worker_version_stamp = pb_new(&w->arena, pb_common_WorkerVersionStamp);
        r->worker_version_stamp->build_id = str_of(build);
    }
    r->binary_checksum = str_of(checksum);
    return complete_with(w, t, r, NULL);
}

static pb_workflow_WorkflowExecutionInfo *described(struct world *w, const struct execution *e)
{
    pb_ws_DescribeWorkflowExecutionResponse *reply = pb_new(&w->arena, pb_ws_DescribeWorkflowExecutionResponse);
    execution_describe(e, w->now, &w->arena, reply);
    return reply->workflow_execution_info;
}

static struct str attribute(const pb_common_SearchAttributes *a, const char *name)
{
    for (size_t i = 0; a != NULL && i < a->indexed_fields_count; i++)
        if (str_equal_c(a->indexed_fields[i]->key, name)) return a->indexed_fields[i]->value->data;
    return STR_EMPTY;
}

TEST(f014_builds_of_workers_show_in_search_attributes)
{
    static const struct { const char *name, *builds[3], *checksums[3], *shown, *sums; size_t points; } rows[] = {
        {"no build", {NULL}, {""}, "[\"unversioned\"]", "", 1},
        {"one", {"b1"}, {""}, "[\"unversioned\",\"unversioned:b1\"]", "", 1},
        {"the same again", {"b1", "b1"}, {"", ""}, "[\"unversioned\",\"unversioned:b1\"]", "", 1},
        {"two", {"b1", "b2", "b1"}, {"", "", ""}, "[\"unversioned\",\"unversioned:b1\",\"unversioned:b2\"]", "", 2},
        {"a checksum", {NULL, NULL}, {"s1", "s2"}, "[\"unversioned\"]", "[\"s1\",\"s2\"]", 2},
        {"both", {"b1"}, {"s1"}, "[\"unversioned\",\"unversioned:b1\"]", "[\"s1\"]", 1},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct world w;
        world_init(&w, i + 1);
        test_row = rows[i].name;
        struct execution *e = start(&w, "wf");
        for (size_t k = 0; k < 3 && rows[i].checksums[k] != NULL; k++) {
            if (k != 0) check_int(signal_with(&w, e, "s", k == 1 ? "r1" : "r2"), ERR_NONE);
            check_int(done_by(&w, take(&w, e), rows[i].builds[k], rows[i].checksums[k], marker(&w, "m")), ERR_NONE);
        }
        const pb_workflow_WorkflowExecutionInfo *info = described(&w, e);
        check_str(attribute(info->search_attributes, "BuildIds"), rows[i].shown);
        check_str(attribute(info->search_attributes, "BinaryChecksums"), rows[i].sums);
        check_int(info->auto_reset_points->points_count, rows[i].points);
        check_int(info->auto_reset_points->points[0]->first_workflow_task_completed_id, 4);
        check_int(info->most_recent_worker_version_stamp != NULL, rows[i].builds[0] != NULL);
        check_str(attribute(execution_visibility(e, &w.arena)->search_attributes, "BuildIds"), rows[i].shown);
        world_fini(&w);
    }
}

/* At once with the end of the run, else within a second. */
TEST(f014_lists_show_builds_soon)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done_by(&w, take(&w, e), "b1", "", timer(&w, "t", 100)), ERR_NONE);
    int64_t before = e->s->visibility_version;
    world_advance(&w, duration_ms(900));
    check_int(e->s->visibility_version, before);
    world_advance(&w, duration_ms(200));
    check_int(e->s->visibility_version, before + 1);
    check(execution_next_wake(e).ns > w.now.ns + 90 * NS_PER_S);
    world_fini(&w);
}

TEST(f014_a_list_of_builds_stays_short_enough_for_a_search_attribute)
{
    struct world w;
    world_init(&w, 1);
    w.limits.search_attribute_size_max = 100;
    struct execution *e = start(&w, "wf");
    for (int i = 0; i < 20; i++) {
        check_int(done_by(&w, take(&w, e), arena_printf(&w.arena, "build-%d", i).data, "", marker(&w, "m")), ERR_NONE);
        check_int(signal_with(&w, e, "s", arena_printf(&w.arena, "r%d", i).data), ERR_NONE);
    }
    struct str shown = attribute(described(&w, e)->search_attributes, "BuildIds");
    check(shown.size <= 102);
    check(str_starts_with(shown, STR("[\"unversioned\",\"unversioned:build-1")));
    check(memmem(shown.data, shown.size, "build-19", 8) != NULL);
    check_int(described(&w, e)->auto_reset_points->points_count, 20);
    world_fini(&w);
}

TEST(f014_a_reset_run_knows_the_builds_of_what_it_kept)
{
    struct world w;
    world_init(&w, 1);
    struct execution *base = start(&w, "wf");
    check_int(done_by(&w, take(&w, base), "b1", "", marker(&w, "m")), ERR_NONE);
    check_int(signal_with(&w, base, "s", "r1"), ERR_NONE);
    check_int(done_by(&w, take(&w, base), "b2", "", marker(&w, "m")), ERR_NONE); /* 6 signal, 7-9 task */
    pb_ws_ResetWorkflowExecutionRequest r = {.workflow_task_finish_event_id = 9, .request_id = STR("x"), .reason = STR("why")};
    pb_ws_ResetWorkflowExecutionResponse reply = {0};
    struct execution *run;
    struct step step;
    world_begin(&w, &step);
    check_int(workflow_reset(&step, base, base, &r, history_of(&w, base), NULL, &reply, &run), ERR_NONE);
    world_end(&w, &step);
    check_str(attribute(described(&w, run)->search_attributes, "BuildIds"), "[\"unversioned\",\"unversioned:b1\"]");
    check_int(described(&w, run)->auto_reset_points->points_count, 1);
    world_fini(&w);
}

TEST(f048_task_ids_rise)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "wf");
    check_int(done(&w, take(&w, e), timer(&w, "t", 1)), ERR_NONE);
    for (int64_t id = 2; id <= (int64_t)event_count(&w, e); id++) check(event_at(&w, e, id)->task_id > event_at(&w, e, id - 1)->task_id);
    check(event_at(&w, start(&w, "other"), 1)->task_id > event_at(&w, e, -1)->task_id);
    world_fini(&w);
}

TEST_MAIN
