#include "net/loop.h"

#include "base/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

struct probe {
    struct timer timer;
    struct loop_defer defer;
    struct mail mail;
    struct loop *loop;
    char *log;
    char name;
    instant fired_at;
    bool again;
};

static char log_text[64];
static void note(struct probe *p) { strncat(p->log, &p->name, 1); }

static void on_fire(struct timer *timer, instant now)
{
    struct probe *p = container_of(timer, struct probe, timer);
    p->fired_at = now;
    note(p);
}

static void on_defer(struct loop_defer *defer)
{
    struct probe *p = container_of(defer, struct probe, defer);
    note(p);
    if (p->again) {
        p->again = false;
        loop_defer(p->loop, defer);
    }
}

static void on_mail(struct mail *mail) { note(container_of(mail, struct probe, mail)); }

static struct probe probe(struct loop *loop, char name)
{
    log_text[0] = '\0';
    return (struct probe){.timer.fire = on_fire, .defer.run = on_defer, .mail.open = on_mail, .loop = loop, .log = log_text, .name = name};
}

static void turn_until(struct loop *loop, const char *text)
{
    for (int i = 0; i < 5000 && strcmp(log_text, text) != 0; i++) loop_run_once(loop, duration_ms(1));
    check_str(str_of(log_text), text);
}

TEST(timers_fire_in_order_and_never_early)
{
    struct loop *loop = loop_create();
    struct probe a = probe(loop, 'a'), b = probe(loop, 'b'), c = probe(loop, 'c'), d = probe(loop, 'd');
    instant start = loop_steady(loop), wall = loop_now(loop);
    loop_timer_in(loop, &a.timer, duration_ms(30));
    loop_timer_in(loop, &b.timer, duration_ms(10));
    loop_timer_at(loop, &c.timer, instant_add(wall, duration_ms(20)));
    loop_timer_in(loop, &d.timer, duration_ms(5));
    loop_timer_stop(loop, &d.timer);
    turn_until(loop, "bca");
    check(instant_since(a.fired_at, start).ns >= 30 * NS_PER_MS);
    check(instant_since(b.fired_at, start).ns >= 10 * NS_PER_MS);
    check(instant_since(c.fired_at, wall).ns >= 20 * NS_PER_MS);
    loop_destroy(loop);
}

TEST(a_timer_can_be_moved_between_clocks)
{
    struct loop *loop = loop_create();
    struct probe a = probe(loop, 'a');
    loop_timer_in(loop, &a.timer, duration_s(100));
    loop_timer_at(loop, &a.timer, instant_add(loop_now(loop), duration_ms(2)));
    turn_until(loop, "a");
    check(!timer_is_set(&a.timer));
    loop_timer_at(loop, &a.timer, (instant){1}); /* long past */
    turn_until(loop, "aa");
    loop_destroy(loop);
}

TEST(what_is_deferred_runs_once_at_the_end_of_the_turn)
{
    struct loop *loop = loop_create();
    struct probe a = probe(loop, 'a'), b = probe(loop, 'b'), c = probe(loop, 'c');
    a.again = true;
    loop_defer(loop, &a.defer);
    loop_defer(loop, &b.defer);
    loop_defer(loop, &b.defer);
    loop_defer(loop, &c.defer);
    loop_defer_stop(loop, &c.defer);
    loop_run_once(loop, (duration){0});
    check_str(str_of(log_text), "aba");
    loop_destroy(loop);
}

enum { MAILS = 1000 };
struct letter { struct mail mail; struct inbox *inbox; int number; };
struct inbox { struct loop *loop; int expected; bool in_order; struct letter letters[MAILS]; };

static void on_letter(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    struct inbox *inbox = letter->inbox;
    inbox->in_order = inbox->in_order && letter->number == inbox->expected;
    if (++inbox->expected == MAILS) loop_stop(inbox->loop);
}

static void *send_all(void *arg)
{
    struct inbox *inbox = arg;
    for (int i = 0; i < MAILS; i++) {
        inbox->letters[i] = (struct letter){{.open = on_letter}, inbox, i};
        loop_send(inbox->loop, &inbox->letters[i].mail);
    }
    return NULL;
}

TEST(mail_from_another_thread_arrives_in_order)
{
    static struct inbox inbox;
    inbox = (struct inbox){.loop = loop_create(), .in_order = true};
    pthread_t thread;
    ensure(pthread_create(&thread, NULL, send_all, &inbox) == 0);
    loop_run(inbox.loop);
    pthread_join(thread, NULL);
    check_int(inbox.expected, MAILS);
    check(inbox.in_order);
    loop_destroy(inbox.loop);
}

TEST(mail_to_oneself_arrives)
{
    struct loop *loop = loop_create();
    struct probe a = probe(loop, 'a');
    loop_send(loop, &a.mail);
    check_str(str_of(log_text), "");
    turn_until(loop, "a");
    loop_destroy(loop);
}

