//! The bytes a client sends, as far as its connection has to know them: whether a request's head
//! has begun and is not complete, and things that hyper does not tell. Nothing is decoded here and
//! nothing depends on it but clocks and refusals: hyper parses the same bytes.

mod http1;
mod http2;

/// What a client speaks, and where in it.
#[derive(Debug)]
pub(super) enum Wire {
    /// So many bytes were those of the preface of HTTP/2.
    Start(usize),
    Http1(http1::Scanner),
    Http2(http2::Scanner),
}

/// The preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Wire {
    pub(super) fn new() -> Wire {
        Wire::Start(0)
    }

    /// Behind so many requests of HTTP/1.1.
    pub(super) fn after_requests(requests: u64) -> Wire {
        Wire::Http1(http1::Scanner::after_heads(requests))
    }

    /// Takes note of bytes that came.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        if let Wire::Start(matched) = self {
            let left = &PREFACE[*matched..];
            let same = left.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            if same == left.len() {
                bytes = &bytes[same..];
                *self = Wire::Http2(http2::Scanner::default());
            } else if same == bytes.len() {
                *matched += same;
                return;
            } else {
                let mut scanner = http1::Scanner::default();
                scanner.feed(&PREFACE[..*matched]);
                *self = Wire::Http1(scanner);
            }
        }
        match self {
            Wire::Start(_) => {}
            Wire::Http1(scanner) => scanner.feed(bytes),
            Wire::Http2(scanner) => scanner.feed(bytes),
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Wire::Http2(_))
    }

    /// Whether a head has begun and is not complete.
    pub(super) fn head_is_open(&self) -> bool {
        match self {
            Wire::Start(matched) => *matched > 0,
            Wire::Http1(scanner) => scanner.head_is_open(),
            Wire::Http2(scanner) => scanner.head_is_open(),
        }
    }

    /// How many heads are complete.
    pub(super) fn heads(&self) -> u64 {
        match self {
            Wire::Start(_) => 0,
            Wire::Http1(scanner) => scanner.heads(),
            Wire::Http2(scanner) => scanner.heads(),
        }
    }

    /// Number of the first head, from 1, with a line that a line feed alone ends.
    pub(super) fn bare_line_feed(&self) -> Option<u64> {
        match self {
            Wire::Http1(scanner) => scanner.bare_line_feed(),
            _ => None,
        }
    }

    /// What the frames cost that came since the last call.
    pub(super) fn take_cost(&mut self) -> u32 {
        match self {
            Wire::Http2(scanner) => scanner.take_cost(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_tells_the_versions_apart_however_it_comes() {
        for step in [1, 2, 7, 24] {
            let mut wire = Wire::new();
            for bytes in PREFACE.chunks(step) {
                assert!(!wire.is_http2());
                wire.feed(bytes);
            }
            assert!(wire.is_http2() && !wire.head_is_open());
        }
        let mut wire = Wire::new();
        assert!(!wire.head_is_open());
        wire.feed(b"P");
        assert!(wire.head_is_open());
        wire.feed(b"UT / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!((wire.is_http2(), wire.head_is_open(), wire.heads()), (false, false, 1));
    }
}
