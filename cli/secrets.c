#include "cli/secrets.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

int tf_secrets_load(const char *path, struct tf_buffer *lines, struct tf_error *error)
{
    struct stat status;
    struct tf_error why;
    int const fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return tf_error_system(error, "cannot read the secrets %s", path);
    if (fstat(fd, &status) != 0 || (status.st_mode & S_IRWXO) != 0) {
        close(fd);
        return tf_error_set(error, TF_ERR_USAGE, "%s: everybody on this machine may read the secrets; chmod o= %s",
                            path, path);
    }
    struct tf_buffer bytes;
    tf_buffer_init(&bytes, TF_SECRETS_BYTES);
    int result = tf_file_read_fd(fd, &bytes, error);
    close(fd);
    if (result == TF_OK) {
        result = tf_secrets_from_yaml(bytes.bytes != NULL ? (const void *)bytes.bytes : "", bytes.length, lines, &why);
        if (result != TF_OK)
            tf_error_set(error, result, "%s: %s", path, why.text);
    }
    if (bytes.bytes != NULL)
        explicit_bzero(bytes.bytes, bytes.length);
    tf_buffer_dispose(&bytes);
    return result;
}

int tf_secrets_receive(int fd, struct tf_secrets **ret_secrets, struct tf_error *error)
{
    /* All workers share the file's offset: read by position. */
    struct stat status;
    struct tf_buffer lines;
    tf_buffer_init(&lines, TF_SECRETS_BYTES);
    int result = TF_OK;
    if (fstat(fd, &status) != 0)
        result = tf_error_system(error, "cannot read the secrets");
    bool const has_some = result == TF_OK && status.st_size > 0;
    uint8_t *const bytes = has_some ? tf_buffer_extend(&lines, (size_t)status.st_size) : NULL;
    if (has_some &&
        (bytes == NULL || pread(fd, bytes, (size_t)status.st_size, 0) != (ssize_t)status.st_size))
        result = tf_error_system(error, "cannot read the secrets");
    close(fd);
    if (result == TF_OK)
        result = tf_secrets_read(&lines, ret_secrets, error);
    if (bytes != NULL)
        explicit_bzero(bytes, lines.length);
    tf_buffer_dispose(&lines);
    return result;
}
