/* history/update.c: updates, from admission to their outcome.
 *
 *             worker accepts          worker answers
 *   ADMITTED ───────────────► ACCEPTED ─────────────► COMPLETED
 *      └── worker rejects, the run closes: forgotten, once whoever waits has been told
 *
 * (1) An admitted update lives in memory; the first trace in history is its acceptance.
 * (2) An update goes with a workflow task, a speculative one when no other is due. One that the worker does not answer with
 *     the task's completion is rejected; one whose task fails goes again with the next attempt.
 * Source: F027, F043, F056, F073-F076. */
#include "history/machines.h"

enum { NOT_READY_ATTEMPTS = 3 };

/* ---- what is known of an update ---- */

static bool is_pending(const struct item *item)
{
    return item->ending == ERR_NONE && item->update->outcome == NULL && item->update->stage != UPDATE_STAGE_COMPLETED;
}

/* Admitted, and neither rejected nor given up. */
static bool is_waiting(const struct item *item) { return is_pending(item) && item->update->stage == UPDATE_STAGE_ADMITTED; }

static int64_t in_flight(const struct execution *e)
{
    struct item *item;
    int64_t count = 0;
    for (size_t at = 0; (item = item_next(e, ITEM_UPDATE, &at)) != NULL;) count += is_pending(item);
    return count;
}

static pb_failure_Failure *update_failure(struct arena *arena, const char *message, const char *type)
{
    pb_failure_Failure *f = pb_new(arena, pb_failure_Failure);
    f->message = str_of(message);
    f->source = STR("Server");
    f->failure_info_case = pb_failure_Failure_application_failure_info_tag;
    f->application_failure_info = pb_new(arena, pb_failure_ApplicationFailureInfo);
    f->application_failure_info->type = str_of(type);
    f->application_failure_info->non_retryable = true;
    return f;
}

static pb_update_Outcome *failed_outcome(struct arena *arena, const pb_failure_Failure *failure)
{
    pb_update_Outcome *outcome = pb_new(arena, pb_update_Outcome);
    outcome->value_case = pb_update_Outcome_failure_tag;
    outcome->failure = PB_CLONE(arena, pb_failure_Failure, failure);
    return outcome;
}

err execution_update_view(const struct execution *e, struct step *step, struct str update_id, struct update_view *view)
{
    const struct item *item = item_by_name(e, ITEM_UPDATE, update_id);
    *view = (struct update_view){0};
    if (item == NULL) return fail_not_found(step, ERR_NOT_FOUND, "no update with id %.*s", STR_ARG(update_id));
    if (item->ending == ERR_BUSY_WORKFLOW)
        return fail_exhausted(step, ERR_BUSY_WORKFLOW, RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW, "the workflow goes on in a new run; try again");
    if (item->ending != ERR_NONE) return fail_not_found(step, ERR_WORKFLOW_CLOSED, "the workflow closed before it accepted the update");
    const pb_store_Update *u = item->update;
    view->stage = u->stage == UPDATE_STAGE_ADMITTED ? UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
                                                    : UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED;
    view->accepted_event_id = u->accepted_event_id;
    if (u->outcome != NULL) {
        view->outcome = PB_CLONE(step->arena, pb_update_Outcome, u->outcome);
    } else if (!execution_is_open(e)) {
        const pb_failure_Failure *f = update_failure(step->arena, "the workflow completed before it completed the update", "AcceptedUpdateCompletedWorkflow");
        view->outcome = failed_outcome(step->arena, f);
    }
    if (view->outcome != NULL) view->stage = UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED;
    return ERR_NONE;
}

/* ---- admission ---- */

static err check_room(const struct execution *e, struct step *step, size_t size)
{
    const struct limits *limits = step->limits;
    if (e->s->update_count >= limits->updates_total_max)
        return FAIL(step, ERR_PRECONDITION, "the workflow has had %" PRId64 " updates, which is the limit", e->s->update_count);
    if (in_flight(e) >= limits->updates_in_flight_max)
        return fail_exhausted(step, ERR_LIMIT, RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, "%" PRId64 " updates are in flight, which is the limit",
                              limits->updates_in_flight_max);
    if ((int64_t)(e->update_bytes + size) > limits->updates_size_max)
        return fail_exhausted(step, ERR_LIMIT, RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, "the updates in flight take too many bytes");
    return ERR_NONE;
}

