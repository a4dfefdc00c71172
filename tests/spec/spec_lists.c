/*
 * The lists: what a file of the suite gives, and which of its assertions have to fail.
 */
#include "tests/spec/spec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTS_FOLDER TF_SOURCE_DIR "/tests/spec"
#define LINE_BYTES 1024

/* Calls `take` with every line of a list that is no comment. */
static bool read_list(const char *name, void (*take)(void *context, const char *line), void *context)
{
    char path[PATH_MAX], line[LINE_BYTES];
    snprintf(path, sizeof(path), "%s/%s", LISTS_FOLDER, name);
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    while (fgets(line, sizeof(line), file) != NULL)
        if (line[0] != '#' && line[0] != '\n')
            take(context, line);
    fclose(file);
    return true;
}

/* "i32.wast:17 reason" */
static void take_exception(struct spec_file *file, const char *list, const char *text, bool is_shared)
{
    char name[128];
    unsigned line;
    if (sscanf(text, "%127[^:]:%u", name, &line) != 2) {
        fprintf(stderr, "%s: cannot read: %s", list, text);
        exit(2);
    }
    if (strcmp(name, file->name) != 0)
        return;
    file->exceptions = realloc(file->exceptions, (file->exception_count + 1) * sizeof(file->exceptions[0]));
    if (file->exceptions == NULL)
        abort();
    file->exceptions[file->exception_count++] = (struct spec_exception){.line = line, .is_shared = is_shared};
}

static void take_difference(void *context, const char *text)
{
    take_exception(context, SPEC_FAST_LIST, text, false);
}

static void take_shared(void *context, const char *text)
{
    take_exception(context, SPEC_SHARED_LIST, text, true);
}

bool spec_read_exceptions(struct spec_file *file, bool is_fast)
{
    return read_list(SPEC_SHARED_LIST, take_shared, file) &&
           (!is_fast || read_list(SPEC_FAST_LIST, take_difference, file));
}

bool spec_exceptions_seen(const struct spec_file *file)
{
    bool is_good = true;
    for (size_t i = 0; i < file->exception_count; i++) {
        if (file->exceptions[i].is_seen)
            continue;
        fprintf(stderr, "%s:%u (%s): listed in %s, but does not differ\n", file->name, file->exceptions[i].line,
                file->configuration, file->exceptions[i].is_shared ? SPEC_SHARED_LIST : SPEC_FAST_LIST);
        is_good = false;
    }
    return is_good;
}

/* A file's row: what no configuration changes. Nothing may be skipped that is not known to be. */
#define ROW_FIELDS 7
struct row {
    char name[128];
    unsigned fields[ROW_FIELDS];
    bool is_there;
};

static void take_row(void *context, const char *text)
{
    struct row *const row = context;
    struct row found = {.is_there = true};
    unsigned *const f = found.fields;
    if (sscanf(text, "%127s %u %u %u %u %u %u %u", found.name, &f[0], &f[1], &f[2], &f[3], &f[4], &f[5],
               &f[6]) != 1 + ROW_FIELDS) {
        fprintf(stderr, "%s: cannot read: %s", SPEC_COUNTS_LIST, text);
        exit(2);
    }
    if (strcmp(found.name, row->name) == 0)
        *row = found;
}

static void print_row(const struct row *row)
{
    printf("%-42s", row->name);
    for (int i = 0; i < ROW_FIELDS; i++)
        printf(" %5u", row->fields[i]);
    putchar('\n');
}

bool spec_counts_fit(const struct spec_file *file, bool only_print)
{
    const struct spec_counts *const counts = &file->counts;
    struct row got = {.fields = {counts->passed + counts->different, counts->modules, counts->actions,
                                 counts->imports_refused, counts->imports_asked, counts->shared,
                                 counts->text_skipped}};
    struct row wanted = {0};
    snprintf(got.name, sizeof(got.name), "%s", file->name);
    memcpy(wanted.name, got.name, sizeof(got.name));
    if (only_print) {
        print_row(&got);
        return true;
    }
    if (!read_list(SPEC_COUNTS_LIST, take_row, &wanted))
        return false;
    if (wanted.is_there && memcmp(wanted.fields, got.fields, sizeof(got.fields)) == 0)
        return true;
    fflush(stdout);
    fprintf(stderr, "%s (%s): these are not the counts of %s:\n", file->name, file->configuration, SPEC_COUNTS_LIST);
    print_row(&got);
    return false;
}
