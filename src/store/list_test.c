/* Lists and counts: every store gives the same rows in the same order, page by page, for filters drawn from seeds; the memory store's
 * evaluation of the tree is the yardstick for the SQL. */
#include "base/test.h"
#include "store/contract.h"
#include "visibility/sample.h"

#include <unistd.h>

enum { RUNS = 150 };

struct world {
    struct store *store;
    struct desk desk;
};
struct pair { /* the same rows in both */
    struct world memory, sqlite;
    char folder[32], path[64];
    struct attribute_registry registry;
    struct arena arena;
    int64_t run;
};

static void pair_init(struct pair *p)
{
    *p = (struct pair){.folder = "list-XXXXXX"};
    ensure(mkdtemp(p->folder) != NULL);
    snprintf(p->path, sizeof(p->path), "%s/perdure.db", p->folder);
    arena_init(&p->arena, 0, 0);
    struct error error = {0};
    struct store_sqlite_options options = {.path = p->path, .is_sync_off = true};
    ensure(store_memory_open(&p->memory.store) == ERR_NONE);
    ensure(store_sqlite_open(&options, &p->sqlite.store, &p->arena, &error) == ERR_NONE);
    desk_init(&p->memory.desk, p->memory.store, 0);
    desk_init(&p->sqlite.desk, p->sqlite.store, 0);
    sample_attributes(&p->registry);
}

static void pair_fini(struct pair *p)
{
    desk_fini(&p->memory.desk);
    desk_fini(&p->sqlite.desk);
    store_close(p->memory.store);
    store_close(p->sqlite.store);
    unlink(p->path);
    rmdir(p->folder);
    attribute_registry_fini(&p->registry);
    arena_fini(&p->arena);
}

static void put_one(struct world *w, const pb_store_VisibilityRow *row)
{
    struct draft draft;
    draft_init(&draft, &w->desk);
    if (str_is_empty(row->namespace_division)) { /* a run; other entities have a row alone */
        struct store_op *run = draft_op(&draft, STORE_RUN_PUT);
        run->run = row->run_key;
        run->namespace_key = row->namespace_key;
        run->key = row->workflow_id;
        run->run_id = row->run_id;
    }
    draft_op(&draft, STORE_VISIBILITY_PUT)->visibility = row;
    check_int(draft_commit(&draft, &w->desk), ERR_NONE);
}

static void put_row(struct pair *p, const pb_store_VisibilityRow *row)
{
    put_one(&p->memory, row);
    put_one(&p->sqlite, row);
}

static void delete_row(struct pair *p, int64_t run)
{
    struct world *worlds[] = {&p->memory, &p->sqlite};
    for (int i = 0; i < 2; i++) {
        struct draft draft;
        draft_init(&draft, &worlds[i]->desk);
        draft_op(&draft, prng_chance(&(struct prng){{(uint64_t)run, 1, 2, 3}}, 2) ? STORE_VISIBILITY_DELETE : STORE_RUN_DELETE)->run = run;
        check_int(draft_commit(&draft, &worlds[i]->desk), ERR_NONE);
    }
}

/* The run keys of one page, in order; the token is replaced by that of the next one. False: there was an error. */
static bool list_page(struct pair *p, struct world *w, const struct visibility_query *query, size_t limit, struct str *token, struct buf *runs)
{
    struct ask ask;
    ask_init(&ask, &w->desk, STORE_LIST);
    ask.read.query = query;
    ask.read.limit = limit;
    ask.read.page_token = *token;
    err result = ask_read(&ask, &w->desk);
    if (result != ERR_NONE) fprintf(stderr, "%s: %.*s\n", w->store->ops->name, STR_ARG(error_message(&ask.read.error)));
    check_int(result, ERR_NONE);
    for (size_t i = 0; i < ask.read.visibility_count; i++) buf_printf(runs, "%" PRId64 " ", ask.read.visibility[i]->run_key);
    check(ask.read.has_more == !str_is_empty(ask.read.next_page_token));
    check(!ask.read.has_more || ask.read.visibility_count == limit);
    *token = arena_str(&p->arena, ask.read.next_page_token);
    ask_fini(&ask);
    return result == ERR_NONE;
}

