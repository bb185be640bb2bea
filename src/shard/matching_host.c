/* shard/matching_host.c: the partitions of one thread and the world around them: the store's backlog, runs, pollers.
 *
 * Every call goes in (enter), lets a task queue decide, carries its effects out (apply) and comes out again (leave); the
 * callbacks to pollers run on the way out of the outermost call, so that none of them meets a half-done change. */
#include "base/log.h"
#include "base/map.h"
#include "proto/perdure/matching.h"
#include "shard/matching_host.h"

#include <stdlib.h>

enum { QUEUES_MAX = 1000000, PERSISTS_MAX = 256, LOADS_MAX = 64 };

struct host_queue {
    struct matching_host *host;
    struct task_queue *queue;
    int64_t namespace_key;
    enum queue_kind kind;
    bool is_sticky;
    bool has_settings;               /* set by API: stays in memory */
    struct str name, map_key;        /* behind this struct */
    struct heap_node due;
    struct list polls;               /* matching_poll.queue_link, while they wait */
    struct list connection_link;     /* sticky: in its worker's connection */
    uint64_t connection_id;
    size_t under_way;                /* loads and writes that refer to it */
};

struct host_connection {
    uint64_t id;
    struct list polls, sticky_queues;
};

struct host_persist {                /* a task on its way to the backlog */
    struct shard_call call;
    struct arena arena;
    struct host_queue *queue;
    struct queued_task *task;
    struct store_op op;
    bool is_unwanted;
    struct list link;
};

struct host_load {
    struct host_queue *queue;
    int level;
    int64_t order;
    size_t limit;
    struct store_read *read;         /* NULL: waits for its turn */
    struct matching_count *count;    /* it only counts; NULL: it reads a page */
    struct list link;
};

struct matching_host {
    struct matching_env env;
    struct matching_options options;
    struct map queues;               /* (namespace, kind, stickiness, name) -> struct host_queue */
    struct map_u64 connections;
    struct heap due;
    struct list ready_polls, ready_queries;
    struct list persists_waiting, persists, loads_waiting, loads;
    size_t persist_count, load_count;
    int depth;
    struct matching_stats stats;
};

static instant host_now(const struct matching_host *h) { return h->env.now(h->env.arg); }

/* ---- partitions ---- */

struct queue_key { char small[280]; char *large; struct str view; };

static void queue_key_make(struct queue_key *key, int64_t namespace_key, enum queue_kind kind, bool is_sticky, struct str name)
{
    size_t head = sizeof namespace_key + 2, size = head + name.size;
    key->large = size > sizeof key->small ? xmalloc(size) : NULL;
    char *at = key->large != NULL ? key->large : key->small;
    memcpy(at, &namespace_key, sizeof namespace_key);
    at[sizeof namespace_key] = (char)kind;
    at[sizeof namespace_key + 1] = (char)is_sticky;
    if (name.size != 0) memcpy(at + head, name.data, name.size);
    key->view = str_make(at, size);
}

static struct host_queue *queue_find(const struct matching_host *h, int64_t namespace_key, enum queue_kind kind, bool is_sticky, struct str name)
{
    struct queue_key key;
    queue_key_make(&key, namespace_key, kind, is_sticky, name);
    struct host_queue *hq = map_get(&h->queues, key.view);
    free(key.large);
    return hq;
}

/* NULL: too many partitions are in memory. */
static struct host_queue *queue_make(struct matching_host *h, int64_t namespace_key, enum queue_kind kind, bool is_sticky, struct str name)
{
    struct host_queue *hq = queue_find(h, namespace_key, kind, is_sticky, name);
    if (hq != NULL || map_count(&h->queues) >= h->options.queues_max) return hq;
    struct queue_key key;
    queue_key_make(&key, namespace_key, kind, is_sticky, name);
    hq = xcalloc(1, sizeof *hq + key.view.size);
    memcpy(hq + 1, key.view.data, key.view.size);
    hq->map_key = str_make(hq + 1, key.view.size);
    hq->name = str_skip(hq->map_key, key.view.size - name.size);
    free(key.large);
    hq->host = h;
    hq->namespace_key = namespace_key;
    hq->kind = kind;
    hq->is_sticky = is_sticky;
    list_init(&hq->polls);
    struct task_queue_options options = {.is_sticky = is_sticky, .tasks_max = h->options.tasks_max, .persist_after = h->options.persist_after,
                                         .is_backlog_known_empty = is_sticky || kind == QUEUE_NEXUS};
    hq->queue = task_queue_create(&options, host_now(h));
    map_put(&h->queues, hq->map_key, hq);
    return hq;
}

