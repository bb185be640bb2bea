#include "store/memory/tree.h"

static int compare(int64_t a1, struct str key1, int64_t b1, const struct tree_node *node)
{
    if (a1 != node->a) return a1 < node->a ? -1 : 1;
    int c = str_compare(key1, node->key);
    if (c != 0) return c;
    return (b1 > node->b) - (b1 < node->b);
}

/* The place in the parent (or the root) that points to the node. */
static struct tree_node **place_of(struct tree *tree, struct tree_node *node)
{
    if (node->parent == NULL) return &tree->root;
    return node->parent->left == node ? &node->parent->left : &node->parent->right;
}

/* The child takes its parent's place; the parent goes below it. */
static void rotate_up(struct tree *tree, struct tree_node *child)
{
    struct tree_node *parent = child->parent;
    *place_of(tree, parent) = child;
    child->parent = parent->parent;
    struct tree_node **from, **to;
    if (parent->left == child) {
        from = &child->right;
        to = &parent->left;
    } else {
        from = &child->left;
        to = &parent->right;
    }
    *to = *from;
    if (*from != NULL) (*from)->parent = parent;
    *from = parent;
    parent->parent = child;
}

static uint64_t mix(uint64_t x) /* splitmix64: neighbours in the counter get unrelated priorities */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void tree_insert(struct tree *tree, struct tree_node *node)
{
    struct tree_node **place = &tree->root, *parent = NULL;
    while (*place != NULL) {
        parent = *place;
        int c = compare(node->a, node->key, node->b, parent);
        ensure(c != 0);
        place = c < 0 ? &parent->left : &parent->right;
    }
    node->left = node->right = NULL;
    node->parent = parent;
    node->priority = mix(++tree->made);
    *place = node;
    tree->count++;
    while (node->parent != NULL && node->parent->priority < node->priority) rotate_up(tree, node);
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    while (node->left != NULL && node->right != NULL) {
        rotate_up(tree, node->left->priority > node->right->priority ? node->left : node->right);
    }
    struct tree_node *child = node->left != NULL ? node->left : node->right;
    *place_of(tree, node) = child;
    if (child != NULL) child->parent = node->parent;
    node->parent = node->left = node->right = NULL;
    tree->count--;
}

struct tree_node *tree_at_or_after(const struct tree *tree, int64_t a, struct str key, int64_t b)
{
    struct tree_node *best = NULL;
    for (struct tree_node *node = tree->root; node != NULL;) {
        if (compare(a, key, b, node) <= 0) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

struct tree_node *tree_before(const struct tree *tree, int64_t a, struct str key, int64_t b)
{
    struct tree_node *best = NULL;
    for (struct tree_node *node = tree->root; node != NULL;) {
        if (compare(a, key, b, node) > 0) {
            best = node;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return best;
}

struct tree_node *tree_find(const struct tree *tree, int64_t a, struct str key, int64_t b)
{
    struct tree_node *node = tree_at_or_after(tree, a, key, b);
    return node != NULL && compare(a, key, b, node) == 0 ? node : NULL;
}

struct tree_node *tree_next(const struct tree_node *node)
{
    if (node->right != NULL) {
        struct tree_node *next = node->right;
        while (next->left != NULL) next = next->left;
        return next;
    }
    while (node->parent != NULL && node->parent->right == node) node = node->parent;
    return node->parent;
}

struct tree_node *tree_prev(const struct tree_node *node)
{
    if (node->left != NULL) {
        struct tree_node *prev = node->left;
        while (prev->right != NULL) prev = prev->right;
        return prev;
    }
    while (node->parent != NULL && node->parent->left == node) node = node->parent;
    return node->parent;
}
