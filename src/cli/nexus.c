/* cli/nexus.c: Nexus endpoints. */
#include "cli/commands.h"

/* The endpoint of --name, looked up among all. NULL: said. */
static const struct pb_nexus_Endpoint *find(struct cli *cli)
{
    struct pb_os_ListNexusEndpointsRequest request = {.name = cli->f.endpoint_name};
    struct pb_os_ListNexusEndpointsResponse *page;
    if (!CALL(cli, os_ListNexusEndpoints, &request, &page)) {
        cli_fail_call(cli, "looking for the endpoint");
        return NULL;
    }
    for (size_t i = 0; i < page->endpoints_count; i++)
        if (page->endpoints[i]->spec != NULL && str_equal(page->endpoints[i]->spec->name, cli->f.endpoint_name)) return page->endpoints[i];
    cli_fail(cli, "there is no endpoint \"%.*s\"; `perdure operator nexus endpoint list` shows those that are", STR_ARG(cli->f.endpoint_name));
    return NULL;
}

/* Lays what the flags say over `spec`. False: said. */
static bool read_spec(struct cli *cli, struct pb_nexus_EndpointSpec *spec)
{
    struct str description = cli->f.endpoint_description;
    bool has_worker = cli->given[FLAG_target_namespace] || cli->given[FLAG_target_task_queue], has_url = cli->given[FLAG_target_url];
    if (cli->given[FLAG_endpoint_description] + cli->given[FLAG_description_file] + cli->f.unset_description > 1) {
        cli_fail(cli, "only one of --description, --description-file and --unset-description goes");
        return false;
    }
    if (has_worker && has_url) {
        cli_fail(cli, "--target-url does not go with --target-namespace and --target-task-queue");
        return false;
    }
    if (cli->given[FLAG_description_file] && !cli_read_file(cli, arena_cstr(cli->arena, cli->f.description_file), &description)) return false;
    if (cli->f.unset_description) spec->description = NULL;
    else if (cli->given[FLAG_endpoint_description] || cli->given[FLAG_description_file]) spec->description = cli_text_payload(cli, description);
    if (!has_worker && !has_url) return true;
    struct pb_nexus_EndpointTarget *target = pb_new(cli->arena, struct pb_nexus_EndpointTarget);
    const struct pb_nexus_EndpointTarget_Worker *before = spec->target != NULL && spec->target->variant_case == pb_nexus_EndpointTarget_worker_tag ? spec->target->worker : NULL;
    if (has_url) {
        target->variant_case = pb_nexus_EndpointTarget_external_tag;
        target->external = pb_new(cli->arena, struct pb_nexus_EndpointTarget_External);
        target->external->url = cli->f.target_url;
    } else {
        target->variant_case = pb_nexus_EndpointTarget_worker_tag;
        target->worker = pb_new(cli->arena, struct pb_nexus_EndpointTarget_Worker);
        target->worker->namespace = cli->given[FLAG_target_namespace] || before == NULL ? cli->f.target_namespace : before->namespace;
        target->worker->task_queue = cli->given[FLAG_target_task_queue] || before == NULL ? cli->f.target_task_queue : before->task_queue;
    }
    spec->target = target;
    return true;
}

int run_nexus_create(struct cli *cli)
{
    struct pb_nexus_EndpointSpec spec = {.name = cli->f.endpoint_name};
    struct pb_os_CreateNexusEndpointRequest request = {.spec = &spec};
    struct pb_os_CreateNexusEndpointResponse *response;
    if (!read_spec(cli, &spec)) return 1;
    const struct pb_nexus_EndpointTarget_Worker *worker = spec.target != NULL && spec.target->variant_case == pb_nexus_EndpointTarget_worker_tag ? spec.target->worker : NULL;
    if (spec.target == NULL || (worker != NULL && (str_is_empty(worker->namespace) || str_is_empty(worker->task_queue))))
        return cli_fail(cli, "perdure %s needs --target-namespace and --target-task-queue, or --target-url", cli->command->path);
    if (!CALL(cli, os_CreateNexusEndpoint, &request, &response)) return cli_fail_call(cli, "creating endpoint");
    cli_say(cli, "Endpoint %.*s is there", STR_ARG(cli->f.endpoint_name));
    return 0;
}

