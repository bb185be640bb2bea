/* core/echo.h: for tests: an SDK whose workflow code gives exactly the commands that a history says were given.
 *
 * Local activities are scheduled with the first activation; the commands behind a result wait until it has come, as the
 * code's would. With `edit` a test makes the code differ from the history. */
#ifndef CORE_ECHO_H
#define CORE_ECHO_H

#include "core/run.h"

struct echo {
    const pb_history_History *history;
    struct arena arena;
    size_t task_at;        /* in history: behind the workflow task's completed event; 0 = none yet */
    size_t command_at;     /* in history: the next command event of the workflow task to give */
    bool is_init_seen;
    int command_count;     /* given so far */
    int job_counts[32];    /* by variant */
    uint32_t seqs[8];
    uint32_t local_done[64];
    size_t local_done_count;
    /* Called with every command before it is given; false leaves it out. */
    bool (*edit)(void *arg, pb_core_Command *c, int index);
    void *edit_arg;
    struct { uint32_t seq; int64_t event_id; struct str id; int kind; } known[512];
    size_t known_count;
};

void echo_init(struct echo *echo, const pb_history_History *history);
void echo_fini(struct echo *echo);
/* The completion for an encoded activation, in the arena. NULL: the activation can not be decoded. */
pb_core_Completion *echo_answer(struct echo *echo, struct str activation, struct arena *arena);
/* Reads a history as JSON from src/core/testdata. */
pb_history_History *echo_load(const char *path, struct arena *arena);

#endif
