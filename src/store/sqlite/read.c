#include "store/sqlite/read.h"

#include "store/sqlite/list.h"

static struct store_row *row_more(struct store_read *read, size_t *capacity)
{
    if (read->row_count == *capacity) {
        *capacity = *capacity == 0 ? 16 : *capacity * 2;
        struct store_row *grown = arena_array(&read->arena, struct store_row, *capacity);
        if (read->row_count != 0) memcpy(grown, read->rows, read->row_count * sizeof(*grown));
        read->rows = grown;
    }
    struct store_row *row = &read->rows[read->row_count++];
    *row = (struct store_row){0};
    return row;
}

static size_t limit_of(const struct store_read *read) { return read->limit != 0 ? read->limit : STORE_PAGE_DEFAULT; }

static struct str column_copy(struct store_read *read, sqlite3_stmt *st, int at) { return arena_str(&read->arena, column_view(st, at)); }

static void run_give(struct store_read *read, sqlite3_stmt *st, struct store_row *row)
{
    *row = (struct store_row){.run = sqlite3_column_int64(st, 0), .namespace_key = sqlite3_column_int64(st, 1), .a = sqlite3_column_int64(st, 2),
                              .run_id = column_copy(read, st, 3), .key = column_copy(read, st, 4), .bytes = column_copy(read, st, 5)};
}

static err read_items(struct database *db, struct store_read *read)
{
    size_t capacity = 0;
    sqlite3_stmt *st = database_use(db, SQL_READ_ITEMS);
    bind_int(st, 1, read->row.run);
    for (bool has_row;;) {
        TRY(database_step(db, st, &has_row));
        if (!has_row) return ERR_NONE;
        struct store_row *row = row_more(read, &capacity);
        row->run = read->row.run;
        row->item_kind = sqlite3_column_int(st, 0);
        row->key = column_copy(read, st, 1);
        row->bytes = column_copy(read, st, 2);
    }
}

static err read_run(struct database *db, struct store_read *read)
{
    sqlite3_stmt *st;
    if (read->kind == STORE_READ_RUN_KEY) {
        st = database_use(db, SQL_READ_RUN_KEY);
        bind_int(st, 1, read->run);
    } else {
        st = database_use(db, read->kind == STORE_READ_RUN ? SQL_READ_RUN : SQL_READ_CURRENT);
        bind_int(st, 1, read->namespace_key);
        bind_bytes(st, 2, read->key);
        if (read->kind == STORE_READ_RUN) {
            bind_int(st, 3, visibility_run_tag(read->run_id));
            bind_bytes(st, 4, read->run_id);
        }
    }
    bool has_row;
    TRY(database_step(db, st, &has_row));
    if (!has_row) return ERR_NOT_FOUND;
    run_give(read, st, &read->row);
    sqlite3_reset(st);
    return read_items(db, read);
}

/* Rows of a prepared statement until the limit; `give` fills one. */
static err read_page(struct database *db, struct store_read *read, sqlite3_stmt *st,
                     void (*give)(struct store_read *read, sqlite3_stmt *st, struct store_row *row))
{
    size_t capacity = 0;
    for (bool has_row;;) {
        TRY(database_step(db, st, &has_row));
        if (!has_row) return ERR_NONE;
        if (read->row_count == limit_of(read)) {
            read->has_more = true;
            sqlite3_reset(st);
            return ERR_NONE;
        }
        give(read, st, row_more(read, &capacity));
    }
}

static err read_runs_of(struct database *db, struct store_read *read)
{
    sqlite3_stmt *st = database_use(db, SQL_READ_RUNS_OF);
    bind_int(st, 1, read->namespace_key);
    bind_bytes(st, 2, read->key);
    bind_int(st, 3, read->order == 0 ? INT64_MAX : read->order);
    return read_page(db, read, st, run_give);
}

/* The first batch that holds an event at or after `from`: the one before may reach into the range. */
static err history_first(struct database *db, const struct store_read *read, int64_t *first)
{
    *first = history_key(read->run, read->from);
    sqlite3_stmt *st = database_use(db, SQL_READ_HISTORY_AT);
    bind_int(st, 1, history_key(read->run, 0));
    bind_int(st, 2, *first);
    bool has_row;
    TRY(database_step(db, st, &has_row));
    if (!has_row) return ERR_NONE;
    int64_t key = sqlite3_column_int64(st, 0);
    if (key + sqlite3_column_int64(st, 1) > *first) *first = key;
    sqlite3_reset(st);
    return ERR_NONE;
}

static int64_t event_id_between(int64_t id) /* within what a key can hold */
{
    if (id < 0) return 0;
    return id > STORE_EVENT_ID_MAX ? STORE_EVENT_ID_MAX + 1 : id;
}

static err read_history(struct database *db, struct store_read *read)
{
    size_t capacity = 0, size = 0, size_max = read->limit != 0 ? read->limit : STORE_BYTES_MAX;
    if (read->run <= 0 || read->run > STORE_RUN_MAX) return ERR_NONE;
    read->from = event_id_between(read->from);
    read->to = event_id_between(read->to);
    if (read->from >= read->to) return ERR_NONE;
    int64_t first;
    TRY(history_first(db, read, &first));
    sqlite3_stmt *st = database_use(db, read->is_reverse ? SQL_READ_HISTORY_BACK : SQL_READ_HISTORY);
    bind_int(st, 1, first);
    bind_int(st, 2, history_key(read->run, 0) + read->to);
    for (bool has_row;;) {
        TRY(database_step(db, st, &has_row));
        if (!has_row) return ERR_NONE;
        struct str bytes = column_view(st, 2);
        if (read->row_count != 0 && size + bytes.size > size_max) break;
        size += bytes.size;
        struct store_row *row = row_more(read, &capacity);
        row->run = read->run;
        row->a = sqlite3_column_int64(st, 0) & STORE_EVENT_ID_MAX;
        row->b = sqlite3_column_int64(st, 1);
        row->bytes = arena_str(&read->arena, bytes);
    }
    read->has_more = true;
    sqlite3_reset(st);
    return ERR_NONE;
}

