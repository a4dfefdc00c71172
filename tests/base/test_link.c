/* Both ends of a link in one process: whatever is sent arrives whole, and whatever lies in the pages, neither end
 * leaves its bounds. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/link.h"
#include "tests/check.h"

#define MESSAGE_MAX (1u << 20)
#define IDS 4096u

/* One end, and what it has seen. */
struct end {
    struct tf_link link;
    int wake_fd; /* that the other one writes to */
    uint32_t arrived, broken, cancelled, greeted, sent, begun;
    bool refuses;
    uint32_t lengths[IDS]; /* of arrived messages, + 1 */
    bool is_content_good;
};

static uint8_t byte_of(uint64_t id, uint32_t at)
{
    return (uint8_t)(id * 7 + at * 13 + (at >> 8));
}

static uint8_t *on_begin(void *context, uint64_t id, uint32_t kind, uint32_t length)
{
    struct end *const end = context;
    (void)id;
    (void)kind;
    end->begun++;
    return end->refuses ? NULL : malloc(length > 0 ? length : 1);
}

static void on_end(void *context, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length)
{
    struct end *const end = context;
    end->arrived++;
    end->lengths[id % IDS] = length + 1;
    for (uint32_t i = 0; i < length; i++)
        end->is_content_good &= bytes[i] == byte_of(id, i);
    end->is_content_good &= kind == (uint32_t)id + 5;
    free(bytes);
}

static void on_broken(void *context, uint64_t id, uint8_t *bytes)
{
    (void)id;
    ((struct end *)context)->broken++;
    free(bytes);
}

static void on_cancelled(void *context, uint64_t id)
{
    (void)id;
    ((struct end *)context)->cancelled++;
}

static void on_greeted(void *context)
{
    ((struct end *)context)->greeted++;
}

static void on_sent(void *context, uint64_t id)
{
    (void)id;
    ((struct end *)context)->sent++;
}

static void open_end(struct end *end, int fd, enum tf_link_side side, int other_fd)
{
    struct tf_error error;
    struct tf_link_events const events = {.context = end,
                                          .begin = on_begin,
                                          .end = on_end,
                                          .broken = on_broken,
                                          .cancelled = on_cancelled,
                                          .greeted = on_greeted,
                                          .sent = on_sent};
    memset(end, 0, sizeof(*end));
    end->is_content_good = true;
    end->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(end->wake_fd >= 0);
    CHECK(tf_link_open(&end->link, fd, side, other_fd, MESSAGE_MAX, &events, &error) == 0);
}

static void open_pair(struct end *worker, struct end *service, int *ret_fd)
{
    struct tf_error error;
    CHECK(tf_link_create("test", ret_fd, &error) == 0);
    open_end(worker, *ret_fd, TF_LINK_WORKER, -1);
    open_end(service, *ret_fd, TF_LINK_SERVICE, -1);
    worker->link.wake_fd = service->wake_fd;
    service->link.wake_fd = worker->wake_fd;
}

static void close_pair(struct end *worker, struct end *service, int fd)
{
    tf_link_close(&worker->link);
    tf_link_close(&service->link);
    close(worker->wake_fd);
    close(service->wake_fd);
    close(fd);
}

static void send_one(struct end *from, uint64_t id, uint32_t length)
{
    uint8_t *const bytes = length > 0 ? malloc(length) : NULL;
    for (uint32_t i = 0; i < length; i++)
        bytes[i] = byte_of(id, i);
    CHECK(tf_link_send(&from->link, id, (uint32_t)id + 5, bytes, length) == 0);
}

static bool is_woken(const struct end *end)
{
    uint64_t count;
    return read(end->wake_fd, &count, sizeof(count)) == sizeof(count);
}

/* As two loops would: an end that nobody woke is not pumped. */
static void run(struct end *worker, struct end *service)
{
    bool worker_is_due = true, service_is_due = true;
    for (uint32_t i = 0; i < 100000 && (worker_is_due || service_is_due); i++) {
        worker_is_due = worker_is_due && tf_link_pump(&worker->link, 64);
        worker_is_due |= is_woken(worker);
        service_is_due |= is_woken(service);
        service_is_due = service_is_due && tf_link_pump(&service->link, 64);
        service_is_due |= is_woken(service);
        worker_is_due |= is_woken(worker);
    }
    CHECK(!worker_is_due && !service_is_due);
}

