/* frontend/frontend.h: the RPCs of the API, without sockets.
 *
 * Whoever brings a request (server/ from a connection, sim/ from a script) embeds a struct rpc, fills its first part and
 * calls frontend_call. The frontend answers once through `ops`, at once or later. The bringer may take the request back
 * with frontend_cancel; then no answer is given and `ops->released` is called as soon as nothing refers to it any more
 * (maybe within frontend_cancel, maybe after a commit that is under way).
 *
 * Thread: one, that of the shards and partitions behind it.   Blocks: never.   Clock: given. */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include "base/err.h"
#include "base/heap.h"
#include "base/prng.h"
#include "history/limits.h"
#include "proto/api.h"

struct frontend;
struct rpc;
struct shard;
struct matching_host;
struct store;
struct mailbox;

struct rpc_ops {
    /* Borrow their arguments for the call. Exactly one of them is called, and then `released`. */
    void (*reply)(struct rpc *rpc, const struct pb_message *type, const void *message);
    void (*fail)(struct rpc *rpc, const struct error *error);
    /* One message of a streamed answer (health watches); may be NULL. */
    void (*send)(struct rpc *rpc, const struct pb_message *type, const void *message);
    void (*end)(struct rpc *rpc);    /* of a streamed answer, in place of reply or fail; NULL when `send` is */
    /* Nobody refers to the rpc any more: free it and its arena. Always called, last. */
    void (*released)(struct rpc *rpc);
    /* A header of the request by its lower-case name, or empty. Valid only within frontend_call. */
    struct str (*metadata)(struct rpc *rpc, struct str name);
    /* The rpc will wait, maybe for long: `request` and everything in `arena` may go until `unpark` brings the request back. The
     * strings of the request stay where they are meanwhile: they lie in its bytes, which the bringer keeps. NULL: all stays. */
    void (*park)(struct rpc *rpc);
    void (*unpark)(struct rpc *rpc);
};

struct rpc {
    /* the bringer's */
    const struct rpc_ops *ops;
    const struct pb_method *method;
    const void *request;        /* decoded, in `arena` */
    struct arena *arena;        /* lives until released */
    instant deadline;           /* INSTANT_NEVER: none */
    uint64_t connection_id;     /* 0: none */
    bool is_local;              /* comes from inside the server (its own workers): no rate limits */

    /* the frontend's; zero before frontend_call */
    struct frontend *frontend;
    struct heap_node timer;     /* when it is answered for waiting too long */
    void (*on_timer)(struct rpc *rpc);
    void (*on_cancel)(struct rpc *rpc); /* takes it out of whatever it waits in */
    void (*on_error)(struct rpc *rpc, struct error *error); /* rewrites an error before it is given; NULL: as it is */
    void *state;                /* of its handler */
    void (*on_release)(struct rpc *rpc); /* before ops->released: frees what the handler keeps outside the arena */
    const struct namespace_info *ns;
    uint32_t references;        /* calls under way in the shard; released at 0 */
    bool is_answered, is_cancelled, is_parked;
};

/* Where completion callbacks may go: '*' stands for anything. Matched against the host as the URL has it, and with its port. */
struct callback_rule { struct str pattern; bool is_insecure_allowed; };

/* One HTTP request to the outside: a POST. Filled by the frontend, lent until `done` or post_cancel. */
struct outgoing {
    bool is_tls;
    struct str host;             /* a name or an address, without brackets */
    int port;
    struct str path, headers, body; /* headers: lines that end with CR LF, without Host, Content-Length and Connection */
    duration timeout;
    /* Once, never before post has returned: the status of the answer, or 0 and why there is none. */
    void (*done)(struct outgoing *outgoing, int status, struct str why);
    void *under_way;             /* of whoever sends it */
};

struct frontend_settings {
    struct limits limits;            /* of every namespace; see limits_set */
    struct str cluster_name;         /* "active" */
    struct str cluster_id;           /* UUID; made on first start and stored */
    struct str store_name;           /* "sqlite", "memory" */
    uint32_t shard_count;
    bool is_http_enabled;
    const struct callback_rule *callback_rules; /* none: no address is allowed */
    size_t callback_rule_count;
};

/* What the frontend stands on; the pointers outlive it. */
struct frontend_env {
    void *arg;
    instant (*now)(void *arg);
    void (*rearm)(void *arg);        /* frontend_next_due may have become earlier; may be NULL */
    struct shard *shard;
    struct matching_host *matching;
    struct store *store;             /* for lists and small things; executions go through the shard */
    struct mailbox *mailbox;         /* of the owner's thread: the store's answers */
    const struct frontend_settings *settings;
    uint64_t seed;
    /* The TZif file of an IANA time zone, in the arena; ERR_NOT_FOUND without. May be NULL: only UTC is known. */
    err (*read_zone)(void *arg, struct str name, struct arena *arena, struct str *bytes);
    /* Sends a request; takes it back without an answer. NULL: completion callbacks are not delivered. */
    void (*post)(void *arg, struct outgoing *outgoing);
    void (*post_cancel)(void *arg, struct outgoing *outgoing);
};

MUST_USE err frontend_create(const struct frontend_env *env, struct frontend **frontend);
void frontend_destroy(struct frontend *f); /* every rpc must have been answered or cancelled, and the shard destroyed before */

/* Loads namespaces and search attributes from the store, makes what must exist (namespace "default" and those named) and
 * calls done. Until then every RPC but health answers UNAVAILABLE. */
struct frontend_start {
    const struct str *namespaces;       /* beside "default"; made when missing */
    size_t namespace_count;
    duration retention;                 /* of those made here; 0: 24 h */
    const struct str *search_attributes; /* "Name=Type", added to every namespace made here */
    size_t search_attribute_count;
    void (*done)(void *arg, err result, const struct error *error);
    void *arg;
};
void frontend_start(struct frontend *f, const struct frontend_start *start);

void frontend_call(struct frontend *f, struct rpc *rpc);
/* The caller has gone away or its deadline has passed. No effect on one that is answered. */
void frontend_cancel(struct frontend *f, struct rpc *rpc);
/* All rpcs of it have been cancelled before: drops its sticky queues. */
void frontend_connection_closed(struct frontend *f, uint64_t connection_id);
/* No new work: polls are answered empty, new RPCs but health answer UNAVAILABLE, health says NOT_SERVING. */
void frontend_drain(struct frontend *f);
bool frontend_is_serving(const struct frontend *f);

instant frontend_next_due(const struct frontend *f);
void frontend_tick(struct frontend *f);

struct callback_effect;
/* For the shard's environment: a run wants this callback delivered. */
void frontend_offer_callback(struct frontend *f, const struct callback_effect *effect);
/* By key, for the shard's environment; NULL when there is none. */
const struct namespace_info *frontend_namespace(struct frontend *f, int64_t key);
/* The hooks of struct step (history/step.h): by name, time zones (NULL: none such), and whether the attributes
 * are registered there and fit; fills in their types. */
const struct namespace_info *frontend_find_namespace(struct frontend *f, struct str name);
const struct tz *frontend_find_zone(struct frontend *f, struct str name);
bool frontend_attributes_fit(const struct namespace_info *ns, const pb_common_SearchAttributes *attributes, struct arena *arena, struct str *why);

struct frontend_stats { uint64_t call_total, error_total, polls_parked, batches_open, namespaces_deleting; };
void frontend_stats(const struct frontend *f, struct frontend_stats *stats);

#endif
