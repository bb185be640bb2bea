/* capi/otlp.h: sends a runtime's metrics to a collector of OpenTelemetry, every so often, by gRPC or HTTP.
 *
 * Thread: the runtime's loop, but for creation, which comes before the loop runs. What a collector does not take is not
 * kept: cumulative values say it again the next time. */
#ifndef CAPI_OTLP_H
#define CAPI_OTLP_H

#include "capi/metrics.h"
#include "net/grpc_client.h"

struct otlp;

struct otlp_options {
    /* By gRPC "http://host:4317", or "https://…" for TLS with the system's roots. By HTTP "http://host:4318/v1/metrics", in
     * clear text only; that path is taken when there is none. */
    struct str url;
    bool is_http;
    struct grpc_metadata headers;   /* of each request */
    duration period;                /* 0 = 1 s */
    bool is_delta;                  /* what came since the last time, instead of everything so far */
};

/* Copies the options, references the metrics. ERR_INVALID: the URL. */
MUST_USE err otlp_create(struct otlp **out, struct loop *loop, struct metrics *metrics, const struct otlp_options *options,
                         struct arena *arena, struct error *error);
void otlp_destroy(struct otlp *otlp); /* NULL allowed */

/* The request's bytes as they stand now. `start` is when counting began, of delta values when the last request was made. */
void otlp_encode(struct metrics *metrics, bool is_delta, instant start, instant now, struct buf *out);

#endif
