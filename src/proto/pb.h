/* proto/pb.h: messages of the API: descriptors, the binary codec, and what is done with any message.
 *
 * A message is a plain struct, generated with a descriptor `<name>_type` from the interface files (names: README.md);
 * include "proto/api.h" for those of the API and "proto/perdure/<file>.h" for our own. A zeroed struct is the empty
 * message. Messages, their arrays and their strings live in one arena and end with it; several messages may share parts,
 * for encoding only reads.
 *
 * Thread: any; no state of its own.   Source: the protobuf encoding as documented for proto3. */
#ifndef PROTO_PB_H
#define PROTO_PB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"

enum { PB_DEPTH_MAX = 100 }; /* messages inside messages, when reading bytes from outside */

/* ---- descriptors: rows of generated tables ------------------------------------------------------------------- */

enum pb_kind {
    PB_DOUBLE, PB_FLOAT, PB_INT32, PB_INT64, PB_UINT32, PB_UINT64, PB_SINT32, PB_SINT64, PB_FIXED32, PB_FIXED64,
    PB_SFIXED32, PB_SFIXED64, PB_BOOL, PB_ENUM, PB_STRING, PB_BYTES, PB_MESSAGE,
};
enum pb_label {
    PB_SINGULAR, /* absent when zero; messages when NULL */
    PB_OPTIONAL, /* with a has_ flag */
    PB_ONEOF,    /* present when the case says so */
    PB_REPEATED, PB_PACKED,
    PB_MAP,      /* repeated entries {key = 1, value = 2} */
};
enum pb_special { /* types that JSON or the payload shorthand treats in a way of their own */
    PB_PLAIN, PB_ANY, PB_TIMESTAMP, PB_DURATION, PB_FIELD_MASK, PB_STRUCT, PB_VALUE, PB_LIST_VALUE, PB_WRAPPER,
    PB_PAYLOAD, PB_PAYLOADS,
};

struct pb_field {
    uint32_t number;
    uint32_t name, json_name; /* in pb_names */
    uint16_t offset;          /* of the value; of repeated ones, of the array */
    uint16_t aux;             /* offset of the count, the has_ flag or the case */
    uint16_t index;           /* messages and enums: which one in the group */
    uint8_t group;
    uint8_t kind, label;
    uint8_t oneof_run; /* how many fields right before this one are of the same oneof (at most 255) */
};
struct pb_message {
    uint32_t name; /* full name, in pb_names */
    uint32_t field_first;
    uint16_t field_count, dense_count; /* fields are sorted by number; the first dense_count are 1, 2, 3, … */
    uint16_t size;                     /* of the struct, bytes */
    uint16_t file;
    uint8_t special;
    bool is_map_entry;
};
struct pb_enum {
    uint32_t name, value_first;
    uint16_t value_count, file;
    uint8_t prefix_size; /* of what all value names begin with */
};
struct pb_enum_value { int32_t number; uint32_t name; };
struct pb_group { const struct pb_message *messages; const struct pb_enum *enums; uint16_t message_count, enum_count; };
struct pb_service { uint32_t name; uint16_t file; };
struct pb_http_rule { uint32_t verb, path, body; }; /* google.api.http; body "*" = the whole request, "" = none */
struct pb_method {
    uint32_t name;
    uint16_t service, request, response; /* the latter two in the group of the API */
    uint16_t rule_first, rule_count;
    bool is_client_streaming, is_server_streaming;
};
struct pb_file {
    uint32_t name, at, packed_size, size, dependency_first, dependency_count;
    bool is_public; /* not one of our stored formats */
};

#pragma GCC visibility push(hidden)
extern const struct pb_field pb_fields[];
extern const struct pb_enum_value pb_enum_values[];
extern const struct pb_group pb_groups[];
extern const struct pb_service pb_services[];
extern const struct pb_method pb_methods[]; /* sorted by name; indexes are the constants pb_ws_<Method>_method … */
extern const struct pb_http_rule pb_http_rules[];
extern const struct pb_file pb_files[];
extern const uint16_t pb_file_dependencies[];
extern const uint8_t pb_file_bytes[], pb_names[]; /* names: a size byte, the bytes, a NUL */
extern const size_t pb_group_count, pb_service_count, pb_method_count, pb_file_count;
#pragma GCC visibility pop

