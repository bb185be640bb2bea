/* cli/queue.c: task queues: who polls them, what waits, their limits, and the older ways of giving their tasks to builds. */
#include "cli/commands.h"

static int32_t type_number(struct str name)
{
    return str_equal_c(name, "activity") ? TASK_QUEUE_TYPE_ACTIVITY : str_equal_c(name, "nexus") ? TASK_QUEUE_TYPE_NEXUS : TASK_QUEUE_TYPE_WORKFLOW;
}

static struct str type_name(int32_t type)
{
    static const char *const names[] = {"", "workflow", "activity", "nexus"};
    return str_of(names[type > 0 && type < (int32_t)countof(names) ? type : 0]);
}

static struct str build_name(struct str build_id) { return str_is_empty(build_id) ? STR("UNVERSIONED") : build_id; }

/* ---- describe ---- */

/* A list of objects for JSON, a table for people; put together by the caller. */
struct part { struct json_out w; struct cli_list rows; };

static void part_begin(struct cli *cli, struct part *part)
{
    *part = (struct part){0};
    cli_json_begin(cli, &part->w);
    json_put_open(&part->w, '[');
}

static void part_add(struct cli *cli, struct part *part, const struct field *fields, size_t count)
{
    if (!cli_is_json(cli)) {
        cli_list_add_fields(cli, &part->rows, fields, count);
        return;
    }
    json_put_next(&part->w);
    json_put_open(&part->w, '{');
    cli_json_put_fields(&part->w, fields, count);
    json_put_close(&part->w, '}');
}

/* As a field of the open object; null when it was not asked for. */
static void part_end(struct cli *cli, struct part *part, struct json_out *w, const char *key, bool was_asked, const char *title)
{
    json_put_close(&part->w, ']');
    json_put_key(w, str_of(key));
    if (!was_asked || !json_put_json(w, buf_view(part->w.out))) json_put_raw(w, STR("null"));
    buf_fini(part->w.out);
    if (!was_asked || cli->format != FORMAT_TEXT) return;
    cli_title(cli, title);
    cli_list_end(cli, &part->rows);
}

static void add_queue_type(struct cli *cli, struct part *stats, struct part *pollers, struct str build_id, const struct pb_taskqueue_TaskQueueVersionInfo_TypesInfoEntry *type)
{
    struct str build = build_name(build_id), name = type_name(type->key);
    const struct pb_taskqueue_TaskQueueStats *s = type->value->stats;
    if (s != NULL) {
        const struct field fields[] = {
            field_text(cli, "BuildId", build), field_text(cli, "TaskQueueType", name),
            field_number(cli, "ApproximateBacklogCount", (double)s->approximate_backlog_count),
            field_text(cli, "ApproximateBacklogAge", (cli_is_json(cli) ? duration_text : duration_words)(cli->arena, pb_duration(s->approximate_backlog_age))),
            field_float(cli, "BacklogIncreaseRate", s->tasks_add_rate - s->tasks_dispatch_rate),
            field_float(cli, "TasksAddRate", s->tasks_add_rate), field_float(cli, "TasksDispatchRate", s->tasks_dispatch_rate),
        };
        part_add(cli, stats, fields, countof(fields));
    }
    for (size_t i = 0; i < type->value->pollers_count; i++) {
        const struct pb_taskqueue_PollerInfo *p = type->value->pollers[i];
        const struct field fields[] = {
            field_text(cli, "BuildId", build), field_text(cli, "TaskQueueType", name), field_text(cli, "Identity", p->identity),
            field_time(cli, "LastAccessTime", p->last_access_time), field_number(cli, "RatePerSecond", p->rate_per_second),
        };
        part_add(cli, pollers, fields, countof(fields));
    }
}

