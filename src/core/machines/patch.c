/* Patches: a marker says that a run took the new path, and a search attribute lists a run's patches.
 *
 *   marker "core_patch"   details "patch-data" = {"id":"…","deprecated":false}
 *   search attribute      TemporalChangeVersion = ["…", …], all patches of the run so far, at most 2,048 bytes
 *
 * history has   | the code says      | then
 * --------------+--------------------+---------------------------------------------------------------------------
 * marker        | patched, or nothing| matched; a marker nobody asks for is an error unless it is a deprecated one
 * no marker     | patched            | cannot be: patched() is false while replaying without the marker
 * no marker     | deprecate_patch    | the marker is not missed
 * Source: histories of the official SDKs (testdata patched); the search attribute is younger than the marker, so it is
 * taken when it is there and not missed when it is not. */
#include "core/run_state.h"
#include "core/marker.h"

enum { UPSERT_SIZE_MAX = 2048 };
#define CHANGE_VERSION "TemporalChangeVersion"
static char patch_seen, patch_called; /* values in run->patches: in history; asked for by the code as well */

bool patch_of_marker(const event_t *e, struct arena *arena, struct str *id, bool *is_deprecated)
{
    const pb_history_MarkerRecordedEventAttributes *a = e->marker_recorded_event_attributes;
    if (!str_equal_c(a->marker_name, "core_patch")) return false;
    for (size_t i = 0; i < a->details_count; i++) {
        if (!str_equal_c(a->details[i]->key, "patch-data")) continue;
        const pb_common_Payload *p = first_payload(a->details[i]->value);
        if (p == NULL || !marker_string(arena, p->data, "id", id)) return false;
        if (!marker_bool(arena, p->data, "deprecated", is_deprecated)) *is_deprecated = false;
        return true;
    }
    return false;
}

bool patch_is_upsert(const event_t *e)
{
    const pb_common_SearchAttributes *s = e->upsert_workflow_search_attributes_event_attributes->search_attributes;
    return s != NULL && s->indexed_fields_count == 1 && str_equal_c(s->indexed_fields[0]->key, CHANGE_VERSION);
}

void patch_ahead(struct run *run, const event_t *e)
{
    struct str id;
    bool is_deprecated;
    if (!patch_of_marker(e, &run->scratch, &id, &is_deprecated) || map_get(&run->patches, id) != NULL) return;
    map_put(&run->patches, id, &patch_seen);
    RUN_JOB(run, JOBS_PATCH, notify_has_patch, NotifyHasPatch)->patch_id = id;
}

/* ["p1","p2"] of all patches known. */
static struct str patch_list(struct run *run, struct arena *arena)
{
    struct buf text = {0};
    struct str id;
    size_t at = 0, count = 0;
    while (map_next(&run->patches, &at, &id) != NULL) {
        buf_append_byte(&text, count++ == 0 ? '[' : ',');
        marker_put_string(&text, id);
    }
    buf_append_byte(&text, ']');
    struct str list = arena_str(arena, buf_view(&text));
    buf_fini(&text);
    return list;
}

err patch_set(struct run *run, const pb_core_Command *c)
{
    struct str id = c->set_patch_marker->patch_id;
    if (map_get(&run->patches, id) == &patch_called) return ERR_NONE;
    map_put(&run->patches, id, &patch_called);
    struct outgoing *out = run_push(run, OUT_MARKER, NULL, c);
    out->marker = MARKER_PATCH;
    out->is_deprecated = c->set_patch_marker->deprecated;
    out->id = arena_str(&run->out_arena, id);
    if (run->is_replaying) return ERR_NONE;
    struct str list = patch_list(run, &run->out_arena);
    if (list.size > UPSERT_SIZE_MAX) {
        reach("patch: the list of patches is too long for the search attribute");
        return ERR_NONE;
    }
    out = run_push(run, OUT_UPSERT, NULL, c);
    out->marker = MARKER_PATCH;
    out->id = list;
    return ERR_NONE;
}

static pb_common_Payload *json_payload(struct arena *arena, struct str data, const char *type)
{
    pb_common_Payload *p = pb_new(arena, pb_common_Payload);
    pb_common_Payload_MetadataEntry *entry = PB_PUSH_NEW(arena, p, metadata);
    entry->key = STR("encoding");
    entry->value = STR("json/plain");
    if (type != NULL) {
        entry = PB_PUSH_NEW(arena, p, metadata);
        entry->key = STR("type");
        entry->value = str_of(type);
    }
    p->data = data;
    return p;
}

void patch_build(struct run *run UNUSED, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    struct buf text = {0};
    buf_append_str(&text, STR("{\"id\":"));
    marker_put_string(&text, out->id);
    buf_printf(&text, ",\"deprecated\":%s}", out->is_deprecated ? "true" : "false");
    pb_command_RecordMarkerCommandAttributes *a = c->record_marker_command_attributes =
        pb_new(arena, pb_command_RecordMarkerCommandAttributes);
    a->marker_name = STR("core_patch");
    pb_command_RecordMarkerCommandAttributes_DetailsEntry *detail = PB_PUSH_NEW(arena, a, details);
    detail->key = STR("patch-data");
    detail->value = payloads_one(arena, json_payload(arena, arena_str(arena, buf_view(&text)), NULL));
    buf_fini(&text);
}

void patch_upsert_build(struct run *run UNUSED, struct outgoing *out, struct arena *arena, pb_command_Command *c)
{
    c->upsert_workflow_search_attributes_command_attributes =
        pb_new(arena, pb_command_UpsertWorkflowSearchAttributesCommandAttributes);
    pb_common_SearchAttributes *s = pb_new(arena, pb_common_SearchAttributes);
    c->upsert_workflow_search_attributes_command_attributes->search_attributes = s;
    pb_common_SearchAttributes_IndexedFieldsEntry *field = PB_PUSH_NEW(arena, s, indexed_fields);
    field->key = STR(CHANGE_VERSION);
    field->value = json_payload(arena, out->id, "KeywordList");
}
