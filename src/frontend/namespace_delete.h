/* frontend/namespace_delete.h: a namespace that was deleted is emptied in the background and then forgotten.
 *
 *   renamed, DELETED ──► executions deleted, page by page, and the tasks of their queues ──► configurations of its queues ──► (delay) ──► its row
 *
 * Each part is done again after a restart until nothing is left of it. Its schedules and batch jobs see that it is deleted and end themselves.
 * Thread: the frontend's.   Blocks: never. */
#ifndef FRONTEND_NAMESPACE_DELETE_H
#define FRONTEND_NAMESPACE_DELETE_H

#include "frontend/internal.h"

struct namespace_deletions;

struct namespace_deletions *namespace_deletions_create(struct frontend *f);
void namespace_deletions_destroy(struct namespace_deletions *all);
/* Once its stored form says is_reclaimed: now, or when the frontend begins to serve. */
void namespace_deletion_begin(struct frontend *f, int64_t namespace_key);
instant namespace_deletions_next_due(const struct frontend *f);
void namespace_deletions_tick(struct frontend *f);
size_t namespace_deletions_count(const struct frontend *f); /* under way */
/* How far it is; false when it is not under way. remaining: about. */
bool namespace_deletion_progress(const struct frontend *f, int64_t namespace_key, int64_t *deleted, int64_t *remaining);

#endif
