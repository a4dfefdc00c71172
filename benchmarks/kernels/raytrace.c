/* Spheres, one light, shadows: rays through square roots and branches. */
#include "kernel.h"

#define WIDTH 160
#define HEIGHT 120
#define SPHERES 24

struct vector {
    double x, y, z;
};
struct sphere {
    struct vector centre;
    double radius, shade;
};

static struct sphere spheres[SPHERES];

static struct vector minus(struct vector a, struct vector b)
{
    return (struct vector){a.x - b.x, a.y - b.y, a.z - b.z};
}

static struct vector along(struct vector a, struct vector b, double t)
{
    return (struct vector){a.x + t * b.x, a.y + t * b.y, a.z + t * b.z};
}

static double dot(struct vector a, struct vector b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static struct vector unit(struct vector a)
{
    double const length = sqrt(dot(a, a));
    return (struct vector){a.x / length, a.y / length, a.z / length};
}

static const struct sphere *nearest(struct vector from, struct vector direction, double *ret_t)
{
    const struct sphere *found = NULL;
    double least = 1e30;
    for (int i = 0; i < SPHERES; i++) {
        struct vector const to = minus(from, spheres[i].centre);
        double const b = dot(to, direction), c = dot(to, to) - spheres[i].radius * spheres[i].radius;
        double const under = b * b - c;
        if (under <= 0)
            continue;
        double const t = -b - sqrt(under);
        if (t > 1e-4 && t < least) {
            least = t;
            found = &spheres[i];
        }
    }
    *ret_t = least;
    return found;
}

static double trace(struct vector from, struct vector direction, int depth)
{
    static const struct vector light = {20, 30, -20};
    double t, ignored;
    const struct sphere *const hit = nearest(from, direction, &t);
    if (hit == NULL)
        return 0.1 + 0.1 * direction.y;
    struct vector const at = along(from, direction, t);
    struct vector const normal = unit(minus(at, hit->centre));
    struct vector const to_light = unit(minus(light, at));
    double shade = dot(normal, to_light);
    if (shade < 0 || nearest(at, to_light, &ignored) != NULL)
        shade = 0;
    shade = hit->shade * (0.2 + 0.8 * shade);
    if (depth < 3)
        shade += 0.3 * trace(at, along(direction, normal, -2 * dot(direction, normal)), depth + 1);
    return shade;
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    for (int i = 0; i < SPHERES; i++) {
        spheres[i].centre = (struct vector){8 * next_double(&random) - 4, 6 * next_double(&random) - 3,
                                            4 + 8 * next_double(&random)};
        spheres[i].radius = 0.3 + next_double(&random);
        spheres[i].shade = next_double(&random);
    }
    for (int turn = 0; turn < 16; turn++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                sum += trace((struct vector){0.02 * turn, 0, -4},
                             unit((struct vector){(x - WIDTH / 2) * 0.01, (y - HEIGHT / 2) * 0.01, 1}), 0);
    return bits_of(sum);
}
