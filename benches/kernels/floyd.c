// All shortest paths of a graph.
#include "kernel.h"
#define N 90
static i32 path[N][N];

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    for (u32 round = 0; round < n; round++) {
        u32 seed = 5 + round;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) path[i][j] = (i32)(next_random(&seed) % 1000) + 1;
        for (int k = 0; k < N; k++)
            for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++) {
                    i32 through = path[i][k] + path[k][j];
                    if (through < path[i][j]) path[i][j] = through;
                }
        for (int i = 0; i < N; i++) sum = mix(sum, (u64)path[i][(i * 7) % N]);
    }
    return sum;
}
