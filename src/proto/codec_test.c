#include "base/test.h"
#include "proto/api.h"
#include "proto/perdure/reflection.h"
#include "proto/wire.h"

static struct arena arena;

static pb_common_Payload *decode_payload(struct str bytes, err expected)
{
    pb_common_Payload *payload = NULL;
    check_int(PB_DECODE(&arena, bytes, pb_common_Payload, &payload), expected);
    return payload;
}

TEST(a_message_comes_back_as_it_was)
{
    arena_init(&arena, 0, 0);
    pb_ws_StartWorkflowExecutionRequest *m = pb_new(&arena, pb_ws_StartWorkflowExecutionRequest), *back;
    m->namespace = STR("default");
    m->workflow_id = STR("greeting-1");
    m->workflow_run_timeout = pb_duration_new(&arena, duration_ms(1500));
    m->input = pb_payloads_of(&arena, pb_payload_new(&arena, STR("json/plain"), STR("\"x\"")));
    struct buf bytes = {0};
    PB_ENCODE(pb_ws_StartWorkflowExecutionRequest, m, &bytes);
    check_int(bytes.size, PB_SIZE(pb_ws_StartWorkflowExecutionRequest, m));
    check(PB_DECODE_ALIAS(&arena, buf_view(&bytes), pb_ws_StartWorkflowExecutionRequest, &back) == ERR_NONE);
    check(PB_EQUAL(pb_ws_StartWorkflowExecutionRequest, m, back));
    check(back->workflow_id.data > bytes.data && back->workflow_id.data < bytes.data + bytes.size); /* aliased */
    check_int(pb_duration(back->workflow_run_timeout).ns, 1500 * NS_PER_MS);
    check_str(pb_payload_metadata(back->input->payloads[0], STR("encoding")), "json/plain");
    back->input->payloads[0]->data = STR("\"y\"");
    check(!PB_EQUAL(pb_ws_StartWorkflowExecutionRequest, m, back));
    buf_fini(&bytes);
    arena_fini(&arena);
}

