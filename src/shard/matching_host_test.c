/* What the host of task queues promises to those who poll, offer and ask. */
#include "base/test.h"
#include "shard/test_world.h"

static const struct faulty_options slow = {.seed = 3, .delay_max = {20 * NS_PER_MS}};

struct waiter {
    struct matching_poll poll;
    struct world *world;
    int tasks, empties;
    int64_t run, stamp;
    bool is_query;
    const void *transient;
    bool accepts_at_once;
};

static void on_task(struct matching_poll *poll, const struct queue_task *task, bool is_query)
{
    struct waiter *waiter = container_of(poll, struct waiter, poll);
    waiter->tasks++;
    waiter->run = task->run;
    waiter->stamp = task->stamp;
    waiter->is_query = is_query;
    waiter->transient = task->transient;
    if (waiter->accepts_at_once) matching_accept(waiter->world->matching, poll);
}

static void on_empty(struct matching_poll *poll) { container_of(poll, struct waiter, poll)->empties++; }

static void wait_for(struct world *w, struct waiter *waiter, const char *queue, bool is_sticky, uint64_t connection)
{
    *waiter = (struct waiter){.world = w, .accepts_at_once = waiter->accepts_at_once};
    waiter->poll = (struct matching_poll){
        .namespace_key = 1, .queue = str_of(queue), .kind = QUEUE_WORKFLOW, .is_sticky = is_sticky, .normal_queue = STR("queue"),
        .poller = {.identity = STR("me"), .connection_id = connection, .deadline = instant_add(w->now, duration_s(60)), .rate_max = -1},
        .on_task = on_task, .on_empty = on_empty};
    check_int(matching_poll(w->matching, &waiter->poll), ERR_NONE);
}

static void offer_to(struct world *w, int64_t run, const char *queue, bool is_sticky)
{
    struct task_effect task = {.kind = TASK_WORKFLOW, .namespace_key = 1, .run = run, .workflow_id = STR("w"), .run_id = STR("r"),
                               .queue = str_of(queue), .is_sticky = is_sticky, .normal_queue = STR("queue"), .scheduled_event_id = 7, .stamp = run,
                               .scheduled_at = w->now, .expires_at = INSTANT_NEVER};
    matching_offer(w->matching, &task);
}

static void start_with_task(struct world *w, const char *id)
{
    check_int(do_now(w, id, DO_START, 0), ERR_NONE);
    check_int(do_now(w, id, DO_SCHEDULE, 0), ERR_NONE);
}

static size_t stored_tasks(struct world *w)
{
    struct matching_stats stats;
    matching_get_stats(w->matching, &stats);
    return (size_t)stats.persisted;
}

TEST(a_waiting_poll_gets_the_task_and_nothing_is_written_for_it)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct waiter a = {0};
    wait_for(&w, &a, "queue", false, 1);
    start_with_task(&w, "w");
    check_int(a.tasks, 1);
    check_int(do_now(&w, "w", DO_START_TASK, a.stamp), ERR_NONE);
    matching_accept(w.matching, &a.poll);
    world_run(&w, duration_s(5));
    check_int(stored_tasks(&w), 0);
    check_int(a.empties, 0);
    world_fini(&w);
}

TEST(tasks_that_nobody_takes_survive_a_restart_in_the_backlog)
{
    for (int is_crash = 0; is_crash < 2; is_crash++) {
        struct world w;
        world_init(&w, slow);
        w.matching_options.tasks_max = 4;
        world_start(&w);
        char id[16];
        for (int i = 0; i < 12; i++) {
            snprintf(id, sizeof id, "w%d", i);
            start_with_task(&w, id);
        }
        world_run(&w, duration_s(5));
        check_int(stored_tasks(&w), 12);
        if (is_crash) {
            world_crash(&w);
        } else {
            world_stop(&w);
        }
        world_start(&w);
        world_run(&w, duration_s(1));
        check_int(w.offered, 12); /* stored tasks are not offered again, they are read */
        int64_t last_run = 0;
        for (int i = 0; i < 12; i++) {
            struct waiter a = {0};
            wait_for(&w, &a, "queue", false, 1);
            world_run(&w, duration_s(1));
            check_int(a.tasks, 1);
            check(a.run > last_run);
            last_run = a.run;
            snprintf(id, sizeof id, "w%d", i);
            check_int(do_now(&w, id, DO_START_TASK, a.stamp), ERR_NONE);
            check_int(do_now(&w, id, DO_FINISH_TASK, 0), ERR_NONE);
            matching_accept(w.matching, &a.poll);
        }
        world_run(&w, duration_s(1));
        struct waiter a = {0};
        wait_for(&w, &a, "queue", false, 1);
        world_run(&w, duration_s(2));
        check_int(a.tasks, 0);
        check(matching_cancel(w.matching, &a.poll));
        world_fini(&w);
    }
}

