//! The allocator that the host calls, and taking over what it allocated.
use crate::raw::Slice;
use std::alloc::{alloc, dealloc, Layout};

/// A block begins with its own size, as releasing one needs it and the host gives only the address.
const HEAD: usize = 8;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size + HEAD, HEAD).expect("a size that fits the memory")
}

/// What the host allocates with; null when there is no more memory.
#[no_mangle]
pub extern "C" fn default_malloc_impl(size: usize) -> *mut u8 {
    if size > isize::MAX as usize - 2 * HEAD {
        return std::ptr::null_mut();
    }
    // SAFETY: the layout has a size above zero, and the block has room for the size in front.
    unsafe {
        let block = alloc(layout(size));
        if block.is_null() {
            return block;
        }
        (block as *mut usize).write(size);
        block.add(HEAD)
    }
}

/// Releases a block of [`default_malloc_impl`]; null is nothing.
#[no_mangle]
pub extern "C" fn default_free_impl(at: *mut u8) {
    if at.is_null() {
        return;
    }
    // SAFETY: only blocks of default_malloc_impl come here, and they begin with their size.
    unsafe {
        let block = at.sub(HEAD);
        let size = (block as *const usize).read();
        dealloc(block, layout(size));
    }
}

/// The bytes that a call of the host returns through its first two arguments.
pub(crate) fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize)) -> Option<Vec<u8>> {
    let (mut at, mut length) = (std::ptr::null_mut(), 0);
    call(&mut at, &mut length);
    if at.is_null() {
        return None;
    }
    // SAFETY: the host wrote `length` bytes into a block that it got from default_malloc_impl.
    let taken = unsafe { std::slice::from_raw_parts(at, length) }.to_vec();
    default_free_impl(at);
    Some(taken)
}

/// The list of byte strings that a call of the host returns likewise. None: it returned none, which is not the same as
/// an empty one.
pub(crate) fn list(call: impl FnOnce(*mut *mut Slice, *mut usize)) -> Option<Vec<Vec<u8>>> {
    let (mut at, mut count) = (std::ptr::null_mut(), 0);
    call(&mut at, &mut count);
    if at.is_null() {
        return None;
    }
    let mut taken = Vec::with_capacity(count);
    // SAFETY: `count` slices, each with a block of its own, all from default_malloc_impl.
    for slice in unsafe { std::slice::from_raw_parts(at, count) } {
        taken.push(if slice.at.is_null() {
            Vec::new()
        } else {
            unsafe { std::slice::from_raw_parts(slice.at, slice.length) }.to_vec()
        });
        default_free_impl(slice.at as *mut u8);
    }
    default_free_impl(at as *mut u8);
    Some(taken)
}
