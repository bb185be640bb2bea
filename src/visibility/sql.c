#include "visibility/sql.h"

#include <stdio.h>

#define CLOSE_OPEN "9223372036854775807" /* close of what is open */

/* A minute, 8 minutes, … */
int64_t visibility_class_longest(int number)
{
    return number == VISIBILITY_CLASS_COUNT - 1 ? INT64_MAX : 60 * NS_PER_S << 3 * number;
}

int visibility_class_of(int64_t took)
{
    int number = 0;
    while (took > visibility_class_longest(number)) number++;
    return number;
}
_Static_assert(60 * NS_PER_S << 3 * (VISIBILITY_CLASS_COUNT - 2) > 0, "within 64 bits");

struct writer {
    struct buf text;
    struct visibility_param *params;
    size_t param_count, param_capacity;
    struct arena *arena;
};

static void put(struct writer *w, const char *text) { buf_append_str(&w->text, str_of(text)); }

static int param(struct writer *w, struct attribute_value value, bool is_bytes)
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

static void put_at(struct writer *w, int at) { buf_printf(&w->text, "?%d", at); }
static void put_value(struct writer *w, const struct attribute_value *value) { put_at(w, param(w, *value, false)); }
static void put_text(struct writer *w, struct str text) { put_at(w, param(w, (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = text}, false)); }
static int param_number(struct writer *w, int64_t n) { return param(w, (struct attribute_value){.type = ATTRIBUTE_INT, .number = n}, false); }
static void put_number(struct writer *w, int64_t n) { put_at(w, param_number(w, n)); }
static void put_bytes(struct writer *w, struct str text) { put_at(w, param(w, (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = text}, true)); }

static void put_values(struct writer *w, const struct attribute_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(w, i == 0 ? "(" : ", ");
        put_value(w, &values[i]);
    }
    put(w, ")");
}

/* A part that is written apart, because it is used more than once or further on: between part_begin and part_end the writer writes it. */
static struct buf part_begin(struct writer *w)
{
    struct buf kept = w->text;
    w->text = (struct buf){0};
    return kept;
}

static struct str part_end(struct writer *w, struct buf kept)
{
    struct str part = arena_str(w->arena, buf_view(&w->text));
    buf_fini(&w->text);
    w->text = kept;
    return part;
}

static struct visibility_sql finish(struct writer *w)
{
    struct visibility_sql sql = {arena_str(w->arena, buf_view(&w->text)), w->params, w->param_count};
    buf_fini(&w->text);
    return sql;
}

