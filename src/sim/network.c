/* sim/network.c: requests on their way to the server and answers on their way back: late, lost, or twice. */
#include "sim/sim.h"

#include <stdlib.h>

static duration travel(struct sim *sim)
{
    if (sim->weather.network_delay.ns == 0) return (duration){0};
    int64_t most = sim_chance(sim, 50) ? 100 * sim->weather.network_delay.ns : sim->weather.network_delay.ns;
    return (duration){(int64_t)prng_below(&sim->prng, (uint64_t)most + 1)};
}

static void remote_free(struct remote *r)
{
    alarm_clear(r->sim, &r->arrival);
    alarm_clear(r->sim, &r->answer);
    alarm_clear(r->sim, &r->deadline);
    list_remove(&r->link);
    buf_fini(&r->request);
    buf_fini(&r->reply);
    arena_fini(&r->arena);
    arena_fini(&r->client_arena);
    free(r);
}

/* Gone when both sides are through with it. */
static void remote_settle(struct remote *r)
{
    bool is_server_through = !r->is_at_server || r->is_released;
    if (r->is_over && is_server_through && !heap_has(&r->arrival.node) && !heap_has(&r->answer.node)) remote_free(r);
}

static void over(struct remote *r, enum grpc_code code, const void *reply)
{
    if (r->is_over) return;
    r->is_over = true;
    alarm_clear(r->sim, &r->deadline);
    struct str name = pb_method_name(r->method);
    sim_trace(r->sim, "%.*s -> %s", STR_ARG(name), grpc_code_name(code));
    if (r->done != NULL) r->done(r, code, reply);
}

/* ---- at the server ---- */

static void send_back(struct remote *r)
{
    if (sim_chance(r->sim, r->sim->weather.lose_one_in)) return; /* the deadline tells */
    alarm_set(r->sim, &r->answer, travel(r->sim));
}

static void ops_reply(struct rpc *rpc, const struct pb_message *type, const void *message)
{
    struct remote *r = container_of(rpc, struct remote, rpc);
    void *told;
    pb_encode(type, message, &r->reply); /* parts may be bytes already: look at it as the caller will */
    if (pb_decode(type, buf_view(&r->reply), &r->client_arena, PB_COPY, &told) != ERR_NONE) sim_fail(r->sim, "a reply does not decode");
    checker_reply(r->sim, r->method, rpc->request, told);
    r->code = GRPC_OK;
    if (!r->is_over) send_back(r);
}

static void ops_fail(struct rpc *rpc, const struct error *error)
{
    struct remote *r = container_of(rpc, struct remote, rpc);
    r->code = error_grpc(error);
    r->message = arena_str(&r->client_arena, error_message(error));
    if (!r->is_over) send_back(r);
}

static void ops_released(struct rpc *rpc)
{
    struct remote *r = container_of(rpc, struct remote, rpc);
    r->is_released = true;
    remote_settle(r);
}

static struct str ops_metadata(struct rpc *rpc, struct str name)
{
    (void)rpc;
    (void)name;
    return STR_EMPTY;
}

static void *decode_request(struct remote *r)
{
    void *request;
    if (pb_decode(pb_method_request(r->method), buf_view(&r->request), &r->arena, PB_ALIAS, &request) != ERR_NONE) sim_fail(r->sim, "a request does not decode");
    return request;
}

/* All that is promised to go is gone: whoever still looks at it meets rubbish. */
static void ops_park(struct rpc *rpc)
{
    struct remote *r = container_of(rpc, struct remote, rpc);
    rpc->request = NULL;
    arena_fini(&r->arena);
}

static void ops_unpark(struct rpc *rpc) { rpc->request = decode_request(container_of(rpc, struct remote, rpc)); }

static const struct rpc_ops ops = {.reply = ops_reply, .fail = ops_fail, .released = ops_released, .metadata = ops_metadata, .park = ops_park, .unpark = ops_unpark};

