/* history/start.c: how runs begin: by a client's start or signal-with-start, with the id reuse and conflict policies; by
 * their parent; as the successor of another run. Source: F001-F004, F008-F010, limits-and-errors section 8. */
#include "history/machines.h"

enum { TASK_TIMEOUT_MAX_S = 120 };

/* ---- the first event ---- */

static void started_event(struct execution *e, struct step *step, const struct beginning *b)
{
    const pb_store_RunState *s = e->s;
    struct arena *arena = step->arena;
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_STARTED);
    pb_history_WorkflowExecutionStartedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_started_event_attributes);
#define LENT(type, p) ((type *)(uintptr_t)(p)) /* events are only read from here on */
    ev->user_metadata = LENT(pb_sdk_UserMetadata, b->user_metadata);
    ev->links = LENT(pb_common_Link *, b->links);
    ev->links_count = b->link_count;
    a->workflow_type = workflow_type_of(arena, b->type);
    if (b->parent != NULL) {
        a->parent_workflow_namespace = b->parent->namespace_name;
        a->parent_workflow_namespace_id = b->parent->namespace_id;
        a->parent_workflow_execution = execution_of(arena, b->parent->workflow_id, b->parent->run_id);
        a->parent_initiated_event_id = b->parent->initiated_event_id;
        a->root_workflow_execution = LENT(pb_common_WorkflowExecution, b->root);
    }
    a->task_queue = task_queue_of(arena, b->queue);
    a->input = LENT(pb_common_Payloads, b->input);
    if (b->has_execution_timeout || b->execution_timeout.ns != 0) a->workflow_execution_timeout = duration_of(arena, b->execution_timeout.ns);
    if (b->has_run_timeout || s->run_timeout_ns != 0) a->workflow_run_timeout = duration_of(arena, s->run_timeout_ns);
    a->workflow_task_timeout = duration_of(arena, s->task_timeout_ns);
    a->continued_execution_run_id = b->continued_from;
    a->initiator = b->initiator;
    a->continued_failure = LENT(pb_failure_Failure, b->continued_failure);
    a->last_completion_result = LENT(pb_common_Payloads, b->last_result);
    a->original_execution_run_id = s->original_run_id;
    a->identity = b->identity;
    a->first_execution_run_id = s->first_run_id;
    a->retry_policy = s->retry_policy;
    a->attempt = s->attempt;
    a->workflow_execution_expiration_time = timestamp_of(arena, (instant){s->execution_expires_at});
    a->cron_schedule = b->cron;
    if (b->backoff.ns > 0 || str_is_empty(b->continued_from)) a->first_workflow_task_backoff = duration_of(arena, b->backoff.ns);
    a->memo = LENT(pb_common_Memo, b->memo);
    a->search_attributes = LENT(pb_common_SearchAttributes, b->search_attributes);
    a->prev_auto_reset_points = LENT(pb_workflow_ResetPoints, b->reset_points);
    a->header = LENT(pb_common_Header, b->header);
    a->workflow_id = s->workflow_id;
    a->completion_callbacks = LENT(pb_common_Callback *, b->callbacks);
    a->completion_callbacks_count = b->callback_count;
    a->versioning_override = LENT(pb_workflow_VersioningOverride, b->versioning_override);
    a->priority = LENT(pb_common_Priority, b->priority);
    a->eager_execution_accepted = b->is_eager;
#undef LENT
    event_add(e, step, ev);
}

/* ---- the state ---- */

static int64_t shorter(int64_t a, int64_t b) { return a == 0 ? b : b == 0 || a < b ? a : b; }

