/* The small notations: whatever comes in, what is decoded encodes to something that decodes to the same. */
#include "net/grpc_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make(data, size);
    struct buf plain = {0}, again = {0}, back = {0};
    duration timeout, timeout_back;
    char out[GRPC_TIMEOUT_SIZE];
    enum grpc_code code;
    if (grpc_timeout_parse(text, &timeout)) {
        ensure(timeout.ns >= 0 && timeout.ns <= DURATION_MAX.ns);
        ensure(grpc_timeout_parse(grpc_timeout_format(timeout, out), &timeout_back) && timeout_back.ns >= timeout.ns);
    }
    percent_decode(text, &plain);
    percent_encode(buf_view(&plain), &again);
    percent_decode(buf_view(&again), &back);
    ensure(str_equal(buf_view(&plain), buf_view(&back)));
    buf_clear(&plain);
    buf_clear(&again);
    buf_clear(&back);
    if (base64_decode(text, &plain)) {
        base64_encode(buf_view(&plain), &again);
        ensure(base64_decode(buf_view(&again), &back) && str_equal(buf_view(&plain), buf_view(&back)));
    }
    buf_clear(&plain);
    if (gzip_decompress(text, 10000, &plain) == ERR_NONE) ensure(plain.size <= 10000);
    else ensure(plain.size == 0);
    (void)grpc_encodings_have(text, STR("gzip"));
    (void)grpc_content_type_is_valid(text);
    (void)grpc_code_parse(text, &code);
    if (size > 4) (void)grpc_header_is_valid(str_make(data, 4), str_skip(text, 4));
    buf_fini(&plain);
    buf_fini(&again);
    buf_fini(&back);
    return 0;
}
