/* shard/commit.c: from a step to its rows, and from a durable commit to what follows it.
 *
 * A step's outcome waits for the last commit that any run it looked at is part of: its own when it wrote, an earlier one
 * when it only read or was relaxed, none when all that is durable. Outcomes are carried out in the order of steps. */
#include "shard/internal.h"

#include <stdlib.h>

/* ---- carrying out ---- */

static void carry_out(struct shard *s, struct release *release)
{
    for (struct task_effect *task = release->tasks; task != NULL; task = task->next) s->env.offer_task(s->env.arg, task);
    for (size_t i = 0; i < release->delivery_count; i++) outbox_send(s, release->deliveries[i]);
    for (struct callback_effect *c = release->callbacks; c != NULL && s->env.offer_callback != NULL; c = c->next) s->env.offer_callback(s->env.arg, c);
    for (struct notice_record *n = release->notices; n != NULL; n = n->next) watch_notify(s, n->run, n->kind, n->id);
    struct shard_call *call = release->call;
    struct shard_write *write = release->write;
    err result = release->result;
    if (call != NULL) {
        ensure(s->call_count != 0);
        s->call_count--;
        call->done(call, result); /* frees the release with the call's arena */
    } else if (write != NULL) {
        write->done(write, result);
    }
}

static void work_opened(struct mail *mail)
{
    struct shard *s = container_of(mail, struct shard, work);
    s->is_work_sent = false;
    struct list batch, *link;
    list_init(&batch);
    while ((link = list_pop(&s->finished)) != NULL) list_push(&batch, link);
    while ((link = list_pop(&batch)) != NULL) carry_out(s, container_of(link, struct release, link));
    shard_rearm(s);
}

void release_later(struct shard *s, struct release *release)
{
    list_push(&s->finished, &release->link);
    if (s->is_work_sent) return;
    s->is_work_sent = true;
    s->work.open = work_opened;
    mailbox_send(s->env.mailbox, &s->work);
}

/* After the commit with this number, or at once when that is durable. */
static void release_after(struct shard *s, uint64_t sequence, struct release *release)
{
    if (sequence <= s->durable_sequence) {
        release_later(s, release);
        return;
    }
    for (struct list *link = s->commits.prev; link != &s->commits; link = link->prev) {
        struct shard_commit *c = container_of(link, struct shard_commit, link);
        if (c->sequence != sequence) continue;
        list_push(&c->releases, &release->link);
        return;
    }
    ensure(!"a commit that is not durable is under way");
}

/* ---- making a commit ---- */

struct op_list { struct store_op *ops; size_t count, capacity; };

static struct store_op *op_add(struct op_list *list, struct arena *arena, enum store_op_kind kind)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity != 0 ? 2 * list->capacity : 16;
        struct store_op *grown = arena_array(arena, struct store_op, list->capacity);
        if (list->count != 0) memcpy(grown, list->ops, list->count * sizeof *grown);
        list->ops = grown;
    }
    struct store_op *op = &list->ops[list->count++];
    op->kind = kind;
    return op;
}

static struct shard_commit *commit_create(struct shard *s, struct op_list *list)
{
    struct shard_commit *c = xcalloc(1, sizeof *c);
    c->shard = s;
    arena_init(&c->arena, 0, 0);
    list_init(&c->releases);
    c->relaxed_count = s->relaxed_count;
    for (size_t i = 0; i < s->relaxed_count; i++) {
        struct store_op *op = op_add(list, &c->arena, s->relaxed[i].kind);
        *op = s->relaxed[i];
        op->key = arena_str(&c->arena, op->key);
        op->bytes = arena_str(&c->arena, op->bytes);
        free((char *)(uintptr_t)s->relaxed[i].key.data);
        free((char *)(uintptr_t)s->relaxed[i].bytes.data);
    }
    s->relaxed_count = 0;
    return c;
}

