/* Five bodies under gravity, symplectic steps. */
#include "kernel.h"

#define BODIES 5

struct body {
    double x, y, z, vx, vy, vz, mass;
};

static struct body bodies[BODIES];

static void advance(double dt)
{
    for (int i = 0; i < BODIES; i++) {
        struct body *const a = &bodies[i];
        for (int j = i + 1; j < BODIES; j++) {
            struct body *const b = &bodies[j];
            double const dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            double const square = dx * dx + dy * dy + dz * dz;
            double const factor = dt / (square * sqrt(square));
            a->vx -= dx * b->mass * factor;
            a->vy -= dy * b->mass * factor;
            a->vz -= dz * b->mass * factor;
            b->vx += dx * a->mass * factor;
            b->vy += dy * a->mass * factor;
            b->vz += dz * a->mass * factor;
        }
    }
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += dt * bodies[i].vx;
        bodies[i].y += dt * bodies[i].vy;
        bodies[i].z += dt * bodies[i].vz;
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double energy = 0;
    for (int i = 0; i < BODIES; i++) {
        double const distance = 10.0 * i + next_double(&random);
        bodies[i] = (struct body){distance, 0, 0.1 * i, 0, i == 0 ? 0 : sqrt(40 / distance), 0, i == 0 ? 40 : 0.04};
    }
    for (int turn = 0; turn < 250000; turn++)
        advance(0.001);
    for (int i = 0; i < BODIES; i++) {
        struct body const *const a = &bodies[i];
        energy += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
    }
    return bits_of(energy);
}
