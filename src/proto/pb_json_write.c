#include "proto/api.h"
#include "proto/pb_json.h"
#include "proto/wire.h"

#include <stdio.h>

/* `failed` is sticky: a value without a JSON form is noted and the walk goes on, its output being of no use any more. */
struct writer { struct json_out *out; unsigned flags; err failed; int any_depth; };

enum { ANY_DEPTH_MAX = 16 }; /* a packed message's nesting is bounded by its decoder, that of packed ones in it here */

static void put_message(struct writer *w, const struct pb_message *type, const char *msg);

static void put_text(struct writer *w, bool is_known, const char *text)
{
    if (is_known) json_put_string(w->out, str_of(text));
    else w->failed = ERR_INVALID;
}

static void put_base64(struct writer *w, struct str bytes)
{
    buf_append_byte(w->out->out, '"');
    json_put_base64(w->out->out, bytes);
    buf_append_byte(w->out->out, '"');
}

static void put_enum(struct writer *w, const struct pb_enum *type, int32_t number)
{
    struct buf *out = w->out->out;
    struct str name = pb_enum_name(type, number);
    if (type == &pb_google_NullValue_enum) {
        buf_append(out, "null", 4);
    } else if (name.size == 0) {
        buf_printf(out, "%" PRId32, number);
    } else if ((w->flags & PB_JSON_SHORT_ENUMS) != 0) {
        struct arena scratch;
        arena_init(&scratch, 128, 0);
        json_put_string(w->out, pb_enum_short_name(type, number, &scratch));
        arena_fini(&scratch);
    } else {
        json_put_string(w->out, name);
    }
}

static void put_value(struct writer *w, const struct pb_field *f, const char *at)
{
    struct buf *out = w->out->out;
    union { int32_t i32; uint32_t u32; int64_t i64; uint64_t u64; float f; double d; } v = {0};
    if (size_of_kind[f->kind] <= sizeof v && f->kind != PB_MESSAGE) memcpy(&v, at, size_of_kind[f->kind]);
    switch (f->kind) {
    case PB_DOUBLE: json_put_double(w->out, v.d); return;
    case PB_FLOAT: json_put_float(w->out, v.f); return;
    case PB_INT32: case PB_SINT32: case PB_SFIXED32: buf_printf(out, "%" PRId32, v.i32); return;
    case PB_UINT32: case PB_FIXED32: buf_printf(out, "%" PRIu32, v.u32); return;
    case PB_INT64: case PB_SINT64: case PB_SFIXED64: buf_printf(out, "\"%" PRId64 "\"", v.i64); return;
    case PB_UINT64: case PB_FIXED64: buf_printf(out, "\"%" PRIu64 "\"", v.u64); return;
    case PB_BOOL: json_put_raw(w->out, *(const bool *)at ? STR("true") : STR("false")); return;
    case PB_ENUM: put_enum(w, pb_field_enum(f), v.i32); return;
    case PB_STRING: json_put_string(w->out, *(const struct str *)(const void *)at); return;
    case PB_BYTES: put_base64(w, *(const struct str *)(const void *)at); return;
    default: break;
    }
    const char *sub = *(const char *const *)(const void *)at;
    if (sub != NULL) put_message(w, pb_field_message(f), sub);
    else json_put_raw(w->out, STR("{}"));
}

static void put_list(struct writer *w, const struct pb_field *f, const char *msg)
{
    size_t count = *(const size_t *)(const void *)(msg + f->aux);
    const char *array = *(const char *const *)(const void *)(msg + f->offset);
    json_put_open(w->out, '[');
    for (size_t i = 0; i < count; i++) {
        json_put_next(w->out);
        put_value(w, f, array + i * size_of_kind[f->kind]);
    }
    json_put_close(w->out, ']');
}

