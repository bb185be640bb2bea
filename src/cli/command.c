#include "cli/commands.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ROWS(...) (const uint16_t[]){__VA_ARGS__, 0}
#define F(field) FLAG_##field
#define NEED(field) (FLAG_##field | FLAG_REQUIRED)
#define WHICH NEED(workflow_id), F(run_id)
#define SOME F(workflow_id), F(run_id), F(query), F(reason), F(rps), F(yes)
#define INPUT F(input), F(input_file), F(input_meta), F(input_base64)
#define START NEED(type), NEED(task_queue), F(workflow_id), INPUT, F(execution_timeout), F(run_timeout), F(task_timeout), F(id_reuse_policy),        \
    F(id_conflict_policy), F(fail_existing), F(start_delay), F(memo), F(search_attribute), F(static_summary), F(static_details), F(priority_key),     \
    F(fairness_key), F(fairness_weight)

const uint16_t flags_global[] = {F(output), F(color), F(time_format), F(no_shorthand), F(command_timeout), F(connect_timeout), F(config_file), F(profile),
    F(disable_config_file), F(disable_config_env), F(env), F(env_file), F(log_level), F(log_format), 0};
const uint16_t flags_connection[] = {F(address), F(namespace), F(api_key), F(identity), F(authority), F(grpc_meta), F(tls), F(tls_ca_path), F(tls_ca_data),
    F(tls_cert_path), F(tls_cert_data), F(tls_key_path), F(tls_key_data), F(tls_server_name), F(tls_no_verify), 0};

