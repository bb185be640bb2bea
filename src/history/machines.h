/* history/machines.h: what the files of this folder offer each other. The public contract is execution.h. */
#ifndef HISTORY_MACHINES_H
#define HISTORY_MACHINES_H

#include "history/cron.h"
#include "history/events.h"
#include "history/values.h"

/* ---- workflow_task.c: at most one workflow task is scheduled or started ---- */

/* Schedules one, and offers it, when the run is open and none is there, nor anything that holds it back (the wait before
 * the first task, a parent that has not recorded the start, a pause). */
void workflow_task_want(struct execution *e, struct step *step);
/* The same; original: scheduled_at of the first of a row of heartbeats, 0 = now. */
void workflow_task_schedule(struct execution *e, struct step *step, instant original);
void workflow_task_schedule_speculative(struct execution *e, struct step *step);
/* It meets events that have to stay: its own have to stay as well. */
void workflow_task_make_normal(struct execution *e, struct step *step);
void workflow_task_offer(struct execution *e, struct step *step);
/* The started task fails for a reason of the server's. failure NULL: none. */
void workflow_task_fail_started(struct execution *e, struct step *step, int32_t cause, pb_failure_Failure *failure, struct str identity,
                                struct str binary_checksum);
/* Ends the task without an event: the caller has written, or discards, what there is to say. */
void workflow_task_clear(struct execution *e);
void workflow_task_drop_sticky(struct execution *e);
void workflow_task_timed_out(struct execution *e, struct step *step);
void workflow_task_due(struct execution *e);
/* worker: the build that takes it; NULL: it did not say. */
void workflow_task_take(struct execution *e, struct step *step, struct str identity, struct str request_id, const pb_common_WorkerVersionStamp *worker);
void workflow_task_reply(const struct execution *e, struct step *step, bool is_partial, pb_ws_PollWorkflowTaskQueueResponse **reply,
                         struct task_history *history);
MUST_USE err workflow_task_check(struct execution *e, struct step *step, const pb_store_TaskToken *token);
/* Writes the scheduled and started events that were held back. */
void workflow_task_write_held(struct execution *e, struct step *step);
MUST_USE err fail_closed(struct step *step, const struct execution *e);

/* ---- commands.c: what a completed workflow task asks for ---- */

struct completion {
    struct execution *e;
    struct step *step;
    const pb_ws_RespondWorkflowTaskCompletedRequest *request;
    pb_ws_RespondWorkflowTaskCompletedResponse *reply;
    int64_t completed_event_id;
    bool wants_task;           /* an activity was cancelled on the spot */
    /* of the check */
    int64_t next_id;           /* of the event that the command being checked will write */
    err code;                  /* of the refusal; 0 = ERR_INVALID */
    int32_t cause;             /* WORKFLOW_TASK_FAILED_CAUSE_*; 0 = good */
    struct str why, namespace;
    bool is_fatal;             /* the run is to be terminated */
    bool is_malformed;         /* the request is refused without an event */
    bool closes;
    size_t buffered_left;      /* buffered events, without timers that are cancelled */
    struct update_message *messages; /* as many as the request has */
    int64_t new_activities, new_children, new_signals, new_cancels;
    struct map timers, activities, scheduled, cancels, children; /* ids met so far in this completion */
};
/* Everything that can be wrong, before anything is changed. */
bool commands_check(struct completion *c);
void commands_apply(struct completion *c);
/* Refuses the completion; returns false. */
bool completion_refuse(struct completion *c, int32_t cause, const char *format, ...) PRINTF_LIKE(3, 4);
/* There is no namespace of this name: refused without an event; returns false. */
bool completion_refuse_namespace(struct completion *c, struct str name);
/* Past `most` bytes the run is terminated; true when it is within. */
MUST_USE bool completion_refuse_size(struct completion *c, int32_t cause, const char *what, size_t size, int64_t most);

/* Ids of activities and timers, with what earlier commands of the same completion begin and end. */
enum id_met { ID_NOT_MET, ID_BEGUN, ID_ENDED };
enum id_met completion_met_id(const struct map *met, struct str id);
bool completion_has_id(const struct completion *c, enum item_kind kind, const struct map *met, struct str id);
void completion_note_id(struct completion *c, struct map *met, struct str id, bool is_begun);

/* ---- attributes.c ---- */
bool marker_check(struct completion *c, const pb_command_Command *command);
void marker_record(struct completion *c, const pb_command_Command *command);
bool attributes_check_upsert(struct completion *c, const pb_command_Command *command);
void attributes_upsert(struct completion *c, const pb_command_Command *command);
bool attributes_check_memo(struct completion *c, const pb_command_Command *command);
void attributes_modify_memo(struct completion *c, const pb_command_Command *command);
void attributes_set_search(struct execution *e, const pb_common_SearchAttributes *from);
void attributes_set_memo(struct execution *e, const pb_common_Memo *from);
void attributes_show_problem(struct execution *e, struct step *step, int32_t failed_cause); /* 0: timed out */
void attributes_hide_problem(struct execution *e, struct step *step);
bool nexus_check(struct completion *c, const pb_command_Command *command);

