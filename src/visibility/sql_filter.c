/* What a filter says, as an expression over a row v of the visibility table. */
#include "visibility/sql_filter.h"

#include "proto/json.h"

int sql_param(struct sql_writer *w, struct attribute_value value, bool is_bytes)
{
    if (w->param_count == w->param_capacity) {
        w->param_capacity = w->param_capacity == 0 ? 16 : w->param_capacity * 2;
        struct visibility_param *grown = arena_array(w->arena, struct visibility_param, w->param_capacity);
        if (w->param_count != 0) memcpy(grown, w->params, w->param_count * sizeof(*grown));
        w->params = grown;
    }
    w->params[w->param_count++] = (struct visibility_param){value, is_bytes};
    return (int)w->param_count;
}

enum { SINGLE_VALUES_MAX = 16 }; /* longer lists are one value, a JSON list: SQLite takes time for each parameter whenever it meets one */

void sql_put_json(struct sql_writer *w, const struct attribute_value *values, size_t count)
{
    struct buf text = {0};
    struct json_out out = {.out = &text};
    json_put_open(&out, '[');
    for (size_t i = 0; i < count; i++) {
        json_put_next(&out);
        if (values[i].type == ATTRIBUTE_DOUBLE) json_put_double(&out, values[i].real);
        else if (values[i].type == ATTRIBUTE_KEYWORD || values[i].type == ATTRIBUTE_TEXT) json_put_string(&out, values[i].text);
        else buf_printf(&text, "%" PRId64, values[i].number);
    }
    json_put_close(&out, ']');
    sql_put_text(w, arena_str(w->arena, buf_view(&text)));
    buf_fini(&text);
}

void sql_put_values(struct sql_writer *w, const struct attribute_value *values, size_t count)
{
    if (count > SINGLE_VALUES_MAX) {
        sql_put(w, "(select value from json_each(");
        sql_put_json(w, values, count);
        sql_put(w, "))");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        sql_put(w, i == 0 ? "(" : ", ");
        sql_put_value(w, &values[i]);
    }
    sql_put(w, count == 0 ? "()" : ")");
}

struct buf sql_part_begin(struct sql_writer *w)
{
    struct buf kept = w->text;
    w->text = (struct buf){0};
    return kept;
}

struct str sql_part_end(struct sql_writer *w, struct buf kept)
{
    struct str part = arena_str(w->arena, buf_view(&w->text));
    buf_fini(&w->text);
    w->text = kept;
    return part;
}

struct visibility_sql sql_finish(struct sql_writer *w)
{
    struct visibility_sql sql = {arena_str(w->arena, buf_view(&w->text)), w->params, w->param_count};
    buf_fini(&w->text);
    return sql;
}

struct sql_writer sql_writer_of(int64_t namespace_key, struct arena *arena)
{
    struct sql_writer w = {.arena = arena};
    (void)sql_param_number(&w, namespace_key);
    return w;
}

/* ---- values of a row, as expressions over v ---- */

static const char *const columns[FIELD_COUNT] = {
    [FIELD_WORKFLOW_ID] = "v.workflow_id", [FIELD_RUN_ID] = "v.run_id", [FIELD_WORKFLOW_TYPE] = "(select name from visibility_type where id = v.type)",
    [FIELD_TASK_QUEUE] = "v.task_queue", [FIELD_STATUS] = "v.status", [FIELD_START_TIME] = "v.start", [FIELD_EXECUTION_TIME] = "v.execution",
    [FIELD_CLOSE_TIME] = "v.close", [FIELD_EXECUTION_DURATION] = "v.duration", [FIELD_HISTORY_LENGTH] = "v.length", [FIELD_HISTORY_SIZE] = "v.size",
    [FIELD_STATE_TRANSITIONS] = "v.transitions", [FIELD_PARENT_WORKFLOW_ID] = "v.parent_id", [FIELD_PARENT_RUN_ID] = "v.parent_run",
    [FIELD_ROOT_WORKFLOW_ID] = "coalesce(v.root_id, v.workflow_id)", [FIELD_ROOT_RUN_ID] = "coalesce(v.root_run, v.run_id)", [FIELD_DIVISION] = "v.division",
};

