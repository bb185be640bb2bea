/* Held answers: what a workflow task that made its workflow do nothing waits for.
 *
 * Nobody waits for such an answer, and it costs as much as any other: here, at the server, and three events of history.
 * While other tasks are in hand it waits for up to HOLD_MS, so that several go at once, and what happens to the run
 * meanwhile, signals above all, comes as one task with the reply. A worker with little to do, or with few slots, answers at
 * once: whoever signals and looks in turn sees no delay. */
#include "core/worker_state.h"

enum { HOLD_MS = 10, HOLD_BUSY_MIN = 4 }; /* tasks in hand, this one included */

static bool wants_hold(const struct core_worker *w, const struct entry *entry)
{
    const struct slots *slots = &w->slots[SLOT_WORKFLOW];
    return w->is_sticky_on && !w->is_shutting_down && slots->busy >= HOLD_BUSY_MIN && slots_has_plenty(slots) && run_is_quiet(entry->run);
}

bool hold_answer(struct core_worker *w, struct entry *entry, instant now)
{
    if (list_is_linked(&entry->held)) return true;
    if (instant_is_set(entry->held_at) || !wants_hold(w, entry)) return false;
    if (list_is_empty(&w->held)) worker_timer(w, &w->hold_timer, instant_add(now, duration_ms(HOLD_MS)));
    list_push(&w->held, &entry->held);
    entry->held_at = now;
    return true;
}

void hold_release(struct core_worker *w, instant now)
{
    struct list *link;
    worker_timer_off(w, &w->hold_timer);
    while ((link = list_pop(&w->held)) != NULL) runs_drive(w, container_of(link, struct entry, held), now);
}
