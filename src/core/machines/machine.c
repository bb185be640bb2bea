#include "core/run_state.h"

#include <stdio.h>
#include <stdlib.h>

static void machine_index_event(struct run *run, struct machine *m)
{
    map_u64_put(&run->by_event, (uint64_t)m->event_id, m);
}

struct machine *machine_create(struct run *run, enum machine_kind kind, uint32_t seq, struct str id, struct str name)
{
    struct machine *m = xmalloc(sizeof *m + id.size + name.size);
    char *text = (char *)(m + 1);
    *m = (struct machine){.kind = (uint8_t)kind, .seq = seq, .id = {text, id.size}, .name = {text + id.size, name.size}};
    if (id.size != 0) memcpy(text, id.data, id.size);
    if (name.size != 0) memcpy(text + id.size, name.data, name.size);
    map_u64_put(&run->machines[kind], seq, m);
    if (seq > run->seq_max[kind]) run->seq_max[kind] = seq;
    return m;
}

void machine_free(struct machine *m)
{
    if (m->local != NULL) local_free(m->local);
    free(m->run_id);
    free(m);
}

void machine_destroy(struct run *run, struct machine *m)
{
    list_each(link, &run->outgoing) {
        struct outgoing *out = container_of(link, struct outgoing, link);
        if (out->machine == m) out->machine = NULL;
    }
    map_u64_remove(&run->machines[m->kind], m->seq);
    if (m->event_id != 0) map_u64_remove(&run->by_event, (uint64_t)m->event_id);
    machine_free(m);
}

struct machine *machine_get(struct run *run, enum machine_kind kind, uint32_t seq)
{
    return map_u64_get(&run->machines[kind], seq);
}

struct machine *machine_of_event(struct run *run, enum machine_kind kind, int64_t event_id)
{
    struct machine *m = map_u64_get(&run->by_event, (uint64_t)event_id);
    return m != NULL && m->kind == kind ? m : NULL;
}

void machine_scheduled(struct run *run, struct machine *m, const event_t *e)
{
    static const unsigned may_follow[MACHINE_STATE_COUNT] = {[MACHINE_NEW] = 1u << MACHINE_SCHEDULED};
    ensure(may_follow[m->state] & (1u << MACHINE_SCHEDULED));
    trace("core", "machine kind=%d seq=%u scheduled event=%" PRId64, m->kind, m->seq, e->event_id);
    m->state = MACHINE_SCHEDULED;
    m->event_id = e->event_id;
    machine_index_event(run, m);
}

err machine_missing(struct run *run, enum machine_kind kind, uint32_t seq, const char *what)
{
    if (seq != 0 && seq <= run->seq_max[kind]) return ERR_NONE;
    return run_fail(run, WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED, "%s names seq %u, which was never given", what, seq);
}

pb_failure_Failure *failure_new(struct arena *arena, const char *message)
{
    pb_failure_Failure *f = pb_new(arena, pb_failure_Failure);
    f->message = str_of(message);
    return f;
}

pb_failure_Failure *failure_cancelled(struct arena *arena, const char *message, const pb_common_Payloads *details)
{
    pb_failure_Failure *f = failure_new(arena, message);
    f->failure_info_case = pb_failure_Failure_canceled_failure_info_tag;
    f->canceled_failure_info = pb_new(arena, pb_failure_CanceledFailureInfo);
    f->canceled_failure_info->details = (pb_common_Payloads *)details;
    return f;
}

struct str seq_text(struct arena *arena, uint32_t seq)
{
    return arena_printf(arena, "%u", seq);
}

pb_common_Payloads *payloads_of(struct arena *arena, struct pb_common_Payload **items, size_t count)
{
    if (count == 0) return NULL;
    pb_common_Payloads *p = pb_new(arena, pb_common_Payloads);
    PB_SET_ARRAY(p, payloads, items, count);
    return p;
}

pb_common_Payloads *payloads_one(struct arena *arena, struct pb_common_Payload *item)
{
    if (item == NULL) return NULL;
    pb_common_Payloads *p = pb_new(arena, pb_common_Payloads);
    PB_PUSH(arena, p, payloads) = item;
    return p;
}
