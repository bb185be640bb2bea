/* cli/worker.c: workers that report themselves, and deployments: which version of them gets the work. */
#include "cli/commands.h"

#include <stdlib.h>

/* ---- workers ---- */

static struct str deployment_text(struct cli *cli, const struct pb_deployment_WorkerDeploymentVersion *v)
{
    return v == NULL ? STR_EMPTY : arena_printf(cli->arena, "%.*s@%.*s", STR_ARG(v->deployment_name), STR_ARG(v->build_id));
}

static struct field status_field(struct cli *cli, int32_t status) { return field_text(cli, "Status", pb_enum_short_name(&pb_enums_WorkerStatus_enum, status, cli->arena)); }

static void list_worker(struct cli *cli, struct cli_list *list, const struct pb_worker_WorkerInfo *info)
{
    static const struct pb_worker_WorkerHeartbeat nothing;
    const struct pb_worker_WorkerHeartbeat *h = info->worker_heartbeat != NULL ? info->worker_heartbeat : &nothing;
    if (cli_is_json(cli)) {
        cli_list_add(cli, list, &pb_worker_WorkerInfo_type, info);
        return;
    }
    const struct field row[] = {
        field_text(cli, "WorkerInstanceKey", h->worker_instance_key), status_field(cli, h->status), field_text(cli, "TaskQueue", h->task_queue),
        field_text(cli, "Identity", h->worker_identity), field_text(cli, "HostName", h->host_info != NULL ? h->host_info->host_name : STR_EMPTY),
        field_text(cli, "Deployment", deployment_text(cli, h->deployment_version)), field_time(cli, "Heartbeat", h->heartbeat_time),
    };
    cli_list_add_fields(cli, list, row, countof(row));
}

int run_worker_list(struct cli *cli)
{
    struct pb_ws_ListWorkersRequest request = {.namespace = cli->f.namespace, .query = cli->f.query};
    struct pb_ws_ListWorkersResponse *page;
    struct cli_list list = {0};
    int64_t left = cli->f.limit > 0 ? cli->f.limit : INT64_MAX;
    do {
        if (!CALL(cli, ws_ListWorkers, &request, &page)) return cli_fail_call(cli, "listing workers");
        for (size_t i = 0; i < page->workers_info_count && left > 0; i++, left--) list_worker(cli, &list, page->workers_info[i]);
        request.next_page_token = page->next_page_token;
    } while (left > 0 && !str_is_empty(request.next_page_token));
    cli_list_end(cli, &list);
    return 0;
}

static struct field slots_field(struct cli *cli, const char *label, const struct pb_worker_WorkerSlotsInfo *s)
{
    if (s == NULL) return (struct field){.label = label};
    return field_text(cli, label, arena_printf(cli->arena, "%d used, %d free (%.*s); %d done, %d failed", (int)s->current_used_slots, (int)s->current_available_slots,
                                               STR_ARG(s->slot_supplier_kind), (int)s->total_processed_tasks, (int)s->total_failed_tasks));
}

static struct field pollers_field(struct cli *cli, const char *label, const struct pb_worker_WorkerPollerInfo *p)
{
    if (p == NULL) return (struct field){.label = label};
    struct str last = cli_time_text(cli, p->last_successful_poll_time);
    return field_text(cli, label, arena_printf(cli->arena, "%d%s%s%.*s", (int)p->current_pollers, p->is_autoscaling ? ", autoscaling" : "", last.size != 0 ? ", last success " : "", STR_ARG(last)));
}

