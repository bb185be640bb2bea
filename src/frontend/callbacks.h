/* frontend/callbacks.h: the driver of completion callbacks: takes what runs offer, sends it over HTTP, and tells the run what came of it.
 *
 * Per destination (scheme, host and port) at most so many requests are under way, the others wait in order. After some failures in a row
 * nothing is sent to it for a while: its circuit breaker is open, and those that come meanwhile are told to come again when it has been tried.
 * Thread: the frontend's.   Blocks: never. */
#ifndef FRONTEND_CALLBACKS_H
#define FRONTEND_CALLBACKS_H

#include "frontend/internal.h"

struct callbacks;
enum { CALLBACKS_MAX = 4096 }; /* in hand; those beyond are told to come again */

struct callbacks *callbacks_create(struct frontend *f);
void callbacks_destroy(struct callbacks *c);
instant callbacks_next_due(const struct frontend *f);
void callbacks_tick(struct frontend *f);
void callbacks_drain(struct frontend *f); /* nothing new is sent; what is under way is not waited for: it is sent again after the next start */

#endif
