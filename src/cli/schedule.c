/* cli/schedule.c: schedules. */
#include "cli/commands.h"
#include "cli/workflow.h"

/* ---- what the flags say ---- */

/* "90m" or "5h/1h": how often, and when in that distance. */
static bool read_interval(struct cli *cli, struct str text, struct pb_schedule_IntervalSpec *out)
{
    const char *slash = text.size != 0 ? memchr(text.data, '/', text.size) : NULL;
    struct str every = slash != NULL ? str_make(text.data, (size_t)(slash - text.data)) : text;
    struct str phase = slash != NULL ? str_skip(text, every.size + 1) : STR("0");
    duration d[2];
    if (!duration_parse(every, &d[0]) || !duration_parse(phase, &d[1])) {
        cli_fail(cli, "--interval wants a duration such as 90m, or with a phase 5h/1h, not \"%.*s\"", STR_ARG(text));
        return false;
    }
    out->interval = pb_duration_new(cli->arena, d[0]);
    out->phase = pb_duration_new(cli->arena, d[1]);
    return true;
}

static struct pb_schedule_ScheduleSpec *read_spec(struct cli *cli)
{
    struct pb_schedule_ScheduleSpec *spec = pb_new(cli->arena, struct pb_schedule_ScheduleSpec);
    for (size_t i = 0; i < cli->f.calendar.count; i++) {
        struct error error = {0};
        struct pb_schedule_CalendarSpec **calendar = &PB_PUSH(cli->arena, spec, calendar);
        if (PB_JSON_READ(cli->arena, cli->f.calendar.items[i], pb_schedule_CalendarSpec, 0, &error, calendar) == ERR_NONE) continue;
        cli_fail(cli, "--calendar: %.*s; its fields are second, minute, hour, dayOfMonth, month, year, dayOfWeek and comment", STR_ARG(error_message(&error)));
        return NULL;
    }
    for (size_t i = 0; i < cli->f.interval.count; i++) {
        struct pb_schedule_IntervalSpec *interval = PB_PUSH_NEW(cli->arena, spec, interval);
        if (!read_interval(cli, cli->f.interval.items[i], interval)) return NULL;
    }
    PB_SET_ARRAY(spec, cron_string, cli->f.crons.items, cli->f.crons.count);
    spec->jitter = pb_duration_new(cli->arena, cli->f.jitter);
    spec->timezone_name = cli->f.time_zone;
    return cli_time(cli, cli->f.start_time, "start-time", &spec->start_time) && cli_time(cli, cli->f.end_time, "end-time", &spec->end_time) ? spec : NULL;
}

/* The policy of --overlap-policy; what is possible was checked with the flag. */
static int32_t overlap_policy(struct cli *cli)
{
    int32_t policy = SCHEDULE_OVERLAP_POLICY_SKIP;
    (void)cli_enum(cli, &pb_enums_ScheduleOverlapPolicy_enum, cli->f.overlap_policy, "overlap-policy", &policy);
    return policy;
}

/* NULL: said. */
static struct pb_schedule_Schedule *read_schedule(struct cli *cli)
{
    struct pb_ws_StartWorkflowExecutionRequest start;
    struct pb_schedule_Schedule *schedule = pb_new(cli->arena, struct pb_schedule_Schedule);
    struct pb_workflow_NewWorkflowExecutionInfo *workflow = pb_new(cli->arena, struct pb_workflow_NewWorkflowExecutionInfo);
    schedule->spec = read_spec(cli);
    if (schedule->spec == NULL || !workflow_start_request(cli, &start)) return NULL;
    start.task_queue->kind = TASK_QUEUE_KIND_NORMAL;
    *workflow = (struct pb_workflow_NewWorkflowExecutionInfo){
        .workflow_id = start.workflow_id, .workflow_type = start.workflow_type, .task_queue = start.task_queue,
        .input = start.input != NULL ? start.input : pb_new(cli->arena, struct pb_common_Payloads), .workflow_execution_timeout = start.workflow_execution_timeout,
        .workflow_run_timeout = start.workflow_run_timeout, .workflow_task_timeout = start.workflow_task_timeout, .memo = start.memo,
        .search_attributes = start.search_attributes, .header = start.header, .user_metadata = start.user_metadata, .priority = start.priority,
    };
    schedule->action = pb_new(cli->arena, struct pb_schedule_ScheduleAction);
    schedule->action->action_case = pb_schedule_ScheduleAction_start_workflow_tag;
    schedule->action->start_workflow = workflow;
    schedule->policies = pb_new(cli->arena, struct pb_schedule_SchedulePolicies);
    schedule->policies->overlap_policy = overlap_policy(cli);
    schedule->policies->catchup_window = cli_duration(cli, FLAG_catchup_window, cli->f.catchup_window);
    schedule->policies->pause_on_failure = cli->f.pause_on_failure;
    schedule->state = pb_new(cli->arena, struct pb_schedule_ScheduleState);
    *schedule->state = (struct pb_schedule_ScheduleState){.notes = cli->f.notes, .paused = cli->f.paused,
        .limited_actions = cli->f.remaining_actions > 0, .remaining_actions = cli->f.remaining_actions};
    return schedule;
}

