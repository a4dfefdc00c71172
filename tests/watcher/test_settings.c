/* Settings beside a function: they go live like code does, and what is wrong with them costs nothing that was right. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "tests/check.h"
#include "watcher/internal.h"

#define SITE "a.example"

static void go_live_like_code(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.yaml", "methods: [GET]\n");
    put(&f, "a.example/x.wasm", "ok:1");
    put(&f, "a.example/y.yaml", "of no function");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1 | method=GET"));
    CHECK(!was_ever_served(&f, SITE, "x.wasm", "ok:1")); /* never without them */
    CHECK(wait_status(&f, "x.wasm", "\"settings\":\""));
    put(&f, "a.example/x.yaml", "methods: [POST]\nfiles: yes\n");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1 | method=POST files=yes"));
    move_in(&f, "a.example/x.yaml", "limits: {cpu_ms: 7}\n");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1 | limit.cpu_ms=7"));
    put(&f, "a.example/x.wasm", "ok:2");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:2 | limit.cpu_ms=7"));
    delete (&f, "a.example/x.yaml");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:2"));
    CHECK(wait_status(&f, "x.wasm", "\"settings\":null"));
    put(&f, "a.example/x.yaml", "# nothing\n");
    give_time(&f);
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:2") == 0);
    CHECK(strcmp(served(&f, SITE, "y.wasm"), "none") == 0);
    CHECK(builds(&f, "ok:1") == 1 && builds(&f, "ok:2") == 1); /* settings compile nothing */
    fixture_dispose(&f);
}

static void bad_ones_leave_the_last_good(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.yaml", "methods: [GET]\n");
    put(&f, "a.example/x.wasm", "ok:1");
    put(&f, "a.example/never.yaml", "speed: 9\n");
    put(&f, "a.example/never.wasm", "ok:never");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1 | method=GET"));
    CHECK(wait_served(&f, SITE, "never.wasm", "refused"));
    CHECK(wait_status(&f, "never.wasm", "never.yaml: line 1, column 1: there is no such key"));
    put(&f, "a.example/x.yaml", "methods: [GET]\nlimits:\n  cpu_ms: 99999999\n");
    CHECK(wait_status(&f, "x.wasm", "x.yaml: line 3, column 11: limits: cpu_ms: 99999999 is over the server's"));
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:1 | method=GET") == 0);
    /* A version is code and settings: new code does not go live with settings that cannot be read. */
    put(&f, "a.example/x.wasm", "ok:2");
    give_time(&f);
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:1 | method=GET") == 0);
    /* Nor does a restart make anything of them. */
    CHECK(fixture_stop(&f) == 0);
    fixture_start(&f);
    CHECK(wait_status(&f, "x.wasm", "x.yaml: line 3"));
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:1 | method=GET") == 0);
    put(&f, "a.example/x.yaml", "methods: [PUT]\n");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:2 | method=PUT"));
    CHECK(wait_status(&f, "x.wasm", "\"error\":null"));
    fixture_dispose(&f);
}

static void attack_files_that_are_none(void)
{
    struct fixture f;
    char path[4096];
    fixture_init(&f);
    put(&f, "a.example/link.wasm", "ok:link");
    put(&f, "a.example/pipe.wasm", "ok:pipe");
    put(&f, "a.example/folder.wasm", "ok:folder");
    put(&f, "a.example/large.wasm", "ok:large");
    put(&f, "b.example/secret.yaml", "methods: [GET]\n");
    snprintf(path, sizeof(path), "%s/a.example/link.yaml", f.root);
    CHECK(symlink("../b.example/secret.yaml", path) == 0);
    snprintf(path, sizeof(path), "%s/a.example/pipe.yaml", f.root);
    CHECK(mkfifo(path, 0600) == 0);
    put_folder(&f, "a.example/folder.yaml");
    char *const large = malloc(20001);
    memset(large, '#', 20000);
    large[20000] = '\0';
    put(&f, "a.example/large.yaml", large);
    free(large);
    fixture_start(&f);
    CHECK(wait_status(&f, "link.wasm", "link.yaml is no regular file"));
    CHECK(wait_status(&f, "pipe.wasm", "pipe.yaml is no regular file"));
    CHECK(wait_status(&f, "folder.wasm", "folder.yaml"));
    CHECK(wait_status(&f, "large.wasm", "the limit settings_bytes is 16384"));
    CHECK(wait_served(&f, SITE, "link.wasm", "refused"));
    delete (&f, "a.example/link.yaml");
    CHECK(wait_served(&f, SITE, "link.wasm", "ok:link"));
    fixture_dispose(&f);
}

/* Half of a file would be good YAML: nothing of it counts before it is whole. */
static void half_written_is_never_read(void)
{
    struct fixture f;
    char path[4096];
    fixture_init(&f);
    put(&f, "a.example/x.wasm", "ok:1");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1"));
    snprintf(path, sizeof(path), "%s/a.example/x.yaml", f.root);
    int const fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(write(fd, "methods: [GET]\n", 15) == 15);
    give_time(&f);
    CHECK(write(fd, "files: yes\n", 11) == 11);
    close(fd);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1 | method=GET files=yes"));
    CHECK(!was_ever_served(&f, SITE, "x.wasm", "ok:1 | method=GET"));
    fixture_dispose(&f);
}

static void judged_elsewhere(void)
{
    struct tf_limits const limits = TF_LIMITS_DEFAULT;
    struct tf_buffer yaml, line;
    struct tf_error error;
    tf_buffer_init(&yaml, 1u << 20);
    tf_buffer_append_text(&yaml, "methods: [GET]\n");
    for (int i = 0; i < 50; i++) {
        CHECK(tf_settings_judge(&yaml, &limits, &line, &error) == 0);
        CHECK(line.length == 10 && memcmp(line.bytes, "method=GET", 10) == 0);
        tf_buffer_dispose(&line);
    }
    tf_buffer_append_text(&yaml, "- \"\x01\"");
    CHECK(tf_settings_judge(&yaml, &limits, &line, &error) == TF_ERR_REFUSED);
    CHECK(strstr(error.text, "no valid YAML") != NULL);
    tf_buffer_clear(&yaml);
    CHECK(tf_settings_judge(&yaml, &limits, &line, &error) == 0 && line.length == 0);
    tf_buffer_dispose(&line);
    tf_buffer_dispose(&yaml);
}

static void names(void)
{
    char function[NAME_MAX + 1];
    CHECK(tf_name_function_of_settings("x.yaml", function) && strcmp(function, "x.wasm") == 0);
    CHECK(tf_name_function_of_settings("x.wasm.yaml", function) && strcmp(function, "x.wasm.wasm") == 0);
    CHECK(!tf_name_function_of_settings(".yaml", function));
    CHECK(!tf_name_function_of_settings(".x.yaml", function));
    CHECK(!tf_name_function_of_settings("x.yml", function));
    CHECK(!tf_name_function_of_settings("x.YAML", function));
    CHECK(!tf_name_function_of_settings("x.wasm", function));
}

TEST_MAIN(TEST(names), TEST(judged_elsewhere), TEST(go_live_like_code), TEST(bad_ones_leave_the_last_good),
          TEST(attack_files_that_are_none), TEST(half_written_is_never_read))
