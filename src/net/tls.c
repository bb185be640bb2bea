#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLAIN_BLOCK = 16 * 1024, TEXT_SIZE = 256 };

struct tls_context {
    SSL_CTX *ssl;
    unsigned count; /* of references */
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    bool is_failed;
    char failure[TEXT_SIZE], subject[TEXT_SIZE];
};

/* ---- contexts */

static BIO *pem_reader(struct str pem) { return BIO_new_mem_buf(pem.data, (int)size_min(pem.size, INT32_MAX)); }

static int no_passphrase(char *to, int size, int is_writing, void *arg)
{
    (void)to, (void)size, (void)is_writing, (void)arg;
    return 0; /* else OpenSSL asks on the terminal */
}

static bool use_certificate(SSL_CTX *ssl, struct str pem)
{
    BIO *reader = pem_reader(pem);
    X509 *certificate = PEM_read_bio_X509_AUX(reader, NULL, no_passphrase, NULL);
    bool ok = certificate != NULL && SSL_CTX_use_certificate(ssl, certificate) == 1;
    X509_free(certificate);
    while (ok) {
        X509 *issuer = PEM_read_bio_X509(reader, NULL, no_passphrase, NULL);
        if (issuer == NULL) break;
        ok = SSL_CTX_add0_chain_cert(ssl, issuer) == 1; /* takes it on success */
        if (!ok) X509_free(issuer);
    }
    BIO_free(reader);
    ERR_clear_error(); /* the end of the text counts as one */
    return ok;
}

static bool use_key(SSL_CTX *ssl, struct str pem)
{
    BIO *reader = pem_reader(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(reader, NULL, no_passphrase, NULL);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(reader);
    return ok;
}

static bool use_ca(SSL_CTX *ssl, struct str pem, bool is_server)
{
    BIO *reader = pem_reader(pem);
    int count = 0;
    for (X509 *ca; (ca = PEM_read_bio_X509_AUX(reader, NULL, no_passphrase, NULL)) != NULL; count++) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), ca);
        if (is_server) SSL_CTX_add_client_CA(ssl, ca);
        X509_free(ca);
    }
    BIO_free(reader);
    ERR_clear_error();
    return count > 0;
}

/* Where systems keep their roots, beyond what this OpenSSL was built to look for. */
static void use_system_roots(SSL_CTX *ssl)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                          "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"};
    SSL_CTX_set_default_verify_paths(ssl);
    if (getenv("SSL_CERT_FILE") == NULL)
        for (size_t i = 0; i < countof(bundles); i++)
            if (SSL_CTX_load_verify_file(ssl, bundles[i]) == 1) break;
    ERR_clear_error();
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in, unsigned in_size,
                           void *arg)
{
    (void)ssl, (void)arg;
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static err fill_server(SSL_CTX *ssl, const struct tls_options *o, struct arena *arena, struct error *error)
{
    if (str_is_empty(o->certificate) || str_is_empty(o->key))
        return error_set(error, arena, ERR_INVALID, "TLS needs a server certificate and its key");
    if (o->require_client_certificate && str_is_empty(o->ca))
        return error_set(error, arena, ERR_INVALID, "client certificates are required, but no CA says whose");
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    SSL_CTX_set_num_tickets(ssl, 0);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    if (!str_is_empty(o->ca))
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | (o->require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return ERR_NONE;
}

static err fill(SSL_CTX *ssl, const struct tls_options *o, bool is_server, struct arena *arena, struct error *error)
{
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    if (is_server) {
        TRY(fill_server(ssl, o, arena, error));
    } else {
        static const unsigned char h2[] = "\x02h2", http1[] = "\x08http/1.1";
        if (o->speaks_http1) SSL_CTX_set_alpn_protos(ssl, http1, sizeof http1 - 1);
        else SSL_CTX_set_alpn_protos(ssl, h2, sizeof h2 - 1);
        SSL_CTX_set_verify(ssl, o->skip_verification ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
        if (str_is_empty(o->ca)) use_system_roots(ssl);
    }
    if (!str_is_empty(o->ca) && !use_ca(ssl, o->ca, is_server))
        return error_set(error, arena, ERR_INVALID, "the CA text holds no certificate in PEM form");
    if (!str_is_empty(o->certificate) && !use_certificate(ssl, o->certificate))
        return error_set(error, arena, ERR_INVALID, "the certificate can not be read as PEM");
    if (!str_is_empty(o->key) && !use_key(ssl, o->key))
        return error_set(error, arena, ERR_INVALID, "the private key can not be read as PEM without a passphrase, or is of another certificate");
    if (str_is_empty(o->certificate) != str_is_empty(o->key))
        return error_set(error, arena, ERR_INVALID, "a certificate and its private key go together; one of them is missing");
    if (!str_is_empty(o->key) && SSL_CTX_check_private_key(ssl) != 1)
        return error_set(error, arena, ERR_INVALID, "the private key does not belong to the certificate");
    return ERR_NONE;
}

err tls_context_create(struct tls_context **context, const struct tls_options *options, bool is_server, struct arena *arena,
                       struct error *error)
{
    SSL_CTX *ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (ssl == NULL) return error_set(error, arena, ERR_INTERNAL, "OpenSSL can not be set up");
    err e = fill(ssl, options, is_server, arena, error);
    ERR_clear_error();
    if (e != ERR_NONE) {
        SSL_CTX_free(ssl);
        return e;
    }
    *context = xmalloc(sizeof **context);
    **context = (struct tls_context){ssl, 1};
    return ERR_NONE;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->count++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL || --context->count != 0) return;
    SSL_CTX_free(context->ssl);
    free(context);
}

/* ---- engines */

static bool is_address(const char *name)
{
    unsigned char address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static void expect_names(SSL *ssl, struct str sni, struct str verified)
{
    char *name = str_dup_c(sni), *checked = str_dup_c(str_is_empty(verified) ? sni : verified);
    if (name[0] != '\0' && !is_address(name)) SSL_set_tlsext_host_name(ssl, name);
    if (is_address(checked)) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), checked);
    else if (checked[0] != '\0') SSL_set1_host(ssl, checked);
    free(name);
    free(checked);
}

struct tls *tls_create(struct tls_context *context, bool is_server, struct str sni, struct str verified)
{
    struct tls *tls = xcalloc(1, sizeof *tls);
    tls->context = tls_context_ref(context);
    tls->ssl = SSL_new(context->ssl);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    ensure(tls->ssl != NULL && tls->in != NULL && tls->out != NULL);
    BIO_set_mem_eof_return(tls->in, -1);
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    if (is_server) {
        SSL_set_accept_state(tls->ssl);
    } else {
        SSL_set_connect_state(tls->ssl);
        expect_names(tls->ssl, sni, verified);
        ERR_clear_error();
        (void)SSL_do_handshake(tls->ssl); /* writes the first message; there is nothing to read yet */
    }
    return tls;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL) return;
    SSL_free(tls->ssl);
    tls_context_unref(tls->context);
    free(tls);
}

