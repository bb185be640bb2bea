#include "capi/otlp.h"

#include "base/log.h"
#include "proto/json.h"
#include "proto/perdure/otlp.h"

#include <stdlib.h>

struct otlp {
    struct loop *loop;
    struct metrics *metrics;
    struct grpc_client *client;
    struct timer timer;
    duration period;
    bool is_delta, is_sending, has_failed;
    instant start;
};

/* ---- what is sent --------------------------------------------------------------------------------------------- */

struct encoding { struct arena arena; pb_otlp_ScopeMetrics *scope; bool is_delta; instant start, now; };

static void add_attribute(struct encoding *e, pb_otlp_KeyValue *to, const struct metrics_label *label)
{
    pb_otlp_Value *v = to->value = pb_new(&e->arena, pb_otlp_Value);
    to->key = arena_str(&e->arena, label->key);
    if (label->kind == METRICS_BOOL) {
        v->kind_case = pb_otlp_Value_truth_tag;
        v->truth = str_equal_c(label->value, "true");
    } else if (label->kind == METRICS_INT && json_parse_int(label->value, &v->whole)) {
        v->kind_case = pb_otlp_Value_whole_tag;
    } else if (label->kind == METRICS_FLOAT && json_parse_double(label->value, &v->real)) {
        v->kind_case = pb_otlp_Value_real_tag;
    } else {
        v->kind_case = pb_otlp_Value_text_tag;
        v->text = arena_str(&e->arena, label->value);
    }
}

/* Series of one instrument come one after another, so the last metric is the one to look at. */
static pb_otlp_Metric *metric_of(struct encoding *e, const struct metrics_series *s)
{
    size_t count = e->scope->metrics_count;
    if (count != 0 && str_equal(e->scope->metrics[count - 1]->name, s->name)) return e->scope->metrics[count - 1];
    pb_otlp_Metric *m = PB_PUSH_NEW(&e->arena, e->scope, metrics);
    m->name = arena_str(&e->arena, s->name);
    m->description = arena_str(&e->arena, s->description);
    m->unit = arena_str(&e->arena, s->unit);
    return m;
}

static void add_histogram(struct encoding *e, pb_otlp_Metric *m, const struct metrics_series *s)
{
    if (m->data_case == 0) {
        m->data_case = pb_otlp_Metric_histogram_tag;
        m->histogram = pb_new(&e->arena, pb_otlp_Histogram);
        m->histogram->temporality = e->is_delta ? 1 : 2;
    }
    pb_otlp_HistogramPoint *p = PB_PUSH_NEW(&e->arena, m->histogram, points);
    p->start_time_ns = (uint64_t)e->start.ns;
    p->time_ns = (uint64_t)e->now.ns;
    p->count = s->count;
    p->has_sum = true;
    p->sum = s->sum;
    for (size_t i = 0; i <= s->bound_count; i++) PB_PUSH(&e->arena, p, bucket_counts) = s->in_bucket[i];
    for (size_t i = 0; i < s->bound_count; i++) PB_PUSH(&e->arena, p, bounds) = s->bounds[i];
    for (size_t i = 0; i < s->label_count; i++) add_attribute(e, PB_PUSH_NEW(&e->arena, p, attributes), &s->labels[i]);
}

static void add_series(void *arg, const struct metrics_series *s)
{
    struct encoding *e = arg;
    pb_otlp_Metric *m = metric_of(e, s);
    pb_otlp_NumberPoint *p;
    if (s->in_bucket != NULL) {
        add_histogram(e, m, s);
        return;
    }
    if (s->kind == METRICS_COUNTER) {
        if (m->data_case == 0) m->sum = pb_new(&e->arena, pb_otlp_Sum);
        m->data_case = pb_otlp_Metric_sum_tag;
        m->sum->temporality = e->is_delta ? 1 : 2;
        m->sum->is_monotonic = true;
        p = PB_PUSH_NEW(&e->arena, m->sum, points);
        p->start_time_ns = (uint64_t)e->start.ns;
    } else {
        if (m->data_case == 0) m->gauge = pb_new(&e->arena, pb_otlp_Gauge);
        m->data_case = pb_otlp_Metric_gauge_tag;
        p = PB_PUSH_NEW(&e->arena, m->gauge, points);
    }
    p->time_ns = (uint64_t)e->now.ns;
    if (s->kind == METRICS_FLOAT_GAUGE) {
        p->value_case = pb_otlp_NumberPoint_real_tag;
        p->real = s->value;
    } else {
        p->value_case = pb_otlp_NumberPoint_whole_tag;
        p->whole = (int64_t)s->value;
    }
    for (size_t i = 0; i < s->label_count; i++) add_attribute(e, PB_PUSH_NEW(&e->arena, p, attributes), &s->labels[i]);
}

