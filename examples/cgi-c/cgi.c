/*
 * A CGI program in plain C: no library but the toolchain's own.
 *
 * GET says what was asked; POST and PUT send the body back; ?bytes=N answers N bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name)
{
    const char *const value = getenv(name);
    return value != NULL ? value : "";
}

static void echo(void)
{
    static char chunk[65536];
    size_t length;
    printf("Content-Type: application/octet-stream\n\n");
    while ((length = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
        fwrite(chunk, 1, length, stdout);
}

static void fill(long bytes)
{
    printf("Content-Type: text/plain\n\n");
    for (long i = 0; i < bytes; i++)
        putchar('a' + (int)(i % 26));
}

int main(void)
{
    const char *const method = variable("REQUEST_METHOD");
    const char *const query = variable("QUERY_STRING");
    if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        echo();
    } else if (strncmp(query, "bytes=", 6) == 0) {
        fill(strtol(query + 6, NULL, 10));
    } else {
        fprintf(stderr, "asked for %s\n", variable("REQUEST_URI"));
        printf("Content-Type: text/plain; charset=utf-8\nSet-Cookie: language=c\nSet-Cookie: seen=1\n\n");
        printf("Grüße aus C: %s %s\n", method, variable("PATH_INFO"));
    }
    return 0;
}