/* The one row that says when to look at the run: the engine's wish, and for a closed run the end of its retention. */
static void add_wake(struct cached_run *run, const struct execution_flush *flush, struct op_list *list, struct arena *arena)
{
    struct execution *e = run->execution;
    bool is_closing = !execution_is_open(e) && !instant_is_set(run->delete_at);
    if (is_closing) run->delete_at = instant_add(execution_close_time(e), execution_namespace(e)->retention);
    if (!flush->is_wake_changed && !is_closing) return;
    instant wake = flush->is_wake_changed ? flush->wake : (instant){run->stored_wake};
    if (instant_is_set(run->delete_at)) wake = instant_min(wake, run->delete_at);
    if (wake.ns == run->stored_wake) return;
    struct store_op *op = op_add(list, arena, wake.ns == INSTANT_NEVER.ns ? STORE_WAKE_DELETE : STORE_WAKE_PUT);
    op->run = run->run;
    op->a = wake.ns;
    run->stored_wake = wake.ns;
}

static void add_change(const struct cached_run *run, const struct execution_change *change, struct op_list *list, struct arena *arena)
{
    static const enum store_op_kind kinds[] = {
        [CHANGE_ITEM_PUT] = STORE_ITEM_PUT, [CHANGE_ITEM_DELETE] = STORE_ITEM_DELETE,
        [CHANGE_HISTORY] = STORE_HISTORY_APPEND, [CHANGE_BRANCH_REF] = STORE_BRANCH_REF,
    };
    struct store_op *op = op_add(list, arena, kinds[change->kind]);
    op->run = run->run;
    op->item_kind = change->item_kind;
    op->key = change->key;
    op->bytes = change->bytes;
    op->a = change->kind == CHANGE_BRANCH_REF ? change->branch : change->first_event_id;
    op->b = change->event_count;
}

static void add_run(struct cached_run *run, const struct step *step, struct op_list *list, struct arena *arena)
{
    struct execution *e = run->execution;
    if (!execution_is_dirty(e)) return;
    struct execution_flush flush;
    execution_flush(e, step, arena, &flush);
    struct store_op *op = op_add(list, arena, STORE_RUN_PUT);
    op->run = run->run;
    op->namespace_key = execution_namespace(e)->key;
    op->key = arena_str(arena, execution_workflow_id(e));
    op->run_id = arena_str(arena, execution_run_id(e));
    op->bytes = flush.state;
    for (size_t i = 0; i < flush.change_count; i++) add_change(run, &flush.changes[i], list, arena);
    add_wake(run, &flush, list, arena);
    if (flush.visibility != NULL) {
        op = op_add(list, arena, STORE_VISIBILITY_PUT);
        op->run = run->run;
        op->visibility = flush.visibility;
    }
}

static void add_messages(struct shard *s, const struct step *step, struct release *release, struct op_list *list, struct arena *arena)
{
    size_t count = 0;
    for (struct message_effect *m = step->messages; m != NULL; m = m->next) count++;
    if (count == 0) return;
    release->deliveries = arena_array(arena, struct shard_delivery *, count);
    for (struct message_effect *m = step->messages; m != NULL; m = m->next) {
        struct shard_delivery *delivery = message_make(s, m);
        release->deliveries[release->delivery_count++] = delivery;
        struct store_op *op = op_add(list, arena, STORE_MESSAGE_PUT);
        op->a = s->options.number;
        op->b = delivery->order;
        op->bytes = message_encode(m, arena);
    }
}

static void commit_opened(struct mail *mail);

static void commit_submit(struct shard *s, struct shard_commit *c, const struct op_list *list)
{
    c->sequence = ++s->sequence;
    c->commit.mail.open = commit_opened;
    c->commit.reply_to = s->env.mailbox;
    c->commit.shard = s->options.number;
    c->commit.lease_epoch = s->lease_epoch;
    c->commit.ops = list->ops;
    c->commit.op_count = list->count;
    list_push(&s->commits, &c->link);
    s->commit_count++;
    store_commit(s->env.store, &c->commit);
}

static void mark_runs(struct shard *s, const struct step *step, uint64_t sequence)
{
    for (size_t i = 0; i < step->touched_count; i++) {
        struct cached_run *run = cache_find(s, execution_run(step->touched[i]));
        if (run != NULL) run->commit_sequence = sequence;
    }
}

static void delete_run(struct shard *s, struct cached_run *run)
{
    struct shard_slot *slot = run->slot;
    if (slot->current == run->run) slot->is_current_known = false;
    struct shard_load *load = map_u64_get(&s->key_loads, (uint64_t)run->run);
    if (load != NULL) load->is_stale = true;
    watch_notify(s, run->run, NOTICE_CLOSED, STR_EMPTY);
    cache_remove(s, run);
}

