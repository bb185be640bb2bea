/* net/pipe.h: a TCP socket with or without TLS, as both server and client use it. Internal to net/.
 *
 * Writing: what the socket does not take at once is kept and goes out when it can; meanwhile is_writing is set and the
 * owner is expected to hold back. Reading: decrypted bytes, as they come.
 * Thread: the loop's. Embedded by its owner, who frees it from on_closed. */
#ifndef NET_PIPE_H
#define NET_PIPE_H

#include "net/loop.h"
#include "net/tls.h"

#include <uv.h>

struct pipe;
struct pipe_events {
    void (*on_bytes)(struct pipe *pipe, struct str plain);    /* borrowed */
    void (*on_end)(struct pipe *pipe, const char *why);       /* the peer closed, or reading failed; once */
    void (*on_written)(struct pipe *pipe);                    /* is_writing is over, or is_broken is set */
    void (*on_closed)(struct pipe *pipe);                     /* the end: free it */
};

struct pipe {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    const struct pipe_events *events;
    struct loop *loop;
    struct tls *tls;     /* owned; NULL: clear text */
    struct buf *scratch; /* of the owner, shared by its pipes: decrypted bytes */
    struct buf unsent;   /* what `write` is sending */
    struct buf queued;   /* behind it */
    bool is_writing, is_broken, is_reading, is_closing;
};

void pipe_init(struct pipe *pipe, struct loop *loop, const struct pipe_events *events, struct buf *scratch);
/* Encrypts and sends. Failures show as is_broken. */
void pipe_write(struct pipe *pipe, struct str plain);
/* Sends bytes as they are, past TLS: for a proxy. */
void pipe_write_wire(struct pipe *pipe, struct str bytes);
/* Sends what TLS itself wants to say: after tls_create and tls_close. */
void pipe_write_tls(struct pipe *pipe);
void pipe_set_reading(struct pipe *pipe, bool is_reading);
/* The socket's own end of stream; reading goes on. False: the socket is gone already. */
bool pipe_shut(struct pipe *pipe);
/* No event but on_closed follows. */
void pipe_close(struct pipe *pipe);
/* Bytes that the kernel has not taken yet. */
size_t pipe_unsent(const struct pipe *pipe);
/* "127.0.0.1:7233", "[::1]:7233" */
void address_format(const struct sockaddr_storage *address, char *to, size_t size);

#endif