static inline struct str pb_name(uint32_t at) { return str_make(pb_names + at + 1, pb_names[at]); }
static inline const struct pb_message *pb_field_message(const struct pb_field *f) { return &pb_groups[f->group].messages[f->index]; }
static inline const struct pb_enum *pb_field_enum(const struct pb_field *f) { return &pb_groups[f->group].enums[f->index]; }
static inline bool pb_is_repeated(const struct pb_field *f) { return f->label >= PB_REPEATED; }

const struct pb_message *pb_message_find(struct str full_name); /* NULL: not known */
const struct pb_field *pb_field_find(const struct pb_message *type, uint32_t number);
/* Accepts the name of the interface file and the JSON name. */
const struct pb_field *pb_field_find_name(const struct pb_message *type, struct str name);

/* The name of a value, e.g. "EVENT_TYPE_TIMER_FIRED"; empty: not a known value. */
struct str pb_enum_name(const struct pb_enum *type, int32_t number);
/* The same without the prefix, in CamelCase: "TimerFired". */
struct str pb_enum_short_name(const struct pb_enum *type, int32_t number, struct arena *arena);
/* Accepts both spellings, the long one also in lower case or without its prefix. */
bool pb_enum_number(const struct pb_enum *type, struct str name, int32_t *out);

/* ---- services ------------------------------------------------------------------------------------------------ */

/* path: "/temporal.api.workflowservice.v1.WorkflowService/ListWorkflowExecutions". NULL: no such method. */
const struct pb_method *pb_method_find(struct str path);
static inline size_t pb_method_index(const struct pb_method *m) { return (size_t)(m - pb_methods); }
static inline struct str pb_method_name(const struct pb_method *m) { return pb_name(m->name); }
static inline struct str pb_method_service(const struct pb_method *m) { return pb_name(pb_services[m->service].name); }
static inline const struct pb_message *pb_method_request(const struct pb_method *m) { return &pb_groups[0].messages[m->request]; }
static inline const struct pb_message *pb_method_response(const struct pb_method *m) { return &pb_groups[0].messages[m->response]; }

/* For the reflection service. A file is an index into pb_files, -1 = none. Only public files are found. */
int pb_file_find(struct str file_name);
int pb_file_of_symbol(struct str symbol); /* full name of a message, field, enum, service or method */
/* The bytes of the file's google.protobuf.FileDescriptorProto, in the arena. */
MUST_USE err pb_file_descriptor(int file, struct arena *arena, struct str *out);

/* ---- making messages ----------------------------------------------------------------------------------------- */

#define pb_new(arena, type) ((type *)arena_zalloc((arena), sizeof(type)))
#define pb_array(arena, type, count) ((type *)arena_zalloc((arena), sizeof(type) * (count)))

/* Makes room for one more element behind *count in *array; used through the macros. Stops the process past the budget. */
void *pb_grow(struct arena *arena, void **array, size_t *count, size_t *capacity, size_t element_size);
/* Adds a zeroed element to a repeated field of scalars, strings or pointers; yields an lvalue:
 *     PB_PUSH(arena, request, start_signals) = STR("x"); */
