/* cli/local.c: commands that talk to no server: profiles, environments, completion. */
#include "cli/commands.h"
#include "cli/files.h"

static const char *const properties[] = {
    "address", "namespace", "api_key", "client_authority", "tls", "tls.disabled", "tls.client_cert_path", "tls.client_cert_data", "tls.client_key_path",
    "tls.client_key_data", "tls.server_ca_cert_path", "tls.server_ca_cert_data", "tls.server_name", "tls.disable_host_verification", "codec.endpoint", "codec.auth",
};

static bool is_property(struct str name)
{
    for (size_t i = 0; i < countof(properties); i++)
        if (str_equal_c(name, properties[i])) return true;
    return str_starts_with(name, STR("grpc_meta.")) && name.size > strlen("grpc_meta.");
}

static bool check_property(struct cli *cli)
{
    if (is_property(cli->f.prop)) return true;
    cli_fail(cli, "unknown property \"%.*s\"; there are address, namespace, api_key, client_authority, grpc_meta.NAME, and tls.… as in tls.server_name", STR_ARG(cli->f.prop));
    return false;
}

static void put_groups(struct cli *cli, const struct settings *settings)
{
    static const char *const titles[] = {"Name"};
    struct cli_table *table = cli_table_new(cli, 1, titles);
    struct json_out w;
    cli_json_begin(cli, &w);
    json_put_open(&w, '[');
    for (size_t i = 0; i < settings->count; i++) {
        if (!str_is_empty(settings->items[i].key)) continue;
        json_put_next(&w);
        json_put_open(&w, '{');
        cli_json_field(&w, "name", settings->items[i].group);
        json_put_close(&w, '}');
        cli_table_row(table, settings->items[i].group);
    }
    json_put_close(&w, ']');
    cli_json_end(cli, &w);
    cli_table_print(table);
}

static void put_scalar(struct json_out *w, struct str value)
{
    if (str_equal_c(value, "true") || str_equal_c(value, "false")) json_put_raw(w, value);
    else json_put_string(w, value);
}

/* A profile as one object, "tls.x" as an object inside. */
static void put_profile_json(struct cli *cli, const struct settings *s, struct str group)
{
    struct json_out w;
    static const char *const tables[] = {"tls.", "grpc_meta.", "codec."};
    cli_json_begin(cli, &w);
    json_put_open(&w, '{');
    for (size_t i = 0; i < s->count; i++) {
        if (str_is_empty(s->items[i].key) || !str_equal(s->items[i].group, group) || memchr(s->items[i].key.data, '.', s->items[i].key.size) != NULL) continue;
        json_put_key(&w, s->items[i].key);
        put_scalar(&w, s->items[i].value);
    }
    for (size_t t = 0; t < countof(tables); t++) {
        struct str prefix = str_of(tables[t]);
        bool is_open = false;
        for (size_t i = 0; i < s->count; i++) {
            if (!str_equal(s->items[i].group, group) || !str_starts_with(s->items[i].key, prefix)) continue;
            if (!is_open) {
                json_put_key(&w, str_make(prefix.data, prefix.size - 1));
                json_put_open(&w, '{');
                is_open = true;
            }
            json_put_key(&w, str_skip(s->items[i].key, prefix.size));
            put_scalar(&w, s->items[i].value);
        }
        if (is_open) json_put_close(&w, '}');
    }
    json_put_close(&w, '}');
    cli_json_end(cli, &w);
}

static struct cli_table *property_table(struct cli *cli)
{
    static const char *const titles[] = {"Property", "Value"};
    return cli_table_new(cli, countof(titles), titles);
}

int run_config_get(struct cli *cli)
{
    struct settings s;
    struct str value = STR_EMPTY, group = profile_name(cli);
    struct cli_table *table = property_table(cli);
    if (!profiles_load(cli, &s)) return 1;
    if (!settings_has_group(&s, group)) return cli_fail(cli, "there is no profile \"%.*s\"", STR_ARG(group));
    if (cli->given[FLAG_prop]) {
        struct json_out w;
        if (!check_property(cli)) return 1;
        settings_get(&s, group, cli->f.prop, &value);
        cli_json_begin(cli, &w);
        json_put_open(&w, '{');
        cli_json_field(&w, "property", cli->f.prop);
        json_put_key(&w, STR("value"));
        put_scalar(&w, value);
        json_put_close(&w, '}');
        cli_json_end(cli, &w);
        cli_table_row(table, cli->f.prop, value);
    } else {
        put_profile_json(cli, &s, group);
        for (size_t i = 0; i < s.count; i++)
            if (!str_is_empty(s.items[i].key) && str_equal(s.items[i].group, group)) cli_table_row(table, s.items[i].key, s.items[i].value);
    }
    cli_table_print(table);
    return 0;
}