/* ---- making and changing ---- */

int run_schedule_create(struct cli *cli)
{
    struct pb_ws_CreateScheduleRequest request = {.namespace = cli->f.namespace, .schedule_id = cli->f.schedule_id, .identity = cli->f.identity, .request_id = cli_uuid(cli)};
    struct pb_ws_CreateScheduleResponse *response;
    if ((request.schedule = read_schedule(cli)) == NULL || !cli_memo(cli, &cli->f.schedule_memo, "schedule-memo", &request.memo) ||
        !cli_search_attributes(cli, &cli->f.schedule_attribute, "schedule-search-attribute", &request.search_attributes)) return 1;
    if (!CALL(cli, ws_CreateSchedule, &request, &response)) return cli_fail_call(cli, "creating schedule");
    cli_say(cli, "Schedule %.*s is there", STR_ARG(cli->f.schedule_id));
    return 0;
}

static bool describe(struct cli *cli, struct pb_ws_DescribeScheduleResponse **response)
{
    struct pb_ws_DescribeScheduleRequest request = {.namespace = cli->f.namespace, .schedule_id = cli->f.schedule_id};
    if (CALL(cli, ws_DescribeSchedule, &request, response)) return true;
    cli_fail_call(cli, "describing schedule");
    return false;
}

int run_schedule_update(struct cli *cli)
{
    struct pb_ws_UpdateScheduleRequest request = {.namespace = cli->f.namespace, .schedule_id = cli->f.schedule_id, .identity = cli->f.identity, .request_id = cli_uuid(cli)};
    struct pb_ws_UpdateScheduleResponse *response;
    struct pb_ws_DescribeScheduleResponse *before;
    if ((request.schedule = read_schedule(cli)) == NULL || !cli_memo(cli, &cli->f.schedule_memo, "schedule-memo", &request.memo) ||
        !cli_search_attributes(cli, &cli->f.schedule_attribute, "schedule-search-attribute", &request.search_attributes)) return 1;
    if (!describe(cli, &before)) return 1;
    request.conflict_token = before->conflict_token; /* who changed it meanwhile is not overwritten */
    if (!CALL(cli, ws_UpdateSchedule, &request, &response)) return cli_fail_call(cli, "updating schedule");
    cli_say(cli, "Schedule %.*s is changed", STR_ARG(cli->f.schedule_id));
    return 0;
}

static int patch(struct cli *cli, struct pb_schedule_SchedulePatch *patch, const char *doing, const char *done)
{
    struct pb_ws_PatchScheduleRequest request = {.namespace = cli->f.namespace, .schedule_id = cli->f.schedule_id, .patch = patch, .identity = cli->f.identity, .request_id = cli_uuid(cli)};
    struct pb_ws_PatchScheduleResponse *response;
    if (!CALL(cli, ws_PatchSchedule, &request, &response)) return cli_fail_call(cli, doing);
    cli_say(cli, "%s", done);
    return 0;
}

int run_schedule_toggle(struct cli *cli)
{
    struct str reason = str_is_empty(cli->f.reason) ? STR("(no reason provided)") : cli->f.reason;
    struct pb_schedule_SchedulePatch toggle = {.pause = cli->f.pause ? reason : STR_EMPTY, .unpause = cli->f.unpause ? reason : STR_EMPTY};
    if (cli->f.pause == cli->f.unpause) return cli_fail(cli, "perdure schedule toggle needs either --pause or --unpause");
    return patch(cli, &toggle, "toggling schedule", cli->f.pause ? "Schedule paused" : "Schedule goes on");
}

