//! Bodies as streams, for handlers of large ones and of those that take long.

use http::Response;
use std::io::{self, Read, Write};

/// The body of a request, as it arrives. A read waits for bytes.
#[derive(Debug)]
#[non_exhaustive]
pub struct BodyReader {}

/// Answers a request: once, with a head.
#[derive(Debug)]
#[non_exhaustive]
pub struct Responder {}

/// The body of an answer. Bytes are sent as they are written; a write waits until the client takes
/// them. Many small ones belong into a [`BufWriter`](std::io::BufWriter).
#[derive(Debug)]
#[non_exhaustive]
pub struct BodyWriter {}

#[cfg(target_family = "wasm")]
impl BodyReader {
    pub(crate) fn new() -> BodyReader {
        BodyReader {}
    }
}

#[cfg(target_family = "wasm")]
impl Responder {
    pub(crate) fn new() -> Responder {
        Responder {}
    }
}

impl Responder {
    /// Sends status and headers; the body is what is written next.
    #[cfg_attr(not(target_family = "wasm"), expect(unused_variables))]
    pub fn send(self, head: Response<()>) -> BodyWriter {
        #[cfg(target_family = "wasm")]
        {
            crate::guest::set_head(&head.into_parts().0);
            crate::abi::write(&[]);
        }
        BodyWriter {}
    }
}

impl Read for BodyReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        #[cfg(target_family = "wasm")]
        return Ok(crate::abi::read(to));
        #[cfg(not(target_family = "wasm"))]
        Err(nobody(to.len()))
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(target_family = "wasm")]
        {
            crate::abi::write(bytes);
            Ok(bytes.len())
        }
        #[cfg(not(target_family = "wasm"))]
        Err(nobody(bytes.len()))
    }

    /// Nothing to do: what was written was sent.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of streams outside of WebAssembly.
#[cfg(not(target_family = "wasm"))]
fn nobody(_bytes: usize) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "there is no host")
}
