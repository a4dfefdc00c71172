/*
 * Any sequence of host function calls, with any arguments, by a guest whose memory holds any bytes.
 *
 * A recording is: two bytes for the guest (its world, whether it has an allocator, what folders it is given), then
 * calls: a byte for the row of worlds.h; a byte a parameter that says how the value is made (small, near the memory's
 * end, an address in the recording's own bytes, or four or eight bytes as they come); then what those need. The
 * recording is also what the guest's memory begins with. Held: no call reads or writes outside of the guest's memory or
 * the host's own (the sanitizers see to it), and each returns, traps, or exits.
 *
 * Built with -fsanitize=fuzzer as fuzz_calls (option TF_FUZZ, clang), and with a main that replays a folder.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "worlds_fake.h"
#include <terrafirma/worlds.h>

#define CALLS_MAX 64
#define PARAMETERS_MAX 9
#define RECORDING_BYTES_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const char *const parameters[] = {
#define X(id, module, name, params, results, flags) params,
    TF_HOST_ROWS(X)
#undef X
};

struct recording {
    const uint8_t *at, *end;
};

static uint64_t take(struct recording *recording, size_t bytes)
{
    uint64_t value = 0;
    size_t const left = (size_t)(recording->end - recording->at);
    bytes = bytes < left ? bytes : left;
    memcpy(&value, recording->at, bytes);
    recording->at += bytes;
    return value;
}

static uint64_t make_value(struct recording *recording, char letter, const struct tf_guest *guest)
{
    uint64_t const how = take(recording, 1);
    switch (how & 3) {
    case 0:
        return how >> 2;
    case 1:
        return guest->memory_bytes - (how >> 2);
    case 2:
        return (how >> 2) * 64;
    default:
        return take(recording, letter == 'I' ? 8 : 4);
    }
}

/* On x86-64 integers of either width take a register or a stack slot of their own, so one type fits all rows. */
typedef uint64_t (*any_row)(void *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                            uint64_t);

static void call(struct tf_guest *guest, struct recording *recording)
{
    uint64_t v[PARAMETERS_MAX] = {0};
    size_t const row = (size_t)take(recording, 1) % TF_ROW_COUNT;
    for (size_t i = 0; parameters[row][i] != 0; i++) {
        v[i] = make_value(recording, parameters[row][i], guest);
        if (parameters[row][i] == 'i')
            v[i] = (uint32_t)v[i];
    }
    any_row const function = (any_row)(uintptr_t)tf_host_table.rows[row];
    function(&guest->header, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]);
}

static const struct tf_program_file files[] = {
    {.kind = TF_PROGRAM_FOLDER, .path = {"d", 1}},
    {.kind = TF_PROGRAM_FILE, .path = {"d/f", 3}, .bytes = {"contents", 8}},
    {.kind = TF_PROGRAM_LINK, .path = {"l", 1}, .bytes = {"d/f", 3}},
    {.kind = TF_PROGRAM_LINK, .path = {"up", 2}, .bytes = {"../..", 5}},
    {.kind = TF_PROGRAM_LINK, .path = {"round", 5}, .bytes = {"round", 5}},
};

static const struct tf_program_folder folders[] = {
    {.name = "/", .is_writable = false, .files = files, .file_count = 5},
    {.name = "/tmp", .is_writable = true, .files = files, .file_count = 5},
    {.name = "/site", .is_site = true},
};

static const struct tf_header headers[] = {
    {{"cookie", 6}, {"a=b", 3}}, {{"x-a", 3}, {"1", 1}}, {{"x-a", 3}, {"", 0}}, {{"cookie", 6}, {"c", 1}}};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length > RECORDING_BYTES_MAX)
        return 0;
    struct tf_guest *const guest = fake_reset();
    struct recording recording = {bytes, bytes + length};
    static struct tf_program program;
    uint64_t const world = take(&recording, 1), program_flags = take(&recording, 1);
    program = (struct tf_program){
        .is_command = program_flags & 1, .folders = folders, .folder_count = (size_t)(program_flags >> 1 & 3)};
    guest->world = world & 1 ? TF_WORLD_CGI : TF_WORLD_TERRARIUM;
    guest->allocate = world & 2 ? NULL : fake_bump;
    guest->request.program = world & 4 ? NULL : &program;
    guest->request.headers = headers;
    guest->request.header_count = sizeof(headers) / sizeof(headers[0]);
    guest->request.body = (struct tf_text){(const char *)bytes, length};
    guest->limits.scratch_bytes = 1u << 20;
    guest->limits.response_body_bytes = 1u << 20;
    memcpy(guest->memory, bytes, length);
    guest->trap = TF_TRAP_NONE;
    for (volatile int i = 0; i < CALLS_MAX && recording.at < recording.end && !guest->has_exited; i++) {
        /* A trapped guest is over; but what its calls left behind is worth more calls. */
        if (setjmp(guest->on_trap) == 0)
            call(guest, &recording);
    }
    if (guest->world == TF_WORLD_CGI && setjmp(guest->on_trap) == 0)
        tf_wasi_returned(guest);
    if (guest->wasi != NULL)
        tf_wasi_over(guest);
    return 0;
}

#ifdef TF_FUZZ_REPLAY
int main(int argc, char **argv)
{
    DIR *const entries = argc > 1 ? opendir(argv[1]) : NULL;
    const struct dirent *entry;
    unsigned count = 0;
    if (entries == NULL) {
        fprintf(stderr, "usage: fuzz_calls FOLDER\n");
        return 2;
    }
    while ((entry = readdir(entries)) != NULL) {
        struct tf_buffer content;
        struct tf_error error;
        tf_buffer_init(&content, RECORDING_BYTES_MAX);
        if (entry->d_name[0] != '.' && tf_file_read(dirfd(entries), entry->d_name, &content, &error) == 0) {
            LLVMFuzzerTestOneInput(content.bytes, content.length);
            count++;
        }
        tf_buffer_dispose(&content);
    }
    closedir(entries);
    printf("%u recordings\n", count);
    return count == 0;
}
#endif
