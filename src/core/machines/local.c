/* Local activities: executed by this worker inside the workflow task; history sees a marker per result.
 *
 *   marker "core_local_activity"
 *     details "data"   = {"seq":1,"attempt":1,"activity_id":"1","activity_type":"…","complete_time":{"seconds":…,"nanos":…},
 *                         "backoff":null,"original_schedule_time":{…},"activation_index":1}
 *     details "result" = the payload, when it completed; `failure` of the event, when it did not
 *
 * activation_index counts the activations of the workflow task: 0 is the one that starts it. Replay hands over the result
 * with the activation of that number, so that code sees results in the company it saw them in first. Older markers have
 * no index: their results come as soon as they can.
 * The workflow's clock moves to complete_time, which is counted from the start of the workflow task.
 * Source: histories of the official SDKs (testdata local_*). */
#include "core/run_state.h"
#include "core/marker.h"

#include <stdlib.h>

/* A result of this worker, waiting for its turn. */
struct local_outcome {
    struct list link;
    struct arena arena;
    struct run_local_result result;
    instant arrived_at;
};
/* What a marker says besides result and failure. */
struct marker_data {
    uint32_t attempt, activation_index;
    instant complete_time, original_schedule_time;
    duration backoff;
    const struct pb_common_Payload *result;
    const struct pb_failure_Failure *failure;
    struct pb_sdk_UserMetadata *user_metadata;
};

void local_free(struct local *local)
{
    list_remove(&local->link);
    free(local->bytes);
    buf_fini(&local->metadata);
    free(local);
}

void local_results_fini(struct run *run)
{
    struct list *link;
    while ((link = list_pop(&run->local_results)) != NULL) {
        struct local_outcome *o = container_of(link, struct local_outcome, link);
        arena_fini(&o->arena);
        free(o);
    }
}

err local_schedule(struct run *run, const pb_core_Command *c)
{
    const pb_core_ScheduleLocalActivity *s = c->schedule_local_activity;
    if (s->seq == 0 || machine_get(run, MACHINE_ACTIVITY, s->seq) != NULL || machine_get(run, MACHINE_LOCAL, s->seq) != NULL)
        return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "schedule_local_activity gives seq %u a second time", s->seq);
    struct str id = str_is_empty(s->activity_id) ? seq_text(&run->scratch, s->seq) : s->activity_id;
    struct machine *m = machine_create(run, MACHINE_LOCAL, s->seq, id, s->activity_type);
    m->cancel_type = (uint8_t)s->cancellation_type;
    m->attempt = s->attempt != 0 ? s->attempt : 1;
    struct local *local = m->local = xcalloc(1, sizeof *local);
    local->machine = m;
    local->scheduled_in = run->completion_count;
    struct buf bytes = {0};
    PB_ENCODE(pb_core_ScheduleLocalActivity, s, &bytes);
    local->bytes = bytes.data;
    local->size = bytes.size;
    if (c->user_metadata != NULL) PB_ENCODE(pb_sdk_UserMetadata, c->user_metadata, &local->metadata);
    if (s->original_schedule_time != NULL)
        local->original_schedule_time = pb_instant(s->original_schedule_time);
    run->local_count++;
    return ERR_NONE;
}

