/* Any bytes as a manifest. Held: what is accepted is written as it was read; what has sound fields survives a turn. */
#include "fuzz.h"

#include "cache/manifest.c"

static void turn(const struct tf_manifest *manifest)
{
    struct tf_buffer json;
    struct tf_manifest again;
    tf_buffer_init(&json, TF_MANIFEST_MOST_BYTES);
    if (tf_manifest_write(manifest, &json, NULL) == 0) {
        fuzz_require(tf_manifest_parse((const char *)json.bytes, json.length, &again, NULL) == 0,
                     "a manifest that was written is refused");
        fuzz_require(strcmp(again.key, manifest->key) == 0 && again.function_count == manifest->function_count &&
                         again.object_bytes == manifest->object_bytes,
                     "a manifest that changed");
        tf_manifest_dispose(&again);
    }
    tf_buffer_dispose(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char *const copy = (char *)fuzz_copy(bytes, length);
    struct tf_manifest manifest = {0};
    struct tf_error error = {0};
    if (tf_manifest_parse(copy, length, &manifest, &error) == 0)
        turn(&manifest);
    else
        fuzz_require(error.text[0] != 0, "a refusal without a reason");
    tf_manifest_dispose(&manifest);
    /* Behind the hash, which no fuzzer guesses. */
    json_t *const object = json_loadb(copy, length, JSON_REJECT_DUPLICATES, NULL);
    if (object != NULL && read_fields(object, &manifest) && tf_manifest_check(&manifest, NULL) == 0)
        turn(&manifest);
    json_decref(object);
    tf_manifest_dispose(&manifest);
    free(copy);
    return 0;
}
