//! Bytes that the parts of a plain head consist of (RFC 9110, 5.6.2 and 5.5; RFC 3986).

/// A kind of bytes: a bit of each byte's entry in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind(u8);

/// Bytes of a header's name: those of a token.
pub(super) const NAME: Kind = Kind(1);
/// Bytes of a header's value: visible ones, spaces, tabs, and bytes beyond ASCII.
pub(super) const VALUE: Kind = Kind(2);
/// Bytes of a target that everybody takes as they are.
pub(super) const TARGET: Kind = Kind(4);
/// Spaces and tabs.
pub(super) const SPACE: Kind = Kind(8);

static TABLE: [u8; 256] = {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256 {
        table[byte] = kinds(byte as u8);
        byte += 1;
    }
    table
};

const fn kinds(byte: u8) -> u8 {
    let word = byte.is_ascii_alphanumeric();
    let name = word || is_one_of(byte, b"!#$%&'*+-.^_`|~");
    let target = word || is_one_of(byte, b"/?%-._~!$&'()*+,;=:@");
    let value = byte == b'\t' || byte >= b' ' && byte != 0x7f;
    let space = byte == b' ' || byte == b'\t';
    (name as u8 * NAME.0)
        | (value as u8 * VALUE.0)
        | (target as u8 * TARGET.0)
        | (space as u8 * SPACE.0)
}

const fn is_one_of(byte: u8, list: &[u8]) -> bool {
    let mut at = 0;
    while at < list.len() {
        if list[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

impl Kind {
    /// How many bytes of this kind a text begins with.
    #[inline]
    pub(super) fn run(self, text: &[u8]) -> usize {
        let end = text.iter().position(|byte| TABLE[usize::from(*byte)] & self.0 == 0);
        end.unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Uri;
    use hyper::header::{HeaderName, HeaderValue};

    #[test]
    fn names_and_values_are_those_that_the_types_of_http_take() {
        for byte in 0..=u8::MAX {
            let is = |kind: Kind| kind.run(&[byte]) == 1;
            assert_eq!(is(NAME), HeaderName::from_bytes(&[byte]).is_ok(), "{byte:#x}");
            assert_eq!(is(VALUE), HeaderValue::from_bytes(&[byte]).is_ok(), "{byte:#x}");
        }
    }

    #[test]
    fn targets_are_kept_as_they_are() {
        for byte in (0..=u8::MAX).filter(|byte| TARGET.run(&[*byte]) == 1) {
            for text in [format!("/{}", byte as char), format!("/a?{}", byte as char)] {
                assert_eq!(text.parse::<Uri>().unwrap().to_string(), text);
            }
        }
        assert_eq!(TARGET.run(b"/a#b"), 2);
    }
}
