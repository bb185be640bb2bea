/* cli/operator.c: the cluster, namespaces, search attributes and Nexus endpoints. */
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

int run_cluster_list(struct cli *cli)
{
    struct pb_os_ListClustersRequest request = {0};
    struct pb_os_ListClustersResponse *page;
    struct cli_list list = {0};
    size_t left = cli->f.limit > 0 ? (size_t)cli->f.limit : SIZE_MAX;
    do {
        if (!CALL(cli, os_ListClusters, &request, &page)) return cli_fail_call(cli, "listing clusters");
        for (size_t i = 0; i < page->clusters_count && left > 0; i++, left--) {
            const struct pb_os_ClusterMetadata *c = page->clusters[i];
            const struct field row[] = {field_text(cli, "Name", c->cluster_name), field_text(cli, "ClusterId", c->cluster_id), field_text(cli, "Address", c->address),
                field_number(cli, "HistoryShardCount", c->history_shard_count), field_number(cli, "InitialFailoverVersion", (double)c->initial_failover_version),
                field_bool("IsConnectionEnabled", c->is_connection_enabled)};
            if (cli_is_json(cli)) cli_list_add(cli, &list, &pb_os_ClusterMetadata_type, c);
            else cli_list_add_fields(cli, &list, row, countof(row));
        }
        request.next_page_token = page->next_page_token;
    } while (left > 0 && !str_is_empty(request.next_page_token));
    cli_list_end(cli, &list);
    return 0;
}

int run_cluster_remove(struct cli *cli)
{
    struct pb_os_RemoveRemoteClusterRequest request = {.cluster_name = cli->f.cluster_name};
    struct pb_os_RemoveRemoteClusterResponse *response;
    if (!CALL(cli, os_RemoveRemoteCluster, &request, &response)) return cli_fail_call(cli, "removing cluster");
    cli_say(cli, "Cluster %.*s is removed", STR_ARG(cli->f.cluster_name));
    return 0;
}

int run_cluster_upsert(struct cli *cli)
{
    struct pb_os_AddOrUpdateRemoteClusterRequest request = {.frontend_address = cli->f.frontend_address, .enable_remote_cluster_connection = cli->f.enable_connection};
    struct pb_os_AddOrUpdateRemoteClusterResponse *response;
    if (!CALL(cli, os_AddOrUpdateRemoteCluster, &request, &response)) return cli_fail_call(cli, "adding cluster");
    cli_say(cli, "Cluster at %.*s is added", STR_ARG(cli->f.frontend_address));
    return 0;
}

/* ---- namespaces ---- */

static int32_t archival_state(struct cli *cli, enum flag flag, struct str text)
{
    return !cli->given[flag] ? ARCHIVAL_STATE_UNSPECIFIED : str_equal_c(text, "enabled") ? ARCHIVAL_STATE_ENABLED : ARCHIVAL_STATE_DISABLED;
}

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
    if (r->config != NULL) cli_table_row(card, STR("Retention"), duration_words(cli->arena, pb_duration(r->config->workflow_execution_retention_ttl)));
    cli_table_row(card, STR("IsGlobal"), yes_no(r->is_global_namespace));
    cli_table_print(card);
}

/* The namespace of a command may stand without a flag. */
static void take_word(struct cli *cli)
{
    if (cli->words.count == 0) return;
    cli->f.namespace = cli->words.items[0];
    cli->given[FLAG_namespace] = true;
}

static bool describe(struct cli *cli, struct pb_ws_DescribeNamespaceResponse **response)
{
    take_word(cli);
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
    take_word(cli);
    struct pb_ws_RegisterNamespaceRequest request = {.namespace = cli->f.namespace, .description = cli->f.description, .owner_email = cli->f.email, .is_global_namespace = cli->f.global};
    struct pb_ws_RegisterNamespaceResponse *response;
    if (!cli->given[FLAG_namespace]) return cli_fail(cli, "perdure operator namespace create needs --namespace");
    request.active_cluster_name = cli->f.active_cluster;
    for (size_t i = 0; i < cli->f.clusters.count; i++) PB_PUSH_NEW(cli->arena, &request, clusters)->cluster_name = cli->f.clusters.items[i];
    request.history_archival_state = archival_state(cli, FLAG_history_archival, cli->f.history_archival);
    request.history_archival_uri = cli->f.history_uri;
    request.visibility_archival_state = archival_state(cli, FLAG_visibility_archival, cli->f.visibility_archival);
    request.visibility_archival_uri = cli->f.visibility_uri;
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
    take_word(cli);
    struct pb_namespace_UpdateNamespaceInfo info = {.description = cli->f.description, .owner_email = cli->f.email};
    struct pb_namespace_NamespaceConfig config = {.workflow_execution_retention_ttl = cli_duration(cli, FLAG_retention, cli->f.retention),
        .history_archival_state = archival_state(cli, FLAG_history_archival, cli->f.history_archival), .history_archival_uri = cli->f.history_uri,
        .visibility_archival_state = archival_state(cli, FLAG_visibility_archival, cli->f.visibility_archival), .visibility_archival_uri = cli->f.visibility_uri};
    bool has_config = cli->given[FLAG_retention] || cli->given[FLAG_history_archival] || cli->given[FLAG_history_uri] || cli->given[FLAG_visibility_archival] || cli->given[FLAG_visibility_uri];
    struct pb_replication_NamespaceReplicationConfig replication = {.active_cluster_name = cli->f.active_cluster,
        .state = str_equal_c(cli->f.replication_state, "handover") ? REPLICATION_STATE_HANDOVER : str_equal_c(cli->f.replication_state, "normal") ? REPLICATION_STATE_NORMAL : 0};
    bool has_replication = cli->given[FLAG_active_cluster] || cli->f.clusters.count != 0 || cli->given[FLAG_replication_state];
    struct pb_ws_UpdateNamespaceRequest request = {.namespace = cli->f.namespace, .promote_namespace = cli->f.promote_global};
    struct pb_ws_UpdateNamespaceResponse *response;
    struct pb_ws_DescribeNamespaceResponse *before;
    for (size_t i = 0; i < cli->f.clusters.count; i++) PB_PUSH_NEW(cli->arena, &replication, clusters)->cluster_name = cli->f.clusters.items[i];
    if (!cli->f.promote_global) { /* promotion goes alone */
        request.update_info = &info;
        request.config = has_config ? &config : NULL;
        request.replication_config = has_replication ? &replication : NULL;
    }
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
    take_word(cli);
    struct pb_os_DeleteNamespaceRequest request = {.namespace = cli->f.namespace};
    struct pb_os_DeleteNamespaceResponse *response;
    if (!cli->given[FLAG_namespace]) return cli_fail(cli, "perdure operator namespace delete needs --namespace");
    if (!cli_confirm_word(cli, arena_printf(cli->arena, "Remove namespace %.*s with all its workflows?", STR_ARG(cli->f.namespace)).data, cli->f.namespace)) return 1;
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
