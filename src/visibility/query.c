#include "visibility/query.h"

#include "proto/json.h"
#include "visibility/lex.h"
#include "visibility/time_text.h"

#include <math.h>
#include <stdlib.h>

/* ---- statuses ---- */

static const char *const status_names[] = {
    "Unspecified", "Running", "Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut", "Paused",
};
_Static_assert(countof(status_names) == VISIBILITY_STATUS_MAX + 1, "one name for each");

const char *visibility_status_name(int32_t status)
{
    return status > 0 && status < (int32_t)countof(status_names) ? status_names[status] : NULL;
}

bool visibility_status_parse(struct str name, int32_t *status)
{
    for (int32_t i = 1; i < (int32_t)countof(status_names); i++) {
        if (!str_equal_c(name, status_names[i])) continue;
        *status = i;
        return true;
    }
    return str_starts_with(name, STR("WORKFLOW_EXECUTION_STATUS_")) && pb_enum_number(&pb_enums_WorkflowExecutionStatus_enum, name, status);
}

/* ---- the parser ----
 *
 *   query      = [ or ] [ GROUP BY names ] [ ORDER BY name [ASC|DESC] {, …} ] [;]
 *   or         = and { OR and }
 *   and        = not { AND not }
 *   not        = NOT not | ( or ) | comparison
 *   comparison = name ( sign value | [NOT] IN ( value {, value} ) | [NOT] BETWEEN value AND value | IS [NOT] NULL | [NOT] STARTS_WITH value ) */

struct parser {
    struct lex lex;
    const struct visibility_parse *how;
    struct arena *arena;
    struct error *error;
    struct visibility_query *query;
    size_t value_count, comparison_count;
    int depth;
};

static enum token_kind now(const struct parser *p) { return p->lex.token.kind; }

/* The name of an attribute, and whether it stands for the id of a schedule. */
struct operand {
    const struct attribute *attribute;
    bool is_schedule;
    struct token token;
};

static err refuse_at(struct parser *p, const struct token *token, const char *expected)
{
    if (token->kind == TOKEN_BAD) {
        return error_set(p->error, p->arena, ERR_INVALID, "the filter is not valid at character %zu: %.*s", token->position, STR_ARG(token->text));
    }
    if (token->kind == TOKEN_END) {
        return error_set(p->error, p->arena, ERR_INVALID, "the filter is not valid at character %zu: it ends where %s is expected", token->position, expected);
    }
    return error_set(p->error, p->arena, ERR_INVALID, "the filter is not valid at character %zu: %s is expected, not %.*s", token->position, expected,
                     (int)size_min(token->spelled.size, 60), token->spelled.data);
}

static err refuse(struct parser *p, const char *expected) { return refuse_at(p, &p->lex.token, expected); }

static bool accept(struct parser *p, enum token_kind kind)
{
    if (now(p) != kind) return false;
    lex_next(&p->lex);
    return true;
}

static err expect(struct parser *p, enum token_kind kind, const char *what)
{
    return accept(p, kind) ? ERR_NONE : refuse(p, what);
}

static const struct attribute *attribute_copy(const struct attribute *from, struct arena *arena)
{
    struct attribute *copy = arena_new(arena, struct attribute);
    *copy = (struct attribute){arena_str(arena, from->name), from->type, from->field};
    return copy;
}

static err parse_name(struct parser *p, struct operand *out)
{
    struct token token = p->lex.token;
    if (token.kind != TOKEN_NAME) return refuse(p, "the name of a search attribute");
    bool is_schedule = str_equal_c(token.text, "ScheduleId");
    const struct attribute *found = attribute_find(p->how->registry, is_schedule ? STR("WorkflowId") : token.text);
    if (found == NULL) {
        return error_set(p->error, p->arena, ERR_INVALID, "the filter is not valid at character %zu: the namespace has no search attribute %.*s", token.position,
                         (int)size_min(token.text.size, 200), token.text.data);
    }
    lex_next(&p->lex);
    *out = (struct operand){attribute_copy(found, p->arena), is_schedule, token};
    if (found->field == FIELD_DIVISION) p->query->has_division = true;
    return ERR_NONE;
}

/* ---- literals ---- */

struct literal {
    struct token token;
    bool is_negative;
};

