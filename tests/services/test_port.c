/* A service's end of the links, with the test as worker: a hostile one, now and then. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/link.h"
#include "services/port.h"
#include "tests/check.h"

#define WORKERS 2u
#define HELD 64u

static struct tf_port *port;
static struct tf_port_request *held[HELD]; /* by the service under test, not yet answered */
static uint32_t held_count, gone_count;
static int link_fds[WORKERS], wake_fds[WORKERS], pipe_fds[2];
static struct tf_link workers[WORKERS];
static uint32_t answers[TF_SERVICE_STATUS_COUNT]; /* that workers got */
static char last_answer[64];

static void on_request(void *context, struct tf_port_request *request)
{
    CHECK(context == &port && held_count < HELD);
    request->data = &held[held_count];
    held[held_count++] = request;
}

static void on_gone(void *context, struct tf_port_request *request)
{
    (void)context;
    gone_count++;
    for (uint32_t i = 0; i < held_count; i++) {
        if (held[i] == request)
            held[i] = held[--held_count];
    }
}

static uint8_t *worker_begin(void *context, uint64_t id, uint32_t kind, uint32_t length)
{
    (void)context;
    (void)id;
    (void)kind;
    return malloc(length + 1);
}

static void worker_end(void *context, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length)
{
    (void)context;
    (void)id;
    CHECK(kind < TF_SERVICE_STATUS_COUNT);
    answers[kind]++;
    snprintf(last_answer, sizeof(last_answer), "%.*s", (int)length, (char *)bytes);
    free(bytes);
}

static void worker_broken(void *context, uint64_t id, uint8_t *bytes)
{
    (void)context;
    (void)id;
    free(bytes);
}

static void worker_id(void *context, uint64_t id)
{
    (void)context;
    (void)id;
}

static void worker_greeted(void *context)
{
    (void)context;
}

static void open_worker(uint32_t worker)
{
    struct tf_error error;
    struct tf_link_events const events = {.begin = worker_begin,
                                          .end = worker_end,
                                          .broken = worker_broken,
                                          .cancelled = worker_id,
                                          .greeted = worker_greeted,
                                          .sent = worker_id};
    CHECK(tf_link_open(&workers[worker], link_fds[worker], TF_LINK_WORKER, pipe_fds[1], TF_SERVICE_MESSAGE_BYTES,
                       &events, &error) == 0);
}

