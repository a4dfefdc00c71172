/* A configuration as YAML: what the supervisor hands to its children. */
#include <string.h>

#include "cli/config_internal.h"

static void write_text(struct tf_buffer *yaml, const char *text)
{
    tf_buffer_append_byte(yaml, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            tf_buffer_printf(yaml, "\\%c", *p);
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            tf_buffer_printf(yaml, "\\x%02x", (unsigned char)*p);
        else
            tf_buffer_append(yaml, p, 1);
    }
    tf_buffer_append_text(yaml, "\"\n");
}

static void write_key(const struct tf_config *config, const struct tf_key *key, struct tf_buffer *yaml)
{
    const char *indent = key->section[0] != '\0' ? "  " : "";
    const char *text;
    uint64_t number;
    switch (key->kind) {
    case TF_KEY_TEXT:
        memcpy(&text, (const char *)config + key->offset, sizeof(text));
        if (text != NULL && strcmp(key->name, "root") != 0 && strcmp(key->name, "cache") != 0) {
            tf_buffer_printf(yaml, "%s%s: ", indent, key->name);
            write_text(yaml, text);
        }
        return;
    case TF_KEY_LIST:
        tf_buffer_printf(yaml, "%s%s:%s\n", indent, key->name, *tf_config_count(config, key) == 0 ? " []" : "");
        for (size_t i = 0; i < *tf_config_count(config, key); i++) {
            tf_buffer_printf(yaml, "%s  - ", indent);
            write_text(yaml, tf_config_entries(config, key)[i]);
        }
        return;
    case TF_KEY_NUMBER:
    case TF_KEY_BYTES:
    case TF_KEY_CHOICE:
        memcpy(&number, (const char *)config + key->offset, sizeof(number));
        if (key->kind == TF_KEY_CHOICE)
            tf_buffer_printf(yaml, "%s%s: %s\n", indent, key->name, key->choices[number]);
        else if (number >= key->least) /* 0 for "one per CPU" is said by silence */
            tf_buffer_printf(yaml, "%s%s: %llu\n", indent, key->name, (unsigned long long)number);
        return;
    }
}

void tf_config_write(const struct tf_config *config, struct tf_buffer *yaml)
{
    size_t count;
    const struct tf_key *table = tf_config_keys(&count);
    const char *section = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].section, section) != 0)
            tf_buffer_printf(yaml, "%s:\n", table[i].section);
        section = table[i].section;
        write_key(config, &table[i], yaml);
    }
}
