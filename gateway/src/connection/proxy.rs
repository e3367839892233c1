//! The PROXY protocol, versions 1 and 2: how a proxy names the client of a connection before the
//! client's first byte (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The start of a connection, as far as it has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More has to come.
    Incomplete,
    /// A header of so many bytes, and the client; `None` if the proxy speaks for itself.
    Header(usize, Option<IpAddr>),
    /// Anything else.
    Invalid,
}

/// Most bytes of a header that are waited for.
pub(super) const MAX_HEADER: usize = 4096;

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Most bytes of a header of version 1.
const MAX_LINE: usize = 107;

/// Parses the start of a connection.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let begins = |signature: &[u8]| {
        let common = bytes.len().min(signature.len());
        bytes[..common] == signature[..common]
    };
    if begins(SIGNATURE_2) {
        parse_2(bytes)
    } else if begins(SIGNATURE_1) {
        parse_1(bytes)
    } else {
        Parsed::Invalid
    }
}

/// `PROXY TCP4 SOURCE DESTINATION PORT PORT`, with TCP6 or UNKNOWN as well.
fn parse_1(bytes: &[u8]) -> Parsed {
    let seen = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_LINE { Parsed::Incomplete } else { Parsed::Invalid };
    };
    let words = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let words: Vec<&str> = words.split(' ').collect();
    let port = |text: &str| text.parse::<u16>().is_ok();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Parsed::Header(end + 2, None),
        ["PROXY", "TCP4", source, to, from_port, to_port]
            if to.parse::<Ipv4Addr>().is_ok() && port(from_port) && port(to_port) =>
        {
            let source = source.parse().map(IpAddr::V4);
            source.map_or(Parsed::Invalid, |source| Parsed::Header(end + 2, Some(source)))
        }
        ["PROXY", "TCP6", source, to, from_port, to_port]
            if to.parse::<Ipv6Addr>().is_ok() && port(from_port) && port(to_port) =>
        {
            let source = source.parse().map(IpAddr::V6);
            source.map_or(Parsed::Invalid, |source| Parsed::Header(end + 2, Some(source)))
        }
        _ => Parsed::Invalid,
    }
}

/// The signature; version and command; family and transport; length (2 bytes); addresses, and
/// whatever else.
fn parse_2(bytes: &[u8]) -> Parsed {
    let Some((fixed, rest)) = bytes.split_at_checked(16) else { return Parsed::Incomplete };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length + 16 > MAX_HEADER {
        return Parsed::Invalid;
    }
    let Some(payload) = rest.get(..length) else { return Parsed::Incomplete };
    let source = match (fixed[12], fixed[13] >> 4) {
        (0x20, _) => Some(None),
        (0x21, 0) => Some(None),
        (0x21, 1) if length >= 12 => payload.first_chunk::<4>().map(|ip| Some((*ip).into())),
        (0x21, 2) if length >= 36 => payload.first_chunk::<16>().map(|ip| Some((*ip).into())),
        // Unix sockets have no address that helps.
        (0x21, 3) => Some(None),
        _ => None,
    };
    source.map_or(Parsed::Invalid, |source| Parsed::Header(16 + length, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [SIGNATURE_2, &[command, family], &length, payload].concat()
    }

    #[test]
    fn headers_name_the_client() {
        let six = [[0x20; 16], [0; 16]].concat();
        let six = [&six[..], &[0; 4]].concat();
        let client = |text: &str| Some(text.parse().unwrap());
        for (header, expected) in [
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65535\r\n".to_vec(), client("10.0.0.1")),
            (b"PROXY TCP6 fd00::1 ::2 1 2\r\n".to_vec(), client("fd00::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN a b c d\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &[10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2]), client("10.0.0.1")),
            (version_2(0x21, 0x11, &[10; 40]), client("10.10.10.10")),
            (version_2(0x21, 0x21, &six), Some(IpAddr::from([0x20; 16]))),
            (version_2(0x20, 0, &[]), None),
        ] {
            let length = header.len();
            assert_eq!(parse(&header), Parsed::Header(length, expected), "{header:?}");
            let more = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&more), Parsed::Header(length, expected));
            for cut in 0..length {
                assert_eq!(parse(&header[..cut]), Parsed::Incomplete, "{header:?} to {cut}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat();
        for wrong in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1\r\n".to_vec(),
            b"PROXY TCP4 fd00::1 ::2 1 2\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n".to_vec(),
            b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n".to_vec(),
            long,
            version_2(0x21, 0x11, &[1, 2, 3]),
            version_2(0x31, 0x11, &[0; 12]),
            version_2(0x22, 0x11, &[0; 12]),
            version_2(0x21, 0x11, &[0; MAX_HEADER]),
        ] {
            assert_eq!(parse(&wrong), Parsed::Invalid, "{wrong:?}");
        }
    }
}
