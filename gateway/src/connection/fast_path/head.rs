//! Heads of plain requests.
//!
//! httparse, which hyper stands on, parses a head. Less is allowed here than there: one spelling of
//! each thing, and nothing that says how a connection or a body goes on but one `content-length`.
//! Anything else is not judged here: hyper gets the same bytes.

use crate::http::{self, Incoming};
use bytes::{Bytes, BytesMut};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{HeaderMap, Method, Request, Uri, Version};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Most headers of a plain request.
const MAX_HEADERS: usize = 32;

/// The first bytes that have not been answered are no plain request.
#[derive(Debug)]
pub(super) enum NotPlain {
    /// So far: they are the beginning of a head.
    Partial,
    /// They are something else, or a request whose body has not come.
    Other,
}

/// A plain request.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) request: Request<Incoming>,
    /// Whether its connection ends with its answer.
    pub(super) closes: bool,
}

/// Takes the first request of `input`, if it is plain. `headers` is empty, and kept for its memory.
pub(super) fn take(input: &mut BytesMut, headers: &mut HeaderMap) -> Result<Plain, NotPlain> {
    let places = Places::find(input)?;
    let head = input.split_to(places.length).freeze();
    places.request(&head, input, headers).ok_or_else(|| {
        let rest = std::mem::replace(input, BytesMut::from(head));
        input.unsplit(rest);
        NotPlain::Other
    })
}

/// Places of a head's parts in its bytes, which are fewer than 64 KiB.
struct Places {
    method: Method,
    target: Place,
    /// Names and values.
    headers: [(Place, Place); MAX_HEADERS],
    count: usize,
    length: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    start: u16,
    end: u16,
}

impl Place {
    fn of(part: &[u8], whole: &[u8]) -> Result<Place, NotPlain> {
        // A part from elsewhere begins behind all of it.
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let last = whole.len().checked_sub(part.len()).ok_or(NotPlain::Other)?;
        if start > last || whole.len() > usize::from(u16::MAX) {
            return Err(NotPlain::Other);
        }
        Ok(Place { start: start as u16, end: (start + part.len()) as u16 })
    }

    fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    fn in_bytes(self, bytes: &Bytes) -> Bytes {
        bytes.slice(self.range())
    }
}

impl Places {
    /// Finds the parts of a head that is complete.
    fn find(bytes: &[u8]) -> Result<Places, NotPlain> {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut []);
        let length = match head.parse_with_uninit_headers(bytes, &mut slots) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Err(NotPlain::Partial),
            Err(_) => return Err(NotPlain::Other),
        };
        let method = head.method.and_then(method).ok_or(NotPlain::Other)?;
        let target = Place::of(head.path.ok_or(NotPlain::Other)?.as_bytes(), bytes)?;
        let starts_here = usize::from(target.start) == method.as_str().len() + 1;
        let mut line = Lines { bytes, at: target.range().end };
        if !starts_here || bytes[target.range()].first() != Some(&b'/') {
            return Err(NotPlain::Other);
        }
        line.expect(b" HTTP/1.1\r\n")?;
        let mut headers = [Default::default(); MAX_HEADERS];
        for (place, header) in headers.iter_mut().zip(&*head.headers) {
            let name = Place::of(header.name.as_bytes(), bytes)?;
            let value = Place::of(header.value, bytes)?;
            line.header(name, value)?;
            *place = (name, value);
        }
        line.expect(b"\r\n")?;
        if line.at != length {
            return Err(NotPlain::Other);
        }
        Ok(Places { method, target, headers, count: head.headers.len(), length })
    }

    /// The request, with the body that follows in `input`.
    fn request(self, head: &Bytes, input: &mut BytesMut, cleared: &mut HeaderMap) -> Option<Plain> {
        let mut headers = std::mem::take(cleared);
        headers.reserve(self.count);
        let mut framing = Framing::default();
        for (name, value) in &self.headers[..self.count] {
            let name = HeaderName::from_bytes(&head[name.range()]).ok()?;
            let value = HeaderValue::from_maybe_shared(value.in_bytes(head)).ok()?;
            framing.note(&name, &value)?;
            headers.append(name, value);
        }
        if !framing.has_host || framing.length > input.len() {
            return None;
        }
        let uri = Uri::from_maybe_shared(self.target.in_bytes(head)).ok()?;
        if http::is_management(uri.path()) {
            return None;
        }
        let body = match framing.length {
            0 => Bytes::new(),
            length => input.split_to(length).freeze(),
        };
        let mut request = Request::new(Incoming::Complete(body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Some(Plain { request, closes: framing.closes })
    }
}

/// The lines of a head, each ended as it should.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Lines<'_> {
    fn expect(&mut self, text: &[u8]) -> Result<(), NotPlain> {
        if !self.bytes[self.at..].starts_with(text) {
            return Err(NotPlain::Other);
        }
        self.at += text.len();
        Ok(())
    }

    /// A line with a name, a colon, spaces or none, and a value with nothing behind it.
    fn header(&mut self, name: Place, value: Place) -> Result<(), NotPlain> {
        let (name, value) = (name.range(), value.range());
        let between = self.bytes.get(name.end..value.start).ok_or(NotPlain::Other)?;
        if name.start != self.at || between.first() != Some(&b':') {
            return Err(NotPlain::Other);
        }
        self.at = value.end;
        self.expect(b"\r\n")
    }
}

