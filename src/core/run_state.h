/* core/run_state.h: what a run is made of. For run*.c and machines/ only.
 *
 * A machine follows one thing the workflow code asked for, from the command to the last event about it. `seq` is the
 * number the SDK gave; `event_id` the id of the event that history gave the command.
 * An outgoing is a command whose event has not been seen yet. They are in the order of the commands, and the events of
 * the next completed workflow task have to come in that order. */
#ifndef CORE_RUN_STATE_H
#define CORE_RUN_STATE_H

#include "core/run.h"

#include "base/log.h"
#include "base/map.h"

typedef pb_history_HistoryEvent event_t;

enum machine_kind {
    MACHINE_TIMER, MACHINE_ACTIVITY, MACHINE_CHILD, MACHINE_SIGNAL, MACHINE_CANCEL, MACHINE_LOCAL, MACHINE_NEXUS,
    MACHINE_KIND_COUNT,
};
/* Activities and local activities share one count of seqs; the SDK says which it means by the command. */

enum machine_state {
    MACHINE_NEW,       /* the command waits for its event */
    MACHINE_SCHEDULED, /* the event of the command was seen */
    MACHINE_STARTED,
    MACHINE_STATE_COUNT,
};

struct machine {
    uint8_t kind, state;
    uint8_t cancel_type;
    bool is_cancelled;   /* a cancel was asked for */
    bool is_resolved;    /* the SDK knows the end; what still comes is history only */
    bool is_start_known; /* children, nexus operations: the SDK knows the start */
    uint32_t seq, attempt;
    int64_t event_id, started_id;
    struct str id, name; /* activity id and type, child's workflow id and type, target and signal name … ; own memory */
    char *run_id;        /* children: once started; terminated, NULL = unknown */
    size_t run_id_size;
    struct local *local; /* MACHINE_LOCAL */
};

enum outgoing_kind {
    OUT_NONE, OUT_START_TIMER, OUT_CANCEL_TIMER, OUT_SCHEDULE_ACTIVITY, OUT_CANCEL_ACTIVITY, OUT_START_CHILD, OUT_CANCEL_EXTERNAL,
    OUT_SIGNAL_EXTERNAL, OUT_MARKER, OUT_UPSERT, OUT_PROPERTIES, OUT_UPDATE_ACCEPTED, OUT_UPDATE_COMPLETED, OUT_SCHEDULE_NEXUS,
    OUT_CANCEL_NEXUS, OUT_COMPLETE, OUT_FAIL, OUT_CANCEL, OUT_CONTINUE_AS_NEW, OUT_KIND_COUNT,
};
enum { MARKER_PATCH = 1, MARKER_LOCAL = 2 };

/* A completion whose parts are still needed. */
struct kept {
    struct kept *next;
    struct arena arena;
    char *bytes;
};

struct outgoing {
    struct list link;
    uint8_t kind;
    uint8_t marker;               /* OUT_MARKER: which */
    bool is_deprecated;           /* a deprecated patch: history may lack it */
    uint32_t seq;
    struct machine *machine;      /* NULL: none, or gone meanwhile (then id and name still say what it was) */
    const pb_core_Command *from;  /* in a kept completion; NULL once the task is over */
    const void *extra;            /* what else the built command needs; as long */
    struct str id, name;          /* what history has to say about it; in out_arena */
};

enum job_group { JOBS_INIT, JOBS_PATCH, JOBS_SEED, JOBS_INBOUND, JOBS_OTHER, JOBS_LOCAL, JOB_GROUP_COUNT };
struct job_list { pb_core_Job **items; size_t count, capacity; };

struct page {
    struct page *next;
    struct arena arena;
    char *bytes;      /* NULL: somebody else's */
    size_t end;       /* index behind its last event in feed->events */
};
struct feed {
    const event_t **events;            /* in the task's arena */
    size_t count, capacity, at;        /* at: the next event to apply */
    struct page *pages, **page_last;
    const event_t **tail;              /* came with the task, to follow what is fetched from the start */
    size_t tail_count;
    char *token;
    size_t token_size;
    bool is_complete;                  /* no page is missing */
};

/* A marker of a local activity that the completed workflow task holds, looked at ahead of time. */
struct seen_marker {
    uint32_t seq, activation_index;
    bool has_index;
    const event_t *event;
};
/* An update between its request and its outcome; key: protocol instance id. */
struct update {
    char *request; /* encoded temporal.api.update.v1.Request */
    size_t request_size;
    struct str message_id, update_id, identity; /* own memory, behind request */
    int64_t sequencing_event_id;
    bool is_accepted;
    bool is_answered; /* completed, its event not seen yet */
};
/* An update request of the workflow task at hand. */
struct asked_update {
    struct str protocol_id, message_id;
    int64_t sequencing_event_id; /* it was asked behind this event */
    const pb_update_Request *request;
    bool is_live;
};

