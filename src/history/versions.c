/* history/versions.c: which builds of workers a run has seen: the search attributes that say so, and the points to reset to
 * when one of them was bad. All from the completed workflow tasks, so that a rebuilt run knows the same. Source: F014, F029. */
#include "history/machines.h"

#include "proto/json.h"

/* ---- lists that show in visibility ---- */

static bool has_text(struct str *texts, size_t count, struct str text)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(texts[i], text)) return true;
    return false;
}

/* The oldest go when all together get too long for a search attribute; the first says what kind they are and stays. */
static bool note(struct execution *e, struct str **texts, size_t *count, bool keeps_first, struct str text, size_t size_max)
{
    if (has_text(*texts, *count, text)) return false;
    struct str *longer = arena_array(&e->arena, struct str, *count + 1);
    size_t size = text.size + 3, first = keeps_first && *count != 0 ? 1 : 0, n = *count;
    for (size_t i = 0; i < *count; i++) size += (*texts)[i].size + 3;
    if (*count != 0) memcpy(longer, *texts, *count * sizeof *longer);
    while (size > size_max && n > first) {
        size -= longer[first].size + 3;
        memmove(longer + first, longer + first + 1, (--n - first) * sizeof *longer);
    }
    longer[n++] = core_str(e, text);
    *texts = longer;
    *count = n;
    return true;
}

static bool note_build(struct execution *e, struct step *step, const pb_history_WorkflowTaskCompletedEventAttributes *a, size_t size_max)
{
    pb_store_RunState *s = e->s;
    struct str build = a->worker_version != NULL ? a->worker_version->build_id : STR_EMPTY;
    bool is_pinned = a->versioning_behavior == VERSIONING_BEHAVIOR_PINNED && a->deployment_version != NULL;
    bool is_versioned = a->versioning_behavior != VERSIONING_BEHAVIOR_UNSPECIFIED || (a->worker_version != NULL && a->worker_version->use_versioning);
    bool changed = false;
    if (!is_versioned) changed = note(e, &s->build_ids, &s->build_ids_count, false, STR("unversioned"), size_max);
    if (is_pinned)
        build = arena_printf(step->arena, "pinned:%.*s:%.*s", STR_ARG(a->deployment_version->deployment_name), STR_ARG(a->deployment_version->build_id));
    else if (build.size != 0) build = arena_printf(step->arena, "%s:%.*s", is_versioned ? "versioned" : "unversioned", STR_ARG(build));
    if (build.size != 0) changed |= note(e, &s->build_ids, &s->build_ids_count, true, build, size_max);
    if (a->binary_checksum.size != 0) changed |= note(e, &s->binary_checksums, &s->binary_checksums_count, false, a->binary_checksum, size_max);
    return changed;
}

/* ---- points to reset to ---- */

/* The first completion of each build. */
static void note_reset_point(struct execution *e, instant now, const pb_history_WorkflowTaskCompletedEventAttributes *a, int64_t event_id, size_t points_max)
{
    pb_store_RunState *s = e->s;
    struct arena *arena = &e->arena;
    struct str build = a->worker_version != NULL ? a->worker_version->build_id : STR_EMPTY;
    if (a->deployment_version != NULL && a->deployment_version->build_id.size != 0) build = a->deployment_version->build_id;
    if (s->reset_points == NULL) s->reset_points = pb_new(arena, pb_workflow_ResetPoints);
    pb_workflow_ResetPoints *points = s->reset_points;
    for (size_t i = 0; i < points->points_count; i++)
        if (str_equal(points->points[i]->build_id, build) && str_equal(points->points[i]->binary_checksum, a->binary_checksum)) return;
    if (points->points_count >= points_max && points->points_count > 0) {
        memmove(points->points, points->points + 1, (points->points_count - 1) * sizeof *points->points);
        points->points_count--;
    }
    pb_workflow_ResetPointInfo *point = PB_PUSH_NEW(arena, points, points);
    point->binary_checksum = core_str(e, a->binary_checksum);
    point->build_id = core_str(e, build);
    point->run_id = s->run_id;
    point->first_workflow_task_completed_id = event_id;
    point->create_time = timestamp_of(arena, now);
    point->resettable = item_count(e, ITEM_CHILD) == 0;
}

