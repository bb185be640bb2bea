/* Namespaces: a registry in memory, each one stored as a row that is written before it is told of. */
#include "base/log.h"
#include "frontend/batches.h"
#include "frontend/internal.h"
#include "frontend/namespace_delete.h"
#include "frontend/queue_config.h"
#include "frontend/schedules.h"
#include "proto/perdure/namespace.h"
#include "store/store.h"
#include "visibility/attribute.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000, BAD_BINARIES_MAX = 10 };
#define SYSTEM_NAMESPACE STR("temporal-system") /* what it holds elsewhere needs no namespace here, but the name is taken */

struct namespace {
    struct namespace_info info; /* what the engine sees; its strings are in `stored` */
    struct arena arena;         /* of `stored`; replaced as a whole on change */
    pb_store_Namespace *stored;
    struct attribute_registry attributes; /* the custom ones */
    const pb_store_Namespace *newest; /* of the changes being written, which the next one is made of; NULL: none is */
    size_t change_count;        /* being written */
    struct list link;           /* once forgotten */
};

struct namespaces {
    struct frontend *f;
    struct map by_name, by_id;
    struct map_u64 by_key;
    struct arena arena;
    pb_store_Cluster cluster;
    struct namespaces_read *read; /* while starting */
    struct list retired;          /* forms that were replaced: steps under way may borrow their strings */
    struct list forgotten;        /* namespaces that are gone, for the same reason */
};
struct retired { struct list link; struct arena arena; };

static struct str key_of(struct arena *arena, int64_t key) { return arena_printf(arena, "%016" PRIx64, (uint64_t)key); }

struct namespaces *namespaces_create(struct frontend *f)
{
    struct namespaces *n = xcalloc(1, sizeof *n);
    n->f = f;
    arena_init(&n->arena, 0, 0);
    list_init(&n->retired);
    list_init(&n->forgotten);
    n->cluster = (pb_store_Cluster){.next_namespace_key = 1};
    return n;
}

static void read_free(struct namespaces_read *r);

static void namespace_free(struct namespace *ns)
{
    attribute_registry_fini(&ns->attributes);
    arena_fini(&ns->arena);
    free(ns);
}

void namespaces_destroy(struct namespaces *n)
{
    if (n->read != NULL) read_free(n->read); /* the server ends before it has begun to serve */
    struct namespace *ns;
    for (size_t at = 0; (ns = map_u64_next(&n->by_key, &at, NULL)) != NULL;) namespace_free(ns);
    struct list *link;
    while ((link = list_pop(&n->forgotten)) != NULL) namespace_free(container_of(link, struct namespace, link));
    while ((link = list_pop(&n->retired)) != NULL) {
        struct retired *r = container_of(link, struct retired, link);
        arena_fini(&r->arena);
        free(r);
    }
    map_fini(&n->by_name);
    map_fini(&n->by_id);
    map_u64_fini(&n->by_key);
    arena_fini(&n->arena);
    free(n);
}

static const struct namespace_info *info_of(const struct namespace *ns) { return ns != NULL ? &ns->info : NULL; }
const struct namespace_info *namespace_by_name(struct frontend *f, struct str name) { return info_of(map_get(&f->namespaces->by_name, name)); }
const struct namespace_info *namespace_by_id(struct frontend *f, struct str id) { return info_of(map_get(&f->namespaces->by_id, id)); }
const struct namespace_info *namespace_by_key(struct frontend *f, int64_t key) { return info_of(map_u64_get(&f->namespaces->by_key, (uint64_t)key)); }
const struct namespace_info *frontend_namespace(struct frontend *f, int64_t key) { return namespace_by_key(f, key); }

const struct namespace_info *frontend_find_namespace(struct frontend *f, struct str name) { return namespace_by_name(f, name); }

bool frontend_attributes_fit(const struct namespace_info *ns, const pb_common_SearchAttributes *attributes, struct arena *arena, struct str *why)
{
    struct error error = {0};
    err result = attributes_check(namespace_attributes(ns), (pb_common_SearchAttributes *)(uintptr_t)attributes, arena, &error);
    if (result == ERR_NONE) return true;
    *why = error_message(&error);
    return false;
}

void namespace_not_found(struct rpc *rpc, struct str name)
{
    pb_errordetails_NamespaceNotFoundFailure *detail = pb_new(rpc->arena, pb_errordetails_NamespaceNotFoundFailure);
    detail->namespace = name;
    rpc_error_detail(rpc, ERR_NAMESPACE_NOT_FOUND, &pb_errordetails_NamespaceNotFoundFailure_type, detail, "there is no namespace \"%.*s\"", STR_ARG(name));
}