void otlp_encode(struct metrics *metrics, bool is_delta, instant start, instant now, struct buf *out)
{
    struct encoding e = {.is_delta = is_delta, .start = start, .now = now};
    arena_init(&e.arena, 0, 0);
    pb_otlp_ExportRequest *request = pb_new(&e.arena, pb_otlp_ExportRequest);
    pb_otlp_ResourceMetrics *resource = PB_PUSH_NEW(&e.arena, request, resources);
    resource->resource = pb_new(&e.arena, pb_otlp_Resource);
    struct metrics_label service = {STR("service.name"), STR("temporal-core-sdk"), METRICS_TEXT};
    add_attribute(&e, PB_PUSH_NEW(&e.arena, resource->resource, attributes), &service);
    e.scope = PB_PUSH_NEW(&e.arena, resource, scopes);
    e.scope->scope = pb_new(&e.arena, pb_otlp_Scope);
    e.scope->scope->name = STR("temporal-core-sdk");
    metrics_walk(metrics, is_delta, add_series, &e);
    PB_ENCODE(pb_otlp_ExportRequest, request, out);
    arena_fini(&e.arena);
}

/* ---- when it is sent ------------------------------------------------------------------------------------------ */

static void on_done(void *arg, const struct grpc_response *response)
{
    struct otlp *o = arg;
    o->is_sending = false;
    bool is_news = (response->code != GRPC_OK) != o->has_failed;
    o->has_failed = response->code != GRPC_OK;
    if (!is_news || !o->has_failed || response->code == GRPC_CANCELLED) return;
    char *words = str_dup_c(response->message);
    log_warn("temporal_metrics", "the collector does not take the metrics", "why", words);
    free(words);
}

static void on_period(struct timer *timer, instant now)
{
    (void)now;
    struct otlp *o = container_of(timer, struct otlp, timer);
    loop_timer_in(o->loop, &o->timer, o->period);
    if (o->is_sending) return; /* slow: what is there now goes with the next */
    struct buf body = {0};
    instant wall = loop_now(o->loop);
    otlp_encode(o->metrics, o->is_delta, o->start, wall, &body);
    if (o->is_delta) o->start = wall;
    o->is_sending = true;
    struct grpc_request request = {
        .path = STR("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"), .body = buf_view(&body), .timeout = duration_s(10)};
    (void)grpc_client_call(o->client, &request, on_done, o);
    buf_fini(&body);
}

err otlp_create(struct otlp **out, struct loop *loop, struct metrics *metrics, const struct otlp_options *options, struct arena *arena, struct error *error)
{
    static const struct tls_options system_roots;
    struct str target = options->url;
    bool is_tls = str_starts_with(target, STR("https://"));
    if (!is_tls && !str_starts_with(target, STR("http://"))) return error_set(error, arena, ERR_INVALID, "the collector's URL does not begin with http:// or https://");
    target = str_skip(target, is_tls ? 8 : 7);
    const char *slash = target.size != 0 ? memchr(target.data, '/', target.size) : NULL;
    if (slash != NULL) target.size = (size_t)(slash - target.data);
    if (target.size != 0 && memchr(target.data, ':', target.size) == NULL) target = arena_printf(arena, "%.*s:4317", STR_ARG(target));
    struct otlp *o = xcalloc(1, sizeof *o);
    struct grpc_client_options client = {.target = target, .tls = is_tls ? &system_roots : NULL};
    err e = grpc_client_create(&o->client, loop, &client, arena, error);
    if (e != ERR_NONE) {
        free(o);
        return e;
    }
    grpc_client_set_metadata(o->client, options->headers);
    o->loop = loop;
    o->metrics = metrics_ref(metrics);
    o->period = options->period.ns > 0 ? options->period : duration_s(1);
    o->is_delta = options->is_delta;
    o->start = loop_now(loop);
    o->timer.fire = on_period;
    loop_timer_in(loop, &o->timer, o->period);
    *out = o;
    return ERR_NONE;
}

void otlp_destroy(struct otlp *otlp)
{
    if (otlp == NULL) return;
    timer_stop(&otlp->timer);
    grpc_client_destroy(otlp->client);
    metrics_unref(otlp->metrics);
    free(otlp);
}
