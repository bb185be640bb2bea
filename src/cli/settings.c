#include "cli/settings.h"

#include <stdlib.h>

void settings_init(struct settings *settings, struct arena *arena) { *settings = (struct settings){.arena = arena}; }

static struct setting *find(const struct settings *s, struct str group, struct str key)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_equal(s->items[i].group, group) && str_equal(s->items[i].key, key)) return &s->items[i];
    return NULL;
}

bool settings_has_group(const struct settings *s, struct str group) { return find(s, group, STR_EMPTY) != NULL; }

bool settings_get(const struct settings *s, struct str group, struct str key, struct str *value)
{
    const struct setting *found = str_is_empty(key) ? NULL : find(s, group, key);
    if (found != NULL) *value = found->value;
    return found != NULL;
}

void settings_set(struct settings *s, struct str group, struct str key, struct str value)
{
    if (!str_is_empty(key) && !settings_has_group(s, group)) settings_set(s, group, STR_EMPTY, STR_EMPTY);
    struct setting *found = find(s, group, key);
    if (found == NULL) {
        if (s->count == s->capacity) {
            s->capacity = s->capacity * 2 + 16;
            struct setting *items = arena_array(s->arena, struct setting, s->capacity);
            if (s->count != 0) memcpy(items, s->items, s->count * sizeof *items);
            s->items = items;
        }
        found = &s->items[s->count++];
        *found = (struct setting){arena_str(s->arena, group), arena_str(s->arena, key), STR_EMPTY};
    }
    found->value = arena_str(s->arena, value);
}

bool settings_remove(struct settings *s, struct str group, struct str key)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        bool goes = str_equal(s->items[i].group, group) && (str_is_empty(key) || str_equal(s->items[i].key, key));
        if (!goes) s->items[kept++] = s->items[i];
    }
    bool was_there = kept != s->count;
    s->count = kept;
    return was_there;
}

/* ---- reading ---- */

struct lines { struct str rest; int number; };

