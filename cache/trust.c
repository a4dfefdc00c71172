/* Keys on disk, and judging by the policy. */
#include "cache/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/signature.h"

#define POLICY_NAME "policy"
#define KEY_NAME "builder.key"
#define POLICY_LINE_MOST 1024
/* The time of a change is told in ticks of the kernel's clock; two changes within one cannot be told apart. */
#define SETTLED_S 2

/* What tells one state of the policy's file from another. */
struct stamp {
    bool is_there;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};

struct tf_trust {
    int folder_fd, public_fd, private_fd; /* -1: not there, or closed to us */
    char *folder;
    pthread_mutex_t lock; /* over all that follows */
    bool was_read, is_settled, has_key;
    struct stamp stamp;
    struct tf_policy policy;
    struct tf_error wrong; /* why nothing is trusted; code 0: nothing is wrong */
    uint64_t version;
    uint8_t private_key[TF_SIGN_KEY_BYTES], public_key[TF_SIGN_KEY_BYTES];
};

/* ---- folders ---- */

static int open_folder(int parent_fd, const char *name)
{
    return openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What root makes belongs to whom the folder around it belongs to: the builder must be able to use it. */
static int give_to_owner_of(int parent_fd, int fd)
{
    struct stat parent;
    if (geteuid() != 0)
        return 0;
    return fstat(parent_fd, &parent) != 0 ? -1 : fchown(fd, parent.st_uid, parent.st_gid);
}

static int make_folder(int parent_fd, const char *name, mode_t mode, int *ret_fd, struct tf_error *error)
{
    bool const is_new = mkdirat(parent_fd, name, mode) == 0;
    if (!is_new && errno != EEXIST)
        return tf_error_system(error, "cannot make the folder %s of the trust folder", name);
    *ret_fd = open_folder(parent_fd, name);
    if (!is_new && *ret_fd < 0 && errno == EACCES)
        return TF_OK; /* somebody else's keys; whoever needs them will be told */
    if (*ret_fd < 0 || (is_new && (fchmod(*ret_fd, mode) != 0 || give_to_owner_of(parent_fd, *ret_fd) != 0)))
        return tf_error_system(error, "cannot use the folder %s of the trust folder", name);
    return TF_OK;
}

static int make_folders(struct tf_trust *trust, struct tf_error *error)
{
    bool const is_new = mkdir(trust->folder, 0755) == 0;
    if (!is_new && errno != EEXIST)
        return tf_error_system(error, "cannot make the trust folder %s", trust->folder);
    trust->folder_fd = open(trust->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int const parent_fd = trust->folder_fd < 0 ? -1 : open_folder(trust->folder_fd, "..");
    bool const is_fine = parent_fd >= 0 && (!is_new || (fchmod(trust->folder_fd, 0755) == 0 &&
                                                        give_to_owner_of(parent_fd, trust->folder_fd) == 0));
    int result = is_fine ? TF_OK : tf_error_system(error, "cannot use the trust folder %s", trust->folder);
    if (parent_fd >= 0)
        close(parent_fd);
    if (result == TF_OK)
        result = make_folder(trust->folder_fd, "public", 0755, &trust->public_fd, error);
    if (result == TF_OK)
        result = make_folder(trust->folder_fd, "private", 0700, &trust->private_fd, error);
    return result;
}

int tf_trust_open(const char *folder, bool make, struct tf_trust **ret_trust, struct tf_error *error)
{
    struct tf_trust *trust = malloc(sizeof(*trust));
    if (trust == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for the trusted keys");
    *trust = (struct tf_trust){.folder_fd = -1, .public_fd = -1, .private_fd = -1, .folder = strdup(folder)};
    pthread_mutex_init(&trust->lock, NULL);
    int result = trust->folder != NULL ? TF_OK : tf_error_set(error, TF_ERR_SYSTEM, "no memory");
    if (result == TF_OK && make) {
        result = make_folders(trust, error);
    } else if (result == TF_OK) {
        trust->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        trust->public_fd = trust->folder_fd < 0 ? -1 : open_folder(trust->folder_fd, "public");
    }
    if (result != TF_OK) {
        tf_trust_close(&trust);
        return result;
    }
    *ret_trust = trust;
    return TF_OK;
}

void tf_trust_close(struct tf_trust **trust_pointer)
{
    struct tf_trust *const trust = *trust_pointer;
    *trust_pointer = NULL;
    if (trust == NULL)
        return;
    int const fds[] = {trust->folder_fd, trust->public_fd, trust->private_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    tf_policy_dispose(&trust->policy);
    tf_sign_forget(trust->private_key, sizeof(trust->private_key));
    pthread_mutex_destroy(&trust->lock);
    free(trust->folder);
    free(trust);
}

/* ---- the policy; all with the lock held ---- */

static struct stamp look(const struct tf_trust *trust)
{
    struct stat status;
    if (trust->public_fd < 0 || fstatat(trust->public_fd, POLICY_NAME, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return (struct stamp){0};
    return (struct stamp){true, status.st_dev, status.st_ino, status.st_size, status.st_ctim};
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return a->is_there == b->is_there && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void read_policy(struct tf_trust *trust)
{
    struct tf_buffer text;
    struct tf_error why = {0};
    tf_policy_dispose(&trust->policy);
    trust->wrong = (struct tf_error){0};
    tf_buffer_init(&text, TF_POLICY_MOST_BYTES);
    int result = trust->public_fd >= 0
                     ? tf_file_read(trust->public_fd, POLICY_NAME, &text, &why)
                     : tf_error_set(&why, TF_ERR_NOT_FOUND, "there is none");
    if (result == TF_OK)
        result = tf_policy_parse((const char *)text.bytes, text.length, &trust->policy, &why);
    if (result != TF_OK)
        tf_error_set(&trust->wrong, TF_ERR_TRUST, "nothing is trusted: %.300s/public/" POLICY_NAME ": %.150s",
                     trust->folder, why.text);
    tf_buffer_dispose(&text);
}

static void refresh(struct tf_trust *trust)
{
    struct stamp const now = look(trust);
    if (trust->was_read && trust->is_settled && is_same(&now, &trust->stamp))
        return;
    bool const changed = !trust->was_read || !is_same(&now, &trust->stamp);
    struct timespec clock = {0};
    clock_gettime(CLOCK_REALTIME, &clock);
    read_policy(trust);
    trust->stamp = now;
    trust->was_read = true;
    trust->is_settled = !now.is_there || clock.tv_sec - now.changed.tv_sec > SETTLED_S;
    if (changed)
        trust->version++;
}

uint64_t tf_trust_version(struct tf_trust *trust)
{
    pthread_mutex_lock(&trust->lock);
    refresh(trust);
    uint64_t const version = trust->version;
    pthread_mutex_unlock(&trust->lock);
    return version;
}

static int append_line(struct tf_trust *trust, const char *line, struct tf_error *error)
{
    struct tf_buffer text;
    struct tf_policy policy;
    struct tf_error why = {0};
    tf_buffer_init(&text, TF_POLICY_MOST_BYTES);
    int result = tf_file_read(trust->public_fd, POLICY_NAME, &text, &why);
    if (result == TF_ERR_NOT_FOUND)
        result = tf_buffer_append_text(&text, "# See docs/caches.md. Edited by hand, or by terrafirma cache trust.\n");
    bool is_there = false;
    for (const char *at = (const char *)text.bytes; result == TF_OK && at != NULL && !is_there;) {
        is_there = strncmp(at, line, strlen(line)) == 0;
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    if (result == TF_OK && !is_there) {
        if (text.length > 0 && text.bytes[text.length - 1] != '\n')
            tf_buffer_append_byte(&text, '\n');
        result = tf_buffer_append_text(&text, line);
        if (result == TF_OK)
            result = tf_policy_parse((const char *)text.bytes, text.length, &policy, &why);
        if (result == TF_OK) {
            tf_policy_dispose(&policy);
            result = tf_file_write_atomic(trust->public_fd, POLICY_NAME, text.bytes, text.length, 0644, &why);
        }
        int const fd = result == TF_OK ? openat(trust->public_fd, POLICY_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (fd >= 0) {
            if (give_to_owner_of(trust->public_fd, fd) != 0)
                result = tf_error_system(&why, "cannot give it to its owner");
            close(fd);
        }
    }
    tf_buffer_dispose(&text);
    return result == TF_OK ? TF_OK
                           : tf_error_set(error, result == TF_ERR_CORRUPT ? TF_ERR_USAGE : result,
                                          "%.300s/public/" POLICY_NAME ": %.150s", trust->folder, why.text);
}

int tf_trust_add(struct tf_trust *trust, enum tf_trust_line kind, const char *words, struct tf_error *error)
{
    static const char *const names[] = {[TF_TRUST_KEY] = "trust",
                                        [TF_TRUST_REVOKE_KEY] = "revoke-key",
                                        [TF_TRUST_REVOKE] = "revoke",
                                        [TF_TRUST_TOOLCHAIN] = "toolchain"};
    char line[POLICY_LINE_MOST];
    if (trust->public_fd < 0)
        return tf_error_set(error, TF_ERR_USAGE, "there is no folder %s/public", trust->folder);
    if (strpbrk(words, "\r\n") != NULL || strlen(words) > POLICY_LINE_MOST - 32)
        return tf_error_set(error, TF_ERR_USAGE, "not a line of a policy");
    snprintf(line, sizeof(line), "%s %s\n", names[kind], words);
    if (flock(trust->folder_fd, LOCK_EX) != 0)
        return tf_error_system(error, "cannot lock %s", trust->folder);
    pthread_mutex_lock(&trust->lock);
    int const result = append_line(trust, line, error);
    trust->is_settled = false;
    pthread_mutex_unlock(&trust->lock);
    flock(trust->folder_fd, LOCK_UN);
    return result;
}

/* ---- the own key; with the lock held ---- */

static int parse_key(struct tf_trust *trust, const struct tf_buffer *text, struct tf_error *error)
{
    char hex[TF_TRUST_HEX_BYTES];
    bool good = text->length == TF_TRUST_HEX_BYTES && text->bytes[TF_TRUST_HEX_BYTES - 1] == '\n';
    if (good) {
        memcpy(hex, text->bytes, TF_TRUST_HEX_BYTES - 1);
        hex[TF_TRUST_HEX_BYTES - 1] = '\0';
        good = tf_hash_is_hex(hex);
    }
    for (size_t i = 0; good && i < TF_SIGN_KEY_BYTES; i++) {
        unsigned byte = 0;
        good = sscanf(hex + 2 * i, "%2x", &byte) == 1;
        trust->private_key[i] = (uint8_t)byte;
    }
    tf_sign_forget(hex, sizeof(hex));
    if (!good)
        return tf_error_set(error, TF_ERR_CORRUPT, "%s/private/" KEY_NAME " is not a key", trust->folder);
    return tf_sign_public(trust->private_key, trust->public_key, error);
}

static int read_key(struct tf_trust *trust, struct tf_error *error)
{
    struct tf_buffer text;
    struct tf_error why = {0};
    tf_buffer_init(&text, TF_TRUST_HEX_BYTES);
    int result = tf_file_read(trust->private_fd, KEY_NAME, &text, &why);
    if (result == TF_OK) {
        result = parse_key(trust, &text, error);
    } else if (result != TF_ERR_NOT_FOUND) {
        tf_error_set(error, result, "cannot read the signing key in %s/private: %s", trust->folder, why.text);
    }
    if (text.bytes != NULL)
        tf_sign_forget(text.bytes, text.length);
    tf_buffer_dispose(&text);
    return result;
}

/* The policy first: killed in between, a key is trusted that nobody has. */
static int make_key(struct tf_trust *trust, struct tf_error *error)
{
    char hex[TF_TRUST_HEX_BYTES], line[128];
    int result = tf_sign_generate(trust->private_key, trust->public_key, error);
    if (result != TF_OK)
        return result;
    tf_hash_hex(trust->public_key, hex);
    snprintf(line, sizeof(line), "trust %s own\n", hex);
    result = append_line(trust, line, error);
    tf_hash_hex(trust->private_key, hex);
    hex[TF_TRUST_HEX_BYTES - 1] = '\n';
    if (result == TF_OK)
        result = tf_file_write_atomic(trust->private_fd, KEY_NAME, hex, sizeof(hex), 0600, error);
    tf_sign_forget(hex, sizeof(hex));
    int const fd = result == TF_OK ? openat(trust->private_fd, KEY_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (give_to_owner_of(trust->private_fd, fd) != 0)
            result = tf_error_system(error, "cannot give the signing key to the builder");
        close(fd);
    }
    return result;
}

static int load_key(struct tf_trust *trust, struct tf_error *error)
{
    if (trust->has_key)
        return TF_OK;
    if (trust->private_fd < 0) {
        errno = EACCES;
        return tf_error_system(error, "cannot use the signing key in %s/private", trust->folder);
    }
    if (flock(trust->folder_fd, LOCK_EX) != 0)
        return tf_error_system(error, "cannot lock %s", trust->folder);
    int result = read_key(trust, error);
    if (result == TF_ERR_NOT_FOUND)
        result = make_key(trust, error);
    flock(trust->folder_fd, LOCK_UN);
    trust->is_settled = false;
    trust->has_key = result == TF_OK;
    return result;
}

int tf_trust_own_key(struct tf_trust *trust, char ret_hex[TF_TRUST_HEX_BYTES], struct tf_error *error)
{
    pthread_mutex_lock(&trust->lock);
    int const result = load_key(trust, error);
    if (result == TF_OK)
        tf_hash_hex(trust->public_key, ret_hex);
    pthread_mutex_unlock(&trust->lock);
    return result;
}

/* ---- signatures ---- */

#define MESSAGE_BYTES (32 + TF_HASH_BYTES)

static void make_message(enum tf_signed kind, const uint8_t digest[TF_HASH_BYTES], uint8_t ret_message[MESSAGE_BYTES])
{
    static const char kinds[][32] = {[TF_SIGNED_MANIFEST] = "terrafirma manifest 1",
                                     [TF_SIGNED_SOURCE] = "terrafirma source 1"};
    memcpy(ret_message, kinds[kind], 32);
    memcpy(ret_message + 32, digest, TF_HASH_BYTES);
}

int tf_trust_sign(struct tf_trust *trust, enum tf_signed kind, const uint8_t digest[TF_HASH_BYTES],
                  struct tf_signature *ret_signature, struct tf_error *error)
{
    uint8_t message[MESSAGE_BYTES];
    struct tf_signature signature = {.magic = TF_SIGNATURE_MAGIC};
    make_message(kind, digest, message);
    pthread_mutex_lock(&trust->lock);
    int result = load_key(trust, error);
    if (result == TF_OK) {
        memcpy(signature.key, trust->public_key, sizeof(signature.key));
        result = tf_sign_make(trust->private_key, message, sizeof(message), signature.bytes, error);
    }
    pthread_mutex_unlock(&trust->lock);
    if (result == TF_OK)
        *ret_signature = signature;
    return result;
}

int tf_trust_check(struct tf_trust *trust, enum tf_signed kind, const uint8_t digest[TF_HASH_BYTES],
                   const struct tf_signature *signature, struct tf_error *error)
{
    uint8_t message[MESSAGE_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    if (memcmp(signature->magic, TF_SIGNATURE_MAGIC, TF_SIGNATURE_MAGIC_BYTES) != 0)
        return tf_error_set(error, TF_ERR_CORRUPT, "its signature is of another format");
    pthread_mutex_lock(&trust->lock);
    refresh(trust);
    struct tf_error const wrong = trust->wrong;
    bool const is_trusted = wrong.code == 0 && tf_policy_has_key(&trust->policy, signature->key);
    pthread_mutex_unlock(&trust->lock);
    if (wrong.code != 0)
        return tf_error_set(error, TF_ERR_TRUST, "%s", wrong.text);
    if (!is_trusted) {
        tf_hash_hex(signature->key, hex);
        return tf_error_set(error, TF_ERR_TRUST, "signed by %.16s…, which is not trusted here", hex);
    }
    make_message(kind, digest, message);
    if (!tf_sign_verify(signature->key, message, sizeof(message), signature->bytes))
        return tf_error_set(error, TF_ERR_TRUST, "its signature is not of these bytes");
    return TF_OK;
}

int tf_trust_check_artifact(struct tf_trust *trust, const struct tf_manifest *manifest, struct tf_error *error)
{
    pthread_mutex_lock(&trust->lock);
    refresh(trust);
    const struct tf_policy *const policy = &trust->policy;
    int result = TF_OK;
    if (trust->wrong.code != 0)
        result = tf_error_set(error, TF_ERR_TRUST, "%s", trust->wrong.text);
    else if (tf_policy_revokes(policy, manifest->key) || tf_policy_revokes(policy, manifest->object_sha256) ||
             tf_policy_revokes(policy, manifest->image_sha256))
        result = tf_error_set(error, TF_ERR_TRUST, "revoked");
    else if (!tf_policy_wants_toolchain(policy, manifest->toolchain))
        result = tf_error_set(error, TF_ERR_TRUST, "the policy wants no artifact of \"%.100s\"", manifest->toolchain);
    pthread_mutex_unlock(&trust->lock);
    return result;
}
