/* store/sqlite/database.h: one connection to the file and its prepared statements.
 *
 * Layout (schema.c has the words). Hot tables have keys that rise, so that inserts touch the right edge of their trees; everything of
 * one run lies together.
 *   shard    (shard)                     epoch, owner, and numbers up to which keys may have been given out
 *   run      (run)                       namespace, shard, due, run id, workflow id, state; index run_due (shard, due, run)
 *   run_of   (namespace, workflow id, run)  tag of the run id: which runs an id has had
 *   item     (run, kind, id)
 *   history  (run << 24 | first event id)   a batch
 *   visibility (run)                     the columns of a row; `rest` holds what no filter asks for; indexes by status and by type give the order
 *                                        of a list
 *   visibility_value (name, value, close, start, run)   each custom value, each word of a Text, and the parent, in the order of a list
 *   visibility_type, visibility_name     numbers for the names of types and attributes; visibility_count, visibility_span: see rows.h
 *   branch_ref (branch, run), task (queue, position), message (shard, position), kv (space, key)
 *
 * Thread: one at a time. */
#ifndef STORE_SQLITE_DATABASE_H
#define STORE_SQLITE_DATABASE_H

#include "store/store.h"
#include "visibility/sql.h"

#include <sqlite3.h>

#define STATEMENT_TABLE(X)                                                                                                              \
    X(BEGIN_WRITE,   "begin immediate")                                                                                                 \
    X(BEGIN_READ,    "begin")                                                                                                           \
    X(COMMIT,        "commit")                                                                                                          \
    X(ROLLBACK,      "rollback")                                                                                                        \
    X(SHARD_PUT,     "insert or replace into shard(shard, epoch, owner, max_run, max_task, max_message) values(?1, ?2, ?3, ?4, ?5, ?6)") \
    X(SHARD_MAX,     "update shard set max_run = ?2, max_task = ?3, max_message = ?4 where shard = ?1")                                  \
    X(SHARD_ALL,     "select shard, epoch, max_run, max_task, max_message from shard")                                                  \
    X(RUN_STATE,     "update run set state = ?2 where run = ?1")                                                                        \
    X(RUN_STATE_DUE, "update run set state = ?2, shard = ?3, due = ?4 where run = ?1")                                                  \
    X(RUN_DUE,       "update run set shard = ?2, due = ?3 where run = ?1")                                                              \
    X(RUN_INSERT,    "insert into run(run, state, shard, due, namespace, run_id, workflow_id) values(?1, ?2, ?3, ?4, ?5, ?6, ?7)")      \
    X(RUN_OF_INSERT, "insert into run_of(namespace, workflow_id, run, tag) values(?1, ?2, ?3, ?4)")                                     \
    X(RUN_OF_DELETE, "delete from run_of where namespace = ?1 and workflow_id = ?2 and run = ?3")                                       \
    X(RUN_NAME,      "select namespace, workflow_id from run where run = ?1")                                                           \
    X(RUN_DELETE,    "delete from run where run = ?1")                                                                                  \
    X(RUN_EXISTS,    "select 1 from run where run = ?1")                                                                                \
    X(ITEM_PUT,      "insert or replace into item(run, kind, id, value) values(?1, ?2, ?3, ?4)")                                        \
    X(ITEM_DELETE,   "delete from item where run = ?1 and kind = ?2 and id = ?3")                                                       \
    X(ITEM_CLEAR,    "delete from item where run = ?1")                                                                                 \
    X(HISTORY_PUT,   "insert into history(key, count, bytes) values(?1, ?2, ?3)")                                                       \
    X(HISTORY_CLEAR, "delete from history where key between ?1 and ?2")                                                                 \
    X(REF_PUT,       "insert or ignore into branch_ref(branch, run) values(?1, ?2)")                                                    \
    X(REF_OF_RUN,    "select branch from branch_ref where run = ?1")                                                                    \
    X(REF_CLEAR,     "delete from branch_ref where run = ?1")                                                                           \
    X(REF_EXISTS,    "select 1 from branch_ref where branch = ?1")                                                                      \
    X(TASK_PUT,      "insert or replace into task(queue, position, value) values(?1, ?2, ?3)")                                          \
    X(TASK_DELETE,   "delete from task where queue = ?1 and position = ?2")                                                             \
    X(MESSAGE_PUT,   "insert or replace into message(shard, position, value) values(?1, ?2, ?3)")                                       \
    X(MESSAGE_DELETE, "delete from message where shard = ?1 and position = ?2")                                                         \
    X(KV_PUT,        "insert or replace into kv(space, key, value) values(?1, ?2, ?3)")                                                 \
    X(KV_DELETE,     "delete from kv where space = ?1 and key = ?2")                                                                    \
    X(READ_CURRENT,  "select run, namespace, due, run_id, workflow_id, state from run where run = "                                     \
                     "(select max(run) from run_of where namespace = ?1 and workflow_id = ?2)")                                         \
    X(READ_RUN_KEY,  "select run, namespace, due, run_id, workflow_id, state from run where run = ?1")                                  \
    X(READ_RUN,      "select r.run, r.namespace, r.due, r.run_id, r.workflow_id, r.state from run_of o cross join run r on r.run = o.run " \
                     "where o.namespace = ?1 and o.workflow_id = ?2 and o.tag = ?3 and r.run_id = ?4 order by o.run desc limit 1")      \
    X(READ_RUNS_OF,  "select r.run, r.namespace, r.due, r.run_id, r.workflow_id, r.state from run_of o cross join run r on r.run = o.run " \
                     "where o.namespace = ?1 and o.workflow_id = ?2 and o.run < ?3 order by o.run desc")                                \
    X(READ_ITEMS,    "select kind, id, value from item where run = ?1 order by kind, id")                                               \
    X(READ_HISTORY,  "select key, count, bytes from history where key >= ?1 and key < ?2 order by key")                                 \
    X(READ_HISTORY_BACK, "select key, count, bytes from history where key >= ?1 and key < ?2 order by key desc")                        \
    X(READ_HISTORY_AT, "select key, count from history where key between ?1 and ?2 order by key desc limit 1")                          \
    X(READ_WAKE,     "select run, due from run where shard = ?1 and due is not null and (due, run) > (?2, ?3) and due <= ?4 order by due, run") \
    X(COUNT_TASKS,   "select count(*) from task where queue = ?1 and position > ?2")                                                        \
    X(READ_TASKS,    "select position, value from task where queue = ?1 and position > ?2 order by position")                           \
    X(READ_MESSAGES, "select position, value from message where shard = ?1 and position > ?2 order by position")                        \
    X(READ_KV,       "select key, value from kv where space = ?1 and key = ?2")                                                         \
    X(READ_KV_FROM,  "select key, value from kv where space = ?1 and key >= ?2 order by key")                                           \
    X(READ_KV_AFTER, "select key, value from kv where space = ?1 and key > ?2 order by key")                                            \
    X(ROW_OLD,       "select namespace, status, type, close, start, version, division is not null, attributes is not null or parent_id is not null,"  \
                     " parent_id, rest from visibility where run = ?1")                                                                 \
    X(ROW_INSERT,    "insert into visibility(run, namespace, status, type, close, start, version, execution, duration, length, size,"   \
                     " transitions, workflow_id, run_id, task_queue, parent_id, parent_run, root_id, root_run, division, attributes, rest, class)" \
                     " values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)")    \
    X(ROW_CLOSE,     "update visibility set status = ?3, close = ?5, class = ?23, version = ?7, execution = ?8, duration = ?9, length = ?10, size = ?11,"  \
                     " transitions = ?12, task_queue = ?15, attributes = ?21, rest = ?22 where run = ?1")                               \
    X(ROW_UPDATE,    "update visibility set version = ?7, execution = ?8, duration = ?9, length = ?10, size = ?11, transitions = ?12,"  \
                     " task_queue = ?15, attributes = ?21, rest = ?22 where run = ?1")                                                  \
    X(ROW_DELETE,    "delete from visibility where run = ?1")                                                                           \
    X(TYPE_ID,       "select id from visibility_type where namespace = ?1 and name = ?2")                                               \
    X(TYPE_INSERT,   "insert into visibility_type(namespace, name) values(?1, ?2)")                                                     \
    X(NAME_ID,       "select id from visibility_name where namespace = ?1 and name = ?2")                                               \
    X(NAME_INSERT,   "insert into visibility_name(namespace, name) values(?1, ?2)")                                                     \
    X(VALUE_INSERT,  "insert or ignore into visibility_value(name, value, close, start, run) values(?1, ?2, ?3, ?4, ?5)")                \
    X(VALUE_DELETE,  "delete from visibility_value where name = ?1 and value = ?2 and close = ?3 and start = ?4 and run = ?5")          \
    X(COUNT_ALL,     "select coalesce(sum(n), 0) from visibility_count where namespace = ?1")                                             \
    X(COUNT_ADD,     "insert into visibility_count(namespace, type, status, n) values(?1, ?2, ?3, ?4)"                                  \
                     " on conflict do update set n = n + excluded.n")                                                                   \
    X(SPAN_READ,     "select shortest, longest from visibility_span where namespace = ?1")                                              \
    X(SPAN_PUT,      "insert or replace into visibility_span(namespace, shortest, longest) values(?1, ?2, ?3)")                         \
    X(FREE_PAGES,    "pragma freelist_count")                                                                                           \
    X(VACUUM,        "pragma incremental_vacuum(256)")
