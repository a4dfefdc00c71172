/* Rules as they stand in a route table, read as its reader does. */
#ifndef TF_TESTS_SITES_ACCESS_LINES_H
#define TF_TESTS_SITES_ACCESS_LINES_H

#include <stdbool.h>
#include <string.h>

#include "sites/access.h"

/* Cuts the text into its lines; NULL: they are no rules. */
static inline struct tf_access *read_lines(char *text)
{
    struct tf_access *access = NULL;
    struct tf_access_reader *reader = NULL;
    bool is_good = true;
    for (char *line = text, *end; is_good && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (reader == NULL)
            is_good = strncmp(line, "access ", 7) == 0 && (reader = tf_access_reader_create(line + 7)) != NULL;
        else
            is_good = tf_access_reader_line(reader, line);
    }
    if (is_good && reader != NULL)
        tf_access_reader_finish(&reader, &access);
    tf_access_reader_destroy(&reader);
    return access;
}

#endif