/* ---- a workflow task has been completed ---- */

bool versions_completed(struct execution *e, struct step *step, const pb_history_WorkflowTaskCompletedEventAttributes *a, int64_t event_id)
{
    pb_store_RunState *s = e->s;
    const struct limits defaults = limits_default(), *limits = step->limits != NULL ? step->limits : &defaults;
    bool changed = note_build(e, step, a, (size_t)limits->search_attribute_size_max);
    s->versioning_behavior = a->versioning_behavior;
    bool is_same = s->worker_stamp != NULL && a->worker_version != NULL && str_equal(s->worker_stamp->build_id, a->worker_version->build_id) &&
                   s->worker_stamp->use_versioning == a->worker_version->use_versioning;
    s->deployment_version = a->deployment_version != NULL ? PB_CLONE(&e->arena, pb_deployment_WorkerDeploymentVersion, a->deployment_version) : NULL;
    if (a->worker_version == NULL) s->worker_stamp = NULL;
    else if (!is_same) s->worker_stamp = PB_CLONE(&e->arena, pb_common_WorkerVersionStamp, a->worker_version);
    if (!str_equal(s->worker_deployment_name, a->worker_deployment_name)) {
        s->worker_deployment_name = core_str(e, a->worker_deployment_name);
        changed = true;
    }
    note_reset_point(e, step->now, a, event_id, (size_t)limits->reset_points_max);
    return changed;
}

/* ---- what is shown ---- */

static void show(pb_common_SearchAttributes *to, struct arena *arena, const char *name, const char *type, struct str data)
{
    for (size_t i = 0; i < to->indexed_fields_count; i++)
        if (str_equal_c(to->indexed_fields[i]->key, name)) return; /* the workflow has set it itself */
    pb_common_SearchAttributes_IndexedFieldsEntry *field = PB_PUSH_NEW(arena, to, indexed_fields);
    field->key = str_of(name);
    field->value = pb_new(arena, pb_common_Payload);
    const struct str metadata[][2] = {{STR("encoding"), STR("json/plain")}, {STR("type"), str_of(type)}};
    for (size_t i = 0; i < countof(metadata); i++) {
        pb_common_Payload_MetadataEntry *m = PB_PUSH_NEW(arena, field->value, metadata);
        m->key = metadata[i][0];
        m->value = metadata[i][1];
    }
    field->value->data = data;
}

static struct str json_list(struct arena *arena, const struct str *texts, size_t count)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    json_put_open(&w, '[');
    for (size_t i = 0; i < count; i++) {
        json_put_next(&w);
        json_put_string(&w, texts[i]);
    }
    json_put_close(&w, ']');
    struct str text = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return text;
}

static struct str json_text(struct arena *arena, struct str text)
{
    struct str list = json_list(arena, &text, 1);
    return str_make(list.data + 1, list.size - 2);
}

void versions_show(const struct execution *e, struct arena *arena, pb_common_SearchAttributes *to)
{
    const pb_store_RunState *s = e->s;
    if (s->build_ids_count != 0) show(to, arena, "BuildIds", "KeywordList", json_list(arena, s->build_ids, s->build_ids_count));
    if (s->binary_checksums_count != 0) show(to, arena, "BinaryChecksums", "KeywordList", json_list(arena, s->binary_checksums, s->binary_checksums_count));
    if (str_is_empty(s->worker_deployment_name)) return;
    bool is_versioned = s->versioning_behavior != VERSIONING_BEHAVIOR_UNSPECIFIED && s->deployment_version != NULL;
    struct str version = is_versioned ? arena_printf(arena, "%.*s:%.*s", STR_ARG(s->deployment_version->deployment_name), STR_ARG(s->deployment_version->build_id)) : STR_EMPTY;
    struct str behavior = is_versioned ? pb_enum_short_name(&pb_enums_VersioningBehavior_enum, s->versioning_behavior, arena) : STR_EMPTY;
    show(to, arena, "TemporalWorkerDeployment", "Keyword", json_text(arena, s->worker_deployment_name));
    show(to, arena, "TemporalWorkerDeploymentVersion", "Keyword", json_text(arena, version));
    show(to, arena, "TemporalWorkflowVersioningBehavior", "Keyword", json_text(arena, behavior));
}
