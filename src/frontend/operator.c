/* OperatorService: search attributes, clusters. */
#include "frontend/internal.h"
#include "visibility/attribute.h"

/* The form with one attribute more, or less, written through the registry of namespaces. */
static void add_search_attributes(struct frontend *f UNUSED, struct rpc *rpc)
{
    const pb_os_AddSearchAttributesRequest *q = rpc->request;
    if (q->search_attributes_count == 0) {
        rpc_error(rpc, ERR_INVALID, "no search attribute is given");
        return;
    }
    pb_store_Namespace *s = PB_CLONE(rpc->arena, pb_store_Namespace, namespace_newest(rpc->ns));
    struct attribute_registry probe;
    attribute_registry_init(&probe);
    for (size_t i = 0; i < q->search_attributes_count; i++) {
        struct str name = q->search_attributes[i]->key;
        int32_t type = q->search_attributes[i]->value;
        struct error error = {0};
        err result = ERR_INVALID;
        if (type <= ATTRIBUTE_NONE || type >= ATTRIBUTE_TYPE_COUNT) result = error_set(&error, rpc->arena, ERR_INVALID, "the search attribute %.*s has no type", STR_ARG(name));
        else result = attribute_registry_add(&probe, name, (enum attribute_type)type, rpc->arena, &error);
        bool is_known = false;
        for (size_t k = 0; result == ERR_NONE && k < s->search_attributes_count; k++) {
            if (!str_equal(s->search_attributes[k]->key, name)) continue;
            is_known = true;
            if (s->search_attributes[k]->value != type) result = error_set(&error, rpc->arena, ERR_ALREADY_EXISTS, "the search attribute %.*s exists with another type", STR_ARG(name));
        }
        if (result != ERR_NONE) {
            attribute_registry_fini(&probe);
            rpc_error_of(rpc, result, &error);
            return;
        }
        if (is_known) continue;
        pb_store_Namespace_SearchAttributesEntry *e = PB_PUSH_NEW(rpc->arena, s, search_attributes);
        e->key = name;
        e->value = type;
    }
    attribute_registry_fini(&probe);
    namespace_change(rpc, s, &pb_os_AddSearchAttributesResponse_type);
}

static void remove_search_attributes(struct frontend *f UNUSED, struct rpc *rpc)
{
    const pb_os_RemoveSearchAttributesRequest *q = rpc->request;
    pb_store_Namespace *s = PB_CLONE(rpc->arena, pb_store_Namespace, namespace_newest(rpc->ns));
    for (size_t i = 0; i < q->search_attributes_count; i++) {
        struct str name = q->search_attributes[i];
        const struct attribute *known = attribute_find(NULL, name);
        if (known != NULL) {
            rpc_error(rpc, ERR_INVALID, "the search attribute %.*s belongs to the server and stays", STR_ARG(name));
            return;
        }
        size_t kept = 0;
        for (size_t k = 0; k < s->search_attributes_count; k++)
            if (!str_equal(s->search_attributes[k]->key, name)) s->search_attributes[kept++] = s->search_attributes[k];
        s->search_attributes_count = kept;
    }
    namespace_change(rpc, s, &pb_os_RemoveSearchAttributesResponse_type);
}

static void list_search_attributes(struct frontend *f UNUSED, struct rpc *rpc)
{
    pb_os_ListSearchAttributesResponse *reply = pb_new(rpc->arena, pb_os_ListSearchAttributesResponse);
    const pb_store_Namespace *s = namespace_stored(rpc->ns);
    for (size_t i = 0; i < s->search_attributes_count; i++) {
        pb_os_ListSearchAttributesResponse_CustomAttributesEntry *e = PB_PUSH_NEW(rpc->arena, reply, custom_attributes);
        e->key = s->search_attributes[i]->key;
        e->value = s->search_attributes[i]->value;
    }
    size_t counts[2];
    const struct attribute *tables[2] = {attribute_system(&counts[0]), attribute_predefined(&counts[1])};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < counts[t]; i++) {
            pb_os_ListSearchAttributesResponse_SystemAttributesEntry *e = PB_PUSH_NEW(rpc->arena, reply, system_attributes);
            e->key = tables[t][i].name;
            e->value = (int32_t)tables[t][i].type;
        }
    }
    RPC_REPLY(rpc, pb_os_ListSearchAttributesResponse, reply);
}

static void list_clusters(struct frontend *f, struct rpc *rpc)
{
    pb_os_ListClustersResponse *reply = pb_new(rpc->arena, pb_os_ListClustersResponse);
    pb_os_ClusterMetadata *c = PB_PUSH_NEW(rpc->arena, reply, clusters);
    c->cluster_name = f->settings.cluster_name;
    c->cluster_id = f->settings.cluster_id;
    c->initial_failover_version = 1;
    c->history_shard_count = (int32_t)f->settings.shard_count;
    c->is_connection_enabled = true;
    RPC_REPLY(rpc, pb_os_ListClustersResponse, reply);
}

static const struct handler_row rows[] = {
    {pb_os_AddSearchAttributes_method, add_search_attributes, 0},
    {pb_os_RemoveSearchAttributes_method, remove_search_attributes, 0},
    {pb_os_ListSearchAttributes_method, list_search_attributes, 0},
    {pb_os_ListClusters_method, list_clusters, 0},
};
const struct handler_table operator_handlers = {rows, countof(rows)};
