/* history/child.c: child workflows, as the parent sees them, and parents, as the child sees them.
 *
 *     parent                               child
 *     StartChild…Initiated ── start_child ──►  begins, holds its first workflow task
 *     Child…Started       ◄── child_started ──
 *                          ── child_released ─►  first workflow task
 *     Child…Completed …   ◄── child_closed ──  end of the chain
 *     end of the parent    ── parent_closed ──►  as the parent close policy says
 * A message may come twice: a parent knows by the pending child, a child by the request id that made it.
 * Source: F040, F054, F077, F078. */
#include "history/machines.h"

/* ---- messages ---- */

pb_store_Message *message_new(struct step *step, const struct execution *from, int32_t content)
{
    pb_store_Message *m = pb_new(step->arena, pb_store_Message);
    m->content_case = content;
    m->sender = pb_new(step->arena, pb_store_Sender);
    m->sender->namespace_key = from->ns->key;
    m->sender->namespace_id = from->ns->id;
    m->sender->namespace_name = from->ns->name;
    m->sender->workflow_id = from->s->workflow_id;
    m->sender->run_id = from->s->run_id;
    return m;
}

void message_send(struct step *step, const pb_store_Message *m, int64_t namespace_key, struct str workflow_id, struct str run_id)
{
    struct message_effect *effect = step_message(step);
    effect->namespace_key = namespace_key;
    effect->workflow_id = arena_str(step->arena, workflow_id);
    effect->run_id = arena_str(step->arena, run_id);
    effect->bytes = PB_ENCODE_ARENA(pb_store_Message, m, step->arena);
    bool is_asked = m->content_case == pb_store_Message_start_child_tag || m->content_case == pb_store_Message_request_cancel_tag ||
                    m->content_case == pb_store_Message_signal_tag;
    effect->asking_run_id = is_asked ? arena_str(step->arena, m->sender->run_id) : STR_EMPTY;
    step->is_durable = true;
}

#define CONTENT(step, m, field) ((m)->field = arena_zalloc((step)->arena, sizeof *(m)->field))

const struct namespace_info *namespace_find(const struct step *step, struct str name)
{
    if (str_is_empty(name) || str_equal(name, step->ns->name)) return step->ns;
    return step->find_namespace != NULL ? step->find_namespace(step->find_argument, name) : NULL;
}

/* ---- the parent: starting ---- */

static const char *child_problem(const struct step *step, const pb_command_StartChildWorkflowExecutionCommandAttributes *a, size_t id_max)
{
    struct str type = a->workflow_type != NULL ? a->workflow_type->name : STR_EMPTY, queue = a->task_queue != NULL ? a->task_queue->name : STR_EMPTY;
    if (str_is_empty(a->workflow_id)) return "it has no workflow id";
    if (str_is_empty(type)) return "it has no workflow type";
    if (a->workflow_id.size > id_max || type.size > id_max || queue.size > id_max) return "its id, type or task queue is too long";
    if (ns_of(a->workflow_execution_timeout) < 0 || ns_of(a->workflow_run_timeout) < 0 || ns_of(a->workflow_task_timeout) < 0) return "a timeout is negative";
    if (!str_is_empty(a->cron_schedule) && cron_wait(step, a->cron_schedule, step->now).ns < 0) return "its cron schedule can not be read";
    return retry_policy_problem(a->retry_policy);
}

bool child_check(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_START_CHILD_EXECUTION_ATTRIBUTES };
    const pb_command_StartChildWorkflowExecutionCommandAttributes *a = command->start_child_workflow_execution_command_attributes;
    const struct limits *limits = c->step->limits;
    const char *problem = child_problem(c->step, a, (size_t)limits->id_length_max);
    if (problem == NULL && namespace_find(c->step, a->namespace) == NULL) return completion_refuse_namespace(c, a->namespace);
    if (problem != NULL) return completion_refuse(c, BAD, "child workflow %.*s: %s", STR_ARG(a->workflow_id), problem);
    if (!completion_refuse_size(c, BAD, "the input of a child workflow", payloads_size(a->input), limits->blob_size_max)) return false;
    if (!completion_refuse_size(c, BAD, "the memo of a child workflow", a->memo != NULL ? PB_SIZE(pb_common_Memo, a->memo) : 0, limits->memo_size_max)) return false;
    if ((int64_t)item_count(c->e, ITEM_CHILD) + c->new_children >= limits->pending_children_max)
        return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED,
                                 "%" PRId64 " child workflows are pending, which is the limit", limits->pending_children_max);
    completion_note_id(c, &c->children, a->workflow_id, true);
    c->new_children++;
    return true;
}

static pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *initiated_event(struct completion *c, const pb_command_Command *command,
                                                                                       const struct namespace_info *ns, int64_t *id)
{
    const pb_command_StartChildWorkflowExecutionCommandAttributes *from = command->start_child_workflow_execution_command_attributes;
    event *ev = event_new(c->step, EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED);
    pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *a = EVENT_SET(c->step, ev, start_child_workflow_execution_initiated_event_attributes);
    ev->user_metadata = command->user_metadata;
    ev->event_group_markers = command->event_group_markers;
    ev->event_group_markers_count = command->event_group_markers_count;
    a->namespace = ns->name;
    a->namespace_id = ns->id;
    a->workflow_id = from->workflow_id;
    a->workflow_type = from->workflow_type;
    bool has_queue = from->task_queue != NULL && from->task_queue->name.size != 0;
    a->task_queue = task_queue_of(c->step->arena, has_queue ? from->task_queue->name : c->e->s->task_queue);
    a->input = from->input;
    a->workflow_execution_timeout = from->workflow_execution_timeout;
    a->workflow_run_timeout = duration_of(c->step->arena, ns_of(from->workflow_run_timeout));
    int64_t task_timeout = ns_of(from->workflow_task_timeout), run_timeout = ns_of(from->workflow_run_timeout);
    if (task_timeout == 0) task_timeout = c->e->s->task_timeout_ns;
    if (run_timeout != 0 && task_timeout > run_timeout) task_timeout = run_timeout;
    a->workflow_task_timeout = duration_of(c->step->arena, task_timeout);
    a->parent_close_policy = from->parent_close_policy != 0 ? from->parent_close_policy : PARENT_CLOSE_POLICY_TERMINATE;
    a->control = from->control;
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->workflow_id_reuse_policy = from->workflow_id_reuse_policy != 0 ? from->workflow_id_reuse_policy : WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    a->retry_policy = from->retry_policy != NULL ? retry_policy_filled(from->retry_policy, c->step->arena) : NULL;
    a->cron_schedule = from->cron_schedule;
    a->header = from->header;
    a->memo = from->memo;
    a->search_attributes = from->search_attributes;
    a->inherit_build_id = from->inherit_build_id;
    a->priority = from->priority;
    a->versioning_override = from->versioning_override;
    *id = event_add(c->e, c->step, ev);
    return a;
}

void child_initiate(struct completion *c, const pb_command_Command *command)
{
    const struct namespace_info *ns = namespace_find(c->step, command->start_child_workflow_execution_command_attributes->namespace);
    int64_t id;
    pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *a = initiated_event(c, command, ns, &id);
    struct item *item = item_new(c->e, ITEM_CHILD, id, STR_EMPTY);
    pb_store_Child *child = item->child;
    child->initiated_event_id = id;
    child->workflow_id = item_str(item, a->workflow_id);
    child->workflow_type = item_str(item, a->workflow_type->name);
    child->namespace_key = ns->key;
    child->namespace_id = item_str(item, ns->id);
    child->namespace_name = item_str(item, ns->name);
    child->parent_close_policy = a->parent_close_policy;
    if (a->header != NULL) child->header = PB_CLONE(&item->arena, pb_common_Header, a->header);
    child->request_id = item_str(item, uuid_new(c->step));
    child->task_completed_event_id = c->completed_event_id;
    pb_store_Message *m = message_new(c->step, c->e, pb_store_Message_start_child_tag);
    pb_store_StartChild *start = CONTENT(c->step, m, start_child);
    start->request_id = child->request_id;
    start->initiated_event_id = id;
    start->attributes = a;
    start->root = c->e->s->root;
    start->user_metadata = command->user_metadata;
    start->initiated_at = c->step->now.ns;
    start->parent_priority = c->e->s->priority;
    message_send(c->step, m, ns->key, a->workflow_id, STR_EMPTY);
}