static err check_state(struct execution *e, struct step *step)
{
    if (!execution_is_open(e)) return fail_closed(step, e);
    if (e->s->status == WORKFLOW_EXECUTION_STATUS_PAUSED) return FAIL(step, ERR_PRECONDITION, "the workflow is paused");
    if (e->s->is_close_retried && execution_workflow_task_is_started(e))
        return fail_exhausted(step, ERR_BUSY_WORKFLOW, RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW, "the workflow is closing; try again");
    if (e->s->task->attempt >= NOT_READY_ATTEMPTS) {
        err code = FAIL(step, ERR_WORKFLOW_NOT_READY, "the workflow task keeps failing, at attempt %d", e->s->task->attempt);
        if (step->error != NULL) {
            step->error->detail_type = &pb_errordetails_WorkflowNotReadyFailure_type;
            step->error->detail = pb_new(step->arena, pb_errordetails_WorkflowNotReadyFailure);
        }
        return code;
    }
    return ERR_NONE;
}

static struct item *admit(struct execution *e, const pb_update_Request *request)
{
    struct item *item = item_new(e, ITEM_UPDATE, 0, request->meta->update_id);
    item->update->update_id = item_str(item, request->meta->update_id);
    item->update->request = PB_CLONE(&item->arena, pb_update_Request, request);
    item->update->order = ++e->last_update;
    item->size = PB_SIZE(pb_update_Request, request);
    e->update_bytes += item->size;
    e->admitted_count++;
    return item;
}

void update_readmit(struct execution *e, const pb_update_Request *request, int64_t admitted_event_id)
{
    struct item *item = admit(e, request);
    item->update->admitted_event_id = admitted_event_id;
}

/* It is not in flight any more. */
static void release(struct item *item)
{
    item->owner->update_bytes -= item->size;
    item->size = 0;
    if (item->update->stage == UPDATE_STAGE_ADMITTED) item->owner->admitted_count--;
}

err update_check_request(struct step *step, const pb_update_Request *request)
{
    struct str id = request->meta != NULL ? request->meta->update_id : STR_EMPTY;
    if (str_is_empty(id) || request->input == NULL || str_is_empty(request->input->name)) return FAIL(step, ERR_INVALID, "an update needs an id and a name");
    if (id.size > (size_t)step->limits->id_length_max) return FAIL(step, ERR_INVALID, "the id of the update is too long");
    if ((int64_t)payloads_size(request->input->args) > step->limits->blob_size_max) return FAIL(step, ERR_INVALID, "the arguments of the update are too large");
    return ERR_NONE;
}

err update_check_first(struct step *step, const pb_update_Request *request)
{
    const struct limits *limits = step->limits;
    if (limits->updates_in_flight_max >= 1 && limits->updates_total_max >= 1 && (int64_t)PB_SIZE(pb_update_Request, request) <= limits->updates_size_max)
        return ERR_NONE;
    return fail_exhausted(step, ERR_LIMIT, RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, "the limits of updates leave no room for this one");
}

bool update_is_known(const struct execution *e, const pb_update_Request *request)
{
    const struct item *item = request->meta != NULL ? item_by_name(e, ITEM_UPDATE, request->meta->update_id) : NULL;
    if (item == NULL) return false;
    if (!execution_is_open(e)) return item->is_stored && item->update->outcome != NULL;
    return item->is_stored || is_pending(item);
}

err execution_update(struct execution *e, struct step *step, const pb_update_Request *request, struct update_view *view)
{
    TRY(update_check_request(step, request));
    struct str id = request->meta->update_id;
    size_t size = PB_SIZE(pb_update_Request, request);
    struct item *item = item_by_name(e, ITEM_UPDATE, id);
    bool was_rejected = item != NULL && !item->is_stored && !is_pending(item);
    if (item != NULL && !was_rejected) return execution_update_view(e, step, id, view);
    TRY(check_state(e, step));
    TRY(check_room(e, step, size));
    TRY(execution_check_full(e, step));
    if (was_rejected) item_remove(item);
    admit(e, request);
    execution_changed_in_memory(e, step);
    workflow_task_schedule_speculative(e, step);
    return execution_update_view(e, step, id, view);
}

/* ---- with the task to the worker ---- */

