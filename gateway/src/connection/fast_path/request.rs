//! Plain requests in types, for the way of all others.

use super::again::Found;
use crate::http::Incoming;
use crate::http::plain::Asked;
use bytes::Bytes;
use hyper::Request;

impl Found {
    /// The request in the bytes that it was found in.
    pub(super) fn asked<'a>(&'a self, bytes: &'a [u8]) -> Asked<'a> {
        let Found { plain, head } = self;
        let body = &bytes[plain.head..][..plain.body];
        Asked { head, path: plain.path, body, memory: plain.memory }
    }
}

/// The request in types.
pub(super) fn of(asked: &Asked<'_>) -> Request<Incoming> {
    let Asked { head, body, .. } = *asked;
    Request::from_parts(head.parts(), Incoming::Complete(Bytes::copy_from_slice(body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_that_is_there_is_read_as_one_that_comes() {
        let text = b"PUT /a?b HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nabc";
        let mut found = Found::default();
        found.find(text).unwrap();
        let request = of(&found.asked(text));
        assert_eq!(
            (request.uri().to_string(), request.headers()["host"].as_bytes()),
            ("/a?b".to_owned(), &b"h"[..])
        );
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "ab");
    }
}
