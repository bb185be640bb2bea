/* history/values.h: small values between the engine and the API's messages. */
#ifndef HISTORY_VALUES_H
#define HISTORY_VALUES_H

#include "history/step.h"

pb_google_Timestamp *timestamp_of(struct arena *arena, instant t); /* NULL when not set */
pb_google_Duration *duration_of(struct arena *arena, int64_t ns);  /* also when zero */
pb_google_Duration *duration_or_none(struct arena *arena, int64_t ns); /* NULL when zero */
instant instant_of(const pb_google_Timestamp *t);                  /* NULL: not set */
/* NULL: 0. Values beyond DURATION_MAX are cut to it; negative ones stay negative. */
int64_t ns_of(const pb_google_Duration *d);

pb_common_WorkflowExecution *execution_of(struct arena *arena, struct str workflow_id, struct str run_id);
pb_common_WorkflowType *workflow_type_of(struct arena *arena, struct str name);
pb_common_ActivityType *activity_type_of(struct arena *arena, struct str name);
pb_taskqueue_TaskQueue *task_queue_of(struct arena *arena, struct str name);

size_t payloads_size(const pb_common_Payloads *payloads); /* bytes as the limits count them */
size_t failure_size(const pb_failure_Failure *failure);

/* A random UUID in the arena. */
struct str uuid_new(struct step *step);
struct str run_id_new(struct step *step); /* a UUID too; of version 7, so that run ids sort by their start */

pb_failure_Failure *server_failure(struct arena *arena, struct str message, bool is_non_retryable);
pb_failure_Failure *timeout_failure(struct arena *arena, struct str message, int32_t timeout_type);

/* ---- errors with their detail messages ---- */
#define FAIL(step, code, ...) error_set((step)->error, (step)->arena, (code), __VA_ARGS__)
MUST_USE err fail_not_found(struct step *step, err code, const char *format, ...) PRINTF_LIKE(3, 4);
/* cause: RESOURCE_EXHAUSTED_CAUSE_*, of the namespace. */
MUST_USE err fail_exhausted(struct step *step, err code, int32_t cause, const char *format, ...) PRINTF_LIKE(4, 5);

#endif
