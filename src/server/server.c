#include "server/server.h"

#include "base/log.h"
#include "frontend/frontend.h"
#include "net/grpc_server.h"
#include "net/http_post.h"
#include "server/glue.h"
#include "shard/matching_host.h"
#include "shard/shard.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

struct server {
    struct loop *loop;
    struct server_options options;
    struct server_events events;
    struct limits limits;
    struct store *store;
    struct mailbox mailbox;           /* the store's answers */
    struct mail mailbox_wake;
    struct shard *shard;
    struct matching_host *matching;
    struct frontend *frontend;
    struct glue *glue;
    struct grpc_server *grpc;
    struct timer timer;               /* the earliest of shard, matching and frontend */
    struct loop_defer rearm;
    struct frontend_settings settings;
    struct tls_context *outward;      /* for https callbacks; made with the first */
    bool is_started, is_stopping, is_drained, is_closed; /* started: or failed to */
};

/* ---- what the parts ask of the world ---- */

static instant env_now(void *arg) { return loop_now(((struct server *)arg)->loop); }
static const struct namespace_info *env_namespace(void *arg, int64_t key) { return frontend_namespace(((struct server *)arg)->frontend, key); }
static const struct namespace_info *env_find_namespace(void *arg, struct str name) { return frontend_find_namespace(((struct server *)arg)->frontend, name); }

static bool env_attributes_fit(void *arg UNUSED, const struct namespace_info *ns, const pb_common_SearchAttributes *attributes, struct arena *arena, struct str *why)
{
    return frontend_attributes_fit(ns, attributes, arena, why);
}

static const struct limits *env_limits(void *arg, int64_t key UNUSED) { return &((struct server *)arg)->limits; }
static void env_offer(void *arg, const struct task_effect *task) { matching_offer(((struct server *)arg)->matching, task); }
static void env_deliver(void *arg, struct shard_delivery *delivery) { shard_receive(((struct server *)arg)->shard, delivery); }
static struct shard *env_shard_of(void *arg, int64_t key UNUSED, struct str id UNUSED) { return ((struct server *)arg)->shard; }
static void env_offer_callback(void *arg, const struct callback_effect *effect) { frontend_offer_callback(((struct server *)arg)->frontend, effect); }
static const struct tz *env_find_zone(void *arg, struct str name) { return frontend_find_zone(((struct server *)arg)->frontend, name); }
static void env_rearm(void *arg) { loop_defer(((struct server *)arg)->loop, &((struct server *)arg)->rearm); }

/* From the system's zone files. The name comes from a client: no path leads out of their folder. */
static err env_read_zone(void *arg UNUSED, struct str name, struct arena *arena, struct str *bytes)
{
    static const char *const folders[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"};
    enum { SIZE_MAX_ = 1 << 18 };
    if (name.size == 0 || name.size > 100 || name.data[0] == '/') return ERR_NOT_FOUND;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '/' && c != '_' && c != '-' && c != '+') return ERR_NOT_FOUND;
    }
    for (size_t i = 0; i < countof(folders); i++) {
        FILE *file = fopen(arena_printf(arena, "%s/%.*s", folders[i], STR_ARG(name)).data, "rb");
        if (file == NULL) continue;
        char *data = arena_alloc(arena, SIZE_MAX_);
        size_t size = fread(data, 1, SIZE_MAX_, file);
        fclose(file);
        if (size == 0) continue;
        *bytes = (struct str){data, size};
        return ERR_NONE;
    }
    return ERR_NOT_FOUND;
}

static void env_posted(void *arg, int status, struct str why)
{
    struct outgoing *outgoing = arg;
    outgoing->under_way = NULL;
    outgoing->done(outgoing, status, why);
}

/* Peers of https are checked against the system's roots. */
static void env_post(void *arg, struct outgoing *o)
{
    struct server *s = arg;
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, 256, 0);
    if (o->is_tls && s->outward == NULL) ensure(tls_context_create(&s->outward, &(struct tls_options){.speaks_http1 = true}, false, &arena, &error) == ERR_NONE);
    const struct http_post_request request = {.host = o->host, .port = o->port, .path = o->path, .headers = o->headers, .body = o->body, .timeout = o->timeout,
                                              .tls = o->is_tls ? s->outward : NULL};
    o->under_way = http_post_start(s->loop, &request, env_posted, o);
    arena_fini(&arena);
}

