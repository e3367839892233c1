//! Plain requests in types, for the way of all others.

use super::head::Plain;
use crate::http::Incoming;
use crate::http::plain::Asked;
use bytes::Bytes;
use hyper::Request;
use wfaas_function::PlainHead;

impl Plain {
    /// The request in the bytes that it was found in.
    pub(super) fn asked<'a>(&self, bytes: &'a [u8]) -> Asked<'a> {
        let (head, rest) = bytes.split_at(self.head);
        Asked { head, target: self.target.clone(), body: &rest[..self.body], memory: self.memory }
    }
}

/// The request in types.
pub(super) fn of(plain: &Plain, bytes: &[u8]) -> Request<Incoming> {
    let Asked { head, target, body, .. } = plain.asked(bytes);
    let parts = PlainHead::new(head, target).parts();
    Request::from_parts(parts, Incoming::Complete(Bytes::copy_from_slice(body)))
}

#[cfg(test)]
mod tests {
    use super::super::head;
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_that_is_there_is_read_as_one_that_comes() {
        let text = b"PUT /a?b HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nabc";
        let request = of(&head::find(text).unwrap(), text);
        assert_eq!(
            (request.uri().to_string(), request.headers()["host"].as_bytes()),
            ("/a?b".to_owned(), &b"h"[..])
        );
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "ab");
    }
}
