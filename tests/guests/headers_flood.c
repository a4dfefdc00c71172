/* Sets as many headers as the query says, of 20 bytes or so each. */
#include "query.h"

void run(void)
{
    tf_start();
    uint32_t const count = query_number();
    for (uint32_t i = 0; i < count; i++) {
        struct tf_builder name = {0};
        tf_add_string(&name, "x-flood-");
        tf_add_integer(&name, i);
        tf_add_byte(&name, '\0');
        tf_set_header(name.bytes, "0123456789");
    }
    hostcall_resp_set_body(0, "done\n", 5);
}
