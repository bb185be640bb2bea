/* frontend/batches.h: batch jobs: one operation on many executions, at a rate, in the background, over restarts.
 *
 *   RUNNING ──► COMPLETED   every execution had its turn
 *      └──────► FAILED      stopped by a client, or its list can not be read any more
 *
 * An open job is in memory with one page of executions; a closed one is rows alone, until the namespace's retention has passed.
 * (1) A job that was answered goes on after a crash: what is stored is the page under way and where the next one begins, at most a second old.
 *     An execution whose turn ended since then has it again, with the same request id.
 * (2) Its counters count each execution once.
 * (3) At most `batches_max` jobs of a namespace are open; ids are not used twice while rows of the first are there.
 * Thread: the frontend's.   Blocks: never. */
#ifndef FRONTEND_BATCHES_H
#define FRONTEND_BATCHES_H

#include "frontend/batch_operation.h"
#include "proto/perdure/batch.h"

struct batches;
#define BATCH_DIVISION STR("TemporalBatcher")

struct batches *batches_create(struct frontend *f);
void batches_destroy(struct batches *all);
/* Reads the open jobs; then the frontend serves. */
void batches_start(struct frontend *f, void (*done)(struct frontend *f, err result));
instant batches_next_due(const struct frontend *f); /* INSTANT_NEVER while it does not serve */
void batches_tick(struct frontend *f);
void batches_wake(struct frontend *f); /* a namespace is deleted, or gone: its jobs end, and their rows go */
size_t batches_open_count(const struct frontend *f);

/* For batch.c: each answers the rpc. `query`: of the executions, printed from what was parsed; empty when they are listed. */
void batch_start(struct frontend *f, struct rpc *rpc, struct str query);
void batch_stop(struct frontend *f, struct rpc *rpc);
void batch_describe(struct frontend *f, struct rpc *rpc);

#endif
