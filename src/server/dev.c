#include "server/dev.h"

#include "base/log.h"
#include "cli/options.h"
#include "net/loop.h"
#include "proto/json.h"
#include "server/server.h"
#include "visibility/attribute.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct dev_flags {
    struct str ip, db_filename, log_level, log_format, tls_cert, tls_key, tls_client_ca;
    struct str ui_ip, ui_public_path, ui_asset_path, ui_codec_endpoint, sqlite_pragma, log_config;
    int64_t port, ui_port, http_port, metrics_port;
    bool headless, ui_disable_news_fetch, log_config_flag;
    struct option_strings namespaces, search_attributes, dynamic_config, sqlite_pragmas;
    bool has_ui, has_http, has_metrics;
};

struct dev {
    struct loop *loop;
    struct server *server;
    const struct dev_flags *flags;
    struct loop_signal *on_int, *on_term;
    int exit_status, signal_count;
};

static void log_problem(const char *words) { fprintf(stderr, "perdure: %s\n", words); }

/* ---- settings ---- */

static bool read_callback_rules(struct server_options *options, struct str text, struct arena *arena)
{
    struct json_in in;
    struct error error = {0};
    enum { RULES_MAX = 1000 };
    struct callback_rule *rules = arena_array(arena, struct callback_rule, RULES_MAX);
    size_t count = 0;
    json_init(&in, text, arena, &error);
    json_open(&in, '[');
    while (json_more(&in, ']')) {
        struct callback_rule rule = {0};
        struct str key;
        json_open(&in, '{');
        while (json_more(&in, '}')) {
            if (!json_key(&in, &key)) break;
            if (key.size == 7 && strncasecmp(key.data, "Pattern", 7) == 0) json_string(&in, &rule.pattern);
            else if (key.size == 13 && strncasecmp(key.data, "AllowInsecure", 13) == 0) json_bool(&in, &rule.is_insecure_allowed);
            else json_refuse(&in, "an address has \"Pattern\" and \"AllowInsecure\", not \"%.*s\"", STR_ARG(key));
        }
        if (!json_failed(&in) && (str_is_empty(rule.pattern) || count == RULES_MAX)) json_refuse(&in, "an address needs a \"Pattern\", and there are at most %d", RULES_MAX);
        if (json_failed(&in)) break;
        rules[count++] = rule;
    }
    if (!json_failed(&in)) json_end(&in);
    if (json_failed(&in)) {
        log_problem(arena_printf(arena, "component.callbacks.allowedAddresses: %.*s", STR_ARG(error_message(&error))).data);
        return false;
    }
    options->callback_rules = rules;
    options->callback_rule_count = count;
    return true;
}

static struct str unquoted(struct str text)
{
    bool is_quoted = text.size > 2 && text.data[0] == '"' && text.data[text.size - 1] == '"';
    return is_quoted ? (struct str){text.data + 1, text.size - 2} : text;
}

/* KEY=JSON: numbers, booleans and spans of time ("1m30s", in quotes or not) are set where they are limits here; other known keys are named
 * and left alone. */
static bool set_dynamic_config(struct server_options *options, struct str text, struct arena *arena)
{
    const char *eq = text.size != 0 ? memchr(text.data, '=', text.size) : NULL;
    if (eq == NULL || eq == text.data) {
        log_problem(arena_printf(arena, "--dynamic-config-value wants KEY=VALUE, not \"%.*s\"", STR_ARG(text)).data);
        return false;
    }
    struct str key = {text.data, (size_t)(eq - text.data)};
    const char *value = eq + 1;
    static const char addresses[] = "component.callbacks.allowedAddresses";
    if (key.size == sizeof addresses - 1 && strncasecmp(key.data, addresses, key.size) == 0) return read_callback_rules(options, str_of(value), arena);
    char *end;
    duration span;
    double number = strtod(value, &end);
    if (strcmp(value, "true") == 0) number = 1;
    else if (strcmp(value, "false") == 0) number = 0;
    else if (*value == '\0' || *end != '\0') number = duration_parse(unquoted(str_of(value)), &span) ? (double)(span.ns / NS_PER_MS) : -1;
    if (number < 0 || !limits_set(&options->limits, key, (int64_t)number))
        log_warn("server", "this dynamic config key has no effect here", "key", arena_cstr(arena, key));
    return true;
}

static bool read_file(const char *path, struct arena *arena, struct str *out)
{
    FILE *f = fopen(path, "rb");
    struct buf bytes = {0};
    bool is_good = f != NULL;
    for (size_t n = 1; is_good && n != 0; bytes.size += n) {
        n = fread(buf_reserve(&bytes, 4096), 1, 4096, f);
        if (bytes.size > 1024 * 1024 || ferror(f)) is_good = false;
    }
    if (f != NULL) fclose(f);
    if (is_good) *out = arena_str(arena, buf_view(&bytes));
    else log_problem(arena_printf(arena, "can not read %s: %s", path, strerror(errno)).data);
    buf_fini(&bytes);
    return is_good;
}

