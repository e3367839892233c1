// Quicksort, and insertion sort for what is left.
#include "kernel.h"
#define N 10000
static u32 items[N];

static void insertion(i32 low, i32 high) {
    for (i32 i = low + 1; i <= high; i++) {
        u32 item = items[i];
        i32 j = i - 1;
        for (; j >= low && items[j] > item; j--) items[j + 1] = items[j];
        items[j + 1] = item;
    }
}

static void sort(i32 low, i32 high) {
    while (high - low > 12) {
        u32 pivot = items[(low + high) / 2];
        i32 i = low, j = high;
        while (i <= j) {
            while (items[i] < pivot) i++;
            while (items[j] > pivot) j--;
            if (i <= j) {
                u32 item = items[i];
                items[i++] = items[j];
                items[j--] = item;
            }
        }
        sort(low, j);
        low = i;
    }
    insertion(low, high);
}

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    u32 seed = 11;
    for (u32 round = 0; round < n; round++) {
        for (int i = 0; i < N; i++) items[i] = next_random(&seed);
        sort(0, N - 1);
        sum = mix(sum, items[round % N]);
    }
    return sum;
}
