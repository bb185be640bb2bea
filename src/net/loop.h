/* net/loop.h: one thread's event loop: sockets, timers, mail from other threads, signals.
 *
 * A loop belongs to the thread that runs it; every function is called there, except loop_send and loop_stop, which any
 * thread may call. There is no global state: a process has as many loops as it likes.
 *
 * Two clocks, both read once per turn of the loop and passed on as values:
 *   wall    what the calendar says; may jump. Deadlines that users see and timers of workflows.
 *   steady  never jumps: it began at the wall time of loop_create. Timeouts of sockets and calls.
 *
 * A turn: timers that are due, then sockets and mail, then what was deferred, and mail that came meanwhile. Replies
 * written during a turn therefore leave in one write per connection, and mail to a thread that is at work costs no
 * system call. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/err.h"
#include "base/mailbox.h"
#include "net/timer.h"

struct loop;
struct uv_loop_s;

/* NULL when the system gives no more descriptors. */
struct loop *loop_create(void);
/* Every server, client and signal of the loop must have been closed before; closes what libuv still has open. Mail that
 * nobody opened is dropped (its `open` is not called). */
void loop_destroy(struct loop *loop);

/* Runs until loop_stop. loop_run_once does one turn, waiting at most `wait` for something to happen; tests and foreign
 * main loops use it. Both block SIGPIPE for the calling thread. */
void loop_run(struct loop *loop);
void loop_run_once(struct loop *loop, duration wait);
void loop_stop(struct loop *loop); /* any thread; loop_run returns after the present turn */

instant loop_now(struct loop *loop);    /* wall, of this turn */
instant loop_steady(struct loop *loop); /* steady, of this turn */
void loop_refresh(struct loop *loop);   /* reads both clocks again, after long work inside a turn */

/* Timers (net/timer.h) never fire early. A wall timer follows jumps of the clock within a second. Setting one that is
 * set moves it. The timer's memory is the caller's and must outlive it or be stopped. */
void loop_timer_in(struct loop *loop, struct timer *timer, duration delay); /* steady */
void loop_timer_at(struct loop *loop, struct timer *timer, instant due);    /* wall */
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* Runs once at the end of this turn (of the turn that runs it, when called from there). No effect when already
 * waiting. Memory as with timers. */
struct loop_defer {
    struct list link;
    void (*run)(struct loop_defer *defer);
};
void loop_defer(struct loop *loop, struct loop_defer *defer);
void loop_defer_stop(struct loop *loop, struct loop_defer *defer);

/* Before it next waits, the loop lets other threads and processes that are ready have the CPU, and looks at its mail again:
 * for when what they are about to send may as well be read in one go. Costs next to nothing on a machine with CPUs to spare. */
void loop_yield(struct loop *loop);

/* Hands mail to the loop's thread; mail->open runs there. Any thread. The order of one sender is kept. */
void loop_send(struct loop *loop, struct mail *mail);

/* Calls `on_signal` on the loop's thread each time the process gets signal `number`. Freed by loop_signal_stop. */
struct loop_signal;
struct loop_signal *loop_signal_start(struct loop *loop, int number, void (*on_signal)(void *arg, int number), void *arg);
void loop_signal_stop(struct loop_signal *signal);

/* Asks the system for as many descriptors as it allows this process (RLIMIT_NOFILE); returns how many that are. A server
 * does this before it listens. */
size_t loop_raise_descriptor_limit(void);

/* For net/ itself and for libraries that know libuv. loop_woke: something has happened, so that the turn that follows finds
 * the mail that comes from now on. */
void loop_woke(struct loop *loop);
struct uv_loop_s *loop_uv(struct loop *loop);
struct timer_set *loop_steady_timers(struct loop *loop);
enum { LOOP_SCRATCH_SIZE = 64 * 1024 };
char *loop_scratch(struct loop *loop); /* LOOP_SCRATCH_SIZE bytes, valid until control returns to the loop */

#endif
