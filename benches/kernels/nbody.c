// Bodies that attract each other.
#include "kernel.h"
#define N 5
typedef struct { double x, y, z, vx, vy, vz, mass; } Body;
static Body bodies[N];

static void reset(void) {
    for (int i = 0; i < N; i++) {
        Body *body = &bodies[i];
        body->x = i * 1.5;
        body->y = i * i * 0.25 - i;
        body->z = 0.1 * i;
        body->vx = 0.01 * i;
        body->vy = 0.4 - 0.1 * i;
        body->vz = 0.005 * (i - 2);
        body->mass = i == 0 ? 39.5 : 0.01 * i;
    }
}

static void advance(double dt) {
    for (int i = 0; i < N; i++) {
        Body *one = &bodies[i];
        for (int j = i + 1; j < N; j++) {
            Body *other = &bodies[j];
            double dx = one->x - other->x, dy = one->y - other->y, dz = one->z - other->z;
            double square = dx * dx + dy * dy + dz * dz + 0.01;
            double magnitude = dt / (square * __builtin_sqrt(square));
            one->vx -= dx * other->mass * magnitude;
            one->vy -= dy * other->mass * magnitude;
            one->vz -= dz * other->mass * magnitude;
            other->vx += dx * one->mass * magnitude;
            other->vy += dy * one->mass * magnitude;
            other->vz += dz * one->mass * magnitude;
        }
    }
    for (int i = 0; i < N; i++) {
        bodies[i].x += dt * bodies[i].vx;
        bodies[i].y += dt * bodies[i].vy;
        bodies[i].z += dt * bodies[i].vz;
    }
}

EXPORT u64 run(u32 n) {
    reset();
    for (u32 round = 0; round < n; round++) advance(0.001);
    u64 sum = 0;
    for (int i = 0; i < N; i++) sum = mix(mix(sum, bits_of(bodies[i].x)), bits_of(bodies[i].vy));
    return sum;
}
