// Product of two matrices, in the order of the loops that a textbook has.
#include "kernel.h"
#define N 96
static double a[N][N], b[N][N], c[N][N];

EXPORT u64 run(u32 n) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (i * j + 1) % N / (double)N;
            b[i][j] = (i * (j + 1)) % N / (double)N;
            c[i][j] = 0;
        }
    for (u32 round = 0; round < n; round++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double sum = c[i][j];
                for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
                c[i][j] = sum * 0.5;
            }
    u64 sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) sum = mix(sum, bits_of(c[i][j]));
    return sum;
}
