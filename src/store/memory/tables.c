#include "store/memory/tables.h"

#include <stdlib.h>

static struct record *record_make(struct str key, struct str run_id, struct str bytes)
{
    struct record *r = xmalloc(sizeof(*r) + key.size + run_id.size + bytes.size);
    memset(r, 0, sizeof(*r));
    char *at = (char *)(r + 1);
    struct str *parts[] = {&r->key, &r->run_id, &r->bytes};
    const struct str from[] = {key, run_id, bytes};
    for (size_t i = 0; i < countof(parts); i++) {
        if (from[i].size != 0) memcpy(at, from[i].data, from[i].size);
        *parts[i] = str_make(at, from[i].size);
        at += from[i].size;
    }
    return r;
}

static void node_insert(struct tree *tree, struct tree_node *node, int64_t a, struct str key, int64_t b)
{
    node->a = a;
    node->key = key;
    node->b = b;
    tree_insert(tree, node);
}

static void drop(struct tree *tree, struct record *r)
{
    if (r == NULL) return;
    tree_remove(tree, &r->node);
    free(r);
}

static void put(struct tree *tree, int64_t a, struct str key, int64_t b, struct str bytes)
{
    drop(tree, record_of(tree_find(tree, a, key, b)));
    struct record *r = record_make(key, STR_EMPTY, bytes);
    node_insert(tree, &r->node, a, r->key, b);
}

/* ---- runs ---- */

static void wake_set(struct memory *m, struct record *run, bool has_wake, uint32_t shard, int64_t due)
{
    if (run->has_wake) tree_remove(&m->wakes, &run->second_wake);
    run->has_wake = has_wake;
    run->due = has_wake ? due : 0;
    if (has_wake) node_insert(&m->wakes, &run->second_wake, shard, due_key(due, run->wake_key), run->node.a);
}

static void run_put(struct memory *m, const struct store_op *op)
{
    struct record *old = record_of(tree_find(&m->runs, op->run, STR_EMPTY, 0));
    struct record *run = record_make(op->key, op->run_id, op->bytes);
    run->namespace_key = op->namespace_key;
    bool has_wake = false;
    int64_t shard = 0, due = 0;
    if (old != NULL) {
        has_wake = old->has_wake;
        shard = old->second_wake.a;
        due = old->due;
        wake_set(m, old, false, 0, 0);
        tree_remove(&m->run_ids, &old->second);
        drop(&m->runs, old);
    }
    node_insert(&m->runs, &run->node, op->run, STR_EMPTY, 0);
    node_insert(&m->run_ids, &run->second, op->namespace_key, run->key, op->run);
    if (has_wake) wake_set(m, run, true, (uint32_t)shard, due);
}

static bool branch_is_used(const struct memory *m, int64_t branch)
{
    if (tree_find(&m->runs, branch, STR_EMPTY, 0) != NULL) return true;
    struct tree_node *ref = tree_at_or_after(&m->refs, branch, STR_EMPTY, INT64_MIN);
    return ref != NULL && ref->a == branch;
}

static void range_drop(struct tree *tree, int64_t a)
{
    for (struct tree_node *node; (node = tree_at_or_after(tree, a, STR_EMPTY, INT64_MIN)) != NULL && node->a == a;) drop(tree, record_of(node));
}

static void row_drop(struct memory *m, int64_t run)
{
    struct record *row = record_of(tree_find(&m->rows, run, STR_EMPTY, 0));
    if (row == NULL) return;
    tree_remove(&m->order, &row->second);
    drop(&m->rows, row);
}

static void run_delete(struct memory *m, int64_t key)
{
    struct record *run = record_of(tree_find(&m->runs, key, STR_EMPTY, 0));
    if (run != NULL) {
        wake_set(m, run, false, 0, 0);
        tree_remove(&m->run_ids, &run->second);
        drop(&m->runs, run);
    }
    range_drop(&m->items, key);
    row_drop(m, key);
    for (struct tree_node *node; (node = tree_at_or_after(&m->run_refs, key, STR_EMPTY, INT64_MIN)) != NULL && node->a == key;) {
        struct record *ref = container_of(node, struct record, second);
        int64_t branch = ref->node.a;
        tree_remove(&m->run_refs, &ref->second);
        drop(&m->refs, ref);
        if (!branch_is_used(m, branch)) range_drop(&m->history, branch);
    }
    if (!branch_is_used(m, key)) range_drop(&m->history, key);
}

static void branch_ref(struct memory *m, const struct store_op *op)
{
    if (tree_find(&m->refs, op->a, STR_EMPTY, op->run) != NULL) return;
    struct record *ref = record_make(STR_EMPTY, STR_EMPTY, STR_EMPTY);
    node_insert(&m->refs, &ref->node, op->a, STR_EMPTY, op->run);
    node_insert(&m->run_refs, &ref->second, op->run, STR_EMPTY, op->a);
}

