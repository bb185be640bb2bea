/* store/sqlite/rows.h: visibility rows as tables (database.h), written once a transaction, read by visibility/sql.h's statements.
 *
 * visibility_count holds how many rows a (namespace, type, status) has; it changes once a transaction, by the sum. visibility_span bounds how long
 * closed runs of a namespace took, so that a filter on the start time says where in the order of closing its rows are.
 * Rows of a namespace division are neither counted nor in the indexes of the ordinary ones.
 *
 * Thread: the writer's. */
#ifndef STORE_SQLITE_ROWS_H
#define STORE_SQLITE_ROWS_H

#include "base/map.h"
#include "store/sqlite/database.h"

struct rows {
    struct database *db;
    struct map_u64 pending;      /* run -> row, the newest of this transaction */
    struct map changes;          /* of visibility_count: key -> struct rows_change */
    struct map ids;              /* of types and names: key -> id */
    struct map_u64 spans;        /* namespace -> struct rows_span, as written */
    struct arena arena;          /* of the transaction */
};

void rows_init(struct rows *rows, struct database *db);
void rows_fini(struct rows *rows);
MUST_USE err rows_put(struct rows *rows, const pb_store_VisibilityRow *row); /* borrowed until rows_write or rows_abandon */
MUST_USE err rows_delete(struct rows *rows, int64_t run);
MUST_USE err rows_write(struct rows *rows);
void rows_committed(struct rows *rows);
void rows_abandon(struct rows *rows); /* the transaction is rolled back */

#endif