/* ---- the child: beginning ---- */

static void answer_start(struct step *step, const struct execution *child, const pb_store_Message *from)
{
    const pb_store_StartChild *start = from->start_child;
    pb_store_Message *m = message_new(step, child, pb_store_Message_child_started_tag);
    pb_store_ChildStarted *a = CONTENT(step, m, child_started);
    a->initiated_event_id = start->initiated_event_id;
    a->run_id = child->s->run_id;
    a->parent_close_policy = start->attributes->parent_close_policy;
    message_send(step, m, from->sender->namespace_key, from->sender->workflow_id, from->sender->run_id);
}

static void answer_start_failed(struct step *step, const struct execution *existing, const pb_store_Message *from, int32_t cause)
{
    pb_store_Message *m = message_new(step, existing, pb_store_Message_child_start_failed_tag);
    pb_store_ChildStartFailed *a = CONTENT(step, m, child_start_failed);
    a->initiated_event_id = from->start_child->initiated_event_id;
    a->cause = cause;
    message_send(step, m, from->sender->namespace_key, from->sender->workflow_id, from->sender->run_id);
}

static const pb_common_Priority *child_priority(struct step *step, const pb_common_Priority *own, const pb_common_Priority *parent)
{
    if (own == NULL || parent == NULL) return own != NULL ? own : parent;
    pb_common_Priority *p = pb_new(step->arena, pb_common_Priority);
    p->priority_key = own->priority_key != 0 ? own->priority_key : parent->priority_key;
    p->fairness_key = own->fairness_key.size != 0 ? own->fairness_key : parent->fairness_key;
    p->fairness_weight = own->fairness_weight > 0 ? own->fairness_weight : parent->fairness_weight;
    return p;
}

static struct execution *begin_child(struct step *step, const pb_store_Message *message)
{
    const pb_store_StartChild *start = message->start_child;
    const pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *a = start->attributes;
    pb_store_Parent parent = {.namespace_key = message->sender->namespace_key, .namespace_id = message->sender->namespace_id,
                              .namespace_name = message->sender->namespace_name, .workflow_id = message->sender->workflow_id,
                              .run_id = message->sender->run_id, .initiated_event_id = start->initiated_event_id};
    struct beginning b = {.workflow_id = a->workflow_id, .run_id = run_id_new(step), .request_id = start->request_id};
    b.type = a->workflow_type != NULL ? a->workflow_type->name : STR_EMPTY;
    b.queue = a->task_queue != NULL ? a->task_queue->name : STR_EMPTY;
    b.cron = a->cron_schedule;
    b.input = a->input;
    b.header = a->header;
    b.memo = a->memo;
    b.search_attributes = a->search_attributes;
    b.retry_policy = a->retry_policy;
    b.parent = &parent;
    b.root = start->root;
    b.user_metadata = start->user_metadata;
    b.priority = child_priority(step, a->priority, start->parent_priority);
    b.versioning_override = a->versioning_override;
    b.execution_timeout.ns = ns_of(a->workflow_execution_timeout);
    b.run_timeout.ns = ns_of(a->workflow_run_timeout);
    b.task_timeout.ns = ns_of(a->workflow_task_timeout);
    b.has_run_timeout = true;
    if (b.cron.size != 0) {
        b.backoff = cron_wait(step, b.cron, step->now);
        b.initiator = CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE;
    }
    b.is_waiting_for_parent = true;
    return run_begin(step, step->ns, &b);
}

static bool may_reuse(int32_t policy, int32_t status)
{
    switch (policy) {
    case WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE: return false;
    case WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY:
        return status != WORKFLOW_EXECUTION_STATUS_COMPLETED && status != WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW;
    default: return true;
    }
}

/* A placeholder for who is not there, to answer in its name. */
static struct execution *nobody(struct step *step, struct str workflow_id)
{
    struct execution *e = arena_new(step->arena, struct execution);
    e->ns = step->ns;
    e->s = pb_new(step->arena, pb_store_RunState);
    e->s->workflow_id = workflow_id;
    return e;
}

