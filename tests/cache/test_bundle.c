/* Bundles: what comes out is what went in, and anything else changes nothing. */
#include "tests/cache/artifact.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include <zstd.h>

#include "cache/bundle.h"
#include "cache/bundle_internal.h"
#include "cache/keep.h"

#define COUNT 12u
#define SOURCE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct tf_cache *from, *to;

static struct tf_cache *open_at(const char *name)
{
    char folder[96];
    struct tf_cache *cache = NULL;
    snprintf(folder, sizeof(folder), "%s/%s", cache_folder, name);
    CHECK(tf_cache_open(folder, TF_CACHE_WRITE, &cache, NULL) == 0);
    return cache;
}

static void enter(void)
{
    char hex[TF_TRUST_HEX_BYTES], name[TF_HASH_HEX_BYTES];
    cache_enter();
    from = open_at("from");
    to = open_at("to");
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(artifact_put(from, i, NULL) == 0);
        snprintf(name, sizeof(name), "%s", artifact_key(i + 100));
        CHECK(tf_cache_index_put(from, name, "f", artifact_key(i), NULL) == 0);
    }
    CHECK(tf_trust_own_key(tf_cache_trust(from), hex, NULL) == 0);
    CHECK(tf_trust_add(tf_cache_trust(to), TF_TRUST_KEY, hex, NULL) == 0);
}

static void leave(void)
{
    tf_cache_close(&from);
    tf_cache_close(&to);
    cache_leave();
}

static int open_bundle(const char *name, int flags)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", cache_folder, name);
    int const fd = open(path, flags | O_CLOEXEC, 0644);
    CHECK(fd >= 0);
    return fd;
}

static int write_bundle(const char *name, struct tf_bundle_report *report)
{
    struct tf_error error = {0};
    int const fd = open_bundle(name, O_RDWR | O_CREAT | O_TRUNC);
    CHECK_MESSAGE(tf_bundle_write(from, NULL, fd, report, &error) == 0, "%s", error.text);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static int read_bundle(int fd, struct tf_bundle_report *report, struct tf_error *error)
{
    struct tf_bundle_report unused;
    return tf_bundle_read(to, fd, report != NULL ? report : &unused, error);
}

/* Nothing but the policy and the folders. */
static bool is_untouched(void)
{
    static const char *const names[] = {"store", "hot", "index", "tmp"};
    int entries = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/to/%s", cache_folder, names[i]);
        DIR *const list = opendir(path);
        CHECK(list != NULL);
        while (list != NULL && readdir(list) != NULL)
            entries++;
        if (list != NULL)
            closedir(list);
    }
    return entries == 2 * 4;
}

static void say(void *context, const char *path, const char *why)
{
    (void)context;
    fprintf(stderr, "wrong: %s: %s\n", path, why);
}

static void what_goes_in_comes_out(void)
{
    struct tf_bundle_report report;
    struct tf_cache_verdict verdict;
    char key[TF_HASH_HEX_BYTES];
    enter();
    int const fd = write_bundle("bundle", &report);
    CHECK(report.artifacts == COUNT && report.entries == COUNT);
    CHECK(read_bundle(fd, &report, NULL) == 0);
    CHECK(report.artifacts == COUNT && report.known == 0 && report.entries == COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(artifact_get(to, i) == 0);
        CHECK(tf_cache_index_find(to, artifact_key(i + 100), "f", key, NULL) == 0);
        CHECK(strcmp(key, artifact_key(i)) == 0);
    }
    CHECK(count_lines("diff -r from/hot to/hot") == 0 && count_lines("diff -r from/store to/store") == 0 &&
          count_lines("diff -r from/index to/index") == 0 && count_lines("ls -A to/tmp") == 0);
    CHECK(tf_cache_verify(to, say, NULL, &verdict, NULL) == 0);
    CHECK(verdict.wrong == 0 && verdict.artifacts == COUNT && verdict.hot == COUNT && verdict.stored == COUNT &&
          verdict.entries == COUNT);
    /* Again, and through a pipe. */
    char command[256];
    snprintf(command, sizeof(command), "cat %s/bundle", cache_folder);
    FILE *const pipe = popen(command, "r");
    CHECK(pipe != NULL && read_bundle(fileno(pipe), &report, NULL) == 0 && report.known == COUNT);
    CHECK(pclose(pipe) == 0);
    close(fd);
    leave();
}

