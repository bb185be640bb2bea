/* Page tokens come from outside: any bytes are a place in the order of the query or are refused, and a place reads back as itself. */
#include "visibility/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[] = {"", "ORDER BY StartTime", "ORDER BY WorkflowId DESC, ExecutionStatus, HistoryLength", "ORDER BY BuildIds, TemporalSchedulePaused"};
    struct visibility_parse how = {.now = {1000}};
    struct arena arena;
    arena_init(&arena, 0, 0);
    for (size_t i = 0; i < countof(texts); i++) {
        struct visibility_query *query;
        struct visibility_place place, again;
        instant begun, begun_again;
        struct error error = {0};
        ensure(visibility_query_parse(str_of(texts[i]), &how, &arena, &query, &error) == ERR_NONE);
        if (visibility_token_decode(query, str_make(data, size), &arena, &place, &begun, &error) != ERR_NONE) continue;
        struct str token = visibility_token_encode(&place, begun, &arena);
        ensure(visibility_token_decode(query, token, &arena, &again, &begun_again, &error) == ERR_NONE);
        ensure(begun.ns == begun_again.ns && visibility_place_compare(query, &place, &again) == 0);
        pb_store_VisibilityRow row = {.status = 1, .workflow_id = STR("w"), .run_id = STR("r")};
        struct visibility_place of_row = visibility_place_of(query, begun, &row, &arena);
        (void)visibility_place_compare(query, &of_row, &place);
    }
    arena_fini(&arena);
    return 0;
}
