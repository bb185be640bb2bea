#include "visibility/match.h"

enum truth { NO, YES, UNKNOWN };

static enum truth truth_of(bool b) { return b ? YES : NO; }
static enum truth truth_not(enum truth t) { return t == UNKNOWN ? UNKNOWN : truth_of(t == NO); }

/* ---- comparing values ---- */

static int compare_numbers(const struct attribute_value *a, const struct attribute_value *b)
{
    if (a->type != ATTRIBUTE_DOUBLE && b->type != ATTRIBUTE_DOUBLE) return (a->number > b->number) - (a->number < b->number);
    /* A long double holds every 64-bit number and every double. */
    long double x = a->type == ATTRIBUTE_DOUBLE ? (long double)a->real : (long double)a->number;
    long double y = b->type == ATTRIBUTE_DOUBLE ? (long double)b->real : (long double)b->number;
    return (x > y) - (x < y);
}

static bool is_text(const struct attribute_value *v) { return v->type == ATTRIBUTE_KEYWORD || v->type == ATTRIBUTE_TEXT; }

static int compare_values(const struct attribute_value *a, const struct attribute_value *b)
{
    return is_text(a) ? str_compare(a->text, b->text) : compare_numbers(a, b);
}

/* ---- words of a Text ---- */

struct word_search {
    struct str wanted_in;        /* the text whose words are looked through */
    struct str word;
    bool is_found;
};

static void compare_word(void *arg, struct str word)
{
    struct word_search *s = arg;
    if (str_equal(word, s->word)) s->is_found = true;
}

static void find_word(void *arg, struct str word)
{
    struct word_search *s = arg;
    if (s->is_found) return;
    s->word = word;
    attribute_words(s->wanted_in, compare_word, s);
}

static bool shares_word(struct str text, struct str literal)
{
    struct word_search s = {.wanted_in = text};
    attribute_words(literal, find_word, &s);
    return s.is_found;
}

/* ---- one comparison ---- */

static bool has_equal(const struct attribute_values *values, const struct attribute_value *wanted)
{
    for (size_t i = 0; i < values->count; i++) {
        if (wanted->type == ATTRIBUTE_TEXT ? shares_word(values->values[i].text, wanted->text) : compare_values(&values->values[i], wanted) == 0) return true;
    }
    return false;
}

static bool has_any(const struct attribute_values *values, const struct visibility_node *node)
{
    for (size_t i = 0; i < node->value_count; i++) {
        if (has_equal(values, &node->values[i])) return true;
    }
    return false;
}

static enum truth compare_one(const struct visibility_node *node, const struct attribute_value *value)
{
    int first = compare_values(value, &node->values[0]);
    switch (node->op) {
    case OP_LT: return truth_of(first < 0);
    case OP_LE: return truth_of(first <= 0);
    case OP_GT: return truth_of(first > 0);
    case OP_GE: return truth_of(first >= 0);
    case OP_BETWEEN: return truth_of(first >= 0 && compare_values(value, &node->values[1]) <= 0);
    case OP_NOT_BETWEEN: return truth_of(first < 0 || compare_values(value, &node->values[1]) > 0);
    case OP_STARTS_WITH: return truth_of(str_starts_with(value->text, node->values[0].text));
    case OP_NOT_STARTS_WITH: return truth_of(!str_starts_with(value->text, node->values[0].text));
    default: return UNKNOWN;
    }
}

static enum truth compare(const struct visibility_node *node, const pb_store_VisibilityRow *row, struct arena *scratch)
{
    const struct attribute *a = node->attribute;
    struct attribute_values values = visibility_row_values(row, a, scratch);
    struct attribute_value never = {.type = ATTRIBUTE_DATETIME, .number = INT64_MAX};
    if (node->op == OP_IS_NULL) return truth_of(!values.is_present);
    if (node->op == OP_IS_NOT_NULL) return truth_of(values.is_present);
    if (a->field == FIELD_CLOSE_TIME && !values.is_present) values = (struct attribute_values){&never, 1, true};
    bool is_set = a->type == ATTRIBUTE_KEYWORD_LIST || a->type == ATTRIBUTE_TEXT;
    if (!is_set && values.count == 0) return UNKNOWN;
    switch (node->op) {
    case OP_EQ:
    case OP_IN: return truth_of(has_any(&values, node));
    case OP_NE:
    case OP_NOT_IN: return truth_of(!has_any(&values, node));
    default: return compare_one(node, &values.values[0]);
    }
}

