/* bench/load.c: raw gRPC load on any server that speaks the API: client, workflow worker and activity worker in one thread, no
 * SDK on either side, so that what is measured is the server. Every result is checked.
 *
 *   hello     start -> workflow task -> one activity -> workflow task -> completed; latency per workflow
 *   chain     the same with --activities N one after another
 *   fan       one workflow with --activities N at once; cost of the first and the last tenth
 *   signal    --workflows open workflows, each sent --signals signals, then terminated
 *   timers    --workflows that each start one timer of --timer and complete
 *   open      --workflows that start a long timer and stay open
 *   history   one workflow of --signals signals; the time to read its history in pages
 *   park      --pollers parked polls on --queues task queues, held for --hold
 *
 * The last line is one JSON object. */
#include "base/arena.h"
#include "base/list.h"
#include "cli/options.h"
#include "net/grpc_client.h"
#include "proto/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct load;

struct flags {
    struct str address, scenario;
    int64_t workflows, concurrent, pollers, queues, activities, signals, connections, payload;
    duration timer, hold;
};

struct load {
    struct flags f;
    struct loop *loop;
    struct grpc_client **clients;
    size_t next_client;
    char queue[64];
    int64_t started, finished, errors, workflow_tasks, activity_tasks, activities_done;
    double *latencies;
    size_t latency_count;
    double begun;
    bool is_over;
    char problem[256];
    double fan_first, fan_last;
    int64_t fan_done;
};

struct lane { struct load *load; int64_t number, signals_sent; double begun; char id[96], run_id[40]; struct str token; };
struct poller { struct load *load; struct grpc_client *client; bool is_activity; char queue[96]; };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void over(struct load *l)
{
    l->is_over = true;
    loop_stop(l->loop);
}

static void fail(struct load *l, const char *what, const struct grpc_response *r)
{
    l->errors++;
    if (l->problem[0] == '\0') snprintf(l->problem, sizeof l->problem, "%s: %s %.*s", what, grpc_code_name(r->code), STR_ARG(r->message));
    if (l->errors > 100) over(l);
}

static struct grpc_client *client_of(struct load *l) { return l->clients[l->next_client++ % (size_t)l->f.connections]; }

static void call(struct grpc_client *client, int method, const void *request, duration timeout, void (*done)(void *, const struct grpc_response *), void *arg)
{
    const struct pb_method *m = &pb_methods[method];
    struct buf body = {0};
    char path[160];
    struct str service = pb_method_service(m), name = pb_method_name(m);
    int n = snprintf(path, sizeof path, "/%.*s/%.*s", STR_ARG(service), STR_ARG(name));
    pb_encode(pb_method_request(m), request, &body);
    const struct grpc_request q = {.path = {path, (size_t)n}, .body = buf_view(&body), .timeout = timeout};
    grpc_client_call(client, &q, done, arg);
    buf_fini(&body);
}

static pb_common_Payloads *payloads(struct arena *a, int64_t size)
{
    char *text = arena_alloc(a, (size_t)size + 2);
    memset(text, 'a', (size_t)size + 2);
    text[0] = text[size + 1] = '"';
    pb_common_Payloads *p = pb_new(a, pb_common_Payloads);
    PB_PUSH(a, p, payloads) = pb_payload_new(a, STR("json/plain"), (struct str){text, (size_t)size + 2});
    return p;
}

/* ---- the worker ---- */

static void poll_again(struct poller *p);

static void responded(void *arg, const struct grpc_response *r)
{
    struct poller *p = arg;
    if (r->code != GRPC_OK && !p->load->is_over) fail(p->load, "respond", r);
    if (r->code == GRPC_OK && p->is_activity) p->load->activities_done++;
    poll_again(p);
}

struct seen { int64_t scheduled, completed, fired, timers; const pb_history_HistoryEvent *first; };

static struct seen look(const pb_history_History *h)
{
    struct seen s = {0};
    for (size_t i = 0; h != NULL && i < h->events_count; i++) {
        int32_t t = h->events[i]->event_type;
        if (i == 0) s.first = h->events[i];
        s.scheduled += t == EVENT_TYPE_ACTIVITY_TASK_SCHEDULED;
        s.completed += t == EVENT_TYPE_ACTIVITY_TASK_COMPLETED;
        s.timers += t == EVENT_TYPE_TIMER_STARTED;
        s.fired += t == EVENT_TYPE_TIMER_FIRED;
    }
    return s;
}