int run_schedule_trigger(struct cli *cli)
{
    struct pb_schedule_TriggerImmediatelyRequest trigger = {.overlap_policy = overlap_policy(cli)};
    return patch(cli, &(struct pb_schedule_SchedulePatch){.trigger_immediately = &trigger}, "triggering schedule", "Trigger request sent");
}

int run_schedule_backfill(struct cli *cli)
{
    struct pb_schedule_SchedulePatch backfill = {0};
    struct pb_schedule_BackfillRequest *range = PB_PUSH_NEW(cli->arena, &backfill, backfill_request);
    range->overlap_policy = overlap_policy(cli);
    if (!cli_time(cli, cli->f.start_time, "start-time", &range->start_time) || !cli_time(cli, cli->f.end_time, "end-time", &range->end_time)) return 1;
    return patch(cli, &backfill, "backfilling schedule", "Backfill request sent");
}

int run_schedule_delete(struct cli *cli)
{
    struct pb_ws_DeleteScheduleRequest request = {.namespace = cli->f.namespace, .schedule_id = cli->f.schedule_id, .identity = cli->f.identity};
    struct pb_ws_DeleteScheduleResponse *response;
    if (!CALL(cli, ws_DeleteSchedule, &request, &response)) return cli_fail_call(cli, "deleting schedule");
    cli_say(cli, "Schedule deleted");
    return 0;
}

/* ---- for people: "every 1h at 5m; 0 0 3 * * *" ---- */

static void put_ranges(struct buf *out, struct pb_schedule_Range *const *ranges, size_t count, int first, int last)
{
    buf_append_byte(out, ' ');
    if (count == 0) buf_append_byte(out, '*');
    for (size_t i = 0; i < count; i++) {
        const struct pb_schedule_Range *r = ranges[i];
        int32_t end = r->end > r->start ? r->end : r->start;
        if (i != 0) buf_append_byte(out, ',');
        if (count == 1 && r->start == first && end == last) buf_append_byte(out, '*');
        else buf_printf(out, end > r->start ? "%d-%d" : "%d", (int)r->start, (int)end);
        if (r->step > 1) buf_printf(out, "/%d", (int)r->step);
    }
}

static void put_calendars(struct buf *out, struct pb_schedule_StructuredCalendarSpec *const *calendars, size_t count)
{
    for (size_t i = 0; i < count; i++) { /* the order of a cron line with seconds */
        const struct pb_schedule_StructuredCalendarSpec *c = calendars[i];
        buf_append_str(out, out->size != 0 ? STR("; at") : STR("at"));
        put_ranges(out, c->second, c->second_count, 0, 59);
        put_ranges(out, c->minute, c->minute_count, 0, 59);
        put_ranges(out, c->hour, c->hour_count, 0, 23);
        put_ranges(out, c->day_of_month, c->day_of_month_count, 1, 31);
        put_ranges(out, c->month, c->month_count, 1, 12);
        put_ranges(out, c->day_of_week, c->day_of_week_count, 0, 6);
        if (c->year_count != 0) put_ranges(out, c->year, c->year_count, 0, 0);
        if (!str_is_empty(c->comment)) buf_printf(out, " (%.*s)", STR_ARG(c->comment));
    }
}

static struct str taken(struct cli *cli, struct buf *out)
{
    struct str text = arena_str(cli->arena, buf_view(out));
    buf_fini(out);
    return text;
}

static struct str spec_text(struct cli *cli, const struct pb_schedule_ScheduleSpec *spec)
{
    struct buf out = {0};
    for (size_t i = 0; spec != NULL && i < spec->interval_count; i++) {
        duration phase = pb_duration(spec->interval[i]->phase);
        buf_printf(&out, "%severy %.*s", out.size != 0 ? "; " : "", STR_ARG(duration_words(cli->arena, pb_duration(spec->interval[i]->interval))));
        if (!duration_is_zero(phase)) buf_printf(&out, " at %.*s", STR_ARG(duration_words(cli->arena, phase)));
    }
    if (spec != NULL) put_calendars(&out, spec->structured_calendar, spec->structured_calendar_count);
    for (size_t i = 0; spec != NULL && i < spec->cron_string_count; i++) buf_printf(&out, "%s%.*s", out.size != 0 ? "; " : "", STR_ARG(spec->cron_string[i]));
    return taken(cli, &out);
}

