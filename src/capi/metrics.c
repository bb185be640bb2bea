#include "capi/metrics.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct instrument {
    enum metrics_kind kind;
    struct str name, description, unit, base; /* base: without the prefix */
    const struct metrics_buckets *buckets;    /* of histograms; for durations in milliseconds */
};
struct series {
    int instrument;
    struct str labels; /* as on the page: a="b",c="d" */
    struct metrics_label *label_list;
    size_t label_count;
    double value, sum;
    uint64_t count;
    uint64_t *in_bucket;
};
struct update {
    struct list link;
    struct arena arena;
    struct metrics_update what; /* names in the arena of the metrics, labels in this one */
};
struct metrics {
    atomic_int references;
    struct metrics_options options;
    struct arena arena;
    pthread_mutex_t mutex; /* guards what follows */
    struct instrument *instruments;
    size_t instrument_count, instrument_capacity;
    struct map series; /* instrument and labels -> struct series */
    struct list updates;
    size_t update_count;
    uint64_t dropped;
};

/* Upper bounds in milliseconds, and for plain numbers; one more bucket is for what is larger. */
static const struct metrics_buckets duration_buckets = {{NULL, 0}, {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000, 300000}, 16};
static const struct metrics_buckets number_buckets = {{NULL, 0}, {0, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 10000}, 12};

static bool is_histogram(enum metrics_kind kind) { return kind == METRICS_HISTOGRAM || kind == METRICS_FLOAT_HISTOGRAM || kind == METRICS_DURATION; }

static struct metrics_label *copy_labels(struct arena *arena, const struct metrics_label *labels, size_t count)
{
    struct metrics_label *copy = arena_array(arena, struct metrics_label, count + 1);
    for (size_t i = 0; i < count; i++) copy[i] = (struct metrics_label){arena_str(arena, labels[i].key), arena_str(arena, labels[i].value), labels[i].kind};
    return copy;
}

struct metrics *metrics_create(const struct metrics_options *options)
{
    struct metrics *m = xcalloc(1, sizeof *m);
    atomic_init(&m->references, 1);
    pthread_mutex_init(&m->mutex, NULL);
    arena_init(&m->arena, 0, 0);
    list_init(&m->updates);
    m->options = *options;
    m->options.prefix = arena_str(&m->arena, options->prefix);
    m->options.global = copy_labels(&m->arena, options->global, options->global_count);
    struct metrics_buckets *buckets = arena_array(&m->arena, struct metrics_buckets, options->buckets_count + 1);
    for (size_t i = 0; i < options->buckets_count; i++) {
        buckets[i] = options->buckets[i];
        buckets[i].metric = arena_str(&m->arena, options->buckets[i].metric);
    }
    m->options.buckets = buckets;
    return m;
}

struct metrics *metrics_ref(struct metrics *metrics)
{
    atomic_fetch_add(&metrics->references, 1);
    return metrics;
}

static void free_update(struct list *link)
{
    struct update *u = container_of(link, struct update, link);
    list_remove(link);
    arena_fini(&u->arena);
    free(u);
}

void metrics_unref(struct metrics *metrics)
{
    if (metrics == NULL || atomic_fetch_sub(&metrics->references, 1) != 1) return;
    list_each_safe(link, &metrics->updates) free_update(link);
    struct series *s;
    for (size_t at = 0; (s = map_next(&metrics->series, &at, NULL)) != NULL;) free(s);
    map_fini(&metrics->series);
    arena_fini(&metrics->arena);
    free(metrics->instruments);
    pthread_mutex_destroy(&metrics->mutex);
    free(metrics);
}

