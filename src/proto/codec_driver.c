/* Does what codec_differential.py asks for, one request after another, so that it can compare the answers with those of
 * another implementation.
 *
 * request   operation (1 byte), size of the type's name (1), the name, size of the input (4, little endian), the input
 * answer    status (1; 0 = fine), size of the output (4), the output or the words of the error
 * operation 'b' binary -> binary   'j' binary -> JSON   'p' JSON -> binary   's','S' as j and p with the payload shorthand */
#include "proto/api.h"
#include "proto/pb_json.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_exactly(void *to, size_t size) { return fread(to, 1, size, stdin) == size; }

static void answer(err e, struct str bytes)
{
    uint8_t head[5] = {(uint8_t)e, (uint8_t)bytes.size, (uint8_t)(bytes.size >> 8), (uint8_t)(bytes.size >> 16), (uint8_t)(bytes.size >> 24)};
    fwrite(head, 1, sizeof head, stdout);
    fwrite(bytes.data, 1, bytes.size, stdout);
    fflush(stdout);
}

/* Everything the codec does with a decoded message has to agree with itself. */
static void check_message(const struct pb_message *type, const void *msg, struct arena *arena)
{
    struct buf first = {0}, second = {0};
    void *copy = pb_clone(type, msg, arena), *again;
    ensure(pb_equal(type, msg, copy));
    pb_encode(type, msg, &first);
    pb_encode(type, copy, &second);
    ensure(str_equal(buf_view(&first), buf_view(&second)));
    ensure(pb_encoded_size(type, msg) == first.size);
    ensure(pb_decode(type, buf_view(&first), arena, PB_ALIAS, &again) == ERR_NONE && pb_equal(type, msg, again));
    ensure(str_equal(pb_encode_arena(type, again, arena), buf_view(&first)));
    buf_fini(&first);
    buf_fini(&second);
}

static void serve(char operation, const struct pb_message *type, struct str input)
{
    struct arena arena;
    struct buf out = {0};
    struct error error = {0};
    void *msg;
    arena_init(&arena, 0, 64 << 20);
    unsigned shorthand = operation == 's' || operation == 'S' ? PB_JSON_SHORTHAND : 0;
    bool is_text = operation == 'p' || operation == 'S';
    err e = is_text ? pb_json_read(type, input, shorthand, &arena, &error, &msg) : pb_decode(type, input, &arena, PB_COPY, &msg);
    if (e == ERR_NONE) {
        check_message(type, msg, &arena);
        if (operation == 'j' || operation == 's') e = pb_json_write(type, msg, shorthand, &out);
        else pb_encode(type, msg, &out);
    }
    answer(e, e == ERR_NONE ? buf_view(&out) : error_message(&error));
    buf_fini(&out);
    arena_fini(&arena);
}

int main(void)
{
    uint8_t head[2], size[4];
    char name[256];
    while (read_exactly(head, 2) && read_exactly(name, head[1]) && read_exactly(size, 4)) {
        size_t input_size = (size_t)size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
        char *input = xmalloc(input_size + 1);
        if (!read_exactly(input, input_size)) return 1;
        const struct pb_message *type = pb_message_find(str_make(name, head[1]));
        if (type == NULL) answer(ERR_NOT_FOUND, STR("no such type"));
        else serve((char)head[0], type, str_make(input, input_size));
        free(input);
    }
    return 0;
}