static void ring_arrival(struct sim *sim, struct alarm *alarm)
{
    struct remote *r = container_of(alarm, struct remote, arrival);
    if (!sim->is_up) {
        r->code = GRPC_UNAVAILABLE;
        if (!r->is_over) alarm_set(sim, &r->answer, travel(sim));
        remote_settle(r);
        return;
    }
    r->is_at_server = true;
    r->rpc = (struct rpc){.ops = &ops, .method = r->method, .request = decode_request(r), .arena = &r->arena, .deadline = instant_add(r->deadline.node.due, sim->skew),
                          .connection_id = r->connection};
    if (r->is_over) r->rpc.deadline = instant_add(cluster_now(sim), duration_s(10)); /* nobody listens any more, but it has come */
    sim->rpc_count++;
    frontend_call(sim->frontend, &r->rpc);
}

/* ---- back at the caller ---- */

static void ring_answer(struct sim *sim, struct alarm *alarm)
{
    struct remote *r = container_of(alarm, struct remote, answer);
    void *reply = NULL;
    if (r->code == GRPC_OK && pb_decode(pb_method_response(r->method), buf_view(&r->reply), &r->client_arena, PB_COPY, &reply) != ERR_NONE)
        sim_fail(sim, "a reply does not decode");
    if (!r->is_over && r->code != GRPC_OK && sim->is_loud) sim_trace(sim, "  %.*s", STR_ARG(r->message));
    over(r, r->code, reply);
    remote_settle(r);
}

static void ring_deadline(struct sim *sim, struct alarm *alarm)
{
    struct remote *r = container_of(alarm, struct remote, deadline);
    bool is_waiting = r->is_at_server && !r->is_released;
    if (is_waiting && sim->is_up) {
        over(r, GRPC_DEADLINE_EXCEEDED, NULL);
        frontend_cancel(sim->frontend, &r->rpc);
        return; /* maybe freed by that */
    }
    over(r, GRPC_DEADLINE_EXCEEDED, NULL);
    remote_settle(r);
}

struct remote *remote_call(struct sim *sim, int method, const void *request, duration timeout, uint64_t connection, void *owner,
                           void (*done)(struct remote *remote, enum grpc_code code, const void *reply))
{
    struct remote *r = xcalloc(1, sizeof *r);
    r->sim = sim;
    r->method = &pb_methods[method];
    r->owner = owner;
    r->done = done;
    r->connection = connection;
    arena_init(&r->arena, 0, 0);
    arena_init(&r->client_arena, 0, 0);
    pb_encode(pb_method_request(r->method), request, &r->request);
    r->arrival.ring = ring_arrival;
    r->answer.ring = ring_answer;
    r->deadline.ring = ring_deadline;
    list_push(&sim->rpcs, &r->link);
    alarm_set(sim, &r->deadline, timeout);
    if (!sim_chance(sim, sim->weather.lose_one_in)) alarm_set(sim, &r->arrival, travel(sim));
    return r;
}

/* Its connection closes: what has not left is never sent, what is at the server is cancelled there. */
void remote_cancel_all(struct sim *sim, void *owner)
{
    for (struct list *link = sim->rpcs.next; link != &sim->rpcs;) {
        struct remote *r = container_of(link, struct remote, link);
        link = link->next;
        if (r->owner != owner) continue;
        r->owner = NULL;
        r->done = NULL;
        r->is_over = true;
        alarm_clear(sim, &r->deadline);
        alarm_clear(sim, &r->answer);
        if (!r->is_at_server) alarm_clear(sim, &r->arrival);
        if (r->is_at_server && !r->is_released && sim->is_up) {
            frontend_cancel(sim->frontend, &r->rpc);
            link = sim->rpcs.next; /* others may have gone with it */
        } else {
            remote_settle(r);
        }
    }
}

void network_server_gone(struct sim *sim)
{
    list_each(link, &sim->rpcs) {
        struct remote *r = container_of(link, struct remote, link);
        if (r->is_at_server && !r->is_released && !r->rpc.is_answered) r->code = GRPC_UNAVAILABLE;
    }
}

void network_server_buried(struct sim *sim)
{
    list_each_safe(link, &sim->rpcs) {
        struct remote *r = container_of(link, struct remote, link);
        if (!r->is_at_server || r->is_released) continue;
        r->is_released = true; /* nobody is left to refer to it */
        if (!r->is_over && !heap_has(&r->answer.node) && r->code != GRPC_OK) alarm_set(sim, &r->answer, travel(sim));
        remote_settle(r);
    }
}

void network_destroy(struct sim *sim)
{
    struct list *link;
    while ((link = list_first(&sim->rpcs)) != NULL) remote_free(container_of(link, struct remote, link));
}