/* Every way a local activity ends goes through here, live or replaying: a marker is due and the code is told. */
static void local_resolve(struct run *run, struct machine *m, int32_t outcome, const struct marker_data *data)
{
    struct marker_data *kept = arena_alloc(&run->task_arena, sizeof *kept);
    *kept = *data;
    kept->activation_index = run->activation_count;
    if (data->result != NULL) kept->result = PB_CLONE(&run->task_arena, pb_common_Payload, data->result);
    if (data->failure != NULL) kept->failure = PB_CLONE(&run->task_arena, pb_failure_Failure, data->failure);
    if (m->local->metadata.size != 0 && PB_DECODE(&run->task_arena, buf_view(&m->local->metadata), pb_sdk_UserMetadata, &kept->user_metadata) != ERR_NONE)
        kept->user_metadata = NULL;
    struct outgoing *out = run_push(run, OUT_MARKER, m, NULL);
    out->marker = MARKER_LOCAL;
    out->extra = kept;
    if (data->complete_time.ns > run->now.ns) run->now = data->complete_time;

    struct arena *a = &run->scratch;
    pb_core_ResolveActivity *job = RUN_JOB(run, JOBS_LOCAL, resolve_activity, ResolveActivity);
    job->seq = m->seq;
    job->is_local = true;
    job->outcome_case = outcome;
    pb_failure_Failure *failure = (pb_failure_Failure *)kept->failure;
    if (outcome == pb_core_ResolveActivity_completed_tag) {
        job->completed = pb_new(a, pb_core_ActivityCompleted);
        job->completed->result = (pb_common_Payload *)kept->result;
    } else if (outcome == pb_core_ResolveActivity_backoff_tag) {
        job->backoff = pb_new(a, pb_core_LocalBackoff);
        job->backoff->attempt = data->attempt + 1;
        job->backoff->backoff_duration = pb_duration_new(a, data->backoff);
        job->backoff->original_schedule_time = pb_timestamp_new(a, data->original_schedule_time);
    } else if (failure != NULL && (failure->failure_info_case == pb_failure_Failure_timeout_failure_info_tag ||
                                   failure->failure_info_case == pb_failure_Failure_canceled_failure_info_tag)) {
        bool is_timeout = failure->failure_info_case == pb_failure_Failure_timeout_failure_info_tag;
        pb_failure_Failure *f = failure_new(a, is_timeout ? "Local Activity timed out" : "Local Activity cancelled");
        f->cause = failure;
        f->failure_info_case = pb_failure_Failure_activity_failure_info_tag;
        f->activity_failure_info = pb_new(a, pb_failure_ActivityFailureInfo);
        f->activity_failure_info->activity_id = arena_str(a, m->id);
        f->activity_failure_info->activity_type = pb_new(a, pb_common_ActivityType);
        f->activity_failure_info->activity_type->name = arena_str(a, m->name);
        f->activity_failure_info->retry_state = is_timeout ? RETRY_STATE_TIMEOUT : RETRY_STATE_CANCEL_REQUESTED;
        job->failed = f;
    } else {
        job->failed = failure != NULL ? failure : failure_new(a, "Local Activity failed");
    }
    run->local_count--;
    machine_destroy(run, m);
}

static void local_resolve_cancelled(struct run *run, struct machine *m, bool has_time)
{
    struct marker_data data = {.complete_time = has_time ? run->now : (instant){0},
                               .original_schedule_time = m->local->original_schedule_time,
                               .failure = failure_cancelled(&run->scratch, "Activity cancelled", NULL)};
    local_resolve(run, m, pb_core_ResolveActivity_cancelled_tag, &data);
}

err local_request_cancel(struct run *run, const pb_core_Command *c)
{
    uint32_t seq = c->request_cancel_local_activity->seq;
    struct machine *m = machine_get(run, MACHINE_LOCAL, seq);
    if (m == NULL) return machine_missing(run, MACHINE_LOCAL, seq, "request_cancel_local_activity");
    if (m->is_cancelled) return ERR_NONE;
    m->is_cancelled = true;
    bool waits = m->cancel_type == ACTIVITY_CANCELLATION_TYPE_WAIT_CANCELLATION_COMPLETED;
    bool is_begun = m->local->scheduled_in != run->completion_count; /* by an earlier completion: it may be running */
    if (waits && is_begun) {
        if (m->local->is_taken) {
            m->local->is_cancel_wanted = true;
            list_push(&run->local_ready, &m->local->link);
        }
        return ERR_NONE;
    }
    if (m->local->is_taken && m->cancel_type == ACTIVITY_CANCELLATION_TYPE_TRY_CANCEL) {
        uint32_t *stop = pb_grow(&run->task_arena, (void **)&run->local_stops, &run->local_stop_count, &run->local_stop_capacity,
                                 sizeof *stop);
        *stop = seq;
    }
    local_resolve_cancelled(run, m, waits);
    return ERR_NONE;
}

/* ---- replaying --------------------------------------------------------------------------------------------------- */

static const pb_common_Payload *marker_detail(const event_t *e, const char *key)
{
    const pb_history_MarkerRecordedEventAttributes *a = e->marker_recorded_event_attributes;
    for (size_t i = 0; i < a->details_count; i++)
        if (str_equal_c(a->details[i]->key, key)) return first_payload(a->details[i]->value);
    return NULL;
}

err local_note_marker(struct run *run, const event_t *e)
{
    const pb_common_Payload *data = marker_detail(e, "data");
    struct seen_marker seen = {.event = e};
    if (data == NULL || !marker_uint32(&run->scratch, data->data, "seq", &seen.seq))
        return run_diverge(run, "event %" PRId64 " is the marker of a local activity, but does not say of which", e->event_id);
    seen.has_index = marker_uint32(&run->scratch, data->data, "activation_index", &seen.activation_index);
    struct seen_marker *slot = pb_grow(&run->task_arena, (void **)&run->seen, &run->seen_count, &run->seen_capacity, sizeof seen);
    *slot = seen;
    return ERR_NONE;
}

