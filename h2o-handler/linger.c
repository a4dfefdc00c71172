#include "h2o-handler/linger.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

/* A client that sends on after its refusal is not worth more than this. */
#define LINGERERS_MAX 256
#define LINGER_BYTES_MAX (1u << 20)

struct lingerer {
    struct tf_lingerers *lingerers;
    h2o_linklist_t link;
    h2o_socket_t *socket;
    h2o_timeout_entry_t end;
    size_t bytes;
};

static void close_lingerer(struct lingerer *lingerer)
{
    h2o_timeout_unlink(&lingerer->end);
    h2o_linklist_unlink(&lingerer->link);
    lingerer->lingerers->count--;
    h2o_socket_read_stop(lingerer->socket);
    h2o_socket_close(lingerer->socket);
    free(lingerer);
}

static void on_end(h2o_timeout_entry_t *entry)
{
    close_lingerer(H2O_STRUCT_FROM_MEMBER(struct lingerer, end, entry));
}

static void on_read(h2o_socket_t *socket, const char *failure)
{
    struct lingerer *const lingerer = socket->data;
    lingerer->bytes += socket->input->size;
    h2o_buffer_consume(&socket->input, socket->input->size);
    if (failure != NULL || lingerer->bytes > LINGER_BYTES_MAX)
        close_lingerer(lingerer);
}

void tf_lingerers_init(struct tf_lingerers *lingerers, h2o_context_t *context)
{
    *lingerers = (struct tf_lingerers){.context = context};
    h2o_linklist_init_anchor(&lingerers->list);
}

void tf_linger(struct tf_lingerers *lingerers, h2o_socket_t *socket)
{
    if (lingerers->count >= LINGERERS_MAX)
        return;
    int const fd = fcntl(h2o_socket_get_fd(socket), F_DUPFD_CLOEXEC, 0);
    if (fd == -1)
        return;
    shutdown(fd, SHUT_WR);
    struct lingerer *const lingerer = h2o_mem_alloc(sizeof(*lingerer));
    *lingerer = (struct lingerer){.lingerers = lingerers, .end.cb = on_end};
    lingerer->socket = h2o_evloop_socket_create(lingerers->context->loop, fd, 0);
    lingerer->socket->data = lingerer;
    h2o_linklist_insert(&lingerers->list, &lingerer->link);
    lingerers->count++;
    h2o_timeout_link(lingerers->context->loop, &lingerers->context->one_sec_timeout, &lingerer->end);
    h2o_socket_read_start(lingerer->socket, on_read);
}

void tf_lingerers_dispose(struct tf_lingerers *lingerers)
{
    while (!h2o_linklist_is_empty(&lingerers->list))
        close_lingerer(H2O_STRUCT_FROM_MEMBER(struct lingerer, link, lingerers->list.next));
}
