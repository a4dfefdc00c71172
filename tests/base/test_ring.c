#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ring.h"
#include "tests/check.h"

static void open_pair(uint32_t capacity, int *fd, struct tf_ring *writer, struct tf_ring *reader)
{
    struct tf_error error;
    CHECK(tf_ring_create("test", capacity, fd, &error) == 0);
    CHECK(tf_ring_map(*fd, true, writer, &error) == 0);
    CHECK(tf_ring_map(*fd, false, reader, &error) == 0);
}

static void close_pair(int fd, struct tf_ring *writer, struct tf_ring *reader)
{
    tf_ring_unmap(writer);
    tf_ring_unmap(reader);
    close(fd);
}

static void test_order_and_drop(void)
{
    int fd;
    struct tf_ring writer, reader;
    open_pair(8192, &fd, &writer, &reader);
    char record[TF_RING_RECORD_MAX], got[TF_RING_RECORD_MAX];
    uint32_t next_in = 0, next_out = 0, dropped = 0;
    srand(1);
    for (int step = 0; step < 200000; step++) {
        uint32_t const length = 4 + (uint32_t)rand() % (rand() % 8 == 0 ? 3000 : 60);
        if (rand() % 2 == 0) {
            memset(record, (int)next_in, length);
            memcpy(record, &next_in, 4);
            if (tf_ring_write(&writer, record, length))
                next_in++;
            else
                dropped++;
        } else {
            uint32_t const n = tf_ring_read(&reader, got, sizeof(got));
            if (n == 0)
                continue;
            CHECK(memcmp(got, &next_out, 4) == 0 && (n == 4 || got[n - 1] == (char)next_out));
            next_out++;
        }
    }
    CHECK((tf_ring_waiting(&reader) > 0) == (next_in > next_out));
    while (tf_ring_read(&reader, got, sizeof(got)) > 0)
        next_out++;
    CHECK(tf_ring_waiting(&reader) == 0);
    CHECK(next_in == next_out && dropped > 0 && tf_ring_dropped(&reader) == dropped && reader.lies == 0);
    CHECK(!tf_ring_write(&writer, record, TF_RING_RECORD_MAX + 1));
    close_pair(fd, &writer, &reader);
}

static void test_begins_again_when_all_was_read(void)
{
    enum { CAPACITY = 1 << 20, LENGTH = 4000, COUNT = 100 };
    int fd;
    struct tf_ring writer, reader;
    open_pair(CAPACITY, &fd, &writer, &reader);
    char record[LENGTH], got[LENGTH];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            memset(record, 'a' + i % 20, sizeof(record));
            CHECK(tf_ring_write(&writer, record, sizeof(record)));
        }
        CHECK(writer.position % CAPACITY > COUNT * LENGTH && writer.position % CAPACITY <= COUNT * (LENGTH + 8));
        for (int i = 0; i < COUNT; i++) {
            CHECK(tf_ring_read(&reader, got, sizeof(got)) == LENGTH);
            CHECK(got[0] == 'a' + i % 20 && got[LENGTH - 1] == got[0]);
        }
        CHECK(tf_ring_read(&reader, got, sizeof(got)) == 0);
    }
    CHECK(tf_ring_dropped(&reader) == 0 && reader.lies == 0);
    close_pair(fd, &writer, &reader);
}

/* Whatever bytes the writer's side leaves, the reader stays inside and comes to an end. */
static void test_hostile_writer(void)
{
    int fd;
    struct tf_ring writer, reader;
    open_pair(8192, &fd, &writer, &reader);
    uint8_t *const pages = mmap(NULL, 4096 + 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char got[TF_RING_RECORD_MAX];
    srand(2);
    for (int round = 0; round < 20000; round++) {
        for (int i = 0; i < 64; i++)
            pages[64 + rand() % 64] = (uint8_t)rand();
        for (int i = 0; i < 256; i++)
            pages[4096 + rand() % 8192] = (uint8_t)(rand() % 3 ? 0xff : rand());
        int reads = 0;
        while (tf_ring_read(&reader, got, sizeof(got)) > 0 && reads < 5000)
            reads++;
        CHECK(reads < 5000);
    }
    CHECK(reader.lies > 0);
    munmap(pages, 4096 + 8192);
    close_pair(fd, &writer, &reader);
}

/* What a hostile writer leaves behind must stop neither its successor nor the reader. */
static void test_successor(void)
{
    int fd;
    struct tf_ring writer, reader;
    struct tf_error error;
    char got[TF_RING_RECORD_MAX];
    srand(3);
    open_pair(8192, &fd, &writer, &reader);
    uint8_t *const pages = mmap(NULL, 4096 + 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int round = 0; round < 5000; round++) {
        for (int i = 64; i < 256; i++)
            pages[i] = (uint8_t)rand(); /* written, dropped, read */
        tf_ring_unmap(&writer);
        CHECK(tf_ring_map(fd, true, &writer, &error) == 0);
        tf_ring_read(&reader, got, sizeof(got)); /* notices, at the latest now, and starts anew */
        tf_ring_read(&reader, got, sizeof(got));
        for (int i = 0; i < 5; i++) {
            bool const is_written = tf_ring_write(&writer, "hello", 6);
            bool const is_read = tf_ring_read(&reader, got, sizeof(got)) == 6 && memcmp(got, "hello", 6) == 0;
            CHECK(i == 0 || (is_written && is_read));
        }
    }
    munmap(pages, 4096 + 8192);
    /* Nor can it take pages away that the reader has mapped. */
    CHECK(ftruncate(fd, 4096) == -1 && ftruncate(fd, 1 << 20) == -1);
    close_pair(fd, &writer, &reader);
}

static void test_two_processes(void)
{
    int fd;
    struct tf_ring writer, reader;
    open_pair(65536, &fd, &writer, &reader);
    enum { RECORDS = 300000 };
    pid_t const child = fork();
    if (child == 0) {
        for (uint32_t i = 1; i <= RECORDS; i++)
            while (!tf_ring_write(&writer, &i, sizeof(i)))
                usleep(10);
        _exit(0);
    }
    uint32_t expected = 1;
    while (expected <= RECORDS) {
        uint32_t got = 0;
        if (tf_ring_read(&reader, &got, sizeof(got)) == 0)
            continue;
        CHECK(got == expected);
        if (got != expected)
            break;
        expected++;
    }
    waitpid(child, NULL, 0);
    close_pair(fd, &writer, &reader);
}

static void test_refusals(void)
{
    int fd;
    struct tf_error error;
    struct tf_ring ring;
    CHECK(tf_ring_create("test", 10000, &fd, &error) == TF_ERR_USAGE);
    CHECK(tf_ring_create("test", 4096, &fd, &error) == TF_ERR_USAGE);
    fd = memfd_create("not a ring", MFD_CLOEXEC);
    CHECK(tf_ring_map(fd, false, &ring, &error) == TF_ERR_CORRUPT);
    CHECK(ftruncate(fd, 4096 + 8192) == 0 && tf_ring_map(fd, false, &ring, &error) == TF_ERR_CORRUPT);
    close(fd);
}

TEST_MAIN(TEST(test_order_and_drop), TEST(test_hostile_writer), TEST(test_successor), TEST(test_two_processes),
          TEST(test_refusals), TEST(test_begins_again_when_all_was_read))
