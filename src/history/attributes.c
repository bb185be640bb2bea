/* history/attributes.c: markers, and what a run says of itself: memo and search attributes. Source: F038, F042, F044. */
#include "history/machines.h"

/* ---- markers ---- */

bool marker_check(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_RECORD_MARKER_ATTRIBUTES };
    const pb_command_RecordMarkerCommandAttributes *a = command->record_marker_command_attributes;
    if (str_is_empty(a->marker_name)) return completion_refuse(c, BAD, "a marker has no name");
    if (a->marker_name.size > (size_t)c->step->limits->id_length_max) return completion_refuse(c, BAD, "the name of a marker is too long");
    size_t size = failure_size(a->failure);
    for (size_t i = 0; i < a->details_count; i++) size += a->details[i]->key.size + payloads_size(a->details[i]->value);
    return completion_refuse_size(c, BAD, "a marker", size, c->step->limits->blob_size_max);
}

void marker_record(struct completion *c, const pb_command_Command *command)
{
    const pb_command_RecordMarkerCommandAttributes *from = command->record_marker_command_attributes;
    event *ev = event_new(c->step, EVENT_TYPE_MARKER_RECORDED);
    pb_history_MarkerRecordedEventAttributes *a = EVENT_SET(c->step, ev, marker_recorded_event_attributes);
    ev->user_metadata = command->user_metadata;
    ev->event_group_markers = command->event_group_markers;
    ev->event_group_markers_count = command->event_group_markers_count;
    a->marker_name = from->marker_name;
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->header = from->header;
    a->failure = from->failure;
    PB_SET_ARRAY(a, details, pb_array(c->step->arena, pb_history_MarkerRecordedEventAttributes_DetailsEntry *, from->details_count), from->details_count);
    for (size_t i = 0; i < from->details_count; i++) {
        a->details[i] = pb_new(c->step->arena, pb_history_MarkerRecordedEventAttributes_DetailsEntry);
        a->details[i]->key = from->details[i]->key;
        a->details[i]->value = from->details[i]->value;
    }
    event_add(c->e, c->step, ev);
}

/* ---- search attributes ---- */

/* The row that holds both, made when it is missing. */
static pb_store_Attributes *attributes(struct execution *e, struct item **item)
{
    *item = e->single[ITEM_ATTRIBUTES];
    if (*item == NULL) *item = item_new(e, ITEM_ATTRIBUTES, 0, STR_EMPTY);
    item_changed(*item);
    return (*item)->attributes;
}

/* A null payload takes the key away. */
static bool is_null(const pb_common_Payload *p)
{
    if (p == NULL) return true;
    for (size_t i = 0; i < p->metadata_count; i++) {
        if (!str_equal_c(p->metadata[i]->key, "encoding")) continue;
        if (str_equal_c(p->metadata[i]->value, "binary/null")) return true;
        return str_equal_c(p->metadata[i]->value, "json/plain") && (str_equal_c(p->data, "null") || str_equal_c(p->data, "[]"));
    }
    return false;
}

static size_t attributes_size(const pb_common_SearchAttributes *a) { return a != NULL ? PB_SIZE(pb_common_SearchAttributes, a) : 0; }

bool attributes_check_upsert(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES };
    const pb_common_SearchAttributes *a = command->upsert_workflow_search_attributes_command_attributes->search_attributes;
    const struct limits *limits = c->step->limits;
    struct str why = STR_EMPTY;
    if (a == NULL || a->indexed_fields_count == 0) return completion_refuse(c, BAD, "no search attributes are given");
    if ((int64_t)a->indexed_fields_count > limits->search_attributes_count_max) return completion_refuse(c, BAD, "too many search attributes");
    if (c->step->check_search_attributes != NULL && !c->step->check_search_attributes(c->step->find_argument, c->step->ns, a, c->step->arena, &why))
        return completion_refuse(c, BAD, "%.*s", STR_ARG(why));
    for (size_t i = 0; i < a->indexed_fields_count; i++) {
        const pb_common_Payload *p = a->indexed_fields[i]->value;
        if (!completion_refuse_size(c, BAD, "a search attribute", p != NULL ? p->data.size : 0, limits->search_attribute_size_max)) return false;
    }
    const struct item *item = c->e->single[ITEM_ATTRIBUTES];
    size_t size = attributes_size(a) + attributes_size(item != NULL ? item->attributes->search_attributes : NULL);
    return completion_refuse_size(c, BAD, "the search attributes", size, limits->search_attributes_size_max);
}

void attributes_set_search(struct execution *e, const pb_common_SearchAttributes *from)
{
    struct item *item;
    pb_store_Attributes *a = attributes(e, &item);
    if (a->search_attributes == NULL) a->search_attributes = pb_new(&item->arena, pb_common_SearchAttributes);
    pb_common_SearchAttributes *to = a->search_attributes;
    for (size_t i = 0; i < from->indexed_fields_count; i++) {
        const pb_common_SearchAttributes_IndexedFieldsEntry *field = from->indexed_fields[i];
        size_t at = 0;
        while (at < to->indexed_fields_count && !str_equal(to->indexed_fields[at]->key, field->key)) at++;
        bool is_there = at < to->indexed_fields_count;
        if (is_null(field->value)) {
            if (is_there) to->indexed_fields[at] = to->indexed_fields[--to->indexed_fields_count];
            continue;
        }
        if (!is_there) PB_PUSH_NEW(&item->arena, to, indexed_fields)->key = item_str(item, field->key);
        to->indexed_fields[at]->value = PB_CLONE(&item->arena, pb_common_Payload, field->value);
    }
    e->is_visibility_dirty = true;
}

