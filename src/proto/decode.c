#include "proto/wire.h"

/* Strings point into `input` or, without PB_ALIAS, into the one copy of it made at the start; so decoding allocates
 * structs and arrays only. A run of elements of a repeated field is counted before it is read, so that its array is
 * allocated once. */
struct decoder {
    struct arena *arena;
    const struct pb_unread *unread;
    size_t unread_count;
};

static void *take(struct decoder *d, size_t size)
{
    struct arena *a = d->arena;
    size = (size + 15) & ~(size_t)15;
    if ((size_t)(a->end - a->next) >= size && a->next != NULL && size != 0) {
        void *p = a->next;
        a->next += size;
        return p;
    }
    return arena_try_alloc(a, size);
}

static err decode_message(struct decoder *d, const struct pb_message *type, char *msg, const uint8_t *p,
                          const uint8_t *end, int depth);

const uint8_t *wire_read_long_varint(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0, eight;
    if (end - p >= 8 && (memcpy(&eight, p, 8), (~eight & UINT64_C(0x8080808080808080)) != 0)) { /* all at once: seven bits of each byte move together */
        uint64_t last = ~eight & UINT64_C(0x8080808080808080);
        eight &= (last ^ (last - 1)) & UINT64_C(0x7f7f7f7f7f7f7f7f);
        eight = (eight & UINT64_C(0x007f007f007f007f)) | (eight & UINT64_C(0x7f007f007f007f00)) >> 1;
        eight = (eight & UINT64_C(0x00003fff00003fff)) | (eight & UINT64_C(0x3fff00003fff0000)) >> 2;
        *out = (eight & UINT64_C(0x000000000fffffff)) | (eight & UINT64_C(0x0fffffff00000000)) >> 4;
        return p + __builtin_ctzll(last) / 8 + 1;
    }
    for (unsigned shift = 0; shift < 70 && p < end; shift += 7) {
        uint8_t byte = *p++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return p;
        }
    }
    return NULL;
}

static inline uint64_t high_bits(const char *p)
{
    uint64_t eight;
    memcpy(&eight, p, 8);
    return eight & UINT64_C(0x8080808080808080);
}

static inline bool is_ascii(const char *data, size_t size)
{
    uint64_t high = 0;
    if (size >= 8) {
        for (size_t i = 0; i + 8 < size; i += 8) high |= high_bits(data + i);
        return (high | high_bits(data + size - 8)) == 0;
    }
    for (size_t i = 0; i < size; i++) high |= (uint8_t)data[i];
    return high < 0x80;
}

bool wire_is_utf8(const char *data, size_t size)
{
    if (is_ascii(data, size)) return true;
    const uint8_t *p = (const uint8_t *)data, *end = p + size;
    while (p < end) {
        while (end - p >= 8 && high_bits((const char *)p) == 0) p += 8;
        while (p < end && *p < 0x80) p++;
        if (p == end) break;
        int more = *p >= 0xc2 && *p <= 0xdf ? 1 : (*p & 0xf0) == 0xe0 ? 2 : *p >= 0xf0 && *p <= 0xf4 ? 3 : 0;
        if (more == 0 || end - p <= more) return false;
        uint8_t first = p[0], second = p[1];
        for (int i = 1; i <= more; i++)
            if ((p[i] & 0xc0) != 0x80) return false;
        if (first == 0xe0 && second < 0xa0) return false;  /* longer than needed */
        if (first == 0xed && second >= 0xa0) return false; /* half of a surrogate pair */
        if (first == 0xf0 && second < 0x90) return false;
        if (first == 0xf4 && second >= 0x90) return false; /* past U+10FFFF */
        p += more + 1;
    }
    return true;
}

/* The byte behind a field's value, whose tag has been read; NULL when it is cut off. */
static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end, uint64_t tag, int depth)
{
    uint64_t n;
    switch (tag & 7) {
    case WIRE_VARINT: return wire_read_varint(p, end, &n);
    case WIRE_FIXED64: return end - p >= 8 ? p + 8 : NULL;
    case WIRE_FIXED32: return end - p >= 4 ? p + 4 : NULL;
    case WIRE_BYTES:
        p = wire_read_varint(p, end, &n);
        return p != NULL && n <= (uint64_t)(end - p) ? p + n : NULL;
    case WIRE_GROUP:
        if (depth >= PB_DEPTH_MAX) return NULL;
        while ((p = wire_read_varint(p, end, &n)) != NULL && n <= UINT32_MAX && n >> 3 != 0) {
            if ((n & 7) == WIRE_GROUP_END) return n >> 3 == tag >> 3 ? p : NULL;
            if ((p = skip_value(p, end, n, depth + 1)) == NULL) return NULL;
        }
        return NULL;
    default: return NULL;
    }
}