static void set_times(struct execution *e, const struct step *step, const struct beginning *b)
{
    pb_store_RunState *s = e->s;
    int64_t ms = NS_PER_MS;
    s->execution_timeout_ns = b->execution_timeout.ns;
    s->has_run_timeout = b->has_run_timeout;
    s->run_timeout_ns = shorter(b->run_timeout.ns, b->execution_timeout.ns);
    int64_t task = b->task_timeout.ns != 0 ? b->task_timeout.ns : step->limits->workflow_task_timeout_ms * NS_PER_MS;
    s->task_timeout_ns = shorter(shorter(task, TASK_TIMEOUT_MAX_S * NS_PER_S), s->run_timeout_ns);
    s->start_at = step->now.ns;
    s->execution_at = instant_add(step->now, b->backoff).ns;
    s->original_start_at = s->start_at;
    s->chain_start_at = instant_is_set(b->chain_start_at) ? b->chain_start_at.ns : s->start_at;
    if (instant_is_set(b->execution_expires_at)) s->execution_expires_at = b->execution_expires_at.ns;
    else if (s->execution_timeout_ns > 0)
        s->execution_expires_at = (instant_add(step->now, (duration){s->execution_timeout_ns}).ns + ms / 2) / ms * ms;
    if (s->run_timeout_ns > 0) s->run_expires_at = instant_add((instant){s->execution_at}, (duration){s->run_timeout_ns}).ns;
    if (s->execution_expires_at != 0 && s->run_expires_at > s->execution_expires_at) s->run_expires_at = s->execution_expires_at;
    if (b->backoff.ns > 0) s->first_task_at = s->execution_at;
}

static void set_identity(struct execution *e, struct step *step, const struct beginning *b)
{
    pb_store_RunState *s = e->s;
    struct arena *arena = &e->arena;
    s->namespace_key = e->ns->key;
    s->run_key = (*step->next_run)++;
    s->workflow_id = core_str(e, b->workflow_id);
    s->run_id = core_str(e, b->run_id);
    s->first_run_id = b->first_run_id.size != 0 ? core_str(e, b->first_run_id) : s->run_id;
    s->original_run_id = b->original_run_id.size != 0 ? core_str(e, b->original_run_id) : s->run_id;
    s->continued_from_run_id = core_str(e, b->continued_from);
    s->create_request_id = core_str(e, b->request_id);
    s->workflow_type = core_str(e, b->type);
    s->task_queue = core_str(e, b->queue);
    s->cron_schedule = core_str(e, b->cron);
    s->attempt = b->attempt != 0 ? b->attempt : 1;
    s->initiator = b->initiator;
    s->status = WORKFLOW_EXECUTION_STATUS_RUNNING;
    s->is_waiting_for_parent = b->is_waiting_for_parent;
    if (b->retry_policy != NULL) s->retry_policy = PB_CLONE(arena, pb_common_RetryPolicy, retry_policy_filled(b->retry_policy, step->arena));
    if (b->parent != NULL) s->parent = PB_CLONE(arena, pb_store_Parent, b->parent);
    s->root = b->root != NULL ? PB_CLONE(arena, pb_common_WorkflowExecution, b->root) : execution_of(arena, s->workflow_id, s->run_id);
    if (b->user_metadata != NULL) s->user_metadata = PB_CLONE(arena, pb_sdk_UserMetadata, b->user_metadata);
    if (b->priority != NULL) s->priority = PB_CLONE(arena, pb_common_Priority, b->priority);
    if (b->versioning_override != NULL) s->versioning_override = PB_CLONE(arena, pb_workflow_VersioningOverride, b->versioning_override);
    if (b->reset_points != NULL) s->reset_points = PB_CLONE(arena, pb_workflow_ResetPoints, b->reset_points);
    pb_store_HistoryBranch *own = PB_PUSH_NEW(arena, s, branches);
    own->branch = s->run_key;
    own->first_event_id = 1;
}

static void keep_input(struct execution *e, const struct beginning *b)
{
    if (b->retry_policy == NULL && str_is_empty(b->cron)) return;
    struct item *item = item_new(e, ITEM_START_INPUT, 0, STR_EMPTY);
    pb_store_StartInput *in = item->start_input;
    if (b->input != NULL) in->input = PB_CLONE(&item->arena, pb_common_Payloads, b->input);
    if (b->header != NULL) in->header = PB_CLONE(&item->arena, pb_common_Header, b->header);
    if (b->last_result != NULL) in->last_completion_result = PB_CLONE(&item->arena, pb_common_Payloads, b->last_result);
    if (b->continued_failure != NULL) in->continued_failure = PB_CLONE(&item->arena, pb_failure_Failure, b->continued_failure);
}

