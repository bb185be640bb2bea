#include "base/test.h"
#include "proto/api.h"
#include "proto/pb_json.h"

static struct arena arena;

/* Reads a text as the type and writes it again. */
static struct str again(const struct pb_message *type, const char *text, unsigned flags)
{
    struct error error = {0};
    struct buf out = {0};
    void *msg;
    err e = pb_json_read(type, str_of(text), flags, &arena, &error, &msg);
    if (e != ERR_NONE) return error_message(&error);
    if (pb_json_write(type, msg, flags, &out) != ERR_NONE) return STR("can not be written");
    struct str copy = arena_str(&arena, buf_view(&out));
    buf_fini(&out);
    return copy;
}

static const struct row { const char *name; const struct pb_message *type; unsigned flags; const char *in, *out; } rows[] = {
    {"fields by either name", &pb_common_WorkflowExecution_type, 0, " {\"workflow_id\" : \"a\", \"runId\":\"b\"} ", "{\"workflowId\":\"a\",\"runId\":\"b\"}"},
    {"names of the interface files", &pb_common_WorkflowExecution_type, PB_JSON_PROTO_NAMES, "{\"workflowId\":\"a\"}", "{\"workflow_id\":\"a\"}"},
    {"defaults on demand", &pb_common_WorkflowExecution_type, PB_JSON_DEFAULTS, "{}", "{\"workflowId\":\"\",\"runId\":\"\"}"},
    {"null is absent", &pb_common_WorkflowExecution_type, 0, "{\"workflowId\":null}", "{}"},
    {"pretty", &pb_common_WorkflowExecution_type, PB_JSON_PRETTY, "{\"workflowId\":\"a\",\"runId\":\"b\"}", "{\n  \"workflowId\": \"a\",\n  \"runId\": \"b\"\n}"},
    {"pretty and empty", &pb_common_WorkflowExecution_type, PB_JSON_PRETTY, "{}", "{}"},
    {"escapes", &pb_common_WorkflowExecution_type, 0, "{\"workflowId\":\"\\u00e4\\ud83d\\ude00\\/\\n\\u0001\"}", "{\"workflowId\":\"ä😀/\\n\\u0001\"}"},
    {"an enum's short name", &pb_history_HistoryEvent_type, 0, "{\"eventType\":\"WorkflowExecutionStarted\"}", "{\"eventType\":\"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED\"}"},
    {"an enum written short", &pb_history_HistoryEvent_type, PB_JSON_SHORT_ENUMS, "{\"eventType\":1}", "{\"eventType\":\"WorkflowExecutionStarted\"}"},
    {"an enum's unknown number", &pb_history_HistoryEvent_type, 0, "{\"eventType\":4711}", "{\"eventType\":4711}"},
    {"64 bits with and without quotes", &pb_history_HistoryEvent_type, 0, "{\"eventId\":9007199254740993,\"version\":\"1e2\"}", "{\"eventId\":\"9007199254740993\",\"version\":\"100\"}"},
    {"a time with an offset", &pb_history_HistoryEvent_type, 0, "{\"eventTime\":\"2024-02-29T01:00:00.5+02:00\"}", "{\"eventTime\":\"2024-02-28T23:00:00.500Z\"}"},
    {"the first time there is", &pb_google_Timestamp_type, 0, "\"0001-01-01T00:00:00Z\"", "\"0001-01-01T00:00:00Z\""},
    {"the last", &pb_google_Timestamp_type, 0, "\"9999-12-31T23:59:59.999999999Z\"", "\"9999-12-31T23:59:59.999999999Z\""},
    {"a negative span", &pb_google_Duration_type, 0, "\"-0.5s\"", "\"-0.500s\""},
    {"bytes in the other alphabet", &pb_common_Payload_type, 0, "{\"data\":\"_-8\"}", "{\"data\":\"/+8=\"}"},
    {"a mask", &pb_google_FieldMask_type, 0, "\"a.fooBar,b\"", "\"a.fooBar,b\""},
    {"free-form", &pb_google_Struct_type, 0, "{\"a\":[1,1.5,null,true,{\"b\":\"c\"}]}", "{\"a\":[1,1.5,null,true,{\"b\":\"c\"}]}"},
    {"packed", &pb_google_Any_type, 0, "{\"workflowId\":\"w\",\"@type\":\"t/temporal.api.common.v1.WorkflowExecution\"}", "{\"@type\":\"t/temporal.api.common.v1.WorkflowExecution\",\"workflowId\":\"w\"}"},
    {"packed, with a form of its own", &pb_google_Any_type, 0, "{\"@type\":\"t/google.protobuf.Duration\",\"value\":\"1s\"}", "{\"@type\":\"t/google.protobuf.Duration\",\"value\":\"1s\"}"},
    {"packed and not known", &pb_google_Any_type, 0, "{\"@type\":\"t/x.Y\",\"value\":\"AQI=\"}", "{\"@type\":\"t/x.Y\",\"value\":\"AQI=\"}"},
    {"ignoring", &pb_common_WorkflowExecution_type, PB_JSON_IGNORE_UNKNOWN, "{\"nope\":{\"a\":[1,\"]\"]},\"runId\":\"r\"}", "{\"runId\":\"r\"}"},
    {"ignoring an enum", &pb_history_HistoryEvent_type, PB_JSON_IGNORE_UNKNOWN, "{\"eventType\":\"Nope\",\"eventId\":\"1\"}", "{\"eventId\":\"1\"}"},
    {"shorthand", &pb_common_Payloads_type, PB_JSON_SHORTHAND, "[1, {\"a\" : [true]}, null, \"x\"]", "[1,{\"a\":[true]},null,\"x\"]"},
    {"shorthand, pretty", &pb_common_Payloads_type, PB_JSON_SHORTHAND | PB_JSON_PRETTY, "[{\"a\":1}]", "[\n  {\n    \"a\": 1\n  }\n]"},
    {"shorthand of a message", &pb_common_Payload_type, PB_JSON_SHORTHAND, "{\"x\":1,\"_protoMessageType\":\"a.B\"}", "{\"_protoMessageType\":\"a.B\",\"x\":1}"},
    {"no shorthand for other bytes", &pb_common_Payloads_type, PB_JSON_SHORTHAND, "[{\"metadata\":{\"encoding\":\"YmluYXJ5L3BsYWlu\"},\"data\":\"AA==\"}]", "[{\"metadata\":{\"encoding\":\"YmluYXJ5L3BsYWlu\"},\"data\":\"AA==\"}]"},
    {"a user's object with a key called data", &pb_common_Payload_type, PB_JSON_SHORTHAND, "{\"data\":1}", "{\"data\":1}"},
    /* refusals */
    {"an unknown field", &pb_common_WorkflowExecution_type, 0, "{\n  \"nope\": 1}", "JSON, line 2, column 10: temporal.api.common.v1.WorkflowExecution has no field nope"},
    {"an unknown enum name", &pb_history_HistoryEvent_type, 0, "{\"eventType\":\"Nope\"}", "JSON, line 1, column 20: temporal.api.enums.v1.EventType has no value Nope"},
    {"twice", &pb_common_WorkflowExecution_type, 0, "{\"runId\":\"a\",\"run_id\":\"b\"}", "JSON, line 1, column 23: runId is there twice"},
    {"two of a oneof", &pb_failure_Failure_type, 0, "{\"timeoutFailureInfo\":{},\"canceledFailureInfo\":{}}", "JSON, line 1, column 48: canceledFailureInfo excludes a field that is there"},
    {"a number out of range", &pb_google_Int32Value_type, 0, "2147483648", "JSON, line 1, column 11: not a whole number in range: 2147483648"},
    {"a fraction for a whole number", &pb_google_Int32Value_type, 0, "1.5", "JSON, line 1, column 4: not a whole number in range: 1.5"},
    {"cut off", &pb_common_WorkflowExecution_type, 0, "{\"runId\":\"a", "JSON, line 1, column 11: a string is cut off"},
    {"text behind", &pb_common_WorkflowExecution_type, 0, "{} x", "JSON, line 1, column 4: more text behind the value"},
    {"a comma too many", &pb_common_WorkflowExecution_type, 0, "{\"runId\":\"a\",}", "JSON, line 1, column 14: expected a name in quotes, not '}'"},
    {"half a surrogate pair", &pb_google_StringValue_type, 0, "\"\\ud800\"", "JSON, line 1, column 8: half of a surrogate pair"},
    {"a raw line break", &pb_google_StringValue_type, 0, "\"\n\"", "JSON, line 2, column 1: a control character in a string"},
    {"not UTF-8", &pb_google_StringValue_type, 0, "\"\xff\"", "JSON, line 1, column 3: a string that is not UTF-8"},
    {"a date that is none", &pb_google_Timestamp_type, 0, "\"2023-02-29T00:00:00Z\"", "JSON, line 1, column 23: not a time in RFC 3339: 2023-02-29T00:00:00Z"},
    {"base64 that is none", &pb_google_BytesValue_type, 0, "\"A\"", "JSON, line 1, column 4: not base64"},
    {"null in a list", &pb_common_Payloads_type, 0, "{\"payloads\":[null]}", "JSON, line 1, column 14: null in a list"},
    {"01", &pb_google_Int32Value_type, 0, "01", "JSON, line 1, column 1: expected a number, not '0'"},
};

