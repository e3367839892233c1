//! Strings that take a while to read: each attempt to lift a call's values reads a piece of them, then others have
//! their turn. The guest does not run meanwhile, but its memory may change: bytes arrive for a `stream.read` that it has
//! begun before. An attempt that finds other strings than those before it ends the guest.

use super::Violation;
use super::strings::{Stored, decode_piece};

/// Most bytes that an attempt reads: some 100 µs of decoding.
const PIECE_BYTES: usize = 128 << 10;

/// Most bytes of the long strings of one call, in the guest's memory.
pub(super) const MAX_LONG_BYTES: usize = 4 << 20;

/// The long strings of one call, in the order of its values.
#[derive(Debug, Default)]
pub(crate) struct LongStrings {
    /// All but the last one are complete.
    read: Vec<Read>,
    /// Bytes of the guest's that the last one was made from so far.
    done: usize,
    /// Bytes of the guest's of all of them.
    total: usize,
    /// The place of the string that comes next in this attempt.
    next: usize,
    /// Bytes that this attempt may read.
    left: usize,
    /// Whether the attempt has left something unread.
    is_unfinished: bool,
    /// Whether all are read, and given away.
    gives: bool,
}

/// A string, as far as it was read.
#[derive(Debug)]
struct Read {
    /// Its pointer and its length, as the guest gave them to the first attempt.
    given: (u32, u32),
    text: String,
}

impl LongStrings {
    /// Begins an attempt. Its strings are empty.
    pub(crate) fn begin(&mut self) {
        (self.next, self.left, self.is_unfinished) = (0, PIECE_BYTES, false);
    }

    /// Whether the attempt failed only because there is more to read.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// Begins the attempt behind one that has succeeded: it gets the strings.
    ///
    /// # Errors
    /// [`Violation::Changed`] if the successful attempt found fewer strings than those before it.
    pub(crate) fn give(&mut self) -> Result<(), Violation> {
        if self.next != self.read.len() {
            return Err(Violation::Changed);
        }
        self.begin();
        self.gives = true;
        Ok(())
    }

    /// The next string of this attempt, which is in `bytes`. The guest gave its pointer and its length.
    ///
    /// # Errors
    /// [`Violation::BadString`]; [`Violation::Changed`]; [`Violation::TooLarge`] also if there is [more to
    /// read](LongStrings::is_unfinished).
    pub(super) fn next(
        &mut self,
        stored: &Stored,
        given: (u32, u32),
        bytes: &[u8],
    ) -> Result<String, Violation> {
        let place = self.next;
        self.next += 1;
        if self.read.get(place).is_some_and(|read| read.given != given) {
            return Err(Violation::Changed);
        }
        if self.gives {
            let read = self.read.get_mut(place).ok_or(Violation::Changed)?;
            return Ok(std::mem::take(&mut read.text));
        }
        if place == self.read.len() {
            self.total = self.total.saturating_add(bytes.len());
            if self.total > MAX_LONG_BYTES {
                return Err(Violation::TooLarge);
            }
            self.read.push(Read { given, text: String::with_capacity(bytes.len()) });
            self.done = 0;
        }
        if place + 1 == self.read.len() {
            self.read_on(stored, bytes)?;
        }
        Ok(String::new())
    }

    /// Reads more of the last string.
    fn read_on(&mut self, stored: &Stored, bytes: &[u8]) -> Result<(), Violation> {
        let Some(Read { text, .. }) = self.read.last_mut() else { return Ok(()) };
        while let rest @ [_, ..] = bytes.get(self.done..).ok_or(Violation::OutOfBounds)? {
            // A character has at most four bytes.
            if self.left < 4 {
                self.is_unfinished = true;
                return Err(Violation::TooLarge);
            }
            let piece = &rest[..rest.len().min(self.left)];
            self.done += decode_piece(stored, piece, piece.len() == rest.len(), text)?;
            self.left -= piece.len();
        }
        Ok(())
    }
}