static struct namespace *namespace_of(const struct namespace_info *info)
{
    return (struct namespace *)(void *)((char *)(uintptr_t)info - offsetof(struct namespace, info));
}
int32_t namespace_state(struct frontend *f UNUSED, const struct namespace_info *ns) { return namespace_of(ns)->stored->info->state; }
const pb_store_Namespace *namespace_stored(const struct namespace_info *ns) { return namespace_of(ns)->stored; }
const pb_store_Namespace *namespace_newest(const struct namespace_info *ns) { return namespace_of(ns)->newest != NULL ? namespace_of(ns)->newest : namespace_of(ns)->stored; }
const struct attribute_registry *namespace_attributes(const struct namespace_info *ns) { return &namespace_of(ns)->attributes; }

/* Takes the stored form over into the registry; the struct stays in place when the namespace is known. */
static struct namespace *install(struct namespaces *n, const pb_store_Namespace *stored)
{
    struct namespace *ns = map_u64_get(&n->by_key, (uint64_t)stored->key);
    struct arena fresh;
    arena_init(&fresh, 1024, 0);
    pb_store_Namespace *copy = PB_CLONE(&fresh, pb_store_Namespace, stored);
    if (ns == NULL) {
        ns = xcalloc(1, sizeof *ns);
        map_u64_put(&n->by_key, (uint64_t)stored->key, ns);
    } else {
        map_remove(&n->by_name, ns->info.name);
        map_remove(&n->by_id, ns->info.id);
        struct retired *old = xcalloc(1, sizeof *old);
        old->arena = ns->arena;
        list_push(&n->retired, &old->link);
        attribute_registry_fini(&ns->attributes);
    }
    attribute_registry_init(&ns->attributes);
    for (size_t i = 0; i < stored->search_attributes_count; i++) {
        const pb_store_Namespace_SearchAttributesEntry *e = stored->search_attributes[i];
        err added = attribute_registry_add(&ns->attributes, e->key, (enum attribute_type)e->value, &fresh, NULL);
        if (added != ERR_NONE) log_warn("namespaces", "a stored search attribute is left out", "name", arena_cstr(&fresh, e->key));
    }
    ns->arena = fresh;
    ns->stored = copy;
    ns->info.key = copy->key;
    ns->info.id = copy->info->id;
    ns->info.name = copy->info->name;
    const pb_google_Duration *ttl = copy->config != NULL ? copy->config->workflow_execution_retention_ttl : NULL;
    ns->info.retention = ttl != NULL ? pb_duration(ttl) : duration_s(86400);
    ns->info.activity_grace = duration_ms(n->f->settings.limits.activity_grace_ms);
    ns->info.is_deleted = copy->info->state == NAMESPACE_STATE_DELETED;
    map_put(&n->by_name, ns->info.name, ns);
    map_put(&n->by_id, ns->info.id, ns);
    if (n->cluster.next_namespace_key <= copy->key) n->cluster.next_namespace_key = copy->key + 1;
    return ns;
}

void namespace_forget(struct frontend *f, int64_t key)
{
    struct namespaces *n = f->namespaces;
    struct namespace *ns = map_u64_remove(&n->by_key, (uint64_t)key);
    if (ns == NULL) return;
    if (map_get(&n->by_name, ns->info.name) == ns) map_remove(&n->by_name, ns->info.name);
    map_remove(&n->by_id, ns->info.id);
    list_push(&n->forgotten, &ns->link);
}

/* ---- writing ---- */

struct change {
    struct shard_write write;
    struct frontend *f;
    struct rpc *rpc;                 /* NULL while starting */
    pb_store_Namespace *stored;
    struct store_op ops[2];
    const struct pb_message *reply_type;
    const void *reply;
    void (*then)(struct change *change, err result);
};

static void change_done(struct shard_write *write, err result)
{
    struct change *c = container_of(write, struct change, write);
    struct namespace *ns = map_u64_get(&c->f->namespaces->by_key, (uint64_t)c->stored->key);
    if (result == ERR_NONE) install(c->f->namespaces, c->stored);
    if (ns != NULL && (--ns->change_count == 0 || result != ERR_NONE)) ns->newest = NULL; /* after a failure those behind it fail, too */
    c->then(c, result);
}

