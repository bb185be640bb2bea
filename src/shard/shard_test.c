/* What a shard promises, with the smallest engine there is and a store that fails on demand. */
#include "base/test.h"
#include "shard/test_world.h"

static const struct faulty_options steady = {.seed = 1};
static const struct faulty_options slow = {.seed = 2, .delay_max = {20 * NS_PER_MS}};

TEST(a_failed_start_leaves_nothing_or_everything)
{
    bool fired = true;
    for (int nth = 0; fired; nth++) { /* until every store call has had its turn */
        struct world w;
        world_init(&w, steady);
        world_start(&w);
        world_settle(&w);
        faulty_arm(w.disk, nth);
        struct ask a = {.number = 0};
        ask(&w, &a, "greeting-1", DO_START, 0);
        world_settle(&w);
        fired = faulty_has_fired(w.disk);
        check(a.is_done);
        check_int(a.result, fired ? ERR_STORE : ERR_NONE);
        check_int(durable_row_count(&w, "greeting-1"), fired ? 0 : 2);
        check_int(do_now(&w, "greeting-1", DO_START, 0), fired ? ERR_NONE : ERR_WORKFLOW_STARTED);
        ask_fini(&a);
        world_fini(&w);
    }
}

TEST(nobody_is_told_before_it_is_durable)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world w;
        world_init(&w, (struct faulty_options){.seed = seed, .delay_max = {20 * NS_PER_MS}});
        world_start(&w);
        struct ask asks[10] = {0};
        static const char *const ids[] = {"a", "b", "c", "d", "e"};
        for (size_t i = 0; i < 5; i++) ask(&w, &asks[i], ids[i], DO_START, 0);
        for (size_t i = 0; i < 5; i++) ask(&w, &asks[5 + i], ids[i], DO_ADD, 3);
        for (int ms = 0; ms < 3000; ms++) {
            world_run(&w, duration_ms(1));
            for (size_t i = 0; i < 10; i++)
                if (asks[i].is_done) check(durable_row_count(&w, ids[i % 5]) >= (i < 5 ? 2u : 3u));
        }
        for (size_t i = 0; i < 10; i++) {
            check(asks[i].is_done && asks[i].result == ERR_NONE);
            ask_fini(&asks[i]);
        }
        world_fini(&w);
    }
}

TEST(calls_of_one_workflow_id_run_and_answer_in_order)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    check_int(shard_evict_all(w.shard), 0); /* so that the first call has to read */
    struct ask asks[20] = {0};
    for (size_t i = 0; i < countof(asks); i++) ask(&w, &asks[i], "w", i % 3 == 2 ? DO_NOTHING : i % 3 == 1 ? DO_ADD_RELAXED : DO_ADD, 1);
    world_run(&w, duration_s(5));
    int64_t number = 0;
    for (size_t i = 0; i < countof(asks); i++) {
        check(asks[i].is_done && asks[i].result == ERR_NONE);
        if (i % 3 != 2) number++;
        check_int(asks[i].number, number);
        if (i > 0) check(asks[i].order > asks[i - 1].order);
        ask_fini(&asks[i]);
    }
    world_fini(&w);
}

TEST(a_relaxed_step_writes_nothing_but_waits_for_what_it_built_on)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    uint64_t commits = faulty_get_stats(w.disk).commits;
    check_int(do_now(&w, "w", DO_ADD_RELAXED, 5), ERR_NONE);
    check_int(faulty_get_stats(w.disk).commits, commits);
    struct ask durable = {0}, relaxed = {0}, reader = {0};
    ask(&w, &durable, "w", DO_ADD, 1);
    ask(&w, &relaxed, "w", DO_ADD_RELAXED, 1);
    ask(&w, &reader, "w", DO_NOTHING, 0);
    check_int(reader.number, 7);
    while (!durable.is_done) {
        check(!relaxed.is_done && !reader.is_done);
        world_run(&w, duration_ms(1));
    }
    world_run(&w, duration_ms(1));
    check(relaxed.is_done && reader.is_done && relaxed.order > durable.order);
    check_int(durable_row_count(&w, "w"), 3); /* the durable step wrote the relaxed event before it as well */
    world_crash(&w);
    world_start(&w);
    check_int(number_of(&w, "w"), 6); /* the relaxed one after it is gone */
    ask_fini(&durable);
    ask_fini(&relaxed);
    ask_fini(&reader);
    world_fini(&w);
}

