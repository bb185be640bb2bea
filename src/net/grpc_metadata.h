/* net/grpc_metadata.h: a list of header names and values, borrowed. */
#ifndef NET_GRPC_METADATA_H
#define NET_GRPC_METADATA_H

#include "base/str.h"

struct grpc_header { struct str name, value; };
struct grpc_metadata {
    const struct grpc_header *headers;
    size_t count;
};

/* The first value of that name, or empty. */
struct str grpc_metadata_get(struct grpc_metadata metadata, struct str name);

#endif
