/* What the SQLite store does: transitions of 10,000 workflows at M commits in flight (append three events of 750 bytes, replace a state of
 * 2 KB, put a task, delete a task), and whole short workflows with and without visibility. Beside it what the disk does by itself: compare
 * within one run only.   store_bench [folder [seconds a cell]] */
#include "base/mailbox.h"
#include "base/prng.h"
#include "store/store.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { WORKFLOWS = 10000, IN_FLIGHT_MAX = 512, OPS_MAX = 8 };

static double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct bench {
    struct store *store;
    struct mailbox box;
    sem_t arrived;
    uint64_t epoch;
    int64_t next_run, next_task;
    int64_t events[WORKFLOWS];   /* next event id of the workflow with run key index + 1 */
    struct prng prng;
    int open;                    /* commits in flight */
    uint64_t done;
    double *waits;               /* of this cell, s */
};
struct slot {
    struct store_commit commit;
    struct store_op ops[OPS_MAX];
    pb_store_VisibilityRow row;
    pb_google_Timestamp times[2];
    struct bench *bench;
    double submitted;
    int64_t run;
    int stage;
    char id[32], run_id[40];
};

static char state_bytes[2048], event_bytes[750];
static struct slot slots[IN_FLIGHT_MAX];

static void ring(void *arg) { sem_post(&((struct bench *)arg)->arrived); }

static struct store_op *op_add(struct slot *slot, enum store_op_kind kind)
{
    struct store_op *op = &slot->ops[slot->commit.op_count++];
    *op = (struct store_op){.kind = kind, .run = slot->run, .namespace_key = 1};
    return op;
}

static void slot_begin(struct slot *slot)
{
    slot->commit.op_count = 0;
    slot->commit.ops = slot->ops;
    slot->commit.reply_to = &slot->bench->box;
    slot->commit.lease_epoch = slot->bench->epoch;
    slot->commit.result = ERR_NONE;
}

static void slot_submit(struct slot *slot)
{
    slot->submitted = clock_s();
    store_commit(slot->bench->store, &slot->commit);
}

static void op_run(struct slot *slot, size_t state_size)
{
    struct store_op *op = op_add(slot, STORE_RUN_PUT);
    op->key = str_of(slot->id);
    op->run_id = str_of(slot->run_id);
    op->bytes = str_make(state_bytes, state_size);
}

static void op_history(struct slot *slot, int64_t first, int64_t count)
{
    struct store_op *op = op_add(slot, STORE_HISTORY_APPEND);
    op->a = first;
    op->b = count;
    op->bytes = str_make(event_bytes, (size_t)count * 250);
}

static void op_task(struct slot *slot, enum store_op_kind kind, int64_t order)
{
    struct store_op *op = op_add(slot, kind);
    op->a = 1;
    op->b = order;
    op->bytes = str_make(event_bytes, 80);
}

/* ---- transitions ---- */

static void transition(struct slot *slot)
{
    struct bench *b = slot->bench;
    int64_t w = (int64_t)prng_below(&b->prng, WORKFLOWS);
    slot->run = w + 1;
    snprintf(slot->id, sizeof(slot->id), "workflow-%" PRId64, w);
    slot_begin(slot);
    op_run(slot, sizeof(state_bytes));
    op_history(slot, b->events[w], 3);
    b->events[w] += 3;
    op_task(slot, STORE_TASK_PUT, ++b->next_task);
    if (b->next_task > 1000) op_task(slot, STORE_TASK_DELETE, b->next_task - 1000);
    slot_submit(slot);
}

/* ---- whole workflows: start, first task, activity, close; with timers, items and visibility as a real one has ---- */

static bool has_rows;

static void op_row(struct slot *slot, bool is_closed)
{
    if (!has_rows) return;
    int64_t ms = (int64_t)(clock_s() * 1000);
    slot->row = (pb_store_VisibilityRow){.namespace_key = 1, .run_key = slot->run, .workflow_id = str_of(slot->id), .run_id = str_of(slot->run_id),
                                         .workflow_type = STR("OrderWorkflow"), .task_queue = STR("orders"), .status = is_closed ? 2 : 1, .version = 1 + is_closed};
    slot->times[is_closed] = (pb_google_Timestamp){.seconds = ms / 1000, .nanos = (int32_t)(ms % 1000 * 1000000)};
    slot->row.start_time = slot->row.execution_time = &slot->times[0];
    if (is_closed) slot->row.close_time = &slot->times[1];
    op_add(slot, STORE_VISIBILITY_PUT)->visibility = &slot->row;
}

static void op_item(struct slot *slot, bool is_put)
{
    struct store_op *op = op_add(slot, is_put ? STORE_ITEM_PUT : STORE_ITEM_DELETE);
    op->item_kind = 1;
    op->key = STR("5");
    op->bytes = str_make(event_bytes, 300);
}

