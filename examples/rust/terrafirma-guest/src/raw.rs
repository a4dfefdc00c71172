//! The host's calls as they are. `size_t` and pointers are 32 bits; what the host returns it has allocated with
//! [`crate::memory::default_malloc_impl`], and it belongs to us.

/// Bytes that the host returned, or that it is to read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    pub at: *const u8,
    pub length: usize,
}

#[link(wasm_import_module = "env")]
extern "C" {
    pub fn hostcall_init_mm(allocate: extern "C" fn(usize) -> *mut u8, release: extern "C" fn(*mut u8));
    pub fn hostcall_panic_hook(text: *const u8, length: usize);
    pub fn hostcall_debug(text: *const u8, length: usize);

    pub fn hostcall_req_get_method(at: *mut *mut u8, length: *mut usize, request: i32);
    pub fn hostcall_req_get_path(at: *mut *mut u8, length: *mut usize, request: i32);
    pub fn hostcall_req_get_body(at: *mut *mut u8, length: *mut usize, request: i32);
    pub fn hostcall_req_get_headers(at: *mut *mut Slice, count: *mut usize, request: i32);
    pub fn hostcall_req_get_header(
        at: *mut *mut Slice,
        count: *mut usize,
        request: i32,
        name: *const u8,
        length: usize,
    );

    pub fn hostcall_resp_set_response_code(response: i32, code: u32) -> i32;
    pub fn hostcall_resp_set_header(
        response: i32,
        name: *const u8,
        length: usize,
        values: *const Slice,
        count: usize,
    ) -> i32;
    pub fn hostcall_resp_set_body(response: i32, body: *const u8, length: usize) -> i32;

    pub fn hostcall_req_create(method: *const u8, method_length: usize, url: *const u8, url_length: usize) -> i32;
    pub fn hostcall_req_set_header(
        request: i32,
        name: *const u8,
        length: usize,
        values: *const Slice,
        count: usize,
    ) -> i32;
    pub fn hostcall_req_set_body(request: i32, body: *const u8, length: usize) -> i32;
    pub fn hostcall_req_send(request: i32) -> i32;
    pub fn hostcall_req_send_async(request: i32) -> i32;
    pub fn hostcall_pending_req_wait(pending: i32) -> i32;
    pub fn hostcall_pending_req_poll(pending: i32) -> i32;
    pub fn hostcall_pending_req_select(pending: *const i32, count: usize, done: *mut i32) -> i32;
    pub fn hostcall_resp_get_response_code(response: i32) -> i32;
    pub fn hostcall_resp_get_headers(at: *mut *mut Slice, count: *mut usize, response: i32);
    pub fn hostcall_resp_get_header(
        at: *mut *mut Slice,
        count: *mut usize,
        response: i32,
        name: *const u8,
        length: usize,
    );
    pub fn hostcall_resp_get_body(at: *mut *mut u8, length: *mut usize, response: i32);

    pub fn hostcall_kvstore_get(at: *mut *mut u8, length: *mut usize, key: *const u8, key_length: usize) -> i32;
    pub fn hostcall_kvstore_insert(key: *const u8, key_length: usize, value: *const u8, length: usize) -> i32;
    pub fn hostcall_kvstore_upsert(key: *const u8, key_length: usize, value: *const u8, length: usize) -> i32;
    pub fn hostcall_kvstore_append(key: *const u8, key_length: usize, value: *const u8, length: usize) -> i32;
    pub fn hostcall_kvstore_remove(key: *const u8, key_length: usize) -> i32;

    pub fn hostcall_rng_next_u64() -> u64;
    pub fn hostcall_time_now(nanoseconds: *mut u32) -> i64;
    pub fn hostcall_dns_query_raw(at: *mut *mut u8, length: *mut usize, query: *const u8, query_length: usize) -> i32;
    pub fn hostcall_dns_query_ip(
        at: *mut *mut Slice,
        count: *mut usize,
        name: *const u8,
        length: usize,
        ipv6: i32,
    ) -> i32;
}
