/* store/contract.h: what contract_test.c and the tests of single stores share: requests made in one line, waited for. */
#ifndef STORE_CONTRACT_H
#define STORE_CONTRACT_H

#include "store/store.h"

#include <semaphore.h>

/* A mailbox whose owner is the test's thread. */
struct desk {
    struct mailbox box;
    sem_t arrived;
    struct store *store;
    uint32_t shard;
    uint64_t epoch;
    int completed;               /* commits */
};
void desk_init(struct desk *desk, struct store *store, uint32_t shard); /* acquires the shard */
void desk_fini(struct desk *desk);                                       /* leaves the store open */

#define COMMIT_OPS_MAX 64
struct draft { /* a commit being written */
    struct store_commit commit;
    struct store_op ops[COMMIT_OPS_MAX];
    pb_store_VisibilityRow rows[COMMIT_OPS_MAX];
    bool is_done;
    int order;                   /* of completion, from 1, on this desk */
    struct desk *desk;
};
void draft_init(struct draft *draft, struct desk *desk);
struct store_op *draft_op(struct draft *draft, enum store_op_kind kind);
void draft_run(struct draft *draft, int64_t run, const char *workflow_id, const char *run_id, const char *state);
void draft_item(struct draft *draft, int64_t run, int32_t kind, const char *id, const char *value);
void draft_history(struct draft *draft, int64_t branch, int64_t first, int64_t count, const char *bytes);
void draft_kv(struct draft *draft, int32_t space, const char *key, const char *value);
void draft_ordered(struct draft *draft, enum store_op_kind kind, int64_t queue, int64_t order, const char *value);
void draft_submit(struct draft *draft, struct desk *desk);
err draft_commit(struct draft *draft, struct desk *desk); /* submits and waits */
void desk_wait(struct desk *desk, const bool *is_done);

struct ask { /* a read */
    struct store_read read;
    bool is_done;
};
void ask_init(struct ask *ask, struct desk *desk, enum store_read_kind kind);
void ask_submit(struct ask *ask, struct desk *desk);
err ask_read(struct ask *ask, struct desk *desk); /* submits and waits */
void ask_fini(struct ask *ask);
/* "a=… b=… bytes" of each row, joined with '|', for one comparison. */
struct str ask_rows(struct ask *ask);

#endif