int run_worker_describe(struct cli *cli)
{
    struct pb_ws_DescribeWorkerRequest request = {.namespace = cli->f.namespace, .worker_instance_key = cli->f.instance_key};
    struct pb_ws_DescribeWorkerResponse *r;
    if (!CALL(cli, ws_DescribeWorker, &request, &r)) return cli_fail_call(cli, "describing worker");
    if (r->worker_info == NULL || r->worker_info->worker_heartbeat == NULL) return cli_fail(cli, "the server's answer says nothing about the worker");
    cli_put_message(cli, &pb_worker_WorkerInfo_type, r->worker_info);
    if (cli->format != FORMAT_TEXT) return 0;
    const struct pb_worker_WorkerHeartbeat *h = r->worker_info->worker_heartbeat;
    struct str host = h->host_info == NULL ? STR_EMPTY
        : arena_printf(cli->arena, "%.*s, process %.*s, CPU %.0f %%, memory %.0f %%", STR_ARG(h->host_info->host_name), STR_ARG(h->host_info->process_id),
                       (double)h->host_info->current_host_cpu_usage * 100, (double)h->host_info->current_host_mem_usage * 100);
    const struct field card[] = {
        field_text(cli, "WorkerInstanceKey", h->worker_instance_key), field_text(cli, "Identity", h->worker_identity), status_field(cli, h->status), field_text(cli, "TaskQueue", h->task_queue),
        field_text(cli, "Deployment", deployment_text(cli, h->deployment_version)), field_text(cli, "Sdk", arena_printf(cli->arena, "%.*s %.*s", STR_ARG(h->sdk_name), STR_ARG(h->sdk_version))),
        field_time(cli, "StartTime", h->start_time), field_time(cli, "HeartbeatTime", h->heartbeat_time), field_text(cli, "Host", host),
        slots_field(cli, "WorkflowTaskSlots", h->workflow_task_slots_info), slots_field(cli, "ActivitySlots", h->activity_task_slots_info),
        slots_field(cli, "NexusSlots", h->nexus_task_slots_info), slots_field(cli, "LocalActivitySlots", h->local_activity_slots_info),
        pollers_field(cli, "WorkflowPollers", h->workflow_poller_info), pollers_field(cli, "StickyPollers", h->workflow_sticky_poller_info),
        pollers_field(cli, "ActivityPollers", h->activity_poller_info), pollers_field(cli, "NexusPollers", h->nexus_poller_info),
        field_text(cli, "StickyCache", arena_printf(cli->arena, "%d held, %d hits, %d misses", (int)h->current_sticky_cache_size, (int)h->total_sticky_cache_hit, (int)h->total_sticky_cache_miss)),
    };
    cli_put_fields(cli, NULL, card, countof(card));
    return 0;
}

/* ---- deployments ---- */

/* The fields of the routing, in JSON an object of its own. */
static size_t routing_fields(struct cli *cli, const struct pb_deployment_RoutingConfig *r, struct field out[8])
{
    static const struct pb_deployment_RoutingConfig nothing;
    static const struct pb_deployment_WorkerDeploymentVersion none;
    if (r == NULL) r = &nothing;
    const struct pb_deployment_WorkerDeploymentVersion *now = r->current_deployment_version != NULL ? r->current_deployment_version : &none;
    const struct pb_deployment_WorkerDeploymentVersion *ramp = r->ramping_deployment_version != NULL ? r->ramping_deployment_version : &none;
    size_t n = 0;
    out[n++] = field_text(cli, "CurrentVersionDeploymentName", now->deployment_name);
    out[n++] = field_text(cli, "CurrentVersionBuildID", now->build_id);
    out[n++] = field_text(cli, "RampingVersionDeploymentName", ramp->deployment_name);
    out[n++] = field_text(cli, "RampingVersionBuildID", ramp->build_id);
    out[n++] = field_float(cli, "RampingVersionPercentage", r->ramping_version_percentage);
    out[n++] = field_time(cli, "CurrentVersionChangedTime", r->current_version_changed_time);
    out[n++] = field_time(cli, "RampingVersionChangedTime", r->ramping_version_changed_time);
    out[n++] = field_time(cli, "RampingVersionPercentageChangedTime", r->ramping_version_percentage_changed_time);
    return n;
}

static struct str drainage_text(struct cli *cli, int32_t status)
{
    if (status == VERSION_DRAINAGE_STATUS_UNSPECIFIED) return STR("unspecified");
    char *name = arena_cstr(cli->arena, pb_enum_short_name(&pb_enums_VersionDrainageStatus_enum, status, cli->arena));
    if (*name >= 'A' && *name <= 'Z') *name = (char)(*name + 32);
    return str_of(name);
}

static size_t summary_fields(struct cli *cli, const struct pb_deployment_WorkerDeploymentInfo_WorkerDeploymentVersionSummary *s, struct field out[4])
{
    static const struct pb_deployment_WorkerDeploymentVersion none;
    const struct pb_deployment_WorkerDeploymentVersion *v = s->deployment_version != NULL ? s->deployment_version : &none;
    out[0] = field_text(cli, "DeploymentName", v->deployment_name);
    out[1] = field_text(cli, "BuildID", v->build_id);
    out[1].is_exact = true; /* programs know it by this key */
    out[2] = field_text(cli, "DrainageStatus", drainage_text(cli, s->drainage_status));
    out[3] = field_time(cli, "CreateTime", s->create_time);
    return 4;
}