static bool read_tls(const struct dev_flags *flags, struct arena *arena, struct tls_options *tls)
{
    if (str_is_empty(flags->tls_cert) != str_is_empty(flags->tls_key)) {
        log_problem("--tls-cert and --tls-key go together");
        return false;
    }
    if (!str_is_empty(flags->tls_cert) && (!read_file(flags->tls_cert.data, arena, &tls->certificate) || !read_file(flags->tls_key.data, arena, &tls->key))) return false;
    if (str_is_empty(flags->tls_client_ca)) return true;
    if (str_is_empty(flags->tls_cert)) {
        log_problem("--tls-client-ca needs --tls-cert and --tls-key");
        return false;
    }
    tls->require_client_certificate = true;
    return read_file(flags->tls_client_ca.data, arena, &tls->ca);
}

static bool check_search_attribute(struct str text, struct arena *arena)
{
    const char *eq = text.size != 0 ? memchr(text.data, '=', text.size) : NULL;
    enum attribute_type type;
    if (eq != NULL && eq != text.data && attribute_type_parse((struct str){eq + 1, text.size - (size_t)(eq + 1 - text.data)}, &type)) return true;
    log_problem(arena_printf(arena, "--search-attribute wants NAME=TYPE with a type of Text, Keyword, Int, Double, Bool, Datetime or KeywordList, not \"%.*s\"",
                             STR_ARG(text)).data);
    return false;
}

static bool set_logging(const struct dev_flags *flags)
{
    enum log_level level = LOG_WARN;
    if (!str_is_empty(flags->log_level) && !log_level_parse(flags->log_level.data, &level)) {
        log_problem("--log-level is one of debug, info, warn, error, never");
        return false;
    }
    if (str_equal_c(flags->log_format, "json")) log_set_format(LOG_JSON);
    else if (!str_is_empty(flags->log_format) && !str_equal_c(flags->log_format, "text") && !str_equal_c(flags->log_format, "pretty")) {
        log_problem("--log-format is text or json");
        return false;
    }
    log_set_level(level);
    return true;
}

/* Flags of the official program that ask for something this server has not. */
static void warn_of_flags(const struct dev_flags *flags)
{
    if (flags->has_ui || !str_is_empty(flags->ui_ip)) log_warn("server", "there is no web page in this release; its flags have no effect", "flag", "--ui-port, --ui-ip");
    if (flags->has_http) log_warn("server", "there is no HTTP API in this release", "flag", "--http-port");
    if (flags->has_metrics) log_warn("server", "there is no metrics endpoint in this release", "flag", "--metrics-port");
    if (flags->log_config_flag) log_warn("server", "there is no configuration beside the flags", "flag", "--log-config");
    if (flags->sqlite_pragmas.count != 0) log_warn("server", "the database's settings are fixed", "flag", "--sqlite-pragma");
}

/* ---- running ---- */

static void on_ready(void *arg)
{
    struct dev *d = arg;
    const struct dev_flags *f = d->flags;
    printf("Perdure %s is ready.\n\n", PERDURE_VERSION);
    bool is_six = memchr(f->ip.data, ':', f->ip.size) != NULL;
    printf("  Address     %s%.*s%s:%d%s\n", is_six ? "[" : "", STR_ARG(f->ip), is_six ? "]" : "", server_port(d->server), str_is_empty(f->tls_cert) ? "" : "  (TLS)");
    if (!str_is_empty(f->db_filename)) printf("  File        %.*s\n", STR_ARG(f->db_filename));
    else printf("  File        none: everything is gone when it stops; --db-filename FILE keeps it\n");
    printf("  Namespaces  default");
    for (size_t i = 0; i < f->namespaces.count; i++)
        if (!str_equal_c(f->namespaces.items[i], "default")) printf(", %.*s", STR_ARG(f->namespaces.items[i]));
    printf("\n  Stop        Ctrl-C\n");
    fflush(stdout);
    log_info("server", "ready");
}

static void on_failed(void *arg, const struct error *error)
{
    struct dev *d = arg;
    struct str words = error_message(error);
    fprintf(stderr, "perdure: the server can not start: %.*s\n", STR_ARG(words));
    d->exit_status = 1;
    server_stop(d->server);
}

static void on_stopped(void *arg)
{
    struct dev *d = arg;
    log_info("server", "stopped");
    loop_stop(d->loop);
}

