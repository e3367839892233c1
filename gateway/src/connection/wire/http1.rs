//! Heads and bodies of HTTP/1.1 (RFC 9112), told apart.
//!
//! hyper takes a line feed alone for the end of a line, which proxies do not agree about; the RFC
//! allows it, and a server that refuses it is not fooled by what a proxy let through.

/// Where in the stream of requests the bytes are.
#[derive(Debug)]
pub(in crate::connection) struct Scanner {
    at: At,
    /// The line under way, as far as it fits.
    line: Vec<u8>,
    /// The last byte of the line under way, if there is one.
    last: Option<u8>,
    /// How the body after the head under way ends.
    body: Body,
    /// Whether anything of the head under way has come.
    began: bool,
    /// Whether the head under way has a line.
    has_line: bool,
    heads: u64,
    bare_line_feed: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Head,
    Body(u64),
    ChunkSize,
    /// With the line's end after the data.
    Chunk(u64),
    Trailers,
    /// After framing that makes no sense here. hyper refuses it too; if it does not, all that
    /// follows counts as a head that does not end.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Bytes(u64),
    Chunks,
    Nonsense,
}

/// Most bytes of a line that are looked at: enough for every line that frames a body.
const MAX_LINE: usize = 128;

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner {
            at: At::Head,
            line: Vec::new(),
            last: None,
            body: Body::Bytes(0),
            began: false,
            has_line: false,
            heads: 0,
            bare_line_feed: None,
        }
    }
}

impl Scanner {
    /// Behind so many requests.
    pub(super) fn after_heads(heads: u64) -> Scanner {
        Scanner { heads, ..Scanner::default() }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.at {
                At::Lost => return,
                At::Body(left) | At::Chunk(left) => {
                    let taken = left.min(bytes.len() as u64);
                    bytes = &bytes[taken as usize..];
                    self.at = match (self.at, left - taken) {
                        (At::Body(_), 0) => At::Head,
                        (At::Body(_), left) => At::Body(left),
                        (_, 0) => At::ChunkSize,
                        (_, left) => At::Chunk(left),
                    };
                }
                At::Head | At::ChunkSize | At::Trailers => match line_feed(bytes) {
                    Some(end) => {
                        self.complete(&bytes[..end]);
                        bytes = &bytes[end + 1..];
                    }
                    None => return self.keep(bytes),
                },
            }
        }
    }

    /// Keeps a part of a line, as far as it is looked at.
    fn keep(&mut self, part: &[u8]) {
        self.began |= self.at == At::Head;
        self.last = part.last().copied().or(self.last);
        let room = MAX_LINE - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// Ends a line with its last part, which most often is all of it and is not copied.
    fn complete(&mut self, part: &[u8]) {
        self.began |= self.at == At::Head;
        if self.last.is_none() {
            return self.end_line(&part[..part.len().min(MAX_LINE)], part.last().copied());
        }
        self.keep(part);
        let (line, last) = (std::mem::take(&mut self.line), self.last.take());
        self.end_line(&line, last);
    }

    pub(super) fn head_is_open(&self) -> bool {
        self.began || self.at == At::Lost
    }

    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    pub(super) fn bare_line_feed(&self) -> Option<u64> {
        self.bare_line_feed
    }

    /// Takes note of a line, as far as it is looked at; `last` is its last byte.
    fn end_line(&mut self, line: &[u8], last: Option<u8>) {
        if last != Some(b'\r') && self.at != At::ChunkSize {
            let number = self.heads + u64::from(self.at == At::Head);
            self.bare_line_feed.get_or_insert(number);
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.at {
            At::ChunkSize => self.at = chunk(line),
            At::Trailers if line.is_empty() => self.at = At::Head,
            At::Head if !line.is_empty() => {
                self.has_line = true;
                self.body = frame(line, self.body);
            }
            At::Head if self.has_line => self.end_head(),
            // Trailers mean nothing, nor do empty lines before a request.
            _ => {}
        }
    }

    fn end_head(&mut self) {
        self.heads += 1;
        (self.began, self.has_line) = (false, false);
        self.at = match std::mem::replace(&mut self.body, Body::Bytes(0)) {
            Body::Bytes(0) => At::Head,
            Body::Bytes(bytes) => At::Body(bytes),
            Body::Chunks => At::ChunkSize,
            Body::Nonsense => At::Lost,
        };
    }
}

/// The place of the first line feed, looked for in eight bytes at a time: a byte of `differs` is zero
/// where there is one, and the lowest such byte is the lowest one that borrows.
fn line_feed(bytes: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ (EACH * b'\n' as u64);
        let borrows = differs.wrapping_sub(EACH) & !differs & (EACH << 7);
        if borrows != 0 {
            return Some(index * 8 + borrows.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| *byte == b'\n');
    place.map(|place| words.len() * 8 + place)
}

/// How the body ends after one more line of the head.
fn frame(line: &[u8], body: Body) -> Body {
    // No other line frames a body.
    if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
        return body;
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return body };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        return if value.eq_ignore_ascii_case(b"chunked") { Body::Chunks } else { Body::Nonsense };
    }
    if !name.eq_ignore_ascii_case(b"content-length") || body == Body::Chunks {
        return body;
    }
    let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
    length.map_or(Body::Nonsense, Body::Bytes)
}

