#include "visibility/attribute.h"

#include "proto/json.h"
#include "visibility/time_text.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#define A(name, type, field) {{name, sizeof(name) - 1}, ATTRIBUTE_##type, FIELD_##field}

static const struct attribute system_attributes[] = { /* by name */
    A("CloseTime", DATETIME, CLOSE_TIME),
    A("ExecutionDuration", INT, EXECUTION_DURATION),
    A("ExecutionStatus", KEYWORD, STATUS),
    A("ExecutionTime", DATETIME, EXECUTION_TIME),
    A("HistoryLength", INT, HISTORY_LENGTH),
    A("HistorySizeBytes", INT, HISTORY_SIZE),
    A("ParentRunId", KEYWORD, PARENT_RUN_ID),
    A("ParentWorkflowId", KEYWORD, PARENT_WORKFLOW_ID),
    A("RootRunId", KEYWORD, ROOT_RUN_ID),
    A("RootWorkflowId", KEYWORD, ROOT_WORKFLOW_ID),
    A("RunId", KEYWORD, RUN_ID),
    A("StartTime", DATETIME, START_TIME),
    A("StateTransitionCount", INT, STATE_TRANSITIONS),
    A("TaskQueue", KEYWORD, TASK_QUEUE),
    A("WorkflowId", KEYWORD, WORKFLOW_ID),
    A("WorkflowType", KEYWORD, WORKFLOW_TYPE),
};
static const struct attribute predefined_attributes[] = { /* by name */
    A("BatcherNamespace", KEYWORD, ATTRIBUTE),
    A("BatcherUser", KEYWORD, ATTRIBUTE),
    A("BinaryChecksums", KEYWORD_LIST, ATTRIBUTE),
    A("BuildIds", KEYWORD_LIST, ATTRIBUTE),
    A("TemporalChangeVersion", KEYWORD_LIST, ATTRIBUTE),
    A("TemporalExternalPayloadCount", INT, ATTRIBUTE),
    A("TemporalExternalPayloadSizeBytes", INT, ATTRIBUTE),
    A("TemporalNamespaceDivision", KEYWORD, DIVISION),
    A("TemporalPauseInfo", KEYWORD_LIST, ATTRIBUTE),
    A("TemporalReportedProblems", KEYWORD_LIST, ATTRIBUTE),
    A("TemporalSchedulePaused", BOOL, ATTRIBUTE),
    A("TemporalScheduledById", KEYWORD, ATTRIBUTE),
    A("TemporalScheduledStartTime", DATETIME, ATTRIBUTE),
    A("TemporalUsedWorkerDeploymentVersions", KEYWORD_LIST, ATTRIBUTE),
    A("TemporalWorkerDeployment", KEYWORD, ATTRIBUTE),
    A("TemporalWorkerDeploymentVersion", KEYWORD, ATTRIBUTE),
    A("TemporalWorkflowVersioningBehavior", KEYWORD, ATTRIBUTE),
};
#undef A
/* Words that would read as columns of the official store or of a filter. */
static const char *const reserved_names[] = {"NamespaceId", "Memo", "MemoEncoding", "VisibilityTaskKey", "ScheduleId"};

static const char *const type_names[ATTRIBUTE_TYPE_COUNT] = {"Unspecified", "Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"};

const char *attribute_type_name(enum attribute_type type)
{
    return (size_t)type < countof(type_names) ? type_names[type] : type_names[ATTRIBUTE_NONE];
}

/* Equal but for case and underscores: "keyword_list", "KEYWORDLIST". */
static bool is_same_word(struct str text, const char *word)
{
    size_t i = 0;
    for (; *word != '\0'; word++) {
        while (i < text.size && text.data[i] == '_') i++;
        if (i == text.size || tolower((unsigned char)text.data[i]) != tolower((unsigned char)*word)) return false;
        i++;
    }
    return i == text.size;
}

bool attribute_type_parse(struct str name, enum attribute_type *type)
{
    if (str_starts_with(name, STR("INDEXED_VALUE_TYPE_"))) name = str_skip(name, sizeof("INDEXED_VALUE_TYPE_") - 1);
    for (size_t i = ATTRIBUTE_TEXT; i < countof(type_names); i++) {
        if (!is_same_word(name, type_names[i])) continue;
        *type = (enum attribute_type)i;
        return true;
    }
    return false;
}

