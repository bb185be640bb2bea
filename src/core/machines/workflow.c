/* What is about the workflow itself: its start, signals, cancel requests, queries, memo and search attributes, its end. */
#include "core/run_state.h"

/* ---- events ---------------------------------------------------------------------------------------------------- */

/* Keeps what continue-as-new carries on, and what timeouts need. */
static void workflow_keep(struct run *run, const event_t *e)
{
    const pb_history_WorkflowExecutionStartedEventAttributes *a = e->workflow_execution_started_event_attributes;
    pb_history_WorkflowExecutionStartedEventAttributes part = {
        .workflow_type = a->workflow_type, .task_queue = a->task_queue, .workflow_run_timeout = a->workflow_run_timeout,
        .workflow_task_timeout = a->workflow_task_timeout, .retry_policy = a->retry_policy, .memo = a->memo};
    run->started = PB_CLONE(&run->arena, pb_history_WorkflowExecutionStartedEventAttributes, &part);
    run->workflow_type = NAME_OF(run->started->workflow_type);
    run->task_queue = NAME_OF(run->started->task_queue);
    run->task_timeout = pb_duration(a->workflow_task_timeout);
    run->first_event_time = pb_instant(e->event_time);
    if (a->search_attributes == NULL) return;
    for (size_t i = 0; i < a->search_attributes->indexed_fields_count; i++) {
        const pb_common_SearchAttributes_IndexedFieldsEntry *f = a->search_attributes->indexed_fields[i];
        if (f->value != NULL) workflow_note_attribute(run, f->key, f->value);
    }
}

static pb_core_NamespacedExecution *workflow_ref(struct arena *arena, struct str namespace, const pb_common_WorkflowExecution *x)
{
    if (x == NULL || str_is_empty(x->workflow_id)) return NULL;
    pb_core_NamespacedExecution *ref = pb_new(arena, pb_core_NamespacedExecution);
    ref->namespace = namespace;
    ref->workflow_id = x->workflow_id;
    ref->run_id = x->run_id;
    return ref;
}

err workflow_started(struct run *run, const event_t *e)
{
    const pb_history_WorkflowExecutionStartedEventAttributes *a = e->workflow_execution_started_event_attributes;
    if (run->started != NULL) return run_diverge(run, "event %" PRId64 " starts the workflow a second time", e->event_id);
    workflow_keep(run, e);
    pb_core_InitializeWorkflow *job = RUN_JOB(run, JOBS_INIT, initialize_workflow, InitializeWorkflow);
    run->init_job = job;
    struct str seed_id = str_is_empty(a->original_execution_run_id) ? run->id : a->original_execution_run_id;
    job->workflow_type = run->workflow_type;
    job->workflow_id = str_is_empty(run->workflow_id) ? a->workflow_id : run->workflow_id;
    TAKE_PAYLOADS(job, arguments, a->input);
    job->randomness_seed = run_seed(seed_id);
    if (a->header != NULL) TAKE_MAP(job, headers, a->header, fields);
    job->task_queue = run->task_queue;
    job->parent = workflow_ref(&run->scratch, a->parent_workflow_namespace, a->parent_workflow_execution);
    job->root = workflow_ref(&run->scratch, STR_EMPTY, a->root_workflow_execution);
    job->continued_from_run_id = a->continued_execution_run_id;
    job->first_execution_run_id = a->first_execution_run_id;
    job->original_execution_run_id = a->original_execution_run_id;
    job->continued_failure = a->continued_failure;
    TAKE_PAYLOADS(job, last_completion_result, a->last_completion_result);
    job->execution_timeout = a->workflow_execution_timeout;
    job->run_timeout = a->workflow_run_timeout;
    job->task_timeout = a->workflow_task_timeout;
    job->attempt = a->attempt;
    job->cron_schedule = a->cron_schedule;
    job->retry_policy = a->retry_policy;
    if (a->memo != NULL) TAKE_MAP(job, memo, a->memo, fields);
    if (a->search_attributes != NULL) TAKE_MAP(job, search_attributes, a->search_attributes, indexed_fields);
    job->priority = a->priority;
    job->workflow_start_time = e->event_time;
    return ERR_NONE;
}