static void change_write(struct change *c, struct arena *arena)
{
    struct namespaces *n = c->f->namespaces;
    struct namespace *ns = map_u64_get(&n->by_key, (uint64_t)c->stored->key);
    if (ns != NULL) {
        ns->change_count++;
        ns->newest = c->stored;
    }
    if (n->cluster.next_namespace_key <= c->stored->key) n->cluster.next_namespace_key = c->stored->key + 1;
    c->ops[0] = (struct store_op){.kind = STORE_KV_PUT, .item_kind = SPACE_NAMESPACE, .key = key_of(arena, c->stored->key),
                                  .bytes = PB_ENCODE_ARENA(pb_store_Namespace, c->stored, arena)};
    c->ops[1] = (struct store_op){.kind = STORE_KV_PUT, .item_kind = SPACE_CLUSTER, .key = STR("cluster"),
                                  .bytes = PB_ENCODE_ARENA(pb_store_Cluster, &n->cluster, arena)};
    c->write.ops = c->ops;
    c->write.op_count = countof(c->ops);
    c->write.done = change_done;
    shard_write(c->f->env.shard, &c->write);
}

static void change_answer(struct change *c, err result)
{
    if (result != ERR_NONE) rpc_error_of(c->rpc, result, NULL);
    else rpc_reply(c->rpc, c->reply_type, c->reply);
    rpc_let_go(c->rpc);
}

static void change_for(struct rpc *rpc, pb_store_Namespace *stored, const struct pb_message *reply_type, const void *reply)
{
    struct change *c = arena_new(rpc->arena, struct change);
    *c = (struct change){.f = rpc->frontend, .rpc = rpc, .stored = stored, .reply_type = reply_type, .reply = reply, .then = change_answer};
    rpc_hold(rpc);
    change_write(c, rpc->arena);
}

static pb_store_Namespace *namespace_new(struct frontend *f, struct arena *arena, struct str name, duration retention)
{
    char uuid[37];
    prng_uuid(&f->prng, uuid);
    pb_store_Namespace *s = pb_new(arena, pb_store_Namespace);
    s->key = f->namespaces->cluster.next_namespace_key++;
    s->info = pb_new(arena, pb_namespace_NamespaceInfo);
    s->info->name = arena_str(arena, name);
    s->info->state = NAMESPACE_STATE_REGISTERED;
    s->info->id = arena_str(arena, str_of(uuid));
    s->config = pb_new(arena, pb_namespace_NamespaceConfig);
    s->config->workflow_execution_retention_ttl = pb_duration_new(arena, retention);
    s->config->history_archival_state = ARCHIVAL_STATE_DISABLED;
    s->config->visibility_archival_state = ARCHIVAL_STATE_DISABLED;
    s->config->bad_binaries = pb_new(arena, pb_namespace_BadBinaries);
    s->replication = pb_new(arena, pb_replication_NamespaceReplicationConfig);
    s->replication->active_cluster_name = f->settings.cluster_name;
    PB_PUSH_NEW(arena, s->replication, clusters)->cluster_name = f->settings.cluster_name;
    s->replication->state = REPLICATION_STATE_NORMAL;
    s->created = pb_timestamp_new(arena, f->now);
    return s;
}

/* ---- starting ---- */

struct namespaces_read {
    struct frontend *f;
    struct store_read cluster, range;
    size_t pending; /* reads, then namespaces being made */
    err result;
    struct arena arena;
};

static void read_free(struct namespaces_read *r)
{
    arena_fini(&r->cluster.arena);
    arena_fini(&r->range.arena);
    arena_fini(&r->arena);
    free(r);
}

static void served(struct frontend *f, err result)
{
    if (result == ERR_NONE) f->is_serving = true;
    struct namespace *ns;
    for (size_t at = 0; result == ERR_NONE && (ns = map_u64_next(&f->namespaces->by_key, &at, NULL)) != NULL;)
        if (ns->stored->is_reclaimed) namespace_deletion_begin(f, ns->info.key);
    health_changed(f);
    f->start.done(f->start.arg, result, NULL);
}

static void batches_loaded(struct frontend *f, err result)
{
    if (result == ERR_NONE) queue_configs_start(f, served);
    else served(f, result);
}

static void schedules_loaded(struct frontend *f, err result)
{
    if (result == ERR_NONE) batches_start(f, batches_loaded);
    else served(f, result);
}

static void started(struct namespaces_read *r)
{
    struct frontend *f = r->f;
    err result = r->result;
    f->namespaces->read = NULL;
    read_free(r);
    if (result == ERR_NONE) schedules_start(f, schedules_loaded);
    else served(f, result);
}

static void made_at_start(struct change *c, err result)
{
    struct namespaces_read *r = c->f->namespaces->read;
    if (result != ERR_NONE) r->result = result;
    if (--r->pending == 0) started(r);
}

