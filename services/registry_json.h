/* What lies in a registry, as JSON (registry.h says what). Reading is of hostile bytes. Pure; any thread. */
#ifndef TF_SERVICES_REGISTRY_JSON_H
#define TF_SERVICES_REGISTRY_JSON_H

#include "base/buffer.h"
#include "services/registry.h"

#define TF_OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TF_OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
/* The empty configuration that every parcel has: this text is a blob of its own. */
#define TF_OCI_EMPTY "{}"
#define TF_OCI_EMPTY_SHA256 "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

/* What an index holds. */
enum tf_registry_level { TF_REGISTRY_OF_PAGES, TF_REGISTRY_OF_PARCELS };

/* A parcel's manifest; of the item key, sum and blob. Errors: SYSTEM (no memory). */
int tf_registry_write_parcel(const struct tf_registry_item *item, struct tf_buffer *json, struct tf_error *error);
/* Fills key, sum and blob. Errors: CORRUPT. */
int tf_registry_parse_parcel(const char *json, size_t length, struct tf_registry_item *ret_item,
                             struct tf_error *error);
/* An index; of each item `manifest`, and of parcels key and sum. */
int tf_registry_write_index(const struct tf_registry_item *items, size_t count, enum tf_registry_level level,
                            struct tf_buffer *json, struct tf_error *error);
/* Items from malloc. Errors: CORRUPT, LIMIT (more than PAGE_ITEMS or PAGES), SYSTEM. */
int tf_registry_parse_index(const char *json, size_t length, enum tf_registry_level level,
                            struct tf_registry_item **ret_items, size_t *ret_count, struct tf_error *error);
/* The token of an answer of a token service, printable. Errors: CORRUPT. */
int tf_registry_parse_token(const char *json, size_t length, char ret_token[TF_REGISTRY_SECRET_BYTES],
                            struct tf_error *error);

#endif