static pb_google_Any *any_of(struct arena *arena, const char *type_url, struct str value)
{
    pb_google_Any *any = pb_new(arena, pb_google_Any);
    any->type_url = str_of(type_url);
    any->value = value;
    return any;
}

void update_attach(struct execution *e, struct step *step, pb_ws_PollWorkflowTaskQueueResponse *reply)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_UPDATE, &at)) != NULL;) {
        if (!is_waiting(item)) continue;
        item->is_sent = true;
        if (item->update->admitted_event_id != 0) continue; /* an event of the history carries the request */
        pb_protocol_Message *m = PB_PUSH_NEW(step->arena, reply, messages);
        m->id = arena_printf(step->arena, "%.*s/request", STR_ARG(item->update->update_id));
        m->protocol_instance_id = arena_str(step->arena, item->update->update_id);
        m->sequencing_id_case = pb_protocol_Message_event_id_tag;
        m->event_id = e->s->task->started_event_id - 1;
        m->body = any_of(step->arena, "type.googleapis.com/temporal.api.update.v1.Request",
                         PB_ENCODE_ARENA(pb_update_Request, item->update->request, step->arena));
    }
}

static bool has_waiting(const struct execution *e)
{
    struct item *item;
    for (size_t at = 0; e->admitted_count != 0 && (item = item_next(e, ITEM_UPDATE, &at)) != NULL;)
        if (is_waiting(item)) return true;
    return false;
}

void update_task_failed(struct execution *e, struct step *step, int32_t cause)
{
    struct item *item;
    (void)step;
    (void)cause;
    for (size_t at = 0; e->admitted_count != 0 && (item = item_next(e, ITEM_UPDATE, &at)) != NULL;) item->is_sent = false;
}

/* ---- what the worker answers ---- */

struct update_message {
    const pb_protocol_Message *message;
    const pb_update_Acceptance *acceptance;
    const pb_update_Rejection *rejection;
    const pb_update_Response *response;
    bool is_applied;
};

static bool bad_message(struct completion *c, const pb_protocol_Message *m, const char *what)
{
    return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE, "message %.*s: %s", STR_ARG(m->id), what);
}

static bool body_is(const pb_protocol_Message *m, const char *name)
{
    struct str want = str_of(name), url = m->body != NULL ? m->body->type_url : STR_EMPTY;
    return url.size >= want.size && str_equal(str_make(url.data + url.size - want.size, want.size), want);
}

static bool decode_message(struct completion *c, const pb_protocol_Message *m, struct update_message *out)
{
    struct arena *arena = c->step->arena;
    pb_update_Acceptance *acceptance = NULL;
    pb_update_Rejection *rejection = NULL;
    pb_update_Response *response = NULL;
    err result = ERR_INVALID;
    if (body_is(m, "/temporal.api.update.v1.Acceptance")) result = PB_DECODE(arena, m->body->value, pb_update_Acceptance, &acceptance);
    else if (body_is(m, "/temporal.api.update.v1.Rejection")) result = PB_DECODE(arena, m->body->value, pb_update_Rejection, &rejection);
    else if (body_is(m, "/temporal.api.update.v1.Response")) result = PB_DECODE(arena, m->body->value, pb_update_Response, &response);
    if (result != ERR_NONE) return bad_message(c, m, "its body is not an answer to an update");
    *out = (struct update_message){m, acceptance, rejection, response, false};
    return true;
}

/* Whether the update has been accepted by a message before this one. */
static bool accepted_earlier(const struct completion *c, size_t index, struct str id)
{
    for (size_t i = 0; i < index; i++)
        if (c->messages[i].acceptance != NULL && str_equal(c->messages[i].message->protocol_instance_id, id)) return true;
    return false;
}

