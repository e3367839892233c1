// Compresses a text by references to what was there before, and restores it.
#include "kernel.h"
#define N 16384
#define SLOTS 4096
static u8 text[N], packed[2 * N], restored[N];
static u32 slots[SLOTS];

static void write_text(void) {
    u32 seed = 31;
    for (u32 i = 0; i < N; i++) {
        u32 r = next_random(&seed);
        text[i] = i > 64 && r % 5 ? text[i - 1 - r % 3 * 20] : 'a' + r % 26;
    }
}

static u32 pack(void) {
    u32 out = 0, i = 0;
    for (u32 slot = 0; slot < SLOTS; slot++) slots[slot] = 0;
    while (i + 4 <= N) {
        u32 word = text[i] | text[i + 1] << 8 | text[i + 2] << 16 | (u32)text[i + 3] << 24;
        u32 slot = (word * 2654435761u) >> 20;
        u32 before = slots[slot], length = 0;
        slots[slot] = i;
        if (before < i && i - before < 65536)
            while (length < 255 && i + length < N && text[before + length] == text[i + length])
                length++;
        if (length >= 4) {
            packed[out++] = (u8)length;
            packed[out++] = (u8)(i - before);
            packed[out++] = (u8)((i - before) >> 8);
            i += length;
        } else {
            packed[out++] = 0;
            packed[out++] = text[i++];
        }
    }
    while (i < N) {
        packed[out++] = 0;
        packed[out++] = text[i++];
    }
    return out;
}

static u32 unpack(u32 length) {
    u32 out = 0;
    for (u32 i = 0; i < length;) {
        u32 count = packed[i++];
        if (!count) {
            restored[out++] = packed[i++];
            continue;
        }
        u32 distance = packed[i] | packed[i + 1] << 8;
        i += 2;
        while (count--) {
            restored[out] = restored[out - distance];
            out++;
        }
    }
    return out;
}

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    write_text();
    for (u32 round = 0; round < n; round++) {
        u32 length = pack();
        sum = mix(mix(sum, length), unpack(length));
        for (u32 i = 0; i < N; i += 64) sum = mix(sum, restored[i]);
        text[round % N] ^= 1;
    }
    return sum;
}
