#include "base/heap.h"

#include <stdlib.h>

void heap_fini(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->order < b->order;
}

static void set(struct heap *heap, size_t i, struct heap_node *node)
{
    heap->nodes[i] = node;
    node->position = i + 1;
}

static void sift(struct heap *heap, size_t i, struct heap_node *node)
{
    while (i > 0 && is_before(node, heap->nodes[(i - 1) / 2])) {
        set(heap, i, heap->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && is_before(heap->nodes[child + 1], heap->nodes[child])) child++;
        if (!is_before(heap->nodes[child], node)) break;
        set(heap, i, heap->nodes[child]);
        i = child;
    }
    set(heap, i, node);
}

void heap_put(struct heap *heap, struct heap_node *node, instant due)
{
    size_t i = node->position;
    if (i == 0) {
        if (heap->count == heap->capacity) {
            heap->capacity = heap->capacity != 0 ? heap->capacity * 2 : 4;
            heap->nodes = xrealloc(heap->nodes, heap->capacity * sizeof(struct heap_node *));
        }
        i = ++heap->count;
    }
    node->due = due;
    node->order = heap->next_order++;
    sift(heap, i - 1, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->position == 0) return;
    size_t i = node->position - 1;
    struct heap_node *last = heap->nodes[--heap->count];
    if (last != node) sift(heap, i, last);
    node->position = 0;
}
