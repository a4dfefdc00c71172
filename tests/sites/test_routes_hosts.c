#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "sites/routes.h"
#include "tests/check.h"

static bool leads(const struct tf_routes *routes, const char *host, const char *site, const char *path)
{
    const struct tf_routes_mapping *const mapping = tf_routes_mapping_of(routes, host);
    return mapping != NULL && strcmp(mapping->site, site) == 0 && strcmp(mapping->path, path) == 0;
}

static struct tf_routes *make(void)
{
    struct tf_routes *const routes = tf_routes_create(3);
    CHECK(tf_routes_add_mapping(routes, "example.com", "blog.example", "") == 0);
    CHECK(tf_routes_add_mapping(routes, "*.example.com", "private:alice,bob", "a b/c") == 0);
    CHECK(tf_routes_add_mapping(routes, "*.deep.example.com", "_default", "-") == 0);
    CHECK(tf_routes_add_site(routes, "blog.example") == 0);
    CHECK(!tf_routes_has_class(routes));
    CHECK(tf_routes_add_site(routes, "private:bob,Alice") == 0);
    CHECK(tf_routes_has_class(routes));
    CHECK(tf_routes_add_domain(routes, "private:bob,Alice", NULL) == 0);
    CHECK(tf_routes_add_domain(routes, "private:bob,Alice", "www.example.com") == 0);
    CHECK(tf_routes_add_domain(routes, "private:bob,Alice", "*.example.org") == 0);
    CHECK(tf_routes_add_site(routes, "team:acme") == 0);
    CHECK(tf_routes_add_domain(routes, "team:acme", NULL) == 0);
    return routes;
}

static void look(const struct tf_routes *routes)
{
    CHECK(leads(routes, "example.com", "blog.example", ""));
    CHECK(leads(routes, "www.example.com", "private:alice,bob", "a b/c"));
    CHECK(leads(routes, "a.b.example.com", "private:alice,bob", "a b/c"));
    CHECK(leads(routes, "x.deep.example.com", "_default", "-"));
    CHECK(leads(routes, "deep.example.com", "private:alice,bob", "a b/c"));
    CHECK(tf_routes_mapping_of(routes, "evilexample.com") == NULL && tf_routes_mapping_of(routes, "com") == NULL);
    CHECK(tf_routes_mapping_of(routes, "") == NULL);
    const char *const site = tf_routes_site_of(routes, "private:alice,bob");
    CHECK(site != NULL && strcmp(site, "private:bob,Alice") == 0);
    CHECK(tf_routes_site_of(routes, "private:bob,alice") == NULL); /* no canonical name */
    CHECK(tf_routes_site_of(routes, "team:acme") != NULL && tf_routes_site_of(routes, "team:other") == NULL);
    CHECK(tf_routes_site_of(routes, "blog.example") != NULL && tf_routes_site_of(routes, "example.com") == NULL);
    CHECK(tf_routes_lists(routes, "private:bob,Alice", "www.example.com") == TF_ROUTES_LISTED);
    CHECK(tf_routes_lists(routes, "private:bob,Alice", "a.example.org") == TF_ROUTES_LISTED);
    CHECK(tf_routes_lists(routes, "private:bob,Alice", "example.org") == TF_ROUTES_NOT_LISTED);
    CHECK(tf_routes_lists(routes, "team:acme", "example.org") == TF_ROUTES_NOT_LISTED);
    CHECK(tf_routes_lists(routes, "blog.example", "example.org") == TF_ROUTES_NO_LIST);
}

static void hosts_lead_to_sites(void)
{
    struct tf_routes *routes = make();
    look(routes);
    tf_routes_destroy(&routes);
}

static void what_is_malformed_is_refused(void)
{
    struct tf_routes *routes = make();
    CHECK(tf_routes_add_mapping(routes, "example.com", "other.example", "") == TF_ERR_USAGE);
    CHECK(tf_routes_add_mapping(routes, "Other.example", "other.example", "") == TF_ERR_USAGE);
    CHECK(tf_routes_add_mapping(routes, "other.example", "..", "") == TF_ERR_USAGE);
    CHECK(tf_routes_add_mapping(routes, "other.example", "blog.example", "../x") == TF_ERR_USAGE);
    CHECK(tf_routes_add_mapping(routes, "private:alice,bob", "blog.example", "") == TF_ERR_USAGE);
    CHECK(tf_routes_add_domain(routes, "unknown.example", NULL) == TF_ERR_USAGE);
    CHECK(tf_routes_add_domain(routes, "team:acme", NULL) == TF_ERR_USAGE);
    CHECK(tf_routes_add_domain(routes, "blog.example", "a.example") == TF_ERR_USAGE); /* no list */
    CHECK(tf_routes_add_domain(routes, "team:acme", "a b") == TF_ERR_USAGE);
    tf_routes_destroy(&routes);
}

static void of_two_spellings_the_canonical_one_wins(void)
{
    struct tf_routes *routes = tf_routes_create(1);
    CHECK(tf_routes_add_site(routes, "private:b,a") == 0 && tf_routes_add_site(routes, "private:B,a") == 0);
    CHECK(strcmp(tf_routes_site_of(routes, "private:a,b"), "private:b,a") == 0);
    CHECK(tf_routes_add_site(routes, "private:a,b") == 0);
    CHECK(strcmp(tf_routes_site_of(routes, "private:a,b"), "private:a,b") == 0);
    tf_routes_destroy(&routes);
}

static void the_file_keeps_it_all(void)
{
    char folder[] = "/tmp/tf-test-hosts-XXXXXX";
    struct tf_error error;
    CHECK(mkdtemp(folder) != NULL);
    int const fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct tf_routes *routes = make(), *copy = NULL;
    CHECK(tf_routes_write(routes, fd, TF_ROUTES_MODE, &error) == 0);
    CHECK_MESSAGE(tf_routes_read(fd, 3, &copy, &error) == 0, "%s", error.text);
    if (copy != NULL)
        look(copy);
    tf_routes_destroy(&routes);
    tf_routes_destroy(&copy);
    close(fd);
    CHECK(tf_file_remove_tree(AT_FDCWD, folder, NULL) == 0);
}

static void many_hosts_are_found(void)
{
    struct tf_routes *routes = tf_routes_create(1);
    char host[64];
    for (int i = 0; i < 20000; i++) {
        snprintf(host, sizeof(host), "h%d.example", i);
        CHECK(tf_routes_add_mapping(routes, host, "blog.example", "") == 0);
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(host, sizeof(host), "h%d.example", i);
        CHECK(tf_routes_mapping_of(routes, host) != NULL);
    }
    CHECK(tf_routes_mapping_of(routes, "h20000.example") == NULL);
    tf_routes_destroy(&routes);
}

TEST_MAIN(TEST(hosts_lead_to_sites), TEST(what_is_malformed_is_refused), TEST(of_two_spellings_the_canonical_one_wins),
          TEST(the_file_keeps_it_all), TEST(many_hosts_are_found))
