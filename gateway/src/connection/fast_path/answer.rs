//! Heads of answers to plain requests.

use super::date;
use crate::http::Added;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use hyper::{HeaderMap, StatusCode};

/// How an answer's body and connection end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The body's bytes.
    pub(super) length: usize,
    /// Whether the connection ends with the answer.
    pub(super) closes: bool,
}

/// Writes the head of an answer, as hyper would; `false`, and nothing written, if the answer is one
/// that hyper has rules for.
pub(super) fn write_head(
    status: StatusCode,
    headers: &HeaderMap,
    added: &Added,
    frame: Frame,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    let mut digits = itoa::Buffer::new();
    let length = digits.format(frame.length).as_bytes();
    let is_plain = write_status(status, out) && write_headers(headers, length, added, out);
    if !is_plain {
        out.truncate(start);
        return false;
    }
    added.write(headers, out);
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(length);
    let close: &[u8] = if frame.closes { b"\r\nconnection: close" } else { b"" };
    out.extend_from_slice(close);
    out.extend_from_slice(b"\r\ndate: ");
    date::write(out);
    out.extend_from_slice(b"\r\n\r\n");
    true
}

fn write_status(status: StatusCode, out: &mut Vec<u8>) -> bool {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return true;
    }
    let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if status.is_informational() || has_no_body {
        return false;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("<none>").as_bytes());
    out.extend_from_slice(b"\r\n");
    true
}

/// Writes the headers, but for the length, which has a line of its own. One that is another than `length` is not plain.
fn write_headers(headers: &HeaderMap, length: &[u8], added: &Added, out: &mut Vec<u8>) -> bool {
    for (name, value) in headers {
        if matches!(*name, CONTENT_LENGTH) && value.as_bytes() == length {
            continue;
        }
        if matches!(
            *name,
            CONNECTION | CONTENT_LENGTH | DATE | TRAILER | TRANSFER_ENCODING | UPGRADE
        ) {
            return false;
        }
        if added.replace(name) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{CONTENT_TYPE, HeaderValue};

    fn text(status: u16, headers: &HeaderMap, length: usize, closes: bool) -> Option<String> {
        let mut out = b"before".to_vec();
        let status = StatusCode::from_u16(status).unwrap();
        let frame = Frame { length, closes };
        let is_written = write_head(status, headers, &Added::default(), frame, &mut out);
        let text = String::from_utf8(out).unwrap().strip_prefix("before").map(str::to_owned);
        assert!(is_written || text.as_deref() == Some(""), "{text:?}");
        text.filter(|_| is_written)
    }

    #[test]
    fn a_head_has_its_lines_in_the_order_of_hypers() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        let written = text(200, &headers, 0, false).unwrap();
        let start = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-a: 1\r\nx-a: 2\r\n\
            content-length: 0\r\ndate: ";
        let date = written.strip_prefix(start).and_then(|rest| rest.strip_suffix(" GMT\r\n\r\n"));
        assert_eq!(date.map(str::len), Some("Sun, 06 Nov 1994 08:49:37".len()), "{written}");
        let written = text(404, &HeaderMap::new(), usize::MAX, true).unwrap();
        let start = "HTTP/1.1 404 Not Found\r\ncontent-length: 18446744073709551615\r\n\
            connection: close\r\ndate: ";
        assert!(written.starts_with(start), "{written}");
        let mut counted = HeaderMap::new();
        counted.insert(CONTENT_LENGTH, HeaderValue::from_static("10"));
        let written = text(200, &counted, 10, false).unwrap();
        assert!(
            written.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 10\r\ndate: "),
            "{written}"
        );
        assert!(text(599, &HeaderMap::new(), 10, true).unwrap().starts_with("HTTP/1.1 599 <none>"));
    }

    #[test]
    fn answers_that_hyper_has_rules_for_are_not_written() {
        for status in [100, 101, 199, 204, 304] {
            assert_eq!(text(status, &HeaderMap::new(), 0, false), None, "{status}");
        }
        for name in ["connection", "content-length", "date", "trailer", "transfer-encoding"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("2"));
            assert_eq!(text(200, &headers, 1, false), None, "{name}");
        }
    }
}