static void write_step(struct shard *s, struct shard_call *call, struct cached_run *run, const struct step *step, struct release *release)
{
    struct op_list list = {0};
    struct shard_commit *c = commit_create(s, &list);
    bool is_delete = call->is_delete && run != NULL;
    for (size_t i = 0; i < step->touched_count; i++) {
        struct cached_run *touched = cache_find(s, execution_run(step->touched[i]));
        ensure(touched != NULL && touched->execution == step->touched[i]);
        if (!is_delete || touched != run) add_run(touched, step, &list, &c->arena);
    }
    add_messages(s, step, release, &list, &c->arena);
    for (size_t i = 0; i < call->op_count; i++) *op_add(&list, &c->arena, call->ops[i].kind) = call->ops[i];
    if (is_delete) {
        op_add(&list, &c->arena, STORE_RUN_DELETE)->run = run->run;
        c->deleted = run->run;
    }
    list_push(&c->releases, &release->link);
    commit_submit(s, c, &list);
    mark_runs(s, step, c->sequence);
    if (is_delete) delete_run(s, run);
}

/* ---- steps ---- */

static void take_created(struct shard *s, struct shard_slot *slot, const struct step *step)
{
    for (size_t i = 0; i < step->created_count; i++) {
        struct execution *e = step->created[i];
        ensure(str_equal(execution_workflow_id(e), slot->workflow_id) && execution_namespace(e)->key == slot->namespace_key);
        struct cached_run *run = cache_add(s, slot, e, INT64_MAX);
        if (!slot->is_current_known || run->run > slot->current) slot->current = run->run;
        slot->is_current_known = true;
    }
}

static struct notice_record *take_notices(const struct step *step, struct arena *arena)
{
    struct notice_record *first = NULL, **end = &first;
    for (struct notice_effect *n = step->notices; n != NULL; n = n->next) {
        struct notice_record *record = arena_new(arena, struct notice_record);
        *record = (struct notice_record){n->kind, execution_run(n->execution), n->id, NULL};
        *end = record;
        end = &record->next;
    }
    return first;
}

/* The newest commit that anything this step saw is part of. */
static uint64_t base_sequence(struct shard *s, const struct shard_call *call, const struct cached_run *run, const struct step *step)
{
    uint64_t sequence = run != NULL ? run->commit_sequence : 0;
    if (call->current != NULL) {
        const struct cached_run *current = cache_find(s, execution_run(call->current));
        if (current != NULL && current->commit_sequence > sequence) sequence = current->commit_sequence;
    }
    for (size_t i = 0; i < step->touched_count; i++) {
        const struct cached_run *touched = cache_find(s, execution_run(step->touched[i]));
        if (touched != NULL && touched->commit_sequence > sequence) sequence = touched->commit_sequence;
    }
    return sequence;
}

static void step_prepare(struct shard *s, struct shard_call *call, struct step *step)
{
    step_init(step);
    step->now = shard_now(s);
    step->prng = &s->prng;
    step->limits = s->env.limits_of(s->env.arg, call->namespace_key);
    step->ns = call->ns;
    step->next_run = &s->next_run;
    step->arena = call->arena;
    step->error = &call->error;
    step->find_namespace = s->env.find_namespace;
    step->check_search_attributes = s->env.check_search_attributes;
    step->find_zone = s->env.find_zone;
    step->find_argument = s->env.arg;
}

void call_execute(struct shard *s, struct shard_slot *slot, struct shard_call *call, struct cached_run *run)
{
    struct step step;
    step_prepare(s, call, &step);
    bool is_commit = false;
    err result = call->step != NULL ? call->step(call, run != NULL ? run->execution : NULL, &step, &is_commit) : ERR_NONE;
    s->stats.steps++;
    struct release *release = arena_new(call->arena, struct release);
    release->call = call;
    release->result = result;
    if (result != ERR_NONE && call->error.code == ERR_NONE) call->error.code = result;
    if (result != ERR_NONE && !is_commit) {
        release_after(s, base_sequence(s, call, run, &step), release);
        return;
    }
    take_created(s, slot, &step);
    release->tasks = step.tasks;
    release->callbacks = step.callbacks;
    release->notices = take_notices(&step, call->arena);
    bool is_written = step.is_durable || step.messages != NULL || call->op_count != 0 || step.created_count != 0 || (call->is_delete && run != NULL);
    bool is_gone = is_written && call->is_delete;
    if (is_written) {
        write_step(s, call, run, &step, release);
    } else {
        release_after(s, base_sequence(s, call, run, &step), release);
    }
    for (size_t i = 0; i < step.touched_count; i++) {
        struct cached_run *touched = is_gone ? NULL : cache_find(s, execution_run(step.touched[i]));
        if (touched != NULL) cache_touch(s, touched);
    }
    if (run != NULL && !is_gone) cache_touch(s, run);
    cache_trim(s);
}

