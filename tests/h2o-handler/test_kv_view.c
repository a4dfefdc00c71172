/* Reads of the store's file beside LMDB, which writes it: the same answers, through every change and while another
 * process writes; and a file of any bytes, which gives wrong answers at worst. */
#include "h2o-handler/kv_view.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/kv_store.h"
#include "tests/check.h"

#define KEYS 600u
#define VALUE_MOST 9000u

/* The second is memory: where the first lies on a file system that cannot say what it has at hand (overlays), the view
 * rightly knows nothing of it. */
static char folders[2][40] = {"/tmp/terrafirma-view-XXXXXX", "/dev/shm/terrafirma-view-XXXXXX"};
static const char *folder;
static char path[64];
static struct tf_kv_store *store;
static struct tf_kv_page *page;
static int page_fd;
static struct tf_kv_view view;
static struct tf_error error;

static struct tf_kv_limits const limits = {
    .bytes = 1u << 28, .value_bytes = 1u << 20, .site_keys = 100000, .site_bytes = 1u << 27};

static void publish(void)
{
    struct stat status;
    CHECK(fstat(tf_kv_file(store), &status) == 0);
    atomic_store(&page->device, status.st_dev);
    atomic_store(&page->inode, status.st_ino);
    (void)tf_kv_others_wrote(store);
    atomic_store(&page->number, tf_kv_number(store));
}

static void open_all(void)
{
    CHECK(tf_kv_open(folder, &limits, true, &store, &error) == 0);
    int const fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && tf_kv_view_init(&view, page_fd, fd, &error) == 0);
    publish();
}

static void close_all(void)
{
    close(view.fd);
    tf_kv_view_dispose(&view);
    tf_kv_close(&store);
    unlink(path);
}

static void begin(void)
{
    CHECK(tf_kv_begin(store, true, &error) == 0);
}

static void commit(void)
{
    CHECK(tf_kv_commit(store, &error) == 0);
    publish();
}

static void apply(enum tf_kv_kind kind, const char *site, const char *key, const void *value, size_t length)
{
    struct tf_kv_call const call = {(const uint8_t *)key, value, strlen(key), length};
    CHECK(tf_kv_apply(store, kind, site, &call) <= TF_KV_PRESENT);
}

/* The result, or a value that is none where the view cannot say. */
static enum tf_kv_result ask(const char *site, const char *key, uint8_t **ret_answer, size_t *ret_length)
{
    struct tf_kv_call const call = {.key = (const uint8_t *)key, .key_length = strlen(key)};
    *ret_answer = tf_kv_view_get(&view, site, &call, 1u << 20, ret_length);
    return *ret_answer != NULL ? ((struct tf_kv_answer *)(void *)*ret_answer)->result : TF_KV_RESULT_COUNT;
}

static bool has(const char *site, const char *key, const void *value, size_t length)
{
    uint8_t *answer;
    size_t answer_length;
    bool const is_so = ask(site, key, &answer, &answer_length) == TF_KV_PRESENT &&
                       answer_length == sizeof(struct tf_kv_answer) + length &&
                       memcmp(answer + sizeof(struct tf_kv_answer), value, length) == 0;
    free(answer);
    return is_so;
}

static bool lacks(const char *site, const char *key)
{
    uint8_t *answer;
    size_t length;
    bool const is_so = ask(site, key, &answer, &length) == TF_KV_ABSENT && length == sizeof(struct tf_kv_answer);
    free(answer);
    return is_so;
}

static bool cannot_say(const char *site, const char *key)
{
    uint8_t *answer;
    size_t length;
    bool const is_so = ask(site, key, &answer, &length) == TF_KV_RESULT_COUNT;
    free(answer);
    return is_so;
}

static void an_empty_store_has_nothing(void)
{
    open_all();
    CHECK(lacks("a", "k") && lacks("a", ""));
    close_all();
}

static void values_are_those_of_the_store(void)
{
    static uint8_t large[1u << 20];
    memset(large, 'x', sizeof(large));
    open_all();
    begin();
    apply(TF_KV_INSERT, "a", "k", "1", 1);
    apply(TF_KV_INSERT, "a", "", "of the empty key", 16);
    apply(TF_KV_INSERT, "a", "empty", "", 0);
    apply(TF_KV_INSERT, "ab", "k", "another site's", 14);
    apply(TF_KV_INSERT, "a", "large", large, sizeof(large));
    CHECK(lacks("a", "k")); /* not before the commit */
    commit();
    CHECK(has("a", "k", "1", 1) && has("a", "", "of the empty key", 16) && has("a", "empty", "", 0));
    CHECK(has("ab", "k", "another site's", 14) && has("a", "large", large, sizeof(large)));
    CHECK(lacks("a", "k2") && lacks("b", "k") && lacks("abc", "k") && lacks("", "k"));
    begin();
    apply(TF_KV_REMOVE, "ab", "k", NULL, 0); /* its site goes with it */
    apply(TF_KV_APPEND, "a", "k", "2", 1);
    commit();
    CHECK(lacks("ab", "k") && has("a", "k", "12", 2));
    begin();
    apply(TF_KV_INSERT, "ab", "other", "", 0); /* the site comes back, and what it had does not */
    commit();
    CHECK(lacks("ab", "k") && has("ab", "other", "", 0));
    close_all();
}

