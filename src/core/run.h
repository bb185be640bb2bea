/* core/run.h: one workflow run on a worker. History goes in and activations come out; completions go in and the answer
 * to the workflow task comes out.
 *
 * A run has at most one activation out and works on one workflow task at a time; tasks that come meanwhile wait in line.
 * After every input the owner calls run_step until it says what it waits for. A run that has failed, or whose answer the
 * server refused, is destroyed and built again from its first event: nothing in it is worth keeping.
 *
 * Thread: the worker's owner.   Clock: given, as `now` (wall clock).   Blocks: never.
 * Source: temporal.api.history.v1 and temporal.api.command.v1; orders and wordings that matter to workflow code were
 * observed on recorded histories, see testdata/README.md. */
#ifndef CORE_RUN_H
#define CORE_RUN_H

#include "proto/perdure/core.h"

#include "base/list.h"

struct run;

/* Blocks of workflow tasks that are over, for the next ones: a few, of usual size. Zero-initialised is empty. */
struct run_task;
struct run_task_pool { struct run_task *first; size_t count; };
void run_task_pool_fini(struct run_task_pool *pool);

/* Decodes what holds workflow tasks or history, without what no run reads of it. Strings point into the bytes. */
MUST_USE err run_decode(const struct pb_message *type, struct str bytes, struct arena *arena, void **out);
#define RUN_DECODE(arena, bytes, name, out) run_decode(&name##_type, (bytes), (arena), (void **)(1 ? (out) : (name **)NULL))

/* A workflow task as it came from the server. Created by run_task_create or run_task_begin, owned by the run once added. */
struct run_task {
    struct list link;
    struct arena arena;                              /* the decoded response; its first block is behind the struct */
    struct str bytes;                                /* which it points into; behind the struct too */
    const pb_ws_PollWorkflowTaskQueueResponse *poll;
    instant received_at;
    uint64_t permit;                                 /* the slot it holds; for the owner */
    struct run_task *next;                           /* in the pool */
    struct run_task_pool *pool;                      /* its block goes back there; NULL: none */
    size_t capacity;                                 /* of the block, behind the struct; bytes */
};

/* Decodes a PollWorkflowTaskQueueResponse; copies the bytes. pool: may be NULL, else outlives the task.
 * ERR_INVALID: not one, or one without token or execution. */
MUST_USE err run_task_create(struct run_task_pool *pool, struct str response, instant now, struct run_task **out);
/* In two steps, for a response that may hold a task: a copy of its bytes, which the caller decodes (PB_ALIAS) into the task's
 * arena; and the poll response that was found there. ERR_INVALID as above. Either way the task is the caller's to destroy. */
struct run_task *run_task_begin(struct run_task_pool *pool, struct str response, instant now);
MUST_USE err run_task_set(struct run_task *task, const pb_ws_PollWorkflowTaskQueueResponse *poll);
/* The same as run_task_create for a message that has not been encoded. */
MUST_USE err run_task_create_nested(const pb_ws_PollWorkflowTaskQueueResponse *poll, instant now, struct run_task **out);
void run_task_destroy(struct run_task *task);

/* options: borrowed, outlives the run. */
struct run *run_create(struct str run_id, struct str workflow_id, const pb_core_WorkerOptions *options);
void run_destroy(struct run *run);
struct str run_id(const struct run *run);
struct str run_workflow_id(const struct run *run);
struct str run_resource_id(const struct run *run); /* what answers call the workflow: "workflow:" and its id */
struct str run_workflow_type(const struct run *run); /* empty before the first event was read */

void run_add_task(struct run *run, struct run_task *task);
const struct run_task *run_current_task(const struct run *run); /* NULL: none */
/* Takes a task back, for a run that is to be built again; the current one first. NULL: none. */
struct run_task *run_take_task(struct run *run);
bool run_is_busy(const struct run *run); /* has a task, or an activation is out: may not be evicted now */
bool run_is_fresh(const struct run *run); /* no event was applied yet: the SDK has not heard of it */

enum run_want {
    RUN_IDLE,         /* nothing to do until a task is added */
    RUN_BUSY,         /* an activation is out */
    RUN_ACTIVATE,     /* hand over the activation */
    RUN_FETCH,        /* needs the next page of history: run_page_token, then run_add_page */
    RUN_WAIT_LOCAL,   /* local activities are running; due at the latest at run_heartbeat_at */
    RUN_RESPOND,      /* the workflow task is done: run_build_response, then run_task_done */
    RUN_ANSWER_QUERY, /* the query task is done: run_query_answer, then run_task_done */
    RUN_REPLAYED,     /* a history without a server was replayed to its end */
    RUN_REBUILD,      /* history says otherwise than this run remembers: destroy it, start again with its task */
    RUN_FAILED,       /* run_failure says why */
};

