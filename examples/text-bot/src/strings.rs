//! Strings as `wasm-bindgen` passes them, by hand: whoever calls a function allocates memory for each
//! argument, and room for address and length of the result.

use std::alloc::{Layout, alloc};

/// Memory for a string.
#[unsafe(no_mangle)]
extern "C" fn __wbindgen_malloc(size: usize, align: usize) -> *mut u8 {
    match Layout::from_size_align(size, align) {
        // SAFETY: the size is not zero.
        Ok(layout) if size > 0 => unsafe { alloc(layout) },
        _ => align as *mut u8,
    }
}

/// Takes over a string that the caller has written to memory of `__wbindgen_malloc`.
///
/// # Safety
/// `ptr` is from `__wbindgen_malloc(len, 1)`, and nobody else's.
unsafe fn take(ptr: *mut u8, len: usize) -> String {
    // SAFETY: the caller says so; allocators here do not tell alignments of 1 apart.
    let bytes = unsafe { Vec::from_raw_parts(ptr, len, len) };
    String::from_utf8(bytes).unwrap_or_default()
}

/// The export.
///
/// # Safety
/// The strings are as `take` wants them, and `result` has room for two numbers.
#[unsafe(no_mangle)]
unsafe extern "C" fn text_received(
    result: *mut [usize; 2],
    msg: *mut u8,
    msg_len: usize,
    username: *mut u8,
    username_len: usize,
    step_data: *mut u8,
    step_data_len: usize,
) {
    // SAFETY: the caller says so, of each of them.
    let [msg, username, step_data] =
        [(msg, msg_len), (username, username_len), (step_data, step_data_len)]
            .map(|(ptr, len)| unsafe { take(ptr, len) });
    let reply = super::text_received(msg, username, step_data).leak();
    // SAFETY: the caller says so.
    unsafe { result.write([reply.as_ptr() as usize, reply.len()]) };
}
