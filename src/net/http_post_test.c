#include "base/test.h"
#include "net/http_post.h"

/* body NULL: not whole yet, or (is_bad) not to be read. */
static const struct { const char *bytes; bool is_closed; const char *body; bool is_bad; } body_rows[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, "abc", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, NULL, false},
    {"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabcd", false, "abc", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, "", false},
    {"HTTP/1.0 404 Not Found\r\n\r\nwhat?", true, "what?", false},
    {"HTTP/1.0 404 Not Found\r\n\r\nwhat?", false, NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", false, "abcde", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", false, NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", false, NULL, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nab", false, NULL, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n0123456789abcde\r\nf\r\n0123456789abcde\r\n0\r\n\r\n", false, NULL, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n", false, NULL, true}, {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", false, NULL, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", false, NULL, true}, {"HTTP/1.1 200", false, NULL, false}, {"", true, NULL, false},
};

TEST(a_body_is_handed_over_when_it_is_whole)
{
    for (size_t i = 0; i < countof(body_rows); i++) {
        struct buf joined = {0};
        struct str body = STR_EMPTY;
        const char *why = NULL;
        bool is_whole = http_body_parse(str_of(body_rows[i].bytes), body_rows[i].is_closed, 20, &joined, &body, &why);
        check(is_whole == (body_rows[i].body != NULL));
        check((why != NULL) == body_rows[i].is_bad);
        if (is_whole && body_rows[i].body != NULL) check_str(body, body_rows[i].body);
        buf_fini(&joined);
    }
}

TEST_MAIN
