//! Plain fields: those of an answer's head, as the lines that a server sends.
//!
//! A component gives its fields in bytes, and a server of HTTP/1.1 sends bytes. They become types of the crate `http` when
//! somebody looks at one of them; of most answers, nobody does.

use crate::head::{MAX_HEAD_BYTES, MAX_HEADERS, has_rules, length};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

/// Fields that can be sent as they are: none is about the connection, and together they are no more than a head may have. Each
/// is a line, with its name in small letters:
///
/// ```text
///   name: value CR LF
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainFields {
    lines: Vec<u8>,
    count: usize,
    /// The length that they announce has no line: who frames the body writes it.
    length: Option<u64>,
    has_content_type: bool,
}

impl PlainFields {
    /// Adds a field. `false`, with the fields as they were, if it is none, or not plain.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> bool {
        let bytes = self.lines.len() + name.len() + value.len() + SEPARATORS;
        if self.count >= MAX_HEADERS || bytes > MAX_HEAD_BYTES {
            return false;
        }
        let is_pushed = match name.eq_ignore_ascii_case(b"content-length") {
            true => self.push_length(value),
            false => is_value(value) && self.push_line(name, value),
        };
        self.count += usize::from(is_pushed);
        is_pushed
    }

    /// A length is a number that is written in one way.
    fn push_length(&mut self, digits: &[u8]) -> bool {
        if self.length.is_some() || (digits.len() > 1 && digits[0] == b'0') {
            return false;
        }
        self.length = length(digits);
        self.length.is_some()
    }

    fn push_line(&mut self, name: &[u8], value: &[u8]) -> bool {
        let start = self.lines.len();
        // No more than is counted for them: a head is small.
        self.lines.reserve_exact(name.len() + value.len() + SEPARATORS);
        self.lines.extend(name.iter().map(|byte| TOKEN[usize::from(*byte)]));
        let name = &self.lines[start..];
        if name.is_empty() || name.contains(&0) || has_rules(name) {
            self.lines.truncate(start);
            return false;
        }
        self.has_content_type |= name == b"content-type";
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
        true
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether there is a `content-type`.
    pub fn has_content_type(&self) -> bool {
        self.has_content_type
    }

    /// Drops a length that is another one than this, which the body has.
    pub fn fit_length(&mut self, length: Option<u64>) {
        if self.length != length {
            self.count -= usize::from(self.length.take().is_some());
        }
    }

    /// The name of each field and its line, but for the length.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let name = line.iter().position(|byte| *byte == b':').unwrap_or_default();
            (&line[..name], line)
        })
    }

    /// Adds them to headers in types, behind those of the same name.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        for (name, line) in self.lines() {
            let value = &line[name.len() + 2..line.len() - 2];
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                headers.append(name, value);
            }
        }
        if let Some(length) = self.length {
            headers.append(CONTENT_LENGTH, length.into());
        }
    }
}

/// Bytes of a line besides name and value.
const SEPARATORS: usize = ": \r\n".len();

/// The bytes of names (RFC 9110, 5.6.2), in small letters; 0 for others.
static TOKEN: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let small = (byte as u8).to_ascii_lowercase();
        if small.is_ascii_alphanumeric()
            || matches!(
                small,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            bytes[byte] = small;
        }
        byte += 1;
    }
    bytes
};

/// Whether it is a value (RFC 9110, 5.5), without spaces around it.
fn is_value(value: &[u8]) -> bool {
    let is_text = |byte: &u8| matches!(*byte, b'\t' | b' '..=b'~' | 0x80..);
    value.iter().all(is_text) && value.trim_ascii().len() == value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> PlainFields {
        let mut fields = PlainFields::default();
        for (name, value) in list {
            assert!(fields.push(name.as_bytes(), value.as_bytes()), "{name}: {value}");
        }
        fields
    }

    #[test]
    fn fields_become_the_types_that_their_bytes_are() {
        let list = [
            ("X-A", "1"),
            ("content-type", "text/plain"),
            ("Content-Length", "36"),
            ("x-a", "t\tab \u{fc}"),
            ("x-empty", ""),
        ];
        let (plain, mut headers, mut expected) =
            (fields(&list), HeaderMap::new(), HeaderMap::new());
        plain.add_to(&mut headers);
        for (name, value) in list {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            expected.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        assert_eq!(headers, expected);
        assert!(plain.has_content_type() && !plain.is_empty());
        let lines: Vec<&[u8]> = plain.lines().map(|(_, line)| line).collect();
        let text = "x-a: 1\r\ncontent-type: text/plain\r\nx-a: t\tab \u{fc}\r\nx-empty: \r\n";
        assert_eq!(lines.concat(), text.as_bytes());
    }

    #[test]
    fn bytes_of_names_and_values_are_those_of_the_crate_http() {
        for byte in 0..=u8::MAX {
            let (name, value) = ([b'x', byte], [b'x', byte, b'x']);
            let is_name = HeaderName::from_bytes(&name).is_ok();
            assert_eq!(PlainFields::default().push(&name, b""), is_name, "{byte}");
            let is_value = HeaderValue::from_bytes(&value).is_ok();
            assert_eq!(PlainFields::default().push(b"x", &value), is_value, "{byte}");
        }
        assert!(!PlainFields::default().push(b"", b"x"));
    }

    #[test]
    fn a_field_that_is_not_plain_leaves_the_others_as_they_were() {
        let before = fields(&[("x-a", "1"), ("content-length", "2")]);
        let mut after = before.clone();
        for (name, value) in [
            ("connection", "x-a"),
            ("Keep-Alive", "1"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-connection", "close"),
            ("host", "h"),
            ("date", "today"),
            ("content-length", "2"),
            ("x-b", " 1"),
            ("x-b", "1\t"),
            ("x-b", "1\r\nx-c: 2"),
        ] {
            assert!(!after.push(name.as_bytes(), value.as_bytes()), "{name}: {value}");
        }
        assert_eq!(after, before);
        for length in ["", "03", "+1", "1,1", "99999999999999999999"] {
            assert!(!PlainFields::default().push(b"content-length", length.as_bytes()), "{length}");
        }
    }

    #[test]
    fn they_are_no_more_than_a_head_may_have() {
        let mut many = PlainFields::default();
        assert!((0..MAX_HEADERS).all(|_| many.push(b"x", b"1")));
        assert!(!many.push(b"x", b"1"));
        let mut large = PlainFields::default();
        assert!(large.push(b"x", &vec![b'a'; MAX_HEAD_BYTES - 1 - SEPARATORS]));
        assert!(!large.push(b"y", b""));
    }

    #[test]
    fn a_length_that_the_body_does_not_have_is_dropped() {
        for (body, is_kept) in [(Some(3), true), (Some(4), false), (None, false)] {
            let mut plain = fields(&[("content-length", "3")]);
            plain.fit_length(body);
            assert_eq!(!plain.is_empty(), is_kept, "{body:?}");
        }
    }
}
