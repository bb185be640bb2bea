/* shard/test_engine.h: the smallest engine behind history/execution.h, for shard_test alone: a run is a number that grows,
 * one event a change, one timer, one task, one pending message. It links in place of src/history's machines. */
#ifndef SHARD_TEST_ENGINE_H
#define SHARD_TEST_ENGINE_H

#include "history/execution.h"

struct execution *engine_start(struct step *step, struct str workflow_id); /* open, number 0, one event */
void engine_add(struct execution *e, struct step *step, int64_t amount, bool is_durable);
void engine_close(struct execution *e, struct step *step);
void engine_set_timer(struct execution *e, struct step *step, instant due); /* when it fires the number grows by 100 */
void engine_schedule_task(struct execution *e, struct step *step);
err engine_start_task(struct execution *e, struct step *step, int64_t stamp); /* relaxed */
void engine_finish_task(struct execution *e, struct step *step);
/* The receiver's number grows by one, once however often it is delivered. */
void engine_send(struct execution *e, struct step *step, struct str workflow_id, struct str request_id);
int64_t engine_number(const struct execution *e);

#endif