TEST(a_crash_at_any_moment_keeps_what_was_acknowledged)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world w;
        world_init(&w, (struct faulty_options){.seed = seed, .delay_max = {10 * NS_PER_MS}});
        world_start(&w);
        struct ask asks[31] = {0};
        for (size_t i = 0; i < 31; i++) ask(&w, &asks[i], "w", i == 0 ? DO_START : DO_ADD, 1);
        world_run(&w, duration_ms((int64_t)(seed * 7)));
        int64_t acknowledged = 0;
        for (size_t i = 1; i < 31; i++) acknowledged += asks[i].is_done && asks[i].result == ERR_NONE;
        bool is_started = asks[0].is_done;
        world_crash(&w);
        for (size_t i = 0; i < 31; i++) ask_fini(&asks[i]);
        world_start(&w);
        int64_t number = number_of(&w, "w");
        check(number >= (is_started ? acknowledged : -1) && number <= 30);
        check_int(do_now(&w, "w", number >= 0 ? DO_ADD : DO_START, 1), ERR_NONE);
        world_fini(&w);
    }
}

TEST(a_failed_commit_takes_back_what_was_built_on_it_and_no_more)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "victim", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "other", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "other", DO_ADD_RELAXED, 40), ERR_NONE); /* in memory only, and not part of any failure */
    struct ask good = {0}, bad = {0}, built = {0}, reader = {0};
    ask(&w, &good, "victim", DO_ADD, 1);
    faulty_arm(w.disk, 0);
    ask(&w, &bad, "victim", DO_ADD, 2);
    ask(&w, &built, "victim", DO_ADD, 4);
    ask(&w, &reader, "victim", DO_NOTHING, 0);
    world_run(&w, duration_s(5));
    check_int(good.result, ERR_NONE);
    check(bad.is_done && built.is_done && reader.is_done);
    check_int(bad.result, ERR_STORE);
    check_int(built.result, ERR_STORE);
    check_int(reader.result, ERR_STORE);
    check_int(number_of(&w, "victim"), 1);
    check_int(number_of(&w, "other"), 40);
    check_int(do_now(&w, "victim", DO_ADD, 1), ERR_NONE);
    check_int(number_of(&w, "victim"), 2);
    ask_fini(&good);
    ask_fini(&bad);
    ask_fini(&built);
    ask_fini(&reader);
    world_fini(&w);
}

TEST(a_full_disk_refuses_writes_answers_reads_and_recovers)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "w", DO_ADD, 1), ERR_NONE);
    faulty_set_full(w.disk, true);
    for (int i = 0; i < 3; i++) {
        check_int(do_now(&w, "w", DO_ADD, 1), ERR_STORE_FULL);
        check_int(number_of(&w, "w"), 1);
    }
    faulty_set_full(w.disk, false);
    check_int(do_now(&w, "w", DO_ADD, 1), ERR_NONE);
    check_int(number_of(&w, "w"), 2);
    world_fini(&w);
}

TEST(an_error_commits_nothing_unless_it_says_so)
{
    struct world w;
    world_init(&w, steady);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "w", DO_FAIL, 0), ERR_INVALID);
    check_int(durable_row_count(&w, "w"), 2);
    check_int(do_now(&w, "w", DO_FAIL_COMMIT, 9), ERR_INVALID);
    check_int(durable_row_count(&w, "w"), 3);
    check_int(number_of(&w, "w"), 9);
    check_int(do_now(&w, "nobody", DO_ADD, 1), ERR_WORKFLOW_NOT_FOUND);
    world_fini(&w);
}

TEST(messages_arrive_once_whatever_fails)
{
    bool fired = true;
    for (int nth = 0; fired; nth++) {
        struct world w;
        world_init(&w, slow);
        world_start(&w);
        check_int(do_now(&w, "sender", DO_START, 0), ERR_NONE);
        check_int(do_now(&w, "other", DO_START, 0), ERR_NONE);
        shard_evict_all(w.shard);
        world_run(&w, duration_s(1));
        faulty_arm(w.disk, nth);
        err sent = do_now(&w, "sender", DO_SEND, 1);
        world_run(&w, duration_s(30));
        fired = faulty_has_fired(w.disk);
        check(sent == ERR_NONE || sent == ERR_STORE);
        check_int(number_of(&w, "other"), sent == ERR_NONE ? 1 : 0);
        if (nth % 2 == 0) {
            world_crash(&w);
            world_start(&w);
            world_run(&w, duration_s(30));
            check_int(number_of(&w, "other"), sent == ERR_NONE ? 1 : 0);
        }
        struct store_read left = {.kind = STORE_READ_MESSAGES};
        arena_init(&left.arena, 0, 0);
        world_run(&w, duration_s(1));
        faulty_read_durable(w.disk, &left);
        check_int(left.row_count, 0);
        arena_fini(&left.arena);
        world_fini(&w);
    }
}