static void what_is_alike_is_there_once(void)
{
    struct tf_bundle_report report, more;
    struct artifact artifact;
    enter();
    int const fd = write_bundle("bundle", &report);
    artifact_make(&artifact, 5);
    hash_hex("another", 7, artifact.manifest.key);
    CHECK(tf_cache_put(from, &artifact.manifest, artifact.object, artifact.image, NULL) == 0);
    int const again = write_bundle("again", &more);
    CHECK(more.artifacts == COUNT + 1);
    CHECK(more.plain_bytes - report.plain_bytes < 1500); /* the manifest, not 605 bytes and two pages again */
    CHECK(read_bundle(again, &more, NULL) == 0 && artifact_get(to, 5) == 0);
    CHECK(tf_cache_has(to, artifact.manifest.key));
    close(again);
    close(fd);
    leave();
}

static void some_can_be_chosen(void)
{
    struct tf_bundle_report report;
    struct tf_keys keys = {0};
    enter();
    CHECK(tf_keys_add(&keys, artifact_key(3), NULL) == 0 && tf_keys_add(&keys, artifact_key(7), NULL) == 0);
    tf_keys_sort(&keys);
    int const fd = open_bundle("bundle", O_RDWR | O_CREAT);
    CHECK(tf_bundle_write(from, &keys, fd, &report, NULL) == 0 && report.artifacts == 2 && report.entries == 2);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read_bundle(fd, &report, NULL) == 0);
    CHECK(artifact_get(to, 3) == 0 && artifact_get(to, 7) == 0 && artifact_get(to, 4) == TF_ERR_NOT_FOUND);
    CHECK(tf_keys_add(&keys, artifact_key(1000), NULL) == 0);
    tf_keys_sort(&keys);
    CHECK(tf_bundle_write(from, &keys, fd, &report, NULL) == TF_ERR_NOT_FOUND);
    tf_keys_dispose(&keys);
    close(fd);
    leave();
}

static void a_stranger_s_bundle_is_refused(void)
{
    struct tf_bundle_report report;
    char hex[TF_TRUST_HEX_BYTES];
    struct tf_error error = {0};
    enter();
    int const fd = write_bundle("bundle", &report);
    CHECK(tf_trust_own_key(tf_cache_trust(from), hex, NULL) == 0);
    CHECK(tf_trust_add(tf_cache_trust(to), TF_TRUST_REVOKE, artifact_key(4), NULL) == 0);
    CHECK(read_bundle(fd, NULL, &error) == TF_ERR_TRUST && strstr(error.text, artifact_key(4)) != NULL);
    CHECK(is_untouched());
    CHECK(tf_trust_add(tf_cache_trust(to), TF_TRUST_REVOKE_KEY, hex, NULL) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read_bundle(fd, NULL, NULL) == TF_ERR_TRUST);
    CHECK(is_untouched());
    close(fd);
    leave();
}

static void no_cut_or_altered_bundle_changes_anything(void)
{
    struct tf_bundle_report report;
    static uint8_t bytes[1 << 20];
    enter();
    int const fd = write_bundle("bundle", &report);
    ssize_t const size = read(fd, bytes, sizeof(bytes));
    CHECK(size > 1000 && size < (ssize_t)sizeof(bytes));
    /* Some bits of a frame's head do not matter to its content: then it is the same bundle. */
    int unnoticed = 0;
    for (ssize_t i = 0; i < size; i += i < 16 || i > size - 16 ? 1 : 53) {
        int const other = open_bundle("other", O_RDWR | O_CREAT | O_TRUNC);
        bytes[i] ^= (uint8_t)(1 << i % 8);
        CHECK(write(other, bytes, (size_t)size) == size && lseek(other, 0, SEEK_SET) == 0);
        bytes[i] ^= (uint8_t)(1 << i % 8);
        int const result = read_bundle(other, NULL, NULL);
        CHECK(result == 0 || result == TF_ERR_CORRUPT || result == TF_ERR_TRUST);
        if (result == 0) {
            unnoticed++;
            CHECK(count_lines("diff -r from/hot to/hot") == 0);
            CHECK(count_lines("rm -rf to/hot/* to/store/* to/index/*") == 0);
        }
        CHECK_MESSAGE(is_untouched(), "byte %zd", i);
        close(other);
    }
    CHECK_MESSAGE(unnoticed <= 4, "%d", unnoticed);
    for (ssize_t length = 0; length < size; length += length < 16 || length > size - 16 ? 1 : 97) {
        int const other = open_bundle("other", O_RDWR | O_CREAT | O_TRUNC);
        CHECK(write(other, bytes, (size_t)length) == length && lseek(other, 0, SEEK_SET) == 0);
        CHECK(read_bundle(other, NULL, NULL) == TF_ERR_CORRUPT);
        CHECK_MESSAGE(is_untouched(), "length %zd", length);
        close(other);
    }
    int const longer = open_bundle("other", O_RDWR | O_CREAT | O_TRUNC);
    CHECK(write(longer, bytes, (size_t)size) == size && write(longer, "", 1) == 1 && lseek(longer, 0, SEEK_SET) == 0);
    CHECK(read_bundle(longer, NULL, NULL) == TF_ERR_CORRUPT && is_untouched());
    close(longer);
    close(fd);
    leave();
}

