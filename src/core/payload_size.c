#include "core/payload_size.h"

#include "proto/api.h"

/* The next field of an encoded message, as its number and, if length-delimited, its bytes. */
static bool next_field(struct str *rest, uint32_t *number, struct str *value)
{
    while (rest->size != 0) {
        uint64_t parts[2] = {0, 0}; /* tag, then value or size */
        size_t at = 0;
        for (int i = 0; i < 2; i++) {
            bool is_fixed = i == 1 && ((parts[0] & 7) == 1 || (parts[0] & 7) == 5);
            if (is_fixed) {
                at += (parts[0] & 7) == 1 ? 8 : 4;
                break;
            }
            unsigned shift = 0;
            do {
                if (at >= rest->size || shift > 63) return false;
                parts[i] |= (uint64_t)((uint8_t)rest->data[at] & 0x7f) << shift;
                shift += 7;
            } while (((uint8_t)rest->data[at++] & 0x80) != 0);
        }
        unsigned kind = parts[0] & 7;
        size_t size = kind == 2 ? (size_t)parts[1] : 0;
        if (at > rest->size || size > rest->size - at || kind == 3 || kind == 4 || kind > 5) return false;
        *number = (uint32_t)(parts[0] >> 3);
        *value = (struct str){rest->data + at, size};
        *rest = str_skip(*rest, at + size);
        if (kind == 2) return true;
    }
    return false;
}

static void look(const struct pb_message *type, struct str bytes, int depth, struct payload_size *found)
{
    uint32_t number;
    struct str value;
    if (type == &pb_common_Payloads_type) found->payloads = size_max(found->payloads, bytes.size);
    else if (type == &pb_common_Memo_type) found->memo = size_max(found->memo, bytes.size);
    else if (type == &pb_common_Payload_type) found->payloads = size_max(found->payloads, bytes.size);
    else if (depth < PB_DEPTH_MAX) {
        while (next_field(&bytes, &number, &value)) {
            const struct pb_field *f = pb_field_find(type, number);
            if (f != NULL && f->kind == PB_MESSAGE) look(pb_field_message(f), value, depth + 1, found);
        }
    }
}

struct payload_size payload_size_of(const struct pb_message *type, struct str bytes)
{
    struct payload_size found = {0, 0};
    look(type, bytes, 0, &found);
    return found;
}
