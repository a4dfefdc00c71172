/* Single artifacts between a cache and a registry. One thread at a time for each client. */
#ifndef TF_CLI_REGISTRY_SHARE_H
#define TF_CLI_REGISTRY_SHARE_H

#include "cache/cache.h"
#include "cache/parcel.h"
#include "cli/registry_client.h"

struct tf_share_report {
    uint64_t artifacts, known; /* of these, there already */
    uint64_t bytes;            /* of blobs, sent or received */
    uint64_t refused;          /* that did not verify; the rest was taken */
};

/* Sends an artifact with the entries that lead to it, unless it is there, and gives it its tags. Returns the item for a
 * list. Errors: as of tf_parcel_write and tf_registry_call. */
int tf_share_push(struct tf_registry_client *client, struct tf_cache *cache, const char *key,
                  const struct tf_parcels *parcels, uint64_t until_ns, struct tf_registry_item *ret_item,
                  struct tf_share_report *report, struct tf_error *error);
/* Takes an artifact that was found, as an import does: whole, verified, or not at all. What has come of it before is
 * gone on with, and what comes of it stays for the next time. Errors: as of tf_bundle_read and tf_registry_call. */
int tf_share_pull(struct tf_registry_client *client, struct tf_cache *cache, const struct tf_registry_item *item,
                  uint64_t until_ns, struct tf_share_report *report, struct tf_error *error);

/* The tag of an entry of the index, and that by which a server without a compiler asks. */
void tf_share_entry_tag(const char *entry_name, char ret_tag[TF_REGISTRY_REFERENCE_BYTES]);
void tf_share_source_tag(const char *source_sha256, uint32_t cpu_level, bool is_strict,
                         char ret_tag[TF_REGISTRY_REFERENCE_BYTES]);

#endif