const struct command commands[] = {
    {"workflow start", run_workflow_start, ROWS(START), "Start a workflow and say which run it is.",
     "  perdure workflow start --type Greet --task-queue hello -w greet-1 -i '\"Ada\"'\n"},
    {"workflow execute", run_workflow_execute, ROWS(START, F(detailed)), "Start a workflow, show its progress and wait for its result.",
     "  perdure workflow execute --type Greet --task-queue hello -i '\"Ada\"'\n"},
    {"workflow signal-with-start", run_workflow_signal_with_start, ROWS(START, NEED(signal_type), F(signal_input)), "Signal a workflow; start it first if it is not running.",
     "  perdure workflow signal-with-start -w cart-7 --type Cart -t shop --signal-name add --signal-input '\"apple\"'\n"},
    {"workflow list", run_workflow_list, ROWS(F(query), F(limit), F(page_size), F(archived)), "List workflows, the latest first.",
     "  perdure workflow list --query \"ExecutionStatus = 'Failed' AND StartTime > '2030-01-01T00:00:00Z'\"\n"},
    {"workflow count", run_workflow_count, ROWS(F(query)), "Count workflows.", "  perdure workflow count --query 'GROUP BY ExecutionStatus'\n"},
    {"workflow show", run_workflow_show, ROWS(WHICH, F(follow), F(detailed)), "Show the history of a workflow.", "  perdure workflow show -w greet-1 --follow\n"},
    {"workflow describe", run_workflow_describe, ROWS(WHICH, F(raw), F(reset_points)), "Show how a workflow is doing.", "  perdure workflow describe -w greet-1\n"},
    {"workflow result", run_workflow_result, ROWS(WHICH), "Wait for a workflow and show its result.", "  perdure workflow result -w greet-1\n"},
    {"workflow signal", run_workflow_signal, ROWS(SOME, NEED(signal_name), INPUT), "Send a signal to one workflow, or to all that a query finds.",
     "  perdure workflow signal -w cart-7 --name add -i '\"apple\"'\n"},
    {"workflow query", run_workflow_query, ROWS(WHICH, NEED(query_name), INPUT, F(reject_condition)), "Ask a workflow something.", "  perdure workflow query -w cart-7 --name total\n"},
    {"workflow stack", run_workflow_stack, ROWS(WHICH, F(reject_condition)), "Show where a workflow's code waits.", "  perdure workflow stack -w cart-7\n"},
    {"workflow metadata", run_workflow_metadata, ROWS(WHICH, F(reject_condition)), "Show which signals, queries and updates a workflow takes.", NULL},
    {"workflow update execute", run_workflow_update_execute, ROWS(WHICH, NEED(update_name), F(update_id), F(first_run_id), INPUT), "Send an update and wait for its answer.",
     "  perdure workflow update execute -w cart-7 --name checkout -i '{\"card\": 1}'\n"},
    {"workflow update start", run_workflow_update_start, ROWS(WHICH, NEED(update_name), NEED(wait_for_stage), F(update_id), F(first_run_id), INPUT),
     "Send an update and wait until it is accepted.", "  perdure workflow update start -w cart-7 --name checkout --wait-for-stage accepted\n"},
    {"workflow update result", run_workflow_update_result, ROWS(WHICH, NEED(update_id)), "Wait for the answer of an update.", NULL},
    {"workflow update describe", run_workflow_update_describe, ROWS(WHICH, NEED(update_id)), "Show how far an update is.", NULL},
    {"workflow cancel", run_workflow_cancel, ROWS(SOME), "Ask one workflow, or all that a query finds, to stop.", "  perdure workflow cancel -w cart-7\n"},
    {"workflow terminate", run_workflow_terminate, ROWS(SOME), "Stop workflows at once; their code is not asked.",
     "  perdure workflow terminate --query \"WorkflowType = 'Cart'\" --reason 'old shop'\n"},
    {"workflow delete", run_workflow_delete, ROWS(SOME), "Remove workflows with their histories.", "  perdure workflow delete -w cart-7\n"},
    {"workflow reset", run_workflow_reset, ROWS(F(workflow_id) | FLAG_REQUIRED, F(run_id), F(event_id), F(reset_type), F(build_id), F(reapply_exclude), NEED(reason)),
     "Go back to an earlier point of a workflow's history, as a new run.", "  perdure workflow reset -w cart-7 --type LastWorkflowTask --reason 'fixed worker'\n"},
    {"operator cluster health", run_cluster_health, ROWS(0), "Ask whether the server is there.", NULL},
    {"operator cluster describe", run_cluster_describe, ROWS(F(detail)), "Show what the cluster is called and where it stores.", NULL},
    {"operator cluster system", run_cluster_system, ROWS(0), "Show the server's version and what it can do.", NULL},
    {"operator namespace create", run_namespace_create, ROWS(F(description), F(email), F(data), F(retention), F(global)), "Make a namespace.",
     "  perdure operator namespace create -n orders --retention 7d\n"},
    {"operator namespace describe", run_namespace_describe, ROWS(F(namespace_id)), "Show one namespace.", NULL},
    {"operator namespace list", run_namespace_list, ROWS(0), "Show all namespaces.", NULL},
    {"operator namespace update", run_namespace_update, ROWS(F(description), F(email), F(data), F(retention)), "Change a namespace.",
     "  perdure operator namespace update -n orders --retention 30d\n"},
    {"operator namespace delete", run_namespace_delete, ROWS(F(yes)), "Remove a namespace with all that is in it.", NULL},
    {"operator search-attribute create", run_attribute_create, ROWS(NEED(attribute_names), NEED(attribute_types)), "Add search attributes.",
     "  perdure operator search-attribute create --name Region --type Keyword\n"},
    {"operator search-attribute list", run_attribute_list, ROWS(0), "Show the search attributes.", NULL},
    {"operator search-attribute remove", run_attribute_remove, ROWS(NEED(attribute_names), F(yes)), "Remove search attributes.", NULL},
    {"task-queue describe", run_task_queue_describe, ROWS(NEED(task_queue), F(task_queue_type), F(legacy_type), F(legacy_mode), F(disable_stats)),
     "Show who polls a task queue and how much waits in it.", "  perdure task-queue describe -t hello\n"},
    {"config get", run_config_get, ROWS(F(prop)), "Show a profile of the config file.", NULL, true},
    {"config set", run_config_set, ROWS(NEED(prop), NEED(value)), "Set a property of a profile.", "  perdure config set --prop address --value prod.example:7233 --profile prod\n", true},
    {"config list", run_config_list, ROWS(0), "Show the profiles.", NULL, true},
    {"config delete", run_config_delete, ROWS(NEED(prop)), "Remove a property of a profile.", NULL, true},
    {"config delete-profile", run_config_delete_profile, ROWS(0), "Remove a profile.", NULL, true},
    {"env get", run_env_get, ROWS(F(key)), "Show an environment of the env file.", NULL, true},
    {"env set", run_env_set, ROWS(NEED(key), NEED(value)), "Set a property of an environment.", "  perdure env set --env prod --key address --value prod.example:7233\n", true},
    {"env list", run_env_list, ROWS(0), "Show the environments.", NULL, true},
    {"env delete", run_env_delete, ROWS(F(key)), "Remove a property, or the whole environment.", NULL, true},
    {"completion bash", run_completion_bash, ROWS(0), "Print what makes bash complete commands and flags.", "  source <(perdure completion bash)\n", true},
    {"completion zsh", run_completion_zsh, ROWS(0), "Print what makes zsh complete commands and flags.", "  source <(perdure completion zsh)\n", true},
    {"completion fish", run_completion_fish, ROWS(0), "Print what makes fish complete commands and flags.", "  perdure completion fish | source\n", true},
};
const size_t command_count = countof(commands);

/* ---- finding the command ---- */

