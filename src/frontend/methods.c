/* From a method's name to its handler, and the life of an rpc: answered once, released when nobody refers to it. */
#include "frontend/batches.h"
#include "frontend/inner.h"
#include "frontend/callbacks.h"
#include "frontend/internal.h"
#include "frontend/namespace_delete.h"
#include "frontend/queue_config.h"
#include "frontend/schedules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct handler_table *const tables[] = {
    &workflow_handlers, &control_handlers, &history_handlers, &workflow_task_handlers, &activity_handlers, &query_handlers, &update_handlers,
    &namespace_handlers, &system_handlers, &visibility_handlers, &operator_handlers, &queue_handlers, &queue_config_handlers, &schedule_handlers, &batch_handlers,
};

/* Where the request keeps its namespace; UINT16_MAX when it has no such field. */
static uint16_t namespace_offset(const struct pb_method *method)
{
    const struct pb_field *field = pb_field_find_name(pb_method_request(method), STR("namespace"));
    return field != NULL && field->kind == PB_STRING && field->label == PB_SINGULAR ? field->offset : UINT16_MAX;
}

err frontend_create(const struct frontend_env *env, struct frontend **frontend)
{
    struct frontend *f = xcalloc(1, sizeof *f);
    f->env = *env;
    f->settings = *env->settings;
    prng_init(&f->prng, env->seed);
    list_init(&f->polls);
    list_init(&f->health_watches);
    list_init(&f->inner_calls);
    for (size_t t = 0; t < countof(tables); t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct handler_row *row = &tables[t]->rows[i];
            struct handler *h = &f->handlers[row->method];
            ensure(h->run == NULL); /* a method is in one table */
            *h = (struct handler){row->run, row->flags, namespace_offset(&pb_methods[row->method])};
            if (row->flags & HANDLER_NO_NAMESPACE) h->namespace_offset = UINT16_MAX;
        }
    }
    f->namespaces = namespaces_create(f);
    f->schedules = schedules_create(f);
    f->batches = batches_create(f);
    f->queue_configs = queue_configs_create(f);
    f->callbacks = callbacks_create(f);
    f->namespace_deletions = namespace_deletions_create(f);
    *frontend = f;
    return ERR_NONE;
}

void frontend_destroy(struct frontend *f)
{
    inner_destroy(f);
    batches_destroy(f->batches);
    queue_configs_destroy(f->queue_configs);
    callbacks_destroy(f->callbacks);
    namespace_deletions_destroy(f->namespace_deletions);
    schedules_destroy(f->schedules);
    namespaces_destroy(f->namespaces);
    polls_free(f);
    heap_fini(&f->timers);
    map_fini(&f->queries_by_id);
    void *waiting; /* lists of queries by run: empty, unless the world ends in between */
    for (size_t at = 0; (waiting = map_u64_next(&f->queries_by_run, &at, NULL)) != NULL;) free(waiting);
    map_u64_fini(&f->queries_by_run);
    free(f);
}

/* ---- the life of an rpc ---- */

static void release_if_free(struct rpc *rpc)
{
    if (rpc->references != 0 || !(rpc->is_answered || rpc->is_cancelled)) return;
    if (rpc->on_release != NULL) rpc->on_release(rpc);
    rpc->ops->released(rpc);
}

static void end(struct rpc *rpc)
{
    heap_remove(&rpc->frontend->timers, &rpc->timer);
    rpc->on_cancel = NULL;
    rpc->on_timer = NULL;
}

void rpc_hold(struct rpc *rpc) { rpc->references++; }

void rpc_let_go(struct rpc *rpc)
{
    ensure(rpc->references > 0);
    rpc->references--;
    release_if_free(rpc);
}

void rpc_reply(struct rpc *rpc, const struct pb_message *type, const void *message)
{
    if (rpc->is_answered || rpc->is_cancelled) return;
    end(rpc);
    rpc->ops->reply(rpc, type, message);
    rpc->is_answered = true;
    release_if_free(rpc);
}

