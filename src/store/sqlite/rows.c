#include "store/sqlite/rows.h"

#include "proto/json.h"
#include "visibility/sql.h"

#include <stdlib.h>

enum { IDS_MAX = 20000 }; /* remembered; past it they are looked up again */

struct rows_change { int64_t namespace_key, type, n; int32_t status; };
struct rows_span { int64_t shortest, longest; };

/* What a stored row has in indexes and counters. */
struct rows_old {
    int64_t namespace_key, type, close, start, version;
    int32_t status;
    bool is_there, has_division, has_values;
    struct str parent_id, rest;  /* in the transaction's arena */
};

void rows_init(struct rows *rows, struct database *db)
{
    *rows = (struct rows){.db = db};
    arena_init(&rows->arena, 64 * 1024, 0);
}

static void spans_forget(struct rows *rows)
{
    size_t at = 0;
    uint64_t key;
    for (void *span; (span = map_u64_next(&rows->spans, &at, &key)) != NULL;) free(span);
    map_u64_fini(&rows->spans);
}

void rows_committed(struct rows *rows)
{
    map_u64_fini(&rows->pending);
    map_fini(&rows->changes);
    if (map_count(&rows->ids) > IDS_MAX) map_fini(&rows->ids);
    arena_reset(&rows->arena);
}

void rows_abandon(struct rows *rows)
{
    map_fini(&rows->ids); /* some may have been given in the transaction */
    spans_forget(rows);
    rows_committed(rows);
}

void rows_fini(struct rows *rows)
{
    rows_abandon(rows);
    arena_fini(&rows->arena);
}

/* ---- numbers for names ---- */

