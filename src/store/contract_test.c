/* The store contract (store.h), sentence by sentence, over every store of this machine. */
#include "base/test.h"
#include "store/contract.h"
#include "store/lease.h"
#include "visibility/query.h"

#include <pthread.h>
#include <unistd.h>

/* ---- the stores ---- */

struct world {
    const char *name;
    struct store *store;
    struct desk desk;
    char folder[64];
    bool is_kept_on_disk;
};

static void world_open(struct world *w)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct error error = {0};
    err result;
    if (w->is_kept_on_disk) {
        char path[128];
        snprintf(path, sizeof(path), "%s/perdure.db", w->folder);
        struct store_sqlite_options options = {.path = path, .is_sync_off = true};
        result = store_sqlite_open(&options, &w->store, &arena, &error);
    } else {
        result = store_memory_open(&w->store);
    }
    if (result != ERR_NONE) fprintf(stderr, "%s: %.*s\n", w->name, STR_ARG(error_message(&error)));
    ensure(result == ERR_NONE);
    desk_init(&w->desk, w->store, 7);
    arena_fini(&arena);
}

static void world_init(struct world *w, const char *name)
{
    *w = (struct world){.name = name, .is_kept_on_disk = strcmp(name, "sqlite") == 0, .folder = "contract-XXXXXX"};
    if (w->is_kept_on_disk) ensure(mkdtemp(w->folder) != NULL);
    world_open(w);
    test_row = name;
}

static void world_close(struct world *w)
{
    desk_fini(&w->desk);
    store_close(w->store);
}

static void world_fini(struct world *w)
{
    world_close(w);
    if (!w->is_kept_on_disk) return;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < countof(suffixes); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/perdure.db%s", w->folder, suffixes[i]);
        unlink(path);
    }
    rmdir(w->folder);
}

static const char *const stores[] = {"memory", "sqlite"};
#define EACH_STORE(w) \
    struct world w;   \
    for (size_t each_ = 0; each_ < countof(stores) && (world_init(&w, stores[each_]), true); world_fini(&w), each_++)

/* What a run looks like: "state|items". */
static void check_run(struct world *w, int64_t run, const char *state, const char *items)
{
    struct ask ask;
    ask_init(&ask, &w->desk, STORE_READ_RUN_KEY);
    ask.read.run = run;
    err result = ask_read(&ask, &w->desk);
    check_int(result, state != NULL ? ERR_NONE : ERR_NOT_FOUND);
    if (state != NULL && result == ERR_NONE) {
        check_str(ask.read.row.bytes, state);
        check_str(ask_rows(&ask), items);
    }
    ask_fini(&ask);
}

static void check_history(struct world *w, int64_t branch, int64_t from, int64_t to, size_t limit, bool is_reverse, const char *rows, bool has_more)
{
    struct ask ask;
    ask_init(&ask, &w->desk, STORE_READ_HISTORY);
    ask.read.run = branch;
    ask.read.from = from;
    ask.read.to = to;
    ask.read.limit = limit;
    ask.read.is_reverse = is_reverse;
    check_int(ask_read(&ask, &w->desk), ERR_NONE);
    check_str(ask_rows(&ask), rows);
    check_int(ask.read.has_more, has_more);
    ask_fini(&ask);
}

static err commit_kv(struct world *w, const char *key, const char *value)
{
    struct draft draft;
    draft_init(&draft, &w->desk);
    draft_kv(&draft, SPACE_META, key, value);
    return draft_commit(&draft, &w->desk);
}

static void check_kv(struct world *w, const char *key, const char *value)
{
    struct ask ask;
    ask_init(&ask, &w->desk, STORE_READ_KV);
    ask.read.space = SPACE_META;
    ask.read.key = str_of(key);
    check_int(ask_read(&ask, &w->desk), value != NULL ? ERR_NONE : ERR_NOT_FOUND);
    if (value != NULL) check_str(ask.read.row.bytes, value);
    ask_fini(&ask);
}

/* ---- commits ---- */

TEST(a_commit_is_atomic_and_a_failed_one_changes_nothing)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 1, "order", "r1", "state");
        draft_history(&d, 1, 1, 2, "ab");
        check_int(draft_commit(&d, &w.desk), ERR_NONE);

        struct draft bad;
        draft_init(&bad, &w.desk);
        draft_kv(&bad, SPACE_META, "k", "v");
        draft_run(&bad, 1, "order", "r1", "changed");
        draft_history(&bad, 1, 1, 2, "xx"); /* is stored already */
        check_int(draft_commit(&bad, &w.desk), ERR_INVALID);
        check_kv(&w, "k", NULL);
        check_run(&w, 1, "state", "");
        check_history(&w, 1, 1, 3, 0, false, "1 1 2 0  ab", false);
    }
}