static bool check_message(struct completion *c, size_t index)
{
    const struct update_message *u = &c->messages[index];
    const pb_protocol_Message *m = u->message;
    const struct item *item = item_by_name(c->e, ITEM_UPDATE, m->protocol_instance_id);
    const struct limits *limits = c->step->limits;
    bool is_admitted = item != NULL && is_waiting(item);
    if (u->acceptance != NULL) {
        bool is_lost = item == NULL && u->acceptance->accepted_request != NULL && u->acceptance->accepted_request->meta != NULL &&
                       str_equal(u->acceptance->accepted_request->meta->update_id, m->protocol_instance_id) && m->protocol_instance_id.size != 0;
        if (!is_admitted && !is_lost) return bad_message(c, m, "no such update waits for acceptance");
    } else if (u->response != NULL) {
        bool is_accepted = accepted_earlier(c, index, m->protocol_instance_id) || (item != NULL && is_pending(item) && item->update->stage == UPDATE_STAGE_ACCEPTED);
        if (!is_accepted) return bad_message(c, m, "the update it completes was not accepted");
        if (u->response->outcome == NULL || u->response->outcome->value_case == 0) return bad_message(c, m, "it has no outcome");
        return completion_refuse_size(c, WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE, "the outcome of an update",
                                      PB_SIZE(pb_update_Outcome, u->response->outcome), limits->blob_size_max);
    }
    return true;
}

bool update_check_messages(struct completion *c)
{
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    for (size_t i = 0; i < r->messages_count; i++)
        if (!check_message(c, i)) return false;
    return true;
}

bool update_decode_messages(struct completion *c)
{
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    c->messages = arena_array(c->step->arena, struct update_message, r->messages_count);
    for (size_t i = 0; i < r->messages_count; i++)
        if (!decode_message(c, r->messages[i], &c->messages[i])) return false;
    return true;
}

static struct update_message *message_by_id(struct completion *c, struct str id)
{
    for (size_t i = 0; i < c->request->messages_count; i++)
        if (str_equal(c->messages[i].message->id, id)) return &c->messages[i];
    return NULL;
}

bool update_check_message(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE };
    struct str id = command->protocol_message_command_attributes->message_id;
    if (str_is_empty(id)) return completion_refuse(c, BAD, "a command for a message names none");
    return message_by_id(c, id) != NULL || completion_refuse(c, BAD, "there is no message %.*s", STR_ARG(id));
}

bool update_message_writes(struct completion *c, const pb_command_Command *command)
{
    return message_by_id(c, command->protocol_message_command_attributes->message_id)->rejection == NULL;
}

static void accept(struct completion *c, const struct update_message *u)
{
    struct execution *e = c->e;
    struct item *item = item_by_name(e, ITEM_UPDATE, u->message->protocol_instance_id);
    if (item == NULL) { /* forgotten in a crash, but the worker has it */
        reach("update: accepted after it was forgotten");
        item = admit(e, u->acceptance->accepted_request);
    }
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED);
    pb_history_WorkflowExecutionUpdateAcceptedEventAttributes *a = EVENT_SET(c->step, ev, workflow_execution_update_accepted_event_attributes);
    a->protocol_instance_id = u->message->protocol_instance_id;
    a->accepted_request_message_id = u->acceptance->accepted_request_message_id;
    a->accepted_request_sequencing_event_id = u->acceptance->accepted_request_sequencing_event_id;
    a->accepted_request = item->update->admitted_event_id == 0 ? item->update->request : NULL;
    e->admitted_count--;
    e->s->update_count++;
    item->update->accepted_event_id = event_add(e, c->step, ev);
    item->update->stage = UPDATE_STAGE_ACCEPTED;
    item->update->request = NULL;
    item_changed(item);
    step_notice(c->step, NOTICE_UPDATE, e, arena_str(c->step->arena, item->update->update_id));
}

static void answer(struct completion *c, const struct update_message *u)
{
    struct execution *e = c->e;
    struct item *item = item_by_name(e, ITEM_UPDATE, u->message->protocol_instance_id);
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED);
    pb_history_WorkflowExecutionUpdateCompletedEventAttributes *a = EVENT_SET(c->step, ev, workflow_execution_update_completed_event_attributes);
    a->meta = u->response->meta;
    a->accepted_event_id = item->update->accepted_event_id;
    a->outcome = u->response->outcome;
    item->update->completed_event_id = event_add(e, c->step, ev);
    item->update->outcome = PB_CLONE(&item->arena, pb_update_Outcome, u->response->outcome);
    item->update->stage = UPDATE_STAGE_COMPLETED;
    release(item);
    item_changed(item);
    step_notice(c->step, NOTICE_UPDATE, e, arena_str(c->step->arena, item->update->update_id));
}

