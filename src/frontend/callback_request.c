#include "frontend/callback_request.h"

#include "proto/pb_json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* ---- addresses ---- */

const char *callback_address_parse(struct str url, struct arena *arena, struct callback_address *a)
{
    struct str http = STR("http://"), https = STR("https://");
    a->is_tls = str_starts_with(url, https);
    if (!a->is_tls && !str_starts_with(url, http)) return "the URL of a callback begins with http:// or https://";
    for (size_t i = 0; i < url.size; i++)
        if ((unsigned char)url.data[i] <= ' ' || url.data[i] == 0x7f) return "the URL of a callback has characters that can not stand in one";
    struct str rest = str_skip(url, a->is_tls ? https.size : http.size);
    size_t end = 0;
    while (end < rest.size && strchr("/?#", rest.data[end]) == NULL) end++;
    struct str authority = {rest.data, end};
    a->path = str_skip(rest, end);
    const char *fragment = a->path.size != 0 ? memchr(a->path.data, '#', a->path.size) : NULL;
    if (fragment != NULL) a->path.size = (size_t)(fragment - a->path.data);
    if (a->path.size == 0 || a->path.data[0] != '/') a->path = arena_printf(arena, "/%.*s", STR_ARG(a->path));
    if (authority.size != 0 && memchr(authority.data, '@', authority.size) != NULL) return "the URL of a callback names no user";
    const char *close = authority.size != 0 && authority.data[0] == '[' ? memchr(authority.data, ']', authority.size) : NULL;
    size_t from = close != NULL ? (size_t)(close - authority.data) + 1 : 0;
    const char *colon = authority.size > from ? memchr(authority.data + from, ':', authority.size - from) : NULL;
    a->host = (struct str){authority.data, colon != NULL ? (size_t)(colon - authority.data) : authority.size};
    if (close != NULL) a->host = (struct str){authority.data + 1, from - 2};
    a->port = a->is_tls ? 443 : 80;
    if (colon != NULL) {
        struct str text = str_skip(authority, (size_t)(colon - authority.data) + 1);
        int64_t port = 0;
        for (size_t i = 0; i < text.size && port <= 65535; i++) port = text.data[i] >= '0' && text.data[i] <= '9' ? port * 10 + text.data[i] - '0' : 65536;
        if (text.size == 0 || port == 0 || port > 65535) return "the port in the URL of a callback is not a port";
        a->port = (int)port;
    }
    if (a->host.size == 0) return "the URL of a callback names no host";
    a->destination = arena_printf(arena, "%s://%.*s:%d", a->is_tls ? "https" : "http", STR_ARG(a->host), a->port);
    return NULL;
}

/* '*' stands for anything, also for nothing; case does not matter. */
static bool matches(struct str pattern, struct str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.size && strncasecmp(&pattern.data[p], &text.data[t], 1) == 0) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*') p++;
    return p == pattern.size;
}

static bool is_allowed(const struct callback_address *a, struct str url, const struct callback_rule *rules, size_t count, struct arena *arena)
{
    struct str with_port = arena_printf(arena, "%.*s:%d", STR_ARG(a->host), a->port);
    struct str as_written = str_skip(url, a->is_tls ? 8 : 7);
    size_t end = 0;
    while (end < as_written.size && strchr("/?#", as_written.data[end]) == NULL) end++;
    as_written.size = end;
    for (size_t i = 0; i < count; i++) {
        bool is_match = matches(rules[i].pattern, as_written) || matches(rules[i].pattern, with_port);
        if (is_match && (a->is_tls || rules[i].is_insecure_allowed)) return true;
    }
    return false;
}

static bool is_token(struct str name)
{
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool is_letter = (c | 32) >= 'a' && (c | 32) <= 'z', is_digit = c >= '0' && c <= '9';
        if (c == '\0' || (!is_letter && !is_digit && strchr("!#$%&'*+-.^_`|~", c) == NULL)) return false;
    }
    return name.size != 0;
}

