/* capi/metrics.h: counters, gauges and histograms of the worker side, for Prometheus and for programs that fetch them.
 *
 * Bounded: METRICS_SERIES_MAX combinations of labels; what goes beyond is counted in temporal_metrics_dropped. Names get
 * the prefix unless they are the program's own. Thread: any. */
#ifndef CAPI_METRICS_H
#define CAPI_METRICS_H

#include "base/buf.h"

struct metrics;

enum { METRICS_SERIES_MAX = 20000, METRICS_BUCKETS_MAX = 64, METRICS_LABELS_MAX = 32 };

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_FLOAT_GAUGE, METRICS_FLOAT_HISTOGRAM, METRICS_DURATION,
                    METRICS_KIND_COUNT };

/* What a label's value is; all are text in a metrics page. */
enum metrics_label_kind { METRICS_TEXT, METRICS_INT, METRICS_FLOAT, METRICS_BOOL };
struct metrics_label { struct str key, value; enum metrics_label_kind kind; };

struct metrics_buckets { struct str metric; double bounds[METRICS_BUCKETS_MAX]; size_t count; }; /* name with or without prefix */

struct metrics_options {
    struct str prefix; /* e.g. "temporal_" */
    const struct metrics_label *global; /* of every series */
    size_t global_count;
    bool has_counter_suffix;   /* "_total" on counters */
    bool has_unit_suffix;      /* "_milliseconds" or "_seconds" on durations */
    bool durations_as_seconds; /* on the page; updates that are fetched stay in milliseconds */
    const struct metrics_buckets *buckets; /* overrides */
    size_t buckets_count;
    size_t update_max; /* 0: updates are not kept */
};

struct metrics *metrics_create(const struct metrics_options *options); /* copies */
struct metrics *metrics_ref(struct metrics *metrics);
void metrics_unref(struct metrics *metrics); /* NULL allowed */

/* The number of an instrument; the same name and kind give the same one. */
int metrics_register(struct metrics *metrics, enum metrics_kind kind, struct str name, struct str description, struct str unit, bool is_own);
/* A counter adds, a gauge is set, a histogram notes. Durations are in milliseconds. */
void metrics_record(struct metrics *metrics, int instrument, double value, const struct metrics_label *labels, size_t count);
/* The page that Prometheus reads. */
void metrics_text(struct metrics *metrics, struct buf *out);

/* Each series as it stands, those of one instrument together; durations in the unit of the page. With `reset` counters and
 * histograms begin again from zero, and those without news are left out. Borrowed for the call, which must not use the
 * metrics itself. */
struct metrics_series {
    struct str name, description, unit;
    enum metrics_kind kind;
    const struct metrics_label *labels;
    size_t label_count;
    double value;               /* of counters and gauges */
    double sum;                 /* of histograms, like the rest */
    uint64_t count;
    const uint64_t *in_bucket;  /* bound_count + 1; NULL: not a histogram */
    double bounds[METRICS_BUCKETS_MAX];
    size_t bound_count;
};
void metrics_walk(struct metrics *metrics, bool reset, void (*each)(void *arg, const struct metrics_series *series), void *arg);

struct metrics_update {
    struct str name, description, unit;
    enum metrics_kind kind;
    double value;
    const struct metrics_label *labels;
    size_t label_count;
};
/* Takes away the updates that were kept, oldest first, each borrowed for its call, which records nothing itself. */
void metrics_take(struct metrics *metrics, void (*each)(void *arg, const struct metrics_update *update), void *arg);

#endif
