#include "cli/run_program.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

#define DEPTH_MAX 32
#define FILES_MAX 100000

static int append_text(struct tf_text **texts, size_t *count, const char *text, struct tf_error *error)
{
    struct tf_text *const grown = realloc(*texts, (*count + 1) * sizeof(**texts));
    if (grown == NULL)
        return tf_error_system(error, "no memory");
    grown[(*count)++] = (struct tf_text){text, strlen(text)};
    *texts = grown;
    return TF_OK;
}

int tf_run_program_argument(struct tf_run_program *program, const char *text, struct tf_error *error)
{
    int const result = append_text(&program->arguments, &program->program.argument_count, text, error);
    program->program.arguments = program->arguments;
    return result;
}

int tf_run_program_variable(struct tf_run_program *program, const char *text, struct tf_error *error)
{
    const char *const equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return tf_error_set(error, TF_ERR_USAGE, "--env: '%.60s' is not NAME=VALUE", text);
    int const result = append_text(&program->environment, &program->program.environment_count, text, error);
    program->program.environment = program->environment;
    return result;
}

/* ---- folders ---- */

struct reading {
    struct tf_run_program *program;
    struct tf_program_folder *folder;
    uint64_t bytes_max;
    struct tf_error *error;
};

static struct tf_program_file *add_file(struct reading *reading, const char *prefix, const char *name)
{
    struct tf_program_folder *const folder = reading->folder;
    char *path = NULL;
    struct tf_program_file *const files =
        realloc((void *)(uintptr_t)folder->files, (folder->file_count + 1) * sizeof(*files));
    if (files == NULL || folder->file_count >= FILES_MAX ||
        asprintf(&path, "%s%s%s", prefix, *prefix != '\0' ? "/" : "", name) < 0) {
        folder->files = files != NULL ? files : folder->files;
        tf_error_set(reading->error, TF_ERR_LIMIT, "too many files to hold in memory");
        return NULL;
    }
    folder->files = files;
    files[folder->file_count] = (struct tf_program_file){.path = {path, strlen(path)}, .bytes = {NULL, 0}};
    return &files[folder->file_count++];
}

/* Takes the bytes over. */
static int give_bytes(struct reading *reading, struct tf_program_file *file, const void *bytes, size_t length)
{
    char *const copy = malloc(length + 1);
    if (copy == NULL)
        return tf_error_system(reading->error, "no memory");
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    file->bytes = (struct tf_text){copy, length};
    reading->program->bytes += length;
    return TF_OK;
}

static int read_file(struct reading *reading, int folder_fd, const char *name, struct tf_program_file *file)
{
    struct tf_buffer content;
    tf_buffer_init(&content, (size_t)(reading->bytes_max - reading->program->bytes));
    int result = tf_file_read(folder_fd, name, &content, reading->error);
    if (result == TF_OK)
        result = give_bytes(reading, file, content.bytes, content.length);
    tf_buffer_dispose(&content);
    return result;
}

static int read_folder(struct reading *reading, int fd, const char *prefix, unsigned depth);

static int read_entry(struct reading *reading, int folder_fd, const char *prefix, const char *name, unsigned depth)
{
    struct stat status;
    char target[4096];
    if (fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode)))
        return TF_OK;
    struct tf_program_file *const file = add_file(reading, prefix, name);
    if (file == NULL)
        return TF_ERR_LIMIT;
    file->modified_ns = (uint64_t)status.st_mtim.tv_sec * TF_NS_PER_S + (uint64_t)status.st_mtim.tv_nsec;
    if (S_ISREG(status.st_mode)) {
        file->kind = TF_PROGRAM_FILE;
        return read_file(reading, folder_fd, name, file);
    }
    if (S_ISLNK(status.st_mode)) {
        ssize_t const length = readlinkat(folder_fd, name, target, sizeof(target));
        file->kind = TF_PROGRAM_LINK;
        return length < 0 ? tf_error_system(reading->error, "%s", name)
                          : give_bytes(reading, file, target, (size_t)length);
    }
    file->kind = TF_PROGRAM_FOLDER;
    const char *const path = file->path.bytes; /* the table moves, the name does not */
    int const fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? tf_error_system(reading->error, "%s", name) : read_folder(reading, fd, path, depth + 1);
}

/* Takes the descriptor over. */
static int read_folder(struct reading *reading, int fd, const char *prefix, unsigned depth)
{
    DIR *const entries = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    int result = TF_OK;
    if (entries == NULL) {
        close(fd);
        return tf_error_set(reading->error, TF_ERR_LIMIT, "%s: cannot be read, or lies too deep", prefix);
    }
    while (result == TF_OK && (entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = read_entry(reading, fd, prefix, entry->d_name, depth);
    }
    closedir(entries);
    return result;
}

int tf_run_program_folder(struct tf_run_program *program, const char *value, bool is_writable, uint64_t bytes_max,
                          struct tf_error *error)
{
    const char *const separator = strstr(value, "::");
    size_t const host_length = separator != NULL ? (size_t)(separator - value) : strlen(value);
    const char *const name = separator != NULL ? separator + 2 : value;
    if (program->program.folder_count == TF_RUN_FOLDERS_MAX || *name == '\0' || (host_length == 0 && !is_writable))
        return tf_error_set(error, TF_ERR_USAGE, "'%.200s' is no HOST::GUEST, or one folder too many", value);
    struct tf_program_folder *const folder = &program->folders[program->program.folder_count++];
    *folder = (struct tf_program_folder){.name = name, .is_writable = is_writable};
    program->program.folders = program->folders;
    if (host_length == 0)
        return TF_OK;
    char *const host = strndup(value, host_length);
    int const fd = host != NULL ? open(host, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int const opened = fd >= 0 ? TF_OK : tf_error_system(error, "%.*s", (int)host_length, value);
    free(host);
    struct reading reading = {program, folder, bytes_max, error};
    return opened == TF_OK ? read_folder(&reading, fd, "", 0) : opened;
}

void tf_run_program_dispose(struct tf_run_program *program)
{
    for (size_t i = 0; i < program->program.folder_count; i++) {
        for (size_t k = 0; k < program->folders[i].file_count; k++) {
            free((void *)(uintptr_t)program->folders[i].files[k].path.bytes);
            free((void *)(uintptr_t)program->folders[i].files[k].bytes.bytes);
        }
        free((void *)(uintptr_t)program->folders[i].files);
    }
    free(program->arguments);
    free(program->environment);
    *program = (struct tf_run_program){.bytes = 0};
}
