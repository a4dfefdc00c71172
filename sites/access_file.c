/* Rules as lines of a route table. What is read is judged as if a stranger had written it. */
#include <stdlib.h>
#include <string.h>

#include "sites/access_internal.h"
#include "sites/lines.h"

#define ARENA_FIRST_BYTES 4096u
#define ARENA_MOST_BYTES ((size_t)256 << 20)

static const char *const state_names[] = {
    [TF_ACCESS_RULES] = "rules",
    [TF_ACCESS_PENDING] = "pending",
    [TF_ACCESS_INVALID] = "invalid",
    [TF_ACCESS_BROKEN] = "broken",
};
#define STATE_COUNT (sizeof(state_names) / sizeof(state_names[0]))

const char *tf_access_state_name(enum tf_access_state state)
{
    return (size_t)state < STATE_COUNT ? state_names[state] : "unknown";
}

struct tf_access_made *tf_access_make(size_t user_count, size_t rule_count)
{
    struct tf_access_made *const made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    tf_arena_init(&made->arena, ARENA_FIRST_BYTES, ARENA_MOST_BYTES);
    made->users = tf_arena_allocate(&made->arena, user_count * sizeof(made->users[0]));
    made->rules = tf_arena_allocate(&made->arena, rule_count * sizeof(made->rules[0]));
    if (made->users == NULL || made->rules == NULL) {
        struct tf_access *access = &made->access;
        tf_access_destroy(&access);
        return NULL;
    }
    made->access.users = made->users;
    made->access.rules = made->rules;
    return made;
}

void tf_access_destroy(struct tf_access **access)
{
    struct tf_access_made *const made = (struct tf_access_made *)*access;
    *access = NULL;
    if (made == NULL)
        return;
    tf_arena_dispose(&made->arena);
    free(made);
}

/* ---- writing ---- */

/* A page always has a slash before it, so that "-" is never one. */
static void write_page(struct tf_buffer *text, const char *page)
{
    if (page == NULL) {
        tf_buffer_append_text(text, " -");
        return;
    }
    tf_buffer_append_text(text, " /");
    tf_line_encode(text, page);
}

void tf_access_write(const struct tf_access *access, struct tf_buffer *text)
{
    tf_buffer_printf(text, "access %s %zu %zu\n", state_names[access->state], access->user_count, access->rule_count);
    for (size_t i = 0; i < access->user_count; i++) {
        tf_buffer_append_text(text, "user ");
        tf_line_encode(text, access->users[i].hash);
        tf_buffer_append_byte(text, ' ');
        tf_line_encode(text, access->users[i].name);
        tf_buffer_append_byte(text, '\n');
    }
    for (size_t i = 0; i < access->rule_count; i++) {
        const struct tf_access_rule *const rule = &access->rules[i];
        tf_buffer_printf(text, "rule %u %u %zu", rule->anonymous, rule->allows_origins, rule->grant_count);
        write_page(text, rule->page_403);
        write_page(text, rule->page_404);
        tf_buffer_append_byte(text, ' ');
        tf_line_encode(text, rule->path);
        tf_buffer_append_byte(text, '\n');
        for (size_t j = 0; j < rule->grant_count; j++)
            tf_buffer_printf(text, "grant %u %u\n", rule->grants[j].user, rule->grants[j].permissions);
    }
}

/* ---- reading ---- */

struct tf_access_reader {
    struct tf_access_made *made;
    size_t user_count, rule_count;  /* that were promised */
    struct tf_access_grant *grants; /* of the last rule */
    size_t grants_left;
};

void tf_access_reader_destroy(struct tf_access_reader **reader)
{
    struct tf_access_reader *const old = *reader;
    *reader = NULL;
    if (old == NULL)
        return;
    struct tf_access *access = old->made != NULL ? &old->made->access : NULL;
    tf_access_destroy(&access);
    free(old);
}

struct tf_access_reader *tf_access_reader_create(char *words)
{
    uint32_t users, rules;
    const char *const state = tf_line_word(&words), *const user_word = tf_line_word(&words);
    if (state == NULL || user_word == NULL || !tf_line_number(user_word, TF_ACCESS_USERS_MOST, &users) ||
        !tf_line_number(words, TF_ACCESS_RULES_MOST, &rules))
        return NULL;
    size_t at = 0;
    while (at < STATE_COUNT && strcmp(state_names[at], state) != 0)
        at++;
    if (at == STATE_COUNT || (at != TF_ACCESS_RULES && (users != 0 || rules != 0)))
        return NULL;
    struct tf_access_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return NULL;
    reader->user_count = users;
    reader->rule_count = rules;
    reader->made = tf_access_make(users, rules);
    if (reader->made == NULL)
        tf_access_reader_destroy(&reader);
    else
        reader->made->access.state = (enum tf_access_state)at;
    return reader;
}