static void add_timer(struct arena *a, pb_ws_RespondWorkflowTaskCompletedRequest *q, duration d)
{
    pb_command_Command *c = PB_PUSH_NEW(a, q, commands);
    c->command_type = COMMAND_TYPE_START_TIMER;
    c->attributes_case = pb_command_Command_start_timer_command_attributes_tag;
    c->start_timer_command_attributes = pb_new(a, pb_command_StartTimerCommandAttributes);
    c->start_timer_command_attributes->timer_id = STR("1");
    c->start_timer_command_attributes->start_to_fire_timeout = pb_duration_new(a, d);
}

static void add_activity(struct arena *a, pb_ws_RespondWorkflowTaskCompletedRequest *q, int64_t number, const struct load *l)
{
    pb_command_Command *c = PB_PUSH_NEW(a, q, commands);
    c->command_type = COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK;
    c->attributes_case = pb_command_Command_schedule_activity_task_command_attributes_tag;
    pb_command_ScheduleActivityTaskCommandAttributes *s = c->schedule_activity_task_command_attributes = pb_new(a, pb_command_ScheduleActivityTaskCommandAttributes);
    s->activity_id = arena_printf(a, "%" PRId64, number);
    s->activity_type = pb_new(a, pb_common_ActivityType);
    s->activity_type->name = STR("echo");
    s->task_queue = pb_new(a, pb_taskqueue_TaskQueue);
    s->task_queue->name = str_of(l->queue);
    s->task_queue->kind = TASK_QUEUE_KIND_NORMAL;
    s->input = payloads(a, l->f.payload);
    s->schedule_to_close_timeout = pb_duration_new(a, duration_s(60));
}

static void add_completion(struct arena *a, pb_ws_RespondWorkflowTaskCompletedRequest *q, const struct load *l)
{
    pb_command_Command *c = PB_PUSH_NEW(a, q, commands);
    c->command_type = COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION;
    c->attributes_case = pb_command_Command_complete_workflow_execution_command_attributes_tag;
    c->complete_workflow_execution_command_attributes = pb_new(a, pb_command_CompleteWorkflowExecutionCommandAttributes);
    c->complete_workflow_execution_command_attributes->result = payloads(a, l->f.payload);
}

/* Answers a workflow task from its whole history. */
static void decide(struct arena *a, struct load *l, const pb_history_History *h, pb_ws_RespondWorkflowTaskCompletedRequest *q)
{
    struct seen s = look(h);
    bool uses_timer = str_equal_c(l->f.scenario, "timers"), stays_open = str_equal_c(l->f.scenario, "open"), is_fan = str_equal_c(l->f.scenario, "fan");
    if ((uses_timer || stays_open) && s.timers == 0) {
        add_timer(a, q, stays_open ? duration_s(86400) : l->f.timer);
        return;
    }
    if (stays_open || (uses_timer && s.fired == 0)) return;
    if (!uses_timer && is_fan && s.scheduled == 0) {
        for (int64_t i = 0; i < l->f.activities; i++) add_activity(a, q, i + 1, l);
        return;
    }
    if (!uses_timer && s.completed < l->f.activities) {
        if (s.scheduled == s.completed) add_activity(a, q, s.completed + 1, l);
        return;
    }
    add_completion(a, q, l);
}

static void open_counts(struct load *l)
{
    if (str_equal_c(l->f.scenario, "open") && ++l->finished == l->f.workflows) over(l);
}

/* A page of history beyond the first is not followed: such workflows are counted by their whole first page only, so scenarios with
 * long histories (fan) answer each later task from the count of activity tasks done. */
