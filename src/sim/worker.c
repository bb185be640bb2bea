/* sim/worker.c: a worker that polls for workflow and activity tasks, remembers the runs it has seen, is now and then too
 * slow, answers twice, and dies without a word to come back as another. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { POLLS = 2, CACHE_MAX = 64 };

struct worker {
    struct sim *sim;
    struct list link;
    int number, life;
    uint64_t connection;
    char identity[32], sticky[40];
    struct alarm death, poll_again;
    struct map cache;           /* run id -> struct progress */
    struct list jobs;
    int workflow_polls, sticky_polls, activity_polls;
};

/* A task in the worker's hands. */
struct job {
    struct worker *worker;
    struct list link;
    struct alarm ready;
    struct arena arena;
    bool is_activity;
    struct str token, run_id, workflow_id;
    struct progress progress;
    int64_t started_event_id;
    int32_t attempt;
    int failures;
    pb_command_Command **commands;
    size_t command_count;
    const pb_ws_PollWorkflowTaskQueueResponse *task; /* in the arena; its history is not looked at any more */
    bool is_cancelled;          /* an activity that was asked to stop */
};

static const pb_taskqueue_TaskQueue normal_queue = {.name = {"queue", 5}, .kind = TASK_QUEUE_KIND_NORMAL};

/* ---- cache ---- */

static void cache_forget(struct worker *w, struct str run_id) { free(map_remove(&w->cache, run_id)); }

static void cache_keep(struct worker *w, struct str run_id, const struct progress *progress)
{
    if (map_count(&w->cache) >= CACHE_MAX) {
        size_t at = 0;
        struct str oldest;
        if (map_next(&w->cache, &at, &oldest) != NULL) cache_forget(w, oldest);
    }
    struct progress *kept = xmalloc(sizeof *kept);
    *kept = *progress;
    free(map_put(&w->cache, run_id, kept));
}

/* ---- jobs ---- */

static struct job *job_create(struct worker *w, struct str token, const pb_common_WorkflowExecution *execution)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->worker = w;
    arena_init(&job->arena, 0, 0);
    job->token = arena_str(&job->arena, token);
    job->workflow_id = arena_str(&job->arena, execution->workflow_id);
    job->run_id = arena_str(&job->arena, execution->run_id);
    list_push(&w->jobs, &job->link);
    return job;
}

static void job_free(struct job *job)
{
    alarm_clear(job->worker->sim, &job->ready);
    list_remove(&job->link);
    arena_fini(&job->arena);
    free(job);
}

/* How long a worker thinks: mostly a moment, now and then longer than any timeout. */
static duration thinking(struct sim *sim)
{
    if (sim_chance(sim, sim->weather.slow_worker_one_in)) return sim_pause(sim, duration_s(12));
    return sim_pause(sim, duration_ms(5));
}

static void worker_poll(struct worker *w);

/* ---- workflow tasks ---- */

static void job_work_out(struct job *job);

static void task_take(struct worker *w, const pb_ws_PollWorkflowTaskQueueResponse *task);
static void activity_take(struct worker *w, const pb_ws_PollActivityTaskQueueResponse *task);

static void completed(struct remote *r, enum grpc_code code, const void *message)
{
    struct job *job = r->user;
    struct worker *w = job->worker;
    const pb_ws_RespondWorkflowTaskCompletedResponse *reply = message;
    if (code == GRPC_OK) {
        job->progress.last_event_id = reply->reset_history_event_id != 0 ? reply->reset_history_event_id : job->started_event_id;
        cache_keep(w, job->run_id, &job->progress);
        for (size_t i = 0; i < reply->activity_tasks_count; i++) activity_take(w, reply->activity_tasks[i]);
        if (reply->workflow_task != NULL) task_take(w, reply->workflow_task);
    } else {
        cache_forget(w, job->run_id);
    }
    job_free(job);
}

/* ---- queries and updates that came with the task ---- */

static pb_common_Payloads *answer_payloads(struct arena *arena, struct str text)
{
    return pb_payloads_of(arena, pb_payload_new(arena, STR("binary/plain"), text));
}

