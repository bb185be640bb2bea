/* matching/task_queue.c: tasks meet pollers. See task_queue.h for the contract and the life of a task. */
#include "base/log.h"
#include "matching/internal.h"

#include <stdlib.h>

enum { TASKS_MAX = 2000, TRANSIENT_MAX = 1000, POLLERS_MAX = 100000, LOAD_PAGE = 200, WEIGHTS_MAX = 1000, HINTS_PER_SECOND = 10 };
static const duration load_pause = {NS_PER_S}, poll_interest = {60 * NS_PER_S};

/* ---- effects ---- */

void task_queue_effects_init(struct task_queue_effects *fx)
{
    *fx = (struct task_queue_effects){0};
    list_init(&fx->dropped);
}

void task_queue_effects_clear(struct task_queue_effects *fx)
{
    struct list *link;
    while ((link = list_pop(&fx->dropped)) != NULL) free(container_of(link, struct queued_task, link));
    fx->count = 0;
}

void task_queue_effects_fini(struct task_queue_effects *fx)
{
    task_queue_effects_clear(fx);
    free(fx->items);
    fx->items = NULL;
    fx->capacity = 0;
}

static struct task_queue_effect *effect_add(struct task_queue_effects *fx, enum queue_effect_kind kind)
{
    if (fx->count == fx->capacity) {
        fx->capacity = fx->capacity != 0 ? 2 * fx->capacity : 8;
        fx->items = xrealloc(fx->items, fx->capacity * sizeof *fx->items);
    }
    struct task_queue_effect *effect = &fx->items[fx->count++];
    *effect = (struct task_queue_effect){.kind = kind};
    return effect;
}

/* ---- tasks ---- */

struct task_key { int64_t run, scheduled_event_id, stamp; };

static struct str task_key_view(const struct task_key *key) { return str_make(key, sizeof *key); }

static struct task_key task_key_of(const struct queue_task *task)
{
    return (struct task_key){task->run, task->scheduled_event_id, task->stamp};
}

static int task_level(const struct queue_task *task)
{
    return task->priority >= PRIORITY_MIN && task->priority <= PRIORITY_MAX ? task->priority : PRIORITY_DEFAULT;
}

static struct queued_task *task_create(const struct queue_task *from, int64_t order, instant now)
{
    size_t size = from->workflow_id.size + from->run_id.size + from->fairness_key.size + from->normal_queue.size;
    struct queued_task *task = xcalloc(1, sizeof *task + size);
    task->task = *from;
    task->order = order;
    task->offered_at = now;
    char *at = (char *)(task + 1);
    struct str *strings[] = {&task->task.workflow_id, &task->task.run_id, &task->task.fairness_key, &task->task.normal_queue};
    for (size_t i = 0; i < countof(strings); i++) {
        if (strings[i]->size != 0) memcpy(at, strings[i]->data, strings[i]->size);
        *strings[i] = str_make(at, strings[i]->size);
        at += strings[i]->size;
    }
    return task;
}

/* Out of everything the queue knows it by; memory stays. */
static void task_forget(struct task_queue *q, struct queued_task *task)
{
    if (task->group != NULL) {
        level_remove(&q->levels[task_level(&task->task)], task);
    } else {
        if (task->task.transient != NULL && !task->is_delivered) q->transient_count--;
        list_remove(&task->link);
    }
    list_remove(&task->unsaved_link);
    heap_remove(&q->expiries, &task->expiry);
    if (task->task.transient == NULL) {
        struct task_key key = task_key_of(&task->task);
        if (map_get(&q->by_key, task_key_view(&key)) == task) map_remove(&q->by_key, task_key_view(&key));
    }
}

static void effect_delete(struct task_queue_effects *fx, struct queued_task *task, int64_t order)
{
    struct task_queue_effect *effect = effect_add(fx, EFFECT_DELETE);
    effect->task = task;
    effect->level = task_level(&task->task);
    effect->order = order;
}

/* The task is over. While its row is being written it stays, unknown to all, until that is answered. */
static void task_end(struct task_queue *q, struct queued_task *task, struct task_queue_effects *fx)
{
    task_forget(q, task);
    if (task->is_persisting) {
        task->is_gone = true;
        list_push(&q->delivered, &task->link);
        return;
    }
    q->memory_count--;
    if (task->is_stored) {
        effect_delete(fx, task, task->order);
    }
    list_push(&fx->dropped, &task->link);
}