static struct str reachability_name(int32_t reachability)
{
    switch (reachability) {
    case BUILD_ID_TASK_REACHABILITY_REACHABLE: return STR("reachable");
    case BUILD_ID_TASK_REACHABILITY_CLOSED_WORKFLOWS_ONLY: return STR("closedWorkflowsOnly");
    case BUILD_ID_TASK_REACHABILITY_UNREACHABLE: return STR("unreachable");
    default: return STR("unspecified");
    }
}

/* ---- the older answer: one partition after the other, with the names of the interface files ---- */

static void put_int(struct json_out *w, const char *key, int64_t value)
{
    if (value == 0) return;
    json_put_key(w, str_of(key));
    buf_printf(w->out, "%" PRId64, value);
}

static void put_partition(struct json_out *w, int64_t partition)
{
    json_put_next(w);
    json_put_open(w, '{');
    json_put_key(w, STR("partition"));
    buf_printf(w->out, "%" PRId64, partition);
}

static void put_rate(struct json_out *w, double rate)
{
    if (rate == 0) return;
    json_put_key(w, STR("rate_per_second"));
    json_put_double(w, rate);
}

static void put_legacy_poller(struct cli *cli, struct part *part, int64_t partition, const struct pb_taskqueue_PollerInfo *p)
{
    struct json_out *w = &part->w;
    const struct field row[] = {field_text(cli, "Identity", p->identity), field_time(cli, "LastAccessTime", p->last_access_time), field_number(cli, "RatePerSecond", p->rate_per_second)};
    if (!cli_is_json(cli)) {
        cli_list_add_fields(cli, &part->rows, row, countof(row));
        return;
    }
    put_partition(w, partition);
    if (p->last_access_time != NULL) {
        json_put_key(w, STR("last_access_time"));
        json_put_open(w, '{');
        put_int(w, "seconds", p->last_access_time->seconds);
        put_int(w, "nanos", p->last_access_time->nanos);
        json_put_close(w, '}');
    }
    cli_json_field(w, "identity", p->identity);
    put_rate(w, p->rate_per_second);
    if (p->worker_version_capabilities != NULL) {
        json_put_key(w, STR("worker_version_capabilities"));
        if (pb_json_put(&pb_common_WorkerVersionCapabilities_type, p->worker_version_capabilities, PB_JSON_PROTO_NAMES, w) != ERR_NONE) json_put_raw(w, STR("null"));
    }
    json_put_close(w, '}');
}

static void put_legacy_status(struct json_out *w, int64_t partition, const struct pb_taskqueue_TaskQueueStatus *s)
{
    put_partition(w, partition);
    put_int(w, "backlog_count_hint", s->backlog_count_hint);
    put_int(w, "read_level", s->read_level);
    put_int(w, "ack_level", s->ack_level);
    put_rate(w, s->rate_per_second);
    if (s->task_id_block != NULL) {
        json_put_key(w, STR("task_id_block"));
        json_put_open(w, '{');
        put_int(w, "start_id", s->task_id_block->start_id);
        put_int(w, "end_id", s->task_id_block->end_id);
        json_put_close(w, '}');
    }
    json_put_close(w, '}');
}

static int describe_legacy(struct cli *cli)
{
    struct pb_taskqueue_TaskQueue queue = {.kind = TASK_QUEUE_KIND_NORMAL};
    struct pb_ws_DescribeTaskQueueRequest request = {.namespace = cli->f.namespace, .task_queue = &queue, .task_queue_type = type_number(cli->f.legacy_type), .include_task_queue_status = true};
    struct pb_ws_DescribeTaskQueueResponse *r;
    struct part pollers, status;
    struct json_out w;
    int64_t count = cli->given[FLAG_partitions_legacy] ? cli->f.partitions_legacy : 1;
    if (count < 1 || count > 1000) return cli_fail(cli, "--partitions-legacy is between 1 and 1000");
    part_begin(cli, &pollers);
    part_begin(cli, &status);
    for (int64_t partition = 0; partition < count; partition++) {
        queue.name = partition == 0 ? cli->f.task_queue : arena_printf(cli->arena, "/_sys/%.*s/%" PRId64, STR_ARG(cli->f.task_queue), partition);
        if (!CALL(cli, ws_DescribeTaskQueue, &request, &r)) return cli_fail_call(cli, "describing task queue");
        for (size_t i = 0; i < r->pollers_count; i++) put_legacy_poller(cli, &pollers, partition, r->pollers[i]);
        if (r->task_queue_status != NULL) put_legacy_status(&status.w, partition, r->task_queue_status);
    }
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    part_end(cli, &pollers, &w, "pollers", true, "Pollers");
    part_end(cli, &status, &w, "taskQueues", cli_is_json(cli), "");
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    return 0;
}

