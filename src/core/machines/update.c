/* Updates: a message asks, the workflow accepts or rejects, and later completes.
 *
 *   asked ── accept ──► accepted ── complete or fail ──► answered ── UpdateCompleted ──► gone
 *     └─ reject ──► gone, without a trace in history
 *
 * Acceptance and completion are commands that point to a message; a rejection is a message alone. While replaying, the
 * request comes from the UpdateAccepted event that lies ahead. */
#include "core/run_state.h"

#include <stdlib.h>

void update_free(struct update *u)
{
    free(u->request);
    free(u);
}

static struct update *update_create(struct run *run, struct str protocol_id, struct str message_id,
                                    const pb_update_Request *request, int64_t sequencing_event_id)
{
    struct update *u = xcalloc(1, sizeof *u);
    struct str id = request->meta != NULL ? request->meta->update_id : STR_EMPTY;
    struct str identity = request->meta != NULL ? request->meta->identity : STR_EMPTY;
    size_t size = PB_SIZE(pb_update_Request, request);
    struct buf bytes = {0};
    PB_ENCODE(pb_update_Request, request, &bytes);
    buf_append_str(&bytes, message_id);
    buf_append_str(&bytes, id);
    buf_append_str(&bytes, identity);
    u->request = bytes.data;
    u->request_size = size;
    u->message_id = str_make(bytes.data + size, message_id.size);
    u->update_id = str_make(bytes.data + size + message_id.size, id.size);
    u->identity = str_make(bytes.data + size + message_id.size + id.size, identity.size);
    u->sequencing_event_id = sequencing_event_id;
    struct update *before = map_put(&run->updates, protocol_id, u);
    if (before != NULL) update_free(before); /* asked again after its workflow task was lost */
    return u;
}

static void update_emit(struct run *run, const struct asked_update *asked)
{
    const pb_update_Request *r = asked->request;
    struct update *u = update_create(run, asked->protocol_id, asked->message_id, r, asked->sequencing_event_id);
    pb_core_DoUpdate *job = RUN_JOB(run, JOBS_INBOUND, do_update, DoUpdate);
    job->id = r->meta != NULL ? r->meta->update_id : STR_EMPTY;
    job->identity = r->meta != NULL ? r->meta->identity : STR_EMPTY;
    job->protocol_instance_id = asked->protocol_id;
    job->run_validator = asked->is_live;
    if (r->input != NULL) {
        job->name = r->input->name;
        TAKE_PAYLOADS(job, input, r->input->args);
        if (r->input->header != NULL) TAKE_MAP(job, headers, r->input->header, fields);
    }
    (void)u;
}

void update_emit_before(struct run *run, int64_t event_id)
{
    while (run->asked_at < run->asked_count && run->asked[run->asked_at].sequencing_event_id < event_id)
        update_emit(run, &run->asked[run->asked_at++]);
}

static struct asked_update *update_ask(struct run *run)
{
    struct asked_update *asked =
        pb_grow(&run->scratch, (void **)&run->asked, &run->asked_count, &run->asked_capacity, sizeof *asked);
    return asked;
}

void update_ahead(struct run *run, const event_t *e)
{
    const pb_history_WorkflowExecutionUpdateAcceptedEventAttributes *a = e->workflow_execution_update_accepted_event_attributes;
    const pb_update_Request *request = a->accepted_request;
    if (request == NULL) { /* it was admitted by an event of its own, earlier */
        struct str bytes = {0};
        const struct str *kept = map_get(&run->admitted, a->protocol_instance_id);
        if (kept != NULL) bytes = *kept;
        pb_update_Request *decoded;
        if (PB_DECODE_ALIAS(&run->scratch, bytes, pb_update_Request, &decoded) != ERR_NONE) return;
        request = decoded;
    }
    *update_ask(run) = (struct asked_update){.protocol_id = a->protocol_instance_id,
                                             .message_id = a->accepted_request_message_id,
                                             .sequencing_event_id = a->accepted_request_sequencing_event_id,
                                             .request = request};
}