static void queue_destroy(struct matching_host *h, struct host_queue *hq)
{
    map_remove(&h->queues, hq->map_key);
    heap_remove(&h->due, &hq->due);
    list_remove(&hq->connection_link);
    task_queue_destroy(hq->queue);
    free(hq);
}

/* The heap's hand may point too early, never too late: a tick for nothing is cheaper than moving it with every task. */
static void queue_rearm(struct matching_host *h, struct host_queue *hq)
{
    instant now = host_now(h), due = task_queue_next_due(hq->queue);
    if (due.ns == INSTANT_NEVER.ns) due = instant_add(now, duration_s(300)); /* to see whether it is idle */
    if (hq->due.position != 0 && instant_before(now, hq->due.due) && !instant_before(due, hq->due.due)) return;
    heap_put(&h->due, &hq->due, due);
    if (h->env.rearm != NULL) h->env.rearm(h->env.arg);
}

/* The number under which the store keeps the backlog of one priority. The name is in each row as well. */
static int64_t backlog_number(const struct host_queue *hq, int level)
{
    struct { uint64_t hash; int64_t level; } key = {str_hash(hq->map_key), level};
    return (int64_t)(str_hash(str_make(&key, sizeof key)) >> 1);
}

/* ---- in and out ---- */

static void enter(struct matching_host *h) { h->depth++; }

static void leave(struct matching_host *h)
{
    if (--h->depth != 0) return;
    h->depth = 1; /* what callbacks ask for is carried out by this loop */
    for (;;) {
        struct list *link = list_pop(&h->ready_polls);
        if (link != NULL) {
            struct matching_poll *poll = container_of(link, struct matching_poll, ready_link);
            if (poll->task == NULL) {
                poll->state = POLL_OVER;
                poll->on_empty(poll);
            } else {
                poll->state = POLL_HAS_TASK;
                h->stats.delivered++;
                poll->on_task(poll, &poll->task->task, poll->task->task.transient != NULL);
            }
            continue;
        }
        if ((link = list_pop(&h->ready_queries)) == NULL) break;
        struct matching_query *query = container_of(link, struct matching_query, ready_link);
        query->on_expired(query);
    }
    h->depth = 0;
}

/* ---- effects ---- */

static void persist_begin(struct matching_host *h, struct host_queue *hq, struct queued_task *task);
static void load_begin(struct matching_host *h, struct host_queue *hq, const struct task_queue_effect *effect);
static err offer(struct matching_host *h, struct host_queue *hq, const struct queue_task *task);

static void poll_ready(struct matching_host *h, const struct task_queue_effect *effect)
{
    struct matching_poll *poll = container_of(effect->poller, struct matching_poll, poller);
    poll->task = effect->task;
    poll->scaling = effect->scaling;
    poll->state = POLL_READY;
    poll->backlog_count_hint = task_queue_backlog_count(poll->host_queue->queue);
    list_remove(&poll->connection_link);
    list_remove(&poll->queue_link);
    list_push(&h->ready_polls, &poll->ready_link);
}

static void query_expire(struct matching_host *h, struct matching_query *query)
{
    query->host_queue = NULL;
    list_push(&h->ready_queries, &query->ready_link);
}

/* From a sticky queue whose worker is gone to the queue that everybody polls. */
static void move(struct matching_host *h, struct host_queue *from, const struct queue_task *task)
{
    reach("matching: a task leaves a sticky queue without a worker");
    struct matching_query *query = task->transient;
    struct host_queue *to = queue_make(h, from->namespace_key, from->kind, false, task->normal_queue);
    if (query != NULL) query->host_queue = to;
    if (to != NULL && offer(h, to, task) == ERR_NONE) return;
    if (query != NULL) query_expire(h, query);
}

static void apply(struct matching_host *h, struct host_queue *hq, struct task_queue_effects *fx)
{
    for (size_t i = 0; i < fx->count; i++) {
        const struct task_queue_effect *effect = &fx->items[i];
        switch (effect->kind) {
        case EFFECT_DELIVER:
        case EFFECT_EMPTY: poll_ready(h, effect); break;
        case EFFECT_PERSIST: persist_begin(h, hq, effect->task); break;
        case EFFECT_LOAD: load_begin(h, hq, effect); break;
        case EFFECT_EXPIRED: query_expire(h, effect->task->task.transient); break;
        case EFFECT_MOVE: move(h, hq, &effect->task->task); break;
        case EFFECT_DELETE: {
            const struct queue_task *task = &effect->task->task;
            struct shard *shard = h->env.shard_of(h->env.arg, task->namespace_key, task->workflow_id);
            shard_write_relaxed(shard, &(struct store_op){.kind = STORE_TASK_DELETE, .a = backlog_number(hq, effect->level), .b = effect->order});
            break;
        }
        }
    }
    task_queue_effects_fini(fx);
    queue_rearm(h, hq);
}