static err check_value_count(struct parser *p)
{
    if (p->value_count <= VISIBILITY_VALUE_MAX) return ERR_NONE;
    return error_set(p->error, p->arena, ERR_INVALID, "the filter has more than %d values", VISIBILITY_VALUE_MAX);
}

static err parse_literal(struct parser *p, struct literal *out)
{
    *out = (struct literal){.token = p->lex.token};
    if (now(p) == TOKEN_MINUS || now(p) == TOKEN_PLUS) {
        out->is_negative = now(p) == TOKEN_MINUS;
        lex_next(&p->lex);
        if (now(p) != TOKEN_INTEGER && now(p) != TOKEN_REAL) return refuse(p, "a number");
        out->token = p->lex.token;
    }
    switch (now(p)) {
    case TOKEN_STRING:
    case TOKEN_INTEGER:
    case TOKEN_REAL:
    case TOKEN_TRUE:
    case TOKEN_FALSE: break;
    case TOKEN_NAME: return refuse(p, "a value (between quotes when it is text)");
    default: return refuse(p, "a value");
    }
    p->value_count++;
    lex_next(&p->lex);
    return check_value_count(p);
}

static struct str literal_spelled(const struct literal *l, struct arena *arena)
{
    if (l->token.kind == TOKEN_TRUE) return STR("true");
    if (l->token.kind == TOKEN_FALSE) return STR("false");
    return l->is_negative ? arena_printf(arena, "-%.*s", STR_ARG(l->token.text)) : arena_str(arena, l->token.text);
}

/* A number: whole when it can be, else real. */
static bool literal_number(const struct literal *l, struct arena *arena, struct attribute_value *value)
{
    struct str text = literal_spelled(l, arena);
    if (json_parse_int(text, &value->number)) {
        value->type = ATTRIBUTE_INT;
        return true;
    }
    if (l->token.kind == TOKEN_REAL && l->token.text.data[0] == '.') text = arena_printf(arena, "%s0%.*s", l->is_negative ? "-" : "", STR_ARG(l->token.text));
    char *end;
    if (text.size == 0 || l->token.kind == TOKEN_TRUE || l->token.kind == TOKEN_FALSE) return false;
    value->real = strtod(text.data, &end); /* the arena's strings are terminated */
    if (end != text.data + text.size || !isfinite(value->real) || memchr(text.data, 'x', text.size) != NULL) return false;
    value->type = ATTRIBUTE_DOUBLE;
    if (value->real == trunc(value->real) && value->real >= -0x1p63 && value->real < 0x1p63) { /* whole after all */
        *value = (struct attribute_value){.type = ATTRIBUTE_INT, .number = (int64_t)value->real};
    }
    return true;
}

static bool literal_bool(const struct literal *l, struct attribute_value *value)
{
    bool is_true = l->token.kind == TOKEN_TRUE || (l->token.kind == TOKEN_STRING && str_equal_c(l->token.text, "true")) ||
                   (l->token.kind == TOKEN_INTEGER && str_equal_c(l->token.text, "1"));
    bool is_false = l->token.kind == TOKEN_FALSE || (l->token.kind == TOKEN_STRING && str_equal_c(l->token.text, "false")) ||
                    (l->token.kind == TOKEN_INTEGER && str_equal_c(l->token.text, "0"));
    value->type = ATTRIBUTE_BOOL;
    value->number = is_true;
    return (is_true || is_false) && !l->is_negative;
}

static bool literal_status(const struct literal *l, struct arena *arena, struct attribute_value *value)
{
    int32_t status;
    value->type = ATTRIBUTE_INT;
    if (l->token.kind == TOKEN_INTEGER) return json_parse_int(literal_spelled(l, arena), &value->number);
    if (l->token.kind != TOKEN_STRING || !visibility_status_parse(l->token.text, &status)) return false;
    value->number = status;
    return true;
}

static bool literal_time(const struct literal *l, struct arena *arena, struct attribute_value *value)
{
    instant t;
    value->type = ATTRIBUTE_DATETIME;
    if (l->token.kind == TOKEN_INTEGER) return json_parse_int(literal_spelled(l, arena), &value->number);
    if (l->token.kind != TOKEN_STRING || !time_text_parse(l->token.text, &t)) return false;
    value->number = t.ns;
    return true;
}