/* Keys of maps are text in JSON, whatever they are in the message. */
static void put_map_key(struct writer *w, const struct pb_field *key, const char *entry)
{
    const char *at = entry + key->offset;
    if (key->kind == PB_STRING) {
        json_put_key(w->out, *(const struct str *)(const void *)at);
        return;
    }
    char text[24];
    uint64_t wide = 0;
    memcpy(&wide, at, size_of_kind[key->kind]);
    switch (key->kind) {
    case PB_BOOL: strcpy(text, wide != 0 ? "true" : "false"); break;
    case PB_INT32: case PB_SINT32: case PB_SFIXED32: snprintf(text, sizeof text, "%" PRId32, (int32_t)(uint32_t)wide); break;
    case PB_UINT32: case PB_FIXED32: case PB_UINT64: case PB_FIXED64: snprintf(text, sizeof text, "%" PRIu64, wide); break;
    default: snprintf(text, sizeof text, "%" PRId64, (int64_t)wide); break;
    }
    json_put_key(w->out, str_of(text));
}

static void put_map(struct writer *w, const struct pb_field *f, const char *msg)
{
    size_t count = *(const size_t *)(const void *)(msg + f->aux);
    const char *const *entries = *(const char *const *const *)(const void *)(msg + f->offset);
    const struct pb_field *key = pb_fields + pb_field_message(f)->field_first;
    json_put_open(w->out, '{');
    for (size_t i = 0; i < count; i++) {
        put_map_key(w, key, entries[i]);
        put_value(w, key + 1, entries[i] + key[1].offset);
    }
    json_put_close(w->out, '}');
}

static void put_fields(struct writer *w, const struct pb_message *type, const char *msg)
{
    const struct pb_field *first = pb_fields + type->field_first;
    for (const struct pb_field *f = first; f < first + type->field_count; f++) {
        if (!wire_is_present(f, msg)) {
            bool has_default = f->label >= PB_REPEATED || (f->label == PB_SINGULAR && f->kind != PB_MESSAGE);
            if ((w->flags & PB_JSON_DEFAULTS) == 0 || !has_default) continue;
        }
        json_put_key(w->out, pb_name((w->flags & PB_JSON_PROTO_NAMES) != 0 ? f->name : f->json_name));
        if (f->label == PB_MAP) put_map(w, f, msg);
        else if (pb_is_repeated(f)) put_list(w, f, msg);
        else put_value(w, f, msg + f->offset);
    }
}

/* ---- types with a form of their own -------------------------------------------------------------------------- */

static void put_any(struct writer *w, const pb_google_Any *any)
{
    size_t slash = any->type_url.size;
    while (slash > 0 && any->type_url.data[slash - 1] != '/') slash--;
    const struct pb_message *type = any->type_url.size != 0 ? pb_message_find(str_skip(any->type_url, slash)) : NULL;
    struct arena scratch;
    void *msg;
    arena_init(&scratch, 0, any->value.size * 64 + 65536);
    json_put_open(w->out, '{');
    if (any->type_url.size != 0) {
        json_put_key(w->out, STR("@type"));
        json_put_string(w->out, any->type_url);
    }
    if (type == NULL || w->any_depth >= ANY_DEPTH_MAX || pb_decode(type, any->value, &scratch, PB_ALIAS, &msg) != ERR_NONE) {
        if (any->value.size != 0) { /* nothing known of it: its bytes */
            json_put_key(w->out, STR("value"));
            put_base64(w, any->value);
        }
    } else {
        bool is_plain = type->special == PB_PLAIN || type->special >= PB_PAYLOAD;
        w->any_depth++;
        if (!is_plain) json_put_key(w->out, STR("value"));
        if (is_plain) put_fields(w, type, msg);
        else put_message(w, type, msg);
        w->any_depth--;
    }
    json_put_close(w->out, '}');
    arena_fini(&scratch);
}

static void put_field_mask(struct writer *w, const pb_google_FieldMask *mask)
{
    struct buf text = {0};
    for (size_t i = 0; i < mask->paths_count; i++) {
        struct str path = mask->paths[i];
        if (i != 0) buf_append_byte(&text, ',');
        if (path.size == 0) w->failed = ERR_INVALID;
        for (size_t k = 0; k < path.size; k++) {
            char c = path.data[k];
            bool is_word = c == '_' && k + 1 < path.size && path.data[k + 1] >= 'a' && path.data[k + 1] <= 'z';
            if ((c == '_' && !is_word) || (c >= 'A' && c <= 'Z')) w->failed = ERR_INVALID; /* would not read back */
            buf_append_byte(&text, (uint8_t)(is_word ? path.data[++k] - 0x20 : c));
        }
    }
    json_put_string(w->out, buf_view(&text));
    buf_fini(&text);
}