static void got_workflow_task(void *arg, const struct grpc_response *r)
{
    struct poller *p = arg;
    struct load *l = p->load;
    if (l->is_over) return;
    struct arena a;
    arena_init(&a, 16 * 1024, 0);
    pb_ws_PollWorkflowTaskQueueResponse *task;
    if (r->code != GRPC_OK) {
        fail(l, "poll", r);
        poll_again(p);
    } else if (PB_DECODE(&a, r->body, pb_ws_PollWorkflowTaskQueueResponse, &task) != ERR_NONE || str_is_empty(task->task_token)) {
        poll_again(p);
    } else {
        l->workflow_tasks++;
        pb_ws_RespondWorkflowTaskCompletedRequest q = {.task_token = task->task_token, .identity = STR("load"), .namespace = STR("default")};
        bool is_later = str_equal_c(l->f.scenario, "fan") && task->started_event_id > 3;
        if (!is_later) decide(&a, l, task->history, &q);
        else if (l->activities_done >= l->f.activities) add_completion(&a, &q, l);
        open_counts(l);
        call(p->client, pb_ws_RespondWorkflowTaskCompleted_method, &q, duration_s(30), responded, p);
    }
    arena_fini(&a);
}

static void got_activity_task(void *arg, const struct grpc_response *r)
{
    struct poller *p = arg;
    struct load *l = p->load;
    if (l->is_over) return;
    struct arena a;
    arena_init(&a, 4096, 0);
    pb_ws_PollActivityTaskQueueResponse *task;
    if (r->code != GRPC_OK) {
        fail(l, "poll", r);
        poll_again(p);
    } else if (PB_DECODE(&a, r->body, pb_ws_PollActivityTaskQueueResponse, &task) != ERR_NONE || str_is_empty(task->task_token)) {
        poll_again(p);
    } else {
        int64_t n = ++l->activity_tasks;
        if (n == l->f.activities / 10) l->fan_first = seconds();
        if (n == l->f.activities - l->f.activities / 10) l->fan_last = seconds();
        const pb_ws_RespondActivityTaskCompletedRequest q = {.task_token = task->task_token, .result = task->input, .identity = STR("load"), .namespace = STR("default")};
        call(p->client, pb_ws_RespondActivityTaskCompleted_method, &q, duration_s(30), responded, p);
    }
    arena_fini(&a);
}

static void poll_again(struct poller *p)
{
    if (p->load->is_over) return;
    pb_taskqueue_TaskQueue queue = {.name = str_of(p->queue), .kind = TASK_QUEUE_KIND_NORMAL};
    if (p->is_activity) {
        const pb_ws_PollActivityTaskQueueRequest q = {.namespace = STR("default"), .task_queue = &queue, .identity = STR("load")};
        call(p->client, pb_ws_PollActivityTaskQueue_method, &q, duration_s(70), got_activity_task, p);
    } else {
        const pb_ws_PollWorkflowTaskQueueRequest q = {.namespace = STR("default"), .task_queue = &queue, .identity = STR("load")};
        call(p->client, pb_ws_PollWorkflowTaskQueue_method, &q, duration_s(70), got_workflow_task, p);
    }
}

/* ---- the client ---- */

static void lane_next(struct lane *lane);
static void wait_again(struct lane *lane);

static void lane_finished(struct lane *lane)
{
    struct load *l = lane->load;
    l->latencies[l->latency_count++] = (seconds() - lane->begun) * 1000;
    if (++l->finished == l->f.workflows) over(l);
    else lane_next(lane);
}

static void got_history(void *arg, const struct grpc_response *r)
{
    struct lane *lane = arg;
    struct load *l = lane->load;
    if (l->is_over) return;
    if (r->code != GRPC_OK) {
        fail(l, "history", r);
        lane_finished(lane);
        return;
    }
    struct arena a;
    arena_init(&a, 8192, 0);
    pb_ws_GetWorkflowExecutionHistoryResponse *reply;
    err e = PB_DECODE(&a, r->body, pb_ws_GetWorkflowExecutionHistoryResponse, &reply);
    size_t n = e == ERR_NONE && reply->history != NULL ? reply->history->events_count : 0;
    if (n != 0) {
        if (reply->history->events[n - 1]->event_type != EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED) {
            l->errors++;
            snprintf(l->problem, sizeof l->problem, "%s closed with event type %d", lane->id, (int)reply->history->events[n - 1]->event_type);
        }
        lane_finished(lane);
    } else {
        wait_again(lane);
    }
    arena_fini(&a);
}

