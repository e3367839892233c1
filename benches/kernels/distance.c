// Edit distance of two texts, by dynamic programming.
#include "kernel.h"
#define N 400
static u8 left[N], right[N];
static u32 row[N + 1];

static u32 least(u32 a, u32 b) { return a < b ? a : b; }

static u32 distance(void) {
    for (u32 j = 0; j <= N; j++) row[j] = j;
    for (u32 i = 1; i <= N; i++) {
        u32 diagonal = row[0];
        row[0] = i;
        for (u32 j = 1; j <= N; j++) {
            u32 above = row[j];
            u32 replaced = diagonal + (left[i - 1] != right[j - 1]);
            row[j] = least(replaced, least(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[N];
}

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    u32 seed = 99;
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i < N; i++) {
            left[i] = 'a' + next_random(&seed) % 6;
            right[i] = 'a' + next_random(&seed) % 6;
        }
        sum = mix(sum, distance());
    }
    return sum;
}
