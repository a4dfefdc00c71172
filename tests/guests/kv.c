/*
 * Does with the key-value store what its request's body says, a line each, and answers with what came of it.
 *
 *     get KEY                 "1 VALUE", or "0"
 *     insert KEY VALUE        and upsert, append: "1" where the key was absent, else "0"
 *     remove KEY              "1" where it was there, else "0"
 *     fill KEY BYTES          inserts that many bytes
 *     count KEY N             appends one byte N times
 *     read KEY N              reads the key N times: nanoseconds a read
 *     make KEY N              inserts keys that begin with KEY, numbered from 0, with values of some 30 bytes
 *     scan KEY N              reads each of those once, in another order: nanoseconds a read, and how many were there
 */
#include <terrafirma/guest.h>

static struct tf_builder out;

static struct tf_text word(struct tf_text *rest)
{
    size_t length = 0;
    while (length < rest->length && rest->bytes[length] != ' ')
        length++;
    struct tf_text const taken = {rest->bytes, length};
    *rest = tf_from(*rest, length + (length < rest->length));
    return taken;
}

static uint32_t number(struct tf_text text)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.length; i++)
        value = value * 10 + (uint32_t)(text.bytes[i] - '0');
    return value;
}

static int64_t now_ns(void)
{
    uint32_t nanoseconds;
    int64_t const seconds = hostcall_time_now(&nanoseconds);
    return seconds * 1000000000 + nanoseconds;
}

static void get(struct tf_text key)
{
    uint8_t *value;
    size_t length;
    if (!hostcall_kvstore_get(&value, &length, key.bytes, key.length)) {
        tf_add_string(&out, value == NULL && length == 0 ? "0" : "0 with something");
        return;
    }
    tf_add_string(&out, value == NULL ? "1 without an address" : "1 ");
    tf_add(&out, (struct tf_text){(const char *)value, length});
}

static void read_often(struct tf_text key, uint32_t times)
{
    uint8_t *value;
    size_t length;
    int64_t const began = now_ns();
    for (uint32_t i = 0; i < times; i++)
        hostcall_kvstore_get(&value, &length, key.bytes, key.length);
    tf_add_integer(&out, (now_ns() - began) / (times > 0 ? times : 1));
}

/* KEY followed by a number of eight digits. */
static struct tf_text numbered(struct tf_text key, uint32_t value, char *buffer)
{
    memcpy(buffer, key.bytes, key.length);
    for (size_t i = key.length + 8; i > key.length; i--, value /= 10)
        buffer[i - 1] = (char)('0' + value % 10);
    return (struct tf_text){buffer, key.length + 8};
}

static void make_many(struct tf_text key, uint32_t count)
{
    char buffer[512], value[] = "value of the key with the number";
    for (uint32_t i = 0; i < count && key.length < 500; i++) {
        struct tf_text const name = numbered(key, i, buffer);
        hostcall_kvstore_insert(name.bytes, name.length, (const uint8_t *)value, sizeof(value));
    }
    tf_add_string(&out, "made");
}

static void scan(struct tf_text key, uint32_t count)
{
    char buffer[512];
    uint8_t *value;
    size_t length;
    uint32_t there = 0;
    int64_t const began = now_ns();
    for (uint32_t i = 0; i < count && key.length < 500; i++) {
        struct tf_text const name = numbered(key, (uint32_t)((uint64_t)i * 7919 % count), buffer);
        there += hostcall_kvstore_get(&value, &length, name.bytes, name.length);
    }
    tf_add_integer(&out, (now_ns() - began) / (count > 0 ? count : 1));
    tf_add_byte(&out, ' ');
    tf_add_integer(&out, there);
}

static void say(bool yes)
{
    tf_add_byte(&out, yes ? '1' : '0');
}

static void act(struct tf_text line)
{
    struct tf_text const verb = word(&line), key = word(&line);
    const uint8_t *const value = (const uint8_t *)line.bytes;
    if (tf_equals(verb, "get")) {
        get(key);
    } else if (tf_equals(verb, "insert")) {
        say(hostcall_kvstore_insert(key.bytes, key.length, value, line.length));
    } else if (tf_equals(verb, "upsert")) {
        say(hostcall_kvstore_upsert(key.bytes, key.length, value, line.length));
    } else if (tf_equals(verb, "append")) {
        say(hostcall_kvstore_append(key.bytes, key.length, value, line.length));
    } else if (tf_equals(verb, "remove")) {
        say(hostcall_kvstore_remove(key.bytes, key.length));
    } else if (tf_equals(verb, "fill")) {
        uint8_t *const bytes = tf_allocate(number(line));
        memset(bytes, 'x', number(line));
        say(hostcall_kvstore_insert(key.bytes, key.length, bytes, number(line)));
    } else if (tf_equals(verb, "count")) {
        for (uint32_t i = number(line); i > 0; i--)
            hostcall_kvstore_append(key.bytes, key.length, (const uint8_t *)".", 1);
        tf_add_string(&out, "counted");
    } else if (tf_equals(verb, "read")) {
        read_often(key, number(line));
    } else if (tf_equals(verb, "make")) {
        make_many(key, number(line));
    } else if (tf_equals(verb, "scan")) {
        scan(key, number(line));
    } else {
        tf_fail("no such verb");
    }
    tf_add_byte(&out, '\n');
}

void run(void)
{
    uint8_t *body;
    size_t length;
    tf_start();
    hostcall_req_get_body(&body, &length, REQUEST_INCOMING);
    struct tf_text rest = {(const char *)body, length};
    while (rest.length > 0) {
        size_t end = 0;
        while (end < rest.length && rest.bytes[end] != '\n')
            end++;
        act((struct tf_text){rest.bytes, end});
        rest = tf_from(rest, end + (end < rest.length));
    }
    hostcall_resp_set_body(RESPONSE_OUTGOING, out.bytes, out.length);
}
