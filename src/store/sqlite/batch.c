#include "store/sqlite/batch.h"

/* What the batch has to say about a run so far. */
struct batch_run {
    int64_t run;
    const struct store_op *put;  /* the newest; NULL: its state stays */
    bool is_due_changed, has_due;
    int64_t due;
    uint32_t shard;
};

void batch_init(struct batch *batch, struct database *db, struct rows *rows)
{
    *batch = (struct batch){.db = db, .rows = rows};
    arena_init(&batch->arena, 64 * 1024, 0);
}

void batch_fini(struct batch *batch)
{
    map_u64_fini(&batch->runs);
    arena_fini(&batch->arena);
}

static void batch_forget(struct batch *batch)
{
    map_u64_fini(&batch->runs);
    arena_reset(&batch->arena);
}

/* ---- runs ---- */

static struct batch_run *batch_run(struct batch *batch, int64_t run)
{
    struct batch_run *r = map_u64_get(&batch->runs, (uint64_t)run);
    if (r == NULL) {
        r = arena_new(&batch->arena, struct batch_run);
        r->run = run;
        map_u64_put(&batch->runs, (uint64_t)run, r);
    }
    return r;
}

static void bind_due(sqlite3_stmt *st, int at, const struct batch_run *r)
{
    bind_int(st, at, r->shard);
    if (r->has_due) bind_int(st, at + 1, r->due);
    else bind_null(st, at + 1);
}

static err run_insert(struct database *db, const struct batch_run *r)
{
    sqlite3_stmt *st = database_use(db, SQL_RUN_INSERT);
    bind_int(st, 1, r->run);
    bind_bytes(st, 2, r->put->bytes);
    bind_due(st, 3, r);
    bind_int(st, 5, r->put->namespace_key);
    bind_bytes(st, 6, r->put->run_id);
    bind_bytes(st, 7, r->put->key);
    TRY(database_run(db, st));
    st = database_use(db, SQL_RUN_OF_INSERT);
    bind_int(st, 1, r->put->namespace_key);
    bind_bytes(st, 2, r->put->key);
    bind_int(st, 3, r->run);
    bind_int(st, 4, visibility_run_tag(r->put->run_id));
    return database_run(db, st);
}

static err run_write(struct database *db, const struct batch_run *r)
{
    sqlite3_stmt *st;
    if (r->put == NULL) {
        if (!r->is_due_changed) return ERR_NONE;
        st = database_use(db, SQL_RUN_DUE);
        bind_int(st, 1, r->run);
        bind_due(st, 2, r);
        return database_run(db, st);
    }
    st = database_use(db, r->is_due_changed ? SQL_RUN_STATE_DUE : SQL_RUN_STATE);
    bind_int(st, 1, r->run);
    bind_bytes(st, 2, r->put->bytes);
    if (r->is_due_changed) bind_due(st, 3, r);
    TRY(database_run(db, st));
    return sqlite3_changes(db->handle) != 0 ? ERR_NONE : run_insert(db, r);
}

static err runs_write(struct batch *batch)
{
    size_t at = 0;
    uint64_t key;
    for (const struct batch_run *r; (r = map_u64_next(&batch->runs, &at, &key)) != NULL;) TRY(run_write(batch->db, r));
    map_u64_fini(&batch->runs);
    return ERR_NONE;
}

static err run_statement(struct database *db, enum statement which, int64_t run)
{
    sqlite3_stmt *st = database_use(db, which);
    bind_int(st, 1, run);
    return database_run(db, st);
}

static err has_any(struct database *db, enum statement which, int64_t key, bool *has)
{
    sqlite3_stmt *st = database_use(db, which);
    bind_int(st, 1, key);
    TRY(database_step(db, st, has));
    sqlite3_reset(st);
    return ERR_NONE;
}

/* The history of a branch goes when its run is gone and nobody refers to it. */
static err branch_release(struct database *db, int64_t branch)
{
    bool is_used;
    TRY(has_any(db, SQL_RUN_EXISTS, branch, &is_used));
    if (!is_used) TRY(has_any(db, SQL_REF_EXISTS, branch, &is_used));
    if (is_used) return ERR_NONE;
    sqlite3_stmt *st = database_use(db, SQL_HISTORY_CLEAR);
    bind_int(st, 1, history_key(branch, 0));
    bind_int(st, 2, history_key(branch, STORE_EVENT_ID_MAX));
    return database_run(db, st);
}

static err refs_release(struct batch *batch, int64_t run)
{
    struct database *db = batch->db;
    int64_t *branches = NULL;
    size_t count = 0, capacity = 0;
    sqlite3_stmt *st = database_use(db, SQL_REF_OF_RUN);
    bind_int(st, 1, run);
    for (bool has_row;;) {
        TRY(database_step(db, st, &has_row));
        if (!has_row) break;
        if (count == capacity) {
            capacity = capacity == 0 ? 8 : capacity * 2;
            int64_t *grown = arena_array(&batch->arena, int64_t, capacity);
            if (count != 0) memcpy(grown, branches, count * sizeof(*grown));
            branches = grown;
        }
        branches[count++] = sqlite3_column_int64(st, 0);
    }
    if (count == 0) return ERR_NONE;
    TRY(run_statement(db, SQL_REF_CLEAR, run));
    for (size_t i = 0; i < count; i++) TRY(branch_release(db, branches[i]));
    return ERR_NONE;
}

