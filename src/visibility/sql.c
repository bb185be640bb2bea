#include "visibility/sql_filter.h"

#include <stdio.h>

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

/* ---- what the filter says about where its rows are ---- */

struct hints {
    uint32_t statuses;                       /* a bit each */
    const struct visibility_node *type;      /* WorkflowType = or IN */
    const struct visibility_node *value;     /* an attribute = or IN: the inverted table has these rows in order */
    const struct visibility_node *ids;       /* WorkflowId = or IN */
    const struct visibility_node *run_ids;   /* RunId = or IN */
    const struct visibility_node *range;     /* ids or values that begin with, or lie between: to be gathered when few */
    const struct visibility_node *division;  /* = */
    int64_t start_min, start_max;
};

enum { ARMS_MAX = 64, STATUS_ALL = (1 << (VISIBILITY_STATUS_MAX + 1)) - 1, STATUS_OPEN = 1 << 1 | 1 << 8, STATUS_EITHER = 1 << 0 };

static uint32_t statuses_of(const struct visibility_node *node)
{
    uint32_t set = 0;
    if (!sql_is_equality(node)) return STATUS_ALL;
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
    if (sql_is_equality(node) && h->value == NULL && node->value_count <= ARMS_MAX) h->value = node;
    else if ((is_range(node) || sql_is_equality(node)) && h->range == NULL && node->attribute->type != ATTRIBUTE_TEXT) h->range = node;
}

