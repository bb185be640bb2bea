/* store/sqlite/list.h: lists and counts, by the statements of visibility/sql.h. Inside the read's transaction. Thread: the connection's. */
#ifndef STORE_SQLITE_LIST_H
#define STORE_SQLITE_LIST_H

#include "store/sqlite/database.h"

MUST_USE err list_read(struct database *db, struct store_read *read);
MUST_USE err count_read(struct database *db, struct store_read *read);

#endif
