#include "base/test.h"
#include "base/buf.h"
#include "base/prng.h"
#include "visibility/match.h"
#include "visibility/sample.h"

struct fixture {
    struct arena arena;
    struct attribute_registry registry;
    struct error error;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, 0, 0);
    attribute_registry_init(&f->registry);
    sample_attributes(&f->registry);
}

static void fixture_fini(struct fixture *f)
{
    attribute_registry_fini(&f->registry);
    arena_fini(&f->arena);
}

static err parse(struct fixture *f, struct str text, bool is_count, struct visibility_query **query)
{
    struct visibility_parse how = {.registry = &f->registry, .now = {5}, .is_count = is_count};
    f->error = (struct error){0};
    return visibility_query_parse(text, &how, &f->arena, query, &f->error);
}

static const struct { const char *text, *printed; bool is_count; } print_rows[] = {
    {"", "", false},
    {"  ;", "", false},
    {"WorkflowId='a'", "`WorkflowId` = 'a'", false},
    {"`WorkflowId` <> \"a\"", "`WorkflowId` != 'a'", false},
    {"WorkflowId = 'it''s' or RunId = 'it\\'s'", "`WorkflowId` = 'it''s' OR `RunId` = 'it''s'", false},
    {"WorkflowId = 7", "`WorkflowId` = '7'", false},
    {"Kw='a' and Kw='b' or Kw='c' and not Kw='d'", "(`Kw` = 'a' AND `Kw` = 'b') OR (`Kw` = 'c' AND NOT `Kw` = 'd')", false},
    {"Kw='a' && (Kw='b' || Kw='c')", "`Kw` = 'a' AND (`Kw` = 'b' OR `Kw` = 'c')", false},
    {"(Kw='a' and Kw='b') and Kw='c'", "`Kw` = 'a' AND `Kw` = 'b' AND `Kw` = 'c'", false},
    {"not (Kw='a' or Kw='b')", "NOT (`Kw` = 'a' OR `Kw` = 'b')", false},
    {"ExecutionStatus = 1 or ExecutionStatus in ('Failed', 99)", "`ExecutionStatus` = 'Running' OR `ExecutionStatus` IN ('Failed', 99)", false},
    {"ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_TIMED_OUT'", "`ExecutionStatus` = 'TimedOut'", false},
    {"StartTime > '2026-01-01T01:00:00.500+01:00'", "`StartTime` > '2026-01-01T00:00:00.5Z'", false},
    {"StartTime between 0 and -1", "`StartTime` BETWEEN '1970-01-01T00:00:00Z' AND '1969-12-31T23:59:59.999999999Z'", false},
    {"ExecutionDuration > '1h30m' and ExecutionDuration < '1.5d' and ExecutionDuration != '01:02:03' and ExecutionDuration = 5",
     "`ExecutionDuration` > 5400000000000 AND `ExecutionDuration` < 129600000000000 AND `ExecutionDuration` != 3723000000000 AND `ExecutionDuration` = 5", false},
    {"ExecutionDuration > '-250ms'", "`ExecutionDuration` > -250000000", false},
    {"Num = '5' and Num > 1.5 and Num = 1e3 and Num < 99999999999999999999 and Num=-7",
     "`Num` = 5 AND `Num` > 1.5 AND `Num` = 1000 AND `Num` < 1e+20 AND `Num` = -7", false},
    {"Real = 2 or Real > '1.5' or Real < -.5", "`Real` = 2.0 OR `Real` > 1.5 OR `Real` < -0.5", false},
    {"Flag = true or Flag != 'false' or Flag > 0", "`Flag` = true OR `Flag` != false OR `Flag` > false", false},
    {"Tags in ('a', 'b') and Tags is not null and Tags not in ('c')", "`Tags` IN ('a', 'b') AND `Tags` IS NOT NULL AND `Tags` NOT IN ('c')", false},
    {"Kw starts_with 'x' and Kw NOT STARTS_WITH 'xy'", "`Kw` STARTS_WITH 'x' AND `Kw` NOT STARTS_WITH 'xy'", false},
    {"Kw not between 'a' and 'b'", "`Kw` NOT BETWEEN 'a' AND 'b'", false},
    {"Kw = 'a' -- to the end of the line\n and /* here */ Kw != 'b'", "`Kw` = 'a' AND `Kw` != 'b'", false},
    {"ScheduleId = 's'", "`WorkflowId` = 'temporal-sys-scheduler:s'", false},
    {"Kw = 'a' order by Num desc, StartTime asc, Tags", "`Kw` = 'a' ORDER BY `Num` DESC, `StartTime`, `Tags`", false},
    {"order by Kw", "ORDER BY `Kw`", false},
    {"Kw = 'a' group by ExecutionStatus, Kw", "`Kw` = 'a' GROUP BY `ExecutionStatus`, `Kw`", true},
    {"group by WorkflowType", "GROUP BY `WorkflowType`", true},
};