static void receive_start(struct step *step, struct execution *target, const pb_store_Message *message)
{
    const pb_store_StartChild *start = message->start_child;
    int32_t policy = start->attributes->workflow_id_reuse_policy;
    const pb_store_Parent *parent = target != NULL ? target->s->parent : NULL;
    bool is_old = parent != NULL && start->replaced_run_id.size != 0 && str_equal(parent->run_id, start->replaced_run_id) &&
                  parent->initiated_event_id == start->initiated_event_id && str_equal(parent->workflow_id, message->sender->workflow_id);
    if (target != NULL && (is_old || str_equal(target->s->create_request_id, start->request_id))) {
        answer_start(step, target, message);
        return;
    }
    bool is_open = target != NULL && execution_is_open(target), may_replace = policy == WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING;
    if (target != NULL && (is_open ? !may_replace : !may_reuse(policy, target->s->status))) {
        answer_start_failed(step, target, message, START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS);
        return;
    }
    if (is_open) close_terminate(target, step, STR("replaced by a child workflow of the same id"), NULL, STR("history-service"), NULL, 0);
    answer_start(step, begin_child(step, message), message);
}

/* ---- after a reset of the parent ---- */

static void ask(struct item *item, struct step *step)
{
    pb_store_Message *m = message_new(step, item->owner, pb_store_Message_child_asked_tag);
    pb_store_ChildAsked *a = CONTENT(step, m, child_asked);
    a->initiated_event_id = item->child->initiated_event_id;
    a->first_run_id = item->child->run_id;
    message_send(step, m, item->child->namespace_key, item->child->workflow_id, STR_EMPTY);
}

/* Children that are pending may have ended since, or, where the base run ended before it heard of their start, have been started. What comes to a
 * base run that was open is passed on. */
void child_after_reset(struct execution *e, struct step *step, const struct execution *base, bool was_base_open, const pb_history_History *history)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_CHILD, &at)) != NULL;) {
        const event *initiated = history->events[item->number - 1];
        if (item->child->has_started) ask(item, step);
        else if (!was_base_open) {
            pb_store_Message *m = message_new(step, e, pb_store_Message_start_child_tag);
            pb_store_StartChild *start = CONTENT(step, m, start_child);
            item->child->request_id = item_str(item, uuid_new(step));
            item_changed(item);
            start->request_id = item->child->request_id;
            start->initiated_event_id = item->number;
            start->attributes = initiated->start_child_workflow_execution_initiated_event_attributes;
            start->root = e->s->root;
            start->user_metadata = initiated->user_metadata;
            start->initiated_at = step->now.ns;
            start->parent_priority = e->s->priority;
            start->replaced_run_id = base->s->run_id;
            message_send(step, m, item->child->namespace_key, item->child->workflow_id, STR_EMPTY);
        }
    }
}

static bool is_followed(const event *closing)
{
    switch (closing->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: return true;
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: return closing->workflow_execution_completed_event_attributes->new_execution_run_id.size != 0;
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: return closing->workflow_execution_failed_event_attributes->new_execution_run_id.size != 0;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: return closing->workflow_execution_timed_out_event_attributes->new_execution_run_id.size != 0;
    default: return false;
    }
}

int64_t execution_wanted_event(const struct execution *target, const pb_store_Message *m)
{
    if (m->content_case != pb_store_Message_child_asked_tag || m->child_asked->closing != NULL || target == NULL || execution_is_open(target)) return 0;
    return str_equal(target->s->first_run_id, m->child_asked->first_run_id) ? target->s->close_event_id : 0;
}

