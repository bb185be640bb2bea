/* The store that ends with the process: one lock, one ordered tree a table. */
#include "store/memory/tables.h"

#include <stdlib.h>

static void commit_submit(struct store *store, struct store_commit *commit)
{
    struct memory *m = container_of(store, struct memory, store);
    pthread_mutex_lock(&m->mutex);
    struct lease *lease = lease_of(&m->leases, commit->shard);
    commit->sequence = ++m->submitted;
    commit->result = lease_admit(lease, commit);
    if (commit->result == ERR_NONE) commit->result = tables_apply(m, commit);
    if (commit->result != ERR_STALE_LEASE) lease_note(lease, commit, commit->result);
    pthread_mutex_unlock(&m->mutex);
    mailbox_send(commit->reply_to, &commit->mail);
}

static void row_give(struct arena *arena, const struct record *run, struct store_row *row)
{
    *row = (struct store_row){.run = run->node.a, .a = run->due, .namespace_key = run->namespace_key,
                              .key = arena_str(arena, run->key), .run_id = arena_str(arena, run->run_id),
                              .bytes = arena_str(arena, run->bytes)};
}

/* Room for one more row; rows grow by doubling inside the arena. */
static struct store_row *row_more(struct store_read *read, size_t *capacity)
{
    if (read->row_count == *capacity) {
        *capacity = *capacity == 0 ? 16 : *capacity * 2;
        struct store_row *grown = arena_array(&read->arena, struct store_row, *capacity);
        if (read->row_count != 0) memcpy(grown, read->rows, read->row_count * sizeof(*grown));
        read->rows = grown;
    }
    struct store_row *row = &read->rows[read->row_count++];
    *row = (struct store_row){0};
    return row;
}

static size_t limit_of(const struct store_read *read) { return read->limit != 0 ? read->limit : STORE_PAGE_DEFAULT; }

static err give_run(struct memory *m, struct store_read *read, const struct record *run)
{
    if (run == NULL) return ERR_NOT_FOUND;
    row_give(&read->arena, run, &read->row);
    size_t capacity = 0;
    struct tree_node *node = tree_at_or_after(&m->items, run->node.a, STR_EMPTY, INT64_MIN);
    for (; node != NULL && node->a == run->node.a; node = tree_next(node)) {
        const struct record *item = record_of(node);
        struct store_row *row = row_more(read, &capacity);
        row->run = node->a;
        row->item_kind = item_kind_of(item);
        row->key = arena_str(&read->arena, str_skip(item->key, 4));
        row->bytes = arena_str(&read->arena, item->bytes);
    }
    return ERR_NONE;
}

static err read_run(struct memory *m, struct store_read *read)
{
    const struct record *run = NULL;
    if (read->kind == STORE_READ_RUN_KEY) {
        run = record_of(tree_find(&m->runs, read->run, STR_EMPTY, 0));
    } else {
        struct tree_node *node = tree_before(&m->run_ids, read->namespace_key, read->key, INT64_MAX);
        for (; node != NULL && node->a == read->namespace_key && str_equal(node->key, read->key); node = tree_prev(node)) {
            const struct record *candidate = container_of(node, struct record, second);
            if (read->kind == STORE_READ_RUN && !str_equal(candidate->run_id, read->run_id)) continue;
            run = candidate;
            break;
        }
    }
    return give_run(m, read, run);
}

static err read_runs_of(struct memory *m, struct store_read *read)
{
    size_t capacity = 0;
    struct tree_node *node = tree_before(&m->run_ids, read->namespace_key, read->key, read->order == 0 ? INT64_MAX : read->order);
    for (; node != NULL && node->a == read->namespace_key && str_equal(node->key, read->key); node = tree_prev(node)) {
        if (read->row_count == limit_of(read)) {
            read->has_more = true;
            break;
        }
        row_give(&read->arena, container_of(node, struct record, second), row_more(read, &capacity));
    }
    return ERR_NONE;
}

static bool batch_meets(const struct tree_node *node, const struct store_read *read)
{
    return node != NULL && node->a == read->run && node->b < read->to && node->b + record_of(node)->count > read->from;
}

static err read_history(struct memory *m, struct store_read *read)
{
    size_t capacity = 0, size = 0, size_max = read->limit != 0 ? read->limit : STORE_BYTES_MAX;
    struct tree_node *node;
    if (read->is_reverse) {
        node = tree_before(&m->history, read->run, STR_EMPTY, read->to);
    } else {
        node = tree_before(&m->history, read->run, STR_EMPTY, read->from); /* may reach into the range */
        if (!batch_meets(node, read)) node = tree_at_or_after(&m->history, read->run, STR_EMPTY, read->from);
    }
    for (; batch_meets(node, read); node = read->is_reverse ? tree_prev(node) : tree_next(node)) {
        const struct record *batch = record_of(node);
        if (read->row_count != 0 && size + batch->bytes.size > size_max) {
            read->has_more = true;
            break;
        }
        size += batch->bytes.size;
        struct store_row *row = row_more(read, &capacity);
        row->run = read->run;
        row->a = node->b;
        row->b = batch->count;
        row->bytes = arena_str(&read->arena, batch->bytes);
    }
    return ERR_NONE;
}

static err read_wake(struct memory *m, struct store_read *read)
{
    size_t capacity = 0;
    char key[8];
    struct tree_node *node = tree_at_or_after(&m->wakes, read->shard, due_key(read->from, key), read->order == INT64_MAX ? INT64_MAX : read->order + 1);
    for (; node != NULL && node->a == read->shard; node = tree_next(node)) {
        const struct record *run = container_of(node, struct record, second_wake);
        if (run->due > read->to) break;
        if (read->row_count == limit_of(read)) {
            read->has_more = true;
            break;
        }
        struct store_row *row = row_more(read, &capacity);
        row->run = run->node.a;
        row->a = run->due;
    }
    return ERR_NONE;
}