static void wait_again(struct lane *lane)
{
    pb_common_WorkflowExecution x = {.workflow_id = str_of(lane->id), .run_id = str_of(lane->run_id)};
    const pb_ws_GetWorkflowExecutionHistoryRequest q = {.namespace = STR("default"), .execution = &x, .wait_new_event = true, .skip_archival = true,
                                                        .history_event_filter_type = HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT};
    call(client_of(lane->load), pb_ws_GetWorkflowExecutionHistory_method, &q, duration_s(120), got_history, lane);
}

static void terminated(void *arg, const struct grpc_response *r)
{
    struct lane *lane = arg;
    struct load *l = lane->load;
    if (r->code != GRPC_OK) fail(l, "terminate", r);
    if (++l->finished == l->f.workflows) over(l);
    else lane_next(lane);
}

static void signal_next(struct lane *lane);

static void signalled(void *arg, const struct grpc_response *r)
{
    struct lane *lane = arg;
    struct load *l = lane->load;
    if (r->code != GRPC_OK) fail(l, "signal", r);
    if (l->is_over) return;
    l->latencies[l->latency_count++] = (seconds() - lane->begun) * 1000;
    signal_next(lane);
}

static void read_page(struct lane *lane);

static void signal_next(struct lane *lane)
{
    struct load *l = lane->load;
    pb_common_WorkflowExecution x = {.workflow_id = str_of(lane->id), .run_id = str_of(lane->run_id)};
    lane->begun = seconds();
    if (lane->signals_sent == l->f.signals && str_equal_c(l->f.scenario, "history")) {
        l->begun = seconds();
        read_page(lane);
        return;
    }
    if (lane->signals_sent == l->f.signals) {
        const pb_ws_TerminateWorkflowExecutionRequest q = {.namespace = STR("default"), .workflow_execution = &x};
        call(client_of(l), pb_ws_TerminateWorkflowExecution_method, &q, duration_s(30), terminated, lane);
        return;
    }
    struct arena a;
    arena_init(&a, 4096, 0);
    const pb_ws_SignalWorkflowExecutionRequest q = {.namespace = STR("default"), .workflow_execution = &x, .signal_name = STR("s"), .input = payloads(&a, l->f.payload),
                                                    .request_id = arena_printf(&a, "%s-%" PRId64, lane->id, lane->signals_sent++)};
    call(client_of(l), pb_ws_SignalWorkflowExecution_method, &q, duration_s(30), signalled, lane);
    arena_fini(&a);
}

static void got_page(void *arg, const struct grpc_response *r)
{
    struct lane *lane = arg;
    struct load *l = lane->load;
    struct arena a;
    arena_init(&a, 64 * 1024, 0);
    pb_ws_GetWorkflowExecutionHistoryResponse *reply;
    if (r->code != GRPC_OK || PB_DECODE(&a, r->body, pb_ws_GetWorkflowExecutionHistoryResponse, &reply) != ERR_NONE) {
        fail(l, "history", r);
        over(l);
    } else {
        l->fan_done += (int64_t)reply->history->events_count;
        free((char *)(uintptr_t)lane->token.data);
        lane->token = STR_EMPTY;
        if (str_is_empty(reply->next_page_token)) {
            if (l->fan_done < l->f.signals) l->errors++;
            over(l);
        } else {
            lane->token = (struct str){str_dup_c(reply->next_page_token), reply->next_page_token.size};
            read_page(lane);
        }
    }
    arena_fini(&a);
}

static void read_page(struct lane *lane)
{
    pb_common_WorkflowExecution x = {.workflow_id = str_of(lane->id), .run_id = str_of(lane->run_id)};
    const pb_ws_GetWorkflowExecutionHistoryRequest q = {.namespace = STR("default"), .execution = &x, .next_page_token = lane->token};
    call(client_of(lane->load), pb_ws_GetWorkflowExecutionHistory_method, &q, duration_s(30), got_page, lane);
}

