/* cli/operator.c: the cluster, namespaces, search attributes and task queues. */
#include "cli/commands.h"

int run_cluster_health(struct cli *cli)
{
    struct pb_health_HealthCheckRequest request = {.service = STR("temporal.api.workflowservice.v1.WorkflowService")};
    struct pb_health_HealthCheckResponse *response;
    if (!cli_call_path(cli, "/grpc.health.v1.Health/Check", &pb_health_HealthCheckRequest_type, &request, &pb_health_HealthCheckResponse_type, (void **)&response, (duration){0}))
        return cli_fail_call(cli, "checking the cluster's health");
    cli_put_message(cli, &pb_health_HealthCheckResponse_type, response);
    cli_say(cli, "%.*s", STR_ARG(pb_enum_name(&pb_health_HealthCheckResponse_ServingStatus_enum, response->status)));
    return response->status == pb_health_HealthCheckResponse_SERVING ? 0 : 1;
}

int run_cluster_describe(struct cli *cli)
{
    static const char *const titles[] = {"ClusterName", "PersistenceStore", "VisibilityStore", "ServerVersion", "HistoryShardCount"};
    struct pb_ws_GetClusterInfoRequest request = {0};
    struct pb_ws_GetClusterInfoResponse *r;
    if (!CALL(cli, ws_GetClusterInfo, &request, &r)) return cli_fail_call(cli, "describing the cluster");
    cli_put_message(cli, &pb_ws_GetClusterInfoResponse_type, r);
    struct cli_table *table = cli_table_new(cli, cli->f.detail ? 5 : 3, titles);
    cli_table_row(table, r->cluster_name, r->persistence_store, r->visibility_store, r->server_version, arena_printf(cli->arena, "%d", (int)r->history_shard_count));
    cli_table_print(table);
    return 0;
}

static struct str yes_no(bool is) { return is ? STR("true") : STR("false"); }

int run_cluster_system(struct cli *cli)
{
    static const char *const titles[] = {"ServerVersion", "SupportsSchedules", "UpsertMemo", "EagerWorkflowStart"};
    struct pb_ws_GetSystemInfoRequest request = {0};
    struct pb_ws_GetSystemInfoResponse *r;
    if (!CALL(cli, ws_GetSystemInfo, &request, &r)) return cli_fail_call(cli, "asking the server what it can do");
    cli_put_message(cli, &pb_ws_GetSystemInfoResponse_type, r);
    const struct pb_ws_GetSystemInfoResponse_Capabilities *c = r->capabilities;
    struct cli_table *table = cli_table_new(cli, countof(titles), titles);
    cli_table_row(table, r->server_version, yes_no(c != NULL && c->supports_schedules), yes_no(c != NULL && c->upsert_memo), yes_no(c != NULL && c->eager_workflow_start));
    cli_table_print(table);
    return 0;
}

/* ---- namespaces ---- */

static void show_namespace(struct cli *cli, const struct pb_ws_DescribeNamespaceResponse *r)
{
    struct cli_table *card = cli_table_new(cli, 2, NULL);
    const struct pb_namespace_NamespaceInfo *info = r->namespace_info;
    if (info == NULL) return;
    cli_table_row(card, STR("Name"), info->name);
    cli_table_row(card, STR("Id"), info->id);
    cli_table_row(card, STR("Description"), info->description);
    cli_table_row(card, STR("OwnerEmail"), info->owner_email);
    cli_table_row(card, STR("State"), pb_enum_short_name(&pb_enums_NamespaceState_enum, info->state, cli->arena));
    for (size_t i = 0; i < info->data_count; i++) cli_table_row(card, arena_printf(cli->arena, "Data %.*s", STR_ARG(info->data[i]->key)), info->data[i]->value);
    if (r->config != NULL) cli_table_row(card, STR("Retention"), duration_text(cli->arena, pb_duration(r->config->workflow_execution_retention_ttl)));
    cli_table_row(card, STR("IsGlobal"), yes_no(r->is_global_namespace));
    cli_table_print(card);
}

