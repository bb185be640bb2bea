#include "frontend/queue_config.h"

#include "base/log.h"
#include "store/store.h"

#include <math.h>
#include <stdlib.h>

enum { PAGE = 1000 };

struct queue_config {
    struct str key;              /* behind this struct; namespace, kind, queue */
    int64_t namespace_key;
    enum queue_kind kind;
    struct str queue;            /* within key */
    struct arena arena;          /* of `now` */
    pb_taskqueue_TaskQueueConfig *now; /* as stored; NULL: nothing yet */
    struct list changes;         /* being written, in order: each is made of the one before */
};

struct queue_configs {
    struct frontend *f;
    struct map by_key;
    void (*started)(struct frontend *f, err result);
    struct store_read read;
    bool is_reading;
};

static struct str key_of(struct arena *arena, int64_t namespace_key, enum queue_kind kind, struct str queue)
{
    return arena_printf(arena, "%016" PRIx64 "/%d/%.*s", (uint64_t)namespace_key, (int)kind, STR_ARG(queue));
}

/* NULL: the key is none of key_of. */
static struct queue_config *config_of(struct queue_configs *all, struct str key)
{
    struct queue_config *c = map_get(&all->by_key, key);
    if (c != NULL) return c;
    if (key.size < 19) return NULL;
    char hex[17] = {0};
    memcpy(hex, key.data, 16);
    c = xcalloc(1, sizeof *c + key.size);
    memcpy(c + 1, key.data, key.size);
    c->key = str_make(c + 1, key.size);
    c->namespace_key = (int64_t)strtoull(hex, NULL, 16);
    c->kind = (enum queue_kind)(key.data[17] - '0');
    c->queue = str_skip(c->key, 19);
    arena_init(&c->arena, 512, 0);
    list_init(&c->changes);
    map_put(&all->by_key, c->key, c);
    return c;
}

static void config_free(struct queue_config *c)
{
    arena_fini(&c->arena);
    free(c);
}

/* ---- to matching ---- */

static double rate_of(const pb_taskqueue_RateLimitConfig *limit)
{
    return limit != NULL && limit->rate_limit != NULL ? (double)limit->rate_limit->requests_per_second : -1;
}

static const float *override_of(const pb_taskqueue_TaskQueueConfig *config, struct str key)
{
    for (size_t i = 0; config != NULL && i < config->fairness_weight_overrides_count; i++)
        if (str_equal(config->fairness_weight_overrides[i]->key, key)) return &config->fairness_weight_overrides[i]->value;
    return NULL;
}

static void apply(struct queue_configs *all, const struct queue_config *c, const pb_taskqueue_TaskQueueConfig *old, const pb_taskqueue_TaskQueueConfig *now)
{
    struct matching_host *host = all->f->env.matching;
    double rate = rate_of(now->queue_rate_limit), key_rate = rate_of(now->fairness_keys_rate_limit_default);
    if (rate != (old != NULL ? rate_of(old->queue_rate_limit) : -1)) matching_set_rate(host, c->namespace_key, c->queue, c->kind, rate);
    if (key_rate != (old != NULL ? rate_of(old->fairness_keys_rate_limit_default) : -1)) matching_set_key_rate(host, c->namespace_key, c->queue, c->kind, key_rate);
    err result = ERR_NONE;
    for (size_t i = 0; old != NULL && i < old->fairness_weight_overrides_count; i++) {
        struct str key = old->fairness_weight_overrides[i]->key;
        if (override_of(now, key) == NULL) result = matching_set_weight(host, c->namespace_key, c->queue, c->kind, key, 0);
    }
    for (size_t i = 0; result == ERR_NONE && i < now->fairness_weight_overrides_count; i++) {
        const pb_taskqueue_TaskQueueConfig_FairnessWeightOverridesEntry *e = now->fairness_weight_overrides[i];
        result = matching_set_weight(host, c->namespace_key, c->queue, c->kind, e->key, e->value);
    }
    if (result != ERR_NONE) log_error("queues", "a task queue's configuration is not in force", "error", err_text(result));
}

static void install(struct queue_configs *all, struct queue_config *c, const pb_taskqueue_TaskQueueConfig *now)
{
    struct arena fresh;
    arena_init(&fresh, 512, 0);
    pb_taskqueue_TaskQueueConfig *copy = PB_CLONE(&fresh, pb_taskqueue_TaskQueueConfig, now);
    apply(all, c, c->now, copy);
    arena_fini(&c->arena);
    c->arena = fresh;
    c->now = copy;
}

