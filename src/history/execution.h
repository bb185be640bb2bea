/* history/execution.h: one run of a workflow: its mutable state in memory and everything that can happen to it.
 *
 * Lifecycle     execution_load builds it from its rows, the functions below change it within a step, execution_flush
 *               says which rows changed since the last flush, execution_destroy drops it.
 * Errors        a function that returns an error has changed nothing, unless its comment says otherwise.
 * Requests      are decoded API messages that the frontend has checked for form (namespace, required fields, lengths);
 *               what depends on state is checked here. Strings are copied where they outlive the step.
 * Thread        the shard's.   Blocks never.   Clock given, as step->now. */
#ifndef HISTORY_EXECUTION_H
#define HISTORY_EXECUTION_H

#include "history/step.h"
#include "proto/perdure/state.h"
#include "proto/perdure/visibility.h"

/* ---- identity and rows ---- */

struct execution_row { /* as stored; see store/store.h STORE_RUN_PUT */
    int64_t run;
    struct str workflow_id, run_id, bytes;
};
struct execution_item { /* kinds are enum item_kind in history/items.h; numbers are stored */
    int32_t kind;
    struct str key, bytes;
};

/* ERR_CORRUPT when the rows do not decode or contradict each other. */
MUST_USE err execution_load(const struct namespace_info *ns, const struct execution_row *row, const struct execution_item *items,
                            size_t item_count, struct execution **execution);
void execution_destroy(struct execution *e);

int64_t execution_run(const struct execution *e);          /* run key */
const struct namespace_info *execution_namespace(const struct execution *e);
struct str execution_workflow_id(const struct execution *e);
struct str execution_run_id(const struct execution *e);
struct str execution_first_run_id(const struct execution *e);
bool execution_is_open(const struct execution *e);
int32_t execution_status(const struct execution *e);       /* WORKFLOW_EXECUTION_STATUS_* */
instant execution_close_time(const struct execution *e);   /* 0 while it is open; the shard deletes the run a retention later */
int64_t execution_next_event_id(const struct execution *e); /* of what is in history, transient events left out */
size_t execution_memory(const struct execution *e);        /* bytes, about */
/* False while something lives in memory only (a started task, an update not accepted yet): must not be evicted. */
bool execution_is_evictable(const struct execution *e);

/* ---- what to write ---- */

enum change_kind { CHANGE_ITEM_PUT, CHANGE_ITEM_DELETE, CHANGE_HISTORY, CHANGE_BRANCH_REF };
struct execution_change {
    enum change_kind kind;
    int32_t item_kind;
    struct str key, bytes;       /* CHANGE_HISTORY: bytes of a History message */
    int64_t first_event_id, event_count;
    int64_t branch;
};
#define WAKE_AT_ONCE ((instant){0})
struct execution_flush {
    bool is_new;
    struct str state;            /* the core row; always given */
    struct execution_change *changes;
    size_t change_count;
    bool is_wake_changed;
    instant wake;                /* WAKE_AT_ONCE: tasks were offered in memory only, offer them again after a crash;
                                    INSTANT_NEVER: no wake row */
    const pb_store_VisibilityRow *visibility; /* NULL: as before */
};
bool execution_is_dirty(const struct execution *e);
/* Everything that changed since the last flush, in `arena`. The execution is clean afterwards: if the commit then fails
 * it must be destroyed and loaded again. */
void execution_flush(struct execution *e, const struct step *step, struct arena *arena, struct execution_flush *flush);

/* When to call execution_wake next, with what lives in memory only; INSTANT_NEVER: not by itself. A closed run is due when
 * its retention is over, which is the shard's to do, and before that for its completion callbacks. */
instant execution_next_wake(const struct execution *e);
/* The wake row as of the last flush or load: WAKE_AT_ONCE, a time, or INSTANT_NEVER when there is none. */
instant execution_stored_wake(const struct execution *e);
/* Fires what is due by step->now. is_recovery: it was loaded from a wake row that said WAKE_AT_ONCE, so tasks that
 * were scheduled are offered to matching again. */