static bool query_of(struct pair *p, struct str text, bool is_count, struct visibility_query **query)
{
    struct visibility_parse how = {.registry = &p->registry, .now = {115 * NS_PER_S}, .is_count = is_count};
    struct error error = {0};
    err result = visibility_query_parse(text, &how, &p->arena, query, &error);
    if (result != ERR_NONE) fprintf(stderr, "%.*s: %.*s\n", STR_ARG(text), STR_ARG(error.message));
    check_int(result, ERR_NONE);
    return result == ERR_NONE;
}

static void fill(struct pair *p, struct prng *prng)
{
    for (p->run = 1; p->run <= RUNS; p->run++) { /* one in fifteen belongs to a division */
        pb_store_VisibilityRow *row = sample_row(prng, p->run, &p->arena);
        put_row(p, row);
        if (!prng_chance(prng, 3)) continue;
        pb_store_VisibilityRow *changed = sample_row(prng, p->run, &p->arena); /* what the run becomes: new values, a close */
        changed->workflow_id = row->workflow_id;
        changed->run_id = row->run_id;
        changed->version = prng_chance(prng, 8) ? 0 : 2; /* an old one changes nothing */
        if (prng_chance(prng, 2)) {
            changed->start_time = row->start_time;
            changed->workflow_type = row->workflow_type;
            changed->namespace_division = row->namespace_division;
        }
        put_row(p, changed);
    }
    for (int i = 0; i < 10; i++) delete_row(p, (int64_t)prng_below(prng, RUNS) + 1);
}

static void put_orders(struct prng *prng, struct buf *text)
{
    static const char *const names[] = {"Kw", "Num", "Real", "Flag", "Moment", "Tags", "Text", "StartTime", "CloseTime", "ExecutionStatus", "WorkflowType",
                                        "WorkflowId", "ParentWorkflowId", "RootWorkflowId", "HistoryLength", "ExecutionDuration"};
    if (prng_chance(prng, 2)) return;
    for (uint64_t i = 0, n = 1 + prng_below(prng, 3); i < n; i++) {
        buf_printf(text, "%s%s%s", i == 0 ? " ORDER BY " : ", ", names[prng_below(prng, countof(names))], prng_chance(prng, 2) ? " DESC" : "");
    }
}

TEST(all_stores_list_the_same_rows_in_the_same_order)
{
    struct prng prng;
    prng_init(&prng, 11);
    struct pair p;
    pair_init(&p);
    fill(&p, &prng);
    for (int round = 0; round < 1500; round++) {
        struct buf text = {0}, expected = {0}, actual = {0};
        if (prng_chance(&prng, 15)) buf_append_str(&text, STR("TemporalNamespaceDivision = 'TemporalScheduler' AND "));
        if (text.size != 0 || !prng_chance(&prng, 10)) sample_filter(&p.registry, &prng, (int)prng_below(&prng, 4), &text);
        put_orders(&prng, &text);
        struct visibility_query *query;
        test_row = arena_str(&p.arena, buf_view(&text)).data;
        if (query_of(&p, buf_view(&text), false, &query)) {
            size_t limit = 1 + prng_below(&prng, 40);
            struct str left = STR_EMPTY, right = STR_EMPTY;
            do {
                if (!list_page(&p, &p.memory, query, limit, &left, &expected) || !list_page(&p, &p.sqlite, query, limit, &right, &actual)) break;
                check_int(left.size != 0, right.size != 0);
            } while (left.size != 0 && right.size != 0);
            check_str(buf_view(&actual), arena_str(&p.arena, buf_view(&expected)).data);
        }
        buf_fini(&text);
        buf_fini(&expected);
        buf_fini(&actual);
    }
    test_row = NULL;
    pair_fini(&p);
}