struct execution *run_begin(struct step *step, const struct namespace_info *ns, const struct beginning *b)
{
    struct execution *e = execution_new(ns);
    e->is_new = true;
    set_identity(e, step, b);
    set_times(e, step, b);
    keep_input(e, b);
    if (b->memo != NULL && b->memo->fields_count != 0) attributes_set_memo(e, b->memo);
    if (b->search_attributes != NULL && b->search_attributes->indexed_fields_count != 0) attributes_set_search(e, b->search_attributes);
    for (size_t i = 0; i < b->callback_count; i++) callback_add(e, step, b->callbacks[i], b->request_id);
    if (b->request_id.size != 0) {
        struct item *item = item_new(e, ITEM_REQUEST_ID, 0, b->request_id);
        item->request_id->event_type = EVENT_TYPE_WORKFLOW_EXECUTION_STARTED;
        item->request_id->event_id = 1;
    }
    execution_changed(e, step);
    step_create(step, e);
    started_event(e, step, b);
    execution_due_core(e);
    if (!b->is_first_task_held) workflow_task_want(e, step);
    return e;
}

/* ---- policies ---- */

struct policies { int32_t reuse, conflict; };

static err already_started(struct step *step, const struct execution *current)
{
    const pb_store_RunState *s = current->s;
    err code = FAIL(step, ERR_WORKFLOW_STARTED, "workflow %.*s %s (run %.*s)", STR_ARG(s->workflow_id),
                    execution_is_open(current) ? "is running already" : "has run before, and the id reuse policy forbids another run", STR_ARG(s->run_id));
    if (step->error == NULL) return code;
    pb_errordetails_WorkflowExecutionAlreadyStartedFailure *detail = pb_new(step->arena, pb_errordetails_WorkflowExecutionAlreadyStartedFailure);
    detail->start_request_id = arena_str(step->arena, s->create_request_id);
    detail->run_id = arena_str(step->arena, s->run_id);
    detail->first_execution_run_id = arena_str(step->arena, s->first_run_id);
    step->error->detail_type = &pb_errordetails_WorkflowExecutionAlreadyStartedFailure_type;
    step->error->detail = detail;
    return code;
}

/* The deprecated reuse policy stands for a conflict policy. */
static struct policies policies_of(int32_t reuse, int32_t conflict, int32_t default_conflict)
{
    struct policies p = {reuse, conflict};
    if (reuse == WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING)
        p = (struct policies){WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING};
    if (p.reuse == WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED) p.reuse = WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    if (p.conflict == WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED) p.conflict = default_conflict;
    return p;
}

static bool reuse_allows(int32_t reuse, int32_t status)
{
    if (reuse == WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE) return true;
    if (reuse != WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY) return false;
    return status == WORKFLOW_EXECUTION_STATUS_FAILED || status == WORKFLOW_EXECUTION_STATUS_CANCELED ||
           status == WORKFLOW_EXECUTION_STATUS_TERMINATED || status == WORKFLOW_EXECUTION_STATUS_TIMED_OUT;
}

/* ---- start ---- */

static struct beginning beginning_of(const pb_ws_StartWorkflowExecutionRequest *r, struct str run_id)
{
    struct beginning b = {.workflow_id = r->workflow_id, .run_id = run_id, .request_id = r->request_id, .identity = r->identity};
    if (r->workflow_type != NULL) b.type = r->workflow_type->name;
    if (r->task_queue != NULL) b.queue = r->task_queue->name;
    b.cron = r->cron_schedule;
    b.input = r->input;
    b.header = r->header;
    b.memo = r->memo;
    b.search_attributes = r->search_attributes;
    b.continued_failure = r->continued_failure;
    b.last_result = r->last_completion_result;
    b.retry_policy = r->retry_policy;
    b.user_metadata = r->user_metadata;
    b.priority = r->priority;
    b.versioning_override = r->versioning_override;
    b.callbacks = r->completion_callbacks;
    b.callback_count = r->completion_callbacks_count;
    b.links = r->links;
    b.link_count = r->links_count;
    b.execution_timeout.ns = ns_of(r->workflow_execution_timeout);
    b.run_timeout.ns = ns_of(r->workflow_run_timeout);
    b.task_timeout.ns = ns_of(r->workflow_task_timeout);
    b.has_execution_timeout = r->workflow_execution_timeout != NULL;
    b.has_run_timeout = r->workflow_run_timeout != NULL;
    b.backoff.ns = ns_of(r->workflow_start_delay);
    return b;
}

