/* shard/cache.c: the runs in memory, by workflow id and by number, and which of them leave. */
#include "shard/internal.h"

#include <stdlib.h>

/* ---- slots: one workflow id ---- */

struct slot_key { char small[264]; struct str view; char *large; };

static void slot_key_make(struct slot_key *key, int64_t namespace_key, struct str workflow_id)
{
    size_t size = sizeof namespace_key + workflow_id.size;
    key->large = size > sizeof key->small ? xmalloc(size) : NULL;
    char *at = key->large != NULL ? key->large : key->small;
    memcpy(at, &namespace_key, sizeof namespace_key);
    if (workflow_id.size != 0) memcpy(at + sizeof namespace_key, workflow_id.data, workflow_id.size);
    key->view = str_make(at, size);
}

struct shard_slot *slot_find(struct shard *s, int64_t namespace_key, struct str workflow_id)
{
    struct slot_key key;
    slot_key_make(&key, namespace_key, workflow_id);
    struct shard_slot *slot = map_get(&s->slots, key.view);
    free(key.large);
    return slot;
}

struct shard_slot *slot_make(struct shard *s, int64_t namespace_key, struct str workflow_id)
{
    struct slot_key key;
    slot_key_make(&key, namespace_key, workflow_id);
    struct shard_slot *slot = map_get(&s->slots, key.view);
    if (slot == NULL) {
        slot = xcalloc(1, sizeof *slot + key.view.size);
        memcpy(slot + 1, key.view.data, key.view.size);
        slot->map_key = str_make(slot + 1, key.view.size);
        slot->workflow_id = str_skip(slot->map_key, sizeof namespace_key);
        slot->namespace_key = namespace_key;
        list_init(&slot->runs);
        list_init(&slot->calls);
        map_put(&s->slots, slot->map_key, slot);
    }
    free(key.large);
    return slot;
}

void slot_release(struct shard *s, struct shard_slot *slot)
{
    if (!list_is_empty(&slot->runs) || !list_is_empty(&slot->calls) || slot->load != NULL || slot->is_pumping) return;
    map_remove(&s->slots, slot->map_key);
    free(slot);
}

/* ---- runs ---- */

struct cached_run *cache_find(struct shard *s, run_key run) { return map_u64_get(&s->runs, (uint64_t)run); }

struct cached_run *cache_find_in(struct shard_slot *slot, struct str run_id)
{
    list_each(link, &slot->runs) {
        struct cached_run *run = container_of(link, struct cached_run, slot_link);
        if (str_equal(execution_run_id(run->execution), run_id)) return run;
    }
    return NULL;
}

struct cached_run *cache_add(struct shard *s, struct shard_slot *slot, struct execution *e, int64_t stored_wake)
{
    struct cached_run *run = xcalloc(1, sizeof *run);
    run->execution = e;
    run->run = execution_run(e);
    run->slot = slot;
    run->stored_wake = stored_wake;
    if (!execution_is_open(e)) run->delete_at = instant_add(execution_close_time(e), execution_namespace(e)->retention);
    ensure(cache_find(s, run->run) == NULL);
    map_u64_put(&s->runs, (uint64_t)run->run, run);
    list_push(&slot->runs, &run->slot_link);
    list_push(&s->used, &run->used_link);
    cache_touch(s, run);
    return run;
}

static void count_memory(struct shard *s, struct cached_run *run, size_t memory, bool is_closed)
{
    s->cache_bytes += memory - run->memory;
    if (run->is_closed) s->closed_bytes -= run->memory;
    if (is_closed) s->closed_bytes += memory;
    run->memory = memory;
    run->is_closed = is_closed;
}

void cache_remove(struct shard *s, struct cached_run *run)
{
    count_memory(s, run, 0, false);
    heap_remove(&s->wakes, &run->wake);
    list_remove(&run->slot_link);
    list_remove(&run->used_link);
    map_u64_remove(&s->runs, (uint64_t)run->run);
    execution_destroy(run->execution);
    free(run);
}

static void to_end_of_line(struct shard *s, struct cached_run *run)
{
    list_remove(&run->used_link);
    list_push(run->is_closed ? &s->used_closed : &s->used, &run->used_link);
}

void cache_touch(struct shard *s, struct cached_run *run)
{
    count_memory(s, run, sizeof *run + execution_memory(run->execution), !execution_is_open(run->execution));
    to_end_of_line(s, run);
    instant due = run_wake_due(s, run);
    if (due.ns == INSTANT_NEVER.ns) {
        heap_remove(&s->wakes, &run->wake);
        return;
    }
    if (instant_is_set(run->woken_at) && !instant_before(run->woken_at, due)) due = instant_add(run->woken_at, duration_ms(1));
    if (run->wake.position == 0 || run->wake.due.ns != due.ns) heap_put(&s->wakes, &run->wake, due);
}

/* ---- leaving ---- */

static bool may_leave(const struct shard *s, const struct cached_run *run)
{
    const struct shard_slot *slot = run->slot;
    return run->commit_sequence <= s->durable_sequence && list_is_empty(&slot->calls) && slot->load == NULL && !slot->is_pumping &&
           map_u64_get(&s->key_loads, (uint64_t)run->run) == NULL && execution_is_evictable(run->execution);
}

bool cache_evict(struct shard *s, struct cached_run *run)
{
    if (!may_leave(s, run) || execution_is_dirty(run->execution) || run->stored_wake == WAKE_AT_ONCE.ns) return false;
    if (!wake_run_leaves(s, run)) return false;
    struct shard_slot *slot = run->slot;
    cache_remove(s, run);
    slot_release(s, slot);
    s->stats.evicted++;
    return true;
}

/* Closed runs leave first: past an eighth of the budget, when only what has just ended is still asked for. */
static struct cached_run *next_to_leave(struct shard *s)
{
    bool is_over = s->cache_bytes > s->options.cache_bytes_max;
    struct list *first = is_over || s->closed_bytes > s->options.cache_bytes_max / 8 ? list_first(&s->used_closed) : NULL;
    if (first == NULL && is_over) first = list_first(&s->used);
    return first != NULL ? container_of(first, struct cached_run, used_link) : NULL;
}

/* Those that must stay go to the end of the line; a few are looked at each time, so that a step's cost stays flat. */
void cache_trim(struct shard *s)
{
    enum { LOOKS_MAX = 8 };
    if (s->is_trimming) return;
    s->is_trimming = true;
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        struct cached_run *run = next_to_leave(s);
        if (run == NULL) break;
        if (cache_evict(s, run)) continue;
        if (execution_is_dirty(run->execution) && !s->is_failing && may_leave(s, run)) commit_clean(s, run);
        to_end_of_line(s, run);
    }
    s->is_trimming = false;
}

size_t shard_evict_all(struct shard *s)
{
    size_t stayed = 0;
    list_each_safe(link, &s->used_closed) {
        if (!cache_evict(s, container_of(link, struct cached_run, used_link))) stayed++;
    }
    list_each_safe(link, &s->used) {
        if (!cache_evict(s, container_of(link, struct cached_run, used_link))) stayed++;
    }
    return stayed;
}

void shard_each_run(struct shard *s, void (*visit)(void *arg, struct execution *run), void *arg)
{
    struct cached_run *run;
    for (size_t at = 0; (run = map_u64_next(&s->runs, &at, NULL)) != NULL;) visit(arg, run->execution);
}