static void receive_asked(struct step *step, struct execution *target, const pb_store_Message *message)
{
    const pb_store_ChildAsked *asked = message->child_asked;
    bool is_of_chain = target != NULL && str_equal(target->s->first_run_id, asked->first_run_id);
    if (target != NULL && !is_of_chain && !asked->is_first_run) { /* the id has been used again since */
        pb_store_Message *m = pb_new(step->arena, pb_store_Message);
        *m = *message;
        m->child_asked = arena_new(step->arena, pb_store_ChildAsked);
        *m->child_asked = *asked;
        m->child_asked->is_first_run = true;
        message_send(step, m, target->s->namespace_key, target->s->workflow_id, asked->first_run_id);
        return;
    }
    if (!is_of_chain || execution_is_open(target) || asked->closing == NULL || is_followed(asked->closing)) return; /* it will tell by itself */
    pb_store_Message *m = message_new(step, target, pb_store_Message_child_closed_tag);
    pb_store_ChildClosed *a = CONTENT(step, m, child_closed);
    a->initiated_event_id = asked->initiated_event_id;
    a->first_run_id = target->s->first_run_id;
    a->workflow_type = target->s->workflow_type;
    a->event = asked->closing;
    message_send(step, m, message->sender->namespace_key, message->sender->workflow_id, message->sender->run_id);
}

static void receive_released(struct step *step, struct execution *child, const pb_store_Message *message)
{
    if (child == NULL || !execution_is_open(child)) return;
    if (message->child_released->is_unwanted) {
        close_terminate(child, step, STR("the parent has ended, or waits for another run"), NULL, STR("history-service"), NULL, 0);
    } else if (child->s->is_waiting_for_parent) {
        child->s->is_waiting_for_parent = false;
        execution_changed(child, step);
        workflow_task_want(child, step);
    }
}

/* ---- the parent: what becomes of the child ---- */

static void release(struct step *step, const struct execution *parent, const pb_store_Message *from, bool is_unwanted)
{
    pb_store_Message *m = message_new(step, parent, pb_store_Message_child_released_tag);
    pb_store_ChildReleased *a = CONTENT(step, m, child_released);
    a->is_unwanted = is_unwanted;
    message_send(step, m, from->sender->namespace_key, from->sender->workflow_id, from->child_started->run_id);
}

static void record_started(struct item *item, struct step *step, struct str run_id)
{
    pb_store_Child *child = item->child;
    event *ev = event_new(step, EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED);
    pb_history_ChildWorkflowExecutionStartedEventAttributes *a = EVENT_SET(step, ev, child_workflow_execution_started_event_attributes);
    child->run_id = item_str(item, run_id);
    child->has_started = true;
    a->namespace = child->namespace_name;
    a->namespace_id = child->namespace_id;
    a->initiated_event_id = child->initiated_event_id;
    a->workflow_execution = execution_of(step->arena, child->workflow_id, child->run_id);
    a->workflow_type = workflow_type_of(step->arena, child->workflow_type);
    a->header = child->header;
    execution_changed(item->owner, step);
    child->started_event_id = event_add(item->owner, step, ev);
    item_changed(item);
}

static void wanted(struct execution *e, struct step *step)
{
    workflow_task_want(e, step);
    execution_settle(e, step);
}

static void receive_started(struct step *step, struct execution *parent, const pb_store_Message *message)
{
    const pb_store_ChildStarted *started = message->child_started;
    struct execution *self = parent != NULL ? parent : nobody(step, STR_EMPTY);
    struct item *item = parent != NULL && execution_is_open(parent) ? item_by_number(parent, ITEM_CHILD, started->initiated_event_id) : NULL;
    bool is_same = item != NULL && (!item->child->has_started || str_equal(item->child->run_id, started->run_id));
    if (item != NULL && !is_same) reach("child: a second run of a child was started");
    bool is_open = parent != NULL && execution_is_open(parent);
    release(step, self, message, is_open ? item != NULL && !is_same : started->parent_close_policy == PARENT_CLOSE_POLICY_TERMINATE);
    if (!is_open && started->parent_close_policy == PARENT_CLOSE_POLICY_REQUEST_CANCEL) {
        pb_store_Message *m = message_new(step, self, pb_store_Message_parent_closed_tag);
        CONTENT(step, m, parent_closed)->policy = started->parent_close_policy;
        m->parent_closed->first_run_id = started->run_id;
        message_send(step, m, message->sender->namespace_key, message->sender->workflow_id, STR_EMPTY);
    }
    if (!is_same || item->child->has_started) return;
    record_started(item, step, started->run_id);
    if (parent->s->is_reset) ask(item, step);
    wanted(parent, step);
}

