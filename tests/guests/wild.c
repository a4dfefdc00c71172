/* Hands the host a wild pointer, in the way that the query chooses: each must end as a bad host call. */
#include "query.h"

static const char name[] = "x-test";

static void response(uint32_t number)
{
    struct string_slice slice = {name, 4};
    struct string_slice *const last = (struct string_slice *)at(MEMORY_BYTES - 8);
    switch (number) {
    case 1: /* past the end by one */
        hostcall_resp_set_body(0, at(MEMORY_BYTES - 1), 2);
        break;
    case 2: /* address + length wraps to 0 */
        hostcall_resp_set_body(0, at(0xfffff000), 0x1000);
        break;
    case 3:
        hostcall_resp_set_body(0, at(1), 0xffffffff);
        break;
    case 4: /* negative, if anybody took it for signed */
        hostcall_resp_set_body(0, at(0x80000000), 1);
        break;
    case 5:
        hostcall_resp_set_header(0, at(MEMORY_BYTES), 1, &slice, 1);
        break;
    case 6: /* 8 * count wraps to 8 */
        hostcall_resp_set_header(0, name, 6, &slice, 0x20000001);
        break;
    case 7: /* half of the array is there */
        hostcall_resp_set_header(0, name, 6, last, 2);
        break;
    case 8: /* misaligned, and its last word is out */
        hostcall_resp_set_header(0, name, 6, (struct string_slice *)at(MEMORY_BYTES - 7), 1);
        break;
    case 9: /* the array is fine, the value in it is not */
        last->ptr = at(MEMORY_BYTES - 2);
        last->len = 3;
        hostcall_resp_set_header(0, name, 6, last, 1);
        break;
    case 10:
        slice.len = opaque(0xffffffff);
        hostcall_resp_set_header(0, name, 6, &slice, 1);
        break;
    case 11:
        hostcall_debug(at(MEMORY_BYTES - 3), 4);
        break;
    case 12: /* a string whose NUL never comes */
        memset(at(MEMORY_BYTES - 10), 'x', 10);
        hostcall_debug(at(MEMORY_BYTES - 10), 0xffffffff);
        break;
    case 13:
        hostcall_panic_hook(name, 0xfffffffe);
        break;
    case 14:
        hostcall_time_now((uint32_t *)at(MEMORY_BYTES - 3));
        break;
    }
}

static void request(uint32_t number)
{
    switch (number) {
    case 20: /* the pointer's word, the length's word */
        hostcall_req_get_method((char **)at(MEMORY_BYTES - 3), (size_t *)68, 0);
        break;
    case 21:
        hostcall_req_get_method((char **)64, (size_t *)at(0xfffffffc), 0);
        break;
    case 22:
        hostcall_req_get_path((char **)at(0xffffffff), (size_t *)68, 0);
        break;
    case 23: /* with nothing to return, too */
        hostcall_req_get_body((uint8_t **)64, (size_t *)at(MEMORY_BYTES), 0);
        break;
    case 24: /* and for a handle that is none */
        hostcall_req_get_body((uint8_t **)at(MEMORY_BYTES), (size_t *)64, 99);
        break;
    case 25:
        hostcall_req_get_headers((struct string_slice **)at(0x80000000), (size_t *)64, 0);
        break;
    case 26:
        hostcall_req_get_header((struct string_slice **)64, (size_t *)68, 0, at(MEMORY_BYTES - 1), 2);
        break;
    case 27:
        hostcall_req_get_header((struct string_slice **)64, (size_t *)68, 0, name, 0xffffffff);
        break;
    case 28:
        hostcall_req_get_header((struct string_slice **)64, (size_t *)at(MEMORY_BYTES - 2), 0, name, 6);
        break;
    }
}

void run(void)
{
    tf_start();
    uint32_t const number = query_number();
    response(number);
    request(number);
    tf_respond_text(200, "text/plain", "survived\n");
}
