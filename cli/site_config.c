#include "cli/site_config.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "sites/kbp_config.h"

#define NEW_MODE 0644

static int no_memory(struct tf_error *error)
{
    return tf_error_set(error, TF_ERR_SYSTEM, "no memory");
}

/* ---- the file ---- */

static json_t *make_new(void)
{
    /* As it was without the file. */
    return json_pack("{s:s, s:{}, s:{s:{s:s}}}", "version", "v1", "users", "per_path_configs", "/",
                     "anonymous_permissions", "read");
}

static int load(struct tf_site_document *document, const struct tf_limits *limits, struct tf_error *error)
{
    struct tf_buffer bytes;
    tf_buffer_init(&bytes, limits->config_bytes);
    int const result = tf_file_read(document->folder_fd, TF_KBP_CONFIG_NAME, &bytes, error);
    if (result == TF_ERR_NOT_FOUND) {
        document->is_new = true;
        document->root = make_new();
        tf_buffer_dispose(&bytes);
        return document->root != NULL ? TF_OK : no_memory(error);
    }
    json_error_t why;
    if (result == TF_OK)
        document->root = json_loadb((const char *)bytes.bytes, bytes.length, JSON_REJECT_DUPLICATES, &why);
    tf_buffer_dispose(&bytes);
    if (result != TF_OK)
        return result;
    if (!json_is_object(document->root))
        return tf_error_set(error, TF_ERR_INVALID, TF_KBP_CONFIG_NAME ": line %d: %s",
                            document->root == NULL ? why.line : 1,
                            document->root == NULL ? why.text : "not an object");
    return TF_OK;
}

