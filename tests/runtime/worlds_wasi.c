/* WASI's calls but for files: each with good, empty, largest, invalid, wild, overlapping and unaligned arguments. */
#include <string.h>

#include "../check.h"
#include "worlds_fake.h"

#define END FAKE_MEMORY_BYTES
#define ERROR(call, expected)                                                                      \
    do {                                                                                           \
        uint32_t const answered = (call);                                                          \
        CHECK_MESSAGE(answered == (expected), "%u, expected %u", answered, (unsigned)(expected));  \
    } while (0)
#define H (&guest->header)

static struct tf_guest *cgi(void)
{
    struct tf_guest *const guest = fake_reset();
    guest->world = TF_WORLD_CGI;
    guest->request.script_bytes = 11;
    return guest;
}

static uint64_t u64_at(const struct tf_guest *guest, uint32_t address)
{
    return fake_u32(guest, address) | (uint64_t)fake_u32(guest, address + 4) << 32;
}

static void vector_at(struct tf_guest *guest, uint32_t at, uint32_t address, uint32_t length)
{
    uint32_t const vector[] = {address, length};
    fake_put(guest, at, vector, sizeof(vector));
}

/* ---- strings ---- */

static const char *variable(struct tf_guest *guest, const char *name)
{
    uint32_t count, i;
    ERROR(tf_wasi_environ_sizes_get(H, 16, 20), TF_WASI_OK);
    ERROR(tf_wasi_environ_get(H, 4096, 8192), TF_WASI_OK);
    count = fake_u32(guest, 16);
    for (i = 0; i < count; i++) {
        const char *const text = (const char *)guest->memory + fake_u32(guest, 4096 + 4 * i);
        if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '=')
            return text + strlen(name) + 1;
    }
    return NULL;
}

static bool is(struct tf_guest *guest, const char *name, const char *value)
{
    const char *const found = variable(guest, name);
    return value == NULL ? found == NULL : found != NULL && strcmp(found, value) == 0;
}

static void a_request_becomes_variables(void)
{
    struct tf_guest *const guest = cgi();
    struct tf_header const headers[] = {
        {fake_text("x-a"), fake_text("1")},          {fake_text("cookie"), fake_text("a=1")},
        {fake_text("x-a"), fake_text("2")},          {fake_text("cookie"), fake_text("b=2")},
        {fake_text("proxy"), fake_text("evil")},     {fake_text("authorization"), fake_text("secret")},
        {fake_text("x_b"), fake_text("under")},      {fake_text("content-type"), fake_text("text/x")},
        {fake_text("content-length"), fake_text("9")}, {fake_text("accept"), fake_text("")},
    };
    guest->request.headers = headers;
    guest->request.header_count = sizeof(headers) / sizeof(headers[0]);
    guest->request.path = fake_text("/hello.wasm/a%20%2f%00b%zz?x=%201&y");
    guest->request.authority = fake_text("[2001:db8::1]:8080");
    guest->request.body = fake_text("body");
    struct tf_text const own[] = {fake_text("MINE=1"), fake_text("REMOTE_ADDR=forged")};
    struct tf_program const program = {.environment = own, .environment_count = 2};
    guest->request.program = &program;
    CHECK(is(guest, "REQUEST_METHOD", "GET") && is(guest, "SCRIPT_NAME", "/hello.wasm"));
    CHECK(is(guest, "PATH_INFO", "/a /%00b%zz") && is(guest, "X_RAW_PATH_INFO", "/a%20%2f%00b%zz"));
    CHECK(is(guest, "PATH_TRANSLATED", "/a /%00b%zz") && is(guest, "X_MATCHED_ROUTE", "/hello.wasm"));
    CHECK(is(guest, "QUERY_STRING", "x=%201&y") && is(guest, "REQUEST_URI", "/hello.wasm/a%20%2f%00b%zz?x=%201&y"));
    CHECK(is(guest, "CONTENT_LENGTH", "4") && is(guest, "CONTENT_TYPE", "text/x"));
    CHECK(is(guest, "SERVER_NAME", "[2001:db8::1]") && is(guest, "SERVER_PORT", "8080"));
    CHECK(is(guest, "SERVER_PROTOCOL", "HTTP/1.1") && is(guest, "GATEWAY_INTERFACE", "CGI/1.1"));
    CHECK(is(guest, "REMOTE_ADDR", "192.0.2.7") && is(guest, "REMOTE_HOST", "192.0.2.7"));
    CHECK(is(guest, "REMOTE_USER", "") && is(guest, "AUTH_TYPE", ""));
    CHECK(is(guest, "X_FULL_URL", "http://[2001:db8::1]:8080/hello.wasm/a%20%2f%00b%zz?x=%201&y"));
    CHECK(is(guest, "HTTP_X_A", "1, 2") && is(guest, "HTTP_COOKIE", "a=1; b=2") && is(guest, "HTTP_ACCEPT", ""));
    CHECK(is(guest, "HTTP_HOST", "[2001:db8::1]:8080"));
    CHECK(is(guest, "HTTP_PROXY", NULL) && is(guest, "HTTP_AUTHORIZATION", NULL) && is(guest, "HTTP_X_B", NULL));
    CHECK(is(guest, "HTTP_CONTENT_TYPE", NULL) && is(guest, "HTTP_CONTENT_LENGTH", NULL));
    CHECK(is(guest, "MINE", "1"));
}

