// A stencil of nine points in the plane, in place: each result depends on the one before.
#include "kernel.h"
#define N 120
static double a[N][N];

EXPORT u64 run(u32 n) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i][j] = (i * (j + 2.0) + 2) / N;
    for (u32 round = 0; round < n; round++)
        for (int i = 1; i < N - 1; i++)
            for (int j = 1; j < N - 1; j++)
                a[i][j] = (a[i - 1][j - 1] + a[i - 1][j] + a[i - 1][j + 1] + a[i][j - 1] + a[i][j] +
                           a[i][j + 1] + a[i + 1][j - 1] + a[i + 1][j] + a[i + 1][j + 1]) * 0.111;
    u64 sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) sum = mix(sum, bits_of(a[i][j]));
    return sum;
}
