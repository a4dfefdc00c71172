#include "h2o-handler/gone.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/error.h"
#include "h2o-handler/request.h"
#include "h2o-handler/state.h"

#define GONE_PER_TURN 64

static void on_readable(h2o_socket_t *socket, const char *failure)
{
    struct tf_gone *const gone = socket->data;
    struct epoll_event event;
    /* One at a time: what one event sets off may forget others, and a list fetched before would still name them. */
    for (int i = 0; failure == NULL && i < GONE_PER_TURN && epoll_wait(gone->set, &event, 1, 0) == 1; i++)
        tf_exchange_client_gone(event.data.ptr);
}

int tf_gone_init(struct tf_gone *gone, h2o_loop_t *loop, struct tf_error *error)
{
    gone->set = epoll_create1(EPOLL_CLOEXEC);
    if (gone->set == -1)
        return tf_error_system(error, "cannot watch clients");
    gone->socket = h2o_evloop_socket_create(loop, gone->set, H2O_SOCKET_FLAG_DONT_READ);
    gone->socket->data = gone;
    h2o_socket_read_start(gone->socket, on_readable);
    return 0;
}

void tf_gone_dispose(struct tf_gone *gone)
{
    if (gone->socket != NULL)
        h2o_socket_close(gone->socket); /* and the set */
    gone->socket = NULL;
    gone->set = -1;
}

static int descriptor_of(const struct tf_exchange *exchange)
{
    return h2o_socket_get_fd(exchange->req->conn->callbacks->get_socket(exchange->req->conn));
}

bool tf_gone_watch(struct tf_gone *gone, struct tf_exchange *exchange)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = exchange};
    return epoll_ctl(gone->set, EPOLL_CTL_ADD, descriptor_of(exchange), &event) == 0;
}

void tf_gone_forget(struct tf_gone *gone, struct tf_exchange *exchange)
{
    struct epoll_event event = {0};
    epoll_ctl(gone->set, EPOLL_CTL_DEL, descriptor_of(exchange), &event);
}
