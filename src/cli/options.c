#include "cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const struct { const char *unit; int64_t ns; } units[] = {
    {"ns", 1}, {"us", 1000}, {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"d", 86400 * NS_PER_S},
};

static const int64_t *unit_take(struct str *rest)
{
    size_t n = 0;
    while (n < rest->size && rest->data[n] >= 'a' && rest->data[n] <= 'z') n++;
    struct str unit = {rest->data, n};
    for (size_t i = 0; i < countof(units); i++) {
        if (!str_equal_c(unit, units[i].unit)) continue;
        *rest = str_skip(*rest, n);
        return &units[i].ns;
    }
    return NULL;
}

bool duration_parse(struct str text, duration *out)
{
    struct str rest = text;
    double total = 0;
    if (str_equal_c(text, "0")) {
        *out = (duration){0};
        return true;
    }
    if (str_is_empty(rest) || text.size > 64) return false;
    while (!str_is_empty(rest)) {
        char number[65], *end;
        size_t n = 0;
        while (n < rest.size && ((rest.data[n] >= '0' && rest.data[n] <= '9') || rest.data[n] == '.')) n++;
        if (n == 0) return false;
        memcpy(number, rest.data, n);
        number[n] = '\0';
        double value = strtod(number, &end);
        if (*end != '\0') return false;
        rest = str_skip(rest, n);
        const int64_t *unit = unit_take(&rest);
        if (unit == NULL) return false;
        total += value * (double)*unit;
        if (total > (double)DURATION_MAX.ns) return false;
    }
    *out = (duration){(int64_t)total};
    return true;
}

static bool bool_parse(const char *text, bool *out)
{
    *out = text == NULL || strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *out || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

bool option_store(const struct option_row *row, const char *text, struct arena *arena)
{
    switch (row->kind) {
    case OPTION_FLAG: return bool_parse(text, row->target);
    case OPTION_STRING: *(struct str *)row->target = str_of(text); return true;
    case OPTION_DURATION: return duration_parse(str_of(text), row->target);
    case OPTION_INT: {
        char *end;
        long long value = strtoll(text, &end, 10);
        if (*text == '\0' || *end != '\0') return false;
        *(int64_t *)row->target = value;
        return true;
    }
    case OPTION_STRINGS: {
        struct option_strings *list = row->target;
        struct str *items = arena_array(arena, struct str, list->count + 1);
        if (list->count != 0) memcpy(items, list->items, list->count * sizeof *items);
        items[list->count] = str_of(text);
        *list = (struct option_strings){items, list->count + 1};
        return true;
    }
    }
    return false;
}

const char *option_wants(enum option_kind kind)
{
    switch (kind) {
    case OPTION_FLAG: return "true or false";
    case OPTION_INT: return "a whole number";
    case OPTION_DURATION: return "a duration such as 90s, 1h30m or 7d";
    default: return "a value";
    }
}

bool options_parse(const struct option_row *rows, size_t row_count, int argc, char **argv, struct arena *arena,
                   struct option_strings *positional, bool *wants_help, struct str *problem)
{
    enum { FIRST_LONG = 1000 };
    struct option *longs = arena_array(arena, struct option, row_count + 2);
    char *shorts = arena_alloc(arena, row_count * 2 + 8), *s = shorts;
    *s++ = ':'; /* tell a missing value from an unknown flag */
    *s++ = 'h';
    for (size_t i = 0; i < row_count; i++) {
        int argument = rows[i].kind == OPTION_FLAG ? optional_argument : required_argument;
        longs[i] = (struct option){rows[i].name, argument, NULL, FIRST_LONG + (int)i};
        if (rows[i].letter == 0) continue;
        *s++ = rows[i].letter;
        if (rows[i].kind != OPTION_FLAG) *s++ = ':';
    }
    longs[row_count] = (struct option){"help", no_argument, NULL, 'h'};
    *s = '\0';
    *wants_help = false;
    opterr = 0;
    optind = 0; /* start afresh, also for a second command line in one process */
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (c == 'h') {
            *wants_help = true;
            return true;
        }
        if (c == '?' || c == ':') {
            *problem = arena_printf(arena, c == ':' ? "the flag %s needs a value" : "there is no flag %s", argv[optind - 1]);
            return false;
        }
        const struct option_row *row = NULL;
        if (c >= FIRST_LONG) row = &rows[c - FIRST_LONG];
        for (size_t i = 0; row == NULL && i < row_count; i++)
            if (rows[i].letter == c) row = &rows[i];
        ensure(row != NULL);
        if (!option_store(row, optarg, arena)) {
            *problem = arena_printf(arena, "--%s wants %s, not \"%s\"", row->name, option_wants(row->kind), optarg != NULL ? optarg : "");
            return false;
        }
        if (row->is_given != NULL) *row->is_given = true;
    }
    positional->count = (size_t)(argc - optind);
    positional->items = arena_array(arena, struct str, positional->count + 1);
    for (int i = optind; i < argc; i++) positional->items[i - optind] = str_of(argv[i]);
    return true;
}

/* Text in a column that begins at `indent`, broken between words. */
static void print_wrapped(const char *text, int indent, int width)
{
    int column = indent;
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        if (column > indent && column + 1 + (int)n > width) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        if (column > indent) column += printf(" ");
        column += printf("%.*s", (int)n, text);
        text += n;
        while (*text == ' ') text++;
    }
    printf("\n");
}

void options_print_rows(const char *title, const struct option_row *rows, size_t row_count, int width)
{
    printf("%s:\n", title);
    int left = 0;
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].help == NULL) continue;
        int n = (int)strlen(rows[i].name) + (rows[i].value != NULL ? (int)strlen(rows[i].value) + 1 : 0) + 10;
        if (n > left) left = n;
    }
    if (left > 40) left = 40;
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].help == NULL) continue;
        int n = rows[i].letter != 0 ? printf("  -%c, ", rows[i].letter) : printf("      ");
        n += printf("--%s", rows[i].name);
        if (rows[i].value != NULL) n += printf(" %s", rows[i].value);
        if (n >= left) n = printf("\n") - 1;
        printf("%*s", left - n, "");
        print_wrapped(rows[i].help, left, width);
    }
}

void options_print_help(const struct command_help *help, const struct option_row *rows, size_t row_count, int width)
{
    print_wrapped(help->summary, 0, width);
    printf("\nUsage:\n  %s\n", help->usage);
    if (help->examples != NULL) printf("\nExamples:\n%s", help->examples);
    if (row_count == 0) return;
    printf("\n");
    options_print_rows("Flags", rows, row_count, width);
}