static void answer_queries(struct job *job, pb_ws_RespondWorkflowTaskCompletedRequest *request)
{
    for (size_t i = 0; i < job->task->queries_count; i++) {
        pb_ws_RespondWorkflowTaskCompletedRequest_QueryResultsEntry *entry = PB_PUSH_NEW(&job->arena, request, query_results);
        entry->key = job->task->queries[i]->key;
        entry->value = pb_new(&job->arena, pb_query_WorkflowQueryResult);
        entry->value->result_type = QUERY_RESULT_TYPE_ANSWERED;
        entry->value->answer = answer_payloads(&job->arena, STR("with a task"));
    }
}

static pb_protocol_Message *say(struct job *job, pb_ws_RespondWorkflowTaskCompletedRequest *request, const pb_protocol_Message *to, const char *what,
                                const struct pb_message *type, const void *body)
{
    struct arena *arena = &job->arena;
    pb_protocol_Message *message = PB_PUSH_NEW(arena, request, messages);
    struct str name = pb_name(type->name);
    message->id = arena_printf(arena, "%.*s/%s", STR_ARG(to->protocol_instance_id), what);
    message->protocol_instance_id = to->protocol_instance_id;
    message->body = pb_new(arena, pb_google_Any);
    message->body->type_url = arena_printf(arena, "type.googleapis.com/%.*s", STR_ARG(name));
    message->body->value = pb_encode_arena(type, body, arena);
    return message;
}

static void place(struct job *job, pb_ws_RespondWorkflowTaskCompletedRequest *request, const pb_protocol_Message *message)
{
    pb_command_Command *command = PB_PUSH_NEW(&job->arena, request, commands);
    command->command_type = COMMAND_TYPE_PROTOCOL_MESSAGE;
    command->attributes_case = pb_command_Command_protocol_message_command_attributes_tag;
    command->protocol_message_command_attributes = pb_new(&job->arena, pb_command_ProtocolMessageCommandAttributes);
    command->protocol_message_command_attributes->message_id = message->id;
}

/* One in four is rejected; the others are accepted and answered at once. */
static void answer_update(struct job *job, pb_ws_RespondWorkflowTaskCompletedRequest *request, const pb_protocol_Message *message)
{
    struct arena *arena = &job->arena;
    pb_update_Request *asked;
    if (message->body == NULL || PB_DECODE(arena, message->body->value, pb_update_Request, &asked) != ERR_NONE)
        sim_fail(job->worker->sim, "an update does not decode");
    if (str_hash(asked->meta->update_id) % 4 == 0) {
        pb_failure_Failure failure = {.message = STR("not now")};
        pb_update_Rejection no = {.rejected_request_message_id = message->id, .rejected_request_sequencing_event_id = message->event_id,
                                  .rejected_request = asked, .failure = &failure};
        say(job, request, message, "reject", &pb_update_Rejection_type, &no);
        return;
    }
    pb_update_Acceptance yes = {.accepted_request_message_id = message->id, .accepted_request_sequencing_event_id = message->event_id,
                                .accepted_request = asked};
    pb_update_Outcome outcome = {.value_case = pb_update_Outcome_success_tag, .success = answer_payloads(arena, STR("updated"))};
    pb_update_Response answer = {.meta = asked->meta, .outcome = &outcome};
    place(job, request, say(job, request, message, "accept", &pb_update_Acceptance_type, &yes));
    place(job, request, say(job, request, message, "complete", &pb_update_Response_type, &answer));
}

static void send_completion(struct sim *sim, struct alarm *alarm)
{
    struct job *job = container_of(alarm, struct job, ready);
    struct worker *w = job->worker;
    pb_taskqueue_TaskQueue sticky = {.name = str_of(w->sticky), .kind = TASK_QUEUE_KIND_STICKY, .normal_name = STR("queue")};
    pb_google_Duration patience = {.seconds = 10};
    pb_taskqueue_StickyExecutionAttributes attributes = {.worker_task_queue = &sticky, .schedule_to_start_timeout = &patience};
    pb_ws_RespondWorkflowTaskCompletedRequest request = {.namespace = STR("default"), .task_token = job->token, .identity = str_of(w->identity),
                                                         .sticky_attributes = &attributes, .return_new_workflow_task = true};
    answer_queries(job, &request);
    for (size_t i = 0; i < job->task->messages_count; i++) answer_update(job, &request, job->task->messages[i]);
    for (size_t i = 0; i < job->command_count; i++) PB_PUSH(&job->arena, &request, commands) = job->commands[i];
    struct remote *r = remote_call(sim, pb_ws_RespondWorkflowTaskCompleted_method, &request, duration_s(10), w->connection, w, completed);
    r->user = job;
    if (sim_chance(sim, sim->weather.repeat_one_in))
        remote_call(sim, pb_ws_RespondWorkflowTaskCompleted_method, &request, duration_s(10), w->connection, w, NULL);
}

