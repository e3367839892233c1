// Multiplication modulo 2^255 - 19, with products of 64 by 64 bits made of 32-bit halves.
#include "kernel.h"
typedef struct { u64 low, high; } Wide;
typedef struct { u64 limbs[5]; } Field; // 51 bits each
#define MASK ((1ull << 51) - 1)

static inline Wide product(u64 a, u64 b) {
    u64 a0 = (u32)a, a1 = a >> 32, b0 = (u32)b, b1 = b >> 32;
    u64 low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (u32)middle;
    Wide wide = { (other << 32) | (u32)low, a1 * b1 + (middle >> 32) + (other >> 32) };
    return wide;
}

static inline void add(Wide *sum, Wide term) {
    sum->low += term.low;
    sum->high += term.high + (sum->low < term.low);
}

static Field multiply(const Field *a, const Field *b) {
    Wide sums[5];
    for (int i = 0; i < 5; i++) {
        sums[i].low = sums[i].high = 0;
        for (int j = 0; j < 5; j++) {
            u64 other = b->limbs[(i - j + 5) % 5];
            add(&sums[i], product(a->limbs[j], j > i ? other * 19 : other));
        }
    }
    Field result;
    u64 carry = 0;
    for (int i = 0; i < 5; i++) {
        Wide with = { carry, 0 };
        add(&sums[i], with);
        result.limbs[i] = sums[i].low & MASK;
        carry = (sums[i].low >> 51) | (sums[i].high << 13);
    }
    result.limbs[0] += carry * 19;
    result.limbs[1] += result.limbs[0] >> 51;
    result.limbs[0] &= MASK;
    return result;
}

EXPORT u64 run(u32 n) {
    Field a = { { 1234567, 89, 1ull << 50, 3, 77 } }, b = { { 9, 1ull << 40, 55, 1, 2 } };
    for (u32 round = 0; round < n; round++) {
        Field next = multiply(&a, &b);
        b = a;
        a = next;
    }
    u64 sum = 0;
    for (int i = 0; i < 5; i++) sum = mix(sum, a.limbs[i]);
    return sum;
}
