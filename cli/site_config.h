/* A site's .kbp_config as a document that is changed and written back: what is not known in it stays as it is. */
#ifndef TF_CLI_SITE_CONFIG_H
#define TF_CLI_SITE_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <terrafirma/error.h>
#include <terrafirma/limits.h>

struct tf_site_document {
    int folder_fd; /* the site's */
    json_t *root;
    bool is_new; /* there was no file: what held without one is written down first */
};

/* Opens <root>/<site>/.kbp_config, or makes a document where there is none. Errors: NOT_FOUND, SYSTEM, INVALID. */
int tf_site_document_open(const char *root, const char *site, const struct tf_limits *limits,
                          struct tf_site_document *ret_document, struct tf_error *error);
/* Writes it back, whole or not at all, with its former mode and owner. Refuses what a server would not accept. */
int tf_site_document_save(struct tf_site_document *document, const struct tf_limits *limits, struct tf_error *error);
void tf_site_document_close(struct tf_site_document *document);

/* The object of users, and of paths (under either name); made where missing. NULL: no memory, or not an object. */
json_t *tf_site_document_users(struct tf_site_document *document);
json_t *tf_site_document_paths(struct tf_site_document *document);
/* The entry of a path, in whatever spelling it is there; NULL: none. *ret_key: that spelling. */
json_t *tf_site_document_path(struct tf_site_document *document, const char *path, const char **ret_key);

/* Hashes a password: bcrypt with that cost, 0: salted SHA-256. `ret_hash` has TF_ACCESS_HASH_BYTES. Errors: SYSTEM. */
int tf_site_password_hash(const char *password, unsigned cost, char *ret_hash, struct tf_error *error);
/* From the terminal, twice and unseen, or else the first line of standard input. Wipe it. Errors: USAGE, SYSTEM. */
int tf_site_password_read(char *ret_password, size_t size, struct tf_error *error);

#endif