static bool literal_span(const struct literal *l, struct arena *arena, struct attribute_value *value)
{
    duration d;
    if (l->token.kind != TOKEN_STRING) return literal_number(l, arena, value);
    if (!span_text_parse(l->token.text, &d)) return false;
    *value = (struct attribute_value){.type = ATTRIBUTE_INT, .number = d.ns};
    return true;
}

static bool literal_real(const struct literal *l, struct arena *arena, struct attribute_value *value)
{
    if (!literal_number(l, arena, value)) return false;
    if (value->type == ATTRIBUTE_INT) *value = (struct attribute_value){.real = (double)value->number};
    value->type = ATTRIBUTE_DOUBLE;
    return true;
}

static void word_found(void *arg, struct str word)
{
    (void)word;
    ++*(size_t *)arg;
}

/* The literal as a value of the attribute's type. */
static err typed_value(struct parser *p, const struct operand *operand, const struct literal *l, struct attribute_value *value)
{
    bool is_sound = true;
    size_t word_count = 0;
    const char *expected = "";
    *value = (struct attribute_value){0};
    enum visibility_field field = operand->attribute->field;
    if (field == FIELD_STATUS) {
        is_sound = literal_status(l, p->arena, value);
        expected = "the name or the number of an execution status";
    } else if (field == FIELD_EXECUTION_DURATION) {
        is_sound = literal_span(l, p->arena, value);
        expected = "a duration such as '1h30m', '01:30:00' or a number of nanoseconds";
    } else {
        switch (operand->attribute->type) {
        case ATTRIBUTE_INT: is_sound = literal_number(l, p->arena, value); expected = "a number"; break;
        case ATTRIBUTE_DOUBLE: is_sound = literal_real(l, p->arena, value); expected = "a number"; break;
        case ATTRIBUTE_BOOL: is_sound = literal_bool(l, value); expected = "true or false"; break;
        case ATTRIBUTE_DATETIME:
            is_sound = literal_time(l, p->arena, value);
            expected = "a time such as '2026-01-31T12:00:00Z' or a number of nanoseconds since 1970";
            break;
        case ATTRIBUTE_TEXT:
            value->type = ATTRIBUTE_TEXT;
            value->text = literal_spelled(l, p->arena);
            attribute_words(value->text, word_found, &word_count);
            is_sound = word_count != 0;
            expected = "a text with at least one word";
            break;
        default:
            value->type = ATTRIBUTE_KEYWORD;
            value->text = literal_spelled(l, p->arena);
            if (operand->is_schedule) value->text = arena_printf(p->arena, VISIBILITY_SCHEDULE_PREFIX "%.*s", STR_ARG(value->text));
            break;
        }
    }
    if (!is_sound) return refuse_at(p, &l->token, expected);
    if (word_count > 1) p->value_count += word_count - 1; /* each word is looked for */
    return check_value_count(p);
}

static err parse_value(struct parser *p, const struct operand *operand, struct attribute_value *value)
{
    struct literal l;
    TRY(parse_literal(p, &l));
    return typed_value(p, operand, &l, value);
}

/* ---- comparisons ---- */

static struct visibility_node *node_new(struct parser *p, enum visibility_op op, const struct operand *operand, size_t value_count)
{
    struct visibility_node *node = arena_new(p->arena, struct visibility_node);
    node->op = op;
    node->attribute = operand != NULL ? operand->attribute : NULL;
    node->value_count = value_count;
    if (value_count != 0) node->values = arena_array(p->arena, struct attribute_value, value_count);
    return node;
}

static bool op_suits(enum visibility_op op, const struct attribute *attribute)
{
    bool is_prefix = op == OP_STARTS_WITH || op == OP_NOT_STARTS_WITH;
    bool is_range = op == OP_LT || op == OP_LE || op == OP_GT || op == OP_GE || op == OP_BETWEEN || op == OP_NOT_BETWEEN;
    if (is_prefix) return attribute->type == ATTRIBUTE_KEYWORD && attribute->field != FIELD_STATUS;
    if (op == OP_IN || op == OP_NOT_IN) return attribute->type != ATTRIBUTE_TEXT;
    if (is_range) return attribute->type != ATTRIBUTE_TEXT && attribute->type != ATTRIBUTE_KEYWORD_LIST;
    return true;
}

