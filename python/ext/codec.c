/* Messages as dicts, straight between dict and wire: no structs in between.
 *
 * Keys are interned strings, one for each field, made when first needed; so a key is usually found by comparing pointers,
 * and decoding allocates nothing but the values. */
#include "ext.h"
#include "proto/api.h"
#include "proto/pb_json.h"
#include "proto/wire.h"

#include <stdlib.h>

static PyObject **keys; /* of each row of pb_fields; new ones are kept until the process ends */

static PyObject *key_of(const struct pb_field *f) /* borrowed */
{
    size_t index = (size_t)(f - pb_fields);
    if (keys == NULL) {
        size_t count = 0;
        for (size_t g = 0; g < pb_group_count; g++) {
            const struct pb_message *last = &pb_groups[g].messages[pb_groups[g].message_count];
            for (const struct pb_message *m = pb_groups[g].messages; m < last; m++) count = size_max(count, m->field_first + m->field_count);
        }
        keys = xcalloc(count + 1, sizeof *keys);
    }
    if (keys[index] == NULL) keys[index] = PyUnicode_InternFromString(pb_name(f->name).data);
    return keys[index];
}

/* Types by name. The names are mostly constants of the program, so the last few are known by their address. */
const struct pb_message *codec_type(PyObject *name)
{
    enum { SLOTS = 64 };
    static struct { PyObject *name; const struct pb_message *type; } known[SLOTS];
    size_t slot = ((uintptr_t)name >> 4) % SLOTS;
    if (known[slot].name == name) return known[slot].type;
    struct str text;
    if (!PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "the name of a message type is a str");
        return NULL;
    }
    if (!value_bytes(name, &text)) return NULL;
    const struct pb_message *type = pb_message_find(text);
    if (type == NULL) {
        PyErr_Format(PyExc_ValueError, "no message type %R", name);
        return NULL;
    }
    Py_INCREF(name); /* so that its address stays its own */
    Py_XDECREF(known[slot].name);
    known[slot].name = name;
    known[slot].type = type;
    return type;
}

/* ---- decoding ------------------------------------------------------------------------------------------------ */

static bool decode_fields(const struct pb_message *type, PyObject *dict, const uint8_t *p, const uint8_t *end, int depth);

static bool refuse(const struct pb_message *type)
{
    if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "the bytes are not a %s", pb_name(type->name).data);
    return false;
}

static bool is_time(const struct pb_message *type) { return type->special == PB_TIMESTAMP || type->special == PB_DURATION; }

/* seconds and nanos as one number of nanoseconds; as large as it gets. */
static PyObject *time_value(const struct pb_message *type, const uint8_t *p, const uint8_t *end)
{
    int64_t parts[2] = {0, 0};
    while (p < end) {
        uint64_t tag, value;
        if ((p = wire_read_varint(p, end, &tag)) == NULL || (tag != 8 && tag != 16)) break;
        if ((p = wire_read_varint(p, end, &value)) == NULL) break;
        parts[tag >> 4] = tag == 16 ? (int32_t)value : (int64_t)value;
    }
    if (p != end) { /* something unusual: the long way */
        refuse(type);
        return NULL;
    }
    __int128 ns = (__int128)parts[0] * NS_PER_S + parts[1];
    if (ns >= INT64_MIN && ns <= INT64_MAX) return PyLong_FromLongLong((int64_t)ns);
    PyObject *seconds = PyLong_FromLongLong(parts[0]), *unit = PyLong_FromLongLong(NS_PER_S), *nanos = PyLong_FromLongLong(parts[1]);
    PyObject *product = seconds != NULL && unit != NULL ? PyNumber_Multiply(seconds, unit) : NULL;
    PyObject *sum = product != NULL && nanos != NULL ? PyNumber_Add(product, nanos) : NULL;
    Py_XDECREF(seconds);
    Py_XDECREF(unit);
    Py_XDECREF(nanos);
    Py_XDECREF(product);
    return sum;
}

static PyObject *varint_value(uint8_t kind, uint64_t value)
{
    switch (kind) {
    case PB_BOOL: return PyBool_FromLong(value != 0);
    case PB_INT64: return PyLong_FromLongLong((int64_t)value);
    case PB_UINT64: return PyLong_FromUnsignedLongLong(value);
    case PB_UINT32: return PyLong_FromUnsignedLong((uint32_t)value);
    case PB_SINT32: return PyLong_FromLong((int32_t)(((uint32_t)value >> 1) ^ (0 - ((uint32_t)value & 1))));
    case PB_SINT64: return PyLong_FromLongLong((int64_t)((value >> 1) ^ (0 - (value & 1))));
    default: return PyLong_FromLong((int32_t)value);
    }
}

