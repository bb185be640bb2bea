/* shard/shard.c: a shard's life, its clock hand and its books. See shard.h; the other files each hold one part. */
#include "shard/internal.h"

#include <semaphore.h>
#include <stdlib.h>

#define RUN_KEYS_PER_SHARD (INT64_C(1) << 36)

/* ---- opening ---- */

static void mail_has_come(void *arg) { sem_post(arg); }
static void read_opened(struct mail *mail) { (void)mail; }

/* The one read that is waited for. */
static err read_counters(struct shard *s, struct store_read *read)
{
    sem_t arrived;
    struct mailbox box;
    sem_init(&arrived, 0, 0);
    mailbox_init(&box, mail_has_come, &arrived);
    *read = (struct store_read){.mail.open = read_opened, .reply_to = &box, .kind = STORE_READ_MAX, .shard = s->options.number};
    arena_init(&read->arena, 0, 0);
    store_read(s->env.store, read);
    while (sem_wait(&arrived) != 0) {}
    mailbox_open_all(&box);
    mailbox_fini(&box);
    sem_destroy(&arrived);
    arena_fini(&read->arena);
    return read->result;
}

static void set_default(size_t *value, size_t fallback) { if (*value == 0) *value = fallback; }

static struct shard *shard_create(const struct shard_env *env, const struct shard_options *options)
{
    struct shard *s = xcalloc(1, sizeof *s);
    s->env = *env;
    s->options = *options;
    set_default(&s->options.cache_bytes_max, (size_t)64 << 20);
    set_default(&s->options.calls_max, 100000);
    set_default(&s->options.loads_max, 256);
    set_default(&s->options.messages_max, 4096);
    set_default(&s->options.sleepers_max, 10000);
    if (s->options.wake_window.ns == 0) s->options.wake_window = duration_s(60);
    struct list *lists[] = {&s->used, &s->used_closed, &s->loads, &s->starved, &s->inner_calls, &s->finished, &s->commits, &s->writes_waiting, &s->history_reads};
    for (size_t i = 0; i < countof(lists); i++) list_init(lists[i]);
    return s;
}

err shard_open(const struct shard_env *env, const struct shard_options *options, struct shard **out, struct arena *arena, struct error *error)
{
    struct shard *s = shard_create(env, options);
    struct store_read read = {.result = ERR_NONE};
    err result = env->store->ops->acquire(env->store, options->number, options->owner, &s->lease_epoch, error, arena);
    if (result == ERR_NONE) result = read_counters(s, &read);
    if (result != ERR_NONE) {
        shard_destroy(s);
        return error != NULL && !str_is_empty(error->message) ? result
                                                              : error_set(error, arena, result, "shard %u can not be opened: %s", options->number, err_text(result));
    }
    int64_t base = (int64_t)options->number * RUN_KEYS_PER_SHARD;
    s->next_run = (read.max_run > base ? read.max_run : base) + 1;
    s->next_message = read.max_message + 1;
    s->last_task_order = read.max_task;
    s->has_messages_on_disk = true;
    /* Ids of a later life of the shard must differ from those of an earlier one. */
    prng_init(&s->prng, env->seed ^ (s->lease_epoch * UINT64_C(0x9e3779b97f4a7c15)) ^ options->number);
    wake_start(s);
    *out = s;
    return ERR_NONE;
}

/* ---- closing ---- */

void shard_close(struct shard *s)
{
    s->is_closing = true;
    struct list waiting, *link;
    list_init(&waiting);
    struct shard_slot *slot;
    for (size_t at = 0; (slot = map_next(&s->slots, &at, NULL)) != NULL;)
        while ((link = list_pop(&slot->calls)) != NULL) list_push(&waiting, link);
    struct shard_load *load;
    for (size_t at = 0; (load = map_u64_next(&s->key_loads, &at, NULL)) != NULL;)
        while ((link = list_pop(&load->calls)) != NULL) list_push(&waiting, link);
    while ((link = list_pop(&waiting)) != NULL) call_fail(s, container_of(link, struct shard_call, link), ERR_UNAVAILABLE);
    commit_relaxed(s);
}

bool shard_is_quiet(const struct shard *s)
{
    return s->load_count == 0 && s->history_read_count == 0 && s->commit_count == 0 && s->window_read == NULL && s->message_read == NULL && s->call_count == 0 &&
           s->receive_count == 0 && !s->is_work_sent;
}

