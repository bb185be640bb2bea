#include "proto/api.h"
#include "proto/pb_json.h"
#include "proto/wire.h"

#include <float.h>
#include <math.h>

struct reader { struct json_in *in; unsigned flags; int depth; };

enum { FIELD_COUNT_MAX = 256 }; /* of a message that is read; checked when it is */

static bool take_message(struct reader *r, const struct pb_message *type, char *msg);

static void *zeroed(struct reader *r, size_t size)
{
    void *p = arena_try_alloc(r->in->arena, size);
    if (p == NULL) {
        (void)json_refuse_memory(r->in);
        return NULL;
    }
    return memset(p, 0, size);
}

/* The text of a number, with or without quotes. */
static bool take_number(struct reader *r, struct str *out)
{
    return json_peek(r->in) == '"' ? json_string(r->in, out) : json_number(r->in, out);
}

static bool take_signed(struct reader *r, char *to, bool is_wide)
{
    struct str text;
    int64_t value;
    if (!take_number(r, &text)) return false;
    if (!json_parse_int(text, &value) || (!is_wide && (value < INT32_MIN || value > INT32_MAX))) return json_refuse(r->in, "not a whole number in range: %.*s", STR_ARG(text));
    int32_t narrow = (int32_t)value;
    memcpy(to, is_wide ? (void *)&value : (void *)&narrow, is_wide ? 8 : 4);
    return true;
}

static bool take_unsigned(struct reader *r, char *to, bool is_wide)
{
    struct str text;
    uint64_t value;
    if (!take_number(r, &text)) return false;
    if (!json_parse_uint(text, &value) || (!is_wide && value > UINT32_MAX)) return json_refuse(r->in, "not a whole number in range: %.*s", STR_ARG(text));
    uint32_t narrow = (uint32_t)value;
    memcpy(to, is_wide ? (void *)&value : (void *)&narrow, is_wide ? 8 : 4);
    return true;
}

static bool take_real(struct reader *r, char *to, bool is_float)
{
    struct str text;
    double value;
    if (!take_number(r, &text)) return false;
    if (str_equal_c(text, "NaN")) value = (double)NAN;
    else if (str_equal_c(text, "Infinity")) value = (double)INFINITY;
    else if (str_equal_c(text, "-Infinity")) value = (double)-INFINITY;
    else if (!json_parse_double(text, &value) || (is_float && fabs(value) > (double)FLT_MAX)) return json_refuse(r->in, "not a number in range: %.*s", STR_ARG(text));
    float narrow = (float)value;
    memcpy(to, is_float ? (void *)&narrow : (void *)&value, is_float ? 4 : 8);
    return true;
}

static bool take_bytes(struct reader *r, char *to)
{
    struct str text;
    size_t size = 0;
    err e;
    if (!json_string(r->in, &text)) return false;
    char *bytes = json_parse_base64(text, r->in->arena, &size, &e);
    if (e == ERR_OVER_BUDGET) return json_refuse_memory(r->in);
    if (e != ERR_NONE) return json_refuse(r->in, "not base64");
    *(struct str *)(void *)to = str_make(bytes, size);
    return true;
}

/* A name that is not known is passed over when the caller says so; then *is_known is false. */
static bool take_enum(struct reader *r, const struct pb_enum *type, char *to, bool *is_known)
{
    struct str text;
    int32_t value = 0;
    *is_known = true;
    if (type == &pb_google_NullValue_enum && json_peek(r->in) == 'n') {
        memcpy(to, &value, 4);
        return json_null(r->in);
    }
    if (json_peek(r->in) != '"') return take_signed(r, to, false);
    if (!json_string(r->in, &text)) return false;
    int64_t number;
    if (pb_enum_number(type, text, &value)) {
    } else if (json_parse_int(text, &number) && number >= INT32_MIN && number <= INT32_MAX) {
        value = (int32_t)number;
    } else if ((r->flags & PB_JSON_IGNORE_UNKNOWN) != 0) {
        *is_known = false;
        return true;
    } else {
        return json_refuse(r->in, "%.*s has no value %.*s", STR_ARG(pb_name(type->name)), STR_ARG(text));
    }
    memcpy(to, &value, 4);
    return true;
}