static enum truth evaluate(const struct visibility_node *node, const pb_store_VisibilityRow *row, struct arena *scratch)
{
    enum truth left, right;
    switch (node->op) {
    case OP_AND:
        left = evaluate(node->left, row, scratch);
        if (left == NO) return NO;
        right = evaluate(node->right, row, scratch);
        return right == NO ? NO : left == YES && right == YES ? YES : UNKNOWN;
    case OP_OR:
        left = evaluate(node->left, row, scratch);
        if (left == YES) return YES;
        right = evaluate(node->right, row, scratch);
        return right == YES ? YES : left == NO && right == NO ? NO : UNKNOWN;
    case OP_NOT: return truth_not(evaluate(node->left, row, scratch));
    default: return compare(node, row, scratch);
    }
}

bool visibility_matches(const struct visibility_query *query, const pb_store_VisibilityRow *row, struct arena *scratch)
{
    if (!query->has_division && !str_is_empty(row->namespace_division)) return false;
    return query->where == NULL || evaluate(query->where, row, scratch) == YES;
}

/* ---- order ---- */

static struct attribute_value close_value(instant begun, const pb_store_VisibilityRow *row)
{
    int64_t close = visibility_row_close(row);
    return (struct attribute_value){.type = ATTRIBUTE_DATETIME, .number = close > begun.ns ? INT64_MAX : close};
}

struct visibility_place visibility_place_of(const struct visibility_query *query, instant begun, const pb_store_VisibilityRow *row, struct arena *arena)
{
    struct visibility_place place = {.count = query->order_count != 0 ? query->order_count : 2, .run = row->run_key};
    place.values = arena_array(arena, struct attribute_value, place.count);
    if (query->order_count == 0) {
        place.values[0] = close_value(begun, row);
        place.values[1] = (struct attribute_value){.type = ATTRIBUTE_DATETIME, .number = visibility_row_start(row)};
        return place;
    }
    for (size_t i = 0; i < query->order_count; i++) {
        const struct attribute *a = query->orders[i].attribute;
        if (a->field == FIELD_CLOSE_TIME) {
            place.values[i] = close_value(begun, row);
            continue;
        }
        struct attribute_values values = visibility_row_values(row, a, arena);
        if (values.count != 0) place.values[i] = values.values[0];
    }
    return place;
}

int visibility_place_compare(const struct visibility_query *query, const struct visibility_place *a, const struct visibility_place *b)
{
    for (size_t i = 0; i < a->count; i++) {
        bool has_a = a->values[i].type != ATTRIBUTE_NONE, has_b = b->values[i].type != ATTRIBUTE_NONE;
        if (!has_a && !has_b) continue;
        if (has_a != has_b) return has_a ? -1 : 1;
        int c = compare_values(&a->values[i], &b->values[i]);
        if (c == 0) continue;
        bool is_descending = query->order_count == 0 || query->orders[i].is_descending;
        return is_descending ? -c : c;
    }
    return (a->run < b->run) - (a->run > b->run);
}

/* ---- tokens ----
 *
 *   0  1  version
 *   1  1  number of values
 *   2  8  begun, 8 run key
 *  18     each value: 1 type, then 8 number (or the bits of a real), or 4 size and the bytes */

enum { TOKEN_VERSION = 1, TOKEN_HEAD = 18 };

static void put_u64(struct buf *out, uint64_t v)
{
    for (int i = 0; i < 8; i++, v >>= 8) buf_append_byte(out, (uint8_t)v);
}

static void put_size(struct buf *out, size_t v)
{
    for (int i = 0; i < 4; i++, v >>= 8) buf_append_byte(out, (uint8_t)v);
}

static uint64_t get_number(const char *at, int size)
{
    uint64_t v = 0;
    for (int i = size - 1; i >= 0; i--) v = v << 8 | (uint8_t)at[i];
    return v;
}

