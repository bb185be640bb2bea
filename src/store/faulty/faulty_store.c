#include "store/faulty/faulty_store.h"

#include "base/heap.h"

#include <stdlib.h>

/* A commit on its way, and later its copy in the log. */
struct entry {
    struct list link;            /* in pending, then in log */
    struct heap_node due;
    struct store_commit *from;   /* whose it is; NULL once it was reported or lost */
    struct store_commit copy;    /* its operations, copied */
    struct arena arena;
    bool is_durable;
    err failure;                 /* decided at submission */
};

struct question {
    struct list link;
    struct heap_node due;
    struct store_read *from;
};

struct faulty_store {
    struct store store;
    struct faulty_options options;
    struct store *seen, *durable; /* memory stores */
    struct mailbox inside;        /* of those two, and of replayed commits */
    struct list log, pending, questions;
    struct heap due_commits, due_reads;
    struct prng prng;
    instant now, last_durable;
    uint32_t shard;
    uint64_t epoch;
    err failed;                   /* a commit has failed; until recover */
    bool is_full, has_fired;
    bool is_tainted;              /* reads see what has failed, until recover: the failure was noticed late */
    int64_t armed;
    struct faulty_stats stats;
};

static struct faulty_store *of(struct store *store) { return container_of(store, struct faulty_store, store); }

/* ---- the two stores inside ---- */

static void ignore(struct mail *mail) { (void)mail; }

static err apply(struct faulty_store *f, struct store *inner, struct entry *entry)
{
    entry->copy.mail = (struct mail){.open = ignore};
    entry->copy.reply_to = &f->inside;
    store_commit(inner, &entry->copy);
    mailbox_open_all(&f->inside);
    return entry->copy.result;
}

static struct store *open_inner(struct faulty_store *f)
{
    struct store *inner;
    ensure(store_memory_open(&inner) == ERR_NONE);
    uint64_t epoch = 0;
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct error error = {0};
    while (f->epoch != 0 && epoch < f->epoch) ensure(inner->ops->acquire(inner, f->shard, STR("sim"), &epoch, &error, &arena) == ERR_NONE);
    arena_fini(&arena);
    return inner;
}

/* Everything that was seen and is not durable is undone. */
static void forget_undurable(struct faulty_store *f)
{
    store_close(f->seen);
    f->seen = open_inner(f);
    list_each(link, &f->log) {
        struct entry *entry = container_of(link, struct entry, link);
        entry->copy.lease_epoch = f->epoch;
        ensure(apply(f, f->seen, entry) == ERR_NONE);
    }
}

/* ---- copies ---- */

static void copy_ops(struct entry *entry, const struct store_commit *from)
{
    struct store_op *ops = arena_array(&entry->arena, struct store_op, from->op_count + 1);
    for (size_t i = 0; i < from->op_count; i++) {
        ops[i] = from->ops[i];
        ops[i].key = arena_str(&entry->arena, from->ops[i].key);
        ops[i].run_id = arena_str(&entry->arena, from->ops[i].run_id);
        ops[i].bytes = arena_str(&entry->arena, from->ops[i].bytes);
        if (from->ops[i].visibility != NULL) ops[i].visibility = PB_CLONE(&entry->arena, pb_store_VisibilityRow, from->ops[i].visibility);
    }
    entry->copy = (struct store_commit){.shard = from->shard, .lease_epoch = from->lease_epoch, .ops = ops, .op_count = from->op_count};
}

static void entry_free(struct entry *entry)
{
    list_remove(&entry->link);
    arena_fini(&entry->arena);
    free(entry);
}

/* ---- faults and delays ---- */

static duration delay(struct faulty_store *f)
{
    if (f->options.delay_max.ns == 0) return (duration){0};
    int64_t most = prng_chance(&f->prng, 20) ? 20 * f->options.delay_max.ns : f->options.delay_max.ns;
    return (duration){(int64_t)prng_below(&f->prng, (uint64_t)most + 1)};
}

static bool fails_now(struct faulty_store *f)
{
    if (f->armed > 0) {
        f->armed--;
    } else if (f->armed == 0) {
        f->armed = -1;
        f->has_fired = true;
        return true;
    }
    return f->options.fail_one_in != 0 && prng_chance(&f->prng, f->options.fail_one_in);
}

/* ---- commits ---- */

static err judge(struct faulty_store *f, const struct store_commit *commit)
{
    if (commit->lease_epoch != f->epoch) return ERR_STALE_LEASE;
    if (f->failed != ERR_NONE) return f->failed;
    if (f->is_full) return ERR_STORE_FULL;
    return fails_now(f) ? ERR_STORE : ERR_NONE;
}