static bool take_value(struct reader *r, const struct pb_field *f, char *to, bool *is_known)
{
    *is_known = true;
    switch (f->kind) {
    case PB_DOUBLE: return take_real(r, to, false);
    case PB_FLOAT: return take_real(r, to, true);
    case PB_INT32: case PB_SINT32: case PB_SFIXED32: return take_signed(r, to, false);
    case PB_INT64: case PB_SINT64: case PB_SFIXED64: return take_signed(r, to, true);
    case PB_UINT32: case PB_FIXED32: return take_unsigned(r, to, false);
    case PB_UINT64: case PB_FIXED64: return take_unsigned(r, to, true);
    case PB_BOOL: return json_bool(r->in, (bool *)to);
    case PB_ENUM: return take_enum(r, pb_field_enum(f), to, is_known);
    case PB_STRING: return json_string(r->in, (struct str *)(void *)to);
    case PB_BYTES: return take_bytes(r, to);
    default: break;
    }
    const struct pb_message *type = pb_field_message(f);
    char *sub = zeroed(r, type->size);
    if (sub == NULL || !take_message(r, type, sub)) return false;
    *(char **)(void *)to = sub;
    return true;
}

/* One more zeroed element of a repeated field; NULL when the budget is used up. */
static char *add_element(struct reader *r, const struct pb_field *f, char *msg)
{
    size_t *count = (size_t *)(void *)(msg + f->aux), size = size_of_kind[f->kind];
    char **array = (char **)(void *)(msg + f->offset);
    if (*count >= WIRE_CAPACITY(count)) {
        size_t capacity = size_max(4, *count * 2);
        char *bigger = zeroed(r, capacity * size);
        if (bigger == NULL) return NULL;
        if (*count != 0) memcpy(bigger, *array, *count * size);
        *array = bigger;
        WIRE_CAPACITY(count) = capacity;
    }
    return *array + (*count)++ * size;
}

static bool is_dynamic(const struct pb_field *f)
{
    return (f->kind == PB_MESSAGE && pb_field_message(f)->special == PB_VALUE) ||
           (f->kind == PB_ENUM && pb_field_enum(f) == &pb_google_NullValue_enum);
}

/* null stands for a value of the types that can hold one; in shorthand that is true of payloads, too. */
static bool null_is_value(const struct reader *r, const struct pb_field *f)
{
    return is_dynamic(f) || ((r->flags & PB_JSON_SHORTHAND) != 0 && f->kind == PB_MESSAGE && pb_field_message(f)->special == PB_PAYLOAD);
}

static bool take_list(struct reader *r, const struct pb_field *f, char *msg)
{
    if (!json_open(r->in, '[')) return false;
    while (json_more(r->in, ']')) {
        bool is_known;
        if (json_peek(r->in) == 'n' && !null_is_value(r, f)) return json_refuse(r->in, "null in a list");
        char *to = add_element(r, f, msg);
        if (to == NULL || !take_value(r, f, to, &is_known)) return false;
        if (!is_known) --*(size_t *)(void *)(msg + f->aux);
    }
    return !json_failed(r->in);
}

