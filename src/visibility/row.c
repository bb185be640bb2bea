#include "visibility/match.h"

int64_t visibility_row_start(const pb_store_VisibilityRow *row) { return pb_instant(row->start_time).ns; }

int64_t visibility_row_close(const pb_store_VisibilityRow *row)
{
    return row->close_time != NULL ? pb_instant(row->close_time).ns : INT64_MAX;
}

static struct attribute_values one(struct attribute_value value, bool is_present, struct arena *arena)
{
    if (!is_present) return (struct attribute_values){0};
    struct attribute_value *copy = arena_new(arena, struct attribute_value);
    *copy = value;
    return (struct attribute_values){copy, 1, true};
}

static struct attribute_values text_of(struct str text, struct arena *arena)
{
    return one((struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = text}, !str_is_empty(text), arena);
}

static struct attribute_values number_of(int64_t number, bool is_present, struct arena *arena)
{
    return one((struct attribute_value){.type = ATTRIBUTE_INT, .number = number}, is_present, arena);
}

static struct attribute_values time_of(const pb_google_Timestamp *time, struct arena *arena)
{
    return one((struct attribute_value){.type = ATTRIBUTE_DATETIME, .number = pb_instant(time).ns}, time != NULL, arena);
}

static struct attribute_values payload_of(const pb_store_VisibilityRow *row, const struct attribute *attribute, struct arena *arena)
{
    struct attribute_values values = {0};
    if (row->search_attributes == NULL) return values;
    for (size_t i = 0; i < row->search_attributes->indexed_fields_count; i++) {
        const pb_common_SearchAttributes_IndexedFieldsEntry *entry = row->search_attributes->indexed_fields[i];
        if (!str_equal(entry->key, attribute->name)) continue;
        if (attribute_decode(entry->value, attribute->type, arena, &values, NULL) != ERR_NONE) values = (struct attribute_values){0};
        return values;
    }
    return values;
}

struct attribute_values visibility_row_values(const pb_store_VisibilityRow *row, const struct attribute *attribute, struct arena *arena)
{
    bool is_closed = row->close_time != NULL, is_own_root = str_is_empty(row->root_workflow_id);
    switch (attribute->field) {
    case FIELD_WORKFLOW_ID: return text_of(row->workflow_id, arena);
    case FIELD_RUN_ID: return text_of(row->run_id, arena);
    case FIELD_WORKFLOW_TYPE: return text_of(row->workflow_type, arena);
    case FIELD_TASK_QUEUE: return text_of(row->task_queue, arena);
    case FIELD_STATUS: return number_of(row->status, true, arena);
    case FIELD_START_TIME: return time_of(row->start_time, arena);
    case FIELD_EXECUTION_TIME: return time_of(row->execution_time, arena);
    case FIELD_CLOSE_TIME: return time_of(row->close_time, arena);
    case FIELD_EXECUTION_DURATION:
        return number_of(pb_duration(row->execution_duration).ns, is_closed && row->execution_duration != NULL, arena);
    case FIELD_HISTORY_LENGTH: return number_of(row->history_length, is_closed, arena);
    case FIELD_HISTORY_SIZE: return number_of(row->history_size, is_closed, arena);
    case FIELD_STATE_TRANSITIONS: return number_of(row->state_transition_count, is_closed, arena);
    case FIELD_PARENT_WORKFLOW_ID: return text_of(row->parent_workflow_id, arena);
    case FIELD_PARENT_RUN_ID: return text_of(row->parent_run_id, arena);
    case FIELD_ROOT_WORKFLOW_ID: return text_of(is_own_root ? row->workflow_id : row->root_workflow_id, arena);
    case FIELD_ROOT_RUN_ID: return text_of(is_own_root ? row->run_id : row->root_run_id, arena);
    case FIELD_DIVISION: return text_of(row->namespace_division, arena);
    case FIELD_ATTRIBUTE:
    case FIELD_COUNT: break;
    }
    return payload_of(row, attribute, arena);
}
