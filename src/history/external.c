/* history/external.c: signals and cancel requests from one workflow to another. The initiated event is written with a
 * message in the same commit; the receiver's answer writes what came of it. Source: F037, F041, F053. */
#include "history/machines.h"

/* ---- the sender ---- */

static bool run_id_is_fit(struct str run_id) { return str_is_empty(run_id) || uuid_is_valid(run_id); }

bool external_check_cancel(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES };
    const pb_command_RequestCancelExternalWorkflowExecutionCommandAttributes *a = command->request_cancel_external_workflow_execution_command_attributes;
    const struct limits *limits = c->step->limits;
    if (str_is_empty(a->workflow_id)) return completion_refuse(c, BAD, "the workflow to cancel has no id");
    if ((int64_t)a->workflow_id.size > limits->id_length_max) return completion_refuse(c, BAD, "the id of the workflow to cancel is too long");
    if (!run_id_is_fit(a->run_id)) return completion_refuse(c, BAD, "the run id of the workflow to cancel is not a UUID");
    if (namespace_find(c->step, a->namespace) == NULL) return completion_refuse_namespace(c, a->namespace);
    if (completion_met_id(&c->children, a->workflow_id) != ID_NOT_MET)
        return completion_refuse(c, BAD, "workflow %.*s is started and cancelled in the same task", STR_ARG(a->workflow_id));
    if ((int64_t)external_count(c->e, true) + c->new_cancels++ >= limits->pending_cancels_max)
        return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED,
                                 "%" PRId64 " cancel requests are pending, which is the limit", limits->pending_cancels_max);
    return true;
}

bool external_check_signal(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES };
    const pb_command_SignalExternalWorkflowExecutionCommandAttributes *a = command->signal_external_workflow_execution_command_attributes;
    const struct limits *limits = c->step->limits;
    if (a->execution == NULL || str_is_empty(a->execution->workflow_id)) return completion_refuse(c, BAD, "the workflow to signal has no id");
    if ((int64_t)a->execution->workflow_id.size > limits->id_length_max) return completion_refuse(c, BAD, "the id of the workflow to signal is too long");
    if (!run_id_is_fit(a->execution->run_id)) return completion_refuse(c, BAD, "the run id of the workflow to signal is not a UUID");
    if (str_is_empty(a->signal_name)) return completion_refuse(c, BAD, "a signal to another workflow has no name");
    if ((int64_t)a->signal_name.size > limits->id_length_max) return completion_refuse(c, BAD, "the name of a signal is too long");
    if (namespace_find(c->step, a->namespace) == NULL) return completion_refuse_namespace(c, a->namespace);
    if ((int64_t)external_count(c->e, false) + c->new_signals++ >= limits->pending_signals_max)
        return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_PENDING_SIGNALS_LIMIT_EXCEEDED,
                                 "%" PRId64 " signals are pending, which is the limit", limits->pending_signals_max);
    return completion_refuse_size(c, WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES, "the input of a signal", payloads_size(a->input), limits->blob_size_max);
}

int64_t external_count(const struct execution *e, bool is_cancel)
{
    struct item *item;
    int64_t count = 0;
    for (size_t at = 0; (item = item_next(e, ITEM_EXTERNAL, &at)) != NULL;) count += item->external->is_cancel == is_cancel;
    return count;
}

static pb_store_External *pend(struct completion *c, int64_t id, const struct namespace_info *ns, struct str workflow_id, struct str run_id, struct str control, bool is_cancel)
{
    struct item *item = item_new(c->e, ITEM_EXTERNAL, id, STR_EMPTY);
    pb_store_External *x = item->external;
    x->initiated_event_id = id;
    x->is_cancel = is_cancel;
    x->workflow_id = item_str(item, workflow_id);
    x->run_id = item_str(item, run_id);
    x->namespace_key = ns->key;
    x->namespace_id = item_str(item, ns->id);
    x->namespace_name = item_str(item, ns->name);
    x->task_completed_event_id = c->completed_event_id;
    x->request_id = item_str(item, uuid_new(c->step));
    x->control = item_str(item, control);
    return x;
}

static pb_store_Message *cancel_message(struct step *step, const struct execution *e, struct str request_id, int64_t id,
                                        const pb_history_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes *a)
{
    pb_store_Message *m = message_new(step, e, pb_store_Message_request_cancel_tag);
    m->request_cancel = pb_new(step->arena, pb_store_RequestCancel);
    m->request_cancel->request_id = request_id;
    m->request_cancel->initiated_event_id = id;
    m->request_cancel->is_child_only = a->child_workflow_only;
    m->request_cancel->reason = a->reason;
    return m;
}

