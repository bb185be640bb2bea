/* shard/message.c: what entities owe each other. A message is stored with the step that made it, delivered when that is
 * durable, and deleted when the receiver's own step is durable; until then it is delivered again, after failures and
 * after a restart. The lowest orders are in memory; past the bound the rest waits in the store alone. */
#include "proto/perdure/shard.h"
#include "proto/perdure/state.h"
#include "shard/internal.h"

#include <stdlib.h>

/* ---- the sender's side ---- */

static void delivery_done(struct shard_delivery *delivery, err result);

static struct shard_delivery *delivery_create(struct shard *s, int64_t order, int64_t namespace_key, struct str workflow_id, struct str run_id,
                                              struct str bytes)
{
    struct shard_delivery *d = xcalloc(1, sizeof *d + workflow_id.size + run_id.size + bytes.size);
    const struct str from[] = {workflow_id, run_id, bytes};
    struct str *to[] = {&d->workflow_id, &d->run_id, &d->bytes};
    char *at = (char *)(d + 1);
    for (size_t i = 0; i < countof(from); i++) {
        if (from[i].size != 0) memcpy(at, from[i].data, from[i].size);
        *to[i] = str_make(at, from[i].size);
        at += from[i].size;
    }
    d->namespace_key = namespace_key;
    d->done = delivery_done;
    d->sender = s;
    d->order = order;
    return d;
}

struct shard_delivery *message_make(struct shard *s, const struct message_effect *message)
{
    return delivery_create(s, s->next_message++, message->namespace_key, message->workflow_id, message->run_id, message->bytes);
}

struct str message_encode(const struct message_effect *message, struct arena *arena)
{
    pb_shard_Envelope envelope = {.namespace_key = message->namespace_key, .workflow_id = message->workflow_id, .run_id = message->run_id,
                                  .message = message->bytes};
    return PB_ENCODE_ARENA(pb_shard_Envelope, &envelope, arena);
}

void message_drop(struct shard_delivery *delivery) { free(delivery); }

static void delivery_go(struct shard *s, struct shard_delivery *delivery)
{
    delivery->is_under_way = true;
    s->env.deliver(s->env.arg, delivery);
}

/* Keeps it, if it is next in line and there is room; the store has it in any case. */
void outbox_send(struct shard *s, struct shard_delivery *delivery)
{
    if (s->has_messages_on_disk || map_u64_count(&s->deliveries) >= s->options.messages_max) {
        reach("shard: more messages than memory may hold");
        s->has_messages_on_disk = true;
        if (delivery->order > s->message_disk_max) s->message_disk_max = delivery->order;
        free(delivery);
        shard_rearm(s);
        return;
    }
    if (delivery->order > s->message_loaded_to) s->message_loaded_to = delivery->order;
    map_u64_put(&s->deliveries, (uint64_t)delivery->order, delivery);
    delivery_go(s, delivery);
}

static bool is_worth_a_retry(const struct shard_delivery *delivery, err result)
{
    if (result == ERR_NAMESPACE_NOT_FOUND) return delivery->attempt < NAMESPACE_TRIES_MAX;
    return result == ERR_STORE || result == ERR_STORE_FULL || result == ERR_UNAVAILABLE || result == ERR_STALE_LEASE || result == ERR_LIMIT;
}

static void delivery_done(struct shard_delivery *delivery, err result)
{
    struct shard *s = delivery->sender;
    delivery->is_under_way = false;
    if (is_worth_a_retry(delivery, result)) {
        reach("shard: a message is delivered again");
        heap_put(&s->retries, &delivery->retry, instant_add(shard_now(s), retry_pause(delivery->attempt++)));
        shard_rearm(s);
        return;
    }
    if (result != ERR_NONE) log_warn("shard", "a message between workflows can not be delivered", "reason", err_text(result));
    shard_write_relaxed(s, &(struct store_op){.kind = STORE_MESSAGE_DELETE, .a = s->options.number, .b = delivery->order});
    map_u64_remove(&s->deliveries, (uint64_t)delivery->order);
    free(delivery);
}

/* ---- what the store alone holds ---- */

static void page_opened(struct mail *mail)
{
    struct store_read *read = container_of(mail, struct store_read, mail);
    struct shard *s = (struct shard *)(uintptr_t)read->namespace_key;
    s->message_read = NULL;
    if (read->result != ERR_NONE) s->message_retry = instant_add(shard_now(s), duration_s(1));
    for (size_t i = 0; read->result == ERR_NONE && i < read->row_count; i++) {
        const struct store_row *row = &read->rows[i];
        pb_shard_Envelope *envelope;
        s->message_loaded_to = row->b;
        if (PB_DECODE_ALIAS(&read->arena, row->bytes, pb_shard_Envelope, &envelope) != ERR_NONE) {
            log_error("shard", "a stored message can not be read; it is left alone until the next start");
            continue;
        }
        if (map_u64_get(&s->deliveries, (uint64_t)row->b) != NULL) continue;
        struct shard_delivery *d = delivery_create(s, row->b, envelope->namespace_key, envelope->workflow_id, envelope->run_id, envelope->message);
        map_u64_put(&s->deliveries, (uint64_t)d->order, d);
        delivery_go(s, d);
    }
    if (read->result == ERR_NONE) s->has_messages_on_disk = read->has_more || s->message_disk_max > read->to;
    arena_fini(&read->arena);
    free(read);
    shard_rearm(s);
}

