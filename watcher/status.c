/* status.json: every function, for the operator. The form is described in watcher.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "watcher/internal.h"

#define STATUS_BYTES_MAX (1ull << 32)

void tf_time_text(char ret_text[32])
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t const length = strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(ret_text + length, 32 - length, ".%03ldZ", now.tv_nsec / 1000000);
}

static void member(struct tf_buffer *json, const char *name, const char *value)
{
    tf_buffer_printf(json, ", \"%s\": ", name);
    if (value[0] == '\0')
        tf_buffer_append_text(json, "null");
    else
        tf_json_string(json, value);
}

static void write_error(struct tf_buffer *json, const struct tf_item_error *error)
{
    if (error == NULL) {
        tf_buffer_append_text(json, ", \"error\": null}");
        return;
    }
    tf_buffer_append_text(json, ", \"error\": {\"code\": ");
    tf_json_string(json, tf_error_name(error->code));
    tf_buffer_append_text(json, ", \"text\": ");
    tf_json_string(json, error->text);
    member(json, "at", error->at);
    member(json, "source_sha256", error->source_sha256);
    tf_buffer_append_text(json, "}}");
}

static void write_item(struct tf_buffer *json, const struct tf_item *item, bool *is_first)
{
    char *path = tf_tree_path(&item->node, true);
    char version[13] = "";
    snprintf(version, sizeof(version), "%.12s", item->source_sha256);
    tf_buffer_append_text(json, *is_first ? "\n" : ",\n");
    *is_first = false;
    tf_buffer_append_text(json, "{\"site\": ");
    tf_json_string(json, item->node.parent->site->name);
    member(json, "path", path);
    member(json, "state", tf_route_state_name(item->state));
    member(json, "key", item->key);
    member(json, "version", version);
    member(json, "build_id", item->build_id);
    tf_buffer_printf(json, ", \"source_bytes\": %llu", (unsigned long long)item->source_bytes);
    member(json, "built_at", item->built_at);
    tf_buffer_printf(json, ", \"build_ms\": %llu", (unsigned long long)item->build_ms);
    member(json, "tier", item->source_sha256[0] != '\0' ? tf_tier_name(item->tier) : "");
    member(json, "tier_note", item->tier_note);
    char settings[TF_HASH_HEX_BYTES] = "";
    if (item->settings != NULL) {
        uint8_t digest[TF_HASH_BYTES];
        tf_hash_bytes(item->settings, strlen(item->settings), digest);
        tf_hash_hex(digest, settings);
        settings[12] = '\0';
    }
    member(json, "settings", settings);
    write_error(json, item->error);
    free(path);
}

static void write_folder(struct tf_buffer *json, const struct tf_folder *folder, bool *is_first)
{
    for (const struct tf_node *node = folder->nodes; node != NULL; node = node->next) {
        if (node->is_folder)
            write_folder(json, (const struct tf_folder *)node, is_first);
        else
            write_item(json, (const struct tf_item *)node, is_first);
    }
}

/* Rules of access, where a site has a file of them. */
static void write_configs(struct tf_buffer *json, const struct tf_site *first)
{
    bool is_first = true;
    for (const struct tf_site *site = first; site != NULL; site = site->next) {
        const struct tf_site_config *const config = &site->config;
        if (!config->is_there)
            continue;
        tf_buffer_append_text(json, is_first ? "\n{\"site\": " : ",\n{\"site\": ");
        is_first = false;
        tf_json_string(json, site->name);
        member(json, "state", tf_access_state_name(config->state));
        member(json, "error", config->reason);
        tf_buffer_append_byte(json, '}');
    }
}

int tf_status_write(struct tf_watcher *watcher, struct tf_error *error)
{
    struct tf_buffer json;
    tf_buffer_init(&json, STATUS_BYTES_MAX);
    char now[32];
    tf_time_text(now);
    bool is_first = true;
    tf_buffer_append_text(&json, "{\"root\": ");
    tf_json_string(&json, watcher->config->root);
    tf_buffer_printf(&json, ", \"generation\": %llu", (unsigned long long)watcher->generation);
    member(&json, "updated", now);
    tf_buffer_append_text(&json, ", \"functions\": [");
    write_folder(&json, watcher->root, &is_first);
    tf_buffer_append_text(&json, "\n], \"configs\": [");
    write_configs(&json, watcher->first_site);
    tf_buffer_append_text(&json, "\n]}\n");
    int const result =
        json.failed ? tf_error_set(error, TF_ERR_SYSTEM, "no memory for the status")
                    : tf_file_write_atomic(watcher->folder_fd, "status.json", json.bytes, json.length, 0644, error);
    tf_buffer_dispose(&json);
    return result;
}