/* Overrides are in the unit of the page. */
static const struct metrics_buckets *find_buckets(struct metrics *m, struct str base, struct str name, enum metrics_kind kind)
{
    const struct metrics_buckets *found = NULL;
    for (size_t i = 0; i < m->options.buckets_count && found == NULL; i++)
        if (str_equal(m->options.buckets[i].metric, base) || str_equal(m->options.buckets[i].metric, name)) found = &m->options.buckets[i];
    if (found == NULL) return kind == METRICS_DURATION ? &duration_buckets : &number_buckets;
    if (kind != METRICS_DURATION || !m->options.durations_as_seconds) return found;
    struct metrics_buckets *scaled = arena_new(&m->arena, struct metrics_buckets);
    *scaled = *found;
    for (size_t i = 0; i < scaled->count; i++) scaled->bounds[i] *= 1e3;
    return scaled;
}

int metrics_register(struct metrics *m, enum metrics_kind kind, struct str name, struct str description, struct str unit, bool is_own)
{
    pthread_mutex_lock(&m->mutex);
    size_t i = 0;
    while (i < m->instrument_count && !(m->instruments[i].kind == kind && str_equal(m->instruments[i].base, name))) i++;
    if (i == m->instrument_count) {
        if (i == m->instrument_capacity) {
            m->instrument_capacity = size_max(32, 2 * m->instrument_capacity);
            m->instruments = xrealloc(m->instruments, m->instrument_capacity * sizeof *m->instruments);
        }
        struct str prefix = is_own ? STR_EMPTY : m->options.prefix, base = arena_str(&m->arena, name);
        struct str full = arena_printf(&m->arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(name));
        m->instruments[m->instrument_count++] = (struct instrument){
            .kind = kind, .base = base, .name = full,
            .description = arena_str(&m->arena, description), .unit = arena_str(&m->arena, unit), .buckets = find_buckets(m, base, full, kind),
        };
    }
    pthread_mutex_unlock(&m->mutex);
    return (int)i;
}

/* ---- recording ------------------------------------------------------------------------------------------------ */

static void put_name(struct buf *out, struct str name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (i > 0 && c >= '0' && c <= '9');
        buf_append_byte(out, (uint8_t)(is_fine ? c : '_'));
    }
}

static void put_escaped(struct buf *out, struct str s, bool is_quoted)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '\n') {
            buf_append(out, "\\n", 2);
            continue;
        }
        if ((is_quoted && s.data[i] == '"') || s.data[i] == '\\') buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)s.data[i]);
    }
}

static void put_label(struct buf *out, const struct metrics_label *label)
{
    if (out->size != 0 && out->data[out->size - 1] == '"') buf_append_byte(out, ',');
    put_name(out, label->key);
    buf_append(out, "=\"", 2);
    put_escaped(out, label->value, true);
    buf_append_byte(out, '"');
}

/* A program's labels in the order of their keys, so that the same labels are the same series. */
static int by_key(const void *a, const void *b) { return str_compare(((const struct metrics_label *)a)->key, ((const struct metrics_label *)b)->key); }

/* The global ones, then these. */
static struct metrics_label *both_labels(const struct metrics *m, struct arena *arena, const struct metrics_label *labels, size_t count)
{
    size_t global_count = m->options.global_count;
    struct metrics_label *both = arena_array(arena, struct metrics_label, global_count + count + 1), *own = copy_labels(arena, labels, count);
    if (global_count != 0) memcpy(both, m->options.global, global_count * sizeof *both);
    if (count != 0) memcpy(both + global_count, own, count * sizeof *both);
    return both;
}

static struct series *find_series(struct metrics *m, int instrument, const struct metrics_label *labels, size_t count)
{
    struct metrics_label sorted[METRICS_LABELS_MAX];
    struct buf key = {0};
    count = size_min(count, METRICS_LABELS_MAX);
    if (count != 0) memcpy(sorted, labels, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_key);
    buf_append(&key, &instrument, sizeof instrument);
    size_t start = key.size;
    for (size_t i = 0; i < m->options.global_count; i++) put_label(&key, &m->options.global[i]);
    for (size_t i = 0; i < count; i++) put_label(&key, &sorted[i]);
    struct series *s = map_get(&m->series, buf_view(&key));
    if (s == NULL && map_count(&m->series) < METRICS_SERIES_MAX) {
        const struct instrument *in = &m->instruments[instrument];
        size_t buckets = is_histogram(in->kind) ? in->buckets->count + 1 : 0;
        s = xcalloc(1, sizeof *s + buckets * sizeof *s->in_bucket);
        s->instrument = instrument;
        s->labels = arena_str(&m->arena, str_skip(buf_view(&key), start));
        s->label_list = both_labels(m, &m->arena, sorted, count);
        s->label_count = m->options.global_count + count;
        s->in_bucket = (uint64_t *)(s + 1);
        (void)map_put(&m->series, buf_view(&key), s);
    }
    buf_fini(&key);
    return s;
}

