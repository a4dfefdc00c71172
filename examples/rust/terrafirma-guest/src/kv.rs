//! What a site keeps between requests.
use crate::{memory, raw};

/// The site's store. Each change is atomic, and on the disk when the call returns.
#[derive(Debug)]
pub struct KvStore(());

impl KvStore {
    #[doc(hidden)]
    pub fn of_this_site() -> KvStore {
        KvStore(())
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut found = 0;
        let value = memory::bytes(|at, length| {
            found = unsafe { raw::hostcall_kvstore_get(at, length, key.as_ptr(), key.len()) };
        });
        if found == 0 {
            return None;
        }
        Some(value.unwrap_or_default())
    }

    /// Puts a value in any case. True: the key was absent before.
    pub fn insert(&mut self, key: &str, value: &[u8]) -> bool {
        unsafe { raw::hostcall_kvstore_insert(key.as_ptr(), key.len(), value.as_ptr(), value.len()) != 0 }
    }

    /// Puts a value only where the key is absent. True: it was, and the value is there now. (The names of this and of
    /// `insert` are the host's.)
    pub fn upsert(&mut self, key: &str, value: &[u8]) -> bool {
        unsafe { raw::hostcall_kvstore_upsert(key.as_ptr(), key.len(), value.as_ptr(), value.len()) != 0 }
    }

    /// Adds to a value, or makes one. True: the key was absent before.
    pub fn append(&mut self, key: &str, value: &[u8]) -> bool {
        unsafe { raw::hostcall_kvstore_append(key.as_ptr(), key.len(), value.as_ptr(), value.len()) != 0 }
    }

    /// True: there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        unsafe { raw::hostcall_kvstore_remove(key.as_ptr(), key.len()) != 0 }
    }
}
