//! Output of a guest, as lines for the log.

use wfaas_vm::untrusted;

/// Longest piece of a line, in bytes as the guest wrote them. Longer lines are cut into pieces.
const MAX_PIECE: usize = untrusted::MAX_LINE;

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A line, or a piece of a long one, without its end. Control characters other than tabs are
    /// escaped: they could rewrite a terminal that shows the log.
    Line(String),
    /// The limit is reached: what the guest writes from now on is dropped.
    Limit,
}

impl LogEvent {
    /// What to say at [`LogEvent::Limit`].
    pub const LIMIT: &str = "log limit reached: the rest is dropped";
}

/// Cuts what a guest writes to a stream into lines, up to a budget of bytes in the log.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    budget: u64,
    /// Bytes that the log adds to each line.
    overhead: u64,
}

/// What all streams of an instance have written to the log.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    bytes: u64,
    room: Room,
}

/// Whether there is room for more in the log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Room {
    #[default]
    Some,
    /// There is none, and the log does not say so yet.
    None,
    /// There is none, as the log says.
    NoneAsTold,
}

impl Logged {
    /// That the limit is reached, if the log does not say so yet.
    pub(crate) fn take_limit(&mut self) -> Option<LogEvent> {
        let untold = self.room == Room::None;
        if untold {
            self.room = Room::NoneAsTold;
        }
        untold.then_some(LogEvent::Limit)
    }
}

impl Lines {
    #[inline]
    pub(super) fn new(budget: u64, overhead: u64) -> Lines {
        Lines { line: Vec::new(), budget, overhead }
    }

    /// Takes bytes up to the next event; how many.
    pub(super) fn write(&mut self, bytes: &[u8], logged: &mut Logged) -> (usize, Option<LogEvent>) {
        if logged.room != Room::Some {
            return (bytes.len(), logged.take_limit());
        }
        let (piece, end) = self.next_piece(bytes);
        self.line.extend_from_slice(piece);
        match end {
            Some(end) => (piece.len() + end, self.take_unfinished(logged)),
            None => (piece.len(), None),
        }
    }

    /// The bytes to add to the line, and, if it is complete then, how many end it.
    fn next_piece<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], Option<usize>) {
        let room = MAX_PIECE - self.line.len();
        match bytes.iter().take(room + 1).position(|byte| *byte == b'\n') {
            Some(end) => (&bytes[..end], Some(1)),
            None if bytes.len() > room => (&bytes[..room], Some(0)),
            None => (bytes, None),
        }
    }

    /// The text there is of a line, or the part of it that there is room for.
    pub(super) fn take_unfinished(&mut self, logged: &mut Logged) -> Option<LogEvent> {
        if self.line.is_empty() {
            return None;
        }
        let mut text = untrusted::line(String::from_utf8_lossy(&self.line)).to_string();
        self.line.clear();
        let room = self.budget.saturating_sub(logged.bytes).saturating_sub(self.overhead);
        if text.len() as u64 > room {
            text.truncate(text.floor_char_boundary(room as usize));
            logged.room = Room::None;
        }
        if text.is_empty() {
            return logged.take_limit();
        }
        logged.bytes += self.overhead + text.len() as u64;
        Some(LogEvent::Line(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events of these writes, the unfinished line at the end included.
    fn events(budget: u64, overhead: u64, writes: &[&[u8]]) -> Vec<LogEvent> {
        let (mut lines, mut logged) = (Lines::new(budget, overhead), Logged::default());
        let mut events = Vec::new();
        for bytes in writes {
            let mut done = 0;
            while done < bytes.len() {
                let (taken, event) = lines.write(&bytes[done..], &mut logged);
                assert!(taken > 0 || event.is_some(), "it goes on");
                done += taken;
                events.extend(event);
            }
        }
        events.extend(lines.take_unfinished(&mut logged));
        events.extend(logged.take_limit());
        events
    }

    fn line(text: &str) -> LogEvent {
        LogEvent::Line(text.to_owned())
    }

    /// Bytes that the log writes for these events.
    fn written(events: &[LogEvent], overhead: usize) -> usize {
        let lines = events.iter().filter_map(|event| match event {
            LogEvent::Line(text) => Some(text.len() + overhead),
            LogEvent::Limit => None,
        });
        lines.sum()
    }

    #[test]
    fn lines_are_put_together_and_cut() {
        let events = events(u64::MAX, 10, &[b"one\ntw", b"o\n\n", b"t\x1bhree\tx"]);
        assert_eq!(events, [line("one"), line("two"), line("t\\u{1b}hree\tx")]);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let long = "x".repeat(2 * MAX_PIECE + 7) + "\n";
        let pieces = [MAX_PIECE, MAX_PIECE, 7].map(|len| line(&"x".repeat(len)));
        assert_eq!(events(u64::MAX, 0, &[long.as_bytes()]), pieces);
        let whole = "x".repeat(MAX_PIECE) + "\n";
        assert_eq!(events(u64::MAX, 0, &[whole.as_bytes()]), pieces[..1]);
    }

    #[test]
    fn the_limit_is_told_once_and_after_what_came_before() {
        let told = events(6, 0, &[b"one\ntwo\n", b"three\n", b"\nfour\n"]);
        assert_eq!(told, [line("one"), line("two"), LogEvent::Limit]);
        let cut = events(5, 0, &[b"one\ntwo\n", b"three\n"]);
        assert_eq!(cut, [line("one"), line("tw"), LogEvent::Limit]);
        assert_eq!(events(3, 0, &[b"one\n"]), [line("one")]);
        assert_eq!(events(0, 0, &[b"x"]), [LogEvent::Limit]);
        assert_eq!(events(70, 70, &[b"x\n", b"y\n", b"z"]), [LogEvent::Limit]);
        assert_eq!(events(2, 0, &[b"one"]), [line("on"), LogEvent::Limit]);
    }

    #[test]
    fn streams_share_what_there_is_room_for() {
        let (mut one, mut other) = (Lines::new(10, 0), Lines::new(10, 0));
        let mut logged = Logged::default();
        assert_eq!(one.write(b"sixsix\n", &mut logged).1, Some(line("sixsix")));
        assert_eq!(other.write(b"sixsix\n", &mut logged).1, Some(line("sixs")));
        assert_eq!(one.write(b"more", &mut logged), (4, Some(LogEvent::Limit)));
        assert_eq!(other.write(b"more", &mut logged), (4, None));
    }

    #[test]
    fn a_budget_is_of_bytes_as_they_are_written() {
        let short = b"a\n".repeat(32 << 10);
        let control = [b'\x1b'; 64 << 10];
        let invalid = [b'\xff'; 64 << 10];
        let empty = [b'\n'; 64 << 10];
        for (output, least) in [(&short[..], 4000), (&control, 4000), (&invalid, 4000), (&empty, 0)]
        {
            let events = events(4096, 90, &[output]);
            assert!((least..=4096).contains(&written(&events, 90)), "{}", written(&events, 90));
            assert_eq!(events.contains(&LogEvent::Limit), least > 0);
        }
    }
}
