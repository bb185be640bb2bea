#include "cli/cli.h"

#include <stdarg.h>
#include <time.h>

enum { COLUMNS_MAX = CLI_COLUMNS_MAX };

struct cli_table {
    struct cli *cli;
    const char *const *titles;
    struct str *cells;
    size_t column_count, row_count, capacity;
    size_t *widths; /* of what was shown of a list so far; NULL: nothing yet */
};

/* ---- JSON ---- */

unsigned cli_json_flags(const struct cli *cli)
{
    return (cli->format == FORMAT_JSON ? PB_JSON_PRETTY : 0u) | (cli->f.no_shorthand ? 0u : PB_JSON_SHORTHAND);
}

static void flush(struct buf *out)
{
    fwrite(out->data, 1, out->size, stdout);
    buf_fini(out);
}

void cli_put_message(struct cli *cli, const struct pb_message *type, const void *message)
{
    struct json_out w;
    if (!cli_is_json(cli)) return;
    cli_json_begin(cli, &w);
    if (pb_json_put(type, message, cli_json_flags(cli), &w) != ERR_NONE) cli_fail(cli, "the answer has no form in JSON");
    cli_json_end(cli, &w);
}

void cli_json_begin(struct cli *cli, struct json_out *w)
{
    struct buf *out = arena_new(cli->arena, struct buf);
    *w = (struct json_out){.out = out, .step = cli->format == FORMAT_JSON ? 2 : 0};
}

void cli_json_end(struct cli *cli, struct json_out *w)
{
    buf_append_byte(w->out, '\n');
    if (cli_is_json(cli)) flush(w->out);
    else buf_fini(w->out);
}

void cli_json_field(struct json_out *w, const char *key, struct str value)
{
    json_put_key(w, str_of(key));
    json_put_string(w, value);
}

void cli_json_payload(struct cli *cli, struct json_out *w, const struct pb_common_Payloads *payloads)
{
    if (payloads == NULL || payloads->payloads_count == 0) {
        json_put_raw(w, STR("null"));
        return;
    }
    unsigned flags = cli_json_flags(cli);
    err e = payloads->payloads_count == 1 ? pb_json_put(&pb_common_Payload_type, payloads->payloads[0], flags, w)
                                          : pb_json_put(&pb_common_Payloads_type, payloads, flags, w);
    if (e != ERR_NONE) json_put_raw(w, STR("null"));
}

/* Makes room for one more document of the list; false: it is not shown in this format. */
static bool list_next(struct cli *cli, struct cli_list *list)
{
    if (cli->format == FORMAT_JSON) fputs(list->count == 0 ? "[\n" : ",\n", stdout);
    list->count++;
    return cli_is_json(cli);
}

static void list_put(struct cli *cli, struct json_out *w)
{
    if (cli->format == FORMAT_JSONL) buf_append_byte(w->out, '\n');
    flush(w->out);
}

void cli_list_add(struct cli *cli, struct cli_list *list, const struct pb_message *type, const void *message)
{
    struct json_out w;
    if (!list_next(cli, list)) return;
    cli_json_begin(cli, &w);
    if (pb_json_put(type, message, cli_json_flags(cli), &w) != ERR_NONE) json_put_raw(&w, STR("null"));
    list_put(cli, &w);
}

void cli_list_flush(struct cli *cli, struct cli_list *list)
{
    struct cli_table *table = list->table;
    if (table == NULL || cli->format != FORMAT_TEXT) return;
    if (table->widths == NULL) table->widths = list->widths;
    if (table->row_count != 0) cli_table_print(table);
    table->row_count = table->capacity = 0;
    table->cells = NULL;
}

void cli_list_end(struct cli *cli, struct cli_list *list)
{
    if (cli->format == FORMAT_JSON) fputs(list->count == 0 ? "[\n]\n" : "\n]\n", stdout);
    if (list->count == 0 && list->table == NULL) cli_say(cli, "  none");
    if (list->table != NULL && (list->table->widths == NULL || list->table->row_count != 0)) cli_table_print(list->table);
}

