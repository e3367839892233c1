//! The request of an exchange: a head, and a body.
//!
//! A server that reads heads itself gives their bytes. They become types of the crate `http` when a guest
//! asks for one of them; most guests want nothing but the body.

use crate::exchange::Body;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A request.
#[derive(Default)]
pub struct Request {
    /// `None` until somebody asks for a part of a plain head.
    parts: OnceCell<Box<Parts>>,
    plain: PlainHead,
    body: Body,
}

/// The bytes of a head of HTTP/1.1 whose server has checked it, as one with a single spelling for each thing:
///
/// ```text
///   GET /hello?x=y HTTP/1.1 CR LF
///       └ target ┘
///   name: value CR LF                 any number of times, with spaces and tabs or none before the value
///   CR LF
/// ```
///
/// Cheap to clone: a connection's next request most often has the same head.
#[derive(Debug, Clone, Default)]
pub struct PlainHead {
    bytes: Arc<[u8]>,
    target: Range<usize>,
    /// Lines, the empty one included.
    lines: usize,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Request");
        debug.field("method", self.method()).field("uri", self.uri());
        debug.field("headers", self.headers()).field("body", &self.body).finish()
    }
}

impl From<http::Request<Body>> for Request {
    #[inline]
    fn from(request: http::Request<Body>) -> Request {
        let (parts, body) = request.into_parts();
        Request { parts: OnceCell::from(Box::new(parts)), plain: PlainHead::default(), body }
    }
}

impl Request {
    #[inline]
    fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| Box::new(self.plain.parts()))
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.parts();
        self.parts.get_mut().expect("they were just made")
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.parts().method
    }

    /// The target, as the client sent it.
    pub fn uri(&self) -> &Uri {
        &self.parts().uri
    }

    /// The version of HTTP.
    pub fn version(&self) -> Version {
        self.parts().version
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts().headers
    }

    /// The headers, to change.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.parts_mut().headers
    }

    /// Takes the head, and leaves that of a request for the root.
    pub(crate) fn take_parts(&mut self) -> Parts {
        let plain = std::mem::take(&mut self.plain);
        self.parts.take().map_or_else(|| plain.parts(), |parts| *parts)
    }

    /// Bytes of all names and values of headers, at most, with `each` more for a header.
    pub(crate) fn header_bytes(&self, each: usize) -> usize {
        let Some(parts) = self.parts.get() else {
            return self.plain.bytes.len() + self.plain.lines * each;
        };
        let headers = parts.headers.iter();
        headers.map(|(name, value)| name.as_str().len() + value.len() + each).sum()
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to change.
    #[inline]
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// A request with a head that its server has checked.
    #[inline]
    pub fn of_plain(head: PlainHead, body: Body) -> Request {
        Request { parts: OnceCell::new(), plain: head, body }
    }
}

impl PlainHead {
    /// The head of these bytes, with a `target` in them.
    pub fn new(bytes: &[u8], target: Range<usize>) -> PlainHead {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        PlainHead { bytes: bytes.into(), target, lines }
    }

    /// The bytes of the head.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The target.
    #[inline]
    pub fn target(&self) -> &[u8] {
        self.bytes.get(self.target.clone()).unwrap_or_default()
    }

    /// The head in types. A part that is none is left out, which no head has that was checked.
    pub fn parts(&self) -> Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        let (line, lines) = self.bytes.split_at(self.target.end);
        let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        parts.method = Method::from_bytes(method).unwrap_or_default();
        parts.uri = Uri::try_from(&self.bytes[self.target.clone()]).unwrap_or_default();
        for line in lines.split(|byte| *byte == b'\n').skip(1) {
            if let Some((name, value)) = header(line) {
                parts.headers.append(name, value);
            }
        }
        parts
    }
}

/// The header in a line, without its line feed.
fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let line = line.strip_suffix(b"\r")?;
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii_start());
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(head: &str, target: &str) -> Request {
        let start = head.find(target).unwrap();
        let head = PlainHead::new(head.as_bytes(), start..start + target.len());
        Request::of_plain(head, Body::default())
    }

    #[test]
    fn a_plain_head_becomes_types_when_somebody_asks() {
        let head =
            "PUT /a%20b/c?d=e HTTP/1.1\r\nHost: h:80\r\nx-a:\r\ncookie: a\r\ncookie:\t b\r\n\r\n";
        let mut request = plain(head, "/a%20b/c?d=e");
        assert!(request.parts.get().is_none());
        assert_eq!((request.method(), request.version()), (&Method::PUT, Version::HTTP_11));
        assert_eq!((request.uri().path(), request.uri().query()), ("/a%20b/c", Some("d=e")));
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let expected = [("host", &b"h:80"[..]), ("x-a", b""), ("cookie", b"a"), ("cookie", b"b")];
        assert_eq!(headers, expected);
        request.headers_mut().clear();
        assert!(request.headers().is_empty());
    }

    #[test]
    fn a_head_takes_as_many_bytes_whether_it_is_bytes_or_types() {
        let request = plain("PUT /a?b HTTP/1.1\r\nhost: h\r\ncookie: a\r\n\r\n", "/a?b");
        assert!(request.header_bytes(64) >= "hosthcookiea".len() + 2 * 64);
        request.headers(); // types from now on
        assert_eq!(request.header_bytes(64), "hosthcookiea".len() + 2 * 64);
    }

    #[test]
    fn a_request_without_a_head_is_one_for_the_root() {
        let request = Request::default();
        assert_eq!((request.method(), request.uri().path()), (&Method::GET, "/"));
        assert!(request.headers().is_empty() && request.body().is_empty());
    }
}
