/* An interpreter of byte code: one switch in a loop, an operand stack, a program that computes Collatz lengths. */
#include "kernel.h"

enum op { PUSH, GET, SET, ADD, MULTIPLY, HALVE, IS_ODD, IS_LESS, JUMP, JUMP_IF_ZERO, END };

static int32_t code[64];
static int length;

static int put(int32_t op)
{
    code[length] = op;
    return length++;
}

/* The program is put together here, so that no jump has to be counted by hand. */
static void assemble(int32_t limit)
{
    length = 0;
    put(PUSH), put(1), put(SET), put(0);
    int const outer = length;
    put(GET), put(0), put(PUSH), put(limit), put(IS_LESS), put(JUMP_IF_ZERO);
    int const out = put(0);
    put(GET), put(0), put(SET), put(1);
    int const inner = length;
    put(PUSH), put(1), put(GET), put(1), put(IS_LESS), put(JUMP_IF_ZERO);
    int const done = put(0);
    put(GET), put(1), put(IS_ODD), put(JUMP_IF_ZERO);
    int const even = put(0);
    put(GET), put(1), put(PUSH), put(3), put(MULTIPLY), put(PUSH), put(1), put(ADD), put(SET), put(1), put(JUMP);
    int const both = put(0);
    code[even] = length;
    put(GET), put(1), put(HALVE), put(SET), put(1);
    code[both] = length;
    put(GET), put(2), put(PUSH), put(1), put(ADD), put(SET), put(2), put(JUMP), put(inner);
    code[done] = length;
    put(GET), put(0), put(PUSH), put(1), put(ADD), put(SET), put(0), put(JUMP), put(outer);
    code[out] = length;
    put(END);
}

static int64_t run_code(const int32_t *at)
{
    int64_t stack[16], variables[4] = {0};
    int64_t *top = stack;
    for (;;) {
        switch ((enum op)*at++) {
        case PUSH:
            *top++ = *at++;
            break;
        case GET:
            *top++ = variables[*at++];
            break;
        case SET:
            variables[*at++] = *--top;
            break;
        case ADD:
            top--;
            top[-1] += top[0];
            break;
        case MULTIPLY:
            top--;
            top[-1] *= top[0];
            break;
        case HALVE:
            top[-1] >>= 1;
            break;
        case IS_ODD:
            top[-1] &= 1;
            break;
        case IS_LESS:
            top--;
            top[-1] = top[-1] < top[0];
            break;
        case JUMP:
            at = code + *at;
            break;
        case JUMP_IF_ZERO:
            at = *--top == 0 ? code + *at : at + 1;
            break;
        case END:
            return variables[2];
        }
    }
}

uint64_t kernel(void)
{
    assemble(15000 + (int32_t)(kernel_seed & 1));
    return (uint64_t)run_code(code);
}
