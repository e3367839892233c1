// How soon points leave the Mandelbrot set.
#include "kernel.h"
#define SIZE 64

EXPORT u64 run(u32 n) {
    u64 sum = 0;
    for (u32 round = 0; round < n; round++)
        for (int row = 0; row < SIZE; row++)
            for (int column = 0; column < SIZE; column++) {
                double cx = 3.0 * column / SIZE - 2.2, cy = 2.4 * row / SIZE - 1.2;
                double x = 0, y = 0;
                u32 steps = 0;
                while (steps < 100 && x * x + y * y < 4) {
                    double next = x * x - y * y + cx;
                    y = 2 * x * y + cy;
                    x = next;
                    steps++;
                }
                sum = mix(sum, steps);
            }
    return sum;
}
