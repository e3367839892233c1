// Reads lines of comma-separated values, some of them quoted, and adds up columns.
#include "kernel.h"
#define ROOM 20000
static u8 text[ROOM];
static u32 length;
static u64 totals[8];

static void number(u32 value) {
    u8 digits[10];
    int count = 0;
    do digits[count++] = '0' + value % 10; while (value /= 10);
    while (count) text[length++] = digits[--count];
}

static void write_text(void) {
    u32 seed = 21;
    length = 0;
    while (length < ROOM - 200) {
        for (int column = 0; column < 6; column++) {
            if (column) text[length++] = ',';
            if (column == 2) {
                text[length++] = '"';
                for (u32 i = next_random(&seed) % 12; i; i--)
                    text[length++] = i == 5 ? ',' : 'a' + i;
                text[length++] = '"';
            } else {
                number(next_random(&seed) % 100000);
            }
        }
        text[length++] = '\n';
    }
}

static u64 read_text(void) {
    u64 fields = 0;
    u32 column = 0, value = 0;
    int quoted = 0;
    for (u32 i = 0; i < length; i++) {
        u8 c = text[i];
        if (quoted) {
            if (c == '"') quoted = 0;
            else value = value * 31 + c;
            continue;
        }
        switch (c) {
        case '"': quoted = 1; break;
        case ',':
        case '\n':
            totals[column & 7] += value;
            value = 0;
            fields++;
            column = c == ',' ? column + 1 : 0;
            break;
        default: value = value * 10 + (c - '0');
        }
    }
    return fields;
}

EXPORT u64 run(u32 n) {
    for (int i = 0; i < 8; i++) totals[i] = 0;
    write_text();
    u64 sum = 0;
    for (u32 round = 0; round < n; round++) sum = mix(sum, read_text());
    for (int i = 0; i < 8; i++) sum = mix(sum, totals[i]);
    return sum;
}