/* ---- update ---- */

struct change {
    struct shard_write write;
    struct store_op op;
    struct list link;
    struct queue_config *config;
    struct rpc *rpc;
    pb_taskqueue_TaskQueueConfig *form;
};

static void change_done(struct shard_write *write, err result)
{
    struct change *c = container_of(write, struct change, write);
    struct rpc *rpc = c->rpc;
    struct queue_configs *all = rpc->frontend->queue_configs;
    list_remove(&c->link);
    if (result == ERR_NONE) {
        install(all, c->config, c->form);
        pb_ws_UpdateTaskQueueConfigResponse *reply = pb_new(rpc->arena, pb_ws_UpdateTaskQueueConfigResponse);
        reply->config = c->form;
        RPC_REPLY(rpc, pb_ws_UpdateTaskQueueConfigResponse, reply);
    } else {
        rpc_error_of(rpc, result, NULL);
    }
    if (c->config->now == NULL && list_is_empty(&c->config->changes)) {
        map_remove(&all->by_key, c->config->key);
        config_free(c->config);
    }
    rpc_let_go(rpc);
}

static bool check_rate(struct rpc *rpc, const pb_ws_UpdateTaskQueueConfigRequest_RateLimitUpdate *update)
{
    if (update == NULL) return true;
    if (!check_id(rpc, "reason", update->reason, false)) return false;
    float rate = update->rate_limit != NULL ? update->rate_limit->requests_per_second : 0;
    if (isfinite(rate) && rate >= 0) return true;
    rpc_error(rpc, ERR_INVALID, "a rate limit is 0 or more tasks a second");
    return false;
}

static bool check_weights(struct rpc *rpc, const pb_ws_UpdateTaskQueueConfigRequest *q)
{
    for (size_t i = 0; i < q->set_fairness_weight_overrides_count; i++) {
        const pb_ws_UpdateTaskQueueConfigRequest_SetFairnessWeightOverridesEntry *e = q->set_fairness_weight_overrides[i];
        bool is_sound = !str_is_empty(e->key) && e->key.size <= FAIRNESS_KEY_SIZE_MAX && isfinite(e->value) && e->value > 0;
        for (size_t k = 0; is_sound && k < q->unset_fairness_weight_overrides_count; k++) is_sound = !str_equal(q->unset_fairness_weight_overrides[k], e->key);
        if (is_sound) continue;
        rpc_error(rpc, ERR_INVALID, "the weight of the fairness key \"%.*s\" can not be set: a key has 1 to %d bytes, a weight is greater than 0, and what is set is not unset",
                  (int)size_min(e->key.size, FAIRNESS_KEY_SIZE_MAX), e->key.data, FAIRNESS_KEY_SIZE_MAX);
        return false;
    }
    return true;
}

static pb_taskqueue_RateLimitConfig *updated_rate(struct rpc *rpc, pb_taskqueue_RateLimitConfig *old, const pb_ws_UpdateTaskQueueConfigRequest_RateLimitUpdate *update)
{
    const pb_ws_UpdateTaskQueueConfigRequest *q = rpc->request;
    if (update == NULL) return old;
    pb_taskqueue_RateLimitConfig *limit = pb_new(rpc->arena, pb_taskqueue_RateLimitConfig);
    limit->rate_limit = update->rate_limit;
    limit->metadata = pb_new(rpc->arena, pb_taskqueue_ConfigMetadata);
    limit->metadata->reason = update->reason;
    limit->metadata->update_identity = q->identity;
    limit->metadata->update_time = pb_timestamp_new(rpc->arena, rpc->frontend->now);
    return limit;
}