static bool describe(struct cli *cli, struct pb_ws_DescribeNamespaceResponse **response)
{
    bool is_by_id = !str_is_empty(cli->f.namespace_id);
    struct pb_ws_DescribeNamespaceRequest request = {.namespace = is_by_id ? STR_EMPTY : cli->f.namespace, .id = cli->f.namespace_id};
    return CALL(cli, ws_DescribeNamespace, &request, response);
}

int run_namespace_describe(struct cli *cli)
{
    struct pb_ws_DescribeNamespaceResponse *response;
    if (!describe(cli, &response)) return cli_fail_call(cli, "describing namespace");
    cli_put_message(cli, &pb_ws_DescribeNamespaceResponse_type, response);
    show_namespace(cli, response);
    return 0;
}

int run_namespace_list(struct cli *cli)
{
    struct pb_ws_ListNamespacesRequest request = {0};
    struct pb_ws_ListNamespacesResponse *page;
    struct cli_list list = {0};
    do {
        if (!CALL(cli, ws_ListNamespaces, &request, &page)) return cli_fail_call(cli, "listing namespaces");
        for (size_t i = 0; i < page->namespaces_count; i++) {
            cli_list_add(cli, &list, &pb_ws_DescribeNamespaceResponse_type, page->namespaces[i]);
            if (list.count > 1) cli_say(cli, "%s", "");
            show_namespace(cli, page->namespaces[i]);
        }
        request.next_page_token = page->next_page_token;
    } while (!str_is_empty(request.next_page_token));
    cli_list_end(cli, &list);
    return 0;
}

static bool data_pair(struct cli *cli, size_t i, struct str *key, struct str *value)
{
    if (pair_split(cli->f.data.items[i], key, value)) return true;
    cli_fail(cli, "--data wants KEY=VALUE, not \"%.*s\"", STR_ARG(cli->f.data.items[i]));
    return false;
}

int run_namespace_create(struct cli *cli)
{
    struct pb_ws_RegisterNamespaceRequest request = {.namespace = cli->f.namespace, .description = cli->f.description, .owner_email = cli->f.email, .is_global_namespace = cli->f.global};
    struct pb_ws_RegisterNamespaceResponse *response;
    if (!cli->given[FLAG_namespace]) return cli_fail(cli, "perdure operator namespace create needs --namespace");
    request.workflow_execution_retention_period = pb_duration_new(cli->arena, cli->given[FLAG_retention] ? cli->f.retention : duration_s(72 * 3600));
    for (size_t i = 0; i < cli->f.data.count; i++) {
        struct pb_ws_RegisterNamespaceRequest_DataEntry *entry = PB_PUSH_NEW(cli->arena, &request, data);
        if (!data_pair(cli, i, &entry->key, &entry->value)) return 1;
    }
    if (!CALL(cli, ws_RegisterNamespace, &request, &response)) return cli_fail_call(cli, "creating namespace");
    cli_say(cli, "Namespace %.*s is there.", STR_ARG(cli->f.namespace));
    return 0;
}

int run_namespace_update(struct cli *cli)
{
    struct pb_namespace_UpdateNamespaceInfo info = {.description = cli->f.description, .owner_email = cli->f.email};
    struct pb_namespace_NamespaceConfig config = {.workflow_execution_retention_ttl = cli_duration(cli, FLAG_retention, cli->f.retention)};
    struct pb_ws_UpdateNamespaceRequest request = {.namespace = cli->f.namespace, .update_info = &info, .config = cli->given[FLAG_retention] ? &config : NULL};
    struct pb_ws_UpdateNamespaceResponse *response;
    struct pb_ws_DescribeNamespaceResponse *before;
    if (!describe(cli, &before)) return cli_fail_call(cli, "describing namespace");
    if (before->namespace_info != NULL && !cli->given[FLAG_description]) info.description = before->namespace_info->description;
    if (before->namespace_info != NULL && !cli->given[FLAG_email]) info.owner_email = before->namespace_info->owner_email;
    for (size_t i = 0; i < cli->f.data.count; i++) {
        struct pb_namespace_UpdateNamespaceInfo_DataEntry *entry = PB_PUSH_NEW(cli->arena, &info, data);
        if (!data_pair(cli, i, &entry->key, &entry->value)) return 1;
    }
    if (!CALL(cli, ws_UpdateNamespace, &request, &response)) return cli_fail_call(cli, "updating namespace");
    cli_put_message(cli, &pb_ws_UpdateNamespaceResponse_type, response);
    cli_say(cli, "Namespace %.*s is changed.", STR_ARG(cli->f.namespace));
    return 0;
}