static bool take_map_key(struct reader *r, const struct pb_field *key, char *entry)
{
    struct str text;
    if (!json_key(r->in, &text)) return false;
    char *to = entry + key->offset;
    bool is_wide = size_of_kind[key->kind] == 8;
    int64_t number;
    uint64_t natural;
    switch (key->kind) {
    case PB_STRING: *(struct str *)(void *)to = text; return true;
    case PB_BOOL:
        *(bool *)to = str_equal_c(text, "true");
        return *(bool *)to || str_equal_c(text, "false") || json_refuse(r->in, "a key that is not true or false");
    case PB_UINT32: case PB_UINT64: case PB_FIXED32: case PB_FIXED64:
        if (!json_parse_uint(text, &natural) || (!is_wide && natural > UINT32_MAX)) return json_refuse(r->in, "a key that is not a number in range");
        break;
    default:
        if (!json_parse_int(text, &number) || (!is_wide && (number < INT32_MIN || number > INT32_MAX))) return json_refuse(r->in, "a key that is not a number in range");
        natural = (uint64_t)number;
    }
    uint32_t narrow = (uint32_t)natural;
    memcpy(to, is_wide ? (void *)&natural : (void *)&narrow, is_wide ? 8 : 4);
    return true;
}

static bool take_map(struct reader *r, const struct pb_field *f, char *msg)
{
    const struct pb_message *type = pb_field_message(f);
    const struct pb_field *key = pb_fields + type->field_first, *value = key + 1;
    if (!json_open(r->in, '{')) return false;
    r->depth++; /* entries count as messages, as they do in binary */
    while (json_more(r->in, '}')) {
        bool is_known;
        char **to = (char **)(void *)add_element(r, f, msg), *entry = to != NULL ? zeroed(r, type->size) : NULL;
        if (entry == NULL || !take_map_key(r, key, entry)) return false;
        *to = entry;
        if (json_peek(r->in) == 'n' && !null_is_value(r, value)) return json_refuse(r->in, "null as a value of a map");
        if (!take_value(r, value, entry + value->offset, &is_known)) return false;
        if (!is_known) --*(size_t *)(void *)(msg + f->aux);
    }
    r->depth--;
    return !json_failed(r->in);
}

/* The value of a field whose name has been read. */
static bool take_field(struct reader *r, const struct pb_field *f, char *msg, uint64_t *seen, size_t index)
{
    if (json_peek(r->in) == 'n' && !(f->label < PB_REPEATED && null_is_value(r, f))) return json_null(r->in);
    if ((seen[index / 64] >> index % 64 & 1) != 0) return json_refuse(r->in, "%.*s is there twice", STR_ARG(pb_name(f->json_name)));
    seen[index / 64] |= UINT64_C(1) << index % 64;
    if (f->label == PB_MAP) return take_map(r, f, msg);
    if (pb_is_repeated(f)) return take_list(r, f, msg);
    bool is_known;
    int32_t *which = f->label == PB_ONEOF ? (int32_t *)(void *)(msg + f->aux) : NULL;
    if (which != NULL && *which != 0) return json_refuse(r->in, "%.*s excludes a field that is there", STR_ARG(pb_name(f->json_name)));
    if (!take_value(r, f, msg + f->offset, &is_known)) return false;
    if (is_known && which != NULL) *which = (int32_t)f->number;
    if (is_known && f->label == PB_OPTIONAL) *(bool *)(msg + f->aux) = true;
    return true;
}

/* An object with the fields of the message; of a packed one, "@type" is passed over. */
static bool take_fields(struct reader *r, const struct pb_message *type, char *msg, bool is_any)
{
    uint64_t seen[FIELD_COUNT_MAX / 64] = {0};
    ensure(type->field_count <= FIELD_COUNT_MAX);
    const struct pb_field *first = pb_fields + type->field_first, *guess = first;
    if (!json_open(r->in, '{')) return false;
    while (json_more(r->in, '}')) {
        struct str name;
        if (!json_key(r->in, &name)) return false;
        /* Fields mostly come in their order, so the next one is tried first. */
        const struct pb_field *f = guess < first + type->field_count && str_equal(pb_name(guess->json_name), name) ? guess : pb_field_find_name(type, name);
        if (f == NULL) {
            if (!(is_any && str_equal_c(name, "@type")) && (r->flags & PB_JSON_IGNORE_UNKNOWN) == 0) {
                return json_refuse(r->in, "%.*s has no field %.*s", STR_ARG(pb_name(type->name)), STR_ARG(name));
            }
            if (!json_skip(r->in, NULL)) return false;
            continue;
        }
        guess = f + 1;
        if (!take_field(r, f, msg, seen, (size_t)(f - first))) return false;
    }
    return !json_failed(r->in);
}

