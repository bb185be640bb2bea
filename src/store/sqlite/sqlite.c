/* The embedded store: one file, one writer thread that takes what has arrived as its next transaction, readers on snapshots.
 *
 *   submit ──► commits ──► writer: begin, apply all, commit (sync) ──► mails
 *   submit ──► reads: at once to a reader when no queued commit touches what it asks for, else behind that commit
 *
 * (1) `submitted` counts commits; `resolved` is the newest whose outcome readers can see. A read waits for the newest commit that touched
 *     its mark (a hash of what is read, so that two things may share one: that only delays).
 * (2) Leases live in memory under the mutex and are written before acquire returns: the file belongs to this process.
 * (3) Numbers given out (run, task, message) stay below the ceilings in the shard table, which rise in steps so that not every
 *     transaction writes that row. A clean close writes them exactly.
 * (4) The log is copied into the file by a thread of its own; when it grows all the same the writer waits for that once and starts
 *     the log over. Without the latter it would grow for ever under steady load. */
#include "base/log.h"
#include "store/lease.h"
#include "store/sqlite/batch.h"
#include "store/sqlite/read.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    MARK_COUNT = 4096,
    BATCH_DEFAULT = 256,
    CEILING_STEP = 1024,
    LOG_PAGES_COPY = 4000,       /* 16 MB: the second connection begins to copy the log into the file */
    LOG_PAGES_RESTART = 16000,   /* 64 MB: the writer starts it over */
    FREE_PAGES_KEPT = 1024,      /* 4 MB stay for reuse; what is beyond goes back to the file system */
    LOG_ONE_IN = 100,            /* a full disk fails every transaction: one line for so many */
    RESTART_WAIT_MS = 50,        /* for readers of the old log */
    THREAD_STACK = 1024 * 1024,  /* address space; a filter of many parts is a deep statement */
};

struct lane { /* a reader thread */
    pthread_t thread;
    pthread_cond_t wake;
    struct list ready;
    struct database db;
    struct sqlite *s;
};
struct sqlite_lease { /* what the shard table says */
    int64_t run, task, message;
};
struct ticket { /* a wish to acquire */
    struct list link;
    uint32_t shard;
    struct str owner;
    uint64_t epoch;
    err result;
    bool is_done;
};
struct sqlite {
    struct store store;
    struct store_sqlite_options options;
    char *path;
    int lock_fd;

    pthread_mutex_t mutex;       /* all from here to `is_closing` */
    pthread_cond_t writer_wake, copier_wake, ticket_done;
    struct list commits, tickets, waiting; /* waiting: reads behind commits */
    struct leases leases;
    uint64_t submitted, resolved;
    uint64_t marks[MARK_COUNT];
    int log_pages;
    bool is_closing, is_writer_gone;

    struct database writer, copier;
    struct batch batch;
    struct rows rows;
    struct map_u64 ceilings;     /* the writer's: shard -> struct sqlite_lease */
    bool is_vacuum_due;
    int restart_after;           /* log pages */
    unsigned failures_in_row;    /* transactions */
    pthread_t writer_thread, copier_thread;
    struct lane points, lists;   /* single rows and pages; lists and counts, which may take long */
};

static struct sqlite *sqlite_of(struct store *store) { return container_of(store, struct sqlite, store); }

/* ---- what a commit touches and a read asks for ---- */

enum mark_kind { MARK_RUN, MARK_ID, MARK_ANY_RUN, MARK_WAKE, MARK_TASK, MARK_MESSAGE, MARK_KV, MARK_ROWS };

static uint32_t mark_of(enum mark_kind kind, int64_t number, struct str bytes)
{
    uint64_t h = ((uint64_t)number + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)kind * UINT64_C(0xc2b2ae3d27d4eb4f);
    if (bytes.size != 0) h ^= str_hash(bytes);
    return (uint32_t)((h ^ (h >> 32)) % MARK_COUNT);
}

/* Which runs a commit puts. A change of a run's items that comes without its row is not found by the run's id, so it marks all runs. */
struct puts { int64_t runs[8]; size_t count; };

static struct puts puts_of(const struct store_commit *commit)
{
    struct puts puts = {0};
    for (size_t i = 0; i < commit->op_count && puts.count < countof(puts.runs); i++) {
        if (commit->ops[i].kind == STORE_RUN_PUT) puts.runs[puts.count++] = commit->ops[i].run;
    }
    return puts;
}

