/* A CGI program that looks at files: ?list=PATH, ?read=PATH (its length and first bytes), ?write=PATH, ?stat=PATH. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void list(const char *path)
{
    DIR *const folder = opendir(path);
    if (folder == NULL) {
        printf("errno %d\n", errno);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        printf("%s%s\n", entry->d_name, entry->d_type == DT_DIR ? "/" : "");
    closedir(folder);
}

static void take(const char *path)
{
    static char bytes[65536];
    unsigned long total = 0;
    size_t count;
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        printf("errno %d\n", errno);
        return;
    }
    count = fread(bytes, 1, 64, file);
    printf("%.*s\n", (int)count, bytes);
    for (total = count; (count = fread(bytes, 1, sizeof(bytes), file)) > 0;)
        total += count;
    printf("%lu bytes\n", total);
    fclose(file);
}

int main(void)
{
    const char *const query = getenv("QUERY_STRING");
    const char *const path = query != NULL ? strchr(query, '=') : NULL;
    struct stat status;
    printf("Content-Type: text/plain\n\n");
    if (path == NULL)
        return 0;
    if (query[0] == 'l')
        list(path + 1);
    else if (query[0] == 'r')
        take(path + 1);
    else if (query[0] == 'w')
        printf("%d\n", open(path + 1, O_WRONLY | O_CREAT | O_TRUNC, 0600) < 0 ? errno : 0);
    else if (stat(path + 1, &status) != 0)
        printf("errno %d\n", errno);
    else
        printf("%ld bytes\n", (long)status.st_size);
    return 0;
}
