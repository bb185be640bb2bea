/* shard/test_world.h: a shard on virtual time over the faulty store, for the tests of this folder. */
#ifndef SHARD_TEST_WORLD_H
#define SHARD_TEST_WORLD_H

#include "shard/matching_host.h"
#include "shard/test_engine.h"
#include "store/faulty/faulty_store.h"

struct world {
    instant now;
    struct faulty_store *disk;
    struct mailbox mailbox;
    struct shard *shard;
    struct matching_host *matching;  /* NULL: offered tasks are only counted */
    struct shard_options options;
    struct matching_options matching_options;
    struct namespace_info ns;
    struct limits limits;
    size_t offered;
    int64_t last_stamp;
};
void world_init(struct world *w, struct faulty_options faults);
void world_start(struct world *w);                 /* opens the shard, and matching */
void world_stop(struct world *w);                  /* closes it in good order */
void world_crash(struct world *w);                 /* process and disk lose what was under way */
void world_fini(struct world *w);
void world_settle(struct world *w);                /* everything due by now, and what that leads to at once */
void world_run(struct world *w, duration time);    /* virtual time passes */

/* One call, made in one line. */
enum world_verb { DO_NOTHING, DO_START, DO_ADD, DO_ADD_RELAXED, DO_CLOSE, DO_TIMER, DO_SCHEDULE, DO_START_TASK, DO_FINISH_TASK, DO_SEND, DO_FAIL, DO_FAIL_COMMIT };
struct ask {
    struct shard_call call;
    struct arena arena;
    struct world *world;
    enum world_verb verb;
    int64_t amount;
    struct str other;
    bool is_done;
    err result;
    int64_t number;        /* of the run after the step */
    int64_t run;
    int order;             /* of completion */
};
void ask(struct world *w, struct ask *a, const char *workflow_id, enum world_verb verb, int64_t amount);
void ask_fini(struct ask *a);
/* Asks and waits; the result. */
err do_now(struct world *w, const char *workflow_id, enum world_verb verb, int64_t amount);
int64_t number_of(struct world *w, const char *workflow_id); /* -1: no such run */
size_t durable_row_count(struct world *w, const char *workflow_id);

#endif
