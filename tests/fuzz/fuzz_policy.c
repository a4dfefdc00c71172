/*
 * Any bytes as what says whom a cache trusts: its policy (p), words to be added to one (a), its own key (k). Held: a
 * policy means what a second, slower reading of its lines says; one that is refused lets nobody in; a line that was
 * added counts, and takes no other line with it.
 */
#include "compose.h"

#define REVOKED_MOST 4096

/* The second reading: every 64 digits behind a word at the beginning of a line. */
struct lines {
    char keys[256][TF_HASH_HEX_BYTES], revoked_keys[256][TF_HASH_HEX_BYTES], revoked[REVOKED_MOST][TF_HASH_HEX_BYTES];
    size_t key_count, revoked_key_count, revoked_count, toolchain_count;
};

static size_t take(const char *line, const char *end, const char *word, char (*list)[TF_HASH_HEX_BYTES], size_t count)
{
    size_t const length = strlen(word);
    if ((size_t)(end - line) < length + TF_HASH_HEX_BYTES - 1 || memcmp(line, word, length) != 0)
        return count;
    fuzz_require(count < REVOKED_MOST, "more lines than were read");
    memcpy(list[count], line + length, TF_HASH_HEX_BYTES - 1);
    list[count][TF_HASH_HEX_BYTES - 1] = '\0';
    return count + 1;
}

static void read_lines(const char *text, size_t length, struct lines *lines)
{
    memset(lines, 0, sizeof(*lines));
    for (const char *line = text, *const all = text + length; line < all;) {
        const char *end = memchr(line, '\n', (size_t)(all - line));
        end = end == NULL ? all : end;
        lines->key_count = take(line, end, "trust ", lines->keys, lines->key_count);
        lines->revoked_key_count = take(line, end, "revoke-key ", lines->revoked_keys, lines->revoked_key_count);
        lines->revoked_count = take(line, end, "revoke ", lines->revoked, lines->revoked_count);
        lines->toolchain_count += end - line > 10 && memcmp(line, "toolchain ", 10) == 0;
        line = end + 1;
    }
}

static bool has(char (*list)[TF_HASH_HEX_BYTES], size_t count, const char *hex)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], hex) == 0)
            return true;
    }
    return false;
}

static void compare_lines(const char *text, size_t length, const struct tf_policy *policy)
{
    static struct lines lines;
    size_t trusted = 0;
    read_lines(text, length, &lines);
    for (size_t i = 0; i < lines.key_count; i++)
        trusted += !has(lines.revoked_keys, lines.revoked_key_count, lines.keys[i]);
    fuzz_require(policy->key_count == trusted, "other keys than its lines say");
    for (size_t i = 0; i < policy->key_count; i++) {
        char hex[TF_HASH_HEX_BYTES];
        tf_hash_hex(policy->keys[i], hex);
        fuzz_require(has(lines.keys, lines.key_count, hex) &&
                         !has(lines.revoked_keys, lines.revoked_key_count, hex) &&
                         tf_policy_has_key(policy, policy->keys[i]),
                     "a key that is not trusted");
    }
    fuzz_require(policy->revoked_count == lines.revoked_count, "other hashes than its lines say");
    for (size_t i = 0; i < lines.revoked_count; i++)
        fuzz_require(tf_policy_revokes(policy, lines.revoked[i]), "a hash that is not revoked");
    fuzz_require(!tf_policy_revokes(policy, "") && !tf_policy_revokes(policy, "none"), "what is no hash is revoked");
    fuzz_require(policy->toolchain_count <= lines.toolchain_count, "toolchains of no line");
    fuzz_require(policy->toolchain_count > 0 || tf_policy_wants_toolchain(policy, "any"), "a toolchain is refused");
}

static void policy(const char *text, size_t length)
{
    struct tf_policy found = {0};
    struct tf_error error = {0};
    int const result = tf_policy_parse(text, length, &found, &error);
    if (result == 0)
        compare_lines(text, length, &found);
    else
        fuzz_require(error.code == result && strncmp(error.text, "line ", 5) == 0 && found.keys == NULL,
                     "a refusal without a line");
    tf_policy_dispose(&found);
}

/* ---- on disk ---- */

