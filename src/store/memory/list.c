#include "store/memory/tables.h"
#include "visibility/match.h"

#include <stdlib.h>

/* A list being made. Rows are kept as bytes, so each is decoded to be looked at. */
struct listing {
    struct memory *m;
    struct store_read *read;
    const struct visibility_query *query;
    bool has_token;
    struct visibility_place after;
    instant begun;
    struct arena scratch;        /* of one row */
    struct candidate {
        const struct record *record;
        struct visibility_place place;
    } *found;
    size_t count, capacity;
};

static const struct record *row_record(const struct tree_node *node) { return container_of(node, struct record, second); }

static pb_store_VisibilityRow *row_decode(const struct record *record, struct arena *arena)
{
    pb_store_VisibilityRow *row = NULL;
    err result = PB_DECODE(arena, record->bytes, pb_store_VisibilityRow, &row);
    ensure(result == ERR_NONE); /* we wrote these bytes ourselves */
    return row;
}

/* Keeps the row if it matches and stands behind the token. */
static void consider(struct listing *l, const struct record *record)
{
    arena_reset(&l->scratch);
    const pb_store_VisibilityRow *row = row_decode(record, &l->scratch);
    if (!visibility_matches(l->query, row, &l->scratch)) return;
    struct visibility_place place = visibility_place_of(l->query, l->begun, row, &l->scratch);
    if (l->has_token && visibility_place_compare(l->query, &place, &l->after) <= 0) return;
    if (l->count == l->capacity) {
        l->capacity = l->capacity == 0 ? 64 : l->capacity * 2;
        l->found = xrealloc(l->found, l->capacity * sizeof(*l->found));
    }
    struct candidate *c = &l->found[l->count++];
    *c = (struct candidate){record, place};
    c->place.values = arena_array(&l->read->arena, struct attribute_value, place.count);
    for (size_t i = 0; i < place.count; i++) {
        c->place.values[i] = place.values[i];
        c->place.values[i].text = arena_str(&l->read->arena, place.values[i].text);
    }
}

static int candidate_compare(const void *a, const void *b, void *query)
{
    return visibility_place_compare(query, &((const struct candidate *)a)->place, &((const struct candidate *)b)->place);
}

static void sort_found(struct listing *l)
{
    if (l->count > 1) qsort_r(l->found, l->count, sizeof(*l->found), candidate_compare, (void *)(uintptr_t)l->query);
}

static struct tree_node *rows_first(struct memory *m, int64_t namespace_key) { return tree_at_or_after(&m->order, namespace_key, STR_EMPTY, INT64_MIN); }

static int64_t close_of(const struct record *record)
{
    uint64_t u = 0;
    for (int i = 0; i < 8; i++) u = u << 8 | (uint8_t)record->key.data[i];
    return ~(int64_t)(u ^ (UINT64_C(1) << 63));
}

/* The newest close there is: what closes later than that was open when the first page was made. */
static instant begun_of(struct listing *l)
{
    char key[8];
    struct tree_node *node = tree_at_or_after(&l->m->order, l->read->namespace_key, due_key(~(INT64_MAX - 1), key), INT64_MIN);
    bool has_closed = node != NULL && node->a == l->read->namespace_key;
    return (instant){has_closed ? close_of(row_record(node)) : INT64_MIN};
}

/* The default order is the tree's own, but for rows that closed since the first page: they are looked at together with the open ones. */
static void list_default(struct listing *l, size_t limit)
{
    struct tree_node *node = rows_first(l->m, l->read->namespace_key);
    int64_t namespace_key = l->read->namespace_key;
    bool is_among_open = !l->has_token || l->after.values[0].number == INT64_MAX;
    if (is_among_open) {
        for (; node != NULL && node->a == namespace_key && close_of(row_record(node)) > l->begun.ns; node = tree_next(node)) {
            if (!l->has_token && l->count > limit) return;
            consider(l, row_record(node));
        }
        sort_found(l);
    } else {
        char key[16];
        due_key(~l->after.values[0].number, key);
        due_key(~l->after.values[1].number, key + 8);
        node = tree_at_or_after(&l->m->order, namespace_key, str_make(key, sizeof(key)), -l->after.run);
    }
    for (; node != NULL && node->a == namespace_key && l->count <= limit; node = tree_next(node)) consider(l, row_record(node));
}

