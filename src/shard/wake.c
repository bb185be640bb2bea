/* shard/wake.c: who has to be looked at when. A run in memory says so itself; one that sleeps on disk has a row, and the
 * rows of the next minute are read ahead. After a start the rows that say "at once" come first: their runs had handed out
 * work that was in memory only. */
#include "shard/internal.h"

#include <stdlib.h>

enum { WAKE_CALLS_MAX = 256, SLEEPERS_OVER = 4 };

instant run_wake_due(struct shard *s, const struct cached_run *run)
{
    (void)s;
    instant due = execution_next_wake(run->execution);
    return instant_is_set(run->delete_at) ? instant_min(due, run->delete_at) : due;
}

/* ---- sleepers ---- */

void sleeper_put(struct shard *s, run_key run, instant due, bool is_recovery, uint32_t attempt)
{
    struct sleeper *sleeper = map_u64_get(&s->sleeper_of, (uint64_t)run);
    if (sleeper == NULL) {
        sleeper = xcalloc(1, sizeof *sleeper);
        sleeper->run = run;
        map_u64_put(&s->sleeper_of, (uint64_t)run, sleeper);
    } else {
        due = instant_min(due, sleeper->node.due);
    }
    sleeper->is_recovery |= is_recovery;
    sleeper->attempt = attempt;
    heap_put(&s->sleepers, &sleeper->node, due);
}

static void sleeper_drop(struct shard *s, struct sleeper *sleeper)
{
    heap_remove(&s->sleepers, &sleeper->node);
    map_u64_remove(&s->sleeper_of, (uint64_t)sleeper->run);
    free(sleeper);
}

/* It is about to leave memory: its stored row takes over, which may be early but never late. A row within the window has
 * been read already, so a sleeper stands in for it; one that is past would never be read: the run is woken to move it. */
bool wake_run_leaves(struct shard *s, struct cached_run *run)
{
    instant due = run_wake_due(s, run), now = shard_now(s);
    due = instant_min(due, (instant){run->stored_wake});
    if (due.ns == INSTANT_NEVER.ns || due.ns > s->window_target) return true;
    if (!instant_before(now, due)) {
        if (!heap_has(&run->wake) || instant_before(now, run->wake.due)) heap_put(&s->wakes, &run->wake, now);
        return false;
    }
    if (s->sleepers.count >= SLEEPERS_OVER * s->options.sleepers_max) return false;
    sleeper_put(s, run->run, due, false, 0);
    return true;
}

/* ---- waking ---- */

static err wake_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit)
{
    (void)is_commit;
    struct inner_call *inner = container_of(call, struct inner_call, call);
    struct cached_run *run = cache_find(inner->shard, execution_run(e));
    run->woken_at = step->now;
    bool is_over = instant_is_set(run->delete_at) && !instant_before(step->now, run->delete_at);
    if (is_over || execution_namespace(e)->is_deleted) {
        call->is_delete = !execution_is_open(e);
        if (call->is_delete) return ERR_NONE;
    }
    return execution_wake(e, step, inner->is_recovery);
}

static void wake_done(struct shard_call *call, err result)
{
    struct inner_call *inner = container_of(call, struct inner_call, call);
    struct shard *s = inner->shard;
    s->wake_call_count--;
    if (inner->is_counted && --s->recovery_count == 0) shard_rearm(s);
    bool is_gone = result == ERR_WORKFLOW_NOT_FOUND || result == ERR_CORRUPT || s->is_closing || s->is_lost;
    if (result == ERR_NAMESPACE_NOT_FOUND && inner->attempt >= NAMESPACE_TRIES_MAX) is_gone = true;
    if (result != ERR_NONE && !is_gone) {
        instant due = instant_add(shard_now(s), retry_pause(inner->attempt));
        struct cached_run *run = cache_find(s, call->run);
        if (run != NULL && !inner->is_recovery) {
            heap_put(&s->wakes, &run->wake, due);
        } else {
            sleeper_put(s, call->run, due, inner->is_recovery, inner->attempt + 1);
        }
    } else if (result == ERR_CORRUPT) {
        log_error("shard", "a run is due but can not be read; it is left alone until the next start");
    }
    inner_call_destroy(inner);
}

static void wake_submit(struct shard *s, run_key run, bool is_recovery, bool is_counted, uint32_t attempt)
{
    struct inner_call *inner = inner_call_create(s);
    inner->is_recovery = is_recovery;
    inner->is_counted = is_counted;
    inner->attempt = attempt;
    inner->call.need = SHARD_NEEDS_RUN_KEY;
    inner->call.run = run;
    inner->call.step = wake_step;
    inner->call.done = wake_done;
    s->wake_call_count++;
    shard_submit(s, &inner->call);
}

/* ---- reading ahead ---- */

static void window_opened(struct mail *mail);

static void window_read(struct shard *s, int64_t from, int64_t after, int64_t to, size_t limit)
{
    struct store_read *read = xcalloc(1, sizeof *read);
    arena_init(&read->arena, 0, 0);
    read->mail.open = window_opened;
    read->reply_to = s->env.mailbox;
    read->kind = STORE_READ_WAKE;
    read->shard = s->options.number;
    read->from = from;
    read->order = after;
    read->to = to;
    read->limit = limit;
    read->namespace_key = (int64_t)(uintptr_t)s; /* not used by this kind: whose it is */
    s->window_read = read;
    s->window_target = to;
    store_read(s->env.store, read);
}