static bool puts_has(const struct puts *puts, int64_t run)
{
    for (size_t i = 0; i < puts->count; i++) {
        if (puts->runs[i] == run) return true;
    }
    return false;
}

static void marks_set(struct sqlite *s, const struct store_commit *commit)
{
    struct puts puts = puts_of(commit);
    for (size_t i = 0; i < commit->op_count; i++) {
        const struct store_op *op = &commit->ops[i];
        uint32_t mark = 0;
        switch (op->kind) {
        case STORE_RUN_PUT:
            s->marks[mark_of(MARK_ID, op->namespace_key, op->key)] = commit->sequence;
            mark = mark_of(MARK_RUN, op->run, STR_EMPTY);
            break;
        case STORE_RUN_DELETE:
            s->marks[mark_of(MARK_ANY_RUN, 0, STR_EMPTY)] = commit->sequence;
            s->marks[mark_of(MARK_WAKE, commit->shard, STR_EMPTY)] = commit->sequence;
            mark = mark_of(MARK_ROWS, 0, STR_EMPTY);
            break;
        case STORE_ITEM_PUT:
        case STORE_ITEM_DELETE:
            if (!puts_has(&puts, op->run)) s->marks[mark_of(MARK_ANY_RUN, 0, STR_EMPTY)] = commit->sequence;
            mark = mark_of(MARK_RUN, op->run, STR_EMPTY);
            break;
        case STORE_HISTORY_APPEND: mark = mark_of(MARK_RUN, op->run, STR_EMPTY); break;
        case STORE_BRANCH_REF: continue; /* no read shows it */
        case STORE_WAKE_PUT:
        case STORE_WAKE_DELETE:
            if (!puts_has(&puts, op->run)) s->marks[mark_of(MARK_ANY_RUN, 0, STR_EMPTY)] = commit->sequence;
            s->marks[mark_of(MARK_RUN, op->run, STR_EMPTY)] = commit->sequence;
            mark = mark_of(MARK_WAKE, commit->shard, STR_EMPTY);
            break;
        case STORE_TASK_PUT:
        case STORE_TASK_DELETE: mark = mark_of(MARK_TASK, op->a, STR_EMPTY); break;
        case STORE_MESSAGE_PUT:
        case STORE_MESSAGE_DELETE: mark = mark_of(MARK_MESSAGE, commit->shard, STR_EMPTY); break;
        case STORE_VISIBILITY_PUT:
        case STORE_VISIBILITY_DELETE: mark = mark_of(MARK_ROWS, 0, STR_EMPTY); break;
        case STORE_KV_PUT:
        case STORE_KV_DELETE: mark = mark_of(MARK_KV, op->item_kind, STR_EMPTY); break;
        }
        s->marks[mark] = commit->sequence;
    }
}

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* The commit that a read stands behind. */
static uint64_t read_depends_on(const struct sqlite *s, const struct store_read *read)
{
    uint64_t any_run = s->marks[mark_of(MARK_ANY_RUN, 0, STR_EMPTY)];
    switch (read->kind) {
    case STORE_READ_CURRENT:
    case STORE_READ_RUN:
    case STORE_READ_RUNS_OF: return later(any_run, s->marks[mark_of(MARK_ID, read->namespace_key, read->key)]);
    case STORE_READ_RUN_KEY:
    case STORE_READ_HISTORY: return later(any_run, s->marks[mark_of(MARK_RUN, read->run, STR_EMPTY)]);
    case STORE_READ_WAKE: return s->marks[mark_of(MARK_WAKE, read->shard, STR_EMPTY)];
    case STORE_READ_TASKS:
    case STORE_COUNT_TASKS: return s->marks[mark_of(MARK_TASK, read->run, STR_EMPTY)];
    case STORE_READ_MESSAGES: return s->marks[mark_of(MARK_MESSAGE, read->shard, STR_EMPTY)];
    case STORE_READ_KV:
    case STORE_READ_KV_RANGE: return s->marks[mark_of(MARK_KV, read->space, STR_EMPTY)];
    case STORE_LIST:
    case STORE_COUNT: return s->marks[mark_of(MARK_ROWS, 0, STR_EMPTY)];
    case STORE_READ_MAX: return s->submitted;
    }
    return s->submitted;
}

