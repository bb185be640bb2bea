/* shard/history_read.c: a page of a run's events, from the rows of its branches and from what is in memory.
 *
 * Events are never decoded here: a History message is a row of length-delimited events (field 1), and event ids have no
 * gaps, so the nth event of a batch that begins at id f has the id f + n. */
#include "shard/internal.h"

#include <stdlib.h>

struct piece { /* a stretch of events in one place: a branch of the store, or memory */
    int64_t branch;        /* 0: memory */
    int64_t from, to;      /* to: exclusive */
    struct str bytes;      /* of memory */
};
struct plan { struct piece *pieces; size_t count, at; struct buf out; };

/* ---- walking over History bytes ---- */

/* The next event with its tag and length; false at the end or when the bytes are not what they should be. */
static bool event_next(struct str *rest, struct str *event)
{
    const unsigned char *p = (const unsigned char *)rest->data;
    if (rest->size < 2 || p[0] != 0x0a) return false;
    uint64_t size = 0;
    size_t at = 1;
    for (int shift = 0; at < rest->size && shift < 35; shift += 7) {
        size |= (uint64_t)(p[at] & 0x7f) << shift;
        if ((p[at++] & 0x80) == 0) {
            if (size > rest->size - at) return false;
            *event = str_make(rest->data, at + (size_t)size);
            *rest = str_skip(*rest, at + (size_t)size);
            return true;
        }
    }
    return false;
}

/* ---- collecting ---- */

static bool is_full(const struct shard_history_read *r, const struct plan *plan, size_t more)
{
    if (r->event_count == 0) return false;
    return r->event_count >= r->events_max || plan->out.size + more > r->bytes_max;
}

/* Takes the events of a batch that belong to [from, to) of the piece; false when the page is full. */
static bool take_forward(struct shard_history_read *r, struct plan *plan, struct piece *piece, int64_t first, struct str bytes)
{
    struct str event;
    for (int64_t id = first; event_next(&bytes, &event); id++) {
        if (id < piece->from) continue;
        if (id >= piece->to) break;
        if (is_full(r, plan, event.size)) return false;
        buf_append_str(&plan->out, event);
        r->event_count++;
        piece->from = id + 1;
    }
    return true;
}

static bool take_backward(struct shard_history_read *r, struct plan *plan, struct piece *piece, int64_t first, struct str bytes)
{
    size_t count = 0;
    struct str event, rest = bytes;
    while (event_next(&rest, &event)) count++;
    struct str *events = xcalloc(count + 1, sizeof *events);
    for (size_t i = 0; i < count; i++)
        if (!event_next(&bytes, &events[i])) break;
    bool is_room = true;
    for (size_t i = count; i-- > 0 && is_room;) {
        int64_t id = first + (int64_t)i;
        if (id >= piece->to) continue;
        if (id < piece->from) break;
        is_room = !is_full(r, plan, events[i].size);
        if (!is_room) break;
        buf_append_str(&plan->out, events[i]);
        r->event_count++;
        piece->to = id;
    }
    free(events);
    return is_room;
}

static bool take(struct shard_history_read *r, struct plan *plan, struct piece *piece, int64_t first, struct str bytes)
{
    return r->is_reverse ? take_backward(r, plan, piece, first, bytes) : take_forward(r, plan, piece, first, bytes);
}

/* ---- going on ---- */

static void let_go(struct shard_history_read *r)
{
    struct plan *plan = r->pieces;
    list_remove(&r->link);
    if (plan != NULL) buf_fini(&plan->out);
    if (r->store_read == NULL) return;
    arena_fini(&r->store_read->arena);
    free(r->store_read);
    r->store_read = NULL;
}

static void finish(struct shard_history_read *r, err result)
{
    const struct plan *plan = r->pieces;
    if (plan != NULL && result == ERR_NONE) r->history = arena_str(r->call.arena, buf_view(&plan->out));
    let_go(r);
    r->done(r, result);
}

void history_reads_fini(struct shard *s)
{
    struct list *link;
    while ((link = list_first(&s->history_reads)) != NULL) let_go(container_of(link, struct shard_history_read, link));
}

static void full(struct shard_history_read *r, const struct piece *piece)
{
    r->next = r->is_reverse ? piece->to - 1 : piece->from;
    finish(r, ERR_NONE);
}

static void rows_opened(struct mail *mail);

static void read_rows(struct shard_history_read *r, const struct plan *plan, const struct piece *piece)
{
    struct store_read *read = r->store_read;
    if (read == NULL) {
        read = r->store_read = xcalloc(1, sizeof *read);
    } else {
        arena_fini(&read->arena);
        *read = (struct store_read){0};
    }
    arena_init(&read->arena, 0, 0);
    read->mail.open = rows_opened;
    read->reply_to = r->shard->env.mailbox;
    read->kind = STORE_READ_HISTORY;
    read->shard = r->shard->options.number;
    read->run = piece->branch;
    read->from = piece->from;
    read->to = piece->to;
    read->is_reverse = r->is_reverse;
    read->limit = r->bytes_max > plan->out.size ? r->bytes_max - plan->out.size : 1;
    read->namespace_key = (int64_t)(uintptr_t)r; /* not used by this kind: whose it is */
    r->shard->history_read_count++;
    store_read(r->shard->env.store, read);
}

