/* Held answers: what a workflow task that made its workflow do nothing waits for.
 *
 * Nobody waits for such an answer, and it costs as much as any other: here, at the server, and three events of history.
 * When the run's tasks follow each other closely and other tasks are in hand, it waits for up to HOLD_MS, so that several go
 * at once, and what happens to the run meanwhile, signals above all, comes as one task with the reply. The first such answer
 * of a run, one after a pause, and all of a worker with little to do or few slots go at once: whoever signals and looks in
 * turn sees no delay. */
#include "core/worker_state.h"

enum { HOLD_MS = 10, HOLD_BUSY_MIN = 4 /* tasks in hand, this one included */, CLOSE_MS = 50 };

static bool wants_hold(const struct core_worker *w, const struct entry *entry, instant now)
{
    const struct slots *slots = &w->slots[SLOT_WORKFLOW];
    bool is_close = instant_is_set(entry->quiet_at) && instant_since(now, entry->quiet_at).ns <= duration_ms(CLOSE_MS).ns;
    return is_close && !w->is_shutting_down && slots->busy >= HOLD_BUSY_MIN && slots_has_plenty(slots);
}

bool hold_answer(struct core_worker *w, struct entry *entry, instant now)
{
    if (list_is_linked(&entry->held)) return true;
    if (instant_is_set(entry->held_at) || !run_is_quiet(entry->run)) return false;
    bool is_held = wants_hold(w, entry, now);
    entry->quiet_at = now;
    if (!is_held) return false;
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

bool core_worker_has_held(const struct core_worker *w) { return !list_is_empty(&w->held); }