static void open_trust(struct tf_trust **ret_trust, char ret_folder[128])
{
    snprintf(ret_folder, 128, "%s/trust", world.folder);
    fuzz_require(tf_trust_open(ret_folder, true, ret_trust, NULL) == 0, "cannot open");
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t length, unsigned mode)
{
    char path[192];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int const fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    fuzz_require(fd >= 0 && write(fd, bytes, length) == (ssize_t)length, "no file");
    close(fd);
}

/* A policy and a signature of a key that no line can name: nothing lets it in. */
static void stranger(const char *folder, const char *text, size_t length)
{
    static const uint8_t digest[TF_HASH_BYTES] = {7};
    struct tf_signature signature;
    struct tf_trust *trust = NULL;
    char unused[128], hex[TF_TRUST_HEX_BYTES];
    static struct lines lines;
    write_file(folder, "public/policy", text, length, 0644);
    open_trust(&trust, unused);
    recipe_sign(world.stranger, TF_SIGNED_SOURCE, digest, &signature);
    tf_hash_hex(signature.key, hex);
    read_lines(text, length, &lines);
    if (!has(lines.keys, lines.key_count, hex))
        fuzz_require(tf_trust_check(trust, TF_SIGNED_SOURCE, digest, &signature, NULL) == TF_ERR_TRUST,
                     "a stranger is let in");
    tf_trust_close(&trust);
}

static void added(const char *folder, const char *bytes, size_t length)
{
    static const enum tf_trust_line kinds[] = {TF_TRUST_KEY, TF_TRUST_REVOKE_KEY, TF_TRUST_REVOKE, TF_TRUST_TOOLCHAIN};
    static const char before[] = "revoke 1111111111111111111111111111111111111111111111111111111111111111\n";
    struct tf_trust *trust = NULL;
    char unused[128];
    struct tf_buffer text;
    struct tf_policy policy = {0};
    write_file(folder, "public/policy", before, sizeof(before) - 1, 0644);
    open_trust(&trust, unused);
    size_t const words_bytes = length - 1 - (length > 1 && bytes[length - 1] == '\n'); /* files of a corpus end so */
    char *const words = strndup(bytes + 1, words_bytes);
    int const result = tf_trust_add(trust, kinds[(uint8_t)bytes[0] % 4], words, NULL);
    tf_trust_close(&trust);
    free(words);
    fuzz_require(result == 0 || result == TF_ERR_USAGE, "an odd refusal of a line");
    int const fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tf_buffer_init(&text, TF_POLICY_MOST_BYTES);
    fuzz_require(tf_file_read(fd, "public/policy", &text, NULL) == 0 &&
                     tf_policy_parse((const char *)text.bytes, text.length, &policy, NULL) == 0,
                 "a line was added that is none");
    size_t const more = policy.key_count + policy.revoked_count + policy.toolchain_count - 1;
    fuzz_require(tf_policy_revokes(&policy, before + 7) || policy.revoked_count > 0, "a line is gone");
    fuzz_require(result == 0 ? more <= 1 : more == 0 && text.length == sizeof(before) - 1, "more than one line");
    tf_policy_dispose(&policy);
    tf_buffer_dispose(&text);
    close(fd);
}

static void own_key(const char *folder, const char *bytes, size_t length)
{
    struct tf_trust *trust = NULL;
    char unused[128], hex[TF_TRUST_HEX_BYTES];
    struct tf_error error = {0};
    write_file(folder, "private/builder.key", bytes, length, 0600);
    open_trust(&trust, unused);
    int const result = tf_trust_own_key(trust, hex, &error);
    fuzz_require(result == 0 ? length == TF_TRUST_HEX_BYTES && tf_hash_is_hex(hex)
                             : error.code == result && error.text[0] != '\0' && result != TF_ERR_SYSTEM,
                 "another key");
    tf_trust_close(&trust);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct tf_trust *trust = NULL;
    char folder[128];
    if (length < 2)
        return 0;
    world_enter();
    open_trust(&trust, folder);
    tf_trust_close(&trust);
    char *const rest = (char *)fuzz_copy(bytes + 1, length - 1);
    if (bytes[0] == 'a') {
        added(folder, rest, length - 1);
    } else if (bytes[0] == 'k') {
        own_key(folder, rest, length - 1);
    } else {
        policy(rest, length - 1);
        stranger(folder, rest, length - 1);
    }
    free(rest);
    tf_file_remove_tree(AT_FDCWD, folder, NULL);
    return 0;
}