/* Codes that always come with a detail message. Source: limits-and-errors, section 7. */
static void add_detail(struct rpc *rpc, struct error *error)
{
    if (error->detail_type != NULL) return;
    enum grpc_code code = error_grpc(error);
    if (code == GRPC_NOT_FOUND) {
        error->detail_type = &pb_errordetails_NotFoundFailure_type;
        error->detail = pb_new(rpc->arena, pb_errordetails_NotFoundFailure);
    } else if (code == GRPC_PERMISSION_DENIED) {
        error->detail_type = &pb_errordetails_PermissionDeniedFailure_type;
        error->detail = pb_new(rpc->arena, pb_errordetails_PermissionDeniedFailure);
    }
}

void rpc_fail(struct rpc *rpc, const struct error *error)
{
    if (rpc->is_answered || rpc->is_cancelled) return;
    struct error given = *error;
    add_detail(rpc, &given);
    if (rpc->on_error != NULL) rpc->on_error(rpc, &given);
    end(rpc);
    rpc->frontend->stats.error_total++;
    rpc->ops->fail(rpc, &given);
    rpc->is_answered = true;
    release_if_free(rpc);
}

static void error_va(struct rpc *rpc, err code, const struct pb_message *detail_type, const void *detail, const char *format, va_list args)
{
    struct error error = {.code = code, .detail_type = detail_type, .detail = detail};
    char text[1024];
    int n = format != NULL ? vsnprintf(text, sizeof text, format, args) : 0;
    if (n > 0) error.message = (struct str){text, size_min((size_t)n, sizeof text - 1)};
    rpc_fail(rpc, &error);
}

void rpc_error(struct rpc *rpc, err code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_va(rpc, code, NULL, NULL, format, args);
    va_end(args);
}

void rpc_error_detail(struct rpc *rpc, err code, const struct pb_message *detail_type, const void *detail, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_va(rpc, code, detail_type, detail, format, args);
    va_end(args);
}

void rpc_end(struct rpc *rpc)
{
    if (rpc->is_answered || rpc->is_cancelled) return;
    end(rpc);
    rpc->ops->end(rpc);
    rpc->is_answered = true;
    release_if_free(rpc);
}

void rpc_error_of(struct rpc *rpc, err code, const struct error *error)
{
    struct error copy = error != NULL ? *error : (struct error){0};
    if (copy.code == ERR_NONE) copy.code = code;
    rpc_fail(rpc, &copy);
}

void rpc_timer(struct rpc *rpc, instant due, void (*on_timer)(struct rpc *rpc))
{
    rpc->on_timer = on_timer;
    heap_put(&rpc->frontend->timers, &rpc->timer, due);
    struct frontend *f = rpc->frontend;
    if (heap_first(&f->timers) == &rpc->timer && f->env.rearm != NULL) f->env.rearm(f->env.arg);
}

struct str rpc_uuid(struct rpc *rpc)
{
    char uuid[37];
    prng_uuid(&rpc->frontend->prng, uuid);
    return arena_str(rpc->arena, str_of(uuid));
}

struct str rpc_metadata(struct rpc *rpc, const char *name)
{
    return rpc->ops->metadata != NULL ? rpc->ops->metadata(rpc, str_of(name)) : STR_EMPTY;
}

/* ---- calls ---- */

/* The namespace the request names must exist; answers and returns false otherwise. */
static bool find_namespace(struct frontend *f, struct rpc *rpc, const struct handler *h)
{
    if (h->namespace_offset == UINT16_MAX) return true;
    struct str name = *(const struct str *)(const void *)((const char *)rpc->request + h->namespace_offset);
    if (str_is_empty(name) && (h->flags & HANDLER_NO_NAMESPACE_OK)) return true;
    if (str_is_empty(name)) {
        rpc_error(rpc, ERR_INVALID, "the namespace is missing");
        return false;
    }
    if (!check_id(rpc, "namespace", name, true)) return false;
    rpc->ns = namespace_by_name(f, name);
    if (rpc->ns != NULL) return true;
    namespace_not_found(rpc, name);
    return false;
}

