/* URLs of completion callbacks from anybody: no crash, and what is taken has the parts of an address. The first line is a rule's pattern. */
#include "frontend/callback_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size != 0 ? memchr(data, '\n', size) : NULL;
    if (line == NULL) return 0;
    struct arena arena;
    struct callback_address address;
    const struct limits limits = limits_default();
    const struct callback_rule rule = {{(const char *)data, (size_t)(line - data)}, true};
    pb_common_Callback_Nexus nexus = {.url = {(const char *)line + 1, size - (size_t)(line - data) - 1}};
    const pb_common_Callback callback = {.variant_case = pb_common_Callback_nexus_tag, .nexus = &nexus};
    arena_init(&arena, 0, 0);
    if (callback_address_parse(nexus.url, &arena, &address) == NULL) {
        ensure(address.host.size != 0 && address.port > 0 && address.port <= 65535 && address.path.size != 0 && address.path.data[0] == '/');
        ensure(memchr(address.path.data, '\n', address.path.size) == NULL && memchr(address.host.data, '\n', address.host.size) == NULL);
    }
    (void)callback_problem(&callback, &limits, &rule, 1, &arena);
    arena_fini(&arena);
    return 0;
}
