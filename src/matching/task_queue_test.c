/* What a partition of a task queue does, seen from outside. */
#include "base/test.h"
#include "matching/task_queue.h"

struct fixture {
    struct task_queue *queue;
    struct task_queue_effects fx;
    instant now;
    int64_t order;
    struct task_poller pollers[8];
};

static void fixture_init(struct fixture *f, struct task_queue_options options)
{
    *f = (struct fixture){.now = {1000 * NS_PER_S}};
    task_queue_effects_init(&f->fx);
    f->queue = task_queue_create(&options, f->now);
}

static void fixture_fini(struct fixture *f)
{
    for (size_t i = 0; i < countof(f->pollers); i++) task_queue_cancel_poll(f->queue, &f->pollers[i]);
    task_queue_effects_fini(&f->fx);
    task_queue_destroy(f->queue);
}

static err offer_with(struct fixture *f, int64_t run, int32_t priority, const char *key, float weight)
{
    struct queue_task task = {.namespace_key = 1, .run = run, .workflow_id = STR("w"), .run_id = STR("r"), .scheduled_event_id = 5, .attempt = 1,
                              .stamp = 1, .scheduled_at = f->now, .expires_at = INSTANT_NEVER, .priority = priority,
                              .fairness_key = str_of(key), .fairness_weight = weight};
    task_queue_effects_clear(&f->fx);
    return task_queue_offer(f->queue, &task, ++f->order, f->now, &f->fx);
}
static err offer(struct fixture *f, int64_t run) { return offer_with(f, run, 0, "", 0); }

static err offer_query(struct fixture *f, void *query, instant deadline)
{
    struct queue_task task = {.namespace_key = 1, .workflow_id = STR("w"), .transient = query, .expires_at = deadline, .normal_queue = STR("n")};
    task_queue_effects_clear(&f->fx);
    return task_queue_offer(f->queue, &task, 0, f->now, &f->fx);
}

static struct task_poller *poll_with(struct fixture *f, int number, double rate)
{
    struct task_poller *poller = &f->pollers[number];
    *poller = (struct task_poller){.identity = STR("me"), .deadline = instant_add(f->now, duration_s(60)), .rate_max = rate};
    task_queue_effects_clear(&f->fx);
    check_int(task_queue_poll(f->queue, poller, f->now, &f->fx), ERR_NONE);
    return poller;
}
static struct task_poller *poll(struct fixture *f, int number) { return poll_with(f, number, -1); }

static void tick(struct fixture *f, duration after)
{
    f->now = instant_add(f->now, after);
    task_queue_effects_clear(&f->fx);
    task_queue_tick(f->queue, f->now, &f->fx);
}

static const struct task_queue_effect *effect(const struct fixture *f, enum queue_effect_kind kind, size_t nth)
{
    for (size_t i = 0; i < f->fx.count; i++)
        if (f->fx.items[i].kind == kind && nth-- == 0) return &f->fx.items[i];
    return NULL;
}
static size_t effect_count(const struct fixture *f, enum queue_effect_kind kind)
{
    size_t count = 0;
    while (effect(f, kind, count) != NULL) count++;
    return count;
}
/* The run whose task the last call delivered; 0 = none. */
static int64_t delivered(const struct fixture *f)
{
    const struct task_queue_effect *d = effect(f, EFFECT_DELIVER, 0);
    return d != NULL ? d->task->task.run : 0;
}
/* Polls and finishes at once: the run that was served. */
static int64_t serve(struct fixture *f)
{
    struct task_poller *poller = poll(f, 0);
    const struct task_queue_effect *d = effect(f, EFFECT_DELIVER, 0);
    if (d == NULL) {
        task_queue_cancel_poll(f->queue, poller);
        return 0;
    }
    struct queued_task *task = d->task;
    int64_t run = task->task.run;
    task_queue_finish(f->queue, task, &f->fx);
    return run;
}

static const struct task_queue_options plain = {.is_backlog_known_empty = true};
static const struct task_queue_options sticky = {.is_sticky = true};

