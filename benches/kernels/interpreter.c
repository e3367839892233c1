// An interpreter of a small register machine, running a sieve of Eratosthenes.
#include "kernel.h"
enum { LOAD, ADD, SUB, MUL, LESS, JUMP, BRANCH, STORE, FETCH, MOVE, HALT };
typedef struct { u8 op, a, b, c; i32 value; } Instruction;
#define LIMIT 2000
static i32 registers[16], data[LIMIT];

static const Instruction program[] = {
    { LOAD, 0, 0, 0, 2 },       // 0: i = 2
    { LOAD, 1, 0, 0, LIMIT },   // 1: limit
    { LOAD, 5, 0, 0, 1 },       // 2: one
    { LOAD, 6, 0, 0, 0 },       // 3: count = 0
    { LESS, 7, 0, 1, 0 },       // 4: while i < limit
    { BRANCH, 7, 0, 0, 7 },     // 5
    { HALT, 0, 0, 0, 0 },       // 6
    { FETCH, 2, 0, 0, 0 },      // 7: if data[i] is not marked
    { BRANCH, 2, 0, 0, 17 },    // 8
    { ADD, 6, 6, 5, 0 },        // 9: count++
    { ADD, 3, 0, 0, 0 },        // 10: for j = 2i; j < limit; j += i
    { LESS, 7, 3, 1, 0 },       // 11
    { BRANCH, 7, 0, 0, 14 },    // 12
    { JUMP, 0, 0, 0, 17 },      // 13
    { STORE, 5, 3, 0, 0 },      // 14: mark data[j]
    { ADD, 3, 3, 0, 0 },        // 15
    { JUMP, 0, 0, 0, 11 },      // 16
    { ADD, 0, 0, 5, 0 },        // 17: i++
    { JUMP, 0, 0, 0, 4 },       // 18
};

static i32 interpret(void) {
    i32 pc = 0;
    for (;;) {
        Instruction i = program[pc++];
        switch (i.op) {
        case LOAD: registers[i.a] = i.value; break;
        case ADD: registers[i.a] = registers[i.b] + registers[i.c]; break;
        case SUB: registers[i.a] = registers[i.b] - registers[i.c]; break;
        case MUL: registers[i.a] = registers[i.b] * registers[i.c]; break;
        case LESS: registers[i.a] = registers[i.b] < registers[i.c]; break;
        case JUMP: pc = i.value; break;
        case BRANCH: if (registers[i.a]) pc = i.value; break;
        case STORE: data[registers[i.b]] = registers[i.a]; break;
        case FETCH: registers[i.a] = data[registers[i.b]]; break;
        case MOVE: registers[i.a] = registers[i.b]; break;
        case HALT: return registers[6];
        }
    }
}

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i < LIMIT; i++) data[i] = 0;
        sum = mix(sum, (u64)interpret());
    }
    return sum;
}
