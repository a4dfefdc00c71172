//! Functions for a Terrafirma server in Rust, on the types of the [`http`] crate.
//!
//! ```ignore
//! use terrafirma_guest::{guest_app, Request, Response};
//!
//! fn hello(_: &Request<Vec<u8>>) -> Response<Vec<u8>> {
//!     Response::new(b"Hello, world!\n".to_vec())
//! }
//!
//! guest_app!(hello);
//! ```
//!
//! A crate of type `cdylib`, built for `wasm32-unknown-unknown`, is a function. It is called once a request, in an
//! instance of its own: statics start afresh each time.

mod kv;
mod memory;
mod message;
mod outbound;
pub mod raw;
mod system;

pub use http::{header, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
pub use kv::KvStore;
pub use outbound::{select, Failed, Pending, Send};
pub use system::{debug, dns, ipv4, ipv6, now, random};

/// What [`guest_app!`] makes of a handler: announces the allocator, sends panics to the function's log, and answers.
#[doc(hidden)]
pub fn answer(handler: impl FnOnce(&Request<Vec<u8>>) -> Response<Vec<u8>>) {
    // SAFETY: both functions keep to what the host expects of an allocator.
    unsafe { raw::hostcall_init_mm(memory::default_malloc_impl, memory::default_free_impl) };
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        unsafe { raw::hostcall_panic_hook(text.as_ptr(), text.len()) };
    }));
    message::outgoing(&handler(&message::incoming()));
}

/// Makes a handler, `fn(&Request<Vec<u8>>) -> Response<Vec<u8>>`, the function's entry.
#[macro_export]
macro_rules! guest_app {
    ($handler:expr) => {
        #[no_mangle]
        pub extern "C" fn run() {
            $crate::answer($handler);
        }
    };
}

/// The same for a handler that uses the site's store: `fn(&mut KvStore, &Request<Vec<u8>>) -> Response<Vec<u8>>`.
#[macro_export]
macro_rules! guest_app_kvs {
    ($handler:expr) => {
        #[no_mangle]
        pub extern "C" fn run() {
            $crate::answer(|request| $handler(&mut $crate::KvStore::of_this_site(), request));
        }
    };
}