int run_namespace_delete(struct cli *cli)
{
    struct pb_os_DeleteNamespaceRequest request = {.namespace = cli->f.namespace};
    struct pb_os_DeleteNamespaceResponse *response;
    if (!cli->given[FLAG_namespace]) return cli_fail(cli, "perdure operator namespace delete needs --namespace");
    if (!cli_confirm(cli, arena_printf(cli->arena, "Remove namespace %.*s with all its workflows?", STR_ARG(cli->f.namespace)).data)) return 1;
    if (!CALL(cli, os_DeleteNamespace, &request, &response)) return cli_fail_call(cli, "deleting namespace");
    cli_put_message(cli, &pb_os_DeleteNamespaceResponse_type, response);
    cli_say(cli, "Namespace %.*s is removed.", STR_ARG(cli->f.namespace));
    return 0;
}

/* ---- search attributes ---- */

int run_attribute_create(struct cli *cli)
{
    struct pb_os_AddSearchAttributesRequest request = {.namespace = cli->f.namespace};
    struct pb_os_AddSearchAttributesResponse *response;
    if (cli->f.attribute_names.count != cli->f.attribute_types.count) return cli_fail(cli, "each --name needs its --type");
    for (size_t i = 0; i < cli->f.attribute_names.count; i++) {
        struct pb_os_AddSearchAttributesRequest_SearchAttributesEntry *entry = PB_PUSH_NEW(cli->arena, &request, search_attributes);
        entry->key = cli->f.attribute_names.items[i];
        if (!cli_enum(cli, &pb_enums_IndexedValueType_enum, cli->f.attribute_types.items[i], "type", &entry->value)) return 1;
    }
    if (!CALL(cli, os_AddSearchAttributes, &request, &response) && cli->code != GRPC_ALREADY_EXISTS) return cli_fail_call(cli, "adding search attributes");
    cli_say(cli, "Search attributes have been added");
    return 0;
}

int run_attribute_list(struct cli *cli)
{
    static const char *const titles[] = {"Name", "Type"};
    struct pb_os_ListSearchAttributesRequest request = {.namespace = cli->f.namespace};
    struct pb_os_ListSearchAttributesResponse *r;
    if (!CALL(cli, os_ListSearchAttributes, &request, &r)) return cli_fail_call(cli, "listing search attributes");
    r->storage_schema_count = 0; /* how a store keeps them is no answer to this question */
    cli_put_message(cli, &pb_os_ListSearchAttributesResponse_type, r);
    struct cli_table *table = cli_table_new(cli, countof(titles), titles);
    for (size_t i = 0; i < r->system_attributes_count; i++)
        cli_table_row(table, r->system_attributes[i]->key, pb_enum_short_name(&pb_enums_IndexedValueType_enum, r->system_attributes[i]->value, cli->arena));
    for (size_t i = 0; i < r->custom_attributes_count; i++)
        cli_table_row(table, r->custom_attributes[i]->key, pb_enum_short_name(&pb_enums_IndexedValueType_enum, r->custom_attributes[i]->value, cli->arena));
    cli_table_print(table);
    return 0;
}

