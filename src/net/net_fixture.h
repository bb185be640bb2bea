/* net/net_fixture.h: a server and a client in one process on one loop, for the tests of net/.
 *
 * The server knows the methods of tests/net/echo_server.c: Echo, Park, Fail, Stream, and of
 * its own Headers, Subject and Watch (streams "first", then waits); and counts what its handler sees. */
#ifndef NET_NET_FIXTURE_H
#define NET_NET_FIXTURE_H

#include "net/grpc_client.h"
#include "net/grpc_server.h"

enum { PARKED_MAX = 20000, RESULTS_MAX = 20000 };

struct result {
    bool is_done;
    enum grpc_code code;
    struct str message, details, body, headers, trailers; /* in the fixture's arena; headers as "name=value;" */
    bool was_sent;
    int message_count; /* streamed */
};

struct fixture {
    struct loop *loop;
    struct arena arena;
    struct error error;
    struct grpc_server_options server_options;
    struct grpc_client_options client_options;
    struct grpc_server *server;
    struct grpc_client *client;
    char target[32];
    struct result results[RESULTS_MAX];
    size_t result_count, done_count;
    struct grpc_call *parked[PARKED_MAX];
    size_t parked_count, call_count, cancel_count, deadline_count, closed_count;
    uint64_t closed_id;
    enum grpc_client_state last_state;
    int ready_count, failing_count;
    bool answers_at_deadline, is_drained;
};

/* Options may be changed between init and start. */
struct fixture *fixture_create(void);
void fixture_start(struct fixture *f);
void fixture_destroy(struct fixture *f);

/* Starts a call of /test.Echo/<method>; the result fills in later. */
struct result *fixture_call(struct fixture *f, const char *method, struct str body, struct grpc_request extra,
                            struct grpc_client_call **call);
/* The same, and waits for it. */
struct result *fixture_ask(struct fixture *f, const char *method, struct str body);
/* Turns the loop until the condition holds; false: it did not within `limit`. */
#define fixture_until(f, condition) \
    ({ int turns_ = 0; while (!(condition) && turns_++ < 20000) loop_run_once((f)->loop, duration_ms(1)); (condition); })

#endif