static void on_signal(void *arg, int number)
{
    struct dev *d = arg;
    if (d->signal_count++ > 0) _exit(128 + number); /* a second Ctrl-C: at once; everything acknowledged is on disk */
    log_info("server", "stopping");
    server_stop(d->server);
}

static instant wall_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (instant){t.tv_sec * NS_PER_S + t.tv_nsec};
}

static int run(const struct dev_flags *flags, struct server_options *options, struct arena *arena)
{
    struct dev d = {.flags = flags};
    struct error error = {0};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its size limit is an error of the write, not the end of the server */
    if (getrandom(&options->seed, sizeof options->seed, 0) != sizeof options->seed) options->seed = (uint64_t)wall_now().ns;
    d.loop = loop_create();
    if (d.loop == NULL) {
        log_problem("the system gives no more file descriptors");
        return 1;
    }
    const struct server_events events = {.ready = on_ready, .failed = on_failed, .stopped = on_stopped, .arg = &d};
    if (server_create(d.loop, options, &events, &d.server, arena, &error) != ERR_NONE) {
        struct str words = error_message(&error);
        fprintf(stderr, "perdure: %.*s\n", STR_ARG(words));
        loop_destroy(d.loop);
        return 1;
    }
    d.on_int = loop_signal_start(d.loop, SIGINT, on_signal, &d);
    d.on_term = loop_signal_start(d.loop, SIGTERM, on_signal, &d);
    loop_run(d.loop);
    loop_signal_stop(d.on_int);
    loop_signal_stop(d.on_term);
    server_destroy(d.server);
    loop_destroy(d.loop);
    return d.exit_status;
}

/* An address as it stands; a name becomes its first address, that of IPv4 before others. */
static bool resolve(struct dev_flags *f, struct arena *arena)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char text[INET6_ADDRSTRLEN] = "";
    const char *name = arena_cstr(arena, f->ip);
    unsigned char bytes[16];
    if (inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1) return true;
    int failed = getaddrinfo(name, NULL, &hints, &found);
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
        if (text[0] == '\0' || a->ai_family == AF_INET) getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    if (found != NULL) freeaddrinfo(found);
    if (text[0] == '\0') log_problem(arena_printf(arena, "--ip %s: %s", name, failed != 0 ? gai_strerror(failed) : "it has no address").data);
    else f->ip = arena_str(arena, str_of(text));
    return text[0] != '\0';
}

static const struct command_help help = {
    .usage = "perdure server start-dev [flags]",
    .summary = "Starts a server on this machine: one process, no set-up. Without --db-filename everything is kept in memory.",
    .examples = "  perdure server start-dev\n"
                "  perdure server start-dev --db-filename perdure.db --namespace orders\n"
                "  perdure server start-dev --port 7234 --search-attribute Region=Keyword\n",
};

