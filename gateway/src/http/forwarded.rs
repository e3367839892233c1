//! The header `forwarded` (RFC 7239): which client a trusted proxy speaks for.

use hyper::HeaderMap;
use hyper::header::FORWARDED;
use std::net::{IpAddr, SocketAddr};

/// The client that sent a request: the last node in the headers that is not trusted itself, since
/// everything before it may be made up. `None` if there is none, if that one is hidden, or if the
/// headers are malformed.
pub(super) fn client(headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut elements = Vec::new();
    for line in headers.get_all(FORWARDED) {
        elements.extend(split(line.to_str().ok()?, ',')?);
    }
    let mut client = None;
    for element in elements.into_iter().rev() {
        let address = node(element)?;
        client = Some(address);
        if !trusted(address) {
            break;
        }
    }
    client
}

/// The address in the parameter `for` of an element.
fn node(element: &str) -> Option<IpAddr> {
    let value = split(element, ';')?.into_iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let bracketed = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
    let address = bracketed.unwrap_or(value).parse();
    address.or_else(|_| value.parse().map(|socket: SocketAddr| socket.ip())).ok()
}

/// The parts between separators outside of quotes; `None` if a quote is not closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|character| {
        let is_escaped = std::mem::take(&mut escaped);
        quoted ^= character == '"' && !is_escaped;
        escaped = quoted && character == '\\' && !is_escaped;
        character == separator && !quoted
    });
    let parts = parts.collect();
    (!quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        client(&headers, trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_last_node_that_is_not_trusted_is_the_client() {
        for (lines, expected) in [
            (&["for=1.2.3.4"][..], Some("1.2.3.4")),
            (&["For=\"1.2.3.4:80\";proto=http;by=10.0.0.1"], Some("1.2.3.4")),
            (&["proto=http; for=\"[2001:db8::1]:80\""], Some("2001:db8::1")),
            (&["for=\"[2001:db8::1]\""], Some("2001:db8::1")),
            (&["for=6.6.6.6, for=1.2.3.4"], Some("1.2.3.4")),
            (&["for=6.6.6.6", "for=1.2.3.4, for=10.0.0.2"], Some("1.2.3.4")),
            (&["for=10.0.0.3, for=10.0.0.2"], Some("10.0.0.3")),
            (&["for=\"a,b\\\",c\", for=1.2.3.4"], Some("1.2.3.4")),
        ] {
            assert_eq!(find(lines).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_client_cannot_be_hidden_or_made_up() {
        for lines in [
            &[][..],
            &["for=unknown"],
            &["for=_hidden"],
            &["for=1.2.3.4, for=_hidden"],
            &["for=1.2.3.4, proto=http"],
            &["for=\"1.2.3.4, for=5.6.7.8"],
            &["for=1.2.3.4, for=\"10.0.0.1"],
            &["for=1.2.3.4,"],
        ] {
            assert_eq!(find(lines), None, "{lines:?}");
        }
    }
}
