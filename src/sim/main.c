/* sim/main.c: perdure-sim --seed N --runs K --minutes M [--trace]. One line a seed; a failure prints what does not hold
 * and the command that repeats it. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int minutes_option = 2;

/* ---- alarms, trace ---- */

void alarm_set(struct sim *sim, struct alarm *alarm, duration after) { heap_put(&sim->alarms, &alarm->node, instant_add(sim->now, after)); }
void alarm_clear(struct sim *sim, struct alarm *alarm) { heap_remove(&sim->alarms, &alarm->node); }

duration sim_pause(struct sim *sim, duration mean) { return (duration){(int64_t)prng_below(&sim->prng, 2 * (uint64_t)mean.ns + 1)}; }

void sim_trace(struct sim *sim, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t used = size < 0 ? 0 : size_min((size_t)size, sizeof line - 1);
    struct { uint64_t before, line; int64_t at; } link = {sim->trace_hash, str_hash(str_make(line, used)), sim->now.ns};
    sim->trace_hash = str_hash(str_make(&link, sizeof link));
    sim->trace_count++;
    if (sim->is_loud) printf("%12.6f %s\n", (double)(sim->now.ns - sim->begin.ns) / 1e9, line);
}

static void print_repeat(const struct sim *sim)
{
    fflush(stdout);
    fprintf(stderr, "at %.6f s of virtual time, trace %016" PRIx64 "\nrepeat with:  perdure-sim --seed %" PRIu64 " --minutes %d --trace\n",
            (double)(sim->now.ns - sim->begin.ns) / 1e9, sim->trace_hash, sim->seed, minutes_option);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 ": ", sim->seed);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    print_repeat(sim);
    exit(1);
}

/* A fact inside the server does not hold. */
static void on_ensure(void *arg) { print_repeat(arg); }

/* ---- one seed ---- */

static duration draw_every(struct prng *prng, int64_t low_s, int64_t high_s)
{
    if (prng_chance(prng, 3)) return (duration){0};
    return duration_s(low_s + (int64_t)prng_below(prng, (uint64_t)(high_s - low_s + 1)));
}

static uint32_t draw_rate(struct prng *prng, uint32_t low)
{
    return prng_chance(prng, 2) ? 0 : low << prng_below(prng, 5);
}

static void draw_weather(struct sim *sim)
{
    struct prng *p = &sim->prng;
    struct weather *w = &sim->weather;
    w->worker_count = 1 + (int)prng_below(p, 3);
    w->client_count = 1 + (int)prng_below(p, 4);
    w->workflow_count = 2 + (int)prng_below(p, 30);
    w->store_delay = duration_ms(prng_chance(p, 4) ? 0 : (int64_t)prng_below(p, 40));
    w->network_delay = duration_ms(prng_chance(p, 4) ? 0 : 1 + (int64_t)prng_below(p, 20));
    w->store_fail_one_in = draw_rate(p, 100);
    w->lose_one_in = draw_rate(p, 20);
    w->crash_every = draw_every(p, 5, 60);
    w->full_every = draw_every(p, 10, 60);
    w->worker_death_every = draw_every(p, 3, 40);
    w->jump_every = draw_every(p, 10, 60);
    w->slow_worker_one_in = draw_rate(p, 10);
    w->repeat_one_in = draw_rate(p, 5);
    w->cache_bytes = prng_chance(p, 3) ? (size_t)1 << 20 : (size_t)4096 << prng_below(p, 6);
    w->queue_tasks = prng_chance(p, 2) ? 0 : 1 + prng_below(p, 5);
}

/* To the next thing that is due, but not beyond `end`. False when that is reached. */
static bool sim_advance(struct sim *sim, instant end)
{
    cluster_round(sim);
    struct heap_node *node = heap_first(&sim->alarms);
    instant due = instant_min(cluster_next_due(sim), node != NULL ? node->due : INSTANT_NEVER);
    if (end.ns < due.ns) {
        sim->now = instant_max(sim->now, end);
        return false;
    }
    sim->now = instant_max(sim->now, due);
    if (node == NULL || instant_before(sim->now, node->due)) return true;
    struct alarm *alarm = container_of(node, struct alarm, node);
    heap_remove(&sim->alarms, node);
    alarm->ring(sim, alarm);
    return true;
}

static void sim_run_until(struct sim *sim, instant end)
{
    instant next_look = sim->now;
    while (sim_advance(sim, end)) {
        if (instant_before(sim->now, next_look)) continue;
        checker_memory(sim);
        next_look = instant_add(sim->now, duration_s(2));
    }
}

static void sim_calm(struct sim *sim)
{
    sim_trace(sim, "calm");
    sim->is_calm = true;
    sim->calm_at = instant_add(sim->now, duration_s(30));
    cluster_calm(sim);
    workers_calm(sim);
}

static void print_open(struct sim *sim, struct str workflow_id, struct str run_id)
{
    (void)sim;
    fprintf(stderr, "open: %.*s %.*s\n", STR_ARG(workflow_id), STR_ARG(run_id));
}

static void background_end(struct sim *sim)
{
    struct frontend_stats stats;
    frontend_stats(sim->frontend, &stats);
    if (stats.namespaces_deleting != 0) sim_fail(sim, "%" PRIu64 " deleted namespaces do not go though all faults have stopped", stats.namespaces_deleting);
    if (stats.batches_open != 0) sim_fail(sim, "%" PRIu64 " batch jobs do not end though all faults have stopped", stats.batches_open);
}