static PyObject *fixed_value(uint8_t kind, const uint8_t *p)
{
    union { double d; float f; uint64_t u64; int64_t i64; uint32_t u32; int32_t i32; } v;
    memcpy(&v, p, size_of_kind[kind]);
    switch (kind) {
    case PB_DOUBLE: return PyFloat_FromDouble(v.d);
    case PB_FLOAT: return PyFloat_FromDouble((double)v.f);
    case PB_FIXED64: return PyLong_FromUnsignedLongLong(v.u64);
    case PB_SFIXED64: return PyLong_FromLongLong(v.i64);
    case PB_FIXED32: return PyLong_FromUnsignedLong(v.u32);
    default: return PyLong_FromLong(v.i32);
    }
}

/* One value of the field's wire type, new; *at moves behind it. `old` is a message seen before, to be merged into. */
static PyObject *decode_value(const struct pb_field *f, PyObject *old, const uint8_t **at, const uint8_t *end, int depth)
{
    const uint8_t *p = *at;
    uint64_t n;
    switch (wire_type_of[f->kind]) {
    case WIRE_VARINT:
        if ((*at = wire_read_varint(p, end, &n)) == NULL) return NULL;
        return varint_value(f->kind, n);
    case WIRE_FIXED64: case WIRE_FIXED32:
        if ((size_t)(end - p) < size_of_kind[f->kind]) return NULL;
        *at = p + size_of_kind[f->kind];
        return fixed_value(f->kind, p);
    default: break;
    }
    if ((p = wire_read_varint(p, end, &n)) == NULL || n > (uint64_t)(end - p)) return NULL;
    *at = p + n;
    if (f->kind == PB_STRING) return PyUnicode_DecodeUTF8((const char *)p, (Py_ssize_t)n, NULL);
    if (f->kind == PB_BYTES) return PyBytes_FromStringAndSize((const char *)p, (Py_ssize_t)n);
    const struct pb_message *type = pb_field_message(f);
    if (is_time(type)) return time_value(type, p, p + n);
    PyObject *dict = old != NULL && PyDict_Check(old) ? old : PyDict_New();
    if (dict == old && old != NULL) Py_INCREF(old);
    if (dict != NULL && !decode_fields(type, dict, p, p + n, depth + 1)) Py_CLEAR(dict);
    return dict;
}

static PyObject *default_value(const struct pb_field *f)
{
    switch (f->kind) {
    case PB_STRING: return PyUnicode_FromStringAndSize("", 0);
    case PB_BYTES: return PyBytes_FromStringAndSize("", 0);
    case PB_DOUBLE: case PB_FLOAT: return PyFloat_FromDouble(0);
    case PB_BOOL: return PyBool_FromLong(0);
    case PB_MESSAGE: return is_time(pb_field_message(f)) ? PyLong_FromLong(0) : PyDict_New();
    default: return PyLong_FromLong(0);
    }
}

/* One entry of a map, from the entry's bytes, into the dict that is the map. */
static bool decode_entry(const struct pb_field *f, PyObject *map, const uint8_t *p, const uint8_t *end, int depth)
{
    const struct pb_message *type = pb_field_message(f);
    const struct pb_field *fields = pb_fields + type->field_first;
    PyObject *parts[2] = {NULL, NULL};
    bool ok = depth < PB_DEPTH_MAX;
    while (ok && p < end) {
        uint64_t tag;
        if ((p = wire_read_varint(p, end, &tag)) == NULL || tag > UINT32_MAX || tag >> 3 == 0) {
            ok = false;
        } else if ((tag >> 3 == 1 || tag >> 3 == 2) && (tag & 7) == wire_type_of[fields[(tag >> 3) - 1].kind]) {
            size_t i = (size_t)(tag >> 3) - 1;
            PyObject *value = decode_value(&fields[i], parts[i], &p, end, depth + 1);
            Py_XDECREF(parts[i]);
            parts[i] = value;
            ok = value != NULL;
        } else {
            ok = (p = wire_skip(p, end, tag)) != NULL;
        }
    }
    for (int i = 0; ok && i < 2; i++) {
        if (parts[i] == NULL) parts[i] = default_value(&fields[i]);
        ok = parts[i] != NULL;
    }
    ok = ok && PyDict_SetItem(map, parts[0], parts[1]) == 0;
    Py_XDECREF(parts[0]);
    Py_XDECREF(parts[1]);
    return ok;
}