MUST_USE err execution_wake(struct execution *e, struct step *step, bool is_recovery);
/* Matching has written this task to the backlog table (or will in the commit that follows): wake need not find it again. */
void execution_task_stored(struct execution *e, struct step *step, enum task_kind kind, int64_t scheduled_event_id, int64_t stamp);

/* ---- reading ---- */

/* Where events are. Stored rows are read by branch; what a flush has not written, or has written lately, is in memory. */
struct history_branch { int64_t branch, first_event_id, end_event_id; }; /* end: exclusive */
struct history_view {
    const struct history_branch *branches; /* ascending, gapless, end at next_event_id */
    size_t branch_count;
    int64_t cached_from;         /* events from here to next_event_id are in `cached`; = next_event_id when none */
    struct str cached;           /* bytes of a History message; borrowed until the next step */
    int64_t next_event_id;
    int64_t size;                /* bytes of all events */
};
void execution_history(const struct execution *e, struct arena *arena, struct history_view *view);
/* The part of `cached` that holds events [from, to), whole batches decoded no further than needed. */
struct str execution_cached_range(const struct execution *e, int64_t from, int64_t to);
/* Scheduled and started events of a workflow task that is not in history yet (transient or speculative), or empty. */
struct str execution_transient_events(const struct execution *e, struct arena *arena);

void execution_describe(const struct execution *e, instant now, struct arena *arena, pb_ws_DescribeWorkflowExecutionResponse *reply);
bool execution_has_workflow_task(const struct execution *e);         /* scheduled or started */
bool execution_workflow_task_is_started(const struct execution *e);
bool execution_has_completed_workflow_task(const struct execution *e); /* ever */
int32_t execution_workflow_task_attempt(const struct execution *e);
/* Where a query without a workflow task goes: the sticky queue when it is set and fresh, else the normal one. */
void execution_query_queue(const struct execution *e, struct str *queue, bool *is_sticky, struct str *normal_queue, duration *sticky_timeout);
void execution_forget_sticky(struct execution *e, struct step *step); /* its worker is gone */
int64_t execution_previous_started_event_id(const struct execution *e);
struct str execution_type(const struct execution *e);

/* ---- completion callbacks; struct callback_effect says when ---- */

struct callback_view {
    pb_common_Callback *callback;
    struct str delivery_id, run_id;
    int64_t close_event_id;      /* of the event that it tells of */
    instant started_at;
};
/* False: it is not in hand any more, or this attempt has been answered. In the arena. */
bool execution_callback(const struct execution *e, int64_t number, int32_t attempt, struct arena *arena, struct callback_view *view);
enum callback_outcome {
    CALLBACK_DELIVERED,
    CALLBACK_REFUSED,            /* for ever */
    CALLBACK_FAILED,             /* this time: the next attempt comes after a pause */
    CALLBACK_BLOCKED,            /* not tried: no attempt is counted, it is offered again after `pause` */
};
/* What came of an attempt. Durable. No effect when the attempt has been answered before. */
MUST_USE err execution_callback_done(struct execution *e, struct step *step, int64_t number, int32_t attempt, enum callback_outcome outcome,
                                     struct str why, duration pause);

/* ---- starting ---- */

/* current: the newest run of this workflow id, open or closed, or NULL. Applies request-id deduplication and the id reuse
 * and conflict policies; may terminate `current` and create a run in one step, or attach to the running one. */
MUST_USE err workflow_start(struct step *step, struct execution *current, const pb_ws_StartWorkflowExecutionRequest *request,
                            pb_ws_StartWorkflowExecutionResponse **reply, struct execution **run);
MUST_USE err workflow_signal_with_start(struct step *step, struct execution *current, const pb_ws_SignalWithStartWorkflowExecutionRequest *request,
                                        pb_ws_SignalWithStartWorkflowExecutionResponse **reply);

