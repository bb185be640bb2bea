/* What the server says of itself: system and cluster info, health. */
#include "frontend/internal.h"

/* The level of the API that clients are told of; they switch on features by it. */
#define SERVER_VERSION "1.32.0"

static void get_system_info(struct frontend *f, struct rpc *rpc)
{
    pb_ws_GetSystemInfoResponse *reply = pb_new(rpc->arena, pb_ws_GetSystemInfoResponse);
    pb_ws_GetSystemInfoResponse_Capabilities *c = reply->capabilities = pb_new(rpc->arena, pb_ws_GetSystemInfoResponse_Capabilities);
    reply->server_version = STR(SERVER_VERSION);
    c->signal_and_query_header = c->internal_error_differentiation = c->activity_failure_include_heartbeat = true;
    c->supports_schedules = c->encoded_failure_attributes = c->upsert_memo = c->eager_workflow_start = true;
    c->sdk_metadata = c->count_group_by_execution_status = true;
    c->build_id_based_versioning = true;
    c->nexus = f->settings.is_http_enabled;
    RPC_REPLY(rpc, pb_ws_GetSystemInfoResponse, reply);
}

/* Which releases of each client are known to work with this level of the API. */
static const struct { const char *client, *range; } supported_clients[] = {
    {"temporal-go", "<2.0.0"}, {"temporal-java", "<2.0.0"}, {"temporal-php", "<2.0.0"}, {"temporal-typescript", "<2.0.0"},
    {"temporal-cli", "<2.0.0"}, {"temporal-server", "<2.0.0"}, {"temporal-ui", "<3.0.0"}, {"Nexus-go-sdk", "<2.0.0"},
};

static void get_cluster_info(struct frontend *f, struct rpc *rpc)
{
    pb_ws_GetClusterInfoResponse *reply = pb_new(rpc->arena, pb_ws_GetClusterInfoResponse);
    for (size_t i = 0; i < countof(supported_clients); i++) {
        pb_ws_GetClusterInfoResponse_SupportedClientsEntry *e = PB_PUSH_NEW(rpc->arena, reply, supported_clients);
        e->key = str_of(supported_clients[i].client);
        e->value = str_of(supported_clients[i].range);
    }
    reply->server_version = STR(SERVER_VERSION);
    reply->cluster_id = f->settings.cluster_id;
    reply->cluster_name = f->settings.cluster_name;
    reply->history_shard_count = (int32_t)f->settings.shard_count;
    reply->persistence_store = reply->visibility_store = f->settings.store_name;
    reply->initial_failover_version = 1;
    reply->failover_version_increment = 10;
    RPC_REPLY(rpc, pb_ws_GetClusterInfoResponse, reply);
}

/* ---- grpc.health.v1 ---- */

static bool health_knows(struct str service)
{
    if (str_is_empty(service)) return true;
    for (size_t i = 0; i < pb_service_count; i++)
        if (str_equal(pb_name(pb_services[i].name), service)) return true;
    return false;
}

static pb_health_HealthCheckResponse *health_of(struct rpc *rpc)
{
    pb_health_HealthCheckResponse *reply = pb_new(rpc->arena, pb_health_HealthCheckResponse);
    reply->status = frontend_is_serving(rpc->frontend) ? pb_health_HealthCheckResponse_SERVING : pb_health_HealthCheckResponse_NOT_SERVING;
    return reply;
}

static void health_check(struct frontend *f UNUSED, struct rpc *rpc)
{
    const pb_health_HealthCheckRequest *q = rpc->request;
    if (!health_knows(q->service)) rpc_error(rpc, ERR_NOT_FOUND, "no service %.*s here", STR_ARG(q->service));
    else RPC_REPLY(rpc, pb_health_HealthCheckResponse, health_of(rpc));
}

/* A watch is a stream: the status now, then each change, until the caller leaves. */
struct watch { struct list link; struct rpc *rpc; };

static void watch_cancel(struct rpc *rpc)
{
    struct watch *w = rpc->state;
    list_remove(&w->link);
}

static void watch_send(struct rpc *rpc)
{
    if (rpc->ops->send != NULL) rpc->ops->send(rpc, &pb_health_HealthCheckResponse_type, health_of(rpc));
}

static void health_watch(struct frontend *f, struct rpc *rpc)
{
    struct watch *w = arena_new(rpc->arena, struct watch);
    w->rpc = rpc;
    list_push(&f->health_watches, &w->link);
    rpc->state = w;
    rpc->on_cancel = watch_cancel;
    watch_send(rpc);
}

void health_changed(struct frontend *f)
{
    list_each(link, &f->health_watches) watch_send(container_of(link, struct watch, link)->rpc);
}

void health_end(struct frontend *f)
{
    for (struct list *link; (link = list_pop(&f->health_watches)) != NULL;) rpc_end(container_of(link, struct watch, link)->rpc);
}

static const struct handler_row rows[] = {
    {pb_ws_GetSystemInfo_method, get_system_info, HANDLER_ANY_STATE},
    {pb_ws_GetClusterInfo_method, get_cluster_info, 0},
    {pb_health_Check_method, health_check, HANDLER_ANY_STATE},
    {pb_health_Watch_method, health_watch, HANDLER_ANY_STATE},
};
const struct handler_table system_handlers = {rows, countof(rows)};