/* The list or dict of a repeated field, made when it is not there yet; borrowed. */
static PyObject *container(PyObject *dict, const struct pb_field *f)
{
    PyObject *key = key_of(f), *found = key != NULL ? PyDict_GetItemWithError(dict, key) : NULL;
    if (found != NULL || PyErr_Occurred()) return found;
    PyObject *made = f->label == PB_MAP ? PyDict_New() : PyList_New(0);
    if (made == NULL) return NULL;
    int status = PyDict_SetItem(dict, key, made);
    Py_DECREF(made); /* the dict has it */
    return status == 0 ? made : NULL;
}

static bool decode_repeated(const struct pb_field *f, PyObject *dict, uint64_t tag, const uint8_t **at, const uint8_t *end, int depth)
{
    PyObject *list = container(dict, f);
    const uint8_t *p = *at, *stop = end;
    uint64_t n;
    if (list == NULL) return false;
    bool is_packed = (tag & 7) == WIRE_BYTES && wire_type_of[f->kind] != WIRE_BYTES;
    if (f->label == PB_MAP || is_packed) {
        if ((p = wire_read_varint(p, end, &n)) == NULL || n > (uint64_t)(end - p)) return false;
        *at = stop = p + n;
        if (f->label == PB_MAP) return decode_entry(f, list, p, stop, depth + 1);
    }
    do {
        if (is_packed && p == stop) break;
        PyObject *value = decode_value(f, NULL, &p, stop, depth);
        if (value == NULL) return false;
        int status = PyList_Append(list, value);
        Py_DECREF(value);
        if (status < 0) return false;
    } while (is_packed);
    *at = is_packed ? stop : p;
    return true;
}

/* Of a oneof only the last field stays. `*seen` is the one that was set before, if any. */
static bool choose(PyObject *dict, const struct pb_field *f, const struct pb_field **seen)
{
    enum { GROUPS = 4 };
    for (int i = 0; i < GROUPS; i++) {
        if (seen[i] != NULL && seen[i]->aux != f->aux) continue;
        if (seen[i] != NULL && seen[i] != f && PyDict_DelItem(dict, key_of(seen[i])) < 0) PyErr_Clear();
        seen[i] = f;
        return true;
    }
    PyErr_SetString(PyExc_SystemError, "a message with more oneofs than expected");
    return false;
}

static bool decode_fields(const struct pb_message *type, PyObject *dict, const uint8_t *p, const uint8_t *end, int depth)
{
    const struct pb_field *seen[4] = {NULL};
    if (depth > PB_DEPTH_MAX) return refuse(type);
    while (p < end) {
        uint64_t tag;
        if ((p = wire_read_varint(p, end, &tag)) == NULL || tag > UINT32_MAX || tag >> 3 == 0) return refuse(type);
        const struct pb_field *f = pb_field_find(type, (uint32_t)tag >> 3);
        unsigned wire = tag & 7, expected = f != NULL ? wire_type_of[f->kind] : 0;
        if (f == NULL || (wire != expected && !(wire == WIRE_BYTES && pb_is_repeated(f)))) {
            if ((p = wire_skip(p, end, tag)) == NULL) return refuse(type);
            continue;
        }
        if (pb_is_repeated(f)) {
            if (!decode_repeated(f, dict, tag, &p, end, depth)) return refuse(type);
            continue;
        }
        if (f->label == PB_ONEOF && !choose(dict, f, seen)) return false;
        PyObject *key = key_of(f), *old = NULL;
        if (key == NULL) return false;
        if (f->kind == PB_MESSAGE && (old = PyDict_GetItemWithError(dict, key)) == NULL && PyErr_Occurred()) return false;
        PyObject *value = decode_value(f, old, &p, end, depth);
        if (value == NULL) return refuse(type);
        int status = PyDict_SetItem(dict, key, value);
        Py_DECREF(value);
        if (status < 0) return false;
    }
    return true;
}

