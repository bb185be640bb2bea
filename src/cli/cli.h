/* cli/cli.h: one command line being carried out: what was asked, the connection, and where the answer goes.
 *
 * A command is a function from a struct cli to the exit status (0, or 1 after cli_fail has said why). Calls block: the
 * loop turns until the answer is there. Everything allocated lives in cli->arena, until the process ends its one command.
 * Thread: one. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/err.h"
#include "cli/flags.h"
#include "proto/api.h"
#include "proto/pb_json.h"

#include <stdio.h>

struct cli;
struct cli_table;
struct loop;
struct grpc_client;

struct command {
    const char *path;      /* "workflow start" */
    int (*run)(struct cli *cli);
    const uint16_t *flags; /* rows of flags.h, some with FLAG_REQUIRED; ends with 0 */
    const char *summary;   /* a sentence for the list and the help */
    const char *example;   /* a command line without the program's name */
    bool is_local;         /* talks to no server */
    unsigned char word_max; /* how many words without a flag may follow: the older way to name a namespace or environment */
};

enum cli_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_JSONL, FORMAT_NONE };

struct cli {
    struct arena *arena;
    const struct command *command;
    struct flags f;
    bool given[FLAG_COUNT];
    enum cli_format format;
    bool has_color;
    struct option_strings words; /* what stood without a flag */
    int width;       /* columns of the terminal; 0: no terminal, nothing is cut */
    instant now;
    instant deadline; /* steady clock of the loop; 0 = none */
    struct loop *loop;
    struct grpc_client *client;
    enum grpc_code code; /* how the last call ended */
    struct str message;
};

/* ---- client.c ---- */

/* Memory for one page of a long list: everything made between begin and end is gone after end; a page token is kept. */
struct cli_page { struct arena arena, *outer; char *token; };
bool cli_page_begin(struct cli *cli, struct cli_page *page); /* false: said */
void cli_page_end(struct cli *cli, struct cli_page *page, struct str *token);

/* Fills what the flags left open from variables, config file and env file. False: said. */
bool cli_settle(struct cli *cli);
const char *cli_variable(enum flag flag); /* the environment variable that sets it; NULL: none */
void cli_disconnect(struct cli *cli);
/* Calls a method and waits. False: cli->code and cli->message say why; nothing was printed. `wait` 0 = 30 s, never beyond
 * --command-timeout. The answer lives in cli->arena. */
bool cli_call_path(struct cli *cli, const char *path, const struct pb_message *request_type, const void *request,
                   const struct pb_message *response_type, void **response, duration wait);