TEST(a_task_waits_for_the_first_poller)
{
    struct fixture f;
    fixture_init(&f, plain);
    check_int(offer(&f, 7), ERR_NONE);
    check_int(f.fx.count, 0);
    poll(&f, 0);
    check_int(delivered(&f), 7);
    fixture_fini(&f);
}

TEST(the_first_poller_to_wait_is_the_first_served)
{
    struct fixture f;
    fixture_init(&f, plain);
    struct task_poller *first = poll(&f, 0), *second = poll(&f, 1);
    check_int(offer(&f, 1), ERR_NONE);
    check(effect(&f, EFFECT_DELIVER, 0)->poller == first);
    check_int(offer(&f, 2), ERR_NONE);
    check(effect(&f, EFFECT_DELIVER, 0)->poller == second);
    fixture_fini(&f);
}

TEST(a_task_that_meets_a_waiting_poller_is_never_written)
{
    struct fixture f;
    fixture_init(&f, plain);
    poll(&f, 0);
    check_int(offer(&f, 1), ERR_NONE);
    task_queue_finish(f.queue, effect(&f, EFFECT_DELIVER, 0)->task, &f.fx);
    check_int(effect_count(&f, EFFECT_PERSIST) + effect_count(&f, EFFECT_DELETE), 0);
    tick(&f, duration_s(5));
    check_int(f.fx.count, 0);
    fixture_fini(&f);
}

TEST(a_task_that_waits_too_long_moves_to_the_backlog_and_is_deleted_when_it_is_done)
{
    struct fixture f;
    fixture_init(&f, plain);
    check_int(offer(&f, 1), ERR_NONE);
    tick(&f, duration_ms(900));
    check_int(f.fx.count, 0);
    tick(&f, duration_ms(100));
    check_int(effect_count(&f, EFFECT_PERSIST), 1);
    struct queued_task *task = effect(&f, EFFECT_PERSIST, 0)->task;
    task_queue_effects_clear(&f.fx);
    task_queue_persisted(f.queue, task, f.now, &f.fx);
    check_int(serve(&f), 1);
    check_int(effect_count(&f, EFFECT_DELETE), 1);
    check_int(effect(&f, EFFECT_DELETE, 0)->order, 1);
    fixture_fini(&f);
}

TEST(a_task_taken_while_its_row_is_written_is_deleted_afterwards)
{
    struct fixture f;
    fixture_init(&f, plain);
    check_int(offer(&f, 1), ERR_NONE);
    tick(&f, duration_s(1));
    struct queued_task *task = effect(&f, EFFECT_PERSIST, 0)->task;
    check_int(serve(&f), 1);
    check_int(effect_count(&f, EFFECT_DELETE), 0);
    task_queue_effects_clear(&f.fx);
    task_queue_persisted(f.queue, task, f.now, &f.fx);
    check_int(effect_count(&f, EFFECT_DELETE), 1);
    fixture_fini(&f);
}

TEST(a_failed_write_is_tried_again_unless_the_run_does_not_want_the_task)
{
    struct fixture f;
    fixture_init(&f, plain);
    check_int(offer(&f, 1), ERR_NONE);
    tick(&f, duration_s(1));
    struct queued_task *task = effect(&f, EFFECT_PERSIST, 0)->task;
    task_queue_persist_failed(f.queue, task, false, f.now, &f.fx);
    tick(&f, duration_s(1));
    check_int(effect_count(&f, EFFECT_PERSIST), 1);
    task_queue_persist_failed(f.queue, task, true, f.now, &f.fx);
    check_int(serve(&f), 0);
    fixture_fini(&f);
}

TEST(the_same_task_offered_twice_waits_once)
{
    struct fixture f;
    fixture_init(&f, plain);
    check_int(offer(&f, 1), ERR_NONE);
    check_int(offer(&f, 1), ERR_NONE);
    check_int(serve(&f), 1);
    check_int(serve(&f), 0);
    fixture_fini(&f);
}