static err offer(struct matching_host *h, struct host_queue *hq, const struct queue_task *task)
{
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    struct shard *shard = task->transient == NULL ? h->env.shard_of(h->env.arg, task->namespace_key, task->workflow_id) : NULL;
    err result = task_queue_offer(hq->queue, task, shard != NULL ? shard_take_task_order(shard) : 0, host_now(h), &fx);
    if (fx.count != 0 && fx.items[0].kind == EFFECT_DELIVER) h->stats.sync_matched++;
    apply(h, hq, &fx);
    return result;
}

/* ---- the backlog: writing ---- */

static err persist_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit)
{
    (void)is_commit;
    struct host_persist *p = container_of(call, struct host_persist, call);
    p->is_unwanted = !execution_is_open(e);
    if (p->is_unwanted || p->task->is_delivered || p->task->is_gone) return ERR_TASK_GONE;
    enum task_kind kind = p->queue->kind == QUEUE_WORKFLOW ? TASK_WORKFLOW : TASK_ACTIVITY;
    execution_task_stored(e, step, kind, p->task->task.scheduled_event_id, p->task->task.stamp);
    return ERR_NONE;
}

static void persist_next(struct matching_host *h);

static void persist_done(struct shard_call *call, err result)
{
    struct host_persist *p = container_of(call, struct host_persist, call);
    struct host_queue *hq = p->queue;
    struct matching_host *h = hq->host;
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    enter(h);
    if (result == ERR_NONE) {
        h->stats.persisted++;
        task_queue_persisted(hq->queue, p->task, host_now(h), &fx);
    } else {
        bool is_gone = p->is_unwanted || result == ERR_WORKFLOW_NOT_FOUND || result == ERR_NAMESPACE_NOT_FOUND;
        task_queue_persist_failed(hq->queue, p->task, is_gone, host_now(h), &fx);
    }
    hq->under_way--;
    h->persist_count--;
    list_remove(&p->link);
    arena_fini(&p->arena);
    free(p);
    apply(h, hq, &fx);
    persist_next(h);
    leave(h);
}

static void persist_submit(struct matching_host *h, struct host_persist *p)
{
    const struct queue_task *task = &p->task->task;
    pb_matching_Task row = {
        .namespace_key = task->namespace_key, .run = task->run, .workflow_id = task->workflow_id, .run_id = task->run_id,
        .scheduled_event_id = task->scheduled_event_id, .attempt = task->attempt, .stamp = task->stamp,
        .scheduled_at_ns = task->scheduled_at.ns, .expires_at_ns = task->expires_at.ns == INSTANT_NEVER.ns ? 0 : task->expires_at.ns,
        .fairness_key = task->fairness_key, .fairness_weight = task->fairness_weight, .queue = p->queue->name, .kind = (int32_t)p->queue->kind,
    };
    int level = task->priority >= PRIORITY_MIN && task->priority <= PRIORITY_MAX ? task->priority : PRIORITY_DEFAULT;
    p->op = (struct store_op){.kind = STORE_TASK_PUT, .a = backlog_number(p->queue, level), .b = p->task->order,
                              .bytes = PB_ENCODE_ARENA(pb_matching_Task, &row, &p->arena)};
    p->call.arena = &p->arena;
    p->call.need = SHARD_NEEDS_RUN_KEY;
    p->call.run = task->run;
    p->call.step = persist_step;
    p->call.done = persist_done;
    p->call.ops = &p->op;
    p->call.op_count = 1;
    h->persist_count++;
    list_push(&h->persists, &p->link);
    shard_submit(h->env.shard_of(h->env.arg, task->namespace_key, task->workflow_id), &p->call);
}

