/* frontend/poll.h: what the two task polls share: waiting in matching, starting the task on its run, and the fate of a
 * task whose poller goes away meanwhile. */
#ifndef FRONTEND_POLL_H
#define FRONTEND_POLL_H

#include "frontend/internal.h"

struct task_poll {
    struct matching_poll wait;
    struct op start;             /* on the run of the task that was delivered */
    struct rpc *rpc;
    struct frontend *f;
    struct list link;            /* frontend.polls */
    struct queue_task task;      /* what is being started; strings borrowed from matching until its outcome is told */
    bool is_starting;
    int32_t task_queue_kind;
    /* the kind's own */
    err (*step)(struct task_poll *poll, struct execution *e, struct step *step);
    void (*started)(struct task_poll *poll);  /* durable or relaxed: build the reply */
    void (*query)(struct task_poll *poll, struct matching_query *query);
};

/* Checks the deadline and begins to wait; answers the rpc on failure. */
void poll_begin(struct task_poll *poll, enum queue_kind kind, const pb_taskqueue_TaskQueue *queue, struct str identity,
                const pb_common_WorkerVersionCapabilities *capabilities, const pb_deployment_WorkerDeploymentOptions *deployment, double rate_max);
/* An empty reply of the rpc's type. */
void poll_answer_empty(struct task_poll *poll);
pb_taskqueue_PollerScalingDecision *poll_scaling(struct task_poll *poll);

/* Fills task->history with events [history->from, history->to) and the transient ones, reading the store when they are no longer in
 * memory, then calls then(arg, result). A first page; the rest by next_page_token. */
struct task_history_read {
    struct shard_history_read read;
    struct rpc *rpc;
    struct task_history history;
    pb_ws_PollWorkflowTaskQueueResponse *task;
    void (*then)(struct task_history_read *read, err result);
    bool is_done;
};
/* Within the step: takes what is in memory; sets is_done when that was all. */
void task_history_in_step(struct task_history_read *read, struct rpc *rpc, struct execution *e, const struct task_history *history,
                          pb_ws_PollWorkflowTaskQueueResponse *task);
/* After it: calls then, at once if is_done. */
void task_history_finish(struct task_history_read *read, struct frontend *f, void (*then)(struct task_history_read *read, err result));

/* ---- queries (query.c) ---- */

/* A workflow poll got this query: it is answered with a query task. */
void query_deliver(struct task_poll *poll, struct matching_query *query);

/* Within the start of a workflow task: adds the run's waiting queries to the reply. */
void queries_attach(struct frontend *f, run_key run, struct arena *arena, pb_ws_PollWorkflowTaskQueueResponse *task);
/* Answers in a completion. */
void queries_answer(struct frontend *f, run_key run, pb_ws_RespondWorkflowTaskCompletedRequest_QueryResultsEntry *const *results, size_t count);

#endif