TEST(a_filter_prints_as_text_of_the_same_meaning)
{
    for (size_t i = 0; i < countof(print_rows); i++) {
        struct fixture f;
        fixture_init(&f);
        test_row = print_rows[i].text;
        struct visibility_query *query, *again;
        err result = parse(&f, str_of(print_rows[i].text), print_rows[i].is_count, &query);
        check_int(result, ERR_NONE);
        if (result == ERR_NONE) {
            struct str printed = visibility_query_print(query, &f.arena);
            check_str(printed, print_rows[i].printed);
            result = parse(&f, printed, print_rows[i].is_count, &again);
            check_int(result, ERR_NONE);
            if (result == ERR_NONE) check(visibility_query_equal(query, again));
        } else {
            check_str(f.error.message, "");
        }
        fixture_fini(&f);
    }
}

static const struct { const char *text; int position; const char *word; } refuse_rows[] = {
    {"foo", 1, "no search attribute foo"},
    {"WorkflowId", 11, "comparison"},
    {"WorkflowId =", 13, "a value"},
    {"WorkflowId = foo", 14, "between quotes"},
    {"WorkflowId = 'foo", 14, "quote"},
    {"`WorkflowId = 'a'", 1, "quote"},
    {"'WorkflowId' = 'a'", 1, "name of a search attribute"},
    {"workflowid = 'a'", 1, "no search attribute"},
    {"'a' = WorkflowId", 1, "name of a search attribute"},
    {"WorkflowId == 'a'", 13, "a value"},
    {"WorkflowId LIKE 'a%'", 12, "comparison"},
    {"WorkflowId = null", 14, "a value"},
    {"WorkflowId is 'a'", 15, "NULL"},
    {"WorkflowId not = 'a'", 16, "IN, BETWEEN"},
    {"WorkflowId in ()", 16, "a value"},
    {"WorkflowId in ('a'", 19, ", or )"},
    {"WorkflowId = 'a' and", 21, "name of a search attribute"},
    {"(WorkflowId = 'a'", 18, "AND, OR or )"},
    {"WorkflowId = 'a')", 17, "AND, OR or the end"},
    {"WorkflowId = 'a' limit 5", 18, "AND, OR or the end"},
    {"WorkflowId = 'a' group by RunId", 18, "GROUP BY"},
    {"order by nothing", 10, "no search attribute"},
    {"order StartTime", 7, "BY"},
    {"StartTime > 'yesterday'", 13, "time"},
    {"StartTime > '2026-01-01'", 13, "time"},
    {"StartTime > '2026-02-30T00:00:00Z'", 13, "time"},
    {"StartTime > 1.5", 13, "time"},
    {"StartTime < 99999999999999999999", 13, "time"},
    {"StartTime > now()", 13, "quotes"},
    {"StartTime starts_with '2026'", 11, "can not be used"},
    {"ExecutionStatus = 'running'", 19, "status"},
    {"ExecutionStatus = '1'", 19, "status"},
    {"ExecutionStatus starts_with 'R'", 17, "can not be used"},
    {"ExecutionDuration > 'abc'", 21, "duration"},
    {"ExecutionDuration < '1w'", 21, "duration"},
    {"Num = 'x'", 7, "number"},
    {"Num = true", 7, "number"},
    {"Num = 0x10", 7, "letters"},
    {"Num + 1 = 2", 5, "comparison"},
    {"Flag = 'yes'", 8, "true or false"},
    {"Tags > 'a'", 6, "can not be used"},
    {"Tags starts_with 'a'", 6, "can not be used"},
    {"Text > 'a'", 6, "can not be used"},
    {"Text in ('a')", 6, "can not be used"},
    {"Text = ''", 8, "word"},
    {"Kw starts_with 5", 16, "quotes"},
    {"Kw = 'a' /* never", 10, "comment"},
    {"Kw = 'a' ? Kw", 10, "no meaning"},
    {"Kw = '\xff'", 7, "UTF-8"},
    {"Kw = 'a' ; Kw = 'b'", 12, "the end"},
};

TEST(a_malformed_filter_is_refused_with_the_position_of_the_mistake)
{
    for (size_t i = 0; i < countof(refuse_rows); i++) {
        struct fixture f;
        fixture_init(&f);
        test_row = refuse_rows[i].text;
        struct visibility_query *query;
        check_int(parse(&f, str_of(refuse_rows[i].text), false, &query), ERR_INVALID);
        char position[40];
        snprintf(position, sizeof(position), "character %d:", refuse_rows[i].position);
        char *message = str_dup_c(f.error.message);
        bool has_both = strstr(message, position) != NULL && strstr(message, refuse_rows[i].word) != NULL;
        check(has_both);
        if (!has_both) fprintf(stderr, "    %s\n", message);
        free(message);
        fixture_fini(&f);
    }
}