static float weight_bounded(float weight) { return weight < 0.001F ? 0.001F : weight > 1000 ? 1000 : weight; }

static float weight_of(const struct task_queue *q, const struct queue_task *task)
{
    const float *set = str_is_empty(task->fairness_key) ? NULL : map_get(&q->weights, task->fairness_key);
    float weight = set != NULL ? *set : task->fairness_weight;
    if (!(weight > 0)) return 1;
    return weight_bounded(weight);
}

/* ---- life ---- */

static void set_default(size_t *value, size_t fallback) { if (*value == 0) *value = fallback; }
static void set_default_duration(duration *value, duration fallback) { if (value->ns == 0) *value = fallback; }

struct task_queue *task_queue_create(const struct task_queue_options *options, instant now)
{
    struct task_queue *q = xcalloc(1, sizeof *q);
    q->options = *options;
    set_default(&q->options.tasks_max, TASKS_MAX);
    set_default(&q->options.transient_max, TRANSIENT_MAX);
    set_default(&q->options.pollers_max, POLLERS_MAX);
    set_default_duration(&q->options.persist_after, duration_s(1));
    set_default_duration(&q->options.sticky_patience, duration_s(10));
    set_default_duration(&q->options.idle_after, duration_s(300));
    list_init(&q->transient);
    list_init(&q->delivered);
    list_init(&q->unsaved);
    list_init(&q->pollers);
    poller_book_init(&q->book);
    q->api_rate = q->worker_rate = q->key_rate = -1;
    q->last_use = now;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) q->levels[i].has_disk = !options->is_backlog_known_empty && !options->is_sticky;
    return q;
}

static void free_tasks(struct list *tasks)
{
    struct list *link;
    while ((link = list_pop(tasks)) != NULL) free(container_of(link, struct queued_task, link));
}

void task_queue_destroy(struct task_queue *q)
{
    ensure(q->poller_count == 0);
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        struct fairness_group *group;
        for (size_t at = 0; (group = level_next_group(&q->levels[i], &at)) != NULL;) free_tasks(&group->tasks);
        level_fini(&q->levels[i]);
    }
    free_tasks(&q->transient);
    free_tasks(&q->delivered);
    heap_fini(&q->poller_deadlines);
    heap_fini(&q->expiries);
    map_fini(&q->by_key);
    float *weight;
    for (size_t at = 0; (weight = map_next(&q->weights, &at, NULL)) != NULL;) free(weight);
    map_fini(&q->weights);
    poller_book_fini(&q->book);
    free(q->by_priority);
    free(q);
}

/* ---- the backlog ---- */

static void persist(struct task_queue *q, struct queued_task *task, struct task_queue_effects *fx)
{
    ensure(!q->options.is_sticky && task->task.transient == NULL && !task->is_stored && !task->is_persisting);
    list_remove(&task->unsaved_link);
    task->is_persisting = true;
    effect_add(fx, EFFECT_PERSIST)->task = task;
}

static void persist_later(struct task_queue *q, struct queued_task *task, instant now)
{
    if (q->options.is_sticky || task->task.transient != NULL || task->is_stored || task->is_persisting) return;
    task->persist_at = instant_add(now, q->options.persist_after);
    list_remove(&task->unsaved_link);
    list_push(&q->unsaved, &task->unsaved_link);
}

/* Asks for the next pages where somebody may take them soon. */
static void request_loads(struct task_queue *q, instant now, struct task_queue_effects *fx)
{
    if (!q->is_purged && q->poller_count == 0 && (q->last_poll.ns == 0 || instant_since(now, q->last_poll).ns > poll_interest.ns)) return;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        struct level *level = &q->levels[i];
        if (!level->has_disk || level->is_loading || level->task_count > LOAD_PAGE / 2 || instant_before(now, level->load_at)) continue;
        level->is_loading = true;
        level->loading_max = level->disk_max;
        struct task_queue_effect *effect = effect_add(fx, EFFECT_LOAD);
        effect->level = i;
        effect->order = level->loaded_to;
        effect->limit = size_min(LOAD_PAGE, q->options.tasks_max);
    }
}

/* ---- meeting ---- */