/* ---- submitting ---- */

static void commit_submit(struct store *store, struct store_commit *commit)
{
    struct sqlite *s = sqlite_of(store);
    pthread_mutex_lock(&s->mutex);
    commit->sequence = ++s->submitted;
    marks_set(s, commit);
    bool was_empty = list_is_empty(&s->commits);
    list_push(&s->commits, &commit->link);
    if (was_empty) pthread_cond_signal(&s->writer_wake);
    pthread_mutex_unlock(&s->mutex);
}

static void read_ready(struct sqlite *s, struct store_read *read)
{
    struct lane *lane = read->kind == STORE_LIST || read->kind == STORE_COUNT ? &s->lists : &s->points;
    bool was_empty = list_is_empty(&lane->ready);
    list_push(&lane->ready, &read->link);
    if (was_empty) pthread_cond_signal(&lane->wake);
}

static void read_submit(struct store *store, struct store_read *read)
{
    struct sqlite *s = sqlite_of(store);
    pthread_mutex_lock(&s->mutex);
    read->sequence = read_depends_on(s, read);
    if (read->sequence <= s->resolved) read_ready(s, read);
    else list_push(&s->waiting, &read->link);
    pthread_mutex_unlock(&s->mutex);
}

static err acquire(struct store *store, uint32_t shard, struct str owner, uint64_t *epoch, struct error *error, struct arena *arena)
{
    struct sqlite *s = sqlite_of(store);
    struct ticket ticket = {.shard = shard, .owner = owner};
    pthread_mutex_lock(&s->mutex);
    list_push(&s->tickets, &ticket.link);
    pthread_cond_signal(&s->writer_wake);
    while (!ticket.is_done) pthread_cond_wait(&s->ticket_done, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    if (ticket.result != ERR_NONE) {
        return error_set(error, arena, ticket.result, "the lease of shard %" PRIu32 " could not be written to %s", shard, s->path);
    }
    *epoch = ticket.epoch;
    return ERR_NONE;
}

static void recover(struct store *store, uint32_t shard)
{
    struct sqlite *s = sqlite_of(store);
    pthread_mutex_lock(&s->mutex);
    lease_recover(lease_of(&s->leases, shard), s->submitted);
    pthread_mutex_unlock(&s->mutex);
}

/* ---- the writer ---- */

static struct sqlite_lease *ceiling_of(struct sqlite *s, uint32_t shard)
{
    struct sqlite_lease *ceiling = map_u64_get(&s->ceilings, shard);
    if (ceiling == NULL) {
        ceiling = xcalloc(1, sizeof(*ceiling));
        map_u64_put(&s->ceilings, shard, ceiling);
    }
    return ceiling;
}

static err shard_write(struct sqlite *s, const struct lease *lease, struct str owner, const struct sqlite_lease *max)
{
    sqlite3_stmt *st = database_use(&s->writer, SQL_SHARD_PUT);
    bind_int(st, 1, lease->shard);
    bind_int(st, 2, (int64_t)lease->epoch);
    if (st != NULL) sqlite3_bind_text64(st, 3, owner.data != NULL ? owner.data : "", owner.size, SQLITE_STATIC, SQLITE_UTF8);
    bind_int(st, 4, max->run);
    bind_int(st, 5, max->task);
    bind_int(st, 6, max->message);
    return database_run(&s->writer, st);
}

static void ticket_serve(struct sqlite *s, struct ticket *ticket)
{
    pthread_mutex_lock(&s->mutex);
    struct lease *lease = lease_of(&s->leases, ticket->shard);
    lease_acquire(lease); /* a failure below burns an epoch, no more */
    struct lease copy = *lease;
    pthread_mutex_unlock(&s->mutex);
    err result = shard_write(s, &copy, ticket->owner, ceiling_of(s, ticket->shard));
    pthread_mutex_lock(&s->mutex);
    ticket->epoch = copy.epoch;
    ticket->result = result;
    ticket->is_done = true;
    pthread_cond_broadcast(&s->ticket_done);
    pthread_mutex_unlock(&s->mutex);
}

static int64_t ceiling_for(int64_t value, int64_t ceiling) { return value > ceiling ? value + CEILING_STEP : ceiling; }

static struct sqlite_lease ceiling_raised(struct sqlite_lease at, const struct store_commit *commit)
{
    for (size_t i = 0; i < commit->op_count; i++) {
        const struct store_op *op = &commit->ops[i];
        if (op->kind == STORE_RUN_PUT) at.run = ceiling_for(op->run, at.run);
        if (op->kind == STORE_VISIBILITY_PUT && str_is_empty(op->visibility->namespace_division)) at.run = ceiling_for(op->visibility->run_key, at.run);
        if (op->kind == STORE_TASK_PUT) at.task = ceiling_for(op->b, at.task);
        if (op->kind == STORE_MESSAGE_PUT) at.message = ceiling_for(op->b, at.message);
    }
    return at;
}

static err ceiling_apply(struct sqlite *s, const struct store_commit *commit)
{
    struct sqlite_lease *ceiling = ceiling_of(s, commit->shard), raised = ceiling_raised(*ceiling, commit);
    if (raised.run == ceiling->run && raised.task == ceiling->task && raised.message == ceiling->message) return ERR_NONE;
    sqlite3_stmt *st = database_use(&s->writer, SQL_SHARD_MAX);
    bind_int(st, 1, commit->shard);
    bind_int(st, 2, raised.run);
    bind_int(st, 3, raised.task);
    bind_int(st, 4, raised.message);
    TRY(database_run(&s->writer, st));
    *ceiling = raised; /* a rollback leaves it too high in memory and is mended by ceilings_reload */
    return ERR_NONE;
}

static err leases_load(struct sqlite *s, bool is_first)
{
    sqlite3_stmt *st = database_use(&s->writer, SQL_SHARD_ALL);
    for (bool has_row;;) {
        TRY(database_step(&s->writer, st, &has_row));
        if (!has_row) return ERR_NONE;
        uint32_t shard = (uint32_t)sqlite3_column_int64(st, 0);
        struct sqlite_lease max = {sqlite3_column_int64(st, 2), sqlite3_column_int64(st, 3), sqlite3_column_int64(st, 4)};
        *ceiling_of(s, shard) = max;
        if (!is_first) continue;
        struct lease *lease = lease_of(&s->leases, shard);
        lease->epoch = (uint64_t)sqlite3_column_int64(st, 1);
        lease->max_run = max.run;
        lease->max_task = max.task;
        lease->max_message = max.message;
    }
}

/* Commits in one transaction. The ones that leases refuse have their result already and are left out. */
static err transaction_try(struct sqlite *s, struct store_commit **commits, size_t count)
{
    TRY(batch_begin(&s->batch));
    for (size_t i = 0; i < count; i++) {
        if (commits[i]->result != ERR_NONE) continue;
        TRY(ceiling_apply(s, commits[i]));
        TRY(batch_apply(&s->batch, commits[i]));
    }
    return batch_end(&s->batch);
}

static err transaction_run(struct sqlite *s, struct store_commit **commits, size_t count)
{
    err result = transaction_try(s, commits, count);
    if (result == ERR_NONE) {
        if (s->failures_in_row != 0) log_info("store", "transactions succeed again", "file", s->path);
        s->failures_in_row = 0;
        return ERR_NONE;
    }
    if (s->failures_in_row++ % LOG_ONE_IN == 0) {
        log_warn("store", "a transaction failed", "error", err_text(result), "engine", sqlite3_errmsg(s->writer.handle), "file", s->path);
    }
    batch_abandon(&s->batch);
    if (leases_load(s, false) != ERR_NONE) log_error("store", "the shard table can not be read", "file", s->path);
    return result;
}

static void admit(struct sqlite *s, struct store_commit **commits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = lease_of(&s->leases, commits[i]->shard);
        commits[i]->result = lease_admit(lease, commits[i]);
        if (commits[i]->result != ERR_NONE && commits[i]->result != ERR_STALE_LEASE) lease_note(lease, commits[i], commits[i]->result);
    }
}

