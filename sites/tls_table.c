#include "sites/tls_table.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/error.h"
#include "base/file.h"
#include "sites/siphash.h"

#define MAGIC 0x31736c7461726574ull
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define NAME_MOST 255u
#define ALIGNMENT 8u
#define FIRST_NAMES 64u

struct header {
    uint64_t magic, bytes, serial;
    uint64_t seed[2];
    uint64_t slots_at, slot_count;
    uint32_t certificate_count, unused;
    struct tf_tls_ticket_key ticket_keys[TF_TLS_TICKET_KEYS];
};

struct name_record {
    uint64_t value_at;     /* of a certificate_record, or of text */
    uint32_t value_length; /* of text */
    uint8_t kind, length;
    char name[];
};

struct certificate_record {
    uint8_t fingerprint[TF_HASH_BYTES];
    uint32_t chain_length, key_length;
    uint8_t bytes[];
};

/* ---- making ---- */

struct tf_tls_builder {
    struct tf_buffer bytes; /* the file, header and all but slots */
    uint64_t *names;        /* offsets */
    size_t name_count, name_capacity;
    uint32_t certificate_count;
};

static bool align(struct tf_buffer *bytes)
{
    size_t const over = bytes->length % ALIGNMENT;
    return over == 0 || tf_buffer_extend(bytes, ALIGNMENT - over) != NULL;
}

struct tf_tls_builder *tf_tls_builder_create(void)
{
    struct tf_tls_builder *builder = calloc(1, sizeof(*builder));
    if (builder == NULL)
        return NULL;
    tf_buffer_init(&builder->bytes, TF_TLS_TABLE_BYTES_MAX);
    if (tf_buffer_extend(&builder->bytes, sizeof(struct header)) == NULL || !align(&builder->bytes))
        tf_tls_builder_destroy(&builder);
    return builder;
}

void tf_tls_builder_destroy(struct tf_tls_builder **builder)
{
    if (*builder == NULL)
        return;
    if ((*builder)->bytes.bytes != NULL)
        OPENSSL_cleanse((*builder)->bytes.bytes, (*builder)->bytes.length);
    tf_buffer_dispose(&(*builder)->bytes);
    free((*builder)->names);
    free(*builder);
    *builder = NULL;
}

int tf_tls_builder_certificate(struct tf_tls_builder *builder, const struct tf_tls_certificate *certificate,
                               uint64_t *ret_at)
{
    struct certificate_record record = {.chain_length = certificate->chain_length,
                                        .key_length = certificate->key_length};
    memcpy(record.fingerprint, certificate->fingerprint, sizeof(record.fingerprint));
    if (!align(&builder->bytes))
        return TF_ERR_LIMIT;
    uint64_t const at = builder->bytes.length;
    tf_buffer_append(&builder->bytes, &record, sizeof(record));
    tf_buffer_append(&builder->bytes, certificate->chain, certificate->chain_length);
    if (tf_buffer_append(&builder->bytes, certificate->key, certificate->key_length) != 0)
        return TF_ERR_LIMIT;
    builder->certificate_count++;
    *ret_at = at;
    return 0;
}

static int add_name(struct tf_tls_builder *builder, enum tf_tls_name kind, const char *name, uint64_t value_at,
                    uint32_t value_length)
{
    size_t const length = strlen(name);
    if (length == 0 || length > NAME_MOST)
        return TF_ERR_USAGE;
    if (builder->name_count == builder->name_capacity) {
        size_t const capacity = builder->name_capacity > 0 ? builder->name_capacity * 2 : FIRST_NAMES;
        uint64_t *const names = reallocarray(builder->names, capacity, sizeof(*names));
        if (names == NULL)
            return TF_ERR_LIMIT;
        builder->names = names;
        builder->name_capacity = capacity;
    }
    if (!align(&builder->bytes))
        return TF_ERR_LIMIT;
    struct name_record const record = {
        .value_at = value_at, .value_length = value_length, .kind = (uint8_t)kind, .length = (uint8_t)length};
    builder->names[builder->name_count] = builder->bytes.length;
    tf_buffer_append(&builder->bytes, &record, offsetof(struct name_record, name));
    if (tf_buffer_append(&builder->bytes, name, length) != 0)
        return TF_ERR_LIMIT;
    builder->name_count++;
    return 0;
}

int tf_tls_builder_name(struct tf_tls_builder *builder, enum tf_tls_name kind, const char *name, uint64_t certificate)
{
    return add_name(builder, kind, name, certificate, 0);
}

