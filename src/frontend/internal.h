/* frontend/internal.h: what the files of this folder share. Not for others. */
#ifndef FRONTEND_INTERNAL_H
#define FRONTEND_INTERNAL_H

#include "base/map.h"
#include "frontend/frontend.h"
#include "history/execution.h"
#include "matching/task_queue.h"
#include "proto/perdure/namespace.h"
#include "proto/perdure/state.h"
#include "shard/matching_host.h"
#include "shard/shard.h"

typedef void rpc_handler(struct frontend *f, struct rpc *rpc);

enum handler_flag {
    HANDLER_ANY_STATE = 1,   /* answered also before the frontend serves and while it drains */
    HANDLER_NO_NAMESPACE = 2, /* its namespace field, if any, is not looked up */
    HANDLER_NO_NAMESPACE_OK = 4, /* an empty one is left to the task token */
    HANDLER_POLL = 8,        /* long poll: answered empty while draining */
};
struct handler_row {
    int method;              /* pb_…_method */
    rpc_handler *run;
    unsigned flags;
};
/* Each group of RPCs is one table; methods.c joins them. */
struct handler_table { const struct handler_row *rows; size_t count; };
extern const struct handler_table workflow_handlers, control_handlers, history_handlers, workflow_task_handlers, activity_handlers, query_handlers,
    update_handlers, namespace_handlers, system_handlers, visibility_handlers, operator_handlers, queue_handlers, queue_config_handlers, schedule_handlers, batch_handlers;

struct handler {
    rpc_handler *run;
    unsigned flags;
    uint16_t namespace_offset; /* of the struct str in the request; UINT16_MAX: none */
};

struct frontend {
    struct frontend_env env;
    struct frontend_settings settings;
    instant now;               /* of the call or tick under way */
    struct prng prng;
    struct heap timers;        /* of waiting rpcs */
    struct handler handlers[PB_METHOD_COUNT];
    struct namespaces *namespaces;
    struct schedules *schedules; /* schedules.h */
    struct batches *batches;   /* batches.h */
    struct queue_configs *queue_configs; /* queue_config.h */
    struct namespace_deletions *namespace_deletions; /* namespace_delete.h */
    struct list inner_calls;   /* inner.h */
    struct callbacks *callbacks; /* callbacks.h */
    bool is_serving, is_draining;
    struct frontend_stats stats;
    struct frontend_start start;
    struct list polls;         /* rpc_poll links of parked task polls, for draining */
    struct list health_watches;
    struct map queries_by_id;       /* struct query; query.c */
    struct map_u64 queries_by_run;  /* struct run_queries */
};

