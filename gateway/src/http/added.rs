//! Headers that the gateway adds to an answer, and plain ones of its function.
//!
//! They are not put into a map of headers before somebody needs one: the fast path writes them as they are.

use super::body::Answer;
use super::id::{REQUEST_ID, RequestId};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Response};
use wfaas_function::PlainFields;

/// Headers to be added.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The function's own, before those that are added.
    pub(super) own: PlainFields,
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

/// Puts the function's own headers there alone, for somebody who looks at them.
pub(super) fn insert_own(response: &mut Response<Answer>) {
    let own = std::mem::take(&mut response.body_mut().added.own);
    own.add_to(response.headers_mut());
}

impl Added {
    fn insert(self, headers: &mut HeaderMap) {
        self.own.add_to(headers);
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
        self.replace_plain(name.as_str().as_bytes())
    }

    fn replace_plain(&self, name: &[u8]) -> bool {
        let is = |known: &HeaderName| name == known.as_str().as_bytes();
        is(&X_CONTENT_TYPE_OPTIONS) && self.content_type.is_some()
            || is(&REQUEST_ID) && self.id.is_some()
    }

    /// Writes them as lines, for an answer with these headers besides. The length of the body has a line elsewhere.
    pub(crate) fn write(&self, headers: &HeaderMap, out: &mut Vec<u8>) {
        for (name, line) in self.own.lines() {
            if !self.replace_plain(name) {
                out.extend_from_slice(line);
            }
        }
        if let Some(content_type) = &self.content_type {
            let has_own = self.own.has_content_type()
                || (!headers.is_empty() && headers.contains_key(CONTENT_TYPE));
            if !has_own {
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
                for is_plain in [false, true] {
                    let mut plain = PlainFields::default();
                    let mut headers = own(names);
                    if is_plain {
                        headers.clear();
                        assert!(names.iter().all(|name| plain.push(name.as_bytes(), b"own")));
                    }
                    let content_type = content_type.clone();
                    lines_agree(Added { own: plain, id: Some(id), content_type }, headers);
                }
            }
        }
    }

    fn lines_agree(added: Added, mut headers: HeaderMap) {
        let mut out = Vec::new();
        for (name, value) in headers.iter().filter(|(name, _)| !added.replace(name)) {
            out.extend(format!("{name}: {}\r\n", value.to_str().unwrap()).into_bytes());
        }
        added.write(&headers, &mut out);
        added.insert(&mut headers);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut expected: Vec<_> = headers.iter().map(line).collect();
        let text = String::from_utf8(out).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        expected.sort_unstable();
        lines.sort_unstable();
        assert_eq!(lines, expected);
    }
}
