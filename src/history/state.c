#include "history/events.h"

#include <stdlib.h>

struct execution *execution_new(const struct namespace_info *ns)
{
    struct execution *e = xcalloc(1, sizeof *e);
    e->ns = ns;
    arena_init(&e->arena, 2048, 0);
    e->s = pb_new(&e->arena, pb_store_RunState);
    e->s->task = pb_new(&e->arena, pb_store_WorkflowTask);
    e->s->next_event_id = e->cached_from = e->unsaved_from = 1;
    list_init(&e->dirty);
    return e;
}

/* A map entry and its slots, allocation headers. */
enum { ITEM_OVERHEAD = 160 };

static void item_count_memory(struct item *item)
{
    size_t now = sizeof *item + item->arena.used + ITEM_OVERHEAD;
    item->owner->item_bytes += now - item->counted;
    item->counted = now;
}

static void item_free(struct item *item)
{
    list_remove(&item->link);
    item->owner->item_bytes -= item->counted;
    heap_remove(&item->owner->due, &item->due);
    arena_fini(&item->arena);
    free(item);
}

void execution_destroy(struct execution *e)
{
    if (e == NULL) return;
    list_each_safe(link, &e->dirty) {
        struct item *item = container_of(link, struct item, link);
        if (item->is_gone) item_free(item);
    }
    for (int kind = 1; kind < ITEM_KIND_COUNT; kind++) {
        if (kind < ITEM_ACTIVITY && e->single[kind] != NULL) item_free(e->single[kind]);
        struct item *item;
        for (size_t at = 0; (item = item_next(e, (enum item_kind)kind, &at)) != NULL;)
            if (kind >= ITEM_ACTIVITY) item_free(item);
        map_u64_fini(&e->by_number[kind]);
        map_fini(&e->by_name[kind]);
    }
    heap_fini(&e->due);
    buf_fini(&e->events);
    free(e->offsets);
    arena_fini(&e->arena);
    free(e);
}

void execution_changed_in_memory(struct execution *e, struct step *step)
{
    e->is_dirty = true;
    step_touch(step, e);
}

void execution_changed(struct execution *e, struct step *step)
{
    execution_changed_in_memory(e, step);
    step->is_durable = true;
}

/* ---- items ---- */

struct item_type { const struct pb_message *type; enum item_key key; };
static const struct item_type item_types[ITEM_KIND_COUNT] = {
#define X(kind, number, message, key) [kind] = {&pb_store_##message##_type, key},
    ITEM_TABLE(X)
#undef X
};

static struct item *item_make(struct execution *e, enum item_kind kind, int64_t number, struct str name)
{
    struct item *item = xcalloc(1, sizeof *item);
    item->kind = kind;
    item->number = number;
    item->owner = e;
    list_init(&item->link);
    for (int i = 0; i < 8; i++) item->number_key[i] = (char)((uint64_t)number >> (56 - 8 * i));
    arena_init(&item->arena, item_types[kind].type->size + 96, 0); /* one block for the message and short strings */
    if (!str_is_empty(name)) item->name = arena_str(&item->arena, name);
    return item;
}

static void item_insert(struct item *item)
{
    struct execution *e = item->owner;
    void *old = NULL;
    switch (item_types[item->kind].key) {
    case KEY_NONE: old = e->single[item->kind], e->single[item->kind] = item; break;
    case KEY_NUMBER: old = map_u64_put(&e->by_number[item->kind], (uint64_t)item->number, item); break;
    case KEY_NAME: old = map_put(&e->by_name[item->kind], item->name, item); break;
    }
    ensure(old == NULL);
    item_count_memory(item);
}

struct item *item_new(struct execution *e, enum item_kind kind, int64_t number, struct str name)
{
    struct item *item = item_make(e, kind, number, name);
    item->message = arena_zalloc(&item->arena, item_types[kind].type->size);
    item_insert(item);
    item_changed(item);
    return item;
}

void item_changed(struct item *item)
{
    if (!list_is_linked(&item->link)) list_push(&item->owner->dirty, &item->link);
}

void item_index_name(struct item *item, struct str name)
{
    void *old = map_put(&item->owner->by_name[item->kind], name, item);
    ensure(old == NULL);
}

void item_remove(struct item *item)
{
    struct execution *e = item->owner;
    switch (item_types[item->kind].key) {
    case KEY_NONE: e->single[item->kind] = NULL; break;
    case KEY_NUMBER: map_u64_remove(&e->by_number[item->kind], (uint64_t)item->number); break;
    case KEY_NAME: map_remove(&e->by_name[item->kind], item->name); break;
    }
    if (item->kind == ITEM_ACTIVITY) map_remove(&e->by_name[ITEM_ACTIVITY], item->activity->activity_id);
    heap_remove(&e->due, &item->due);
    item->is_gone = true;
    item_changed(item);
}

