/* Any bytes as a tenant's settings, as the line that carries them, and as the lines of secrets. */
#include "fuzz.h"

#include "sites/secrets.h"
#include "sites/settings.h"

static const struct tf_limits limits = TF_LIMITS_DEFAULT;

/* What was read says the same when it is written and read again. */
static void same_again(const struct tf_settings *settings)
{
    struct tf_buffer line, second;
    struct tf_settings *again;
    struct tf_error error = {0};
    tf_buffer_init(&line, TF_SETTINGS_TEXT_BYTES);
    tf_buffer_init(&second, TF_SETTINGS_TEXT_BYTES);
    tf_settings_write(settings, &line);
    if (line.length > 0) {
        fuzz_require(memchr(line.bytes, '\n', line.length) == NULL, "a newline in a line");
        fuzz_require(tf_settings_read((const char *)line.bytes, &again, &error) == 0, "a line that is not read back");
        tf_settings_write(again, &second);
        fuzz_require(second.length == line.length && memcmp(second.bytes, line.bytes, line.length) == 0,
                     "a line that is another one the second time");
        tf_settings_destroy(&again);
    }
    tf_buffer_dispose(&line);
    tf_buffer_dispose(&second);
}

static void judge(const struct tf_settings *settings)
{
    struct tf_limits lowered = limits;
    tf_settings_lower(settings, &lowered);
    fuzz_require(lowered.cpu_ms <= limits.cpu_ms && lowered.scratch_bytes <= limits.scratch_bytes &&
                     lowered.slots == limits.slots,
                 "a limit that grew");
    same_again(settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct tf_settings *settings = NULL;
    struct tf_secrets *secrets = NULL;
    struct tf_error error = {0};
    uint8_t *const copy = fuzz_copy(bytes, length);
    int result = tf_settings_from_yaml(copy, length, &limits, &settings, &error);
    fuzz_require(result == 0 || error.text[0] != 0, "a refusal without a reason");
    if (result == 0) {
        fuzz_require(tf_settings_check_limits(settings, &limits, &error) == 0, "a limit over the server's");
        judge(settings);
    }
    tf_settings_destroy(&settings);
    struct tf_buffer text;
    tf_buffer_init(&text, 1u << 20);
    tf_buffer_append(&text, copy, length);
    tf_buffer_append_text(&text, "");
    if (text.bytes != NULL && tf_settings_read((const char *)text.bytes, &settings, &error) == 0)
        judge(settings);
    tf_settings_destroy(&settings);
    if (tf_secrets_read(&text, &secrets, &error) == 0)
        (void)tf_secrets_find(secrets, "a.example", "A");
    tf_secrets_destroy(&secrets);
    tf_buffer_dispose(&text);
    free(copy);
    return 0;
}