duration cron_wait(const struct step *step, struct str text, instant from)
{
    struct cron cron;
    const struct tz *tz = NULL;
    if (!cron_parse(text, &cron)) return duration_s(-1);
    if (cron.zone.size != 0) {
        tz = step->find_zone != NULL ? step->find_zone(step->find_argument, cron.zone) : NULL;
        if (tz == NULL) return duration_s(-1);
    }
    return cron_backoff(&cron, tz, from, step->now);
}

static void set_cron(struct beginning *b, const struct step *step)
{
    if (str_is_empty(b->cron)) return;
    b->backoff = cron_wait(step, b->cron, step->now);
    b->initiator = CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE;
}

static err check_request(struct step *step, const struct beginning *b)
{
    const char *problem = retry_policy_problem(b->retry_policy);
    if (problem == NULL && (b->execution_timeout.ns < 0 || b->run_timeout.ns < 0 || b->task_timeout.ns < 0)) problem = "a timeout is negative";
    if (problem == NULL && b->backoff.ns < 0) problem = "the start delay is negative";
    if (problem == NULL && b->backoff.ns > 0 && b->cron.size != 0) problem = "a cron schedule and a start delay do not go together";
    if (problem == NULL && (int64_t)b->callback_count > step->limits->callbacks_max) problem = "there are too many completion callbacks";
    if (problem == NULL && b->memo != NULL && (int64_t)PB_SIZE(pb_common_Memo, b->memo) > step->limits->memo_size_max) problem = "the memo is too large";
    if (problem == NULL && (int64_t)payloads_size(b->input) > step->limits->blob_size_max) problem = "the input is too large";
    if (problem != NULL) return FAIL(step, ERR_INVALID, "%s", problem);
    if (b->cron.size != 0 && cron_wait(step, b->cron, step->now).ns < 0)
        return FAIL(step, ERR_INVALID, "not a cron schedule, or of a zone that is not known, or one that never comes: %.*s", STR_ARG(b->cron));
    struct str why = STR_EMPTY;
    if (b->search_attributes != NULL && step->check_search_attributes != NULL &&
        !step->check_search_attributes(step->find_argument, step->ns, b->search_attributes, step->arena, &why))
        return FAIL(step, ERR_INVALID, "%.*s", STR_ARG(why));
    return ERR_NONE;
}

static pb_common_Link *link_to(struct step *step, const struct execution *e, struct str request_id, int64_t event_id, int32_t type)
{
    pb_common_Link *link = pb_new(step->arena, pb_common_Link);
    link->variant_case = pb_common_Link_workflow_event_tag;
    pb_common_Link_WorkflowEvent *w = link->workflow_event = pb_new(step->arena, pb_common_Link_WorkflowEvent);
    w->namespace = e->ns->name;
    w->workflow_id = arena_str(step->arena, e->s->workflow_id);
    w->run_id = arena_str(step->arena, e->s->run_id);
    if (event_id > 0) {
        w->reference_case = pb_common_Link_WorkflowEvent_event_ref_tag;
        w->event_ref = pb_new(step->arena, pb_common_Link_WorkflowEvent_EventReference);
        w->event_ref->event_id = event_id;
        w->event_ref->event_type = type;
    } else {
        w->reference_case = pb_common_Link_WorkflowEvent_request_id_ref_tag;
        w->request_id_ref = pb_new(step->arena, pb_common_Link_WorkflowEvent_RequestIdReference);
        w->request_id_ref->request_id = request_id;
        w->request_id_ref->event_type = type;
    }
    return link;
}

