/* TLS between client and server: who trusts whom. Certificates are made here, for this run. */
#include "net/net_fixture.h"

#include "base/test.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    struct str certificate_pem, key_pem;
};

static struct str pem_text(struct arena *arena, BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    struct str text = arena_str(arena, str_make(data, (size_t)size));
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ensure(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: signs itself and may sign others. */
static struct identity make_identity(struct arena *arena, const char *name, const struct identity *issuer)
{
    static long serial = 1;
    struct identity id = {EVP_EC_gen("P-256"), X509_new(), STR_EMPTY, STR_EMPTY};
    X509 *by = issuer != NULL ? issuer->certificate : id.certificate;
    X509_set_version(id.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(id.certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(id.certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id.certificate), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(id.certificate, X509_get_subject_name(by));
    X509_set_pubkey(id.certificate, id.key);
    add_extension(id.certificate, by, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(id.certificate, by, NID_subject_alt_name, "DNS:perdure.test,IP:127.0.0.1");
    ensure(X509_sign(id.certificate, issuer != NULL ? issuer->key : id.key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, id.certificate);
    id.certificate_pem = pem_text(arena, bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, id.key, NULL, NULL, 0, NULL, NULL);
    id.key_pem = pem_text(arena, bio);
    return id;
}

static void free_identity(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->certificate);
}

struct tls_fixture {
    struct arena arena;
    struct identity ca, server, client, stranger;
    struct tls_options server_tls, client_tls;
    struct fixture *f;
};

static struct tls_fixture *start(void (*change)(struct tls_fixture *t))
{
    struct tls_fixture *t = xcalloc(1, sizeof *t);
    arena_init(&t->arena, 0, 0);
    t->ca = make_identity(&t->arena, "test ca", NULL);
    t->server = make_identity(&t->arena, "server", &t->ca);
    t->client = make_identity(&t->arena, "worker-1", &t->ca);
    t->stranger = make_identity(&t->arena, "stranger", NULL);
    t->server_tls = (struct tls_options){.certificate = t->server.certificate_pem, .key = t->server.key_pem};
    t->client_tls = (struct tls_options){.ca = t->ca.certificate_pem};
    t->f = fixture_create();
    t->f->server_options.tls = &t->server_tls;
    t->f->client_options.tls = &t->client_tls;
    if (change != NULL) change(t);
    fixture_start(t->f);
    return t;
}

static void stop(struct tls_fixture *t)
{
    fixture_destroy(t->f);
    struct identity *all[] = {&t->ca, &t->server, &t->client, &t->stranger};
    for (size_t i = 0; i < countof(all); i++) free_identity(all[i]);
    arena_fini(&t->arena);
    free(t);
}

TEST(calls_work_over_tls)
{
    struct tls_fixture *t = start(NULL);
    size_t sizes[] = {0, 100, 16384, 3 << 20};
    for (size_t i = 0; i < countof(sizes); i++) {
        struct str body = str_make(memset(arena_alloc(&t->arena, sizes[i]), 't', sizes[i]), sizes[i]);
        struct result *r = fixture_ask(t->f, "Echo", body);
        check_int(r->code, GRPC_OK);
        check(str_equal(r->body, body));
    }
    check_str(fixture_ask(t->f, "Subject", STR("x"))->body, "");
    stop(t);
}

static void by_name(struct tls_fixture *t) { t->f->client_options.server_name = STR("perdure.test"); }
TEST(a_server_name_can_be_given)
{
    struct tls_fixture *t = start(by_name);
    struct result *r = fixture_ask(t->f, "Headers", STR("x"));
    check_int(r->code, GRPC_OK);
    check(memmem(r->body.data, r->body.size, "authority=perdure.test;", 23) != NULL);
    stop(t);
}

static void check_refused(struct tls_fixture *t, const char *word)
{
    struct result *r = fixture_ask(t->f, "Echo", STR("x"));
    check_int(r->code, GRPC_UNAVAILABLE);
    if (memmem(r->message.data, r->message.size, word, strlen(word)) == NULL) check_str(r->message, word);
    check(!r->was_sent);
    check_int(t->f->call_count, 0);
    stop(t);
}

static void by_wrong_name(struct tls_fixture *t) { t->f->client_options.server_name = STR("elsewhere.test"); }
static void verified_by_name(struct tls_fixture *t)
{
    t->f->client_options.server_name = STR("elsewhere.test");
    t->f->client_options.verified_name = STR("perdure.test");
}
TEST(the_certificate_may_be_for_another_name_than_the_one_asked_for)
{
    struct tls_fixture *t = start(verified_by_name);
    struct result *r = fixture_ask(t->f, "Headers", STR("x"));
    check_int(r->code, GRPC_OK);
    check(memmem(r->body.data, r->body.size, "authority=elsewhere.test;", 25) != NULL);
    stop(t);
}
static void verified_by_wrong_name(struct tls_fixture *t) { t->f->client_options.verified_name = STR("elsewhere.test"); }
TEST(a_name_to_verify_is_not_optional) { check_refused(start(verified_by_wrong_name), "ostname mismatch"); }
TEST(a_certificate_of_another_name_is_refused) { check_refused(start(by_wrong_name), "ostname mismatch"); }

static void trusting_a_stranger(struct tls_fixture *t) { t->client_tls.ca = t->stranger.certificate_pem; }
TEST(a_certificate_of_an_unknown_signer_is_refused) { check_refused(start(trusting_a_stranger), "certificate is not accepted"); }

static void without_tls(struct tls_fixture *t) { t->f->client_options.tls = NULL; }
TEST(a_clear_text_client_is_turned_away) { check_refused(start(without_tls), ""); }

static void server_without_tls(struct tls_fixture *t) { t->f->server_options.tls = NULL; }
TEST(a_clear_text_server_is_not_spoken_to) { check_refused(start(server_without_tls), ""); }

static void skipping(struct tls_fixture *t)
{
    trusting_a_stranger(t);
    t->client_tls.skip_verification = true;
}
TEST(verification_can_be_switched_off)
{
    struct tls_fixture *t = start(skipping);
    check_int(fixture_ask(t->f, "Echo", STR("x"))->code, GRPC_OK);
    stop(t);
}

static void require_client(struct tls_fixture *t)
{
    t->server_tls.ca = t->ca.certificate_pem;
    t->server_tls.require_client_certificate = true;
}
TEST(a_client_without_a_certificate_is_refused) { check_refused(start(require_client), ""); }

static void as_stranger(struct tls_fixture *t)
{
    require_client(t);
    t->client_tls.certificate = t->stranger.certificate_pem;
    t->client_tls.key = t->stranger.key_pem;
}
TEST(a_client_certificate_of_an_unknown_signer_is_refused) { check_refused(start(as_stranger), ""); }

static void as_worker(struct tls_fixture *t)
{
    require_client(t);
    t->client_tls.certificate = t->client.certificate_pem;
    t->client_tls.key = t->client.key_pem;
}
TEST(a_client_certificate_names_its_caller)
{
    struct tls_fixture *t = start(as_worker);
    check_str(fixture_ask(t->f, "Subject", STR("x"))->body, "CN=worker-1");
    stop(t);
}

TEST(certificates_can_be_replaced_while_serving)
{
    struct tls_fixture *t = start(NULL);
    check_int(fixture_ask(t->f, "Echo", STR("x"))->code, GRPC_OK);
    struct tls_options other = {.certificate = t->stranger.certificate_pem, .key = t->stranger.key_pem};
    check_int(grpc_server_set_tls(t->f->server, &other, &t->arena, &t->f->error), ERR_NONE);
    check_int(fixture_ask(t->f, "Echo", STR("x"))->code, GRPC_OK); /* the old connection goes on */
    grpc_client_destroy(t->f->client);
    check_int(grpc_client_create(&t->f->client, t->f->loop, &t->f->client_options, &t->arena, &t->f->error), ERR_NONE);
    check_int(fixture_ask(t->f, "Echo", STR("x"))->code, GRPC_UNAVAILABLE); /* the new one sees a signer it does not know */
    stop(t);
}

TEST(tls_material_that_does_not_fit_is_named)
{
    struct tls_fixture *t = start(NULL);
    struct { const char *name; struct tls_options options; bool is_server; const char *word; } rows[] = {
        {"no certificate", {.key = t->server.key_pem}, true, "certificate"},
        {"garbage certificate", {.certificate = STR("garbage"), .key = t->server.key_pem}, true, "certificate"},
        {"garbage key", {.certificate = t->server.certificate_pem, .key = STR("garbage")}, true, "key"},
        {"another key", {.certificate = t->server.certificate_pem, .key = t->client.key_pem}, true, "key"},
        {"garbage ca", {.ca = STR("garbage")}, false, "CA"},
        {"certificate without key", {.certificate = t->client.certificate_pem}, false, "go together"},
        {"required but no ca", {.certificate = t->server.certificate_pem, .key = t->server.key_pem, .require_client_certificate = true}, true, "CA"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        test_row = rows[i].name;
        struct tls_context *context;
        struct error error = {0};
        check_int(tls_context_create(&context, &rows[i].options, rows[i].is_server, &t->arena, &error), ERR_INVALID);
        check(memmem(error.message.data, error.message.size, rows[i].word, strlen(rows[i].word)) != NULL);
    }
    test_row = NULL;
    stop(t);
}

TEST_MAIN