static const struct bytes_row { const char *name; struct str bytes; err expected; } bytes_rows[] = {
    {"nothing is the empty message", {"", 0}, ERR_NONE},
    {"a field that is not known", {"\x78\x01", 2}, ERR_NONE},
    {"data as a number stays unknown", {"\x10\x05", 2}, ERR_NONE},
    {"a tag without a value", {"\x12", 1}, ERR_INVALID},
    {"a size past the end", {"\x12\x05x", 3}, ERR_INVALID},
    {"a size that would wrap", {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 12}, ERR_INVALID},
    {"a varint of eleven bytes", {"\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, ERR_INVALID},
    {"field number 0", {"\x02\x00", 2}, ERR_INVALID},
    {"wire type 7", {"\x0f", 1}, ERR_INVALID},
    {"a group that ends", {"\x7b\x10\x01\x7c", 4}, ERR_NONE},
    {"a group that ends as another one", {"\x7b\x74", 2}, ERR_INVALID},
    {"a group that does not end", {"\x7b\x10\x01", 3}, ERR_INVALID},
    {"the end of no group", {"\x7c", 1}, ERR_INVALID},
    {"a key that is not UTF-8", {"\x0a\x03\x0a\x01\xff", 5}, ERR_INVALID},
    {"a key of half a surrogate pair", {"\x0a\x05\x0a\x03\xed\xa0\x80", 7}, ERR_INVALID},
    {"a key spelled longer than needed", {"\x0a\x04\x0a\x02\xc0\xaf", 6}, ERR_INVALID},
    {"a key past U+10FFFF", {"\x0a\x06\x0a\x04\xf4\x90\x80\x80", 8}, ERR_INVALID},
    {"a cut off character", {"\x0a\x04\x0a\x02\xe2\x82", 6}, ERR_INVALID},
    {"data need not be text", {"\x12\x01\xff", 3}, ERR_NONE},
};

TEST(bytes_are_taken_or_refused_whole)
{
    for (size_t i = 0; i < countof(bytes_rows); i++) {
        test_row = bytes_rows[i].name;
        arena_init(&arena, 0, 0);
        (void)decode_payload(bytes_rows[i].bytes, bytes_rows[i].expected);
        arena_fini(&arena);
    }
}

TEST(every_cut_of_a_message_is_survived)
{
    arena_init(&arena, 0, 0);
    pb_common_Payload *payload = pb_payload_new(&arena, STR("json/plain"), STR("12345678"));
    struct str whole = PB_ENCODE_ARENA(pb_common_Payload, payload, &arena);
    for (size_t size = 0; size < whole.size; size++) {
        struct arena own;
        arena_init(&own, 0, 0);
        char *exact = xmalloc(size != 0 ? size : 1); /* so that a sanitizer sees a read past the end */
        memcpy(exact, whole.data, size);
        pb_common_Payload *out;
        err e = PB_DECODE_ALIAS(&own, str_make(exact, size), pb_common_Payload, &out);
        check(e == ERR_INVALID || pb_payload_metadata(out, STR("encoding")).size == 10 || size == 0);
        free(exact);
        arena_fini(&own);
    }
    arena_fini(&arena);
}

static struct str nested_failures(int depth)
{
    struct str inner = STR_EMPTY;
    for (int i = 0; i < depth; i++) {
        struct buf outer = {0};
        pb_append_field(&outer, 4, inner); /* temporal.api.failure.v1.Failure.cause */
        inner = arena_str(&arena, buf_view(&outer));
        buf_fini(&outer);
    }
    return inner;
}

TEST(nesting_is_bounded)
{
    arena_init(&arena, 0, 0);
    pb_failure_Failure *out;
    check_int(PB_DECODE(&arena, nested_failures(PB_DEPTH_MAX), pb_failure_Failure, &out), ERR_NONE);
    check_int(PB_DECODE(&arena, nested_failures(PB_DEPTH_MAX + 1), pb_failure_Failure, &out), ERR_INVALID);
    char groups[4000];
    memset(groups, 0x7b, sizeof groups);
    check_int(PB_DECODE(&arena, str_make(groups, sizeof groups), pb_failure_Failure, &out), ERR_INVALID);
    arena_fini(&arena);
}

TEST(the_budget_holds_against_messages_that_swell)
{
    struct arena small;
    arena_init(&small, 0, 1 << 20);
    char bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i += 2) memcpy(bytes + i, "\x0a\x00", 2); /* ten thousand empty events */
    pb_history_History *out = NULL;
    check_int(PB_DECODE(&small, str_make(bytes, sizeof bytes), pb_history_History, &out), ERR_OVER_BUDGET);
    check(out == NULL && small.used <= 1 << 20);
    arena_fini(&small);
}

TEST(unknown_fields_survive)
{
    arena_init(&arena, 0, 0);
    /* data, unknown 15, data again (the last counts), unknown 14 */
    struct str bytes = STR("\x12\x01\x61\x78\x07\x12\x01\x62\x72\x02hi");
    pb_common_Payload *payload = decode_payload(bytes, ERR_NONE), *copy = PB_CLONE(&arena, pb_common_Payload, payload);
    check_str(payload->data, "b");
    check(str_equal(PB_ENCODE_ARENA(pb_common_Payload, copy, &arena), STR("\x12\x01\x62\x78\x07\x72\x02hi")));
    struct str found;
    check(pb_raw_field(payload->unknown_, 14, &found));
    check_str(found, "hi");
    check(!pb_raw_field(payload->unknown_, 15, &found)); /* not length-delimited */
    check(!pb_raw_field(STR("\x72\x05hi"), 14, &found));
    arena_fini(&arena);
}

/* The fields named, and no others: what is left out may be anything of its wire type, what is read may not. */
TEST(fields_that_nobody_reads_are_left_out)
{
    static const struct pb_unread unread[] = {{&pb_common_Payload_type, 1u << 2}, {&pb_common_WorkflowType_type, UINT64_MAX}, {&pb_common_Payloads_type, 0}};
    struct arena arena;
    struct buf bytes = {0};
    arena_init(&arena, 0, 0);
    pb_common_WorkflowType type = {.name = STR("\xff is no text")};
    pb_taskqueue_TaskQueue queue = {.name = STR("q"), .kind = 1};
    pb_common_Payload payload = {.data = STR("left out")}, *payloads[] = {&payload};
    pb_common_Payloads input = {.payloads = payloads, .payloads_count = 1};
    pb_ws_StartWorkflowExecutionRequest request = {.namespace = STR("n"), .workflow_type = &type, .task_queue = &queue, .input = &input}, *back;
    PB_ENCODE(pb_ws_StartWorkflowExecutionRequest, &request, &bytes);
    buf_append(&bytes, "\xfa\x7f\x01u", 4); /* an unknown field */
    check(PB_DECODE_ALIAS(&arena, buf_view(&bytes), pb_ws_StartWorkflowExecutionRequest, &back) == ERR_INVALID);
    check(pb_decode_partly(&pb_ws_StartWorkflowExecutionRequest_type, buf_view(&bytes), &arena, unread, countof(unread), (void **)&back) == ERR_NONE);
    check_str(back->namespace, "n");
    check(back->workflow_type != NULL && back->workflow_type->name.size == 0);
    check_str(back->task_queue->name, "q");
    check(back->input->payloads_count == 1 && back->input->payloads[0]->data.size == 0);
    check_int(back->unknown_.size, 4);
    for (size_t cut = 1; cut < bytes.size; cut++) { /* cut off inside of it or not: no read beyond */
        char *exact = memcpy(xmalloc(cut), bytes.data, cut);
        (void)!pb_decode_partly(&pb_ws_StartWorkflowExecutionRequest_type, str_make(exact, cut), &arena, unread, countof(unread), (void **)&back);
        free(exact);
    }
    static const struct pb_unread names[] = {{&pb_ws_StartWorkflowExecutionRequest_type, 1u << 3 | UINT64_C(1) << 1}};
    check(pb_decode_partly(&pb_ws_StartWorkflowExecutionRequest_type, STR("\x0a\x05n"), &arena, names, 1, (void **)&back) == ERR_INVALID);
    buf_fini(&bytes);
    arena_fini(&arena);
}

TEST(stored_events_are_spliced_in_without_decoding)
{
    arena_init(&arena, 0, 0);
    struct buf stored = {0};
    for (int64_t id = 1; id <= 2; id++) { /* two rows, each a History of one event */
        pb_history_History *row = pb_new(&arena, pb_history_History);
        PB_PUSH_NEW(&arena, row, events)->event_id = id;
        PB_ENCODE(pb_history_History, row, &stored);
    }
    pb_ws_GetWorkflowExecutionHistoryResponse *answer = pb_new(&arena, pb_ws_GetWorkflowExecutionHistoryResponse), *read;
    answer->history = pb_new(&arena, pb_history_History);
    answer->history->unknown_ = buf_view(&stored);
    struct str bytes = PB_ENCODE_ARENA(pb_ws_GetWorkflowExecutionHistoryResponse, answer, &arena);
    check(PB_DECODE(&arena, bytes, pb_ws_GetWorkflowExecutionHistoryResponse, &read) == ERR_NONE);
    check_int(read->history->events_count, 2);
    check_int(read->history->events[1]->event_id, 2);
    buf_fini(&stored);
    arena_fini(&arena);
}

TEST(a_oneof_holds_what_came_last)
{
    arena_init(&arena, 0, 0);
    pb_reflection_Question *q;
    struct str bytes = STR("\x1a\x01\x61\x22\x01\x62"); /* file_by_name "a", then file_containing_symbol "b" */
    check(PB_DECODE(&arena, bytes, pb_reflection_Question, &q) == ERR_NONE);
    check_int(q->ask_case, pb_reflection_Question_file_containing_symbol_tag);
    check_str(q->file_containing_symbol, "b");
    q->ask_case = pb_reflection_Question_list_services_tag; /* written although empty */
    q->list_services = STR_EMPTY;
    check(str_equal(PB_ENCODE_ARENA(pb_reflection_Question, q, &arena), STR("\x3a\x00")));
    arena_fini(&arena);
}

TEST(lists_of_numbers_are_read_packed_and_plain)
{
    arena_init(&arena, 0, 0);
    pb_reflection_ExtensionNumbers *n;
    struct str bytes = STR("\x10\x01\x12\x03\x02\x80\x01\x10\x04");
    check(PB_DECODE(&arena, bytes, pb_reflection_ExtensionNumbers, &n) == ERR_NONE);
    check_int(n->numbers_count, 4);
    check_int(n->numbers[2], 128);
    check_int(n->numbers[3], 4);
    check(str_equal(PB_ENCODE_ARENA(pb_reflection_ExtensionNumbers, n, &arena), STR("\x12\x05\x01\x02\x80\x01\x04")));
    check_int(PB_DECODE(&arena, STR("\x12\x02\x01\x80"), pb_reflection_ExtensionNumbers, &n), ERR_INVALID);
    arena_fini(&arena);
}

TEST(merging_lays_one_message_over_the_other)
{
    arena_init(&arena, 0, 0);
    pb_common_Memo *a = pb_new(&arena, pb_common_Memo), *b = pb_new(&arena, pb_common_Memo);
    const char *keys[] = {"x", "y", "y", "z"};
    for (int i = 0; i < 4; i++) {
        pb_common_Memo_FieldsEntry *entry = PB_PUSH_NEW(&arena, i < 2 ? a : b, fields);
        entry->key = str_of(keys[i]);
        entry->value = pb_payload_new(&arena, STR("json/plain"), i < 2 ? STR("old") : STR("new"));
    }
    pb_merge(&pb_common_Memo_type, a, b, &arena);
    check_int(a->fields_count, 3);
    check_str(a->fields[0]->value->data, "old");
    check_str(a->fields[1]->value->data, "new");
    check_int(a->fields[1]->value->metadata_count, 1);
    check_str(a->fields[2]->key, "z");
    arena_fini(&arena);
}

TEST(maps_are_equal_in_any_order)
{
    arena_init(&arena, 0, 0);
    pb_common_Header *a = pb_new(&arena, pb_common_Header), *b = pb_new(&arena, pb_common_Header);
    for (int i = 0; i < 2; i++) {
        PB_PUSH_NEW(&arena, a, fields)->key = i == 0 ? STR("x") : STR("y");
        PB_PUSH_NEW(&arena, b, fields)->key = i == 0 ? STR("y") : STR("x");
    }
    check(PB_EQUAL(pb_common_Header, a, b));
    b->fields[0]->value = pb_new(&arena, pb_common_Payload);
    check(!PB_EQUAL(pb_common_Header, a, b)); /* absent is not empty */
    arena_fini(&arena);
}

TEST(pushing_leaves_a_borrowed_array_alone)
{
    arena_init(&arena, 0, 0);
    struct str names[] = {STR("a"), STR("b")};
    pb_google_FieldMask mask = {.paths = names, .paths_count = 2};
    PB_PUSH(&arena, &mask, paths) = STR("c");
    check_int(mask.paths_count, 3);
    check(mask.paths != names);
    check_str(mask.paths[1], "b");
    PB_SET_ARRAY(&mask, paths, names, 1);
    PB_PUSH(&arena, &mask, paths) = STR("d");
    check_str(names[1], "b");
    arena_fini(&arena);
}

TEST(times_convert_both_ways)
{
    static const int64_t rows[] = {1, -1, 1500000000, -1500000000, INT64_C(1700000000123456789), -NS_PER_S};
    arena_init(&arena, 0, 0);
    for (size_t i = 0; i < countof(rows); i++) {
        pb_google_Timestamp *t = pb_timestamp_new(&arena, (instant){rows[i]});
        check(t->nanos >= 0 && pb_instant(t).ns == rows[i]);
        check_int(pb_duration(pb_duration_new(&arena, (duration){rows[i]})).ns, rows[i]);
    }
    check(pb_timestamp_new(&arena, (instant){0}) == NULL && pb_instant(NULL).ns == 0);
    check_int(pb_instant(&(pb_google_Timestamp){.seconds = INT64_MAX}).ns, INT64_MAX);
    check_int(pb_duration(&(pb_google_Duration){.seconds = INT64_MIN}).ns, INT64_MIN);
    check(!pb_duration_is_valid(&(pb_google_Duration){.seconds = 1, .nanos = -1}));
    check(!pb_duration_is_valid(&(pb_google_Duration){.seconds = INT64_C(315576000001)}));
    check(pb_duration_is_valid(&(pb_google_Duration){.seconds = -1, .nanos = -5}));
    arena_fini(&arena);
}

TEST(methods_enums_and_files_are_found_by_name)
{
    arena_init(&arena, 0, 0);
    const struct pb_method *m = pb_method_find(STR("/temporal.api.workflowservice.v1.WorkflowService/ListNamespaces"));
    check(m != NULL && pb_method_index(m) == pb_ws_ListNamespaces_method);
    check(m != NULL && pb_method_request(m) == &pb_ws_ListNamespacesRequest_type && pb_method_response(m) == &pb_ws_ListNamespacesResponse_type);
    check(m != NULL && m->rule_count > 0);
    check_str(pb_name(pb_http_rules[pb_methods[pb_ws_ListNamespaces_method].rule_first].verb), "GET");
    check(pb_methods[pb_health_Watch_method].is_server_streaming && !pb_methods[pb_health_Check_method].is_server_streaming);
    static const char *const none[] = {"", "/", "//", "ListNamespaces", "/temporal.api.workflowservice.v1.WorkflowService/",
                                       "/temporal.api.operatorservice.v1.OperatorService/ListNamespaces"};
    for (size_t i = 0; i < countof(none); i++) check(pb_method_find(str_of(none[i])) == NULL);
    for (size_t i = 0; i < pb_method_count; i++) {
        struct str path = arena_printf(&arena, "/%.*s/%.*s", STR_ARG(pb_method_service(&pb_methods[i])), STR_ARG(pb_method_name(&pb_methods[i])));
        check(pb_method_find(path) == &pb_methods[i]);
    }
    int32_t number;
    const struct pb_enum *events = &pb_enums_EventType_enum;
    check_str(pb_enum_name(events, EVENT_TYPE_TIMER_FIRED), "EVENT_TYPE_TIMER_FIRED");
    check_str(pb_enum_short_name(events, EVENT_TYPE_TIMER_FIRED, &arena), "TimerFired");
    static const char *const spellings[] = {"EVENT_TYPE_TIMER_FIRED", "TimerFired", "TIMER_FIRED", "event_type_timer_fired"};
    for (size_t i = 0; i < countof(spellings); i++) check(pb_enum_number(events, str_of(spellings[i]), &number) && number == EVENT_TYPE_TIMER_FIRED);
    check(!pb_enum_number(events, STR("TimerFire"), &number) && !pb_enum_number(events, STR_EMPTY, &number));
    check(str_is_empty(pb_enum_name(events, 9999)));
    arena_fini(&arena);
}

TEST(reflection_finds_files_but_not_our_stored_formats)
{
    static const char *const symbols[] = {
        "temporal.api.common.v1.Payload", "temporal.api.common.v1.Payload.data", "temporal.api.enums.v1.EventType",
        "temporal.api.workflowservice.v1.WorkflowService", "temporal.api.workflowservice.v1.WorkflowService.ListNamespaces",
    };
    arena_init(&arena, 0, 0);
    for (size_t i = 0; i < countof(symbols); i++) {
        int file = pb_file_of_symbol(str_of(symbols[i]));
        struct str bytes, name;
        check(file >= 0 && pb_file_descriptor(file, &arena, &bytes) == ERR_NONE);
        check(file >= 0 && pb_raw_field(bytes, 1, &name) && pb_file_find(name) == file);
    }
    check_int(pb_file_of_symbol(STR("perdure.reflection.v1.Question")), -1);
    check_int(pb_file_of_symbol(STR("temporal.api.common.v1.Payload.nothing")), -1);
    check_int(pb_file_find(STR("perdure/reflection.proto")), -1);
    check_int(pb_file_descriptor(-1, &arena, &(struct str){0}), ERR_NOT_FOUND);
    arena_fini(&arena);
}

TEST_MAIN