int run_task_queue_describe(struct cli *cli)
{
    struct pb_taskqueue_TaskQueue queue = {.name = cli->f.task_queue, .kind = TASK_QUEUE_KIND_NORMAL};
    struct pb_taskqueue_TaskQueueVersionSelection versions = {.build_ids = cli->f.select_build_id.items, .build_ids_count = cli->f.select_build_id.count,
        .unversioned = cli->f.select_unversioned, .all_active = cli->f.select_active};
    struct pb_ws_DescribeTaskQueueRequest request = {.namespace = cli->f.namespace, .task_queue = &queue, .api_mode = DESCRIBE_TASK_QUEUE_MODE_ENHANCED, .report_pollers = true,
        .report_stats = !cli->f.disable_stats, .report_task_reachability = cli->f.report_reachability, .report_config = cli->f.report_config};
    struct pb_ws_DescribeTaskQueueResponse *r;
    struct part reachability, stats, pollers;
    struct json_out w;
    if (cli->f.legacy_mode) return describe_legacy(cli);
    if (versions.build_ids_count != 0 || versions.unversioned || versions.all_active) request.versions = &versions;
    for (size_t i = 0; i < cli->f.queue_types.count; i++) PB_PUSH(cli->arena, &request, task_queue_types) = type_number(cli->f.queue_types.items[i]);
    for (int32_t type = TASK_QUEUE_TYPE_WORKFLOW; cli->f.queue_types.count == 0 && type < TASK_QUEUE_TYPE_NEXUS; type++) PB_PUSH(cli->arena, &request, task_queue_types) = type;
    if (!CALL(cli, ws_DescribeTaskQueue, &request, &r)) return cli_fail_call(cli, "describing task queue");
    part_begin(cli, &reachability);
    part_begin(cli, &stats);
    part_begin(cli, &pollers);
    for (size_t i = 0; i < r->versions_info_count; i++) {
        const struct pb_taskqueue_TaskQueueVersionInfo *info = r->versions_info[i]->value;
        const struct field row[] = {field_text(cli, "BuildId", build_name(r->versions_info[i]->key)), field_text(cli, "Reachability", reachability_name(info->task_reachability))};
        part_add(cli, &reachability, row, countof(row));
        for (size_t j = 0; j < info->types_info_count; j++) {
            bool has_stats = info->types_info[j]->value->stats != NULL, has_pollers = info->types_info[j]->value->pollers_count != 0;
            if (has_stats || has_pollers) add_queue_type(cli, &stats, &pollers, r->versions_info[i]->key, info->types_info[j]);
        }
    }
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    part_end(cli, &reachability, &w, "reachability", cli->f.report_reachability, "Task Reachability");
    part_end(cli, &stats, &w, "stats", !cli->f.disable_stats, "Task Queue Statistics");
    part_end(cli, &pollers, &w, "pollers", true, "Pollers");
    struct field config = field_message(cli, "Config", &pb_taskqueue_TaskQueueConfig_type, r->config);
    if (cli->f.report_config) cli_json_put_fields(&w, &config, 1);
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    if (cli->f.report_config && cli->format == FORMAT_TEXT) cli_put_fields(cli, "Config", &config, 1);
    return 0;
}

