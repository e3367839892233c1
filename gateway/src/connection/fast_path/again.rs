//! Heads that come again: a client most often sends its last request's head once more, byte for byte.
//!
//! Comparing it takes a fifteenth of the instructions of reading it, and the copy that the guest may look
//! at is there already.

use super::head::{self, NotPlain, Plain};
use wfaas_function::PlainHead;

/// Most bytes of a head that a connection keeps for the next request: so few that no lease counts them.
const MOST_KEPT: usize = 512;

/// A plain request, and its head in bytes that outlive those of the connection. The default is none.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) plain: Plain,
    pub(super) head: PlainHead,
}

impl Found {
    /// Becomes the first request in `bytes`, if that is plain, as [`head::find`] has it.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<(), NotPlain> {
        if !self.is_first_in(bytes) {
            let plain = head::find(bytes)?;
            let head = PlainHead::new(&bytes[..plain.head], plain.target.clone());
            *self = Found { plain, head };
        }
        Ok(())
    }

    /// The request is taken: a short head is kept for the next one.
    pub(super) fn taken(&mut self) {
        if self.plain.head > MOST_KEPT {
            *self = Found::default();
        }
    }

    /// Whether `bytes` begin with the same head and a body of its length.
    fn is_first_in(&self, bytes: &[u8]) -> bool {
        let rest = bytes.strip_prefix(self.head.as_bytes());
        self.plain.head > 0 && rest.is_some_and(|rest| rest.len() >= self.plain.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_same_whatever_came_before() {
        let post = |length: usize, body: &str| {
            format!("POST /a?b HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        let long = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "y".repeat(MOST_KEPT));
        let texts = [
            post(3, "abc"),
            post(3, "xyzGET"),
            post(3, "ab"),
            post(2, "ab"),
            "GET /a HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
            "GET /a HTTP/1.1\r\nhost: h\r\n\r".to_owned(),
            "GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n".to_owned(),
            "GET /b HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
            long,
        ];
        let mut last = Found::default();
        for first in &texts {
            for second in &texts {
                for text in [first, first, second] {
                    let bytes = text.as_bytes();
                    let found = last.find(bytes).map(|()| last.plain.clone());
                    assert_eq!(found, head::find(bytes), "{text}");
                    if let Ok(plain) = found {
                        assert_eq!(last.head.as_bytes(), &bytes[..plain.head]);
                        assert_eq!(last.head.target(), &bytes[plain.target]);
                    }
                    last.taken();
                    assert!(last.plain.head <= MOST_KEPT);
                }
            }
        }
    }
}
