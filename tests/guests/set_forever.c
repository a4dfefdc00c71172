/* Replaces its body and headers many times over: only the last counts, and no memory is used up by the others. */
#include "query.h"

void run(void)
{
    tf_start();
    uint32_t const most = 4u << 20;
    char *const body = tf_allocate(most);
    for (uint32_t i = 0; i < 200; i++)
        hostcall_resp_set_body(0, body, i % 2 ? most - i : i);
    for (uint32_t i = 0; i < 20000; i++) {
        struct string_slice const value = {body, i % 2 ? 0 : 30000};
        if (i % 1000 == 0)
            memset(body, 'a', 30000);
        if (hostcall_resp_set_header(0, i % 3 ? "x-a" : "x-b", 3, &value, 1) != value_status_ok)
            tf_fail("a header was refused");
    }
    tf_set_header("x-a", "1");
    tf_set_header("x-b", "2");
    tf_respond_text(200, "text/plain", "settled\n");
}
