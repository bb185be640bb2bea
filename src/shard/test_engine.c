#include "shard/test_engine.h"

#include "base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASK_NONE, TASK_OFFERED, TASK_STORED, TASK_STARTED };

struct execution {
    const struct namespace_info *ns;
    int64_t run, number, next_event_id, unsaved_from, cached_from, stamp, timer, close_at, wake;
    int task;
    bool is_open, is_dirty, is_new;
    char *workflow_id, *run_id;
    struct buf events;            /* from cached_from */
    struct str received[64];      /* request ids, malloc'd */
    size_t received_count, received_saved;
};

static void add_event(struct execution *e)
{
    char text[32];
    int size = snprintf(text, sizeof text, "event-%" PRId64, e->next_event_id++);
    buf_append_byte(&e->events, 0x0a);
    buf_append_byte(&e->events, (uint8_t)size);
    buf_append(&e->events, text, (size_t)size);
}

static void changed(struct execution *e, struct step *step, bool is_durable)
{
    e->is_dirty = true;
    step->is_durable |= is_durable;
    step_touch(step, e);
    step_notice(step, e->is_open ? NOTICE_NEW_EVENTS : NOTICE_CLOSED, e, STR_EMPTY);
}

/* ---- what a test does to a run ---- */

struct execution *engine_start(struct step *step, struct str workflow_id)
{
    struct execution *e = xcalloc(1, sizeof *e);
    char uuid[37];
    prng_uuid(step->prng, uuid);
    e->ns = step->ns;
    e->run = (*step->next_run)++;
    e->workflow_id = str_dup_c(workflow_id);
    e->run_id = str_dup_c(str_of(uuid));
    e->is_open = e->is_new = true;
    e->next_event_id = e->unsaved_from = e->cached_from = 1;
    e->timer = e->wake = INT64_MAX;
    add_event(e);
    step_create(step, e);
    changed(e, step, true);
    return e;
}

void engine_add(struct execution *e, struct step *step, int64_t amount, bool is_durable)
{
    e->number += amount;
    add_event(e);
    changed(e, step, is_durable);
}

void engine_close(struct execution *e, struct step *step)
{
    e->is_open = false;
    e->close_at = step->now.ns;
    e->timer = INT64_MAX;
    add_event(e);
    changed(e, step, true);
}

void engine_set_timer(struct execution *e, struct step *step, instant due)
{
    e->timer = due.ns;
    changed(e, step, true);
}

static void offer(struct execution *e, struct step *step)
{
    struct task_effect *task = step_task(step);
    task->kind = TASK_WORKFLOW;
    task->namespace_key = e->ns->key;
    task->run = e->run;
    task->workflow_id = arena_str(step->arena, str_of(e->workflow_id));
    task->run_id = arena_str(step->arena, str_of(e->run_id));
    task->queue = STR("queue");
    task->scheduled_event_id = 7;
    task->stamp = e->stamp;
    task->scheduled_at = step->now;
    task->expires_at = INSTANT_NEVER;
}

void engine_schedule_task(struct execution *e, struct step *step)
{
    e->task = TASK_OFFERED;
    e->stamp++;
    offer(e, step);
    changed(e, step, true);
}

err engine_start_task(struct execution *e, struct step *step, int64_t stamp)
{
    if (stamp != e->stamp || (e->task != TASK_OFFERED && e->task != TASK_STORED)) return ERR_TASK_GONE;
    e->task = TASK_STARTED;
    changed(e, step, false);
    return ERR_NONE;
}

void engine_finish_task(struct execution *e, struct step *step)
{
    e->task = TASK_NONE;
    engine_add(e, step, 1, true);
}

void engine_send(struct execution *e, struct step *step, struct str workflow_id, struct str request_id)
{
    pb_store_Signal signal = {.request_id = request_id};
    pb_store_Message message = {.content_case = pb_store_Message_signal_tag, .signal = &signal};
    struct message_effect *effect = step_message(step);
    effect->namespace_key = e->ns->key;
    effect->workflow_id = arena_str(step->arena, workflow_id);
    effect->bytes = PB_ENCODE_ARENA(pb_store_Message, &message, step->arena);
    changed(e, step, true);
}

int64_t engine_number(const struct execution *e) { return e->number; }

/* ---- history/execution.h ---- */

err execution_load(const struct namespace_info *ns, const struct execution_row *row, const struct execution_item *items, size_t item_count,
                   struct execution **out)
{
    struct execution *e = xcalloc(1, sizeof *e);
    int is_open;
    char *text = str_dup_c(row->bytes);
    int fields = sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %d %d", &e->number, &e->next_event_id,
                        &e->stamp, &e->timer, &e->close_at, &e->wake, &e->task, &is_open);
    free(text);
    if (fields != 8) {
        free(e);
        return ERR_CORRUPT;
    }
    e->ns = ns;
    e->run = row->run;
    e->workflow_id = str_dup_c(row->workflow_id);
    e->run_id = str_dup_c(row->run_id);
    e->is_open = is_open != 0;
    e->unsaved_from = e->cached_from = e->next_event_id;
    for (size_t i = 0; i < item_count; i++) e->received[e->received_count++] = str_of(str_dup_c(items[i].key));
    e->received_saved = e->received_count;
    *out = e;
    return ERR_NONE;
}

