//! Headers between the host and the http crate.
use crate::memory;
use crate::raw::{self, Slice};
use http::header::{HeaderMap, HeaderName, HeaderValue};

type Names = unsafe extern "C" fn(*mut *mut Slice, *mut usize, i32);
type Values = unsafe extern "C" fn(*mut *mut Slice, *mut usize, i32, *const u8, usize);
type Set = unsafe extern "C" fn(i32, *const u8, usize, *const Slice, usize) -> i32;

/// All headers of a message. One that the http crate would not take is left out.
pub(crate) fn read(handle: i32, names: Names, values: Values) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in memory::list(|at, count| unsafe { names(at, count, handle) }).unwrap_or_default() {
        let key = match HeaderName::from_bytes(&name) {
            Ok(key) => key,
            Err(_) => continue,
        };
        let all = memory::list(|at, count| unsafe { values(at, count, handle, name.as_ptr(), name.len()) });
        for value in all.unwrap_or_default() {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(key.clone(), value);
            }
        }
    }
    headers
}

/// Sets each header, with all of its values at once: the host replaces, and does not add. False: the host took one of
/// them for invalid.
pub(crate) fn write(handle: i32, headers: &HeaderMap, set: Set) -> bool {
    headers.keys().all(|name| {
        let values: Vec<Slice> = headers
            .get_all(name)
            .iter()
            .map(|value| Slice { at: value.as_bytes().as_ptr(), length: value.len() })
            .collect();
        let name = name.as_str();
        (unsafe { set(handle, name.as_ptr(), name.len(), values.as_ptr(), values.len()) }) == 0
    })
}

pub(crate) fn incoming() -> http::Request<Vec<u8>> {
    let method = memory::bytes(|at, length| unsafe { raw::hostcall_req_get_method(at, length, 0) }).unwrap_or_default();
    let path = memory::bytes(|at, length| unsafe { raw::hostcall_req_get_path(at, length, 0) }).unwrap_or_default();
    let body = memory::bytes(|at, length| unsafe { raw::hostcall_req_get_body(at, length, 0) }).unwrap_or_default();
    let mut request = http::Request::builder()
        .method(&method[..])
        .uri(&path[..])
        .body(body)
        .expect("a request that the server let in");
    *request.headers_mut() = read(0, raw::hostcall_req_get_headers, raw::hostcall_req_get_header);
    request
}

pub(crate) fn outgoing(response: &http::Response<Vec<u8>>) {
    unsafe {
        raw::hostcall_resp_set_response_code(0, response.status().as_u16().into());
    }
    write(0, response.headers(), raw::hostcall_resp_set_header);
    unsafe {
        raw::hostcall_resp_set_body(0, response.body().as_ptr(), response.body().len());
    }
}
