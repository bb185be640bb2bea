/* frontend/inner.h: RPCs that the server sends to itself: what a batch job or the deletion of a namespace does to one execution is what a
 * client would have asked for, through the same checks.
 *
 * Thread: the frontend's.   Blocks: never. */
#ifndef FRONTEND_INNER_H
#define FRONTEND_INNER_H

#include "frontend/internal.h"

struct inner_call {
    struct rpc rpc;
    struct arena arena;          /* of the request; ends with the call */
    struct list link;
    /* Called once, maybe within inner_submit, then the call frees itself. error: ERR_NONE with a reply of the method's type, borrowed. */
    void (*done)(struct inner_call *call, const struct error *error, const void *reply);
    void *owner;
};

struct inner_call *inner_new(struct frontend *f, void (*done)(struct inner_call *call, const struct error *error, const void *reply), void *owner);
/* method: pb_…_method; the request lies in the call's arena. */
void inner_submit(struct frontend *f, struct inner_call *call, int method, const void *request);
/* The world ends: calls under way are freed and never answered. */
void inner_destroy(struct frontend *f);

/* May be otherwise next time: UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED, DEADLINE_EXCEEDED. */
bool inner_passes(const struct error *error);

#endif