/* "Name=Type" as on the command line; false when it is not. */
bool search_attribute_parse(struct str text, struct str *name, int32_t *type)
{
    const char *eq = text.size != 0 ? memchr(text.data, '=', text.size) : NULL;
    if (eq == NULL || eq == text.data) return false;
    *name = (struct str){text.data, (size_t)(eq - text.data)};
    return pb_enum_number(&pb_enums_IndexedValueType_enum, str_skip(text, name->size + 1), type) && *type != 0;
}

static void make_at_start(struct namespaces_read *r, struct str name)
{
    struct frontend *f = r->f;
    if (namespace_by_name(f, name) != NULL) return;
    duration retention = f->start.retention.ns != 0 ? f->start.retention : duration_s(86400);
    struct change *c = arena_new(&r->arena, struct change);
    *c = (struct change){.f = f, .stored = namespace_new(f, &r->arena, name, retention), .then = made_at_start};
    for (size_t i = 0; i < f->start.search_attribute_count; i++) {
        struct str attribute;
        int32_t type;
        if (!search_attribute_parse(f->start.search_attributes[i], &attribute, &type)) continue; /* the command line has checked */
        pb_store_Namespace_SearchAttributesEntry *e = PB_PUSH_NEW(&r->arena, c->stored, search_attributes);
        e->key = attribute;
        e->value = type;
    }
    r->pending++;
    change_write(c, &r->arena);
}

static void read_all(struct namespaces_read *r)
{
    struct frontend *f = r->f;
    struct namespaces *n = f->namespaces;
    if (r->cluster.result == ERR_NONE) {
        pb_store_Cluster *stored;
        if (PB_DECODE(&n->arena, r->cluster.row.bytes, pb_store_Cluster, &stored) == ERR_NONE) n->cluster = *stored;
        else r->result = ERR_CORRUPT;
    } else if (r->cluster.result != ERR_NOT_FOUND) {
        r->result = r->cluster.result;
    }
    for (size_t i = 0; r->range.result == ERR_NONE && i < r->range.row_count; i++) {
        pb_store_Namespace *stored;
        if (PB_DECODE(&r->arena, r->range.rows[i].bytes, pb_store_Namespace, &stored) != ERR_NONE || stored->info == NULL) r->result = ERR_CORRUPT;
        else install(n, stored);
    }
    if (r->range.result != ERR_NONE) r->result = r->range.result;
    if (str_is_empty(n->cluster.cluster_id)) {
        char uuid[37];
        prng_uuid(&f->prng, uuid);
        n->cluster.cluster_id = arena_str(&n->arena, str_of(uuid));
    }
    f->settings.cluster_id = n->cluster.cluster_id;
    r->pending = 1;
    if (r->result == ERR_NONE) {
        make_at_start(r, STR("default"));
        for (size_t i = 0; i < f->start.namespace_count; i++) make_at_start(r, f->start.namespaces[i]);
    }
    if (--r->pending == 0) started(r);
}

static void cluster_read(struct mail *mail)
{
    struct namespaces_read *r = container_of(container_of(mail, struct store_read, mail), struct namespaces_read, cluster);
    if (--r->pending == 0) read_all(r);
}

static void range_read(struct mail *mail)
{
    struct namespaces_read *r = container_of(container_of(mail, struct store_read, mail), struct namespaces_read, range);
    if (--r->pending == 0) read_all(r);
}

void namespaces_start(struct frontend *f)
{
    struct namespaces_read *r = xcalloc(1, sizeof *r);
    f->namespaces->read = r;
    r->f = f;
    r->pending = 2;
    arena_init(&r->arena, 0, 0);
    arena_init(&r->cluster.arena, 0, 0);
    arena_init(&r->range.arena, 0, 0);
    r->cluster.kind = STORE_READ_KV;
    r->cluster.space = SPACE_CLUSTER;
    r->cluster.key = STR("cluster");
    r->cluster.mail.open = cluster_read;
    r->range.kind = STORE_READ_KV_RANGE;
    r->range.space = SPACE_NAMESPACE;
    r->range.limit = 100000;
    r->range.mail.open = range_read;
    r->cluster.reply_to = r->range.reply_to = f->env.mailbox;
    store_read(f->env.store, &r->cluster);
    store_read(f->env.store, &r->range);
}

void frontend_start(struct frontend *f, const struct frontend_start *start)
{
    f->now = f->env.now(f->env.arg);
    f->start = *start;
    namespaces_start(f);
}

/* ---- RPCs ---- */

static void add_data(struct arena *arena, pb_namespace_NamespaceInfo *info, const char *key, int64_t value)
{
    pb_namespace_NamespaceInfo_DataEntry *e = PB_PUSH_NEW(arena, info, data);
    e->key = str_of(key);
    e->value = arena_printf(arena, "%" PRId64, value);
}