PyObject *codec_decode(const struct pb_message *type, struct str bytes)
{
    PyObject *dict = PyDict_New();
    const uint8_t *p = bytes.size != 0 ? (const uint8_t *)bytes.data : (const uint8_t *)"";
    if (dict != NULL && !decode_fields(type, dict, p, p + bytes.size, 0)) Py_CLEAR(dict);
    return dict;
}

/* ---- encoding ------------------------------------------------------------------------------------------------ */

/* Written from the end, as in proto/encode.c. */
struct encoder { char *block, *next, *end; };

static char *room(struct encoder *w, size_t size)
{
    if ((size_t)(w->next - w->block) < size) {
        size_t used = (size_t)(w->end - w->next), bigger = size_max(2 * (size_t)(w->end - w->block), used + size + 512);
        char *block = xmalloc(bigger);
        if (used != 0) memcpy(block + bigger - used, w->next, used);
        free(w->block);
        *w = (struct encoder){block, block + bigger - used, block + bigger};
    }
    return w->next -= size;
}

static void put_varint(struct encoder *w, uint64_t value) { wire_write_varint(room(w, wire_varint_size(value)), value); }

static void put_block(struct encoder *w, struct str s)
{
    if (s.size != 0) memcpy(room(w, s.size), s.data, s.size);
    put_varint(w, s.size);
}

static bool encode_dict(struct encoder *w, const struct pb_message *type, PyObject *dict, int depth);

/* "field of type: what" as TypeError. An exception other than TypeError that is set already stays: the value's own code raised it. */
static bool wrong(const struct pb_message *type, const struct pb_field *f, const char *expected, PyObject *value)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) return false;
    PyErr_Clear();
    PyObject *class = PyObject_Type(value), *name = class != NULL ? PyObject_GetAttrString(class, "__name__") : NULL;
    PyErr_Format(PyExc_TypeError, "%s of %s is %s, not %V", pb_name(f->name).data, pb_name(type->name).data, expected, name, "something else");
    Py_XDECREF(name);
    Py_XDECREF(class);
    return false;
}

static bool read_int(const struct pb_message *type, const struct pb_field *f, PyObject *value, uint64_t *out)
{
    int overflow = 0;
    bool is_wide = size_of_kind[f->kind] == 8, is_natural = f->kind == PB_UINT64 || f->kind == PB_FIXED64 || f->kind == PB_UINT32 || f->kind == PB_FIXED32;
    if (!PyLong_Check(value)) return wrong(type, f, "an int", value);
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (number == -1 && overflow == 0 && PyErr_Occurred()) return false;
    if (overflow > 0 && is_wide && is_natural) {
        *out = PyLong_AsUnsignedLongLong(value);
        return *out != (uint64_t)-1 || !PyErr_Occurred();
    }
    bool fits = overflow == 0 && (is_wide ? !is_natural || number >= 0 : is_natural ? number >= 0 && number <= UINT32_MAX : number >= INT32_MIN && number <= INT32_MAX);
    if (!fits) {
        PyErr_Format(PyExc_ValueError, "%s of %s is out of range: %R", pb_name(f->name).data, pb_name(type->name).data, value);
        return false;
    }
    *out = (uint64_t)number;
    return true;
}

static bool put_scalar(struct encoder *w, const struct pb_message *type, const struct pb_field *f, PyObject *value, bool keep_zero, bool *is_written)
{
    uint64_t bits = 0;
    double real = 0;
    float narrow;
    *is_written = false;
    if (f->kind == PB_DOUBLE || f->kind == PB_FLOAT) {
        real = PyFloat_AsDouble(value);
        if (real == -1 && PyErr_Occurred()) return wrong(type, f, "a float", value);
        narrow = (float)real;
        memcpy(&bits, f->kind == PB_DOUBLE ? (void *)&real : (void *)&narrow, size_of_kind[f->kind]);
    } else if (f->kind == PB_BOOL) {
        int truth = PyObject_IsTrue(value);
        if (truth < 0) return false;
        bits = (uint64_t)truth;
    } else if (!read_int(type, f, value, &bits)) {
        return false;
    }
    if (bits == 0 && !keep_zero) return true;
    *is_written = true;
    if (wire_type_of[f->kind] == WIRE_FIXED64) memcpy(room(w, 8), &bits, 8);
    else if (wire_type_of[f->kind] == WIRE_FIXED32) memcpy(room(w, 4), &bits, 4);
    else if (f->kind == PB_SINT64) put_varint(w, (bits << 1) ^ (uint64_t)((int64_t)bits >> 63));
    else if (f->kind == PB_SINT32) put_varint(w, (uint32_t)((uint32_t)bits << 1) ^ (uint32_t)((int32_t)bits >> 31));
    else put_varint(w, bits);
    return true;
}

