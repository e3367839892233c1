//! The carriers of a session's id: cookies (RFC 6265) and headers.

use super::table::Id;
use hyper::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use wfaas_function::{Carrier, Session};

/// The id in a request's head; `None` if there is none, or something else in its place.
pub(super) fn id(carrier: &Carrier, headers: &HeaderMap) -> Option<Id> {
    match carrier {
        Carrier::Header(name) => Id::parse(headers.get(name)?.as_bytes()),
        Carrier::Cookie(name) => {
            let headers = headers.get_all(COOKIE).iter();
            let pairs = headers.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
            let of_name = |pair: &[u8]| {
                let pair = pair.trim_ascii();
                let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                Id::parse(value)
            };
            pairs.into_iter().find_map(of_name)
        }
    }
}

/// Adds the id to the head of an answer of the function at `route`. No cache may store that: it would hand
/// the session to others.
pub(super) fn add(session: &Session, id: Id, route: &str, headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let id = id.to_string();
    let (name, value) = match &session.carrier {
        Carrier::Header(name) => (HeaderName::try_from(name.as_str()), id),
        Carrier::Cookie(name) => {
            let age = session.idle.0.as_secs();
            let cookie =
                format!("{name}={id}; Path={route}; Max-Age={age}; HttpOnly; SameSite=Lax");
            (Ok(SET_COOKIE), cookie)
        }
    };
    // Names were checked when they were read, and routes are paths.
    if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
        match session.carrier {
            Carrier::Header(_) => headers.insert(name, value).is_some(),
            Carrier::Cookie(_) => headers.append(name, value),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_its_carrier_only() {
        let id = Id::parse(b"00112233445566778899aabbccddeeff").unwrap();
        let cookie = Carrier::Cookie("s".to_owned());
        let header = Carrier::Header("x-s".to_owned());
        let head = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
        };
        for (carrier, name, value, found) in [
            (&cookie, "cookie", "a=b; s=00112233445566778899aabbccddeeff;c=d", true),
            (&cookie, "cookie", "s=00112233445566778899aabbccddeeff", true),
            (&cookie, "cookie", "ss=00112233445566778899aabbccddeeff", false),
            (&cookie, "cookie", "s=00112233445566778899aabbccddeef", false),
            (&cookie, "cookie", "s=00112233445566778899AABBCCDDEEFF", false),
            (&cookie, "x-s", "00112233445566778899aabbccddeeff", false),
            (&header, "x-s", "00112233445566778899aabbccddeeff", true),
            (&header, "x-s", "x0112233445566778899aabbccddeeff", false),
        ] {
            let expected = found.then_some(id);
            assert_eq!(super::id(carrier, &head(name, value)), expected, "{name}: {value}");
        }
    }
}