static pb_ws_DescribeNamespaceResponse *describe(struct frontend *f, struct arena *arena, const struct namespace *ns)
{
    pb_ws_DescribeNamespaceResponse *d = pb_new(arena, pb_ws_DescribeNamespaceResponse);
    d->namespace_info = pb_new(arena, pb_namespace_NamespaceInfo);
    *d->namespace_info = *ns->stored->info;
    pb_namespace_NamespaceInfo_Capabilities *c = d->namespace_info->capabilities = pb_new(arena, pb_namespace_NamespaceInfo_Capabilities);
    c->eager_workflow_start = f->settings.limits.eager_workflow_start != 0;
    c->sync_update = c->async_update = true;
    c->reported_problems_search_attribute = true;
    c->workflow_pause = f->settings.limits.workflow_pause_enabled != 0;
    c->poller_autoscaling = true;
    pb_namespace_NamespaceInfo_Limits *l = d->namespace_info->limits = pb_new(arena, pb_namespace_NamespaceInfo_Limits);
    l->blob_size_limit_error = f->settings.limits.blob_size_max;
    l->memo_size_limit_error = f->settings.limits.memo_size_max;
    l->workflow_task_completion_size_limit_error = 40 * 1024 * 1024;
    d->namespace_info->supports_schedules = true;
    d->config = ns->stored->config;
    d->replication_config = ns->stored->replication;
    d->failover_version = ns->stored->failover_version;
    d->is_global_namespace = ns->stored->is_global;
    int64_t deleted, remaining;
    if (namespace_deletion_progress(f, ns->stored->key, &deleted, &remaining)) {
        PB_SET_ARRAY(d->namespace_info, data, ns->stored->info->data, ns->stored->info->data_count);
        add_data(arena, d->namespace_info, "deleted-executions", deleted);
        add_data(arena, d->namespace_info, "remaining-executions", remaining);
    }
    return d;
}

static bool check_retention(struct rpc *rpc, const pb_google_Duration *d, duration *out)
{
    if (!check_duration(rpc, "the retention", d, out)) return false;
    int64_t least = rpc->frontend->settings.limits.retention_min_ms;
    if (out->ns / NS_PER_MS >= least && out->ns > 0) return true;
    rpc_error(rpc, ERR_INVALID, "the retention must be at least %" PRId64 " seconds", least / 1000);
    return false;
}

static void register_namespace(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_RegisterNamespaceRequest *q = rpc->request;
    duration retention;
    if (!check_id(rpc, "the namespace name", q->namespace, true) || !check_retention(rpc, q->workflow_execution_retention_period, &retention)) return;
    if (q->is_global_namespace) {
        rpc_error(rpc, ERR_INVALID, "global namespaces are not enabled");
        return;
    }
    if (namespace_by_name(f, q->namespace) != NULL || str_equal(q->namespace, SYSTEM_NAMESPACE)) {
        rpc_error_detail(rpc, ERR_NAMESPACE_EXISTS, &pb_errordetails_NamespaceAlreadyExistsFailure_type, pb_new(rpc->arena, pb_errordetails_NamespaceAlreadyExistsFailure),
                         "a namespace \"%.*s\" already exists", STR_ARG(q->namespace));
        return;
    }
    pb_store_Namespace *s = namespace_new(f, rpc->arena, q->namespace, retention);
    s->info->description = q->description;
    s->info->owner_email = q->owner_email;
    s->info->data = (void *)q->data;
    s->info->data_count = q->data_count;
    change_for(rpc, s, &pb_ws_RegisterNamespaceResponse_type, pb_new(rpc->arena, pb_ws_RegisterNamespaceResponse));
}

static void describe_namespace(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_DescribeNamespaceRequest *q = rpc->request;
    if (str_is_empty(q->namespace) && str_is_empty(q->id)) {
        rpc_error(rpc, ERR_INVALID, "a namespace needs a name or an id");
        return;
    }
    const struct namespace_info *info = !str_is_empty(q->id) ? namespace_by_id(f, q->id) : namespace_by_name(f, q->namespace);
    if (info == NULL) {
        namespace_not_found(rpc, str_is_empty(q->id) ? q->namespace : q->id);
        return;
    }
    RPC_REPLY(rpc, pb_ws_DescribeNamespaceResponse, describe(f, rpc->arena, namespace_of(info)));
}

