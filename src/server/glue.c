#include "server/glue.h"

#include "base/list.h"
#include "frontend/frontend.h"
#include "frontend/reflection.h"
#include "net/grpc_server.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    POOL_MAX = 256,                     /* arenas kept for reuse */
    ARENA_FIRST = 8 * 1024,
    ARENA_BUDGET = 96 * 1024 * 1024,    /* of a decoded request and its answer */
};

struct request_arena {
    struct arena arena;
    struct list link;
};

struct glue {
    struct loop *loop;
    struct frontend *frontend;
    struct list arenas;
    size_t arena_count;
};

/* A request under way. Of one that is parked there is nothing but this and the bytes behind it. */
struct server_rpc {
    struct rpc rpc;
    struct request_arena *arena;        /* NULL: parked */
    struct grpc_call *call;             /* NULL: gone or answered */
    struct glue *glue;
    bool *was_answered;                 /* while frontend_call runs: set when the answer comes from within it */
    size_t size;                        /* of a request that may park: its bytes, behind this struct */
};

struct glue *glue_create(struct loop *loop, struct frontend *frontend)
{
    struct glue *g = xcalloc(1, sizeof *g);
    g->loop = loop;
    g->frontend = frontend;
    list_init(&g->arenas);
    return g;
}

void glue_destroy(struct glue *g)
{
    for (struct list *link; (link = list_pop(&g->arenas)) != NULL;) {
        struct request_arena *arena = container_of(link, struct request_arena, link);
        arena_fini(&arena->arena);
        free(arena);
    }
    free(g);
}

static void arena_take(struct server_rpc *r)
{
    struct glue *g = r->glue;
    struct list *link = list_pop(&g->arenas);
    if (link != NULL) {
        r->arena = container_of(link, struct request_arena, link);
        g->arena_count--;
    } else {
        r->arena = xcalloc(1, sizeof *r->arena);
        arena_init(&r->arena->arena, ARENA_FIRST, ARENA_BUDGET);
    }
    r->rpc.arena = &r->arena->arena;
}

static void arena_give_back(struct server_rpc *r)
{
    struct glue *g = r->glue;
    struct request_arena *arena = r->arena;
    if (arena == NULL) return;
    r->arena = NULL;
    r->rpc.arena = NULL;
    r->rpc.request = NULL;
    if (g->arena_count >= POOL_MAX) {
        arena_fini(&arena->arena);
        free(arena);
        return;
    }
    arena_reset(&arena->arena);
    list_push_front(&g->arenas, &arena->link);
    g->arena_count++;
}

/* ---- answers ---- */

/* The call to answer now; it is gone afterwards. */
static struct grpc_call *answered(struct server_rpc *r)
{
    struct grpc_call *call = r->call;
    r->call = NULL;
    if (r->was_answered != NULL) *r->was_answered = true;
    return call;
}

static void answer_reply(struct rpc *rpc, const struct pb_message *type, const void *message)
{
    struct server_rpc *r = container_of(rpc, struct server_rpc, rpc);
    struct buf bytes = {0};
    pb_encode(type, message, &bytes);
    grpc_call_reply_buf(answered(r), &bytes);
}

static void answer_send(struct rpc *rpc, const struct pb_message *type, const void *message)
{
    struct server_rpc *r = container_of(rpc, struct server_rpc, rpc);
    struct str bytes = pb_encode_arena(type, message, rpc->arena);
    if (r->call != NULL && grpc_call_send(r->call, bytes.data, bytes.size) != ERR_NONE) reach("glue: a watcher that reads nothing");
}

static void answer_end(struct rpc *rpc)
{
    struct server_rpc *r = container_of(rpc, struct server_rpc, rpc);
    grpc_call_reply_end(answered(r));
}

/* google.rpc.Status with the detail as its only entry: SDKs look at the first. */
static struct str status_bytes(struct arena *arena, const struct error *error)
{
    pb_rpc_Status status = {.code = (int32_t)error_grpc(error), .message = error_message(error)};
    if (error->detail_type == NULL) return STR_EMPTY;
    pb_google_Any *any = PB_PUSH_NEW(arena, &status, details);
    struct str name = pb_name(error->detail_type->name);
    any->type_url = arena_printf(arena, "type.googleapis.com/%.*s", STR_ARG(name));
    any->value = pb_encode_arena(error->detail_type, error->detail, arena);
    return PB_ENCODE_ARENA(pb_rpc_Status, &status, arena);
}

static void answer_fail(struct rpc *rpc, const struct error *error)
{
    struct server_rpc *r = container_of(rpc, struct server_rpc, rpc);
    struct grpc_call *call = answered(r);
    if (error->detail_type == &pb_errordetails_ResourceExhaustedFailure_type) {
        const pb_errordetails_ResourceExhaustedFailure *detail = error->detail;
        grpc_call_add_trailer(call, STR("x-resource-exhausted-cause"), pb_enum_short_name(&pb_enums_ResourceExhaustedCause_enum, detail->cause, rpc->arena));
        grpc_call_add_trailer(call, STR("x-resource-exhausted-scope"), pb_enum_short_name(&pb_enums_ResourceExhaustedScope_enum, detail->scope, rpc->arena));
    }
    grpc_call_fail(call, error_grpc(error), error_message(error), status_bytes(rpc->arena, error));
}