static void a_user_whom_the_host_knows_is_told(void)
{
    struct tf_guest *const guest = cgi();
    struct tf_header const headers[] = {{fake_text("remote-user"), fake_text("root")}};
    guest->request.headers = headers;
    guest->request.header_count = 1;
    guest->request.user = "alice";
    CHECK(is(guest, "REMOTE_USER", "alice") && is(guest, "AUTH_TYPE", "Basic"));
    CHECK(is(guest, "HTTP_REMOTE_USER", "root"));
}

static void arguments_hold_no_options(void)
{
    struct tf_guest *guest = cgi();
    guest->request.path = fake_text("/hello.wasm/p?a=1&-e&%2de&b&&+x");
    ERROR(tf_wasi_args_sizes_get(H, 1, 13), TF_WASI_OK);
    CHECK(fake_u32(guest, 1) == 3 && fake_u32(guest, 13) == 20);
    ERROR(tf_wasi_args_get(H, 101, 203), TF_WASI_OK);
    CHECK(memcmp(guest->memory + 203, "/hello.wasm/p\0a=1\0b", 20) == 0);
    CHECK(fake_u32(guest, 101) == 203 && fake_u32(guest, 105) == 217 && fake_u32(guest, 109) == 221);
    guest = fake_reset(); /* a Terrarium guest has none, and no environment */
    ERROR(tf_wasi_args_sizes_get(H, 0, 4), TF_WASI_OK);
    CHECK(fake_u32(guest, 0) == 0 && fake_u32(guest, 4) == 0);
    ERROR(tf_wasi_args_get(H, 0, 4), TF_WASI_OK);
    ERROR(tf_wasi_environ_sizes_get(H, 0, 4), TF_WASI_OK);
    CHECK(fake_u32(guest, 0) == 0);
}

static void wild_strings_are_faults(void)
{
    struct tf_guest *const guest = cgi();
    ERROR(tf_wasi_args_sizes_get(H, END - 3, 0), TF_WASI_FAULT);
    ERROR(tf_wasi_args_sizes_get(H, 0, UINT32_MAX), TF_WASI_FAULT);
    ERROR(tf_wasi_args_get(H, END - 4, 0), TF_WASI_FAULT);
    ERROR(tf_wasi_args_get(H, 0, END - 4), TF_WASI_FAULT);
    ERROR(tf_wasi_environ_sizes_get(H, UINT32_MAX, 0), TF_WASI_FAULT);
    ERROR(tf_wasi_environ_get(H, UINT32_MAX - 3, 0), TF_WASI_FAULT);
    ERROR(tf_wasi_environ_get(H, 0, END - 1), TF_WASI_FAULT);
    ERROR(tf_wasi_environ_get(H, 0, 0), TF_WASI_OK); /* overlapping: the pointers win */
}

/* ---- standard streams ---- */

