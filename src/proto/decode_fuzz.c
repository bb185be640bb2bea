/* Bytes from outside as messages: whatever is taken must encode, and decode again to the same bytes. */
#include "proto/api.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct arena arena;
    struct buf first = {0}, second = {0};
    void *msg, *again;
    arena_init(&arena, 0, 16 << 20);
    size_t which = (size_t)data[0] << 8 | data[1];
    const struct pb_message *type = &pb_groups[0].messages[which % pb_groups[0].message_count];
    struct str input = str_make(data + 2, size - 2), ignored;
    (void)pb_raw_field(input, 1, &ignored);
    if (pb_decode(type, input, &arena, data[0] >> 7, &msg) == ERR_NONE) {
        pb_encode(type, msg, &first);
        ensure(pb_encoded_size(type, msg) == first.size);
        ensure(pb_decode(type, buf_view(&first), &arena, PB_ALIAS, &again) == ERR_NONE);
        ensure(pb_equal(type, msg, again));
        pb_encode(type, again, &second);
        ensure(str_equal(buf_view(&first), buf_view(&second)));
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
    return 0;
}