int run_config_set(struct cli *cli)
{
    struct settings s;
    if (!check_property(cli) || !profiles_load(cli, &s)) return 1;
    settings_set(&s, profile_name(cli), cli->f.prop, cli->f.value);
    return profiles_store(cli, &s) ? 0 : 1;
}

int run_config_list(struct cli *cli)
{
    struct settings s;
    if (!profiles_load(cli, &s)) return 1;
    put_groups(cli, &s);
    return 0;
}

int run_config_delete(struct cli *cli)
{
    struct settings s;
    if (!check_property(cli) || !profiles_load(cli, &s)) return 1;
    if (!settings_has_group(&s, profile_name(cli))) return cli_fail(cli, "there is no profile \"%.*s\"", STR_ARG(profile_name(cli)));
    settings_remove(&s, profile_name(cli), cli->f.prop);
    return profiles_store(cli, &s) ? 0 : 1;
}

int run_config_delete_profile(struct cli *cli)
{
    struct settings s;
    if (!profiles_load(cli, &s)) return 1;
    if (!settings_remove(&s, profile_name(cli), STR_EMPTY)) return cli_fail(cli, "there is no profile \"%.*s\"", STR_ARG(profile_name(cli)));
    return profiles_store(cli, &s) ? 0 : 1;
}

/* The older way: NAME or NAME.PROPERTY without a flag, the value behind it. */
static void take_words(struct cli *cli)
{
    if (cli->words.count == 0) return;
    struct str name = cli->words.items[0];
    const char *dot = name.size != 0 ? memchr(name.data, '.', name.size) : NULL;
    cli->f.env = dot != NULL ? str_make(name.data, (size_t)(dot - name.data)) : name;
    if (dot != NULL) {
        cli->f.key = str_skip(name, cli->f.env.size + 1);
        cli->given[FLAG_key] = true;
    }
    if (cli->words.count < 2) return;
    cli->f.value = cli->words.items[1];
    cli->given[FLAG_value] = true;
}

int run_env_get(struct cli *cli)
{
    struct settings s;
    struct json_out w;
    take_words(cli);
    struct cli_table *table = property_table(cli);
    if (!environments_load(cli, &s)) return 1;
    if (!settings_has_group(&s, environment_name(cli))) return cli_fail(cli, "there is no environment \"%.*s\"", STR_ARG(environment_name(cli)));
    cli_json_begin(cli, &w);
    json_put_open(&w, '[');
    for (size_t i = 0; i < s.count; i++) {
        const struct setting *item = &s.items[i];
        if (str_is_empty(item->key) || !str_equal(item->group, environment_name(cli)) || (cli->given[FLAG_key] && !str_equal(item->key, cli->f.key))) continue;
        json_put_next(&w);
        json_put_open(&w, '{');
        cli_json_field(&w, "property", item->key);
        cli_json_field(&w, "value", item->value);
        json_put_close(&w, '}');
        cli_table_row(table, item->key, item->value);
    }
    json_put_close(&w, ']');
    cli_json_end(cli, &w);
    cli_table_print(table);
    return 0;
}

int run_env_set(struct cli *cli)
{
    struct settings s;
    take_words(cli);
    if (!cli->given[FLAG_key] || !cli->given[FLAG_value]) return cli_fail(cli, "perdure env set needs --key and --value");
    if (!environments_load(cli, &s)) return 1;
    settings_set(&s, environment_name(cli), cli->f.key, cli->f.value);
    return environments_store(cli, &s) ? 0 : 1;
}

int run_env_list(struct cli *cli)
{
    struct settings s;
    if (!environments_load(cli, &s)) return 1;
    put_groups(cli, &s);
    return 0;
}

int run_env_delete(struct cli *cli)
{
    struct settings s;
    take_words(cli);
    if (!environments_load(cli, &s)) return 1;
    if (!settings_remove(&s, environment_name(cli), cli->f.key)) {
        cli_say(cli, "There was no such environment or property");
        return 0;
    }
    return environments_store(cli, &s) ? 0 : 1;
}

/* ---- completion: the words of the commands, their flags, and what those may be ---- */

static void print_flags(const uint16_t *flags)
{
    for (; *flags != 0; flags++) printf(" --%s", flag_rows[*flags & 0xff].name);
}