/* ExecuteMultiOperation: a start, then an update of the run that is there afterwards; both or neither. An update that is
 * known already is found before anything is started. *is_start_to_blame: on an error, which of the two failed. */
struct update_view;
MUST_USE err workflow_update_with_start(struct step *step, struct execution *current, const pb_ws_StartWorkflowExecutionRequest *start,
                                        const pb_update_Request *update, pb_ws_StartWorkflowExecutionResponse **reply, struct execution **run,
                                        struct update_view *view, bool *is_start_to_blame);

/* ---- workflow tasks; a token is a pb_store_TaskToken that frontend/ decodes ---- */

/* Which events go with a workflow task, for the shard to read: [from, to) and then the transient ones. */
struct task_history { int64_t from, to; struct str transient; bool is_empty; };

/* A worker takes the task (from matching). ERR_TASK_GONE: stale, drop it and offer the poller another one.
 * The reply lacks history and queries, which the frontend adds. Relaxed. */
MUST_USE err execution_workflow_task_start(struct execution *e, struct step *step, int64_t scheduled_event_id, int64_t stamp,
                                           const pb_ws_PollWorkflowTaskQueueRequest *poll, struct str request_id, bool is_sticky_queue,
                                           pb_ws_PollWorkflowTaskQueueResponse **reply, struct task_history *history);
/* On a bad command the workflow task is failed in history (the step is durable) and the error says why. `fail_step` says so:
 * true with an error means "commit the step, then answer with the error". When the reply carries a new workflow task, or eager
 * activities, they are in it; next_history as above. Query results in the request are the frontend's. */
MUST_USE err execution_workflow_task_complete(struct execution *e, struct step *step, const pb_ws_RespondWorkflowTaskCompletedRequest *request,
                                              const pb_store_TaskToken *token, pb_ws_RespondWorkflowTaskCompletedResponse **reply,
                                              struct task_history *next_history, bool *fail_step);
MUST_USE err execution_workflow_task_fail(struct execution *e, struct step *step, const pb_ws_RespondWorkflowTaskFailedRequest *request,
                                          const pb_store_TaskToken *token);

/* ---- activities; token with scheduled_event_id 0: by activity id ---- */

/* Durable when the retry policy bounds attempts, relaxed otherwise. */
MUST_USE err execution_activity_start(struct execution *e, struct step *step, int64_t scheduled_event_id, int64_t stamp,
                                      const pb_ws_PollActivityTaskQueueRequest *poll, struct str request_id,
                                      pb_ws_PollActivityTaskQueueResponse **reply);
/* The build of the worker that answers, as its answer says: goes into the started event. Before one of the three that follow. */
void execution_activity_note_worker(struct execution *e, const pb_store_TaskToken *token, const pb_common_WorkerVersionStamp *worker);
MUST_USE err execution_activity_complete(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_common_Payloads *result, struct str identity);
MUST_USE err execution_activity_fail(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_failure_Failure *failure,
                                     const pb_common_Payloads *last_heartbeat_details, struct str identity);
MUST_USE err execution_activity_cancel(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_common_Payloads *details, struct str identity);
MUST_USE err execution_activity_heartbeat(struct execution *e, struct step *step, const pb_store_TaskToken *token, const pb_common_Payloads *details,
                                          struct str identity, pb_ws_RecordActivityTaskHeartbeatResponse *reply);

/* ---- from clients ---- */

MUST_USE err execution_signal(struct execution *e, struct step *step, const pb_ws_SignalWorkflowExecutionRequest *request);
MUST_USE err execution_request_cancel(struct execution *e, struct step *step, const pb_ws_RequestCancelWorkflowExecutionRequest *request);
MUST_USE err execution_terminate(struct execution *e, struct step *step, struct str reason, const pb_common_Payloads *details, struct str identity,
                                 struct str first_run_id);

/* ---- from operators; all durable ---- */

/* ERR_UNIMPLEMENTED: switched off. ERR_PRECONDITION: it is in that state already. The same request id again changes nothing.
 * While a run is paused no task of it is offered and updates are refused; signals, timers and completions go on. */