/* ---- types with a form of their own -------------------------------------------------------------------------- */

static bool take_timestamp(struct reader *r, pb_google_Timestamp *t)
{
    struct str text;
    if (!json_string(r->in, &text)) return false;
    return pb_parse_timestamp(text, &t->seconds, &t->nanos) || json_refuse(r->in, "not a time in RFC 3339: %.*s", STR_ARG(text));
}

static bool take_duration(struct reader *r, pb_google_Duration *d)
{
    struct str text;
    if (!json_string(r->in, &text)) return false;
    return pb_parse_duration(text, &d->seconds, &d->nanos) || json_refuse(r->in, "not a duration such as \"1.5s\": %.*s", STR_ARG(text));
}

/* "a.fooBar,b" -> a.foo_bar and b */
static bool take_field_mask(struct reader *r, const struct pb_message *type, char *msg)
{
    struct str text;
    const struct pb_field *paths = pb_fields + type->field_first;
    if (!json_string(r->in, &text)) return false;
    while (text.size != 0) {
        const char *comma = memchr(text.data, ',', text.size);
        struct str path = {text.data, comma != NULL ? (size_t)(comma - text.data) : text.size};
        if (path.size == 0 || (comma != NULL && path.size + 1 == text.size)) return json_refuse(r->in, "a field mask with an empty name");
        char *snake = zeroed(r, 2 * path.size + 1);
        struct str *to = snake != NULL ? (struct str *)(void *)add_element(r, paths, msg) : NULL;
        if (to == NULL) return false;
        size_t size = 0;
        for (size_t i = 0; i < path.size; i++) {
            char c = path.data[i];
            if (c == '_') return json_refuse(r->in, "a field mask has its names in camelCase");
            if (c >= 'A' && c <= 'Z') snake[size++] = '_';
            snake[size++] = c >= 'A' && c <= 'Z' ? (char)(c + 0x20) : c;
        }
        *to = str_make(snake, size);
        text = str_skip(text, path.size + (comma != NULL ? 1 : 0));
    }
    return true;
}

static bool take_dynamic(struct reader *r, const struct pb_message *type, pb_google_Value *value)
{
    uint32_t number;
    bool is_known;
    switch (json_peek(r->in)) {
    case 'n': number = pb_google_Value_null_value_tag; break;
    case '"': number = pb_google_Value_string_value_tag; break;
    case 't': case 'f': number = pb_google_Value_bool_value_tag; break;
    case '{': number = pb_google_Value_struct_value_tag; break;
    case '[': number = pb_google_Value_list_value_tag; break;
    default: number = pb_google_Value_number_value_tag; break;
    }
    const struct pb_field *f = pb_field_find(type, number);
    value->kind_case = (int32_t)number;
    return take_value(r, f, (char *)value + f->offset, &is_known);
}

/* Finds "@type", wherever it stands in the object, without moving on. */
static bool find_any_type(struct reader *r, struct str *url)
{
    struct json_in ahead = *r->in;
    bool found = false;
    struct str key;
    if (!json_open(&ahead, '{')) return found;
    while (json_more(&ahead, '}')) {
        if (!json_key(&ahead, &key)) break;
        if (str_equal_c(key, "@type") && !found) {
            if (!json_string(&ahead, url)) break;
            found = true;
        } else if (!json_skip(&ahead, NULL)) {
            break;
        }
    }
    if (json_failed(&ahead)) *r->in = ahead; /* the text is at fault */
    return found && !json_failed(&ahead);
}