/* The objects of a list, in a string, for a field. */
static struct field summaries_field(struct cli *cli, const struct pb_deployment_WorkerDeploymentInfo *info)
{
    struct json_out w;
    struct field fields[4];
    cli_json_begin(cli, &w);
    json_put_open(&w, '[');
    for (size_t i = 0; i < info->version_summaries_count; i++) {
        size_t n = summary_fields(cli, info->version_summaries[i], fields);
        json_put_next(&w);
        json_put_open(&w, '{');
        cli_json_put_fields(&w, fields, n);
        json_put_close(&w, '}');
    }
    json_put_close(&w, ']');
    struct field field = {.label = "VersionSummaries", .value = arena_str(cli->arena, buf_view(w.out))};
    buf_fini(w.out);
    return field;
}

int run_deployment_list(struct cli *cli)
{
    struct pb_ws_ListWorkerDeploymentsRequest request = {.namespace = cli->f.namespace};
    struct pb_ws_ListWorkerDeploymentsResponse *page;
    struct cli_list list = {0};
    do {
        if (!CALL(cli, ws_ListWorkerDeployments, &request, &page)) return cli_fail_call(cli, "listing worker deployments");
        for (size_t i = 0; i < page->worker_deployments_count; i++) {
            const struct pb_ws_ListWorkerDeploymentsResponse_WorkerDeploymentSummary *d = page->worker_deployments[i];
            struct field routing[8];
            size_t n = routing_fields(cli, d->routing_config, routing);
            struct field name = field_text(cli, "Name", d->name), time = field_time(cli, "CreateTime", d->create_time);
            const struct field row[] = {name, time, {"Current", routing[1].value, false}, {"Ramping", routing[3].value, false}, {"Percentage", routing[4].value, false}};
            const struct field object[] = {name, time, field_text(cli, "LastModifierIdentity", STR_EMPTY), field_object(cli, "RoutingConfig", routing, n),
                {"VersionSummaries", STR("null"), false}, field_text(cli, "ManagerIdentity", STR_EMPTY)};
            if (cli_is_json(cli)) cli_list_add_fields(cli, &list, object, countof(object));
            else cli_list_add_fields(cli, &list, row, countof(row));
        }
        request.next_page_token = page->next_page_token;
    } while (!str_is_empty(request.next_page_token));
    cli_list_end(cli, &list);
    return 0;
}

static struct pb_ws_DescribeWorkerDeploymentResponse *describe(struct cli *cli, struct str name)
{
    struct pb_ws_DescribeWorkerDeploymentRequest request = {.namespace = cli->f.namespace, .deployment_name = name};
    struct pb_ws_DescribeWorkerDeploymentResponse *response;
    if (!CALL(cli, ws_DescribeWorkerDeployment, &request, &response)) cli_fail_call(cli, "describing worker deployment");
    else if (response->worker_deployment_info != NULL) return response;
    else cli_fail(cli, "the server's answer says nothing about the deployment");
    return NULL;
}

static void put_deployment(struct cli *cli, const struct pb_deployment_WorkerDeploymentInfo *info, const char *title)
{
    struct field routing[8], card[16];
    struct cli_list list = {0};
    size_t n = 0, routing_count = routing_fields(cli, info->routing_config, routing);
    card[n++] = field_text(cli, "Name", info->name);
    card[n++] = field_time(cli, "CreateTime", info->create_time);
    if (cli_is_json(cli) || info->last_modifier_identity.size != 0) card[n++] = field_text(cli, "LastModifierIdentity", info->last_modifier_identity);
    if (cli_is_json(cli) || info->manager_identity.size != 0) card[n++] = field_text(cli, "ManagerIdentity", info->manager_identity);
    if (cli_is_json(cli)) {
        card[n++] = field_object(cli, "RoutingConfig", routing, routing_count);
        card[n++] = summaries_field(cli, info);
        cli_put_fields(cli, NULL, card, n);
        return;
    }
    for (size_t i = 0; i < routing_count; i++)
        if (routing[i].value.size != 0 && (i != 4 || routing[3].value.size != 0)) card[n++] = routing[i];
    cli_put_fields(cli, title, card, n);
    if (cli->format != FORMAT_TEXT || info->version_summaries_count == 0) return;
    for (size_t i = 0; i < info->version_summaries_count; i++) cli_list_add_fields(cli, &list, card, summary_fields(cli, info->version_summaries[i], card));
    cli_say(cli, "%s", "");
    cli_title(cli, "Version Summaries");
    cli_list_end(cli, &list);
}