static err check_suits(struct parser *p, const struct operand *operand, const struct token *sign, enum visibility_op op)
{
    if (op_suits(op, operand->attribute)) return ERR_NONE;
    return error_set(p->error, p->arena, ERR_INVALID, "the filter is not valid at character %zu: %.*s can not be used with %.*s, which is a %s", sign->position,
                     STR_ARG(sign->spelled), STR_ARG(operand->attribute->name),
                     operand->attribute->field == FIELD_STATUS ? "status" : attribute_type_name(operand->attribute->type));
}

static err parse_in(struct parser *p, const struct operand *operand, enum visibility_op op, struct visibility_node **out)
{
    TRY(expect(p, TOKEN_OPEN, "("));
    size_t capacity = 0;
    struct visibility_node *node = node_new(p, op, operand, 0);
    do {
        struct attribute_value value;
        TRY(parse_value(p, operand, &value));
        if (node->value_count == capacity) {
            capacity = capacity == 0 ? 4 : capacity * 2;
            struct attribute_value *grown = arena_array(p->arena, struct attribute_value, capacity);
            if (node->value_count != 0) memcpy(grown, node->values, node->value_count * sizeof(*grown));
            node->values = grown;
        }
        node->values[node->value_count++] = value;
    } while (accept(p, TOKEN_COMMA));
    TRY(expect(p, TOKEN_CLOSE, ", or )"));
    *out = node;
    return ERR_NONE;
}

static err parse_between(struct parser *p, const struct operand *operand, enum visibility_op op, struct visibility_node **out)
{
    struct visibility_node *node = node_new(p, op, operand, 2);
    TRY(parse_value(p, operand, &node->values[0]));
    TRY(expect(p, TOKEN_AND, "AND"));
    TRY(parse_value(p, operand, &node->values[1]));
    *out = node;
    return ERR_NONE;
}

static err parse_one(struct parser *p, const struct operand *operand, enum visibility_op op, struct visibility_node **out)
{
    struct visibility_node *node = node_new(p, op, operand, 1);
    bool is_prefix = op == OP_STARTS_WITH || op == OP_NOT_STARTS_WITH;
    if (is_prefix && now(p) != TOKEN_STRING) return refuse(p, "a text between quotes");
    TRY(parse_value(p, operand, &node->values[0]));
    *out = node;
    return ERR_NONE;
}

static err parse_comparison(struct parser *p, struct visibility_node **out)
{
    struct operand operand;
    if (++p->comparison_count > VISIBILITY_COMPARISON_MAX) {
        return error_set(p->error, p->arena, ERR_INVALID, "the filter has more than %d comparisons; IN takes many values in one", VISIBILITY_COMPARISON_MAX);
    }
    TRY(parse_name(p, &operand));
    struct token sign = p->lex.token;
    bool is_not = accept(p, TOKEN_NOT);
    enum token_kind kind = now(p);
    static const struct { enum token_kind token; enum visibility_op op, op_not; } rows[] = {
        {TOKEN_IN, OP_IN, OP_NOT_IN}, {TOKEN_BETWEEN, OP_BETWEEN, OP_NOT_BETWEEN}, {TOKEN_STARTS_WITH, OP_STARTS_WITH, OP_NOT_STARTS_WITH},
        {TOKEN_EQ, OP_EQ, OP_EQ}, {TOKEN_NE, OP_NE, OP_NE}, {TOKEN_LT, OP_LT, OP_LT}, {TOKEN_LE, OP_LE, OP_LE}, {TOKEN_GT, OP_GT, OP_GT}, {TOKEN_GE, OP_GE, OP_GE},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        if (kind != rows[i].token || (is_not && rows[i].op == rows[i].op_not)) continue;
        sign = p->lex.token;
        lex_next(&p->lex);
        enum visibility_op op = is_not ? rows[i].op_not : rows[i].op;
        TRY(check_suits(p, &operand, &sign, op));
        if (kind == TOKEN_IN) return parse_in(p, &operand, op, out);
        if (kind == TOKEN_BETWEEN) return parse_between(p, &operand, op, out);
        return parse_one(p, &operand, op, out);
    }
    if (!is_not && accept(p, TOKEN_IS)) {
        bool is_not_null = accept(p, TOKEN_NOT);
        TRY(expect(p, TOKEN_NULL, "NULL"));
        *out = node_new(p, is_not_null ? OP_IS_NOT_NULL : OP_IS_NULL, &operand, 0);
        return ERR_NONE;
    }
    return refuse(p, is_not ? "IN, BETWEEN or STARTS_WITH" : "a comparison");
}

