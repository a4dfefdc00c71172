/* Between registry.c and registry_blobs.c: what is done with blobs and manifests. */
#ifndef TF_SERVICES_REGISTRY_BLOBS_H
#define TF_SERVICES_REGISTRY_BLOBS_H

#include "services/registry_http.h"

/* A manifest by tag or by its SHA-256 (64 digits, "sha256:" in front of them in `reference`). One asked for by its hash
 * has it. Errors: NOT_FOUND, REFUSED, LIMIT, CORRUPT, SYSTEM, TIMEOUT. */
int tf_registry_get_manifest(struct tf_registry *registry, const char *reference, struct tf_buffer *json,
                             struct tf_error *error);
/* Under a tag, or (empty) by its hash; returns hash and size in the item. */
int tf_registry_put_manifest(struct tf_registry *registry, const char *tag, const char *type,
                             const struct tf_buffer *json, struct tf_registry_item *item, struct tf_error *error);
int tf_registry_has_blob(struct tf_registry *registry, const char *sha256, uint64_t bytes, bool *ret_has,
                         struct tf_error *error);
/* Into fd from `offset` on; the file has the blob's size and hash after that, or it is emptied. */
int tf_registry_get_blob(struct tf_registry *registry, const char *sha256, uint64_t bytes, uint64_t offset, int fd,
                         uint64_t *ret_end, struct tf_error *error);
/* From fd, or (-1) from memory. */
int tf_registry_put_blob(struct tf_registry *registry, const char *sha256, uint64_t bytes, int fd, const void *memory,
                         struct tf_error *error);

#endif
