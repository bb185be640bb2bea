/* visibility/match.h: a filter evaluated on rows, their order and their pages. The memory store lists with this, and tests hold the
 * SQL against it.
 *
 * A comparison with a value that is absent is neither true nor false, as in SQL: `X != 1` and `NOT X = 1` leave out rows without X.
 * Pure. */
#ifndef VISIBILITY_MATCH_H
#define VISIBILITY_MATCH_H

#include "visibility/query.h"

bool visibility_matches(const struct visibility_query *query, const pb_store_VisibilityRow *row, struct arena *scratch);

/* < 0: a comes first. Ties end with the run key, newest first, so only one row equals itself. */
int visibility_compare(const struct visibility_query *query, const pb_store_VisibilityRow *a, const pb_store_VisibilityRow *b, struct arena *scratch);

/* Where the next page begins: behind `last`. Opaque to clients; holds the sort values and the run key, and the instant at which the first
 * page was made: a run that closed since then keeps the place it had, so no run is given twice or left out.
 * Decoding: ERR_INVALID for bytes that are not a token of a query with this order. */
struct visibility_page {
    instant begun;                        /* of the first page */
    int64_t run;                          /* of the last row */
    struct attribute_value *sort;         /* order_count values, or two for the default order: close (INT64_MAX while open), start */
    size_t sort_count;
};
struct visibility_page visibility_page_behind(const struct visibility_query *query, instant begun, const pb_store_VisibilityRow *last,
                                              struct arena *arena);
struct str visibility_page_encode(const struct visibility_page *page, struct arena *arena);
MUST_USE err visibility_page_decode(const struct visibility_query *query, struct str token, struct arena *arena,
                                    struct visibility_page *page, struct error *error);
/* Is the row behind the page's end? */
bool visibility_page_is_behind(const struct visibility_query *query, const struct visibility_page *page, const pb_store_VisibilityRow *row,
                               struct arena *scratch);

/* The values of the GROUP BY attributes of a row, as payloads; NULL for an absent one. */
const pb_common_Payload **visibility_group_values(const struct visibility_query *query, const pb_store_VisibilityRow *row, struct arena *arena);

#endif
