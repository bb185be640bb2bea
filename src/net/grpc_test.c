/* Client and server of this folder against each other: what a call can say and how it can end. */
#include "net/net_fixture.h"

#include "base/test.h"

static struct str repeat(struct arena *arena, char c, size_t size) { return str_make(memset(arena_alloc(arena, size), c, size), size); }

TEST(an_echo_comes_back)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    static const size_t sizes[] = {0, 1, 100, 16379, 16384, 65536, 1 << 20, 3 << 20, 4 << 20};
    for (size_t i = 0; i < countof(sizes); i++) {
        struct str body = repeat(&f->arena, 'a', sizes[i]);
        struct result *r = fixture_ask(f, "Echo", body);
        check_int(r->code, GRPC_OK);
        check(str_equal(r->body, body));
    }
    fixture_destroy(f);
}

TEST(many_calls_share_a_connection)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    for (int i = 0; i < 5000; i++) fixture_call(f, "Echo", STR("many"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->done_count == 5000));
    for (int i = 0; i < 5000; i++) check_str(f->results[i].body, "many");
    struct grpc_server_stats stats;
    grpc_server_stats(f->server, &stats);
    check_int(stats.accepted_total, 1);
    check_int(stats.call_count, 0);
    fixture_destroy(f);
}

TEST(a_failure_carries_message_and_details)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct result *r = fixture_ask(f, "Fail", STR("\x08\x05 details"));
    check_int(r->code, GRPC_NOT_FOUND);
    check_str(r->message, "no 100% \xc3\xbcnicode\nthing");
    check_str(r->details, "\x08\x05 details");
    r = fixture_ask(f, "Nowhere", STR("x"));
    check_int(r->code, GRPC_UNIMPLEMENTED);
    fixture_destroy(f);
}

TEST(metadata_travels_both_ways)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    const struct grpc_header defaults[] = {{STR("client-name"), STR("test")}, {STR("authorization"), STR("Bearer old")}};
    grpc_client_set_metadata(f->client, (struct grpc_metadata){defaults, 2});
    const struct grpc_header own[] = {{STR("authorization"), STR("Bearer new")}, {STR("token-bin"), STR("\x00\xff\x01!")}};
    struct grpc_request request = {.metadata = {own, 2}};
    struct result *r = fixture_call(f, "Headers", STR("x"), request, NULL);
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_OK);
    char expected[200];
    snprintf(expected, sizeof expected, "user-agent=perdure/" PERDURE_VERSION ";client-name=test;authorization=Bearer new;token-bin=AP8BIQ;token=");
    check(str_starts_with(r->body, str_of(expected)));
    check(memmem(r->body.data, r->body.size, "token=\x00", 6) != NULL);
    check_str(r->headers, "x-first=one;");
    check_str(r->trailers, "x-last=two;");
    fixture_destroy(f);
}

/* What is indexed, what is not, and what takes more than a frame, in one table of headers. */
TEST(metadata_arrives_whatever_was_sent_before)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    static const struct { size_t size; int64_t timeout_s; } rows[] = {
        {1, 0}, {1, 0}, {1, 30}, {1, 30}, {40000, 30}, {1, 30}, {1, 30}, {200, 30}, {200, 70}, {15000, 0}, {17000, 0}, {15000, 0}, {1, 70}, {0, 70}, {200, 30}};
    for (size_t i = 0; i < 3 * countof(rows); i++) {
        size_t size = rows[i % countof(rows)].size;
        if (i == 20) grpc_client_set_metadata(f->client, (struct grpc_metadata){(struct grpc_header[]){{STR("x-default"), STR("yes")}}, 1});
        const struct grpc_header own[] = {{STR("x-first"), repeat(&f->arena, 'a' + (char)(i % 3), size)}, {STR("x-last"), STR("end")}};
        struct grpc_request request = {.metadata = {own, size != 0 ? 2 : 0}, .timeout = duration_s(rows[i % countof(rows)].timeout_s)};
        struct result *r = fixture_call(f, "Headers", STR("x"), request, NULL);
        check(fixture_until(f, r->is_done));
        check_int(r->code, GRPC_OK);
        struct str expected = arena_printf(&f->arena, "user-agent=perdure/" PERDURE_VERSION ";%s", i >= 20 ? "x-default=yes;" : "");
        if (size != 0) expected = arena_printf(&f->arena, "%.*sx-first=%.*s;x-last=end;", STR_ARG(expected), STR_ARG(own[0].value));
        check(str_starts_with(r->body, expected) && str_starts_with(str_skip(r->body, expected.size), STR("token=;")));
    }
    fixture_destroy(f);
}

