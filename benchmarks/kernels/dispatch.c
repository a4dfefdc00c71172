/* Shapes with functions in tables, as an object-oriented program has them. */
#define KERNEL_ARENA_BYTES (1 << 20)
#include "kernel.h"

#define SHAPES 4000

struct shape;
struct methods {
    double (*area)(const struct shape *);
    void (*grow)(struct shape *, double);
};
struct shape {
    const struct methods *methods;
    double a, b, c;
};

static double area_of_circle(const struct shape *shape)
{
    return 3.141592653589793 * shape->a * shape->a;
}

static double area_of_box(const struct shape *shape)
{
    return shape->a * shape->b;
}

static double area_of_triangle(const struct shape *shape)
{
    double const s = (shape->a + shape->b + shape->c) / 2;
    return sqrt(s * (s - shape->a) * (s - shape->b) * (s - shape->c));
}

static void grow_all(struct shape *shape, double by)
{
    shape->a *= by;
    shape->b *= by;
    shape->c *= by;
}

static void grow_circle(struct shape *shape, double by)
{
    shape->a *= by;
}

static const struct methods circle = {area_of_circle, grow_circle}, box = {area_of_box, grow_all},
                            triangle = {area_of_triangle, grow_all};

uint64_t kernel(void)
{
    static struct shape *shapes[SHAPES];
    uint32_t random = kernel_seed;
    double total = 0;
    arena_used = 0;
    for (int i = 0; i < SHAPES; i++) {
        uint32_t const kind = next_random(&random) % 3;
        shapes[i] = allocate(sizeof(struct shape));
        shapes[i]->methods = kind == 0 ? &circle : kind == 1 ? &box : &triangle;
        shapes[i]->a = 3 + next_double(&random);
        shapes[i]->b = 3 + next_double(&random);
        shapes[i]->c = 3 + next_double(&random);
    }
    for (int turn = 0; turn < 500; turn++) {
        for (int i = 0; i < SHAPES; i++)
            total += shapes[i]->methods->area(shapes[i]);
        for (int i = 0; i < SHAPES; i++)
            shapes[i]->methods->grow(shapes[i], turn & 1 ? 1.25 : 0.8);
    }
    return bits_of(total);
}
