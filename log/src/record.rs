//! Records: events with their values, before they are formatted.

use std::fmt::{self, Debug, Write};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};
use wfaas_abi::untrusted::{MAX_LINE, MAX_TEXT};

/// The name of the field that `tracing` keeps an event's message in.
pub(crate) const MESSAGE: &str = "message";

/// A record under construction, used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// All texts, one after the other.
    pub(crate) text: String,
    pub(crate) values: Vec<(&'static str, Value)>,
}

/// The value of a field. Texts are in the record's, in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    /// A string, of so many bytes.
    String(u32),
    /// Something that was formatted, to so many bytes.
    Formatted(u32),
}

/// What is known of a record besides its values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) time: SystemTime,
    pub(crate) metadata: &'static Metadata<'static>,
}

impl Head {
    pub(crate) fn of(event: &Event<'_>) -> Head {
        Head { time: SystemTime::now(), metadata: event.metadata() }
    }
}

impl Draft {
    /// Takes the values of an event in place of those it has.
    pub(crate) fn read(&mut self, event: &Event<'_>) {
        self.text.clear();
        self.values.clear();
        event.record(self);
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.values.push((field.name(), value));
    }

    /// Adds a text, or as much of it as there is room for; its bytes.
    fn add_text(
        &mut self,
        field: &Field,
        write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result,
    ) -> u32 {
        let room = if field.name() == MESSAGE { MAX_TEXT } else { MAX_LINE };
        let before = self.text.len();
        let mut bounded = Bounded { text: &mut self.text, room };
        if write(&mut bounded).is_err() {
            // It was cut, or could not be formatted.
            self.text.push('…');
        }
        (self.text.len() - before) as u32
    }
}

impl Visit for Draft {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Unsigned(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let bytes = self.add_text(field, |text| text.write_str(value));
        self.add(field, Value::String(bytes));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let bytes = self.add_text(field, |text| write!(text, "{value:?}"));
        self.add(field, Value::Formatted(bytes));
    }
}

/// Takes text up to a number of bytes, and refuses more.
struct Bounded<'a> {
    text: &'a mut String,
    room: usize,
}

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = &text[..text.floor_char_boundary(self.room)];
        self.text.push_str(fits);
        self.room -= fits.len();
        if fits.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
