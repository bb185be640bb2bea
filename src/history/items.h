/* history/items.h: the rows of a run besides its core row. Numbers are stored: never reuse one.
 *
 * A row's key is empty (one a run), a number as 8 bytes, most significant first, or a name. */
#ifndef HISTORY_ITEMS_H
#define HISTORY_ITEMS_H

#include "base/base.h"

/*    kind, number, message, key */
#define ITEM_TABLE(X)                                                    \
    X(ITEM_ATTRIBUTES, 1, Attributes, KEY_NONE)                          \
    X(ITEM_START_INPUT, 2, StartInput, KEY_NONE)                         \
    X(ITEM_ACTIVITY, 3, Activity, KEY_NUMBER)          /* scheduled event id */ \
    X(ITEM_ACTIVITY_INPUT, 4, ActivityInput, KEY_NUMBER) /* the same */  \
    X(ITEM_TIMER, 5, Timer, KEY_NAME)                  /* timer id */    \
    X(ITEM_CHILD, 6, Child, KEY_NUMBER)                /* initiated event id */ \
    X(ITEM_EXTERNAL, 7, External, KEY_NUMBER)          /* initiated event id */ \
    X(ITEM_REQUEST_ID, 8, RequestId, KEY_NAME)         /* request id */  \
    X(ITEM_UPDATE, 9, Update, KEY_NAME)                /* update id */   \
    X(ITEM_BUFFERED, 10, BufferedEvent, KEY_NUMBER)    /* rising */      \
    X(ITEM_CALLBACK, 11, CompletionCallback, KEY_NUMBER) /* rising */

enum item_key { KEY_NONE, KEY_NUMBER, KEY_NAME };
enum item_kind {
#define X(kind, number, message, key) kind = number,
    ITEM_TABLE(X)
#undef X
    ITEM_KIND_COUNT
};

#endif
