#include "base/log.h"
#include "cli/commands.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

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
    const struct command *found = NULL; /* one word more may make another command */
    for (int i = 1; i < argc && argv[i][0] != '-'; i++) {
        struct str longer = path.size == 0 ? str_of(argv[i]) : arena_printf(arena, "%.*s %s", STR_ARG(path), argv[i]);
        const struct command *exact = NULL;
        bool is_group = false;
        for (size_t c = 0; c < command_count; c++) {
            if (str_equal_c(longer, commands[c].path)) exact = &commands[c];
            is_group = is_group || !str_is_empty(word_in_group(&commands[c], longer));
        }
        if (exact != NULL) {
            found = exact;
            *used = i;
        }
        if (exact == NULL && !is_group && found != NULL) break;
        if (exact == NULL && !is_group) {
            *status = unknown_word(path, str_of(argv[i]));
            return NULL;
        }
        path = longer;
    }
    if (found != NULL) return found;
    bool wants_help = argc > 1 && (strcmp(argv[argc - 1], "--help") == 0 || strcmp(argv[argc - 1], "-h") == 0);
    print_group(path, wants_help ? stdout : stderr);
    *status = wants_help ? 0 : 1;
    return NULL;
}

/* ---- flags ---- */

enum { ROWS_MAX = 128 };

struct row_list { struct option_row rows[ROWS_MAX]; size_t count; };

/* The help of a flag, with the words it may be when the text does not say them. */
static const char *help_of(struct cli *cli, enum flag flag)
{
    const char *help = flag_rows[flag].help, *choices = flag_choices(flag);
    if (choices == NULL) return help;
    struct str rest = str_of(choices), first = next_word(&rest);
    if (memmem(help, strlen(help), first.data, first.size) != NULL) return help;
    struct buf out = {0};
    buf_printf(&out, "%s; %.*s", help, STR_ARG(first));
    while (rest.size != 0) {
        struct str word = next_word(&rest);
        buf_printf(&out, "%s%.*s", rest.size != 0 ? ", " : " or ", STR_ARG(word));
    }
    const char *text = arena_cstr(cli->arena, buf_view(&out));
    buf_fini(&out);
    return text;
}

static void add_rows(struct row_list *list, struct cli *cli, const uint16_t *flags, bool with_aliases)
{
    for (; *flags != 0; flags++) {
        enum flag flag = (enum flag)(*flags & 0xff);
        const struct flag_row *row = &flag_rows[flag];
        ensure(list->count + 2 <= ROWS_MAX);
        struct option_row option = {row->name, row->letter, row->kind, (char *)&cli->f + row->offset, row->value, help_of(cli, flag), &cli->given[flag]};
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
    struct str examples = arena_printf(cli->arena, "  perdure %s\n", cli->command->example);
    struct command_help help = {usage.data, cli->command->summary, examples.data};
    add_rows(&own, cli, cli->command->flags, false);
    int width = cli->width > 0 ? cli->width : 100;
    options_print_help(&help, own.rows, own.count, width);
    if (!cli->command->is_local) add_rows(&others, cli, flags_connection, false);
    add_rows(&others, cli, flags_global, false);
    printf("\nFlags of all commands:\n");
    for (size_t i = 0; i < others.count; i++) printf("%s--%s", i == 0 ? "  " : i % 5 == 0 ? "\n  " : "  ", others.rows[i].name);
    printf("\n`perdure help flags` explains them.\n");
}

/* Is the value one of those that the flag's row of choices names? */
static bool check_choices(struct cli *cli)
{
    const uint16_t *lists[] = {cli->command->flags, flags_global};
    for (size_t i = 0; i < countof(lists); i++) {
        for (const uint16_t *row = lists[i]; *row != 0; row++) {
            enum flag flag = (enum flag)(*row & 0xff);
            const char *choices = flag_choices(flag);
            const void *value = (const char *)&cli->f + flag_rows[flag].offset;
            struct option_strings list = {(struct str *)value, 1};
            if (choices == NULL || !cli->given[flag]) continue;
            if (flag_rows[flag].kind == OPTION_STRINGS) list = *(const struct option_strings *)value;
            for (size_t j = 0; j < list.count; j++) {
                struct str rest = str_of(choices);
                bool is_good = false;
                while (!is_good && rest.size != 0) is_good = str_equal(next_word(&rest), list.items[j]);
                if (is_good) continue;
                cli_fail(cli, "--%s can not be \"%.*s\"; it may be %s", flag_rows[flag].name, STR_ARG(list.items[j]), choices);
                return false;
            }
        }
    }
    return true;
}

static bool settle_output(struct cli *cli)
{
    static const char *const formats[] = {"text", "json", "jsonl", "none"};
    struct str wanted = str_is_empty(cli->f.output) ? STR("text") : cli->f.output;
    size_t i = 0;
    while (i < countof(formats) && !str_equal_c(wanted, formats[i])) i++;
    if (i == countof(formats)) i = FORMAT_TEXT; /* check_choices says what is wrong */
    cli->format = (enum cli_format)i;
    struct winsize size;
    bool is_terminal = isatty(1);
    if (is_terminal && ioctl(1, TIOCGWINSZ, &size) == 0) cli->width = size.ws_col;
    struct str color = cli->f.color;
    const char *no_color = getenv("NO_COLOR");
    cli->has_color = str_equal_c(color, "always") || (is_terminal && !str_equal_c(color, "never") && (no_color == NULL || *no_color == '\0'));
    return true;
}

static instant wall_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (instant){t.tv_sec * NS_PER_S + t.tv_nsec};
}