int run_task_queue_partitions(struct cli *cli)
{
    struct pb_taskqueue_TaskQueue queue = {.name = cli->f.task_queue, .kind = TASK_QUEUE_KIND_NORMAL};
    struct pb_ws_ListTaskQueuePartitionsRequest request = {.namespace = cli->f.namespace, .task_queue = &queue};
    struct pb_ws_ListTaskQueuePartitionsResponse *r;
    if (!CALL(cli, ws_ListTaskQueuePartitions, &request, &r)) return cli_fail_call(cli, "listing partitions");
    cli_put_message(cli, &pb_ws_ListTaskQueuePartitionsResponse_type, r);
    if (cli->format != FORMAT_TEXT) return 0;
    for (int type = 0; type < 2; type++) {
        struct cli_list list = {0};
        struct pb_taskqueue_TaskQueuePartitionMetadata **partitions = type == 0 ? r->workflow_task_queue_partitions : r->activity_task_queue_partitions;
        for (size_t i = 0; i < (type == 0 ? r->workflow_task_queue_partitions_count : r->activity_task_queue_partitions_count); i++) {
            const struct field row[] = {field_text(cli, "Key", partitions[i]->key), field_text(cli, "OwnerHostName", partitions[i]->owner_host_name)};
            cli_list_add_fields(cli, &list, row, countof(row));
        }
        cli_title(cli, type == 0 ? "Workflow Task Queue Partitions" : "Activity Task Queue Partitions");
        cli_list_end(cli, &list);
    }
    return 0;
}

/* ---- limits ---- */

static void limit_row(struct cli *cli, struct cli_list *list, const char *name, const struct pb_taskqueue_RateLimitConfig *limit)
{
    if (limit == NULL) return;
    static const struct pb_taskqueue_ConfigMetadata unknown;
    const struct pb_taskqueue_ConfigMetadata *by = limit->metadata != NULL ? limit->metadata : &unknown;
    const struct field row[] = {
        field_text(cli, "Setting", str_of(name)),
        field_text(cli, "Value", limit->rate_limit == NULL ? STR("default") : arena_printf(cli->arena, "%g a second", (double)limit->rate_limit->requests_per_second)),
        field_text(cli, "Reason", by->reason), field_text(cli, "UpdatedBy", by->update_identity), field_time(cli, "UpdatedTime", by->update_time),
    };
    cli_list_add_fields(cli, list, row, countof(row));
}

static void put_config(struct cli *cli, const struct pb_taskqueue_TaskQueueConfig *config)
{
    struct cli_list list = {0};
    if (cli->format != FORMAT_TEXT) return;
    if (config != NULL) {
        limit_row(cli, &list, "Queue rate limit", config->queue_rate_limit);
        limit_row(cli, &list, "Default of each fairness key", config->fairness_keys_rate_limit_default);
    }
    if (list.count == 0) cli_say(cli, "Nothing is configured for this task queue");
    else cli_list_end(cli, &list);
}

int run_task_queue_config_get(struct cli *cli)
{
    struct pb_taskqueue_TaskQueue queue = {.name = cli->f.task_queue, .kind = TASK_QUEUE_KIND_NORMAL};
    struct pb_ws_DescribeTaskQueueRequest request = {.namespace = cli->f.namespace, .task_queue = &queue, .task_queue_type = type_number(cli->f.task_queue_type), .report_config = true};
    struct pb_ws_DescribeTaskQueueResponse *r;
    if (!CALL(cli, ws_DescribeTaskQueue, &request, &r)) return cli_fail_call(cli, "reading the task queue's configuration");
    if (r->config != NULL) cli_put_message(cli, &pb_taskqueue_TaskQueueConfig_type, r->config);
    put_config(cli, r->config);
    return 0;
}

