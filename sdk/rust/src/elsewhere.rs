//! Stands in for `guest` where handlers are tested, outside of WebAssembly: there is nobody to call them.

use crate::{BodyReader, Responder};
use http::{Request, Response};
use std::io;

pub fn alloc(_len: usize) -> *mut u8 {
    unreachable!("there is no host")
}

/// # Safety
/// Nobody calls it.
pub unsafe fn handle<B: Into<Vec<u8>>>(
    _ptr: *mut u8,
    _len: usize,
    _handler: impl FnOnce(Request<Vec<u8>>) -> Response<B>,
) -> u64 {
    unreachable!("there is no host")
}

pub fn handle_streaming(_handler: impl FnOnce(Request<BodyReader>, Responder) -> io::Result<()>) {
    unreachable!("there is no host")
}