void attributes_upsert(struct completion *c, const pb_command_Command *command)
{
    pb_common_SearchAttributes *from = command->upsert_workflow_search_attributes_command_attributes->search_attributes;
    event *ev = event_new(c->step, EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES);
    pb_history_UpsertWorkflowSearchAttributesEventAttributes *a = EVENT_SET(c->step, ev, upsert_workflow_search_attributes_event_attributes);
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->search_attributes = from;
    event_add(c->e, c->step, ev);
    attributes_set_search(c->e, from);
}

/* ---- reported problems: shown while workflow tasks fail in a row (F029) ---- */

static pb_common_SearchAttributes *problem_attribute(struct arena *arena, struct str value)
{
    pb_common_SearchAttributes *s = pb_new(arena, pb_common_SearchAttributes);
    pb_common_SearchAttributes_IndexedFieldsEntry *field = PB_PUSH_NEW(arena, s, indexed_fields);
    field->key = STR("TemporalReportedProblems");
    field->value = pb_new(arena, pb_common_Payload);
    static const char *const metadata[][2] = {{"encoding", "json/plain"}, {"type", "KeywordList"}};
    for (size_t i = 0; i < countof(metadata); i++) {
        pb_common_Payload_MetadataEntry *m = PB_PUSH_NEW(arena, field->value, metadata);
        m->key = str_of(metadata[i][0]);
        m->value = str_of(metadata[i][1]);
    }
    field->value->data = value;
    return s;
}

void attributes_show_problem(struct execution *e, struct step *step, int32_t failed_cause)
{
    const pb_store_WorkflowTask *t = e->s->task;
    int64_t from = step->limits->problems_shown_from;
    if (e->s->shows_problems || from <= 0 || t->attempts_in_a_row < from) return;
    struct str cause = pb_enum_short_name(&pb_enums_WorkflowTaskFailedCause_enum, failed_cause, step->arena);
    struct str value = failed_cause != 0 ? arena_printf(step->arena, "[\"category=WorkflowTaskFailed\",\"cause=WorkflowTaskFailedCause%.*s\"]", STR_ARG(cause))
                                         : STR("[\"category=WorkflowTaskTimedOut\",\"cause=WorkflowTaskTimedOutCauseStartToClose\"]");
    attributes_set_search(e, problem_attribute(step->arena, value));
    e->s->shows_problems = true;
}

void attributes_hide_problem(struct execution *e, struct step *step)
{
    if (!e->s->shows_problems) return;
    attributes_set_search(e, problem_attribute(step->arena, STR("[]")));
    e->s->shows_problems = false;
}

/* ---- memo ---- */

static size_t memo_size(const pb_common_Memo *memo) { return memo != NULL ? PB_SIZE(pb_common_Memo, memo) : 0; }

bool attributes_check_memo(struct completion *c, const pb_command_Command *command)
{
    enum { BAD = WORKFLOW_TASK_FAILED_CAUSE_BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES };
    const pb_common_Memo *memo = command->modify_workflow_properties_command_attributes->upserted_memo;
    if (memo == NULL || memo->fields_count == 0) return completion_refuse(c, BAD, "no memo is given");
    const struct item *item = c->e->single[ITEM_ATTRIBUTES];
    size_t size = memo_size(memo) + memo_size(item != NULL ? item->attributes->memo : NULL);
    return completion_refuse_size(c, BAD, "the memo", size, c->step->limits->memo_size_max);
}

void attributes_set_memo(struct execution *e, const pb_common_Memo *from)
{
    struct item *item;
    pb_store_Attributes *a = attributes(e, &item);
    if (a->memo == NULL) a->memo = pb_new(&item->arena, pb_common_Memo);
    for (size_t i = 0; i < from->fields_count; i++) {
        const pb_common_Memo_FieldsEntry *field = from->fields[i];
        size_t at = 0;
        while (at < a->memo->fields_count && !str_equal(a->memo->fields[at]->key, field->key)) at++;
        bool is_there = at < a->memo->fields_count;
        if (is_null(field->value)) {
            if (is_there) a->memo->fields[at] = a->memo->fields[--a->memo->fields_count];
            continue;
        }
        if (!is_there) PB_PUSH_NEW(&item->arena, a->memo, fields)->key = item_str(item, field->key);
        a->memo->fields[at]->value = PB_CLONE(&item->arena, pb_common_Payload, field->value);
    }
    e->is_visibility_dirty = true;
}

void attributes_modify_memo(struct completion *c, const pb_command_Command *command)
{
    pb_common_Memo *from = command->modify_workflow_properties_command_attributes->upserted_memo;
    event *ev = event_new(c->step, EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED);
    pb_history_WorkflowPropertiesModifiedEventAttributes *a = EVENT_SET(c->step, ev, workflow_properties_modified_event_attributes);
    a->workflow_task_completed_event_id = c->completed_event_id;
    a->upserted_memo = from;
    event_add(c->e, c->step, ev);
    attributes_set_memo(c->e, from);
}

/* ---- nexus operations ---- */

bool nexus_check(struct completion *c, const pb_command_Command *command)
{
    if (command->command_type == COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION)
        return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_NEXUS_OPERATION_ATTRIBUTES, "there is no nexus endpoint %.*s",
                                 STR_ARG(command->schedule_nexus_operation_command_attributes->endpoint));
    return completion_refuse(c, WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_NEXUS_OPERATION_ATTRIBUTES, "no nexus operation is pending");
}
