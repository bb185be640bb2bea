/* history/control.c: what operators do to a run: pause and unpause, other options. Source: F016, F017, F058, F059. */
#include "history/machines.h"

/* ---- pause ---- */

static bool is_repeated(const struct execution *e, struct str request_id, int32_t type)
{
    const struct item *item = request_id.size != 0 ? item_by_name(e, ITEM_REQUEST_ID, request_id) : NULL;
    return item != NULL && item->request_id->event_type == type;
}

static void note_request(struct execution *e, struct str request_id, int32_t type, int64_t event_id)
{
    if (request_id.size == 0 || item_by_name(e, ITEM_REQUEST_ID, request_id) != NULL) return;
    struct item *item = item_new(e, ITEM_REQUEST_ID, 0, request_id);
    item->request_id->event_type = type;
    item->request_id->event_id = event_id > 0 ? event_id : 0;
}

err execution_pause(struct execution *e, struct step *step, const pb_ws_PauseWorkflowExecutionRequest *r)
{
    if (step->limits->workflow_pause_enabled == 0) return FAIL(step, ERR_UNIMPLEMENTED, "pausing workflows is switched off");
    if (!execution_is_open(e)) return fail_closed(step, e);
    if (is_repeated(e, r->request_id, EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED)) return ERR_NONE;
    if (e->s->status == WORKFLOW_EXECUTION_STATUS_PAUSED) return FAIL(step, ERR_PRECONDITION, "the workflow is paused already");
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED);
    pb_history_WorkflowExecutionPausedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_paused_event_attributes);
    a->identity = r->identity;
    a->reason = r->reason;
    a->request_id = r->request_id;
    execution_changed(e, step);
    note_request(e, r->request_id, ev->event_type, event_add(e, step, ev));
    e->s->status = WORKFLOW_EXECUTION_STATUS_PAUSED;
    e->s->pause = pb_new(&e->arena, pb_workflow_WorkflowExecutionPauseInfo);
    e->s->pause->identity = core_str(e, r->identity);
    e->s->pause->reason = core_str(e, r->reason);
    e->s->pause->paused_time = timestamp_of(&e->arena, step->now);
    e->is_visibility_dirty = true;
    execution_settle(e, step);
    return ERR_NONE;
}

err execution_unpause(struct execution *e, struct step *step, const pb_ws_UnpauseWorkflowExecutionRequest *r)
{
    struct item *item;
    if (!execution_is_open(e)) return fail_closed(step, e);
    if (is_repeated(e, r->request_id, EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED)) return ERR_NONE;
    if (e->s->status != WORKFLOW_EXECUTION_STATUS_PAUSED) return FAIL(step, ERR_PRECONDITION, "the workflow is not paused");
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED);
    pb_history_WorkflowExecutionUnpausedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_unpaused_event_attributes);
    a->identity = r->identity;
    a->reason = r->reason;
    a->request_id = r->request_id;
    execution_changed(e, step);
    e->s->status = WORKFLOW_EXECUTION_STATUS_RUNNING;
    note_request(e, r->request_id, ev->event_type, event_add(e, step, ev));
    e->s->pause = NULL;
    e->is_visibility_dirty = true;
    if (task_is(e, WORKFLOW_TASK_STATE_SCHEDULED)) workflow_task_offer(e, step); /* what pollers were refused in the meantime */
    for (size_t at = 0; (item = item_next(e, ITEM_ACTIVITY, &at)) != NULL;)
        if (item->activity->state == ACTIVITY_STATE_SCHEDULED) activity_offer(item, step);
    workflow_task_want(e, step);
    execution_settle(e, step);
    return ERR_NONE;
}

/* ---- options ---- */

