// The permutation of SHA-3.
#include "kernel.h"
static u64 state[25];
static u64 constants[24];
static const u8 rotations[24] = { 1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                  27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44 };
static const u8 lanes[24] = { 10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                              15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1 };

// The round constants come out of a shift register.
static void make_constants(void) {
    u8 shift = 1;
    for (int round = 0; round < 24; round++) {
        constants[round] = 0;
        for (int bit = 0; bit < 7; bit++) {
            if (shift & 1) constants[round] |= 1ull << ((1 << bit) - 1);
            shift = shift & 0x80 ? (u8)(shift << 1) ^ 0x71 : (u8)(shift << 1);
        }
    }
}

static void permute(void) {
    for (int round = 0; round < 24; round++) {
        u64 parity[5], carried;
        for (int i = 0; i < 5; i++)
            parity[i] = state[i] ^ state[i + 5] ^ state[i + 10] ^ state[i + 15] ^ state[i + 20];
        for (int i = 0; i < 5; i++) {
            carried = parity[(i + 4) % 5] ^ rotate64(parity[(i + 1) % 5], 1);
            for (int j = 0; j < 25; j += 5) state[i + j] ^= carried;
        }
        carried = state[1];
        for (int i = 0; i < 24; i++) {
            u64 next = state[lanes[i]];
            state[lanes[i]] = rotate64(carried, rotations[i]);
            carried = next;
        }
        for (int j = 0; j < 25; j += 5) {
            u64 line[5];
            for (int i = 0; i < 5; i++) line[i] = state[i + j];
            for (int i = 0; i < 5; i++)
                state[i + j] = line[i] ^ (~line[(i + 1) % 5] & line[(i + 2) % 5]);
        }
        state[0] ^= constants[round];
    }
}

EXPORT u64 run(u32 n) {
    make_constants();
    for (int i = 0; i < 25; i++) state[i] = (u64)i;
    for (u32 round = 0; round < n; round++) permute();
    u64 sum = 0;
    for (int i = 0; i < 25; i++) sum = mix(sum, state[i]);
    return sum;
}
