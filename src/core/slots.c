/* Slots: how many tasks of a kind this worker takes at a time.
 *
 * fixed      a number
 * resource   between a minimum and a maximum, above the minimum only while memory and CPU are below their targets, and
 *            not faster than the ramp allows
 * custom     each permit is asked for and granted from outside */
#include "core/worker_state.h"

enum { FIXED_DEFAULT = 100, RESOURCE_MAX_DEFAULT = 500 };

void slots_init(struct slots *slots, enum core_slot_kind kind, const pb_core_SlotSupplier *supplier)
{
    *slots = (struct slots){.kind = kind, .supplier_case = pb_core_SlotSupplier_fixed_size_tag, .maximum = FIXED_DEFAULT};
    if (supplier == NULL || supplier->kind_case == 0) return;
    slots->supplier_case = supplier->kind_case;
    if (supplier->kind_case == pb_core_SlotSupplier_fixed_size_tag) {
        slots->maximum = supplier->fixed_size;
    } else if (supplier->kind_case == pb_core_SlotSupplier_resource_based_tag && supplier->resource_based != NULL) {
        const pb_core_SlotSupplier_ResourceBased *r = supplier->resource_based;
        slots->minimum = r->minimum_slots != 0 ? r->minimum_slots : kind == SLOT_WORKFLOW ? 5 : 1;
        slots->maximum = r->maximum_slots != 0 ? r->maximum_slots : RESOURCE_MAX_DEFAULT;
        slots->ramp = r->ramp_throttle != NULL ? pb_duration(r->ramp_throttle) : duration_ms(kind == SLOT_WORKFLOW ? 0 : 50);
        slots->memory_target = r->target_memory_usage;
        slots->cpu_target = r->target_cpu_usage;
    } else {
        slots->maximum = UINT32_MAX;
        slots->custom_id = supplier->custom_id;
    }
}

static bool resource_allows(struct core_worker *w, struct slots *slots, instant now)
{
    if (slots->used < slots->minimum) return true;
    if (slots->used >= slots->maximum || !w->has_sample) return false;
    if (w->memory_usage >= slots->memory_target || w->cpu_usage >= slots->cpu_target) return false;
    return !instant_before(now, slots->next_at);
}

/* Adds an effect about a slot of a custom supplier. */
static struct core_effect *custom_tell(struct core_worker *w, const struct slots *slots, enum core_effect_kind kind, uint64_t permit,
                                       struct str type)
{
    struct core_effect *e = worker_effect(w, kind, type, STR_EMPTY);
    e->slot_kind = slots->kind;
    e->custom_id = slots->custom_id;
    e->permit = permit;
    return e;
}

static uint64_t custom_take(struct core_worker *w, struct slots *slots, bool is_sticky)
{
    uint64_t permit = slots->granted;
    slots->granted = 0;
    if (permit != 0 || slots->asked != 0 || w->is_shutting_down) return permit;
    slots->asked = ++w->next_permit;
    custom_tell(w, slots, EFFECT_SLOT_RESERVE, slots->asked, STR_EMPTY)->is_sticky = is_sticky;
    return 0;
}

static void slots_report(struct core_worker *w, const struct slots *slots)
{
    static const char *const names[] = {"WorkflowWorker", "ActivityWorker", "LocalActivityWorker"};
    struct str label = str_of(names[slots->kind]);
    worker_count(w, METRIC_SLOTS_USED, slots->busy, label);
    if (slots->supplier_case == pb_core_SlotSupplier_fixed_size_tag)
        worker_count(w, METRIC_SLOTS_AVAILABLE, slots->maximum - slots->busy, label);
}

uint64_t slots_take(struct core_worker *w, struct slots *slots, bool is_sticky, instant now)
{
    uint64_t permit;
    switch (slots->supplier_case) {
    case pb_core_SlotSupplier_custom_id_tag:
        permit = custom_take(w, slots, is_sticky);
        if (permit == 0) return 0;
        break;
    case pb_core_SlotSupplier_resource_based_tag:
        if (!resource_allows(w, slots, now)) return 0;
        slots->next_at = instant_add(now, slots->ramp);
        permit = ++w->next_permit;
        break;
    default:
        if (slots->used >= slots->maximum) return 0;
        permit = ++w->next_permit;
        break;
    }
    slots->used++;
    return permit;
}

bool slots_has_spare(const struct slots *slots, uint32_t count)
{
    return slots->maximum - slots->used >= count;
}

bool slots_has_plenty(const struct slots *slots)
{
    return slots->supplier_case == pb_core_SlotSupplier_fixed_size_tag && slots_has_spare(slots, slots->busy);
}

bool slots_can_try(const struct slots *slots)
{
    return slots->supplier_case != pb_core_SlotSupplier_custom_id_tag;
}

void slots_use(struct core_worker *w, struct slots *slots, uint64_t permit, struct str type)
{
    slots->busy++;
    slots_report(w, slots);
    if (slots->supplier_case == pb_core_SlotSupplier_custom_id_tag) custom_tell(w, slots, EFFECT_SLOT_USED, permit, type);
}

void slots_give_unused(struct core_worker *w, struct slots *slots, uint64_t permit)
{
    if (permit == 0) return;
    ensure(slots->used > slots->busy);
    slots->used--;
    if (slots->supplier_case == pb_core_SlotSupplier_custom_id_tag) custom_tell(w, slots, EFFECT_SLOT_RELEASED, permit, STR_EMPTY);
}

void slots_give(struct core_worker *w, struct slots *slots, uint64_t permit)
{
    if (permit == 0) return;
    ensure(slots->busy != 0);
    slots->busy--;
    slots_report(w, slots);
    slots_give_unused(w, slots, permit);
}

void slots_close(struct core_worker *w, struct slots *slots)
{
    if (slots->asked != 0) custom_tell(w, slots, EFFECT_SLOT_CANCEL, slots->asked, STR_EMPTY);
    slots->refused = slots->asked;
    slots->asked = 0;
    if (slots->granted != 0) custom_tell(w, slots, EFFECT_SLOT_RELEASED, slots->granted, STR_EMPTY);
    slots->granted = 0;
}

void core_worker_slot_granted(struct core_worker *w, uint64_t permit, instant now)
{
    for (int k = 0; k < SLOT_KIND_COUNT && permit != 0; k++) {
        struct slots *slots = &w->slots[k];
        if (slots->refused == permit) {
            slots->refused = 0;
            custom_tell(w, slots, EFFECT_SLOT_RELEASED, permit, STR_EMPTY);
        }
        if (slots->asked != permit) continue;
        slots->asked = 0;
        slots->granted = permit;
        if (k == SLOT_LOCAL_ACTIVITY) local_dispatch(w, now);
        else pollers_fill(w, now);
    }
}

void core_worker_sample(struct core_worker *w, double memory_usage, double cpu_usage, instant now)
{
    w->memory_usage = memory_usage;
    w->cpu_usage = cpu_usage;
    w->has_sample = true;
    local_dispatch(w, now);
    pollers_fill(w, now);
}

bool core_worker_wants_samples(const struct core_worker *w)
{
    for (int k = 0; k < SLOT_KIND_COUNT; k++)
        if (w->slots[k].supplier_case == pb_core_SlotSupplier_resource_based_tag) return true;
    return false;
}
