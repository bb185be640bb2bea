/* Any text is parsed or refused; what is parsed prints as text that parses to an equal tree, and evaluates. */
#include "visibility/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct attribute_registry registry;
    struct arena arena;
    attribute_registry_init(&registry);
    arena_init(&arena, 0, 0);
    static const char *const names[] = {"T", "K", "I", "D", "B", "M", "L"}; /* by type */
    for (int i = 0; i < 7; i++) ensure(attribute_registry_add(&registry, str_of(names[i]), (enum attribute_type)(i + 1), &arena, NULL) == ERR_NONE);
    struct visibility_parse how = {.registry = &registry, .now = {1000}, .is_count = size != 0 && data[0] % 2 == 0};
    struct visibility_query *query, *again;
    struct error error = {0};
    if (visibility_query_parse(str_make(data, size), &how, &arena, &query, &error) == ERR_NONE) {
        pb_store_VisibilityRow row = {.status = 1, .workflow_id = STR("w"), .run_id = STR("r")};
        (void)visibility_matches(query, &row, &arena);
        struct str text = visibility_query_print(query, &arena);
        if (text.size <= VISIBILITY_TEXT_MAX) {
            ensure(visibility_query_parse(text, &how, &arena, &again, &error) == ERR_NONE);
            ensure(visibility_query_equal(query, again));
        }
    } else {
        ensure(error_message(&error).size != 0);
    }
    attribute_registry_fini(&registry);
    arena_fini(&arena);
    return 0;
}