#define X(name, sql) SQL_##name,
enum statement { STATEMENT_TABLE(X) STATEMENT_COUNT };
#undef X

struct database {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* prepared when first used */
};

enum { DATABASE_WAIT_MS = 5000 }; /* for locks of others: a person with sqlite3 */
enum { SQLITE_APPLICATION_ID = 0x50445231 }; /* "PDR1" */
#define HISTORY_KEY_BITS 24
_Static_assert(STORE_EVENT_ID_MAX == (1 << HISTORY_KEY_BITS) - 1, "stored");
static inline int64_t history_key(int64_t branch, int64_t event) { return branch << HISTORY_KEY_BITS | event; }

/* Opens a connection with the settings of this store; `is_writer`: the one that writes. */
MUST_USE err database_open(struct database *db, const char *path, bool is_writer, bool is_sync_off, struct arena *arena, struct error *error);
void database_close(struct database *db);
/* ERR_STORE_FULL when there is no room, ERR_INVALID for a key that is there already, ERR_CORRUPT, else ERR_STORE. */
err database_error(const struct database *db, int rc);

/* schema.c: makes the tables of an empty file, migrates an older one, refuses others with words that say what to do. */
MUST_USE err schema_prepare(struct database *db, const char *path, struct arena *arena, struct error *error);
struct migration { const char *sql; };
/* Applies migrations[user_version …]; each in a transaction with the new version. For schema_prepare and its test. */
MUST_USE err schema_migrate(struct database *db, const struct migration *migrations, int count, struct arena *arena, struct error *error);