/* Those that found a poller while they waited for their turn need no row. */
static void persist_next(struct matching_host *h)
{
    struct list *link;
    while (h->persist_count < h->options.persists_max && (link = list_pop(&h->persists_waiting)) != NULL) {
        struct host_persist *p = container_of(link, struct host_persist, link);
        if (!p->task->is_delivered && !p->task->is_gone) {
            persist_submit(h, p);
            continue;
        }
        struct host_queue *hq = p->queue;
        struct task_queue_effects fx;
        task_queue_effects_init(&fx);
        task_queue_persist_failed(hq->queue, p->task, false, host_now(h), &fx);
        hq->under_way--;
        arena_fini(&p->arena);
        free(p);
        apply(h, hq, &fx);
    }
}

static void persist_begin(struct matching_host *h, struct host_queue *hq, struct queued_task *task)
{
    struct host_persist *p = xcalloc(1, sizeof *p);
    arena_init(&p->arena, 512, 0);
    p->queue = hq;
    p->task = task;
    hq->under_way++;
    list_push(&h->persists_waiting, &p->link);
    persist_next(h);
}

/* ---- the backlog: reading ---- */

static bool row_decode(const struct host_queue *hq, const struct store_row *row, struct arena *arena, struct loaded_task *out)
{
    pb_matching_Task *task;
    if (PB_DECODE_ALIAS(arena, row->bytes, pb_matching_Task, &task) != ERR_NONE) {
        log_error("matching", "a stored task can not be read; it is left alone");
        return false;
    }
    if (!str_equal(task->queue, hq->name) || task->kind != (int32_t)hq->kind || task->namespace_key != hq->namespace_key) return false;
    *out = (struct loaded_task){.order = row->b, .task = {
        .namespace_key = task->namespace_key, .run = task->run, .workflow_id = task->workflow_id, .run_id = task->run_id,
        .scheduled_event_id = task->scheduled_event_id, .attempt = task->attempt, .stamp = task->stamp,
        .scheduled_at = {task->scheduled_at_ns}, .expires_at = task->expires_at_ns == 0 ? INSTANT_NEVER : (instant){task->expires_at_ns},
        .fairness_key = task->fairness_key, .fairness_weight = task->fairness_weight}};
    return true;
}

static void load_next(struct matching_host *h);

static void load_free(struct host_load *load)
{
    if (load->read != NULL) arena_fini(&load->read->arena);
    free(load->read);
    free(load);
}

static void load_opened(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct host_load *load = read->arg;
    struct host_queue *hq = load->queue;
    struct matching_host *h = hq->host;
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    struct matching_count *counted = load->count;
    enter(h);
    if (counted != NULL && read->result == ERR_NONE) {
        struct loaded_task first = {0};
        bool is_ours = read->row.a != 0 && row_decode(hq, &read->row, &read->arena, &first);
        task_queue_counted(hq->queue, load->level, load->order, (size_t)read->row.a, is_ours ? first.task.scheduled_at : host_now(h));
    } else if (counted != NULL) {
        log_warn("matching", "the backlog of a task queue could not be counted", "error", err_text(read->result));
    } else if (read->result == ERR_NONE) {
        struct loaded_task *tasks = arena_array(&read->arena, struct loaded_task, read->row_count + 1);
        size_t count = 0;
        int64_t last = 0;
        for (size_t i = 0; i < read->row_count; i++) {
            last = read->rows[i].b;
            if (row_decode(hq, &read->rows[i], &read->arena, &tasks[count])) count++;
        }
        h->stats.loaded += count;
        task_queue_loaded(hq->queue, load->level, tasks, count, last, read->has_more, host_now(h), &fx);
    } else {
        task_queue_load_failed(hq->queue, load->level, host_now(h));
    }
    hq->under_way--;
    list_remove(&load->link);
    h->load_count--;
    apply(h, hq, &fx);
    load_free(load);
    load_next(h);
    leave(h);
    if (counted != NULL && --counted->pending == 0) counted->done(counted);
}

/* A few at a time: ten thousand queues that are polled for the first time ask for five pages each. */
static void load_next(struct matching_host *h)
{
    struct list *link;
    while (h->load_count < LOADS_MAX && (link = list_pop(&h->loads_waiting)) != NULL) {
        struct host_load *load = container_of(link, struct host_load, link);
        struct store_read *read = load->read = xcalloc(1, sizeof *read);
        arena_init(&read->arena, 0, 0);
        read->arg = load;
        read->mail.open = load_opened;
        read->reply_to = h->env.mailbox;
        read->kind = load->count != NULL ? STORE_COUNT_TASKS : STORE_READ_TASKS;
        read->run = backlog_number(load->queue, load->level);
        read->order = load->order;
        read->limit = load->limit;
        list_push(&h->loads, &load->link);
        h->load_count++;
        store_read(h->env.store, read);
    }
}

