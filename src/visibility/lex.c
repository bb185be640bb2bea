#include "visibility/lex.h"

#include "base/buf.h"

#include <ctype.h>

static const struct { const char *word; enum token_kind kind; } words[] = {
    {"and", TOKEN_AND}, {"or", TOKEN_OR}, {"not", TOKEN_NOT}, {"in", TOKEN_IN}, {"between", TOKEN_BETWEEN}, {"is", TOKEN_IS}, {"null", TOKEN_NULL},
    {"starts_with", TOKEN_STARTS_WITH}, {"order", TOKEN_ORDER}, {"group", TOKEN_GROUP}, {"by", TOKEN_BY}, {"asc", TOKEN_ASC}, {"desc", TOKEN_DESC},
    {"true", TOKEN_TRUE}, {"false", TOKEN_FALSE},
};
static const struct { const char *sign; enum token_kind kind; } signs[] = { /* longer ones first */
    {"<>", TOKEN_NE}, {"!=", TOKEN_NE}, {"<=", TOKEN_LE}, {">=", TOKEN_GE}, {"&&", TOKEN_AND}, {"||", TOKEN_OR}, {"=", TOKEN_EQ}, {"<", TOKEN_LT},
    {">", TOKEN_GT}, {"(", TOKEN_OPEN}, {")", TOKEN_CLOSE}, {",", TOKEN_COMMA}, {";", TOKEN_SEMICOLON}, {"-", TOKEN_MINUS}, {"+", TOKEN_PLUS},
};

static struct str rest(const struct lex *lex) { return str_skip(lex->text, lex->at); }
static char byte_at(const struct lex *lex, size_t at) { return at < lex->text.size ? lex->text.data[at] : '\0'; }
static bool is_name_byte(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '.' || (unsigned char)c >= 0x80; }

/* Space and comments. False: a comment has no end. */
static bool skip_space(struct lex *lex)
{
    for (;;) {
        while (lex->at < lex->text.size && isspace((unsigned char)lex->text.data[lex->at])) lex->at++;
        if (str_starts_with(rest(lex), STR("--"))) {
            while (lex->at < lex->text.size && lex->text.data[lex->at] != '\n') lex->at++;
        } else if (str_starts_with(rest(lex), STR("/*"))) {
            size_t end = lex->at + 2;
            while (end + 1 < lex->text.size && !(lex->text.data[end] == '*' && lex->text.data[end + 1] == '/')) end++;
            if (end + 1 >= lex->text.size) return false;
            lex->at = end + 2;
        } else {
            return true;
        }
    }
}

static void bad(struct lex *lex, const char *why)
{
    lex->token.kind = TOKEN_BAD;
    lex->token.text = str_of(why);
}

static char escaped(char c)
{
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '0': return '\0';
    default: return c;
    }
}

/* Between quotes: a doubled quote is one, and a backslash takes the next byte for itself (not between back-ticks). */
static void lex_quoted(struct lex *lex, char quote)
{
    struct buf out = {0};
    size_t at = lex->at + 1;
    bool has_end = false;
    for (; at < lex->text.size; at++) {
        char c = lex->text.data[at];
        if (c == quote) {
            if (byte_at(lex, at + 1) != quote) {
                has_end = true;
                break;
            }
            at++;
        } else if (c == '\\' && quote != '`' && at + 1 < lex->text.size) {
            c = escaped(lex->text.data[++at]);
        }
        buf_append_byte(&out, (uint8_t)c);
    }
    lex->token.kind = quote == '`' ? TOKEN_NAME : TOKEN_STRING;
    lex->token.text = arena_str(lex->arena, buf_view(&out));
    buf_fini(&out);
    lex->at = size_min(at + 1, lex->text.size);
    if (!has_end) bad(lex, "the quote has no end");
}

static void lex_number(struct lex *lex)
{
    size_t from = lex->at;
    bool is_real = false;
    while (isdigit((unsigned char)byte_at(lex, lex->at))) lex->at++;
    if (byte_at(lex, lex->at) == '.') {
        is_real = true;
        lex->at++;
        while (isdigit((unsigned char)byte_at(lex, lex->at))) lex->at++;
    }
    char e = byte_at(lex, lex->at), sign = byte_at(lex, lex->at + 1);
    size_t digits = sign == '+' || sign == '-' ? 2 : 1;
    if ((e == 'e' || e == 'E') && isdigit((unsigned char)byte_at(lex, lex->at + digits))) {
        is_real = true;
        lex->at += digits;
        while (isdigit((unsigned char)byte_at(lex, lex->at))) lex->at++;
    }
    lex->token.kind = is_real ? TOKEN_REAL : TOKEN_INTEGER;
    lex->token.text = str_make(lex->text.data + from, lex->at - from);
    if (is_name_byte(byte_at(lex, lex->at))) bad(lex, "a number ends in letters");
}

static bool is_word(struct str text, const char *word)
{
    if (text.size != strlen(word)) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (tolower((unsigned char)text.data[i]) != word[i]) return false;
    }
    return true;
}

static void lex_word(struct lex *lex)
{
    size_t from = lex->at;
    while (is_name_byte(byte_at(lex, lex->at))) lex->at++;
    lex->token.kind = TOKEN_NAME;
    lex->token.text = str_make(lex->text.data + from, lex->at - from);
    for (size_t i = 0; i < countof(words); i++) {
        if (is_word(lex->token.text, words[i].word)) lex->token.kind = words[i].kind;
    }
}

static void lex_sign(struct lex *lex)
{
    for (size_t i = 0; i < countof(signs); i++) {
        if (!str_starts_with(rest(lex), str_of(signs[i].sign))) continue;
        lex->token.kind = signs[i].kind;
        lex->token.text = str_of(signs[i].sign);
        lex->at += lex->token.text.size;
        return;
    }
    lex->at++;
    bad(lex, "this character has no meaning here");
}

void lex_next(struct lex *lex)
{
    lex->token = (struct token){.position = lex->at + 1};
    if (!skip_space(lex)) {
        lex->token.position = lex->at + 1;
        lex->at = lex->text.size;
        bad(lex, "the comment has no end");
        return;
    }
    size_t from = lex->at;
    lex->token.position = from + 1;
    if (from == lex->text.size) {
        lex->token.kind = TOKEN_END;
        return;
    }
    char c = lex->text.data[from];
    if (c == '\'' || c == '"' || c == '`') lex_quoted(lex, c);
    else if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)byte_at(lex, from + 1)))) lex_number(lex);
    else if (is_name_byte(c)) lex_word(lex);
    else lex_sign(lex);
    lex->token.spelled = str_make(lex->text.data + from, lex->at - from);
}

void lex_init(struct lex *lex, struct str text, struct arena *arena)
{
    *lex = (struct lex){.text = text, .arena = arena};
    lex_next(lex);
}