static bool is_header_value(struct str value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

const char *callback_problem(const pb_common_Callback *callback, const struct limits *limits, const struct callback_rule *rules, size_t rule_count,
                             struct arena *arena)
{
    if (callback->variant_case != pb_common_Callback_nexus_tag || callback->nexus == NULL) return "a callback has an address for Nexus; other kinds can not be set";
    const pb_common_Callback_Nexus *nexus = callback->nexus;
    struct callback_address address;
    if ((int64_t)nexus->url.size > limits->callback_url_max) return "the URL of a callback is too long";
    const char *problem = callback_address_parse(nexus->url, arena, &address);
    if (problem != NULL) return problem;
    size_t size = 0;
    for (size_t i = 0; i < nexus->header_count; i++) {
        size += nexus->header[i]->key.size + nexus->header[i]->value.size;
        if (!is_token(nexus->header[i]->key) || !is_header_value(nexus->header[i]->value)) return "a header of a callback can not be sent over HTTP";
    }
    if ((int64_t)size > limits->callback_header_max) return "the headers of a callback are too long";
    if (is_allowed(&address, nexus->url, rules, rule_count, arena)) return NULL;
    return "the address of a callback is not allowed by component.callbacks.allowedAddresses, or only with TLS";
}

/* ---- what is said ---- */

static void put_header(struct buf *out, const char *name, struct str value) { buf_printf(out, "%s: %.*s\r\n", name, STR_ARG(value)); }

/* A segment of a path, percent-encoded. */
static void put_escaped(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_plain = ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("-_.~$&+:=@", c) != NULL);
        if (is_plain) buf_append_byte(out, c);
        else buf_printf(out, "%%%02X", c);
    }
}

/* Where the receiver finds the run: its first event. */
static void put_link(struct buf *out, struct str namespace_name, struct str workflow_id, struct str run_id)
{
    buf_printf(out, "Nexus-Link: <temporal:///namespaces/");
    put_escaped(out, namespace_name);
    buf_printf(out, "/workflows/");
    put_escaped(out, workflow_id);
    buf_printf(out, "/%.*s/history?eventID=1&eventType=WorkflowExecutionStarted&referenceType=EventReference>; "
                    "type=\"temporal.api.common.v1.Link.WorkflowEvent\"\r\n", STR_ARG(run_id));
}

static void put_start_time(struct buf *out, instant at)
{
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)(at.ns / NS_PER_S);
    gmtime_r(&seconds, &tm);
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour,
             tm.tm_min, tm.tm_sec);
    put_header(out, "Nexus-Operation-Start-Time", str_of(text));
}

static struct str metadata_of(const pb_common_Payload *payload, const char *key)
{
    for (size_t i = 0; i < payload->metadata_count; i++)
        if (str_equal_c(payload->metadata[i]->key, key)) return payload->metadata[i]->value;
    return STR_EMPTY;
}

/* A payload as content of HTTP: its encoding becomes a media type; one that has no such goes as a whole. */
static void put_payload(struct buf *headers, struct str *body, const pb_common_Payload *payload, struct arena *arena)
{
    if (payload == NULL) return;
    struct str encoding = metadata_of(payload, "encoding"), type = metadata_of(payload, "messageType");
    bool has_type = type.size != 0 && is_header_value(type) && memchr(type.data, '"', type.size) == NULL;
    *body = payload->data;
    if (str_equal_c(encoding, "json/plain")) put_header(headers, "Content-Type", STR("application/json"));
    else if (str_equal_c(encoding, "json/protobuf") && has_type) buf_printf(headers, "Content-Type: application/json; format=protobuf; message-type=\"%.*s\"\r\n", STR_ARG(type));
    else if (str_equal_c(encoding, "binary/protobuf") && has_type) buf_printf(headers, "Content-Type: application/x-protobuf; message-type=\"%.*s\"\r\n", STR_ARG(type));
    else if (str_equal_c(encoding, "binary/plain")) put_header(headers, "Content-Type", STR("application/octet-stream"));
    else if (str_equal_c(encoding, "binary/null")) *body = STR_EMPTY;
    else {
        put_header(headers, "Content-Type", STR("application/x-temporal-payload"));
        *body = PB_ENCODE_ARENA(pb_common_Payload, payload, arena);
    }
}

