/* store/sqlite/rows.h: visibility rows as tables.
 *
 * Thread: the writer's. */
#ifndef STORE_SQLITE_ROWS_H
#define STORE_SQLITE_ROWS_H

#include "store/sqlite/database.h"

struct rows {
    struct database *db;
};

void rows_init(struct rows *rows, struct database *db);
void rows_fini(struct rows *rows);
MUST_USE err rows_put(struct rows *rows, const pb_store_VisibilityRow *row); /* borrowed until rows_write or rows_forget */
MUST_USE err rows_delete(struct rows *rows, int64_t run);
MUST_USE err rows_write(struct rows *rows);
void rows_committed(struct rows *rows);
void rows_forget(struct rows *rows); /* after a commit or a rollback */

#endif
