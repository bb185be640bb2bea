/* How long the codec takes for three messages: (a) a start request with 1 KB of input, (b) a workflow task with a history
 * of 100 events, (c) a completion with five commands. Prints the median of some rounds, and of (b) the JSON writer, too. */
#include "proto/api.h"
#include "proto/pb_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 9 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static pb_common_Payload *add_field(struct arena *arena, pb_common_Memo *memo, const char *key)
{
    pb_common_Memo_FieldsEntry *entry = PB_PUSH_NEW(arena, memo, fields);
    entry->key = str_of(key);
    return entry->value = pb_payload_new(arena, STR("json/plain"), STR("\"some value\""));
}

static pb_common_Payloads *kilobyte(struct arena *arena)
{
    char *text = arena_alloc(arena, 1024);
    memset(text, 'x', 1024);
    return pb_payloads_of(arena, pb_payload_new(arena, STR("json/plain"), str_make(text, 1024)));
}

static void *start_request(struct arena *arena)
{
    pb_ws_StartWorkflowExecutionRequest *m = pb_new(arena, pb_ws_StartWorkflowExecutionRequest);
    m->namespace = STR("default");
    m->workflow_id = STR("order-4711-0123456789abcdef");
    m->request_id = STR("01234567-89ab-cdef-0123-456789abcdef");
    m->identity = STR("worker@host");
    m->workflow_type = pb_new(arena, pb_common_WorkflowType);
    m->workflow_type->name = STR("ProcessOrder");
    m->task_queue = pb_new(arena, pb_taskqueue_TaskQueue);
    m->task_queue->name = STR("orders");
    m->workflow_run_timeout = pb_duration_new(arena, duration_s(3600));
    m->input = kilobyte(arena);
    m->memo = pb_new(arena, pb_common_Memo);
    for (int i = 0; i < 4; i++) add_field(arena, m->memo, (const char *const[]){"customer", "region", "note", "origin"}[i]);
    return m;
}

static void *workflow_task(struct arena *arena)
{
    pb_ws_PollWorkflowTaskQueueResponse *m = pb_new(arena, pb_ws_PollWorkflowTaskQueueResponse);
    m->task_token = STR("0123456789abcdef0123456789abcdef");
    m->history = pb_new(arena, pb_history_History);
    for (int64_t id = 1; id <= 100; id++) {
        pb_history_HistoryEvent *e = PB_PUSH_NEW(arena, m->history, events);
        e->event_id = id;
        e->event_time = pb_timestamp_new(arena, (instant){INT64_C(1700000000123456789) + id});
        e->task_id = 1048576 + id;
        if (id % 2 == 0) {
            e->event_type = EVENT_TYPE_ACTIVITY_TASK_SCHEDULED;
            e->attributes_case = pb_history_HistoryEvent_activity_task_scheduled_event_attributes_tag;
            pb_history_ActivityTaskScheduledEventAttributes *a = pb_new(arena, pb_history_ActivityTaskScheduledEventAttributes);
            a->activity_id = STR("17");
            a->activity_type = pb_new(arena, pb_common_ActivityType);
            a->activity_type->name = STR("ChargeCard");
            a->input = pb_payloads_of(arena, pb_payload_new(arena, STR("json/plain"), STR("{\"amount\":12}")));
            a->start_to_close_timeout = pb_duration_new(arena, duration_s(10));
            a->workflow_task_completed_event_id = id - 1;
            e->activity_task_scheduled_event_attributes = a;
        } else {
            e->event_type = EVENT_TYPE_ACTIVITY_TASK_COMPLETED;
            e->attributes_case = pb_history_HistoryEvent_activity_task_completed_event_attributes_tag;
            pb_history_ActivityTaskCompletedEventAttributes *a = pb_new(arena, pb_history_ActivityTaskCompletedEventAttributes);
            a->result = pb_payloads_of(arena, pb_payload_new(arena, STR("json/plain"), STR("{\"ok\":true}")));
            a->scheduled_event_id = id - 1;
            a->identity = STR("worker@host");
            e->activity_task_completed_event_attributes = a;
        }
    }
    return m;
}