static void receive_start_failed(struct step *step, struct execution *parent, const pb_store_Message *message)
{
    struct item *item = parent != NULL && execution_is_open(parent) ? item_by_number(parent, ITEM_CHILD, message->child_start_failed->initiated_event_id) : NULL;
    if (item == NULL || item->child->has_started) return;
    const pb_store_Child *child = item->child;
    event *ev = event_new(step, EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED);
    pb_history_StartChildWorkflowExecutionFailedEventAttributes *a = EVENT_SET(step, ev, start_child_workflow_execution_failed_event_attributes);
    a->namespace = child->namespace_name;
    a->namespace_id = child->namespace_id;
    a->workflow_id = child->workflow_id;
    a->workflow_type = workflow_type_of(step->arena, child->workflow_type);
    a->cause = message->child_start_failed->cause;
    a->initiated_event_id = child->initiated_event_id;
    execution_changed(parent, step);
    event_add(parent, step, ev);
    item_remove(item);
    wanted(parent, step);
}

/* The child's closing event, as its parent writes it. */
static event *closed_event(struct step *step, const struct item *item, const event *end, struct str run_id)
{
    const pb_store_Child *child = item->child;
    event *ev = event_new(step, 0);
#define COPY(type, field)                                                              \
    do {                                                                               \
        ev->event_type = (type);                                                       \
        __typeof__(ev->field) a_ = EVENT_SET(step, ev, field);                         \
        a_->namespace = child->namespace_name;                                         \
        a_->namespace_id = child->namespace_id;                                        \
        a_->workflow_execution = execution_of(step->arena, child->workflow_id, run_id); \
        a_->workflow_type = workflow_type_of(step->arena, child->workflow_type);       \
        a_->initiated_event_id = child->initiated_event_id;                            \
        a_->started_event_id = child->started_event_id;                                \
    } while (0)
    switch (end->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
        COPY(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed_event_attributes);
        ev->child_workflow_execution_completed_event_attributes->result = end->workflow_execution_completed_event_attributes->result;
        return ev;
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        COPY(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed_event_attributes);
        ev->child_workflow_execution_failed_event_attributes->failure = end->workflow_execution_failed_event_attributes->failure;
        ev->child_workflow_execution_failed_event_attributes->retry_state = end->workflow_execution_failed_event_attributes->retry_state;
        return ev;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
        COPY(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled_event_attributes);
        ev->child_workflow_execution_canceled_event_attributes->details = end->workflow_execution_canceled_event_attributes->details;
        return ev;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        COPY(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated_event_attributes);
        return ev;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
        COPY(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out_event_attributes);
        ev->child_workflow_execution_timed_out_event_attributes->retry_state = end->workflow_execution_timed_out_event_attributes->retry_state;
        return ev;
    default: return NULL;
    }
#undef COPY
}

static void receive_closed(struct step *step, struct execution *parent, const pb_store_Message *message)
{
    const pb_store_ChildClosed *closed = message->child_closed;
    struct item *item = parent != NULL && execution_is_open(parent) ? item_by_number(parent, ITEM_CHILD, closed->initiated_event_id) : NULL;
    if (item == NULL || closed->event == NULL) return;
    if (item->child->has_started && !str_equal(item->child->run_id, closed->first_run_id)) return; /* of a run that was not wanted */
    if (!item->child->has_started) record_started(item, step, closed->first_run_id);
    event *ev = closed_event(step, item, closed->event, message->sender->run_id);
    if (ev == NULL) return;
    execution_changed(parent, step);
    event_add(parent, step, ev);
    item_remove(item);
    wanted(parent, step);
}

/* ---- ends ---- */

void child_tell_parent(struct execution *e, struct step *step, const event *closing)
{
    const pb_store_Parent *parent = e->s->parent;
    if (parent == NULL) return;
    pb_store_Message *m = message_new(step, e, pb_store_Message_child_closed_tag);
    pb_store_ChildClosed *a = CONTENT(step, m, child_closed);
    a->initiated_event_id = parent->initiated_event_id;
    a->first_run_id = e->s->first_run_id;
    a->workflow_type = e->s->workflow_type;
    a->event = (event *)(uintptr_t)closing;
    message_send(step, m, parent->namespace_key, parent->workflow_id, parent->run_id);
}

