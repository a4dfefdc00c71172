/*
 * Passwords: what a client sends, whether it is right, and which ones were found right a moment ago. Clear text is
 * wiped by whoever got it; what is remembered is a keyed digest. No logging of any of it.
 */
#ifndef TF_H2O_HANDLER_PASSWORD_H
#define TF_H2O_HANDLER_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

#define TF_CREDENTIALS_BYTES 1280

struct tf_credentials {
    char text[TF_CREDENTIALS_BYTES]; /* name, NUL, password, NUL */
    const char *name, *password;     /* into text */
    size_t name_length;
};

/* The value of an Authorization header of the scheme Basic. False: another scheme, malformed, too long, a NUL in it.
 * Any thread. Wipe the result with explicit_bzero. */
bool tf_credentials_parse(const char *value, size_t length, struct tf_credentials *ret_credentials);

/* Room for libcrypt's work; some 32 KiB. */
struct tf_password_room;
struct tf_password_room *tf_password_room_create(void);
void tf_password_room_destroy(struct tf_password_room **room);

/* Whether `password` is the one that `hash` was made of. `hash` NULL: there is no such user. Where `cost` is not 0, a
 * refusal takes as long as one with a bcrypt hash of that cost, whatever `hash` is (the highest cost of the site: who
 * asks learns nothing of who exists, or of how a password is stored). Takes milliseconds and more for bcrypt: never on
 * an event loop unless `cost` is 0. One thread per room. */
bool tf_password_is_right(struct tf_password_room *room, const char *hash, uint32_t cost, const char *password);

/* ---- found right a moment ago; one thread ---- */

#define TF_VERIFIED_ROWS 1024u
#define TF_VERIFIED_DIGEST_BYTES 32

struct tf_verified {
    uint8_t key[32]; /* of this process */
    struct {
        uint8_t digest[TF_VERIFIED_DIGEST_BYTES];
        uint64_t until_ns;
    } rows[TF_VERIFIED_ROWS];
};

/* Errors: SYSTEM. */
int tf_verified_init(struct tf_verified *verified, struct tf_error *error);
/* A keyed digest of all four: another hash in the site's file is another digest. False: no memory, no digest. */
bool tf_verified_digest(const struct tf_verified *verified, const char *site, const char *name, const char *hash,
                        const char *password, uint8_t ret_digest[TF_VERIFIED_DIGEST_BYTES]);
bool tf_verified_has(const struct tf_verified *verified, const uint8_t digest[TF_VERIFIED_DIGEST_BYTES],
                     uint64_t now_ns);
void tf_verified_add(struct tf_verified *verified, const uint8_t digest[TF_VERIFIED_DIGEST_BYTES], uint64_t until_ns);

#endif