static void an_answer_says_what_it_was_read_under(void)
{
    struct tf_kv_call const call = {.key = (const uint8_t *)"k", .key_length = 1};
    uint32_t const version = tf_kv_version_of(tf_kv_hash(page->seed, "a", "k", 1));
    struct tf_kv_answer head;
    size_t length;
    open_all();
    atomic_store(&page->epoch, 7);
    atomic_store(&page->versions[version], 9);
    uint8_t *const answer = tf_kv_view_get(&view, "a", &call, 0, &length);
    memcpy(&head, answer, sizeof(head));
    CHECK(head.epoch == 7 && head.version == 9 && head.result == TF_KV_ABSENT);
    free(answer);
    close_all();
}

static void what_cannot_be_known_is_left_to_the_service(void)
{
    size_t length;
    struct tf_kv_call const call = {.key = (const uint8_t *)"k", .key_length = 1};
    open_all();
    begin();
    apply(TF_KV_INSERT, "a", "k", "123", 3);
    commit();
    CHECK(has("a", "k", "123", 3));
    CHECK(tf_kv_view_get(&view, "a", &call, 2, &length) == NULL); /* longer than wanted */
    atomic_fetch_add(&page->inode, 1); /* another file is the store now */
    CHECK(cannot_say("a", "k"));
    publish();
    CHECK(has("a", "k", "123", 3));
    atomic_fetch_add(&page->device, 1);
    CHECK(cannot_say("a", "k"));
    publish();
    uint64_t const number = atomic_exchange(&page->number, 0); /* no service */
    CHECK(cannot_say("a", "k"));
    atomic_store(&page->number, number + 1); /* a transaction that never was */
    CHECK(cannot_say("a", "k"));
    atomic_store(&page->number, number);
    CHECK(has("a", "k", "123", 3));
    for (uint32_t i = 0; i < 2; i++) { /* two transactions later its pages may be written over */
        CHECK(i == 1 ? has("a", "k", "123", 3) : true);
        CHECK(tf_kv_begin(store, true, &error) == 0);
        apply(TF_KV_INSERT, "a", "other", i == 0 ? "0" : "1", 1);
        CHECK(tf_kv_commit(store, &error) == 0);
    }
    CHECK(cannot_say("a", "k"));
    publish();
    CHECK(has("a", "k", "123", 3));
    close_all();
    view = (struct tf_kv_view){0};
    CHECK(tf_kv_view_init(&view, 0, 0, &error) == 0 && cannot_say("a", "k"));
    tf_kv_view_dispose(&view);
}

/* Trees that grow and shrink, with values in their leaves and out of them. */
static void thousands_of_changes_are_followed(void)
{
    static size_t lengths[KEYS]; /* 0: absent; else one more */
    static uint8_t value[VALUE_MOST];
    memset(lengths, 0, sizeof(lengths));
    open_all();
    srand(1);
    for (uint32_t round = 0; round < 60; round++) {
        char key[300];
        begin();
        for (uint32_t i = 0; i < 100; i++) {
            uint32_t const index = (uint32_t)rand() % KEYS;
            size_t const length = rand() % 4 == 0 ? (size_t)rand() % VALUE_MOST : (size_t)rand() % 100;
            snprintf(key, sizeof(key), "%0*u", (int)(index % 250) + 3, index);
            memset(value, (int)index, length);
            bool const removes = rand() % 3 == 0;
            apply(removes ? TF_KV_REMOVE : TF_KV_INSERT, index % 2 == 0 ? "a" : "b.example", key, value,
                  removes ? 0 : length);
            lengths[index] = removes ? 0 : length + 1;
        }
        commit();
        for (uint32_t index = 0; index < KEYS; index++) {
            const char *const site = index % 2 == 0 ? "a" : "b.example";
            snprintf(key, sizeof(key), "%0*u", (int)(index % 250) + 3, index);
            memset(value, (int)index, VALUE_MOST);
            CHECK(lengths[index] > 0 ? has(site, key, value, lengths[index] - 1) : lacks(site, key));
        }
    }
    CHECK(view.reads == 60 * KEYS && view.refusals == 0);
    close_all();
}

/* Every batch writes the same number to all of its keys, so that a value torn or mixed up shows. */
static void write_forever(void)
{
    CHECK(tf_kv_open(folder, &limits, true, &store, &error) == 0);
    for (uint32_t round = 1;; round++) {
        uint8_t value[6000];
        char key[32];
        memset(value, (int)round, sizeof(value));
        CHECK(tf_kv_begin(store, true, &error) == 0);
        for (uint32_t i = 0; i < 20; i++) {
            snprintf(key, sizeof(key), "key%u", i);
            apply(TF_KV_INSERT, "a", key, value, i % 3 == 0 ? 6000 : i * 20 + 1);
        }
        CHECK(tf_kv_commit(store, &error) == 0);
        (void)tf_kv_others_wrote(store);
        atomic_store(&page->number, tf_kv_number(store));
    }
}