static struct str skip_text(struct cli *cli, const struct pb_schedule_ScheduleSpec *spec)
{
    struct buf out = {0};
    if (spec != NULL) put_calendars(&out, spec->exclude_structured_calendar, spec->exclude_structured_calendar_count);
    return taken(cli, &out);
}

static const struct pb_google_Timestamp *first_of(struct pb_google_Timestamp *const *times, size_t count) { return count != 0 ? times[0] : NULL; }

static const struct pb_google_Timestamp *last_run(struct pb_schedule_ScheduleActionResult *const *results, size_t count)
{
    return count != 0 ? results[count - 1]->actual_time : NULL;
}

static void list_entry(struct cli *cli, struct cli_list *list, const struct pb_schedule_ScheduleListEntry *entry)
{
    static const struct pb_schedule_ScheduleListInfo nothing;
    const struct pb_schedule_ScheduleListInfo *info = entry->info != NULL ? entry->info : &nothing;
    bool is_all = cli->f.really_long, is_long = cli->f.long_ || is_all;
    struct field row[16];
    size_t n = 0;
    row[n++] = field_text(cli, "ScheduleId", entry->schedule_id);
    row[n++] = field_text(cli, "Workflow", info->workflow_type != NULL ? info->workflow_type->name : STR_EMPTY);
    if (is_long) row[n++] = field_text(cli, "Spec", spec_text(cli, info->spec));
    if (is_all) {
        row[n++] = field_text(cli, "Skip", skip_text(cli, info->spec));
        row[n++] = field_time(cli, "StartAt", info->spec != NULL ? info->spec->start_time : NULL);
        row[n++] = field_time(cli, "EndAt", info->spec != NULL ? info->spec->end_time : NULL);
        row[n++] = field_text(cli, "Jitter", duration_words(cli->arena, pb_duration(info->spec != NULL ? info->spec->jitter : NULL)));
        row[n++] = field_text(cli, "TimeZone", info->spec != NULL ? info->spec->timezone_name : STR_EMPTY);
    }
    if (is_long) row[n++] = field_text(cli, "Notes", info->notes);
    row[n++] = field_bool("Paused", info->paused);
    row[n++] = field_time(cli, "NextRunTime", first_of(info->future_action_times, info->future_action_times_count));
    row[n++] = field_time(cli, "LastRunTime", last_run(info->recent_actions, info->recent_actions_count));
    if (is_all) {
        struct field attributes = field_message(cli, "SearchAttributes", &pb_common_SearchAttributes_type, entry->search_attributes);
        struct field memo = field_message(cli, "Memo", &pb_common_Memo_type, entry->memo);
        row[n++] = attributes;
        row[n++] = memo;
    }
    cli_list_add_fields(cli, list, row, n);
}

int run_schedule_list(struct cli *cli)
{
    struct pb_ws_ListSchedulesRequest request = {.namespace = cli->f.namespace, .query = cli->f.query};
    struct pb_ws_ListSchedulesResponse *page;
    struct cli_list list = {0};
    cli->f.no_shorthand = cli->f.no_shorthand || cli_is_json(cli);
    do {
        if (!CALL(cli, ws_ListSchedules, &request, &page)) return cli_fail_call(cli, "listing schedules");
        for (size_t i = 0; i < page->schedules_count; i++) {
            if (cli_is_json(cli)) cli_list_add(cli, &list, &pb_schedule_ScheduleListEntry_type, page->schedules[i]);
            else list_entry(cli, &list, page->schedules[i]);
        }
        request.next_page_token = page->next_page_token;
    } while (!str_is_empty(request.next_page_token));
    cli_list_end(cli, &list);
    return 0;
}

static struct str running_text(struct cli *cli, const struct pb_schedule_ScheduleInfo *info)
{
    struct buf out = {0};
    for (size_t i = 0; i < info->running_workflows_count; i++) buf_printf(&out, "%s%.*s", i != 0 ? ", " : "", STR_ARG(info->running_workflows[i]->workflow_id));
    return taken(cli, &out);
}

