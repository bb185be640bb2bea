/* shard/call.c: a call on its way to its run: waiting behind others of its workflow id, and for what must be read. */
#include "shard/internal.h"

#include <stdlib.h>

/* ---- the shard's own calls ---- */

struct inner_call *inner_call_create(struct shard *s)
{
    struct inner_call *inner = xcalloc(1, sizeof *inner);
    arena_init(&inner->arena, 0, 0);
    inner->shard = s;
    inner->call.arena = &inner->arena;
    list_push(&s->inner_calls, &inner->link);
    return inner;
}

void inner_call_destroy(struct inner_call *inner)
{
    list_remove(&inner->link);
    arena_fini(&inner->arena);
    free(inner);
}

/* ---- loads ---- */

static void load_opened(struct mail *mail);

static void load_start(struct shard *s, struct shard_load *load)
{
    if (s->is_failing || s->load_count >= s->options.loads_max) {
        list_push(&s->starved, &load->link);
        return;
    }
    arena_init(&load->read.arena, 0, 0);
    load->is_stale = false;
    list_push(&s->loads, &load->link);
    s->load_count++;
    store_read(s->env.store, &load->read);
}

static struct shard_load *load_create(struct shard *s, enum store_read_kind kind, struct str run_id)
{
    struct shard_load *load = xcalloc(1, sizeof *load + run_id.size);
    if (run_id.size != 0) memcpy(load + 1, run_id.data, run_id.size);
    load->read.run_id = str_make(load + 1, run_id.size);
    load->shard = s;
    list_init(&load->calls);
    load->read.mail.open = load_opened;
    load->read.reply_to = s->env.mailbox;
    load->read.shard = s->options.number;
    load->read.kind = kind;
    return load;
}

void load_free(struct shard_load *load)
{
    list_remove(&load->link);
    arena_fini(&load->read.arena);
    free(load);
}

void loads_resume(struct shard *s)
{
    struct list *link;
    while (!s->is_failing && s->load_count < s->options.loads_max && (link = list_pop(&s->starved)) != NULL)
        load_start(s, container_of(link, struct shard_load, link));
}

void loads_after_failure(struct shard *s)
{
    list_each(link, &s->loads) container_of(link, struct shard_load, link)->is_stale = true;
}

static void slot_load(struct shard *s, struct shard_slot *slot, enum store_read_kind kind, struct str run_id, run_key run)
{
    struct shard_load *load = load_create(s, kind, run_id);
    load->slot = slot;
    load->read.namespace_key = slot->namespace_key;
    load->read.key = slot->workflow_id;
    load->read.run = run;
    slot->load = load;
    load_start(s, load);
}

/* What was read becomes a cached run, unless memory knows the run already: then memory is newer. */
static err adopt(struct shard *s, struct shard_slot *slot, const struct store_read *read)
{
    const struct store_row *row = &read->row;
    if (cache_find(s, row->run) != NULL) return ERR_NONE;
    const struct namespace_info *ns = s->env.namespace_of(s->env.arg, row->namespace_key);
    if (ns == NULL) return ERR_NAMESPACE_NOT_FOUND;
    struct execution_row core = {row->run, row->key, row->run_id, row->bytes};
    struct execution_item *items = xcalloc(read->row_count + 1, sizeof *items);
    for (size_t i = 0; i < read->row_count; i++)
        items[i] = (struct execution_item){read->rows[i].item_kind, read->rows[i].key, read->rows[i].bytes};
    struct execution *e = NULL;
    err result = execution_load(ns, &core, items, read->row_count, &e);
    free(items);
    if (result != ERR_NONE) {
        log_error("shard", "a stored run can not be read", "error", err_text(result));
        return result;
    }
    cache_add(s, slot, e, execution_stored_wake(e).ns);
    s->stats.loaded++;
    return ERR_NONE;
}

static void slot_load_done(struct shard *s, struct shard_load *load)
{
    struct shard_slot *slot = load->slot;
    slot->load = NULL;
    err result = load->read.result;
    bool is_current = load->read.kind == STORE_READ_CURRENT;
    if (result == ERR_NONE) result = adopt(s, slot, &load->read);
    if (result == ERR_NONE) {
        if (is_current) slot->current = load->read.row.run;
        if (is_current) slot->is_current_known = true;
    } else if (result == ERR_NOT_FOUND) {
        struct list *first = list_first(&slot->calls);
        if (is_current) slot->current = 0;
        if (is_current) slot->is_current_known = true;
        if (!is_current && first != NULL) container_of(first, struct shard_call, link)->is_run_missing = true;
    } else {
        slot->load_error = result;
    }
    load_free(load);
    slot_pump(s, slot);
}

static void key_load_done(struct shard *s, struct shard_load *load)
{
    map_u64_remove(&s->key_loads, (uint64_t)load->run);
    struct shard_slot *slot = NULL;
    err result = load->read.result;
    if (result == ERR_NONE) {
        slot = slot_make(s, load->read.row.namespace_key, load->read.row.key);
        result = adopt(s, slot, &load->read);
    }
    struct list *link;
    while ((link = list_pop(&load->calls)) != NULL) {
        struct shard_call *call = container_of(link, struct shard_call, link);
        if (result != ERR_NONE) {
            call_fail(s, call, result == ERR_NOT_FOUND ? ERR_WORKFLOW_NOT_FOUND : result);
            continue;
        }
        call->slot = slot;
        call->namespace_key = slot->namespace_key;
        call->ns = s->env.namespace_of(s->env.arg, slot->namespace_key);
        list_push(&slot->calls, &call->link);
    }
    load_free(load);
    if (slot != NULL) slot_pump(s, slot);
}