int run_attribute_remove(struct cli *cli)
{
    struct pb_os_RemoveSearchAttributesRequest request = {.namespace = cli->f.namespace};
    struct pb_os_RemoveSearchAttributesResponse *response;
    PB_SET_ARRAY(&request, search_attributes, cli->f.attribute_names.items, cli->f.attribute_names.count);
    if (!cli_confirm(cli, "Remove these search attributes?")) return 1;
    if (!CALL(cli, os_RemoveSearchAttributes, &request, &response)) return cli_fail_call(cli, "removing search attributes");
    cli_say(cli, "Search attributes have been removed");
    return 0;
}

/* ---- task queues ---- */

struct queue_answer {
    struct cli *cli;
    struct cli_table *stats, *pollers;
    struct json_out stats_json, pollers_json;
    bool wants_stats;
};

static void put_number(struct json_out *w, const char *key, double value)
{
    json_put_key(w, str_of(key));
    json_put_double(w, value);
}

static void add_queue_type(struct queue_answer *a, struct str build_id, const struct pb_taskqueue_TaskQueueVersionInfo_TypesInfoEntry *type)
{
    struct arena *arena = a->cli->arena;
    static const char *const names[] = {"", "workflow", "activity", "nexus"};
    struct str name = str_of(type->key > 0 && type->key < (int32_t)countof(names) ? names[type->key] : "");
    struct str build = str_is_empty(build_id) ? STR("UNVERSIONED") : build_id;
    const struct pb_taskqueue_TaskQueueStats *s = type->value->stats;
    if (s != NULL && a->wants_stats) {
        struct str age = duration_text(arena, pb_duration(s->approximate_backlog_age));
        json_put_next(&a->stats_json);
        json_put_open(&a->stats_json, '{');
        cli_json_field(&a->stats_json, "buildId", build);
        cli_json_field(&a->stats_json, "taskQueueType", name);
        put_number(&a->stats_json, "approximateBacklogCount", (double)s->approximate_backlog_count);
        cli_json_field(&a->stats_json, "approximateBacklogAge", age);
        put_number(&a->stats_json, "backlogIncreaseRate", (double)s->tasks_add_rate - (double)s->tasks_dispatch_rate);
        put_number(&a->stats_json, "tasksAddRate", (double)s->tasks_add_rate);
        put_number(&a->stats_json, "tasksDispatchRate", (double)s->tasks_dispatch_rate);
        json_put_close(&a->stats_json, '}');
        cli_table_row(a->stats, build, name, arena_printf(arena, "%" PRId64, s->approximate_backlog_count), age,
                      arena_printf(arena, "%.2f", (double)s->tasks_add_rate), arena_printf(arena, "%.2f", (double)s->tasks_dispatch_rate));
    }
    for (size_t i = 0; i < type->value->pollers_count; i++) {
        const struct pb_taskqueue_PollerInfo *p = type->value->pollers[i];
        char time[40] = "";
        if (p->last_access_time != NULL) pb_format_timestamp(p->last_access_time->seconds, p->last_access_time->nanos, time);
        json_put_next(&a->pollers_json);
        json_put_open(&a->pollers_json, '{');
        cli_json_field(&a->pollers_json, "buildId", build);
        cli_json_field(&a->pollers_json, "taskQueueType", name);
        cli_json_field(&a->pollers_json, "identity", p->identity);
        cli_json_field(&a->pollers_json, "lastAccessTime", str_of(time));
        put_number(&a->pollers_json, "ratePerSecond", p->rate_per_second);
        json_put_close(&a->pollers_json, '}');
        cli_table_row(a->pollers, build, name, p->identity, cli_time_text(a->cli, p->last_access_time), arena_printf(arena, "%.0f", p->rate_per_second));
    }
}

