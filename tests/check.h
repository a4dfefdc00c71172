/*
 * A tiny test runner. A test program is a list of functions; each CHECK that fails is printed with its place, and the
 * program ends with "N passed, N failed" and exit status 1 if any test function had a failed CHECK.
 */
#ifndef TF_TESTS_CHECK_H
#define TF_TESTS_CHECK_H

#include <stdio.h>
#include <string.h>

static int tf_check_failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            tf_check_failures++;                                                                   \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                \
        }                                                                                          \
    } while (0)

#define CHECK_MESSAGE(condition, ...)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            tf_check_failures++;                                                                   \
            fprintf(stderr, "%s:%d: failed: %s: ", __FILE__, __LINE__, #condition);                \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

struct tf_check_test {
    const char *name;
    void (*run)(void);
};

#define TEST(function)                                                                             \
    {                                                                                              \
        #function, function                                                                        \
    }

static inline int tf_check_main(const struct tf_check_test *tests, size_t count, int argc, char **argv)
{
    int passed = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL)
            continue;
        int const before = tf_check_failures;
        tests[i].run();
        if (tf_check_failures == before)
            passed++;
        else {
            failed++;
            fprintf(stderr, "FAILED %s\n", tests[i].name);
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#define TEST_MAIN(...)                                                                             \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct tf_check_test tests[] = {__VA_ARGS__};                                 \
        return tf_check_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);                 \
    }

#endif
