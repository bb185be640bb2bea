/* visibility/lex.h: a filter's text as tokens. Pure. */
#ifndef VISIBILITY_LEX_H
#define VISIBILITY_LEX_H

#include "base/arena.h"

enum token_kind {
    TOKEN_END, TOKEN_BAD,        /* BAD: text says what is wrong with it */
    TOKEN_NAME,                  /* a word or, between back-ticks, any name */
    TOKEN_STRING, TOKEN_INTEGER, TOKEN_REAL, /* numbers without their sign */
    TOKEN_EQ, TOKEN_NE, TOKEN_LT, TOKEN_LE, TOKEN_GT, TOKEN_GE, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_COMMA, TOKEN_SEMICOLON, TOKEN_MINUS, TOKEN_PLUS,
    /* words, in any case */
    TOKEN_AND, TOKEN_OR, TOKEN_NOT, TOKEN_IN, TOKEN_BETWEEN, TOKEN_IS, TOKEN_NULL, TOKEN_STARTS_WITH, TOKEN_ORDER, TOKEN_GROUP, TOKEN_BY, TOKEN_ASC,
    TOKEN_DESC, TOKEN_TRUE, TOKEN_FALSE,
};
struct token {
    enum token_kind kind;
    struct str text;             /* NAME and STRING: what they stand for; else as it is spelled */
    struct str spelled;
    size_t position;             /* of the first byte, from 1 */
};
struct lex {
    struct str text;
    size_t at;
    struct arena *arena;
    struct token token;          /* the present one */
};

void lex_init(struct lex *lex, struct str text, struct arena *arena); /* on the first token */
void lex_next(struct lex *lex);

#endif