static void describe_options(const struct execution *e, struct step *step, pb_ws_UpdateWorkflowExecutionOptionsResponse *reply)
{
    pb_workflow_WorkflowExecutionOptions *o = reply->workflow_execution_options = pb_new(step->arena, pb_workflow_WorkflowExecutionOptions);
    if (e->s->versioning_override != NULL) o->versioning_override = PB_CLONE(step->arena, pb_workflow_VersioningOverride, e->s->versioning_override);
    if (e->s->priority != NULL) o->priority = PB_CLONE(step->arena, pb_common_Priority, e->s->priority);
    reply->update_time = timestamp_of(step->arena, step->now);
}

static bool priority_path(struct str path, const char *snake, const char *camel) { return str_equal_c(path, snake) || str_equal_c(path, camel); }

err control_check_options(struct step *step, const pb_workflow_WorkflowExecutionOptions *o, const pb_google_FieldMask *mask)
{
    static const char *const paths[] = {"versioning_override", "versioningOverride", "priority", "priority.priority_key", "priority.priorityKey",
                                        "priority.fairness_key", "priority.fairnessKey", "priority.fairness_weight", "priority.fairnessWeight"};
    if (o == NULL || mask == NULL || mask->paths_count == 0) return FAIL(step, ERR_INVALID, "options and an update mask are needed");
    for (size_t i = 0; i < mask->paths_count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < countof(paths); k++) is_known |= str_equal_c(mask->paths[i], paths[k]);
        if (!is_known) return FAIL(step, ERR_INVALID, "the update mask names a field that can not be changed: %.*s", STR_ARG(mask->paths[i]));
    }
    if (o->priority != NULL && o->priority->priority_key < 0) return FAIL(step, ERR_INVALID, "the priority is negative");
    return ERR_NONE;
}

err execution_update_options(struct execution *e, struct step *step, const pb_ws_UpdateWorkflowExecutionOptionsRequest *r,
                             pb_ws_UpdateWorkflowExecutionOptionsResponse *reply)
{
    const pb_workflow_WorkflowExecutionOptions *o = r->workflow_execution_options;
    bool has_override = false, has_priority = false;
    if (!execution_is_open(e)) return fail_closed(step, e);
    TRY(control_check_options(step, o, r->update_mask));
    pb_common_Priority none = {0}, *priority = pb_new(step->arena, pb_common_Priority);
    const pb_common_Priority *from = o->priority != NULL ? o->priority : &none;
    if (e->s->priority != NULL) *priority = *e->s->priority;
    for (size_t i = 0; i < r->update_mask->paths_count; i++) {
        struct str path = r->update_mask->paths[i];
        if (priority_path(path, "versioning_override", "versioningOverride")) has_override = true;
        else if (priority_path(path, "priority", "priority")) *priority = *from, has_priority = true;
        else if (priority_path(path, "priority.priority_key", "priority.priorityKey")) priority->priority_key = from->priority_key, has_priority = true;
        else if (priority_path(path, "priority.fairness_key", "priority.fairnessKey")) priority->fairness_key = from->fairness_key, has_priority = true;
        else if (priority_path(path, "priority.fairness_weight", "priority.fairnessWeight")) priority->fairness_weight = from->fairness_weight, has_priority = true;
    }
    if (!has_priority && o->versioning_override == NULL && e->s->versioning_override == NULL) { /* nothing changes */
        describe_options(e, step, reply);
        return ERR_NONE;
    }
    event *ev = event_new(step, EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED);
    pb_history_WorkflowExecutionOptionsUpdatedEventAttributes *a = EVENT_SET(step, ev, workflow_execution_options_updated_event_attributes);
    a->identity = r->identity;
    if (has_override) {
        a->versioning_override = o->versioning_override;
        a->unset_versioning_override = o->versioning_override == NULL;
        e->s->versioning_override = o->versioning_override != NULL ? PB_CLONE(&e->arena, pb_workflow_VersioningOverride, o->versioning_override) : NULL;
    }
    if (has_priority) {
        a->priority = priority;
        e->s->priority = PB_CLONE(&e->arena, pb_common_Priority, priority);
    }
    execution_changed(e, step);
    event_add(e, step, ev);
    execution_settle(e, step);
    describe_options(e, step, reply);
    return ERR_NONE;
}
