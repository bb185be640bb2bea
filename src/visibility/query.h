/* visibility/query.h: a list filter as a tree. Text comes in, is checked against the namespace's search attributes and its
 * literals get the type of the attribute they are compared with; what comes out can be evaluated on a row (match.h), compiled
 * to SQL (sql.h) or printed again.
 *
 *   WorkflowType = 'Order' AND (Region IN ('eu', 'us') OR StartTime > '2026-01-01T00:00:00Z') ORDER BY StartTime DESC
 *
 * Memory: everything in the arena, the text is copied. Pure: `now` and the registry are values. */
#ifndef VISIBILITY_QUERY_H
#define VISIBILITY_QUERY_H

#include "base/instant.h"
#include "visibility/attribute.h"

enum visibility_op {
    OP_AND, OP_OR, OP_NOT,                               /* of nodes */
    OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE,            /* one value */
    OP_IN, OP_NOT_IN, OP_BETWEEN, OP_NOT_BETWEEN,        /* many, two, two */
    OP_IS_NULL, OP_IS_NOT_NULL,                          /* none */
    OP_STARTS_WITH, OP_NOT_STARTS_WITH,                  /* one */
};

struct visibility_node {
    enum visibility_op op;
    struct visibility_node *left, *right; /* AND, OR; NOT has left alone */
    const struct attribute *attribute;    /* in the arena of the query */
    struct attribute_value *values;       /* of the attribute's type (a list's: KEYWORD); ExecutionStatus: INT, a number of the enum; an Int
                                             attribute compared with a fraction: DOUBLE */
    size_t value_count;
};

struct visibility_order {
    const struct attribute *attribute;
    bool is_descending;
};

#define VISIBILITY_ORDER_MAX 8
#define VISIBILITY_GROUP_MAX 8
struct visibility_query {
    struct visibility_node *where;        /* NULL: everything */
    struct visibility_order *orders;      /* none: the default: open ones first, then by close time, each newest first */
    size_t order_count;
    const struct attribute **groups;
    size_t group_count;
    bool has_division;                    /* the filter names TemporalNamespaceDivision; else only rows without one are meant */
    instant now;                          /* when it was parsed */
};

/* ScheduleId stands for the WorkflowId of a schedule's row, which is this and the schedule id. */
#define VISIBILITY_SCHEDULE_PREFIX "temporal-sys-scheduler:"

struct visibility_parse {
    const struct attribute_registry *registry; /* NULL: no custom attributes */
    instant now;
    bool is_count;                        /* GROUP BY is allowed, ORDER BY is not */
};

/* Bytes of text, depth of parentheses and NOTs, literals (words of a Text counted singly) and comparisons that a filter may have. A row of ANDs (or ORs) becomes a balanced tree, so the depth
 * of a tree stays small. */
#define VISIBILITY_TEXT_MAX 65536
#define VISIBILITY_DEPTH_MAX 50
#define VISIBILITY_VALUE_MAX 5000
#define VISIBILITY_COMPARISON_MAX 1000

/* Empty text means everything. ERR_INVALID with words that name what was met, what was expected and at which character (from 1). */
MUST_USE err visibility_query_parse(struct str text, const struct visibility_parse *how, struct arena *arena,
                                    struct visibility_query **query, struct error *error);
/* Everything in a namespace, hidden divisions left out; `and`-ing onto a parsed query: both sides are kept as they are. */
struct visibility_query *visibility_query_all(instant now, struct arena *arena);
struct visibility_query *visibility_query_and(const struct visibility_query *query, struct visibility_node *more, struct arena *arena);
struct visibility_node *visibility_node_compare(const struct attribute *attribute, enum visibility_op op, const struct attribute_value *values,
                                                size_t value_count, struct arena *arena);

/* As text that parses to an equal tree. */
struct str visibility_query_print(const struct visibility_query *query, struct arena *arena);
bool visibility_query_equal(const struct visibility_query *a, const struct visibility_query *b);

/* "Running" … and numbers of temporal.api.enums.v1.WorkflowExecutionStatus. */
#define VISIBILITY_STATUS_MAX 8
const char *visibility_status_name(int32_t status);            /* NULL when there is none of that number */
bool visibility_status_parse(struct str name, int32_t *status);

#endif
