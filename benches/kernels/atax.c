// A matrix transposed times itself times a vector.
#include "kernel.h"
#define M 190
#define N 210
static double a[M][N], x[N], y[N], t[M];

EXPORT u64 run(u32 n) {
    for (int i = 0; i < N; i++) x[i] = 1 + i / (double)N;
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) a[i][j] = (i + j) % N / (5.0 * M);
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i < N; i++) y[i] = 0;
        for (int i = 0; i < M; i++) {
            t[i] = 0;
            for (int j = 0; j < N; j++) t[i] += a[i][j] * x[j];
            for (int j = 0; j < N; j++) y[j] += a[i][j] * t[i];
        }
        for (int i = 0; i < N; i++) x[i] = x[i] * 0.5 + y[i] * 0.001;
    }
    u64 sum = 0;
    for (int i = 0; i < N; i++) sum = mix(sum, bits_of(y[i]));
    return sum;
}