TEST(a_read_sees_the_commits_submitted_before_it)
{
    EACH_STORE(w) {
        enum { N = 40 };
        static struct draft drafts[N];
        static struct ask asks[N];
        char values[N][8];
        for (int i = 0; i < N; i++) { /* no waiting in between */
            snprintf(values[i], sizeof(values[i]), "s%d", i);
            draft_init(&drafts[i], &w.desk);
            draft_run(&drafts[i], 1, "order", "r1", values[i]);
            draft_submit(&drafts[i], &w.desk);
            ask_init(&asks[i], &w.desk, i % 2 == 0 ? STORE_READ_RUN_KEY : STORE_READ_CURRENT);
            asks[i].read.run = 1;
            asks[i].read.key = STR("order");
            ask_submit(&asks[i], &w.desk);
        }
        for (int i = 0; i < N; i++) {
            desk_wait(&w.desk, &asks[i].is_done);
            desk_wait(&w.desk, &drafts[i].is_done);
            check_int(asks[i].read.result, ERR_NONE);
            /* that commit or a later one: reads may be late, never early */
            int seen = atoi(asks[i].read.row.bytes.data + 1);
            check(seen >= i);
            ask_fini(&asks[i]);
        }
    }
}

TEST(a_read_by_id_sees_items_put_without_their_run)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 1, "order", "r1", "s");
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        for (int i = 0; i < 20; i++) {
            char value[8];
            snprintf(value, sizeof(value), "%d", i);
            draft_init(&d, &w.desk);
            draft_item(&d, 1, 1, "a", value);
            draft_submit(&d, &w.desk);
            struct ask ask;
            ask_init(&ask, &w.desk, STORE_READ_CURRENT);
            ask.read.key = STR("order");
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            check_int(ask.read.row_count, 1);
            check(ask.read.row_count == 1 && str_equal_c(ask.read.rows[0].bytes, value));
            ask_fini(&ask);
            desk_wait(&w.desk, &d.is_done);
        }
    }
}

TEST(commits_of_a_shard_are_reported_in_the_order_of_submission)
{
    EACH_STORE(w) {
        enum { N = 100 };
        static struct draft drafts[N];
        for (int i = 0; i < N; i++) {
            draft_init(&drafts[i], &w.desk);
            draft_run(&drafts[i], i + 1, "order", "r", "s");
            draft_submit(&drafts[i], &w.desk);
        }
        for (int i = 0; i < N; i++) desk_wait(&w.desk, &drafts[i].is_done);
        for (int i = 1; i < N; i++) check(drafts[i].order > drafts[i - 1].order);
    }
}

TEST(after_a_failed_commit_later_ones_fail_until_recover)
{
    EACH_STORE(w) {
        struct draft bad, behind, other;
        struct desk desk2;
        desk_init(&desk2, w.store, 8);
        draft_init(&bad, &w.desk);
        draft_run(&bad, STORE_RUN_MAX + 1, "order", "r", "s");
        draft_init(&behind, &w.desk);
        draft_kv(&behind, SPACE_META, "k", "v");
        draft_init(&other, &desk2);
        draft_kv(&other, SPACE_META, "other", "v");
        draft_submit(&bad, &w.desk);
        draft_submit(&behind, &w.desk);
        draft_submit(&other, &desk2);
        desk_wait(&w.desk, &bad.is_done);
        desk_wait(&w.desk, &behind.is_done);
        desk_wait(&desk2, &other.is_done);
        check_int(bad.commit.result, ERR_INVALID);
        check_int(behind.commit.result, ERR_INVALID);
        check_int(other.commit.result, ERR_NONE); /* another shard */
        check_int(commit_kv(&w, "k", "late"), ERR_INVALID);
        check_kv(&w, "k", NULL);
        check_kv(&w, "other", "v");
        w.store->ops->recover(w.store, w.desk.shard);
        check_int(commit_kv(&w, "k", "v2"), ERR_NONE);
        check_kv(&w, "k", "v2");
        desk_fini(&desk2);
    }
}

TEST(what_stands_behind_a_failure_fails_even_when_recover_comes_first)
{
    EACH_STORE(w) {
        enum { N = 30 };
        static struct draft drafts[N];
        char keys[N][8];
        for (int i = 0; i < N; i++) {
            snprintf(keys[i], sizeof(keys[i]), "k%d", i);
            draft_init(&drafts[i], &w.desk);
            draft_kv(&drafts[i], SPACE_META, keys[i], "v");
            if (i == 10) draft_op(&drafts[i], STORE_RUN_PUT);
            draft_submit(&drafts[i], &w.desk);
        }
        desk_wait(&w.desk, &drafts[10].is_done);
        w.store->ops->recover(w.store, w.desk.shard);
        check_int(commit_kv(&w, "after", "v"), ERR_NONE);
        for (int i = 0; i < N; i++) {
            desk_wait(&w.desk, &drafts[i].is_done);
            check_int(drafts[i].commit.result, i < 10 ? ERR_NONE : ERR_INVALID);
            check_kv(&w, keys[i], i < 10 ? "v" : NULL);
        }
    }
}