static void put_dynamic(struct writer *w, const struct pb_message *type, const pb_google_Value *value)
{
    double number = value->number_value;
    switch (value->kind_case) {
    case 0: w->failed = ERR_INVALID; return;
    case pb_google_Value_number_value_tag:
        if (number - number != 0) w->failed = ERR_INVALID; /* infinite, or not a number */
        break;
    default: break;
    }
    const struct pb_field *f = pb_field_find(type, (uint32_t)value->kind_case);
    if (f != NULL) put_value(w, f, (const char *)value + f->offset);
}

/* False: this payload has no shorthand; nothing was written. */
static bool put_shorthand(struct writer *w, const pb_common_Payload *payload)
{
    struct str encoding = pb_payload_metadata(payload, STR("encoding")), type = pb_payload_metadata(payload, STR("messageType"));
    if (payload->unknown_.size != 0 || payload->external_payloads_count != 0) return false;
    if (payload->metadata_count == 1 && str_equal(encoding, STR("json/plain"))) return json_put_json(w->out, payload->data);
    if (payload->metadata_count == 1 && str_equal(encoding, STR("binary/null")) && payload->data.size == 0) {
        json_put_raw(w->out, STR("null"));
        return true;
    }
    if (payload->metadata_count != 2 || type.size == 0 || !wire_is_utf8(type.data, type.size) || !str_equal(encoding, STR("json/protobuf"))) return false;
    struct arena scratch;
    arena_init(&scratch, 0, 0);
    struct json_in in;
    json_init(&in, payload->data, &scratch, NULL);
    bool is_object = json_peek(&in) == '{' && json_skip(&in, NULL) && json_end(&in);
    if (is_object) {
        json_put_open(w->out, '{');
        json_put_key(w->out, STR("_protoMessageType"));
        json_put_string(w->out, type);
        json_init(&in, payload->data, &scratch, NULL);
        (void)json_open(&in, '{');
        while (json_more(&in, '}')) {
            struct str key, raw;
            if (!json_key(&in, &key) || !json_skip(&in, &raw)) break;
            json_put_key(w->out, key);
            (void)json_put_json(w->out, raw);
        }
        json_put_close(w->out, '}');
    }
    arena_fini(&scratch);
    return is_object;
}

static void put_message(struct writer *w, const struct pb_message *type, const char *msg)
{
    const void *any_type = msg;
    const struct pb_field *first = pb_fields + type->field_first;
    char text[40];
    switch (type->special) {
    case PB_ANY: put_any(w, any_type); return;
    case PB_TIMESTAMP: {
        const pb_google_Timestamp *t = any_type;
        bool is_valid = pb_format_timestamp(t->seconds, t->nanos, text);
        put_text(w, is_valid, text);
        return;
    }
    case PB_DURATION: {
        const pb_google_Duration *d = any_type;
        bool is_valid = pb_format_duration(d->seconds, d->nanos, text);
        put_text(w, is_valid, text);
        return;
    }
    case PB_FIELD_MASK: put_field_mask(w, any_type); return;
    case PB_STRUCT: put_map(w, first, msg); return;
    case PB_LIST_VALUE: put_list(w, first, msg); return;
    case PB_VALUE: put_dynamic(w, type, any_type); return;
    case PB_WRAPPER: put_value(w, first, msg + first->offset); return;
    case PB_PAYLOADS:
        if ((w->flags & PB_JSON_SHORTHAND) == 0) break;
        put_list(w, first, msg);
        return;
    case PB_PAYLOAD:
        if ((w->flags & PB_JSON_SHORTHAND) != 0 && put_shorthand(w, any_type)) return;
        break;
    default: break;
    }
    json_put_open(w->out, '{');
    put_fields(w, type, msg);
    json_put_close(w->out, '}');
}

err pb_json_put(const struct pb_message *type, const void *msg, unsigned flags, struct json_out *out)
{
    struct writer w = {out, flags, ERR_NONE, 0};
    put_message(&w, type, msg);
    return w.failed;
}

err pb_json_write(const struct pb_message *type, const void *msg, unsigned flags, struct buf *out)
{
    struct json_out json = {.out = out, .step = (flags & PB_JSON_PRETTY) != 0 ? 2 : 0};
    return pb_json_put(type, msg, flags, &json);
}