static void list_ordered(struct listing *l)
{
    struct tree_node *node = rows_first(l->m, l->read->namespace_key);
    for (; node != NULL && node->a == l->read->namespace_key; node = tree_next(node)) consider(l, row_record(node));
    sort_found(l);
}

static void give_page(struct listing *l, size_t limit)
{
    struct store_read *read = l->read;
    read->has_more = l->count > limit;
    read->visibility_count = size_min(l->count, limit);
    read->visibility = arena_array(&read->arena, pb_store_VisibilityRow *, read->visibility_count);
    for (size_t i = 0; i < read->visibility_count; i++) read->visibility[i] = row_decode(l->found[i].record, &read->arena);
    if (read->has_more) read->next_page_token = visibility_token_encode(&l->found[limit - 1].place, l->begun, &read->arena);
}

err memory_list(struct memory *m, struct store_read *read)
{
    struct listing l = {.m = m, .read = read, .query = read->query, .has_token = !str_is_empty(read->page_token)};
    size_t limit = read->limit != 0 ? read->limit : STORE_PAGE_DEFAULT;
    if (l.has_token) TRY(visibility_token_decode(l.query, read->page_token, &read->arena, &l.after, &l.begun, &read->error));
    else l.begun = begun_of(&l);
    arena_init(&l.scratch, 0, 0);
    if (l.query->order_count == 0) list_default(&l, limit);
    else list_ordered(&l);
    give_page(&l, limit);
    free(l.found);
    arena_fini(&l.scratch);
    return ERR_NONE;
}

/* ---- counts ---- */

struct counting {
    struct store_read *read;
    struct map groups;           /* encoded values -> struct store_group */
};

static void count_row(struct counting *c, const pb_store_VisibilityRow *row, struct arena *scratch)
{
    const struct visibility_query *query = c->read->query;
    struct arena *arena = &c->read->arena;
    struct buf key = {0};
    const pb_common_Payload **values = arena_array(scratch, const pb_common_Payload *, query->group_count + 1);
    for (size_t i = 0; i < query->group_count; i++) {
        struct attribute_values of_row = visibility_row_values(row, query->groups[i], scratch);
        values[i] = visibility_group_value(query->groups[i], &of_row, scratch);
        buf_append_byte(&key, of_row.is_present);
        buf_printf(&key, "%zu:", values[i]->data.size);
        buf_append_str(&key, values[i]->data);
    }
    struct store_group *group = map_get(&c->groups, buf_view(&key));
    if (group == NULL) {
        group = arena_new(arena, struct store_group);
        group->value_count = query->group_count;
        group->values = arena_array(arena, const pb_common_Payload *, query->group_count + 1);
        for (size_t i = 0; i < query->group_count; i++) {
            group->values[i] = PB_CLONE(arena, pb_common_Payload, values[i]);
        }
        map_put(&c->groups, buf_view(&key), group);
    }
    group->count++;
    buf_fini(&key);
}

static int group_compare(const void *a, const void *b) /* the largest first */
{
    const struct store_group *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    for (size_t i = 0; i < x->value_count; i++) {
        int c = str_compare(x->values[i]->data, y->values[i]->data);
        if (c != 0) return c;
    }
    return 0;
}

err memory_count(struct memory *m, struct store_read *read)
{
    struct counting c = {.read = read};
    struct arena scratch;
    arena_init(&scratch, 0, 0);
    struct tree_node *node = rows_first(m, read->namespace_key);
    for (; node != NULL && node->a == read->namespace_key; node = tree_next(node)) {
        arena_reset(&scratch);
        const pb_store_VisibilityRow *row = row_decode(row_record(node), &scratch);
        if (visibility_matches(read->query, row, &scratch)) count_row(&c, row, &scratch);
    }
    read->group_count = map_count(&c.groups);
    bool is_zero = read->group_count == 0 && read->query->group_count == 0;
    read->groups = arena_array(&read->arena, struct store_group, read->group_count + 1);
    read->group_count += is_zero; /* without GROUP BY there is always one, if only of 0 */
    size_t at = 0, count = 0;
    for (const struct store_group *group; (group = map_next(&c.groups, &at, NULL)) != NULL;) read->groups[count++] = *group;
    qsort(read->groups, read->group_count, sizeof(*read->groups), group_compare);
    map_fini(&c.groups);
    arena_fini(&scratch);
    return ERR_NONE;
}
