/* frontend/batch_operation.h: what a batch job does to one execution: from its operation and a target to the request that a client would
 * have sent (for a reset: first to the event to reset to).
 *
 * Done again after a restart it is the same request: its request id is made of the job's and the execution's. */
#ifndef FRONTEND_BATCH_OPERATION_H
#define FRONTEND_BATCH_OPERATION_H

#include "frontend/internal.h"

/* The request of one of these is what a job is made of; stored as it came. */
typedef pb_ws_StartBatchOperationRequest batch_request;

int32_t batch_operation_type(const batch_request *q);           /* temporal.api.enums.v1.BatchOperationType */
struct str batch_operation_identity(const batch_request *q);
bool batch_operation_is_for_activities(const batch_request *q); /* standalone ones */
bool batch_operation_needs_open(const batch_request *q);        /* closed executions are not looked for */
/* Answers the rpc and returns false when the operation is missing, incomplete, or one whose RPC the server does not have. */
bool batch_operation_check(struct rpc *rpc, const batch_request *q);

/* One execution's turn. Embedded by the job; everything set is borrowed until done. */
struct batch_step {
    struct frontend *f;
    const batch_request *input;
    struct str namespace, id, run_id; /* run id empty: the current one */
    struct str entity_id;             /* of the job */
    /* Once, maybe within batch_step_run. `passes`: UNAVAILABLE and the like, worth another try. */
    void (*done)(struct batch_step *step, bool is_done, bool passes);
    /* its own */
    int64_t scheduled_event_id;
    struct str request_id;
    char request_id_text[40];
};
void batch_step_run(struct batch_step *step);

#endif
