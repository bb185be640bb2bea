#include "history/harness.h"

#include "base/test.h"

TEST(the_tutorial)
{
    struct world w;
    world_init(&w, 1);
    struct execution *e = start(&w, "greeting");
    check_int(done(&w, take(&w, e), schedule(&w, "1")), ERR_NONE);
    pb_ws_PollActivityTaskQueueResponse *a = take_activity(&w, e);
    check(a != NULL);
    check(!w.was_durable);
    check_int(complete_activity(&w, a), ERR_NONE);
    check_int(done(&w, take(&w, e), succeed(&w, "hello")), ERR_NONE);
    check_history(&w, e, 1, "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted ActivityTaskScheduled "
                            "ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted WorkflowExecutionCompleted");
    check(!execution_is_open(e));
    check(w.reloads > 3);
    world_fini(&w);
}
TEST_MAIN
