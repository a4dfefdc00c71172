/*
 * Markdown to HTML. POST a text and get the page; GET shows this function's own manual.
 *
 *     curl --data-binary @README.md http://localhost:8080/markdown.wasm
 *
 * Headings, paragraphs, lists, quotes, fenced code, rules; emphasis, code and links within a line. What is not Markdown
 * comes out as text: the result holds no HTML but what is written here, so it may be shown to anybody.
 */
#include <terrafirma/guest.h>

static const char manual[] =
    "# Markdown\n\n"
    "This page was *text* a moment ago: a function turned it into HTML.\n\n"
    "## What it knows\n\n"
    "- **Bold**, *italic*, `code`\n"
    "- [Links](https://commonmark.org/help/), if they lead to the web, to mail or to this site\n"
    "- Lists, numbered ones too\n\n"
    "> Quotes,\n> over several lines\n\n"
    "```\ncurl --data-binary @README.md http://localhost:8080/markdown.wasm\n```\n\n"
    "---\n\n"
    "1. HTML is shown, not run: <script>alert('no')</script>\n"
    "2. So are links of other kinds: [no](javascript:alert(1))\n";

static const char page_begin[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Markdown</title>\n"
    "<style>body{font:1.1em/1.6 Georgia,serif;max-width:40em;margin:3em auto;padding:0 1em;color:#222}"
    "pre,code{font:.9em monospace;background:#f4f1ea}pre{padding:1em;overflow:auto}"
    "blockquote{border-left:3px solid #cba;margin-left:0;padding-left:1em;color:#555}</style>\n";

/* ---- within a line ---- */

static void add_inline(struct tf_builder *out, struct tf_text text);

static bool is_link_target(struct tf_text target)
{
    if (tf_starts_with(target, "https://") || tf_starts_with(target, "http://") || tf_starts_with(target, "mailto:"))
        return true;
    /* Within this site: no scheme, which is what a colon before the first slash would make. */
    for (size_t i = 0; i < target.length && target.bytes[i] != '/'; i++) {
        if (target.bytes[i] == ':' || (unsigned char)target.bytes[i] <= ' ' || target.bytes[i] == '\\')
            return false;
    }
    return target.length > 0;
}

/* Where `mark` comes again, at `from` or later; the text's length if it does not. */
static size_t find(struct tf_text text, size_t from, const char *mark)
{
    for (size_t i = from; i < text.length; i++) {
        if (tf_starts_with(tf_from(text, i), mark))
            return i;
    }
    return text.length;
}

/* `text` begins with `mark`: adds what it encloses, and returns the bytes it took, or 0 if nothing closes it. */
static size_t add_enclosed(struct tf_builder *out, struct tf_text text, const char *mark, const char *element)
{
    size_t const width = strlen(mark);
    size_t const end = find(text, width, mark);
    if (end == text.length || end == width)
        return 0;
    struct tf_text const inner = {text.bytes + width, end - width};
    tf_add_string(out, "<");
    tf_add_string(out, element);
    tf_add_string(out, ">");
    if (tf_equals((struct tf_text){mark, width}, "`"))
        tf_add_html(out, inner);
    else
        add_inline(out, inner);
    tf_add_string(out, "</");
    tf_add_string(out, element);
    tf_add_string(out, ">");
    return end + width;
}

/* [label](target) */
static size_t add_link(struct tf_builder *out, struct tf_text text)
{
    size_t const middle = find(text, 1, "](");
    if (middle == text.length)
        return 0;
    size_t const end = find(text, middle + 2, ")");
    if (end == text.length)
        return 0;
    struct tf_text const target = {text.bytes + middle + 2, end - middle - 2};
    if (!is_link_target(target))
        return 0;
    tf_add_string(out, "<a href=\"");
    tf_add_html(out, target);
    tf_add_string(out, "\">");
    tf_add_html(out, (struct tf_text){text.bytes + 1, middle - 1});
    tf_add_string(out, "</a>");
    return end + 1;
}

static void add_inline(struct tf_builder *out, struct tf_text text)
{
    while (text.length > 0) {
        size_t taken = 0;
        if (tf_starts_with(text, "`"))
            taken = add_enclosed(out, text, "`", "code");
        else if (tf_starts_with(text, "**"))
            taken = add_enclosed(out, text, "**", "strong");
        else if (tf_starts_with(text, "*"))
            taken = add_enclosed(out, text, "*", "em");
        else if (tf_starts_with(text, "["))
            taken = add_link(out, text);
        if (taken == 0) {
            tf_add_html(out, (struct tf_text){text.bytes, 1});
            taken = 1;
        }
        text = tf_from(text, taken);
    }
}

/* ---- lines ---- */

/* The element that is open, by name, or NULL; lines of the same kind go on in it. */
static const char *open_block;

static void close_block(struct tf_builder *out)
{
    if (open_block != NULL) {
        tf_add_string(out, "</");
        tf_add_string(out, open_block);
        tf_add_string(out, ">\n");
    }
    open_block = NULL;
}

/* True if it was not open before. */
static bool enter_block(struct tf_builder *out, const char *element)
{
    if (open_block == element)
        return false;
    close_block(out);
    tf_add_string(out, "<");
    tf_add_string(out, element);
    tf_add_string(out, ">");
    open_block = element;
    return true;
}

/* Literals of their own, so that they can be compared by address. */
static const char paragraph[] = "p", bullets[] = "ul", numbers[] = "ol", quote[] = "blockquote", code[] = "pre";

static void add_item(struct tf_builder *out, const char *list, struct tf_text text)
{
    enter_block(out, list);
    tf_add_string(out, "\n<li>");
    add_inline(out, text);
}

/* Bytes of "12. " at the start of the line, or 0. */
static size_t number_length(struct tf_text line)
{
    size_t i = 0;
    while (i < line.length && line.bytes[i] >= '0' && line.bytes[i] <= '9')
        i++;
    return i > 0 && tf_starts_with(tf_from(line, i), ". ") ? i + 2 : 0;
}

static size_t heading_level(struct tf_text line)
{
    size_t level = 0;
    while (level < line.length && line.bytes[level] == '#')
        level++;
    return level >= 1 && level <= 6 && tf_starts_with(tf_from(line, level), " ") ? level : 0;
}

static void add_heading(struct tf_builder *out, size_t level, struct tf_text text)
{
    close_block(out);
    tf_add_string(out, "<h");
    tf_add_integer(out, (int64_t)level);
    tf_add_string(out, ">");
    add_inline(out, text);
    tf_add_string(out, "</h");
    tf_add_integer(out, (int64_t)level);
    tf_add_string(out, ">\n");
}

static void add_line(struct tf_builder *out, struct tf_text line)
{
    if (tf_starts_with(line, "```")) {
        if (open_block == code)
            close_block(out);
        else
            enter_block(out, code);
    } else if (open_block == code) {
        tf_add_html(out, line);
        tf_add_byte(out, '\n');
    } else if (line.length == 0) {
        close_block(out);
    } else if (heading_level(line) > 0) {
        add_heading(out, heading_level(line), tf_from(line, heading_level(line) + 1));
    } else if (tf_equals(line, "---") || tf_equals(line, "***")) {
        close_block(out);
        tf_add_string(out, "<hr>\n");
    } else if (tf_starts_with(line, "- ") || tf_starts_with(line, "* ")) {
        add_item(out, bullets, tf_from(line, 2));
    } else if (number_length(line) > 0) {
        add_item(out, numbers, tf_from(line, number_length(line)));
    } else if (tf_starts_with(line, ">")) {
        if (!enter_block(out, quote))
            tf_add_byte(out, '\n');
        add_inline(out, tf_from(line, tf_starts_with(line, "> ") ? 2 : 1));
    } else {
        /* A line of text goes on with a list's or quote's last line, as if it had not been broken. */
        if (open_block != NULL || !enter_block(out, paragraph))
            tf_add_byte(out, '\n');
        add_inline(out, line);
    }
}

void run(void)
{
    tf_start();
    struct tf_text const method = tf_method();
    struct tf_text text = tf_equals(method, "POST") ? tf_body() : tf_text(manual);
    struct tf_builder out = {0};
    tf_add_string(&out, page_begin);
    while (text.length > 0) {
        size_t const end = find(text, 0, "\n");
        struct tf_text line = {text.bytes, end};
        if (line.length > 0 && line.bytes[line.length - 1] == '\r')
            line.length--;
        add_line(&out, line);
        text = tf_from(text, end + 1);
    }
    close_block(&out);
    tf_respond(200, "text/html; charset=utf-8", &out);
}