static void load_begin(struct matching_host *h, struct host_queue *hq, const struct task_queue_effect *effect)
{
    struct host_load *load = xcalloc(1, sizeof *load);
    *load = (struct host_load){.queue = hq, .level = effect->level, .order = effect->order, .limit = effect->limit};
    hq->under_way++;
    list_push(&h->loads_waiting, &load->link);
    load_next(h);
}

/* ---- life ---- */

struct matching_host *matching_create(const struct matching_env *env, const struct matching_options *options)
{
    struct matching_host *h = xcalloc(1, sizeof *h);
    h->env = *env;
    h->options = *options;
    if (h->options.queues_max == 0) h->options.queues_max = QUEUES_MAX;
    if (h->options.persists_max == 0) h->options.persists_max = PERSISTS_MAX;
    struct list *lists[] = {&h->ready_polls, &h->ready_queries, &h->persists_waiting, &h->persists, &h->loads_waiting, &h->loads};
    for (size_t i = 0; i < countof(lists); i++) list_init(lists[i]);
    return h;
}

void matching_destroy(struct matching_host *h)
{
    struct list *link;
    struct list *persists[] = {&h->persists_waiting, &h->persists};
    for (size_t i = 0; i < countof(persists); i++) {
        while ((link = list_pop(persists[i])) != NULL) {
            struct host_persist *p = container_of(link, struct host_persist, link);
            arena_fini(&p->arena);
            free(p);
        }
    }
    struct list *loads[] = {&h->loads_waiting, &h->loads};
    for (size_t i = 0; i < countof(loads); i++)
        while ((link = list_pop(loads[i])) != NULL) load_free(container_of(link, struct host_load, link));
    struct host_connection *connection;
    for (size_t at = 0; (connection = map_u64_next(&h->connections, &at, NULL)) != NULL;) {
        while (list_pop(&connection->sticky_queues) != NULL) {}
        while (list_pop(&connection->polls) != NULL) {}
        free(connection);
    }
    map_u64_fini(&h->connections);
    struct host_queue *hq;
    for (size_t at = 0; (hq = map_next(&h->queues, &at, NULL)) != NULL;) {
        while ((link = list_pop(&hq->polls)) != NULL) task_queue_cancel_poll(hq->queue, &container_of(link, struct matching_poll, queue_link)->poller);
        queue_destroy(h, hq);
    }
    map_fini(&h->queues);
    heap_fini(&h->due);
    free(h);
}

/* ---- from shards ---- */

static struct queue_task task_of_effect(const struct task_effect *from)
{
    return (struct queue_task){
        .namespace_key = from->namespace_key, .run = from->run, .workflow_id = from->workflow_id, .run_id = from->run_id,
        .scheduled_event_id = from->scheduled_event_id, .attempt = from->attempt, .stamp = from->stamp, .scheduled_at = from->scheduled_at,
        .expires_at = from->expires_at, .priority = from->priority_key, .fairness_key = from->fairness_key,
        .fairness_weight = from->fairness_weight, .normal_queue = from->is_sticky ? from->normal_queue : STR_EMPTY};
}

/* Where a task for (queue, normal queue) waits: the sticky queue if its worker is there. */
static struct host_queue *queue_for(struct matching_host *h, int64_t namespace_key, enum queue_kind kind, bool is_sticky, struct str queue,
                                    struct str normal_queue)
{
    if (is_sticky) {
        struct host_queue *sticky = queue_find(h, namespace_key, kind, true, queue);
        if (sticky != NULL && task_queue_has_worker(sticky->queue, host_now(h))) return sticky;
    }
    return queue_make(h, namespace_key, kind, false, is_sticky ? normal_queue : queue);
}

void matching_offer(struct matching_host *h, const struct task_effect *effect)
{
    enum queue_kind kind = effect->kind == TASK_WORKFLOW ? QUEUE_WORKFLOW : QUEUE_ACTIVITY;
    struct queue_task task = task_of_effect(effect);
    h->stats.offered++;
    enter(h);
    struct host_queue *hq = queue_for(h, effect->namespace_key, kind, effect->is_sticky, effect->queue, effect->normal_queue);
    if (hq == NULL) {
        log_error("matching", "too many task queues are in use; a task waits for the next start of the server");
    } else {
        err result = offer(h, hq, &task);
        ensure(result == ERR_NONE);
    }
    leave(h);
}

/* ---- polls ---- */

