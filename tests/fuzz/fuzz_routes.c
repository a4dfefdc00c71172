/* Any bytes as the lines of a route table, under a head and a hash that are right. */
#include "fuzz.h"

#include "sites/routes_file.c"

#define GENERATION 7

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct tf_buffer text;
    struct tf_error error = {0};
    struct reader reader = {.error = &error};
    struct tf_routes *routes = tf_routes_create(GENERATION);
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    fuzz_require(routes != NULL, "no memory");
    tf_buffer_init(&text, FILE_MOST_BYTES);
    tf_buffer_printf(&text, "terrafirma-routes 1 %d\n", GENERATION);
    if (length != 0)
        tf_buffer_append(&text, bytes, length);
    tf_hash_bytes(text.bytes, text.length, digest);
    tf_hash_hex(digest, hex);
    tf_buffer_printf(&text, "end %s\n", hex);
    int result = read_frame(&reader, &text, GENERATION);
    fuzz_require(result == 0, "head and hash are refused");
    result = read_lines(&reader, routes);
    fuzz_require(result == 0 || error.text[0] != 0, "a refusal without a reason");
    for (size_t i = 0; result == 0 && i < tf_routes_count(routes); i++) {
        const struct tf_route *const route = tf_routes_at(routes, i);
        fuzz_require(tf_routes_has_site(routes, route->site), "a route without a site");
        fuzz_require(tf_routes_find(routes, route->site, route->path, strlen(route->path)) == route,
                     "a route that is not found");
        fuzz_require(strstr(route->path, "..") == NULL || strstr(route->path, "/../") == NULL, "a path that climbs");
    }
    tf_routes_destroy(&routes);
    tf_buffer_dispose(&text);
    return 0;
}