/* Goes to and fro between two loops until its hops are used up. */
struct traveller { struct mail mail; struct loop *here, *there; int hops; struct loop_defer defer; struct trip *trip; };
struct trip { struct loop *loops[2]; atomic_int under_way; };

static void send_on(struct traveller *t)
{
    struct loop *here = t->here;
    t->here = t->there;
    t->there = here;
    loop_send(t->here, &t->mail);
}

static void on_leave(struct loop_defer *defer) { send_on(container_of(defer, struct traveller, defer)); }

static void on_arrival(struct mail *mail)
{
    struct traveller *t = container_of(mail, struct traveller, mail);
    if (t->hops % 7 == 0) loop_yield(t->here);
    if (--t->hops > 0) {
        if (t->hops % 3 == 0) loop_defer(t->here, &t->defer);
        else send_on(t);
    } else if (atomic_fetch_sub(&t->trip->under_way, 1) == 1) {
        for (int i = 0; i < 2; i++) loop_stop(t->trip->loops[i]);
    }
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* Some stay on one thread, and some let others run first, so that it is at work when others arrive; were one overlooked, nothing would come any more. */
TEST(no_mail_is_overlooked_between_threads_that_wait_and_threads_at_work)
{
    enum { TRAVELLERS = 6, HOPS = 3000 };
    static struct traveller all[TRAVELLERS];
    struct trip trip = {{loop_create(), loop_create()}};
    atomic_init(&trip.under_way, TRAVELLERS);
    for (int i = 0; i < TRAVELLERS; i++) {
        all[i] = (struct traveller){.mail.open = on_arrival, .here = trip.loops[0], .there = trip.loops[i % 3 != 0], .hops = HOPS,
                                    .defer.run = on_leave, .trip = &trip};
        loop_send(all[i].here, &all[i].mail);
    }
    pthread_t other;
    ensure(pthread_create(&other, NULL, run_loop, trip.loops[1]) == 0);
    loop_run(trip.loops[0]);
    pthread_join(other, NULL);
    for (int i = 0; i < TRAVELLERS; i++) check_int(all[i].hops, 0);
    for (int i = 0; i < 2; i++) loop_destroy(trip.loops[i]);
}

TEST(mail_that_a_stopped_loop_did_not_open_waits_for_the_next_turn)
{
    struct loop *loop = loop_create();
    struct probe a = probe(loop, 'a');
    loop_stop(loop);
    loop_run(loop);
    loop_send(loop, &a.mail);
    turn_until(loop, "a");
    loop_destroy(loop);
}

TEST(mail_that_nobody_opened_is_dropped)
{
    struct loop *loop = loop_create();
    struct probe a = probe(loop, 'a');
    loop_send(loop, &a.mail);
    loop_destroy(loop);
    check_str(str_of(log_text), "");
}

static void on_signal(void *arg, int number) { *(int *)arg = number; }

TEST(signals_are_told_to_the_loop)
{
    struct loop *loop = loop_create();
    int seen = 0;
    struct loop_signal *signal = loop_signal_start(loop, SIGUSR1, on_signal, &seen);
    raise(SIGUSR1);
    for (int i = 0; i < 1000 && seen == 0; i++) loop_run_once(loop, duration_ms(1));
    check_int(seen, SIGUSR1);
    loop_signal_stop(signal);
    loop_destroy(loop);
}

TEST(the_descriptor_limit_can_be_raised)
{
    struct rlimit before, low, after;
    ensure(getrlimit(RLIMIT_NOFILE, &before) == 0);
    low = before;
    low.rlim_cur = 100;
    ensure(setrlimit(RLIMIT_NOFILE, &low) == 0);
    check_int(loop_raise_descriptor_limit(), before.rlim_max);
    ensure(getrlimit(RLIMIT_NOFILE, &after) == 0);
    check_int(after.rlim_cur, before.rlim_max);
    ensure(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static void count(struct timer *timer, instant now) { (void)now, (void)timer, log_text[0]++; }

/* Pure: the same set, a hand-moved clock. */
TEST(a_timer_set_fires_what_is_due)
{
    struct timer_set set = {0};
    struct timer timers[100];
    log_text[0] = 0;
    for (int i = 0; i < 100; i++) {
        timers[i] = (struct timer){.fire = count};
        timer_start(&set, &timers[i], (instant){(i * 37) % 100 + 1});
    }
    timer_set_run(&set, (instant){0});
    check_int(log_text[0], 0);
    timer_set_run(&set, (instant){50});
    check_int(log_text[0], 50);
    check_int(timer_set_next(&set).ns, 51);
    timer_set_run(&set, INSTANT_NEVER);
    check_int(log_text[0], 100);
    check_int(timer_set_next(&set).ns, INSTANT_NEVER.ns);
    timer_set_fini(&set);
}

TEST_MAIN