TEST(what_failed_before_a_recover_and_is_told_of_after_it_fails_nothing_else)
{
    struct leases leases = {0};
    struct lease *lease = lease_of(&leases, 0);
    lease_acquire(lease);
    struct store_op op = {.kind = STORE_KV_PUT, .item_kind = SPACE_META, .key = STR("k"), .bytes = STR("v")};
    struct store_commit first = {.lease_epoch = 1, .ops = &op, .op_count = 1, .sequence = 10}, behind = first, after = first;
    behind.sequence = 15;
    after.sequence = 21;
    lease_note(lease, &first, ERR_STORE);
    check_int(lease_admit(lease, &behind), ERR_STORE);
    lease_recover(lease, 20);
    lease_note(lease, &behind, ERR_STORE);
    check_int(lease_admit(lease, &after), ERR_NONE);
    check_int(lease_admit(lease, &behind), ERR_STORE);
    leases_fini(&leases);
}

TEST(a_stale_lease_is_refused_and_harms_nobody)
{
    EACH_STORE(w) {
        struct desk heir;
        desk_init(&heir, w.store, w.desk.shard); /* the same shard */
        check(heir.epoch > w.desk.epoch);
        check_int(commit_kv(&w, "k", "old owner"), ERR_STALE_LEASE);
        check_kv(&w, "k", NULL);
        struct draft d;
        draft_init(&d, &heir);
        draft_kv(&d, SPACE_META, "k", "new owner");
        check_int(draft_commit(&d, &heir), ERR_NONE);
        check_kv(&w, "k", "new owner");

        struct draft never; /* a shard nobody acquired */
        draft_init(&never, &w.desk);
        never.commit.shard = 99;
        never.commit.lease_epoch = 0;
        draft_kv(&never, SPACE_META, "k", "nobody");
        check_int(draft_commit(&never, &w.desk), ERR_STALE_LEASE);
        desk_fini(&heir);
    }
}

struct bound_row {
    const char *name;
    struct store_op op;
};
static const struct bound_row bound_rows[] = {
    {"no run", {.kind = STORE_RUN_PUT}},
    {"run key too large", {.kind = STORE_ITEM_PUT, .run = STORE_RUN_MAX + 1}},
    {"run key negative", {.kind = STORE_WAKE_PUT, .run = -1}},
    {"event id 0", {.kind = STORE_HISTORY_APPEND, .run = 1, .a = 0, .b = 1}},
    {"event id too large", {.kind = STORE_HISTORY_APPEND, .run = 1, .a = STORE_EVENT_ID_MAX, .b = 2}},
    {"batch without events", {.kind = STORE_HISTORY_APPEND, .run = 1, .a = 1, .b = 0}},
    {"value too large", {.kind = STORE_KV_PUT, .item_kind = SPACE_META, .bytes = {"", STORE_BYTES_MAX + 1}}},
    {"no row", {.kind = STORE_VISIBILITY_PUT}},
    {"unknown operation", {.kind = (enum store_op_kind)99}},
};

TEST(an_operation_out_of_bounds_is_refused)
{
    EACH_STORE(w) {
        for (size_t i = 0; i < countof(bound_rows); i++) {
            test_row = bound_rows[i].name;
            struct draft d;
            draft_init(&d, &w.desk);
            *draft_op(&d, STORE_RUN_PUT) = bound_rows[i].op;
            check_int(draft_commit(&d, &w.desk), ERR_INVALID);
            w.store->ops->recover(w.store, w.desk.shard);
        }
        test_row = NULL;
    }
}

struct submitter {
    struct world *world;
    uint32_t shard;
    pthread_t thread;
    int wrong;
};

static void *submitter_run(void *arg)
{
    struct submitter *s = arg;
    struct desk desk;
    desk_init(&desk, s->world->store, s->shard);
    char key[24], value[24];
    snprintf(key, sizeof(key), "shard %u", (unsigned)s->shard);
    for (int i = 0; i < 150; i++) {
        struct draft d;
        struct ask ask;
        snprintf(value, sizeof(value), "%d", i);
        draft_init(&d, &desk);
        draft_kv(&d, SPACE_META, key, value);
        draft_run(&d, s->shard * 1000 + i, key, "r", value);
        draft_submit(&d, &desk);
        ask_init(&ask, &desk, i % 2 == 0 ? STORE_READ_KV : STORE_READ_CURRENT);
        ask.read.space = SPACE_META;
        ask.read.key = str_of(key);
        err result = ask_read(&ask, &desk);
        desk_wait(&desk, &d.is_done);
        if (d.commit.result != ERR_NONE || result != ERR_NONE || !str_equal_c(ask.read.row.bytes, value)) s->wrong++;
        ask_fini(&ask);
    }
    desk_fini(&desk);
    return NULL;
}

TEST(any_thread_may_submit)
{
    EACH_STORE(w) {
        struct submitter submitters[4];
        for (uint32_t i = 0; i < countof(submitters); i++) {
            submitters[i] = (struct submitter){.world = &w, .shard = 20 + i};
            ensure(pthread_create(&submitters[i].thread, NULL, submitter_run, &submitters[i]) == 0);
        }
        for (size_t i = 0; i < countof(submitters); i++) {
            pthread_join(submitters[i].thread, NULL);
            check_int(submitters[i].wrong, 0);
        }
    }
}

