/* base/list.h: intrusive doubly linked list. A link that is in no list is zeroed or points to itself. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

struct list { struct list *next, *prev; };

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_is_empty(const struct list *l) { return l->next == l; }
static inline bool list_is_linked(const struct list *l) { return l->next != NULL && l->next != l; }
static inline void list_insert_before(struct list *at, struct list *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
}
static inline void list_push(struct list *l, struct list *link) { list_insert_before(l, link); }        /* at the end */
static inline void list_push_front(struct list *l, struct list *link) { list_insert_before(l->next, link); }
static inline void list_remove(struct list *link) /* no effect on one that is in no list */
{
    if (link->next == NULL) return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = link;
}
static inline struct list *list_first(struct list *l) { return l->next != l ? l->next : NULL; }
static inline struct list *list_pop(struct list *l)
{
    struct list *first = list_first(l);
    if (first != NULL) list_remove(first);
    return first;
}
#define list_each(link, head) for (struct list *link = (head)->next; link != (head); link = link->next)
/* Allows the loop's body to remove `link`. */
#define list_each_safe(link, head) \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head); link = link##_next, link##_next = link->next)

#endif
