/* base/heap.h: a binary heap of intrusive nodes ordered by (due, order): what is due first, ties by who came first. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/instant.h"

struct heap_node {
    instant due;
    uint64_t order;  /* set by heap_put */
    size_t position; /* index + 1; 0 = in no heap */
};
struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
    uint64_t next_order;
};

void heap_fini(struct heap *heap);
void heap_put(struct heap *heap, struct heap_node *node, instant due); /* adds it, or moves it when it is in already */
void heap_remove(struct heap *heap, struct heap_node *node);           /* no effect when it is in no heap */
static inline struct heap_node *heap_first(const struct heap *heap) { return heap->count != 0 ? heap->nodes[0] : NULL; }
static inline bool heap_has(const struct heap_node *node) { return node->position != 0; }

#endif
