// Makes, walks and frees binary trees, with an allocator that keeps lists of free nodes.
#include "kernel.h"
typedef struct Node { struct Node *left, *right; u32 value; } Node;
#define NODES 70000
static Node nodes[NODES];
static Node *free_nodes;
static u32 used;

static Node *allocate(void) {
    Node *node = free_nodes;
    if (node) {
        free_nodes = node->left;
        return node;
    }
    return &nodes[used++];
}

static Node *make(u32 depth) {
    Node *node = allocate();
    node->value = depth;
    node->left = depth ? make(depth - 1) : 0;
    node->right = depth ? make(depth - 1) : 0;
    return node;
}

static u32 count(const Node *node) {
    return node ? 1 + count(node->left) + count(node->right) : 0;
}

static void release(Node *node) {
    if (node->left) release(node->left);
    if (node->right) release(node->right);
    node->left = free_nodes;
    free_nodes = node;
}

EXPORT u64 run(u32 n) {
    used = 0;
    free_nodes = 0;
    u64 sum = 0;
    Node *kept = make(12);
    for (u32 round = 0; round < n; round++)
        for (u32 depth = 4; depth <= 12; depth += 4) {
            Node *tree = make(depth);
            sum = mix(sum, count(tree));
            release(tree);
        }
    return mix(sum, count(kept));
}