static pb_store_Message *signal_message(struct step *step, const struct execution *e, struct str request_id, int64_t id,
                                        const pb_history_SignalExternalWorkflowExecutionInitiatedEventAttributes *a)
{
    pb_store_Message *m = message_new(step, e, pb_store_Message_signal_tag);
    m->signal = pb_new(step->arena, pb_store_Signal);
    m->signal->request_id = request_id;
    m->signal->initiated_event_id = id;
    m->signal->is_child_only = a->child_workflow_only;
    m->signal->signal_name = a->signal_name;
    m->signal->input = a->input;
    m->signal->header = a->header;
    return m;
}

void external_cancel(struct completion *c, const pb_command_Command *command)
{
    const pb_command_RequestCancelExternalWorkflowExecutionCommandAttributes *from = command->request_cancel_external_workflow_execution_command_attributes;
    const struct namespace_info *ns = namespace_find(c->step, from->namespace);
    event *ev = event_new(c->step, EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED);
    pb_history_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes *a =
        EVENT_SET(c->step, ev, request_cancel_external_workflow_execution_initiated_event_attributes);
    ev->user_metadata = command->user_metadata;
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->namespace = from->namespace;
    a->namespace_id = ns->id;
    a->workflow_execution = execution_of(c->step->arena, from->workflow_id, from->run_id);
    a->control = from->control;
    a->child_workflow_only = from->child_workflow_only;
    a->reason = from->reason;
    int64_t id = event_add(c->e, c->step, ev);
    const pb_store_External *x = pend(c, id, ns, from->workflow_id, from->run_id, from->control, true);
    pb_store_Message *m = cancel_message(c->step, c->e, x->request_id, id, a);
    message_send(c->step, m, ns->key, from->workflow_id, from->run_id);
}

void external_signal(struct completion *c, const pb_command_Command *command)
{
    const pb_command_SignalExternalWorkflowExecutionCommandAttributes *from = command->signal_external_workflow_execution_command_attributes;
    const struct namespace_info *ns = namespace_find(c->step, from->namespace);
    event *ev = event_new(c->step, EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED);
    pb_history_SignalExternalWorkflowExecutionInitiatedEventAttributes *a = EVENT_SET(c->step, ev, signal_external_workflow_execution_initiated_event_attributes);
    ev->user_metadata = command->user_metadata;
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->namespace = from->namespace;
    a->namespace_id = ns->id;
    a->workflow_execution = from->execution;
    a->signal_name = from->signal_name;
    a->input = from->input;
    a->control = from->control;
    a->child_workflow_only = from->child_workflow_only;
    a->header = from->header;
    int64_t id = event_add(c->e, c->step, ev);
    const pb_store_External *x = pend(c, id, ns, from->execution->workflow_id, from->execution->run_id, from->control, false);
    pb_store_Message *m = signal_message(c->step, c->e, x->request_id, id, a);
    message_send(c->step, m, ns->key, from->execution->workflow_id, from->execution->run_id);
}

/* What the base run had asked for and never heard of, because it had ended, is asked again. */
void external_after_reset(struct execution *e, struct step *step, bool was_base_open, const pb_history_History *history)
{
    struct item *item;
    for (size_t at = 0; !was_base_open && (item = item_next(e, ITEM_EXTERNAL, &at)) != NULL;) {
        const event *initiated = history->events[item->number - 1];
        pb_store_External *x = item->external;
        pb_store_Message *m;
        x->request_id = item_str(item, uuid_new(step));
        item_changed(item);
        if (x->is_cancel) {
            const pb_history_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes *a = initiated->request_cancel_external_workflow_execution_initiated_event_attributes;
            m = cancel_message(step, e, x->request_id, item->number, a);
        } else {
            m = signal_message(step, e, x->request_id, item->number, initiated->signal_external_workflow_execution_initiated_event_attributes);
        }
        message_send(step, m, x->namespace_key, x->workflow_id, x->run_id);
    }
}

/* ---- the receiver ---- */

static bool is_child_of(const struct execution *e, const pb_store_Sender *sender)
{
    const pb_store_Parent *parent = e->s->parent;
    return parent != NULL && parent->namespace_key == sender->namespace_key && str_equal(parent->workflow_id, sender->workflow_id) &&
           str_equal(parent->run_id, sender->run_id);
}

/* A workflow can not signal or cancel itself this way. */
static bool is_self(const struct execution *e, const pb_store_Sender *sender)
{
    return e->s->namespace_key == sender->namespace_key && str_equal(e->s->workflow_id, sender->workflow_id);
}

static void answer(struct step *step, const struct execution *self, const pb_store_Sender *to, bool is_cancel, int64_t initiated_event_id, int32_t cause)
{
    pb_store_Message *m = pb_new(step->arena, pb_store_Message);
    m->sender = pb_new(step->arena, pb_store_Sender);
    m->sender->namespace_key = step->ns->key;
    if (self != NULL) {
        m->sender->workflow_id = self->s->workflow_id;
        m->sender->run_id = self->s->run_id;
    }
    if (is_cancel) {
        m->content_case = pb_store_Message_cancel_result_tag;
        m->cancel_result = pb_new(step->arena, pb_store_CancelResult);
        m->cancel_result->initiated_event_id = initiated_event_id;
        m->cancel_result->cause = cause;
    } else {
        m->content_case = pb_store_Message_signal_result_tag;
        m->signal_result = pb_new(step->arena, pb_store_SignalResult);
        m->signal_result->initiated_event_id = initiated_event_id;
        m->signal_result->cause = cause;
    }
    message_send(step, m, to->namespace_key, to->workflow_id, to->run_id);
}

