//! Heads of answers to plain requests.

use super::date;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use hyper::{HeaderMap, StatusCode};

/// Writes the head of an answer with a body of `length` bytes, as hyper would; `false`, and nothing
/// written, if the answer is one that hyper has rules for.
pub(super) fn write_head(
    status: StatusCode,
    headers: &HeaderMap,
    length: usize,
    closes: bool,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    let is_plain = write_status(status, out) && write_headers(headers, out);
    if !is_plain {
        out.truncate(start);
        return false;
    }
    out.extend_from_slice(b"content-length: ");
    write_number(length, out);
    out.extend_from_slice(if closes { b"\r\nconnection: close\r\ndate: " } else { b"\r\ndate: " });
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

fn write_headers(headers: &HeaderMap, out: &mut Vec<u8>) -> bool {
    for (name, value) in headers {
        if matches!(
            *name,
            CONNECTION | CONTENT_LENGTH | DATE | TRAILER | TRANSFER_ENCODING | UPGRADE
        ) {
            return false;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    true
}

fn write_number(number: usize, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 || at == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}
