/* Any bytes as an answer of a DNS server to a question for TXT records, as such a record, as a line of a mapping. */
#include "fuzz.h"

#include "sites/class.h"
#include "sites/domain_txt.h"

static const char name[] = "_keybase_pages.example.com";

/* An answer's head and question that are right, so that what follows is reached. */
static const uint8_t head[] = "\x12\x34\x81\x80\0\1\0\3\0\1\0\0\16_keybase_pages\7example\3com\0\0\20\0\1";

static void look_at_root(const struct tf_domain_root *root)
{
    char canonical[TF_SITE_NAME_BYTES], folder[TF_SITE_NAME_BYTES];
    fuzz_require(tf_class_canonical(root->site, canonical), "a site that is none");
    fuzz_require(strcmp(canonical, root->site) == 0, "a site that is not canonical");
    fuzz_require(tf_site_name_is_valid(root->site) && tf_domain_path_is_valid(root->path), "a path that is none");
    tf_class_folder_of(root->site, folder);
    fuzz_require(strchr(folder, '/') == strrchr(folder, '/'), "a folder too deep");
    fuzz_require(strstr(folder, "..") == NULL || strstr(folder, "/..") == NULL, "a folder that climbs");
}

static void look_at_records(const struct tf_domain_record *records, size_t count)
{
    for (int i = 0; i < TF_DOMAIN_NAME_COUNT; i++) {
        struct tf_domain_root root;
        if (tf_domain_judge((enum tf_domain_name)i, records, count, &root) == TF_DOMAIN_MAPPED)
            look_at_root(&root);
    }
}

static void look_at_answer(const uint8_t *bytes, size_t length)
{
    static struct tf_domain_txt txt;
    enum tf_domain_answer const answer = tf_domain_txt_parse(bytes, length, name, &txt);
    fuzz_require(answer == TF_DOMAIN_ANSWER_BAD || (answer == TF_DOMAIN_ANSWER_RECORDS) == (txt.count > 0),
                 "an answer that contradicts itself");
    if (answer != TF_DOMAIN_ANSWER_RECORDS)
        return;
    for (size_t i = 0; i < txt.count; i++)
        fuzz_require(txt.records[i].bytes >= txt.bytes &&
                         txt.records[i].bytes + txt.records[i].length <= txt.bytes + sizeof(txt.bytes),
                     "a record outside");
    look_at_records(txt.records, txt.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return 0;
    uint8_t *const copy = fuzz_copy(bytes, length);
    look_at_answer(copy, length);
    free(copy);
    uint8_t *const whole = malloc(sizeof(head) - 1 + length);
    fuzz_require(whole != NULL, "no memory");
    memcpy(whole, head, sizeof(head) - 1);
    memcpy(whole + sizeof(head) - 1, bytes, length);
    look_at_answer(whole, sizeof(head) - 1 + length);
    free(whole);
    uint8_t *const record_bytes = fuzz_copy(bytes, length);
    struct tf_domain_record const record = {(const char *)record_bytes, length};
    look_at_records(&record, 1);
    free(record_bytes);
    char *const line = malloc(length + 1), host[TF_SITE_NAME_BYTES];
    struct tf_domain_root root;
    fuzz_require(line != NULL, "no memory");
    memcpy(line, bytes, length);
    line[length] = '\0';
    if (tf_domain_parse_mapping(line, host, &root))
        fuzz_require(tf_domain_pattern_is_valid(host) && tf_site_name_is_valid(root.site) &&
                         tf_domain_path_is_valid(root.path),
                     "a mapping that is none");
    free(line);
    return 0;
}
