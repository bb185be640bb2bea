/* visibility/sample.h: for tests: a set of search attributes, and rows and filters drawn from a seed that meet often enough to be telling. */
#ifndef VISIBILITY_SAMPLE_H
#define VISIBILITY_SAMPLE_H

#include "base/prng.h"
#include "visibility/match.h"

void sample_attributes(struct attribute_registry *registry); /* Text, Kw, Num, Real, Flag, Moment, Tags: one of each type */
void sample_filter(const struct attribute_registry *registry, struct prng *prng, int depth, struct buf *out);
/* A row of namespace 1, open or closed. Ids: w0 …; times: a few values, so that many rows tie. */
pb_store_VisibilityRow *sample_row(struct prng *prng, int64_t run, struct arena *arena);

#endif
