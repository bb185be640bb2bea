/* A history of any bytes, replayed by an SDK that gives the commands the history speaks of (first byte even), or whatever
 * completions follow (odd): 2 bytes size of the history, the history, then completions, each with its size before it.
 * Nothing may crash, hang or leak; a bad history ends as a failure with words. */
#include "core/echo.h"

#include <stdlib.h>

struct input { const uint8_t *data; size_t size; };

static struct str take(struct input *in)
{
    if (in->size < 2) return STR_EMPTY;
    size_t size = size_min((size_t)in->data[0] | (size_t)in->data[1] << 8, in->size - 2);
    struct str s = str_make(in->data + 2, size);
    in->data += 2 + size;
    in->size -= 2 + size;
    return s;
}

static pb_core_Completion *completion(struct echo *echo, bool is_echo, struct str activation, struct input *in, struct arena *arena)
{
    pb_core_Completion *c = NULL;
    if (is_echo) return echo_answer(echo, activation, arena);
    if (PB_DECODE(arena, take(in), pb_core_Completion, &c) != ERR_NONE) c = pb_new(arena, pb_core_Completion);
    return c;
}

static void answer(struct run *run, int *slots)
{
    struct arena arena;
    struct buf bytes = {0};
    pb_ws_RespondWorkflowTaskCompletedRequest request = {0};
    arena_init(&arena, 0, 0);
    run_build_response(run, &arena, slots, true, &request);
    PB_ENCODE(pb_ws_RespondWorkflowTaskCompletedRequest, &request, &bytes);
    run_task_done(run, 0);
    buf_fini(&bytes);
    arena_fini(&arena);
}

static void finish_locals(struct run *run)
{
    struct run_local local;
    while (run_take_local(run, (instant){NS_PER_S}, &local)) {
        struct run_local_result result = {.seq = local.seq, .attempt = 1, .outcome_case = pb_core_ResolveActivity_completed_tag};
        run_resolve_local(run, &result, (instant){2 * NS_PER_S});
    }
    run_heartbeat(run);
}

static void play(struct run *run, struct echo *echo, bool is_echo, struct input *in)
{
    struct buf activation = {0};
    int slots = 3;
    for (int steps = 0; steps < 2000; steps++) {
        buf_clear(&activation);
        enum run_want want = run_step(run, (instant){NS_PER_S}, &activation);
        if (want == RUN_RESPOND) {
            answer(run, &slots);
        } else if (want == RUN_WAIT_LOCAL) {
            finish_locals(run);
        } else if (want == RUN_ANSWER_QUERY) {
            run_task_done(run, 0);
        } else if (want == RUN_FETCH) {
            struct str page = take(in);
            if (run_add_page(run, page) != ERR_NONE || page.size == 0) break;
        } else if (want == RUN_ACTIVATE) {
            struct arena arena;
            arena_init(&arena, 0, 0);
            pb_core_Completion *c = completion(echo, is_echo, buf_view(&activation), in, &arena);
            char *bytes = activation.data;
            activation = (struct buf){0};
            if (c == NULL) abort(); /* what we encode can be decoded */
            err e = run_complete(run, c, &arena, bytes, (instant){NS_PER_S});
            if (e != ERR_NONE && run_failure(run) == NULL) abort();
        } else {
            break;
        }
    }
    buf_fini(&activation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return 0;
    struct input in = {data + 1, size - 1};
    struct arena arena;
    pb_history_History *history;
    pb_core_WorkerOptions options = {.namespace = STR("n"), .task_queue = STR("q"), .is_replayer = (data[0] & 2) != 0};
    arena_init(&arena, 0, 64u << 20);
    if (PB_DECODE(&arena, take(&in), pb_history_History, &history) == ERR_NONE) {
        pb_common_WorkflowExecution execution = {.workflow_id = STR("w"), .run_id = STR("r")};
        pb_query_WorkflowQuery query = {.query_type = STR("q")};
        pb_ws_PollWorkflowTaskQueueResponse poll = {.task_token = STR("t"), .workflow_execution = &execution, .history = history,
                                                    .query = (data[0] & 4) != 0 ? &query : NULL,
                                                    .next_page_token = (data[0] & 8) != 0 ? STR("more") : STR_EMPTY};
        struct run *run = run_create(STR("r"), STR("w"), &options);
        struct echo echo;
        struct run_task *task;
        echo_init(&echo, history);
        if (run_task_create_nested(&poll, (instant){NS_PER_S}, &task) == ERR_NONE) {
            run_add_task(run, task);
            play(run, &echo, (data[0] & 1) == 0, &in);
        }
        echo_fini(&echo);
        run_destroy(run);
    }
    arena_fini(&arena);
    return 0;
}