static void fold_history(struct job *job, const pb_history_History *history)
{
    for (size_t i = 0; history != NULL && i < history->events_count; i++) {
        const pb_history_HistoryEvent *event = history->events[i];
        if (event->event_id <= job->progress.last_event_id) continue; /* seen before */
        if (event->event_id != job->progress.last_event_id + 1)
            sim_fail(job->worker->sim, "run %.*s: a worker knows events up to %" PRId64 " and is given %" PRId64, STR_ARG(job->run_id),
                     job->progress.last_event_id, event->event_id);
        progress_fold(&job->progress, event);
    }
}

static void page_came(struct remote *r, enum grpc_code code, const void *message)
{
    struct job *job = r->user;
    const pb_ws_GetWorkflowExecutionHistoryResponse *reply = message;
    if (code != GRPC_OK) { /* the task times out */
        job_free(job);
        return;
    }
    fold_history(job, reply->history);
    if (!str_is_empty(reply->next_page_token) && job->progress.last_event_id < job->started_event_id) {
        pb_common_WorkflowExecution execution = {.workflow_id = job->workflow_id, .run_id = job->run_id};
        pb_ws_GetWorkflowExecutionHistoryRequest next = {.namespace = STR("default"), .execution = &execution, .next_page_token = reply->next_page_token};
        remote_call(r->sim, pb_ws_GetWorkflowExecutionHistory_method, &next, duration_s(10), job->worker->connection, job->worker, page_came)->user = job;
        return;
    }
    job_work_out(job);
}

static void job_work_out(struct job *job)
{
    struct sim *sim = job->worker->sim;
    job->command_count = program_decide(&job->progress, &job->arena, &job->commands);
    job->ready.ring = send_completion;
    alarm_set(sim, &job->ready, thinking(sim));
}

static void fetch(struct job *job, struct str token)
{
    pb_common_WorkflowExecution execution = {.workflow_id = job->workflow_id, .run_id = job->run_id};
    pb_ws_GetWorkflowExecutionHistoryRequest request = {.namespace = STR("default"), .execution = &execution, .next_page_token = token,
                                                        .maximum_page_size = str_is_empty(token) ? 7 : 0};
    remote_call(job->worker->sim, pb_ws_GetWorkflowExecutionHistory_method, &request, duration_s(10), job->worker->connection, job->worker, page_came)
        ->user = job;
}

static void task_take(struct worker *w, const pb_ws_PollWorkflowTaskQueueResponse *task)
{
    struct job *job = job_create(w, task->task_token, task->workflow_execution);
    job->started_event_id = task->started_event_id;
    job->task = PB_CLONE(&job->arena, pb_ws_PollWorkflowTaskQueueResponse, task);
    const struct progress *known = map_get(&w->cache, job->run_id);
    int64_t first = task->history != NULL && task->history->events_count != 0 ? task->history->events[0]->event_id : 0;
    if (first == 1 || known == NULL || known->last_event_id + 1 != first) {
        snprintf(job->progress.workflow_id, sizeof job->progress.workflow_id, "%.*s", STR_ARG(job->workflow_id));
        snprintf(job->progress.run_id, sizeof job->progress.run_id, "%.*s", STR_ARG(job->run_id));
        cache_forget(w, job->run_id);
    } else {
        job->progress = *known;
    }
    if (first != job->progress.last_event_id + 1) {
        reach("sim: a worker has lost what it knew of a run");
        fetch(job, STR_EMPTY);
        return;
    }
    fold_history(job, task->history);
    if (!str_is_empty(task->next_page_token)) {
        fetch(job, task->next_page_token);
    } else {
        job_work_out(job);
    }
}

static void answer_query(struct worker *w, struct str token)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_ws_RespondQueryTaskCompletedRequest request = {.namespace = STR("default"), .task_token = token, .completed_type = QUERY_RESULT_TYPE_ANSWERED,
                                                      .query_result = answer_payloads(&arena, STR("alone"))};
    remote_call(w->sim, pb_ws_RespondQueryTaskCompleted_method, &request, duration_s(10), w->connection, w, NULL);
    arena_fini(&arena);
}

