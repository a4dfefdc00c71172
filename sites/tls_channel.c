#include "sites/tls_channel.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

bool tf_tls_channel_send(int socket, const void *message, size_t length, int fd)
{
    struct iovec part = {(void *)(uintptr_t)message, length};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    union control control;
    if (fd != -1) {
        memset(&control, 0, sizeof(control));
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *const entry = CMSG_FIRSTHDR(&header);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(entry), &fd, sizeof(fd));
    }
    return sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
}

size_t tf_tls_channel_receive(int socket, void *message, size_t capacity, int *ret_fd)
{
    struct iovec part = {message, capacity};
    union control control;
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    *ret_fd = -1;
    ssize_t const got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got <= 0)
        return 0;
    struct cmsghdr *const entry = CMSG_FIRSTHDR(&header);
    if (entry != NULL && entry->cmsg_level == SOL_SOCKET && entry->cmsg_type == SCM_RIGHTS &&
        entry->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(entry), sizeof(int));
    return (size_t)got;
}