TEST(texts_become_messages_and_texts_again)
{
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].name;
        arena_init(&arena, 0, 0);
        check_str(again(rows[i].type, rows[i].in, rows[i].flags), rows[i].out);
        arena_fini(&arena);
    }
}

TEST(nesting_is_bounded)
{
    arena_init(&arena, 0, 0);
    struct buf text = {0};
    for (int i = 0; i < 5000; i++) buf_append_str(&text, STR("{\"cause\":"));
    pb_failure_Failure *out;
    check_int(PB_JSON_READ(&arena, buf_view(&text), pb_failure_Failure, 0, NULL, &out), ERR_INVALID);
    buf_clear(&text);
    for (int i = 0; i < 100000; i++) buf_append_byte(&text, '[');
    pb_google_ListValue *list;
    check_int(PB_JSON_READ(&arena, buf_view(&text), pb_google_ListValue, 0, NULL, &list), ERR_INVALID);
    struct json_out w = {.out = &text};
    check(!json_put_json(&w, arena_str(&arena, buf_view(&text))));
    buf_fini(&text);
    arena_fini(&arena);
}

/* A message that JSON can nest is one that the binary form can nest, too. */
TEST(what_is_read_from_json_can_be_read_from_bytes)
{
    for (int depth = 20; depth < 60; depth++) {
        arena_init(&arena, 0, 0);
        struct buf text = {0};
        for (int i = 0; i < depth; i++) buf_append_str(&text, STR("{\"a\":"));
        buf_append_str(&text, STR("1"));
        for (int i = 0; i < depth; i++) buf_append_byte(&text, '}');
        pb_google_Struct *out, *back;
        if (PB_JSON_READ(&arena, buf_view(&text), pb_google_Struct, 0, NULL, &out) == ERR_NONE) {
            struct str bytes = PB_ENCODE_ARENA(pb_google_Struct, out, &arena);
            check(PB_DECODE(&arena, bytes, pb_google_Struct, &back) == ERR_NONE);
        } else {
            check(depth > 30);
        }
        buf_fini(&text);
        arena_fini(&arena);
    }
}