struct run {
    const pb_core_WorkerOptions *options;
    struct arena arena;                   /* lives as long as the run */
    struct str id, workflow_id, resource_id, workflow_type, namespace, task_queue;
    pb_history_WorkflowExecutionStartedEventAttributes *started; /* what continue-as-new carries on; a copy without input */
    instant first_event_time;
    duration task_timeout;

    struct list tasks;                    /* waiting */
    struct run_task *task;                /* the current one */
    struct feed feed;
    bool is_at_task;                      /* events up to a workflow task's start were applied and it is not over yet */
    bool is_version_told;                 /* the SDK knows the version that completes tasks from now on */
    bool is_replaying;                    /* that workflow task was completed in history */
    bool is_activation_out, is_query_out, is_query_answered, are_queries_asked, is_heartbeat_due, is_fetching;
    bool is_matching;                     /* events are those of commands */
    bool expects_completed;               /* we answered the last workflow task; history has to say so first */
    uint32_t activation_count;            /* in this workflow task */
    uint64_t completion_count;            /* of the run */
    instant now;                          /* what the workflow's clock says */
    instant task_event_time;              /* the start of this workflow task, server's clock */
    instant received_at;                  /* the same moment on ours */
    int64_t last_event_id;                /* applied */
    int empty_page_count;
    int64_t started_event_id;             /* of this workflow task */
    uint64_t history_size;
    bool suggest_continue_as_new, target_version_changed;
    int32_t *suggest_reasons;             /* in the task's arena */
    size_t suggest_reason_count;
    struct str deployment_name, build_id; /* of who completed this workflow task in history */

    struct arena scratch;                 /* jobs being gathered */
    pb_core_InitializeWorkflow *init_job; /* while it is being gathered: learns the time of the workflow task */
    struct job_list jobs[JOB_GROUP_COUNT];
    struct kept *kept;                    /* completions of this workflow task */
    struct arena task_arena;              /* what else lives as long as this workflow task */
    struct arena out_arena;               /* outgoing */
    struct list outgoing;
    bool is_closing;                      /* a closing command was given in this workflow task */
    int32_t close_kind;
    bool is_closed_in_history;

    struct map_u64 machines[MACHINE_KIND_COUNT]; /* by seq */
    struct map_u64 by_event;                     /* by event_id, those with later events */
    uint32_t seq_max[MACHINE_KIND_COUNT];
    struct map updates;                          /* by protocol instance id */
    struct map admitted;                         /* update id -> struct str *, an encoded request */
    struct asked_update *asked;                  /* in scratch, in the order of asking */
    size_t asked_count, asked_capacity, asked_at;
    struct map patches;                          /* id -> anything: markers in history or recorded */
    struct map search_attributes;                /* name -> struct str *, an encoded payload: what continue-as-new carries on */
    struct seen_marker *seen;
    size_t seen_count, seen_capacity;

    size_t local_count;                   /* machines of local activities that are not resolved */
    struct list local_ready;              /* struct local: to be executed or cancelled */
    uint32_t *local_stops;                /* seqs to be told to stop though nobody waits; in task_arena */
    size_t local_stop_count, local_stop_capacity;
    struct list local_results;            /* struct local_outcome */
    uint32_t local_retries;               /* since the last answer */

    pb_core_RespondQuery **query_results; /* in task_arena, their parts in kept completions */
    size_t query_results_count, query_results_capacity_;
    pb_protocol_Message **messages;       /* to send, in task_arena */
    size_t messages_count, messages_capacity_;

    uint32_t *lang_flags;                 /* known from history or sent */
    size_t lang_flags_count, lang_flags_capacity_;
    uint32_t *new_lang_flags;             /* to be sent; in the task's arena */
    size_t new_lang_flags_count, new_lang_flags_capacity_;
    uint64_t core_flags;                  /* bit n: flag n, known from history or sent */
    struct str sdk_name, sdk_version;     /* of the last completed workflow task in history */
    int32_t versioning_behavior;
    bool is_rebuild;
    bool has_failed;
    struct run_failure failure;
};

