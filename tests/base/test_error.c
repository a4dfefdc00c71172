#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/check.h"

static void set_returns_the_code_and_writes_the_text(void)
{
    struct tf_error error = {0};
    CHECK(tf_error_set(&error, TF_ERR_LIMIT, "limit %s is %d", "x", 5) == TF_ERR_LIMIT);
    CHECK(error.code == TF_ERR_LIMIT && strcmp(error.text, "limit x is 5") == 0);
    CHECK(tf_error_set(NULL, TF_ERR_ABI, "nowhere") == TF_ERR_ABI);
}

static void its_own_text_may_be_an_argument(void)
{
    struct tf_error error = {0};
    tf_error_set(&error, TF_ERR_SYSTEM, "inner");
    tf_error_set(&error, TF_ERR_SYSTEM, "outer: %s", error.text);
    CHECK(strcmp(error.text, "outer: inner") == 0);
}

static void long_texts_are_cut(void)
{
    char text[2000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct tf_error error = {0};
    tf_error_set(&error, TF_ERR_LIMIT, "%s", text);
    CHECK(strlen(error.text) == TF_ERROR_TEXT_BYTES - 1);
    errno = ENOSPC;
    CHECK(tf_error_system(&error, "%s", text) == TF_ERR_SYSTEM);
    CHECK(strlen(error.text) == TF_ERROR_TEXT_BYTES - 1);
}

static void system_errors_tell_errno_and_keep_it(void)
{
    struct tf_error error = {0};
    errno = ENOSPC;
    CHECK(tf_error_system(&error, "cannot write %s", "f") == TF_ERR_SYSTEM);
    CHECK(errno == ENOSPC);
    CHECK(strcmp(error.text, "cannot write f: No space left on device") == 0);
    CHECK(tf_error_system(NULL, "x") == TF_ERR_SYSTEM);
}

static void names_are_the_rows_in_lower_case(void)
{
#define X(row, value, sentence)                                                                                        \
    {                                                                                                                  \
        const char *const name = tf_error_name(value);                                                                 \
        CHECK(strlen(name) == strlen(#row));                                                                           \
        for (size_t i = 0; name[i] != '\0'; i++)                                                                       \
            CHECK(name[i] == tolower((unsigned char)#row[i]));                                                         \
        CHECK(strcmp(tf_error_text(value), sentence) == 0);                                                            \
    }
    TF_ERROR_ROWS(X)
#undef X
    CHECK(strcmp(tf_error_name(-1000), "unknown") == 0);
    CHECK(strcmp(tf_error_name(7), "unknown") == 0);
    CHECK(tf_error_text(-1000) != NULL && tf_error_text(0) != NULL);
}

TEST_MAIN(TEST(set_returns_the_code_and_writes_the_text), TEST(its_own_text_may_be_an_argument),
          TEST(long_texts_are_cut), TEST(system_errors_tell_errno_and_keep_it), TEST(names_are_the_rows_in_lower_case))
