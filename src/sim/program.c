/* sim/program.c: what a workflow does, written as words of its input, so that any worker can go on from history alone.
 *
 *   a<n>,<f>   an activity that may be tried n times (0: without end) and fails its first f attempts
 *   p<n>       n activities at once
 *   t<ms>      a timer
 *   s<n>       wait until n signals have come in all
 *   c          a child workflow with a small program of its own
 *   e<n>       signal workflow w<n>, and learn whether that was possible
 *   z<ms>      an activity that runs until it is cancelled, which it is after a timer
 *   n          continue as new with the words that follow
 *   f          fail
 * At the end of its words it completes. Slots number what words begin, left to right. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- drawing ---- */

void program_draw(struct prng *prng, bool is_child, char out[192])
{
    size_t at = 0;
    int words = (int)prng_below(prng, is_child ? 3 : 6), signals = 0;
    bool has_continued = false;
    out[0] = 0;
    for (int i = 0; i < words; i++) {
        char word[32];
        switch (prng_below(prng, is_child ? 4 : 11)) {
        case 0:
        case 1: {
            int most = (int)prng_below(prng, 4);
            int failures = (int)prng_below(prng, 3);
            snprintf(word, sizeof word, "a%d,%d ", most, failures);
            break;
        }
        case 2:
        case 3: snprintf(word, sizeof word, "t%d ", (int)(prng_chance(prng, 8) ? 90000 : 100 + prng_below(prng, 5000))); break;
        case 4: snprintf(word, sizeof word, "p%d ", 2 + (int)prng_below(prng, 5)); break;
        case 5:
            signals += 1 + (int)prng_below(prng, 2);
            snprintf(word, sizeof word, "s%d ", signals);
            break;
        case 6:
        case 7: snprintf(word, sizeof word, "c "); break;
        case 8: snprintf(word, sizeof word, "e%d ", (int)prng_below(prng, 32)); break;
        case 9: snprintf(word, sizeof word, "z%d ", 100 + (int)prng_below(prng, 4000)); break;
        default:
            snprintf(word, sizeof word, "%s", has_continued ? "" : "n ");
            has_continued = true;
            signals = 0;
            break;
        }
        at += (size_t)snprintf(out + at, 192 - at, "%s", word);
    }
    if (prng_chance(prng, 10)) snprintf(out + at, 192 - at, "f ");
}

int program_failures(struct str input)
{
    char text[32];
    snprintf(text, sizeof text, "%.*s", STR_ARG(input));
    return atoi(text);
}

/* ---- folding events ---- */

static struct str first_payload(const pb_common_Payloads *payloads)
{
    return payloads != NULL && payloads->payloads_count != 0 ? payloads->payloads[0]->data : STR_EMPTY;
}

/* Ids end in the number of their slot: "a3", "t0", "…/c1". */
static struct slot *slot_named(struct slot *slots, struct str id)
{
    size_t at = id.size;
    while (at > 0 && id.data[at - 1] >= '0' && id.data[at - 1] <= '9') at--;
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)size_min(id.size - at, 15), id.data + at);
    int number = atoi(text);
    ensure(number >= 0 && number < PROGRAM_SLOTS);
    return &slots[number];
}

static void begin(struct slot *slot, int64_t event_id)
{
    slot->is_begun = 1;
    slot->scheduled_event_id = event_id;
}

static void end(struct slot *slots, int64_t scheduled_event_id)
{
    for (int i = 0; i < PROGRAM_SLOTS; i++)
        if (slots[i].is_begun && slots[i].scheduled_event_id == scheduled_event_id) slots[i].is_over = 1;
}