struct item *item_by_number(const struct execution *e, enum item_kind kind, int64_t number)
{
    return map_u64_get(&e->by_number[kind], (uint64_t)number);
}

struct item *item_by_name(const struct execution *e, enum item_kind kind, struct str name)
{
    return map_get(&e->by_name[kind], name);
}

size_t item_count(const struct execution *e, enum item_kind kind)
{
    if (item_types[kind].key == KEY_NONE) return e->single[kind] != NULL;
    return item_types[kind].key == KEY_NUMBER ? map_u64_count(&e->by_number[kind]) : map_count(&e->by_name[kind]);
}

struct item *item_next(const struct execution *e, enum item_kind kind, size_t *at)
{
    if (item_types[kind].key == KEY_NUMBER) return map_u64_next(&e->by_number[kind], at, NULL);
    return map_next(&e->by_name[kind], at, NULL);
}

void due_set(struct execution *e, struct heap_node *node, instant due, int64_t rank)
{
    bool is_held = e->s->is_full && execution_is_open(e) && node != &e->run_due && node != &e->execution_due;
    if (is_held || !instant_is_set(due) || due.ns == INSTANT_NEVER.ns) {
        heap_remove(&e->due, node);
        return;
    }
    if (heap_has(node) && node->due.ns == due.ns) return;
    e->due.next_order = (uint64_t)rank; /* what is due together fires in this order */
    heap_put(&e->due, node, due);
}

/* ---- rows ---- */

static struct str item_key(const struct item *item)
{
    switch (item_types[item->kind].key) {
    case KEY_NUMBER: return str_make(item->number_key, sizeof item->number_key);
    case KEY_NAME: return item->name;
    default: return STR_EMPTY;
    }
}

/* Numbers that arithmetic can bear: two of them added do not overflow. */
static bool numbers_are_sane(const struct pb_message *type, const void *message)
{
    for (const struct pb_field *f = pb_fields + type->field_first; f < pb_fields + type->field_first + type->field_count; f++) {
        if (pb_is_repeated(f)) continue;
        if (f->kind == PB_INT32 || f->kind == PB_ENUM) {
            int32_t n;
            memcpy(&n, (const char *)message + f->offset, sizeof n);
            if (n < 0 || n > INT32_MAX / 2) return false;
        } else if (f->kind == PB_INT64 || f->kind == PB_SFIXED64) {
            int64_t n;
            memcpy(&n, (const char *)message + f->offset, sizeof n);
            if (n < EVENT_BUFFERED || (n > INT64_MAX / 4 && n != INSTANT_NEVER.ns)) return false;
        }
    }
    return true;
}

static bool activity_is_sound(const pb_store_Activity *a, int64_t number)
{
    return a->scheduled_event_id == number && a->activity_id.size != 0 && a->retry_policy != NULL && a->attempt > 0 && a->state <= ACTIVITY_STATE_BACKING_OFF;
}

static bool item_is_sound(const struct item *item, struct str key, struct arena *scratch)
{
    const pb_store_RunState *s = item->owner->s;
    int64_t next = item->kind == ITEM_BUFFERED ? s->last_buffered + 1 : item->kind == ITEM_CALLBACK ? s->last_callback + 1 : s->next_event_id;
    if (item_types[item->kind].key == KEY_NUMBER && (item->number < 1 || item->number >= next)) return false;
    switch (item->kind) {
    case ITEM_ACTIVITY: return activity_is_sound(item->activity, item->number);
    case ITEM_CHILD: return item->child->initiated_event_id == item->number;
    case ITEM_EXTERNAL: return item->external->initiated_event_id == item->number;
    case ITEM_TIMER: return str_equal(item->timer->timer_id, key);
    case ITEM_UPDATE:
        return str_equal(item->update->update_id, key) && item->update->stage <= UPDATE_STAGE_COMPLETED &&
               (item->update->stage != UPDATE_STAGE_ADMITTED || (item->update->request != NULL && item->update->admitted_event_id > 0));
    case ITEM_BUFFERED: return item->buffered->number == item->number && event_buffered_is_sound(item->buffered->event, scratch);
    case ITEM_CALLBACK: return item->callback->number == item->number && item->callback->callback != NULL;
    default: return true;
    }
}

static bool item_exists(const struct item *item)
{
    const struct execution *e = item->owner;
    switch (item_types[item->kind].key) {
    case KEY_NONE: return e->single[item->kind] != NULL;
    case KEY_NUMBER: return item_by_number(e, item->kind, item->number) != NULL;
    default: return item_by_name(e, item->kind, item->name) != NULL;
    }
}