static void workflow_poll_over(struct remote *r, enum grpc_code code, const void *message)
{
    struct worker *w = r->owner;
    const pb_ws_PollWorkflowTaskQueueResponse *task = message;
    if (r->is_sticky_poll) {
        w->sticky_polls--;
    } else {
        w->workflow_polls--;
    }
    if (code == GRPC_OK && !str_is_empty(task->task_token)) {
        if (task->query != NULL) answer_query(w, task->task_token);
        else task_take(w, task);
    }
    worker_poll(w);
}

/* ---- activity tasks ---- */

static void activity_over(struct remote *r, enum grpc_code code, const void *message)
{
    (void)code;
    (void)message;
    job_free(r->user);
}

static void send_heartbeat(struct sim *sim, struct alarm *alarm);

static void heartbeat_over(struct remote *r, enum grpc_code code, const void *message)
{
    struct job *job = r->user;
    const pb_ws_RecordActivityTaskHeartbeatResponse *reply = message;
    if (code == GRPC_NOT_FOUND) { /* timed out meanwhile, or its workflow has closed */
        job_free(job);
        return;
    }
    job->is_cancelled = code == GRPC_OK && reply->cancel_requested;
    alarm_set(r->sim, &job->ready, job->is_cancelled ? duration_ms(10) : duration_s(1));
}

/* A stubborn activity: it beats until it is told to stop. */
static void send_heartbeat(struct sim *sim, struct alarm *alarm)
{
    struct job *job = container_of(alarm, struct job, ready);
    struct worker *w = job->worker;
    if (job->is_cancelled) {
        pb_ws_RespondActivityTaskCanceledRequest request = {.namespace = STR("default"), .task_token = job->token, .identity = str_of(w->identity)};
        remote_call(sim, pb_ws_RespondActivityTaskCanceled_method, &request, duration_s(10), w->connection, w, activity_over)->user = job;
        return;
    }
    pb_ws_RecordActivityTaskHeartbeatRequest request = {.namespace = STR("default"), .task_token = job->token, .identity = str_of(w->identity)};
    remote_call(sim, pb_ws_RecordActivityTaskHeartbeat_method, &request, duration_s(2), w->connection, w, heartbeat_over)->user = job;
}

static void send_activity_result(struct sim *sim, struct alarm *alarm)
{
    struct job *job = container_of(alarm, struct job, ready);
    struct worker *w = job->worker;
    if (job->attempt <= job->failures) {
        pb_failure_ApplicationFailureInfo info = {.type = STR("Told")};
        pb_failure_Failure failure = {.message = STR("as told"), .failure_info_case = pb_failure_Failure_application_failure_info_tag,
                                      .application_failure_info = &info};
        pb_ws_RespondActivityTaskFailedRequest request = {.namespace = STR("default"), .task_token = job->token, .failure = &failure,
                                                          .identity = str_of(w->identity)};
        remote_call(sim, pb_ws_RespondActivityTaskFailed_method, &request, duration_s(10), w->connection, w, activity_over)->user = job;
        return;
    }
    pb_ws_RespondActivityTaskCompletedRequest request = {.namespace = STR("default"), .task_token = job->token, .identity = str_of(w->identity)};
    remote_call(sim, pb_ws_RespondActivityTaskCompleted_method, &request, duration_s(10), w->connection, w, activity_over)->user = job;
    if (sim_chance(sim, sim->weather.repeat_one_in))
        remote_call(sim, pb_ws_RespondActivityTaskCompleted_method, &request, duration_s(10), w->connection, w, NULL);
}

static void activity_take(struct worker *w, const pb_ws_PollActivityTaskQueueResponse *task)
{
    struct job *job = job_create(w, task->task_token, task->workflow_execution);
    job->is_activity = true;
    job->attempt = task->attempt;
    job->failures = program_failures(task->input != NULL && task->input->payloads_count != 0 ? task->input->payloads[0]->data : STR_EMPTY);
    job->ready.ring = job->failures < 0 ? send_heartbeat : send_activity_result;
    alarm_set(w->sim, &job->ready, thinking(w->sim));
}