static void submit_commit(struct store *store, struct store_commit *commit)
{
    struct faulty_store *f = of(store);
    struct entry *entry = xcalloc(1, sizeof *entry);
    arena_init(&entry->arena, 0, 0);
    copy_ops(entry, commit);
    entry->from = commit;
    entry->failure = judge(f, commit);
    f->stats.commits++;
    if (entry->failure != ERR_NONE && entry->failure != ERR_STALE_LEASE && f->failed == ERR_NONE) {
        f->failed = entry->failure;
        f->is_tainted = f->options.delay_max.ns != 0 && prng_chance(&f->prng, 8);
        f->stats.failed++;
    }
    if (entry->failure == ERR_NONE || (f->is_tainted && entry->failure != ERR_STALE_LEASE))
        ensure(apply(f, f->seen, entry) == ERR_NONE); /* what the shard writes is sound */
    list_push(&f->pending, &entry->link);
    f->last_durable = instant_max(f->last_durable, instant_add(f->now, delay(f)));
    heap_put(&f->due_commits, &entry->due, f->last_durable);
}

static void make_durable(struct faulty_store *f, struct entry *entry)
{
    entry->copy.lease_epoch = f->epoch;
    ensure(apply(f, f->durable, entry) == ERR_NONE);
    entry->is_durable = true;
    f->stats.durable++;
    if (f->options.on_durable != NULL) f->options.on_durable(f->options.arg, &entry->copy);
}

static void report(struct faulty_store *f, struct entry *entry)
{
    struct store_commit *commit = entry->from;
    entry->from = NULL;
    commit->result = entry->failure;
    list_remove(&entry->link);
    if (entry->is_durable) {
        list_push(&f->log, &entry->link);
    } else {
        entry_free(entry);
    }
    mailbox_send(commit->reply_to, &commit->mail);
}

/* First durable, then, a while later but still in order, reported. */
static void tick_commits(struct faulty_store *f)
{
    struct heap_node *node;
    while ((node = heap_first(&f->due_commits)) != NULL && !instant_before(f->now, node->due)) {
        struct entry *entry = container_of(node, struct entry, due);
        heap_remove(&f->due_commits, node);
        bool is_first = list_first(&f->pending) == &entry->link;
        if (entry->failure == ERR_NONE && !entry->is_durable) {
            make_durable(f, entry);
            if (f->options.delay_max.ns != 0 && prng_chance(&f->prng, 2)) is_first = false;
        }
        if (is_first) {
            report(f, entry);
        } else {
            f->last_durable = instant_max(f->last_durable, instant_add(f->now, duration_ms(1)));
            heap_put(&f->due_commits, &entry->due, instant_add(f->now, duration_ms(1)));
        }
    }
}

/* ---- reads ---- */

static void submit_read(struct store *store, struct store_read *read)
{
    struct faulty_store *f = of(store);
    struct question *question = xcalloc(1, sizeof *question);
    question->from = read;
    f->stats.reads++;
    if (fails_now(f) && read->kind != STORE_READ_MAX) {
        read->result = ERR_STORE;
    } else {
        struct mailbox *reply_to = read->reply_to;
        void (*open)(struct mail *) = read->mail.open;
        read->reply_to = &f->inside;
        read->mail.open = ignore;
        store_read(f->seen, read);
        mailbox_open_all(&f->inside);
        read->reply_to = reply_to;
        read->mail = (struct mail){.open = open};
    }
    if (read->kind == STORE_READ_MAX) { /* the one that its caller waits for */
        free(question);
        mailbox_send(read->reply_to, &read->mail);
        return;
    }
    list_push(&f->questions, &question->link);
    heap_put(&f->due_reads, &question->due, instant_add(f->now, delay(f)));
}

static void tick_reads(struct faulty_store *f)
{
    struct heap_node *node;
    while ((node = heap_first(&f->due_reads)) != NULL && !instant_before(f->now, node->due)) {
        struct question *question = container_of(node, struct question, due);
        struct store_read *read = question->from;
        heap_remove(&f->due_reads, node);
        list_remove(&question->link);
        free(question);
        mailbox_send(read->reply_to, &read->mail);
    }
}

/* ---- lease ---- */

static err acquire(struct store *store, uint32_t shard, struct str owner, uint64_t *epoch, struct error *error, struct arena *arena)
{
    struct faulty_store *f = of(store);
    f->shard = shard;
    TRY(f->durable->ops->acquire(f->durable, shard, owner, epoch, error, arena));
    TRY(f->seen->ops->acquire(f->seen, shard, owner, epoch, error, arena));
    f->epoch = *epoch;
    f->failed = ERR_NONE;
    return ERR_NONE;
}

