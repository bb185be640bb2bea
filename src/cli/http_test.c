#include "base/test.h"
#include "cli/http.h"

static const struct { const char *text, *host, *path; int port; bool is_tls; } url_rows[] = {
    {"http://localhost:8081", "localhost", "/", 8081, false}, {"https://codec.example/a/b", "codec.example", "/a/b", 443, true},
    {"http://[::1]:80/x", "::1", "/x", 80, false}, {"https://[::1]", "::1", "/", 443, true},
    {"localhost:8081", NULL, NULL, 0, false}, {"http://", NULL, NULL, 0, false}, {"http://x:y", NULL, NULL, 0, false}, {"http://x:0", NULL, NULL, 0, false},
    {"http://x:70000", NULL, NULL, 0, false}, {"ftp://x", NULL, NULL, 0, false}, {"http://user@x", NULL, NULL, 0, false},
};

TEST(a_url_has_a_host_a_port_and_a_path)
{
    for (size_t i = 0; i < countof(url_rows); i++) {
        struct url url;
        bool is_url = url_parse(str_of(url_rows[i].text), &url);
        check(is_url == (url_rows[i].host != NULL));
        if (!is_url) continue;
        check_str(url.host, url_rows[i].host);
        check_str(url.path, url_rows[i].path);
        check(url.port == url_rows[i].port && url.is_tls == url_rows[i].is_tls);
    }
}

/* status 0: not whole yet; -1: no HTTP */
static const struct { const char *bytes; bool is_closed; int status; const char *body; } answer_rows[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, 200, "abc"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, 0, NULL},
    {"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabcd", false, 200, "abc"},
    {"HTTP/1.0 404 Not Found\r\n\r\nwhat?", true, 404, "what?"},
    {"HTTP/1.0 404 Not Found\r\n\r\nwhat?", false, 0, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", false, 200, "abcde"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", false, 0, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", false, -1, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nab", false, -1, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", false, -1, NULL},
    {"HTTP/1.1 yes\r\n\r\n", false, -1, NULL}, {"SSH-2.0-x\r\n\r\n", false, -1, NULL}, {"HTTP/1.1 200", false, 0, NULL}, {"", true, 0, NULL},
};

TEST(an_answer_is_read_when_it_is_whole)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    for (size_t i = 0; i < countof(answer_rows); i++) {
        struct str body = STR_EMPTY;
        const char *why = NULL;
        int status = 0;
        bool is_whole = http_answer_parse(str_of(answer_rows[i].bytes), answer_rows[i].is_closed, &arena, &status, &body, &why);
        check(is_whole == (answer_rows[i].status > 0));
        check((why != NULL) == (answer_rows[i].status < 0));
        if (is_whole) check(status == answer_rows[i].status);
        if (is_whole) check_str(body, answer_rows[i].body);
    }
    arena_fini(&arena);
}

TEST_MAIN