static void the_body_is_standard_input(void)
{
    struct tf_guest *const guest = cgi();
    guest->request.body = fake_text("0123456789");
    vector_at(guest, 3, 1001, 4);
    vector_at(guest, 11, 2000, 0);
    vector_at(guest, 19, 3000, 3);
    ERROR(tf_wasi_fd_read(H, 0, 3, 3, 41), TF_WASI_OK);
    CHECK(fake_u32(guest, 41) == 7 && memcmp(guest->memory + 1001, "0123", 4) == 0 &&
          memcmp(guest->memory + 3000, "456", 3) == 0);
    ERROR(tf_wasi_fd_read(H, 0, 3, 3, 41), TF_WASI_OK);
    CHECK(fake_u32(guest, 41) == 3 && memcmp(guest->memory + 1001, "789", 3) == 0);
    ERROR(tf_wasi_fd_read(H, 0, 3, 3, 41), TF_WASI_OK);
    CHECK(fake_u32(guest, 41) == 0);
    ERROR(tf_wasi_fd_read(H, 0, 0, 0, 41), TF_WASI_OK);
    ERROR(tf_wasi_fd_read(H, 1, 3, 3, 41), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_read(H, 3, 3, 3, 41), TF_WASI_BADF);
    ERROR(tf_wasi_fd_read(H, UINT32_MAX, 3, 3, 41), TF_WASI_BADF);
    ERROR(tf_wasi_fd_read(H, 0, END - 8, 2, 41), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_read(H, 0, 3, 3, END - 3), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_read(H, 0, 3, UINT32_MAX, 41), TF_WASI_INVAL);
    vector_at(guest, 3, END - 2, 3);
    ERROR(tf_wasi_fd_read(H, 0, 3, 1, 41), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_pread(H, 0, 11, 1, 0, 41), TF_WASI_SPIPE);
}

static void input_may_overwrite_its_own_list(void)
{
    struct tf_guest *const guest = cgi();
    char body[64];
    memset(body, 0xff, sizeof(body));
    guest->request.body = (struct tf_text){body, sizeof(body)};
    vector_at(guest, 0, 0, 16); /* the list itself: the second place becomes wild */
    vector_at(guest, 8, 100, 48);
    ERROR(tf_wasi_fd_read(H, 0, 0, 2, 200), TF_WASI_OK);
    CHECK(guest->memory[15] == 0xff && guest->memory[100] == 0);
}

static void output_becomes_the_response(void)
{
    struct tf_guest *const guest = cgi();
    static const char text[] = "Content-Type: text/plain\n\nhello";
    fake_put(guest, 500, text, sizeof(text) - 1);
    vector_at(guest, 5, 500, 10);
    vector_at(guest, 13, 510, sizeof(text) - 11);
    ERROR(tf_wasi_fd_write(H, 1, 5, 2, 77), TF_WASI_OK);
    CHECK(fake_u32(guest, 77) == sizeof(text) - 1);
    ERROR(tf_wasi_fd_write(H, 1, 5, 0, 77), TF_WASI_OK);
    CHECK(fake_u32(guest, 77) == 0);
    ERROR(tf_wasi_fd_write(H, 0, 5, 2, 77), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_write(H, 9, 5, 2, 77), TF_WASI_BADF);
    ERROR(tf_wasi_fd_write(H, 1, 5, 2, END), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_write(H, 1, END - 15, 2, 77), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_pwrite(H, 1, 5, 2, 0, 77), TF_WASI_SPIPE);
    CHECK(TRAP_OF(guest, tf_wasi_returned(guest)) == TF_TRAP_NONE);
    CHECK(guest->terrarium.status == 200 && guest->terrarium.header_count == 1);
    CHECK(guest->terrarium.body.length == 5 && memcmp(guest->terrarium.body.bytes, "hello", 5) == 0);
}

