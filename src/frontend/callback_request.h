/* frontend/callback_request.h: what a completion callback says over HTTP, and where it may go. Pure.
 *
 * Source: the Nexus RPC specification over HTTP (operation completion), and what the official server was seen to send. */
#ifndef FRONTEND_CALLBACK_REQUEST_H
#define FRONTEND_CALLBACK_REQUEST_H

#include "frontend/frontend.h"
#include "history/execution.h"

struct callback_address {
    bool is_tls;
    struct str host;        /* without brackets */
    int port;
    struct str path;        /* with its query; begins with '/' */
    struct str destination; /* scheme, host and port: who shares a queue and a circuit breaker */
};
/* The parts of an http or https URL, lent by it (destination: in the arena). NULL, or what is wrong with it. */
const char *callback_address_parse(struct str url, struct arena *arena, struct callback_address *address);

/* NULL, or why this callback is not taken: its kind, its lengths, its address, which one of the rules must allow. */
const char *callback_problem(const pb_common_Callback *callback, const struct limits *limits, const struct callback_rule *rules, size_t rule_count,
                             struct arena *arena);

/* Fills headers and body of an attempt that tells of `closing`, an event that closes a run. */
void callback_request_make(struct outgoing *request, const struct callback_view *view, const pb_history_HistoryEvent *closing, struct str namespace_name,
                           struct str workflow_id, struct arena *arena);

#endif