TEST(past_the_memory_bound_tasks_live_in_the_backlog_and_come_back_in_order)
{
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){.tasks_max = 4, .is_backlog_known_empty = true});
    struct queued_task *persisting[8];
    size_t count = 0;
    for (int64_t run = 1; run <= 8; run++) {
        check_int(offer(&f, run), ERR_NONE);
        if (effect(&f, EFFECT_PERSIST, 0) != NULL) persisting[count++] = effect(&f, EFFECT_PERSIST, 0)->task;
    }
    check_int(count, 4);
    for (size_t i = 0; i < count; i++) task_queue_persisted(f.queue, persisting[i], f.now, &f.fx);
    check_int(task_queue_backlog_count(f.queue), 8);
    int64_t served = 0;
    for (int i = 0; i < 40 && served < 8; i++) {
        int64_t run = serve(&f);
        if (run != 0) check_int(run, ++served);
        for (const struct task_queue_effect *load; (load = effect(&f, EFFECT_LOAD, 0)) != NULL;) {
            struct loaded_task page[2];
            size_t rows = 0;
            for (int64_t order = load->order + 1; order <= 8 && rows < 2; order++) {
                if (order < 5) continue; /* those were never written */
                page[rows++] = (struct loaded_task){{.namespace_key = 1, .run = order, .workflow_id = STR("w"), .run_id = STR("r"),
                                                     .scheduled_event_id = 5, .stamp = 1, .expires_at = INSTANT_NEVER}, order};
            }
            int64_t last = rows != 0 ? page[rows - 1].order : 0;
            int level = load->level;
            task_queue_effects_clear(&f.fx);
            task_queue_loaded(f.queue, level, page, rows, last, rows != 0 && last < 8, f.now, &f.fx);
        }
    }
    check_int(served, 8);
    fixture_fini(&f);
}

TEST(tasks_on_disk_are_not_passed_for_ever_by_new_ones)
{
    enum { MEMORY = 300, FIRST = 400, ROUNDS = 1500 };
    static bool on_disk[FIRST + ROUNDS + 1];
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){.tasks_max = MEMORY, .is_backlog_known_empty = true});
    memset(on_disk, 0, sizeof on_disk);
    int64_t run = 0, served_301_at = 0;
    for (int round = -FIRST; round < ROUNDS && served_301_at == 0; round++) {
        check_int(offer(&f, ++run), ERR_NONE);
        struct queued_task *task = effect(&f, EFFECT_PERSIST, 0) != NULL ? effect(&f, EFFECT_PERSIST, 0)->task : NULL;
        task_queue_effects_clear(&f.fx);
        if (task != NULL) {
            on_disk[task->order] = true;
            task_queue_persisted(f.queue, task, f.now, &f.fx);
        }
        if (round < 0) continue;
        if (serve(&f) == MEMORY + 1) served_301_at = round;
        for (const struct task_queue_effect *load; (load = effect(&f, EFFECT_LOAD, 0)) != NULL;) {
            struct loaded_task page[200];
            size_t rows = 0;
            bool has_more = false;
            for (int64_t order = load->order + 1; order <= run && !has_more; order++) {
                if (!on_disk[order]) continue;
                if (rows == load->limit) has_more = true;
                else page[rows++] = (struct loaded_task){{.namespace_key = 1, .run = order, .workflow_id = STR("w"), .run_id = STR("r"),
                                                          .scheduled_event_id = 5, .stamp = 1, .expires_at = INSTANT_NEVER}, order};
            }
            int64_t last = rows != 0 ? page[rows - 1].order : 0;
            int level = load->level;
            task_queue_effects_clear(&f.fx);
            task_queue_loaded(f.queue, level, page, rows, last, has_more, f.now, &f.fx);
        }
    }
    check(served_301_at != 0 && served_301_at <= 2 * MEMORY);
    fixture_fini(&f);
}