/* A case for each flag whose values are known: the command line up to the flag, then the words. `path` NULL: any command. */
static void print_choices(const char *path, const uint16_t *flags)
{
    for (; *flags != 0; flags++) {
        enum flag flag = (enum flag)(*flags & 0xff);
        if (flag_choices(flag) == NULL) continue;
        printf(path != NULL ? "    \"%s --%s\"" : "    %s*\" --%s\"", path != NULL ? path : "", flag_rows[flag].name);
        if (path == NULL && flag_rows[flag].letter != 0) printf(" | *\" -%c\"", flag_rows[flag].letter);
        printf(") words=\"%s\" ;;\n", flag_choices(flag));
    }
}

/* For zsh as well, where a variable named "path" would be the search path. */
int run_completion_bash(struct cli *cli)
{
    (void)cli;
    printf("_perdure() {\n  local said=\"\" words=\"\" w i\n  for ((i = 1; i < COMP_CWORD; i++)); do\n    w=${COMP_WORDS[i]}\n"
           "    [[ $w == -* ]] && break\n    said=\"$said $w\"\n  done\n  case \"${said# } ${COMP_WORDS[COMP_CWORD - 1]}\" in\n");
    print_choices(NULL, flags_global);
    for (size_t i = 0; i < command_count; i++) print_choices(commands[i].path, commands[i].flags);
    printf("  esac\n  [[ -n $words ]] || case \"${said# }\" in\n");
    for (size_t i = 0; i < command_count; i++) {
        printf("    \"%s\") words=\"", commands[i].path);
        print_flags(commands[i].flags);
        print_flags(flags_global);
        if (!commands[i].is_local) print_flags(flags_connection);
        printf("\" ;;\n");
    }
    printf("    *) words=$(while read -r line; do\n        if [[ -z ${said# } ]]; then echo \"${line%%%% *}\"; "
           "elif [[ $line == \"${said# } \"* ]]; then rest=${line#\"${said# } \"}; echo \"${rest%%%% *}\"; fi\n      done <<'END'\n");
    for (size_t i = 0; i < command_count; i++) printf("%s\n", commands[i].path);
    printf("server start-dev\nEND\n    ) ;;\n  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -F _perdure perdure\n");
    return 0;
}

int run_completion_zsh(struct cli *cli)
{
    printf("autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n");
    return run_completion_bash(cli);
}

/* In double quotes, as fish reads them. */
static void print_fish_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (strchr("\"\\$", *text) != NULL) putchar('\\');
        putchar(*text);
    }
    printf("\"\n");
}

static void print_fish_flags(const char *when, const uint16_t *flags)
{
    for (; *flags != 0; flags++) {
        const struct flag_row *row = &flag_rows[*flags & 0xff];
        const char *choices = flag_choices((enum flag)(*flags & 0xff));
        printf("complete -c perdure -n '%s' -l %s", when, row->name);
        if (row->letter != 0) printf(" -s %c", row->letter);
        if (choices != NULL) printf(" -x -a '%s'", choices);
        else if (row->kind != OPTION_FLAG) printf(" -r");
        printf(" -d ");
        print_fish_text(row->help);
    }
}

int run_completion_fish(struct cli *cli)
{
    printf("function __perdure_words\n  set -l words (commandline -opc | string match -v -- '-*')\n  echo \"$words[2..-1]\"\nend\n"
           "function __perdure_at\n  test (__perdure_words) = \"$argv\"\nend\nfunction __perdure_in\n  string match -q -- \"$argv*\" (__perdure_words)\nend\ncomplete -c perdure -f\n");
    for (size_t i = 0; i < command_count; i++) {
        struct str path = str_of(commands[i].path);
        for (size_t at = 0; at < path.size; at++) { /* each word of the path, behind the words before it */
            if (at != 0 && path.data[at - 1] != ' ') continue;
            const char *end = memchr(path.data + at, ' ', path.size - at);
            size_t size = end != NULL ? (size_t)(end - path.data) - at : path.size - at;
            bool is_new = i == 0 || strlen(commands[i - 1].path) < at + size || memcmp(commands[i - 1].path, path.data, at + size) != 0;
            if (!is_new) continue;
            printf("complete -c perdure -n '__perdure_at %.*s' -a %.*s -d ", (int)(at == 0 ? 0 : at - 1), path.data, (int)size, path.data + at);
            print_fish_text(end == NULL ? commands[i].summary : "more commands");
        }
        const char *when = arena_printf(cli->arena, "__perdure_in %s", commands[i].path).data;
        print_fish_flags(when, commands[i].flags);
    }
    print_fish_flags("__perdure_in", flags_global);
    print_fish_flags("__perdure_in", flags_connection);
    printf("complete -c perdure -n '__perdure_at ' -a server\ncomplete -c perdure -n '__perdure_at server' -a start-dev -d 'start a server on this machine'\n");
    return 0;
}