/// Methods of plain requests: no answer of theirs lacks its body.
fn method(text: &str) -> Option<Method> {
    Some(match text {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        "PATCH" => Method::PATCH,
        "OPTIONS" => Method::OPTIONS,
        _ => return None,
    })
}

/// What headers say of the request as a whole.
#[derive(Debug, Default)]
struct Framing {
    has_host: bool,
    has_length: bool,
    has_connection: bool,
    closes: bool,
    /// The body's bytes.
    length: usize,
}

impl Framing {
    /// Takes note of a header; `None` if no plain request has it.
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Option<()> {
        let is_first = |seen: &mut bool| !std::mem::replace(seen, true);
        let is_plain = match *name {
            HOST => is_first(&mut self.has_host) && http::is_host_value(value),
            CONTENT_LENGTH => {
                self.length = length(value.as_bytes())?;
                is_first(&mut self.has_length)
            }
            CONNECTION => {
                self.closes = value.as_bytes().eq_ignore_ascii_case(b"close");
                let is_known = self.closes || value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
                is_first(&mut self.has_connection) && is_known
            }
            TRANSFER_ENCODING | EXPECT | UPGRADE => false,
            _ => true,
        };
        is_plain.then_some(())
    }
}

/// A number of a few digits.
fn length(text: &[u8]) -> Option<usize> {
    if !matches!(text.len(), 1..=5) || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    /// The request at the beginning of `text`, and how many bytes are left behind it.
    fn take_from(text: &[u8]) -> Result<(Plain, usize), NotPlain> {
        let mut input = BytesMut::from(text);
        let taken = take(&mut input, &mut HeaderMap::new());
        if taken.is_err() {
            assert_eq!(input, text, "nothing is taken of what is not plain");
        }
        Ok((taken?, input.len()))
    }

    #[test]
    fn a_plain_request_is_taken_with_its_body_and_no_more() {
        let text =
            b"POST /a%20b?c HTTP/1.1\r\nHost: h:80\r\nX:\r\ncookie: a\r\ncookie:\t b\xff\r\n\
            content-length: 4\r\nconnection: Close\r\n\r\n\r\n\r\nGET";
        let (plain, left) = take_from(text).unwrap();
        assert!(plain.closes && left == 3);
        let (head, body) = plain.request.into_parts();
        assert_eq!((head.method, head.uri), (Method::POST, "/a%20b?c".parse().unwrap()));
        assert_eq!(head.version, Version::HTTP_11);
        let values = |name| head.headers.get_all(name).iter().map(HeaderValue::as_bytes);
        assert_eq!(values("cookie").collect::<Vec<_>>(), [&b"a"[..], b"b\xff"]);
        assert_eq!((head.headers["host"].as_bytes(), head.headers["x"].len()), (&b"h:80"[..], 0));
        let Incoming::Complete(body) = body else { panic!("it is all there") };
        assert_eq!(body, "\r\n\r\n");
    }

    #[test]
    fn a_request_is_not_taken_before_it_is_all_there() {
        let text = b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nab";
        for length in 1..text.len() {
            let Err(error) = take_from(&text[..length]) else { panic!("taken at {length}") };
            let is_head = length < text.len() - 2;
            assert_eq!(matches!(error, NotPlain::Partial), is_head, "{length}");
        }
        let (plain, left) = take_from(text).unwrap();
        assert!(!plain.closes && left == 0);
    }

    #[test]
    fn headers_beyond_some_are_not_plain() {
        let text = |count: usize| {
            let headers: String = (1..count).map(|number| format!("x{number}: y\r\n")).collect();
            format!("GET / HTTP/1.1\r\nhost: h\r\n{headers}\r\n").into_bytes()
        };
        assert!(take_from(&text(MAX_HEADERS)).is_ok());
        assert!(matches!(take_from(&text(MAX_HEADERS + 1)), Err(NotPlain::Other)));
    }

    #[tokio::test]
    async fn a_body_that_is_there_is_read_as_one_that_comes() {
        let (plain, _) =
            take_from(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nab").unwrap();
        let body = plain.request.into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
    }
}