const struct attribute *attribute_system(size_t *count)
{
    *count = countof(system_attributes);
    return system_attributes;
}

const struct attribute *attribute_predefined(size_t *count)
{
    *count = countof(predefined_attributes);
    return predefined_attributes;
}

static const struct attribute *table_find(const struct attribute *table, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(table[i].name, name)) return &table[i];
    }
    return NULL;
}

/* ---- the registry ---- */

void attribute_registry_init(struct attribute_registry *registry) { *registry = (struct attribute_registry){0}; }

static void attribute_free(struct attribute *attribute)
{
    if (attribute == NULL) return;
    free((char *)(uintptr_t)attribute->name.data);
    free(attribute);
}

void attribute_registry_fini(struct attribute_registry *registry)
{
    size_t at = 0;
    for (struct attribute *a; (a = map_next(&registry->custom, &at, NULL)) != NULL;) attribute_free(a);
    map_fini(&registry->custom);
}

static bool name_is_reserved(struct str name)
{
    if (str_starts_with(name, STR("Temporal")) || attribute_find(NULL, name) != NULL) return true;
    for (size_t i = 0; i < countof(reserved_names); i++) {
        if (str_equal_c(name, reserved_names[i])) return true;
    }
    return false;
}

/* Names are spelled between back-ticks in filters and between quotes in stored JSON. */
static bool name_is_sound(struct str name)
{
    if (str_is_empty(name) || name.size > 1000) return false;
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c < 0x20 || c == '`' || c == '"' || c == '\\') return false;
    }
    return true;
}

err attribute_registry_add(struct attribute_registry *registry, struct str name, enum attribute_type type, struct arena *arena, struct error *error)
{
    if (!name_is_sound(name)) {
        return error_set(error, arena, ERR_INVALID, "\"%.*s\" can not be the name of a search attribute", STR_ARG(name));
    }
    if (type <= ATTRIBUTE_NONE || type >= ATTRIBUTE_TYPE_COUNT) {
        return error_set(error, arena, ERR_INVALID, "search attribute %.*s needs a type", STR_ARG(name));
    }
    if (name_is_reserved(name)) {
        return error_set(error, arena, ERR_INVALID, "%.*s is a reserved name for search attributes", STR_ARG(name));
    }
    const struct attribute *known = map_get(&registry->custom, name);
    if (known != NULL) {
        if (known->type == type) return ERR_NONE;
        return error_set(error, arena, ERR_ALREADY_EXISTS, "search attribute %.*s exists with type %s", STR_ARG(name), attribute_type_name(known->type));
    }
    struct attribute *a = xcalloc(1, sizeof(*a));
    *a = (struct attribute){str_make(str_dup_c(name), name.size), type, FIELD_ATTRIBUTE};
    map_put(&registry->custom, name, a);
    return ERR_NONE;
}

void attribute_registry_remove(struct attribute_registry *registry, struct str name) { attribute_free(map_remove(&registry->custom, name)); }

const struct attribute *attribute_find(const struct attribute_registry *registry, struct str name)
{
    const struct attribute *a = table_find(system_attributes, countof(system_attributes), name);
    if (a == NULL) a = table_find(predefined_attributes, countof(predefined_attributes), name);
    if (a == NULL && registry != NULL) a = map_get(&registry->custom, name);
    return a;
}

/* ---- payloads ---- */

struct decode {
    struct json_in in;
    enum attribute_type type;    /* of one value */
    struct arena *arena;
};

static bool decode_text(struct decode *d, struct attribute_value *value)
{
    if (!json_string(&d->in, &value->text)) return false;
    if (d->type == ATTRIBUTE_DATETIME) {
        instant t;
        if (!time_text_parse(value->text, &t)) return json_refuse(&d->in, "a time as in RFC 3339 is expected");
        value->number = t.ns;
    }
    return true;
}

static bool decode_number(struct decode *d, struct attribute_value *value)
{
    struct str text;
    if (!json_number(&d->in, &text)) return false;
    if (d->type == ATTRIBUTE_DOUBLE) return json_parse_double(text, &value->real) || json_refuse(&d->in, "the number is too large");
    return json_parse_int(text, &value->number) || json_refuse(&d->in, "a whole number of 64 bits is expected");
}