TEST(messages_survive_crashes_between_any_two_moments)
{
    for (int64_t ms = 0; ms < 120; ms += 3) {
        struct world w;
        world_init(&w, (struct faulty_options){.seed = (uint64_t)ms, .delay_max = {15 * NS_PER_MS}});
        world_start(&w);
        check_int(do_now(&w, "sender", DO_START, 0), ERR_NONE);
        check_int(do_now(&w, "other", DO_START, 0), ERR_NONE);
        struct ask asks[5];
        for (size_t i = 0; i < 5; i++) {
            asks[i].other = STR("other");
            ask(&w, &asks[i], "sender", DO_SEND, (int64_t)i);
        }
        world_run(&w, duration_ms(ms));
        int64_t sent = 0;
        for (size_t i = 0; i < 5; i++) sent += asks[i].is_done && asks[i].result == ERR_NONE;
        world_crash(&w);
        for (size_t i = 0; i < 5; i++) ask_fini(&asks[i]);
        world_start(&w);
        world_run(&w, duration_s(30));
        int64_t number = number_of(&w, "other");
        check(number >= sent && number <= 5);
        world_fini(&w);
    }
}

TEST(more_messages_than_memory_may_hold_all_arrive)
{
    struct world w;
    world_init(&w, slow);
    w.options.messages_max = 4;
    world_start(&w);
    check_int(do_now(&w, "other", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "sender", DO_START, 0), ERR_NONE);
    struct ask asks[40];
    for (size_t i = 0; i < countof(asks); i++) {
        asks[i].other = STR("other");
        ask(&w, &asks[i], "sender", DO_SEND, (int64_t)i);
        if (i % 7 == 0) world_run(&w, duration_ms(5));
        struct shard_stats stats;
        shard_get_stats(w.shard, &stats);
        check(stats.messages <= 6);
    }
    world_run(&w, duration_s(60));
    for (size_t i = 0; i < countof(asks); i++) ask_fini(&asks[i]);
    check_int(number_of(&w, "other"), 40);
    world_fini(&w);
}

TEST(timers_fire_on_time_from_memory_and_from_disk)
{
    struct world w;
    world_init(&w, slow);
    w.options.wake_window = duration_s(10);
    world_start(&w);
    static const struct { const char *id; int64_t ms; } rows[] = {{"a", 500}, {"b", 4000}, {"c", 9000}, {"d", 25000}, {"e", 100000}, {"f", 86400000}};
    for (size_t i = 0; i < countof(rows); i++) {
        check_int(do_now(&w, rows[i].id, DO_START, 0), ERR_NONE);
        check_int(do_now(&w, rows[i].id, DO_TIMER, rows[i].ms), ERR_NONE);
    }
    instant begin = w.now;
    check_int(shard_evict_all(w.shard), 0);
    static const int64_t looks_ms[] = {300, 3700, 8700, 24500, 99500, 86399000};
    for (size_t i = 0; i < countof(rows); i++) {
        world_run(&w, instant_since(instant_add(begin, duration_ms(looks_ms[i] - 200)), w.now)); /* the set-up took a while as well */
        check_int(number_of(&w, rows[i].id), 0);
        shard_evict_all(w.shard);
        world_run(&w, duration_s(3));
        check_int(number_of(&w, rows[i].id), 100);
    }
    world_fini(&w);
}

TEST(timers_survive_a_restart_and_fire_late_rather_than_never)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "late", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "late", DO_TIMER, 2000), ERR_NONE);
    check_int(do_now(&w, "later", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "later", DO_TIMER, 20000), ERR_NONE);
    world_crash(&w);
    w.now = instant_add(w.now, duration_s(10));
    world_start(&w);
    world_run(&w, duration_s(2));
    check_int(number_of(&w, "late"), 100);
    check_int(number_of(&w, "later"), 0);
    world_run(&w, duration_s(10));
    check_int(number_of(&w, "later"), 100);
    world_fini(&w);
}

