#include "frontend/poll.h"

#include "proto/perdure/frontend.h"

#include <stdlib.h>

static const int64_t MARGIN_MS = 1000; /* an empty answer leaves that much before the caller's deadline */

struct str token_encode(struct arena *arena, const pb_store_TaskToken *token) { return PB_ENCODE_ARENA(pb_store_TaskToken, token, arena); }

const pb_store_TaskToken *token_decode(struct rpc *rpc, struct str bytes)
{
    pb_store_TaskToken *token = NULL;
    const char *problem = NULL;
    if (str_is_empty(bytes)) problem = "the task token is missing";
    else if (PB_DECODE(rpc->arena, bytes, pb_store_TaskToken, &token) != ERR_NONE || token->run_key == 0) problem = "the task token is none of this server's";
    if (problem == NULL && rpc->ns == NULL) rpc->ns = namespace_by_key(rpc->frontend, token->namespace_key);
    if (problem == NULL && (rpc->ns == NULL || rpc->ns->key != token->namespace_key)) problem = "the task token belongs to another namespace";
    if (problem == NULL) return token;
    rpc_error(rpc, ERR_INVALID, "%s", problem);
    return NULL;
}

void poll_answer_empty(struct task_poll *poll)
{
    const struct pb_message *type = pb_method_response(poll->rpc->method);
    rpc_reply(poll->rpc, type, arena_zalloc(poll->rpc->arena, type->size));
}

pb_taskqueue_PollerScalingDecision *poll_scaling(struct task_poll *poll)
{
    if (poll->wait.scaling == 0) return NULL;
    pb_taskqueue_PollerScalingDecision *d = pb_new(poll->rpc->arena, pb_taskqueue_PollerScalingDecision);
    d->poll_request_delta_suggestion = poll->wait.scaling;
    return d;
}

static void over(struct task_poll *poll)
{
    if (poll->is_waiting) poll->f->stats.polls_parked--;
    poll->is_waiting = false;
}

/* Before anything is done with the request or the arena. */
static void unpark(struct rpc *rpc)
{
    if (!rpc->is_parked) return;
    rpc->is_parked = false;
    rpc->ops->unpark(rpc);
}

static void end_empty(struct task_poll *poll)
{
    over(poll);
    unpark(poll->rpc);
    poll_answer_empty(poll);
}

static void on_empty(struct matching_poll *wait) { end_empty(container_of(wait, struct task_poll, wait)); }

static void poll_free(struct task_poll *poll)
{
    list_remove(&poll->link);
    free(poll);
}

static void on_release(struct rpc *rpc) { poll_free(rpc->state); }

/* ---- starting the task ---- */

static err start_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit UNUSED)
{
    struct task_start *start = container_of(container_of(call, struct op, call), struct task_start, op);
    /* The caller left while the run was being loaded: the task goes back untouched. */
    if (start->poll->rpc->is_cancelled) return ERR_CANCELLED;
    return start->poll->kind->step(start, e, step);
}

static void start_done(struct shard_call *call, err result)
{
    struct task_start *start = container_of(container_of(call, struct op, call), struct task_start, op);
    struct task_poll *poll = start->poll;
    struct rpc *rpc = poll->rpc;
    poll->f->now = poll->f->env.now(poll->f->env.arg);
    poll->is_starting = false;
    bool is_gone = result == ERR_TASK_GONE || result == ERR_WORKFLOW_NOT_FOUND || result == ERR_WORKFLOW_CLOSED || result == ERR_NOT_FOUND;
    if (result == ERR_NONE) {
        matching_accept(poll->f->env.matching, &poll->wait);
        over(poll);
        if (rpc->is_cancelled) reach("poll: the caller left after its task was started");
        else poll->kind->started(start);
    } else if (is_gone && !rpc->is_cancelled && !poll->f->is_draining) {
        matching_poll_again(poll->f->env.matching, &poll->wait);
    } else if (is_gone) {
        matching_accept(poll->f->env.matching, &poll->wait);
        over(poll);
        if (!rpc->is_cancelled) poll_answer_empty(poll);
    } else {
        matching_give_back(poll->f->env.matching, &poll->wait);
        over(poll);
        if (!rpc->is_cancelled) rpc_error_of(rpc, result, &call->error);
    }
    rpc_let_go(rpc);
}