/* ---- content that no writer of ours makes ---- */

static uint8_t content[1 << 20];
static size_t content_bytes;

static int read_content(void)
{
    static uint8_t frame[1 << 20];
    size_t const bytes = ZSTD_compress(frame, sizeof(frame), content, content_bytes, 1);
    int const fd = open_bundle("made", O_RDWR | O_CREAT | O_TRUNC);
    CHECK(write(fd, frame, bytes) == (ssize_t)bytes && lseek(fd, 0, SEEK_SET) == 0);
    int const result = read_bundle(fd, NULL, NULL);
    close(fd);
    return result;
}

/* The content of a bundle of ours, to be changed. */
static void take_content(void)
{
    static uint8_t frame[1 << 20];
    struct tf_bundle_report report;
    int const fd = write_bundle("bundle", &report);
    ssize_t const size = read(fd, frame, sizeof(frame));
    ZSTD_DCtx *const context = ZSTD_createDCtx();
    ZSTD_inBuffer input = {frame, (size_t)size, 0};
    ZSTD_outBuffer output = {content, sizeof(content), 0};
    CHECK(ZSTD_decompressStream(context, &output, &input) == 0);
    ZSTD_freeDCtx(context);
    content_bytes = output.pos;
    close(fd);
}

/* The hash at the end no longer gives a change away. */
static void seal(void)
{
    tf_hash_bytes(content, content_bytes - TF_HASH_BYTES, content + content_bytes - TF_HASH_BYTES);
}

static void no_change_below_the_hash_is_taken(void)
{
    enter();
    take_content();
    seal();
    CHECK(read_content() == 0);
    CHECK(count_lines("rm -rf to/hot/* to/store/* to/index/*") == 0);
    for (size_t i = 0; i < content_bytes - TF_HASH_BYTES; i += i < 16 ? 1 : i < 600 ? 13 : 131) {
        content[i] ^= (uint8_t)(1 << i % 8);
        seal();
        int const result = read_content();
        CHECK_MESSAGE(result == TF_ERR_CORRUPT || result == TF_ERR_TRUST, "byte %zu: %d", i, result);
        CHECK_MESSAGE(is_untouched(), "byte %zu", i);
        content[i] ^= (uint8_t)(1 << i % 8);
    }
    leave();
}

static void lies_of_the_index_are_refused(void)
{
    uint8_t saved[TF_HASH_BYTES];
    enter();
    take_content();
    uint8_t *const first = content + TF_BUNDLE_MAGIC_BYTES + 4, *const second = first + TF_HASH_BYTES;
    memcpy(saved, second, sizeof(saved));
    memcpy(second, first, sizeof(saved)); /* twice the same */
    seal();
    CHECK(read_content() == TF_ERR_CORRUPT && is_untouched());
    memcpy(second, saved, sizeof(saved));
    memcpy(saved, first, sizeof(saved)); /* not in order */
    memmove(first, second, sizeof(saved));
    memcpy(second, saved, sizeof(saved));
    seal();
    CHECK(read_content() == TF_ERR_CORRUPT && is_untouched());
    /* More than there are, and as many as a number can say. */
    memset(content + TF_BUNDLE_MAGIC_BYTES, 0xff, 4);
    seal();
    CHECK(read_content() == TF_ERR_CORRUPT && is_untouched());
    /* A manifest of 4 GiB. */
    take_content();
    memset(content + TF_BUNDLE_MAGIC_BYTES + 4 + COUNT * TF_HASH_BYTES, 0xff, 4);
    seal();
    CHECK(read_content() == TF_ERR_CORRUPT && is_untouched());
    leave();
}