/* ---- AND, OR, NOT ---- */

static err parse_or(struct parser *p, struct visibility_node **out);

struct operands {
    struct visibility_node **nodes;
    size_t count, capacity;
};

/* Nodes of the same kind are taken apart: (a AND b) AND c is one row of three. */
static void operands_add(struct parser *p, struct operands *o, enum visibility_op op, struct visibility_node *node)
{
    if (node->op == op) {
        operands_add(p, o, op, node->left);
        operands_add(p, o, op, node->right);
        return;
    }
    if (o->count == o->capacity) {
        o->capacity = o->capacity == 0 ? 4 : o->capacity * 2;
        struct visibility_node **grown = arena_array(p->arena, struct visibility_node *, o->capacity);
        if (o->count != 0) memcpy(grown, o->nodes, o->count * sizeof(struct visibility_node *));
        o->nodes = grown;
    }
    o->nodes[o->count++] = node;
}

static struct visibility_node *balanced(struct parser *p, enum visibility_op op, struct visibility_node **nodes, size_t count)
{
    if (count == 1) return nodes[0];
    struct visibility_node *node = node_new(p, op, NULL, 0);
    node->left = balanced(p, op, nodes, count / 2);
    node->right = balanced(p, op, nodes + count / 2, count - count / 2);
    return node;
}

static err parse_not(struct parser *p, struct visibility_node **out)
{
    if (p->depth == VISIBILITY_DEPTH_MAX) {
        return error_set(p->error, p->arena, ERR_INVALID, "the filter is not valid at character %zu: more than %d levels inside each other",
                         p->lex.token.position, VISIBILITY_DEPTH_MAX);
    }
    p->depth++;
    err result;
    if (accept(p, TOKEN_NOT)) {
        struct visibility_node *node = node_new(p, OP_NOT, NULL, 0);
        result = parse_not(p, &node->left);
        *out = node;
    } else if (accept(p, TOKEN_OPEN)) {
        result = parse_or(p, out);
        if (result == ERR_NONE) result = expect(p, TOKEN_CLOSE, "AND, OR or )");
    } else {
        result = parse_comparison(p, out);
    }
    p->depth--;
    return result;
}

static err parse_row(struct parser *p, enum visibility_op op, enum token_kind between, err (*parse_operand)(struct parser *p, struct visibility_node **out),
                     struct visibility_node **out)
{
    struct operands operands = {0};
    do {
        struct visibility_node *node = NULL;
        TRY(parse_operand(p, &node));
        operands_add(p, &operands, op, node);
    } while (accept(p, between));
    *out = balanced(p, op, operands.nodes, operands.count);
    return ERR_NONE;
}

static err parse_and(struct parser *p, struct visibility_node **out) { return parse_row(p, OP_AND, TOKEN_AND, parse_not, out); }
static err parse_or(struct parser *p, struct visibility_node **out) { return parse_row(p, OP_OR, TOKEN_OR, parse_and, out); }

/* ---- what follows the filter ---- */

static err parse_groups(struct parser *p)
{
    if (now(p) != TOKEN_GROUP) return ERR_NONE;
    if (!p->how->is_count) return refuse(p, "no GROUP BY, which is for counts,");
    lex_next(&p->lex);
    TRY(expect(p, TOKEN_BY, "BY"));
    p->query->groups = arena_array(p->arena, const struct attribute *, VISIBILITY_GROUP_MAX);
    do {
        if (p->query->group_count == VISIBILITY_GROUP_MAX) return refuse(p, "no further attribute to group by");
        struct operand operand;
        TRY(parse_name(p, &operand));
        p->query->groups[p->query->group_count++] = operand.attribute;
    } while (accept(p, TOKEN_COMMA));
    return ERR_NONE;
}