/* ---- answers ---- */
void rpc_reply(struct rpc *rpc, const struct pb_message *type, const void *message);
#define RPC_REPLY(rpc, name, message) rpc_reply((rpc), &name##_type, (1 ? (message) : (const name *)NULL))
void rpc_fail(struct rpc *rpc, const struct error *error);
void rpc_end(struct rpc *rpc); /* a streamed answer is complete */
/* The code's row of ERR_TABLE with words of its own; format NULL: the row's text. */
void rpc_error(struct rpc *rpc, err code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same with a detail message, in the rpc's arena. */
void rpc_error_detail(struct rpc *rpc, err code, const struct pb_message *detail_type, const void *detail, const char *format, ...) PRINTF_LIKE(5, 6);
/* With `error` as filled by whoever failed, or only its code. */
void rpc_error_of(struct rpc *rpc, err code, const struct error *error);
/* Somebody holds the rpc beyond the handler's return (a call in the shard): it is released when the last lets go. */
void rpc_hold(struct rpc *rpc);
void rpc_let_go(struct rpc *rpc);
/* Calls on_timer at `due` unless answered before; moves it when set. */
void rpc_timer(struct rpc *rpc, instant due, void (*on_timer)(struct rpc *rpc));
struct str rpc_metadata(struct rpc *rpc, const char *name);
struct str rpc_uuid(struct rpc *rpc); /* a new id for what the client left unnamed; in the rpc's arena */

/* ---- calls into the shard: one step on one workflow ---- */

/* Embedded first in what a handler needs; made in the rpc's arena. The rpc is held until done. */
struct op {
    struct shard_call call;
    struct rpc *rpc;
    struct frontend *f;
    /* In the shard, once loaded; as shard_call.step. */
    err (*step)(struct op *op, struct execution *e, struct step *step);
    /* After the commit: answer. Not called when the rpc has been cancelled or answered. NULL: `reply` below is sent. */
    void (*done)(struct op *op, err result);
    const struct pb_message *reply_type;
    const void *reply;
    bool *is_commit; /* within `step`: set it to commit what was done although the step returns an error */
};
#define OP_NEW(rpc, type) ((type *)arena_zalloc((rpc)->arena, sizeof(type)))
void op_init(struct op *op, struct frontend *f, struct rpc *rpc, struct str workflow_id, struct str run_id);
void op_submit(struct op *op);

/* ---- checks; on failure they answer the rpc and return false ---- */
bool check_id(struct rpc *rpc, const char *what, struct str id, bool is_required);
bool check_run_id(struct rpc *rpc, struct str run_id); /* empty or a UUID */
bool check_execution(struct rpc *rpc, const pb_common_WorkflowExecution *execution);
bool check_payloads(struct rpc *rpc, const char *what, const pb_common_Payloads *payloads);
bool check_blob(struct rpc *rpc, const char *what, size_t size);
bool check_task_queue(struct rpc *rpc, const pb_taskqueue_TaskQueue *queue, bool is_required);
bool check_duration(struct rpc *rpc, const char *what, const pb_google_Duration *d, duration *out);
bool check_retry_policy(struct rpc *rpc, const pb_common_RetryPolicy *policy);
bool check_priority(struct rpc *rpc, const pb_common_Priority *priority);
bool check_links(struct rpc *rpc, pb_common_Link *const *links, size_t count);
bool check_callbacks(struct rpc *rpc, pb_common_Callback *const *callbacks, size_t count);
bool check_search_attributes(struct rpc *rpc, const pb_common_SearchAttributes *attributes);
bool check_memo(struct rpc *rpc, const pb_common_Memo *memo);
/* All of a start request, for the RPCs that start. */
bool check_start_request(struct rpc *rpc, const pb_ws_StartWorkflowExecutionRequest *q);

/* ---- task tokens ---- */
struct str token_encode(struct arena *arena, const pb_store_TaskToken *token);
/* Answers INVALID_ARGUMENT and returns NULL when it is none of ours or of another namespace. */
const pb_store_TaskToken *token_decode(struct rpc *rpc, struct str bytes);

/* ---- namespaces ---- */
struct namespaces *namespaces_create(struct frontend *f);
void namespaces_destroy(struct namespaces *n);
void namespaces_start(struct frontend *f);
void namespace_not_found(struct rpc *rpc, struct str name); /* answers */
const struct namespace_info *namespace_by_name(struct frontend *f, struct str name);
const struct namespace_info *namespace_by_id(struct frontend *f, struct str id);
const struct namespace_info *namespace_by_key(struct frontend *f, int64_t key);
/* temporal.api.enums.v1.NamespaceState */
int32_t namespace_state(struct frontend *f, const struct namespace_info *ns);
struct attribute_registry;
const struct attribute_registry *namespace_attributes(const struct namespace_info *ns); /* its custom search attributes */
const pb_store_Namespace *namespace_stored(const struct namespace_info *ns);
const pb_store_Namespace *namespace_newest(const struct namespace_info *ns); /* the same with changes that are being written: what a change is made of */
/* Writes a changed form and answers with an empty message of the given type. */
void namespace_change(struct rpc *rpc, pb_store_Namespace *stored, const struct pb_message *reply_type);
/* Its row is gone: nobody finds it any more. */
void namespace_forget(struct frontend *f, int64_t key);
bool search_attribute_parse(struct str text, struct str *name, int32_t *type);

/* ---- parked polls (poll.c) ---- */
void polls_drain(struct frontend *f);
void polls_free(struct frontend *f); /* those that a crash of the simulated world leaves */
void health_changed(struct frontend *f);
void health_end(struct frontend *f); /* ends the watches */

#endif
