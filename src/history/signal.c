/* history/signal.c: what clients ask of a running workflow: signals, cancellation, termination. Source: F012, F013, F069. */
#include "history/machines.h"

/* ---- signals ---- */

err signal_check(struct step *step, const pb_ws_SignalWorkflowExecutionRequest *r)
{
    const struct limits *limits = step->limits;
    if (str_is_empty(r->signal_name)) return FAIL(step, ERR_INVALID, "the signal has no name");
    if (r->signal_name.size > (size_t)limits->id_length_max) return FAIL(step, ERR_INVALID, "the name of the signal is longer than %" PRId64 " bytes", limits->id_length_max);
    if (payloads_size(r->input) > (size_t)limits->blob_size_max)
        return FAIL(step, ERR_INVALID, "the input of the signal is larger than %" PRId64 " bytes", limits->blob_size_max);
    return ERR_NONE;
}

static void record(struct execution *e, struct step *step, const pb_ws_SignalWorkflowExecutionRequest *r, const pb_store_Sender *sender)
{
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED);
    pb_history_WorkflowExecutionSignaledEventAttributes *a = EVENT_SET(step, ev, workflow_execution_signaled_event_attributes);
    PB_SET_ARRAY(ev, links, r->links, r->links_count);
    a->signal_name = r->signal_name;
    a->input = r->input;
    a->identity = r->identity;
    a->header = r->header;
    a->request_id = r->request_id;
    if (sender != NULL) a->external_workflow_execution = execution_of(step->arena, sender->workflow_id, sender->run_id);
    execution_changed(e, step);
    /* signal-with-start: the start has noted this request id already, and stays what it stands for */
    bool is_noted = r->request_id.size == 0 || item_by_name(e, ITEM_REQUEST_ID, r->request_id) != NULL;
    struct item *item = is_noted ? NULL : item_new(e, ITEM_REQUEST_ID, 0, r->request_id);
    int64_t id = event_add(e, step, ev);
    if (item != NULL) {
        item->request_id->event_type = EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED;
        item->request_id->event_id = id > 0 ? id : 0;
    }
    e->s->signal_count++;
}

void signal_record(struct execution *e, struct step *step, const pb_ws_SignalWorkflowExecutionRequest *r) { record(e, step, r, NULL); }

bool signal_is_over_limit(const struct execution *e, const struct limits *limits) { return e->s->signal_count >= limits->signals_max; }

void signal_from_workflow(struct execution *e, struct step *step, const pb_ws_SignalWorkflowExecutionRequest *request, const pb_store_Sender *sender)
{
    record(e, step, request, sender);
    workflow_task_want(e, step);
    execution_settle(e, step);
}

err execution_signal(struct execution *e, struct step *step, const pb_ws_SignalWorkflowExecutionRequest *r)
{
    TRY(signal_check(step, r));
    if (!execution_is_open(e)) return fail_closed(step, e);
    if (r->request_id.size != 0 && item_by_name(e, ITEM_REQUEST_ID, r->request_id) != NULL) return ERR_NONE; /* said before */
    if (signal_is_over_limit(e, step->limits)) return FAIL(step, ERR_INVALID, "the workflow has had %" PRId64 " signals, which is the limit", e->s->signal_count);
    if (e->s->is_close_retried && execution_workflow_task_is_started(e))
        return fail_exhausted(step, ERR_BUSY_WORKFLOW, RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW, "the workflow is closing; try again");
    TRY(execution_check_full(e, step));
    record(e, step, r, NULL);
    workflow_task_want(e, step);
    execution_settle(e, step);
    return ERR_NONE;
}

/* ---- cancellation ---- */

void cancel_record(struct execution *e, struct step *step, struct str reason, struct str identity, struct str request_id, const pb_store_Sender *sender,
                   int64_t initiated_event_id)
{
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED);
    pb_history_WorkflowExecutionCancelRequestedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_cancel_requested_event_attributes);
    a->cause = reason;
    a->identity = identity;
    if (sender != NULL) {
        a->external_workflow_execution = execution_of(step->arena, sender->workflow_id, sender->run_id);
        a->external_initiated_event_id = initiated_event_id;
    }
    execution_changed(e, step);
    event_add(e, step, ev);
    e->s->is_cancel_requested = true;
    e->s->cancel_request_id = core_str(e, request_id);
    if (e->s->first_task_at != 0) { /* it does not wait for its first task any longer */
        e->s->first_task_at = 0;
        execution_due_core(e);
    }
    workflow_task_want(e, step);
    execution_settle(e, step);
}

err execution_request_cancel(struct execution *e, struct step *step, const pb_ws_RequestCancelWorkflowExecutionRequest *r)
{
    if (r->first_execution_run_id.size != 0 && !str_equal(r->first_execution_run_id, e->s->first_run_id))
        return fail_not_found(step, ERR_WORKFLOW_NOT_FOUND, "the run does not belong to the chain that was named");
    if (!execution_is_open(e) || e->s->is_cancel_requested) return ERR_NONE;
    TRY(execution_check_full(e, step));
    cancel_record(e, step, r->reason, r->identity, r->request_id, NULL, 0);
    return ERR_NONE;
}

/* ---- termination ---- */

err execution_terminate(struct execution *e, struct step *step, struct str reason, const pb_common_Payloads *details, struct str identity,
                        struct str first_run_id)
{
    if (first_run_id.size != 0 && !str_equal(first_run_id, e->s->first_run_id))
        return fail_not_found(step, ERR_WORKFLOW_NOT_FOUND, "the run does not belong to the chain that was named");
    if (!execution_is_open(e)) return fail_closed(step, e);
    if (payloads_size(details) > (size_t)step->limits->blob_size_max) return FAIL(step, ERR_INVALID, "the details of the termination are too large");
    close_terminate(e, step, reason.size != 0 ? reason : STR("terminated by a client"), details, identity.size != 0 ? identity : STR("frontend-service"), NULL, 0);
    return ERR_NONE;
}