TEST(a_task_whose_row_is_written_while_an_older_read_runs_is_not_lost)
{
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){.tasks_max = 1, .is_backlog_known_empty = true});
    task_queue_cancel_poll(f.queue, poll(&f, 0)); /* somebody may come again soon: pages are read ahead */
    struct queued_task *tasks[4] = {NULL};
    for (int64_t run = 1; run <= 3; run++) {
        check_int(offer(&f, run), ERR_NONE);
        if (effect(&f, EFFECT_PERSIST, 0) != NULL) tasks[run] = effect(&f, EFFECT_PERSIST, 0)->task;
    }
    check(tasks[1] == NULL && tasks[2] != NULL && tasks[3] != NULL);
    task_queue_effects_clear(&f.fx);
    task_queue_persisted(f.queue, tasks[3], f.now, &f.fx);
    check_int(effect_count(&f, EFFECT_LOAD), 1);
    task_queue_persisted(f.queue, tasks[2], f.now, &f.fx);
    struct loaded_task page = {{.namespace_key = 1, .run = 3, .workflow_id = STR("w"), .run_id = STR("r"), .scheduled_event_id = 5, .stamp = 1,
                                .expires_at = INSTANT_NEVER}, 3};
    task_queue_effects_clear(&f.fx);
    task_queue_loaded(f.queue, PRIORITY_DEFAULT, &page, 1, 3, false, f.now, &f.fx); /* read before the row of 2 was there */
    for (int64_t run = 1; run <= 3; run++) check_int(serve(&f), run);
    fixture_fini(&f);
}

TEST(a_fresh_partition_reads_its_backlog_when_somebody_polls)
{
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){.tasks_max = 0});
    check_int(offer(&f, 1), ERR_NONE);
    check_int(effect_count(&f, EFFECT_LOAD), 0);
    struct task_poller *poller = poll(&f, 0);
    check_int(effect_count(&f, EFFECT_LOAD), 5);
    check_int(delivered(&f), 1);
    task_queue_load_failed(f.queue, PRIORITY_DEFAULT, f.now);
    poller = poll(&f, 1);
    tick(&f, duration_ms(500));
    check_int(effect_count(&f, EFFECT_LOAD), 0);
    tick(&f, duration_ms(500));
    check_int(effect_count(&f, EFFECT_LOAD), 1);
    struct loaded_task page = {{.namespace_key = 1, .run = 9, .workflow_id = STR("w"), .run_id = STR("r"), .expires_at = INSTANT_NEVER}, 77};
    task_queue_effects_clear(&f.fx);
    task_queue_loaded(f.queue, PRIORITY_DEFAULT, &page, 1, 77, false, f.now, &f.fx);
    check_int(delivered(&f), 9);
    check(effect(&f, EFFECT_DELIVER, 0)->poller == poller);
    fixture_fini(&f);
}

TEST(lower_priority_keys_are_served_first)
{
    struct fixture f;
    fixture_init(&f, plain);
    static const int32_t priorities[] = {5, 3, 1, 4, 2, 0};
    for (size_t i = 0; i < countof(priorities); i++) check_int(offer_with(&f, (int64_t)i + 1, priorities[i], "", 0), ERR_NONE);
    static const int64_t expected[] = {3, 5, 2, 6, 4, 1};
    for (size_t i = 0; i < countof(expected); i++) check_int(serve(&f), expected[i]);
    fixture_fini(&f);
}

