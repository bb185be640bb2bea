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

TEST_MAIN
