//! The head of an answer: what a guest may put there (RFC 9110, 5 and 15).
//!
//! This is the one place that turns a guest's bytes into status and headers, and that looks at a complete head before anybody
//! sends it; but for [plain fields](crate::PlainFields), which are looked at one by one when they are added, with the same limits. Types
//! of the crate `http` hold nothing else than valid names and values: no line ends, no NUL.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{Response, StatusCode};
use wfaas_vm::untrusted;

/// Most headers of an answer.
pub const MAX_HEADERS: usize = 128;

/// Most bytes of an answer's names and values together.
pub const MAX_HEAD_BYTES: usize = 32 << 10;

/// Why the head of an answer cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not the number of a final answer.
    #[error("{0:?} is no status: it has to be a number from 200 to 599")]
    Status(String),
    /// Not a token (RFC 9110, 5.6.2).
    #[error("{0:?} is not the name of a header")]
    Name(String),
    /// A control character in the value.
    #[error("the header {0} has a value that no header can have")]
    Value(HeaderName),
    /// There are more than [`MAX_HEADERS`].
    #[error("there are more than {MAX_HEADERS} headers")]
    TooMany,
    /// They take more than [`MAX_HEAD_BYTES`].
    #[error("the headers take more than {MAX_HEAD_BYTES} bytes")]
    TooLarge,
    /// The body has begun.
    #[error("the head has been sent: it cannot change any more")]
    Sent,
    /// A field of a CGI program that must not be there twice.
    #[error("the field {0} is there twice")]
    Twice(&'static str),
    /// A line of a CGI program's head that is none.
    #[error("{0:?} is not a line of a head, as in `name: value`")]
    Line(String),
    /// A CGI program that ended before the empty line after its head.
    #[error("the head does not end: there is no empty line after it")]
    Unfinished,
    /// A CGI program's head that says nothing about the body.
    #[error("the head has no Content-Type")]
    NoContentType,
    /// A CGI program's [local redirect](LocalRedirect) with more than a path.
    #[error(
        "a local redirect has nothing but a Location with a path, maybe a query: no other headers, no body; \
         send a Status too for one that the client follows"
    )]
    LocalRedirect,
}

/// The path, and maybe a query, that a CGI program wants the server to answer in its place (RFC 3875, 6.2.2):
/// an extension of the head of its answer. A server that does not look for it sends the answer as it is, a
/// redirect that the client follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRedirect(pub PathAndQuery);

/// Headers about one connection (RFC 9110, 7.6.1): the server's business, never a guest's.
pub(crate) static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];

/// Whether a name is one of [`HOP_BY_HOP`].
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    is_as_long(name.as_str().as_bytes()) && HOP_BY_HOP.contains(name)
}

/// Whether a name is as long as one of [`HOP_BY_HOP`]: few are.
fn is_as_long(name: &[u8]) -> bool {
    matches!(name.len(), 2 | 7 | 10 | 16..=19)
}

/// Whether a server has to look at a field of this name, in small letters: it is about the connection, or its own to add.
pub(crate) fn has_rules(name: &[u8]) -> bool {
    let is_it = |known: &HeaderName| known.as_str().as_bytes() == name;
    matches!(name, b"date" | b"host") || (is_as_long(name) && HOP_BY_HOP.iter().any(is_it))
}

/// An empty head, with status 200.
pub(crate) fn empty() -> Parts {
    Response::new(()).into_parts().0
}

/// The status of a final answer.
///
/// # Errors
/// [`HeadError::Status`] for everything else: interim answers are the server's business.
pub(crate) fn status(code: u32) -> Result<StatusCode, HeadError> {
    let number = u16::try_from(code).ok().filter(|code| (200..=599).contains(code));
    let status = number.and_then(|code| StatusCode::from_u16(code).ok());
    status.ok_or_else(|| HeadError::Status(code.to_string()))
}

/// Adds a header, after those of the same name.
///
/// # Errors
/// [`HeadError`] if name or value are none, or there is no room for them.
pub(crate) fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
    if name.len() + value.len() > MAX_HEAD_BYTES {
        return Err(HeadError::TooLarge);
    }
    let invalid = |_| HeadError::Name(shown(name));
    let name = HeaderName::from_bytes(name).map_err(invalid)?;
    let Ok(value) = HeaderValue::from_bytes(value) else { return Err(HeadError::Value(name)) };
    if headers.len() >= MAX_HEADERS {
        return Err(HeadError::TooMany);
    }
    if bytes(headers) + name.as_str().len() + value.len() > MAX_HEAD_BYTES {
        return Err(HeadError::TooLarge);
    }
    headers.append(name, value);
    Ok(())
}

/// Looks at a complete head: drops headers that are not a guest's to send, and a length that is none.
/// The dropped names, for the log.
///
/// # Errors
/// [`HeadError`] if it cannot be sent.
pub(crate) fn check(
    status: StatusCode,
    headers: &mut HeaderMap,
) -> Result<Vec<HeaderName>, HeadError> {
    if !(200..=599).contains(&status.as_u16()) {
        return Err(HeadError::Status(status.as_u16().to_string()));
    }
    check_headers(headers)
}

