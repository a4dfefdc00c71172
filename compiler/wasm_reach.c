/*
 * What start and _initialize may call, over-approximated.
 *
 * A direct call reaches its function; a single call_indirect reaches every function that an element segment, a global
 * or a ref.func names, since only those can ever lie in a table. Each reachable body is walked once.
 */
#include <stdlib.h>

#include "compiler/wasm_internal.h"
#include "compiler/wasm_opcodes.h"

static const uint32_t row_flags[] = {
#define X(id, module, name, params, results, flags) flags,
    TF_HOST_ROWS(X)
#undef X
};

struct reach {
    const struct tf_wasm_module *module;
    uint8_t *seen;      /* by function */
    uint32_t *to_visit; /* seen, defined, not yet walked */
    uint32_t to_visit_count;
    bool indirect_done;
    bool is_safe;
};

static void see(struct reach *reach, uint32_t func)
{
    const struct tf_wasm_module *const m = reach->module;

    if (reach->seen[func])
        return;
    reach->seen[func] = 1;
    if (func >= m->imported_func_count) {
        reach->to_visit[reach->to_visit_count++] = func;
        return;
    }
    /* All imports of a judged module are functions, so that both have the same index. */
    if (m->detail->is_test_world || !(row_flags[m->imports[func].row] & TF_ROW_SNAPSHOT_SAFE))
        reach->is_safe = false;
}

static void see_indirect(struct reach *reach)
{
    if (reach->indirect_done)
        return;
    reach->indirect_done = true;
    for (uint32_t i = 0; i < reach->module->func_count; i++)
        if (reach->module->detail->func_flags[i] & (TF_WASM_FUNC_IN_ELEMENT | TF_WASM_FUNC_IN_BODY))
            see(reach, i);
}

static void walk(struct reach *reach, uint32_t func)
{
    const struct tf_wasm_module *const m = reach->module;
    struct tf_wasm_module notes = {0}; /* the decoder notes there that it saw SIMD */
    struct tf_wasm_bytes const body = m->detail->bodies[func - m->imported_func_count];
    struct tf_wasm_reader reader = {
        .at = body.bytes,
        .end = body.bytes + body.length,
        .origin = body.bytes,
        .function = -1,
        .module = &notes,
        .features = TF_WASM_FEATURE_SIMD,
    };
    struct tf_wasm_instruction ins;
    uint32_t run_count, count;
    uint8_t type;

    /* The body has been validated: nothing here can fail. */
    if (!tf_wasm_read_u32(&reader, &run_count))
        return;
    for (uint32_t i = 0; i < run_count; i++)
        if (!tf_wasm_read_u32(&reader, &count) || !tf_wasm_read_byte(&reader, &type))
            return;
    while (reader.at < reader.end && reach->is_safe && tf_wasm_decode(&reader, &ins)) {
        if (ins.code == TF_WASM_OP_CALL)
            see(reach, ins.first);
        else if (ins.code == TF_WASM_OP_CALL_INDIRECT)
            see_indirect(reach);
    }
}

int tf_wasm_reach(const struct tf_wasm_module *m, bool *ret_is_safe)
{
    size_t const count = m->func_count ? m->func_count : 1;
    struct reach reach = {.module = m, .seen = calloc(count, 1), .to_visit = calloc(count, sizeof(uint32_t))};
    int result = TF_ERR_SYSTEM;

    if (reach.seen && reach.to_visit) {
        reach.is_safe = true;
        if (m->has_start)
            see(&reach, m->start_func);
        if (m->initialize_func >= 0)
            see(&reach, (uint32_t)m->initialize_func);
        while (reach.is_safe && reach.to_visit_count > 0)
            walk(&reach, reach.to_visit[--reach.to_visit_count]);
        *ret_is_safe = reach.is_safe;
        result = 0;
    }
    free(reach.seen);
    free(reach.to_visit);
    return result;
}