static err failed(struct tls *tls)
{
    unsigned long code = ERR_peek_last_error();
    long verify = SSL_get_verify_result(tls->ssl);
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    tls->is_failed = true;
    if (verify != X509_V_OK)
        snprintf(tls->failure, sizeof tls->failure, "the peer's certificate is not accepted: %s", X509_verify_cert_error_string(verify));
    else if (reason != NULL)
        snprintf(tls->failure, sizeof tls->failure, "TLS failed: %s", reason);
    else
        snprintf(tls->failure, sizeof tls->failure, "TLS failed: the peer closed");
    ERR_clear_error();
    return ERR_UNAVAILABLE;
}

static void note_subject(struct tls *tls)
{
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    if (certificate == NULL) return;
    BIO *text = BIO_new(BIO_s_mem());
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    char *data;
    long size = BIO_get_mem_data(text, &data);
    snprintf(tls->subject, sizeof tls->subject, "%.*s", (int)size, data);
    BIO_free(text);
}

err tls_receive(struct tls *tls, const void *data, size_t size, struct buf *plain)
{
    if (tls->is_failed) return ERR_UNAVAILABLE;
    ERR_clear_error();
    if (size != 0 && BIO_write(tls->in, data, (int)size_min(size, INT32_MAX)) != (int)size) return failed(tls);
    if (!SSL_is_init_finished(tls->ssl)) {
        int result = SSL_do_handshake(tls->ssl);
        if (result != 1) return SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ ? ERR_NONE : failed(tls);
        note_subject(tls);
    }
    for (;;) {
        size_t got = 0;
        int result = SSL_read_ex(tls->ssl, buf_reserve(plain, PLAIN_BLOCK), PLAIN_BLOCK, &got);
        if (result != 1) return SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ ? ERR_NONE : failed(tls);
        plain->size += got;
    }
}

err tls_send(struct tls *tls, const void *data, size_t size)
{
    if (tls->is_failed || !SSL_is_init_finished(tls->ssl)) return ERR_UNAVAILABLE;
    if (size == 0) return ERR_NONE;
    size_t done = 0;
    ERR_clear_error();
    /* Into memory, so all of it or an error. */
    if (SSL_write_ex(tls->ssl, data, size, &done) != 1 || done != size) return failed(tls);
    return ERR_NONE;
}

void tls_close(struct tls *tls)
{
    if (tls->is_failed || !SSL_is_init_finished(tls->ssl)) return;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl); /* one way: nobody waits for the peer's */
    ERR_clear_error();
}

struct str tls_output(struct tls *tls)
{
    char *data;
    long size = BIO_get_mem_data(tls->out, &data);
    return size > 0 ? (struct str){data, (size_t)size} : STR_EMPTY;
}

void tls_output_done(struct tls *tls) { (void)BIO_reset(tls->out); }

bool tls_is_ready(const struct tls *tls) { return !tls->is_failed && SSL_is_init_finished(tls->ssl); }

bool tls_speaks_h2(const struct tls *tls)
{
    const unsigned char *protocol;
    unsigned size;
    SSL_get0_alpn_selected(tls->ssl, &protocol, &size);
    return size == 2 && memcmp(protocol, "h2", 2) == 0;
}

struct str tls_failure(const struct tls *tls) { return str_of(tls->failure); }
struct str tls_peer_subject(const struct tls *tls) { return str_of(tls->subject); }