static bool read_user(struct tf_access_reader *reader, char *rest)
{
    struct tf_access *const access = &reader->made->access;
    char *const hash = tf_line_word(&rest);
    size_t hash_length, name_length;
    uint32_t cost = 0;
    if (hash == NULL || access->user_count == reader->user_count || access->rule_count > 0 ||
        !tf_line_decode(hash, &hash_length) || !tf_line_decode(rest, &name_length) ||
        name_length >= TF_ACCESS_NAME_BYTES || tf_access_hash_kind(hash, &cost) == TF_ACCESS_HASH_NONE)
        return false;
    if (access->user_count > 0 && strcmp(access->users[access->user_count - 1].name, rest) >= 0)
        return false;
    struct tf_access_user *const user = &reader->made->users[access->user_count];
    user->hash = tf_arena_copy(&reader->made->arena, hash, hash_length);
    user->name = tf_arena_copy(&reader->made->arena, rest, name_length);
    if (user->hash == NULL || user->name == NULL)
        return false;
    access->bcrypt_cost = cost > access->bcrypt_cost ? cost : access->bcrypt_cost;
    access->user_count++;
    return true;
}

/* Relative, no empty segment, no dots. */
static bool is_clean(const char *path, size_t length)
{
    if (length >= TF_ACCESS_PATH_BYTES)
        return false;
    size_t start = 0;
    for (size_t i = 0; length > 0 && i <= length; i++) {
        if (i < length && path[i] != '/')
            continue;
        size_t const segment = i - start;
        if (segment == 0 || (segment == 1 && path[start] == '.') ||
            (segment == 2 && memcmp(path + start, "..", 2) == 0))
            return false;
        start = i + 1;
    }
    return true;
}

static bool read_page(struct tf_access_reader *reader, char *word, const char **ret_page)
{
    size_t length;
    if (strcmp(word, "-") == 0)
        return true;
    if (word[0] != '/' || !tf_line_decode(word + 1, &length) || length == 0 || !is_clean(word + 1, length))
        return false;
    *ret_page = tf_arena_copy(&reader->made->arena, word + 1, length);
    return *ret_page != NULL;
}

static bool follows(const struct tf_access *access, const char *path, size_t length)
{
    if (access->rule_count == 0)
        return true;
    const struct tf_access_rule *const last = &access->rules[access->rule_count - 1];
    int const order = tf_access_compare_paths(last->path, last->path_length, path, length);
    return order < 0 || (order == 0 && memcmp(last->path, path, length) < 0);
}

static bool read_rule(struct tf_access_reader *reader, char *rest)
{
    struct tf_access *const access = &reader->made->access;
    char *words[5];
    for (size_t i = 0; i < 5; i++) {
        words[i] = tf_line_word(&rest);
        if (words[i] == NULL)
            return false;
    }
    uint32_t anonymous, origins, grants;
    size_t length;
    if (access->user_count != reader->user_count || access->rule_count == reader->rule_count ||
        reader->grants_left > 0 || !tf_line_number(words[0], TF_ACCESS_ALL, &anonymous) ||
        !tf_line_number(words[1], 1, &origins) || !tf_line_number(words[2], (uint32_t)access->user_count, &grants) ||
        !tf_line_decode(rest, &length) || !is_clean(rest, length) || !follows(access, rest, length))
        return false;
    struct tf_access_rule *const rule = &reader->made->rules[access->rule_count];
    *rule = (struct tf_access_rule){
        .path = tf_arena_copy(&reader->made->arena, rest, length),
        .path_length = length,
        .anonymous = (uint8_t)anonymous,
        .allows_origins = origins != 0,
    };
    reader->grants = tf_arena_allocate(&reader->made->arena, grants * sizeof(reader->grants[0]));
    reader->grants_left = grants;
    rule->grants = reader->grants;
    if (rule->path == NULL || reader->grants == NULL || !read_page(reader, words[3], &rule->page_403) ||
        !read_page(reader, words[4], &rule->page_404))
        return false;
    access->rule_count++;
    return true;
}

static bool read_grant(struct tf_access_reader *reader, char *rest)
{
    struct tf_access *const access = &reader->made->access;
    const char *const user_word = tf_line_word(&rest);
    uint32_t user, permissions;
    if (user_word == NULL || reader->grants_left == 0 || !tf_line_number(user_word, TF_ACCESS_USERS_MOST, &user) ||
        user >= access->user_count || !tf_line_number(rest, TF_ACCESS_ALL, &permissions))
        return false;
    struct tf_access_rule *const rule = &reader->made->rules[access->rule_count - 1];
    if (rule->grant_count > 0 && rule->grants[rule->grant_count - 1].user >= user)
        return false;
    reader->grants[rule->grant_count++] = (struct tf_access_grant){user, (uint8_t)permissions};
    reader->grants_left--;
    return true;
}

bool tf_access_reader_line(struct tf_access_reader *reader, char *line)
{
    char *rest = line;
    const char *const word = tf_line_word(&rest);
    if (word == NULL)
        return false;
    if (strcmp(word, "user") == 0)
        return read_user(reader, rest);
    if (strcmp(word, "rule") == 0)
        return read_rule(reader, rest);
    return strcmp(word, "grant") == 0 && read_grant(reader, rest);
}

bool tf_access_reader_finish(struct tf_access_reader **reader, struct tf_access **ret_access)
{
    struct tf_access_reader *const old = *reader;
    struct tf_access *const access = &old->made->access;
    bool const is_whole =
        old->grants_left == 0 && access->user_count == old->user_count && access->rule_count == old->rule_count;
    if (is_whole) {
        *ret_access = access;
        old->made = NULL;
    }
    tf_access_reader_destroy(reader);
    return is_whole;
}
