//! The exports of a handler's module.

use crate::stream::{BodyReader, Responder};
use crate::{RouteBytes, abi};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use std::io;

/// Room for a body.
pub fn alloc(len: usize) -> *mut u8 {
    Box::leak(vec![0; len].into_boxed_slice()).as_mut_ptr()
}

/// Answers the request with this body: address and length of the answer's.
///
/// # Safety
/// `ptr` is from [`alloc`], with the same length, and used once.
pub unsafe fn handle<B: Into<Vec<u8>>>(
    ptr: *mut u8,
    len: usize,
    handler: impl FnOnce(Request<Vec<u8>>) -> Response<B>,
) -> u64 {
    // SAFETY: the host passes what `alloc` gave.
    let body = Vec::from(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(ptr, len)) });
    let (head, body) = handler(request(body)).into_parts();
    set_head(&head);
    // The host copies it before anything else runs here.
    let body = body.into().leak();
    (body.as_ptr() as u64) << 32 | body.len() as u64
}

/// Answers the request with a handler that reads and writes bodies as streams.
pub fn handle_streaming(handler: impl FnOnce(Request<BodyReader>, Responder) -> io::Result<()>) {
    let ended = handler(request(BodyReader::new()), Responder::new());
    // An answer that was not begun is status 500; one that was breaks off.
    ended.unwrap_or_else(|error| panic!("the handler failed: {error}"));
}

/// Sets status and headers of the answer.
pub(crate) fn set_head(head: &Parts) {
    abi::set_status(head.status.as_u16());
    for (name, value) in &head.headers {
        abi::add_header(name.as_str(), value.as_bytes());
    }
}

fn request<B>(body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(&abi::method()).expect("the host has checked it");
    *request.uri_mut() = uri();
    *request.headers_mut() = headers();
    request.extensions_mut().insert(RouteBytes(abi::route()));
    request
}

fn uri() -> Uri {
    let (mut target, query) = (abi::path(), abi::query());
    if !query.is_empty() {
        target.push(b'?');
        target.extend(query);
    }
    Uri::try_from(target).expect("the host has checked it")
}

fn headers() -> HeaderMap {
    let text = abi::headers();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(header) {
        headers.append(name, value);
    }
    headers
}