/* ---- text ---- */

void cli_say(struct cli *cli, const char *format, ...)
{
    va_list args;
    if (cli->format != FORMAT_TEXT) return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fputc('\n', stdout);
}

void cli_title(struct cli *cli, const char *title)
{
    if (cli->format == FORMAT_TEXT) printf("%s%s:%s\n", cli->has_color ? "\033[35m" : "", title, cli->has_color ? "\033[0m" : "");
}

struct cli_table *cli_table_new(struct cli *cli, size_t column_count, const char *const *titles)
{
    struct cli_table *table = arena_new(cli->arena, struct cli_table);
    *table = (struct cli_table){.cli = cli, .titles = titles, .column_count = column_count};
    return table;
}

static struct str *table_next(struct cli_table *table)
{
    if (table->row_count == table->capacity) {
        size_t used = table->row_count * table->column_count;
        table->capacity = table->capacity * 2 + 16;
        struct str *cells = arena_array(table->cli->arena, struct str, table->capacity * table->column_count);
        if (used != 0) memcpy(cells, table->cells, used * sizeof *cells);
        table->cells = cells;
    }
    return &table->cells[table->row_count++ * table->column_count];
}

void cli_table_row(struct cli_table *table, ...)
{
    va_list args;
    va_start(args, table);
    struct str *cells = table_next(table);
    for (size_t i = 0; i < table->column_count; i++) cells[i] = va_arg(args, struct str);
    va_end(args);
}

/* Columns on screen: every byte that does not continue a UTF-8 sequence. */
static size_t text_width(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.size; i++) n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return n;
}