static void stage(struct slot *slot)
{
    struct bench *b = slot->bench;
    if (slot->stage == 0) {
        slot->run = ++b->next_run;
        snprintf(slot->id, sizeof(slot->id), "order-%016" PRIx64, prng_next(&b->prng));
        prng_uuid(&b->prng, slot->run_id);
    }
    slot_begin(slot);
    op_run(slot, 400);
    static const int counts[] = {2, 3, 2, 3}, firsts[] = {1, 3, 6, 8};
    op_history(slot, firsts[slot->stage], counts[slot->stage]);
    struct store_op *wake = op_add(slot, slot->stage == 3 ? STORE_WAKE_DELETE : STORE_WAKE_PUT);
    wake->a = (int64_t)(clock_s() * 1e9) + 10 * NS_PER_S;
    if (slot->stage == 0) op_row(slot, false);
    if (slot->stage == 1) op_item(slot, true);
    if (slot->stage == 2) op_item(slot, false);
    if (slot->stage == 3) op_row(slot, true);
    slot->stage = (slot->stage + 1) % 4;
    slot_submit(slot);
}

/* ---- the loop ---- */

static void (*next_commit)(struct slot *slot);
static double stop_at;

static void completed(struct mail *mail)
{
    struct slot *slot = container_of(mail, struct slot, commit.mail);
    struct bench *b = slot->bench;
    ensure(slot->commit.result == ERR_NONE);
    if (b->done < 4000000) b->waits[b->done] = clock_s() - slot->submitted;
    b->done++;
    if (clock_s() < stop_at || (next_commit == stage && slot->stage != 0)) next_commit(slot);
    else b->open--;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void cell(struct bench *b, const char *name, int in_flight, double seconds, int commits_each)
{
    double cpu = cpu_s(), begin = clock_s();
    b->done = 0;
    stop_at = begin + seconds;
    b->open = in_flight;
    for (int i = 0; i < in_flight; i++) {
        slots[i].bench = b;
        slots[i].commit.mail.open = completed;
        slots[i].stage = 0;
        next_commit(&slots[i]);
    }
    while (b->open > 0) {
        if (mailbox_open_all(&b->box) == 0) sem_wait(&b->arrived);
    }
    double took = clock_s() - begin;
    cpu = cpu_s() - cpu;
    size_t count = size_min(b->done, 4000000);
    qsort(b->waits, count, sizeof(double), by_value);
    double units = (double)b->done / commits_each;
    printf("%-34s M=%-4d %9.0f /s   %6.1f us CPU   p50 %5.2f  p99 %6.2f  max %6.1f ms\n", name, in_flight, units / took, cpu / units * 1e6,
           b->waits[count / 2] * 1e3, b->waits[count * 99 / 100] * 1e3, b->waits[count - 1] * 1e3);
    fflush(stdout);
}

static void bench_open(struct bench *b, const char *folder, const char *name)
{
    static char path[512];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < countof(suffixes); i++) {
        snprintf(path, sizeof(path), "%s/%s.db%s", folder, name, suffixes[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/%s.db", folder, name);
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct error error = {0};
    err result = store_sqlite_open(&(struct store_sqlite_options){.path = path}, &b->store, &arena, &error);
    if (result == ERR_NONE) result = b->store->ops->acquire(b->store, 0, STR("bench"), &b->epoch, &error, &arena);
    if (result != ERR_NONE) {
        fprintf(stderr, "%.*s\n", STR_ARG(error_message(&error)));
        exit(1);
    }
    arena_fini(&arena);
}

static void floor_cell(const char *folder, size_t size, double seconds)
{
    char path[512], *bytes = xcalloc(1, size);
    snprintf(path, sizeof(path), "%s/floor", folder);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600), count = 0;
    double begin = clock_s();
    while (clock_s() - begin < seconds) {
        if (write(fd, bytes, size) != (ssize_t)size || fdatasync(fd) != 0) exit(1);
        count++;
    }
    printf("append %zu KB and sync                        %9.0f /s\n", size / 1024, count / (clock_s() - begin));
    close(fd);
    unlink(path);
    free(bytes);
}

static void fill(struct bench *b)
{
    struct slot *slot = &slots[0];
    slot->bench = b;
    for (int64_t w = 0; w < WORKFLOWS; w++) {
        b->events[w] = 4;
        slot->run = w + 1;
        snprintf(slot->id, sizeof(slot->id), "workflow-%" PRId64, w);
        prng_uuid(&b->prng, slot->run_id);
        slot_begin(slot);
        op_run(slot, sizeof(state_bytes));
        op_history(slot, 1, 3);
        slot->commit.mail.open = completed;
        b->open = 1;
        b->done = 0;
        stop_at = 0;
        slot_submit(slot);
        while (b->open > 0) {
            if (mailbox_open_all(&b->box) == 0) sem_wait(&b->arrived);
        }
    }
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    static struct bench b;
    b.waits = xcalloc(4000000, sizeof(double));
    prng_init(&b.prng, 1);
    sem_init(&b.arrived, 0, 0);
    mailbox_init(&b.box, ring, &b);
    floor_cell(folder, 4096, 1);
    floor_cell(folder, 65536, 1);
    bench_open(&b, folder, "transitions");
    next_commit = transition;
    fill(&b);
    static const int depths[] = {1, 8, 64, 512};
    for (size_t i = 0; i < countof(depths); i++) cell(&b, "transitions", depths[i], seconds, 1);
    store_close(b.store);
    static const char *const names[] = {"workflows of 4 commits, no rows", "workflows of 4 commits, with rows"};
    next_commit = stage;
    for (int rows = 0; rows < 2; rows++) {
        has_rows = rows != 0;
        bench_open(&b, folder, has_rows ? "rows" : "plain");
        for (size_t i = 0; i < 3; i++) cell(&b, names[rows], depths[i], seconds, 4);
        store_close(b.store);
    }
    free(b.waits);
    return 0;
}
