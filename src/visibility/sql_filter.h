/* visibility/sql_filter.h: inside sql.c: writing statements, and a filter as an expression over a row `v` of the visibility table.
 * This is where SQLite's dialect is. Pure; memory from the writer's arena, but for the text being written, which is on the heap. */
#ifndef VISIBILITY_SQL_FILTER_H
#define VISIBILITY_SQL_FILTER_H

#include "base/buf.h"
#include "visibility/sql.h"

#define SQL_CLOSE_OPEN "9223372036854775807" /* close of what is open */

struct sql_writer {
    struct buf text;
    struct visibility_param *params;
    size_t param_count, param_capacity;
    struct arena *arena;
};

/* A statement of a namespace: its key is always ?1. sql_finish ends it. */
struct sql_writer sql_writer_of(int64_t namespace_key, struct arena *arena);
struct visibility_sql sql_finish(struct sql_writer *w);
/* A part that is written apart, because it is used more than once or further on: between begin and end the writer writes it. */
struct buf sql_part_begin(struct sql_writer *w);
struct str sql_part_end(struct sql_writer *w, struct buf kept);

int sql_param(struct sql_writer *w, struct attribute_value value, bool is_bytes); /* its number */
static inline int sql_param_number(struct sql_writer *w, int64_t n)
{
    return sql_param(w, (struct attribute_value){.type = ATTRIBUTE_INT, .number = n}, false);
}
static inline void sql_put(struct sql_writer *w, const char *text) { buf_append_str(&w->text, str_of(text)); }
static inline void sql_put_at(struct sql_writer *w, int at) { buf_printf(&w->text, "?%d", at); }
static inline void sql_put_number(struct sql_writer *w, int64_t n) { sql_put_at(w, sql_param_number(w, n)); }
static inline void sql_put_value(struct sql_writer *w, const struct attribute_value *value) { sql_put_at(w, sql_param(w, *value, false)); }
static inline void sql_put_text(struct sql_writer *w, struct str text)
{
    sql_put_at(w, sql_param(w, (struct attribute_value){.type = ATTRIBUTE_KEYWORD, .text = text}, false));
}
void sql_put_json(struct sql_writer *w, const struct attribute_value *values, size_t count);   /* all as one JSON list */
void sql_put_values(struct sql_writer *w, const struct attribute_value *values, size_t count); /* what stands behind `in` */

/* The value of a row. index: "", or "[0]" for the first of a list. */
void sql_put_field(struct sql_writer *w, const struct attribute *a, const char *index);
void sql_put_name_id(struct sql_writer *w, struct str name); /* the number that visibility_value has for an attribute */
void sql_put_node(struct sql_writer *w, const struct visibility_node *node);
/* What every row of the answer must satisfy, but for the page. Begins with " and ". */
void sql_put_filter(struct sql_writer *w, const struct visibility_query *query);

static inline bool sql_is_equality(const struct visibility_node *node) { return node->op == OP_EQ || node->op == OP_IN; }
/* X = 1 OR X = 2 is X IN (1, 2), X != 1 AND X != 2 is X NOT IN (1, 2). NULL: the row is not of that kind. */
const struct visibility_node *sql_as_one(const struct visibility_node *row, struct arena *arena);

struct sql_words {
    struct attribute_value *values;
    size_t count, capacity;
    struct arena *arena;
};
struct sql_words sql_words_of(const struct visibility_node *node, struct arena *arena);
void sql_put_words(struct sql_writer *w, const struct visibility_node *node); /* what stands behind `in` */

#endif