int tf_tls_builder_token(struct tf_tls_builder *builder, const char *token, const char *answer)
{
    uint64_t const at = builder->bytes.length;
    size_t const length = strlen(answer);
    if (length > UINT32_MAX || tf_buffer_append(&builder->bytes, answer, length) != 0)
        return TF_ERR_LIMIT;
    return add_name(builder, TF_TLS_TOKEN, token, at, (uint32_t)length);
}

static uint64_t hash_name(const uint64_t seed[2], uint8_t kind, const char *name, size_t length)
{
    uint64_t const key[2] = {seed[0] ^ kind, seed[1]};
    return tf_siphash(key, name, length);
}

static bool is_same(const struct name_record *record, uint8_t kind, const char *name, size_t length)
{
    return record->kind == kind && record->length == length && memcmp(record->name, name, length) == 0;
}

/* The first one of a name wins. */
static void fill_slots(struct tf_tls_builder *builder, const struct header *header, uint64_t *slots)
{
    const uint8_t *const bytes = builder->bytes.bytes;
    for (size_t i = 0; i < builder->name_count; i++) {
        const struct name_record *const record = (const void *)(bytes + builder->names[i]);
        uint64_t at = hash_name(header->seed, record->kind, record->name, record->length);
        for (;; at++) {
            uint64_t *const slot = &slots[at & (header->slot_count - 1)];
            if (*slot == 0)
                *slot = builder->names[i];
            else if (!is_same((const void *)(bytes + *slot), record->kind, record->name, record->length))
                continue;
            break;
        }
    }
}

static int write_sealed(const struct tf_buffer *bytes, int *ret_fd, struct tf_error *error)
{
    int const fd = memfd_create("tls", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd == -1)
        return tf_error_system(error, "cannot make a memory file");
    int result = tf_file_write_all(fd, bytes->bytes, bytes->length, error);
    if (result == 0 && fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        result = tf_error_system(error, "cannot seal a memory file");
    if (result != 0)
        close(fd);
    else
        *ret_fd = fd;
    return result;
}

int tf_tls_builder_finish(struct tf_tls_builder *builder, uint64_t serial,
                          const struct tf_tls_ticket_key keys[TF_TLS_TICKET_KEYS], int *ret_fd,
                          struct tf_error *error)
{
    struct header header = {
        .magic = MAGIC, .serial = serial, .slot_count = 16, .certificate_count = builder->certificate_count};
    while (header.slot_count < builder->name_count * 2)
        header.slot_count *= 2;
    memcpy(header.ticket_keys, keys, sizeof(header.ticket_keys));
    if (getrandom(header.seed, sizeof(header.seed), 0) != sizeof(header.seed))
        return tf_error_system(error, "cannot get random bytes");
    bool const is_aligned = align(&builder->bytes);
    header.slots_at = builder->bytes.length;
    void *const slots =
        is_aligned ? tf_buffer_extend(&builder->bytes, header.slot_count * sizeof(uint64_t)) : NULL;
    if (slots == NULL || builder->bytes.failed)
        return tf_error_set(error, TF_ERR_LIMIT, "the certificates take more than %llu bytes, or memory ran out",
                            (unsigned long long)TF_TLS_TABLE_BYTES_MAX);
    header.bytes = builder->bytes.length;
    memcpy(builder->bytes.bytes, &header, sizeof(header));
    fill_slots(builder, &header, slots);
    int const result = write_sealed(&builder->bytes, ret_fd, error);
    OPENSSL_cleanse(&header, sizeof(header));
    return result;
}

/* ---- using ---- */

struct tf_tls_table {
    const struct header *header;
    const uint8_t *bytes;
    size_t length;
};

int tf_tls_table_map(int fd, struct tf_tls_table **ret_table, struct tf_error *error)
{
    struct stat status;
    int const seals = fcntl(fd, F_GET_SEALS);
    if (seals == -1 || (seals & SEALS) != SEALS || fstat(fd, &status) != 0 ||
        status.st_size < (off_t)sizeof(struct header))
        return tf_error_set(error, TF_ERR_CORRUPT, "not a sealed table of certificates");
    struct tf_tls_table *table = calloc(1, sizeof(*table));
    void *const bytes = table == NULL ? MAP_FAILED : mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        free(table);
        return tf_error_system(error, "cannot map the table of certificates");
    }
    *table = (struct tf_tls_table){.header = bytes, .bytes = bytes, .length = (size_t)status.st_size};
    const struct header *const header = table->header;
    uint64_t const slots = header->slot_count;
    bool const is_fine = header->magic == MAGIC && header->bytes == table->length && slots > 0 &&
                         (slots & (slots - 1)) == 0 && header->slots_at % ALIGNMENT == 0 &&
                         header->slots_at <= table->length &&
                         slots <= (table->length - header->slots_at) / sizeof(uint64_t);
    if (!is_fine) {
        tf_tls_table_unmap(&table);
        return tf_error_set(error, TF_ERR_CORRUPT, "not a table of certificates");
    }
    *ret_table = table;
    return 0;
}

