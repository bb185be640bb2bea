/* sim/sim.h: a whole cluster in one thread on virtual time, drawn from one seed. What the files of this folder share.
 *
 * A simulation is a set of actors (workers, clients, the weather) that set alarms on one heap. Between alarms the server's
 * own parts do what is due; the network delays, loses and repeats what goes between them. Nothing here reads a clock, an
 * address or a thread, so the same seed gives the same run, and its trace the same hash. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "frontend/frontend.h"
#include "proto/perdure/state.h"
#include "shard/matching_host.h"
#include "store/faulty/faulty_store.h"

struct sim;

/* ---- time ---- */

struct alarm {
    struct heap_node node;
    void (*ring)(struct sim *sim, struct alarm *alarm);
};
void alarm_set(struct sim *sim, struct alarm *alarm, duration after);
void alarm_clear(struct sim *sim, struct alarm *alarm);

/* ---- what the seed draws ---- */

struct weather {
    int worker_count, client_count, workflow_count;
    duration store_delay, network_delay;
    uint32_t store_fail_one_in, lose_one_in;    /* 0: never */
    duration crash_every, full_every, worker_death_every, jump_every; /* on average; 0: never */
    uint32_t slow_worker_one_in, repeat_one_in;
    size_t cache_bytes, queue_tasks;
};

/* ---- the simulation ---- */

struct sim {
    uint64_t seed;
    instant now, begin;
    struct prng prng;               /* of actors and network; the server has its own */
    struct weather weather;
    bool is_calm;                   /* faults have stopped */
    instant calm_at;                /* since then, and a while for what was under way */
    uint64_t trace_hash, trace_count;
    bool is_loud;                   /* print the trace */
    struct heap alarms;

    /* the machine (cluster.c) */
    struct faulty_store *disk;
    struct mailbox mailbox;
    struct shard *shard;
    struct matching_host *matching;
    struct frontend *frontend;
    struct frontend_settings settings;
    struct limits limits;
    bool is_up, is_serving;
    uint64_t life;                  /* starts so far */
    struct alarm crash_alarm, full_alarm, restart_alarm, jump_alarm, stop_alarm;
    bool is_full, is_stopping;
    instant stop_at;                /* a stop in good order that has not ended by then becomes a crash */
    duration skew;                  /* of the server's clock, which jumps both ways */

    /* the network (network.c) */
    struct list rpcs;
    uint64_t next_connection;

    struct checker *checker;        /* check.c */
    struct list workers, clients, callbacks;
    uint64_t rpc_count;
    uint64_t loaded, evicted, persisted; /* over all lives of the server */
};

/* One line of the trace: hashed always, printed when loud. */
void sim_trace(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);
/* Something that must always hold does not: prints what, and the command that repeats it, and stops the process. */
_Noreturn void sim_fail(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);
static inline bool sim_chance(struct sim *sim, uint32_t one_in) { return one_in != 0 && !sim->is_calm && prng_chance(&sim->prng, one_in); }
duration sim_pause(struct sim *sim, duration mean); /* around it: 0 … twice */

/* ---- cluster.c: the server on its machine ---- */
void cluster_create(struct sim *sim);
void cluster_destroy(struct sim *sim);
void cluster_boot(struct sim *sim);
void cluster_crash(struct sim *sim);
void cluster_round(struct sim *sim);         /* what is due in the server by now */
instant cluster_next_due(const struct sim *sim); /* on the simulation's clock */
static inline instant cluster_now(const struct sim *sim) { return instant_add(sim->now, sim->skew); }
void cluster_calm(struct sim *sim);

