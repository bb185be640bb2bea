#include "net/pipe.h"

#include <stdio.h>

void pipe_init(struct pipe *pipe, struct loop *loop, const struct pipe_events *events, struct buf *scratch)
{
    *pipe = (struct pipe){.events = events, .loop = loop, .scratch = scratch};
    uv_tcp_init(loop_uv(loop), &pipe->tcp);
}

/* ---- writing */

static void on_written(uv_write_t *write, int status)
{
    struct pipe *pipe = write->data;
    pipe->is_writing = false;
    buf_fini(&pipe->unsent);
    if (pipe->is_closing) return;
    if (status < 0) pipe->is_broken = true;
    if (pipe->queued.size > 0) {
        struct buf queued = pipe->queued;
        pipe->queued = (struct buf){0};
        pipe_write_wire(pipe, buf_view(&queued));
        buf_fini(&queued);
        if (pipe->is_writing) return;
    }
    pipe->events->on_written(pipe);
}

void pipe_write_wire(struct pipe *pipe, struct str bytes)
{
    if (bytes.size == 0 || pipe->is_broken || pipe->is_closing) return;
    if (pipe->is_writing) {
        buf_append_str(&pipe->queued, bytes);
        return;
    }
    uv_buf_t piece = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.size);
    int taken = uv_try_write((uv_stream_t *)&pipe->tcp, &piece, 1);
    if (taken < 0 && taken != UV_EAGAIN) {
        pipe->is_broken = true;
        return;
    }
    size_t sent = taken > 0 ? (size_t)taken : 0;
    if (sent == bytes.size) return;
    buf_append_str(&pipe->unsent, str_skip(bytes, sent));
    piece = uv_buf_init(pipe->unsent.data, (unsigned)pipe->unsent.size);
    pipe->write.data = pipe;
    if (uv_write(&pipe->write, (uv_stream_t *)&pipe->tcp, &piece, 1, on_written) != 0) pipe->is_broken = true;
    else pipe->is_writing = true;
}

void pipe_write_tls(struct pipe *pipe)
{
    pipe_write_wire(pipe, tls_output(pipe->tls));
    tls_output_done(pipe->tls);
}

void pipe_write(struct pipe *pipe, struct str plain)
{
    if (pipe->tls == NULL) {
        pipe_write_wire(pipe, plain);
    } else {
        if (tls_send(pipe->tls, plain.data, plain.size) != ERR_NONE) pipe->is_broken = true;
        else pipe_write_tls(pipe);
    }
}

size_t pipe_unsent(const struct pipe *pipe)
{
    return pipe->queued.size + uv_stream_get_write_queue_size((const uv_stream_t *)&pipe->tcp);
}

static void on_shut(uv_shutdown_t *request, int status) { (void)request, (void)status; }

bool pipe_shut(struct pipe *pipe)
{
    return !pipe->is_broken && uv_shutdown(&pipe->shutdown, (uv_stream_t *)&pipe->tcp, on_shut) == 0;
}

/* ---- reading */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *to)
{
    (void)suggested;
    struct pipe *pipe = container_of(handle, struct pipe, tcp);
    loop_woke(pipe->loop);
    *to = uv_buf_init(loop_scratch(pipe->loop), LOOP_SCRATCH_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *from)
{
    struct pipe *pipe = container_of(stream, struct pipe, tcp);
    if (size < 0) {
        pipe_set_reading(pipe, false);
        pipe->events->on_end(pipe, size == UV_EOF ? "the peer closed the connection" : uv_strerror((int)size));
        return;
    }
    if (size == 0) return;
    if (pipe->tls == NULL) {
        pipe->events->on_bytes(pipe, str_make(from->base, (size_t)size));
        return;
    }
    buf_clear(pipe->scratch);
    err e = tls_receive(pipe->tls, from->base, (size_t)size, pipe->scratch);
    pipe_write_tls(pipe);
    if (pipe->scratch->size > 0 || tls_is_ready(pipe->tls)) pipe->events->on_bytes(pipe, buf_view(pipe->scratch));
    if (e != ERR_NONE && !pipe->is_closing) {
        pipe_set_reading(pipe, false);
        pipe->events->on_end(pipe, tls_failure(pipe->tls).data);
    }
}

void pipe_set_reading(struct pipe *pipe, bool is_reading)
{
    if (pipe->is_reading == is_reading || pipe->is_closing) return;
    pipe->is_reading = is_reading;
    if (is_reading) uv_read_start((uv_stream_t *)&pipe->tcp, on_alloc, on_read);
    else uv_read_stop((uv_stream_t *)&pipe->tcp);
}

/* ---- closing */

static void on_closed(uv_handle_t *handle)
{
    struct pipe *pipe = container_of(handle, struct pipe, tcp);
    buf_fini(&pipe->unsent);
    buf_fini(&pipe->queued);
    tls_destroy(pipe->tls);
    pipe->events->on_closed(pipe);
}

void pipe_close(struct pipe *pipe)
{
    if (pipe->is_closing) return;
    pipe->is_closing = true;
    uv_close((uv_handle_t *)&pipe->tcp, on_closed);
}

void address_format(const struct sockaddr_storage *address, char *to, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "unknown";
    uv_ip_name((const struct sockaddr *)address, ip, sizeof ip);
    if (address->ss_family == AF_INET6)
        snprintf(to, size, "[%s]:%d", ip, ntohs(((const struct sockaddr_in6 *)address)->sin6_port));
    else
        snprintf(to, size, "%s:%d", ip, ntohs(((const struct sockaddr_in *)address)->sin_port));
}
