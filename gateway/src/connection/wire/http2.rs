//! Frames of HTTP/2 (RFC 9113): whether a block of headers is open, and what the frames cost that
//! bring no request nearer to its end.

/// Where in the stream of frames the bytes are.
#[derive(Debug, Default)]
pub(in crate::connection) struct Scanner {
    /// The header of the frame under way, as far as it has come.
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of the frame's payload that are to come.
    payload: u32,
    /// Whether a block of headers has begun and is not complete.
    open: bool,
    /// Whether it is complete with the payload under way.
    closes: bool,
    heads: u64,
    cost: u32,
}

/// Length (3 bytes), type, flags, stream (4 bytes).
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;
const CONTINUATION: u8 = 9;

/// A reset stands for a request that was begun in vain.
const RESET_COST: u32 = 10;

impl Scanner {
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        loop {
            let taken = bytes.len().min(self.payload as usize);
            self.payload -= taken as u32;
            bytes = &bytes[taken..];
            if self.payload == 0 && self.closes {
                (self.open, self.closes) = (false, false);
                self.heads += 1;
            }
            if bytes.is_empty() {
                return;
            }
            let taken = bytes.len().min(HEADER - self.filled);
            self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEADER {
                self.filled = 0;
                self.begin_frame();
            }
        }
    }

    pub(super) fn head_is_open(&self) -> bool {
        self.open
    }

    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    pub(super) fn take_cost(&mut self) -> u32 {
        std::mem::take(&mut self.cost)
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload = u32::from_be_bytes([0, a, b, c]);
        let cost = match kind {
            HEADERS => 0,
            DATA if self.payload > 0 || flags & END_STREAM != 0 => 0,
            RST_STREAM => RESET_COST,
            _ => 1,
        };
        self.cost = self.cost.saturating_add(cost);
        if kind == HEADERS || kind == CONTINUATION {
            self.open = true;
            self.closes = flags & END_HEADERS != 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER + payload, 0xff);
        frame
    }

    /// Heads, whether one is open, and the cost, whatever pieces the bytes come in.
    fn scan(bytes: &[u8]) -> (u64, bool, u32) {
        let result = |step: usize| {
            let mut scanner = Scanner::default();
            bytes.chunks(step).for_each(|part| scanner.feed(part));
            (scanner.heads, scanner.open, scanner.cost)
        };
        let whole = result(bytes.len());
        for step in [1, 2, 3, 8, 10] {
            assert_eq!(result(step), whole, "in steps of {step}");
        }
        whole
    }

    #[test]
    fn a_block_of_headers_is_open_until_its_last_byte() {
        let headers = frame(HEADERS, END_HEADERS, 5);
        assert_eq!(scan(&headers), (1, false, 0));
        assert_eq!(scan(&headers[..HEADER + 4]), (0, true, 0));
        let begun = [frame(HEADERS, 0, 5), frame(CONTINUATION, 0, 3)].concat();
        assert_eq!(scan(&begun), (0, true, 1));
        let ended = [begun, frame(CONTINUATION, END_HEADERS, 0), vec![0]].concat();
        assert_eq!(scan(&ended), (1, false, 2));
        // A ping is none, complete or not.
        assert_eq!(scan(&frame(6, 0, 8)), (0, false, 1));
        assert_eq!(scan(&frame(6, 0, 8)[..12]), (0, false, 1));
    }

    #[test]
    fn frames_that_bring_no_request_nearer_cost() {
        for (kind, flags, payload, cost) in [
            (DATA, 0, 1, 0),
            (DATA, END_STREAM, 0, 0),
            (DATA, 0, 0, 1),
            (HEADERS, END_HEADERS, 1, 0),
            (2, 0, 5, 1),
            (RST_STREAM, 0, 4, RESET_COST),
            (4, 0, 0, 1),
            (6, 0, 8, 1),
            (8, 0, 4, 1),
            (77, 0, 0, 1),
        ] {
            let frames = frame(kind, flags, payload).repeat(3);
            assert_eq!(scan(&frames).2, 3 * cost, "type {kind}");
        }
    }
}
