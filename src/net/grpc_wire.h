/* net/grpc_wire.h: the small notations of gRPC over HTTP/2: timeouts, percent and base64 encoding, gzip, header names.
 *
 * Pure: bytes in, bytes out. Appending functions add to `out`; after a failure `out` is as before.
 * Source: the gRPC over HTTP/2 protocol page; RFC 4648 section 4; RFC 1952. */
#ifndef NET_GRPC_WIRE_H
#define NET_GRPC_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"

/* "100m", "30S": 1 to 8 digits and a unit. A value past DURATION_MAX is cut to it. False: not of that form. */
bool grpc_timeout_parse(struct str text, duration *timeout);
enum { GRPC_TIMEOUT_SIZE = 12 };
/* Rounds up to the unit it needs; negative becomes "0n". Returns what it wrote into out. */
struct str grpc_timeout_format(duration timeout, char out[GRPC_TIMEOUT_SIZE]);

/* grpc-message: bytes outside ' '…'~', and '%', travel as %XX. Decoding leaves a bad escape as it is. */
void percent_encode(struct str text, struct buf *out);
void percent_decode(struct str text, struct buf *out);

/* Encodes without padding, as gRPC prefers; decodes with or without it. False: not base64. */
void base64_encode(struct str bytes, struct buf *out);
bool base64_decode(struct str text, struct buf *out);

/* ERR_TOO_LARGE: more than size_max bytes came out. ERR_INVALID: not gzip, or cut short. */
void gzip_compress(struct str bytes, struct buf *out);
MUST_USE err gzip_decompress(struct str bytes, size_t size_max, struct buf *out);

/* The protocol's own headers, which callers neither see nor set: ":…", "grpc-…", content-type, te, connection and such. */
bool grpc_header_is_reserved(struct str name);
/* May the name (lower case) and the value travel as a header at all? */
bool grpc_header_is_valid(struct str name, struct str value);
static inline bool grpc_header_is_binary(struct str name)
{
    return name.size > 4 && memcmp(name.data + name.size - 4, "-bin", 4) == 0;
}
/* Is it "application/grpc", or that followed by '+' or ';'? */
bool grpc_content_type_is_valid(struct str value);
/* Does the comma separated list name that encoding? */
bool grpc_encodings_have(struct str list, struct str encoding);

/* What an HTTP status other than 200 means to a gRPC client that got no grpc-status. */
enum grpc_code grpc_code_of_http(int status);
/* "5" → GRPC_NOT_FOUND; numbers this program does not know become GRPC_UNKNOWN. False: not a number. */
bool grpc_code_parse(struct str text, enum grpc_code *code);

/* Every message is preceded by a flag byte (1: compressed) and its size, most significant byte first. */
enum { GRPC_PREFIX_SIZE = 5 };
static inline uint32_t grpc_prefix_size(const uint8_t prefix[GRPC_PREFIX_SIZE])
{
    return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 | prefix[4];
}
static inline void grpc_prefix_write(uint8_t prefix[GRPC_PREFIX_SIZE], bool is_compressed, uint32_t size)
{
    prefix[0] = is_compressed;
    prefix[1] = (uint8_t)(size >> 24);
    prefix[2] = (uint8_t)(size >> 16);
    prefix[3] = (uint8_t)(size >> 8);
    prefix[4] = (uint8_t)size;
}

#endif