/* The page token is the key behind which the next page begins. Deleted ones are hidden unless asked for. */
static void list_namespaces(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_ListNamespacesRequest *q = rpc->request;
    size_t page = q->page_size > 0 ? size_min((size_t)q->page_size, PAGE_MAX) : PAGE_DEFAULT;
    uint64_t after = 0;
    if (!str_is_empty(q->next_page_token)) {
        if (q->next_page_token.size != sizeof after) {
            rpc_error(rpc, ERR_INVALID, "the page token is none of ListNamespaces");
            return;
        }
        memcpy(&after, q->next_page_token.data, sizeof after);
    }
    bool with_deleted = q->namespace_filter != NULL && q->namespace_filter->include_deleted;
    pb_ws_ListNamespacesResponse *reply = pb_new(rpc->arena, pb_ws_ListNamespacesResponse);
    struct namespace *ns;
    uint64_t key, last = 0;
    for (size_t at = 0; (ns = map_u64_next(&f->namespaces->by_key, &at, &key)) != NULL;) {
        if (key <= after || (ns->info.is_deleted && !with_deleted)) continue;
        if (reply->namespaces_count == page) {
            reply->next_page_token = arena_str(rpc->arena, (struct str){(const char *)&last, sizeof last});
            break;
        }
        PB_PUSH(rpc->arena, reply, namespaces) = describe(f, rpc->arena, ns);
        last = key;
    }
    RPC_REPLY(rpc, pb_ws_ListNamespacesResponse, reply);
}

/* Entries of `from` replace those of the same key; the rest stays. */
static void merge_data(struct arena *arena, pb_namespace_NamespaceInfo *info, const pb_namespace_UpdateNamespaceInfo *from)
{
    pb_namespace_NamespaceInfo_DataEntry **old = info->data;
    size_t old_count = info->data_count;
    info->data = NULL;
    info->data_count = info->data_capacity_ = 0;
    for (size_t i = 0; i < old_count; i++) {
        bool is_replaced = false;
        for (size_t k = 0; k < from->data_count; k++) is_replaced |= str_equal(from->data[k]->key, old[i]->key);
        if (!is_replaced) PB_PUSH(arena, info, data) = old[i];
    }
    for (size_t k = 0; k < from->data_count; k++) {
        pb_namespace_NamespaceInfo_DataEntry *e = PB_PUSH_NEW(arena, info, data);
        e->key = from->data[k]->key;
        e->value = from->data[k]->value;
    }
}

static bool update_state(struct rpc *rpc, pb_namespace_NamespaceInfo *info, int32_t state)
{
    if (state == NAMESPACE_STATE_UNSPECIFIED || state == info->state) return true;
    if (state < info->state || state > NAMESPACE_STATE_DELETED) {
        rpc_error(rpc, ERR_INVALID, "a namespace goes from registered to deprecated to deleted, not back");
        return false;
    }
    info->state = state;
    return true;
}

/* Those of the same checksum are replaced; `deleted` names one that goes. */
static bool update_bad_binaries(struct rpc *rpc, pb_namespace_NamespaceConfig *config, const pb_namespace_BadBinaries *more, struct str deleted)
{
    pb_namespace_BadBinaries *now = pb_new(rpc->arena, pb_namespace_BadBinaries);
    bool is_deleted = false;
    for (size_t i = 0; config->bad_binaries != NULL && i < config->bad_binaries->binaries_count; i++) {
        pb_namespace_BadBinaries_BinariesEntry *old = config->bad_binaries->binaries[i];
        bool is_replaced = !str_is_empty(deleted) && str_equal(deleted, old->key);
        is_deleted |= is_replaced;
        for (size_t k = 0; more != NULL && k < more->binaries_count; k++) is_replaced |= str_equal(more->binaries[k]->key, old->key);
        if (!is_replaced) PB_PUSH(rpc->arena, now, binaries) = old;
    }
    for (size_t k = 0; more != NULL && k < more->binaries_count; k++) {
        pb_namespace_BadBinaries_BinariesEntry *e = PB_PUSH_NEW(rpc->arena, now, binaries);
        e->key = more->binaries[k]->key;
        e->value = pb_new(rpc->arena, pb_namespace_BadBinaryInfo);
        if (more->binaries[k]->value != NULL) *e->value = *more->binaries[k]->value;
        e->value->create_time = pb_timestamp_new(rpc->arena, rpc->frontend->now);
    }
    config->bad_binaries = now;
    if (!str_is_empty(deleted) && !is_deleted) rpc_error(rpc, ERR_INVALID, "there is no bad binary \"%.*s\"", (int)size_min(deleted.size, 200), deleted.data);
    else if (now->binaries_count > BAD_BINARIES_MAX) rpc_error(rpc, ERR_INVALID, "%zu bad binaries; at most %d are allowed", now->binaries_count, BAD_BINARIES_MAX);
    return !rpc->is_answered;
}