TEST(closing_waits_for_what_was_submitted)
{
    EACH_STORE(w) {
        enum { N = 50 };
        static struct draft drafts[N];
        static struct ask asks[N];
        for (int i = 0; i < N; i++) {
            draft_init(&drafts[i], &w.desk);
            draft_run(&drafts[i], i + 1, "order", "r", "s");
            draft_submit(&drafts[i], &w.desk);
            ask_init(&asks[i], &w.desk, STORE_READ_CURRENT);
            asks[i].read.key = STR("order");
            ask_submit(&asks[i], &w.desk);
        }
        store_close(w.store);
        mailbox_open_all(&w.desk.box);
        for (int i = 0; i < N; i++) {
            check(drafts[i].is_done && drafts[i].commit.result == ERR_NONE);
            check(asks[i].is_done && asks[i].read.result == ERR_NONE);
            ask_fini(&asks[i]);
        }
        desk_fini(&w.desk);
        world_open(&w);
        test_row = w.name;
        check_run(&w, N, w.is_kept_on_disk ? "s" : NULL, "");
    }
}

/* ---- runs ---- */

TEST(the_newest_run_of_an_id_is_the_current_one)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 1, "order", "r1", "first");
        draft_run(&d, 2, "order/2", "r2", "another id");
        draft_run(&d, 3, "order", "r3", "second");
        draft_run(&d, 4, "order", "r4", "third");
        d.ops[3].namespace_key = 2;
        draft_item(&d, 3, 2, "b", "two-b");
        draft_item(&d, 3, 1, "z", "one-z");
        draft_item(&d, 3, 2, "a", "two-a");
        draft_item(&d, 3, 300, "", "empty id");
        draft_item(&d, 4, 1, "x", "of another run");
        check_int(draft_commit(&d, &w.desk), ERR_NONE);

        struct ask ask;
        ask_init(&ask, &w.desk, STORE_READ_CURRENT);
        ask.read.key = STR("order");
        check_int(ask_read(&ask, &w.desk), ERR_NONE);
        check_int(ask.read.row.run, 3);
        check_int(ask.read.row.namespace_key, 1);
        check_str(ask.read.row.key, "order");
        check_str(ask.read.row.run_id, "r3");
        check_str(ask.read.row.bytes, "second");
        check_str(ask_rows(&ask), "3 0 0 1 z one-z|3 0 0 2 a two-a|3 0 0 2 b two-b|3 0 0 300  empty id");
        ask_fini(&ask);

        ask_init(&ask, &w.desk, STORE_READ_RUN);
        ask.read.key = STR("order");
        ask.read.run_id = STR("r1");
        check_int(ask_read(&ask, &w.desk), ERR_NONE);
        check_int(ask.read.row.run, 1);
        ask_fini(&ask);

        static const char *const absent[][2] = {{"order", "r2"}, {"order", "r4"}, {"order", ""}, {"orde", "r1"}, {"", "r1"}};
        for (size_t i = 0; i < countof(absent); i++) {
            ask_init(&ask, &w.desk, STORE_READ_RUN);
            ask.read.key = str_of(absent[i][0]);
            ask.read.run_id = str_of(absent[i][1]);
            check_int(ask_read(&ask, &w.desk), ERR_NOT_FOUND);
            ask_fini(&ask);
        }
        ask_init(&ask, &w.desk, STORE_READ_CURRENT);
        ask.read.key = STR("nobody");
        check_int(ask_read(&ask, &w.desk), ERR_NOT_FOUND);
        ask_fini(&ask);
    }
}

TEST(the_runs_of_an_id_come_newest_first_page_by_page)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        char ids[20][8];
        for (int i = 0; i < 20; i++) {
            snprintf(ids[i], sizeof(ids[i]), "r%d", i + 1);
            draft_run(&d, i + 1, i % 2 == 0 ? "cron" : "other", ids[i], "s");
        }
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        int64_t below = 0, expected = 19;
        bool has_more = true;
        while (has_more) {
            struct ask ask;
            ask_init(&ask, &w.desk, STORE_READ_RUNS_OF);
            ask.read.key = STR("cron");
            ask.read.order = below;
            ask.read.limit = 3;
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            for (size_t i = 0; i < ask.read.row_count; i++, expected -= 2) {
                check_int(ask.read.rows[i].run, expected);
                check_str(ask.read.rows[i].run_id, ids[expected - 1]);
                below = ask.read.rows[i].run;
            }
            has_more = ask.read.has_more;
            check(ask.read.row_count == 3 || !has_more);
            ask_fini(&ask);
        }
        check_int(expected, -1);
    }
}