MUST_USE err execution_pause(struct execution *e, struct step *step, const pb_ws_PauseWorkflowExecutionRequest *request);
MUST_USE err execution_unpause(struct execution *e, struct step *step, const pb_ws_UnpauseWorkflowExecutionRequest *request);
/* Priority and versioning override, by mask. */
MUST_USE err execution_update_options(struct execution *e, struct step *step, const pb_ws_UpdateWorkflowExecutionOptionsRequest *request,
                                      pb_ws_UpdateWorkflowExecutionOptionsResponse *reply);
/* ERR_NOT_FOUND: no pending activity is meant. Tasks handed out before go on; the next heartbeat tells their worker. */
MUST_USE err execution_activity_pause(struct execution *e, struct step *step, const pb_ws_PauseActivityRequest *request);
MUST_USE err execution_activity_unpause(struct execution *e, struct step *step, const pb_ws_UnpauseActivityRequest *request);
MUST_USE err execution_activity_reset(struct execution *e, struct step *step, const pb_ws_ResetActivityRequest *request);
MUST_USE err execution_activity_update_options(struct execution *e, struct step *step, const pb_ws_UpdateActivityOptionsRequest *request,
                                               pb_ws_UpdateActivityOptionsResponse *reply);

/* The runs that continued the base run as new, as far as they are known: what of their events a reset writes again. */
struct reset_chain {
    const pb_history_History *history; /* those events that reset_needs, in order */
    bool reaches_current;              /* the last of them is the current run, which is open */
};
bool reset_needs(const pb_history_HistoryEvent *event);

/* base: the run to go back in; current: the newest run (may be base), terminated when it is open. history: all events of base,
 * decoded, which the caller has read; it lives as long as step->arena. The new run shares the events before the point
 * (CHANGE_BRANCH_REF). chain: NULL when none followed. The same request id again finds the run it made. ERR_INVALID: not a point to reset to. */
MUST_USE err workflow_reset(struct step *step, struct execution *base, struct execution *current, const pb_ws_ResetWorkflowExecutionRequest *request,
                            const pb_history_History *history, const struct reset_chain *chain, pb_ws_ResetWorkflowExecutionResponse *reply,
                            struct execution **run);

/* ---- updates ---- */

/* How far an update has come. stage: UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_*; outcome: when COMPLETED, in the step's arena. */
struct update_view {
    int32_t stage;
    pb_update_Outcome *outcome;
    int64_t accepted_event_id;
};
/* Admits an update, or finds the one with its id. Relaxed: nothing is stored before the worker accepts. Whoever waits for a
 * stage looks again with execution_update_view at each NOTICE_UPDATE with its id, and at NOTICE_CLOSED.
 * ERR_WORKFLOW_CLOSED, ERR_LIMIT, ERR_PRECONDITION, ERR_BUSY_WORKFLOW, ERR_WORKFLOW_NOT_READY, ERR_INVALID. */
MUST_USE err execution_update(struct execution *e, struct step *step, const pb_update_Request *request, struct update_view *view);
/* ERR_NOT_FOUND: unknown. ERR_WORKFLOW_CLOSED, ERR_BUSY_WORKFLOW (try the next run): it will not be accepted any more. Uses only
 * step->arena and step->error. */
MUST_USE err execution_update_view(const struct execution *e, struct step *step, struct str update_id, struct update_view *view);

/* ---- between entities ---- */

/* A message for (namespace, workflow id, run id). target: the run it names, or the current one when it names none; NULL when
 * there is none. Answers with messages of its own. Deduplicates: the same message twice changes nothing more.
 * ERR_LIMIT: the target is held at its history limit, deliver it again later. ERR_CORRUPT: not a message of ours. */
/* The event that must be put into the message (child_asked.closing) before it can be received, or 0. */
int64_t execution_wanted_event(const struct execution *target, const pb_store_Message *message);
MUST_USE err execution_receive(struct step *step, struct execution *target, const pb_store_Message *message);

#endif
