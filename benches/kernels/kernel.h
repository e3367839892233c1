// What the kernels have in common. They are freestanding: no library, the same code for
// WebAssembly and for the machine.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

// A kernel defines `u64 run(u32 n)`: n repetitions of its work, and a checksum of all results.
#ifdef __wasm__
#define EXPORT __attribute__((export_name("run")))
#else
#define EXPORT
#endif

// The next of a sequence of pseudo-random numbers (xorshift).
static inline u32 next_random(u32 *state) {
    u32 x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

// One step of a checksum.
static inline u64 mix(u64 sum, u64 value) {
    return (sum ^ value) * 0x9e3779b97f4a7c15ull + (sum >> 29);
}

// The bits of a number.
static inline u64 bits_of(double value) {
    union { double number; u64 bits; } both = { value };
    return both.bits;
}

static inline u32 rotate32(u32 value, int count) {
    return (value << count) | (value >> (32 - count));
}

static inline u64 rotate64(u64 value, int count) {
    return (value << count) | (value >> (64 - count));
}