TEST(an_item_is_replaced_and_deleted_by_its_key)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 1, "order", "r1", "s1");
        draft_item(&d, 1, 1, "a", "old");
        draft_item(&d, 1, 1, "a", "new");
        draft_item(&d, 1, 1, "gone", "x");
        draft_item(&d, 1, 1, "gone", NULL);
        draft_item(&d, 1, 1, "never", NULL);
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_run(&w, 1, "s1", "1 0 0 1 a new");
        draft_init(&d, &w.desk);
        draft_run(&d, 1, "order", "r1", "s2");
        draft_item(&d, 1, 1, "a", "newer");
        draft_item(&d, 1, 2, "a", "other kind");
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_run(&w, 1, "s2", "1 0 0 1 a newer|1 0 0 2 a other kind");
        draft_init(&d, &w.desk);
        draft_item(&d, 1, 1, "a", NULL);
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_run(&w, 1, "s2", "1 0 0 2 a other kind");
    }
}

/* ---- history ---- */

TEST(history_is_read_forward_and_backward_in_whole_batches)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 5, "order", "r5", "s");
        draft_history(&d, 5, 1, 2, "aa");
        draft_history(&d, 5, 3, 3, "bbb");
        draft_history(&d, 5, 6, 1, "c");
        draft_history(&d, 6, 1, 9, "another branch");
        draft_history(&d, 4, 1, 9, "another branch");
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_history(&w, 5, 1, 7, 0, false, "5 1 2 0  aa|5 3 3 0  bbb|5 6 1 0  c", false);
        check_history(&w, 5, 1, STORE_EVENT_ID_MAX, 0, false, "5 1 2 0  aa|5 3 3 0  bbb|5 6 1 0  c", false);
        check_history(&w, 5, 1, 7, 0, true, "5 6 1 0  c|5 3 3 0  bbb|5 1 2 0  aa", false);
        check_history(&w, 5, 4, 6, 0, false, "5 3 3 0  bbb", false); /* holds event 4 */
        check_history(&w, 5, 5, 7, 0, true, "5 6 1 0  c|5 3 3 0  bbb", false);
        check_history(&w, 5, 1, 3, 0, false, "5 1 2 0  aa", false);
        check_history(&w, 5, 7, 9, 0, false, "", false);
        check_history(&w, 5, 1, 7, 4, false, "5 1 2 0  aa", true);
        check_history(&w, 5, 1, 7, 5, false, "5 1 2 0  aa|5 3 3 0  bbb", true);
        check_history(&w, 5, 1, 7, 6, false, "5 1 2 0  aa|5 3 3 0  bbb|5 6 1 0  c", false);
        check_history(&w, 5, 3, 7, 1, false, "5 3 3 0  bbb", true); /* one is given at least */
        check_history(&w, 5, 1, 7, 4, true, "5 6 1 0  c|5 3 3 0  bbb", true);
        check_history(&w, 9, 1, 7, 0, false, "", false);
    }
}

TEST(deleting_a_run_keeps_history_that_another_run_refers_to)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 1, "order", "r1", "s");
        draft_item(&d, 1, 1, "a", "x");
        draft_history(&d, 1, 1, 4, "base");
        struct store_op *wake = draft_op(&d, STORE_WAKE_PUT);
        wake->run = 1;
        wake->a = 50;
        draft_run(&d, 2, "order", "r2", "s"); /* reset of 1 */
        draft_history(&d, 2, 5, 1, "tail");
        struct store_op *ref = draft_op(&d, STORE_BRANCH_REF);
        ref->run = 2;
        ref->a = 1;
        check_int(draft_commit(&d, &w.desk), ERR_NONE);

        draft_init(&d, &w.desk);
        draft_op(&d, STORE_RUN_DELETE)->run = 1;
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_run(&w, 1, NULL, "");
        check_run(&w, 2, "s", "");
        check_history(&w, 1, 1, 5, 0, false, "1 1 4 0  base", false);
        struct ask ask;
        ask_init(&ask, &w.desk, STORE_READ_WAKE);
        ask.read.to = INT64_MAX;
        check_int(ask_read(&ask, &w.desk), ERR_NONE);
        check_int(ask.read.row_count, 0);
        ask_fini(&ask);
        ask_init(&ask, &w.desk, STORE_READ_RUN);
        ask.read.key = STR("order");
        ask.read.run_id = STR("r1");
        check_int(ask_read(&ask, &w.desk), ERR_NOT_FOUND);
        ask_fini(&ask);

        draft_init(&d, &w.desk);
        draft_op(&d, STORE_RUN_DELETE)->run = 2;
        draft_op(&d, STORE_RUN_DELETE)->run = 77; /* never was */
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_history(&w, 1, 1, 5, 0, false, "", false);
        check_history(&w, 2, 1, 9, 0, false, "", false);
        ask_init(&ask, &w.desk, STORE_READ_CURRENT);
        ask.read.key = STR("order");
        check_int(ask_read(&ask, &w.desk), ERR_NOT_FOUND);
        ask_fini(&ask);
    }
}

/* ---- wakes, tasks, messages, settings ---- */

static void put_wake(struct draft *d, int64_t run, int64_t due)
{
    struct store_op *op = draft_op(d, STORE_WAKE_PUT);
    op->run = run;
    op->a = due;
}

