// Fast Fourier transform, in place, with a table of roots made by repeated multiplication.
#include "kernel.h"
#define BITS 11
#define N (1 << BITS)
static double re[N], im[N], root_re[N / 2], root_im[N / 2];

static void roots(void) {
    // The first root is exp(-2 pi i / 2048).
    const double c = 0.99999529380957617151, s = -0.0030679567629659762701;
    double x = 1, y = 0;
    for (int i = 0; i < N / 2; i++) {
        root_re[i] = x;
        root_im[i] = y;
        double next = x * c - y * s;
        y = x * s + y * c;
        x = next;
    }
}

static void reverse(void) {
    for (u32 i = 0, j = 0; i < N; i++) {
        if (i < j) {
            double t = re[i];
            re[i] = re[j];
            re[j] = t;
            t = im[i];
            im[i] = im[j];
            im[j] = t;
        }
        u32 bit = N >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
    }
}

static void transform(void) {
    reverse();
    for (int half = 1; half < N; half *= 2)
        for (int start = 0; start < N; start += 2 * half)
            for (int k = 0; k < half; k++) {
                double wr = root_re[k * (N / 2 / half)], wi = root_im[k * (N / 2 / half)];
                int low = start + k, high = low + half;
                double xr = re[high] * wr - im[high] * wi, xi = re[high] * wi + im[high] * wr;
                re[high] = re[low] - xr;
                im[high] = im[low] - xi;
                re[low] += xr;
                im[low] += xi;
            }
}

EXPORT u64 run(u32 n) {
    u32 seed = 17;
    for (int i = 0; i < N; i++) {
        re[i] = next_random(&seed) / 4294967296.0;
        im[i] = 0;
    }
    roots();
    for (u32 round = 0; round < n; round++) {
        transform();
        for (int i = 0; i < N; i++) {
            re[i] *= 0.022097086912079612; // 1 / sqrt(N)
            im[i] *= 0.022097086912079612;
        }
    }
    u64 sum = 0;
    for (int i = 0; i < N; i++) sum = mix(mix(sum, bits_of(re[i])), bits_of(im[i]));
    return sum;
}
