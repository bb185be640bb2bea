#include "visibility/sample.h"

void sample_attributes(struct attribute_registry *registry)
{
    static const char *const names[] = {"Text", "Kw", "Num", "Real", "Flag", "Moment", "Tags"}; /* by type */
    attribute_registry_init(registry);
    for (int i = 0; i < (int)countof(names); i++) {
        ensure(attribute_registry_add(registry, str_of(names[i]), (enum attribute_type)(i + 1), NULL, NULL) == ERR_NONE);
    }
}

static const char *const words[] = {"a", "b", "Order", "it's", "back\\slash", "\"", "", "\xc3\xa9t\xc3\xa9", "x y", "A", "ab", "%", "_"};
static const char *const texts[] = {"some words", "Quick brown fox", "the lazy dog", "quick-dog 42", "\xc3\x89t\xc3\xa9 fox_trot", "a"};
static const char *const types[] = {"TypeA", "TypeB", "TypeC"};
static const char *const divisions[] = {"TemporalScheduler", "TemporalBatcher"};

static struct str pick(struct prng *prng, const char *const *from, size_t count) { return str_of(from[prng_below(prng, count)]); }
#define PICK(prng, table) pick((prng), (table), countof(table))

static int64_t sample_time(struct prng *prng) { return (int64_t)(prng_below(prng, 20) + 100) * NS_PER_S; }

/* ---- filters ---- */

static void put_quoted(struct buf *out, struct str text)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)text.data[i]);
    }
    buf_append_byte(out, '"');
}

static struct str text_for(struct prng *prng, const struct attribute *a, struct arena *arena)
{
    switch (a->field) {
    case FIELD_WORKFLOW_ID:
    case FIELD_PARENT_WORKFLOW_ID:
    case FIELD_ROOT_WORKFLOW_ID: return arena_printf(arena, "w%d", (int)prng_below(prng, 12));
    case FIELD_RUN_ID: return arena_printf(arena, "r%d", (int)prng_below(prng, 100) + 1);
    case FIELD_WORKFLOW_TYPE: return PICK(prng, types);
    case FIELD_DIVISION: return PICK(prng, divisions);
    case FIELD_TASK_QUEUE: return prng_chance(prng, 2) ? STR("queue1") : STR("queue2");
    default: return a->type == ATTRIBUTE_TEXT ? PICK(prng, texts) : PICK(prng, words);
    }
}

static void put_value(struct prng *prng, const struct attribute *a, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    if (a->field == FIELD_STATUS) {
        buf_printf(out, "%d", (int)prng_below(prng, 10));
    } else if (a->field == FIELD_EXECUTION_DURATION) {
        buf_printf(out, "'%ds'", (int)prng_below(prng, 20));
    } else if (a->type == ATTRIBUTE_INT) {
        if (prng_chance(prng, 5)) buf_printf(out, "%d.5", (int)prng_below(prng, 10));
        else buf_printf(out, "%d", (int)prng_below(prng, 10) - 2);
    } else if (a->type == ATTRIBUTE_DOUBLE) {
        buf_printf(out, "%d.%d", (int)prng_below(prng, 5), (int)prng_below(prng, 2) * 5);
    } else if (a->type == ATTRIBUTE_BOOL) {
        buf_append_str(out, prng_chance(prng, 2) ? STR("true") : STR("false"));
    } else if (a->type == ATTRIBUTE_DATETIME) {
        buf_printf(out, "%" PRId64, sample_time(prng));
    } else {
        put_quoted(out, text_for(prng, a, &arena));
    }
    arena_fini(&arena);
}

static void put_comparison(struct prng *prng, const struct attribute *a, struct buf *out)
{
    static const char *const signs[] = {" = ", " != ", " < ", " <= ", " > ", " >= "};
    bool is_set = a->type == ATTRIBUTE_TEXT || a->type == ATTRIBUTE_KEYWORD_LIST;
    bool is_word = a->type == ATTRIBUTE_KEYWORD && a->field != FIELD_STATUS;
    uint64_t kind = prng_below(prng, 6);
    buf_append_str(out, a->name);
    if (kind == 0) {
        buf_append_str(out, prng_chance(prng, 2) ? STR(" is null") : STR(" is not null"));
    } else if (kind == 1 && a->type != ATTRIBUTE_TEXT) {
        buf_append_str(out, prng_chance(prng, 3) ? STR(" not in (") : STR(" in ("));
        for (uint64_t n = prng_below(prng, 4);; n--) {
            put_value(prng, a, out);
            if (n == 0) break;
            buf_append_byte(out, ',');
        }
        buf_append_byte(out, ')');
    } else if (kind == 2 && !is_set) {
        buf_append_str(out, prng_chance(prng, 3) ? STR(" not between ") : STR(" between "));
        put_value(prng, a, out);
        buf_append_str(out, STR(" and "));
        put_value(prng, a, out);
    } else if (kind == 3 && is_word) {
        buf_append_str(out, prng_chance(prng, 3) ? STR(" not starts_with ") : STR(" starts_with "));
        put_value(prng, a, out);
    } else {
        buf_append_str(out, str_of(signs[kind >= 4 ? 0 : prng_below(prng, is_set ? 2 : countof(signs))]));
        put_value(prng, a, out);
    }
}