/* Writes at most `width` columns of a cell, with an ellipsis when that is not all; control characters become spaces. */
static void write_cell(struct str s, size_t width, bool pads, struct buf *out)
{
    size_t columns = text_width(s), room = columns > width ? width - 1 : width, n = 0;
    for (size_t i = 0; i < s.size; i++) {
        bool begins = ((unsigned char)s.data[i] & 0xc0) != 0x80;
        if (begins && n == room && columns > width) break;
        n += begins;
        buf_append_byte(out, (unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f ? ' ' : (uint8_t)s.data[i]);
    }
    if (columns > width) {
        buf_append_str(out, STR("…"));
        n++;
    }
    for (; pads && n < width; n++) buf_append_byte(out, ' ');
}

/* Takes from the widest column until all fit, or none is wider than its least. */
static void fit(size_t *widths, const size_t *least, size_t count, size_t room)
{
    for (;;) {
        size_t total = 2 * count, widest = count;
        for (size_t i = 0; i < count; i++) {
            total += widths[i];
            if (widths[i] > least[i] && (widest == count || widths[i] > widths[widest])) widest = i;
        }
        if (total <= room || widest == count) return;
        widths[widest]--;
    }
}

/* The colour of a state, in a column or a line that holds states. NULL: none. */
static const char *state_color(const char *title, struct str cell)
{
    static const struct { const char *word, *color; } colors[] = {
        {"Running", "\033[34m"}, {"Completed", "\033[32m"}, {"COMPLETED", "\033[32m"}, {"Failed", "\033[31m"}, {"FAILED", "\033[31m"}, {"Terminated", "\033[31m"}, {"TERMINATED", "\033[31m"},
        {"TimedOut", "\033[31m"}, {"TIMEOUT", "\033[31m"}, {"Canceled", "\033[33m"}, {"CANCELED", "\033[33m"}, {"Paused", "\033[33m"}, {"ContinuedAsNew", "\033[36m"},
    };
    if (strcmp(title, "Status") != 0 && strcmp(title, "State") != 0) return NULL;
    for (size_t i = 0; i < countof(colors); i++)
        if (str_equal_c(cell, colors[i].word)) return colors[i].color;
    return NULL;
}

static void write_row(const struct cli_table *table, const struct str *cells, const size_t *widths, bool has_color, struct buf *out)
{
    bool is_card = table->titles == NULL;
    for (size_t i = 0; i < table->column_count; i++) {
        bool is_label = is_card && i == 0;
        const char *title = !is_card ? table->titles[i] : is_label ? "" : arena_cstr(table->cli->arena, cells[0]);
        const char *color = !has_color ? NULL : is_label ? "\033[1m" : state_color(title, cells[i]);
        buf_append_str(out, STR("  "));
        if (color != NULL) buf_append_str(out, str_of(color));
        write_cell(cells[i], widths[i], i + 1 < table->column_count, out);
        if (color != NULL) buf_append_str(out, STR("\033[0m"));
    }
    buf_append_byte(out, '\n');
}

void cli_table_write(struct cli_table *table, int width, bool has_color, struct buf *out)
{
    size_t widths[COLUMNS_MAX] = {0}, least[COLUMNS_MAX] = {0}, count = table->column_count;
    bool is_card = table->titles == NULL;
    ensure(count <= COLUMNS_MAX);
    for (size_t i = 0; i < count; i++) {
        least[i] = table->widths != NULL ? table->widths[i] : 0;
        for (size_t row = 0; row < table->row_count; row++) least[i] = size_max(least[i], text_width(table->cells[row * count + i]));
        widths[i] = is_card ? least[i] : size_max(strlen(table->titles[i]), least[i]);
        least[i] = size_max(least[i], 8);
    }
    if (width > 0 && !is_card) {
        fit(widths, least, count, (size_t)width); /* a title is cut before what stands below it */
        for (size_t i = 0; i < count; i++) least[i] = 8;
        fit(widths, least, count, (size_t)width);
    }
    bool has_titles = !is_card && (table->widths == NULL || table->widths[0] == 0);
    for (size_t i = 0; has_titles && i < count; i++) {
        if (has_color) buf_append_str(out, STR("\033[1m"));
        buf_append_str(out, STR("  "));
        write_cell(str_of(table->titles[i]), widths[i], i + 1 < count, out);
        if (has_color) buf_append_str(out, STR("\033[0m"));
    }
    if (has_titles) buf_append_byte(out, '\n');
    if (table->widths != NULL) memcpy(table->widths, widths, count * sizeof *widths);
    for (size_t row = 0; row < table->row_count; row++) write_row(table, &table->cells[row * count], widths, has_color, out);
}

void cli_table_print(struct cli_table *table)
{
    struct buf out = {0};
    if (table->cli->format != FORMAT_TEXT) return;
    cli_table_write(table, table->cli->width, table->cli->has_color, &out);
    flush(&out);
}

void cli_put_text(struct cli *cli, struct str text)
{
    if (cli->format != FORMAT_TEXT) return;
    for (size_t i = 0; i < text.size; i++) putchar(((unsigned char)text.data[i] < 0x20 && text.data[i] != '\n' && text.data[i] != '\t') || text.data[i] == 0x7f ? ' ' : text.data[i]);
    putchar('\n');
}

/* A line may hold colours, which take no columns. */
void cli_put_lines(struct cli *cli, struct str text)
{
    size_t column = 0, most = cli->width > 0 ? (size_t)cli->width : SIZE_MAX;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\033') {
            while (i < text.size && text.data[i] != 'm') putchar(text.data[i++]);
            putchar('m');
            continue;
        }
        if (c == '\n') column = 0;
        else if ((c & 0xc0) != 0x80) column++;
        if (column <= most) putchar(c);
    }
}

/* ---- fields: the same values as a card, a row or an object ---- */

struct field field_text(struct cli *cli, const char *label, struct str text)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    if (!cli_is_json(cli)) return (struct field){label, text.data != NULL ? text : STR(""), false};
    json_put_string(&w, text);
    struct field field = {label, arena_str(cli->arena, buf_view(&out)), false};
    buf_fini(&out);
    return field;
}

