#include "tests/cache/artifact.h"

#include <terrafirma/error.h>

static struct tf_buffer write_number(uint32_t number)
{
    struct artifact artifact;
    struct tf_buffer json;
    artifact_make(&artifact, number);
    tf_buffer_init(&json, 1 << 20);
    CHECK(tf_manifest_write(&artifact.manifest, &json, NULL) == 0);
    return json;
}

static int parse(const struct tf_buffer *json)
{
    struct tf_manifest manifest;
    int const result = tf_manifest_parse((const char *)json->bytes, json->length, &manifest, NULL);
    if (result == 0)
        tf_manifest_dispose(&manifest);
    return result;
}

static void a_manifest_comes_back_whole(void)
{
    struct artifact artifact;
    artifact_make(&artifact, 5);
    artifact.manifest.abi_version = UINT32_MAX;
    artifact.manifest.memory_pages_max = INT64_MAX;
    artifact.functions[2].text_offset = INT64_MAX;
    artifact.functions[2].text_bytes = UINT32_MAX;
    strcpy(artifact.manifest.toolchain, "a \\ \"quoted\" ä\n");
    struct tf_buffer json;
    tf_buffer_init(&json, 1 << 20);
    CHECK(tf_manifest_write(&artifact.manifest, &json, NULL) == 0);
    struct tf_manifest back;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_manifest_parse((char *)json.bytes, json.length, &back, &error) == 0, "%s", error.text);
    CHECK(memcmp(back.functions, artifact.functions, sizeof(artifact.functions)) == 0);
    CHECK(strcmp(back.toolchain, artifact.manifest.toolchain) == 0);
    back.functions = artifact.manifest.functions = (free(back.functions), NULL);
    CHECK(back.abi_version == UINT32_MAX && back.memory_pages_max == INT64_MAX && back.function_count == 3);
    CHECK(back.image_bytes == artifact.manifest.image_bytes && back.world == 1 && back.cpu_level == 2);
    CHECK(memcmp(back.rows, artifact.manifest.rows, sizeof(back.rows)) == 0);
    tf_buffer_dispose(&json);
}

static void no_functions_is_fine(void)
{
    struct artifact artifact;
    artifact_make(&artifact, 3);
    artifact.manifest.functions = NULL;
    artifact.manifest.function_count = 0;
    struct tf_buffer json;
    tf_buffer_init(&json, 1 << 20);
    CHECK(tf_manifest_write(&artifact.manifest, &json, NULL) == 0);
    CHECK(parse(&json) == 0);
    tf_buffer_dispose(&json);
}

static void what_makes_no_sense_is_not_written(void)
{
    struct artifact artifact;
    struct tf_buffer json;
    tf_buffer_init(&json, 1 << 20);
#define CHECK_REFUSED(statement)                                                                                       \
    artifact_make(&artifact, 5);                                                                                       \
    statement;                                                                                                         \
    CHECK(tf_manifest_write(&artifact.manifest, &json, NULL) == TF_ERR_CORRUPT);
    CHECK_REFUSED(artifact.manifest.key[3] = '/')
    CHECK_REFUSED(artifact.manifest.key[0] = '\0')
    CHECK_REFUSED(artifact.manifest.object_sha256[63] = 'G')
    CHECK_REFUSED(artifact.manifest.image_sha256[0] = '\0')
    CHECK_REFUSED(artifact.manifest.image_bytes = 0)
    CHECK_REFUSED(artifact.manifest.image_bytes = 4097)
    CHECK_REFUSED(artifact.manifest.image_bytes = UINT64_MAX - 4095)
    CHECK_REFUSED(artifact.manifest.object_bytes = 0)
    CHECK_REFUSED(artifact.manifest.object_bytes = UINT64_MAX)
    CHECK_REFUSED(artifact.manifest.memory_pages_min = UINT64_MAX)
    CHECK_REFUSED(artifact.functions[1].text_offset = 0)
    CHECK_REFUSED(artifact.functions[2].text_offset = UINT64_MAX)
    CHECK_REFUSED(memset(artifact.manifest.toolchain, 'a', TF_TOOLCHAIN_BYTES))
    CHECK_REFUSED(strcpy(artifact.manifest.toolchain, "\xff"))
    CHECK(json.length == 0);
    tf_buffer_dispose(&json);
}

static void every_flipped_bit_is_noticed(void)
{
    struct tf_buffer json = write_number(4);
    for (size_t i = 0; i < json.length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            json.bytes[i] ^= (uint8_t)(1 << bit);
            CHECK_MESSAGE(parse(&json) == TF_ERR_CORRUPT, "byte %zu bit %d", i, bit);
            json.bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    CHECK(parse(&json) == 0);
    tf_buffer_dispose(&json);
}

static void every_cut_and_addition_is_noticed(void)
{
    struct tf_buffer json = write_number(4);
    size_t const whole = json.length;
    for (json.length = 0; json.length < whole; json.length++)
        CHECK(parse(&json) == TF_ERR_CORRUPT);
    CHECK(tf_buffer_append_byte(&json, '\n') == 0);
    CHECK(parse(&json) == TF_ERR_CORRUPT);
    tf_buffer_dispose(&json);
}

static void other_json_is_refused(void)
{
    static const char *const texts[] = {
        "", "{}", "[]", "null", "1", "\"\"", "{\"format\":1}", "{\"format\":2}", "{\"format\":1,\"format\":1}",
        "{\"abi_version\":1e999}", "{\"abi_version\":-1}", "{\"key\":\"\\u0000\"}", "[[[[[[[[", "{\"a\":{\"a\":",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct tf_manifest manifest;
        CHECK(tf_manifest_parse(texts[i], strlen(texts[i]), &manifest, NULL) == TF_ERR_CORRUPT);
    }
    size_t const deep = 1 << 20;
    char *const text = malloc(deep);
    memset(text, '[', deep);
    struct tf_manifest manifest;
    CHECK(tf_manifest_parse(text, deep, &manifest, NULL) == TF_ERR_CORRUPT);
    free(text);
}

TEST_MAIN(TEST(a_manifest_comes_back_whole), TEST(no_functions_is_fine), TEST(what_makes_no_sense_is_not_written),
          TEST(every_flipped_bit_is_noticed), TEST(every_cut_and_addition_is_noticed), TEST(other_json_is_refused))