int run_deployment_describe(struct cli *cli)
{
    const struct pb_ws_DescribeWorkerDeploymentResponse *d = describe(cli, cli->f.deployment);
    if (d == NULL) return 1;
    put_deployment(cli, d->worker_deployment_info, "Worker Deployment");
    return 0;
}

int run_deployment_delete(struct cli *cli)
{
    struct pb_ws_DeleteWorkerDeploymentRequest request = {.namespace = cli->f.namespace, .deployment_name = cli->f.deployment, .identity = cli->f.identity};
    struct pb_ws_DeleteWorkerDeploymentResponse *response;
    if (!CALL(cli, ws_DeleteWorkerDeployment, &request, &response)) return cli_fail_call(cli, "deleting worker deployment");
    cli_say(cli, "The worker deployment is deleted");
    return 0;
}

/* ---- versions ---- */

static struct pb_deployment_WorkerDeploymentVersion *version_of(struct cli *cli)
{
    struct pb_deployment_WorkerDeploymentVersion *version = pb_new(cli->arena, struct pb_deployment_WorkerDeploymentVersion);
    *version = (struct pb_deployment_WorkerDeploymentVersion){.deployment_name = cli->f.deployment_name, .build_id = cli->f.rule_build_id};
    return version;
}

/* The older spelling of the same, for servers that read only it. */
static struct str version_text(struct cli *cli)
{
    if (str_is_empty(cli->f.rule_build_id)) return STR("__unversioned__");
    return arena_printf(cli->arena, "%.*s.%.*s", STR_ARG(cli->f.deployment_name), STR_ARG(cli->f.rule_build_id));
}

static struct field metadata_field(struct cli *cli, const char *label, const struct pb_deployment_VersionMetadata *metadata)
{
    struct json_out w;
    if (metadata == NULL || metadata->entries_count == 0) return (struct field){.label = label};
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    for (size_t i = 0; i < metadata->entries_count; i++) {
        json_put_key(&w, metadata->entries[i]->key);
        if (pb_json_put(&pb_common_Payload_type, metadata->entries[i]->value, cli_is_json(cli) ? 0 : PB_JSON_SHORTHAND, &w) != ERR_NONE) json_put_raw(&w, STR("null"));
    }
    json_put_close(&w, '}');
    struct field field = {.label = label, .value = arena_str(cli->arena, buf_view(w.out))};
    buf_fini(w.out);
    return field;
}

static void put_queues(struct cli *cli, struct cli_list *list, const struct pb_deployment_WorkerDeploymentVersionInfo *info, struct json_out *w)
{
    static const char *const names[] = {"unspecified", "workflow", "activity", "nexus"};
    for (size_t i = 0; i < info->task_queue_infos_count; i++) {
        int32_t type = info->task_queue_infos[i]->type;
        const struct field row[] = {field_text(cli, "Name", info->task_queue_infos[i]->name), field_text(cli, "Type", str_of(names[type >= 0 && type < (int32_t)countof(names) ? type : 0]))};
        if (!cli_is_json(cli)) {
            cli_list_add_fields(cli, list, row, countof(row));
            continue;
        }
        json_put_next(w);
        json_put_open(w, '{');
        cli_json_put_fields(w, row, countof(row));
        json_put_close(w, '}');
    }
}

