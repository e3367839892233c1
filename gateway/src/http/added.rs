//! Headers that the gateway adds to an answer.
//!
//! They are not put into a map of headers before somebody needs one: most answers of functions have
//! no headers of their own, and the fast path writes these as they are.

use super::body::Answer;
use super::id::{REQUEST_ID, RequestId};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Response};

/// Headers to be added.
#[derive(Debug, Default)]
pub(crate) struct Added {
    pub(super) id: Option<RequestId>,
    /// Set if the answer is a function's: the type of its body, if the guest names none. Its body is of
    /// that type and nothing else, whatever it looks like.
    pub(super) content_type: Option<HeaderValue>,
}

/// Value of `x-content-type-options`.
const NOSNIFF: &str = "nosniff";

/// Puts what is to be added to an answer into its headers.
pub(crate) fn insert_added(response: &mut Response<Answer>) {
    let added = std::mem::take(&mut response.body_mut().added);
    added.insert(response.headers_mut());
}

impl Added {
    fn insert(self, headers: &mut HeaderMap) {
        if let Some(content_type) = self.content_type {
            headers.entry(CONTENT_TYPE).or_insert(content_type);
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static(NOSNIFF));
        }
        if let Some(id) = self.id {
            headers.insert(REQUEST_ID, id.into());
        }
    }

    /// Whether a header of the answer has to make room for one of these.
    pub(crate) fn replace(&self, name: &HeaderName) -> bool {
        *name == X_CONTENT_TYPE_OPTIONS && self.content_type.is_some()
            || *name == REQUEST_ID && self.id.is_some()
    }

    /// Writes them as lines, for an answer with these headers besides.
    pub(crate) fn write(&self, headers: &HeaderMap, out: &mut Vec<u8>) {
        if let Some(content_type) = &self.content_type {
            if headers.is_empty() || !headers.contains_key(CONTENT_TYPE) {
                out.extend_from_slice(b"content-type: ");
                out.extend_from_slice(content_type.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"x-content-type-options: nosniff\r\n");
        }
        if let Some(id) = &self.id {
            out.extend_from_slice(b"x-request-id: ");
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestIds;

    #[test]
    fn lines_are_those_of_the_headers() {
        let own = |names: &[&'static str]| -> HeaderMap {
            names.iter().map(|name| (name.parse().unwrap(), "own".parse().unwrap())).collect()
        };
        let id = RequestIds::new().unwrap().next();
        let of_function = Some(HeaderValue::from_static("text/plain"));
        for content_type in [None, of_function] {
            for names in [
                &[][..],
                &["content-type"],
                &["x-content-type-options"],
                &["x-request-id", "x-own"],
            ] {
                let added = || Added { id: Some(id), content_type: content_type.clone() };
                let (mut headers, mut out) = (own(names), Vec::new());
                for (name, value) in own(names).iter().filter(|(name, _)| !added().replace(name)) {
                    out.extend(format!("{name}: {}\r\n", value.to_str().unwrap()).into_bytes());
                }
                added().write(&headers, &mut out);
                added().insert(&mut headers);
                let line = |(name, value): (&HeaderName, &HeaderValue)| {
                    format!("{name}: {}", value.to_str().unwrap())
                };
                let mut expected: Vec<_> = headers.iter().map(line).collect();
                let text = String::from_utf8(out).unwrap();
                let mut lines: Vec<_> = text.lines().collect();
                expected.sort_unstable();
                lines.sort_unstable();
                assert_eq!(lines, expected, "{names:?}");
            }
        }
    }
}