static void env_post_cancel(void *arg UNUSED, struct outgoing *o)
{
    http_post_cancel(o->under_way);
    o->under_way = NULL;
}

static void env_lost(void *arg, struct shard *shard UNUSED)
{
    struct server *s = arg;
    log_error("server", "another process took over the database; stopping", "file", s->options.db_path != NULL ? s->options.db_path : "");
    server_stop(s);
}

/* Arms the timer for whatever is due next. Once a turn, after everything else. */
static void rearm_now(struct loop_defer *defer)
{
    struct server *s = container_of(defer, struct server, rearm);
    if (s->is_closed) return;
    instant due = instant_min(shard_next_due(s->shard), matching_next_due(s->matching));
    due = instant_min(due, frontend_next_due(s->frontend));
    if (due.ns == INSTANT_NEVER.ns) loop_timer_stop(s->loop, &s->timer);
    else loop_timer_at(s->loop, &s->timer, due);
}

static void check_closed(struct server *s);

static void on_timer(struct timer *timer, instant now UNUSED)
{
    struct server *s = container_of(timer, struct server, timer);
    shard_tick(s->shard);
    matching_tick(s->matching);
    frontend_tick(s->frontend);
    env_rearm(s);
}

static void mailbox_notify(void *arg) { loop_send(((struct server *)arg)->loop, &((struct server *)arg)->mailbox_wake); }

static void mailbox_open(struct mail *mail)
{
    struct server *s = container_of(mail, struct server, mailbox_wake);
    mailbox_open_all(&s->mailbox);
    env_rearm(s);
    if (s->is_drained) check_closed(s);
}

/* ---- start ---- */

/* Before the store is touched: a port that is somebody else's is an error that changes nothing. */
static err open_port(struct server *s, struct arena *arena, struct error *error)
{
    const struct grpc_server_options options = {.ip = s->options.ip, .port = s->options.port, .tls = !str_is_empty(s->options.tls.certificate) ? &s->options.tls : NULL,
                                                .seed = s->options.seed};
    return grpc_server_bind(&s->grpc, s->loop, &options, arena, error);
}

static void begin_drain(struct server *s);

/* The port opens here: whoever finds it open is served. */
static void frontend_started(void *arg, err result, const struct error *error)
{
    struct server *s = arg;
    struct arena arena;
    struct error e = error != NULL ? *error : (struct error){0};
    bool is_wanted = !s->is_stopping;
    s->is_started = true;
    arena_init(&arena, 0, 0);
    if (result == ERR_NONE && is_wanted) result = grpc_server_serve(s->grpc, glue_handler(), s->glue, &arena, &e);
    if (e.code == ERR_NONE) e.code = result;
    if (result != ERR_NONE) s->events.failed(s->events.arg, &e);
    else if (is_wanted) s->events.ready(s->events.arg);
    if (!is_wanted) begin_drain(s);
    arena_fini(&arena);
}

static err open_store(struct server *s, struct arena *arena, struct error *error)
{
    if (s->options.db_path == NULL) return store_memory_open(&s->store);
    const struct store_sqlite_options options = {.path = s->options.db_path};
    return store_sqlite_open(&options, &s->store, arena, error);
}

static err open_shard(struct server *s, struct arena *arena, struct error *error)
{
    const struct shard_env env = {
        .arg = s, .store = s->store, .mailbox = &s->mailbox, .now = env_now, .namespace_of = env_namespace, .limits_of = env_limits,
        .offer_task = env_offer, .offer_callback = env_offer_callback, .deliver = env_deliver, .rearm = env_rearm, .lost = env_lost, .seed = s->options.seed,
        .find_namespace = env_find_namespace, .check_search_attributes = env_attributes_fit, .find_zone = env_find_zone,
    };
    const struct shard_options options = {.number = 0, .owner = STR("perdure")};
    return shard_open(&env, &options, &s->shard, arena, error);
}

