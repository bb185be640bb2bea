/* frontend/reflection.h: gRPC server reflection: which services there are and how their messages look, for grpcurl and the like.
 *
 * Source: the public description of the reflection protocol; v1 and v1alpha are the same on the wire. */
#ifndef FRONTEND_REFLECTION_H
#define FRONTEND_REFLECTION_H

#include "base/err.h"

/* Answers one message of the client's stream; both are encoded. ERR_INVALID: it is none. What is not there is said in the answer. */
MUST_USE err reflection_answer(struct str question, struct arena *arena, struct str *answer);

#endif
