//! Framing: an answer's head, its body and its request have to agree (RFC 9110, 6.4.1 and 8.6).

use super::body::Answer;
use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// Whether answers of this status have a body.
pub(super) fn has_content(status: StatusCode) -> bool {
    // 304 stands for a body that the client has; 205 must not have one, which few know.
    !matches!(status.as_u16(), 100..=199 | 204 | 205 | 304)
}

/// Makes the head of a guest's answer say how long the body is, or leaves that to the server. The
/// answer to HEAD has no body, and the length of the one that GET would get.
pub(super) fn fit(response: &mut Response<Answer>, is_head: bool) {
    let has_content = has_content(response.status());
    let body = response.body_mut();
    body.added.own.fit_length(has_content.then_some(body.bytes.len() as u64));
    if has_content && !is_head {
        if response.body().rest.is_none() && has_other_length(response) {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        return;
    }
    let body = std::mem::take(&mut response.body_mut().bytes);
    response.body_mut().rest = None;
    if !has_content {
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if !body.is_empty() {
        response.headers_mut().insert(CONTENT_LENGTH, length(&body));
    }
}

/// Whether the head of a whole answer says that the body has another length. One that is right stays: looking is less
/// work than taking it out.
fn has_other_length(response: &Response<Answer>) -> bool {
    let mut digits = itoa::Buffer::new();
    let length = digits.format(response.body().bytes.len());
    let is_wrong = |(name, value): (&HeaderName, &HeaderValue)| {
        matches!(*name, CONTENT_LENGTH) && value.as_bytes() != length.as_bytes()
    };
    response.headers().iter().any(is_wrong)
}

fn length(body: &Bytes) -> HeaderValue {
    (body.len() as u64).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length that is announced, and bytes of the body.
    fn fitted(status: u16, is_head: bool, announced: Option<&str>, body: &str) -> (String, usize) {
        let mut response = Response::new(Answer::from(body.as_bytes().to_vec()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(announced) = announced {
            response.headers_mut().insert(CONTENT_LENGTH, announced.parse().unwrap());
        }
        fit(&mut response, is_head);
        let length = response.headers().get(CONTENT_LENGTH);
        let length = length.map_or("none", |length| length.to_str().unwrap()).to_owned();
        (length, response.body().bytes.len())
    }

    #[test]
    fn head_and_body_agree() {
        let none = |bytes| ("none".to_owned(), bytes);
        // The server counts, whatever the guest says.
        for announced in [None, Some("2"), Some("4"), Some("03"), Some("33")] {
            assert_eq!(fitted(200, false, announced, "abc"), none(3));
        }
        assert_eq!(fitted(200, false, Some("3"), "abc"), ("3".to_owned(), 3));
        for status in [204, 205, 304] {
            assert_eq!(fitted(status, false, Some("3"), "abc"), none(0), "{status}");
            assert_eq!(fitted(status, true, Some("3"), "abc"), none(0), "{status}");
        }
        assert_eq!(fitted(200, true, None, "abc"), ("3".to_owned(), 0));
        assert_eq!(fitted(200, true, Some("7"), "abc"), ("3".to_owned(), 0));
        assert_eq!(fitted(200, true, Some("7"), ""), ("7".to_owned(), 0));
        assert_eq!(fitted(404, true, None, ""), none(0));
    }
}
