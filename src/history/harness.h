/* history/harness.h: for tests: plays clients, workers and the store around the engine, in memory, on a clock that tests
 * move. After each durable step it flushes what was touched into rows, loads them again and compares, and it checks that
 * histories are gapless and never change. Messages between runs are delivered at once unless they are held. */
#ifndef HISTORY_HARNESS_H
#define HISTORY_HARNESS_H

#include "history/machines.h"

struct world_run {
    struct execution *e;
    int64_t key;
    struct str workflow_id, run_id;
    struct buf state, history;   /* as stored */
    int64_t event_count;         /* stored */
    struct map items;            /* struct world_item, by kind and key */
    bool has_wake;
    instant wake;
    struct str visibility;
    struct list link;
};

struct world {
    instant now;
    struct prng prng;
    struct limits limits;
    struct namespace_info ns, other_ns;
    int64_t next_run;
    struct arena arena;          /* of the whole test */
    struct error error;
    struct list runs;            /* struct world_run, oldest first */
    struct list tasks;           /* struct world_task, as offered */
    struct list messages;        /* struct world_message */
    struct list callbacks;       /* struct world_callback, as offered */
    bool holds_messages, repeats_messages;
    bool was_durable;            /* the last step */
    size_t notice_count;
    uint64_t reloads;
};
struct world_task { struct task_effect effect; struct list link; };
struct world_message { struct message_effect effect; struct list link; };
struct world_callback { struct callback_effect effect; struct list link; };

void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);
void world_advance(struct world *w, duration d);      /* and fires what is due on the way, in order */
void world_deliver(struct world *w);                  /* messages that wait */
/* Drops what is in memory and loads it again, as after a crash. */
void world_crash(struct world *w);
struct execution *world_current(struct world *w, const char *workflow_id);
struct world_run *world_run_of(struct world *w, const struct execution *e);
struct execution *world_by_run_id(struct world *w, struct str run_id);

/* Steps: world_begin, a function of the engine, world_end. */
void world_begin(struct world *w, struct step *step);
void world_end(struct world *w, struct step *step);

/* ---- clients ---- */
pb_ws_StartWorkflowExecutionRequest *start_request(struct world *w, const char *workflow_id);
err start_with(struct world *w, pb_ws_StartWorkflowExecutionRequest *request, pb_ws_StartWorkflowExecutionResponse **reply);
struct execution *start(struct world *w, const char *workflow_id);   /* a fresh one, queue "q", type "W" */
err signal_with(struct world *w, struct execution *e, const char *name, const char *request_id);
err cancel(struct world *w, struct execution *e);
err terminate(struct world *w, struct execution *e);
err update_with(struct world *w, struct execution *e, const char *id, struct update_view *view);
err update_look(struct world *w, struct execution *e, const char *id, struct update_view *view);

/* ---- workers ---- */
struct taken { /* a workflow task in a worker's hands */
    struct execution *e;
    pb_ws_PollWorkflowTaskQueueResponse *reply;
    struct task_history history;
};
bool has_task(struct world *w, const struct execution *e);
struct taken take(struct world *w, struct execution *e);   /* checks that one was offered */
pb_ws_RespondWorkflowTaskCompletedRequest *completion(struct world *w, size_t count, pb_command_Command **commands);
err complete_with(struct world *w, struct taken t, pb_ws_RespondWorkflowTaskCompletedRequest *request, struct taken *next);
#define COMMANDS(...) (sizeof((pb_command_Command *[]){__VA_ARGS__}) / sizeof(pb_command_Command *)), (pb_command_Command *[]){__VA_ARGS__}
/* done(w, take(w, e), schedule(w, "1"), timer(w, "t", 5)) */
#define done(w, t, ...) complete_with((w), (t), completion((w), COMMANDS(__VA_ARGS__)), NULL)
#define done_nothing(w, t) complete_with((w), (t), completion((w), 0, NULL), NULL)
err fail_task(struct world *w, struct taken t);

pb_command_Command *command_new(struct world *w, int32_t type);
pb_command_Command *schedule(struct world *w, const char *id);          /* type A, queue "q", start to close 10 s */
pb_command_Command *cancel_activity(struct world *w, int64_t scheduled_event_id);
pb_command_Command *timer(struct world *w, const char *id, int64_t seconds);
pb_command_Command *cancel_timer(struct world *w, const char *id);
pb_command_Command *succeed(struct world *w, const char *result);
pb_command_Command *fail_run(struct world *w, const char *type);
pb_command_Command *cancel_run(struct world *w);
pb_command_Command *continue_run(struct world *w);
pb_command_Command *start_child(struct world *w, const char *workflow_id, int32_t policy);
pb_command_Command *signal_other(struct world *w, const char *workflow_id);
pb_command_Command *cancel_other(struct world *w, const char *workflow_id);
pb_command_Command *marker(struct world *w, const char *name);

bool has_activity(struct world *w, const struct execution *e, int64_t scheduled_event_id);
pb_ws_PollActivityTaskQueueResponse *take_activity(struct world *w, struct execution *e); /* the oldest offered; NULL: none */
err complete_activity(struct world *w, pb_ws_PollActivityTaskQueueResponse *task);
err fail_activity(struct world *w, pb_ws_PollActivityTaskQueueResponse *task, const char *type, bool is_non_retryable);
err cancel_taken_activity(struct world *w, pb_ws_PollActivityTaskQueueResponse *task);
err heartbeat(struct world *w, pb_ws_PollActivityTaskQueueResponse *task, const char *details, pb_ws_RecordActivityTaskHeartbeatResponse *reply);

pb_common_Payloads *payloads(struct world *w, const char *text);
pb_failure_Failure *application_failure(struct world *w, const char *type, bool is_non_retryable);

/* ---- what came of it ---- */
pb_history_History *history_of(struct world *w, const struct execution *e);
size_t event_count(struct world *w, const struct execution *e);
event *event_at(struct world *w, const struct execution *e, int64_t id);     /* -1: the last */
/* Compares the types of events from `from` on with short names: "TimerStarted TimerFired". */
bool history_is(struct world *w, const struct execution *e, int64_t from, const char *names);
#define check_history(w, e, from, names) check(history_is((w), (e), (from), (names)))

#endif
