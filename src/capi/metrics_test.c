#include "base/test.h"
#include "capi/metrics.h"
#include "capi/otlp.h"
#include "proto/perdure/otlp.h"

#include <stdio.h>

static bool has_line(struct metrics *m, const char *line)
{
    struct buf page = {0};
    metrics_text(m, &page);
    buf_append_byte(&page, '\0');
    bool found = strstr(page.data, line) != NULL;
    if (!found) fprintf(stderr, "the page has no %s:\n%s", line, page.data);
    buf_fini(&page);
    return found;
}

TEST(a_counter_adds_and_a_gauge_is_set)
{
    struct metrics *m = metrics_create(&(struct metrics_options){.prefix = STR("temporal_")});
    int counter = metrics_register(m, METRICS_COUNTER, STR("request"), STR("Calls"), STR_EMPTY, false);
    int gauge = metrics_register(m, METRICS_GAUGE, STR("my-gauge"), STR_EMPTY, STR_EMPTY, true);
    check_int(metrics_register(m, METRICS_COUNTER, STR("request"), STR("Calls"), STR_EMPTY, false), counter);
    struct metrics_label labels[] = {{STR("b"), STR("x\"\\\n"), METRICS_TEXT}, {STR("a"), STR("1"), METRICS_INT}}, turned[] = {labels[1], labels[0]};
    metrics_record(m, counter, 1, labels, 2);
    metrics_record(m, counter, 2, turned, 2); /* the same series */
    metrics_record(m, gauge, 5, NULL, 0);
    metrics_record(m, gauge, 4, NULL, 0);
    metrics_record(m, 99, 4, NULL, 0); /* no such instrument: no effect */
    check(has_line(m, "# HELP temporal_request Calls\n# TYPE temporal_request counter\n"));
    check(has_line(m, "temporal_request{a=\"1\",b=\"x\\\"\\\\\\n\"} 3\n"));
    check(has_line(m, "my_gauge{} 4\n"));
    metrics_unref(m);
}

TEST(a_histogram_counts_what_is_at_most_each_bound)
{
    for (int is_full = 0; is_full < 2; is_full++) { /* named with and without the prefix */
        struct metrics_buckets own = {is_full ? STR("t_latency") : STR("latency"), {0.001, 0.01}, 2};
        struct metrics *m = metrics_create(&(struct metrics_options){
            .prefix = STR("t_"), .buckets = &own, .buckets_count = 1, .has_unit_suffix = true, .durations_as_seconds = true, .has_counter_suffix = true});
        int latency = metrics_register(m, METRICS_DURATION, STR("latency"), STR_EMPTY, STR("ms"), false);
        metrics_record(m, metrics_register(m, METRICS_COUNTER, STR("n"), STR_EMPTY, STR_EMPTY, false), 1, NULL, 0);
        metrics_record(m, latency, 1, NULL, 0); /* ms */
        metrics_record(m, latency, 5, NULL, 0);
        metrics_record(m, latency, 500, NULL, 0);
        check(has_line(m, "t_latency_seconds_bucket{le=\"0.001\"} 1\nt_latency_seconds_bucket{le=\"0.01\"} 2\nt_latency_seconds_bucket{le=\"+Inf\"} 3\n"));
        check(has_line(m, "t_latency_seconds_sum{} 0.506\nt_latency_seconds_count{} 3\n"));
        check(has_line(m, "t_n_total{} 1\n"));
        metrics_unref(m);
    }
}

static int taken;
static double first_taken;
static void take(void *arg, const struct metrics_update *update)
{
    if (taken++ == 0) first_taken = update->value;
    check_int(update->label_count, 2);
    check_str(update->labels[0].value, "global");
    check_str(update->labels[1].value, (const char *)arg);
}

TEST(updates_are_kept_up_to_a_bound_and_taken_once)
{
    struct metrics_label global = {STR("g"), STR("global"), METRICS_TEXT}, own = {STR("o"), STR("own"), METRICS_TEXT};
    struct metrics *m = metrics_create(&(struct metrics_options){.update_max = 3, .global = &global, .global_count = 1});
    int counter = metrics_register(m, METRICS_COUNTER, STR("n"), STR_EMPTY, STR_EMPTY, false);
    for (int i = 1; i <= 5; i++) metrics_record(m, counter, i, &own, 1);
    metrics_take(m, take, "own");
    check_int(taken, 3);
    check(first_taken == 3); /* the oldest went first */
    metrics_take(m, take, "own");
    check_int(taken, 3);
    metrics_record(m, counter, 9, &own, 1);
    metrics_unref(m); /* with an update inside */
}

TEST(the_number_of_series_is_bounded)
{
    struct metrics *m = metrics_create(&(struct metrics_options){0});
    int counter = metrics_register(m, METRICS_COUNTER, STR("n"), STR_EMPTY, STR_EMPTY, false);
    for (int i = 0; i < METRICS_SERIES_MAX + 7; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        metrics_record(m, counter, 1, &(struct metrics_label){STR("id"), str_of(text), METRICS_TEXT}, 1);
    }
    check(has_line(m, "temporal_metrics_dropped{} 7\n"));
    metrics_unref(m);
}

TEST(a_collector_gets_everything_so_far_or_what_is_new)
{
    for (int is_delta = 0; is_delta < 2; is_delta++) {
        test_row = is_delta ? "delta" : "cumulative";
        struct arena arena;
        arena_init(&arena, 0, 0);
        struct metrics *m = metrics_create(&(struct metrics_options){.prefix = STR("t_")});
        int counter = metrics_register(m, METRICS_COUNTER, STR("n"), STR("d"), STR("1"), false);
        int span = metrics_register(m, METRICS_DURATION, STR("l"), STR_EMPTY, STR("ms"), false);
        struct metrics_label label = {STR("x"), STR("7"), METRICS_INT};
        for (int round = 1; round <= 2; round++) {
            struct buf bytes = {0};
            pb_otlp_ExportRequest *r;
            metrics_record(m, counter, 2, &label, 1);
            metrics_record(m, span, 3, NULL, 0);
            otlp_encode(m, is_delta, (instant){1}, (instant){2}, &bytes);
            check(PB_DECODE(&arena, buf_view(&bytes), pb_otlp_ExportRequest, &r) == ERR_NONE);
            pb_otlp_ScopeMetrics *scope = r->resources[0]->scopes[0];
            check_int(scope->metrics_count, 2);
            check_str(scope->metrics[0]->name, "t_n");
            pb_otlp_NumberPoint *p = scope->metrics[0]->sum->points[0];
            check_int(p->whole, is_delta ? 2 : 2 * round);
            check_int(p->attributes[0]->value->whole, 7);
            check_int(scope->metrics[1]->histogram->points[0]->count, is_delta ? 1 : round);
            check_int(scope->metrics[1]->histogram->temporality, is_delta ? 1 : 2);
            check_int(scope->metrics[1]->histogram->points[0]->bucket_counts_count, scope->metrics[1]->histogram->points[0]->bounds_count + 1);
            buf_fini(&bytes);
        }
        metrics_unref(m);
        arena_fini(&arena);
    }
}

TEST_MAIN