static bool line_next(struct lines *in, struct str *line)
{
    if (str_is_empty(in->rest)) return false;
    const char *end = memchr(in->rest.data, '\n', in->rest.size);
    size_t n = end != NULL ? (size_t)(end - in->rest.data) : in->rest.size;
    *line = str_make(in->rest.data, n);
    in->rest = str_skip(in->rest, end != NULL ? n + 1 : n);
    in->number++;
    return true;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static struct str trim(struct str s)
{
    while (s.size != 0 && is_space(s.data[0])) s = str_skip(s, 1);
    while (s.size != 0 && is_space(s.data[s.size - 1])) s.size--;
    return s;
}

static bool is_bare(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

/* A quoted text at the front of *in, or a bare word. */
static bool take_quoted(struct str *in, struct arena *arena, struct str *out)
{
    char quote = in->data[0], *text = arena_alloc(arena, in->size);
    size_t n = 0, i = 1;
    for (; i < in->size && in->data[i] != quote; i++) {
        char c = in->data[i];
        if (c == '\\' && quote == '"') {
            if (++i == in->size) return false;
            c = in->data[i];
            if (c == 'n') c = '\n';
            else if (c == 't') c = '\t';
            else if (c != '"' && c != '\\') return false;
        }
        text[n++] = c;
    }
    if (i >= in->size) return false;
    *out = str_make(text, n);
    *in = trim(str_skip(*in, i + 1));
    return true;
}

static bool take_key(struct str *in, struct arena *arena, struct str *out)
{
    *in = trim(*in);
    if (in->size != 0 && (in->data[0] == '"' || in->data[0] == '\'')) return take_quoted(in, arena, out);
    size_t n = 0;
    while (n < in->size && is_bare(in->data[n])) n++;
    *out = str_make(in->data, n);
    *in = trim(str_skip(*in, n));
    return n != 0;
}

static bool ends_line(struct str rest) { return str_is_empty(rest) || rest.data[0] == '#'; }

static bool take_value(struct str *in, struct arena *arena, struct str *out)
{
    *in = trim(*in);
    if (in->size != 0 && (in->data[0] == '"' || in->data[0] == '\'')) return take_quoted(in, arena, out) && ends_line(*in);
    size_t n = 0;
    while (n < in->size && in->data[n] != '#') n++;
    *out = trim(str_make(in->data, n));
    bool is_number = out->size != 0;
    for (size_t i = 0; i < out->size; i++) is_number = is_number && ((out->data[i] >= '0' && out->data[i] <= '9') || (i == 0 && out->data[i] == '-'));
    return is_number || str_equal_c(*out, "true") || str_equal_c(*out, "false");
}

/* "[a.b.c]" into its words; 0: malformed. */
static size_t take_table(struct str line, struct arena *arena, struct str words[static 4])
{
    size_t count = 0;
    line = str_skip(line, 1);
    while (count < 4 && take_key(&line, arena, &words[count])) {
        count++;
        if (line.size != 0 && line.data[0] == '.') line = str_skip(line, 1);
        else break;
    }
    return line.size != 0 && line.data[0] == ']' && ends_line(trim(str_skip(line, 1))) ? count : 0;
}

err settings_read_toml(struct settings *s, struct str text, struct error *error)
{
    struct lines in = {text, 0};
    struct str line, words[4], group = STR_EMPTY, prefix = STR_EMPTY;
    bool is_ours = false;
    while (line_next(&in, &line)) {
        struct str rest = trim(line), key, value;
        if (ends_line(rest)) continue;
        if (s->count >= SETTINGS_MAX) return error_set(error, s->arena, ERR_INVALID, "line %d: more than %d settings", in.number, SETTINGS_MAX);
        if (rest.data[0] == '[') {
            size_t count = take_table(rest, s->arena, words);
            if (count == 0) return error_set(error, s->arena, ERR_INVALID, "line %d: this table's name can not be read", in.number);
            is_ours = count >= 2 && count <= 3 && str_equal_c(words[0], "profile");
            group = count >= 2 ? words[1] : STR_EMPTY;
            prefix = count == 3 ? words[2] : STR_EMPTY;
            if (is_ours && !settings_has_group(s, group)) settings_set(s, group, STR_EMPTY, STR_EMPTY);
            continue;
        }
        if (!take_key(&rest, s->arena, &key) || rest.size == 0 || rest.data[0] != '=')
            return error_set(error, s->arena, ERR_INVALID, "line %d: expected a name and \"=\"", in.number);
        rest = str_skip(rest, 1);
        if (!take_value(&rest, s->arena, &value))
            return error_set(error, s->arena, ERR_INVALID, "line %d: the value is no text in quotes, whole number, true or false", in.number);
        if (!is_ours) continue;
        settings_set(s, group, str_is_empty(prefix) ? key : arena_printf(s->arena, "%.*s.%.*s", STR_ARG(prefix), STR_ARG(key)), value);
    }
    return ERR_NONE;
}

err settings_read_yaml(struct settings *s, struct str text, struct error *error)
{
    struct lines in = {text, 0};
    struct str line, group = STR_EMPTY;
    size_t group_indent = 0;
    bool is_in_env = false;
    while (line_next(&in, &line)) {
        size_t indent = 0;
        while (indent < line.size && line.data[indent] == ' ') indent++;
        struct str rest = trim(line), key;
        if (ends_line(rest) || str_equal_c(rest, "---")) continue;
        if (s->count >= SETTINGS_MAX) return error_set(error, s->arena, ERR_INVALID, "line %d: more than %d settings", in.number, SETTINGS_MAX);
        const char *colon = rest.data[0] == '"' || rest.data[0] == '\'' ? rest.data : memchr(rest.data, ':', rest.size);
        if (colon == rest.data) {
            if (!take_quoted(&rest, s->arena, &key)) colon = NULL;
        } else if (colon != NULL) {
            key = trim(str_make(rest.data, (size_t)(colon - rest.data)));
            rest = str_skip(rest, (size_t)(colon - rest.data));
        }
        if (colon == NULL || rest.size == 0 || rest.data[0] != ':') return error_set(error, s->arena, ERR_INVALID, "line %d: expected a name and \":\"", in.number);
        rest = trim(str_skip(rest, 1));
        if (indent == 0) {
            is_in_env = str_equal_c(key, "env");
            group_indent = 0;
        } else if (is_in_env && (group_indent == 0 || indent <= group_indent)) {
            group = key;
            group_indent = indent;
            settings_set(s, group, STR_EMPTY, STR_EMPTY);
        } else if (is_in_env) {
            struct str value = rest;
            if (rest.size != 0 && (rest.data[0] == '"' || rest.data[0] == '\'') && !take_quoted(&rest, s->arena, &value))
                return error_set(error, s->arena, ERR_INVALID, "line %d: the quotes do not end", in.number);
            settings_set(s, group, key, value);
        }
    }
    return ERR_NONE;
}

/* ---- writing ---- */

static void write_quoted(struct str s, struct buf *out)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (c == '"' || c == '\\') buf_printf(out, "\\%c", c);
        else if (c == '\n') buf_printf(out, "\\n");
        else if (c == '\t') buf_printf(out, "\\t");
        else buf_append_byte(out, (uint8_t)c);
    }
    buf_append_byte(out, '"');
}