static void on_task(struct matching_poll *wait, const struct queue_task *task, bool is_query)
{
    struct task_poll *poll = container_of(wait, struct task_poll, wait);
    struct rpc *rpc = poll->rpc;
    unpark(rpc);
    if (is_query) {
        over(poll);
        poll->kind->query(poll, task->transient);
        return;
    }
    struct task_start *start = arena_zalloc(rpc->arena, poll->kind->start_size);
    poll->is_starting = true;
    start->poll = poll;
    start->task = *task;
    start->op = (struct op){.rpc = rpc, .f = poll->f};
    start->op.call = (struct shard_call){
        .namespace_key = task->namespace_key, .workflow_id = task->workflow_id, .run_id = task->run_id, .run = task->run,
        .need = SHARD_NEEDS_RUN_KEY, .step = start_step, .done = start_done, .arena = rpc->arena,
    };
    rpc_hold(rpc);
    shard_submit(poll->f->env.shard, &start->op.call);
}

static void on_cancel(struct rpc *rpc)
{
    struct task_poll *poll = rpc->state;
    if (poll->is_starting) return; /* start_done tells matching the outcome */
    matching_cancel(poll->f->env.matching, &poll->wait);
    over(poll);
}

/* ---- waiting ---- */

/* Source: limits-and-errors, section 4, "Minimum long-poll deadline". */
static bool check_deadline(struct rpc *rpc)
{
    if (rpc->deadline.ns == INSTANT_NEVER.ns) {
        rpc_error(rpc, ERR_INVALID, "a poll needs a deadline");
        return false;
    }
    if (instant_since(rpc->deadline, rpc->frontend->now).ns < 2 * NS_PER_S) {
        rpc_error(rpc, ERR_PRECONDITION, "a poll needs a deadline at least two seconds away");
        return false;
    }
    return true;
}

static instant poll_deadline(struct frontend *f, struct rpc *rpc)
{
    int64_t longest = f->settings.limits.task_long_poll_ms;
    int64_t ms = longest - (longest > 6 ? (int64_t)prng_below(&f->prng, (uint64_t)longest / 6) : 0);
    return instant_min(instant_add(f->now, duration_ms(ms)), instant_add(rpc->deadline, duration_ms(-MARGIN_MS)));
}

void poll_begin(struct frontend *f, struct rpc *rpc, const struct poll_kind *kind, enum queue_kind queue_kind, const pb_taskqueue_TaskQueue *queue, struct str identity,
                const pb_common_WorkerVersionCapabilities *capabilities, const pb_deployment_WorkerDeploymentOptions *deployment, double rate_max)
{
    if (!check_task_queue(rpc, queue, true) || !check_id(rpc, "identity", identity, false) || !check_deadline(rpc)) return;
    struct str build = capabilities != NULL ? capabilities->build_id : STR_EMPTY, name = STR_EMPTY;
    if (deployment != NULL && deployment->worker_versioning_mode == WORKER_VERSIONING_MODE_VERSIONED) {
        build = deployment->build_id;
        name = deployment->deployment_name;
        if (str_is_empty(build) || str_is_empty(name)) {
            rpc_error(rpc, ERR_INVALID, "a versioned worker names its deployment and its build id");
            return;
        }
    }
    struct task_poll *poll = xcalloc(1, sizeof *poll);
    *poll = (struct task_poll){.rpc = rpc, .f = f, .kind = kind, .is_waiting = true};
    poll->wait = (struct matching_poll){
        .namespace_key = rpc->ns->key, .queue = queue->name, .kind = queue_kind, .is_sticky = queue->kind == TASK_QUEUE_KIND_STICKY,
        .normal_queue = queue->normal_name, .on_task = on_task, .on_empty = on_empty,
        .poller = {.identity = identity, .build_id = build, .deployment = name, .connection_id = rpc->connection_id,
                   .deadline = poll_deadline(f, rpc), .rate_max = rate_max},
    };
    rpc->state = poll;
    rpc->on_release = on_release;
    rpc->on_cancel = on_cancel;
    list_push(&f->polls, &poll->link);
    f->stats.polls_parked++;
    err result = matching_poll(f->env.matching, &poll->wait);
    if (result != ERR_NONE) {
        over(poll);
        rpc_error(rpc, result, "too many polls wait on task queue %.*s", STR_ARG(queue->name));
    } else if (poll->wait.state == POLL_WAITING && rpc->ops->park != NULL) {
        rpc->is_parked = true;
        rpc->ops->park(rpc);
    }
}