static err run_delete(struct batch *batch, int64_t run)
{
    struct database *db = batch->db;
    TRY(runs_write(batch));
    sqlite3_stmt *st = database_use(db, SQL_RUN_NAME);
    bind_int(st, 1, run);
    bool has_row;
    TRY(database_step(db, st, &has_row));
    if (has_row) {
        sqlite3_stmt *of = database_use(db, SQL_RUN_OF_DELETE);
        bind_int(of, 1, sqlite3_column_int64(st, 0));
        bind_bytes(of, 2, column_view(st, 1));
        bind_int(of, 3, run);
        err result = database_run(db, of);
        sqlite3_reset(st);
        TRY(result);
    }
    TRY(run_statement(db, SQL_RUN_DELETE, run));
    TRY(run_statement(db, SQL_ITEM_CLEAR, run));
    TRY(rows_delete(batch->rows, run));
    TRY(refs_release(batch, run));
    batch->has_deletes = true;
    return branch_release(db, run);
}

/* ---- the rest ---- */

static err item_apply(struct database *db, const struct store_op *op)
{
    sqlite3_stmt *st = database_use(db, op->kind == STORE_ITEM_PUT ? SQL_ITEM_PUT : SQL_ITEM_DELETE);
    bind_int(st, 1, op->run);
    bind_int(st, 2, op->item_kind);
    bind_bytes(st, 3, op->key);
    if (op->kind == STORE_ITEM_PUT) bind_bytes(st, 4, op->bytes);
    return database_run(db, st);
}

static err history_append(struct database *db, const struct store_op *op)
{
    sqlite3_stmt *st = database_use(db, SQL_HISTORY_PUT);
    bind_int(st, 1, history_key(op->run, op->a));
    bind_int(st, 2, op->b);
    bind_bytes(st, 3, op->bytes);
    return database_run(db, st);
}

static err branch_ref(struct database *db, const struct store_op *op)
{
    sqlite3_stmt *st = database_use(db, SQL_REF_PUT);
    bind_int(st, 1, op->a);
    bind_int(st, 2, op->run);
    return database_run(db, st);
}

static err ordered_apply(struct database *db, enum statement which, int64_t owner, const struct store_op *op)
{
    sqlite3_stmt *st = database_use(db, which);
    bind_int(st, 1, owner);
    bind_int(st, 2, op->b);
    if (which == SQL_TASK_PUT || which == SQL_MESSAGE_PUT) bind_bytes(st, 3, op->bytes);
    return database_run(db, st);
}

static err kv_apply(struct database *db, const struct store_op *op)
{
    sqlite3_stmt *st = database_use(db, op->kind == STORE_KV_PUT ? SQL_KV_PUT : SQL_KV_DELETE);
    bind_int(st, 1, op->item_kind);
    bind_bytes(st, 2, op->key);
    if (op->kind == STORE_KV_PUT) bind_bytes(st, 3, op->bytes);
    return database_run(db, st);
}

static void due_note(struct batch *batch, uint32_t shard, const struct store_op *op)
{
    struct batch_run *r = batch_run(batch, op->run);
    r->is_due_changed = true;
    r->has_due = op->kind == STORE_WAKE_PUT;
    r->due = op->a;
    r->shard = shard;
}

static void put_note(struct batch *batch, uint32_t shard, const struct store_op *op)
{
    struct batch_run *r = batch_run(batch, op->run);
    r->put = op;
    r->shard = shard;
}

static err op_apply(struct batch *batch, uint32_t shard, const struct store_op *op)
{
    switch (op->kind) {
    case STORE_RUN_PUT: put_note(batch, shard, op); return ERR_NONE;
    case STORE_RUN_DELETE: return run_delete(batch, op->run);
    case STORE_ITEM_PUT:
    case STORE_ITEM_DELETE: return item_apply(batch->db, op);
    case STORE_HISTORY_APPEND: return history_append(batch->db, op);
    case STORE_BRANCH_REF: return branch_ref(batch->db, op);
    case STORE_WAKE_PUT:
    case STORE_WAKE_DELETE: due_note(batch, shard, op); return ERR_NONE;
    case STORE_TASK_PUT: return ordered_apply(batch->db, SQL_TASK_PUT, op->a, op);
    case STORE_TASK_DELETE: return ordered_apply(batch->db, SQL_TASK_DELETE, op->a, op);
    case STORE_MESSAGE_PUT: return ordered_apply(batch->db, SQL_MESSAGE_PUT, shard, op);
    case STORE_MESSAGE_DELETE: return ordered_apply(batch->db, SQL_MESSAGE_DELETE, shard, op);
    case STORE_VISIBILITY_PUT: return rows_put(batch->rows, op->visibility);
    case STORE_VISIBILITY_DELETE: batch->has_deletes = true; return rows_delete(batch->rows, op->run);
    case STORE_KV_PUT:
    case STORE_KV_DELETE: return kv_apply(batch->db, op);
    }
    return ERR_INVALID;
}

err batch_begin(struct batch *batch) { return database_run(batch->db, database_use(batch->db, SQL_BEGIN_WRITE)); }

err batch_apply(struct batch *batch, const struct store_commit *commit)
{
    for (size_t i = 0; i < commit->op_count; i++) TRY(op_apply(batch, commit->shard, &commit->ops[i]));
    return ERR_NONE;
}

err batch_end(struct batch *batch)
{
    TRY(runs_write(batch));
    TRY(rows_write(batch->rows));
    TRY(database_run(batch->db, database_use(batch->db, SQL_COMMIT)));
    rows_committed(batch->rows);
    batch_forget(batch);
    return ERR_NONE;
}

void batch_abandon(struct batch *batch)
{
    if (!sqlite3_get_autocommit(batch->db->handle)) {
        err ignored = database_run(batch->db, database_use(batch->db, SQL_ROLLBACK));
        (void)ignored; /* the engine rolls back by itself when it must */
    }
    rows_abandon(batch->rows);
    batch_forget(batch);
}