/* An alias that is empty goes. Nothing is named by them here: attributes have the names they were added with. */
static void merge_aliases(struct arena *arena, pb_namespace_NamespaceConfig *config, const pb_namespace_NamespaceConfig *from)
{
    pb_namespace_NamespaceConfig_CustomSearchAttributeAliasesEntry **old = config->custom_search_attribute_aliases;
    size_t old_count = config->custom_search_attribute_aliases_count;
    PB_SET_ARRAY(config, custom_search_attribute_aliases, NULL, 0);
    for (size_t i = 0; i < old_count; i++) {
        bool is_replaced = false;
        for (size_t k = 0; k < from->custom_search_attribute_aliases_count; k++) is_replaced |= str_equal(from->custom_search_attribute_aliases[k]->key, old[i]->key);
        if (!is_replaced) PB_PUSH(arena, config, custom_search_attribute_aliases) = old[i];
    }
    for (size_t k = 0; k < from->custom_search_attribute_aliases_count; k++)
        if (!str_is_empty(from->custom_search_attribute_aliases[k]->value)) PB_PUSH(arena, config, custom_search_attribute_aliases) = from->custom_search_attribute_aliases[k];
}

static bool update_config(struct rpc *rpc, pb_store_Namespace *s, const pb_namespace_NamespaceConfig *config)
{
    if (config->workflow_execution_retention_ttl != NULL) {
        duration retention;
        if (!check_retention(rpc, config->workflow_execution_retention_ttl, &retention)) return false;
        s->config->workflow_execution_retention_ttl = pb_duration_new(rpc->arena, retention);
    }
    if (config->history_archival_state == ARCHIVAL_STATE_ENABLED || config->visibility_archival_state == ARCHIVAL_STATE_ENABLED ||
        !str_is_empty(config->history_archival_uri) || !str_is_empty(config->visibility_archival_uri)) {
        rpc_error(rpc, ERR_INVALID, "archival is not configured");
        return false;
    }
    merge_aliases(rpc->arena, s->config, config);
    return true;
}

/* There is one cluster: what names it changes nothing, what names another is refused. */
static bool check_replication(struct rpc *rpc, const pb_replication_NamespaceReplicationConfig *r)
{
    if (r == NULL) return true;
    struct str own = rpc->frontend->settings.cluster_name;
    bool is_own = (str_is_empty(r->active_cluster_name) || str_equal(r->active_cluster_name, own)) &&
                  (r->state == REPLICATION_STATE_UNSPECIFIED || r->state == REPLICATION_STATE_NORMAL);
    for (size_t i = 0; i < r->clusters_count; i++) is_own &= str_equal(r->clusters[i]->cluster_name, own);
    if (!is_own) rpc_error(rpc, ERR_INVALID, "global namespaces are not enabled: the only cluster is %.*s", STR_ARG(own));
    return is_own;
}

static void update_namespace(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UpdateNamespaceRequest *q = rpc->request;
    pb_store_Namespace *s = PB_CLONE(rpc->arena, pb_store_Namespace, namespace_newest(rpc->ns));
    if (q->promote_namespace) {
        rpc_error(rpc, ERR_INVALID, "global namespaces are not enabled");
        return;
    }
    if (!check_replication(rpc, q->replication_config)) return;
    if (q->update_info != NULL) {
        if (!str_is_empty(q->update_info->description)) s->info->description = q->update_info->description;
        if (!str_is_empty(q->update_info->owner_email)) s->info->owner_email = q->update_info->owner_email;
        merge_data(rpc->arena, s->info, q->update_info);
        if (!update_state(rpc, s->info, q->update_info->state)) return;
    }
    if (q->config != NULL && !update_config(rpc, s, q->config)) return;
    const pb_namespace_BadBinaries *more = q->config != NULL ? q->config->bad_binaries : NULL;
    if ((more != NULL || !str_is_empty(q->delete_bad_binary)) && !update_bad_binaries(rpc, s->config, more, q->delete_bad_binary)) return;
    pb_ws_UpdateNamespaceResponse *reply = pb_new(rpc->arena, pb_ws_UpdateNamespaceResponse);
    const struct namespace preview = {.stored = s};
    pb_ws_DescribeNamespaceResponse *d = describe(f, rpc->arena, &preview);
    reply->namespace_info = d->namespace_info;
    reply->config = d->config;
    reply->replication_config = d->replication_config;
    reply->failover_version = d->failover_version;
    reply->is_global_namespace = d->is_global_namespace;
    change_for(rpc, s, &pb_ws_UpdateNamespaceResponse_type, reply);
}