/// The same of headers alone, a request's too.
///
/// # Errors
/// [`HeadError`] if there are too many, or too large ones.
pub(crate) fn check_headers(headers: &mut HeaderMap) -> Result<Vec<HeaderName>, HeadError> {
    if headers.is_empty() {
        return Ok(Vec::new());
    }
    if headers.len() > MAX_HEADERS {
        return Err(HeadError::TooMany);
    }
    // Nearly no head has anything to drop: its few fields are looked through once.
    let (mut bytes, mut lengths, mut has_length, mut has_hop_by_hop) = (0, 0, true, false);
    for (name, value) in headers.iter() {
        bytes += name.as_str().len() + value.len();
        has_hop_by_hop |= is_hop_by_hop(name);
        if matches!(*name, header::CONTENT_LENGTH) {
            lengths += 1;
            has_length = lengths == 1 && length(value.as_bytes()).is_some();
        }
    }
    if bytes > MAX_HEAD_BYTES {
        return Err(HeadError::TooLarge);
    }
    let mut dropped = if has_hop_by_hop { drop_hop_by_hop(headers) } else { Vec::new() };
    if !has_length && headers.remove(header::CONTENT_LENGTH).is_some() {
        dropped.push(header::CONTENT_LENGTH);
    }
    Ok(dropped)
}

/// Checks that there are not too many fields, and that they are not too large.
pub(crate) fn check_size(fields: &HeaderMap) -> Result<(), HeadError> {
    if fields.len() > MAX_HEADERS {
        return Err(HeadError::TooMany);
    }
    if bytes(fields) > MAX_HEAD_BYTES {
        return Err(HeadError::TooLarge);
    }
    Ok(())
}

/// The names of fields that a header lists (RFC 9110, 5.6.1). Others in its list are left out.
pub(crate) fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(name).into_iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
}

/// Drops the headers about the connection; their names.
fn drop_hop_by_hop(headers: &mut HeaderMap) -> Vec<HeaderName> {
    let own = HOP_BY_HOP.iter().filter(|name| headers.contains_key(*name)).cloned();
    let mut dropped: Vec<HeaderName> = own.collect();
    dropped.extend(named_by_connection(headers));
    for name in &dropped {
        headers.remove(name);
    }
    dropped
}

/// Headers that `Connection` says are about the connection too.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = listed(headers, header::CONNECTION);
    names.filter(|name| !is_hop_by_hop(name) && headers.contains_key(name)).collect()
}

/// The length that a head announces, if it does once and in digits.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    length(value.as_bytes())
}

/// A length in digits.
pub(crate) fn length(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// Bytes of all names and values.
fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// A guest's text in a message.
pub(crate) fn shown(text: &[u8]) -> String {
    untrusted::name(&String::from_utf8_lossy(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            append(&mut headers, name.as_bytes(), value.as_bytes()).unwrap();
        }
        headers
    }

    #[test]
    fn names_and_values_that_end_a_line_are_none() {
        let mut all = HeaderMap::new();
        for name in ["", "a b", "a:", "a\r\nb", "a\0", "ä", "a\n", " a"] {
            let error = append(&mut all, name.as_bytes(), b"x").unwrap_err();
            assert!(matches!(error, HeadError::Name(_)), "{name:?}");
        }
        for value in ["a\r\nset-cookie: b", "a\n", "a\r", "\0", "\x7f", "\x1b[0m"] {
            let error = append(&mut all, b"x-a", value.as_bytes()).unwrap_err();
            assert_eq!(error, HeadError::Value("x-a".parse().unwrap()), "{value:?}");
        }
        assert!(all.is_empty());
        append(&mut all, b"X-A", b"t\tab \xff").unwrap();
        assert_eq!(all["x-a"].as_bytes(), b"t\tab \xff");
    }

    #[test]
    fn a_head_has_a_largest_size_and_number() {
        let mut many = HeaderMap::new();
        (0..MAX_HEADERS).for_each(|n| append(&mut many, b"x", n.to_string().as_bytes()).unwrap());
        assert_eq!(append(&mut many, b"x", b"1"), Err(HeadError::TooMany));
        let mut large = HeaderMap::new();
        append(&mut large, b"x", &vec![b'a'; MAX_HEAD_BYTES - 1]).unwrap();
        assert_eq!(append(&mut large, b"y", b""), Err(HeadError::TooLarge));
        assert_eq!(append(&mut large, &vec![b'a'; 1 << 20], b""), Err(HeadError::TooLarge));
    }

    #[test]
    fn only_numbers_of_final_answers_are_statuses() {
        for code in [0, 99, 100, 101, 199, 600, 999, 65_736, u32::MAX] {
            assert_eq!(status(code), Err(HeadError::Status(code.to_string())));
        }
        for code in [200, 204, 404, 418, 599] {
            assert_eq!(u32::from(status(code).unwrap().as_u16()), code);
        }
        let switching = check(StatusCode::SWITCHING_PROTOCOLS, &mut HeaderMap::new());
        assert_eq!(switching, Err(HeadError::Status("101".to_owned())));
    }

    #[test]
    fn headers_about_the_connection_are_dropped() {
        let mut some = headers(&[
            ("Connection", "close, X-Hop"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-connection", "close"),
            ("proxy-authenticate", "Basic"),
            ("x-hop", "1"),
            ("x-kept", "2"),
        ]);
        let dropped = check(StatusCode::OK, &mut some).unwrap();
        assert_eq!(dropped.len(), 9, "{dropped:?}");
        assert_eq!(some, headers(&[("x-kept", "2")]));
    }

    #[test]
    fn each_name_about_the_connection_is_known() {
        for name in &HOP_BY_HOP {
            assert!(is_hop_by_hop(name), "{name}");
        }
        assert!(!is_hop_by_hop(&header::CONTENT_LENGTH) && !is_hop_by_hop(&header::SET_COOKIE));
    }

    #[test]
    fn a_length_is_one_number_or_none() {
        let length = |values: &[&str]| {
            let list: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
            let mut headers = headers(&list);
            check(StatusCode::OK, &mut headers).unwrap();
            content_length(&headers)
        };
        assert_eq!(length(&["12"]), Some(12));
        for none in
            [&["+1"][..], &["-1"], &["1 "], &[""], &["1", "1"], &["1,1"], &["99999999999999999999"]]
        {
            assert_eq!(length(none), None, "{none:?}");
        }
    }
}
