/* core/payload_size.h: how large the payloads of a request are, so that something can be said before a server refuses them.
 * Pure; thread: any. */
#ifndef CORE_PAYLOAD_SIZE_H
#define CORE_PAYLOAD_SIZE_H

#include "proto/pb.h"

struct payload_size { size_t payloads, memo; }; /* bytes of the largest Payloads and of the largest Memo; 0: none */

/* Looks through an encoded message without decoding it; what is broken counts as not there. */
struct payload_size payload_size_of(const struct pb_message *type, struct str bytes);

#endif
