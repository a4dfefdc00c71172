//! Requests to other servers.
use crate::{memory, message, raw};
use std::fmt;

/// The request was malformed, was refused by the server's rules, or failed. The function's log says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("the request failed; the function's log says why")
    }
}

impl std::error::Error for Failed {}

/// What [`http::Request`] gains here. The request's URI is absolute.
pub trait Send {
    /// Waits for the response. A status such as 404 is a response, not a failure.
    fn send(self) -> Result<http::Response<Vec<u8>>, Failed>;
    /// Returns at once.
    fn send_async(self) -> Result<Pending, Failed>;
}

impl Send for http::Request<Vec<u8>> {
    fn send(self) -> Result<http::Response<Vec<u8>>, Failed> {
        let request = made(&self)?;
        received(unsafe { raw::hostcall_req_send(request) })
    }

    fn send_async(self) -> Result<Pending, Failed> {
        let request = made(&self)?;
        match unsafe { raw::hostcall_req_send_async(request) } {
            -1 => Err(Failed),
            pending => Ok(Pending(pending)),
        }
    }
}

/// A request whose response is awaited.
#[derive(Debug)]
pub struct Pending(i32);

impl Pending {
    pub fn wait(self) -> Result<http::Response<Vec<u8>>, Failed> {
        received(unsafe { raw::hostcall_pending_req_wait(self.0) })
    }

    /// The response, or the request again where there is none yet.
    pub fn poll(self) -> Result<Result<http::Response<Vec<u8>>, Failed>, Pending> {
        match unsafe { raw::hostcall_pending_req_poll(self.0) } {
            -2 => Err(self),
            response => Ok(received(response)),
        }
    }
}

/// Waits for the first of several, and takes it out of them. None: there were none.
pub fn select(pending: &mut Vec<Pending>) -> Option<Result<http::Response<Vec<u8>>, Failed>> {
    let handles: Vec<i32> = pending.iter().map(|one| one.0).collect();
    let mut done = -1;
    let response = unsafe { raw::hostcall_pending_req_select(handles.as_ptr(), handles.len(), &mut done) };
    let place = pending.iter().position(|one| one.0 == done)?;
    pending.remove(place);
    Some(received(response))
}

fn made(request: &http::Request<Vec<u8>>) -> Result<i32, Failed> {
    let (method, url) = (request.method().as_str(), request.uri().to_string());
    let handle = unsafe { raw::hostcall_req_create(method.as_ptr(), method.len(), url.as_ptr(), url.len()) };
    if handle == -1 || !message::write(handle, request.headers(), raw::hostcall_req_set_header) {
        return Err(Failed);
    }
    let body = request.body();
    if !body.is_empty() && unsafe { raw::hostcall_req_set_body(handle, body.as_ptr(), body.len()) } != 0 {
        return Err(Failed);
    }
    Ok(handle)
}

fn received(handle: i32) -> Result<http::Response<Vec<u8>>, Failed> {
    if handle < 0 {
        return Err(Failed);
    }
    let status = unsafe { raw::hostcall_resp_get_response_code(handle) };
    let body =
        memory::bytes(|at, length| unsafe { raw::hostcall_resp_get_body(at, length, handle) }).unwrap_or_default();
    let mut response = http::Response::builder().status(status as u16).body(body).map_err(|_| Failed)?;
    *response.headers_mut() = message::read(handle, raw::hostcall_resp_get_headers, raw::hostcall_resp_get_header);
    Ok(response)
}