/* A number, or "default": no limit of its own. NULL: not given. False: said. */
static bool read_limit(struct cli *cli, enum flag flag, struct str text, struct str reason, struct pb_ws_UpdateTaskQueueConfigRequest_RateLimitUpdate **out)
{
    double limit = 0;
    *out = NULL;
    if (!cli->given[flag]) return true;
    *out = pb_new(cli->arena, struct pb_ws_UpdateTaskQueueConfigRequest_RateLimitUpdate);
    (*out)->reason = reason;
    if (str_equal_c(text, "default")) return true;
    if (!json_parse_double(text, &limit) || limit < 0) {
        cli_fail(cli, "--%s wants a number that is not negative, or default, not \"%.*s\"", flag_rows[flag].name, STR_ARG(text));
        return false;
    }
    (*out)->rate_limit = pb_new(cli->arena, struct pb_taskqueue_RateLimit);
    (*out)->rate_limit->requests_per_second = (float)limit;
    return true;
}

int run_task_queue_config_set(struct cli *cli)
{
    struct pb_ws_UpdateTaskQueueConfigRequest request = {.namespace = cli->f.namespace, .identity = cli->f.identity, .task_queue = cli->f.task_queue, .task_queue_type = type_number(cli->f.task_queue_type)};
    struct pb_ws_UpdateTaskQueueConfigResponse *response;
    if (!read_limit(cli, FLAG_queue_rps, cli->f.queue_rps, cli->f.queue_rps_reason, &request.update_queue_rate_limit) ||
        !read_limit(cli, FLAG_fairness_rps, cli->f.fairness_rps, cli->f.fairness_rps_reason, &request.update_fairness_key_rate_limit_default)) return 1;
    if (request.task_queue_type == TASK_QUEUE_TYPE_WORKFLOW && request.update_queue_rate_limit != NULL)
        return cli_fail(cli, "the task queue of workflows takes no --queue-rps-limit; limit its activities");
    if (!CALL(cli, ws_UpdateTaskQueueConfig, &request, &response)) return cli_fail_call(cli, "changing the task queue's configuration");
    cli_put_message(cli, &pb_ws_UpdateTaskQueueConfigResponse_type, response);
    put_config(cli, response->config);
    return 0;
}

/* ---- sets of build ids (the first way of versioning) ---- */

static int update_build_ids(struct cli *cli, struct pb_ws_UpdateWorkerBuildIdCompatibilityRequest *request)
{
    struct pb_ws_UpdateWorkerBuildIdCompatibilityResponse *response;
    request->namespace = cli->f.namespace;
    request->task_queue = cli->f.task_queue;
    if (!CALL(cli, ws_UpdateWorkerBuildIdCompatibility, request, &response)) return cli_fail_call(cli, "changing the task queue's build ids");
    cli_say(cli, "The task queue's build ids are changed");
    return 0;
}

int run_build_ids_add_compatible(struct cli *cli)
{
    struct pb_ws_UpdateWorkerBuildIdCompatibilityRequest_AddNewCompatibleVersion add = {.new_build_id = cli->f.rule_build_id,
        .existing_compatible_build_id = cli->f.compatible_build_id, .make_set_default = cli->f.set_as_default};
    return update_build_ids(cli, &(struct pb_ws_UpdateWorkerBuildIdCompatibilityRequest){
        .operation_case = pb_ws_UpdateWorkerBuildIdCompatibilityRequest_add_new_compatible_build_id_tag, .add_new_compatible_build_id = &add});
}

int run_build_ids_add_default(struct cli *cli)
{
    return update_build_ids(cli, &(struct pb_ws_UpdateWorkerBuildIdCompatibilityRequest){
        .operation_case = pb_ws_UpdateWorkerBuildIdCompatibilityRequest_add_new_build_id_in_new_default_set_tag, .add_new_build_id_in_new_default_set = cli->f.rule_build_id});
}

int run_build_ids_promote_id(struct cli *cli)
{
    return update_build_ids(cli, &(struct pb_ws_UpdateWorkerBuildIdCompatibilityRequest){
        .operation_case = pb_ws_UpdateWorkerBuildIdCompatibilityRequest_promote_build_id_within_set_tag, .promote_build_id_within_set = cli->f.rule_build_id});
}