static void local_play(struct run *run, struct machine *m, const event_t *e)
{
    struct str json = marker_detail(e, "data")->data;
    struct marker_data data = {.result = marker_detail(e, "result"), .failure = e->marker_recorded_event_attributes->failure};
    int64_t backoff;
    if (!marker_uint32(&run->scratch, json, "attempt", &data.attempt)) data.attempt = 1;
    if (!marker_time(&run->scratch, json, "complete_time", &data.complete_time.ns)) data.complete_time = (instant){0};
    if (!marker_time(&run->scratch, json, "original_schedule_time", &data.original_schedule_time.ns)) data.original_schedule_time = (instant){0};
    int32_t outcome = pb_core_ResolveActivity_completed_tag;
    if (marker_time(&run->scratch, json, "backoff", &backoff)) {
        data.backoff.ns = backoff;
        outcome = pb_core_ResolveActivity_backoff_tag;
    } else if (data.failure != NULL) {
        outcome = data.failure->failure_info_case == pb_failure_Failure_canceled_failure_info_tag
            ? pb_core_ResolveActivity_cancelled_tag : pb_core_ResolveActivity_failed_tag;
    }
    local_resolve(run, m, outcome, &data);
}

/* Plays those whose turn it is; `is_forced`: at least the one that is next. */
static bool local_play_due(struct run *run, bool is_forced)
{
    bool has_played = false;
    for (size_t i = 0; i < run->seen_count; i++) {
        struct seen_marker *s = &run->seen[i];
        struct machine *m = s->event != NULL ? machine_get(run, MACHINE_LOCAL, s->seq) : NULL;
        if (m == NULL || (s->has_index && s->activation_index > run->activation_count && !is_forced)) continue;
        const event_t *e = s->event;
        s->event = NULL;
        local_play(run, m, e);
        has_played = true;
        if (is_forced) return true;
    }
    return has_played;
}

void local_play_markers(struct run *run, bool has_other_jobs)
{
    if (!local_play_due(run, false) && !has_other_jobs && local_play_due(run, true))
        reach("local activity: a marker whose activation never came by itself");
}

/* ---- live -------------------------------------------------------------------------------------------------------- */

void local_go_live(struct run *run)
{
    struct machine *m;
    for (size_t at = 0; (m = map_u64_next(&run->machines[MACHINE_LOCAL], &at, NULL)) != NULL;) {
        if (m->local->is_taken || list_is_linked(&m->local->link)) continue;
        list_push(&run->local_ready, &m->local->link);
    }
}

bool run_take_local(struct run *run, instant now, struct run_local *out)
{
    if (run->local_stop_count != 0) {
        *out = (struct run_local){.seq = run->local_stops[--run->local_stop_count], .is_cancel = true};
        return true;
    }
    struct list *link = list_pop(&run->local_ready);
    if (link == NULL) return false;
    struct local *local = container_of(link, struct local, link);
    *out = (struct run_local){.seq = local->machine->seq, .is_cancel = local->is_taken, .attempt = local->machine->attempt};
    if (local->is_taken) return true;
    local->is_taken = true;
    if (!instant_is_set(local->original_schedule_time)) local->original_schedule_time = now;
    out->original_schedule_time = local->original_schedule_time;
    pb_core_ScheduleLocalActivity *s;
    err e = PB_DECODE_ALIAS(&run->scratch, str_make(local->bytes, local->size), pb_core_ScheduleLocalActivity, &s);
    ensure(e == ERR_NONE); /* we encoded it */
    out->schedule = s;
    return true;
}

void run_resolve_local(struct run *run, const struct run_local_result *result, instant now)
{
    struct local_outcome *o = xcalloc(1, sizeof *o);
    arena_init(&o->arena, 512, 0);
    o->result = *result;
    o->arrived_at = now;
    if (result->result != NULL) o->result.result = PB_CLONE(&o->arena, pb_common_Payload, result->result);
    if (result->failure != NULL) o->result.failure = PB_CLONE(&o->arena, pb_failure_Failure, result->failure);
    list_push(&run->local_results, &o->link);
}

void run_note_local_retry(struct run *run)
{
    run->local_retries++;
}

bool run_has_local(const struct run *run)
{
    return run->local_count != 0;
}

