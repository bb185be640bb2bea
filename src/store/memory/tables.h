/* store/memory/tables.h: the tables of the memory store and how a commit changes them. Under the store's lock. */
#ifndef STORE_MEMORY_TABLES_H
#define STORE_MEMORY_TABLES_H

#include "store/lease.h"
#include "store/memory/tree.h"

#include <pthread.h>

/* One row of any table, with its bytes behind it.
 *   table      node (a, key, b)                       also in
 *   runs       run, "", 0                             run_ids by `second` (namespace, workflow id, run); wakes by `second_wake` (shard, due, run)
 *   items      run, kind as 4 bytes + id, 0
 *   history    branch, "", first event id
 *   refs       branch, "", run                        runs_refs by `second` (run, "", branch)
 *   tasks      queue, "", order
 *   messages   shard, "", order
 *   kv         space, key, 0
 *   rows       run, "", 0                             order by `second` (namespace, order key, -run) */
struct record {
    struct tree_node node, second, second_wake;
    struct str key, run_id, bytes; /* behind the struct */
    int64_t namespace_key, due, count, version;
    bool has_wake;
    char wake_key[8];
};
struct memory {
    struct store store;
    pthread_mutex_t mutex;
    struct leases leases;
    uint64_t submitted;
    struct tree runs, run_ids, wakes, items, history, refs, run_refs, tasks, messages, kv, rows, order;
};

static inline struct record *record_of(const struct tree_node *node)
{
    return node != NULL ? container_of(node, struct record, node) : NULL;
}
static inline struct str due_key(int64_t due, char out[8]) /* sorts as bytes as the number does */
{
    uint64_t u = (uint64_t)due ^ (UINT64_C(1) << 63);
    for (int i = 7; i >= 0; i--, u >>= 8) out[i] = (char)(u & 0xff);
    return str_make(out, 8);
}
static inline int32_t item_kind_of(const struct record *item)
{
    uint32_t kind = 0;
    for (int i = 0; i < 4; i++) kind = kind << 8 | (uint8_t)item->key.data[i];
    return (int32_t)kind;
}

/* The whole commit or, with ERR_INVALID (a history batch that is there already), nothing. */
MUST_USE err tables_apply(struct memory *m, const struct store_commit *commit);
void tables_fini(struct memory *m);

/* list.c */
MUST_USE err memory_list(struct memory *m, struct store_read *read);
MUST_USE err memory_count(struct memory *m, struct store_read *read);

#endif