static err open_parts(struct server *s, struct arena *arena, struct error *error)
{
    TRY(open_port(s, arena, error));
    TRY(open_store(s, arena, error));
    const struct matching_env menv = {.arg = s, .now = env_now, .shard_of = env_shard_of, .store = s->store, .mailbox = &s->mailbox, .rearm = env_rearm};
    s->matching = matching_create(&menv, &(struct matching_options){0});
    s->settings = (struct frontend_settings){
        .limits = s->limits, .cluster_name = STR("active"), .store_name = str_of(s->store->ops->name), .shard_count = 1,
        .callback_rules = s->options.callback_rules, .callback_rule_count = s->options.callback_rule_count,
    };
    TRY(open_shard(s, arena, error));
    const struct frontend_env fenv = {.arg = s, .now = env_now, .rearm = env_rearm, .shard = s->shard, .matching = s->matching, .store = s->store,
                                      .mailbox = &s->mailbox, .settings = &s->settings, .seed = s->options.seed + 1, .read_zone = env_read_zone,
                                      .post = env_post, .post_cancel = env_post_cancel};
    TRY(frontend_create(&fenv, &s->frontend));
    s->glue = glue_create(s->loop, s->frontend);
    const struct frontend_start start = {
        .namespaces = s->options.namespaces, .namespace_count = s->options.namespace_count, .search_attributes = s->options.search_attributes,
        .search_attribute_count = s->options.search_attribute_count, .done = frontend_started, .arg = s,
    };
    frontend_start(s->frontend, &start);
    env_rearm(s);
    return ERR_NONE;
}

err server_create(struct loop *loop, const struct server_options *options, const struct server_events *events, struct server **server, struct arena *arena,
                  struct error *error)
{
    struct server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->options = *options;
    s->events = *events;
    s->limits = options->limits;
    s->timer.fire = on_timer;
    s->rearm.run = rearm_now;
    s->mailbox_wake.open = mailbox_open;
    mailbox_init(&s->mailbox, mailbox_notify, s);
    err result = open_parts(s, arena, error);
    if (result != ERR_NONE) {
        server_destroy(s);
        return result;
    }
    *server = s;
    return ERR_NONE;
}

int server_port(const struct server *s) { return grpc_server_port(s->grpc); }

/* ---- stop ---- */

/* The last step: nothing of ours is under way in the store. */
static void check_closed(struct server *s)
{
    if (s->is_closed || !shard_is_quiet(s->shard) || !matching_is_quiet(s->matching)) return;
    s->is_closed = true;
    loop_timer_stop(s->loop, &s->timer);
    loop_defer_stop(s->loop, &s->rearm);
    s->events.stopped(s->events.arg);
}

static void drained(void *arg)
{
    struct server *s = arg;
    s->is_drained = true;
    shard_close(s->shard);
    check_closed(s);
}

static void begin_drain(struct server *s)
{
    frontend_drain(s->frontend);
    grpc_server_drain(s->grpc, s->options.drain_max.ns != 0 ? s->options.drain_max : duration_s(10), drained, s);
}

/* What the frontend reads and writes while it starts is its own: a stop waits until it has that behind it. */
void server_stop(struct server *s)
{
    if (s->is_stopping) return;
    s->is_stopping = true;
    if (s->is_started) begin_drain(s);
}

void server_destroy(struct server *s)
{
    loop_timer_stop(s->loop, &s->timer);
    loop_defer_stop(s->loop, &s->rearm);
    if (s->grpc != NULL) grpc_server_destroy(s->grpc);
    if (s->store != NULL) store_close(s->store); /* first: its threads write into what the others lent it */
    if (s->glue != NULL) glue_destroy(s->glue);
    if (s->matching != NULL) matching_destroy(s->matching);
    if (s->shard != NULL) shard_destroy(s->shard);
    if (s->frontend != NULL) frontend_destroy(s->frontend);
    tls_context_unref(s->outward);
    mailbox_fini(&s->mailbox);
    free(s);
}
