#include "net/grpc_wire.h"

#include <nghttp2/nghttp2.h>
#include <zlib.h>

enum { TIMEOUT_DIGITS_MAX = 8, TIMEOUT_VALUE_MAX = 99999999 };

static const struct { char letter; int64_t ns; } units[] = {
    {'n', 1}, {'u', 1000}, {'m', NS_PER_MS}, {'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S},
};

bool grpc_timeout_parse(struct str text, duration *timeout)
{
    if (text.size < 2 || text.size > TIMEOUT_DIGITS_MAX + 1) return false;
    int64_t value = 0;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    for (size_t u = 0; u < countof(units); u++) {
        if (units[u].letter != text.data[text.size - 1]) continue;
        int64_t ns;
        if (__builtin_mul_overflow(value, units[u].ns, &ns) || ns > DURATION_MAX.ns) ns = DURATION_MAX.ns;
        *timeout = (duration){ns};
        return true;
    }
    return false;
}

struct str grpc_timeout_format(duration timeout, char out[GRPC_TIMEOUT_SIZE])
{
    int64_t ns = timeout.ns > 0 ? timeout.ns : 0;
    size_t u = 0;
    while (u + 1 < countof(units) && (ns + units[u].ns - 1) / units[u].ns > TIMEOUT_VALUE_MAX) u++;
    int64_t value = (ns + units[u].ns - 1) / units[u].ns;
    if (value > TIMEOUT_VALUE_MAX) value = TIMEOUT_VALUE_MAX;
    char digits[TIMEOUT_DIGITS_MAX];
    size_t n = 0;
    do digits[n++] = (char)('0' + value % 10); while ((value /= 10) != 0);
    for (size_t i = 0; i < n; i++) out[i] = digits[n - 1 - i];
    out[n] = units[u].letter;
    return (struct str){out, n + 1};
}

static const char hex[] = "0123456789ABCDEF";

void percent_encode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            buf_append_byte(out, c);
        } else {
            char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_append(out, escape, sizeof escape);
        }
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

void percent_decode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '%' && text.size - i > 2 && hex_value(text.data[i + 1]) >= 0 && hex_value(text.data[i + 2]) >= 0) {
            buf_append_byte(out, (uint8_t)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2])));
            i += 2;
        } else {
            buf_append_byte(out, (uint8_t)text.data[i]);
        }
    }
}

void base64_encode(struct str bytes, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = buf_reserve(out, bytes.size / 3 * 4 + 4);
    size_t n = 0, i = 0;
    const uint8_t *b = (const uint8_t *)bytes.data;
    for (; i + 3 <= bytes.size; i += 3) {
        uint32_t three = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6) to[n++] = digits[three >> shift & 63];
    }
    if (i < bytes.size) {
        uint32_t rest = (uint32_t)b[i] << 16 | (i + 1 < bytes.size ? (uint32_t)b[i + 1] << 8 : 0);
        to[n++] = digits[rest >> 18 & 63];
        to[n++] = digits[rest >> 12 & 63];
        if (i + 1 < bytes.size) to[n++] = digits[rest >> 6 & 63];
    }
    out->size += n;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct str text, struct buf *out)
{
    size_t padding = 0, before = out->size;
    while (padding < 2 && text.size > 0 && text.data[text.size - 1] == '=') text.size--, padding++;
    if (text.size % 4 == 1 || (padding != 0 && (text.size + padding) % 4 != 0)) return false;
    uint32_t bits = 0;
    int bit_count = 0;
    buf_reserve(out, text.size / 4 * 3 + 3);
    for (size_t i = 0; i < text.size; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0) {
            out->size = before;
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out->data[out->size++] = (char)(bits >> bit_count & 255);
        }
    }
    return true;
}

/* 16 on top of the window size asks zlib for gzip's header instead of its own. */
enum { GZIP_WINDOW_BITS = 15 + 16, GZIP_MEMORY_LEVEL = 8, GZIP_LEVEL = 1 };