/* Faults have stopped: everything has to close. */
static void sim_finish(struct sim *sim)
{
    int quiet = 0; /* looks in a row at which nothing was open: a schedule may start what it had to hold back */
    for (int minute = 0; minute < 30 && quiet < 3; minute++) {
        sim_run_until(sim, instant_add(sim->now, duration_s(60)));
        quiet = checker_open_count(sim) == 0 && checker_callbacks_owed(sim) == 0 ? quiet + 1 : 0;
    }
    if (checker_open_count(sim) != 0) {
        checker_each_open(sim, print_open);
        sim_fail(sim, "%zu workflows do not close though all faults have stopped", checker_open_count(sim));
    }
    clients_destroy(sim);
    sim_run_until(sim, instant_add(sim->now, duration_s(30)));
    checker_end(sim);
    background_end(sim);
    cluster_crash(sim); /* and all of it is still there */
    cluster_boot(sim);
    sim_run_until(sim, instant_add(sim->now, duration_s(30)));
    checker_end(sim);
    background_end(sim);
}

static uint64_t run_seed(uint64_t seed, bool is_loud)
{
    struct sim sim = {.seed = seed, .is_loud = is_loud, .now = {INT64_C(1750000000) * NS_PER_S}};
    sim.begin = sim.now;
    prng_init(&sim.prng, seed);
    list_init(&sim.rpcs);
    list_init(&sim.workers);
    list_init(&sim.clients);
    list_init(&sim.callbacks);
    ensure_context = on_ensure;
    ensure_context_arg = &sim;
    draw_weather(&sim);
    checker_create(&sim);
    cluster_create(&sim);
    cluster_boot(&sim);
    for (int i = 0; i < sim.weather.worker_count; i++) worker_create(&sim, i);
    for (int i = 0; i < sim.weather.client_count; i++) client_create(&sim, i);
    sim_run_until(&sim, instant_add(sim.now, duration_s(60 * minutes_option)));
    sim_calm(&sim);
    sim_finish(&sim);
    size_t runs, events;
    checker_stats(&sim, &runs, &events);
    struct faulty_stats disk = faulty_get_stats(sim.disk);
    printf("seed %" PRIu64 ": %zu runs, %zu events, %" PRIu64 " requests, %" PRIu64 " commits, %" PRIu64 " lives, %" PRIu64 " failures, %" PRIu64 " loads, %" PRIu64
           " evictions, %" PRIu64 " tasks stored, trace %016" PRIx64 "\n",
           seed, runs, events, sim.rpc_count, disk.durable, sim.life, disk.failed, sim.loaded, sim.evicted, sim.persisted, sim.trace_hash);
    workers_destroy(&sim);
    cluster_destroy(&sim);
    network_destroy(&sim);
    receiver_destroy(&sim);
    checker_destroy(&sim);
    heap_fini(&sim.alarms);
    ensure_context = NULL;
    return sim.trace_hash;
}

/* ---- options ---- */

static bool option(int argc, char **argv, int *at, const char *name, uint64_t *value)
{
    if (strcmp(argv[*at], name) != 0 || *at + 1 >= argc) return false;
    char *end;
    *value = strtoull(argv[++*at], &end, 10);
    if (*end == 0 && end != argv[*at]) return true;
    fprintf(stderr, "%s takes a number, not \"%s\"\n", name, argv[*at]);
    exit(2);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, runs = 1, minutes = 2, wall = 0, twice = 0;
    const time_t begin = time(NULL); /* decides when to stop, never what happens */
    bool is_loud = false;
    for (int i = 1; i < argc; i++) {
        if (option(argc, argv, &i, "--seed", &seed) || option(argc, argv, &i, "--runs", &runs) || option(argc, argv, &i, "--minutes", &minutes) ||
            option(argc, argv, &i, "--wall", &wall)) continue;
        if (strcmp(argv[i], "--trace") == 0) is_loud = true;
        else if (strcmp(argv[i], "--twice") == 0) twice = 1;
        else {
            fprintf(stderr, "usage: perdure-sim [--seed N] [--runs K] [--minutes M] [--wall M] [--trace] [--twice]\n"
                            "  --seed     of the first run (1)\n  --runs     how many seeds in a row (1)\n  --minutes  of virtual time with faults (2)\n"
                            "  --wall     begin no new seed after so many minutes of real time\n"
                            "  --trace    print what happens\n  --twice    run each seed twice and compare the traces\n");
            return 2;
        }
    }
    minutes_option = (int)minutes;
    log_set_level(LOG_NEVER);
    setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t passed = 0;
    for (uint64_t i = 0; i < runs && (wall == 0 || time(NULL) - begin < (time_t)(60 * wall)); i++) {
        uint64_t hash = run_seed(seed + i, is_loud);
        if (twice && run_seed(seed + i, false) != hash) {
            fprintf(stderr, "seed %" PRIu64 " does not repeat\n", seed + i);
            return 1;
        }
        passed++;
    }
    printf("%" PRIu64 " passed, 0 failed\n", passed); /* a seed that fails ends the process where it failed */
    return 0;
}