static void deprecate_namespace(struct frontend *f UNUSED, struct rpc *rpc)
{
    pb_store_Namespace *s = PB_CLONE(rpc->arena, pb_store_Namespace, namespace_newest(rpc->ns));
    if (s->info->state == NAMESPACE_STATE_REGISTERED) s->info->state = NAMESPACE_STATE_DEPRECATED;
    change_for(rpc, s, &pb_ws_DeprecateNamespaceResponse_type, pb_new(rpc->arena, pb_ws_DeprecateNamespaceResponse));
}

/* ---- deletion for good ---- */

/* name-deleted-xxxxx, of the first characters of its id: as many as make it unique. */
static struct str deleted_name(struct frontend *f, struct arena *arena, const pb_namespace_NamespaceInfo *info)
{
    for (size_t size = 5; size < info->id.size; size++) {
        struct str name = arena_printf(arena, "%.*s-deleted-%.*s", STR_ARG(info->name), (int)size, info->id.data);
        if (namespace_by_name(f, name) == NULL) return name;
    }
    return arena_printf(arena, "%.*s-deleted-%.*s", STR_ARG(info->name), STR_ARG(info->id));
}

static void deleted(struct change *c, err result)
{
    struct frontend *f = c->f;
    f->now = f->env.now(f->env.arg);
    if (result == ERR_NONE) {
        schedules_wake_namespace(f, c->stored->key);
        batches_wake(f);
        namespace_deletion_begin(f, c->stored->key);
    }
    change_answer(c, result);
}

static void delete_namespace(struct frontend *f, struct rpc *rpc)
{
    const pb_os_DeleteNamespaceRequest *q = rpc->request;
    duration delay;
    if (str_is_empty(q->namespace) == str_is_empty(q->namespace_id)) {
        rpc_error(rpc, ERR_INVALID, "a namespace is named either by its name or by its id");
        return;
    }
    if (!check_duration(rpc, "the delay of the deletion", q->namespace_delete_delay, &delay)) return;
    if (str_equal(q->namespace, SYSTEM_NAMESPACE)) {
        rpc_error(rpc, ERR_PRECONDITION, "the system's own namespace can not be deleted");
        return;
    }
    const struct namespace_info *info = !str_is_empty(q->namespace_id) ? namespace_by_id(f, q->namespace_id) : namespace_by_name(f, q->namespace);
    if (info == NULL) {
        namespace_not_found(rpc, str_is_empty(q->namespace_id) ? q->namespace : q->namespace_id);
        return;
    }
    pb_os_DeleteNamespaceResponse *reply = pb_new(rpc->arena, pb_os_DeleteNamespaceResponse);
    pb_store_Namespace *s = PB_CLONE(rpc->arena, pb_store_Namespace, namespace_newest(info));
    if (s->is_reclaimed) { /* under way */
        reply->deleted_namespace = s->info->name;
        RPC_REPLY(rpc, pb_os_DeleteNamespaceResponse, reply);
        return;
    }
    s->info->name = reply->deleted_namespace = deleted_name(f, rpc->arena, s->info);
    s->info->state = NAMESPACE_STATE_DELETED;
    s->is_reclaimed = true;
    s->reclaim_after = pb_timestamp_new(rpc->arena, instant_add(f->now, delay));
    struct change *c = arena_new(rpc->arena, struct change);
    *c = (struct change){.f = f, .rpc = rpc, .stored = s, .reply_type = &pb_os_DeleteNamespaceResponse_type, .reply = reply, .then = deleted};
    rpc_hold(rpc);
    change_write(c, rpc->arena);
}

/* For operator.c: writes a changed form and answers with an empty message of the given type. */
void namespace_change(struct rpc *rpc, pb_store_Namespace *stored, const struct pb_message *reply_type)
{
    change_for(rpc, stored, reply_type, arena_zalloc(rpc->arena, reply_type->size));
}

static const struct handler_row rows[] = {
    {pb_ws_RegisterNamespace_method, register_namespace, HANDLER_NO_NAMESPACE},
    {pb_ws_DescribeNamespace_method, describe_namespace, HANDLER_NO_NAMESPACE},
    {pb_ws_ListNamespaces_method, list_namespaces, 0},
    {pb_ws_UpdateNamespace_method, update_namespace, 0},
    {pb_ws_DeprecateNamespace_method, deprecate_namespace, 0},
    {pb_os_DeleteNamespace_method, delete_namespace, HANDLER_NO_NAMESPACE},
};
const struct handler_table namespace_handlers = {rows, countof(rows)};