/* `index`: "" for the value, "[0]" for the first of a list. */
static void put_path(struct sql_writer *w, const struct attribute *a, const char *index)
{
    sql_put_text(w, arena_printf(w->arena, "$.\"%.*s\"%s", STR_ARG(a->name), index));
}

void sql_put_field(struct sql_writer *w, const struct attribute *a, const char *index)
{
    if (a->field != FIELD_ATTRIBUTE) {
        sql_put(w, columns[a->field]);
        return;
    }
    sql_put(w, "json_extract(v.attributes, ");
    put_path(w, a, index);
    sql_put(w, ")");
}

/* ---- rows of comparisons that are one ---- */

static bool is_inequality(const struct visibility_node *node) { return node->op == OP_NE || node->op == OP_NOT_IN; }

/* How many values there are when every leaf of a row of ORs is an equality (of ANDs: an inequality) of the same attribute; 0: it is not so. */
static size_t same_comparisons(const struct visibility_node *node, enum visibility_op row, const struct attribute **a)
{
    if (node->op == row) {
        size_t left = same_comparisons(node->left, row, a), right = left != 0 ? same_comparisons(node->right, row, a) : 0;
        return right != 0 ? left + right : 0;
    }
    bool is_kind = row == OP_OR ? sql_is_equality(node) : is_inequality(node);
    if (node->attribute == NULL || !is_kind || (*a != NULL && !str_equal((*a)->name, node->attribute->name))) return 0;
    *a = node->attribute;
    return node->value_count;
}

static void gather_values(const struct visibility_node *node, struct visibility_node *into)
{
    if (node->op == OP_OR || node->op == OP_AND) {
        gather_values(node->left, into);
        gather_values(node->right, into);
        return;
    }
    memcpy(&into->values[into->value_count], node->values, node->value_count * sizeof(*node->values));
    into->value_count += node->value_count;
}

const struct visibility_node *sql_as_one(const struct visibility_node *row, struct arena *arena)
{
    const struct attribute *a = NULL;
    size_t count = same_comparisons(row, row->op, &a);
    if (count == 0) return NULL;
    struct visibility_node *one = arena_new(arena, struct visibility_node);
    *one = (struct visibility_node){.op = row->op == OP_OR ? OP_IN : OP_NOT_IN, .attribute = a, .values = arena_array(arena, struct attribute_value, count)};
    gather_values(row, one);
    return one;
}

/* ---- the filter as an expression ---- */

void sql_put_name_id(struct sql_writer *w, struct str name)
{
    sql_put(w, "(select id from visibility_name where namespace = ?1 and name = ");
    sql_put_text(w, name);
    sql_put(w, ")");
}

static void add_word(void *arg, struct str word)
{
    struct sql_words *list = arg;
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        struct attribute_value *grown = arena_array(list->arena, struct attribute_value, list->capacity);
        if (list->count != 0) memcpy(grown, list->values, list->count * sizeof(*grown));
        list->values = grown;
    }
    list->values[list->count++] = (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = arena_str(list->arena, word)};
}

struct sql_words sql_words_of(const struct visibility_node *node, struct arena *arena)
{
    struct sql_words list = {.arena = arena};
    for (size_t i = 0; i < node->value_count; i++) attribute_words(node->values[i].text, add_word, &list);
    return list;
}

void sql_put_words(struct sql_writer *w, const struct visibility_node *node)
{
    struct sql_words list = sql_words_of(node, w->arena);
    sql_put_values(w, list.values, list.count);
}

static void put_text_match(struct sql_writer *w, const struct visibility_node *node)
{
    sql_put(w, node->op == OP_NE || node->op == OP_NOT_IN ? "not exists(" : "exists(");
    sql_put(w, "select 1 from visibility_value x where x.name = ");
    sql_put_name_id(w, node->attribute->name);
    sql_put(w, " and x.value in ");
    sql_put_words(w, node);
    sql_put(w, " and x.close = v.close and x.start = v.start and x.run = v.run)");
}

static void put_list_match(struct sql_writer *w, const struct visibility_node *node)
{
    sql_put(w, node->op == OP_NE || node->op == OP_NOT_IN ? "not exists(" : "exists(");
    sql_put(w, "select 1 from json_each(v.attributes, ");
    put_path(w, node->attribute, "");
    sql_put(w, ") where value in ");
    sql_put_values(w, node->values, node->value_count);
    sql_put(w, ")");
}