int server_start_dev(int argc, char **argv)
{
    struct dev_flags f = {.ip = STR("127.0.0.1"), .port = 7233};
    struct str unused[9];
    bool is_unused[3];
    const struct option_row rows[] = {
        {"db-filename", 'f', OPTION_STRING, &f.db_filename, "FILE", "keep everything in this file; made when missing", NULL},
        {"port", 'p', OPTION_INT, &f.port, "PORT", "port of the gRPC service (7233); 0 takes a free one", NULL},
        {"ip", 0, OPTION_STRING, &f.ip, "ADDRESS", "address to listen at, or its name (127.0.0.1)", NULL},
        {"namespace", 'n', OPTION_STRINGS, &f.namespaces, "NAME", "make this namespace as well as \"default\"; may be repeated", NULL},
        {"search-attribute", 0, OPTION_STRINGS, &f.search_attributes, "NAME=TYPE", "register a search attribute in the namespaces made now; may be repeated", NULL},
        {"dynamic-config-value", 0, OPTION_STRINGS, &f.dynamic_config, "KEY=VALUE", "set a limit by its dynamic config key; may be repeated", NULL},
        {"headless", 0, OPTION_FLAG, &f.headless, NULL, "no web page (there is none in this release)", NULL},
        {"log-level", 0, OPTION_STRING, &f.log_level, "LEVEL", "debug, info, warn (default), error or never", NULL},
        {"log-format", 0, OPTION_STRING, &f.log_format, "FORMAT", "text (default) or json", NULL},
        {"tls-cert", 0, OPTION_STRING, &f.tls_cert, "FILE", "serve TLS with this certificate (PEM, with its chain)", NULL},
        {"tls-key", 0, OPTION_STRING, &f.tls_key, "FILE", "the certificate's key (PEM)", NULL},
        {"tls-client-ca", 0, OPTION_STRING, &f.tls_client_ca, "FILE", "demand client certificates signed by these (PEM)", NULL},
        {"ui-port", 0, OPTION_INT, &f.ui_port, "PORT", "accepted, without effect in this release", &f.has_ui},
        {"ui-ip", 0, OPTION_STRING, &f.ui_ip, "ADDRESS", "accepted, without effect in this release", NULL},
        {"ui-public-path", 0, OPTION_STRING, &f.ui_public_path, "PATH", "accepted, without effect in this release", NULL},
        {"ui-asset-path", 0, OPTION_STRING, &f.ui_asset_path, "PATH", "accepted, without effect in this release", NULL},
        {"ui-codec-endpoint", 0, OPTION_STRING, &f.ui_codec_endpoint, "URL", "accepted, without effect in this release", NULL},
        {"ui-disable-news-fetch", 0, OPTION_FLAG, &f.ui_disable_news_fetch, NULL, "accepted; nothing is ever fetched", NULL},
        {"http-port", 0, OPTION_INT, &f.http_port, "PORT", "accepted, without effect in this release", &f.has_http},
        {"metrics-port", 0, OPTION_INT, &f.metrics_port, "PORT", "accepted, without effect in this release", &f.has_metrics},
        {"sqlite-pragma", 0, OPTION_STRINGS, &f.sqlite_pragmas, "NAME=VALUE", "accepted, without effect: the settings are fixed", NULL},
        {"log-config", 0, OPTION_FLAG, &f.log_config_flag, NULL, "accepted, without effect in this release", NULL},
        /* Flags of all commands of the official program; a server has no use for them, so the help does not name them. */
        {"output", 'o', OPTION_STRING, &unused[0], NULL, NULL, NULL},
        {"color", 0, OPTION_STRING, &unused[1], NULL, NULL, NULL},
        {"time-format", 0, OPTION_STRING, &unused[2], NULL, NULL, NULL},
        {"command-timeout", 0, OPTION_STRING, &unused[3], NULL, NULL, NULL},
        {"client-connect-timeout", 0, OPTION_STRING, &unused[4], NULL, NULL, NULL},
        {"config-file", 0, OPTION_STRING, &unused[5], NULL, NULL, NULL},
        {"profile", 0, OPTION_STRING, &unused[6], NULL, NULL, NULL},
        {"env", 0, OPTION_STRING, &unused[7], NULL, NULL, NULL},
        {"env-file", 0, OPTION_STRING, &unused[8], NULL, NULL, NULL},
        {"disable-config-file", 0, OPTION_FLAG, &is_unused[0], NULL, NULL, NULL},
        {"disable-config-env", 0, OPTION_FLAG, &is_unused[1], NULL, NULL, NULL},
        {"no-json-shorthand-payloads", 0, OPTION_FLAG, &is_unused[2], NULL, NULL, NULL},
    };
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct option_strings words = {0};
    struct str problem = STR_EMPTY;
    bool wants_help;
    int status = 1;
    struct server_options options = {.limits = limits_default()};
    bool is_good = options_parse(rows, countof(rows), argc, argv, &arena, &words, &wants_help, &problem);
    if (is_good && wants_help) {
        options_print_help(&help, rows, countof(rows), 100);
        arena_fini(&arena);
        return 0;
    }
    if (is_good && words.count != 0) {
        problem = arena_printf(&arena, "start-dev takes flags only, not \"%.*s\"", STR_ARG(words.items[0]));
        is_good = false;
    }
    if (is_good && (f.port < 0 || f.port > 65535)) {
        problem = STR("--port is between 0 and 65535");
        is_good = false;
    }
    if (!is_good) {
        log_problem(problem.data);
        fprintf(stderr, "See: perdure server start-dev --help\n");
        arena_fini(&arena);
        return status;
    }
    log_set_clock(wall_now);
    is_good = set_logging(&f) && resolve(&f, &arena) && read_tls(&f, &arena, &options.tls);
    for (size_t i = 0; is_good && i < f.search_attributes.count; i++) is_good = check_search_attribute(f.search_attributes.items[i], &arena);
    for (size_t i = 0; is_good && i < f.dynamic_config.count; i++) is_good = set_dynamic_config(&options, f.dynamic_config.items[i], &arena);
    if (is_good) {
        warn_of_flags(&f);
        options.ip = f.ip;
        options.port = (int)f.port;
        options.db_path = !str_is_empty(f.db_filename) ? f.db_filename.data : NULL;
        options.namespaces = f.namespaces.items;
        options.namespace_count = f.namespaces.count;
        options.search_attributes = f.search_attributes.items;
        options.search_attribute_count = f.search_attributes.count;
        status = run(&f, &options, &arena);
    }
    arena_fini(&arena);
    return status;
}