static err parse_orders(struct parser *p)
{
    if (now(p) != TOKEN_ORDER) return ERR_NONE;
    if (p->how->is_count) return refuse(p, "no ORDER BY, which is for lists,");
    lex_next(&p->lex);
    TRY(expect(p, TOKEN_BY, "BY"));
    p->query->orders = arena_array(p->arena, struct visibility_order, VISIBILITY_ORDER_MAX);
    do {
        if (p->query->order_count == VISIBILITY_ORDER_MAX) return refuse(p, "no further attribute to order by");
        struct operand operand;
        TRY(parse_name(p, &operand));
        bool is_descending = accept(p, TOKEN_DESC);
        if (!is_descending) (void)accept(p, TOKEN_ASC);
        p->query->orders[p->query->order_count++] = (struct visibility_order){operand.attribute, is_descending};
    } while (accept(p, TOKEN_COMMA));
    return ERR_NONE;
}

static bool text_is_utf8(struct str text, size_t *bad) /* the first byte that is not */
{
    for (size_t i = 0; i < text.size;) {
        unsigned char c = (unsigned char)text.data[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : SIZE_MAX;
        *bad = i;
        if (more == SIZE_MAX || more > text.size - i - 1) return false;
        for (size_t k = 1; k <= more; k++) {
            if (((unsigned char)text.data[i + k] & 0xc0) != 0x80) return false;
        }
        i += more + 1;
    }
    return true;
}

err visibility_query_parse(struct str text, const struct visibility_parse *how, struct arena *arena, struct visibility_query **query, struct error *error)
{
    size_t bad;
    if (text.size > VISIBILITY_TEXT_MAX) return error_set(error, arena, ERR_INVALID, "the filter is longer than %d bytes", VISIBILITY_TEXT_MAX);
    if (!text_is_utf8(text, &bad)) return error_set(error, arena, ERR_INVALID, "the filter is not valid at character %zu: it is not UTF-8", bad + 1);
    struct parser p = {.how = how, .arena = arena, .error = error, .query = visibility_query_all(how->now, arena)};
    lex_init(&p.lex, arena_str(arena, text), arena);
    bool has_filter = now(&p) != TOKEN_END && now(&p) != TOKEN_GROUP && now(&p) != TOKEN_ORDER && now(&p) != TOKEN_SEMICOLON;
    if (has_filter) TRY(parse_or(&p, &p.query->where));
    TRY(parse_groups(&p));
    TRY(parse_orders(&p));
    (void)accept(&p, TOKEN_SEMICOLON);
    if (now(&p) != TOKEN_END) return refuse(&p, "AND, OR or the end");
    *query = p.query;
    return ERR_NONE;
}

/* ---- made without text ---- */

struct visibility_query *visibility_query_all(instant now_value, struct arena *arena)
{
    struct visibility_query *query = arena_new(arena, struct visibility_query);
    query->now = now_value;
    return query;
}

static bool names_division(const struct visibility_node *node)
{
    if (node == NULL) return false;
    if (node->attribute != NULL) return node->attribute->field == FIELD_DIVISION;
    return names_division(node->left) || names_division(node->right);
}

struct visibility_query *visibility_query_and(const struct visibility_query *query, struct visibility_node *more, struct arena *arena)
{
    struct visibility_query *both = arena_new(arena, struct visibility_query);
    *both = *query;
    both->where = more;
    if (query->where != NULL) {
        both->where = arena_new(arena, struct visibility_node);
        *both->where = (struct visibility_node){.op = OP_AND, .left = query->where, .right = more};
    }
    both->has_division = query->has_division || names_division(more);
    return both;
}

struct visibility_node *visibility_node_compare(const struct attribute *attribute, enum visibility_op op, const struct attribute_value *values,
                                                size_t value_count, struct arena *arena)
{
    struct visibility_node *node = arena_new(arena, struct visibility_node);
    node->op = op;
    node->attribute = attribute_copy(attribute, arena);
    node->value_count = value_count;
    node->values = arena_array(arena, struct attribute_value, value_count + 1);
    for (size_t i = 0; i < value_count; i++) {
        node->values[i] = values[i];
        node->values[i].text = arena_str(arena, values[i].text);
    }
    return node;
}