/* Every node that is AND-ed at the top. */
static void hint(struct hints *h, const struct visibility_node *node, struct arena *arena)
{
    if (node == NULL) return;
    if (node->op == OP_AND) {
        hint(h, node->left, arena);
        hint(h, node->right, arena);
        return;
    }
    if (node->op == OP_OR) node = sql_as_one(node, arena);
    if (node == NULL || node->attribute == NULL) return;
    switch (node->attribute->field) {
    case FIELD_STATUS: h->statuses &= statuses_of(node); break;
    case FIELD_WORKFLOW_TYPE:
        if (sql_is_equality(node) && h->type == NULL && node->value_count <= ARMS_MAX / (VISIBILITY_STATUS_MAX + 1)) h->type = node;
        break;
    case FIELD_WORKFLOW_ID:
        if (sql_is_equality(node) && h->ids == NULL) h->ids = node;
        if (node->op == OP_STARTS_WITH) h->range = node;
        break;
    case FIELD_RUN_ID:
        if (sql_is_equality(node) && h->run_ids == NULL) h->run_ids = node;
        break;
    case FIELD_PARENT_WORKFLOW_ID:
        if (sql_is_equality(node) && node->value_count <= ARMS_MAX) h->value = node;
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

static struct hints hints_of(const struct visibility_query *query, struct arena *arena)
{
    struct hints h = {.statuses = STATUS_ALL, .start_min = INT64_MIN, .start_max = INT64_MAX};
    hint(&h, query->where, arena);
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

static void put_bound(struct sql_writer *w, const char *sign, struct attribute_value value, bool is_bytes)
{
    sql_put(w, sign);
    sql_put_at(w, sql_param(w, value, is_bytes));
}

static void put_range(struct sql_writer *w, const struct visibility_node *node, const char *column, bool is_bytes)
{
    struct attribute_value low = node->values[0], high = node->value_count > 1 ? node->values[1] : low;
    sql_put(w, column);
    switch (node->op) {
    case OP_STARTS_WITH:
        high.text = prefix_end(low.text, w->arena);
        put_bound(w, " >= ", low, is_bytes);
        if (high.text.size == 0) return;
        sql_put(w, " and ");
        sql_put(w, column);
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
        sql_put(w, " in ");
        if (node->attribute->type == ATTRIBUTE_TEXT) sql_put_words(w, node);
        else sql_put_values(w, node->values, node->value_count);
        break;
    }
}

/* "select run from …": the runs in the range. */
static void put_range_runs(struct sql_writer *w, const struct visibility_node *node)
{
    if (node->attribute->field == FIELD_WORKFLOW_ID) {
        sql_put(w, "select run from run_of where namespace = ?1 and ");
        put_range(w, node, "workflow_id", true);
        return;
    }
    sql_put(w, "select run from visibility_value where name = ");
    sql_put_name_id(w, node->attribute->name);
    sql_put(w, " and ");
    put_range(w, node, "value", false);
}

uint32_t visibility_run_tag(struct str run_id) { return (uint32_t)str_hash(run_id); }

/* No index leads from a run id to its run; the tags lie close together, so that all of a namespace are soon looked through. */
static void put_run_id_runs(struct sql_writer *w, const struct visibility_node *run_ids)
{
    struct attribute_value *tags = arena_array(w->arena, struct attribute_value, run_ids->value_count);
    for (size_t i = 0; i < run_ids->value_count; i++) {
        tags[i] = (struct attribute_value){.type = ATTRIBUTE_INT, .number = visibility_run_tag(run_ids->values[i].text)};
    }
    sql_put(w, "select run from run_of where namespace = ?1 and tag in ");
    sql_put_values(w, tags, run_ids->value_count);
}

static void put_id_runs(struct sql_writer *w, const struct visibility_node *ids)
{
    sql_put(w, "select run from run_of where namespace = ?1 and workflow_id in (select cast(value as blob) from json_each(");
    sql_put_json(w, ids->values, ids->value_count);
    sql_put(w, "))");
}

bool visibility_sql_probe(const struct visibility_query *query, int64_t namespace_key, struct arena *arena, struct visibility_sql *sql)
{
    struct hints h = hints_of(query, arena);
    if (h.range == NULL || h.ids != NULL || query->has_division) return false;
    struct sql_writer w = sql_writer_of(namespace_key, arena);
    sql_put(&w, "select count(*) from (");
    put_range_runs(&w, h.range);
    buf_printf(&w.text, " limit %d)", VISIBILITY_GATHER_MAX + 1);
    *sql = sql_finish(&w);
    return true;
}

struct visibility_sql visibility_sql_newest(int64_t namespace_key, struct arena *arena)
{
    struct sql_writer w = sql_writer_of(namespace_key, arena);
    sql_put(&w, "select max(m) from (");
    for (int status = 0; status <= VISIBILITY_STATUS_MAX; status++) {
        buf_printf(&w.text, "%sselect max(v.close) as m from visibility v where v.namespace = ?1 and v.status = %d and v.division is null and v.close < "
                            SQL_CLOSE_OPEN, status != 0 ? " union all " : "", status);
    }
    sql_put(&w, ")");
    return sql_finish(&w);
}

/* ---- lists: the default order ---- */

struct arms {
    struct sql_writer *w;
    const struct visibility_list *list;
    struct str filter;
    int count;
    int after_close, after_start, after_run, begun, limit; /* parameters */
};

static void arm_begin(struct arms *a, const char *key_alias, const char *close, const char *from)
{
    sql_put(a->w, a->count++ == 0 ? "" : " union "); /* two arms may give the same run: it has two values of a list */
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
        if (!may_be_open) buf_printf(out, " and %s < " SQL_CLOSE_OPEN, close);
        if (!may_be_closed) buf_printf(out, " and %s = " SQL_CLOSE_OPEN, close);
        return;
    }
    bool is_among_open = after->values[0].number == INT64_MAX;
    if (is_among_open && may_be_open) {
        arm_begin(a, key, close, from);
        buf_printf(out, " and %s = " SQL_CLOSE_OPEN " and (%s.start, %s.run) < (?%d, ?%d)", close, key, key, a->after_start, a->after_run);
    }
    if (is_among_open && may_be_closed) {
        arm_begin(a, key, SQL_CLOSE_OPEN, from);
        buf_printf(out, " and %s > ?%d and %s < " SQL_CLOSE_OPEN " and (%s.start, %s.run) < (?%d, ?%d)", close, a->begun, close, key, key, a->after_start, a->after_run);
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
static void put_close_bounds(struct sql_writer *w, const struct hints *h, const struct visibility_spans *spans, uint32_t statuses)
{
    int64_t low, high;
    if (!spans->is_known) return;
    if (h->start_min != INT64_MIN && !__builtin_add_overflow(h->start_min, spans->shortest, &low)) {
        sql_put(w, " and v.close >= ");
        sql_put_number(w, low);
    }
    if (is_closed_only(statuses) && h->start_max != INT64_MAX && !__builtin_add_overflow(h->start_max, spans->longest, &high)) {
        sql_put(w, " and v.close <= ");
        sql_put_number(w, high);
    }
}

static void put_status_arms(struct arms *a, const struct hints *h)
{
    size_t type_count = h->type != NULL ? h->type->value_count : 1;
    for (size_t t = 0; t < type_count; t++) {
        for (int status = 0; status <= VISIBILITY_STATUS_MAX; status++) {
            uint32_t bit = UINT32_C(1) << status;
            if ((h->statuses & bit) == 0) continue;
            struct buf kept = sql_part_begin(a->w);
            if (h->type != NULL) {
                sql_put(a->w, "visibility v indexed by visibility_by_type where v.namespace = ?1 and v.type = "
                          "(select id from visibility_type where namespace = ?1 and name = ");
                sql_put_value(a->w, &h->type->values[t]);
                buf_printf(&a->w->text, ") and v.status = %d", status);
            } else {
                buf_printf(&a->w->text, "visibility v indexed by visibility_by_status where v.namespace = ?1 and v.status = %d", status);
            }
            put_close_bounds(a->w, h, &a->list->spans, bit);
            struct str from = sql_part_end(a->w, kept);
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
        struct buf kept = sql_part_begin(a->w);
        struct visibility_spans spans = a->list->spans;
        int64_t high, longest = visibility_class_longest(class);
        buf_printf(&a->w->text, "visibility v indexed by visibility_by_length where v.namespace = ?1 and v.class = %d", class);
        if (!__builtin_add_overflow(h->start_max, longest, &high)) {
            sql_put(a->w, " and v.close <= ");
            sql_put_number(a->w, high);
        }
        put_close_bounds(a->w, h, &spans, STATUS_EITHER);
        struct str from = sql_part_end(a->w, kept);
        put_arm(a, "v", from.data, false, true);
    }
}

struct value_arms {
    struct arms *arms;
    const struct hints *h;
};

static void put_value_arm(struct arms *a, const struct hints *h, struct attribute_value value)
{
    struct sql_writer *w = a->w;
    struct buf kept = sql_part_begin(w);
    sql_put(w, "visibility_value k cross join visibility v on v.run = k.run where k.name = ");
    sql_put_name_id(w, h->value->attribute->name);
    sql_put(w, " and k.value = ");
    sql_put_value(w, &value);
    struct str from = sql_part_end(w, kept);
    put_arm(a, "k", from.data, !is_closed_only(h->statuses), !is_open_only(h->statuses));
}

static void put_word_arm(void *arg, struct str word)
{
    struct value_arms *v = arg;
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

static void put_effective_close(struct sql_writer *w, int begun)
{
    buf_printf(&w->text, "case when v.close > ?%d then " SQL_CLOSE_OPEN " else v.close end", begun);
}

/* Any source of rows, sorted afterwards. */
static void put_sorted(struct arms *a, const char *from)
{
    struct sql_writer *w = a->w;
    sql_put(w, "select v.run as run, ");
    put_effective_close(w, a->begun);
    sql_put(w, " as close, v.start as start from ");
    sql_put(w, from);
    buf_append_str(&w->text, a->filter);
    if (a->list->after == NULL) return;
    sql_put(w, " and (");
    put_effective_close(w, a->begun);
    buf_printf(&w->text, ", v.start, v.run) < (?%d, ?%d, ?%d)", a->after_close, a->after_start, a->after_run);
}

/* "visibility v where …": rows of the ids, of the range, of the division, or of the namespace. */
static struct str source_of(struct sql_writer *w, const struct visibility_query *query, const struct hints *h, bool is_gathered)
{
    struct buf kept = sql_part_begin(w);
    if (h->ids != NULL && !query->has_division) {
        sql_put(w, "visibility v where v.run in (");
        put_id_runs(w, h->ids);
        sql_put(w, ")");
    } else if (is_gathered && h->range != NULL && !query->has_division) {
        sql_put(w, "visibility v where v.run in (");
        put_range_runs(w, h->range);
        sql_put(w, ")");
    } else if (h->run_ids != NULL && !query->has_division) {
        sql_put(w, "visibility v where v.run in (");
        put_run_id_runs(w, h->run_ids);
        sql_put(w, ")");
    } else if (h->division != NULL) {
        sql_put(w, "visibility v indexed by visibility_by_division where v.namespace = ?1 and v.division = ");
        sql_put_value(w, &h->division->values[0]);
    } else {
        sql_put(w, "visibility v where v.namespace = ?1");
    }
    struct str from = sql_part_end(w, kept);
    return from;
}

static void put_page_columns(struct sql_writer *w)
{
    sql_put(w, "select v.run, v.namespace, v.status, (select name from visibility_type where id = v.type), v.close, v.start, v.execution, v.duration, v.length, "
           "v.size, v.transitions, v.workflow_id, v.run_id, v.task_queue, v.parent_id, v.parent_run, v.root_id, v.root_run, v.division, v.rest from ");
}

static struct str filter_text(struct sql_writer *w, const struct visibility_query *query)
{
    struct buf kept = sql_part_begin(w);
    sql_put_filter(w, query);
    return sql_part_end(w, kept);
}

static void put_default_keys(struct arms *a, const struct hints *h)
{
    const struct visibility_query *query = a->list->query;
    bool has_few_words = h->value == NULL || h->value->attribute->type != ATTRIBUTE_TEXT || sql_words_of(h->value, a->w->arena).count <= ARMS_MAX;
    if (h->division != NULL) {
        put_arm(a, "v", source_of(a->w, query, h, false).data, true, true); /* its index has the order, too */
    } else if (h->ids != NULL || a->list->is_gathered || query->has_division || (h->run_ids != NULL && h->value == NULL)) {
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

static void list_default(struct sql_writer *w, const struct visibility_list *list)
{
    struct hints h = hints_of(list->query, w->arena);
    struct arms a = {.w = w, .list = list};
    a.begun = sql_param_number(w, list->begun.ns);
    a.limit = sql_param_number(w, (int64_t)list->limit);
    if (list->after != NULL) {
        a.after_close = sql_param(w, list->after->values[0], false);
        a.after_start = sql_param(w, list->after->values[1], false);
        a.after_run = sql_param_number(w, list->after->run);
    }
    a.filter = filter_text(w, list->query);
    put_page_columns(w);
    sql_put(w, "(");
    size_t before = w->text.size;
    put_default_keys(&a, &h);
    if (w->text.size == before) sql_put(w, "select 0 as run, 0 as close, 0 as start where 0"); /* a status that nobody has */
    buf_printf(&w->text, " order by close desc, start desc, run desc limit ?%d) k cross join visibility v on v.run = k.run"
                         " order by k.close desc, k.start desc, k.run desc", a.limit);
}

/* ---- lists: ORDER BY ---- */

static void put_order_value(struct sql_writer *w, const struct visibility_order *order, int begun)
{
    const struct attribute *a = order->attribute;
    if (a->field == FIELD_CLOSE_TIME) put_effective_close(w, begun);
    else sql_put_field(w, a, a->type == ATTRIBUTE_KEYWORD_LIST ? "[0]" : "");
}

/* Behind the place in one attribute, all before it being equal. Absent values come last. */
static void put_behind(struct sql_writer *w, const struct visibility_list *list, size_t at, int begun)
{
    for (size_t i = 0; i <= at; i++) {
        bool is_run = i == list->query->order_count;
        if (i != 0) sql_put(w, " and ");
        if (is_run) {
            sql_put(w, "v.run < ");
            sql_put_number(w, list->after->run);
            continue;
        }
        const struct attribute_value *value = &list->after->values[i];
        sql_put(w, "(");
        if (value->type == ATTRIBUTE_NONE && i == at) {
            sql_put(w, "0");
        } else {
            put_order_value(w, &list->query->orders[i], begun);
            if (value->type == ATTRIBUTE_NONE) {
                sql_put(w, " is null");
            } else {
                sql_put(w, i < at ? " = " : list->query->orders[i].is_descending ? " < " : " > ");
                sql_put_value(w, value);
            }
        }
        if (i == at && value->type != ATTRIBUTE_NONE) {
            sql_put(w, " or ");
            put_order_value(w, &list->query->orders[i], begun);
            sql_put(w, " is null");
        }
        sql_put(w, ")");
    }
}

static void put_after(struct sql_writer *w, const struct visibility_list *list, int begun)
{
    sql_put(w, " and (");
    for (size_t at = 0; at <= list->query->order_count; at++) {
        sql_put(w, at == 0 ? "(" : " or (");
        put_behind(w, list, at, begun);
        sql_put(w, ")");
    }
    sql_put(w, ")");
}

/* One attribute with one kind of value: the inverted table has all of its rows in the order of their values, and ordinary rows only. */
static bool is_plain_attribute(const struct attribute *a)
{
    return a->field == FIELD_ATTRIBUTE && a->type != ATTRIBUTE_TEXT && a->type != ATTRIBUTE_KEYWORD_LIST;
}

struct ordered {
    struct sql_writer *w;
    const struct visibility_list *list;
    int begun, limit;            /* parameters */
    struct str filter, after;    /* written before */
};

/* The filter itself says where its rows are. */
static bool has_source(const struct visibility_list *list, const struct hints *h)
{
    return h->ids != NULL || h->run_ids != NULL || h->value != NULL || h->division != NULL || list->is_gathered || list->query->has_division;
}

/* "select run, o0, o1 … from": what the page is chosen and ordered by. first: in place of the first value; NULL: as it is. */
static void put_order_keys(const struct ordered *o, const char *key, const char *first)
{
    const struct visibility_query *query = o->list->query;
    buf_printf(&o->w->text, "select %s.run as run", key);
    for (size_t i = 0; i < query->order_count; i++) {
        sql_put(o->w, ", ");
        if (i == 0 && first != NULL) sql_put(o->w, first);
        else put_order_value(o->w, &query->orders[i], o->begun);
        buf_printf(&o->w->text, " as o%zu", i);
    }
    sql_put(o->w, " from ");
}

static void put_order(const struct ordered *o, size_t from, const char *key)
{
    const struct visibility_query *query = o->list->query;
    sql_put(o->w, " order by ");
    for (size_t i = from; i < query->order_count; i++) buf_printf(&o->w->text, "o%zu is null, o%zu%s, ", i, i, query->orders[i].is_descending ? " desc" : "");
    buf_printf(&o->w->text, "%s.run desc limit ?%d", key, o->limit);
}

/* The inverted table gives the values in order, so that it ends with the page; then come those without a value. */
static void put_keys_by_value(const struct ordered *o, const struct hints *h)
{
    struct sql_writer *w = o->w;
    const struct visibility_order *first = &o->list->query->orders[0];
    const struct visibility_place *after = o->list->after;
    bool has_values = after == NULL || after->values[0].type != ATTRIBUTE_NONE;
    if (has_values) {
        sql_put(w, "select * from (");
        put_order_keys(o, "k", "k.value");
        sql_put(w, "visibility_value k cross join visibility v on v.run = k.run where k.name = ");
        sql_put_name_id(w, first->attribute->name);
        if (after != NULL) {
            sql_put(w, first->is_descending ? " and k.value <= " : " and k.value >= ");
            sql_put_value(w, &after->values[0]);
        }
        buf_append_str(&w->text, o->filter);
        buf_append_str(&w->text, o->after);
        sql_put(w, first->is_descending ? " order by k.value desc, " : " order by k.value, ");
        for (size_t i = 1; i < o->list->query->order_count; i++)
            buf_printf(&w->text, "o%zu is null, o%zu%s, ", i, i, o->list->query->orders[i].is_descending ? " desc" : "");
        buf_printf(&w->text, "k.run desc limit ?%d) union all ", o->limit);
    }
    sql_put(w, "select * from (");
    put_order_keys(o, "v", "null");
    buf_append_str(&w->text, source_of(w, o->list->query, h, false));
    sql_put(w, " and ");
    put_order_value(w, first, o->begun);
    sql_put(w, " is null");
    buf_append_str(&w->text, o->filter);
    buf_append_str(&w->text, o->after);
    put_order(o, 1, "v");
    buf_printf(&w->text, ") limit ?%d", o->limit);
}

/* Workflow ids are in order where runs are found by them. */
static void put_keys_by_id(const struct ordered *o)
{
    struct sql_writer *w = o->w;
    const struct visibility_order *first = &o->list->query->orders[0];
    put_order_keys(o, "r", "v.workflow_id");
    sql_put(w, "run_of r cross join visibility v on v.run = r.run where r.namespace = ?1");
    if (o->list->after != NULL) put_bound(w, first->is_descending ? " and r.workflow_id <= " : " and r.workflow_id >= ", o->list->after->values[0], true);
    buf_append_str(&w->text, o->filter);
    buf_append_str(&w->text, o->after);
    sql_put(w, first->is_descending ? " order by r.workflow_id desc, " : " order by r.workflow_id, ");
    for (size_t i = 1; i < o->list->query->order_count; i++)
        buf_printf(&w->text, "o%zu is null, o%zu%s, ", i, i, o->list->query->orders[i].is_descending ? " desc" : "");
    buf_printf(&w->text, "r.run desc limit ?%d", o->limit);
}

static void put_keys_sorted(const struct ordered *o, const struct hints *h)
{
    const struct visibility_query *query = o->list->query;
    put_order_keys(o, "v", NULL);
    if (h->value != NULL && h->ids == NULL && !query->has_division) {
        sql_put(o->w, "visibility v where v.run in (");
        put_range_runs(o->w, h->value);
        sql_put(o->w, ")");
    } else if (o->list->is_large && !has_source(o->list, h) && h->type == NULL && h->statuses == STATUS_ALL) {
        sql_put(o->w, "visibility v not indexed where v.namespace = ?1"); /* an index would lead to each row singly */
    } else {
        buf_append_str(&o->w->text, source_of(o->w, query, h, o->list->is_gathered));
    }
    buf_append_str(&o->w->text, o->filter);
    buf_append_str(&o->w->text, o->after);
    put_order(o, 0, "v");
}

/* First which runs, by what orders them alone; then the rows of the page. */
static void list_ordered(struct sql_writer *w, const struct visibility_list *list)
{
    const struct visibility_query *query = list->query;
    struct hints h = hints_of(query, w->arena);
    struct ordered o = {.w = w, .list = list, .begun = sql_param_number(w, list->begun.ns), .limit = sql_param_number(w, (int64_t)list->limit)};
    o.filter = filter_text(w, query);
    struct buf kept = sql_part_begin(w);
    if (list->after != NULL) put_after(w, list, o.begun);
    o.after = sql_part_end(w, kept);
    put_page_columns(w);
    sql_put(w, "(");
    const struct attribute *first = query->orders[0].attribute;
    if (!has_source(list, &h) && is_plain_attribute(first)) put_keys_by_value(&o, &h);
    else if (!has_source(list, &h) && first->field == FIELD_WORKFLOW_ID) put_keys_by_id(&o);
    else put_keys_sorted(&o, &h);
    sql_put(w, ") k cross join visibility v on v.run = k.run order by ");
    for (size_t i = 0; i < query->order_count; i++) buf_printf(&w->text, "k.o%zu is null, k.o%zu%s, ", i, i, query->orders[i].is_descending ? " desc" : "");
    sql_put(w, "k.run desc");
}

struct visibility_sql visibility_sql_list(const struct visibility_list *list, struct arena *arena)
{
    struct sql_writer w = sql_writer_of(list->namespace_key, arena);
    if (list->query->order_count == 0) list_default(&w, list);
    else list_ordered(&w, list);
    return sql_finish(&w);
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

static void put_status_set(struct sql_writer *w, uint32_t statuses)
{
    if (statuses == STATUS_ALL) return;
    sql_put(w, " and v.status in (");
    bool is_first = true;
    for (int status = 0; status <= VISIBILITY_STATUS_MAX; status++) {
        if ((statuses >> status & 1) == 0) continue;
        buf_printf(&w->text, "%s%d", is_first ? "" : ", ", status);
        is_first = false;
    }
    sql_put(w, ")");
}

/* Asked for by itself: the inverted table alone can tell. */
static bool count_is_by_value(const struct visibility_query *query)
{
    const struct visibility_node *node = query->where;
    return query->group_count == 0 && node != NULL && sql_is_equality(node) && node->attribute != NULL && is_plain_attribute(node->attribute);
}

static bool group_is_by_value(const struct visibility_query *query)
{
    return query->group_count == 1 && query->where == NULL && is_plain_attribute(query->groups[0]);
}

static struct visibility_sql count_by_value(struct sql_writer *w, const struct visibility_node *node)
{
    sql_put(w, "select count(*) from visibility_value where name = ");
    sql_put_name_id(w, node->attribute->name);
    sql_put(w, " and ");
    put_range(w, node, "value", false);
    return sql_finish(w);
}

static struct visibility_sql group_by_value(struct sql_writer *w, const struct attribute *a)
{
    sql_put(w, "select n, value from (select count(*) as n, value from visibility_value where name = ");
    sql_put_name_id(w, a->name);
    sql_put(w, " group by value union all select (select coalesce(sum(n), 0) from visibility_count where namespace = ?1)"
           " - (select count(*) from visibility_value where name = ");
    sql_put_name_id(w, a->name);
    sql_put(w, "), null) where n > 0 order by 1 desc, 2");
    return sql_finish(w);
}

struct visibility_sql visibility_sql_count(const struct visibility_query *query, int64_t namespace_key, struct arena *arena)
{
    struct sql_writer w = sql_writer_of(namespace_key, arena);
    struct hints h = hints_of(query, arena);
    bool is_counted = query_is_counted(query);
    if (count_is_by_value(query)) return count_by_value(&w, query->where);
    if (group_is_by_value(query)) return group_by_value(&w, query->groups[0]);
    sql_put(&w, is_counted ? "select coalesce(sum(v.n), 0)" : "select count(*)");
    for (size_t i = 0; i < query->group_count; i++) {
        sql_put(&w, ", ");
        const struct attribute *a = query->groups[i];
        if (a->field == FIELD_CLOSE_TIME) sql_put(&w, "nullif(v.close, " SQL_CLOSE_OPEN ")");
        else sql_put_field(&w, a, "");
    }
    sql_put(&w, " from ");
    if (is_counted) {
        sql_put(&w, "visibility_count v where v.namespace = ?1");
        if (query->where != NULL) {
            sql_put(&w, " and ");
            sql_put_node(&w, query->where);
        }
    } else {
        if (h.value != NULL && h.ids == NULL && !query->has_division) {
            sql_put(&w, "visibility v where v.run in (");
            put_range_runs(&w, h.value);
            sql_put(&w, ")");
        } else {
            buf_append_str(&w.text, source_of(&w, query, &h, true));
            put_status_set(&w, h.statuses);
        }
        sql_put_filter(&w, query);
    }
    for (size_t i = 0; i < query->group_count; i++) buf_printf(&w.text, "%s%zu", i == 0 ? " group by " : ", ", i + 2);
    if (query->group_count != 0) {
        sql_put(&w, is_counted ? " having sum(v.n) > 0 order by 1 desc" : " order by 1 desc");
        for (size_t i = 0; i < query->group_count; i++) buf_printf(&w.text, ", %zu", i + 2);
    }
    return sql_finish(&w);
}
