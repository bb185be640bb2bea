#include "store/sqlite/database.h"

/* Each entry makes version n + 1 of version n. Once released an entry never changes. */
static const struct migration migrations[] = {{
    "create table shard(shard integer primary key, epoch integer not null, owner text not null, max_run integer not null,"
    " max_task integer not null, max_message integer not null);"
    "create table run(run integer primary key, namespace integer not null, shard integer not null, due integer, run_id blob not null,"
    " workflow_id blob not null, state blob not null);"
    "create index run_due on run(shard, due) where due is not null;"
    "create table run_of(namespace integer not null, workflow_id blob not null, run integer not null, tag integer not null,"
    " primary key(namespace, workflow_id, run)) without rowid;"
    "create table item(run integer not null, kind integer not null, id blob not null, value blob not null,"
    " primary key(run, kind, id)) without rowid;"
    "create table history(key integer primary key, count integer not null, bytes blob not null);"
    "create table branch_ref(branch integer not null, run integer not null, primary key(branch, run)) without rowid;"
    "create index branch_ref_run on branch_ref(run);"
    "create table task(queue integer not null, position integer not null, value blob not null, primary key(queue, position)) without rowid;"
    "create table message(shard integer not null, position integer not null, value blob not null, primary key(shard, position)) without rowid;"
    "create table kv(space integer not null, key blob not null, value blob not null, primary key(space, key)) without rowid;"
    "create table visibility_type(id integer primary key, namespace integer not null, name text not null, unique(namespace, name));"
    "create table visibility_name(id integer primary key, namespace integer not null, name text not null, unique(namespace, name));"
    "create table visibility(run integer primary key, namespace integer not null, status integer not null, type integer not null,"
    " close integer not null, start integer not null, version integer not null, execution integer, duration integer, length integer,"
    " size integer, transitions integer, workflow_id text not null, run_id text not null, task_queue text, parent_id text, parent_run text,"
    " root_id text, root_run text, division text, class integer, attributes text, rest blob);"
    "create index visibility_by_status on visibility(namespace, status, close, start) where division is null;"
    "create index visibility_by_type on visibility(namespace, type, status, close, start) where division is null;"
    "create index visibility_by_length on visibility(namespace, class, close, start) where division is null and class is not null;"
    "create index visibility_by_division on visibility(namespace, division, close, start) where division is not null;"
    "create table visibility_value(name integer not null, value not null, close integer not null, start integer not null,"
    " run integer not null, primary key(name, value, close, start, run)) without rowid;"
    "create table visibility_count(namespace integer not null, type integer not null, status integer not null, n integer not null,"
    " primary key(namespace, type, status)) without rowid;"
    "create table visibility_span(namespace integer primary key, shortest integer not null, longest integer not null);",
}};

err schema_migrate(struct database *db, const struct migration *steps, int count, struct arena *arena, struct error *error)
{
    int64_t version;
    TRY(database_number(db, "pragma user_version", &version));
    for (; version < count; version++) {
        struct str sql = arena_printf(arena, "begin immediate; %s pragma application_id = %d; pragma user_version = %d; commit",
                                      steps[version].sql, SQLITE_APPLICATION_ID, (int)version + 1);
        err result = database_exec(db, sql.data);
        if (result == ERR_NONE) continue;
        result = error_set(error, arena, result, "could not bring the database to version %d: %s", (int)version + 1, sqlite3_errmsg(db->handle));
        if (!sqlite3_get_autocommit(db->handle)) (void)sqlite3_exec(db->handle, "rollback", NULL, NULL, NULL);
        return result;
    }
    return ERR_NONE;
}

err schema_prepare(struct database *db, const char *path, struct arena *arena, struct error *error)
{
    int64_t application = 0, version = 0, tables = 0;
    err result = database_number(db, "pragma application_id", &application);
    if (result == ERR_NONE) result = database_number(db, "pragma user_version", &version);
    if (result == ERR_NONE) result = database_number(db, "select count(*) from sqlite_schema", &tables);
    if (result == ERR_CORRUPT) {
        return error_set(error, arena, ERR_CORRUPT, "%s is damaged: %s", path, sqlite3_errmsg(db->handle));
    }
    if (result != ERR_NONE) return error_set(error, arena, result, "%s can not be read: %s", path, sqlite3_errmsg(db->handle));
    bool is_empty = application == 0 && version == 0 && tables == 0;
    if (!is_empty && application != SQLITE_APPLICATION_ID) {
        return error_set(error, arena, ERR_PRECONDITION, "%s belongs to another program; give the name of a new file", path);
    }
    if (version > (int64_t)countof(migrations)) {
        return error_set(error, arena, ERR_PRECONDITION, "%s was written by a newer release (format %d, this one knows up to %d); start that release",
                         path, (int)version, (int)countof(migrations));
    }
    if (is_empty) TRY(database_exec(db, "pragma page_size = 4096; pragma auto_vacuum = incremental"));
    TRY(schema_migrate(db, migrations, (int)countof(migrations), arena, error));
    result = database_exec(db, "pragma journal_mode = wal");
    if (result != ERR_NONE) return error_set(error, arena, result, "%s: %s", path, sqlite3_errmsg(db->handle));
    return ERR_NONE;
}
