//! Time, randomness, names, the log.
use crate::{memory, raw};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Since the beginning of 1970, UTC.
pub fn now() -> Duration {
    let mut nanoseconds = 0;
    let seconds = unsafe { raw::hostcall_time_now(&mut nanoseconds) };
    Duration::new(seconds.max(0) as u64, nanoseconds)
}

/// From the server's generator, which is fit for keys.
pub fn random() -> u64 {
    unsafe { raw::hostcall_rng_next_u64() }
}

/// A line for the function's log.
pub fn debug(text: &str) {
    unsafe { raw::hostcall_debug(text.as_ptr(), text.len()) }
}

/// The addresses of a name. None: looking it up failed.
pub fn ipv4(name: &str) -> Option<Vec<Ipv4Addr>> {
    let found = addresses(name, 0)?;
    Some(found.iter().filter_map(|bytes| <[u8; 4]>::try_from(&bytes[..]).ok()).map(Ipv4Addr::from).collect())
}

pub fn ipv6(name: &str) -> Option<Vec<Ipv6Addr>> {
    let found = addresses(name, 1)?;
    Some(found.iter().filter_map(|bytes| <[u8; 16]>::try_from(&bytes[..]).ok()).map(Ipv6Addr::from).collect())
}

/// The answer to a DNS query, both as they are on the wire (RFC 1035, section 4).
pub fn dns(query: &[u8]) -> Option<Vec<u8>> {
    memory::bytes(|at, length| unsafe {
        raw::hostcall_dns_query_raw(at, length, query.as_ptr(), query.len());
    })
}

fn addresses(name: &str, six: i32) -> Option<Vec<Vec<u8>>> {
    memory::list(|at, count| unsafe {
        raw::hostcall_dns_query_ip(at, count, name.as_ptr(), name.len(), six);
    })
}