static struct str count_text(struct pair *p, struct world *w, const struct visibility_query *query)
{
    struct ask ask;
    ask_init(&ask, &w->desk, STORE_COUNT);
    ask.read.query = query;
    err result = ask_read(&ask, &w->desk);
    if (result != ERR_NONE) fprintf(stderr, "%s: %.*s\n", w->store->ops->name, STR_ARG(error_message(&ask.read.error)));
    check_int(result, ERR_NONE);
    struct buf text = {0};
    int64_t before = INT64_MAX;
    struct buf *lines = xcalloc(ask.read.group_count + 1, sizeof(*lines));
    for (size_t i = 0; i < ask.read.group_count; i++) {
        const struct store_group *group = &ask.read.groups[i];
        check(group->count <= before); /* the largest first */
        before = group->count;
        buf_printf(&lines[i], "%" PRId64, group->count);
        for (size_t k = 0; k < group->value_count; k++) {
            const pb_common_Payload *value = group->values[k];
            buf_printf(&lines[i], " %.*s %.*s:%.*s", STR_ARG(pb_payload_metadata(value, STR("type"))), STR_ARG(pb_payload_metadata(value, STR("encoding"))),
                       STR_ARG(value->data));
        }
        for (size_t k = i; k > 0 && str_compare(buf_view(&lines[k]), buf_view(&lines[k - 1])) < 0; k--) { /* equal counts in one order */
            struct buf swap = lines[k];
            lines[k] = lines[k - 1];
            lines[k - 1] = swap;
        }
    }
    for (size_t i = 0; i < ask.read.group_count; i++) {
        buf_printf(&text, "%.*s|", STR_ARG(buf_view(&lines[i])));
        buf_fini(&lines[i]);
    }
    free(lines);
    struct str out = arena_str(&p->arena, buf_view(&text));
    buf_fini(&text);
    ask_fini(&ask);
    return out;
}

TEST(all_stores_count_alike_with_and_without_groups)
{
    static const char *const groups[] = {"", "", " GROUP BY ExecutionStatus", " GROUP BY WorkflowType, ExecutionStatus", " GROUP BY Kw", " GROUP BY Num",
                                         " GROUP BY Real", " GROUP BY Flag, Tags", " GROUP BY Moment", " GROUP BY Text", " GROUP BY TaskQueue", " GROUP BY CloseTime",
                                         " GROUP BY ParentWorkflowId", " GROUP BY TemporalNamespaceDivision", " GROUP BY HistoryLength"};
    struct prng prng;
    prng_init(&prng, 12);
    struct pair p;
    pair_init(&p);
    fill(&p, &prng);
    for (int round = 0; round < 1500; round++) {
        struct buf text = {0};
        uint64_t kind = prng_below(&prng, 4);
        if (kind == 0) buf_append_str(&text, STR("WorkflowType = 'TypeA' AND NOT ExecutionStatus = 'Running'")); /* from counters */
        else if (kind != 1) sample_filter(&p.registry, &prng, (int)prng_below(&prng, 4), &text);
        buf_append_str(&text, str_of(groups[prng_below(&prng, countof(groups))]));
        struct visibility_query *query;
        test_row = arena_str(&p.arena, buf_view(&text)).data;
        if (query_of(&p, buf_view(&text), true, &query)) {
            struct str expected = count_text(&p, &p.memory, query);
            check_str(count_text(&p, &p.sqlite, query), expected.data);
        }
        buf_fini(&text);
    }
    test_row = NULL;
    pair_fini(&p);
}

/* ---- filters as large as they may be ---- */

