//! The least of HTTP that a client needs who knows the answer. It takes a fraction of the time of a
//! client that parses, so that one processor is enough to keep a server on another one busy.

use super::guest::BODY;
use anyhow::{bail, ensure};

/// One connection's protocol.
pub(super) trait Wire {
    /// Bytes that come before the first request.
    fn preface(&self) -> Vec<u8>;
    /// Appends a request to `out`.
    fn ask(&mut self, out: &mut Vec<u8>);
    /// Takes the bytes that have come, and appends an immediate reply to `out`. Returns whether the
    /// answer is complete.
    fn take(&mut self, bytes: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<bool>;
}

/// HTTP/1.1 (RFC 9112), one request at a time.
pub(super) struct Http1;

const REQUEST: &[u8] =
    b"GET /hello HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: wfaas-bench\r\naccept: */*\r\n\r\n";
const STATUS: &[u8] = b"HTTP/1.1 200 OK\r\n";

impl Wire for Http1 {
    fn preface(&self) -> Vec<u8> {
        Vec::new()
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(REQUEST);
    }

    fn take(&mut self, bytes: &mut Vec<u8>, _: &mut Vec<u8>) -> anyhow::Result<bool> {
        let status = &bytes[..bytes.len().min(STATUS.len())];
        if !STATUS.starts_with(status) {
            bail!("an answer was {:?}", String::from_utf8_lossy(bytes));
        }
        let complete = is_complete(bytes);
        if complete {
            bytes.clear();
        }
        Ok(complete)
    }
}

/// The end of an answer in chunks (RFC 9112, 7.1), as one without a length is.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Whether an answer ends with the body: right behind the head, or in a chunk before the last one.
fn is_complete(answer: &[u8]) -> bool {
    let before = |bytes: &[u8]| bytes.strip_suffix(BODY.as_bytes()).map(<[u8]>::len);
    match before(answer) {
        Some(len) => answer[..len].ends_with(b"\r\n\r\n"),
        None => answer.strip_suffix(LAST_CHUNK).is_some_and(|answer| before(answer).is_some()),
    }
}

/// HTTP/2 without TLS (RFC 9113), one stream at a time.
pub(super) struct Http2 {
    /// The next stream.
    stream: u32,
    /// Bytes of the body that have come.
    body: usize,
}

/// Length (3 bytes), type, flags, stream (4 bytes).
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200`, by its index (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

/// The first head of a connection has the compression's table remember two values, which the
/// following ones refer to. The path is in all of them, as by clients that know it will change.
const FIRST: &[u8] = b"\x82\x86\x04\x06/hello\x41\x09127.0.0.1\x7a\x0bwfaas-bench\x53\x03*/*";
const NEXT: &[u8] = b"\x82\x86\x04\x06/hello\xc0\xbf\xbe";

impl Default for Http2 {
    fn default() -> Http2 {
        Http2 { stream: 1, body: 0 }
    }
}

impl Wire for Http2 {
    fn preface(&self) -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(&mut bytes, SETTINGS, 0, 0, &[]);
        // A window that no run comes to the end of.
        frame(&mut bytes, WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
        bytes
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        let block = if self.stream == 1 { FIRST } else { NEXT };
        frame(out, HEADERS, END_STREAM | END_HEADERS, self.stream, block);
        self.stream += 2;
        self.body = 0;
    }

    fn take(&mut self, bytes: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<bool> {
        let (mut rest, mut complete) = (&bytes[..], false);
        while let Some((header, payload)) = rest.split_at_checked(HEADER) {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let Some((payload, after)) = payload.split_at_checked(length) else { break };
            complete |= self.frame(header[3], header[4], payload, out)?;
            rest = after;
        }
        let left = rest.len();
        bytes.drain(..bytes.len() - left);
        Ok(complete)
    }
}

impl Http2 {
    /// Takes a frame; whether the answer is complete.
    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> anyhow::Result<bool> {
        match kind {
            HEADERS => ensure!(payload.first() == Some(&STATUS_200), "a head was {payload:?}"),
            DATA => {
                let expected = BODY.as_bytes().get(self.body..).unwrap_or_default();
                ensure!(expected.starts_with(payload), "a body had {payload:?}");
                self.body += payload.len();
            }
            SETTINGS if flags & ACK == 0 => frame(out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(out, PING, ACK, 0, payload),
            SETTINGS | PING | WINDOW_UPDATE => {}
            other => bail!("a frame of type {other}: {payload:?}"),
        }
        let ends = matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        ensure!(!ends || self.body == BODY.len(), "a body had {} bytes", self.body);
        Ok(ends)
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many answers there are, fed byte by byte.
    fn answers(wire: &mut dyn Wire, bytes: &[u8]) -> anyhow::Result<usize> {
        let (mut buffer, mut out, mut count) = (Vec::new(), Vec::new(), 0);
        wire.ask(&mut out);
        for byte in bytes {
            buffer.push(*byte);
            count += usize::from(wire.take(&mut buffer, &mut out)?);
        }
        Ok(count)
    }

    #[test]
    fn an_answer_of_http1_ends_with_the_body() {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{BODY}");
        assert_eq!(answers(&mut Http1, answer.as_bytes()).unwrap(), 1);
        assert_eq!(answers(&mut Http1, &answer.as_bytes()[..70]).unwrap(), 0);
        let chunks = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{BODY}\r\n0\r\n\r\n",
            BODY.len()
        );
        assert_eq!(answers(&mut Http1, chunks.repeat(2).as_bytes()).unwrap(), 2);
        assert!(answers(&mut Http1, b"HTTP/1.1 503 Service").is_err());
    }

    #[test]
    fn an_answer_of_http2_ends_with_its_stream() {
        let answer = |status: u8, body: &str, last: u8| {
            let mut bytes = Vec::new();
            frame(&mut bytes, SETTINGS, 0, 0, &[]);
            frame(&mut bytes, HEADERS, END_HEADERS, 1, &[status]);
            frame(&mut bytes, DATA, last, 1, body.as_bytes());
            answers(&mut Http2::default(), &bytes)
        };
        assert_eq!(answer(STATUS_200, BODY, END_STREAM).unwrap(), 1);
        assert_eq!(answer(STATUS_200, BODY, 0).unwrap(), 0);
        assert!(answer(STATUS_200, "hello", END_STREAM).is_err());
        assert!(answer(STATUS_200, "hallo", 0).is_err());
        assert!(answer(0x8d, BODY, END_STREAM).is_err());
    }
}
