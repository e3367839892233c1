// Runs a kernel in a native process: reads how often, prints nanoseconds and checksum.
#include <stdint.h>
#include <stdio.h>
#include <time.h>

uint64_t run(uint32_t n);

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int main(void) {
    unsigned n;
    while (scanf("%u", &n) == 1) {
        uint64_t start = now();
        uint64_t sum = run(n);
        uint64_t end = now();
        printf("%llu %llu\n", (unsigned long long)(end - start), (unsigned long long)sum);
        fflush(stdout);
    }
    return 0;
}