int run_deployment_describe_version(struct cli *cli)
{
    struct pb_ws_DescribeWorkerDeploymentVersionRequest request = {.namespace = cli->f.namespace, .version = version_text(cli), .deployment_version = version_of(cli)};
    struct pb_ws_DescribeWorkerDeploymentVersionResponse *r;
    static const struct pb_deployment_VersionDrainageInfo never;
    struct cli_list queues = {0};
    struct json_out w;
    if (!CALL(cli, ws_DescribeWorkerDeploymentVersion, &request, &r)) return cli_fail_call(cli, "describing worker deployment version");
    const struct pb_deployment_WorkerDeploymentVersionInfo *info = r->worker_deployment_version_info;
    if (info == NULL) return cli_fail(cli, "the server's answer says nothing about the version");
    const struct pb_deployment_VersionDrainageInfo *drainage = info->drainage_info != NULL ? info->drainage_info : &never;
    const struct field drainage_fields[] = {field_text(cli, "DrainageStatus", info->drainage_info != NULL ? drainage_text(cli, drainage->status) : STR_EMPTY),
        field_time(cli, "LastChangedTime", drainage->last_changed_time), field_time(cli, "LastCheckedTime", drainage->last_checked_time)};
    bool is_json = cli_is_json(cli);
    struct field none = {0}, build = field_text(cli, "BuildID", cli->f.rule_build_id), task_queues = {.label = "TaskQueuesInfos"};
    build.is_exact = true;
    cli_json_begin(cli, &w);
    json_put_open(&w, '[');
    put_queues(cli, &queues, info, &w);
    json_put_close(&w, ']');
    if (is_json) task_queues.value = arena_str(cli->arena, buf_view(w.out));
    buf_fini(w.out);
    const struct field card[] = {
        field_text(cli, "DeploymentName", cli->f.deployment_name), build, field_time(cli, "CreateTime", info->create_time),
        is_json || info->routing_changed_time != NULL ? field_time(cli, "RoutingChangedTime", info->routing_changed_time) : none,
        is_json || info->current_since_time != NULL ? field_time(cli, "CurrentSinceTime", info->current_since_time) : none,
        is_json || info->ramping_since_time != NULL ? field_time(cli, "RampingSinceTime", info->ramping_since_time) : none,
        field_float(cli, "RampPercentage", info->ramp_percentage),
        is_json ? field_object(cli, "DrainageInfo", drainage_fields, countof(drainage_fields)) : info->drainage_info != NULL ? drainage_fields[0] : none,
        task_queues, metadata_field(cli, "Metadata", info->metadata),
    };
    cli_put_fields(cli, "Worker Deployment Version", card, countof(card));
    if (cli->format != FORMAT_TEXT) return 0;
    cli_say(cli, "%s", "");
    cli_title(cli, "Task Queues");
    cli_list_end(cli, &queues);
    return 0;
}

int run_deployment_delete_version(struct cli *cli)
{
    struct pb_ws_DeleteWorkerDeploymentVersionRequest request = {.namespace = cli->f.namespace, .version = version_text(cli), .skip_drainage = cli->f.skip_drainage,
        .identity = cli->f.identity, .deployment_version = version_of(cli)};
    struct pb_ws_DeleteWorkerDeploymentVersionResponse *response;
    if (!CALL(cli, ws_DeleteWorkerDeploymentVersion, &request, &response)) return cli_fail_call(cli, "deleting worker deployment version");
    cli_say(cli, "The version is deleted");
    return 0;
}

/* Shows what is there, asks, and hands out the token that the change has to carry. False: said. */
static bool before_change(struct cli *cli, const char *question, struct str *token)
{
    if (cli_is_json(cli) && !cli->f.yes) return cli_confirm(cli, question);
    const struct pb_ws_DescribeWorkerDeploymentResponse *d = describe(cli, cli->f.deployment_name);
    if (d == NULL) return false;
    *token = d->conflict_token;
    if (!cli->f.yes) put_deployment(cli, d->worker_deployment_info, "Worker deployment before the change");
    return cli_confirm(cli, question);
}

static bool check_version(struct cli *cli)
{
    if (str_is_empty(cli->f.rule_build_id) || !cli->f.unversioned) return true;
    cli_fail(cli, "--build-id and --unversioned do not go together");
    return false;
}

int run_deployment_set_current(struct cli *cli)
{
    struct pb_ws_SetWorkerDeploymentCurrentVersionRequest request = {.namespace = cli->f.namespace, .deployment_name = cli->f.deployment_name, .version = version_text(cli),
        .identity = cli->f.identity, .ignore_missing_task_queues = cli->f.ignore_missing, .build_id = cli->f.rule_build_id, .allow_no_pollers = cli->f.allow_no_pollers};
    struct pb_ws_SetWorkerDeploymentCurrentVersionResponse *response;
    if (str_is_empty(cli->f.rule_build_id) && !cli->f.unversioned) return cli_fail(cli, "perdure %s needs either --build-id or --unversioned", cli->command->path);
    if (!check_version(cli) || !before_change(cli, "Make this the current version?", &request.conflict_token)) return 1;
    if (!CALL(cli, ws_SetWorkerDeploymentCurrentVersion, &request, &response)) return cli_fail_call(cli, "setting the current version");
    cli_say(cli, "The current version is set");
    return 0;
}

