#include "core/marker.h"

#include "base/instant.h"
#include "proto/json.h"

bool marker_field(struct arena *arena, struct str object, const char *name, struct str *raw)
{
    struct json_in in;
    struct str key, value, want = str_of(name);
    json_init(&in, object, arena, NULL);
    if (!json_open(&in, '{')) return false;
    while (json_more(&in, '}')) {
        if (!json_key(&in, &key) || !json_skip(&in, &value)) return false;
        if (!str_equal(key, want)) continue;
        *raw = value;
        return true;
    }
    return false;
}

bool marker_string(struct arena *arena, struct str object, const char *name, struct str *out)
{
    struct json_in in;
    struct str raw;
    if (!marker_field(arena, object, name, &raw)) return false;
    json_init(&in, raw, arena, NULL);
    return json_string(&in, out) && json_end(&in);
}

bool marker_uint32(struct arena *arena, struct str object, const char *name, uint32_t *out)
{
    struct str raw;
    int64_t value;
    if (!marker_field(arena, object, name, &raw) || !json_parse_int(raw, &value) || value < 0 || value > UINT32_MAX) return false;
    *out = (uint32_t)value;
    return true;
}

bool marker_bool(struct arena *arena, struct str object, const char *name, bool *out)
{
    struct str raw;
    if (!marker_field(arena, object, name, &raw)) return false;
    *out = str_equal(raw, STR("true"));
    return *out || str_equal(raw, STR("false"));
}

bool marker_time(struct arena *arena, struct str object, const char *name, int64_t *ns)
{
    struct str time, raw;
    int64_t seconds, nanos, sum;
    if (!marker_field(arena, object, name, &time)) return false;
    if (!marker_field(arena, time, "seconds", &raw) || !json_parse_int(raw, &seconds)) return false;
    if (!marker_field(arena, time, "nanos", &raw) || !json_parse_int(raw, &nanos) || nanos < 0 || nanos >= NS_PER_S) return false;
    if (__builtin_mul_overflow(seconds, NS_PER_S, &sum) || __builtin_add_overflow(sum, nanos, ns)) return false;
    return true;
}

void marker_put_string(struct buf *out, struct str text)
{
    struct json_out w = {.out = out};
    json_put_string(&w, text);
}

void marker_put_time(struct buf *out, const char *name, int64_t ns, bool is_set)
{
    if (!is_set) buf_printf(out, ",\"%s\":null", name);
    else buf_printf(out, ",\"%s\":{\"seconds\":%" PRId64 ",\"nanos\":%" PRId64 "}", name, ns / NS_PER_S, ns % NS_PER_S);
}
