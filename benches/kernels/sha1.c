// The compression function of SHA-1.
#include "kernel.h"
static u32 state[5], words[80];

static void compress(void) {
    for (int i = 16; i < 80; i++)
        words[i] = rotate32(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    u32 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 80; i++) {
        u32 f, k;
        if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
        else if (i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else f = b ^ c ^ d, k = 0xca62c1d6;
        u32 next = rotate32(a, 5) + f + e + k + words[i];
        e = d;
        d = c;
        c = rotate32(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

EXPORT u64 run(u32 n) {
    for (int i = 0; i < 5; i++) state[i] = 0x67452301u * (u32)(i + 1);
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i < 16; i++) words[i] = state[i % 5] + (u32)i;
        compress();
    }
    u64 sum = 0;
    for (int i = 0; i < 5; i++) sum = mix(sum, state[i]);
    return sum;
}