/* A failure as Nexus has it: the message, and the rest of ours as details. */
static struct str failure_body(const pb_failure_Failure *failure, struct arena *arena)
{
    struct buf text = {0};
    struct json_out w = {.out = &text};
    pb_failure_Failure rest = *failure;
    rest.message = STR_EMPTY;
    json_put_open(&w, '{');
    json_put_key(&w, STR("message"));
    json_put_string(&w, failure->message);
    json_put_key(&w, STR("metadata"));
    json_put_open(&w, '{');
    json_put_key(&w, STR("type"));
    json_put_string(&w, STR("temporal.api.failure.v1.Failure"));
    json_put_close(&w, '}');
    json_put_key(&w, STR("details"));
    size_t before = text.size;
    if (pb_json_put(&pb_failure_Failure_type, &rest, 0, &w) != ERR_NONE) { /* a time that JSON has no form for */
        text.size = before;
        json_put_raw(&w, STR("{}"));
    }
    json_put_close(&w, '}');
    struct str body = arena_str(arena, buf_view(&text));
    buf_fini(&text);
    return body;
}

static const pb_failure_Failure *failure_of(const pb_history_HistoryEvent *closing, struct arena *arena)
{
    pb_failure_Failure *failure = pb_new(arena, pb_failure_Failure);
    switch (closing->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: return closing->workflow_execution_failed_event_attributes->failure;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
        failure->message = STR("the workflow was canceled");
        failure->failure_info_case = pb_failure_Failure_canceled_failure_info_tag;
        failure->canceled_failure_info = pb_new(arena, pb_failure_CanceledFailureInfo);
        failure->canceled_failure_info->details = closing->workflow_execution_canceled_event_attributes->details;
        return failure;
    case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        failure->message = STR("the workflow was terminated");
        failure->failure_info_case = pb_failure_Failure_terminated_failure_info_tag;
        failure->terminated_failure_info = pb_new(arena, pb_failure_TerminatedFailureInfo);
        return failure;
    default:
        failure->message = STR("the workflow timed out");
        failure->failure_info_case = pb_failure_Failure_timeout_failure_info_tag;
        failure->timeout_failure_info = pb_new(arena, pb_failure_TimeoutFailureInfo);
        return failure;
    }
}

/* What the request line and its framing say is not for a callback's headers to change. */
static bool is_ours(struct str name)
{
    static const char *const names[] = {"host", "user-agent", "content-length", "transfer-encoding", "connection", "nexus-operation-state", "nexus-operation-start-time", "nexus-link",
                                        "nexus-request-id"};
    for (size_t i = 0; i < countof(names); i++)
        if (strlen(names[i]) == name.size && strncasecmp(names[i], name.data, name.size) == 0) return true;
    return strncasecmp(name.data, "content-", size_min(name.size, 8)) == 0 && name.size > 8;
}

void callback_request_make(struct outgoing *request, const struct callback_view *view, const pb_history_HistoryEvent *closing, struct str namespace_name,
                           struct str workflow_id, struct arena *arena)
{
    struct buf headers = {0};
    const pb_common_Callback_Nexus *nexus = view->callback->nexus;
    request->body = STR_EMPTY;
    put_header(&headers, "User-Agent", STR("perdure/" PERDURE_VERSION));
    for (size_t i = 0; i < nexus->header_count; i++)
        if (!is_ours(nexus->header[i]->key)) buf_printf(&headers, "%.*s: %.*s\r\n", STR_ARG(nexus->header[i]->key), STR_ARG(nexus->header[i]->value));
    put_link(&headers, namespace_name, workflow_id, view->run_id);
    put_start_time(&headers, view->started_at);
    put_header(&headers, "Nexus-Request-Id", view->delivery_id);
    if (closing->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED) {
        const pb_common_Payloads *result = closing->workflow_execution_completed_event_attributes->result;
        put_header(&headers, "Nexus-Operation-State", STR("succeeded"));
        put_payload(&headers, &request->body, result != NULL && result->payloads_count != 0 ? result->payloads[0] : NULL, arena);
    } else {
        bool is_canceled = closing->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED;
        put_header(&headers, "Nexus-Operation-State", is_canceled ? STR("canceled") : STR("failed"));
        put_header(&headers, "Content-Type", STR("application/json"));
        request->body = failure_body(failure_of(closing, arena), arena);
    }
    request->headers = arena_str(arena, buf_view(&headers));
    buf_fini(&headers);
}