static void output_is_limited(void)
{
    struct tf_guest *const guest = cgi();
    guest->limits.response_body_bytes = 1000;
    guest->limits.response_header_bytes = 24;
    vector_at(guest, 0, 100, 512);
    ERROR(tf_wasi_fd_write(H, 1, 0, 1, 50), TF_WASI_OK);
    ERROR(tf_wasi_fd_write(H, 1, 0, 1, 50), TF_WASI_OK);
    vector_at(guest, 0, 100, 1);
    CHECK(TRAP_OF(guest, tf_wasi_fd_write(H, 1, 0, 1, 50)) == TF_TRAP_OUTPUT_LIMIT);
}

static void errors_are_logged_by_the_line(void)
{
    struct tf_guest *const guest = cgi();
    static const char *const pieces[] = {"one", " line", "\nand an", "other\nthe rest"};
    for (size_t i = 0; i < 4; i++) {
        fake_put(guest, 100, pieces[i], strlen(pieces[i]));
        vector_at(guest, 0, 100, (uint32_t)strlen(pieces[i]));
        ERROR(tf_wasi_fd_write(H, 2, 0, 1, 50), TF_WASI_OK);
    }
    CHECK(guest->log_lines == 2 && memcmp(guest->log[0].text, "one line\n", 9) == 0 && guest->log[0].length == 9);
    CHECK(memcmp(guest->log[1].text, "and another\n", 12) == 0 && strcmp(guest->log[1].kind, "stderr") == 0);
    tf_wasi_over(guest);
    CHECK(guest->log_lines == 3 && guest->log[2].length == 8);
}

/* ---- what a program writes ---- */

static enum tf_trap respond(struct tf_guest *guest, const char *output)
{
    guest->terrarium = (struct tf_terrarium){.log_bytes = 0};
    return TRAP_OF(guest, tf_cgi_respond(guest, fake_text(output)));
}

