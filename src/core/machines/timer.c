/* A timer of the workflow.
 *
 *   NEW ── TimerStarted ──► SCHEDULED ── TimerFired, TimerCanceled ──► gone
 *    └─ cancelled in the same workflow task: gone, and history never hears of it */
#include "core/run_state.h"

err timer_start(struct run *run, const pb_core_Command *c)
{
    uint32_t seq = c->start_timer->seq;
    if (seq <= run->seq_max[MACHINE_TIMER])
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "start_timer gives seq %u a second time", seq);
    struct machine *m = machine_create(run, MACHINE_TIMER, seq, seq_text(&run->scratch, seq), STR_EMPTY);
    run_push(run, OUT_START_TIMER, m, c);
    return ERR_NONE;
}

err timer_cancel(struct run *run, const pb_core_Command *c)
{
    uint32_t seq = c->cancel_timer->seq;
    struct machine *m = machine_get(run, MACHINE_TIMER, seq);
    if (m == NULL) return machine_missing(run, MACHINE_TIMER, seq, "cancel_timer");
    if (m->is_cancelled) return ERR_NONE;
    if (m->state == MACHINE_NEW) {
        run_unpush(run, run_find_outgoing(run, OUT_START_TIMER, m));
        machine_destroy(run, m);
        return ERR_NONE;
    }
    m->is_cancelled = true;
    run_push(run, OUT_CANCEL_TIMER, m, c);
    return ERR_NONE;
}

err timer_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    struct str id = e->timer_started_event_attributes->timer_id;
    if (!str_equal(out->id, id))
        return run_diverge(run, "event %" PRId64 " starts the timer \"%.*s\", the workflow code starts the timer \"%.*s\"",
                           e->event_id, STR_ARG(id), STR_ARG(out->id));
    if (out->machine != NULL) machine_scheduled(run, out->machine, e);
    return ERR_NONE;
}

err timer_cancel_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    struct str id = e->timer_canceled_event_attributes->timer_id;
    if (!str_equal(out->id, id))
        return run_diverge(run, "event %" PRId64 " cancels the timer \"%.*s\", the workflow code cancels the timer \"%.*s\"",
                           e->event_id, STR_ARG(id), STR_ARG(out->id));
    if (out->machine != NULL) machine_destroy(run, out->machine);
    return ERR_NONE;
}

err timer_fired(struct run *run, const event_t *e)
{
    int64_t started_id = e->timer_fired_event_attributes->started_event_id;
    struct machine *m = machine_of_event(run, MACHINE_TIMER, started_id);
    if (m == NULL)
        return run_diverge(run, "event %" PRId64 " fires a timer (started in event %" PRId64 ") that the workflow code does not have",
                           e->event_id, started_id);
    if (!m->is_cancelled) RUN_JOB(run, JOBS_OTHER, fire_timer, FireTimer)->seq = m->seq;
    machine_destroy(run, m);
    return ERR_NONE;
}

void timer_build(struct run *run UNUSED, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    if (out->kind == OUT_CANCEL_TIMER) {
        c->cancel_timer_command_attributes = pb_new(arena, pb_command_CancelTimerCommandAttributes);
        c->cancel_timer_command_attributes->timer_id = out->id;
        return;
    }
    c->start_timer_command_attributes = pb_new(arena, pb_command_StartTimerCommandAttributes);
    c->start_timer_command_attributes->timer_id = out->id;
    c->start_timer_command_attributes->start_to_fire_timeout = out->from->start_timer->start_to_fire_timeout;
}
