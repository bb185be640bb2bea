#include "proto/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void break_line(struct json_out *w)
{
    if (w->step == 0) return;
    size_t spaces = (size_t)(w->step * w->depth);
    char *p = buf_reserve(w->out, 1 + spaces);
    *p = '\n';
    memset(p + 1, ' ', spaces);
    w->out->size += 1 + spaces;
}

void json_put_open(struct json_out *w, char bracket)
{
    buf_append_byte(w->out, (uint8_t)bracket);
    w->depth++;
    w->is_first = true;
}

void json_put_close(struct json_out *w, char bracket)
{
    w->depth--;
    if (!w->is_first) break_line(w);
    buf_append_byte(w->out, (uint8_t)bracket);
    w->is_first = false;
}

void json_put_next(struct json_out *w)
{
    if (!w->is_first) buf_append_byte(w->out, ',');
    w->is_first = false;
    break_line(w);
}

void json_put_key(struct json_out *w, struct str key)
{
    json_put_next(w);
    json_put_string(w, key);
    buf_append_byte(w->out, ':');
    if (w->step != 0) buf_append_byte(w->out, ' ');
}

void json_put_string(struct json_out *w, struct str s)
{
    static const char short_from[] = "\"\\\b\f\n\r\t", short_to[] = "\"\\bfnrt";
    buf_append_byte(w->out, '"');
    for (size_t i = 0; i < s.size;) {
        size_t run = i;
        while (run < s.size && (unsigned char)s.data[run] >= 0x20 && s.data[run] != '"' && s.data[run] != '\\') run++;
        buf_append(w->out, s.data + i, run - i);
        if ((i = run) == s.size) break;
        char c = s.data[i++];
        const char *known = c != '\0' ? strchr(short_from, c) : NULL;
        if (known != NULL) buf_append(w->out, (char[]){'\\', short_to[known - short_from]}, 2);
        else buf_printf(w->out, "\\u%04x", (unsigned)(unsigned char)c);
    }
    buf_append_byte(w->out, '"');
}

/* Writes what prints shortest among the precisions that read back as the same value. */
static void put_shortest(struct json_out *w, double value, bool is_float)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        json_put_string(w, isnan(value) ? STR("NaN") : value > 0 ? STR("Infinity") : STR("-Infinity"));
        return;
    }
    if (value == floor(value) && fabs(value) < 1e15) {
        int size = snprintf(text, sizeof text, "%.0f", value);
        buf_append(w->out, text, (size_t)size);
        return;
    }
    for (int precision = is_float ? 6 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) break;
    }
    char local_point = *localeconv()->decimal_point, *point = strchr(text, local_point);
    if (point != NULL) *point = '.';
    buf_append(w->out, text, strlen(text));
}

void json_put_double(struct json_out *w, double value) { put_shortest(w, value, false); }
void json_put_float(struct json_out *w, float value) { put_shortest(w, value, true); }

/* Lays out a value that is known to be valid. */
static void put_again(struct json_out *w, struct json_in *in)
{
    struct str raw;
    char c = json_peek(in);
    if (c == '[') {
        (void)json_open(in, '[');
        json_put_open(w, '[');
        while (json_more(in, ']')) {
            json_put_next(w);
            put_again(w, in);
        }
        json_put_close(w, ']');
    } else if (c == '{') {
        (void)json_open(in, '{');
        json_put_open(w, '{');
        while (json_more(in, '}')) {
            json_put_next(w);
            (void)json_peek(in);
            (void)json_skip(in, &raw);
            json_put_raw(w, raw);
            json_put_raw(w, w->step != 0 ? STR(": ") : STR(":"));
            (void)json_peek(in);
            in->at++; /* the colon */
            put_again(w, in);
        }
        json_put_close(w, '}');
    } else if (json_skip(in, &raw)) {
        json_put_raw(w, raw);
    }
}

bool json_put_json(struct json_out *w, struct str text)
{
    struct json_in in;
    json_init(&in, text, NULL, NULL); /* passing over values takes no memory */
    if (!json_skip(&in, NULL) || !json_end(&in)) return false;
    json_init(&in, text, NULL, NULL);
    put_again(w, &in);
    return true;
}

void json_put_base64(struct buf *out, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = buf_reserve(out, (bytes.size + 2) / 3 * 4);
    const uint8_t *b = (const uint8_t *)bytes.data;
    size_t i = 0;
    for (; i + 3 <= bytes.size; i += 3, p += 4) {
        uint32_t bits = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];
        p[0] = digits[bits >> 18];
        p[1] = digits[bits >> 12 & 63];
        p[2] = digits[bits >> 6 & 63];
        p[3] = digits[bits & 63];
    }
    if (i < bytes.size) {
        uint32_t bits = (uint32_t)b[i] << 16 | (i + 1 < bytes.size ? (uint32_t)b[i + 1] << 8 : 0);
        p[0] = digits[bits >> 18];
        p[1] = digits[bits >> 12 & 63];
        p[2] = i + 1 < bytes.size ? digits[bits >> 6 & 63] : '=';
        p[3] = '=';
    }
    out->size += (bytes.size + 2) / 3 * 4;
}