static void started(void *arg, const struct grpc_response *r)
{
    struct lane *lane = arg;
    struct load *l = lane->load;
    if (l->is_over) return;
    struct arena a;
    arena_init(&a, 1024, 0);
    pb_ws_StartWorkflowExecutionResponse *reply;
    if (r->code != GRPC_OK || PB_DECODE(&a, r->body, pb_ws_StartWorkflowExecutionResponse, &reply) != ERR_NONE) {
        fail(l, "start", r);
        lane_finished(lane);
    } else {
        snprintf(lane->run_id, sizeof lane->run_id, "%.*s", STR_ARG(reply->run_id));
        if (str_equal_c(l->f.scenario, "signal") || str_equal_c(l->f.scenario, "history")) signal_next(lane);
        else if (str_equal_c(l->f.scenario, "open")) lane_next(lane);
        else wait_again(lane);
    }
    arena_fini(&a);
}

static void lane_next(struct lane *lane)
{
    struct load *l = lane->load;
    if (l->started == l->f.workflows) return;
    lane->number = ++l->started;
    lane->signals_sent = 0;
    snprintf(lane->id, sizeof lane->id, "%s-%" PRId64, l->queue, lane->number);
    struct arena a;
    arena_init(&a, 4096, 0);
    pb_common_WorkflowType type = {.name = STR("bench")};
    pb_taskqueue_TaskQueue queue = {.name = str_of(l->queue)};
    const pb_ws_StartWorkflowExecutionRequest q = {.namespace = STR("default"), .workflow_id = str_of(lane->id), .workflow_type = &type, .task_queue = &queue,
                                                   .input = payloads(&a, l->f.payload), .request_id = str_of(lane->id), .identity = STR("load"),
                                                   .workflow_execution_timeout = pb_duration_new(&a, duration_s(86400))};
    lane->begun = seconds();
    call(client_of(l), pb_ws_StartWorkflowExecution_method, &q, duration_s(30), started, lane);
    arena_fini(&a);
}

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }
static double part(const struct load *l, double p) { return l->latency_count != 0 ? l->latencies[(size_t)(p * (double)(l->latency_count - 1))] : 0; }

static struct timer hold_timer;
static struct load *hold_load;
static void hold_over(struct timer *timer UNUSED, instant now UNUSED) { over(hold_load); }

static void run(struct load *l)
{
    bool is_park = str_equal_c(l->f.scenario, "park"), is_signal = str_equal_c(l->f.scenario, "signal") || str_equal_c(l->f.scenario, "history");
    int64_t kinds = is_park || is_signal ? 1 : 2, pollers = is_signal ? 0 : l->f.pollers * kinds;
    struct poller *ps = xcalloc((size_t)pollers, sizeof *ps);
    for (int64_t i = 0; i < pollers; i++) {
        ps[i] = (struct poller){.load = l, .client = client_of(l), .is_activity = is_park || i % 2 == 1};
        if (is_park) snprintf(ps[i].queue, sizeof ps[i].queue, "%s-%" PRId64, l->queue, i % (l->f.queues > 0 ? l->f.queues : pollers));
        else snprintf(ps[i].queue, sizeof ps[i].queue, "%s", l->queue);
        poll_again(&ps[i]);
    }
    int64_t lanes = is_park ? 0 : l->f.concurrent < l->f.workflows ? l->f.concurrent : l->f.workflows;
    struct lane *ls = xcalloc((size_t)lanes, sizeof *ls);
    if (is_park) {
        hold_load = l;
        hold_timer.fire = hold_over;
        loop_timer_in(l->loop, &hold_timer, l->f.hold);
    }
    for (double until = seconds() + 0.2; !is_park && seconds() < until;) loop_run_once(l->loop, duration_ms(20)); /* polls are parked first */
    l->begun = seconds();
    for (int64_t i = 0; i < lanes; i++) {
        ls[i].load = l;
        lane_next(&ls[i]);
    }
    if (!l->is_over) loop_run(l->loop);
    double elapsed = seconds() - l->begun;
    qsort(l->latencies, l->latency_count, sizeof *l->latencies, by_value);
    printf("{\"scenario\":\"%.*s\",\"workflows\":%" PRId64 ",\"concurrent\":%" PRId64 ",\"seconds\":%.3f,\"per_s\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
           "\"workflow_tasks\":%" PRId64 ",\"activity_tasks\":%" PRId64 ",\"errors\":%" PRId64, STR_ARG(l->f.scenario), l->f.workflows, l->f.concurrent, elapsed,
           (double)l->f.workflows / elapsed, part(l, .5), part(l, .99), part(l, 1), l->workflow_tasks, l->activity_tasks, l->errors);
    if (is_signal) printf(",\"signals_per_s\":%.1f", (double)(l->f.workflows * l->f.signals) / elapsed);
    if (str_equal_c(l->f.scenario, "history")) printf(",\"events_read\":%" PRId64, l->fan_done);
    if (str_equal_c(l->f.scenario, "fan")) printf(",\"first_tenth_ms\":%.1f,\"last_tenth_ms\":%.1f", (l->fan_first - l->begun) * 1000, (l->begun + elapsed - l->fan_last) * 1000);
    if (l->problem[0] != '\0') {
        printf(",\"first_error\":\"");
        for (const char *c = l->problem; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\') putchar('\\');
            putchar(*c);
        }
        printf("\"");
    }
    printf("}\n");
    fflush(stdout);
    _exit(l->errors == 0 ? 0 : 1); /* calls still parked are cut with the process */
}