struct field field_number(struct cli *cli, const char *label, double value)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    json_put_double(&w, value);
    struct field field = {label, arena_str(cli->arena, buf_view(&out)), false};
    buf_fini(&out);
    return field;
}

struct field field_float(struct cli *cli, const char *label, float value)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    if (cli_is_json(cli)) json_put_float(&w, value);
    else buf_printf(&out, "%.2f", (double)value);
    struct field field = {label, arena_str(cli->arena, buf_view(&out)), false};
    buf_fini(&out);
    return field;
}

struct field field_strings(struct cli *cli, const char *label, const struct str *items, size_t count)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    bool is_json = cli_is_json(cli);
    if (is_json) json_put_open(&w, '[');
    for (size_t i = 0; i < count; i++) {
        if (is_json) json_put_next(&w);
        if (is_json) json_put_string(&w, items[i]);
        else buf_printf(&out, "%s%.*s", i != 0 ? ", " : "", STR_ARG(items[i]));
    }
    if (is_json) json_put_close(&w, ']');
    struct field field = field_text(cli, label, STR_EMPTY);
    if (out.size != 0) field.value = arena_str(cli->arena, buf_view(&out));
    buf_fini(&out);
    return field;
}

struct field field_bool(const char *label, bool value) { return (struct field){label, value ? STR("true") : STR("false"), false}; }

struct field field_time(struct cli *cli, const char *label, const struct pb_google_Timestamp *t)
{
    char text[40] = "0001-01-01T00:00:00Z"; /* what programs read as "no time" */
    if (!cli_is_json(cli)) return field_text(cli, label, cli_time_text(cli, t));
    if (t != NULL) pb_format_timestamp(t->seconds, t->nanos, text);
    return field_text(cli, label, str_of(text));
}

struct field field_message(struct cli *cli, const char *label, const struct pb_message *type, const void *message)
{
    struct buf out = {0};
    if (message == NULL || pb_json_write(type, message, cli->f.no_shorthand ? 0 : PB_JSON_SHORTHAND, &out) != ERR_NONE) return (struct field){label, STR_EMPTY, false};
    struct field field = {label, arena_str(cli->arena, buf_view(&out)), false};
    buf_fini(&out);
    return field;
}

void cli_json_put_fields(struct json_out *w, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char key[64];
        if (fields[i].value.data == NULL) continue;
        snprintf(key, sizeof key, "%s", fields[i].label);
        if (!fields[i].is_exact && key[0] >= 'A' && key[0] <= 'Z') key[0] = (char)(key[0] + 32);
        json_put_key(w, str_of(key));
        if (!json_put_json(w, fields[i].value)) json_put_raw(w, STR("null"));
    }
}

static void put_object(struct json_out *w, const struct field *fields, size_t count)
{
    json_put_open(w, '{');
    cli_json_put_fields(w, fields, count);
    json_put_close(w, '}');
}

struct field field_object(struct cli *cli, const char *label, const struct field *fields, size_t count)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    put_object(&w, fields, count);
    struct field field = {label, arena_str(cli->arena, buf_view(&out)), false};
    buf_fini(&out);
    return field;
}

void cli_put_fields(struct cli *cli, const char *title, const struct field *fields, size_t count)
{
    struct cli_table *card = cli_table_new(cli, 2, NULL);
    struct json_out w;
    if (cli_is_json(cli)) {
        cli_json_begin(cli, &w);
        put_object(&w, fields, count);
        cli_json_end(cli, &w);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].value.data != NULL) cli_table_row(card, str_of(fields[i].label), fields[i].value);
    if (title != NULL) cli_title(cli, title);
    cli_table_print(card);
}