void execution_destroy(struct execution *e)
{
    for (size_t i = 0; i < e->received_count; i++) free((char *)(uintptr_t)e->received[i].data);
    buf_fini(&e->events);
    free(e->workflow_id);
    free(e->run_id);
    free(e);
}

int64_t execution_run(const struct execution *e) { return e->run; }
const struct namespace_info *execution_namespace(const struct execution *e) { return e->ns; }
struct str execution_workflow_id(const struct execution *e) { return str_of(e->workflow_id); }
struct str execution_run_id(const struct execution *e) { return str_of(e->run_id); }
bool execution_is_open(const struct execution *e) { return e->is_open; }
instant execution_close_time(const struct execution *e) { return (instant){e->close_at}; }
size_t execution_memory(const struct execution *e) { return sizeof *e + e->events.capacity; }
bool execution_is_evictable(const struct execution *e) { return e->task != TASK_STARTED; }
bool execution_is_dirty(const struct execution *e) { return e->is_dirty; }
instant execution_next_wake(const struct execution *e) { return (instant){e->timer}; }
instant execution_stored_wake(const struct execution *e) { return (instant){e->wake}; }

void execution_flush(struct execution *e, const struct step *step, struct arena *arena, struct execution_flush *flush)
{
    (void)step;
    *flush = (struct execution_flush){.is_new = e->is_new};
    flush->changes = arena_array(arena, struct execution_change, 1 + countof(e->received));
    if (e->unsaved_from < e->next_event_id) {
        struct str all = buf_view(&e->events);
        flush->changes[flush->change_count++] =
            (struct execution_change){.kind = CHANGE_HISTORY, .bytes = arena_str(arena, execution_cached_range(e, e->unsaved_from, e->next_event_id)),
                                      .first_event_id = e->unsaved_from, .event_count = e->next_event_id - e->unsaved_from};
        if (all.size > 200) { /* keep little, so that reads go to the store as well */
            buf_clear(&e->events);
            e->cached_from = e->next_event_id;
        }
        e->unsaved_from = e->next_event_id;
    }
    for (; e->received_saved < e->received_count; e->received_saved++)
        flush->changes[flush->change_count++] =
            (struct execution_change){.kind = CHANGE_ITEM_PUT, .item_kind = 1, .key = arena_str(arena, e->received[e->received_saved])};
    int64_t wake = e->task == TASK_OFFERED || e->task == TASK_STARTED ? 0 : e->timer;
    flush->is_wake_changed = wake != e->wake;
    flush->wake = (instant){wake};
    e->wake = wake;
    flush->state = arena_printf(arena, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d %d", e->number, e->next_event_id,
                                e->stamp, e->timer, e->close_at, e->wake, e->task == TASK_STARTED ? TASK_OFFERED : e->task, e->is_open);
    e->is_dirty = e->is_new = false;
}

err execution_wake(struct execution *e, struct step *step, bool is_recovery)
{
    step_touch(step, e);
    if (is_recovery && e->task == TASK_OFFERED) offer(e, step);
    if (e->timer > step->now.ns) return ERR_NONE;
    e->timer = INT64_MAX;
    engine_add(e, step, 100, true);
    return ERR_NONE;
}

void execution_task_stored(struct execution *e, struct step *step, enum task_kind kind, int64_t scheduled_event_id, int64_t stamp)
{
    (void)kind;
    (void)scheduled_event_id;
    if (e->task != TASK_OFFERED || e->stamp != stamp) return;
    e->task = TASK_STORED;
    changed(e, step, true);
}

void execution_history(const struct execution *e, struct arena *arena, struct history_view *view)
{
    struct history_branch *branch = arena_new(arena, struct history_branch);
    *branch = (struct history_branch){e->run, 1, e->next_event_id};
    *view = (struct history_view){branch, 1, e->cached_from, buf_view(&e->events), e->next_event_id, 0};
}

struct str execution_cached_range(const struct execution *e, int64_t from, int64_t to)
{
    size_t at = 0, begin = 0;
    for (int64_t id = e->cached_from; id < to; id++) {
        if (id == from) begin = at;
        at += 2 + (size_t)(unsigned char)e->events.data[at + 1];
    }
    return str_make(e->events.data + begin, at - begin);
}

int64_t execution_wanted_event(const struct execution *target UNUSED, const pb_store_Message *message UNUSED) { return 0; }

err execution_receive(struct step *step, struct execution *target, const pb_store_Message *message)
{
    if (target == NULL || !target->is_open) return ERR_NONE;
    for (size_t i = 0; i < target->received_count; i++)
        if (str_equal(target->received[i], message->signal->request_id)) return ERR_NONE;
    ensure(target->received_count < countof(target->received));
    target->received[target->received_count++] = str_of(str_dup_c(message->signal->request_id));
    engine_add(target, step, 1, true);
    return ERR_NONE;
}