const uint8_t *wire_skip(const uint8_t *p, const uint8_t *end, uint64_t tag) { return skip_value(p, end, tag, 0); }

const struct pb_field *pb_field_find(const struct pb_message *type, uint32_t number)
{
    const struct pb_field *fields = pb_fields + type->field_first;
    if (number - 1 < type->dense_count) return fields + (number - 1);
    size_t low = type->dense_count, high = type->field_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (fields[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return low < type->field_count && fields[low].number == number ? fields + low : NULL;
}

static void store_varint(void *to, uint8_t kind, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;
    switch (kind) {
    case PB_BOOL: *(bool *)to = value != 0; return;
    case PB_SINT64: value = (value >> 1) ^ (0 - (value & 1)); memcpy(to, &value, 8); return;
    case PB_SINT32: narrow = (narrow >> 1) ^ (0 - (narrow & 1)); memcpy(to, &narrow, 4); return;
    case PB_INT64: case PB_UINT64: memcpy(to, &value, 8); return;
    default: memcpy(to, &narrow, 4); return;
    }
}

/* What a message field points to: as it is, or a new one. NULL: out of budget. */
static inline char *sub_message(struct decoder *d, const struct pb_message *type, char *to)
{
    char *sub = *(char **)(void *)to;
    if (sub != NULL || (sub = take(d, type->size)) == NULL) return sub;
    *(char **)(void *)to = sub;
    return memset(sub, 0, type->size);
}

/* Reads one value of the field's own wire type to `to`; returns the byte behind it, NULL after setting *e. */
static inline __attribute__((always_inline)) const uint8_t *read_one(struct decoder *d, const struct pb_field *f, unsigned wire_type, char *to,
                                                                     const uint8_t *p, const uint8_t *end, int depth, err *e)
{
    uint64_t n;
    *e = ERR_INVALID;
    switch (wire_type) {
    case WIRE_VARINT:
        if ((p = wire_read_varint(p, end, &n)) != NULL) store_varint(to, f->kind, n);
        return p;
    case WIRE_FIXED64:
        if (end - p < 8) return NULL;
        memcpy(to, p, 8);
        return p + 8;
    case WIRE_FIXED32:
        if (end - p < 4) return NULL;
        memcpy(to, p, 4);
        return p + 4;
    default: break;
    }
    if ((p = wire_read_varint(p, end, &n)) == NULL || n > (uint64_t)(end - p)) return NULL;
    if (f->kind != PB_MESSAGE) {
        if (f->kind == PB_STRING && !wire_is_utf8((const char *)p, n)) return NULL;
        *(struct str *)(void *)to = str_make(p, n);
        return p + n;
    }
    const struct pb_message *type = pb_field_message(f);
    char *sub = sub_message(d, type, to);
    *e = sub != NULL ? decode_message(d, type, sub, p, p + n, depth + 1) : ERR_OVER_BUDGET;
    return *e == ERR_NONE ? p + n : NULL;
}

static __attribute__((noinline)) const uint8_t *read_value(struct decoder *d, const struct pb_field *f, char *to, const uint8_t *p,
                                                           const uint8_t *end, int depth, err *e)
{
    return read_one(d, f, wire_type_of[f->kind], to, p, end, depth, e);
}

/* Room for `more` elements behind the present ones, zeroed. */
static err grow_array(struct decoder *d, char *msg, const struct pb_field *f, size_t more)
{
    size_t *count = (size_t *)(void *)(msg + f->aux), size = size_of_kind[f->kind];
    char **array = (char **)(void *)(msg + f->offset);
    if (more <= WIRE_CAPACITY(count) - size_min(*count, WIRE_CAPACITY(count))) return ERR_NONE;
    size_t capacity = *count == 0 ? more : size_max(*count * 2, *count + more);
    char *bigger = take(d, capacity * size);
    if (bigger == NULL) return ERR_OVER_BUDGET;
    if (*count != 0) memcpy(bigger, *array, *count * size);
    memset(bigger + *count * size, 0, (capacity - *count) * size);
    *array = bigger;
    WIRE_CAPACITY(count) = capacity;
    return ERR_NONE;
}

static err read_packed(struct decoder *d, char *msg, const struct pb_field *f, const uint8_t *p, const uint8_t *end)
{
    size_t size = size_of_kind[f->kind], elements = 0;
    if (p == end) return ERR_NONE;
    if (wire_type_of[f->kind] != WIRE_VARINT) {
        if ((size_t)(end - p) % size != 0) return ERR_INVALID;
        elements = (size_t)(end - p) / size;
    } else {
        for (const uint8_t *q = p; q < end; q++) elements += *q < 0x80;
    }
    TRY(grow_array(d, msg, f, elements));
    size_t *count = (size_t *)(void *)(msg + f->aux);
    err e = ERR_INVALID;
    if (elements == 0) return p < end ? ERR_INVALID : ERR_NONE; /* there is no array then */
    while (p < end) {
        /* A varint that is cut off at the end was not counted, but reading it fails before it is stored. */
        p = read_value(d, f, *(char **)(void *)(msg + f->offset) + *count * size, p, end, 0, &e);
        if (p == NULL) return e;
        (*count)++;
    }
    return ERR_NONE;
}

/* Reads a run of elements with the same tag, the first of which is at p behind its tag. */
static const uint8_t *read_run(struct decoder *d, char *msg, const struct pb_field *f, uint64_t tag, const uint8_t *p,
                               const uint8_t *end, int depth, err *e)
{
    size_t run = 0, size = size_of_kind[f->kind];
    uint64_t next;
    *e = ERR_INVALID;
    for (const uint8_t *q = p;;) {
        if ((q = skip_value(q, end, tag, 0)) == NULL) return NULL;
        run++;
        if (q == end || (q = wire_read_varint(q, end, &next)) == NULL || next != tag) break;
    }
    if ((*e = grow_array(d, msg, f, run)) != ERR_NONE) return NULL;
    size_t *count = (size_t *)(void *)(msg + f->aux);
    while (true) {
        char *to = *(char **)(void *)(msg + f->offset) + *count * size;
        if ((p = read_value(d, f, to, p, end, depth, e)) == NULL) return NULL;
        (*count)++;
        if (--run == 0) return p;
        p = wire_read_varint(p, end, &next); /* the tag again, as counted above */
    }
}

/* A repeated field of the message; p is behind the tag. */
static const uint8_t *read_repeated(struct decoder *d, char *msg, const struct pb_field *f, uint64_t tag, const uint8_t *p,
                                    const uint8_t *end, int depth, err *e)
{
    if ((tag & 7) != WIRE_BYTES || wire_type_of[f->kind] == WIRE_BYTES) return read_run(d, msg, f, tag, p, end, depth, e);
    uint64_t n;
    *e = ERR_INVALID;
    if ((p = wire_read_varint(p, end, &n)) == NULL || n > (uint64_t)(end - p)) return NULL;
    *e = read_packed(d, msg, f, p, p + n);
    return *e == ERR_NONE ? p + n : NULL;
}

/* Notes that a field with a flag or a case of its own is present. */
static void set_present(char *msg, const struct pb_field *f)
{
    if (f->label == PB_OPTIONAL) {
        *(bool *)(msg + f->aux) = true;
    } else {
        int32_t *which = (int32_t *)(void *)(msg + f->aux);
        if (*which != 0 && *which != (int32_t)f->number) memset(msg + f->offset, 0, size_of_kind[f->kind]); /* of another one */
        *which = (int32_t)f->number;
    }
}

static err keep_unknown(struct decoder *d, char *msg, const uint8_t *from, const uint8_t *to, size_t *capacity)
{
    struct str *kept = (struct str *)(void *)msg;
    size_t more = (size_t)(to - from);
    if (kept->size == 0) {
        *kept = str_make(from, more);
        return ERR_NONE;
    }
    if (kept->size + more > *capacity) {
        *capacity = 2 * (kept->size + more);
        char *bigger = take(d, *capacity);
        if (bigger == NULL) return ERR_OVER_BUDGET;
        memcpy(bigger, kept->data, kept->size);
        kept->data = bigger;
    }
    memcpy((char *)(uintptr_t)kept->data + kept->size, from, more);
    kept->size += more;
    return ERR_NONE;
}

/* A map entry without its value stands for the empty one, so that readers need not expect NULL. */
static err complete_entry(struct decoder *d, const struct pb_message *type, char *msg)
{
    const struct pb_field *value = pb_fields + type->field_first + 1;
    if (value->kind != PB_MESSAGE || *(void **)(void *)(msg + value->offset) != NULL) return ERR_NONE;
    size_t size = pb_field_message(value)->size;
    void *empty = take(d, size);
    if (empty == NULL) return ERR_OVER_BUDGET;
    *(void **)(void *)(msg + value->offset) = memset(empty, 0, size);
    return ERR_NONE;
}

static uint64_t unread_fields(const struct decoder *d, const struct pb_message *type)
{
    for (size_t i = 0; i < d->unread_count; i++)
        if (d->unread[i].type == type) return d->unread[i].fields;
    return 0;
}

static err decode_message(struct decoder *d, const struct pb_message *type, char *msg, const uint8_t *p,
                          const uint8_t *end, int depth)
{
    if (depth > PB_DEPTH_MAX) return ERR_INVALID;
    const uint8_t *unknown = NULL; /* start of a run of unknown fields */
    const struct pb_field *fields = pb_fields + type->field_first;
    const uint64_t unread = unread_fields(d, type);
    size_t unknown_capacity = 0;
    while (p < end) {
        const uint8_t *start = p;
        uint64_t tag;
        if ((p = wire_read_varint(p, end, &tag)) == NULL || tag > UINT32_MAX || tag >> 3 == 0) return ERR_INVALID;
        const struct pb_field *f = (tag >> 3) - 1 < type->dense_count ? &fields[(tag >> 3) - 1] : pb_field_find(type, (uint32_t)tag >> 3);
        if (tag >> 3 < 64 && (unread >> (tag >> 3) & 1) != 0 && f != NULL) {
            if (unknown != NULL) TRY(keep_unknown(d, msg, unknown, start, &unknown_capacity));
            unknown = NULL;
            if ((p = skip_value(p, end, tag, 0)) == NULL) return ERR_INVALID;
            continue;
        }
        bool is_known = f != NULL && ((tag & 7) == wire_type_of[f->kind] ||
                                      ((tag & 7) == WIRE_BYTES && pb_is_repeated(f) && wire_type_of[f->kind] != WIRE_BYTES));
        if (!is_known) {
            if (unknown == NULL) unknown = start;
            if ((p = skip_value(p, end, tag, 0)) == NULL) return ERR_INVALID;
            continue;
        }
        if (unknown != NULL) TRY(keep_unknown(d, msg, unknown, start, &unknown_capacity));
        unknown = NULL;
        err e;
        if (pb_is_repeated(f)) {
            p = read_repeated(d, msg, f, tag, p, end, depth, &e);
        } else {
            if (f->label != PB_SINGULAR) set_present(msg, f);
            p = read_one(d, f, tag & 7, msg + f->offset, p, end, depth, &e);
        }
        if (p == NULL) return e;
    }
    if (unknown != NULL) TRY(keep_unknown(d, msg, unknown, end, &unknown_capacity));
    return type->is_map_entry ? complete_entry(d, type, msg) : ERR_NONE;
}

static err decode(struct decoder *d, const struct pb_message *type, struct str input, void **out)
{
    char *msg = take(d, type->size);
    if (msg == NULL) return ERR_OVER_BUDGET;
    memset(msg, 0, type->size);
    const uint8_t *bytes = input.size != 0 ? (const uint8_t *)input.data : (const uint8_t *)"";
    TRY(decode_message(d, type, msg, bytes, bytes + input.size, 0));
    *out = msg;
    return ERR_NONE;
}

err pb_decode(const struct pb_message *type, struct str input, struct arena *arena, unsigned flags, void **out)
{
    struct decoder d = {arena, NULL, 0};
    if ((flags & PB_ALIAS) == 0 && input.size != 0) {
        char *copy = take(&d, input.size);
        if (copy == NULL) return ERR_OVER_BUDGET;
        memcpy(copy, input.data, input.size);
        input.data = copy;
    }
    return decode(&d, type, input, out);
}

err pb_decode_partly(const struct pb_message *type, struct str input, struct arena *arena, const struct pb_unread *unread, size_t unread_count, void **out)
{
    struct decoder d = {arena, unread, unread_count};
    return decode(&d, type, input, out);
}

bool pb_raw_field(struct str raw, uint32_t number, struct str *out)
{
    const uint8_t *p = (const uint8_t *)raw.data, *end = p + raw.size;
    bool found = false;
    while (p != NULL && p < end) {
        uint64_t tag, n;
        if ((p = wire_read_varint(p, end, &tag)) == NULL) return false;
        const uint8_t *value = p;
        if ((p = skip_value(p, end, tag, 0)) == NULL) return false;
        if (tag != ((uint64_t)number << 3 | WIRE_BYTES)) continue;
        if ((value = wire_read_varint(value, end, &n)) == NULL) return false;
        *out = str_make(value, n);
        found = true;
    }
    return found;
}