static void wake_give(struct store_read *read, sqlite3_stmt *st, struct store_row *row)
{
    (void)read;
    row->run = sqlite3_column_int64(st, 0);
    row->a = sqlite3_column_int64(st, 1);
}

static err read_wake(struct database *db, struct store_read *read)
{
    sqlite3_stmt *st = database_use(db, SQL_READ_WAKE);
    bind_int(st, 1, read->shard);
    bind_int(st, 2, read->from);
    bind_int(st, 3, read->order);
    bind_int(st, 4, read->to);
    return read_page(db, read, st, wake_give);
}

static void ordered_give(struct store_read *read, sqlite3_stmt *st, struct store_row *row)
{
    row->a = read->kind == STORE_READ_TASKS ? read->run : (int64_t)read->shard;
    row->b = sqlite3_column_int64(st, 0);
    row->bytes = column_copy(read, st, 1);
}

static err read_ordered(struct database *db, struct store_read *read)
{
    bool is_task = read->kind == STORE_READ_TASKS;
    sqlite3_stmt *st = database_use(db, is_task ? SQL_READ_TASKS : SQL_READ_MESSAGES);
    bind_int(st, 1, is_task ? read->run : (int64_t)read->shard);
    bind_int(st, 2, read->order);
    return read_page(db, read, st, ordered_give);
}

static err count_tasks(struct database *db, struct store_read *read)
{
    bool has_row;
    sqlite3_stmt *st = database_use(db, SQL_COUNT_TASKS);
    bind_int(st, 1, read->run);
    bind_int(st, 2, read->order);
    TRY(database_step(db, st, &has_row));
    read->row.a = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    st = database_use(db, SQL_READ_TASKS);
    bind_int(st, 1, read->run);
    bind_int(st, 2, read->order);
    TRY(database_step(db, st, &has_row));
    if (!has_row) return ERR_NONE;
    read->row.b = sqlite3_column_int64(st, 0);
    read->row.bytes = column_copy(read, st, 1);
    sqlite3_reset(st);
    return ERR_NONE;
}

static void kv_give(struct store_read *read, sqlite3_stmt *st, struct store_row *row)
{
    row->item_kind = read->space;
    row->key = column_copy(read, st, 0);
    row->bytes = column_copy(read, st, 1);
}

static err read_kv(struct database *db, struct store_read *read)
{
    sqlite3_stmt *st = database_use(db, SQL_READ_KV);
    bind_int(st, 1, read->space);
    bind_bytes(st, 2, read->key);
    bool has_row;
    TRY(database_step(db, st, &has_row));
    if (!has_row) return ERR_NOT_FOUND;
    kv_give(read, st, &read->row);
    sqlite3_reset(st);
    return ERR_NONE;
}

static err read_kv_range(struct database *db, struct store_read *read)
{
    size_t capacity = 0;
    bool is_behind = !str_is_empty(read->after) && str_compare(read->after, read->key) >= 0;
    sqlite3_stmt *st = database_use(db, is_behind ? SQL_READ_KV_AFTER : SQL_READ_KV_FROM);
    bind_int(st, 1, read->space);
    bind_bytes(st, 2, is_behind ? read->after : read->key);
    for (bool has_row;;) {
        TRY(database_step(db, st, &has_row));
        if (!has_row) return ERR_NONE;
        if (!str_starts_with(column_view(st, 0), read->key)) break;
        if (read->row_count == limit_of(read)) {
            read->has_more = true;
            break;
        }
        kv_give(read, st, row_more(read, &capacity));
    }
    sqlite3_reset(st);
    return ERR_NONE;
}

static err read_in_snapshot(struct database *db, struct store_read *read)
{
    switch (read->kind) {
    case STORE_READ_CURRENT:
    case STORE_READ_RUN:
    case STORE_READ_RUN_KEY: return read_run(db, read);
    case STORE_READ_RUNS_OF: return read_runs_of(db, read);
    case STORE_READ_HISTORY: return read_history(db, read);
    case STORE_READ_WAKE: return read_wake(db, read);
    case STORE_READ_TASKS:
    case STORE_READ_MESSAGES: return read_ordered(db, read);
    case STORE_COUNT_TASKS: return count_tasks(db, read);
    case STORE_READ_KV: return read_kv(db, read);
    case STORE_READ_KV_RANGE: return read_kv_range(db, read);
    case STORE_LIST: return list_read(db, read);
    case STORE_COUNT: return count_read(db, read);
    case STORE_READ_MAX: break;
    }
    return ERR_INVALID;
}

err read_run_any(struct database *db, struct store_read *read)
{
    TRY(database_run(db, database_use(db, SQL_BEGIN_READ)));
    err result = read_in_snapshot(db, read);
    for (size_t i = SQL_READ_CURRENT; i <= SQL_READ_KV_AFTER; i++) { /* an error may have left one in mid-step */
        if (result != ERR_NONE && result != ERR_NOT_FOUND && db->statements[i] != NULL) sqlite3_reset(db->statements[i]);
    }
    err ended = database_run(db, database_use(db, SQL_COMMIT));
    return result != ERR_NONE ? result : ended;
}
