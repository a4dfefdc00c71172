/*
 * Certificates that the operator supplies, in a folder:
 *
 *     NAME.pem (or NAME.crt) with the chain, and NAME.key; or the key in the same file
 *     NAME/fullchain.pem and NAME/privkey.pem
 *
 * Which hosts they are for is what the certificates say. Looked at again and again: a pair that changed is read anew,
 * and one that cannot be used (half copied, perhaps) leaves the last good one in place. One thread.
 */
#ifndef TF_SITES_SUPPLIED_H
#define TF_SITES_SUPPLIED_H

#include "sites/certificate.h"

struct tf_supplied_file {
    char *chain_name, *key_name; /* relative to the folder; no key name: in the same file */
    uint64_t stamp, failed_stamp; /* of what is in use; of what could not be used */
    struct tf_certificate *certificate; /* NULL: none could be used yet */
    char *failure; /* why the files as they are cannot be used; NULL: they can */
};

struct tf_supplied {
    struct tf_supplied_file *files; /* sorted by chain_name */
    size_t count;
};

/* True when something changed. `most` files; what is beyond, and what cannot be used, is told on standard error. */
bool tf_supplied_look(struct tf_supplied *supplied, const char *folder, size_t most);
void tf_supplied_dispose(struct tf_supplied *supplied);

#endif