TEST(sleeping_runs_take_no_memory)
{
    struct world w;
    world_init(&w, steady);
    w.options.cache_bytes_max = 4096;
    w.options.sleepers_max = 8;
    world_start(&w);
    char id[16];
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "w%d", i);
        check_int(do_now(&w, id, DO_START, 0), ERR_NONE);
        check_int(do_now(&w, id, DO_TIMER, 90000 + 1000 * i), ERR_NONE);
    }
    struct shard_stats stats;
    shard_get_stats(w.shard, &stats);
    check(stats.cached_bytes < 8192 && stats.sleeping_runs <= 32);
    for (int i = 0; i < 60; i++) {
        world_run(&w, duration_s(3));
        shard_get_stats(w.shard, &stats);
        check(stats.cached_bytes < 16384 && stats.sleeping_runs <= 32);
    }
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "w%d", i);
        check_int(number_of(&w, id), 100);
    }
    world_fini(&w);
}

TEST(closed_runs_are_deleted_when_their_retention_ends)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    check_int(do_now(&w, "w", DO_CLOSE, 0), ERR_NONE);
    world_run(&w, duration_s(3590));
    check_int(number_of(&w, "w"), 0);
    shard_evict_all(w.shard);
    world_run(&w, duration_s(20));
    check_int(number_of(&w, "w"), -1);
    check_int(durable_row_count(&w, "w"), 0);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    world_fini(&w);
}

TEST(a_run_can_be_deleted_at_once)
{
    bool fired = true;
    for (int nth = 0; fired; nth++) {
        struct world w;
        world_init(&w, slow);
        world_start(&w);
        check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
        check_int(do_now(&w, "w", DO_CLOSE, 0), ERR_NONE);
        shard_evict_all(w.shard);
        faulty_arm(w.disk, nth);
        struct ask a = {0};
        ask(&w, &a, "w", DO_NOTHING, 0);
        a.call.is_delete = true;
        world_run(&w, duration_s(2));
        fired = faulty_has_fired(w.disk);
        check_int(a.result, fired ? ERR_STORE : ERR_NONE);
        check_int(number_of(&w, "w"), fired ? 0 : -1);
        check_int(durable_row_count(&w, "w"), fired ? 3 : 0);
        ask_fini(&a);
        world_fini(&w);
    }
}

TEST(tasks_are_offered_when_durable_and_again_after_a_crash)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    struct ask a = {0};
    ask(&w, &a, "w", DO_SCHEDULE, 0);
    check_int(w.offered, 0);
    world_run(&w, duration_ms(500));
    check(a.is_done && w.offered == 1);
    check_int(do_now(&w, "w", DO_START_TASK, w.last_stamp), ERR_NONE); /* relaxed: a crash forgets it */
    check_int(do_now(&w, "w", DO_START_TASK, w.last_stamp), ERR_TASK_GONE);
    world_crash(&w);
    world_start(&w);
    world_run(&w, duration_ms(500));
    check_int(w.offered, 2);
    check_int(do_now(&w, "w", DO_START_TASK, w.last_stamp), ERR_NONE);
    check_int(do_now(&w, "w", DO_FINISH_TASK, 0), ERR_NONE);
    world_crash(&w);
    world_start(&w);
    world_run(&w, duration_s(5));
    check_int(w.offered, 2);
    ask_fini(&a);
    world_fini(&w);
}

struct page { struct shard_history_read read; struct arena arena; bool is_done; err result; };
static void page_done(struct shard_history_read *read, err result)
{
    struct page *page = container_of(read, struct page, read);
    page->is_done = true;
    page->result = result;
}

/* Reads all pages; the event numbers, in order, as text. */
static struct str read_all(struct world *w, const char *id, int64_t from, int64_t to, size_t events_max, bool is_reverse, struct buf *out)
{
    buf_clear(out);
    int64_t next = from;
    for (int pages = 0; pages == 0 || next != 0; pages++) {
        struct page page = {.is_done = false};
        arena_init(&page.arena, 0, 0);
        page.read = (struct shard_history_read){.call = {.namespace_key = 1, .workflow_id = str_of(id), .arena = &page.arena}, .from = next, .to = to,
                                                .events_max = events_max, .is_reverse = is_reverse, .done = page_done};
        shard_read_history(w->shard, &page.read);
        world_run(w, duration_s(1));
        check(page.is_done);
        check_int(page.result, ERR_NONE);
        check(page.read.event_count <= events_max);
        for (size_t at = 0; page.result == ERR_NONE && at < page.read.history.size;) {
            size_t size = (size_t)(unsigned char)page.read.history.data[at + 1];
            buf_append(out, page.read.history.data + at + 2 + 6, size - 6);
            buf_append_byte(out, ' ');
            at += 2 + size;
        }
        next = page.read.next;
        arena_fini(&page.arena);
    }
    return buf_view(out);
}