TEST(wakes_come_by_due_time_one_a_run)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        for (int run = 1; run <= 6; run++) draft_run(&d, run, "w", "r", "s");
        put_wake(&d, 1, 300);
        put_wake(&d, 2, 100);
        put_wake(&d, 3, 200);
        put_wake(&d, 4, 200);
        put_wake(&d, 5, -5);
        put_wake(&d, 6, 400);
        put_wake(&d, 6, 0); /* replaces */
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        draft_init(&d, &w.desk);
        put_wake(&d, 1, 150);
        draft_op(&d, STORE_WAKE_DELETE)->run = 3;
        draft_op(&d, STORE_WAKE_DELETE)->run = 3;
        draft_run(&d, 2, "w", "r", "a new state keeps the wake");
        check_int(draft_commit(&d, &w.desk), ERR_NONE);

        static const struct { int64_t from, order, to; size_t limit; const char *rows; bool has_more; } reads[] = {
            {INT64_MIN, 0, INT64_MAX, 0, "5 -5 0 0  |6 0 0 0  |2 100 0 0  |1 150 0 0  |4 200 0 0  ", false},
            {INT64_MIN, 0, 150, 0, "5 -5 0 0  |6 0 0 0  |2 100 0 0  |1 150 0 0  ", false},
            {INT64_MIN, 0, INT64_MAX, 2, "5 -5 0 0  |6 0 0 0  ", true},
            {0, 6, INT64_MAX, 2, "2 100 0 0  |1 150 0 0  ", true},
            {150, 1, INT64_MAX, 2, "4 200 0 0  ", false},
            {200, 4, INT64_MAX, 2, "", false},
            {0, 0, 0, 0, "6 0 0 0  ", false},
        };
        for (size_t i = 0; i < countof(reads); i++) {
            struct ask ask;
            ask_init(&ask, &w.desk, STORE_READ_WAKE);
            ask.read.from = reads[i].from;
            ask.read.order = reads[i].order;
            ask.read.to = reads[i].to;
            ask.read.limit = reads[i].limit;
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            check_str(ask_rows(&ask), reads[i].rows);
            check_int(ask.read.has_more, reads[i].has_more);
            ask_fini(&ask);
        }
        struct desk other;
        desk_init(&other, w.store, 8);
        struct ask ask;
        ask_init(&ask, &other, STORE_READ_WAKE);
        ask.read.from = INT64_MIN;
        ask.read.to = INT64_MAX;
        check_int(ask_read(&ask, &other), ERR_NONE);
        check_int(ask.read.row_count, 0); /* wakes belong to the shard that put them */
        ask_fini(&ask);
        desk_fini(&other);
    }
}

TEST(tasks_and_messages_come_in_their_order)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_ordered(&d, STORE_TASK_PUT, 10, 3, "t3");
        draft_ordered(&d, STORE_TASK_PUT, 10, 1, "t1");
        draft_ordered(&d, STORE_TASK_PUT, 10, 2, "t2");
        draft_ordered(&d, STORE_TASK_PUT, 11, 1, "other queue");
        draft_ordered(&d, STORE_MESSAGE_PUT, 0, 8, "m8");
        draft_ordered(&d, STORE_MESSAGE_PUT, 0, 7, "m7");
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        draft_init(&d, &w.desk);
        draft_ordered(&d, STORE_TASK_DELETE, 10, 2, NULL);
        draft_ordered(&d, STORE_TASK_DELETE, 10, 99, NULL);
        draft_ordered(&d, STORE_MESSAGE_DELETE, 0, 7, NULL);
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        struct ask ask;
        ask_init(&ask, &w.desk, STORE_READ_TASKS);
        ask.read.run = 10;
        ask.read.limit = 1;
        check_int(ask_read(&ask, &w.desk), ERR_NONE);
        check_str(ask_rows(&ask), "0 10 1 0  t1");
        check(ask.read.has_more);
        ask_fini(&ask);
        ask_init(&ask, &w.desk, STORE_READ_TASKS);
        ask.read.run = 10;
        ask.read.order = 1;
        check_int(ask_read(&ask, &w.desk), ERR_NONE);
        check_str(ask_rows(&ask), "0 10 3 0  t3");
        check(!ask.read.has_more);
        ask_fini(&ask);
        static const struct { int64_t queue, after, count, first; const char *bytes; } counts[] = {{10, 0, 2, 1, "t1"}, {10, 1, 1, 3, "t3"}, {10, 3, 0, 0, ""}, {12, 0, 0, 0, ""}};
        for (size_t i = 0; i < countof(counts); i++) {
            ask_init(&ask, &w.desk, STORE_COUNT_TASKS);
            ask.read.run = counts[i].queue;
            ask.read.order = counts[i].after;
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            check_int(ask.read.row.a, counts[i].count);
            check_int(ask.read.row.b, counts[i].first);
            check_str(ask.read.row.bytes, counts[i].bytes);
            ask_fini(&ask);
        }
        ask_init(&ask, &w.desk, STORE_READ_MESSAGES);
        check_int(ask_read(&ask, &w.desk), ERR_NONE);
        check_str(ask_rows(&ask), "0 7 8 0  m8");
        ask_fini(&ask);
        ask_init(&ask, &w.desk, STORE_READ_MAX);
        check_int(ask_read(&ask, &w.desk), ERR_NONE);
        check_int(ask.read.max_task, 3);
        check_int(ask.read.max_message, 8);
        check_int(ask.read.max_run, 0);
        ask_fini(&ask);
    }
}