static void answer_released(struct rpc *rpc)
{
    struct server_rpc *r = container_of(rpc, struct server_rpc, rpc);
    arena_give_back(r);
    free(r);
}

static struct str request_metadata(struct rpc *rpc, struct str name)
{
    struct server_rpc *r = container_of(rpc, struct server_rpc, rpc);
    return r->call != NULL ? grpc_call_metadata(r->call, name) : STR_EMPTY;
}

static void request_park(struct rpc *rpc) { arena_give_back(container_of(rpc, struct server_rpc, rpc)); }

static void request_unpark(struct rpc *rpc)
{
    struct server_rpc *r = container_of(rpc, struct server_rpc, rpc);
    void *request;
    arena_take(r);
    err result = pb_decode(pb_method_request(rpc->method), (struct str){(const char *)(r + 1), r->size}, rpc->arena, PB_ALIAS, &request);
    ensure(result == ERR_NONE); /* as it did the first time */
    rpc->request = request;
}

static const struct rpc_ops rpc_ops = {
    .reply = answer_reply, .fail = answer_fail, .send = answer_send, .end = answer_end, .released = answer_released, .metadata = request_metadata,
    .park = request_park, .unpark = request_unpark,
};

/* ---- requests ---- */

static bool may_park(const struct pb_method *method)
{
    size_t i = pb_method_index(method);
    return i == pb_ws_PollWorkflowTaskQueue_method || i == pb_ws_PollActivityTaskQueue_method || i == pb_ws_PollNexusTaskQueue_method;
}

/* The decoded request's strings are copies: in the arena, or behind the server_rpc when the arena may go. */
static struct server_rpc *rpc_new(struct glue *g, const struct pb_method *method, struct str body, err *result)
{
    bool is_kept = may_park(method);
    size_t size = is_kept ? body.size : 0;
    struct server_rpc *r = xmalloc(sizeof *r + size);
    *r = (struct server_rpc){.glue = g, .size = size, .rpc = {.ops = &rpc_ops, .method = method}};
    if (size != 0) memcpy(r + 1, body.data, size);
    arena_take(r);
    void *request;
    *result = pb_decode(pb_method_request(method), is_kept ? (struct str){(const char *)(r + 1), size} : body, r->rpc.arena, is_kept ? PB_ALIAS : PB_COPY, &request);
    if (*result == ERR_NONE) r->rpc.request = request;
    return r;
}

static void on_call(void *arg, struct grpc_call *call)
{
    struct glue *g = arg;
    struct str path = grpc_call_path(call);
    const struct pb_method *method = pb_method_find(path);
    if (method == NULL) {
        struct str words = arena_printf(grpc_call_arena(call), "unknown method %.*s", STR_ARG(path));
        grpc_call_fail(call, GRPC_UNIMPLEMENTED, words, STR_EMPTY);
        return;
    }
    err result;
    struct server_rpc *r = rpc_new(g, method, grpc_call_body(call), &result);
    if (result != ERR_NONE) {
        answer_released(&r->rpc);
        grpc_call_fail(call, result == ERR_INVALID ? GRPC_INVALID_ARGUMENT : err_grpc(result),
                       result == ERR_INVALID ? STR("the request does not decode as the method's message") : str_of(err_text(result)), STR_EMPTY);
        return;
    }
    r->call = call;
    r->rpc.deadline = grpc_call_deadline(call);
    r->rpc.connection_id = grpc_call_connection_id(call);
    bool was_answered = false;
    r->was_answered = &was_answered;
    grpc_call_set_user(call, r);
    frontend_call(g->frontend, &r->rpc);
    if (was_answered) return; /* and r may be somebody else's by now */
    r->was_answered = NULL;
    grpc_call_forget_request(call); /* it was copied, and may wait for long */
}

/* The caller left or its deadline passed: the server answers that by itself. */
static void on_cancel(void *arg, struct grpc_call *call)
{
    struct glue *g = arg;
    struct server_rpc *r = grpc_call_user(call);
    if (r == NULL) return;
    r->call = NULL;
    frontend_cancel(g->frontend, &r->rpc);
}

static void on_connection_closed(void *arg, uint64_t connection_id)
{
    struct glue *g = arg;
    frontend_connection_closed(g->frontend, connection_id);
}

/* ---- reflection: the one service whose requests are streams ---- */

static bool takes_messages(void *arg UNUSED, struct str path)
{
    return str_equal_c(path, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo") ||
           str_equal_c(path, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
}

static void on_message(void *arg UNUSED, struct grpc_call *call, struct str message)
{
    struct arena arena;
    struct str answer;
    arena_init(&arena, 0, ARENA_BUDGET);
    err result = reflection_answer(message, &arena, &answer);
    if (result == ERR_NONE) result = grpc_call_send(call, answer.data, answer.size);
    if (result != ERR_NONE) grpc_call_fail(call, err_grpc(result), str_of(err_text(result)), STR_EMPTY);
    arena_fini(&arena);
}

static void on_messages_end(void *arg UNUSED, struct grpc_call *call) { grpc_call_reply_end(call); }

static const struct grpc_handler handler = {.takes_messages = takes_messages, .on_message = on_message, .on_messages_end = on_messages_end, .on_call = on_call, .on_cancel = on_cancel, .on_connection_closed = on_connection_closed};
const struct grpc_handler *glue_handler(void) { return &handler; }
