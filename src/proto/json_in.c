#include "proto/json.h"
#include "proto/wire.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void json_init(struct json_in *in, struct str text, struct arena *arena, struct error *error)
{
    const char *start = text.data != NULL ? text.data : "";
    *in = (struct json_in){.start = start, .at = start, .end = start + text.size, .arena = arena, .error = error};
}

bool json_refuse(struct json_in *in, const char *format, ...)
{
    if (json_failed(in)) return false;
    int line = 1, column = 1;
    for (const char *p = in->start; p < in->at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    char words[200];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (!wire_is_utf8(words, strlen(words))) snprintf(words, sizeof words, "a name that is not known");
    char text[256]; /* from the caller's arena, whose budget may be used up */
    int size = snprintf(text, sizeof text, "JSON, line %d, column %d: %s", line, column, words);
    char *copy = in->error != NULL ? arena_try_alloc(in->arena, (size_t)size + 1) : NULL;
    if (copy != NULL) memcpy(copy, text, (size_t)size + 1);
    in->failed = ERR_INVALID;
    if (in->error != NULL) *in->error = (struct error){.code = ERR_INVALID, .message = str_make(copy, copy != NULL ? (size_t)size : 0)};
    return false;
}

bool json_refuse_memory(struct json_in *in)
{
    if (json_failed(in)) return false;
    in->failed = ERR_OVER_BUDGET;
    if (in->error != NULL) *in->error = (struct error){.code = ERR_OVER_BUDGET};
    return false;
}

static void skip_space(struct json_in *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')) in->at++;
}

char json_peek(struct json_in *in)
{
    if (json_failed(in)) return '\0';
    skip_space(in);
    return in->at < in->end ? *in->at : '\0';
}

/* How the next byte reads in a message. */
static const char *next_words(struct json_in *in, char words[static 8])
{
    char c = json_peek(in);
    if (in->at == in->end) return "the end";
    snprintf(words, 8, c >= 0x20 && c < 0x7f ? "'%c'" : "0x%02x", (unsigned char)c);
    return words;
}

static bool expect(struct json_in *in, char c)
{
    char words[8];
    if (json_peek(in) != c || in->at == in->end) return json_refuse(in, "expected '%c', not %s", c, next_words(in, words));
    in->at++;
    return true;
}

bool json_open(struct json_in *in, char bracket)
{
    if (!expect(in, bracket)) return false;
    if (++in->depth > JSON_DEPTH_MAX) return json_refuse(in, "nested too deep");
    in->is_first = true;
    return true;
}

bool json_more(struct json_in *in, char closing)
{
    char words[8];
    if (json_peek(in) == closing) {
        in->at++;
        in->depth--;
        in->is_first = false;
        return false;
    }
    if (json_failed(in)) return false;
    if (!in->is_first && json_peek(in) != ',') return json_refuse(in, "expected ',' or '%c', not %s", closing, next_words(in, words));
    if (!in->is_first) in->at++;
    in->is_first = false;
    return true;
}

bool json_key(struct json_in *in, struct str *out)
{
    char words[8];
    if (json_peek(in) != '"') return json_refuse(in, "expected a name in quotes, not %s", next_words(in, words));
    return json_string(in, out) && expect(in, ':');
}

static bool hex4(struct json_in *in, uint32_t *out)
{
    if (in->end - in->at < 4) return json_refuse(in, "an escape is cut off");
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *in->at++;
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
        if (digit < 0) return json_refuse(in, "not a hexadecimal digit");
        value = value << 4 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* The character behind a backslash. An escape is never shorter than the UTF-8 it stands for. */
static bool escape(struct json_in *in, char **to)
{
    static const char from_list[] = "\"\\/bfnrt", to_list[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end) return json_refuse(in, "a string is cut off");
    char c = *in->at++;
    const char *plain = c != '\0' ? strchr(from_list, c) : NULL;
    if (plain != NULL) {
        *(*to)++ = to_list[plain - from_list];
        return true;
    }
    uint32_t code = 0, low = 0;
    if (c != 'u') return json_refuse(in, "an escape that JSON does not know");
    if (!hex4(in, &code)) return false;
    if (code >= 0xdc00 && code < 0xe000) return json_refuse(in, "half of a surrogate pair");
    if (code >= 0xd800 && code < 0xdc00) {
        if (in->end - in->at < 2 || in->at[0] != '\\' || in->at[1] != 'u') return json_refuse(in, "half of a surrogate pair");
        in->at += 2;
        if (!hex4(in, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return json_refuse(in, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_utf8(*to, code);
    return true;
}

bool json_string(struct json_in *in, struct str *out)
{
    if (!expect(in, '"')) return false;
    const char *first = in->at, *p = first;
    while (p < in->end && *p != '"') p += *p == '\\' && p + 1 < in->end ? 2 : 1;
    if (p >= in->end) return json_refuse(in, "a string is cut off");
    char *copy = arena_try_alloc(in->arena, (size_t)(p - first) + 1), *to = copy;
    if (copy == NULL) return json_refuse_memory(in);
    while (in->at < p) {
        char c = *in->at++;
        if ((unsigned char)c < 0x20) return json_refuse(in, "a control character in a string");
        if (c != '\\') *to++ = c;
        else if (!escape(in, &to)) return false;
    }
    if (!wire_is_utf8(copy, (size_t)(to - copy))) return json_refuse(in, "a string that is not UTF-8");
    in->at++;
    *to = '\0';
    *out = str_make(copy, (size_t)(to - copy));
    return true;
}

/* The byte behind the number at p; p itself when there is none. Strict, as JSON spells numbers. */
static const char *number_end(const char *p, const char *end)
{
    const char *start = p;
    if (p < end && *p == '-') p++;
    const char *digits = p;
    while (p < end && *p >= '0' && *p <= '9') p++;
    if (p == digits || (*digits == '0' && p - digits > 1)) return start;
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        while (p < end && *p >= '0' && *p <= '9') p++;
        if (p == fraction) return start;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        const char *power = p;
        while (p < end && *p >= '0' && *p <= '9') p++;
        if (p == power) return start;
    }
    return p;
}

bool json_number(struct json_in *in, struct str *out)
{
    char words[8];
    json_peek(in);
    if (json_failed(in)) return false;
    const char *end = number_end(in->at, in->end);
    if (end == in->at) return json_refuse(in, "expected a number, not %s", next_words(in, words));
    *out = str_make(in->at, (size_t)(end - in->at));
    in->at = end;
    return true;
}

static bool literal(struct json_in *in, struct str word)
{
    json_peek(in);
    if (json_failed(in) || !str_starts_with(str_make(in->at, (size_t)(in->end - in->at)), word)) return false;
    in->at += word.size;
    return true;
}

bool json_bool(struct json_in *in, bool *out)
{
    if (literal(in, STR("true"))) return *out = true;
    if (!literal(in, STR("false"))) return json_refuse(in, "expected true or false");
    *out = false;
    return true;
}

bool json_null(struct json_in *in) { return literal(in, STR("null")) || json_refuse(in, "expected null"); }

/* Passes over a string without taking memory for it. */
static bool skip_string(struct json_in *in)
{
    const char *first = ++in->at;
    while (in->at < in->end && *in->at != '"') {
        char c = *in->at++;
        char ignored[8], *to = ignored;
        if ((unsigned char)c < 0x20) return json_refuse(in, "a control character in a string");
        if (c == '\\' && !escape(in, &to)) return false;
    }
    if (in->at == in->end) return json_refuse(in, "a string is cut off");
    if (!wire_is_utf8(first, (size_t)(in->at - first))) return json_refuse(in, "a string that is not UTF-8");
    in->at++;
    return true;
}

static bool skip_value(struct json_in *in)
{
    struct str ignored;
    bool truth;
    switch (json_peek(in)) {
    case '"': return skip_string(in);
    case 't': case 'f': return json_bool(in, &truth);
    case 'n': return json_null(in);
    case '[':
        if (!json_open(in, '[')) return false;
        while (json_more(in, ']'))
            if (!skip_value(in)) return false;
        return !json_failed(in);
    case '{':
        if (!json_open(in, '{')) return false;
        while (json_more(in, '}')) {
            if (json_peek(in) != '"') return json_refuse(in, "expected a name in quotes");
            if (!skip_string(in) || !expect(in, ':') || !skip_value(in)) return false;
        }
        return !json_failed(in);
    default: return json_number(in, &ignored);
    }
}

bool json_skip(struct json_in *in, struct str *raw)
{
    json_peek(in);
    const char *first = in->at;
    bool ok = skip_value(in);
    if (ok && raw != NULL) *raw = str_make(first, (size_t)(in->at - first));
    return ok;
}

bool json_end(struct json_in *in)
{
    json_peek(in);
    if (json_failed(in)) return false;
    return in->at == in->end || json_refuse(in, "more text behind the value");
}

/* ---- numbers ------------------------------------------------------------------------------------------------- */

bool json_parse_double(struct str text, double *out)
{
    char copy[400];
    if (text.size == 0 || text.size >= sizeof copy || number_end(text.data, text.data + text.size) != text.data + text.size) return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *point = strchr(copy, '.');
    if (point != NULL) *point = *localeconv()->decimal_point;
    double value = strtod(copy, NULL);
    if (!isfinite(value)) return false;
    *out = value;
    return true;
}

/* A plain run of digits, or a number with a point or a power that is whole all the same. */
static bool parse_whole(struct str text, bool *is_negative, uint64_t *magnitude)
{
    *is_negative = text.size != 0 && text.data[0] == '-';
    struct str digits = str_skip(text, *is_negative ? 1 : 0);
    uint64_t value = 0;
    size_t i = 0;
    for (; i < digits.size && digits.data[i] >= '0' && digits.data[i] <= '9'; i++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) || __builtin_add_overflow(value, (uint64_t)(digits.data[i] - '0'), &value)) return false;
    }
    if (i == 0 || (digits.data[0] == '0' && i > 1)) return false;
    if (i < digits.size) {
        double d;
        if (!json_parse_double(text, &d) || d != floor(d) || fabs(d) >= 18446744073709551616.0) return false;
        value = (uint64_t)fabs(d);
    }
    *magnitude = value;
    return true;
}

bool json_parse_uint(struct str text, uint64_t *out)
{
    bool is_negative;
    uint64_t value;
    if (!parse_whole(text, &is_negative, &value) || (is_negative && value != 0)) return false;
    *out = value;
    return true;
}

bool json_parse_int(struct str text, int64_t *out)
{
    bool is_negative;
    uint64_t value;
    if (!parse_whole(text, &is_negative, &value) || value > (uint64_t)INT64_MAX + is_negative) return false;
    *out = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* ---- base64 -------------------------------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

char *json_parse_base64(struct str text, struct arena *arena, size_t *size_out, err *e)
{
    size_t size = text.size;
    while (size > 0 && text.size - size < 2 && text.data[size - 1] == '=') size--;
    *e = ERR_INVALID;
    if (size % 4 == 1 || (size != text.size && text.size % 4 != 0)) return NULL;
    char *bytes = arena_try_alloc(arena, size / 4 * 3 + 3), *to = bytes;
    *e = ERR_OVER_BUDGET;
    if (bytes == NULL) return NULL;
    *e = ERR_INVALID;
    uint32_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0) return NULL;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0) *to++ = (char)(bits >> (6 - i % 4 * 2));
    }
    *e = ERR_NONE;
    *size_out = (size_t)(to - bytes);
    return bytes;
}