err workflow_signaled(struct run *run, const event_t *e)
{
    const pb_history_WorkflowExecutionSignaledEventAttributes *a = e->workflow_execution_signaled_event_attributes;
    pb_core_SignalWorkflow *job = RUN_JOB(run, JOBS_INBOUND, signal_workflow, SignalWorkflow);
    job->signal_name = a->signal_name;
    TAKE_PAYLOADS(job, input, a->input);
    if (a->header != NULL) TAKE_MAP(job, headers, a->header, fields);
    return ERR_NONE;
}

err workflow_cancel_requested(struct run *run, const event_t *e)
{
    RUN_JOB(run, JOBS_OTHER, cancel_workflow, CancelWorkflow)->reason =
        e->workflow_execution_cancel_requested_event_attributes->cause;
    return ERR_NONE;
}

err workflow_end_matched(struct run *run, struct outgoing *out UNUSED, const event_t *e UNUSED)
{
    run->is_closed_in_history = true;
    return ERR_NONE;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

err workflow_end(struct run *run, const pb_core_Command *c)
{
    static const struct { int32_t tag; enum outgoing_kind kind; } ends[] = {
        {pb_core_Command_complete_workflow_tag, OUT_COMPLETE}, {pb_core_Command_fail_workflow_tag, OUT_FAIL},
        {pb_core_Command_cancel_workflow_execution_tag, OUT_CANCEL}, {pb_core_Command_continue_as_new_tag, OUT_CONTINUE_AS_NEW}};
    for (size_t i = 0; i < countof(ends); i++)
        if (ends[i].tag == c->variant_case) run_push(run, ends[i].kind, NULL, c);
    run->is_closing = true;
    run->close_kind = c->variant_case;
    return ERR_NONE;
}

err query_respond(struct run *run, const pb_core_Command *c)
{
    if (!run->is_query_out)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "respond_query answers a query that was not asked");
    PB_PUSH(&run->task_arena, run, query_results) = c->respond_query;
    return ERR_NONE;
}

void workflow_note_attribute(struct run *run, struct str name, const pb_common_Payload *value)
{
    struct str *kept = arena_new(&run->arena, struct str);
    *kept = PB_ENCODE_ARENA(pb_common_Payload, value, &run->arena);
    map_put(&run->search_attributes, name, kept);
}

static bool payload_is_null(const pb_common_Payload *p)
{
    for (size_t i = 0; i < p->metadata_count; i++)
        if (str_equal_c(p->metadata[i]->key, "encoding")) return str_equal_c(p->metadata[i]->value, "binary/null");
    return false;
}

err workflow_upsert(struct run *run, const pb_core_Command *c)
{
    const pb_core_UpsertSearchAttributes *u = c->upsert_search_attributes;
    run_push(run, OUT_UPSERT, NULL, c);
    for (size_t i = 0; i < u->search_attributes_count; i++) {
        const pb_core_UpsertSearchAttributes_SearchAttributesEntry *f = u->search_attributes[i];
        if (f->value == NULL || payload_is_null(f->value)) map_remove(&run->search_attributes, f->key);
        else workflow_note_attribute(run, f->key, f->value);
    }
    return ERR_NONE;
}

err workflow_modify(struct run *run, const pb_core_Command *c)
{
    run_push(run, OUT_PROPERTIES, NULL, c);
    return ERR_NONE;
}

/* ---- for the server -------------------------------------------------------------------------------------------- */

static pb_common_SearchAttributes *workflow_attributes(struct run *run, struct arena *arena)
{
    if (map_count(&run->search_attributes) == 0) return NULL;
    pb_common_SearchAttributes *s = pb_new(arena, pb_common_SearchAttributes);
    struct str name;
    const struct str *bytes;
    for (size_t at = 0; (bytes = map_next(&run->search_attributes, &at, &name)) != NULL;) {
        pb_common_SearchAttributes_IndexedFieldsEntry *f = PB_PUSH_NEW(arena, s, indexed_fields);
        f->key = name;
        err e = PB_DECODE_ALIAS(arena, *bytes, pb_common_Payload, &f->value);
        ensure(e == ERR_NONE); /* we encoded it */
    }
    return s;
}