/* No event says so; whoever waits is told, and then it is as if it had never been. */
static void reject(struct item *item, struct step *step, const pb_failure_Failure *failure)
{
    release(item);
    item->update->outcome = failed_outcome(&item->arena, failure);
    item->update->request = NULL;
    if (item->update->admitted_event_id != 0) { /* a reset has written it: so the end is kept as well */
        item->update->stage = UPDATE_STAGE_COMPLETED;
        item_changed(item);
        execution_changed(item->owner, step);
    }
    step_notice(step, NOTICE_UPDATE, item->owner, arena_str(step->arena, item->update->update_id));
}

static void apply(struct completion *c, struct update_message *u)
{
    if (u->is_applied) return;
    u->is_applied = true;
    if (u->acceptance != NULL) accept(c, u);
    else if (u->response != NULL) answer(c, u);
    else {
        struct item *item = item_by_name(c->e, ITEM_UPDATE, u->message->protocol_instance_id);
        const pb_failure_Failure *failure = u->rejection->failure != NULL ? u->rejection->failure : update_failure(c->step->arena, "the update was rejected", "");
        if (item != NULL && is_waiting(item)) reject(item, c->step, failure);
    }
}

void update_apply_message(struct completion *c, const pb_command_Command *command)
{
    apply(c, message_by_id(c, command->protocol_message_command_attributes->message_id));
}

void update_apply_messages(struct completion *c)
{
    for (size_t i = 0; i < c->request->messages_count; i++) apply(c, &c->messages[i]);
}

/* ---- the end of a task ---- */

/* Rejected updates of earlier tasks: who waited for them has long been told. */
static void forget_ended(struct execution *e)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_UPDATE, &at)) != NULL;)
        if (!item->is_stored && item->update->stage == UPDATE_STAGE_ADMITTED && !is_waiting(item) && !item->is_sent) item_remove(item);
}

void update_task_completed(struct execution *e, struct step *step)
{
    struct item *item;
    if (item_count(e, ITEM_UPDATE) == 0 || !execution_is_open(e)) return;
    forget_ended(e);
    for (size_t at = 0; (item = item_next(e, ITEM_UPDATE, &at)) != NULL;) {
        if (item->is_sent && is_waiting(item))
            reject(item, step, update_failure(step->arena, "the worker did not process the update; it may not know updates", "UnprocessedUpdate"));
        item->is_sent = false;
    }
    if (has_waiting(e)) workflow_task_schedule_speculative(e, step);
}

bool update_may_discard(const struct completion *c)
{
    const struct execution *e = c->e;
    const pb_ws_RespondWorkflowTaskCompletedRequest *r = c->request;
    bool can_drop_events = r->capabilities != NULL && r->capabilities->discard_speculative_workflow_task_with_events;
    bool has_shown_events = e->s->last_completed_task_event_id + 1 != e->s->task->scheduled_event_id;
    if (e->s->task->kind != WORKFLOW_TASK_KIND_SPECULATIVE || event_has_buffered(e) || r->force_create_new_workflow_task) return false;
    if (has_shown_events && !can_drop_events) return false;
    if (e->s->previous_started_event_id == 0) return false;
    for (size_t i = 0; i < r->commands_count; i++)
        if (r->commands[i]->command_type != COMMAND_TYPE_PROTOCOL_MESSAGE) return false;
    for (size_t i = 0; i < r->messages_count; i++)
        if (c->messages[i].rejection == NULL) return false;
    return true;
}

void update_discard(struct completion *c)
{
    struct execution *e = c->e;
    execution_changed_in_memory(e, c->step);
    update_apply_messages(c);
    workflow_task_clear(e);
    update_task_completed(e, c->step);
    c->reply->reset_history_event_id = e->s->previous_started_event_id;
    step_notice(c->step, NOTICE_WORKFLOW_TASK_CLOSED, e, STR_EMPTY);
}

void update_run_closed(struct execution *e, struct step *step, bool has_successor)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_UPDATE, &at)) != NULL;) {
        if (!is_pending(item)) continue;
        if (item->update->stage == UPDATE_STAGE_ADMITTED) {
            release(item);
            item->ending = has_successor ? ERR_BUSY_WORKFLOW : ERR_WORKFLOW_CLOSED;
        }
        step_notice(step, NOTICE_UPDATE, e, arena_str(step->arena, item->update->update_id));
    }
}
