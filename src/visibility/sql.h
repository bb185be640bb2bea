/* visibility/sql.h: a list or a count as one SQL statement with bound values, for the tables of store/sqlite/rows.h (and later PostgreSQL's,
 * which has the same columns).
 *
 * A first page must not read more than it shows, whatever the number of rows. So the statement is a merge of arms, each of which an index
 * gives in the order of the list: one arm for each status (of one type, or of all), or one for each value of a search attribute that the filter
 * asks for. The rest of the filter is checked on what an arm gives.
 *
 * Pure. Memory: the arena's. */
#ifndef VISIBILITY_SQL_H
#define VISIBILITY_SQL_H

#include "visibility/match.h"

struct visibility_param {
    struct attribute_value value;
    bool is_bytes;               /* text that is stored as bytes (ids of runs) */
};
struct visibility_sql {
    struct str text;             /* terminated; values are ?1 … */
    const struct visibility_param *params;
    size_t param_count;
};

/* What the caller knows of the namespace's closed rows; zeroed: nothing. */
struct visibility_spans {
    bool is_known;
    int64_t shortest, longest;   /* close - start lies between */
};

/* Closed rows are sorted into classes by close - start, each with a longest one; the last has none (INT64_MAX). Stored. */
enum { VISIBILITY_CLASS_COUNT = 9 };
int visibility_class_of(int64_t took);
int64_t visibility_class_longest(int number);

struct visibility_list {
    const struct visibility_query *query;
    int64_t namespace_key;
    size_t limit;                /* rows to give */
    const struct visibility_place *after; /* NULL: the first page */
    instant begun;               /* see visibility_place */
    struct visibility_spans spans;
    bool is_gathered;            /* the probe has found few enough */
    bool is_large;               /* the namespace has more than VISIBILITY_SCAN_MIN rows: to sort them all, the table is read from end to end */
};
#define VISIBILITY_SCAN_MIN 20000

/* Columns: run, namespace, status, type's name, close, start, execution, duration, length, size, transitions, workflow id, run id, task queue,
 * parent id, parent run, root id, root run, division, rest; in order. */
struct visibility_sql visibility_sql_list(const struct visibility_list *list, struct arena *arena);

/* What run_of (store/sqlite/database.h) keeps of a run id. Stored. */
uint32_t visibility_run_tag(struct str run_id);

/* Some filters find their rows by a range of ids or values, which is best when they are few. True: run this first; it counts them, up to
 * VISIBILITY_GATHER_MAX + 1. */
#define VISIBILITY_GATHER_MAX 2000
bool visibility_sql_probe(const struct visibility_query *query, int64_t namespace_key, struct arena *arena, struct visibility_sql *sql);

/* The newest close of the namespace, or NULL: `begun` of a first page. */
struct visibility_sql visibility_sql_newest(int64_t namespace_key, struct arena *arena);

/* Columns: the count, then one for each GROUP BY attribute. */
struct visibility_sql visibility_sql_count(const struct visibility_query *query, int64_t namespace_key, struct arena *arena);

#endif
