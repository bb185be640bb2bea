#include "proto/wire.h"

#include <stdlib.h>

void *pb_grow(struct arena *arena, void **array, size_t *count, size_t *capacity, size_t element_size)
{
    if (*count >= *capacity) {
        size_t bigger = size_max(4, *count * 2);
        char *moved = arena_zalloc(arena, bigger * element_size);
        if (*count != 0) memcpy(moved, *array, *count * element_size);
        *array = moved;
        *capacity = bigger;
    }
    char *element = (char *)*array + (*count)++ * element_size;
    return memset(element, 0, element_size);
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

static void merge_value(const struct pb_field *f, char *to, const char *from, struct arena *arena)
{
    if (f->kind == PB_MESSAGE) {
        const struct pb_message *type = pb_field_message(f);
        void **into = (void **)(void *)to;
        const void *sub = *(const void *const *)(const void *)from;
        if (*into == NULL) *into = arena_zalloc(arena, type->size);
        if (sub != NULL) pb_merge(type, *into, sub, arena);
    } else if (size_of_kind[f->kind] == sizeof(struct str)) {
        *(struct str *)(void *)to = arena_str(arena, *(const struct str *)(const void *)from);
    } else {
        memcpy(to, from, size_of_kind[f->kind]);
    }
}

/* Map keys are scalars or strings, the first field of an entry. */
static bool same_key(const struct pb_field *key, const char *a, const char *b)
{
    if (key->kind == PB_STRING) {
        return str_equal(*(const struct str *)(const void *)(a + key->offset), *(const struct str *)(const void *)(b + key->offset));
    }
    return memcmp(a + key->offset, b + key->offset, size_of_kind[key->kind]) == 0;
}

/* The entry with the same key; the last one counts, as in decoding. */
static char *find_entry(const struct pb_field *f, const char *msg, const char *like)
{
    const struct pb_field *key = pb_fields + pb_field_message(f)->field_first;
    char *const *entries = *(char *const *const *)(const void *)(msg + f->offset);
    for (size_t i = *(const size_t *)(const void *)(msg + f->aux); i-- > 0;)
        if (same_key(key, entries[i], like)) return entries[i];
    return NULL;
}

static void merge_repeated(const struct pb_field *f, char *into, const char *from, struct arena *arena)
{
    size_t size = size_of_kind[f->kind], added = *(const size_t *)(const void *)(from + f->aux);
    size_t *count = (size_t *)(void *)(into + f->aux), before = *count;
    const char *source = *(const char *const *)(const void *)(from + f->offset);
    if (added == 0) return;
    if (before == 0) { /* exactly what is needed */
        *(void **)(void *)(into + f->offset) = arena_zalloc(arena, added * size);
        WIRE_CAPACITY(count) = added;
    }
    for (size_t i = 0; i < added; i++) {
        const char *element = source + i * size;
        if (f->label == PB_MAP && before != 0) {
            char *old = find_entry(f, into, *(char *const *)(const void *)element);
            if (old != NULL) {
                const struct pb_message *type = pb_field_message(f);
                memset(old, 0, type->size);
                pb_merge(type, old, *(const void *const *)(const void *)element, arena);
                continue;
            }
        }
        merge_value(f, pb_grow(arena, (void **)(void *)(into + f->offset), count, &WIRE_CAPACITY(count), size), element, arena);
    }
}

void pb_merge(const struct pb_message *type, void *into, const void *from, struct arena *arena)
{
    char *to = into;
    const char *source = from;
    const struct str *unknown = from;
    if (unknown->size != 0) {
        struct str *kept = into;
        char *both = arena_alloc(arena, kept->size + unknown->size);
        if (kept->size != 0) memcpy(both, kept->data, kept->size);
        memcpy(both + kept->size, unknown->data, unknown->size);
        *kept = str_make(both, kept->size + unknown->size);
    }
    const struct pb_field *first = pb_fields + type->field_first;
    for (const struct pb_field *f = first; f < first + type->field_count; f++) {
        if (!wire_is_present(f, source)) continue;
        if (pb_is_repeated(f)) {
            merge_repeated(f, to, source, arena);
            continue;
        }
        if (f->label == PB_OPTIONAL) *(bool *)(to + f->aux) = true;
        if (f->label == PB_ONEOF) {
            int32_t *which = (int32_t *)(void *)(to + f->aux);
            if (*which != (int32_t)f->number) memset(to + f->offset, 0, size_of_kind[f->kind]);
            *which = (int32_t)f->number;
        }
        merge_value(f, to + f->offset, source + f->offset, arena);
    }
}

void *pb_clone(const struct pb_message *type, const void *msg, struct arena *arena)
{
    void *copy = arena_zalloc(arena, type->size);
    pb_merge(type, copy, msg, arena);
    return copy;
}

/* ---- comparison ---------------------------------------------------------------------------------------------- */

static bool equal_value(const struct pb_field *f, const char *a, const char *b)
{
    if (f->kind == PB_MESSAGE) {
        return pb_equal(pb_field_message(f), *(const void *const *)(const void *)a, *(const void *const *)(const void *)b);
    }
    if (size_of_kind[f->kind] == sizeof(struct str)) {
        return str_equal(*(const struct str *)(const void *)a, *(const struct str *)(const void *)b);
    }
    return memcmp(a, b, size_of_kind[f->kind]) == 0;
}

static bool equal_repeated(const struct pb_field *f, const char *a, const char *b)
{
    size_t count = *(const size_t *)(const void *)(a + f->aux), size = size_of_kind[f->kind];
    if (count != *(const size_t *)(const void *)(b + f->aux)) return false;
    const char *left = *(const char *const *)(const void *)(a + f->offset);
    const char *right = *(const char *const *)(const void *)(b + f->offset);
    for (size_t i = 0; i < count; i++) {
        if (equal_value(f, left + i * size, right + i * size)) continue; /* maps are most often in the same order */
        if (f->label != PB_MAP) return false;
        const char *entry = ((char *const *)(const void *)left)[i], *other = find_entry(f, b, entry);
        if (other == NULL || !pb_equal(pb_field_message(f), entry, other)) return false;
    }
    return true;
}

bool pb_equal(const struct pb_message *type, const void *a, const void *b)
{
    if (a == b) return true;
    if (a == NULL || b == NULL) return false;
    if (!str_equal(*(const struct str *)a, *(const struct str *)b)) return false;
    const struct pb_field *first = pb_fields + type->field_first;
    for (const struct pb_field *f = first; f < first + type->field_count; f++) {
        bool present = wire_is_present(f, a);
        if (present != wire_is_present(f, b)) return false;
        if (!present) continue;
        if (pb_is_repeated(f) ? !equal_repeated(f, a, b)
                              : !equal_value(f, (const char *)a + f->offset, (const char *)b + f->offset)) return false;
    }
    return true;
}