/* Messages that are no update requests are of a protocol this SDK does not know. */
err update_take_messages(struct run *run)
{
    const pb_ws_PollWorkflowTaskQueueResponse *poll = run->task->poll;
    for (size_t i = 0; i < poll->messages_count; i++) {
        const pb_protocol_Message *m = poll->messages[i];
        if (m->body == NULL || !str_equal_c(m->body->type_url, "type.googleapis.com/temporal.api.update.v1.Request"))
            return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE,
                            "the workflow task has a message of an unknown type \"%.*s\"",
                            STR_ARG(m->body != NULL ? m->body->type_url : STR_EMPTY));
        pb_update_Request *request;
        if (PB_DECODE_ALIAS(&run->scratch, m->body->value, pb_update_Request, &request) != ERR_NONE)
            return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE,
                            "the workflow task has an update request that can not be decoded");
        *update_ask(run) = (struct asked_update){
            .protocol_id = m->protocol_instance_id, .message_id = m->id, .request = request, .is_live = true,
            .sequencing_event_id = m->sequencing_id_case == pb_protocol_Message_event_id_tag ? m->event_id : INT64_MAX - 1};
    }
    return ERR_NONE;
}

err update_admitted(struct run *run, const event_t *e)
{
    const pb_update_Request *r = e->workflow_execution_update_admitted_event_attributes->request;
    if (r == NULL || r->meta == NULL) return ERR_NONE;
    struct str *kept = arena_new(&run->arena, struct str);
    *kept = PB_ENCODE_ARENA(pb_update_Request, r, &run->arena);
    map_put(&run->admitted, r->meta->update_id, kept);
    return ERR_NONE;
}

/* ---- messages to the server ------------------------------------------------------------------------------------ */

static void update_send(struct run *run, struct arena *arena, struct str protocol_id, struct str message_id,
                        const char *type_url, struct str body)
{
    pb_protocol_Message *m = PB_PUSH_NEW(&run->task_arena, run, messages);
    m->id = message_id;
    m->protocol_instance_id = protocol_id;
    m->body = pb_new(arena, pb_google_Any);
    m->body->type_url = str_of(type_url);
    m->body->value = body;
}

static pb_update_Request *update_request(const struct update *u, struct arena *arena)
{
    pb_update_Request *request;
    err e = PB_DECODE_ALIAS(arena, str_make(u->request, u->request_size), pb_update_Request, &request);
    ensure(e == ERR_NONE); /* we encoded it */
    return request;
}

static void update_reject(struct run *run, struct str protocol_id, const struct update *u, pb_failure_Failure *failure)
{
    struct arena *a = &run->task_arena;
    pb_update_Rejection *r = pb_new(a, pb_update_Rejection);
    r->rejected_request_message_id = u->message_id;
    r->rejected_request_sequencing_event_id = u->sequencing_event_id;
    r->rejected_request = update_request(u, a);
    r->failure = failure;
    struct str id = arena_str(a, protocol_id);
    update_send(run, a, id, arena_printf(a, "%.*s/reject", STR_ARG(id)), "type.googleapis.com/temporal.api.update.v1.Rejection",
                PB_ENCODE_ARENA(pb_update_Rejection, r, a));
}