static void keep_update(struct metrics *m, const struct instrument *in, double value, const struct metrics_label *labels, size_t count)
{
    if (m->update_count >= m->options.update_max) free_update(list_first(&m->updates));
    else m->update_count++;
    struct update *u = xcalloc(1, sizeof *u);
    arena_init(&u->arena, 256, 0);
    struct metrics_label *both = both_labels(m, &u->arena, labels, count);
    u->what = (struct metrics_update){in->name, in->description, in->unit, in->kind, value, both, m->options.global_count + count};
    list_push(&m->updates, &u->link);
}

void metrics_record(struct metrics *m, int instrument, double value, const struct metrics_label *labels, size_t count)
{
    pthread_mutex_lock(&m->mutex);
    if (instrument >= 0 && (size_t)instrument < m->instrument_count) {
        const struct instrument *in = &m->instruments[instrument];
        struct series *s = find_series(m, instrument, labels, count);
        if (s == NULL) {
            m->dropped++;
        } else if (is_histogram(in->kind)) {
            size_t bucket = 0;
            while (bucket < in->buckets->count && value > in->buckets->bounds[bucket]) bucket++;
            s->in_bucket[bucket]++;
            s->count++;
            s->sum += value;
        } else {
            s->value = in->kind == METRICS_COUNTER ? s->value + value : value;
        }
        if (m->options.update_max != 0) keep_update(m, in, value, labels, count);
    }
    pthread_mutex_unlock(&m->mutex);
}

void metrics_take(struct metrics *m, void (*each)(void *arg, const struct metrics_update *update), void *arg)
{
    struct list mine, *link; /* `each` may take locks of its own, so it runs without this one */
    list_init(&mine);
    pthread_mutex_lock(&m->mutex);
    while ((link = list_pop(&m->updates)) != NULL) list_push(&mine, link);
    m->update_count = 0;
    pthread_mutex_unlock(&m->mutex);
    list_each_safe(taken, &mine) {
        each(arg, &container_of(taken, struct update, link)->what);
        free_update(taken);
    }
}

static void view_series(const struct metrics *m, const struct instrument *in, struct series *s, struct metrics_series *out)
{
    bool is_scaled = in->kind == METRICS_DURATION && m->options.durations_as_seconds;
    double scale = is_scaled ? 1e-3 : 1;
    *out = (struct metrics_series){
        .name = in->name, .description = in->description, .unit = is_scaled ? STR("s") : in->unit, .kind = in->kind, .labels = s->label_list,
        .label_count = s->label_count, .value = s->value, .sum = s->sum * scale, .count = s->count,
    };
    if (!is_histogram(in->kind)) return;
    out->in_bucket = s->in_bucket;
    out->bound_count = in->buckets->count;
    for (size_t i = 0; i < out->bound_count; i++) out->bounds[i] = in->buckets->bounds[i] * scale;
}

void metrics_walk(struct metrics *m, bool reset, void (*each)(void *arg, const struct metrics_series *series), void *arg)
{
    struct series *s;
    struct metrics_series view;
    pthread_mutex_lock(&m->mutex);
    for (size_t i = 0; i < m->instrument_count; i++) {
        const struct instrument *in = &m->instruments[i];
        bool is_gauge = in->kind == METRICS_GAUGE || in->kind == METRICS_FLOAT_GAUGE;
        for (size_t at = 0; (s = map_next(&m->series, &at, NULL)) != NULL;) {
            if (s->instrument != (int)i || (reset && !is_gauge && s->value == 0 && s->count == 0)) continue;
            view_series(m, in, s, &view);
            each(arg, &view);
            if (!reset || is_gauge) continue;
            s->value = s->sum = 0;
            s->count = 0;
            if (view.in_bucket != NULL) memset(s->in_bucket, 0, (view.bound_count + 1) * sizeof *s->in_bucket);
        }
    }
    pthread_mutex_unlock(&m->mutex);
}

