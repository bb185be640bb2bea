#include "proto/pb.h"

#include <zlib.h>

const struct pb_message *pb_message_find(struct str full_name)
{
    for (size_t g = 0; g < pb_group_count; g++) {
        size_t low = 0, high = pb_groups[g].message_count;
        while (low < high) { /* sorted by full name */
            size_t middle = (low + high) / 2;
            const struct pb_message *m = &pb_groups[g].messages[middle];
            int c = str_compare(pb_name(m->name), full_name);
            if (c == 0) return m;
            if (c < 0) low = middle + 1;
            else high = middle;
        }
    }
    return NULL;
}

const struct pb_field *pb_field_find_name(const struct pb_message *type, struct str name)
{
    const struct pb_field *first = pb_fields + type->field_first;
    for (const struct pb_field *f = first; f < first + type->field_count; f++)
        if (str_equal(pb_name(f->json_name), name) || str_equal(pb_name(f->name), name)) return f;
    return NULL;
}

/* ---- enums --------------------------------------------------------------------------------------------------- */

struct str pb_enum_name(const struct pb_enum *type, int32_t number)
{
    const struct pb_enum_value *first = pb_enum_values + type->value_first;
    if (number >= 0 && number < type->value_count && first[number].number == number) return pb_name(first[number].name);
    for (const struct pb_enum_value *v = first; v < first + type->value_count; v++)
        if (v->number == number) return pb_name(v->name);
    return STR_EMPTY;
}

struct str pb_enum_short_name(const struct pb_enum *type, int32_t number, struct arena *arena)
{
    struct str name = pb_enum_name(type, number);
    if (name.size <= type->prefix_size) return name;
    name = str_skip(name, type->prefix_size);
    char *out = arena_alloc(arena, name.size), *p = out;
    bool is_start = true;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (c == '_') {
            is_start = true;
            continue;
        }
        *p++ = !is_start && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        is_start = false;
    }
    return str_make(out, (size_t)(p - out));
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

/* Equal but for case and underscores? */
static bool same_words(struct str a, struct str b)
{
    size_t i = 0, k = 0;
    while (true) {
        while (i < a.size && a.data[i] == '_') i++;
        while (k < b.size && b.data[k] == '_') k++;
        if (i == a.size || k == b.size) return i == a.size && k == b.size;
        if (lower(a.data[i++]) != lower(b.data[k++])) return false;
    }
}

bool pb_enum_number(const struct pb_enum *type, struct str name, int32_t *out)
{
    const struct pb_enum_value *first = pb_enum_values + type->value_first, *end = first + type->value_count;
    if (name.size == 0) return false;
    for (const struct pb_enum_value *v = first; v < end; v++) {
        if (!str_equal(pb_name(v->name), name)) continue;
        *out = v->number;
        return true;
    }
    for (const struct pb_enum_value *v = first; v < end; v++) {
        struct str full = pb_name(v->name);
        if (!same_words(full, name) && !same_words(str_skip(full, type->prefix_size), name)) continue;
        *out = v->number;
        return true;
    }
    return false;
}

/* ---- services ------------------------------------------------------------------------------------------------ */

const struct pb_method *pb_method_find(struct str path)
{
    size_t slash = path.size;
    while (slash > 0 && path.data[slash - 1] != '/') slash--;
    if (slash < 2 || path.data[0] != '/') return NULL;
    struct str service = {path.data + 1, slash - 2}, name = str_skip(path, slash);
    size_t low = 0, high = pb_method_count;
    while (low < high) { /* sorted by name, then service */
        size_t middle = (low + high) / 2;
        const struct pb_method *m = &pb_methods[middle];
        int c = str_compare(pb_method_name(m), name);
        if (c == 0) c = str_compare(pb_method_service(m), service);
        if (c == 0) return m;
        if (c < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* ---- files --------------------------------------------------------------------------------------------------- */

int pb_file_find(struct str file_name)
{
    for (size_t i = 0; i < pb_file_count; i++)
        if (pb_files[i].is_public && str_equal(pb_name(pb_files[i].name), file_name)) return (int)i;
    return -1;
}

static int public_file(int file) { return pb_files[file].is_public ? file : -1; }

int pb_file_of_symbol(struct str symbol)
{
    const struct pb_message *m = pb_message_find(symbol);
    if (m != NULL) return public_file(m->file);
    for (size_t g = 0; g < pb_group_count; g++)
        for (size_t i = 0; i < pb_groups[g].enum_count; i++)
            if (str_equal(pb_name(pb_groups[g].enums[i].name), symbol)) return public_file(pb_groups[g].enums[i].file);
    for (size_t i = 0; i < pb_service_count; i++)
        if (str_equal(pb_name(pb_services[i].name), symbol)) return public_file(pb_services[i].file);
    size_t dot = symbol.size; /* a method or a field: what is before the last dot holds it */
    while (dot > 0 && symbol.data[dot - 1] != '.') dot--;
    if (dot < 2) return -1;
    struct str outer = {symbol.data, dot - 1}, name = str_skip(symbol, dot);
    for (size_t i = 0; i < pb_method_count; i++)
        if (str_equal(pb_method_name(&pb_methods[i]), name) && str_equal(pb_method_service(&pb_methods[i]), outer))
            return public_file(pb_services[pb_methods[i].service].file);
    m = pb_message_find(outer);
    return m != NULL && pb_field_find_name(m, name) != NULL ? public_file(m->file) : -1;
}

err pb_file_descriptor(int file, struct arena *arena, struct str *out)
{
    if (file < 0 || (size_t)file >= pb_file_count) return ERR_NOT_FOUND;
    const struct pb_file *f = &pb_files[file];
    void *bytes = arena_try_alloc(arena, f->size);
    if (bytes == NULL) return ERR_OVER_BUDGET;
    uLongf size = f->size;
    ensure(uncompress(bytes, &size, pb_file_bytes + f->at, f->packed_size) == Z_OK && size == f->size);
    *out = str_make(bytes, size);
    return ERR_NONE;
}