static void header_blocks_are_read(void)
{
    struct tf_guest *const guest = cgi();
    struct tf_terrarium *const state = &guest->terrarium;
    CHECK(respond(guest, "Content-Type: a/b\r\nSet-Cookie: x\r\nset-cookie:y \r\n\r\n") == TF_TRAP_NONE);
    CHECK(state->header_count == 3 && state->body.length == 0 && state->headers[2].value.length == 1);
    CHECK(respond(guest, "Location: /x\n\n") == TF_TRAP_NONE && state->status == 302 && state->header_count == 1);
    CHECK(respond(guest, "Status: 201 Made\nLocation: /x\n\nb") == TF_TRAP_NONE && state->status == 201);
    CHECK(respond(guest, "Location: /x\nStatus: 404\n\n") == TF_TRAP_NONE && state->status == 404);
    CHECK(respond(guest, "status:  599 \n\n\n\n") == TF_TRAP_NONE && state->status == 599 && state->body.length == 2);
    static const char *const wrong[] = {
        "", "\n", "\r\n\r\n", "hello", "Content-Type: a/b", "Content-Type: a/b\n", "Content-Type: a/b\nX: y\n",
        "X: y\n\n", "no colon\n\n", "Content-Type: a/b\nno colon\n\n", ": v\n\n", "A b: c\n\n",
        "Content-Type: a/b\n folded\n\n", "Content-Type: a\rb\n\n", "Status: 20\n\n", "Status: 2000\n\n",
        "Status: abc\n\n", "Status: 100\n\n", "Status: 199 x\n\n", "Status:\n\n", "Content-Type: a\x01\n\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_MESSAGE(respond(guest, wrong[i]) == TF_TRAP_BAD_OUTPUT, "%s", wrong[i]);
    guest->limits.response_headers = 2;
    CHECK(respond(guest, "Content-Type: a/b\nA: b\n\n") == TF_TRAP_NONE);
    CHECK(respond(guest, "Content-Type: a/b\nA: b\nC: d\n\n") == TF_TRAP_OUTPUT_LIMIT);
    guest->limits.response_header_bytes = 17;
    CHECK(respond(guest, "Content-Type: a/b\n\n") == TF_TRAP_OUTPUT_LIMIT || guest->terrarium.header_bytes <= 17);
    guest->limits.response_header_bytes = 14;
    CHECK(respond(guest, "Content-Type: a/b\n\n") == TF_TRAP_OUTPUT_LIMIT);
    guest->limits.response_body_bytes = 3;
    CHECK(respond(guest, "Status: 200\n\n1234") == TF_TRAP_OUTPUT_LIMIT);
}

static void a_program_ends_itself(void)
{
    struct tf_guest *guest = cgi();
    fake_put(guest, 100, "Status: 204\n\n", 13);
    vector_at(guest, 0, 100, 13);
    ERROR(tf_wasi_fd_write(H, 1, 0, 1, 50), TF_WASI_OK);
    CHECK(TRAP_OF(guest, tf_wasi_proc_exit(H, 0)) == TF_TRAP_NONE && guest->has_exited);
    CHECK(guest->terrarium.status == 204);
    guest = cgi();
    CHECK(TRAP_OF(guest, tf_wasi_proc_exit(H, 0)) == TF_TRAP_BAD_OUTPUT);
    CHECK(TRAP_OF(guest, tf_wasi_proc_exit(H, 3)) == TF_TRAP_EXIT && tf_wasi_exit_code(guest->wasi) == 3);
    CHECK(guest->log_lines == 1 && strstr(guest->log[0].text, "code 3") != NULL);
    guest = cgi();
    struct tf_program const command = {.is_command = true};
    guest->request.program = &command;
    CHECK(TRAP_OF(guest, tf_wasi_proc_exit(H, 3)) == TF_TRAP_NONE && guest->has_exited);
    guest = fake_reset(); /* a Terrarium guest's response is what it set */
    CHECK(TRAP_OF(guest, tf_wasi_proc_exit(H, 0)) == TF_TRAP_NONE && guest->has_exited);
    ERROR(tf_wasi_proc_raise(H, 9), TF_WASI_NOTSUP);
}

/* ---- system ---- */

static void clocks_go_forward(void)
{
    struct tf_guest *const guest = cgi();
    for (uint32_t clock = 0; clock < 4; clock++) {
        ERROR(tf_wasi_clock_res_get(H, clock, 3), TF_WASI_OK);
        CHECK(u64_at(guest, 3) >= 1);
        ERROR(tf_wasi_clock_time_get(H, clock, 0, 13), TF_WASI_OK);
        ERROR(tf_wasi_clock_time_get(H, clock, UINT64_MAX, 21), TF_WASI_OK);
        CHECK(u64_at(guest, 21) >= u64_at(guest, 13) && u64_at(guest, 13) > 0);
    }
    ERROR(tf_wasi_clock_res_get(H, 4, 0), TF_WASI_INVAL);
    ERROR(tf_wasi_clock_time_get(H, UINT32_MAX, 0, 0), TF_WASI_INVAL);
    ERROR(tf_wasi_clock_res_get(H, 0, END - 7), TF_WASI_FAULT);
    ERROR(tf_wasi_clock_time_get(H, 0, 0, UINT32_MAX), TF_WASI_FAULT);
    ERROR(tf_wasi_sched_yield(H), TF_WASI_OK);
}

static void randomness_fills_just_what_it_should(void)
{
    struct tf_guest *const guest = cgi();
    static const uint32_t lengths[] = {0, 1, 255, 256, 257, 4096, 4097, 100000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint32_t zeros = 0;
        memset(guest->memory, 0, 200000);
        ERROR(tf_wasi_random_get(H, 101, lengths[i]), TF_WASI_OK);
        for (uint32_t k = 0; k < lengths[i]; k++)
            zeros += guest->memory[101 + k] == 0;
        CHECK(guest->memory[100] == 0 && guest->memory[101 + lengths[i]] == 0);
        CHECK(zeros <= lengths[i] / 16 + 4); /* 1 in 256 is expected */
    }
    ERROR(tf_wasi_random_get(H, END, 0), TF_WASI_OK);
    ERROR(tf_wasi_random_get(H, END, 1), TF_WASI_FAULT);
    ERROR(tf_wasi_random_get(H, 1, UINT32_MAX), TF_WASI_FAULT);
}

static void subscribe(struct tf_guest *guest, uint32_t at, uint64_t data, uint8_t type, uint32_t id, uint64_t timeout,
                      uint16_t flags)
{
    memset(guest->memory + at, 0, 48);
    fake_put(guest, at, &data, 8);
    fake_put(guest, at + 8, &type, 1);
    fake_put(guest, at + 16, &id, 4);
    fake_put(guest, at + 24, &timeout, 8);
    fake_put(guest, at + 40, &flags, 2);
}

static void waiting_ends_with_what_is_ready(void)
{
    struct tf_guest *const guest = cgi();
    guest->request.body = fake_text("12345");
    subscribe(guest, 1, 7, 0, 1, 1000, 0);
    ERROR(tf_wasi_poll_oneoff(H, 1, 1001, 1, 2001), TF_WASI_OK);
    CHECK(fake_u32(guest, 2001) == 1 && u64_at(guest, 1001) == 7 && guest->memory[1011] == 0);
    subscribe(guest, 1, 7, 0, 1, 3600ull * 1000000000, 0);
    subscribe(guest, 49, 8, 1, 0, 0, 0);
    subscribe(guest, 97, 9, 2, 99, 0, 0);
    ERROR(tf_wasi_poll_oneoff(H, 1, 1001, 3, 2001), TF_WASI_OK); /* a long wait, but something is ready */
    CHECK(fake_u32(guest, 2001) == 2 && u64_at(guest, 1001) == 8 && u64_at(guest, 1017) == 5);
    CHECK(u64_at(guest, 1033) == 9 && guest->memory[1041] == TF_WASI_BADF);
    subscribe(guest, 1, 1, 0, 0, 1, 1); /* absolute and long ago */
    ERROR(tf_wasi_poll_oneoff(H, 1, 1001, 1, 2001), TF_WASI_OK);
    subscribe(guest, 1, 1, 0, 77, 1, 0); /* no such clock */
    ERROR(tf_wasi_poll_oneoff(H, 1, 1001, 1, 2001), TF_WASI_OK);
    CHECK(fake_u32(guest, 2001) == 1 && guest->memory[1009] == TF_WASI_INVAL);
    subscribe(guest, 1, 1, 0, 1, UINT64_MAX, 0);
    CHECK(TRAP_OF(guest, tf_wasi_poll_oneoff(H, 1, 1001, 1, 2001)) == TF_TRAP_UNREACHABLE && guest->waits > 0);
    ERROR(tf_wasi_poll_oneoff(H, 1, 1001, 0, 2001), TF_WASI_INVAL);
    ERROR(tf_wasi_poll_oneoff(H, 1, 1001, UINT32_MAX, 2001), TF_WASI_INVAL);
    ERROR(tf_wasi_poll_oneoff(H, END - 47, 1001, 1, 2001), TF_WASI_FAULT);
    ERROR(tf_wasi_poll_oneoff(H, 1, END - 31, 1, 2001), TF_WASI_FAULT);
    ERROR(tf_wasi_poll_oneoff(H, 1, 1001, 1, END - 3), TF_WASI_FAULT);
    subscribe(guest, 1, 1, 0, 1, 1, 0);
    ERROR(tf_wasi_poll_oneoff(H, 1, 1, 1, 9), TF_WASI_OK); /* all in one place */
}

static void there_are_no_sockets(void)
{
    struct tf_guest *const guest = cgi();
    ERROR(tf_wasi_sock_accept(H, 1, 0, 0), TF_WASI_NOTSOCK);
    ERROR(tf_wasi_sock_recv(H, 0, 0, 0, 0, 0, 0), TF_WASI_NOTSOCK);
    ERROR(tf_wasi_sock_send(H, 1, UINT32_MAX, 1, 0, 0), TF_WASI_NOTSOCK);
    ERROR(tf_wasi_sock_shutdown(H, 2, 3), TF_WASI_NOTSOCK);
    ERROR(tf_wasi_sock_accept(H, 3, 0, 0), TF_WASI_BADF);
    ERROR(tf_wasi_sock_recv(H, 4, 0, 0, 0, 0, 0), TF_WASI_BADF);
    ERROR(tf_wasi_sock_send(H, 5, 0, 0, 0, 0), TF_WASI_BADF);
    ERROR(tf_wasi_sock_shutdown(H, UINT32_MAX, 0), TF_WASI_BADF);
}

static void streams_are_described(void)
{
    struct tf_guest *const guest = cgi();
    ERROR(tf_wasi_fd_fdstat_get(H, 1, 33), TF_WASI_OK);
    CHECK(guest->memory[33] == TF_WASI_TYPE_UNKNOWN && (u64_at(guest, 41) & TF_WASI_FD_WRITE) != 0);
    CHECK((u64_at(guest, 41) & (TF_WASI_FD_SEEK | TF_WASI_FD_TELL | TF_WASI_FD_READ)) == 0);
    ERROR(tf_wasi_fd_fdstat_get(H, 1, END - 23), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_fdstat_get(H, 3, 0), TF_WASI_BADF);
    ERROR(tf_wasi_fd_filestat_get(H, 0, 33), TF_WASI_OK);
    ERROR(tf_wasi_fd_filestat_get(H, 0, END - 63), TF_WASI_FAULT);
    ERROR(tf_wasi_fd_seek(H, 1, 0, 0, 0), TF_WASI_SPIPE);
    ERROR(tf_wasi_fd_tell(H, 1, 0), TF_WASI_SPIPE);
    ERROR(tf_wasi_fd_advise(H, 1, 0, 0, 0), TF_WASI_SPIPE);
    ERROR(tf_wasi_fd_allocate(H, 1, 0, 1), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_filestat_set_size(H, 1, 0), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_filestat_set_times(H, 1, 0, 0, 0), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_readdir(H, 1, 0, 0, 0, 0), TF_WASI_NOTDIR);
    ERROR(tf_wasi_fd_prestat_get(H, 1, 0), TF_WASI_BADF);
    ERROR(tf_wasi_fd_prestat_dir_name(H, 3, 0, 0), TF_WASI_BADF);
    ERROR(tf_wasi_fd_sync(H, 1), TF_WASI_OK);
    ERROR(tf_wasi_fd_datasync(H, 9), TF_WASI_BADF);
    ERROR(tf_wasi_path_open(H, 1, 0, 0, 1, 0, 0, 0, 0, 0), TF_WASI_NOTDIR);
    ERROR(tf_wasi_path_open(H, 3, 0, 0, 1, 0, 0, 0, 0, 0), TF_WASI_BADF);
    ERROR(tf_wasi_fd_fdstat_set_flags(H, 1, 4), TF_WASI_OK);
    ERROR(tf_wasi_fd_fdstat_set_flags(H, 1, 32), TF_WASI_INVAL);
    ERROR(tf_wasi_fd_fdstat_set_rights(H, 1, TF_WASI_FD_WRITE | TF_WASI_FD_READ, 0), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_fdstat_set_rights(H, 1, 0, 0), TF_WASI_OK);
    ERROR(tf_wasi_fd_write(H, 1, 0, 0, 50), TF_WASI_NOTCAPABLE);
    ERROR(tf_wasi_fd_renumber(H, 2, 0), TF_WASI_OK);
    ERROR(tf_wasi_fd_close(H, 2), TF_WASI_BADF);
    ERROR(tf_wasi_fd_write(H, 0, 0, 0, 50), TF_WASI_OK);
    ERROR(tf_wasi_fd_renumber(H, 0, 9), TF_WASI_BADF);
    ERROR(tf_wasi_fd_close(H, 0), TF_WASI_OK);
    ERROR(tf_wasi_fd_close(H, 0), TF_WASI_BADF);
}

TEST_MAIN(TEST(a_request_becomes_variables), TEST(a_user_whom_the_host_knows_is_told),
          TEST(arguments_hold_no_options), TEST(wild_strings_are_faults),
          TEST(the_body_is_standard_input), TEST(input_may_overwrite_its_own_list), TEST(output_becomes_the_response),
          TEST(output_is_limited), TEST(errors_are_logged_by_the_line), TEST(header_blocks_are_read),
          TEST(a_program_ends_itself), TEST(clocks_go_forward), TEST(randomness_fills_just_what_it_should),
          TEST(waiting_ends_with_what_is_ready), TEST(there_are_no_sockets), TEST(streams_are_described))