int tf_site_document_open(const char *root, const char *site, const struct tf_limits *limits,
                          struct tf_site_document *ret_document, struct tf_error *error)
{
    struct tf_site_document document = {.folder_fd = -1};
    if (site[0] == '/' || site[0] == '\0' || strstr(site, "..") != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is no site, as _default or example.com", site);
    int const root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd != -1)
        document.folder_fd = openat(root_fd, site, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int const failure = errno;
    if (root_fd != -1)
        close(root_fd);
    errno = failure;
    if (document.folder_fd == -1)
        return failure == ENOENT ? tf_error_set(error, TF_ERR_NOT_FOUND, "there is no folder %s/%s", root, site)
                                 : tf_error_system(error, "cannot open %s/%s", root, site);
    int const result = load(&document, limits, error);
    if (result != TF_OK) {
        tf_site_document_close(&document);
        return result;
    }
    *ret_document = document;
    return TF_OK;
}

void tf_site_document_close(struct tf_site_document *document)
{
    json_decref(document->root);
    document->root = NULL;
    if (document->folder_fd != -1)
        close(document->folder_fd);
    document->folder_fd = -1;
}

/* Only root can give files away, and only for root it matters: the tenant must go on owning theirs. */
static int write_file(const struct tf_site_document *document, const char *text, struct tf_error *error)
{
    struct stat before;
    bool const was_there = fstatat(document->folder_fd, TF_KBP_CONFIG_NAME, &before, AT_SYMLINK_NOFOLLOW) == 0;
    if (!was_there && fstat(document->folder_fd, &before) != 0)
        return tf_error_system(error, "cannot look at the folder");
    int const result = tf_file_write_atomic(document->folder_fd, TF_KBP_CONFIG_NAME, text, strlen(text),
                                            was_there ? before.st_mode & 0777 : NEW_MODE, error);
    if (result == TF_OK && geteuid() == 0 &&
        fchownat(document->folder_fd, TF_KBP_CONFIG_NAME, before.st_uid, before.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return tf_error_system(error, "cannot give " TF_KBP_CONFIG_NAME " its owner");
    return result;
}

int tf_site_document_save(struct tf_site_document *document, const struct tf_limits *limits, struct tf_error *error)
{
    struct tf_access *rules = NULL;
    struct tf_error why = {0};
    char *const text = json_dumps(document->root, JSON_INDENT(2));
    if (text == NULL)
        return no_memory(error);
    int result;
    if (tf_kbp_config_parse(text, strlen(text), limits, &rules, &why) == TF_ACCESS_RULES)
        result = write_file(document, text, error);
    else
        result = tf_error_set(error, TF_ERR_INVALID, "not written: %s", why.text);
    tf_access_destroy(&rules);
    free(text);
    return result;
}

/* ---- its parts ---- */

static json_t *object_at(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value)) {
        if (json_object_set_new(object, key, json_object()) != 0)
            return NULL;
        value = json_object_get(object, key);
    }
    return json_is_object(value) ? value : NULL;
}

json_t *tf_site_document_users(struct tf_site_document *document)
{
    return object_at(document->root, "users");
}

json_t *tf_site_document_paths(struct tf_site_document *document)
{
    const json_t *const old = json_object_get(document->root, "acls");
    return object_at(document->root, old != NULL && !json_is_null(old) ? "acls" : "per_path_configs");
}

json_t *tf_site_document_path(struct tf_site_document *document, const char *path, const char **ret_key)
{
    char wanted[TF_ACCESS_PATH_BYTES], found[TF_ACCESS_PATH_BYTES];
    json_t *const paths = tf_site_document_paths(document);
    const char *key;
    json_t *value;
    if (!tf_kbp_path_clean(path, wanted))
        return NULL;
    json_object_foreach(paths, key, value)
    {
        if (tf_kbp_path_clean(key, found) && strcmp(wanted, found) == 0) {
            *ret_key = key;
            return value;
        }
    }
    return NULL;
}

/* ---- passwords ---- */

static int hash_sha256(const char *password, char *ret_hash, struct tf_error *error)
{
    enum { SALT_BYTES = 12 };
    uint8_t salted[SALT_BYTES + TF_ACCESS_PASSWORD_BYTES], digest[TF_HASH_BYTES];
    size_t const length = strlen(password);
    if (getrandom(salted, SALT_BYTES, 0) != SALT_BYTES)
        return tf_error_system(error, "cannot get random bytes");
    memcpy(ret_hash, "sha256:", 7);
    for (size_t i = 0; i < SALT_BYTES; i++)
        snprintf(ret_hash + 7 + 2 * i, 3, "%02x", salted[i]);
    memcpy(salted + SALT_BYTES, password, length);
    tf_hash_bytes(salted, SALT_BYTES + length, digest);
    explicit_bzero(salted, sizeof(salted));
    ret_hash[31] = ':';
    tf_hash_hex(digest, ret_hash + 32);
    return TF_OK;
}

int tf_site_password_hash(const char *password, unsigned cost, char *ret_hash, struct tf_error *error)
{
    if (strlen(password) >= TF_ACCESS_PASSWORD_BYTES)
        return tf_error_set(error, TF_ERR_USAGE, "the password is longer than %u bytes", TF_ACCESS_PASSWORD_BYTES - 1);
    if (cost == 0)
        return hash_sha256(password, ret_hash, error);
    struct crypt_data *const room = calloc(1, sizeof(*room));
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *hash = NULL;
    if (room != NULL && crypt_gensalt_rn("$2b$", cost, NULL, 0, salt, sizeof(salt)) != NULL)
        hash = crypt_r(password, salt, room);
    bool const is_good = hash != NULL && strlen(hash) < TF_ACCESS_HASH_BYTES && hash[0] != '*';
    if (is_good)
        memcpy(ret_hash, hash, strlen(hash) + 1);
    if (room != NULL)
        explicit_bzero(room, sizeof(*room));
    free(room);
    return is_good ? TF_OK : tf_error_set(error, TF_ERR_USAGE, "bcrypt does not take the cost %u", cost);
}

static int read_line(char *ret_text, size_t size, struct tf_error *error)
{
    size_t used = 0;
    char c;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
        if (used + 1 == size || c == '\0')
            return tf_error_set(error, TF_ERR_USAGE, "the password is too long, or has a NUL in it");
        ret_text[used++] = c;
    }
    if (got < 0)
        return tf_error_system(error, "cannot read the password");
    ret_text[used] = '\0';
    return TF_OK;
}

static int ask(const char *prompt, char *ret_text, size_t size, struct tf_error *error)
{
    struct termios before, unseen;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return tf_error_system(error, "cannot ask for a password");
    unseen = before;
    unseen.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen) != 0)
        return tf_error_system(error, "cannot hide a password");
    fputs(prompt, stderr); /* now: what was typed before is thrown away */
    int const result = read_line(ret_text, size, error);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    fputc('\n', stderr);
    return result;
}

int tf_site_password_read(char *ret_password, size_t size, struct tf_error *error)
{
    if (!isatty(STDIN_FILENO))
        return read_line(ret_password, size, error);
    char again[TF_ACCESS_PASSWORD_BYTES];
    int result = ask("Password: ", ret_password, size, error);
    if (result == TF_OK)
        result = ask("Once more: ", again, sizeof(again), error);
    if (result == TF_OK && strcmp(ret_password, again) != 0)
        result = tf_error_set(error, TF_ERR_USAGE, "the two are not the same");
    explicit_bzero(again, sizeof(again));
    return result;
}