/* ---- the page ------------------------------------------------------------------------------------------------- */

static void put_number(struct buf *out, double value)
{
    if (value == floor(value) && fabs(value) < 1e15) buf_printf(out, "%.0f\n", value);
    else buf_printf(out, "%.9g\n", value);
}

static void put_full_name(struct buf *out, const struct metrics *m, const struct instrument *in)
{
    put_name(out, in->name);
    if (in->kind == METRICS_DURATION && m->options.has_unit_suffix) buf_append_str(out, m->options.durations_as_seconds ? STR("_seconds") : STR("_milliseconds"));
    if (in->kind == METRICS_COUNTER && m->options.has_counter_suffix) buf_append_str(out, STR("_total"));
}

static void put_histogram(struct buf *out, const struct metrics *m, const struct instrument *in, const struct series *s)
{
    double scale = in->kind == METRICS_DURATION && m->options.durations_as_seconds ? 1e-3 : 1;
    uint64_t total = 0;
    const char *comma = s->labels.size != 0 ? "," : "";
    for (size_t i = 0; i <= in->buckets->count; i++) {
        total += s->in_bucket[i];
        put_full_name(out, m, in);
        buf_printf(out, "_bucket{%.*s%sle=\"", STR_ARG(s->labels), comma);
        if (i < in->buckets->count) buf_printf(out, "%.9g\"} ", in->buckets->bounds[i] * scale);
        else buf_append_str(out, STR("+Inf\"} "));
        buf_printf(out, "%" PRIu64 "\n", total);
    }
    put_full_name(out, m, in);
    buf_printf(out, "_sum{%.*s} ", STR_ARG(s->labels));
    put_number(out, s->sum * scale);
    put_full_name(out, m, in);
    buf_printf(out, "_count{%.*s} %" PRIu64 "\n", STR_ARG(s->labels), s->count);
}

static void put_instrument(struct buf *out, const struct metrics *m, size_t index)
{
    static const char *const types[METRICS_KIND_COUNT] = {"counter", "gauge", "histogram", "gauge", "histogram", "histogram"};
    const struct instrument *in = &m->instruments[index];
    bool has_head = false;
    const struct series *s;
    for (size_t at = 0; (s = map_next(&m->series, &at, NULL)) != NULL;) {
        if (s->instrument != (int)index) continue;
        if (!has_head) {
            if (in->description.size != 0) {
                buf_append_str(out, STR("# HELP "));
                put_full_name(out, m, in);
                buf_append_byte(out, ' ');
                put_escaped(out, in->description, false);
                buf_append_byte(out, '\n');
            }
            buf_append_str(out, STR("# TYPE "));
            put_full_name(out, m, in);
            buf_printf(out, " %s\n", types[in->kind]);
            has_head = true;
        }
        if (is_histogram(in->kind)) {
            put_histogram(out, m, in, s);
            continue;
        }
        put_full_name(out, m, in);
        buf_printf(out, "{%.*s} ", STR_ARG(s->labels));
        put_number(out, s->value);
    }
}

void metrics_text(struct metrics *m, struct buf *out)
{
    pthread_mutex_lock(&m->mutex);
    for (size_t i = 0; i < m->instrument_count; i++) put_instrument(out, m, i);
    if (m->dropped != 0) buf_printf(out, "# TYPE temporal_metrics_dropped counter\ntemporal_metrics_dropped{} %" PRIu64 "\n", m->dropped);
    pthread_mutex_unlock(&m->mutex);
}
