/* history/load_fuzz.c: stored rows are read again after a disk has had them. Input: a core row and items, each as a size (two
 * bytes), a kind (one byte), a key size (one byte), the key and the bytes. What loads must bear being used and flushed. */
#include "history/machines.h"

#include <stdlib.h>

static struct str cut(const uint8_t **data, size_t *left, size_t size)
{
    size = size_min(size, *left);
    struct str s = str_make(*data, size);
    *data += size;
    *left -= size;
    return s;
}

static struct execution_item cut_item(const uint8_t **data, size_t *left)
{
    struct execution_item item = {0};
    struct str head = cut(data, left, 4);
    if (head.size < 4) return item;
    item.kind = (uint8_t)head.data[2];
    item.key = cut(data, left, (uint8_t)head.data[3]);
    item.bytes = cut(data, left, (size_t)(uint8_t)head.data[0] << 8 | (uint8_t)head.data[1]);
    return item;
}

static void use(struct execution *e, const struct namespace_info *ns)
{
    struct arena arena;
    struct prng prng;
    struct limits limits = limits_default();
    int64_t next_run = 100;
    struct error error = {0};
    struct execution_flush flush;
    pb_ws_DescribeWorkflowExecutionResponse described = {0};
    pb_ws_SignalWorkflowExecutionRequest signal = {.signal_name = STR("s"), .request_id = STR("r")};
    arena_init(&arena, 0, 0);
    prng_init(&prng, 1);
    struct step step = {.now = {INT64_C(1700000000) * NS_PER_S}, .prng = &prng, .limits = &limits, .ns = ns, .next_run = &next_run, .arena = &arena, .error = &error};
    step_init(&step);
    execution_describe(e, step.now, &arena, &described);
    (void)!execution_signal(e, &step, &signal);
    (void)!execution_wake(e, &step, true);
    (void)!execution_terminate(e, &step, STR("why"), NULL, STR("me"), STR_EMPTY);
    execution_flush(e, &step, &arena, &flush);
    for (size_t i = 0; i < step.created_count; i++) execution_destroy(step.created[i]);
    execution_destroy(e);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct namespace_info ns = {.key = 1, .id = STR("id"), .name = STR("default"), .retention = duration_s(3600)};
    struct execution_item items[32];
    size_t count = 0;
    struct execution *e = NULL;
    struct execution_item core = cut_item(&data, &size);
    while (size != 0 && count < countof(items)) items[count++] = cut_item(&data, &size);
    struct execution_row row = {.run = 1, .workflow_id = STR("wf"), .run_id = STR("run"), .bytes = core.bytes};
    if (execution_load(&ns, &row, items, count, &e) == ERR_NONE) use(e, &ns);
    return 0;
}
