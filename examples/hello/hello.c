/* Hello in C, by name if the query has one: /hello.wasm?name=Ada */
#include <terrafirma/guest.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* A form's value: `+` is a space, %41 is an A, and `&` ends it. */
static void add_decoded(struct tf_builder *out, struct tf_text value)
{
    for (size_t i = 0; i < value.length && value.bytes[i] != '&'; i++) {
        char const c = value.bytes[i];
        if (c == '%' && i + 2 < value.length && hex_digit(value.bytes[i + 1]) >= 0 &&
            hex_digit(value.bytes[i + 2]) >= 0) {
            tf_add_byte(out, (char)(hex_digit(value.bytes[i + 1]) * 16 + hex_digit(value.bytes[i + 2])));
            i += 2;
        } else {
            tf_add_byte(out, c == '+' ? ' ' : c);
        }
    }
}

void run(void)
{
    tf_start();
    struct tf_builder page = {0};
    struct tf_text const query = tf_query();
    tf_add_string(&page, "Hello, ");
    if (tf_starts_with(query, "name=") && query.length > 5)
        add_decoded(&page, tf_from(query, 5));
    else
        tf_add_string(&page, "world");
    tf_add_string(&page, "!\n");
    tf_respond(200, "text/plain; charset=utf-8", &page);
}