static void history_append(struct memory *m, const struct store_op *op)
{
    struct record *batch = record_make(STR_EMPTY, STR_EMPTY, op->bytes);
    batch->count = op->b;
    node_insert(&m->history, &batch->node, op->run, STR_EMPTY, op->a);
}

/* ---- the rest ---- */

static void item_key(const struct store_op *op, struct buf *key)
{
    uint32_t kind = (uint32_t)op->item_kind;
    for (int shift = 24; shift >= 0; shift -= 8) buf_append_byte(key, (uint8_t)(kind >> shift));
    buf_append_str(key, op->key);
}

/* The default order of a list: open rows first, then by close time, each newest first. */
static void row_put(struct memory *m, const pb_store_VisibilityRow *row)
{
    struct record *old = record_of(tree_find(&m->rows, row->run_key, STR_EMPTY, 0));
    if (old != NULL && old->version > row->version) return;
    row_drop(m, row->run_key);
    struct buf bytes = {0};
    pb_encode(&pb_store_VisibilityRow_type, row, &bytes);
    char order[16];
    int64_t close = row->close_time != NULL ? pb_instant(row->close_time).ns : INT64_MAX;
    int64_t start = row->start_time != NULL ? pb_instant(row->start_time).ns : 0;
    due_key(~close, order);
    due_key(~start, order + 8);
    struct record *r = record_make(str_make(order, sizeof(order)), STR_EMPTY, buf_view(&bytes));
    buf_fini(&bytes);
    r->version = row->version;
    r->namespace_key = row->namespace_key;
    node_insert(&m->rows, &r->node, row->run_key, STR_EMPTY, 0);
    node_insert(&m->order, &r->second, row->namespace_key, r->key, -row->run_key);
}

static void op_apply(struct memory *m, uint32_t shard, const struct store_op *op)
{
    struct record *run = NULL;
    struct buf key = {0};
    switch (op->kind) {
    case STORE_RUN_PUT: run_put(m, op); break;
    case STORE_RUN_DELETE: run_delete(m, op->run); break;
    case STORE_ITEM_PUT:
        item_key(op, &key);
        put(&m->items, op->run, buf_view(&key), 0, op->bytes);
        break;
    case STORE_ITEM_DELETE:
        item_key(op, &key);
        drop(&m->items, record_of(tree_find(&m->items, op->run, buf_view(&key), 0)));
        break;
    case STORE_HISTORY_APPEND: history_append(m, op); break;
    case STORE_BRANCH_REF: branch_ref(m, op); break;
    case STORE_WAKE_PUT:
    case STORE_WAKE_DELETE:
        run = record_of(tree_find(&m->runs, op->run, STR_EMPTY, 0));
        if (run != NULL) wake_set(m, run, op->kind == STORE_WAKE_PUT, shard, op->a);
        break;
    case STORE_TASK_PUT: put(&m->tasks, op->a, STR_EMPTY, op->b, op->bytes); break;
    case STORE_TASK_DELETE: drop(&m->tasks, record_of(tree_find(&m->tasks, op->a, STR_EMPTY, op->b))); break;
    case STORE_MESSAGE_PUT: put(&m->messages, shard, STR_EMPTY, op->b, op->bytes); break;
    case STORE_MESSAGE_DELETE: drop(&m->messages, record_of(tree_find(&m->messages, shard, STR_EMPTY, op->b))); break;
    case STORE_VISIBILITY_PUT: row_put(m, op->visibility); break;
    case STORE_VISIBILITY_DELETE: row_drop(m, op->run); break;
    case STORE_KV_PUT: put(&m->kv, op->item_kind, op->key, 0, op->bytes); break;
    case STORE_KV_DELETE: drop(&m->kv, record_of(tree_find(&m->kv, op->item_kind, op->key, 0))); break;
    }
    buf_fini(&key);
}

err tables_apply(struct memory *m, const struct store_commit *commit)
{
    for (size_t i = 0; i < commit->op_count; i++) { /* all that can fail, before anything changes */
        const struct store_op *op = &commit->ops[i];
        if (op->kind != STORE_HISTORY_APPEND) continue;
        if (tree_find(&m->history, op->run, STR_EMPTY, op->a) != NULL) return ERR_INVALID;
        for (size_t j = 0; j < i; j++) {
            const struct store_op *before = &commit->ops[j];
            if (before->kind == STORE_HISTORY_APPEND && before->run == op->run && before->a == op->a) return ERR_INVALID;
        }
    }
    for (size_t i = 0; i < commit->op_count; i++) op_apply(m, commit->shard, &commit->ops[i]);
    return ERR_NONE;
}

void tables_fini(struct memory *m)
{
    struct tree *trees[] = {&m->runs, &m->items, &m->history, &m->refs, &m->tasks, &m->messages, &m->kv, &m->rows};
    for (size_t i = 0; i < countof(trees); i++) {
        while (trees[i]->root != NULL) drop(trees[i], record_of(trees[i]->root));
    }
}