void cli_list_add_fields(struct cli *cli, struct cli_list *list, const struct field *fields, size_t count)
{
    struct json_out w;
    if (list_next(cli, list)) {
        cli_json_begin(cli, &w);
        put_object(&w, fields, count);
        list_put(cli, &w);
        return;
    }
    if (list->table == NULL) {
        const char **titles = arena_array(cli->arena, const char *, count);
        for (size_t i = 0; i < count; i++) titles[i] = fields[i].label;
        list->table = cli_table_new(cli, count, titles);
    }
    struct str *cells = table_next(list->table);
    for (size_t i = 0; i < count; i++) cells[i] = fields[i].value;
}

/* ---- times ---- */

struct str relative_text(struct arena *arena, instant t, instant now)
{
    static const struct { int64_t s; const char *unit; } units[] = {
        {365 * 86400, "year"}, {30 * 86400, "month"}, {7 * 86400, "week"}, {86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"},
    };
    int64_t s = (now.ns - t.ns) / NS_PER_S, span = s < 0 ? -s : s;
    for (size_t i = 0; i < countof(units); i++) {
        if (span < units[i].s) continue;
        int64_t n = span / units[i].s;
        return arena_printf(arena, "%" PRId64 " %s%s %s", n, units[i].unit, n == 1 ? "" : "s", s > 0 ? "ago" : "from now");
    }
    return STR("now");
}

struct str duration_text(struct arena *arena, duration d)
{
    int64_t s = d.ns / NS_PER_S, ms = d.ns % NS_PER_S / NS_PER_MS;
    struct buf out = {0};
    if (s == 0) buf_printf(&out, ms == 0 ? "0s" : "%" PRId64 "ms", ms);
    if (s >= 3600) buf_printf(&out, "%" PRId64 "h", s / 3600);
    if (s >= 60) buf_printf(&out, "%" PRId64 "m", s / 60 % 60);
    if (s != 0 && ms != 0) buf_printf(&out, "%" PRId64 ".%03" PRId64 "s", s % 60, ms);
    else if (s != 0) buf_printf(&out, "%" PRId64 "s", s % 60);
    struct str text = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return text;
}

struct str duration_words(struct arena *arena, duration d)
{
    static const struct { int64_t s; const char *unit; } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}};
    int64_t s = d.ns / NS_PER_S;
    struct buf out = {0};
    if (s < 60) return duration_text(arena, d);
    for (size_t i = 0; i < countof(units); i++) {
        if (s >= units[i].s) buf_printf(&out, "%s%" PRId64 "%s", out.size != 0 ? " " : "", s / units[i].s, units[i].unit);
        s %= units[i].s;
    }
    if (s != 0) buf_printf(&out, " %" PRId64 "s", s);
    struct str text = arena_str(arena, buf_view(&out));
    buf_fini(&out);
    return text;
}

struct str cli_time_text(struct cli *cli, const struct pb_google_Timestamp *t)
{
    char text[40];
    if (t == NULL || (t->seconds == 0 && t->nanos == 0)) return STR_EMPTY;
    if (str_is_empty(cli->f.time_format) || str_equal_c(cli->f.time_format, "relative")) return relative_text(cli->arena, pb_instant(t), cli->now);
    int32_t nanos = str_equal_c(cli->f.time_format, "raw") ? t->nanos : 0;
    return pb_format_timestamp(t->seconds, nanos, text) ? arena_str(cli->arena, str_of(text)) : STR_EMPTY;
}

struct str cli_payload_text(struct cli *cli, const struct pb_common_Payloads *payloads)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    for (size_t i = 0; payloads != NULL && i < payloads->payloads_count; i++) {
        if (i != 0) buf_append_str(&out, STR(", "));
        w.is_first = true;
        if (pb_json_put(&pb_common_Payload_type, payloads->payloads[i], cli->f.no_shorthand ? 0 : PB_JSON_SHORTHAND, &w) != ERR_NONE) buf_append_str(&out, STR("?"));
    }
    struct str text = arena_str(cli->arena, buf_view(&out));
    buf_fini(&out);
    return text;
}
