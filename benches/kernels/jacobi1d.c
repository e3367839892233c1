// A stencil of three points on a line, there and back.
#include "kernel.h"
#define N 2000
static double a[N], b[N];

EXPORT u64 run(u32 n) {
    for (int i = 0; i < N; i++) {
        a[i] = (i + 2.0) / N;
        b[i] = (i + 3.0) / N;
    }
    for (u32 round = 0; round < n; round++) {
        for (int i = 1; i < N - 1; i++) b[i] = 0.33333 * (a[i - 1] + a[i] + a[i + 1]);
        for (int i = 1; i < N - 1; i++) a[i] = 0.33333 * (b[i - 1] + b[i] + b[i + 1]);
    }
    u64 sum = 0;
    for (int i = 0; i < N; i++) sum = mix(sum, bits_of(a[i]));
    return sum;
}
