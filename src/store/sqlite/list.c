#include "store/sqlite/list.h"

#include "visibility/sql.h"

static err prepare(struct database *db, struct store_read *read, const struct visibility_sql *sql, sqlite3_stmt **out)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db->handle, sql->text.data, (int)sql->text.size + 1, &st, NULL);
    if (rc != SQLITE_OK) {
        return error_set(&read->error, &read->arena, database_error(db, rc), "the filter could not be run: %s", sqlite3_errmsg(db->handle));
    }
    for (size_t i = 0; i < sql->param_count; i++) {
        const struct attribute_value *v = &sql->params[i].value;
        int at = (int)i + 1;
        if (sql->params[i].is_bytes) bind_bytes(st, at, v->text);
        else if (v->type == ATTRIBUTE_NONE) bind_null(st, at);
        else if (v->type == ATTRIBUTE_DOUBLE) sqlite3_bind_double(st, at, v->real);
        else if (v->type == ATTRIBUTE_TEXT || v->type == ATTRIBUTE_KEYWORD) {
            sqlite3_bind_text64(st, at, v->text.data != NULL ? v->text.data : "", v->text.size, SQLITE_STATIC, SQLITE_UTF8);
        } else bind_int(st, at, v->number);
    }
    *out = st;
    return ERR_NONE;
}

/* The one number that a statement gives. */
static err number_read(struct database *db, struct store_read *read, const struct visibility_sql *sql, int64_t when_null, int64_t *out)
{
    sqlite3_stmt *st;
    bool has_row;
    TRY(prepare(db, read, sql, &st));
    err result = database_step(db, st, &has_row);
    if (result == ERR_NONE) *out = has_row && sqlite3_column_type(st, 0) != SQLITE_NULL ? sqlite3_column_int64(st, 0) : when_null;
    sqlite3_finalize(st);
    return result;
}

static err spans_read(struct database *db, const struct store_read *read, struct visibility_spans *spans)
{
    sqlite3_stmt *st = database_use(db, SQL_SPAN_READ);
    bind_int(st, 1, read->namespace_key);
    bool has_row;
    TRY(database_step(db, st, &has_row));
    *spans = (struct visibility_spans){.is_known = true}; /* no row: nothing has closed */
    if (!has_row) return ERR_NONE;
    spans->shortest = sqlite3_column_int64(st, 0);
    spans->longest = sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    return ERR_NONE;
}

/* ---- rows ---- */

static struct str text_give(struct store_read *read, sqlite3_stmt *st, int at)
{
    const void *text = sqlite3_column_text(st, at);
    return arena_str(&read->arena, str_make(text, text != NULL ? (size_t)sqlite3_column_bytes(st, at) : 0));
}

static pb_google_Timestamp *time_give(struct store_read *read, sqlite3_stmt *st, int at)
{
    if (sqlite3_column_type(st, at) == SQLITE_NULL) return NULL;
    return pb_timestamp_new(&read->arena, (instant){sqlite3_column_int64(st, at)});
}

/* The columns of visibility_sql_list. */
static err row_give(struct store_read *read, sqlite3_stmt *st, pb_store_VisibilityRow **out)
{
    struct arena *arena = &read->arena;
    pb_store_VisibilityRow *row;
    if (PB_DECODE(arena, column_view(st, 19), pb_store_VisibilityRow, &row) != ERR_NONE) return ERR_CORRUPT;
    row->run_key = sqlite3_column_int64(st, 0);
    row->namespace_key = sqlite3_column_int64(st, 1);
    row->status = sqlite3_column_int(st, 2);
    row->workflow_type = text_give(read, st, 3);
    if (sqlite3_column_int64(st, 4) != INT64_MAX) row->close_time = time_give(read, st, 4);
    row->start_time = time_give(read, st, 5);
    row->execution_time = time_give(read, st, 6);
    if (sqlite3_column_type(st, 7) != SQLITE_NULL) row->execution_duration = pb_duration_new(arena, (duration){sqlite3_column_int64(st, 7)});
    row->history_length = sqlite3_column_int64(st, 8);
    row->history_size = sqlite3_column_int64(st, 9);
    row->state_transition_count = sqlite3_column_int64(st, 10);
    struct str *texts[] = {&row->workflow_id, &row->run_id, &row->task_queue, &row->parent_workflow_id, &row->parent_run_id, &row->root_workflow_id,
                           &row->root_run_id, &row->namespace_division};
    for (size_t i = 0; i < countof(texts); i++) *texts[i] = text_give(read, st, (int)i + 11);
    *out = row;
    return ERR_NONE;
}

static err rows_give(struct database *db, struct store_read *read, sqlite3_stmt *st, size_t limit)
{
    size_t capacity = 0;
    for (bool has_row;;) {
        TRY(database_step(db, st, &has_row));
        if (!has_row) return ERR_NONE;
        if (read->visibility_count == limit) {
            read->has_more = true;
            return ERR_NONE;
        }
        if (read->visibility_count == capacity) {
            capacity = capacity == 0 ? 32 : capacity * 2;
            pb_store_VisibilityRow **grown = arena_array(&read->arena, pb_store_VisibilityRow *, capacity);
            if (read->visibility_count != 0) memcpy(grown, read->visibility, read->visibility_count * sizeof(pb_store_VisibilityRow *));
            read->visibility = grown;
        }
        TRY(row_give(read, st, &read->visibility[read->visibility_count]));
        read->visibility_count++;
    }
}