static void count_task(struct task_queue *q, const struct queue_task *task, bool is_added, instant now)
{
    int level = task_level(task);
    meter_add(is_added ? &q->added : &q->dispatched, now);
    if (level == PRIORITY_DEFAULT) return; /* its share is what the others leave */
    if (q->by_priority == NULL) q->by_priority = xcalloc(1, sizeof *q->by_priority);
    meter_add(is_added ? &q->by_priority->added[level] : &q->by_priority->dispatched[level], now);
}

static double rate_limit(const struct task_queue *q) { return q->api_rate >= 0 ? q->api_rate : q->worker_rate; }

/* The rate as a bucket that holds one second's worth. */
static bool rate_allows(const struct task_queue *q, instant now)
{
    double rate = rate_limit(q);
    return rate < 0 || (rate > 0 && !instant_before(now, q->rate_next));
}

static void rate_spend(struct task_queue *q, instant now)
{
    double rate = rate_limit(q);
    if (rate <= 0) return;
    duration gap = {(int64_t)((double)NS_PER_S / rate)};
    duration burst = {gap.ns < NS_PER_S ? NS_PER_S - gap.ns : 0};
    instant floor = {now.ns - burst.ns};
    q->rate_next = instant_add(instant_max(q->rate_next, floor), gap);
}

static struct queued_task *take_task(struct task_queue *q, instant now)
{
    struct list *first = list_pop(&q->transient);
    if (first != NULL) {
        q->transient_count--;
        return container_of(first, struct queued_task, link);
    }
    if (!rate_allows(q, now)) return NULL;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        struct queued_task *task = q->levels[i].task_count != 0 ? level_take(&q->levels[i], q->key_rate, now) : NULL;
        if (task != NULL) {
            rate_spend(q, now);
            return task;
        }
    }
    return NULL;
}

static size_t waiting_task_count(const struct task_queue *q)
{
    size_t count = q->transient_count;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) count += q->levels[i].task_count;
    return count;
}

/* Would another poller help (a task had to wait), or is there one too many (this one waited for long)? */
static int scaling_hint(struct task_queue *q, const struct task_poller *poller, const struct queued_task *task, instant now)
{
    int hint = 0;
    if (task == NULL) {
        hint = q->poller_count > 0 ? -1 : 0;
    } else if (instant_since(now, task->offered_at).ns > 200 * NS_PER_MS || task->is_from_backlog || waiting_task_count(q) > 0) {
        hint = +1;
    } else if (instant_since(now, poller->since).ns > NS_PER_S && q->poller_count > 0) {
        hint = -1;
    }
    struct poller_record *record = hint != 0 ? poller_book_find(&q->book, poller->identity) : NULL;
    if (record == NULL) return 0;
    if (instant_since(now, record->hint_window).ns >= NS_PER_S) {
        record->hint_window = now;
        record->hint_count = 0;
    }
    return record->hint_count++ < HINTS_PER_SECOND ? hint : 0;
}

static void poller_leave(struct task_queue *q, struct task_poller *poller)
{
    list_remove(&poller->link);
    heap_remove(&q->poller_deadlines, &poller->expiry);
    q->poller_count--;
}

static void purge(struct task_queue *q, struct task_queue_effects *fx)
{
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        struct fairness_group *group;
        struct list *link;
        for (size_t at = 0; (group = level_next_group(&q->levels[i], &at)) != NULL;)
            while ((link = list_first(&group->tasks)) != NULL) task_end(q, container_of(link, struct queued_task, link), fx);
    }
}

static void meet(struct task_queue *q, instant now, struct task_queue_effects *fx)
{
    if (q->is_purged) purge(q, fx);
    struct list *link;
    while ((link = list_first(&q->pollers)) != NULL) {
        struct queued_task *task = take_task(q, now);
        if (task == NULL) break;
        struct task_poller *poller = container_of(link, struct task_poller, link);
        poller_leave(q, poller);
        heap_remove(&q->expiries, &task->expiry);
        list_remove(&task->unsaved_link);
        task->is_delivered = true;
        list_push(&q->delivered, &task->link);
        struct task_queue_effect *effect = effect_add(fx, EFFECT_DELIVER);
        effect->task = task;
        effect->poller = poller;
        effect->scaling = scaling_hint(q, poller, task, now);
        count_task(q, &task->task, false, now);
        trace("matching", "deliver run=%" PRId64 " event=%" PRId64 " waited=%" PRId64 "ms", task->task.run, task->task.scheduled_event_id,
              instant_since(now, task->offered_at).ns / NS_PER_MS);
    }
    request_loads(q, now, fx);
}

