#include "sites/class.h"

#include <stdio.h>
#include <string.h>

/* In one folder's name; KBFS has the same order of magnitude. */
#define PEOPLE_MAX 64
/* As long as the name of any site may be. */
#define SITE_MOST 253u

static const char *const classes[] = {"private", "public", "team"};
#define CLASS_COUNT (sizeof(classes) / sizeof(classes[0]))

/* Its index, or CLASS_COUNT. */
static size_t class_at(const char *text, size_t length)
{
    size_t i = 0;
    while (i < CLASS_COUNT && (strlen(classes[i]) != length || memcmp(classes[i], text, length) != 0))
        i++;
    return i;
}

bool tf_class_is_folder(const char *name)
{
    return class_at(name, strlen(name)) < CLASS_COUNT;
}

/* A person's or team's name, in lower case. Whatever could be more than one component of a path is none. */
static bool is_word(const char *word, size_t length)
{
    bool const begins_well = length > 0 && ((word[0] >= 'a' && word[0] <= 'z') || (word[0] >= '0' && word[0] <= '9'));
    if (!begins_well || word[length - 1] == '.')
        return false;
    for (size_t i = 1; i < length; i++) {
        char const c = word[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && strchr("_.@+-", c) == NULL)
            return false;
    }
    return true;
}

struct people {
    struct {
        const char *name;
        size_t length;
    } all[PEOPLE_MAX];
    size_t count;
};

static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int const order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

/* Keeps them sorted. False: too many. A second one of the same name is passed over. */
static bool add_person(struct people *people, const char *name, size_t length)
{
    size_t at = 0;
    while (at < people->count && compare(people->all[at].name, people->all[at].length, name, length) < 0)
        at++;
    if (at < people->count && compare(people->all[at].name, people->all[at].length, name, length) == 0)
        return true;
    if (people->count == PEOPLE_MAX)
        return false;
    memmove(&people->all[at + 1], &people->all[at], (people->count - at) * sizeof(people->all[0]));
    people->all[at].name = name;
    people->all[at].length = length;
    people->count++;
    return true;
}

static bool has_person(const struct people *people, const char *name, size_t length)
{
    for (size_t i = 0; i < people->count; i++) {
        if (compare(people->all[i].name, people->all[i].length, name, length) == 0)
            return true;
    }
    return false;
}

/* `list` up to `end`: names between commas. Those that `others` has are left out. */
static bool read_people(const char *list, const char *end, const struct people *others, struct people *ret_people)
{
    ret_people->count = 0;
    for (;;) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        size_t const length = (size_t)((comma != NULL ? comma : end) - list);
        if (!is_word(list, length))
            return false;
        if ((others == NULL || !has_person(others, list, length)) && !add_person(ret_people, list, length))
            return false;
        if (comma == NULL)
            return true;
        list = comma + 1;
    }
}

static char *write_people(char *at, const struct people *people)
{
    for (size_t i = 0; i < people->count; i++) {
        if (i > 0)
            *at++ = ',';
        memcpy(at, people->all[i].name, people->all[i].length);
        at += people->all[i].length;
    }
    return at;
}

/* `name` is in lower case; what is written is no longer than that. */
static bool write_canonical(size_t class, const char *name, char *at)
{
    const char *const end = name + strlen(name), *const hash = strchr(name, '#');
    struct people writers, readers = {.count = 0};
    if (strcmp(classes[class], "team") == 0) {
        if (!is_word(name, (size_t)(end - name)))
            return false;
        memcpy(at, name, (size_t)(end - name) + 1);
        return true;
    }
    if (hash != NULL && strcmp(classes[class], "public") == 0)
        return false; /* everybody reads it */
    if (!read_people(name, hash != NULL ? hash : end, NULL, &writers) ||
        (hash != NULL && !read_people(hash + 1, end, &writers, &readers)))
        return false;
    at = write_people(at, &writers);
    if (readers.count > 0) {
        *at++ = '#';
        at = write_people(at, &readers);
    }
    *at = '\0';
    return true;
}

bool tf_class_canonical(const char *site, char ret_canonical[TF_SITE_NAME_BYTES])
{
    const char *const colon = strchr(site, ':');
    size_t const class = colon != NULL ? class_at(site, (size_t)(colon - site)) : CLASS_COUNT;
    size_t const length = strlen(site);
    char lower[TF_SITE_NAME_BYTES];
    if (class == CLASS_COUNT || length > SITE_MOST)
        return false;
    for (size_t i = 0; i <= length; i++)
        lower[i] = site[i] >= 'A' && site[i] <= 'Z' ? (char)(site[i] - 'A' + 'a') : site[i];
    size_t const before = (size_t)(colon - site) + 1;
    char canonical[TF_SITE_NAME_BYTES];
    memcpy(canonical, lower, before);
    if (!write_canonical(class, lower + before, canonical + before))
        return false;
    memcpy(ret_canonical, canonical, strlen(canonical) + 1);
    return true;
}

bool tf_class_is_site(const char *site)
{
    char canonical[TF_SITE_NAME_BYTES];
    return tf_class_canonical(site, canonical);
}

bool tf_class_site(const char *class, const char *name, char ret_site[TF_SITE_NAME_BYTES])
{
    char site[TF_SITE_NAME_BYTES];
    int const length = snprintf(site, sizeof(site), "%s:%s", class, name);
    if (length <= 0 || (size_t)length >= sizeof(site) || !tf_class_is_site(site))
        return false;
    memcpy(ret_site, site, (size_t)length + 1);
    return true;
}

void tf_class_folder_of(const char *site, char ret_folder[TF_SITE_NAME_BYTES])
{
    size_t const length = strnlen(site, TF_SITE_NAME_BYTES - 1);
    memcpy(ret_folder, site, length);
    ret_folder[length] = '\0';
    char *const colon = strchr(ret_folder, ':');
    /* An IPv6 address is a site too, and has colons. */
    if (colon != NULL && class_at(ret_folder, (size_t)(colon - ret_folder)) < CLASS_COUNT)
        *colon = '/';
}