static void start_reply(struct step *step, const struct execution *e, bool is_started, pb_ws_StartWorkflowExecutionResponse *r)
{
    r->run_id = arena_str(step->arena, e->s->run_id);
    r->first_execution_run_id = arena_str(step->arena, e->s->first_run_id);
    r->started = is_started;
    r->status = e->s->status;
    if (r->link == NULL) r->link = link_to(step, e, STR_EMPTY, 1, EVENT_TYPE_WORKFLOW_EXECUTION_STARTED);
}

/* The start meets a running workflow and attaches to it what its options say. (F003) */
static err attach(struct step *step, struct execution *current, const pb_ws_StartWorkflowExecutionRequest *r, pb_ws_StartWorkflowExecutionResponse *reply)
{
    const pb_workflow_OnConflictOptions *o = r->on_conflict_options;
    bool has_callbacks = o != NULL && o->attach_completion_callbacks && r->completion_callbacks_count != 0;
    bool has_links = o != NULL && o->attach_links && r->links_count != 0;
    if (o == NULL || !(o->attach_request_id || has_callbacks || has_links)) return ERR_NONE;
    if ((int64_t)(item_count(current, ITEM_CALLBACK) + (has_callbacks ? r->completion_callbacks_count : 0)) > step->limits->callbacks_max)
        return FAIL(step, ERR_PRECONDITION, "the workflow has %" PRId64 " completion callbacks, which is the limit", step->limits->callbacks_max);
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED);
    pb_history_WorkflowExecutionOptionsUpdatedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_options_updated_event_attributes);
    if (o->attach_request_id) a->attached_request_id = r->request_id;
    if (has_callbacks) PB_SET_ARRAY(a, attached_completion_callbacks, r->completion_callbacks, r->completion_callbacks_count);
    if (has_links) PB_SET_ARRAY(ev, links, r->links, r->links_count);
    execution_changed(current, step);
    if (o->attach_request_id) item_new(current, ITEM_REQUEST_ID, 0, r->request_id)->request_id->event_type = ev->event_type;
    int64_t id = event_add(current, step, ev);
    struct item *item = o->attach_request_id ? item_by_name(current, ITEM_REQUEST_ID, r->request_id) : NULL;
    if (item != NULL) item->request_id->event_id = id > 0 ? id : 0;
    for (size_t i = 0; has_callbacks && i < r->completion_callbacks_count; i++) callback_add(current, step, r->completion_callbacks[i], r->request_id);
    if (o->attach_request_id) reply->link = link_to(step, current, r->request_id, 0, ev->event_type);
    execution_settle(current, step);
    return ERR_NONE;
}

static void end_existing(struct step *step, struct execution *current, struct str new_run_id)
{
    struct str reason = arena_printf(step->arena, "replaced by run %.*s, as the id conflict policy says", STR_ARG(new_run_id));
    pb_common_Payloads *details = pb_new(step->arena, pb_common_Payloads);
    pb_common_Payload *payload = PB_PUSH_NEW(step->arena, details, payloads);
    pb_common_Payload_MetadataEntry *encoding = PB_PUSH_NEW(step->arena, payload, metadata);
    encoding->key = STR("encoding");
    encoding->value = STR("json/plain");
    payload->data = arena_printf(step->arena, "\"replaced by run %.*s\"", STR_ARG(new_run_id));
    close_terminate(current, step, reason, details, STR("history-service"), NULL, 0);
}

static void hand_out_first(struct step *step, struct execution *e, const pb_ws_StartWorkflowExecutionRequest *r, pb_ws_StartWorkflowExecutionResponse *reply)
{
    if (!task_is(e, WORKFLOW_TASK_STATE_SCHEDULED)) return;
    step_take_back_task(step, TASK_WORKFLOW, e->s->run_key, e->s->task->stamp);
    struct task_history history;
    workflow_task_take(e, step, r->identity, r->request_id, NULL);
    workflow_task_reply(e, step, false, &reply->eager_workflow_task, &history);
}