static bool page_is_due(const struct shard *s)
{
    return s->has_messages_on_disk && s->message_read == NULL && !s->is_closing && !s->is_lost && !s->is_failing &&
           map_u64_count(&s->deliveries) <= s->options.messages_max / 2;
}

void message_tick(struct shard *s, instant now)
{
    struct heap_node *node;
    while ((node = heap_first(&s->retries)) != NULL && !instant_before(now, node->due)) {
        heap_remove(&s->retries, node);
        delivery_go(s, container_of(node, struct shard_delivery, retry));
    }
    if (!page_is_due(s) || instant_before(now, s->message_retry)) return;
    struct store_read *read = xcalloc(1, sizeof *read);
    arena_init(&read->arena, 0, 0);
    read->mail.open = page_opened;
    read->reply_to = s->env.mailbox;
    read->kind = STORE_READ_MESSAGES;
    read->shard = s->options.number;
    read->order = s->message_loaded_to;
    read->limit = s->options.messages_max / 2;
    read->to = s->message_disk_max;                /* not used by this kind: what was known when it was asked */
    read->namespace_key = (int64_t)(uintptr_t)s;   /* nor this: whose it is */
    s->message_read = read;
    store_read(s->env.store, read);
}

instant message_next_due(const struct shard *s)
{
    struct heap_node *node = heap_first(&s->retries);
    instant due = node != NULL ? node->due : INSTANT_NEVER;
    return page_is_due(s) ? instant_min(due, s->message_retry) : due;
}

void message_fini(struct shard *s)
{
    struct shard_delivery *delivery;
    for (size_t at = 0; (delivery = map_u64_next(&s->deliveries, &at, NULL)) != NULL;) free(delivery);
    map_u64_fini(&s->deliveries);
    heap_fini(&s->retries);
    if (s->message_read != NULL) arena_fini(&s->message_read->arena);
    free(s->message_read);
}

/* ---- the receiver's side ---- */

static err receive_step(struct shard_call *call, struct execution *run, struct step *step, bool *is_commit)
{
    (void)is_commit;
    struct inner_call *inner = container_of(call, struct inner_call, call);
    pb_store_Message *message;
    if (PB_DECODE_ALIAS(&inner->arena, inner->delivery->bytes, pb_store_Message, &message) != ERR_NONE) return ERR_CORRUPT;
    if (inner->wanted_event == 0) {
        inner->wanted_event = execution_wanted_event(run, message);
        inner->wanted_run = inner->wanted_event != 0 ? execution_run(run) : 0;
        if (inner->wanted_event != 0) return ERR_NONE; /* it is read, and the message comes again */
    } else if (!str_is_empty(inner->closing)) {
        pb_history_History *history;
        if (PB_DECODE(&inner->arena, inner->closing, pb_history_History, &history) != ERR_NONE) return ERR_CORRUPT;
        bool is_same = run != NULL && execution_run(run) == inner->wanted_run && history->events_count != 0;
        if (is_same && execution_wanted_event(run, message) == inner->wanted_event) message->child_asked->closing = history->events[0];
    }
    return execution_receive(step, run, message);
}

static void receive_submit(struct inner_call *inner);

static void closing_read(struct shard_history_read *read, err result)
{
    struct inner_call *inner = container_of(read, struct inner_call, read);
    if (result == ERR_NONE || result == ERR_WORKFLOW_NOT_FOUND) {
        inner->closing = result == ERR_NONE ? read->history : STR_EMPTY;
        receive_submit(inner);
        return;
    }
    struct shard_delivery *delivery = inner->delivery;
    inner->shard->receive_count--;
    inner_call_destroy(inner);
    delivery->done(delivery, result);
}

static void receive_done(struct shard_call *call, err result)
{
    struct inner_call *inner = container_of(call, struct inner_call, call);
    struct shard_delivery *delivery = inner->delivery;
    if (result == ERR_NONE && inner->wanted_event != 0 && inner->read.done == NULL) {
        inner->read = (struct shard_history_read){.from = inner->wanted_event, .to = inner->wanted_event + 1, .events_max = 1, .done = closing_read};
        inner->read.call = (struct shard_call){.namespace_key = delivery->namespace_key, .run = inner->wanted_run, .need = SHARD_NEEDS_RUN_KEY, .arena = &inner->arena};
        shard_read_history(inner->shard, &inner->read);
        return;
    }
    inner->shard->receive_count--;
    inner_call_destroy(inner);
    delivery->done(delivery, result);
}

static void receive_submit(struct inner_call *inner)
{
    struct shard_delivery *delivery = inner->delivery;
    inner->call = (struct shard_call){.namespace_key = delivery->namespace_key, .workflow_id = delivery->workflow_id, .run_id = delivery->run_id,
                                      .need = SHARD_MAY_LACK_RUN, .step = receive_step, .done = receive_done, .arena = &inner->arena};
    shard_submit(inner->shard, &inner->call);
}

void shard_receive(struct shard *s, struct shard_delivery *delivery)
{
    struct inner_call *inner = inner_call_create(s);
    inner->delivery = delivery;
    s->receive_count++;
    receive_submit(inner);
}