static void test_all_lengths_arrive_both_ways(void)
{
    static struct end worker, service;
    int fd;
    open_pair(&worker, &service, &fd);
    static const uint32_t lengths[] = {0, 1, 4071, 4072, 4073, 8143, 8144, 8145, 100000, MESSAGE_MAX};
    uint32_t const count = sizeof(lengths) / sizeof(lengths[0]);
    /* More than the rings hold: what does not fit waits. */
    for (uint32_t i = 0; i < 5 * count; i++) {
        send_one(&worker, i, lengths[i % count]);
        send_one(&service, i, lengths[(i + 3) % count]);
    }
    CHECK(tf_link_is_sending(&worker.link));
    run(&worker, &service);
    CHECK(service.arrived == 5 * count && worker.arrived == 5 * count && worker.sent == 5 * count);
    CHECK(worker.is_content_good && service.is_content_good && worker.broken + service.broken == 0);
    for (uint32_t i = 0; i < 5 * count; i++)
        CHECK(service.lengths[i] == lengths[i % count] + 1 && worker.lengths[i] == lengths[(i + 3) % count] + 1);
    CHECK(worker.greeted == 1 && service.greeted == 1 && worker.link.nonsense + service.link.nonsense == 0);
    CHECK(!tf_link_is_sending(&worker.link) && !tf_link_is_sending(&service.link));
    uint8_t byte = 0;
    CHECK(tf_link_send(&worker.link, 1, 0, &byte, MESSAGE_MAX + 1) == TF_ERR_LIMIT);
    close_pair(&worker, &service, fd);
}

static void test_idle_pump_wakes_nobody(void)
{
    static struct end worker, service;
    int fd;
    open_pair(&worker, &service, &fd);
    run(&worker, &service);
    tf_link_pump(&worker.link, 64);
    tf_link_pump(&service.link, 64);
    CHECK(!is_woken(&worker) && !is_woken(&service));
    close_pair(&worker, &service, fd);
}

static void test_a_short_one_overtakes(void)
{
    static struct end worker, service;
    int fd;
    open_pair(&worker, &service, &fd);
    for (uint32_t i = 0; i < 40; i++) /* more than there are lanes */
        send_one(&worker, i, MESSAGE_MAX);
    tf_link_pump(&worker.link, 64);
    send_one(&worker, 100, 10);
    for (uint32_t i = 0; i < 20 && service.lengths[100] == 0; i++) {
        tf_link_pump(&service.link, 4096);
        tf_link_pump(&worker.link, 64);
    }
    CHECK(service.lengths[100] == 11 && service.arrived < 20);
    run(&worker, &service);
    CHECK(service.arrived == 41 && service.is_content_good);
    close_pair(&worker, &service, fd);
}

static void test_cancel(void)
{
    static struct end worker, service;
    int fd;
    open_pair(&worker, &service, &fd);
    for (uint32_t i = 0; i < 20; i++)
        send_one(&worker, i, MESSAGE_MAX);
    tf_link_pump(&worker.link, 64); /* some lanes are under way, four messages wait */
    tf_link_pump(&service.link, 64);
    CHECK(service.begun > 0 && service.arrived == 0);
    tf_link_cancel(&worker.link, 0);  /* half sent */
    tf_link_cancel(&worker.link, 19); /* never begun */
    tf_link_cancel(&worker.link, 77); /* was sent long ago, for all the link knows */
    run(&worker, &service);
    CHECK(service.arrived == 18 && service.broken == 1 && service.cancelled == 2 && service.is_content_good);
    CHECK(worker.sent == 20 && service.lengths[0] == 0 && service.lengths[19] == 0);
    /* The other way: what comes is passed over from then on, and the memory is ours again. */
    service.refuses = false;
    send_one(&service, 3, MESSAGE_MAX);
    tf_link_pump(&service.link, 64);
    tf_link_pump(&worker.link, 8);
    CHECK(worker.begun == 1);
    free(worker.link.incoming[0].bytes);
    tf_link_cancel(&worker.link, 3);
    run(&worker, &service);
    CHECK(worker.arrived == 0 && worker.broken == 0);
    close_pair(&worker, &service, fd);
}