static int describe_legacy(struct cli *cli, struct pb_ws_DescribeTaskQueueRequest *request)
{
    static const char *const titles[] = {"Identity", "LastAccessTime", "RatePerSecond"};
    struct pb_ws_DescribeTaskQueueResponse *r;
    request->task_queue_type = TASK_QUEUE_TYPE_WORKFLOW;
    if (!cli_enum(cli, &pb_enums_TaskQueueType_enum, cli->f.legacy_type, "task-queue-type-legacy", &request->task_queue_type)) return 1;
    if (!CALL(cli, ws_DescribeTaskQueue, request, &r)) return cli_fail_call(cli, "describing task queue");
    cli_put_message(cli, &pb_ws_DescribeTaskQueueResponse_type, r);
    struct cli_table *table = cli_table_new(cli, countof(titles), titles);
    for (size_t i = 0; i < r->pollers_count; i++)
        cli_table_row(table, r->pollers[i]->identity, cli_time_text(cli, r->pollers[i]->last_access_time), arena_printf(cli->arena, "%.0f", r->pollers[i]->rate_per_second));
    cli_title(cli, "Pollers");
    cli_table_print(table);
    return 0;
}

int run_task_queue_describe(struct cli *cli)
{
    static const char *const stats_titles[] = {"BuildID", "Type", "Backlog", "BacklogAge", "AddRate", "DispatchRate"};
    static const char *const poller_titles[] = {"BuildID", "Type", "Identity", "LastAccessTime", "RatePerSecond"};
    struct pb_taskqueue_TaskQueue queue = {.name = cli->f.task_queue};
    struct pb_ws_DescribeTaskQueueRequest request = {.namespace = cli->f.namespace, .task_queue = &queue};
    struct pb_ws_DescribeTaskQueueResponse *r;
    if (cli->f.legacy_mode) return describe_legacy(cli, &request);
    int32_t only = 0;
    if (!cli_enum(cli, &pb_enums_TaskQueueType_enum, cli->f.task_queue_type, "task-queue-type", &only)) return 1;
    for (int32_t type = TASK_QUEUE_TYPE_WORKFLOW; type <= TASK_QUEUE_TYPE_NEXUS; type++)
        if (only == 0 ? type != TASK_QUEUE_TYPE_NEXUS : type == only) PB_PUSH(cli->arena, &request, task_queue_types) = type;
    request.api_mode = DESCRIBE_TASK_QUEUE_MODE_ENHANCED;
    request.report_pollers = true;
    request.report_stats = !cli->f.disable_stats;
    if (!CALL(cli, ws_DescribeTaskQueue, &request, &r)) return cli_fail_call(cli, "describing task queue");
    struct json_out w;
    struct queue_answer a = {.cli = cli, .stats = cli_table_new(cli, countof(stats_titles), stats_titles),
                             .pollers = cli_table_new(cli, countof(poller_titles), poller_titles), .wants_stats = !cli->f.disable_stats};
    cli_json_begin(cli, &a.stats_json);
    cli_json_begin(cli, &a.pollers_json);
    json_put_open(&a.stats_json, '[');
    json_put_open(&a.pollers_json, '[');
    for (size_t i = 0; i < r->versions_info_count; i++)
        for (size_t j = 0; j < r->versions_info[i]->value->types_info_count; j++) add_queue_type(&a, r->versions_info[i]->key, r->versions_info[i]->value->types_info[j]);
    json_put_close(&a.stats_json, ']');
    json_put_close(&a.pollers_json, ']');
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    json_put_key(&w, STR("reachability"));
    json_put_raw(&w, STR("null"));
    json_put_key(&w, STR("pollers"));
    json_put_json(&w, buf_view(a.pollers_json.out));
    if (a.wants_stats) {
        json_put_key(&w, STR("stats"));
        json_put_json(&w, buf_view(a.stats_json.out));
    }
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
    buf_fini(a.stats_json.out);
    buf_fini(a.pollers_json.out);
    if (a.wants_stats) {
        cli_title(cli, "Task Queue Statistics");
        cli_table_print(a.stats);
    }
    cli_title(cli, "Pollers");
    cli_table_print(a.pollers);
    return 0;
}
