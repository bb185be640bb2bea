#include "frontend/callback_request.h"

#include "base/test.h"

TEST(f020_addresses)
{
    static const struct { const char *url, *host, *path, *destination; int port; bool is_tls; } rows[] = {
        {"http://a", "a", "/", "http://a:80", 80, false},
        {"https://a", "a", "/", "https://a:443", 443, true},
        {"http://a:8080/x/y?z=1", "a", "/x/y?z=1", "http://a:8080", 8080, false},
        {"http://a?z=1", "a", "/?z=1", "http://a:80", 80, false},
        {"http://a/x#part", "a", "/x", "http://a:80", 80, false},
        {"https://[::1]:9/", "::1", "/", "https://::1:9", 9, true},
        {"http://[fe80::1]", "fe80::1", "/", "http://fe80::1:80", 80, false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct arena arena;
        struct callback_address a;
        arena_init(&arena, 0, 0);
        test_row = rows[i].url;
        const char *problem = callback_address_parse(str_of(rows[i].url), &arena, &a);
        check(problem == NULL);
        if (problem == NULL) {
            check_str(a.host, rows[i].host);
            check_str(a.path, rows[i].path);
            check_str(a.destination, rows[i].destination);
            check_int(a.port, rows[i].port);
            check_int(a.is_tls, rows[i].is_tls);
        }
        arena_fini(&arena);
    }
}

TEST(f020_what_is_no_address)
{
    static const char *const urls[] = {"", "a", "ftp://a", "temporal://system", "http://", "http:///x", "http://:80/", "http://a:/", "http://a:0/", "http://a:65536/", "http://a:1x/",
                                       "http://user@a/", "http://a b/", "http://a\r\nX: y/", "http://[]/"};
    for (size_t i = 0; i < countof(urls); i++) {
        struct arena arena;
        struct callback_address a;
        arena_init(&arena, 0, 0);
        test_row = urls[i];
        check(callback_address_parse(str_of(urls[i]), &arena, &a) != NULL);
        arena_fini(&arena);
    }
}

TEST(f020_rules)
{
    static const struct { const char *pattern; bool is_insecure_allowed; const char *url; bool is_allowed; } rows[] = {
        {"*", true, "http://any.thing/", true},
        {"*", false, "http://any.thing/", false},
        {"*", false, "https://any.thing/", true},
        {"a.example:443", false, "https://a.example/", true},
        {"a.example:443", false, "https://a.example:444/", false},
        {"a.example", false, "https://A.EXAMPLE/", true},
        {"*.example", false, "https://a.b.example/", true},
        {"*.example", false, "https://example/", false},
        {"*.example", false, "https://a.example.evil/", false},
        {"a*e:*", true, "http://apple:1/", true},
        {"127.0.0.1:*", true, "http://127.0.0.1:8080/x", true},
        {"127.0.0.1", true, "http://127.0.0.1:8080/x", false},
    };
    const struct limits limits = limits_default();
    for (size_t i = 0; i < countof(rows); i++) {
        struct arena arena;
        arena_init(&arena, 0, 0);
        test_row = rows[i].url;
        const struct callback_rule rule = {str_of(rows[i].pattern), rows[i].is_insecure_allowed};
        pb_common_Callback_Nexus nexus = {.url = str_of(rows[i].url)};
        const pb_common_Callback callback = {.variant_case = pb_common_Callback_nexus_tag, .nexus = &nexus};
        check_int(callback_problem(&callback, &limits, &rule, 1, &arena) == NULL, rows[i].is_allowed);
        check(callback_problem(&callback, &limits, NULL, 0, &arena) != NULL);
        arena_fini(&arena);
    }
}

/* What the request's own lines say can not be changed by the headers of a callback. */
TEST(f020_headers)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    pb_common_Callback_Nexus nexus = {.url = STR("http://a/")};
    static const char *const headers[][2] = {{"X-Mine", "yes"}, {"Content-Length", "7"}, {"host", "b"}, {"Transfer-Encoding", "chunked"}, {"nexus-operation-state", "failed"}};
    for (size_t i = 0; i < countof(headers); i++) {
        pb_common_Callback_Nexus_HeaderEntry *entry = PB_PUSH_NEW(&arena, &nexus, header);
        entry->key = str_of(headers[i][0]);
        entry->value = str_of(headers[i][1]);
    }
    pb_common_Callback callback = {.variant_case = pb_common_Callback_nexus_tag, .nexus = &nexus};
    const struct callback_view view = {.callback = &callback, .delivery_id = STR("id"), .run_id = STR("run"), .started_at = {INT64_C(1700000000) * NS_PER_S}};
    pb_history_WorkflowExecutionCompletedEventAttributes completed = {0};
    const pb_history_HistoryEvent closing = {.event_type = EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
                                             .attributes_case = pb_history_HistoryEvent_workflow_execution_completed_event_attributes_tag,
                                             .workflow_execution_completed_event_attributes = &completed};
    struct outgoing request = {0};
    callback_request_make(&request, &view, &closing, STR("default"), STR("a/b c"), &arena);
    const char *const there[] = {"X-Mine: yes\r\n", "Nexus-Operation-State: succeeded\r\n", "Nexus-Request-Id: id\r\n", "Nexus-Operation-Start-Time: Tue, 14 Nov 2023 22:13:20 GMT\r\n",
                                 "<temporal:///namespaces/default/workflows/a%2Fb%20c/run/history?eventID=1"};
    for (size_t i = 0; i < countof(there); i++) {
        test_row = there[i];
        check(memmem(request.headers.data, request.headers.size, there[i], strlen(there[i])) != NULL);
    }
    const char *const not_there[] = {"Content-Length", "host", "Transfer-Encoding", "failed"};
    for (size_t i = 0; i < countof(not_there); i++) {
        test_row = not_there[i];
        check(memmem(request.headers.data, request.headers.size, not_there[i], strlen(not_there[i])) == NULL);
    }
    check_int(request.body.size, 0);
    arena_fini(&arena);
}

TEST_MAIN