/* ---- network.c: requests on their way ---- */
struct remote {
    struct sim *sim;
    struct rpc rpc;                  /* the server's side; rpc.arena lives as long as this */
    struct arena arena, client_arena;
    struct list link;
    const struct pb_method *method;
    struct buf request, reply;
    enum grpc_code code;
    struct str message;
    struct alarm arrival, answer, deadline;
    bool is_at_server, is_released, is_over;
    uint64_t connection;
    /* The caller is told once: GRPC_OK and the reply (decoded, in client_arena), or an error. */
    void (*done)(struct remote *remote, enum grpc_code code, const void *reply);
    void *owner;                     /* whose connection it is on */
    void *user;                      /* the caller's */
    bool is_sticky_poll;
};
/* request: encoded at once. owner: for remote_cancel_all. */
struct remote *remote_call(struct sim *sim, int method, const void *request, duration timeout, uint64_t connection, void *owner,
                           void (*done)(struct remote *remote, enum grpc_code code, const void *reply));
void remote_cancel_all(struct sim *sim, void *owner); /* the caller dies: no `done` any more */
void network_server_gone(struct sim *sim);            /* before the parts of the server are destroyed */
void network_server_buried(struct sim *sim);          /* after */
void network_destroy(struct sim *sim);

/* ---- receiver.c: those who wait for completion callbacks ---- */
void receiver_post(void *sim, struct outgoing *outgoing);
void receiver_forget(void *sim, struct outgoing *outgoing);
void receiver_destroy(struct sim *sim);

/* ---- program.c: what a workflow does, as text ---- */
enum { PROGRAM_SLOTS = 48 };
struct progress {                    /* folded from events */
    char program[192];
    int64_t last_event_id, completed_started_id;
    struct slot { int64_t scheduled_event_id; uint8_t is_begun, is_over, is_cancelled; } activities[PROGRAM_SLOTS], timers[PROGRAM_SLOTS], children[PROGRAM_SLOTS], externals[PROGRAM_SLOTS];
    int signal_count, external_count;
    bool is_cancel_requested;
    char workflow_id[96], run_id[40];
};
void program_draw(struct prng *prng, bool is_child, char out[192]);
void progress_fold(struct progress *p, const pb_history_HistoryEvent *event);
/* The commands of the next workflow task. */
size_t program_decide(const struct progress *p, struct arena *arena, pb_command_Command ***commands);
int program_failures(struct str activity_input); /* how many attempts of an activity fail; -1: it runs until it is cancelled */

/* ---- actors ---- */
void worker_create(struct sim *sim, int number);
void workers_calm(struct sim *sim);
void workers_destroy(struct sim *sim);
void client_create(struct sim *sim, int number);
void clients_destroy(struct sim *sim);

/* ---- check.c: what must always hold ---- */
void checker_create(struct sim *sim);
void checker_destroy(struct sim *sim);
void checker_commit(void *sim, const struct store_commit *commit);
/* The server answers: what it says must be durable, and within every policy. */
void checker_reply(struct sim *sim, const struct pb_method *method, const void *request, const void *reply);
/* A callback arrives, with these headers, and will be answered so. */
void checker_callback(struct sim *sim, struct str headers, int status);
void checker_operated(struct sim *sim, const char *workflow_id); /* an operator asks for a reset of its activities */
size_t checker_callbacks_owed(const struct sim *sim);
bool checker_is_endless(const struct sim *sim, const char *run_id); /* of a cron schedule: only an operator ends it */
void checker_memory(struct sim *sim);  /* what is in memory equals what is stored */
void checker_end(struct sim *sim);     /* after the calm: every acknowledged write is there, everything has closed */
size_t checker_open_count(const struct sim *sim);
/* Calls visit for each open run: its workflow id. */
void checker_each_open(struct sim *sim, void (*visit)(struct sim *sim, struct str workflow_id, struct str run_id));
/* A run of this workflow that can be reset, and where to: its first or its newest completed workflow task. */
bool checker_reset_point(const struct sim *sim, const char *workflow_id, bool is_first, char run_id[40], int64_t *event_id);
void checker_stats(const struct sim *sim, size_t *runs, size_t *events);

#endif
