#include "store/store.h"
#include "visibility/query.h"

static bool run_is_sound(run_key run) { return run > 0 && run <= STORE_RUN_MAX; }

/* Lists look for open and for closed rows in different places. */
static bool row_is_sound(const pb_store_VisibilityRow *row)
{
    if (row == NULL || !run_is_sound(row->run_key) || row->status < 0 || row->status > VISIBILITY_STATUS_MAX) return false;
    bool is_open = row->status == WORKFLOW_EXECUTION_STATUS_RUNNING || row->status == WORKFLOW_EXECUTION_STATUS_PAUSED;
    return row->status == WORKFLOW_EXECUTION_STATUS_UNSPECIFIED || is_open == (row->close_time == NULL);
}

static bool op_is_sound(const struct store_op *op)
{
    if (op->bytes.size > STORE_BYTES_MAX || op->key.size > STORE_BYTES_MAX || op->run_id.size > STORE_BYTES_MAX) return false;
    switch (op->kind) {
    case STORE_RUN_PUT:
    case STORE_RUN_DELETE:
    case STORE_ITEM_PUT:
    case STORE_ITEM_DELETE:
    case STORE_WAKE_PUT:
    case STORE_WAKE_DELETE:
    case STORE_VISIBILITY_DELETE:
        return run_is_sound(op->run);
    case STORE_HISTORY_APPEND:
        return run_is_sound(op->run) && op->a > 0 && op->b > 0 && op->b <= STORE_EVENT_ID_MAX && op->a <= STORE_EVENT_ID_MAX - op->b + 1;
    case STORE_BRANCH_REF:
        return run_is_sound(op->run) && run_is_sound(op->a);
    case STORE_VISIBILITY_PUT:
        return row_is_sound(op->visibility);
    case STORE_TASK_PUT:
    case STORE_TASK_DELETE:
    case STORE_MESSAGE_PUT:
    case STORE_MESSAGE_DELETE:
    case STORE_KV_PUT:
    case STORE_KV_DELETE:
        return true;
    }
    return false;
}

err store_commit_check(const struct store_commit *commit)
{
    for (size_t i = 0; i < commit->op_count; i++) {
        if (!op_is_sound(&commit->ops[i])) return ERR_INVALID;
    }
    return ERR_NONE;
}