static void *completion(struct arena *arena)
{
    pb_ws_RespondWorkflowTaskCompletedRequest *m = pb_new(arena, pb_ws_RespondWorkflowTaskCompletedRequest);
    m->task_token = STR("0123456789abcdef0123456789abcdef");
    m->identity = STR("worker@host");
    for (int i = 0; i < 5; i++) {
        pb_command_Command *c = PB_PUSH_NEW(arena, m, commands);
        c->command_type = COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK;
        c->attributes_case = pb_command_Command_schedule_activity_task_command_attributes_tag;
        pb_command_ScheduleActivityTaskCommandAttributes *a = pb_new(arena, pb_command_ScheduleActivityTaskCommandAttributes);
        a->activity_id = STR("17");
        a->activity_type = pb_new(arena, pb_common_ActivityType);
        a->activity_type->name = STR("ChargeCard");
        a->input = pb_payloads_of(arena, pb_payload_new(arena, STR("json/plain"), STR("{\"amount\":12}")));
        a->schedule_to_close_timeout = pb_duration_new(arena, duration_s(60));
        c->schedule_activity_task_command_attributes = a;
    }
    return m;
}

enum operation { DECODE_COPY, DECODE_ALIAS, ENCODE, WRITE_JSON, READ_JSON };

static double measure(enum operation op, const struct pb_message *type, const void *msg, int runs)
{
    double times[ROUNDS];
    struct buf bytes = {0}, out = {0};
    pb_encode(type, msg, &bytes);
    struct buf text = {0};
    ensure(pb_json_write(type, msg, 0, &text) == ERR_NONE);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < runs; i++) {
            struct arena arena;
            void *read;
            err e = ERR_NONE;
            arena_init(&arena, 0, 0);
            buf_clear(&out);
            if (op == ENCODE) pb_encode(type, msg, &out);
            else if (op == WRITE_JSON) e = pb_json_write(type, msg, 0, &out);
            else if (op == READ_JSON) e = pb_json_read(type, buf_view(&text), 0, &arena, NULL, &read);
            else e = pb_decode(type, buf_view(&bytes), &arena, op == DECODE_ALIAS ? PB_ALIAS : PB_COPY, &read);
            ensure(e == ERR_NONE);
            arena_fini(&arena);
        }
        times[round] = (now_ns() - start) / runs;
    }
    qsort(times, ROUNDS, sizeof *times, by_value);
    buf_fini(&bytes);
    buf_fini(&text);
    buf_fini(&out);
    return times[ROUNDS / 2];
}

int main(void)
{
    static const char *const operations[] = {"decode, copying", "decode, aliasing", "encode", "to JSON", "from JSON"};
    struct arena arena;
    arena_init(&arena, 0, 0);
    const struct { const char *name; const struct pb_message *type; void *msg; int runs; } rows[] = {
        {"a start request", &pb_ws_StartWorkflowExecutionRequest_type, start_request(&arena), 20000},
        {"a task with 100 events", &pb_ws_PollWorkflowTaskQueueResponse_type, workflow_task(&arena), 1000},
        {"a completion", &pb_ws_RespondWorkflowTaskCompletedRequest_type, completion(&arena), 20000},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        printf("%s, %zu bytes\n", rows[i].name, pb_encoded_size(rows[i].type, rows[i].msg));
        for (int op = DECODE_COPY; op <= READ_JSON; op++) {
            int runs = op >= WRITE_JSON ? rows[i].runs / 10 : rows[i].runs;
            printf("  %-18s %9.0f ns\n", operations[op], measure((enum operation)op, rows[i].type, rows[i].msg, runs));
        }
    }
    arena_fini(&arena);
    return 0;
}
