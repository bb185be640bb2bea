#include "net/timer.h"

void timer_set_fini(struct timer_set *set)
{
    while (heap_first(&set->heap) != NULL) heap_remove(&set->heap, heap_first(&set->heap));
    heap_fini(&set->heap);
}

instant timer_set_next(const struct timer_set *set)
{
    struct heap_node *first = heap_first(&set->heap);
    return first != NULL ? first->due : INSTANT_NEVER;
}

void timer_set_run(struct timer_set *set, instant now)
{
    uint64_t end = set->heap.next_order; /* what is set from here on waits for the next call */
    for (struct heap_node *first; (first = heap_first(&set->heap)) != NULL;) {
        if (instant_before(now, first->due) || first->order >= end) return;
        heap_remove(&set->heap, first);
        struct timer *timer = container_of(first, struct timer, node);
        timer->fire(timer, now);
    }
}