int run_schedule_describe(struct cli *cli)
{
    static const struct pb_schedule_ScheduleInfo no_info;
    static const struct pb_schedule_ScheduleState no_state;
    static const struct pb_schedule_SchedulePolicies no_policies;
    struct pb_ws_DescribeScheduleResponse *d;
    if (!describe(cli, &d)) return 1;
    cli->f.no_shorthand = cli->f.no_shorthand || cli_is_json(cli); /* as a document it is what a later create needs: payloads as stored */
    cli_put_message(cli, &pb_ws_DescribeScheduleResponse_type, d);
    if (cli->format != FORMAT_TEXT || d->schedule == NULL) return 0;
    const struct pb_schedule_ScheduleSpec *spec = d->schedule->spec;
    const struct pb_schedule_ScheduleInfo *info = d->info != NULL ? d->info : &no_info;
    const struct pb_schedule_ScheduleState *state = d->schedule->state != NULL ? d->schedule->state : &no_state;
    const struct pb_schedule_SchedulePolicies *policies = d->schedule->policies != NULL ? d->schedule->policies : &no_policies;
    const struct pb_workflow_NewWorkflowExecutionInfo *workflow = d->schedule->action != NULL ? d->schedule->action->start_workflow : NULL;
    struct field none = {0};
    const struct field card[] = {
        field_text(cli, "ScheduleId", cli->f.schedule_id),
        workflow != NULL ? field_text(cli, "WorkflowId", workflow->workflow_id) : none,
        workflow != NULL && workflow->workflow_type != NULL ? field_text(cli, "Type", workflow->workflow_type->name) : none,
        workflow != NULL && workflow->task_queue != NULL ? field_text(cli, "TaskQueue", workflow->task_queue->name) : none,
        workflow != NULL && workflow->input != NULL && workflow->input->payloads_count != 0 ? field_text(cli, "Input", cli_payload_text(cli, workflow->input)) : none,
        field_text(cli, "Spec", spec_text(cli, spec)),
        spec != NULL && spec->exclude_structured_calendar_count != 0 ? field_text(cli, "Skip", skip_text(cli, spec)) : none,
        spec != NULL && !str_is_empty(spec->timezone_name) ? field_text(cli, "TimeZone", spec->timezone_name) : none,
        spec != NULL && spec->start_time != NULL ? field_time(cli, "StartAt", spec->start_time) : none,
        spec != NULL && spec->end_time != NULL ? field_time(cli, "EndAt", spec->end_time) : none,
        field_text(cli, "Jitter", duration_words(cli->arena, pb_duration(spec != NULL ? spec->jitter : NULL))),
        field_text(cli, "OverlapPolicy", pb_enum_short_name(&pb_enums_ScheduleOverlapPolicy_enum, policies->overlap_policy, cli->arena)),
        field_text(cli, "CatchupWindow", duration_words(cli->arena, pb_duration(policies->catchup_window))),
        field_bool("PauseOnFailure", policies->pause_on_failure),
        field_bool("Paused", state->paused),
        !str_is_empty(state->notes) ? field_text(cli, "Notes", state->notes) : none,
        state->limited_actions ? field_number(cli, "RemainingActions", (double)state->remaining_actions) : none,
        field_time(cli, "NextRunTime", first_of(info->future_action_times, info->future_action_times_count)),
        field_time(cli, "LastRunTime", last_run(info->recent_actions, info->recent_actions_count)),
        field_text(cli, "RunningWorkflows", running_text(cli, info)),
        field_time(cli, "CreatedAt", info->create_time),
        field_time(cli, "LastUpdateAt", info->update_time),
        field_text(cli, "Actions", arena_printf(cli->arena, "%" PRId64 " taken, %" PRId64 " missed, %" PRId64 " skipped", info->action_count, info->missed_catchup_window, info->overlap_skipped)),
        field_message(cli, "SearchAttributes", &pb_common_SearchAttributes_type, d->search_attributes),
        field_message(cli, "Memo", &pb_common_Memo_type, d->memo),
    };
    cli_put_fields(cli, NULL, card, countof(card));
    return 0;
}
