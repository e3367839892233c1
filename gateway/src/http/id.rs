//! Ids of requests.

use crate::random;
use hyper::header::{HeaderName, HeaderValue};
use std::sync::atomic::{AtomicU32, Ordering};

/// Name of the header with a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes ids for requests: unique in the process, and most likely among processes.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// The digits of the process, with number 0.
    process: RequestId,
    next: AtomicU32,
}

/// Two numbers of eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId([u8; 17]);

impl RequestIds {
    pub(crate) fn new() -> std::io::Result<RequestIds> {
        let process = RequestId::of(u32::from_le_bytes(random::bytes()?), 0);
        Ok(RequestIds { process, next: AtomicU32::new(0) })
    }

    pub(super) fn next(&self) -> RequestId {
        let RequestId(mut digits) = self.process;
        digits[9..].copy_from_slice(&hexadecimal(self.next.fetch_add(1, Ordering::Relaxed)));
        RequestId(digits)
    }
}

impl RequestId {
    fn of(process: u32, number: u32) -> RequestId {
        let mut digits = [b'-'; 17];
        digits[..8].copy_from_slice(&hexadecimal(process));
        digits[9..].copy_from_slice(&hexadecimal(number));
        RequestId(digits)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<RequestId> for HeaderValue {
    /// An id is never indexed (RFC 7541, section 6.2.3): no other answer has it, and in HPACK's dynamic table it would
    /// take the place of a header that others have.
    fn from(id: RequestId) -> HeaderValue {
        let mut value =
            HeaderValue::from_bytes(&id.0).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

fn hexadecimal(number: u32) -> [u8; 8] {
    std::array::from_fn(|place| b"0123456789abcdef"[(number >> (28 - 4 * place)) as usize & 15])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_with_all_their_digits() {
        let id = RequestId::of(0x0bad_cafe, 0x42);
        assert_eq!(id.as_str(), "0badcafe-00000042");
        assert_eq!(HeaderValue::from(id), "0badcafe-00000042");
        assert!(HeaderValue::from(id).is_sensitive());
        assert_eq!(RequestId::of(0xffff_ffff, 0x1234_5678).as_str(), "ffffffff-12345678");
        let ids = RequestIds::new().unwrap();
        assert_ne!(ids.next(), ids.next());
    }
}
