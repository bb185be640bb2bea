#include "net/loop.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

enum {
    WALL_CHECK_MS = 1000,       /* how late a jump of the wall clock is noticed */
    DEFERRED_PER_TURN = 100000, /* more than there are connections with something to send */
    MAIL_ROUNDS = 4,            /* of mail and what it deferred, before the sockets are looked at again */
    YIELDS = 2,                 /* by measurement: one, three and five gained less */
};

struct loop {
    uv_loop_t uv;
    uv_timer_t timer;     /* for the first of all timers */
    uv_prepare_t prepare; /* before waiting: what timers deferred, then arm the timer */
    uv_check_t check;     /* after sockets: what they deferred */
    uv_async_t wake;
    struct mailbox mailbox;
    struct timer_set steady_timers, wall_timers;
    struct list deferred;
    instant wall, steady;
    int64_t steady_offset; /* ns: steady instant - CLOCK_MONOTONIC */
    uint64_t armed_at;     /* uv time for which `timer` is armed; 0 = not armed */
    bool is_stale;         /* the clocks are read again when somebody asks */
    bool is_running;       /* inside loop_run */
    bool is_ending;        /* destroyed: mail is dropped */
    bool is_yielding;      /* loop_yield was called in this turn */
    atomic_bool is_awake;  /* inside a turn that looks into the mailbox before it waits: nobody has to wake it */
    atomic_bool is_stopping;
    char scratch[LOOP_SCRATCH_SIZE];
};

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

void loop_refresh(struct loop *loop)
{
    loop->wall = (instant){clock_ns(CLOCK_REALTIME)};
    loop->steady = (instant){clock_ns(CLOCK_MONOTONIC) + loop->steady_offset};
    loop->is_stale = false;
}

instant loop_now(struct loop *loop)
{
    if (loop->is_stale) loop_refresh(loop);
    return loop->wall;
}

instant loop_steady(struct loop *loop)
{
    if (loop->is_stale) loop_refresh(loop);
    return loop->steady;
}

/* A callback may defer again for the same turn; what it defers runs too, after those already waiting. Those that go on
 * and on continue in the next turn, after the sockets had theirs. */
static void run_deferred(struct loop *loop)
{
    struct list *link;
    for (int i = 0; i < DEFERRED_PER_TURN && (link = list_pop(&loop->deferred)) != NULL; i++) {
        struct loop_defer *defer = container_of(link, struct loop_defer, link);
        defer->run(defer);
    }
    if (!list_is_empty(&loop->deferred)) uv_async_send(&loop->wake);
}

static void run_timers(struct loop *loop)
{
    timer_set_run(&loop->steady_timers, loop->steady);
    timer_set_run(&loop->wall_timers, loop->wall);
}

static void on_timer(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    loop->armed_at = 0;
    loop_refresh(loop);
    run_timers(loop);
}

/* Milliseconds until the first timer, rounded up so that it does not fire early; UINT64_MAX: there is none. */
static uint64_t wait_ms(struct loop *loop)
{
    uint64_t ms = UINT64_MAX;
    instant steady = timer_set_next(&loop->steady_timers), wall = timer_set_next(&loop->wall_timers);
    if (steady.ns != INSTANT_NEVER.ns) {
        int64_t ns = steady.ns - loop_steady(loop).ns;
        ms = ns <= 0 ? 0 : (uint64_t)(ns / NS_PER_MS) + 1;
    }
    if (wall.ns != INSTANT_NEVER.ns) {
        int64_t ns = wall.ns - loop_now(loop).ns;
        uint64_t wall_ms = ns <= 0 ? 0 : (uint64_t)(ns / NS_PER_MS) + 1;
        if (wall_ms > WALL_CHECK_MS) wall_ms = WALL_CHECK_MS;
        if (wall_ms < ms) ms = wall_ms;
    }
    return ms;
}

/* Timers that came off again leave the timer armed: it then fires once for nothing, which is cheaper than moving it. */
static void arm_timer(struct loop *loop)
{
    uint64_t ms = wait_ms(loop);
    if (ms == UINT64_MAX) return;
    uint64_t at = uv_now(&loop->uv) + ms;
    if (loop->armed_at != 0 && loop->armed_at <= at) return;
    loop->armed_at = at;
    uv_timer_start(&loop->timer, on_timer, at - uv_now(&loop->uv), 0);
}

/* What was deferred, and the mail that this turn's work sent to its own thread: it joins the writes of this turn. */
static void settle(struct loop *loop)
{
    run_deferred(loop);
    for (int i = 0; i < MAIL_ROUNDS && !loop->is_ending && mailbox_open_all(&loop->mailbox) != 0; i++) run_deferred(loop);
}

void loop_woke(struct loop *loop)
{
    if (loop->is_running) atomic_store(&loop->is_awake, true);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    settle(loop);
    if (loop->is_yielding) {
        loop->is_yielding = false;
        for (int i = 0; i < YIELDS; i++) sched_yield();
        settle(loop);
    }
    atomic_store(&loop->is_awake, false);
    if (!mailbox_is_empty(&loop->mailbox)) uv_async_send(&loop->wake); /* its sender may have seen us awake */
    arm_timer(loop);
    loop->is_stale = true; /* the loop waits now */
}

