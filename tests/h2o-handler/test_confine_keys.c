/* A worker's confinement: files of the root are open to it, keys in the cache and elsewhere are not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "h2o-handler/confine.h"
#include "h2o-handler/worker.h"
#include "tests/check.h"

enum { CAN_OPEN_ROOT = 1, CAN_OPEN_KEY = 2, HAS_NO_LANDLOCK = 4 };

static char base[64], root[80], cache[80], key[160], supplied[160], page[120];

static void make(const char *path, const char *text)
{
    int const fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd != -1 && tf_file_write_all(fd, text, 1, NULL) == 0);
    close(fd);
}

static int look(void)
{
    struct tf_worker_config const config = {.root = root, .cache_folder = cache};
    struct tf_error error;
    if (tf_worker_confine_files(&config, &error) != 0)
        return HAS_NO_LANDLOCK;
    int found = open(page, O_RDONLY | O_CLOEXEC) != -1 ? CAN_OPEN_ROOT : 0;
    if (open(key, O_RDONLY | O_CLOEXEC) != -1 || errno != EACCES || open(supplied, O_RDONLY | O_CLOEXEC) != -1 ||
        errno != EACCES)
        found |= CAN_OPEN_KEY;
    return found;
}

static void keys_are_out_of_reach(void)
{
    snprintf(base, sizeof(base), "/tmp/tf-keys-XXXXXX");
    CHECK(mkdtemp(base) != NULL);
    snprintf(root, sizeof(root), "%s/root", base);
    snprintf(cache, sizeof(cache), "%s/cache", base);
    char folders[6][160];
    snprintf(folders[0], sizeof(folders[0]), "%s", root);
    snprintf(folders[1], sizeof(folders[1]), "%s/hot", cache);
    snprintf(folders[2], sizeof(folders[2]), "%s/roots", cache);
    snprintf(folders[3], sizeof(folders[3]), "%s/certificates/id/acme/private/a.test", cache);
    snprintf(folders[4], sizeof(folders[4]), "%s/supplied", base);
    for (int i = 0; i < 5; i++)
        CHECK(tf_file_make_folders(folders[i], NULL) == 0);
    snprintf(page, sizeof(page), "%s/page", root);
    snprintf(key, sizeof(key), "%s/certificates/id/acme/private/a.test/key.pem", cache);
    snprintf(supplied, sizeof(supplied), "%s/supplied/a.key", base);
    make(page, "x");
    make(key, "x");
    make(supplied, "x");
    pid_t const child = fork();
    if (child == 0)
        _exit(look());
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == CAN_OPEN_ROOT || WEXITSTATUS(status) == HAS_NO_LANDLOCK);
    CHECK(tf_file_remove_tree(AT_FDCWD, base, NULL) == 0);
}

TEST_MAIN(TEST(keys_are_out_of_reach))
