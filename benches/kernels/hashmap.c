// Counts words in a hash table with open addressing.
#include "kernel.h"
#define SLOTS 8192
typedef struct { u32 key, count; } Slot;
static Slot table[SLOTS];

static u32 hash(u32 key) {
    key = (key ^ (key >> 16)) * 0x45d9f3bu;
    return key ^ (key >> 16);
}

static void count(u32 key) {
    u32 at = hash(key) % SLOTS;
    while (table[at].count && table[at].key != key) at = (at + 1) % SLOTS;
    table[at].key = key;
    table[at].count++;
}

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    u32 seed = 13;
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i < SLOTS; i++) table[i].count = 0;
        for (int i = 0; i < 20000; i++) count(next_random(&seed) % 5000);
        sum = mix(sum, table[round % SLOTS].count);
    }
    return sum;
}