static void note(struct sqlite *s, struct store_commit **commits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (commits[i]->result != ERR_STALE_LEASE) lease_note(lease_of(&s->leases, commits[i]->shard), commits[i], commits[i]->result);
    }
}

/* A failure that is one commit's own fault must not fail its neighbours: then each gets a transaction of its own. */
static void batch_commit(struct sqlite *s, struct store_commit **commits, size_t count)
{
    pthread_mutex_lock(&s->mutex);
    admit(s, commits, count);
    pthread_mutex_unlock(&s->mutex);
    err result = transaction_run(s, commits, count);
    bool is_alone = count == 1 || result != ERR_INVALID;
    for (size_t i = 0; i < count; i++) {
        if (commits[i]->result != ERR_NONE) continue;
        if (is_alone) {
            commits[i]->result = result;
            continue;
        }
        pthread_mutex_lock(&s->mutex);
        commits[i]->result = lease_admit(lease_of(&s->leases, commits[i]->shard), commits[i]);
        pthread_mutex_unlock(&s->mutex);
        if (commits[i]->result == ERR_NONE) commits[i]->result = transaction_run(s, &commits[i], 1);
        pthread_mutex_lock(&s->mutex);
        note(s, &commits[i], 1);
        pthread_mutex_unlock(&s->mutex);
    }
    pthread_mutex_lock(&s->mutex);
    note(s, commits, count);
    s->resolved = commits[count - 1]->sequence;
    list_each_safe(link, &s->waiting) {
        struct store_read *read = container_of(link, struct store_read, link);
        if (read->sequence > s->resolved) continue;
        list_remove(link);
        read_ready(s, read);
    }
    if (s->log_pages > LOG_PAGES_COPY) pthread_cond_signal(&s->copier_wake);
    pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < count; i++) mailbox_send(commits[i]->reply_to, &commits[i]->mail);
    if (result == ERR_STORE_FULL) s->restart_after = 0; /* a log that starts over needs no room */
}