TEST(metadata_that_can_not_travel_is_refused)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    static const struct grpc_header bad[] = {{STR("Upper"), STR("x")}, {STR("line"), STR("a\nb")}, {STR("grpc-status"), STR("0")}, {STR(""), STR("x")}};
    for (size_t i = 0; i < countof(bad); i++) {
        struct grpc_request request = {.metadata = {&bad[i], 1}};
        struct result *r = fixture_call(f, "Echo", STR("x"), request, NULL);
        check(fixture_until(f, r->is_done));
        check_int(r->code, GRPC_INVALID_ARGUMENT);
        check(!r->was_sent);
    }
    fixture_destroy(f);
}

TEST(a_streamed_answer_arrives_message_by_message)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct str body = repeat(&f->arena, 's', 100000);
    struct result *r = fixture_ask(f, "Stream", body);
    check_int(r->code, GRPC_OK);
    check_int(r->message_count, 3);
    r = fixture_ask(f, "Stream", STR_EMPTY);
    check_int(r->message_count, 3);
    fixture_destroy(f);
}

TEST(a_streamed_answer_may_stay_open)
{
    struct fixture *f = fixture_create();
    f->server_options.reply_bytes_max = 1 << 20;
    fixture_start(f);
    struct grpc_client_call *call;
    struct result *ended = fixture_call(f, "Watch", STR("x"), (struct grpc_request){0}, NULL);
    struct result *failed = fixture_call(f, "Watch", STR("x"), (struct grpc_request){0}, NULL);
    struct result *cancelled = fixture_call(f, "Watch", STR("x"), (struct grpc_request){0}, &call);
    check(fixture_until(f, ended->message_count == 1 && failed->message_count == 1 && cancelled->message_count == 1));
    check_int(grpc_call_send(f->parked[0], "second", 6), ERR_NONE);
    check(fixture_until(f, ended->message_count == 2));
    check_str(ended->body, "second");
    check_int(grpc_call_send(f->parked[0], "third", 5), ERR_NONE);
    grpc_call_reply_end(f->parked[0]);
    grpc_call_fail(f->parked[1], GRPC_ABORTED, STR("enough"), STR_EMPTY);
    grpc_client_cancel(call);
    check(fixture_until(f, f->done_count == 3 && f->cancel_count == 1));
    check_int(ended->code, GRPC_OK);
    check_int(ended->message_count, 3);
    check_int(failed->code, GRPC_ABORTED);
    check_str(failed->message, "enough");
    check_int(cancelled->code, GRPC_CANCELLED);
    fixture_destroy(f);
}

TEST(a_streamed_answer_is_bounded)
{
    struct fixture *f = fixture_create();
    f->server_options.reply_bytes_max = 1 << 20;
    fixture_start(f);
    struct result *r = fixture_call(f, "Watch", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, r->message_count == 1));
    struct str body = repeat(&f->arena, 'w', 10000);
    int sent = 0;
    while (grpc_call_send(f->parked[0], body.data, body.size) == ERR_NONE) sent++; /* nobody turns the loop meanwhile */
    check_int(sent, 6); /* a sixteenth of the megabyte */
    check(fixture_until(f, r->message_count == 7));
    check_int(grpc_call_send(f->parked[0], body.data, body.size), ERR_NONE); /* there is room again */
    grpc_call_reply_end(f->parked[0]);
    check(fixture_until(f, r->is_done));
    check_int(r->message_count, 8);
    fixture_destroy(f);
}

