#include "net/grpc_wire.h"

#include "base/prng.h"
#include "base/test.h"

TEST(timeouts_are_read)
{
    static const struct { const char *text; bool ok; int64_t ns; } rows[] = {
        {"1n", true, 1}, {"1u", true, 1000}, {"100m", true, 100 * NS_PER_MS}, {"30S", true, 30 * NS_PER_S}, {"2M", true, 120 * NS_PER_S},
        {"1H", true, 3600 * NS_PER_S}, {"00000001S", true, NS_PER_S}, {"0n", true, 0},
        {"99999999H", true, INT64_C(100) * 366 * 86400 * NS_PER_S}, {"", false, 0}, {"S", false, 0}, {"1", false, 0}, {"1s", false, 0},
        {"-1S", false, 0}, {"+1S", false, 0}, {" 1S", false, 0}, {"1S ", false, 0}, {"123456789S", false, 0}, {"1.5S", false, 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].text;
        duration got = {-1};
        check(grpc_timeout_parse(str_of(rows[i].text), &got) == rows[i].ok);
        check_int(got.ns, rows[i].ok ? rows[i].ns : -1);
    }
}

TEST(timeouts_are_written_rounded_up)
{
    static const struct { int64_t ns; const char *text; } rows[] = {
        {-5, "0n"}, {0, "0n"}, {1, "1n"}, {99999999, "99999999n"}, {100000000, "100000u"}, {100000001, "100001u"},
        {30 * NS_PER_S, "30000000u"}, {100 * NS_PER_S, "100000m"}, {INT64_C(100) * 366 * 86400 * NS_PER_S, "52704000M"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].text;
        char text[GRPC_TIMEOUT_SIZE];
        check_str(grpc_timeout_format((duration){rows[i].ns}, text), rows[i].text);
    }
}

TEST(a_written_timeout_is_read_as_no_shorter)
{
    struct prng prng;
    prng_init(&prng, 1);
    for (int i = 0; i < 100000; i++) {
        duration d = {(int64_t)(prng_next(&prng) >> (1 + prng_below(&prng, 63))) % DURATION_MAX.ns}, back;
        char text[GRPC_TIMEOUT_SIZE];
        check(grpc_timeout_parse(grpc_timeout_format(d, text), &back));
        check(back.ns >= d.ns && back.ns - d.ns <= d.ns / 100000 + 1);
    }
}

TEST(percent_encoding_follows_the_protocol)
{
    static const struct { struct str plain; const char *encoded; } rows[] = {
        {{"", 0}, ""}, {{"all is well", 11}, "all is well"}, {{"100%", 4}, "100%25"}, {{"a\nb\0c", 5}, "a%0Ab%00c"}, {{"\xc3\xbc~", 3}, "%C3%BC~"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].encoded;
        struct buf encoded = {0}, back = {0};
        percent_encode(rows[i].plain, &encoded);
        check_str(buf_view(&encoded), rows[i].encoded);
        percent_decode(buf_view(&encoded), &back);
        check(str_equal(buf_view(&back), rows[i].plain));
        buf_fini(&encoded);
        buf_fini(&back);
    }
}

TEST(bad_escapes_stay_as_they_are)
{
    static const struct { const char *text, *plain; } rows[] = {{"%", "%"}, {"%4", "%4"}, {"%zz", "%zz"}, {"%41%4", "A%4"}, {"%%41", "%A"}, {"%c3%BC", "\xc3\xbc"}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf plain = {0};
        percent_decode(str_of(rows[i].text), &plain);
        check_str(buf_view(&plain), rows[i].plain);
        buf_fini(&plain);
    }
}

TEST(base64_is_written_without_and_read_with_or_without_padding)
{
    static const struct { const char *plain, *text; bool ok; } rows[] = {
        {"", "", true}, {"f", "Zg", true}, {"fo", "Zm8", true}, {"foo", "Zm9v", true}, {"foobar", "Zm9vYmFy", true}, {"f", "Zg==", true},
        {"fo", "Zm8=", true}, {"", "Z", false}, {"", "Zg=", false}, {"", "Zg===", false}, {"", "Z g", false}, {"", "Zm9v=", false}, {"", "Zm-_", false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].text;
        struct buf plain = {0}, text = {0};
        check(base64_decode(str_of(rows[i].text), &plain) == rows[i].ok);
        check_str(buf_view(&plain), rows[i].plain);
        if (rows[i].ok && strchr(rows[i].text, '=') == NULL) {
            base64_encode(buf_view(&plain), &text);
            check_str(buf_view(&text), rows[i].text);
        }
        buf_fini(&plain);
        buf_fini(&text);
    }
}

