#include "core/json.h"

enum { DEPTH_MAX = 16 };

static size_t skip_blanks(struct str s, size_t at)
{
    while (at < s.size && (s.data[at] == ' ' || s.data[at] == '\t' || s.data[at] == '\n' || s.data[at] == '\r')) at++;
    return at;
}

/* Behind the string that starts at `at`; 0: broken. */
static size_t skip_string(struct str s, size_t at)
{
    for (at++; at < s.size; at++) {
        if (s.data[at] == '\\') at++;
        else if (s.data[at] == '"') return at + 1;
    }
    return 0;
}

/* Behind the value that starts at `at`; 0: broken. */
static size_t skip_value(struct str s, size_t at)
{
    int depth = 0;
    while (at < s.size) {
        char c = s.data[at];
        if (c == '"') {
            at = skip_string(s, at);
            if (at == 0) return 0;
            if (depth == 0) return at;
            continue;
        }
        if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX) return 0;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return at;
            if (--depth == 0) return at + 1;
        } else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            return at;
        }
        at++;
    }
    return depth == 0 ? at : 0;
}

bool json_field(struct str object, const char *name, struct str *raw)
{
    struct str want = str_of(name);
    size_t at = skip_blanks(object, 0);
    if (at >= object.size || object.data[at] != '{') return false;
    at = skip_blanks(object, at + 1);
    while (at < object.size && object.data[at] == '"') {
        size_t key_end = skip_string(object, at);
        if (key_end == 0) return false;
        struct str key = str_make(object.data + at + 1, key_end - at - 2);
        at = skip_blanks(object, key_end);
        if (at >= object.size || object.data[at] != ':') return false;
        at = skip_blanks(object, at + 1);
        size_t end = skip_value(object, at);
        if (end == 0 || end == at) return false;
        if (str_equal(key, want)) {
            *raw = str_make(object.data + at, end - at);
            return true;
        }
        at = skip_blanks(object, end);
        if (at >= object.size || object.data[at] != ',') return false;
        at = skip_blanks(object, at + 1);
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Four hexadecimal digits at `at`; -1: broken. */
static int32_t hex_unit(struct str s, size_t at)
{
    int32_t unit = 0;
    if (at + 4 > s.size) return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_digit(s.data[at + i]);
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xC0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63)), out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The escape whose backslash is at *at; moves *at behind it. Returns how many bytes it stands for, 0: broken. */
static size_t unescape(struct str s, size_t *at, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*at + 1 >= s.size) return 0;
    char c = s.data[*at + 1];
    if (c != 'u') {
        const char *found = c != 0 ? strchr(from, c) : NULL;
        if (found == NULL) return 0;
        *at += 2;
        *out = to[found - from];
        return 1;
    }
    int32_t unit = hex_unit(s, *at + 2);
    if (unit < 0 || (unit >= 0xDC00 && unit < 0xE000)) return 0;
    *at += 6;
    if (unit < 0xD800 || unit >= 0xE000) return put_utf8(out, (uint32_t)unit);
    if (*at + 6 > s.size || s.data[*at] != '\\' || s.data[*at + 1] != 'u') return 0;
    int32_t low = hex_unit(s, *at + 2);
    if (low < 0xDC00 || low >= 0xE000) return 0;
    *at += 6;
    return put_utf8(out, 0x10000u + ((uint32_t)(unit - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
}

bool json_string(struct str raw, struct arena *arena, struct str *out)
{
    if (raw.size < 2 || raw.data[0] != '"' || skip_string(raw, 0) != raw.size) return false;
    struct str s = {raw.data, raw.size - 1};
    char *text = arena_alloc(arena, raw.size);
    size_t size = 0;
    for (size_t at = 1; at < s.size;) {
        if (s.data[at] != '\\') {
            text[size++] = s.data[at++];
            continue;
        }
        size_t n = unescape(s, &at, text + size);
        if (n == 0) return false;
        size += n;
    }
    *out = str_make(text, size);
    return true;
}

bool json_int(struct str raw, int64_t *out)
{
    bool is_negative = raw.size != 0 && raw.data[0] == '-';
    int64_t value = 0;
    size_t at = is_negative ? 1 : 0;
    if (at == raw.size) return false;
    for (; at < raw.size; at++) {
        if (raw.data[at] < '0' || raw.data[at] > '9') return false;
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_sub_overflow(value, raw.data[at] - '0', &value)) return false; /* downwards: holds the smallest too */
    }
    if (!is_negative && value == INT64_MIN) return false;
    *out = is_negative ? value : -value;
    return true;
}

bool json_bool(struct str raw, bool *out)
{
    *out = str_equal(raw, STR("true"));
    return *out || str_equal(raw, STR("false"));
}

bool json_array_next(struct str array, size_t *at, struct str *raw)
{
    size_t i = skip_blanks(array, *at);
    if (i >= array.size || array.data[i] != (*at == 0 ? '[' : ',')) return false;
    i = skip_blanks(array, i + 1);
    size_t end = skip_value(array, i);
    if (end == 0 || end == i) return false;
    *raw = str_make(array.data + i, end - i);
    *at = skip_blanks(array, end);
    return true;
}

void json_write_string(struct buf *out, struct str text)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\') buf_printf(out, "\\%c", c);
        else if (c < 0x20) buf_printf(out, "\\u%04x", c);
        else buf_append_byte(out, c);
    }
    buf_append_byte(out, '"');
}
