// A stencil of five points in the plane, there and back.
#include "kernel.h"
#define N 130
static double a[N][N], b[N][N];

EXPORT u64 run(u32 n) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (i * (j + 2.0) + 2) / N;
            b[i][j] = (i * (j + 3.0) + 3) / N;
        }
    for (u32 round = 0; round < n; round++) {
        for (int i = 1; i < N - 1; i++)
            for (int j = 1; j < N - 1; j++)
                b[i][j] = 0.2 * (a[i][j] + a[i][j - 1] + a[i][j + 1] + a[i + 1][j] + a[i - 1][j]);
        for (int i = 1; i < N - 1; i++)
            for (int j = 1; j < N - 1; j++)
                a[i][j] = 0.2 * (b[i][j] + b[i][j - 1] + b[i][j + 1] + b[i + 1][j] + b[i - 1][j]);
    }
    u64 sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) sum = mix(sum, bits_of(a[i][j]));
    return sum;
}