void external_receive_cancel(struct step *step, struct execution *target, const pb_store_Message *m)
{
    const pb_store_RequestCancel *r = m->request_cancel;
    bool is_there = target != NULL && !is_self(target, m->sender) && (!r->is_child_only || is_child_of(target, m->sender));
    int32_t cause = is_there ? 0 : CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND;
    if (is_there && execution_is_open(target) && !target->s->is_cancel_requested)
        cancel_record(target, step, r->reason, STR("history-service"), r->request_id, m->sender, r->initiated_event_id);
    answer(step, target, m->sender, true, r->initiated_event_id, cause);
}

void external_receive_signal(struct step *step, struct execution *target, const pb_store_Message *m)
{
    const pb_store_Signal *r = m->signal;
    bool is_there = target != NULL && execution_is_open(target) && !is_self(target, m->sender) && (!r->is_child_only || is_child_of(target, m->sender));
    int32_t cause = is_there ? 0 : SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND;
    bool is_new = is_there && item_by_name(target, ITEM_REQUEST_ID, r->request_id) == NULL;
    if (is_new && signal_is_over_limit(target, step->limits)) {
        cause = SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_SIGNAL_COUNT_LIMIT_EXCEEDED;
    } else if (is_new) {
        pb_ws_SignalWorkflowExecutionRequest request = {.signal_name = r->signal_name, .input = r->input, .header = r->header, .request_id = r->request_id,
                                                       .identity = STR("history-service")};
        signal_from_workflow(target, step, &request, m->sender);
    }
    answer(step, target, m->sender, false, r->initiated_event_id, cause);
}

/* ---- the sender hears of it ---- */

static void cancel_result(struct item *item, struct step *step, int32_t cause)
{
    const pb_store_External *x = item->external;
    event *ev;
    if (cause == 0) {
        ev = event_new(step, EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED);
        pb_history_ExternalWorkflowExecutionCancelRequestedEventAttributes *a = EVENT_SET(step, ev, external_workflow_execution_cancel_requested_event_attributes);
        a->initiated_event_id = x->initiated_event_id;
        a->namespace = x->namespace_name;
        a->namespace_id = x->namespace_id;
        a->workflow_execution = execution_of(step->arena, x->workflow_id, x->run_id);
    } else {
        ev = event_new(step, EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED);
        pb_history_RequestCancelExternalWorkflowExecutionFailedEventAttributes *a =
            EVENT_SET(step, ev, request_cancel_external_workflow_execution_failed_event_attributes);
        a->cause = cause;
        a->namespace = x->namespace_name;
        a->namespace_id = x->namespace_id;
        a->workflow_execution = execution_of(step->arena, x->workflow_id, x->run_id);
        a->initiated_event_id = x->initiated_event_id;
    }
    event_add(item->owner, step, ev);
}

static void signal_result(struct item *item, struct step *step, int32_t cause)
{
    const pb_store_External *x = item->external;
    event *ev;
    if (cause == 0) {
        ev = event_new(step, EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED);
        pb_history_ExternalWorkflowExecutionSignaledEventAttributes *a = EVENT_SET(step, ev, external_workflow_execution_signaled_event_attributes);
        a->initiated_event_id = x->initiated_event_id;
        a->namespace = x->namespace_name;
        a->namespace_id = x->namespace_id;
        a->workflow_execution = execution_of(step->arena, x->workflow_id, x->run_id);
        a->control = x->control;
    } else {
        ev = event_new(step, EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED);
        pb_history_SignalExternalWorkflowExecutionFailedEventAttributes *a =
            EVENT_SET(step, ev, signal_external_workflow_execution_failed_event_attributes);
        a->cause = cause;
        a->namespace = x->namespace_name;
        a->namespace_id = x->namespace_id;
        a->workflow_execution = execution_of(step->arena, x->workflow_id, x->run_id);
        a->initiated_event_id = x->initiated_event_id;
        a->control = x->control;
    }
    event_add(item->owner, step, ev);
}

void external_receive_result(struct step *step, struct execution *e, int64_t initiated_event_id, int32_t cause)
{
    struct item *item = e != NULL && execution_is_open(e) ? item_by_number(e, ITEM_EXTERNAL, initiated_event_id) : NULL;
    if (item == NULL) return;
    execution_changed(e, step);
    if (item->external->is_cancel) cancel_result(item, step, cause);
    else signal_result(item, step, cause);
    item_remove(item);
    workflow_task_want(e, step);
    execution_settle(e, step);
}