void gzip_compress(struct str bytes, struct buf *out)
{
    z_stream z = {0};
    ensure(bytes.size <= UINT32_MAX / 2);
    ensure(deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK);
    uLong bound = deflateBound(&z, bytes.size);
    z.next_out = (Bytef *)buf_reserve(out, bound);
    z.avail_out = (uInt)bound;
    z.next_in = (Bytef *)(uintptr_t)bytes.data; /* zlib reads it only */
    z.avail_in = (uInt)bytes.size;
    ensure(deflate(&z, Z_FINISH) == Z_STREAM_END);
    out->size += bound - z.avail_out;
    deflateEnd(&z);
}

err gzip_decompress(struct str bytes, size_t size_max, struct buf *out)
{
    z_stream z = {0};
    if (bytes.size > UINT32_MAX / 2) return ERR_TOO_LARGE;
    ensure(inflateInit2(&z, GZIP_WINDOW_BITS) == Z_OK);
    size_t before = out->size;
    z.next_in = (Bytef *)(uintptr_t)bytes.data; /* zlib reads it only */
    z.avail_in = (uInt)bytes.size;
    int result = Z_OK;
    err e = ERR_NONE;
    while (result != Z_STREAM_END && e == ERR_NONE) {
        /* One byte of room beyond the limit tells "exactly at it" from "past it". */
        size_t room = size_min(size_max - (out->size - before) + 1, 16 * 1024);
        z.next_out = (Bytef *)buf_reserve(out, room);
        z.avail_out = (uInt)room;
        result = inflate(&z, Z_NO_FLUSH);
        out->size += room - z.avail_out;
        if (out->size - before > size_max) e = ERR_TOO_LARGE;
        else if (result != Z_OK && result != Z_STREAM_END) e = ERR_INVALID; /* Z_BUF_ERROR too: it was cut short */
    }
    if (e == ERR_NONE && z.avail_in != 0) e = ERR_INVALID;
    inflateEnd(&z);
    if (e != ERR_NONE) out->size = before;
    return e;
}

bool grpc_header_is_reserved(struct str name)
{
    if (name.size == 0 || name.data[0] == ':' || str_starts_with(name, STR("grpc-"))) return true;
    static const char *const own[] = {"content-type", "te", "connection", "keep-alive", "proxy-connection",
                                      "transfer-encoding", "upgrade", "content-length", "host"};
    for (size_t i = 0; i < countof(own); i++)
        if (str_equal_c(name, own[i])) return true;
    return false;
}

bool grpc_header_is_valid(struct str name, struct str value)
{
    return nghttp2_check_header_name((const uint8_t *)name.data, name.size)
        && nghttp2_check_header_value_rfc9113((const uint8_t *)value.data, value.size);
}

bool grpc_content_type_is_valid(struct str value)
{
    static const struct str type = {"application/grpc", 16};
    return str_starts_with(value, type) && (value.size == type.size || value.data[type.size] == '+' || value.data[type.size] == ';');
}

bool grpc_encodings_have(struct str list, struct str encoding)
{
    for (size_t i = 0; i < list.size;) {
        size_t end = i;
        while (end < list.size && list.data[end] != ',') end++;
        size_t from = i, to = end;
        while (from < to && list.data[from] == ' ') from++;
        while (from < to && list.data[to - 1] == ' ') to--;
        if (str_equal((struct str){list.data + from, to - from}, encoding)) return true;
        i = end + 1;
    }
    return false;
}

enum grpc_code grpc_code_of_http(int status)
{
    switch (status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429: case 502: case 503: case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
    }
}

bool grpc_code_parse(struct str text, enum grpc_code *code)
{
    if (text.size == 0 || text.size > 9) return false;
    int value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *code = value <= GRPC_UNAUTHENTICATED ? (enum grpc_code)value : GRPC_UNKNOWN;
    return true;
}