static void wait_for_poller(struct task_queue *q, struct queued_task *task, instant now)
{
    if (task->task.transient != NULL) {
        list_push(&q->transient, &task->link);
        q->transient_count++;
    } else {
        level_insert(&q->levels[task_level(&task->task)], task, weight_of(q, &task->task));
        persist_later(q, task, now);
    }
    if (task->task.expires_at.ns != INSTANT_NEVER.ns && task->task.expires_at.ns != 0)
        heap_put(&q->expiries, &task->expiry, task->task.expires_at);
}

err task_queue_offer(struct task_queue *q, const struct queue_task *from, int64_t order, instant now, struct task_queue_effects *fx)
{
    if (q->is_purged && from->transient == NULL) return ERR_NONE;
    if (from->transient != NULL) {
        if (q->transient_count >= q->options.transient_max) return ERR_QUEUE_FULL;
        order = 0;
    } else {
        struct task_key key = task_key_of(from);
        if (map_get(&q->by_key, task_key_view(&key)) != NULL) {
            reach("task_queue: a task is offered twice");
            return ERR_NONE;
        }
    }
    struct level *level = &q->levels[task_level(from)];
    struct queued_task *task = task_create(from, order, now);
    q->memory_count++;
    q->last_use = now;
    if (from->transient == NULL) {
        struct task_key key = task_key_of(from);
        map_put(&q->by_key, task_key_view(&key), task);
        count_task(q, from, true, now);
    }
    wait_for_poller(q, task, now);
    meet(q, now, fx);
    /* While older tasks are only on disk, memory is kept small enough to read them: else new ones would pass them for ever. */
    size_t room = level->has_disk ? size_min(LOAD_PAGE / 2, q->options.tasks_max) : q->options.tasks_max;
    if (task->is_delivered || from->transient != NULL || level->task_count <= room) return ERR_NONE;
    if (q->options.is_sticky) {
        reach("task_queue: a sticky queue is full");
        effect_add(fx, EFFECT_MOVE)->task = task;
        task_end(q, task, fx);
    } else {
        reach("task_queue: memory is full, the task goes to the backlog at once");
        persist(q, task, fx);
    }
    return ERR_NONE;
}

static void poller_wait(struct task_queue *q, struct task_poller *poller)
{
    heap_put(&q->poller_deadlines, &poller->expiry, poller->deadline);
    q->poller_count++;
}

err task_queue_poll(struct task_queue *q, struct task_poller *poller, instant now, struct task_queue_effects *fx)
{
    if (q->poller_count >= q->options.pollers_max) return ERR_QUEUE_FULL;
    poller->since = now;
    list_push(&q->pollers, &poller->link);
    poller_wait(q, poller);
    poller_book_note(&q->book, poller, now);
    q->worker_rate = poller->rate_max;
    q->last_poll = q->last_use = now;
    q->is_worker_gone = false;
    meet(q, now, fx);
    return ERR_NONE;
}

void task_queue_poll_again(struct task_queue *q, struct task_poller *poller, instant now, struct task_queue_effects *fx)
{
    list_push_front(&q->pollers, &poller->link);
    poller_wait(q, poller);
    q->last_use = now;
    meet(q, now, fx);
}

void task_queue_cancel_poll(struct task_queue *q, struct task_poller *poller)
{
    if (heap_has(&poller->expiry)) poller_leave(q, poller);
}

bool task_queue_cancel_transient(struct task_queue *q, const void *transient)
{
    list_each_safe(link, &q->transient) {
        struct queued_task *task = container_of(link, struct queued_task, link);
        if (task->task.transient != transient) continue;
        task_forget(q, task);
        q->memory_count--;
        free(task);
        return true;
    }
    return false;
}

void task_queue_finish(struct task_queue *q, struct queued_task *task, struct task_queue_effects *fx)
{
    ensure(task->is_delivered && !task->is_gone);
    task_end(q, task, fx);
}

void task_queue_give_back(struct task_queue *q, struct queued_task *task, instant now, struct task_queue_effects *fx)
{
    ensure(task->is_delivered && !task->is_gone);
    list_remove(&task->link);
    task->is_delivered = false;
    wait_for_poller(q, task, now);
    meet(q, now, fx);
}

/* ---- answers from the store ---- */