static void write_key(struct str key, struct buf *out)
{
    bool is_plain = key.size != 0;
    for (size_t i = 0; i < key.size; i++) is_plain = is_plain && is_bare(key.data[i]);
    if (is_plain) buf_append_str(out, key);
    else write_quoted(key, out);
}

static struct str prefix_of(struct str key)
{
    const char *dot = memchr(key.data, '.', key.size);
    return dot != NULL ? str_make(key.data, (size_t)(dot - key.data)) : STR_EMPTY;
}

static void write_toml_table(const struct settings *s, struct str group, struct str prefix, struct buf *out)
{
    buf_printf(out, "%s[profile.", out->size != 0 ? "\n" : "");
    write_key(group, out);
    if (!str_is_empty(prefix)) buf_printf(out, ".%.*s", STR_ARG(prefix));
    buf_printf(out, "]\n");
    for (size_t i = 0; i < s->count; i++) {
        const struct setting *item = &s->items[i];
        if (str_is_empty(item->key) || !str_equal(item->group, group) || !str_equal(prefix_of(item->key), prefix)) continue;
        write_key(str_skip(item->key, str_is_empty(prefix) ? 0 : prefix.size + 1), out);
        buf_printf(out, " = ");
        if (str_equal_c(item->value, "true") || str_equal_c(item->value, "false")) buf_append_str(out, item->value);
        else write_quoted(item->value, out);
        buf_printf(out, "\n");
    }
}

void settings_write_toml(const struct settings *s, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!str_is_empty(s->items[i].key)) continue;
        struct str group = s->items[i].group;
        write_toml_table(s, group, STR_EMPTY, out);
        for (size_t j = 0; j < s->count; j++) {
            if (str_is_empty(s->items[j].key) || !str_equal(s->items[j].group, group)) continue;
            struct str prefix = prefix_of(s->items[j].key);
            bool is_first = !str_is_empty(prefix);
            for (size_t k = 0; is_first && k < j; k++)
                if (str_equal(s->items[k].group, group) && !str_is_empty(s->items[k].key) && str_equal(prefix_of(s->items[k].key), prefix)) is_first = false;
            if (is_first) write_toml_table(s, group, prefix, out);
        }
    }
}

void settings_write_yaml(const struct settings *s, struct buf *out)
{
    buf_printf(out, s->count == 0 ? "env: {}\n" : "env:\n");
    for (size_t i = 0; i < s->count; i++) {
        if (!str_is_empty(s->items[i].key)) continue;
        buf_printf(out, "    ");
        write_key(s->items[i].group, out);
        buf_printf(out, ":\n");
        for (size_t j = 0; j < s->count; j++) {
            if (str_is_empty(s->items[j].key) || !str_equal(s->items[j].group, s->items[i].group)) continue;
            buf_printf(out, "        ");
            write_key(s->items[j].key, out);
            buf_printf(out, ": ");
            write_quoted(s->items[j].value, out);
            buf_printf(out, "\n");
        }
    }
}