/* ---- activity.c ---- */
bool activity_check(struct completion *c, const pb_command_Command *command);
void activity_schedule(struct completion *c, const pb_command_Command *command);
bool activity_check_cancel(struct completion *c, const pb_command_Command *command);
void activity_request_cancel(struct completion *c, const pb_command_Command *command);
void activity_due(struct item *item);                          /* sets when to look at it, counts its offer */
void activity_count_offer(struct item *item);
pb_activity_ActivityOptions *activity_options(const pb_store_Activity *a, struct arena *arena); /* describe.c */
void activity_fire(struct item *item, struct step *step);      /* it is due */
void activity_offer(struct item *item, struct step *step);

/* ---- timer.c ---- */
bool timer_check_start(struct completion *c, const pb_command_Command *command);
void timer_start(struct completion *c, const pb_command_Command *command);
bool timer_check_cancel(struct completion *c, const pb_command_Command *command);
void timer_cancel(struct completion *c, const pb_command_Command *command);
void timer_due(struct item *item);
void timer_fire(struct item *item, struct step *step);

/* ---- close.c ---- */
bool close_check_complete(struct completion *c, const pb_command_Command *command);
bool close_check_fail(struct completion *c, const pb_command_Command *command);
bool close_check_cancel(struct completion *c, const pb_command_Command *command);
bool close_check_continue(struct completion *c, const pb_command_Command *command);
void close_complete(struct completion *c, const pb_command_Command *command);
void close_fail(struct completion *c, const pb_command_Command *command);
void close_cancel(struct completion *c, const pb_command_Command *command);
void close_continue(struct completion *c, const pb_command_Command *command);
void close_time_out(struct execution *e, struct step *step, bool is_execution_timeout);
void close_terminate(struct execution *e, struct step *step, struct str reason, const pb_common_Payloads *details, struct str identity,
                     pb_common_Link *const *links, size_t link_count);

/* ---- start.c ---- */

/* All that a new run begins with; NULL and 0 where there is nothing. Parts are borrowed for the call. */
struct beginning {
    struct str workflow_id, run_id, first_run_id, original_run_id, continued_from, request_id, identity;
    struct str type, queue, cron;
    const pb_common_Payloads *input, *last_result;
    const pb_common_Header *header;
    const pb_common_Memo *memo;
    const pb_common_SearchAttributes *search_attributes;
    const pb_failure_Failure *continued_failure;
    const pb_common_RetryPolicy *retry_policy;
    const pb_store_Parent *parent;
    const pb_common_WorkflowExecution *root;
    const pb_sdk_UserMetadata *user_metadata;
    const pb_common_Priority *priority;
    const pb_workflow_VersioningOverride *versioning_override;
    const pb_workflow_ResetPoints *reset_points;
    pb_common_Callback *const *callbacks;
    size_t callback_count;
    pb_common_Link *const *links;
    size_t link_count;
    duration execution_timeout, run_timeout, task_timeout;
    bool has_execution_timeout, has_run_timeout; /* stood in the request, maybe as zero */
    instant execution_expires_at, chain_start_at;
    duration backoff;              /* before the first workflow task */
    int32_t attempt, initiator;
    bool is_eager, is_waiting_for_parent, is_first_task_held;
};
/* Makes the run, writes its first event and schedules its first workflow task. */
struct execution *run_begin(struct step *step, const struct namespace_info *ns, const struct beginning *b);

/* The wait from now to the first tick, counted from `from`. Negative: the text is no schedule, its zone is not known, or it never ticks. */
duration cron_wait(const struct step *step, struct str text, instant from);

/* ---- signal.c ---- */
MUST_USE err signal_check(struct step *step, const pb_ws_SignalWorkflowExecutionRequest *request);
void signal_from_workflow(struct execution *e, struct step *step, const pb_ws_SignalWorkflowExecutionRequest *request, const pb_store_Sender *sender);
bool signal_is_over_limit(const struct execution *e, const struct limits *limits);
void cancel_record(struct execution *e, struct step *step, struct str reason, struct str identity, struct str request_id,
                   const pb_store_Sender *sender, int64_t initiated_event_id);
void signal_record(struct execution *e, struct step *step, const pb_ws_SignalWorkflowExecutionRequest *request);

/* ---- wake.c ---- */
void execution_fire_due(struct execution *e, struct step *step);
/* The end of every step that wrote events: limits of history and buffer, speculative tasks. */
void execution_settle(struct execution *e, struct step *step);
/* ERR_LIMIT while the run is held at its history limit; lets it go on when the limit has been raised. */
MUST_USE err execution_check_full(struct execution *e, struct step *step);

