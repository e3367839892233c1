// A stencil of seven points in space, there and back.
#include "kernel.h"
#define N 24
static double a[N][N][N], b[N][N][N];

static void step(double from[N][N][N], double to[N][N][N]) {
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            for (int k = 1; k < N - 1; k++)
                to[i][j][k] =
                    0.125 * (from[i + 1][j][k] - 2.0 * from[i][j][k] + from[i - 1][j][k]) +
                    0.125 * (from[i][j + 1][k] - 2.0 * from[i][j][k] + from[i][j - 1][k]) +
                    0.125 * (from[i][j][k + 1] - 2.0 * from[i][j][k] + from[i][j][k - 1]) +
                    from[i][j][k];
}

EXPORT u64 run(u32 n) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) a[i][j][k] = b[i][j][k] = (i + j + N - k) * 10.0 / N;
    for (u32 round = 0; round < n; round++) {
        step(a, b);
        step(b, a);
    }
    u64 sum = 0;
    for (int i = 0; i < N; i++) sum = mix(sum, bits_of(a[i][i][N / 2]));
    return sum;
}