/* Work between transactions. True: there is more of it. */
static bool housekeeping(struct sqlite *s)
{
    pthread_mutex_lock(&s->mutex);
    int pages = s->log_pages;
    pthread_mutex_unlock(&s->mutex);
    if (pages > s->restart_after) {
        sqlite3_busy_timeout(s->writer.handle, RESTART_WAIT_MS);
        int rc = sqlite3_wal_checkpoint_v2(s->writer.handle, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        sqlite3_busy_timeout(s->writer.handle, DATABASE_WAIT_MS);
        s->restart_after = rc == SQLITE_OK ? LOG_PAGES_RESTART : pages + 2000; /* a long list is reading: later */
        pthread_mutex_lock(&s->mutex);
        if (rc == SQLITE_OK) s->log_pages = 0;
        pthread_mutex_unlock(&s->mutex);
    }
    if (!s->batch.has_deletes && !s->is_vacuum_due) return false;
    s->batch.has_deletes = s->is_vacuum_due = false;
    sqlite3_stmt *st = database_use(&s->writer, SQL_FREE_PAGES);
    bool has_row;
    if (database_step(&s->writer, st, &has_row) != ERR_NONE) return false;
    int64_t free_pages = has_row ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    if (free_pages < FREE_PAGES_KEPT + 256) return false;
    st = database_use(&s->writer, SQL_VACUUM);
    err result;
    do { /* one row a page */
        result = database_step(&s->writer, st, &has_row);
    } while (result == ERR_NONE && has_row);
    s->is_vacuum_due = result == ERR_NONE;
    return s->is_vacuum_due;
}

static size_t commits_take(struct sqlite *s, struct store_commit **commits)
{
    size_t count = 0;
    for (struct list *link; count < s->options.batch_max && (link = list_pop(&s->commits)) != NULL; count++) {
        commits[count] = container_of(link, struct store_commit, link);
    }
    return count;
}

static void *writer_run(void *arg)
{
    struct sqlite *s = arg;
    struct store_commit **commits = xmalloc(s->options.batch_max * sizeof(struct store_commit *));
    bool has_more = false;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        while (!has_more && list_is_empty(&s->commits) && list_is_empty(&s->tickets) && !s->is_closing) {
            pthread_cond_wait(&s->writer_wake, &s->mutex);
        }
        struct list *link = list_pop(&s->tickets);
        size_t count = link == NULL ? commits_take(s, commits) : 0;
        if (link == NULL && count == 0 && s->is_closing) break;
        pthread_mutex_unlock(&s->mutex);
        if (link != NULL) ticket_serve(s, container_of(link, struct ticket, link));
        if (count != 0) batch_commit(s, commits, count);
        has_more = housekeeping(s);
        pthread_mutex_lock(&s->mutex);
    }
    s->is_writer_gone = true;
    pthread_cond_signal(&s->points.wake);
    pthread_cond_signal(&s->lists.wake);
    pthread_cond_signal(&s->copier_wake);
    pthread_mutex_unlock(&s->mutex);
    free(commits);
    return NULL;
}