/* What the SDK leaves out goes on as it is. */
static void continue_as_new_build(struct run *run, const pb_core_ContinueAsNew *n, struct arena *arena, pb_command_Command *c)
{
    pb_command_ContinueAsNewWorkflowExecutionCommandAttributes *a = c->continue_as_new_workflow_execution_command_attributes =
        pb_new(arena, pb_command_ContinueAsNewWorkflowExecutionCommandAttributes);
    a->workflow_type = pb_new(arena, pb_common_WorkflowType);
    a->workflow_type->name = str_is_empty(n->workflow_type) ? run->workflow_type : n->workflow_type;
    a->task_queue = pb_new(arena, pb_taskqueue_TaskQueue);
    a->task_queue->name = str_is_empty(n->task_queue) ? run->task_queue : n->task_queue;
    a->task_queue->kind = TASK_QUEUE_KIND_NORMAL;
    a->input = payloads_of(arena, n->arguments, n->arguments_count);
    a->workflow_run_timeout = n->run_timeout;
    a->workflow_task_timeout = n->task_timeout;
    a->backoff_start_interval = n->backoff_start_interval;
    a->retry_policy = n->retry_policy != NULL ? n->retry_policy : run->started->retry_policy;
    if (n->headers_count != 0) {
        a->header = pb_new(arena, pb_common_Header);
        TAKE_MAP(a->header, fields, n, headers);
    }
    if (n->has_memo && n->memo_count != 0) {
        a->memo = pb_new(arena, pb_common_Memo);
        TAKE_MAP(a->memo, fields, n, memo);
    } else {
        a->memo = run->started->memo;
    }
    if (n->has_search_attributes && n->search_attributes_count != 0) {
        a->search_attributes = pb_new(arena, pb_common_SearchAttributes);
        TAKE_MAP(a->search_attributes, indexed_fields, n, search_attributes);
    } else {
        a->search_attributes = workflow_attributes(run, arena);
    }
    a->inherit_build_id = n->versioning_intent == VERSIONING_INTENT_COMPATIBLE ||
                          (n->versioning_intent == VERSIONING_INTENT_UNSPECIFIED && str_equal(a->task_queue->name, run->task_queue));
    a->initial_versioning_behavior = n->initial_versioning_behavior;
}

void workflow_build(struct run *run, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    const pb_core_Command *from = out->from;
    switch (out->kind) {
    case OUT_COMPLETE:
        c->complete_workflow_execution_command_attributes = pb_new(arena, pb_command_CompleteWorkflowExecutionCommandAttributes);
        c->complete_workflow_execution_command_attributes->result = payloads_one(arena, from->complete_workflow->result);
        break;
    case OUT_FAIL:
        c->fail_workflow_execution_command_attributes = pb_new(arena, pb_command_FailWorkflowExecutionCommandAttributes);
        c->fail_workflow_execution_command_attributes->failure = from->fail_workflow->failure;
        break;
    case OUT_CANCEL:
        c->cancel_workflow_execution_command_attributes = pb_new(arena, pb_command_CancelWorkflowExecutionCommandAttributes);
        break;
    case OUT_CONTINUE_AS_NEW:
        continue_as_new_build(run, from->continue_as_new, arena, c);
        break;
    case OUT_PROPERTIES: {
        pb_command_ModifyWorkflowPropertiesCommandAttributes *a = pb_new(arena, pb_command_ModifyWorkflowPropertiesCommandAttributes);
        c->modify_workflow_properties_command_attributes = a;
        a->upserted_memo = pb_new(arena, pb_common_Memo);
        TAKE_MAP(a->upserted_memo, fields, from->modify_properties, memo);
        break;
    }
    default:
        c->upsert_workflow_search_attributes_command_attributes =
            pb_new(arena, pb_command_UpsertWorkflowSearchAttributesCommandAttributes);
        c->upsert_workflow_search_attributes_command_attributes->search_attributes = pb_new(arena, pb_common_SearchAttributes);
        TAKE_MAP(c->upsert_workflow_search_attributes_command_attributes->search_attributes, indexed_fields,
                 from->upsert_search_attributes, search_attributes);
        break;
    }
}