/* The namespace is always ?1. */
static struct writer writer_of(int64_t namespace_key, struct arena *arena)
{
    struct writer w = {.arena = arena};
    (void)param_number(&w, namespace_key);
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
static void put_path(struct writer *w, const struct attribute *a, const char *index)
{
    put_text(w, arena_printf(w->arena, "$.\"%.*s\"%s", STR_ARG(a->name), index));
}

static void put_field(struct writer *w, const struct attribute *a, const char *index)
{
    if (a->field != FIELD_ATTRIBUTE) {
        put(w, columns[a->field]);
        return;
    }
    put(w, "json_extract(v.attributes, ");
    put_path(w, a, index);
    put(w, ")");
}

/* ---- the filter as an expression ---- */

static void put_name_id(struct writer *w, struct str name)
{
    put(w, "(select id from visibility_name where namespace = ?1 and name = ");
    put_text(w, name);
    put(w, ")");
}

struct word_list {
    struct writer *w;
    size_t count;
};

static void put_word(void *arg, struct str word)
{
    struct word_list *list = arg;
    put(list->w, list->count++ == 0 ? "(" : ", ");
    put_text(list->w, arena_str(list->w->arena, word));
}

static void put_words(struct writer *w, struct str text)
{
    struct word_list list = {w, 0};
    attribute_words(text, put_word, &list);
    put(w, list.count == 0 ? "()" : ")");
}

static void put_text_match(struct writer *w, const struct visibility_node *node)
{
    put(w, node->op == OP_NE ? "not exists(" : "exists(");
    put(w, "select 1 from visibility_value x where x.name = ");
    put_name_id(w, node->attribute->name);
    put(w, " and x.value in ");
    put_words(w, node->values[0].text);
    put(w, " and x.close = v.close and x.start = v.start and x.run = v.run)");
}

static void put_list_match(struct writer *w, const struct visibility_node *node)
{
    put(w, node->op == OP_NE || node->op == OP_NOT_IN ? "not exists(" : "exists(");
    put(w, "select 1 from json_each(v.attributes, ");
    put_path(w, node->attribute, "");
    put(w, ") where value in ");
    put_values(w, node->values, node->value_count);
    put(w, ")");
}

static void put_null_test(struct writer *w, const struct visibility_node *node)
{
    bool is_not = node->op == OP_IS_NOT_NULL;
    if (node->attribute->field == FIELD_CLOSE_TIME) {
        put(w, is_not ? "v.close < " CLOSE_OPEN : "v.close = " CLOSE_OPEN);
        return;
    }
    if (node->attribute->field == FIELD_ATTRIBUTE) {
        put(w, "json_type(v.attributes, ");
        put_path(w, node->attribute, "");
        put(w, ")");
    } else {
        put(w, columns[node->attribute->field]);
    }
    put(w, is_not ? " is not null" : " is null");
}

static void put_prefix_test(struct writer *w, const struct visibility_node *node)
{
    int at = param(w, node->values[0], false);
    put(w, "substr(");
    put_field(w, node->attribute, "");
    buf_printf(&w->text, ", 1, length(?%d)) %s ?%d", at, node->op == OP_STARTS_WITH ? "=" : "<>", at);
}

static void put_scalar_test(struct writer *w, const struct visibility_node *node)
{
    static const char *const signs[] = {
        [OP_EQ] = " = ", [OP_NE] = " <> ", [OP_LT] = " < ", [OP_LE] = " <= ", [OP_GT] = " > ", [OP_GE] = " >= ", [OP_IN] = " in ", [OP_NOT_IN] = " not in ",
        [OP_BETWEEN] = " between ", [OP_NOT_BETWEEN] = " not between ",
    };
    put_field(w, node->attribute, "");
    put(w, signs[node->op]);
    if (node->op == OP_IN || node->op == OP_NOT_IN) {
        put_values(w, node->values, node->value_count);
        return;
    }
    put_value(w, &node->values[0]);
    if (node->value_count == 1) return;
    put(w, " and ");
    put_value(w, &node->values[1]);
}

/* A type is looked up once, not once a row. */
static void put_type_test(struct writer *w, const struct visibility_node *node)
{
    bool is_not = node->op == OP_NE || node->op == OP_NOT_IN;
    put(w, is_not ? "v.type not in (select id from visibility_type where namespace = ?1 and name in "
                  : "v.type in (select id from visibility_type where namespace = ?1 and name in ");
    put_values(w, node->values, node->value_count);
    put(w, ")");
}

static void put_comparison(struct writer *w, const struct visibility_node *node)
{
    bool is_equality = node->op == OP_EQ || node->op == OP_NE || node->op == OP_IN || node->op == OP_NOT_IN;
    if (node->op == OP_IS_NULL || node->op == OP_IS_NOT_NULL) put_null_test(w, node);
    else if (node->op == OP_STARTS_WITH || node->op == OP_NOT_STARTS_WITH) put_prefix_test(w, node);
    else if (node->attribute->type == ATTRIBUTE_TEXT) put_text_match(w, node);
    else if (node->attribute->type == ATTRIBUTE_KEYWORD_LIST) put_list_match(w, node);
    else if (node->attribute->field == FIELD_WORKFLOW_TYPE && is_equality) put_type_test(w, node);
    else put_scalar_test(w, node);
}

static void put_node(struct writer *w, const struct visibility_node *node)
{
    if (node->op == OP_AND || node->op == OP_OR) {
        put(w, "(");
        put_node(w, node->left);
        put(w, node->op == OP_AND ? " and " : " or ");
        put_node(w, node->right);
        put(w, ")");
    } else if (node->op == OP_NOT) {
        put(w, "not (");
        put_node(w, node->left);
        put(w, ")");
    } else {
        put_comparison(w, node);
    }
}

/* What every row of the answer must satisfy, but for the page. Begins with " and ". */
static void put_filter(struct writer *w, const struct visibility_query *query)
{
    if (!query->has_division) put(w, " and v.division is null");
    if (query->where == NULL) return;
    put(w, " and ");
    put_node(w, query->where);
}

/* ---- what the filter says about where its rows are ---- */

struct hints {
    uint32_t statuses;                       /* a bit each */
    const struct visibility_node *type;      /* WorkflowType = or IN */
    const struct visibility_node *value;     /* an attribute = or IN: the inverted table has these rows in order */
    const struct visibility_node *ids;       /* WorkflowId = or IN */
    const struct visibility_node *range;     /* ids or values that begin with, or lie between: to be gathered when few */
    const struct visibility_node *division;  /* = */
    int64_t start_min, start_max;
};

enum { ARMS_MAX = 64, STATUS_ALL = (1 << (VISIBILITY_STATUS_MAX + 1)) - 1, STATUS_OPEN = 1 << 1 | 1 << 8, STATUS_EITHER = 1 << 0 };

static bool is_equality(const struct visibility_node *node) { return node->op == OP_EQ || node->op == OP_IN; }

static uint32_t statuses_of(const struct visibility_node *node)
{
    uint32_t set = 0;
    if (!is_equality(node)) return STATUS_ALL;
    for (size_t i = 0; i < node->value_count; i++) {
        if (node->values[i].number >= 0 && node->values[i].number <= VISIBILITY_STATUS_MAX) set |= UINT32_C(1) << node->values[i].number;
    }
    return set;
}

static void hint_start(struct hints *h, const struct visibility_node *node)
{
    int64_t low = INT64_MIN, high = INT64_MAX, n = node->value_count != 0 ? node->values[0].number : 0;
    switch (node->op) {
    case OP_EQ: low = high = n; break;
    case OP_GT:
    case OP_GE: low = n; break;
    case OP_LT:
    case OP_LE: high = n; break;
    case OP_BETWEEN: low = n; high = node->values[1].number; break;
    default: break;
    }
    if (low > h->start_min) h->start_min = low;
    if (high < h->start_max) h->start_max = high;
}

static bool is_range(const struct visibility_node *node)
{
    return node->op == OP_STARTS_WITH || node->op == OP_BETWEEN || node->op == OP_LT || node->op == OP_LE || node->op == OP_GT || node->op == OP_GE;
}

static void hint_attribute(struct hints *h, const struct visibility_node *node)
{
    if (is_equality(node) && h->value == NULL && node->value_count <= ARMS_MAX) h->value = node;
    else if ((is_range(node) || is_equality(node)) && h->range == NULL && node->attribute->type != ATTRIBUTE_TEXT) h->range = node;
}

/* Every node that is AND-ed at the top. */
static void hint(struct hints *h, const struct visibility_node *node)
{
    if (node == NULL) return;
    if (node->op == OP_AND) {
        hint(h, node->left);
        hint(h, node->right);
        return;
    }
    if (node->attribute == NULL) return;
    switch (node->attribute->field) {
    case FIELD_STATUS: h->statuses &= statuses_of(node); break;
    case FIELD_WORKFLOW_TYPE:
        if (is_equality(node) && h->type == NULL && node->value_count <= ARMS_MAX / (VISIBILITY_STATUS_MAX + 1)) h->type = node;
        break;
    case FIELD_WORKFLOW_ID:
        if (is_equality(node) && h->ids == NULL) h->ids = node;
        if (node->op == OP_STARTS_WITH) h->range = node;
        break;
    case FIELD_PARENT_WORKFLOW_ID:
        if (is_equality(node) && node->value_count <= ARMS_MAX) h->value = node;
        break;
    case FIELD_DIVISION:
        if (node->op == OP_EQ) h->division = node;
        break;
    case FIELD_START_TIME: hint_start(h, node); break;
    case FIELD_CLOSE_TIME:
        if (node->op == OP_IS_NULL) h->statuses &= STATUS_OPEN | STATUS_EITHER;
        break;
    case FIELD_ATTRIBUTE: hint_attribute(h, node); break;
    default: break;
    }
}

static struct hints hints_of(const struct visibility_query *query)
{
    struct hints h = {.statuses = STATUS_ALL, .start_min = INT64_MIN, .start_max = INT64_MAX};
    hint(&h, query->where);
    return h;
}

/* ---- runs by a range of ids or values ---- */

/* The first text behind all that begin with `prefix`; empty when there is none. */
static struct str prefix_end(struct str prefix, struct arena *arena)
{
    while (prefix.size != 0 && (unsigned char)prefix.data[prefix.size - 1] == 0xff) prefix.size--;
    if (prefix.size == 0) return STR_EMPTY;
    char *end = arena_cstr(arena, prefix);
    end[prefix.size - 1]++;
    return str_make(end, prefix.size);
}

static void put_bound(struct writer *w, const char *sign, struct attribute_value value, bool is_bytes)
{
    put(w, sign);
    put_at(w, param(w, value, is_bytes));
}

static void put_range(struct writer *w, const struct visibility_node *node, const char *column, bool is_bytes)
{
    struct attribute_value low = node->values[0], high = node->value_count > 1 ? node->values[1] : low;
    put(w, column);
    switch (node->op) {
    case OP_STARTS_WITH:
        high.text = prefix_end(low.text, w->arena);
        put_bound(w, " >= ", low, is_bytes);
        if (high.text.size == 0) return;
        put(w, " and ");
        put(w, column);
        put_bound(w, " < ", high, is_bytes);
        break;
    case OP_BETWEEN:
        put_bound(w, " between ", low, is_bytes);
        put_bound(w, " and ", high, is_bytes);
        break;
    case OP_LT: put_bound(w, " < ", low, is_bytes); break;
    case OP_LE: put_bound(w, " <= ", low, is_bytes); break;
    case OP_GT: put_bound(w, " > ", low, is_bytes); break;
    case OP_GE: put_bound(w, " >= ", low, is_bytes); break;
    default:
        put(w, " in ");
        if (node->attribute->type == ATTRIBUTE_TEXT) put_words(w, node->values[0].text);
        else put_values(w, node->values, node->value_count);
        break;
    }
}

/* "select run from …": the runs in the range. */
static void put_range_runs(struct writer *w, const struct visibility_node *node)
{
    if (node->attribute->field == FIELD_WORKFLOW_ID) {
        put(w, "select run from run_of where namespace = ?1 and ");
        put_range(w, node, "workflow_id", true);
        return;
    }
    put(w, "select run from visibility_value where name = ");
    put_name_id(w, node->attribute->name);
    put(w, " and ");
    put_range(w, node, "value", false);
}

static void put_id_runs(struct writer *w, const struct visibility_node *ids)
{
    put(w, "select run from run_of where namespace = ?1 and workflow_id in ");
    for (size_t i = 0; i < ids->value_count; i++) {
        put(w, i == 0 ? "(" : ", ");
        put_bytes(w, ids->values[i].text);
    }
    put(w, ")");
}

bool visibility_sql_probe(const struct visibility_query *query, int64_t namespace_key, struct arena *arena, struct visibility_sql *sql)
{
    struct hints h = hints_of(query);
    if (h.range == NULL || h.ids != NULL || query->has_division) return false;
    struct writer w = writer_of(namespace_key, arena);
    put(&w, "select count(*) from (");
    put_range_runs(&w, h.range);
    buf_printf(&w.text, " limit %d)", VISIBILITY_GATHER_MAX + 1);
    *sql = finish(&w);
    return true;
}

struct visibility_sql visibility_sql_newest(int64_t namespace_key, struct arena *arena)
{
    struct writer w = writer_of(namespace_key, arena);
    put(&w, "select max(m) from (");
    for (int status = 0; status <= VISIBILITY_STATUS_MAX; status++) {
        buf_printf(&w.text, "%sselect max(v.close) as m from visibility v where v.namespace = ?1 and v.status = %d and v.division is null and v.close < "
                            CLOSE_OPEN, status != 0 ? " union all " : "", status);
    }
    put(&w, ")");
    return finish(&w);
}

/* ---- lists: the default order ---- */

struct arms {
    struct writer *w;
    const struct visibility_list *list;
    struct str filter;
    int count;
    int after_close, after_start, after_run, begun, limit; /* parameters */
};

static void arm_begin(struct arms *a, const char *key_alias, const char *close, const char *from)
{
    put(a->w, a->count++ == 0 ? "" : " union "); /* two arms may give the same run: it has two values of a list */
    buf_printf(&a->w->text, "select %s.run as run, %s as close, %s.start as start from %s", key_alias, close, key_alias, from);
    buf_append_str(&a->w->text, a->filter);
}

/* An index gives its rows by (close, start, run); `from` ends in conditions on its prefix. What closed since the first page stands among the open. */
static void put_arm(struct arms *a, const char *key, const char *from, bool may_be_open, bool may_be_closed)
{
    struct buf *out = &a->w->text;
    const struct visibility_place *after = a->list->after;
    char close[8];
    snprintf(close, sizeof(close), "%s.close", key);
    if (after == NULL) {
        arm_begin(a, key, close, from);
        if (!may_be_open) buf_printf(out, " and %s < " CLOSE_OPEN, close);
        if (!may_be_closed) buf_printf(out, " and %s = " CLOSE_OPEN, close);
        return;
    }
    bool is_among_open = after->values[0].number == INT64_MAX;
    if (is_among_open && may_be_open) {
        arm_begin(a, key, close, from);
        buf_printf(out, " and %s = " CLOSE_OPEN " and (%s.start, %s.run) < (?%d, ?%d)", close, key, key, a->after_start, a->after_run);
    }
    if (is_among_open && may_be_closed) {
        arm_begin(a, key, CLOSE_OPEN, from);
        buf_printf(out, " and %s > ?%d and %s < " CLOSE_OPEN " and (%s.start, %s.run) < (?%d, ?%d)", close, a->begun, close, key, key, a->after_start, a->after_run);
        arm_begin(a, key, close, from);
        buf_printf(out, " and %s <= ?%d", close, a->begun);
    }
    if (!is_among_open && may_be_closed) {
        arm_begin(a, key, close, from);
        buf_printf(out, " and (%s, %s.start, %s.run) < (?%d, ?%d, ?%d)", close, key, key, a->after_close, a->after_start, a->after_run);
    }
}

static bool is_open_only(uint32_t statuses) { return (statuses & ~(uint32_t)STATUS_OPEN) == 0; }
static bool is_closed_only(uint32_t statuses) { return (statuses & (STATUS_OPEN | STATUS_EITHER)) == 0; }

/* close >= start + shortest and close <= start + longest bound the close by the filter's start. Closed rows only. */
static void put_close_bounds(struct writer *w, const struct hints *h, const struct visibility_spans *spans, uint32_t statuses)
{
    int64_t low, high;
    if (!spans->is_known) return;
    if (h->start_min != INT64_MIN && !__builtin_add_overflow(h->start_min, spans->shortest, &low)) {
        put(w, " and v.close >= ");
        put_number(w, low);
    }
    if (is_closed_only(statuses) && h->start_max != INT64_MAX && !__builtin_add_overflow(h->start_max, spans->longest, &high)) {
        put(w, " and v.close <= ");
        put_number(w, high);
    }
}

static void put_status_arms(struct arms *a, const struct hints *h)
{
    size_t type_count = h->type != NULL ? h->type->value_count : 1;
    for (size_t t = 0; t < type_count; t++) {
        for (int status = 0; status <= VISIBILITY_STATUS_MAX; status++) {
            uint32_t bit = UINT32_C(1) << status;
            if ((h->statuses & bit) == 0) continue;
            struct buf kept = part_begin(a->w);
            if (h->type != NULL) {
                put(a->w, "visibility v indexed by visibility_by_type where v.namespace = ?1 and v.type = "
                          "(select id from visibility_type where namespace = ?1 and name = ");
                put_value(a->w, &h->type->values[t]);
                buf_printf(&a->w->text, ") and v.status = %d", status);
            } else {
                buf_printf(&a->w->text, "visibility v indexed by visibility_by_status where v.namespace = ?1 and v.status = %d", status);
            }
            put_close_bounds(a->w, h, &a->list->spans, bit);
            struct str from = part_end(a->w, kept);
            put_arm(a, "v", from.data, !is_closed_only(bit), !is_open_only(bit));
        }
    }
}

/* By how long it took, for a filter on the start time: each class says how far behind the start its closes may be. Worth it where most rows
 * match; a rare status is found by its own index. */
static bool wants_length_arms(const struct hints *h)
{
    return h->start_max != INT64_MAX && h->type == NULL && (h->statuses & UINT32_C(1) << 2) != 0;
}

static void put_length_arms(struct arms *a, const struct hints *h)
{
    for (int class = 0; class < VISIBILITY_CLASS_COUNT; class++) {
        struct buf kept = part_begin(a->w);
        struct visibility_spans spans = a->list->spans;
        int64_t high, longest = visibility_class_longest(class);
        buf_printf(&a->w->text, "visibility v indexed by visibility_by_length where v.namespace = ?1 and v.class = %d", class);
        if (!__builtin_add_overflow(h->start_max, longest, &high)) {
            put(a->w, " and v.close <= ");
            put_number(a->w, high);
        }
        put_close_bounds(a->w, h, &spans, STATUS_EITHER);
        struct str from = part_end(a->w, kept);
        put_arm(a, "v", from.data, false, true);
    }
}

struct value_arms {
    struct arms *arms;
    const struct hints *h;
};

static void put_value_arm(struct arms *a, const struct hints *h, struct attribute_value value)
{
    struct writer *w = a->w;
    struct buf kept = part_begin(w);
    put(w, "visibility_value k cross join visibility v on v.run = k.run where k.name = ");
    put_name_id(w, h->value->attribute->name);
    put(w, " and k.value = ");
    put_value(w, &value);
    struct str from = part_end(w, kept);
    put_arm(a, "k", from.data, !is_closed_only(h->statuses), !is_open_only(h->statuses));
}

static void put_word_arm(void *arg, struct str word)
{
    struct value_arms *v = arg;
    if (v->arms->count >= ARMS_MAX) return;
    put_value_arm(v->arms, v->h, (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = arena_str(v->arms->w->arena, word)});
}

static void put_value_arms(struct arms *a, const struct hints *h)
{
    struct value_arms v = {a, h};
    for (size_t i = 0; i < h->value->value_count; i++) {
        if (h->value->attribute->type == ATTRIBUTE_TEXT) attribute_words(h->value->values[i].text, put_word_arm, &v);
        else put_value_arm(a, h, h->value->values[i]);
    }
}

static void put_effective_close(struct writer *w, int begun)
{
    buf_printf(&w->text, "case when v.close > ?%d then " CLOSE_OPEN " else v.close end", begun);
}

/* Any source of rows, sorted afterwards. */
static void put_sorted(struct arms *a, const char *from)
{
    struct writer *w = a->w;
    put(w, "select v.run as run, ");
    put_effective_close(w, a->begun);
    put(w, " as close, v.start as start from ");
    put(w, from);
    buf_append_str(&w->text, a->filter);
    if (a->list->after == NULL) return;
    put(w, " and (");
    put_effective_close(w, a->begun);
    buf_printf(&w->text, ", v.start, v.run) < (?%d, ?%d, ?%d)", a->after_close, a->after_start, a->after_run);
}

static void counted_word(void *arg, struct str word)
{
    (void)word;
    ++*(size_t *)arg;
}

static size_t count_words(struct str text)
{
    size_t count = 0;
    attribute_words(text, counted_word, &count);
    return count;
}

/* "visibility v where …": rows of the ids, of the range, of the division, or of the namespace. */
static struct str source_of(struct writer *w, const struct visibility_query *query, const struct hints *h, bool is_gathered)
{
    struct buf kept = part_begin(w);
    if (h->ids != NULL && !query->has_division) {
        put(w, "visibility v where v.run in (");
        put_id_runs(w, h->ids);
        put(w, ")");
    } else if (is_gathered && h->range != NULL && !query->has_division) {
        put(w, "visibility v where v.run in (");
        put_range_runs(w, h->range);
        put(w, ")");
    } else if (h->division != NULL) {
        put(w, "visibility v indexed by visibility_by_division where v.namespace = ?1 and v.division = ");
        put_value(w, &h->division->values[0]);
    } else {
        put(w, "visibility v where v.namespace = ?1");
    }
    struct str from = part_end(w, kept);
    return from;
}

static void put_page_columns(struct writer *w)
{
    put(w, "select v.run, v.namespace, v.status, (select name from visibility_type where id = v.type), v.close, v.start, v.execution, v.duration, v.length, "
           "v.size, v.transitions, v.workflow_id, v.run_id, v.task_queue, v.parent_id, v.parent_run, v.root_id, v.root_run, v.division, v.rest from ");
}

static struct str filter_text(struct writer *w, const struct visibility_query *query)
{
    struct buf kept = part_begin(w);
    put_filter(w, query);
    return part_end(w, kept);
}

static void put_default_keys(struct arms *a, const struct hints *h)
{
    const struct visibility_query *query = a->list->query;
    bool has_few_words = h->value == NULL || h->value->attribute->type != ATTRIBUTE_TEXT || count_words(h->value->values[0].text) <= ARMS_MAX / 3;
    if (h->ids != NULL || a->list->is_gathered || query->has_division) {
        put_sorted(a, source_of(a->w, query, h, a->list->is_gathered).data);
    } else if (h->value != NULL && has_few_words) {
        put_value_arms(a, h);
    } else if (wants_length_arms(h)) {
        struct hints open = *h;
        open.statuses &= STATUS_OPEN | STATUS_EITHER; /* of status 0 the closed ones come twice, which the union mends */
        put_status_arms(a, &open);
        put_length_arms(a, h);
    } else {
        put_status_arms(a, h);
    }
}

static void list_default(struct writer *w, const struct visibility_list *list)
{
    struct hints h = hints_of(list->query);
    struct arms a = {.w = w, .list = list};
    a.begun = param_number(w, list->begun.ns);
    a.limit = param_number(w, (int64_t)list->limit);
    if (list->after != NULL) {
        a.after_close = param(w, list->after->values[0], false);
        a.after_start = param(w, list->after->values[1], false);
        a.after_run = param_number(w, list->after->run);
    }
    a.filter = filter_text(w, list->query);
    put_page_columns(w);
    put(w, "(");
    size_t before = w->text.size;
    put_default_keys(&a, &h);
    if (w->text.size == before) put(w, "select 0 as run, 0 as close, 0 as start where 0"); /* a status that nobody has */
    buf_printf(&w->text, " order by close desc, start desc, run desc limit ?%d) k cross join visibility v on v.run = k.run"
                         " order by k.close desc, k.start desc, k.run desc", a.limit);
}

/* ---- lists: ORDER BY ---- */

static void put_order_value(struct writer *w, const struct visibility_order *order, int begun)
{
    const struct attribute *a = order->attribute;
    if (a->field == FIELD_CLOSE_TIME) put_effective_close(w, begun);
    else put_field(w, a, a->type == ATTRIBUTE_KEYWORD_LIST ? "[0]" : "");
}

/* Behind the place in one attribute, all before it being equal. Absent values come last. */
static void put_behind(struct writer *w, const struct visibility_list *list, size_t at, int begun)
{
    for (size_t i = 0; i <= at; i++) {
        bool is_run = i == list->query->order_count;
        if (i != 0) put(w, " and ");
        if (is_run) {
            put(w, "v.run < ");
            put_number(w, list->after->run);
            continue;
        }
        const struct attribute_value *value = &list->after->values[i];
        put(w, "(");
        if (value->type == ATTRIBUTE_NONE && i == at) {
            put(w, "0");
        } else {
            put_order_value(w, &list->query->orders[i], begun);
            if (value->type == ATTRIBUTE_NONE) {
                put(w, " is null");
            } else {
                put(w, i < at ? " = " : list->query->orders[i].is_descending ? " < " : " > ");
                put_value(w, value);
            }
        }
        if (i == at && value->type != ATTRIBUTE_NONE) {
            put(w, " or ");
            put_order_value(w, &list->query->orders[i], begun);
            put(w, " is null");
        }
        put(w, ")");
    }
}

static void put_after(struct writer *w, const struct visibility_list *list, int begun)
{
    put(w, " and (");
    for (size_t at = 0; at <= list->query->order_count; at++) {
        put(w, at == 0 ? "(" : " or (");
        put_behind(w, list, at, begun);
        put(w, ")");
    }
    put(w, ")");
}

static void list_ordered(struct writer *w, const struct visibility_list *list)
{
    const struct visibility_query *query = list->query;
    struct hints h = hints_of(query);
    int begun = param_number(w, list->begun.ns), limit = param_number(w, (int64_t)list->limit);
    put_page_columns(w);
    if (h.value != NULL && h.ids == NULL && !query->has_division) {
        put(w, "visibility v where v.run in (");
        put_range_runs(w, h.value);
        put(w, ")");
    } else {
        buf_append_str(&w->text, source_of(w, query, &h, list->is_gathered));
    }
    put_filter(w, query);
    if (list->after != NULL) put_after(w, list, begun);
    put(w, " order by ");
    for (size_t i = 0; i < query->order_count; i++) {
        put_order_value(w, &query->orders[i], begun);
        put(w, " is null, ");
        put_order_value(w, &query->orders[i], begun);
        put(w, query->orders[i].is_descending ? " desc, " : ", ");
    }
    buf_printf(&w->text, "v.run desc limit ?%d", limit);
}

struct visibility_sql visibility_sql_list(const struct visibility_list *list, struct arena *arena)
{
    struct writer w = writer_of(list->namespace_key, arena);
    if (list->query->order_count == 0) list_default(&w, list);
    else list_ordered(&w, list);
    return finish(&w);
}

/* ---- counts ---- */

static bool node_is_counted(const struct visibility_node *node) /* the counters know by type and status */
{
    if (node == NULL) return true;
    if (node->attribute != NULL) return node->attribute->field == FIELD_STATUS || node->attribute->field == FIELD_WORKFLOW_TYPE;
    return node_is_counted(node->left) && node_is_counted(node->right);
}

static bool query_is_counted(const struct visibility_query *query)
{
    for (size_t i = 0; i < query->group_count; i++) {
        if (query->groups[i]->field != FIELD_STATUS && query->groups[i]->field != FIELD_WORKFLOW_TYPE) return false;
    }
    return !query->has_division && node_is_counted(query->where);
}

static void put_status_set(struct writer *w, uint32_t statuses)
{
    if (statuses == STATUS_ALL) return;
    put(w, " and v.status in (");
    bool is_first = true;
    for (int status = 0; status <= VISIBILITY_STATUS_MAX; status++) {
        if ((statuses >> status & 1) == 0) continue;
        buf_printf(&w->text, "%s%d", is_first ? "" : ", ", status);
        is_first = false;
    }
    put(w, ")");
}

/* One attribute with one kind of value, asked for by itself: the inverted table alone can tell, for ordinary rows are all it has of such. */
static bool is_plain_attribute(const struct attribute *a)
{
    return a->field == FIELD_ATTRIBUTE && a->type != ATTRIBUTE_TEXT && a->type != ATTRIBUTE_KEYWORD_LIST;
}

static bool count_is_by_value(const struct visibility_query *query)
{
    const struct visibility_node *node = query->where;
    return query->group_count == 0 && node != NULL && is_equality(node) && node->attribute != NULL && is_plain_attribute(node->attribute);
}

static bool group_is_by_value(const struct visibility_query *query)
{
    return query->group_count == 1 && query->where == NULL && is_plain_attribute(query->groups[0]);
}

static struct visibility_sql count_by_value(struct writer *w, const struct visibility_node *node)
{
    put(w, "select count(*) from visibility_value where name = ");
    put_name_id(w, node->attribute->name);
    put(w, " and ");
    put_range(w, node, "value", false);
    return finish(w);
}

static struct visibility_sql group_by_value(struct writer *w, const struct attribute *a)
{
    put(w, "select n, value from (select count(*) as n, value from visibility_value where name = ");
    put_name_id(w, a->name);
    put(w, " group by value union all select (select coalesce(sum(n), 0) from visibility_count where namespace = ?1)"
           " - (select count(*) from visibility_value where name = ");
    put_name_id(w, a->name);
    put(w, "), null) where n > 0 order by 1 desc, 2");
    return finish(w);
}

struct visibility_sql visibility_sql_count(const struct visibility_query *query, int64_t namespace_key, struct arena *arena)
{
    struct writer w = writer_of(namespace_key, arena);
    struct hints h = hints_of(query);
    bool is_counted = query_is_counted(query);
    if (count_is_by_value(query)) return count_by_value(&w, query->where);
    if (group_is_by_value(query)) return group_by_value(&w, query->groups[0]);
    put(&w, is_counted ? "select coalesce(sum(v.n), 0)" : "select count(*)");
    for (size_t i = 0; i < query->group_count; i++) {
        put(&w, ", ");
        const struct attribute *a = query->groups[i];
        if (a->field == FIELD_CLOSE_TIME) put(&w, "nullif(v.close, " CLOSE_OPEN ")");
        else put_field(&w, a, "");
    }
    put(&w, " from ");
    if (is_counted) {
        put(&w, "visibility_count v where v.namespace = ?1");
        if (query->where != NULL) {
            put(&w, " and ");
            put_node(&w, query->where);
        }
    } else {
        if (h.value != NULL && h.ids == NULL && !query->has_division) {
            put(&w, "visibility v where v.run in (");
            put_range_runs(&w, h.value);
            put(&w, ")");
        } else {
            buf_append_str(&w.text, source_of(&w, query, &h, true));
            put_status_set(&w, h.statuses);
        }
        put_filter(&w, query);
    }
    for (size_t i = 0; i < query->group_count; i++) buf_printf(&w.text, "%s%zu", i == 0 ? " group by " : ", ", i + 2);
    if (query->group_count != 0) {
        put(&w, is_counted ? " having sum(v.n) > 0 order by 1 desc" : " order by 1 desc");
        for (size_t i = 0; i < query->group_count; i++) buf_printf(&w.text, ", %zu", i + 2);
    }
    return finish(&w);
}