static void recover(struct store *store, uint32_t shard)
{
    struct faulty_store *f = of(store);
    (void)shard;
    ensure(list_is_empty(&f->pending)); /* the shard waits for every answer first */
    f->failed = ERR_NONE;
    if (f->is_tainted) forget_undurable(f);
    f->is_tainted = false;
}

static void stays_open(struct store *store) { (void)store; }

static const struct store_ops faulty_ops = {submit_commit, submit_read, acquire, recover, stays_open, "faulty"};

/* ---- life ---- */

struct faulty_store *faulty_create(const struct faulty_options *options, instant now)
{
    struct faulty_store *f = xcalloc(1, sizeof *f);
    f->store.ops = &faulty_ops;
    f->options = *options;
    f->now = now;
    f->armed = -1;
    prng_init(&f->prng, options->seed);
    mailbox_init(&f->inside, NULL, NULL);
    list_init(&f->log);
    list_init(&f->pending);
    list_init(&f->questions);
    f->seen = open_inner(f);
    f->durable = open_inner(f);
    return f;
}

static void free_questions(struct faulty_store *f)
{
    struct list *link;
    while ((link = list_pop(&f->questions)) != NULL) {
        struct question *question = container_of(link, struct question, link);
        heap_remove(&f->due_reads, &question->due);
        free(question);
    }
}

void faulty_destroy(struct faulty_store *f)
{
    struct list *link;
    while ((link = list_first(&f->log)) != NULL) entry_free(container_of(link, struct entry, link));
    while ((link = list_first(&f->pending)) != NULL) entry_free(container_of(link, struct entry, link));
    free_questions(f);
    heap_fini(&f->due_commits);
    heap_fini(&f->due_reads);
    store_close(f->seen);
    store_close(f->durable);
    mailbox_fini(&f->inside);
    free(f);
}

struct store *faulty_as_store(struct faulty_store *f) { return &f->store; }

void faulty_set_now(struct faulty_store *f, instant now) { f->now = now; }

instant faulty_next_due(const struct faulty_store *f)
{
    const struct heap_node *commit = heap_first(&f->due_commits), *read = heap_first(&f->due_reads);
    return instant_min(commit != NULL ? commit->due : INSTANT_NEVER, read != NULL ? read->due : INSTANT_NEVER);
}

void faulty_tick(struct faulty_store *f)
{
    tick_commits(f);
    tick_reads(f);
}

void faulty_arm(struct faulty_store *f, int64_t nth)
{
    f->armed = nth;
    f->has_fired = false;
}

bool faulty_has_fired(const struct faulty_store *f) { return f->has_fired; }
void faulty_set_fail_one_in(struct faulty_store *f, uint32_t one_in) { f->options.fail_one_in = one_in; }
void faulty_set_full(struct faulty_store *f, bool is_full) { f->is_full = is_full; }

void faulty_crash(struct faulty_store *f)
{
    bool is_kept = true;
    struct list *link;
    f->stats.crashes++;
    while ((link = list_first(&f->pending)) != NULL) {
        struct entry *entry = container_of(link, struct entry, link);
        heap_remove(&f->due_commits, &entry->due);
        if (!entry->is_durable) {
            is_kept = is_kept && entry->failure == ERR_NONE && prng_chance(&f->prng, 2);
            if (is_kept) make_durable(f, entry);
        }
        if (!entry->is_durable) {
            f->stats.lost++;
            entry_free(entry);
            continue;
        }
        entry->from = NULL;
        list_remove(&entry->link);
        list_push(&f->log, &entry->link);
    }
    free_questions(f);
    f->failed = ERR_NONE;
    f->is_tainted = false;
    f->last_durable = f->now;
    forget_undurable(f);
}

static void read_now(struct faulty_store *f, struct store *inner, struct store_read *read)
{
    read->reply_to = &f->inside;
    read->mail = (struct mail){.open = ignore};
    store_read(inner, read);
    mailbox_open_all(&f->inside);
}

void faulty_read_durable(struct faulty_store *f, struct store_read *read) { read_now(f, f->durable, read); }
void faulty_read_seen(struct faulty_store *f, struct store_read *read) { read_now(f, f->seen, read); }

bool faulty_is_failing(const struct faulty_store *f) { return f->failed != ERR_NONE; }
struct faulty_stats faulty_get_stats(const struct faulty_store *f) { return f->stats; }
