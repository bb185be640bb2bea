/* A worker fed with any inputs: each is a byte that says what, two of size, and the bytes. Calls are answered, completions
 * and results given, heartbeats sent, time passes, the worker is shut down. Nothing may crash or leak. */
#include "core/worker.h"

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

enum { CALLS_MAX = 64 };
struct outside { uint64_t calls[CALLS_MAX], permits[CALLS_MAX]; size_t call_count, permit_count; };

static void carry_out(struct core_worker *w, struct outside *o)
{
    struct core_effect *e;
    while ((e = core_worker_take(w)) != NULL) {
        if (e->kind == EFFECT_CALL) o->calls[o->call_count++ % CALLS_MAX] = e->call_id;
        if (e->kind == EFFECT_SLOT_RESERVE) o->permits[o->permit_count++ % CALLS_MAX] = e->permit;
        core_effect_free(e);
    }
}

static void input(struct core_worker *w, struct outside *o, uint8_t what, struct str bytes, instant *now)
{
    struct buf copy = {0};
    size_t which = bytes.size != 0 ? (uint8_t)bytes.data[0] : 0;
    switch (what % 9) {
    case 0: case 1: /* an answer to one of the calls that are out; the first byte says which */
        core_worker_called(w, o->calls[which % CALLS_MAX], what % 18 < 9 ? 0 : what % 17, bytes.size != 0 ? str_skip(bytes, 1) : bytes, *now);
        break;
    case 2:
        buf_append_str(&copy, bytes);
        (void)!core_worker_complete(w, &copy, *now);
        break;
    case 3: (void)!core_worker_activity_done(w, bytes, *now); break;
    case 4: (void)!core_worker_heartbeat(w, bytes, *now); break;
    case 5: core_worker_slot_granted(w, o->permits[which % CALLS_MAX], *now); break;
    case 6: core_worker_sample(w, (double)which / 255, (double)which / 255, *now); break;
    case 7:
        *now = instant_add(*now, duration_ms((int64_t)which * 100));
        core_worker_tick(w, *now);
        break;
    default:
        if (which == 7) core_worker_shutdown(w, *now);
        if (which == 8) core_worker_taken(w, *now);
        break;
    }
    carry_out(w, o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, 0, 0);
    pb_core_SlotSupplier_ResourceBased resource = {.maximum_slots = 4, .target_cpu_usage = 0.5, .target_memory_usage = 0.5};
    pb_core_SlotSupplier kinds[] = {
        {.kind_case = pb_core_SlotSupplier_fixed_size_tag, .fixed_size = 3},
        {.kind_case = pb_core_SlotSupplier_resource_based_tag, .resource_based = &resource},
        {.kind_case = pb_core_SlotSupplier_custom_id_tag, .custom_id = 1},
    };
    pb_core_WorkerOptions options = {.namespace = STR("n"), .task_queue = STR("q"), .identity = STR("me"), .max_cached_workflows = data[0] & 3,
                                     .workflow_slots = &kinds[data[0] / 4 % 3], .activity_slots = &kinds[data[0] / 16 % 3],
                                     .local_activity_slots = &kinds[data[0] / 64 % 3], .max_activities_per_second = data[0] & 32 ? 10 : 0};
    struct core_config config = {.options = &options, .seed = 1};
    struct core_worker *w;
    struct outside outside = {0};
    instant now = {1000 * NS_PER_S};
    if (core_worker_create(&config, now, &w, &error, &arena) != ERR_NONE) abort();
    core_worker_start(w, now);
    carry_out(w, &outside);
    struct input in = {data + 1, size - 1};
    while (in.size != 0) {
        uint8_t what = in.data[0];
        in.data++;
        in.size--;
        input(w, &outside, what, take(&in), &now);
    }
    core_worker_destroy(w);
    arena_fini(&arena);
    return 0;
}