void progress_fold(struct progress *p, const pb_history_HistoryEvent *e)
{
    p->last_event_id = e->event_id;
    switch (e->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: {
        const pb_history_WorkflowExecutionStartedEventAttributes *a = e->workflow_execution_started_event_attributes;
        snprintf(p->program, sizeof p->program, "%.*s", STR_ARG(first_payload(a->input)));
        break;
    }
    case EVENT_TYPE_WORKFLOW_TASK_COMPLETED: p->completed_started_id = e->workflow_task_completed_event_attributes->started_event_id; break;
    case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
        begin(slot_named(p->activities, e->activity_task_scheduled_event_attributes->activity_id), e->event_id);
        break;
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: end(p->activities, e->activity_task_completed_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_FAILED: end(p->activities, e->activity_task_failed_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: end(p->activities, e->activity_task_timed_out_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_CANCELED: end(p->activities, e->activity_task_canceled_event_attributes->scheduled_event_id); break;
    case EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
        for (int i = 0; i < PROGRAM_SLOTS; i++)
            if (p->activities[i].scheduled_event_id == e->activity_task_cancel_requested_event_attributes->scheduled_event_id) p->activities[i].is_cancelled = 1;
        break;
    case EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: begin(&p->externals[p->external_count++], e->event_id); break;
    case EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
        end(p->externals, e->signal_external_workflow_execution_failed_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:
        end(p->externals, e->external_workflow_execution_signaled_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_TIMER_STARTED: begin(slot_named(p->timers, e->timer_started_event_attributes->timer_id), e->event_id); break;
    case EVENT_TYPE_TIMER_FIRED: end(p->timers, e->timer_fired_event_attributes->started_event_id); break;
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
        begin(slot_named(p->children, e->start_child_workflow_execution_initiated_event_attributes->workflow_id), e->event_id);
        break;
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
        end(p->children, e->start_child_workflow_execution_failed_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
        end(p->children, e->child_workflow_execution_completed_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
        end(p->children, e->child_workflow_execution_failed_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
        end(p->children, e->child_workflow_execution_canceled_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
        end(p->children, e->child_workflow_execution_timed_out_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
        end(p->children, e->child_workflow_execution_terminated_event_attributes->initiated_event_id);
        break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: p->signal_count++; break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: p->is_cancel_requested = true; break;
    default: break;
    }
}

/* ---- deciding ---- */

struct decision { const struct progress *p; struct arena *arena; pb_command_Command **commands; size_t count, capacity; };

static pb_command_Command *command_add(struct decision *d, int32_t type, int32_t attributes_case)
{
    if (d->count == d->capacity) {
        d->capacity = d->capacity != 0 ? 2 * d->capacity : 8;
        pb_command_Command **grown = arena_array(d->arena, pb_command_Command *, d->capacity);
        if (d->count != 0) memcpy(grown, d->commands, d->count * sizeof *grown);
        d->commands = grown;
    }
    pb_command_Command *c = d->commands[d->count++] = pb_new(d->arena, pb_command_Command);
    c->command_type = type;
    c->attributes_case = attributes_case;
    return c;
}

static pb_common_Payloads *text_payloads(struct arena *arena, struct str text)
{
    return pb_payloads_of(arena, pb_payload_new(arena, STR("binary/plain"), text));
}

static pb_taskqueue_TaskQueue *queue_named(struct arena *arena, const char *name)
{
    pb_taskqueue_TaskQueue *queue = pb_new(arena, pb_taskqueue_TaskQueue);
    queue->name = str_of(name);
    queue->kind = TASK_QUEUE_KIND_NORMAL;
    return queue;
}

static void activity(struct decision *d, int slot, int most, int failures)
{
    struct arena *arena = d->arena;
    pb_command_Command *c = command_add(d, COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, pb_command_Command_schedule_activity_task_command_attributes_tag);
    pb_command_ScheduleActivityTaskCommandAttributes *a = pb_new(arena, pb_command_ScheduleActivityTaskCommandAttributes);
    c->schedule_activity_task_command_attributes = a;
    a->activity_id = arena_printf(arena, "a%d", slot);
    a->activity_type = pb_new(arena, pb_common_ActivityType);
    a->activity_type->name = STR("work");
    a->task_queue = queue_named(arena, "queue");
    a->input = text_payloads(arena, arena_printf(arena, "%d", failures));
    a->start_to_close_timeout = pb_duration_new(arena, duration_s(2));
    a->schedule_to_close_timeout = most == 0 ? pb_duration_new(arena, duration_s(300)) : NULL;
    a->retry_policy = pb_new(arena, pb_common_RetryPolicy);
    a->retry_policy->maximum_attempts = most;
    a->request_eager_execution = slot % 2 == 0;
    if (failures < 0) { /* until cancelled */
        a->start_to_close_timeout = pb_duration_new(arena, duration_s(120));
        a->heartbeat_timeout = pb_duration_new(arena, duration_s(4));
    }
    a->retry_policy->initial_interval = pb_duration_new(arena, duration_ms(300));
    a->retry_policy->backoff_coefficient = 2;
}

static void timer(struct decision *d, int slot, int ms)
{
    pb_command_Command *c = command_add(d, COMMAND_TYPE_START_TIMER, pb_command_Command_start_timer_command_attributes_tag);
    pb_command_StartTimerCommandAttributes *a = pb_new(d->arena, pb_command_StartTimerCommandAttributes);
    c->start_timer_command_attributes = a;
    a->timer_id = arena_printf(d->arena, "t%d", slot);
    a->start_to_fire_timeout = pb_duration_new(d->arena, duration_ms(ms));
}

static void cancel_activity(struct decision *d, const struct slot *slot)
{
    pb_command_Command *c =
        command_add(d, COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK, pb_command_Command_request_cancel_activity_task_command_attributes_tag);
    c->request_cancel_activity_task_command_attributes = pb_new(d->arena, pb_command_RequestCancelActivityTaskCommandAttributes);
    c->request_cancel_activity_task_command_attributes->scheduled_event_id = slot->scheduled_event_id;
}

static void signal_external(struct decision *d, int slot, int number)
{
    struct arena *arena = d->arena;
    pb_command_Command *c = command_add(d, COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
                                        pb_command_Command_signal_external_workflow_execution_command_attributes_tag);
    pb_command_SignalExternalWorkflowExecutionCommandAttributes *a = pb_new(arena, pb_command_SignalExternalWorkflowExecutionCommandAttributes);
    c->signal_external_workflow_execution_command_attributes = a;
    a->namespace = STR("default");
    a->execution = pb_new(arena, pb_common_WorkflowExecution);
    a->execution->workflow_id = arena_printf(arena, "w%d", number);
    a->signal_name = STR("signal");
    a->input = text_payloads(arena, arena_printf(arena, "from %s %d", d->p->run_id, slot));
}

static void child(struct decision *d, int slot)
{
    struct arena *arena = d->arena;
    char program[192];
    struct prng prng;
    prng_init(&prng, str_hash(str_of(d->p->workflow_id)) + (uint64_t)slot); /* the same on each replay */
    program_draw(&prng, true, program);
    pb_command_Command *c =
        command_add(d, COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION, pb_command_Command_start_child_workflow_execution_command_attributes_tag);
    pb_command_StartChildWorkflowExecutionCommandAttributes *a = pb_new(arena, pb_command_StartChildWorkflowExecutionCommandAttributes);
    c->start_child_workflow_execution_command_attributes = a;
    a->namespace = STR("default");
    a->workflow_id = arena_printf(arena, "%s/c%d", d->p->workflow_id, slot);
    a->workflow_type = pb_new(arena, pb_common_WorkflowType);
    a->workflow_type->name = STR("program");
    a->task_queue = queue_named(arena, "queue");
    a->input = text_payloads(arena, arena_str(arena, str_of(program)));
    a->workflow_id_reuse_policy = WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    a->parent_close_policy = 1 + slot % 3;
}

/* Begins slots [first, first + count) that are not begun; true when all are over. */
static bool slots_over(const struct slot *slots, int first, int count)
{
    for (int i = first; i < first + count; i++)
        if (!slots[i].is_over) return false;
    return true;
}

static void finish(struct decision *d, bool is_failure)
{
    if (is_failure) {
        pb_command_Command *c = command_add(d, COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, pb_command_Command_fail_workflow_execution_command_attributes_tag);
        c->fail_workflow_execution_command_attributes = pb_new(d->arena, pb_command_FailWorkflowExecutionCommandAttributes);
        c->fail_workflow_execution_command_attributes->failure = pb_new(d->arena, pb_failure_Failure);
        c->fail_workflow_execution_command_attributes->failure->message = STR("as told");
        return;
    }
    pb_command_Command *c =
        command_add(d, COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, pb_command_Command_complete_workflow_execution_command_attributes_tag);
    c->complete_workflow_execution_command_attributes = pb_new(d->arena, pb_command_CompleteWorkflowExecutionCommandAttributes);
}

static void continue_as_new(struct decision *d, const char *rest)
{
    pb_command_Command *c = command_add(d, COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
                                        pb_command_Command_continue_as_new_workflow_execution_command_attributes_tag);
    pb_command_ContinueAsNewWorkflowExecutionCommandAttributes *a = pb_new(d->arena, pb_command_ContinueAsNewWorkflowExecutionCommandAttributes);
    c->continue_as_new_workflow_execution_command_attributes = a;
    a->workflow_type = pb_new(d->arena, pb_common_WorkflowType);
    a->workflow_type->name = STR("program");
    a->task_queue = queue_named(d->arena, "queue");
    a->input = text_payloads(d->arena, arena_str(d->arena, str_of(rest)));
}

size_t program_decide(const struct progress *p, struct arena *arena, pb_command_Command ***commands)
{
    struct decision d = {.p = p, .arena = arena};
    int activities = 0, timers = 0, children = 0, externals = 0, number, second;
    bool is_waiting = false, has_ended = false;
    if (p->is_cancel_requested) {
        pb_command_Command *c = command_add(&d, COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION, pb_command_Command_cancel_workflow_execution_command_attributes_tag);
        c->cancel_workflow_execution_command_attributes = pb_new(arena, pb_command_CancelWorkflowExecutionCommandAttributes);
        has_ended = true;
    }
    for (const char *at = p->program; *at != 0 && !is_waiting && !has_ended; at++) {
        char word = *at;
        number = atoi(at + 1);
        const char *comma = strchr(at, ','), *space = strchr(at, ' ');
        second = comma != NULL && space != NULL && comma < space ? atoi(comma + 1) : 0;
        int count = word == 'p' ? number : 1;
        if (space != NULL) at = space;
        switch (word) {
        case 'a':
        case 'p':
            for (int i = activities; i < activities + count; i++)
                if (!p->activities[i].is_begun) activity(&d, i, word == 'p' ? 3 : number, second);
            is_waiting = !slots_over(p->activities, activities, count);
            activities += count;
            break;
        case 't':
            if (!p->timers[timers].is_begun) timer(&d, timers, number);
            is_waiting = !slots_over(p->timers, timers++, 1);
            break;
        case 'c':
            if (!p->children[children].is_begun) child(&d, children);
            is_waiting = !slots_over(p->children, children++, 1);
            break;
        case 'e':
            if (!p->externals[externals].is_begun) signal_external(&d, externals, number);
            is_waiting = !slots_over(p->externals, externals++, 1);
            break;
        case 'z': {
            const struct slot *stubborn = &p->activities[activities];
            if (!stubborn->is_begun) activity(&d, activities, 2, -1);
            if (!p->timers[timers].is_begun) timer(&d, timers, number);
            if (p->timers[timers].is_over && stubborn->is_begun && !stubborn->is_over && !stubborn->is_cancelled) cancel_activity(&d, stubborn);
            is_waiting = !p->timers[timers].is_over || !stubborn->is_over;
            timers++;
            activities++;
            break;
        }
        case 's': is_waiting = p->signal_count < number; break;
        case 'n':
            continue_as_new(&d, at + 1);
            has_ended = true;
            break;
        case 'f':
            finish(&d, true);
            has_ended = true;
            break;
        default: ensure(!"a word that no program has");
        }
    }
    if (!is_waiting && !has_ended) finish(&d, false);
    *commands = d.commands;
    return d.count;
}
