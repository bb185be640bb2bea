/* cli/options.h: command-line flags from a table, parsed with getopt_long; --help is written from the same table. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/arena.h"
#include "base/instant.h"

enum option_kind {
    OPTION_FLAG,     /* bool *: present = true; --name=false too */
    OPTION_STRING,   /* struct str * */
    OPTION_INT,      /* int64_t * */
    OPTION_DURATION, /* duration *: "90s", "1h30m", "500ms", "7d" */
    OPTION_STRINGS,  /* struct option_strings *: may be given several times */
};

struct option_strings { struct str *items; size_t count; };

struct option_row {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    enum option_kind kind;
    void *target;
    const char *value; /* what the value is called in the help, e.g. "PORT" */
    const char *help;  /* NULL: accepted, but not in the help */
    bool *is_given;    /* may be NULL */
};

/* Stores one value as parsing would; false: it has not the form that the row wants, which option_wants names. */
bool option_store(const struct option_row *row, const char *text, struct arena *arena);
const char *option_wants(enum option_kind kind);

struct command_help {
    const char *usage;    /* "perdure server start-dev [flags]" */
    const char *summary;  /* a sentence or two */
    const char *examples; /* lines, may be NULL */
};

/* Parses argv[1…]; strings are borrowed from argv, lists live in `arena`. What is no flag is left, in order, in
 * positional. Returns false with words for the user in `problem` (unknown flag, missing or malformed value). `--help` and `-h`
 * set *wants_help and end the parsing. */
bool options_parse(const struct option_row *rows, size_t row_count, int argc, char **argv, struct arena *arena,
                   struct option_strings *positional, bool *wants_help, struct str *problem);

/* Writes usage, summary, flags and examples to a file as people read them, at most `width` columns. */
void options_print_help(const struct command_help *help, const struct option_row *rows, size_t row_count, int width);

void options_print_rows(const char *title, const struct option_row *rows, size_t row_count, int width);

/* "1h30m", "90s", "2d", "100ms", "1.5h", "0"; false when it is none. */
bool duration_parse(struct str text, duration *out);

#endif
