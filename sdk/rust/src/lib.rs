//! Functions for wfaas in Rust.
//!
//! A function is a library with `crate-type = ["cdylib"]`, built for `wasm32-wasip1` or
//! `wasm32-unknown-unknown`. Its handler gets a request and gives a response, in the types of the crate
//! [`http`]:
//!
//! ```
//! use faas::{Request, Response, StatusCode};
//!
//! #[faas::handler]
//! fn greet(request: Request<Vec<u8>>) -> Response<Vec<u8>> {
//!     let status = if request.body().is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
//!     let text = format!("hello, {}", String::from_utf8_lossy(request.body()));
//!     Response::builder()
//!         .status(status)
//!         .header("content-type", "text/plain")
//!         .body(text.into_bytes())
//!         .expect("status and headers are valid")
//! }
//! # fn main() {}
//! ```
//!
//! A handler of large bodies reads and writes them as streams, through [`std::io`]:
//!
//! ```
//! use faas::{BodyReader, Request, Responder, Response};
//!
//! #[faas::handler(streaming)]
//! fn echo(request: Request<BodyReader>, responder: Responder) -> std::io::Result<()> {
//!     let mut answer = responder.send(Response::new(()));
//!     std::io::copy(&mut request.into_body(), &mut answer)?;
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! It has to [send](Responder::send) a head. If it fails afterwards, the answer breaks off.
//!
//! A handler that panics is answered with status 500, and the log has its message.
#![warn(missing_docs)]

#[cfg(target_family = "wasm")]
mod abi;
#[doc(hidden)]
#[cfg(target_family = "wasm")]
pub mod guest;
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
#[path = "elsewhere.rs"]
pub mod guest;
mod stream;

pub use faas_macros::handler;
pub use http::{self, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
pub use stream::{BodyReader, BodyWriter, Responder};

/// Extension of a request: bytes at the beginning of its path that led to the function, its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteBytes(pub usize);

/// The part of a request's path below the function's route, percent-encoded as the client sent it.
pub fn path_info<B>(request: &Request<B>) -> &str {
    let route = request.extensions().get::<RouteBytes>().map_or(0, |route| route.0);
    request.uri().path().get(route..).unwrap_or_default()
}