static struct host_connection *connection_make(struct matching_host *h, uint64_t id)
{
    struct host_connection *connection = map_u64_get(&h->connections, id);
    if (connection != NULL) return connection;
    connection = xcalloc(1, sizeof *connection);
    connection->id = id;
    list_init(&connection->polls);
    list_init(&connection->sticky_queues);
    map_u64_put(&h->connections, id, connection);
    return connection;
}

static void poll_begin_waiting(struct matching_host *h, struct host_queue *hq, struct matching_poll *poll)
{
    poll->state = POLL_WAITING;
    poll->task = NULL;
    list_push(&hq->polls, &poll->queue_link);
    if (poll->poller.connection_id == 0) return;
    struct host_connection *connection = connection_make(h, poll->poller.connection_id);
    list_push(&connection->polls, &poll->connection_link);
    if (!hq->is_sticky || hq->connection_id == connection->id) return;
    list_remove(&hq->connection_link);
    list_push(&connection->sticky_queues, &hq->connection_link);
    hq->connection_id = connection->id;
}

static void poll_end_waiting(struct matching_poll *poll)
{
    list_remove(&poll->connection_link);
    list_remove(&poll->queue_link);
    poll->state = POLL_OVER;
}

err matching_poll(struct matching_host *h, struct matching_poll *poll)
{
    struct host_queue *hq = queue_make(h, poll->namespace_key, poll->kind, poll->is_sticky, poll->queue);
    if (hq == NULL) return ERR_LIMIT;
    poll->host_queue = hq;
    poll->is_from_sticky = hq->is_sticky;
    poll->connection_link = poll->queue_link = poll->ready_link = (struct list){0};
    poll->poller.link = (struct list){0};
    poll->poller.expiry = (struct heap_node){0};
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    enter(h);
    poll_begin_waiting(h, hq, poll);
    err result = task_queue_poll(hq->queue, &poll->poller, host_now(h), &fx);
    if (result != ERR_NONE) poll_end_waiting(poll);
    apply(h, hq, &fx);
    leave(h);
    return result;
}

static void give_back(struct matching_host *h, struct matching_poll *poll)
{
    struct host_queue *hq = poll->host_queue;
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    struct matching_query *query = poll->task->task.transient;
    if (query != NULL) query->host_queue = hq;
    task_queue_give_back(hq->queue, poll->task, host_now(h), &fx);
    poll->task = NULL;
    poll->state = POLL_OVER;
    apply(h, hq, &fx);
}

bool matching_cancel(struct matching_host *h, struct matching_poll *poll)
{
    if (poll->state == POLL_HAS_TASK) return false;
    enter(h);
    if (poll->state == POLL_WAITING) {
        task_queue_cancel_poll(poll->host_queue->queue, &poll->poller);
        poll_end_waiting(poll);
        queue_rearm(h, poll->host_queue);
    } else if (poll->state == POLL_READY) {
        reach("matching: a poll is cancelled when its answer is ready");
        list_remove(&poll->ready_link);
        poll->state = POLL_OVER;
        if (poll->task != NULL) give_back(h, poll);
    }
    leave(h);
    return true;
}

static void finish_task(struct matching_host *h, struct matching_poll *poll, bool is_again)
{
    ensure(poll->state == POLL_HAS_TASK);
    struct host_queue *hq = poll->host_queue;
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    enter(h);
    task_queue_finish(hq->queue, poll->task, &fx);
    poll->task = NULL;
    poll->state = POLL_OVER;
    if (is_again) {
        poll_begin_waiting(h, hq, poll);
        task_queue_poll_again(hq->queue, &poll->poller, host_now(h), &fx);
    }
    apply(h, hq, &fx);
    leave(h);
}

void matching_accept(struct matching_host *h, struct matching_poll *poll) { finish_task(h, poll, false); }
void matching_poll_again(struct matching_host *h, struct matching_poll *poll) { finish_task(h, poll, true); }

void matching_give_back(struct matching_host *h, struct matching_poll *poll)
{
    ensure(poll->state == POLL_HAS_TASK);
    enter(h);
    give_back(h, poll);
    leave(h);
}

/* ---- workers that leave ---- */

static void sticky_drop(struct matching_host *h, struct host_queue *hq)
{
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    task_queue_worker_gone(hq->queue, host_now(h), &fx);
    apply(h, hq, &fx);
}