static int log_grew(void *arg, sqlite3 *handle, const char *name, int pages)
{
    (void)handle;
    (void)name;
    struct sqlite *s = arg;
    pthread_mutex_lock(&s->mutex);
    s->log_pages = pages;
    pthread_mutex_unlock(&s->mutex);
    return SQLITE_OK;
}

static void *copier_run(void *arg)
{
    struct sqlite *s = arg;
    pthread_mutex_lock(&s->mutex);
    while (!s->is_writer_gone) {
        if (s->log_pages <= LOG_PAGES_COPY) {
            pthread_cond_wait(&s->copier_wake, &s->mutex);
            continue;
        }
        pthread_mutex_unlock(&s->mutex);
        (void)sqlite3_wal_checkpoint_v2(s->copier.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        pthread_mutex_lock(&s->mutex);
        if (!s->is_writer_gone) pthread_cond_wait(&s->copier_wake, &s->mutex); /* for the next transaction */
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- the readers ---- */

static void max_give(struct sqlite *s, struct store_read *read)
{
    pthread_mutex_lock(&s->mutex);
    const struct lease *lease = lease_of(&s->leases, read->shard);
    read->max_run = lease->max_run;
    read->max_task = lease->max_task;
    read->max_message = lease->max_message;
    pthread_mutex_unlock(&s->mutex);
}

static void *lane_run(void *arg)
{
    struct lane *lane = arg;
    struct sqlite *s = lane->s;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        struct list *link = list_pop(&lane->ready);
        if (link == NULL) {
            if (s->is_writer_gone) break;
            pthread_cond_wait(&lane->wake, &s->mutex);
            continue;
        }
        pthread_mutex_unlock(&s->mutex);
        struct store_read *read = container_of(link, struct store_read, link);
        if (read->kind == STORE_READ_MAX) {
            max_give(s, read);
            read->result = ERR_NONE;
        } else {
            read->result = read_run_any(&lane->db, read);
        }
        mailbox_send(read->reply_to, &read->mail);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- opening and closing ---- */

/* Locks the file for this process, as long as it lives, and looks at its first bytes before the engine does. */
static err file_claim(struct sqlite *s, struct arena *arena, struct error *error)
{
    s->lock_fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) return error_set(error, arena, ERR_STORE, "%s can not be opened for writing: %s", s->path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return error_set(error, arena, ERR_PRECONDITION, "%s is in use by another server", s->path);
        return error_set(error, arena, ERR_STORE, "%s can not be locked: %s", s->path, strerror(errno));
    }
    char head[16];
    ssize_t got = pread(s->lock_fd, head, sizeof(head), 0);
    if (got < 0) return error_set(error, arena, ERR_STORE, "%s can not be read: %s", s->path, strerror(errno));
    if (got != 0 && (got < (ssize_t)sizeof(head) || memcmp(head, "SQLite format 3", sizeof(head)) != 0)) {
        return error_set(error, arena, ERR_PRECONDITION, "%s is not a Perdure database; give the name of a new file", s->path);
    }
    return ERR_NONE;
}

static err databases_open(struct sqlite *s, struct arena *arena, struct error *error)
{
    TRY(database_open(&s->writer, s->path, true, s->options.is_sync_off, arena, error));
    TRY(schema_prepare(&s->writer, s->path, arena, error));
    err result = leases_load(s, true);
    if (result != ERR_NONE) return error_set(error, arena, result, "%s: %s", s->path, sqlite3_errmsg(s->writer.handle));
    TRY(database_open(&s->copier, s->path, false, s->options.is_sync_off, arena, error));
    TRY(database_open(&s->points.db, s->path, false, true, arena, error));
    TRY(database_open(&s->lists.db, s->path, false, true, arena, error));
    sqlite3_wal_hook(s->writer.handle, log_grew, s);
    rows_init(&s->rows, &s->writer);
    batch_init(&s->batch, &s->writer, &s->rows);
    s->is_vacuum_due = true;
    s->restart_after = LOG_PAGES_RESTART;
    return ERR_NONE;
}

static void threads_start(struct sqlite *s)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    int failed = pthread_create(&s->writer_thread, &attributes, writer_run, s);
    failed |= pthread_create(&s->copier_thread, &attributes, copier_run, s);
    failed |= pthread_create(&s->points.thread, &attributes, lane_run, &s->points);
    failed |= pthread_create(&s->lists.thread, &attributes, lane_run, &s->lists);
    ensure(failed == 0);
    (void)pthread_setname_np(s->writer_thread, "store-write"); /* for top and profilers */
    (void)pthread_setname_np(s->copier_thread, "store-copy");
    (void)pthread_setname_np(s->points.thread, "store-read");
    (void)pthread_setname_np(s->lists.thread, "store-list");
    pthread_attr_destroy(&attributes);
}

static void sqlite_free(struct sqlite *s)
{
    if (s->batch.db != NULL) {
        batch_fini(&s->batch);
        rows_fini(&s->rows);
    }
    database_close(&s->lists.db);
    database_close(&s->points.db);
    database_close(&s->copier);
    database_close(&s->writer); /* the last connection copies the log into the file and removes it */
    if (s->lock_fd >= 0) close(s->lock_fd);
    size_t at = 0;
    uint64_t shard;
    for (void *ceiling; (ceiling = map_u64_next(&s->ceilings, &at, &shard)) != NULL;) free(ceiling);
    map_u64_fini(&s->ceilings);
    leases_fini(&s->leases);
    pthread_cond_destroy(&s->lists.wake);
    pthread_cond_destroy(&s->points.wake);
    pthread_cond_destroy(&s->ticket_done);
    pthread_cond_destroy(&s->copier_wake);
    pthread_cond_destroy(&s->writer_wake);
    pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s);
}

/* Exact numbers instead of ceilings; when that fails some numbers are skipped, which harms nobody. */
static void ceilings_settle(struct sqlite *s)
{
    size_t at = 0;
    for (const struct lease *lease; (lease = lease_next(&s->leases, &at)) != NULL;) {
        sqlite3_stmt *st = database_use(&s->writer, SQL_SHARD_MAX);
        bind_int(st, 1, lease->shard);
        bind_int(st, 2, lease->max_run);
        bind_int(st, 3, lease->max_task);
        bind_int(st, 4, lease->max_message);
        if (database_run(&s->writer, st) != ERR_NONE) return;
    }
}

static void close_store(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    pthread_mutex_lock(&s->mutex);
    s->is_closing = true;
    pthread_cond_signal(&s->writer_wake);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->writer_thread, NULL);
    pthread_join(s->copier_thread, NULL);
    pthread_join(s->points.thread, NULL);
    pthread_join(s->lists.thread, NULL);
    ceilings_settle(s);
    sqlite_free(s);
}

