/* store/memory/tree.h: an ordered set of intrusive nodes, keyed (a, key, b): numbers ascending, bytes as memcmp sorts them. A treap whose
 * priorities come from a counter, so that the same calls build the same tree. The key's bytes belong to whoever embeds the node. */
#ifndef STORE_MEMORY_TREE_H
#define STORE_MEMORY_TREE_H

#include "base/str.h"

struct tree_node {
    struct tree_node *parent, *left, *right;
    int64_t a, b;
    struct str key;
    uint64_t priority;
};
struct tree {
    struct tree_node *root;
    uint64_t made;
    size_t count;
};

void tree_insert(struct tree *tree, struct tree_node *node); /* there is none of this key yet */
void tree_remove(struct tree *tree, struct tree_node *node);
struct tree_node *tree_find(const struct tree *tree, int64_t a, struct str key, int64_t b);
struct tree_node *tree_at_or_after(const struct tree *tree, int64_t a, struct str key, int64_t b);
struct tree_node *tree_before(const struct tree *tree, int64_t a, struct str key, int64_t b); /* the last one below */
struct tree_node *tree_next(const struct tree_node *node);
struct tree_node *tree_prev(const struct tree_node *node);

#endif
