/* The helpers of guest.h. */
#include <terrafirma/guest.h>

#define WASM_PAGE_BYTES 65536u

/* ---- memory ---- */

/* Set by the linker: the first address behind data and stack. */
extern unsigned char __heap_base;

static uintptr_t heap_next, heap_end;

/* Hands out memory upwards, and never takes it back: the instance does not outlive the request. */
static void *allocate(size_t bytes)
{
    if (heap_end == 0) {
        heap_next = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
        heap_end = __builtin_wasm_memory_size(0) * WASM_PAGE_BYTES;
    }
    if (bytes > SIZE_MAX - 15 - heap_next)
        return NULL;
    size_t const padded = (bytes + 15) & ~(size_t)15;
    if (padded > heap_end - heap_next) {
        size_t const pages = (padded - (heap_end - heap_next) + WASM_PAGE_BYTES - 1) / WASM_PAGE_BYTES;
        if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX)
            return NULL;
        heap_end += pages * WASM_PAGE_BYTES;
    }
    void *const block = (void *)heap_next;
    heap_next += padded;
    return block;
}

static void release(void *block)
{
    (void)block;
}

void tf_start(void)
{
    hostcall_init_mm(allocate, release);
}

void tf_fail(const char *message)
{
    hostcall_panic_hook(message, strlen(message));
    __builtin_trap();
}

void *tf_allocate(size_t bytes)
{
    void *const block = allocate(bytes);
    if (block == NULL)
        tf_fail("out of memory");
    return block;
}

/* With bulk memory these two are one instruction each. */
void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    return __builtin_memcpy(to, from, length);
}

void *memset(void *to, int byte, size_t length)
{
    return __builtin_memset(to, byte, length);
}

int memcmp(const void *left, const void *right, size_t length)
{
    const unsigned char *const a = left, *const b = right;
    for (size_t i = 0; i < length; i++) {
        if (a[i] != b[i])
            return a[i] - b[i];
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

/* ---- texts and builders ---- */

struct tf_text tf_from(struct tf_text text, size_t count)
{
    if (count > text.length)
        count = text.length;
    return (struct tf_text){text.bytes + count, text.length - count};
}

void tf_add(struct tf_builder *builder, struct tf_text text)
{
    if (text.length > builder->capacity - builder->length) {
        size_t const capacity = 2 * (builder->length + text.length) + 64;
        if (capacity < builder->length)
            tf_fail("out of memory");
        char *const bytes = tf_allocate(capacity);
        memcpy(bytes, builder->bytes, builder->length);
        builder->bytes = bytes;
        builder->capacity = capacity;
    }
    memcpy(builder->bytes + builder->length, text.bytes, text.length);
    builder->length += text.length;
}

void tf_add_byte(struct tf_builder *builder, char byte)
{
    tf_add(builder, (struct tf_text){&byte, 1});
}

void tf_add_integer(struct tf_builder *builder, int64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0)
        tf_add_byte(builder, '-');
    tf_add(builder, (struct tf_text){digits + at, sizeof(digits) - at});
}

/* value * 10^shift. Powers up to 10^22 are exact. */
static double scale(double value, int shift)
{
    double power = 1;
    for (int i = shift < 0 ? -shift : shift; i > 0; i--)
        power *= 10;
    return shift < 0 ? value / power : value * power;
}

enum { DIGITS = 15 };

static void add_digits(struct tf_builder *builder, const char *digits, int count, int exponent)
{
    if (exponent < -5 || exponent >= DIGITS) {
        tf_add_byte(builder, digits[0]);
        if (count > 1) {
            tf_add_byte(builder, '.');
            tf_add(builder, (struct tf_text){digits + 1, (size_t)count - 1});
        }
        tf_add_byte(builder, 'e');
        tf_add_integer(builder, exponent);
        return;
    }
    if (exponent < 0)
        tf_add_string(builder, "0.");
    for (int i = exponent; i < -1; i++)
        tf_add_byte(builder, '0');
    for (int i = 0; i < count || i <= exponent; i++) {
        if (i > 0 && i == exponent + 1)
            tf_add_byte(builder, '.');
        tf_add_byte(builder, i < count ? digits[i] : '0');
    }
}

void tf_add_number(struct tf_builder *builder, double value)
{
    if (value != value || value - value != 0) {
        tf_add_string(builder, "null");
        return;
    }
    if (value < 0) {
        tf_add_byte(builder, '-');
        value = -value;
    }
    if (value == 0) {
        tf_add_byte(builder, '0');
        return;
    }
    /* An integer of DIGITS digits; first into a range in which one power of ten does it. */
    int exponent = 0, shift = 0;
    for (; value >= 1e21; exponent += 21)
        value /= 1e21;
    for (; value < 1e-7; exponent -= 21)
        value *= 1e21;
    while (scale(value, shift) < 1e14)
        shift++;
    while (scale(value, shift) >= 1e15)
        shift--;
    uint64_t integer = (uint64_t)(scale(value, shift) + 0.5);
    if (integer == 1000000000000000u) {
        integer /= 10;
        shift--;
    }
    char digits[DIGITS];
    int count = DIGITS;
    for (int i = DIGITS - 1; i >= 0; i--) {
        digits[i] = (char)('0' + integer % 10);
        integer /= 10;
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    add_digits(builder, digits, count, exponent + DIGITS - 1 - shift);
}

void tf_add_html(struct tf_builder *builder, struct tf_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        switch (text.bytes[i]) {
        case '&':
            tf_add_string(builder, "&amp;");
            break;
        case '<':
            tf_add_string(builder, "&lt;");
            break;
        case '>':
            tf_add_string(builder, "&gt;");
            break;
        case '"':
            tf_add_string(builder, "&quot;");
            break;
        case '\'':
            tf_add_string(builder, "&#39;");
            break;
        default:
            tf_add_byte(builder, text.bytes[i]);
        }
    }
}

/* Length of the UTF-8 sequence at the start, 0 where there is none. */
static size_t utf8_length(struct tf_text text)
{
    const unsigned char *const b = (const unsigned char *)text.bytes;
    size_t const length = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
    if (length == 0 || length > text.length)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    }
    /* Too long for what it says, a surrogate, or above U+10FFFF. */
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] >= 0xa0) || (b[0] == 0xf0 && b[1] < 0x90) ||
        (b[0] == 0xf4 && b[1] >= 0x90))
        return 0;
    return length;
}