static void recovery_page(struct shard *s, const struct store_read *read)
{
    for (size_t i = 0; i < read->row_count; i++) {
        s->recovery_count++;
        wake_submit(s, read->rows[i].run, true, true, 0);
    }
    s->window_has_more = read->has_more;
    if (read->row_count != 0) s->window_run = read->rows[read->row_count - 1].run;
    if (read->has_more) return;
    s->is_recovery_read = false;
    s->window_due = 0;
    s->window_run = INT64_MAX;
}

static void window_page(struct shard *s, const struct store_read *read)
{
    for (size_t i = 0; i < read->row_count; i++) {
        const struct store_row *row = &read->rows[i];
        sleeper_put(s, row->run, (instant){row->a}, false, 0);
    }
    s->window_has_more = read->has_more && read->row_count != 0;
    s->window_due = s->window_has_more ? read->rows[read->row_count - 1].a : read->to;
    s->window_run = s->window_has_more ? read->rows[read->row_count - 1].run : INT64_MAX;
}

static void window_opened(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct shard *s = (struct shard *)(uintptr_t)read->namespace_key;
    s->window_read = NULL;
    if (read->result != ERR_NONE) {
        s->window_retry = instant_add(shard_now(s), duration_s(1));
    } else if (s->is_recovery_read) {
        recovery_page(s, read);
    } else {
        window_page(s, read);
    }
    s->window_target = s->window_due;
    arena_fini(&read->arena);
    free(read);
    shard_rearm(s);
}

/* The window moves on when half of it has passed, or, when it was cut short by number, when half of those have woken. */
static bool window_is_due(const struct shard *s, instant now)
{
    if (s->window_read != NULL || s->is_closing || s->is_lost || s->is_failing || instant_before(now, s->window_retry)) return false;
    if (s->is_recovery_read) return s->recovery_count == 0;
    if (s->window_has_more) return s->sleepers.count < s->options.sleepers_max / 2;
    return s->window_due < instant_add(now, (duration){s->options.wake_window.ns / 2}).ns;
}

static void window_advance(struct shard *s, instant now)
{
    if (!window_is_due(s, now)) return;
    if (s->is_recovery_read) {
        window_read(s, s->window_run == 0 ? -1 : 0, s->window_run == 0 ? INT64_MAX : s->window_run, 0, RECOVERY_PAGE);
        return;
    }
    int64_t to = instant_add(now, s->options.wake_window).ns;
    window_read(s, s->window_due, s->window_run, to > s->window_due ? to : s->window_due, s->options.sleepers_max / 2);
}

void wake_start(struct shard *s)
{
    s->is_recovery_read = true;
    s->window_run = 0;
    s->window_due = s->window_target = -1;
}

void wake_fini(struct shard *s)
{
    struct sleeper *sleeper;
    for (size_t at = 0; (sleeper = map_u64_next(&s->sleeper_of, &at, NULL)) != NULL;) free(sleeper);
    map_u64_fini(&s->sleeper_of);
    heap_fini(&s->sleepers);
    heap_fini(&s->wakes);
    if (s->window_read != NULL) arena_fini(&s->window_read->arena);
    free(s->window_read);
}

/* ---- time ---- */

void wake_tick(struct shard *s, instant now)
{
    window_advance(s, now);
    if (s->is_closing || s->is_lost || s->is_failing || instant_before(now, s->failure_until)) return;
    struct heap_node *node;
    while (s->wake_call_count < WAKE_CALLS_MAX && (node = heap_first(&s->sleepers)) != NULL && !instant_before(now, node->due)) {
        struct sleeper *sleeper = container_of(node, struct sleeper, node);
        run_key run = sleeper->run;
        bool is_recovery = sleeper->is_recovery;
        uint32_t attempt = sleeper->attempt;
        sleeper_drop(s, sleeper);
        const struct cached_run *cached = cache_find(s, run);
        bool is_moved = cached != NULL && cached->stored_wake > now.ns; /* the row has been written anew since */
        if (!is_moved || is_recovery) wake_submit(s, run, is_recovery, false, attempt);
    }
    while (s->wake_call_count < WAKE_CALLS_MAX && (node = heap_first(&s->wakes)) != NULL && !instant_before(now, node->due)) {
        struct cached_run *run = container_of(node, struct cached_run, wake);
        heap_remove(&s->wakes, node); /* comes back with the step */
        wake_submit(s, run->run, false, false, 0);
    }
}

instant wake_next_due(const struct shard *s)
{
    instant due = INSTANT_NEVER;
    if (s->is_closing || s->is_lost) return due;
    if (!s->is_failing && s->wake_call_count < WAKE_CALLS_MAX) {
        struct heap_node *node = heap_first(&s->sleepers);
        if (node != NULL) due = node->due;
        if ((node = heap_first(&s->wakes)) != NULL) due = instant_min(due, node->due);
        due = instant_max(due, s->failure_until);
    }
    if (s->window_read != NULL || s->is_failing) return due;
    instant window = s->window_retry;
    if (s->is_recovery_read ? s->recovery_count != 0 : s->window_has_more && s->sleepers.count >= s->options.sleepers_max / 2) return due;
    if (!s->is_recovery_read && !s->window_has_more)
        window = instant_max(window, (instant){s->window_due - s->options.wake_window.ns / 2 + 1});
    return instant_min(due, window);
}
