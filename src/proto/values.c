#include "proto/api.h"

enum { NANOS = 1000000000 };

static int64_t to_ns(int64_t seconds, int32_t nanos)
{
    int64_t ns;
    if (__builtin_mul_overflow(seconds, (int64_t)NANOS, &ns) || __builtin_add_overflow(ns, (int64_t)nanos, &ns)) {
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    }
    return ns;
}

instant pb_instant(const struct pb_google_Timestamp *t) { return (instant){t != NULL ? to_ns(t->seconds, t->nanos) : 0}; }
duration pb_duration(const struct pb_google_Duration *d) { return (duration){d != NULL ? to_ns(d->seconds, d->nanos) : 0}; }

struct pb_google_Timestamp *pb_timestamp_new(struct arena *arena, instant t)
{
    if (!instant_is_set(t)) return NULL;
    pb_google_Timestamp *out = pb_new(arena, pb_google_Timestamp);
    out->seconds = t.ns / NANOS;
    out->nanos = (int32_t)(t.ns % NANOS);
    if (out->nanos < 0) { /* nanos always count forward */
        out->seconds -= 1;
        out->nanos += NANOS;
    }
    return out;
}

struct pb_google_Duration *pb_duration_new(struct arena *arena, duration d)
{
    pb_google_Duration *out = pb_new(arena, pb_google_Duration);
    out->seconds = d.ns / NANOS;
    out->nanos = (int32_t)(d.ns % NANOS);
    return out;
}

bool pb_duration_is_valid(const struct pb_google_Duration *d)
{
    if (d == NULL) return true;
    const int64_t most = INT64_C(315576000000);
    if (d->seconds > most || d->seconds < -most || d->nanos <= -NANOS || d->nanos >= NANOS) return false;
    return !(d->seconds > 0 && d->nanos < 0) && !(d->seconds < 0 && d->nanos > 0);
}

struct pb_common_Payload *pb_payload_new(struct arena *arena, struct str encoding, struct str data)
{
    pb_common_Payload *payload = pb_new(arena, pb_common_Payload);
    pb_common_Payload_MetadataEntry *entry = PB_PUSH_NEW(arena, payload, metadata);
    entry->key = STR("encoding");
    entry->value = encoding;
    payload->data = data;
    return payload;
}

struct str pb_payload_metadata(const struct pb_common_Payload *payload, struct str key)
{
    if (payload == NULL) return STR_EMPTY;
    for (size_t i = payload->metadata_count; i-- > 0;) /* of equal keys the last one counts */
        if (str_equal(payload->metadata[i]->key, key)) return payload->metadata[i]->value;
    return STR_EMPTY;
}

struct pb_common_Payloads *pb_payloads_of(struct arena *arena, struct pb_common_Payload *payload)
{
    pb_common_Payloads *list = pb_new(arena, pb_common_Payloads);
    PB_PUSH(arena, list, payloads) = payload;
    return list;
}