static void test_refused_ones_are_passed_over(void)
{
    static struct end worker, service;
    int fd;
    open_pair(&worker, &service, &fd);
    service.refuses = true;
    send_one(&worker, 1, MESSAGE_MAX);
    send_one(&worker, 2, 5);
    run(&worker, &service);
    CHECK(service.begun == 2 && service.arrived == 0 && service.broken == 0 && worker.sent == 2);
    close_pair(&worker, &service, fd);
}

/* Each side dies in the middle of messages and starts anew. */
static void test_successors(void)
{
    static struct end worker, service;
    int fd;
    open_pair(&worker, &service, &fd);
    run(&worker, &service);
    for (uint32_t i = 0; i < 4; i++) {
        send_one(&worker, i, MESSAGE_MAX);
        send_one(&service, i, MESSAGE_MAX);
    }
    for (int i = 0; i < 2; i++) {
        tf_link_pump(&worker.link, 100);
        tf_link_pump(&service.link, 100);
    }
    tf_link_close(&worker.link);
    CHECK(worker.broken > 0);
    int const wake_fd = worker.wake_fd;
    open_end(&worker, fd, TF_LINK_WORKER, service.wake_fd);
    service.link.wake_fd = worker.wake_fd;
    close(wake_fd);
    send_one(&worker, 9, 70000);
    uint32_t const greeted = service.greeted;
    run(&worker, &service);
    CHECK(service.greeted == greeted + 1 && service.broken > 0 && service.lengths[9] == 70001);
    CHECK(worker.is_content_good && service.is_content_good);
    tf_link_close(&service.link);
    open_end(&service, fd, TF_LINK_SERVICE, worker.wake_fd);
    worker.link.wake_fd = service.wake_fd;
    send_one(&service, 10, 70000);
    uint32_t const greeted_worker = worker.greeted;
    run(&worker, &service);
    CHECK(worker.greeted == greeted_worker + 1 && worker.lengths[10] == 70001 && worker.is_content_good);
    close_pair(&worker, &service, fd);
}

/* Random bytes in random places of the shared pages, and frames that mean nothing good. */
static void test_hostile_pages(void)
{
    static struct end worker, service;
    int fd;
    srand(3);
    for (int round = 0; round < 200; round++) {
        open_pair(&worker, &service, &fd);
        size_t const bytes = 2 * tf_ring_bytes(TF_LINK_RING_BYTES);
        uint8_t *const pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(pages != MAP_FAILED);
        for (int step = 0; step < 60; step++) {
            send_one(&worker, (uint64_t)rand() % IDS, (uint32_t)rand() % (rand() % 4 == 0 ? 60000 : 300));
            tf_link_pump(&worker.link, 64);
            /* Headers of rings and of the first frames are hit most. */
            for (int hit = rand() % 4; hit > 0; hit--) {
                size_t const at = (size_t)rand() % (rand() % 2 == 0 ? 256 : 20000);
                pages[at] = (uint8_t)rand();
            }
            tf_link_pump(&service.link, 64);
        }
        for (int i = 0; i < 100; i++) {
            tf_link_pump(&worker.link, 64);
            tf_link_pump(&service.link, 64);
        }
        munmap(pages, bytes);
        close_pair(&worker, &service, fd);
    }
    /* A hundred thousand frames of a writer that makes up every field. */
    open_pair(&worker, &service, &fd);
    run(&worker, &service);
    for (int i = 0; i < 100000; i++) {
        uint32_t record[TF_RING_RECORD_MAX / 4];
        for (size_t j = 0; j < 8; j++)
            record[j] = (uint32_t)rand() % (rand() % 2 == 0 ? 4 : 100000);
        record[5] = (uint32_t)rand() % 20; /* lane and type: mostly ones that exist */
        uint32_t const length = (uint32_t)rand() % 64;
        if (length > 0 && !tf_ring_write(&worker.link.out, record, length))
            tf_link_pump(&service.link, 100000);
    }
    tf_link_pump(&service.link, 100000);
    CHECK(service.link.nonsense > 1000);
    close_pair(&worker, &service, fd);
}

TEST_MAIN(TEST(test_all_lengths_arrive_both_ways), TEST(test_idle_pump_wakes_nobody), TEST(test_a_short_one_overtakes),
          TEST(test_cancel), TEST(test_refused_ones_are_passed_over), TEST(test_successors), TEST(test_hostile_pages))