void sample_filter(const struct attribute_registry *registry, struct prng *prng, int depth, struct buf *out)
{
    static const char *const names[] = {
        "Text", "Kw", "Kw", "Num", "Real", "Flag", "Moment", "Tags", "Tags", "StartTime", "CloseTime", "ExecutionTime", "ExecutionStatus", "ExecutionStatus",
        "WorkflowType", "WorkflowType", "WorkflowId", "RunId", "TaskQueue", "ExecutionDuration", "HistoryLength", "HistorySizeBytes", "StateTransitionCount",
        "ParentWorkflowId", "ParentRunId", "RootWorkflowId", "RootRunId", "TemporalNamespaceDivision",
    };
    uint64_t kind = prng_below(prng, depth > 0 ? 8 : 1);
    if (kind < 3) {
        /* divisions now and then only: a filter that names them sees the hidden rows */
        size_t name = prng_below(prng, prng_chance(prng, 8) ? countof(names) : countof(names) - 1);
        put_comparison(prng, attribute_find(registry, str_of(names[name])), out);
        return;
    }
    if (kind == 3) buf_append_str(out, STR("NOT "));
    buf_append_byte(out, '(');
    sample_filter(registry, prng, depth - 1, out);
    if (kind != 3) {
        buf_append_str(out, kind == 4 ? STR(" OR ") : STR(" AND "));
        sample_filter(registry, prng, depth - 1, out);
    }
    buf_append_byte(out, ')');
}

/* ---- rows ---- */

static void attribute_put(pb_store_VisibilityRow *row, const char *name, enum attribute_type type, struct attribute_value *values, size_t count,
                          struct arena *arena)
{
    pb_common_SearchAttributes_IndexedFieldsEntry *entry = PB_PUSH_NEW(arena, row->search_attributes, indexed_fields);
    entry->key = str_of(name);
    entry->value = attribute_encode(&(struct attribute_values){values, count, true}, type, arena);
}

static void attributes_put(struct prng *prng, pb_store_VisibilityRow *row, struct arena *arena)
{
    row->search_attributes = pb_new(arena, pb_common_SearchAttributes);
    struct attribute_value text = {.type = ATTRIBUTE_TEXT, .text = PICK(prng, texts)}, kw = {.type = ATTRIBUTE_KEYWORD, .text = PICK(prng, words)};
    struct attribute_value num = {.type = ATTRIBUTE_INT, .number = (int64_t)prng_below(prng, 10) - 2};
    struct attribute_value real = {.type = ATTRIBUTE_DOUBLE, .real = (double)prng_below(prng, 10) / 2};
    struct attribute_value flag = {.type = ATTRIBUTE_BOOL, .number = (int64_t)prng_below(prng, 2)};
    struct attribute_value moment = {.type = ATTRIBUTE_DATETIME, .number = sample_time(prng)};
    struct attribute_value tags[3];
    for (size_t i = 0; i < countof(tags); i++) tags[i] = (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = PICK(prng, words)};
    if (!prng_chance(prng, 3)) attribute_put(row, "Text", ATTRIBUTE_TEXT, &text, 1, arena);
    if (!prng_chance(prng, 3)) attribute_put(row, "Kw", ATTRIBUTE_KEYWORD, &kw, 1, arena);
    if (!prng_chance(prng, 3)) attribute_put(row, "Num", ATTRIBUTE_INT, &num, 1, arena);
    if (!prng_chance(prng, 3)) attribute_put(row, "Real", ATTRIBUTE_DOUBLE, &real, 1, arena);
    if (!prng_chance(prng, 3)) attribute_put(row, "Flag", ATTRIBUTE_BOOL, &flag, 1, arena);
    if (!prng_chance(prng, 3)) attribute_put(row, "Moment", ATTRIBUTE_DATETIME, &moment, 1, arena);
    if (!prng_chance(prng, 3)) attribute_put(row, "Tags", ATTRIBUTE_KEYWORD_LIST, tags, prng_below(prng, countof(tags) + 1), arena);
}

pb_store_VisibilityRow *sample_row(struct prng *prng, int64_t run, struct arena *arena)
{
    pb_store_VisibilityRow *row = pb_new(arena, pb_store_VisibilityRow);
    int64_t start = sample_time(prng);
    row->namespace_key = 1;
    row->run_key = run;
    row->workflow_id = arena_printf(arena, "w%d", (int)prng_below(prng, 12));
    row->run_id = arena_printf(arena, "r%" PRId64, run);
    row->workflow_type = PICK(prng, types);
    row->task_queue = prng_chance(prng, 2) ? STR("queue1") : STR("queue2");
    row->status = prng_chance(prng, 10) ? 8 : 1;
    row->start_time = pb_timestamp_new(arena, (instant){start});
    row->execution_time = prng_chance(prng, 4) ? NULL : row->start_time;
    row->version = 1;
    if (prng_chance(prng, 3)) {
        row->parent_workflow_id = row->root_workflow_id = arena_printf(arena, "w%d", (int)prng_below(prng, 12));
        row->parent_run_id = row->root_run_id = STR("r1");
    }
    if (prng_chance(prng, 15)) row->namespace_division = PICK(prng, divisions);
    if (prng_chance(prng, 2)) {
        int64_t took = (int64_t)prng_below(prng, 15) * NS_PER_S;
        row->status = 2 + (int32_t)prng_below(prng, 6);
        row->close_time = pb_timestamp_new(arena, (instant){start + took});
        row->execution_duration = pb_duration_new(arena, (duration){took});
        row->history_length = (int64_t)prng_below(prng, 10);
        row->history_size = (int64_t)prng_below(prng, 10);
        row->state_transition_count = (int64_t)prng_below(prng, 10);
    }
    if (!prng_chance(prng, 4)) attributes_put(prng, row, arena);
    return row;
}
