#include "frontend/callbacks.h"

#include "base/log.h"
#include "frontend/callback_request.h"

#include <stdlib.h>

enum {
    BREAKER_FAILURES = 5,  /* in a row that are still borne */
    BREAKER_OPEN_S = 60, FULL_PAUSE_S = 5, REPORT_PAUSE_S = 1, DESTINATIONS_MAX = 1024,
};

/* One address. Lives while it has work or is not in good health; the unhealthy are bounded. */
struct destination {
    struct str name;          /* behind this struct */
    struct list waiting;      /* struct work */
    int64_t under_way;
    int failures;             /* in a row */
    instant open_until;       /* of the breaker; 0: closed. Past: one attempt may try */
    bool is_tried;            /* that one is under way */
};

/* One attempt: looked up, maybe waiting for its turn, its closing event read, sent, reported. */
struct work {
    struct callbacks *all;
    struct list link;         /* in `all->works` */
    struct list line;         /* in a destination's */
    struct heap_node retry;   /* the report comes again */
    struct arena arena;
    struct str key, workflow_id;
    int64_t namespace_key, run, number;
    int32_t attempt;
    struct callback_view view;
    bool has_view, is_sending;
    struct callback_address address;
    struct destination *destination;
    struct shard_call call;
    struct arena call_arena;
    struct shard_history_read read;
    struct arena read_arena;
    struct outgoing outgoing;
    enum callback_outcome outcome;
    struct str why;
    duration pause;
};

struct callbacks {
    struct frontend *f;
    struct map works_by_key;
    struct list works;
    struct heap retries;
    struct map destinations;
};

/* ---- small parts ---- */

static struct shard *shard_of(const struct work *work) { return work->all->f->env.shard; }

static void destination_leave(struct callbacks *all, struct destination *d)
{
    if (d->under_way != 0 || !list_is_empty(&d->waiting) || d->failures != 0) return;
    map_remove(&all->destinations, d->name);
    free(d);
}

static struct destination *destination_of(struct callbacks *all, struct str name)
{
    struct destination *d = map_get(&all->destinations, name);
    if (d != NULL) return d;
    for (size_t at = 0; map_count(&all->destinations) >= DESTINATIONS_MAX && (d = map_next(&all->destinations, &at, NULL)) != NULL;) {
        if (d->under_way != 0 || !list_is_empty(&d->waiting)) continue;
        d->failures = 0; /* forgotten: it is tried afresh */
        destination_leave(all, d);
    }
    d = xcalloc(1, sizeof *d + name.size);
    memcpy(d + 1, name.data, name.size);
    d->name = str_make(d + 1, name.size);
    list_init(&d->waiting);
    map_put(&all->destinations, name, d);
    return d;
}

static void work_free(struct work *work)
{
    struct callbacks *all = work->all;
    list_remove(&work->link);
    list_remove(&work->line);
    heap_remove(&all->retries, &work->retry);
    map_remove(&all->works_by_key, work->key);
    arena_fini(&work->read_arena);
    arena_fini(&work->call_arena);
    arena_fini(&work->arena);
    free(work);
}

static void call(struct work *work, err (*step)(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit),
                 void (*done)(struct shard_call *call, err result))
{
    arena_reset(&work->call_arena);
    work->call = (struct shard_call){.namespace_key = work->namespace_key, .workflow_id = work->workflow_id, .run = work->run, .need = SHARD_NEEDS_RUN_KEY,
                                     .step = step, .done = done, .arena = &work->call_arena};
    shard_submit(shard_of(work), &work->call);
}

/* ---- what came of it ---- */

static void report(struct work *work);

static err report_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit)
{
    struct work *work = container_of(call, struct work, call);
    (void)is_commit;
    return execution_callback_done(e, step, work->number, work->attempt, work->outcome, work->why, work->pause);
}

