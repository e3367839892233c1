// LU decomposition without pivoting.
#include "kernel.h"
#define N 80
static double a[N][N];

static void fill(u32 round) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) a[i][j] = (double)((i * 7 + j * 3 + (int)round) % 17) / 17;
        a[i][i] += N;
    }
}

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    for (u32 round = 0; round < n; round++) {
        fill(round);
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < i; j++) {
                for (int k = 0; k < j; k++) a[i][j] -= a[i][k] * a[k][j];
                a[i][j] /= a[j][j];
            }
            for (int j = i; j < N; j++)
                for (int k = 0; k < i; k++) a[i][j] -= a[i][k] * a[k][j];
        }
        sum = mix(sum, bits_of(a[N - 1][N - 1]));
    }
    return sum;
}
