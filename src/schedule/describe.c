/* What is shown of a schedule, and the request that starts its workflow. */
#include "schedule/schedule.h"

enum { FUTURE_MAX = 10, LIST_TIMES = 5, LIST_ENTRIES = 10 };

struct str schedule_token(const pb_store_ScheduleEntity *s, struct arena *arena)
{
    char *token = arena_alloc(arena, 8);
    for (int i = 0; i < 8; i++) token[i] = (char)((uint64_t)s->conflict_token >> (56 - 8 * i));
    return (struct str){token, 8};
}

static size_t future_count(const pb_store_ScheduleEntity *s, size_t most)
{
    const pb_schedule_ScheduleState *state = s->schedule->state;
    return state->limited_actions && state->remaining_actions < (int64_t)most ? (size_t)state->remaining_actions : most;
}

pb_schedule_ScheduleInfo *schedule_info(const pb_store_ScheduleEntity *s, const struct spec *spec, instant now, struct arena *arena)
{
    pb_schedule_ScheduleInfo *info = pb_new(arena, pb_schedule_ScheduleInfo);
    *info = *s->info;
    info->buffer_size = (int64_t)s->buffer_count;
    for (size_t i = 0; i < s->running_count; i++) {
        pb_common_WorkflowExecution *e = PB_PUSH_NEW(arena, info, running_workflows);
        e->workflow_id = s->running[i]->workflow_id;
        e->run_id = s->running[i]->run_id;
    }
    instant t = now;
    for (size_t n = future_count(s, FUTURE_MAX); n > 0; n--) {
        t = spec_next(spec, t).at;
        if (t.ns == INSTANT_NEVER.ns) break;
        PB_PUSH(arena, info, future_action_times) = pb_timestamp_new(arena, t);
    }
    info->state_size_bytes = (int64_t)PB_SIZE(pb_store_ScheduleEntity, s);
    return info;
}

pb_schedule_ScheduleListInfo *schedule_list_info(const pb_store_ScheduleEntity *s, const struct spec *spec, instant now, struct arena *arena)
{
    pb_schedule_ScheduleListInfo *list = pb_new(arena, pb_schedule_ScheduleListInfo);
    list->spec = pb_new(arena, pb_schedule_ScheduleSpec);
    *list->spec = *s->schedule->spec;
    list->spec->timezone_data = STR_EMPTY;
    list->spec->structured_calendar_count = size_min(list->spec->structured_calendar_count, LIST_ENTRIES);
    list->spec->interval_count = size_min(list->spec->interval_count, LIST_ENTRIES);
    list->spec->exclude_structured_calendar_count = size_min(list->spec->exclude_structured_calendar_count, LIST_ENTRIES);
    list->workflow_type = s->schedule->action->start_workflow->workflow_type;
    list->notes = s->schedule->state->notes;
    list->paused = s->schedule->state->paused;
    size_t recent = size_min(s->info->recent_actions_count, LIST_TIMES);
    PB_SET_ARRAY(list, recent_actions, s->info->recent_actions + s->info->recent_actions_count - recent, recent);
    instant t = now;
    for (size_t n = future_count(s, LIST_TIMES); n > 0; n--) {
        t = spec_next(spec, t).at;
        if (t.ns == INSTANT_NEVER.ns) break;
        PB_PUSH(arena, list, future_action_times) = pb_timestamp_new(arena, t);
    }
    list->state_size_bytes = (int64_t)PB_SIZE(pb_store_ScheduleEntity, s);
    return list;
}

pb_google_Timestamp **schedule_matching(const struct spec *spec, instant start, instant end, struct arena *arena, size_t *count)
{
    pb_google_Timestamp **times = arena_array(arena, pb_google_Timestamp *, SCHEDULE_MATCHING_MAX);
    *count = 0;
    for (instant t = start; *count < SCHEDULE_MATCHING_MAX;) {
        t = spec_next(spec, t).at;
        if (t.ns == INSTANT_NEVER.ns || t.ns > end.ns) break;
        times[(*count)++] = pb_timestamp_new(arena, t);
    }
    return times;
}

/* ---- starting ---- */

static void add_attribute(pb_common_SearchAttributes *to, struct str name, struct str json, const char *type, struct arena *arena)
{
    pb_common_SearchAttributes_IndexedFieldsEntry *entry = PB_PUSH_NEW(arena, to, indexed_fields);
    entry->key = name;
    entry->value = pb_payload_new(arena, STR("json/plain"), json);
    pb_common_Payload_MetadataEntry *metadata = PB_PUSH_NEW(arena, entry->value, metadata);
    metadata->key = STR("type");
    metadata->value = str_of(type);
}

/* A JSON string of any text. */
static struct str quoted(struct str text, struct arena *arena)
{
    struct buf out = {0};
    buf_append_byte(&out, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c == '"' || c == '\\') buf_printf(&out, "\\%c", c);
        else if (c < 0x20) buf_printf(&out, "\\u%04x", c);
        else buf_append_byte(&out, c);
    }
    buf_append_byte(&out, '"');
    struct str copy = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return copy;
}

static struct str time_text(instant t, struct arena *arena)
{
    int64_t s = t.ns / NS_PER_S - (t.ns % NS_PER_S < 0), day = s >= 0 ? s / 86400 : (s - 86399) / 86400, time = s - day * 86400;
    struct civil_date d = civil_date_of(day);
    return arena_printf(arena, "\"%04d-%02d-%02dT%02d:%02d:%02dZ\"", (int)d.year, d.month, d.day, (int)(time / 3600), (int)(time % 3600 / 60), (int)(time % 60));
}

pb_ws_StartWorkflowExecutionRequest *schedule_start_request(const pb_store_ScheduleEntity *s, const pb_store_ScheduleStart *start, struct str namespace_name,
                                                            struct arena *arena)
{
    const pb_workflow_NewWorkflowExecutionInfo *info = s->schedule->action->start_workflow;
    pb_ws_StartWorkflowExecutionRequest *q = pb_new(arena, pb_ws_StartWorkflowExecutionRequest);
    q->namespace = namespace_name;
    q->workflow_id = start->workflow_id;
    q->request_id = start->request_id;
    q->identity = arena_printf(arena, "schedule %.*s", STR_ARG(s->schedule_id));
    q->workflow_type = info->workflow_type;
    q->task_queue = info->task_queue;
    q->input = info->input;
    q->workflow_execution_timeout = info->workflow_execution_timeout;
    q->workflow_run_timeout = info->workflow_run_timeout;
    q->workflow_task_timeout = info->workflow_task_timeout;
    q->workflow_id_reuse_policy = WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    q->workflow_id_conflict_policy = WORKFLOW_ID_CONFLICT_POLICY_FAIL;
    q->retry_policy = info->retry_policy;
    q->memo = info->memo;
    q->header = info->header;
    q->user_metadata = info->user_metadata;
    q->versioning_override = info->versioning_override;
    q->priority = info->priority;
    q->last_completion_result = s->last_result;
    q->continued_failure = s->last_failure;
    q->search_attributes = pb_new(arena, pb_common_SearchAttributes);
    for (size_t i = 0; info->search_attributes != NULL && i < info->search_attributes->indexed_fields_count; i++)
        PB_PUSH(arena, q->search_attributes, indexed_fields) = info->search_attributes->indexed_fields[i];
    add_attribute(q->search_attributes, STR("TemporalScheduledStartTime"), time_text(pb_instant(start->nominal), arena), "Datetime", arena);
    add_attribute(q->search_attributes, STR("TemporalScheduledById"), quoted(s->schedule_id, arena), "Keyword", arena);
    return q;
}