/* The old overrides without those that are set anew or taken away, and the new ones. */
static void update_weights(struct rpc *rpc, pb_taskqueue_TaskQueueConfig *form)
{
    const pb_ws_UpdateTaskQueueConfigRequest *q = rpc->request;
    pb_taskqueue_TaskQueueConfig_FairnessWeightOverridesEntry **old = form->fairness_weight_overrides;
    size_t old_count = form->fairness_weight_overrides_count;
    form->fairness_weight_overrides = NULL;
    form->fairness_weight_overrides_count = form->fairness_weight_overrides_capacity_ = 0;
    for (size_t i = 0; i < old_count; i++) {
        bool is_over = false;
        for (size_t k = 0; k < q->set_fairness_weight_overrides_count; k++) is_over |= str_equal(q->set_fairness_weight_overrides[k]->key, old[i]->key);
        for (size_t k = 0; k < q->unset_fairness_weight_overrides_count; k++) is_over |= str_equal(q->unset_fairness_weight_overrides[k], old[i]->key);
        if (!is_over) PB_PUSH(rpc->arena, form, fairness_weight_overrides) = old[i];
    }
    for (size_t k = 0; k < q->set_fairness_weight_overrides_count; k++) {
        pb_taskqueue_TaskQueueConfig_FairnessWeightOverridesEntry *e = PB_PUSH_NEW(rpc->arena, form, fairness_weight_overrides);
        e->key = q->set_fairness_weight_overrides[k]->key;
        e->value = q->set_fairness_weight_overrides[k]->value;
    }
}

static void update_config(struct frontend *f, struct rpc *rpc)
{
    const pb_ws_UpdateTaskQueueConfigRequest *q = rpc->request;
    struct queue_configs *all = f->queue_configs;
    pb_taskqueue_TaskQueue queue = {.name = q->task_queue};
    if (!check_task_queue(rpc, &queue, true) || !check_id(rpc, "identity", q->identity, false)) return;
    if (q->task_queue_type != TASK_QUEUE_TYPE_ACTIVITY && q->task_queue_type != TASK_QUEUE_TYPE_NEXUS) {
        rpc_error(rpc, ERR_INVALID, "rates and weights are set for task queues of activities and of Nexus, not of workflows");
        return;
    }
    if (!check_rate(rpc, q->update_queue_rate_limit) || !check_rate(rpc, q->update_fairness_key_rate_limit_default) || !check_weights(rpc, q)) return;
    struct str key = key_of(rpc->arena, rpc->ns->key, q->task_queue_type == TASK_QUEUE_TYPE_NEXUS ? QUEUE_NEXUS : QUEUE_ACTIVITY, q->task_queue);
    if (map_count(&all->by_key) >= QUEUE_CONFIGS_MAX && map_get(&all->by_key, key) == NULL) {
        rpc_error(rpc, ERR_LIMIT, "%d task queues have a configuration, which is as many as one server takes", QUEUE_CONFIGS_MAX);
        return;
    }
    struct queue_config *config = config_of(all, key);
    const pb_taskqueue_TaskQueueConfig *last = list_is_empty(&config->changes) ? config->now : container_of(config->changes.prev, struct change, link)->form;
    pb_taskqueue_TaskQueueConfig *form = last != NULL ? PB_CLONE(rpc->arena, pb_taskqueue_TaskQueueConfig, last) : pb_new(rpc->arena, pb_taskqueue_TaskQueueConfig);
    form->queue_rate_limit = updated_rate(rpc, form->queue_rate_limit, q->update_queue_rate_limit);
    form->fairness_keys_rate_limit_default = updated_rate(rpc, form->fairness_keys_rate_limit_default, q->update_fairness_key_rate_limit_default);
    update_weights(rpc, form);
    struct change *c = OP_NEW(rpc, struct change);
    c->config = config;
    c->rpc = rpc;
    c->form = form;
    c->op = (struct store_op){.kind = STORE_KV_PUT, .item_kind = SPACE_QUEUE_CONFIG, .key = key, .bytes = PB_ENCODE_ARENA(pb_taskqueue_TaskQueueConfig, form, rpc->arena)};
    c->write = (struct shard_write){.ops = &c->op, .op_count = 1, .done = change_done};
    list_push(&config->changes, &c->link);
    rpc_hold(rpc);
    if (form->fairness_weight_overrides_count > FAIRNESS_OVERRIDES_MAX) {
        rpc_error(rpc, ERR_INVALID, "%zu fairness weights; at most %d may be set", form->fairness_weight_overrides_count, FAIRNESS_OVERRIDES_MAX);
        change_done(&c->write, ERR_INVALID);
        return;
    }
    shard_write(f->env.shard, &c->write);
}