TEST(gzip_works_both_ways)
{
    struct fixture *f = fixture_create();
    f->server_options.gzip_reply_size_min = 1000;
    fixture_start(f);
    struct str body = repeat(&f->arena, 'z', 1 << 20);
    struct result *r = fixture_call(f, "Echo", body, (struct grpc_request){.gzip = true}, NULL);
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_OK);
    check(str_equal(r->body, body));
    struct grpc_server_stats stats;
    grpc_server_stats(f->server, &stats);
    check(stats.received_bytes_total < 20000 && stats.sent_bytes_total < 20000);
    fixture_destroy(f);
}

TEST(messages_past_the_limit_are_refused)
{
    struct fixture *f = fixture_create();
    f->server_options.message_size_max = 1000;
    f->client_options.message_size_max = 500;
    fixture_start(f);
    check_int(fixture_ask(f, "Echo", repeat(&f->arena, 'x', 1001))->code, GRPC_RESOURCE_EXHAUSTED);
    check_int(fixture_ask(f, "Echo", repeat(&f->arena, 'x', 100000))->code, GRPC_RESOURCE_EXHAUSTED);
    check_int(fixture_ask(f, "Echo", repeat(&f->arena, 'x', 501))->code, GRPC_RESOURCE_EXHAUSTED);
    struct result *bomb = fixture_call(f, "Echo", repeat(&f->arena, 'x', 1 << 20), (struct grpc_request){.gzip = true}, NULL);
    check(fixture_until(f, bomb->is_done));
    check_int(bomb->code, GRPC_RESOURCE_EXHAUSTED);
    check_int(fixture_ask(f, "Echo", repeat(&f->arena, 'x', 500))->code, GRPC_OK);
    check_int(f->call_count, 2);
    fixture_destroy(f);
}

TEST(headers_past_the_limit_are_refused)
{
    struct fixture *f = fixture_create();
    f->server_options.header_size_max = 2000;
    fixture_start(f);
    const struct grpc_header big = {STR("big"), repeat(&f->arena, 'h', 3000)};
    struct result *r = fixture_call(f, "Echo", STR("x"), (struct grpc_request){.metadata = {&big, 1}}, NULL);
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_RESOURCE_EXHAUSTED);
    check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK);
    fixture_destroy(f);
}

TEST(a_deadline_ends_a_call_on_both_sides)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct result *r = fixture_call(f, "Park", STR("x"), (struct grpc_request){.timeout = duration_ms(50)}, NULL);
    check(fixture_until(f, r->is_done && f->deadline_count + f->cancel_count == 1));
    check_int(r->code, GRPC_DEADLINE_EXCEEDED);
    fixture_destroy(f);
}

/* The server's own clock ends a call whose client does not: this client keeps no timer, since the header is set by hand. */
TEST(a_handler_may_answer_at_its_deadline)
{
    struct fixture *f = fixture_create();
    f->answers_at_deadline = true;
    fixture_start(f);
    fixture_ask(f, "Echo", STR("warm"));
    struct result *r = fixture_call(f, "Park", STR("x"), (struct grpc_request){.timeout = duration_ms(100)}, NULL);
    check(fixture_until(f, f->parked_count == 1));
    check(grpc_call_has_deadline(f->parked[0]));
    check(fixture_until(f, r->is_done));
    check(r->code == GRPC_OK || r->code == GRPC_DEADLINE_EXCEEDED); /* two timers race for the same instant */
    check(fixture_until(f, f->deadline_count + f->cancel_count == 1)); /* where the client's won the server hears of it later */
    fixture_destroy(f);
}

