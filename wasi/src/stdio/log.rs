//! Output of a guest, as lines for the log.

/// Longest line in the log, in bytes. Longer ones are cut into pieces.
const MAX_LINE: usize = 4096;

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A line, or a piece of a long one, without its end. Control characters other than tabs are
    /// replaced: they could rewrite a terminal that shows the log.
    Line(String),
    /// The limit is reached: what the guest writes from now on is dropped.
    Limit,
}

impl LogEvent {
    /// What to say at [`LogEvent::Limit`].
    pub const LIMIT: &str = "log limit reached: the rest is dropped";
}

/// Cuts what a guest writes into lines, up to a budget of bytes.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    budget: u64,
    exhausted: bool,
}

impl Lines {
    #[inline]
    pub(super) fn new(budget: u64) -> Lines {
        Lines { line: Vec::new(), budget, exhausted: false }
    }

    /// Takes bytes up to the next event; how many.
    pub(super) fn write(&mut self, bytes: &[u8]) -> (usize, Option<LogEvent>) {
        let within = usize::try_from(self.budget).unwrap_or(usize::MAX).min(bytes.len());
        if within == 0 && !bytes.is_empty() {
            return self.beyond_the_budget(bytes.len());
        }
        let end = bytes[..within].iter().position(|byte| *byte == b'\n');
        let text = &bytes[..end.unwrap_or(within)];
        let room = MAX_LINE - self.line.len();
        let piece = &text[..room.min(text.len())];
        self.line.extend_from_slice(piece);
        let (taken, complete) = match end {
            _ if piece.len() < text.len() => (piece.len(), true),
            Some(end) => (end + 1, true),
            None => (within, false),
        };
        self.budget -= taken as u64;
        (taken, if complete { self.take_unfinished() } else { None })
    }

    fn beyond_the_budget(&mut self, bytes: usize) -> (usize, Option<LogEvent>) {
        if let Some(line) = self.take_unfinished() {
            return (0, Some(line));
        }
        let first = !std::mem::replace(&mut self.exhausted, true);
        (bytes, first.then_some(LogEvent::Limit))
    }

    /// What there is of a line.
    pub(super) fn take_unfinished(&mut self) -> Option<LogEvent> {
        if self.line.is_empty() {
            return None;
        }
        let printable = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let line = String::from_utf8_lossy(&self.line).chars().map(printable).collect();
        self.line.clear();
        Some(LogEvent::Line(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events of these writes, the unfinished line at the end included.
    fn events(budget: u64, writes: &[&[u8]]) -> Vec<LogEvent> {
        let mut lines = Lines::new(budget);
        let mut events = Vec::new();
        for bytes in writes {
            let mut done = 0;
            while done < bytes.len() {
                let (taken, event) = lines.write(&bytes[done..]);
                assert!(taken > 0 || event.is_some(), "it goes on");
                done += taken;
                events.extend(event);
            }
        }
        events.extend(lines.take_unfinished());
        events
    }

    fn line(text: &str) -> LogEvent {
        LogEvent::Line(text.to_owned())
    }

    #[test]
    fn lines_are_put_together_and_cut() {
        let events = events(u64::MAX, &[b"one\ntw", b"o\n\n", b"t\x1bhree\tx"]);
        assert_eq!(events, [line("one"), line("two"), line("t\u{fffd}hree\tx")]);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let long = "x".repeat(2 * MAX_LINE + 7) + "\n";
        let pieces = [MAX_LINE, MAX_LINE, 7].map(|len| line(&"x".repeat(len)));
        assert_eq!(events(u64::MAX, &[long.as_bytes()]), pieces);
        let whole = "x".repeat(MAX_LINE) + "\n";
        assert_eq!(events(u64::MAX, &[whole.as_bytes()]), pieces[..1]);
    }

    #[test]
    fn the_limit_is_told_once_and_after_what_came_before() {
        let told = events(6, &[b"one\ntwo", b"three\n", b"four\n"]);
        assert_eq!(told, [line("one"), line("tw"), LogEvent::Limit]);
        assert_eq!(events(4, &[b"one\n"]), [line("one")]);
        assert_eq!(events(0, &[b"x"]), [LogEvent::Limit]);
    }
}