static size_t distance(struct str a, struct str b) /* edits between two words, at most 31 bytes each */
{
    size_t row[32];
    if (a.size > 31 || b.size > 31) return 32;
    for (size_t j = 0; j <= b.size; j++) row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t above = row[j], step = diagonal + (a.data[i - 1] != b.data[j - 1]);
            row[j] = size_min(step, size_min(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b.size];
}

static struct str next_word(struct str *path)
{
    const char *space = path->size != 0 ? memchr(path->data, ' ', path->size) : NULL;
    struct str word = str_make(path->data, space != NULL ? (size_t)(space - path->data) : path->size);
    *path = str_skip(*path, space != NULL ? word.size + 1 : word.size);
    return word;
}

/* The word of `command` behind the words of `group` ("" = the first); empty: not of this group. */
static struct str word_in_group(const struct command *command, struct str group)
{
    struct str path = str_of(command->path);
    if (!str_starts_with(path, group) || (group.size != 0 && (path.size <= group.size || path.data[group.size] != ' '))) return STR_EMPTY;
    path = str_skip(path, group.size == 0 ? 0 : group.size + 1);
    return next_word(&path);
}

static bool is_new_word(size_t index, struct str group)
{
    struct str word = word_in_group(&commands[index], group);
    for (size_t i = 0; i < index; i++)
        if (str_equal(word_in_group(&commands[i], group), word)) return false;
    return !str_is_empty(word);
}

bool cli_knows(const char *word)
{
    for (size_t i = 0; i < command_count; i++)
        if (str_equal_c(word_in_group(&commands[i], STR_EMPTY), word)) return true;
    return false;
}

static void print_group(struct str group, FILE *out)
{
    fprintf(out, "Usage:\n  perdure%s%.*s COMMAND [flags]\n\nCommands:\n", group.size != 0 ? " " : "", STR_ARG(group));
    for (size_t i = 0; i < command_count; i++) {
        if (!is_new_word(i, group)) continue;
        struct str word = word_in_group(&commands[i], group);
        bool is_leaf = strlen(commands[i].path) == group.size + (group.size != 0) + word.size;
        fprintf(out, "  %-20.*s %s\n", STR_ARG(word), is_leaf ? commands[i].summary : "(a group; see its --help)");
    }
    fprintf(out, "\nperdure%s%.*s COMMAND --help says more about each.\n", group.size != 0 ? " " : "", STR_ARG(group));
}

static int unknown_word(struct str group, struct str word)
{
    const struct command *nearest = NULL;
    size_t least = 3;
    for (size_t i = 0; i < command_count; i++) {
        struct str other = word_in_group(&commands[i], group);
        if (str_is_empty(other) || distance(word, other) >= least) continue;
        least = distance(word, other);
        nearest = &commands[i];
    }
    fprintf(stderr, "Error: there is no command \"%.*s\" in perdure %.*s", STR_ARG(word), STR_ARG(group));
    if (nearest != NULL) fprintf(stderr, "; did you mean \"%.*s\"?", STR_ARG(word_in_group(nearest, group)));
    fprintf(stderr, "\n\n");
    print_group(group, stderr);
    return 1;
}

/* The longest command the leading words spell; *used says how many words. NULL: printed help or an error, *status is set. */
static const struct command *find_command(struct arena *arena, int argc, char **argv, int *used, int *status)
{
    struct str path = STR_EMPTY;
    for (int i = 1; i < argc && argv[i][0] != '-'; i++) {
        struct str longer = path.size == 0 ? str_of(argv[i]) : arena_printf(arena, "%.*s %s", STR_ARG(path), argv[i]);
        bool is_group = false;
        for (size_t c = 0; c < command_count; c++) {
            *used = i;
            if (str_equal_c(longer, commands[c].path)) return &commands[c];
            is_group = is_group || !str_is_empty(word_in_group(&commands[c], longer));
        }
        if (!is_group) {
            *status = unknown_word(path, str_of(argv[i]));
            return NULL;
        }
        path = longer;
    }
    bool wants_help = argc > 1 && (strcmp(argv[argc - 1], "--help") == 0 || strcmp(argv[argc - 1], "-h") == 0);
    print_group(path, wants_help ? stdout : stderr);
    *status = wants_help ? 0 : 1;
    return NULL;
}

/* ---- flags ---- */

enum { ROWS_MAX = 128 };

struct row_list { struct option_row rows[ROWS_MAX]; size_t count; };

static void add_rows(struct row_list *list, struct cli *cli, const uint16_t *flags, bool with_aliases)
{
    for (; *flags != 0; flags++) {
        enum flag flag = (enum flag)(*flags & 0xff);
        const struct flag_row *row = &flag_rows[flag];
        ensure(list->count + 2 <= ROWS_MAX);
        struct option_row option = {row->name, row->letter, row->kind, (char *)&cli->f + row->offset, row->value, row->help, &cli->given[flag]};
        list->rows[list->count++] = option;
        if (!with_aliases || flag_alias(flag) == NULL) continue;
        option.name = flag_alias(flag);
        option.letter = 0;
        list->rows[list->count++] = option;
    }
}

static void print_command_help(struct cli *cli)
{
    struct row_list own = {.count = 0}, others = {.count = 0};
    struct str usage = arena_printf(cli->arena, "perdure %s [flags]", cli->command->path);
    struct command_help help = {usage.data, cli->command->summary, cli->command->examples};
    add_rows(&own, cli, cli->command->flags, false);
    int width = cli->width > 0 ? cli->width : 100;
    options_print_help(&help, own.rows, own.count, width);
    if (!cli->command->is_local) add_rows(&others, cli, flags_connection, false);
    add_rows(&others, cli, flags_global, false);
    printf("\nFlags of all commands:\n");
    for (size_t i = 0; i < others.count; i++) printf("%s--%s", i == 0 ? "  " : i % 5 == 0 ? "\n  " : "  ", others.rows[i].name);
    printf("\n");
}

static bool settle_output(struct cli *cli)
{
    static const char *const formats[] = {"text", "json", "jsonl", "none"};
    struct str wanted = str_is_empty(cli->f.output) ? STR("text") : cli->f.output;
    size_t i = 0;
    while (i < countof(formats) && !str_equal_c(wanted, formats[i])) i++;
    if (i == countof(formats)) return cli_fail(cli, "--output can not be \"%.*s\"; it may be text, json, jsonl or none", STR_ARG(wanted)) == 0;
    cli->format = (enum cli_format)i;
    struct winsize size;
    bool is_terminal = isatty(1);
    if (is_terminal && ioctl(1, TIOCGWINSZ, &size) == 0) cli->width = size.ws_col;
    struct str color = cli->f.color;
    if (!str_is_empty(color) && !str_equal_c(color, "auto") && !str_equal_c(color, "always") && !str_equal_c(color, "never"))
        return cli_fail(cli, "--color can not be \"%.*s\"; it may be always, never or auto", STR_ARG(color)) == 0;
    const char *no_color = getenv("NO_COLOR");
    cli->has_color = str_equal_c(color, "always") || (is_terminal && !str_equal_c(color, "never") && (no_color == NULL || *no_color == '\0'));
    struct str times = cli->f.time_format;
    if (!str_is_empty(times) && !str_equal_c(times, "relative") && !str_equal_c(times, "iso") && !str_equal_c(times, "raw"))
        return cli_fail(cli, "--time-format can not be \"%.*s\"; it may be relative, iso or raw", STR_ARG(times)) == 0;
    return true;
}

static bool has_required(struct cli *cli)
{
    for (const uint16_t *flag = cli->command->flags; *flag != 0; flag++) {
        if ((*flag & FLAG_REQUIRED) == 0 || cli->given[*flag & 0xff]) continue;
        cli_fail(cli, "perdure %s needs --%s", cli->command->path, flag_rows[*flag & 0xff].name);
        return false;
    }
    return true;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    struct row_list list = {.count = 0};
    struct option_strings positional;
    struct str problem;
    bool wants_help;
    add_rows(&list, cli, cli->command->flags, true);
    if (!cli->command->is_local) add_rows(&list, cli, flags_connection, true);
    add_rows(&list, cli, flags_global, true);
    if (!options_parse(list.rows, list.count, argc, argv, cli->arena, &positional, &wants_help, &problem))
        return cli_fail(cli, "%.*s; see perdure %s --help", STR_ARG(problem), cli->command->path);
    if (wants_help) {
        settle_output(cli);
        print_command_help(cli);
        return 0;
    }
    if (positional.count != 0) return cli_fail(cli, "\"%.*s\" is not expected here; see perdure %s --help", STR_ARG(positional.items[0]), cli->command->path);
    if (!cli->command->is_local && !cli_settle(cli)) return 1;
    if (!settle_output(cli) || !has_required(cli)) return 1;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    cli->now = (instant){now.tv_sec * NS_PER_S + now.tv_nsec};
    return cli->command->run(cli);
}

int cli_main(int argc, char **argv)
{
    struct arena arena;
    struct cli cli = {.arena = &arena};
    int used = 0, status = 1;
    arena_init(&arena, 0, 0);
    cli.command = find_command(&arena, argc, argv, &used, &status);
    if (cli.command != NULL) status = run_command(&cli, argc - used, argv + used);
    cli_disconnect(&cli);
    arena_fini(&arena);
    return fflush(stdout) == 0 ? status : 1;
}
