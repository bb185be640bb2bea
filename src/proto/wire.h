/* proto/wire.h: the smallest parts of the binary encoding, shared by the codec's files and by the
 * Python extension's dicts. Not for other folders. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include "proto/pb.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4, WIRE_FIXED32 = 5 };
enum { VARINT_SIZE_MAX = 10 };

/* What a kind of field looks like on the wire and in memory. */
static const uint8_t wire_type_of[] = {
    [PB_DOUBLE] = WIRE_FIXED64, [PB_FLOAT] = WIRE_FIXED32, [PB_INT32] = WIRE_VARINT, [PB_INT64] = WIRE_VARINT,
    [PB_UINT32] = WIRE_VARINT, [PB_UINT64] = WIRE_VARINT, [PB_SINT32] = WIRE_VARINT, [PB_SINT64] = WIRE_VARINT,
    [PB_FIXED32] = WIRE_FIXED32, [PB_FIXED64] = WIRE_FIXED64, [PB_SFIXED32] = WIRE_FIXED32,
    [PB_SFIXED64] = WIRE_FIXED64, [PB_BOOL] = WIRE_VARINT, [PB_ENUM] = WIRE_VARINT, [PB_STRING] = WIRE_BYTES,
    [PB_BYTES] = WIRE_BYTES, [PB_MESSAGE] = WIRE_BYTES,
};
static const uint8_t size_of_kind[] = {
    [PB_DOUBLE] = 8, [PB_FLOAT] = 4, [PB_INT32] = 4, [PB_INT64] = 8, [PB_UINT32] = 4, [PB_UINT64] = 8,
    [PB_SINT32] = 4, [PB_SINT64] = 8, [PB_FIXED32] = 4, [PB_FIXED64] = 8, [PB_SFIXED32] = 4, [PB_SFIXED64] = 8,
    [PB_BOOL] = 1, [PB_ENUM] = 4, [PB_STRING] = sizeof(struct str), [PB_BYTES] = sizeof(struct str),
    [PB_MESSAGE] = sizeof(void *),
};

const uint8_t *wire_read_long_varint(const uint8_t *p, const uint8_t *end, uint64_t *out); /* as below, of more than one byte */

/* A varint at p; the byte behind it, or NULL when it is cut off or longer than ten bytes. Bits past the 64th are dropped,
 * as the official runtimes do. */
static inline const uint8_t *wire_read_varint(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    if (p >= end || *p >= 0x80) return wire_read_long_varint(p, end, out);
    *out = *p;
    return p + 1;
}

static inline size_t wire_varint_size(uint64_t value) { return (size_t)(9 * (63 - __builtin_clzll(value | 1)) + 73) / 64; }

static inline char *wire_write_varint(char *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (char)(value | 0x80);
        value >>= 7;
    }
    *p++ = (char)value;
    return p;
}

static inline uint64_t wire_load(const void *p, uint8_t kind) /* a scalar's bits as the varint that is written */
{
    uint64_t u64;
    uint32_t u32;
    switch (kind) {
    case PB_BOOL: return *(const bool *)p;
    case PB_INT64: case PB_UINT64: memcpy(&u64, p, 8); return u64;
    case PB_SINT64: memcpy(&u64, p, 8); return (u64 << 1) ^ (uint64_t)((int64_t)u64 >> 63);
    case PB_UINT32: memcpy(&u32, p, 4); return u32;
    case PB_SINT32: memcpy(&u32, p, 4); return (uint32_t)((u32 << 1) ^ (uint32_t)((int32_t)u32 >> 31));
    default: memcpy(&u32, p, 4); return (uint64_t)(int64_t)(int32_t)u32; /* int32, enum: sign-extended */
    }
}

/* Is the scalar or string at p zero, i.e. not written without explicit presence? */
static inline bool wire_is_zero(const void *p, uint8_t kind)
{
    uint64_t u64;
    uint32_t u32;
    switch (size_of_kind[kind]) {
    case 1: return *(const uint8_t *)p == 0;
    case 4: memcpy(&u32, p, 4); return u32 == 0;
    case 8: memcpy(&u64, p, 8); return u64 == 0;
    default: return ((const struct str *)p)->size == 0;
    }
}

/* Is the field of this message present? For repeated ones: is there an element? */
static inline bool wire_is_present(const struct pb_field *f, const char *msg)
{
    switch (f->label) {
    case PB_SINGULAR: return !wire_is_zero(msg + f->offset, f->kind);
    case PB_OPTIONAL: return *(const bool *)(msg + f->aux);
    case PB_ONEOF: return *(const int32_t *)(const void *)(msg + f->aux) == (int32_t)f->number;
    default: return *(const size_t *)(const void *)(msg + f->aux) != 0;
    }
}

/* The capacity of a repeated field follows its count. */
#define WIRE_CAPACITY(count_ptr) ((count_ptr)[1])

bool wire_is_utf8(const char *data, size_t size);
/* The byte behind the value of a field whose tag has been read; NULL when it is cut off or not valid. */
const uint8_t *wire_skip(const uint8_t *p, const uint8_t *end, uint64_t tag);

#endif