bool cli_call(struct cli *cli, size_t method, const void *request, void **response, duration wait);
#define CALL_WAIT(cli, name, request, response, wait)                                              \
    cli_call((cli), pb_##name##_method, (1 ? (request) : (const struct pb_##name##Request *)NULL), \
             (void **)(1 ? (response) : (struct pb_##name##Response **)NULL), (wait))
#define CALL(cli, name, request, response) CALL_WAIT(cli, name, request, response, ((duration){0}))

/* Starts a call and returns; `done` runs from a turn of the loop, with the answer, or with cli->code and cli->message set.
 * False: it could not begin, cli->code says why. */
typedef void cli_done(void *arg, bool is_good, void *response);
bool cli_start(struct cli *cli, size_t method, const void *request, cli_done *done, void *arg, duration wait);
#define CALL_START(cli, name, request, done, arg, wait) \
    cli_start((cli), pb_##name##_method, (1 ? (request) : (const struct pb_##name##Request *)NULL), (done), (arg), (wait))
duration cli_time_left(const struct cli *cli, duration wait); /* `wait`, at most what --command-timeout leaves */
bool cli_is_late(const struct cli *cli); /* --command-timeout is over */

/* Says why on stderr; returns 1. */
int cli_fail(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* "failed <doing>: <message of the server>, and what may help"; returns 1. */
int cli_fail_call(struct cli *cli, const char *doing);

/* ---- input.c ---- */

/* The flags that make a list of payloads; those that a command has not stay NULL or false. */
struct input_flags {
    const struct option_strings *values, *files, *metadata;
    bool is_base64;
};
struct input_flags cli_input(const struct cli *cli); /* --input and what belongs to it */
bool cli_payloads(struct cli *cli, const struct input_flags *flags, struct pb_common_Payloads **out); /* false: said */
bool cli_memo(struct cli *cli, const struct option_strings *pairs, const char *flag, struct pb_common_Memo **out);
bool cli_search_attributes(struct cli *cli, const struct option_strings *pairs, const char *flag, struct pb_common_SearchAttributes **out);
/* KEY=VALUE; false: no '=' in it or nothing before it. */
bool pair_split(struct str text, struct str *key, struct str *value);
bool cli_time(struct cli *cli, struct str text, const char *flag, struct pb_google_Timestamp **out);
/* The value of an enum flag in either spelling; false: said, with the names that are possible. */
bool cli_enum(struct cli *cli, const struct pb_enum *type, struct str text, const char *flag, int32_t *out);
bool cli_number(struct cli *cli, struct str text, const char *flag, double *out); /* empty: 0 */
struct pb_common_Payload *cli_text_payload(struct cli *cli, struct str text); /* empty: NULL */
struct pb_google_Duration *cli_duration(struct cli *cli, enum flag flag, duration value); /* NULL when not given */
struct str cli_uuid(struct cli *cli);
struct pb_common_WorkflowExecution *cli_execution(struct cli *cli); /* --workflow-id, --run-id */
/* Asks on the terminal, unless --yes; without a terminal a line of stdin is the answer. False: no, and that was said. */
bool cli_confirm(struct cli *cli, const char *question);
bool cli_confirm_word(struct cli *cli, const char *question, struct str word); /* the same, but the answer has to be this word */
bool cli_write_file(struct cli *cli, const char *path, struct str text); /* beside, then renamed; false: said */
bool cli_read_file(struct cli *cli, const char *path, struct str *out); /* at most 64 MiB; false: said */

/* ---- output.c ---- */

static inline bool cli_is_json(const struct cli *cli) { return cli->format == FORMAT_JSON || cli->format == FORMAT_JSONL; }
unsigned cli_json_flags(const struct cli *cli);
/* One document: a message, or what was written into `w` between begin and end. */
void cli_put_message(struct cli *cli, const struct pb_message *type, const void *message);
void cli_json_begin(struct cli *cli, struct json_out *w);
void cli_json_end(struct cli *cli, struct json_out *w);
void cli_json_field(struct json_out *w, const char *key, struct str value);
/* The payloads' first value as JSON; the payload itself when it holds none. */
void cli_json_payload(struct cli *cli, struct json_out *w, const struct pb_common_Payloads *payloads);
/* Many documents: a list in JSON, lines in JSONL. */
enum { CLI_COLUMNS_MAX = 16 };
struct cli_list { size_t count; struct cli_table *table; size_t widths[CLI_COLUMNS_MAX]; };
void cli_list_add(struct cli *cli, struct cli_list *list, const struct pb_message *type, const void *message);
/* Shows the rows so far and forgets them; later ones follow below. What they are made of may go then. */
void cli_list_flush(struct cli *cli, struct cli_list *list);
void cli_list_end(struct cli *cli, struct cli_list *list);

/* Labelled values, for people a card or the row of a table, for programs an object; the keys are the labels with a small
 * first letter. A field made without a value (data NULL) is left out. The values are made for the format of the answer. */
struct field { const char *label; struct str value; bool is_exact; /* the key is the label */ };
struct field field_text(struct cli *cli, const char *label, struct str text);
struct field field_number(struct cli *cli, const char *label, double value);
struct field field_float(struct cli *cli, const char *label, float value);
struct field field_strings(struct cli *cli, const char *label, const struct str *items, size_t count); /* for people with commas */
struct field field_bool(const char *label, bool value);
struct field field_time(struct cli *cli, const char *label, const struct pb_google_Timestamp *t);
struct field field_message(struct cli *cli, const char *label, const struct pb_message *type, const void *message); /* NULL: left out */
struct field field_object(struct cli *cli, const char *label, const struct field *fields, size_t count);
void cli_put_fields(struct cli *cli, const char *title, const struct field *fields, size_t count);
void cli_json_put_fields(struct json_out *w, const struct field *fields, size_t count); /* inside an open object */
void cli_list_add_fields(struct cli *cli, struct cli_list *list, const struct field *fields, size_t count); /* a row; printed at the end */

/* Text only: the functions below print nothing in other formats. */
void cli_say(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
void cli_title(struct cli *cli, const char *title);
/* Lines "  Label  value", aligned; add, then print. */
struct cli_table *cli_table_new(struct cli *cli, size_t column_count, const char *const *titles); /* titles NULL: a card */
void cli_table_row(struct cli_table *table, ...); /* one struct str a column */
void cli_table_print(struct cli_table *table);
/* The same laid out for `width` columns (0 = as wide as it likes), for tests. */
void cli_table_write(struct cli_table *table, int width, bool has_color, struct buf *out);
void cli_put_text(struct cli *cli, struct str text); /* lines as they are, without other control characters */
void cli_put_lines(struct cli *cli, struct str text); /* each cut at the width of the terminal */
struct str cli_time_text(struct cli *cli, const struct pb_google_Timestamp *t);
struct str relative_text(struct arena *arena, instant t, instant now); /* "3 minutes ago", "now", "2 days from now" */
struct str duration_text(struct arena *arena, duration d);             /* "1h2m3s", "250ms": as programs read it */
struct str duration_words(struct arena *arena, duration d);            /* "365d", "1h 5m", "3.2s": for people */
struct str cli_payload_text(struct cli *cli, const struct pb_common_Payloads *payloads);

/* ---- command.c, table.c ---- */

/* Everything behind the program's name: argv[1] is the first word of the command. */
int cli_main(int argc, char **argv);
extern const struct command commands[];
extern const size_t command_count;
extern const uint16_t flags_global[], flags_connection[];

#endif
