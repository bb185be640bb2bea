#include "proto/wire.h"

#include <stdlib.h>

/* Writes from the last byte to the first: a message's size is known when its own bytes are there, so nothing is walked
 * twice. The bytes grow down from `end` towards `start`; grow() moves them to a bigger block. */
struct encoder {
    char *block, *next, *end;
    char *heap; /* the block, when it is ours to free */
};

static void grow(struct encoder *w, size_t more)
{
    size_t used = (size_t)(w->end - w->next), capacity = (size_t)(w->end - w->block);
    size_t bigger = size_max(capacity * 2, used + more + 256);
    char *block = xmalloc(bigger);
    if (used != 0) memcpy(block + bigger - used, w->next, used);
    free(w->heap);
    *w = (struct encoder){block, block + bigger - used, block + bigger, block};
}

static inline char *room(struct encoder *w, size_t size)
{
    if ((size_t)(w->next - w->block) < size) grow(w, size);
    return w->next -= size;
}

static inline void put_varint(struct encoder *w, uint64_t value)
{
    if (value < 0x80) {
        *room(w, 1) = (char)value;
        return;
    }
    wire_write_varint(room(w, wire_varint_size(value)), value);
}

static inline void put_tag(struct encoder *w, uint32_t number, unsigned type) { put_varint(w, (uint64_t)number << 3 | type); }

static void put_message(struct encoder *w, const struct pb_message *type, const char *msg);

/* The value without its tag; strings and messages with their size. */
static void put_value(struct encoder *w, const struct pb_field *f, const char *at)
{
    switch (wire_type_of[f->kind]) {
    case WIRE_VARINT: put_varint(w, wire_load(at, f->kind)); return;
    case WIRE_FIXED64: memcpy(room(w, 8), at, 8); return;
    case WIRE_FIXED32: memcpy(room(w, 4), at, 4); return;
    default: break;
    }
    size_t before = (size_t)(w->end - w->next);
    if (f->kind == PB_MESSAGE) {
        const char *sub = *(const char *const *)(const void *)at;
        if (sub != NULL) put_message(w, pb_field_message(f), sub);
    } else {
        const struct str *s = (const struct str *)(const void *)at;
        if (s->size != 0) memcpy(room(w, s->size), s->data, s->size);
    }
    put_varint(w, (size_t)(w->end - w->next) - before);
}

static void put_repeated(struct encoder *w, const struct pb_field *f, const char *msg)
{
    size_t count = *(const size_t *)(const void *)(msg + f->aux), size = size_of_kind[f->kind];
    const char *array = *(const char *const *)(const void *)(msg + f->offset);
    size_t before = (size_t)(w->end - w->next);
    if (count == 0) return;
    for (size_t i = count; i-- > 0;) {
        put_value(w, f, array + i * size);
        if (f->label != PB_PACKED) put_tag(w, f->number, wire_type_of[f->kind]);
    }
    if (f->label == PB_PACKED) {
        put_varint(w, (size_t)(w->end - w->next) - before);
        put_tag(w, f->number, WIRE_BYTES);
    }
}

/* Of a run of fields of one oneof that ends with f, the one that is set, or else the first: the rest need no look. */
static const struct pb_field *chosen(const struct pb_message *type, const struct pb_field *f, const char *msg)
{
    const struct pb_field *first = f - f->oneof_run;
    int32_t number = *(const int32_t *)(const void *)(msg + f->aux);
    const struct pb_field *set = number > 0 ? pb_field_find(type, (uint32_t)number) : NULL;
    return set != NULL && set >= first && set <= f ? set : first;
}

static void put_message(struct encoder *w, const struct pb_message *type, const char *msg)
{
    const struct str *unknown = (const struct str *)(const void *)msg;
    if (unknown->size != 0) memcpy(room(w, unknown->size), unknown->data, unknown->size);
    const struct pb_field *first = pb_fields + type->field_first;
    for (const struct pb_field *f = first + type->field_count; f-- > first;) {
        if (f->label == PB_ONEOF && f->oneof_run != 0) f = chosen(type, f, msg);
        if (pb_is_repeated(f)) {
            put_repeated(w, f, msg);
        } else if (wire_is_present(f, msg) || type->is_map_entry) {
            put_value(w, f, msg + f->offset);
            put_tag(w, f->number, wire_type_of[f->kind]);
        }
    }
}

void pb_encode(const struct pb_message *type, const void *msg, struct buf *out)
{
    char local[2048];
    size_t spare = out->capacity - out->size;
    struct encoder w = {.block = local, .next = local + sizeof local, .end = local + sizeof local};
    if (spare > sizeof local) {
        w.block = out->data + out->size;
        w.next = w.end = out->data + out->capacity;
    }
    put_message(&w, type, msg);
    size_t size = (size_t)(w.end - w.next);
    if (w.heap == NULL && spare > sizeof local) {
        memmove(w.block, w.next, size);
        out->size += size;
    } else {
        buf_append(out, w.next, size);
    }
    free(w.heap);
}

struct str pb_encode_arena(const struct pb_message *type, const void *msg, struct arena *arena)
{
    char local[2048];
    struct encoder w = {.block = local, .next = local + sizeof local, .end = local + sizeof local};
    put_message(&w, type, msg);
    struct str bytes = arena_str(arena, str_make(w.next, (size_t)(w.end - w.next)));
    free(w.heap);
    return bytes;
}

static size_t message_size(const struct pb_message *type, const char *msg);

static size_t value_size(const struct pb_field *f, const char *at)
{
    size_t size;
    switch (wire_type_of[f->kind]) {
    case WIRE_VARINT: return wire_varint_size(wire_load(at, f->kind));
    case WIRE_FIXED64: return 8;
    case WIRE_FIXED32: return 4;
    default: break;
    }
    if (f->kind == PB_MESSAGE) {
        const char *sub = *(const char *const *)(const void *)at;
        size = sub != NULL ? message_size(pb_field_message(f), sub) : 0;
    } else {
        size = ((const struct str *)(const void *)at)->size;
    }
    return wire_varint_size(size) + size;
}

static size_t message_size(const struct pb_message *type, const char *msg)
{
    size_t total = ((const struct str *)(const void *)msg)->size;
    const struct pb_field *first = pb_fields + type->field_first;
    for (const struct pb_field *f = first; f < first + type->field_count; f++) {
        size_t tag = wire_varint_size((uint64_t)f->number << 3), values = 0;
        if (!pb_is_repeated(f)) {
            if (wire_is_present(f, msg) || type->is_map_entry) total += tag + value_size(f, msg + f->offset);
            continue;
        }
        size_t count = *(const size_t *)(const void *)(msg + f->aux);
        const char *array = *(const char *const *)(const void *)(msg + f->offset);
        for (size_t i = 0; i < count; i++) values += value_size(f, array + i * size_of_kind[f->kind]);
        if (count == 0) continue;
        total += f->label == PB_PACKED ? tag + wire_varint_size(values) + values : count * tag + values;
    }
    return total;
}

size_t pb_encoded_size(const struct pb_message *type, const void *msg) { return message_size(type, msg); }

void pb_append_field(struct buf *out, uint32_t number, struct str value)
{
    char *p = wire_write_varint(buf_reserve(out, 2 * VARINT_SIZE_MAX + value.size), (uint64_t)number << 3 | WIRE_BYTES);
    p = wire_write_varint(p, value.size);
    if (value.size != 0) memcpy(p, value.data, value.size);
    out->size = (size_t)(p + value.size - out->data);
}