TEST(history_reads_the_same_from_memory_and_store_forward_and_backward)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    for (int i = 0; i < 18; i++) check_int(do_now(&w, "w", i % 3 == 0 ? DO_ADD_RELAXED : DO_ADD, 1), ERR_NONE);
    struct buf out = {0};
    for (int round = 0; round < 2; round++) {
        for (size_t events_max = 1; events_max <= 20; events_max += 3) {
            check_str(read_all(&w, "w", 0, 0, events_max, false, &out), "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ");
            check_str(read_all(&w, "w", 5, 9, events_max, false, &out), "5 6 7 8 ");
            check_str(read_all(&w, "w", 0, 0, events_max, true, &out), "19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 ");
            check_str(read_all(&w, "w", 4, 0, events_max, true, &out), "4 3 2 1 ");
        }
        check_int(shard_evict_all(w.shard), 0);
    }
    buf_fini(&out);
    world_fini(&w);
}

struct watcher { struct shard_watch watch; int notices; };
static void watcher_notify(struct shard_watch *watch, enum notice_kind kind, struct str id)
{
    (void)kind;
    (void)id;
    container_of(watch, struct watcher, watch)->notices++;
}

TEST(a_watch_is_told_when_the_change_is_durable)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct ask a = {0};
    ask(&w, &a, "w", DO_START, 0);
    world_run(&w, duration_s(1));
    struct watcher watcher = {.watch = {.run = a.run, .notify = watcher_notify}};
    shard_watch_add(w.shard, &watcher.watch);
    ask_fini(&a);
    ask(&w, &a, "w", DO_ADD, 1);
    check_int(watcher.notices, 0);
    world_run(&w, duration_s(1));
    check_int(watcher.notices, 1);
    shard_watch_remove(w.shard, &watcher.watch);
    check_int(do_now(&w, "w", DO_ADD, 1), ERR_NONE);
    check_int(watcher.notices, 1);
    ask_fini(&a);
    world_fini(&w);
}

TEST(too_many_waiting_calls_are_refused_with_words)
{
    struct world w;
    world_init(&w, slow);
    w.options.calls_max = 4;
    world_start(&w);
    world_run(&w, duration_s(1));
    struct ask asks[8] = {0};
    for (size_t i = 0; i < countof(asks); i++) ask(&w, &asks[i], "w", i == 0 ? DO_START : DO_ADD, 1);
    world_run(&w, duration_s(2));
    int refused = 0;
    for (size_t i = 0; i < countof(asks); i++) {
        refused += asks[i].result == ERR_LIMIT && !str_is_empty(asks[i].call.error.message);
        ask_fini(&asks[i]);
    }
    check_int(refused, 4);
    check_int(number_of(&w, "w"), 3);
    world_fini(&w);
}

TEST(a_stale_lease_ends_the_shard)
{
    struct world w;
    world_init(&w, steady);
    world_start(&w);
    check_int(do_now(&w, "w", DO_START, 0), ERR_NONE);
    struct arena arena;
    arena_init(&arena, 0, 0);
    uint64_t epoch;
    struct error error = {0};
    struct store *disk = faulty_as_store(w.disk);
    check_int(disk->ops->acquire(disk, 0, STR("another node"), &epoch, &error, &arena), ERR_NONE);
    check_int(do_now(&w, "w", DO_ADD, 1), ERR_STALE_LEASE);
    check_int(do_now(&w, "w", DO_NOTHING, 1), ERR_STALE_LEASE);
    check_int(durable_row_count(&w, "w"), 2);
    arena_fini(&arena);
    world_fini(&w);
}

TEST(runs_leave_memory_under_pressure_and_come_back_unchanged)
{
    struct world w;
    world_init(&w, slow);
    w.options.cache_bytes_max = 2048;
    world_start(&w);
    char id[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 30; i++) {
            snprintf(id, sizeof id, "w%d", i);
            check_int(do_now(&w, id, round == 0 ? DO_START : round == 1 ? DO_ADD : DO_ADD_RELAXED, i), ERR_NONE);
        }
    }
    for (int i = 0; i < 30; i++) {
        snprintf(id, sizeof id, "w%d", i);
        check_int(number_of(&w, id), 2 * i);
    }
    struct shard_stats stats;
    shard_get_stats(w.shard, &stats);
    check(stats.evicted > 30 && stats.loaded > 30);
    world_fini(&w);
}

TEST_MAIN
