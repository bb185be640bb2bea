/* net/timer.h: timers as values: a heap of what is due when. Reads no clock, so the simulator and the fuzz targets drive it
 * as the loop does. Ties fire in the order they were set. */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include "base/heap.h"

/* Zero-initialise, set `fire`, embed it. `fire` may set it again or free what it is in. */
struct timer_set;
struct timer {
    struct heap_node node;
    struct timer_set *set; /* that holds it; meaningful while it is set */
    void (*fire)(struct timer *timer, instant now);
};
struct timer_set { struct heap heap; }; /* zero-initialised is empty */

void timer_set_fini(struct timer_set *set); /* timers in it count as stopped */
static inline bool timer_is_set(const struct timer *timer) { return heap_has(&timer->node); }
static inline void timer_stop(struct timer *timer) /* no effect on one that is not set */
{
    if (timer_is_set(timer)) heap_remove(&timer->set->heap, &timer->node);
}
static inline void timer_start(struct timer_set *set, struct timer *timer, instant due) /* moves one that is set */
{
    if (timer->set != set) timer_stop(timer);
    timer->set = set;
    heap_put(&set->heap, &timer->node, due);
}
/* When the first is due; INSTANT_NEVER when none is. */
instant timer_set_next(const struct timer_set *set);
/* Fires what is due at `now`; timers set meanwhile wait for the next call. */
void timer_set_run(struct timer_set *set, instant now);

#endif