static bool decode_one(struct decode *d, struct attribute_value *value)
{
    *value = (struct attribute_value){.type = d->type};
    bool flag;
    switch (d->type) {
    case ATTRIBUTE_TEXT:
    case ATTRIBUTE_KEYWORD:
    case ATTRIBUTE_DATETIME: return decode_text(d, value);
    case ATTRIBUTE_INT:
    case ATTRIBUTE_DOUBLE: return decode_number(d, value);
    case ATTRIBUTE_BOOL:
        if (!json_bool(&d->in, &flag)) return false;
        value->number = flag;
        return true;
    default: return json_refuse(&d->in, "a search attribute without a type");
    }
}

/* A payload whose metadata names no type shows it by its JSON. */
static enum attribute_type type_shown(char first)
{
    switch (first) {
    case '"': return ATTRIBUTE_KEYWORD;
    case 't':
    case 'f': return ATTRIBUTE_BOOL;
    case '[': return ATTRIBUTE_KEYWORD_LIST;
    default: return ATTRIBUTE_DOUBLE;
    }
}

static void value_add(struct attribute_values *values, size_t *capacity, struct arena *arena, const struct attribute_value *value)
{
    if (values->count == *capacity) {
        *capacity = *capacity == 0 ? 4 : *capacity * 2;
        struct attribute_value *grown = arena_array(arena, struct attribute_value, *capacity);
        if (values->count != 0) memcpy(grown, values->values, values->count * sizeof(*grown));
        values->values = grown;
    }
    values->values[values->count++] = *value;
}

static bool decode_list(struct decode *d, bool is_list, struct attribute_values *values)
{
    size_t capacity = 0;
    struct attribute_value value;
    if (!json_open(&d->in, '[')) return false;
    while (json_more(&d->in, ']')) {
        if (!decode_one(d, &value)) return false;
        value_add(values, &capacity, d->arena, &value);
    }
    if (json_failed(&d->in)) return false;
    /* One value in a list stands for the value, as older SDKs send it. */
    if (!is_list && values->count > 1) return json_refuse(&d->in, "one value is expected, not a list");
    return true;
}

err attribute_decode(const pb_common_Payload *payload, enum attribute_type type, struct arena *arena, struct attribute_values *values, struct error *error)
{
    struct attribute_values got = {0};
    *values = got;
    if (payload == NULL || payload->data.size == 0 || str_equal_c(pb_payload_metadata(payload, STR("encoding")), "binary/null")) return ERR_NONE;
    struct decode d = {.arena = arena};
    json_init(&d.in, payload->data, arena, error);
    char first = json_peek(&d.in);
    if (type == ATTRIBUTE_NONE && !attribute_type_parse(pb_payload_metadata(payload, STR("type")), &type)) type = type_shown(first);
    bool is_list = type == ATTRIBUTE_KEYWORD_LIST, is_sound;
    d.type = is_list ? ATTRIBUTE_KEYWORD : type;
    if (first == 'n') {
        is_sound = json_null(&d.in);
    } else if (first == '[') {
        is_sound = decode_list(&d, is_list, &got);
    } else {
        got.values = arena_new(arena, struct attribute_value);
        got.count = 1;
        is_sound = decode_one(&d, got.values);
    }
    if (!is_sound || !json_end(&d.in)) return d.in.failed != ERR_NONE ? d.in.failed : ERR_INVALID;
    got.is_present = got.count != 0 || (is_list && first == '[');
    *values = got;
    return ERR_NONE;
}

static void put_value(struct json_out *out, const struct attribute_value *value, struct arena *arena)
{
    switch (value->type) {
    case ATTRIBUTE_INT: buf_printf(out->out, "%" PRId64, value->number); break;
    case ATTRIBUTE_DOUBLE: json_put_double(out, value->real); break;
    case ATTRIBUTE_BOOL: json_put_raw(out, value->number != 0 ? STR("true") : STR("false")); break;
    case ATTRIBUTE_DATETIME: json_put_string(out, time_text_print((instant){value->number}, arena)); break;
    default: json_put_string(out, value->text); break;
    }
}