static err load_item(struct execution *e, const struct execution_item *row)
{
    if (row->kind <= 0 || row->kind >= ITEM_KIND_COUNT) return ERR_CORRUPT;
    const struct item_type *type = &item_types[row->kind];
    int64_t number = 0;
    if (type->key == KEY_NUMBER) {
        if (row->key.size != 8) return ERR_CORRUPT;
        for (int i = 0; i < 8; i++) number = (int64_t)((uint64_t)number << 8 | (uint8_t)row->key.data[i]);
    }
    if (type->key == KEY_NAME && str_is_empty(row->key)) return ERR_CORRUPT;
    struct item *item = item_make(e, (enum item_kind)row->kind, number, type->key == KEY_NAME ? row->key : STR_EMPTY);
    item->is_stored = true;
    bool is_good = pb_decode(type->type, row->bytes, &item->arena, PB_COPY, &item->message) == ERR_NONE && !item_exists(item) &&
                   numbers_are_sane(type->type, item->message) && item_is_sound(item, row->key, &e->arena);
    if (is_good && item->kind == ITEM_ACTIVITY) is_good = item_by_name(e, ITEM_ACTIVITY, item->activity->activity_id) == NULL;
    if (!is_good) {
        arena_fini(&item->arena);
        free(item);
        return ERR_CORRUPT;
    }
    item_insert(item);
    if (item->kind == ITEM_ACTIVITY) item_index_name(item, item->activity->activity_id);
    if (item->kind == ITEM_BUFFERED) e->buffered_bytes += item->buffered->event.size;
    if (item->kind == ITEM_UPDATE && item->update->stage == UPDATE_STAGE_ADMITTED) e->admitted_count++;
    if (item->kind == ITEM_CALLBACK && item->callback->state == CALLBACK_STATE_SCHEDULED) e->callbacks_in_hand++;
    return ERR_NONE;
}

/* The facts that the rest of the engine relies on without looking. */
static bool state_is_sound(const struct execution *e)
{
    const pb_store_RunState *s = e->s;
    if (!numbers_are_sane(&pb_store_RunState_type, s) || !numbers_are_sane(&pb_store_WorkflowTask_type, s->task) || s->root == NULL) return false;
    if (s->next_event_id < 2 || s->status < WORKFLOW_EXECUTION_STATUS_RUNNING || s->status > WORKFLOW_EXECUTION_STATUS_PAUSED) return false;
    if (str_is_empty(s->workflow_id) || str_is_empty(s->run_id) || s->run_key <= 0 || s->branches_count == 0) return false;
    int64_t next = 1;
    for (size_t i = 0; i < s->branches_count; i++) {
        const pb_store_HistoryBranch *b = s->branches[i];
        bool is_last = i + 1 == s->branches_count;
        if (b->first_event_id != next || b->branch <= 0 || (is_last ? b->end_event_id != 0 : b->end_event_id <= b->first_event_id)) return false;
        next = b->end_event_id;
    }
    const pb_store_WorkflowTask *t = s->task;
    if (t->state < WORKFLOW_TASK_STATE_NONE || t->state > WORKFLOW_TASK_STATE_STARTED || t->attempt < 0) return false;
    return t->kind >= WORKFLOW_TASK_KIND_NORMAL && t->kind <= WORKFLOW_TASK_KIND_SPECULATIVE;
}

err execution_load(const struct namespace_info *ns, const struct execution_row *row, const struct execution_item *items, size_t item_count,
                   struct execution **execution)
{
    struct execution *e = execution_new(ns);
    void *core = NULL;
    err result = ERR_CORRUPT;
    if (pb_decode(&pb_store_RunState_type, row->bytes, &e->arena, PB_COPY, &core) == ERR_NONE) {
        e->s = core;
        if (e->s->task == NULL) e->s->task = pb_new(&e->arena, pb_store_WorkflowTask);
        if (state_is_sound(e) && str_equal(e->s->workflow_id, row->workflow_id) && str_equal(e->s->run_id, row->run_id) && e->s->run_key == row->run)
            result = ERR_NONE;
    }
    for (size_t i = 0; i < item_count && result == ERR_NONE; i++) result = load_item(e, &items[i]);
    if (result != ERR_NONE) {
        execution_destroy(e);
        return result;
    }
    e->cached_from = e->unsaved_from = e->s->next_event_id;
    execution_due_all(e);
    *execution = e;
    return ERR_NONE;
}

