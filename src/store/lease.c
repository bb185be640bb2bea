#include "store/lease.h"

#include <stdlib.h>

/* Shard numbers start at 0, and a map of numbers takes any key. */
struct lease *lease_of(struct leases *leases, uint32_t shard)
{
    struct lease *lease = map_u64_get(&leases->map, shard);
    if (lease == NULL) {
        lease = xcalloc(1, sizeof(*lease));
        lease->shard = shard;
        map_u64_put(&leases->map, shard, lease);
    }
    return lease;
}

struct lease *lease_next(const struct leases *leases, size_t *at)
{
    uint64_t shard;
    return map_u64_next(&leases->map, at, &shard);
}

void leases_fini(struct leases *leases)
{
    size_t at = 0;
    for (struct lease *lease; (lease = lease_next(leases, &at)) != NULL;) free(lease);
    map_u64_fini(&leases->map);
}

void lease_acquire(struct lease *lease)
{
    lease->epoch++;
    lease->failed = ERR_NONE;
    lease->doubt_through = 0;
}

void lease_recover(struct lease *lease, uint64_t submitted)
{
    if (lease->failed == ERR_NONE) return;
    lease->doubt = lease->failed;
    lease->doubt_through = submitted;
    lease->failed = ERR_NONE;
}

err lease_admit(const struct lease *lease, const struct store_commit *commit)
{
    if (commit->lease_epoch != lease->epoch || lease->epoch == 0) return ERR_STALE_LEASE;
    if (lease->failed != ERR_NONE) return lease->failed;
    if (commit->sequence <= lease->doubt_through) return lease->doubt;
    return store_commit_check(commit);
}

static void raise_to(int64_t *max, int64_t value)
{
    if (value > *max) *max = value;
}

void lease_note(struct lease *lease, const struct store_commit *commit, err result)
{
    if (result != ERR_NONE) {
        bool is_new = commit->sequence > lease->doubt_through; /* one that shares the failure before a recover may be told of after it */
        if (commit->lease_epoch == lease->epoch && lease->failed == ERR_NONE && is_new) lease->failed = result;
        return;
    }
    for (size_t i = 0; i < commit->op_count; i++) {
        const struct store_op *op = &commit->ops[i];
        switch (op->kind) {
        case STORE_RUN_PUT: raise_to(&lease->max_run, op->run); break;
        case STORE_VISIBILITY_PUT: /* rows of a division are not of runs and have numbers of their own, beyond those of runs */
            if (str_is_empty(op->visibility->namespace_division)) raise_to(&lease->max_run, op->visibility->run_key);
            break;
        case STORE_TASK_PUT: raise_to(&lease->max_task, op->b); break;
        case STORE_MESSAGE_PUT: raise_to(&lease->max_message, op->b); break;
        default: break;
        }
    }
}
