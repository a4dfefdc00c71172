#include "h2o-handler/tls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "h2o-handler/listener.h"
#include "h2o-handler/tls_parsed.h"
#include "h2o-handler/tls_wait.h"
#include "sites/site.h"
#include "sites/tls_channel.h"
#include "sites/tls_table.h"

#define CIPHERS_TLS12                                                                                                  \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"
#define SESSION_S (24 * 3600)
#define ACME_PROTOCOL "acme-tls/1"
#define WANTS 256u
#define WANT_AGAIN_NS (5 * TF_NS_PER_S)

/* A host that the service was told of. */
struct want {
    uint64_t hash, at_ns;
    bool is_refused; /* the service said that there will be none for now */
};

struct tf_tls {
    struct tf_tls_config config;
    SSL_CTX *context;
    struct tf_tls_table *table; /* NULL: none has come yet */
    struct tf_tls_parsed parsed;
    EVP_CIPHER *ticket_cipher;
    h2o_socket_t *channel;
    struct want wants[WANTS];
    struct tf_tls_waiting waiting;
    /* The client's first message, from when it was read until it was judged, in the same call; OpenSSL's. */
    const uint8_t *hello;
    size_t hello_length;
};

/* ---- hosts that want a certificate ---- */

/* Tells the service of a host that is served, now and then. */
static const struct want *tell_wanted(struct tf_tls *tls, const char *host)
{
    uint8_t message[1 + TF_SITE_NAME_BYTES] = {TF_TLS_WANT};
    size_t const length = strlen(host);
    uint64_t const now_ns = tf_clock_ns(), hash = tf_hash_quick(0, host, length);
    struct want *const want = &tls->wants[(hash ^ hash >> 32) % WANTS];
    if (want->hash == hash && now_ns - want->at_ns < WANT_AGAIN_NS)
        return want;
    *want = (struct want){hash, now_ns, false};
    memcpy(message + 1, host, length);
    tf_tls_channel_send(tls->config.channel_fd, message, 1 + length, -1);
    return want;
}

/* "": of no host, for now. */
static void hear_of_none(struct tf_tls *tls, const char *host)
{
    uint64_t const hash = tf_hash_quick(0, host, strlen(host));
    for (size_t i = 0; i < WANTS; i++) {
        if (host[0] == '\0' || tls->wants[i].hash == hash)
            tls->wants[i].is_refused = true;
    }
    tf_tls_waiting_end(&tls->waiting, host[0] != '\0' ? host : NULL);
}

/* ---- the client's first message ---- */

/* libh2o gives each handshake a BIO of its own, whose data is its socket. */
static struct tf_connection *connection_of(SSL *ssl)
{
    const h2o_socket_t *const socket = BIO_get_data(SSL_get_rbio(ssl));
    return socket->on_close.data;
}

/* RFC 6066: a list of one entry of type 0. False: there is none. */
static bool read_server_name(SSL *ssl, const char **ret_name, size_t *ret_length)
{
    const unsigned char *bytes;
    size_t length;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) || length < 5)
        return false;
    size_t const list = (size_t)bytes[0] << 8 | bytes[1];
    size_t const name = (size_t)bytes[3] << 8 | bytes[4];
    if (list != length - 2 || bytes[2] != TLSEXT_NAMETYPE_host_name || name != length - 5)
        return false;
    *ret_name = (const char *)bytes + 5;
    *ret_length = name;
    return true;
}

/* RFC 8737: the one protocol of such a handshake. */
static bool is_challenge(SSL *ssl)
{
    static const unsigned char wanted[] = "\x00\x0b\x0a" ACME_PROTOCOL;
    const unsigned char *bytes;
    size_t length;
    return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes, &length) &&
           length == sizeof(wanted) - 1 && memcmp(bytes, wanted, length) == 0;
}

/* The host that the handshake is for; false for none. */
static bool find_host(const struct tf_tls *tls, SSL *ssl, char host[TF_SITE_NAME_BYTES])
{
    const char *name;
    size_t length;
    if (!read_server_name(ssl, &name, &length)) {
        if (tls->config.default_host == NULL)
            return false;
        name = tls->config.default_host;
        length = strlen(name);
    }
    return memchr(name, ':', length) == NULL && memchr(name, '[', length) == NULL &&
           tf_site_from_authority(name, length, host);
}

