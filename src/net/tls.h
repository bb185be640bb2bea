/* net/tls.h: TLS 1.2 and 1.3 by OpenSSL, as bytes in and bytes out. Both ends speak HTTP/2 (ALPN "h2"), unless a client
 * asks for HTTP/1.1.
 *
 * A context holds certificates and may be shared by connections of one thread; each connection has an engine.
 * Thread: the loop's. Blocks: never. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buf.h"
#include "base/err.h"

/* PEM text, borrowed for the call. Empty fields mean: none. */
struct tls_options {
    struct str certificate; /* own certificate, followed by its chain. Required for a server */
    struct str key;         /* its private key, not encrypted */
    struct str ca;          /* who may sign the peer. Client: empty = the system's trusted roots. Server: client certificates */
    bool require_client_certificate; /* server: a peer without one signed by `ca` is refused */
    bool skip_verification;          /* client: accept any server certificate (for tests) */
    bool speaks_http1;               /* client: offers HTTP/1.1 in place of HTTP/2 */
};

struct tls_context;
/* ERR_INVALID with words in `error` (allocated in arena) when certificate, key or CA can not be used. */
MUST_USE err tls_context_create(struct tls_context **context, const struct tls_options *options, bool is_server,
                                struct arena *arena, struct error *error);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL allowed */

struct tls;
/* For a client: sni is sent, the certificate must be for verified [sni]; a server ignores both. Keeps a reference to context. */
struct tls *tls_create(struct tls_context *context, bool is_server, struct str sni, struct str verified);
void tls_destroy(struct tls *tls); /* NULL allowed */

/* Feeds bytes from the wire and appends what they decrypt to `plain`. Handshake bytes to send wait in tls_output.
 * ERR_UNAVAILABLE: the peer closed, broke the protocol or was refused (tls_failure says why): send tls_output, then close. */
MUST_USE err tls_receive(struct tls *tls, const void *data, size_t size, struct buf *plain);
/* Encrypts. Before the handshake is over nothing may be sent. */
MUST_USE err tls_send(struct tls *tls, const void *data, size_t size);
void tls_close(struct tls *tls); /* queues the closing alert */

/* What is to go to the wire; drop it with tls_output_done. */
struct str tls_output(struct tls *tls);
void tls_output_done(struct tls *tls);

bool tls_is_ready(const struct tls *tls);          /* handshake over */
bool tls_speaks_h2(const struct tls *tls);         /* the peer agreed to HTTP/2 */
struct str tls_failure(const struct tls *tls);     /* why the last call failed; lives as long as the engine */
struct str tls_peer_subject(const struct tls *tls); /* subject of the peer's certificate, e.g. "CN=worker-1"; empty: none */

#endif