int run_nexus_update(struct cli *cli)
{
    const struct pb_nexus_Endpoint *before = find(cli);
    if (before == NULL) return 1;
    struct pb_nexus_EndpointSpec spec = *before->spec;
    struct pb_os_UpdateNexusEndpointRequest request = {.id = before->id, .version = before->version, .spec = &spec};
    struct pb_os_UpdateNexusEndpointResponse *response;
    if (!read_spec(cli, &spec)) return 1;
    if (!CALL(cli, os_UpdateNexusEndpoint, &request, &response)) return cli_fail_call(cli, "updating endpoint");
    cli_say(cli, "Endpoint %.*s is changed", STR_ARG(cli->f.endpoint_name));
    return 0;
}

int run_nexus_delete(struct cli *cli)
{
    const struct pb_nexus_Endpoint *endpoint = find(cli);
    if (endpoint == NULL) return 1;
    struct pb_os_DeleteNexusEndpointRequest request = {.id = endpoint->id, .version = endpoint->version};
    struct pb_os_DeleteNexusEndpointResponse *response;
    if (!CALL(cli, os_DeleteNexusEndpoint, &request, &response)) return cli_fail_call(cli, "deleting endpoint");
    cli_say(cli, "Endpoint %.*s is deleted", STR_ARG(cli->f.endpoint_name));
    return 0;
}

static void show(struct cli *cli, const struct pb_nexus_Endpoint *endpoint)
{
    const struct pb_nexus_EndpointSpec *spec = endpoint->spec;
    const struct pb_nexus_EndpointTarget *target = spec != NULL ? spec->target : NULL;
    const struct pb_nexus_EndpointTarget_Worker *worker = target != NULL && target->variant_case == pb_nexus_EndpointTarget_worker_tag ? target->worker : NULL;
    const struct pb_nexus_EndpointTarget_External *external = target != NULL && target->variant_case == pb_nexus_EndpointTarget_external_tag ? target->external : NULL;
    struct field none = {0};
    struct pb_common_Payloads description = {.payloads = spec != NULL ? (struct pb_common_Payload **)&spec->description : NULL, .payloads_count = spec != NULL && spec->description != NULL};
    const struct field card[] = {
        field_text(cli, "Id", endpoint->id), field_text(cli, "Name", spec != NULL ? spec->name : STR_EMPTY),
        worker != NULL ? field_text(cli, "Namespace", worker->namespace) : none, worker != NULL ? field_text(cli, "TaskQueue", worker->task_queue) : none,
        external != NULL ? field_text(cli, "Url", external->url) : none,
        description.payloads_count != 0 ? field_text(cli, "Description", cli_payload_text(cli, &description)) : none,
        endpoint->created_time != NULL ? field_time(cli, "CreatedTime", endpoint->created_time) : none,
        endpoint->last_modified_time != NULL ? field_time(cli, "LastModifiedTime", endpoint->last_modified_time) : none,
    };
    cli_put_fields(cli, NULL, card, countof(card));
}

int run_nexus_get(struct cli *cli)
{
    const struct pb_nexus_Endpoint *endpoint = find(cli);
    if (endpoint == NULL) return 1;
    cli_put_message(cli, &pb_nexus_Endpoint_type, endpoint);
    if (cli->format == FORMAT_TEXT) show(cli, endpoint);
    return 0;
}

int run_nexus_list(struct cli *cli)
{
    struct pb_os_ListNexusEndpointsRequest request = {.page_size = 100};
    struct pb_os_ListNexusEndpointsResponse *page;
    struct cli_list list = {0};
    do {
        if (!CALL(cli, os_ListNexusEndpoints, &request, &page)) return cli_fail_call(cli, "listing endpoints");
        for (size_t i = 0; i < page->endpoints_count; i++) {
            cli_list_add(cli, &list, &pb_nexus_Endpoint_type, page->endpoints[i]);
            if (list.count > 1) cli_say(cli, "%s", "");
            if (cli->format == FORMAT_TEXT) show(cli, page->endpoints[i]);
        }
        request.next_page_token = page->next_page_token;
    } while (!str_is_empty(request.next_page_token));
    cli_list_end(cli, &list);
    return 0;
}