/* Stored now. It stays in memory where it is among the first of the backlog and there is room; else the row is all. While
 * a page is being read it stays, too: the read may be older than the row and yet go beyond it. */
void task_queue_persisted(struct task_queue *q, struct queued_task *task, instant now, struct task_queue_effects *fx)
{
    ensure(task->is_persisting);
    task->is_persisting = false;
    task->is_stored = true;
    struct level *level = &q->levels[task_level(&task->task)];
    if (task->is_gone) {
        reach("task_queue: a task is taken while its row is written");
        task_end(q, task, fx);
    } else if (!task->is_delivered && !level->is_loading && task->order > level->loaded_to && (level->has_disk || level->task_count > q->options.tasks_max)) {
        level->has_disk = true;
        level->disk_max = level->disk_max > task->order ? level->disk_max : task->order;
        if (level->disk_count++ == 0) level->disk_since = task->offered_at;
        q->memory_count--;
        task_forget(q, task);
        list_push(&fx->dropped, &task->link);
    } else if (!level->has_disk && task->order > level->loaded_to) {
        level->loaded_to = task->order;
    }
    request_loads(q, now, fx);
}

void task_queue_persist_failed(struct task_queue *q, struct queued_task *task, bool is_gone, instant now, struct task_queue_effects *fx)
{
    ensure(task->is_persisting);
    task->is_persisting = false;
    if (task->is_gone || (is_gone && !task->is_delivered)) {
        task_end(q, task, fx);
    } else if (!task->is_delivered) {
        persist_later(q, task, now);
    }
}

void task_queue_loaded(struct task_queue *q, int number, const struct loaded_task *tasks, size_t count, int64_t last, bool has_more,
                       instant now, struct task_queue_effects *fx)
{
    struct level *level = &q->levels[number];
    ensure(level->is_loading);
    level->is_loading = false;
    level->has_disk = has_more || level->disk_max > level->loading_max;
    for (size_t i = 0; i < count; i++) {
        ensure(tasks[i].order > level->loaded_to);
        level->loaded_to = tasks[i].order;
        if (level->disk_count != 0) level->disk_count--;
        if (tasks[i].task.scheduled_at.ns != 0) level->disk_since = tasks[i].task.scheduled_at; /* the next are as old at most */
        struct task_key key = task_key_of(&tasks[i].task);
        struct queued_task *known = map_get(&q->by_key, task_key_view(&key));
        if (known != NULL && known->order == tasks[i].order) continue; /* being written while it was read */
        if (known != NULL) {
            reach("task_queue: a task waits in memory and in the backlog");
            effect_delete(fx, known, tasks[i].order);
            continue;
        }
        struct queued_task *task = task_create(&tasks[i].task, tasks[i].order, now);
        if (task->task.scheduled_at.ns != 0) task->offered_at = instant_min(now, task->task.scheduled_at);
        task->task.priority = number;
        task->is_stored = task->is_from_backlog = true;
        q->memory_count++;
        map_put(&q->by_key, task_key_view(&key), task);
        wait_for_poller(q, task, now);
    }
    if (last > level->loaded_to) level->loaded_to = last;
    if (!level->has_disk) {
        level->disk_count = 0;
        level->is_counted = true;
    }
    meet(q, now, fx);
}

bool task_queue_backlog_is_known(const struct task_queue *q, int number, int64_t *order)
{
    const struct level *level = &q->levels[number];
    *order = level->loaded_to;
    return !level->has_disk || level->is_counted;
}

void task_queue_counted(struct task_queue *q, int number, int64_t order, size_t count, instant oldest)
{
    struct level *level = &q->levels[number];
    if (level->is_counted || level->loaded_to != order) return; /* read on meanwhile: it was not asked of this */
    level->is_counted = true;
    level->disk_count = (uint32_t)size_min(count, UINT32_MAX);
    if (count != 0) level->disk_since = oldest;
}

void task_queue_load_failed(struct task_queue *q, int number, instant now)
{
    q->levels[number].is_loading = false;
    q->levels[number].load_at = instant_add(now, load_pause);
}

/* ---- time ---- */