struct str visibility_token_encode(const struct visibility_place *last, instant begun, struct arena *arena)
{
    struct buf out = {0};
    buf_append_byte(&out, TOKEN_VERSION);
    buf_append_byte(&out, (uint8_t)last->count);
    put_u64(&out, (uint64_t)begun.ns);
    put_u64(&out, (uint64_t)last->run);
    for (size_t i = 0; i < last->count; i++) {
        const struct attribute_value *v = &last->values[i];
        buf_append_byte(&out, (uint8_t)v->type);
        uint64_t bits;
        memcpy(&bits, &v->real, sizeof(bits));
        if (v->type == ATTRIBUTE_NONE) continue;
        if (is_text(v)) {
            put_size(&out, v->text.size);
            buf_append_str(&out, v->text);
        } else {
            put_u64(&out, v->type == ATTRIBUTE_DOUBLE ? bits : (uint64_t)v->number);
        }
    }
    struct str token = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return token;
}

/* One value off the front of *rest. */
static bool take_value(struct str *rest, struct attribute_value *v)
{
    if (rest->size < 1 || (uint8_t)rest->data[0] >= ATTRIBUTE_TYPE_COUNT) return false;
    *v = (struct attribute_value){.type = (enum attribute_type)rest->data[0]};
    *rest = str_skip(*rest, 1);
    if (v->type == ATTRIBUTE_NONE) return true;
    size_t size = is_text(v) ? 4 : 8;
    if (rest->size < size) return false;
    uint64_t number = get_number(rest->data, (int)size);
    *rest = str_skip(*rest, size);
    if (!is_text(v)) {
        if (v->type == ATTRIBUTE_DOUBLE) memcpy(&v->real, &number, sizeof(number));
        else v->number = (int64_t)number;
        return true;
    }
    if (rest->size < number) return false;
    v->text = str_make(rest->data, number);
    *rest = str_skip(*rest, number);
    return true;
}

/* The type that places of this query have at i. */
static enum attribute_type place_type(const struct visibility_query *query, size_t i)
{
    if (query->order_count == 0) return ATTRIBUTE_DATETIME;
    const struct attribute *a = query->orders[i].attribute;
    if (a->field == FIELD_STATUS) return ATTRIBUTE_INT;
    return a->type == ATTRIBUTE_KEYWORD_LIST ? ATTRIBUTE_KEYWORD : a->type;
}

static bool token_read(const struct visibility_query *query, struct str token, struct visibility_place *last, instant *begun)
{
    if (token.size < TOKEN_HEAD || token.data[0] != TOKEN_VERSION || (uint8_t)token.data[1] != last->count) return false;
    begun->ns = (int64_t)get_number(token.data + 2, 8);
    last->run = (int64_t)get_number(token.data + 10, 8);
    struct str rest = str_skip(token, TOKEN_HEAD);
    for (size_t i = 0; i < last->count; i++) {
        if (!take_value(&rest, &last->values[i])) return false;
        if (last->values[i].type != ATTRIBUTE_NONE && last->values[i].type != place_type(query, i)) return false;
        if (query->order_count == 0 && last->values[i].type == ATTRIBUTE_NONE) return false;
    }
    return rest.size == 0;
}

err visibility_token_decode(const struct visibility_query *query, struct str token, struct arena *arena, struct visibility_place *last, instant *begun,
                            struct error *error)
{
    struct visibility_place place = {.count = query->order_count != 0 ? query->order_count : 2};
    place.values = arena_array(arena, struct attribute_value, place.count);
    instant first;
    if (!token_read(query, arena_str(arena, token), &place, &first)) {
        return error_set(error, arena, ERR_INVALID, "the page token does not belong to this query");
    }
    *last = place;
    *begun = first;
    return ERR_NONE;
}

/* ---- groups ---- */

const pb_common_Payload *visibility_group_value(const struct attribute *attribute, const struct attribute_values *values, struct arena *arena)
{
    if (!values->is_present) {
        pb_common_Payload *none = attribute_encode(values, attribute->type, arena);
        none->metadata[0]->value = STR("binary/null");
        none->data = STR_EMPTY;
        return none;
    }
    if (attribute->field == FIELD_STATUS) {
        const char *name = visibility_status_name((int32_t)values->values[0].number);
        struct attribute_value status = {.type = ATTRIBUTE_KEYWORD, .text = str_of(name != NULL ? name : "Unspecified")};
        return attribute_encode(&(struct attribute_values){&status, 1, true}, ATTRIBUTE_KEYWORD, arena);
    }
    return attribute_encode(values, attribute->type, arena);
}
