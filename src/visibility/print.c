#include "visibility/query.h"

#include "proto/json.h"
#include "visibility/time_text.h"

static const char *const op_text[] = {
    [OP_AND] = " AND ", [OP_OR] = " OR ", [OP_EQ] = " = ", [OP_NE] = " != ", [OP_LT] = " < ", [OP_LE] = " <= ", [OP_GT] = " > ", [OP_GE] = " >= ",
    [OP_IN] = " IN ", [OP_NOT_IN] = " NOT IN ", [OP_BETWEEN] = " BETWEEN ", [OP_NOT_BETWEEN] = " NOT BETWEEN ", [OP_IS_NULL] = " IS NULL",
    [OP_IS_NOT_NULL] = " IS NOT NULL", [OP_STARTS_WITH] = " STARTS_WITH ", [OP_NOT_STARTS_WITH] = " NOT STARTS_WITH ",
};

static void put_quoted(struct buf *out, struct str text)
{
    buf_append_byte(out, '\'');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\0') {
            buf_append_str(out, STR("\\0"));
            continue;
        }
        if (c == '\'' || c == '\\') buf_append_byte(out, (uint8_t)c == '\'' ? '\'' : '\\');
        buf_append_byte(out, (uint8_t)c);
    }
    buf_append_byte(out, '\'');
}

static void put_name(struct buf *out, const struct attribute *attribute)
{
    buf_append_byte(out, '`');
    buf_append_str(out, attribute->name);
    buf_append_byte(out, '`');
}

/* A real number always shows that it is one. */
static void put_real(struct buf *out, double value)
{
    struct buf text = {0};
    json_put_double(&(struct json_out){.out = &text}, value);
    buf_append_str(out, buf_view(&text));
    if (memchr(text.data, '.', text.size) == NULL && memchr(text.data, 'e', text.size) == NULL) buf_append_str(out, STR(".0"));
    buf_fini(&text);
}

static void put_value(struct buf *out, const struct visibility_node *node, const struct attribute_value *value, struct arena *arena)
{
    const char *status = node->attribute->field == FIELD_STATUS ? visibility_status_name((int32_t)value->number) : NULL;
    if (status != NULL && value->number <= INT32_MAX && value->number >= 0) {
        put_quoted(out, str_of(status));
        return;
    }
    switch (value->type) {
    case ATTRIBUTE_INT: buf_printf(out, "%" PRId64, value->number); break;
    case ATTRIBUTE_DOUBLE: put_real(out, value->real); break;
    case ATTRIBUTE_BOOL: buf_append_str(out, value->number != 0 ? STR("true") : STR("false")); break;
    case ATTRIBUTE_DATETIME: put_quoted(out, time_text_print((instant){value->number}, arena)); break;
    default: put_quoted(out, value->text); break;
    }
}

static void put_node(struct buf *out, const struct visibility_node *node, struct arena *arena);

static void put_operand(struct buf *out, const struct visibility_node *node, enum visibility_op around, struct arena *arena)
{
    bool is_apart = (node->op == OP_AND || node->op == OP_OR) && node->op != around;
    if (is_apart) buf_append_byte(out, '(');
    put_node(out, node, arena);
    if (is_apart) buf_append_byte(out, ')');
}

static void put_comparison(struct buf *out, const struct visibility_node *node, struct arena *arena)
{
    bool is_list = node->op == OP_IN || node->op == OP_NOT_IN;
    put_name(out, node->attribute);
    buf_append_str(out, str_of(op_text[node->op]));
    if (is_list) buf_append_byte(out, '(');
    for (size_t i = 0; i < node->value_count; i++) {
        if (i != 0) buf_append_str(out, is_list ? STR(", ") : STR(" AND "));
        put_value(out, node, &node->values[i], arena);
    }
    if (is_list) buf_append_byte(out, ')');
}

static void put_node(struct buf *out, const struct visibility_node *node, struct arena *arena)
{
    if (node->op == OP_AND || node->op == OP_OR) {
        put_operand(out, node->left, node->op, arena);
        buf_append_str(out, str_of(op_text[node->op]));
        put_operand(out, node->right, node->op, arena);
    } else if (node->op == OP_NOT) {
        buf_append_str(out, STR("NOT "));
        put_operand(out, node->left, OP_NOT, arena);
    } else {
        put_comparison(out, node, arena);
    }
}

struct str visibility_query_print(const struct visibility_query *query, struct arena *arena)
{
    struct buf out = {0};
    if (query->where != NULL) put_node(&out, query->where, arena);
    for (size_t i = 0; i < query->group_count; i++) {
        buf_append_str(&out, i == 0 ? STR(" GROUP BY ") : STR(", "));
        put_name(&out, query->groups[i]);
    }
    for (size_t i = 0; i < query->order_count; i++) {
        buf_append_str(&out, i == 0 ? STR(" ORDER BY ") : STR(", "));
        put_name(&out, query->orders[i].attribute);
        if (query->orders[i].is_descending) buf_append_str(&out, STR(" DESC"));
    }
    struct str text = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return text.size != 0 && text.data[0] == ' ' ? str_skip(text, 1) : text;
}

/* ---- equality ---- */

static bool attribute_equal(const struct attribute *a, const struct attribute *b)
{
    return a == b || (a != NULL && b != NULL && str_equal(a->name, b->name) && a->type == b->type && a->field == b->field);
}

static bool value_equal(const struct attribute_value *a, const struct attribute_value *b)
{
    return a->type == b->type && str_equal(a->text, b->text) && a->number == b->number && a->real == b->real;
}

static bool node_equal(const struct visibility_node *a, const struct visibility_node *b)
{
    if (a == NULL || b == NULL) return a == b;
    if (a->op != b->op || a->value_count != b->value_count || !attribute_equal(a->attribute, b->attribute)) return false;
    for (size_t i = 0; i < a->value_count; i++) {
        if (!value_equal(&a->values[i], &b->values[i])) return false;
    }
    return node_equal(a->left, b->left) && node_equal(a->right, b->right);
}

bool visibility_query_equal(const struct visibility_query *a, const struct visibility_query *b)
{
    if (a->order_count != b->order_count || a->group_count != b->group_count || a->has_division != b->has_division) return false;
    for (size_t i = 0; i < a->order_count; i++) {
        if (!attribute_equal(a->orders[i].attribute, b->orders[i].attribute) || a->orders[i].is_descending != b->orders[i].is_descending) return false;
    }
    for (size_t i = 0; i < a->group_count; i++) {
        if (!attribute_equal(a->groups[i], b->groups[i])) return false;
    }
    return node_equal(a->where, b->where);
}
