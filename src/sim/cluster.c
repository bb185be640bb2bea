/* sim/cluster.c: the server on its machine: started, crashed, started again. */
#include "sim/sim.h"

#include <stdlib.h>

static instant env_now(void *arg) { return cluster_now(arg); }
static const struct namespace_info *env_namespace(void *arg, int64_t key)
{
    struct sim *sim = arg;
    return sim->frontend != NULL ? frontend_namespace(sim->frontend, key) : NULL;
}
static const struct limits *env_limits(void *arg, int64_t key)
{
    (void)key;
    return &((struct sim *)arg)->limits;
}
static void env_offer(void *arg, const struct task_effect *task) { matching_offer(((struct sim *)arg)->matching, task); }
/* One hour east of UTC, two in summer, whatever name is asked for: the rule alone, behind empty tables. */
static err env_read_zone(void *arg, struct str name, struct arena *arena, struct str *bytes)
{
    static const char header[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\0\0\x0e\x10\0\0CET";
    static const char rule[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
    (void)arg;
    (void)name;
    *bytes = arena_printf(arena, "%*s", (int)(2 * sizeof header + sizeof rule - 1), "");
    char *to = (char *)(uintptr_t)bytes->data;
    memcpy(to, header, sizeof header);
    memcpy(to + sizeof header, header, sizeof header);
    memcpy(to + 2 * sizeof header, rule, sizeof rule - 1);
    return ERR_NONE;
}

static const struct tz *env_find_zone(void *arg, struct str name) { return frontend_find_zone(((struct sim *)arg)->frontend, name); }
static void env_offer_callback(void *arg, const struct callback_effect *effect) { frontend_offer_callback(((struct sim *)arg)->frontend, effect); }
static void env_deliver(void *arg, struct shard_delivery *delivery) { shard_receive(((struct sim *)arg)->shard, delivery); }
static struct shard *env_shard(void *arg, int64_t namespace_key, struct str workflow_id)
{
    (void)namespace_key;
    (void)workflow_id;
    return ((struct sim *)arg)->shard;
}

static void started(void *arg, err result, const struct error *error)
{
    struct sim *sim = arg;
    (void)error;
    sim_trace(sim, "server %s", result == ERR_NONE ? "serves" : err_text(result));
    sim->is_serving = result == ERR_NONE;
    if (result != ERR_NONE) alarm_set(sim, &sim->restart_alarm, duration_ms(1)); /* as whoever watches over it would */
}

void cluster_boot(struct sim *sim)
{
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, 0, 0);
    sim->life++;
    sim_trace(sim, "boot %" PRIu64, sim->life);
    mailbox_init(&sim->mailbox, NULL, NULL);
    faulty_set_now(sim->disk, sim->now);
    struct store *store = faulty_as_store(sim->disk);
    struct matching_env matching = {.arg = sim, .now = env_now, .shard_of = env_shard, .store = store, .mailbox = &sim->mailbox};
    sim->matching = matching_create(&matching, &(struct matching_options){.tasks_max = sim->weather.queue_tasks});
    struct shard_env env = {.arg = sim, .store = store, .mailbox = &sim->mailbox, .now = env_now, .namespace_of = env_namespace,
                            .limits_of = env_limits, .offer_task = env_offer, .offer_callback = env_offer_callback, .deliver = env_deliver, .seed = sim->seed * 7919 + sim->life, .find_zone = env_find_zone};
    struct shard_options options = {.owner = STR("sim"), .cache_bytes_max = sim->weather.cache_bytes};
    if (shard_open(&env, &options, &sim->shard, &arena, &error) != ERR_NONE) sim_fail(sim, "the shard does not open: %s", err_text(error.code));
    struct frontend_env frontend = {.arg = sim, .now = env_now, .shard = sim->shard, .matching = sim->matching, .store = store,
                                    .mailbox = &sim->mailbox, .settings = &sim->settings, .seed = sim->seed * 104729 + sim->life,
                                    .read_zone = env_read_zone, .post = receiver_post, .post_cancel = receiver_forget};
    if (frontend_create(&frontend, &sim->frontend) != ERR_NONE) sim_fail(sim, "the frontend does not start");
    sim->is_up = true;
    sim->is_serving = false;
    frontend_start(sim->frontend, &(struct frontend_start){.retention = duration_s(7 * 86400), .done = started, .arg = sim});
    arena_fini(&arena);
}

void cluster_crash(struct sim *sim)
{
    if (!sim->is_up) return;
    sim_trace(sim, "crash");
    faulty_set_now(sim->disk, sim->now);
    faulty_crash(sim->disk);
    network_server_gone(sim);
    struct shard_stats shard;
    struct matching_stats matching;
    shard_get_stats(sim->shard, &shard);
    matching_get_stats(sim->matching, &matching);
    sim->loaded += shard.loaded;
    sim->evicted += shard.evicted;
    sim->persisted += matching.persisted;
    sim->is_up = sim->is_serving = sim->is_stopping = false;
    matching_destroy(sim->matching);
    shard_destroy(sim->shard);
    frontend_destroy(sim->frontend);
    mailbox_fini(&sim->mailbox);
    sim->frontend = NULL;
    network_server_buried(sim);
}

/* ---- weather ---- */

static void ring_restart(struct sim *sim, struct alarm *alarm)
{
    (void)alarm;
    cluster_crash(sim); /* no effect on one that is down */
    cluster_boot(sim);
}

static void ring_stop(struct sim *sim, struct alarm *alarm)
{
    if (!sim->is_up || !sim->is_stopping) return;
    bool is_quiet = shard_is_quiet(sim->shard) && matching_is_quiet(sim->matching);
    if (!is_quiet && instant_before(sim->now, sim->stop_at)) {
        alarm_set(sim, alarm, duration_ms(20));
        return;
    }
    sim_trace(sim, is_quiet ? "stopped in good order" : "stopped at last");
    cluster_crash(sim);
    alarm_set(sim, &sim->restart_alarm, sim_pause(sim, duration_s(1)));
}

static void ring_crash(struct sim *sim, struct alarm *alarm)
{
    if (sim->is_up && sim->is_serving && !sim->is_stopping && prng_chance(&sim->prng, 3)) {
        sim_trace(sim, "stop");
        sim->is_stopping = true;
        sim->stop_at = instant_add(sim->now, duration_s(5));
        frontend_drain(sim->frontend);
        shard_close(sim->shard);
        alarm_set(sim, &sim->stop_alarm, duration_ms(20));
    } else {
        cluster_crash(sim);
        alarm_set(sim, &sim->restart_alarm, sim_pause(sim, duration_s(1)));
    }
    alarm_set(sim, alarm, duration_max(duration_s(2), sim_pause(sim, sim->weather.crash_every)));
}

static void ring_full(struct sim *sim, struct alarm *alarm)
{
    sim->is_full = !sim->is_full;
    sim_trace(sim, "disk %s", sim->is_full ? "full" : "has room");
    faulty_set_full(sim->disk, sim->is_full);
    alarm_set(sim, alarm, sim->is_full ? sim_pause(sim, duration_s(2)) : sim_pause(sim, sim->weather.full_every));
}

static void ring_jump(struct sim *sim, struct alarm *alarm)
{
    duration jump = sim_pause(sim, duration_s(5));
    if (prng_chance(&sim->prng, 2)) jump.ns = -jump.ns / 3;
    sim_trace(sim, "the server's clock jumps by %" PRId64 " ms", jump.ns / NS_PER_MS);
    sim->skew.ns += jump.ns;
    alarm_set(sim, alarm, sim_pause(sim, sim->weather.jump_every));
}

void cluster_create(struct sim *sim)
{
    struct faulty_options faults = {.seed = sim->seed ^ 0x5eed, .delay_max = sim->weather.store_delay, .fail_one_in = sim->weather.store_fail_one_in,
                                    .on_durable = checker_commit, .arg = sim};
    sim->disk = faulty_create(&faults, sim->now);
    static const struct callback_rule anywhere = {{"*", 1}, true};
    sim->limits = limits_default();
    sim->limits.callback_pause_max_ms = 10000;
    sim->limits.callback_concurrency_max = 3;
    sim->settings = (struct frontend_settings){.limits = sim->limits, .cluster_name = STR("active"), .store_name = STR("memory"), .shard_count = 1,
                                               .callback_rules = &anywhere, .callback_rule_count = 1};
    sim->crash_alarm.ring = ring_crash;
    sim->full_alarm.ring = ring_full;
    sim->restart_alarm.ring = ring_restart;
    sim->jump_alarm.ring = ring_jump;
    sim->stop_alarm.ring = ring_stop;
    if (sim->weather.crash_every.ns != 0) alarm_set(sim, &sim->crash_alarm, sim_pause(sim, sim->weather.crash_every));
    if (sim->weather.full_every.ns != 0) alarm_set(sim, &sim->full_alarm, sim_pause(sim, sim->weather.full_every));
    if (sim->weather.jump_every.ns != 0) alarm_set(sim, &sim->jump_alarm, sim_pause(sim, sim->weather.jump_every));
}

void cluster_calm(struct sim *sim)
{
    alarm_clear(sim, &sim->crash_alarm);
    alarm_clear(sim, &sim->full_alarm);
    alarm_clear(sim, &sim->jump_alarm);
    faulty_set_full(sim->disk, false);
    faulty_set_fail_one_in(sim->disk, 0);
    if (!sim->is_up && !heap_has(&sim->restart_alarm.node)) alarm_set(sim, &sim->restart_alarm, duration_ms(1));
}

void cluster_destroy(struct sim *sim)
{
    cluster_crash(sim);
    faulty_destroy(sim->disk);
}

/* ---- time ---- */

instant cluster_next_due(const struct sim *sim)
{
    instant disk = faulty_next_due(sim->disk);
    if (!sim->is_up) return disk;
    instant due = instant_min(shard_next_due(sim->shard), matching_next_due(sim->matching));
    due = instant_min(due, frontend_next_due(sim->frontend));
    return due.ns == INSTANT_NEVER.ns ? disk : instant_min(disk, (instant){due.ns - sim->skew.ns});
}

void cluster_round(struct sim *sim)
{
    enum { ROUNDS_MAX = 100000 };
    faulty_set_now(sim->disk, sim->now);
    for (int i = 0; sim->is_up; i++) {
        if (i == ROUNDS_MAX) sim_fail(sim, "the server does not come to rest");
        size_t mails = mailbox_open_all(&sim->mailbox);
        bool is_due = !instant_before(sim->now, cluster_next_due(sim));
        if (mails == 0 && !is_due) break;
        faulty_tick(sim->disk);
        shard_tick(sim->shard);
        matching_tick(sim->matching);
        frontend_tick(sim->frontend);
    }
    if (sim->is_up) shard_check(sim->shard);
}