static struct tf_port_config set_up(void)
{
    struct tf_error error;
    CHECK(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        CHECK(tf_link_create("test", &link_fds[i], &error) == 0);
        wake_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    held_count = gone_count = 0;
    memset(answers, 0, sizeof(answers));
    return (struct tf_port_config){.link_fds = link_fds,
                                   .wake_fds = wake_fds,
                                   .worker_count = WORKERS,
                                   .wake_fd = pipe_fds[0],
                                   .requests_max = 16,
                                   .site_requests_max = 5,
                                   .bytes_max = 1u << 20,
                                   .site_bytes_max = 300000,
                                   .message_max = 1u << 20,
                                   .context = &port,
                                   .on_request = on_request,
                                   .on_gone = on_gone};
}

static void open_all(const struct tf_port_config *config)
{
    struct tf_error error;
    CHECK(tf_port_open(config, &port, &error) == 0);
    for (uint32_t i = 0; i < WORKERS; i++)
        open_worker(i);
}

static void tear_down(void)
{
    tf_port_close(&port);
    for (uint32_t i = 0; i < WORKERS; i++) {
        tf_link_close(&workers[i]);
        close(link_fds[i]);
        close(wake_fds[i]);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void run(void)
{
    for (int i = 0; i < 200; i++) {
        for (uint32_t j = 0; j < WORKERS; j++)
            tf_link_pump(&workers[j], 256);
        tf_port_pump(port);
    }
}

/* A message as a worker makes it. */
static void ask(uint32_t worker, uint64_t id, const char *site, size_t length)
{
    uint16_t const site_length = (uint16_t)strlen(site);
    uint8_t *const message = calloc(1, 2 + site_length + length);
    memcpy(message, &site_length, 2);
    memcpy(message + 2, site, site_length);
    memset(message + 2 + site_length, 'x', length);
    CHECK(tf_link_send(&workers[worker], id, 7, message, (uint32_t)(2 + site_length + length)) == 0);
}

static void answer_all(enum tf_service_status status)
{
    while (held_count > 0)
        tf_port_answer(port, &held[--held_count], status, (uint8_t *)strdup("yes"), 3);
}

static void test_ask_and_answer(void)
{
    struct tf_port_config const config = set_up();
    open_all(&config);
    ask(0, 1, "a.example", 5);
    ask(1, 1, "b.example", 0); /* the same id of another worker */
    run();
    CHECK(held_count == 2);
    for (uint32_t i = 0; i < held_count; i++) {
        bool const is_first = strcmp(held[i]->site, "a.example") == 0;
        CHECK(held[i]->worker == (is_first ? 0 : 1) && held[i]->kind == 7);
        CHECK(held[i]->length == (is_first ? 5 : 0) && (!is_first || memcmp(held[i]->bytes, "xxxxx", 5) == 0));
    }
    answer_all(TF_SERVICE_OK);
    run();
    struct tf_port_counters counters;
    tf_port_counters(port, &counters);
    CHECK(answers[TF_SERVICE_OK] == 2 && strcmp(last_answer, "yes") == 0 && gone_count == 0);
    CHECK(counters.requests == 2 && counters.under_way == 0 && counters.bytes == 0 && counters.nonsense == 0);
    tear_down();
}

static void test_one_site_leaves_room_for_others(void)
{
    struct tf_port_config const config = set_up();
    open_all(&config);
    for (uint64_t id = 1; id <= 7; id++)
        ask(0, id, "greedy.example", 1);
    ask(1, 1, "modest.example", 1);
    run();
    CHECK(held_count == 6 && answers[TF_SERVICE_BUSY] == 2);
    answer_all(TF_SERVICE_OK);
    run();
    ask(0, 11, "greedy.example", 200000);
    ask(0, 12, "greedy.example", 200000); /* more than the site's bytes */
    ask(0, 13, "modest.example", 200000);
    run();
    CHECK(held_count == 2 && answers[TF_SERVICE_BUSY] == 3);
    answer_all(TF_SERVICE_OK);
    run();
    CHECK(answers[TF_SERVICE_OK] == 8);
    tear_down();
}

static void test_one_worker_leaves_room_for_others(void)
{
    struct tf_port_config const config = set_up();
    open_all(&config);
    char site[32];
    for (uint64_t id = 1; id <= 12; id++) {
        snprintf(site, sizeof(site), "s%u.example", (unsigned)id);
        ask(0, id, site, 1);
    }
    run();
    CHECK(held_count == 8 && answers[TF_SERVICE_BUSY] == 4);
    ask(1, 1, "other.example", 1);
    run();
    CHECK(held_count == 9);
    answer_all(TF_SERVICE_OK);
    run();
    /* One that does not look at its answers, and does not stop. */
    for (uint64_t id = 100; id < 400; id++) {
        ask(0, id, "a.example", 1);
        tf_link_pump(&workers[0], 0);
        tf_port_pump(port);
    }
    struct tf_port_counters counters;
    tf_port_counters(port, &counters);
    CHECK(counters.under_way <= 16);
    tear_down();
}

static void test_gone(void)
{
    struct tf_port_config const config = set_up();
    open_all(&config);
    for (uint64_t id = 1; id <= 4; id++)
        ask(0, id, "a.example", 10);
    ask(1, 9, "a.example", 10);
    run();
    CHECK(held_count == 5);
    tf_link_cancel(&workers[0], 2);
    tf_link_cancel(&workers[0], 77);
    run();
    CHECK(held_count == 4 && gone_count == 1);
    /* The worker dies; its successor greets. The other's request stays. */
    tf_link_close(&workers[0]);
    open_worker(0);
    run();
    CHECK(held_count == 1 && gone_count == 4 && held[0]->worker == 1);
    ask(0, 1, "a.example", 10);
    run();
    CHECK(held_count == 2);
    tear_down();
    CHECK(gone_count == 6);
}

static void test_hostile_messages(void)
{
    struct tf_port_config const config = set_up();
    open_all(&config);
    static const struct {
        uint16_t said;
        const char *bytes;
        uint32_t length;
    } messages[] = {
        {0, "", 0}, {0, "a", 1}, {5, "abc", 3}, {65535, "abc", 3}, {3, "a/b", 3}, {2, "..", 2}, {1, ".", 1},
        {3, "a\0b", 3}, {3, "a b", 3}, {2, "a/", 2},
    };
    uint64_t id = 1;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        uint8_t *const message = malloc(2 + messages[i].length);
        memcpy(message, &messages[i].said, 2);
        memcpy(message + 2, messages[i].bytes, messages[i].length);
        CHECK(tf_link_send(&workers[0], id++, 1, message, 2 + messages[i].length) == 0);
        run();
    }
    CHECK(tf_link_send(&workers[0], id++, 1, (uint8_t *)strdup("a"), 1) == 0); /* no length even */
    CHECK(tf_link_send(&workers[0], id++, 1, NULL, 0) == 0);
    run();
    CHECK(held_count == 0 && answers[TF_SERVICE_BAD] == 12);
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    longest[255] = '\0';
    ask(0, id++, longest, 3);
    longest[255] = 'a';
    longest[256] = '\0';
    ask(0, id++, longest, 3);
    run();
    CHECK(held_count == 1 && strlen(held[0]->site) == 255 && answers[TF_SERVICE_BAD] == 13);
    ask(0, 500, "a.example", 1); /* an id that is under way already */
    ask(0, 500, "a.example", 1);
    run();
    CHECK(held_count == 2);
    tear_down();
}

TEST_MAIN(TEST(test_ask_and_answer), TEST(test_one_site_leaves_room_for_others),
          TEST(test_one_worker_leaves_room_for_others), TEST(test_gone), TEST(test_hostile_messages))
