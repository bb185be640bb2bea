/* base/err.h: errors are values from one table. Enum, text and gRPC code expand from a row and so agree.
 *
 * A function that can fail returns err; the words for humans, and the detail message a client decodes, go into a
 * struct error that the caller lends. Output parameters are written on success alone. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/arena.h"

enum grpc_code {
    GRPC_OK, GRPC_CANCELLED, GRPC_UNKNOWN, GRPC_INVALID_ARGUMENT, GRPC_DEADLINE_EXCEEDED, GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS, GRPC_PERMISSION_DENIED, GRPC_RESOURCE_EXHAUSTED, GRPC_FAILED_PRECONDITION, GRPC_ABORTED,
    GRPC_OUT_OF_RANGE, GRPC_UNIMPLEMENTED, GRPC_INTERNAL, GRPC_UNAVAILABLE, GRPC_DATA_LOSS, GRPC_UNAUTHENTICATED,
};
const char *grpc_code_name(enum grpc_code code); /* "NOT_FOUND" */

#define ERR_TABLE(X)                                                                                            \
    X(ERR_NONE,                GRPC_OK,                  "ok")                                                  \
    X(ERR_INVALID,             GRPC_INVALID_ARGUMENT,    "the request is not valid")                            \
    X(ERR_NOT_FOUND,           GRPC_NOT_FOUND,           "not found")                                           \
    X(ERR_NAMESPACE_NOT_FOUND, GRPC_NOT_FOUND,           "namespace not found")                                 \
    X(ERR_WORKFLOW_NOT_FOUND,  GRPC_NOT_FOUND,           "no such workflow execution")                          \
    X(ERR_WORKFLOW_CLOSED,     GRPC_NOT_FOUND,           "the workflow execution is already closed")            \
    X(ERR_TASK_GONE,           GRPC_NOT_FOUND,           "the task was completed, timed out or given to another worker") \
    X(ERR_NOT_STARTED,         GRPC_NOT_FOUND,           "no attempt of this activity is running")              \
    X(ERR_ALREADY_EXISTS,      GRPC_ALREADY_EXISTS,      "already exists")                                      \
    X(ERR_WORKFLOW_STARTED,    GRPC_ALREADY_EXISTS,      "a workflow execution with this id already exists")    \
    X(ERR_NAMESPACE_EXISTS,    GRPC_ALREADY_EXISTS,      "a namespace with this name already exists")           \
    X(ERR_QUERY_FAILED,        GRPC_INVALID_ARGUMENT,    "the query handler failed")                            \
    X(ERR_PRECONDITION,        GRPC_FAILED_PRECONDITION, "not possible in the present state")                   \
    X(ERR_WORKFLOW_NOT_READY,  GRPC_FAILED_PRECONDITION, "the workflow execution can not answer yet")           \
    X(ERR_DENIED,              GRPC_PERMISSION_DENIED,   "not permitted")                                       \
    X(ERR_UNAUTHENTICATED,     GRPC_UNAUTHENTICATED,     "who calls is not known")                              \
    X(ERR_BUSY_WORKFLOW,       GRPC_RESOURCE_EXHAUSTED,  "the workflow execution is busy; try again")           \
    X(ERR_LIMIT,               GRPC_RESOURCE_EXHAUSTED,  "a limit is reached")                                  \
    X(ERR_QUEUE_FULL,          GRPC_RESOURCE_EXHAUSTED,  "task queue backlog is full")                          \
    X(ERR_OVER_BUDGET,         GRPC_RESOURCE_EXHAUSTED,  "the request needs more memory than allowed")          \
    X(ERR_TOO_LARGE,           GRPC_RESOURCE_EXHAUSTED,  "the message is larger than allowed")                  \
    X(ERR_UNIMPLEMENTED,       GRPC_UNIMPLEMENTED,       "this method is not there")                            \
    X(ERR_STORE,               GRPC_UNAVAILABLE,         "the store did not answer")                            \
    X(ERR_STORE_FULL,          GRPC_UNAVAILABLE,         "the disk is full; nothing was changed")               \
    X(ERR_UNAVAILABLE,         GRPC_UNAVAILABLE,         "the server is shutting down or not ready")            \
    X(ERR_STALE_LEASE,         GRPC_UNAVAILABLE,         "the shard has moved to another node")                 \
    X(ERR_DEADLINE,            GRPC_DEADLINE_EXCEEDED,   "no answer in time")                                   \
    X(ERR_CANCELLED,           GRPC_CANCELLED,           "the caller went away")                                \
    X(ERR_ABORTED,             GRPC_ABORTED,             "given up because another part of the request failed") \
    X(ERR_OUT_OF_RANGE,        GRPC_OUT_OF_RANGE,        "out of range")                                        \
    X(ERR_CORRUPT,             GRPC_DATA_LOSS,           "stored bytes are not what was written")               \
    X(ERR_INTERNAL,            GRPC_INTERNAL,            "internal error")
#define X(code, grpc, text) code,
typedef enum { ERR_TABLE(X) ERR_COUNT } err;
#undef X

const char *err_text(err code);
enum grpc_code err_grpc(err code);

/* What an error says beyond its code. Zero-initialised is empty: the code's own text then stands for the message.
 * `detail` is a message of the API (temporal.api.errordetails.v1.*) in the arena of the request, `detail_type` its
 * descriptor; they travel as the first entry of google.rpc.Status.details. */
struct pb_message;
struct error {
    err code;
    enum grpc_code grpc; /* GRPC_OK: that of the code */
    struct str message;
    const struct pb_message *detail_type;
    const void *detail;
};

/* Fills the slot (NULL allowed) with words and returns the code, for `return error_set(...)`. */
MUST_USE err error_set(struct error *error, struct arena *arena, err code, const char *format, ...) PRINTF_LIKE(4, 5);
enum grpc_code error_grpc(const struct error *error);
struct str error_message(const struct error *error);

/* The one macro that hides control flow. */
#define TRY(call) do { err try_err_ = (call); if (try_err_ != ERR_NONE) return try_err_; } while (0)

#endif