TEST(a_cancelled_call_reaches_the_handler)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct grpc_client_call *call;
    struct result *r = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, &call);
    check(fixture_until(f, f->parked_count == 1));
    grpc_client_cancel(call);
    check(!r->is_done);
    check(fixture_until(f, r->is_done && f->cancel_count == 1));
    check_int(r->code, GRPC_CANCELLED);
    check_int(f->closed_count, 0);
    check_int(fixture_ask(f, "Echo", STR("x"))->code, GRPC_OK);
    fixture_destroy(f);
}

TEST(a_call_cancelled_at_once_is_never_sent)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct grpc_client_call *call;
    struct result *early = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, &call);
    grpc_client_cancel(call); /* not connected yet */
    check(fixture_until(f, early->is_done));
    check_int(early->code, GRPC_CANCELLED);
    fixture_ask(f, "Echo", STR("x"));
    struct result *queued = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, &call);
    grpc_client_cancel(call); /* connected, but not written yet */
    check(fixture_until(f, queued->is_done));
    check_int(queued->code, GRPC_CANCELLED);
    fixture_ask(f, "Echo", STR("x"));
    check_int(f->parked_count, 0);
    fixture_destroy(f);
}

TEST(a_closed_connection_cancels_its_calls)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    for (int i = 0; i < 3; i++) fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 3));
    uint64_t id = grpc_call_connection_id(f->parked[0]);
    grpc_client_destroy(f->client);
    f->client = NULL;
    check_int(f->done_count, 3);
    check_int(f->results[2].code, GRPC_CANCELLED);
    check(fixture_until(f, f->closed_count == 1));
    check_int(f->cancel_count, 3);
    check_int(f->closed_id, id);
    fixture_destroy(f);
}

TEST(a_lost_connection_fails_what_was_sent_and_is_remade)
{
    struct fixture *f = fixture_create();
    fixture_start(f);
    struct result *r = fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 1));
    grpc_server_close_connection(f->server, grpc_call_connection_id(f->parked[0]));
    check(fixture_until(f, r->is_done));
    check_int(r->code, GRPC_UNAVAILABLE);
    check(r->was_sent);
    check_int(fixture_ask(f, "Echo", STR("again"))->code, GRPC_OK);
    check_int(f->ready_count, 2);
    fixture_destroy(f);
}

TEST(ten_thousand_parked_calls_and_their_answers)
{
    struct fixture *f = fixture_create();
    f->client_options.in_flight_max = 10000;
    fixture_start(f);
    for (int i = 0; i < 10000; i++) fixture_call(f, "Park", STR("0123456789"), (struct grpc_request){.timeout = duration_s(60)}, NULL);
    check(fixture_until(f, f->parked_count == 10000));
    struct result *more = fixture_call(f, "Echo", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, more->is_done));
    check_int(more->code, GRPC_RESOURCE_EXHAUSTED);
    for (size_t i = 0; i < f->parked_count; i++) grpc_call_reply(f->parked[i], &i, sizeof i);
    check(fixture_until(f, f->done_count == 10001));
    for (size_t i = 0; i < 10000; i++) {
        size_t number;
        check(f->results[i].body.size == sizeof number);
        memcpy(&number, f->results[i].body.data, sizeof number);
        check(number == i);
    }
    fixture_destroy(f);
}

TEST(answers_that_nobody_takes_are_bounded)
{
    struct fixture *f = fixture_create();
    f->server_options.reply_bytes_max = 1 << 20;
    fixture_start(f);
    for (int i = 0; i < 10; i++) fixture_call(f, "Park", STR("x"), (struct grpc_request){0}, NULL);
    check(fixture_until(f, f->parked_count == 10));
    struct str body = repeat(&f->arena, 'r', 400000);
    for (int i = 0; i < 10; i++) grpc_call_reply(f->parked[i], body.data, body.size);
    check(fixture_until(f, f->done_count == 10));
    int ok = 0, refused = 0;
    for (int i = 0; i < 10; i++) ok += f->results[i].code == GRPC_OK, refused += f->results[i].code == GRPC_RESOURCE_EXHAUSTED;
    check_int(ok, 2);
    check_int(refused, 8);
    fixture_destroy(f);
}

TEST_MAIN
