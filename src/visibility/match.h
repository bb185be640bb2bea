/* visibility/match.h: a filter evaluated on rows, their order and their pages. The memory store lists with this, and tests hold the
 * SQL against it.
 *
 * Absent values, as on the official server: a comparison with one is neither true nor false (`X != 1` and `NOT X = 1` leave out rows
 * without X), but a KeywordList or a Text without the word is plainly unequal to it, and CloseTime of an open run is later than any time.
 * HistoryLength, HistorySizeBytes, StateTransitionCount and ExecutionDuration are absent while a run is open.
 * Pure. */
#ifndef VISIBILITY_MATCH_H
#define VISIBILITY_MATCH_H

#include "proto/perdure/visibility.h"
#include "visibility/query.h"

/* The values of a row; a payload that is not of the type counts as absent. */
struct attribute_values visibility_row_values(const pb_store_VisibilityRow *row, const struct attribute *attribute, struct arena *arena);
int64_t visibility_row_start(const pb_store_VisibilityRow *row); /* ns */
int64_t visibility_row_close(const pb_store_VisibilityRow *row); /* ns; INT64_MAX while open */

bool visibility_matches(const struct visibility_query *query, const pb_store_VisibilityRow *row, struct arena *scratch);

/* Where a row stands in the order of a query: one value for each ORDER BY, or for the default order its close (INT64_MAX while open) and its
 * start; then the run key, newest first, so that no two rows stand at one place. An absent value comes last in either direction.
 *
 * begun: when the first page was made. What closed since then stands where it stood, so that pages neither repeat nor leave out a run. */
struct visibility_place {
    struct attribute_value *values; /* type NONE: absent */
    size_t count;
    int64_t run;
};
struct visibility_place visibility_place_of(const struct visibility_query *query, instant begun, const pb_store_VisibilityRow *row, struct arena *arena);
int visibility_place_compare(const struct visibility_query *query, const struct visibility_place *a, const struct visibility_place *b); /* < 0: a first */

/* A page token: the place of the last row that was given, and `begun`. Opaque to clients.
 * Decoding: ERR_INVALID for bytes that are not a token of a query with this order. */
struct str visibility_token_encode(const struct visibility_place *last, instant begun, struct arena *arena);
MUST_USE err visibility_token_decode(const struct visibility_query *query, struct str token, struct arena *arena, struct visibility_place *last,
                                     instant *begun, struct error *error);

/* The value of a GROUP BY attribute as a payload (a list as a whole; "binary/null" when absent). */
const pb_common_Payload *visibility_group_value(const struct attribute *attribute, const struct attribute_values *values, struct arena *arena);

#endif