/* ---- control.c ---- */
MUST_USE err control_check_options(struct step *step, const pb_workflow_WorkflowExecutionOptions *o, const pb_google_FieldMask *mask);

/* ---- rebuild.c ---- */
/* The state that these events, from the first on, lead to. ERR_CORRUPT: ids with gaps, or events without attributes. */
MUST_USE err execution_rebuild(const struct namespace_info *ns, event *const *events, size_t count, struct execution **rebuilt);

/* ---- retry.c ---- */
struct retry_answer {
    int32_t state;    /* RETRY_STATE_*; IN_PROGRESS: go on */
    duration pause;
};
/* What a failure (NULL: success or a timeout that retries) means for attempt `attempt` that ended at `now`. */
struct retry_answer retry_next(const pb_common_RetryPolicy *policy, int32_t attempt, instant now, instant expires_at,
                               const pb_failure_Failure *failure);
/* The policy with defaults where it says nothing. */
pb_common_RetryPolicy *retry_policy_filled(const pb_common_RetryPolicy *policy, struct arena *arena);
/* NULL when it is valid, else what is wrong. */
const char *retry_policy_problem(const pb_common_RetryPolicy *policy);


/* ---- update.c ---- */
MUST_USE err update_check_request(struct step *step, const pb_update_Request *request);
MUST_USE err update_check_first(struct step *step, const pb_update_Request *request); /* whether a fresh run would admit it */
bool update_is_known(const struct execution *e, const pb_update_Request *request); /* and not rejected; in a closed run: and completed */
void update_readmit(struct execution *e, const pb_update_Request *request, int64_t admitted_event_id); /* by a reset; stored */
void update_attach(struct execution *e, struct step *step, pb_ws_PollWorkflowTaskQueueResponse *reply);
void update_task_failed(struct execution *e, struct step *step, int32_t cause);
void update_task_completed(struct execution *e, struct step *step);
bool update_check_message(struct completion *c, const pb_command_Command *command);
void update_apply_message(struct completion *c, const pb_command_Command *command);
bool update_decode_messages(struct completion *c);
bool update_check_messages(struct completion *c);
bool update_message_writes(struct completion *c, const pb_command_Command *command); /* an event, that is */
void update_apply_messages(struct completion *c); /* those that no command has placed */
/* A speculative task whose updates were all rejected leaves no trace. (F027) */
bool update_may_discard(const struct completion *c);
void update_discard(struct completion *c);
void update_run_closed(struct execution *e, struct step *step, bool has_successor);

/* ---- versions.c ---- */
/* Takes note of who completed a workflow task; whether search attributes have changed by it. */
bool versions_completed(struct execution *e, struct step *step, const pb_history_WorkflowTaskCompletedEventAttributes *a, int64_t event_id);
void versions_show(const struct execution *e, struct arena *arena, pb_common_SearchAttributes *to); /* adds what follows from it */

/* ---- callback.c ---- */
void callback_add(struct execution *e, const struct step *step, const pb_common_Callback *callback, struct str request_id);
size_t callback_collect(const struct execution *e, struct arena *arena, pb_common_Callback ***callbacks); /* all of the run's, lent */
void callback_due(struct item *item);
void callback_fire(struct item *item, struct step *step);
void callback_run_closed(struct execution *e, struct step *step); /* the end of its chain */
void callback_offer_all(struct execution *e, struct step *step);  /* those that a crash may have lost */
void callback_describe(const struct item *item, struct arena *arena, pb_workflow_CallbackInfo *p);

/* ---- child.c, external.c ---- */
bool child_check(struct completion *c, const pb_command_Command *command);
void child_initiate(struct completion *c, const pb_command_Command *command);
void child_parent_closed(struct execution *e, struct step *step);  /* parent close policies */
void child_after_reset(struct execution *e, struct step *step, const struct execution *base, bool was_base_open, const pb_history_History *history);
void child_tell_parent(struct execution *e, struct step *step, const event *closing);
pb_store_Message *message_new(struct step *step, const struct execution *from, int32_t content);
void message_send(struct step *step, const pb_store_Message *message, int64_t namespace_key, struct str workflow_id, struct str run_id);
/* By name; an empty one is the step's own. NULL: there is none. */
const struct namespace_info *namespace_find(const struct step *step, struct str name);
void external_after_reset(struct execution *e, struct step *step, bool was_base_open, const pb_history_History *history);
void external_receive_cancel(struct step *step, struct execution *target, const pb_store_Message *message);
void external_receive_signal(struct step *step, struct execution *target, const pb_store_Message *message);
void external_receive_result(struct step *step, struct execution *e, int64_t initiated_event_id, int32_t cause);
int64_t external_count(const struct execution *e, bool is_cancel);
bool external_check_cancel(struct completion *c, const pb_command_Command *command);
void external_cancel(struct completion *c, const pb_command_Command *command);
bool external_check_signal(struct completion *c, const pb_command_Command *command);
void external_signal(struct completion *c, const pb_command_Command *command);

#endif
