/* store/sqlite/read.h: every read of the contract, on one connection and in one snapshot. Thread: the connection's. */
#ifndef STORE_SQLITE_READ_H
#define STORE_SQLITE_READ_H

#include "store/sqlite/database.h"

MUST_USE err read_run_any(struct database *db, struct store_read *read); /* all kinds but READ_MAX */

#endif
