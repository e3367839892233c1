//! Heads of plain requests, found by their places in the bytes of a connection.
//!
//! Less is allowed here than in RFC 9112, and than by httparse, which hyper stands on: one spelling of
//! each thing, and nothing that says how a connection or a body goes on but one `content-length`.
//! Anything else is not judged here: hyper gets the same bytes.

use super::bytes::{self, Kind};
use crate::http;
use std::ops::Range;

/// Most headers of a plain request.
const MAX_HEADERS: usize = 32;

/// The first bytes that have not been answered are no plain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotPlain {
    /// So far: they are the beginning of a head.
    Partial,
    /// They are something else, or a request whose body has not come.
    Other,
}

/// A plain request, by its places: the head, and behind it the body, all of which has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plain {
    /// Bytes of the head.
    pub(super) head: usize,
    /// Place of the target in it.
    pub(super) target: Range<usize>,
    /// Bytes of the target's path.
    pub(super) path: usize,
    /// Bytes of the body.
    pub(super) body: usize,
    /// Bytes of memory that the head takes, as budgets count them.
    pub(super) memory: u64,
    /// Whether its connection ends with its answer.
    pub(super) closes: bool,
}

/// The first request in `bytes`, if it is plain.
pub(super) fn find(bytes: &[u8]) -> Result<Plain, NotPlain> {
    let mut scan = Scan { bytes, at: 0 };
    let target = scan.request_line()?;
    let query = bytes[target.clone()].iter().position(|byte| *byte == b'?');
    let path = query.unwrap_or(target.len());
    let mut memory = target.len();
    let mut framing = Framing::default();
    for _ in 0..=MAX_HEADERS {
        if let Some((name, value)) = scan.header()? {
            framing.note(name, value).ok_or(NotPlain::Other)?;
            memory += http::header_bytes(name, value);
            continue;
        }
        let Framing { has_host, closes, length: body, .. } = framing;
        if !has_host || bytes.len() - scan.at < body {
            return Err(NotPlain::Other);
        }
        let memory = memory as u64;
        return Ok(Plain { head: scan.at, target, path, body, memory, closes });
    }
    Err(NotPlain::Other)
}

/// Name and value of a header.
type Header<'a> = (&'a [u8], &'a [u8]);

/// A head, read from its beginning.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// Takes all bytes of one kind that follow; there is another one behind them.
    #[inline]
    fn take(&mut self, kind: Kind) -> Result<&'a [u8], NotPlain> {
        let rest = &self.bytes[self.at..];
        let length = kind.run(rest);
        if length == rest.len() {
            return Err(NotPlain::Partial);
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// Takes exactly this text.
    #[inline]
    fn expect(&mut self, text: &[u8]) -> Result<(), NotPlain> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(text) {
            self.at += text.len();
            return Ok(());
        }
        Err(if text.starts_with(rest) { NotPlain::Partial } else { NotPlain::Other })
    }

    /// A method, a target that begins with a slash, and the version: the place of the target.
    fn request_line(&mut self) -> Result<Range<usize>, NotPlain> {
        let method = METHODS.iter().find(|method| self.bytes.starts_with(method));
        let Some(method) = method else {
            let is_begun = METHODS.iter().any(|method| method.starts_with(self.bytes));
            return Err(if is_begun { NotPlain::Partial } else { NotPlain::Other });
        };
        self.at = method.len();
        let start = self.at;
        let target = self.take(bytes::TARGET)?;
        if target.first() != Some(&b'/') {
            return Err(NotPlain::Other);
        }
        let end = self.at;
        self.expect(b" HTTP/1.1\r\n")?;
        Ok(start..end)
    }

    /// The name and value of the next header: a line with a name, a colon, spaces or none, and a value
    /// with nothing behind it. `None` for the empty line.
    #[inline]
    fn header(&mut self) -> Result<Option<Header<'a>>, NotPlain> {
        let name = self.take(bytes::NAME)?;
        if name.is_empty() {
            self.expect(b"\r\n")?;
            return Ok(None);
        }
        self.expect(b":")?;
        self.take(bytes::SPACE)?;
        let value = self.take(bytes::VALUE)?;
        if matches!(value.last(), Some(b' ' | b'\t')) {
            return Err(NotPlain::Other);
        }
        self.expect(b"\r\n")?;
        Ok(Some((name, value)))
    }
}

/// Methods of plain requests, with the space behind them: no answer of theirs lacks its body.
const METHODS: [&[u8]; 6] = [b"GET ", b"POST ", b"PUT ", b"DELETE ", b"PATCH ", b"OPTIONS "];

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
    #[inline]
    fn note(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let is_first = |seen: &mut bool| !std::mem::replace(seen, true);
        let is_plain = match name.len() {
            2 if is(b"te") => false,
            4 if is(b"host") => is_first(&mut self.has_host) && http::is_host_value(value),
            6 if is(b"expect") => false,
            7 if is(b"upgrade") => false,
            10 if is(b"connection") => {
                self.closes = value.eq_ignore_ascii_case(b"close");
                let is_known = self.closes || value.eq_ignore_ascii_case(b"keep-alive");
                is_first(&mut self.has_connection) && is_known
            }
            14 if is(b"content-length") => {
                self.length = length(value)?;
                is_first(&mut self.has_length)
            }
            17 if is(b"transfer-encoding") => false,
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

    #[test]
    fn a_plain_request_is_found_by_its_places() {
        let text =
            b"POST /a%20b?c HTTP/1.1\r\nHost: h:80\r\nX:\r\ncookie: a\r\ncookie:\t b\xff\r\n\
            content-length: 4\r\nconnection: Close\r\n\r\n\r\n\r\nGET";
        let Plain { head, target, path, body, memory, closes } = find(text).unwrap();
        assert_eq!((&text[target], path), (&b"/a%20b?c"[..], "/a%20b".len()));
        assert_eq!((&text[head..head + body], closes), (&b"\r\n\r\n"[..], true));
        assert_eq!(text.len() - head - body, 3);
        // Names and values, and 32 for each (RFC 9113, 6.5.2).
        let headers = "Hosth:80Xcookieacookieb.content-length4connectionClose".len();
        assert_eq!(memory, ("/a%20b?c".len() + headers + 6 * 32) as u64);
    }

    #[test]
    fn a_request_is_not_found_before_it_is_all_there() {
        let text = b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nab";
        for length in 0..text.len() {
            let is_head = length < text.len() - 2;
            let expected = if is_head { NotPlain::Partial } else { NotPlain::Other };
            assert_eq!(find(&text[..length]), Err(expected), "{length}");
        }
        let Plain { head, body, closes, .. } = find(text).unwrap();
        assert_eq!((head + body, closes), (text.len(), false));
    }

    #[test]
    fn headers_beyond_some_are_not_plain() {
        let text = |count: usize| {
            let headers: String = (1..count).map(|number| format!("x{number}: y\r\n")).collect();
            format!("GET / HTTP/1.1\r\nhost: h\r\n{headers}\r\n").into_bytes()
        };
        assert!(find(&text(MAX_HEADERS)).is_ok());
        assert_eq!(find(&text(MAX_HEADERS + 1)), Err(NotPlain::Other));
    }
}