TEST(fairness_keys_share_by_weight)
{
    struct fixture f;
    fixture_init(&f, plain);
    for (int64_t run = 1; run <= 300; run++) check_int(offer_with(&f, run, 0, "big", 1), ERR_NONE);
    for (int64_t run = 301; run <= 400; run++) check_int(offer_with(&f, run, 0, "small", 1), ERR_NONE);
    for (int64_t run = 401; run <= 700; run++) check_int(offer_with(&f, run, 0, "heavy", 3), ERR_NONE);
    int counts[3] = {0};
    for (int i = 0; i < 100; i++) {
        int64_t run = serve(&f);
        counts[run <= 300 ? 0 : run <= 400 ? 1 : 2]++;
    }
    check(counts[0] >= 19 && counts[0] <= 21);
    check(counts[1] >= 19 && counts[1] <= 21);
    check(counts[2] >= 58 && counts[2] <= 62);
    check_int(task_queue_set_weight(f.queue, STR("small"), 8), ERR_NONE);
    counts[1] = 0; /* a weight set by API wins, also over tasks that wait already */
    for (int i = 0; i < 24; i++) {
        int64_t run = serve(&f);
        counts[1] += run > 300 && run <= 400;
    }
    check(counts[1] >= 14 && counts[1] <= 18);
    fixture_fini(&f);
}

TEST(a_key_that_comes_and_goes_gets_no_more_than_its_share)
{
    struct fixture f;
    fixture_init(&f, plain);
    for (int64_t run = 1; run <= 100; run++) check_int(offer_with(&f, run, 0, "steady", 1), ERR_NONE);
    int guest = 0;
    for (int i = 0; i < 40; i++) {
        check_int(offer_with(&f, 1000 + guest, 0, "guest", 1), ERR_NONE);
        if (serve(&f) >= 1000) guest++;
    }
    check(guest >= 19 && guest <= 21);
    fixture_fini(&f);
}

TEST(a_rate_limit_holds_tasks_back_and_the_api_wins_over_workers)
{
    struct fixture f;
    fixture_init(&f, plain);
    for (int64_t run = 1; run <= 20; run++) check_int(offer(&f, run), ERR_NONE);
    int served = 0;
    for (int i = 0; i < 10; i++) {
        poll_with(&f, 0, 2);
        if (delivered(&f) != 0) served++;
        task_queue_cancel_poll(f.queue, &f.pollers[0]);
    }
    check_int(served, 2);
    poll_with(&f, 0, 2);
    instant due = task_queue_next_due(f.queue);
    check(instant_before(f.now, due) && instant_since(due, f.now).ns <= NS_PER_S / 2);
    tick(&f, instant_since(due, f.now));
    check(delivered(&f) != 0);
    task_queue_set_rate(f.queue, 0, f.now);
    poll_with(&f, 0, 1000);
    check_int(delivered(&f), 0);
    task_queue_cancel_poll(f.queue, &f.pollers[0]);
    task_queue_set_rate(f.queue, -1, f.now);
    poll_with(&f, 0, 1000);
    check(delivered(&f) != 0);
    fixture_fini(&f);
}

TEST(a_rate_for_each_key_holds_back_one_key_only)
{
    struct fixture f;
    fixture_init(&f, plain);
    task_queue_set_key_rate(f.queue, 1, f.now);
    for (int64_t run = 1; run <= 4; run++) check_int(offer_with(&f, run, 0, run <= 3 ? "a" : "b", 1), ERR_NONE);
    int64_t first = serve(&f), second = serve(&f);
    check_int(first + second, 1 + 4);
    poll(&f, 0);
    check_int(delivered(&f), 0);
    tick(&f, duration_s(1));
    check_int(delivered(&f), 2);
    fixture_fini(&f);
}

TEST(a_key_goes_as_fast_as_it_weighs_and_no_faster_by_coming_and_going)
{
    struct fixture f;
    fixture_init(&f, plain);
    task_queue_set_key_rate(f.queue, 1, f.now);
    check_int(task_queue_set_weight(f.queue, STR("heavy"), 4), ERR_NONE);
    int light = 0, heavy = 0;
    for (int tenth = 0; tenth < 100; tenth++) { /* each has one task at a time */
        check_int(offer_with(&f, 1 + light, 0, "light", 1), ERR_NONE);
        check_int(offer_with(&f, 1000 + heavy, 0, "heavy", 1), ERR_NONE);
        for (int64_t run; (run = serve(&f)) != 0;) {
            if (run < 1000) light++;
            else heavy++;
        }
        tick(&f, duration_ms(100));
    }
    check(light >= 9 && light <= 11);
    check(heavy >= 33 && heavy <= 41); /* looked at ten times a second */
    fixture_fini(&f);
}