int run_deployment_set_ramping(struct cli *cli)
{
    double percentage;
    bool is_over = cli->f.delete_;
    if (!check_version(cli) || !cli_number(cli, cli->f.percentage, "percentage", &percentage)) return 1;
    if (percentage < 0 || percentage > 100) return cli_fail(cli, "--percentage is between 0 and 100");
    if (!is_over && str_is_empty(cli->f.rule_build_id) && !cli->f.unversioned) return cli_fail(cli, "perdure %s needs --build-id, --unversioned or --delete", cli->command->path);
    struct pb_ws_SetWorkerDeploymentRampingVersionRequest request = {.namespace = cli->f.namespace, .deployment_name = cli->f.deployment_name,
        .version = is_over ? STR_EMPTY : version_text(cli), .percentage = is_over ? 0 : (float)percentage, .identity = cli->f.identity,
        .ignore_missing_task_queues = cli->f.ignore_missing, .build_id = is_over ? STR_EMPTY : cli->f.rule_build_id, .allow_no_pollers = cli->f.allow_no_pollers};
    struct pb_ws_SetWorkerDeploymentRampingVersionResponse *response;
    if (!before_change(cli, is_over ? "Stop ramping?" : "Ramp this version?", &request.conflict_token)) return 1;
    if (!CALL(cli, ws_SetWorkerDeploymentRampingVersion, &request, &response)) return cli_fail_call(cli, "setting the ramping version");
    cli_say(cli, is_over ? "No version ramps any more" : "The ramping version is set");
    return 0;
}

int run_deployment_metadata(struct cli *cli)
{
    struct pb_ws_UpdateWorkerDeploymentVersionMetadataRequest request = {.namespace = cli->f.namespace, .version = version_text(cli), .deployment_version = version_of(cli), .identity = cli->f.identity};
    struct pb_ws_UpdateWorkerDeploymentVersionMetadataResponse *response;
    struct pb_common_Memo *entries;
    if (!cli_memo(cli, &cli->f.metadata, "metadata", &entries)) return 1;
    for (size_t i = 0; entries != NULL && i < entries->fields_count; i++) {
        struct pb_ws_UpdateWorkerDeploymentVersionMetadataRequest_UpsertEntriesEntry *entry = PB_PUSH_NEW(cli->arena, &request, upsert_entries);
        entry->key = entries->fields[i]->key;
        entry->value = entries->fields[i]->value;
    }
    PB_SET_ARRAY(&request, remove_entries, cli->f.remove_entries.items, cli->f.remove_entries.count);
    if (!CALL(cli, ws_UpdateWorkerDeploymentVersionMetadata, &request, &response)) return cli_fail_call(cli, "updating the version's metadata");
    struct field metadata = metadata_field(cli, "Metadata", response->metadata);
    metadata.is_exact = true;
    cli_put_fields(cli, NULL, &metadata, 1);
    return 0;
}

static int set_manager(struct cli *cli, bool is_self, struct str identity)
{
    struct pb_ws_SetWorkerDeploymentManagerRequest request = {.namespace = cli->f.namespace, .deployment_name = cli->f.deployment_name, .identity = cli->f.identity,
        .new_manager_identity_case = is_self ? pb_ws_SetWorkerDeploymentManagerRequest_self_tag : pb_ws_SetWorkerDeploymentManagerRequest_manager_identity_tag};
    struct pb_ws_SetWorkerDeploymentManagerResponse *response;
    if (is_self) request.self = true;
    else request.manager_identity = identity;
    if (str_is_empty(cli->f.deployment_name)) return cli_fail(cli, "perdure %s needs --deployment-name", cli->command->path);
    if (!before_change(cli, "Change who manages the deployment?", &request.conflict_token)) return 1;
    if (!CALL(cli, ws_SetWorkerDeploymentManager, &request, &response)) return cli_fail_call(cli, "setting the deployment's manager");
    cli_say(cli, "The manager was \"%.*s\" and is \"%.*s\"", STR_ARG(response->previous_manager_identity), STR_ARG(is_self ? cli->f.identity : identity));
    return 0;
}

int run_deployment_manager_set(struct cli *cli)
{
    if (cli->f.self && cli->given[FLAG_manager_identity]) return cli_fail(cli, "--self and --manager-identity do not go together");
    return set_manager(cli, cli->f.self, cli->f.manager_identity);
}

int run_deployment_manager_unset(struct cli *cli) { return set_manager(cli, false, STR_EMPTY); }
