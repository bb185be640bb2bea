/* proto/pb_json.h: messages as JSON, both ways: the mapping documented for proto3, with what histories and the HTTP API of
 * Temporal add to it.
 *
 * Reading accepts field names of both spellings, enums by number, by name and by the short names of old histories
 * ("WorkflowExecutionStarted"), 64-bit numbers with and without quotes, and both base64 alphabets.
 * Thread: any.   Source: protobuf's JSON mapping; the payload shorthand as Temporal's HTTP API documents it. */
#ifndef PROTO_PB_JSON_H
#define PROTO_PB_JSON_H

#include "proto/json.h"
#include "proto/pb.h"

enum {
    PB_JSON_PRETTY = 1,         /* writing: indented by two spaces */
    PB_JSON_SHORT_ENUMS = 2,    /* writing: "TimerFired" for EVENT_TYPE_TIMER_FIRED */
    PB_JSON_DEFAULTS = 4,       /* writing: also zero scalars, empty lists and maps */
    PB_JSON_PROTO_NAMES = 8,    /* writing: field names as in the interface files */
    PB_JSON_IGNORE_UNKNOWN = 16, /* reading: skip fields and enum names that are not known, instead of refusing */
    /* Both ways: a payload that holds JSON (and no metadata but its encoding) is that JSON itself, a null payload is
     * null, one of a protobuf message that object with "_protoMessageType" added; Payloads are a list of such. All other
     * payloads keep the usual form. */
    PB_JSON_SHORTHAND = 32,
};

/* Appends the message. ERR_INVALID: JSON has no form for a value in it (a time outside the years 1 to 9999, a span
 * outside 10,000 years, an unset Value); what was appended then is not complete. */
MUST_USE err pb_json_write(const struct pb_message *type, const void *msg, unsigned flags, struct buf *out);
/* As part of a larger document. */
MUST_USE err pb_json_put(const struct pb_message *type, const void *msg, unsigned flags, struct json_out *w);

/* Reads a whole text. ERR_INVALID: `error` (may be NULL) says what is wrong and at which line and column.
 * ERR_OVER_BUDGET: the arena's budget does not suffice. */
MUST_USE err pb_json_read(const struct pb_message *type, struct str text, unsigned flags, struct arena *arena, struct error *error, void **out);
#define PB_JSON_READ(arena, text, name, flags, error, out) \
    pb_json_read(&name##_type, (text), (flags), (arena), (error), (void **)(1 ? (out) : (name **)NULL))
/* The next value of a larger document. False: the reader has failed. */
bool pb_json_take(const struct pb_message *type, struct json_in *in, unsigned flags, void **out);

/* "2024-02-29T12:00:00.5Z" and "1.5s", as the mapping spells them. The first also accepts offsets. False: not such a text,
 * or out of range. */
bool pb_parse_timestamp(struct str text, int64_t *seconds, int32_t *nanos);
bool pb_parse_duration(struct str text, int64_t *seconds, int32_t *nanos);
bool pb_format_timestamp(int64_t seconds, int32_t nanos, char out[static 40]); /* terminated */
bool pb_format_duration(int64_t seconds, int32_t nanos, char out[static 40]);

#endif
