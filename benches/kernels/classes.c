// Counts characters by class, with small functions as a C library has them.
#include "kernel.h"
#define N 16000
static u8 text[N];

static __attribute__((noinline)) int is_digit(int c) { return (unsigned)c - '0' < 10; }
static __attribute__((noinline)) int is_letter(int c) { return ((unsigned)c | 32) - 'a' < 26; }
static __attribute__((noinline)) int is_space(int c) { return c == ' ' || (unsigned)c - 9 < 5; }

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    u32 seed = 41;
    for (int i = 0; i < N; i++) text[i] = next_random(&seed) & 127;
    for (u32 round = 0; round < n; round++) {
        u32 digits = 0, letters = 0, spaces = 0, words = 0;
        int inside = 0;
        for (int i = 0; i < N; i++) {
            int c = text[i];
            if (is_digit(c)) digits++;
            if (is_letter(c)) {
                letters++;
                words += !inside;
                inside = 1;
            } else {
                inside = 0;
            }
            if (is_space(c)) spaces++;
        }
        sum = mix(mix(mix(mix(sum, digits), letters), spaces), words);
        text[round % N] ^= 3;
    }
    return sum;
}