static bool use(struct tf_tls *tls, SSL *ssl, const struct tf_tls_certificate *certificate, const char *host)
{
    uint8_t session[TF_HASH_BYTES];
    const struct tf_tls_pair *const pair = tf_tls_parsed_get(&tls->parsed, certificate);
    tf_hash_bytes(host, strlen(host), session);
    return pair != NULL && SSL_set_session_id_context(ssl, session, sizeof(session)) == 1 &&
           SSL_use_cert_and_key(ssl, pair->leaf, pair->key, pair->chain, 1) == 1;
}

static void on_message(int is_sent, int version, int type, const void *bytes, size_t length, SSL *ssl, void *context)
{
    struct tf_tls *const tls = context;
    (void)version;
    (void)ssl;
    if (!is_sent && type == SSL3_RT_HANDSHAKE && length > 0 && *(const uint8_t *)bytes == SSL3_MT_CLIENT_HELLO) {
        tls->hello = bytes;
        tls->hello_length = length;
    }
}

/* What becomes of a handshake whose host has no certificate. RETRY makes libh2o close its descriptor of the connection
 * without a word. */
static int wait_or_fail(struct tf_tls *tls, const struct tf_connection *connection, const char *host)
{
    bool is_refused = true;
    enum tf_place_owner const owner = tls->config.owner_of(tls->config.context, host);
    if (owner == TF_PLACE_ITS_OWN)
        is_refused = tell_wanted(tls, host)->is_refused;
    else if (owner == TF_PLACE_ASKED)
        is_refused = false;
    return !is_refused && !connection->has_waited &&
                   tf_tls_waiting_add(&tls->waiting, connection, tls->hello, tls->hello_length, host,
                                      owner == TF_PLACE_ASKED)
               ? SSL_CLIENT_HELLO_RETRY
               : SSL_CLIENT_HELLO_ERROR;
}