/* {"@type": …, "value": …}: the packed type has a JSON form of its own, or is not known and given as bytes. */
static bool take_any_value(struct reader *r, const struct pb_message *type, char *packed, struct str *bytes)
{
    bool found = false;
    struct str key;
    if (!json_open(r->in, '{')) return false;
    while (json_more(r->in, '}')) {
        if (!json_key(r->in, &key)) return false;
        if (str_equal_c(key, "value") && !found) {
            found = true;
            if (!(type != NULL ? take_message(r, type, packed) : take_bytes(r, (char *)bytes))) return false;
        } else if (str_equal_c(key, "@type")) {
            if (!json_skip(r->in, NULL)) return false;
        } else {
            return json_refuse(r->in, "a packed message of this type has @type and value only");
        }
    }
    return !json_failed(r->in);
}

static bool take_any(struct reader *r, pb_google_Any *any)
{
    struct str url;
    if (!find_any_type(r, &url)) {
        if (json_failed(r->in) || !json_open(r->in, '{')) return false;
        return !json_more(r->in, '}') ? !json_failed(r->in) : json_refuse(r->in, "a packed message without @type");
    }
    size_t slash = url.size;
    while (slash > 0 && url.data[slash - 1] != '/') slash--;
    const struct pb_message *type = pb_message_find(str_skip(url, slash));
    any->type_url = url;
    if (type == NULL) return take_any_value(r, NULL, NULL, &any->value);
    char *packed = zeroed(r, type->size);
    if (packed == NULL) return false;
    bool is_plain = type->special == PB_PLAIN || type->special >= PB_PAYLOAD;
    if (!(is_plain ? take_fields(r, type, packed, true) : take_any_value(r, type, packed, NULL))) return false;
    struct buf bytes = {0};
    pb_encode(type, packed, &bytes);
    char *copy = zeroed(r, bytes.size);
    if (copy != NULL && bytes.size != 0) memcpy(copy, bytes.data, bytes.size);
    any->value = str_make(copy, bytes.size);
    buf_fini(&bytes);
    return copy != NULL;
}

/* ---- the payload shorthand ----------------------------------------------------------------------------------- */

/* Is the next value an object in the payload's usual form, i.e. with its fields and nothing else? *message_type: what
 * "_protoMessageType" says, if anything. */
static bool is_full_payload(struct reader *r, struct str *message_type)
{
    struct json_in ahead = *r->in;
    bool has_metadata = false, has_other = false;
    struct str key;
    ahead.error = NULL;
    if (json_peek(&ahead) != '{' || !json_open(&ahead, '{')) return false;
    while (json_more(&ahead, '}')) {
        if (!json_key(&ahead, &key)) return false;
        if (str_equal_c(key, "_protoMessageType") && json_peek(&ahead) == '"') {
            if (!json_string(&ahead, message_type)) return false;
            continue;
        }
        if (str_equal_c(key, "metadata") && json_peek(&ahead) == '{') has_metadata = true;
        else if (!str_equal_c(key, "data") && !str_equal_c(key, "externalPayloads") && !str_equal_c(key, "external_payloads")) has_other = true;
        if (!json_skip(&ahead, NULL)) return false;
    }
    return has_metadata && !has_other && !json_failed(&ahead);
}

static bool add_metadata(struct reader *r, pb_common_Payload *payload, struct str key, struct str value)
{
    const struct pb_field *f = pb_field_find(&pb_common_Payload_type, 1);
    pb_common_Payload_MetadataEntry **to = (pb_common_Payload_MetadataEntry **)(void *)add_element(r, f, (char *)payload);
    if (to == NULL || (*to = zeroed(r, sizeof **to)) == NULL) return false;
    (*to)->key = key;
    (*to)->value = value;
    return true;
}