static void nothing_torn_is_read_while_another_writes(void)
{
    open_all();
    begin();
    apply(TF_KV_INSERT, "a", "key", "", 0);
    commit();
    tf_kv_close(&store);
    pid_t const pid = fork();
    if (pid == 0)
        write_forever();
    uint32_t whole = 0, rounds = 0;
    while (whole < 20000 && rounds++ < 2000000) {
        char key[32];
        uint8_t *answer;
        size_t length;
        uint32_t const index = rounds % 20;
        snprintf(key, sizeof(key), "key%u", index);
        if (ask("a", key, &answer, &length) == TF_KV_PRESENT) {
            const uint8_t *const value = answer + sizeof(struct tf_kv_answer);
            length -= sizeof(struct tf_kv_answer);
            CHECK(length == (index % 3 == 0 ? 6000 : index * 20 + 1));
            CHECK(memcmp(value, value + 1, length - 1) == 0);
            whole++;
        }
        free(answer);
    }
    CHECK(whole == 20000);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    close_all();
}

/* Any change of the file's bytes gives an answer or none, and touches nothing outside of it. */
static void damage_does_no_harm(void)
{
    struct stat status;
    char key[32];
    open_all();
    begin();
    for (uint32_t i = 0; i < 400; i++) {
        static uint8_t value[5000];
        snprintf(key, sizeof(key), "key%u", i);
        apply(TF_KV_INSERT, i % 5 == 0 ? "b" : "a", key, value, i % 7 == 0 ? 5000 : i);
    }
    commit();
    CHECK(stat(path, &status) == 0);
    int const fd = open(path, O_RDWR | O_CLOEXEC);
    size_t const length = (size_t)status.st_size;
    uint8_t *const bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *const whole = malloc(length);
    CHECK(fd >= 0 && bytes != MAP_FAILED && whole != NULL);
    memcpy(whole, bytes, length);
    for (uint32_t round = 0; round < 20000; round++) {
        uint8_t *answer;
        size_t answer_length;
        size_t at[4];
        for (uint32_t i = 0; i < 4; i++) { /* mostly in what pages say of themselves */
            at[i] = (size_t)rand() % (length / 4096) * 4096 + (size_t)rand() % (rand() % 2 == 0 ? 160 : 4096);
            bytes[at[i]] = rand() % 2 == 0 ? 0xff : (uint8_t)rand();
        }
        view.head.number = 0;
        snprintf(key, sizeof(key), "key%u", (uint32_t)rand() % 401);
        (void)ask(rand() % 5 == 0 ? "b" : "a", key, &answer, &answer_length);
        free(answer);
        for (uint32_t i = 0; i < 4; i++)
            bytes[at[i]] = whole[at[i]];
    }
    view.head.number = 0;
    CHECK(lacks("a", "nothing") && lacks("b", "key1"));
    munmap(bytes, length);
    free(whole);
    close(fd);
    close_all();
}

static void a_file_that_ends_early_is_no_store(void)
{
    open_all();
    CHECK(truncate(path, 4096) == 0);
    CHECK(cannot_say("a", "k"));
    tf_kv_view_dispose(&view);
    tf_kv_close(&store);
    unlink(path);
}

static void remove_folder(void)
{
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", folder);
    unlink(path);
    rmdir(folder);
}

static bool tells_what_is_at_hand(void)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    int const fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, &byte, 1) == 1);
    bool const tells = preadv2(fd, &part, 1, 0, RWF_NOWAIT) == 1;
    close(fd);
    unlink(path);
    return tells;
}

static void make_folder(void)
{
    for (size_t i = 0; i < 2; i++) {
        folder = mkdtemp(folders[i]);
        CHECK(folder != NULL);
        snprintf(path, sizeof(path), "%s/%s", folder, TF_KV_FILE);
        if (i == 1 || tells_what_is_at_hand())
            break;
        rmdir(folder);
    }
    CHECK(atexit(remove_folder) == 0);
    page_fd = memfd_create("page", MFD_CLOEXEC);
    CHECK(page_fd > 0 && ftruncate(page_fd, sizeof(*page)) == 0);
    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    CHECK(page != MAP_FAILED);
}

TEST_MAIN(TEST(make_folder), TEST(an_empty_store_has_nothing), TEST(values_are_those_of_the_store),
          TEST(an_answer_says_what_it_was_read_under), TEST(what_cannot_be_known_is_left_to_the_service),
          TEST(thousands_of_changes_are_followed), TEST(nothing_torn_is_read_while_another_writes),
          TEST(damage_does_no_harm), TEST(a_file_that_ends_early_is_no_store))
