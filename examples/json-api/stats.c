/*
 * A small JSON service: statistics of a list of numbers.
 *
 *     curl --data '[3, 1, 4, 1, 5]' http://localhost:8080/stats.wasm
 *     {"count": 5, "sum": 14, "mean": 2.8, "median": 3, "min": 1, "max": 5, "deviation": 1.6}
 *
 * What is wrong with a request is said with 400 and a JSON body that names the place.
 */
#include <terrafirma/guest.h>

struct numbers {
    double *values;
    size_t count, capacity;
};

struct parser {
    struct tf_text text;
    size_t at;
    const char *error; /* NULL: fine so far */
};

static char peek(const struct parser *parser)
{
    return parser->at < parser->text.length ? parser->text.bytes[parser->at] : '\0';
}

static void skip_space(struct parser *parser)
{
    while (peek(parser) == ' ' || peek(parser) == '\t' || peek(parser) == '\r' || peek(parser) == '\n')
        parser->at++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits into *value, as many as there are; false if there is none. */
static bool take_digits(struct parser *parser, double *value, int *ret_count)
{
    *ret_count = 0;
    for (; is_digit(peek(parser)); parser->at++) {
        *value = *value * 10 + (peek(parser) - '0');
        *ret_count += 1;
    }
    return *ret_count > 0;
}

static double take_number(struct parser *parser)
{
    double value = 0, written_exponent = 0;
    int digits, shift = 0;
    bool const negative = peek(parser) == '-';
    parser->at += negative;
    bool const leading_zero = peek(parser) == '0';
    if (!take_digits(parser, &value, &digits) || (leading_zero && digits > 1))
        parser->error = "a number was expected";
    if (peek(parser) == '.') {
        parser->at++;
        if (!take_digits(parser, &value, &shift))
            parser->error = "a digit was expected after the point";
        shift = -shift;
    }
    if (peek(parser) == 'e' || peek(parser) == 'E') {
        parser->at++;
        bool const down = peek(parser) == '-';
        if (down || peek(parser) == '+')
            parser->at++;
        if (!take_digits(parser, &written_exponent, &digits) || written_exponent > 400)
            parser->error = "this exponent is no use";
        else
            shift += down ? -(int)written_exponent : (int)written_exponent;
    }
    for (; shift > 0 && value != 0 && value - value == 0; shift--)
        value *= 10;
    double divisor = 1;
    for (; shift < 0 && value != 0; shift++) {
        divisor *= 10;
        /* One division at the end is exact where many small ones are not; far down it takes several. */
        if (divisor >= 1e22 || shift == -1) {
            value /= divisor;
            divisor = 1;
        }
    }
    if (value - value != 0)
        parser->error = "a number is too large";
    return negative ? -value : value;
}

static void keep(struct numbers *numbers, double value)
{
    if (numbers->count == numbers->capacity) {
        numbers->capacity = 2 * numbers->capacity + 64;
        double *const values = tf_allocate(numbers->capacity * sizeof(double));
        memcpy(values, numbers->values, numbers->count * sizeof(double));
        numbers->values = values;
    }
    numbers->values[numbers->count++] = value;
}

static void parse(struct parser *parser, struct numbers *numbers)
{
    skip_space(parser);
    if (peek(parser) != '[') {
        parser->error = "an array of numbers was expected";
        return;
    }
    char separator;
    do {
        parser->at++;
        skip_space(parser);
        if (peek(parser) == ']' && numbers->count == 0)
            break;
        double const value = take_number(parser);
        if (parser->error != NULL)
            return;
        keep(numbers, value);
        skip_space(parser);
        separator = peek(parser);
    } while (separator == ',');
    if (peek(parser) != ']') {
        parser->error = "a comma or the array's end was expected";
        return;
    }
    parser->at++;
    skip_space(parser);
    if (parser->at < parser->text.length)
        parser->error = "something follows the array";
}

static void sift_down(double *values, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && values[child + 1] > values[child])
            child++;
        if (values[root] >= values[child])
            return;
        double const moved = values[root];
        values[root] = values[child];
        values[child] = moved;
    }
}

/* Heap sort: no order of the input makes it slow. */
static void sort(double *values, size_t count)
{
    for (size_t i = count / 2; i > 0; i--)
        sift_down(values, i - 1, count);
    for (size_t last = count; last > 1; last--) {
        double const largest = values[0];
        values[0] = values[last - 1];
        values[last - 1] = largest;
        sift_down(values, 0, last - 1);
    }
}

static void add_field(struct tf_builder *out, const char *name, double value)
{
    tf_add_string(out, ", ");
    tf_add_json(out, tf_text(name));
    tf_add_string(out, ": ");
    tf_add_number(out, value);
}

static void answer(const struct numbers *numbers)
{
    size_t const count = numbers->count;
    const double *const values = numbers->values;
    struct tf_builder out = {0};
    tf_add_string(&out, "{\"count\": ");
    tf_add_integer(&out, (int64_t)count);
    if (count > 0) {
        sort(numbers->values, count);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < count; i++)
            sum += values[i];
        double const mean = sum / (double)count;
        for (size_t i = 0; i < count; i++)
            squares += (values[i] - mean) * (values[i] - mean);
        add_field(&out, "sum", sum);
        add_field(&out, "mean", mean);
        add_field(&out, "median", count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2);
        add_field(&out, "min", values[0]);
        add_field(&out, "max", values[count - 1]);
        add_field(&out, "deviation", __builtin_sqrt(squares / (double)count));
    }
    tf_add_string(&out, "}\n");
    tf_respond(200, "application/json", &out);
}

static void refuse(int status, const char *error, size_t at)
{
    struct tf_builder out = {0};
    tf_add_string(&out, "{\"error\": ");
    tf_add_json(&out, tf_text(error));
    tf_add_string(&out, ", \"at\": ");
    tf_add_integer(&out, (int64_t)at);
    tf_add_string(&out, "}\n");
    tf_respond(status, "application/json", &out);
}

void run(void)
{
    tf_start();
    if (!tf_equals(tf_method(), "POST")) {
        tf_set_header("allow", "POST");
        refuse(405, "POST an array of numbers", 0);
        return;
    }
    struct parser parser = {.text = tf_body()};
    struct numbers numbers = {0};
    parse(&parser, &numbers);
    if (parser.error != NULL)
        refuse(400, parser.error, parser.at);
    else
        answer(&numbers);
}