void tf_add_json(struct tf_builder *builder, struct tf_text text)
{
    static const char hex[] = "0123456789abcdef";
    tf_add_byte(builder, '"');
    while (text.length > 0) {
        unsigned char const byte = (unsigned char)text.bytes[0];
        size_t const length = utf8_length(text);
        if (length == 0) {
            tf_add_string(builder, "\\ufffd");
        } else if (byte == '"' || byte == '\\') {
            tf_add_byte(builder, '\\');
            tf_add_byte(builder, (char)byte);
        } else if (byte == '\n') {
            tf_add_string(builder, "\\n");
        } else if (byte < 0x20 || byte == 0x7f) {
            tf_add_string(builder, "\\u00");
            tf_add_byte(builder, hex[byte >> 4]);
            tf_add_byte(builder, hex[byte & 15]);
        } else {
            tf_add(builder, (struct tf_text){text.bytes, length});
        }
        text = tf_from(text, length > 0 ? length : 1);
    }
    tf_add_byte(builder, '"');
}

/* ---- request and response ---- */

struct tf_text tf_method(void)
{
    char *bytes;
    size_t length;
    hostcall_req_get_method(&bytes, &length, REQUEST_INCOMING);
    return (struct tf_text){bytes, length};
}

static struct tf_text whole_path(size_t *ret_question_mark)
{
    char *bytes;
    size_t length, at = 0;
    hostcall_req_get_path(&bytes, &length, REQUEST_INCOMING);
    while (at < length && bytes[at] != '?')
        at++;
    *ret_question_mark = at;
    return (struct tf_text){bytes, length};
}

struct tf_text tf_path(void)
{
    size_t end;
    struct tf_text path = whole_path(&end);
    path.length = end;
    return path;
}

struct tf_text tf_query(void)
{
    size_t end;
    struct tf_text const path = whole_path(&end);
    return tf_from(path, end + 1);
}

struct tf_text tf_body(void)
{
    uint8_t *bytes;
    size_t length;
    hostcall_req_get_body(&bytes, &length, REQUEST_INCOMING);
    return (struct tf_text){(const char *)bytes, length};
}