TEST(random_bytes_survive_each_encoding)
{
    struct prng prng;
    prng_init(&prng, 2);
    for (int i = 0; i < 300; i++) {
        struct buf bytes = {0}, a = {0}, b = {0}, c = {0}, back = {0};
        for (uint64_t n = prng_below(&prng, 3000); n > 0; n--) buf_append_byte(&bytes, (uint8_t)prng_below(&prng, i % 2 == 0 ? 256 : 3));
        percent_encode(buf_view(&bytes), &a);
        percent_decode(buf_view(&a), &back);
        check(str_equal(buf_view(&back), buf_view(&bytes)));
        buf_clear(&back);
        base64_encode(buf_view(&bytes), &b);
        check(base64_decode(buf_view(&b), &back));
        check(str_equal(buf_view(&back), buf_view(&bytes)));
        buf_clear(&back);
        gzip_compress(buf_view(&bytes), &c);
        check_int(gzip_decompress(buf_view(&c), bytes.size, &back), ERR_NONE);
        check(str_equal(buf_view(&back), buf_view(&bytes)));
        if (bytes.size > 0) check_int(gzip_decompress(buf_view(&c), bytes.size - 1, &back), ERR_TOO_LARGE);
        if (c.size > 0) check_int(gzip_decompress(str_make(c.data, prng_below(&prng, c.size)), 1 << 20, &back), ERR_INVALID);
        check(str_equal(buf_view(&back), buf_view(&bytes)));
        struct buf *all[] = {&bytes, &a, &b, &c, &back};
        for (size_t k = 0; k < countof(all); k++) buf_fini(all[k]);
    }
}

TEST(header_names_and_lists_are_judged)
{
    check(grpc_header_is_valid(STR("client-name"), STR("temporal python")));
    check(!grpc_header_is_valid(STR("Client"), STR("x")));
    check(!grpc_header_is_valid(STR(""), STR("x")));
    check(!grpc_header_is_valid(STR("a b"), STR("x")));
    check(!grpc_header_is_valid(STR("a"), STR("x\r\ny: z")));
    check(grpc_header_is_reserved(STR(":path")) && grpc_header_is_reserved(STR("grpc-timeout")) && grpc_header_is_reserved(STR("te")));
    check(!grpc_header_is_reserved(STR("authorization")));
    check(grpc_header_is_binary(STR("x-bin")) && !grpc_header_is_binary(STR("-bin")) && !grpc_header_is_binary(STR("xbin")));
    check(grpc_encodings_have(STR("identity, gzip"), STR("gzip")) && grpc_encodings_have(STR("gzip"), STR("gzip")));
    check(!grpc_encodings_have(STR("gzipped,x-gzip"), STR("gzip")) && !grpc_encodings_have(STR(""), STR("gzip")));
    check(grpc_content_type_is_valid(STR("application/grpc+proto")) && !grpc_content_type_is_valid(STR("application/grpc-web")));
}

TEST(status_codes_are_read)
{
    enum grpc_code code = GRPC_OK;
    check(grpc_code_parse(STR("5"), &code) && code == GRPC_NOT_FOUND);
    check(grpc_code_parse(STR("16"), &code) && code == GRPC_UNAUTHENTICATED);
    check(grpc_code_parse(STR("17"), &code) && code == GRPC_UNKNOWN);
    check(grpc_code_parse(STR("999999999"), &code) && code == GRPC_UNKNOWN);
    check(!grpc_code_parse(STR(""), &code) && !grpc_code_parse(STR("-1"), &code) && !grpc_code_parse(STR("ok"), &code));
    check(!grpc_code_parse(STR("9999999999"), &code));
    check_int(grpc_code_of_http(503), GRPC_UNAVAILABLE);
    check_int(grpc_code_of_http(404), GRPC_UNIMPLEMENTED);
}

TEST_MAIN
