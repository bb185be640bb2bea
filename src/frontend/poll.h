/* frontend/poll.h: what the two task polls share: waiting in matching, starting the task on its run, and the fate of a
 * task whose poller goes away meanwhile. */
#ifndef FRONTEND_POLL_H
#define FRONTEND_POLL_H

#include "frontend/internal.h"

struct task_poll;

/* The task of a poll on its way to being started on its run; in the rpc's arena. A kind of poll embeds it first. */
struct task_start {
    struct op op;
    struct task_poll *poll;
    struct queue_task task;      /* strings borrowed from matching until its outcome is told */
};

struct poll_kind {
    size_t start_size;           /* of what embeds the struct task_start */
    err (*step)(struct task_start *start, struct execution *e, struct step *step);
    void (*started)(struct task_start *start);  /* durable or relaxed: build the reply */
    void (*query)(struct task_poll *poll, struct matching_query *query); /* NULL: none come */
};

/* Ten thousand of these wait at a time, so it holds what waiting needs and nothing else: the request and the rpc's arena
 * are given back meanwhile (rpc_ops.park). Freed with its rpc. */
struct task_poll {
    struct matching_poll wait;
    struct rpc *rpc;
    struct frontend *f;
    const struct poll_kind *kind;
    struct list link;            /* frontend.polls */
    bool is_waiting, is_starting;
};

/* Checks the deadline and begins to wait; answers the rpc on failure. */
void poll_begin(struct frontend *f, struct rpc *rpc, const struct poll_kind *kind, enum queue_kind queue_kind, const pb_taskqueue_TaskQueue *queue, struct str identity,
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