/* A statement with nothing bound, ready to step; NULL when it could not be prepared. */
sqlite3_stmt *database_use(struct database *db, enum statement which);
static inline void bind_bytes(sqlite3_stmt *st, int at, struct str s)
{
    if (st != NULL) sqlite3_bind_blob64(st, at, s.data != NULL ? s.data : "", s.size, SQLITE_STATIC);
}
static inline void bind_int(sqlite3_stmt *st, int at, int64_t value)
{
    if (st != NULL) sqlite3_bind_int64(st, at, value);
}
static inline void bind_null(sqlite3_stmt *st, int at)
{
    if (st != NULL) sqlite3_bind_null(st, at);
}
/* Runs a statement that returns no rows. */
MUST_USE err database_run(struct database *db, sqlite3_stmt *st);
/* One step: ERR_NONE with *has_row; the statement is reset when there is none. */
MUST_USE err database_step(struct database *db, sqlite3_stmt *st, bool *has_row);
static inline struct str column_view(sqlite3_stmt *st, int at)
{
    const void *data = sqlite3_column_blob(st, at);
    return str_make(data, data != NULL ? (size_t)sqlite3_column_bytes(st, at) : 0);
}
/* Text of any length, for pragmas and schema. */
MUST_USE err database_exec(struct database *db, const char *sql);
MUST_USE err database_number(struct database *db, const char *sql, int64_t *value); /* first column of the first row; 0 when none */

#endif