int run_build_ids_promote_set(struct cli *cli)
{
    return update_build_ids(cli, &(struct pb_ws_UpdateWorkerBuildIdCompatibilityRequest){
        .operation_case = pb_ws_UpdateWorkerBuildIdCompatibilityRequest_promote_set_by_build_id_tag, .promote_set_by_build_id = cli->f.rule_build_id});
}

int run_build_ids_get(struct cli *cli)
{
    struct pb_ws_GetWorkerBuildIdCompatibilityRequest request = {.namespace = cli->f.namespace, .task_queue = cli->f.task_queue, .max_sets = (int32_t)cli->f.max_sets};
    struct pb_ws_GetWorkerBuildIdCompatibilityResponse *r;
    struct cli_list list = {0};
    if (!CALL(cli, ws_GetWorkerBuildIdCompatibility, &request, &r)) return cli_fail_call(cli, "reading the task queue's build ids");
    for (size_t i = 0; i < r->major_version_sets_count; i++) {
        const struct pb_taskqueue_CompatibleVersionSet *set = r->major_version_sets[i];
        const struct field row[] = {field_strings(cli, "BuildIds", set->build_ids, set->build_ids_count),
            field_text(cli, "DefaultForSet", set->build_ids_count != 0 ? set->build_ids[set->build_ids_count - 1] : STR_EMPTY), field_bool("IsDefaultSet", i + 1 == r->major_version_sets_count)};
        cli_list_add_fields(cli, &list, row, countof(row));
    }
    cli_list_end(cli, &list);
    return 0;
}

int run_build_ids_reachability(struct cli *cli)
{
    struct pb_ws_GetWorkerTaskReachabilityRequest request = {.namespace = cli->f.namespace};
    struct pb_ws_GetWorkerTaskReachabilityResponse *r;
    struct cli_list list = {0};
    request.reachability = str_equal_c(cli->f.reachability_type, "open") ? TASK_REACHABILITY_OPEN_WORKFLOWS
                           : str_equal_c(cli->f.reachability_type, "closed") ? TASK_REACHABILITY_CLOSED_WORKFLOWS : TASK_REACHABILITY_EXISTING_WORKFLOWS;
    PB_SET_ARRAY(&request, build_ids, cli->f.build_ids.items, cli->f.build_ids.count);
    PB_SET_ARRAY(&request, task_queues, cli->f.task_queues.items, cli->f.task_queues.count);
    if (!CALL(cli, ws_GetWorkerTaskReachability, &request, &r)) return cli_fail_call(cli, "asking which build ids are reachable");
    for (size_t i = 0; i < r->build_id_reachability_count; i++) {
        const struct pb_taskqueue_BuildIdReachability *build = r->build_id_reachability[i];
        for (size_t j = 0; j < build->task_queue_reachability_count; j++) {
            const struct pb_taskqueue_TaskQueueReachability *queue = build->task_queue_reachability[j];
            struct str *names = arena_array(cli->arena, struct str, queue->reachability_count + 1);
            for (size_t k = 0; k < queue->reachability_count; k++) names[k] = pb_enum_short_name(&pb_enums_TaskReachability_enum, queue->reachability[k], cli->arena);
            const struct field row[] = {field_text(cli, "BuildId", build->build_id), field_text(cli, "TaskQueue", queue->task_queue), field_strings(cli, "Reachability", names, queue->reachability_count)};
            cli_list_add_fields(cli, &list, row, countof(row));
        }
    }
    cli_list_end(cli, &list);
    return 0;
}

/* ---- rules (the second way) ---- */

static bool get_rules(struct cli *cli, struct pb_ws_GetWorkerVersioningRulesResponse **rules)
{
    struct pb_ws_GetWorkerVersioningRulesRequest request = {.namespace = cli->f.namespace, .task_queue = cli->f.task_queue};
    if (CALL(cli, ws_GetWorkerVersioningRules, &request, rules)) return true;
    cli_fail_call(cli, "reading the task queue's rules");
    return false;
}

