// Symmetric rank-k update.
#include "kernel.h"
#define N 90
#define M 70
static double a[N][M], c[N][N];

EXPORT u64 run(u32 n) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < M; j++) a[i][j] = (i * j + 1) % N / (double)N;
        for (int j = 0; j < N; j++) c[i][j] = (i * j + 2) % M / (double)M;
    }
    for (u32 round = 0; round < n; round++)
        for (int i = 0; i < N; i++) {
            for (int j = 0; j <= i; j++) c[i][j] *= 0.75;
            for (int k = 0; k < M; k++)
                for (int j = 0; j <= i; j++) c[i][j] += 0.01 * a[i][k] * a[j][k];
        }
    u64 sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) sum = mix(sum, bits_of(c[i][j]));
    return sum;
}