static err list_begin(struct database *db, struct store_read *read, struct visibility_list *list, struct visibility_place *after)
{
    struct arena *arena = &read->arena;
    TRY(spans_read(db, read, &list->spans));
    if (!str_is_empty(read->page_token)) {
        TRY(visibility_token_decode(read->query, read->page_token, arena, after, &list->begun, &read->error));
        list->after = after;
    } else {
        struct visibility_sql newest = visibility_sql_newest(read->namespace_key, arena);
        TRY(number_read(db, read, &newest, INT64_MIN, &list->begun.ns));
    }
    if (read->query->order_count != 0) {
        int64_t rows;
        sqlite3_stmt *st = database_use(db, SQL_COUNT_ALL);
        bind_int(st, 1, read->namespace_key);
        bool has_row;
        TRY(database_step(db, st, &has_row));
        rows = has_row ? sqlite3_column_int64(st, 0) : 0;
        if (has_row) sqlite3_reset(st);
        list->is_large = rows > VISIBILITY_SCAN_MIN;
    }
    struct visibility_sql probe;
    if (!visibility_sql_probe(read->query, read->namespace_key, arena, &probe)) return ERR_NONE;
    int64_t count;
    TRY(number_read(db, read, &probe, 0, &count));
    list->is_gathered = count <= VISIBILITY_GATHER_MAX;
    return ERR_NONE;
}

err list_read(struct database *db, struct store_read *read)
{
    size_t limit = read->limit != 0 ? read->limit : STORE_PAGE_DEFAULT;
    struct visibility_list list = {.query = read->query, .namespace_key = read->namespace_key, .limit = limit + 1};
    struct visibility_place after;
    TRY(list_begin(db, read, &list, &after));
    struct visibility_sql sql = visibility_sql_list(&list, &read->arena);
    sqlite3_stmt *st;
    TRY(prepare(db, read, &sql, &st));
    err result = rows_give(db, read, st, limit);
    sqlite3_finalize(st);
    TRY(result);
    if (!read->has_more) return ERR_NONE;
    struct visibility_place last = visibility_place_of(read->query, list.begun, read->visibility[limit - 1], &read->arena);
    read->next_page_token = visibility_token_encode(&last, list.begun, &read->arena);
    return ERR_NONE;
}

/* ---- counts ---- */

static const pb_common_Payload *group_value(struct store_read *read, sqlite3_stmt *st, int at, const struct attribute *a)
{
    struct attribute_value value = {.type = a->type};
    if (sqlite3_column_type(st, at) == SQLITE_NULL) return visibility_group_value(a, &(struct attribute_values){0}, &read->arena);
    if (a->type == ATTRIBUTE_KEYWORD_LIST) { /* the JSON of the list as it is stored */
        pb_common_Payload *list = attribute_encode(&(struct attribute_values){0}, a->type, &read->arena);
        list->data = text_give(read, st, at);
        return list;
    }
    if (a->field == FIELD_STATUS) value.type = ATTRIBUTE_INT;
    if (value.type == ATTRIBUTE_TEXT || value.type == ATTRIBUTE_KEYWORD) value.text = text_give(read, st, at);
    else if (value.type == ATTRIBUTE_DOUBLE) value.real = sqlite3_column_double(st, at);
    else value.number = sqlite3_column_int64(st, at);
    return visibility_group_value(a, &(struct attribute_values){&value, 1, true}, &read->arena);
}

static void group_give(struct store_read *read, sqlite3_stmt *st, struct store_group *group)
{
    const struct visibility_query *query = read->query;
    group->count = sqlite3_column_int64(st, 0);
    group->value_count = query->group_count;
    group->values = arena_array(&read->arena, const pb_common_Payload *, query->group_count + 1);
    for (size_t i = 0; i < query->group_count; i++) group->values[i] = group_value(read, st, (int)i + 1, query->groups[i]);
}

static err groups_give(struct database *db, struct store_read *read, sqlite3_stmt *st)
{
    size_t capacity = 0;
    for (bool has_row;;) {
        TRY(database_step(db, st, &has_row));
        if (!has_row) return ERR_NONE;
        if (read->group_count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            struct store_group *grown = arena_array(&read->arena, struct store_group, capacity);
            if (read->group_count != 0) memcpy(grown, read->groups, read->group_count * sizeof(*grown));
            read->groups = grown;
        }
        group_give(read, st, &read->groups[read->group_count++]);
    }
}

err count_read(struct database *db, struct store_read *read)
{
    struct visibility_sql sql = visibility_sql_count(read->query, read->namespace_key, &read->arena);
    sqlite3_stmt *st;
    TRY(prepare(db, read, &sql, &st));
    err result = groups_give(db, read, st);
    sqlite3_finalize(st);
    return result;
}
