// The most valuable load of a knapsack, by dynamic programming.
#include "kernel.h"
#define ITEMS 60
#define ROOM 1500
static u32 best[ROOM + 1];

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    u32 seed = 3;
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i <= ROOM; i++) best[i] = 0;
        for (int item = 0; item < ITEMS; item++) {
            u32 weight = next_random(&seed) % 90 + 1, value = next_random(&seed) % 1000;
            for (u32 room = ROOM; room >= weight; room--) {
                u32 with = best[room - weight] + value;
                if (with > best[room]) best[room] = with;
            }
        }
        sum = mix(sum, best[ROOM]);
    }
    return sum;
}