static void expire(struct task_queue *q, instant now, struct task_queue_effects *fx)
{
    struct heap_node *node;
    while ((node = heap_first(&q->expiries)) != NULL && !instant_before(now, node->due)) {
        struct queued_task *task = container_of(node, struct queued_task, expiry);
        if (task->task.transient != NULL) effect_add(fx, EFFECT_EXPIRED)->task = task;
        task_end(q, task, fx);
    }
    while ((node = heap_first(&q->poller_deadlines)) != NULL && !instant_before(now, node->due)) {
        struct task_poller *poller = container_of(node, struct task_poller, expiry);
        poller_leave(q, poller);
        q->last_poll = q->last_use = now; /* it was there until now */
        struct task_queue_effect *effect = effect_add(fx, EFFECT_EMPTY);
        effect->poller = poller;
        effect->scaling = scaling_hint(q, poller, NULL, now);
    }
}

void task_queue_tick(struct task_queue *q, instant now, struct task_queue_effects *fx)
{
    expire(q, now, fx);
    meet(q, now, fx);
    struct list *link;
    while ((link = list_first(&q->unsaved)) != NULL) {
        struct queued_task *task = container_of(link, struct queued_task, unsaved_link);
        if (instant_before(now, task->persist_at)) break;
        persist(q, task, fx);
    }
    poller_book_forget(&q->book, now);
    if (q->options.is_sticky && waiting_task_count(q) != 0 && !task_queue_has_worker(q, now)) task_queue_worker_gone(q, now, fx);
}

instant task_queue_next_due(const struct task_queue *q)
{
    instant due = INSTANT_NEVER;
    struct heap_node *node = heap_first(&q->poller_deadlines);
    if (node != NULL) due = node->due;
    if ((node = heap_first(&q->expiries)) != NULL) due = instant_min(due, node->due);
    const struct list *first = q->unsaved.next;
    if (first != &q->unsaved) due = instant_min(due, container_of(first, struct queued_task, unsaved_link)->persist_at);
    bool is_polled = q->poller_count != 0;
    size_t waiting = waiting_task_count(q);
    if (is_polled && waiting != 0 && rate_limit(q) > 0) due = instant_min(due, q->rate_next);
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX && is_polled; i++) {
        const struct level *level = &q->levels[i];
        due = instant_min(due, level_next_due(level));
        if (level->has_disk && !level->is_loading && level->load_at.ns != 0) due = instant_min(due, level->load_at);
    }
    if (q->options.is_sticky && waiting != 0 && !is_polled) due = instant_min(due, instant_add(q->last_poll, q->options.sticky_patience));
    return due;
}

/* ---- sticky queues and idleness ---- */

bool task_queue_has_worker(const struct task_queue *q, instant now)
{
    if (q->is_worker_gone) return false;
    return q->poller_count != 0 || (q->last_poll.ns != 0 && instant_since(now, q->last_poll).ns < q->options.sticky_patience.ns);
}

static void move_away(struct task_queue *q, struct queued_task *task, struct task_queue_effects *fx)
{
    effect_add(fx, EFFECT_MOVE)->task = task;
    task_end(q, task, fx);
}

void task_queue_worker_gone(struct task_queue *q, instant now, struct task_queue_effects *fx)
{
    ensure(q->options.is_sticky);
    q->is_worker_gone = true;
    q->last_use = now;
    struct list *link;
    while ((link = list_first(&q->transient)) != NULL) move_away(q, container_of(link, struct queued_task, link), fx);
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        struct fairness_group *group;
        for (size_t at = 0; (group = level_next_group(&q->levels[i], &at)) != NULL;)
            while ((link = list_first(&group->tasks)) != NULL) move_away(q, container_of(link, struct queued_task, link), fx);
    }
}

bool task_queue_was_polled(const struct task_queue *q, instant now, duration within)
{
    return q->poller_count != 0 || (q->last_poll.ns != 0 && instant_since(now, q->last_poll).ns < within.ns);
}

int64_t task_queue_backlog_count(const struct task_queue *q)
{
    int64_t count = 0;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) count += (int64_t)(q->levels[i].task_count + q->levels[i].disk_count);
    return count;
}

bool task_queue_is_idle(const struct task_queue *q, instant now)
{
    if (q->poller_count != 0 || q->memory_count != 0 || instant_since(now, q->last_use).ns < q->options.idle_after.ns) return false;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++)
        if (q->levels[i].is_loading) return false;
    return true;
}

void task_queue_purge(struct task_queue *q, instant now, struct task_queue_effects *fx)
{
    q->is_purged = true;
    meet(q, now, fx);
}

/* ---- settings ---- */