/* --log-level debug tells of each call, on stderr. */
static void settle_logging(struct cli *cli)
{
    enum log_level level = LOG_INFO;
    if (cli->given[FLAG_log_level]) (void)log_level_parse(arena_cstr(cli->arena, cli->f.log_level), &level);
    log_set_level(level);
    log_set_clock(wall_now);
    if (str_equal_c(cli->f.log_format, "json")) log_set_format(LOG_JSON);
    else if (str_equal_c(cli->f.log_format, "pretty")) log_set_format(LOG_PRETTY);
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

/* The flag that a wrong one was perhaps meant to be. */
static const char *near_flag(const struct row_list *list, struct str problem)
{
    const char *nearest = NULL, *dashes = memmem(problem.data, problem.size, "--", 2);
    size_t least = 3;
    if (!str_starts_with(problem, STR("there is no flag")) || dashes == NULL) return NULL;
    struct str word = str_skip(problem, (size_t)(dashes - problem.data) + 2);
    const char *eq = memchr(word.data, '=', word.size);
    if (eq != NULL) word.size = (size_t)(eq - word.data);
    for (size_t i = 0; i < list->count; i++) {
        size_t n = distance(word, str_of(list->rows[i].name));
        if (n >= least) continue;
        least = n;
        nearest = list->rows[i].name;
    }
    return nearest;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    struct row_list list = {.count = 0};
    struct str problem;
    bool wants_help;
    add_rows(&list, cli, cli->command->flags, true);
    if (!cli->command->is_local) add_rows(&list, cli, flags_connection, true);
    add_rows(&list, cli, flags_global, true);
    if (!options_parse(list.rows, list.count, argc, argv, cli->arena, &cli->words, &wants_help, &problem)) {
        const char *nearest = near_flag(&list, problem);
        if (nearest != NULL) return cli_fail(cli, "%.*s; did you mean --%s?", STR_ARG(problem), nearest);
        return cli_fail(cli, "%.*s; see perdure %s --help", STR_ARG(problem), cli->command->path);
    }
    if (wants_help) {
        settle_output(cli);
        print_command_help(cli);
        return 0;
    }
    if (cli->words.count > cli->command->word_max)
        return cli_fail(cli, "\"%.*s\" is not expected here; see perdure %s --help", STR_ARG(cli->words.items[cli->command->word_max]), cli->command->path);
    if (!cli->command->is_local && !cli_settle(cli)) return 1;
    if (!settle_output(cli) || !check_choices(cli) || !has_required(cli)) return 1;
    settle_logging(cli);
    cli->now = wall_now();
    return cli->command->run(cli);
}

int run_help_flags(struct cli *cli)
{
    static const uint16_t *const lists[] = {flags_connection, flags_global};
    for (size_t i = 0; i < countof(lists); i++) {
        struct row_list list = {.count = 0};
        add_rows(&list, cli, lists[i], false);
        for (size_t j = 0; j < list.count; j++) {
            const char *variable = cli_variable((enum flag)(lists[i][j] & 0xff));
            if (variable != NULL) list.rows[j].help = arena_printf(cli->arena, "%s; variable %s", list.rows[j].help, variable).data;
        }
        options_print_rows(i == 0 ? "Flags of all commands that talk to a server" : "Flags of all commands", list.rows, list.count, cli->width > 0 ? cli->width : 100);
        printf("\n");
    }
    printf("A flag wins over its variable, that over the profile of the config file, that over the environment of the env file.\n");
    return 0;
}

/* "help workflow start" asks for what "workflow start --help" does. */
static char **turn_help(struct arena *arena, int argc, char **argv)
{
    char **turned = arena_array(arena, char *, (size_t)argc + 1);
    turned[0] = argv[0];
    for (int i = 2; i < argc; i++) turned[i - 1] = argv[i];
    turned[argc - 1] = arena_cstr(arena, STR("--help"));
    return turned;
}

int cli_main(int argc, char **argv)
{
    struct arena arena;
    struct cli cli = {.arena = &arena};
    int used = 0, status = 1;
    arena_init(&arena, 0, 0);
    if (argc > 2 && strcmp(argv[1], "help") == 0 && strcmp(argv[2], "flags") != 0) argv = turn_help(&arena, argc, argv);
    cli.command = find_command(&arena, argc, argv, &used, &status);
    if (cli.command != NULL) status = run_command(&cli, argc - used, argv + used);
    cli_disconnect(&cli);
    arena_fini(&arena);
    return fflush(stdout) == 0 ? status : 1;
}
