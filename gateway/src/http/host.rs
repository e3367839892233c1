//! The `host` of a request (RFC 9112, 3.2; RFC 9113, 8.3.1).

use super::answer::Problem;
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{StatusCode, Version};

/// Refuses a request that does not say once, and as it has to, which host it is for.
pub(super) fn check(head: &Parts) -> Result<(), Problem> {
    let refuse = |message: &str| Err(Problem::new(StatusCode::BAD_REQUEST, message));
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return refuse("there is more than one host header");
    }
    let Some(host) = host else {
        return match head.version {
            Version::HTTP_11 => refuse("there is no host header"),
            _ => Ok(()),
        };
    };
    if head.version != Version::HTTP_2 && is_plain(host.as_bytes()) {
        return Ok(());
    }
    let Some(host) = text_of(host) else {
        return refuse("the host header is not a host");
    };
    let differs = |authority: &Authority| !authority.as_str().eq_ignore_ascii_case(host);
    if head.version == Version::HTTP_2 && head.uri.authority().is_some_and(differs) {
        return refuse("the host header differs from the authority");
    }
    Ok(())
}

/// Whether the value of a `host` header is a host.
pub(crate) fn is_host_value(value: &[u8]) -> bool {
    let is_seldom = || HeaderValue::from_bytes(value).is_ok_and(|value| text_of(&value).is_some());
    is_plain(value) || is_seldom()
}

fn text_of(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().filter(|host| is_host(host))
}

/// `uri-host [ ":" port ]`, or nothing.
fn is_host(text: &str) -> bool {
    text.is_empty() || !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// Whether it is a name or an IPv4 address, and maybe a port, as next to all are: parsing anything else
/// takes a copy of it.
fn is_plain(host: &[u8]) -> bool {
    let mut name = 0;
    while name < host.len() && IN_NAMES[usize::from(host[name])] {
        name += 1;
    }
    match &host[name..] {
        [] => name > 0,
        [b':', port @ ..] => name > 0 && is_port(port),
        _ => false,
    }
}

/// Which bytes are in names and IPv4 addresses.
const IN_NAMES: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'.' | b'-');
        byte += 1;
    }
    table
};

fn is_port(port: &[u8]) -> bool {
    let has_value =
        |port: &[u8]| std::str::from_utf8(port).is_ok_and(|it| it.parse::<u16>().is_ok());
    matches!(port.len(), 1..=5) && port.iter().all(u8::is_ascii_digit) && has_value(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn status(version: Version, uri: &str, hosts: &[&[u8]]) -> u16 {
        let mut request = Request::get(uri).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        check(&head).map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn plain_hosts_are_hosts() {
        for (text, plain) in [
            ("", false),
            ("a", true),
            ("127.0.0.1:8080", true),
            ("x-y.example:1", true),
            (":80", false),
            ("a:", false),
            ("a:80:80", false),
            ("a:12345", true),
            ("a:65535", true),
            ("a:65536", false),
            ("a:012345", false),
            ("a:+1", false),
            ("[::1]", false),
            ("a_b", false),
            ("a%20b", false),
        ] {
            assert_eq!(is_plain(text.as_bytes()), plain, "{text}");
            assert!(!plain || is_host(text), "{text}");
        }
    }

    #[test]
    fn a_host_is_named_once() {
        for (version, hosts, expected) in [
            (Version::HTTP_11, &[&b"a"[..]][..], 200),
            (Version::HTTP_11, &[b""], 200),
            (Version::HTTP_11, &[b"a:80"], 200),
            (Version::HTTP_11, &[b"[::1]:80"], 200),
            (Version::HTTP_11, &[], 400),
            (Version::HTTP_10, &[], 200),
            (Version::HTTP_2, &[], 200),
            (Version::HTTP_11, &[b"a", b"a"], 400),
            (Version::HTTP_10, &[b"a", b"b"], 400),
            (Version::HTTP_2, &[b"a", b"a"], 400),
        ] {
            assert_eq!(status(version, "/", hosts), expected, "{version:?} {hosts:?}");
        }
        for wrong in [&b"a b"[..], b"a/b", b"u@a", b"a?b", b"a#b", b"\xff", b"http://a"] {
            assert_eq!(status(Version::HTTP_11, "/", &[wrong]), 400, "{wrong:?}");
        }
        // A host of plain bytes only is one for the parser too.
        for byte in 0..=255 {
            let host = [b'a', byte, b'b'];
            let parsed = std::str::from_utf8(&host).is_ok_and(is_host);
            assert!(!is_plain(&host) || parsed, "{byte}");
        }
        assert_eq!(status(Version::HTTP_2, "http://a/", &[b"A"]), 200);
        assert_eq!(status(Version::HTTP_2, "http://a/", &[b"b"]), 400);
    }
}
