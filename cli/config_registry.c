/* The configuration's section `registry`, and the credentials that it names. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/config.h"
#include "services/registry.h"

#define AUTH_FILE_MOST ((size_t)1 << 20)
#define CONNECT_MS 10000
#define STALL_S 30
#define TRIES 4

int tf_config_check_registry(const char *value, struct tf_error *error)
{
    struct tf_registry_place place;
    const char *why;
    if (tf_registry_read_place(value, &place, &why))
        return TF_OK;
    return tf_error_set(error, TF_ERR_USAGE, "'%.100s' is no oci://HOST/NAME: %s", value, why);
}

/* ---- credentials ---- */

static bool copy(const char *from, char *ret_text, size_t bytes)
{
    if (from == NULL || strlen(from) >= bytes)
        return false;
    for (const char *p = from; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    }
    memcpy(ret_text, from, strlen(from) + 1);
    return true;
}

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* base64 of "user:password". */
static bool decode(const char *text, struct tf_registry_setup *setup)
{
    char plain[sizeof(setup->user) + sizeof(setup->password)];
    size_t length = 0;
    uint32_t bits = 0, count = 0;
    for (; *text != '\0' && *text != '='; text++) {
        int const digit = digit_of(*text);
        if (digit < 0 || length + 1 >= sizeof(plain))
            return false;
        bits = bits << 6 | (uint32_t)digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            plain[length++] = (char)(bits >> count);
        }
    }
    plain[length] = '\0';
    char *const colon = memchr(plain, ':', length);
    bool is_good = colon != NULL && strlen(plain) == length && text[strspn(text, "=")] == '\0';
    if (is_good) {
        *colon = '\0';
        is_good = copy(plain, setup->user, sizeof(setup->user)) &&
                  copy(colon + 1, setup->password, sizeof(setup->password));
    }
    explicit_bzero(plain, sizeof(plain));
    return is_good;
}

static bool take_entry(const json_t *entry, struct tf_registry_setup *setup)
{
    const char *const token = json_string_value(json_object_get(entry, "registrytoken"));
    const char *const both = json_string_value(json_object_get(entry, "auth"));
    const char *const user = json_string_value(json_object_get(entry, "username"));
    const char *const password = json_string_value(json_object_get(entry, "password"));
    if (token != NULL)
        return copy(token, setup->token, sizeof(setup->token));
    if (user != NULL && password != NULL)
        return copy(user, setup->user, sizeof(setup->user)) &&
               copy(password, setup->password, sizeof(setup->password));
    return both != NULL && decode(both, setup);
}

static int read_secret_file(const char *path, struct tf_buffer *bytes, struct tf_error *error)
{
    struct stat status;
    int const fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return tf_error_system(error, "cannot read registry.auth_file, %s", path);
    int result = TF_OK;
    if (fstat(fd, &status) != 0 || (status.st_mode & S_IRWXO) != 0)
        result = tf_error_set(error, TF_ERR_USAGE,
                              "%s: everybody on this machine may read the password; chmod o= %s", path, path);
    else
        result = tf_file_read_fd(fd, bytes, error);
    close(fd);
    return result;
}

static int read_auth_file(const char *path, struct tf_registry_setup *setup, struct tf_error *error)
{
    struct tf_buffer bytes;
    tf_buffer_init(&bytes, AUTH_FILE_MOST);
    int result = read_secret_file(path, &bytes, error);
    json_t *const document =
        result == TF_OK ? json_loadb((const char *)bytes.bytes, bytes.length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *const entry = json_object_get(json_object_get(document, "auths"), setup->place.host);
    if (result == TF_OK && !json_is_object(document))
        result = tf_error_set(error, TF_ERR_USAGE, "%s: no JSON of the form {\"auths\": {\"HOST\": …}}", path);
    /* A file that has nothing for this registry says that it wants no password. */
    if (result == TF_OK && entry != NULL && !take_entry(entry, setup))
        result = tf_error_set(error, TF_ERR_USAGE,
                              "%s: of %s neither auth, nor username and password, nor registrytoken can be used", path,
                              setup->place.host);
    json_decref(document);
    if (bytes.bytes != NULL)
        explicit_bzero(bytes.bytes, bytes.length);
    tf_buffer_dispose(&bytes);
    return result;
}

static int read_environment(struct tf_registry_setup *setup, struct tf_error *error)
{
    const char *const user = getenv("TERRAFIRMA_REGISTRY_USER"), *const token = getenv("TERRAFIRMA_REGISTRY_TOKEN");
    const char *const password = getenv("TERRAFIRMA_REGISTRY_PASSWORD");
    bool is_good = token == NULL || copy(token, setup->token, sizeof(setup->token));
    if (user != NULL || password != NULL)
        is_good = is_good && copy(user, setup->user, sizeof(setup->user)) &&
                  copy(password, setup->password, sizeof(setup->password));
    return is_good ? TF_OK
                   : tf_error_set(error, TF_ERR_USAGE, "TERRAFIRMA_REGISTRY_USER and _PASSWORD belong together, and "
                                                       "have no control characters");
}

int tf_config_registry_setup(const struct tf_config *config, const char *address, bool may_push, bool from_environment,
                             struct tf_registry_setup *ret_setup, struct tf_error *error)
{
    const struct tf_config_registry *const registry = &config->registry;
    struct tf_registry_setup setup = {.is_plain = registry->plain_http != 0,
                                      .may_push = may_push,
                                      .connect_ms = CONNECT_MS,
                                      .stall_s = STALL_S,
                                      .tries = TRIES,
                                      .blob_most = registry->blob_bytes};
    const char *const user = geteuid() == 0 ? tf_config_outbound_user(config) : NULL;
    const char *why;
    if (!tf_registry_read_place(address, &setup.place, &why))
        return tf_error_set(error, TF_ERR_USAGE, "'%.100s' is no oci://HOST/NAME: %s", address, why);
    if ((registry->token_host != NULL && !copy(registry->token_host, setup.token_host, sizeof(setup.token_host))) ||
        (registry->ca_file != NULL && !copy(registry->ca_file, setup.ca_file, sizeof(setup.ca_file))) ||
        (user != NULL && !copy(user, setup.run_as, sizeof(setup.run_as))))
        return tf_error_set(error, TF_ERR_USAGE, "registry.token_host or registry.ca_file is too long");
    int result = registry->auth_file != NULL ? read_auth_file(registry->auth_file, &setup, error) : TF_OK;
    if (result == TF_OK && from_environment)
        result = read_environment(&setup, error);
    bool const has_secret = setup.user[0] != '\0' || setup.token[0] != '\0';
    if (result == TF_OK && setup.is_plain && has_secret && !tf_registry_is_loopback(setup.place.host))
        result = tf_error_set(error, TF_ERR_USAGE, "a password is not told to %s without encryption", setup.place.host);
    if (result == TF_OK)
        *ret_setup = setup;
    explicit_bzero(&setup, sizeof(setup));
    return result;
}
