/* Answers as many bytes as the query says. */
#include "query.h"

void run(void)
{
    tf_start();
    uint32_t const length = query_number();
    char *const body = tf_allocate(length);
    memset(body, 'x', length);
    tf_set_header("content-type", "text/plain");
    hostcall_resp_set_body(0, body, length);
}