/* A report that the store did not take comes again; until then the run has the attempt in hand. */
static void report_done(struct shard_call *call, err result)
{
    struct work *work = container_of(call, struct work, call);
    struct frontend *f = work->all->f;
    bool is_passing = result != ERR_NONE && result != ERR_WORKFLOW_NOT_FOUND && result != ERR_NAMESPACE_NOT_FOUND && result != ERR_CORRUPT;
    if (!is_passing || f->is_draining) {
        work_free(work);
        return;
    }
    heap_put(&work->all->retries, &work->retry, instant_add(f->env.now(f->env.arg), duration_s(REPORT_PAUSE_S)));
    if (f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

static void report(struct work *work) { call(work, report_step, report_done); }

static void conclude(struct work *work, enum callback_outcome outcome, struct str why, duration pause)
{
    work->outcome = outcome;
    work->why = arena_str(&work->arena, why);
    work->pause = pause;
    report(work);
}

/* ---- destinations ---- */

static void send_next(struct callbacks *all, struct destination *d);

/* The breaker hears of every attempt; a refusal is an answer of somebody who is well. */
static void note(struct destination *d, bool is_good, instant now)
{
    d->is_tried = false;
    if (is_good) {
        d->failures = 0;
        d->open_until = (instant){0};
    } else if (++d->failures > BREAKER_FAILURES) {
        reach("callbacks: a circuit breaker opens");
        d->open_until = instant_add(now, duration_s(BREAKER_OPEN_S));
    }
}

static bool is_blocked(const struct destination *d, instant now)
{
    return instant_is_set(d->open_until) && (d->is_tried || instant_before(now, d->open_until));
}

static void block(struct work *work, instant now)
{
    struct destination *d = work->destination;
    duration left = instant_before(now, d->open_until) ? instant_since(d->open_until, now) : duration_s(FULL_PAUSE_S);
    left.ns += (int64_t)prng_below(&work->all->f->prng, 2 * NS_PER_S);
    conclude(work, CALLBACK_BLOCKED, STR("the circuit breaker of the destination is open: the last attempts to reach it failed"), left);
}

static void sent(struct outgoing *outgoing, int status, struct str why)
{
    struct work *work = container_of(outgoing, struct work, outgoing);
    struct callbacks *all = work->all;
    struct destination *d = work->destination;
    instant now = all->f->env.now(all->f->env.arg);
    bool is_done = status >= 200 && status < 300, is_passing = status == 0 || status >= 500 || status == 408 || status == 429;
    work->is_sending = false;
    d->under_way--;
    note(d, !is_passing, now);
    struct str words = status == 0 ? why : arena_printf(&work->arena, "the receiver answered with HTTP status %d", status);
    conclude(work, is_done ? CALLBACK_DELIVERED : is_passing ? CALLBACK_FAILED : CALLBACK_REFUSED, words, (duration){0});
    send_next(all, d);
}

static void give_up(struct work *work, enum callback_outcome outcome, const char *why, duration pause)
{
    struct callbacks *all = work->all;
    struct destination *d = work->destination;
    d->under_way--;
    d->is_tried = false;
    conclude(work, outcome, str_of(why), pause);
    send_next(all, d);
}

static void closing_read(struct shard_history_read *read, err result)
{
    struct work *work = container_of(read, struct work, read);
    struct frontend *f = work->all->f;
    pb_history_History *history = NULL;
    const struct namespace_info *ns = namespace_by_key(f, work->namespace_key);
    if (result == ERR_NONE && PB_DECODE(&work->read_arena, read->history, pb_history_History, &history) != ERR_NONE) result = ERR_CORRUPT;
    if (f->is_draining) {
        work_free(work);
        return;
    }
    if (result == ERR_WORKFLOW_NOT_FOUND || ns == NULL || (result == ERR_NONE && history->events_count == 0)) {
        give_up(work, CALLBACK_REFUSED, "the event that it was to tell of is gone", (duration){0});
    } else if (result != ERR_NONE) {
        give_up(work, CALLBACK_BLOCKED, "the event that it tells of can not be read now", duration_s(FULL_PAUSE_S));
    } else {
        struct outgoing *o = &work->outgoing;
        callback_request_make(o, &work->view, history->events[0], ns->name, work->workflow_id, &work->read_arena);
        *o = (struct outgoing){.is_tls = work->address.is_tls, .host = work->address.host, .port = work->address.port, .path = work->address.path,
                               .headers = o->headers, .body = o->body, .timeout = duration_ms(f->settings.limits.callback_timeout_ms), .done = sent};
        work->is_sending = true;
        f->env.post(f->env.arg, o);
    }
}

static void send_one(struct work *work)
{
    struct shard_history_read *r = &work->read;
    work->destination->under_way++;
    work->destination->is_tried = instant_is_set(work->destination->open_until);
    *r = (struct shard_history_read){.from = work->view.close_event_id, .to = work->view.close_event_id + 1, .events_max = 1, .done = closing_read};
    r->call = (struct shard_call){.namespace_key = work->namespace_key, .workflow_id = work->workflow_id, .run = work->run, .need = SHARD_NEEDS_RUN_KEY,
                                  .arena = &work->read_arena};
    shard_read_history(shard_of(work), r);
}

static void send_next(struct callbacks *all, struct destination *d)
{
    instant now = all->f->env.now(all->f->env.arg);
    while (!list_is_empty(&d->waiting) && !all->f->is_draining && d->under_way < all->f->settings.limits.callback_concurrency_max) {
        struct work *work = container_of(list_pop(&d->waiting), struct work, line);
        if (is_blocked(d, now)) block(work, now);
        else send_one(work);
    }
    destination_leave(all, d);
}

/* ---- what is offered ---- */

static err look_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit)
{
    struct work *work = container_of(call, struct work, call);
    (void)step;
    (void)is_commit;
    work->has_view = execution_callback(e, work->number, work->attempt, &work->arena, &work->view);
    return ERR_NONE;
}

static void look_done(struct shard_call *call, err result)
{
    struct work *work = container_of(call, struct work, call);
    struct callbacks *all = work->all;
    if (result == ERR_NONE && !work->has_view) {
        work_free(work);
        return;
    }
    if (result != ERR_NONE) { /* told as such: what can not be read now comes again */
        conclude(work, CALLBACK_BLOCKED, STR("the run can not be read now"), duration_s(FULL_PAUSE_S));
        return;
    }
    const char *problem = work->view.callback->nexus == NULL ? "it has no address" : callback_address_parse(work->view.callback->nexus->url, &work->arena, &work->address);
    if (problem != NULL) {
        conclude(work, CALLBACK_REFUSED, str_of(problem), (duration){0});
        return;
    }
    work->destination = destination_of(all, work->address.destination);
    list_push(&work->destination->waiting, &work->line);
    send_next(all, work->destination);
}

void frontend_offer_callback(struct frontend *f, const struct callback_effect *effect)
{
    struct callbacks *all = f->callbacks;
    struct arena arena;
    if (f->env.post == NULL || f->is_draining) return;
    arena_init(&arena, 512, 0);
    struct str key = arena_printf(&arena, "%" PRId64 "/%" PRId64 "/%d", effect->run, effect->number, (int)effect->attempt);
    if (map_get(&all->works_by_key, key) != NULL) { /* offered again after a commit that failed */
        arena_fini(&arena);
        return;
    }
    struct work *work = xcalloc(1, sizeof *work);
    work->all = all;
    work->arena = arena;
    work->key = key;
    work->workflow_id = arena_str(&work->arena, effect->workflow_id);
    work->namespace_key = effect->namespace_key;
    work->run = effect->run;
    work->number = effect->number;
    work->attempt = effect->attempt;
    arena_init(&work->call_arena, 512, 0);
    arena_init(&work->read_arena, 0, 0);
    bool is_full = map_count(&all->works_by_key) >= CALLBACKS_MAX;
    map_put(&all->works_by_key, key, work);
    list_push(&all->works, &work->link);
    if (is_full) conclude(work, CALLBACK_BLOCKED, STR("too many callbacks are under way"), duration_s(FULL_PAUSE_S));
    else call(work, look_step, look_done);
}

/* ---- life ---- */

struct callbacks *callbacks_create(struct frontend *f)
{
    struct callbacks *all = xcalloc(1, sizeof *all);
    all->f = f;
    list_init(&all->works);
    return all;
}

static void drop(struct work *work)
{
    struct frontend *f = work->all->f;
    if (work->is_sending) f->env.post_cancel(f->env.arg, &work->outgoing);
    work->is_sending = false;
}

void callbacks_destroy(struct callbacks *all)
{
    struct list *link;
    struct destination *d;
    while ((link = list_first(&all->works)) != NULL) {
        struct work *work = container_of(link, struct work, link);
        drop(work);
        work_free(work);
    }
    for (size_t at = 0; (d = map_next(&all->destinations, &at, NULL)) != NULL;) free(d);
    map_fini(&all->destinations);
    map_fini(&all->works_by_key);
    heap_fini(&all->retries);
    free(all);
}

instant callbacks_next_due(const struct frontend *f)
{
    const struct heap_node *first = heap_first(&f->callbacks->retries);
    return first != NULL ? first->due : INSTANT_NEVER;
}

void callbacks_tick(struct frontend *f)
{
    struct callbacks *all = f->callbacks;
    for (struct heap_node *node; (node = heap_first(&all->retries)) != NULL && node->due.ns <= f->now.ns;) {
        struct work *work = container_of(node, struct work, retry);
        heap_remove(&all->retries, node);
        report(work);
    }
}

void callbacks_drain(struct frontend *f)
{
    list_each_safe(link, &f->callbacks->works) {
        struct work *work = container_of(link, struct work, link);
        bool is_idle = work->is_sending || heap_has(&work->retry) || list_is_linked(&work->line);
        drop(work);
        if (is_idle) work_free(work);
    }
}