void polls_drain(struct frontend *f)
{
    list_each_safe(link, &f->polls) {
        struct task_poll *poll = container_of(link, struct task_poll, link);
        if (poll->is_waiting && !poll->is_starting && matching_cancel(f->env.matching, &poll->wait)) end_empty(poll);
    }
}

void polls_free(struct frontend *f)
{
    list_each_safe(link, &f->polls) poll_free(container_of(link, struct task_poll, link));
}

/* ---- the history that goes with a workflow task ---- */

enum { TASK_EVENTS_MAX = 256, TASK_BYTES_MAX = 2 * 1024 * 1024 };

static struct str join(struct arena *arena, struct str a, struct str b)
{
    if (str_is_empty(a)) return b;
    if (str_is_empty(b)) return a;
    char *p = arena_alloc(arena, a.size + b.size);
    memcpy(p, a.data, a.size);
    memcpy(p + a.size, b.data, b.size);
    return (struct str){p, a.size + b.size};
}

void task_history_in_step(struct task_history_read *read, struct rpc *rpc, struct execution *e, const struct task_history *history,
                          pb_ws_PollWorkflowTaskQueueResponse *task)
{
    *read = (struct task_history_read){.rpc = rpc, .history = *history, .task = task};
    task->history = pb_new(rpc->arena, pb_history_History);
    if (history->is_empty) {
        read->is_done = true;
        return;
    }
    struct history_view view;
    execution_history(e, rpc->arena, &view);
    bool is_small = view.cached.size <= TASK_BYTES_MAX && history->to - history->from <= TASK_EVENTS_MAX;
    if (history->from >= history->to || (is_small && view.cached_from <= history->from)) {
        struct str events = history->from < history->to ? execution_cached_range(e, history->from, history->to) : STR_EMPTY;
        if (history->transient.size != 0) task->history->unknown_ = join(rpc->arena, events, history->transient);
        else task->history->unknown_ = arena_str(rpc->arena, events);
        read->is_done = true;
        return;
    }
    read->read.call = (struct shard_call){.namespace_key = rpc->ns->key, .run = execution_run(e), .need = SHARD_NEEDS_RUN_KEY, .arena = rpc->arena,
                                          .workflow_id = arena_str(rpc->arena, execution_workflow_id(e)), .run_id = arena_str(rpc->arena, execution_run_id(e))};
    read->read.from = history->from;
    read->read.to = history->to;
    read->read.events_max = TASK_EVENTS_MAX;
    read->read.bytes_max = TASK_BYTES_MAX;
}

static void read_done(struct shard_history_read *base, err result)
{
    struct task_history_read *read = container_of(base, struct task_history_read, read);
    if (result == ERR_NONE && base->next == 0) {
        read->task->history->unknown_ = join(read->rpc->arena, base->history, read->history.transient);
    } else if (result == ERR_NONE) {
        pb_store_HistoryToken token = {.run_id = base->call.run_id, .next_event_id = base->next, .end_event_id = read->history.to,
                                       .transient_events = read->history.transient};
        read->task->history->unknown_ = base->history;
        read->task->next_page_token = PB_ENCODE_ARENA(pb_store_HistoryToken, &token, read->rpc->arena);
    }
    read->then(read, result);
}

void task_history_finish(struct task_history_read *read, struct frontend *f, void (*then)(struct task_history_read *read, err result))
{
    read->then = then;
    if (read->is_done) {
        then(read, ERR_NONE);
        return;
    }
    read->read.done = read_done;
    shard_read_history(f->env.shard, &read->read);
}