TEST(the_largest_filters_run)
{
    static const struct { const char *begin, *first, *more, *end; int times; } rows[] = {
        {"Kw IN (", "'nobody'", ", 'a'", ")", 4000},
        {"WorkflowId IN (", "'nobody'", ", 'w1'", ")", 4000},
        {"", "Kw = 'nobody'", " OR Kw = 'a'", "", 900},
        {"", "Num != 77", " AND Num != 78", "", 900},
        {"", "Num != 77", " AND Num < 78 AND NOT Kw = 'b'", "", 450},
        {"Tags NOT IN (", "'nobody'", ", 'a'", ")", 4000},
        {"Real IN (", "0.5", ", 1.5", ")", 4000},
        {"RunId IN (", "'r1'", ", 'r7'", ")", 4000},
        {"WorkflowType IN (", "'TypeA'", ", 'TypeB'", ")", 4000},
        {"Text = '", "nothing", " dog", "'", 4000},
        {"Text = '", "nothing", " dog", "'", 60},
        {"", "Region", "", " IS NOT NULL", 0},
        {"", "(", "(NOT ", "Kw = 'a'", 0},
    };
    struct prng prng;
    prng_init(&prng, 13);
    struct pair p;
    pair_init(&p);
    fill(&p, &prng);
    ensure(attribute_registry_add(&p.registry, STR("Region"), ATTRIBUTE_KEYWORD, &p.arena, NULL) == ERR_NONE);
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf text = {0}, left = {0}, right = {0};
        buf_printf(&text, "%s%s", rows[i].begin, rows[i].first);
        for (int k = 0; k < rows[i].times; k++) buf_append_str(&text, str_of(rows[i].more));
        if (rows[i].times == 0 && rows[i].more[0] == '(') { /* as deep as it may be */
            for (int k = 0; k < 23; k++) buf_append_str(&text, str_of(rows[i].more));
        }
        buf_append_str(&text, str_of(rows[i].end));
        for (int k = 0; rows[i].times == 0 && rows[i].more[0] == '(' && k < 24; k++) buf_append_byte(&text, ')');
        test_row = rows[i].begin;
        struct visibility_query *query;
        if (query_of(&p, buf_view(&text), false, &query)) {
            struct str tokens[2] = {STR_EMPTY, STR_EMPTY};
            do {
                if (!list_page(&p, &p.memory, query, 20, &tokens[0], &left) || !list_page(&p, &p.sqlite, query, 20, &tokens[1], &right)) break;
            } while (tokens[0].size != 0 && tokens[1].size != 0);
            check(str_equal(buf_view(&left), buf_view(&right)));
        }
        buf_fini(&text);
        buf_fini(&left);
        buf_fini(&right);
    }
    test_row = NULL;
    pair_fini(&p);
}

/* ---- pages while rows change ---- */

static pb_store_VisibilityRow *simple_row(struct pair *p, int64_t run, int64_t start)
{
    pb_store_VisibilityRow *row = pb_new(&p->arena, pb_store_VisibilityRow);
    *row = (pb_store_VisibilityRow){.namespace_key = 1, .run_key = run, .workflow_id = STR("w"), .run_id = STR("r"), .workflow_type = STR("T"), .status = 1,
                                    .start_time = pb_timestamp_new(&p->arena, (instant){start}), .version = 1};
    return row;
}

static void close_row(struct pair *p, pb_store_VisibilityRow *row, int64_t close)
{
    pb_store_VisibilityRow *closed = arena_new(&p->arena, pb_store_VisibilityRow);
    *closed = *row;
    closed->status = 2;
    closed->close_time = pb_timestamp_new(&p->arena, (instant){close});
    closed->version = 2;
    put_row(p, closed);
}