/* The next value on one line, as a payload's data; of a message, without its type. */
static bool take_raw_json(struct reader *r, bool is_message, struct str *out)
{
    struct str raw, key;
    struct buf text = {0};
    struct json_out w = {.out = &text};
    const char *from = r->in->at;
    if (!json_skip(r->in, &raw)) return false;
    if (!is_message) {
        (void)json_put_json(&w, raw);
    } else {
        struct json_in again;
        json_init(&again, str_make(from, (size_t)(r->in->at - from)), r->in->arena, NULL);
        (void)json_open(&again, '{');
        json_put_open(&w, '{');
        while (json_more(&again, '}') && json_key(&again, &key) && json_skip(&again, &raw)) {
            if (str_equal_c(key, "_protoMessageType")) continue;
            json_put_key(&w, key);
            (void)json_put_json(&w, raw);
        }
        json_put_close(&w, '}');
        if (again.failed == ERR_OVER_BUDGET) (void)json_refuse_memory(r->in);
    }
    char *copy = !json_failed(r->in) ? zeroed(r, text.size) : NULL;
    if (copy != NULL) memcpy(copy, text.data, text.size);
    *out = str_make(copy, text.size);
    buf_fini(&text);
    return copy != NULL;
}

static bool take_shorthand(struct reader *r, pb_common_Payload *payload, struct str message_type)
{
    if (json_peek(r->in) == 'n') return add_metadata(r, payload, STR("encoding"), STR("binary/null")) && json_null(r->in);
    bool is_message = message_type.size != 0;
    if (!add_metadata(r, payload, STR("encoding"), is_message ? STR("json/protobuf") : STR("json/plain"))) return false;
    if (is_message && !add_metadata(r, payload, STR("messageType"), message_type)) return false;
    return take_raw_json(r, is_message, &payload->data);
}

static bool take_special(struct reader *r, const struct pb_message *type, char *msg)
{
    void *any_type = msg;
    const struct pb_field *first = pb_fields + type->field_first;
    bool is_known;
    struct str message_type = STR_EMPTY;
    switch (type->special) {
    case PB_ANY: return take_any(r, any_type);
    case PB_TIMESTAMP: return take_timestamp(r, any_type);
    case PB_DURATION: return take_duration(r, any_type);
    case PB_FIELD_MASK: return take_field_mask(r, type, msg);
    case PB_STRUCT: return take_map(r, first, msg);
    case PB_LIST_VALUE: return take_list(r, first, msg);
    case PB_VALUE: return take_dynamic(r, type, any_type);
    case PB_WRAPPER: return take_value(r, first, msg + first->offset, &is_known);
    case PB_PAYLOADS:
        if ((r->flags & PB_JSON_SHORTHAND) != 0 && json_peek(r->in) == '[') return take_list(r, first, msg);
        break;
    case PB_PAYLOAD:
        if ((r->flags & PB_JSON_SHORTHAND) != 0 && !is_full_payload(r, &message_type)) return take_shorthand(r, any_type, message_type);
        break;
    default: break;
    }
    return take_fields(r, type, msg, false);
}

static bool take_message(struct reader *r, const struct pb_message *type, char *msg)
{
    if (r->depth > PB_DEPTH_MAX) return json_refuse(r->in, "nested too deep");
    r->depth++;
    bool ok = take_special(r, type, msg);
    r->depth--;
    return ok;
}

bool pb_json_take(const struct pb_message *type, struct json_in *in, unsigned flags, void **out)
{
    struct reader r = {in, flags, 0};
    char *msg = zeroed(&r, type->size);
    if (msg == NULL || !take_message(&r, type, msg)) return false;
    *out = msg;
    return true;
}

err pb_json_read(const struct pb_message *type, struct str text, unsigned flags, struct arena *arena, struct error *error, void **out)
{
    struct json_in in;
    void *msg = NULL;
    json_init(&in, text, arena, error);
    if (pb_json_take(type, &in, flags, &msg) && json_end(&in)) *out = msg;
    return in.failed;
}