/* Nanoseconds into the two fields. A number too large for 64 bits is a time before 1678 or after 2262, such as the year 1
 * that stands for "never" in replies of some servers. */
static bool split_time(const struct pb_message *type, const struct pb_field *f, PyObject *value, int64_t *seconds, int64_t *nanos)
{
    int overflow = 0;
    long long ns = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        if (ns == -1 && PyErr_Occurred()) return false;
        *seconds = ns / NS_PER_S;
        *nanos = ns % NS_PER_S;
        if (*nanos < 0 && pb_field_message(f)->special == PB_TIMESTAMP) {
            *seconds -= 1;
            *nanos += NS_PER_S;
        }
        return true;
    }
    PyObject *unit = PyLong_FromLongLong(NS_PER_S);                                  /* new */
    PyObject *whole = unit != NULL ? PyNumber_FloorDivide(value, unit) : NULL;       /* new */
    PyObject *rest = whole != NULL ? PyNumber_Remainder(value, unit) : NULL;         /* new */
    *seconds = rest != NULL ? PyLong_AsLongLongAndOverflow(whole, &overflow) : 0;
    *nanos = rest != NULL ? PyLong_AsLongLong(rest) : 0;
    Py_XDECREF(unit);
    Py_XDECREF(whole);
    Py_XDECREF(rest);
    if (rest == NULL || PyErr_Occurred()) return false;
    if (overflow != 0) {
        PyErr_Format(PyExc_ValueError, "%s of %s is out of range: %R", pb_name(f->name).data, pb_name(type->name).data, value);
        return false;
    }
    if (*seconds < 0 && *nanos > 0 && pb_field_message(f)->special == PB_DURATION) {
        *seconds += 1;
        *nanos -= NS_PER_S;
    }
    return true;
}

static bool put_time(struct encoder *w, const struct pb_message *type, const struct pb_field *f, PyObject *value)
{
    int64_t seconds, nanos;
    if (!split_time(type, f, value, &seconds, &nanos)) return false;
    size_t before = (size_t)(w->end - w->next);
    if (nanos != 0) {
        put_varint(w, (uint64_t)nanos);
        put_varint(w, 2 << 3 | WIRE_VARINT);
    }
    if (seconds != 0) {
        put_varint(w, (uint64_t)seconds);
        put_varint(w, 1 << 3 | WIRE_VARINT);
    }
    put_varint(w, (size_t)(w->end - w->next) - before);
    return true;
}

/* One value with its size, without its tag. *is_written: false when it is a zero that need not be there. */
static bool put_value(struct encoder *w, const struct pb_message *type, const struct pb_field *f, PyObject *value, bool keep_zero, int depth, bool *is_written)
{
    struct str text;
    *is_written = true;
    switch (f->kind) {
    case PB_STRING:
        if (!PyUnicode_Check(value)) return wrong(type, f, "a str", value);
        if (!value_bytes(value, &text)) return false;
        break;
    case PB_BYTES:
        if (!PyBytes_Check(value)) { /* bytearray, memoryview */
            PyObject *copy = PyUnicode_Check(value) || PyLong_Check(value) ? NULL : PyBytes_FromObject(value);
            if (copy == NULL) return wrong(type, f, "bytes", value);
            bool ok = put_value(w, type, f, copy, keep_zero, depth, is_written);
            Py_DECREF(copy);
            return ok;
        }
        if (!value_bytes(value, &text)) return false;
        break;
    case PB_MESSAGE: {
        if (is_time(pb_field_message(f)) && PyLong_Check(value)) return put_time(w, type, f, value);
        if (!PyDict_Check(value)) return wrong(type, f, is_time(pb_field_message(f)) ? "an int of nanoseconds" : "a dict", value);
        size_t before = (size_t)(w->end - w->next);
        if (!encode_dict(w, pb_field_message(f), value, depth + 1)) return false;
        put_varint(w, (size_t)(w->end - w->next) - before);
        return true;
    }
    default: return put_scalar(w, type, f, value, keep_zero, is_written);
    }
    *is_written = text.size != 0 || keep_zero;
    if (*is_written) put_block(w, text);
    return true;
}

