#include "store/contract.h"

static void ring(void *arg)
{
    struct desk *desk = arg;
    sem_post(&desk->arrived);
}

void desk_init(struct desk *desk, struct store *store, uint32_t shard)
{
    *desk = (struct desk){.store = store, .shard = shard};
    sem_init(&desk->arrived, 0, 0);
    mailbox_init(&desk->box, ring, desk);
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct error error = {0};
    err result = store->ops->acquire(store, shard, STR("the test"), &desk->epoch, &error, &arena);
    ensure(result == ERR_NONE);
    arena_fini(&arena);
}

void desk_fini(struct desk *desk)
{
    mailbox_open_all(&desk->box);
    mailbox_fini(&desk->box);
    sem_destroy(&desk->arrived);
}

void desk_wait(struct desk *desk, const bool *is_done)
{
    while (!*is_done) {
        if (mailbox_open_all(&desk->box) == 0) sem_wait(&desk->arrived);
    }
}

static void draft_opened(struct mail *mail)
{
    struct draft *draft = container_of(mail, struct draft, commit.mail);
    draft->is_done = true;
    draft->order = ++draft->desk->completed;
}

void draft_init(struct draft *draft, struct desk *desk)
{
    memset(draft, 0, sizeof(*draft));
    draft->desk = desk;
    draft->commit.mail.open = draft_opened;
    draft->commit.reply_to = &desk->box;
    draft->commit.shard = desk->shard;
    draft->commit.lease_epoch = desk->epoch;
    draft->commit.ops = draft->ops;
}

struct store_op *draft_op(struct draft *draft, enum store_op_kind kind)
{
    ensure(draft->commit.op_count < COMMIT_OPS_MAX);
    struct store_op *op = &draft->ops[draft->commit.op_count++];
    *op = (struct store_op){.kind = kind};
    return op;
}

void draft_run(struct draft *draft, int64_t run, const char *workflow_id, const char *run_id, const char *state)
{
    struct store_op *op = draft_op(draft, STORE_RUN_PUT);
    op->run = run;
    op->namespace_key = 1;
    op->key = str_of(workflow_id);
    op->run_id = str_of(run_id);
    op->bytes = str_of(state);
}

void draft_item(struct draft *draft, int64_t run, int32_t kind, const char *id, const char *value)
{
    struct store_op *op = draft_op(draft, value != NULL ? STORE_ITEM_PUT : STORE_ITEM_DELETE);
    op->run = run;
    op->item_kind = kind;
    op->key = str_of(id);
    op->bytes = str_of(value);
}

void draft_history(struct draft *draft, int64_t branch, int64_t first, int64_t count, const char *bytes)
{
    struct store_op *op = draft_op(draft, STORE_HISTORY_APPEND);
    op->run = branch;
    op->a = first;
    op->b = count;
    op->bytes = str_of(bytes);
}

void draft_kv(struct draft *draft, int32_t space, const char *key, const char *value)
{
    struct store_op *op = draft_op(draft, value != NULL ? STORE_KV_PUT : STORE_KV_DELETE);
    op->item_kind = space;
    op->key = str_of(key);
    op->bytes = str_of(value);
}

void draft_ordered(struct draft *draft, enum store_op_kind kind, int64_t queue, int64_t order, const char *value)
{
    struct store_op *op = draft_op(draft, kind);
    op->a = queue;
    op->b = order;
    op->bytes = str_of(value);
}

void draft_submit(struct draft *draft, struct desk *desk) { store_commit(desk->store, &draft->commit); }

err draft_commit(struct draft *draft, struct desk *desk)
{
    draft_submit(draft, desk);
    desk_wait(desk, &draft->is_done);
    return draft->commit.result;
}

static void ask_opened(struct mail *mail)
{
    container_of(mail, struct ask, read.mail)->is_done = true;
}

void ask_init(struct ask *ask, struct desk *desk, enum store_read_kind kind)
{
    memset(ask, 0, sizeof(*ask));
    ask->read.mail.open = ask_opened;
    ask->read.reply_to = &desk->box;
    ask->read.kind = kind;
    ask->read.shard = desk->shard;
    ask->read.namespace_key = 1;
    arena_init(&ask->read.arena, 0, 0);
}

void ask_submit(struct ask *ask, struct desk *desk) { store_read(desk->store, &ask->read); }

err ask_read(struct ask *ask, struct desk *desk)
{
    ask_submit(ask, desk);
    desk_wait(desk, &ask->is_done);
    return ask->read.result;
}

void ask_fini(struct ask *ask) { arena_fini(&ask->read.arena); }

struct str ask_rows(struct ask *ask)
{
    struct buf text = {0};
    for (size_t i = 0; i < ask->read.row_count; i++) {
        const struct store_row *row = &ask->read.rows[i];
        buf_printf(&text, "%s%" PRId64 " %" PRId64 " %" PRId64 " %d %.*s %.*s", i != 0 ? "|" : "", row->run, row->a, row->b, (int)row->item_kind,
                   STR_ARG(row->key), STR_ARG(row->bytes));
    }
    struct str result = arena_str(&ask->read.arena, buf_view(&text));
    buf_fini(&text);
    return result;
}
