#include "frontend/inner.h"

#include <stdlib.h>

static struct inner_call *call_of(struct rpc *rpc) { return container_of(rpc, struct inner_call, rpc); }

static void inner_reply(struct rpc *rpc, const struct pb_message *type UNUSED, const void *message)
{
    call_of(rpc)->done(call_of(rpc), &(struct error){0}, message);
}

static void inner_fail(struct rpc *rpc, const struct error *error) { call_of(rpc)->done(call_of(rpc), error, NULL); }

static void inner_released(struct rpc *rpc)
{
    struct inner_call *call = call_of(rpc);
    list_remove(&call->link);
    arena_fini(&call->arena);
    free(call);
}

struct inner_call *inner_new(struct frontend *f, void (*done)(struct inner_call *call, const struct error *error, const void *reply), void *owner)
{
    struct inner_call *call = xcalloc(1, sizeof *call);
    arena_init(&call->arena, 1024, 0);
    call->done = done;
    call->owner = owner;
    list_push(&f->inner_calls, &call->link);
    return call;
}

void inner_submit(struct frontend *f, struct inner_call *call, int method, const void *request)
{
    static const struct rpc_ops ops = {.reply = inner_reply, .fail = inner_fail, .released = inner_released};
    call->rpc.ops = &ops;
    call->rpc.method = &pb_methods[method];
    call->rpc.request = request;
    call->rpc.arena = &call->arena;
    call->rpc.deadline = INSTANT_NEVER;
    call->rpc.is_local = true;
    frontend_call(f, &call->rpc);
}

void inner_destroy(struct frontend *f)
{
    list_each_safe(link, &f->inner_calls) inner_released(&container_of(link, struct inner_call, link)->rpc);
}

bool inner_passes(const struct error *error)
{
    enum grpc_code code = error_grpc(error);
    return code == GRPC_UNAVAILABLE || code == GRPC_RESOURCE_EXHAUSTED || code == GRPC_ABORTED || code == GRPC_DEADLINE_EXCEEDED;
}