/* Does what can be done now. activation: for RUN_ACTIVATE receives an encoded Activation. */
enum run_want run_step(struct run *run, instant now, struct buf *activation);

/* What the SDK made of the activation. `arena` and `bytes`, which hold the completion, are taken over; the arena is left
 * empty. ERR_NOT_FOUND: no activation is out, and nothing was taken. ERR_INVALID: a command makes no sense; the run has
 * failed. */
MUST_USE err run_complete(struct run *run, const pb_core_Completion *completion, struct arena *arena, char *bytes,
                          instant now);

/* ---- history pages -------------------------------------------------------------------------------------------- */

/* The token of the page to ask for with GetWorkflowExecutionHistory; empty: from the first event. */
struct str run_page_token(const struct run *run);
/* A GetWorkflowExecutionHistoryResponse; copied. ERR_INVALID: not one. */
MUST_USE err run_add_page(struct run *run, struct str response);
/* The page could not be had; the run has failed. */
void run_page_failed(struct run *run, struct str message);

/* ---- local activities ------------------------------------------------------------------------------------------ */

/* The next local activity to execute, or one to ask to stop (`is_cancel`); false: none. Strings live until the next call
 * into the run. */
struct run_local {
    uint32_t seq;
    bool is_cancel;
    instant original_schedule_time;
    uint32_t attempt;
    const pb_core_ScheduleLocalActivity *schedule; /* for !is_cancel */
};
bool run_take_local(struct run *run, instant now, struct run_local *out);

/* How a local activity ended. Messages are copied. */
struct run_local_result {
    uint32_t seq;
    uint32_t attempt;
    int32_t outcome_case;                        /* a tag of pb_core_ResolveActivity */
    const struct pb_common_Payload *result;      /* completed; NULL: none */
    const struct pb_failure_Failure *failure;    /* failed, cancelled, and the reason of a backoff */
    duration backoff;
};
void run_resolve_local(struct run *run, const struct run_local_result *result, instant now);
void run_note_local_retry(struct run *run); /* one more try of a local activity, for the task's metering metadata */
bool run_has_local(const struct run *run);
instant run_heartbeat_at(const struct run *run);
/* The heartbeat is due: the next run_step says RUN_RESPOND as soon as no activation is out. */
void run_heartbeat(struct run *run);

/* ---- answers --------------------------------------------------------------------------------------------------- */

/* Fills commands, messages, query results, SDK metadata and the like. eager_slots: how many activities may ask for an
 * eager start; receives how many did. may_fetch: the run's next workflow task may come with the reply; that of a heartbeat
 * does in any case. Everything lives in the arena or in the run until run_task_done. */
void run_build_response(struct run *run, struct arena *arena, int *eager_slots, bool may_fetch,
                        pb_ws_RespondWorkflowTaskCompletedRequest *request);
/* For RUN_RESPOND: the answer would say nothing but that the task is done. */
bool run_is_quiet(const struct run *run);
/* The answer to a query task. */
const pb_core_RespondQuery *run_query_answer(const struct run *run);
/* The server took the answer. reset_event_id: 0, or what the answer said: events after it never were. */
void run_task_done(struct run *run, int64_t reset_event_id);
/* The answer held a command that closes the run. */
bool run_is_closed(const struct run *run);
/* What closed it: a pb_core_Command tag, 0 = open. For metrics. */
int32_t run_close_kind(const struct run *run);
instant run_first_event_time(const struct run *run);

/* Why it failed. cause: a WorkflowTaskFailedCause. */
struct run_failure {
    bool is_nondeterminism;
    int32_t cause;
    struct str message;
    const struct pb_failure_Failure *failure; /* what the SDK sent, or NULL */
};
const struct run_failure *run_failure(const struct run *run);

/* The flags of behaviour that a worker notes in its first answer, as bits. Histories of the official SDKs have 1 to 4:
 * ids and types are checked, patches have their search attribute, … */
#define RUN_CORE_FLAGS (UINT64_C(1) << 1 | UINT64_C(1) << 2 | UINT64_C(1) << 3 | UINT64_C(1) << 4)

/* Makes the run a failed one. */
void run_give_up(struct run *run, int32_t cause, struct str message);

/* The seed that a run id stands for. The same run id gives the same numbers in the official SDKs, so that random
 * values of workflows replay there and here (observed through the public random_seed()). */
uint64_t run_seed(struct str run_id);

#endif