void child_parent_closed(struct execution *e, struct step *step)
{
    struct item *item;
    for (size_t at = 0; (item = item_next(e, ITEM_CHILD, &at)) != NULL;) {
        const pb_store_Child *child = item->child;
        if (!child->has_started || child->parent_close_policy == PARENT_CLOSE_POLICY_ABANDON) continue;
        pb_store_Message *m = message_new(step, e, pb_store_Message_parent_closed_tag);
        pb_store_ParentClosed *a = CONTENT(step, m, parent_closed);
        a->policy = child->parent_close_policy;
        a->first_run_id = child->run_id;
        message_send(step, m, child->namespace_key, child->workflow_id, STR_EMPTY);
    }
}

static void receive_parent_closed(struct step *step, struct execution *child, const pb_store_Message *message)
{
    const pb_store_ParentClosed *closed = message->parent_closed;
    if (child == NULL || !execution_is_open(child) || !str_equal(child->s->first_run_id, closed->first_run_id)) return;
    if (closed->policy == PARENT_CLOSE_POLICY_TERMINATE)
        close_terminate(child, step, STR("ended with its parent, as the parent close policy says"), NULL, STR("history-service"), NULL, 0);
    else if (!child->s->is_cancel_requested)
        cancel_record(child, step, STR_EMPTY, STR("history-service"), STR_EMPTY, message->sender, 0);
}

/* ---- all messages ---- */

/* What was meant for a run that a reset has replaced goes to its successor. */
static bool goes_elsewhere(struct step *step, const struct execution *target, const pb_store_Message *m)
{
    bool is_answer = m->content_case == pb_store_Message_child_started_tag || m->content_case == pb_store_Message_child_closed_tag ||
                     m->content_case == pb_store_Message_child_start_failed_tag || m->content_case == pb_store_Message_cancel_result_tag ||
                     m->content_case == pb_store_Message_signal_result_tag;
    if (target == NULL || !is_answer || str_is_empty(target->s->reset_run_id)) return false;
    message_send(step, m, target->s->namespace_key, target->s->workflow_id, target->s->reset_run_id);
    return true;
}

err execution_receive(struct step *step, struct execution *target, const pb_store_Message *m)
{
    if (m->sender == NULL) return FAIL(step, ERR_CORRUPT, "a message between workflows does not say who sent it");
    if (goes_elsewhere(step, target, m)) return ERR_NONE;
    if (target != NULL && execution_is_open(target)) TRY(execution_check_full(target, step)); /* delivered again later */
    switch (m->content_case) {
    case pb_store_Message_start_child_tag:
        if (m->start_child->attributes == NULL) return FAIL(step, ERR_CORRUPT, "a message that starts a child has no attributes");
        receive_start(step, target, m);
        return ERR_NONE;
    case pb_store_Message_child_started_tag: receive_started(step, target, m); return ERR_NONE;
    case pb_store_Message_child_start_failed_tag: receive_start_failed(step, target, m); return ERR_NONE;
    case pb_store_Message_child_released_tag: receive_released(step, target, m); return ERR_NONE;
    case pb_store_Message_child_asked_tag: receive_asked(step, target, m); return ERR_NONE;
    case pb_store_Message_child_closed_tag: receive_closed(step, target, m); return ERR_NONE;
    case pb_store_Message_parent_closed_tag: receive_parent_closed(step, target, m); return ERR_NONE;
    case pb_store_Message_request_cancel_tag: external_receive_cancel(step, target, m); return ERR_NONE;
    case pb_store_Message_cancel_result_tag: external_receive_result(step, target, m->cancel_result->initiated_event_id, m->cancel_result->cause); return ERR_NONE;
    case pb_store_Message_signal_tag: external_receive_signal(step, target, m); return ERR_NONE;
    case pb_store_Message_signal_result_tag: external_receive_result(step, target, m->signal_result->initiated_event_id, m->signal_result->cause); return ERR_NONE;
    default: return FAIL(step, ERR_CORRUPT, "a message between workflows has no content that is known");
    }
}