static const struct store_ops sqlite_ops = {commit_submit, read_submit, acquire, recover, close_store, "sqlite"};

static void engine_configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* nobody asks, and it costs a lock for each allocation */
}

err store_sqlite_open(const struct store_sqlite_options *options, struct store **store, struct arena *arena, struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, engine_configure);
    struct sqlite *s = xcalloc(1, sizeof(*s));
    s->store.ops = &sqlite_ops;
    s->options = *options;
    if (s->options.batch_max == 0) s->options.batch_max = BATCH_DEFAULT;
    s->path = str_dup_c(str_of(options->path));
    s->lock_fd = -1;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_t *conditions[] = {&s->writer_wake, &s->copier_wake, &s->ticket_done, &s->points.wake, &s->lists.wake};
    for (size_t i = 0; i < countof(conditions); i++) pthread_cond_init(conditions[i], NULL);
    struct list *lists[] = {&s->commits, &s->tickets, &s->waiting, &s->points.ready, &s->lists.ready};
    for (size_t i = 0; i < countof(lists); i++) list_init(lists[i]);
    s->points.s = s->lists.s = s;
    err result = file_claim(s, arena, error);
    if (result == ERR_NONE) result = databases_open(s, arena, error);
    if (result != ERR_NONE) {
        sqlite_free(s);
        return result;
    }
    threads_start(s);
    *store = &s->store;
    return ERR_NONE;
}