TEST(a_task_is_never_lost_whatever_store_call_fails)
{
    bool fired = true;
    for (int nth = 0; fired; nth++) {
        struct world w;
        world_init(&w, slow);
        world_start(&w);
        start_with_task(&w, "w");
        faulty_arm(w.disk, nth);
        world_run(&w, duration_s(20));
        fired = faulty_has_fired(w.disk);
        struct waiter a = {0};
        for (int tries = 0; tries < 10; tries++) {
            wait_for(&w, &a, "queue", false, 1);
            world_run(&w, duration_s(10));
            check_int(a.tasks, 1);
            err started = do_now(&w, "w", DO_START_TASK, a.stamp);
            if (started == ERR_NONE) break;
            matching_give_back(w.matching, &a.poll);
            check_int(started, ERR_STORE);
        }
        matching_accept(w.matching, &a.poll);
        check_int(do_now(&w, "w", DO_FINISH_TASK, 0), ERR_NONE);
        world_fini(&w);
    }
}

TEST(a_stale_task_puts_the_poll_back_in_front)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct waiter first = {0}, second = {0};
    wait_for(&w, &first, "queue", false, 1);
    wait_for(&w, &second, "queue", false, 2);
    offer_to(&w, 100, "queue", false);
    check_int(first.tasks, 1);
    matching_poll_again(w.matching, &first.poll);
    offer_to(&w, 101, "queue", false);
    check_int(first.tasks, 2);
    check_int(second.tasks, 0);
    matching_accept(w.matching, &first.poll);
    check(matching_cancel(w.matching, &second.poll));
    world_fini(&w);
}

TEST(a_cancelled_poll_loses_no_task_and_gets_no_callback)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct waiter a = {0}, b = {0};
    wait_for(&w, &a, "queue", false, 1);
    check(matching_cancel(w.matching, &a.poll));
    check(matching_cancel(w.matching, &a.poll));
    offer_to(&w, 100, "queue", false);
    check_int(a.tasks, 0);
    wait_for(&w, &b, "queue", false, 1);
    check_int(b.tasks, 1);
    check(!matching_cancel(w.matching, &b.poll));
    matching_give_back(w.matching, &b.poll);
    wait_for(&w, &a, "queue", false, 1);
    check_int(a.run, 100);
    matching_accept(w.matching, &a.poll);
    world_fini(&w);
}

TEST(a_poll_ends_empty_at_its_deadline_or_when_its_worker_shuts_down)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct waiter a = {0}, b = {0};
    wait_for(&w, &a, "queue", false, 1);
    world_run(&w, duration_ms(59900));
    check_int(a.empties, 0);
    world_run(&w, duration_ms(200));
    check_int(a.empties, 1);
    wait_for(&w, &a, "queue", false, 1);
    wait_for(&w, &b, "sticky", true, 1);
    matching_end_polls(w.matching, 1, STR("queue"), QUEUE_WORKFLOW, STR("somebody else"));
    check_int(a.empties, 0);
    matching_end_polls(w.matching, 1, STR("queue"), QUEUE_WORKFLOW, STR("me"));
    matching_drop_sticky(w.matching, 1, STR("sticky"));
    check_int(a.empties, 1);
    check_int(b.empties, 1);
    world_fini(&w);
}

TEST(tasks_of_a_lost_connection_s_sticky_queue_go_to_others_at_once)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct waiter sticky = {0}, normal = {0};
    wait_for(&w, &sticky, "sticky", true, 7);
    offer_to(&w, 100, "sticky", true);
    check_int(sticky.tasks, 1);
    check(sticky.poll.is_from_sticky);
    matching_accept(w.matching, &sticky.poll);
    offer_to(&w, 101, "sticky", true); /* waits: the worker has polled just now */
    wait_for(&w, &normal, "queue", false, 8);
    check_int(normal.tasks, 0);
    matching_connection_closed(w.matching, 7);
    check_int(normal.tasks, 1);
    check_int(normal.run, 101);
    check(!normal.poll.is_from_sticky);
    matching_accept(w.matching, &normal.poll);
    wait_for(&w, &normal, "queue", false, 8);
    offer_to(&w, 102, "sticky", true);
    check_int(normal.run, 102);
    matching_accept(w.matching, &normal.poll);
    world_fini(&w);
}

