/* Computes for as many steps as the number in the query says, a chain of dependent multiplications, then answers. */
#include <terrafirma/guest.h>

void run(void)
{
    tf_start();
    struct tf_text const query = tf_query();
    uint64_t steps = 0, x = 88172645463325252u;
    for (size_t i = 0; i < query.length; i++)
        steps = steps * 10 + (uint64_t)(query.bytes[i] - '0');
    for (uint64_t i = 0; i < steps; i++)
        x = x * 6364136223846793005u + i;
    tf_set_header("x-first-bit", x >> 63 != 0 ? "1" : "0");
    tf_respond_text(200, "text/plain; charset=utf-8", "done\n");
}
