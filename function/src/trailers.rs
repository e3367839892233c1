//! Trailers: fields behind a body (RFC 9110, 6.5).
//!
//! A body that arrives or leaves in pieces has its trailers at the end: the two sides share a [`Trailers`], which is
//! filled before the body ends. A complete answer has one among the extensions of its head.

use crate::head::{self, HeadError};
use http::Extensions;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::sync::{Arc, Mutex, PoisonError};

/// The trailers of a body, once it has ended.
#[derive(Debug, Clone, Default)]
pub struct Trailers(Arc<Mutex<Option<HeaderMap>>>);

/// The names that an answer may have among its trailers: an extension of its head. HTTP/1.1 needs them beforehand.
#[derive(Debug, Clone)]
pub struct TrailerNames(pub HeaderValue);

/// Fields that are no trailers: they frame, route, authenticate or describe the message, or say what its receiver has
/// to do first (RFC 9110, 6.5.1).
static FORBIDDEN: [HeaderName; 27] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    header::LOCATION,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::RANGE,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Why fields cannot be the trailers of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrailerError {
    /// A field that says something about the message.
    #[error("{0} cannot be a trailer")]
    Forbidden(HeaderName),
    /// There are too many of them, or they are too large.
    #[error("as trailers: {0}")]
    Size(#[from] HeadError),
}

impl Trailers {
    /// The trailers of a body that has ended. Fields that are [no trailers](Trailers::set) are dropped.
    pub fn of(fields: HeaderMap) -> Trailers {
        let trailers = Trailers::default();
        trailers.set(fields);
        trailers
    }

    /// Sets them, before the body ends. Fields that are no trailers are dropped (RFC 9110, 6.5.1).
    pub fn set(&self, mut fields: HeaderMap) {
        for name in &FORBIDDEN {
            fields.remove(name);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fields);
    }

    /// Takes them. There are none before the end of the body, and of most bodies.
    pub fn take(&self) -> Option<HeaderMap> {
        let fields = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        fields.filter(|fields| !fields.is_empty())
    }
}

/// Checks the trailers that a guest gave.
pub(crate) fn check(fields: &HeaderMap) -> Result<(), TrailerError> {
    if let Some(name) = FORBIDDEN.iter().find(|name| fields.contains_key(*name)) {
        return Err(TrailerError::Forbidden(name.clone()));
    }
    Ok(head::check_size(fields)?)
}

/// Notes the names of trailers that a head announces among its extensions.
pub(crate) fn announce(extensions: &mut Extensions, headers: &HeaderMap) {
    if let Some(names) = announced(headers) {
        extensions.insert(names);
    }
}

/// The names of trailers that a head announces, without those that are none.
pub(crate) fn announced(headers: &HeaderMap) -> Option<TrailerNames> {
    // Next to no head has any.
    if !headers.keys().any(|name| *name == header::TRAILER) {
        return None;
    }
    let names = head::listed(headers, header::TRAILER);
    TrailerNames::of(names.filter(|name| !FORBIDDEN.contains(name)))
}

impl TrailerNames {
    /// A list of names; `None` if there is none.
    fn of(names: impl Iterator<Item = HeaderName>) -> Option<TrailerNames> {
        let names = names.map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(", ");
        // Tokens and commas are a value.
        HeaderValue::try_from(names).ok().filter(|names| !names.is_empty()).map(TrailerNames)
    }

    /// The names of these fields.
    pub fn of_fields(fields: &HeaderMap) -> Option<TrailerNames> {
        TrailerNames::of(fields.keys().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HOP_BY_HOP;

    fn fields(list: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        list.iter().map(field).collect()
    }

    #[test]
    fn fields_about_the_message_are_no_trailers() {
        let good = fields(&[("x-checksum", "1"), ("grpc-status", "0"), ("server-timing", "a")]);
        assert_eq!(check(&good), Ok(()));
        for name in ["content-length", "transfer-encoding", "host", "trailer", "set-cookie"] {
            let mut all = good.clone();
            all.insert(name.parse::<HeaderName>().unwrap(), "1".parse().unwrap());
            let forbidden = TrailerError::Forbidden(name.parse().unwrap());
            assert_eq!(check(&all), Err(forbidden));
            assert_eq!(
                Trailers::of(all).take(),
                Some(good.clone()),
                "{name} of another is dropped"
            );
        }
    }

    #[test]
    fn fields_about_the_connection_are_no_trailers() {
        for name in &HOP_BY_HOP {
            let all = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("1"))]);
            assert_eq!(check(&all), Err(TrailerError::Forbidden(name.clone())));
            assert_eq!(Trailers::of(all).take(), None, "{name}");
        }
    }

    #[test]
    fn trailers_are_as_many_as_headers() {
        let named = |count: usize| -> HeaderMap {
            let field = |n| (format!("x-{n}").parse::<HeaderName>().unwrap(), "".parse().unwrap());
            (0..count).map(field).collect()
        };
        assert_eq!(check(&named(128)), Ok(()));
        assert_eq!(check(&named(129)), Err(TrailerError::Size(HeadError::TooMany)));
        let long = |bytes| fields(&[("x", &"a".repeat(bytes))]);
        assert_eq!(check(&long((32 << 10) - 1)), Ok(()));
        assert_eq!(check(&long(32 << 10)), Err(TrailerError::Size(HeadError::TooLarge)));
    }

    #[test]
    fn heads_announce_names() {
        let names = |values: &[&str]| {
            let headers = values.iter().map(|value| (header::TRAILER, value.parse().unwrap()));
            announced(&headers.collect()).map(|TrailerNames(names)| names)
        };
        assert_eq!(names(&["X-A , x-b", "x-c"]).unwrap(), "x-a, x-b, x-c");
        assert_eq!(names(&["content-length, x-a, not a name,,"]).unwrap(), "x-a");
        assert_eq!(names(&["Content-Length"]), None);
        assert_eq!(names(&[]), None);
    }

    #[test]
    fn there_are_trailers_once() {
        let trailers = Trailers::default();
        assert_eq!(trailers.take(), None);
        let other = trailers.clone();
        other.set(fields(&[("x-a", "1")]));
        assert_eq!(trailers.take(), Some(fields(&[("x-a", "1")])));
        assert_eq!(other.take(), None);
        assert_eq!(Trailers::of(HeaderMap::new()).take(), None);
    }
}
