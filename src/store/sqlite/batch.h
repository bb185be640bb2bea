/* store/sqlite/batch.h: commits that become one transaction. A run's state, its due time and its visibility row are written once a batch,
 * however many of its commits touch them.
 *
 *   batch_begin, batch_apply for each commit, batch_end: all durable, or after any error nothing is. */
#ifndef STORE_SQLITE_BATCH_H
#define STORE_SQLITE_BATCH_H

#include "base/map.h"
#include "store/sqlite/database.h"
#include "store/sqlite/rows.h"

struct batch {
    struct database *db;
    struct rows *rows;           /* visibility */
    struct arena arena;          /* of one batch */
    struct map_u64 runs;         /* run -> struct batch_run */
    bool has_deletes;            /* since the caller last cleared it: pages may have become free */
};

void batch_init(struct batch *batch, struct database *db, struct rows *rows);
void batch_fini(struct batch *batch);
MUST_USE err batch_begin(struct batch *batch);
MUST_USE err batch_apply(struct batch *batch, const struct store_commit *commit);
MUST_USE err batch_end(struct batch *batch);
void batch_abandon(struct batch *batch); /* rolls back */

#endif
