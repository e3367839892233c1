//! The exports that make a module a reactor: see docs/guest-abi.md of wfaas.

/// Called once, when the function is built.
#[export_name = "wizer.initialize"]
pub extern "C" fn initialize() {
    crate::prepare();
}

/// Room for the body of a request: its address.
#[no_mangle]
pub extern "C" fn faas_alloc(len: usize) -> *mut u8 {
    Vec::leak(vec![0; len]).as_mut_ptr()
}

/// Answers the body at `ptr`, which `faas_alloc` gave: address of the answer, and its length.
///
/// # Safety
/// The host has written `len` bytes to `ptr`.
#[no_mangle]
pub unsafe extern "C" fn faas_handle(ptr: *const u8, len: usize) -> u64 {
    let answer = crate::handle(std::slice::from_raw_parts(ptr, len)).leak();
    (answer.as_ptr() as u64) << 32 | answer.len() as u64
}