/* A small file of endless zeros costs neither memory nor disk. */
static void a_bomb_does_not_go_off(void)
{
    enter();
    static uint8_t zeros[1 << 20];
    uint8_t frame[4096];
    ZSTD_CCtx *const context = ZSTD_createCCtx();
    int const fd = open_bundle("bomb", O_RDWR | O_CREAT | O_TRUNC);
    uint8_t head[TF_BUNDLE_MAGIC_BYTES + 8] = TF_BUNDLE_MAGIC;
    head[TF_BUNDLE_MAGIC_BYTES + 7] = 4; /* no artifact; then a manifest's length, were there one */
    ZSTD_inBuffer input = {head, sizeof(head), 0};
    for (int i = 0; i <= 512; i++) {
        ZSTD_outBuffer output = {frame, sizeof(frame), 0};
        CHECK(ZSTD_isError(ZSTD_compressStream2(context, &output, &input,
                                                i < 512 ? ZSTD_e_flush : ZSTD_e_end)) == 0);
        CHECK(write(fd, frame, output.pos) == (ssize_t)output.pos);
        input = (ZSTD_inBuffer){zeros, i < 511 ? sizeof(zeros) : 0, 0};
    }
    ZSTD_freeCCtx(context);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read_bundle(fd, NULL, NULL) == TF_ERR_CORRUPT && is_untouched());
    close(fd);
    /* A frame that asks for more memory than a reader of ours gives. */
    ZSTD_CCtx *const wide = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(wide, ZSTD_c_windowLog, 27);
    static uint8_t out[1 << 20];
    take_content();
    ZSTD_inBuffer all = {content, content_bytes, 0};
    ZSTD_outBuffer output = {out, sizeof(out), 0};
    CHECK(ZSTD_isError(ZSTD_compressStream2(wide, &output, &all, ZSTD_e_flush)) == 0);
    CHECK(ZSTD_compressStream2(wide, &output, &all, ZSTD_e_end) == 0);
    ZSTD_freeCCtx(wide);
    int const other = open_bundle("wide", O_RDWR | O_CREAT | O_TRUNC);
    CHECK(write(other, out, output.pos) == (ssize_t)output.pos && lseek(other, 0, SEEK_SET) == 0);
    CHECK(read_bundle(other, NULL, NULL) == TF_ERR_CORRUPT && is_untouched());
    close(other);
    leave();
}

/* A manifest of nothing but numbers takes twenty times its text to be taken apart: not before its signature is seen. */
static void a_stranger_s_manifest_costs_its_text(void)
{
    struct rlimit before, narrow;
    size_t const json_bytes = TF_MANIFEST_MOST_BYTES - 1, head_bytes = TF_BUNDLE_MAGIC_BYTES + 4 + TF_HASH_BYTES + 4;
    size_t const bytes = head_bytes + json_bytes + sizeof(struct tf_signature), most = ZSTD_compressBound(1 << 20);
    enter();
    uint8_t *const whole = calloc(1, bytes), *const frame = malloc(most);
    CHECK(whole != NULL && frame != NULL);
    memcpy(whole, TF_BUNDLE_MAGIC "\1", TF_BUNDLE_MAGIC_BYTES + 1);
    for (int i = 0; i < 4; i++)
        whole[head_bytes - 4 + (size_t)i] = (uint8_t)(json_bytes >> (8 * i));
    memcpy(whole + head_bytes, "{\"a\":[0", 7);
    for (size_t i = 7; i < json_bytes - 2; i += 2)
        memcpy(whole + head_bytes + i, ",0", 2);
    memcpy(whole + head_bytes + json_bytes - 2, "]}", 2);
    memcpy(whole + head_bytes + json_bytes, TF_SIGNATURE_MAGIC, TF_SIGNATURE_MAGIC_BYTES);
    size_t const length = ZSTD_compress(frame, most, whole, bytes, 1);
    CHECK(!ZSTD_isError(length));
    int const fd = open_bundle("made", O_RDWR | O_CREAT | O_TRUNC);
    CHECK(write(fd, frame, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0);
    free(whole);
    free(frame);
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    narrow = (struct rlimit){(rlim_t)400 << 20, before.rlim_max};
    CHECK(setrlimit(RLIMIT_AS, &narrow) == 0);
    CHECK(read_bundle(fd, NULL, NULL) == TF_ERR_TRUST);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK(is_untouched());
    close(fd);
    leave();
}

static void a_full_disk_changes_nothing(void)
{
    struct tf_bundle_report report;
    struct tf_error error = {0};
    enter();
    int const fd = write_bundle("bundle", &report);
    struct rlimit before, small = {3000, RLIM_INFINITY};
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(read_bundle(fd, NULL, &error) == TF_ERR_SYSTEM && strstr(error.text, "File too large") != NULL);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(is_untouched());
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read_bundle(fd, NULL, NULL) == 0);
    close(fd);
    leave();
}

TEST_MAIN(TEST(what_goes_in_comes_out), TEST(what_is_alike_is_there_once), TEST(some_can_be_chosen),
          TEST(a_stranger_s_bundle_is_refused), TEST(no_cut_or_altered_bundle_changes_anything),
          TEST(no_change_below_the_hash_is_taken), TEST(lies_of_the_index_are_refused), TEST(a_bomb_does_not_go_off),
          TEST(a_stranger_s_manifest_costs_its_text), TEST(a_full_disk_changes_nothing))
