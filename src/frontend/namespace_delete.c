#include "frontend/namespace_delete.h"

#include "base/log.h"
#include "frontend/batches.h"
#include "frontend/inner.h"
#include "frontend/queue_config.h"
#include "store/store.h"
#include "visibility/query.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 200, AT_ONCE_MAX = 16, RETRY_S = 1 };

struct deletion {
    struct namespace_deletions *all;
    struct list link;
    int64_t key;
    int64_t total, deleted;      /* of executions, since the server began */
    bool is_counted, is_emptied, is_working; /* is_working: something of it is under way */
    instant due;
    struct store_read read;
    bool is_reading;
    struct arena page_arena;
    pb_store_VisibilityRow **page;
    size_t page_count, next, running, failed;
    struct queue_configs_drop drop;
    struct shard_write write;
    struct store_op op;
    char row_key[17];
};

struct namespace_deletions {
    struct frontend *f;
    struct list list;
};

static void step(struct deletion *d);

static void wait(struct deletion *d, duration pause)
{
    struct frontend *f = d->all->f;
    d->due = instant_add(f->now, pause);
    if (f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

/* ---- executions ---- */

struct victim { struct deletion *deletion; run_key run; };

static void page_go_on(struct deletion *d);

static void victim_done(struct inner_call *call, const struct error *error, const void *reply)
{
    struct victim *v = call->owner;
    struct deletion *d = v->deletion;
    d->running--;
    if (reply != NULL) {
        d->deleted++;
    } else if (error_grpc(error) == GRPC_NOT_FOUND) { /* gone already: then its row goes, too */
        d->deleted++;
        shard_write_relaxed(d->all->f->env.shard, &(struct store_op){.kind = STORE_VISIBILITY_DELETE, .run = v->run});
    } else {
        d->failed++;
    }
    page_go_on(d);
}

static void page_go_on(struct deletion *d)
{
    struct frontend *f = d->all->f;
    const struct namespace_info *ns = namespace_by_key(f, d->key);
    while (!f->is_draining && d->running < AT_ONCE_MAX && d->next < d->page_count) {
        const pb_store_VisibilityRow *row = d->page[d->next++];
        struct inner_call *call = inner_new(f, victim_done, NULL);
        struct victim *v = arena_new(&call->arena, struct victim);
        *v = (struct victim){d, row->run_key};
        call->owner = v;
        pb_ws_DeleteWorkflowExecutionRequest *q = pb_new(&call->arena, pb_ws_DeleteWorkflowExecutionRequest);
        q->namespace = ns->name;
        q->workflow_execution = pb_new(&call->arena, pb_common_WorkflowExecution);
        q->workflow_execution->workflow_id = arena_str(&call->arena, row->workflow_id);
        q->workflow_execution->run_id = arena_str(&call->arena, row->run_id);
        d->running++;
        inner_submit(f, call, pb_ws_DeleteWorkflowExecution_method, q);
    }
    if (d->running != 0 || (d->next < d->page_count && !f->is_draining)) return;
    d->is_working = false;
    wait(d, d->failed != 0 || f->is_draining ? duration_s(RETRY_S) : duration_ms(1)); /* others have their turn in between */
}

static void rows_read(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct deletion *d = container_of(read, struct deletion, read);
    struct frontend *f = d->all->f;
    f->now = f->env.now(f->env.arg);
    d->is_reading = false;
    arena_fini(&d->page_arena);
    d->page_arena = read->arena;
    if (read->result != ERR_NONE) {
        d->is_working = false;
        wait(d, duration_s(RETRY_S));
    } else if (read->kind == STORE_COUNT) {
        for (size_t i = 0; i < read->group_count; i++) d->total += read->groups[i].count;
        d->is_counted = true;
        d->is_working = false;
        step(d);
    } else if (read->visibility_count == 0) {
        d->is_emptied = true;
        d->is_working = false;
        step(d);
    } else {
        struct str last = STR_EMPTY;
        for (size_t i = 0; i < read->visibility_count; i++) {
            if (!str_equal(read->visibility[i]->task_queue, last)) matching_purge(f->env.matching, d->key, read->visibility[i]->task_queue);
            last = read->visibility[i]->task_queue;
        }
        d->page = read->visibility;
        d->page_count = read->visibility_count;
        d->next = d->failed = 0;
        page_go_on(d);
    }
}

static void read_rows(struct deletion *d)
{
    struct frontend *f = d->all->f;
    struct arena arena;
    arena_init(&arena, 0, 0);
    d->read = (struct store_read){.kind = d->is_counted ? STORE_LIST : STORE_COUNT, .namespace_key = d->key, .query = visibility_query_all(f->now, &arena), .limit = PAGE,
                                  .reply_to = f->env.mailbox, .arena = arena};
    d->read.mail.open = rows_read;
    d->is_reading = d->is_working = true;
    store_read(f->env.store, &d->read);
}

/* ---- the rest ---- */

static void deletion_free(struct deletion *d)
{
    list_remove(&d->link);
    if (d->is_reading) arena_fini(&d->read.arena);
    arena_fini(&d->page_arena);
    free(d);
}

static void row_deleted(struct shard_write *write, err result)
{
    struct deletion *d = container_of(write, struct deletion, write);
    struct frontend *f = d->all->f;
    f->now = f->env.now(f->env.arg);
    d->is_working = false;
    if (result != ERR_NONE) {
        wait(d, duration_s(RETRY_S));
        return;
    }
    const struct namespace_info *ns = namespace_by_key(f, d->key);
    struct arena arena;
    arena_init(&arena, 0, 0);
    log_info("namespaces", "a deleted namespace is gone", "name", arena_cstr(&arena, ns->name), "executions", arena_cstr(&arena, arena_printf(&arena, "%" PRId64, d->deleted)));
    arena_fini(&arena);
    namespace_forget(f, d->key);
    batches_wake(f);
    deletion_free(d);
}

static void configs_dropped(struct queue_configs_drop *drop, err result)
{
    struct deletion *d = container_of(drop, struct deletion, drop);
    struct frontend *f = d->all->f;
    f->now = f->env.now(f->env.arg);
    if (result != ERR_NONE) {
        d->is_working = false;
        wait(d, duration_s(RETRY_S));
        return;
    }
    snprintf(d->row_key, sizeof d->row_key, "%016" PRIx64, (uint64_t)d->key);
    d->op = (struct store_op){.kind = STORE_KV_DELETE, .item_kind = SPACE_NAMESPACE, .key = str_of(d->row_key)};
    d->write = (struct shard_write){.ops = &d->op, .op_count = 1, .done = row_deleted};
    shard_write(f->env.shard, &d->write);
}

static void step(struct deletion *d)
{
    struct frontend *f = d->all->f;
    d->due = INSTANT_NEVER;
    if (d->is_working || f->is_draining) return;
    if (!d->is_emptied) {
        read_rows(d);
        return;
    }
    instant after = pb_instant(namespace_stored(namespace_by_key(f, d->key))->reclaim_after);
    if (instant_before(f->now, after)) {
        d->is_emptied = false; /* look again when the time has come */
        wait(d, instant_since(after, f->now));
        return;
    }
    d->is_working = true;
    matching_purge(f->env.matching, d->key, STR_EMPTY);
    d->drop.done = configs_dropped;
    queue_configs_drop(f, d->key, &d->drop);
}

/* ---- life ---- */

struct namespace_deletions *namespace_deletions_create(struct frontend *f)
{
    struct namespace_deletions *all = xcalloc(1, sizeof *all);
    all->f = f;
    list_init(&all->list);
    return all;
}

void namespace_deletions_destroy(struct namespace_deletions *all)
{
    list_each_safe(link, &all->list) deletion_free(container_of(link, struct deletion, link));
    free(all);
}

void namespace_deletion_begin(struct frontend *f, int64_t namespace_key)
{
    struct namespace_deletions *all = f->namespace_deletions;
    int64_t deleted, remaining;
    if (namespace_deletion_progress(f, namespace_key, &deleted, &remaining)) return;
    struct deletion *d = xcalloc(1, sizeof *d);
    d->all = all;
    d->key = namespace_key;
    list_push(&all->list, &d->link);
    wait(d, (duration){0});
}

instant namespace_deletions_next_due(const struct frontend *f)
{
    instant due = INSTANT_NEVER;
    if (!f->is_serving || f->is_draining) return due;
    list_each(link, &f->namespace_deletions->list) {
        const struct deletion *d = container_of(link, struct deletion, link);
        if (!d->is_working) due = instant_min(due, d->due);
    }
    return due;
}

void namespace_deletions_tick(struct frontend *f)
{
    if (!f->is_serving || f->is_draining) return;
    list_each_safe(link, &f->namespace_deletions->list) {
        struct deletion *d = container_of(link, struct deletion, link);
        if (!d->is_working && !instant_before(f->now, d->due)) step(d);
    }
}

size_t namespace_deletions_count(const struct frontend *f)
{
    size_t count = 0;
    list_each(link, &f->namespace_deletions->list) count++;
    return count;
}

bool namespace_deletion_progress(const struct frontend *f, int64_t namespace_key, int64_t *deleted, int64_t *remaining)
{
    list_each(link, &f->namespace_deletions->list) {
        const struct deletion *d = container_of(link, struct deletion, link);
        if (d->key != namespace_key) continue;
        *deleted = d->deleted;
        *remaining = d->total > d->deleted ? d->total - d->deleted : 0;
        return true;
    }
    return false;
}