TEST(a_sticky_worker_that_stays_silent_for_ten_seconds_loses_its_tasks)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct waiter sticky = {.accepts_at_once = true}, normal = {.accepts_at_once = true};
    wait_for(&w, &sticky, "sticky", true, 7);
    offer_to(&w, 100, "sticky", true);
    offer_to(&w, 101, "sticky", true);
    wait_for(&w, &normal, "queue", false, 8);
    world_run(&w, duration_ms(9900));
    check_int(normal.tasks, 0);
    world_run(&w, duration_ms(200));
    check_int(normal.run, 101);
    world_fini(&w);
}

static int expired_count;
static void on_expired(struct matching_query *query)
{
    (void)query;
    expired_count++;
}

TEST(queries_go_to_a_worker_expire_or_are_cancelled)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct matching_query query = {.namespace_key = 1, .run = 5, .workflow_id = STR("w"), .run_id = STR("r"), .queue = STR("queue"),
                                   .kind = QUEUE_WORKFLOW, .deadline = instant_add(w.now, duration_s(10)), .on_expired = on_expired};
    struct matching_query late = query, cancelled = query, moved = query;
    struct waiter a = {0};
    check_int(matching_query(w.matching, &query), ERR_NONE);
    wait_for(&w, &a, "queue", false, 1);
    check(a.is_query && a.transient == &query);
    check(!matching_cancel_query(w.matching, &query));
    matching_accept(w.matching, &a.poll);
    check_int(matching_query(w.matching, &late), ERR_NONE);
    check_int(matching_query(w.matching, &cancelled), ERR_NONE);
    check(matching_cancel_query(w.matching, &cancelled));
    expired_count = 0;
    world_run(&w, duration_s(11));
    check_int(expired_count, 1);
    struct waiter sticky = {.accepts_at_once = true};
    wait_for(&w, &sticky, "sticky", true, 7);
    check(matching_cancel(w.matching, &sticky.poll));
    moved.queue = STR("sticky");
    moved.normal_queue = STR("queue");
    moved.is_sticky = true;
    moved.deadline = INSTANT_NEVER;
    check_int(matching_query(w.matching, &moved), ERR_NONE);
    wait_for(&w, &a, "queue", false, 1);
    check_int(a.tasks, 0);
    matching_drop_sticky(w.matching, 1, STR("sticky"));
    check(a.is_query && a.transient == &moved);
    matching_accept(w.matching, &a.poll);
    world_fini(&w);
}

TEST(a_rate_set_by_api_holds_and_survives_idleness)
{
    struct world w;
    world_init(&w, slow);
    w.matching_options.persist_after = duration_s(3600);
    world_start(&w);
    matching_set_rate(w.matching, 1, STR("queue"), QUEUE_WORKFLOW, 1);
    world_run(&w, duration_s(1000));
    struct waiter waiters[5];
    memset(waiters, 0, sizeof waiters);
    for (size_t i = 0; i < countof(waiters); i++) {
        waiters[i].accepts_at_once = true;
        wait_for(&w, &waiters[i], "queue", false, 1);
        offer_to(&w, 100 + (int64_t)i, "queue", false);
    }
    world_run(&w, duration_ms(2500));
    int tasks = 0;
    for (size_t i = 0; i < countof(waiters); i++) tasks += waiters[i].tasks;
    check_int(tasks, 3); /* one at once, then one a second */
    world_run(&w, duration_s(5));
    struct matching_stats stats;
    matching_get_stats(w.matching, &stats);
    check_int(stats.queues, 1);
    world_fini(&w);
}

TEST(idle_partitions_leave_memory)
{
    struct world w;
    world_init(&w, slow);
    world_start(&w);
    struct waiter a = {0};
    wait_for(&w, &a, "queue", false, 1);
    struct matching_stats stats;
    world_run(&w, duration_s(300));
    matching_get_stats(w.matching, &stats);
    check_int(a.empties, 1);
    check_int(stats.queues, 1);
    world_run(&w, duration_s(400));
    matching_get_stats(w.matching, &stats);
    check_int(stats.queues, 0);
    world_fini(&w);
}

TEST_MAIN