void matching_connection_closed(struct matching_host *h, uint64_t connection_id)
{
    struct host_connection *connection = map_u64_remove(&h->connections, connection_id);
    if (connection == NULL) return;
    enter(h);
    struct list *link;
    while ((link = list_first(&connection->polls)) != NULL) {
        struct matching_poll *poll = container_of(link, struct matching_poll, connection_link);
        task_queue_cancel_poll(poll->host_queue->queue, &poll->poller);
        poll_end_waiting(poll);
    }
    while ((link = list_pop(&connection->sticky_queues)) != NULL) {
        struct host_queue *hq = container_of(link, struct host_queue, connection_link);
        hq->connection_id = 0;
        if (list_is_empty(&hq->polls)) sticky_drop(h, hq);
    }
    free(connection);
    leave(h);
}

static void end_polls(struct matching_host *h, struct host_queue *hq, struct str identity)
{
    list_each_safe(link, &hq->polls) {
        struct matching_poll *poll = container_of(link, struct matching_poll, queue_link);
        if (!str_is_empty(identity) && !str_equal(identity, poll->poller.identity)) continue;
        task_queue_cancel_poll(hq->queue, &poll->poller);
        poll_end_waiting(poll);
        poll->state = POLL_READY;
        list_push(&h->ready_polls, &poll->ready_link);
    }
    queue_rearm(h, hq);
}

void matching_end_polls(struct matching_host *h, int64_t namespace_key, struct str queue, enum queue_kind kind, struct str identity)
{
    struct host_queue *hq = queue_find(h, namespace_key, kind, false, queue);
    if (hq == NULL) return;
    enter(h);
    end_polls(h, hq, identity);
    leave(h);
}

void matching_drop_sticky(struct matching_host *h, int64_t namespace_key, struct str sticky_queue)
{
    struct host_queue *hq = queue_find(h, namespace_key, QUEUE_WORKFLOW, true, sticky_queue);
    if (hq == NULL) return;
    enter(h);
    end_polls(h, hq, STR_EMPTY);
    sticky_drop(h, hq);
    leave(h);
}

/* ---- queries ---- */

err matching_query(struct matching_host *h, struct matching_query *query)
{
    struct host_queue *hq = queue_for(h, query->namespace_key, query->kind, query->is_sticky, query->queue, query->normal_queue);
    if (hq == NULL) return ERR_LIMIT;
    struct queue_task task = {.namespace_key = query->namespace_key, .run = query->run, .workflow_id = query->workflow_id,
                              .run_id = query->run_id, .expires_at = query->deadline, .priority = query->priority,
                              .normal_queue = query->is_sticky ? query->normal_queue : STR_EMPTY, .transient = query};
    query->ready_link = (struct list){0};
    query->host_queue = hq;
    enter(h);
    err result = offer(h, hq, &task);
    if (result != ERR_NONE) query->host_queue = NULL;
    leave(h);
    return result;
}

bool matching_cancel_query(struct matching_host *h, struct matching_query *query)
{
    if (list_is_linked(&query->ready_link)) {
        list_remove(&query->ready_link);
        return true;
    }
    if (query->host_queue == NULL || !task_queue_cancel_transient(query->host_queue->queue, query)) return false;
    queue_rearm(h, query->host_queue);
    query->host_queue = NULL;
    return true;
}

/* ---- settings and description ---- */

void matching_set_rate(struct matching_host *h, int64_t namespace_key, struct str queue, enum queue_kind kind, double rate_max)
{
    struct host_queue *hq = queue_make(h, namespace_key, kind, false, queue);
    if (hq == NULL) return;
    hq->has_settings = true;
    task_queue_set_rate(hq->queue, rate_max, host_now(h));
    heap_put(&h->due, &hq->due, host_now(h));
}

void matching_set_key_rate(struct matching_host *h, int64_t namespace_key, struct str queue, enum queue_kind kind, double rate_max)
{
    struct host_queue *hq = queue_make(h, namespace_key, kind, false, queue);
    if (hq == NULL) return;
    hq->has_settings = true;
    task_queue_set_key_rate(hq->queue, rate_max, host_now(h));
    heap_put(&h->due, &hq->due, host_now(h));
}

err matching_set_weight(struct matching_host *h, int64_t namespace_key, struct str queue, enum queue_kind kind, struct str fairness_key, float weight)
{
    struct host_queue *hq = queue_make(h, namespace_key, kind, false, queue);
    if (hq == NULL) return ERR_LIMIT;
    hq->has_settings = true;
    return task_queue_set_weight(hq->queue, fairness_key, weight);
}

