//! Trailers of answers (RFC 9110, 6.5): to clients that take them.
//!
//! HTTP/1.1 has them behind a chunked body if the request says `TE: trailers`, and the answer's `Trailer` names them;
//! HTTP/2 has them always.

use super::body::Answer;
use super::coding::Rest;
use hyper::header::{CONTENT_LENGTH, TE, TRAILER};
use hyper::http::request::Parts;
use hyper::{Response, Version};
use wfaas_function::{TrailerNames, Trailers};

/// Whether the client takes trailers.
pub(super) fn are_taken(head: &Parts) -> bool {
    if head.version == Version::HTTP_2 {
        return true;
    }
    let values = head.headers.get_all(TE).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Puts the trailers of an answer behind its body, whose client takes some, and their names into its head.
pub(super) fn fit(response: &mut Response<Answer>) {
    let extensions = response.extensions_mut();
    let fields = extensions.remove().and_then(|trailers: Trailers| trailers.take());
    let names: Option<TrailerNames> = extensions.remove();
    let names = fields.as_ref().map_or(names, TrailerNames::of_fields);
    if fields.is_some() {
        // A body with fields behind it is in chunks.
        response.headers_mut().remove(CONTENT_LENGTH);
        response.body_mut().rest = Some(Box::new(Rest::Trailers(fields)));
    }
    let is_chunked =
        response.body().rest.is_some() && !response.headers().contains_key(CONTENT_LENGTH);
    if let Some(TrailerNames(names)) = names.filter(|_| is_chunked) {
        response.headers_mut().insert(TRAILER, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::{HeaderMap, Request};

    #[test]
    fn clients_say_that_they_take_trailers() {
        let taken = |version, values: &[&str]| {
            let (mut head, ()) = Request::new(()).into_parts();
            head.version = version;
            head.headers = values.iter().map(|value| (TE, value.parse().unwrap())).collect();
            are_taken(&head)
        };
        assert!(taken(Version::HTTP_2, &[]));
        for values in [&["trailers"][..], &["gzip, Trailers"], &["gzip", "trailers ,deflate"]] {
            assert!(taken(Version::HTTP_11, values), "{values:?}");
        }
        for values in [&[][..], &["gzip"], &["x-trailers"], &["trailers-too"]] {
            assert!(!taken(Version::HTTP_11, values), "{values:?}");
        }
    }

    #[test]
    fn a_whole_answer_names_its_trailers() {
        let fields: HeaderMap = [("x-a", "1"), ("x-b", "2")]
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .into_iter()
            .collect();
        let mut response = Response::new(Answer::from(b"body".to_vec()));
        response.extensions_mut().insert(Trailers::of(fields.clone()));
        response.headers_mut().insert(CONTENT_LENGTH, "4".parse().unwrap());
        fit(&mut response);
        assert!(!response.headers().contains_key(CONTENT_LENGTH), "it is in chunks");
        let names = response.headers()[TRAILER].to_str().unwrap();
        let mut names: Vec<&str> = names.split(", ").collect();
        names.sort_unstable();
        assert_eq!(names, ["x-a", "x-b"]);
        let rest = response.body_mut().rest.as_mut().expect("they come behind the body");
        assert_eq!(rest.take_trailers(), Some(fields));
        let mut without = Response::new(Answer::from(b"body".to_vec()));
        fit(&mut without);
        assert!(without.body().rest.is_none() && without.headers().is_empty());
    }
}