void task_queue_set_rate(struct task_queue *q, double rate_max, instant now)
{
    q->api_rate = rate_max;
    q->rate_next = now;
}

void task_queue_set_key_rate(struct task_queue *q, double rate_max, instant now)
{
    q->key_rate = rate_max;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) level_release(&q->levels[i], now);
}

err task_queue_set_weight(struct task_queue *q, struct str fairness_key, float weight)
{
    if (!(weight > 0)) {
        free(map_remove(&q->weights, fairness_key));
        return ERR_NONE;
    }
    float *slot = map_get(&q->weights, fairness_key);
    if (slot == NULL) {
        if (map_count(&q->weights) >= WEIGHTS_MAX) return ERR_LIMIT;
        slot = xmalloc(sizeof *slot);
        map_put(&q->weights, fairness_key, slot);
    }
    *slot = weight;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) level_set_weight(&q->levels[i], fairness_key, weight_bounded(weight));
    return ERR_NONE;
}

/* ---- describe ---- */

static double rest_of(double all, double part) { return all > part ? all - part : 0; }

void task_queue_stats(const struct task_queue *q, instant now, struct task_queue_stats *stats)
{
    *stats = (struct task_queue_stats){.waiting_poller_count = q->poller_count, .rate_max = rate_limit(q),
                                        .backlog_count = task_queue_backlog_count(q)};
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        const struct level *level = &q->levels[i];
        stats->backlog_count_by_priority[i] = (int64_t)(level->task_count + level->disk_count);
        instant oldest = level_oldest(level);
        if (level->disk_count != 0 && level->disk_since.ns != 0) oldest = instant_min(oldest, level->disk_since);
        if (oldest.ns == INSTANT_NEVER.ns) continue;
        stats->backlog_age_by_priority[i] = instant_since(now, oldest);
        stats->backlog_age = duration_max(stats->backlog_age, stats->backlog_age_by_priority[i]);
    }
    stats->add_rate = stats->add_rate_by_priority[PRIORITY_DEFAULT] = meter_rate(&q->added, now);
    stats->dispatch_rate = stats->dispatch_rate_by_priority[PRIORITY_DEFAULT] = meter_rate(&q->dispatched, now);
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX && q->by_priority != NULL; i++) {
        if (i == PRIORITY_DEFAULT) continue;
        stats->add_rate_by_priority[i] = meter_rate(&q->by_priority->added[i], now);
        stats->dispatch_rate_by_priority[i] = meter_rate(&q->by_priority->dispatched[i], now);
        stats->add_rate_by_priority[PRIORITY_DEFAULT] = rest_of(stats->add_rate_by_priority[PRIORITY_DEFAULT], stats->add_rate_by_priority[i]);
        stats->dispatch_rate_by_priority[PRIORITY_DEFAULT] = rest_of(stats->dispatch_rate_by_priority[PRIORITY_DEFAULT], stats->dispatch_rate_by_priority[i]);
    }
    int64_t first = INT64_MAX;
    for (int i = PRIORITY_MIN; i <= PRIORITY_MAX; i++) {
        const struct level *level = &q->levels[i];
        if (level->loaded_to > stats->read_level) stats->read_level = level->loaded_to;
        if (level->task_count != 0 && level_first_order(level) < first) first = level_first_order(level);
    }
    stats->ack_level = first - 1 < stats->read_level ? first - 1 : stats->read_level;
}

size_t task_queue_pollers(const struct task_queue *q, instant now, struct arena *arena, struct poller_info **pollers)
{
    struct poller_info *infos = arena_array(arena, struct poller_info, map_count(&q->book.by_identity));
    size_t count = 0;
    for (const struct list *link = q->book.records.prev; link != &q->book.records; link = link->prev) {
        const struct poller_record *record = container_of(link, struct poller_record, link);
        if (instant_since(now, record->last_access).ns >= 300 * NS_PER_S) break;
        infos[count++] = (struct poller_info){arena_str(arena, record->identity), arena_str(arena, record->build_id),
                                              arena_str(arena, record->deployment), record->last_access, record->rate_max, false};
    }
    for (const struct list *link = q->pollers.next; link != &q->pollers; link = link->next) {
        const struct task_poller *poller = container_of(link, struct task_poller, link);
        for (size_t i = 0; i < count; i++) infos[i].is_waiting |= str_equal(infos[i].identity, poller->identity);
    }
    *pollers = infos;
    return count;
}
