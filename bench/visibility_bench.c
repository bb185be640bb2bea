/* Lists and counts over many workflows in a SQLite file: how long the first page and a later one take, by filter.
 *   visibility_bench [folder [rows]]   The file is kept and used again when it has that many rows. */
#include "base/mailbox.h"
#include "base/prng.h"
#include "store/store.h"
#include "visibility/match.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct store *store;
static struct mailbox box;
static sem_t arrived;
static uint64_t epoch;
static bool is_done;

static double clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void ring(void *arg) { (void)arg; sem_post(&arrived); }
static void opened(struct mail *mail) { (void)mail; is_done = true; }

static void wait_done(void)
{
    while (!is_done) {
        if (mailbox_open_all(&box) == 0) sem_wait(&arrived);
    }
    is_done = false;
}

/* ---- rows: half a year of workflows, one in twenty open, most take minutes, a few take weeks ---- */

static const char *const types[] = {"Order", "Payment", "Shipment", "Refund", "Invoice", "Report", "Import", "Export", "Cleanup", "Rare"};
static const char *const regions[] = {"eu-west", "us-east", "ap-south", "sa-east"};
enum { BATCH = 500 };
#define DAY (INT64_C(86400) * NS_PER_S)
#define BEGIN (INT64_C(1767225600) * NS_PER_S) /* 2026-01-01 */

static void attribute_put(struct arena *arena, pb_store_VisibilityRow *row, const char *name, enum attribute_type type, struct attribute_value value)
{
    pb_common_SearchAttributes_IndexedFieldsEntry *entry = PB_PUSH_NEW(arena, row->search_attributes, indexed_fields);
    entry->key = str_of(name);
    entry->value = attribute_encode(&(struct attribute_values){&value, 1, true}, type, arena);
}

static pb_store_VisibilityRow *row_make(struct prng *prng, int64_t i, int64_t rows, struct arena *arena)
{
    pb_store_VisibilityRow *row = pb_new(arena, pb_store_VisibilityRow);
    char uuid[37];
    int64_t start = BEGIN + i * (180 * DAY / rows), took = (int64_t)prng_below(prng, 600) * NS_PER_S;
    if (prng_chance(prng, 1000)) took = (int64_t)prng_below(prng, 30) * DAY;
    prng_uuid(prng, uuid);
    *row = (pb_store_VisibilityRow){.namespace_key = 1, .run_key = i + 1, .version = 1, .task_queue = STR("main")};
    row->workflow_id = arena_printf(arena, "order-%07" PRId64, (int64_t)prng_below(prng, (uint64_t)rows));
    row->run_id = arena_str(arena, str_of(uuid));
    row->workflow_type = str_of(types[prng_chance(prng, 20000) ? 9 : prng_below(prng, 9)]);
    row->start_time = row->execution_time = pb_timestamp_new(arena, (instant){start});
    row->status = 1;
    if (!prng_chance(prng, 20)) {
        row->status = prng_chance(prng, 20000) ? 3 : prng_chance(prng, 30) ? 7 : 2;
        row->close_time = pb_timestamp_new(arena, (instant){start + took});
        row->execution_duration = pb_duration_new(arena, (duration){took});
        row->history_length = 11;
    }
    row->search_attributes = pb_new(arena, pb_common_SearchAttributes);
    attribute_put(arena, row, "Region", ATTRIBUTE_KEYWORD, (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = str_of(regions[prng_below(prng, 4)])});
    attribute_put(arena, row, "Customer", ATTRIBUTE_KEYWORD,
                  (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = arena_printf(arena, "c%d", (int)prng_below(prng, 100000))});
    attribute_put(arena, row, "Amount", ATTRIBUTE_INT, (struct attribute_value){.type = ATTRIBUTE_INT, .number = (int64_t)prng_below(prng, 10000)});
    return row;
}

static void fill(int64_t rows)
{
    struct prng prng;
    struct arena arena;
    prng_init(&prng, 3);
    arena_init(&arena, 1 << 20, 0);
    double begin = clock_ms();
    for (int64_t i = 0; i < rows;) {
        static struct store_op ops[BATCH * 2];
        struct store_commit commit = {.mail.open = opened, .reply_to = &box, .lease_epoch = epoch, .ops = ops};
        for (int k = 0; k < BATCH && i < rows; k++, i++) {
            const pb_store_VisibilityRow *row = row_make(&prng, i, rows, &arena);
            ops[commit.op_count++] = (struct store_op){.kind = STORE_RUN_PUT, .run = row->run_key, .namespace_key = 1, .key = row->workflow_id, .run_id = row->run_id};
            ops[commit.op_count++] = (struct store_op){.kind = STORE_VISIBILITY_PUT, .visibility = row};
        }
        store_commit(store, &commit);
        wait_done();
        ensure(commit.result == ERR_NONE);
        arena_reset(&arena);
    }
    printf("%" PRId64 " rows written, %.1f us each\n", rows, (clock_ms() - begin) * 1e3 / (double)rows);
    arena_fini(&arena);
}

/* ---- queries ---- */

static struct attribute_registry registry;

static struct visibility_query *parse(const char *text, bool is_count, struct arena *arena)
{
    struct visibility_parse how = {.registry = &registry, .now = {BEGIN + 180 * DAY}, .is_count = is_count};
    struct visibility_query *query;
    struct error error = {0};
    if (visibility_query_parse(str_of(text), &how, arena, &query, &error) != ERR_NONE) {
        fprintf(stderr, "%s: %.*s\n", text, STR_ARG(error.message));
        exit(1);
    }
    return query;
}