static int judge_client_hello(SSL *ssl, int *alert, struct tf_tls *tls)
{
    struct tf_connection *const connection = connection_of(ssl);
    struct tf_tls_certificate certificate;
    char host[TF_SITE_NAME_BYTES];
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    if (!find_host(tls, ssl, host))
        return SSL_CLIENT_HELLO_ERROR;
    connection->is_challenge = is_challenge(ssl);
    if (connection->is_challenge) {
        if (tls->table == NULL || !tf_tls_table_find_alpn(tls->table, host, strlen(host), &certificate))
            return SSL_CLIENT_HELLO_ERROR;
    } else if (tls->table == NULL || !tf_tls_table_find(tls->table, host, strlen(host), &certificate)) {
        return wait_or_fail(tls, connection, host);
    }
    char *const name = strdup(host);
    if (name == NULL || !use(tls, ssl, &certificate, host)) {
        free(name);
        ERR_clear_error();
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    free(connection->tls_host);
    connection->tls_host = name;
    connection->ssl = ssl;
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Called before a session is looked for, which OpenSSL's server name callback is not; a second time after a
 * HelloRetryRequest. */
static int on_client_hello(SSL *ssl, int *alert, void *context)
{
    struct tf_tls *const tls = context;
    int const result = judge_client_hello(ssl, alert, tls);
    tls->hello = NULL;
    tls->hello_length = 0;
    /* Of what follows, each record would be told. */
    SSL_set_msg_callback(ssl, NULL);
    return result;
}

static int on_select_protocol(SSL *ssl, const unsigned char **ret_protocol, unsigned char *ret_length,
                              const unsigned char *offered, unsigned length, void *context)
{
    (void)context;
    const char *const wanted = connection_of(ssl)->is_challenge ? ACME_PROTOCOL : "http/1.1";
    size_t const wanted_length = strlen(wanted);
    for (unsigned at = 0; at < length && offered[at] < length - at; at += 1u + offered[at]) {
        if (offered[at] == wanted_length && memcmp(offered + at + 1, wanted, wanted_length) == 0) {
            *ret_protocol = offered + at + 1;
            *ret_length = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* libh2o closes a connection whose handshake failed without sending what OpenSSL has to say about it. Until the first
 * message is answered an alert is in the clear and nothing else was sent, so it can be sent from here. */
static void on_info(const SSL *ssl, int where, int value)
{
    if (where != SSL_CB_WRITE_ALERT || SSL_get_state(ssl) != TLS_ST_SR_CLNT_HELLO || value >> 8 != SSL3_AL_FATAL)
        return;
    uint8_t const record[] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, (uint8_t)value};
    const h2o_socket_t *const socket = BIO_get_data(SSL_get_rbio(ssl));
    send(h2o_socket_get_fd((h2o_socket_t *)(uintptr_t)socket), record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- session tickets ---- */

static int set_ticket_keys(const struct tf_tls *tls, const struct tf_tls_ticket_key *key, unsigned char *iv,
                           EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool is_encrypting)
{
    static char digest[] = "SHA256";
    OSSL_PARAM const parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac_key, sizeof(key->mac_key)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    return EVP_CipherInit_ex2(cipher, tls->ticket_cipher, key->cipher_key, iv, is_encrypting, NULL) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int is_encrypting)
{
    const struct tf_tls *const tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (tls->table == NULL)
        return 0;
    const struct tf_tls_ticket_key *const keys = tf_tls_table_ticket_keys(tls->table);
    if (is_encrypting) {
        memcpy(name, keys[0].name, sizeof(keys[0].name));
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(tls->ticket_cipher)) != 1 ||
            !set_ticket_keys(tls, &keys[0], iv, cipher, mac, true))
            return -1;
        return 1;
    }
    for (uint32_t i = 0; i < TF_TLS_TICKET_KEYS; i++) {
        if (CRYPTO_memcmp(name, keys[i].name, sizeof(keys[i].name)) != 0)
            continue;
        if (!set_ticket_keys(tls, &keys[i], iv, cipher, mac, false))
            return -1;
        /* 2: opened, and to be replaced: by a newer key, or because TLS 1.3 uses a ticket once. */
        return i == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
    }
    return 0;
}

void tf_tls_give_ticket(struct tf_connection *connection)
{
    if (connection->ssl != NULL)
        (void)SSL_new_session_ticket(connection->ssl); /* fails where TLS 1.2 has given it by now */
    connection->ssl = NULL;
}

/* ---- the certificate service ---- */

static void say_adopted(struct tf_tls *tls)
{
    uint8_t message[1 + sizeof(uint64_t)] = {TF_TLS_ADOPTED};
    uint64_t const serial = tf_tls_table_serial(tls->table);
    memcpy(message + 1, &serial, sizeof(serial));
    tf_tls_channel_send(tls->config.channel_fd, message, sizeof(message), -1);
}

static bool has_certificate(void *context, const char *host)
{
    return tf_tls_has_certificate(context, host);
}

static void on_channel(h2o_socket_t *socket, const char *failure)
{
    struct tf_tls *const tls = socket->data;
    uint8_t message[TF_TLS_MESSAGE_BYTES + 1];
    bool is_new = false;
    int fd;
    if (failure != NULL)
        return;
    for (size_t got; (got = tf_tls_channel_receive(tls->config.channel_fd, message, TF_TLS_MESSAGE_BYTES, &fd)) > 0;) {
        struct tf_tls_table *table = NULL;
        if (fd != -1 && message[0] == TF_TLS_TABLE && tf_tls_table_map(fd, &table, NULL) == 0) {
            tf_tls_table_unmap(&tls->table);
            tls->table = table;
            is_new = true;
            say_adopted(tls);
        } else if (message[0] == TF_TLS_NONE) {
            message[got] = '\0';
            hear_of_none(tls, (const char *)message + 1);
        }
        if (fd != -1)
            close(fd);
    }
    if (is_new)
        tf_tls_waiting_resume(&tls->waiting, has_certificate, tls);
}

void tf_tls_want(struct tf_tls *tls, const char *host)
{
    if (tls->config.owner_of(tls->config.context, host) == TF_PLACE_ITS_OWN)
        (void)tell_wanted(tls, host);
}

void tf_tls_domain_known(struct tf_tls *tls, const char *host, bool is_known)
{
    if (!tf_tls_waiting_asks(&tls->waiting, host))
        return;
    if (is_known && tls->config.owner_of(tls->config.context, host) == TF_PLACE_ITS_OWN &&
        !tell_wanted(tls, host)->is_refused)
        tf_tls_waiting_is_known(&tls->waiting, host);
    else
        tf_tls_waiting_end(&tls->waiting, host);
}

void tf_tls_stop_waiting(struct tf_tls *tls)
{
    tf_tls_waiting_dispose(&tls->waiting);
}

h2o_iovec_t tf_tls_challenge(const struct tf_tls *tls, const char *token, size_t length)
{
    size_t answer_length = 0;
    const char *const answer =
        tls->table != NULL ? tf_tls_table_token(tls->table, token, length, &answer_length) : NULL;
    return h2o_iovec_init(answer, answer_length);
}

bool tf_tls_has_certificate(const struct tf_tls *tls, const char *host)
{
    struct tf_tls_certificate certificate;
    return tls->table != NULL && tf_tls_table_find(tls->table, host, strlen(host), &certificate);
}

/* ---- making ---- */

static int make_context(struct tf_tls *tls, struct tf_error *error)
{
    SSL_CTX *const context = tls->context = SSL_CTX_new(TLS_server_method());
    tls->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (context == NULL || tls->ticket_cipher == NULL ||
        SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, CIPHERS_TLS12) != 1 ||
        SSL_CTX_set_ciphersuites(context, CIPHERS_TLS13) != 1 || SSL_CTX_set1_groups_list(context, GROUPS) != 1)
        return tf_error_set(error, TF_ERR_SYSTEM, "OpenSSL cannot do what TLS needs: %s",
                            ERR_reason_error_string(ERR_peek_last_error()));
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    /* Sessions are the client's to keep, as tickets. In TLS 1.3 they are given by tf_tls_give_ticket. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_timeout(context, SESSION_S);
    SSL_CTX_set_msg_callback(context, on_message);
    SSL_CTX_set_msg_callback_arg(context, tls);
    SSL_CTX_set_client_hello_cb(context, on_client_hello, tls);
    SSL_CTX_set_alpn_select_cb(context, on_select_protocol, tls);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
    SSL_CTX_set_info_callback(context, on_info);
    SSL_CTX_set_app_data(context, tls);
    return 0;
}

int tf_tls_create(const struct tf_tls_config *config, struct tf_tls **ret_tls, struct tf_error *error)
{
    struct tf_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL || !tf_tls_parsed_init(&tls->parsed, config->parsed_max)) {
        free(tls);
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for TLS");
    }
    tls->config = *config;
    int const result = make_context(tls, error);
    if (result != 0)
        tf_tls_destroy(&tls);
    else
        *ret_tls = tls;
    return result;
}

int tf_tls_watch(struct tf_tls *tls, h2o_loop_t *loop, struct tf_error *error)
{
    static const uint8_t hello = TF_TLS_HELLO;
    int const fd = fcntl(tls->config.channel_fd, F_DUPFD_CLOEXEC, 0);
    if (fd == -1)
        return tf_error_system(error, "cannot duplicate the way to the certificate service");
    tls->channel = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    tls->channel->data = tls;
    tf_tls_waiting_init(&tls->waiting, loop, tls->config.wait_ms, tls->config.waiters, tls->config.host_waiters);
    h2o_socket_read_start(tls->channel, on_channel);
    tf_tls_channel_send(tls->config.channel_fd, &hello, sizeof(hello), -1);
    return 0;
}

void tf_tls_destroy(struct tf_tls **tls)
{
    if (*tls == NULL)
        return;
    tf_tls_waiting_dispose(&(*tls)->waiting);
    if ((*tls)->channel != NULL)
        h2o_socket_close((*tls)->channel);
    SSL_CTX_free((*tls)->context);
    EVP_CIPHER_free((*tls)->ticket_cipher);
    tf_tls_parsed_dispose(&(*tls)->parsed);
    tf_tls_table_unmap(&(*tls)->table);
    free(*tls);
    *tls = NULL;
}

SSL_CTX *tf_tls_context(struct tf_tls *tls)
{
    return tls->context;
}