static bool put_list(struct encoder *w, const struct pb_message *type, const struct pb_field *f, PyObject *value, int depth)
{
    PyObject *list = PyList_Check(value) ? value : NULL;
    bool is_written;
    if (list != NULL) Py_INCREF(list);
    else if (PyUnicode_Check(value) || PyBytes_Check(value) || PyDict_Check(value)) return wrong(type, f, "a list", value);
    else if ((list = PySequence_List(value)) == NULL) return wrong(type, f, "a list", value);
    size_t before = (size_t)(w->end - w->next);
    bool ok = true;
    Py_ssize_t count = PyList_Size(list);
    for (Py_ssize_t i = count; ok && i-- > 0;) {
        PyObject *item = PyList_GetItem(list, i); /* borrowed */
        ok = item != NULL && put_value(w, type, f, item, true, depth, &is_written);
        if (ok && f->label != PB_PACKED) put_varint(w, (uint64_t)f->number << 3 | wire_type_of[f->kind]);
    }
    if (ok && f->label == PB_PACKED && count != 0) {
        put_varint(w, (size_t)(w->end - w->next) - before);
        put_varint(w, (uint64_t)f->number << 3 | WIRE_BYTES);
    }
    Py_DECREF(list);
    return ok;
}

static bool put_map(struct encoder *w, const struct pb_message *type, const struct pb_field *f, PyObject *map, int depth)
{
    const struct pb_message *entry = pb_field_message(f);
    const struct pb_field *fields = pb_fields + entry->field_first;
    PyObject *key, *value; /* borrowed */
    Py_ssize_t at = 0;
    bool is_written;
    if (!PyDict_Check(map)) return wrong(type, f, "a dict", map);
    while (PyDict_Next(map, &at, &key, &value)) {
        size_t before = (size_t)(w->end - w->next);
        if (!put_value(w, entry, &fields[1], value, true, depth + 1, &is_written)) return false;
        put_varint(w, 2 << 3 | wire_type_of[fields[1].kind]);
        if (!put_value(w, entry, &fields[0], key, true, depth + 1, &is_written)) return false;
        put_varint(w, 1 << 3 | wire_type_of[fields[0].kind]);
        put_varint(w, (size_t)(w->end - w->next) - before);
        put_varint(w, (uint64_t)f->number << 3 | WIRE_BYTES);
    }
    return true;
}

/* The field a key names. Keys are most often interned and in the order of the fields, so `guess` is tried first. */
static const struct pb_field *field_of(const struct pb_message *type, PyObject *key, const struct pb_field *guess)
{
    const struct pb_field *first = pb_fields + type->field_first, *end = first + type->field_count;
    for (const struct pb_field *f = guess; f < end; f++)
        if (key_of(f) == key) return f;
    for (const struct pb_field *f = first; f < guess; f++)
        if (key_of(f) == key) return f;
    struct str name;
    if (!PyUnicode_Check(key) || !value_bytes(key, &name)) {
        if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "a key of %s is a str, not %R", pb_name(type->name).data, key);
        return NULL;
    }
    for (const struct pb_field *f = first; f < end; f++)
        if (str_equal(pb_name(f->name), name)) return f;
    PyErr_Format(PyExc_ValueError, "%s has no field %R", pb_name(type->name).data, key);
    return NULL;
}

static bool encode_dict(struct encoder *w, const struct pb_message *type, PyObject *dict, int depth)
{
    const struct pb_field *f, *guess = pb_fields + type->field_first;
    PyObject *key, *value; /* borrowed: nothing below runs code that could change the dict, but for odd __bool__ methods */
    Py_ssize_t at = 0;
    if (depth > PB_DEPTH_MAX) {
        PyErr_Format(PyExc_ValueError, "a %s is nested too deep", pb_name(type->name).data);
        return false;
    }
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (value == Py_None) continue;
        bool is_written, ok;
        if ((f = field_of(type, key, guess)) == NULL) return false;
        guess = f + 1;
        if (f->label == PB_MAP) ok = put_map(w, type, f, value, depth);
        else if (pb_is_repeated(f)) ok = put_list(w, type, f, value, depth);
        else ok = put_value(w, type, f, value, f->label != PB_SINGULAR, depth, &is_written);
        if (!ok) return false;
        if (!pb_is_repeated(f) && is_written) put_varint(w, (uint64_t)f->number << 3 | wire_type_of[f->kind]);
    }
    return true;
}

