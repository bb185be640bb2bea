/* visibility/attribute.h: the search attributes of a namespace: which names a filter may use and what type each has.
 *
 * System attributes are columns of a row; predefined ones come with every namespace and travel in the row's search
 * attributes, as do the custom ones that a user adds. There is no limit on how many.
 *
 * Thread: a registry is read by many, changed by none: a change makes a new one (attribute_registry_create).
 * Source: the search attribute list of the public documentation and of `temporal operator search-attribute list`. */
#ifndef VISIBILITY_ATTRIBUTE_H
#define VISIBILITY_ATTRIBUTE_H

#include "base/err.h"
#include "base/map.h"
#include "proto/api.h"

/* Numbers of temporal.api.enums.v1.IndexedValueType. */
enum attribute_type {
    ATTRIBUTE_NONE, ATTRIBUTE_TEXT, ATTRIBUTE_KEYWORD, ATTRIBUTE_INT, ATTRIBUTE_DOUBLE, ATTRIBUTE_BOOL,
    ATTRIBUTE_DATETIME, ATTRIBUTE_KEYWORD_LIST, ATTRIBUTE_TYPE_COUNT
};
const char *attribute_type_name(enum attribute_type type); /* "KeywordList" */
bool attribute_type_parse(struct str name, enum attribute_type *type); /* "KeywordList", "keyword_list", in any case */

/* Where a value is found. FIELD_ATTRIBUTE: in the row's search attributes, by name; the others are columns. */
enum visibility_field {
    FIELD_ATTRIBUTE, FIELD_WORKFLOW_ID, FIELD_RUN_ID, FIELD_WORKFLOW_TYPE, FIELD_TASK_QUEUE, FIELD_STATUS, FIELD_START_TIME,
    FIELD_EXECUTION_TIME, FIELD_CLOSE_TIME, FIELD_EXECUTION_DURATION, FIELD_HISTORY_LENGTH, FIELD_HISTORY_SIZE,
    FIELD_STATE_TRANSITIONS, FIELD_PARENT_WORKFLOW_ID, FIELD_PARENT_RUN_ID, FIELD_ROOT_WORKFLOW_ID, FIELD_ROOT_RUN_ID,
    FIELD_DIVISION, FIELD_COUNT
};
struct attribute {
    struct str name;
    enum attribute_type type;
    enum visibility_field field;
};

/* The tables everybody has, in order of name; count is written. */
const struct attribute *attribute_system(size_t *count);
const struct attribute *attribute_predefined(size_t *count);

struct attribute_registry {
    struct map custom;            /* name -> struct attribute */
};
void attribute_registry_init(struct attribute_registry *registry);
void attribute_registry_fini(struct attribute_registry *registry);
/* Adds a custom attribute. ERR_INVALID: the name is reserved or not a name; ERR_ALREADY_EXISTS: with another type. */
MUST_USE err attribute_registry_add(struct attribute_registry *registry, struct str name, enum attribute_type type,
                                    struct arena *arena, struct error *error);
void attribute_registry_remove(struct attribute_registry *registry, struct str name);
/* System, predefined or custom; NULL when there is none. Names are case-sensitive. registry may be NULL. */
const struct attribute *attribute_find(const struct attribute_registry *registry, struct str name);

/* A payload of a search attribute as typed values. A value of another type than the attribute's is taken where it can be (an Int for a
 * Double, a Keyword for a KeywordList, a list of one for the one). */
struct attribute_value {
    enum attribute_type type;     /* of the value: KEYWORD for each element of a list; NONE = null */
    struct str text;              /* TEXT, KEYWORD */
    int64_t number;               /* INT, BOOL (0, 1), DATETIME (ns since 1970) */
    double real;                  /* DOUBLE */
};
struct attribute_values {
    struct attribute_value *values; /* one, or the elements of a KeywordList; none: null */
    size_t count;
    bool is_present;                /* an empty list is there without a value */
};
/* ERR_INVALID when the payload does not hold a value of that type. type NONE: what the payload's own "type" metadata says. */
MUST_USE err attribute_decode(const pb_common_Payload *payload, enum attribute_type type, struct arena *arena,
                              struct attribute_values *values, struct error *error);
/* The payload as clients see it: JSON with "type" in its metadata. values: one, or any number for a KeywordList. */
pb_common_Payload *attribute_encode(const struct attribute_values *values, enum attribute_type type, struct arena *arena);
/* Checks the search attributes of a request against the registry and writes the type into each payload's metadata (in place,
 * `attributes` must be in the request's arena). ERR_INVALID: an unknown name, a system attribute, or a value that is not of the type. */
MUST_USE err attributes_check(const struct attribute_registry *registry, pb_common_SearchAttributes *attributes,
                              struct arena *arena, struct error *error);

/* The words of a Text value or of a Text literal, for matching: letters and digits of any script hold together; lower case, and Latin letters
 * without their accents. Calls `word` with each; a word is cut at 64 bytes. */
void attribute_words(struct str text, void (*word)(void *arg, struct str word), void *arg);

#endif
