/* This program, started by uacme as its hook: passes five words on to the service that started uacme. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "sites/certificates_internal.h"

#define ANSWER_S 30

int tf_acme_hook(int argc, char **argv, bool *ret_is_hook)
{
    const char *const variable = getenv(TF_ACME_HOOK_VARIABLE);
    struct timeval const patience = {.tv_sec = ANSWER_S};
    char message[TF_ACME_HOOK_BYTES], answer = '0';
    size_t length = 0;
    *ret_is_hook = variable != NULL && argc == 6;
    if (!*ret_is_hook)
        return 1;
    int const fd = (int)strtol(variable, NULL, 10);
    for (int i = 1; i < argc; i++) {
        size_t const word = strlen(argv[i]) + 1;
        if (word > sizeof(message) - length)
            return 1;
        memcpy(message + length, argv[i], word);
        length += word;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (send(fd, message, length, MSG_NOSIGNAL) != (ssize_t)length || recv(fd, &answer, 1, 0) != 1)
        return 1;
    return answer == '1' ? 0 : 1;
}
