/* A kernel as wasm2c's own prelude and runtime make it: the program of native.c around an instance. The generated
 * header is included by the command line; what a kernel's module imports is never called. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define kernel native_kernel
#define main run_lines
#include "native.c"
#undef main
#undef kernel

struct w2c_env {
    int unused;
};

static w2c_kernel instance;
static struct w2c_env environment;

uint64_t native_kernel(void)
{
    return w2c_kernel_kernel(&instance);
}

void w2c_env_hostcall_init_mm(struct w2c_env *env, u32 a, u32 b)
{
    abort();
}

u32 w2c_env_hostcall_resp_set_header(struct w2c_env *env, u32 a, u32 b, u32 c, u32 d, u32 e)
{
    abort();
}

u32 w2c_env_hostcall_resp_set_response_code(struct w2c_env *env, u32 a, u32 b)
{
    abort();
}

u32 w2c_env_hostcall_resp_set_body(struct w2c_env *env, u32 a, u32 b, u32 c)
{
    abort();
}

int main(void)
{
    wasm_rt_init();
    wasm2c_kernel_instantiate(&instance, &environment);
    return run_lines();
}