/* The same request again. A lost reply's first task is given again while it is still the first. (F009) */
static bool is_repeated(struct step *step, struct execution *current, const pb_ws_StartWorkflowExecutionRequest *r,
                        pb_ws_StartWorkflowExecutionResponse *reply)
{
    const struct item *item = current != NULL && r->request_id.size != 0 ? item_by_name(current, ITEM_REQUEST_ID, r->request_id) : NULL;
    if (item == NULL || item->request_id->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) return false;
    bool is_start = item->request_id->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_STARTED;
    start_reply(step, current, is_start, reply);
    const pb_store_WorkflowTask *t = current->s->task;
    bool is_first = t->state == WORKFLOW_TASK_STATE_STARTED && t->started_event_id == 3 && t->attempt == 1;
    if (is_start && r->request_eager_execution && is_first) {
        struct task_history history;
        workflow_task_reply(current, step, false, &reply->eager_workflow_task, &history);
    }
    return true;
}

/* What the policies say of the current run. *is_done: the reply is there and nothing is to be started. */
static err apply_policies(struct step *step, struct execution *current, const pb_ws_StartWorkflowExecutionRequest *r,
                          pb_ws_StartWorkflowExecutionResponse *reply, bool *is_done)
{
    struct policies p = policies_of(r->workflow_id_reuse_policy, r->workflow_id_conflict_policy, WORKFLOW_ID_CONFLICT_POLICY_FAIL);
    *is_done = false;
    if (current == NULL) return ERR_NONE;
    if (!execution_is_open(current)) return reuse_allows(p.reuse, current->s->status) ? ERR_NONE : already_started(step, current);
    if (p.conflict == WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING) return ERR_NONE;
    if (p.conflict != WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING) return already_started(step, current);
    TRY(attach(step, current, r, reply));
    start_reply(step, current, false, reply);
    *is_done = true;
    return ERR_NONE;
}

err workflow_start(struct step *step, struct execution *current, const pb_ws_StartWorkflowExecutionRequest *request,
                   pb_ws_StartWorkflowExecutionResponse **reply, struct execution **run)
{
    pb_ws_StartWorkflowExecutionResponse *r = pb_new(step->arena, pb_ws_StartWorkflowExecutionResponse);
    struct beginning b = beginning_of(request, run_id_new(step));
    bool is_done = false;
    if (is_repeated(step, current, request, r)) is_done = true;
    else {
        TRY(check_request(step, &b));
        TRY(apply_policies(step, current, request, r, &is_done));
    }
    *reply = r;
    *run = current;
    if (is_done) return ERR_NONE;
    if (current != NULL && execution_is_open(current)) end_existing(step, current, b.run_id);
    set_cron(&b, step);
    b.is_eager = request->request_eager_execution && step->limits->eager_workflow_start != 0 && b.backoff.ns == 0;
    struct execution *e = run_begin(step, step->ns, &b);
    start_reply(step, e, true, r);
    if (b.is_eager) hand_out_first(step, e, request, r);
    *run = e;
    return ERR_NONE;
}

/* ---- signal with start ---- */

static pb_ws_StartWorkflowExecutionRequest start_part(const pb_ws_SignalWithStartWorkflowExecutionRequest *r)
{
    return (pb_ws_StartWorkflowExecutionRequest){
        .namespace = r->namespace, .workflow_id = r->workflow_id, .workflow_type = r->workflow_type, .task_queue = r->task_queue,
        .input = r->input, .workflow_execution_timeout = r->workflow_execution_timeout, .workflow_run_timeout = r->workflow_run_timeout,
        .workflow_task_timeout = r->workflow_task_timeout, .identity = r->identity, .request_id = r->request_id,
        .workflow_id_reuse_policy = r->workflow_id_reuse_policy, .workflow_id_conflict_policy = r->workflow_id_conflict_policy,
        .retry_policy = r->retry_policy, .cron_schedule = r->cron_schedule, .memo = r->memo, .search_attributes = r->search_attributes,
        .header = r->header, .workflow_start_delay = r->workflow_start_delay, .user_metadata = r->user_metadata, .links = r->links,
        .links_count = r->links_count, .versioning_override = r->versioning_override, .priority = r->priority};
}

static pb_ws_SignalWorkflowExecutionRequest signal_part(const pb_ws_SignalWithStartWorkflowExecutionRequest *r)
{
    return (pb_ws_SignalWorkflowExecutionRequest){.namespace = r->namespace, .signal_name = r->signal_name, .input = r->signal_input,
                                                  .identity = r->identity, .request_id = r->request_id, .header = r->header,
                                                  .links = r->links, .links_count = r->links_count};
}