static void put_null_test(struct sql_writer *w, const struct visibility_node *node)
{
    bool is_not = node->op == OP_IS_NOT_NULL;
    if (node->attribute->field == FIELD_CLOSE_TIME) {
        sql_put(w, is_not ? "v.close < " SQL_CLOSE_OPEN : "v.close = " SQL_CLOSE_OPEN);
        return;
    }
    if (node->attribute->field == FIELD_ATTRIBUTE) {
        sql_put(w, "json_type(v.attributes, ");
        put_path(w, node->attribute, "");
        sql_put(w, ")");
    } else {
        sql_put(w, columns[node->attribute->field]);
    }
    sql_put(w, is_not ? " is not null" : " is null");
}

static void put_prefix_test(struct sql_writer *w, const struct visibility_node *node)
{
    int at = sql_param(w, node->values[0], false);
    sql_put(w, "substr(");
    sql_put_field(w, node->attribute, "");
    buf_printf(&w->text, ", 1, length(?%d)) %s ?%d", at, node->op == OP_STARTS_WITH ? "=" : "<>", at);
}

static void put_scalar_test(struct sql_writer *w, const struct visibility_node *node)
{
    static const char *const signs[] = {
        [OP_EQ] = " = ", [OP_NE] = " <> ", [OP_LT] = " < ", [OP_LE] = " <= ", [OP_GT] = " > ", [OP_GE] = " >= ", [OP_IN] = " in ", [OP_NOT_IN] = " not in ",
        [OP_BETWEEN] = " between ", [OP_NOT_BETWEEN] = " not between ",
    };
    sql_put_field(w, node->attribute, "");
    sql_put(w, signs[node->op]);
    if (node->op == OP_IN || node->op == OP_NOT_IN) {
        sql_put_values(w, node->values, node->value_count);
        return;
    }
    sql_put_value(w, &node->values[0]);
    if (node->value_count == 1) return;
    sql_put(w, " and ");
    sql_put_value(w, &node->values[1]);
}

/* A type is looked up once, not once a row. */
static void put_type_test(struct sql_writer *w, const struct visibility_node *node)
{
    sql_put(w, is_inequality(node) ? "v.type not in (select id from visibility_type where namespace = ?1 and name in "
                               : "v.type in (select id from visibility_type where namespace = ?1 and name in ");
    sql_put_values(w, node->values, node->value_count);
    sql_put(w, ")");
}

static void put_comparison(struct sql_writer *w, const struct visibility_node *node)
{
    bool is_equal_or_not = sql_is_equality(node) || is_inequality(node);
    if (node->op == OP_IS_NULL || node->op == OP_IS_NOT_NULL) put_null_test(w, node);
    else if (node->op == OP_STARTS_WITH || node->op == OP_NOT_STARTS_WITH) put_prefix_test(w, node);
    else if (node->attribute->type == ATTRIBUTE_TEXT) put_text_match(w, node);
    else if (node->attribute->type == ATTRIBUTE_KEYWORD_LIST) put_list_match(w, node);
    else if (node->attribute->field == FIELD_WORKFLOW_TYPE && is_equal_or_not) put_type_test(w, node);
    else put_scalar_test(w, node);
}

void sql_put_node(struct sql_writer *w, const struct visibility_node *node)
{
    bool is_row = node->op == OP_AND || node->op == OP_OR;
    const struct visibility_node *one = is_row ? sql_as_one(node, w->arena) : NULL;
    if (one != NULL) {
        put_comparison(w, one);
    } else if (is_row) {
        sql_put(w, "(");
        sql_put_node(w, node->left);
        sql_put(w, node->op == OP_AND ? " and " : " or ");
        sql_put_node(w, node->right);
        sql_put(w, ")");
    } else if (node->op == OP_NOT) {
        sql_put(w, "not (");
        sql_put_node(w, node->left);
        sql_put(w, ")");
    } else {
        put_comparison(w, node);
    }
}

void sql_put_filter(struct sql_writer *w, const struct visibility_query *query)
{
    if (!query->has_division) sql_put(w, " and v.division is null");
    if (query->where == NULL) return;
    sql_put(w, " and ");
    sql_put_node(w, query->where);
}