TEST(pages_neither_repeat_nor_leave_out_a_run_while_runs_start_and_close)
{
    static const char *const filters[] = {"", "WorkflowType = 'T'", "WorkflowId = 'w'", "StartTime > 0", "ORDER BY StartTime", "ORDER BY CloseTime DESC, StartTime"};
    for (size_t f = 0; f < countof(filters); f++) {
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct prng prng;
            prng_init(&prng, seed);
            struct pair p;
            pair_init(&p);
            enum { N = 60 };
            pb_store_VisibilityRow *rows[N];
            int64_t now = 1000;
            bool is_closed[N] = {0};
            for (int i = 0; i < N; i++) {
                rows[i] = simple_row(&p, i + 1, now++);
                put_row(&p, rows[i]);
                if (prng_chance(&prng, 2)) {
                    close_row(&p, rows[i], now++);
                    is_closed[i] = true;
                }
            }
            test_row = filters[f];
            struct visibility_query *query;
            if (!query_of(&p, str_of(filters[f]), false, &query)) return;
            struct world *worlds[] = {&p.memory, &p.sqlite};
            struct str tokens[2] = {STR_EMPTY, STR_EMPTY};
            struct buf seen[2] = {{0}, {0}};
            bool is_done[2] = {false, false};
            int64_t next_run = N + 1;
            while (!is_done[0] || !is_done[1]) {
                for (int s = 0; s < 2; s++) {
                    if (is_done[s]) continue;
                    if (!list_page(&p, worlds[s], query, 7, &tokens[s], &seen[s])) return;
                    is_done[s] = tokens[s].size == 0;
                }
                for (int k = 0; k < 4; k++) { /* between two pages */
                    int i = (int)prng_below(&prng, N);
                    if (!is_closed[i]) close_row(&p, rows[i], now++);
                    is_closed[i] = true;
                }
                put_row(&p, simple_row(&p, next_run++, now++));
            }
            for (int s = 0; s < 2; s++) {
                int times[N + 100] = {0};
                char *text = str_dup_c(buf_view(&seen[s])), *at = text;
                for (char *word; (word = strsep(&at, " ")) != NULL && *word != '\0';) times[atoi(word)]++;
                for (int run = 1; run <= N; run++) check_int(times[run], 1);
                free(text);
                buf_fini(&seen[s]);
            }
            pair_fini(&p);
        }
    }
    test_row = NULL;
}

TEST(a_list_sees_every_start_that_was_answered)
{
    struct pair p;
    pair_init(&p);
    struct visibility_query *query;
    if (!query_of(&p, STR("WorkflowType = 'T'"), false, &query)) return;
    for (int i = 1; i <= 30; i++) {
        put_row(&p, simple_row(&p, i, i));
        struct str token = STR_EMPTY;
        struct buf runs = {0};
        list_page(&p, &p.sqlite, query, 1, &token, &runs);
        check_int(atoi(runs.data), i);
        buf_fini(&runs);
    }
    pair_fini(&p);
}

TEST(a_page_token_of_another_query_is_refused)
{
    struct pair p;
    pair_init(&p);
    for (int i = 1; i <= 5; i++) put_row(&p, simple_row(&p, i, i));
    struct visibility_query *by_start, *by_type, *plain;
    if (!query_of(&p, STR("ORDER BY StartTime"), false, &by_start) || !query_of(&p, STR("ORDER BY WorkflowType"), false, &by_type) ||
        !query_of(&p, STR(""), false, &plain)) return;
    struct str token = STR_EMPTY;
    struct buf runs = {0};
    list_page(&p, &p.memory, by_start, 2, &token, &runs);
    buf_fini(&runs);
    struct world *worlds[] = {&p.memory, &p.sqlite};
    const struct visibility_query *others[] = {by_type, plain};
    struct str tokens[] = {token, STR("x"), str_make(token.data, token.size - 1), STR("\x01\x01")};
    for (int s = 0; s < 2; s++) {
        for (size_t t = 0; t < countof(tokens); t++) {
            for (size_t q = 0; q < countof(others); q++) {
                struct ask ask;
                ask_init(&ask, &worlds[s]->desk, STORE_LIST);
                ask.read.query = others[q];
                ask.read.page_token = tokens[t];
                check_int(ask_read(&ask, &worlds[s]->desk), ERR_INVALID);
                check(error_message(&ask.read.error).size != 0);
                ask_fini(&ask);
            }
        }
    }
    pair_fini(&p);
}

TEST_MAIN