static void repeat(struct buf *out, const char *text, int times)
{
    for (int i = 0; i < times; i++) buf_append_str(out, str_of(text));
}

TEST(a_filter_past_a_bound_is_refused)
{
    struct fixture f;
    fixture_init(&f);
    struct visibility_query *query;
    struct buf text = {0};
    repeat(&text, "(", 49);
    repeat(&text, "Kw='a'", 1);
    repeat(&text, ")", 49);
    check_int(parse(&f, buf_view(&text), false, &query), ERR_NONE);
    buf_clear(&text);
    repeat(&text, "NOT ", 100000 / 4);
    check_int(parse(&f, str_make(text.data, 60000), false, &query), ERR_INVALID);
    check_int(parse(&f, buf_view(&text), false, &query), ERR_INVALID);
    buf_clear(&text);
    repeat(&text, "Num=1 or ", 999);
    repeat(&text, "Num=1", 1);
    check_int(parse(&f, buf_view(&text), false, &query), ERR_NONE);
    repeat(&text, " or Num=1", 1);
    check_int(parse(&f, buf_view(&text), false, &query), ERR_INVALID);
    buf_clear(&text);
    repeat(&text, "Num in (1", 1);
    repeat(&text, ",1", 4999);
    check_int(parse(&f, str_make(text.data, text.size), false, &query), ERR_INVALID); /* no closing one yet */
    repeat(&text, ")", 1);
    check_int(parse(&f, buf_view(&text), false, &query), ERR_NONE);
    text.size--;
    repeat(&text, ",1)", 1);
    check_int(parse(&f, buf_view(&text), false, &query), ERR_INVALID);
    buf_clear(&text);
    repeat(&text, "Text = '", 1);
    repeat(&text, "w ", 5001);
    repeat(&text, "'", 1);
    check_int(parse(&f, buf_view(&text), false, &query), ERR_INVALID);
    buf_fini(&text);
    fixture_fini(&f);
}

TEST(names_of_search_attributes_are_checked)
{
    struct fixture f;
    fixture_init(&f);
    static const char *const refused[] = {"", "Temporal", "TemporalX", "StartTime", "BuildIds", "NamespaceId", "Memo", "ScheduleId", "a`b"};
    for (size_t i = 0; i < countof(refused); i++) {
        test_row = refused[i];
        check_int(attribute_registry_add(&f.registry, str_of(refused[i]), ATTRIBUTE_KEYWORD, &f.arena, &f.error), ERR_INVALID);
    }
    test_row = NULL;
    check_int(attribute_registry_add(&f.registry, STR("X"), ATTRIBUTE_NONE, &f.arena, &f.error), ERR_INVALID);
    check_int(attribute_registry_add(&f.registry, STR("Kw"), ATTRIBUTE_KEYWORD, &f.arena, &f.error), ERR_NONE); /* the same again */
    check_int(attribute_registry_add(&f.registry, STR("Kw"), ATTRIBUTE_INT, &f.arena, &f.error), ERR_ALREADY_EXISTS);
    for (int i = 0; i < 500; i++) { /* any number of them */
        check_int(attribute_registry_add(&f.registry, arena_printf(&f.arena, "More%d", i), ATTRIBUTE_KEYWORD, &f.arena, &f.error), ERR_NONE);
    }
    check(attribute_find(&f.registry, STR("More499")) != NULL);
    attribute_registry_remove(&f.registry, STR("More499"));
    check(attribute_find(&f.registry, STR("More499")) == NULL);
    fixture_fini(&f);
}

/* ---- parse, print, parse ---- */

TEST(parse_print_parse_gives_the_same_tree)
{
    struct prng prng;
    prng_init(&prng, 7);
    for (int round = 0; round < 3000; round++) {
        struct fixture f;
        fixture_init(&f);
        struct buf text = {0};
        sample_filter(&f.registry, &prng, (int)prng_below(&prng, 6), &text);
        struct visibility_query *query, *again;
        test_row = arena_str(&f.arena, buf_view(&text)).data;
        bool is_read = parse(&f, buf_view(&text), false, &query) == ERR_NONE;
        check(is_read);
        if (is_read) {
            bool is_again = parse(&f, visibility_query_print(query, &f.arena), false, &again) == ERR_NONE;
            check(is_again);
            if (is_again) check(visibility_query_equal(query, again));
        } else {
            fprintf(stderr, "    %.*s\n", STR_ARG(f.error.message));
        }
        buf_fini(&text);
        fixture_fini(&f);
    }
    test_row = NULL;
}

TEST_MAIN
