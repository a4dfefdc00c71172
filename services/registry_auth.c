/*
 * What a registry wants of who asks: a password (basic), or a token of a token service that it names (bearer).
 *
 * The registry chooses the service, so it could name one of its own making elsewhere to be told the password. It is
 * told to the registry's own host and to the one that the operator named, and nobody else.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "services/registry_http.h"
#include "services/registry_json.h"

#define TOKEN_ANSWER_MOST ((size_t)64 << 10)

void tf_registry_note_challenge(struct tf_registry_exchange *exchange, const char *value, size_t length)
{
    if (length >= 5 && strncasecmp(value, "basic", 5) == 0)
        exchange->wants_basic = true;
    if (length < 7 || length - 7 >= sizeof(exchange->bearer) || strncasecmp(value, "bearer ", 7) != 0)
        return;
    for (size_t i = 7; i < length; i++) {
        if ((unsigned char)value[i] < ' ' || (unsigned char)value[i] >= 0x7f)
            return;
    }
    memcpy(exchange->bearer, value + 7, length - 7);
    exchange->bearer[length - 7] = '\0';
}

bool tf_registry_challenge_get(const char *challenge, const char *name, char *ret_value, size_t value_bytes)
{
    const char *p = challenge;
    while (*p != '\0') {
        p += strspn(p, " ,\t");
        size_t const name_length = strcspn(p, "= ,");
        const char *const its_name = p;
        p += name_length;
        if (*p != '=')
            continue;
        p++;
        bool const is_quoted = *p == '"';
        p += is_quoted;
        size_t used = 0;
        bool fits = true;
        while (*p != '\0' && (is_quoted ? *p != '"' : *p != ',' && *p != ' ')) {
            if (is_quoted && *p == '\\' && p[1] != '\0')
                p++;
            fits = fits && used + 1 < value_bytes;
            if (fits)
                ret_value[used++] = *p;
            p++;
        }
        p += is_quoted && *p == '"';
        if (strlen(name) == name_length && strncasecmp(its_name, name, name_length) == 0) {
            if (fits)
                ret_value[used] = '\0';
            return fits;
        }
    }
    return false;
}

/* Whether user and password may be told to the token service at `place`. */
static bool may_tell(const struct tf_registry *registry, const struct tf_outbound_place *place)
{
    const char *const named = registry->setup->token_host;
    char with_port[sizeof(place->host) + 16];
    /* Never by a way that is less safe than that to the registry. */
    if (!place->is_secure && registry->place.is_secure)
        return false;
    if (strcmp(place->host, registry->place.host) == 0)
        return true;
    snprintf(with_port, sizeof(with_port), "%s:%u", place->host, place->port);
    return strcasecmp(named, place->host) == 0 || strcasecmp(named, with_port) == 0;
}

/* Adds "&name=value" with everything but letters, digits and a few more as %XX. */
static bool add_parameter(struct tf_registry_exchange *exchange, const char *name, const char *value)
{
    size_t length = strlen(exchange->url);
    size_t const room = sizeof(exchange->url) - 4;
    length += (size_t)snprintf(exchange->url + length, sizeof(exchange->url) - length, "%c%s=",
                               strchr(exchange->url, '?') != NULL ? '&' : '?', name);
    for (const char *p = value; *p != '\0' && length < room; p++) {
        bool const is_plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                              strchr("-._~:/,", *p) != NULL;
        length += (size_t)snprintf(exchange->url + length, sizeof(exchange->url) - length, is_plain ? "%c" : "%%%02X",
                                   (unsigned char)*p);
    }
    return length < room;
}

static int get_token(struct tf_registry *registry, const char *challenge, struct tf_error *error)
{
    const struct tf_registry_setup *const setup = registry->setup;
    struct tf_registry_exchange exchange = {.method = "GET", .is_token = true, .body_fd = -1, .into_fd = -1};
    struct tf_outbound_place place;
    char service[256] = "", scope[TF_REGISTRY_REPOSITORY_BYTES + 32];
    const char *why;
    if (!tf_registry_challenge_get(challenge, "realm", exchange.url, sizeof(exchange.url)) ||
        !tf_outbound_read_url(exchange.url, &place, &why) || (!place.is_secure && !setup->is_plain) ||
        strchr(exchange.url, '#') != NULL)
        return tf_error_set(error, TF_ERR_REFUSED, "the registry names no token service that is asked");
    bool const has_password = setup->user[0] != '\0';
    if (has_password && !may_tell(registry, &place))
        return tf_error_set(error, TF_ERR_REFUSED,
                            "the registry wants the password told to %.200s, which is not its own host; if that is "
                            "right, say registry.token_host",
                            place.host);
    /* What is asked for is our own choice, whatever the challenge says. */
    snprintf(scope, sizeof(scope), "repository:%s:%s", setup->place.repository, setup->may_push ? "pull,push" : "pull");
    if ((tf_registry_challenge_get(challenge, "service", service, sizeof(service)) &&
         !add_parameter(&exchange, "service", service)) ||
        !add_parameter(&exchange, "scope", scope))
        return tf_error_set(error, TF_ERR_REFUSED, "the token service's URL is too long");
    struct tf_buffer answer;
    tf_buffer_init(&answer, TOKEN_ANSWER_MOST);
    exchange.into = &answer;
    bool const before = registry->sends_password;
    registry->sends_password = has_password;
    int result = tf_registry_exchange(registry, &exchange, error);
    registry->sends_password = before;
    if (result == 0 && exchange.status != 200)
        result = tf_error_set(error, TF_ERR_REFUSED, "the token service answers %ld", exchange.status);
    if (result == 0)
        result = tf_registry_parse_token((const char *)answer.bytes, answer.length, registry->token, error);
    if (answer.bytes != NULL)
        explicit_bzero(answer.bytes, answer.length);
    tf_buffer_dispose(&answer);
    return result;
}

int tf_registry_authenticate(struct tf_registry *registry, const struct tf_registry_exchange *exchange,
                             struct tf_error *error)
{
    const struct tf_registry_setup *const setup = registry->setup;
    struct tf_outbound_place place;
    const char *why;
    /* Only the registry itself asks who we are, not where it redirects to. */
    if (!tf_outbound_read_url(exchange->url, &place, &why) || strcmp(place.host, registry->place.host) != 0 ||
        place.port != registry->place.port || place.is_secure != registry->place.is_secure)
        return tf_error_set(error, TF_ERR_REFUSED, "where the registry redirects to asks for a password");
    if (setup->token[0] != '\0')
        return tf_error_set(error, TF_ERR_REFUSED, "the registry does not take the token it is given");
    if (exchange->bearer[0] != '\0')
        return get_token(registry, exchange->bearer, error);
    if (!exchange->wants_basic)
        return tf_error_set(error, TF_ERR_REFUSED, "the registry wants another proof than a password or a token");
    if (setup->user[0] == '\0')
        return tf_error_set(error, TF_ERR_REFUSED, "the registry wants a user and a password");
    if (registry->sends_password)
        return tf_error_set(error, TF_ERR_REFUSED, "the registry does not take the user and password");
    registry->sends_password = true;
    return 0;
}