static void activity_poll_over(struct remote *r, enum grpc_code code, const void *message)
{
    struct worker *w = r->owner;
    const pb_ws_PollActivityTaskQueueResponse *task = message;
    w->activity_polls--;
    if (code == GRPC_OK && !str_is_empty(task->task_token)) activity_take(w, task);
    worker_poll(w);
}

/* ---- polling ---- */

static void ring_poll_again(struct sim *sim, struct alarm *alarm)
{
    struct worker *w = container_of(alarm, struct worker, poll_again);
    pb_ws_PollWorkflowTaskQueueRequest workflow = {.namespace = STR("default"), .identity = str_of(w->identity)};
    pb_taskqueue_TaskQueue normal = normal_queue;
    pb_taskqueue_TaskQueue sticky = {.name = str_of(w->sticky), .kind = TASK_QUEUE_KIND_STICKY, .normal_name = STR("queue")};
    for (; w->workflow_polls < POLLS; w->workflow_polls++) {
        workflow.task_queue = &normal;
        remote_call(sim, pb_ws_PollWorkflowTaskQueue_method, &workflow, duration_s(70), w->connection, w, workflow_poll_over);
    }
    for (; w->sticky_polls < POLLS; w->sticky_polls++) {
        workflow.task_queue = &sticky;
        remote_call(sim, pb_ws_PollWorkflowTaskQueue_method, &workflow, duration_s(70), w->connection, w, workflow_poll_over)->is_sticky_poll = true;
    }
    pb_ws_PollActivityTaskQueueRequest activity = {.namespace = STR("default"), .identity = str_of(w->identity), .task_queue = &normal};
    for (; w->activity_polls < POLLS; w->activity_polls++)
        remote_call(sim, pb_ws_PollActivityTaskQueue_method, &activity, duration_s(70), w->connection, w, activity_poll_over);
}

static void worker_poll(struct worker *w)
{
    if (!heap_has(&w->poll_again.node)) alarm_set(w->sim, &w->poll_again, w->sim->is_serving ? duration_ms(1) : duration_ms(200));
}

/* ---- life ---- */

static void worker_born(struct worker *w)
{
    w->life++;
    w->connection = ++w->sim->next_connection;
    snprintf(w->identity, sizeof w->identity, "worker-%d", w->number);
    snprintf(w->sticky, sizeof w->sticky, "sticky-%d-%d", w->number, w->life);
    w->workflow_polls = w->sticky_polls = w->activity_polls = 0;
    worker_poll(w);
}

static void worker_die(struct worker *w)
{
    struct sim *sim = w->sim;
    struct list *link;
    remote_cancel_all(sim, w);
    while ((link = list_first(&w->jobs)) != NULL) job_free(container_of(link, struct job, link));
    if (sim->is_up) frontend_connection_closed(sim->frontend, w->connection);
    struct progress *progress;
    for (size_t at = 0; (progress = map_next(&w->cache, &at, NULL)) != NULL;) free(progress);
    map_fini(&w->cache);
    alarm_clear(sim, &w->poll_again);
}

static void ring_death(struct sim *sim, struct alarm *alarm)
{
    struct worker *w = container_of(alarm, struct worker, death);
    sim_trace(sim, "%s dies", w->identity);
    worker_die(w);
    worker_born(w);
    alarm_set(sim, alarm, sim_pause(sim, sim->weather.worker_death_every));
}

void worker_create(struct sim *sim, int number)
{
    struct worker *w = xcalloc(1, sizeof *w);
    w->sim = sim;
    w->number = number;
    list_init(&w->jobs);
    w->death.ring = ring_death;
    w->poll_again.ring = ring_poll_again;
    list_push(&sim->workers, &w->link);
    worker_born(w);
    if (sim->weather.worker_death_every.ns != 0) alarm_set(sim, &w->death, sim_pause(sim, sim->weather.worker_death_every));
}

void workers_calm(struct sim *sim)
{
    list_each(link, &sim->workers) alarm_clear(sim, &container_of(link, struct worker, link)->death);
}

void workers_destroy(struct sim *sim)
{
    struct list *link;
    while ((link = list_pop(&sim->workers)) != NULL) {
        struct worker *w = container_of(link, struct worker, link);
        worker_die(w);
        alarm_clear(sim, &w->death);
        free(w);
    }
}