pb_common_Payload *attribute_encode(const struct attribute_values *values, enum attribute_type type, struct arena *arena)
{
    struct buf text = {0};
    struct json_out out = {.out = &text};
    if (type == ATTRIBUTE_KEYWORD_LIST) {
        json_put_open(&out, '[');
        for (size_t i = 0; i < values->count; i++) {
            json_put_next(&out);
            put_value(&out, &values->values[i], arena);
        }
        json_put_close(&out, ']');
    } else if (values->count != 0) {
        put_value(&out, &values->values[0], arena);
    }
    pb_common_Payload *payload = pb_payload_new(arena, STR("json/plain"), arena_str(arena, buf_view(&text)));
    buf_fini(&text);
    pb_common_Payload_MetadataEntry *entry = PB_PUSH_NEW(arena, payload, metadata);
    entry->key = STR("type");
    entry->value = str_of(attribute_type_name(type));
    return payload;
}

static void payload_type_set(pb_common_Payload *payload, enum attribute_type type, struct arena *arena)
{
    for (size_t i = 0; i < payload->metadata_count; i++) {
        if (!str_equal_c(payload->metadata[i]->key, "type")) continue;
        payload->metadata[i]->value = str_of(attribute_type_name(type));
        return;
    }
    pb_common_Payload_MetadataEntry *entry = PB_PUSH_NEW(arena, payload, metadata);
    entry->key = STR("type");
    entry->value = str_of(attribute_type_name(type));
}

err attributes_check(const struct attribute_registry *registry, pb_common_SearchAttributes *attributes, struct arena *arena, struct error *error)
{
    if (attributes == NULL) return ERR_NONE;
    for (size_t i = 0; i < attributes->indexed_fields_count; i++) {
        struct str name = attributes->indexed_fields[i]->key;
        const struct attribute *a = attribute_find(registry, name);
        if (a == NULL) return error_set(error, arena, ERR_INVALID, "the namespace has no search attribute %.*s, there is no mapping defined for it", STR_ARG(name));
        if (a->field != FIELD_ATTRIBUTE && a->field != FIELD_DIVISION) {
            return error_set(error, arena, ERR_INVALID, "the search attribute %.*s is set by the server alone", STR_ARG(name));
        }
        struct attribute_values values;
        struct error why = {0};
        err result = attribute_decode(attributes->indexed_fields[i]->value, a->type, arena, &values, &why);
        if (result != ERR_NONE) {
            return error_set(error, arena, result, "the value of search attribute %.*s is not a %s: %.*s", STR_ARG(name), attribute_type_name(a->type),
                             STR_ARG(error_message(&why)));
        }
        if (attributes->indexed_fields[i]->value != NULL) payload_type_set(attributes->indexed_fields[i]->value, a->type, arena);
    }
    return ERR_NONE;
}

/* ---- words ---- */

/* ASCII letters and digits hold together, and so do the bytes of every other script: a filter and a text are cut alike. */
static bool is_word_byte(unsigned char c) { return c >= 0x80 || isalnum(c); }

/* Latin letters U+00C0 … U+017F without their accents, in lower case; '.': not such a letter; the two of "ss", "ae" … become the first. */
static const char plain_latin[] =
    "aaaaaaaceeeeiiiidnooooo.ouuuuytsaaaaaaaceeeeiiiidnooooo.ouuuuyty"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll"
    "lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
_Static_assert(sizeof(plain_latin) == 0x180 - 0xc0 + 1, "one for each letter");

/* The byte that stands for what begins at text[*at]; moves past it. */
static char plain_byte(struct str text, size_t *at)
{
    unsigned char c = (unsigned char)text.data[(*at)++];
    if (c >= 0xc3 && c <= 0xc5 && *at < text.size) {
        unsigned letter = (c & 0x1fu) << 6 | ((unsigned char)text.data[*at] & 0x3fu);
        if (letter >= 0xc0 && letter < 0x180 && plain_latin[letter - 0xc0] != '.') {
            (*at)++;
            return plain_latin[letter - 0xc0];
        }
    }
    return (char)tolower(c);
}

void attribute_words(struct str text, void (*word)(void *arg, struct str word), void *arg)
{
    char plain[64];
    size_t size = 0;
    for (size_t i = 0; i < text.size;) {
        if (is_word_byte((unsigned char)text.data[i])) {
            char c = plain_byte(text, &i);
            if (size < sizeof(plain)) plain[size++] = c;
            continue;
        }
        if (size != 0) word(arg, str_make(plain, size));
        size = 0;
        i++;
    }
    if (size != 0) word(arg, str_make(plain, size));
}