TEST(the_largest_numbers_outlive_what_they_were_given_to)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 41, "a", "r", "s");
        draft_run(&d, 40, "a", "r", "s");
        draft_ordered(&d, STORE_TASK_PUT, 1, 9, "t");
        draft_ordered(&d, STORE_MESSAGE_PUT, 0, 5, "m");
        pb_store_VisibilityRow hidden = {.namespace_key = 1, .run_key = INT64_C(1) << 38, .workflow_id = STR("s"), .run_id = STR("r"), .version = 1,
                                         .status = WORKFLOW_EXECUTION_STATUS_RUNNING, .namespace_division = STR("other")};
        draft_op(&d, STORE_VISIBILITY_PUT)->visibility = &hidden; /* not a run's number */
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        draft_init(&d, &w.desk);
        draft_op(&d, STORE_RUN_DELETE)->run = 41;
        draft_ordered(&d, STORE_TASK_DELETE, 1, 9, NULL);
        draft_ordered(&d, STORE_MESSAGE_DELETE, 0, 5, NULL);
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        for (int round = 0; round < 2; round++) {
            struct ask ask;
            ask_init(&ask, &w.desk, STORE_READ_MAX);
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            check_int(ask.read.max_run, 41);
            check_int(ask.read.max_task, 9);
            check_int(ask.read.max_message, 5);
            ask_fini(&ask);
            ask_init(&ask, &w.desk, STORE_READ_MAX);
            ask.read.shard = 8;
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            check_int(ask.read.max_run, 0);
            ask_fini(&ask);
            if (!w.is_kept_on_disk || round == 1) break;
            world_close(&w);
            world_open(&w);
        }
    }
}

TEST(settings_are_read_by_key_and_by_prefix)
{
    EACH_STORE(w) {
        struct draft d;
        draft_init(&d, &w.desk);
        draft_kv(&d, SPACE_NAMESPACE, "a", "1");
        draft_kv(&d, SPACE_NAMESPACE, "ab", "2");
        draft_kv(&d, SPACE_NAMESPACE, "abc", "3");
        draft_kv(&d, SPACE_NAMESPACE, "ab\xff", "4");
        draft_kv(&d, SPACE_NAMESPACE, "ac", "5");
        draft_kv(&d, SPACE_META, "ab", "another space");
        draft_kv(&d, SPACE_META, "zero", "x");
        draft_kv(&d, SPACE_META, "zero", NULL);
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_kv(&w, "zero", NULL);
        check_kv(&w, "ab", "another space");
        static const struct { const char *prefix, *after; size_t limit; const char *rows; bool has_more; } reads[] = {
            {"", "", 0, "0 0 0 2 a 1|0 0 0 2 ab 2|0 0 0 2 abc 3|0 0 0 2 ab\xff 4|0 0 0 2 ac 5", false},
            {"ab", "", 0, "0 0 0 2 ab 2|0 0 0 2 abc 3|0 0 0 2 ab\xff 4", false},
            {"ab", "", 2, "0 0 0 2 ab 2|0 0 0 2 abc 3", true},
            {"ab", "abc", 2, "0 0 0 2 ab\xff 4", false},
            {"ab", "a", 1, "0 0 0 2 ab 2", true},
            {"ab", "zz", 1, "", false},
            {"x", "", 1, "", false},
        };
        for (size_t i = 0; i < countof(reads); i++) {
            struct ask ask;
            ask_init(&ask, &w.desk, STORE_READ_KV_RANGE);
            ask.read.space = SPACE_NAMESPACE;
            ask.read.key = str_of(reads[i].prefix);
            ask.read.after = str_of(reads[i].after);
            ask.read.limit = reads[i].limit;
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            check_str(ask_rows(&ask), reads[i].rows);
            check_int(ask.read.has_more, reads[i].has_more);
            ask_fini(&ask);
        }
    }
}

TEST(bytes_of_any_kind_and_size_come_back_as_they_were)
{
    EACH_STORE(w) {
        static const size_t sizes[] = {0, 1, 255, 1000, 1100, 4000, 4096, 70000, 3000000};
        for (size_t i = 0; i < countof(sizes); i++) {
            char *bytes = xmalloc(sizes[i] + 1);
            for (size_t j = 0; j < sizes[i]; j++) bytes[j] = (char)(j * 31 + i);
            struct draft d;
            draft_init(&d, &w.desk);
            draft_run(&d, (int64_t)i + 1, "zero\0byte", "r", "");
            d.ops[0].key = STR("zero\0byte");
            d.ops[0].bytes = str_make(bytes, sizes[i]);
            draft_item(&d, (int64_t)i + 1, 1, "i", "");
            d.ops[1].bytes = d.ops[0].bytes;
            draft_history(&d, (int64_t)i + 1, 1, 1, "");
            d.ops[2].bytes = d.ops[0].bytes;
            check_int(draft_commit(&d, &w.desk), ERR_NONE);
            struct ask ask;
            ask_init(&ask, &w.desk, STORE_READ_CURRENT);
            ask.read.key = STR("zero\0byte");
            check_int(ask_read(&ask, &w.desk), ERR_NONE);
            check(str_equal(ask.read.row.bytes, str_make(bytes, sizes[i])));
            check(str_equal(ask.read.row.key, STR("zero\0byte")));
            check_int(ask.read.row_count, 1);
            check(ask.read.row_count == 1 && str_equal(ask.read.rows[0].bytes, str_make(bytes, sizes[i])));
            ask_fini(&ask);
            free(bytes);
        }
    }
}

