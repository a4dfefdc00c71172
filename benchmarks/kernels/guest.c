/* A kernel as a function of a site: runs it and answers with its checksum in hexadecimal digits. Other hosts of the
 * same module call `kernel`. */
#include <terrafirma/guest.h>

uint64_t kernel(void);

void run(void)
{
    char digits[17];
    uint64_t const sum = kernel();
    for (int i = 0; i < 16; i++)
        digits[i] = "0123456789abcdef"[sum >> (60 - 4 * i) & 15];
    digits[16] = 0;
    tf_start();
    tf_respond_text(200, "text/plain", digits);
}