void frontend_call(struct frontend *f, struct rpc *rpc)
{
    f->now = f->env.now(f->env.arg);
    f->stats.call_total++;
    rpc->frontend = f;
    const struct handler *h = &f->handlers[pb_method_index(rpc->method)];
    rpc_hold(rpc); /* so that an answer from within the handler does not free what the handler still reads */
    if (h->run == NULL) {
        struct str service = pb_method_service(rpc->method), name = pb_method_name(rpc->method);
        rpc_error(rpc, ERR_UNIMPLEMENTED, "Perdure does not have %.*s/%.*s yet", STR_ARG(service), STR_ARG(name));
    } else if ((!f->is_serving || f->is_draining) && !(h->flags & HANDLER_ANY_STATE)) {
        if (f->is_draining && (h->flags & HANDLER_POLL)) rpc_reply(rpc, pb_method_response(rpc->method), arena_zalloc(rpc->arena, pb_method_response(rpc->method)->size));
        else rpc_error(rpc, ERR_UNAVAILABLE, f->is_draining ? "the server is shutting down" : "the server is starting");
    } else if (find_namespace(f, rpc, h)) {
        h->run(f, rpc);
    }
    rpc_let_go(rpc);
}

void frontend_cancel(struct frontend *f, struct rpc *rpc)
{
    f->now = f->env.now(f->env.arg);
    if (rpc->is_answered || rpc->is_cancelled) return;
    rpc_hold(rpc);
    void (*on_cancel)(struct rpc *) = rpc->on_cancel;
    end(rpc);
    rpc->is_cancelled = true;
    if (on_cancel != NULL) on_cancel(rpc);
    rpc_let_go(rpc);
}

instant frontend_next_due(const struct frontend *f)
{
    const struct heap_node *first = heap_first(&f->timers);
    instant due = first != NULL ? first->due : INSTANT_NEVER;
    due = instant_min(due, instant_min(schedules_next_due(f), batches_next_due(f)));
    return instant_min(due, instant_min(callbacks_next_due(f), namespace_deletions_next_due(f)));
}

void frontend_tick(struct frontend *f)
{
    f->now = f->env.now(f->env.arg);
    for (struct heap_node *node; (node = heap_first(&f->timers)) != NULL && node->due.ns <= f->now.ns;) {
        struct rpc *rpc = container_of(node, struct rpc, timer);
        heap_remove(&f->timers, node);
        rpc_hold(rpc);
        rpc->on_timer(rpc);
        rpc_let_go(rpc);
    }
    schedules_tick(f);
    batches_tick(f);
    callbacks_tick(f);
    namespace_deletions_tick(f);
}

void frontend_connection_closed(struct frontend *f, uint64_t connection_id)
{
    f->now = f->env.now(f->env.arg);
    matching_connection_closed(f->env.matching, connection_id);
}

void frontend_drain(struct frontend *f)
{
    f->now = f->env.now(f->env.arg);
    if (f->is_draining) return;
    f->is_draining = true;
    health_changed(f);
    health_end(f);
    polls_drain(f);
    callbacks_drain(f);
}

bool frontend_is_serving(const struct frontend *f) { return f->is_serving && !f->is_draining; }

void frontend_stats(const struct frontend *f, struct frontend_stats *stats)
{
    *stats = f->stats;
    stats->batches_open = batches_open_count(f);
    stats->namespaces_deleting = namespace_deletions_count(f);
}

/* ---- one step on one workflow ---- */

static err op_step(struct shard_call *call, struct execution *e, struct step *step, bool *is_commit)
{
    struct op *op = container_of(call, struct op, call);
    op->is_commit = is_commit;
    return op->step(op, e, step);
}

static void op_done(struct shard_call *call, err result)
{
    struct op *op = container_of(call, struct op, call);
    struct rpc *rpc = op->rpc;
    op->f->now = op->f->env.now(op->f->env.arg);
    if (!rpc->is_answered && !rpc->is_cancelled) {
        if (op->done != NULL) op->done(op, result);
        else if (result != ERR_NONE) rpc_error_of(rpc, result, &call->error);
        else rpc_reply(rpc, op->reply_type, op->reply);
    }
    rpc_let_go(rpc);
}

void op_init(struct op *op, struct frontend *f, struct rpc *rpc, struct str workflow_id, struct str run_id)
{
    op->f = f;
    op->rpc = rpc;
    op->call.namespace_key = rpc->ns->key;
    op->call.workflow_id = workflow_id;
    op->call.run_id = run_id;
    op->call.arena = rpc->arena;
    op->call.step = op_step;
    op->call.done = op_done;
}

void op_submit(struct op *op)
{
    rpc_hold(op->rpc);
    shard_submit(op->f->env.shard, &op->call);
}