static double run(struct store_read *read, enum store_read_kind kind, const struct visibility_query *query, struct str token)
{
    double begin = clock_ms();
    *read = (struct store_read){.kind = kind, .mail.open = opened, .reply_to = &box, .namespace_key = 1, .query = query, .limit = 100, .page_token = token};
    arena_init(&read->arena, 0, 0);
    store_read(store, read);
    wait_done();
    if (read->result != ERR_NONE) {
        fprintf(stderr, "%.*s\n", STR_ARG(error_message(&read->error)));
        exit(1);
    }
    return clock_ms() - begin;
}

static void list(const char *text)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    const struct visibility_query *query = parse(text, false, &arena);
    struct store_read first, next;
    double best = 1e9, page = 0;
    for (int i = 0; i < 5; i++) {
        double took = run(&first, STORE_LIST, query, STR_EMPTY);
        if (took < best) best = took;
        if (i < 4) arena_fini(&first.arena);
    }
    if (first.has_more) {
        page = run(&next, STORE_LIST, query, first.next_page_token);
        arena_fini(&next.arena);
    }
    printf("%8.2f ms  next %8.2f ms  %4zu rows  %s\n", best, page, first.visibility_count, text);
    arena_fini(&first.arena);
    arena_fini(&arena);
}

static void count(const char *text)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct store_read read;
    double took = run(&read, STORE_COUNT, parse(text, true, &arena), STR_EMPTY);
    printf("%8.2f ms  count %zu groups, first %" PRId64 "  %s\n", took, read.group_count, read.group_count != 0 ? read.groups[0].count : 0, text);
    arena_fini(&read.arena);
    arena_fini(&arena);
}

int main(int argc, char **argv)
{
    char path[512];
    int64_t rows = argc > 2 ? atoll(argv[2]) : 1000000;
    snprintf(path, sizeof(path), "%s/visibility.db", argc > 1 ? argv[1] : ".");
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, 0, 0);
    sem_init(&arrived, 0, 0);
    mailbox_init(&box, ring, NULL);
    attribute_registry_init(&registry);
    static const struct { const char *name; enum attribute_type type; } custom[] = {
        {"Region", ATTRIBUTE_KEYWORD}, {"Customer", ATTRIBUTE_KEYWORD}, {"Amount", ATTRIBUTE_INT}};
    for (size_t i = 0; i < countof(custom); i++) ensure(attribute_registry_add(&registry, str_of(custom[i].name), custom[i].type, &arena, &error) == ERR_NONE);
    err result = store_sqlite_open(&(struct store_sqlite_options){.path = path, .is_sync_off = true}, &store, &arena, &error);
    if (result == ERR_NONE) result = store->ops->acquire(store, 0, STR("bench"), &epoch, &error, &arena);
    if (result != ERR_NONE) {
        fprintf(stderr, "%.*s\n", STR_ARG(error_message(&error)));
        return 1;
    }
    struct store_read all;
    run(&all, STORE_COUNT, parse("", true, &arena), STR_EMPTY);
    if (all.groups[0].count < rows) fill(rows);
    arena_fini(&all.arena);
    static const char *const lists[] = {
        "", "WorkflowType = 'Order'", "WorkflowType = 'Rare'", "ExecutionStatus = 'Running'", "ExecutionStatus = 'Failed'",
        "WorkflowType = 'Order' AND ExecutionStatus = 'Running'", "WorkflowType = 'Order' AND ExecutionStatus = 'Failed'",
        "StartTime > '2026-06-28T00:00:00Z'", "StartTime < '2026-01-10T00:00:00Z'", "StartTime BETWEEN '2026-03-01T00:00:00Z' AND '2026-03-01T01:00:00Z'",
        "ExecutionStatus = 'Completed' AND StartTime BETWEEN '2026-03-01T00:00:00Z' AND '2026-03-02T00:00:00Z'", "CloseTime < '2026-02-01T00:00:00Z'",
        "Region = 'eu-west'", "Customer = 'c4711'", "Customer = 'nobody'", "Region = 'eu-west' AND ExecutionStatus = 'Running'",
        "Region IN ('eu-west', 'us-east') AND WorkflowType = 'Payment'", "Customer STARTS_WITH 'c4711'", "WorkflowId = 'order-0004711'",
        "WorkflowId STARTS_WITH 'order-00047'", "WorkflowId STARTS_WITH 'order'", "Amount > 9990", "Amount = 17", "Region = 'eu-west' AND Amount > 9990",
        "Region != 'eu-west'", "NOT (WorkflowType = 'Order' OR Region = 'eu-west')", "ORDER BY StartTime DESC", "Customer = 'c4711' ORDER BY Amount",
        "ORDER BY Amount DESC", "ORDER BY Customer", "ORDER BY Region, Amount DESC", "ORDER BY WorkflowId", "ORDER BY CloseTime", "ORDER BY HistoryLength DESC",
        "WorkflowType = 'Order' ORDER BY StartTime", "Region = 'eu-west' ORDER BY Amount DESC", "WorkflowType = 'Order' ORDER BY Amount", "RunId = 'nobody'", "ExecutionStatus = 'Failed' OR ExecutionStatus = 'TimedOut'", "Customer = 'c1' OR Customer = 'c2'",
        "TaskQueue = 'main'",
    };
    for (size_t i = 0; i < countof(lists); i++) list(lists[i]);
    static const char *const counts[] = {"", "GROUP BY ExecutionStatus", "WorkflowType = 'Order'", "ExecutionStatus = 'Running' GROUP BY WorkflowType",
                                         "Customer = 'c4711'", "Region = 'eu-west'", "StartTime > '2026-06-01T00:00:00Z'", "GROUP BY Region"};
    for (size_t i = 0; i < countof(counts); i++) count(counts[i]);
    store_close(store);
    arena_fini(&arena);
    return 0;
}