const pb_taskqueue_TaskQueueConfig *queue_config_find(struct frontend *f, int64_t namespace_key, struct str queue, enum queue_kind kind)
{
    struct arena arena;
    arena_init(&arena, 256, 0);
    const struct queue_config *c = map_get(&f->queue_configs->by_key, key_of(&arena, namespace_key, kind, queue));
    arena_fini(&arena);
    return c != NULL ? c->now : NULL;
}

/* ---- a namespace goes away ---- */

static void dropped(struct shard_write *write, err result)
{
    struct queue_configs_drop *d = container_of(write, struct queue_configs_drop, write);
    static const pb_taskqueue_TaskQueueConfig nothing;
    for (size_t i = 0; result == ERR_NONE && i < write->op_count; i++) {
        struct queue_config *c = map_get(&d->f->queue_configs->by_key, d->ops[i].key);
        if (c == NULL || !list_is_empty(&c->changes)) continue;
        apply(d->f->queue_configs, c, c->now, &nothing);
        map_remove(&d->f->queue_configs->by_key, c->key);
        config_free(c);
    }
    arena_fini(&d->arena);
    d->done(d, result);
}

void queue_configs_drop(struct frontend *f, int64_t namespace_key, struct queue_configs_drop *d)
{
    d->f = f;
    arena_init(&d->arena, 1024, 0);
    d->ops = arena_array(&d->arena, struct store_op, map_count(&f->queue_configs->by_key) + 1);
    d->write = (struct shard_write){.ops = d->ops, .done = dropped};
    const struct queue_config *c;
    for (size_t at = 0; (c = map_next(&f->queue_configs->by_key, &at, NULL)) != NULL;)
        if (c->namespace_key == namespace_key)
            d->ops[d->write.op_count++] = (struct store_op){.kind = STORE_KV_DELETE, .item_kind = SPACE_QUEUE_CONFIG, .key = arena_str(&d->arena, c->key)};
    if (d->write.op_count != 0) shard_write(f->env.shard, &d->write);
    else dropped(&d->write, ERR_NONE);
}

/* ---- life ---- */

struct queue_configs *queue_configs_create(struct frontend *f)
{
    struct queue_configs *all = xcalloc(1, sizeof *all);
    all->f = f;
    return all;
}

void queue_configs_destroy(struct queue_configs *all)
{
    struct queue_config *c;
    for (size_t at = 0; (c = map_next(&all->by_key, &at, NULL)) != NULL;) config_free(c);
    map_fini(&all->by_key);
    if (all->is_reading) arena_fini(&all->read.arena);
    free(all);
}

static void read_page(struct queue_configs *all, struct str after);

static void page_read(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct queue_configs *all = container_of(read, struct queue_configs, read);
    struct frontend *f = all->f;
    err result = read->result;
    f->now = f->env.now(f->env.arg);
    for (size_t i = 0; result == ERR_NONE && i < read->row_count; i++) {
        pb_taskqueue_TaskQueueConfig *config;
        struct queue_config *c = config_of(all, read->rows[i].key);
        if (c != NULL && PB_DECODE(&read->arena, read->rows[i].bytes, pb_taskqueue_TaskQueueConfig, &config) == ERR_NONE) install(all, c, config);
        else log_error("queues", "a stored task queue configuration does not decode and is left out");
    }
    bool has_more = result == ERR_NONE && read->has_more && read->row_count != 0;
    struct arena old = read->arena;
    all->is_reading = false;
    if (has_more) read_page(all, read->rows[read->row_count - 1].key);
    arena_fini(&old);
    if (!has_more) all->started(f, result);
}

static void read_page(struct queue_configs *all, struct str after)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct str behind = arena_str(&arena, after);
    all->read = (struct store_read){.kind = STORE_READ_KV_RANGE, .space = SPACE_QUEUE_CONFIG, .limit = PAGE, .after = behind, .reply_to = all->f->env.mailbox, .arena = arena};
    all->read.mail.open = page_read;
    all->is_reading = true;
    store_read(all->f->env.store, &all->read);
}

void queue_configs_start(struct frontend *f, void (*done)(struct frontend *f, err result))
{
    f->queue_configs->started = done;
    read_page(f->queue_configs, STR_EMPTY);
}

static const struct handler_row rows[] = {
    {pb_ws_UpdateTaskQueueConfig_method, update_config, 0},
};
const struct handler_table queue_config_handlers = {rows, countof(rows)};
