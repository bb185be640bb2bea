#include "capi/otlp.h"

#include "base/log.h"
#include "net/grpc_wire.h"
#include "net/http_post.h"
#include "proto/json.h"
#include "proto/perdure/otlp.h"

#include <stdio.h>
#include <stdlib.h>

struct otlp {
    struct loop *loop;
    struct metrics *metrics;
    struct grpc_client *client; /* NULL: by HTTP */
    struct arena arena;         /* of what follows */
    struct str host, path, headers;
    int port;
    struct http_post *post;     /* under way */
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

/* A collector that fails is told of once, until it has worked again. */
static void note(struct otlp *o, bool is_ok, struct str why)
{
    bool is_news = !is_ok && !o->has_failed;
    o->is_sending = false;
    o->has_failed = !is_ok;
    if (!is_news) return;
    char *words = str_dup_c(why);
    log_warn("temporal_metrics", "the collector does not take the metrics", "why", words);
    free(words);
}

static void on_done(void *arg, const struct grpc_response *response)
{
    note(arg, response->code == GRPC_OK || response->code == GRPC_CANCELLED, response->message);
}

static void on_posted(void *arg, int status, struct str why)
{
    struct otlp *o = arg;
    char words[32];
    snprintf(words, sizeof words, "it answers with status %d", status);
    o->post = NULL;
    note(o, status >= 200 && status < 300, status != 0 ? str_of(words) : why);
}

static void send_now(struct otlp *o, struct str body)
{
    const duration timeout = duration_s(10);
    o->is_sending = true;
    if (o->client == NULL) {
        struct http_post_request request = {o->host, o->port, o->path, o->headers, body, timeout, NULL};
        o->post = http_post_start(o->loop, &request, on_posted, o);
        return;
    }
    struct grpc_request request = {.path = STR("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"), .body = body, .timeout = timeout};
    (void)grpc_client_call(o->client, &request, on_done, o);
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
    send_now(o, buf_view(&body));
    buf_fini(&body);
}

/* ---- its making ----------------------------------------------------------------------------------------------- */

/* "host:4318/path" behind the scheme. */
static err set_up_http(struct otlp *o, struct str rest, const struct otlp_options *options, struct arena *arena, struct error *error)
{
    const char *slash = rest.size != 0 ? memchr(rest.data, '/', rest.size) : NULL;
    struct str authority = {rest.data, slash != NULL ? (size_t)(slash - rest.data) : rest.size}, path = str_skip(rest, authority.size);
    size_t colon = authority.size;
    int64_t port = 4318;
    while (colon > 0 && authority.data[colon - 1] != ':' && authority.data[colon - 1] != ']') colon--;
    bool has_port = colon > 0 && authority.data[colon - 1] == ':';
    if (has_port && (!json_parse_int(str_skip(authority, colon), &port) || port < 1 || port > 65535)) port = 0;
    struct str host = has_port ? (struct str){authority.data, colon - 1} : authority;
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']') host = (struct str){host.data + 1, host.size - 2};
    if (host.size == 0 || port == 0) return error_set(error, arena, ERR_INVALID, "the collector's URL names no host and port");
    struct buf lines = {0};
    buf_append_str(&lines, STR("Content-Type: application/x-protobuf\r\n"));
    for (size_t i = 0; i < options->headers.count; i++) {
        struct grpc_header h = options->headers.headers[i];
        bool is_fine = grpc_header_is_valid(h.name, h.value);
        if (is_fine) buf_printf(&lines, "%.*s: %.*s\r\n", STR_ARG(h.name), STR_ARG(h.value));
        else {
            buf_fini(&lines);
            return error_set(error, arena, ERR_INVALID, "a header for the collector can not be sent");
        }
    }
    o->host = arena_str(&o->arena, host);
    o->path = arena_str(&o->arena, path.size > 1 ? path : STR("/v1/metrics"));
    o->headers = arena_str(&o->arena, buf_view(&lines));
    o->port = (int)port;
    buf_fini(&lines);
    return ERR_NONE;
}

static err set_up_grpc(struct otlp *o, struct str rest, bool is_tls, const struct otlp_options *options, struct arena *arena, struct error *error)
{
    static const struct tls_options system_roots;
    const char *slash = rest.size != 0 ? memchr(rest.data, '/', rest.size) : NULL;
    if (slash != NULL) rest.size = (size_t)(slash - rest.data);
    if (rest.size != 0 && memchr(rest.data, ':', rest.size) == NULL) rest = arena_printf(arena, "%.*s:4317", STR_ARG(rest));
    struct grpc_client_options client = {.target = rest, .tls = is_tls ? &system_roots : NULL};
    TRY(grpc_client_create(&o->client, o->loop, &client, arena, error));
    grpc_client_set_metadata(o->client, options->headers);
    return ERR_NONE;
}

err otlp_create(struct otlp **out, struct loop *loop, struct metrics *metrics, const struct otlp_options *options, struct arena *arena, struct error *error)
{
    bool is_tls = str_starts_with(options->url, STR("https://"));
    if (!is_tls && !str_starts_with(options->url, STR("http://"))) return error_set(error, arena, ERR_INVALID, "the collector's URL does not begin with http:// or https://");
    if (is_tls && options->is_http) return error_set(error, arena, ERR_INVALID, "a collector behind TLS is reached by gRPC only");
    struct otlp *o = xcalloc(1, sizeof *o);
    struct str rest = str_skip(options->url, is_tls ? 8 : 7);
    arena_init(&o->arena, 256, 0);
    o->loop = loop;
    err e = options->is_http ? set_up_http(o, rest, options, arena, error) : set_up_grpc(o, rest, is_tls, options, arena, error);
    if (e != ERR_NONE) {
        arena_fini(&o->arena);
        free(o);
        return e;
    }
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
    if (otlp->client != NULL) grpc_client_destroy(otlp->client);
    if (otlp->post != NULL) http_post_cancel(otlp->post);
    metrics_unref(otlp->metrics);
    arena_fini(&otlp->arena);
    free(otlp);
}