/// Where the bytes are after the line with a chunk's size.
fn chunk(line: &[u8]) -> At {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line).trim_ascii();
    let size = std::str::from_utf8(digits).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    match size.and_then(|size| size.checked_add(2)) {
        Some(2) => At::Trailers,
        Some(bytes) => At::Chunk(bytes),
        None => At::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scanner that got `bytes`, and the same after each possible cut in two.
    fn scan(bytes: &[u8]) -> (u64, bool, Option<u64>) {
        let result = |parts: &[&[u8]]| {
            let mut scanner = Scanner::default();
            parts.iter().for_each(|part| scanner.feed(part));
            (scanner.heads, scanner.head_is_open(), scanner.bare_line_feed)
        };
        let whole = result(&[bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(result(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn heads_are_told_from_bodies() {
        for (bytes, heads, open) in [
            ("", 0, false),
            ("G", 0, true),
            ("\r\n\r\n\r\n", 0, true),
            ("GET / HTTP/1.1\r\nhost: a\r\n", 0, true),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1, false),
            ("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", 2, false),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\r\n", 1, false),
            ("POST / HTTP/1.1\r\nContent-Length: \t5\r\n\r\nab\r\ncGET", 1, true),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\na\n\n\r\n", 1, false),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nA;x\r\n0123456789\r\n0\r\n",
                1,
                false,
            ),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: x\r\n\r\nG",
                1,
                true,
            ),
            ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\nab", 1, true),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", 1, true),
        ] {
            assert_eq!(scan(bytes.as_bytes()), (heads, open, None), "{bytes:?}");
        }
    }

    #[test]
    fn line_feeds_alone_are_seen_in_heads_and_nowhere_else() {
        for (bytes, head) in [
            ("GET / HTTP/1.1\nhost: a\r\n\r\n", Some(1)),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", Some(1)),
            ("GET / HTTP/1.1\r\nhost: a\r\n\n", Some(1)),
            ("\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", Some(1)),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\n\r\n", Some(2)),
            ("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n\n\n", None),
            ("POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n\nGET /\n", Some(2)),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n", None),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nt: x\n\r\n", Some(1)),
        ] {
            assert_eq!(scan(bytes.as_bytes()).2, head, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_feed_is_found_at_every_place() {
        for length in 0..40 {
            for fill in [b'\t', b'\x0b', b'\x8a', 0, 255] {
                let mut bytes = vec![fill; length];
                assert_eq!(line_feed(&bytes), None, "{fill} {length}");
                for place in (0..length).rev() {
                    bytes[place] = b'\n';
                    assert_eq!(line_feed(&bytes), Some(place), "{fill} {length}");
                }
            }
        }
    }

    #[test]
    fn a_long_line_takes_little_memory() {
        let mut scanner = Scanner::default();
        for _ in 0..1000 {
            scanner.feed(&[b'x'; 1000]);
        }
        assert!(scanner.line.capacity() <= 2 * MAX_LINE && scanner.head_is_open());
    }
}