static void load_opened(struct mail *mail)
{
    struct shard_load *load = container_of(container_of(mail, struct store_read, mail), struct shard_load, read);
    struct shard *s = load->shard;
    list_remove(&load->link);
    s->load_count--;
    if (load->is_stale || s->is_failing) {
        reach("shard: a read is repeated after a failed commit");
        arena_fini(&load->read.arena);
        struct store_read fresh = {.mail.open = load_opened, .reply_to = load->read.reply_to, .kind = load->read.kind,
                                   .shard = load->read.shard, .namespace_key = load->read.namespace_key, .run = load->read.run,
                                   .key = load->read.key, .run_id = load->read.run_id};
        load->read = fresh;
        load_start(s, load);
    } else if (load->slot != NULL) {
        slot_load_done(s, load);
    } else {
        key_load_done(s, load);
    }
    loads_resume(s);
    cache_trim(s);
    shard_rearm(s);
}

/* ---- calls ---- */

void call_fail(struct shard *s, struct shard_call *call, err result)
{
    if (call->error.code == ERR_NONE) call->error.code = result;
    struct release *release = arena_new(call->arena, struct release);
    release->call = call;
    release->result = result;
    release_later(s, release);
}

enum found { FOUND, MISSING, LOADING };

/* The newest run of the workflow id. */
static enum found find_current(struct shard *s, struct shard_slot *slot, struct cached_run **run)
{
    if (slot->is_current_known) {
        if (slot->current == 0) return MISSING;
        *run = cache_find(s, slot->current);
        if (*run != NULL) return FOUND;
    }
    slot->is_current_known = false;
    slot_load(s, slot, STORE_READ_CURRENT, STR_EMPTY, 0);
    return LOADING;
}

static enum found find_run(struct shard *s, struct shard_slot *slot, struct shard_call *call, struct cached_run **run)
{
    bool is_by_key = call->need == SHARD_NEEDS_RUN_KEY;
    if (!is_by_key && str_is_empty(call->run_id)) return find_current(s, slot, run);
    *run = is_by_key ? cache_find(s, call->run) : cache_find_in(slot, call->run_id);
    if (*run != NULL) return FOUND;
    if (call->is_run_missing) return MISSING;
    slot_load(s, slot, is_by_key ? STORE_READ_RUN_KEY : STORE_READ_RUN, call->run_id, call->run);
    return LOADING;
}

/* The first call of the slot, if it can run now. False: it waits. */
static bool pump_one(struct shard *s, struct shard_slot *slot, struct shard_call *call)
{
    struct cached_run *run = NULL, *current = NULL;
    err result = slot->load_error;
    slot->load_error = ERR_NONE;
    if (result == ERR_NONE) {
        enum found found = find_run(s, slot, call, &run);
        if (found == LOADING) return false;
        if (found == MISSING && call->need != SHARD_MAY_LACK_RUN) result = ERR_WORKFLOW_NOT_FOUND;
        if (result == ERR_NONE && call->wants_current && find_current(s, slot, &current) == LOADING) return false;
    }
    list_remove(&call->link);
    if (result != ERR_NONE) {
        call_fail(s, call, result);
        return true;
    }
    call->current = current != NULL ? current->execution : NULL;
    call_execute(s, slot, call, run);
    return true;
}

void slot_pump(struct shard *s, struct shard_slot *slot)
{
    if (slot->is_pumping) return;
    slot->is_pumping = true;
    struct list *first;
    while (!s->is_failing && slot->load == NULL && (first = list_first(&slot->calls)) != NULL) {
        if (!pump_one(s, slot, container_of(first, struct shard_call, link))) break;
    }
    slot->is_pumping = false;
    slot_release(s, slot);
}

static void submit_by_key(struct shard *s, struct shard_call *call)
{
    struct shard_load *load = map_u64_get(&s->key_loads, (uint64_t)call->run);
    if (load == NULL) {
        load = load_create(s, STORE_READ_RUN_KEY, STR_EMPTY);
        load->run = load->read.run = call->run;
        map_u64_put(&s->key_loads, (uint64_t)call->run, load);
        load_start(s, load);
    }
    list_push(&load->calls, &call->link);
}

static err admit(struct shard *s, struct shard_call *call)
{
    if (s->is_lost) return ERR_STALE_LEASE;
    if (s->is_closing) return ERR_UNAVAILABLE;
    if (s->call_count > s->options.calls_max)
        return error_set(&call->error, call->arena, ERR_LIMIT, "more than %zu requests wait for the store; try again later", s->options.calls_max);
    if (call->need == SHARD_NEEDS_RUN_KEY) return ERR_NONE;
    call->ns = s->env.namespace_of(s->env.arg, call->namespace_key);
    return call->ns != NULL ? ERR_NONE : ERR_NAMESPACE_NOT_FOUND;
}

void shard_submit(struct shard *s, struct shard_call *call)
{
    ensure(call->arena != NULL && call->done != NULL);
    call->slot = NULL;
    call->current = NULL;
    call->is_run_missing = false;
    s->call_count++;
    err result = admit(s, call);
    if (result != ERR_NONE) {
        call_fail(s, call, result);
        return;
    }
    struct shard_slot *slot;
    if (call->need == SHARD_NEEDS_RUN_KEY) {
        struct cached_run *run = cache_find(s, call->run);
        if (run == NULL) {
            submit_by_key(s, call);
            return;
        }
        slot = run->slot;
        call->namespace_key = slot->namespace_key;
        call->ns = execution_namespace(run->execution);
    } else {
        slot = slot_make(s, call->namespace_key, call->workflow_id);
    }
    call->slot = slot;
    list_push(&slot->calls, &call->link);
    slot_pump(s, slot);
    shard_rearm(s);
}