static void flush_item(struct item *item, struct arena *arena, struct execution_change *change)
{
    *change = (struct execution_change){.kind = item->is_gone ? CHANGE_ITEM_DELETE : CHANGE_ITEM_PUT, .item_kind = item->kind};
    change->key = item_types[item->kind].key == KEY_NONE ? STR_EMPTY : arena_str(arena, item_key(item));
    list_remove(&item->link);
    if (item->is_gone) {
        item_free(item);
        return;
    }
    item->is_stored = true;
    change->bytes = pb_encode_arena(item_types[item->kind].type, item->message, arena);
    item_count_memory(item);
    if (item->arena.used < 4096 + 8 * change->bytes.size) return;
    struct arena swept; /* more than half of it is what assignments left behind */
    arena_init(&swept, item_types[item->kind].type->size + change->bytes.size + 96, 0);
    if (item->name.size != 0) item->name = arena_str(&swept, item->name);
    item->message = pb_clone(item_types[item->kind].type, item->message, &swept);
    arena_fini(&item->arena);
    item->arena = swept;
    item_count_memory(item);
}

static void flush_items(struct execution *e, struct arena *arena, struct execution_flush *flush)
{
    size_t most = 2;
    list_each(link, &e->dirty) most++;
    flush->changes = arena_array(arena, struct execution_change, most);
    list_each_safe(link, &e->dirty) {
        struct item *item = container_of(link, struct item, link);
        if (item->is_gone && !item->is_stored) {
            item_free(item);
        } else if (item->kind == ITEM_UPDATE && item->update->stage == UPDATE_STAGE_ADMITTED && item->update->admitted_event_id == 0) {
            list_remove(&item->link); /* lives in memory only, until it is accepted */
        } else {
            flush_item(item, arena, &flush->changes[flush->change_count++]);
        }
    }
}

static void flush_events(struct execution *e, struct arena *arena, struct execution_flush *flush)
{
    int64_t next = e->s->next_event_id;
    if (e->unsaved_from == next) return;
    flush->changes[flush->change_count++] = (struct execution_change){
        .kind = CHANGE_HISTORY, .bytes = arena_str(arena, execution_cached_range(e, e->unsaved_from, next)),
        .first_event_id = e->unsaved_from, .event_count = next - e->unsaved_from, .branch = e->s->run_key};
    e->unsaved_from = next;
}

/* A reset run keeps the histories it refers to alive, from its first row on. */
static size_t branch_refs(const struct execution *e) { return e->is_new ? e->s->branches_count - 1 : 0; }

static void sweep_core(struct execution *e, size_t encoded)
{
    if (e->arena.used < 16384 + 8 * encoded) return;
    struct arena swept;
    arena_init(&swept, 2048, 0);
    e->s = PB_CLONE(&swept, pb_store_RunState, e->s);
    arena_fini(&e->arena);
    e->arena = swept;
}

/* A speculative task is not stored: the updates it carries are not either. */
static struct str encode_core(struct execution *e, struct arena *arena)
{
    pb_store_WorkflowTask *task = e->s->task, none = {.attempt = task->attempt};
    if (task->kind == WORKFLOW_TASK_KIND_SPECULATIVE) e->s->task = &none;
    struct str bytes = PB_ENCODE_ARENA(pb_store_RunState, e->s, arena);
    e->s->task = task;
    return bytes;
}

void execution_flush(struct execution *e, const struct step *step, struct arena *arena, struct execution_flush *flush)
{
    *flush = (struct execution_flush){.is_new = e->is_new};
    flush_items(e, arena, flush);
    flush_events(e, arena, flush);
    size_t refs = branch_refs(e);
    if (refs != 0) {
        struct execution_change *more = arena_array(arena, struct execution_change, flush->change_count + refs);
        memcpy(more, flush->changes, flush->change_count * sizeof *more);
        for (size_t i = 0; i < refs; i++)
            more[flush->change_count++] = (struct execution_change){.kind = CHANGE_BRANCH_REF, .branch = e->s->branches[i]->branch};
        flush->changes = more;
    }
    e->s->transition_count++;
    if (e->is_visibility_dirty || e->is_new) {
        e->s->visibility_at = 0;
        execution_due_core(e);
        e->s->visibility_version++;
        flush->visibility = execution_visibility(e, arena);
    }
    instant wake = execution_wanted_wake(e, step->now);
    flush->wake = wake;
    flush->is_wake_changed = e->is_new || !e->s->has_wake || e->s->wake_at != wake.ns;
    e->s->wake_at = wake.ns;
    e->s->has_wake = true;
    flush->state = encode_core(e, arena);
    sweep_core(e, flush->state.size);
    e->is_new = e->is_dirty = e->is_visibility_dirty = false;
}

bool execution_is_dirty(const struct execution *e) { return e->is_dirty; }

bool execution_is_evictable(const struct execution *e)
{
    return !e->is_dirty && e->admitted_count == 0 && e->callbacks_in_hand == 0 && !(e->s->task->kind == WORKFLOW_TASK_KIND_SPECULATIVE && !task_is(e, WORKFLOW_TASK_STATE_NONE));
}

size_t execution_memory(const struct execution *e)
{
    return sizeof *e + e->arena.used + e->events.capacity + e->offset_capacity * sizeof *e->offsets + e->item_bytes;
}