err workflow_signal_with_start(struct step *step, struct execution *current, const pb_ws_SignalWithStartWorkflowExecutionRequest *request,
                               pb_ws_SignalWithStartWorkflowExecutionResponse **reply)
{
    pb_ws_SignalWithStartWorkflowExecutionResponse *r = pb_new(step->arena, pb_ws_SignalWithStartWorkflowExecutionResponse);
    pb_ws_StartWorkflowExecutionRequest start = start_part(request);
    pb_ws_SignalWorkflowExecutionRequest signal = signal_part(request);
    struct policies p = policies_of(start.workflow_id_reuse_policy, start.workflow_id_conflict_policy, WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING);
    bool is_open = current != NULL && execution_is_open(current);
    bool is_repeated_start = current != NULL && request->request_id.size != 0 && item_by_name(current, ITEM_REQUEST_ID, request->request_id) != NULL;
    struct execution *e = current;
    if (p.conflict == WORKFLOW_ID_CONFLICT_POLICY_FAIL) return FAIL(step, ERR_INVALID, "signal-with-start has no use for the conflict policy FAIL");
    if (is_repeated_start) {
        r->started = str_equal(current->s->create_request_id, request->request_id);
    } else if (is_open && p.conflict == WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING) {
        TRY(execution_signal(current, step, &signal));
    } else {
        struct beginning b = beginning_of(&start, run_id_new(step));
        TRY(check_request(step, &b));
        TRY(signal_check(step, &signal));
        if (!is_open && current != NULL && !reuse_allows(p.reuse, current->s->status)) return already_started(step, current);
        if (is_open) end_existing(step, current, b.run_id);
        set_cron(&b, step);
        b.is_first_task_held = true;
        e = run_begin(step, step->ns, &b);
        signal_record(e, step, &signal);
        workflow_task_want(e, step);
        r->started = true;
    }
    r->run_id = arena_str(step->arena, e->s->run_id);
    r->first_execution_run_id = arena_str(step->arena, e->s->first_run_id);
    r->signal_link = link_to(step, e, request->request_id, 0, EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED);
    *reply = r;
    return ERR_NONE;
}

/* ---- update with start ---- */

err workflow_update_with_start(struct step *step, struct execution *current, const pb_ws_StartWorkflowExecutionRequest *start,
                               const pb_update_Request *update, pb_ws_StartWorkflowExecutionResponse **reply, struct execution **run,
                               struct update_view *view, bool *is_start_to_blame)
{
    struct policies p = policies_of(start->workflow_id_reuse_policy, start->workflow_id_conflict_policy, WORKFLOW_ID_CONFLICT_POLICY_FAIL);
    bool is_open = current != NULL && execution_is_open(current), is_known = current != NULL && update_is_known(current, update);
    *is_start_to_blame = true;
    if (start->cron_schedule.size != 0 || ns_of(start->workflow_start_delay) != 0 || start->request_eager_execution)
        return FAIL(step, ERR_INVALID, "cron schedules, start delays and eager starts do not go with an update");
    bool is_same_start = is_open && str_equal(current->s->create_request_id, start->request_id) && start->request_id.size != 0;
    bool stays = is_known || is_same_start || (is_open && p.conflict == WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING);
    if (stays) { /* the update goes to the run that is there */
        pb_ws_StartWorkflowExecutionResponse *r = pb_new(step->arena, pb_ws_StartWorkflowExecutionResponse);
        *is_start_to_blame = false;
        TRY(execution_update(current, step, update, view));
        if (!is_known && !is_same_start) TRY(attach(step, current, start, r));
        start_reply(step, current, is_same_start, r);
        *reply = r;
        *run = current;
        return ERR_NONE;
    }
    *is_start_to_blame = false;
    TRY(update_check_request(step, update));
    TRY(update_check_first(step, update));
    *is_start_to_blame = true;
    TRY(workflow_start(step, current, start, reply, run));
    *is_start_to_blame = false;
    return execution_update(*run, step, update, view); /* fails only for a repeated start of a run that has closed */
}
