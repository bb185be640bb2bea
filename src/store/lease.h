/* store/lease.h: who may write to a shard, and whether a failure stands in the way. Every store keeps one of these.
 *
 * Thread: under the store's lock. */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "base/map.h"
#include "store/store.h"

struct lease {
    uint32_t shard;
    uint64_t epoch;              /* 0: never acquired */
    err failed;                  /* of a commit under this epoch: later ones fail alike until recover */
    err doubt;                   /* the failure before the last recover; commits submitted before that share it */
    uint64_t doubt_through;      /* their sequence numbers end here */
    int64_t max_run, max_task, max_message; /* ever committed */
};
struct leases { struct map_u64 map; };

void leases_fini(struct leases *leases);
struct lease *lease_of(struct leases *leases, uint32_t shard); /* made when there is none */
struct lease *lease_next(const struct leases *leases, size_t *at);
void lease_acquire(struct lease *lease);                       /* a new epoch, no failure */
void lease_recover(struct lease *lease, uint64_t submitted);   /* `submitted`: the sequence of the newest commit of the store */

/* Whether the commit may be tried: ERR_NONE, ERR_STALE_LEASE, ERR_INVALID, or the failure that it stands behind. */
MUST_USE err lease_admit(const struct lease *lease, const struct store_commit *commit);
/* What became of a commit that was tried. A failure other than a stale lease fails the shard. */
void lease_note(struct lease *lease, const struct store_commit *commit, err result);

#endif