static void bind_text(sqlite3_stmt *st, int at, struct str s)
{
    if (st != NULL) sqlite3_bind_text64(st, at, s.data != NULL ? s.data : "", s.size, SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_text_or_null(sqlite3_stmt *st, int at, struct str s)
{
    if (str_is_empty(s)) bind_null(st, at);
    else bind_text(st, at, s);
}

static err id_of(struct rows *rows, enum statement find, enum statement insert, int64_t namespace_key, struct str name, int64_t *id)
{
    struct str key = arena_printf(&rows->arena, "%d %" PRId64 " %.*s", (int)find, namespace_key, STR_ARG(name));
    uintptr_t known = (uintptr_t)map_get(&rows->ids, key);
    if (known != 0) {
        *id = (int64_t)known;
        return ERR_NONE;
    }
    sqlite3_stmt *st = database_use(rows->db, find);
    bind_int(st, 1, namespace_key);
    bind_text(st, 2, name);
    bool has_row;
    TRY(database_step(rows->db, st, &has_row));
    if (has_row) {
        *id = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    } else {
        st = database_use(rows->db, insert);
        bind_int(st, 1, namespace_key);
        bind_text(st, 2, name);
        TRY(database_run(rows->db, st));
        *id = sqlite3_last_insert_rowid(rows->db->handle);
    }
    map_put(&rows->ids, key, (void *)(uintptr_t)*id);
    return ERR_NONE;
}

/* ---- counters and spans ---- */

static void change_note(struct rows *rows, int64_t namespace_key, int64_t type, int32_t status, int64_t n)
{
    struct str key = arena_printf(&rows->arena, "%" PRId64 " %" PRId64 " %d", namespace_key, type, (int)status);
    struct rows_change *change = map_get(&rows->changes, key);
    if (change == NULL) {
        change = arena_new(&rows->arena, struct rows_change);
        *change = (struct rows_change){namespace_key, type, 0, status};
        map_put(&rows->changes, key, change);
    }
    change->n += n;
}

static err changes_write(struct rows *rows)
{
    size_t at = 0;
    for (const struct rows_change *change; (change = map_next(&rows->changes, &at, NULL)) != NULL;) {
        if (change->n == 0) continue;
        sqlite3_stmt *st = database_use(rows->db, SQL_COUNT_ADD);
        bind_int(st, 1, change->namespace_key);
        bind_int(st, 2, change->type);
        bind_int(st, 3, change->status);
        bind_int(st, 4, change->n);
        TRY(database_run(rows->db, st));
    }
    map_fini(&rows->changes);
    return ERR_NONE;
}

static err span_of(struct rows *rows, int64_t namespace_key, struct rows_span **out)
{
    struct rows_span *span = map_u64_get(&rows->spans, (uint64_t)namespace_key);
    if (span == NULL) {
        span = xcalloc(1, sizeof(*span));
        map_u64_put(&rows->spans, (uint64_t)namespace_key, span);
        sqlite3_stmt *st = database_use(rows->db, SQL_SPAN_READ);
        bind_int(st, 1, namespace_key);
        bool has_row;
        TRY(database_step(rows->db, st, &has_row));
        if (has_row) {
            *span = (struct rows_span){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};
            sqlite3_reset(st);
        }
    }
    *out = span;
    return ERR_NONE;
}

/* Bounds grow by doubling, so that they are seldom written. */
static err span_widen(struct rows *rows, int64_t namespace_key, int64_t took)
{
    struct rows_span *span;
    TRY(span_of(rows, namespace_key, &span));
    if (took >= span->shortest && took <= span->longest) return ERR_NONE;
    if (took > span->longest) span->longest = took > INT64_MAX / 2 ? INT64_MAX : took * 2;
    if (took < span->shortest) span->shortest = took < INT64_MIN / 2 ? INT64_MIN : took * 2;
    sqlite3_stmt *st = database_use(rows->db, SQL_SPAN_PUT);
    bind_int(st, 1, namespace_key);
    bind_int(st, 2, span->shortest);
    bind_int(st, 3, span->longest);
    return database_run(rows->db, st);
}

/* ---- values ---- */

struct value_walk { /* one attribute's values, into the table or out of it */
    struct rows *rows;
    enum statement statement;
    int64_t name, close, start, run;
    bool is_words_only;          /* a row of a division: its words can not be found otherwise, its other values can */
    err result;
};

static void value_apply(struct value_walk *walk, const struct attribute_value *value)
{
    if (walk->result != ERR_NONE) return;
    sqlite3_stmt *st = database_use(walk->rows->db, walk->statement);
    bind_int(st, 1, walk->name);
    if (st != NULL && value->type == ATTRIBUTE_DOUBLE) sqlite3_bind_double(st, 2, value->real);
    else if (value->type == ATTRIBUTE_KEYWORD || value->type == ATTRIBUTE_TEXT) bind_text(st, 2, value->text);
    else bind_int(st, 2, value->number);
    bind_int(st, 3, walk->close);
    bind_int(st, 4, walk->start);
    bind_int(st, 5, walk->run);
    walk->result = database_run(walk->rows->db, st);
}

static void word_apply(void *arg, struct str word)
{
    value_apply(arg, &(struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = word});
}

static err values_apply(struct value_walk *walk, int64_t namespace_key, struct str name, const struct attribute_values *values)
{
    if (walk->is_words_only && (values->count == 0 || values->values[0].type != ATTRIBUTE_TEXT)) return ERR_NONE;
    TRY(id_of(walk->rows, SQL_NAME_ID, SQL_NAME_INSERT, namespace_key, name, &walk->name));
    for (size_t i = 0; i < values->count; i++) {
        if (values->values[i].type == ATTRIBUTE_TEXT) attribute_words(values->values[i].text, word_apply, walk);
        else value_apply(walk, &values->values[i]);
    }
    return walk->result;
}

/* Everything of a row that visibility_value holds. */
static err row_values_apply(struct value_walk *walk, int64_t namespace_key, struct str parent_id, const pb_common_SearchAttributes *attributes)
{
    if (!str_is_empty(parent_id)) {
        struct attribute_value parent = {.type = ATTRIBUTE_KEYWORD, .text = parent_id};
        TRY(values_apply(walk, namespace_key, STR("ParentWorkflowId"), &(struct attribute_values){&parent, 1, true}));
    }
    for (size_t i = 0; attributes != NULL && i < attributes->indexed_fields_count; i++) {
        struct attribute_values values;
        const pb_common_SearchAttributes_IndexedFieldsEntry *entry = attributes->indexed_fields[i];
        if (attribute_decode(entry->value, ATTRIBUTE_NONE, &walk->rows->arena, &values, NULL) != ERR_NONE) continue; /* no filter finds it */
        TRY(values_apply(walk, namespace_key, entry->key, &values));
    }
    return ERR_NONE;
}

static void put_json_value(struct json_out *out, const struct attribute_value *value)
{
    switch (value->type) {
    case ATTRIBUTE_DOUBLE: json_put_double(out, value->real); break;
    case ATTRIBUTE_INT:
    case ATTRIBUTE_BOOL:
    case ATTRIBUTE_DATETIME: buf_printf(out->out, "%" PRId64, value->number); break;
    default: json_put_string(out, value->text); break;
    }
}

/* The values as a JSON object, for the parts of a filter that no index serves. Empty when there are none. */
static struct str attributes_json(struct rows *rows, const pb_common_SearchAttributes *attributes)
{
    struct buf text = {0};
    struct json_out out = {.out = &text};
    bool has_any = false;
    for (size_t i = 0; attributes != NULL && i < attributes->indexed_fields_count; i++) {
        struct attribute_values values;
        const pb_common_SearchAttributes_IndexedFieldsEntry *entry = attributes->indexed_fields[i];
        if (attribute_decode(entry->value, ATTRIBUTE_NONE, &rows->arena, &values, NULL) != ERR_NONE || !values.is_present) continue;
        if (!has_any) json_put_open(&out, '{');
        has_any = true;
        json_put_key(&out, entry->key);
        enum attribute_type type = ATTRIBUTE_KEYWORD;
        bool is_list = values.count != 1 || (attribute_type_parse(pb_payload_metadata(entry->value, STR("type")), &type) && type == ATTRIBUTE_KEYWORD_LIST);
        if (is_list) json_put_open(&out, '[');
        for (size_t k = 0; k < values.count; k++) {
            if (is_list) json_put_next(&out);
            put_json_value(&out, &values.values[k]);
        }
        if (is_list) json_put_close(&out, ']');
    }
    if (has_any) json_put_close(&out, '}');
    struct str json = has_any ? arena_str(&rows->arena, buf_view(&text)) : STR_EMPTY;
    buf_fini(&text);
    return json;
}

/* ---- rows ---- */

static err old_read(struct rows *rows, int64_t run, struct rows_old *old)
{
    *old = (struct rows_old){0};
    sqlite3_stmt *st = database_use(rows->db, SQL_ROW_OLD);
    bind_int(st, 1, run);
    TRY(database_step(rows->db, st, &old->is_there));
    if (!old->is_there) return ERR_NONE;
    old->namespace_key = sqlite3_column_int64(st, 0);
    old->status = sqlite3_column_int(st, 1);
    old->type = sqlite3_column_int64(st, 2);
    old->close = sqlite3_column_int64(st, 3);
    old->start = sqlite3_column_int64(st, 4);
    old->version = sqlite3_column_int64(st, 5);
    old->has_division = sqlite3_column_int(st, 6) != 0;
    old->has_values = sqlite3_column_int(st, 7) != 0;
    if (old->has_values) {
        old->parent_id = arena_str(&rows->arena, column_view(st, 8));
        old->rest = arena_str(&rows->arena, column_view(st, 9));
    }
    sqlite3_reset(st);
    return ERR_NONE;
}

static err old_values_delete(struct rows *rows, int64_t run, const struct rows_old *old)
{
    pb_store_VisibilityRow *row;
    TRY(PB_DECODE(&rows->arena, old->rest, pb_store_VisibilityRow, &row));
    struct value_walk walk = {rows, SQL_VALUE_DELETE, 0, old->close, old->start, run, old->has_division, ERR_NONE};
    return row_values_apply(&walk, old->namespace_key, old->parent_id, row->search_attributes);
}

static err old_leave(struct rows *rows, int64_t run, const struct rows_old *old)
{
    if (!old->has_division) change_note(rows, old->namespace_key, old->type, old->status, -1);
    return old->has_values ? old_values_delete(rows, run, old) : ERR_NONE;
}

static void bind_when_closed(sqlite3_stmt *st, int at, bool is_closed, int64_t value)
{
    if (is_closed) bind_int(st, at, value);
    else bind_null(st, at);
}

static struct str rest_of(struct rows *rows, const pb_store_VisibilityRow *row)
{
    if (row->memo == NULL && row->search_attributes == NULL && str_is_empty(row->assigned_build_id) && str_is_empty(row->extra)) return STR_EMPTY;
    pb_store_VisibilityRow rest = {.memo = row->memo, .search_attributes = row->search_attributes, .assigned_build_id = row->assigned_build_id,
                                   .extra = row->extra};
    return PB_ENCODE_ARENA(pb_store_VisibilityRow, &rest, &rows->arena);
}

/* The same numbers in all three statements. */
static void row_bind(struct rows *rows, sqlite3_stmt *st, enum statement which, const pb_store_VisibilityRow *row, int64_t type)
{
    bool is_closed = row->close_time != NULL;
    int64_t numbers[] = {row->run_key, row->namespace_key, row->status, type, visibility_row_close(row), visibility_row_start(row), row->version};
    for (size_t i = 0; i < countof(numbers); i++) bind_int(st, (int)i + 1, numbers[i]);
    bind_when_closed(st, 8, row->execution_time != NULL, pb_instant(row->execution_time).ns);
    bind_when_closed(st, 9, is_closed && row->execution_duration != NULL, pb_duration(row->execution_duration).ns);
    bind_when_closed(st, 10, is_closed, row->history_length);
    bind_when_closed(st, 11, is_closed, row->history_size);
    bind_when_closed(st, 12, is_closed, row->state_transition_count);
    bind_text(st, 13, row->workflow_id);
    bind_text(st, 14, row->run_id);
    bool is_own_root = str_equal(row->root_workflow_id, row->workflow_id) && str_equal(row->root_run_id, row->run_id); /* most are: left out */
    struct str root_id = is_own_root ? STR_EMPTY : row->root_workflow_id, root_run = is_own_root ? STR_EMPTY : row->root_run_id;
    struct str texts[] = {row->task_queue, row->parent_workflow_id, row->parent_run_id, root_id, root_run, row->namespace_division,
                          attributes_json(rows, row->search_attributes)};
    for (size_t i = 0; i < countof(texts); i++) bind_text_or_null(st, (int)i + 15, texts[i]);
    bind_bytes(st, 22, rest_of(rows, row));
    if (which != SQL_ROW_UPDATE) bind_when_closed(st, 23, is_closed, visibility_class_of(visibility_row_close(row) - visibility_row_start(row)));
}

static err row_write(struct rows *rows, const pb_store_VisibilityRow *row)
{
    struct rows_old old;
    TRY(old_read(rows, row->run_key, &old));
    if (old.is_there && old.version > row->version) return ERR_NONE;
    int64_t type, close = visibility_row_close(row), start = visibility_row_start(row);
    bool has_division = !str_is_empty(row->namespace_division);
    TRY(id_of(rows, SQL_TYPE_ID, SQL_TYPE_INSERT, row->namespace_key, row->workflow_type, &type));
    if (old.is_there) TRY(old_leave(rows, row->run_key, &old));
    bool is_same = old.is_there && old.namespace_key == row->namespace_key && old.type == type && old.start == start && old.has_division == has_division &&
                   str_equal(old.parent_id, row->parent_workflow_id);
    if (old.is_there && !is_same) { /* a run's start, type and parent do not change; a schedule's row may */
        sqlite3_stmt *st = database_use(rows->db, SQL_ROW_DELETE);
        bind_int(st, 1, row->run_key);
        TRY(database_run(rows->db, st));
    }
    bool is_in_place = is_same && old.close == close && old.status == row->status;
    enum statement which = is_in_place ? SQL_ROW_UPDATE : is_same ? SQL_ROW_CLOSE : SQL_ROW_INSERT;
    sqlite3_stmt *st = database_use(rows->db, which);
    row_bind(rows, st, which, row, type);
    TRY(database_run(rows->db, st));
    if (!has_division) change_note(rows, row->namespace_key, type, row->status, 1);
    if (close != INT64_MAX) TRY(span_widen(rows, row->namespace_key, close - start));
    struct value_walk walk = {rows, SQL_VALUE_INSERT, 0, close, start, row->run_key, has_division, ERR_NONE};
    return row_values_apply(&walk, row->namespace_key, row->parent_workflow_id, row->search_attributes);
}

err rows_put(struct rows *rows, const pb_store_VisibilityRow *row)
{
    const pb_store_VisibilityRow *before = map_u64_get(&rows->pending, (uint64_t)row->run_key);
    if (before == NULL || before->version <= row->version) map_u64_put(&rows->pending, (uint64_t)row->run_key, (void *)(uintptr_t)row);
    return ERR_NONE;
}

err rows_delete(struct rows *rows, int64_t run)
{
    struct rows_old old;
    (void)map_u64_remove(&rows->pending, (uint64_t)run);
    TRY(old_read(rows, run, &old));
    if (!old.is_there) return ERR_NONE;
    TRY(old_leave(rows, run, &old));
    sqlite3_stmt *st = database_use(rows->db, SQL_ROW_DELETE);
    bind_int(st, 1, run);
    return database_run(rows->db, st);
}

err rows_write(struct rows *rows)
{
    size_t at = 0;
    uint64_t run;
    for (const pb_store_VisibilityRow *row; (row = map_u64_next(&rows->pending, &at, &run)) != NULL;) TRY(row_write(rows, row));
    map_u64_fini(&rows->pending);
    return changes_write(rows);
}