/* ---- visibility: the rest is in list_test.c ---- */

static void put_row(struct world *w, int64_t run, int64_t version, const char *workflow_type, const char *division, int32_t status, err expected)
{
    struct draft d;
    draft_init(&d, &w->desk);
    d.rows[0] = (pb_store_VisibilityRow){.namespace_key = 1, .run_key = run, .workflow_id = STR("w"), .run_id = STR("r"), .status = status, .version = version,
                                         .workflow_type = str_of(workflow_type), .namespace_division = str_of(division)};
    pb_google_Timestamp close = {.seconds = 7};
    if (status == 2) d.rows[0].close_time = &close;
    draft_op(&d, STORE_VISIBILITY_PUT)->visibility = &d.rows[0];
    check_int(draft_commit(&d, &w->desk), expected);
    if (expected != ERR_NONE) w->store->ops->recover(w->store, w->desk.shard);
}

/* "type …" of all rows: open ones first, each newest first. */
static void check_rows(struct world *w, const char *expected)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct ask ask;
    ask_init(&ask, &w->desk, STORE_LIST);
    ask.read.query = visibility_query_all((instant){0}, &arena);
    check_int(ask_read(&ask, &w->desk), ERR_NONE);
    struct buf text = {0};
    for (size_t i = 0; i < ask.read.visibility_count; i++) buf_printf(&text, "%.*s ", STR_ARG(ask.read.visibility[i]->workflow_type));
    check_str(buf_view(&text), expected);
    struct ask count;
    ask_init(&count, &w->desk, STORE_COUNT);
    count.read.query = ask.read.query;
    check_int(ask_read(&count, &w->desk), ERR_NONE);
    check_int(count.read.group_count, 1);
    if (count.read.group_count == 1) check_int(count.read.groups[0].count, ask.read.visibility_count);
    ask_fini(&count);
    buf_fini(&text);
    ask_fini(&ask);
    arena_fini(&arena);
}

TEST(a_row_is_replaced_by_a_newer_one_alone_and_goes_with_its_run)
{
    EACH_STORE(w) {
        check_rows(&w, "");
        put_row(&w, 1, 5, "A5", "", 1, ERR_NONE);
        put_row(&w, 2, 1, "B1", "", 1, ERR_NONE);
        put_row(&w, 3, 1, "hidden", "TemporalScheduler", 1, ERR_NONE);
        put_row(&w, 1, 4, "A4", "", 1, ERR_NONE); /* changes nothing */
        check_rows(&w, "B1 A5 ");
        put_row(&w, 1, 5, "A5again", "", 1, ERR_NONE);
        put_row(&w, 2, 2, "B2", "", 2, ERR_NONE);
        check_rows(&w, "A5again B2 ");
        put_row(&w, 4, 1, "C", "", VISIBILITY_STATUS_MAX + 1, ERR_INVALID);
        put_row(&w, 4, 1, "C", "", 3, ERR_INVALID); /* closed, but when? */
        put_row(&w, 3, 2, "shown", "", 1, ERR_NONE); /* left its division */
        check_rows(&w, "shown A5again B2 ");
        struct draft d;
        draft_init(&d, &w.desk);
        draft_op(&d, STORE_VISIBILITY_DELETE)->run = 1;
        draft_op(&d, STORE_RUN_DELETE)->run = 2;
        draft_op(&d, STORE_VISIBILITY_DELETE)->run = 99;
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        check_rows(&w, "shown ");
        put_row(&w, 1, 1, "A1", "", 1, ERR_NONE); /* nothing is left of the old version */
        check_rows(&w, "shown A1 ");
    }
}

TEST(what_was_committed_is_there_after_reopening)
{
    EACH_STORE(w) {
        if (!w.is_kept_on_disk) continue;
        struct draft d;
        draft_init(&d, &w.desk);
        draft_run(&d, 1, "order", "r1", "s");
        draft_item(&d, 1, 1, "a", "x");
        draft_history(&d, 1, 1, 1, "h");
        put_wake(&d, 1, 10);
        check_int(draft_commit(&d, &w.desk), ERR_NONE);
        uint64_t epoch = w.desk.epoch;
        world_close(&w);
        world_open(&w);
        check(w.desk.epoch > epoch);
        check_run(&w, 1, "s", "1 0 0 1 a x");
        check_history(&w, 1, 1, 2, 0, false, "1 1 1 0  h", false);
    }
}

TEST_MAIN