#define PB_PUSH(arena, msg, field)                                                                                    \
    (*(__typeof__((msg)->field))pb_grow((arena), (void **)&(msg)->field, &(msg)->field##_count,                      \
                                        &(msg)->field##_capacity_, sizeof *(msg)->field))
/* Adds a zeroed message to a repeated message or map field and yields the pointer to it. */
#define PB_PUSH_NEW(arena, msg, field) \
    (PB_PUSH(arena, msg, field) = (__typeof__(*(msg)->field))arena_zalloc((arena), sizeof **(msg)->field))
/* Gives a repeated field an array made elsewhere. (Assigning array and count alone is fine while nobody pushes.) */
#define PB_SET_ARRAY(msg, field, array, count_) \
    ((msg)->field = (array), (msg)->field##_count = (count_), (msg)->field##_capacity_ = 0)

/* ---- the binary codec ---------------------------------------------------------------------------------------- */

enum { PB_COPY = 0, PB_ALIAS = 1 }; /* PB_ALIAS: strings point into the input, which then has to outlive the message */

/* Decodes a message into the arena.
 *
 * ERR_INVALID: not a message of this type, nested too deep, or text that is not UTF-8.
 * ERR_OVER_BUDGET: the arena's budget does not suffice. What was allocated stays in the arena. */
MUST_USE err pb_decode(const struct pb_message *type, struct str input, struct arena *arena, unsigned flags, void **out);
#define PB_DECODE_FLAGS(arena, input, name, flags, out) \
    pb_decode(&name##_type, (input), (arena), (flags), (void **)(1 ? (out) : (name **)NULL))
#define PB_DECODE(arena, input, name, out) PB_DECODE_FLAGS(arena, input, name, PB_COPY, out)
#define PB_DECODE_ALIAS(arena, input, name, out) PB_DECODE_FLAGS(arena, input, name, PB_ALIAS, out)

/* The same (PB_ALIAS) without the fields that nobody reads: bit n of `fields` leaves the field with number n of such a message out,
 * wherever it occurs. It stays absent; its value is stepped over and not checked. */
struct pb_unread { const struct pb_message *type; uint64_t fields; };
MUST_USE err pb_decode_partly(const struct pb_message *type, struct str input, struct arena *arena, const struct pb_unread *unread,
                              size_t unread_count, void **out);

/* Appends the encoded message: fields in the order of their numbers, then the unknown ones. The same message always
 * gives the same bytes. Text is not checked. */
void pb_encode(const struct pb_message *type, const void *msg, struct buf *out);
size_t pb_encoded_size(const struct pb_message *type, const void *msg);
struct str pb_encode_arena(const struct pb_message *type, const void *msg, struct arena *arena);
#define PB_ENCODE(name, msg, out) pb_encode(&name##_type, (1 ? (msg) : (const name *)NULL), (out))
#define PB_ENCODE_ARENA(name, msg, arena) pb_encode_arena(&name##_type, (1 ? (msg) : (const name *)NULL), (arena))
#define PB_SIZE(name, msg) pb_encoded_size(&name##_type, (1 ? (msg) : (const name *)NULL))

/* ---- whole messages ------------------------------------------------------------------------------------------ */

/* A deep copy, nothing shared with the original. */
void *pb_clone(const struct pb_message *type, const void *msg, struct arena *arena);
#define PB_CLONE(arena, name, msg) ((name *)pb_clone(&name##_type, (1 ? (msg) : (const name *)NULL), (arena)))
/* Lays `from` over `into`: present scalars replace, messages merge, repeated fields are appended, map keys replace.
 * Copies what it takes. */
void pb_merge(const struct pb_message *type, void *into, const void *from, struct arena *arena);
/* Field by field; the order of map entries does not matter; unknown fields are compared as bytes. NULL = absent. */
bool pb_equal(const struct pb_message *type, const void *a, const void *b);
#define PB_EQUAL(name, a, b) pb_equal(&name##_type, (1 ? (a) : (const name *)NULL), (1 ? (b) : (const name *)NULL))

/* The unknown field with this number in raw tag-value bytes (as unknown_ holds them), as the bytes of its value; the
 * last one wins. For reading length-delimited fields without a descriptor. */
bool pb_raw_field(struct str raw, uint32_t number, struct str *out);
/* Appends one length-delimited field, for splicing encoded messages together without decoding them. */
void pb_append_field(struct buf *out, uint32_t number, struct str value);

/* ---- time ---------------------------------------------------------------------------------------------------- */

struct pb_google_Timestamp;
struct pb_google_Duration;
/* NULL and what does not fit into an instant's range become 0 or the nearest end of the range. */
instant pb_instant(const struct pb_google_Timestamp *t);
duration pb_duration(const struct pb_google_Duration *d);
/* A time that is not set (0) becomes NULL, i.e. an absent field; pb_duration_new keeps 0. */
struct pb_google_Timestamp *pb_timestamp_new(struct arena *arena, instant t);
struct pb_google_Duration *pb_duration_new(struct arena *arena, duration d);
/* Is this a valid span: |seconds| at most 10,000 years' worth, nanos of the same sign and below a second? NULL is. */
bool pb_duration_is_valid(const struct pb_google_Duration *d);

/* ---- payloads ------------------------------------------------------------------------------------------------ */

struct pb_common_Payload;
struct pb_common_Payloads;
/* encoding: e.g. "json/plain"; data is borrowed. */
struct pb_common_Payload *pb_payload_new(struct arena *arena, struct str encoding, struct str data);
/* The metadata value under this key; empty when there is none (or the payload is NULL). */
struct str pb_payload_metadata(const struct pb_common_Payload *payload, struct str key);
/* One payload as a list. */
struct pb_common_Payloads *pb_payloads_of(struct arena *arena, struct pb_common_Payload *payload);

#endif