void local_take_results(struct run *run)
{
    struct list *link;
    while ((link = list_pop(&run->local_results)) != NULL) {
        struct local_outcome *o = container_of(link, struct local_outcome, link);
        struct machine *m = machine_get(run, MACHINE_LOCAL, o->result.seq);
        if (m != NULL) {
            duration elapsed = instant_since(o->arrived_at, run->received_at);
            struct marker_data data = {.attempt = o->result.attempt, .backoff = o->result.backoff, .result = o->result.result,
                                       .failure = o->result.failure,
                                       .original_schedule_time = m->local->original_schedule_time,
                                       .complete_time = instant_add(run->task_event_time, duration_max(elapsed, (duration){0}))};
            local_resolve(run, m, o->result.outcome_case, &data);
        }
        arena_fini(&o->arena);
        free(o);
    }
}

void local_drop_all(struct run *run)
{
    struct machine *m;
    for (size_t at = 0; (m = map_u64_next(&run->machines[MACHINE_LOCAL], &at, NULL)) != NULL;) machine_destroy(run, m);
    run->local_count = 0;
}

/* ---- the marker -------------------------------------------------------------------------------------------------- */

void local_marker_build(struct run *run UNUSED, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    const struct marker_data *d = out->extra;
    struct buf text = {0};
    c->user_metadata = d->user_metadata;
    buf_printf(&text, "{\"seq\":%u,\"attempt\":%u,\"activity_id\":", out->seq, d->attempt);
    marker_put_string(&text, out->id);
    buf_append_str(&text, STR(",\"activity_type\":"));
    marker_put_string(&text, out->name);
    marker_put_time(&text, "complete_time", d->complete_time.ns, instant_is_set(d->complete_time));
    marker_put_time(&text, "backoff", d->backoff.ns, !duration_is_zero(d->backoff));
    marker_put_time(&text, "original_schedule_time", d->original_schedule_time.ns, instant_is_set(d->original_schedule_time));
    buf_printf(&text, ",\"activation_index\":%u}", d->activation_index);

    pb_command_RecordMarkerCommandAttributes *a = c->record_marker_command_attributes =
        pb_new(arena, pb_command_RecordMarkerCommandAttributes);
    a->marker_name = STR("core_local_activity");
    a->failure = (pb_failure_Failure *)d->failure;
    pb_command_RecordMarkerCommandAttributes_DetailsEntry *detail;
    if (d->result != NULL) {
        detail = PB_PUSH_NEW(arena, a, details);
        detail->key = STR("result");
        detail->value = payloads_one(arena, (pb_common_Payload *)d->result);
    }
    detail = PB_PUSH_NEW(arena, a, details);
    detail->key = STR("data");
    pb_common_Payload *payload = pb_new(arena, pb_common_Payload);
    pb_common_Payload_MetadataEntry *entry = PB_PUSH_NEW(arena, payload, metadata);
    entry->key = STR("encoding");
    entry->value = STR("json/plain");
    payload->data = arena_str(arena, buf_view(&text));
    detail->value = payloads_one(arena, payload);
    buf_fini(&text);
}

err marker_matched(struct run *run, struct outgoing *out, const event_t *e)
{
    struct str name = e->marker_recorded_event_attributes->marker_name;
    if (out->marker == MARKER_PATCH) {
        struct str id;
        bool is_deprecated;
        if (patch_of_marker(e, &run->scratch, &id, &is_deprecated) && str_equal(id, out->id)) return ERR_NONE;
        return run_diverge(run, "event %" PRId64 " is the marker \"%.*s\"%s%.*s, the workflow code records the patch \"%.*s\"", e->event_id,
                           STR_ARG(name), str_equal_c(name, "core_patch") ? " of the patch " : "",
                           STR_ARG(str_equal_c(name, "core_patch") ? id : STR_EMPTY), STR_ARG(out->id));
    }
    const pb_common_Payload *data = marker_detail(e, "data");
    uint32_t seq = 0;
    if (str_equal_c(name, "core_local_activity") && data != NULL && marker_uint32(&run->scratch, data->data, "seq", &seq) && seq == out->seq) {
        struct str type;
        if (!marker_string(&run->scratch, data->data, "activity_type", &type) || str_equal(type, out->name))
            return ERR_NONE;
        return run_diverge(run, "event %" PRId64 " is the result of a local activity of type \"%.*s\", the workflow code runs one of type \"%.*s\"",
                           e->event_id, STR_ARG(type), STR_ARG(out->name));
    }
    return run_diverge(run, "event %" PRId64 " is the marker \"%.*s\" (seq %u), the workflow code has the result of the local activity \"%.*s\" (seq %u)",
                       e->event_id, STR_ARG(name), seq, STR_ARG(out->id), out->seq);
}
