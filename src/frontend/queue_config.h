/* frontend/queue_config.h: what operators have set for task queues: rates and fairness weights. Stored, kept in memory, given to matching.
 *
 * Thread: the frontend's.   Blocks: never. */
#ifndef FRONTEND_QUEUE_CONFIG_H
#define FRONTEND_QUEUE_CONFIG_H

#include "frontend/internal.h"

/* Queues with a configuration, in memory for good; overrides of fairness weights of one queue. */
#define QUEUE_CONFIGS_MAX 100000
#define FAIRNESS_OVERRIDES_MAX 1000
#define FAIRNESS_KEY_SIZE_MAX 64

struct queue_configs;

struct queue_configs *queue_configs_create(struct frontend *f);
void queue_configs_destroy(struct queue_configs *all);
/* Reads all and gives them to matching, before the frontend serves. */
void queue_configs_start(struct frontend *f, void (*done)(struct frontend *f, err result));
/* NULL: nothing is set. Valid until the next turn of the owner's loop. */
const pb_taskqueue_TaskQueueConfig *queue_config_find(struct frontend *f, int64_t namespace_key, struct str queue, enum queue_kind kind);
/* Of a namespace that is going away; `done` when the rows are gone, or not. */
struct queue_configs_drop { struct shard_write write; struct store_op *ops; struct arena arena; struct frontend *f; void (*done)(struct queue_configs_drop *drop, err result); };
void queue_configs_drop(struct frontend *f, int64_t namespace_key, struct queue_configs_drop *drop);

#endif