/* run.c */
MUST_USE err run_fail(struct run *run, int32_t cause, const char *format, ...) PRINTF_LIKE(3, 4); /* ERR_INVALID */
MUST_USE err run_diverge(struct run *run, const char *format, ...) PRINTF_LIKE(2, 3); /* non-determinism */
pb_core_Job *run_job(struct run *run, enum job_group group, int32_t variant);
#define RUN_JOB(run, group, field, name)                                                                     \
    ((run_job((run), (group), pb_core_Job_##field##_tag)->field) = pb_new(&(run)->scratch, pb_core_##name))

/* run_history.c */
void feed_fini(struct feed *feed);
void run_feed_task(struct run *run);  /* takes the events of the current task */
enum feed_state { FEED_NEED_PAGE, FEED_TASK, FEED_END };
/* Finds the next workflow task to play: *end = index behind its started event. is_replay: history has its end as well. */
enum feed_state run_find_task(struct run *run, size_t *end, bool *is_replay);
MUST_USE err run_look_ahead(struct run *run, size_t end); /* at the events of the workflow task being replayed */
void run_note_completed(struct run *run, const event_t *e);
bool run_note_lang_flag(struct run *run, uint32_t flag); /* true: it is new */
void feed_drop_pages(struct feed *feed);

/* run_events.c */
MUST_USE err run_apply_events(struct run *run, size_t end);
MUST_USE err run_apply_commands_only(struct run *run); /* those behind the last workflow task */
enum outgoing_kind event_command_kind(int32_t type);    /* OUT_NONE: not the event of a command */
MUST_USE err event_check(struct run *run, const event_t *e); /* known, and with its attributes */

/* run_commands.c */
MUST_USE err run_take_commands(struct run *run, const pb_core_Completion *completion);
struct outgoing *run_push(struct run *run, enum outgoing_kind kind, struct machine *m, const pb_core_Command *from);
void run_unpush(struct run *run, struct outgoing *out);
struct outgoing *run_find_outgoing(struct run *run, enum outgoing_kind kind, const struct machine *m);

/* machines/machine.c */
struct machine *machine_create(struct run *run, enum machine_kind kind, uint32_t seq, struct str id, struct str name);
void machine_destroy(struct run *run, struct machine *m); /* also takes it out of all indexes */
void machine_free(struct machine *m);
struct machine *machine_get(struct run *run, enum machine_kind kind, uint32_t seq);
struct machine *machine_of_event(struct run *run, enum machine_kind kind, int64_t event_id);
void machine_scheduled(struct run *run, struct machine *m, const event_t *e);
/* A command names a seq that has no machine: fine when it had one once. */
MUST_USE err machine_missing(struct run *run, enum machine_kind kind, uint32_t seq, const char *what);
pb_failure_Failure *failure_new(struct arena *arena, const char *message);
pb_failure_Failure *failure_cancelled(struct arena *arena, const char *message, const pb_common_Payloads *details);
struct str seq_text(struct arena *arena, uint32_t seq);
static inline struct pb_common_Payload *first_payload(const pb_common_Payloads *p)
{
    return p != NULL && p->payloads_count != 0 ? p->payloads[0] : NULL;
}
pb_common_Payloads *payloads_of(struct arena *arena, struct pb_common_Payload **items, size_t count); /* NULL for none */
pb_common_Payloads *payloads_one(struct arena *arena, struct pb_common_Payload *item);
#define NAME_OF(type_message) ((type_message) != NULL ? (type_message)->name : STR_EMPTY)
/* Entries of a map<string, Payload> look the same in every message, so a map moves as its array. */
#define TAKE_MAP(to, to_field, from, from_field) \
    ((to)->to_field = (void *)(from)->from_field, (to)->to_field##_count = (from)->from_field##_count)
#define TAKE_ARRAY(to, to_field, from, from_field) \
    ((to)->to_field = (from)->from_field, (to)->to_field##_count = (from)->from_field##_count)
#define TAKE_PAYLOADS(to, to_field, payloads_message)                                     \
    do {                                                                                  \
        const pb_common_Payloads *take_p_ = (payloads_message);                           \
        if (take_p_ != NULL) { TAKE_ARRAY((to), to_field, take_p_, payloads); }           \
    } while (0)

/* What each kind of outgoing does: see the table in run_events.c. `matched` checks the event against it and moves its
 * machine on; `build` fills the command for the server. */
MUST_USE err timer_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err timer_cancel_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err activity_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err activity_cancel_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err child_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err external_cancel_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err external_signal_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err marker_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err update_accepted_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err update_completed_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err nexus_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err nexus_cancel_matched(struct run *run, struct outgoing *out, const event_t *e);
MUST_USE err workflow_end_matched(struct run *run, struct outgoing *out, const event_t *e);

void timer_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void activity_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void child_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void external_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void local_marker_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void patch_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void patch_upsert_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void update_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void nexus_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);
void workflow_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c);

/* Commands of the SDK. */
MUST_USE err timer_start(struct run *run, const pb_core_Command *c);
MUST_USE err timer_cancel(struct run *run, const pb_core_Command *c);
MUST_USE err activity_schedule(struct run *run, const pb_core_Command *c);
MUST_USE err activity_request_cancel(struct run *run, const pb_core_Command *c);
MUST_USE err local_schedule(struct run *run, const pb_core_Command *c);
MUST_USE err local_request_cancel(struct run *run, const pb_core_Command *c);
MUST_USE err child_start(struct run *run, const pb_core_Command *c);
MUST_USE err child_cancel(struct run *run, const pb_core_Command *c);
MUST_USE err external_signal(struct run *run, const pb_core_Command *c);
MUST_USE err external_signal_cancel(struct run *run, const pb_core_Command *c);
MUST_USE err external_cancel(struct run *run, const pb_core_Command *c);
MUST_USE err workflow_end(struct run *run, const pb_core_Command *c);
MUST_USE err query_respond(struct run *run, const pb_core_Command *c);
MUST_USE err update_respond(struct run *run, const pb_core_Command *c);
MUST_USE err patch_set(struct run *run, const pb_core_Command *c);
MUST_USE err workflow_upsert(struct run *run, const pb_core_Command *c);
MUST_USE err workflow_modify(struct run *run, const pb_core_Command *c);
void workflow_note_attribute(struct run *run, struct str name, const pb_common_Payload *value);
MUST_USE err nexus_schedule(struct run *run, const pb_core_Command *c);
MUST_USE err nexus_request_cancel(struct run *run, const pb_core_Command *c);

/* Events that answer no command of this workflow task. */
MUST_USE err workflow_started(struct run *run, const event_t *e);
MUST_USE err workflow_cancel_requested(struct run *run, const event_t *e);
MUST_USE err workflow_signaled(struct run *run, const event_t *e);
MUST_USE err timer_fired(struct run *run, const event_t *e);
MUST_USE err activity_started(struct run *run, const event_t *e);
MUST_USE err activity_closed(struct run *run, const event_t *e);
MUST_USE err child_started(struct run *run, const event_t *e);
MUST_USE err child_start_failed(struct run *run, const event_t *e);
MUST_USE err child_closed(struct run *run, const event_t *e);
MUST_USE err external_signal_closed(struct run *run, const event_t *e);
MUST_USE err external_cancel_closed(struct run *run, const event_t *e);
MUST_USE err nexus_started(struct run *run, const event_t *e);
MUST_USE err nexus_closed(struct run *run, const event_t *e);
MUST_USE err nexus_cancel_delivered(struct run *run, const event_t *e);
MUST_USE err update_admitted(struct run *run, const event_t *e);

/* Local activities (machines/local.c). */
struct local {
    struct list link;                    /* in run->local_ready */
    struct machine *machine;
    char *bytes;                         /* the encoded ScheduleLocalActivity */
    size_t size;
    struct buf metadata;                 /* an encoded UserMetadata for the marker; empty: none */
    instant original_schedule_time;
    uint64_t scheduled_in;               /* the completion that asked for it */
    bool is_taken, is_cancel_wanted;
};
void local_free(struct local *local);
void local_take_results(struct run *run);                  /* turns results that came in into markers and jobs */
void local_play_markers(struct run *run, bool has_other_jobs);                  /* the same for those history has for this activation */
void local_go_live(struct run *run);                       /* what was not resolved in history is executed now */
void local_drop_all(struct run *run);                      /* at the end of the workflow */
MUST_USE err local_note_marker(struct run *run, const event_t *e);
void local_results_fini(struct run *run);

/* Updates and patches seen ahead, and messages of the task. */
void update_ahead(struct run *run, const event_t *e);
MUST_USE err update_take_messages(struct run *run);
void update_emit_before(struct run *run, int64_t event_id); /* jobs for those that were asked before that event */
void update_free(struct update *update);
bool patch_of_marker(const event_t *e, struct arena *arena, struct str *id, bool *is_deprecated); /* false: another marker */
bool patch_is_upsert(const event_t *e); /* the search attribute that goes with a patch marker */
void patch_ahead(struct run *run, const event_t *e);

#endif