TEST(describe_tells_priorities_apart)
{
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){.is_backlog_known_empty = true});
    struct task_queue_stats stats;
    for (int64_t run = 1; run <= 4; run++) check_int(offer_with(&f, run, run <= 3 ? 1 : 0, "", 0), ERR_NONE);
    check_int(serve(&f), 1);
    f.now = instant_add(f.now, duration_s(10));
    task_queue_stats(f.queue, f.now, &stats);
    check_int(stats.backlog_count, 3);
    check_int(stats.backlog_count_by_priority[1], 2);
    check_int(stats.backlog_count_by_priority[PRIORITY_DEFAULT], 1);
    check(stats.add_rate_by_priority[1] > 2.9 * stats.add_rate_by_priority[PRIORITY_DEFAULT]);
    check(stats.dispatch_rate_by_priority[1] > 0 && stats.dispatch_rate_by_priority[PRIORITY_DEFAULT] < 0.01);
    check_int(stats.backlog_age_by_priority[1].ns, 10 * NS_PER_S);
    fixture_fini(&f);
}

TEST(a_purged_queue_gives_up_what_waits_what_is_stored_and_what_comes)
{
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){0});
    for (int64_t run = 1; run <= 3; run++) check_int(offer_with(&f, run, (int32_t)run, "", 0), ERR_NONE);
    task_queue_effects_clear(&f.fx);
    task_queue_purge(f.queue, f.now, &f.fx);
    check_int(task_queue_backlog_count(f.queue), 0);
    check_int(effect_count(&f, EFFECT_DELETE), 0); /* they had no rows */
    check_int(effect_count(&f, EFFECT_LOAD), 5);   /* though nobody polls */
    struct loaded_task rows[2] = {{.order = 11, .task = {.run = 11, .expires_at = INSTANT_NEVER}}, {.order = 12, .task = {.run = 12, .expires_at = INSTANT_NEVER}}};
    task_queue_effects_clear(&f.fx);
    task_queue_loaded(f.queue, 3, rows, 2, 12, false, f.now, &f.fx);
    check_int(effect_count(&f, EFFECT_DELETE), 2);
    check_int(offer(&f, 4), ERR_NONE);
    poll(&f, 0);
    check_int(delivered(&f), 0);
    fixture_fini(&f);
}

TEST(what_is_in_the_backlog_alone_has_an_age)
{
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){0});
    struct task_queue_stats stats;
    check_int(offer(&f, 1), ERR_NONE);
    tick(&f, duration_s(1));
    check_int(effect_count(&f, EFFECT_PERSIST), 1);
    struct queued_task *task = effect(&f, EFFECT_PERSIST, 0)->task;
    task_queue_effects_clear(&f.fx);
    task_queue_persisted(f.queue, task, f.now, &f.fx); /* older rows may be there: it leaves memory */
    f.now = instant_add(f.now, duration_s(6));
    task_queue_stats(f.queue, f.now, &stats);
    check_int(stats.backlog_count, 1);
    check_int(stats.backlog_age.ns, 7 * NS_PER_S);
    fixture_fini(&f);
}

TEST(a_poll_is_answered_empty_at_its_deadline)
{
    struct fixture f;
    fixture_init(&f, plain);
    struct task_poller *poller = poll(&f, 0);
    check_int(task_queue_next_due(f.queue).ns, poller->deadline.ns);
    tick(&f, duration_s(60));
    check(effect(&f, EFFECT_EMPTY, 0) != NULL && effect(&f, EFFECT_EMPTY, 0)->poller == poller);
    check_int(offer(&f, 1), ERR_NONE);
    check_int(delivered(&f), 0);
    fixture_fini(&f);
}