void matching_count(struct matching_host *h, struct matching_count *count)
{
    struct host_queue *hq = queue_make(h, count->namespace_key, count->kind, false, count->queue);
    count->pending = 1;
    for (int level = PRIORITY_MIN; hq != NULL && level <= PRIORITY_MAX; level++) {
        int64_t order;
        if (task_queue_backlog_is_known(hq->queue, level, &order)) continue;
        struct host_load *load = xcalloc(1, sizeof *load);
        *load = (struct host_load){.queue = hq, .level = level, .order = order, .count = count};
        count->pending++;
        hq->under_way++;
        list_push(&h->loads_waiting, &load->link);
    }
    if (hq != NULL) queue_rearm(h, hq); /* it leaves again when nobody uses it */
    load_next(h);
    if (--count->pending == 0) count->done(count);
}

bool matching_describe(struct matching_host *h, int64_t namespace_key, struct str queue, enum queue_kind kind, struct arena *arena,
                       struct task_queue_stats *stats, struct poller_info **pollers, size_t *poller_count)
{
    struct host_queue *hq = queue_find(h, namespace_key, kind, false, queue);
    *stats = (struct task_queue_stats){.rate_max = -1};
    if (pollers != NULL) *pollers = NULL;
    if (poller_count != NULL) *poller_count = 0;
    if (hq == NULL) return false;
    task_queue_stats(hq->queue, host_now(h), stats);
    if (pollers != NULL && poller_count != NULL) *poller_count = task_queue_pollers(hq->queue, host_now(h), arena, pollers);
    return true;
}

static void purge(struct matching_host *h, struct host_queue *hq)
{
    struct task_queue_effects fx;
    task_queue_effects_init(&fx);
    task_queue_purge(hq->queue, host_now(h), &fx);
    apply(h, hq, &fx);
}

void matching_purge(struct matching_host *h, int64_t namespace_key, struct str queue)
{
    static const enum queue_kind kinds[] = {QUEUE_WORKFLOW, QUEUE_ACTIVITY};
    struct host_queue *hq;
    enter(h);
    for (size_t i = 0; !str_is_empty(queue) && i < countof(kinds); i++)
        if ((hq = queue_make(h, namespace_key, kinds[i], false, queue)) != NULL) purge(h, hq);
    for (size_t at = 0; str_is_empty(queue) && (hq = map_next(&h->queues, &at, NULL)) != NULL;)
        if (hq->namespace_key == namespace_key) purge(h, hq);
    leave(h);
}

bool matching_has_pollers(struct matching_host *h, int64_t namespace_key, struct str queue, enum queue_kind kind, bool is_sticky)
{
    struct host_queue *hq = queue_find(h, namespace_key, kind, is_sticky, queue);
    if (hq == NULL) return false;
    return is_sticky ? task_queue_has_worker(hq->queue, host_now(h)) : task_queue_was_polled(hq->queue, host_now(h), duration_s(300));
}

/* ---- time ---- */

void matching_tick(struct matching_host *h)
{
    instant now = host_now(h);
    enter(h);
    struct heap_node *node;
    while ((node = heap_first(&h->due)) != NULL && !instant_before(now, node->due)) {
        struct host_queue *hq = container_of(node, struct host_queue, due);
        if (hq->under_way == 0 && !hq->has_settings && task_queue_is_idle(hq->queue, now)) {
            queue_destroy(h, hq);
            continue;
        }
        struct task_queue_effects fx;
        task_queue_effects_init(&fx);
        task_queue_tick(hq->queue, now, &fx);
        apply(h, hq, &fx);
        if (hq->due.position != 0 && !instant_before(now, hq->due.due)) heap_put(&h->due, &hq->due, instant_add(now, duration_ms(1)));
    }
    leave(h);
}

instant matching_next_due(const struct matching_host *h)
{
    const struct heap_node *node = heap_first(&h->due);
    return node != NULL ? node->due : INSTANT_NEVER;
}

bool matching_is_quiet(const struct matching_host *h) { return h->persist_count == 0 && list_is_empty(&h->persists_waiting) && h->load_count == 0; }

void matching_get_stats(const struct matching_host *h, struct matching_stats *stats)
{
    *stats = h->stats;
    stats->queues = map_count(&h->queues);
    const struct host_queue *hq;
    for (size_t at = 0; (hq = map_next(&h->queues, &at, NULL)) != NULL;) {
        struct task_queue_stats queue;
        task_queue_stats(hq->queue, host_now(h), &queue);
        stats->waiting_polls += queue.waiting_poller_count;
        stats->tasks += (size_t)queue.backlog_count;
    }
}