static int put_rules(struct cli *cli, const struct pb_ws_GetWorkerVersioningRulesResponse *rules)
{
    struct part assignments, redirects;
    struct json_out w;
    part_begin(cli, &assignments);
    part_begin(cli, &redirects);
    for (size_t i = 0; i < rules->assignment_rules_count; i++) {
        const struct pb_taskqueue_BuildIdAssignmentRule *rule = rules->assignment_rules[i]->rule;
        const struct field row[] = {cli_is_json(cli) ? (struct field){0} : field_number(cli, "RuleIndex", (double)i), field_text(cli, "TargetBuildID", rule->target_build_id),
            field_number(cli, "RampPercentage", rule->percentage_ramp != NULL ? (double)rule->percentage_ramp->ramp_percentage : 100), field_time(cli, "CreateTime", rules->assignment_rules[i]->create_time)};
        part_add(cli, &assignments, row, countof(row));
    }
    for (size_t i = 0; i < rules->compatible_redirect_rules_count; i++) {
        const struct pb_taskqueue_CompatibleBuildIdRedirectRule *rule = rules->compatible_redirect_rules[i]->rule;
        const struct field row[] = {field_text(cli, "SourceBuildID", rule->source_build_id), field_text(cli, "TargetBuildID", rule->target_build_id),
            field_time(cli, "CreateTime", rules->compatible_redirect_rules[i]->create_time)};
        part_add(cli, &redirects, row, countof(row));
    }
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    part_end(cli, &assignments, &w, "assignmentRules", true, "Assignment Rules");
    part_end(cli, &redirects, &w, "redirectRules", true, "Redirect Rules");
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    return 0;
}

int run_rules_get(struct cli *cli)
{
    struct pb_ws_GetWorkerVersioningRulesResponse *rules;
    return get_rules(cli, &rules) ? put_rules(cli, rules) : 1;
}

static int update_rules(struct cli *cli, struct pb_ws_UpdateWorkerVersioningRulesRequest *request)
{
    struct pb_ws_GetWorkerVersioningRulesResponse *rules;
    struct pb_ws_UpdateWorkerVersioningRulesResponse *response;
    if (!get_rules(cli, &rules)) return 1;
    if (!cli->f.yes && cli->format == FORMAT_TEXT) put_rules(cli, rules);
    if (!cli_confirm(cli, "Change these rules?")) return 1;
    request->namespace = cli->f.namespace;
    request->task_queue = cli->f.task_queue;
    request->conflict_token = rules->conflict_token;
    if (!CALL(cli, ws_UpdateWorkerVersioningRules, request, &response)) return cli_fail_call(cli, "changing the task queue's rules");
    const struct pb_ws_GetWorkerVersioningRulesResponse now = {.assignment_rules = response->assignment_rules, .assignment_rules_count = response->assignment_rules_count,
        .compatible_redirect_rules = response->compatible_redirect_rules, .compatible_redirect_rules_count = response->compatible_redirect_rules_count};
    return put_rules(cli, &now);
}

static struct pb_taskqueue_BuildIdAssignmentRule *assignment_rule(struct cli *cli)
{
    struct pb_taskqueue_BuildIdAssignmentRule *rule = pb_new(cli->arena, struct pb_taskqueue_BuildIdAssignmentRule);
    rule->target_build_id = cli->f.rule_build_id;
    if (!cli->given[FLAG_rule_percentage] || cli->f.rule_percentage == 100) return rule;
    rule->ramp_case = pb_taskqueue_BuildIdAssignmentRule_percentage_ramp_tag;
    rule->percentage_ramp = pb_new(cli->arena, struct pb_taskqueue_RampByPercentage);
    rule->percentage_ramp->ramp_percentage = (float)cli->f.rule_percentage;
    return rule;
}