TEST(a_cancelled_poll_loses_no_task)
{
    struct fixture f;
    fixture_init(&f, plain);
    struct task_poller *poller = poll(&f, 0);
    task_queue_cancel_poll(f.queue, poller);
    check_int(offer(&f, 1), ERR_NONE);
    check_int(delivered(&f), 0);
    check_int(serve(&f), 1);
    fixture_fini(&f);
}

TEST(a_task_given_back_waits_at_its_old_place)
{
    struct fixture f;
    fixture_init(&f, plain);
    for (int64_t run = 1; run <= 3; run++) check_int(offer(&f, run), ERR_NONE);
    poll(&f, 0);
    check_int(delivered(&f), 1);
    struct queued_task *task = effect(&f, EFFECT_DELIVER, 0)->task;
    task_queue_give_back(f.queue, task, f.now, &f.fx);
    for (int64_t run = 1; run <= 3; run++) check_int(serve(&f), run);
    fixture_fini(&f);
}

TEST(a_poller_whose_task_was_gone_is_at_the_front_again)
{
    struct fixture f;
    fixture_init(&f, plain);
    struct task_poller *first = poll(&f, 0);
    poll(&f, 1);
    check_int(offer(&f, 1), ERR_NONE);
    task_queue_finish(f.queue, effect(&f, EFFECT_DELIVER, 0)->task, &f.fx);
    task_queue_effects_clear(&f.fx);
    task_queue_poll_again(f.queue, first, f.now, &f.fx);
    check_int(offer(&f, 2), ERR_NONE);
    check(effect(&f, EFFECT_DELIVER, 0)->poller == first);
    fixture_fini(&f);
}

TEST(a_task_past_its_expiry_is_dropped)
{
    struct fixture f;
    fixture_init(&f, plain);
    struct queue_task task = {.run = 1, .expires_at = instant_add(f.now, duration_s(3))};
    check_int(task_queue_offer(f.queue, &task, 1, f.now, &f.fx), ERR_NONE);
    tick(&f, duration_s(1));
    task_queue_persisted(f.queue, effect(&f, EFFECT_PERSIST, 0)->task, f.now, &f.fx);
    tick(&f, duration_s(2));
    check_int(effect_count(&f, EFFECT_DELETE), 1);
    check_int(serve(&f), 0);
    fixture_fini(&f);
}

TEST(queries_go_first_are_never_stored_and_expire)
{
    struct fixture f;
    fixture_init(&f, plain);
    int query, other;
    check_int(offer(&f, 1), ERR_NONE);
    check_int(offer_query(&f, &query, instant_add(f.now, duration_s(10))), ERR_NONE);
    check_int(offer_query(&f, &other, instant_add(f.now, duration_s(2))), ERR_NONE);
    poll(&f, 0);
    check(effect(&f, EFFECT_DELIVER, 0)->task->task.transient == &query);
    struct queued_task *task = effect(&f, EFFECT_DELIVER, 0)->task;
    tick(&f, duration_s(5));
    check_int(effect_count(&f, EFFECT_PERSIST), 1); /* the task, not the query */
    check(effect(&f, EFFECT_EXPIRED, 0) != NULL && effect(&f, EFFECT_EXPIRED, 0)->task->task.transient == &other);
    task_queue_persist_failed(f.queue, effect(&f, EFFECT_PERSIST, 0)->task, false, f.now, &f.fx);
    task_queue_finish(f.queue, task, &f.fx);
    check_int(offer_query(&f, &query, INSTANT_NEVER), ERR_NONE);
    check(task_queue_cancel_transient(f.queue, &query));
    check(!task_queue_cancel_transient(f.queue, &query));
    check_int(serve(&f), 1);
    fixture_fini(&f);
}

TEST(too_many_queries_are_refused)
{
    struct fixture f;
    fixture_init(&f, (struct task_queue_options){.transient_max = 2, .is_backlog_known_empty = true});
    int queries[3];
    check_int(offer_query(&f, &queries[0], INSTANT_NEVER), ERR_NONE);
    check_int(offer_query(&f, &queries[1], INSTANT_NEVER), ERR_NONE);
    check_int(offer_query(&f, &queries[2], INSTANT_NEVER), ERR_QUEUE_FULL);
    fixture_fini(&f);
}