void shard_destroy(struct shard *s)
{
    struct list *link;
    struct cached_run *run;
    for (size_t at = 0; (run = map_u64_next(&s->runs, &at, NULL)) != NULL;) cache_remove(s, run);
    map_u64_fini(&s->runs);
    struct shard_slot *slot;
    for (size_t at = 0; (slot = map_next(&s->slots, &at, NULL)) != NULL;) free(slot);
    map_fini(&s->slots);
    while ((link = list_first(&s->loads)) != NULL) load_free(container_of(link, struct shard_load, link));
    while ((link = list_first(&s->starved)) != NULL) {
        list_remove(link);
        free(container_of(link, struct shard_load, link));
    }
    map_u64_fini(&s->key_loads);
    history_reads_fini(s);
    commit_fini(s);
    message_fini(s);
    watch_fini(s);
    wake_fini(s);
    while ((link = list_first(&s->inner_calls)) != NULL) inner_call_destroy(container_of(link, struct inner_call, link));
    free(s);
}

/* ---- time ---- */

void shard_tick(struct shard *s)
{
    instant now = shard_now(s);
    wake_tick(s, now);
    message_tick(s, now);
    if (s->relaxed_count != 0 && !s->is_failing && !instant_before(now, s->relaxed_at)) commit_relaxed(s);
    cache_trim(s);
}

instant shard_next_due(const struct shard *s)
{
    instant due = instant_min(wake_next_due(s), message_next_due(s));
    if (s->relaxed_count != 0 && !s->is_failing) due = instant_min(due, s->relaxed_at);
    return due;
}

bool shard_is_recovering(const struct shard *s) { return s->is_recovery_read || s->recovery_count != 0; }

/* ---- numbers ---- */

/* Microseconds since 1970 above ten bits of shard number: rising over restarts, first come first served over shards. */
int64_t shard_take_task_order(struct shard *s)
{
    const int64_t step = INT64_C(1) << 10;
    int64_t order = shard_now(s).ns / 1000 * step + (int64_t)(s->options.number % (uint32_t)step);
    if (order <= s->last_task_order) order = s->last_task_order - s->last_task_order % step + step + (int64_t)(s->options.number % (uint32_t)step);
    s->last_task_order = order;
    return order;
}

uint32_t shard_number(const struct shard *s) { return s->options.number; }
struct prng *shard_prng(struct shard *s) { return &s->prng; }

void shard_get_stats(const struct shard *s, struct shard_stats *stats)
{
    *stats = s->stats;
    stats->cached_runs = map_u64_count(&s->runs);
    stats->cached_bytes = s->cache_bytes;
    stats->waiting_calls = s->call_count;
    stats->loads = s->load_count;
    stats->commits = s->commit_count;
    stats->sleeping_runs = s->sleepers.count;
    stats->messages = map_u64_count(&s->deliveries);
    stats->watches = s->watch_count;
}

void shard_check(const struct shard *s)
{
    size_t bytes = 0, closed_bytes = 0, runs = 0;
    const struct cached_run *run;
    for (size_t at = 0; (run = map_u64_next(&s->runs, &at, NULL)) != NULL;) {
        bytes += run->memory;
        if (run->is_closed) closed_bytes += run->memory;
        runs++;
        ensure(execution_run(run->execution) == run->run && run->commit_sequence <= s->sequence);
        ensure(map_get(&s->slots, run->slot->map_key) == run->slot);
        ensure(!run->slot->is_current_known || run->slot->current >= run->run);
    }
    ensure(bytes == s->cache_bytes && closed_bytes == s->closed_bytes && runs == map_u64_count(&s->runs));
    size_t commits = 0;
    uint64_t sequence = s->durable_sequence;
    for (const struct list *link = s->commits.next; link != &s->commits; link = link->next) {
        const struct shard_commit *c = container_of(link, struct shard_commit, link);
        ensure(c->sequence == sequence + 1);
        sequence = c->sequence;
        commits++;
    }
    ensure(commits == s->commit_count && sequence == s->sequence);
    ensure(s->sleepers.count == map_u64_count(&s->sleeper_of));
    ensure(s->is_failing || list_is_empty(&s->starved) || s->load_count != 0);
}