int run_rules_insert_assignment(struct cli *cli)
{
    struct pb_ws_UpdateWorkerVersioningRulesRequest_InsertBuildIdAssignmentRule insert = {.rule_index = (int32_t)cli->f.rule_index, .rule = assignment_rule(cli)};
    return update_rules(cli, &(struct pb_ws_UpdateWorkerVersioningRulesRequest){.operation_case = pb_ws_UpdateWorkerVersioningRulesRequest_insert_assignment_rule_tag, .insert_assignment_rule = &insert});
}

int run_rules_replace_assignment(struct cli *cli)
{
    struct pb_ws_UpdateWorkerVersioningRulesRequest_ReplaceBuildIdAssignmentRule replace = {.rule_index = (int32_t)cli->f.rule_index, .rule = assignment_rule(cli), .force = cli->f.force};
    return update_rules(cli, &(struct pb_ws_UpdateWorkerVersioningRulesRequest){.operation_case = pb_ws_UpdateWorkerVersioningRulesRequest_replace_assignment_rule_tag, .replace_assignment_rule = &replace});
}

int run_rules_delete_assignment(struct cli *cli)
{
    struct pb_ws_UpdateWorkerVersioningRulesRequest_DeleteBuildIdAssignmentRule remove = {.rule_index = (int32_t)cli->f.rule_index, .force = cli->f.force};
    return update_rules(cli, &(struct pb_ws_UpdateWorkerVersioningRulesRequest){.operation_case = pb_ws_UpdateWorkerVersioningRulesRequest_delete_assignment_rule_tag, .delete_assignment_rule = &remove});
}

int run_rules_add_redirect(struct cli *cli)
{
    struct pb_taskqueue_CompatibleBuildIdRedirectRule rule = {.source_build_id = cli->f.source_build_id, .target_build_id = cli->f.target_build_id};
    struct pb_ws_UpdateWorkerVersioningRulesRequest_AddCompatibleBuildIdRedirectRule add = {.rule = &rule};
    return update_rules(cli, &(struct pb_ws_UpdateWorkerVersioningRulesRequest){.operation_case = pb_ws_UpdateWorkerVersioningRulesRequest_add_compatible_redirect_rule_tag, .add_compatible_redirect_rule = &add});
}

int run_rules_replace_redirect(struct cli *cli)
{
    struct pb_taskqueue_CompatibleBuildIdRedirectRule rule = {.source_build_id = cli->f.source_build_id, .target_build_id = cli->f.target_build_id};
    struct pb_ws_UpdateWorkerVersioningRulesRequest_ReplaceCompatibleBuildIdRedirectRule replace = {.rule = &rule};
    return update_rules(cli, &(struct pb_ws_UpdateWorkerVersioningRulesRequest){
        .operation_case = pb_ws_UpdateWorkerVersioningRulesRequest_replace_compatible_redirect_rule_tag, .replace_compatible_redirect_rule = &replace});
}

int run_rules_delete_redirect(struct cli *cli)
{
    struct pb_ws_UpdateWorkerVersioningRulesRequest_DeleteCompatibleBuildIdRedirectRule remove = {.source_build_id = cli->f.source_build_id};
    return update_rules(cli, &(struct pb_ws_UpdateWorkerVersioningRulesRequest){
        .operation_case = pb_ws_UpdateWorkerVersioningRulesRequest_delete_compatible_redirect_rule_tag, .delete_compatible_redirect_rule = &remove});
}

int run_rules_commit(struct cli *cli)
{
    struct pb_ws_UpdateWorkerVersioningRulesRequest_CommitBuildId commit = {.target_build_id = cli->f.rule_build_id, .force = cli->f.force};
    return update_rules(cli, &(struct pb_ws_UpdateWorkerVersioningRulesRequest){.operation_case = pb_ws_UpdateWorkerVersioningRulesRequest_commit_build_id_tag, .commit_build_id = &commit});
}
