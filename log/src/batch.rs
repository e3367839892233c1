//! Batches: records one behind the other, in buffers that are used again.

use crate::record::{Draft, Head, Value};
use tracing::{Level, Metadata};

/// Most records in a batch.
pub(crate) const MAX_RECORDS: usize = 16 << 10;

/// Most bytes of a batch.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// The target of lines that guests write.
const GUEST_TARGET: &str = "wfaas::guest";

/// Buffers that were larger are given back.
const KEPT_BYTES: usize = 256 << 10;

/// Records that wait for the writer, or are being written.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    heads: Vec<(Head, usize)>,
    values: Vec<(&'static str, Value)>,
    text: String,
}

/// A record of a batch.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) head: Head,
    pub(crate) values: &'a [(&'static str, Value)],
    /// The texts of the values, and of the records behind.
    pub(crate) text: &'a str,
}

impl Batch {
    /// Adds a record, if there is room.
    pub(crate) fn push(&mut self, head: Head, draft: &Draft) -> bool {
        let quarters = quarters(head.metadata);
        let share = |all: usize| all / 4 * quarters;
        let more = draft.text.len() + size_of_val(&*draft.values);
        if self.len() >= share(MAX_RECORDS) || self.bytes() + more > share(MAX_BYTES) {
            return false;
        }
        self.heads.push((head, draft.values.len()));
        self.values.extend_from_slice(&draft.values);
        self.text.push_str(&draft.text);
        true
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.values) + size_of_val(&*self.heads)
    }

    /// Whether half of the places or bytes are taken.
    pub(crate) fn is_half_full(&self) -> bool {
        self.len() >= MAX_RECORDS / 2 || self.bytes() >= MAX_BYTES / 2
    }

    /// Calls `each` with all records, in order.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Record<'_>)) {
        let (mut values, mut text) = (self.values.as_slice(), self.text.as_str());
        for (head, count) in &self.heads {
            let (of_record, rest) = values.split_at(*count);
            each(Record { head: *head, values: of_record, text });
            values = rest;
            text = &text[of_record.iter().map(|(_, value)| value.text_bytes()).sum()..];
        }
    }

    /// Forgets the records, and keeps buffers of an ordinary size.
    pub(crate) fn clear(&mut self) {
        if self.bytes() > KEPT_BYTES {
            *self = Batch::default();
        }
        self.heads.clear();
        self.values.clear();
        self.text.clear();
    }
}

/// The quarters of a batch that records of this kind may fill: guests' lines leave room for records of
/// requests, and those for warnings and errors.
fn quarters(metadata: &Metadata<'_>) -> usize {
    match *metadata.level() {
        Level::ERROR | Level::WARN => 4,
        _ if metadata.target() == GUEST_TARGET => 2,
        _ => 3,
    }
}

impl Value {
    /// The bytes of its text.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Value::String(bytes) | Value::Formatted(bytes) => *bytes as usize,
            _ => 0,
        }
    }
}