err update_respond(struct run *run, const pb_core_Command *c)
{
    const pb_core_UpdateResponse *r = c->update_response;
    struct update *u = map_get(&run->updates, r->protocol_instance_id);
    if (u == NULL || u->is_answered)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "update_response names the update \"%.*s\", which waits for no answer",
                        STR_ARG(r->protocol_instance_id));
    if (r->response_case == pb_core_UpdateResponse_rejected_tag) {
        if (u->is_accepted)
            return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "update \"%.*s\" is rejected after it was accepted",
                            STR_ARG(r->protocol_instance_id));
        if (run->is_replaying)
            return run_diverge(run, "the workflow code rejects the update \"%.*s\", which history says it accepted", STR_ARG(u->update_id));
        update_reject(run, r->protocol_instance_id, u, r->rejected);
        map_remove(&run->updates, r->protocol_instance_id);
        update_free(u);
        return ERR_NONE;
    }
    bool is_acceptance = r->response_case == pb_core_UpdateResponse_accepted_tag;
    if (r->response_case == 0 || is_acceptance == u->is_accepted)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "update \"%.*s\" is %s", STR_ARG(r->protocol_instance_id),
                        r->response_case == 0 ? "answered with nothing" : is_acceptance ? "accepted twice" : "completed before it was accepted");
    struct outgoing *out = run_push(run, is_acceptance ? OUT_UPDATE_ACCEPTED : OUT_UPDATE_COMPLETED, NULL, c);
    out->id = arena_str(&run->out_arena, r->protocol_instance_id);
    out->name = arena_str(&run->out_arena, u->update_id);
    if (is_acceptance) u->is_accepted = true;
    else u->is_answered = true;
    return ERR_NONE;
}

void update_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    const struct update *u = map_get(&run->updates, out->id);
    struct str message_id;
    ensure(u != NULL);
    if (out->kind == OUT_UPDATE_ACCEPTED) {
        pb_update_Acceptance *a = pb_new(arena, pb_update_Acceptance);
        a->accepted_request_message_id = u->message_id;
        a->accepted_request_sequencing_event_id = u->sequencing_event_id;
        a->accepted_request = update_request(u, arena);
        message_id = arena_printf(arena, "%.*s/accept", STR_ARG(out->id));
        update_send(run, arena, out->id, message_id, "type.googleapis.com/temporal.api.update.v1.Acceptance",
                    PB_ENCODE_ARENA(pb_update_Acceptance, a, arena));
    } else {
        const pb_core_UpdateResponse *r = out->from->update_response;
        pb_update_Response *answer = pb_new(arena, pb_update_Response);
        answer->meta = pb_new(arena, pb_update_Meta);
        answer->meta->update_id = u->update_id;
        answer->meta->identity = u->identity;
        answer->outcome = pb_new(arena, pb_update_Outcome);
        if (r->response_case == pb_core_UpdateResponse_completed_tag) {
            answer->outcome->value_case = pb_update_Outcome_success_tag;
            answer->outcome->success = payloads_one(arena, r->completed);
        } else {
            answer->outcome->value_case = pb_update_Outcome_failure_tag;
            answer->outcome->failure = r->failed;
        }
        message_id = arena_printf(arena, "%.*s/complete", STR_ARG(out->id));
        update_send(run, arena, out->id, message_id, "type.googleapis.com/temporal.api.update.v1.Response",
                    PB_ENCODE_ARENA(pb_update_Response, answer, arena));
    }
    c->protocol_message_command_attributes = pb_new(arena, pb_command_ProtocolMessageCommandAttributes);
    c->protocol_message_command_attributes->message_id = message_id;
}

err update_accepted_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    struct str id = e->workflow_execution_update_accepted_event_attributes->protocol_instance_id;
    if (str_equal(out->id, id)) return ERR_NONE;
    return run_diverge(run, "event %" PRId64 " accepts the update \"%.*s\", the workflow code accepts the update \"%.*s\"",
                       e->event_id, STR_ARG(id), STR_ARG(out->id));
}

err update_completed_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    const pb_history_WorkflowExecutionUpdateCompletedEventAttributes *a = e->workflow_execution_update_completed_event_attributes;
    struct str id = a->meta != NULL ? a->meta->update_id : STR_EMPTY;
    if (!str_equal(out->name, id))
        return run_diverge(run, "event %" PRId64 " completes the update \"%.*s\", the workflow code completes the update \"%.*s\"",
                           e->event_id, STR_ARG(id), STR_ARG(out->name));
    struct update *u = map_remove(&run->updates, out->id);
    if (u != NULL) update_free(u);
    return ERR_NONE;
}