TEST(the_budget_holds)
{
    struct arena small;
    arena_init(&small, 0, 100000);
    struct buf text = {0};
    buf_append_str(&text, STR("{\"events\":["));
    for (int i = 0; i < 10000; i++) buf_append_str(&text, STR("{},"));
    buf_append_str(&text, STR("{}]}"));
    struct error error = {0};
    pb_history_History *out = NULL;
    check_int(PB_JSON_READ(&small, buf_view(&text), pb_history_History, 0, &error, &out), ERR_OVER_BUDGET);
    check(out == NULL && error.code == ERR_OVER_BUDGET && small.used <= 100000);
    buf_fini(&text);
    arena_fini(&small);
}

TEST(values_without_a_json_form_are_refused)
{
    struct buf out = {0};
    pb_google_Timestamp late = {.seconds = INT64_C(253402300800)};
    pb_google_Duration odd = {.seconds = 1, .nanos = -1};
    pb_google_Value unset = {0};
    struct str upper[] = {STR("fooBar")};
    pb_google_FieldMask mask = {.paths = upper, .paths_count = 1};
    check_int(pb_json_write(&pb_google_Timestamp_type, &late, 0, &out), ERR_INVALID);
    check_int(pb_json_write(&pb_google_Duration_type, &odd, 0, &out), ERR_INVALID);
    check_int(pb_json_write(&pb_google_Value_type, &unset, 0, &out), ERR_INVALID);
    check_int(pb_json_write(&pb_google_FieldMask_type, &mask, 0, &out), ERR_INVALID);
    buf_fini(&out);
}

TEST(packed_messages_inside_packed_messages_end_somewhere)
{
    arena_init(&arena, 0, 0);
    pb_google_Any *any = pb_new(&arena, pb_google_Any);
    for (int i = 0; i < 1000; i++) {
        pb_google_Any *outer = pb_new(&arena, pb_google_Any);
        outer->type_url = STR("t/google.protobuf.Any");
        outer->value = PB_ENCODE_ARENA(pb_google_Any, any, &arena);
        any = outer;
    }
    struct buf out = {0};
    check_int(pb_json_write(&pb_google_Any_type, any, 0, &out), ERR_NONE);
    buf_fini(&out);
    arena_fini(&arena);
}

TEST(numbers_are_spelled_as_short_as_they_can_be)
{
    static const struct { double value; const char *text; } numbers[] = {
        {0, "0"}, {1, "1"}, {-2, "-2"}, {0.1, "0.1"}, {1e300, "1e+300"}, {1.0 / 3, "0.3333333333333333"}, {5e-324, "4.94065645841247e-324"},
    };
    for (size_t i = 0; i < countof(numbers); i++) {
        struct buf out = {0};
        struct json_out w = {.out = &out};
        double back;
        json_put_double(&w, numbers[i].value);
        check_str(buf_view(&out), numbers[i].text);
        check(json_parse_double(buf_view(&out), &back) && back == numbers[i].value);
        buf_fini(&out);
    }
}

TEST_MAIN