int main(int argc, char **argv)
{
    struct load l = {.f = {.address = STR("127.0.0.1:7233"), .scenario = STR("hello"), .workflows = 1000, .concurrent = 50, .pollers = 16, .activities = 1,
                           .signals = 100, .connections = 4, .payload = 64, .timer = {NS_PER_S}, .hold = {5 * NS_PER_S}}};
    const struct option_row rows[] = {
        {"address", 'a', OPTION_STRING, &l.f.address, "HOST:PORT", "the server", NULL},
        {"scenario", 's', OPTION_STRING, &l.f.scenario, "NAME", "hello, chain, fan, signal, timers, open, history or park", NULL},
        {"workflows", 'w', OPTION_INT, &l.f.workflows, "N", "workflows in all", NULL},
        {"concurrent", 'c', OPTION_INT, &l.f.concurrent, "N", "workflows in flight", NULL},
        {"pollers", 'p', OPTION_INT, &l.f.pollers, "N", "pollers of each kind", NULL},
        {"queues", 0, OPTION_INT, &l.f.queues, "N", "park: task queues the polls are spread over (as many as polls)", NULL},
        {"activities", 0, OPTION_INT, &l.f.activities, "N", "activities of a workflow", NULL},
        {"signals", 0, OPTION_INT, &l.f.signals, "N", "signals to a workflow", NULL},
        {"connections", 0, OPTION_INT, &l.f.connections, "N", "connections", NULL},
        {"payload", 0, OPTION_INT, &l.f.payload, "BYTES", "size of inputs and results", NULL},
        {"timer", 0, OPTION_DURATION, &l.f.timer, "DURATION", "length of a timer", NULL},
        {"hold", 0, OPTION_DURATION, &l.f.hold, "DURATION", "how long polls stay parked", NULL},
    };
    const struct command_help help = {"perdure-load [flags]", "Raw gRPC load on a server that speaks the Temporal API.", NULL};
    struct arena arena;
    struct option_strings words;
    bool wants_help;
    struct str problem;
    arena_init(&arena, 0, 0);
    if (!options_parse(rows, countof(rows), argc, argv, &arena, &words, &wants_help, &problem)) {
        fprintf(stderr, "%.*s\n", STR_ARG(problem));
        return 2;
    }
    if (wants_help) {
        options_print_help(&help, rows, countof(rows), 100);
        return 0;
    }
    l.loop = loop_create();
    l.latencies = xcalloc((size_t)(l.f.workflows * (l.f.signals + 1)), sizeof *l.latencies);
    l.clients = xcalloc((size_t)l.f.connections, sizeof(struct grpc_client *));
    snprintf(l.queue, sizeof l.queue, "load-%lld", (long long)time(NULL) * 1000 + getpid() % 1000);
    for (int64_t i = 0; i < l.f.connections; i++) {
        const struct grpc_client_options options = {.target = l.f.address, .in_flight_max = 1000000};
        struct error error = {0};
        if (grpc_client_create(&l.clients[i], l.loop, &options, &arena, &error) != ERR_NONE) {
            struct str words_ = error_message(&error);
            fprintf(stderr, "%.*s\n", STR_ARG(words_));
            return 2;
        }
    }
    run(&l);
}
