/* Arguments that touch the edges of what is allowed, each of which must work: answers "fine". */
#include "query.h"

static void expect(bool condition, const char *what)
{
    if (!condition)
        tf_fail(what);
}

void run(void)
{
    tf_start();
    uint32_t const end = MEMORY_BYTES;
    /* Nothing, at the very end. */
    expect(hostcall_resp_set_body(0, at(end), 0) == 0, "an empty body at the end of the memory");
    hostcall_debug(at(end), 0);
    expect(hostcall_resp_set_header(0, "x-none", 6, (struct string_slice *)at(end), 0) == 0, "no values");
    /* Out words at the end, not aligned, and one over the other. */
    hostcall_req_get_method((char **)at(end - 8), (size_t *)at(end - 4), 0);
    expect(*(uint32_t *)at(end - 4) == 3, "out words at the end");
    hostcall_req_get_method((char **)at(end - 9), (size_t *)at(end - 5), 0);
    expect(*(uint32_t *)at(end - 5) == 3, "misaligned out words");
    hostcall_req_get_method((char **)at(end - 4), (size_t *)at(end - 4), 0);
    expect(*(uint32_t *)at(end - 4) == 3, "one out word");
    /* A slice array at an odd address, with a value at the end. */
    *at(end - 1) = 'z';
    uint32_t const odd = end - 101;
    memcpy(at(odd), (uint32_t[2]){end - 1, 1}, 8);
    expect(hostcall_resp_set_header(0, "x-odd", 5, (struct string_slice *)at(odd), 1) == 0, "misaligned slices");
    /* The name where the out words go. */
    memcpy(at(end - 8), "host", 4);
    hostcall_req_get_header((struct string_slice **)at(end - 8), (size_t *)at(end - 4), 0, at(end - 8), 4);
    expect(*(uint32_t *)at(end - 4) == 1, "a name under the out words");
    /* A name of no bytes; handles that are none. */
    hostcall_req_get_header((struct string_slice **)at(end - 8), (size_t *)at(end - 4), 0, at(end), 0);
    expect(*(uint32_t *)at(end - 8) == 0 && *(uint32_t *)at(end - 4) == 0, "no name");
    hostcall_req_get_path((char **)at(end - 8), (size_t *)at(end - 4), -1);
    expect(*(uint32_t *)at(end - 8) == 0 && *(uint32_t *)at(end - 4) == 0, "no such handle");
    expect(hostcall_resp_set_response_code(1, 404) == 1, "no such response");
    expect(hostcall_resp_set_response_code(0, 99) == 1, "no such status");
    expect(hostcall_resp_set_header(0, "bad name", 8, NULL, 0) == 1, "no such name");
    tf_respond_text(200, "text/plain", "fine\n");
}