bool codec_encode(const struct pb_message *type, PyObject *dict, struct buf *out)
{
    struct encoder w = {0};
    if (!PyDict_Check(dict)) {
        PyErr_Format(PyExc_TypeError, "a %s is given as a dict", pb_name(type->name).data);
        return false;
    }
    bool ok = encode_dict(&w, type, dict, 0);
    if (ok) buf_append(out, w.next, (size_t)(w.end - w.next));
    free(w.block);
    return ok;
}

/* ---- the module's functions ---------------------------------------------------------------------------------- */

static bool two_arguments(const char *function, Py_ssize_t count)
{
    if (count == 2) return true;
    PyErr_Format(PyExc_TypeError, "%s takes a type's name and a message", function);
    return false;
}

PyObject *codec_py_encode(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const struct pb_message *type = two_arguments("encode", count) ? codec_type(args[0]) : NULL;
    if (type == NULL) return NULL;
    struct encoder w = {0};
    PyObject *bytes = NULL;
    if (!PyDict_Check(args[1])) PyErr_Format(PyExc_TypeError, "a %s is given as a dict", pb_name(type->name).data);
    else if (encode_dict(&w, type, args[1], 0)) bytes = PyBytes_FromStringAndSize(w.next, w.end - w.next);
    free(w.block);
    return bytes;
}

PyObject *codec_py_decode(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    struct str bytes;
    const struct pb_message *type = two_arguments("decode", count) ? codec_type(args[0]) : NULL;
    if (type == NULL) return NULL;
    if (PyBytes_Check(args[1])) return value_bytes(args[1], &bytes) ? codec_decode(type, bytes) : NULL;
    if (PyUnicode_Check(args[1]) || PyLong_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "an encoded message is bytes");
        return NULL;
    }
    PyObject *copy = PyBytes_FromObject(args[1]);
    PyObject *dict = copy != NULL && value_bytes(copy, &bytes) ? codec_decode(type, bytes) : NULL;
    Py_XDECREF(copy);
    return dict;
}

PyObject *codec_py_to_json(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    static char *names[] = {"type_name", "data", "pretty", NULL};
    PyObject *name, *result = NULL;
    struct str bytes;
    Py_ssize_t size;
    int pretty = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oy#|$p", names, &name, &bytes.data, &size, &pretty)) return NULL;
    bytes.size = (size_t)size;
    const struct pb_message *type = codec_type(name);
    if (type == NULL) return NULL;
    struct arena arena;
    struct buf out = {0};
    void *msg;
    arena_init(&arena, 0, 0);
    if (pb_decode(type, bytes, &arena, PB_ALIAS, &msg) != ERR_NONE) refuse(type);
    else if (pb_json_write(type, msg, pretty ? PB_JSON_PRETTY : 0, &out) != ERR_NONE) PyErr_Format(PyExc_ValueError, "JSON has no form for a value of this %s", pb_name(type->name).data);
    else result = PyUnicode_DecodeUTF8(out.data, (Py_ssize_t)out.size, "strict");
    buf_fini(&out);
    arena_fini(&arena);
    return result;
}

PyObject *codec_py_from_json(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    static char *names[] = {"type_name", "text", "ignore_unknown_fields", NULL};
    PyObject *name, *result = NULL;
    struct str text;
    Py_ssize_t size;
    int ignore = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os#|$p", names, &name, &text.data, &size, &ignore)) return NULL;
    text.size = (size_t)size;
    const struct pb_message *type = codec_type(name);
    if (type == NULL) return NULL;
    struct arena arena;
    struct error error = {0};
    void *msg;
    arena_init(&arena, 0, 0);
    if (pb_json_read(type, text, ignore ? PB_JSON_IGNORE_UNKNOWN : 0, &arena, &error, &msg) != ERR_NONE) {
        raise_error(&error);
    } else {
        struct str bytes = pb_encode_arena(type, msg, &arena);
        result = value_bytes_new(bytes);
    }
    arena_fini(&arena);
    return result;
}
