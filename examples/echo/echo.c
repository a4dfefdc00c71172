/* What the server tells a function about a request, as JSON: method, path, every header, and the body. */
#include <terrafirma/guest.h>

static void add_headers(struct tf_builder *out)
{
    struct string_slice *names, *values;
    size_t name_count, value_count;
    hostcall_req_get_headers(&names, &name_count, REQUEST_INCOMING);
    tf_add_string(out, "{");
    for (size_t i = 0; i < name_count; i++) {
        tf_add_string(out, i > 0 ? ",\n    " : "\n    ");
        tf_add_json(out, (struct tf_text){names[i].ptr, names[i].len});
        tf_add_string(out, ": [");
        hostcall_req_get_header(&values, &value_count, REQUEST_INCOMING, names[i].ptr, names[i].len);
        for (size_t j = 0; j < value_count; j++) {
            if (j > 0)
                tf_add_string(out, ", ");
            tf_add_json(out, (struct tf_text){values[j].ptr, values[j].len});
        }
        tf_add_byte(out, ']');
    }
    tf_add_string(out, "\n  }");
}

void run(void)
{
    tf_start();
    struct tf_builder out = {0};
    tf_add_string(&out, "{\n  \"method\": ");
    tf_add_json(&out, tf_method());
    tf_add_string(&out, ",\n  \"path\": ");
    tf_add_json(&out, tf_path());
    tf_add_string(&out, ",\n  \"query\": ");
    tf_add_json(&out, tf_query());
    tf_add_string(&out, ",\n  \"headers\": ");
    add_headers(&out);
    struct tf_text const body = tf_body();
    tf_add_string(&out, ",\n  \"body_bytes\": ");
    tf_add_integer(&out, (int64_t)body.length);
    tf_add_string(&out, ",\n  \"body\": ");
    tf_add_json(&out, body);
    tf_add_string(&out, "\n}\n");
    tf_respond(200, "application/json", &out);
}
