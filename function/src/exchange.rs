//! An exchange: one request and the answer being made for it.

use http::{HeaderMap, Request, Response};
use std::time::Instant;

/// A body: a stream of bytes that may be complete. So far all are: they are received as a whole
/// before the guest runs, and sent when it has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
}

impl Body {
    /// A complete body.
    pub fn complete(bytes: impl Into<Vec<u8>>) -> Body {
        Body { bytes: bytes.into() }
    }

    /// Bytes of a complete body.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a complete body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of a complete body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the bytes of a complete body and leaves it empty.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The bytes of a complete body.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A request, and the answer that begins as an empty one with status 200.
#[derive(Debug)]
pub struct Exchange {
    /// The request: method, URI, headers and body, as the client sent them.
    pub request: Request<Body>,
    /// The answer so far: status, headers and body.
    pub answer: Response<Body>,
    /// The request's id, for the log and the guest.
    pub id: String,
    /// Bytes at the beginning of the URI's path that led to the function: its route.
    pub route_bytes: usize,
    /// When the answer must be there; `None` for the function's time limit from the start on.
    pub deadline: Option<Instant>,
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange::new(Request::default())
    }
}

impl Exchange {
    /// An exchange that begins with a request to the function itself.
    #[inline]
    pub fn new(request: Request<Body>) -> Exchange {
        let answer = Response::new(Body::default());
        Exchange { request, answer, id: String::new(), route_bytes: 0, deadline: None }
    }

    /// An exchange with nothing but a body.
    #[inline]
    pub fn with_body(bytes: impl Into<Vec<u8>>) -> Exchange {
        Exchange::new(Request::new(Body::complete(bytes)))
    }

    /// The path below the function's route, percent-encoded as the client sent it.
    pub fn path_info(&self) -> &str {
        self.request.uri().path().get(self.route_bytes..).unwrap_or_default()
    }

    /// What follows the `?`, percent-encoded as the client sent it; empty if there is none.
    pub fn query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The request as environment variables, if it came from somebody: name and value of each.
    pub(crate) fn variables(&self, each: &mut dyn FnMut(&str, &str)) {
        if self.id.is_empty() {
            return;
        }
        each("REQUEST_METHOD", self.request.method().as_str());
        each("PATH_INFO", self.path_info());
        each("QUERY_STRING", self.query());
        each("REQUEST_ID", &self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_below_the_route_keeps_its_slash() {
        let exchange = |uri: &str, route_bytes| {
            let request = Request::get(uri).body(Body::default()).unwrap();
            Exchange { route_bytes, ..Exchange::new(request) }
        };
        assert_eq!(exchange("http://h/a/b%20c?x=y", 2).path_info(), "/b%20c");
        assert_eq!(exchange("/a/b?x=y", 2).query(), "x=y");
        assert_eq!(exchange("/a", 2).path_info(), "");
        assert_eq!(exchange("/a", 9).path_info(), "");
    }
}
