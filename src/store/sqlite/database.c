#include "store/sqlite/database.h"

#include <errno.h>

static const char *const statement_text[] = {
#define X(name, sql) [SQL_##name] = sql,
    STATEMENT_TABLE(X)
#undef X
};

/* The engine tells a full disk from other failures for ENOSPC alone, and only sometimes keeps the cause: the thread's errno has it. */
err database_error(const struct database *db, int rc)
{
    int cause = db->handle != NULL && sqlite3_system_errno(db->handle) != 0 ? sqlite3_system_errno(db->handle) : errno;
    switch (rc & 0xff) {
    case SQLITE_FULL: return ERR_STORE_FULL;
    case SQLITE_CONSTRAINT: return ERR_INVALID;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_CORRUPT;
    case SQLITE_IOERR: return cause == ENOSPC || cause == EDQUOT || cause == EFBIG ? ERR_STORE_FULL : ERR_STORE;
    default: return ERR_STORE;
    }
}

sqlite3_stmt *database_use(struct database *db, enum statement which)
{
    sqlite3_stmt **st = &db->statements[which];
    if (*st == NULL && sqlite3_prepare_v3(db->handle, statement_text[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK) return NULL;
    return *st;
}

err database_step(struct database *db, sqlite3_stmt *st, bool *has_row)
{
    if (st == NULL) return database_error(db, sqlite3_errcode(db->handle));
    errno = 0;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *has_row = true;
        return ERR_NONE;
    }
    err result = rc == SQLITE_DONE ? ERR_NONE : database_error(db, rc);
    sqlite3_reset(st);
    if (result == ERR_NONE) *has_row = false;
    return result;
}

err database_run(struct database *db, sqlite3_stmt *st)
{
    bool has_row;
    err result = database_step(db, st, &has_row);
    if (st != NULL) sqlite3_reset(st);
    return result;
}

err database_exec(struct database *db, const char *sql)
{
    errno = 0;
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_NONE : database_error(db, rc);
}

err database_number(struct database *db, const char *sql, int64_t *value)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);
    if (rc != SQLITE_OK) return database_error(db, rc);
    rc = sqlite3_step(st);
    int64_t got = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return database_error(db, rc);
    *value = got;
    return ERR_NONE;
}

err database_open(struct database *db, const char *path, bool is_writer, bool is_sync_off, struct arena *arena, struct error *error)
{
    *db = (struct database){0};
    int rc = sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc != SQLITE_OK) return error_set(error, arena, database_error(db, rc), "%s: %s", path, sqlite3_errstr(rc));
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, DATABASE_WAIT_MS);
    err result = database_exec(db, is_writer ? "pragma cache_size = -8000; pragma wal_autocheckpoint = 0; pragma trusted_schema = off"
                                             : "pragma cache_size = -4000; pragma query_only = on; pragma trusted_schema = off");
    if (result == ERR_NONE) result = database_exec(db, is_sync_off ? "pragma synchronous = off" : "pragma synchronous = full");
    if (result != ERR_NONE) return error_set(error, arena, result, "%s: %s", path, sqlite3_errmsg(db->handle));
    return ERR_NONE;
}

void database_close(struct database *db)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    *db = (struct database){0};
}