void loop_yield(struct loop *loop) { loop->is_yielding = true; }

static void on_check(uv_check_t *check)
{
    loop_woke(check->data);
    settle(check->data);
}

static void on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    loop_woke(loop);
    if (!loop->is_ending) mailbox_open_all(&loop->mailbox);
}

static void wake_from_any_thread(void *arg)
{
    struct loop *loop = arg;
    if (!atomic_load(&loop->is_awake)) uv_async_send(&loop->wake);
}

struct loop *loop_create(void)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    if (uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return NULL;
    }
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        uv_loop_close(&loop->uv);
        free(loop);
        return NULL;
    }
    uv_timer_init(&loop->uv, &loop->timer);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    loop->wake.data = loop->timer.data = loop->prepare.data = loop->check.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    mailbox_init(&loop->mailbox, wake_from_any_thread, loop);
    list_init(&loop->deferred);
    loop->steady_offset = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
    loop->is_stale = true;
    return loop;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void loop_destroy(struct loop *loop)
{
    loop->is_ending = true; /* whoever mail is for may be gone */
    uv_run(&loop->uv, UV_RUN_NOWAIT); /* closings that are under way */
    run_deferred(loop);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    ensure(uv_loop_close(&loop->uv) == 0);
    mailbox_fini(&loop->mailbox);
    timer_set_fini(&loop->steady_timers);
    timer_set_fini(&loop->wall_timers);
    free(loop);
}

/* Writing to a socket whose peer has left raises SIGPIPE, which would end the process. Blocked for this thread alone:
 * what the rest of the process does with signals is not ours to change. */
static void block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void loop_run(struct loop *loop)
{
    block_sigpipe();
    loop->is_running = true;
    while (!atomic_load_explicit(&loop->is_stopping, memory_order_acquire)) uv_run(&loop->uv, UV_RUN_ONCE);
    loop->is_running = false;
    atomic_store(&loop->is_awake, false);
    if (!mailbox_is_empty(&loop->mailbox)) uv_async_send(&loop->wake); /* for whoever runs it next */
    atomic_store(&loop->is_stopping, false);
}

static void on_waited(struct timer *timer, instant now) { (void)timer, (void)now; }

void loop_run_once(struct loop *loop, duration wait)
{
    struct timer timer = {.fire = on_waited};
    block_sigpipe();
    if (wait.ns > 0) loop_timer_in(loop, &timer, wait);
    uv_run(&loop->uv, wait.ns > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    loop_timer_stop(loop, &timer);
    run_deferred(loop); /* of timers that fired at the end of the turn */
    loop->is_stale = true;
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->is_stopping, true, memory_order_release);
    uv_async_send(&loop->wake);
}

void loop_timer_in(struct loop *loop, struct timer *timer, duration delay)
{
    timer_start(&loop->steady_timers, timer, instant_add(loop_steady(loop), delay));
}

void loop_timer_at(struct loop *loop, struct timer *timer, instant due)
{
    timer_start(&loop->wall_timers, timer, due);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    (void)loop;
    timer_stop(timer);
}

void loop_defer(struct loop *loop, struct loop_defer *defer)
{
    if (!list_is_linked(&defer->link)) list_push(&loop->deferred, &defer->link);
}

void loop_defer_stop(struct loop *loop, struct loop_defer *defer)
{
    (void)loop;
    list_remove(&defer->link);
}

void loop_send(struct loop *loop, struct mail *mail) { mailbox_send(&loop->mailbox, mail); }

struct loop_signal {
    uv_signal_t uv;
    void (*on_signal)(void *arg, int number);
    void *arg;
};

static void on_signal(uv_signal_t *uv, int number)
{
    struct loop_signal *signal = uv->data;
    signal->on_signal(signal->arg, number);
}

struct loop_signal *loop_signal_start(struct loop *loop, int number, void (*callback)(void *arg, int number), void *arg)
{
    struct loop_signal *signal = xcalloc(1, sizeof *signal);
    signal->on_signal = callback;
    signal->arg = arg;
    signal->uv.data = signal;
    uv_signal_init(&loop->uv, &signal->uv);
    uv_signal_start(&signal->uv, on_signal, number);
    return signal;
}

static void free_signal(uv_handle_t *handle) { free(handle->data); }

void loop_signal_stop(struct loop_signal *signal) { uv_close((uv_handle_t *)&signal->uv, free_signal); }

size_t loop_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    return limit.rlim_cur < SIZE_MAX ? (size_t)limit.rlim_cur : SIZE_MAX;
}

struct uv_loop_s *loop_uv(struct loop *loop) { return &loop->uv; }
struct timer_set *loop_steady_timers(struct loop *loop) { return &loop->steady_timers; }
char *loop_scratch(struct loop *loop) { return loop->scratch; }