void commit_clean(struct shard *s, struct cached_run *run)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct shard_call nobody = {.arena = &arena, .ns = execution_namespace(run->execution), .namespace_key = run->slot->namespace_key};
    struct step step;
    step_prepare(s, &nobody, &step);
    struct op_list list = {0};
    struct shard_commit *c = commit_create(s, &list);
    add_run(run, &step, &list, &c->arena);
    commit_submit(s, c, &list);
    run->commit_sequence = c->sequence;
    arena_fini(&arena);
}

/* ---- rows of no run ---- */

void shard_write(struct shard *s, struct shard_write *write)
{
    if (s->is_failing && !s->is_lost) {
        list_push(&s->writes_waiting, &write->link);
        return;
    }
    struct op_list list = {0};
    struct shard_commit *c = commit_create(s, &list);
    for (size_t i = 0; i < write->op_count; i++) *op_add(&list, &c->arena, write->ops[i].kind) = write->ops[i];
    struct release *release = arena_new(&c->arena, struct release);
    release->write = write;
    list_push(&c->releases, &release->link);
    commit_submit(s, c, &list);
}

void commit_relaxed(struct shard *s)
{
    if (s->relaxed_count == 0 || s->is_failing) return;
    struct op_list list = {0};
    struct shard_commit *c = commit_create(s, &list);
    commit_submit(s, c, &list);
}

static char *copy_bytes(struct str from)
{
    if (from.size == 0) return NULL;
    char *copy = xmalloc(from.size);
    memcpy(copy, from.data, from.size);
    return copy;
}

void shard_write_relaxed(struct shard *s, const struct store_op *op)
{
    if (s->relaxed_count == s->relaxed_capacity) {
        s->relaxed_capacity = s->relaxed_capacity != 0 ? 2 * s->relaxed_capacity : 32;
        s->relaxed = xrealloc(s->relaxed, s->relaxed_capacity * sizeof *s->relaxed);
    }
    if (s->relaxed_count == 0) s->relaxed_at = instant_add(shard_now(s), duration_ms(100));
    struct store_op *kept = &s->relaxed[s->relaxed_count++];
    *kept = *op;
    kept->key.data = copy_bytes(op->key);
    kept->bytes.data = copy_bytes(op->bytes);
    if (s->relaxed_count >= RELAXED_OPS_MAX && !s->is_failing) commit_relaxed(s);
    shard_rearm(s);
}

/* ---- outcomes ---- */

static void commit_free(struct shard_commit *c)
{
    arena_fini(&c->arena);
    free(c);
}

static void commit_durable(struct shard *s, struct shard_commit *c)
{
    s->durable_sequence = c->sequence;
    s->failure_pause = (duration){0};
    s->failure_until = (instant){0};
    s->stats.committed++;
    struct list *link;
    while ((link = list_pop(&c->releases)) != NULL) carry_out(s, container_of(link, struct release, link));
    commit_free(c);
}

/* Runs of this commit and of later ones are not what is stored: they leave memory, to be looked at again. */
static void drop_unsettled(struct shard *s, struct list *line, instant again_at)
{
    list_each_safe(link, line) {
        struct cached_run *run = container_of(link, struct cached_run, used_link);
        if (run->commit_sequence <= s->durable_sequence) continue;
        run_key key = run->run;
        cache_remove(s, run);
        sleeper_put(s, key, again_at, true, 0);
        watch_notify(s, key, NOTICE_CLOSED, STR_EMPTY);
    }
}

