/* sim/receiver.c: those who wait for completion callbacks: slow, failing, out of reach, and now and then no longer interested. */
#include "sim/sim.h"

#include <stdlib.h>

struct call {
    struct sim *sim;
    struct list link;
    struct outgoing *outgoing;       /* NULL: the server has gone, or does not wait any more */
    struct alarm arrival, answer;
    struct arena arena;
    struct str headers, body, path;
    int status;
};

static void call_free(struct call *c)
{
    alarm_clear(c->sim, &c->arrival);
    alarm_clear(c->sim, &c->answer);
    list_remove(&c->link);
    arena_fini(&c->arena);
    free(c);
}

static void ring_answer(struct sim *sim, struct alarm *alarm)
{
    struct call *c = container_of(alarm, struct call, answer);
    struct outgoing *o = c->outgoing;
    int status = c->status;
    (void)sim;
    call_free(c);
    if (o == NULL) return;
    o->under_way = NULL;
    o->done(o, status, status == 0 ? STR("no answer in time") : STR_EMPTY);
}

/* What arrives has to be true, whoever may still hear of the answer. */
static void ring_arrival(struct sim *sim, struct alarm *alarm)
{
    struct call *c = container_of(alarm, struct call, arrival);
    bool is_down = sim_chance(sim, 4), is_over = sim_chance(sim, 30), is_lost = sim_chance(sim, sim->weather.lose_one_in);
    c->status = is_down ? 500 : is_over ? 404 : 200;
    checker_callback(sim, c->headers, c->status);
    sim_trace(sim, "callback %.*s -> %d%s", STR_ARG(c->path), c->status, is_lost ? ", lost" : "");
    if (is_lost) c->status = 0;
    alarm_set(sim, &c->answer, is_lost ? duration_s(10) : sim_pause(sim, duration_ms(20)));
}

void receiver_post(void *arg, struct outgoing *outgoing)
{
    struct sim *sim = arg;
    struct call *c = xcalloc(1, sizeof *c);
    c->sim = sim;
    c->outgoing = outgoing;
    arena_init(&c->arena, 512, 0);
    c->headers = arena_str(&c->arena, outgoing->headers);
    c->body = arena_str(&c->arena, outgoing->body);
    c->path = arena_str(&c->arena, outgoing->path);
    c->arrival.ring = ring_arrival;
    c->answer.ring = ring_answer;
    outgoing->under_way = c;
    list_push(&sim->callbacks, &c->link);
    if (sim_chance(sim, sim->weather.lose_one_in)) alarm_set(sim, &c->answer, outgoing->timeout);
    else alarm_set(sim, &c->arrival, sim_pause(sim, duration_ms(10)));
}

void receiver_forget(void *arg, struct outgoing *outgoing)
{
    (void)arg;
    struct call *c = outgoing->under_way;
    outgoing->under_way = NULL;
    c->outgoing = NULL;
}

void receiver_destroy(struct sim *sim)
{
    struct list *link;
    while ((link = list_first(&sim->callbacks)) != NULL) call_free(container_of(link, struct call, link));
}