/* Memory at once; the store's pieces one read at a time. */
static void go_on(struct shard_history_read *r)
{
    struct plan *plan = r->pieces;
    while (plan->at < plan->count) {
        struct piece *piece = &plan->pieces[plan->at];
        if (piece->from >= piece->to) {
            plan->at++;
            continue;
        }
        if (is_full(r, plan, 0)) {
            full(r, piece);
            return;
        }
        if (piece->branch != 0) {
            read_rows(r, plan, piece);
            return;
        }
        if (!take(r, plan, piece, piece->from, piece->bytes)) {
            full(r, piece);
            return;
        }
        if (piece->from < piece->to) {
            finish(r, ERR_CORRUPT);
            return;
        }
    }
    finish(r, ERR_NONE);
}

static void rows_opened(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct shard_history_read *r = (struct shard_history_read *)(uintptr_t)read->namespace_key;
    struct plan *plan = r->pieces;
    struct piece *piece = &plan->pieces[plan->at];
    r->shard->history_read_count--;
    err result = read->result == ERR_NONE && read->row_count == 0 ? ERR_CORRUPT : read->result;
    if (result != ERR_NONE) {
        finish(r, result);
        return;
    }
    int64_t before = r->is_reverse ? piece->to : piece->from;
    for (size_t i = 0; i < read->row_count; i++) {
        if (take(r, plan, piece, read->rows[i].a, read->rows[i].bytes)) continue;
        full(r, piece);
        return;
    }
    if (before == (r->is_reverse ? piece->to : piece->from)) { /* rows without the events asked for */
        finish(r, ERR_CORRUPT);
        return;
    }
    go_on(r);
}

/* ---- the plan, made where the run is in memory ---- */

static int64_t clamp(int64_t value, int64_t low, int64_t high) { return value < low ? low : value > high ? high : value; }

static void plan_add(struct plan *plan, int64_t branch, int64_t from, int64_t to, struct str bytes)
{
    if (from < to) plan->pieces[plan->count++] = (struct piece){branch, from, to, bytes};
}

static err history_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit)
{
    (void)step;
    (void)is_commit;
    struct shard_history_read *r = container_of(call, struct shard_history_read, call);
    struct history_view view;
    execution_history(e, call->arena, &view);
    r->next_event_id = view.next_event_id;
    r->is_open = execution_is_open(e);
    r->run_id = arena_str(call->arena, execution_run_id(e));
    int64_t from = 1, to = view.next_event_id;
    if (r->is_reverse) {
        if (r->from != 0) to = clamp(r->from + 1, 1, to);
    } else {
        from = clamp(r->from, 1, to);
        if (r->to != 0) to = clamp(r->to, from, to);
    }
    struct plan *plan = arena_new(call->arena, struct plan);
    plan->pieces = arena_array(call->arena, struct piece, view.branch_count + 1);
    for (size_t i = 0; i < view.branch_count; i++) {
        const struct history_branch *branch = &view.branches[i];
        plan_add(plan, branch->branch, clamp(branch->first_event_id, from, to), clamp(branch->end_event_id, from, instant_min((instant){to}, (instant){view.cached_from}).ns), STR_EMPTY);
    }
    int64_t cached_from = clamp(view.cached_from, from, to);
    if (cached_from < to) plan_add(plan, 0, cached_from, to, arena_str(call->arena, execution_cached_range(e, cached_from, to)));
    for (size_t i = 0; r->is_reverse && i < plan->count / 2; i++) {
        struct piece swap = plan->pieces[i];
        plan->pieces[i] = plan->pieces[plan->count - 1 - i];
        plan->pieces[plan->count - 1 - i] = swap;
    }
    r->pieces = plan;
    return ERR_NONE;
}

static void step_done(struct shard_call *call, err result)
{
    struct shard_history_read *r = container_of(call, struct shard_history_read, call);
    if (result != ERR_NONE) {
        r->pieces = NULL;
        finish(r, result);
        return;
    }
    go_on(r);
}

void shard_read_history(struct shard *s, struct shard_history_read *r)
{
    r->shard = s;
    r->pieces = NULL;
    r->store_read = NULL;
    r->history = STR_EMPTY;
    r->event_count = 0;
    r->next = 0;
    if (r->events_max == 0) r->events_max = 256;
    if (r->bytes_max == 0) r->bytes_max = (size_t)4 << 20;
    r->link = (struct list){0};
    list_push(&s->history_reads, &r->link);
    r->call.step = history_step;
    r->call.done = step_done;
    shard_submit(s, &r->call);
}