void tf_tls_table_unmap(struct tf_tls_table **table)
{
    if (*table == NULL)
        return;
    munmap((void *)(uintptr_t)(*table)->bytes, (*table)->length);
    free(*table);
    *table = NULL;
}

uint64_t tf_tls_table_serial(const struct tf_tls_table *table)
{
    return table->header->serial;
}

uint32_t tf_tls_table_count(const struct tf_tls_table *table)
{
    return table->header->certificate_count;
}

size_t tf_tls_table_bytes(const struct tf_tls_table *table)
{
    return table->length;
}

const struct tf_tls_ticket_key *tf_tls_table_ticket_keys(const struct tf_tls_table *table)
{
    return table->header->ticket_keys;
}

/* `bytes` from `at` on lie in the table. */
static bool lies_inside(const struct tf_tls_table *table, uint64_t at, uint64_t bytes)
{
    return at <= table->length && bytes <= table->length - at;
}

static const struct name_record *name_at(const struct tf_tls_table *table, uint64_t at)
{
    size_t const fixed = offsetof(struct name_record, name);
    if (at % ALIGNMENT != 0 || !lies_inside(table, at, fixed))
        return NULL;
    const struct name_record *const record = (const void *)(table->bytes + at);
    return lies_inside(table, at, fixed + record->length) ? record : NULL;
}

static const struct name_record *find_name(const struct tf_tls_table *table, enum tf_tls_name kind, const char *name,
                                           size_t length)
{
    const struct header *const header = table->header;
    const uint64_t *const slots = (const void *)(table->bytes + header->slots_at);
    uint64_t const hash = hash_name(header->seed, (uint8_t)kind, name, length);
    for (uint64_t i = 0; i < header->slot_count; i++) {
        uint64_t const at = slots[(hash + i) & (header->slot_count - 1)];
        const struct name_record *const record = at != 0 ? name_at(table, at) : NULL;
        if (record == NULL)
            return NULL;
        if (is_same(record, (uint8_t)kind, name, length))
            return record;
    }
    return NULL;
}

static bool certificate_of(const struct tf_tls_table *table, const struct name_record *name,
                           struct tf_tls_certificate *ret_certificate)
{
    size_t const fixed = offsetof(struct certificate_record, bytes);
    if (name == NULL || name->value_at % ALIGNMENT != 0 || !lies_inside(table, name->value_at, fixed))
        return false;
    const struct certificate_record *const record = (const void *)(table->bytes + name->value_at);
    if (!lies_inside(table, name->value_at, fixed + (uint64_t)record->chain_length + record->key_length))
        return false;
    *ret_certificate = (struct tf_tls_certificate){.chain = record->bytes,
                                                   .chain_length = record->chain_length,
                                                   .key = record->bytes + record->chain_length,
                                                   .key_length = record->key_length};
    memcpy(ret_certificate->fingerprint, record->fingerprint, TF_HASH_BYTES);
    return true;
}

bool tf_tls_table_find(const struct tf_tls_table *table, const char *host, size_t length,
                       struct tf_tls_certificate *ret_certificate)
{
    char wild[NAME_MOST + 2];
    if (length == 0 || length > NAME_MOST)
        return false;
    const struct name_record *name = find_name(table, TF_TLS_HOST, host, length);
    const char *const dot = memchr(host, '.', length);
    if (name == NULL && dot != NULL && dot > host) {
        size_t const rest = length - (size_t)(dot - host);
        wild[0] = '*';
        memcpy(wild + 1, dot, rest);
        name = find_name(table, TF_TLS_HOST, wild, rest + 1);
    }
    return certificate_of(table, name, ret_certificate);
}

bool tf_tls_table_find_alpn(const struct tf_tls_table *table, const char *host, size_t length,
                            struct tf_tls_certificate *ret_certificate)
{
    return certificate_of(table, find_name(table, TF_TLS_ALPN, host, length), ret_certificate);
}

const char *tf_tls_table_token(const struct tf_tls_table *table, const char *token, size_t length,
                               size_t *ret_length)
{
    const struct name_record *const name =
        length > 0 && length <= NAME_MOST ? find_name(table, TF_TLS_TOKEN, token, length) : NULL;
    if (name == NULL || !lies_inside(table, name->value_at, name->value_length))
        return NULL;
    *ret_length = name->value_length;
    return (const char *)table->bytes + name->value_at;
}
