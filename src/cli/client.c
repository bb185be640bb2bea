#include "base/log.h"
#include "cli/cli.h"
#include "cli/codec.h"
#include "cli/files.h"
#include "net/grpc_client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

int cli_fail(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%sError:%s ", cli->has_color ? "\033[31m" : "", cli->has_color ? "\033[0m" : "");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

int cli_fail_call(struct cli *cli, const char *doing)
{
    const char *hint = "";
    if (cli->code == GRPC_UNAVAILABLE) hint = "\nIs a server running there? See --address; `perdure server start-dev` starts one.";
    else if (cli->code == GRPC_UNAUTHENTICATED || cli->code == GRPC_PERMISSION_DENIED) hint = "\nSee --api-key and the --tls flags.";
    else if (cli->code == GRPC_DEADLINE_EXCEEDED) hint = "\nThe server did not answer in time; see --command-timeout.";
    else if (cli->code == GRPC_UNIMPLEMENTED) hint = "\nThis server has no such method, or it is switched off there.";
    else if (cli->code == GRPC_NOT_FOUND && cli->message.size != 0 && memmem(cli->message.data, cli->message.size, "amespace", 8) != NULL) hint = "\nSee --namespace; `perdure operator namespace list` shows those that are there.";
    return cli_fail(cli, "failed %s: %.*s%s", doing, STR_ARG(cli->message), hint);
}

/* ---- settings: flags, then variables, then files ---- */

static const struct { enum flag flag; const char *variable, *key; } sources[] = {
    {FLAG_address, "TEMPORAL_ADDRESS", "address"}, {FLAG_namespace, "TEMPORAL_NAMESPACE", "namespace"},
    {FLAG_api_key, "TEMPORAL_API_KEY", "api_key"}, {FLAG_authority, "TEMPORAL_CLIENT_AUTHORITY", "client_authority"},
    {FLAG_tls_ca_path, "TEMPORAL_TLS_SERVER_CA_CERT_PATH", "tls.server_ca_cert_path"},
    {FLAG_tls_ca_data, "TEMPORAL_TLS_SERVER_CA_CERT_DATA", "tls.server_ca_cert_data"},
    {FLAG_tls_cert_path, "TEMPORAL_TLS_CLIENT_CERT_PATH", "tls.client_cert_path"},
    {FLAG_tls_cert_data, "TEMPORAL_TLS_CLIENT_CERT_DATA", "tls.client_cert_data"},
    {FLAG_tls_key_path, "TEMPORAL_TLS_CLIENT_KEY_PATH", "tls.client_key_path"},
    {FLAG_tls_key_data, "TEMPORAL_TLS_CLIENT_KEY_DATA", "tls.client_key_data"},
    {FLAG_tls_server_name, "TEMPORAL_TLS_SERVER_NAME", "tls.server_name"},
    {FLAG_tls_no_verify, "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "tls.disable_host_verification"},
    {FLAG_tls, "TEMPORAL_TLS", NULL}, {FLAG_codec_endpoint, "TEMPORAL_CODEC_ENDPOINT", "codec.endpoint"}, {FLAG_codec_auth, "TEMPORAL_CODEC_AUTH", "codec.auth"},
    /* older names */
    {FLAG_tls_ca_path, "TEMPORAL_TLS_CA", NULL}, {FLAG_tls_cert_path, "TEMPORAL_TLS_CERT", NULL}, {FLAG_tls_key_path, "TEMPORAL_TLS_KEY", NULL},
};

const char *cli_variable(enum flag flag)
{
    for (size_t i = 0; i < countof(sources); i++)
        if (sources[i].flag == flag) return sources[i].variable;
    return NULL;
}

static bool is_true(struct str s) { return str_equal_c(s, "true") || str_equal_c(s, "1"); }

/* False: the value does not fit the flag, and that was said. */
static bool settle(struct cli *cli, enum flag flag, struct str value, const char *from)
{
    if (cli->given[flag] || str_is_empty(value)) return true;
    struct option_row row = {.name = flag_rows[flag].name, .kind = flag_rows[flag].kind, .target = (char *)&cli->f + flag_rows[flag].offset};
    cli->given[flag] = true;
    if (option_store(&row, arena_cstr(cli->arena, value), cli->arena)) return true;
    cli_fail(cli, "%s: %s wants %s, not \"%.*s\"", from, row.name, option_wants(row.kind), STR_ARG(value));
    return false;
}

static void add_header(struct cli *cli, struct str name, struct str value)
{
    struct option_strings *list = &cli->f.grpc_meta;
    struct str *items = arena_array(cli->arena, struct str, list->count + 1);
    items[0] = arena_printf(cli->arena, "%.*s=%.*s", STR_ARG(name), STR_ARG(value)); /* in front: flags come later and win */
    if (list->count != 0) memcpy(items + 1, list->items, list->count * sizeof *items);
    *list = (struct option_strings){items, list->count + 1};
}

extern char **environ;

static bool settle_from_variables(struct cli *cli)
{
    for (size_t i = 0; i < countof(sources); i++)
        if (!settle(cli, sources[i].flag, str_of(getenv(sources[i].variable)), sources[i].variable)) return false;
    struct str prefix = STR("TEMPORAL_GRPC_META_");
    for (char **variable = environ; *variable != NULL; variable++) {
        struct str key, value;
        if (!pair_split(str_of(*variable), &key, &value) || !str_starts_with(key, prefix)) continue;
        char *name = arena_cstr(cli->arena, str_skip(key, prefix.size));
        for (char *c = name; *c != '\0'; c++) *c = *c == '_' ? '-' : (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        add_header(cli, str_of(name), value);
    }
    return true;
}

static bool settle_from_files(struct cli *cli)
{
    struct settings settings;
    struct str value;
    if (!cli->f.disable_config_file) {
        if (!profiles_load(cli, &settings)) return false;
        struct str group = profile_name(cli);
        if (cli->given[FLAG_profile] && !settings_has_group(&settings, group)) {
            cli_fail(cli, "there is no profile \"%.*s\"; `perdure config list` shows those that are", STR_ARG(group));
            return false;
        }
        for (size_t i = 0; i < countof(sources); i++)
            if (sources[i].key != NULL && settings_get(&settings, group, str_of(sources[i].key), &value) && !settle(cli, sources[i].flag, value, "the config file")) return false;
        if (settings_get(&settings, group, STR("tls.disabled"), &value) && !settle(cli, FLAG_tls, is_true(value) ? STR("false") : STR("true"), "the config file")) return false;
        if (settings_get(&settings, group, STR("tls"), &value) && !settle(cli, FLAG_tls, value, "the config file")) return false;
        for (size_t i = 0; i < settings.count; i++)
            if (str_equal(settings.items[i].group, group) && str_starts_with(settings.items[i].key, STR("grpc_meta.")))
                add_header(cli, str_skip(settings.items[i].key, strlen("grpc_meta.")), settings.items[i].value);
    }
    if (!environments_load(cli, &settings)) return false;
    for (size_t i = FLAG_NONE + 1; i < FLAG_COUNT; i++)
        if (settings_get(&settings, environment_name(cli), str_of(flag_rows[i].name), &value) && !settle(cli, (enum flag)i, value, "the env file")) return false;
    return true;
}

static struct str default_identity(struct cli *cli)
{
    char host[256] = "";
    const char *user = getenv("USER");
    gethostname(host, sizeof host - 1);
    return arena_printf(cli->arena, "temporal-cli:%s@%s", user != NULL ? user : "unknown", host);
}

bool cli_settle(struct cli *cli)
{
    if (!cli->f.disable_config_env && !settle_from_variables(cli)) return false;
    if (!settle_from_files(cli)) return false;
    if (str_is_empty(cli->f.address)) cli->f.address = STR("localhost:7233");
    if (str_is_empty(cli->f.namespace)) cli->f.namespace = STR("default");
    if (str_is_empty(cli->f.identity)) cli->f.identity = default_identity(cli);
    return true;
}

/* ---- the connection ---- */

static bool pem(struct cli *cli, struct str path, struct str data, struct str *out)
{
    *out = data;
    return str_is_empty(path) || cli_read_file(cli, arena_cstr(cli->arena, path), out);
}

static bool connect_to(struct cli *cli)
{
    struct tls_options tls = {.skip_verification = cli->f.tls_no_verify};
    if (!pem(cli, cli->f.tls_ca_path, cli->f.tls_ca_data, &tls.ca) || !pem(cli, cli->f.tls_cert_path, cli->f.tls_cert_data, &tls.certificate) ||
        !pem(cli, cli->f.tls_key_path, cli->f.tls_key_data, &tls.key)) return false;
    bool wants_tls = !str_is_empty(cli->f.api_key) || !str_is_empty(tls.ca) || !str_is_empty(tls.certificate) || !str_is_empty(cli->f.tls_server_name) || cli->f.tls_no_verify;
    if (cli->given[FLAG_tls]) wants_tls = cli->f.tls;
    struct grpc_client_options options = {
        .target = cli->f.address, .tls = wants_tls ? &tls : NULL, .server_name = cli->f.tls_server_name,
        .authority = cli->f.authority, .connect_timeout = cli->f.connect_timeout,
    };
    struct error error = {0};
    cli->loop = loop_create();
    if (cli->loop == NULL || grpc_client_create(&cli->client, cli->loop, &options, cli->arena, &error) != ERR_NONE) {
        cli_fail(cli, "can not connect to %.*s: %.*s", STR_ARG(cli->f.address), STR_ARG(error_message(&error)));
        return false;
    }
    struct grpc_header *headers = arena_array(cli->arena, struct grpc_header, cli->f.grpc_meta.count + 4);
    size_t count = 0;
    headers[count++] = (struct grpc_header){STR("client-name"), STR("temporal-cli")};
    headers[count++] = (struct grpc_header){STR("client-version"), STR("1.5.1")};
    headers[count++] = (struct grpc_header){STR("temporal-namespace"), cli->f.namespace};
    if (!str_is_empty(cli->f.api_key))
        headers[count++] = (struct grpc_header){STR("authorization"), arena_printf(cli->arena, "Bearer %.*s", STR_ARG(cli->f.api_key))};
    for (size_t i = 0; i < cli->f.grpc_meta.count; i++)
        if (pair_split(cli->f.grpc_meta.items[i], &headers[count].name, &headers[count].value)) count++;
    grpc_client_set_metadata(cli->client, (struct grpc_metadata){headers, count});
    if (!duration_is_zero(cli->f.command_timeout)) cli->deadline = instant_add(loop_steady(cli->loop), cli->f.command_timeout);
    return true;
}

bool cli_page_begin(struct cli *cli, struct cli_page *page)
{
    if (cli->client == NULL && !connect_to(cli)) return false; /* the connection outlives the page */
    arena_init(&page->arena, 0, 0);
    page->outer = cli->arena;
    cli->arena = &page->arena;
    return true;
}

void cli_page_end(struct cli *cli, struct cli_page *page, struct str *token)
{
    char *copy = str_is_empty(*token) ? NULL : str_dup_c(*token);
    *token = str_make(copy, copy != NULL ? token->size : 0);
    free(page->token);
    page->token = copy;
    cli->arena = page->outer;
    arena_fini(&page->arena);
}

void cli_disconnect(struct cli *cli)
{
    if (cli->client != NULL) {
        grpc_client_destroy(cli->client);
        loop_run_once(cli->loop, (duration){0});
    }
    if (cli->loop != NULL) loop_destroy(cli->loop);
}

/* A call under way. */
struct waiting {
    struct cli *cli;
    const struct pb_message *type; /* of the answer */
    cli_done *done;
    void *arg;
};

static void on_done(void *arg, const struct grpc_response *response)
{
    struct waiting *waiting = arg;
    struct cli *cli = waiting->cli;
    void *message = NULL;
    log_debug("cli", "answered", "code", grpc_code_name(response->code), "bytes", arena_printf(cli->arena, "%zu", response->body.size).data);
    cli->code = response->code;
    cli->message = arena_str(cli->arena, response->message);
    cli->now = loop_now(cli->loop);
    if (cli->code == GRPC_OK && pb_decode(waiting->type, response->body, cli->arena, PB_COPY, &message) != ERR_NONE) {
        cli->code = GRPC_INTERNAL;
        cli->message = STR("the answer can not be read");
    }
    if (cli->code == GRPC_OK && codec_is_used(cli)) (void)codec_apply(cli, false, waiting->type, message); /* it sets the code */
    waiting->done(waiting->arg, cli->code == GRPC_OK, message);
}

bool cli_is_late(const struct cli *cli) { return instant_is_set(cli->deadline) && instant_since(cli->deadline, loop_steady(cli->loop)).ns <= 0; }

duration cli_time_left(const struct cli *cli, duration wait)
{
    if (!instant_is_set(cli->deadline)) return wait;
    return duration_max((duration){1}, duration_min(wait, instant_since(cli->deadline, loop_steady(cli->loop))));
}

static bool start(struct cli *cli, const char *path, const struct pb_message *request_type, const void *request, struct waiting *waiting, duration wait)
{
    if (cli->client == NULL && !connect_to(cli)) {
        cli->code = GRPC_INVALID_ARGUMENT;
        cli->message = STR("no connection");
        return false;
    }
    wait = cli_time_left(cli, duration_is_zero(wait) ? duration_s(30) : wait);
    if (codec_is_used(cli)) {
        void *copy = pb_clone(request_type, request, cli->arena);
        if (!codec_apply(cli, true, request_type, copy)) return false;
        request = copy;
    }
    struct grpc_request call = {.path = str_of(path), .body = pb_encode_arena(request_type, request, cli->arena), .timeout = wait};
    waiting->cli = cli;
    log_debug("cli", "calling", "method", path, "address", arena_cstr(cli->arena, cli->f.address));
    grpc_client_call(cli->client, &call, on_done, waiting);
    return true;
}

struct answer { void *message; bool is_done; };

static void on_answer(void *arg, bool is_good, void *message)
{
    struct answer *answer = arg;
    answer->message = is_good ? message : NULL;
    answer->is_done = true;
}

bool cli_call_path(struct cli *cli, const char *path, const struct pb_message *request_type, const void *request,
                   const struct pb_message *response_type, void **response, duration wait)
{
    struct answer answer = {0};
    struct waiting waiting = {.type = response_type, .done = on_answer, .arg = &answer};
    if (!start(cli, path, request_type, request, &waiting, wait)) return false;
    while (!answer.is_done) loop_run_once(cli->loop, duration_s(1));
    *response = answer.message;
    return cli->code == GRPC_OK;
}

static const char *path_of(struct cli *cli, const struct pb_method *m)
{
    return arena_printf(cli->arena, "/%.*s/%.*s", STR_ARG(pb_method_service(m)), STR_ARG(pb_method_name(m))).data;
}

bool cli_call(struct cli *cli, size_t method, const void *request, void **response, duration wait)
{
    const struct pb_method *m = &pb_methods[method];
    return cli_call_path(cli, path_of(cli, m), pb_method_request(m), request, pb_method_response(m), response, wait);
}

bool cli_start(struct cli *cli, size_t method, const void *request, cli_done *done, void *arg, duration wait)
{
    const struct pb_method *m = &pb_methods[method];
    struct waiting *waiting = arena_new(cli->arena, struct waiting);
    *waiting = (struct waiting){.type = pb_method_response(m), .done = done, .arg = arg};
    return start(cli, path_of(cli, m), pb_method_request(m), request, waiting, wait);
}
