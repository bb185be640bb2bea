/* Text from outside as messages, and messages from outside as text: what is written must read back. */
#include "proto/api.h"
#include "proto/pb_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return 0;
    struct arena arena;
    struct buf text = {0}, copy = {0};
    struct json_out w = {.out = &copy};
    struct error error;
    void *msg, *again;
    arena_init(&arena, 0, 64 << 20);
    size_t which = (size_t)data[0] << 8 | data[1];
    const struct pb_message *type = &pb_groups[0].messages[which % pb_groups[0].message_count];
    unsigned flags = data[2] & 63u;
    struct str input = str_make(data + 3, size - 3);
    bool is_text = (data[2] & 64) != 0;
    err e = is_text ? pb_json_read(type, input, flags, &arena, &error, &msg) : pb_decode(type, input, &arena, PB_COPY, &msg);
    if (is_text) (void)json_put_json(&w, input);
    if (e == ERR_NONE && pb_json_write(type, msg, flags, &text) == ERR_NONE) {
        /* A message from text is the same after another round; one from bytes may hold what text refuses, such as a
         * payload in shorthand nested too deep, but never crashes the reader. */
        e = pb_json_read(type, buf_view(&text), flags, &arena, &error, &again);
        bool is_exact = is_text && (flags & PB_JSON_SHORTHAND) == 0;
        ensure(!is_exact || e == ERR_OVER_BUDGET || (e == ERR_NONE && pb_equal(type, msg, again)));
    }
    buf_fini(&text);
    buf_fini(&copy);
    arena_fini(&arena);
    return 0;
}