TEST(a_sticky_queue_without_its_worker_gives_its_tasks_away)
{
    struct fixture f;
    fixture_init(&f, sticky);
    check(!task_queue_has_worker(f.queue, f.now));
    struct task_poller *poller = poll(&f, 0);
    check(task_queue_has_worker(f.queue, f.now));
    task_queue_cancel_poll(f.queue, poller);
    check_int(offer(&f, 1), ERR_NONE);
    tick(&f, duration_ms(9900));
    check_int(f.fx.count, 0); /* not even written */
    tick(&f, duration_ms(100));
    check_int(effect_count(&f, EFFECT_MOVE), 1);
    check(!task_queue_has_worker(f.queue, f.now));
    poll(&f, 0);
    check_int(offer(&f, 2), ERR_NONE);
    check_int(delivered(&f), 2);
    task_queue_finish(f.queue, effect(&f, EFFECT_DELIVER, 0)->task, &f.fx);
    check_int(offer(&f, 3), ERR_NONE);
    task_queue_effects_clear(&f.fx);
    task_queue_worker_gone(f.queue, f.now, &f.fx);
    check_int(effect_count(&f, EFFECT_MOVE), 1);
    check(!task_queue_has_worker(f.queue, f.now));
    fixture_fini(&f);
}

TEST(describe_shows_pollers_backlog_and_rates)
{
    struct fixture f;
    fixture_init(&f, plain);
    struct arena arena;
    arena_init(&arena, 0, 0);
    for (int64_t run = 1; run <= 10; run++) check_int(offer_with(&f, run, run <= 4 ? 1 : 0, "", 0), ERR_NONE);
    f.now = instant_add(f.now, duration_s(2));
    check(serve(&f) != 0);
    poll(&f, 1);
    struct task_queue_stats stats;
    task_queue_stats(f.queue, f.now, &stats);
    check_int(stats.backlog_count, 8);
    check_int(stats.backlog_count_by_priority[1], 2);
    check_int(stats.backlog_age.ns, 2 * NS_PER_S);
    check(stats.add_rate > 0.3 && stats.add_rate <= 10 && stats.dispatch_rate > 0);
    struct poller_info *pollers;
    check_int(task_queue_pollers(f.queue, f.now, &arena, &pollers), 1);
    check_str(pollers[0].identity, "me");
    tick(&f, duration_s(301));
    check_int(task_queue_pollers(f.queue, f.now, &arena, &pollers), 0);
    arena_fini(&arena);
    fixture_fini(&f);
}

TEST(hints_ask_for_more_pollers_when_tasks_wait_and_for_fewer_when_pollers_do)
{
    struct fixture f;
    fixture_init(&f, plain);
    check_int(offer(&f, 1), ERR_NONE);
    f.now = instant_add(f.now, duration_ms(500));
    poll(&f, 0);
    check_int(effect(&f, EFFECT_DELIVER, 0)->scaling, 1);
    poll(&f, 1);
    poll(&f, 2);
    f.now = instant_add(f.now, duration_s(5));
    check_int(offer(&f, 2), ERR_NONE);
    check_int(effect(&f, EFFECT_DELIVER, 0)->scaling, -1);
    fixture_fini(&f);
}

TEST(an_idle_partition_may_leave_memory)
{
    struct fixture f;
    fixture_init(&f, plain);
    check(!task_queue_is_idle(f.queue, f.now));
    f.now = instant_add(f.now, duration_s(300));
    check(task_queue_is_idle(f.queue, f.now));
    check_int(offer(&f, 1), ERR_NONE);
    f.now = instant_add(f.now, duration_s(301));
    check(!task_queue_is_idle(f.queue, f.now));
    fixture_fini(&f);
}

TEST_MAIN