/* Backlog and messages: (owner, order). */
static err read_ordered(const struct tree *tree, int64_t owner, struct store_read *read)
{
    size_t capacity = 0;
    if (read->order == INT64_MAX) return ERR_NONE;
    struct tree_node *node = tree_at_or_after(tree, owner, STR_EMPTY, read->order + 1);
    for (; node != NULL && node->a == owner; node = tree_next(node)) {
        if (read->row_count == limit_of(read)) {
            read->has_more = true;
            break;
        }
        struct store_row *row = row_more(read, &capacity);
        row->a = owner;
        row->b = node->b;
        row->bytes = arena_str(&read->arena, record_of(node)->bytes);
    }
    return ERR_NONE;
}

static err count_tasks(struct memory *m, struct store_read *read)
{
    if (read->order == INT64_MAX) return ERR_NONE;
    struct tree_node *node = tree_at_or_after(&m->tasks, read->run, STR_EMPTY, read->order + 1);
    for (; node != NULL && node->a == read->run; node = tree_next(node)) {
        if (read->row.a++ != 0) continue;
        read->row.b = node->b;
        read->row.bytes = arena_str(&read->arena, record_of(node)->bytes);
    }
    return ERR_NONE;
}

static err read_kv(struct memory *m, struct store_read *read)
{
    struct tree_node *node = tree_find(&m->kv, read->space, read->key, 0);
    if (node == NULL) return ERR_NOT_FOUND;
    read->row = (struct store_row){.item_kind = read->space, .key = arena_str(&read->arena, node->key),
                                   .bytes = arena_str(&read->arena, record_of(node)->bytes)};
    return ERR_NONE;
}

static err read_kv_range(struct memory *m, struct store_read *read)
{
    size_t capacity = 0;
    bool is_behind = str_compare(read->after, read->key) >= 0 && !str_is_empty(read->after);
    struct tree_node *node = is_behind ? tree_at_or_after(&m->kv, read->space, read->after, 1)
                                       : tree_at_or_after(&m->kv, read->space, read->key, 0);
    for (; node != NULL && node->a == read->space && str_starts_with(node->key, read->key); node = tree_next(node)) {
        if (read->row_count == limit_of(read)) {
            read->has_more = true;
            break;
        }
        struct store_row *row = row_more(read, &capacity);
        row->item_kind = read->space;
        row->key = arena_str(&read->arena, node->key);
        row->bytes = arena_str(&read->arena, record_of(node)->bytes);
    }
    return ERR_NONE;
}

static err read_max(struct memory *m, struct store_read *read)
{
    const struct lease *lease = lease_of(&m->leases, read->shard);
    read->max_run = lease->max_run;
    read->max_task = lease->max_task;
    read->max_message = lease->max_message;
    return ERR_NONE;
}

static err read_any(struct memory *m, struct store_read *read)
{
    switch (read->kind) {
    case STORE_READ_CURRENT:
    case STORE_READ_RUN:
    case STORE_READ_RUN_KEY: return read_run(m, read);
    case STORE_READ_RUNS_OF: return read_runs_of(m, read);
    case STORE_READ_HISTORY: return read_history(m, read);
    case STORE_READ_WAKE: return read_wake(m, read);
    case STORE_READ_TASKS: return read_ordered(&m->tasks, read->run, read);
    case STORE_COUNT_TASKS: return count_tasks(m, read);
    case STORE_READ_MESSAGES: return read_ordered(&m->messages, read->shard, read);
    case STORE_READ_KV: return read_kv(m, read);
    case STORE_READ_KV_RANGE: return read_kv_range(m, read);
    case STORE_LIST: return memory_list(m, read);
    case STORE_COUNT: return memory_count(m, read);
    case STORE_READ_MAX: return read_max(m, read);
    }
    return ERR_INVALID;
}

static void read_submit(struct store *store, struct store_read *read)
{
    struct memory *m = container_of(store, struct memory, store);
    pthread_mutex_lock(&m->mutex);
    read->result = read_any(m, read);
    pthread_mutex_unlock(&m->mutex);
    mailbox_send(read->reply_to, &read->mail);
}

static err acquire(struct store *store, uint32_t shard, struct str owner, uint64_t *epoch, struct error *error, struct arena *arena)
{
    (void)owner;
    (void)error;
    (void)arena;
    struct memory *m = container_of(store, struct memory, store);
    pthread_mutex_lock(&m->mutex);
    struct lease *lease = lease_of(&m->leases, shard);
    lease_acquire(lease);
    *epoch = lease->epoch;
    pthread_mutex_unlock(&m->mutex);
    return ERR_NONE;
}

static void recover(struct store *store, uint32_t shard)
{
    struct memory *m = container_of(store, struct memory, store);
    pthread_mutex_lock(&m->mutex);
    lease_recover(lease_of(&m->leases, shard), m->submitted);
    pthread_mutex_unlock(&m->mutex);
}

static void close_store(struct store *store)
{
    struct memory *m = container_of(store, struct memory, store);
    tables_fini(m);
    leases_fini(&m->leases);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

static const struct store_ops memory_ops = {commit_submit, read_submit, acquire, recover, close_store, "memory"};

err store_memory_open(struct store **store)
{
    struct memory *m = xcalloc(1, sizeof(*m));
    m->store.ops = &memory_ops;
    pthread_mutex_init(&m->mutex, NULL);
    *store = &m->store;
    return ERR_NONE;
}
