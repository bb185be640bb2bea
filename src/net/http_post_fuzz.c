/* An answer to a post: the first byte says whether it is over; what is read of the rest stays within its bounds. */
#include "net/http_post.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SIZE_MAX_ = 100 };
    struct buf joined = {0};
    struct str body = STR_EMPTY;
    const char *why = NULL;
    if (size == 0) return 0;
    char *bytes = str_dup_c(str_make(data + 1, size - 1)); /* a copy of its own, so that reading beyond it shows */
    bool is_whole = http_body_parse(str_make(bytes, size - 1), data[0] & 1, SIZE_MAX_, &joined, &body, &why);
    if (is_whole) {
        ensure(why == NULL && body.size <= SIZE_MAX_);
        for (size_t i = 0; i < body.size; i++) *(volatile const char *)&body.data[i];
    }
    buf_fini(&joined);
    free(bytes);
    return 0;
}
