//! A guest's stderr, line by line, in the log.

use std::sync::Arc;

/// Longest line in the log, in bytes. Longer ones are cut into pieces.
const MAX_LINE: usize = 4096;

/// Collects what a guest writes and logs every line with the function's name. What goes beyond a
/// budget is dropped, and that is logged once.
#[derive(Debug)]
pub struct LogLines {
    function: Arc<str>,
    request: String,
    line: Vec<u8>,
    budget: u64,
    exhausted: bool,
}

impl LogLines {
    /// Lines of `function` while it serves `request` (its id), at most `budget` bytes.
    pub fn new(function: Arc<str>, request: impl Into<String>, budget: u64) -> LogLines {
        LogLines { function, request: request.into(), line: Vec::new(), budget, exhausted: false }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        let within = usize::try_from(self.budget).unwrap_or(usize::MAX).min(bytes.len());
        self.budget -= within as u64;
        for piece in bytes[..within].split_inclusive(|byte| *byte == b'\n') {
            self.append(piece);
        }
        if within < bytes.len() && !self.exhausted {
            self.exhausted = true;
            self.flush();
            tracing::warn!(
                target: "wfaas::guest",
                function = &*self.function,
                request = self.request,
                "log limit reached: the rest is dropped"
            );
        }
    }

    /// Adds a piece that holds a line's end at most as its last byte.
    fn append(&mut self, piece: &[u8]) {
        let (text, ends) = match piece.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (piece, false),
        };
        for part in text.chunks(MAX_LINE) {
            if self.line.len() + part.len() > MAX_LINE {
                self.flush();
            }
            self.line.extend_from_slice(part);
        }
        if ends {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.line.is_empty() {
            return;
        }
        // Control characters could rewrite a terminal that shows the log.
        let line: String = String::from_utf8_lossy(&self.line)
            .chars()
            .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
            .collect();
        tracing::info!(
            target: "wfaas::guest",
            function = &*self.function,
            request = self.request,
            "{line}"
        );
        self.line.clear();
    }
}

impl Drop for LogLines {
    fn drop(&mut self) {
        self.flush();
    }
}