static void begin_failure(struct shard *s, instant again_at)
{
    s->is_failing = true;
    loads_after_failure(s);
    drop_unsettled(s, &s->used, again_at);
    drop_unsettled(s, &s->used_closed, again_at);
    struct shard_slot *slot;
    for (size_t at = 0; (slot = map_next(&s->slots, &at, NULL)) != NULL;) {
        slot->is_current_known = false;
        slot_release(s, slot);
    }
}

static void end_failure(struct shard *s)
{
    s->is_failing = false;
    if (s->is_lost) {
        if (s->env.lost != NULL) s->env.lost(s->env.arg, s);
        return;
    }
    s->env.store->ops->recover(s->env.store, s->options.number);
    struct list writes, *link;
    list_init(&writes);
    while ((link = list_pop(&s->writes_waiting)) != NULL) list_push(&writes, link);
    while ((link = list_pop(&writes)) != NULL) shard_write(s, container_of(link, struct shard_write, link));
    loads_resume(s);
    size_t count = 0; /* a slot may go while it is pumped: collect first */
    struct shard_slot *slot, **slots = xcalloc(map_count(&s->slots) + 1, sizeof *slots);
    for (size_t at = 0; (slot = map_next(&s->slots, &at, NULL)) != NULL;)
        if (!list_is_empty(&slot->calls)) slots[count++] = slot;
    for (size_t i = 0; i < count; i++) slot_pump(s, slots[i]);
    free(slots);
}

static void commit_failed(struct shard *s, struct shard_commit *c)
{
    err result = c->commit.result;
    s->stats.failed_commits++;
    instant now = shard_now(s);
    if (!s->is_failing) {
        reach("shard: a commit fails");
        log_warn("shard", "a commit failed; what it held is read again", "reason", err_text(result));
        s->failure_pause = duration_min(duration_max(duration_ms(100), (duration){2 * s->failure_pause.ns}), duration_s(10));
        s->failure_until = instant_add(now, s->failure_pause);
        begin_failure(s, s->failure_until);
    }
    if (c->deleted != 0) sleeper_put(s, c->deleted, instant_add(now, s->failure_pause), true, 0);
    if (result == ERR_STALE_LEASE) s->is_lost = true;
    for (size_t i = 0; i < c->relaxed_count; i++) shard_write_relaxed(s, &c->commit.ops[i]);
    s->durable_sequence = c->sequence; /* settled: nobody waits for it any more */
    struct list *link;
    while ((link = list_pop(&c->releases)) != NULL) {
        struct release *release = container_of(link, struct release, link);
        for (size_t i = 0; i < release->delivery_count; i++) message_drop(release->deliveries[i]);
        release->tasks = NULL;
        release->notices = NULL;
        release->callbacks = NULL;
        release->delivery_count = 0;
        release->result = result;
        if (release->call != NULL) release->call->error = (struct error){.code = result};
        carry_out(s, release);
    }
    commit_free(c);
    if (list_is_empty(&s->commits)) end_failure(s);
}

static void commit_opened(struct mail *mail)
{
    struct shard_commit *c = container_of(container_of(mail, struct store_commit, mail), struct shard_commit, commit);
    struct shard *s = c->shard;
    ensure(list_first(&s->commits) == &c->link);
    list_remove(&c->link);
    s->commit_count--;
    if (c->commit.result == ERR_NONE && !s->is_failing) {
        commit_durable(s, c);
    } else if (c->commit.result == ERR_NONE) {
        ensure(!"a commit after a failed one of the same shard can not succeed");
    } else {
        commit_failed(s, c);
    }
    shard_rearm(s);
}

/* A shard that ends with commits under way: their outcome is never learnt, and nobody is told. */
void commit_fini(struct shard *s)
{
    struct list *link;
    while ((link = list_pop(&s->commits)) != NULL) {
        struct shard_commit *c = container_of(link, struct shard_commit, link);
        list_each(at, &c->releases) {
            struct release *release = container_of(at, struct release, link);
            for (size_t i = 0; i < release->delivery_count; i++) message_drop(release->deliveries[i]);
        }
        commit_free(c);
    }
    for (size_t i = 0; i < s->relaxed_count; i++) {
        free((char *)(uintptr_t)s->relaxed[i].key.data);
        free((char *)(uintptr_t)s->relaxed[i].bytes.data);
    }
    free(s->relaxed);
}
